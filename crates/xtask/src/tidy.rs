//! The rules of the source tree, as tests: which way dependencies point, where `cfg` on the target may stand, what a
//! tracked file must not contain. Each rule is a function from text to violations, so that a test can show it fail.

use crate::fail::{Doing, Result};
use crate::run::Cmd;
use crate::workspace;
use std::fs;

/// A file of more lines usually has two subjects. It is listed, not failed.
pub const LINES_MAX: usize = 600;

/// Tracked Rust files with more than [`LINES_MAX`] lines.
pub fn long_files() -> Result<Vec<(String, usize)>> {
    let files = tracked_texts()?;
    let rust = files.into_iter().filter(|(path, _)| path.ends_with(".rs"));
    Ok(rust.map(|(path, text)| (path, text.lines().count())).filter(|(_, lines)| *lines > LINES_MAX).collect())
}

/// Path (from the root, with `/`) and content of every tracked file that is text.
fn tracked_texts() -> Result<Vec<(String, String)>> {
    let list = Cmd::new("git").args(["ls-files", "-z", "--cached"]).output()?;
    let mut texts = Vec::new();
    for path in list.split('\0').filter(|path| !path.is_empty()) {
        let bytes = match fs::read(workspace::root().join(path)) {
            Ok(bytes) => bytes,
            // Deleted, and not yet committed.
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => continue,
            Err(err) => return Err(err).doing(format!("read {path}")),
        };
        if let Ok(text) = String::from_utf8(bytes) {
            texts.push((path.to_owned(), text));
        }
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// Who may use whom inside the workspace. A member that is missing here is a violation.
    const MAY_USE: [(&str, &[&str]); 15] = [
        ("mycomesh-core", &[]),
        ("mycomesh-engram", &[]),
        ("mycomesh-webrtc", &[]),
        ("mycomesh-websocket", &[]),
        ("mycomesh-net", &["mycomesh-core", "mycomesh-engram", "mycomesh-webrtc", "mycomesh-websocket"]),
        ("mycomesh-sim", &["mycomesh-core"]),
        ("mycomesh-wasm", &["mycomesh-core", "mycomesh-engram", "mycomesh-net"]),
        ("mycomesh-relay", &["mycomesh-core", "mycomesh-engram", "mycomesh-net"]),
        ("mycomesh-web", &["mycomesh-core", "mycomesh-engram", "mycomesh-net", "mycomesh-sim"]),
        ("mycomesh-tests", &["mycomesh-core", "mycomesh-engram", "mycomesh-net", "mycomesh-sim"]),
        ("mycomesh-gossip", &["mycomesh-core", "mycomesh-net", "mycomesh-sim"]),
        ("mycomesh-lab", &["mycomesh-core", "mycomesh-webrtc", "mycomesh-websocket"]),
        ("mycomesh-link", &[]),
        ("mycomesh-fuzz", &["mycomesh-core", "mycomesh-relay", "mycomesh-webrtc"]),
        ("xtask", &[]),
    ];

    /// Crates that decide and never act.
    const PURE: [&str; 3] = ["mycomesh-core", "mycomesh-engram", "mycomesh-sim"];

    /// What acts: networks, clocks, entropy, disks, browsers. A `*` stands for any ending.
    const EFFECTS: [&str; 20] = [
        "libp2p*",
        "tokio*",
        "futures-timer",
        "async-std",
        "smol",
        "web-sys",
        "js-sys",
        "wasm-bindgen*",
        "gloo*",
        "web-time",
        "getrandom*",
        "rand",
        "idb",
        "redb",
        "axum*",
        "reqwest",
        "hyper*",
        "rustls*",
        "quinn*",
        "socket2",
    ];

    /// Of libp2p these are only types.
    const NO_EFFECTS: [&str; 1] = ["libp2p-identity"];

    #[test]
    fn dependencies_point_one_way() {
        let metadata = workspace::metadata().expect("cargo metadata");
        let mut violations = check_dependencies(&metadata);
        violations.extend(check_planted_bugs(&metadata));
        assert!(violations.is_empty(), "{}", violations.join("\n"));
    }

    #[test]
    fn tracked_files_keep_the_rules() {
        let mut violations = Vec::new();
        for (path, text) in tracked_texts().expect("a git checkout") {
            violations.extend(check_target_cfg(&path, &text));
            violations.extend(check_module_doc(&path, &text));
            violations.extend(check_places(&path, &text));
            violations.extend(check_lock_file(&path, &text));
        }
        assert!(violations.is_empty(), "{}", violations.join("\n"));
    }

    fn check_dependencies(metadata: &Value) -> Vec<String> {
        let mut violations = Vec::new();
        for package in metadata["packages"].as_array().into_iter().flatten() {
            let name = package["name"].as_str().unwrap_or_default();
            let Some((_, may_use)) = MAY_USE.iter().find(|(member, _)| *member == name) else {
                violations.push(format!("{name}: say in crates/xtask/src/tidy.rs which members it may use"));
                continue;
            };
            for dependency in package["dependencies"].as_array().into_iter().flatten() {
                let used = dependency["name"].as_str().unwrap_or_default();
                let is_member = MAY_USE.iter().any(|(member, _)| *member == used);
                if is_member && !may_use.contains(&used) {
                    violations.push(format!("{name} must not depend on {used}: dependencies point one way"));
                }
                // Its tests may act.
                let in_product = dependency["kind"].as_str() != Some("dev");
                if in_product && PURE.contains(&name) && has_effects(used) {
                    violations.push(format!("{name} must not depend on {used}: it decides and never acts"));
                }
            }
        }
        violations
    }

    /// Bugs are built in only where somebody asks for them by name: no dependency and no other feature brings them.
    fn check_planted_bugs(metadata: &Value) -> Vec<String> {
        let names = |list: &Value| list.as_array().into_iter().flatten().any(is_planted);
        let mut violations = Vec::new();
        for package in metadata["packages"].as_array().into_iter().flatten() {
            let name = package["name"].as_str().unwrap_or_default();
            let dependencies = package["dependencies"].as_array().into_iter().flatten();
            if dependencies.into_iter().any(|dependency| names(&dependency["features"])) {
                violations.push(format!("{name} depends on a member with `planted`: that builds bugs in"));
            }
            let features = package["features"].as_object().into_iter().flatten();
            for (feature, _) in features.filter(|(feature, brings)| *feature != "planted" && names(brings)) {
                violations.push(format!("the feature {feature} of {name} brings `planted`: that builds bugs in"));
            }
        }
        violations
    }

    fn is_planted(feature: &Value) -> bool {
        feature.as_str().is_some_and(|feature| feature.rsplit('/').next() == Some("planted"))
    }

    fn has_effects(used: &str) -> bool {
        let matches = |pattern: &&str| match pattern.strip_suffix('*') {
            Some(start) => used.starts_with(start),
            None => used == *pattern,
        };
        EFFECTS.iter().any(matches) && !NO_EFFECTS.contains(&used)
    }

    /// `cfg` on the target stands where twins of one function live, and nowhere else. A test for the browser is gated
    /// as a whole file, and so is the web app's main.
    fn check_target_cfg(path: &str, text: &str) -> Vec<String> {
        let needle = concat!("target_", "arch");
        let is_allowed = !path.ends_with(".rs")
            || path.starts_with("crates/webrtc/")
            || path.starts_with("crates/websocket/")
            || path.starts_with("crates/net/src/platform/")
            || path.starts_with("crates/xtask/")
            || (path.starts_with("crates/") && path.contains("/tests/"))
            || path == "web/src/main.rs";
        if is_allowed {
            return Vec::new();
        }
        lines_with(path, text, needle, "belongs into crates/net/src/platform/, behind one signature for both targets")
    }

    fn check_module_doc(path: &str, text: &str) -> Vec<String> {
        let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        if path.ends_with(".rs") && !first.starts_with("//!") {
            return vec![format!("{path}:1: begin with a `//!` line that says what the file is about")];
        }
        Vec::new()
    }

    /// No file names a folder of somebody's machine, or a host that packages come from there.
    fn check_places(path: &str, text: &str) -> Vec<String> {
        // In two parts, so that this file keeps its own rule.
        let machine = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/Us", "ers/")];
        let registries = [
            concat!("://registry.", "npmjs"),
            concat!("://registry.", "yarnpkg"),
            concat!("://index.", "crates.io"),
            concat!("://static.", "crates.io"),
            concat!("://pypi.", "org/simple"),
            concat!("://deb.", "debian.org"),
        ];
        let mut violations = Vec::new();
        for needle in machine {
            violations.extend(lines_with(path, text, needle, "is a folder of one machine"));
        }
        for needle in registries {
            violations.extend(lines_with(
                path,
                text,
                needle,
                "is a registry's host, which each machine sets for itself",
            ));
        }
        violations
    }

    /// Lock files leave the registry to the machine: crates come from crates.io, npm packages from wherever npm looks.
    fn check_lock_file(path: &str, text: &str) -> Vec<String> {
        let is_foreign = |line: &str| match path.rsplit('/').next() {
            Some("package-lock.json") => line.contains("\"resolved\": \"http") || line.contains("\"resolved\": \"git"),
            Some("Cargo.lock") => {
                line.starts_with("source = ") && !line.contains("registry+https://github.com/rust-lang/crates.io-index")
            }
            _ => false,
        };
        let lines = text.lines().enumerate().filter(|(_, line)| is_foreign(line));
        lines
            .map(|(index, line)| format!("{path}:{}: {} is no plain registry package", index + 1, line.trim()))
            .collect()
    }

    fn lines_with(path: &str, text: &str, needle: &str, why: &str) -> Vec<String> {
        let lines = text.lines().enumerate().filter(|(_, line)| line.contains(needle));
        lines.map(|(index, _)| format!("{path}:{}: `{needle}` {why}", index + 1)).collect()
    }

    fn package(name: &str, dependency: Value) -> Value {
        json!({ "packages": [{ "name": name, "dependencies": [dependency] }] })
    }

    #[test]
    fn a_dependency_in_the_wrong_direction_is_found() {
        let check = |name: &str, dependency: Value, expect: usize| {
            let violations = check_dependencies(&package(name, dependency.clone()));
            assert_eq!(violations.len(), expect, "{name} on {dependency}: {violations:?}");
        };
        check("mycomesh-net", json!({ "name": "mycomesh-core", "kind": null }), 0);
        check("mycomesh-core", json!({ "name": "mycomesh-net", "kind": null }), 1);
        check("mycomesh-core", json!({ "name": "mycomesh-net", "kind": "dev" }), 1);
        check("mycomesh-web", json!({ "name": "mycomesh-relay", "kind": null }), 1);
        check("mycomesh-new", json!({ "name": "serde", "kind": null }), 1);
    }

    #[test]
    fn an_effect_in_a_pure_crate_is_found() {
        let check = |name: &str, used: &str, kind: Option<&str>, expect: usize| {
            let violations = check_dependencies(&package(name, json!({ "name": used, "kind": kind })));
            assert_eq!(violations.len(), expect, "{name} on {used}: {violations:?}");
        };
        check("mycomesh-core", "libp2p-identity", None, 0);
        check("mycomesh-core", "multiaddr", None, 0);
        check("mycomesh-core", "libp2p", None, 1);
        check("mycomesh-core", "libp2p-swarm", None, 1);
        check("mycomesh-core", "web-sys", None, 1);
        check("mycomesh-core", "getrandom", Some("build"), 1);
        check("mycomesh-core", "tokio", None, 1);
        check("mycomesh-core", "tokio", Some("dev"), 0);
        check("mycomesh-net", "tokio", None, 0);
    }

    #[test]
    fn planted_bugs_that_come_along_are_found() {
        let dependency = json!({ "name": "mycomesh-core", "features": ["planted"] });
        assert_eq!(check_planted_bugs(&package("mycomesh-relay", dependency)).len(), 1);
        let features = |features: Value| json!({ "packages": [{ "name": "mycomesh-sim", "features": features }] });
        assert_eq!(check_planted_bugs(&features(json!({ "default": ["planted"] }))).len(), 1);
        assert_eq!(check_planted_bugs(&features(json!({ "cli": ["mycomesh-core/planted"] }))).len(), 1);
        assert!(check_planted_bugs(&features(json!({ "planted": ["mycomesh-core/planted"] }))).is_empty());
    }

    #[test]
    fn a_target_cfg_outside_the_platform_folder_is_found() {
        let text = concat!("\n#[cfg(target_", "arch = \"wasm32\")]\n");
        let check = |path: &str, expect: usize| assert_eq!(check_target_cfg(path, text).len(), expect, "{path}");
        check("crates/net/src/driver.rs", 1);
        check("crates/core/src/node.rs", 1);
        check("relay/src/main.rs", 1);
        check("web/src/app.rs", 1);
        check("crates/net/src/platform/mod.rs", 0);
        check("crates/net/tests/browser.rs", 0);
        check("crates/net/Cargo.toml", 0);
        check("web/src/main.rs", 0);
    }

    #[test]
    fn a_file_without_a_module_doc_is_found() {
        assert_eq!(check_module_doc("a.rs", "use std::fs;\n").len(), 1);
        assert_eq!(check_module_doc("a.rs", "").len(), 1);
        assert_eq!(check_module_doc("a.rs", "\n//! About a.\n").len(), 0);
        assert_eq!(check_module_doc("a.css", "p {}").len(), 0);
    }

    #[test]
    fn a_machines_folder_and_a_registrys_host_are_found() {
        let check = |text: &str, expect: usize| assert_eq!(check_places("a.md", text).len(), expect, "{text}");
        check(concat!("see /wo", "rk/shared"), 1);
        check(concat!("cp x /ro", "ot/.cargo"), 1);
        check(concat!("https://registry.", "npmjs.org/x"), 1);
        check("network/core and https://example.org/", 0);
    }

    #[test]
    fn a_lock_file_that_names_a_host_is_found() {
        let npm = "\"resolved\": \"https://example.org/a.tgz\",\n";
        assert_eq!(check_lock_file("tests/browser/package-lock.json", npm).len(), 1);
        assert_eq!(check_lock_file("README.md", npm).len(), 0);
        let ours = "source = \"registry+https://github.com/rust-lang/crates.io-index\"\n";
        assert_eq!(check_lock_file("Cargo.lock", ours).len(), 0);
        assert_eq!(check_lock_file("Cargo.lock", "source = \"git+https://example.org/a\"\n").len(), 1);
    }
}
