//! The list of security events, beside the event log.

mod world;

use mycomesh_core::{
    Config,
    io::{Command, Event, Protocol, Topic, Verdict},
    limits::{LOG_ENTRIES_MAX, SECURITY_TEXT_BYTES_MAX},
    snapshot::{SecurityEntry, SecurityKind},
    time::Millis,
};
use world::World;

fn lines(world: &mut World, at: usize) -> Vec<SecurityEntry> {
    world.snapshot(at).security.to_vec()
}

fn violate(world: &mut World, times: u32) {
    for _ in 0..times {
        world.raw_request(1, 0, Protocol::Presence, b"garbage".to_vec());
    }
}

#[test]
fn violations_and_what_follows_are_listed_counted_and_told_apart_from_the_log() {
    let mut world = World::mesh(2);
    let start = world.unix();
    violate(&mut world, 2);
    world.pass(Millis::secs(1));
    assert_eq!(world.gossip(1, 0, Topic::Presence, b"garbage".to_vec()), Verdict::Reject);
    let lines = lines(&mut world, 0);
    let seen: Vec<_> = lines.iter().map(|line| (line.kind, line.peer, line.count)).collect();
    let peer = world.id(1);
    assert_eq!(seen, [(SecurityKind::Malformed, peer, 3), (SecurityKind::Quarantined, peer, 1)]);
    assert_eq!((lines[0].first, lines[0].last), (start, world.unix()));
    let snapshot = world.snapshot(0);
    assert!(!snapshot.log.iter().any(|entry| matches!(entry.event, Event::Security { .. })));
    assert_eq!(snapshot.counters.security.of(SecurityKind::Malformed), 3);
    assert_eq!(snapshot.counters.security.of(SecurityKind::Forged), 0);
    let told = world.peers[0].events.iter().filter(|event| matches!(event, Event::Security { .. })).count();
    assert_eq!(told, 4, "the owner hears of each");
}

#[test]
fn a_peer_that_knocks_while_it_is_refused_is_one_line_and_bothers_nobody() {
    let mut world = World::mesh(2);
    violate(&mut world, 3);
    let told = world.peers[0].events.len();
    for _ in 0..50 {
        world.link(0, 1);
        world.pass(Millis(100));
    }
    let lines = lines(&mut world, 0);
    let last = lines.last().unwrap();
    assert_eq!((last.kind, last.count), (SecurityKind::Refused, 50));
    assert!(!world.peers[0].events[told..].iter().any(|event| matches!(event, Event::Security { .. })));
}

#[test]
fn neither_list_pushes_anything_out_of_the_other() {
    let mut world = World::with(2, |_| Config { reserve: false, failed_attempts_max: 1_000, ..Config::default() });
    world.link(0, 1);
    let first = world.snapshot(0).log[0].number;
    violate(&mut world, 300);
    world.pass(Millis::secs(30));
    violate(&mut world, 300);
    assert_eq!(world.snapshot(0).log[0].number, first, "six hundred violations pushed nothing out of the log");
    for n in 0..2 * LOG_ENTRIES_MAX {
        world.command(1, Command::SetBusy(n % 2 == 0)).unwrap();
        world.pass(Millis(250));
    }
    assert_ne!(world.snapshot(0).log[0].number, first, "the log was flooded");
    let line = &lines(&mut world, 0)[0];
    assert_eq!(line.kind, SecurityKind::Malformed);
    assert!(line.count > 300, "{} of six hundred are malformed, the rest was too much", line.count);
}

#[test]
fn a_remotes_words_do_not_size_what_is_kept() {
    let mut world = World::mesh(2);
    let long = format!("{:?}", "x".repeat(100_000));
    let mut frame = vec![0xa1, 0x7a];
    frame.extend((long.len() as u32).to_be_bytes());
    frame.extend(long.as_bytes());
    frame.push(0x01);
    world.raw_request(1, 0, Protocol::Objects, frame);
    let lines = lines(&mut world, 0);
    assert_eq!(lines.len(), 1);
    assert!(lines[0].what.len() <= SECURITY_TEXT_BYTES_MAX);
    for event in &world.peers[0].events {
        if let Event::Security { what, .. } = event {
            assert!(what.len() <= SECURITY_TEXT_BYTES_MAX);
        }
    }
}
