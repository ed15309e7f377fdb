//! Gossip between peers: what the model in [`crate::gossip`] wants sent travels over a connection; what it delivers
//! goes to core, whose verdict goes back to it.

use std::sync::Arc;

use mycomesh_core::io::{GossipId, Input, Topic, Verdict};

use super::World;
use crate::{
    byzantine::Role,
    checkers::Observation,
    event::Event,
    frames::topic_of,
    gossip::{self, HEARTBEAT, MessageNo, Out, PeerNo, PublishError, Rpc},
    link::{LinkNo, Side},
};

/// Frames kept for each topic until somebody subscribes (`FRAMES_KEPT_MAX` in `crates/net`).
const FRAMES_KEPT_MAX: usize = 64;
/// Bytes of a control message for each id it names, and of everything else around.
const ID_BYTES: u64 = 34;
const HEAD_BYTES: u64 = 40;

impl World {
    /// Publish a frame, or keep it until somebody subscribes.
    pub(super) fn publish(&mut self, no: PeerNo, topic: Topic, data: &Arc<[u8]>) {
        let maker = self.peer(no).id;
        let frame = self.frames.enter(data, maker);
        let own = self.frames.get(frame).is_some_and(|frame| frame.content.signer() == Some(maker));
        if own && topic == Topic::Presence {
            self.peer_mut(no).books.said = Some(frame);
        }
        self.publish_frame(no, topic, frame);
        if own && topic == Topic::Receipts && self.peer(no).role == Role::Equivocator {
            self.rate_twice(no, data);
        }
    }

    pub(crate) fn publish_frame(&mut self, no: PeerNo, topic: Topic, frame: MessageNo) {
        let message = self.frames.message(frame, topic);
        let mut out = Vec::new();
        let Self { now, peers, rng, .. } = self;
        let peer = &mut peers[no.0 as usize];
        match peer.gossip.publish(*now, message, &mut rng.gossip, &mut out) {
            Ok(()) => self.observe(&Observation::Published { peer: no, frame }),
            Err(PublishError::Duplicate) => {}
            Err(PublishError::NoSubscribers) => {
                let kept = peer.books.outbox.entry(topic).or_default();
                if kept.len() >= FRAMES_KEPT_MAX {
                    kept.pop_front();
                }
                kept.push_back(frame);
            }
        }
        self.send_gossip(no, out);
    }

    pub(super) fn judge_frame(&mut self, no: PeerNo, id: GossipId, verdict: Verdict) {
        let peer = self.peer_mut(no);
        let Some((message, from)) = peer.books.judging.remove(&id) else { return };
        let hands_nothing_on = peer.role == Role::Eclipser;
        let judged = match verdict {
            _ if hands_nothing_on => gossip::Verdict::Ignore,
            Verdict::Accept => gossip::Verdict::Accept,
            Verdict::Ignore => gossip::Verdict::Ignore,
            Verdict::Reject => gossip::Verdict::Reject,
        };
        let mut out = Vec::new();
        peer.gossip.verdict(message, from, judged, &mut out);
        match verdict {
            Verdict::Accept => self.tally.gossip_accepted += 1,
            Verdict::Ignore => self.tally.gossip_ignored += 1,
            Verdict::Reject => self.tally.gossip_rejected += 1,
        }
        self.observe(&Observation::Verdict { peer: no, from, frame: message.no, verdict });
        self.send_gossip(no, out);
    }

    pub(super) fn rpc_arrives(&mut self, link: LinkNo, side: Side, rpc: Rpc) {
        let Some((no, from)) = self.receiver(link, side) else { return };
        let is_cut = self.wait_for_cut(link, side);
        if let Some(found) = self.links.get_mut(link) {
            let held = &mut found.held[side as usize];
            if is_cut {
                *held = self.now + super::linking::RESEND;
            }
            if *held > self.now {
                // One stream keeps its order: what comes later waits for what is sent again.
                let until = *held;
                return self.queue.push(until, Event::Rpc { link, side, rpc });
            }
        }
        if matches!(rpc, Rpc::Message(_)) {
            self.tally.gossip_received += 1;
        }
        let mut out = Vec::new();
        let Self { now, peers, rng, .. } = self;
        peers[no.0 as usize].gossip.receive(*now, from, rpc, &mut rng.gossip, &mut out);
        self.send_gossip(no, out);
    }

    pub(super) fn heartbeat(&mut self, no: PeerNo, life: u32) {
        if !self.lives(no, life) {
            return;
        }
        self.queue.push(self.now + HEARTBEAT, Event::Heartbeat { peer: no, life });
        let Self { now, peers, rng, .. } = self;
        let peer = &mut peers[no.0 as usize];
        if peer.busy_until > *now {
            // It sleeps.
            return;
        }
        let mut out = Vec::new();
        peer.gossip.heartbeat(*now, &mut rng.gossip, &mut out);
        self.send_gossip(no, out);
    }

    pub(super) fn send_gossip(&mut self, no: PeerNo, out: Vec<Out>) {
        for out in out {
            match out {
                Out::Send { to, rpc } => self.send_rpc(no, to, rpc),
                Out::Deliver { from, message } => {
                    let (Some(topic), Some(frame)) = (topic_of(message.topic), self.frames.get(message.no)) else {
                        continue;
                    };
                    let data = frame.data.to_vec();
                    let from_id = self.peer(from).id;
                    let books = &mut self.peer_mut(no).books;
                    let id = GossipId(books.number());
                    books.judging.insert(id, (message, from));
                    self.tell(no, Input::Gossip { from: from_id, id, topic, data });
                }
                Out::Subscribed { peer, topic } => {
                    let Some(topic) = topic_of(topic) else { continue };
                    for frame in self.peer_mut(no).books.outbox.remove(&topic).unwrap_or_default() {
                        self.publish_frame(no, topic, frame);
                    }
                    let peer = self.peer(peer).id;
                    self.tell(no, Input::Subscribed { peer, topic });
                }
            }
        }
    }

    /// Over the oldest connection, in order.
    pub(crate) fn send_rpc(&mut self, no: PeerNo, to: PeerNo, rpc: Rpc) {
        let Some(link) = self.peer(no).links.get(&to).and_then(|links| links.first().copied()) else { return };
        let Some((arrives, side)) = self.travel(no, link) else { return };
        let arrives = match self.links.get_mut(link) {
            Some(link) => {
                let last = &mut link.arrives[side as usize];
                *last = arrives.max(*last);
                *last
            }
            None => arrives,
        };
        let traffic = &mut self.peer_mut(no).traffic;
        traffic.messages += 1;
        traffic.bytes += HEAD_BYTES
            + match &rpc {
                Rpc::Message(message) => u64::from(message.bytes),
                Rpc::IHave(_, ids) => ID_BYTES * ids.len() as u64,
                Rpc::IWant(ids) => ID_BYTES * ids.len() as u64,
                Rpc::IDontWant(_) => ID_BYTES,
                Rpc::Subscribe(_) | Rpc::Graft(_) | Rpc::Prune(..) => 0,
            };
        self.queue.push(arrives, Event::Rpc { link, side, rpc });
    }
}
