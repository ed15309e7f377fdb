//! Starts, crashes and goodbyes of peers.

use mycomesh_core::io::{Command, Input};

use super::World;
use crate::{
    checkers::Observation,
    event::Event,
    gossip::{HEARTBEAT, PeerNo},
    link::LinkNo,
    peer::Kind,
    time::Micros,
    workload::Errand,
};

/// How long a peer that said goodbye lets frames go out (`FLUSH` in `crates/net`).
const FLUSH: Micros = Micros::millis(250);
/// Links a newcomer asks for, where peers attach to those with many.
const ATTACHED: usize = 2;
/// By then it has joined and knows their addresses.
const SETTLED: Micros = Micros::secs(3);
/// Relays start first, so that nobody's first dial fails.
const HEAD_START: Micros = Micros::millis(500);

impl World {
    pub(super) fn plan_starts(&mut self) {
        let join = Micros::secs(self.scenario.join_s);
        let count = self.peers.len() as u64;
        for no in 0..count {
            let relay = self.peers[no as usize].kind == Kind::Relay;
            let crowd = self.scenario.crowd.filter(|crowd| self.rng.cast.chance(crowd.permille));
            let at = match crowd {
                _ if relay => Micros(no * 1_000),
                Some(crowd) => Micros::secs(crowd.at_s) + Micros(self.rng.cast.below(1_000_000)),
                None if self.scenario.attachment => HEAD_START + Micros(join.0 * no / count),
                None => HEAD_START + Micros(self.rng.cast.below(join.0 + 1)),
            };
            self.queue.push(at, Event::Start(PeerNo(no as u32)));
        }
    }

    /// Where peers attach to those with many links: whom a newcomer connects to first.
    fn attach_by_degree(&mut self, no: PeerNo, life: u32) {
        let mut ends: Vec<PeerNo> = Vec::new();
        for peer in self.peers.iter().filter(|peer| peer.alive && peer.no != no && peer.kind != Kind::Relay) {
            // Once for itself, so that the first ones find each other, and once for each link.
            ends.extend(std::iter::repeat_n(peer.no, 1 + peer.links.len()));
        }
        for _ in 0..ATTACHED {
            if let Some(to) = self.rng.cast.pick(&ends) {
                let at = self.now + SETTLED;
                self.queue.push(at, Event::Errand { peer: no, life, errand: Errand::Connect(to) });
            }
        }
    }

    /// Start a peer's process: what its driver does in `crates/net/src/start.rs`.
    pub(crate) fn start(&mut self, no: PeerNo) {
        if self.peer(no).alive || self.peer(no).gone {
            return;
        }
        let slots = self.scenario.slots;
        let Self { now, peers, seed, verifier, .. } = self;
        let peer = &mut peers[no.0 as usize];
        let records = peer.start(*now, *seed, slots, verifier);
        let (kind, life) = (peer.kind, peer.life);
        let listens = peer.listens();
        let relays = peer.relays.clone();
        self.tell(no, Input::Loaded(records));
        if !relays.is_empty() {
            let addrs = relays.iter().map(|relay| self.peer(*relay).relay_addr(kind)).collect();
            self.command(no, Command::SetRelays(addrs), Errand::Join);
        }
        if kind == Kind::Browser {
            self.tell(no, Input::WebrtcAvailable);
        }
        self.tell(no, Input::Started);
        if let Some(addr) = listens {
            self.tell(no, Input::ListenAddr { addr, usable: true });
        }
        // Heartbeats of different peers fall apart from each other.
        let first = Micros(self.rng.gossip.below(HEARTBEAT.0));
        self.queue.push(self.now + first, Event::Heartbeat { peer: no, life });
        self.plan_mischief(no);
        if self.scenario.attachment {
            self.attach_by_degree(no, life);
        }
        self.observe(&Observation::Started { peer: no });
        self.write_down(no, || "starts".into());
    }

    /// A peer's process ends without a word of its own. `silent`: its machine goes with it, so that nobody is told;
    /// `forgets`: its disk too. A relay takes its circuits with it: each end notices with its connection to the relay.
    pub(crate) fn crash(&mut self, no: PeerNo, silent: bool, forgets: bool) {
        if !self.peer(no).alive {
            return;
        }
        self.observe(&Observation::Stopping { peer: no, forgets });
        self.write_down(no, || format!("stops (silent: {silent}, forgets: {forgets})"));
        let links: Vec<LinkNo> = self.peer(no).links.values().flatten().copied().collect();
        self.peer_mut(no).stop(silent);
        if forgets {
            self.peer_mut(no).store.clear();
        }
        for link in links {
            let Some(found) = self.links.get(link).cloned() else { continue };
            let side = found.side_of(no);
            self.links.close(link, side);
            if !silent && found.is_open(side.other()) {
                let (other, via) = (found.at(side.other()), found.via);
                let arrives = self.now + self.network.transit_via(&mut self.rng.network, no, via, other);
                self.queue.push(arrives, Event::Fin { link, side: side.other() });
            }
        }
        self.tally.stops += 1;
    }

    /// A peer says goodbye, and leaves a moment later.
    pub(crate) fn leave(&mut self, no: PeerNo) {
        if !self.peer(no).alive {
            return;
        }
        self.command(no, Command::Shutdown, Errand::Leave);
        let life = self.peer(no).life;
        self.queue.push(self.now + FLUSH, Event::Depart { peer: no, life });
    }

    pub(super) fn depart(&mut self, no: PeerNo, life: u32) {
        if self.lives(no, life) {
            self.crash(no, false, false);
        }
    }
}
