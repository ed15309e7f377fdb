//! One connection's part: opens signalling streams that the behaviour asks for, and hands those of the remote to the
//! transport while there is room.
//!
//! Every connection takes signalling, relayed or not: js-libp2p opens it on whichever connection it has with a peer. The
//! streams keep their connection alive for as long as they are held, which is what libp2p's swarm does with streams; so
//! there is nothing to say in `connection_keep_alive`.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::task::{Context, Poll};

use futures::channel::mpsc;
use libp2p_core::upgrade::ReadyUpgrade;
use libp2p_identity::PeerId;
use libp2p_swarm::handler::{
    ConnectionEvent, ConnectionHandler, ConnectionHandlerEvent, DialUpgradeError, FullyNegotiatedInbound,
    FullyNegotiatedOutbound,
};
use libp2p_swarm::{Stream, StreamProtocol, StreamUpgradeError, SubstreamProtocol};

use crate::Error;
use crate::behaviour::AttemptId;
use crate::signal::SIGNALLING_PROTOCOL;
use crate::slots::{Slot, Slots};

/// A remote that wants to connect.
pub(crate) struct Inbound {
    pub peer: PeerId,
    pub stream: Stream,
    pub slot: Slot,
}

/// What becomes of a stream that the behaviour asked for.
#[derive(Debug)]
pub struct Opened {
    pub(crate) attempt: AttemptId,
    pub(crate) result: Result<Stream, OpenError>,
}

/// Why there is no stream.
#[derive(Debug)]
pub(crate) enum OpenError {
    /// The remote does not do this; asking on another connection is no use.
    Unsupported,
    /// This connection failed us.
    Broken(String),
}

/// The handler of one connection.
pub struct Handler {
    peer: PeerId,
    slots: Slots,
    to_transport: mpsc::Sender<Inbound>,
    /// The behaviour bounds how many it asks for.
    to_open: VecDeque<AttemptId>,
    opened: VecDeque<Opened>,
}

impl Handler {
    pub(crate) fn new(peer: PeerId, slots: Slots, to_transport: mpsc::Sender<Inbound>) -> Self {
        Self { peer, slots, to_transport, to_open: VecDeque::new(), opened: VecDeque::new() }
    }

    /// Opens a stream as soon as the connection runs, so that it has no idle moment to be closed in.
    pub(crate) fn opening(mut self, attempt: AttemptId) -> Self {
        self.to_open.push_back(attempt);
        self
    }

    /// Dropping the stream resets it, which the remote takes for a refusal.
    fn on_inbound(&mut self, stream: Stream) {
        let Some(slot) = self.slots.take(self.peer) else {
            tracing::debug!(peer = %self.peer, "refused an attempt to connect: no room, or nobody listens");
            return;
        };
        // The channel has a place for every slot: it is full only if the transport is gone.
        if self.to_transport.try_send(Inbound { peer: self.peer, stream, slot }).is_err() {
            tracing::debug!(peer = %self.peer, "refused an attempt to connect: the transport is gone");
        }
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = AttemptId;
    type ToBehaviour = Opened;
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = AttemptId;

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(ReadyUpgrade::new(SIGNALLING_PROTOCOL), ())
    }

    fn on_behaviour_event(&mut self, attempt: AttemptId) {
        self.to_open.push_back(attempt);
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<Self::InboundProtocol, Self::OutboundProtocol, (), AttemptId>,
    ) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol: stream, info: () }) => {
                self.on_inbound(stream);
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol: stream, info }) => {
                self.opened.push_back(Opened { attempt: info, result: Ok(stream) });
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info, error }) => {
                self.opened.push_back(Opened { attempt: info, result: Err(error.into()) });
            }
            _ => {}
        }
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, AttemptId, Opened>> {
        if let Some(opened) = self.opened.pop_front() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(opened));
        }
        if let Some(attempt) = self.to_open.pop_front() {
            let protocol = ReadyUpgrade::new(SIGNALLING_PROTOCOL);
            let protocol = SubstreamProtocol::new(protocol, attempt);
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        // Both queues are filled by calls that are followed by a poll.
        Poll::Pending
    }
}

impl From<StreamUpgradeError<Infallible>> for OpenError {
    fn from(error: StreamUpgradeError<Infallible>) -> Self {
        match error {
            StreamUpgradeError::NegotiationFailed => Self::Unsupported,
            StreamUpgradeError::Timeout => Self::Broken("the other side did not answer in time".into()),
            StreamUpgradeError::Io(error) => Self::Broken(error.to_string()),
            StreamUpgradeError::Apply(never) => match never {},
        }
    }
}

impl From<OpenError> for Error {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Unsupported => Self::Refused("it does not take WebRTC connections".into()),
            OpenError::Broken(reason) => Self::NoRelay(reason),
        }
    }
}
