//! Every scenario runs, breaks what it says it breaks, and violates nothing. Small and short: sweeps go further.

use mycomesh_sim::{
    report::Report,
    scenario::{Scenario, names},
    world::World,
};

fn run(name: &str, nodes: u32) -> Report {
    let scenario = Scenario::named(name).expect("a scenario");
    let seed = scenario.seed;
    World::new(scenario, nodes, seed).run()
}

#[track_caller]
fn check(name: &str, nodes: u32) -> Report {
    let report = run(name, nodes);
    assert_eq!(report.violation, None, "replay: {}", report.replay());
    report
}

#[test]
fn every_scenario_has_the_time_it_needs() {
    for name in names() {
        let scenario = Scenario::named(name).expect("a scenario");
        let last = scenario.faults.iter().map(|fault| fault.at_s).max().unwrap_or(0);
        assert!(last < scenario.duration_s - scenario.settle_s, "{name}: something breaks after all is whole");
    }
}

#[test]
fn a_network_that_is_left_alone_hears_everything() {
    let report = check("calm", 12);
    assert_eq!(report.checkers["delivery"]["arrived_when_whole_ppm"], 1_000_000);
    assert_eq!(report.tally.stops, 0);
}

#[test]
fn a_partition_heals() {
    let report = check("partition", 12);
    assert_eq!(report.tally.faults, 1);
    assert!(report.checkers["agreement"]["all_seen_ms"] > 0, "there was something to heal");
}

#[test]
fn those_that_are_left_notice_that_half_of_them_is_gone() {
    let report = check("half-loss", 12);
    assert_eq!(report.tally.stops, 5);
    assert!(report.checkers["agreement"]["none_seen_that_left_ms"] > 0, "there was something to notice");
}

#[test]
fn forgers_are_refused_and_nobody_else() {
    let mut scenario = Scenario::named("chaos").expect("a scenario");
    (scenario.duration_s, scenario.settle_s) = (180, 80);
    let report = World::new(scenario, 20, 3).run();
    assert_eq!(report.violation, None);
    assert!(report.checkers["conduct"]["hostile_refused"] > 0, "{:?}", report.checkers["conduct"]);
    assert!(report.checkers["accepted"]["lies_refused"] > 0);
}
