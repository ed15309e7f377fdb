//! A few random neighbours, so that gossip does not hang on one relay: when they are looked for, and
//! which of the peers that are there are dialled for it.

use libp2p_identity::PeerId;
use multiaddr::Multiaddr;

use super::{State, circuit_relay};
use crate::{
    cx::Cx,
    io::Path,
    limits::{NEIGHBOURS_RELAYED_MAX, NEIGHBOURS_WANTED, SEARCH_DIALS_MAX},
    time::{Millis, Time},
};

/// A peer that could be dialled, with its addresses.
pub struct Candidate<'a> {
    pub peer: PeerId,
    pub addrs: &'a [Multiaddr],
}

/// Neighbours are looked for again this soon while there are too few.
pub(super) const SEARCH_SOON: Millis = Millis(1_500);
/// With more peers than this, neighbours are not sought through a relay that both sides are attached
/// to: it hands everybody's gossip to everybody already, and every such link would carry all of it
/// once more. Guess.
const CROWD: usize = 8;
/// The first search, once presences have come in.
const SEARCH_FIRST: Millis = Millis(300);

impl State {
    /// Dial some of the candidates while there are too few neighbours.
    pub(super) fn search(&mut self, cx: &mut Cx<'_>, candidates: &[Candidate<'_>]) {
        let now = cx.now.mono;
        self.search_due = Some(now + cx.shared.config.discovery_interval());
        let room = (cx.shared.config.max_peers as usize).saturating_sub(self.peers.len());
        let dials = SEARCH_DIALS_MAX.saturating_sub(self.dials_under_way());
        let mut missing = NEIGHBOURS_WANTED.saturating_sub(self.neighbours()).min(room).min(dials);
        let mut relayed = NEIGHBOURS_RELAYED_MAX.saturating_sub(self.relayed_neighbours());
        let mut open: Vec<&Candidate<'_>> =
            candidates.iter().filter(|candidate| !self.peers.contains_key(&candidate.peer)).collect();
        let crowded = candidates.len() > CROWD;
        while missing > 0 && !open.is_empty() {
            let pick = open.swap_remove(cx.random(open.len() as u64) as usize);
            // A link that begins at the relay may stay there, or is wanted only if it becomes direct.
            let hopeful = self.may_hope(&pick.peer, now);
            let circuit = |addr: &&Multiaddr| matches!(Path::of(addr), Path::Relayed | Path::DirectWebrtc);
            let may_stay = |addr: &&Multiaddr| relayed > 0 && !(crowded && self.shares_relay(addr));
            let worthwhile = |addr: &&Multiaddr| {
                !circuit(addr) || may_stay(addr) || (hopeful && Path::of(addr) == Path::DirectWebrtc)
            };
            let addrs: Vec<Multiaddr> = pick.addrs.iter().filter(worthwhile).cloned().collect();
            if addrs.is_empty() {
                continue;
            }
            let stays = addrs.iter().filter(circuit).any(|addr| may_stay(&addr));
            let hope = !stays && addrs.iter().any(|addr| circuit(&addr));
            if stays {
                relayed -= 1;
            }
            self.want(cx, pick.peer, &addrs, hope);
            missing -= 1;
        }
    }

    /// Whether a circuit runs through a relay that this node is attached to itself.
    fn shares_relay(&self, circuit: &Multiaddr) -> bool {
        let relay = circuit_relay(circuit);
        self.relays.iter().any(|own| own.reserved && Some(own.peer) == relay)
    }

    /// Whether the next tick looks for neighbours and wants candidates.
    pub fn search_is_due(&self, now: Time) -> bool {
        self.search_due.is_some_and(|due| now >= due)
    }

    /// Whether there are fewer neighbours than wanted.
    pub fn wants_neighbours(&self) -> bool {
        self.neighbours() < NEIGHBOURS_WANTED
    }

    fn neighbours(&self) -> usize {
        self.peers.keys().filter(|peer| !self.is_relay(peer)).count()
    }

    fn relayed_neighbours(&self) -> usize {
        self.peers.keys().filter(|peer| !self.is_relay(peer) && self.path(peer).0 == Path::Relayed).count()
    }

    /// Somebody new is there: a neighbour may be wanted.
    pub fn newcomer(&mut self, now: Time) {
        self.search_by(now + SEARCH_FIRST);
    }

    /// Look for neighbours then at the latest.
    pub(super) fn search_by(&mut self, due: Time) {
        self.search_due = Some(self.search_due.map_or(due, |at| at.min(due)));
    }
}
