//! A whole node: frames, requests, answers, connections and time in any order, from a few peers.
//!
//! The bytes are steps: what happens, which peer, the length of a text in two bytes, the text. Signatures are believed, so
//! that what lies behind them is reached.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::LazyLock,
};

use ipld_core::ipld::Ipld;
use libp2p_identity::{Keypair, PeerId};
use mycomesh_core::{
    Config, Node, Profile,
    io::{
        Command, CommandId, GossipId, Input, LinkId, Output, Path, Protocol, RequestError, RequestId, RequestToken,
        StoreId, Topic,
    },
    limits,
    snapshot::Snapshot,
    time::{Millis, Now, Time, UnixMillis},
    wire::{Kind, Skill, TaskId, requests::TaskRequest, strict},
};
use serde_bytes::ByteBuf;

use crate::objects::{Everything, envelope_of};

/// When the steps begin, which is when the golden objects were made.
pub(crate) const EPOCH: UnixMillis = UnixMillis(1_795_132_800_000);
/// The most steps looked at: enough for every exchange there is, few enough for thousands of runs a second.
const STEPS_MAX: usize = 48;
/// Ticks a node may want at one instant before it counts as spinning.
const TICKS_MAX: usize = 8;

/// The node and the peers around it: the owners of the keys 1, 2, 3 and 4.
pub(crate) static KEYS: LazyLock<[Keypair; 4]> =
    LazyLock::new(|| [1, 2, 3, 4].map(|n: u8| Keypair::ed25519_from_bytes([n; 32]).expect("a key")));

/// Steps in any order.
pub fn node(mut data: &[u8]) {
    let mut world = World::new();
    for _ in 0..STEPS_MAX {
        let [what, who, low, high, rest @ ..] = data else { break };
        let (text, rest) = rest.split_at(rest.len().min(usize::from(u16::from_le_bytes([*low, *high]))));
        data = rest;
        world.step(*what, *who, text);
    }
    world.come_to_rest();
}

struct World {
    node: Node,
    peers: [PeerId; 3],
    now: Now,
    /// Numbers the driver would give out.
    last: u64,
    links: BTreeMap<LinkId, PeerId>,
    requests: VecDeque<RequestId>,
    stores: VecDeque<StoreId>,
    jobs: VecDeque<TaskId>,
    tokens: BTreeSet<RequestToken>,
    commands: BTreeSet<CommandId>,
}

impl World {
    fn new() -> Self {
        let [me, others @ ..] = &*KEYS;
        let profile = Profile { name: "under test".into(), slots: 2, ..Profile::default() };
        let node = Node::with_verifier(Config::default(), profile, me.clone(), [7; 32], Box::new(Everything));
        let mut world = Self {
            node: node.expect("good settings"),
            peers: [0, 1, 2].map(|at| others[at].public().to_peer_id()),
            now: Now { mono: Time(0), unix: EPOCH },
            last: 0,
            links: BTreeMap::new(),
            requests: VecDeque::new(),
            stores: VecDeque::new(),
            jobs: VecDeque::new(),
            tokens: BTreeSet::new(),
            commands: BTreeSet::new(),
        };
        world.feed(Input::Loaded(Vec::new()));
        world.feed(Input::Started);
        world
    }

    fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    fn step(&mut self, what: u8, who: u8, text: &[u8]) {
        let peer = self.peers[usize::from(who) % 3];
        let signer = peer.to_bytes();
        let kind = Kind::ALL[usize::from(who >> 4) % Kind::ALL.len()];
        let sealed = || envelope_of(&signer, kind, text);
        match what % 18 {
            0 => self.gossip(peer, Topic::Presence, text.to_vec()),
            1 => self.gossip(peer, Topic::Receipts, text.to_vec()),
            2 => self.gossip(peer, Topic::Presence, sealed()),
            3 => self.gossip(peer, Topic::Receipts, sealed()),
            4 => self.request(peer, Protocol::Presence, text.to_vec()),
            5 => self.request(peer, Protocol::Objects, text.to_vec()),
            6 => self.request(peer, Protocol::Tasks, text.to_vec()),
            7 => {
                let object = ByteBuf::from(sealed());
                let output = (what >= 128).then(|| "hello".to_owned());
                self.request(peer, Protocol::Tasks, strict::encode(&TaskRequest { object, acceptance: None, output }));
            }
            8 => self.respond(Ok(text.to_vec())),
            9 => self.respond(Ok(strict::encode(&BTreeMap::from([("accepted", Ipld::Bytes(sealed()))])))),
            10 => self.respond(Err(RequestError::Broken)),
            11 | 12 => {
                let result = if what % 18 == 11 { Ok(()) } else { Err("no space".to_owned()) };
                if let Some(id) = self.stores.pop_front() {
                    self.feed(Input::Stored { id, result });
                }
            }
            13 => {
                if let Some(task) = self.jobs.pop_front() {
                    let text = String::from_utf8_lossy(text).into_owned();
                    self.feed(Input::JobDone { task, result: if what >= 128 { Err(text) } else { Ok(text) } });
                }
            }
            14 => {
                let link = LinkId(self.number());
                self.links.insert(link, peer);
                self.feed(Input::Connected { peer, link, path: Path::Websocket, dialled: what >= 128 });
            }
            15 => {
                if let Some((link, peer)) = self.links.pop_first() {
                    self.feed(Input::Disconnected { peer, link });
                }
            }
            16 => {
                // At most about a year, so that no clock comes to its end.
                let span = text.iter().take(4).fold(0_u64, |span, byte| span << 8 | u64::from(*byte));
                self.now.mono = self.now.mono + Millis(span);
                self.now.unix = self.now.unix + Millis(span);
                self.feed(Input::Tick);
            }
            _ => {
                let input = String::from_utf8_lossy(text).into_owned();
                let command = Command::Ask { to: peer, skill: Skill::echo(), input, timeout: Millis::secs(60) };
                let id = CommandId(self.number());
                self.commands.insert(id);
                self.feed(Input::Command { id, command });
            }
        }
    }

    fn gossip(&mut self, from: PeerId, topic: Topic, data: Vec<u8>) {
        let id = GossipId(self.number());
        let out = self.feed(Input::Gossip { from, id, topic, data });
        let verdicts = out.iter().filter(|output| matches!(output, Output::Verdict { id: given, .. } if *given == id));
        assert_eq!(verdicts.count(), 1, "a frame is judged at once, and once");
    }

    fn request(&mut self, peer: PeerId, protocol: Protocol, data: Vec<u8>) {
        let token = RequestToken(self.number());
        self.tokens.insert(token);
        self.feed(Input::Request { peer, token, protocol, data });
    }

    fn respond(&mut self, result: Result<Vec<u8>, RequestError>) {
        if let Some(id) = self.requests.pop_front() {
            self.feed(Input::Response { id, result });
        }
    }

    fn feed(&mut self, input: Input) -> Vec<Output> {
        let out = self.node.handle(self.now, input);
        for output in &out {
            self.take(output);
        }
        out
    }

    fn take(&mut self, output: &Output) {
        match output {
            Output::Publish { data, .. } => assert!(data.len() <= limits::GOSSIP_FRAME_BYTES_MAX),
            Output::Request { id, data, .. } => {
                assert!(data.len() <= limits::REQUEST_BYTES_MAX);
                self.requests.push_back(*id);
            }
            Output::Respond { token, data } => {
                assert!(data.len() <= limits::REQUEST_BYTES_MAX && !data.is_empty());
                assert!(self.tokens.remove(token), "a request is answered once");
            }
            Output::Refuse { token } => assert!(self.tokens.remove(token), "a request is answered once"),
            Output::Reply { id, .. } => assert!(self.commands.remove(id), "a command gets one reply"),
            Output::Store { id, .. } => self.stores.push_back(*id),
            Output::RunJob { task, .. } => self.jobs.push_back(*task),
            _ => {}
        }
    }

    /// Nothing is left to do at once, and everything is within its limits.
    fn come_to_rest(&mut self) {
        while let Some(id) = self.stores.pop_front() {
            self.feed(Input::Stored { id, result: Ok(()) });
        }
        let spins = (0..TICKS_MAX).all(|_| {
            self.feed(Input::Tick);
            self.node.next_deadline().is_some_and(|deadline| deadline <= self.now.mono)
        });
        assert!(!spins, "a deadline that has passed is dealt with");
        assert!(self.tokens.is_empty() && self.commands.is_empty(), "everybody who asked has an answer");
        check(&self.node.snapshot(self.now));
    }
}

fn check(snapshot: &Snapshot) {
    assert!(snapshot.peers.rows.len() <= limits::SNAPSHOT_ROWS_MAX && snapshot.peers.total <= limits::PEERS_MAX);
    assert!(snapshot.tasks.rows.len() <= limits::SNAPSHOT_ROWS_MAX && snapshot.tasks.total <= limits::TASKS_MAX);
    assert!(snapshot.log.len() <= limits::LOG_ENTRIES_MAX);
    // Only keys 1 to 4 sign here, but a page may bring presences of others.
    for peer in &snapshot.peers.rows {
        assert!(peer.trust.evidence.len() <= limits::EVIDENCE_ROWS_MAX);
    }
}
