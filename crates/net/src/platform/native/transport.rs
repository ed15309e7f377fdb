//! Every transport a native node has, composed by hand: libp2p's builder would accept WebSocket
//! frames of 256 MiB before the remote has shown who it is.

use std::{
    convert::Infallible,
    io,
    net::{IpAddr, SocketAddr, TcpListener, UdpSocket},
    time::Duration,
};

use libp2p::{
    Multiaddr, PeerId, Transport,
    core::{
        muxing::StreamMuxerBox,
        transport::{Boxed, timeout::TransportTimeout},
        upgrade::Version,
    },
    dns,
    identity::Keypair,
    metrics::{BandwidthTransport, Registry},
    multiaddr::Protocol as Part,
    noise, quic, relay,
    swarm::dummy,
    tcp, websocket, yamux,
};
use libp2p_webrtc::tokio as webrtc;

use super::{
    half_open::HalfOpen,
    inbound::Inbound,
    metrics::{Extras, Metrics, metrics},
    webrtc_attempts::Attempts,
};
use crate::{IceServer, StartError};

/// The longest WebSocket message, in bytes. Frames of noise are at most 64 KiB.
const WEBSOCKET_MESSAGE_BYTES_MAX: usize = 1024 * 1024;
/// Streams on one connection. Beyond it yamux ends the connection, so this is the number of circuits
/// a relay carries for one peer (64) and as many again for the peer's own protocols.
const STREAMS_MAX: usize = 128;

/// How long a connection may be half-way in. A dialler may be given more patience, but one that takes this long to say who
/// it is only holds a place.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// The transport with what counts its bytes.
pub(crate) struct Network {
    pub(crate) transport: Boxed<(PeerId, StreamMuxerBox)>,
    pub(crate) metrics: Metrics,
    pub(crate) extras: Extras,
}

/// Relay circuits, WebRTC-direct, QUIC, WebSocket and TCP, by name or number.
pub(crate) fn network(
    keypair: &Keypair,
    certificate: webrtc::Certificate,
    circuits: relay::client::Transport,
    _: Option<Infallible>,
    dial_timeout: Duration,
) -> Result<Network, StartError> {
    // Both `ring` and `aws-lc-rs` are linked, and rustls does not choose between them. An error means
    // that the program has chosen already.
    let _ = rustls::crypto::ring::default_provider().install_default();

    let noise = noise::Config::new(keypair)
        .map_err(|error| StartError::Unsupported(format!("the key cannot be used for encryption: {error}")))?;
    let tcp = || tcp::tokio::Transport::new(tcp::Config::default().nodelay(true));
    let no_dns = |error: io::Error| {
        StartError::Unsupported(format!("the system's DNS settings cannot be read ({error}); check /etc/resolv.conf"))
    };

    let circuits = circuits.upgrade(Version::V1Lazy).authenticate(noise.clone()).multiplex(yamux_config()).boxed();
    let direct = webrtc::Transport::new(keypair.clone(), certificate)
        .map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)))
        .boxed();
    let attempts = Attempts::default();
    let direct = Inbound::new(direct, move |handshake| attempts.admit(handshake)).boxed();
    let quic = quic::tokio::Transport::new(quic::Config::new(keypair))
        .map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)))
        .boxed();
    // A WebSocket resolves names itself, since TLS must see them.
    let mut websocket = websocket::Config::new(dns::tokio::Transport::system(tcp()).map_err(no_dns)?);
    websocket.set_max_data_size(WEBSOCKET_MESSAGE_BYTES_MAX);
    let websocket = websocket.upgrade(Version::V1Lazy).authenticate(noise.clone()).multiplex(yamux_config()).boxed();
    let tcp = tcp().upgrade(Version::V1Lazy).authenticate(noise).multiplex(yamux_config()).boxed();

    let numbers = either(either(direct, quic), tcp);
    let names = dns::tokio::Transport::system(numbers).map_err(no_dns)?.boxed();
    // Circuits first: their addresses contain those of the other transports.
    let all = either(circuits, either(websocket, names));
    let places = HalfOpen::default();
    let all = Inbound::new(all, move |handshake| places.admit(handshake));
    let outgoing = TransportTimeout::with_outgoing_timeout(all, dial_timeout);
    let all = TransportTimeout::with_ingoing_timeout(outgoing, HANDSHAKE_MAX);

    let mut bandwidth = Registry::default();
    let transport =
        BandwidthTransport::new(all, &mut bandwidth).map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer))).boxed();
    let (metrics, extras) = metrics(bandwidth);
    Ok(Network { transport, metrics, extras })
}

/// Connections between browsers are signalled by nobody here.
pub(crate) type WebrtcBehaviour = dummy::Behaviour;

/// Natively there is none: peers with addresses of their own reach each other by these.
pub(crate) fn webrtc(_: PeerId, _: &[IceServer]) -> Option<(Infallible, WebrtcBehaviour)> {
    None
}

/// Whether this platform has a transport for such an address: natively for all that are announced,
/// but a name in front of a circuit is left to the relay.
pub(crate) fn can_dial(addr: &Multiaddr) -> bool {
    !addr.iter().any(|part| matches!(part, Part::P2pCircuit))
}

/// Whether the port is free. libp2p shares TCP ports between programs of one user (`SO_REUSEPORT`), so
/// that a second relay on the same port would start and get half of the connections.
pub(crate) fn check_listen(addr: &Multiaddr) -> io::Result<()> {
    match socket_of(addr) {
        Some((socket, true)) => TcpListener::bind(socket).map(drop),
        Some((socket, false)) => UdpSocket::bind(socket).map(drop),
        None => Ok(()),
    }
}

/// The socket an address listens on, and whether it is a TCP one; none for names and free ports.
fn socket_of(addr: &Multiaddr) -> Option<(SocketAddr, bool)> {
    let mut parts = addr.iter();
    let ip = match parts.next()? {
        Part::Ip4(ip) => IpAddr::V4(ip),
        Part::Ip6(ip) => IpAddr::V6(ip),
        _ => return None,
    };
    let (port, is_tcp) = match parts.next()? {
        Part::Tcp(port) => (port, true),
        Part::Udp(port) => (port, false),
        _ => return None,
    };
    (port != 0).then_some((SocketAddr::new(ip, port), is_tcp))
}

fn yamux_config() -> yamux::Config {
    let mut config = yamux::Config::default();
    config.set_max_num_streams(STREAMS_MAX);
    config
}

/// The first that takes the address.
fn either(
    first: Boxed<(PeerId, StreamMuxerBox)>,
    second: Boxed<(PeerId, StreamMuxerBox)>,
) -> Boxed<(PeerId, StreamMuxerBox)> {
    first.or_transport(second).map(|either, _| either.into_inner()).boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(addr: &str, expect: Option<(&str, bool)>) {
        let socket = socket_of(&addr.parse().expect(addr));
        assert_eq!(socket, expect.map(|(socket, is_tcp)| (socket.parse().expect(socket), is_tcp)));
    }

    #[test]
    fn the_port_to_check_is_read_from_the_address() {
        check("/ip4/0.0.0.0/tcp/4001/ws", Some(("0.0.0.0:4001", true)));
        check("/ip6/::1/udp/4001/quic-v1", Some(("[::1]:4001", false)));
        check("/ip4/127.0.0.1/udp/0/webrtc-direct", None);
        check("/dns4/example.org/tcp/1", None);
    }

    #[test]
    fn a_port_that_another_program_holds_is_refused() {
        let held = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = held.local_addr().expect("bound").port();
        let addr: Multiaddr = format!("/ip4/127.0.0.1/tcp/{port}").parse().expect("an address");
        assert_eq!(check_listen(&addr).expect_err("in use").kind(), io::ErrorKind::AddrInUse);
        drop(held);
        assert!(check_listen(&addr).is_ok());
    }
}
