//! The bodies of signed objects, one type per kind.
//!
//! Unknown keys are skipped (they stay covered by the signature), an unknown value of an enum
//! becomes its `Other`, so that versions can live together.

use cid::Cid;
use libp2p_identity::PeerId;
use multiaddr::Multiaddr;
use serde::{Deserialize, Serialize};

use super::{
    ids::{Skill, TaskId},
    signed::Kind,
};
use crate::{
    limits::{
        ADDR_BYTES_MAX, INPUT_BYTES_MAX, NAME_BYTES_MAX, OUTPUT_BYTES_MAX, PRESENCE_ADDRS_MAX, SKILLS_MAX, SLOTS_MAX,
    },
    time::{Millis, UnixMillis},
    units::Bps,
};

/// A body that travels in a signed envelope.
pub trait Object: Serialize + for<'de> Deserialize<'de> {
    /// Its kind, part of what is signed.
    const KIND: Kind;

    /// The longest envelope of this kind, padding of a later version included. Objects are held,
    /// embedded and served many at a time, so none may be as long as a frame.
    const BYTES_MAX: usize;

    /// Whether every field is within its limit. Checked after parsing; a peer that signs more is
    /// at fault.
    fn within_limits(&self) -> bool;
}

/// A peer says it is there. *Latest wins* by `seq`; valid for `ttl` from its first receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// Addresses at which it can be dialled, best first, without `/p2p/<self>` at the end.
    pub addrs: Vec<Multiaddr>,
    /// Its owner's switch.
    pub availability: Availability,
    /// Its agent card; none on a pure relay.
    pub card: Option<Cid>,
    /// Tasks it could take on now.
    pub free_slots: u32,
    /// It is leaving.
    pub goodbye: bool,
    /// When it wrote this.
    pub issued: UnixMillis,
    /// Grows with each presence; starts at the wall clock's milliseconds.
    pub seq: u64,
    /// How long this holds.
    pub ttl: Millis,
}

/// The owner's switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Availability {
    /// Ready for questions.
    Idle,
    /// Not to be asked.
    Busy,
    /// Something a later version says; treated as busy.
    #[serde(other)]
    Other,
}

/// An agent card: who this is and what it can be asked for. Referred to by content id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// When it was written.
    pub issued: UnixMillis,
    /// What people call it.
    pub name: String,
    /// What it can be asked for.
    pub skills: Vec<SkillCard>,
}

/// One skill of an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkillCard {
    /// Media types it takes.
    pub input: Vec<String>,
    /// Its name.
    pub name: Skill,
    /// Media types it gives.
    pub output: Vec<String>,
}

/// A requester asks a provider for work. *Once only* by `task`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submission {
    /// When it was asked.
    pub created: UnixMillis,
    /// When the delivery is due.
    pub deadline: UnixMillis,
    /// What is asked: `text/plain`.
    pub input: String,
    /// For which skill.
    pub skill: Skill,
    /// The task's id, drawn by the requester.
    pub task: TaskId,
    /// The provider.
    pub to: PeerId,
}

/// The provider takes a task on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acceptance {
    /// When.
    pub at: UnixMillis,
    /// The submission's deadline, so that a receipt can be judged without the submission.
    pub deadline: UnixMillis,
    /// Who asked.
    pub requester: PeerId,
    /// For which skill.
    pub skill: Skill,
    /// The submission accepted.
    pub submission: Cid,
    /// The task.
    pub task: TaskId,
}

/// The provider hands over a result. The output travels beside it, so that receipts stay small.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// The acceptance this fulfils.
    pub acceptance: Cid,
    /// When.
    pub at: UnixMillis,
    /// [`Outcome::Completed`], [`Outcome::Failed`] or [`Outcome::Declined`].
    pub outcome: Outcome,
    /// Who asked.
    pub requester: PeerId,
    /// Content id of the output (raw, sha2-256).
    pub result: Cid,
    /// Bytes of the output.
    pub size: u64,
    /// The task.
    pub task: TaskId,
}

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Delivered.
    Completed,
    /// The provider delivered a failure.
    Failed,
    /// Taken back by the provider with a reason; nobody is at fault and no receipt is made.
    Declined,
    /// Accepted and not delivered by the deadline.
    Expired,
    /// Something a later version says.
    #[serde(other)]
    Other,
}

/// A requester judges a task: the receipt. It embeds what the provider signed, so it verifies
/// alone. *Once only* by `task`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rating {
    /// The provider's signed [`Acceptance`].
    #[serde(with = "serde_bytes")]
    pub acceptance: Vec<u8>,
    /// When it was judged.
    pub at: UnixMillis,
    /// The provider's signed [`Delivery`]; none when it never came.
    #[serde(with = "serde_bytes")]
    pub delivery: Option<Vec<u8>>,
    /// How the task ended.
    pub outcome: Outcome,
    /// Who is judged.
    pub provider: PeerId,
    /// The judgement.
    pub quality: Bps,
    /// The skill.
    pub skill: Skill,
    /// The task.
    pub task: TaskId,
    /// The requester's measure of time kept.
    pub timeliness: Bps,
}

/// The requester withdraws a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancel {
    /// When.
    pub at: UnixMillis,
    /// The task.
    pub task: TaskId,
}

/// Media types of one skill: enough for any real card, small enough to bound one.
const MEDIA_TYPES_MAX: usize = 8;
/// The longest media type (RFC 6838 allows 127 on each side of the slash; real ones are short).
const MEDIA_TYPE_BYTES_MAX: usize = 100;

impl Object for Presence {
    const KIND: Kind = Kind::Presence;
    const BYTES_MAX: usize = 4 * 1024;
    fn within_limits(&self) -> bool {
        self.addrs.len() <= PRESENCE_ADDRS_MAX
            && self.addrs.iter().all(|addr| addr.len() <= ADDR_BYTES_MAX)
            && self.free_slots <= SLOTS_MAX
    }
}

impl Object for Card {
    const KIND: Kind = Kind::Card;
    const BYTES_MAX: usize = 32 * 1024;
    fn within_limits(&self) -> bool {
        let media = |types: &[String]| {
            types.len() <= MEDIA_TYPES_MAX && types.iter().all(|name| name.len() <= MEDIA_TYPE_BYTES_MAX)
        };
        self.name.len() <= NAME_BYTES_MAX
            && !self.name.chars().any(char::is_control)
            && self.skills.len() <= SKILLS_MAX
            && self.skills.iter().all(|skill| media(&skill.input) && media(&skill.output))
    }
}

impl Object for Submission {
    const KIND: Kind = Kind::Submission;
    const BYTES_MAX: usize = INPUT_BYTES_MAX + 4 * 1024;
    fn within_limits(&self) -> bool {
        self.input.len() <= INPUT_BYTES_MAX && self.created < self.deadline
    }
}

impl Object for Acceptance {
    const KIND: Kind = Kind::Acceptance;
    const BYTES_MAX: usize = 2 * 1024;
    fn within_limits(&self) -> bool {
        true
    }
}

impl Object for Delivery {
    const KIND: Kind = Kind::Delivery;
    const BYTES_MAX: usize = 2 * 1024;
    fn within_limits(&self) -> bool {
        self.size <= OUTPUT_BYTES_MAX as u64
    }
}

impl Object for Rating {
    const KIND: Kind = Kind::Rating;
    const BYTES_MAX: usize = 8 * 1024;
    fn within_limits(&self) -> bool {
        true
    }
}

impl Object for Cancel {
    const KIND: Kind = Kind::Cancel;
    const BYTES_MAX: usize = 2 * 1024;
    fn within_limits(&self) -> bool {
        true
    }
}
