//! The read model: what the web app, the npm package and the relay show of a node.
//!
//! A [`Snapshot`] is a handful of sections behind `Arc`. A section that did not change keeps its
//! `Arc`, so a reader can compare pointers and skip the work. Every table is cut to
//! [`crate::limits::SNAPSHOT_ROWS_MAX`] rows and says how many there are in all.

mod security;

use std::sync::Arc;

pub use security::{SecurityEntry, SecurityKind, SecurityTotals};

use cid::Cid;
use libp2p_identity::PeerId;
use multiaddr::Multiaddr;
use serde::{Deserialize, Serialize};

use crate::{
    io::{Event, Path},
    time::{Millis, UnixMillis},
    units::Bps,
    wire::{Outcome, Skill, TaskId},
};

/// Everything a person or a program may want to see of a node at one instant.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Snapshot {
    /// Grows whenever any section changes.
    pub revision: u64,
    /// This peer.
    pub me: Arc<MeView>,
    /// How far joining the network has come.
    pub join: Arc<JoinView>,
    /// The five states of the status bar.
    pub bar: Arc<StatusBar>,
    /// Every known peer but this one.
    pub peers: Arc<Table<PeerView>>,
    /// Tasks asked and answered, newest first.
    pub tasks: Arc<Table<TaskView>>,
    /// What happened, newest last, but for security events.
    pub log: Arc<Vec<LogEntry>>,
    /// What others did wrong, and what was done about it; the latest last. At most
    /// [`crate::limits::AUDIT_ENTRIES_MAX`] lines.
    pub security: Arc<Vec<SecurityEntry>>,
    /// Running totals since start.
    pub counters: Arc<Counters>,
    /// What tasks and receipts take in the store.
    pub storage: StorageView,
}

/// A table cut to a page.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Table<Row> {
    /// The first rows, at most [`crate::limits::SNAPSHOT_ROWS_MAX`].
    pub rows: Vec<Row>,
    /// How many rows there are in all.
    pub total: usize,
}

/// This peer, as it presents itself.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MeView {
    /// This peer's id.
    pub peer_id: PeerId,
    /// The network's name.
    pub network: String,
    /// The name on the agent card; empty on a pure relay.
    pub name: String,
    /// The skills offered.
    pub skills: Vec<Skill>,
    /// Tasks this peer works on at a time.
    pub slots_total: u32,
    /// How many of them are free.
    pub slots_free: u32,
    /// The owner's switch.
    pub busy: bool,
    /// The state by the same rule as for every other peer.
    pub status: Status,
    /// Trust in this peer as far as it can tell from receipts about itself.
    pub trust: TrustView,
    /// Addresses at which others reach this peer, as announced.
    pub addrs: Vec<Multiaddr>,
}

/// How far joining has come, and what stands in the way.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct JoinView {
    /// The stage.
    pub stage: JoinStage,
    /// Why it does not go on, if it does not. May be set while a retry is under way.
    pub problem: Option<Problem>,
    /// The relays this node was told to use.
    pub relays: Vec<RelayView>,
}

/// The stages of joining.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum JoinStage {
    /// The program is loading.
    Starting,
    /// The key is being read or made.
    Identity,
    /// A relay is being dialled.
    Dialing,
    /// A relay is connected; a reservation has been asked for.
    Reserving,
    /// Others can reach this peer.
    Joined,
    /// No relay works; retries go on.
    Failed,
}

/// A relay this node was told to use.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RelayView {
    /// The relay's id, once its address carries one.
    pub peer_id: PeerId,
    /// The addresses tried, in order.
    pub addrs: Vec<Multiaddr>,
    /// How it is reached now.
    pub path: Path,
    /// The latest round trip.
    pub rtt: Option<Millis>,
    /// Whether it holds a reservation for this peer.
    pub reserved: bool,
}

/// Something that went wrong, in words for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What happened: one sentence.
    pub what: String,
    /// What to do about it: one sentence.
    pub advice: String,
}

/// One state of a peer in this observer's eyes. See the table in `DESIGN` §4, repeated in
/// `ARCHITECTURE.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Said goodbye, or its presence expired.
    Offline,
    /// Seen, without a valid presence yet.
    Unknown,
    /// Fresh; the owner's switch is on busy, or no slot is free.
    Busy,
    /// Fresh, free, and trusted on sufficient evidence.
    Reputable,
    /// Fresh and free.
    Idle,
}

impl Status {
    /// The name used in `data-status` and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::Unknown => "unknown",
            Self::Busy => "busy",
            Self::Reputable => "reputable",
            Self::Idle => "idle",
        }
    }
}

/// The status bar. Idle, reputable and busy sum to 100 % while anybody is online; offline and
/// unknown are counted beside it, their share being of all known agents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StatusBar {
    /// Green, top.
    pub idle: Segment,
    /// White, middle.
    pub reputable: Segment,
    /// Red, bottom.
    pub busy: Segment,
    /// Grey, beside.
    pub offline: Segment,
    /// Yellow, beside.
    pub unknown: Segment,
}

impl StatusBar {
    /// The segment of `status`.
    pub const fn segment(&self, status: Status) -> Segment {
        match status {
            Status::Idle => self.idle,
            Status::Reputable => self.reputable,
            Status::Busy => self.busy,
            Status::Offline => self.offline,
            Status::Unknown => self.unknown,
        }
    }
}

/// One segment of the status bar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Segment {
    /// Agents in this state.
    pub count: u32,
    /// Whole percent.
    pub percent: u8,
}

/// One known peer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PeerView {
    /// The peer.
    pub peer_id: PeerId,
    /// Its state.
    pub status: Status,
    /// A relay without an agent card: shown in the mesh, not counted in the bar.
    pub is_relay: bool,
    /// The name on its card, once known. Written by the peer: data, never markup.
    pub name: Option<String>,
    /// The skills on its card.
    pub skills: Vec<Skill>,
    /// Free slots of its latest presence.
    pub slots_free: u32,
    /// The best path in use.
    pub path: Path,
    /// Why there is no better path, if that is known: why it is not connected, or only relayed.
    pub path_reason: Option<String>,
    /// The latest round trip on that path.
    pub rtt: Option<Millis>,
    /// Whether this peer can be dialled or is connected.
    pub reachable: bool,
    /// Trust, with what it rests on.
    pub trust: TrustView,
    /// When its presence was last renewed, on this node's wall clock.
    pub last_seen: Option<UnixMillis>,
}

/// Trust in a peer and the evidence behind it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TrustView {
    /// The score.
    pub score: Bps,
    /// What it is made of, largest weight first.
    pub components: Vec<TrustComponent>,
    /// Receipts that count towards it.
    pub receipts: u32,
    /// Distinct signers of those receipts.
    pub signers: u32,
    /// The newest receipts, at most [`crate::limits::EVIDENCE_ROWS_MAX`].
    pub evidence: Vec<ReceiptView>,
    /// Own observations without a receipt (timeouts, protocol violations); they never travel.
    pub first_hand_failures: u32,
    /// Refused until then after repeated violations.
    pub quarantined_until: Option<UnixMillis>,
}

/// One weighted component of a trust score.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TrustComponent {
    /// Its name in the profile.
    pub name: &'static str,
    /// Its weight in the profile.
    pub weight: Bps,
    /// Its value; none while there is no evidence for it, and then its weight goes to the others.
    pub value: Option<Bps>,
}

/// A verified receipt, as shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReceiptView {
    /// The receipt's content id.
    pub cid: Cid,
    /// Who signed it: the requester.
    pub signer: PeerId,
    /// The name on the signer's card.
    pub signer_name: Option<String>,
    /// The task it is about.
    pub task: TaskId,
    /// The skill that was asked for.
    pub skill: Skill,
    /// How the task ended.
    pub outcome: Outcome,
    /// The requester's judgement.
    pub quality: Bps,
    /// How much of the agreed time was left or overdrawn; [`Bps::ONE`] is in time.
    pub timeliness: Bps,
    /// When it was signed.
    pub at: UnixMillis,
    /// How much this receipt counts here after discount and cap.
    pub weight: Bps,
}

/// Which side of a task this peer is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Somebody asked this peer.
    In,
    /// This peer asked somebody.
    Out,
}

/// Task states, named as in A2A.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskState {
    /// Sent or about to be sent; not accepted yet.
    Submitted,
    /// Accepted; the provider works on it.
    Working,
    /// The provider waits for its person.
    InputRequired,
    /// Delivered.
    Completed,
    /// Ended without a result.
    Failed,
    /// Withdrawn by the requester.
    Canceled,
    /// Declined by the provider.
    Rejected,
}

impl TaskState {
    /// Whether the task has ended.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Canceled | Self::Rejected)
    }

    /// The name used in `data-state` and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Submitted => "submitted",
            Self::Working => "working",
            Self::InputRequired => "input-required",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::Rejected => "rejected",
        }
    }
}

/// One task.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TaskView {
    /// The task.
    pub id: TaskId,
    /// Which side this peer is on.
    pub direction: Direction,
    /// The other side.
    pub peer: PeerId,
    /// The name on the other side's card.
    pub peer_name: Option<String>,
    /// The skill.
    pub skill: Skill,
    /// The state.
    pub state: TaskState,
    /// What was asked. Written by a peer: data, never markup.
    pub input: String,
    /// What was delivered. Written by a peer: data, never markup.
    pub output: Option<String>,
    /// Why it failed or was rejected.
    pub problem: Option<String>,
    /// When it was asked.
    pub created: UnixMillis,
    /// When a delivery is due.
    pub deadline: UnixMillis,
    /// When anything last changed.
    pub updated: UnixMillis,
    /// The requester's rating, once given (out) or received (in).
    pub rating: Option<Bps>,
    /// The content id of the receipt, once there is one.
    pub receipt: Option<Cid>,
    /// Whether this person may answer now (in, skill `human`).
    pub answerable: bool,
    /// Whether this person may rate now (out, completed, not rated).
    pub rateable: bool,
    /// Whether this person may cancel now (out, not ended).
    pub cancelable: bool,
    /// A message of ours that the other side has not acknowledged yet.
    pub waiting_for_peer: bool,
}

/// One line of the event log.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LogEntry {
    /// Grows by one with each entry; never reused.
    pub number: u64,
    /// When, on this node's wall clock.
    pub at: UnixMillis,
    /// What.
    pub event: Event,
}

/// What is kept in the store, and how much may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StorageView {
    /// Bytes of the tasks: keys and values, at most.
    pub tasks_bytes: u64,
    /// Bytes that they and all that may still come to them can take.
    pub tasks_bytes_max: u64,
    /// Bytes of the receipts: keys and values.
    pub receipts_bytes: u64,
    /// Bytes that they can take.
    pub receipts_bytes_max: u64,
}

/// Running totals since start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Gossip frames accepted and passed on.
    pub gossip_accepted: u64,
    /// Gossip frames dropped without blame: replays, expired, unknown kinds.
    pub gossip_ignored: u64,
    /// Gossip frames that their bytes alone prove wrong.
    pub gossip_rejected: u64,
    /// Requests answered.
    pub requests_served: u64,
    /// Requests refused: malformed, too many, or the sender is in quarantine.
    pub requests_refused: u64,
    /// Replayed objects seen.
    pub replays: u64,
    /// Expired objects seen.
    pub expired: u64,
    /// Objects with a wrong signature seen.
    pub forged: u64,
    /// Objects dropped because their signer, or who forwarded them, is above its rate.
    pub excess_objects: u64,
    /// Requests refused unread because their sender is above its rate.
    pub excess_requests: u64,
    /// Objects dropped because their signer is in quarantine, whoever forwarded them.
    pub quarantined_objects: u64,
    /// Security events.
    pub security: SecurityTotals,
}
