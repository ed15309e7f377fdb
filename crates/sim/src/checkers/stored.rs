//! A node says nothing that it would not know any more after a crash: what it takes on, asks for, delivers and rates is
//! on its disk before the word leaves it.

use mycomesh_core::{
    io::{Output, Protocol, StoreTable},
    wire::{
        Acceptance, Delivery, Kind, Rating, Submission, TaskId,
        requests::{TaskReply, TaskRequest},
        signed::peek_kind,
        strict,
    },
};

use super::{Checker, Figures, Observation, View};
use crate::{frames::body, gossip::PeerNo};

/// Words that were held against the disk.
#[derive(Debug, Default)]
pub(super) struct Stored {
    checked: u64,
}

impl Checker for Stored {
    fn name(&self) -> &'static str {
        "stored"
    }

    fn observe(&mut self, view: &View<'_>, observation: &Observation<'_>) -> Result<(), String> {
        let Observation::Output { peer, output } = *observation else { return Ok(()) };
        let said = match output {
            Output::Request { protocol: Protocol::Tasks, data, .. } => {
                strict::decode::<TaskRequest>(data, data.len()).ok().map(|request| request.object.into_vec())
            }
            Output::Respond { data, .. } => match strict::decode::<TaskReply>(data, data.len()) {
                Ok(TaskReply::Accepted(object)) => Some(object.into_vec()),
                _ => None,
            },
            _ => None,
        };
        match said {
            Some(object) if view.peer(peer).is_honest() => self.on_disk(view, peer, &object),
            _ => Ok(()),
        }
    }

    fn finish(&mut self, _view: &View<'_>) -> Result<Figures, String> {
        Ok([("checked", self.checked)].into())
    }
}

impl Stored {
    fn on_disk(&mut self, view: &View<'_>, no: PeerNo, object: &[u8]) -> Result<(), String> {
        let Some((what, task)) = subject(object) else { return Ok(()) };
        self.checked += 1;
        let held = view.peer(no).store.get(&(StoreTable::Tasks, task.0.to_vec()));
        // A stored task holds its objects as they travel.
        if held.is_some_and(|held| held.windows(object.len()).any(|part| part == object)) {
            return Ok(());
        }
        Err(format!("peer {} sends {what} of task {task} that is not on its disk", no.0))
    }
}

/// What it is, and of which task. A cancel is made anew each time it is sent, and needs no memory.
fn subject(object: &[u8]) -> Option<(&'static str, TaskId)> {
    Some(match peek_kind(object)? {
        Kind::Submission => ("the submission", body::<Submission>(object)?.task),
        Kind::Acceptance => ("the acceptance", body::<Acceptance>(object)?.task),
        Kind::Delivery => ("the delivery", body::<Delivery>(object)?.task),
        Kind::Rating => ("the receipt", body::<Rating>(object)?.task),
        Kind::Presence | Kind::Card | Kind::Cancel => return None,
    })
}
