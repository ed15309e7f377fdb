//! `/webrtc` between real swarms with a real relay. Only the peer connections are stand-ins.

use std::time::Duration;

use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use mycomesh_webrtc::Config;

use crate::support::backend::Script;
use crate::support::node::{Happened, Node, RelayNode};

/// For attempts that are meant to run out of time.
fn impatient() -> Config {
    Config { attempt_timeout: Duration::from_secs(2), ..Config::default() }
}

/// Where a peer is once there is a connection with it.
fn known(peer: PeerId) -> Multiaddr {
    Multiaddr::from(Protocol::WebRTC).with(Protocol::P2p(peer))
}

fn is_relayed_with(peer: PeerId) -> impl Fn(&Happened) -> bool {
    move |happened| matches!(happened, Happened::Connected { peer: with, is_direct: false, .. } if *with == peer)
}

#[track_caller]
fn check_error(error: &str, expect: &str) {
    assert!(error.contains(expect), "{expect} is not in {error}");
}

#[tokio::test]
async fn a_dial_makes_the_relayed_connection_it_needs() {
    let relay = RelayNode::new().await;
    let (mut ben, address) = Node::listening_at(Config::default(), &relay).await;
    let mut ada = Node::new();
    let dial = ada.dial(ben.running.id, &address);
    ada.running.until(is_relayed_with(ben.running.id)).await;
    ada.connected(dial).await;
    let taken = ben.taken(ada.running.id).await;
    ada.pinged(dial).await;
    ben.pinged(taken).await;
    assert_eq!((ada.mock.opened(), ben.mock.opened()), (1, 1));
    assert_eq!((ada.mock.alive(), ben.mock.alive()), (0, 0));
}

#[tokio::test]
async fn a_dial_uses_the_relayed_connection_that_is_there() {
    let relay = RelayNode::new().await;
    let (ben, address) = Node::listening_at(Config::default(), &relay).await;
    for how in [known(ben.running.id), address] {
        let mut ada = Node::new();
        ada.meet(ben.running.id, &relay).await;
        let dial = ada.dial(ben.running.id, &how);
        let next = ada.running.until(|happened| matches!(happened, Happened::Connected { .. })).await;
        let expect = Happened::Connected { peer: ben.running.id, id: dial, is_direct: true, is_dialer: true };
        assert_eq!(next, expect, "no other connection was made");
    }
}

#[tokio::test]
async fn the_one_who_was_dialled_can_dial_back_without_an_address() {
    let relay = RelayNode::new().await;
    let (mut ben, _) = Node::listening_at(Config::default(), &relay).await;
    let mut ada = Node::new();
    ada.listen("/webrtc".parse().expect("an address"));
    ada.meet(ben.running.id, &relay).await;
    ben.running.until(is_relayed_with(ada.running.id)).await;
    let dial = ben.dial(ada.running.id, &known(ada.running.id));
    ben.connected(dial).await;
    ben.pinged(dial).await;
}

#[tokio::test]
async fn both_may_dial_at_once() {
    let relay = RelayNode::new().await;
    let (mut ben, bens) = Node::listening_at(Config::default(), &relay).await;
    let (mut ada, adas) = Node::listening_at(Config::default(), &relay).await;
    let (there, back) = (ada.dial(ben.running.id, &bens), ben.dial(ada.running.id, &adas));
    let seen = tokio::join!(
        async {
            ada.connected(there).await;
            ada.pinged(there).await;
        },
        async {
            ben.connected(back).await;
            ben.pinged(back).await;
        }
    );
    assert_eq!(seen, ((), ()));
    assert_eq!((ada.mock.opened(), ben.mock.opened()), (2, 2));
}

#[tokio::test]
async fn the_connection_outlives_the_relay() {
    let relay = RelayNode::new().await;
    let (mut ben, address) = Node::listening_at(Config::default(), &relay).await;
    let mut ada = Node::new();
    let dial = ada.dial(ben.running.id, &address);
    let relayed = ada.running.until(is_relayed_with(ben.running.id)).await;
    ada.connected(dial).await;
    let taken = ben.taken(ada.running.id).await;
    relay.kill();
    let Happened::Connected { id: relayed, .. } = relayed else { panic!("{relayed:?}") };
    ada.running.until(|happened| *happened == Happened::Closed(relayed)).await;
    for _ in 0..3 {
        ada.pinged(dial).await;
        ben.pinged(taken).await;
    }
}

#[tokio::test]
async fn a_held_stream_keeps_the_relayed_connection_alive_and_a_finished_one_does_not() {
    let relay = RelayNode::new().await;
    let (ben, address) = Node::listening_at(impatient(), &relay).await;
    let mut ada = Node::with_idle(impatient(), Duration::from_millis(500));
    ben.mock.set(Script::Hangs);
    let dial = ada.dial(ben.running.id, &address);
    let Happened::Connected { id: relayed, .. } = ada.running.until(is_relayed_with(ben.running.id)).await else {
        unreachable!("that is what was waited for")
    };
    let is_over = |happened: &Happened| match happened {
        Happened::Closed(id) => *id == relayed,
        Happened::Failed(id, _) => *id == dial,
        _ => false,
    };
    assert!(matches!(ada.running.until(is_over).await, Happened::Failed(..)), "held for two seconds, idle for none");
    ada.running.until(is_over).await;

    ben.mock.set(Script::Connects);
    let dial = ada.dial(ben.running.id, &address);
    let Happened::Connected { id: relayed, .. } = ada.running.until(is_relayed_with(ben.running.id)).await else {
        unreachable!("that is what was waited for")
    };
    ada.connected(dial).await;
    ada.running.until(|happened| *happened == Happened::Closed(relayed)).await;
}

#[tokio::test]
async fn identify_names_the_signalling_protocol_on_every_connection() {
    let relay = RelayNode::new().await;
    let (ben, _) = Node::listening_at(Config::default(), &relay).await;
    let mut ada = Node::new();
    ada.meet(ben.running.id, &relay).await;
    let protocol = "/webrtc-signaling/0.0.1".to_owned();
    let speaks = |happened: &Happened| match happened {
        Happened::Speaks(peer, protocols) => *peer == ben.running.id && protocols.contains(&protocol),
        _ => false,
    };
    ada.running.until(speaks).await;
    let dial = ada.dial(ben.running.id, &known(ben.running.id));
    ada.connected(dial).await;
    ada.running.until(speaks).await;
}

#[tokio::test]
async fn without_room_attempts_are_refused() {
    let relay = RelayNode::new().await;
    let (ben, address) = Node::listening_at(Config { inbound_max: 0, ..Config::default() }, &relay).await;
    let mut ada = Node::new();
    let dial = ada.dial(ben.running.id, &address);
    check_error(&ada.failed(dial).await, "Refused");
    assert_eq!(ben.mock.opened(), 0);

    // One each, two in all; and room again once the attempts are over.
    let caps = Config { inbound_max: 2, inbound_per_peer_max: 1, ..Config::default() };
    let (ben, address) = Node::listening_at(caps, &relay).await;
    ben.mock.set(Script::Hangs);
    let (mut bob, mut cat) = (Node::new(), Node::new());
    let first = ada.dial(ben.running.id, &address);
    ben.mock.until_opened(1).await;
    let second = ada.dial(ben.running.id, &address);
    check_error(&ada.failed(second).await, "Refused");
    let bobs = bob.dial(ben.running.id, &address);
    ben.mock.until_opened(2).await;
    let cats = cat.dial(ben.running.id, &address);
    check_error(&cat.failed(cats).await, "Refused");
    // An attempt counts for as long as it lasts, and this is longer than the least that any counts.
    tokio::time::sleep(Duration::from_secs(6)).await;
    let third = ada.dial(ben.running.id, &address);
    check_error(&ada.failed(third).await, "Refused");
    ben.mock.fail_all();
    check_error(&ada.failed(first).await, "Refused");
    check_error(&bob.failed(bobs).await, "Refused");
    assert_eq!(ben.mock.opened(), 2, "what is refused costs no peer connection");
    // There is room again, a while after.
    ben.mock.set(Script::Connects);
    loop {
        let again = cat.dial(ben.running.id, &address);
        match cat.outcome(again).await {
            Ok(()) => break,
            Err(error) => check_error(&error, "Refused"),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn a_flood_of_offers_costs_only_its_sender() {
    for script in [Script::FindsNoPath, Script::Hangs] {
        let relay = RelayNode::new().await;
        let (ben, address) = Node::listening_at(Config::default(), &relay).await;
        let mut eve = Node::new();
        eve.mock.set(script);
        eve.meet(ben.running.id, &relay).await;
        let eves = known(ben.running.id);
        let mut dials = Vec::new();
        for number in 0..1_000 {
            dials.push(eve.dial(ben.running.id, &eves));
            if number == 500 {
                let mut ada = Node::new();
                let dial = ada.dial(ben.running.id, &address);
                ada.connected(dial).await;
                ada.pinged(dial).await;
            }
        }
        let mut ada = Node::new();
        let dial = ada.dial(ben.running.id, &address);
        ada.connected(dial).await;
        ada.pinged(dial).await;
        let alive = ben.mock.alive();
        assert!(alive <= Config::default().inbound_per_peer_max, "{script:?}: {alive} attempts of one peer");
        // Four of the flood in five seconds, and Ada's. Fifty would take a minute.
        assert!(ben.mock.opened() < 50, "{script:?}: {} peer connections", ben.mock.opened());
    }
}

#[tokio::test]
async fn without_a_way_to_the_peer_the_reason_is_told() {
    let relay = RelayNode::new().await;
    let mut ada = Node::new();
    let nobody = Node::new().running.id;
    let dial = ada.dial(nobody, &relay.webrtc(nobody));
    let error = ada.failed(dial).await;
    check_error(&error, "NoRelay");
    check_error(&error, "reservation");

    let dial = ada.dial(nobody, &known(nobody));
    check_error(&ada.failed(dial).await, "no relay is named");

    let gone = Multiaddr::from(Protocol::Memory(u64::MAX))
        .with(Protocol::P2p(PeerId::from(libp2p::identity::Keypair::generate_ed25519().public())));
    let dial = ada.dial(nobody, &gone.with(Protocol::P2pCircuit).with(Protocol::WebRTC).with(Protocol::P2p(nobody)));
    check_error(&ada.failed(dial).await, "NoRelay");
    assert_eq!(ada.mock.opened(), 0, "no peer connection without a stream");
}

#[tokio::test]
async fn a_peer_that_does_not_speak_it_is_not_asked_twice() {
    let relay = RelayNode::new().await;
    let mut ada = Node::new();
    let id = relay.running.id;
    let dial = ada.dial(id, &relay.address);
    ada.connected(dial).await;
    let dial = ada.dial(id, &known(id));
    check_error(&ada.failed(dial).await, "does not take WebRTC");
}

#[tokio::test]
async fn attempts_end_in_time_and_say_where_they_stood() {
    let relay = RelayNode::new().await;
    let (ben, address) = Node::listening_at(Config::default(), &relay).await;
    let mut ada = Node::with(impatient());
    ben.mock.set(Script::Hangs);
    let dial = ada.dial(ben.running.id, &address);
    check_error(&ada.failed(dial).await, "waiting for the other side's answer");
    ada.quiet().await;
    ben.quiet().await;

    // The other way round: a remote that offers nothing.
    let (mut ben, address) = Node::listening_at(impatient(), &relay).await;
    let ada = Node::new();
    ada.mock.set(Script::Hangs);
    ada.dial(ben.running.id, &address);
    let failed = ben.running.until(|happened| matches!(happened, Happened::IncomingFailed(_))).await;
    check_error(&format!("{failed:?}"), "waiting for the other side's offer");
}

#[tokio::test]
async fn failures_of_peer_connections_are_told() {
    let relay = RelayNode::new().await;
    let (ben, address) = Node::listening_at(Config::default(), &relay).await;
    for (adas, bens, expect) in [
        (Script::IsUsedUp, Script::Connects, "Budget"),
        (Script::Connects, Script::IsUsedUp, "Refused"),
        (Script::FindsNoPath, Script::Connects, "IceFailed"),
        (Script::HasNoNetwork, Script::HasNoNetwork, "NoCandidates"),
    ] {
        let mut ada = Node::new();
        ada.mock.set(adas);
        ben.mock.set(bens);
        let dial = ada.dial(ben.running.id, &address);
        check_error(&ada.failed(dial).await, expect);
        ada.quiet().await;
        ben.quiet().await;
    }
}

#[tokio::test]
async fn candidates_of_one_side_are_enough() {
    let relay = RelayNode::new().await;
    let (ben, address) = Node::listening_at(Config::default(), &relay).await;
    let mut ada = Node::new();
    ada.mock.set(Script::HasNoNetwork);
    let dial = ada.dial(ben.running.id, &address);
    ada.connected(dial).await;
}

#[tokio::test]
async fn a_cancelled_dial_leaves_nothing_behind() {
    let relay = RelayNode::new().await;
    let (ben, address) = Node::listening_at(Config::default(), &relay).await;
    let mut ada = Node::new();
    ben.mock.set(Script::Hangs);
    let dial = ada.dial(ben.running.id, &address);
    ben.mock.until_opened(1).await;
    ada.mock.until_opened(1).await;
    assert_eq!(ada.mock.alive(), 1);
    let id = ben.running.id;
    ada.running.act(move |swarm| {
        let _ = swarm.disconnect_peer_id(id);
    });
    check_error(&ada.failed(dial).await, "Aborted");
    ada.quiet().await;
    ben.quiet().await;
}

#[tokio::test]
async fn listen_addresses_follow_reservations() {
    let (first, second) = (RelayNode::new().await, RelayNode::new().await);
    let (mut ben, at_first) = Node::listening_at(Config::default(), &first).await;
    let id = ben.running.id;
    let at_second = second.webrtc(id);
    ben.listen(second.circuit());
    ben.running.until(|happened| *happened == Happened::Listening(at_second.clone())).await;
    first.kill();
    ben.running.until(|happened| *happened == Happened::Expired(at_first.clone())).await;

    let mut ada = Node::new();
    let dial = ada.dial(id, &at_second);
    ada.connected(dial).await;
    // No second listener beside the first, and none after it is removed.
    ben.running.act(|swarm| {
        let address: Multiaddr = "/webrtc".parse().expect("an address");
        assert!(swarm.listen_on(address).is_err());
    });
}

#[tokio::test]
async fn a_removed_listener_takes_nothing_and_may_come_back() {
    let relay = RelayNode::new().await;
    let mut ben = Node::new();
    let (tell, told) = tokio::sync::oneshot::channel();
    let webrtc: Multiaddr = "/webrtc".parse().expect("an address");
    let listened = webrtc.clone();
    ben.running.act(move |swarm| {
        let id = swarm.listen_on(listened).expect("the first");
        tell.send(id).expect("the test waits");
    });
    let listener = told.await.expect("an id");
    let mut ada = Node::new();
    ben.listen(relay.circuit());
    let address = relay.webrtc(ben.running.id);
    ben.running.until(|happened| *happened == Happened::Listening(address.clone())).await;
    ben.running.act(move |swarm| assert!(swarm.remove_listener(listener)));
    ben.running.until(|happened| *happened == Happened::ListenerClosed).await;
    let dial = ada.dial(ben.running.id, &address);
    check_error(&ada.failed(dial).await, "Refused");

    // The reservation is still there, and so the address is.
    ben.listen(webrtc);
    ben.running.until(|happened| *happened == Happened::Listening(address.clone())).await;
    let dial = ada.dial(ben.running.id, &address);
    ada.connected(dial).await;
}
