//! The seam between the protocol and the browser. The protocol's side is tested natively over a mock of it.

use std::task::{Context, Poll};

use libp2p_core::muxing::StreamMuxer;

use crate::{Config, Error};

/// Makes peer connections.
pub trait Backend: Clone + Send + Unpin + 'static {
    /// What it makes.
    type Peer: PeerConnection;

    /// Begin an attempt. All callbacks are in place when this returns, so that no event is missed.
    fn open(&self, config: &Config, role: Role) -> Result<Self::Peer, Error>;
}

/// Which side of the signalling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Opened the signalling stream and sends the offer.
    Offerer,
    /// Accepted it and sends the answer.
    Answerer,
}

/// One attempt to connect. Commands never block; what comes of them arrives as events. Dropping it closes it.
pub trait PeerConnection: Send + Unpin + 'static {
    /// The connection it becomes.
    type Muxer: StreamMuxer<Substream: Send, Error: std::error::Error + Send + Sync> + Send + Unpin + 'static;

    /// Do something. Its outcome, good or bad, is an [`Event`].
    fn command(&mut self, command: Command);

    /// The next event. Never ends; after [`Event::Failed`] nothing more comes.
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event>;

    /// The connection, once it stands. `frame_bytes_max` bounds one data-channel message in either direction.
    fn into_muxer(self, frame_bytes_max: usize) -> Self::Muxer;
}

/// What an attempt can be told to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Create the `init` channel and the offer: [`Event::Described`].
    CreateOffer,
    /// Take the remote's offer and create the answer to it: [`Event::Described`].
    Answer(String),
    /// Make what was described the local description, after it was sent: candidates come from here on.
    ApplyLocal,
    /// Take the remote's answer: [`Event::RemoteSet`].
    SetAnswer(String),
    /// Take a candidate, the JSON of an `RTCIceCandidateInit`. A bad one is logged and skipped. Only after the remote's
    /// description was taken.
    AddCandidate(String),
    /// Close the `init` channel: [`Event::InitClosed`].
    CloseInit,
}

/// What an attempt brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The offer or answer to send.
    Described(String),
    /// The remote's answer was taken.
    RemoteSet,
    /// A candidate of ours, as JSON. Never empty.
    Candidate(String),
    /// No more candidates come.
    GatheringDone {
        /// How many there were.
        candidates: u32,
    },
    /// The connection stands.
    Connected,
    /// The offerer's `init` channel is open.
    InitOpen,
    /// The offerer's `init` channel is closed on both sides.
    InitClosed,
    /// The attempt has failed.
    Failed(Error),
}
