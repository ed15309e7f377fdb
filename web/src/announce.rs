//! What is said aloud (to assistive technology) and shortly shown when something happens.

use libp2p_identity::PeerId;
use mycomesh_core::{
    io::Event,
    snapshot::{JoinStage, LogEntry, TaskState},
};

/// New happenings in words.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct News {
    /// Who came and went: announced politely, not shown, since bar and table show it.
    pub spoken: Option<String>,
    /// What concerns the person: shown as well.
    pub shown: Vec<String>,
}

/// What happened after entry number `seen`.
pub fn news(log: &[LogEntry], seen: u64, name: impl Fn(&PeerId) -> String) -> News {
    let fresh = || log.iter().filter(|entry| entry.number > seen).map(|entry| &entry.event);
    let came: Vec<&PeerId> = fresh()
        .filter_map(|event| if let Event::PeerDiscovered { peer } = event { Some(peer) } else { None })
        .collect();
    let left: Vec<&PeerId> =
        fresh().filter_map(|event| if let Event::PeerLost { peer, .. } = event { Some(peer) } else { None }).collect();
    let spoken: Vec<String> =
        [group(&came, &name, "is here", "peers are here"), group(&left, &name, "left", "peers left")]
            .into_iter()
            .flatten()
            .collect();
    let lost = relay_lost(log, seen).then(|| "The relay is gone; calling it again".to_owned());
    let shown = fresh().filter_map(|event| personal(event, &name)).chain(lost).collect();
    News { spoken: (!spoken.is_empty()).then(|| spoken.join("; ")), shown }
}

/// Whether joining fell back after entry `seen`.
fn relay_lost(log: &[LogEntry], seen: u64) -> bool {
    let mut joins = log.iter().filter_map(|entry| match &entry.event {
        Event::Join { stage, .. } => Some((entry.number, *stage)),
        _ => None,
    });
    let mut before = None;
    joins.any(|(number, stage)| {
        let fell = before == Some(JoinStage::Joined) && stage != JoinStage::Joined;
        before = Some(stage);
        fell && number > seen
    })
}

fn group(peers: &[&PeerId], name: impl Fn(&PeerId) -> String, one: &str, many: &str) -> Option<String> {
    match peers {
        [] => None,
        [peer] => Some(format!("{} {one}", name(peer))),
        peers => Some(format!("{} {many}", peers.len())),
    }
}

fn personal(event: &Event, name: impl Fn(&PeerId) -> String) -> Option<String> {
    match event {
        Event::Task { peer, incoming: true, state: TaskState::InputRequired, .. } => {
            Some(format!("{} asks you something", name(peer)))
        }
        Event::Task { peer, incoming: false, state: TaskState::Completed, .. } => {
            Some(format!("{} answered", name(peer)))
        }
        Event::Task { peer, incoming: false, state: TaskState::Rejected, .. } => {
            Some(format!("{} declined", name(peer)))
        }
        Event::Task { peer, incoming: false, state: TaskState::Failed, .. } => {
            Some(format!("The task you gave {} failed", name(peer)))
        }
        Event::Task { peer, incoming: true, state: TaskState::Canceled, .. } => {
            Some(format!("{} withdrew a task", name(peer)))
        }
        Event::Join { stage: JoinStage::Joined, .. } => Some("Joined: others can reach you".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use mycomesh_core::{
        time::UnixMillis,
        wire::{Skill, TaskId},
    };

    use super::*;

    fn peer(n: u8) -> PeerId {
        libp2p_identity::Keypair::ed25519_from_bytes([n; 32]).expect("a key").public().to_peer_id()
    }

    fn log(events: Vec<Event>) -> Vec<LogEntry> {
        let numbered = events.into_iter().zip(1..);
        numbered.map(|(event, number)| LogEntry { number, at: UnixMillis(number), event }).collect()
    }

    fn told(events: Vec<Event>, seen: u64) -> News {
        news(&log(events), seen, |who| if *who == peer(1) { "Ada".into() } else { "Bob".into() })
    }

    #[test]
    fn arrivals_are_summed_up() {
        let came = |n| Event::PeerDiscovered { peer: peer(n) };
        assert_eq!(told(vec![came(1)], 0).spoken.as_deref(), Some("Ada is here"));
        let left = Event::PeerLost { peer: peer(1), goodbye: true };
        assert_eq!(told(vec![came(1), came(2), left], 0).spoken.as_deref(), Some("2 peers are here; Ada left"));
    }

    #[test]
    fn what_was_told_is_not_told_again() {
        let events = vec![Event::PeerDiscovered { peer: peer(1) }, Event::PeerDiscovered { peer: peer(2) }];
        assert_eq!(told(events.clone(), 1).spoken.as_deref(), Some("Bob is here"));
        assert_eq!(told(events, 2), News::default());
    }

    #[test]
    fn the_loss_of_the_relay_is_told_once() {
        let join = |stage| Event::Join { stage, problem: None };
        let events =
            vec![join(JoinStage::Dialing), join(JoinStage::Joined), join(JoinStage::Dialing), join(JoinStage::Failed)];
        assert_eq!(told(events.clone(), 2).shown, ["The relay is gone; calling it again"]);
        assert!(told(events, 3).shown.is_empty());
        assert!(told(vec![join(JoinStage::Starting), join(JoinStage::Dialing)], 0).shown.is_empty());
    }

    #[test]
    fn answers_are_shown() {
        let task = |incoming, state| Event::Task {
            task: TaskId([1; 16]),
            peer: peer(1),
            incoming,
            skill: Skill::human(),
            state,
        };
        assert_eq!(told(vec![task(false, TaskState::Completed)], 0).shown, ["Ada answered"]);
        assert_eq!(told(vec![task(true, TaskState::InputRequired)], 0).shown, ["Ada asks you something"]);
        assert!(told(vec![task(false, TaskState::Working)], 0).shown.is_empty());
    }
}
