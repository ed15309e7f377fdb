//! `RTCPeerConnection` as a [`Backend`]: the only part of the crate that needs a browser.
//!
//! A [`hub::Hub`] is one peer connection with its callbacks and data channels. A [`Peer`] drives it while the two sides
//! negotiate; a [`Connection`] hands its channels out as streams afterwards. Callbacks hold weak references, are unset
//! before they are dropped, and never run code of others while something is borrowed: they take what they need, let go,
//! and wake.

mod channel;
pub mod direct;
mod hub;
mod js;
mod muxer;
mod peer;
mod stream;
#[cfg(test)]
mod tests;

use std::cell::Cell;

use libp2p_identity::PeerId;

pub use js::is_available;
pub use muxer::Connection;
pub use peer::Peer;
pub use stream::Stream;

use crate::{Backend, Behaviour, Config, Error, Role, Transport, new_with};

/// The browser's WebRTC.
#[derive(Clone, Copy, Debug, Default)]
pub struct Browser;

impl Backend for Browser {
    type Peer = Peer;

    fn open(&self, config: &Config, role: Role) -> Result<Peer, Error> {
        Peer::open(config, role)
    }
}

/// `/webrtc` with the browser's WebRTC. Both halves are needed: the transport goes before the relay's in the order of
/// transports, since that takes every address with a circuit in it, and the behaviour into the swarm's. Then listen on
/// `/webrtc` to be reached: each reservation at a relay makes an address for others to dial.
pub fn new(local: PeerId, config: Config) -> (Transport<Browser>, Behaviour) {
    new_with(Browser, local, config)
}

/// What this page holds. Closed peer connections count for the browser until it has collected them; here they count
/// until this crate lets go of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Peer connections.
    pub connections: usize,
    /// Data channels with their callbacks.
    pub channels: usize,
}

thread_local! {
    static STATS: Cell<Stats> = const { Cell::new(Stats { connections: 0, channels: 0 }) };
}

/// What this page holds now.
pub fn stats() -> Stats {
    STATS.get()
}

fn count(change: impl FnOnce(&mut Stats)) {
    let mut stats = STATS.get();
    change(&mut stats);
    STATS.set(stats);
}
