//! `cargo xtask`: everything a developer runs, in plain Rust.
//!
//! [`tools`] installs what is missing, [`webapp`] builds the page, [`relay`] the binary that carries it, [`lab`] the page
//! that drives transports in browser tests, [`suite`] runs the tests, [`fuzz`] those with libFuzzer, [`bench`] compares with others, [`tidy`] holds the
//! rules of the source tree.

mod bench;
mod csp;
mod fail;
mod fuzz;
mod lab;
mod relay;
mod run;
mod sim;
mod sizes;
mod suite;
mod tally;
mod tidy;
mod tools;
mod webapp;
mod workspace;

use fail::{Fail, Result, fail};
use std::process::ExitCode;

const HELP: &str = "\
cargo xtask COMMAND

  build               the relay with the web app inside: target/release/mycomesh-relay
  up [-- ARG…]        build it and start it on http://127.0.0.1:8080; ARG… go to the relay
  web                 the web app with reload on change, on http://127.0.0.1:8090
  test [PART…] [-- ARG…]
                      the whole test suite, or parts of it: fmt clippy unit fuzz wasm native browser;
                      with one part, ARG… go to its test runner
  bench [NAME…]       compare with others, side by side in one run: size join transport gossip idle; and
                      measure what a mesh stands: mesh; writes target/bench/NAME.json
  help                this text

Missing tools are installed into ~/.cache/mycomesh/tools (MYCOMESH_TOOLS names another folder).
CARGO_TARGET_DIR is respected; CHROMIUM and CHROMEDRIVER name another browser and driver.
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&args) {
        Ok(code) => code,
        Err(err) => {
            eprintln!("xtask: {err}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(args: &[String]) -> Result<ExitCode> {
    let (own, passed_on) = split_at_dashes(args);
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    match own.as_slice() {
        ["build"] => relay::build().map(|_| ()),
        ["up"] => relay::up(passed_on),
        ["web"] => webapp::serve(),
        ["test", parts @ ..] => return suite::test(parts, passed_on),
        ["bench", names @ ..] => bench::bench(names),
        [] | ["help" | "--help" | "-h", ..] => {
            print!("{HELP}");
            Ok(())
        }
        ["build" | "up" | "web", extra, ..] => {
            Err(fail!("`{}` takes no argument `{extra}`; see cargo xtask help", own[0]))
        }
        [unknown, ..] => Err(fail!("there is no command `{unknown}`; see cargo xtask help")),
    }?;
    Ok(ExitCode::SUCCESS)
}

/// What stands before the first `--`, and what after it.
fn split_at_dashes(args: &[String]) -> (&[String], &[String]) {
    match args.iter().position(|arg| arg == "--") {
        Some(at) => (&args[..at], &args[at + 1..]),
        None => (args, &[]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(words: &str) -> Vec<String> {
        words.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn arguments_after_the_dashes_are_passed_on() {
        let args = strings("up -- --http 127.0.0.1:0 -- x");
        let (own, passed_on) = split_at_dashes(&args);
        assert_eq!(own, strings("up"));
        assert_eq!(passed_on, strings("--http 127.0.0.1:0 -- x"));
    }

    #[test]
    fn an_unknown_command_and_a_stray_argument_are_refused() {
        for words in ["npm", "build fast", "up --http 127.0.0.1:1"] {
            let err = dispatch(&strings(words)).expect_err(words);
            assert!(err.to_string().contains("cargo xtask help"), "{err}");
        }
    }
}
