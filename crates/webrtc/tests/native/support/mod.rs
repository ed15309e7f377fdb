//! Nodes in one process: a relay, and peers that speak `/webrtc` over mock peer connections. Addresses are in memory,
//! everything between them is real: circuits, Noise, yamux.

pub mod backend;
pub mod node;
pub mod pipe;
