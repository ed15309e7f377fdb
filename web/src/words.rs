//! How values are put into words: pure formatting, the same in every view.

use libp2p_identity::PeerId;
use mycomesh_core::{
    io::{Event, Path},
    snapshot::{JoinStage, SecurityEntry, Status, TaskState},
    time::{Millis, UnixMillis},
    units::Bps,
    wire::Outcome,
};

use crate::petname::petname;

/// An id shortened in the middle: enough of both ends to tell two apart.
pub fn short(id: &str) -> String {
    let (head, tail) = (6, 6);
    if id.chars().count() <= head + tail + 1 {
        return id.to_owned();
    }
    let start: String = id.chars().take(head).collect();
    let mut end: Vec<char> = id.chars().rev().take(tail).collect();
    end.reverse();
    format!("{start}…{}", end.into_iter().collect::<String>())
}

/// The end of a peer id, which is where two of them differ.
pub fn tail(peer: &PeerId) -> String {
    let id = peer.to_base58();
    id.chars().skip(id.chars().count().saturating_sub(6)).collect()
}

/// What to call a peer: the name it gave itself, or one made from its id.
pub fn called(name: Option<&str>, peer: &PeerId) -> String {
    match name.map(str::trim) {
        Some(name) if !name.is_empty() => name.to_owned(),
        _ => petname(peer),
    }
}

/// A peer's text inside a sentence of ours, isolated so that its direction does not reorder the rest.
pub fn isolated(text: &str) -> String {
    format!("\u{2068}{text}\u{2069}")
}

/// A round trip.
pub fn rtt(rtt: Option<Millis>) -> String {
    match rtt {
        None => "–".to_owned(),
        Some(Millis(0)) => "< 1 ms".to_owned(),
        Some(Millis(ms)) => format!("{ms} ms"),
    }
}

/// A share in whole percent.
pub fn percent(share: Bps) -> String {
    format!("{} %", (share.get() + 50) / 100)
}

/// A span, coarse as people say it.
pub fn span(span: Millis) -> String {
    let seconds = span.0 / 1_000;
    match seconds {
        0..=59 => format!("{seconds} s"),
        60..=3_599 => format!("{} min", seconds / 60),
        3_600..=86_399 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// How long ago, or in how long.
pub fn relative(at: UnixMillis, now: UnixMillis) -> String {
    const JUST_NOW: Millis = Millis::secs(5);
    if at > now {
        let ahead = at.since(now);
        return if ahead < JUST_NOW { "now".to_owned() } else { format!("in {}", span(ahead)) };
    }
    let age = now.since(at);
    if age < JUST_NOW { "just now".to_owned() } else { format!("{} ago", span(age)) }
}

/// `one peer`, `3 peers`.
pub fn count(number: usize, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {many}") }
}

/// A state's name on the screen.
pub const fn status(status: Status) -> &'static str {
    match status {
        Status::Idle => "Idle",
        Status::Reputable => "Reputable",
        Status::Busy => "Busy",
        Status::Offline => "Offline",
        Status::Unknown => "Unknown",
    }
}

/// What a state means.
pub const fn status_meaning(status: Status) -> &'static str {
    match status {
        Status::Idle => "online and free to take on a task",
        Status::Reputable => "online, free, and trusted on receipts of several signers",
        Status::Busy => "online, working, or switched to busy",
        Status::Offline => "said goodbye, or not heard of for a while",
        Status::Unknown => "seen, but its signed presence has not arrived yet",
    }
}

/// How a peer is reached.
pub const fn path(path: Path) -> &'static str {
    match path {
        Path::None => "not connected",
        Path::Relayed => "relayed",
        Path::Websocket => "WebSocket",
        Path::WebrtcDirect => "WebRTC, direct",
        Path::Tcp => "TCP, direct",
        Path::Quic => "QUIC, direct",
        Path::DirectWebrtc => "direct",
    }
}

/// What a path means, for its tooltip.
pub const fn path_meaning(path: Path) -> &'static str {
    match path {
        Path::None => "no connection to this peer now; one is made when it is asked",
        Path::Relayed => "encrypted end to end, carried by a relay",
        Path::Websocket => "connected over WebSocket, without a relay between",
        Path::WebrtcDirect => "connected over WebRTC to a peer with a public address",
        Path::Tcp => "connected over TCP, without a relay between",
        Path::Quic => "connected over QUIC, without a relay between",
        Path::DirectWebrtc => "browser to browser over WebRTC, without a relay between",
    }
}

/// A stage of joining.
pub const fn stage(stage: JoinStage) -> &'static str {
    match stage {
        JoinStage::Starting => "Starting",
        JoinStage::Identity => "Reading identity",
        JoinStage::Dialing => "Calling a relay",
        JoinStage::Reserving => "Asking for a place",
        JoinStage::Joined => "Joined",
        JoinStage::Failed => "No relay answers",
    }
}

/// The name used in `data-stage`.
pub const fn stage_key(stage: JoinStage) -> &'static str {
    match stage {
        JoinStage::Starting => "starting",
        JoinStage::Identity => "identity",
        JoinStage::Dialing => "dialing",
        JoinStage::Reserving => "reserving",
        JoinStage::Joined => "joined",
        JoinStage::Failed => "failed",
    }
}

/// A task's state, seen from the requester (`out`) or the provider.
pub const fn task_state(state: TaskState, out: bool) -> &'static str {
    match (state, out) {
        (TaskState::Submitted, true) => "Sent",
        (TaskState::Submitted, false) => "Arrived",
        (TaskState::Working, true) => "Accepted",
        (TaskState::Working, false) => "Working",
        (TaskState::InputRequired, true) => "Being answered",
        (TaskState::InputRequired, false) => "Waits for you",
        (TaskState::Completed, true) => "Answered",
        (TaskState::Completed, false) => "Delivered",
        (TaskState::Failed, _) => "Failed",
        (TaskState::Canceled, _) => "Canceled",
        (TaskState::Rejected, _) => "Declined",
    }
}

/// How a task in a receipt ended.
pub const fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Completed => "delivered",
        Outcome::Failed => "failed",
        Outcome::Declined => "declined",
        Outcome::Expired => "never delivered",
        Outcome::Other => "ended otherwise",
    }
}

/// A component of trust.
pub fn component(name: &str) -> String {
    let mut words = name.replace(['_', '-'], " ");
    if let Some(first) = words.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    words
}

/// What the log is filtered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventGroup {
    /// Peers come, go and change.
    Peers,
    /// Connections and joining.
    Links,
    /// Tasks and receipts.
    Tasks,
    /// Trust, security and warnings.
    Trust,
}

impl EventGroup {
    /// All of them, with their names.
    pub const ALL: [(Self, &'static str); 4] = [
        (Self::Peers, "Peers"),
        (Self::Links, "Connections"),
        (Self::Tasks, "Tasks and receipts"),
        (Self::Trust, "Trust and warnings"),
    ];

    /// The group of `event`.
    pub const fn of(event: &Event) -> Self {
        match event {
            Event::PeerDiscovered { .. } | Event::PeerLost { .. } | Event::StatusChanged { .. } => Self::Peers,
            Event::LinkUp { .. } | Event::LinkDown { .. } | Event::Join { .. } => Self::Links,
            Event::Task { .. } | Event::Receipt { .. } => Self::Tasks,
            Event::ReputationUpdated { .. } | Event::Security { .. } | Event::Warning { .. } => Self::Trust,
        }
    }
}

/// One event as a sentence; `name` tells what to call a peer.
pub fn event(event: &Event, name: impl Fn(&PeerId) -> String) -> String {
    match event {
        Event::PeerDiscovered { peer } => format!("{} is here", name(peer)),
        Event::PeerLost { peer, goodbye: true } => format!("{} said goodbye", name(peer)),
        Event::PeerLost { peer, goodbye: false } => format!("{} has not been heard of and counts as gone", name(peer)),
        Event::StatusChanged { peer, from, to } => {
            format!("{}: {} → {}", name(peer), from.as_str(), to.as_str())
        }
        Event::LinkUp { peer, path: how } => format!("Connected to {} ({})", name(peer), path(*how)),
        Event::LinkDown { peer } => format!("Connection to {} ended", name(peer)),
        Event::Join { stage: at, problem: None } => stage(*at).to_owned(),
        Event::Join { stage: at, problem: Some(problem) } => format!("{}: {}", stage(*at), problem.what),
        Event::Task { peer, incoming, skill, state, .. } => {
            let side = if *incoming { "from" } else { "to" };
            format!("Task “{skill}” {side} {}: {}", name(peer), task_state(*state, !incoming).to_lowercase())
        }
        Event::Receipt { provider, signer, .. } => {
            format!("{} signed a receipt about {}", name(signer), name(provider))
        }
        Event::ReputationUpdated { peer, from, to } => {
            format!("Trust in {}: {} → {}", name(peer), percent(*from), percent(*to))
        }
        Event::Security { peer, what } => format!("{}: {what}", name(peer)),
        Event::Warning { what } => what.clone(),
    }
}

/// A security event as a sentence; `since` is when the first of several happened.
pub fn security(entry: &SecurityEntry, name: impl Fn(&PeerId) -> String, since: &str) -> String {
    let (peer, what) = (name(&entry.peer), &entry.what);
    match entry.count {
        0 | 1 => format!("{peer}: {what}"),
        count => format!("{peer}: {what} ({count} times since {since})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_shortened_in_the_middle() {
        assert_eq!(short("12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp"), "12D3Ko…c6iDEp");
        assert_eq!(short("short"), "short");
        assert_eq!(short("äöüäöüäöüäöüäöü"), "äöüäöü…äöüäöü");
    }

    #[test]
    fn a_fault_again_and_again_is_told_once_with_how_often() {
        use mycomesh_core::snapshot::SecurityKind;
        let at = UnixMillis(0);
        let peer = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp".parse().expect("an id");
        let entry = |count| SecurityEntry {
            number: 1,
            kind: SecurityKind::Excess,
            peer,
            what: "signed presences too often".into(),
            count,
            first: at,
            last: at,
        };
        let check = |count, expect: &str| assert_eq!(security(&entry(count), |_| "Ada".into(), "14:03"), expect);
        check(1, "Ada: signed presences too often");
        check(12, "Ada: signed presences too often (12 times since 14:03)");
    }

    #[test]
    fn times_are_coarse() {
        let check = |at: u64, now: u64, expect: &str| assert_eq!(relative(UnixMillis(at), UnixMillis(now)), expect);
        check(0, 4_999, "just now");
        check(0, 59_000, "59 s ago");
        check(0, 3_600_000, "1 h ago");
        check(0, 200_000_000, "2 d ago");
        check(90_000, 0, "in 1 min");
        check(2_000, 0, "now");
    }

    #[test]
    fn numbers_carry_units() {
        assert_eq!(rtt(Some(Millis(12))), "12 ms");
        assert_eq!(rtt(Some(Millis(0))), "< 1 ms");
        assert_eq!(rtt(None), "–");
        assert_eq!(percent(Bps::new(6_250)), "63 %");
        assert_eq!(count(1, "peer", "peers"), "1 peer");
        assert_eq!(count(0, "peer", "peers"), "0 peers");
    }

    #[test]
    fn components_read_as_words() {
        assert_eq!(component("task_success"), "Task success");
        assert_eq!(component("änderung"), "änderung");
    }
}
