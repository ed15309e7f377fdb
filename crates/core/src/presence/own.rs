//! This peer's own presence: what it says of itself, and when.

use cid::Cid;
use multiaddr::Multiaddr;

use super::State;
use crate::{
    cx::Cx,
    io::{Output, Topic},
    limits::{PRESENCE_TTL_HIDDEN, PRESENCE_TTL_INTERVALS, PRESENCE_TTL_MAX, PRESENCES_PER_SECOND_MAX},
    planted::Bug,
    time::{Millis, Time},
    wire::{Availability, Presence, Signed},
};

/// This peer's own presence.
#[derive(Debug, Default)]
pub(super) struct Own {
    pub(super) signed: Option<Signed<Presence>>,
    /// What the last one said, apart from times and sequence.
    said: Option<Facts>,
    seq: u64,
    pub(super) hidden: bool,
    leaving: bool,
    /// When the next one is due.
    pub(super) due: Option<Time>,
    /// When the last one was made; changes are at least [`CHANGE_GAP`] apart.
    made: Option<Time>,
}

/// What a presence says about its peer at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    pub availability: Availability,
    pub free_slots: u32,
    pub card: Option<Cid>,
    pub addrs: Vec<Multiaddr>,
}

/// Several changes within this span travel as one presence.
const CHANGE_GAP: Millis = Millis(200);

impl State {
    pub(super) fn tick(&mut self, cx: &mut Cx<'_>, facts: Facts) {
        self.expire(cx);
        if self.own.leaving {
            return;
        }
        let now = cx.now.mono;
        let changed = self.own.said.as_ref() != Some(&facts);
        if !changed && self.own.due.is_some_and(|due| now < due) {
            return;
        }
        // Whatever the reason: who signs more often than this is taken for a spammer.
        match self.own.made.map(|made| made + CHANGE_GAP) {
            Some(settled) if now < settled => self.own.due = Some(settled),
            _ => self.publish(cx, facts, false),
        }
    }

    pub(super) fn leave(&mut self, cx: &mut Cx<'_>) {
        self.own.leaving = true;
        self.own.due = None;
        if let Some(mut facts) = self.own.said.clone() {
            facts.addrs.clear();
            self.publish(cx, facts, true);
            self.own.due = None;
        }
    }

    fn publish(&mut self, cx: &mut Cx<'_>, facts: Facts, goodbye: bool) {
        let interval = self.interval(cx);
        let ttl = match self.own.hidden {
            true => PRESENCE_TTL_HIDDEN.max(interval.times(PRESENCE_TTL_INTERVALS)),
            false => interval.times(PRESENCE_TTL_INTERVALS),
        };
        let least = if cx.planted(Bug::NumbersRestart) { 0 } else { cx.now.unix.0 };
        self.own.seq = (self.own.seq + 1).max(least);
        let signed = cx.seal(Presence {
            addrs: facts.addrs.clone(),
            availability: facts.availability,
            card: facts.card,
            free_slots: facts.free_slots,
            goodbye,
            issued: cx.now.unix,
            seq: self.own.seq,
            ttl,
        });
        cx.out.push(Output::Publish { topic: Topic::Presence, data: signed.bytes.clone() });
        cx.touch(cx.shared.me);
        self.own.signed = Some(signed);
        self.own.said = Some(facts);
        self.own.made = Some(cx.now.mono);
        let wait = if cx.planted(Bug::RenewalInSeconds) { interval.times(1_000) } else { interval };
        self.own.due = Some(cx.now.mono + wait);
    }

    /// Stretches with the number of peers, so that nobody handles more than
    /// [`PRESENCES_PER_SECOND_MAX`].
    fn interval(&self, cx: &Cx<'_>) -> Millis {
        let online = self.online().count() as u64 + 1;
        let stretched = Millis(online * 1_000 / PRESENCES_PER_SECOND_MAX);
        let longest = Millis(PRESENCE_TTL_MAX.0 / PRESENCE_TTL_INTERVALS);
        cx.shared.config.presence_interval().max(stretched).min(longest)
    }
}
