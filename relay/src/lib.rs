//! `mycomesh-relay`: introduces the peers of a network, carries what cannot go direct, and serves the web app.
//!
//! [`cli`] reads the command line, [`settings`] merges it with file and environment, [`run`] starts the node and both
//! HTTP ports and stops them on a signal. Of the ports, [`guard`] bounds who holds them, [`http`] routes, [`well_known`] says where the relay can be
//! dialled, [`assets`] holds the web app and [`metrics`] the figures for Prometheus.

mod assets;
mod cli;
mod guard;
mod http;
mod metrics;
mod print;
mod run;
mod settings;
mod well_known;

use std::{path::Path, process::ExitCode};

use clap::Parser as _;

/// Run the relay as the command line asks, until it ends.
pub fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    match serve(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mycomesh-relay: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The settings in force with a configuration file of this text, as `--print-config` prints them; or the one line that says
/// what is wrong with the file.
pub fn effective_config(text: &str) -> Result<String, String> {
    let settings = settings::Settings::layered(Some((Path::new("relay.toml"), text)));
    settings.map(|settings| print::commented(&settings)).map_err(|error| error.to_string())
}

fn serve(cli: cli::Cli) -> Result<(), run::Failed> {
    let print_config = cli.print_config;
    let settings = settings::Settings::load(cli)?;
    if print_config {
        print!("{}", print::commented(&settings));
        return Ok(());
    }
    run::init_logs();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(run::Failed::Runtime)?;
    runtime.block_on(run::run(settings))
}
