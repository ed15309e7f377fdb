//! The addresses of `/webrtc`. Pure.
//!
//! A peer that listens behind a relay is dialled as `<relay>/p2p/R/p2p-circuit/webrtc/p2p/B`: the part up to
//! `p2p-circuit` says how to reach the relay, `webrtc` that the circuit only carries the signalling. Once there is a
//! connection with B, `/webrtc/p2p/B` is enough.

use libp2p_core::ConnectedPoint;
use libp2p_identity::PeerId;
use multiaddr::{Multiaddr, Protocol};

/// What a dialled address says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// Whom to connect to.
    pub peer: PeerId,
    /// How to reach it through a relay, if the address says so: the address without `webrtc`, ready to dial.
    pub circuit: Option<Multiaddr>,
}

/// Takes a dialled address apart. `None` for what `/webrtc` does not dial, so that another transport may.
pub(crate) fn target(address: &Multiaddr) -> Option<Target> {
    let parts: Vec<_> = address.iter().collect();
    let (relay, peer) = match parts.as_slice() {
        [relay @ .., Protocol::WebRTC, Protocol::P2p(peer)] => (relay, *peer),
        _ => return None,
    };
    if relay.is_empty() {
        return Some(Target { peer, circuit: None });
    }
    let relay_address = match relay {
        [address @ .., Protocol::P2p(_), Protocol::P2pCircuit] => address,
        _ => return None,
    };
    // A circuit inside a circuit is not a thing, and a circuit over `/webrtc` would need signalling of its own.
    let is_plain = |part: &Protocol| !matches!(part, Protocol::P2pCircuit | Protocol::WebRTC | Protocol::P2p(_));
    if relay_address.is_empty() || !relay_address.iter().all(is_plain) {
        return None;
    }
    let circuit = relay.iter().cloned().chain([Protocol::P2p(peer)]).collect();
    Some(Target { peer, circuit: Some(circuit) })
}

/// Whether data to this address flows without a relay: false only for circuits without `webrtc` after them.
/// libp2p's own `is_relayed` calls both kinds relayed, since it looks for `p2p-circuit` alone.
pub fn is_direct(address: &Multiaddr) -> bool {
    address.iter().fold(true, |direct, part| match part {
        Protocol::P2pCircuit => false,
        Protocol::WebRTC => true,
        _ => direct,
    })
}

/// Whether a connection that stands flows without a relay. For one that was accepted only the local side tells: a relayed
/// peer is seen as a bare `/p2p/B`.
pub fn is_connected_directly(endpoint: &ConnectedPoint) -> bool {
    match endpoint {
        ConnectedPoint::Dialer { address, .. } => is_direct(address),
        ConnectedPoint::Listener { local_addr, .. } => is_direct(local_addr),
    }
}

/// The address others dial when `circuit` is where a relay takes connections for us. `None` if it is no circuit.
pub(crate) fn listen_address(circuit: &Multiaddr, local: PeerId) -> Option<Multiaddr> {
    let parts: Vec<_> = circuit.iter().collect();
    let relay = match parts.as_slice() {
        [relay @ .., Protocol::P2pCircuit] => relay,
        [relay @ .., Protocol::P2pCircuit, Protocol::P2p(peer)] if *peer == local => relay,
        _ => return None,
    };
    let tail = [Protocol::P2pCircuit, Protocol::WebRTC, Protocol::P2p(local)];
    let address = relay.iter().cloned().chain(tail).collect();
    // Announced only if it can be dialled: a relay names its own addresses, and may name nonsense.
    target(&address).map(|_| address)
}

/// Where a listener of ours accepts: no place, but what others call the transport.
pub(crate) fn local_address() -> Multiaddr {
    Protocol::WebRTC.into()
}

/// How to reach a peer that connected to us, while the connection that carried the signalling lasts.
pub(crate) fn send_back_address(peer: PeerId) -> Multiaddr {
    Multiaddr::from(Protocol::WebRTC).with(Protocol::P2p(peer))
}

#[cfg(test)]
mod tests {
    use super::*;

    const R: &str = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";
    const B: &str = "12D3KooWSnrfGcM2GCpqDYTEhnY5tBqVBYY2QxAuxMN8j5Hbd9xT";

    fn address(text: &str) -> Multiaddr {
        text.replace("$R", R).replace("$B", B).parse().expect(text)
    }

    fn peer() -> PeerId {
        B.parse().expect("a peer id")
    }

    #[track_caller]
    fn check(dialled: &str, expect: Option<Option<&str>>) {
        let expect = expect.map(|circuit| Target { peer: peer(), circuit: circuit.map(address) });
        assert_eq!(target(&address(dialled)), expect, "{dialled}");
    }

    #[test]
    fn addresses_that_are_dialled() {
        check("/webrtc/p2p/$B", Some(None));
        check(
            "/dns4/relay.example/tcp/443/wss/p2p/$R/p2p-circuit/webrtc/p2p/$B",
            Some(Some("/dns4/relay.example/tcp/443/wss/p2p/$R/p2p-circuit/p2p/$B")),
        );
        check("/memory/7/p2p/$R/p2p-circuit/webrtc/p2p/$B", Some(Some("/memory/7/p2p/$R/p2p-circuit/p2p/$B")));
        // The relay itself is reached over webrtc-direct, which is another protocol.
        check(
            "/ip4/9.9.9.9/udp/1/webrtc-direct/p2p/$R/p2p-circuit/webrtc/p2p/$B",
            Some(Some("/ip4/9.9.9.9/udp/1/webrtc-direct/p2p/$R/p2p-circuit/p2p/$B")),
        );
    }

    #[test]
    fn addresses_for_other_transports() {
        check("", None);
        check("/webrtc", None);
        check("/p2p/$B", None);
        check("/p2p/$B/webrtc", None);
        check("/memory/7/p2p/$R/p2p-circuit/p2p/$B", None);
        check("/memory/7/p2p/$R/p2p-circuit/webrtc", None);
        check("/memory/7/p2p/$R/webrtc/p2p/$B", None);
        check("/memory/7/p2p-circuit/webrtc/p2p/$B", None);
        check("/p2p/$R/p2p-circuit/webrtc/p2p/$B", None);
        check("/p2p-circuit/webrtc/p2p/$B", None);
        check("/memory/7/p2p/$R/p2p-circuit/webrtc/p2p/$B/p2p-circuit", None);
        check("/memory/7/p2p/$R/p2p-circuit/webrtc/webrtc/p2p/$B", None);
        check("/memory/7/p2p/$R/p2p-circuit/p2p/$B/webrtc/p2p/$B", None);
        check("/memory/7/p2p/$R/p2p-circuit/p2p/$R/p2p-circuit/webrtc/p2p/$B", None);
        check("/ip4/9.9.9.9/udp/1/webrtc-direct/p2p/$B", None);
    }

    #[test]
    fn only_plain_circuits_are_not_direct() {
        for direct in
            ["/webrtc", "/webrtc/p2p/$B", "/memory/7", "/memory/7/p2p/$R/p2p-circuit/webrtc/p2p/$B", "/p2p/$B", ""]
        {
            assert!(is_direct(&address(direct)), "{direct}");
        }
        for relayed in ["/memory/7/p2p/$R/p2p-circuit", "/memory/7/p2p/$R/p2p-circuit/p2p/$B", "/webrtc/p2p-circuit"] {
            assert!(!is_direct(&address(relayed)), "{relayed}");
        }
    }

    #[test]
    fn an_accepted_connection_is_told_by_its_local_side() {
        let check = |local: &str, remote: &str, expect| {
            let endpoint = ConnectedPoint::Listener { local_addr: address(local), send_back_addr: address(remote) };
            assert_eq!(is_connected_directly(&endpoint), expect, "{local}");
        };
        check("/memory/7/p2p/$R/p2p-circuit", "/p2p/$B", false);
        check("/webrtc", "/webrtc/p2p/$B", true);
        check("/memory/7", "/memory/8", true);
    }

    #[test]
    fn listen_addresses_follow_circuits() {
        let expect = Some(address("/memory/7/p2p/$R/p2p-circuit/webrtc/p2p/$B"));
        assert_eq!(listen_address(&address("/memory/7/p2p/$R/p2p-circuit"), peer()), expect);
        assert_eq!(listen_address(&address("/memory/7/p2p/$R/p2p-circuit/p2p/$B"), peer()), expect);
        for none in [
            "/memory/7",
            "/webrtc",
            "/p2p/$R/p2p-circuit",
            "/memory/7/p2p/$R/p2p-circuit/p2p/$R",
            "/memory/7/p2p/$R/p2p-circuit/webrtc/p2p/$B",
        ] {
            assert_eq!(listen_address(&address(none), peer()), None, "{none}");
        }
    }
}
