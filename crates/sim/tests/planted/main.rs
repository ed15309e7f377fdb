//! Every checker is worth what it catches. Here core is built with bugs, one at a time, and each must be caught by some
//! checker within [`SEEDS_MAX`] seeds; each checker must catch something; and without a bug the same runs must pass.
//!
//! `cargo test --release -p mycomesh-sim --features planted --test planted -- --nocapture` prints who caught what.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use mycomesh_core::planted::{Bug, Planted};
use mycomesh_sim::{checkers, checkers::Violation, scenario::Scenario, world::World};

/// A bug must be caught by one of so many seeds.
const SEEDS_MAX: u64 = 1_000;

const BUSY: &str = "busy";
const COMING_AND_GOING: &str = "coming-and-going";
const DARK: &str = "dark";
const FLOOD: &str = "flood";
const GOODBYE: &str = "goodbye";
const HOSTILE: &str = "hostile";
const RELAYS_LOST: &str = "relays-lost";
const TORN: &str = "torn";
const WORK: &str = "work";

/// Small runs, each with what some bugs need to show.
const SCENARIOS: [(&str, &str); 9] = [
    (BUSY, include_str!("scenarios/busy.toml")),
    (COMING_AND_GOING, include_str!("scenarios/coming-and-going.toml")),
    (DARK, include_str!("scenarios/dark.toml")),
    (FLOOD, include_str!("scenarios/flood.toml")),
    (GOODBYE, include_str!("scenarios/goodbye.toml")),
    (HOSTILE, include_str!("scenarios/hostile.toml")),
    (RELAYS_LOST, include_str!("scenarios/relays-lost.toml")),
    (TORN, include_str!("scenarios/torn.toml")),
    (WORK, include_str!("scenarios/work.toml")),
];

/// Where a bug is looked for.
const fn place(bug: Bug) -> &'static str {
    match bug {
        Bug::UncheckedPresence
        | Bug::UncheckedReceipt
        | Bug::ExpiredPresence
        | Bug::FuturePresence
        | Bug::EndlessPresence
        | Bug::SameNumber
        | Bug::OlderNumber
        | Bug::OldRejected
        | Bug::RatedTwice
        | Bug::RatesItself
        | Bug::RatesForAnother
        | Bug::AcceptedByAnybody
        | Bug::QuarantineEndless
        | Bug::QuarantineEndsByLink
        | Bug::NothingForwarded => HOSTILE,
        Bug::LifeInSeconds | Bug::NumbersRestart | Bug::BusyWhenGone | Bug::SharesRoundedDown => COMING_AND_GOING,
        Bug::OutboxForgotten => DARK,
        Bug::GoodbyeIgnored => GOODBYE,
        Bug::RelayNotRedialled => RELAYS_LOST,
        Bug::ForwarderBlamed | Bug::BucketNeverEmpties | Bug::QuarantineNever | Bug::QuarantineNotLoaded => FLOOD,
        Bug::LateDeliveryRevives | Bug::SubmissionTwice => TORN,
        Bug::NoSkewGranted
        | Bug::PairOffByOne
        | Bug::LogNeverCut
        | Bug::BucketNeverFills
        | Bug::ReputableUnbacked
        | Bug::RelaysCounted
        | Bug::AcceptedBeforeStored
        | Bug::AskedBeforeStored
        | Bug::DeliveredBeforeStored => BUSY,
        Bug::RenewalInSeconds | Bug::DeadlineOverslept | Bug::DeadlineInSeconds | Bug::NoFloor => WORK,
    }
}

#[test]
fn every_bug_is_caught_every_checker_catches_one_and_no_run_without_a_bug_is_blamed() {
    let caught = in_threads(&Bug::ALL, |bug| {
        (1..=SEEDS_MAX).find_map(|seed| Some((seed, run(place(*bug), seed, Planted::new(*bug))?)))
    });
    println!("{:22} {:10} {:17} {:>5}  what", "bug", "checker", "scenario", "seed");
    for (bug, found) in Bug::ALL.into_iter().zip(&caught) {
        let (bug, place) = (format!("{bug:?}"), place(bug));
        match found {
            Some((seed, Violation { checker, at, what })) => {
                println!("{bug:22} {checker:10} {place:17} {seed:>5}  after {} ms: {what}", at.as_millis());
            }
            None => println!("{bug:22} {:10} {place:17} {SEEDS_MAX:>5}  not caught", "-"),
        }
    }
    let missed: Vec<Bug> =
        Bug::ALL.into_iter().zip(&caught).filter(|(_, found)| found.is_none()).map(|it| it.0).collect();
    assert!(missed.is_empty(), "not caught: {missed:?}");

    let proven: BTreeSet<&str> = caught.iter().flatten().map(|(_, violation)| violation.checker).collect();
    let scenario = scenario(WORK);
    let unproven: Vec<&str> =
        checkers::all(&scenario).iter().map(|checker| checker.name()).filter(|name| !proven.contains(name)).collect();
    assert!(unproven.is_empty(), "checkers that caught nothing: {unproven:?}");

    let mut runs: BTreeMap<(&str, u64), Vec<Bug>> = BTreeMap::new();
    for (bug, found) in Bug::ALL.into_iter().zip(&caught) {
        for seed in 1..=found.as_ref().map_or(0, |(seed, _)| *seed) {
            runs.entry((place(bug), seed)).or_default().push(bug);
        }
    }
    let runs: Vec<(&str, u64)> = runs.into_keys().collect();
    let blamed = in_threads(&runs, |(place, seed)| run(place, *seed, Planted::default()));
    let blamed: Vec<_> = runs.iter().zip(blamed).filter_map(|(run, violation)| Some((run, violation?))).collect();
    assert!(blamed.is_empty(), "without any bug: {blamed:#?}");
    println!("{} bugs caught by {} checkers; {} runs without a bug pass", Bug::ALL.len(), proven.len(), runs.len());
}

fn scenario(name: &str) -> Scenario {
    let (_, text) = SCENARIOS.iter().find(|(known, _)| *known == name).expect("one of them");
    Scenario::parse(name, text).expect("a scenario")
}

fn run(name: &str, seed: u64, planted: Planted) -> Option<Violation> {
    let scenario = scenario(name);
    let nodes = scenario.nodes;
    let mut world = World::new(scenario, nodes, seed);
    world.plant(planted);
    world.run().violation
}

/// What `work` finds for each item, in their order, on every core.
fn in_threads<Item: Sync, Found: Send>(items: &[Item], work: impl Fn(&Item) -> Found + Sync) -> Vec<Found> {
    let next = AtomicUsize::new(0);
    let found: Mutex<BTreeMap<usize, Found>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some((at, item)) =
                    Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|at| Some((at, items.get(at)?)))
                {
                    let result = work(item);
                    found.lock().unwrap_or_else(PoisonError::into_inner).insert(at, result);
                }
            });
        }
    });
    found.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect()
}
