//! A model of gossipsub 1.1 as Mycomesh sets it up: one peer's part of it, without time, network or randomness of
//! its own, and without any knowledge of what the messages mean.
//!
//! Modelled: a mesh for each topic with its degree limits, GRAFT and PRUNE with back-off, eager push to the mesh,
//! flood publishing of own messages, lazy IHAVE and IWANT at the heartbeat with broken promises, IDONTWANT for
//! large messages, the cache of seen ids, verdicts that decide on forwarding, and the components of the score that
//! Mycomesh uses: time in mesh, first deliveries, invalid messages, protocol slips. Rules and constants follow the
//! gossipsub specification of libp2p (`pubsub/gossipsub`, versions 1.0 to 1.2).
//!
//! Not modelled: fanout (every peer subscribes to everything), peer exchange (Mycomesh leaves it off), explicit
//! peers, queues that overflow, and the parts of the score whose weight is zero in Mycomesh.
//!
//! [`Gossip`] takes what happens and pushes what is to be done into a list of [`Out`].

mod cache;
mod mesh;
mod score;

use std::{collections::BTreeMap, rc::Rc};

use crate::{random::Rng, time::Micros};
use cache::{Cache, Seen};
use score::Score;

/// A peer, by its number in the simulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerNo(pub u32);

/// A topic, by its number: below [`Config::topics`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TopicNo(pub u8);

/// A message, by a number that stands for its id: same bytes, same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MessageNo(pub u32);

/// A message, as far as gossip looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its id.
    pub no: MessageNo,
    /// On which topic.
    pub topic: TopicNo,
    /// Its size.
    pub bytes: u32,
}

/// What one peer sends another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rpc {
    /// The sender is subscribed to every topic below this number.
    Subscribe(u8),
    /// A message.
    Message(Message),
    /// The sender has these.
    IHave(TopicNo, Rc<[MessageNo]>),
    /// The sender wants these.
    IWant(Vec<MessageNo>),
    /// The sender has this one already.
    IDontWant(MessageNo),
    /// The sender added the receiver to its mesh.
    Graft(TopicNo),
    /// The sender removed the receiver from its mesh; no graft for so long.
    Prune(TopicNo, Micros),
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Out {
    /// Send this.
    Send {
        /// To whom.
        to: PeerNo,
        /// What.
        rpc: Rpc,
    },
    /// A new message came; the owner answers with [`Gossip::verdict`].
    Deliver {
        /// Who forwarded it.
        from: PeerNo,
        /// The message.
        message: Message,
    },
    /// A neighbour is subscribed.
    Subscribed {
        /// Who.
        peer: PeerNo,
        /// To what.
        topic: TopicNo,
    },
}

/// What to do with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Forward it.
    Accept,
    /// Drop it.
    Ignore,
    /// Drop it and charge everybody who sent it.
    Reject,
}

/// Why a message was not published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishError {
    /// It has been seen before.
    Duplicate,
    /// Nobody is subscribed.
    NoSubscribers,
}

/// The settings. [`Config::default`] has those of an ordinary Mycomesh peer.
#[derive(Clone, Debug)]
pub struct Config {
    /// Topics, all of which every peer is subscribed to.
    pub topics: u8,
    /// Mesh degree aimed at.
    pub mesh: usize,
    /// Below it peers are grafted.
    pub mesh_low: usize,
    /// From it on peers are pruned.
    pub mesh_high: usize,
    /// Mesh peers that this peer dialled itself, at least.
    pub mesh_outbound_min: usize,
    /// Peers told by IHAVE, at least.
    pub lazy: usize,
    /// Share of the peers outside the mesh that are told by IHAVE, one in so many.
    pub lazy_one_in: usize,
    /// Heartbeats for which messages are kept.
    pub history: usize,
    /// Heartbeats of which ids are told by IHAVE.
    pub history_told: usize,
    /// How often one peer gets one message by IWANT.
    pub retransmissions: u32,
    /// Ids asked of, or told to, one peer in a heartbeat, at most.
    pub ids_max: usize,
    /// IHAVE messages taken from one peer in a heartbeat, at most.
    pub ihaves_max: u32,
    /// How long a pruned peer waits before it grafts.
    pub prune_backoff: Micros,
    /// A graft so soon after a prune costs twice.
    pub graft_flood: Micros,
    /// Added to a back-off before this peer grafts by itself.
    pub backoff_slack: Micros,
    /// How long an id is remembered.
    pub remembered: Micros,
    /// How long a promise (IHAVE answered with IWANT) may take.
    pub promise: Micros,
    /// From this size on IDONTWANT is sent, in bytes.
    pub idontwant_bytes: u32,
    /// Own messages go to every subscriber instead of to the mesh.
    pub flood_publish: bool,
    /// Heartbeats between two attempts to graft better peers.
    pub opportunistic_beats: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            topics: 2,
            mesh: 6,
            mesh_low: 5,
            mesh_high: 12,
            mesh_outbound_min: 2,
            lazy: 6,
            lazy_one_in: 4,
            history: 5,
            history_told: 3,
            retransmissions: 3,
            ids_max: 5_000,
            ihaves_max: 10,
            prune_backoff: Micros::secs(5),
            graft_flood: Micros::secs(1),
            backoff_slack: Micros::secs(1),
            remembered: Micros::secs(240),
            promise: Micros::secs(3),
            idontwant_bytes: 1_000,
            flood_publish: true,
            opportunistic_beats: 60,
        }
    }
}

impl Config {
    /// A relay keeps everybody in its mesh, up to `degree`.
    pub fn star(degree: usize) -> Self {
        Self { mesh: degree, mesh_low: degree, mesh_high: degree + 1, mesh_outbound_min: 0, ..Self::default() }
    }
}

/// Time between two heartbeats.
pub const HEARTBEAT: Micros = Micros::secs(1);

/// One peer's part in the gossip.
#[derive(Debug)]
pub struct Gossip {
    config: Config,
    neighbours: BTreeMap<PeerNo, Neighbour>,
    meshes: Vec<mesh::Mesh>,
    seen: Seen,
    cache: Cache,
    scores: BTreeMap<PeerNo, Score>,
    /// Messages asked for: of whom, and until when they should be here.
    promises: BTreeMap<MessageNo, BTreeMap<PeerNo, Micros>>,
    beats: u64,
}

/// A connected peer.
#[derive(Debug, Default)]
struct Neighbour {
    /// This peer dialled it.
    outbound: bool,
    /// It said what it is subscribed to: every topic below this.
    topics: u8,
    /// IHAVE messages of it in this heartbeat, and ids asked of it.
    ihaves: u32,
    asked: usize,
    /// Messages it does not want, and until when that is remembered.
    unwanted: BTreeMap<MessageNo, Micros>,
}

/// How long an IDONTWANT is remembered.
const UNWANTED_KEPT: Micros = Micros::secs(3);

impl Gossip {
    /// A peer without neighbours.
    pub fn new(config: Config) -> Self {
        let meshes = (0..config.topics).map(|_| mesh::Mesh::default()).collect();
        Self {
            neighbours: BTreeMap::new(),
            meshes,
            seen: Seen::default(),
            cache: Cache::new(config.history),
            scores: BTreeMap::new(),
            promises: BTreeMap::new(),
            beats: 0,
            config,
        }
    }

    /// Who is in the mesh of `topic`.
    pub fn mesh(&self, topic: TopicNo) -> impl Iterator<Item = PeerNo> {
        self.meshes.get(usize::from(topic.0)).into_iter().flat_map(|mesh| mesh.peers.iter().copied())
    }

    /// How many peers are connected.
    pub fn neighbours(&self) -> usize {
        self.neighbours.len()
    }

    /// The score of a peer.
    pub fn score(&self, peer: PeerNo) -> f64 {
        self.scores.get(&peer).map_or(0.0, Score::value)
    }

    /// The first connection to a peer stands.
    pub fn connected(&mut self, peer: PeerNo, outbound: bool, out: &mut Vec<Out>) {
        self.neighbours.insert(peer, Neighbour { outbound, ..Neighbour::default() });
        let topics = usize::from(self.config.topics);
        self.scores.entry(peer).or_insert_with(|| Score::new(topics)).connected();
        out.push(Out::Send { to: peer, rpc: Rpc::Subscribe(self.config.topics) });
    }

    /// The last connection to a peer went.
    pub fn disconnected(&mut self, now: Micros, peer: PeerNo) {
        self.neighbours.remove(&peer);
        for (number, mesh) in self.meshes.iter_mut().enumerate() {
            if mesh.peers.remove(&peer)
                && let Some(score) = self.scores.get_mut(&peer)
            {
                score.left_mesh(number);
            }
        }
        if self.scores.get_mut(&peer).is_some_and(|score| !score.disconnected(now)) {
            self.scores.remove(&peer);
        }
    }

    /// Publish a message of this peer's own.
    pub fn publish(
        &mut self,
        now: Micros,
        message: Message,
        rng: &mut Rng,
        out: &mut Vec<Out>,
    ) -> Result<(), PublishError> {
        if self.seen.contains(message.no) {
            return Err(PublishError::Duplicate);
        }
        let subscribed = self.neighbours.iter().filter(|(_, neighbour)| message.topic.0 < neighbour.topics);
        let willing: Vec<PeerNo> =
            subscribed.map(|(peer, _)| *peer).filter(|peer| self.score(*peer) >= score::PUBLISH_MIN).collect();
        let recipients = if self.config.flood_publish { willing } else { self.some_of(message.topic, willing, rng) };
        if recipients.is_empty() {
            return Err(PublishError::NoSubscribers);
        }
        self.seen.insert(message.no, now + self.config.remembered);
        self.cache.put(message, true);
        self.promises.remove(&message.no);
        out.extend(recipients.into_iter().map(|to| Out::Send { to, rpc: Rpc::Message(message) }));
        Ok(())
    }

    /// The mesh, filled up to its degree.
    fn some_of(&self, topic: TopicNo, willing: Vec<PeerNo>, rng: &mut Rng) -> Vec<PeerNo> {
        let Some(mesh) = self.meshes.get(usize::from(topic.0)) else { return willing };
        let (mut inside, mut outside): (Vec<_>, Vec<_>) =
            willing.into_iter().partition(|peer| mesh.peers.contains(peer));
        rng.shuffle(&mut outside);
        outside.truncate(self.config.mesh.saturating_sub(inside.len()));
        inside.extend(outside);
        inside
    }

    /// Something came from a neighbour.
    pub fn receive(&mut self, now: Micros, from: PeerNo, rpc: Rpc, rng: &mut Rng, out: &mut Vec<Out>) {
        if !self.neighbours.contains_key(&from) || self.score(from) < score::GRAYLIST {
            return;
        }
        match rpc {
            Rpc::Subscribe(topics) => self.subscribed(now, from, topics, out),
            Rpc::Message(message) => self.received(now, from, message, out),
            Rpc::IHave(topic, ids) => self.offered(now, from, topic, &ids, rng, out),
            Rpc::IWant(ids) => self.wanted(from, &ids, out),
            Rpc::IDontWant(message) => {
                if let Some(neighbour) = self.neighbours.get_mut(&from) {
                    neighbour.unwanted.insert(message, now + UNWANTED_KEPT);
                }
            }
            Rpc::Graft(topic) => self.grafted(now, from, topic, out),
            Rpc::Prune(topic, backoff) => self.pruned(now, from, topic, backoff),
        }
    }

    fn received(&mut self, now: Micros, from: PeerNo, message: Message, out: &mut Vec<Out>) {
        let Some(mesh) = self.meshes.get(usize::from(message.topic.0)) else { return };
        if self.seen.contains(message.no) {
            self.cache.duplicate(message.no, from);
            if self.seen.was_rejected(message.no)
                && let Some(score) = self.scores.get_mut(&from)
            {
                score.invalid(message.topic);
            }
            return;
        }
        if message.bytes > self.config.idontwant_bytes {
            let mut told: Vec<PeerNo> = mesh.peers.iter().copied().filter(|peer| *peer != from).collect();
            let promised = self.promises.get(&message.no).into_iter().flat_map(BTreeMap::keys);
            let more: Vec<PeerNo> = promised.copied().filter(|peer| *peer != from && !told.contains(peer)).collect();
            told.extend(more);
            out.extend(told.into_iter().map(|to| Out::Send { to, rpc: Rpc::IDontWant(message.no) }));
        }
        self.seen.insert(message.no, now + self.config.remembered);
        self.promises.remove(&message.no);
        self.cache.put(message, false);
        out.push(Out::Deliver { from, message });
    }

    /// The owner's verdict on a message that [`Out::Deliver`] handed out.
    pub fn verdict(&mut self, message: Message, from: PeerNo, verdict: Verdict, out: &mut Vec<Out>) {
        match verdict {
            Verdict::Accept => {
                let Some(others) = self.cache.validate(message.no) else { return };
                if let Some(score) = self.scores.get_mut(&from) {
                    score.first_delivery(message.topic);
                }
                let Some(mesh) = self.meshes.get(usize::from(message.topic.0)) else { return };
                let wants = |peer: &PeerNo| {
                    self.neighbours.get(peer).is_some_and(|neighbour| !neighbour.unwanted.contains_key(&message.no))
                };
                let recipients =
                    mesh.peers.iter().filter(|peer| **peer != from && !others.contains(peer) && wants(peer));
                out.extend(recipients.map(|to| Out::Send { to: *to, rpc: Rpc::Message(message) }));
            }
            Verdict::Ignore => _ = self.cache.remove(message.no),
            Verdict::Reject => {
                self.seen.reject(message.no);
                for peer in self.cache.remove(message.no).into_iter().chain([from]) {
                    if let Some(score) = self.scores.get_mut(&peer) {
                        score.invalid(message.topic);
                    }
                }
            }
        }
    }

    // --- IHAVE and IWANT ---------------------------------------------------------------------

    fn offered(
        &mut self,
        now: Micros,
        from: PeerNo,
        topic: TopicNo,
        ids: &[MessageNo],
        rng: &mut Rng,
        out: &mut Vec<Out>,
    ) {
        if self.score(from) < score::GOSSIP_MIN || topic.0 >= self.config.topics {
            return;
        }
        let Some(neighbour) = self.neighbours.get_mut(&from) else { return };
        neighbour.ihaves += 1;
        if neighbour.ihaves > self.config.ihaves_max {
            return;
        }
        let unknown = |id: &&MessageNo| !self.seen.contains(**id) && !self.promises.contains_key(id);
        let mut wanted: Vec<MessageNo> = ids.iter().filter(unknown).copied().collect();
        rng.shuffle(&mut wanted);
        wanted.truncate(self.config.ids_max.saturating_sub(neighbour.asked));
        if wanted.is_empty() {
            return;
        }
        neighbour.asked += wanted.len();
        let due = now + self.config.promise;
        for id in &wanted {
            self.promises.entry(*id).or_default().entry(from).or_insert(due);
        }
        out.push(Out::Send { to: from, rpc: Rpc::IWant(wanted) });
    }

    fn wanted(&mut self, from: PeerNo, ids: &[MessageNo], out: &mut Vec<Out>) {
        if self.score(from) < score::GOSSIP_MIN {
            return;
        }
        for id in ids {
            if let Some(message) = self.cache.retransmit(*id, from, self.config.retransmissions) {
                out.push(Out::Send { to: from, rpc: Rpc::Message(message) });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOPIC: TopicNo = TopicNo(0);

    /// A peer with `count` neighbours, all subscribed, the even ones dialled by it.
    fn peer(count: u32) -> (Gossip, Rng) {
        let (mut gossip, mut rng) = (Gossip::new(Config::default()), Rng::new(1, "test"));
        let mut out = Vec::new();
        for no in 0..count {
            gossip.connected(PeerNo(no), no % 2 == 0, &mut out);
            gossip.receive(Micros(0), PeerNo(no), Rpc::Subscribe(2), &mut rng, &mut out);
        }
        (gossip, rng)
    }

    fn message(no: u32) -> Message {
        Message { no: MessageNo(no), topic: TOPIC, bytes: 500 }
    }

    fn told(out: &[Out], rpc: impl Fn(&Rpc) -> bool) -> usize {
        out.iter().filter(|out| matches!(out, Out::Send { rpc: sent, .. } if rpc(sent))).count()
    }

    #[test]
    fn a_mesh_takes_five_at_once_and_has_six_after_a_heartbeat_that_lost_one() {
        let (mut gossip, mut rng) = peer(20);
        assert_eq!(gossip.mesh(TOPIC).count(), 5);
        let mut out = Vec::new();
        gossip.disconnected(Micros(0), PeerNo(0));
        gossip.heartbeat(Micros::secs(1), &mut rng, &mut out);
        assert_eq!(gossip.mesh(TOPIC).count(), 6);
    }

    #[test]
    fn a_message_is_forwarded_once_to_the_mesh_and_offered_to_others() {
        let (mut gossip, mut rng) = peer(20);
        let mut out = Vec::new();
        gossip.receive(Micros(1), PeerNo(0), Rpc::Message(message(1)), &mut rng, &mut out);
        gossip.receive(Micros(2), PeerNo(1), Rpc::Message(message(1)), &mut rng, &mut out);
        assert_eq!(out, [Out::Deliver { from: PeerNo(0), message: message(1) }]);
        out.clear();
        gossip.verdict(message(1), PeerNo(0), Verdict::Accept, &mut out);
        let forwarded: Vec<_> = out.iter().collect();
        assert_eq!(forwarded.len(), 3, "not back to the two who sent it: {forwarded:?}");
        out.clear();
        gossip.heartbeat(Micros::secs(1), &mut rng, &mut out);
        assert_eq!(told(&out, |rpc| matches!(rpc, Rpc::IHave(..))), 6);
    }

    #[test]
    fn who_sends_what_is_wrong_three_times_is_not_heard_any_more() {
        let (mut gossip, mut rng) = peer(3);
        for no in 0..3 {
            let mut out = Vec::new();
            gossip.receive(Micros(1), PeerNo(0), Rpc::Message(message(no)), &mut rng, &mut out);
            assert_eq!(out.len(), 1);
            gossip.verdict(message(no), PeerNo(0), Verdict::Reject, &mut out);
        }
        let mut out = Vec::new();
        gossip.receive(Micros(1), PeerNo(0), Rpc::Message(message(9)), &mut rng, &mut out);
        assert!(out.is_empty(), "{out:?}");
        assert!(gossip.score(PeerNo(0)) < -80.0);
    }

    #[test]
    fn what_was_offered_is_asked_for_and_an_empty_promise_costs() {
        let (mut gossip, mut rng) = peer(3);
        let mut out = Vec::new();
        let offer = Rpc::IHave(TOPIC, Rc::from((0..10).map(MessageNo).collect::<Vec<_>>()));
        gossip.receive(Micros(1), PeerNo(0), offer, &mut rng, &mut out);
        assert_eq!(told(&out, |rpc| matches!(rpc, Rpc::IWant(ids) if ids.len() == 10)), 1);
        gossip.heartbeat(Micros::secs(4), &mut rng, &mut out);
        assert!(gossip.score(PeerNo(0)) < 0.0, "{}", gossip.score(PeerNo(0)));
    }

    #[test]
    fn nobody_grafts_right_after_a_prune() {
        let (mut gossip, mut rng) = peer(3);
        let mut out = Vec::new();
        gossip.receive(Micros(1), PeerNo(0), Rpc::Prune(TOPIC, Micros::secs(5)), &mut rng, &mut out);
        gossip.heartbeat(Micros::secs(1), &mut rng, &mut out);
        assert!(!gossip.mesh(TOPIC).any(|peer| peer == PeerNo(0)));
        gossip.heartbeat(Micros::secs(7), &mut rng, &mut out);
        assert!(gossip.mesh(TOPIC).any(|peer| peer == PeerNo(0)));
    }
}
