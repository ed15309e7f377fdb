//! Makes sure the tools are there, and installs what is missing, saying what and why.
//!
//! Cargo's and npm's tools go into a cache outside the checkout, so that every clone shares them. Each version is
//! pinned: wasm-bindgen's must equal the library's in `Cargo.lock`.

use crate::fail::{Doing, Fail, Result, fail};
use crate::run::{Cmd, say};
use crate::workspace;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// 0.22 needs a newer Rust than ours.
const TRUNK: &str = "0.21.14";
/// libp2p-swarm 0.48 pins wasm-bindgen-futures, and that pins this.
pub const WASM_BINDGEN: &str = "0.2.108";
/// The oldest Node that runs Playwright 1.65.
const NODE_MAJOR_MIN: u32 = 20;

const NPM_TOOLS: [(&str, &str); 3] = [
    ("package.json", include_str!("../npm/package.json")),
    ("package-lock.json", include_str!("../npm/package-lock.json")),
    (".npmrc", include_str!("../npm/npmrc")),
];

/// Where tools are kept between runs; `None` without a home folder.
pub fn cache() -> Option<PathBuf> {
    match env::var_os("MYCOMESH_TOOLS") {
        Some(dir) => Some(PathBuf::from(dir)),
        None => env::home_dir().map(|home| home.join(".cache/mycomesh/tools")),
    }
}

/// Everything that turns the `web` crate into a folder of files.
pub fn for_web_app() -> Result<()> {
    wasm_target()?;
    cargo_tool("trunk", TRUNK, "trunk", true, "it bundles the web app")?;
    wasm_bindgen()
}

/// `wasm-bindgen` and `wasm-bindgen-test-runner`.
pub fn wasm_bindgen() -> Result<()> {
    // Its lock file is older than this toolchain likes.
    cargo_tool("wasm-bindgen", WASM_BINDGEN, "wasm-bindgen-cli", false, "it makes WebAssembly callable from JavaScript")
}

/// The standard library for WebAssembly.
pub fn wasm_target() -> Result<()> {
    let libdir = Cmd::new("rustc").args(["--print", "target-libdir", "--target", "wasm32-unknown-unknown"]).output()?;
    if Path::new(libdir.trim()).is_dir() {
        return Ok(());
    }
    say("installing the Rust target wasm32-unknown-unknown: the web app is compiled for it");
    Cmd::new("rustup").args(["target", "add", "wasm32-unknown-unknown"]).run()
}

/// rustfmt and clippy.
pub fn rust_component(name: &str, cargo_command: &str, why: &str) -> Result<()> {
    if Cmd::new("cargo").args([cargo_command, "--version"]).output().is_ok() {
        return Ok(());
    }
    say(&format!("installing the Rust component {name}: {why}"));
    Cmd::new("rustup").args(["component", "add", name]).run()
}

/// Binaryen's `wasm-opt`, from npm: Debian's is too old.
pub fn wasm_opt() -> Result<PathBuf> {
    node()?;
    let dir = cache_dir()?.join("npm");
    let bin = dir.join("node_modules/.bin/wasm-opt");
    if !npm_is_current(&dir, NPM_TOOLS[1].1) {
        say("installing Binaryen from npm: its wasm-opt shrinks the web app");
        fs::create_dir_all(&dir).doing(format!("create {}", dir.display()))?;
        for (name, content) in NPM_TOOLS {
            fs::write(dir.join(name), content).doing(format!("write {name} into {}", dir.display()))?;
        }
        npm_ci(&dir, NPM_TOOLS[1].1)?;
    }
    Ok(bin)
}

/// The npm packages of the browser tests, as their lock file names them.
pub fn browser_test_packages() -> Result<()> {
    node()?;
    let dir = workspace::browser_tests();
    let lock = dir.join("package-lock.json");
    let wanted = fs::read_to_string(&lock).doing(format!("read {}", workspace::shown(&lock)))?;
    if npm_is_current(&dir, &wanted) {
        return Ok(());
    }
    say("installing the npm packages of tests/browser: Playwright, js-libp2p and what benches compare with");
    npm_ci(&dir, &wanted)
}

/// The browser that tests drive.
pub fn chromium() -> Result<PathBuf> {
    debian_program(
        "CHROMIUM",
        &["chromium", "chromium-browser", "google-chrome"],
        "chromium",
        "browser tests run in it",
    )
}

/// The program through which wasm-bindgen's test runner drives Chromium.
pub fn chromedriver() -> Result<PathBuf> {
    debian_program("CHROMEDRIVER", &["chromedriver"], "chromium-driver", "WebAssembly tests reach Chromium through it")
}

/// A tool of crates.io counts as present when its `--version` says the wanted one, in the cache or on the `PATH`.
fn cargo_tool(program: &str, version: &str, package: &str, locked: bool, why: &str) -> Result<()> {
    let found = Cmd::new(program).arg("--version").output();
    if found.is_ok_and(|text| says_version(&text, version)) {
        return Ok(());
    }
    let cache = cache_dir()?;
    let build = cache.join("build");
    say(&format!("installing {package} {version} into {}: {why} (some minutes, once)", cache.display()));
    fs::create_dir_all(&cache).doing(format!("create {}", cache.display()))?;
    let exact = format!("={version}");
    let installed = Cmd::new("cargo")
        .args(["install", package, "--version", &exact])
        .args(locked.then_some("--locked"))
        .arg("--root")
        .arg(&cache)
        // Not in the checkout: its Cargo configuration is not meant for other people's crates.
        .dir(&cache)
        .env("CARGO_TARGET_DIR", &build)
        .run();
    // The compiled parts are many times the size of the tool, and nothing needs them again.
    let _ = fs::remove_dir_all(&build);
    installed
}

/// A program that Debian's packages bring; `variable` names another one.
fn debian_program(variable: &str, names: &[&str], package: &str, why: &str) -> Result<PathBuf> {
    if let Some(path) = env::var_os(variable).map(PathBuf::from) {
        return if path.is_file() { Ok(path) } else { Err(fail!("{variable}={} is no file", path.display())) };
    }
    if let Some(found) = find_on_path(names) {
        return Ok(found);
    }
    let is_root = cfg!(unix) && Cmd::new("id").arg("-u").output().is_ok_and(|uid| uid.trim() == "0");
    if !(is_root && Path::new("/etc/debian_version").exists()) {
        return Err(fail!(
            "{package} is missing ({why}): `sudo apt-get install {package}` on Debian, or set {variable}"
        ));
    }
    say(&format!("installing the Debian package {package}: {why}"));
    Cmd::new("apt-get").arg("update").run()?;
    Cmd::new("apt-get").args(["install", "-y", package]).env("DEBIAN_FRONTEND", "noninteractive").run()?;
    find_on_path(names).ok_or(fail!("Debian's {package} brought no {}; set {variable}", names[0]))
}

fn find_on_path(names: &[&str]) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let dirs: Vec<PathBuf> = env::split_paths(&path).collect();
    names.iter().flat_map(|name| dirs.iter().map(move |dir| dir.join(name))).find(|file| file.is_file())
}

fn node() -> Result<()> {
    let advice =
        format!("Node {NODE_MAJOR_MIN} or newer is needed, with npm: see nodejs.org, or your system's packages");
    let version = Cmd::new("node").arg("--version").output().map_err(|_| fail!("{advice}"))?;
    let major = version.trim().trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    match major {
        Some(major) if major >= NODE_MAJOR_MIN => Ok(()),
        _ => Err(fail!("{advice} (found {})", version.trim())),
    }
}

/// The lock file that `npm ci` last installed here, kept beside what it installed.
const INSTALLED_LOCK: &str = "node_modules/.installed-package-lock.json";

fn npm_is_current(dir: &Path, lock: &str) -> bool {
    fs::read_to_string(dir.join(INSTALLED_LOCK)).is_ok_and(|installed| installed == lock)
}

fn npm_ci(dir: &Path, lock: &str) -> Result<()> {
    Cmd::new("npm").args(["ci", "--no-audit", "--no-fund", "--loglevel=error"]).dir(dir).run()?;
    let mark = dir.join(INSTALLED_LOCK);
    fs::write(&mark, lock).doing(format!("write {}", mark.display()))
}

fn cache_dir() -> Result<PathBuf> {
    cache().ok_or(fail!("there is no home folder to keep tools in; set MYCOMESH_TOOLS to a folder"))
}

/// `text` is what `--version` printed: a name, then the version, then perhaps more.
fn says_version(text: &str, version: &str) -> bool {
    text.split_whitespace().any(|word| word == version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_version_counts() {
        assert!(says_version("trunk 0.21.14\n", "0.21.14"));
        assert!(says_version("wasm-bindgen 0.2.108 (abc)\n", "0.2.108"));
        assert!(!says_version("wasm-bindgen 0.2.1080\n", "0.2.108"));
        assert!(!says_version("trunk 0.21.1\n", "0.21.14"));
    }

    #[test]
    fn the_tools_wasm_bindgen_is_the_librarys() {
        let lock = fs::read_to_string(workspace::root().join("Cargo.lock")).expect("Cargo.lock is committed");
        let entry = format!("name = \"wasm-bindgen\"\nversion = \"{WASM_BINDGEN}\"\n");
        assert!(lock.contains(&entry), "Cargo.lock holds another wasm-bindgen than tools.rs and Trunk.toml");
    }
}
