//! How far the simulator's model of gossip can be trusted: the real libp2p-gossipsub and the model on the same networks,
//! measured alike.
//!
//! A [`Plan`] says who is linked to whom, who publishes what and who does not keep to the rules; it is drawn from a
//! [`Case`] and a seed. [`real::run`] carries it out with a hundred libp2p swarms over the memory transport, set up by
//! the very function that sets up a Mycomesh peer. [`model::run`] carries it out with `mycomesh_sim::gossip` under a
//! virtual clock. Both fill a [`Tally`], which counts frames and measures no time, and [`compare`] sets the [`Figures`]
//! of both side by side.

mod compare;
mod mesh;
pub mod model;
mod plan;
pub mod real;
mod tally;

pub use compare::{Comparison, Figure, Ratio, compare};
pub use plan::{CASES, Case, Frame, Link, Plan};
pub use tally::{Figures, Tally};

/// Heartbeats that both sides are given after the last frame was published. Ids are told for three heartbeats; who
/// gets a frame that way pushes it on, and is itself asked for three more.
pub const TAIL_HEARTBEATS: u32 = 6;
