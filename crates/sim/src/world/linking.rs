//! Connections: how they come up, how each side finds out that they are gone, and which are closed.
//!
//! A side that closes a connection says so (`Fin`), and the other side hears of it after a transit, unless the way is
//! cut or the machine is gone: then only the silence tells. Both sides ping every three seconds and give a connection
//! up after eight seconds without an answer, as `crates/net/src/liveness.rs` does. An answer needs both directions, so
//! a connection over which only one direction works dies on both sides.

use libp2p_identity::PeerId;
use mycomesh_core::{
    io::{Input, LinkId, Path, ReservationError},
    time::Millis,
};

use super::World;
use crate::{
    event::Event,
    gossip::PeerNo,
    link::{LinkNo, Side},
    peer::Kind,
    time::Micros,
};

/// Time between two pings (`PING_INTERVAL` in `crates/net`).
const PING: Micros = Micros::secs(3);
/// An answer that takes longer does not count (`PING_TIMEOUT` there).
const PING_MAX: Micros = Micros::secs(4);
/// A connection without an answer for so long is given up (`SILENCE_MAX` there).
const SILENCE: Micros = Micros::secs(8);
/// What cannot pass a cut is sent again so soon: between the first and the later waits of a TCP stack.
pub(super) const RESEND: Micros = Micros::millis(800);
/// How often a replaced connection is looked at, and how long requests may keep it (`replaced.rs` there).
const LOOK: Micros = Micros::millis(500);
const BUSY_MAX: Micros = Micros::secs(10);
/// Connections one peer may have (`CONNECTIONS_PER_PEER_MAX` there).
const PER_PEER_MAX: usize = 4;

impl World {
    /// A connection comes up. False where the other side has as many of this peer as it takes.
    pub(super) fn connect(&mut self, dialler: PeerNo, listener: PeerNo, path: Path, via: Option<PeerNo>) -> bool {
        let held = |at: PeerNo, other: PeerNo| self.peer(at).links.get(&other).map_or(0, Vec::len);
        if held(dialler, listener) >= PER_PEER_MAX || held(listener, dialler) >= PER_PEER_MAX {
            return false;
        }
        let full = |at: PeerNo, other: PeerNo| {
            let peer = self.peer(at);
            let ours = peer.relays.contains(&other);
            peer.links.len() >= peer.config.max_peers as usize && !peer.links.contains_key(&other) && !ours
        };
        if full(dialler, listener) {
            return false;
        }
        let refused = full(listener, dialler);
        let link = self.links.open(self.now, dialler, listener, path, via);
        self.tally.links += 1;
        self.attach(dialler, listener, link, path, true);
        if refused {
            // It closes the connection without telling core of it.
            self.links.close(link, Side::Listener);
            self.send_fin(link, Side::Listener);
        } else {
            self.attach(listener, dialler, link, path, false);
        }
        self.queue.push(self.now, Event::Ping(link));
        let both = self.network.transit_via(&mut self.rng.network, dialler, via, listener);
        self.queue.push(self.now + both + both, Event::Identify(link));
        true
    }

    fn attach(&mut self, no: PeerNo, other: PeerNo, link: LinkNo, path: Path, dialled: bool) {
        let other_id = self.peer(other).id;
        let peer = self.peer_mut(no);
        peer.links.entry(other).or_default().push(link);
        peer.books.dialling.remove(&other_id);
        self.tell(no, Input::Connected { peer: other_id, link: LinkId(link.0), path, dialled });
        let peer = self.peer_mut(no);
        if peer.links.get(&other).is_some_and(|links| links.len() == 1) {
            let mut out = Vec::new();
            peer.gossip.connected(other, dialled, &mut out);
            self.send_gossip(no, out);
        }
    }

    pub(super) fn identify(&mut self, link: LinkNo) {
        let Some(found) = self.links.get(link).cloned() else { return };
        for side in Side::BOTH {
            let (no, other) = (found.at(side), found.at(side.other()));
            if found.is_open(side) && found.is_open(side.other()) {
                let webrtc = self.peer(other).kind == Kind::Browser;
                let peer = self.peer(other).id;
                self.tell(no, Input::Identified { peer, webrtc });
            }
        }
    }

    // --- what passes over a connection -------------------------------------------------------

    /// When something sent by `no` over `link` arrives, and at which side. None where it is not open.
    pub(crate) fn travel(&mut self, no: PeerNo, link: LinkNo) -> Option<(Micros, Side)> {
        let found = self.links.get(link)?;
        let side = found.side_of(no);
        if !found.is_open(side) {
            return None;
        }
        let (other, via) = (found.at(side.other()), found.via);
        let span = self.network.transit_via(&mut self.rng.network, no, via, other);
        Some((self.now + span, side.other()))
    }

    /// Who is at this side of an open connection, and who at the other.
    pub(super) fn receiver(&self, link: LinkNo, side: Side) -> Option<(PeerNo, PeerNo)> {
        let found = self.links.get(link).filter(|link| link.is_open(side))?;
        Some((found.at(side), found.at(side.other())))
    }

    /// Whether what should arrive at this side is held up by a cut.
    pub(super) fn wait_for_cut(&self, link: LinkNo, side: Side) -> bool {
        self.network.is_cut()
            && self
                .links
                .get(link)
                .is_some_and(|found| !self.network.carries(found.at(side.other()), found.via, found.at(side)))
    }

    // --- closing -----------------------------------------------------------------------------

    /// One side closes a connection, or notices that it is closed.
    pub(super) fn close_side(&mut self, link: LinkNo, side: Side, say: bool) {
        let Some(found) = self.links.get(link).cloned() else { return };
        if !self.links.close(link, side) {
            return;
        }
        let (no, other) = (found.at(side), found.at(side.other()));
        let other_id = self.peer(other).id;
        let now = self.now;
        let peer = self.peer_mut(no);
        let mut last = false;
        if let Some(links) = peer.links.get_mut(&other) {
            links.retain(|open| *open != link);
            last = links.is_empty();
        }
        if last {
            peer.links.remove(&other);
            peer.gossip.disconnected(now, other);
        }
        self.break_requests(no, link);
        self.tell(no, Input::Disconnected { peer: other_id, link: LinkId(link.0) });
        if say && found.is_open(side.other()) {
            self.send_fin_from(&found, link, side);
        }
        if last {
            self.without(no, other);
        }
    }

    /// What ran through the last connection to `other`, at this side.
    fn without(&mut self, no: PeerNo, other: PeerNo) {
        // As a client: the place on that relay, and every circuit through it.
        if let Some(place) = self.peer_mut(no).books.reservations.remove(&other) {
            self.circuit_addrs(no, other, false);
            if !place.unwanted {
                let relay = self.peer(other).id;
                let reason = if place.granted {
                    ReservationError::Lost
                } else {
                    ReservationError::Failed("the connection was lost".into())
                };
                self.tell(no, Input::ReservationFailed { relay, reason });
            }
        }
        let through: Vec<LinkNo> = self.peer(no).links.values().flatten().copied().collect();
        for link in through {
            if let Some(found) = self.links.get(link).filter(|found| found.via == Some(other)) {
                let side = found.side_of(no);
                // The other end hears of it from the relay, below.
                self.close_side(link, side, false);
            }
        }
        // As a relay: the guest's place, and the other ends of its circuits.
        if self.peer(no).kind == Kind::Relay {
            self.peer_mut(no).guests.remove(&other);
            let ends: Vec<PeerNo> = self.peer(no).links.keys().copied().collect();
            for end in ends {
                let circuits = self.peer(end).links.get(&other).cloned().unwrap_or_default();
                for link in circuits {
                    let Some(found) = self.links.get(link).filter(|found| found.via == Some(no)) else { continue };
                    let side = found.side_of(end);
                    let arrives = self.now + self.network.transit(&mut self.rng.network, no, end);
                    self.queue.push(arrives, Event::Fin { link, side });
                }
            }
        }
    }

    fn send_fin(&mut self, link: LinkNo, from: Side) {
        if let Some(found) = self.links.get(link).cloned() {
            self.send_fin_from(&found, link, from);
        }
    }

    fn send_fin_from(&mut self, found: &crate::link::Link, link: LinkNo, from: Side) {
        let (a, b) = (found.at(from), found.at(from.other()));
        let arrives = self.now + self.network.transit_via(&mut self.rng.network, a, found.via, b);
        // Behind everything that was sent before it.
        let arrives = arrives.max(found.arrives[from.other() as usize]);
        self.queue.push(arrives, Event::Fin { link, side: from.other() });
    }

    pub(super) fn fin_arrives(&mut self, link: LinkNo, side: Side) {
        if self.receiver(link, side).is_none() {
            return;
        }
        if self.wait_for_cut(link, side) {
            return self.queue.push(self.now + RESEND, Event::Fin { link, side });
        }
        self.close_side(link, side, true);
    }

    pub(super) fn close_peer(&mut self, no: PeerNo, other: PeerId) {
        let Some(other) = self.find(&other) else { return };
        for link in self.peer(no).links.get(&other).cloned().unwrap_or_default() {
            if let Some(side) = self.links.get(link).map(|found| found.side_of(no)) {
                self.close_side(link, side, true);
            }
        }
    }

    /// Core has another connection instead: this one goes as soon as no request is under way on it.
    pub(super) fn replace(&mut self, no: PeerNo, link: LinkNo) {
        let (life, latest) = (self.peer(no).life, self.now + BUSY_MAX);
        self.queue.push(self.now, Event::Replaced { peer: no, life, link, latest });
    }

    pub(super) fn close_replaced(&mut self, no: PeerNo, life: u32, link: LinkNo, latest: Micros) {
        let Some(found) = self.links.get(link) else { return };
        let side = found.side_of(no);
        if !self.lives(no, life) || !found.is_open(side) {
            return;
        }
        let other = found.at(side.other());
        if self.now < latest && self.is_under_way(no, link, other) {
            return self.queue.push(self.now + LOOK, Event::Replaced { peer: no, life, link, latest });
        }
        self.close_side(link, side, true);
    }

    // --- liveness ----------------------------------------------------------------------------

    pub(super) fn ping(&mut self, link: LinkNo) {
        let Some(found) = self.links.get(link).cloned() else { return };
        self.queue.push(self.now + PING, Event::Ping(link));
        self.ping_once(link, &found);
    }

    fn ping_once(&mut self, link: LinkNo, found: &crate::link::Link) {
        let (a, b) = (found.at(Side::Dialler), found.at(Side::Listener));
        let awake = |no: PeerNo| self.peer(no).alive && self.peer(no).busy_until <= self.now + PING_MAX;
        let answered = found.is_open(Side::Dialler)
            && found.is_open(Side::Listener)
            && awake(a)
            && awake(b)
            && self.network.carries_both(a, found.via, b);
        if answered {
            let late = self.peer(a).delay + self.peer(b).delay;
            let there = self.network.transit_via(&mut self.rng.network, a, found.via, b);
            let back = self.network.transit_via(&mut self.rng.network, b, found.via, a);
            let rtt = there + back + late;
            if rtt <= PING_MAX {
                return self.queue.push(self.now + rtt, Event::Pong { link, rtt });
            }
        }
        let due = found.answered + SILENCE;
        if let Some(found) = self.links.get_mut(link)
            && !found.watched
        {
            found.watched = true;
            self.queue.push(due.max(self.now), Event::Silence(link));
        }
    }

    pub(super) fn pong(&mut self, link: LinkNo, rtt: Micros) {
        let now = self.now;
        let Some(found) = self.links.get_mut(link) else { return };
        found.answered = now;
        let found = found.clone();
        for side in Side::BOTH {
            let (no, other) = (found.at(side), found.at(side.other()));
            if found.is_open(side) && self.peer(no).alive {
                let (peer, rtt) = (self.peer(other).id, Millis(rtt.as_millis()));
                self.tell(no, Input::Rtt { peer, link: LinkId(link.0), rtt });
            }
        }
    }

    pub(super) fn judge_silence(&mut self, link: LinkNo) {
        let now = self.now;
        let Some(found) = self.links.get_mut(link) else { return };
        found.watched = false;
        let due = found.answered + SILENCE;
        if now < due {
            return;
        }
        let found = found.clone();
        for side in Side::BOTH {
            let no = found.at(side);
            if !found.is_open(side) {
                continue;
            }
            let asleep_until = self.peer(no).busy_until;
            if asleep_until > now {
                // A peer that sleeps judges nobody; it hears of the end when it wakes.
                self.queue.push(asleep_until, Event::Fin { link, side });
            } else {
                self.close_side(link, side, true);
            }
        }
    }

    pub(super) fn check_links(&mut self, no: PeerNo) {
        let links: Vec<LinkNo> = self.peer(no).links.values().flatten().copied().collect();
        for link in links {
            if let Some(found) = self.links.get(link).cloned() {
                self.ping_once(link, &found);
            }
        }
    }
}
