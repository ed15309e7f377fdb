//! Joining, losing the relay and getting it back, leaving, and what stands in the way.

use mycomesh_tests::{Peer, PeerFlags, Relay, RelayFlags};
use serde_json::Value;

/// Wait until joining shows a problem whose sentence contains `words`; gives the advice.
async fn problem(peer: &mut Peer, words: &str) -> String {
    peer.until(&format!("to say {words:?}"), |snapshot| {
        let problem = &snapshot["join"]["problem"];
        let said = problem["what"].as_str().is_some_and(|what| what.contains(words));
        said.then(|| problem["advice"].as_str().unwrap_or_default().to_owned())
    })
    .await
}

#[tokio::test]
async fn peers_of_every_transport_see_each_other() {
    let relay = Relay::start().await;
    let mut peers = Vec::new();
    for kind in ["ws", "tcp", "quic-v1"] {
        peers.push(Peer::join(relay.address(kind)).await);
    }
    let ids: Vec<_> = peers.iter().map(|peer| peer.id.clone()).collect();
    for peer in &mut peers {
        peer.joined().await;
        let others: Vec<_> = ids.iter().filter(|id| **id != peer.id).cloned().collect();
        for other in &others {
            peer.sees(other, "idle").await;
        }
        let bar = peer.until("to count three", |snapshot| {
            let bar = &snapshot["bar"];
            (bar["idle"]["count"] == 3).then(|| bar.clone())
        });
        assert_eq!(bar.await["idle"]["percent"], 100);
    }
}

#[tokio::test]
async fn a_relay_that_dies_is_noticed_and_one_that_returns_brings_everybody_back() {
    let mut relay = Relay::start().await;
    let addresses = relay.addresses.clone();
    let mut peers = [Peer::join(relay.address("ws")).await, Peer::join(relay.address("tcp")).await];
    let ids = [peers[0].id.clone(), peers[1].id.clone()];
    peers[0].sees(&ids[1], "idle").await;
    peers[1].sees(&ids[0], "idle").await;
    relay.kill().await;
    for peer in &mut peers {
        peer.until("to leave the stage joined", |snapshot| (snapshot["join"]["stage"] != "joined").then_some(())).await;
        assert!(!problem(peer, "cannot be reached").await.is_empty(), "advice comes with it");
    }
    relay.restart().await;
    assert_eq!(relay.addresses, addresses, "the same addresses, WebRTC's certificate included");
    for (peer, other) in peers.iter_mut().zip([&ids[1], &ids[0]]) {
        peer.joined().await;
        peer.sees(other, "idle").await;
    }
    let task = peers[0].ask(&ids[1], "echo", "still there", 60).await;
    assert_eq!(peers[0].task(&task, "completed").await["output"], "still there");
}

#[tokio::test]
async fn who_says_goodbye_is_offline_at_once() {
    let relay = Relay::start().await;
    let mut stays = Peer::join(relay.address("ws")).await;
    let leaves = Peer::join(relay.address("ws")).await;
    let id = leaves.id.clone();
    stays.sees(&id, "idle").await;
    leaves.stop().await;
    stays.sees(&id, "offline").await;
    let goodbye = |event: &Value| {
        (event["event"]["type"] == "peer-lost" && event["event"]["peer"] == id)
            .then(|| event["event"]["goodbye"].clone())
    };
    assert_eq!(stays.until_event("to lose it", goodbye).await, true, "not by expiry");
}

#[tokio::test]
async fn another_networks_relay_says_so() {
    let relay = Relay::start_with(RelayFlags { network: "garden".into(), ..RelayFlags::default() }).await;
    let flags = PeerFlags { relays: vec![relay.address("ws")], network: "graden", ..PeerFlags::default() };
    let mut peer = Peer::start(flags).await;
    let advice = problem(&mut peer, "does not serve the network \"graden\"").await;
    assert!(advice.contains("name"), "{advice}");
}

#[tokio::test]
async fn a_full_relay_says_so_and_lets_the_next_one_in_when_there_is_room() {
    let config = "[relay]\nreservations_max = 1\n".to_owned();
    let relay = Relay::start_with(RelayFlags { config, ..RelayFlags::default() }).await;
    let mut first = Peer::join(relay.address("ws")).await;
    first.joined().await;
    let mut second = Peer::join(relay.address("ws")).await;
    problem(&mut second, "relay is full").await;
    assert!(relay.metric("mycomesh_relay_denials_total{what=\"reservation\"}").await >= 1.0);
    first.stop().await;
    second.joined().await;
}

#[tokio::test]
async fn a_relay_that_is_not_there_is_named_with_what_to_do() {
    let relay = Relay::start().await;
    let address = relay.address("ws").to_owned();
    drop(relay);
    let mut peer = Peer::join(&address).await;
    assert!(problem(&mut peer, "cannot be reached").await.contains("Check"));
}
