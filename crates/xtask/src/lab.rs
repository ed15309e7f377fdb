//! Builds the lab: the page with which browser tests and benches drive the browser's transports (`tests/lab`).
//!
//! cargo compiles it, with the web app's profile, so that most crates are compiled once for both and figures tell of what
//! people download; wasm-bindgen makes it callable from JavaScript. The result stays in the target folder, and only cargo
//! runs while nothing has changed.

use crate::fail::{Doing, Result};
use crate::run::{Cmd, say};
use crate::{tools, webapp, workspace};
use sha2::{Digest as _, Sha256};
use std::fs;
use std::path::PathBuf;

/// The crate's name as its file has it.
const LIBRARY: &str = "mycomesh_lab";

/// Builds it and gives the folder with its JavaScript and WebAssembly.
pub fn build() -> Result<PathBuf> {
    tools::wasm_target()?;
    tools::wasm_bindgen()?;
    Cmd::new("cargo")
        .args(["build", "--target=wasm32-unknown-unknown", "-p", "mycomesh-lab", "--profile", webapp::PROFILE])
        .run()?;
    let target = workspace::target()?;
    let wasm = target.join("wasm32-unknown-unknown").join(webapp::PROFILE).join(format!("{LIBRARY}.wasm"));
    let out = target.join("lab");
    let stamp = out.join("made-from");
    let fingerprint = fingerprint(&fs::read(&wasm).doing(format!("read {}", workspace::shown(&wasm)))?);
    if fs::read_to_string(&stamp).is_ok_and(|made| made == fingerprint) {
        say("the lab is up to date");
        return Ok(out);
    }
    // What is in there belongs to another build, or to one that was interrupted.
    let _ = fs::remove_dir_all(&out);
    Cmd::new("wasm-bindgen").args(["--target", "web", "--no-typescript", "--out-dir"]).arg(&out).arg(&wasm).run()?;
    fs::write(&stamp, fingerprint).doing(format!("write {}", workspace::shown(&stamp)))?;
    Ok(out)
}

/// A name for what the lab is made from: the compiled crate, and this recipe.
fn fingerprint(wasm: &[u8]) -> String {
    let mut hash = Sha256::new();
    hash.update(include_bytes!("lab.rs"));
    hash.update(tools::WASM_BINDGEN);
    hash.update(wasm);
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_build_has_another_fingerprint() {
        assert_eq!(fingerprint(b"one"), fingerprint(b"one"));
        assert_ne!(fingerprint(b"one"), fingerprint(b"two"));
    }
}
