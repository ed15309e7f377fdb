//! What a peer has said so far, kept as tests want to ask for it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use serde_json::Value;

/// Everything a peer has said so far.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) peer_id: Option<String>,
    pub(crate) failed: Option<String>,
    pub(crate) snapshot: Value,
    pub(crate) events: Vec<Value>,
    pub(crate) replies: BTreeMap<u64, Result<Value, String>>,
    pub(crate) ended: bool,
    /// The status in which each other peer is seen, as far as events tell.
    pub(crate) statuses: BTreeMap<String, String>,
    /// The stage of joining, as far as events tell.
    pub(crate) stage: String,
    /// The states that each task has gone through here, in their order.
    pub(crate) tasks: BTreeMap<String, Vec<String>>,
    /// When the receipt of each task came in here.
    pub(crate) receipts: BTreeMap<String, Instant>,
}

impl Heard {
    /// Take in one line.
    pub(crate) fn take(&mut self, told: &mut Value) {
        if let Some(ready) = told.get("ready") {
            self.peer_id = text(&ready["peer_id"]);
        } else if let Some(snapshot) = told.get_mut("snapshot") {
            self.snapshot = snapshot.take();
        } else if let Some(event) = told.get_mut("event") {
            self.note(&event["event"]);
            self.events.push(event.take());
        } else if let Some(reply) = told.get_mut("reply") {
            let id = reply["id"].as_u64().expect("replies repeat the line's id");
            let result = match reply["result"].get_mut("Ok") {
                Some(value) => Ok(value.take()),
                None => Err(text(&reply["result"]["Err"]).unwrap_or_default()),
            };
            self.replies.insert(id, result);
        } else if let Some(reason) = told.get("failed") {
            self.failed = text(reason);
        }
    }

    fn note(&mut self, event: &Value) {
        let field = |name: &str| text(&event[name]).unwrap_or_default();
        match event["type"].as_str() {
            Some("status-changed") => _ = self.statuses.insert(field("peer"), field("to")),
            Some("join") => self.stage = field("stage"),
            Some("task") => self.tasks.entry(field("task")).or_default().push(field("state")),
            Some("receipt") => _ = self.receipts.entry(field("task")).or_insert_with(Instant::now),
            _ => {}
        }
    }

    /// What helps to understand a condition that never came true.
    pub(crate) fn summary(&self) -> String {
        let shown: BTreeSet<_> = ["me", "join", "bar", "peers", "tasks", "counters"].into_iter().collect();
        let sections = shown.iter().map(|name| format!("{name}: {}", self.snapshot[*name]));
        let last: Vec<_> = self.events.iter().rev().take(20).rev().map(|event| format!("event: {event}")).collect();
        sections.chain(last).collect::<Vec<_>>().join("\n")
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}
