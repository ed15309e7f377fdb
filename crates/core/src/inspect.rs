//! A look inside a node for simulators and their checkers: what it holds, and how much of it. Nobody who runs a node
//! needs this, and nothing here changes anything.

use libp2p_identity::PeerId;

use crate::{
    Node,
    snapshot::{Direction, Status, TaskState, TrustView},
    time::Time,
    wire::{Presence, Rating, Signed, TaskId},
};

/// How many entries each bounded thing of a node has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Presences of others.
    pub presences: usize,
    /// Agent cards.
    pub cards: usize,
    /// Receipts.
    pub receipts: usize,
    /// Receipts of one signer about one provider, the most there are.
    pub receipts_of_a_pair: usize,
    /// Tasks, asked and answered.
    pub tasks: usize,
    /// Tasks of this peer's own that have not ended.
    pub tasks_open: usize,
    /// Tasks of others that wait for this person.
    pub inbox: usize,
    /// Dials under way, those for a better connection included.
    pub dials: usize,
    /// Peers whose dials are remembered.
    pub dials_remembered: usize,
    /// Peers of which addresses were heard.
    pub heard: usize,
    /// Peers whose attempts at a direct connection are remembered beyond those with a link.
    pub upgrades_remembered: usize,
    /// Requests that wait for an answer.
    pub requests: usize,
    /// Peers that were ever charged with something.
    pub conduct: usize,
    /// Peers that were seen to fail.
    pub failures: usize,
    /// Lines of the event log.
    pub log: usize,
    /// Queries under way.
    pub queries: usize,
}

/// How much `node` holds.
pub fn sizes(node: &Node) -> Sizes {
    let parts = &node.parts;
    let links = parts.links.sizes();
    let open = |direction| {
        let of_direction = tasks(node).filter(move |(_, way, ..)| *way == direction);
        of_direction.filter(|(.., state)| !state.is_final()).count()
    };
    let waits = |state| matches!(state, TaskState::InputRequired);
    Sizes {
        presences: parts.presence.known().len(),
        cards: parts.agents.cards().len(),
        receipts: parts.receipts.len(),
        receipts_of_a_pair: parts.receipts.largest_pair(),
        tasks: tasks(node).count(),
        tasks_open: open(Direction::Out),
        inbox: tasks(node).filter(|(_, way, _, state)| *way == Direction::In && waits(*state)).count(),
        dials: links.dials,
        dials_remembered: links.dials_remembered,
        heard: links.heard,
        upgrades_remembered: links.upgrades_remembered,
        requests: node.shared().requests_waiting(),
        conduct: parts.conduct.len(),
        failures: parts.reputation.failures(),
        log: node.shared().log.len(),
        queries: node.queries(),
    }
}

/// The latest presence of everybody else, and whether the peer counts as online.
pub fn presences(node: &Node) -> impl Iterator<Item = (&PeerId, &Signed<Presence>, bool)> {
    node.parts.presence.known().iter().map(|(peer, known)| (peer, &known.signed, known.is_fresh()))
}

/// Every receipt.
pub fn receipts(node: &Node) -> impl Iterator<Item = &Signed<Rating>> {
    node.parts.receipts.all()
}

/// Every task: id, direction, the other side, state.
pub fn tasks(node: &Node) -> impl Iterator<Item = (TaskId, Direction, PeerId, TaskState)> {
    node.parts.tasks.states()
}

/// The state of `peer` in this node's eyes.
pub fn status(node: &Node, peer: &PeerId) -> Status {
    node.parts.status(node.shared(), peer)
}

/// Trust in `peer`.
pub fn trust(node: &Node, peer: &PeerId) -> TrustView {
    node.parts.reputation.view(peer)
}

/// Whether this node refuses `peer` at `now`.
pub fn is_quarantined(node: &Node, peer: &PeerId, now: Time) -> bool {
    node.parts.conduct.is_quarantined(peer, now)
}

/// Everybody with a link.
pub fn linked(node: &Node) -> impl Iterator<Item = &PeerId> {
    node.parts.links.linked()
}
