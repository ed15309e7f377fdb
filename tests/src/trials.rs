//! What is done to a mesh, and what came of it: each trial breaks one thing and looks at who still hears of what.

use std::time::{Duration, Instant};

use futures::future::join_all;

use crate::{Delivery, FAR, Mesh, NEAR, NODES, PATIENCE, Spam, Spammer};

/// Receipts that each peer sends out in a batch.
const BATCH: usize = 5;
/// Seconds after which a task to a peer that died has failed.
const SHORT_TASK_S: u64 = 5;
/// One fifth of all that gossip, beside [`NODES`] honest peers.
const SPAMMERS: [Spam; 3] = [Spam::Forged, Spam::Replayed, Spam::Valid];
/// Frames that each spammer has got rid of before honest peers are looked at.
const SPAM_BEFORE: u64 = 100;
/// Batches that honest peers send out meanwhile.
const SPAM_BATCHES: usize = 4;

/// What came of a trial.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Of receipts, by what had happened to the mesh.
    pub deliveries: Vec<(&'static str, Delivery)>,
    /// From a fault, or its end, until something was as it should be.
    pub times: Vec<(&'static str, Duration)>,
    /// Numbers that explain the rest.
    pub counts: Vec<(&'static str, u64)>,
    /// The states in which each task ended that was asked apart from the receipts', as its requester saw it.
    pub tasks: Vec<Vec<String>>,
}

/// The half with the relay and the half without it lose each other, go on, and meet again.
pub async fn partition(mesh: &mut Mesh) -> Outcome {
    let mut outcome = Outcome::default();
    let whole = mesh.rate(0..NODES, BATCH).await;
    outcome.deliveries.push(("undisturbed", mesh.delivery(&whole, 0..NODES, PATIENCE).await));

    mesh.cut();
    let cut = Instant::now();
    let lost = [mesh.lose(NEAR, FAR).await, mesh.lose(FAR, NEAR).await];
    outcome.times.push(("cut_until_offline", lost[0].max(lost[1]) - cut));
    let near = mesh.rate(NEAR, BATCH).await;
    let far = mesh.rate(FAR, BATCH).await;
    outcome.deliveries.push(("half_with_relay", mesh.delivery(&near, NEAR, PATIENCE).await));
    outcome.deliveries.push(("half_without_relay", mesh.delivery(&far, FAR, PATIENCE).await));
    // Asked while nobody can hear it.
    let to = mesh.nodes[FAR.start].peer.id.clone();
    let task = mesh.nodes[NEAR.start].peer.ask(&to, "echo", "across the cut", 600).await;

    mesh.heal();
    let healed = Instant::now();
    let seen = mesh.all_see_all().await;
    outcome.times.push(("healed_until_all_seen", seen - healed));
    let mut late = mesh.delivery(&near, FAR, PATIENCE).await;
    late.merge(mesh.delivery(&far, NEAR, PATIENCE).await);
    outcome.times.push(("healed_until_all_told", late.last.unwrap_or(healed).saturating_duration_since(healed)));
    outcome.deliveries.push(("across_after_healing", late));
    mesh.nodes[NEAR.start].peer.ends(&task).await;
    outcome.tasks.push(mesh.nodes[NEAR.start].peer.endings(&task));
    let after = mesh.rate(0..NODES, BATCH).await;
    outcome.deliveries.push(("healed", mesh.delivery(&after, 0..NODES, PATIENCE).await));
    outcome
}

/// Half of the peers die at once, in the middle of tasks, without closing a connection.
pub async fn half_loss(mesh: &mut Mesh) -> Outcome {
    let mut outcome = Outcome::default();
    // Every other one of either half, so that a survivor has lost neighbours on both sides of the cable.
    let doomed: Vec<_> = (0..NODES).filter(|number| number % 2 == 1).collect();
    let ids: Vec<_> = doomed.iter().map(|number| mesh.nodes[*number].peer.id.clone()).collect();
    let mut asked = Vec::new();
    for (survivor, id) in (0..NODES).step_by(2).zip(&ids) {
        for skill in ["echo", "stall"] {
            asked.push((survivor / 2, mesh.nodes[survivor].peer.ask(id, skill, "before the end", SHORT_TASK_S).await));
        }
    }
    mesh.kill(&doomed).await;
    let killed = Instant::now();
    let rest = 0..NODES - doomed.len();
    // Sent while nobody knows yet.
    let at_once = mesh.rate(rest.clone(), BATCH).await;
    let delivery = mesh.delivery(&at_once, rest.clone(), PATIENCE).await;
    outcome.times.push(("killed_until_all_told", delivery.last.unwrap_or(killed).saturating_duration_since(killed)));
    outcome.deliveries.push(("half_killed", delivery));
    let lost = mesh.see_offline(rest.clone(), &ids).await;
    outcome.times.push(("killed_until_offline", lost - killed));
    let later = mesh.rate(rest.clone(), BATCH).await;
    outcome.deliveries.push(("half_gone", mesh.delivery(&later, rest, PATIENCE).await));
    for (survivor, task) in asked {
        mesh.nodes[survivor].peer.ends(&task).await;
        outcome.tasks.push(mesh.nodes[survivor].peer.endings(&task));
    }
    outcome
}

/// The relay is killed and started again.
pub async fn relay_restart(mesh: &mut Mesh) -> Outcome {
    let mut outcome = Outcome::default();
    let id = mesh.relay.peer_id.clone();
    mesh.relay.kill().await;
    let killed = Instant::now();
    // Sent while nobody knows yet.
    let at_once = mesh.rate(0..NODES, BATCH).await;
    let delivery = mesh.delivery(&at_once, 0..NODES, PATIENCE).await;
    outcome.times.push(("relay_killed_until_all_told", delivery.last.unwrap_or(killed) - killed));
    outcome.deliveries.push(("relay_killed", delivery));
    mesh.not_joined().await;
    let without = mesh.rate(0..NODES, BATCH).await;
    outcome.deliveries.push(("relay_gone", mesh.delivery(&without, 0..NODES, PATIENCE).await));
    mesh.relay.restart().await;
    let ready = Instant::now();
    assert_eq!(mesh.relay.peer_id, id, "the relay kept its key");
    let joined = mesh.joined().await;
    outcome.times.push(("relay_ready_until_all_joined", joined.saturating_duration_since(ready)));
    let after = mesh.rate(0..NODES, BATCH).await;
    outcome.deliveries.push(("relay_back", mesh.delivery(&after, 0..NODES, PATIENCE).await));
    outcome
}

/// One in five floods the relay and every peer.
pub async fn spam(mesh: &mut Mesh) -> Outcome {
    let mut outcome = Outcome::default();
    let mut targets = mesh.addresses().await;
    targets.push(mesh.relay.address("tcp").to_owned());
    let spammers: Vec<_> = SPAMMERS.iter().map(|spam| Spammer::start(*spam, mesh.machine(), &targets)).collect();
    join_all(
        spammers
            .iter()
            .map(|spammer| spammer.until(|tally| tally.frames >= SPAM_BEFORE || !tally.cut_after.is_empty())),
    )
    .await;
    let mut sent = Vec::new();
    for _ in 0..SPAM_BATCHES {
        sent.extend(mesh.rate(0..NODES, BATCH).await);
    }
    outcome.deliveries.push(("spammed", mesh.delivery(&sent, 0..NODES, PATIENCE).await));
    for (spam, spammer) in SPAMMERS.iter().zip(&spammers) {
        let tally = spammer.tally();
        let names = match spam {
            Spam::Forged => ["forged_frames", "forged_cut", "forged_open"],
            Spam::Replayed => ["replayed_frames", "replayed_cut", "replayed_open"],
            Spam::Valid => ["valid_frames", "valid_cut", "valid_open"],
        };
        let counts = [tally.frames, tally.cut_after.len() as u64, tally.open as u64];
        outcome.counts.extend(names.into_iter().zip(counts));
        if *spam == Spam::Forged
            && let Some(longest) = tally.cut_after.first()
        {
            outcome.times.push(("forger_until_first_cut", *longest));
        }
    }
    outcome
}

impl Outcome {
    /// How many tasks ended as completed.
    pub fn completed(&self) -> usize {
        self.tasks.iter().filter(|endings| endings.iter().any(|state| state == "completed")).count()
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (what, delivery) in &self.deliveries {
            writeln!(f, "  {what}: {delivery}")?;
        }
        for (what, time) in &self.times {
            writeln!(f, "  {what}: {time:.1?}")?;
        }
        for (what, count) in &self.counts {
            writeln!(f, "  {what}: {count}")?;
        }
        match self.tasks.len() {
            0 => Ok(()),
            asked => writeln!(f, "  tasks asked: {asked}, completed: {}", self.completed()),
        }
    }
}
