//! Finds or makes the connection that carries the signalling, and opens the stream on it. What happens on the stream is
//! the transport's business.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::error::Error as StdError;
use std::task::{Context, Poll};

use futures::channel::{mpsc, oneshot};
use futures::stream::{FuturesUnordered, StreamExt};
use libp2p_core::transport::PortUse;
use libp2p_core::{ConnectedPoint, Endpoint, Multiaddr};
use libp2p_identity::PeerId;
use libp2p_swarm::behaviour::{ConnectionClosed, ConnectionEstablished, FromSwarm};
use libp2p_swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p_swarm::{
    ConnectionDenied, ConnectionId, DialError, NetworkBehaviour, NotifyHandler, Stream, THandler, THandlerInEvent,
    THandlerOutEvent, ToSwarm,
};

use crate::Error;
use crate::address::{is_direct, listen_address};
use crate::circuits::Circuits;
use crate::handler::{Handler, Inbound, OpenError, Opened};
use crate::signal::Farewell;
use crate::slots::Slots;

/// Attempts of ours whose stream is not open yet. A node dials a handful of peers at a time.
const ATTEMPTS_MAX: usize = 256;
/// Connections an attempt tries before it gives up. Each may cost a stream's ten seconds, so that in practice the
/// attempt's time ends first unless they fail at once.
const TRIES_MAX: usize = 3;

/// Names an attempt of ours towards handlers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AttemptId(u64);

/// The transport asks for a signalling stream. It takes the question back by dropping the other end of `reply`.
pub(crate) struct Request {
    pub peer: PeerId,
    pub circuit: Option<Multiaddr>,
    pub reply: oneshot::Sender<Result<Stream, Error>>,
}

/// The half of `/webrtc` that belongs into the swarm's behaviour. See [`new_with`](crate::new_with).
pub struct Behaviour {
    pub(crate) local: PeerId,
    /// `None` once the transport is gone.
    pub(crate) requests: Option<mpsc::Receiver<Request>>,
    pub(crate) to_transport: mpsc::Sender<Inbound>,
    pub(crate) ended: mpsc::Receiver<Farewell<Stream>>,
    pub(crate) slots: Slots,
    pub(crate) circuits: Circuits,
    /// Its end tells the transport that we are gone.
    pub(crate) _presence: oneshot::Sender<Infallible>,
    work: Work,
}

/// What only the behaviour knows.
#[derive(Default)]
struct Work {
    attempts: HashMap<AttemptId, Attempt>,
    attempts_ever: u64,
    /// As many as the swarm has.
    connections: HashMap<PeerId, Vec<Known>>,
    /// At most one for each attempt.
    actions: VecDeque<ToSwarm<Infallible, AttemptId>>,
    /// Streams being closed: one for each attempt of the last seconds.
    farewells: FuturesUnordered<Farewell<Stream>>,
}

#[derive(Clone, Copy)]
struct Known {
    id: ConnectionId,
    is_direct: bool,
}

struct Attempt {
    peer: PeerId,
    /// How to reach it by another connection. Taken when dialled.
    circuit: Option<Multiaddr>,
    reply: oneshot::Sender<Result<Stream, Error>>,
    tried: Vec<ConnectionId>,
    at: At,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Choosing,
    Dialling(ConnectionId),
    Opening(ConnectionId),
}

impl Behaviour {
    pub(crate) fn new(
        local: PeerId,
        requests: mpsc::Receiver<Request>,
        to_transport: mpsc::Sender<Inbound>,
        ended: mpsc::Receiver<Farewell<Stream>>,
        slots: Slots,
        circuits: Circuits,
        presence: oneshot::Sender<Infallible>,
    ) -> Self {
        Self {
            local,
            requests: Some(requests),
            to_transport,
            ended,
            slots,
            circuits,
            _presence: presence,
            work: Work::default(),
        }
    }

    fn handler(&self, peer: PeerId) -> Handler {
        Handler::new(peer, self.slots.clone(), self.to_transport.clone())
    }
}

impl Work {
    fn begin(&mut self, Request { peer, circuit, reply }: Request) {
        if reply.is_canceled() {
            return;
        }
        if self.attempts.len() >= ATTEMPTS_MAX {
            // An error here means that nobody waits for the answer any more; the same below.
            let _ = reply.send(Err(Error::TooMany));
            return;
        }
        self.attempts_ever += 1;
        let id = AttemptId(self.attempts_ever);
        self.attempts.insert(id, Attempt { peer, circuit, reply, tried: Vec::new(), at: At::Choosing });
        self.choose(id, || Error::NoRelay("there is no connection with this peer, and no relay is named".into()));
    }

    /// The next way to a stream: a relayed connection, then a new one by the circuit, then any other connection. A direct
    /// one comes last since it may be the very connection that died and is to be replaced. Of several the newest, which
    /// is the least likely to be dead.
    fn choose(&mut self, id: AttemptId, reason: impl FnOnce() -> Error) {
        let Some(attempt) = self.attempts.get_mut(&id) else { return };
        let known = self.connections.get(&attempt.peer).map_or(&[][..], Vec::as_slice);
        let untried = known.iter().filter(|known| !attempt.tried.contains(&known.id));
        let best = untried.max_by_key(|known| !known.is_direct).filter(|_| attempt.tried.len() < TRIES_MAX);
        let circuit = match best {
            Some(known) if !known.is_direct => None,
            _ => attempt.circuit.take(),
        };
        match (circuit, best) {
            (Some(circuit), _) => {
                let opts = DialOpts::peer_id(attempt.peer).addresses(vec![circuit]);
                // Whatever connections and dials there are.
                let opts = opts.condition(PeerCondition::Always).build();
                attempt.at = At::Dialling(opts.connection_id());
                self.actions.push_back(ToSwarm::Dial { opts });
            }
            (None, Some(known)) => {
                attempt.tried.push(known.id);
                attempt.at = At::Opening(known.id);
                let (peer_id, handler) = (attempt.peer, NotifyHandler::One(known.id));
                self.actions.push_back(ToSwarm::NotifyHandler { peer_id, handler, event: id });
            }
            (None, None) => self.finish(id, Err(reason())),
        }
    }

    fn finish(&mut self, id: AttemptId, result: Result<Stream, Error>) {
        if let Some(attempt) = self.attempts.remove(&id) {
            let _ = attempt.reply.send(result);
        }
    }

    fn at(&self, place: At) -> Vec<AttemptId> {
        self.attempts.iter().filter(|(_, attempt)| attempt.at == place).map(|(id, _)| *id).collect()
    }

    fn on_established(&mut self, event: ConnectionEstablished<'_>) {
        let address = match event.endpoint {
            ConnectedPoint::Dialer { address, .. } => address,
            ConnectedPoint::Listener { local_addr, .. } => local_addr,
        };
        let known = Known { id: event.connection_id, is_direct: is_direct(address) };
        self.connections.entry(event.peer_id).or_default().push(known);
    }

    fn on_closed(&mut self, event: ConnectionClosed<'_>) {
        if let Some(known) = self.connections.get_mut(&event.peer_id) {
            known.retain(|known| known.id != event.connection_id);
            if known.is_empty() {
                self.connections.remove(&event.peer_id);
            }
        }
        for id in self.at(At::Opening(event.connection_id)) {
            self.choose(id, || Error::NoRelay("the connection was closed".into()));
        }
    }

    fn on_dial_failure(&mut self, connection: ConnectionId, error: &DialError) {
        // A behaviour may still deny a connection whose handler was made already.
        for place in [At::Dialling(connection), At::Opening(connection)] {
            for id in self.at(place) {
                self.choose(id, || Error::NoRelay(innermost(error)));
            }
        }
    }

    fn poll_cancelled(&mut self, cx: &mut Context<'_>) {
        self.attempts.retain(|_, attempt| attempt.reply.poll_canceled(cx).is_pending());
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler(peer))
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let mut handler = self.handler(peer);
        for id in self.work.at(At::Dialling(connection)) {
            if let Some(attempt) = self.work.attempts.get_mut(&id) {
                attempt.tried.push(connection);
                attempt.at = At::Opening(connection);
                handler = handler.opening(id);
            }
        }
        Ok(handler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(event) => self.work.on_established(event),
            FromSwarm::ConnectionClosed(event) => self.work.on_closed(event),
            FromSwarm::DialFailure(event) => self.work.on_dial_failure(event.connection_id, event.error),
            FromSwarm::NewListenAddr(event) => {
                if let Some(address) = listen_address(event.addr, self.local) {
                    self.circuits.add(event.listener_id, address);
                }
            }
            FromSwarm::ExpiredListenAddr(event) => {
                if let Some(address) = listen_address(event.addr, self.local) {
                    self.circuits.remove(event.listener_id, &address);
                }
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, opened: THandlerOutEvent<Self>) {
        let Opened { attempt, result } = opened;
        match result {
            Ok(stream) => self.work.finish(attempt, Ok(stream)),
            Err(OpenError::Unsupported) => self.work.finish(attempt, Err(OpenError::Unsupported.into())),
            Err(error) => self.work.choose(attempt, || error.into()),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        while let Poll::Ready(Some(farewell)) = self.ended.poll_next_unpin(cx) {
            self.work.farewells.push(farewell);
        }
        while let Poll::Ready(Some(())) = self.work.farewells.poll_next_unpin(cx) {}
        self.work.poll_cancelled(cx);
        loop {
            if let Some(action) = self.work.actions.pop_front() {
                return Poll::Ready(action);
            }
            match self.requests.as_mut().map(|requests| requests.poll_next_unpin(cx)) {
                Some(Poll::Ready(Some(request))) => self.work.begin(request),
                Some(Poll::Ready(None)) => self.requests = None,
                Some(Poll::Pending) | None => return Poll::Pending,
            }
        }
    }
}

/// The cause of a failed dial that says most: libp2p wraps it several times.
fn innermost(error: &DialError) -> String {
    let mut cause: &dyn StdError = match error {
        DialError::Transport(errors) => match errors.last() {
            Some((_, error)) => error,
            None => error,
        },
        _ => error,
    };
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests;
