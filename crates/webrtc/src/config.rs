//! What a user may set, and the limits nobody may.

use std::time::Duration;

/// One message on a data channel by the libp2p specification: prefix, flag and payload together.
pub const FRAME_BYTES: usize = 16_384;
/// The largest frame two peers of this crate agree on. Browsers take 256 KiB messages, but a message cannot be
/// interleaved with those of other streams, so that a large one delays them all.
pub const FRAME_BYTES_MAX: usize = 65_536;
/// Session descriptions for data channels are about 600 bytes; candidates in them make it a few thousand.
pub const SDP_BYTES_MAX: usize = 16_384;
/// A candidate as JSON is about 250 bytes.
pub const CANDIDATE_BYTES_MAX: usize = 2_048;
/// Candidates taken from one remote during one attempt. A machine with many interfaces sends about twenty.
pub const CANDIDATES_MAX: usize = 64;
/// Streams one connection may have open. Browsers number data channels up to 1,023 and both sides share the numbers.
pub const STREAMS_MAX: usize = 256;
/// Inbound data channels that wait to be taken. Above it further ones are closed.
pub const STREAMS_WAITING_MAX: usize = 128;
/// How long a dropped stream waits for the remote to acknowledge its end before its channel is closed anyway.
pub const LINGER_MAX: Duration = Duration::from_secs(10);

/// Settings of the transports.
#[derive(Clone, Debug)]
pub struct Config {
    /// STUN and TURN servers. None by default: each of them learns the addresses of everybody who asks it.
    pub ice_servers: Vec<IceServer>,
    /// How long one attempt may take from the open signalling stream, or the dialled listener, to a usable connection.
    pub attempt_timeout: Duration,
    /// The largest frame to send to, and take from, peers that agree to it. Between [`FRAME_BYTES`] and
    /// [`FRAME_BYTES_MAX`]; everybody else gets [`FRAME_BYTES`].
    pub frame_bytes_max: usize,
    /// Unread bytes one stream may hold; above it that stream is reset. Browsers cannot slow a sender down, and
    /// js-libp2p sends bursts of 2 MiB.
    pub receive_bytes_max: usize,
    /// Attempts by others that may be under way at a time.
    pub inbound_max: usize,
    /// And by one peer. Both sides may dial at once, and try again.
    pub inbound_per_peer_max: usize,
}

/// A STUN or TURN server.
#[derive(Clone, PartialEq, Eq)]
pub struct IceServer {
    /// `stun:host:port`, `turn:host:port?transport=udp`, `turns:…`.
    pub urls: Vec<String>,
    /// For TURN.
    pub username: Option<String>,
    /// For TURN.
    pub credential: Option<String>,
}

impl std::fmt::Debug for IceServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The credential stays out of logs.
        f.debug_struct("IceServer").field("urls", &self.urls).field("username", &self.username).finish_non_exhaustive()
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ice_servers: Vec::new(),
            attempt_timeout: Duration::from_secs(20),
            frame_bytes_max: FRAME_BYTES_MAX,
            receive_bytes_max: 16 * 1024 * 1024,
            inbound_max: 32,
            inbound_per_peer_max: 4,
        }
    }
}

impl Config {
    /// The frame size both sides can take; a remote that says nothing takes the specification's.
    pub(crate) fn agreed_frame_bytes(&self, remote: Option<u32>) -> usize {
        let ours = self.frame_bytes_max.clamp(FRAME_BYTES, FRAME_BYTES_MAX);
        remote.map_or(FRAME_BYTES, |theirs| (theirs as usize).clamp(FRAME_BYTES, ours))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_as_large_as_both_sides_take() {
        let config = Config { frame_bytes_max: 40_000, ..Config::default() };
        assert_eq!(config.agreed_frame_bytes(None), FRAME_BYTES);
        assert_eq!(config.agreed_frame_bytes(Some(20_000)), 20_000);
        assert_eq!(config.agreed_frame_bytes(Some(u32::MAX)), 40_000);
        assert_eq!(config.agreed_frame_bytes(Some(1)), FRAME_BYTES, "nobody makes us cut below the specification");
    }

    #[test]
    fn credentials_are_not_logged() {
        let server = IceServer {
            urls: vec!["turn:turn.example:3478".into()],
            username: Some("ada".into()),
            credential: Some("secret".into()),
        };
        assert!(!format!("{server:?}").contains("secret"));
    }
}
