//! Where things are: the checkout, the target folder, the tool cache.

use crate::fail::{Doing, Fail, Result, fail};
use crate::run::Cmd;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The folder of the workspace's `Cargo.toml`.
pub fn root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        // As Cargo says at this start. Two clones that share a target folder share this program, too, and what it was
        // compiled with may be the other one's.
        let package = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        Path::new(&package).ancestors().nth(2).expect("crates/xtask lies two folders below the root").into()
    })
}

/// Cargo's target folder, wherever `CARGO_TARGET_DIR` or a configuration puts it.
pub fn target() -> Result<&'static Path> {
    static TARGET: OnceLock<PathBuf> = OnceLock::new();
    if let Some(found) = TARGET.get() {
        return Ok(found);
    }
    let metadata = metadata()?;
    let dir = metadata["target_directory"].as_str().ok_or(fail!("cargo metadata names no target_directory"))?;
    Ok(TARGET.get_or_init(|| PathBuf::from(dir)))
}

/// `cargo metadata` of the workspace's own packages.
pub fn metadata() -> Result<Value> {
    let json = Cmd::new("cargo").args(["metadata", "--no-deps", "--format-version", "1"]).output()?;
    serde_json::from_str(&json).doing("read the output of cargo metadata")
}

/// Name and folder of every package of the workspace.
pub fn members() -> Result<Vec<(String, PathBuf)>> {
    let metadata = metadata()?;
    let packages = metadata["packages"].as_array().ok_or(fail!("cargo metadata names no packages"))?;
    let member = |package: &Value| {
        let dir = Path::new(package["manifest_path"].as_str()?).parent()?;
        Some((package["name"].as_str()?.to_owned(), dir.to_owned()))
    };
    Ok(packages.iter().filter_map(member).collect())
}

/// The relay as `cargo build --release` leaves it.
pub fn relay_binary() -> Result<PathBuf> {
    Ok(target()?.join("release").join(format!("mycomesh-relay{}", std::env::consts::EXE_SUFFIX)))
}

/// The folder of the browser tests and their npm packages.
pub fn browser_tests() -> PathBuf {
    root().join("tests/browser")
}

/// `path` as a person in the checkout would type it.
pub fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}
