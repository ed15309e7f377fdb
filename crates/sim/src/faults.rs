//! What breaks: a timeline of the scenario, or faults drawn at random; and the moment at which everything is whole
//! again, from which on checkers want the peers to agree.

use serde::{Deserialize, Serialize};

use crate::{
    checkers::Observation, event::Event, gossip::PeerNo, peer::Kind, time::Micros, workload::Errand, world::World,
};

/// Something that breaks at a time of the scenario.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// When, in seconds.
    pub at_s: u64,
    /// What.
    #[serde(flatten)]
    pub what: Breakage,
}

/// What can break.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Breakage {
    /// Processes end.
    Kill {
        /// Of the peers that are not relays, in percent.
        percent: u64,
        /// Their machines go too, so that nobody is told.
        #[serde(default)]
        silent: bool,
        /// Their disks go too.
        #[serde(default)]
        forgets: bool,
        /// They start again after so many seconds; without it, never.
        back_s: Option<u64>,
    },
    /// Peers say goodbye, and come again.
    Leave {
        /// Of the peers that are not relays, in percent.
        percent: u64,
        /// They start again after so many seconds; without it, never.
        back_s: Option<u64>,
    },
    /// The network falls in two.
    Partition {
        /// On the smaller side, in percent.
        percent: u64,
        /// For so many seconds.
        for_s: u64,
        /// Only one direction is cut.
        #[serde(default)]
        one_way: bool,
    },
    /// Relays end, and start again.
    RelayOutage {
        /// Of the relays, in percent.
        percent: u64,
        /// For so many seconds.
        for_s: u64,
    },
    /// Peers take long for everything.
    Slow {
        /// Of the peers that are not relays, in percent.
        percent: u64,
        /// So much longer, in milliseconds.
        delay_ms: u64,
        /// For so many seconds.
        for_s: u64,
    },
    /// Peers sleep, like a laptop with its lid closed, and wake.
    Sleep {
        /// Of the peers that are not relays, in percent.
        percent: u64,
        /// For so many seconds.
        for_s: u64,
    },
    /// Owners switch to busy, and back.
    Busy {
        /// Of the peers that are not relays, in percent.
        percent: u64,
        /// For so many seconds.
        for_s: u64,
    },
}

/// Faults at random.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chaos {
    /// One each so many seconds, on average.
    pub every_s: u64,
    /// The first after so many seconds.
    pub after_s: u64,
}

/// What breaks or is mended at one moment.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    Break(Breakage),
    Restart(PeerNo),
    Mend(u64),
    Hurry(PeerNo),
    Wake(PeerNo),
    Heal,
}

/// The state of the faults.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// Since when everything is whole.
    pub(crate) healed: Option<Micros>,
}

impl World {
    pub(crate) fn plan_faults(&mut self) {
        for planned in self.scenario.faults.clone() {
            self.queue.push(Micros::secs(planned.at_s), Event::Fault(Fault::Break(planned.what)));
        }
        if let Some(chaos) = self.scenario.chaos.clone() {
            self.queue.push(Micros::secs(chaos.after_s), Event::Chaos);
        }
        self.queue.push(self.scenario.heal(), Event::Fault(Fault::Heal));
    }

    /// Draw a fault, and when the next is drawn.
    pub(crate) fn draw_fault(&mut self) {
        let Some(chaos) = self.scenario.chaos.clone() else { return };
        if self.now >= self.scenario.heal() {
            return;
        }
        let rng = &mut self.rng.faults;
        let next = self.now + Micros(rng.below(2 * Micros::secs(chaos.every_s).0 + 1));
        let percent = rng.between(3, 20);
        let for_s = rng.between(2, 40);
        let (silent, forgets, one_way) = (rng.chance(500), rng.chance(250), rng.chance(500));
        let breakage = match rng.below(100) {
            0..28 => Breakage::Kill { percent, silent, forgets, back_s: Some(for_s) },
            28..40 => Breakage::Leave { percent, back_s: Some(for_s) },
            40..60 => Breakage::Partition { percent: rng.between(5, 50), for_s, one_way },
            60..68 => Breakage::RelayOutage { percent: rng.between(1, 100), for_s },
            68..80 => Breakage::Slow { percent, delay_ms: rng.between(2, 20), for_s },
            80..92 => Breakage::Sleep { percent, for_s },
            _ => Breakage::Busy { percent, for_s },
        };
        self.queue.push(next, Event::Chaos);
        self.fault(Fault::Break(breakage));
    }

    pub(crate) fn fault(&mut self, fault: Fault) {
        match fault {
            Fault::Break(breakage) => self.tear(breakage),
            Fault::Restart(peer) => self.start(peer),
            Fault::Mend(cut) => self.network.mend(cut),
            Fault::Hurry(peer) => self.peer_mut(peer).delay = Micros::default(),
            Fault::Wake(peer) => self.wake(peer),
            Fault::Heal => self.heal(),
        }
    }

    fn tear(&mut self, breakage: Breakage) {
        self.tally.faults += 1;
        match breakage {
            Breakage::Kill { percent, silent, forgets, back_s } => {
                for peer in self.some(percent, false) {
                    self.crash(peer, silent, forgets);
                    self.come_back(peer, back_s);
                }
            }
            Breakage::Leave { percent, back_s } => {
                for peer in self.some(percent, false) {
                    self.leave(peer);
                    self.come_back(peer, back_s);
                }
            }
            Breakage::Partition { percent, for_s, one_way } => {
                let count = self.peers.len();
                let mut inside: Vec<bool> = vec![false; count];
                let most = (count as u64 * percent).div_ceil(100).max(1);
                let mut order: Vec<usize> = (0..count).collect();
                self.rng.faults.shuffle(&mut order);
                for at in order.into_iter().take(most as usize) {
                    inside[at] = true;
                }
                let (inward, outward) = match (one_way, self.rng.faults.chance(500)) {
                    (false, _) => (true, true),
                    (true, side) => (side, !side),
                };
                let cut = self.network.cut(inside, inward, outward);
                self.later(for_s, Fault::Mend(cut));
            }
            Breakage::RelayOutage { percent, for_s } => {
                for peer in self.some(percent, true) {
                    self.crash(peer, false, false);
                    self.come_back(peer, Some(for_s));
                }
            }
            Breakage::Slow { percent, delay_ms, for_s } => {
                for peer in self.some(percent, false) {
                    self.peer_mut(peer).delay = Micros::millis(delay_ms);
                    self.later(for_s, Fault::Hurry(peer));
                }
            }
            Breakage::Sleep { percent, for_s } => {
                for peer in self.some(percent, false) {
                    // Nobody is woken before its time: what waits for a sleeper would come after what comes then.
                    let until = (self.now + Micros::secs(for_s)).min(self.scenario.heal());
                    self.peer_mut(peer).busy_until = until;
                    self.queue.push(until, Event::Fault(Fault::Wake(peer)));
                }
            }
            Breakage::Busy { percent, for_s } => {
                for peer in self.some(percent, false) {
                    let life = self.peer(peer).life;
                    for (wait, busy) in [(0, true), (for_s, false)] {
                        let errand = Errand::Busy(busy);
                        let at = self.now + Micros::secs(wait);
                        self.queue.push(at, Event::Errand { peer, life, errand });
                    }
                }
            }
        }
    }

    /// Some of the running relays, or of the others; at least one.
    fn some(&mut self, percent: u64, relays: bool) -> Vec<PeerNo> {
        let of_kind = |peer: &&crate::peer::Peer| (peer.kind == Kind::Relay) == relays && peer.alive;
        let mut peers: Vec<PeerNo> = self.peers.iter().filter(of_kind).map(|peer| peer.no).collect();
        self.rng.faults.shuffle(&mut peers);
        peers.truncate((peers.len() as u64 * percent).div_ceil(100) as usize);
        peers
    }

    fn come_back(&mut self, peer: PeerNo, back_s: Option<u64>) {
        match back_s {
            Some(wait) => self.later(wait, Fault::Restart(peer)),
            None => self.peer_mut(peer).gone = true,
        }
    }

    fn later(&mut self, wait_s: u64, fault: Fault) {
        self.queue.push(self.now + Micros::secs(wait_s), Event::Fault(fault));
    }

    /// The lid is opened: the owner's program looks at every link, as a page does that becomes visible.
    fn wake(&mut self, peer: PeerNo) {
        if self.peer(peer).alive && self.peer(peer).busy_until <= self.now {
            self.command(peer, mycomesh_core::io::Command::Wake, Errand::Join);
        }
    }

    /// From here on nothing breaks, and what was broken is whole.
    fn heal(&mut self) {
        self.network.mend_all();
        let now = self.now;
        for no in (0..self.peers.len() as u32).map(PeerNo) {
            let peer = self.peer_mut(no);
            peer.delay = Micros::default();
            let life = peer.life;
            self.start(no);
            if self.lives(no, life) {
                self.queue.push(now, Event::Errand { peer: no, life, errand: Errand::Busy(false) });
            }
        }
        self.faults.healed = Some(now);
        self.observe(&Observation::Healed);
        self.queue.push(now, Event::Look);
    }
}
