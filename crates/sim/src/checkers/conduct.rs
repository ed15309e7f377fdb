//! Who plays by the rules is never refused for good. How many of the others are, is a figure.

use mycomesh_core::inspect;

use super::{Checker, Figures, Observation, View};

/// Refusals seen.
#[derive(Debug, Default)]
pub(super) struct Conduct {
    /// Looks at which an honest peer refused an honest one.
    honest_refused: u64,
}

impl Checker for Conduct {
    fn name(&self) -> &'static str {
        "conduct"
    }

    fn observe(&mut self, view: &View<'_>, observation: &Observation<'_>) -> Result<(), String> {
        if let Observation::Audit { peer, .. } = *observation {
            let observer = view.peer(peer);
            let now = observer.now(view.now).mono;
            let honest = view.peers.iter().filter(|other| other.is_honest());
            let refused = honest.filter(|other| inspect::is_quarantined(&observer.node, &other.id, now)).count();
            self.honest_refused += refused as u64;
        }
        Ok(())
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
