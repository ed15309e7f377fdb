//! One simulated peer: a real core node, and around it what its driver and its machine would hold.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use libp2p_identity::{Keypair, PeerId};
use multiaddr::{Multiaddr, Protocol as Part};
use mycomesh_core::{
    Config, Node, Profile,
    io::{CommandId, GossipId, Protocol, Record, RequestId, RequestToken, StoreTable, Topic, Write},
    planted::Planted,
    time::{Millis, Now, Time, UnixMillis},
};

use crate::{
    byzantine::Role,
    gossip::{self, Gossip, Message, MessageNo, PeerNo},
    link::LinkNo,
    random,
    time::Micros,
    verify::Remembering,
    workload::Errand,
};

/// Where the virtual wall clock starts: 2026-11-20 00:00 UTC.
pub const EPOCH: u64 = 1_795_132_800_000;
/// Connections a relay takes.
pub const RELAY_PEERS_MAX: u32 = 4_096;

/// What a peer runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A relay: it has no agent card, listens for everybody, and carries circuits.
    Relay,
    /// A server process that others can dial.
    Native,
    /// The same behind a router that lets nobody in.
    Hidden,
    /// A tab: it dials relays by WebSocket and is reached through them, or browser to browser.
    Browser,
}

/// A peer.
pub struct Peer {
    /// Its number.
    pub no: PeerNo,
    /// Its id.
    pub id: PeerId,
    /// Its key.
    pub key: Keypair,
    /// What it runs on.
    pub kind: Kind,
    /// Whether, and how, it deceives.
    pub role: Role,
    /// Its settings.
    pub config: Config,
    /// Its core.
    pub node: Node,
    /// The bug in its core, in tests of the checkers.
    pub planted: Planted,
    /// Whether its process runs.
    pub alive: bool,
    /// Its machine is gone too: nobody tells others that the process has ended.
    pub silent: bool,
    /// It left, or was killed, for good.
    pub gone: bool,
    /// Grows with each start; what an earlier process began ends nowhere.
    pub life: u32,
    /// When this process started.
    pub born: Micros,
    /// How far its wall clock is off, in milliseconds.
    pub skew_ms: i64,
    /// What is on its disk.
    pub store: BTreeMap<(StoreTable, Vec<u8>), Vec<u8>>,
    /// Its part in the gossip.
    pub gossip: Gossip,
    /// Connections that are open on this side, by whose they are, the oldest first.
    pub links: BTreeMap<PeerNo, Vec<LinkNo>>,
    /// The relays it joins through.
    pub relays: Vec<PeerNo>,
    /// As a relay: who may be reached through it.
    pub guests: BTreeSet<PeerNo>,
    /// What it sent.
    pub traffic: Traffic,
    /// Everything that happens to it takes so much longer, one thing after the other.
    pub delay: Micros,
    /// Until when it is at work on what came before.
    pub busy_until: Micros,
    /// The judgement whose errand waits for a reply.
    pub(crate) errands: BTreeMap<CommandId, Errand>,
    pub(crate) books: Books,
}

/// What the driver keeps.
#[derive(Debug, Default)]
pub(crate) struct Books {
    /// When the next tick is due.
    pub(crate) tick: Option<Micros>,
    /// Own requests that wait for an answer.
    pub(crate) sent: BTreeMap<RequestId, Sent>,
    /// Requests of others that core has not answered.
    pub(crate) received: BTreeMap<RequestToken, Received>,
    /// Frames that wait for a verdict.
    pub(crate) judging: BTreeMap<GossipId, (Message, PeerNo)>,
    /// Frames that nobody wanted yet.
    pub(crate) outbox: BTreeMap<Topic, VecDeque<MessageNo>>,
    pub(crate) reservations: BTreeMap<PeerNo, Reservation>,
    /// Dials under way that are not for a better connection.
    pub(crate) dialling: BTreeSet<PeerId>,
    /// The last frame in which it says that it is there.
    pub(crate) said: Option<MessageNo>,
    /// When the last write is on disk.
    pub(crate) written: Micros,
    last_number: u64,
}

/// A request under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    pub(crate) link: LinkNo,
    pub(crate) to: PeerNo,
    pub(crate) protocol: Protocol,
}

/// Where an answer goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received {
    pub(crate) link: LinkNo,
    pub(crate) id: RequestId,
}

/// A place on a relay.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reservation {
    pub(crate) granted: bool,
    pub(crate) unwanted: bool,
}

/// What a peer put on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Messages: gossip, requests, responses.
    pub messages: u64,
    /// Their bytes, without transport overhead.
    pub bytes: u64,
}

impl Books {
    pub(crate) fn number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }
}

/// The keys and settings of a peer that has not started yet.
pub struct Plan {
    /// Its number.
    pub no: PeerNo,
    /// What it runs on.
    pub kind: Kind,
    /// Whether, and how, it deceives.
    pub role: Role,
    /// How far its clock is off, in milliseconds.
    pub skew_ms: i64,
    /// Tasks it works on at a time.
    pub slots: u32,
    /// The relays it joins through.
    pub relays: Vec<PeerNo>,
}

impl Peer {
    /// A peer that has not started.
    pub fn new(plan: Plan, seed: u64, verifier: &Remembering) -> Self {
        let Plan { no, kind, role, skew_ms, slots, relays } = plan;
        let key = Keypair::ed25519_from_bytes(random::bytes(seed, "key", no.0.into())).expect("32 bytes are a key");
        let relay = kind == Kind::Relay;
        let max_peers = if relay { RELAY_PEERS_MAX } else { Config::default().max_peers };
        let config = Config { max_peers, agent: !relay, reserve: !relay, ..Config::default() };
        let profile = Profile { name: format!("peer {}", no.0), slots, ..Profile::default() };
        let node = node(seed, no, 0, &config, profile, &key, verifier);
        Self {
            no,
            id: key.public().to_peer_id(),
            key,
            kind,
            role,
            config,
            node,
            planted: Planted::default(),
            alive: false,
            silent: true,
            gone: false,
            life: 0,
            born: Micros::default(),
            skew_ms,
            store: BTreeMap::new(),
            gossip: new_gossip(kind),
            links: BTreeMap::new(),
            relays,
            guests: BTreeSet::new(),
            traffic: Traffic::default(),
            delay: Micros::default(),
            busy_until: Micros::default(),
            errands: BTreeMap::new(),
            books: Books::default(),
        }
    }

    /// Start its process on what its disk holds. Returns that.
    pub(crate) fn start(&mut self, now: Micros, seed: u64, slots: u32, verifier: &Remembering) -> Vec<Record> {
        self.life += 1;
        let profile = Profile { name: format!("peer {}", self.no.0), slots, ..Profile::default() };
        self.node = node(seed, self.no, self.life, &self.config, profile, &self.key, verifier);
        self.node.plant(self.planted);
        self.alive = true;
        self.silent = false;
        self.born = now;
        self.busy_until = now;
        self.gossip = new_gossip(self.kind);
        let records = self.store.iter();
        records.map(|((table, key), value)| Record { table: *table, key: key.clone(), value: value.clone() }).collect()
    }

    /// Its process has ended; nothing but the disk is left of it.
    pub(crate) fn stop(&mut self, silent: bool) {
        self.alive = false;
        self.silent = silent;
        self.life += 1;
        self.links.clear();
        self.guests.clear();
        self.errands.clear();
        // Numbers go on, so that what was meant for the process before is not taken for something new.
        self.books = Books { last_number: self.books.last_number, said: self.books.said, ..Books::default() };
    }

    /// Both of its clocks.
    pub fn now(&self, at: Micros) -> Now {
        let wall = EPOCH.saturating_add(at.as_millis()).saturating_add_signed(self.skew_ms);
        Now { mono: Time(at.since(self.born).as_millis()), unix: UnixMillis(wall) }
    }

    /// When its own clock shows `mono`.
    pub(crate) fn at(&self, mono: Time) -> Micros {
        self.born + Micros::millis(mono.0)
    }

    /// Whether it plays by the rules.
    pub fn is_honest(&self) -> bool {
        self.role == Role::Honest
    }

    /// Whether it is an agent that plays by the rules and runs.
    pub fn is_honest_agent(&self) -> bool {
        self.alive && self.is_honest() && self.config.agent
    }

    /// Where it listens, without its id. The address leads back to its number.
    pub fn listens(&self) -> Option<Multiaddr> {
        match self.kind {
            Kind::Relay | Kind::Native | Kind::Hidden => Some(addr_of(self.no)),
            Kind::Browser => None,
        }
    }

    /// Where a peer of `kind` dials it, if it is a relay.
    pub fn relay_addr(&self, kind: Kind) -> Multiaddr {
        let addr = addr_of(self.no);
        let addr = if kind == Kind::Browser { addr.with(Part::Ws("/".into())) } else { addr };
        addr.with(Part::P2p(self.id))
    }

    pub(crate) fn write(&mut self, writes: Vec<Write>) {
        for Write { table, key, value } in writes {
            match value {
                Some(value) => self.store.insert((table, key), value),
                None => self.store.remove(&(table, key)),
            };
        }
    }

    /// The wait until something that comes in now has been worked on.
    pub(crate) fn hold_up(&mut self, now: Micros) {
        if self.delay > Micros::default() {
            self.busy_until = self.busy_until.max(now + self.delay);
        }
    }

    /// How long a task may last to this peer's liking.
    pub(crate) fn patience() -> Millis {
        Millis::secs(60)
    }
}

/// `10.b.c.d` for the number `b·2^16 + c·2^8 + d`.
fn addr_of(no: PeerNo) -> Multiaddr {
    let [_, b, c, d] = no.0.to_be_bytes();
    Multiaddr::empty().with(Part::Ip4([10, b, c, d].into())).with(Part::Tcp(4_001))
}

/// The number an address leads to.
pub(crate) fn no_of(addr: &Multiaddr) -> Option<PeerNo> {
    match addr.iter().next() {
        Some(Part::Ip4(ip)) => {
            let [a, b, c, d] = ip.octets();
            (a == 10).then(|| PeerNo(u32::from_be_bytes([0, b, c, d])))
        }
        _ => None,
    }
}

fn new_gossip(kind: Kind) -> Gossip {
    Gossip::new(match kind {
        Kind::Relay => gossip::Config::star(RELAY_PEERS_MAX as usize),
        _ => gossip::Config::default(),
    })
}

fn node(
    seed: u64,
    no: PeerNo,
    life: u32,
    config: &Config,
    profile: Profile,
    key: &Keypair,
    verifier: &Remembering,
) -> Node {
    let number = u64::from(no.0) << 32 | u64::from(life);
    let seed = random::bytes(seed, "node", number);
    Node::with_verifier(config.clone(), profile, key.clone(), seed, Box::new(verifier.clone()))
        .expect("the simulator's settings are within their ranges")
}
