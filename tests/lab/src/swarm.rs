//! A plain libp2p swarm over the transports of a browser: `/webrtc`, relay circuits, `/webrtc-direct`, WebSocket.

use std::time::Duration;

use futures::future::Either;
use libp2p::{
    Multiaddr, PeerId, Swarm, Transport as _,
    core::{
        muxing::StreamMuxerBox,
        transport::{Boxed, timeout::TransportTimeout},
        upgrade::Version,
    },
    gossipsub, identify,
    identity::Keypair,
    noise, ping, relay,
    swarm::{self, NetworkBehaviour},
    yamux,
};
use mycomesh_webrtc as webrtc;
use sha2::{Digest as _, Sha256};

use crate::{bench, error::Error, streams, work};

/// How long one address may take. A `/webrtc` dial first dials the relayed connection, and then exchanges candidates.
const DIAL_TIMEOUT: Duration = Duration::from_secs(40);
/// One gossip message. A bench may want larger ones than the mesh sends.
const GOSSIP_BYTES_MAX: usize = 1024 * 1024;

/// What a page of the lab speaks.
#[derive(NetworkBehaviour)]
pub struct Behaviour {
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    pub gossip: gossipsub::Behaviour,
    relay: relay::client::Behaviour,
    webrtc: webrtc::Behaviour,
    pub streams: streams::Behaviour,
}

/// A swarm that listens for `/webrtc` and reserves nowhere yet.
pub fn swarm(keypair: &Keypair, config: webrtc::Config) -> Result<Swarm<Behaviour>, Error> {
    let me = keypair.public().to_peer_id();
    let (circuits, relay) = relay::client::new(me);
    let (private, webrtc) = webrtc::new(me, config.clone());
    let behaviour = Behaviour {
        identify: identify::Behaviour::new(
            identify::Config::new("/lab/1".into(), keypair.public()).with_push_listen_addr_updates(true),
        ),
        ping: ping::Behaviour::default(),
        gossip: gossip()?,
        relay,
        webrtc,
        streams: streams::Behaviour::new(vec![
            work::ECHO,
            work::SINK,
            work::SOURCE,
            work::HOLE,
            bench::COUNT,
            bench::BOUNCE,
            bench::TALLY,
        ]),
    };
    // The relay client accepts every address with a circuit in it and ignores what follows, so `/webrtc` comes before it.
    let private = private.map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection))).boxed();
    let circuits = secured(keypair, circuits)?;
    let direct = webrtc::direct::Transport::new(keypair, config)
        .map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)))
        .boxed();
    let websocket = secured(keypair, mycomesh_websocket::Transport)?;
    let all = either(private, either(circuits, either(direct, websocket)));
    let transport = TransportTimeout::new(all, DIAL_TIMEOUT).boxed();
    let mut swarm = Swarm::new(transport, behaviour, me, swarm::Config::with_wasm_executor());
    let listen: Multiaddr = "/webrtc".parse().map_err(|error| Error::Make(format!("{error}")))?;
    swarm.listen_on(listen).map_err(|error| Error::Make(error.to_string()))?;
    Ok(swarm)
}

type Any = Boxed<(PeerId, StreamMuxerBox)>;

fn either(first: Any, second: Any) -> Any {
    first
        .or_transport(second)
        .map(|either, _| match either {
            Either::Left(output) | Either::Right(output) => output,
        })
        .boxed()
}

/// Noise and yamux over a transport of bytes.
fn secured<T>(keypair: &Keypair, transport: T) -> Result<Any, Error>
where
    T: libp2p::Transport + Send + Unpin + 'static,
    T::Output: futures::AsyncRead + futures::AsyncWrite + Send + Unpin + 'static,
    T::Error: Send + Sync,
    T::Dial: Send,
    T::ListenerUpgrade: Send,
{
    let noise = noise::Config::new(keypair).map_err(|error| Error::Make(error.to_string()))?;
    Ok(transport.upgrade(Version::V1Lazy).authenticate(noise).multiplex(yamux::Config::default()).boxed())
}

/// Anonymous, as the mesh's own, which signs what it sends itself.
fn gossip() -> Result<gossipsub::Behaviour, Error> {
    let config = gossipsub::ConfigBuilder::default()
        .validation_mode(gossipsub::ValidationMode::Anonymous)
        .message_id_fn(|message| gossipsub::MessageId::new(&Sha256::digest(&message.data)))
        .max_transmit_size(GOSSIP_BYTES_MAX)
        .build()
        .map_err(|error| Error::Make(error.to_string()))?;
    gossipsub::Behaviour::new(gossipsub::MessageAuthenticity::Anonymous, config)
        .map_err(|error| Error::Make(error.to_owned()))
}
