//! The real thing: libp2p swarms over the memory transport, in one thread.
//!
//! Each swarm is polled when it was woken, in the order of waking, and nothing else runs. So it is known exactly when a
//! frame has come to rest: no link holds anything, no swarm is left to poll, and only a timer can wake one. No delay is
//! guessed anywhere; the one clock is gossipsub's own heartbeat.

mod ready;
mod rounds;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use futures::{StreamExt as _, executor::block_on};
use futures_timer::Delay;
use libp2p::{
    Multiaddr, PeerId, Swarm, Transport as _,
    core::{transport::MemoryTransport, upgrade::Version},
    gossipsub::{self, IdentTopic, Message, MessageAcceptance, MessageId},
    identity::Keypair,
    multiaddr::Protocol,
    noise,
    swarm::{self, SwarmEvent, dial_opts::DialOpts},
    yamux,
};
use mycomesh_core::io::Topic;
use mycomesh_net::gossip::{self, Gossip};
use mycomesh_sim::random;

use crate::{
    TAIL_HEARTBEATS,
    mesh::{Meshes, have_settled},
    plan::{Frame, Plan},
    tally::Tally,
};
use ready::Ready;
use rounds::Rounds;

/// The network's name. Memory addresses are random, so that no two runs meet.
const NETWORK: &str = "gossip-check";
/// A relay's degree: more than there are peers.
const RELAY_DEGREE: usize = 4_096;
/// gossipsub's heartbeat, as set up in `mycomesh_net::gossip`.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Heartbeats in which peers settle, or the run is given up. A refused graft waits for six.
const SETTLE_HEARTBEATS: u32 = 60;
/// gossipsub's first heartbeat after a peer started. Its default.
const FIRST_HEARTBEAT: Duration = Duration::from_secs(5);
/// An unused link is kept for longer than any run.
const IDLE: Duration = Duration::from_secs(3_600);
/// What is in front of a frame's filling: whether it is valid, and its number.
const HEAD_BYTES: usize = 5;

/// Why there is nothing to compare.
#[derive(Debug, thiserror::Error)]
pub enum Fail {
    /// gossipsub does not take our settings.
    #[error("gossipsub refuses the settings: {0}")]
    Settings(String),
    /// The memory transport or its encryption failed.
    #[error("peer {node} cannot start or dial: {why}")]
    Start {
        /// Which peer.
        node: u32,
        /// What libp2p says.
        why: String,
    },
    /// Links or meshes were not complete in time.
    #[error("after {SETTLE_HEARTBEATS} heartbeats, {0}")]
    NotSettled(&'static str),
    /// gossipsub did not take a frame.
    #[error("peer {node} cannot publish: {why}")]
    Publish {
        /// Which peer.
        node: u32,
        /// What gossipsub says.
        why: gossipsub::PublishError,
    },
}

/// Carries the plan out.
pub fn run(plan: &Plan) -> Result<Tally, Fail> {
    let mut world = World::start(plan)?;
    world.link()?;
    world.settle(plan)?;
    if !plan.leavers.is_empty() {
        world.leave()?;
        world.settle(&plan.after_leaving())?;
    }
    for (number, frame) in plan.frames.iter().enumerate() {
        world.publish(number, *frame)?;
        world.run_to_rest();
        world.tally().came_to_rest(number);
    }
    world.run_until(TAIL_HEARTBEATS, |world| world.tally().is_complete());
    world.run_to_rest();
    let tally = world.tally().clone();
    Ok(tally)
}

struct World<'a> {
    plan: &'a Plan,
    swarms: Vec<Swarm<Gossip>>,
    addresses: Vec<Option<Multiaddr>>,
    numbers: BTreeMap<PeerId, u32>,
    ready: Ready,
    rounds: Rounds,
    /// Verdicts by the round in which they are given.
    verdicts: BTreeMap<u64, Vec<Judged>>,
    started: Instant,
    /// Both ends of a link count.
    links_up: usize,
    tally: Arc<Mutex<Tally>>,
}

/// Who judges which message of whom, and how.
type Judged = (usize, MessageId, PeerId, MessageAcceptance);

impl<'a> World<'a> {
    fn start(plan: &'a Plan) -> Result<Self, Fail> {
        let tally = Arc::new(Mutex::new(Tally::new(plan)));
        let rounds = Rounds::default();
        let (mut swarms, mut numbers) = (Vec::new(), BTreeMap::new());
        for node in 0..plan.case.nodes {
            let swarm = peer(plan, node, &rounds, tally.clone())?;
            numbers.insert(*swarm.local_peer_id(), node);
            swarms.push(swarm);
        }
        let ready = Ready::all(swarms.len());
        let addresses = vec![None; swarms.len()];
        let mut world = Self {
            plan,
            swarms,
            addresses,
            numbers,
            ready,
            rounds,
            verdicts: BTreeMap::new(),
            started: Instant::now(),
            links_up: 0,
            tally,
        };
        world.run_to_rest();
        Ok(world)
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        lock(&self.tally)
    }

    /// One link after the other, so that the model need not know how long each side's part of a handshake takes, and
    /// both ends of a link are made while it alone is.
    fn link(&mut self) -> Result<(), Fail> {
        for (number, link) in self.plan.links.iter().enumerate() {
            let (dialler, listener) = (link.dialler as usize, link.listener as usize);
            let refused = |why: String| Fail::Start { node: link.dialler, why };
            let address = self.addresses[listener].clone().ok_or_else(|| refused("nobody listens".to_owned()))?;
            let options = DialOpts::peer_id(*self.swarms[listener].local_peer_id()).addresses(vec![address]).build();
            self.rounds.set_latency(link.rounds);
            self.swarms[dialler].dial(options).map_err(|error| refused(error.to_string()))?;
            self.ready.waker(dialler).wake_by_ref();
            let ends = (number + 1) * 2;
            if !self.run_until(SETTLE_HEARTBEATS, |world| world.links_up == ends) {
                return Err(Fail::NotSettled("not every link stands"));
            }
        }
        Ok(())
    }

    /// Both ends close, so that a heartbeat finds all links of a peer closed or none.
    fn leave(&mut self) -> Result<(), Fail> {
        // From here on timers go together, those of the first heartbeat as well.
        block_on(Delay::new(FIRST_HEARTBEAT.saturating_sub(self.started.elapsed())));
        self.heartbeat();
        let leaves = |node: &u32| self.plan.leavers.contains(node);
        for link in self.plan.links.iter().filter(|link| leaves(&link.dialler) || leaves(&link.listener)) {
            for (node, other) in [(link.dialler, link.listener), (link.listener, link.dialler)] {
                let other = *self.swarms[other as usize].local_peer_id();
                // It fails for a link that is closed already, which is as good.
                let _ = self.swarms[node as usize].disconnect_peer_id(other);
            }
        }
        self.ready.wake_all();
        let ends = self.plan.after_leaving().links.len() * 2;
        let left = self.run_until(SETTLE_HEARTBEATS, |world| world.links_up == ends);
        left.then_some(()).ok_or(Fail::NotSettled("links of peers that left still stand"))
    }

    fn settle(&mut self, plan: &Plan) -> Result<(), Fail> {
        let settled = |world: &mut Self| world.meshes().iter().all(|meshes| have_settled(plan, meshes));
        if !self.run_until(SETTLE_HEARTBEATS, settled) {
            return Err(Fail::NotSettled("the meshes still change"));
        }
        let meshes = self.meshes();
        self.tally().settled(&meshes);
        Ok(())
    }

    fn meshes(&self) -> Vec<Meshes> {
        let number = |peer: &PeerId| self.numbers.get(peer).copied();
        let of = |swarm: &Swarm<Gossip>, topic: &IdentTopic| {
            swarm.behaviour().mesh_peers(&topic.hash()).filter_map(number).collect()
        };
        topics().iter().map(|topic| self.swarms.iter().map(|swarm| of(swarm, topic)).collect()).collect()
    }

    fn publish(&mut self, number: usize, frame: Frame) -> Result<(), Fail> {
        let topics = topics();
        let topic = &topics[usize::from(frame.topic) % topics.len()];
        let bytes = encode(number, frame.valid, self.plan.case.bytes as usize);
        let source = frame.source as usize;
        let published = self.swarms[source].behaviour_mut().publish(topic.hash(), bytes);
        self.ready.waker(source).wake_by_ref();
        // Its id was asked for, too.
        self.tally().no_copy(number, frame.source);
        published.map(|_| ()).map_err(|why| Fail::Publish { node: frame.source, why })
    }

    /// Until nothing but a timer can change anything.
    fn run_to_rest(&mut self) {
        loop {
            while let Some(node) = self.ready.pop() {
                self.poll(node);
            }
            let verdict = self.verdicts.first_key_value().map(|(due, _)| *due);
            let Some(round) = self.rounds.next().into_iter().chain(verdict).min() else { return };
            self.rounds.begin(round);
            for (node, id, from, verdict) in self.verdicts.remove(&round).unwrap_or_default() {
                self.swarms[node].behaviour_mut().report_message_validation_result(&id, &from, verdict);
                self.ready.waker(node).wake_by_ref();
            }
        }
    }

    /// Until `done`, which is asked whenever everything is at rest. False when it was not after so many heartbeats.
    fn run_until(&mut self, heartbeats: u32, mut done: impl FnMut(&mut Self) -> bool) -> bool {
        for _ in 0..heartbeats {
            self.run_to_rest();
            if done(self) {
                return true;
            }
            self.heartbeat();
        }
        done(self)
    }

    /// All hearts beat. This is no guess at how long something takes: every timer that runs now is set to a heartbeat at
    /// most, and timers end in their order.
    fn heartbeat(&mut self) {
        block_on(Delay::new(HEARTBEAT));
        self.ready.wake_all();
        self.run_to_rest();
        // gossipsub looks at a timer that it has set anew only when something else wakes it.
        self.ready.wake_all();
        self.run_to_rest();
    }

    fn poll(&mut self, node: usize) {
        let waker = self.ready.waker(node).clone();
        while let Poll::Ready(Some(event)) = self.swarms[node].poll_next_unpin(&mut Context::from_waker(&waker)) {
            self.happened(node, event);
        }
    }

    fn happened(&mut self, node: usize, event: SwarmEvent<gossipsub::Event>) {
        match event {
            SwarmEvent::NewListenAddr { address, .. } => self.addresses[node] = Some(address),
            SwarmEvent::ConnectionEstablished { .. } => self.links_up += 1,
            SwarmEvent::ConnectionClosed { .. } => self.links_up -= 1,
            SwarmEvent::Behaviour(gossipsub::Event::Message { propagation_source, message_id, message }) => {
                self.received(node, propagation_source, message_id, &message);
            }
            _ => {}
        }
    }

    fn received(&mut self, node: usize, from: PeerId, id: MessageId, message: &Message) {
        let at = node as u32;
        let Some((number, valid)) = decode(&message.data) else { return };
        if let Some(from) = self.numbers.get(&from) {
            self.tally().first(number, at, *from);
        }
        let verdict = match (valid, self.plan.withholders.contains(&at)) {
            (false, _) => MessageAcceptance::Reject,
            (true, true) => MessageAcceptance::Ignore,
            (true, false) => MessageAcceptance::Accept,
        };
        match self.plan.case.verdict_rounds {
            0 => _ = self.swarms[node].behaviour_mut().report_message_validation_result(&id, &from, verdict),
            later => {
                let due = self.rounds.now() + u64::from(later);
                self.verdicts.entry(due).or_default().push((node, id, from, verdict));
            }
        }
    }
}

fn peer(plan: &Plan, node: u32, rounds: &Rounds, tally: Arc<Mutex<Tally>>) -> Result<Swarm<Gossip>, Fail> {
    let refused = |why: String| Fail::Start { node, why };
    let secret = random::bytes(plan.seed, "gossip check key", node.into());
    let key = Keypair::ed25519_from_bytes(secret).map_err(|error| refused(error.to_string()))?;
    let noise = noise::Config::new(&key).map_err(|error| refused(error.to_string()))?;
    let rounds = rounds.clone();
    let memory = MemoryTransport::default().map(move |stream, _| rounds.end(stream));
    let transport = memory.upgrade(Version::V1).authenticate(noise);
    let transport = transport.multiplex(yamux::Config::default()).boxed();
    let star = plan.is_relay(node).then_some(RELAY_DEGREE);
    let count = move |message: &Message| {
        if let Some((number, _)) = decode(&message.data) {
            lock(&tally).copy(number, node);
        }
        gossip::message_id(message)
    };
    let gossip = gossip::gossip_with_ids(NETWORK, star, count).map_err(Fail::Settings)?;
    let config = swarm::Config::without_executor().with_idle_connection_timeout(IDLE);
    let mut swarm = Swarm::new(transport, gossip, key.public().to_peer_id(), config);
    let anywhere = Multiaddr::empty().with(Protocol::Memory(0));
    swarm.listen_on(anywhere).map_err(|error| refused(error.to_string()))?;
    Ok(swarm)
}

fn topics() -> Vec<IdentTopic> {
    Topic::ALL.into_iter().map(|topic| IdentTopic::new(topic.name(NETWORK))).collect()
}

fn encode(number: usize, valid: bool, bytes: usize) -> Vec<u8> {
    let mut frame = vec![u8::from(valid)];
    frame.extend_from_slice(&(number as u32).to_be_bytes());
    frame.resize(bytes.max(HEAD_BYTES), 0);
    frame
}

fn decode(frame: &[u8]) -> Option<(usize, bool)> {
    let (valid, rest) = frame.split_first()?;
    let number = rest.first_chunk::<4>()?;
    Some((u32::from_be_bytes(*number) as usize, *valid == 1))
}

fn lock(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_says_its_number_and_whether_it_is_valid() {
        for (number, valid) in [(0, true), (70_000, false)] {
            let frame = encode(number, valid, 300);
            assert_eq!((frame.len(), decode(&frame)), (300, Some((number, valid))));
        }
        assert_eq!(decode(&[1, 2]), None);
    }
}
