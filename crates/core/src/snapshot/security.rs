//! Security events as they are shown: what others did wrong, and what this node did about it.

use libp2p_identity::PeerId;
use serde::{Serialize, Serializer};

use crate::{time::UnixMillis, wire::SignedError};

/// One security event, or several of the same peer and kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SecurityEntry {
    /// This line's own, also while its count grows.
    pub number: u64,
    /// What kind of event.
    pub kind: SecurityKind,
    /// The peer it is charged to.
    pub peer: PeerId,
    /// What happened, the last time. May carry a remote's words: data, never markup.
    pub what: String,
    /// How often.
    pub count: u64,
    /// When it happened first, on this node's wall clock.
    pub first: UnixMillis,
    /// When it happened last.
    pub last: UnixMillis,
}

/// Kinds of security events. The names are labels in `/metrics`, so there are few and fixed ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SecurityKind {
    /// A signature that is not the signer's.
    Forged,
    /// Bytes that are no such object or request, or contradict themselves.
    Malformed,
    /// Somebody else's object given as one's own.
    Impersonation,
    /// Well formed, and not what the protocol allows at that point.
    Unexpected,
    /// Too much for too long.
    Excess,
    /// Put into quarantine.
    Quarantined,
    /// Came back while in quarantine.
    Refused,
}

impl SecurityKind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Forged,
        Self::Malformed,
        Self::Impersonation,
        Self::Unexpected,
        Self::Excess,
        Self::Quarantined,
        Self::Refused,
    ];

    /// The name in JSON and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Forged => "forged",
            Self::Malformed => "malformed",
            Self::Impersonation => "impersonation",
            Self::Unexpected => "unexpected",
            Self::Excess => "excess",
            Self::Quarantined => "quarantined",
            Self::Refused => "refused",
        }
    }
}

impl From<&SignedError> for SecurityKind {
    fn from(error: &SignedError) -> Self {
        match error {
            SignedError::Forged => Self::Forged,
            SignedError::Malformed(_) => Self::Malformed,
            SignedError::Unknown(_) | SignedError::Limits => Self::Unexpected,
        }
    }
}

/// Security events since start, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SecurityTotals([u64; SecurityKind::ALL.len()]);

impl SecurityTotals {
    /// How many there were of `kind`.
    pub const fn of(&self, kind: SecurityKind) -> u64 {
        self.0[kind as usize]
    }

    pub(crate) fn count(&mut self, kind: SecurityKind) {
        self.0[kind as usize] += 1;
    }
}

impl Serialize for SecurityTotals {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(SecurityKind::ALL.map(|kind| (kind.as_str(), self.of(kind))))
    }
}
