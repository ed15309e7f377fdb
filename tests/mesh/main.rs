//! The mesh on real sockets: a relay and twelve peers, each in a network namespace of its own.
//!
//! What must come out is asserted; how long it took is printed. `cargo xtask bench mesh` measures the same several times,
//! with the settings that people have.

mod harness;

use std::process::ExitCode;

use harness::{Test, run};
use mycomesh_tests::{
    Lan, Mesh, NODES,
    trials::{self, Outcome},
};
use tokio::runtime::Runtime;

/// Seconds between two presences. A fifth of the default, so that who vanished is seen as offline within nine seconds.
const PRESENCE_INTERVAL_S: u32 = 3;
/// The share of what honest peers send that must reach every other honest one while others flood them.
const HONEST_SHARE_MIN: f64 = 0.999;

const TESTS: &[Test] = &[
    ("two_halves_without_a_link_go_on_and_are_one_again_when_it_is_back", |runtime| {
        let outcome = check(runtime, async |mesh| trials::partition(mesh).await);
        assert_eq!(outcome.completed(), outcome.tasks.len(), "what was asked across the cut is answered");
    }),
    ("the_rest_goes_on_when_half_of_the_peers_die_at_once", |runtime| {
        let outcome = check(runtime, async |mesh| trials::half_loss(mesh).await);
        assert!(outcome.completed() < outcome.tasks.len(), "nobody answers for the dead");
    }),
    ("peers_go_on_without_their_relay_and_join_again_when_it_is_back", |runtime| {
        check(runtime, async |mesh| trials::relay_restart(mesh).await);
    }),
    ("a_fifth_of_spammers_keeps_nothing_from_honest_peers", |runtime| {
        let outcome = runtime.block_on(outcome(async |mesh| trials::spam(mesh).await));
        for (what, delivery) in &outcome.deliveries {
            assert!(delivery.share() >= HONEST_SHARE_MIN, "{what}: {delivery}");
        }
    }),
];

fn main() -> ExitCode {
    run(TESTS, Lan::missing)
}

/// Run a trial after which everything must have been delivered to everybody it was for, and every task have ended once.
fn check(runtime: &Runtime, trial: impl AsyncFnOnce(&mut Mesh) -> Outcome) -> Outcome {
    let outcome = runtime.block_on(outcome(trial));
    for (what, delivery) in &outcome.deliveries {
        assert!(delivery.due > 0 && delivery.delays.len() == delivery.due, "{what}: {delivery}");
    }
    for endings in &outcome.tasks {
        assert_eq!(endings.len(), 1, "a task ends once: {:?}", outcome.tasks);
    }
    outcome
}

async fn outcome(trial: impl AsyncFnOnce(&mut Mesh) -> Outcome) -> Outcome {
    let mut mesh = Mesh::start(PRESENCE_INTERVAL_S).await;
    println!("{NODES} peers, a presence every {PRESENCE_INTERVAL_S} s; all saw all after {:.1?}", mesh.joining);
    let outcome = trial(&mut mesh).await;
    print!("{outcome}");
    outcome
}
