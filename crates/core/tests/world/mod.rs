//! A handful of nodes in virtual time, with links that can be made and cut. Small on purpose: the
//! simulator has the models and faults; this shows behaviour of two or three peers at a time.

#![allow(dead_code, reason = "each test file uses its part of this")]

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use libp2p_identity::{Keypair, PeerId};
use multiaddr::Multiaddr;
use mycomesh_core::{
    Config, Node, Profile,
    io::{
        Command, CommandError, CommandId, DialError, Event, GossipId, Input, LinkId, Output, Path, Record, Reply,
        RequestError, RequestToken, StoreTable, Topic, Verdict, Write,
    },
    snapshot::{PeerView, Snapshot, TaskView},
    time::{Millis, Now, Time, UnixMillis},
    wire::{Availability, Presence, Skill, TaskId},
};

/// Where the virtual wall clock starts: 2026-11-20.
pub const EPOCH: u64 = 1_795_132_800_000;

pub struct World {
    pub now: u64,
    pub peers: Vec<Peer>,
    queue: VecDeque<(usize, Input)>,
    /// Who dialled whom, and how the link runs.
    links: BTreeMap<LinkId, (usize, usize, Path)>,
    next: u64,
    /// Requests under way: token → who waits for which answer.
    waiting: BTreeMap<RequestToken, (usize, mycomesh_core::io::RequestId)>,
    replies: BTreeMap<CommandId, Result<Reply, CommandError>>,
    /// Handlers are not run while set: a provider that accepts and works for ever.
    pub jobs_hang: bool,
    /// Ticks happen at most this often, like in a throttled tab.
    pub tick_every: Millis,
    /// The store of every peer refuses to write.
    pub disk_full: bool,
    /// What comes of the nodes' own dials.
    pub dials: Dials,
    /// Every dial beside a link that stands: who, and whom.
    pub upgrades: Vec<(usize, PeerId)>,
}

/// What comes of a dial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dials {
    /// Nothing: links are made by the test.
    Ignored,
    /// A circuit leads to its peer, and `/webrtc` too.
    Reach,
    /// A circuit leads to its peer, and nothing else does.
    OnlyCircuits,
}

pub struct Peer {
    pub id: PeerId,
    key: Keypair,
    config: Config,
    node: Node,
    pub store: BTreeMap<(StoreTable, Vec<u8>), Vec<u8>>,
    pub events: Vec<Event>,
    pub verdicts: Vec<Verdict>,
    seen: BTreeSet<Vec<u8>>,
    pending: BTreeMap<GossipId, (Topic, Vec<u8>)>,
    alive: bool,
    last_tick: u64,
}

impl World {
    pub fn new(peers: usize) -> Self {
        Self::with(peers, |_| Config { reserve: false, ..Config::default() })
    }

    pub fn with(peers: usize, config: impl Fn(usize) -> Config) -> Self {
        let mut world = Self {
            now: 0,
            peers: Vec::new(),
            queue: VecDeque::new(),
            links: BTreeMap::new(),
            next: 0,
            waiting: BTreeMap::new(),
            replies: BTreeMap::new(),
            jobs_hang: false,
            tick_every: Millis(0),
            disk_full: false,
            dials: Dials::Ignored,
            upgrades: Vec::new(),
        };
        for at in 0..peers {
            let key = Keypair::ed25519_from_bytes([at as u8 + 1; 32]).expect("a key");
            let config = config(at);
            let profile = Profile { name: format!("peer {at}"), ..Profile::default() };
            let node = Node::new(config.clone(), profile, key.clone(), [at as u8; 32]).expect("a node");
            world.peers.push(Peer {
                id: key.public().to_peer_id(),
                key,
                config,
                node,
                store: BTreeMap::new(),
                events: Vec::new(),
                verdicts: Vec::new(),
                seen: BTreeSet::new(),
                pending: BTreeMap::new(),
                alive: true,
                last_tick: 0,
            });
            world.feed(at, Input::Loaded(Vec::new()));
            world.feed(at, Input::Started);
        }
        world
    }

    /// All peers linked with each other.
    pub fn mesh(peers: usize) -> Self {
        let mut world = Self::new(peers);
        for a in 0..peers {
            for b in a + 1..peers {
                world.link(a, b);
            }
        }
        world
    }

    pub fn id(&self, at: usize) -> PeerId {
        self.peers[at].id
    }

    pub fn key(&self, at: usize) -> &Keypair {
        &self.peers[at].key
    }

    pub fn unix(&self) -> UnixMillis {
        UnixMillis(EPOCH + self.now)
    }

    pub fn link(&mut self, a: usize, b: usize) {
        self.open(a, b, Path::Tcp);
        self.run();
    }

    /// A link that `from` dialled, with a ping answered on it.
    fn open(&mut self, from: usize, to: usize, path: Path) {
        let link = LinkId(self.number());
        self.links.insert(link, (from, to, path));
        for (at, other, dialled) in [(from, to, true), (to, from, false)] {
            let peer = self.peers[other].id;
            self.feed(at, Input::Connected { peer, link, path, dialled });
            self.feed(at, Input::Rtt { peer, link, rtt: Millis(1) });
        }
    }

    pub fn cut(&mut self, a: usize, b: usize) {
        for link in self.between(a, b) {
            self.close(link);
        }
        self.run();
    }

    fn close(&mut self, link: LinkId) {
        let Some((a, b, _)) = self.links.remove(&link) else { return };
        for (at, other) in [(a, b), (b, a)] {
            let peer = self.peers[other].id;
            self.feed(at, Input::Disconnected { peer, link });
        }
    }

    fn between(&self, a: usize, b: usize) -> Vec<LinkId> {
        self.links
            .iter()
            .filter(|(_, (x, y, _))| (*x, *y) == (a, b) || (*x, *y) == (b, a))
            .map(|(link, _)| *link)
            .collect()
    }

    /// How the links between two peers run.
    pub fn paths(&self, a: usize, b: usize) -> Vec<Path> {
        self.between(a, b).iter().filter_map(|link| self.links.get(link)).map(|(.., path)| *path).collect()
    }

    /// A browser: it opens `/webrtc` connections and is reached through the relay at `relay`.
    pub fn browser(&mut self, at: usize, relay: usize) {
        let addr = format!("/ip4/192.0.2.1/tcp/1/ws/p2p/{}/p2p-circuit", self.peers[relay].id);
        self.feed(at, Input::WebrtcAvailable);
        for addr in [addr.clone(), format!("{addr}/webrtc")] {
            self.feed(at, Input::ListenAddr { addr: addr.parse().expect("an address"), usable: true });
        }
        self.run();
    }

    /// A presence of an idle peer, signed now.
    pub fn presence(&self, seq: u64) -> Presence {
        Presence {
            addrs: Vec::new(),
            availability: Availability::Idle,
            card: None,
            free_slots: 1,
            goodbye: false,
            issued: self.unix(),
            seq,
            ttl: Millis::secs(45),
        }
    }

    /// A link that `from` dialled.
    pub fn connect(&mut self, from: usize, to: usize, path: Path) {
        self.open(from, to, path);
        self.run();
    }

    /// Who dialled the one link between two peers.
    pub fn dialler(&self, a: usize, b: usize) -> Option<usize> {
        let links = self.between(a, b);
        let [link] = links[..] else { return None };
        self.links.get(&link).map(|(from, ..)| *from)
    }

    /// Take a peer away without a word.
    pub fn kill(&mut self, at: usize) {
        self.peers[at].alive = false;
        for other in 0..self.peers.len() {
            self.cut(at, other);
        }
    }

    /// Start a killed peer again on what its store holds.
    pub fn restart(&mut self, at: usize) {
        let peer = &mut self.peers[at];
        let profile = Profile::default();
        peer.node = Node::new(peer.config.clone(), profile, peer.key.clone(), [at as u8 + 100; 32]).expect("a node");
        peer.alive = true;
        peer.seen.clear();
        let records = peer.store.iter();
        let records = records
            .map(|((table, key), value)| Record { table: *table, key: key.clone(), value: value.clone() })
            .collect();
        self.feed(at, Input::Loaded(records));
        self.feed(at, Input::Started);
        self.run();
    }

    /// The same with another configuration.
    pub fn restart_with(&mut self, at: usize, config: Config) {
        self.peers[at].config = config;
        self.restart(at);
    }

    /// Let time pass, with every deadline met (or as late as `tick_every` says).
    pub fn pass(&mut self, span: Millis) {
        let end = self.now + span.0;
        loop {
            self.run();
            let due = self.peers.iter().filter(|peer| peer.alive).filter_map(|peer| {
                let Time(due) = peer.node.next_deadline()?;
                Some(due.max(peer.last_tick + self.tick_every.0))
            });
            // Time moves on even when a deadline is overdue.
            let next = due.min().unwrap_or(u64::MAX).max(self.now + 1);
            if next > end {
                break;
            }
            self.now = next;
            for at in 0..self.peers.len() {
                let peer = &self.peers[at];
                let due = peer.node.next_deadline().is_some_and(|due| due.0 <= self.now);
                if peer.alive && due && self.now >= peer.last_tick + self.tick_every.0 {
                    self.peers[at].last_tick = self.now;
                    self.feed(at, Input::Tick);
                    self.run();
                    let next = self.peers[at].node.next_deadline();
                    assert!(next.is_none_or(|next| next.0 > self.now), "a driver would spin: {next:?} at {}", self.now);
                }
            }
        }
        self.now = end;
    }

    /// Give a command and wait, in virtual time, for its reply.
    pub fn command(&mut self, at: usize, command: Command) -> Result<Reply, CommandError> {
        let id = CommandId(self.number());
        self.feed(at, Input::Command { id, command });
        self.run();
        self.replies.remove(&id).expect("every command is answered")
    }

    pub fn ask(&mut self, from: usize, to: usize, skill: Skill, input: &str) -> TaskId {
        let to = self.peers[to].id;
        let ask = Command::Ask { to, skill, input: input.into(), timeout: Millis::secs(60) };
        match self.command(from, ask) {
            Ok(Reply::Task(task)) => task,
            other => panic!("asking brought {other:?}"),
        }
    }

    pub fn snapshot(&mut self, at: usize) -> Snapshot {
        let now = self.now();
        self.peers[at].node.snapshot(now)
    }

    pub fn row(&mut self, at: usize, of: usize) -> Option<PeerView> {
        let peer = self.peers[of].id;
        self.snapshot(at).peers.rows.iter().find(|row| row.peer_id == peer).cloned()
    }

    /// The card that the latest presence of this peer names.
    pub fn card_of(&self, at: usize) -> cid::Cid {
        use mycomesh_core::wire::{Network, Presence, Signed, signed::Strict};
        let frames = self.peers[at].seen.iter();
        let own = frames.filter_map(|frame| Signed::<Presence>::open(frame, &Network::default(), &Strict).ok());
        let latest = own.filter(|signed| signed.signer == self.peers[at].id).max_by_key(|signed| signed.body.seq);
        latest.and_then(|signed| signed.body.card).expect("it published one")
    }

    pub fn task(&mut self, at: usize, task: TaskId) -> TaskView {
        self.snapshot(at).tasks.rows.iter().find(|row| row.id == task).cloned().expect("the task is known")
    }

    /// Hand `data` to `at` as gossip forwarded by `from`; returns the verdict.
    pub fn gossip(&mut self, from: usize, at: usize, topic: Topic, data: Vec<u8>) -> Verdict {
        let id = GossipId(self.number());
        let from = self.peers[from].id;
        let before = self.peers[at].verdicts.len();
        self.feed(at, Input::Gossip { from, id, topic, data });
        self.run();
        self.peers[at].verdicts[before]
    }

    /// Gossip of this peer that its node knows nothing of; who accepts it passes it on.
    pub fn publish(&mut self, at: usize, topic: Topic, data: &[u8]) {
        self.spread(at, topic, data);
        self.run();
    }

    /// Gossip from one to one; nobody else hears of it.
    pub fn gossip_to_one(&mut self, from: usize, at: usize, topic: Topic, data: Vec<u8>) {
        let id = GossipId(self.number());
        let (now, from) = (self.now(), self.peers[from].id);
        for output in self.peers[at].node.handle(now, Input::Gossip { from, id, topic, data }) {
            if !matches!(output, Output::Verdict { .. }) {
                self.carry_out(at, output);
            }
        }
        self.run();
    }

    /// Send raw bytes as a request; returns the answer, none when it was refused.
    pub fn raw_request(
        &mut self,
        from: usize,
        to: usize,
        protocol: mycomesh_core::io::Protocol,
        data: Vec<u8>,
    ) -> Option<Vec<u8>> {
        let token = RequestToken(self.number());
        let peer = self.peers[from].id;
        self.feed_collecting(to, Input::Request { peer, token, protocol, data }, token)
    }

    fn feed_collecting(&mut self, at: usize, input: Input, token: RequestToken) -> Option<Vec<u8>> {
        let mut answer = None;
        let now = self.now();
        let mut outputs: VecDeque<Output> = self.peers[at].node.handle(now, input).into();
        while let Some(output) = outputs.pop_front() {
            match output {
                Output::Respond { token: for_token, data } if for_token == token => answer = Some(data),
                Output::Refuse { token: for_token } if for_token == token => answer = None,
                Output::Store { id, writes } => {
                    let result = self.write(at, writes);
                    outputs.extend(self.peers[at].node.handle(now, Input::Stored { id, result }));
                }
                other => self.carry_out(at, other),
            }
        }
        self.run();
        answer
    }

    fn now(&self) -> Now {
        Now { mono: Time(self.now), unix: self.unix() }
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn feed(&mut self, at: usize, input: Input) {
        self.queue.push_back((at, input));
    }

    fn run(&mut self) {
        let mut steps = 0;
        while let Some((at, input)) = self.queue.pop_front() {
            steps += 1;
            assert!(steps < 100_000, "the nodes never come to rest");
            if !self.peers[at].alive {
                continue;
            }
            let now = self.now();
            for output in self.peers[at].node.handle(now, input) {
                self.carry_out(at, output);
            }
        }
    }

    fn write(&mut self, at: usize, writes: Vec<Write>) -> Result<(), String> {
        if self.disk_full {
            return Err("no space left".into());
        }
        for Write { table, key, value } in writes {
            match value {
                Some(value) => self.peers[at].store.insert((table, key), value),
                None => self.peers[at].store.remove(&(table, key)),
            };
        }
        Ok(())
    }

    fn at(&self, peer: &PeerId) -> Option<usize> {
        self.peers.iter().position(|other| other.id == *peer)
    }

    fn linked(&self, a: usize, b: usize) -> bool {
        !self.between(a, b).is_empty()
    }

    fn spread(&mut self, at: usize, topic: Topic, data: &[u8]) {
        for other in 0..self.peers.len() {
            if other != at && self.linked(at, other) && self.peers[other].seen.insert(data.to_vec()) {
                let id = GossipId(self.number());
                self.peers[other].pending.insert(id, (topic, data.to_vec()));
                let from = self.peers[at].id;
                self.feed(other, Input::Gossip { from, id, topic, data: data.to_vec() });
            }
        }
    }

    fn dial(&mut self, at: usize, peer: PeerId, addrs: &[Multiaddr], upgrade: bool) {
        if upgrade {
            self.upgrades.push((at, peer));
        }
        let to = self.at(&peer).filter(|to| self.peers[*to].alive);
        let path = addrs.iter().map(Path::of).find(|path| match path {
            Path::Relayed => true,
            Path::DirectWebrtc => self.dials == Dials::Reach && self.at(&peer).is_some_and(|to| self.linked(at, to)),
            _ => false,
        });
        match (self.dials, to, path) {
            (Dials::Ignored, ..) => {}
            (_, Some(to), Some(path)) => self.open(at, to, path),
            _ => {
                let reason = DialError::NoPath("no pair of candidates works".into());
                self.feed(at, Input::DialFailed { peer, upgrade, reason });
            }
        }
    }

    fn carry_out(&mut self, at: usize, output: Output) {
        match output {
            Output::Publish { topic, data } => {
                let data: Arc<[u8]> = data;
                if self.peers[at].seen.insert(data.to_vec()) {
                    self.spread(at, topic, &data);
                }
            }
            Output::Verdict { id, verdict, .. } => {
                self.peers[at].verdicts.push(verdict);
                if let Some((topic, data)) = self.peers[at].pending.remove(&id)
                    && verdict == Verdict::Accept
                {
                    self.spread(at, topic, &data);
                }
            }
            Output::Request { id, peer, protocol, data } => {
                let to = self.at(&peer).filter(|to| self.linked(at, *to));
                match to {
                    Some(to) => {
                        let token = RequestToken(self.number());
                        self.waiting.insert(token, (at, id));
                        let peer = self.peers[at].id;
                        self.feed(to, Input::Request { peer, token, protocol, data });
                    }
                    None => self.feed(at, Input::Response { id, result: Err(RequestError::NotConnected) }),
                }
            }
            Output::Respond { token, data } => {
                if let Some((to, id)) = self.waiting.remove(&token) {
                    self.feed(to, Input::Response { id, result: Ok(data) });
                }
            }
            Output::Refuse { token } => {
                if let Some((to, id)) = self.waiting.remove(&token) {
                    self.feed(to, Input::Response { id, result: Err(RequestError::Broken) });
                }
            }
            Output::Store { id, writes } => {
                let result = self.write(at, writes);
                self.feed(at, Input::Stored { id, result });
            }
            Output::RunJob { task, skill, input, .. } if !self.jobs_hang => {
                assert_eq!(skill, Skill::echo(), "the only program here");
                self.feed(at, Input::JobDone { task, result: Ok(input) });
            }
            Output::ClosePeer { peer } => {
                let links = self.at(&peer).map(|other| self.between(at, other));
                links.into_iter().flatten().for_each(|link| self.close(link));
            }
            Output::CloseLink { link } => self.close(link),
            Output::Dial { peer, addrs, upgrade } => self.dial(at, peer, &addrs, upgrade),
            Output::Event(event) => self.peers[at].events.push(event),
            Output::Reply { id, result } => _ = self.replies.insert(id, result),
            _ => {}
        }
    }
}
