//! The messages of `/webrtc-signaling/0.0.1`: protobuf, each after its length as an unsigned varint.
//!
//! Both halves are driven by polling and keep what they have between polls, so that one task can read and write at the
//! same time. Neither takes memory on the remote's word: a length above the cap is an error, and below it the buffer
//! grows by what has arrived.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use futures::{AsyncRead, AsyncWrite};
use libp2p_swarm::StreamProtocol;
use prost::Message as _;

use crate::{CANDIDATE_BYTES_MAX, Error, SDP_BYTES_MAX};

/// The name both sides negotiate. Who says in identify that it speaks this takes `/webrtc` connections.
pub const SIGNALLING_PROTOCOL: StreamProtocol = StreamProtocol::new("/webrtc-signaling/0.0.1");
/// A message carries one description or one candidate; the rest is tags, lengths and fields that we do not know.
const MESSAGE_BYTES_MAX: usize =
    (if SDP_BYTES_MAX > CANDIDATE_BYTES_MAX { SDP_BYTES_MAX } else { CANDIDATE_BYTES_MAX }) + 256;
/// Bytes taken from the stream at a time. Most messages fit.
const READ_BYTES: usize = 1_024;
/// A varint of more bytes is above [`MESSAGE_BYTES_MAX`] anyway.
const PREFIX_BYTES_MAX: usize = 3;

/// What is in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum Kind {
    /// The opener's session description.
    Offer = 0,
    /// The acceptor's.
    Answer = 1,
    /// An `RTCIceCandidateInit` as JSON.
    Candidate = 2,
}

/// One message. Fields are optional as in proto2, so that the offer's type, which is 0, is written.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct Message {
    #[prost(enumeration = "Kind", optional, tag = "1")]
    pub kind: Option<i32>,
    #[prost(string, optional, tag = "2")]
    pub data: Option<String>,
    /// Ours: the largest data-channel frame the sender takes. js-libp2p skips it.
    #[prost(uint32, optional, tag = "100")]
    pub frame_bytes_max: Option<u32>,
}

impl Message {
    /// A session description.
    pub(crate) fn description(kind: Kind, sdp: String, frame_bytes_max: u32) -> Self {
        Self { kind: Some(kind as i32), data: Some(sdp), frame_bytes_max: Some(frame_bytes_max) }
    }

    /// A candidate.
    pub(crate) fn candidate(json: String) -> Self {
        Self { kind: Some(Kind::Candidate as i32), data: Some(json), frame_bytes_max: None }
    }
}

/// Cuts a stream of bytes into messages.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    buffer: BytesMut,
}

impl Reader {
    /// The next message; `None` at the end of the stream, even if that cuts a message short: what was cut off can no
    /// longer matter.
    pub(crate) fn poll_next<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Message, Error>>> {
        loop {
            match take_message(&mut self.buffer) {
                Ok(Some(message)) => return Poll::Ready(Some(Ok(message))),
                Ok(None) => {}
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
            let mut chunk = [0; READ_BYTES];
            match ready!(Pin::new(&mut *stream).poll_read(cx, &mut chunk)) {
                Ok(0) => return Poll::Ready(None),
                Ok(count) => self.buffer.extend_from_slice(&chunk[..count]),
                Err(error) => {
                    tracing::debug!(%error, "the signalling stream broke");
                    return Poll::Ready(None);
                }
            }
        }
    }
}

/// Takes the first message off the buffer if it is there as a whole.
fn take_message(buffer: &mut BytesMut) -> Result<Option<Message>, Error> {
    let Some((length, prefix)) = take_prefix(buffer)? else { return Ok(None) };
    if buffer.len() < prefix + length {
        return Ok(None);
    }
    buffer.advance(prefix);
    let body = buffer.split_to(length);
    Message::decode(body).map(Some).map_err(|error| Error::Signalling(format!("a message does not decode: {error}")))
}

/// The length that a message begins with, and how many bytes say so.
fn take_prefix(buffer: &[u8]) -> Result<Option<(usize, usize)>, Error> {
    let mut length = 0;
    for (index, byte) in buffer.iter().take(PREFIX_BYTES_MAX).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            if length > MESSAGE_BYTES_MAX {
                return Err(too_long());
            }
            return Ok(Some((length, index + 1)));
        }
    }
    if buffer.len() >= PREFIX_BYTES_MAX { Err(too_long()) } else { Ok(None) }
}

fn too_long() -> Error {
    Error::Signalling(format!("a message of more than {MESSAGE_BYTES_MAX} bytes"))
}

/// Messages on their way out. Its owner bounds how many there are.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    buffer: BytesMut,
    is_flushed: bool,
}

impl Writer {
    /// Puts a message behind those that wait.
    pub(crate) fn push(&mut self, message: &Message) {
        let bytes = message.encode_length_delimited_to_vec();
        self.buffer.extend_from_slice(&bytes);
        self.is_flushed = false;
    }

    /// Writes and flushes all that waits.
    pub(crate) fn poll_flush<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.buffer.is_empty() {
            match ready!(Pin::new(&mut *stream).poll_write(cx, &self.buffer))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.buffer.advance(count),
            }
        }
        if !self.is_flushed {
            ready!(Pin::new(stream).poll_flush(cx))?;
            self.is_flushed = true;
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use futures::future::poll_fn;
    use futures::io::Cursor;

    use super::*;

    /// Hands out at most so many bytes at a time.
    struct Trickle<'a>(&'a [u8], usize);

    impl AsyncRead for Trickle<'_> {
        fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
            let count = self.0.len().min(self.1).min(buf.len());
            let (now, later) = self.0.split_at(count);
            buf[..count].copy_from_slice(now);
            self.0 = later;
            Poll::Ready(Ok(count))
        }
    }

    fn read_all(bytes: &[u8], step: usize) -> Result<Vec<Message>, Error> {
        let mut reader = Reader::default();
        let mut stream = Trickle(bytes, step);
        let mut messages = Vec::new();
        while let Some(message) = block_on(poll_fn(|cx| reader.poll_next(&mut stream, cx))) {
            messages.push(message?);
        }
        Ok(messages)
    }

    #[track_caller]
    fn check(message: Message, expect: &[u8]) {
        let mut writer = Writer::default();
        writer.push(&message);
        let mut written = Cursor::new(Vec::new());
        block_on(poll_fn(|cx| writer.poll_flush(&mut written, cx))).expect("writes to memory");
        assert_eq!(written.into_inner(), expect);
        for step in [1, 2, 1_000] {
            assert_eq!(read_all(expect, step), Ok(vec![message.clone()]));
        }
    }

    #[track_caller]
    fn check_refused(bytes: &[u8]) {
        assert!(matches!(read_all(bytes, 1), Err(Error::Signalling(_))), "{bytes:?}");
        assert!(matches!(read_all(bytes, 1_000), Err(Error::Signalling(_))), "{bytes:?}");
    }

    #[test]
    fn messages_are_these_bytes() {
        // The offer's type 0 is there: js-libp2p takes a missing one for an error.
        check(Message::description(Kind::Offer, "v=0".into(), 65_536), b"\x0c\x08\x00\x12\x03v=0\xa0\x06\x80\x80\x04");
        check(Message::description(Kind::Answer, "v=0".into(), 16_384), b"\x0c\x08\x01\x12\x03v=0\xa0\x06\x80\x80\x01");
        check(Message::candidate("{}".into()), b"\x06\x08\x02\x12\x02{}");
    }

    #[test]
    fn js_libp2p_sends_these_bytes() {
        check(Message { kind: Some(0), data: Some("v=0".into()), frame_bytes_max: None }, b"\x07\x08\x00\x12\x03v=0");
        check(Message { kind: Some(2), data: Some(String::new()), frame_bytes_max: None }, b"\x04\x08\x02\x12\x00");
        check(Message { kind: Some(2), data: None, frame_bytes_max: None }, b"\x02\x08\x02");
    }

    #[test]
    fn what_is_not_known_is_skipped() {
        let messages = read_all(b"\x09\x08\x02\x1a\x01x\x12\x02{}\x00", 3).expect("valid");
        assert_eq!(messages, vec![Message::candidate("{}".into()), Message::default()]);
    }

    #[test]
    fn the_end_may_come_anywhere() {
        let bytes = b"\x06\x08\x02\x12\x02{}\x06\x08\x02";
        for end in 7..bytes.len() {
            assert_eq!(read_all(&bytes[..end], 1).expect("valid").len(), 1);
        }
    }

    #[test]
    fn what_is_too_long_or_wrong_is_refused_at_once() {
        check_refused(b"\xff\xff\xff\xff\x0f");
        check_refused(b"\x80\x80\x80\x00");
        check_refused(b"\xff\xff\x7f");
        // One more than the cap, and not a byte of it has arrived.
        let mut prefix = Vec::new();
        prost::encoding::encode_varint(MESSAGE_BYTES_MAX as u64 + 1, &mut prefix);
        check_refused(&prefix);
        check_refused(b"\x03\x12\x01\xff");
        check_refused(b"\x02\x12\x09");
        check_refused(b"\x01\x07");
    }

    #[test]
    fn the_longest_description_fits() {
        let longest = Message::description(Kind::Offer, "x".repeat(SDP_BYTES_MAX), u32::MAX);
        let mut writer = Writer::default();
        writer.push(&longest);
        assert_eq!(read_all(&writer.buffer, 700), Ok(vec![longest]));
    }
}
