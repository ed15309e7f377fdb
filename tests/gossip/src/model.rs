//! The model: `mycomesh_sim::gossip` under a virtual clock, on links that take as long as those of the real side.

use std::collections::BTreeMap;

use mycomesh_sim::{
    gossip::{Config, FIRST_HEARTBEAT, Gossip, HEARTBEAT, Message, MessageNo, Out, PeerNo, Rpc, TopicNo, Verdict},
    random::Rng,
    time::Micros,
};

use crate::{
    TAIL_HEARTBEATS,
    mesh::{Meshes, have_settled},
    plan::{Plan, TOPICS},
    tally::Tally,
};

/// A round of the real side. So short that a frame is everywhere long before the next heartbeat, as there.
const ROUND: Micros = Micros(10);
/// Frames are so far apart; the real ones take about as long.
const BETWEEN_FRAMES: Micros = Micros::millis(50);
/// A relay's degree: more than there are peers.
const RELAY_DEGREE: usize = 4_096;
/// Virtual time after which meshes that still change are an error.
const SETTLE_MAX: Micros = Micros::secs(120);

/// How often meshes are looked at while they settle.
const SETTLE_STEP: Micros = Micros::millis(100);

/// Why there is nothing to compare.
#[derive(Debug, thiserror::Error)]
pub enum Fail {
    /// Meshes were not complete in time.
    #[error("the model's meshes still change after {} virtual ms", SETTLE_MAX.as_millis())]
    NotSettled,
    /// The model did not take a frame.
    #[error("the model's peer {0} cannot publish")]
    Publish(u32),
}

/// Carries the plan out.
pub fn run(plan: &Plan) -> Result<Tally, Fail> {
    run_with(plan, |_| {})
}

/// The same with other settings than a Mycomesh peer's, which a comparison should find out.
pub fn run_with(plan: &Plan, change: fn(&mut Config)) -> Result<Tally, Fail> {
    let mut world = World::new(plan, change);
    world.link();
    world.settle(plan)?;
    if !plan.leavers.is_empty() {
        world.leave();
        world.settle(&plan.after_leaving())?;
    }
    for number in 0..plan.frames.len() {
        world.publish(number)?;
        world.run_to_rest();
        world.tally.came_to_rest(number);
        world.run_for(BETWEEN_FRAMES, false);
    }
    world.run_for(Micros(HEARTBEAT.0 * u64::from(TAIL_HEARTBEATS)), true);
    world.run_to_rest();
    Ok(world.tally)
}

struct World<'a> {
    plan: &'a Plan,
    peers: Vec<Gossip>,
    latencies: BTreeMap<(PeerNo, PeerNo), Micros>,
    now: Micros,
    /// By time, and by the order in which they came about.
    events: BTreeMap<(Micros, u64), Event>,
    events_made: u64,
    under_way: u64,
    rng: Rng,
    tally: Tally,
}

enum Event {
    Arrive { from: PeerNo, to: PeerNo, rpc: Rpc },
    Judge { peer: PeerNo, from: PeerNo, message: Message },
    Heartbeat(PeerNo),
}

impl<'a> World<'a> {
    fn new(plan: &'a Plan, change: fn(&mut Config)) -> Self {
        let peer = |node| {
            let mut config = if plan.is_relay(node) { Config::star(RELAY_DEGREE) } else { Config::default() };
            change(&mut config);
            Gossip::new(config)
        };
        let mut world = Self {
            plan,
            peers: (0..plan.case.nodes).map(peer).collect(),
            latencies: BTreeMap::new(),
            now: Micros(0),
            events: BTreeMap::new(),
            events_made: 0,
            under_way: 0,
            rng: Rng::new(plan.seed, "gossip check model"),
            tally: Tally::new(plan),
        };
        // All hearts beat at once, as on the real side.
        for node in 0..plan.case.nodes {
            world.at(FIRST_HEARTBEAT, Event::Heartbeat(PeerNo(node)));
        }
        world
    }

    fn at(&mut self, time: Micros, event: Event) {
        self.under_way += u64::from(!matches!(event, Event::Heartbeat(_)));
        self.events.insert((time, self.events_made), event);
        self.events_made += 1;
    }

    /// One link after the other, as on the real side.
    fn link(&mut self) {
        for link in &self.plan.links {
            let (dialler, listener) = (PeerNo(link.dialler), PeerNo(link.listener));
            let latency = Micros(ROUND.0 * u64::from(link.rounds));
            self.latencies.extend([((dialler, listener), latency), ((listener, dialler), latency)]);
            for (peer, with, outbound) in [(dialler, listener, true), (listener, dialler, false)] {
                let mut out = Vec::new();
                self.peers[peer.0 as usize].connected(with, outbound, &mut out);
                self.carry_out(peer, out);
            }
            self.run_to_rest();
        }
    }

    fn leave(&mut self) {
        let leavers = &self.plan.leavers;
        for link in &self.plan.links {
            if leavers.contains(&link.dialler) || leavers.contains(&link.listener) {
                self.peers[link.dialler as usize].disconnected(self.now, PeerNo(link.listener));
                self.peers[link.listener as usize].disconnected(self.now, PeerNo(link.dialler));
            }
        }
    }

    fn settle(&mut self, plan: &Plan) -> Result<(), Fail> {
        while !self.meshes().iter().all(|meshes| have_settled(plan, meshes)) {
            if self.now > SETTLE_MAX {
                return Err(Fail::NotSettled);
            }
            self.run_for(SETTLE_STEP, false);
        }
        let meshes = self.meshes();
        self.tally.settled(&meshes);
        Ok(())
    }

    fn meshes(&self) -> Vec<Meshes> {
        let of = |gossip: &Gossip, topic| gossip.mesh(TopicNo(topic)).map(|peer| peer.0).collect();
        (0..TOPICS).map(|topic| self.peers.iter().map(|gossip| of(gossip, topic)).collect()).collect()
    }

    fn publish(&mut self, number: usize) -> Result<(), Fail> {
        let source = self.plan.frames[number].source;
        let message = self.message(MessageNo(number as u32));
        let mut out = Vec::new();
        let published = self.peers[source as usize].publish(self.now, message, &mut self.rng, &mut out);
        self.carry_out(PeerNo(source), out);
        published.map_err(|_| Fail::Publish(source))
    }

    fn message(&self, no: MessageNo) -> Message {
        Message { no, topic: TopicNo(self.plan.frames[no.0 as usize].topic), bytes: self.plan.case.bytes }
    }

    /// Until nothing is under way and every verdict given.
    fn run_to_rest(&mut self) {
        while self.under_way > 0 && self.step() {}
    }

    /// For a while, or until everybody has everything.
    fn run_for(&mut self, span: Micros, or_complete: bool) {
        let end = self.now + span;
        while self.events.first_key_value().is_some_and(|((time, _), _)| *time <= end) {
            if or_complete && self.tally.is_complete() {
                return;
            }
            self.step();
        }
        self.now = end;
    }

    fn step(&mut self) -> bool {
        let Some(((time, _), event)) = self.events.pop_first() else { return false };
        self.now = time;
        let mut out = Vec::new();
        let peer = match event {
            Event::Arrive { from, to, rpc } => {
                self.under_way -= 1;
                self.arrive(from, to, rpc, &mut out);
                to
            }
            Event::Judge { peer, from, message } => {
                self.under_way -= 1;
                self.judge(peer, from, message, &mut out);
                peer
            }
            Event::Heartbeat(peer) => {
                self.peers[peer.0 as usize].heartbeat(self.now, &mut self.rng, &mut out);
                self.at(self.now + HEARTBEAT, Event::Heartbeat(peer));
                peer
            }
        };
        self.carry_out(peer, out);
        true
    }

    fn arrive(&mut self, from: PeerNo, to: PeerNo, rpc: Rpc, out: &mut Vec<Out>) {
        let gossip = &mut self.peers[to.0 as usize];
        // gossipsub asks for an id unless it does not listen to the sender.
        if let Rpc::Message(message) = &rpc
            && gossip.listens_to(from)
        {
            self.tally.copy(message.no.0 as usize, to.0);
        }
        gossip.receive(self.now, from, rpc, &mut self.rng, out);
    }

    fn judge(&mut self, peer: PeerNo, from: PeerNo, message: Message, out: &mut Vec<Out>) {
        let valid = self.plan.frames[message.no.0 as usize].valid;
        let verdict = match (valid, self.plan.withholders.contains(&peer.0)) {
            (false, _) => Verdict::Reject,
            (true, true) => Verdict::Ignore,
            (true, false) => Verdict::Accept,
        };
        self.peers[peer.0 as usize].verdict(message, from, verdict, out);
    }

    fn carry_out(&mut self, peer: PeerNo, out: Vec<Out>) {
        for out in out {
            match out {
                Out::Send { to, rpc } => {
                    let latency = self.latencies.get(&(peer, to)).copied().unwrap_or(ROUND);
                    self.at(self.now + latency, Event::Arrive { from: peer, to, rpc });
                }
                Out::Deliver { from, message } => {
                    self.tally.first(message.no.0 as usize, peer.0, from.0);
                    match self.plan.case.verdict_rounds {
                        0 => {
                            let mut more = Vec::new();
                            self.judge(peer, from, message, &mut more);
                            self.carry_out(peer, more);
                        }
                        later => {
                            let due = self.now + Micros(ROUND.0 * u64::from(later));
                            self.at(due, Event::Judge { peer, from, message });
                        }
                    }
                }
                Out::Subscribed { .. } => {}
            }
        }
    }
}
