//! What the decoders of this crate promise about any bytes at all, for the fuzz targets in `fuzz/` at the root of the
//! repository. Each function panics where a promise is broken. Not an API: it exists with the feature `fuzz` only.

mod signal;
mod stream;

use std::net::SocketAddr;

use libp2p_identity::PeerId;
use multiaddr::{Multiaddr, Protocol};
use multihash::Multihash;

use crate::{
    address::{is_direct, listen_address, local_address, send_back_address, target},
    sdp::{self, Fingerprint},
};

pub use signal::{machine, messages};
pub use stream::{frames, halves};

/// A session description of a browser: the fingerprint in it, and its credentials replaced.
pub fn description(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let user = sdp::ufrag([data.len() as u8; 32]);
    let munged = sdp::munge(&text, &user);
    assert_eq!(sdp::munge(&munged, &user), munged, "replacing the credentials twice changes no more");
    assert!(munged.lines().all(|line| !line.is_empty()), "a description has no empty lines");
    let Some(print) = Fingerprint::from_sdp(&text) else { return };
    let addr = SocketAddr::from(([127, 0, 0, 1], data.len() as u16));
    let answer = sdp::answer(addr, print, &user);
    assert_eq!(Fingerprint::from_sdp(&answer), Some(print), "a fingerprint is read as it is written");
    let (_, written) = answer.split_once("a=fingerprint:sha-256 ").expect("the answer names it");
    let written = written.lines().next().unwrap_or_default();
    assert!(text.to_ascii_uppercase().contains(written), "a fingerprint has one way to be written");
    let hash = Multihash::wrap(0x12, &print.0).expect("32 bytes fit");
    assert_eq!(Fingerprint::from_multihash(&hash), Some(print));
    assert!(sdp::prologue(print, print).ends_with(&print.0));
}

/// An address to dial or to listen at, as bytes or as text.
pub fn address(data: &[u8]) {
    let from_text = || std::str::from_utf8(data).ok()?.parse().ok();
    let Some(addr) = Multiaddr::try_from(data.to_vec()).ok().or_else(from_text) else { return };
    let me = PeerId::from_multihash(Multihash::wrap(0x12, &[7; 32]).expect("32 bytes fit")).expect("a peer id");
    if let Some(listen) = listen_address(&addr, me) {
        let dialled = target(&listen).expect("what is announced can be dialled");
        assert_eq!(dialled.peer, me);
        assert!(dialled.circuit.is_some() && is_direct(&listen) && !is_direct(&addr));
    }
    let Some(dialled) = target(&addr) else { return };
    assert_eq!(addr.iter().last(), Some(Protocol::P2p(dialled.peer)));
    assert!(is_direct(&addr), "what is dialled here needs no relay in the end");
    let Some(circuit) = dialled.circuit else {
        return assert_eq!(addr, send_back_address(dialled.peer), "without a circuit only the peer is named");
    };
    assert!(!is_direct(&circuit) && !circuit.iter().any(|part| local_address().iter().next() == Some(part)));
    assert_eq!(listen_address(&circuit, dialled.peer), Some(addr), "a circuit and its address name each other");
}
