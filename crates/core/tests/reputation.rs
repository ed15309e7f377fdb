//! Trust: where it starts, what raises it, and what it cannot be made to do.

mod world;

use mycomesh_core::{
    BALANCED, FLOOR,
    io::{Command, Topic, Verdict},
    snapshot::Status,
    time::Millis,
    units::Bps,
    verify_receipt, weighted,
    wire::{
        Acceptance, Delivery, Network, Outcome, Rating, Signed, Skill, Submission, TaskId,
        signed::{Strict, cid_of_raw},
    },
};
use world::World;

/// `rater` asks `provider` for an echo `times` times and rates each.
fn rate(world: &mut World, rater: usize, provider: usize, times: usize, quality: Bps) {
    for _ in 0..times {
        let task = world.ask(rater, provider, Skill::echo(), "x");
        world.command(rater, Command::Rate { task, quality }).unwrap();
    }
}

#[test]
fn the_seeds_formula_sums_to_one_and_spreads_the_weight_of_what_is_missing() {
    assert_eq!(BALANCED.weights.iter().map(|(_, weight)| weight.get()).sum::<u64>(), 10_000);
    assert_eq!(weighted(&BALANCED, [Some(Bps::ONE); 5]), Some(Bps::ONE));
    assert_eq!(weighted(&BALANCED, [Some(Bps::ZERO); 5]), Some(Bps::ZERO));
    let p = |percent| Some(Bps::percent(percent));
    assert_eq!(weighted(&BALANCED, [p(90), p(80), p(70), p(60), p(50)]), p(75));
    assert_eq!(weighted(&BALANCED, [p(90), None, None, None, p(50)]), p(80));
    assert_eq!(weighted(&BALANCED, [None; 5]), None);
}

#[test]
fn a_newcomer_starts_at_the_floor() {
    let mut world = World::mesh(2);
    let row = world.row(0, 1).unwrap();
    assert_eq!((row.trust.score, row.status), (FLOOR, Status::Idle));
}

#[test]
fn four_strangers_with_five_good_receipts_each_make_a_peer_reputable_for_somebody_who_never_asked() {
    let mut world = World::mesh(6);
    for rater in 1..=4 {
        rate(&mut world, rater, 5, 5, Bps::ONE);
    }
    world.pass(Millis::secs(1));
    let row = world.row(0, 5).unwrap();
    assert_eq!((row.trust.receipts, row.trust.signers), (20, 4));
    assert_eq!(row.status, Status::Reputable, "score {}", row.trust.score);
    assert_eq!(world.snapshot(0).bar.reputable.count, 1);
}

#[test]
fn a_latecomer_learns_of_all_receipts_by_pulling_them() {
    let mut world = World::new(7);
    for a in 0..6 {
        for b in a + 1..6 {
            world.link(a, b);
        }
    }
    for rater in 1..=4 {
        rate(&mut world, rater, 5, 5, Bps::ONE);
    }
    world.link(6, 0);
    world.pass(Millis::secs(1));
    assert_eq!(world.row(6, 5).unwrap().status, Status::Reputable);
}

#[test]
fn one_signer_counts_no_more_for_twenty_receipts_than_for_five() {
    let mut world = World::mesh(3);
    rate(&mut world, 1, 2, 5, Bps::ONE);
    world.pass(Millis::secs(1));
    let five = world.row(0, 2).unwrap().trust.score;
    rate(&mut world, 1, 2, 15, Bps::ONE);
    world.pass(Millis::secs(1));
    let twenty = world.row(0, 2).unwrap().trust;
    assert_eq!((twenty.score, twenty.receipts), (five, 20));
    assert!(twenty.score < Bps::percent(70));
}

#[test]
fn bad_ratings_never_push_below_the_floor_and_good_ones_fade() {
    let mut world = World::mesh(2);
    rate(&mut world, 0, 1, 3, Bps::ZERO);
    let bad = world.row(0, 1).unwrap().trust.score;
    assert!(bad >= FLOOR);
    rate(&mut world, 0, 1, 10, Bps::ONE);
    let good = world.row(0, 1).unwrap().trust.score;
    assert!(good > bad);
    world.tick_every = Millis::secs(3_600);
    world.pass(Millis::secs(60 * 24 * 3_600));
    let faded = world.row(0, 1).unwrap().trust;
    assert!(faded.score < good, "{} after sixty days, {good} before", faded.score);
    assert!(faded.evidence[0].weight < Bps::percent(60) && faded.evidence[0].weight > Bps::percent(50));
}

#[test]
fn the_word_of_somebody_i_trust_weighs_more() {
    let mut world = World::mesh(4);
    rate(&mut world, 1, 3, 1, Bps::ONE);
    world.pass(Millis::secs(1));
    let from_stranger = world.row(0, 3).unwrap().trust;
    rate(&mut world, 0, 1, 5, Bps::ONE);
    world.pass(Millis::secs(1));
    let from_friend = world.row(0, 3).unwrap().trust;
    assert!(from_friend.score > from_stranger.score);
    assert!(from_friend.evidence[0].weight > from_stranger.evidence[0].weight);
}

/// A receipt signed by peer 1 about peer 2, changed by `twist` before it is signed.
fn receipt(world: &World, twist: impl FnOnce(&mut Rating)) -> Vec<u8> {
    let network = Network::default();
    let (created, task) = (world.unix(), TaskId([7; 16]));
    let deadline = created + Millis::secs(60);
    let submission = Signed::seal(
        world.key(1),
        &network,
        Submission { created, deadline, input: "x".into(), skill: Skill::echo(), task, to: world.id(2) },
    );
    let acceptance = Signed::seal(
        world.key(2),
        &network,
        Acceptance {
            at: created,
            deadline,
            requester: world.id(1),
            skill: Skill::echo(),
            submission: submission.cid,
            task,
        },
    );
    let delivery = Signed::seal(
        world.key(2),
        &network,
        Delivery {
            acceptance: acceptance.cid,
            at: created,
            outcome: Outcome::Completed,
            requester: world.id(1),
            result: cid_of_raw(b"x"),
            size: 1,
            task,
        },
    );
    let mut rating = Rating {
        acceptance: acceptance.bytes.to_vec(),
        at: created,
        delivery: Some(delivery.bytes.to_vec()),
        outcome: Outcome::Completed,
        provider: world.id(2),
        quality: Bps::ONE,
        skill: Skill::echo(),
        task,
        timeliness: Bps::ONE,
    };
    twist(&mut rating);
    Signed::seal(world.key(1), &network, rating).bytes.to_vec()
}

#[track_caller]
fn check_rejected(twist: impl FnOnce(&World, &mut Rating)) {
    let mut world = World::mesh(3);
    let bytes = receipt(&world, |rating| twist(&world, rating));
    assert!(verify_receipt(&bytes, &Network::default(), &Strict).is_err());
    assert_eq!(world.gossip(1, 0, Topic::Receipts, bytes), Verdict::Reject);
    assert_eq!(world.row(0, 2).unwrap().trust.receipts, 0);
}

#[test]
fn an_honest_receipt_verifies_alone_and_counts_once() {
    let mut world = World::mesh(3);
    let bytes = receipt(&world, |_| {});
    verify_receipt(&bytes, &Network::default(), &Strict).expect("honest");
    assert_eq!(world.gossip(1, 0, Topic::Receipts, bytes), Verdict::Accept);
    assert_eq!(world.row(0, 2).unwrap().trust.receipts, 1);
    let second = receipt(&world, |rating| rating.quality = Bps::ZERO);
    assert_eq!(world.gossip(1, 0, Topic::Receipts, second), Verdict::Ignore, "the first word on a task stands");
    assert_eq!(world.row(0, 2).unwrap().trust.receipts, 1);
}

#[test]
fn a_receipt_with_a_later_versions_outcome_is_ignored_and_nobody_is_charged() {
    use ipld_core::ipld::Ipld;
    use mycomesh_core::{io::Event, wire::strict};
    use std::collections::BTreeMap;
    let mut world = World::mesh(3);
    let honest = receipt(&world, |_| {});
    let signed = Signed::<Rating>::open(&honest, &Network::default(), &Strict).unwrap();
    let mut tree: BTreeMap<String, Ipld> = strict::decode(&strict::encode(&signed.body), 1 << 16).unwrap();
    tree.insert("outcome".into(), Ipld::String("partial".into()));
    let later: Rating = strict::decode(&strict::encode(&tree), 1 << 16).unwrap();
    assert_eq!(later.outcome, Outcome::Other);
    let bytes = receipt(&world, |rating| *rating = later);
    assert_eq!(world.gossip(1, 0, Topic::Receipts, bytes), Verdict::Ignore);
    assert!(!world.peers[0].events.iter().any(|event| matches!(event, Event::Security { .. })));
}

#[test]
fn a_receipt_that_contradicts_what_it_embeds_is_rejected() {
    check_rejected(|world, rating| rating.provider = world.id(1));
    check_rejected(|world, rating| rating.provider = world.id(0));
    check_rejected(|_, rating| rating.task = TaskId([8; 16]));
    check_rejected(|_, rating| rating.skill = Skill::human());
    check_rejected(|_, rating| rating.outcome = Outcome::Failed);
    check_rejected(|_, rating| rating.delivery = None);
    check_rejected(|_, rating| {
        rating.delivery = None;
        rating.outcome = Outcome::Expired;
    });
    check_rejected(|_, rating| rating.acceptance[10] ^= 1);
}
