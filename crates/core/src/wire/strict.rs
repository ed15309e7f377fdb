//! DAG-CBOR with exactly one encoding per value.
//!
//! A frame that decodes but would encode differently (unsorted or duplicate keys, long integers,
//! indefinite lengths) is refused: two peers must never see different bytes for one object.

use ipld_core::ipld::Ipld;
use serde::{Serialize, de::DeserializeOwned};

/// Why bytes are not what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// More bytes than allowed.
    #[error("{got} bytes where at most {max} are allowed")]
    TooLong {
        /// Bytes given.
        got: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// Not DAG-CBOR, or not in its one encoding.
    #[error("not canonical DAG-CBOR: {0}")]
    Encoding(String),
    /// DAG-CBOR, but not the value wanted: a field is missing or has another type. A later version
    /// may have written it.
    #[error("not the value expected: {0}")]
    Shape(String),
}

/// Nested deeper than any of our values; bounds the decoder's stack.
const DEPTH_MAX: usize = 16;

/// Encode. Our own values always can be.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    serde_ipld_dagcbor::to_vec(value).expect("our own types encode")
}

/// Decode at most `max` bytes.
pub fn decode<T: DeserializeOwned>(bytes: &[u8], max: usize) -> Result<T, DecodeError> {
    if bytes.len() > max {
        return Err(DecodeError::TooLong { got: bytes.len(), max });
    }
    check_depth(bytes)?;
    let tree: Ipld = serde_ipld_dagcbor::from_slice(bytes).map_err(|error| DecodeError::Encoding(error.to_string()))?;
    if encode(&tree) != bytes {
        return Err(DecodeError::Encoding("another encoding of the same value".into()));
    }
    serde_ipld_dagcbor::from_slice(bytes).map_err(|error| DecodeError::Shape(error.to_string()))
}

/// Walk the heads without recursion and refuse deep nesting, before a recursive decoder sees it.
fn check_depth(bytes: &[u8]) -> Result<(), DecodeError> {
    let too_short = || DecodeError::Encoding("it ends too early".into());
    // Items still to come on each open level.
    let mut open: Vec<u64> = vec![1];
    let mut at = 0;
    while let Some(left) = open.last_mut() {
        if *left == 0 {
            open.pop();
            continue;
        }
        *left -= 1;
        let head = *bytes.get(at).ok_or_else(too_short)?;
        at += 1;
        let (major, info) = (head >> 5, head & 0x1f);
        let argument = match info {
            0..=23 => u64::from(info),
            24..=27 => {
                let width = 1_usize << (info - 24);
                let field = bytes.get(at..at + width).ok_or_else(too_short)?;
                at += width;
                field.iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
            }
            _ => return Err(DecodeError::Encoding("indefinite or reserved length".into())),
        };
        match major {
            2 | 3 => {
                let length = usize::try_from(argument).map_err(|_| too_short())?;
                at = at.checked_add(length).filter(|end| *end <= bytes.len()).ok_or_else(too_short)?;
            }
            4 => open.push(argument),
            5 => open.push(argument.checked_mul(2).ok_or_else(too_short)?),
            6 => open.push(1),
            _ => {}
        }
        if open.len() > DEPTH_MAX {
            return Err(DecodeError::Encoding("nested too deeply".into()));
        }
    }
    if at == bytes.len() { Ok(()) } else { Err(DecodeError::Encoding("bytes follow after its end".into())) }
}
