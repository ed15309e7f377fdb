//! Gossip frames that nobody wanted yet. gossipsub refuses a frame while no subscriber is known, and
//! the first presence is made before the first connection stands; so the newest frames of each topic
//! wait here for a subscriber.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use mycomesh_core::io::Topic;

/// Frames kept for each topic; the oldest goes first. A presence a quarter minute and a burst of
/// receipts fit; at 64 KiB each that is at most 4 MiB a topic.
pub(crate) const FRAMES_KEPT_MAX: usize = 64;

/// The waiting frames.
#[derive(Debug, Default)]
pub(crate) struct Outbox(BTreeMap<Topic, VecDeque<Arc<[u8]>>>);

impl Outbox {
    /// Keep a frame for later.
    pub(crate) fn keep(&mut self, topic: Topic, frame: Arc<[u8]>) {
        let frames = self.0.entry(topic).or_default();
        if frames.len() >= FRAMES_KEPT_MAX {
            frames.pop_front();
        }
        frames.push_back(frame);
    }

    /// Everything that waits for `topic`, oldest first.
    pub(crate) fn take(&mut self, topic: Topic) -> VecDeque<Arc<[u8]>> {
        self.0.remove(&topic).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_frames_wait_in_their_order_and_the_oldest_make_room() {
        let mut outbox = Outbox::default();
        for number in 0..=FRAMES_KEPT_MAX {
            outbox.keep(Topic::Presence, Arc::from([number as u8]));
        }
        let kept: Vec<u8> = outbox.take(Topic::Presence).iter().map(|frame| frame[0]).collect();
        assert_eq!(kept, (1..=FRAMES_KEPT_MAX as u8).collect::<Vec<_>>());
        assert!(outbox.take(Topic::Presence).is_empty());
        assert!(outbox.take(Topic::Receipts).is_empty());
    }
}
