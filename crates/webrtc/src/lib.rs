//! libp2p transports over the browser's `RTCPeerConnection`: `/webrtc` between browsers and `/webrtc-direct` from a
//! browser to a listener, interoperable with js-libp2p. README.md shows how to use them.
//!
//! Everything that can be decided without a browser is, in pure modules that are tested natively: `frame` and
//! `half_close` (what a data channel carries), `signal` (how two sides agree), `sdp`, `address`. `backend` is the seam to
//! the browser, `browser` the browser's side of it. The wire format is the
//! [libp2p specification's](https://github.com/libp2p/specs/tree/master/webrtc).

mod address;
mod backend;
mod behaviour;
#[cfg(target_arch = "wasm32")]
mod browser;
mod circuits;
mod config;
mod error;
#[cfg(any(target_arch = "wasm32", test, feature = "fuzz"))]
mod frame;
#[cfg(feature = "fuzz")]
#[doc(hidden)]
pub mod fuzz;
#[cfg(any(target_arch = "wasm32", test, feature = "fuzz"))]
mod half_close;
mod handler;
#[cfg(any(target_arch = "wasm32", test, feature = "fuzz"))]
mod sdp;
mod signal;
mod slots;
mod transport;

pub use address::{is_connected_directly, is_direct};
pub use backend::{Backend, Command, Event, PeerConnection, Role};
pub use behaviour::Behaviour;
#[cfg(target_arch = "wasm32")]
pub use browser::{Browser, Connection, Peer, Stats, Stream, direct, is_available, new, stats};
pub use config::{
    CANDIDATE_BYTES_MAX, CANDIDATES_MAX, Config, FRAME_BYTES, FRAME_BYTES_MAX, IceServer, LINGER_MAX, SDP_BYTES_MAX,
    STREAMS_MAX, STREAMS_WAITING_MAX,
};
pub use error::Error;
pub use signal::SIGNALLING_PROTOCOL;
pub use transport::{Transport, new_with};
