//! A slice of the simulator's sweeps: hundreds of hours of virtual time are for a machine that has nothing else to do.

use crate::fail::Result;
use crate::run::{Cmd, say};
use crate::tally::Tally;

/// Scenario, peers, and the first seeds of it. Chaos is every fault at once; about a minute on two cores.
const SWEEPS: [(&str, u32, u32); 2] = [("chaos", 32, 32), ("spam", 20, 4)];

/// Every seed counted as a test.
pub fn run() -> Result<Tally> {
    let mut tally = Tally::default();
    for (scenario, nodes, seeds) in SWEEPS {
        say(&format!("{scenario} with {nodes} peers, seeds 0 to {}", seeds - 1));
        let swept = Cmd::new("cargo")
            .args(["run", "--quiet", "--release", "-p", "mycomesh-sim", "--", "sweep", "--scenario", scenario])
            .args(["--nodes", &nodes.to_string(), "--seeds", &format!("0..{seeds}")])
            .tee()?;
        let counted = Tally::of_sweep(&swept.stdout);
        // A sweep that ends before it has told its totals has failed, too.
        tally += if counted.ran() { counted } else { Tally { failed: u64::from(seeds), ..Tally::default() } };
    }
    Ok(tally)
}
