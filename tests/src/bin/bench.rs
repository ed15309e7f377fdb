//! `mycomesh-bench NAME`: benches without a browser, started by `cargo xtask bench NAME`, which says where everything is.

use std::{env, process::ExitCode};

use clap::{Parser, ValueEnum};
use mycomesh_tests::bench::{idle, mesh};

/// A bench.
#[derive(Debug, Parser)]
struct Flags {
    name: Name,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Name {
    /// What a relay spends on clients that do nothing.
    Idle,
    /// Delivery and recovery in a mesh that breaks.
    Mesh,
}

#[tokio::main]
async fn main() -> ExitCode {
    let flags = Flags::parse();
    let rounds = env::var("BENCH_ROUNDS").ok().and_then(|rounds| rounds.parse().ok());
    let measured = match flags.name {
        Name::Idle => idle::run(rounds.unwrap_or(idle::ROUNDS)).await,
        Name::Mesh => mesh::run(rounds.unwrap_or(mesh::ROUNDS)).await,
    };
    match measured {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("mycomesh-bench: {why}");
            ExitCode::FAILURE
        }
    }
}
