//! Who is connected, how, and who should be: relays to join through, a few random neighbours, and
//! whoever a task needs.
//!
//! Paths are ordered (`Path`): a direct one is preferred, a relayed one used at once and replaced later
//! ([`upgrades`]). Every dial has a back-off, every stage of joining a sentence about what stands in its
//! way.

mod neighbours;
mod relays;
mod upgrades;

use std::collections::{BTreeMap, BTreeSet};

use libp2p_identity::PeerId;
use multiaddr::{Multiaddr, Protocol as Part};

pub use neighbours::Candidate;
use neighbours::SEARCH_SOON;
use relays::{RELAYLESS_GRACE, Relay};
use upgrades::{Hopes, Upgrade};

use crate::{
    cx::Cx,
    io::{CommandError, CommandId, DialError, Event, LinkId, Output, Path, Reply, ReservationError},
    limits::{ADDR_BYTES_MAX, DIALS_MAX, PEER_REDIAL_MAX, PEERS_MAX, PRESENCE_ADDRS_MAX, REDIAL_MAX, REDIAL_MIN},
    snapshot::{JoinStage, JoinView, Problem, RelayView},
    time::{Millis, Time},
};

/// Links, dials, relays and own addresses.
#[derive(Debug)]
pub struct State {
    peers: BTreeMap<PeerId, Linked>,
    relays: Vec<Relay>,
    dials: BTreeMap<PeerId, Dial>,
    /// Addresses heard of outside of presences (mDNS, DHT, typed in).
    heard: BTreeMap<PeerId, Vec<Multiaddr>>,
    /// Where this node listens.
    listening: BTreeSet<Multiaddr>,
    stage: JoinStage,
    problem: Option<Problem>,
    /// Commands that wait for a connection.
    waiting: BTreeMap<PeerId, Vec<CommandId>>,
    /// When to look for neighbours next.
    search_due: Option<Time>,
    /// Until when it is no problem that no relay is known: the owner may be about to name one.
    grace: Option<Time>,
    /// Whether this node can open WebRTC connections between browsers.
    webrtc: bool,
    upgrades: BTreeMap<PeerId, Upgrade>,
    hopes: Hopes,
}

/// The connections of one peer.
#[derive(Debug, Default)]
struct Linked {
    links: BTreeMap<LinkId, Link>,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    path: Path,
    /// Whether this side opened it.
    dialled: bool,
    since: Time,
    /// When it last answered a ping.
    proven: Option<Time>,
    rtt: Option<Millis>,
    /// It is being closed: another one replaces it.
    closing: bool,
}

/// A dial under way, or the wait after one that failed.
#[derive(Clone, Debug)]
struct Dial {
    under_way: bool,
    /// The addresses of the last attempt: with another one nobody need wait. A neighbour may have been dialled by some
    /// of them only, and a peer that has just come announces its circuit a moment after its own addresses.
    tried: Vec<Multiaddr>,
    /// Addresses of the peer's own are among those tried.
    direct: bool,
    /// For a neighbour that is wanted only if its link becomes direct.
    hope: bool,
    next: Time,
    failures: u32,
    reason: Option<String>,
}

/// How much is held.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Dials under way, upgrades included.
    pub dials: usize,
    pub dials_remembered: usize,
    pub heard: usize,
    /// Of peers without a link.
    pub upgrades_remembered: usize,
}

/// What links takes in.
pub enum In<'a> {
    Start,
    SetRelays(Vec<(PeerId, Multiaddr)>),
    Connected {
        peer: PeerId,
        link: LinkId,
        path: Path,
        dialled: bool,
        /// Its presence's.
        addrs: &'a [Multiaddr],
    },
    Disconnected {
        peer: PeerId,
        link: LinkId,
    },
    /// A peer's presence announces other addresses than before.
    Announced {
        peer: PeerId,
        addrs: &'a [Multiaddr],
    },
    /// A peer said whether it takes `/webrtc` signalling.
    Identified {
        peer: PeerId,
        webrtc: bool,
    },
    /// This node can open WebRTC connections between browsers.
    WebrtcAvailable,
    Rtt {
        peer: PeerId,
        link: LinkId,
        rtt: Millis,
    },
    DialFailed {
        peer: PeerId,
        upgrade: bool,
        reason: DialError,
    },
    ListenAddr {
        addr: Multiaddr,
        usable: bool,
    },
    Reserved(PeerId),
    ReservationFailed {
        relay: PeerId,
        reason: ReservationError,
    },
    /// Addresses of a peer were heard of.
    Heard {
        peer: PeerId,
        addrs: Vec<Multiaddr>,
    },
    /// A relay or peer speaks none of this network's protocols.
    OtherNetwork(PeerId),
    /// Something waits for this peer; `addrs` are its presence's.
    Want {
        peer: PeerId,
        addrs: &'a [Multiaddr],
    },
    /// The owner wants a connection, and an answer when it stands.
    Connect {
        command: CommandId,
        peer: PeerId,
        addrs: &'a [Multiaddr],
    },
    /// Look at everything at once: the machine woke or the network changed.
    Wake,
    /// A deadline may have passed. `candidates` are fresh peers that could become neighbours.
    Tick(&'a [Candidate<'a>]),
}

/// What links tells the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// The first link to a peer came up.
    Up(PeerId),
    /// The last one went.
    Down(PeerId),
    /// The last one went, a direct one that had worked, and nobody here closed it.
    Lost(PeerId),
}

impl Default for State {
    fn default() -> Self {
        Self {
            peers: BTreeMap::new(),
            relays: Vec::new(),
            dials: BTreeMap::new(),
            heard: BTreeMap::new(),
            listening: BTreeSet::new(),
            stage: JoinStage::Starting,
            problem: None,
            waiting: BTreeMap::new(),
            search_due: None,
            grace: None,
            webrtc: false,
            upgrades: BTreeMap::new(),
            hopes: Hopes::default(),
        }
    }
}

impl State {
    pub fn handle(&mut self, cx: &mut Cx<'_>, input: In<'_>) -> Option<Note> {
        let mut note = None;
        match input {
            In::Start => {
                self.stage = JoinStage::Identity;
                self.grace = Some(cx.now.mono + RELAYLESS_GRACE);
            }
            In::SetRelays(relays) => self.set_relays(cx, relays),
            In::Connected { peer, link, path, dialled, addrs } => {
                note = self.connected(cx, peer, link, path, dialled, addrs);
            }
            In::Disconnected { peer, link } => note = self.disconnected(cx, peer, link),
            In::Rtt { peer, link, rtt } => self.measured(cx, peer, link, rtt),
            In::Announced { peer, addrs } => self.announced(cx, peer, addrs),
            In::Identified { peer, webrtc } => self.identified(cx, peer, webrtc),
            In::WebrtcAvailable => self.webrtc = true,
            In::DialFailed { peer, upgrade: true, reason } => self.upgrade_failed(cx, peer, &reason),
            In::DialFailed { peer, upgrade: false, reason } => self.dial_failed(cx, peer, &reason),
            In::ListenAddr { addr, usable } => self.listen_addr(cx, addr, usable),
            In::Reserved(relay) => self.reserved(cx, relay),
            In::ReservationFailed { relay, reason } => self.reservation_failed(cx, relay, reason),
            In::Heard { peer, addrs } => self.hear(cx, peer, addrs),
            In::OtherNetwork(peer) => {
                if let Some(relay) = self.relays.iter_mut().find(|relay| relay.peer == peer) {
                    relay.other_network = true;
                }
            }
            In::Want { peer, addrs } => self.want(cx, peer, addrs, false),
            In::Connect { command, peer, addrs } => self.connect(cx, command, peer, addrs),
            In::Wake => self.wake(cx),
            In::Tick(candidates) => self.tick(cx, candidates),
        }
        self.improve(cx);
        self.restage(cx);
        note
    }

    /// When something is due here; `me` is this node.
    pub fn next_deadline(&self, me: &PeerId) -> Option<Time> {
        let relays = self.relays.iter().flat_map(|relay| [relay.asked, relay.retry]).flatten();
        relays.chain(self.search_due).chain(self.grace).chain(self.upgrade_deadline(me)).min()
    }

    /// Whether any link to `peer` stands.
    pub fn is_linked(&self, peer: &PeerId) -> bool {
        self.peers.contains_key(peer)
    }

    /// How much is held, for [`crate::inspect`].
    pub fn sizes(&self) -> Sizes {
        Sizes {
            dials: self.dials_under_way() + self.upgrades_under_way(),
            dials_remembered: self.dials.len(),
            heard: self.heard.len(),
            upgrades_remembered: self.upgrades.keys().filter(|peer| !self.peers.contains_key(peer)).count(),
        }
    }

    /// Everybody with a link.
    pub fn linked(&self) -> impl Iterator<Item = &PeerId> {
        self.peers.keys()
    }

    /// The best path to `peer`, and its latest round trip.
    pub fn path(&self, peer: &PeerId) -> (Path, Option<Millis>) {
        let best = self.peers.get(peer).and_then(|linked| linked.links.values().max_by_key(|link| link.path));
        best.map_or((Path::None, None), |link| (link.path, link.rtt))
    }

    /// Why there is no (better) path, if that is known.
    pub fn reason(&self, peer: &PeerId) -> Option<String> {
        if self.path(peer).0 == Path::Relayed {
            return self.relayed_because(peer);
        }
        self.dials.get(peer).and_then(|dial| dial.reason.clone())
    }

    /// Whether `peer` is a relay this node joins through.
    pub fn is_relay(&self, peer: &PeerId) -> bool {
        self.relays.iter().any(|relay| relay.peer == *peer)
    }

    /// Whether anything is known that could be dialled.
    pub fn has_heard_of(&self, peer: &PeerId) -> bool {
        self.heard.contains_key(peer)
    }

    /// Addresses to announce, best first. Loopback ones only while there is nothing else; a circuit with
    /// `/webrtc` at its end stands for the circuit too.
    pub fn own_addrs(&self) -> Vec<Multiaddr> {
        let outside = self.listening.iter().any(|addr| !is_loopback(addr));
        let mut by_path: BTreeMap<Path, Vec<&Multiaddr>> = BTreeMap::new();
        let implied = |addr: &Multiaddr| self.listening.contains(&addr.clone().with(Part::WebRTC));
        for addr in self.listening.iter().filter(|addr| (!outside || !is_loopback(addr)) && !implied(addr)) {
            by_path.entry(Path::of(addr)).or_default().push(addr);
        }
        // One of each path before a second of any, so that many interfaces do not crowd out the
        // only address a browser can dial.
        let longest = by_path.values().map(Vec::len).max().unwrap_or(0);
        let rounds = (0..longest).flat_map(|round| by_path.values().rev().filter_map(move |addrs| addrs.get(round)));
        let mut addrs: Vec<Multiaddr> = rounds.take(PRESENCE_ADDRS_MAX).map(|addr| (*addr).clone()).collect();
        addrs.sort_by_key(|addr| std::cmp::Reverse(Path::of(addr)));
        addrs
    }

    /// How far joining has come.
    pub fn view(&self) -> JoinView {
        let relays = self.relays.iter().map(|relay| {
            let (path, rtt) = self.path(&relay.peer);
            RelayView { peer_id: relay.peer, addrs: relay.addrs.clone(), path, rtt, reserved: relay.reserved }
        });
        JoinView { stage: self.stage, problem: self.problem.clone(), relays: relays.collect() }
    }

    // --- links -------------------------------------------------------------------------------

    fn connected(
        &mut self,
        cx: &mut Cx<'_>,
        peer: PeerId,
        link: LinkId,
        path: Path,
        dialled: bool,
        addrs: &[Multiaddr],
    ) -> Option<Note> {
        let before = self.path(&peer).0;
        let linked = self.peers.entry(peer).or_default();
        let first = linked.links.is_empty();
        let since = cx.now.mono;
        linked.links.insert(link, Link { path, dialled, since, proven: None, rtt: None, closing: false });
        let dial = self.dials.remove(&peer);
        match path {
            Path::Relayed => self.relayed_up(cx, peer, dialled, dial, addrs),
            _ => self.direct_up(peer, path, dialled),
        }
        cx.show();
        for command in self.waiting.remove(&peer).into_iter().flatten() {
            cx.reply(command, Ok(Reply::Done));
        }
        if let Some(relay) = self.relays.iter_mut().find(|relay| relay.peer == peer) {
            relay.failures = 0;
            relay.retry = None;
            relay.other_network = false;
            relay.lost = false;
            self.try_relays(cx);
        }
        if first || (before == Path::Relayed && path > Path::Relayed) {
            cx.event(Event::LinkUp { peer, path });
        }
        first.then_some(Note::Up(peer))
    }

    fn disconnected(&mut self, cx: &mut Cx<'_>, peer: PeerId, link: LinkId) -> Option<Note> {
        let linked = self.peers.get_mut(&peer)?;
        let link = linked.links.remove(&link)?;
        let last = linked.links.is_empty();
        cx.show();
        let lost =
            link.path > Path::Relayed && self.path(&peer).0 <= Path::Relayed && self.direct_down(cx, peer, &link);
        if !last {
            return None;
        }
        self.peers.remove(&peer);
        cx.event(Event::LinkDown { peer });
        if let Some(relay) = self.relays.iter_mut().find(|relay| relay.peer == peer) {
            relay.reserved = false;
            relay.asked = None;
            relay.refusal = None;
            relay.lost = true;
            // A little apart, so that a restarted relay is not met by everybody at once.
            relay.retry = Some(cx.now.mono + Millis(REDIAL_MIN.0 / 2) + Millis(cx.random(REDIAL_MIN.0)));
        }
        self.search_due = Some(cx.now.mono + SEARCH_SOON);
        Some(if lost { Note::Lost(peer) } else { Note::Down(peer) })
    }

    fn measured(&mut self, cx: &mut Cx<'_>, peer: PeerId, link: LinkId, rtt: Millis) {
        if let Some(link) = self.peers.get_mut(&peer).and_then(|linked| linked.links.get_mut(&link)) {
            link.proven = Some(cx.now.mono);
            let first = link.rtt.replace(rtt).is_none();
            if first {
                cx.show();
            }
        }
    }

    fn listen_addr(&mut self, cx: &mut Cx<'_>, addr: Multiaddr, usable: bool) {
        if addr.iter().next() == Some(Part::WebRTC) {
            // Nobody can dial it without a relay in front.
            return;
        }
        if usable && addr.len() <= ADDR_BYTES_MAX {
            self.listening.insert(addr);
        } else {
            self.listening.remove(&addr);
        }
        cx.show();
    }

    // --- dials -------------------------------------------------------------------------------

    fn hear(&mut self, cx: &Cx<'_>, peer: PeerId, addrs: Vec<Multiaddr>) {
        if addrs.is_empty() {
            return;
        }
        if self.heard.len() >= PEERS_MAX && !self.heard.contains_key(&peer) {
            let idle = self.heard.keys().find(|peer| !self.peers.contains_key(peer) && !self.dials.contains_key(peer));
            let Some(victim) = idle.copied() else { return };
            self.heard.remove(&victim);
        }
        let mut new = false;
        let held = self.heard.entry(peer).or_default();
        for addr in addrs.into_iter().filter(|addr| addr.len() <= ADDR_BYTES_MAX) {
            if !held.contains(&addr) {
                held.push(addr);
                new = true;
            }
        }
        let surplus = held.len().saturating_sub(PRESENCE_ADDRS_MAX);
        held.drain(..surplus);
        if new {
            self.heard_more(cx, peer);
        }
    }

    /// Dial `peer` unless a link, a dial or a wait is in the way; `hope` as in [`Dial`].
    fn want(&mut self, cx: &mut Cx<'_>, peer: PeerId, addrs: &[Multiaddr], hope: bool) {
        if !hope {
            self.needed(&peer);
        }
        if self.peers.contains_key(&peer) || peer == cx.me() {
            return;
        }
        let addrs = self.candidates(&peer, addrs);
        let waits = self.dials.get(&peer).is_some_and(|dial| {
            dial.under_way || (cx.now.mono < dial.next && addrs.iter().all(|addr| dial.tried.contains(addr)))
        });
        if waits {
            return;
        }
        if self.dial(cx, peer, addrs)
            && let Some(dial) = self.dials.get_mut(&peer)
        {
            dial.hope = hope;
        }
    }

    fn connect(&mut self, cx: &mut Cx<'_>, command: CommandId, peer: PeerId, addrs: &[Multiaddr]) {
        if peer == cx.me() {
            return cx.reply(command, Err(CommandError::Myself));
        }
        self.needed(&peer);
        if self.peers.contains_key(&peer) {
            return cx.reply(command, Ok(Reply::Done));
        }
        let addrs = self.candidates(&peer, addrs);
        if addrs.is_empty() {
            return cx.reply(command, Err(CommandError::NoAddress));
        }
        let under_way = self.dials.get(&peer).is_some_and(|dial| dial.under_way);
        if !under_way && !self.dial(cx, peer, addrs) {
            return cx.reply(command, Err(CommandError::Full("dials")));
        }
        self.waiting.entry(peer).or_default().push(command);
    }

    /// Everything that may lead to `peer`, best first, circuits through a shared relay included. What is
    /// announced with `/webrtc` is dialled as the circuit in front of it: the link is of use at once, and
    /// becomes direct from there.
    fn candidates(&self, peer: &PeerId, announced: &[Multiaddr]) -> Vec<Multiaddr> {
        let mut addrs: Vec<Multiaddr> = Vec::new();
        let heard = self.heard.get(peer).into_iter().flatten();
        for addr in announced.iter().chain(heard) {
            let mut addr = match Path::of(addr) {
                Path::DirectWebrtc => without_webrtc(addr),
                _ => addr.clone(),
            };
            if let Some(relay) = circuit_relay(&addr)
                && let Some(shared) = self.relays.iter().find(|shared| shared.peer == relay && shared.reserved)
                && let Some(first) = shared.addrs.first()
            {
                addr = first.clone().with(Part::P2pCircuit);
            }
            if Path::of(&addr) != Path::None && !addrs.contains(&addr) {
                addrs.push(addr);
            }
        }
        addrs.sort_by_key(|addr| std::cmp::Reverse(Path::of(addr)));
        addrs
    }

    fn dials_under_way(&self) -> usize {
        self.dials.values().filter(|dial| dial.under_way).count()
    }

    /// False when too many dials are under way.
    fn dial(&mut self, cx: &mut Cx<'_>, peer: PeerId, addrs: Vec<Multiaddr>) -> bool {
        let under_way = self.dials_under_way() + self.upgrades_under_way();
        if (under_way >= DIALS_MAX && !self.is_relay(&peer)) || addrs.is_empty() {
            return false;
        }
        let dial = self.dials.entry(peer).or_insert(Dial {
            under_way: false,
            tried: Vec::new(),
            direct: false,
            hope: false,
            next: cx.now.mono,
            failures: 0,
            reason: None,
        });
        dial.under_way = true;
        dial.tried.clone_from(&addrs);
        dial.hope = false;
        dial.direct = addrs.iter().any(|addr| Path::of(addr) > Path::Relayed);
        cx.out.push(Output::Dial { peer, addrs, upgrade: false });
        true
    }

    fn dial_failed(&mut self, cx: &mut Cx<'_>, peer: PeerId, reason: &DialError) {
        // The DHT dials as well, by whatever addresses it has; that says nothing about ours.
        if !self.dials.get(&peer).is_some_and(|dial| dial.under_way) {
            return;
        }
        cx.touch(peer);
        for command in self.waiting.remove(&peer).into_iter().flatten() {
            let addr = peer.to_string();
            let why = match reason {
                DialError::WrongPeer(_) => "another peer answered at this address",
                DialError::TimedOut => "it did not answer in time",
                DialError::Refused(_) => "it refused the connection",
                DialError::Unsupported(_) => "this device cannot dial such an address",
                DialError::Unreachable(_) | DialError::NoPath(_) => "it does not answer",
            };
            cx.reply(command, Err(CommandError::BadAddress { addr, why }));
        }
        let (longest, first_wait) = if self.is_relay(&peer) { (REDIAL_MAX, 0) } else { (PEER_REDIAL_MAX, 2) };
        let Some(dial) = self.dials.get_mut(&peer) else { return };
        dial.under_way = false;
        dial.failures += 1;
        dial.reason = Some(reason.to_string());
        let wait = backoff(dial.failures - 1 + first_wait, longest);
        dial.next = cx.now.mono + wait;
        if let Some(relay) = self.relays.iter_mut().find(|relay| relay.peer == peer) {
            relay.retry = Some(cx.now.mono + wait);
        } else if !matches!(reason, DialError::Unsupported(_)) {
            // Somebody else may do as a neighbour.
            self.search_by(cx.now.mono + SEARCH_SOON);
        }
        self.forget_old_dials(cx.now.mono);
    }

    fn forget_old_dials(&mut self, now: Time) {
        if self.dials.len() > PEERS_MAX {
            self.dials.retain(|_, dial| dial.under_way || now < dial.next);
        }
    }

    fn wake(&mut self, cx: &mut Cx<'_>) {
        for relay in &mut self.relays {
            relay.retry = None;
        }
        for dial in self.dials.values_mut() {
            dial.next = cx.now.mono;
        }
        self.wake_upgrades(cx.now.mono);
        cx.out.push(Output::CheckLinks);
        self.try_relays(cx);
    }

    fn tick(&mut self, cx: &mut Cx<'_>, candidates: &[Candidate<'_>]) {
        self.try_relays(cx);
        let now = cx.now.mono;
        self.grace = self.grace.filter(|grace| now < *grace);
        if self.search_is_due(now) {
            self.search(cx, candidates);
        }
    }
}

/// Doubles with each failure, from [`REDIAL_MIN`] to `longest`.
fn backoff(failures: u32, longest: Millis) -> Millis {
    Millis(REDIAL_MIN.0 << failures.min(16)).min(longest)
}

/// The circuit in front of `/webrtc`; empty if there is none.
fn without_webrtc(addr: &Multiaddr) -> Multiaddr {
    addr.iter().take_while(|part| *part != Part::WebRTC).collect()
}

/// The relay of a circuit address.
fn circuit_relay(addr: &Multiaddr) -> Option<PeerId> {
    let mut relay = None;
    for part in addr.iter() {
        match part {
            Part::P2p(peer) => relay = Some(peer),
            Part::P2pCircuit => return relay,
            _ => {}
        }
    }
    None
}

fn is_loopback(addr: &Multiaddr) -> bool {
    match addr.iter().next() {
        Some(Part::Ip4(ip)) => ip.is_loopback(),
        Some(Part::Ip6(ip)) => ip.is_loopback(),
        Some(Part::Dns(name) | Part::Dns4(name) | Part::Dns6(name)) => name == "localhost",
        _ => false,
    }
}
