//! Every peer is in exactly one state, the bar counts each agent once, and its shares sum to 100.

use std::collections::{BTreeMap, BTreeSet};

use mycomesh_core::{
    inspect,
    snapshot::{Snapshot, Status, TrustView},
    units::Bps,
    wire::{Availability, Presence},
};

use super::{Checker, Figures, Observation, View};

/// Bars looked at.
#[derive(Debug, Default)]
pub(super) struct Statuses {
    bars: u64,
    rows: u64,
}

impl Checker for Statuses {
    fn name(&self) -> &'static str {
        "status"
    }

    fn observe(&mut self, view: &View<'_>, observation: &Observation<'_>) -> Result<(), String> {
        let Observation::Audit { peer, snapshot } = *observation else { return Ok(()) };
        self.bars += 1;
        bar(snapshot).map_err(|what| format!("the bar of peer {}: {what}", peer.0))?;
        let node = &view.peer(peer).node;
        let threshold = view.peer(peer).config.trust_threshold;
        let presences: BTreeMap<_, _> =
            inspect::presences(node).map(|(peer, signed, online)| (*peer, (&signed.body, online))).collect();
        let mut seen = BTreeSet::new();
        for row in &snapshot.peers.rows {
            self.rows += 1;
            if !seen.insert(row.peer_id) {
                return Err(format!("peer {} shows {} twice", peer.0, row.peer_id));
            }
            let trust = inspect::trust(node, &row.peer_id);
            let status = status(presences.get(&row.peer_id).copied(), &trust, threshold);
            if status != row.status {
                return Err(format!("peer {} shows {} as {:?}: it is {status:?}", peer.0, row.peer_id, row.status));
            }
        }
        Ok(())
    }

    fn finish(&mut self, _view: &View<'_>) -> Result<Figures, String> {
        Ok([("bars_checked", self.bars), ("rows_checked", self.rows)].into())
    }
}

/// The five states by what is written about them, without core's help: the first that fits.
fn status(presence: Option<(&Presence, bool)>, trust: &TrustView, threshold: Bps) -> Status {
    match presence {
        None => Status::Unknown,
        Some((_, false)) => Status::Offline,
        Some((body, true)) if body.availability != Availability::Idle || body.free_slots == 0 => Status::Busy,
        _ if trust.receipts >= 5 && trust.signers >= 3 && trust.score >= threshold => Status::Reputable,
        _ => Status::Idle,
    }
}

fn bar(snapshot: &Snapshot) -> Result<(), String> {
    let bar = &snapshot.bar;
    let online = [Status::Idle, Status::Reputable, Status::Busy].map(|status| bar.segment(status));
    let count: u32 = online.iter().map(|segment| segment.count).sum();
    let percent: u32 = online.iter().map(|segment| u32::from(segment.percent)).sum();
    let whole = if count > 0 { 100 } else { 0 };
    if percent != whole {
        return Err(format!("its shares sum to {percent} %"));
    }
    if let Some(segment) = online.iter().find(|segment| segment.count == 0 && segment.percent > 0) {
        return Err(format!("nobody has {} %", segment.percent));
    }
    // Rows are cut at a page; then only the sum can be compared.
    if snapshot.peers.rows.len() == snapshot.peers.total {
        let me = snapshot.me.status;
        for status in [Status::Idle, Status::Reputable, Status::Busy, Status::Offline, Status::Unknown] {
            let rows = snapshot.peers.rows.iter().filter(|row| !row.is_relay && row.status == status).count() as u32;
            let counted = bar.segment(status).count;
            // A relay does not count itself.
            if counted != rows && !(status == me && counted == rows + 1) {
                return Err(format!("it counts {counted} as {}, and there are {rows}", status.as_str()));
            }
        }
    }
    Ok(())
}
