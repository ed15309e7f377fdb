//! Messages of the signalling, and what they make of an attempt.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::{AsyncRead, executor::block_on, future::poll_fn, io::Cursor};

use crate::{
    CANDIDATE_BYTES_MAX, CANDIDATES_MAX, Command, Config, Error, Event, FRAME_BYTES, FRAME_BYTES_MAX, Role,
    SDP_BYTES_MAX,
    signal::{
        Input, Machine, Output,
        wire::{Kind, Message, Reader, Writer},
    },
};

/// A signalling stream: its first byte says in how long pieces the rest arrives.
pub fn messages(data: &[u8]) {
    let Some((&step, stream)) = data.split_first() else { return };
    let whole = read(stream, stream.len());
    assert_eq!(read(stream, step.into()), whole, "how a stream arrives changes nothing");
    let mut writer = Writer::default();
    whole.0.iter().for_each(|message| writer.push(message));
    assert_eq!(read(&write(writer), step.into()), (whole.0, None), "what was read is written and read as the same");
}

fn read(stream: &[u8], step: usize) -> (Vec<Message>, Option<Error>) {
    let (mut reader, mut stream) = (Reader::default(), Pieces(stream, step.max(1)));
    let mut messages = Vec::new();
    loop {
        match block_on(poll_fn(|cx| reader.poll_next(&mut stream, cx))) {
            Some(Ok(message)) => messages.push(message),
            Some(Err(error)) => return (messages, Some(error)),
            None => return (messages, None),
        }
    }
}

fn write(mut writer: Writer) -> Vec<u8> {
    let mut written = Cursor::new(Vec::new());
    block_on(poll_fn(|cx| writer.poll_flush(&mut written, cx))).expect("memory takes every write");
    written.into_inner()
}

/// Hands out at most so many bytes at a time.
struct Pieces<'a>(&'a [u8], usize);

impl AsyncRead for Pieces<'_> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let (now, later) = self.0.split_at(self.0.len().min(self.1).min(buf.len()));
        buf[..now.len()].copy_from_slice(now);
        self.0 = later;
        Poll::Ready(Ok(now.len()))
    }
}

/// An attempt: the first byte says which side we are, each further step is a byte for what happens, one for the length of
/// a text, and the text.
pub fn machine(data: &[u8]) {
    let Some((&first, mut rest)) = data.split_first() else { return };
    let role = if first % 2 == 0 { Role::Offerer } else { Role::Answerer };
    let (mut machine, outputs) = Machine::start(role, Arc::new(Config::default()));
    let mut seen = Seen::default();
    seen.take(outputs);
    while let [what, length, after @ ..] = rest {
        let (text, after) = after.split_at(after.len().min((*length).into()));
        rest = after;
        seen.take(machine.handle(input(*what, text)));
    }
}

fn input(what: u8, bytes: &[u8]) -> Input {
    // Some texts must be longer than a length of one byte can say.
    let times = if what >= 0x80 { 1 + SDP_BYTES_MAX / bytes.len().max(1) } else { 1 };
    let text = || String::from_utf8_lossy(bytes).repeat(times);
    let said = |kind: i32| {
        let frame_bytes_max = bytes.first().map(|byte| u32::from(*byte) << 10);
        Input::Remote(Ok(Message { kind: Some(kind), data: Some(text()), frame_bytes_max }))
    };
    match what % 16 {
        0 => Input::Local(Event::Described(text())),
        1 => Input::Local(Event::RemoteSet),
        2 => Input::Local(Event::Candidate(text())),
        3 => Input::Local(Event::GatheringDone { candidates: bytes.len() as u32 }),
        4 => Input::Local(Event::Connected),
        5 => Input::Local(Event::InitOpen),
        6 => Input::Local(Event::InitClosed),
        7 => Input::Local(Event::Failed(Error::IceFailed)),
        8 => said(Kind::Offer as i32),
        9 => said(Kind::Answer as i32),
        10 => said(Kind::Candidate as i32),
        11 => said(bytes.len() as i32),
        12 => Input::Remote(Ok(Message::default())),
        13 => Input::RemoteEnd,
        14 => Input::Reminded,
        _ => Input::Timeout,
    }
}

/// What an attempt has wanted so far.
#[derive(Default)]
struct Seen {
    is_over: bool,
    has_description: bool,
    has_sent: bool,
    sent: usize,
    added: usize,
}

impl Seen {
    fn take(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            assert!(!self.is_over, "nothing comes after the end, but {output:?}");
            match output {
                Output::Do(command) => self.done(&command),
                Output::Send(message) => {
                    let is_candidate = message.kind == Some(Kind::Candidate as i32);
                    assert_eq!(is_candidate, self.has_sent, "one description, and candidates behind it");
                    self.has_sent = true;
                    self.sent += usize::from(is_candidate);
                    let mut writer = Writer::default();
                    writer.push(&message);
                    assert_eq!(read(&write(writer), 1_000), (vec![message], None), "the remote takes what is sent");
                }
                Output::Remind(_) | Output::EndStream => {}
                Output::Connected { frame_bytes_max } => {
                    assert!((FRAME_BYTES..=FRAME_BYTES_MAX).contains(&frame_bytes_max));
                    assert!(self.has_description && self.has_sent, "nobody is connected without both descriptions");
                    self.is_over = true;
                }
                Output::Failed(_) => self.is_over = true,
            }
        }
        assert!(self.sent <= CANDIDATES_MAX && self.added <= CANDIDATES_MAX);
    }

    fn done(&mut self, command: &Command) {
        match command {
            Command::Answer(sdp) | Command::SetAnswer(sdp) => {
                assert!(!self.has_description && sdp.len() <= SDP_BYTES_MAX);
                self.has_description = true;
            }
            Command::AddCandidate(json) => {
                assert!(self.has_description && json.len() <= CANDIDATE_BYTES_MAX);
                self.added += 1;
            }
            Command::ApplyLocal => assert!(self.has_sent, "candidates must find our description on its way"),
            Command::CreateOffer | Command::CloseInit => {}
        }
    }
}
