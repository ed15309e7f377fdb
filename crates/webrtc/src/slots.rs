//! Room for attempts by others: so many in all, and so many by one peer. An attempt costs a peer connection, of which a
//! page has only some hundred, and browsers count those that were closed until they are collected. So room is also
//! bounded in time: an attempt that failed keeps its place for a while, or a peer could use all of them up with offers
//! that lead nowhere. One that succeeded gives it back at once: a page that reloads comes again, and connections have
//! limits of their own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures_timer::Delay;
use libp2p_identity::PeerId;

/// How long an attempt that fails counts at least. With [`Config::default`](crate::Config) a peer has four in this time, and
/// all peers together 32, which browsers collect as fast. Guess.
const COUNTS_MIN: Duration = Duration::from_secs(5);

/// Counts the attempts that are under way. Clones share the count.
#[derive(Clone)]
pub(crate) struct Slots(Arc<Mutex<Counts>>);

struct Counts {
    in_all_max: usize,
    per_peer_max: usize,
    in_all: usize,
    /// Peers without an attempt are not in it, so that it is never longer than `in_all`.
    per_peer: HashMap<PeerId, usize>,
    /// Attempts that are over and still count; part of `in_all`.
    resting: Vec<(PeerId, Delay)>,
    is_open: bool,
}

/// Room for one attempt, given back when dropped.
pub(crate) struct Slot {
    slots: Slots,
    peer: PeerId,
    /// Runs out when it no longer counts by itself. Taken when dropped.
    counts: Option<Delay>,
}

impl Slots {
    /// None is to be had before they are opened.
    pub(crate) fn new(in_all_max: usize, per_peer_max: usize) -> Self {
        let (per_peer, resting) = (HashMap::new(), Vec::new());
        Self(Arc::new(Mutex::new(Counts { in_all_max, per_peer_max, in_all: 0, per_peer, resting, is_open: false })))
    }

    /// Whether attempts are taken at all: while somebody listens. Those under way go on.
    pub(crate) fn set_open(&self, is_open: bool) {
        self.counts().is_open = is_open;
    }

    /// Room for an attempt by this peer, if there is any.
    pub(crate) fn take(&self, peer: PeerId) -> Option<Slot> {
        self.take_for(peer, COUNTS_MIN)
    }

    fn take_for(&self, peer: PeerId, at_least: Duration) -> Option<Slot> {
        let mut counts = self.counts();
        counts.wake_resting();
        let of_peer = counts.per_peer.get(&peer).copied().unwrap_or(0);
        if !counts.is_open || counts.in_all >= counts.in_all_max || of_peer >= counts.per_peer_max {
            return None;
        }
        counts.in_all += 1;
        counts.per_peer.insert(peer, of_peer + 1);
        Some(Slot { slots: self.clone(), peer, counts: Some(Delay::new(at_least)) })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    /// The attempt became a connection.
    pub(crate) fn succeeded(mut self) {
        self.counts = None;
        self.slots.counts().free(&self.peer);
    }
}

impl Counts {
    /// Nobody waits for room, so that it is enough to look when some is asked for.
    fn wake_resting(&mut self) {
        for (peer, mut delay) in std::mem::take(&mut self.resting) {
            match (&mut delay).now_or_never() {
                Some(()) => self.free(&peer),
                None => self.resting.push((peer, delay)),
            }
        }
    }

    fn free(&mut self, peer: &PeerId) {
        self.in_all = self.in_all.saturating_sub(1);
        if let Some(count) = self.per_peer.get_mut(peer) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.per_peer.remove(peer);
            }
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut counts = self.slots.counts();
        if let Some(delay) = self.counts.take() {
            counts.resting.push((self.peer, delay));
            counts.wake_resting();
        }
    }
}

#[cfg(test)]
mod tests {
    use multihash::Multihash;

    use super::*;

    /// An identity for counting, without a key.
    fn peer(seed: u8) -> PeerId {
        PeerId::from_multihash(Multihash::wrap(0, &[seed; 36]).expect("short")).expect("an identity multihash")
    }

    const AT_ONCE: Duration = Duration::ZERO;

    fn open(in_all_max: usize, per_peer_max: usize) -> Slots {
        let slots = Slots::new(in_all_max, per_peer_max);
        slots.set_open(true);
        slots
    }

    /// Timers of no length run out a moment later.
    fn settle() {
        futures::executor::block_on(Delay::new(Duration::from_millis(20)));
    }

    #[test]
    fn one_peer_cannot_take_them_all() {
        let slots = open(3, 2);
        let (greedy, other, late) = (peer(1), peer(2), peer(3));
        let taken = (slots.take_for(greedy, AT_ONCE).expect("first"), slots.take_for(greedy, AT_ONCE).expect("second"));
        assert!(slots.take(greedy).is_none());
        let _other = slots.take(other).expect("room for others");
        assert!(slots.take(late).is_none(), "three in all");
        settle();
        drop(taken);
        assert!(slots.take_for(late, AT_ONCE).is_some());
        settle();
        slots.counts().wake_resting();
        assert_eq!(slots.counts().per_peer.len(), 1, "peers without an attempt are forgotten");
    }

    #[test]
    fn attempts_that_fail_at_once_count_for_a_while() {
        let slots = open(3, 2);
        let hasty = peer(1);
        drop(slots.take(hasty).expect("first"));
        drop(slots.take_for(hasty, Duration::from_millis(10)).expect("second"));
        assert!(slots.take(hasty).is_none());
        settle();
        drop(slots.take(hasty).expect("one of them is over"));
        assert!(slots.take(hasty).is_none());
        drop(slots.take(peer(2)).expect("room for others"));
        assert!(slots.take(peer(3)).is_none());
        assert_eq!(slots.counts().resting.len(), 3);
    }

    #[test]
    fn attempts_that_succeed_make_room_at_once() {
        let slots = open(3, 1);
        for _ in 0..5 {
            slots.take(peer(1)).expect("the last one is a connection now").succeeded();
        }
        assert!(slots.counts().per_peer.is_empty() && slots.counts().resting.is_empty());
        assert_eq!(slots.counts().in_all, 0);
    }

    #[test]
    fn none_is_to_be_had_while_nobody_listens() {
        let slots = Slots::new(1, 1);
        let peer = peer(1);
        assert!(slots.take(peer).is_none());
        slots.set_open(true);
        let slot = slots.take_for(peer, AT_ONCE).expect("open");
        slots.set_open(false);
        drop(slot);
        settle();
        assert!(slots.take(peer).is_none());
    }
}
