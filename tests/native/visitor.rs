//! A node in the test's own process that visits another, asks it, and takes every receipt that it has.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt as _;
use libp2p::{Multiaddr, PeerId};
use mycomesh_core::{
    Profile,
    io::{Command, Event, Reply},
    snapshot::{Snapshot, Status, TaskState},
    time::Millis,
    units::Bps,
    wire::{Skill, TaskId},
};
use mycomesh_net::{Handle, Options, start};
use mycomesh_tests::{PATIENCE, Peer};
use serde_json::json;
use tokio::sync::watch;

/// The visitor. Nobody knows it from before: it has a fresh key and nothing on disk.
pub struct Visitor {
    /// Its peer id.
    pub id: String,
    node: Handle,
    heard: watch::Receiver<Heard>,
}

/// What its events told.
#[derive(Debug, Default)]
struct Heard {
    /// Tasks whose receipts it has.
    receipts: BTreeSet<String>,
    /// How tasks ended.
    ended: BTreeMap<TaskId, TaskState>,
}

impl Visitor {
    /// A visitor that joins through these relays, or through nobody.
    pub async fn start(relays: Vec<Multiaddr>) -> Self {
        let profile = Profile { skills: [Skill::echo()].into(), slots: 32, ..Profile::default() };
        let listen = vec!["/ip4/127.0.0.1/tcp/0".parse().expect("an address")];
        let node = start(Options { profile, relays, listen, ..Options::default() }).await.expect("a visitor");
        let mut events = node.events();
        let (tell, heard) = watch::channel(Heard::default());
        tokio::spawn(async move {
            while let Some(event) = events.next().await {
                tell.send_modify(|heard| match event {
                    Event::Receipt { task, .. } => _ = heard.receipts.insert(task.to_string()),
                    Event::Task { task, state, .. } if state.is_final() => _ = heard.ended.insert(task, state),
                    _ => {}
                });
            }
        });
        Self { id: node.peer_id().to_string(), node, heard }
    }

    /// Connect to `peer`, by its own address; returns when each sees the other.
    pub async fn visit(&self, peer: &mut Peer) {
        let mut addr: Multiaddr = loop {
            // Where it listens is in its snapshots a moment after it is ready, and no event tells.
            let snapshot = peer.tell(json!({ "do": "snapshot" })).await.expect("a snapshot");
            let announced = snapshot["me"]["addrs"].as_array().expect("addresses");
            if let Some(addr) = announced.first().and_then(|addr| addr.as_str()) {
                break addr.parse().expect("an address");
            }
        };
        if !addr.to_string().contains("/p2p/") {
            addr = addr.with_p2p(peer.id.parse().expect("a peer id")).expect("an address of this peer");
        }
        self.node.command(Command::Connect(addr)).await.expect("it can be dialled");
        self.sees(&peer.id).await;
        peer.sees_all(std::slice::from_ref(&self.id), &["idle"]).await;
    }

    /// Wait until it sees `peer` as there.
    pub async fn sees(&self, peer: &str) {
        let peer: PeerId = peer.parse().expect("a peer id");
        let here = |status| matches!(status, Status::Idle | Status::Busy | Status::Reputable);
        self.until("to see the other", |snapshot| {
            snapshot.peers.rows.iter().any(|row| row.peer_id == peer && here(row.status))
        })
        .await;
    }

    /// Wait until it has the receipts of all these tasks.
    pub async fn holds(&self, tasks: &BTreeSet<String>, when: &str) {
        let mut heard = self.heard.clone();
        let all = heard.wait_for(|heard| tasks.is_subset(&heard.receipts));
        if tokio::time::timeout(PATIENCE, all).await.is_err() {
            let lost: Vec<_> = tasks.difference(&self.heard.borrow().receipts).cloned().collect();
            panic!("{when}: of {} receipts these are lost: {lost:?}", tasks.len());
        }
    }

    /// Ask `peer` for an echo and rate it; returns when the receipt is signed and stored here.
    pub async fn rated_task(&self, peer: &str, timeout_s: u64) -> TaskId {
        let ask = Command::Ask {
            to: peer.parse().expect("a peer id"),
            skill: Skill::echo(),
            input: "to the one that is killed".into(),
            timeout: Millis::secs(timeout_s),
        };
        let Ok(Reply::Task(task)) = self.node.command(ask).await else { panic!("it may ask") };
        let mut heard = self.heard.clone();
        let ended = heard.wait_for(|heard| heard.ended.contains_key(&task));
        let ended = tokio::time::timeout(PATIENCE, ended).await.expect("a task ends").expect("the visitor runs");
        assert_eq!(ended.ended[&task], TaskState::Completed);
        drop(ended);
        self.node.command(Command::Rate { task, quality: Bps::percent(90) }).await.expect("it may rate");
        task
    }

    /// Wait until the other side has acknowledged the receipt of a task, which it does once it is stored there.
    pub async fn handed_over(&self, task: &TaskId) {
        self.until("to hand a receipt over", |snapshot| {
            let row = snapshot.tasks.rows.iter().find(|row| row.id == *task);
            row.is_some_and(|row| row.receipt.is_some() && !row.waiting_for_peer)
        })
        .await;
    }

    /// End it.
    pub async fn stop(self) {
        self.node.stop().await;
    }

    async fn until(&self, what: &str, condition: impl Fn(&Snapshot) -> bool) {
        let mut snapshots = self.node.snapshots();
        let waiting = async {
            while let Some(snapshot) = snapshots.next().await {
                if condition(&snapshot) {
                    return;
                }
            }
            panic!("a visitor ended while it waited {what}");
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("a visitor waited in vain {what}"));
    }
}
