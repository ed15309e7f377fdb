//! Once nothing breaks any more, everybody who plays by the rules sees who is there and who is not. How long that
//! takes is a figure; that it does not happen at all is a violation.

use std::collections::BTreeSet;

use mycomesh_core::inspect;

use super::{Checker, Figures, Observation, View};
use crate::{peer::Peer, time::Micros};

/// When all agreed.
#[derive(Debug, Default)]
pub(super) struct Agreement {
    healed: Option<Micros>,
    /// Everybody who is there is seen by all.
    present: Option<Micros>,
    /// Nobody who is gone is seen by any.
    absent: Option<Micros>,
}

impl Checker for Agreement {
    fn name(&self) -> &'static str {
        "agreement"
    }

    fn observe(&mut self, view: &View<'_>, observation: &Observation<'_>) -> Result<(), String> {
        match observation {
            Observation::Healed => self.healed = Some(view.now),
            Observation::Look => {
                if self.present.is_none() && missing(view).is_none() {
                    self.present = Some(view.now);
                }
                if self.absent.is_none() && ghost(view).is_none() {
                    self.absent = Some(view.now);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self, view: &View<'_>) -> Result<Figures, String> {
        let Some(healed) = self.healed else { return Ok(Figures::new()) };
        // They must agree at the end, too.
        if let Some(what) = missing(view).or_else(|| ghost(view)) {
            return Err(what);
        }
        let after = |at: Option<Micros>| at.map_or(0, |at| at.since(healed).as_millis());
        Ok([("all_seen_ms", after(self.present)), ("none_seen_that_left_ms", after(self.absent))].into())
    }
}

fn here<'a>(view: &View<'a>) -> impl Iterator<Item = &'a Peer> {
    view.peers.iter().filter(|peer| peer.alive && peer.is_honest())
}

/// Somebody who is there and is not seen.
fn missing(view: &View<'_>) -> Option<String> {
    for observer in here(view) {
        let seen: BTreeSet<_> =
            inspect::presences(&observer.node).filter(|(.., online)| *online).map(|(peer, ..)| *peer).collect();
        let unseen = here(view).find(|peer| peer.no != observer.no && !seen.contains(&peer.id));
        if let Some(peer) = unseen {
            return Some(format!("peer {} does not see peer {}", observer.no.0, peer.no.0));
        }
    }
    None
}

/// Somebody who is seen and is not there.
fn ghost(view: &View<'_>) -> Option<String> {
    for observer in here(view) {
        for (peer, _, _) in inspect::presences(&observer.node).filter(|(.., online)| *online) {
            if view.find(peer).is_some_and(|peer| !peer.alive) {
                let no = view.by_id.get(peer).map_or(0, |no| no.0);
                return Some(format!("peer {} still sees peer {no}, which is gone", observer.no.0));
            }
        }
    }
    None
}
