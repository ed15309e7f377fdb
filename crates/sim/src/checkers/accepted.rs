//! No node takes in an object that is forged, out of its time, or older than what it has; and none calls an object
//! wrong that is not.

use std::collections::BTreeMap;

use libp2p_identity::PeerId;
use mycomesh_core::{
    inspect,
    io::Verdict,
    limits::{CLOCK_SKEW_MAX, PRESENCE_TTL_MAX},
    wire::Presence,
};

use super::{Checker, Figures, Observation, View};
use crate::{
    frames::{Content, Frame, Lie},
    gossip::{MessageNo, PeerNo},
};

/// What was accepted.
#[derive(Debug, Default)]
pub(super) struct Accepted {
    /// The newest presence that each node accepted of each signer by gossip.
    newest: BTreeMap<(PeerNo, PeerId), (u64, MessageNo)>,
    accepted: u64,
    lies_refused: u64,
    held_checked: u64,
}

impl Checker for Accepted {
    fn name(&self) -> &'static str {
        "accepted"
    }

    fn observe(&mut self, view: &View<'_>, observation: &Observation<'_>) -> Result<(), String> {
        match *observation {
            Observation::Started { peer } => {
                // A new process knows nothing; what it may take in is decided by time alone.
                self.newest.retain(|(observer, _), _| *observer != peer);
                Ok(())
            }
            Observation::Verdict { peer, frame: no, verdict, .. } => {
                let Some(frame) = view.frames.get(no) else { return Ok(()) };
                if !view.peer(peer).is_honest() {
                    return Ok(());
                }
                let judged = match verdict {
                    Verdict::Accept => self.accepts(view, peer, no, frame),
                    Verdict::Reject if frame.genuine && frame.lie.is_none() => {
                        Err("rejected a genuine object, which charges whoever forwarded it".into())
                    }
                    Verdict::Ignore | Verdict::Reject => {
                        self.lies_refused += u64::from(frame.lie.is_some());
                        Ok(())
                    }
                };
                judged.map_err(|what| format!("peer {} {what}: {}", peer.0, describe(view, frame)))
            }
            Observation::Audit { peer, .. } => self.held(view, peer),
            _ => Ok(()),
        }
    }

    fn finish(&mut self, _view: &View<'_>) -> Result<Figures, String> {
        Ok([
            ("accepted", self.accepted),
            ("lies_refused", self.lies_refused),
            ("held_objects_checked", self.held_checked),
        ]
        .into())
    }
}

impl Accepted {
    fn accepts(&mut self, view: &View<'_>, peer: PeerNo, no: MessageNo, frame: &Frame) -> Result<(), String> {
        self.accepted += 1;
        if !frame.genuine {
            return Err("accepted a forged object".into());
        }
        if let Some(lie @ (Lie::OutOfTime | Lie::HugeTtl)) = frame.lie {
            return Err(format!("accepted a lie ({lie:?})"));
        }
        let Content::Presence { signer, body } = &frame.content else { return Ok(()) };
        timely(view, peer, body)?;
        let newest = self.newest.entry((peer, *signer)).or_insert((body.seq, no));
        if body.seq < newest.0 {
            return Err(format!("accepted presence {} after {}", body.seq, newest.0));
        }
        if body.seq == newest.0 && no != newest.1 {
            return Err(format!("accepted two presences with the number {}", body.seq));
        }
        *newest = (body.seq, no);
        Ok(())
    }

    /// Everything a node holds was made by whoever it says.
    fn held(&mut self, view: &View<'_>, no: PeerNo) -> Result<(), String> {
        let node = &view.peer(no).node;
        let presences = inspect::presences(node).map(|(_, signed, _)| signed.cid);
        let receipts = inspect::receipts(node).map(|signed| signed.cid);
        for cid in presences.chain(receipts) {
            self.held_checked += 1;
            let frame = view.frames.find(cid.hash().digest());
            if !frame.is_some_and(|frame| frame.genuine) {
                return Err(format!("peer {} holds an object that nobody made: {cid}", no.0));
            }
        }
        Ok(())
    }
}

/// A presence may be taken in only within its time, give or take what clocks may be off.
fn timely(view: &View<'_>, peer: PeerNo, body: &Presence) -> Result<(), String> {
    let now = view.peer(peer).now(view.now).unix;
    if body.ttl > PRESENCE_TTL_MAX {
        Err(format!("accepted a presence that holds for {} ms", body.ttl.0))
    } else if body.issued > now + CLOCK_SKEW_MAX {
        Err(format!("accepted a presence of {} at {}", body.issued.0, now.0))
    } else if body.issued + body.ttl + CLOCK_SKEW_MAX < now {
        Err(format!("accepted a presence that expired at {} at {}", (body.issued + body.ttl).0, now.0))
    } else {
        Ok(())
    }
}

fn describe(view: &View<'_>, frame: &Frame) -> String {
    let signer = frame.content.signer().and_then(|signer| view.by_id.get(&signer));
    let whose = signer.map_or_else(|| "nobody's".to_owned(), |no| format!("peer {}'s", no.0));
    let what = match frame.content {
        Content::Presence { .. } => "presence",
        Content::Rating { .. } => "receipt",
        Content::Other { .. } => "object",
        Content::Nothing => "bytes",
    };
    format!("{whose} {what}")
}
