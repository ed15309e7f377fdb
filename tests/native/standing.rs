//! What others think of a peer reaches those who never dealt with it.

use futures::future::join_all;
use mycomesh_tests::{Peer, PeerFlags, Relay};

/// Enough for the rule of five receipts of three signers, and for the trust threshold in the eyes of a stranger who
/// trusts each of them as little as any newcomer.
const RATERS: usize = 4;
const TASKS_EACH: usize = 5;

#[tokio::test]
async fn a_peer_that_several_others_rated_well_is_reputable_to_a_stranger() {
    let relay = Relay::start().await;
    let flags = PeerFlags { relays: vec![relay.address("ws")], slots: RATERS as u32, ..PeerFlags::default() };
    let helper = Peer::start(flags).await;
    let id = helper.id.clone();
    let rate = |_| async {
        let mut rater = Peer::join(relay.address("ws")).await;
        rater.sees(&id, "idle").await;
        for round in 0..TASKS_EACH {
            let task = rater.ask(&id, "echo", &format!("round {round}"), 60).await;
            rater.rate(&task, 10_000).await;
        }
        rater
    };
    let _raters = join_all((0..RATERS).map(rate)).await;
    let mut stranger = Peer::join(relay.address("ws")).await;
    let row = stranger.sees(&id, "reputable").await;
    assert!(row["trust"]["receipts"].as_u64() >= Some(5), "{row}");
    assert!(row["trust"]["signers"].as_u64() >= Some(3), "{row}");
    assert!(row["trust"]["score"].as_u64() >= Some(7_000), "{row}");
}
