//! Streams on a connection of one's choice.
//!
//! A peer may have a relayed and a direct connection at a time, and a test must say which one it means. `libp2p-stream` picks
//! any, opens one stream at a time, and drops inbound ones that come in a burst.

use std::{
    collections::VecDeque,
    convert::Infallible,
    task::{Context, Poll},
};

use futures::{
    channel::oneshot,
    future::{Ready, ready},
};
use libp2p::{
    Multiaddr, PeerId, Stream, StreamProtocol,
    core::{
        Endpoint, UpgradeInfo,
        transport::PortUse,
        upgrade::{InboundUpgrade, OutboundUpgrade},
    },
    swarm::{
        ConnectionClosed, ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
        NetworkBehaviour, NotifyHandler, StreamUpgradeError, SubstreamProtocol, THandlerInEvent, ToSwarm,
        handler::{ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound},
    },
};

use crate::error::Error;

/// Where an opened stream goes.
pub type Opened = oneshot::Sender<Result<Stream, Error>>;

/// A stream that the other side opened.
#[derive(Debug)]
pub struct Inbound {
    /// By what name.
    pub protocol: StreamProtocol,
    /// The stream.
    pub stream: Stream,
}

/// Opens and accepts streams.
pub struct Behaviour {
    accepted: Vec<StreamProtocol>,
    actions: VecDeque<ToSwarm<Inbound, Open>>,
}

/// What a handler is told.
#[derive(Debug)]
pub struct Open {
    protocol: StreamProtocol,
    opened: Opened,
}

impl Behaviour {
    /// Accepts these protocols.
    pub fn new(accepted: Vec<StreamProtocol>) -> Self {
        Self { accepted, actions: VecDeque::new() }
    }

    /// Open a stream. When the connection ends meanwhile, `opened` is dropped.
    pub fn open(&mut self, peer_id: PeerId, connection: ConnectionId, protocol: StreamProtocol, opened: Opened) {
        let handler = NotifyHandler::One(connection);
        self.actions.push_back(ToSwarm::NotifyHandler { peer_id, handler, event: Open { protocol, opened } });
    }

    fn handler(&self) -> Handler {
        Handler { accepted: Protocols(self.accepted.clone()), wanted: VecDeque::new(), arrived: VecDeque::new() }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Inbound;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<Handler, ConnectionDenied> {
        Ok(self.handler())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<Handler, ConnectionDenied> {
        Ok(self.handler())
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        // What the connection was still to open, it never will: dropping it tells who waits.
        if let FromSwarm::ConnectionClosed(ConnectionClosed { connection_id, .. }) = event {
            self.actions.retain(|action| {
                !matches!(action, ToSwarm::NotifyHandler { handler: NotifyHandler::One(id), .. } if *id == connection_id)
            });
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, inbound: Inbound) {
        self.actions.push_back(ToSwarm::GenerateEvent(inbound));
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Inbound, THandlerInEvent<Self>>> {
        // The swarm polls after every call and event that can add one.
        self.actions.pop_front().map_or(Poll::Pending, Poll::Ready)
    }
}

/// The part on each connection.
pub struct Handler {
    accepted: Protocols,
    wanted: VecDeque<Open>,
    arrived: VecDeque<Inbound>,
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Open;
    type ToBehaviour = Inbound;
    type InboundProtocol = Protocols;
    type OutboundProtocol = Protocols;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Opened;

    fn listen_protocol(&self) -> SubstreamProtocol<Protocols> {
        SubstreamProtocol::new(self.accepted.clone(), ())
    }

    fn connection_keep_alive(&self) -> bool {
        // Tests say when a connection ends.
        true
    }

    fn on_behaviour_event(&mut self, open: Open) {
        self.wanted.push_back(open);
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ConnectionHandlerEvent<Protocols, Opened, Inbound>> {
        if let Some(inbound) = self.arrived.pop_front() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(inbound));
        }
        match self.wanted.pop_front() {
            Some(Open { protocol, opened }) => Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest {
                protocol: SubstreamProtocol::new(Protocols(vec![protocol]), opened),
            }),
            None => Poll::Pending,
        }
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, Protocols, Protocols, (), Opened>) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol, .. }) => {
                self.arrived.push_back(protocol);
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol, info }) => {
                // Who asked may have given up.
                let _ = info.send(Ok(protocol.stream));
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { error, info }) => {
                let why = match error {
                    StreamUpgradeError::Timeout => "it took too long".to_owned(),
                    StreamUpgradeError::NegotiationFailed => "the other side does not serve this protocol".to_owned(),
                    StreamUpgradeError::Io(error) => error.to_string(),
                    StreamUpgradeError::Apply(never) => match never {},
                };
                let _ = info.send(Err(Error::NoStream(why)));
            }
            _ => {}
        }
    }
}

/// Negotiates one of several names.
#[derive(Clone)]
pub struct Protocols(Vec<StreamProtocol>);

impl UpgradeInfo for Protocols {
    type Info = StreamProtocol;
    type InfoIter = std::vec::IntoIter<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.clone().into_iter()
    }
}

impl InboundUpgrade<Stream> for Protocols {
    type Output = Inbound;
    type Error = Infallible;
    type Future = Ready<Result<Inbound, Infallible>>;

    fn upgrade_inbound(self, stream: Stream, protocol: StreamProtocol) -> Self::Future {
        ready(Ok(Inbound { protocol, stream }))
    }
}

impl OutboundUpgrade<Stream> for Protocols {
    type Output = Inbound;
    type Error = Infallible;
    type Future = Ready<Result<Inbound, Infallible>>;

    fn upgrade_outbound(self, stream: Stream, protocol: StreamProtocol) -> Self::Future {
        ready(Ok(Inbound { protocol, stream }))
    }
}
