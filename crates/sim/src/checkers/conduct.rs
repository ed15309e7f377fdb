//! Who plays by the rules is never refused for good. Whoever is refused stays so for as long as was said, through
//! reconnects and restarts, and no longer than the settings allow. How many hostile peers are, is a figure.

use std::collections::BTreeMap;

use libp2p_identity::PeerId;
use mycomesh_core::{
    inspect,
    limits::DOUBLINGS_MAX,
    snapshot::Snapshot,
    time::{Millis, UnixMillis},
};

use super::{Checker, Figures, Observation, View};
use crate::{gossip::PeerNo, time::Micros};

/// Refusals seen.
#[derive(Debug, Default)]
pub(super) struct Conduct {
    /// Looks at which an honest peer refused an honest one.
    honest_refused: u64,
    /// Until when each honest peer refuses whom, by its own clock, and when that was last seen.
    refused: BTreeMap<(PeerNo, PeerId), (UnixMillis, Micros)>,
}

/// What is on disk for certain after this time.
const ON_DISK: Micros = Micros::millis(500);
/// A look may come this much after the one moment it tells of.
const LOOK: Millis = Millis(1_000);

impl Checker for Conduct {
    fn name(&self) -> &'static str {
        "conduct"
    }

    fn observe(&mut self, view: &View<'_>, observation: &Observation<'_>) -> Result<(), String> {
        match *observation {
            Observation::Audit { peer, snapshot } => self.look(view, peer, snapshot),
            Observation::Stopping { peer, forgets } => {
                let kept = |seen: Micros| !forgets && view.now.since(seen) >= ON_DISK;
                self.refused.retain(|(observer, _), (_, seen)| *observer != peer || kept(*seen));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn finish(&mut self, view: &View<'_>) -> Result<Figures, String> {
        let mut hostile_refused = 0;
        for observer in view.peers.iter().filter(|peer| peer.is_honest() && peer.alive) {
            let now = observer.now(view.now).mono;
            for other in view.peers.iter().filter(|other| inspect::is_quarantined(&observer.node, &other.id, now)) {
                if other.is_honest() {
                    return Err(format!("peer {} still refuses peer {}", observer.no.0, other.no.0));
                }
                hostile_refused += 1;
            }
        }
        Ok([("honest_refused_looks", self.honest_refused), ("hostile_refused", hostile_refused)].into())
    }
}

impl Conduct {
    fn look(&mut self, view: &View<'_>, no: PeerNo, snapshot: &Snapshot) -> Result<(), String> {
        let observer = view.peer(no);
        let now = observer.now(view.now);
        let who = |peer: &PeerId| view.by_id.get(peer).map_or(u32::MAX, |no| no.0);
        let longest = observer.config.quarantine().times(1 << DOUBLINGS_MAX);
        let refused = snapshot.peers.rows.iter().filter_map(|row| Some((row.peer_id, row.trust.quarantined_until?)));
        for (peer, until) in refused {
            if until > now.unix + longest {
                let (span, most) = (until.since(now.unix).0, longest.0);
                return Err(format!("peer {} refuses peer {} for {span} ms, more than {most}", no.0, who(&peer)));
            }
            self.honest_refused += u64::from(view.find(&peer).is_some_and(crate::peer::Peer::is_honest));
            self.refused.insert((no, peer), (until, view.now));
        }
        for ((_, peer), (until, _)) in self.refused.iter().filter(|((observer, _), _)| *observer == no) {
            if *until > now.unix + LOOK && !inspect::is_quarantined(&observer.node, peer, now.mono) {
                return Err(format!("peer {} does not refuse peer {} any more, before its time", no.0, who(peer)));
            }
        }
        Ok(())
    }
}
