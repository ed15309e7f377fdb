//! Joining through a relay: the stages, what stands in the way, and whom a node dials.

use libp2p_identity::{Keypair, PeerId};
use multiaddr::Multiaddr;
use mycomesh_core::{
    Config, Node, Profile,
    io::{
        Command, CommandError, CommandId, DialError, Input, LinkId, Output, Path, Protocol, Reply, RequestError,
        ReservationError,
    },
    limits::{DIALS_MAX, SEARCH_DIALS_MAX},
    snapshot::{JoinStage, JoinView},
    time::{Millis, Now, Time, UnixMillis},
};

struct Case {
    node: Node,
    now: u64,
    commands: u64,
}

fn peer(n: u8) -> PeerId {
    Keypair::ed25519_from_bytes([n; 32]).expect("a key").public().to_peer_id()
}

fn relay_addr() -> Multiaddr {
    format!("/ip4/127.0.0.1/tcp/8081/ws/p2p/{}", peer(200)).parse().expect("an address")
}

impl Case {
    /// A started node that was told to join through the relay.
    fn new(config: Config) -> Self {
        let key = Keypair::ed25519_from_bytes([1; 32]).expect("a key");
        let node = Node::new(config, Profile::default(), key, [0; 32]).expect("a node");
        let mut case = Self { node, now: 0, commands: 0 };
        case.give(Input::Loaded(Vec::new()));
        case.give(Input::Started);
        case
    }

    fn give(&mut self, input: Input) -> Vec<Output> {
        let now = Now { mono: Time(self.now), unix: UnixMillis(1_795_132_800_000 + self.now) };
        self.node.handle(now, input)
    }

    fn command(&mut self, command: Command) -> (Vec<Output>, Option<Result<Reply, CommandError>>) {
        self.commands += 1;
        let mut outputs = self.give(Input::Command { id: CommandId(self.commands), command });
        let reply = outputs.iter().position(|output| matches!(output, Output::Reply { .. }));
        let reply = reply.map(|at| match outputs.remove(at) {
            Output::Reply { result, .. } => result,
            _ => unreachable!(),
        });
        (outputs, reply)
    }

    fn join(&mut self) -> Vec<Output> {
        self.command(Command::SetRelays(vec![relay_addr()])).0
    }

    fn linked(&mut self) -> Vec<Output> {
        self.give(Input::Connected { peer: peer(200), link: LinkId(1), path: Path::Websocket, dialled: true })
    }

    fn wait(&mut self, span: Millis) -> Vec<Output> {
        self.now += span.0;
        self.give(Input::Tick)
    }

    fn view(&mut self) -> JoinView {
        let now = Now { mono: Time(self.now), unix: UnixMillis(self.now) };
        (*self.node.snapshot(now).join).clone()
    }

    #[track_caller]
    fn check(&mut self, stage: JoinStage, problem: Option<&str>) {
        let view = self.view();
        assert_eq!(view.stage, stage, "{:?}", view.problem);
        match (view.problem, problem) {
            (None, None) => {}
            (Some(found), Some(part)) => assert!(found.what.contains(part), "{found:?}"),
            (found, wanted) => panic!("{found:?} where {wanted:?} was expected"),
        }
    }
}

fn dials(outputs: &[Output]) -> Vec<PeerId> {
    outputs
        .iter()
        .filter_map(|output| if let Output::Dial { peer, .. } = output { Some(*peer) } else { None })
        .collect()
}

#[test]
fn joining_dials_reserves_and_is_joined() {
    let mut case = Case::new(Config::default());
    case.check(JoinStage::Identity, None);
    case.wait(Millis::secs(1));
    case.check(JoinStage::Failed, Some("No relay is known"));
    assert_eq!(dials(&case.join()), [peer(200)]);
    case.check(JoinStage::Dialing, None);
    let outputs = case.linked();
    assert!(outputs.contains(&Output::Reserve { relay: peer(200), addr: relay_addr() }));
    case.check(JoinStage::Reserving, None);
    case.give(Input::Reserved { relay: peer(200) });
    case.check(JoinStage::Joined, None);
    assert!(case.view().relays[0].reserved);
}

#[test]
fn a_relay_that_is_down_is_named_and_tried_again_with_growing_waits_of_at_most_eight_seconds() {
    let mut case = Case::new(Config::default());
    case.join();
    for _ in 0..10 {
        case.give(Input::DialFailed {
            peer: peer(200),
            upgrade: false,
            reason: DialError::Unreachable("refused".into()),
        });
        case.check(JoinStage::Failed, Some("cannot be reached"));
        let failed = case.now;
        loop {
            case.now = case.node.next_deadline().expect("another try").0;
            assert!(case.now - failed <= 8_000, "{} ms without a try", case.now - failed);
            if dials(&case.give(Input::Tick)) == [peer(200)] {
                break;
            }
        }
        assert!(case.now > failed, "it is tried again without a pause");
    }
}

#[test]
fn a_full_relay_says_so_and_is_asked_again() {
    let mut case = Case::new(Config::default());
    case.join();
    case.linked();
    case.give(Input::ReservationFailed { relay: peer(200), reason: ReservationError::Full });
    case.check(JoinStage::Failed, Some("full"));
    let outputs = case.wait(Millis::secs(10));
    assert!(outputs.iter().any(|output| matches!(output, Output::Reserve { .. })), "{outputs:?}");
    case.give(Input::Reserved { relay: peer(200) });
    case.check(JoinStage::Joined, None);
}

#[test]
fn a_relay_that_does_not_answer_the_reservation_is_a_problem_and_not_for_ever() {
    let mut case = Case::new(Config::default());
    case.join();
    case.linked();
    case.wait(Millis::secs(16));
    case.check(JoinStage::Failed, Some("no reservation"));
}

#[test]
fn a_relay_of_another_network_is_told_apart() {
    let mut case = Case::new(Config::default());
    case.join();
    let outputs = case.linked();
    let request =
        outputs.iter().find_map(|output| if let Output::Request { id, .. } = output { Some(*id) } else { None });
    let id = request.expect("presences are pulled");
    case.give(Input::Response { id, result: Err(RequestError::Unsupported) });
    case.check(JoinStage::Failed, Some("does not serve the network"));
}

#[test]
fn a_lost_relay_is_dialled_again_at_once_and_brings_everything_back() {
    let mut case = Case::new(Config::default());
    case.join();
    case.linked();
    case.give(Input::Reserved { relay: peer(200) });
    case.give(Input::Disconnected { peer: peer(200), link: LinkId(1) });
    case.check(JoinStage::Dialing, Some("was lost"));
    assert_eq!(dials(&case.wait(Millis::secs(1))), [peer(200)]);
    case.give(Input::Connected { peer: peer(200), link: LinkId(2), path: Path::Websocket, dialled: true });
    case.give(Input::Reserved { relay: peer(200) });
    case.check(JoinStage::Joined, None);
}

#[test]
fn waking_tries_the_relay_without_waiting_and_checks_every_link() {
    let mut case = Case::new(Config::default());
    case.join();
    for _ in 0..6 {
        case.give(Input::DialFailed { peer: peer(200), upgrade: false, reason: DialError::TimedOut });
        case.wait(Millis::secs(8));
    }
    case.give(Input::DialFailed { peer: peer(200), upgrade: false, reason: DialError::TimedOut });
    let (outputs, reply) = case.command(Command::Wake);
    assert_eq!(reply, Some(Ok(Reply::Done)));
    assert_eq!(dials(&outputs), [peer(200)]);
    assert!(outputs.contains(&Output::CheckLinks));
}

#[test]
fn a_listening_node_without_relays_is_joined_and_a_pure_relay_always() {
    let mut case = Case::new(Config::default());
    case.give(Input::ListenAddr { addr: "/ip4/127.0.0.1/tcp/4001".parse().unwrap(), usable: true });
    case.check(JoinStage::Joined, None);
    let mut relay = Case::new(Config { reserve: false, agent: false, ..Config::default() });
    relay.check(JoinStage::Joined, None);
}

#[test]
fn a_relay_address_without_its_peer_is_refused_with_what_is_missing() {
    let mut case = Case::new(Config::default());
    let (_, reply) = case.command(Command::SetRelays(vec!["/ip4/127.0.0.1/tcp/8081/ws".parse().unwrap()]));
    let error = reply.unwrap().unwrap_err().to_string();
    assert!(error.contains("/p2p/"), "{error}");
}

#[test]
fn connecting_answers_when_the_link_stands_or_the_dial_failed() {
    let mut case = Case::new(Config::default());
    let addr: Multiaddr = format!("/ip4/127.0.0.1/tcp/9/p2p/{}", peer(9)).parse().unwrap();
    let (outputs, reply) = case.command(Command::Connect(addr));
    assert_eq!((dials(&outputs), reply), (vec![peer(9)], None));
    let outputs = case.give(Input::DialFailed { peer: peer(9), upgrade: false, reason: DialError::TimedOut });
    assert!(outputs.iter().any(|output| matches!(output, Output::Reply { result: Err(_), .. })));
    let (_, reply) = case.command(Command::ConnectPeer(peer(77)));
    assert_eq!(reply, Some(Err(CommandError::NoAddress)));
}

#[test]
fn a_connection_beyond_the_dials_that_may_be_under_way_is_answered_at_once() {
    let mut case = Case::new(Config::default());
    for n in 1..=9 {
        let addr: Multiaddr = format!("/ip4/127.0.0.1/tcp/9/p2p/{}", peer(n + 10)).parse().unwrap();
        let (_, reply) = case.command(Command::Connect(addr));
        match n {
            9 => assert_eq!(reply, Some(Err(CommandError::Full("dials")))),
            _ => assert_eq!(reply, None),
        }
    }
}

#[test]
fn a_relay_in_quarantine_is_tried_again_when_its_time_is_over() {
    let mut case = Case::new(Config::default());
    case.join();
    case.linked();
    for n in 0..3 {
        let token = mycomesh_core::io::RequestToken(n);
        let protocol = Protocol::Presence;
        case.give(Input::Request { peer: peer(200), token, protocol, data: b"garbage".to_vec() });
    }
    case.give(Input::Disconnected { peer: peer(200), link: LinkId(1) });
    let mut link = 1;
    while case.now < 2 * 3_600_000 {
        let Some(due) = case.node.next_deadline() else { panic!("it gave up") };
        case.now = due.0.max(case.now + 1);
        if dials(&case.give(Input::Tick)).contains(&peer(200)) {
            link += 1;
            let connected =
                Input::Connected { peer: peer(200), link: LinkId(link), path: Path::Websocket, dialled: true };
            if !case.give(connected).contains(&Output::ClosePeer { peer: peer(200) }) {
                assert!(case.now >= 3_600_000, "the quarantine was cut short");
                return;
            }
        }
    }
    panic!("it was never taken back");
}

#[test]
fn many_interfaces_do_not_crowd_out_the_address_a_browser_can_dial() {
    let mut case = Case::new(Config::default());
    for n in 0..9 {
        for addr in [format!("/ip4/192.0.2.{n}/udp/1/quic-v1"), format!("/ip4/192.0.2.{n}/tcp/1")] {
            case.give(Input::ListenAddr { addr: addr.parse().unwrap(), usable: true });
        }
    }
    let ws: Multiaddr = "/ip4/192.0.2.1/tcp/2/ws".parse().unwrap();
    case.give(Input::ListenAddr { addr: ws.clone(), usable: true });
    let now = Now { mono: Time(case.now), unix: UnixMillis(0) };
    let addrs = case.node.snapshot(now).me.addrs.clone();
    assert_eq!(addrs.len(), 8);
    assert!(addrs.contains(&ws), "{addrs:?}");
}

/// Joined through the relay, with `others` fresh peers that announce `addrs`.
fn among(others: u8, addrs: &[String]) -> Case {
    use mycomesh_core::{
        io::{GossipId, Topic},
        wire::{Availability, Network, Presence, Signed},
    };
    let mut case = Case::new(Config::default());
    case.join();
    case.linked();
    case.give(Input::Reserved { relay: peer(200) });
    for n in 0..others {
        let body = Presence {
            addrs: addrs.iter().map(|addr| addr.parse().unwrap()).collect(),
            availability: Availability::Idle,
            card: None,
            free_slots: 1,
            goodbye: false,
            issued: UnixMillis(1_795_132_800_000),
            seq: 1,
            ttl: Millis::secs(45),
        };
        let key = Keypair::ed25519_from_bytes([n + 20; 32]).expect("a key");
        let data = Signed::seal(&key, &Network::default(), body).bytes.to_vec();
        case.give(Input::Gossip { from: peer(200), id: GossipId(n.into()), topic: Topic::Presence, data });
    }
    case
}

fn circuit(relay: u8) -> String {
    format!("/ip4/192.0.2.1/tcp/1/ws/p2p/{}/p2p-circuit", peer(relay))
}

fn neighbours_dialled(mut case: Case) -> usize {
    (0..20).map(|_| dials(&case.wait(Millis(500))).len()).sum()
}

#[test]
fn a_few_peers_link_through_their_relay_and_a_crowd_leaves_the_gossip_to_it() {
    assert_eq!(neighbours_dialled(among(5, &[circuit(200)])), 2);
    assert_eq!(neighbours_dialled(among(30, &[circuit(200)])), 0);
    let elsewhere = neighbours_dialled(among(30, &[circuit(201)]));
    assert_eq!(elsewhere, 2, "another relay's peers would be out of reach otherwise");
}

#[test]
fn a_task_does_not_wait_because_a_neighbour_could_not_be_reached_directly() {
    let mut case = among(30, &["/ip4/192.0.2.2/udp/1/webrtc-direct".into(), circuit(200)]);
    let mut tried = Vec::new();
    for _ in 0..10 {
        tried.extend(dials(&case.wait(Millis(500))));
    }
    let to = tried[0];
    case.give(Input::DialFailed {
        peer: to,
        upgrade: false,
        reason: DialError::Unreachable("no active listeners".into()),
    });
    let (outputs, _) = case.command(Command::ConnectPeer(to));
    assert_eq!(dials(&outputs), [to]);
    case.give(Input::DialFailed { peer: to, upgrade: false, reason: DialError::TimedOut });

    let to = tried[1];
    case.give(Input::DialFailed {
        peer: to,
        upgrade: false,
        reason: DialError::Unreachable("no active listeners".into()),
    });
    let skill = mycomesh_core::wire::Skill::echo();
    let (outputs, _) = case.command(Command::Ask { to, skill, input: "x".into(), timeout: Millis::secs(30) });
    let stored = outputs.iter().find_map(|output| if let Output::Store { id, .. } = output { Some(*id) } else { None });
    let mut outputs = case.give(Input::Stored { id: stored.expect("the task is stored"), result: Ok(()) });
    let request =
        outputs.iter().find_map(|output| if let Output::Request { id, .. } = output { Some(*id) } else { None });
    outputs.extend(
        case.give(Input::Response { id: request.expect("it is sent"), result: Err(RequestError::NotConnected) }),
    );
    assert_eq!(dials(&outputs), [to], "by the circuit, which was not tried before");
}

#[test]
fn invented_peers_that_never_answer_leave_dials_for_the_ones_that_are_wanted() {
    let mut case = among(30, &["/ip4/192.0.2.2/tcp/1".into()]);
    let sought: Vec<_> = (0..20).flat_map(|_| dials(&case.wait(Millis(500)))).collect();
    assert_eq!(sought.len(), SEARCH_DIALS_MAX);
    let wanted = (0..30).map(|n| peer(n + 20)).filter(|peer| !sought.contains(peer));
    for to in wanted.take(DIALS_MAX - SEARCH_DIALS_MAX) {
        assert_eq!(dials(&case.command(Command::ConnectPeer(to)).0), [to]);
    }
}

/// The peers dialled once a task's request has met nobody.
fn sent_in_vain(case: &mut Case, outputs: Vec<Output>) -> Vec<PeerId> {
    let requests = outputs.iter().filter_map(|output| match output {
        Output::Request { id, protocol: Protocol::Tasks, .. } => Some(*id),
        _ => None,
    });
    let mut dialled = dials(&outputs);
    for id in requests {
        dialled.extend(dials(&case.give(Input::Response { id, result: Err(RequestError::NotConnected) })));
    }
    dialled
}

#[test]
fn a_task_does_not_wait_for_others_dials_nor_with_a_new_address() {
    let mut case = among(1, &["/ip4/192.0.2.2/udp/1/webrtc-direct".into()]);
    let failed = |to| Input::DialFailed {
        peer: to,
        upgrade: false,
        reason: DialError::Unreachable("no active listeners".into()),
    };
    let mut tried = Vec::new();
    for _ in 0..10 {
        tried.extend(dials(&case.wait(Millis(500))));
    }
    let to = tried[0];
    case.give(failed(to));
    let skill = mycomesh_core::wire::Skill::echo();
    let (outputs, _) = case.command(Command::Ask { to, skill, input: "x".into(), timeout: Millis::secs(30) });
    let stored = outputs.iter().find_map(|output| if let Output::Store { id, .. } = output { Some(*id) } else { None });
    let outputs = case.give(Input::Stored { id: stored.expect("the task is stored"), result: Ok(()) });
    assert_eq!(sent_in_vain(&mut case, outputs), [], "its one address has just been tried");
    // Dials of the DHT by the same address fail, too: the wait stays that of one failure.
    for _ in 0..4 {
        case.give(failed(to));
    }
    let outputs = case.wait(Millis(2_100));
    assert_eq!(sent_in_vain(&mut case, outputs), [to]);
    case.give(failed(to));
    let circuit = circuit(200).parse().expect("an address");
    let outputs = case.give(Input::Discovered { peer: to, addrs: vec![circuit] });
    assert_eq!(dials(&outputs), [to], "it was not tried by this one");
}

#[test]
fn loopback_addresses_are_announced_only_while_there_is_nothing_else() {
    let mut case = Case::new(Config::default());
    let inside: Multiaddr = "/ip4/127.0.0.1/tcp/4001".parse().unwrap();
    let outside: Multiaddr = "/ip4/192.0.2.7/tcp/4001".parse().unwrap();
    case.give(Input::ListenAddr { addr: inside.clone(), usable: true });
    let addrs = |case: &mut Case| {
        let now = Now { mono: Time(case.now), unix: UnixMillis(0) };
        case.node.snapshot(now).me.addrs.clone()
    };
    assert_eq!(addrs(&mut case), [inside]);
    case.give(Input::ListenAddr { addr: outside.clone(), usable: true });
    assert_eq!(addrs(&mut case), [outside]);
}
