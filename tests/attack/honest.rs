//! Peers that keep to the rules: one that stays and answers, and many that come, ask it something and go.

use std::{
    fmt,
    time::{Duration, Instant},
};

use futures::{StreamExt as _, stream};
use multiaddr::{Multiaddr, PeerId};
use mycomesh_core::{
    Profile,
    snapshot::{JoinStage, TaskState},
    wire::Skill,
};
use mycomesh_net::{Handle, Options, start};
use mycomesh_tests::{PATIENCE, Relay};

/// Peers that are on their way at a time.
const AT_ONCE: usize = 4;
/// How long an answer may take before the question counts as lost.
const ANSWER_MAX: Duration = Duration::from_secs(180);
/// When a visit counts as never ending.
const VISIT_MAX: Duration = Duration::from_secs(240);

/// A peer that stays and answers.
pub struct Helper {
    node: Handle,
}

impl Helper {
    /// Start it and wait until it has joined.
    pub async fn start(relay: &Relay) -> Self {
        let profile = Profile { name: "helper".into(), slots: 64, ..Profile::default() };
        let relays = vec![relay.address("tcp").parse().expect("an address")];
        let node = start(Options { profile, relays, ..Options::default() }).await.expect("a peer");
        tokio::time::timeout(PATIENCE, joined(&node)).await.expect("the helper joins");
        Self { node }
    }

    /// Whether it is joined still.
    pub fn was_always_joined(&self) -> bool {
        self.node.snapshot().join.stage == JoinStage::Joined
    }
}

/// How visits went.
pub struct Visits(Vec<Result<Visit, String>>);

/// How long joining took, and how long until the question was answered.
struct Visit {
    joined: Duration,
    answered: Duration,
}

impl Visits {
    /// What went wrong.
    pub fn failures(&self) -> Vec<String> {
        self.0.iter().filter_map(|visit| visit.as_ref().err().cloned()).collect()
    }
}

impl fmt::Display for Visits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let good = || self.0.iter().flatten();
        let joined = Spread::of(good().map(|visit| visit.joined));
        let answered = Spread::of(good().map(|visit| visit.answered));
        write!(f, "{} of {} answered; joined {joined}; answer {answered}", good().count(), self.0.len())
    }
}

struct Spread(Vec<Duration>);

impl Spread {
    fn of(times: impl Iterator<Item = Duration>) -> Self {
        let mut times: Vec<_> = times.collect();
        times.sort();
        Self(times)
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = |percent: usize| self.0.get((self.0.len() * percent).div_ceil(100).saturating_sub(1)).copied();
        write!(f, "p50 {:.2?}, p99 {:.2?}", at(50).unwrap_or_default(), at(99).unwrap_or_default())
    }
}

/// So many peers join, a few at a time, ask the helper something, and go.
pub async fn visits(relay: &Relay, helper: &Helper, count: usize) -> Visits {
    let id = helper.node.peer_id();
    let addrs = ["tcp", "ws"].map(|kind| relay.address(kind).parse::<Multiaddr>().expect("an address"));
    let visits = (0..count).map(|number| {
        let addr = addrs[number % addrs.len()].clone();
        async move {
            let visited = tokio::time::timeout(VISIT_MAX, visit(addr, id, number)).await;
            visited.unwrap_or_else(|_| Err(format!("visit {number} took longer than {VISIT_MAX:?}")))
        }
    });
    Visits(stream::iter(visits).buffer_unordered(AT_ONCE).collect().await)
}

async fn visit(relay: Multiaddr, helper: PeerId, number: usize) -> Result<Visit, String> {
    let begin = Instant::now();
    let node = start(Options { relays: vec![relay], ..Options::default() }).await.map_err(|error| error.to_string())?;
    joined(&node).await;
    let joined = begin.elapsed();
    let question = format!("question {number}");
    // Its presence may come a moment after joining, and a crowd of invented peers may stand before it in every list.
    let mut snapshots = node.snapshots();
    let answer = loop {
        match node.ask(helper, Skill::echo(), question.clone(), ANSWER_MAX).await {
            Ok(task) => break task,
            Err(mycomesh_net::AskError::Command(_)) => _ = snapshots.next().await,
            Err(error) => return Err(format!("visit {number}: {error}")),
        }
    };
    let answered = begin.elapsed() - joined;
    node.stop().await;
    if answer.state == TaskState::Completed && answer.output == Some(question) {
        Ok(Visit { joined, answered })
    } else {
        Err(format!("visit {number} was answered {answer:?}"))
    }
}

async fn joined(node: &Handle) {
    let mut snapshots = node.snapshots();
    while let Some(snapshot) = snapshots.next().await {
        if snapshot.join.stage == JoinStage::Joined {
            return;
        }
    }
}
