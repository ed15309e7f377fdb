//! What was seen, and what can still be handed to others.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{Message, MessageNo, PeerNo, TopicNo};
use crate::time::Micros;

/// Ids seen, so that each message is handled once.
#[derive(Debug, Default)]
pub(super) struct Seen {
    ids: BTreeSet<MessageNo>,
    rejected: BTreeSet<MessageNo>,
    expiries: VecDeque<(Micros, MessageNo)>,
}

impl Seen {
    pub(super) fn contains(&self, id: MessageNo) -> bool {
        self.ids.contains(&id)
    }

    pub(super) fn insert(&mut self, id: MessageNo, until: Micros) {
        if self.ids.insert(id) {
            self.expiries.push_back((until, id));
        }
    }

    /// Whoever sends it again is charged.
    pub(super) fn reject(&mut self, id: MessageNo) {
        if self.ids.contains(&id) {
            self.rejected.insert(id);
        }
    }

    pub(super) fn was_rejected(&self, id: MessageNo) -> bool {
        self.rejected.contains(&id)
    }

    pub(super) fn expire(&mut self, now: Micros) {
        while let Some((_, id)) = self.expiries.pop_front_if(|(until, _)| *until <= now) {
            self.ids.remove(&id);
            self.rejected.remove(&id);
        }
    }
}

/// Messages of the last heartbeats.
#[derive(Debug)]
pub(super) struct Cache {
    held: BTreeMap<MessageNo, Held>,
    /// Ids by heartbeat, the newest first.
    history: VecDeque<Vec<(MessageNo, TopicNo)>>,
}

#[derive(Debug)]
struct Held {
    message: Message,
    valid: bool,
    /// Who sent it too while the verdict was not known.
    others: Vec<PeerNo>,
    /// How often each peer got it by IWANT.
    sent: BTreeMap<PeerNo, u32>,
}

impl Cache {
    pub(super) fn new(heartbeats: usize) -> Self {
        Self { held: BTreeMap::new(), history: (0..heartbeats.max(1)).map(|_| Vec::new()).collect() }
    }

    pub(super) fn put(&mut self, message: Message, valid: bool) {
        if self.held.contains_key(&message.no) {
            return;
        }
        self.held.insert(message.no, Held { message, valid, others: Vec::new(), sent: BTreeMap::new() });
        if let Some(newest) = self.history.front_mut() {
            newest.push((message.no, message.topic));
        }
    }

    pub(super) fn duplicate(&mut self, id: MessageNo, from: PeerNo) {
        if let Some(held) = self.held.get_mut(&id)
            && !held.valid
            && !held.others.contains(&from)
        {
            held.others.push(from);
        }
    }

    /// It may be handed on now; returns who else has it.
    pub(super) fn validate(&mut self, id: MessageNo) -> Option<Vec<PeerNo>> {
        let held = self.held.get_mut(&id)?;
        held.valid = true;
        Some(std::mem::take(&mut held.others))
    }

    /// It may not be handed on; returns who else sent it.
    pub(super) fn remove(&mut self, id: MessageNo) -> Vec<PeerNo> {
        self.held.remove(&id).map(|held| held.others).unwrap_or_default()
    }

    /// The message for a peer that asked, unless it asked too often.
    pub(super) fn retransmit(&mut self, id: MessageNo, to: PeerNo, most: u32) -> Option<Message> {
        let held = self.held.get_mut(&id).filter(|held| held.valid)?;
        let sent = held.sent.entry(to).or_default();
        *sent += 1;
        (*sent <= most).then_some(held.message)
    }

    /// Ids of the last heartbeats on a topic.
    pub(super) fn told(&self, topic: TopicNo, heartbeats: usize) -> Vec<MessageNo> {
        let recent = self.history.iter().take(heartbeats).flatten();
        let of_topic = recent.filter(|(id, on)| *on == topic && self.held.get(id).is_some_and(|held| held.valid));
        of_topic.map(|(id, _)| *id).collect()
    }

    /// A heartbeat passed.
    pub(super) fn shift(&mut self) {
        for (id, _) in self.history.pop_back().unwrap_or_default() {
            self.held.remove(&id);
        }
        self.history.push_front(Vec::new());
    }
}
