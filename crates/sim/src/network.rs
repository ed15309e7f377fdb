//! What lies between peers: how long something travels, and which ways are cut.
//!
//! Every pair of peers has a base latency, drawn once from the seed. On top of it comes jitter, now and then a long
//! tail, and loss. Real transports are reliable streams, so loss never drops a message: it delays it by a
//! retransmission, and by longer ones when that is lost too. Messages are dropped only with their connection.
//!
//! A cut takes away one direction between two sides of the network, or both. What is on its way over a cut is
//! retransmitted until the cut heals or the connection is given up.

use serde::{Deserialize, Serialize};

use crate::{
    gossip::PeerNo,
    random::{Rng, of_pair},
    time::Micros,
};

/// The first wait before something lost is sent again (the minimum of common TCP stacks); doubles.
const RETRANSMIT: Micros = Micros::millis(200);
/// Losses in a row at most: with 1 % loss the sixth is one in 10^12.
const LOSSES_MAX: u32 = 5;

/// How the network behaves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Weather {
    /// The base latency of a pair, one way, is drawn between these, in milliseconds.
    pub latency_ms: [u64; 2],
    /// Up to this is added to each message, in milliseconds.
    pub jitter_ms: u64,
    /// This share of messages is late by up to [`Weather::tail_ms`], in thousandths.
    pub tail_permille: u64,
    /// In milliseconds.
    pub tail_ms: u64,
    /// This share of messages is lost and sent again, in thousandths.
    pub loss_permille: u64,
    /// Pairs of browsers that find a direct path, in thousandths.
    pub webrtc_permille: u64,
}

impl Default for Weather {
    fn default() -> Self {
        Self {
            latency_ms: [5, 80],
            jitter_ms: 10,
            tail_permille: 10,
            tail_ms: 300,
            loss_permille: 5,
            webrtc_permille: 800,
        }
    }
}

/// The network of one run.
#[derive(Debug)]
pub struct Network {
    weather: Weather,
    seed: u64,
    cuts: Vec<Cut>,
    cuts_made: u64,
}

/// Part of the network cannot reach the rest.
#[derive(Debug)]
struct Cut {
    number: u64,
    /// Whether a peer is on the inside, by its number.
    inside: Vec<bool>,
    /// The inside does not hear the outside.
    inward: bool,
    /// The outside does not hear the inside.
    outward: bool,
}

impl Network {
    /// A network without cuts.
    pub fn new(weather: Weather, seed: u64) -> Self {
        Self { weather, seed, cuts: Vec::new(), cuts_made: 0 }
    }

    /// How long one message travels from `a` to `b`.
    pub fn transit(&self, rng: &mut Rng, a: PeerNo, b: PeerNo) -> Micros {
        let Weather { jitter_ms, tail_permille, tail_ms, loss_permille, .. } = self.weather;
        let mut span = self.base(a, b) + Micros(rng.below(jitter_ms * 1_000 + 1));
        if rng.chance(tail_permille) {
            span += Micros(rng.below(tail_ms * 1_000 + 1));
        }
        let mut wait = RETRANSMIT;
        for _ in 0..LOSSES_MAX {
            if !rng.chance(loss_permille) {
                break;
            }
            span += wait;
            wait += wait;
        }
        span
    }

    /// The same over a relay, if there is one.
    pub fn transit_via(&self, rng: &mut Rng, a: PeerNo, via: Option<PeerNo>, b: PeerNo) -> Micros {
        match via {
            Some(relay) => self.transit(rng, a, relay) + self.transit(rng, relay, b),
            None => self.transit(rng, a, b),
        }
    }

    fn base(&self, a: PeerNo, b: PeerNo) -> Micros {
        let [low, high] = self.weather.latency_ms;
        let span = high.saturating_sub(low) * 1_000 + 1;
        Micros::millis(low) + Micros(of_pair(self.seed, a.0, b.0) % span)
    }

    /// Whether two browsers find a direct path to each other.
    pub fn finds_direct_path(&self, a: PeerNo, b: PeerNo) -> bool {
        of_pair(self.seed ^ 0x57eb, a.0, b.0) % 1_000 < self.weather.webrtc_permille
    }

    /// Whether messages from `a` reach `b` now, over the relay if there is one.
    pub fn carries(&self, a: PeerNo, via: Option<PeerNo>, b: PeerNo) -> bool {
        match via {
            Some(relay) => self.open(a, relay) && self.open(relay, b),
            None => self.open(a, b),
        }
    }

    /// Whether messages pass in both directions.
    pub fn carries_both(&self, a: PeerNo, via: Option<PeerNo>, b: PeerNo) -> bool {
        self.carries(a, via, b) && self.carries(b, via, a)
    }

    fn open(&self, from: PeerNo, to: PeerNo) -> bool {
        let inside = |cut: &Cut, peer: PeerNo| cut.inside.get(peer.0 as usize).copied().unwrap_or(false);
        self.cuts.iter().all(|cut| match (inside(cut, from), inside(cut, to)) {
            (true, false) => !cut.outward,
            (false, true) => !cut.inward,
            _ => true,
        })
    }

    /// Cut off everybody for whom `inside` is set, in the directions given. Returns the cut's number.
    pub fn cut(&mut self, inside: Vec<bool>, inward: bool, outward: bool) -> u64 {
        self.cuts_made += 1;
        self.cuts.push(Cut { number: self.cuts_made, inside, inward, outward });
        self.cuts_made
    }

    /// Mend one cut.
    pub fn mend(&mut self, number: u64) {
        self.cuts.retain(|cut| cut.number != number);
    }

    /// Mend every cut.
    pub fn mend_all(&mut self) {
        self.cuts.clear();
    }

    /// Whether anything is cut.
    pub fn is_cut(&self) -> bool {
        !self.cuts.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_in_one_direction_lets_the_other_pass() {
        let mut network = Network::new(Weather::default(), 1);
        let (a, b, c) = (PeerNo(0), PeerNo(1), PeerNo(2));
        let cut = network.cut(vec![true, false, false], false, true);
        assert!(!network.carries(a, None, b));
        assert!(network.carries(b, None, a));
        assert!(network.carries_both(b, None, c));
        assert!(!network.carries(b, Some(a), c));
        network.mend(cut);
        assert!(network.carries_both(a, None, b));
    }

    #[test]
    fn loss_delays_and_never_drops() {
        let weather =
            Weather { loss_permille: 1_000, jitter_ms: 0, tail_permille: 0, latency_ms: [5, 5], ..Weather::default() };
        let network = Network::new(weather, 1);
        let mut rng = Rng::new(1, "test");
        let span = network.transit(&mut rng, PeerNo(0), PeerNo(1));
        assert_eq!(span, Micros::millis(5 + 200 + 400 + 800 + 1_600 + 3_200));
    }
}
