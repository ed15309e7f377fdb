//! `/webrtc-direct`: a browser dials a listener that has no certificate a browser would know. The address carries its
//! fingerprint, and Noise proves who it is.

use std::{
    net::SocketAddr,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use futures::{
    AsyncWriteExt as _, FutureExt as _,
    future::{BoxFuture, Either, select},
};
use futures_timer::Delay;
use libp2p_core::{
    transport::{DialOpts, ListenerId, TransportError, TransportEvent},
    upgrade::{InboundConnectionUpgrade as _, UpgradeInfo as _},
};
use libp2p_identity::{Keypair, PeerId};
use multiaddr::{Multiaddr, Protocol};
use send_wrapper::SendWrapper;
use web_sys::RtcSdpType;

use super::{
    Connection, Stream,
    hub::Hub,
    js::{create, description, set},
};
use crate::{
    Config, Error, FRAME_BYTES,
    sdp::{self, Fingerprint},
};

/// The channel that Noise runs on; both sides know its number.
const NOISE_CHANNEL: u16 = 0;

/// Dials `/webrtc-direct` listeners. Browsers cannot be such listeners.
#[derive(Clone)]
pub struct Transport {
    keypair: Keypair,
    config: Config,
}

impl Transport {
    /// For a peer with this key.
    pub fn new(keypair: &Keypair, config: Config) -> Self {
        Self { keypair: keypair.clone(), config }
    }
}

impl libp2p_core::Transport for Transport {
    type Output = (PeerId, Connection);
    type Error = Error;
    type ListenerUpgrade = BoxFuture<'static, Result<Self::Output, Error>>;
    type Dial = BoxFuture<'static, Result<Self::Output, Error>>;

    fn listen_on(&mut self, _: ListenerId, addr: Multiaddr) -> Result<(), TransportError<Error>> {
        Err(TransportError::MultiaddrNotSupported(addr))
    }

    fn remove_listener(&mut self, _: ListenerId) -> bool {
        false
    }

    fn dial(&mut self, addr: Multiaddr, opts: DialOpts) -> Result<Self::Dial, TransportError<Error>> {
        let Some((listener, fingerprint)) = parse(&addr) else {
            return Err(TransportError::MultiaddrNotSupported(addr));
        };
        if opts.role.is_listener() {
            return Err(TransportError::MultiaddrNotSupported(addr));
        }
        let (keypair, config) = (self.keypair.clone(), self.config.clone());
        Ok(SendWrapper::new(dial(keypair, config, listener, fingerprint)).boxed())
    }

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<TransportEvent<Self::ListenerUpgrade, Error>> {
        Poll::Pending
    }
}

/// Where the listener is and what its certificate's fingerprint is. None for anything else, circuits through such a
/// listener included.
fn parse(addr: &Multiaddr) -> Option<(SocketAddr, Fingerprint)> {
    let mut parts = addr.iter();
    let ip = match parts.next()? {
        Protocol::Ip4(ip) => ip.into(),
        Protocol::Ip6(ip) => ip.into(),
        _ => return None,
    };
    let Protocol::Udp(port) = parts.next()? else { return None };
    let Protocol::WebRTCDirect = parts.next()? else { return None };
    let mut fingerprint = None;
    for part in parts {
        match part {
            Protocol::Certhash(hash) => fingerprint = fingerprint.or_else(|| Fingerprint::from_multihash(&hash)),
            Protocol::P2p(_) => {}
            _ => return None,
        }
    }
    (port != 0).then_some((SocketAddr::new(ip, port), fingerprint?))
}

async fn dial(
    keypair: Keypair,
    config: Config,
    listener: SocketAddr,
    fingerprint: Fingerprint,
) -> Result<(PeerId, Connection), Error> {
    let hub = Hub::open(&config)?;
    // Closes it if the dial fails or is dropped.
    let connection = Connection::new(Rc::clone(&hub));
    let attempt = std::pin::pin!(authenticate(&hub, &keypair, listener, fingerprint));
    let peer = match select(attempt, Delay::new(config.attempt_timeout)).await {
        Either::Left((result, _)) => result.map_err(|error| hub.end().unwrap_or(error))?,
        Either::Right(_) => return Err(Error::TimedOut { stage: "connecting to the listener" }),
    };
    hub.settle(FRAME_BYTES);
    Ok((peer, connection))
}

async fn authenticate(
    hub: &Rc<Hub>,
    keypair: &Keypair,
    listener: SocketAddr,
    theirs: Fingerprint,
) -> Result<PeerId, Error> {
    let mut entropy = [0; 32];
    getrandom::fill(&mut entropy).map_err(|error| Error::Browser(error.to_string()))?;
    let ufrag = sdp::ufrag(entropy);
    // Before the offer, so that the offer mentions data channels.
    let noise_channel = Stream::new(hub.open_channel(Some(NOISE_CHANNEL))?);
    let offer = sdp::munge(&create(hub.pc.create_offer()).await?, &ufrag);
    hub.set_local(RtcSdpType::Offer, &offer).await?;
    let answer = sdp::answer(listener, theirs, &ufrag);
    set(hub.pc.set_remote_description(&description(RtcSdpType::Answer, &answer))).await?;
    hub.watch_sctp();
    let ours = hub.pc.local_description().and_then(|local| Fingerprint::from_sdp(&local.sdp()));
    let ours = ours.ok_or_else(|| Error::Sdp("the browser's description has no SHA-256 fingerprint".into()))?;

    let noise = |error: libp2p_noise::Error| Error::Noise(error.to_string());
    let config = libp2p_noise::Config::new(keypair).map_err(noise)?.with_prologue(sdp::prologue(ours, theirs));
    let protocol = config.protocol_info().next().ok_or_else(|| Error::Noise("no protocol is known".into()))?;
    // The listener speaks first, which saves it half a round trip: the dialler is Noise's responder.
    let (peer, mut channel) = config.upgrade_inbound(noise_channel, protocol).await.map_err(noise)?;
    channel.close().await.map_err(|error| Error::Noise(error.to_string()))?;
    Ok(peer)
}
