//! Finding a peer and a skill through the DHT alone.

use mycomesh_core::wire::Network;
use mycomesh_tests::{Peer, PeerFlags};
use serde_json::{Value, json};

use crate::stranger::Stranger;

/// Ask again until the DHT names `wanted`: a record needs a moment to arrive.
async fn found(peer: &mut Peer, search: Value, wanted: &str) -> Value {
    let searching = async {
        loop {
            let found = peer.tell(search.clone()).await.unwrap_or_else(|error| panic!("{search}: {error}"));
            let row = found.as_array().expect("peers").iter().find(|row| row["peer_id"] == wanted).cloned();
            if let Some(row) = row.filter(|row| row["addrs"].as_array().is_some_and(|addrs| !addrs.is_empty())) {
                return row;
            }
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    };
    let found = tokio::time::timeout(mycomesh_tests::PATIENCE, searching).await;
    found.unwrap_or_else(|_| panic!("{search} never found {wanted}"))
}

#[tokio::test]
async fn a_peer_and_a_skill_are_found_through_the_dht_alone() {
    // All that both peers know is a DHT server. It has no presence, no gossip and no receipts to tell.
    let mut server = Stranger::new(&Network::default(), false);
    let address = server.listen().await.to_string();
    let _server = tokio::spawn(server.serve());
    let start = |skills| Peer::start(PeerFlags { listens: true, skills, ..PeerFlags::default() });
    let (mut seeker, mut poet) = (start("human").await, start("human,echo,poems").await);
    for peer in [&mut seeker, &mut poet] {
        peer.tell(json!({ "do": "connect", "addr": address })).await.expect("the server is there");
    }

    found(&mut seeker, json!({ "do": "find-skill", "skill": "poems" }), &poet.id).await;
    found(&mut seeker, json!({ "do": "find-peer", "to": poet.id }), &poet.id).await;
    seeker.tell(json!({ "do": "connect-peer", "to": poet.id })).await.expect("what was found can be dialled");
    seeker.sees(&poet.id, "idle").await;
    let task = seeker.ask(&poet.id, "echo", "found you", 60).await;
    assert_eq!(seeker.task(&task, "completed").await["output"], "found you");
}
