//! What travels: signed objects, request bodies and their strict encoding.
//!
//! - [`signed`]: the envelope `{body, kind, sig, signer}` around every object, verified before its
//!   body is parsed.
//! - [`objects`]: the bodies, one per kind.
//! - [`requests`]: the bodies of the three request protocols.
//! - [`strict`]: DAG-CBOR that has exactly one encoding per value.
//! - [`ids`]: small values used by all of them.

pub mod ids;
pub mod objects;
pub mod requests;
pub mod signed;
pub mod strict;

pub(crate) use ids::cut;
pub use ids::{BadId, Network, Skill, TaskId};
pub use objects::{
    Acceptance, Availability, Cancel, Card, Delivery, Object, Outcome, Presence, Rating, SkillCard, Submission,
};
pub use signed::{Kind, Signed, SignedError};
