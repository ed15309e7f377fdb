//! kill -9, again and again, at moments that a seed chooses: what was acknowledged is there after each, and nothing else
//! is damaged.
//!
//! This is about processes that die. What the kernel had taken over by then still reaches the disk, so it says nothing
//! about a machine that loses its power.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use mycomesh_tests::{Peer, PeerFlags, Relay, RelayFlags};
use serde_json::json;
use tokio::sync::mpsc;

use crate::{
    remains::{Receipts, remains},
    visitor::Visitor,
};

/// Kills of each process. A hundred is what the project promises.
const KILLS: usize = 100;
/// One in so many comes while the process still starts.
const EARLY: usize = 4;
/// The latest moment of an early kill, in milliseconds after the start: about when it is ready on an idle machine.
const EARLY_MS_MAX: u64 = 60;
/// What was acknowledged at most before a kill.
const ACKNOWLEDGED_MAX: u64 = 4;
/// The longest that is waited after that, in milliseconds, so that the kill comes anywhere within a task.
const LATER_MS_MAX: u64 = 25;
/// Tasks at a time in each direction of the visitor's.
const LANES: usize = 3;
/// Seconds that a task may take. One whose requester died ends by it.
const TASK_TIMEOUT_S: u64 = 60;
/// Replays every choice below.
const SEED: u64 = 2_026;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_killed_again_and_again_keeps_every_receipt_it_acknowledged() {
    let folder = tempfile::tempdir().expect("a folder");
    // A peer of several takes a folder of its number.
    let data = folder.path().join("0");
    let flags = || PeerFlags {
        dir: Some(folder.path()),
        listens: true,
        skills: "echo",
        slots: 32,
        brief: true,
        ..PeerFlags::default()
    };
    let mut dice = Dice(SEED);
    let mut acknowledged = BTreeSet::new();
    let mut seen = Receipts::new();
    let mut id = None;
    let mut starts = Vec::new();
    for kill in 0..=KILLS {
        let began = Instant::now();
        let mut peer = Peer::start(flags()).await;
        starts.push(began.elapsed());
        assert_eq!(*id.get_or_insert(peer.id.clone()), peer.id, "it is the same peer after {kill} kills");
        let visitor = Visitor::start(Vec::new()).await;
        visitor.visit(&mut peer).await;
        // Everything that it has, it hands to whoever connects.
        visitor.holds(&acknowledged, &format!("after {kill} kills")).await;
        if kill == KILLS {
            break;
        }
        acknowledged.extend(work(&mut peer, &visitor, &mut dice).await);
        peer.kill().await;
        visitor.stop().await;
        let left = remains(&data, &mut seen).unwrap_or_else(|why| panic!("after {} kills: {why}", kill + 1));
        assert!(left.database, "there was a database");
        if kill % EARLY == 0 {
            Peer::start_and_kill(flags(), Duration::from_millis(dice.upto(EARLY_MS_MAX))).await;
            remains(&data, &mut seen).unwrap_or_else(|why| panic!("killed while it started: {why}"));
        }
    }
    starts.sort_unstable();
    println!(
        "a node killed {KILLS} times, and {} times more while it started: {} receipts acknowledged and kept; it was ready \
         after {:.0?} (median), {:.0?} at most",
        KILLS.div_ceil(EARLY),
        acknowledged.len(),
        starts[starts.len() / 2],
        starts[starts.len() - 1],
    );
}

/// Both ask each other and rate until so many receipts are acknowledged, and a moment longer. Gives the tasks of those.
async fn work(peer: &mut Peer, visitor: &Visitor, dice: &mut Dice) -> Vec<String> {
    let (acknowledge, mut acknowledged) = mpsc::unbounded_channel();
    let id = peer.id.clone();
    let enough = 1 + dice.upto(ACKNOWLEDGED_MAX - 1);
    let later = Duration::from_millis(dice.upto(LATER_MS_MAX));
    let theirs = async {
        loop {
            let task = peer.ask(&visitor.id, "echo", "from the one that is killed", TASK_TIMEOUT_S).await;
            peer.ends(&task).await;
            let rated = peer.tell(json!({ "do": "rate", "task": task, "quality": 8_000 })).await;
            rated.unwrap_or_else(|error| panic!("rating {task} failed: {error}"));
            let _ = acknowledge.send(task);
        }
    };
    let lanes = futures::future::join_all((0..LANES).map(|_| async {
        loop {
            let task = visitor.rated_task(&id, TASK_TIMEOUT_S).await;
            visitor.handed_over(&task).await;
            let _ = acknowledge.send(task.to_string());
        }
    }));
    let mut tasks = Vec::new();
    let enough = async {
        while (tasks.len() as u64) < enough {
            tasks.extend(acknowledged.recv().await);
        }
        tokio::time::sleep(later).await;
    };
    tokio::select! {
        () = enough => {}
        () = theirs => {}
        _ = lanes => {}
    }
    // What came meanwhile was acknowledged, too.
    while let Ok(task) = acknowledged.try_recv() {
        tasks.push(task);
    }
    tasks
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_is_killed_again_and_again_keeps_its_identity_and_what_it_had_stored() {
    let mut dice = Dice(SEED + 1);
    let mut relay = Relay::start_with(RelayFlags::default()).await;
    let (id, certificate) = (relay.peer_id.clone(), certificate(&relay));
    let mut seen = Receipts::new();
    let mut kept = BTreeSet::new();
    let mut starts = Vec::new();
    for kill in 1..=KILLS {
        // Both join through the relay and go direct from there; what they rate spreads by the relay's gossip.
        let via = vec![relay.address("tcp").parse().expect("an address")];
        let (provider, requester) = (Visitor::start(via.clone()).await, Visitor::start(via).await);
        provider.holds(&kept, &format!("after {} kills", kill - 1)).await;
        requester.sees(&provider.id).await;
        for _ in 0..=dice.upto(ACKNOWLEDGED_MAX) {
            requester.rated_task(&provider.id, TASK_TIMEOUT_S).await;
        }
        tokio::time::sleep(Duration::from_millis(dice.upto(LATER_MS_MAX))).await;
        relay.kill().await;
        provider.stop().await;
        requester.stop().await;

        let left = remains(&relay.data(), &mut seen).unwrap_or_else(|why| panic!("after {kill} kills: {why}"));
        let lost: Vec<_> = kept.difference(&left.tasks).collect();
        assert!(lost.is_empty(), "lost after {kill} kills: {lost:?}");
        kept = left.tasks;
        if kill % EARLY == 0 {
            relay.restart_and_kill(Duration::from_millis(dice.upto(EARLY_MS_MAX))).await;
            remains(&relay.data(), &mut seen).unwrap_or_else(|why| panic!("killed while it started: {why}"));
        }
        let began = Instant::now();
        relay.restart().await;
        starts.push(began.elapsed());
        assert_eq!(relay.peer_id, id, "it is the same relay after {kill} kills");
        assert_eq!(self::certificate(&relay), certificate, "browsers reach it as before after {kill} kills");
    }
    starts.sort_unstable();
    println!(
        "a relay killed {KILLS} times, and {} times more while it started: {} receipts stored and kept; it was ready after \
         {:.0?} (median), {:.0?} at most",
        KILLS / EARLY,
        kept.len(),
        starts[starts.len() / 2],
        starts[starts.len() - 1],
    );
    assert!(kept.len() > KILLS, "it stored about what it heard, not only {}", kept.len());
}

#[tokio::test]
async fn a_first_start_that_is_cut_short_anywhere_leaves_nothing_in_the_way_of_the_next() {
    let mut dice = Dice(SEED + 2);
    let mut left_behind = BTreeMap::new();
    for _ in 0..KILLS / EARLY {
        let folder = tempfile::tempdir().expect("a folder");
        let flags = || PeerFlags { dir: Some(folder.path()), brief: true, ..PeerFlags::default() };
        Peer::start_and_kill(flags(), Duration::from_millis(dice.upto(EARLY_MS_MAX))).await;
        let files = std::fs::read_dir(folder.path().join("0")).map_or(0, Iterator::count);
        *left_behind.entry(files).or_insert(0) += 1;
        let first = Peer::start(flags()).await;
        let id = first.id.clone();
        first.kill().await;
        assert_eq!(Peer::start(flags()).await.id, id, "it made itself an identity and kept it");
    }
    println!("first starts cut short, by the number of files they left: {left_behind:?}");
}

/// The hash by which browsers know the relay's WebRTC certificate.
fn certificate(relay: &Relay) -> String {
    let parts: Vec<_> = relay.address("webrtc-direct").split('/').collect();
    let at = parts.iter().position(|part| *part == "certhash").expect("a hash");
    parts[at + 1].to_owned()
}

/// A small generator whose numbers are the same in every run (SplitMix64).
struct Dice(u64);

impl Dice {
    /// A number from 0 to `max`.
    fn upto(&mut self, max: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % (max + 1)
    }
}
