//! Builds the snapshot. A section is computed anew when something happened and keeps its old `Arc`
//! when nothing in it changed.

use std::sync::Arc;

use libp2p_identity::PeerId;

use crate::{
    cx::Shared,
    limits::SNAPSHOT_ROWS_MAX,
    node::Parts,
    planted::Bug,
    snapshot::{
        Counters, JoinView, LogEntry, MeView, PeerView, Snapshot, Status, StatusBar, StorageView, Table, TaskView,
        TrustView,
    },
    status,
    time::Now,
};

/// The last snapshot's sections.
#[derive(Debug, Default)]
pub struct Cache {
    revision: u64,
    /// The revision of the security events in it.
    audited: u64,
    last: Option<Snapshot>,
}

impl Cache {
    pub fn build(&mut self, parts: &Parts, shared: &Shared, now: Now, revision: u64) -> Snapshot {
        if let Some(last) = self.last.as_ref().filter(|_| self.revision == revision) {
            return last.clone();
        }
        let me = me(parts, shared);
        let peers = peers(parts, shared, now);
        let agents =
            peers.iter().filter(|row| !row.is_relay || shared.planted.is(Bug::RelaysCounted)).map(|row| row.status);
        let own = shared.config.agent.then_some(me.status);
        let bar = status::bar(agents.chain(own), shared.planted);
        let last = self.last.as_ref();
        let snapshot = Snapshot {
            revision,
            bar: keep(last.map(|last| &last.bar), bar),
            me: keep(last.map(|last| &last.me), me),
            join: keep(last.map(|last| &last.join), parts.links.view()),
            peers: keep(last.map(|last| &last.peers), page(peers)),
            tasks: keep(last.map(|last| &last.tasks), tasks(parts)),
            log: keep_log(last.map(|last| &last.log), shared),
            security: match last {
                Some(last) if self.audited == shared.audit.revision() => last.security.clone(),
                _ => Arc::new(shared.audit.entries().cloned().collect()),
            },
            counters: keep(last.map(|last| &last.counters), shared.counters),
            storage: StorageView {
                tasks_bytes: parts.tasks.bytes(),
                tasks_bytes_max: shared.config.tasks_bytes_max(),
                receipts_bytes: parts.receipts.bytes(),
                receipts_bytes_max: shared.config.receipts_bytes_max(),
            },
        };
        self.revision = revision;
        self.audited = shared.audit.revision();
        self.last = Some(snapshot.clone());
        snapshot
    }
}

fn keep<T: PartialEq>(last: Option<&Arc<T>>, new: T) -> Arc<T> {
    match last {
        Some(last) if **last == new => last.clone(),
        _ => Arc::new(new),
    }
}

/// The log only grows, so its newest number tells whether it changed.
fn keep_log(last: Option<&Arc<Vec<LogEntry>>>, shared: &Shared) -> Arc<Vec<LogEntry>> {
    let newest = shared.log.back().map(|entry| entry.number);
    match last {
        Some(last) if last.last().map(|entry| entry.number) == newest => last.clone(),
        _ => Arc::new(shared.log.iter().cloned().collect()),
    }
}

fn page<Row>(mut rows: Vec<Row>) -> Table<Row> {
    let total = rows.len();
    rows.truncate(SNAPSHOT_ROWS_MAX);
    Table { rows, total }
}

fn me(parts: &Parts, shared: &Shared) -> MeView {
    let profile = parts.agents.profile();
    let trust = named(parts, parts.reputation.view(&shared.me));
    let slots_free = parts.slots_free();
    MeView {
        peer_id: shared.me,
        network: shared.network().to_string(),
        name: profile.name.clone(),
        skills: profile.skills.iter().cloned().collect(),
        slots_total: profile.slots,
        slots_free,
        busy: parts.busy,
        status: status::of_fresh(!parts.busy, slots_free, &trust, shared.config.trust_threshold),
        trust,
        addrs: parts.links.own_addrs(),
    }
}

/// Everybody with a presence or a link, online first.
fn peers(parts: &Parts, shared: &Shared, now: Now) -> Vec<PeerView> {
    let known = parts.presence.known().keys();
    let linked = parts.links.linked().filter(|peer| !parts.presence.known().contains_key(peer));
    let mut rows: Vec<_> = known.chain(linked).map(|peer| row(parts, shared, now, peer)).collect();
    let rank = |row: &PeerView| match row.status {
        Status::Idle | Status::Reputable | Status::Busy => 0,
        Status::Unknown => 1,
        Status::Offline => 2,
    };
    rows.sort_by_key(|row| (row.is_relay, rank(row), row.peer_id));
    rows
}

fn row(parts: &Parts, shared: &Shared, now: Now, peer: &PeerId) -> PeerView {
    let known = parts.presence.known().get(peer);
    let card = parts.card(peer);
    let (path, rtt) = parts.links.path(peer);
    let mut trust = named(parts, parts.reputation.view(peer));
    trust.quarantined_until = parts.conduct.quarantined_until(peer, now.mono);
    trust.first_hand_failures += parts.conduct.violations(peer, shared.config.failed_attempts_max, now);
    PeerView {
        peer_id: *peer,
        status: parts.status(shared, peer),
        is_relay: parts.is_relay(peer),
        name: card.map(|card| card.body.name.clone()).filter(|name| !name.is_empty()),
        skills: card.map_or_else(Vec::new, |card| card.body.skills.iter().map(|skill| skill.name.clone()).collect()),
        slots_free: known.map_or(0, |known| known.signed.body.free_slots),
        path,
        path_reason: parts.links.reason(peer),
        rtt,
        reachable: parts.links.is_linked(peer) || known.is_some_and(|known| !known.signed.body.addrs.is_empty()),
        trust,
        last_seen: known.map(|known| known.heard),
    }
}

fn tasks(parts: &Parts) -> Table<TaskView> {
    let (mut rows, total) = parts.tasks.views(SNAPSHOT_ROWS_MAX);
    for row in &mut rows {
        row.peer_name = name_of(parts, &row.peer);
    }
    Table { rows, total }
}

fn named(parts: &Parts, mut trust: TrustView) -> TrustView {
    for row in &mut trust.evidence {
        row.signer_name = name_of(parts, &row.signer);
    }
    trust
}

fn name_of(parts: &Parts, peer: &PeerId) -> Option<String> {
    Some(parts.card(peer)?.body.name.clone()).filter(|name| !name.is_empty())
}

// The sections of a snapshot are shared between threads natively.
const _: fn() = || {
    fn send<T: Send + Sync>() {}
    send::<(MeView, JoinView, StatusBar, Counters, Snapshot)>();
};
