//! What a page can open: WebRTC connections to other browsers and to listeners, WebSockets, and circuits
//! through relays.

use std::time::Duration;

use libp2p::{
    Multiaddr, PeerId, Transport,
    core::{
        muxing::StreamMuxerBox,
        transport::{Boxed, timeout::TransportTimeout},
        upgrade::Version,
    },
    identity::Keypair,
    multiaddr::Protocol as Part,
    noise, relay, yamux,
};
use mycomesh_webrtc as webrtc;

use super::{Extras, Metrics};
use crate::{IceServer, StartError};

/// How long one address may take. Addresses are tried one after the other, and a firewall that drops
/// packets must not cost the whole patience of a person.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection between browsers may take, the relayed one in front of it included. Nobody
/// waits for it: there is a relayed connection to work with meanwhile. Above the crate's own limits of
/// twice 20 s for its two halves, which name the step that took too long; this one is for safety.
const BETWEEN_BROWSERS_TIMEOUT: Duration = Duration::from_secs(45);
/// Streams on one connection, as natively.
const STREAMS_MAX: usize = 128;

/// The transport, and the names the native half has beside it.
pub(crate) struct Network {
    pub(crate) transport: Boxed<(PeerId, StreamMuxerBox)>,
    pub(crate) metrics: Metrics,
    pub(crate) extras: Extras,
}

/// Signals connections between browsers.
pub(crate) type WebrtcBehaviour = webrtc::Behaviour;

/// Both halves of `/webrtc`; none in a browser without it.
pub(crate) fn webrtc(me: PeerId, servers: &[IceServer]) -> Option<(BetweenBrowsers, WebrtcBehaviour)> {
    let config = webrtc::Config { ice_servers: servers.to_vec(), ..webrtc::Config::default() };
    webrtc::is_available().then(|| webrtc::new(me, config))
}

type BetweenBrowsers = webrtc::Transport<webrtc::Browser>;

/// `/webrtc`, relay circuits, WebRTC-direct and WebSocket, each before those that would take its
/// addresses too: a circuit with `/webrtc` at its end is also a circuit, and begins with the address of
/// its relay.
pub(crate) fn network(
    keypair: &Keypair,
    (): (),
    circuits: relay::client::Transport,
    between_browsers: Option<BetweenBrowsers>,
    dial_timeout: Duration,
) -> Result<Network, StartError> {
    let noise = noise::Config::new(keypair)
        .map_err(|error| StartError::Unsupported(format!("the key cannot be used for encryption: {error}")))?;
    let circuits = circuits.upgrade(Version::V1Lazy).authenticate(noise.clone()).multiplex(yamux_config()).boxed();
    // A listener's address says where it is: no STUN server is asked.
    let direct = webrtc::direct::Transport::new(keypair, webrtc::Config::default())
        .map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)))
        .boxed();
    let websocket =
        mycomesh_websocket::Transport.upgrade(Version::V1Lazy).authenticate(noise).multiplex(yamux_config()).boxed();
    let listeners = direct.or_transport(websocket).map(|either, _| either.into_inner()).boxed();
    let all = circuits.or_transport(listeners).map(|either, _| either.into_inner());
    let all = TransportTimeout::new(all, dial_timeout.min(ADDRESS_TIMEOUT)).boxed();
    let transport = match between_browsers {
        Some(between) => TransportTimeout::new(between, BETWEEN_BROWSERS_TIMEOUT)
            .map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)))
            .or_transport(all)
            .map(|either, _| either.into_inner())
            .boxed(),
        None => all,
    };
    Ok(Network { transport, metrics: Metrics {}, extras: Extras { storage_note: None } })
}

/// Whether a page can dial such an address itself, without a relay in between.
pub(crate) fn can_dial(addr: &Multiaddr) -> bool {
    let has = |wanted: fn(&Part<'_>) -> bool| addr.iter().any(|part| wanted(&part));
    let websocket = has(|part| matches!(part, Part::Ws(_) | Part::Wss(_)));
    let webrtc = has(|part| matches!(part, Part::WebRTCDirect)) && has(|part| matches!(part, Part::Certhash(_)));
    (websocket || webrtc) && !has(|part| matches!(part, Part::P2pCircuit))
}

fn yamux_config() -> yamux::Config {
    let mut config = yamux::Config::default();
    config.set_max_num_streams(STREAMS_MAX);
    config
}
