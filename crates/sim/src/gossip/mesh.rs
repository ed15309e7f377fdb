//! The mesh of each topic: who is in it, and what the heartbeat does about it.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use super::{Gossip, MessageNo, Out, PeerNo, Rpc, TopicNo, score};
use crate::{random::Rng, time::Micros};

/// The mesh of one topic.
#[derive(Debug, Default)]
pub(super) struct Mesh {
    pub(super) peers: BTreeSet<PeerNo>,
    /// Until when no graft goes to, or is taken from, a pruned peer.
    backoffs: BTreeMap<PeerNo, Micros>,
}

/// How many peers an opportunistic graft takes in.
const OPPORTUNISTIC_PEERS: usize = 2;
/// Of too many peers the best so many stay.
const RETAINED_BEST: usize = 4;

impl Gossip {
    pub(super) fn subscribed(&mut self, now: Micros, from: PeerNo, topics: u8, out: &mut Vec<Out>) {
        let good = self.score(from) >= 0.0;
        let Some(neighbour) = self.neighbours.get_mut(&from) else { return };
        neighbour.topics = topics.min(self.config.topics);
        for topic in (0..neighbour.topics).map(TopicNo) {
            let mesh = &mut self.meshes[usize::from(topic.0)];
            let waits = mesh.backs_off(from, now, self.config.backoff_slack);
            if good && !waits && mesh.peers.len() < self.config.mesh_low && mesh.peers.insert(from) {
                if let Some(score) = self.scores.get_mut(&from) {
                    score.joined_mesh(topic, now);
                }
                out.push(Out::Send { to: from, rpc: Rpc::Graft(topic) });
            }
            out.push(Out::Subscribed { peer: from, topic });
        }
    }

    pub(super) fn grafted(&mut self, now: Micros, from: PeerNo, topic: TopicNo, out: &mut Vec<Out>) {
        let good = self.score(from) >= 0.0;
        let Some(neighbour) = self.neighbours.get(&from) else { return };
        let Some(mesh) = self.meshes.get_mut(usize::from(topic.0)) else { return };
        let Some(score) = self.scores.get_mut(&from) else { return };
        if mesh.peers.contains(&from) {
            return;
        }
        let refused = if let Some(until) = mesh.backoffs.get(&from).filter(|until| **until > now) {
            let early = until.since(now) > self.config.prune_backoff.since(self.config.graft_flood);
            score.slip(if early { 2 } else { 1 });
            true
        } else if !good {
            true
        } else if topic.0 >= neighbour.topics {
            return;
        } else {
            mesh.peers.len() >= self.config.mesh_high && !neighbour.outbound
        };
        if refused {
            mesh.back_off(from, now + self.config.prune_backoff);
            out.push(Out::Send { to: from, rpc: Rpc::Prune(topic, self.config.prune_backoff) });
        } else {
            mesh.peers.insert(from);
            score.joined_mesh(topic, now);
        }
    }

    pub(super) fn pruned(&mut self, now: Micros, from: PeerNo, topic: TopicNo, backoff: Micros) {
        let number = usize::from(topic.0);
        let Some(mesh) = self.meshes.get_mut(number) else { return };
        if mesh.peers.remove(&from)
            && let Some(score) = self.scores.get_mut(&from)
        {
            score.left_mesh(number);
        }
        mesh.back_off(from, now + backoff);
    }

    /// Once a second: repair the meshes, tell others what came lately, forget what is old.
    pub fn heartbeat(&mut self, now: Micros, rng: &mut Rng, out: &mut Vec<Out>) {
        self.beats += 1;
        self.seen.expire(now);
        self.charge_broken_promises(now);
        for neighbour in self.neighbours.values_mut() {
            neighbour.ihaves = 0;
            neighbour.asked = 0;
            neighbour.unwanted.retain(|_, until| *until > now);
        }
        self.scores.retain(|_, score| score.fade(now));
        for topic in (0..self.config.topics).map(TopicNo) {
            self.keep_mesh(now, topic, rng, out);
        }
        for topic in (0..self.config.topics).map(TopicNo) {
            self.tell(topic, rng, out);
        }
        self.cache.shift();
    }

    fn charge_broken_promises(&mut self, now: Micros) {
        let scores = &mut self.scores;
        self.promises.retain(|_, peers| {
            peers.retain(|peer, due| {
                let broken = *due < now;
                if broken && let Some(score) = scores.get_mut(peer) {
                    score.slip(1);
                }
                !broken
            });
            !peers.is_empty()
        });
    }

    fn keep_mesh(&mut self, now: Micros, topic: TopicNo, rng: &mut Rng, out: &mut Vec<Out>) {
        let number = usize::from(topic.0);
        let config = &self.config;
        let slack = config.backoff_slack;
        let score_of = |peer: &PeerNo| self.scores.get(peer).map_or(0.0, score::Score::value);
        let (mut graft, mut prune) = (Vec::new(), Vec::new());
        let mesh = &mut self.meshes[number];
        mesh.backoffs.retain(|_, until| *until + slack > now);
        prune.extend(mesh.peers.iter().copied().filter(|peer| score_of(peer) < 0.0));
        for peer in &prune {
            mesh.peers.remove(peer);
        }

        let neighbours = &self.neighbours;
        let open = |mesh: &Mesh, wanted: &dyn Fn(&PeerNo) -> bool| -> Vec<PeerNo> {
            let subscribed = neighbours.iter().filter(|(_, neighbour)| topic.0 < neighbour.topics);
            let free = subscribed.map(|(peer, _)| *peer).filter(|peer| !mesh.peers.contains(peer));
            free.filter(|peer| !mesh.backs_off(*peer, now, slack) && score_of(peer) >= 0.0 && wanted(peer)).collect()
        };
        let outbound = |peer: &PeerNo| neighbours.get(peer).is_some_and(|neighbour| neighbour.outbound);
        let mut take = |mesh: &mut Mesh, mut peers: Vec<PeerNo>, most: usize, rng: &mut Rng| {
            rng.shuffle(&mut peers);
            peers.truncate(most);
            mesh.peers.extend(&peers);
            graft.extend(peers);
        };

        if mesh.peers.len() < config.mesh_low {
            let missing = config.mesh.saturating_sub(mesh.peers.len());
            let found = open(mesh, &|_| true);
            take(mesh, found, missing, rng);
        }
        if mesh.peers.len() >= config.mesh_high {
            let mut surplus = mesh.peers.len() - config.mesh;
            let mut order: Vec<PeerNo> = mesh.peers.iter().copied().collect();
            rng.shuffle(&mut order);
            order.sort_by(|a, b| score_of(a).total_cmp(&score_of(b)));
            let worst = order.len().saturating_sub(RETAINED_BEST);
            rng.shuffle(&mut order[..worst]);
            let mut dialled = order.iter().filter(|peer| outbound(peer)).count();
            for peer in order {
                if surplus == 0 {
                    break;
                }
                if outbound(&peer) {
                    if dialled <= config.mesh_outbound_min {
                        continue;
                    }
                    dialled -= 1;
                }
                mesh.peers.remove(&peer);
                prune.push(peer);
                surplus -= 1;
            }
        }
        if mesh.peers.len() >= config.mesh_low {
            let dialled = mesh.peers.iter().filter(|peer| outbound(peer)).count();
            if dialled < config.mesh_outbound_min {
                let found = open(mesh, &outbound);
                take(mesh, found, config.mesh_outbound_min - dialled, rng);
            }
        }
        if self.beats.is_multiple_of(config.opportunistic_beats) && mesh.peers.len() > 1 {
            let mut scores: Vec<f64> = mesh.peers.iter().map(score_of).collect();
            scores.sort_by(f64::total_cmp);
            let middle = scores.len() / 2;
            let median = if scores.len().is_multiple_of(2) {
                (scores[middle - 1] + scores[middle]) * 0.5
            } else {
                scores[middle]
            };
            if median < score::OPPORTUNISTIC {
                let found = open(mesh, &|peer| score_of(peer) > median);
                take(mesh, found, OPPORTUNISTIC_PEERS, rng);
            }
        }

        for peer in graft {
            if let Some(score) = self.scores.get_mut(&peer) {
                score.joined_mesh(topic, now);
            }
            out.push(Out::Send { to: peer, rpc: Rpc::Graft(topic) });
        }
        for peer in prune {
            if let Some(score) = self.scores.get_mut(&peer) {
                score.left_mesh(number);
            }
            self.meshes[number].back_off(peer, now + self.config.prune_backoff);
            out.push(Out::Send { to: peer, rpc: Rpc::Prune(topic, self.config.prune_backoff) });
        }
    }

    /// IHAVE to some peers outside the mesh.
    fn tell(&self, topic: TopicNo, rng: &mut Rng, out: &mut Vec<Out>) {
        let ids = self.cache.told(topic, self.config.history_told);
        if ids.is_empty() {
            return;
        }
        let mesh = &self.meshes[usize::from(topic.0)];
        let subscribed = self.neighbours.iter().filter(|(_, neighbour)| topic.0 < neighbour.topics);
        let outside = subscribed.map(|(peer, _)| *peer).filter(|peer| !mesh.peers.contains(peer));
        let mut peers: Vec<PeerNo> = outside.filter(|peer| self.score(*peer) >= score::GOSSIP_MIN).collect();
        rng.shuffle(&mut peers);
        peers.truncate(self.config.lazy.max(peers.len() / self.config.lazy_one_in.max(1)));
        let told: Rc<[MessageNo]> = ids.into();
        out.extend(peers.into_iter().map(|to| Out::Send { to, rpc: Rpc::IHave(topic, told.clone()) }));
    }
}

impl Mesh {
    /// A longer back-off stays.
    fn back_off(&mut self, peer: PeerNo, until: Micros) {
        let known = self.backoffs.entry(peer).or_insert(until);
        *known = (*known).max(until);
    }

    fn backs_off(&self, peer: PeerNo, now: Micros, slack: Micros) -> bool {
        self.backoffs.get(&peer).is_some_and(|until| *until + slack > now)
    }
}
