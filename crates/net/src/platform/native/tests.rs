//! Whole nodes over loopback: what the driver, libp2p and core do together.

use std::{pin::pin, time::Duration};

use futures::{StreamExt as _, future};
use libp2p::{Multiaddr, multiaddr::Protocol as Part};
use mycomesh_core::{
    io::{Command, CommandError, Path, Reply},
    snapshot::{JoinStage, Snapshot, Status, TaskState},
    wire::Skill,
};

use crate::{Handle, Options, RelayServer, StartError, Store, start};

/// How long anything may take before a test fails. Generous: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(30);

fn localhost(rest: &str) -> Multiaddr {
    format!("/ip4/127.0.0.1/{rest}").parse().expect(rest)
}

async fn relay(server: RelayServer) -> Handle {
    let mut options = Options { relay_server: Some(server), ..Options::default() };
    options.config.agent = false;
    options.config.reserve = false;
    options.listen = ["tcp/0", "tcp/0/ws", "udp/0/quic-v1", "udp/0/webrtc-direct"].map(localhost).into();
    start(options).await.expect("the relay starts")
}

/// The relay's address over one transport, ending in its id.
async fn address(relay: &Handle, path: Path) -> Multiaddr {
    until(relay, |snapshot| snapshot.me.addrs.iter().find(|addr| Path::of(addr) == path).cloned())
        .await
        .with_p2p(relay.peer_id())
        .expect("its own id")
}

async fn joining(relay: &Handle, path: Path) -> Handle {
    let mut options = Options { relays: vec![address(relay, path).await], ..Options::default() };
    if path == Path::WebrtcDirect {
        // libp2p-webrtc dials from the socket of a listener.
        options.listen = vec![localhost("udp/0/webrtc-direct")];
    }
    start(options).await.expect("a peer starts")
}

async fn joined(relay: &Handle, path: Path) -> Handle {
    let node = joining(relay, path).await;
    until(&node, |snapshot| (snapshot.join.stage == JoinStage::Joined).then_some(())).await;
    node
}

/// What `condition` gives for the first snapshot for which it gives anything.
async fn until<T>(node: &Handle, condition: impl Fn(&Snapshot) -> Option<T>) -> T {
    let mut snapshots = node.snapshots();
    let search = async {
        loop {
            let snapshot = snapshots.next().await.expect("the node runs");
            if let Some(found) = condition(&snapshot) {
                return found;
            }
        }
    };
    match tokio::time::timeout(PATIENCE, search).await {
        Ok(found) => found,
        Err(_) => panic!("it did not happen; last seen: {:#?}", node.snapshot()),
    }
}

async fn sees(node: &Handle, other: &Handle) {
    let other = other.peer_id();
    until(node, |snapshot| {
        snapshot.peers.rows.iter().find(|row| row.peer_id == other && row.status == Status::Idle).map(drop)
    })
    .await;
}

#[tokio::test]
async fn peers_join_over_every_transport_and_get_answers_from_each_other() {
    let relay = relay(RelayServer::default()).await;
    let mut nodes = Vec::new();
    for path in [Path::Tcp, Path::Websocket, Path::Quic, Path::WebrtcDirect] {
        let node = joined(&relay, path).await;
        let seen = until(&node, |snapshot| snapshot.join.relays.first().map(|relay| relay.path)).await;
        assert_eq!(seen, path);
        nodes.push(node);
    }
    for node in &nodes {
        for other in nodes.iter().filter(|other| other.peer_id() != node.peer_id()) {
            sees(node, other).await;
        }
    }
    let (asking, answering) = (&nodes[0], &nodes[3]);
    let done = asking.ask(answering.peer_id(), Skill::echo(), "hello".into(), PATIENCE).await.expect("an answer");
    assert_eq!((done.state, done.output.as_deref()), (TaskState::Completed, Some("hello")));
    let stats = relay.relay_stats();
    assert_eq!(stats.reservations, 4);
    assert!(stats.bytes_sent > 0 && stats.bytes_received > 0, "{stats:?}");
    assert!(relay.encode_metrics().ends_with("# EOF\n"));
}

#[tokio::test]
async fn a_full_relay_says_so() {
    let relay = relay(RelayServer { reservations_max: 1, ..RelayServer::default() }).await;
    let _first = joined(&relay, Path::Tcp).await;
    let second = joining(&relay, Path::Tcp).await;
    let problem = until(&second, |snapshot| snapshot.join.problem.clone()).await;
    assert!(problem.what.contains("full") || problem.what.contains("room"), "{problem:?}");
    assert_eq!(relay.relay_stats().reservations, 1);
    assert!(relay.relay_stats().reservations_denied >= 1);
}

#[tokio::test]
async fn a_port_in_use_is_an_error_of_start() {
    let held = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = held.local_addr().expect("bound").port();
    let options = Options { listen: vec![localhost(&format!("tcp/{port}"))], ..Options::default() };
    assert!(matches!(start(options).await, Err(StartError::Listen { .. })));
}

#[tokio::test]
async fn a_port_of_another_node_is_an_error_of_start() {
    for rest in ["tcp/0", "udp/0/quic-v1", "udp/0/webrtc-direct"] {
        let options = Options { listen: vec![localhost(rest)], ..Options::default() };
        let first = start(options).await.expect("starts");
        let taken = until(&first, |snapshot| snapshot.me.addrs.first().cloned()).await;
        let taken = taken.iter().filter(|part| !matches!(part, Part::Certhash(_))).collect();
        let options = Options { listen: vec![taken], ..Options::default() };
        assert!(matches!(start(options).await, Err(StartError::Listen { .. })), "{rest}");
    }
}

#[tokio::test]
async fn a_node_on_the_same_directory_is_the_same_peer_at_the_same_address() {
    let mut id = [0; 8];
    getrandom::fill(&mut id).expect("randomness");
    let dir = std::env::temp_dir().join(format!("mycomesh-node-{}", u64::from_ne_bytes(id)));
    let port = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound").port();
    let mut seen = Vec::new();
    for _ in 0..2 {
        let store = Store::Dir(dir.clone());
        let listen = vec![localhost(&format!("udp/{port}/webrtc-direct"))];
        let node = start(Options { store, listen, ..Options::default() }).await.expect("starts");
        let addr = until(&node, |snapshot| snapshot.me.addrs.first().cloned()).await;
        seen.push((node.peer_id(), addr));
        node.stop().await;
    }
    std::fs::remove_dir_all(&dir).expect("removed");
    assert_eq!(seen[0], seen[1]);
}

#[tokio::test]
async fn a_stopped_node_answers_every_command() {
    let node = start(Options::default()).await.expect("starts");
    let (mut snapshots, mut events) = (node.snapshots(), node.events());
    node.stop().await;
    assert_eq!(node.command(Command::SetBusy(true)).await, Err(CommandError::Stopping));
    node.stop().await;
    while snapshots.next().await.is_some() {}
    while events.next().await.is_some() {}
}

#[tokio::test]
async fn a_skill_is_found_in_the_dht_and_its_provider_can_be_dialled() {
    let hub = start(Options { listen: vec![localhost("tcp/0")], ..Options::default() }).await.expect("starts");
    let to_hub = address(&hub, Path::Tcp).await;
    let mut options = Options { listen: vec![localhost("tcp/0")], ..Options::default() };
    let skill = Skill::new("haiku").expect("a skill");
    options.profile.skills.insert(skill.clone());
    let poet = start(options).await.expect("starts");
    poet.handle_skill(skill.clone(), |_, _, _| Box::pin(async { Ok("five seven five".to_owned()) }));
    let reader = start(Options { listen: vec![localhost("tcp/0")], ..Options::default() }).await.expect("starts");
    for node in [&poet, &reader] {
        node.command(Command::Connect(to_hub.clone())).await.expect("connects");
    }
    let search = async {
        loop {
            match reader.command(Command::FindSkill(skill.clone())).await.expect("searches") {
                Reply::Peers(peers)
                    if peers.iter().any(|(peer, addrs)| *peer == poet.peer_id() && !addrs.is_empty()) =>
                {
                    break;
                }
                _ => tokio::time::sleep(Duration::from_millis(200)).await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, search).await.expect("the provider is found");
    let done = reader.ask(poet.peer_id(), skill, "please".into(), PATIENCE).await.expect("an answer");
    assert_eq!(done.output.as_deref(), Some("five seven five"));
}

/// A free port of this machine. Somebody else may take it before it is used, which nobody here does.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound").port()
}

async fn reaches(node: &Handle, other: &Handle, path: Path) {
    let other = other.peer_id();
    let at =
        |snapshot: &Snapshot| snapshot.peers.rows.iter().find(|row| row.peer_id == other && row.path == path).map(drop);
    until(node, at).await;
}

#[tokio::test]
async fn a_relayed_link_gives_way_to_a_direct_one_and_no_question_is_lost() {
    let relay = relay(RelayServer::default()).await;
    let inside = joined(&relay, Path::Tcp).await;
    // It announces an address at which nothing answers, so that they meet at the relay.
    let here = localhost(&format!("tcp/{}", free_port()));
    let mut options = Options { relays: vec![address(&relay, Path::Tcp).await], ..Options::default() };
    options.listen = vec![here.clone()];
    options.external = vec!["/ip4/192.0.2.1/tcp/9".parse().expect("an address")];
    let outside = start(options).await.expect("a peer starts");
    sees(&outside, &inside).await;
    let ask = async |n: u32| {
        let done = outside.ask(inside.peer_id(), Skill::echo(), n.to_string(), PATIENCE).await.expect("an answer");
        assert_eq!(done.output, Some(n.to_string()));
    };
    ask(0).await;
    reaches(&outside, &inside, Path::Relayed).await;
    assert!(relay.relay_stats().circuits > 0);

    // Somebody tells where it really is.
    let here = here.with_p2p(outside.peer_id()).expect("its own id");
    inside.command(Command::Connect(here)).await.expect("it is connected already");
    let upgraded = async {
        reaches(&inside, &outside, Path::Tcp).await;
        reaches(&outside, &inside, Path::Tcp).await;
        while relay.relay_stats().circuits > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let asking = async {
        for n in 1.. {
            ask(n).await;
        }
    };
    tokio::time::timeout(2 * PATIENCE, future::select(pin!(upgraded), pin!(asking)))
        .await
        .expect("the circuit is closed");
    ask(u32::MAX).await;
}
