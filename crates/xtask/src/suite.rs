//! The whole test suite, in parts that also run alone.
//!
//! Every part runs even when an earlier one failed. A part that should run tests and ran none has failed: a suite that
//! silently tests nothing is worse than a red one.

use crate::fail::{Doing, Fail, Result, fail};
use crate::run::{Cmd, lasted, say};
use crate::tally::Tally;
use crate::{fuzz, lab, relay, sim, tidy, tools, webapp, workspace};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

struct Part {
    name: &'static str,
    about: &'static str,
    run: fn(&[String]) -> Result<Outcome>,
}

const PARTS: [Part; 8] = [
    Part { name: "fmt", about: "is all Rust formatted", run: fmt },
    Part { name: "clippy", about: "lints with warnings denied, natively and for WebAssembly", run: clippy },
    Part { name: "unit", about: "unit tests, and the rules of the source tree", run: unit },
    Part { name: "sim", about: "a slice of the simulator's sweeps, every fault at once", run: simulated },
    Part { name: "fuzz", about: "every decoder under hostile bytes, for a bounded number of tries", run: hostile },
    Part { name: "wasm", about: "WebAssembly tests inside Chromium", run: wasm },
    Part { name: "native", about: "end to end with native processes", run: native },
    Part { name: "browser", about: "end to end with the built relay and real browsers", run: browser },
];

/// How a part ended.
enum Outcome {
    /// It checks something and counts no tests.
    Checked {
        ok: bool,
    },
    Tested {
        tally: Tally,
        ok: bool,
    },
}

/// Runs the named parts, or all; `passed_on` goes to the test runner of a single part.
pub fn test(names: &[&str], passed_on: &[String]) -> Result<ExitCode> {
    let parts = chosen(names)?;
    if !passed_on.is_empty() && parts.len() != 1 {
        return Err(fail!("arguments after `--` need exactly one part, as in `cargo xtask test unit -- presence`"));
    }
    let mut rows = Vec::new();
    let mut total = Tally::default();
    let mut all_ok = true;
    for part in parts {
        let started = Instant::now();
        say(&format!("== {}: {}", part.name, part.about));
        let (counted, verdict) = judge((part.run)(passed_on));
        say(&format!("== {}: {verdict}, {}", part.name, lasted(started)));
        all_ok &= counted.failed == 0;
        total += counted;
        rows.push((part.name, counted, verdict, lasted(started)));
    }
    say("summary");
    println!("\n{:<8} {:>6} {:>6} {:>7} {:>8}  result", "part", "passed", "failed", "skipped", "time");
    for (name, counted, verdict, time) in rows {
        let Tally { passed, failed, skipped } = counted;
        println!("{name:<8} {passed:>6} {failed:>6} {skipped:>7} {time:>8}  {verdict}");
    }
    println!("\n{total}");
    Ok(if all_ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn chosen(names: &[&str]) -> Result<Vec<&'static Part>> {
    for name in names {
        if !PARTS.iter().any(|part| part.name == *name) {
            let known: Vec<&str> = PARTS.iter().map(|part| part.name).collect();
            return Err(fail!("there is no test part `{name}`; the parts are {}", known.join(", ")));
        }
    }
    Ok(PARTS.iter().filter(|part| names.is_empty() || names.contains(&part.name)).collect())
}

/// What to count and to say. A part that failed beyond its counted tests counts as one more failure.
fn judge(outcome: Result<Outcome>) -> (Tally, String) {
    let broken = |tally: Tally, why: String| (Tally { failed: tally.failed.max(1), ..tally }, why);
    match outcome {
        Ok(Outcome::Checked { ok: true }) => (Tally::default(), "ok".to_owned()),
        Ok(Outcome::Checked { ok: false }) => broken(Tally::default(), "FAILED".to_owned()),
        Ok(Outcome::Tested { tally, ok: true }) if tally.failed == 0 && tally.ran() => (tally, "ok".to_owned()),
        Ok(Outcome::Tested { tally, .. }) if tally.ran() => broken(tally, "FAILED".to_owned()),
        Ok(Outcome::Tested { tally, .. }) => broken(tally, "FAILED: no test ran".to_owned()),
        Err(err) => broken(Tally::default(), format!("FAILED: {err}")),
    }
}

fn fmt(passed_on: &[String]) -> Result<Outcome> {
    tools::rust_component("rustfmt", "fmt", "the code is formatted by it")?;
    let ok = Cmd::new("cargo").args(["fmt", "--all", "--check"]).args(passed_on).tee()?.success;
    Ok(Outcome::Checked { ok })
}

fn clippy(passed_on: &[String]) -> Result<Outcome> {
    tools::rust_component("clippy", "clippy", "it finds mistakes")?;
    tools::wasm_target()?;
    let native = ["--workspace", "--exclude", "mycomesh-web", "--exclude", "mycomesh-lab", "--all-targets"].as_slice();
    let wasm32 = ["--target", "wasm32-unknown-unknown"];
    let libraries = [
        &wasm32[..],
        &[
            "-p",
            "mycomesh-core",
            "-p",
            "mycomesh-webrtc",
            "-p",
            "mycomesh-websocket",
            "-p",
            "mycomesh-net",
            "--lib",
            "--examples",
        ],
    ]
    .concat();
    let libraries = libraries.as_slice();
    let pages = [&wasm32[..], &["-p", "mycomesh-web", "-p", "mycomesh-lab", "--all-targets"]].concat();
    let pages = pages.as_slice();
    let mut ok = true;
    let planted = ["-p", "mycomesh-sim", "--features", "planted", "--all-targets"].as_slice();
    for selection in [native, planted, libraries, pages] {
        let lint = Cmd::new("cargo").arg("clippy").args(selection).args(["--", "-D", "warnings"]).args(passed_on);
        ok &= lint.tee()?.success;
    }
    Ok(Outcome::Checked { ok })
}

fn unit(passed_on: &[String]) -> Result<Outcome> {
    let mut tested = (Tally::default(), true);
    // The web app's own logic is tested natively, too; its examples are pages. The lab only runs in browsers.
    let code = [
        "--workspace",
        "--exclude",
        "mycomesh-tests",
        "--exclude",
        "mycomesh-lab",
        "--exclude",
        "mycomesh-fuzz",
        "--lib",
        "--bins",
        "--tests",
    ]
    .as_slice();
    let docs = [
        "--workspace",
        "--exclude",
        "mycomesh-fuzz",
        "--exclude",
        "mycomesh-tests",
        "--exclude",
        "mycomesh-web",
        "--exclude",
        "mycomesh-lab",
        "--doc",
    ]
    .as_slice();
    // Bugs that are planted in core, in a build of their own so that nothing else is tested with them; optimised, since
    // it simulates some hours.
    let planted = ["--release", "-p", "mycomesh-sim", "--features", "planted", "--test", "planted"].as_slice();
    for selection in [code, docs, planted] {
        let command = Cmd::new("cargo").args(["test", "--no-fail-fast"]).args(selection);
        let (tally, ok) = cargo_test(command.arg("--").args(passed_on))?;
        tested.0 += tally;
        tested.1 &= ok;
    }
    for (path, lines) in tidy::long_files()? {
        say(&format!("long: {path} has {lines} lines; a file over {} usually has two subjects", tidy::LINES_MAX));
    }
    Ok(Outcome::Tested { tally: tested.0, ok: tested.1 })
}

fn simulated(_: &[String]) -> Result<Outcome> {
    let tally = sim::run()?;
    Ok(Outcome::Tested { tally, ok: tally.failed == 0 })
}

fn hostile(passed_on: &[String]) -> Result<Outcome> {
    let plain = Cmd::new("cargo").args(["test", "-p", "mycomesh-fuzz", "--features", "relay", "--lib", "--"]);
    let (mut tally, ok) = cargo_test(plain.args(passed_on))?;
    // What is passed on chooses among the plain tests.
    if passed_on.is_empty() {
        tally += fuzz::run()?;
    }
    Ok(Outcome::Tested { tally, ok })
}

fn wasm(passed_on: &[String]) -> Result<Outcome> {
    tools::wasm_target()?;
    tools::wasm_bindgen()?;
    let chromium = tools::chromium()?;
    let driver = tools::chromedriver()?;
    let settings = webdriver_settings(&chromium)?;
    let mut total = Tally::default();
    let mut all_ok = true;
    for target in wasm_tests()? {
        let (tally, ok) = cargo_test(
            Cmd::new("cargo")
                .args(["test", "--target", "wasm32-unknown-unknown"])
                .args(target)
                .arg("--")
                .args(passed_on)
                .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER", "wasm-bindgen-test-runner")
                .env("CHROMEDRIVER", &driver)
                .env("WASM_BINDGEN_TEST_WEBDRIVER_JSON", &settings)
                // Seconds. A laden machine starts Chromium slowly; the defaults are 20 and 5.
                .env("WASM_BINDGEN_TEST_TIMEOUT", "120")
                .env("WASM_BINDGEN_TEST_DRIVER_TIMEOUT", "60"),
        )?;
        total += tally;
        // A filter may leave nothing of one binary.
        all_ok &= ok && (tally.ran() || !passed_on.is_empty());
    }
    Ok(Outcome::Tested { tally: total, ok: all_ok })
}

fn native(passed_on: &[String]) -> Result<Outcome> {
    let relay = relay::build()?;
    let command = Cmd::new("cargo").args(["test", "--no-fail-fast", "-p", "mycomesh-tests", "--"]).args(passed_on);
    let (tally, ok) = cargo_test(command.env("RELAY_BIN", relay))?;
    Ok(Outcome::Tested { tally, ok })
}

fn browser(passed_on: &[String]) -> Result<Outcome> {
    let chromium = tools::chromium()?;
    tools::browser_test_packages()?;
    let relay = relay::build()?;
    let lab = lab::build()?;
    // Browsers meet native peers, too.
    Cmd::new("cargo").args(["build", "-p", "mycomesh-tests", "--bins"]).run()?;
    let peer = workspace::target()?.join("debug").join(format!("mycomesh-peer{}", std::env::consts::EXE_SUFFIX));
    let dir = workspace::browser_tests();
    let report = workspace::target()?.join("browser-tests.json");
    // A report of an earlier run must not be counted again.
    let _ = fs::remove_file(&report);
    let teed = Cmd::new(dir.join("node_modules/.bin/playwright"))
        .args(["test", "--reporter=list,json"])
        .args(passed_on)
        .dir(&dir)
        .env("PLAYWRIGHT_JSON_OUTPUT_FILE", &report)
        .env("CHROMIUM", chromium)
        .env("RELAY_BIN", relay)
        .env("PEER_BIN", peer)
        .env("LAB_DIR", lab)
        .tee()?;
    let json = fs::read_to_string(&report).doing("read Playwright's report, which it did not write")?;
    Ok(Outcome::Tested { tally: Tally::of_playwright(&json)?, ok: teed.success })
}

/// Runs `cargo test` and counts; whether it ended well is said beside the count.
fn cargo_test(command: Cmd) -> Result<(Tally, bool)> {
    let teed = command.tee()?;
    Ok((Tally::of_cargo_test(&teed.stdout), teed.success))
}

/// What `cargo test` must be told to run each test binary that is meant for a browser: package and target of every
/// library and every `tests/NAME.rs` that uses `wasm_bindgen_test`.
fn wasm_tests() -> Result<Vec<Vec<String>>> {
    let mut tests = Vec::new();
    for (package, dir) in workspace::members()?.into_iter().filter(|(package, _)| package != "xtask") {
        let is_rust = |path: &PathBuf| path.extension().is_some_and(|ext| ext == "rs");
        let uses_it = |path: &Path| -> Result<bool> {
            let text = fs::read_to_string(path).doing(format!("read {}", workspace::shown(path)))?;
            Ok(text.contains("wasm_bindgen_test"))
        };
        let mut library = false;
        for path in webapp::files_below(&dir.join("src"))?.iter().filter(|path| is_rust(path)) {
            library |= uses_it(path)?;
        }
        if library {
            tests.push(vec!["-p".to_owned(), package.clone(), "--lib".to_owned()]);
        }
        let folder = dir.join("tests");
        for path in webapp::files_below(&folder)?.iter().filter(|path| is_rust(path)) {
            // Files further down are modules of these.
            if path.parent() == Some(&folder) && uses_it(path)? {
                let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                tests.push(vec!["-p".to_owned(), package.clone(), "--test".to_owned(), name]);
            }
        }
    }
    Ok(tests)
}

/// Tells the driver which browser to start, and how.
fn webdriver_settings(chromium: &Path) -> Result<PathBuf> {
    let path = workspace::target()?.join("webdriver.json");
    let settings = serde_json::json!({
        "goog:chromeOptions": {
            "binary": chromium,
            // The page may run as root and without a screen; it must talk to nobody but its peers, and its timers
            // must run although nobody looks at it.
            "args": [
                "headless=new", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run",
                "disable-background-networking", "disable-component-update", "disable-sync",
                "disable-features=WebRtcHideLocalIpsWithMdns", "disable-background-timer-throttling",
                "disable-renderer-backgrounding",
            ],
        },
    });
    fs::write(&path, settings.to_string()).doing(format!("write {}", path.display()))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(outcome: Result<Outcome>) -> (u64, u64, String) {
        let (tally, verdict) = judge(outcome);
        (tally.passed, tally.failed, verdict)
    }

    fn tested(passed: u64, failed: u64, ok: bool) -> Result<Outcome> {
        Ok(Outcome::Tested { tally: Tally { passed, failed, skipped: 0 }, ok })
    }

    #[test]
    fn passed_tests_are_counted_and_checks_are_not_tests() {
        assert_eq!(judged(tested(5, 0, true)), (5, 0, "ok".into()));
        assert_eq!(judged(Ok(Outcome::Checked { ok: true })), (0, 0, "ok".into()));
    }

    #[test]
    fn a_part_without_tests_has_failed() {
        assert_eq!(judged(tested(0, 0, true)), (0, 1, "FAILED: no test ran".into()));
    }

    #[test]
    fn a_runner_that_fails_without_a_failed_test_counts_once() {
        assert_eq!(judged(tested(5, 0, false)), (5, 1, "FAILED".into()));
        assert_eq!(judged(tested(5, 2, false)), (5, 2, "FAILED".into()));
        assert_eq!(judged(Ok(Outcome::Checked { ok: false })), (0, 1, "FAILED".into()));
        assert_eq!(judged(Err(fail!("no browser"))), (0, 1, "FAILED: no browser".into()));
    }

    #[test]
    fn parts_run_in_their_order_and_unknown_ones_are_refused() {
        let names =
            |given: &[&str]| -> Vec<&str> { chosen(given).expect("known").iter().map(|part| part.name).collect() };
        assert_eq!(names(&["browser", "fmt"]), ["fmt", "browser"]);
        assert_eq!(names(&[]).len(), PARTS.len());
        assert!(chosen(&["unit", "units"]).is_err());
    }
}
