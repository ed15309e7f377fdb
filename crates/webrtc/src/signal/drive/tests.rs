//! Attempts over a pipe, with a peer connection that does what the test says.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::task::Waker;

use futures::executor::block_on;
use futures::future::{join, poll_fn};
use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p_core::muxing::{StreamMuxer, StreamMuxerEvent};

use super::pipe::{Pipe, pipe};
use super::*;
use crate::signal::wire::{Kind, Message};
use crate::{Command, Event};

/// Answers commands by a rule, and has events put in from outside.
#[derive(Clone)]
struct Puppet(Arc<Mutex<Strings>>, fn(Command) -> Vec<Event>);

#[derive(Default)]
struct Strings {
    events: VecDeque<Event>,
    waker: Option<Waker>,
}

/// What a puppet becomes.
#[derive(Debug, PartialEq, Eq)]
struct Muxer {
    frame_bytes_max: usize,
}

impl Puppet {
    fn new(rule: fn(Command) -> Vec<Event>) -> Self {
        Self(Arc::default(), rule)
    }

    fn pull(&self, events: impl IntoIterator<Item = Event>) {
        let mut strings = self.0.lock().expect("no test panics while it holds this");
        strings.events.extend(events);
        strings.waker.take().into_iter().for_each(Waker::wake);
    }
}

impl PeerConnection for Puppet {
    type Muxer = Muxer;

    fn command(&mut self, command: Command) {
        self.pull((self.1)(command));
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        let mut strings = self.0.lock().expect("no test panics while it holds this");
        strings.waker = Some(cx.waker().clone());
        strings.events.pop_front().map_or(Poll::Pending, Poll::Ready)
    }

    fn into_muxer(self, frame_bytes_max: usize) -> Muxer {
        Muxer { frame_bytes_max }
    }
}

impl StreamMuxer for Muxer {
    type Substream = Pipe;
    type Error = std::io::Error;

    fn poll_inbound(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<Pipe, Self::Error>> {
        Poll::Pending
    }

    fn poll_outbound(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<Pipe, Self::Error>> {
        Poll::Pending
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<StreamMuxerEvent, Self::Error>> {
        Poll::Pending
    }
}

/// Connects as soon as it has an answer or has given one.
fn eager(command: Command) -> Vec<Event> {
    match command {
        Command::CreateOffer => vec![Event::Described("offer".into())],
        Command::Answer(_) => vec![Event::Described("answer".into())],
        Command::ApplyLocal => vec![Event::Candidate("{}".into()), Event::GatheringDone { candidates: 1 }],
        Command::SetAnswer(_) => vec![Event::RemoteSet],
        Command::AddCandidate(_) => vec![Event::Connected, Event::InitOpen],
        Command::CloseInit => vec![Event::InitClosed],
    }
}

/// Describes itself, and is told the rest.
fn patient(command: Command) -> Vec<Event> {
    match command {
        Command::AddCandidate(_) => Vec::new(),
        other => eager(other),
    }
}

fn config(attempt: Duration) -> Arc<Config> {
    Arc::new(Config { attempt_timeout: attempt, ..Config::default() })
}

/// Longer than any test.
const AMPLE: Duration = Duration::from_secs(60);
/// For tests that wait for it.
const BRIEF: Duration = Duration::from_millis(200);

/// The test's own end of the signalling.
struct Hand {
    stream: Pipe,
    reader: Reader,
    writer: Writer,
}

impl Hand {
    fn new(stream: Pipe) -> Self {
        Self { stream, reader: Reader::default(), writer: Writer::default() }
    }

    async fn read(&mut self) -> Option<Message> {
        poll_fn(|cx| self.reader.poll_next(&mut self.stream, cx)).await.map(|message| message.expect("valid"))
    }

    async fn write(&mut self, kind: Kind, data: &str) {
        let message = Message { kind: Some(kind as i32), data: Some(data.into()), frame_bytes_max: None };
        self.writer.push(&message);
        poll_fn(|cx| self.writer.poll_flush(&mut self.stream, cx)).await.expect("the other end reads");
    }
}

fn sent_as(message: Option<Message>) -> Option<i32> {
    message.and_then(|message| message.kind)
}

#[track_caller]
fn check_sendable<T: Send>(value: T) -> T {
    value
}

#[test]
fn two_attempts_meet_through_the_narrowest_pipe() {
    for room in [1, 3, 64 * 1024] {
        let (here, there) = pipe(room);
        let offer = check_sendable(connect(Role::Offerer, here));
        let (offer, answer) = block_on(join(offer, connect(Role::Answerer, there)));
        let expect = Muxer { frame_bytes_max: crate::FRAME_BYTES_MAX };
        assert_eq!((&offer, &answer), (&expect, &expect));
    }
}

/// The whole of one side; what is left to send when it is connected goes out with the farewell.
async fn connect(role: Role, stream: Pipe) -> Muxer {
    let attempt = run(role, stream, Puppet::new(eager), config(AMPLE)).await;
    let (muxer, farewell) = attempt.map_err(|error| error.to_string()).expect("connects");
    farewell.await;
    muxer
}

#[test]
fn a_remote_that_does_not_read_delays_nothing() {
    let (here, mut there) = pipe(1);
    let puppet = Puppet::new(patient);
    puppet.pull([Event::Connected, Event::InitOpen]);
    let attempt = run(Role::Offerer, here, puppet, config(AMPLE));
    // It writes its answer, and has not read a byte.
    let answer = async {
        for byte in b"\x0a\x08\x01\x12\x06answer" {
            there.write_all(&[*byte]).await.expect("the other end reads");
        }
    };
    let (attempt, ()) = block_on(join(attempt, answer));
    let (muxer, farewell) = attempt.map_err(drop).expect("connects");
    assert_eq!(muxer, Muxer { frame_bytes_max: crate::FRAME_BYTES });
    // What it did not read is still there for it, and then the end is.
    let mut left = Vec::new();
    let reads = async {
        there.read_to_end(&mut left).await.expect("reads");
        drop(there);
    };
    block_on(join(farewell, reads));
    assert!(left.starts_with(b"\x0e\x08\x00\x12\x05offer"), "{left:?}");
}

#[test]
fn a_remote_that_neither_reads_nor_writes_runs_into_the_timeout() {
    let (here, _there) = pipe(1);
    let result = block_on(run(Role::Offerer, here, Puppet::new(patient), config(BRIEF)));
    let error = result.map(drop).expect_err("no answer");
    assert_eq!(error, Error::TimedOut { stage: "waiting for the other side's answer" });
}

#[test]
fn a_failure_resets_the_stream_and_closes_the_connection() {
    let (here, there) = pipe(1_024);
    let puppet = Puppet::new(patient);
    let mut hand = Hand::new(there);
    let attempt = run(Role::Answerer, here, puppet.clone(), config(AMPLE));
    let remote = async {
        hand.write(Kind::Offer, "offer").await;
        assert_eq!(sent_as(hand.read().await), Some(Kind::Answer as i32));
        assert_eq!(sent_as(hand.read().await), Some(Kind::Candidate as i32));
        puppet.pull([Event::Failed(Error::IceFailed)]);
        assert_eq!(hand.read().await, None);
    };
    let (result, ()) = block_on(join(attempt, remote));
    assert_eq!(result.map(drop), Err(Error::IceFailed));
    assert_eq!(Arc::strong_count(&puppet.0), 1, "only the test has it");
}

#[test]
fn an_end_before_any_description_is_a_refusal() {
    for role in [Role::Offerer, Role::Answerer] {
        let (here, there) = pipe(1_024);
        drop(there);
        let error = block_on(run(role, here, Puppet::new(patient), config(AMPLE))).map(drop).expect_err("refused");
        assert!(matches!(error, Error::Refused(_)), "{error}");
    }
}

#[test]
fn an_end_after_the_descriptions_is_not() {
    let (here, there) = pipe(1_024);
    let puppet = Puppet::new(patient);
    let mut hand = Hand::new(there);
    let attempt = run(Role::Answerer, here, puppet.clone(), config(AMPLE));
    let remote = async {
        hand.write(Kind::Offer, "offer").await;
        hand.read().await;
        drop(hand);
        // Its connection stands already; ours comes later.
        Delay::new(BRIEF).await;
        puppet.pull([Event::Connected]);
    };
    let (result, ()) = block_on(join(attempt, remote));
    assert!(result.is_ok());
}

#[test]
fn what_makes_no_sense_ends_the_attempt() {
    for bytes in [&b"\xff\xff\xff\xff"[..], b"\x02\x08\x01", b"\x00", b"\x02hi"] {
        let (here, mut there) = pipe(1_024);
        block_on(there.write_all(bytes)).expect("there is room");
        let result = block_on(run(Role::Answerer, here, Puppet::new(patient), config(AMPLE))).map(drop);
        assert!(matches!(result, Err(Error::Signalling(_))), "{bytes:?}: {result:?}");
    }
}

#[test]
fn a_talkative_remote_ends_the_attempt() {
    let (here, mut there) = pipe(64);
    let attempt = run(Role::Answerer, here, Puppet::new(patient), config(AMPLE));
    let flood = async { while there.write_all(b"\x06\x08\x02\x12\x02{}").await.is_ok() {} };
    let (result, ()) = block_on(join(attempt, flood));
    assert!(matches!(result.map(drop), Err(Error::Signalling(_))));
}

#[test]
fn a_farewell_does_not_wait_for_a_remote_that_talks_on() {
    let (here, mut there) = pipe(256);
    let farewell = Farewell::new(here, Writer::default());
    let talk = async { while there.write_all(&[0; 100]).await.is_ok() {} };
    block_on(join(farewell, talk));
}

#[test]
fn a_farewell_to_a_remote_that_is_gone_is_short() {
    let (here, there) = pipe(256);
    drop(there);
    let mut writer = Writer::default();
    writer.push(&Message::candidate("{}".into()));
    block_on(Farewell::new(here, writer));
}
