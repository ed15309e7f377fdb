//! WebSockets of a page, as a libp2p transport.
//!
//! libp2p's own (`libp2p-websocket-websys` 0.6) is not used: it does not notice a refused connection
//! (its dial hangs until the timeout, so a relay that restarts stays away for ten seconds), it polls
//! every 100 ms whether a flush has ended, which each step of a handshake waits for, and its close waits
//! for a remote that may be dead.
//!
//! Here every state comes from the browser's events. A flush ends at once: what was written is the
//! browser's already. The interface has no event for a send buffer that has drained, so a writer
//! that finds it full looks again after [`DRAIN_POLL`].
#![cfg(target_arch = "wasm32")]

#[cfg(test)]
mod tests;
mod transport;

pub use transport::{Connection, DialError, Transport, open_ahead};
