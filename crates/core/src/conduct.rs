//! How often a peer broke the protocol, and for how long it is refused because of that.
//!
//! Quarantine is local, timed and doubling. It survives reconnects, and restarts of this node, for which
//! it is kept in the store. It never travels: what one node saw is no evidence for another.
//!
//! Violations fade by the hour and doublings by the week, so that a peer with a rare fault is never
//! refused, and one that was repaired starts afresh in time.

use std::collections::BTreeMap;

use libp2p_identity::PeerId;
use serde::{Deserialize, Serialize};

use crate::{
    cx::{AfterStore, Charge, Cx},
    io::{Output, StoreTable, Write},
    limits::{DOUBLING_FORGOTTEN, DOUBLINGS_MAX, PEERS_MAX, REQUEST_BYTES_MAX, VIOLATION_FORGOTTEN},
    planted::Bug,
    snapshot::SecurityKind,
    time::{Millis, Now, Time, UnixMillis},
    wire::strict,
};

/// What is remembered of every peer that was charged.
#[derive(Debug, Default)]
pub struct State {
    records: BTreeMap<PeerId, Record>,
}

#[derive(Debug, Default)]
struct Record {
    /// Violations since the last quarantine, as far as they have not faded.
    violations: u32,
    /// Since when the oldest of them fades.
    fading: Time,
    /// Quarantines so far, as far as they had not faded when the last one began.
    quarantines: u32,
    /// When the last one ends, or ended.
    until: Option<Quarantine>,
    /// When it was last charged; the longest quiet record is evicted.
    charged: Time,
}

#[derive(Clone, Copy, Debug)]
struct Quarantine {
    mono: Time,
    unix: UnixMillis,
}

/// A quarantine in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stored {
    quarantines: u32,
    until: UnixMillis,
}

/// In front of a peer's id, the key of its quarantine in the store.
pub const KEY_PREFIX: &[u8] = b"conduct/";

/// What conduct takes in.
pub enum In {
    /// A record of the store whose key begins with [`KEY_PREFIX`].
    Loaded { key: Vec<u8>, value: Vec<u8> },
    /// A peer did something wrong.
    Charge(Charge),
}

impl State {
    pub fn handle(&mut self, cx: &mut Cx<'_>, input: In) {
        match input {
            In::Loaded { key, value } => self.loaded(cx, &key, &value),
            In::Charge(charge) => self.charge(cx, charge),
        }
    }

    /// How many were ever charged, and are remembered.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether `peer` is refused now.
    pub fn is_quarantined(&self, peer: &PeerId, now: Time) -> bool {
        self.records.get(peer).is_some_and(|record| record.is_quarantined(now))
    }

    /// Forget what `peer` did, for [`crate::planted::Bug::QuarantineEndsByLink`].
    pub fn lift(&mut self, peer: &PeerId) {
        self.records.remove(peer);
    }

    /// Until when `peer` is refused.
    pub fn quarantined_until(&self, peer: &PeerId, now: Time) -> Option<UnixMillis> {
        let until = self.records.get(peer)?.until?;
        (now < until.mono).then_some(until.unix)
    }

    /// Violations of `peer` that are remembered, for show; what they change is quarantine.
    pub fn violations(&self, peer: &PeerId, attempts_max: u32, now: Now) -> u32 {
        self.records.get(peer).map_or(0, |record| {
            record.quarantines_left(now).saturating_mul(attempts_max).saturating_add(record.violations_left(now.mono))
        })
    }

    fn charge(&mut self, cx: &mut Cx<'_>, Charge { peer, kind, what }: Charge) {
        if peer == cx.me() {
            return;
        }
        if !self.records.contains_key(&peer) && self.records.len() >= PEERS_MAX {
            self.evict(cx);
        }
        cx.security(peer, kind, what);
        cx.touch(peer);
        let now = cx.now;
        let record = self.records.entry(peer).or_default();
        record.fade(now.mono);
        record.charged = now.mono;
        record.violations += 1;
        if record.violations < cx.shared.config.failed_attempts_max || cx.planted(Bug::QuarantineNever) {
            return;
        }
        let before = record.quarantines_left(now);
        let span = if cx.planted(Bug::QuarantineEndless) { Millis(u64::MAX) } else { span(cx, before) };
        record.quarantines = before + 1;
        record.violations = 0;
        let until = Quarantine { mono: now.mono + span, unix: now.unix + span };
        record.until = Some(until);
        let stored = Stored { quarantines: record.quarantines, until: until.unix };
        let what = format!("refused for {} s after repeated violations", span.0 / 1_000);
        cx.security(peer, SecurityKind::Quarantined, what);
        cx.out.push(Output::ClosePeer { peer });
        let mut writes = self.forget(now);
        writes.push(Write { table: StoreTable::Meta, key: key(&peer), value: Some(strict::encode(&stored)) });
        cx.store(writes, AfterStore::Nothing);
    }

    fn loaded(&mut self, cx: &mut Cx<'_>, key: &[u8], value: &[u8]) {
        let peer = key.strip_prefix(KEY_PREFIX).and_then(|id| PeerId::from_bytes(id).ok());
        let stored = strict::decode::<Stored>(value, REQUEST_BYTES_MAX);
        let (Some(peer), Ok(stored)) = (peer, stored) else {
            return cx.warn("a stored quarantine could not be read and was left alone");
        };
        if self.records.len() >= PEERS_MAX {
            self.evict(cx);
        }
        // A clock that was set back meanwhile makes it no longer than it was in the first place.
        let left = stored.until.since(cx.now.unix).min(span(cx, stored.quarantines.saturating_sub(1)));
        let unix = if left == Millis(0) { stored.until } else { cx.now.unix + left };
        let until = Quarantine { mono: cx.now.mono + left, unix };
        let record =
            Record { quarantines: stored.quarantines, until: Some(until), charged: cx.now.mono, ..Record::default() };
        self.records.insert(peer, record);
    }

    /// Drop what has faded; returns what that takes out of the store.
    fn forget(&mut self, now: Now) -> Vec<Write> {
        let gone = self.records.extract_if(.., |_, record| {
            let faded = record.violations_left(now.mono) == 0 && record.quarantines_left(now) == 0;
            faded && !record.is_quarantined(now.mono)
        });
        gone.filter(|(_, record)| record.until.is_some()).map(|(peer, _)| removal(&peer)).collect()
    }

    /// Forget the record quiet for longest: of those never in quarantine, or else of those no longer in it, so
    /// that a flood of new identities with a fault each cannot wash clean an old one.
    fn evict(&mut self, cx: &mut Cx<'_>) {
        let now = cx.now;
        let rank =
            |record: &Record| (record.is_quarantined(now.mono), record.quarantines_left(now) > 0, record.charged);
        let victim = self.records.iter().min_by_key(|(_, record)| rank(record));
        if let Some(peer) = victim.map(|(peer, _)| *peer)
            && let Some(record) = self.records.remove(&peer)
            && record.until.is_some()
        {
            cx.store(vec![removal(&peer)], AfterStore::Nothing);
        }
    }
}

impl Record {
    fn is_quarantined(&self, now: Time) -> bool {
        self.until.is_some_and(|until| now < until.mono)
    }

    /// Forget violations that are old enough; the rest of an hour is kept.
    fn fade(&mut self, now: Time) {
        let left = self.violations_left(now);
        if left == 0 {
            self.fading = now;
        } else {
            self.fading = self.fading + VIOLATION_FORGOTTEN.times((self.violations - left).into());
        }
        self.violations = left;
    }

    fn violations_left(&self, now: Time) -> u32 {
        let faded = now.since(self.fading).0 / VIOLATION_FORGOTTEN.0;
        self.violations.saturating_sub(u32::try_from(faded).unwrap_or(u32::MAX))
    }

    /// On the wall clock, since it goes on while this node does not run.
    fn quarantines_left(&self, now: Now) -> u32 {
        let quiet = self.until.map_or(Millis(0), |until| now.unix.since(until.unix));
        let faded = quiet.0 / DOUBLING_FORGOTTEN.0;
        self.quarantines.saturating_sub(u32::try_from(faded).unwrap_or(u32::MAX))
    }
}

/// How long a quarantine lasts after `before` others.
fn span(cx: &Cx<'_>, before: u32) -> Millis {
    cx.shared.config.quarantine().times(1 << before.min(DOUBLINGS_MAX))
}

fn key(peer: &PeerId) -> Vec<u8> {
    [KEY_PREFIX, &peer.to_bytes()].concat()
}

fn removal(peer: &PeerId) -> Write {
    Write { table: StoreTable::Meta, key: key(peer), value: None }
}
