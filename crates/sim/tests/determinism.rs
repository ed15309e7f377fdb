//! The same scenario, number of peers and seed are the same run, to the last byte of what every node was told.

use mycomesh_sim::{report::Report, scenario::Scenario, world::World};

fn run(name: &str, nodes: u32, seed: u64) -> Report {
    let mut scenario = Scenario::named(name).expect("a scenario");
    // Long enough for faults of every kind, short enough for every day.
    (scenario.duration_s, scenario.settle_s) = (150, 60);
    World::new(scenario, nodes, seed).run()
}

#[test]
fn one_seed_is_one_run_and_another_seed_is_another() {
    let (first, again, other) = (run("chaos", 12, 5), run("chaos", 12, 5), run("chaos", 12, 6));
    assert_eq!(first, again);
    assert_ne!(first.trace_hash, other.trace_hash);
    assert!(first.tally.faults > 0 && first.tally.tasks > 0, "{:?}", first.tally);
}
