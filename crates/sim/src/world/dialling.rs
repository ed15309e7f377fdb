//! Dials and reservations.
//!
//! A dial takes the first of its addresses that leads to the peer. One that nobody answers is tried again after one,
//! two, four … seconds, as TCP does, until the time limit; one that is refused fails after a round trip.

use libp2p_identity::PeerId;
use multiaddr::{Multiaddr, Protocol as Part};
use mycomesh_core::{
    io::{DialError, Input, Path, ReservationError},
    limits::PRESENCE_ADDRS_MAX,
};

use super::World;
use crate::{
    event::{Dial, Event},
    gossip::PeerNo,
    peer::{Kind, no_of},
    time::Micros,
};

/// Addresses tried in one dial (`DIAL_ADDRS_MAX` in `crates/net`).
const ADDRS_MAX: usize = 2 * PRESENCE_ADDRS_MAX;
/// First wait before an unanswered dial is tried again; doubles.
const RETRY: Micros = Micros::secs(1);
/// How long browsers look for a direct path before they give up.
const NO_PATH: Micros = Micros::secs(8);
/// How long signalling and probing take on top of the round trips.
const PROBING: Micros = Micros::millis(300);
/// Guests of a relay at most (`reservations_max` in `crates/net`).
const GUESTS_MAX: usize = 1_024;

/// What comes of one address.
enum Way {
    /// It leads there now.
    Open { path: Path, via: Option<PeerNo> },
    /// Nobody answers; somebody may later.
    Silent,
    /// It leads nowhere.
    Closed(DialError),
}

impl World {
    pub(super) fn dial(&mut self, no: PeerNo, peer: PeerId, addrs: Vec<Multiaddr>, upgrade: bool) {
        let mut addrs = addrs;
        addrs.truncate(ADDRS_MAX);
        let linked = self.find(&peer).is_some_and(|other| self.peer(no).links.contains_key(&other));
        if !upgrade && !linked && !self.peer_mut(no).books.dialling.insert(peer) {
            // libp2p refuses a second dial beside one under way, and the driver tells core nothing.
            return;
        }
        let life = self.peer(no).life;
        let webrtc = addrs.iter().any(|addr| Path::of(addr) == Path::DirectWebrtc);
        // Connection, encryption, multiplexing: three round trips.
        let there =
            self.find(&peer).map_or(Micros::millis(20), |other| self.network.transit(&mut self.rng.network, no, other));
        let hands = Micros(there.0 * 6) + if webrtc { PROBING } else { Micros::default() };
        let dial = Dial { from: no, life, peer, addrs, upgrade, began: self.now, tries: 0 };
        self.queue.push(self.now + hands, Event::Dial(Box::new(dial)));
    }

    pub(super) fn try_dial(&mut self, mut dial: Dial) {
        let no = dial.from;
        if !self.lives(no, dial.life) {
            return;
        }
        let mut silent = false;
        let mut reason = None;
        for addr in dial.addrs.clone() {
            match self.way(no, &dial.peer, &addr) {
                Way::Open { path, via } => {
                    let Some(other) = self.find(&dial.peer) else { continue };
                    if !self.reach_relay(no, via) {
                        silent = true;
                    } else if self.connect(no, other, path, via) {
                        self.peer_mut(no).books.dialling.remove(&dial.peer);
                        return;
                    } else {
                        reason.get_or_insert(DialError::Refused("too many connections are open".into()));
                    }
                }
                Way::Silent => silent = true,
                Way::Closed(DialError::Unsupported(why)) => _ = reason.get_or_insert(DialError::Unsupported(why)),
                Way::Closed(why) => reason = Some(why),
            }
        }
        let waited = self.now.since(dial.began);
        let no_path = matches!(reason, Some(DialError::NoPath(_)));
        let patience = match no_path {
            true => NO_PATH,
            false => Micros::secs(self.peer(no).config.connection_timeout_s.into()),
        };
        if (silent || no_path) && waited < patience {
            let wait = Micros(RETRY.0 << dial.tries.min(6)).min(patience.since(waited).max(Micros(1)));
            dial.tries += 1;
            return self.queue.push(self.now + wait, Event::Dial(Box::new(dial)));
        }
        self.peer_mut(no).books.dialling.remove(&dial.peer);
        let reason = if silent { DialError::TimedOut } else { reason.unwrap_or(DialError::TimedOut) };
        self.tell(no, Input::DialFailed { peer: dial.peer, upgrade: dial.upgrade, reason });
    }

    /// What comes of dialling `addr` now.
    fn way(&self, no: PeerNo, peer: &PeerId, addr: &Multiaddr) -> Way {
        let unreachable = |why: &str| Way::Closed(DialError::Unreachable(why.into()));
        let unsupported = || Way::Closed(DialError::Unsupported(addr.to_string()));
        let Some(other) = self.find(peer) else { return unreachable("nobody has this id") };
        let me = self.peer(no);
        match Path::of(addr) {
            Path::DirectWebrtc => {
                let both = me.kind == Kind::Browser && self.peer(other).kind == Kind::Browser;
                // It is signalled over a connection that stands.
                if !both || !me.links.contains_key(&other) {
                    return unsupported();
                }
                if self.network.finds_direct_path(no, other) && self.network.carries_both(no, None, other) {
                    Way::Open { path: Path::DirectWebrtc, via: None }
                } else {
                    Way::Closed(DialError::NoPath("no direct path between the two networks was found".into()))
                }
            }
            Path::Relayed => {
                let Some(relay) = no_of(addr).filter(|relay| self.is_relay(*relay)) else {
                    return unreachable("no such relay");
                };
                if relay == no || relay == other {
                    return unreachable("a peer relays nothing to itself");
                }
                if !self.network.carries_both(no, None, relay) || !self.is_up(relay) {
                    return self.dead(relay);
                }
                let guest = self.peer(relay).guests.contains(&other) && self.peer(relay).links.contains_key(&other);
                if !guest {
                    return unreachable("the relay knows no such peer");
                }
                if !self.network.carries_both(relay, None, other) || !self.is_up(other) {
                    return Way::Silent;
                }
                Way::Open { path: Path::Relayed, via: Some(relay) }
            }
            Path::Websocket | Path::Tcp => {
                let Some(there) = no_of(addr).filter(|there| (there.0 as usize) < self.peers.len()) else {
                    return Way::Silent;
                };
                let path = Path::of(addr);
                if me.kind == Kind::Browser && path != Path::Websocket {
                    return unsupported();
                }
                if there != other {
                    return Way::Closed(DialError::WrongPeer(self.peer(there).id));
                }
                if self.peer(there).kind == Kind::Hidden || !self.network.carries_both(no, None, there) {
                    return Way::Silent;
                }
                if !self.is_up(there) { self.dead(there) } else { Way::Open { path, via: None } }
            }
            Path::None | Path::WebrtcDirect | Path::Quic => unsupported(),
        }
    }

    /// A circuit runs over a connection to its relay; without one, that is made first.
    fn reach_relay(&mut self, no: PeerNo, via: Option<PeerNo>) -> bool {
        let Some(relay) = via.filter(|relay| !self.peer(no).links.contains_key(relay)) else { return true };
        let path = if self.peer(no).kind == Kind::Browser { Path::Websocket } else { Path::Tcp };
        self.connect(no, relay, path, None)
    }

    fn is_relay(&self, no: PeerNo) -> bool {
        self.peers.get(no.0 as usize).is_some_and(|peer| peer.kind == Kind::Relay)
    }

    fn is_up(&self, no: PeerNo) -> bool {
        self.peer(no).alive && self.peer(no).busy_until <= self.now + Micros::secs(2)
    }

    /// A machine whose program has ended refuses; one that is gone, or asleep, says nothing.
    fn dead(&self, no: PeerNo) -> Way {
        let peer = self.peer(no);
        match !peer.alive && !peer.silent && !self.network.is_cut() {
            true => Way::Closed(DialError::Unreachable("connection refused".into())),
            false => Way::Silent,
        }
    }

    // --- reservations ------------------------------------------------------------------------

    pub(super) fn reserve(&mut self, no: PeerNo, relay: PeerId) {
        let Some(other) = self.find(&relay) else { return };
        if let Some(place) = self.peer_mut(no).books.reservations.get_mut(&other) {
            place.unwanted = false;
            if place.granted {
                self.tell(no, Input::Reserved { relay });
            }
            return;
        }
        if !self.peer(no).links.contains_key(&other) {
            let reason = ReservationError::Failed("there is no connection to it".into());
            return self.tell(no, Input::ReservationFailed { relay, reason });
        }
        self.peer_mut(no).books.reservations.insert(other, Default::default());
        let there = self.network.transit(&mut self.rng.network, no, other);
        let back = self.network.transit(&mut self.rng.network, other, no);
        let life = self.peer(no).life;
        self.queue.push(self.now + there + back, Event::Reserved { peer: no, life, relay: other });
    }

    pub(super) fn unreserve(&mut self, no: PeerNo, relay: PeerId) {
        let Some(other) = self.find(&relay) else { return };
        let Some(place) = self.peer_mut(no).books.reservations.get_mut(&other) else { return };
        place.unwanted = true;
        if place.granted {
            self.peer_mut(no).books.reservations.remove(&other);
            self.peer_mut(other).guests.remove(&no);
            self.circuit_addrs(no, other, false);
        }
    }

    pub(super) fn reservation_answered(&mut self, no: PeerNo, life: u32, relay: PeerNo) {
        let linked = self.peer(no).links.contains_key(&relay) && self.peer(relay).links.contains_key(&no);
        if !self.lives(no, life) || !linked {
            // The end of the connection tells, or core's own time limit.
            return;
        }
        let room = self.is_relay(relay) && self.peer(relay).guests.len() < GUESTS_MAX;
        let relay_id = self.peer(relay).id;
        let Some(place) = self.peer_mut(no).books.reservations.get_mut(&relay) else { return };
        if !room {
            self.peer_mut(no).books.reservations.remove(&relay);
            return self.tell(no, Input::ReservationFailed { relay: relay_id, reason: ReservationError::Full });
        }
        place.granted = true;
        if place.unwanted {
            self.peer_mut(no).books.reservations.remove(&relay);
            return;
        }
        self.peer_mut(relay).guests.insert(no);
        self.tell(no, Input::Reserved { relay: relay_id });
        self.circuit_addrs(no, relay, true);
    }

    /// The addresses at which a peer is reached through a relay appear, or go.
    pub(super) fn circuit_addrs(&mut self, no: PeerNo, relay: PeerNo, usable: bool) {
        let kind = self.peer(no).kind;
        let circuit = self.peer(relay).relay_addr(kind).with(Part::P2pCircuit);
        if kind == Kind::Browser {
            self.tell(no, Input::ListenAddr { addr: circuit.clone().with(Part::WebRTC), usable });
        }
        self.tell(no, Input::ListenAddr { addr: circuit, usable });
    }
}
