//! The simulator's command line.

use std::{
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use clap::{Args, Parser, Subcommand};
use mycomesh_sim::{
    gossip::PeerNo,
    report::Report,
    scenario::{NODES_MAX, NODES_MIN, Scenario},
    world::World,
};

/// A seeded network of Mycomesh nodes under a virtual clock.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run one scenario with one seed.
    Run {
        #[command(flatten)]
        what: What,
        /// The seed; the scenario's own where none is given.
        #[arg(long)]
        seed: Option<u64>,
        /// Print everything that this peer tells its owner, on standard error.
        #[arg(long, value_name = "PEER")]
        watch: Option<u32>,
        /// Print JSON only.
        #[arg(long)]
        json: bool,
    },
    /// Run one scenario with many seeds, on every core.
    Sweep {
        #[command(flatten)]
        what: What,
        /// The seeds: from the first to before the second.
        #[arg(long, value_name = "A..B")]
        seeds: String,
        /// Threads; one for each core where none are named.
        #[arg(long)]
        threads: Option<usize>,
    },
    /// List the scenarios.
    List,
}

#[derive(Args)]
struct What {
    /// The scenario's name.
    #[arg(long)]
    scenario: String,
    /// Peers, relays included; the scenario's own number where none is given.
    #[arg(long, value_parser = clap::value_parser!(u32).range(i64::from(NODES_MIN)..=i64::from(NODES_MAX)))]
    nodes: Option<u32>,
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run { what, seed, watch, json } => run(&what, seed, watch, json),
        Command::Sweep { what, seeds, threads } => sweep(&what, &seeds, threads),
        Command::List => list(),
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::from(2)
    })
}

fn run(what: &What, seed: Option<u64>, watch: Option<u32>, json: bool) -> Result<ExitCode, String> {
    let (scenario, nodes) = what.find()?;
    let seed = seed.unwrap_or(scenario.seed);
    let began = Instant::now();
    let mut world = World::new(scenario, nodes, seed);
    if let Some(peer) = watch {
        world.watch(PeerNo(peer));
    }
    let report = world.run();
    let took = began.elapsed();
    report.watched.iter().for_each(|line| eprintln!("{line}"));
    println!("{}", report.to_json());
    if !json {
        let (events, inputs) = (per_second(report.events, took), per_second(report.inputs, took));
        let speed = report.virtual_ms as f64 / took.as_millis().max(1) as f64;
        eprintln!("{took:.1?}: {events} events/s, {inputs} node inputs/s, {speed:.1} times as fast as real time");
    }
    Ok(verdict(&report))
}

fn verdict(report: &Report) -> ExitCode {
    match &report.violation {
        None => ExitCode::SUCCESS,
        Some(violation) => {
            eprintln!("violated: {} after {} ms: {}", violation.checker, violation.at.as_millis(), violation.what);
            eprintln!("replay:   {}", report.replay());
            ExitCode::FAILURE
        }
    }
}

fn sweep(what: &What, seeds: &str, threads: Option<usize>) -> Result<ExitCode, String> {
    let (scenario, nodes) = what.find()?;
    let (first, end) = range(seeds)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = threads.unwrap_or(cores).clamp(1, cores.max(1));
    let began = Instant::now();
    let next = AtomicU64::new(first);
    let totals = Mutex::new(Totals::default());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        break;
                    }
                    let report = World::new(scenario.clone(), nodes, seed).run();
                    totals.lock().unwrap_or_else(std::sync::PoisonError::into_inner).add(&report);
                }
            });
        }
    });
    let totals = totals.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let took = began.elapsed();
    println!(
        "{} seeds of {} with {nodes} nodes: {} passed, {} violated; {} events, {} node inputs, {:.0} virtual hours",
        totals.runs,
        scenario.name,
        totals.runs - totals.violated,
        totals.violated,
        totals.events,
        totals.inputs,
        totals.virtual_ms as f64 / 3_600_000.0,
    );
    eprintln!("{took:.1?} on {threads} threads: {} node inputs/s", per_second(totals.inputs, took));
    Ok(if totals.violated == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What a sweep found.
#[derive(Default)]
struct Totals {
    runs: u64,
    violated: u64,
    events: u64,
    inputs: u64,
    virtual_ms: u64,
}

impl Totals {
    fn add(&mut self, report: &Report) {
        self.runs += 1;
        self.events += report.events;
        self.inputs += report.inputs;
        self.virtual_ms += report.virtual_ms;
        if let Some(violation) = &report.violation {
            self.violated += 1;
            let at = violation.at.as_millis();
            println!(
                "seed {}: {} after {at} ms: {} | {}",
                report.seed,
                violation.checker,
                violation.what,
                report.replay()
            );
        }
    }
}

fn list() -> Result<ExitCode, String> {
    for name in mycomesh_sim::scenario::names() {
        let scenario = Scenario::named(name).map_err(|error| error.to_string())?;
        println!("{name:12} {:>5} nodes, {:>4} s  {}", scenario.nodes, scenario.duration_s, scenario.about);
    }
    Ok(ExitCode::SUCCESS)
}

impl What {
    fn find(&self) -> Result<(Scenario, u32), String> {
        let scenario = Scenario::named(&self.scenario).map_err(|error| error.to_string())?;
        let nodes = self.nodes.unwrap_or(scenario.nodes);
        Ok((scenario, nodes))
    }
}

/// `A..B`, with B above A.
fn range(text: &str) -> Result<(u64, u64), String> {
    let ends = text.split_once("..").and_then(|(a, b)| Some((a.trim().parse().ok()?, b.trim().parse().ok()?)));
    match ends {
        Some((a, b)) if a < b => Ok((a, b)),
        _ => Err(format!("`{text}` names no seeds; write them as 0..1000, the second above the first")),
    }
}

fn per_second(count: u64, took: std::time::Duration) -> u64 {
    (count as f64 / took.as_secs_f64().max(0.001)) as u64
}
