//! How often a peer broke the protocol, and for how long it is refused because of that.
//!
//! Quarantine is local, timed and doubling, and it survives reconnects. It never travels: what one
//! node saw is no evidence for another.

use std::collections::BTreeMap;

use libp2p_identity::PeerId;

use crate::{
    cx::Cx,
    io::{Event, Output},
    limits::PEERS_MAX,
    time::{Millis, Time, UnixMillis},
};

/// What is remembered of every peer that was ever charged.
#[derive(Debug, Default)]
pub struct State {
    records: BTreeMap<PeerId, Record>,
}

#[derive(Debug, Default)]
struct Record {
    /// Violations since the last quarantine.
    violations: u32,
    /// Quarantines so far.
    quarantines: u32,
    /// Refused until then.
    until: Option<Quarantine>,
    /// When it was last charged; the longest quiet record is evicted.
    charged: Time,
}

#[derive(Clone, Copy, Debug)]
struct Quarantine {
    mono: Time,
    unix: UnixMillis,
}

/// Doublings after which quarantine stops growing: 2^7 times the first, about five days by default.
const DOUBLINGS_MAX: u32 = 7;

/// What conduct takes in.
pub enum In {
    /// A peer did something wrong.
    Charge(PeerId, String),
}

impl State {
    pub fn handle(&mut self, cx: &mut Cx<'_>, input: In) {
        match input {
            In::Charge(peer, what) => self.charge(cx, peer, what),
        }
    }

    /// How many were ever charged, and are remembered.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether `peer` is refused now.
    pub fn is_quarantined(&self, peer: &PeerId, now: Time) -> bool {
        self.records.get(peer).and_then(|record| record.until).is_some_and(|until| now < until.mono)
    }

    /// Until when `peer` is refused.
    pub fn quarantined_until(&self, peer: &PeerId, now: Time) -> Option<UnixMillis> {
        let until = self.records.get(peer)?.until?;
        (now < until.mono).then_some(until.unix)
    }

    /// Violations of `peer` so far, for show; what they change is quarantine.
    pub fn violations(&self, peer: &PeerId, attempts_max: u32) -> u32 {
        self.records
            .get(peer)
            .map_or(0, |record| record.violations.saturating_add(record.quarantines.saturating_mul(attempts_max)))
    }

    fn charge(&mut self, cx: &mut Cx<'_>, peer: PeerId, what: String) {
        if peer == cx.me() {
            return;
        }
        if !self.records.contains_key(&peer) && self.records.len() >= PEERS_MAX {
            self.evict(cx.now.mono);
        }
        cx.event(Event::Security { peer, what });
        cx.touch(peer);
        let record = self.records.entry(peer).or_default();
        record.charged = cx.now.mono;
        record.violations += 1;
        if record.violations < cx.shared.config.failed_attempts_max {
            return;
        }
        let factor = 1_u64 << record.quarantines.min(DOUBLINGS_MAX);
        let span = Millis(cx.shared.config.quarantine().0.saturating_mul(factor));
        record.quarantines += 1;
        record.violations = 0;
        record.until = Some(Quarantine { mono: cx.now.mono + span, unix: cx.now.unix + span });
        cx.event(Event::Security { peer, what: format!("refused for {} s after repeated violations", span.0 / 1_000) });
        cx.out.push(Output::ClosePeer { peer });
    }

    /// Forget the record quiet for longest; one still in quarantine only when all are.
    fn evict(&mut self, now: Time) {
        let victim = self
            .records
            .iter()
            .min_by_key(|(_, record)| (record.until.is_some_and(|until| now < until.mono), record.charged))
            .map(|(peer, _)| *peer);
        if let Some(peer) = victim {
            self.records.remove(&peer);
        }
    }
}
