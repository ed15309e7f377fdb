//! Small values that appear in several messages.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::limits::{NETWORK_BYTES_MAX, SKILL_BYTES_MAX};

/// A task's id: 16 random bytes, shown as 32 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(pub [u8; 16]);

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TaskId({self})")
    }
}

/// A text that is not an id of the kind wanted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} must be {wanted}")]
pub struct BadId {
    what: &'static str,
    wanted: &'static str,
}

impl FromStr for TaskId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let bad = BadId { what: "a task id", wanted: "32 hex digits" };
        // Each digit is looked at: Rust's own parser also takes a sign.
        if text.len() != 32 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(bad);
        }
        let mut id = [0; 16];
        for (byte, digits) in id.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| bad.clone())?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| bad.clone())?;
        }
        Ok(Self(id))
    }
}

impl Serialize for TaskId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { serializer.serialize_bytes(&self.0) }
    }
}

impl<'de> Deserialize<'de> for TaskId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom);
        }
        let bytes = serde_bytes::ByteArray::<16>::deserialize(deserializer)?;
        Ok(Self(*bytes))
    }
}

/// A skill's name: lower-case letters, digits, `-`, `.` and `/`, at most
/// [`SKILL_BYTES_MAX`] bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Skill(String);

impl Skill {
    /// The person behind a peer answers.
    pub fn human() -> Self {
        Self("human".into())
    }

    /// The input comes back unchanged.
    pub fn echo() -> Self {
        Self("echo".into())
    }

    /// Parse a skill's name.
    pub fn new(name: &str) -> Result<Self, BadId> {
        let fits = (1..=SKILL_BYTES_MAX).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-./".contains(&b));
        if fits {
            Ok(Self(name.into()))
        } else {
            Err(BadId { what: "a skill", wanted: "1 to 48 lower-case letters, digits, dots, dashes or slashes" })
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Skill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Skill {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::new(&name).map_err(serde::de::Error::custom)
    }
}

/// A network's name: 1 to 32 lower-case letters, digits and dashes. It scopes every topic,
/// protocol and signature.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Network(String);

impl Network {
    /// Parse a network's name.
    pub fn new(name: &str) -> Result<Self, BadId> {
        let fits = (1..=NETWORK_BYTES_MAX).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if fits {
            Ok(Self(name.into()))
        } else {
            Err(BadId { what: "a network name", wanted: "1 to 32 lower-case letters, digits or dashes" })
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Network {
    fn default() -> Self {
        Self("public".into())
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Network {
    type Err = BadId;
    fn from_str(name: &str) -> Result<Self, BadId> {
        Self::new(name)
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::new(&name).map_err(serde::de::Error::custom)
    }
}

/// At most `max` bytes of a text, cut between characters.
pub fn cut(text: &str, max: usize) -> String {
    let end = (0..=max.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text[..end].to_owned()
}
