//! What libp2p says, in core's words. Pure functions: the driver keeps the books.

use std::{error::Error, io};

use libp2p::{
    Multiaddr, PeerId,
    core::{ConnectedPoint, transport::TransportError},
    multiaddr::Protocol as Part,
    relay::outbound::hop::ReserveError,
    request_response::OutboundFailure,
    swarm,
};
use mycomesh_core::io::{DialError, Path, RequestError, ReservationError};

/// How a connection runs. For an inbound one the remote's address may hide it: a relayed peer is seen
/// as a bare `/p2p/<peer>` and a WebSocket client may be seen as plain TCP, while the local side says
/// what it listened on.
pub(crate) fn path_of(endpoint: &ConnectedPoint) -> Path {
    match endpoint {
        ConnectedPoint::Dialer { address, .. } => Path::of(address),
        ConnectedPoint::Listener { local_addr, send_back_addr } => {
            let (local, remote) = (Path::of(local_addr), Path::of(send_back_addr));
            match (local, remote) {
                (Path::DirectWebrtc, _) | (_, Path::DirectWebrtc) => Path::DirectWebrtc,
                (Path::Relayed, _) | (_, Path::Relayed) => Path::Relayed,
                (Path::None, remote) => remote,
                (local, _) => local,
            }
        }
    }
}

/// An address without `/p2p/<me>` at its end.
pub(crate) fn without_self(mut addr: Multiaddr, me: PeerId) -> Multiaddr {
    if addr.iter().last() == Some(Part::P2p(me)) {
        addr.pop();
    }
    addr
}

/// An address that ends in `/p2p/<peer>`; none if it names another peer.
pub(crate) fn with_peer(addr: Multiaddr, peer: PeerId) -> Option<Multiaddr> {
    addr.with_p2p(peer).ok()
}

/// Why a dial failed; none when it did not: another one to the same peer is under way or stands.
pub(crate) fn dial_error(error: &swarm::DialError) -> Option<DialError> {
    Some(match error {
        swarm::DialError::DialPeerConditionFalse(_) => return None,
        swarm::DialError::WrongPeerId { obtained, .. } => DialError::WrongPeer(*obtained),
        swarm::DialError::LocalPeerId { .. } => DialError::Refused("it is this node's own address".into()),
        swarm::DialError::NoAddresses => DialError::Unreachable("no address of it is known".into()),
        swarm::DialError::Aborted => DialError::Unreachable("the dial was given up".into()),
        swarm::DialError::Denied { .. } => DialError::Refused("too many connections are open".into()),
        swarm::DialError::Transport(errors) => transport_error(errors),
    })
}

/// One reason for all the addresses that failed: the first that says more than "unsupported".
fn transport_error(errors: &[(Multiaddr, TransportError<io::Error>)]) -> DialError {
    let tried = errors.iter().find_map(|(addr, error)| match error {
        TransportError::Other(error) => Some((addr, error)),
        TransportError::MultiaddrNotSupported(_) => None,
    });
    match tried {
        Some((addr, error)) if let Some(error) = find::<mycomesh_webrtc::Error>(error) => webrtc_error(addr, error),
        Some((_, error)) if is_timeout(error) => DialError::TimedOut,
        Some((addr, error)) => DialError::Unreachable(format!("{}: {}", shown(addr), innermost(error))),
        None => match errors.first() {
            Some((addr, _)) => DialError::Unsupported(shown(addr)),
            None => DialError::Unreachable("no address of it is known".into()),
        },
    }
}

/// What the WebRTC transports say is meant for people already.
fn webrtc_error(addr: &Multiaddr, error: &mycomesh_webrtc::Error) -> DialError {
    use mycomesh_webrtc::Error;
    match error {
        Error::TimedOut { stage } => DialError::NoPath(format!("no direct connection came about in time, {stage}")),
        Error::Address(_) => DialError::Unsupported(shown(addr)),
        Error::Noise(detail) => DialError::Unreachable(format!("{}: {detail}", shown(addr))),
        sentence => DialError::NoPath(sentence.to_string()),
    }
}

/// An address for a person: without the key material that makes it long.
fn shown(addr: &Multiaddr) -> String {
    addr.iter().filter(|part| !matches!(part, Part::P2p(_) | Part::Certhash(_))).collect::<Multiaddr>().to_string()
}

/// Why a circuit listener closed.
pub(crate) fn reservation_error(granted: bool, reason: &Result<(), io::Error>) -> ReservationError {
    let Err(error) = reason else {
        return if granted {
            ReservationError::Lost
        } else {
            ReservationError::Failed("the relay did not answer or closed the connection".into())
        };
    };
    match find::<ReserveError>(error) {
        Some(ReserveError::ResourceLimitExceeded) => ReservationError::Full,
        Some(ReserveError::Unsupported) => ReservationError::Unsupported,
        Some(ReserveError::Refused) => ReservationError::Failed("the relay refused".into()),
        _ if granted => ReservationError::Lost,
        _ => ReservationError::Failed(innermost(error)),
    }
}

/// Why a request brought no response.
pub(crate) fn request_error(error: &OutboundFailure) -> RequestError {
    match error {
        OutboundFailure::DialFailure => RequestError::NotConnected,
        OutboundFailure::Timeout => RequestError::TimedOut,
        OutboundFailure::UnsupportedProtocols => RequestError::Unsupported,
        OutboundFailure::ConnectionClosed | OutboundFailure::Io(_) => RequestError::Broken,
    }
}

/// The first cause of type `E`. `io::Error` hides the error it carries from `source`, so it is opened
/// by hand.
fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    causes(error).find_map(|cause| cause.downcast_ref())
}

fn is_timeout(error: &io::Error) -> bool {
    // libp2p's own timeout is a private type with this text.
    causes(error).any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(|io| io.kind() == io::ErrorKind::TimedOut)
            || cause.to_string() == "Timeout has been reached"
    })
}

fn innermost(error: &io::Error) -> String {
    causes(error).last().map_or_else(|| error.to_string(), ToString::to_string)
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| cause(*error))
}

fn cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>() {
        Some(io) => io.get_ref().map(|inner| inner as &(dyn Error + 'static)),
        None => error.source(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use libp2p::core::{Endpoint, transport::PortUse};

    const RELAY: &str = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";
    const PEER: &str = "12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo";

    fn addr(text: &str) -> Multiaddr {
        text.replace("RELAY", RELAY).replace("PEER", PEER).parse().expect(text)
    }

    #[track_caller]
    fn check_dialled(address: &str, expect: Path) {
        let address = addr(address);
        let endpoint = ConnectedPoint::Dialer { address, role_override: Endpoint::Dialer, port_use: PortUse::New };
        assert_eq!(path_of(&endpoint), expect);
    }

    #[track_caller]
    fn check_accepted(local: &str, remote: &str, expect: Path) {
        let endpoint = ConnectedPoint::Listener { local_addr: addr(local), send_back_addr: addr(remote) };
        assert_eq!(path_of(&endpoint), expect);
    }

    #[test]
    fn a_dialled_address_says_how_the_connection_runs() {
        check_dialled("/ip4/10.0.0.1/tcp/4001/p2p/PEER", Path::Tcp);
        check_dialled("/ip4/10.0.0.1/tcp/4001/ws/p2p/PEER", Path::Websocket);
        check_dialled("/dns4/relay.example/tcp/443/tls/ws/p2p/PEER", Path::Websocket);
        check_dialled("/ip4/10.0.0.1/udp/4001/quic-v1/p2p/PEER", Path::Quic);
        check_dialled("/ip4/10.0.0.1/udp/4001/webrtc-direct/p2p/PEER", Path::WebrtcDirect);
        check_dialled("/ip4/10.0.0.1/tcp/4001/ws/p2p/RELAY/p2p-circuit/p2p/PEER", Path::Relayed);
        check_dialled("/ip4/10.0.0.1/tcp/4001/ws/p2p/RELAY/p2p-circuit/webrtc/p2p/PEER", Path::DirectWebrtc);
    }

    #[test]
    fn an_accepted_connection_is_told_by_whichever_address_shows_it() {
        check_accepted("/ip4/10.0.0.1/tcp/4001", "/ip4/10.0.0.2/tcp/50000", Path::Tcp);
        check_accepted("/ip4/10.0.0.1/tcp/4001/ws", "/ip4/10.0.0.2/tcp/50000", Path::Websocket);
        check_accepted("/ip4/10.0.0.1/tcp/4001/ws/p2p/RELAY/p2p-circuit", "/p2p/PEER", Path::Relayed);
        check_accepted("/webrtc", "/webrtc/p2p/PEER", Path::DirectWebrtc);
        check_accepted("/ip4/10.0.0.1/udp/1/webrtc-direct", "/ip4/10.0.0.2/udp/2/webrtc-direct", Path::WebrtcDirect);
        check_accepted("/ip4/10.0.0.1/udp/1/quic-v1", "/ip4/10.0.0.2/udp/2/quic-v1", Path::Quic);
    }

    #[test]
    fn only_this_nodes_own_id_is_cut_off() {
        let (me, other) = (PEER.parse().unwrap(), RELAY.parse().unwrap());
        let listening = addr("/ip4/10.0.0.1/tcp/1/p2p/RELAY/p2p-circuit/p2p/PEER");
        assert_eq!(without_self(listening.clone(), me), addr("/ip4/10.0.0.1/tcp/1/p2p/RELAY/p2p-circuit"));
        assert_eq!(without_self(listening.clone(), other), listening);
    }

    #[test]
    fn an_address_of_another_peer_is_not_used() {
        let peer = PEER.parse().unwrap();
        let full = addr("/ip4/10.0.0.1/tcp/1/p2p/PEER");
        assert_eq!(with_peer(addr("/ip4/10.0.0.1/tcp/1"), peer), Some(full.clone()));
        assert_eq!(with_peer(full.clone(), peer), Some(full));
        assert_eq!(with_peer(addr("/ip4/10.0.0.1/tcp/1/p2p/RELAY"), peer), None);
        assert_eq!(
            with_peer(addr("/ip4/10.0.0.1/tcp/1/p2p/RELAY/p2p-circuit"), peer),
            Some(addr("/ip4/10.0.0.1/tcp/1/p2p/RELAY/p2p-circuit/p2p/PEER"))
        );
    }

    #[track_caller]
    fn check_dial(error: swarm::DialError, expect: Option<DialError>) {
        assert_eq!(dial_error(&error), expect);
    }

    #[test]
    fn a_failed_dial_says_what_a_person_can_act_on() {
        let here = || addr("/ip4/10.0.0.1/tcp/1/p2p/PEER");
        let refused = || TransportError::Other(io::Error::other(io::Error::other("refused")));
        let obtained = RELAY.parse().unwrap();
        check_dial(swarm::DialError::WrongPeerId { obtained, address: here() }, Some(DialError::WrongPeer(obtained)));
        check_dial(swarm::DialError::DialPeerConditionFalse(Default::default()), None);
        check_dial(
            swarm::DialError::Transport(vec![
                (here(), TransportError::MultiaddrNotSupported(here())),
                (here(), refused()),
            ]),
            Some(DialError::Unreachable("/ip4/10.0.0.1/tcp/1: refused".into())),
        );
        check_dial(
            swarm::DialError::Transport(vec![(here(), TransportError::MultiaddrNotSupported(here()))]),
            Some(DialError::Unsupported("/ip4/10.0.0.1/tcp/1".into())),
        );
        let webrtc = |error: mycomesh_webrtc::Error| {
            let error = TransportError::Other(io::Error::other(io::Error::other(error)));
            swarm::DialError::Transport(vec![(addr("/webrtc/p2p/PEER"), error)])
        };
        let no_path = |text: &str| Some(DialError::NoPath(text.into()));
        check_dial(
            webrtc(mycomesh_webrtc::Error::TimedOut { stage: "waiting for the answer" }),
            no_path("no direct connection came about in time, waiting for the answer"),
        );
        let sentence = "no direct path between the two networks was found; a firewall or NAT may block UDP";
        check_dial(webrtc(mycomesh_webrtc::Error::IceFailed), no_path(sentence));
        check_dial(webrtc(mycomesh_webrtc::Error::Address("x".into())), Some(DialError::Unsupported("/webrtc".into())));
        let late = io::Error::new(io::ErrorKind::TimedOut, "late");
        check_dial(swarm::DialError::Transport(vec![(here(), TransportError::Other(late))]), Some(DialError::TimedOut));
    }

    #[test]
    fn a_full_relay_is_told_from_one_that_does_not_relay() {
        let wrapped = |error: ReserveError| Err(io::Error::other(io::Error::other(error)));
        let check = |granted, reason: Result<(), io::Error>, expect| {
            assert_eq!(reservation_error(granted, &reason), expect);
        };
        check(false, wrapped(ReserveError::ResourceLimitExceeded), ReservationError::Full);
        check(false, wrapped(ReserveError::Unsupported), ReservationError::Unsupported);
        check(true, Ok(()), ReservationError::Lost);
        check(true, Err(io::Error::other("gone")), ReservationError::Lost);
        check(false, Err(io::Error::other("gone")), ReservationError::Failed("gone".into()));
    }
}
