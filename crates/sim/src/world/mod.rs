//! The simulated world: every peer, what lies between them, and the loop that lets events happen.
//!
//! It does for core what the driver in `crates/net` does with libp2p. Each file carries out one part of it, with the
//! driver's semantics: [`exchange`] requests and answers, [`linking`] connections and their liveness, [`dialling`]
//! dials and reservations, [`spreading`] gossip, [`living`] starts, crashes and goodbyes.

mod dialling;
mod exchange;
mod linking;
mod living;
mod spreading;

use std::collections::{BTreeMap, VecDeque};

use libp2p_identity::PeerId;
use mycomesh_core::{
    io::{Command, CommandId, Event as Told, Input, Output},
    planted::Planted,
};

use crate::{
    byzantine::Role,
    checkers::{self, Checker, Observation, View, Violation},
    event::Event,
    faults::Faults,
    frames::Frames,
    gossip::PeerNo,
    link::{LinkNo, Links},
    network::Network,
    peer::Peer,
    queue::Queue,
    random::Streams,
    report::{Report, Tally},
    scenario::Scenario,
    time::Micros,
    trace::Trace,
    verify::Remembering,
    workload::{Errand, Workload},
};

/// Inputs that one event may lead to at once; more means that a node and its driver talk in circles.
const INPUTS_AT_ONCE_MAX: u32 = 100_000;
/// Lines written down about a watched peer.
const WATCHED_LINES_MAX: usize = 100_000;
/// How long a write takes to reach the disk.
const STORE: [u64; 2] = [200, 3_000];
/// How long a job of the skill `echo` takes.
const JOB: [u64; 2] = [1_000, 50_000];

/// One run of a scenario.
pub struct World {
    pub(crate) now: Micros,
    pub(crate) scenario: Scenario,
    pub(crate) seed: u64,
    pub(crate) queue: Queue<Event>,
    pub(crate) rng: Streams,
    pub(crate) peers: Vec<Peer>,
    pub(crate) by_id: BTreeMap<PeerId, PeerNo>,
    pub(crate) links: Links,
    pub(crate) frames: Frames,
    pub(crate) network: Network,
    pub(crate) workload: Workload,
    pub(crate) faults: Faults,
    pub(crate) tally: Tally,
    verifier: Remembering,
    trace: Trace,
    checkers: Vec<Box<dyn Checker>>,
    violation: Option<Violation>,
    /// Inputs that were known at once.
    inputs: VecDeque<(PeerNo, Input)>,
    events: u64,
    inputs_handled: u64,
    /// Whose events are written down, and what was.
    watched: Option<PeerNo>,
    log: Vec<String>,
}

impl World {
    /// A scenario with so many peers, before anything has happened.
    pub fn new(scenario: Scenario, nodes: u32, seed: u64) -> Self {
        let verifier = Remembering::default();
        let mut rng = Streams::new(seed);
        let plans = scenario.cast(nodes, &mut rng.cast);
        let peers: Vec<Peer> = plans.into_iter().map(|plan| Peer::new(plan, seed, &verifier)).collect();
        let by_id = peers.iter().map(|peer| (peer.id, peer.no)).collect();
        let mut world = Self {
            now: Micros::default(),
            network: Network::new(scenario.weather.clone(), seed),
            workload: Workload::default(),
            faults: Faults::default(),
            tally: Tally::default(),
            checkers: checkers::all(&scenario),
            scenario,
            seed,
            queue: Queue::default(),
            rng,
            peers,
            by_id,
            links: Links::default(),
            frames: Frames::default(),
            verifier,
            trace: Trace::default(),
            violation: None,
            inputs: VecDeque::new(),
            events: 0,
            inputs_handled: 0,
            watched: None,
            log: Vec::new(),
        };
        world.plan_starts();
        world.plan_faults();
        world.plan_workload();
        world.plan_audits();
        world
    }

    /// Write down what this peer tells its owner, for the report.
    pub fn watch(&mut self, peer: PeerNo) {
        self.watched = Some(peer);
    }

    /// Every peer's core has this bug, in tests of the checkers.
    pub fn plant(&mut self, planted: Planted) {
        for peer in &mut self.peers {
            peer.planted = planted;
        }
    }

    /// Let everything happen, and judge it.
    pub fn run(mut self) -> Report {
        let end = self.scenario.end();
        while self.violation.is_none() && self.step(end) {}
        self.finish()
    }

    /// Let events happen until `until`. False once a checker has found something wrong.
    pub fn run_until(&mut self, until: Micros) -> bool {
        while self.violation.is_none() && self.step(until) {}
        self.now = self.now.max(until);
        self.violation.is_none()
    }

    /// The end of the run.
    pub fn finish(mut self) -> Report {
        self.now = self.scenario.end();
        let mut figures = BTreeMap::new();
        let mut checkers = std::mem::take(&mut self.checkers);
        for checker in &mut checkers {
            match checker.finish(&self.view()) {
                Ok(found) => _ = figures.insert(checker.name(), found),
                Err(what) if self.violation.is_none() => {
                    self.violation = Some(Violation { checker: checker.name(), at: self.now, what });
                }
                Err(_) => {}
            }
        }
        let traffic = self.peers.iter().map(|peer| peer.traffic);
        let (messages, bytes) = traffic.fold((0, 0), |sum, next| (sum.0 + next.messages, sum.1 + next.bytes));
        Report {
            scenario: self.scenario.name.clone(),
            seed: self.seed,
            nodes: self.peers.len() as u64,
            virtual_ms: self.violation.as_ref().map_or(self.now, |violation| violation.at).as_millis(),
            events: self.events,
            inputs: self.inputs_handled,
            messages,
            bytes,
            trace_hash: self.trace.digest(),
            tally: self.tally,
            checkers: figures,
            violation: self.violation,
            watched: self.log,
        }
    }

    /// Virtual time now.
    pub fn now(&self) -> Micros {
        self.now
    }

    /// Every peer.
    pub fn peers(&self) -> &[Peer] {
        &self.peers
    }

    /// What checkers see.
    pub fn view(&self) -> View<'_> {
        View {
            now: self.now,
            peers: &self.peers,
            by_id: &self.by_id,
            frames: &self.frames,
            scenario: &self.scenario,
            asked: &self.workload.asked,
            healed: self.faults.healed,
        }
    }

    // --- the loop ----------------------------------------------------------------------------

    fn step(&mut self, until: Micros) -> bool {
        let Some((at, event)) = self.queue.pop(until) else { return false };
        self.now = self.now.max(at);
        self.events += 1;
        self.happen(event);
        let mut inputs = 0;
        while let Some((peer, input)) = self.inputs.pop_front() {
            inputs += 1;
            if inputs > INPUTS_AT_ONCE_MAX {
                self.fail("bounds", format!("peer {} and its driver talk in circles", peer.0));
                break;
            }
            self.feed(peer, input);
        }
        true
    }

    fn happen(&mut self, event: Event) {
        if let Some(peer) = self.target(&event) {
            let busy = self.peer(peer).busy_until;
            if busy > self.now {
                return self.queue.push(busy, event);
            }
            let now = self.now;
            self.peer_mut(peer).hold_up(now);
        }
        match event {
            Event::Start(peer) => self.start(peer),
            Event::Tick(peer) => self.tick(peer),
            Event::Heartbeat { peer, life } => self.heartbeat(peer, life),
            Event::Rpc { link, side, rpc } => self.rpc_arrives(link, side, rpc),
            Event::Request { link, side, id, protocol, data } => self.request_arrives(link, side, id, protocol, data),
            Event::Response { link, side, id, result } => self.response_arrives(link, side, id, result),
            Event::Timeout { peer, life, id } => self.time_out(peer, life, id),
            Event::Ping(link) => self.ping(link),
            Event::Pong { link, rtt } => self.pong(link, rtt),
            Event::Silence(link) => self.judge_silence(link),
            Event::Fin { link, side } => self.fin_arrives(link, side),
            Event::Identify(link) => self.identify(link),
            Event::Replaced { peer, life, link, latest } => self.close_replaced(peer, life, link, latest),
            Event::Dial(dial) => self.try_dial(*dial),
            Event::Reserved { peer, life, relay } => self.reservation_answered(peer, life, relay),
            Event::Stored { peer, life, id, writes } => {
                if self.lives(peer, life) {
                    self.peer_mut(peer).write(writes);
                    let busy = self.peer(peer).busy_until;
                    if busy > self.now {
                        // The disk is done; the program hears of it when it wakes.
                        self.queue.push(busy, Event::Stored { peer, life, id, writes: Vec::new() });
                    } else {
                        self.tell(peer, Input::Stored { id, result: Ok(()) });
                    }
                }
            }
            Event::Job { peer, life, task, output } => {
                if self.lives(peer, life) {
                    self.tell(peer, Input::JobDone { task, result: Ok(output) });
                }
            }
            Event::Errand { peer, life, errand } => {
                if self.lives(peer, life) {
                    self.run_errand(peer, errand);
                }
            }
            Event::Ask => self.somebody_asks(),
            Event::Mischief { peer, life } => self.make_mischief(peer, life),
            Event::Fault(fault) => self.fault(fault),
            Event::Chaos => self.draw_fault(),
            Event::Audit(peer) => self.audit(peer),
            Event::Look => self.look(),
            Event::Depart { peer, life } => self.depart(peer, life),
        }
    }

    /// Whose time an event takes: a slow or frozen peer comes to it later.
    fn target(&self, event: &Event) -> Option<PeerNo> {
        let at = |link: &LinkNo, side| self.links.get(*link).map(|link| link.at(side));
        match event {
            Event::Rpc { link, side, .. }
            | Event::Request { link, side, .. }
            | Event::Response { link, side, .. }
            | Event::Fin { link, side } => at(link, *side),
            Event::Tick(peer) | Event::Timeout { peer, .. } | Event::Job { peer, .. } | Event::Errand { peer, .. } => {
                Some(*peer)
            }
            _ => None,
        }
    }

    /// `peer` is told something as soon as what is under way now is done.
    pub(crate) fn tell(&mut self, peer: PeerNo, input: Input) {
        self.inputs.push_back((peer, input));
    }

    fn feed(&mut self, no: PeerNo, input: Input) {
        if !self.peer(no).alive || self.violation.is_some() {
            return;
        }
        self.inputs_handled += 1;
        self.trace.input(self.now, no, &input);
        let ticked = input == Input::Tick;
        let at = self.now;
        let peer = self.peer_mut(no);
        let now = peer.now(at);
        let outputs = peer.node.handle(now, input);
        self.schedule_tick(no, ticked);
        for output in outputs {
            self.trace.output(&output);
            self.carry_out(no, output);
        }
    }

    fn tick(&mut self, no: PeerNo) {
        let now = self.now;
        let peer = self.peer_mut(no);
        if !peer.alive || peer.books.tick.is_none_or(|due| due > now) {
            return;
        }
        peer.books.tick = None;
        let due = peer.node.next_deadline().is_some_and(|due| due <= peer.now(now).mono);
        if due { self.tell(no, Input::Tick) } else { self.schedule_tick(no, false) }
    }

    /// See that the node ticks at its next deadline. A later one than was expected is noticed when the earlier comes.
    fn schedule_tick(&mut self, no: PeerNo, ticked: bool) {
        let now = self.now;
        let peer = self.peer_mut(no);
        let Some(deadline) = peer.node.next_deadline() else { return };
        let mut due = peer.at(deadline).max(now);
        if ticked && deadline <= peer.now(now).mono {
            let what = format!("peer {} was just woken and wants to be woken for {} ms again", no.0, deadline.0);
            self.fail("bounds", what);
            due = now + Micros::millis(1);
        }
        let peer = self.peer_mut(no);
        if peer.books.tick.is_none_or(|earlier| due < earlier) {
            peer.books.tick = Some(due);
            self.queue.push(due, Event::Tick(no));
        }
    }

    // --- effects -----------------------------------------------------------------------------

    fn carry_out(&mut self, no: PeerNo, output: Output) {
        self.note_objects(no, &output);
        self.observe(&Observation::Output { peer: no, output: &output });
        match output {
            Output::Publish { topic, data } => self.publish(no, topic, &data),
            Output::Verdict { id, verdict, .. } => self.judge_frame(no, id, verdict),
            Output::Request { id, peer, protocol, data } => self.send_request(no, id, peer, protocol, data),
            Output::Respond { token, data } => self.respond(no, token, Some(data)),
            Output::Refuse { token } => self.respond(no, token, None),
            Output::Dial { peer, addrs, upgrade } => self.dial(no, peer, addrs, upgrade),
            Output::Reserve { relay, .. } => self.reserve(no, relay),
            Output::Unreserve { relay } => self.unreserve(no, relay),
            Output::CloseLink { link } => self.replace(no, LinkNo(link.0)),
            Output::ClosePeer { peer } => self.close_peer(no, peer),
            Output::CheckLinks => self.check_links(no),
            Output::Store { id, writes } => {
                let due = self.now + Micros(self.rng.network.between(STORE[0], STORE[1]));
                let peer = self.peer_mut(no);
                // One after the other, as a store writes.
                let due = due.max(peer.books.written);
                peer.books.written = due;
                let life = peer.life;
                self.queue.push(due, Event::Stored { peer: no, life, id, writes });
            }
            Output::RunJob { .. } if self.peer(no).role == Role::Withholder => {}
            Output::RunJob { task, input, .. } => {
                let life = self.peer(no).life;
                let due = self.now + Micros(self.rng.workload.between(JOB[0], JOB[1]));
                self.queue.push(due, Event::Job { peer: no, life, task, output: input });
            }
            Output::Event(told) => self.on_event(no, &told),
            Output::Reply { id, result } => self.on_reply(no, id, result),
            // A job that is stopped ends all the same, and core ignores it. There is no DHT here: its queries
            // end by core's own time limit.
            Output::StopJob { .. }
            | Output::Provide { .. }
            | Output::StopProviding { .. }
            | Output::FindProviders { .. }
            | Output::FindPeer { .. } => {}
        }
    }

    fn on_event(&mut self, no: PeerNo, told: &Told) {
        self.write_down(no, || format!("{told:?}"));
        if let Told::Task { task, incoming, state, .. } = told {
            self.on_task(no, *task, *incoming, *state);
        }
    }

    /// Give a peer a command on behalf of its owner.
    pub(crate) fn command(&mut self, no: PeerNo, command: Command, errand: Errand) {
        let peer = self.peer_mut(no);
        let id = CommandId(peer.books.number());
        peer.errands.insert(id, errand);
        self.tell(no, Input::Command { id, command });
    }

    /// A line about the peer that is watched.
    pub(crate) fn write_down(&mut self, no: PeerNo, line: impl FnOnce() -> String) {
        if self.watched == Some(no) && self.log.len() < WATCHED_LINES_MAX {
            let at = self.now.as_millis();
            self.log.push(format!("{at} ms: {}", line()));
        }
    }

    // --- checkers ----------------------------------------------------------------------------

    pub(crate) fn observe(&mut self, observation: &Observation<'_>) {
        let mut checkers = std::mem::take(&mut self.checkers);
        for checker in &mut checkers {
            if let Err(what) = checker.observe(&self.view(), observation) {
                self.fail(checker.name(), what);
            }
        }
        self.checkers = checkers;
    }

    /// A checker found something wrong: the run ends with the first.
    pub(crate) fn fail(&mut self, checker: &'static str, what: String) {
        let at = self.now;
        self.violation.get_or_insert(Violation { checker, at, what });
    }

    fn plan_audits(&mut self) {
        for no in 0..self.peers.len() as u32 {
            // Apart from each other, so that no moment is missed by all.
            let first = Micros(self.audit_interval().0 * u64::from(no + 1) / self.peers.len() as u64);
            self.queue.push(first, Event::Audit(PeerNo(no)));
        }
    }

    fn audit(&mut self, peer: PeerNo) {
        if self.peer(peer).alive && self.peer(peer).is_honest() {
            let now = self.now;
            let node = self.peer_mut(peer);
            let clocks = node.now(now);
            let snapshot = node.node.snapshot(clocks);
            self.observe(&Observation::Audit { peer, snapshot: &snapshot });
        }
        self.queue.push(self.now + self.audit_interval(), Event::Audit(peer));
    }

    /// Everything is whole again: see how long it takes until all agree.
    fn look(&mut self) {
        self.observe(&Observation::Look);
        self.queue.push(self.now + Micros::millis(500).max(Micros::millis(2 * self.peers.len() as u64)), Event::Look);
    }

    /// Looking into a node costs about as much as it knows of peers.
    fn audit_interval(&self) -> Micros {
        Micros::secs(10).max(Micros::millis(150 * self.peers.len() as u64))
    }

    // --- access ------------------------------------------------------------------------------

    pub(crate) fn peer(&self, no: PeerNo) -> &Peer {
        &self.peers[no.0 as usize]
    }

    pub(crate) fn peer_mut(&mut self, no: PeerNo) -> &mut Peer {
        &mut self.peers[no.0 as usize]
    }

    pub(crate) fn find(&self, id: &PeerId) -> Option<PeerNo> {
        self.by_id.get(id).copied()
    }

    /// Whether this process of the peer still runs.
    pub(crate) fn lives(&self, peer: PeerNo, life: u32) -> bool {
        let peer = self.peer(peer);
        peer.alive && peer.life == life
    }
}
