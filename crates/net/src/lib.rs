//! Drives `mycomesh-core` over libp2p: swarm, clock, entropy and storage, natively and in browsers.
//!
//! [`start`] gives a [`Handle`]; that is what the web app, the relay and the npm package hold.
//! Behind it runs one event loop, described in `driver.rs`. What differs between a browser and a
//! server is in `platform/`, and only there.

mod behaviour;
mod clock;
mod codec;
mod dht;
mod driver;
mod effects;
mod events;
pub mod gossip;
mod handle;
pub mod identity;
mod lean;
mod links;
mod liveness;
mod options;
mod outbox;
mod platform;
mod replaced;
mod reservations;
mod skills;
mod start;
mod translate;

pub use handle::{AskError, EventStream, Handle, SnapshotStream};
pub use mycomesh_webrtc::IceServer;
pub use options::{Options, RelayServer, StartError, Store};
pub use platform::exports::*;
pub use start::start;
