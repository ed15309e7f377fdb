//! The bodies of the three request protocols. Envelopes travel inside as byte strings.

use cid::Cid;
use libp2p_identity::PeerId;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

/// `presence/1`: here is mine, give me everybody's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PresenceRequest {
    /// Continue behind this peer.
    pub after: Option<PeerId>,
    /// The sender's own signed presence, on the first page.
    pub mine: Option<ByteBuf>,
    /// The sender's own signed card, on the first page.
    pub card: Option<ByteBuf>,
}

/// The answer to [`PresenceRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PresencePage {
    /// Signed presences and the cards they name, in any order.
    pub objects: Vec<ByteBuf>,
    /// There is more behind this peer.
    pub next: Option<PeerId>,
}

/// `objects/1`: signed objects by content id, or receipts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ObjectsRequest {
    /// These, as far as held.
    Get(Vec<Cid>),
    /// Receipts in the order of their content ids, behind the one given.
    Receipts {
        /// Continue behind this one.
        after: Option<Cid>,
    },
}

/// The answer to [`ObjectsRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectsPage {
    /// Signed objects.
    pub objects: Vec<ByteBuf>,
    /// There is more behind this one.
    pub next: Option<Cid>,
}

/// `tasks/1`: one step of a direct task, named by the kind in its envelope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRequest {
    /// A signed submission, delivery, rating or cancel.
    pub object: ByteBuf,
    /// With a delivery: the acceptance it fulfils, in case the answer that carried it was lost or
    /// is still on its way.
    pub acceptance: Option<ByteBuf>,
    /// With a delivery: the output it names (or, for a failed one, the reason).
    pub output: Option<String>,
}

/// The answer to [`TaskRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskReply {
    /// To a submission: the provider's signed acceptance.
    Accepted(ByteBuf),
    /// To a submission: no, and why.
    Rejected(String),
    /// To everything else: it is stored.
    Ack,
    /// To a delivery: the task was withdrawn.
    Canceled,
    /// No such task is known here (any more); do not send this again.
    Unknown,
    /// Not now; try again later.
    Later,
}
