//! `/webrtc` as a libp2p transport. Its futures run the signalling; the streams for it come from the behaviour.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::channel::{mpsc, oneshot};
use futures::future::{BoxFuture, Either, select};
use futures::{FutureExt, SinkExt, StreamExt};
use futures_timer::Delay;
use libp2p_core::Multiaddr;
use libp2p_core::transport::{DialOpts, ListenerId, TransportError, TransportEvent};
use libp2p_identity::PeerId;
use libp2p_swarm::Stream;

use crate::address::{Target, local_address, send_back_address, target};
use crate::behaviour::{Behaviour, Request};
use crate::circuits::Circuits;
use crate::handler::Inbound;
use crate::signal::{Farewell, run};
use crate::slots::Slots;
use crate::{Backend, Config, Error, PeerConnection, Role};

/// Messages that wait between the two halves beyond one for each attempt, which there is always room for.
const CHANNEL_MAX: usize = 16;

/// What an attempt gives: with whom, and the connection.
type Output<B> = (PeerId, <<B as Backend>::Peer as PeerConnection>::Muxer);

/// An attempt under way.
type Attempt<B> = BoxFuture<'static, Result<Output<B>, Error>>;

/// `/webrtc`, over any backend. Both halves are needed: the transport goes before the relay's in the order of
/// transports, since that takes every address with a circuit in it, and the behaviour into the swarm's.
pub fn new_with<B: Backend>(backend: B, local: PeerId, config: Config) -> (Transport<B>, Behaviour) {
    let (to_behaviour, requests) = mpsc::channel(CHANNEL_MAX);
    let (to_transport, inbound) = mpsc::channel(config.inbound_max);
    let (farewells, ended) = mpsc::channel(CHANNEL_MAX);
    let (presence, behaviour) = oneshot::channel();
    let slots = Slots::new(config.inbound_max, config.inbound_per_peer_max);
    let circuits = Circuits::default();
    let transport = Transport {
        backend,
        config: Arc::new(config),
        to_behaviour,
        inbound,
        farewells,
        slots: slots.clone(),
        circuits: circuits.clone(),
        behaviour: Some(behaviour),
        listener: None,
        events: VecDeque::new(),
    };
    (transport, Behaviour::new(local, requests, to_transport, ended, slots, circuits, presence))
}

/// The half of `/webrtc` that belongs into the swarm's transport. See [`new_with`].
pub struct Transport<B: Backend> {
    backend: B,
    config: Arc<Config>,
    to_behaviour: mpsc::Sender<Request>,
    inbound: mpsc::Receiver<Inbound>,
    farewells: mpsc::Sender<Farewell<Stream>>,
    slots: Slots,
    circuits: Circuits,
    /// Ends with the behaviour; `None` once it has.
    behaviour: Option<oneshot::Receiver<Infallible>>,
    listener: Option<Listener>,
    /// A few for each circuit.
    events: VecDeque<TransportEvent<Attempt<B>, Error>>,
}

struct Listener {
    id: ListenerId,
    announced: Vec<Multiaddr>,
}

impl<B: Backend> Transport<B> {
    fn attempt_outbound(&self, Target { peer, circuit }: Target) -> Attempt<B> {
        let (backend, config) = (self.backend.clone(), self.config.clone());
        let (mut to_behaviour, mut farewells) = (self.to_behaviour.clone(), self.farewells.clone());
        async move {
            let opened = async move {
                let (reply, opened) = oneshot::channel();
                to_behaviour.send(Request { peer, circuit, reply }).await.map_err(|_| behaviour_is_gone())?;
                opened.await.unwrap_or_else(|_| Err(behaviour_is_gone()))
            };
            let stream = match select(opened.boxed(), Delay::new(config.attempt_timeout)).await {
                Either::Left((result, _)) => result?,
                Either::Right(((), _)) => {
                    return Err(Error::TimedOut { stage: "reaching the other side for signalling" });
                }
            };
            // Not before: browsers allow a page so many peer connections, and count those that led nowhere.
            let connection = backend.open(&config, Role::Offerer)?;
            let (muxer, farewell) = run(Role::Offerer, stream, connection, config).await?;
            let _ = farewells.try_send(farewell);
            Ok((peer, muxer))
        }
        .boxed()
    }

    fn attempt_inbound(&self, Inbound { peer, stream, slot }: Inbound) -> Attempt<B> {
        let (backend, config, mut farewells) = (self.backend.clone(), self.config.clone(), self.farewells.clone());
        async move {
            let connection = backend.open(&config, Role::Answerer)?;
            let (muxer, farewell) = run(Role::Answerer, stream, connection, config).await?;
            slot.succeeded();
            let _ = farewells.try_send(farewell);
            Ok((peer, muxer))
        }
        .boxed()
    }

    fn close_listener(&mut self, reason: Result<(), Error>) {
        if let Some(Listener { id: listener_id, .. }) = self.listener.take() {
            self.slots.set_open(false);
            self.events.push_back(TransportEvent::ListenerClosed { listener_id, reason });
        }
    }

    /// Announces what is new, and takes back what is gone.
    fn announce(&mut self, addresses: Vec<Multiaddr>) {
        let Some(listener) = &mut self.listener else { return };
        let listener_id = listener.id;
        for listen_addr in listener.announced.iter().filter(|address| !addresses.contains(address)).cloned() {
            self.events.push_back(TransportEvent::AddressExpired { listener_id, listen_addr });
        }
        for listen_addr in addresses.iter().filter(|address| !listener.announced.contains(address)).cloned() {
            self.events.push_back(TransportEvent::NewAddress { listener_id, listen_addr });
        }
        listener.announced = addresses;
    }
}

impl<B: Backend> libp2p_core::Transport for Transport<B> {
    type Output = Output<B>;
    type Error = Error;
    type ListenerUpgrade = Attempt<B>;
    type Dial = Attempt<B>;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<Error>> {
        if address != local_address() {
            return Err(TransportError::MultiaddrNotSupported(address));
        }
        if self.behaviour.is_none() {
            return Err(TransportError::Other(behaviour_is_gone()));
        }
        if self.listener.is_some() {
            return Err(TransportError::Other(Error::Address(format!("{address} is being listened on already"))));
        }
        self.listener = Some(Listener { id, announced: Vec::new() });
        self.slots.set_open(true);
        self.circuits.renew();
        Ok(())
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        let is_ours = self.listener.as_ref().is_some_and(|listener| listener.id == id);
        if is_ours {
            self.close_listener(Ok(()));
            self.circuits.wake();
        }
        is_ours
    }

    fn dial(&mut self, address: Multiaddr, opts: DialOpts) -> Result<Self::Dial, TransportError<Error>> {
        // A dialler in the listener's role is for punching holes, which ICE does by itself.
        match target(&address) {
            Some(target) if !opts.role.is_listener() => Ok(self.attempt_outbound(target)),
            _ => Err(TransportError::MultiaddrNotSupported(address)),
        }
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<TransportEvent<Attempt<B>, Error>> {
        let this = &mut *self;
        if this.behaviour.as_mut().is_some_and(|behaviour| behaviour.poll_unpin(cx).is_ready()) {
            this.behaviour = None;
            this.close_listener(Err(behaviour_is_gone()));
        }
        if let Some(addresses) = this.circuits.poll_changed(cx) {
            this.announce(addresses);
        }
        if let Some(event) = this.events.pop_front() {
            return Poll::Ready(event);
        }
        while let Poll::Ready(Some(inbound)) = this.inbound.poll_next_unpin(cx) {
            // What came in before the listener was removed is dropped.
            if let Some(Listener { id: listener_id, .. }) = this.listener {
                let send_back_addr = send_back_address(inbound.peer);
                let upgrade = this.attempt_inbound(inbound);
                let local_addr = local_address();
                return Poll::Ready(TransportEvent::Incoming { listener_id, upgrade, local_addr, send_back_addr });
            }
        }
        Poll::Pending
    }
}

impl<B: Backend> Drop for Transport<B> {
    fn drop(&mut self) {
        self.slots.set_open(false);
    }
}

fn behaviour_is_gone() -> Error {
    Error::NoRelay("the WebRTC behaviour is not part of the swarm any more".into())
}
