//! Who asks, signs or forwards too much, and what that does to everybody else.

mod world;

use libp2p_identity::Keypair;
use mycomesh_core::{
    io::{Command, Event, Protocol, Topic, Verdict},
    limits::{NEWCOMER_RATE, OWN_RECEIPT_RATE, PAGES_MAX, PEERS_MAX, PRESENCES_RATE, RECEIPT_RATE},
    snapshot::Status,
    time::Millis,
    units::Bps,
    wire::{
        Card, Network, Presence, Signed, Skill,
        requests::{ObjectsPage, ObjectsRequest, PresenceRequest},
        strict,
    },
};
use world::World;

/// Ahead of every presence that the peer makes by itself.
fn presence(world: &World, n: u64) -> Presence {
    world.presence(world.unix().0 + 1_000_000 + n)
}

fn sealed(key: &Keypair, presence: Presence) -> Vec<u8> {
    Signed::seal(key, &Network::default(), presence).bytes.to_vec()
}

fn is_quarantined(world: &mut World, at: usize, of: usize) -> bool {
    world.row(at, of).is_some_and(|row| row.trust.quarantined_until.is_some())
}

fn is_linked(world: &mut World, at: usize, of: usize) -> bool {
    world.row(at, of).is_some_and(|row| row.path.as_str() != "none")
}

#[track_caller]
fn check_nobody_is_charged(world: &World) {
    for (at, peer) in world.peers.iter().enumerate() {
        let charged: Vec<_> = peer.events.iter().filter(|event| matches!(event, Event::Security { .. })).collect();
        assert!(charged.is_empty(), "peer {at} charged somebody: {charged:?}");
    }
}

/// Three violations, so that nobody takes part in what `of` does from now on.
fn quarantine(world: &mut World, at: usize, of: usize) {
    for _ in 0..3 {
        world.raw_request(of, at, Protocol::Presence, b"garbage".to_vec());
    }
    assert!(is_quarantined(world, at, of));
}

fn pull(after: Option<usize>, world: &World) -> Vec<u8> {
    strict::encode(&PresenceRequest { after: after.map(|at| world.id(at)), mine: None, card: None })
}

#[test]
fn who_signs_fifty_presences_a_second_is_cut_within_five_seconds_and_who_forwarded_some_is_not() {
    let mut world = World::new(3);
    world.link(0, 1);
    world.link(0, 2);
    let mut cut = None;
    for n in 0..250 {
        let frame = sealed(world.key(2), presence(&world, n));
        world.publish(2, Topic::Presence, &frame);
        world.pass(Millis(20));
        if cut.is_none() && !is_linked(&mut world, 0, 2) {
            cut = Some(n);
        }
    }
    assert!(cut.is_some_and(|n| n >= 60), "{cut:?}: not at once, and not later than five seconds");
    assert!(is_quarantined(&mut world, 0, 2));
    assert!(is_linked(&mut world, 1, 0) && !is_quarantined(&mut world, 1, 0) && !is_quarantined(&mut world, 1, 2));
    world.pass(Millis::secs(6));
    assert!(world.snapshot(0).counters.excess_objects > 90);
    let forwarded = world.snapshot(1).counters.gossip_accepted;
    assert!((60..110).contains(&forwarded), "{forwarded} went on to others: the burst and no more");
}

#[test]
fn who_signs_the_same_sequence_again_and_again_is_cut_too() {
    let mut world = World::mesh(2);
    for n in 0..250 {
        let body = Presence { free_slots: n % 60, ..presence(&world, 0) };
        let body = Presence { seq: 5, ..body };
        let frame = sealed(world.key(1), body);
        world.gossip(1, 0, Topic::Presence, frame);
        world.pass(Millis(20));
    }
    assert!(is_quarantined(&mut world, 0, 1));
}

#[test]
fn an_owner_who_plays_with_every_switch_is_never_charged() {
    let mut world = World::mesh(3);
    for n in 0..1_200_u32 {
        world.command(1, Command::SetBusy(n % 2 == 0)).unwrap();
        world.command(1, Command::SetHidden(n % 3 == 0)).unwrap();
        let skills = [Skill::echo()].into();
        world.command(1, Command::SetProfile { name: format!("n{n}"), skills, slots: 1 + n % 9 }).unwrap();
        world.pass(Millis(50));
    }
    world.command(1, Command::SetBusy(false)).unwrap();
    world.pass(Millis::secs(31));
    check_nobody_is_charged(&world);
    let row = world.row(0, 1).unwrap();
    assert_eq!((row.status, row.slots_free, row.name.as_deref()), (Status::Idle, 1 + 1_199 % 9, Some("n1199")));
    assert_eq!(world.snapshot(0).counters.requests_refused, 0);
}

#[test]
fn a_page_hidden_and_shown_in_a_hurry_is_never_charged() {
    let mut world = World::mesh(2);
    for n in 0..500_u32 {
        world.command(1, Command::SetHidden(n % 2 == 0)).unwrap();
        world.pass(Millis(20));
    }
    check_nobody_is_charged(&world);
    assert_eq!(world.snapshot(0).counters.excess_objects, 0);
}

#[test]
fn presences_that_somebody_held_back_and_lets_out_at_once_are_no_fault_of_their_signer() {
    let mut world = World::new(3);
    world.link(0, 1);
    let mut held = Vec::new();
    for n in 0..500 {
        held.push(sealed(world.key(2), presence(&world, n)));
        world.pass(Millis(200));
    }
    let verdicts: Vec<_> = held.into_iter().map(|frame| world.gossip(1, 0, Topic::Presence, frame)).collect();
    assert!(verdicts.contains(&Verdict::Ignore), "not all are taken at once");
    assert!(!verdicts.contains(&Verdict::Reject));
    check_nobody_is_charged(&world);
    world.pass(Millis::secs(1));
    let fresh = sealed(world.key(2), presence(&world, 1_000));
    assert_eq!(world.gossip(1, 0, Topic::Presence, fresh), Verdict::Accept, "a second later there is room again");
}

#[test]
fn what_is_played_again_does_not_silence_its_signer() {
    let mut world = World::mesh(3);
    let old: Vec<_> = (0..200).map(|n| sealed(world.key(2), presence(&world, n))).collect();
    let newest = sealed(world.key(2), presence(&world, 500));
    assert_eq!(world.gossip(1, 0, Topic::Presence, newest), Verdict::Accept);
    for frame in old {
        assert_eq!(world.gossip(1, 0, Topic::Presence, frame), Verdict::Ignore);
    }
    let next = sealed(world.key(2), presence(&world, 501));
    assert_eq!(world.gossip(1, 0, Topic::Presence, next), Verdict::Accept);
    check_nobody_is_charged(&world);
}

#[test]
fn a_flood_of_invented_peers_pushes_out_nobody_who_was_here() {
    let neighbours = 2 + PEERS_MAX / NEWCOMER_RATE.burst as usize;
    let mut world = World::mesh(neighbours);
    let stranger = Keypair::ed25519_from_bytes([250; 32]).unwrap();
    let frame = sealed(&stranger, Presence { ttl: Millis::secs(600), ..presence(&world, 0) });
    world.gossip(1, 0, Topic::Presence, frame);
    world.pass(Millis::secs(5));
    let before = world.snapshot(0).peers.total;
    let body = presence(&world, 0);
    for from in 1..neighbours {
        for n in 0..NEWCOMER_RATE.burst + 50 {
            let mut seed = [200; 32];
            seed[..4].copy_from_slice(&n.to_be_bytes());
            seed[4] = from as u8;
            let key = Keypair::ed25519_from_bytes(seed).unwrap();
            world.gossip_to_one(from, 0, Topic::Presence, sealed(&key, body.clone()));
        }
    }
    let counters = world.snapshot(0).counters;
    assert!(counters.excess_objects >= 50 * (neighbours as u64 - 1), "each neighbour's flood ends at its burst");
    assert!(world.snapshot(0).peers.total <= PEERS_MAX && world.snapshot(0).peers.total > before);
    let lost = world.peers[0].events.iter().filter_map(|event| match event {
        Event::PeerLost { peer, .. } => Some(*peer),
        _ => None,
    });
    let lost: Vec<_> = lost.collect();
    assert!(!lost.is_empty(), "the table was full: this shows that the test can fail");
    assert!(!lost.contains(&stranger.public().to_peer_id()), "who was heard of before the flood stays");
    for at in 1..neighbours {
        assert!(!lost.contains(&world.id(at)), "neighbour {at} was pushed out");
    }
    check_nobody_is_charged(&world);
}

#[test]
fn what_a_peer_in_quarantine_signed_is_ignored_whoever_forwards_it() {
    let mut world = World::mesh(3);
    let task = world.ask(2, 1, Skill::echo(), "x");
    quarantine(&mut world, 0, 2);
    let frame = sealed(world.key(2), presence(&world, 0));
    assert_eq!(world.gossip(1, 0, Topic::Presence, frame), Verdict::Ignore);
    world.command(2, Command::Rate { task, quality: Bps::ONE }).unwrap();
    world.pass(Millis::secs(1));
    assert_eq!(world.row(1, 1), None);
    assert_eq!(world.snapshot(1).me.trust.receipts, 1, "the receipt travelled");
    assert_eq!(world.row(0, 1).unwrap().trust.receipts, 0, "and does not count where its signer is in quarantine");
    let before = world.snapshot(0).counters.quarantined_objects;
    assert!(before >= 2, "a presence and a receipt");
    world.cut(0, 1);
    world.link(0, 1);
    world.pass(Millis::secs(1));
    assert_eq!(world.row(0, 1).unwrap().trust.receipts, 0, "pulling brings it no more");
    assert!(world.snapshot(0).counters.quarantined_objects > before);
    assert!(!is_quarantined(&mut world, 0, 1), "who forwards it is not to blame");

    world.pass(Millis::secs(3_601));
    world.cut(0, 1);
    world.link(0, 1);
    world.pass(Millis::secs(1));
    assert_eq!(world.row(0, 1).unwrap().trust.receipts, 1, "after the quarantine it counts");
}

#[test]
fn the_card_of_a_peer_in_quarantine_is_not_taken() {
    let mut world = World::mesh(3);
    quarantine(&mut world, 0, 2);
    let card = Card { issued: world.unix(), name: "spam".into(), skills: Vec::new() };
    let card = Signed::seal(world.key(2), &Network::default(), card);
    let request = PresenceRequest { after: None, mine: None, card: Some(serde_bytes::ByteBuf::from(&card.bytes[..])) };
    let get = strict::encode(&ObjectsRequest::Get(vec![card.cid]));
    let held = |world: &mut World, at: usize| {
        let answer = world.raw_request(1, at, Protocol::Objects, get.clone()).unwrap();
        strict::decode::<ObjectsPage>(&answer, 1 << 20).unwrap().objects.len()
    };
    for at in [0, 1] {
        world.raw_request(1, at, Protocol::Presence, strict::encode(&request)).unwrap();
    }
    assert_eq!((held(&mut world, 0), held(&mut world, 1)), (0, 1));
}

#[test]
fn a_whole_pull_is_answered_and_then_requests_above_the_rate_are_refused_unread() {
    let mut world = World::mesh(3);
    for _ in 0..PAGES_MAX {
        assert!(world.raw_request(1, 0, Protocol::Presence, pull(Some(2), &world)).is_some());
    }
    let more = (0..1_000).take_while(|_| world.raw_request(1, 0, Protocol::Presence, pull(None, &world)).is_some());
    assert!(more.count() < 1_000, "it never ends");
    assert_eq!(world.raw_request(1, 0, Protocol::Presence, b"garbage".to_vec()), None);
    check_nobody_is_charged(&world);
    assert_eq!(world.snapshot(0).counters.excess_requests, 2);
    assert!(world.raw_request(2, 0, Protocol::Presence, pull(None, &world)).is_some(), "others are not concerned");
    world.pass(Millis::secs(1));
    assert!(world.raw_request(1, 0, Protocol::Presence, pull(None, &world)).is_some(), "nor is it, a moment later");
}

#[test]
fn who_goes_on_asking_above_the_rate_is_cut() {
    let mut world = World::mesh(2);
    for _ in 0..PRESENCES_RATE.burst + 3 * PRESENCES_RATE.violation.unwrap() {
        world.raw_request(1, 0, Protocol::Presence, pull(None, &world));
    }
    assert!(is_quarantined(&mut world, 0, 1));
    assert!(!is_linked(&mut world, 0, 1));
}

#[test]
fn links_that_flap_do_not_make_a_newcomer_a_spammer() {
    let mut world = World::mesh(12);
    for _ in 0..300 {
        world.cut(0, 1);
        world.pass(Millis(100));
        world.link(0, 1);
        world.pass(Millis(100));
    }
    check_nobody_is_charged(&world);
    assert_eq!(world.row(0, 1).unwrap().status, Status::Idle);
}

#[test]
fn a_program_that_rates_fast_is_heard_in_full_a_little_later() {
    let mut world = World::mesh(6);
    let times = RECEIPT_RATE.burst * 2;
    let tasks: Vec<_> = (0..times as usize).map(|n| world.ask(1, 2 + n % 4, Skill::echo(), "x")).collect();
    for task in &tasks {
        world.command(1, Command::Rate { task: *task, quality: Bps::ONE }).unwrap();
        world.pass(Millis(10));
    }
    let heard = |world: &World| {
        world.peers[0].events.iter().filter(|event| matches!(event, Event::Receipt { .. })).count() as u32
    };
    let soon = heard(&world);
    assert!(soon < 40, "{soon}: others hear of them at a rate they can take");
    world.pass(Millis::secs(u64::from(times / OWN_RECEIPT_RATE.per_second)));
    assert_eq!(world.snapshot(0).counters.excess_objects, 0);
    assert_eq!(heard(&world), times);
    check_nobody_is_charged(&world);
}
