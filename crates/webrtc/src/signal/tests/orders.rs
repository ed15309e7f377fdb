//! Two machines, two queues between them, and a model of two peer connections. Everything that may happen next is
//! tried, from every state that can be reached.

use std::collections::{HashSet, VecDeque};

use super::*;

const OFFERER: usize = 0;
const ANSWERER: usize = 1;
/// Enough for some to come before the description is taken and some after.
const CANDIDATES: u32 = 2;

/// What a browser does, as far as signalling sees it. Events of one lane keep their order, lanes do not.
#[derive(Clone, Debug, Default)]
struct Peer {
    /// Outcomes of promises.
    promises: VecDeque<Event>,
    /// Candidates, then their end.
    gathering: VecDeque<Event>,
    connection: VecDeque<Event>,
    init: VecDeque<Event>,
    is_applied: bool,
    has_remote: bool,
    is_init_open: bool,
    is_init_closed: bool,
    is_closing_init: bool,
    candidates_added: u32,
}

#[derive(Clone, Debug, PartialEq)]
enum OnWire {
    Message(Message),
    End,
}

#[derive(Clone, Copy, Debug)]
enum Lane {
    Promises,
    Gathering,
    Connection,
    Init,
}

#[derive(Clone, Copy, Debug)]
enum Move {
    /// This side's peer connection has an event.
    Local(usize, Lane),
    /// This side reads.
    Read(usize),
    /// The relay dies: what is under way is lost, and both read the end.
    Break,
}

#[derive(Clone, Debug)]
struct World {
    machines: [Machine; 2],
    peers: [Peer; 2],
    /// What each side reads next.
    to_read: [VecDeque<OnWire>; 2],
    /// What each side has sent.
    sent: [Vec<OnWire>; 2],
    connected: [Option<usize>; 2],
    failed: [Option<Error>; 2],
    is_linked: bool,
    /// Whether the relay may die, and whether it has.
    may_break: bool,
    is_broken: bool,
}

impl World {
    fn new(may_break: bool) -> Self {
        let offerers = Config { frame_bytes_max: 50_000, ..Config::default() };
        let (offerer, outputs) = Machine::start(Role::Offerer, Arc::new(offerers));
        let (answerer, none) = Machine::start(Role::Answerer, Arc::new(Config::default()));
        assert_eq!(none, []);
        let mut world = Self {
            machines: [offerer, answerer],
            peers: [Peer::default(), Peer::default()],
            to_read: Default::default(),
            sent: Default::default(),
            connected: [None; 2],
            failed: [None, None],
            is_linked: false,
            may_break,
            is_broken: false,
        };
        world.carry_out(OFFERER, outputs).expect("an offer can always be asked for");
        world
    }

    fn moves(&self) -> Vec<Move> {
        let mut moves = Vec::new();
        for side in [OFFERER, ANSWERER] {
            for lane in [Lane::Promises, Lane::Gathering, Lane::Connection, Lane::Init] {
                if !self.peers[side].lane(lane).is_empty() {
                    moves.push(Move::Local(side, lane));
                }
            }
            if !self.to_read[side].is_empty() {
                moves.push(Move::Read(side));
            }
        }
        if self.may_break && !self.is_broken {
            moves.push(Move::Break);
        }
        moves
    }

    fn make(&mut self, next: Move) -> Result<(), String> {
        let (side, input) = match next {
            Move::Local(side, lane) => {
                let peer = &mut self.peers[side];
                let event = peer.lane_mut(lane).pop_front().ok_or("nothing in the lane")?;
                peer.note(side, &event);
                (side, Input::Local(event))
            }
            Move::Break => {
                self.is_broken = true;
                self.to_read = [VecDeque::from([OnWire::End]), VecDeque::from([OnWire::End])];
                return Ok(());
            }
            Move::Read(side) => match self.to_read[side].pop_front().ok_or("nothing to read")? {
                OnWire::Message(message) => (side, Input::Remote(Ok(message))),
                OnWire::End => (side, Input::RemoteEnd),
            },
        };
        let outputs = self.machines[side].handle(input);
        self.carry_out(side, outputs)?;
        self.link();
        Ok(())
    }

    fn carry_out(&mut self, side: usize, outputs: Vec<Output>) -> Result<(), String> {
        for output in outputs {
            if self.connected[side].is_some() {
                return Err(format!("{output:?} after the end"));
            }
            match output {
                Output::Do(command) => self.peers[side].command(side, command)?,
                Output::Send(message) => self.send(side, OnWire::Message(message))?,
                Output::EndStream => self.send(side, OnWire::End)?,
                Output::Connected { frame_bytes_max } => {
                    if side == OFFERER && !self.peers[side].is_init_closed {
                        return Err("connected before `init` was closed".into());
                    }
                    if self.sent[side].last() != Some(&OnWire::End) {
                        return Err("connected before the stream was ended".into());
                    }
                    self.connected[side] = Some(frame_bytes_max);
                }
                // The other side is connected; this one will be.
                Output::Remind(END_WAIT) if self.connected[1 - side].is_some() || self.is_broken => {}
                Output::Failed(error @ Error::Refused(_)) if self.is_broken => {
                    self.failed[side] = Some(error);
                    // Its peer connection is dropped.
                    self.peers[side] = Peer::default();
                }
                other => return Err(format!("{other:?}")),
            }
        }
        Ok(())
    }

    fn send(&mut self, side: usize, what: OnWire) -> Result<(), String> {
        let before = &self.sent[side];
        let is_right = match &what {
            OnWire::Message(message) => {
                let expect = match (before.len(), side) {
                    (0, OFFERER) => Kind::Offer,
                    (0, _) => Kind::Answer,
                    _ => Kind::Candidate,
                };
                message.kind == Some(expect as i32) && message.data.as_ref().is_some_and(|data| !data.is_empty())
            }
            OnWire::End => !before.is_empty(),
        };
        if !is_right || before.last() == Some(&OnWire::End) {
            return Err(format!("{what:?} after {before:?}"));
        }
        self.sent[side].push(what.clone());
        if !self.is_broken {
            self.to_read[1 - side].push_back(what);
        }
        Ok(())
    }

    /// A candidate of either side, known to the other, is enough for ICE: the other learns of the sender from its checks.
    fn link(&mut self) {
        let is_ready = self.peers.iter().all(|peer| peer.is_applied && peer.has_remote);
        if !self.is_linked && is_ready && self.peers.iter().any(|peer| peer.candidates_added > 0) {
            self.is_linked = true;
            for peer in &mut self.peers {
                peer.connection.push_back(Event::Connected);
            }
            self.peers[OFFERER].init.push_back(Event::InitOpen);
        }
    }

    fn check_end(&self) -> Result<(), String> {
        let are_connected = self.connected == [Some(50_000), Some(50_000)];
        // Whoever is not connected has failed, or will: it has heard of the end and counts the seconds.
        let is_settled = |side: usize| {
            let machine = &self.machines[side];
            self.connected[side].is_some() || self.failed[side].is_some() || machine.has_remote_ended
        };
        let is_excused = self.is_broken && !self.is_linked && [OFFERER, ANSWERER].into_iter().all(is_settled);
        if are_connected || is_excused { Ok(()) } else { Err(format!("stuck: {self:#?}")) }
    }
}

impl Peer {
    fn lane(&self, lane: Lane) -> &VecDeque<Event> {
        match lane {
            Lane::Promises => &self.promises,
            Lane::Gathering => &self.gathering,
            Lane::Connection => &self.connection,
            Lane::Init => &self.init,
        }
    }

    fn lane_mut(&mut self, lane: Lane) -> &mut VecDeque<Event> {
        match lane {
            Lane::Promises => &mut self.promises,
            Lane::Gathering => &mut self.gathering,
            Lane::Connection => &mut self.connection,
            Lane::Init => &mut self.init,
        }
    }

    fn note(&mut self, side: usize, event: &Event) {
        match event {
            Event::RemoteSet => self.has_remote = true,
            Event::Described(_) if side == ANSWERER => self.has_remote = true,
            Event::InitOpen => self.is_init_open = true,
            Event::InitClosed => self.is_init_closed = true,
            _ => {}
        }
    }

    fn command(&mut self, side: usize, command: Command) -> Result<(), String> {
        match command {
            Command::CreateOffer if side == OFFERER => self.promises.push_back(Event::Described("offer".into())),
            Command::Answer(sdp) if side == ANSWERER && sdp == "offer" => {
                self.promises.push_back(Event::Described("answer".into()));
            }
            Command::ApplyLocal if !self.is_applied => {
                self.is_applied = true;
                let candidates = (0..CANDIDATES).map(|number| Event::Candidate(candidate(&format!("{side}-{number}"))));
                self.gathering.extend(candidates);
                self.gathering.push_back(Event::GatheringDone { candidates: CANDIDATES });
            }
            Command::SetAnswer(sdp) if side == OFFERER && sdp == "answer" => self.promises.push_back(Event::RemoteSet),
            Command::AddCandidate(json) => {
                let expect = candidate(&format!("{}-{}", 1 - side, self.candidates_added));
                if !self.has_remote || json != expect {
                    return Err(format!("candidate {json} where {expect} belongs"));
                }
                self.candidates_added += 1;
            }
            Command::CloseInit if self.is_init_open && !self.is_closing_init => {
                self.is_closing_init = true;
                self.init.push_back(Event::InitClosed);
            }
            other => return Err(format!("{other:?} out of turn")),
        }
        Ok(())
    }
}

/// Walks through every state once and calls `visit` on it. Returns how many there are.
fn walk(may_break: bool, mut visit: impl FnMut(&World)) -> usize {
    let mut seen = HashSet::new();
    let mut open = vec![(World::new(may_break), Vec::new())];
    while let Some((world, path)) = open.pop() {
        if !seen.insert(format!("{world:?}")) {
            continue;
        }
        visit(&world);
        let moves = world.moves();
        if moves.is_empty()
            && let Err(why) = world.check_end()
        {
            panic!("{why}\nafter {path:?}");
        }
        for next in moves {
            let mut after = world.clone();
            let mut path = path.clone();
            path.push(next);
            if let Err(why) = after.make(next) {
                panic!("{why}\nafter {path:?}");
            }
            open.push((after, path));
        }
    }
    seen.len()
}

#[test]
fn both_connect_in_every_order() {
    let states = walk(false, |_| {});
    // That the model is not empty by mistake.
    assert!(states > 1_000, "{states}");
}

#[test]
fn a_relay_may_die_at_any_time() {
    let mut linked = 0;
    let states = walk(true, |world| linked += usize::from(world.is_broken && world.is_linked));
    assert!(states > 2_000, "{states}");
    // Once there is a path, the relay is of no more use.
    assert!(linked > 100, "{linked}");
}

#[test]
fn every_state_survives_every_failure() {
    walk(false, |world| {
        for side in [OFFERER, ANSWERER] {
            let machine = &world.machines[side];
            let is_over = machine.stage == Stage::Over;
            check_input(machine, Input::Local(Event::Failed(Error::IceFailed)), is_over, |error| {
                *error == Error::IceFailed
            });
            check_input(machine, Input::Timeout, is_over, |error| matches!(error, Error::TimedOut { .. }));
            let garbage = Input::Remote(Err(Error::Signalling(String::new())));
            check_input(machine, garbage, is_over, is_signalling);
            let has_heard = match side {
                OFFERER => machine.stage != Stage::Waiting && machine.stage != Stage::Describing,
                _ => machine.stage != Stage::Waiting,
            };
            let is_refused = |error: &Error| matches!(error, Error::Refused(_));
            if has_heard && !is_over {
                let mut machine = machine.clone();
                let outputs = machine.handle(Input::RemoteEnd);
                assert!(matches!(outputs.as_slice(), [] | [Output::Remind(END_WAIT)]), "{outputs:?}");
                check_input(&machine, Input::Reminded, machine.is_connected, is_refused);
            } else {
                check_input(machine, Input::RemoteEnd, is_over, is_refused);
            }
        }
    });
}

#[test]
fn every_state_survives_every_hostile_message() {
    let message = |kind, data: Option<String>| Message { kind, data, frame_bytes_max: Some(0) };
    let hostile = [
        message(None, Some("x".into())),
        message(Some(3), Some("x".into())),
        message(Some(-1), None),
        message(Some(2), Some("x".repeat(CANDIDATE_BYTES_MAX + 1))),
        message(Some(0), None),
        message(Some(1), None),
        message(Some(0), Some(String::new())),
        message(Some(1), Some("x".repeat(SDP_BYTES_MAX + 1))),
    ];
    walk(false, |world| {
        for machine in &world.machines {
            let is_over = machine.stage == Stage::Over;
            for message in &hostile {
                check_input(machine, Input::Remote(Ok(message.clone())), is_over, is_signalling);
            }
            for kind in [Kind::Offer, Kind::Answer] {
                let is_turn =
                    machine.stage == Stage::Waiting && (kind == Kind::Offer) == (machine.role == Role::Answerer);
                if !is_turn {
                    check_input(machine, Input::Remote(Ok(description(kind))), is_over, is_signalling);
                }
            }
        }
    });
}

/// The input ends the attempt with such an error, or is ignored; and after an end nothing does anything.
fn check_input(machine: &Machine, input: Input, is_ignored: bool, expect: impl Fn(&Error) -> bool) {
    let mut machine = machine.clone();
    let what = format!("{input:?} in {machine:?}");
    match machine.handle(input).as_slice() {
        [] if is_ignored => return,
        [Output::Failed(error)] if !is_ignored && expect(error) => {}
        other => panic!("{other:?} on {what}"),
    }
    for input in [Input::Timeout, Input::RemoteEnd, Input::Reminded, Input::Local(Event::Connected), from_remote(None)]
    {
        assert_eq!(machine.handle(input), [], "after the end, on {what}");
    }
}
