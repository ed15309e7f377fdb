//! A peer that floods: plain libp2p parts in a thread, and a network, of its own.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use futures::StreamExt as _;
use libp2p::{
    Multiaddr, Swarm, SwarmBuilder, gossipsub, identify,
    identity::Keypair,
    multiaddr::Protocol,
    noise, ping,
    swarm::{ConnectionId, NetworkBehaviour, SwarmEvent, dial_opts::DialOpts},
    tcp, yamux,
};
use mycomesh_core::{
    io::Topic,
    time::{Millis, UnixMillis},
    wire::{Availability, Network, Presence, Signed},
};

use crate::{PATIENCE, Place};

/// Frames a second to everybody it is connected with. An honest peer sends a presence in fifteen seconds.
pub const FRAMES_PER_SECOND: u32 = 50;
/// How long it waits before it dials again whoever threw it out.
const REDIAL: Duration = Duration::from_secs(1);
/// Between two looks at what came of it.
const LOOK: Duration = Duration::from_millis(50);
/// Presences of honest peers that it keeps to send again.
const HEARD_MAX: usize = 64;

/// What it floods with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spam {
    /// Presences whose signature is wrong.
    Forged,
    /// Presences that others sent, again and again.
    Replayed,
    /// Presences of its own, each newer than the last: nothing is wrong with one of them.
    Valid,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct SpamTally {
    /// Frames that went out to somebody.
    pub frames: u64,
    /// Connections that came up.
    pub connected: u64,
    /// How long each connection lasted that another side closed.
    pub cut_after: Vec<Duration>,
    /// Connections that stand now.
    pub open: usize,
}

/// A running spammer. Stops when dropped.
#[derive(Debug)]
pub struct Spammer {
    stop: Arc<AtomicBool>,
    tally: Arc<Mutex<SpamTally>>,
    thread: Option<JoinHandle<()>>,
}

impl Spammer {
    /// Begin to flood the peers at these addresses from `place`.
    pub fn start(spam: Spam, place: Place, targets: &[String]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let tally = Arc::new(Mutex::new(SpamTally::default()));
        let targets: Vec<Multiaddr> = targets.iter().map(|addr| addr.parse().expect("an address")).collect();
        let (stopped, told) = (stop.clone(), tally.clone());
        let thread = thread::spawn(move || {
            // Sockets are made by the thread that polls, so there must be only this one.
            place.enter().expect("enter the spammer's network");
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(flood(spam, &targets, &stopped, &told));
        });
        Self { stop, tally, thread: Some(thread) }
    }

    /// Wait until this holds for what came of it.
    pub async fn until(&self, condition: fn(&SpamTally) -> bool) {
        let waiting = async {
            while !condition(&self.tally()) {
                // Its thread has nobody to wake.
                tokio::time::sleep(LOOK).await;
            }
        };
        if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
            panic!("a spammer came to nothing: {:?}", self.tally());
        }
    }

    /// What came of it so far.
    pub fn tally(&self) -> SpamTally {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Spammer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It has panicked if it gives an error, which it has said already.
            let _ = thread.join();
        }
    }
}

#[derive(NetworkBehaviour)]
struct Parts {
    gossip: gossipsub::Behaviour,
    identify: identify::Behaviour,
    /// Or it would be taken for dead.
    ping: ping::Behaviour,
}

async fn flood(spam: Spam, targets: &[Multiaddr], stop: &AtomicBool, tally: &Mutex<SpamTally>) {
    let network = Network::default();
    let key = Keypair::generate_ed25519();
    let topic = gossipsub::IdentTopic::new(Topic::Presence.name(network.as_str()));
    let mut swarm = swarm(&key, &topic);
    let mut heard: Vec<Vec<u8>> = Vec::new();
    let mut since: BTreeMap<ConnectionId, Instant> = BTreeMap::new();
    let mut frames = tokio::time::interval(Duration::from_secs(1) / FRAMES_PER_SECOND);
    let mut redials = tokio::time::interval(REDIAL);
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        let tally = |change: &dyn Fn(&mut SpamTally)| change(&mut tally.lock().unwrap_or_else(PoisonError::into_inner));
        tokio::select! {
            event = swarm.select_next_some() => match event {
                SwarmEvent::ConnectionEstablished { connection_id, .. } => {
                    since.insert(connection_id, Instant::now());
                    tally(&|tally| (tally.connected, tally.open) = (tally.connected + 1, since.len()));
                }
                SwarmEvent::ConnectionClosed { connection_id, .. } => {
                    let lasted = since.remove(&connection_id).map(|since| since.elapsed());
                    tally(&|tally| {
                        tally.cut_after.extend(lasted);
                        tally.open = since.len();
                    });
                }
                SwarmEvent::Behaviour(PartsEvent::Gossip(gossipsub::Event::Message { message, .. }))
                    if heard.len() < HEARD_MAX =>
                {
                    heard.push(message.data);
                }
                _ => {}
            },
            _ = redials.tick() => for target in targets {
                // An error means that it is being dialled, or connected.
                let _ = swarm.dial(dial(target));
            },
            _ = frames.tick() => {
                number += 1;
                let frame = match spam {
                    Spam::Forged => Some(forged(&key, &network, number)),
                    Spam::Replayed => (!heard.is_empty()).then(|| heard[number as usize % heard.len()].clone()),
                    Spam::Valid => Some(presence(&key, &network, number)),
                };
                let sent = frame.is_some_and(|frame| swarm.behaviour_mut().gossip.publish(topic.clone(), frame).is_ok());
                tally(&|tally| tally.frames += u64::from(sent));
            }
        }
    }
}

/// Unless there is a connection, or soon will be.
fn dial(target: &Multiaddr) -> DialOpts {
    match target.iter().last() {
        Some(Protocol::P2p(peer)) => DialOpts::peer_id(peer).addresses(vec![target.clone()]).build(),
        _ => target.clone().into(),
    }
}

fn swarm(key: &Keypair, topic: &gossipsub::IdentTopic) -> Swarm<Parts> {
    let number = AtomicU64::new(0);
    let config = gossipsub::ConfigBuilder::default()
        .validation_mode(gossipsub::ValidationMode::Anonymous)
        // Each frame is a new one to the sender, or it would not send the same bytes again.
        .message_id_fn(move |_| number.fetch_add(1, Ordering::Relaxed).to_be_bytes().to_vec().into())
        .flood_publish(true)
        .build()
        .expect("a configuration");
    let mut gossip =
        gossipsub::Behaviour::new(gossipsub::MessageAuthenticity::Anonymous, config).expect("a configuration");
    gossip.subscribe(topic).expect("it may subscribe");
    let identify = identify::Behaviour::new(identify::Config::new("/spammer/1".into(), key.public()));
    SwarmBuilder::with_existing_identity(key.clone())
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)
        .expect("TCP")
        .with_behaviour(|_| Parts { gossip, identify, ping: ping::Behaviour::default() })
        .expect("parts")
        .with_swarm_config(|config| config.with_idle_connection_timeout(PATIENCE))
        .build()
}

fn presence(key: &Keypair, network: &Network, number: u64) -> Vec<u8> {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_millis() as u64;
    let presence = Presence {
        addrs: Vec::new(),
        availability: Availability::Idle,
        card: None,
        free_slots: 1,
        goodbye: false,
        issued: UnixMillis(unix),
        seq: unix + number,
        ttl: Millis::secs(45),
    };
    Signed::seal(key, network, presence).bytes.to_vec()
}

/// A presence of which one bit was turned around after it had been signed.
fn forged(key: &Keypair, network: &Network, number: u64) -> Vec<u8> {
    let mut bytes = presence(key, network, number);
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    bytes
}
