//! A task's way: asked, answered, rated, and remembered on both sides.

use mycomesh_tests::{Peer, PeerFlags, Relay, row};
use serde_json::{Value, json};

/// The receipt of `task` as evidence behind the trust that `peer` has in `provider`.
async fn evidence(peer: &mut Peer, provider: &str, task: &str) -> Value {
    let what = format!("to show the receipt of {task} behind the trust in {provider}");
    peer.until(&what, |snapshot| {
        let trust = if snapshot["me"]["peer_id"] == provider {
            snapshot["me"]["trust"].clone()
        } else {
            row(snapshot, "peers", "peer_id", provider)?["trust"].clone()
        };
        trust["evidence"].as_array()?.iter().find(|receipt| receipt["task"] == task).map(|_| trust.clone())
    })
    .await
}

#[tokio::test]
async fn asked_answered_and_rated_leaves_a_receipt_on_both_sides_for_good() {
    let mut relay = Relay::start().await;
    let via = relay.address("ws").to_owned();
    let dirs = [tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder")];
    let start = |side: usize| {
        let (relays, dir) = (vec![via.as_str()], Some(dirs[side].path()));
        Peer::start(PeerFlags { relays, dir, ..PeerFlags::default() })
    };
    let (mut asker, mut helper) = (start(0).await, start(1).await);
    let ids = [asker.id.clone(), helper.id.clone()];
    let before = asker.sees(&ids[1], "idle").await["trust"]["score"].clone();
    helper.sees(&ids[0], "idle").await;

    let task = asker.ask(&ids[1], "human", "what is the capital of Peru?", 600).await;
    let asked = helper.task(&task, "input-required").await;
    assert_eq!(asked["input"], "what is the capital of Peru?");
    assert_eq!((&asked["direction"], &asked["peer"]), (&json!("in"), &json!(ids[0])));
    let answered = helper.tell(json!({ "do": "answer", "task": task, "output": "Lima" })).await;
    assert_eq!(answered, Ok(Value::Null));
    assert_eq!(asker.task(&task, "completed").await["output"], "Lima");
    asker.rate(&task, 9_000).await;

    let after = evidence(&mut asker, &ids[1], &task).await;
    assert_ne!(after["score"], before, "trust in the helper changed");
    let receipt = &evidence(&mut helper, &ids[1], &task).await["evidence"][0];
    assert_eq!((&receipt["signer"], &receipt["quality"]), (&json!(ids[0]), &json!(9_000)));
    assert_eq!(receipt["outcome"], "completed");
    asker.stop().await;
    helper.kill().await;

    // Nobody is there to tell them anything: what they know now, they kept.
    relay.kill().await;
    let (mut asker, mut helper) = (start(0).await, start(1).await);
    assert_eq!([&asker.id, &helper.id], [&ids[0], &ids[1]], "the keys were kept");
    evidence(&mut helper, &ids[1], &task).await;
    assert_eq!(asker.task(&task, "completed").await["output"], "Lima");
    assert_eq!(helper.task(&task, "completed").await["rating"], 9_000);

    relay.restart().await;
    asker.sees(&ids[1], "idle").await;
    assert_eq!(evidence(&mut asker, &ids[1], &task).await["score"], after["score"]);
}

#[tokio::test]
async fn a_provider_that_accepts_and_vanishes_leaves_a_failed_receipt() {
    let relay = Relay::start().await;
    let mut asker = Peer::join(relay.address("ws")).await;
    let flags = PeerFlags { relays: vec![relay.address("ws")], skills: "stall", ..PeerFlags::default() };
    let helper = Peer::start(flags).await;
    let id = helper.id.clone();
    asker.sees(&id, "idle").await;
    let task = asker.ask(&id, "stall", "please", 5).await;
    asker.task(&task, "working").await;
    helper.kill().await;
    asker.task(&task, "failed").await;
    let trust = evidence(&mut asker, &id, &task).await;
    assert_eq!(trust["evidence"][0]["outcome"], "expired", "{trust}");
    assert_eq!(trust["evidence"][0]["signer"], asker.id);
}

#[tokio::test]
async fn who_has_its_one_slot_taken_is_busy_until_it_is_free_again() {
    let relay = Relay::start().await;
    let mut asker = Peer::join(relay.address("ws")).await;
    let mut helper = Peer::join(relay.address("tcp")).await;
    let id = helper.id.clone();
    asker.sees(&id, "idle").await;
    let task = asker.ask(&id, "human", "a riddle", 600).await;
    asker.sees(&id, "busy").await;
    helper.tell(json!({ "do": "answer", "task": task, "output": "a river" })).await.expect("it may answer");
    asker.sees(&id, "idle").await;

    helper.tell(json!({ "do": "busy", "busy": true })).await.expect("its own switch");
    asker.sees(&id, "busy").await;
}

#[tokio::test]
async fn an_answer_after_a_cancel_is_refused_with_a_reason() {
    let relay = Relay::start().await;
    let mut asker = Peer::join(relay.address("ws")).await;
    let mut helper = Peer::join(relay.address("ws")).await;
    asker.sees(&helper.id, "idle").await;
    let task = asker.ask(&helper.id, "human", "never mind", 600).await;
    helper.task(&task, "input-required").await;
    asker.tell(json!({ "do": "cancel", "task": task })).await.expect("it may cancel");
    helper.task(&task, "canceled").await;
    let refused = helper.tell(json!({ "do": "answer", "task": task, "output": "too late" })).await;
    assert!(refused.as_ref().is_err_and(|reason| reason.contains("canceled")), "{refused:?}");
    asker.task(&task, "canceled").await;
}

#[tokio::test]
async fn a_task_to_a_peer_that_left_waits_for_it_and_then_fails() {
    let relay = Relay::start().await;
    let mut asker = Peer::join(relay.address("ws")).await;
    let helper = Peer::join(relay.address("ws")).await;
    let id = helper.id.clone();
    asker.sees(&id, "idle").await;
    helper.stop().await;
    asker.sees(&id, "offline").await;
    let task = asker.ask(&id, "echo", "anybody there?", 3).await;
    let row = asker.task(&task, "failed").await;
    assert!(row["problem"].as_str().is_some_and(|problem| !problem.is_empty()), "{row}");
}

#[tokio::test]
async fn a_question_that_was_asked_offline_is_delivered_when_its_peer_is_back() {
    let relay = Relay::start().await;
    let dir = tempfile::tempdir().expect("a folder");
    let start =
        || Peer::start(PeerFlags { relays: vec![relay.address("ws")], dir: Some(dir.path()), ..PeerFlags::default() });
    let mut asker = Peer::join(relay.address("ws")).await;
    let helper = start().await;
    let id = helper.id.clone();
    asker.sees(&id, "idle").await;
    helper.stop().await;
    asker.sees(&id, "offline").await;
    let task = asker.ask(&id, "echo", "are you back?", 600).await;
    let _helper = start().await;
    assert_eq!(asker.task(&task, "completed").await["output"], "are you back?");
}
