//! Trust stays in its range, and nobody gains by a new identity: whatever a peer did, it never counts for less than
//! one that nobody knows.

use mycomesh_core::{FLOOR, inspect, snapshot::Status, units::Bps};

use super::{Checker, Figures, Observation, View};
use crate::byzantine::Role;

/// Scores looked at.
#[derive(Debug, Default)]
pub(super) struct Trust {
    scores: u64,
    highest: u64,
    quarantined_scores: u64,
}

impl Checker for Trust {
    fn name(&self) -> &'static str {
        "trust"
    }

    fn observe(&mut self, view: &View<'_>, observation: &Observation<'_>) -> Result<(), String> {
        let Observation::Audit { peer: no, .. } = *observation else { return Ok(()) };
        let observer = view.peer(no);
        let now = observer.now(view.now).mono;
        for other in view.peers.iter().filter(|other| other.no != no) {
            let trust = inspect::trust(&observer.node, &other.id);
            self.scores += 1;
            self.highest = self.highest.max(trust.score.get());
            if trust.score < FLOOR || trust.score > Bps::ONE {
                return Err(format!("peer {} trusts peer {} to {} bp", no.0, other.no.0, trust.score.get()));
            }
            self.quarantined_scores += u64::from(inspect::is_quarantined(&observer.node, &other.id, now));
        }
        Ok(())
    }

    /// How far hostile peers got.
    fn finish(&mut self, view: &View<'_>) -> Result<Figures, String> {
        let (mut reputable, mut honest_reputable) = (0, 0);
        for observer in view.peers.iter().filter(|peer| peer.is_honest() && peer.alive) {
            for other in view.peers.iter().filter(|other| other.no != observer.no && other.alive) {
                let is = inspect::status(&observer.node, &other.id) == Status::Reputable;
                reputable += u64::from(is && other.role == Role::Colluder);
                honest_reputable += u64::from(is && other.is_honest());
            }
        }
        Ok([
            ("scores_checked", self.scores),
            ("highest_bp", self.highest),
            ("scores_of_quarantined", self.quarantined_scores),
            ("colluders_reputable", reputable),
            ("honest_reputable", honest_reputable),
        ]
        .into())
    }
}
