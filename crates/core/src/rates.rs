//! How often is too often: a token bucket for each peer and each thing it can do.
//!
//! A bucket holds [`Rate::burst`] tokens at most and regains [`Rate::per_second`] of them. What finds
//! it empty is *above*: the caller drops it unseen and blames nobody. Only an excess that goes on, some
//! [`Rate::violation`] drops within one emptying of the bucket, is a violation.
//!
//! **Who may be blamed.** Time on the way bunches frames, and a hostile neighbour can hold back what
//! an honest peer signed over minutes and let it out at once. So a signer is blamed for what it hands
//! over itself; for what others forward, only if the times *it signed* are too close together, too,
//! which nobody else can bring about. That is the second level, [`Bucket::signed`].
//!
//! **Who is forgotten.** A peer without a bucket has a full one, so a full bucket may be forgotten at
//! no cost, and the fullest are the next best. New identities come with full buckets; a flood of them
//! pushes out each other, never a spammer's record.

use std::collections::BTreeMap;

use libp2p_identity::PeerId;

use crate::{
    io::Protocol,
    limits::{
        ASKING_OBJECTS_RATE, ASKING_PRESENCES_RATE, ASKING_TASKS_RATE, CARD_RATE, NEWCOMER_RATE, OBJECTS_RATE,
        OWN_RECEIPT_RATE, PRESENCE_RATE, PRESENCES_RATE, RATES_MAX, RECEIPT_RATE, STRANGERS_RECEIPT_RATE, TASKS_RATE,
    },
    time::{Now, Time, UnixMillis},
};

/// How often something may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Tokens regained in a second.
    pub per_second: u32,
    /// Tokens of a full bucket: how many may come at once after a quiet time.
    pub burst: u32,
    /// Drops that make one violation; none where nobody can be blamed.
    pub violation: Option<u32>,
}

/// What is counted of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Presences it signed.
    Presence,
    /// Different cards that its presences name.
    Card,
    /// Receipts it signed.
    Receipt,
    /// Presences of peers unheard of that it forwarded.
    Newcomer,
    /// Receipts of others that it forwarded.
    StrangersReceipt,
    /// Requests it sent here.
    Request(Protocol),
    /// Requests this peer sends to it.
    Asking(Protocol),
    /// Receipts this peer publishes.
    OwnReceipt,
}

impl Kind {
    /// What a peer did that did it too often.
    pub const fn too_often(self) -> &'static str {
        match self {
            Self::Presence => "signed presences too often",
            Self::Card => "named new cards too often",
            Self::Receipt => "signed receipts too often",
            Self::Newcomer => "forwarded too many presences of peers unheard of",
            Self::StrangersReceipt => "forwarded too many receipts",
            Self::Request(Protocol::Presence) => "asked for presences too often",
            Self::Request(Protocol::Objects) => "asked for objects too often",
            Self::Request(Protocol::Tasks) => "sent task requests too often",
            Self::Asking(_) | Self::OwnReceipt => "would be asked too often",
        }
    }

    const fn rate(self) -> Rate {
        match self {
            Self::Presence => PRESENCE_RATE,
            Self::Card => CARD_RATE,
            Self::Receipt => RECEIPT_RATE,
            Self::Newcomer => NEWCOMER_RATE,
            Self::StrangersReceipt => STRANGERS_RECEIPT_RATE,
            Self::Request(Protocol::Presence) => PRESENCES_RATE,
            Self::Request(Protocol::Objects) => OBJECTS_RATE,
            Self::Request(Protocol::Tasks) => TASKS_RATE,
            Self::Asking(Protocol::Presence) => ASKING_PRESENCES_RATE,
            Self::Asking(Protocol::Objects) => ASKING_OBJECTS_RATE,
            Self::Asking(Protocol::Tasks) => ASKING_TASKS_RATE,
            Self::OwnReceipt => OWN_RECEIPT_RATE,
        }
    }
}

/// How an event is known, and when it was signed if it is a signed object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// The peer did it on its own link.
    FirstHand(Option<UnixMillis>),
    /// Somebody else forwarded what the peer signed.
    Forwarded(UnixMillis),
}

impl Evidence {
    /// `signer` signed at `at` what came from `from`.
    pub fn of(signer: PeerId, from: PeerId, at: UnixMillis) -> Self {
        if signer == from { Self::FirstHand(Some(at)) } else { Self::Forwarded(at) }
    }
}

/// Whether something may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// There was a token.
    Within,
    /// There was none; drop it.
    Above,
    /// There was none for so long that the peer is to blame.
    Violation,
}

/// All buckets.
#[derive(Debug, Default)]
pub struct Rates {
    buckets: BTreeMap<(PeerId, Kind), Bucket>,
    /// How many there may be before full ones are looked for: twice what was left the last time, so that the
    /// search costs little and a node among many quiet peers holds few.
    forget_at: usize,
}

/// Below this many it is not worth looking for full ones.
const FORGET_MIN: usize = 64;

/// Thousandths of tokens, so that a millisecond at one a second is not lost.
const TOKEN: u64 = 1_000;

#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// Emptied by what arrives, filled by this node's clock.
    arrived: Level<Time>,
    /// Emptied by the same, filled by the clock of whoever signed it.
    signed: Level<UnixMillis>,
    /// Drops that count towards a violation.
    excess: u32,
}

#[derive(Clone, Copy, Debug)]
struct Level<T> {
    tokens: u64,
    at: T,
}

impl Rates {
    /// Take a token out of the bucket of `peer`, if there is one.
    pub fn take(&mut self, now: Now, peer: PeerId, kind: Kind, evidence: Evidence) -> Taken {
        let rate = kind.rate();
        if !self.buckets.contains_key(&(peer, kind)) && self.buckets.len() >= self.forget_at.max(FORGET_MIN) {
            self.forget(now);
        }
        let (first_hand, signed_at) = match evidence {
            Evidence::FirstHand(at) => (true, at),
            Evidence::Forwarded(at) => (false, Some(at)),
        };
        let bucket = self.buckets.entry((peer, kind)).or_insert(Bucket {
            arrived: Level { tokens: full(rate), at: now.mono },
            signed: Level { tokens: full(rate), at: signed_at.unwrap_or_default() },
            excess: 0,
        });
        if bucket.arrived.fill(rate, now.mono, now.mono.since(bucket.arrived.at).0) {
            bucket.excess = 0;
        }
        let signed_in_time = signed_at.is_none_or(|at| {
            if at > bucket.signed.at {
                bucket.signed.fill(rate, at, at.since(bucket.signed.at).0);
            }
            bucket.signed.take()
        });
        if bucket.arrived.take() {
            return Taken::Within;
        }
        let blamed = first_hand || !signed_in_time;
        let Some(violation) = rate.violation.filter(|_| blamed) else { return Taken::Above };
        bucket.excess += 1;
        if bucket.excess < violation {
            return Taken::Above;
        }
        bucket.excess = 0;
        Taken::Violation
    }

    /// When `peer` has a token of `kind` again.
    pub fn next_token(&self, now: Now, peer: PeerId, kind: Kind) -> Time {
        let Some(bucket) = self.buckets.get(&(peer, kind)) else { return now.mono };
        let missing = TOKEN.saturating_sub(bucket.arrived.tokens);
        let wait = missing.div_ceil(u64::from(kind.rate().per_second).max(1));
        Time(bucket.arrived.at.0.saturating_add(wait)).max(now.mono)
    }

    /// Make room: every bucket that is full by now, or else the fullest quarter.
    fn forget(&mut self, now: Now) {
        self.buckets.retain(|(_, kind), bucket| !bucket.arrived.would_be_full(kind.rate(), now.mono));
        self.forget_at = (2 * self.buckets.len()).min(RATES_MAX);
        if self.buckets.len() < RATES_MAX {
            return;
        }
        let mut by_level: Vec<_> = self.buckets.iter().map(|(key, bucket)| (bucket.missing(key.1), *key)).collect();
        by_level.sort_unstable_by_key(|(missing, _)| *missing);
        for (_, key) in &by_level[..by_level.len() / 4] {
            self.buckets.remove(key);
        }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.buckets.len()
    }
}

impl Bucket {
    /// How far it is from full, drops included, in thousandths of the whole.
    fn missing(&self, kind: Kind) -> u64 {
        let whole = full(kind.rate());
        (whole.saturating_sub(self.arrived.tokens) + u64::from(self.excess) * TOKEN) * 1_000 / whole.max(1)
    }
}

impl<T> Level<T> {
    /// True when it is full now.
    fn fill(&mut self, rate: Rate, now: T, passed_ms: u64) -> bool {
        let gained = passed_ms.saturating_mul(rate.per_second.into());
        self.tokens = self.tokens.saturating_add(gained).min(full(rate));
        self.at = now;
        self.tokens == full(rate)
    }

    fn take(&mut self) -> bool {
        let enough = self.tokens >= TOKEN;
        if enough {
            self.tokens -= TOKEN;
        }
        enough
    }
}

impl Level<Time> {
    fn would_be_full(&self, rate: Rate, now: Time) -> bool {
        let gained = now.since(self.at).0.saturating_mul(rate.per_second.into());
        self.tokens.saturating_add(gained) >= full(rate)
    }
}

/// Milliseconds times tokens a second are thousandths of tokens.
fn full(rate: Rate) -> u64 {
    u64::from(rate.burst) * TOKEN
}

#[cfg(test)]
mod tests {
    use multihash::Multihash;

    use super::*;

    fn peer(n: u16) -> PeerId {
        PeerId::from_multihash(Multihash::wrap(0, &n.to_be_bytes()).expect("short")).expect("short enough for an id")
    }

    fn at(ms: u64) -> Now {
        Now { mono: Time(ms), unix: UnixMillis(1_000_000 + ms) }
    }

    /// `per_second` events evenly over `secs`; returns how many were within, and the violations.
    fn check(
        rates: &mut Rates,
        kind: Kind,
        per_second: u64,
        secs: u64,
        evidence: impl Fn(Now) -> Evidence,
    ) -> (u64, u64) {
        let (mut within, mut violations) = (0, 0);
        for n in 0..per_second * secs {
            let now = at(n * 1_000 / per_second);
            match rates.take(now, peer(1), kind, evidence(now)) {
                Taken::Within => within += 1,
                Taken::Above => {}
                Taken::Violation => violations += 1,
            }
        }
        (within, violations)
    }

    #[test]
    fn who_keeps_to_the_rate_is_never_above() {
        let rate = u64::from(PRESENCE_RATE.per_second);
        let counted = check(&mut Rates::default(), Kind::Presence, rate, 3_600, |_| Evidence::FirstHand(None));
        assert_eq!(counted, (rate * 3_600, 0));
    }

    #[test]
    fn who_does_not_gets_the_burst_and_the_rate_and_is_blamed() {
        let Rate { per_second, burst, violation } = PRESENCE_RATE;
        let (within, violations) = check(&mut Rates::default(), Kind::Presence, 50, 60, |_| Evidence::FirstHand(None));
        let expect = u64::from(burst + 60 * per_second);
        assert!((expect - 1..=expect).contains(&within), "{within} where {expect} are allowed");
        assert_eq!(violations, (50 * 60 - within) / u64::from(violation.expect("presences are blamed")));
    }

    #[test]
    fn nobody_is_blamed_for_what_others_held_back() {
        let mut rates = Rates::default();
        for n in 0..2_000 {
            let signed = UnixMillis(1_000_000 + n * 200);
            let taken = rates.take(at(400_000), peer(1), Kind::Presence, Evidence::Forwarded(signed));
            assert_ne!(taken, Taken::Violation, "the {n}th was signed a fifth of a second after the one before");
        }
    }

    #[test]
    fn who_signs_too_often_is_blamed_whoever_forwards_it() {
        let forwarded = check(&mut Rates::default(), Kind::Presence, 50, 5, |now| Evidence::Forwarded(now.unix));
        assert!(forwarded.1 >= 3, "{} violations", forwarded.1);
    }

    #[test]
    fn a_flood_of_new_identities_pushes_out_itself_and_not_the_record_of_a_spammer() {
        let mut rates = Rates::default();
        let spammer = peer(0);
        for _ in 0..u64::from(PRESENCE_RATE.burst) + 5 {
            rates.take(at(0), spammer, Kind::Presence, Evidence::FirstHand(None));
        }
        let id = |n: usize| peer(n as u16 + 1);
        for n in 0..RATES_MAX + RATES_MAX / 2 {
            rates.take(at(0), id(n), Kind::Presence, Evidence::FirstHand(None));
            assert!(rates.len() <= RATES_MAX);
        }
        assert_eq!(rates.take(at(0), spammer, Kind::Presence, Evidence::FirstHand(None)), Taken::Above);
    }

    #[test]
    fn a_full_bucket_is_forgotten_first() {
        let mut rates = Rates::default();
        rates.take(at(0), peer(1), Kind::Presence, Evidence::FirstHand(None));
        rates.forget(at(0));
        assert_eq!(rates.len(), 1);
        rates.forget(at(1_000));
        assert_eq!(rates.len(), 0);
    }

    #[test]
    fn a_node_among_many_quiet_peers_holds_few_buckets() {
        let mut rates = Rates::default();
        for n in 0..4_000 {
            rates.take(at(u64::from(n) * 125), peer(n), Kind::Presence, Evidence::FirstHand(None));
            assert!(rates.len() <= FORGET_MIN, "{} after {n}", rates.len());
        }
    }

    #[test]
    fn the_next_token_comes_when_it_is_told() {
        let mut rates = Rates::default();
        while rates.take(at(7), peer(1), Kind::OwnReceipt, Evidence::FirstHand(None)) == Taken::Within {}
        let Time(due) = rates.next_token(at(7), peer(1), Kind::OwnReceipt);
        assert_eq!(rates.take(at(due - 1), peer(1), Kind::OwnReceipt, Evidence::FirstHand(None)), Taken::Above);
        assert_eq!(rates.take(at(due), peer(1), Kind::OwnReceipt, Evidence::FirstHand(None)), Taken::Within);
    }
}
