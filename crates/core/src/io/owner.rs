//! What the owner of a node asks of it and hears from it.

use libp2p_identity::PeerId;
use multiaddr::Multiaddr;
use serde::Serialize;

use super::Path;
use crate::{
    config::SkillSet,
    snapshot::{JoinStage, Problem, Status, TaskState},
    time::Millis,
    units::Bps,
    wire::{Skill, TaskId},
};

/// What the owner of a node can ask of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Ask a peer for work. Replies [`Reply::Task`] once it is stored and will be delivered.
    Ask {
        /// Whom.
        to: PeerId,
        /// For which skill.
        skill: Skill,
        /// The input.
        input: String,
        /// How long from now the delivery may take.
        timeout: Millis,
    },
    /// Answer a task that waits for this person.
    Answer {
        /// The task.
        task: TaskId,
        /// The answer.
        output: String,
    },
    /// Decline a task that waits for this person.
    Decline {
        /// The task.
        task: TaskId,
        /// Why, for the requester.
        reason: String,
    },
    /// Withdraw a task this peer asked for.
    Cancel {
        /// The task.
        task: TaskId,
    },
    /// Rate a delivery; makes the receipt.
    Rate {
        /// The task.
        task: TaskId,
        /// The judgement.
        quality: Bps,
    },
    /// The owner's switch.
    SetBusy(bool),
    /// Change the agent card.
    SetProfile {
        /// The name, at most [`crate::limits::NAME_BYTES_MAX`] bytes.
        name: String,
        /// The skills offered.
        skills: SkillSet,
        /// Tasks worked on at a time, 1 to [`crate::limits::SLOTS_MAX`].
        slots: u32,
    },
    /// The page was hidden or shown: timers are about to be throttled, or run again.
    SetHidden(bool),
    /// The machine woke, or the network changed: look at every link now.
    Wake,
    /// Use these relays from now on, each address ending in `/p2p/<relay>`.
    SetRelays(Vec<Multiaddr>),
    /// Connect to a peer, by an address that ends in `/p2p/<peer>`.
    Connect(Multiaddr),
    /// Connect to a known peer by whatever address is known, its presence's or the DHT's.
    ConnectPeer(PeerId),
    /// Look in the DHT for peers that offer a skill. Replies [`Reply::Peers`].
    FindSkill(Skill),
    /// Look in the DHT for a peer's addresses. Replies [`Reply::Peers`].
    FindPeer(PeerId),
    /// Say goodbye. The reply comes when the goodbye is on its way.
    Shutdown,
}

/// What a command brought.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// Done.
    Done,
    /// The task that was made.
    Task(TaskId),
    /// Peers, with addresses where known.
    Peers(Vec<(PeerId, Vec<Multiaddr>)>),
}

/// Why a command was not carried out. The message says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// No such task.
    #[error("no task {0} is known here; it may have been removed to make room")]
    UnknownTask(TaskId),
    /// The task is not in a state for this.
    #[error("task {task} is {}; {advice}", state.as_str())]
    WrongState {
        /// The task.
        task: TaskId,
        /// Its state.
        state: TaskState,
        /// What to do instead.
        advice: &'static str,
    },
    /// A text or number is outside its limit.
    #[error("{what} must be {limit}")]
    OutOfRange {
        /// What.
        what: &'static str,
        /// The limit, in words.
        limit: String,
    },
    /// An address cannot be used.
    #[error("{addr} cannot be used: {why}")]
    BadAddress {
        /// The address as given.
        addr: String,
        /// Why.
        why: &'static str,
    },
    /// A peer cannot ask itself.
    #[error("this is your own peer id; choose another peer")]
    Myself,
    /// The peer is in quarantine.
    #[error("this peer broke the protocol repeatedly and is refused for now; try again later")]
    Quarantined,
    /// No address is known.
    #[error("no address of this peer is known; wait until it is online or paste one")]
    NoAddress,
    /// Too much is under way.
    #[error("too many {0} are under way; wait until some have ended")]
    Full(&'static str),
    /// The store refused.
    #[error("could not be saved: {0}; free some space or check the data directory")]
    Store(String),
    /// The subsystem is switched off.
    #[error("{0} is switched off in the configuration")]
    Disabled(&'static str),
    /// The node is shutting down.
    #[error("the node is shutting down")]
    Stopping,
}

/// Something the owner may want to know. [`Event::name`] gives its public name.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Event {
    /// A peer was seen for the first time, or came back.
    PeerDiscovered {
        /// The peer.
        peer: PeerId,
    },
    /// A peer said goodbye or its presence expired.
    PeerLost {
        /// The peer.
        peer: PeerId,
        /// Whether it said goodbye.
        goodbye: bool,
    },
    /// A peer's state changed.
    StatusChanged {
        /// The peer.
        peer: PeerId,
        /// From.
        from: Status,
        /// To.
        to: Status,
    },
    /// A connection came up: the first to a peer, or a direct one beside a relayed one.
    LinkUp {
        /// The peer.
        peer: PeerId,
        /// How.
        path: Path,
    },
    /// The last connection of a peer went.
    LinkDown {
        /// The peer.
        peer: PeerId,
    },
    /// Joining went on or back.
    Join {
        /// To which stage.
        stage: JoinStage,
        /// What stands in the way.
        problem: Option<Problem>,
    },
    /// A task changed its state.
    Task {
        /// The task.
        task: TaskId,
        /// The other side.
        peer: PeerId,
        /// Whether this peer is the provider.
        incoming: bool,
        /// The skill.
        skill: Skill,
        /// The new state.
        state: TaskState,
    },
    /// A receipt about `provider` was signed here or arrived.
    Receipt {
        /// The provider it is about.
        provider: PeerId,
        /// Who signed it.
        signer: PeerId,
        /// The task.
        task: TaskId,
    },
    /// Trust in a peer changed.
    ReputationUpdated {
        /// The peer.
        peer: PeerId,
        /// Before.
        from: Bps,
        /// After.
        to: Bps,
    },
    /// A peer sent something wrong, or was put into quarantine for it.
    Security {
        /// The peer it is charged to.
        peer: PeerId,
        /// What it did.
        what: String,
    },
    /// Something of ours could not be done.
    Warning {
        /// What, in words for a person.
        what: String,
    },
}

impl Event {
    /// The public name, as in the seeds where they have one (B6).
    pub const fn name(&self) -> &'static str {
        match self {
            Self::PeerDiscovered { .. } => "p2p:peer:discovered",
            Self::PeerLost { .. } => "p2p:peer:lost",
            Self::StatusChanged { .. } => "p2p:peer:status",
            Self::LinkUp { .. } => "p2p:link:up",
            Self::LinkDown { .. } => "p2p:link:down",
            Self::Join { .. } => "p2p:join",
            Self::Task { state: TaskState::Working, .. } => "p2p:task:assigned",
            Self::Task { .. } => "p2p:task:state",
            Self::Receipt { .. } => "p2p:receipt",
            Self::ReputationUpdated { .. } => "p2p:reputation:updated",
            Self::Security { .. } => "p2p:security",
            Self::Warning { .. } => "p2p:warning",
        }
    }
}
