//! What can go wrong, in sentences for whoever reads a failed test.

use std::io;

use libp2p::PeerId;

/// A call from JavaScript failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing else works before `start`.
    #[error("the node is not running")]
    NotRunning,
    /// An argument makes no sense.
    #[error("{what} `{given}` is not understood: {why}")]
    Argument {
        /// Which one.
        what: &'static str,
        /// Its text.
        given: String,
        /// Why.
        why: String,
    },
    /// The node could not be put together.
    #[error("the node cannot be made: {0}")]
    Make(String),
    /// An address could not be dialled.
    #[error("{0}")]
    Dial(String),
    /// A relay did not reserve.
    #[error("the relay gave no reservation: {0}")]
    Reservation(String),
    /// No connection of the wanted kind.
    #[error("there is no {kind} connection to {peer}")]
    NotConnected {
        /// `direct`, `relayed`, `open`.
        kind: &'static str,
        /// To whom.
        peer: PeerId,
    },
    /// A stream could not be opened.
    #[error("no stream was opened: {0}")]
    NoStream(String),
    /// A stream broke.
    #[error("the stream broke: {0}")]
    Broke(#[from] io::Error),
    /// Something else arrived than was sent.
    #[error("{0}")]
    Changed(String),
    /// Gossip was not taken.
    #[error("gossip was not taken: {0}")]
    Gossip(String),
}
