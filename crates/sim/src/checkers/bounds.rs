//! Every bounded thing of a node stays within its limit.

use mycomesh_core::{
    inspect,
    io::Output,
    limits::{
        CARDS_MAX, DIALS_MAX, GOSSIP_FRAME_BYTES_MAX, INBOX_MAX, LOG_ENTRIES_MAX, PEERS_MAX, QUERIES_MAX, RECEIPTS_MAX,
        RECEIPTS_PER_PAIR_MAX, RELAYS_MAX, REQUEST_BYTES_MAX, REQUESTS_MAX, TASKS_MAX, TASKS_OPEN_MAX,
        UPGRADES_REMEMBERED_MAX,
    },
};

use super::{Checker, Figures, Observation, View};
use crate::gossip::PeerNo;

/// The most that was seen of each thing.
#[derive(Debug, Default)]
pub(super) struct Bounds {
    most: Figures,
}

impl Checker for Bounds {
    fn name(&self) -> &'static str {
        "bounds"
    }

    fn observe(&mut self, view: &View<'_>, observation: &Observation<'_>) -> Result<(), String> {
        match *observation {
            Observation::Audit { peer, .. } => self.measure(view, peer),
            Observation::Output { peer, output } => frames(peer, output),
            _ => Ok(()),
        }
    }

    fn finish(&mut self, _view: &View<'_>) -> Result<Figures, String> {
        Ok(std::mem::take(&mut self.most))
    }
}

impl Bounds {
    fn measure(&mut self, view: &View<'_>, no: PeerNo) -> Result<(), String> {
        let sizes = inspect::sizes(&view.peer(no).node);
        let things = [
            ("presences", sizes.presences, PEERS_MAX),
            ("cards", sizes.cards, CARDS_MAX),
            ("receipts", sizes.receipts, RECEIPTS_MAX),
            ("receipts_of_a_pair", sizes.receipts_of_a_pair, RECEIPTS_PER_PAIR_MAX),
            ("tasks", sizes.tasks, TASKS_MAX),
            ("tasks_open", sizes.tasks_open, TASKS_OPEN_MAX),
            ("inbox", sizes.inbox, INBOX_MAX),
            // Relays are dialled beyond the limit, so that joining never waits for neighbours.
            ("dials", sizes.dials, DIALS_MAX + RELAYS_MAX),
            ("dials_remembered", sizes.dials_remembered, PEERS_MAX + DIALS_MAX),
            ("heard", sizes.heard, PEERS_MAX),
            ("upgrades_remembered", sizes.upgrades_remembered, UPGRADES_REMEMBERED_MAX),
            ("requests", sizes.requests, REQUESTS_MAX),
            ("conduct", sizes.conduct, PEERS_MAX),
            ("log", sizes.log, LOG_ENTRIES_MAX),
            ("queries", sizes.queries, QUERIES_MAX),
        ];
        for (name, held, most) in things {
            let seen = self.most.entry(name).or_default();
            *seen = (*seen).max(held as u64);
            if held > most {
                return Err(format!("peer {} holds {held} {name}, and {most} is the limit", no.0));
            }
        }
        Ok(())
    }
}

/// What leaves a node is no longer than others take.
fn frames(no: PeerNo, output: &Output) -> Result<(), String> {
    let (what, length, most) = match output {
        Output::Publish { data, .. } => ("frame", data.len(), GOSSIP_FRAME_BYTES_MAX),
        Output::Request { data, .. } => ("request", data.len(), REQUEST_BYTES_MAX),
        Output::Respond { data, .. } => ("response", data.len(), REQUEST_BYTES_MAX),
        _ => return Ok(()),
    };
    if length > most {
        return Err(format!("peer {} sends a {what} of {length} bytes, and {most} is the limit", no.0));
    }
    Ok(())
}
