//! What travels on a data channel: frames of a length prefix and a protobuf message with a flag, some payload, or both.
//! See "Multiplexing" in the libp2p WebRTC specification.

use bytes::{Buf, Bytes, BytesMut};
use prost::Message as _;

/// One frame.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Frame {
    #[prost(enumeration = "Flag", optional, tag = "1")]
    pub(crate) flag: Option<i32>,
    #[prost(bytes = "bytes", optional, tag = "2")]
    pub(crate) message: Option<Bytes>,
}

/// What one side says about its halves of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum Flag {
    /// I send nothing more.
    Fin = 0,
    /// I read nothing more.
    StopSending = 1,
    /// Both, at once, and what was under way is lost.
    Reset = 2,
    /// I have seen your `Fin`.
    FinAck = 3,
}

/// A frame that cannot be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("a frame of {0} bytes is longer than the {1} agreed on")]
    TooLong(usize, usize),
    #[error("a frame's length prefix is no number")]
    Prefix,
    #[error("a frame is no valid protobuf message")]
    Body,
}

/// Payload that fits into a frame of `frame_bytes` with prefix and field header.
pub(crate) fn payload_max(frame_bytes: usize) -> usize {
    // A tag, and two lengths that take as many bytes as the largest of them.
    frame_bytes - 1 - 2 * prefix_bytes(frame_bytes)
}

/// Bytes of `number` as a varint.
fn prefix_bytes(number: usize) -> usize {
    prost::length_delimiter_len(number)
}

/// Append a frame with payload to `out`.
pub(crate) fn put_data(payload: Bytes, out: &mut Vec<u8>) {
    put(&Frame { flag: None, message: Some(payload) }, out);
}

/// Append a frame that only says something.
pub(crate) fn put_flag(flag: Flag, out: &mut Vec<u8>) {
    put(&Frame { flag: Some(flag as i32), message: None }, out);
}

fn put(frame: &Frame, out: &mut Vec<u8>) {
    // A vector grows as needed.
    frame.encode_length_delimited(out).unwrap_or_default();
}

/// Cuts frames out of what a channel brings. A frame is a message of its own with every implementation known, but the
/// specification does not promise it.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    /// The beginning of a frame whose rest has not come. Shorter than the longest frame.
    partial: BytesMut,
}

/// Bytes of the longest prefix that a valid frame can have.
const PREFIX_BYTES_MAX: usize = 4;

impl Decoder {
    /// Take what one message brought, and give its frames to `take`. After an error the stream is beyond repair.
    pub(crate) fn push(
        &mut self,
        message: Bytes,
        frame_bytes_max: usize,
        mut take: impl FnMut(Frame),
    ) -> Result<(), Malformed> {
        let mut rest = if self.partial.is_empty() {
            message
        } else {
            self.partial.extend_from_slice(&message);
            std::mem::take(&mut self.partial).freeze()
        };
        while !rest.is_empty() {
            let Some((prefix, length)) = prefix(&rest)? else { break };
            if prefix + length > frame_bytes_max {
                return Err(Malformed::TooLong(prefix + length, frame_bytes_max));
            }
            if rest.len() < prefix + length {
                break;
            }
            rest.advance(prefix);
            let body = rest.split_to(length);
            take(Frame::decode(body).map_err(|_| Malformed::Body)?);
        }
        self.partial.extend_from_slice(&rest);
        Ok(())
    }

    /// Bytes that wait for the rest of their frame.
    #[cfg(feature = "fuzz")]
    pub(crate) fn held(&self) -> usize {
        self.partial.len()
    }
}

/// A whole length prefix at the beginning of `bytes`: how long it is, and what it says.
fn prefix(bytes: &[u8]) -> Result<Option<(usize, usize)>, Malformed> {
    let mut length = 0;
    for (at, byte) in bytes.iter().enumerate().take(PREFIX_BYTES_MAX) {
        length |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok(Some((at + 1, length)));
        }
    }
    if bytes.len() < PREFIX_BYTES_MAX { Ok(None) } else { Err(Malformed::Prefix) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FRAME_BYTES, FRAME_BYTES_MAX};

    #[track_caller]
    fn check_encoded(flag: Option<Flag>, payload: Option<&[u8]>, expect: &[u8]) {
        let mut out = Vec::new();
        let frame = Frame { flag: flag.map(|flag| flag as i32), message: payload.map(Bytes::copy_from_slice) };
        put(&frame, &mut out);
        assert_eq!(out, expect);
        let mut got = Vec::new();
        Decoder::default().push(out.into(), FRAME_BYTES, |frame| got.push(frame)).expect("it can be read");
        assert_eq!(got, [frame]);
    }

    #[test]
    fn golden_bytes() {
        check_encoded(Some(Flag::Fin), None, &[2, 0x08, 0]);
        check_encoded(Some(Flag::StopSending), None, &[2, 0x08, 1]);
        check_encoded(Some(Flag::Reset), None, &[2, 0x08, 2]);
        check_encoded(Some(Flag::FinAck), None, &[2, 0x08, 3]);
        check_encoded(None, Some(b"hi"), &[4, 0x12, 2, b'h', b'i']);
        check_encoded(Some(Flag::Fin), Some(b"!"), &[5, 0x08, 0, 0x12, 1, b'!']);
        check_encoded(None, None, &[0]);
        let mut out = Vec::new();
        put_flag(Flag::Reset, &mut out);
        put_data(Bytes::from_static(b"hi"), &mut out);
        assert_eq!(out, [2, 0x08, 2, 4, 0x12, 2, b'h', b'i']);
    }

    #[test]
    fn the_largest_payload_fills_a_frame_exactly_or_nearly() {
        for frame_bytes in [FRAME_BYTES, 20_000, FRAME_BYTES_MAX] {
            let mut out = Vec::new();
            put_data(vec![7; payload_max(frame_bytes)].into(), &mut out);
            assert!(out.len() <= frame_bytes, "{} in {frame_bytes}", out.len());
            assert!(out.len() + 3 > frame_bytes, "{} in {frame_bytes}", out.len());
        }
    }

    #[track_caller]
    fn check_cut(chunks: &[&[u8]], expect: Result<usize, Malformed>) {
        let mut decoder = Decoder::default();
        let mut count = 0;
        let mut result = Ok(());
        for chunk in chunks {
            result = result.and_then(|()| decoder.push(Bytes::copy_from_slice(chunk), FRAME_BYTES, |_| count += 1));
        }
        assert_eq!(result.map(|()| count), expect, "{chunks:?}");
    }

    #[test]
    fn frames_may_be_cut_and_joined_anyhow() {
        check_cut(&[&[2, 8, 0, 2, 8, 3]], Ok(2));
        check_cut(&[&[2], &[8], &[0, 2, 8], &[3]], Ok(2));
        check_cut(&[&[2, 8]], Ok(0));
        check_cut(&[&[]], Ok(0));
        // A field of the future is skipped.
        check_cut(&[&[4, 8, 0, 0x78, 1]], Ok(1));
    }

    #[test]
    fn what_is_no_frame_is_refused_before_it_is_held() {
        check_cut(&[&[0xff, 0xff, 0xff, 0xff]], Err(Malformed::Prefix));
        check_cut(&[&[0xff, 0xff, 0x03]], Err(Malformed::TooLong(65_538, FRAME_BYTES)));
        check_cut(&[&[2, 0x12, 9]], Err(Malformed::Body));
    }
}
