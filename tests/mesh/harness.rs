//! Runs tests one after the other and reports in the words of libtest, whose own harness cannot skip at run time.

use std::{
    env,
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
    time::Instant,
};

use tokio::runtime::{Builder, Runtime};

/// A test: its name, and what it does.
pub type Test = (&'static str, fn(&Runtime));

/// Run the tests that the command line names, or all; none of them where something is `missing`.
pub fn run(tests: &[Test], missing: impl Fn() -> Option<String>) -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let chosen = chosen(tests, &args);
    if args.iter().any(|arg| arg == "--list") {
        chosen.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let began = Instant::now();
    println!("\nrunning {} tests", chosen.len());
    let why = if chosen.is_empty() { None } else { missing() };
    if let Some(why) = &why {
        println!("skipped: {why}");
    }
    let (mut passed, mut failed, mut ignored) = (0, 0, 0);
    for (name, test) in &chosen {
        if why.is_some() {
            println!("test {name} ... ignored");
            ignored += 1;
        } else if passes(*test) {
            println!("test {name} ... ok");
            passed += 1;
        } else {
            println!("test {name} ... FAILED");
            failed += 1;
        }
    }
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {verdict}. {passed} passed; {failed} failed; {ignored} ignored; 0 measured; {} filtered out; \
         finished in {:.2}s\n",
        tests.len() - chosen.len(),
        began.elapsed().as_secs_f64(),
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(101) }
}

/// Those whose name contains one of the words among `args`; `--exact` wants the whole name, `--skip` leaves out.
fn chosen<'a>(tests: &'a [Test], args: &[String]) -> Vec<&'a Test> {
    let exact = args.iter().any(|arg| arg == "--exact");
    let fits = |name: &str, word: &String| if exact { name == word } else { name.contains(word.as_str()) };
    let mut wanted = Vec::new();
    let mut skipped = Vec::new();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--skip" => skipped.extend(args.next()),
            // Their values are not names.
            "--test-threads" | "--color" | "--format" | "--logfile" => _ = args.next(),
            flag if flag.starts_with('-') => {}
            _ => wanted.push(arg),
        }
    }
    let is_chosen = |name: &str| {
        (wanted.is_empty() || wanted.iter().any(|word| fits(name, word)))
            && !skipped.iter().any(|word| fits(name, word))
    };
    tests.iter().filter(|(name, _)| is_chosen(name)).collect()
}

fn passes(test: fn(&Runtime)) -> bool {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    // A panic has been printed by then. The runtime ends either way, and with it the processes that it looked after.
    catch_unwind(AssertUnwindSafe(|| test(&runtime))).is_ok()
}
