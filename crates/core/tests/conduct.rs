//! For how long a peer is refused, and when that is forgotten.

mod world;

use mycomesh_core::{
    io::{Protocol, StoreTable},
    limits::{DOUBLING_FORGOTTEN, DOUBLINGS_MAX, VIOLATION_FORGOTTEN},
    time::{Millis, UnixMillis},
    wire::strict,
};
use serde::Serialize;
use world::World;

const HOUR: Millis = Millis::secs(3_600);
const DAY: Millis = Millis::secs(24 * 3_600);

/// Two peers whose clocks are looked at every ten minutes, so that weeks pass quickly.
fn world() -> World {
    let mut world = World::mesh(2);
    world.tick_every = Millis::secs(600);
    world
}

fn violate(world: &mut World, times: u32) {
    for _ in 0..times {
        world.raw_request(1, 0, Protocol::Presence, b"garbage".to_vec());
    }
}

fn until(world: &mut World) -> Option<UnixMillis> {
    world.row(0, 1).and_then(|row| row.trust.quarantined_until)
}

#[track_caller]
fn check_left(world: &mut World, expect: Millis) {
    let now = world.unix();
    assert_eq!(until(world).map(|until| until.since(now)), Some(expect));
}

/// After a restart nothing is known of a peer that is refused, so its links tell.
#[track_caller]
fn check_refused_for(world: &mut World, span: Millis) {
    world.pass(Millis(span.0 - 1));
    world.link(0, 1);
    assert_eq!(world.paths(0, 1), [], "a moment before");
    world.pass(Millis(1));
    world.link(0, 1);
    assert_eq!(world.paths(0, 1).len(), 1, "it is welcome again");
}

#[test]
fn quarantine_survives_a_restart_of_who_imposed_it() {
    let mut world = world();
    violate(&mut world, 3);
    world.pass(Millis::secs(1_000));
    world.kill(0);
    world.restart(0);
    check_refused_for(&mut world, Millis::secs(2_600));
    assert_eq!(until(&mut world), None);
}

#[test]
fn so_does_the_doubling() {
    let mut world = world();
    violate(&mut world, 3);
    world.pass(HOUR);
    world.kill(0);
    world.restart(0);
    world.link(0, 1);
    violate(&mut world, 3);
    check_left(&mut world, HOUR.times(2));
}

#[test]
fn a_clock_set_back_makes_a_stored_quarantine_no_longer_than_it_was() {
    #[derive(Serialize)]
    struct Stored {
        quarantines: u32,
        until: UnixMillis,
    }
    let mut world = world();
    violate(&mut world, 3);
    world.pass(HOUR);
    world.link(0, 1);
    violate(&mut world, 3);
    let stored = Stored { quarantines: 2, until: world.unix() + HOUR.times(2) };
    let later = Stored { quarantines: 2, until: world.unix() + DAY.times(3_650) };
    let (_, value) =
        world.peers[0].store.iter_mut().find(|((_, key), _)| key.starts_with(b"conduct/")).expect("it is stored");
    assert_eq!(*value, strict::encode(&stored));
    *value = strict::encode(&later);
    world.kill(0);
    world.restart(0);
    check_refused_for(&mut world, HOUR.times(2));
}

#[test]
fn a_record_that_cannot_be_read_keeps_nobody_from_starting() {
    let mut world = world();
    world.peers[0].store.insert((StoreTable::Meta, b"conduct/x".to_vec()), b"y".to_vec());
    world.peers[0].store.insert((StoreTable::Meta, b"of a later version".to_vec()), b"z".to_vec());
    world.kill(0);
    world.restart(0);
    world.link(0, 1);
    assert_eq!(world.snapshot(0).me.name, "", "and neither is taken for the profile");
    assert_ne!(world.row(0, 1).unwrap().path.as_str(), "none");
}

#[test]
fn a_fault_a_day_is_forgiven_and_three_in_an_hour_are_not() {
    let mut world = world();
    for _ in 0..10 {
        violate(&mut world, 1);
        world.pass(DAY);
        assert_eq!(until(&mut world), None);
    }
    assert_eq!(world.row(0, 1).unwrap().trust.first_hand_failures, 0);
    for _ in 0..3 {
        violate(&mut world, 1);
        world.pass(Millis::secs(1_000));
    }
    assert!(until(&mut world).is_some());
}

#[test]
fn violations_fade_one_by_one() {
    let mut world = world();
    violate(&mut world, 2);
    world.pass(VIOLATION_FORGOTTEN);
    violate(&mut world, 1);
    assert_eq!(until(&mut world), None, "one of the two is forgotten");
    world.pass(Millis(VIOLATION_FORGOTTEN.0 - 1));
    violate(&mut world, 1);
    assert!(until(&mut world).is_some(), "and the other would have been a moment later");
}

#[test]
fn doublings_fade_by_the_week() {
    let mut world = world();
    for before in 0..3 {
        violate(&mut world, 3);
        check_left(&mut world, HOUR.times(1 << before));
        world.pass(HOUR.times(1 << before));
        world.link(0, 1);
    }
    world.pass(DOUBLING_FORGOTTEN);
    violate(&mut world, 3);
    check_left(&mut world, HOUR.times(1 << 2));
    world.pass(HOUR.times(1 << 2));
    world.pass(DOUBLING_FORGOTTEN.times(3));
    world.link(0, 1);
    violate(&mut world, 3);
    check_left(&mut world, HOUR);
}

#[test]
fn a_quarantine_grows_to_its_limit_and_no_further() {
    let mut world = world();
    for before in 0..DOUBLINGS_MAX + 3 {
        violate(&mut world, 3);
        let span = HOUR.times(1 << before.min(DOUBLINGS_MAX));
        check_left(&mut world, span);
        world.pass(span);
        world.link(0, 1);
    }
}

#[test]
fn what_has_faded_leaves_the_store() {
    let mut world = World::mesh(3);
    world.tick_every = Millis::secs(600);
    let stored = |world: &World| world.peers[0].store.keys().filter(|(_, key)| key.starts_with(b"conduct/")).count();
    violate(&mut world, 3);
    assert_eq!(stored(&world), 1);
    world.pass(HOUR);
    world.pass(DOUBLING_FORGOTTEN);
    for _ in 0..3 {
        world.raw_request(2, 0, Protocol::Presence, b"garbage".to_vec());
    }
    assert_eq!(stored(&world), 1, "one came and one went");
}
