//! The two halves of `/webrtc` belong together; this is what one does when the other is gone.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use futures::FutureExt;
use libp2p::core::transport::{DialOpts, ListenerId, PortUse, Transport as _, TransportError, TransportEvent};
use libp2p::core::{Endpoint, Multiaddr};
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{NetworkBehaviour as _, ToSwarm};
use mycomesh_webrtc::{Behaviour, Config, Error, Transport, new_with};

use crate::support::backend::Mock;

fn halves() -> (Transport<Mock>, Behaviour) {
    let id = Keypair::generate_ed25519().public().to_peer_id();
    new_with(Mock::default(), id, Config::default())
}

fn webrtc() -> Multiaddr {
    Protocol::WebRTC.into()
}

fn somebody() -> Multiaddr {
    webrtc().with(Protocol::P2p(Keypair::generate_ed25519().public().to_peer_id()))
}

fn as_dialler() -> DialOpts {
    DialOpts { role: Endpoint::Dialer, port_use: PortUse::Reuse }
}

#[tokio::test]
async fn without_the_behaviour_dials_fail_and_the_listener_closes() {
    let (mut transport, behaviour) = halves();
    let id = ListenerId::next();
    transport.listen_on(id, webrtc()).expect("the first listener");
    let early = transport.dial(somebody(), as_dialler()).expect("an address of ours");
    drop(behaviour);
    let late = transport.dial(somebody(), as_dialler()).expect("an address of ours");
    for dial in [early, late] {
        assert!(matches!(dial.await, Err(Error::NoRelay(_))));
    }
    match poll_fn(|cx| Pin::new(&mut transport).poll(cx)).await {
        TransportEvent::ListenerClosed { listener_id, reason: Err(Error::NoRelay(_)) } => assert_eq!(listener_id, id),
        other => panic!("{other:?}"),
    }
    assert!(matches!(transport.listen_on(ListenerId::next(), webrtc()), Err(TransportError::Other(_))));
}

#[tokio::test]
async fn without_the_transport_the_behaviour_is_idle() {
    let (mut transport, mut behaviour) = halves();
    transport.listen_on(ListenerId::next(), webrtc()).expect("the first listener");
    drop(transport);
    for _ in 0..3 {
        let polled = poll_fn(|cx| Poll::Ready(behaviour.poll(cx).is_pending())).await;
        assert!(polled);
    }
}

#[test]
fn addresses_of_others_are_left_to_others() {
    let (mut transport, _behaviour) = halves();
    for address in ["/memory/7", "/memory/7/p2p-circuit", "/webrtc"] {
        let address: Multiaddr = address.parse().expect("an address");
        let dialled = transport.dial(address.clone(), as_dialler()).map(|_| ());
        assert!(matches!(dialled, Err(TransportError::MultiaddrNotSupported(left)) if left == address));
    }
    for address in ["/memory/7", "/memory/7/p2p-circuit", "/memory/7/p2p-circuit/webrtc"] {
        let address: Multiaddr = address.parse().expect("an address");
        let listened = transport.listen_on(ListenerId::next(), address.clone());
        assert!(matches!(listened, Err(TransportError::MultiaddrNotSupported(left)) if left == address));
    }
    let as_listener = DialOpts { role: Endpoint::Listener, port_use: PortUse::Reuse };
    assert!(transport.dial(somebody(), as_listener).is_err());
    assert!(!transport.remove_listener(ListenerId::next()));
}

#[test]
fn a_dial_does_nothing_before_it_is_polled() {
    let (mut transport, mut behaviour) = halves();
    let mut dial = transport.dial(somebody(), as_dialler()).expect("an address of ours");
    let mut cx = std::task::Context::from_waker(futures::task::noop_waker_ref());
    assert!(behaviour.poll(&mut cx).is_pending());
    // Nobody to ask, and no relay named.
    assert!(dial.poll_unpin(&mut cx).is_pending());
    assert!(behaviour.poll(&mut cx).is_pending());
    assert!(matches!(dial.poll_unpin(&mut cx), Poll::Ready(Err(Error::NoRelay(_)))));
}

#[test]
fn dials_that_are_dropped_leave_room_for_others() {
    let (mut transport, mut behaviour) = halves();
    let mut cx = std::task::Context::from_waker(futures::task::noop_waker_ref());
    let relay = Keypair::generate_ed25519().public().to_peer_id();
    let somebody = Keypair::generate_ed25519().public().to_peer_id();
    let relayed = Multiaddr::from(Protocol::Memory(7)).with(Protocol::P2p(relay)).with(Protocol::P2pCircuit);
    let address = relayed.with(Protocol::WebRTC).with(Protocol::P2p(somebody));
    for number in 0..1_000 {
        let mut dial = transport.dial(address.clone(), as_dialler()).expect("an address of ours");
        assert!(dial.poll_unpin(&mut cx).is_pending());
        assert!(matches!(behaviour.poll(&mut cx), Poll::Ready(ToSwarm::Dial { .. })), "dial {number}");
        assert!(dial.poll_unpin(&mut cx).is_pending(), "dial {number}");
    }
}
