//! Builds the web app into `dist/`, the folder that the relay embeds.
//!
//! cargo compiles the `web` crate, Trunk bundles it, Binaryen shrinks it, [`csp`] writes the policy its server must
//! send, and each larger file gets a brotli copy beside it. The result is kept in the target folder under a fingerprint of everything it was made from; when that has not
//! changed, all but cargo is skipped, and files in `dist/` that are equal are not touched, so that the relay is not
//! compiled again either.

use crate::fail::{Doing, Fail, Result, fail};
use crate::run::{Cmd, say};
use crate::{csp, tools, workspace};
use sha2::{Digest as _, Sha256};
use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};

/// Cargo's profile for the smallest download; index.html tells Trunk the same one.
pub const PROFILE: &str = "web";

/// The program that is the web app; index.html tells Trunk the same one.
const BINARY: &str = "mycomesh-web";

/// First how to optimise: small functions go into their callers, since a browser compiles each one when it is first
/// called. Then what rustc's WebAssembly may use beyond the first version of the standard; wasm-opt must not refuse it.
const WASM_OPT_FLAGS: [&str; 10] = [
    "-O2",
    "--always-inline-max-function-size=10",
    "--flexible-inline-max-function-size=40",
    "--one-caller-inline-max-function-size=200",
    "--enable-bulk-memory",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-multivalue",
    "--enable-sign-ext",
    "--enable-mutable-globals",
];

/// Earlier results that are kept, so that going back to another branch costs nothing.
const KEPT_MAX: usize = 4;

/// The folder the relay embeds.
pub fn dist() -> PathBuf {
    workspace::root().join("dist")
}

/// Brings `dist/` up to date.
pub fn build() -> Result<()> {
    tools::for_web_app()?;
    let wasm_opt = tools::wasm_opt()?;

    compile()?;
    let kept = workspace::target()?.join("webapp");
    let made = kept.join(fingerprint()?);
    if made.is_dir() {
        say("the web app is up to date");
    } else {
        bundle(&kept, &made, &wasm_opt)?;
        forget_old(&kept, &made)?;
    }
    sync(&made, &dist())
}

/// Serves the web app with reload on change. Never returns while all is well.
pub fn serve() -> Result<()> {
    tools::for_web_app()?;
    // Trunk calls cargo with --offline.
    Cmd::new("cargo").arg("fetch").run()?;
    if TcpStream::connect(("127.0.0.1", 8080)).is_err() {
        say("no relay answers on 127.0.0.1:8080, so the page will not find one: run `cargo xtask up` beside this");
    }
    say("open http://127.0.0.1:8090; /.well-known is answered by the relay on 127.0.0.1:8080; Ctrl-C ends it");
    let out = workspace::target()?.join("webapp-dev");
    Err(trunk("serve").arg("--dist").arg(out).become_it())
}

/// Exactly the build that Trunk asks for, so that Trunk finds it done. Here it may still fetch crates.
fn compile() -> Result<()> {
    Cmd::new("cargo")
        .args(["build", "--target=wasm32-unknown-unknown", "--manifest-path", "web/Cargo.toml", "--profile", PROFILE])
        .args(["--bin", BINARY])
        .run()
}

/// A name for everything the bundle is made from.
fn fingerprint() -> Result<String> {
    let wasm = workspace::target()?.join("wasm32-unknown-unknown").join(PROFILE).join(format!("{BINARY}.wasm"));
    let root = workspace::root();
    let mut inputs = vec![wasm, root.join("index.html"), root.join("Trunk.toml")];
    for dir in ["web/assets", "web/style"] {
        inputs.extend(files_below(&root.join(dir))?);
    }
    let mut hash = Sha256::new();
    // This file is the recipe.
    hash.update(include_bytes!("webapp.rs"));
    hash.update(include_bytes!("csp.rs"));
    hash.update(include_bytes!("../js/compress.mjs"));
    for path in inputs {
        let bytes = fs::read(&path).doing(format!("read {}", workspace::shown(&path)))?;
        hash.update(path.file_name().unwrap_or_default().as_encoded_bytes());
        hash.update(Sha256::digest(bytes));
    }
    Ok(hash.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect())
}

fn bundle(kept: &Path, made: &Path, wasm_opt: &Path) -> Result<()> {
    let draft = kept.join("draft");
    // A run that was interrupted may have left one.
    let _ = fs::remove_dir_all(&draft);
    fs::create_dir_all(&draft).doing(format!("create {}", draft.display()))?;

    trunk("build").args(["--release", "--dist"]).arg(&draft).run()?;
    for wasm in files_below(&draft)?.iter().filter(|path| path.extension().is_some_and(|ext| ext == "wasm")) {
        shrink(wasm, wasm_opt)?;
    }
    let page = draft.join("index.html");
    let html = fs::read_to_string(&page).doing(format!("read {}", page.display()))?;
    let html = start_at_once(&html)?;
    fs::write(&page, &html).doing(format!("write {}", page.display()))?;
    let policy = draft.join("csp.txt");
    fs::write(&policy, format!("{}\n", csp::policy(&html)?)).doing(format!("write {}", policy.display()))?;
    say("compressing the files for download");
    Cmd::new("node").arg("crates/xtask/js/compress.mjs").arg(&draft).run()?;
    fs::rename(&draft, made).doing(format!("name the finished web app {}", made.display()))
}

fn trunk(command: &str) -> Cmd {
    // Trunk looks for a newer Trunk unless told not to.
    Cmd::new("trunk").arg(command).arg("--offline").env("TRUNK_SKIP_VERSION_CHECK", "true").env("NO_COLOR", "true")
}

/// Makes the app start as soon as it can. As Trunk writes the page, the browser only fetches the WebAssembly ahead,
/// and Trunk's script, which has it compiled, waits for the style sheet besides. Here compiling begins with the first
/// bytes, and the script waits for nothing: the app needs the style sheet no sooner than its first drawing.
fn start_at_once(html: &str) -> Result<String> {
    const PLACE: &str = "<script>";
    const DEFERRED: &str = "<script type=\"module\">";
    const ASYNC: &str = "<script type=\"module\" async>";
    let unknown = || fail!("Trunk wrote index.html in a way that is not known here: its script or preload is missing");
    let (_, from_wasm) = html.split_once("module_or_path: '").ok_or_else(unknown)?;
    let (wasm, _) = from_wasm.split_once('\'').ok_or_else(unknown)?;
    let (before, preload) = html.split_once(&format!("<link rel=\"preload\" href=\"{wasm}\"")).ok_or_else(unknown)?;
    let (_, after) = preload.split_once('>').ok_or_else(unknown)?;
    let html = format!("{before}{after}");
    if html.matches(DEFERRED).count() != 1 || !html.contains(PLACE) {
        return Err(unknown());
    }
    // Should the server send it under another type, wasm-bindgen's script knows what to do with the answer.
    let early = format!(
        "<script>mycomesh_wasm = WebAssembly.compileStreaming(fetch('{wasm}')).catch(() => fetch('{wasm}'))</script>"
    );
    let html = html.replacen(PLACE, &format!("{early}\n    {PLACE}"), 1);
    Ok(html.replace(DEFERRED, ASYNC).replace(&format!("module_or_path: '{wasm}'"), "module_or_path: mycomesh_wasm"))
}

fn shrink(wasm: &Path, wasm_opt: &Path) -> Result<()> {
    let before = size(wasm)?;
    let small = wasm.with_extension("small");
    Cmd::new(wasm_opt).args(WASM_OPT_FLAGS).arg(wasm).arg("-o").arg(&small).run()?;
    fs::rename(&small, wasm).doing(format!("replace {}", wasm.display()))?;
    say(&format!("wasm-opt: {} KiB became {} KiB", before / 1024, size(wasm)? / 1024));
    Ok(())
}

fn size(path: &Path) -> Result<u64> {
    Ok(fs::metadata(path).doing(format!("read the size of {}", path.display()))?.len())
}

/// Makes `to` hold the files of `from`, writing only what differs.
fn sync(from: &Path, to: &Path) -> Result<()> {
    let wanted = relative_files(from)?;
    for name in &wanted {
        let target = to.join(name);
        let bytes = fs::read(from.join(name)).doing(format!("read {}", name.display()))?;
        if fs::read(&target).is_ok_and(|old| old == bytes) {
            continue;
        }
        let parent = target.parent().unwrap_or(to);
        fs::create_dir_all(parent).doing(format!("create {}", workspace::shown(parent)))?;
        fs::write(&target, bytes).doing(format!("write {}", workspace::shown(&target)))?;
    }
    for name in relative_files(to)?.iter().filter(|name| !wanted.contains(name)) {
        fs::remove_file(to.join(name)).doing(format!("remove the outdated {}", name.display()))?;
    }
    Ok(())
}

fn forget_old(kept: &Path, newest: &Path) -> Result<()> {
    let entries = fs::read_dir(kept).doing(format!("list {}", kept.display()))?;
    let mut old: Vec<_> = entries
        .flatten()
        .filter(|entry| entry.path() != newest)
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    old.sort();
    let surplus = old.len().saturating_sub(KEPT_MAX - 1);
    for (_, path) in old.into_iter().take(surplus) {
        // It only costs space.
        let _ = fs::remove_dir_all(path);
    }
    Ok(())
}

fn relative_files(dir: &Path) -> Result<Vec<PathBuf>> {
    let files = files_below(dir)?;
    Ok(files.iter().filter_map(|path| path.strip_prefix(dir).ok()).map(Path::to_owned).collect())
}

/// All files in a folder and the folders below it, in a stable order. A folder that is not there is empty.
pub fn files_below(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => continue,
            Err(err) => return Err(fail!("cannot list {}: {err}", dir.display())),
        };
        for entry in entries.flatten() {
            let path = entry.path();
            if path.is_dir() { dirs.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str, files: &[(&str, &str)]) -> Folder {
            let dir = std::env::temp_dir().join(format!("xtask-{}-{name}", std::process::id()));
            for (file, text) in files {
                let path = dir.join(file);
                fs::create_dir_all(path.parent().expect("it is below dir")).expect("create");
                fs::write(path, text).expect("write");
            }
            Folder(dir)
        }

        fn texts(&self) -> Vec<(String, String)> {
            let files = relative_files(&self.0).expect("list");
            files
                .iter()
                .map(|file| (file.display().to_string(), fs::read_to_string(self.0.join(file)).expect("read")))
                .collect()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn sync_adds_replaces_and_removes() {
        let from = Folder::new("from", &[("a.js", "new"), ("sub/b.css", "b")]);
        let to = Folder::new("to", &[("a.js", "old"), ("stale.wasm", "x")]);
        sync(&from.0, &to.0).expect("sync");
        assert_eq!(to.texts(), from.texts());
    }

    #[test]
    fn sync_does_not_touch_what_is_equal() {
        let from = Folder::new("same-from", &[("a.js", "same")]);
        let to = Folder::new("same-to", &[("a.js", "same")]);
        let written = || fs::metadata(to.0.join("a.js")).and_then(|meta| meta.modified()).expect("it is there");
        let before = written();
        sync(&from.0, &to.0).expect("sync");
        assert_eq!(written(), before);
    }

    #[test]
    fn the_app_is_compiled_as_it_arrives_and_its_script_waits_for_nothing() {
        let trunks = "<head><script>ask()</script><script type=\"module\">init({ module_or_path: '/a.wasm' })</script>\
            <link rel=\"preload\" href=\"/a.wasm\" as=\"fetch\"></head>";
        let ours = "<head><script>mycomesh_wasm = WebAssembly.compileStreaming(fetch('/a.wasm'))\
            .catch(() => fetch('/a.wasm'))</script>\n    <script>ask()</script>\
            <script type=\"module\" async>init({ module_or_path: mycomesh_wasm })</script></head>";
        assert_eq!(start_at_once(trunks).expect("as Trunk writes it"), ours);
        for missing in ["<script type=\"module\">", "module_or_path", "<link", "<script>ask"] {
            assert!(start_at_once(&trunks.replace(missing, "")).is_err(), "{missing}");
        }
    }

    #[test]
    fn trunk_uses_the_same_binary_profile_and_wasm_bindgen() {
        let read = |name| fs::read_to_string(workspace::root().join(name)).expect(name);
        assert!(
            read("index.html").contains(&format!("data-bin=\"{BINARY}\" data-cargo-profile-release=\"{PROFILE}\""))
        );
        assert!(read("Trunk.toml").contains(&format!("wasm_bindgen = \"{}\"", tools::WASM_BINDGEN)));
    }
}
