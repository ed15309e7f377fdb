//! What end-to-end tests need: a relay and peers as real processes, and waiting for conditions.
//!
//! [`Relay`] and [`Peer`] start a process in a folder of its own, on free ports, and kill it when they are dropped. Waiting is
//! always for a condition on what the process says, never for a time; [`PATIENCE`] only ends a test that would never end.

pub mod bench;
mod heard;
mod http;
mod lan;
mod mesh;
mod peer;
mod place;
mod programs;
mod relay;
mod spammer;
pub mod trials;

use std::time::Duration;

pub use http::{Answer, get};
pub use lan::{Lan, Side};
pub use mesh::{Delivery, FAR, IN_TIME, Mesh, NEAR, NODES, Node, Sent};
pub use peer::{Peer, PeerFlags, row};
pub use place::Place;
pub use programs::{Ended, run_to_end};
pub use relay::{Relay, RelayFlags};
pub use spammer::{FRAMES_PER_SECOND, Spam, SpamTally, Spammer};

/// When a condition counts as never coming true. Long, since two cores may be running everything at once.
pub const PATIENCE: Duration = Duration::from_secs(90);
