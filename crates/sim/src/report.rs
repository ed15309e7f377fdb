//! What a run found: one object.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::checkers::{Figures, Violation};

/// What a run found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The scenario.
    pub scenario: String,
    /// Its seed.
    pub seed: u64,
    /// Peers, relays included.
    pub nodes: u64,
    /// How far virtual time went.
    pub virtual_ms: u64,
    /// Events of the simulation.
    pub events: u64,
    /// Of these, inputs that nodes handled.
    pub inputs: u64,
    /// Messages on the wire.
    pub messages: u64,
    /// Their bytes, without transport overhead.
    pub bytes: u64,
    /// The hash over everything that nodes were told and wanted done.
    pub trace_hash: String,
    /// What happened, in figures.
    pub tally: Tally,
    /// Each checker's figures.
    pub checkers: BTreeMap<&'static str, Figures>,
    /// What is wrong, if anything is.
    pub violation: Option<Violation>,
    /// What the watched peer told its owner.
    #[serde(skip)]
    pub watched: Vec<String>,
}

/// What happened, in figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Connections that came up.
    pub links: u64,
    /// Processes that ended.
    pub stops: u64,
    /// Faults of the scenario.
    pub faults: u64,
    /// Questions that owners asked.
    pub asks: u64,
    /// Of these, refused by their own node.
    pub asks_refused: u64,
    /// Of these, tasks.
    pub tasks: u64,
    /// Gossip messages that arrived, duplicates included.
    pub gossip_received: u64,
    /// Frames that nodes accepted.
    pub gossip_accepted: u64,
    /// Frames that they ignored.
    pub gossip_ignored: u64,
    /// Frames that they rejected.
    pub gossip_rejected: u64,
    /// Objects that hostile peers made to deceive, spam included.
    pub lies: u64,
    /// Of these, spam.
    pub spam: u64,
    /// Requests that were dropped since too many were under way.
    pub requests_dropped: u64,
}

impl Report {
    /// The command that runs this again.
    pub fn replay(&self) -> String {
        let Self { scenario, seed, nodes, .. } = self;
        format!("cargo run --release -p mycomesh-sim -- run --scenario {scenario} --nodes {nodes} --seed {seed}")
    }

    /// The report as JSON, on several lines.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a report has nothing that JSON has not")
    }
}
