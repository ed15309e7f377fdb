//! From relayed links to direct ones: who tries when, what is closed, what people are told, and that
//! nobody makes a node try more than it should.

mod world;

use libp2p_identity::{Keypair, PeerId};
use multiaddr::Multiaddr;
use mycomesh_core::{
    Config, Node, Profile,
    io::{Command, CommandId, DialError, Event, GossipId, Input, LinkId, Output, Path, Topic},
    limits::{
        DIALS_MAX, HOPES_LOST_MAX, LINK_STABLE, REPLACED_GRACE, UPGRADE_RETRY_MAX, UPGRADE_RETRY_MIN, UPGRADES_MAX,
    },
    time::{Millis, Now, Time, UnixMillis},
    wire::{Availability, Network, Presence, Signed, Skill},
};
use world::{Dials, World};

const EPOCH: u64 = 1_795_132_800_000;

/// One node, told what happens.
struct Case {
    node: Node,
    now: u64,
    next: u64,
}

fn key(n: u8) -> Keypair {
    Keypair::ed25519_from_bytes([n; 32]).expect("a key")
}

fn peer(n: u8) -> PeerId {
    key(n).public().to_peer_id()
}

/// The circuit through the relay, `/webrtc` at its end.
fn webrtc() -> Multiaddr {
    format!("/ip4/192.0.2.1/tcp/1/ws/p2p/{}/p2p-circuit/webrtc", peer(200)).parse().expect("an address")
}

fn own() -> Multiaddr {
    "/ip4/192.0.2.7/tcp/4001".parse().expect("an address")
}

impl Case {
    /// A browser, attached to a relay.
    fn browser() -> Self {
        let mut case = Self::native();
        case.give(Input::WebrtcAvailable);
        case
    }

    fn native() -> Self {
        let node = Node::new(Config::default(), Profile::default(), key(1), [0; 32]).expect("a node");
        let mut case = Self { node, now: 0, next: 10 };
        case.give(Input::Loaded(Vec::new()));
        case.give(Input::Started);
        let relay = format!("/ip4/192.0.2.1/tcp/1/ws/p2p/{}", peer(200)).parse().expect("an address");
        case.command(Command::SetRelays(vec![relay]));
        case.give(Input::Connected { peer: peer(200), link: LinkId(1), path: Path::Websocket, dialled: true });
        case.give(Input::Reserved { relay: peer(200) });
        case
    }

    fn give(&mut self, input: Input) -> Vec<Output> {
        let now = Now { mono: Time(self.now), unix: UnixMillis(EPOCH + self.now) };
        self.node.handle(now, input)
    }

    fn command(&mut self, command: Command) -> Vec<Output> {
        self.next += 1;
        let id = CommandId(self.next);
        self.give(Input::Command { id, command })
    }

    fn connect(&mut self, n: u8, path: Path, dialled: bool) -> (LinkId, Vec<Output>) {
        self.next += 1;
        let link = LinkId(self.next);
        (link, self.give(Input::Connected { peer: peer(n), link, path, dialled }))
    }

    fn pong(&mut self, n: u8, link: LinkId) -> Vec<Output> {
        self.give(Input::Rtt { peer: peer(n), link, rtt: Millis(1) })
    }

    /// A presence of peer `n`, handed on by the relay.
    fn hear(&mut self, n: u8, addrs: &[Multiaddr]) -> Vec<Output> {
        self.next += 1;
        let body = Presence {
            addrs: addrs.to_vec(),
            availability: Availability::Idle,
            card: None,
            free_slots: 1,
            goodbye: false,
            issued: UnixMillis(EPOCH + self.now),
            seq: self.next,
            ttl: Millis::secs(900),
        };
        let data = Signed::seal(&key(n), &Network::default(), body).bytes.to_vec();
        self.give(Input::Gossip { from: peer(200), id: GossipId(self.next), topic: Topic::Presence, data })
    }

    fn fail(&mut self, n: u8) -> Vec<Output> {
        let reason = DialError::NoPath("no pair of candidates works".into());
        self.give(Input::DialFailed { peer: peer(n), upgrade: true, reason })
    }

    /// Let time pass, with every deadline met; what was put out, and when.
    fn pass(&mut self, span: Millis) -> Vec<(u64, Output)> {
        let end = self.now + span.0;
        let mut out = Vec::new();
        while let Some(due) = self.node.next_deadline().filter(|due| due.0 <= end) {
            self.now = due.0.max(self.now);
            out.extend(self.give(Input::Tick).into_iter().map(|output| (self.now, output)));
            let next = self.node.next_deadline();
            assert!(next.is_none_or(|next| next.0 > self.now), "a driver would spin: {next:?} at {}", self.now);
        }
        self.now = end;
        out
    }

    /// How long until the next attempt to reach peer `n` directly; none within an hour.
    fn next_attempt(&mut self, n: u8) -> Option<u64> {
        let from = self.now;
        while self.now < from + 3_600_000 {
            let due = self.node.next_deadline()?;
            self.now = due.0.max(self.now);
            if upgrades(&self.give(Input::Tick)).contains(&peer(n)) {
                return Some(self.now - from);
            }
        }
        None
    }

    fn reason(&mut self, n: u8) -> Option<String> {
        let now = Now { mono: Time(self.now), unix: UnixMillis(EPOCH + self.now) };
        // A tick shows what changed quietly.
        self.command(Command::SetBusy(false));
        let snapshot = self.node.snapshot(now);
        snapshot.peers.rows.iter().find(|row| row.peer_id == peer(n)).and_then(|row| row.path_reason.clone())
    }
}

fn upgrades(outputs: &[Output]) -> Vec<PeerId> {
    let of = |output: &Output| if let Output::Dial { peer, upgrade: true, .. } = output { Some(*peer) } else { None };
    outputs.iter().filter_map(of).collect()
}

fn closed(outputs: &[Output]) -> Vec<LinkId> {
    outputs
        .iter()
        .filter_map(|output| if let Output::CloseLink { link } = output { Some(*link) } else { None })
        .collect()
}

fn plain(outputs: Vec<(u64, Output)>) -> Vec<Output> {
    outputs.into_iter().map(|(_, output)| output).collect()
}

#[test]
fn the_side_that_dialled_tries_at_once_and_the_other_some_seconds_later() {
    let mut case = Case::browser();
    case.hear(9, &[webrtc()]);
    let (_, outputs) = case.connect(9, Path::Relayed, true);
    let attempt = Output::Dial { peer: peer(9), addrs: vec!["/webrtc".parse().unwrap()], upgrade: true };
    assert!(outputs.contains(&attempt), "{outputs:?}");

    let mut case = Case::browser();
    case.hear(9, &[webrtc()]);
    let (_, outputs) = case.connect(9, Path::Relayed, false);
    assert_eq!(upgrades(&outputs), []);
    let waited = case.next_attempt(9).expect("it tries");
    assert!((5_000..7_000).contains(&waited), "{waited}");
}

#[test]
fn a_link_from_a_stranger_becomes_direct_when_identify_shows_that_it_can() {
    let mut case = Case::browser();
    case.connect(9, Path::Relayed, true);
    assert_eq!(upgrades(&plain(case.pass(Millis::secs(60)))), []);
    assert_eq!(upgrades(&case.give(Input::Identified { peer: peer(9), webrtc: true })), [peer(9)]);
}

#[test]
fn the_relayed_link_is_closed_once_and_only_after_the_direct_one_has_shown_that_it_works() {
    let mut case = Case::browser();
    case.hear(9, &[webrtc()]);
    let (relayed, _) = case.connect(9, Path::Relayed, true);
    let (direct, _) = case.connect(9, Path::DirectWebrtc, true);
    assert_eq!(closed(&plain(case.pass(Millis::secs(30)))), []);
    assert_eq!(closed(&case.pong(9, direct)), [relayed], "it stood long enough by then");
    assert_eq!(closed(&plain(case.pass(Millis::secs(30)))), []);

    let (relayed, _) = case.connect(8, Path::Relayed, true);
    let (direct, _) = case.connect(8, Path::DirectWebrtc, false);
    assert_eq!(closed(&case.pong(8, direct)), []);
    let at = case.now;
    let closings: Vec<_> = case
        .pass(Millis::secs(30))
        .into_iter()
        .filter(|(_, output)| matches!(output, Output::CloseLink { .. }))
        .collect();
    assert_eq!(closings, [(at + REPLACED_GRACE.0, Output::CloseLink { link: relayed })]);
}

#[test]
fn a_peer_that_comes_back_by_the_relay_keeps_that_link_until_the_direct_one_answers_again() {
    let mut case = Case::browser();
    case.hear(9, &[webrtc()]);
    let (direct, _) = case.connect(9, Path::DirectWebrtc, false);
    case.pong(9, direct);
    case.pass(Millis::secs(60));
    let (relayed, _) = case.connect(9, Path::Relayed, false);
    assert_eq!(closed(&plain(case.pass(Millis::secs(60)))), [], "the direct one may be dead");
    assert_eq!(closed(&case.pong(9, direct)), [relayed]);
}

#[test]
fn what_fails_is_tried_again_with_doubling_waits_from_fifteen_seconds_to_ten_minutes() {
    let mut case = Case::browser();
    case.hear(9, &[webrtc()]);
    case.connect(9, Path::Relayed, true);
    assert_eq!(case.reason(9).as_deref(), Some("a direct connection is being tried"));
    let mut waits = Vec::new();
    for _ in 0..8 {
        case.fail(9);
        assert_eq!(case.reason(9).as_deref(), Some("no pair of candidates works"));
        waits.push(case.next_attempt(9).expect("it goes on") / 1_000);
    }
    assert_eq!(waits, [15, 30, 60, 120, 240, 480, 600, 600]);
    case.fail(9);
    assert_eq!(upgrades(&case.command(Command::Wake)), [peer(9)], "the network may have changed");
    case.fail(9);
    assert_eq!(case.next_attempt(9), Some(UPGRADE_RETRY_MIN.0));
}

#[test]
fn a_failure_of_this_attempt_is_not_taken_for_one_of_another() {
    let mut case = Case::browser();
    case.hear(9, &[webrtc()]);
    case.connect(9, Path::Relayed, true);
    let reason = DialError::TimedOut;
    case.give(Input::DialFailed { peer: peer(9), upgrade: false, reason });
    assert_eq!(case.reason(9).as_deref(), Some("a direct connection is being tried"));
    case.fail(9);
    case.fail(9);
    assert_eq!(case.next_attempt(9), Some(15_000), "it failed once");
}

#[test]
fn new_addresses_are_tried_soon_but_never_sooner_than_after_the_shortest_wait() {
    let mut case = Case::browser();
    case.hear(9, &[webrtc()]);
    case.connect(9, Path::Relayed, true);
    for _ in 0..7 {
        case.fail(9);
        case.next_attempt(9);
    }
    case.fail(9);
    case.hear(9, &[webrtc(), own()]);
    assert_eq!(case.next_attempt(9), Some(UPGRADE_RETRY_MIN.0));

    case.fail(9);
    case.next_attempt(9);
    case.fail(9);
    case.command(Command::Connect(own().with_p2p(peer(9)).expect("its own id")));
    assert_eq!(case.next_attempt(9), Some(UPGRADE_RETRY_MIN.0), "an address that was typed in counts, too");

    // A peer that announces something new all the time.
    case.fail(9);
    let mut attempts = 0;
    for n in 0..600u32 {
        let new = format!("/ip4/192.0.2.8/tcp/{}", n + 1).parse().expect("an address");
        let mut outputs = case.hear(9, &[new]);
        outputs.extend(plain(case.pass(Millis::secs(1))));
        attempts += upgrades(&outputs).len();
        if !upgrades(&outputs).is_empty() {
            case.fail(9);
        }
    }
    assert!(attempts <= 600_000 / UPGRADE_RETRY_MIN.0 as usize, "{attempts} attempts in ten minutes");
}

#[test]
fn a_peer_that_hangs_up_and_comes_again_gets_no_further_attempts() {
    let mut case = Case::browser();
    case.hear(9, &[webrtc()]);
    let mut attempts = 0;
    for _ in 0..600 {
        let (link, outputs) = case.connect(9, Path::Relayed, true);
        if !upgrades(&outputs).is_empty() {
            attempts += 1;
            case.fail(9);
        }
        case.give(Input::Disconnected { peer: peer(9), link });
        case.pass(Millis::secs(1));
    }
    assert!(attempts <= 6, "{attempts} attempts in ten minutes");
}

#[test]
fn a_direct_link_that_breaks_at_once_again_and_again_is_tried_ever_more_rarely() {
    let mut case = Case::browser();
    case.hear(9, &[webrtc()]);
    let (_, mut outputs) = case.connect(9, Path::Relayed, true);
    let mut attempts = 0;
    for _ in 0..600 {
        outputs.extend(plain(case.pass(Millis::secs(1))));
        if !upgrades(&outputs).is_empty() {
            attempts += 1;
            let (link, _) = case.connect(9, Path::DirectWebrtc, true);
            case.give(Input::Disconnected { peer: peer(9), link });
        }
        outputs.clear();
    }
    assert!((4..=7).contains(&attempts), "{attempts} attempts in ten minutes");
    assert!(case.reason(9).expect("told").contains("broke at once"));
}

#[test]
fn fifty_relayed_links_start_a_few_attempts_at_a_time_and_all_get_their_turn() {
    let mut case = Case::browser();
    let mut under_way = Vec::new();
    for n in 10..60 {
        case.hear(n, &[webrtc()]);
        under_way.extend(upgrades(&case.connect(n, Path::Relayed, true).1));
    }
    let mut tried = std::collections::BTreeSet::new();
    for _ in 0..50 {
        assert!(under_way.len() <= UPGRADES_MAX.min(DIALS_MAX), "{}", under_way.len());
        let peer = under_way.remove(0);
        tried.insert(peer);
        let reason = DialError::TimedOut;
        under_way.extend(upgrades(&case.give(Input::DialFailed { peer, upgrade: true, reason })));
    }
    assert_eq!(tried.len(), 50);
}

#[test]
fn what_stands_in_the_way_is_said() {
    let mut browser = Case::browser();
    browser.connect(9, Path::Relayed, true);
    assert_eq!(browser.reason(9), None, "not known yet");
    browser.give(Input::Identified { peer: peer(9), webrtc: false });
    assert!(browser.reason(9).expect("told").starts_with("the other side has no WebRTC"));
    browser.give(Input::Identified { peer: peer(9), webrtc: true });
    assert_eq!(browser.reason(9).as_deref(), Some("a direct connection is being tried"));

    let mut native = Case::native();
    native.hear(9, &[webrtc()]);
    let (_, outputs) = native.connect(9, Path::Relayed, true);
    assert_eq!(upgrades(&outputs), []);
    assert!(native.reason(9).expect("told").starts_with("this side has no WebRTC"));
    assert_eq!(native.next_attempt(9), None);
}

#[test]
fn a_peer_with_addresses_of_its_own_is_tried_there_but_not_right_after_they_failed() {
    let mut case = Case::native();
    case.hear(9, &[own(), webrtc()]);
    let outputs = case.command(Command::ConnectPeer(peer(9)));
    let circuit: Multiaddr = format!("/ip4/192.0.2.1/tcp/1/ws/p2p/{}/p2p-circuit", peer(200)).parse().unwrap();
    let dial = Output::Dial { peer: peer(9), addrs: vec![own(), circuit], upgrade: false };
    assert!(outputs.contains(&dial), "{outputs:?}");
    case.connect(9, Path::Relayed, true);
    assert!(case.reason(9).expect("told").contains("its own addresses do not answer"));
    assert_eq!(case.next_attempt(9), Some(UPGRADE_RETRY_MIN.0));

    // Whom the other side dialled tries them in its turn.
    case.hear(8, &[own()]);
    case.connect(8, Path::Relayed, false);
    assert!(case.next_attempt(8).expect("it tries") < 7_000);
}

#[test]
fn a_circuit_is_announced_with_webrtc_at_its_end_instead_of_beside_it() {
    let mut case = Case::browser();
    let circuit: Multiaddr = format!("/ip4/192.0.2.1/tcp/1/ws/p2p/{}/p2p-circuit", peer(200)).parse().unwrap();
    let addrs = |case: &mut Case| {
        let now = Now { mono: Time(case.now), unix: UnixMillis(EPOCH + case.now) };
        case.node.snapshot(now).me.addrs.clone()
    };
    case.give(Input::ListenAddr { addr: circuit.clone(), usable: true });
    assert_eq!(addrs(&mut case), std::slice::from_ref(&circuit));
    case.give(Input::ListenAddr { addr: "/webrtc".parse().unwrap(), usable: true });
    case.give(Input::ListenAddr { addr: webrtc(), usable: true });
    assert_eq!(addrs(&mut case), [webrtc()]);
    case.give(Input::ListenAddr { addr: webrtc(), usable: false });
    assert_eq!(addrs(&mut case), [circuit]);
}

/// Dials to neighbours within ten minutes, in a crowd on one relay.
fn neighbours(mut case: Case, crowd: u8, reach: impl Fn(&mut Case, u8, LinkId) -> Vec<Output>) -> (usize, usize) {
    for n in 10..10 + crowd {
        case.hear(n, &[webrtc()]);
    }
    let (mut dials, mut standing) = (0, std::collections::BTreeMap::new());
    let number = |of: PeerId| (10..10 + crowd).find(|n| peer(*n) == of).expect("one of the crowd");
    for _ in 0..1_200 {
        let mut outputs: std::collections::VecDeque<_> = plain(case.pass(Millis(500))).into();
        while let Some(output) = outputs.pop_front() {
            match output {
                Output::Dial { peer, upgrade: false, .. } => {
                    dials += 1;
                    let n = number(peer);
                    let (link, more) = case.connect(n, Path::Relayed, true);
                    standing.insert(link, n);
                    outputs.extend(more);
                    let more = reach(&mut case, n, link);
                    outputs.extend(more);
                }
                Output::CloseLink { link } => {
                    let n = standing.remove(&link).expect("it stood");
                    outputs.extend(case.give(Input::Disconnected { peer: peer(n), link }));
                }
                _ => {}
            }
        }
    }
    (dials, standing.len())
}

#[test]
fn browsers_in_a_crowd_on_one_relay_become_neighbours_directly() {
    let direct = |case: &mut Case, n: u8, _: LinkId| {
        let (link, mut outputs) = case.connect(n, Path::DirectWebrtc, true);
        outputs.extend(case.pong(n, link));
        outputs
    };
    assert_eq!(neighbours(Case::browser(), 40, direct), (6, 0), "six, and none of them stays on the relay");
    assert_eq!(neighbours(Case::native(), 40, |_, _, _| Vec::new()), (0, 0), "as without WebRTC");
}

#[test]
fn where_no_direct_way_is_found_a_crowd_does_not_load_the_relay_and_the_search_pauses() {
    let fails = |case: &mut Case, n: u8, _: LinkId| case.fail(n);
    let (dials, standing) = neighbours(Case::browser(), 40, fails);
    assert_eq!(standing, 0, "relayed neighbours are of no use in a crowd");
    assert!(dials <= 2 * (HOPES_LOST_MAX as usize + 6), "{dials} dials in ten minutes");
    assert!(UPGRADE_RETRY_MAX >= Millis::secs(600));
}

#[test]
fn a_neighbour_that_a_task_needs_stays_though_no_direct_way_is_found() {
    let mut case = Case::browser();
    for n in 10..50 {
        case.hear(n, &[webrtc()]);
    }
    let dialled = plain(case.pass(Millis::secs(1)));
    let to = dialled.iter().find_map(|output| if let Output::Dial { peer, .. } = output { Some(*peer) } else { None });
    let n = (10..50).find(|n| Some(peer(*n)) == to).expect("a neighbour is sought");
    case.connect(n, Path::Relayed, true);
    case.command(Command::ConnectPeer(peer(n)));
    assert_eq!(closed(&case.fail(n)), []);
}

/// A relay (0) and two browsers.
fn browsers(dials: Dials) -> World {
    let mut world = World::new(3);
    world.dials = dials;
    world.link(1, 0);
    world.link(2, 0);
    world.browser(1, 0);
    world.browser(2, 0);
    world
}

#[test]
fn two_browsers_find_each_other_at_the_relay_and_are_connected_directly_soon() {
    let mut world = browsers(Dials::Reach);
    world.pass(Millis::secs(5));
    assert_eq!(world.paths(1, 2), [Path::DirectWebrtc]);
    let told = |path| world.peers[1].events.contains(&Event::LinkUp { peer: world.id(2), path });
    assert!(told(Path::Relayed) && told(Path::DirectWebrtc));
    assert_eq!(world.row(1, 2).expect("known").path, Path::DirectWebrtc);
    assert_eq!(world.row(1, 2).expect("known").path_reason, None);
}

#[test]
fn where_no_direct_path_exists_they_work_through_the_relay_and_say_why() {
    let mut world = browsers(Dials::OnlyCircuits);
    world.pass(Millis::secs(30));
    assert!(!world.paths(1, 2).is_empty() && world.paths(1, 2).iter().all(|path| *path == Path::Relayed));
    let row = world.row(1, 2).expect("known");
    assert_eq!((row.path, row.path_reason.as_deref()), (Path::Relayed, Some("no pair of candidates works")));
    let task = world.ask(1, 2, Skill::echo(), "hello");
    world.pass(Millis::secs(1));
    assert_eq!(world.task(1, task).output.as_deref(), Some("hello"));
    let before = world.upgrades.len();
    world.pass(Millis::secs(600));
    assert!(world.upgrades.len() - before <= 14, "{} attempts in ten minutes", world.upgrades.len() - before);
}

#[test]
fn when_a_direct_link_dies_the_relay_carries_on_at_once_and_it_becomes_direct_again() {
    let mut world = browsers(Dials::Reach);
    world.pass(LINK_STABLE.times(2));
    world.dials = Dials::OnlyCircuits;
    world.cut(1, 2);
    assert!(world.paths(1, 2).contains(&Path::Relayed), "not even a tick later");
    world.dials = Dials::Reach;
    world.pass(UPGRADE_RETRY_MIN.times(2));
    assert_eq!(world.paths(1, 2), [Path::DirectWebrtc]);
}

#[test]
fn a_peer_that_said_goodbye_is_not_called_back() {
    let mut world = browsers(Dials::Reach);
    world.pass(LINK_STABLE.times(2));
    world.command(2, Command::Shutdown).expect("it leaves");
    world.cut(1, 2);
    assert_eq!(world.paths(1, 2), []);
}

#[test]
fn when_both_dial_each_other_at_once_one_direct_link_is_left() {
    let mut world = browsers(Dials::Ignored);
    let (one, two) = (world.id(1), world.id(2));
    world.dials = Dials::OnlyCircuits;
    world.pass(Millis::secs(2));
    for _ in 0..2 {
        world.connect(1, 2, Path::DirectWebrtc);
        world.connect(2, 1, Path::DirectWebrtc);
        world.pass(Millis::secs(10));
        assert_eq!(world.paths(1, 2), [Path::DirectWebrtc], "{one} {two}");
        assert_eq!(world.dialler(1, 2), Some(if one < two { 1 } else { 2 }));
        world.cut(1, 2);
    }
}
