//! Hostile peers.

/// Whether, and how, a peer deceives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// It plays by the rules.
    Honest,
}
