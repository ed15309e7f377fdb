//! What can go wrong, in sentences a person can act on.

/// An attempt to connect, a connection or a stream failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no `RTCPeerConnection` here.
    #[error("this browser or this kind of page has no WebRTC")]
    Unsupported,
    /// The page has made as many peer connections as its browser allows. Closed ones count until collected.
    #[error("the page has used up its WebRTC connections; they come back after a while, or with a reload")]
    Budget,
    /// Gathering ended without a candidate.
    #[error("no network address could be found for a direct connection; UDP may be blocked here")]
    NoCandidates,
    /// The attempt took longer than [`Config::attempt_timeout`](crate::Config::attempt_timeout).
    #[error("timed out while {stage}")]
    TimedOut {
        /// What was being waited for.
        stage: &'static str,
    },
    /// Both sides' candidates are known and no pair of them works.
    #[error("no direct path between the two networks was found; a firewall or NAT may block UDP")]
    IceFailed,
    /// The other side declined, or ended the signalling early.
    #[error("the other side declined: {0}")]
    Refused(String),
    /// The other side's signalling is not what the protocol says.
    #[error("the other side's signalling is invalid: {0}")]
    Signalling(String),
    /// A session description was not understood.
    #[error("a session description was not accepted: {0}")]
    Sdp(String),
    /// A cap of our own on inbound attempts.
    #[error("too many connection attempts at once")]
    TooMany,
    /// The relayed connection that carries the signalling could not be made.
    #[error("the relayed connection for signalling could not be made: {0}")]
    NoRelay(String),
    /// Nothing that these transports dial.
    #[error("this address cannot be dialled: {0}")]
    Address(String),
    /// The listener did not prove that it is who its address says.
    #[error("the listener could not be authenticated: {0}")]
    Noise(String),
    /// The connection has ended.
    #[error("the connection is closed")]
    Closed,
    /// The browser refused something that it ought to do.
    #[error("the browser refused: {0}")]
    Browser(String),
}

impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        let kind = match error {
            Error::TimedOut { .. } => std::io::ErrorKind::TimedOut,
            Error::Unsupported => std::io::ErrorKind::Unsupported,
            Error::Closed => std::io::ErrorKind::ConnectionReset,
            _ => std::io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}
