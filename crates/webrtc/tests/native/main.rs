//! `/webrtc` without a browser: everything is real but the peer connections.

#![cfg(not(target_arch = "wasm32"))]

mod halves;
mod support;
mod swarms;
