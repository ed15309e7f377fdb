//! Checkers judge every run. They see everything that nodes want done and what travels, and now and then look into
//! nodes; the first that finds something wrong ends the run.

mod accepted;
mod agreement;
mod bounds;
mod conduct;
mod delivery;
mod receipts;
mod shape;
mod status;
mod stored;
mod tasks;
mod trust;

use std::collections::BTreeMap;

use libp2p_identity::PeerId;
use mycomesh_core::{
    io::{Output, Verdict},
    snapshot::Snapshot,
    wire::TaskId,
};
use serde::Serialize;

use crate::{
    frames::Frames,
    gossip::{MessageNo, PeerNo},
    peer::Peer,
    scenario::Scenario,
    time::Micros,
    workload::Asked,
};

/// Figures of one checker, by name; all are counts or milliseconds.
pub type Figures = BTreeMap<&'static str, u64>;

/// One that judges.
pub trait Checker {
    /// Its name.
    fn name(&self) -> &'static str;

    /// Something happened. An error says what is wrong.
    fn observe(&mut self, view: &View<'_>, observation: &Observation<'_>) -> Result<(), String>;

    /// The run is over: its figures, or what is wrong.
    fn finish(&mut self, view: &View<'_>) -> Result<Figures, String>;
}

/// Something that happened.
#[derive(Clone, Copy, Debug)]
pub enum Observation<'a> {
    /// A peer's process started.
    Started {
        /// Whose.
        peer: PeerNo,
    },
    /// A peer's process is about to end.
    Stopping {
        /// Whose.
        peer: PeerNo,
        /// Its disk goes with it.
        forgets: bool,
    },
    /// A node wants something done.
    Output {
        /// Which.
        peer: PeerNo,
        /// What.
        output: &'a Output,
    },
    /// A frame was published.
    Published {
        /// By whom.
        peer: PeerNo,
        /// Which.
        frame: MessageNo,
    },
    /// A node judged a frame.
    Verdict {
        /// Which node.
        peer: PeerNo,
        /// Who forwarded the frame.
        from: PeerNo,
        /// The frame.
        frame: MessageNo,
        /// How.
        verdict: Verdict,
    },
    /// A look into a node that plays by the rules.
    Audit {
        /// Which.
        peer: PeerNo,
        /// What its owner sees.
        snapshot: &'a Snapshot,
    },
    /// From now on nothing breaks any more.
    Healed,
    /// A look at everybody, twice a second from then on.
    Look,
}

/// What a checker may look at.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// Virtual time.
    pub now: Micros,
    /// Every peer.
    pub peers: &'a [Peer],
    /// Their numbers by their ids.
    pub by_id: &'a BTreeMap<PeerId, PeerNo>,
    /// Every object that travelled.
    pub frames: &'a Frames,
    /// The scenario.
    pub scenario: &'a Scenario,
    /// Every question that became a task.
    pub asked: &'a BTreeMap<TaskId, Asked>,
    /// Since when nothing breaks.
    pub healed: Option<Micros>,
}

impl<'a> View<'a> {
    /// A peer by its number.
    pub fn peer(&self, no: PeerNo) -> &'a Peer {
        &self.peers[no.0 as usize]
    }

    /// A peer by its id.
    pub fn find(&self, id: &PeerId) -> Option<&'a Peer> {
        self.by_id.get(id).map(|no| self.peer(*no))
    }
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Which checker found it.
    pub checker: &'static str,
    /// When.
    #[serde(rename = "at_ms", serialize_with = "as_millis")]
    pub at: Micros,
    /// What it is.
    pub what: String,
}

fn as_millis<S: serde::Serializer>(at: &Micros, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(at.as_millis())
}

/// Every checker there is.
pub fn all(_scenario: &Scenario) -> Vec<Box<dyn Checker>> {
    vec![
        Box::new(accepted::Accepted::default()),
        Box::new(bounds::Bounds::default()),
        Box::new(conduct::Conduct::default()),
        // In this order: without a way nobody can agree, and nothing arrives.
        Box::new(shape::Shape),
        Box::new(agreement::Agreement::default()),
        Box::new(delivery::Delivery::default()),
        Box::new(receipts::Receipts::default()),
        Box::new(status::Statuses::default()),
        Box::new(stored::Stored::default()),
        Box::new(tasks::Tasks::default()),
        Box::new(trust::Trust::default()),
    ]
}
