//! A relay and a dozen peers, each a process on a machine of its own, and what is measured on them.
//!
//! What travels to everybody is receipts: a peer asks another, rates the answer, and the receipt goes out by gossip. When
//! each of the others reports it is known from their events, so that the share that arrives can be counted. Statuses tell
//! who is seen by whom.

use std::{
    ops::Range,
    time::{Duration, Instant},
};

use futures::future::join_all;
use serde_json::json;

use crate::{Lan, Peer, PeerFlags, Place, Relay, RelayFlags, Side};

/// Peers of a mesh.
pub const NODES: usize = 12;
/// Those on the relay's side of the cable: the first of them.
pub const NEAR: Range<usize> = 0..NODES / 2;
/// Those on the other side.
pub const FAR: Range<usize> = NODES / 2..NODES;
/// What counts as delivered in time, as the figures that the project promises do.
pub const IN_TIME: Duration = Duration::from_secs(10);

/// Enough that nobody ever has to decline.
const SLOTS: u32 = 32;
/// Seconds that a task of [`Mesh::rate`] may take: longer than any fault lasts here.
const TASK_TIMEOUT_S: u64 = 600;
/// The statuses of a peer that is there.
const HERE: [&str; 3] = ["idle", "busy", "reputable"];

/// The whole mesh. Its processes end when it is dropped.
#[derive(Debug)]
pub struct Mesh {
    /// Its relay, on the first switch.
    pub relay: Relay,
    /// Its peers; half of them on either switch.
    pub nodes: Vec<Node>,
    /// From the first process's start until everybody saw everybody.
    pub joining: Duration,
    // After the processes in it, since fields are dropped in their order.
    lan: Lan,
}

/// One peer of it.
#[derive(Debug)]
pub struct Node {
    /// The process.
    pub peer: Peer,
    /// Its machine.
    pub place: Place,
}

/// A receipt that went out.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Its task.
    pub task: String,
    /// Who signed it.
    pub by: String,
    /// When the command that signed it had been carried out.
    pub at: Instant,
}

/// How many of some receipts arrived, counted once for each peer that should have one.
#[derive(Clone, Debug, Default)]
pub struct Delivery {
    /// How many should have.
    pub due: usize,
    /// How long each took that did, shortest first.
    pub delays: Vec<Duration>,
    /// When the last one did.
    pub last: Option<Instant>,
}

impl Mesh {
    /// A mesh in which everybody sees everybody.
    pub async fn start(presence_interval_s: u32) -> Self {
        let mut lan = Lan::new();
        let place = lan.machine(Side::One);
        let relay = Relay::start_with(RelayFlags { place, ..RelayFlags::default() }).await;
        let began = Instant::now();
        let places = NEAR.map(|_| Side::One).chain(FAR.map(|_| Side::Two)).map(|side| lan.machine(side));
        let nodes = join_all(places.collect::<Vec<_>>().into_iter().map(|place| {
            let flags = PeerFlags {
                relays: vec![relay.address("tcp")],
                skills: "echo,stall",
                slots: SLOTS,
                listens: true,
                place: place.clone(),
                presence_interval_s,
                brief: true,
                ..PeerFlags::default()
            };
            async move { Node { peer: Peer::start(flags).await, place } }
        }))
        .await;
        let mut mesh = Self { relay, nodes, joining: Duration::ZERO, lan };
        let seen = mesh.all_see_all().await;
        mesh.joining = seen.duration_since(began);
        mesh
    }

    /// A machine more, on the relay's switch.
    pub fn machine(&mut self) -> Place {
        self.lan.machine(Side::One)
    }

    /// Where each of the peers can be dialled.
    pub async fn addresses(&mut self) -> Vec<String> {
        let mut addresses = Vec::new();
        for node in &mut self.nodes {
            let snapshot = node.peer.tell(json!({ "do": "snapshot" })).await.expect("a snapshot");
            let announced =
                snapshot["me"]["addrs"].as_array().expect("addresses").iter().filter_map(|addr| addr.as_str());
            let here = format!("/ip4/{}/tcp/", node.place.ip);
            let direct = announced.into_iter().find(|addr| addr.starts_with(&here)).expect("it listens");
            addresses.push(match direct.contains("/p2p/") {
                true => direct.to_owned(),
                false => format!("{direct}/p2p/{}", node.peer.id),
            });
        }
        addresses
    }

    /// Split it: the relay and [`NEAR`] here, [`FAR`] there.
    pub fn cut(&self) {
        self.lan.cut();
    }

    /// Make it one again.
    pub fn heal(&self) {
        self.lan.heal();
    }

    /// Kill -9 the peers of these numbers, on machines that have lost their network a moment before: nobody is told by a
    /// closed connection. They are gone from [`Mesh::nodes`] then.
    pub async fn kill(&mut self, which: &[usize]) {
        let (doomed, rest): (Vec<_>, Vec<_>) =
            self.nodes.drain(..).enumerate().partition(|(number, _)| which.contains(number));
        self.nodes = rest.into_iter().map(|(_, node)| node).collect();
        for (_, node) in &doomed {
            self.lan.unplug(&node.place);
        }
        for (_, node) in doomed {
            node.peer.kill().await;
        }
    }

    /// Wait until everybody sees everybody. Gives when the last one did.
    pub async fn all_see_all(&mut self) -> Instant {
        let ids = self.ids(0..self.nodes.len());
        self.see(0..self.nodes.len(), &ids, &HERE).await
    }

    /// Wait until each of `who` sees each of `whom` as offline. Gives when the last one did.
    pub async fn lose(&mut self, who: Range<usize>, whom: Range<usize>) -> Instant {
        let ids = self.ids(whom);
        self.see_offline(who, &ids).await
    }

    /// Wait until each of `who` sees the peers of these ids as offline. Gives when the last one did.
    pub async fn see_offline(&mut self, who: Range<usize>, ids: &[String]) -> Instant {
        self.see(who, ids, &["offline"]).await
    }

    /// Wait until every peer has joined. Gives when the last one had.
    pub async fn joined(&mut self) -> Instant {
        self.stage(|stage| stage == "joined").await
    }

    /// Wait until every peer knows that it lost its relay.
    pub async fn not_joined(&mut self) {
        self.stage(|stage| stage != "joined").await;
    }

    async fn stage(&mut self, fits: fn(&str) -> bool) -> Instant {
        let reached = join_all(self.nodes.iter_mut().map(|node| node.peer.reaches(fits)));
        reached.await.into_iter().max().expect("there are peers")
    }

    async fn see(&mut self, who: Range<usize>, ids: &[String], statuses: &[&str]) -> Instant {
        let seen = join_all(self.nodes[who].iter_mut().map(|node| {
            let others: Vec<_> = ids.iter().filter(|id| **id != node.peer.id).cloned().collect();
            async move { node.peer.sees_all(&others, statuses).await }
        }));
        seen.await.into_iter().max().expect("somebody looks")
    }

    fn ids(&self, which: Range<usize>) -> Vec<String> {
        self.nodes[which].iter().map(|node| node.peer.id.clone()).collect()
    }

    /// Each of `who` asks the next one of them and rates the answer, so many times one after the other.
    pub async fn rate(&mut self, who: Range<usize>, times: usize) -> Vec<Sent> {
        let ids = self.ids(who.clone());
        let sent = join_all(self.nodes[who].iter_mut().enumerate().map(|(number, node)| {
            let to = &ids[(number + 1) % ids.len()];
            async move {
                let mut sent = Vec::new();
                for round in 0..times {
                    let task = node.peer.ask(to, "echo", &format!("round {round}"), TASK_TIMEOUT_S).await;
                    assert_eq!(node.peer.ends(&task).await, "completed", "task {task} of {}", node.peer.id);
                    let rated = node.peer.tell(json!({ "do": "rate", "task": task, "quality": 9_000 })).await;
                    rated.unwrap_or_else(|error| panic!("rating {task} failed: {error}"));
                    sent.push(Sent { task, by: node.peer.id.clone(), at: Instant::now() });
                }
                sent
            }
        }));
        sent.await.into_iter().flatten().collect()
    }

    /// How many of these receipts came to those of `who` that did not sign them; looks until all have, or for `wait`.
    pub async fn delivery(&mut self, sent: &[Sent], who: Range<usize>, wait: Duration) -> Delivery {
        let arrivals = join_all(self.nodes[who].iter_mut().map(|node| async move {
            let theirs: Vec<_> = sent.iter().filter(|sent| sent.by != node.peer.id).collect();
            let tasks: Vec<_> = theirs.iter().map(|sent| sent.task.clone()).collect();
            let came = node.peer.receives(&tasks, wait).await;
            theirs.into_iter().zip(came).collect::<Vec<_>>()
        }));
        let mut delivery = Delivery::default();
        for (sent, came) in arrivals.await.into_iter().flatten() {
            delivery.due += 1;
            // One may arrive before the reply to the command that sent it.
            delivery.delays.extend(came.map(|came| came.saturating_duration_since(sent.at)));
            delivery.last = delivery.last.max(came);
        }
        delivery.delays.sort_unstable();
        delivery
    }
}

impl Delivery {
    /// Both counted together.
    pub fn merge(&mut self, other: Self) {
        self.due += other.due;
        self.delays.extend(other.delays);
        self.delays.sort_unstable();
        self.last = self.last.max(other.last);
    }

    /// The share that arrived.
    pub fn share(&self) -> f64 {
        self.delays.len() as f64 / self.due.max(1) as f64
    }

    /// The share that arrived in time.
    pub fn share_in_time(&self) -> f64 {
        self.delays.partition_point(|delay| *delay <= IN_TIME) as f64 / self.due.max(1) as f64
    }

    /// How long that share of those that arrived took at most.
    pub fn quantile(&self, share: f64) -> Duration {
        let at = (share * self.delays.len() as f64).ceil() as usize;
        self.delays.get(at.max(1) - 1).copied().unwrap_or_default()
    }
}

impl std::fmt::Display for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (arrived, due) = (self.delays.len(), self.due);
        write!(f, "{arrived} of {due} delivered, {:.2} % within {IN_TIME:?}", self.share_in_time() * 100.0)?;
        let [p50, p99, max] = [0.5, 0.99, 1.0].map(|share| self.quantile(share));
        write!(f, "; p50 {p50:.1?}, p99 {p99:.1?}, last {max:.1?}")
    }
}
