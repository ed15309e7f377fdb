//! Every decision of a Mycomesh peer: pure, without clock, randomness, network or disk of its own.
//!
//! The whole interface is one loop. The driver (`mycomesh-net`, or the simulator) turns what
//! happens outside into an [`io::Input`], hands it to [`Node::handle`] together with both clocks,
//! carries out every [`io::Output`] that comes back, and sleeps until [`Node::next_deadline`].
//! [`Node::snapshot`] is what people and programs see.
//!
//! Every subsystem has the same shape: a module with its `State`, an enum `In` of what it takes,
//! `handle(&mut self, cx, input)`, and where others must hear of something an enum `Note` that
//! [`node`] routes. Subsystems never call each other.

mod agents;
mod audit;
mod conduct;
pub mod config;
mod cx;
#[doc(hidden)]
pub mod inspect;
pub mod invite;
pub mod io;
pub mod limits;
mod links;
mod node;
#[doc(hidden)]
pub mod planted;
mod presence;
mod rates;
mod receipts;
mod reputation;
pub mod snapshot;
mod status;
mod tasks;
pub mod time;
pub mod units;
mod view;
pub mod wire;

pub use config::{Config, Profile};
pub use node::Node;
pub use rates::Rate;
pub use receipts::{ReceiptError, verify_alone as verify_receipt};
pub use reputation::{BALANCED, FLOOR, Profile as TrustProfile, weighted};
