//! Every decoder under hostile bytes, for a bounded number of tries: the seeds and their mutations as plain tests, then
//! libFuzzer, which looks for bytes that take new ways through the code.
//!
//! libFuzzer needs no nightly compiler: the passes that instrument are switched on by options that stable Rust has.

use crate::fail::{Doing, Result};
use crate::run::{Cmd, say};
use crate::tally::Tally;
use crate::{webapp, workspace};
use std::fs;
use std::path::PathBuf;

/// Tries of each target. The same ones each time, since the seed is fixed.
const RUNS: u32 = 5_000;
/// Seconds after which a target is done, however many tries it made: a laden machine ends too.
const SECONDS_MAX: u32 = 20;
/// Seconds one try may take before it counts as one that never ends.
const TRY_SECONDS_MAX: u32 = 10;
/// Memory a target may take in MiB.
const MEMORY_MIB_MAX: u32 = 1_024;
/// What libFuzzer must be told of every way taken, and what each target must be told that it runs under it. As `cargo fuzz`
/// does, but without a sanitizer: there is no unsafe code here to look for.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 -Cdebug-assertions";

/// The targets with libFuzzer, each counted as a test; skipped with a clear line where libFuzzer cannot be compiled.
pub fn run() -> Result<Tally> {
    let names = targets()?;
    let mut tally = Tally::default();
    if Cmd::new("c++").arg("--version").output().is_err() {
        say("libFuzzer is skipped: it is compiled by a C++ compiler, and there is no `c++` (Debian: apt install g++)");
        return Ok(Tally { skipped: names.len() as u64, ..tally });
    }
    let host = host()?;
    Cmd::new("cargo")
        .args(["build", "--release", "--target", &host, "-p", "mycomesh-fuzz", "--bins"])
        .env("RUSTFLAGS", FLAGS)
        .run()?;
    let programs = workspace::target()?.join(host).join("release");
    for name in names {
        let findings = folder().join("artifacts").join(&name);
        fs::create_dir_all(&findings).doing(format!("create {}", workspace::shown(&findings)))?;
        let ended = Cmd::new(programs.join(&name))
            .arg(format!("-seed_inputs={}", seeds(&name)?))
            .arg(format!("-artifact_prefix={}/", findings.display()))
            .args(["-seed=1", "-max_len=4096", "-verbosity=0", "-print_funcs=0"])
            .args([format!("-runs={RUNS}"), format!("-max_total_time={SECONDS_MAX}")])
            .args([format!("-timeout={TRY_SECONDS_MAX}"), format!("-rss_limit_mb={MEMORY_MIB_MAX}")])
            .tee()?;
        if ended.success {
            tally.passed += 1;
        } else {
            say(&format!("{name} broke a promise; the bytes are in {}", workspace::shown(&findings)));
            tally.failed += 1;
        }
    }
    Ok(tally)
}

fn folder() -> PathBuf {
    workspace::root().join("fuzz")
}

/// Every target but the one that needs the relay: an operator's own file is no remote input, and all of libp2p would have
/// to be instrumented for it. The plain tests have it.
fn targets() -> Result<Vec<String>> {
    let mut files = webapp::files_below(&folder().join("fuzz_targets"))?;
    files.sort();
    let names = files.iter().filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned()));
    Ok(names.filter(|name| name != "config").collect())
}

/// The files of a target's seeds, as libFuzzer takes them. Named one by one, so that it writes nothing beside them.
fn seeds(name: &str) -> Result<String> {
    let mut files = webapp::files_below(&folder().join("seeds").join(name))?;
    files.sort();
    let paths: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
    Ok(paths.join(","))
}

/// This machine's target. Named to cargo, so that its flags reach no build script and its results lie apart.
fn host() -> Result<String> {
    let version = Cmd::new("rustc").arg("-vV").output()?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_has_a_program_and_seeds() {
        let names = targets().expect("the targets");
        assert!(names.len() > 20 && names.iter().any(|name| name == "signed"), "{names:?}");
        let manifest = fs::read_to_string(folder().join("Cargo.toml")).expect("its manifest");
        for name in names {
            assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} is not in fuzz/Cargo.toml");
            assert!(!seeds(&name).expect("its seeds").is_empty(), "{name} has no seeds");
        }
    }
}
