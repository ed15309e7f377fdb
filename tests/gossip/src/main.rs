//! Prints the figures of the real gossipsub and of the simulator's model, side by side.

use std::process::ExitCode;

use clap::Parser;
use mycomesh_gossip::{CASES, Case, Comparison, Figure, compare};

/// Runs the real gossipsub and the simulator's model of it on the same networks and compares what they do.
#[derive(Parser)]
struct Args {
    /// Which case: mesh, large, relay, loss, reject. All of them without it.
    #[arg(long)]
    case: Vec<String>,
    /// How many seeds, from 1 on.
    #[arg(long, default_value_t = 5)]
    seeds: u64,
    /// Runs at a time. The real side mostly waits for heartbeats.
    #[arg(long, default_value_t = 2)]
    at_once: usize,
    /// One JSON object a case, with every seed.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), String> {
    let seeds: Vec<u64> = (1..=args.seeds).collect();
    if !args.json {
        println!("{:<8} {:<13} {:>9} {:>9} {:>7}  each seed", "case", "figure", "real", "model", "ratio");
    }
    for case in chosen(&args.case)? {
        let comparison = compare(case, &seeds, args.at_once)?;
        if args.json {
            println!("{}", serde_json::to_string(&comparison).map_err(|error| error.to_string())?);
        } else {
            print(&comparison);
        }
    }
    Ok(())
}

fn chosen(names: &[String]) -> Result<Vec<Case>, String> {
    if names.is_empty() {
        return Ok(CASES.to_vec());
    }
    let find = |name: &String| CASES.into_iter().find(|case| case.name == name);
    let known = || CASES.map(|case| case.name).join(", ");
    names
        .iter()
        .map(|name| find(name).ok_or_else(|| format!("there is no case `{name}`; there are {}", known())))
        .collect()
}

fn print(comparison: &Comparison) {
    for figure in Figure::ALL {
        let ratio = comparison.ratio(figure);
        if ratio.real == 0.0 && ratio.model == 0.0 {
            continue;
        }
        let each: Vec<String> = comparison
            .seeds
            .iter()
            .map(|(_, real, model)| format!("{:.3}/{:.3}", figure.of(real), figure.of(model)))
            .collect();
        println!(
            "{:<8} {:<13} {:>9.4} {:>9.4} {:>7.3}  {}",
            comparison.case,
            figure.name(),
            ratio.real,
            ratio.model,
            ratio.value(),
            each.join(" ")
        );
    }
}
