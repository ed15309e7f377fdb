//! `storage_bytes_max`: what is kept stays within it, and what is given up first.

mod world;

use libp2p_identity::{Keypair, PeerId};
use mycomesh_core::{
    Config,
    io::{Command, CommandError, StoreTable, Topic},
    limits::INPUT_BYTES_MAX,
    time::{Millis, UnixMillis},
    units::Bps,
    wire::{Acceptance, Delivery, Network, Object, Outcome, Signed, Skill, TaskId, signed::Kind, signed::cid_of_raw},
};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use world::World;

const MIB: u64 = 1024 * 1024;

fn small() -> Config {
    Config { reserve: false, storage_bytes_max: 16 * MIB, ..Config::default() }
}

fn world(peers: usize, config: impl Fn(usize) -> Config) -> World {
    let mut world = World::with(peers, config);
    for a in 0..peers {
        for b in a + 1..peers {
            world.link(a, b);
        }
    }
    world
}

/// Bytes in the store: keys and values.
fn stored(world: &World, at: usize, table: StoreTable) -> u64 {
    let records = world.peers[at].store.iter().filter(|((of, _), _)| *of == table);
    records.map(|((_, key), value)| (key.len() + value.len()) as u64).sum()
}

fn records(world: &World, at: usize, table: StoreTable) -> usize {
    world.peers[at].store.keys().filter(|(of, _)| *of == table).count()
}

#[test]
fn tasks_stay_within_their_part_and_the_oldest_that_ended_go() {
    let mut world = world(2, |_| small());
    let (max, text) = (small().tasks_bytes_max(), "x".repeat(INPUT_BYTES_MAX));
    let mut asked = Vec::new();
    for _ in 0..100 {
        asked.push(world.ask(0, 1, Skill::echo(), &text));
        world.pass(Millis(100));
        for at in [0, 1] {
            assert!(stored(&world, at, StoreTable::Tasks) <= max, "{} of {max}", stored(&world, at, StoreTable::Tasks));
        }
    }
    for at in [0, 1] {
        let kept = records(&world, at, StoreTable::Tasks);
        assert!((30..100).contains(&kept), "{kept} of a hundred");
        let view = world.snapshot(at);
        assert_eq!(view.tasks.total, kept);
        assert!(
            view.tasks.rows.iter().any(|row| row.id == asked[99])
                && !view.tasks.rows.iter().any(|row| row.id == asked[0])
        );
        assert!(view.storage.tasks_bytes >= stored(&world, at, StoreTable::Tasks) && view.storage.tasks_bytes <= max);
        assert_eq!(view.storage.tasks_bytes_max, max);
    }
}

#[test]
fn tasks_under_way_are_never_given_up_so_no_more_are_let_in() {
    let mut world = world(2, |_| small());
    world.kill(1);
    let ask = Command::Ask {
        to: world.id(1),
        skill: Skill::echo(),
        input: "x".repeat(INPUT_BYTES_MAX),
        timeout: Millis::secs(3_600),
    };
    let mut asked = 0;
    let refused = loop {
        match world.command(0, ask.clone()) {
            Ok(_) => asked += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(refused, CommandError::Full("tasks"));
    assert!((20..100).contains(&asked), "{asked}, with room kept for each one's result");
    assert_eq!(world.snapshot(0).tasks.total, asked);
}

#[test]
fn results_that_come_in_later_find_their_place_within_the_limit() {
    let mut world = world(2, |_| small());
    let (max, text) = (small().tasks_bytes_max(), "x".repeat(INPUT_BYTES_MAX));
    let skills = [Skill::echo()].into();
    world.command(1, Command::SetProfile { name: String::new(), skills, slots: 64 }).unwrap();
    for _ in 0..70 {
        world.ask(0, 1, Skill::echo(), &text);
        world.pass(Millis(100));
    }
    world.jobs_hang = true;
    for _ in 0..60 {
        let ask =
            Command::Ask { to: world.id(1), skill: Skill::echo(), input: text.clone(), timeout: Millis::secs(3_600) };
        // Refused once there is no room for another result.
        let _ = world.command(0, ask);
        world.pass(Millis(100));
    }
    world.jobs_hang = false;
    world.kill(1);
    world.restart(1);
    world.link(0, 1);
    world.pass(Millis::secs(60));
    for at in [0, 1] {
        let used = stored(&world, at, StoreTable::Tasks);
        assert!(used <= max, "peer {at}: {used} of {max}");
    }
}

/// A rating with padding of a later version.
#[derive(Serialize, Deserialize)]
struct Padded {
    acceptance: ByteBuf,
    at: UnixMillis,
    delivery: Option<ByteBuf>,
    outcome: Outcome,
    padding: ByteBuf,
    provider: PeerId,
    quality: Bps,
    skill: Skill,
    task: TaskId,
    timeliness: Bps,
}

impl Object for Padded {
    const KIND: Kind = Kind::Rating;
    const BYTES_MAX: usize = 8 * 1024;
    fn within_limits(&self) -> bool {
        true
    }
}

/// A receipt of some 7 KiB by an invented signer about an invented provider.
fn invented(world: &World, n: u16) -> Vec<u8> {
    let key = |role: u8| {
        let mut seed = [role; 32];
        seed[..2].copy_from_slice(&n.to_be_bytes());
        Keypair::ed25519_from_bytes(seed).unwrap()
    };
    let (signer, provider, network) = (key(100), key(101), Network::default());
    let (requester, at, skill) = (signer.public().to_peer_id(), world.unix(), Skill::echo());
    let mut id = [0; 16];
    id[..2].copy_from_slice(&n.to_be_bytes());
    let task = TaskId(id);
    let (deadline, submission) = (at + Millis::secs(60), cid_of_raw(b"submission"));
    let acceptance = Signed::seal(
        &provider,
        &network,
        Acceptance { at, deadline, requester, skill: skill.clone(), submission, task },
    );
    let delivery = Delivery {
        acceptance: acceptance.cid,
        at,
        outcome: Outcome::Completed,
        requester,
        result: cid_of_raw(b"x"),
        size: 1,
        task,
    };
    let delivery = Signed::seal(&provider, &network, delivery);
    let rating = Padded {
        acceptance: ByteBuf::from(&acceptance.bytes[..]),
        at,
        delivery: Some(ByteBuf::from(&delivery.bytes[..])),
        outcome: Outcome::Completed,
        padding: ByteBuf::from(vec![0; 6 * 1024]),
        provider: provider.public().to_peer_id(),
        quality: Bps::ONE,
        skill,
        task,
        timeliness: Bps::ONE,
    };
    Signed::seal(&signer, &network, rating).bytes.to_vec()
}

fn flood(world: &mut World, at: usize, times: u16) {
    for n in 0..times {
        let receipt = invented(world, n);
        world.gossip_to_one(1, at, Topic::Receipts, receipt);
    }
    world.pass(Millis::secs(6));
}

#[test]
fn a_flood_of_invented_receipts_stays_within_its_part_and_costs_nobody_known_a_receipt() {
    let mut world = world(3, |_| small());
    for (rater, provider) in [(0, 1), (0, 2), (1, 0), (1, 2)] {
        let task = world.ask(rater, provider, Skill::echo(), "x");
        world.command(rater, Command::Rate { task, quality: Bps::ONE }).unwrap();
        world.pass(Millis::secs(1));
    }
    let known = |world: &mut World| {
        let about = |world: &mut World, of| world.row(0, of).unwrap().trust.receipts;
        (world.snapshot(0).me.trust.receipts, about(world, 1), about(world, 2))
    };
    assert_eq!(known(&mut world), (1, 1, 2));
    flood(&mut world, 0, 800);
    let (max, used) = (small().receipts_bytes_max(), stored(&world, 0, StoreTable::Receipts));
    assert!(used <= max && used > max - 10_000, "{used} of {max}: it is full");
    assert!(records(&world, 0, StoreTable::Receipts) < 800, "not all found a place");
    assert_eq!(known(&mut world), (1, 1, 2), "mine, those about me, and those of somebody I rated");
    let storage = world.snapshot(0).storage;
    assert_eq!((storage.receipts_bytes, storage.receipts_bytes_max), (used, max), "and it is shown");
}

#[test]
fn a_limit_that_was_lowered_holds_from_the_next_start() {
    let roomy = || Config { storage_bytes_max: 64 * MIB, ..small() };
    let mut world = world(2, |_| roomy());
    let text = "x".repeat(INPUT_BYTES_MAX);
    for _ in 0..80 {
        world.ask(0, 1, Skill::echo(), &text);
    }
    flood(&mut world, 0, 800);
    let used = |world: &World| (stored(world, 0, StoreTable::Tasks), stored(world, 0, StoreTable::Receipts));
    let (tasks, receipts) = used(&world);
    assert!(tasks > small().tasks_bytes_max() && receipts > small().receipts_bytes_max());
    world.kill(0);
    world.restart_with(0, small());
    let (tasks, receipts) = used(&world);
    assert!(tasks <= small().tasks_bytes_max() && receipts <= small().receipts_bytes_max(), "{tasks} and {receipts}");
}

#[test]
fn a_limit_too_small_for_anything_is_refused() {
    let tiny = Config { storage_bytes_max: MIB, ..Config::default() };
    assert_eq!(tiny.check().unwrap_err().key, "storage_bytes_max");
    let default = Config::default();
    assert_eq!(default.tasks_bytes_max() + default.receipts_bytes_max(), default.storage_bytes_max);
}
