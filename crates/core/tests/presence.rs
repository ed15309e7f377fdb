//! Who is there, and in which state.

mod world;

use mycomesh_core::{
    io::{Command, Event, Protocol, Topic, Verdict},
    snapshot::Status,
    time::Millis,
    wire::{Network, Presence, Signed, Skill},
};
use world::World;

fn sealed(world: &World, of: usize, presence: Presence) -> Vec<u8> {
    Signed::seal(world.key(of), &Network::default(), presence).bytes.to_vec()
}

#[track_caller]
fn check(world: &mut World, at: usize, of: usize, expect: Status) {
    let row = world.row(at, of).expect("the peer is listed");
    assert_eq!(row.status, expect);
}

#[test]
fn two_peers_see_each_other_as_soon_as_they_are_linked() {
    let mut world = World::new(2);
    world.link(0, 1);
    check(&mut world, 0, 1, Status::Idle);
    check(&mut world, 1, 0, Status::Idle);
    assert_eq!(world.row(0, 1).unwrap().name.as_deref(), Some("peer 1"));
}

#[test]
fn a_newcomer_sees_everybody_and_everybody_sees_the_newcomer_through_one_neighbour() {
    let mut world = World::new(5);
    for at in 1..4 {
        world.link(0, at);
    }
    world.link(0, 4);
    world.pass(Millis(500));
    for other in 0..4 {
        check(&mut world, 4, other, Status::Idle);
        check(&mut world, other, 4, Status::Idle);
    }
    assert_eq!(world.row(4, 2).unwrap().name.as_deref(), Some("peer 2"), "cards came along");
    let bar = world.snapshot(4).bar;
    assert_eq!((bar.idle.count, bar.idle.percent), (5, 100), "this peer counts too");
}

#[test]
fn a_peer_stays_online_while_it_renews_its_presence_and_expires_after() {
    let mut world = World::mesh(2);
    world.pass(Millis::secs(600));
    check(&mut world, 0, 1, Status::Idle);
    world.kill(1);
    world.pass(Millis::secs(20));
    check(&mut world, 0, 1, Status::Idle);
    world.pass(Millis::secs(26));
    check(&mut world, 0, 1, Status::Offline);
    assert!(world.peers[0].events.contains(&Event::PeerLost { peer: world.id(1), goodbye: false }));
    world.pass(Millis::secs(1_201));
    assert!(world.row(0, 1).is_none(), "an offline peer is forgotten after twenty minutes");
}

#[test]
fn a_hidden_tab_whose_timers_run_once_a_minute_stays_online() {
    let mut world = World::mesh(2);
    world.command(1, Command::SetHidden(true)).unwrap();
    world.tick_every = Millis::secs(60);
    for _ in 0..20 {
        world.pass(Millis::secs(60));
        check(&mut world, 0, 1, Status::Idle);
    }
}

#[test]
fn without_the_hidden_announcement_once_a_minute_would_not_do() {
    let mut world = World::mesh(2);
    world.tick_every = Millis::secs(60);
    world.pass(Millis::secs(600));
    let lost = world.peers[0].events.iter().any(|event| matches!(event, Event::PeerLost { .. }));
    assert!(lost, "this shows that the test above can fail");
}

#[test]
fn a_goodbye_turns_a_peer_offline_at_once() {
    let mut world = World::mesh(3);
    world.command(1, Command::Shutdown).unwrap();
    check(&mut world, 0, 1, Status::Offline);
    check(&mut world, 2, 1, Status::Offline);
    assert!(world.peers[0].events.contains(&Event::PeerLost { peer: world.id(1), goodbye: true }));
}

#[test]
fn the_switch_and_a_taken_slot_turn_a_peer_busy() {
    let mut world = World::mesh(3);
    world.command(1, Command::SetBusy(true)).unwrap();
    world.pass(Millis(500));
    check(&mut world, 0, 1, Status::Busy);
    world.command(1, Command::SetBusy(false)).unwrap();
    world.pass(Millis(500));
    check(&mut world, 0, 1, Status::Idle);
    let task = world.ask(0, 1, Skill::human(), "anybody there?");
    world.pass(Millis(500));
    check(&mut world, 2, 1, Status::Busy);
    world.command(1, Command::Answer { task, output: "yes".into() }).unwrap();
    world.pass(Millis(500));
    check(&mut world, 2, 1, Status::Idle);
}

#[test]
fn a_linked_peer_without_presence_is_unknown() {
    let mut world = World::new(2);
    world.kill(1);
    world.link(0, 1);
    check(&mut world, 0, 1, Status::Unknown);
    assert_eq!(world.snapshot(0).bar.unknown.count, 1);
}

#[test]
fn gossip_that_its_bytes_prove_wrong_is_rejected_and_charged_to_the_forwarder() {
    let mut world = World::mesh(2);
    let seq = u64::MAX - 10;
    let mut forged = sealed(&world, 1, world.presence(seq));
    let last = forged.len() - 1;
    forged[last] ^= 1;
    assert_eq!(world.gossip(1, 0, Topic::Presence, forged), Verdict::Reject);
    assert_eq!(world.gossip(1, 0, Topic::Presence, b"garbage".to_vec()), Verdict::Reject);
    let counters = world.snapshot(0).counters;
    assert_eq!(counters.gossip_rejected, 2);
    let charged = world.peers[0].events.iter().filter(|event| matches!(event, Event::Security { .. })).count();
    assert_eq!(charged, 2);
}

#[test]
fn another_networks_presence_is_forged_here() {
    let mut world = World::mesh(2);
    let body = world.presence(u64::MAX);
    let frame = Signed::seal(world.key(1), &Network::new("other").unwrap(), body).bytes.to_vec();
    assert_eq!(world.gossip(1, 0, Topic::Presence, frame), Verdict::Reject);
    assert_eq!(world.snapshot(0).counters.forged, 1);
}

#[test]
fn replayed_and_expired_presences_are_ignored_and_counted_and_nobody_is_charged() {
    let mut world = World::mesh(2);
    let seq = world.unix().0 + 1_000;
    let first = sealed(&world, 1, world.presence(seq));
    let second = sealed(&world, 1, world.presence(seq + 1));
    assert_eq!(world.gossip(1, 0, Topic::Presence, first.clone()), Verdict::Accept);
    assert_eq!(world.gossip(1, 0, Topic::Presence, second.clone()), Verdict::Accept);
    assert_eq!(world.gossip(1, 0, Topic::Presence, first), Verdict::Ignore);
    assert_eq!(world.gossip(1, 0, Topic::Presence, second), Verdict::Accept, "the one held still travels on");
    let mut old = world.presence(seq + 2);
    old.issued = world.unix() - Millis::secs(300);
    let old = sealed(&world, 1, old);
    assert_eq!(world.gossip(1, 0, Topic::Presence, old), Verdict::Ignore);
    let mut early = world.presence(seq + 3);
    early.issued = world.unix() + Millis::secs(300);
    let early = sealed(&world, 1, early);
    assert_eq!(world.gossip(1, 0, Topic::Presence, early), Verdict::Ignore);
    let counters = world.snapshot(0).counters;
    assert_eq!((counters.replays, counters.expired), (1, 2));
    assert!(!world.peers[0].events.iter().any(|event| matches!(event, Event::Security { .. })));
}

#[test]
fn three_violations_put_a_peer_into_quarantine_that_doubles_and_survives_reconnects() {
    let mut world = World::mesh(2);
    for _ in 0..3 {
        assert_eq!(world.raw_request(1, 0, Protocol::Presence, b"garbage".to_vec()), None);
    }
    let until = world.row(0, 1).unwrap().trust.quarantined_until.expect("in quarantine");
    assert_eq!(until, world.unix() + Millis::secs(3_600));
    world.link(0, 1);
    world.pass(Millis(100));
    assert_eq!(world.row(0, 1).unwrap().path.as_str(), "none", "the new link was closed");
    world.pass(Millis::secs(3_601));
    world.link(0, 1);
    for _ in 0..3 {
        world.raw_request(1, 0, Protocol::Presence, b"garbage".to_vec());
    }
    let until = world.row(0, 1).unwrap().trust.quarantined_until.expect("in quarantine again");
    assert_eq!(until, world.unix() + Millis::secs(7_200));
}

#[test]
fn nobody_wears_the_name_of_somebody_elses_card() {
    let mut world = World::mesh(3);
    let card = world.card_of(1);
    let seq = world.unix().0 + 1_000;
    let body = Presence { card: Some(card), ..world.presence(seq) };
    let frame = sealed(&world, 2, body);
    assert_eq!(world.gossip(2, 0, Topic::Presence, frame), Verdict::Accept);
    world.pass(Millis(300));
    assert_eq!(world.row(0, 2).unwrap().name, None);
    assert_eq!(world.row(0, 1).unwrap().name.as_deref(), Some("peer 1"));
}

#[test]
fn an_old_presence_does_not_bring_back_who_said_goodbye() {
    let mut world = World::mesh(2);
    let seq = world.unix().0 + 1_000;
    let old = sealed(&world, 1, Presence { ttl: Millis::secs(900), ..world.presence(seq) });
    assert_eq!(world.gossip(1, 0, Topic::Presence, old.clone()), Verdict::Accept);
    let bye = sealed(&world, 1, Presence { goodbye: true, ..world.presence(seq + 1) });
    assert_eq!(world.gossip(1, 0, Topic::Presence, bye), Verdict::Accept);
    world.kill(1);
    for _ in 0..30 {
        world.pass(Millis::secs(60));
        assert_eq!(world.gossip(1, 0, Topic::Presence, old.clone()), Verdict::Ignore);
    }
}

#[test]
fn the_bar_sums_to_a_hundred_for_every_mix() {
    let mut world = World::mesh(7);
    for busy in 0..7 {
        world.command(busy, Command::SetBusy(true)).unwrap();
        world.pass(Millis(500));
        let bar = world.snapshot(0).bar;
        assert_eq!(bar.idle.percent + bar.reputable.percent + bar.busy.percent, 100);
        assert_eq!(bar.busy.count, busy as u32 + 1);
        assert_eq!(bar.idle.count, 6 - busy as u32);
    }
}

#[test]
fn quiet_changes_are_shown_within_five_seconds_and_trouble_at_once() {
    let mut world = World::mesh(2);
    world.pass(Millis::secs(6));
    let seq = world.unix().0 + 1_000;
    let frame = sealed(&world, 1, world.presence(seq));
    world.gossip(1, 0, Topic::Presence, frame.clone());
    let renewed = sealed(&world, 1, world.presence(seq + 1));
    world.gossip(1, 0, Topic::Presence, renewed);
    let accepted = world.snapshot(0).counters.gossip_accepted;
    let again = sealed(&world, 1, world.presence(seq + 2));
    world.gossip(1, 0, Topic::Presence, again);
    world.pass(Millis::secs(6));
    assert!(world.snapshot(0).counters.gossip_accepted > accepted, "the second renewal is counted in time");
    let ignored = world.snapshot(0).counters.gossip_ignored;
    world.gossip(1, 0, Topic::Presence, frame);
    assert_eq!(world.snapshot(0).counters.gossip_ignored, ignored + 1);
}
