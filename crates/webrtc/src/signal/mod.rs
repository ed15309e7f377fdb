//! Signalling: how two peers turn a stream between them into a peer connection. This module decides and is pure;
//! `drive` carries out, `wire` has the messages.
//!
//! ```text
//!  offerer                                   answerer
//!  CreateOffer ── OFFER ──────────────────►  Answer
//!  ApplyLocal                                  │
//!  SetAnswer   ◄────────────────── ANSWER ───  ApplyLocal
//!      │       ◄────────── CANDIDATE … ─────►    │
//!  Connected                                 Connected, ends the stream
//!  `init` open, CloseInit, `init` closed
//!  ends the stream
//! ```
//!
//! The order is js-libp2p's, which is stricter than the specification: it takes the first message after its offer for
//! the answer, and reads nothing more once it is connected. Only the offerer's side of the `init` channel matters; the
//! channel exists because an offer without one has nothing to gather candidates for. The offerer waits until it is
//! closed on both sides, so that its number is free before the first stream wants one.

mod drive;
pub(crate) mod wire;

use std::sync::Arc;
use std::time::Duration;

pub(crate) use drive::{Farewell, run};
pub use wire::SIGNALLING_PROTOCOL;
use wire::{Kind, Message};

use crate::{CANDIDATE_BYTES_MAX, CANDIDATES_MAX, Command, Config, Error, Event, Role, SDP_BYTES_MAX};

/// Messages taken from one remote. Twice the candidates we take, since ends of candidates and candidates that are left
/// out come on top. Above it the remote is not signalling but keeping us busy.
const MESSAGES_MAX: u32 = 2 * CANDIDATES_MAX as u32;
/// How long an attempt without a candidate of ours may still succeed once both descriptions are in place. A browser that
/// is set to hide addresses names none and yet has sockets, with which it reaches the remote's candidates: Chromium 156
/// with `default_public_interface_only` gathers nothing and connects in 0.1 s. Without a network, or with
/// `disable_non_proxied_udp`, its state stays `new` for ever. The length is a guess: some round trips through a relay.
const NO_CANDIDATES_WAIT: Duration = Duration::from_secs(4);
/// How long our own connection may take after the remote has ended the signalling. It ends it when it is connected, so
/// that ours is a round trip or a lost packet away; or else because it gave up, which looks the same. Guess.
const END_WAIT: Duration = Duration::from_secs(5);

/// What happens to an attempt.
#[derive(Debug)]
pub(crate) enum Input {
    /// Our peer connection says.
    Local(Event),
    /// The remote says, or says what makes no sense.
    Remote(Result<Message, Error>),
    /// The remote says no more: it ended the stream, or the stream broke.
    RemoteEnd,
    /// The time of an [`Output::Remind`] is over.
    Reminded,
    /// The time of the attempt is up.
    Timeout,
}

/// What is to be done about it, in this order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// Tell our peer connection.
    Do(Command),
    /// Tell the remote.
    Send(Message),
    /// Have [`Input::Reminded`] come after this time, or sooner if it is to come already.
    Remind(Duration),
    /// End our half of the stream, behind what was sent.
    EndStream,
    /// The connection is usable. Nothing more comes.
    Connected {
        /// How large a data-channel frame both sides take.
        frame_bytes_max: usize,
    },
    /// The attempt is over. Nothing more comes.
    Failed(Error),
}

/// One side of one attempt.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    role: Role,
    config: Arc<Config>,
    stage: Stage,
    is_connected: bool,
    init: Init,
    /// Candidates of the remote that wait until its description is taken.
    early: Vec<String>,
    /// Our candidates that wait until our description is sent.
    held: Vec<String>,
    sent: usize,
    taken: usize,
    messages: u32,
    /// Gathering has ended and brought nothing.
    has_no_candidates: bool,
    has_remote_ended: bool,
    remote_frame_bytes_max: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Our description is being made.
    Describing,
    /// For the remote's description.
    Waiting,
    /// The offerer takes the answer.
    Taking,
    /// Both descriptions are in place.
    Connecting,
    /// The offerer closes the `init` channel.
    ClosingInit,
    Over,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Init {
    Opening,
    Open,
    Closed,
}

impl Machine {
    /// Begins an attempt.
    pub(crate) fn start(role: Role, config: Arc<Config>) -> (Self, Vec<Output>) {
        let (stage, outputs) = match role {
            Role::Offerer => (Stage::Describing, vec![Output::Do(Command::CreateOffer)]),
            Role::Answerer => (Stage::Waiting, Vec::new()),
        };
        let machine = Self {
            role,
            config,
            stage,
            is_connected: false,
            init: Init::Opening,
            early: Vec::new(),
            held: Vec::new(),
            sent: 0,
            taken: 0,
            messages: 0,
            has_no_candidates: false,
            has_remote_ended: false,
            remote_frame_bytes_max: None,
        };
        (machine, outputs)
    }

    /// Takes what happened and says what to do. After the end it says nothing.
    pub(crate) fn handle(&mut self, input: Input) -> Vec<Output> {
        if self.stage == Stage::Over {
            return Vec::new();
        }
        let mut outputs = Vec::new();
        let result = match input {
            Input::Local(event) => self.on_local(event, &mut outputs),
            Input::Remote(message) => message.and_then(|message| self.on_remote(message, &mut outputs)),
            Input::RemoteEnd => self.on_remote_end(&mut outputs),
            Input::Reminded => self.on_reminded(),
            Input::Timeout => Err(self.timed_out()),
        };
        match result {
            Ok(()) => self.advance(&mut outputs),
            Err(error) => {
                self.stage = Stage::Over;
                // What was to be sent or done before does not help any more.
                outputs.clear();
                outputs.push(Output::Failed(error));
            }
        }
        outputs
    }

    fn on_local(&mut self, event: Event, outputs: &mut Vec<Output>) -> Result<(), Error> {
        match event {
            Event::Described(sdp) => return self.on_described(sdp, outputs),
            Event::RemoteSet if self.stage == Stage::Taking => self.begin_connecting(outputs),
            Event::Candidate(json) => self.on_own_candidate(json, outputs),
            Event::GatheringDone { candidates: 0 } => {
                self.has_no_candidates = true;
                if self.stage == Stage::Connecting {
                    outputs.push(Output::Remind(NO_CANDIDATES_WAIT));
                }
            }
            Event::Connected => self.is_connected = true,
            Event::InitOpen if self.init == Init::Opening => self.init = Init::Open,
            Event::InitClosed => self.init = Init::Closed,
            Event::Failed(error) => return Err(error),
            // Said twice, or of no interest.
            Event::RemoteSet | Event::InitOpen | Event::GatheringDone { .. } => {}
        }
        Ok(())
    }

    fn on_described(&mut self, sdp: String, outputs: &mut Vec<Output>) -> Result<(), Error> {
        if self.stage != Stage::Describing {
            return Ok(());
        }
        if sdp.len() > SDP_BYTES_MAX {
            return Err(Error::Sdp(format!("our own has {} bytes", sdp.len())));
        }
        let kind = match self.role {
            Role::Offerer => Kind::Offer,
            Role::Answerer => Kind::Answer,
        };
        let frame_bytes_max = u32::try_from(self.config.agreed_frame_bytes(Some(u32::MAX))).unwrap_or(u32::MAX);
        outputs.push(Output::Send(Message::description(kind, sdp, frame_bytes_max)));
        outputs.push(Output::Do(Command::ApplyLocal));
        match self.role {
            Role::Offerer => self.stage = Stage::Waiting,
            Role::Answerer => self.begin_connecting(outputs),
        }
        for json in std::mem::take(&mut self.held) {
            outputs.push(Output::Send(Message::candidate(json)));
        }
        Ok(())
    }

    fn on_own_candidate(&mut self, json: String, outputs: &mut Vec<Output>) {
        // Once we are connected an answerer no longer reads, and has no use for more.
        let is_useless = self.is_connected || json.is_empty() || json.len() > CANDIDATE_BYTES_MAX;
        if is_useless || self.sent >= CANDIDATES_MAX {
            return;
        }
        self.sent += 1;
        if self.has_sent_description() {
            outputs.push(Output::Send(Message::candidate(json)));
        } else {
            self.held.push(json);
        }
    }

    fn has_sent_description(&self) -> bool {
        match self.stage {
            Stage::Describing => false,
            Stage::Waiting => self.role == Role::Offerer,
            Stage::Taking | Stage::Connecting | Stage::ClosingInit | Stage::Over => true,
        }
    }

    fn on_remote(&mut self, message: Message, outputs: &mut Vec<Output>) -> Result<(), Error> {
        self.messages += 1;
        if self.messages > MESSAGES_MAX {
            return Err(Error::Signalling("too many messages".into()));
        }
        let kind = message.kind.map(Kind::try_from);
        match (kind, self.role) {
            (Some(Ok(Kind::Candidate)), _) => self.on_candidate(message.data.unwrap_or_default(), outputs),
            (Some(Ok(Kind::Offer)), Role::Answerer) | (Some(Ok(Kind::Answer)), Role::Offerer) => {
                if self.stage != Stage::Waiting {
                    return Err(Error::Signalling("a session description out of turn".into()));
                }
                self.remote_frame_bytes_max = message.frame_bytes_max;
                self.on_description(message.data.unwrap_or_default(), outputs)
            }
            (Some(Ok(Kind::Offer)), Role::Offerer) => Err(Error::Signalling("an offer where an answer belongs".into())),
            (Some(Ok(Kind::Answer)), Role::Answerer) => {
                Err(Error::Signalling("an answer where an offer belongs".into()))
            }
            (Some(Err(_)), _) => Err(Error::Signalling("a message of an unknown type".into())),
            (None, _) => Err(Error::Signalling("a message without a type".into())),
        }
    }

    fn on_description(&mut self, sdp: String, outputs: &mut Vec<Output>) -> Result<(), Error> {
        if sdp.is_empty() || sdp.len() > SDP_BYTES_MAX {
            return Err(Error::Signalling(format!("a session description of {} bytes", sdp.len())));
        }
        match self.role {
            Role::Offerer => {
                self.stage = Stage::Taking;
                outputs.push(Output::Do(Command::SetAnswer(sdp)));
            }
            Role::Answerer => {
                self.stage = Stage::Describing;
                outputs.push(Output::Do(Command::Answer(sdp)));
            }
        }
        Ok(())
    }

    fn on_candidate(&mut self, json: String, outputs: &mut Vec<Output>) -> Result<(), Error> {
        if json.len() > CANDIDATE_BYTES_MAX {
            return Err(Error::Signalling(format!("a candidate of {} bytes", json.len())));
        }
        if is_end_of_candidates(&json) {
            if self.has_no_candidates && self.taken == 0 {
                return Err(Error::NoCandidates);
            }
            return Ok(());
        }
        if self.taken >= CANDIDATES_MAX {
            return Ok(());
        }
        self.taken += 1;
        match self.stage {
            Stage::Describing | Stage::Waiting | Stage::Taking => self.early.push(json),
            Stage::Connecting | Stage::ClosingInit => outputs.push(Output::Do(Command::AddCandidate(json))),
            Stage::Over => {}
        }
        Ok(())
    }

    /// After the descriptions an end means that the remote is connected, that it gave up, or that the relay is gone. In two
    /// of these our own connection may still come.
    fn on_remote_end(&mut self, outputs: &mut Vec<Output>) -> Result<(), Error> {
        let has_description = match self.stage {
            Stage::Describing => self.role == Role::Answerer,
            Stage::Waiting => false,
            Stage::Taking | Stage::Connecting | Stage::ClosingInit | Stage::Over => true,
        };
        if !has_description {
            return Err(Error::Refused("it ended the signalling early".into()));
        }
        if !self.is_connected && !self.has_remote_ended {
            self.has_remote_ended = true;
            outputs.push(Output::Remind(END_WAIT));
        }
        Ok(())
    }

    fn on_reminded(&self) -> Result<(), Error> {
        if self.is_connected {
            Ok(())
        } else if self.has_no_candidates {
            Err(Error::NoCandidates)
        } else if self.has_remote_ended {
            Err(Error::Refused("it ended the signalling, and no connection came".into()))
        } else {
            Ok(())
        }
    }

    fn timed_out(&self) -> Error {
        // The browser had no address to offer, and nothing came of the remote's.
        if self.has_no_candidates && !self.is_connected {
            return Error::NoCandidates;
        }
        let stage = match (self.stage, self.role) {
            _ if self.is_connected => "finishing the handshake",
            (Stage::Waiting, Role::Offerer) => "waiting for the other side's answer",
            (Stage::Waiting, Role::Answerer) => "waiting for the other side's offer",
            (Stage::Describing | Stage::Taking, _) => "preparing the connection",
            (Stage::Connecting | Stage::ClosingInit | Stage::Over, _) => "looking for a direct path to the other side",
        };
        Error::TimedOut { stage }
    }

    fn begin_connecting(&mut self, outputs: &mut Vec<Output>) {
        self.stage = Stage::Connecting;
        if self.has_no_candidates {
            outputs.push(Output::Remind(NO_CANDIDATES_WAIT));
        }
        for json in std::mem::take(&mut self.early) {
            outputs.push(Output::Do(Command::AddCandidate(json)));
        }
    }

    /// Events of the connection and of its `init` channel come in any order; this is where they meet.
    fn advance(&mut self, outputs: &mut Vec<Output>) {
        if self.stage == Stage::Connecting && self.is_connected {
            match (self.role, self.init) {
                (Role::Answerer, _) | (Role::Offerer, Init::Closed) => self.finish(outputs),
                (Role::Offerer, Init::Open) => {
                    self.stage = Stage::ClosingInit;
                    outputs.push(Output::Do(Command::CloseInit));
                }
                (Role::Offerer, Init::Opening) => {}
            }
        } else if self.stage == Stage::ClosingInit && self.init == Init::Closed {
            self.finish(outputs);
        }
    }

    fn finish(&mut self, outputs: &mut Vec<Output>) {
        self.stage = Stage::Over;
        outputs.push(Output::EndStream);
        let frame_bytes_max = self.config.agreed_frame_bytes(self.remote_frame_bytes_max);
        outputs.push(Output::Connected { frame_bytes_max });
    }
}

/// Whether a candidate says that no more come: nothing, `null`, `""`, or an object whose `candidate` is empty.
fn is_end_of_candidates(json: &str) -> bool {
    let json = json.trim();
    matches!(json, "" | "null" | "\"\"") || has_empty_candidate(json)
}

/// Whether an object's own `candidate` is `""`. Looks at strings and nesting only; whether it is JSON at all is for the
/// browser to say.
fn has_empty_candidate(json: &str) -> bool {
    let mut depth = 0u32;
    let mut key = None;
    let mut rest = json;
    while let Some(first) = rest.chars().next() {
        if first == '"' {
            let Some((text, after)) = split_string(rest) else { return false };
            let is_key = after.trim_start().starts_with(':');
            if depth == 1 && is_key {
                key = Some(text);
            } else if depth == 1 && key == Some("candidate") {
                return text.is_empty();
            }
            rest = after;
            continue;
        }
        match first {
            '{' | '[' => depth += 1,
            '}' | ']' => depth = depth.saturating_sub(1),
            ',' if depth == 1 => key = None,
            _ => {}
        }
        rest = &rest[first.len_utf8()..];
    }
    false
}

/// Takes a JSON string off the front: what is between its quotes, and what comes after.
fn split_string(json: &str) -> Option<(&str, &str)> {
    let body = json.strip_prefix('"')?;
    let mut is_escaped = false;
    for (index, byte) in body.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return Some((&body[..index], &body[index + 1..])),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests;
