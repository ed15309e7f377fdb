//! A task ends in exactly one final state on each side, and does end; and what was delivered in good time arrives.

use std::collections::BTreeMap;

use mycomesh_core::{
    inspect,
    io::{Event, Output},
    snapshot::TaskState,
    wire::TaskId,
};

use super::{Checker, Figures, Observation, View};
use crate::{gossip::PeerNo, time::Micros};

/// What became of tasks.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    ended: BTreeMap<(PeerNo, TaskId), (TaskState, Micros)>,
    counts: Figures,
}

/// What is on disk for certain after this time; a process that ends before may not remember it.
const ON_DISK: Micros = Micros::millis(500);
/// A delivery reaches its requester within this, once nothing breaks: the outbox tries twice a minute at least.
const REACHES: Micros = Micros::secs(40);
/// How long a task may stay open: the time agreed on, both clocks off by a minute in opposite directions, and the
/// minute that a node which was away grants.
const OPEN_MAX: Micros = Micros::secs(60 + 120 + 60 + 15);

impl Checker for Tasks {
    fn name(&self) -> &'static str {
        "tasks"
    }

    fn observe(&mut self, view: &View<'_>, observation: &Observation<'_>) -> Result<(), String> {
        match *observation {
            Observation::Output { peer, output: Output::Event(Event::Task { task, state, incoming, .. }) } => {
                let before = self.ended.get(&(peer, *task)).map(|(state, _)| *state);
                if let Some(before) = before {
                    let (before, after) = (before.as_str(), state.as_str());
                    return Err(format!("task {task} of peer {} was {before} and became {after}", peer.0));
                }
                if state.is_final() {
                    self.ended.insert((peer, *task), (*state, view.now));
                    if !incoming {
                        *self.counts.entry(state.as_str()).or_default() += 1;
                    }
                }
            }
            Observation::Stopping { peer, forgets } => {
                self.ended.retain(|(at, _), (_, ended)| *at != peer || (!forgets && view.now.since(*ended) >= ON_DISK));
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self, view: &View<'_>) -> Result<Figures, String> {
        for peer in view.peers.iter().filter(|peer| peer.is_honest() && peer.alive) {
            for (task, direction, _, state) in inspect::tasks(&peer.node).filter(|(.., state)| !state.is_final()) {
                let asked = view.asked.get(&task).map(|asked| asked.at);
                if asked.is_some_and(|asked| view.now.since(asked) > OPEN_MAX) {
                    let state = state.as_str();
                    return Err(format!("task {task} of peer {} ({direction:?}) is still {state}", peer.no.0));
                }
            }
        }
        self.arrived(view)?;
        self.counts.insert("asked", view.asked.len() as u64);
        Ok(std::mem::take(&mut self.counts))
    }
}

impl Tasks {
    /// Nobody is told that a task failed whose result was there long before.
    fn arrived(&self, view: &View<'_>) -> Result<(), String> {
        let Some(healed) = view.healed else { return Ok(()) };
        for (task, asked) in view.asked {
            let ended = |no: PeerNo| self.ended.get(&(no, *task)).filter(|_| view.peer(no).is_honest());
            let (Some((made, at)), Some((told, until))) = (ended(asked.to), ended(asked.from)) else { continue };
            let waited = until.since(healed.max(*at));
            if *made == TaskState::Completed && *told == TaskState::Failed && waited > REACHES {
                let (from, to, waited) = (asked.from.0, asked.to.0, waited.as_millis());
                return Err(format!("peer {to} completed task {task}, and peer {from} was not told in {waited} ms"));
            }
        }
        Ok(())
    }
}
