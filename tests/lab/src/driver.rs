//! The loop around the swarm, and the handle that calls from JavaScript hold.

use std::collections::{BTreeMap, HashMap, VecDeque};

use futures::{
    FutureExt as _, SinkExt as _, StreamExt as _,
    channel::{mpsc, oneshot},
    select,
};
use libp2p::{
    Multiaddr, PeerId, Stream, StreamProtocol, Swarm,
    core::{ConnectedPoint, transport::ListenerId},
    gossipsub::{self, IdentTopic, TopicHash},
    swarm::{ConnectionId, DialError, SwarmEvent, dial_opts::DialOpts},
};

use mycomesh_webrtc::is_direct;

use crate::{
    bench,
    error::Error,
    streams::Opened,
    swarm::{Behaviour, BehaviourEvent},
    work,
};

/// Calls that may wait for the loop. A test makes at most some thousands at a time, and each waits for its turn.
const COMMANDS_MAX: usize = 64;

/// Reasons that are kept for who looks into a failed test.
const ENDED_MAX: usize = 8;

/// Reaches the loop.
#[derive(Clone)]
pub struct Handle {
    commands: mpsc::Sender<Command>,
}

/// How a peer is connected.
#[derive(Clone, Debug)]
pub struct Link {
    /// Its address.
    pub addr: Multiaddr,
    /// Whether no relay carries it.
    pub direct: bool,
}

/// Which connections of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// All; of several, a direct one first.
    Any,
    /// Those that no relay carries.
    Direct,
    /// Those that a relay carries.
    Relayed,
}

/// What came on a topic.
#[derive(Clone, Copy, Debug, Default)]
pub struct Heard {
    /// How many messages.
    pub messages: u64,
    /// How long they are together.
    pub bytes: u64,
}

/// How the swarm is.
#[derive(Clone, Debug)]
pub struct State {
    /// Connections now.
    pub connections: usize,
    /// Why the latest ended that others than this page ended, or that broke.
    pub ended: Vec<String>,
}

enum Command {
    Dial(Multiaddr, oneshot::Sender<Result<Link, Error>>),
    Reserve(Multiaddr, oneshot::Sender<Result<Vec<Multiaddr>, Error>>),
    Links(PeerId, oneshot::Sender<Vec<Link>>),
    Close(PeerId, Which, oneshot::Sender<usize>),
    Open(PeerId, Which, StreamProtocol, Opened),
    Subscribe(String, oneshot::Sender<Result<(), Error>>),
    Subscribers(String, oneshot::Sender<Vec<PeerId>>),
    Publish(String, Vec<u8>, oneshot::Sender<Result<(), Error>>),
    Heard(String, oneshot::Sender<Heard>),
    State(oneshot::Sender<State>),
    With(Box<dyn FnOnce(&mut Driver)>),
}

impl Handle {
    /// Run a swarm for as long as the page lives.
    pub fn run(swarm: Swarm<Behaviour>) -> Self {
        let (commands, received) = mpsc::channel(COMMANDS_MAX);
        let driver = Driver {
            swarm,
            dials: HashMap::new(),
            reservations: HashMap::new(),
            connections: BTreeMap::new(),
            heard: HashMap::new(),
            ended: VecDeque::new(),
        };
        wasm_bindgen_futures::spawn_local(driver.run(received));
        Self { commands }
    }

    /// Dial an address whatever connections there are.
    pub async fn dial(&self, addr: Multiaddr) -> Result<Link, Error> {
        self.ask(|reply| Command::Dial(addr, reply)).await?
    }

    /// Reserve at a relay; gives the addresses this node then has.
    pub async fn reserve(&self, relay: Multiaddr) -> Result<Vec<Multiaddr>, Error> {
        self.ask(|reply| Command::Reserve(relay, reply)).await?
    }

    /// The connections of a peer.
    pub async fn links(&self, peer: PeerId) -> Result<Vec<Link>, Error> {
        self.ask(|reply| Command::Links(peer, reply)).await
    }

    /// Close connections; gives how many.
    pub async fn close(&self, peer: PeerId, which: Which) -> Result<usize, Error> {
        self.ask(|reply| Command::Close(peer, which, reply)).await
    }

    /// Open a stream.
    pub async fn open(&self, peer: PeerId, which: Which, protocol: StreamProtocol) -> Result<Stream, Error> {
        self.ask(|reply| Command::Open(peer, which, protocol, reply)).await?
    }

    /// Hear a topic.
    pub async fn subscribe(&self, topic: String) -> Result<(), Error> {
        self.ask(|reply| Command::Subscribe(topic, reply)).await?
    }

    /// Who is known to hear a topic.
    pub async fn subscribers(&self, topic: String) -> Result<Vec<PeerId>, Error> {
        self.ask(|reply| Command::Subscribers(topic, reply)).await
    }

    /// Publish one message.
    pub async fn publish(&self, topic: String, bytes: Vec<u8>) -> Result<(), Error> {
        self.ask(|reply| Command::Publish(topic, bytes, reply)).await?
    }

    /// What came on a topic.
    pub async fn heard(&self, topic: String) -> Result<Heard, Error> {
        self.ask(|reply| Command::Heard(topic, reply)).await
    }

    /// Of all connections.
    pub async fn state(&self) -> Result<State, Error> {
        self.ask(Command::State).await
    }

    /// Do something in the loop's turn, for what no command is worth its name.
    pub async fn with<T: 'static>(&self, run: impl FnOnce(&mut Driver) -> T + 'static) -> Result<T, Error> {
        // Who asked may have given up.
        self.ask(|reply| Command::With(Box::new(|driver| drop(reply.send(run(driver)))))).await
    }

    /// The same, without waiting for it.
    pub fn with_later(&self, run: impl FnOnce(&mut Driver) + 'static) -> Result<(), Error> {
        self.commands.clone().try_send(Command::With(Box::new(run))).map_err(|_| Error::NotRunning)
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        self.commands.clone().send(command(reply)).await.map_err(|_| Error::NotRunning)?;
        answer.await.map_err(|_| Error::NoStream("the connection ended".into()))
    }
}

/// The loop's own.
pub struct Driver {
    /// What it runs.
    pub swarm: Swarm<Behaviour>,
    dials: HashMap<ConnectionId, oneshot::Sender<Result<Link, Error>>>,
    reservations: HashMap<ListenerId, oneshot::Sender<Result<Vec<Multiaddr>, Error>>>,
    connections: BTreeMap<ConnectionId, (PeerId, Link)>,
    heard: HashMap<TopicHash, Heard>,
    ended: VecDeque<String>,
}

impl Driver {
    async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        loop {
            select! {
                command = commands.next() => match command {
                    Some(command) => self.carry_out(command),
                    None => return,
                },
                event = self.swarm.select_next_some() => self.hear(event),
            }
        }
    }

    fn carry_out(&mut self, command: Command) {
        // Who asked may have given up: every reply may find nobody.
        match command {
            Command::Dial(addr, reply) => self.dial(addr, reply),
            Command::Reserve(relay, reply) => match self.swarm.listen_on(relay) {
                Ok(listener) => drop(self.reservations.insert(listener, reply)),
                Err(error) => drop(reply.send(Err(Error::Reservation(error.to_string())))),
            },
            Command::Links(peer, reply) => {
                let links = self.of(peer, Which::Any).into_iter().map(|(_, link)| link.clone());
                let _ = reply.send(links.collect());
            }
            Command::Close(peer, which, reply) => {
                let wanted: Vec<_> = self.of(peer, which).into_iter().map(|(id, _)| id).collect();
                let closed = wanted.into_iter().filter(|id| self.swarm.close_connection(*id)).count();
                let _ = reply.send(closed);
            }
            Command::Open(peer, which, protocol, opened) => self.open(peer, which, protocol, opened),
            Command::Subscribe(topic, reply) => {
                let topic = IdentTopic::new(topic);
                self.heard.insert(topic.hash(), Heard::default());
                let done = self.swarm.behaviour_mut().gossip.subscribe(&topic);
                let _ = reply.send(done.map(drop).map_err(|error| Error::Gossip(error.to_string())));
            }
            Command::Subscribers(topic, reply) => {
                let topic = IdentTopic::new(topic).hash();
                let peers = self.swarm.behaviour().gossip.all_peers();
                let hearing = peers.filter(|(_, topics)| topics.contains(&&topic)).map(|(peer, _)| *peer);
                let _ = reply.send(hearing.collect());
            }
            Command::Publish(topic, bytes, reply) => {
                let done = self.swarm.behaviour_mut().gossip.publish(IdentTopic::new(topic), bytes);
                let _ = reply.send(done.map(drop).map_err(|error| Error::Gossip(error.to_string())));
            }
            Command::Heard(topic, reply) => {
                let heard = self.heard.get(&IdentTopic::new(topic).hash());
                let _ = reply.send(heard.copied().unwrap_or_default());
            }
            Command::State(reply) => {
                let ended = self.ended.iter().cloned().collect();
                drop(reply.send(State { connections: self.connections.len(), ended }));
            }
            Command::With(run) => run(self),
        }
    }

    fn dial(&mut self, addr: Multiaddr, reply: oneshot::Sender<Result<Link, Error>>) {
        let options = DialOpts::from(addr);
        let id = options.connection_id();
        self.dials.insert(id, reply);
        if let Err(error) = self.swarm.dial(options) {
            self.dial_failed(id, &error);
        }
    }

    fn dial_failed(&mut self, id: ConnectionId, error: &DialError) {
        if let Some(reply) = self.dials.remove(&id) {
            let _ = reply.send(Err(Error::Dial(sentence(error))));
        }
    }

    fn open(&mut self, peer: PeerId, which: Which, protocol: StreamProtocol, opened: Opened) {
        match self.of(peer, which).first().map(|(id, _)| *id) {
            Some(id) => self.swarm.behaviour_mut().streams.open(peer, id, protocol, opened),
            None => {
                let kind = match which {
                    Which::Any => "open",
                    Which::Direct => "direct",
                    Which::Relayed => "relayed",
                };
                let _ = opened.send(Err(Error::NotConnected { kind, peer }));
            }
        }
    }

    /// Connections to a peer, direct ones first.
    pub fn of(&self, peer: PeerId, which: Which) -> Vec<(ConnectionId, &Link)> {
        let mut found: Vec<_> = self
            .connections
            .iter()
            .filter(|(_, (to, link))| {
                *to == peer
                    && match which {
                        Which::Any => true,
                        Which::Direct => link.direct,
                        Which::Relayed => !link.direct,
                    }
            })
            .map(|(id, (_, link))| (*id, link))
            .collect();
        found.sort_by_key(|(id, link)| (!link.direct, *id));
        found
    }

    fn hear(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                // A relayed connection of another's shows its circuit only in the address it arrived at.
                let link = match endpoint {
                    ConnectedPoint::Dialer { address, .. } => Link { direct: is_direct(&address), addr: address },
                    ConnectedPoint::Listener { local_addr, send_back_addr } => {
                        Link { direct: is_direct(&local_addr), addr: send_back_addr }
                    }
                };
                self.connections.insert(connection_id, (peer_id, link.clone()));
                if let Some(reply) = self.dials.remove(&connection_id) {
                    let _ = reply.send(Ok(link));
                }
            }
            SwarmEvent::ConnectionClosed { connection_id, cause, .. } => {
                let closed = self.connections.remove(&connection_id);
                if let (Some((_, link)), Some(cause)) = (closed, cause) {
                    self.ended.truncate(ENDED_MAX - 1);
                    self.ended.push_front(format!("{}: {}", link.addr, innermost(&cause)));
                }
            }
            SwarmEvent::OutgoingConnectionError { connection_id, error, .. } => self.dial_failed(connection_id, &error),
            SwarmEvent::NewListenAddr { listener_id, .. } => {
                if let Some(reply) = self.reservations.remove(&listener_id) {
                    let own = self.swarm.external_addresses().chain(self.swarm.listeners());
                    let _ = reply.send(Ok(own.cloned().collect()));
                }
            }
            SwarmEvent::ListenerClosed { listener_id, reason, .. } => {
                if let Some(reply) = self.reservations.remove(&listener_id) {
                    let why = reason.err().map_or_else(|| "it was closed".to_owned(), |error| error.to_string());
                    let _ = reply.send(Err(Error::Reservation(why)));
                }
            }
            SwarmEvent::Behaviour(BehaviourEvent::Streams(inbound)) => {
                wasm_bindgen_futures::spawn_local(work::serve(inbound).map(drop));
            }
            SwarmEvent::Behaviour(BehaviourEvent::Gossip(gossipsub::Event::Message { message, .. })) => {
                bench::heard(&message);
                if let Some(heard) = self.heard.get_mut(&message.topic) {
                    heard.messages += 1;
                    heard.bytes += message.data.len() as u64;
                }
            }
            _ => {}
        }
    }
}

/// What a transport said, without the libraries' words around it.
fn sentence(error: &DialError) -> String {
    match error {
        DialError::Transport(tried) => {
            let said = tried.iter().map(|(_, error)| innermost(error));
            said.collect::<Vec<_>>().join("; ")
        }
        other => innermost(other),
    }
}

/// The last in the chain of causes that says something; libp2p's wrappers say little or nothing.
fn innermost(error: &dyn std::error::Error) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    let said = chain.map(ToString::to_string).filter(|text| !text.is_empty());
    said.last().unwrap_or_else(|| format!("{error:?}"))
}
