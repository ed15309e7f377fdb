//! Swarms that run by themselves, and what a test sees of them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::StreamExt;
use futures::future::Either;
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::{Boxed, MemoryTransport, OrTransport};
use libp2p::core::upgrade::Version;
use libp2p::core::{ConnectedPoint, Transport};
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Swarm, identify, noise, ping, relay, yamux};
use mycomesh_webrtc::{Config, is_direct};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::backend::Mock;

/// Longer than anything here takes, even on a busy machine. It only keeps a broken test from hanging.
const PATIENCE: Duration = Duration::from_secs(60);

type Action<B> = Box<dyn FnOnce(&mut Swarm<B>) + Send>;

/// A running swarm. Dropping it ends the swarm, and with it all its connections.
pub struct Running<B: NetworkBehaviour> {
    pub id: PeerId,
    actions: mpsc::UnboundedSender<Action<B>>,
    pub events: mpsc::UnboundedReceiver<Happened>,
    task: JoinHandle<()>,
}

/// What tests want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happened {
    Connected {
        peer: PeerId,
        id: ConnectionId,
        is_direct: bool,
        is_dialer: bool,
    },
    Closed(ConnectionId),
    /// A dial, with the whole error.
    Failed(ConnectionId, String),
    /// Somebody's attempt to connect to us.
    IncomingFailed(String),
    Listening(Multiaddr),
    Expired(Multiaddr),
    ListenerClosed,
    /// A stream on this connection went there and back.
    Pinged(ConnectionId),
    /// The other side names its protocols.
    Speaks(PeerId, Vec<String>),
}

#[derive(NetworkBehaviour)]
pub struct Peer {
    pub relay: relay::client::Behaviour,
    pub webrtc: mycomesh_webrtc::Behaviour,
    pub ping: ping::Behaviour,
    pub identify: identify::Behaviour,
}

#[derive(NetworkBehaviour)]
pub struct Relay {
    pub relay: relay::Behaviour,
    pub ping: ping::Behaviour,
}

/// A peer and its peer connections.
pub struct Node {
    pub running: Running<Peer>,
    pub mock: Mock,
}

impl Node {
    pub fn new() -> Self {
        Self::with(Config::default())
    }

    pub fn with(config: Config) -> Self {
        Self::with_idle(config, PATIENCE)
    }

    /// Connections end after such an idle time.
    pub fn with_idle(config: Config, idle: Duration) -> Self {
        let key = Keypair::generate_ed25519();
        let id = key.public().to_peer_id();
        let mock = Mock::default();
        let (webrtc_transport, webrtc) = mycomesh_webrtc::new_with(mock.clone(), id, config);
        let (relay_transport, relay) = relay::client::new(id);
        let streams = OrTransport::new(relay_transport, MemoryTransport::default());
        let webrtc_transport = webrtc_transport.map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
        let transport = OrTransport::new(webrtc_transport, secured(streams, &key))
            .map(|either, _| match either {
                Either::Left(output) | Either::Right(output) => output,
            })
            .boxed();
        let behaviour = Peer {
            relay,
            webrtc,
            ping: fast_ping(),
            identify: identify::Behaviour::new(identify::Config::new("/test/1".into(), key.public())),
        };
        Self { running: Running::start(transport, behaviour, id, idle), mock }
    }

    /// Listens at the relay and for `/webrtc`. Returns where.
    pub async fn listening_at(config: Config, relay: &RelayNode) -> (Self, Multiaddr) {
        let mut node = Self::with(config);
        let address = node.listen_at(relay).await;
        (node, address)
    }

    pub async fn listen_at(&mut self, relay: &RelayNode) -> Multiaddr {
        let node = self;
        node.listen("/webrtc".parse().expect("an address"));
        node.listen(relay.circuit());
        let expect = relay.circuit().with(Protocol::WebRTC).with(Protocol::P2p(node.running.id));
        node.running.until(|happened| *happened == Happened::Listening(expect.clone())).await;
        expect
    }

    pub fn listen(&self, address: Multiaddr) {
        self.running.act(move |swarm| {
            swarm.listen_on(address).expect("an address that is listened on");
        });
    }

    /// Has a relayed connection made, and nothing else.
    pub async fn meet(&mut self, peer: PeerId, relay: &RelayNode) -> ConnectionId {
        let dial = self.dial(peer, &relay.circuit().with(Protocol::P2p(peer)));
        self.connected(dial).await;
        dial
    }

    /// No attempt is under way any more.
    pub async fn quiet(&self) {
        let wait = async {
            while self.mock.alive() > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("attempts end");
    }

    /// Dials whatever the connections are.
    pub fn dial(&self, peer: PeerId, address: &Multiaddr) -> ConnectionId {
        let opts = DialOpts::peer_id(peer).condition(PeerCondition::Always).addresses(vec![address.clone()]).build();
        let id = opts.connection_id();
        // What fails at once is reported as an event too.
        self.running.act(move |swarm| drop(swarm.dial(opts)));
        id
    }

    pub async fn outcome(&mut self, dial: ConnectionId) -> Result<(), String> {
        let is_it = |happened: &Happened| match happened {
            Happened::Connected { id, .. } | Happened::Failed(id, _) => *id == dial,
            _ => false,
        };
        match self.running.until(is_it).await {
            Happened::Failed(_, error) => Err(error),
            _ => Ok(()),
        }
    }

    pub async fn connected(&mut self, dial: ConnectionId) {
        assert_eq!(self.outcome(dial).await, Ok(()));
    }

    pub async fn failed(&mut self, dial: ConnectionId) -> String {
        self.outcome(dial).await.expect_err("a dial that fails")
    }

    /// A connection that somebody else made without a relay.
    pub async fn taken(&mut self, from: PeerId) -> ConnectionId {
        let is_it = |happened: &Happened| matches!(happened, Happened::Connected { peer, is_direct: true, is_dialer: false, .. } if *peer == from);
        match self.running.until(is_it).await {
            Happened::Connected { id, .. } => id,
            other => panic!("{other:?}"),
        }
    }

    /// Streams work on this connection from now on.
    pub async fn pinged(&mut self, id: ConnectionId) {
        self.running.until(|happened| *happened == Happened::Pinged(id)).await;
    }
}

/// A relay and where it is.
pub struct RelayNode {
    pub running: Running<Relay>,
    pub address: Multiaddr,
}

impl RelayNode {
    pub async fn new() -> Self {
        static PORTS: AtomicU64 = AtomicU64::new(1);
        let key = Keypair::generate_ed25519();
        let id = key.public().to_peer_id();
        let limits = relay::Config {
            reservation_rate_limiters: Vec::new(),
            circuit_src_rate_limiters: Vec::new(),
            max_circuits_per_peer: 64,
            max_circuit_bytes: 16 * 1024 * 1024,
            ..relay::Config::default()
        };
        let mut behaviour = Relay { relay: relay::Behaviour::new(id, limits), ping: fast_ping() };
        behaviour.relay.set_status(Some(relay::Status::Enable));
        let mut running = Running::start(secured(MemoryTransport::default(), &key), behaviour, id, PATIENCE);
        let address = Multiaddr::from(Protocol::Memory(PORTS.fetch_add(1, Ordering::SeqCst)));
        let listened = address.clone();
        running.act(move |swarm| {
            swarm.listen_on(listened.clone()).expect("a free port");
            swarm.add_external_address(listened);
        });
        running.until(|happened| matches!(happened, Happened::Listening(_))).await;
        Self { running, address: address.with(Protocol::P2p(id)) }
    }

    pub fn circuit(&self) -> Multiaddr {
        self.address.clone().with(Protocol::P2pCircuit)
    }

    pub fn webrtc(&self, peer: PeerId) -> Multiaddr {
        self.circuit().with(Protocol::WebRTC).with(Protocol::P2p(peer))
    }

    /// Ends at once, with all connections.
    pub fn kill(self) {
        drop(self);
    }
}

fn fast_ping() -> ping::Behaviour {
    ping::Behaviour::new(ping::Config::new().with_interval(Duration::from_millis(50)))
}

fn secured<T>(transport: T, key: &Keypair) -> Boxed<(PeerId, StreamMuxerBox)>
where
    T: Transport<Output: futures::AsyncRead + futures::AsyncWrite + Send + Unpin + 'static> + Send + Unpin + 'static,
    T::Dial: Send,
    T::ListenerUpgrade: Send,
    T::Error: Send + Sync + 'static,
{
    let noise = noise::Config::new(key).expect("a key that signs");
    transport.upgrade(Version::V1Lazy).authenticate(noise).multiplex(yamux::Config::default()).boxed()
}

impl<B> Running<B>
where
    B: NetworkBehaviour<ToSwarm: Tells> + Send,
{
    fn start(transport: Boxed<(PeerId, StreamMuxerBox)>, behaviour: B, id: PeerId, idle: Duration) -> Self {
        let config = libp2p::swarm::Config::with_tokio_executor().with_idle_connection_timeout(idle);
        let mut swarm = Swarm::new(transport, behaviour, id, config);
        let (actions, mut todo) = mpsc::unbounded_channel::<Action<B>>();
        let (tell, events) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            loop {
                tokio::select! {
                    action = todo.recv() => match action {
                        Some(action) => action(&mut swarm),
                        None => return,
                    },
                    event = swarm.select_next_some() => {
                        tracing::debug!(%id, ?event);
                        if let Some(happened) = happened(event) {
                            drop(tell.send(happened));
                        }
                    }
                }
            }
        });
        Self { id, actions, events, task }
    }
}

impl<B: NetworkBehaviour> Running<B> {
    pub fn act(&self, action: impl FnOnce(&mut Swarm<B>) + Send + 'static) {
        assert!(self.actions.send(Box::new(action)).is_ok(), "the swarm runs");
    }

    /// The next of what is asked for. What else happened is passed over.
    pub async fn until(&mut self, is_it: impl Fn(&Happened) -> bool) -> Happened {
        let mut seen = Vec::new();
        let search = async {
            loop {
                let happened = self.events.recv().await.expect("the swarm runs");
                if is_it(&happened) {
                    return happened;
                }
                if !matches!(happened, Happened::Pinged(_)) {
                    seen.push(happened);
                }
            }
        };
        match tokio::time::timeout(PATIENCE, search).await {
            Ok(happened) => happened,
            Err(_) => panic!("waited in vain; instead: {seen:#?}"),
        }
    }
}

impl<B: NetworkBehaviour> Drop for Running<B> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Behaviours whose events may be of interest.
pub trait Tells: std::fmt::Debug {
    fn tell(self) -> Option<Happened>;
}

impl Tells for PeerEvent {
    fn tell(self) -> Option<Happened> {
        match self {
            Self::Ping(ping::Event { connection, result: Ok(_), .. }) => Some(Happened::Pinged(connection)),
            Self::Identify(identify::Event::Received { peer_id, info, .. }) => {
                Some(Happened::Speaks(peer_id, info.protocols.iter().map(ToString::to_string).collect()))
            }
            _ => None,
        }
    }
}

impl Tells for RelayEvent {
    fn tell(self) -> Option<Happened> {
        None
    }
}

fn happened<E: Tells>(event: SwarmEvent<E>) -> Option<Happened> {
    Some(match event {
        SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
            let address = match &endpoint {
                ConnectedPoint::Dialer { address, .. } => address,
                ConnectedPoint::Listener { local_addr, send_back_addr } => {
                    if *local_addr == Multiaddr::from(Protocol::WebRTC) {
                        assert_eq!(*send_back_addr, local_addr.clone().with(Protocol::P2p(peer_id)));
                    }
                    local_addr
                }
            };
            let (is_direct, is_dialer) = (is_direct(address), endpoint.is_dialer());
            Happened::Connected { peer: peer_id, id: connection_id, is_direct, is_dialer }
        }
        SwarmEvent::ConnectionClosed { connection_id, .. } => Happened::Closed(connection_id),
        SwarmEvent::OutgoingConnectionError { connection_id, error, .. } => {
            Happened::Failed(connection_id, format!("{error:?}"))
        }
        SwarmEvent::IncomingConnectionError { error, .. } => Happened::IncomingFailed(format!("{error:?}")),
        SwarmEvent::NewListenAddr { address, .. } => Happened::Listening(address),
        SwarmEvent::ExpiredListenAddr { address, .. } => Happened::Expired(address),
        SwarmEvent::ListenerClosed { .. } => Happened::ListenerClosed,
        SwarmEvent::Behaviour(event) => return event.tell(),
        _ => return None,
    })
}
