//! Counts tests from what their runners print, so that the totals are real.

use crate::fail::{Doing, Result};
use serde_json::Value;
use std::fmt;
use std::ops::AddAssign;

/// How many tests passed, failed, were skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub passed: u64,
    pub failed: u64,
    pub skipped: u64,
}

impl Tally {
    /// Sums the `test result:` lines that libtest and wasm-bindgen-test print, one for each test binary.
    pub fn of_cargo_test(stdout: &str) -> Tally {
        let mut total = Tally::default();
        for line in stdout.lines() {
            let Some((_, counts)) = line.split_once("test result: ") else { continue };
            let count = |what: &str| {
                let words: Vec<&str> = counts.split([' ', ';', '.', ',']).filter(|word| !word.is_empty()).collect();
                let at = words.iter().position(|word| *word == what)?;
                words.get(at.checked_sub(1)?)?.parse::<u64>().ok()
            };
            total += Tally {
                passed: count("passed").unwrap_or(0),
                failed: count("failed").unwrap_or(0),
                skipped: count("ignored").unwrap_or(0),
            };
        }
        total
    }

    /// Reads the totals of a simulator's sweep: `32 seeds of chaos with 32 nodes: 31 passed, 1 violated; …`.
    pub fn of_sweep(stdout: &str) -> Tally {
        let mut totals = stdout.lines().filter_map(|line| line.split_once(" nodes: ")?.1.split_once(" passed, "));
        let last = totals.next_back().and_then(|(passed, rest)| {
            Some(Tally {
                passed: passed.parse().ok()?,
                failed: rest.split_once(" violated")?.0.parse().ok()?,
                skipped: 0,
            })
        });
        last.unwrap_or_default()
    }

    /// Reads the `stats` of Playwright's JSON report. A flaky test passed in the end, but not at once: it failed.
    pub fn of_playwright(report: &str) -> Result<Tally> {
        let report: Value = serde_json::from_str(report).doing("read Playwright's report")?;
        let stat = |name: &str| report["stats"][name].as_u64().unwrap_or(0);
        Ok(Tally { passed: stat("expected"), failed: stat("unexpected") + stat("flaky"), skipped: stat("skipped") })
    }

    /// Whether any test ran at all.
    pub fn ran(&self) -> bool {
        self.passed + self.failed > 0
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        if self.skipped > 0 { write!(f, ", {} skipped", self.skipped) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(passed: u64, failed: u64, skipped: u64) -> Tally {
        Tally { passed, failed, skipped }
    }

    #[test]
    fn a_sweep_is_counted_by_its_totals() {
        let stdout = "seed 7: status after 1 ms: 3 nodes: 2 passed, off\n\
            32 seeds of chaos with 32 nodes: 31 passed, 1 violated; 5 events, 4 node inputs, 5 virtual hours\n";
        assert_eq!(Tally::of_sweep(stdout), Tally { passed: 31, failed: 1, skipped: 0 });
        assert!(!Tally::of_sweep("error: there is no such scenario").ran());
    }

    #[test]
    fn results_of_several_test_binaries_add_up() {
        let stdout = "\
running 3 tests
test a ... ok
test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s
test result: FAILED. 4 passed; 2 failed; 1 ignored; 0 measured; 9 filtered out; finished in 1.20s
    test result: ok. 5 passed; 0 failed; 0 ignored; 0 filtered out
";
        assert_eq!(Tally::of_cargo_test(stdout), tally(12, 2, 1));
    }

    #[test]
    fn output_without_a_result_is_no_test() {
        let tally = Tally::of_cargo_test("error: could not compile\nno tests to run!\n");
        assert!(!tally.ran(), "{tally}");
    }

    #[test]
    fn playwright_counts_a_flaky_test_as_failed() {
        let report = r#"{"stats": {"expected": 7, "unexpected": 1, "flaky": 2, "skipped": 3}}"#;
        assert_eq!(Tally::of_playwright(report).expect("valid"), tally(7, 3, 3));
        assert!(Tally::of_playwright("half a rep").is_err());
    }

    #[test]
    fn the_last_line_names_skipped_tests_only_when_there_are_some() {
        assert_eq!(tally(3, 0, 0).to_string(), "3 passed, 0 failed");
        assert_eq!(tally(3, 1, 2).to_string(), "3 passed, 1 failed, 2 skipped");
    }
}
