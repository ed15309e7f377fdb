//! Every libp2p protocol a node speaks, as one behaviour. Behaviours say what happened; the driver
//! decides.

use std::time::Duration;

use libp2p::{
    StreamProtocol, connection_limits, identify,
    identity::Keypair,
    kad, ping, relay,
    request_response::{self, ProtocolSupport},
    swarm::{NetworkBehaviour, behaviour::toggle::Toggle},
};
use mycomesh_core::{io::Protocol, limits, time::Millis};

use crate::{
    Options, StartError,
    codec::Bytes,
    gossip::{self, Gossip},
    platform,
};

/// Connections one peer may have: a relayed one, a direct one, and both again while both sides dial
/// at once.
pub(crate) const CONNECTIONS_PER_PEER_MAX: u32 = 4;
/// Connections that may be half-way in; above it new ones are refused. Twice what a native node has room for, which gives
/// up its oldest ones in time (`half_open.rs`) and needs a moment to clean up behind them.
const PENDING_IN_MAX: u32 = 1_024;
/// Connections that may be half-way out: core's own dials and those of DHT queries.
const PENDING_OUT_MAX: u32 = 64;
/// How often each connection is pinged. Death must show within 10 s, see `liveness.rs`; more often
/// would only cost a relay with many peers.
pub(crate) const PING_INTERVAL: Duration = Duration::from_secs(3);
/// How long one ping may take. Longer than the interval for slow links, short enough that a lost
/// one is followed by another before the connection is given up.
const PING_TIMEOUT: Duration = Duration::from_secs(4);
/// How long a request may wait for its response. libp2p's own default; nobody waits for a person here.
pub(crate) const REQUEST_TIMEOUT: Millis = Millis::secs(10);
/// Requests and responses under way on one connection in one protocol; bounds what a connection can
/// make us hold to this times 256 KiB times three.
const STREAMS_PER_PROTOCOL_MAX: usize = 8;
/// How long one of Kademlia's queries may take. A search for providers is two of them, one after the
/// other, and must end before core's [`limits::QUERY_TIMEOUT`].
const KAD_QUERY_TIMEOUT: Duration = Duration::from_secs(10);
const _: () = assert!(2 * KAD_QUERY_TIMEOUT.as_millis() < limits::QUERY_TIMEOUT.0 as u128);
/// How long a provider record lives unless renewed. Peers come and go; libp2p's 48 h would keep
/// those of long-gone tabs.
const PROVIDER_TTL: Duration = Duration::from_secs(3_600);
/// How often a provider record is renewed: three times in its life.
const PROVIDE_INTERVAL: Duration = Duration::from_secs(1_200);
/// Keys for which provider records are kept, about 100 bytes each.
const PROVIDED_KEYS_MAX: usize = 1_024;

pub(crate) type Requests = request_response::Behaviour<Bytes>;

/// What a node speaks.
#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    pub(crate) limits: connection_limits::Behaviour,
    pub(crate) identify: identify::Behaviour,
    pub(crate) ping: ping::Behaviour,
    pub(crate) kad: kad::Behaviour<kad::store::MemoryStore>,
    pub(crate) gossip: Gossip,
    presence: Requests,
    objects: Requests,
    tasks: Requests,
    pub(crate) relay_client: relay::client::Behaviour,
    /// A relay server, natively and when asked for.
    pub(crate) server: Toggle<platform::ServerBehaviour>,
    /// mDNS, natively and when asked for.
    pub(crate) local: Toggle<platform::LocalDiscovery>,
    /// The signalling of connections between browsers, where there is WebRTC.
    pub(crate) webrtc: Toggle<platform::WebrtcBehaviour>,
}

impl Behaviour {
    pub(crate) fn new(
        options: &Options,
        keypair: &Keypair,
        relay_client: relay::client::Behaviour,
        webrtc: Option<platform::WebrtcBehaviour>,
    ) -> Result<Self, StartError> {
        let network = options.config.network.as_str();
        let me = keypair.public().to_peer_id();
        let star = options.relay_server.as_ref().map(|server| server.connections_max.max(1) as usize);
        let identify = identify::Config::new(format!("/mycomesh/{network}/id/1"), keypair.public())
            .with_agent_version(concat!("mycomesh/", env!("CARGO_PKG_VERSION")).into())
            .with_push_listen_addr_updates(true);
        Ok(Self {
            limits: connection_limits::Behaviour::new(connection_limits(options)),
            identify: identify::Behaviour::new(identify),
            ping: ping::Behaviour::new(ping::Config::new().with_interval(PING_INTERVAL).with_timeout(PING_TIMEOUT)),
            kad: kademlia(options, keypair),
            gossip: gossip::gossip(network, star).map_err(StartError::Unsupported)?,
            presence: requests(Protocol::Presence, network),
            objects: requests(Protocol::Objects, network),
            tasks: requests(Protocol::Tasks, network),
            relay_client,
            server: platform::relay_server(me, options.relay_server.as_ref())?.into(),
            local: platform::local_discovery(me, options.mdns)?.into(),
            webrtc: webrtc.into(),
        })
    }

    /// The behaviour that carries requests of `protocol`.
    pub(crate) fn requests(&mut self, protocol: Protocol) -> &mut Requests {
        match protocol {
            Protocol::Presence => &mut self.presence,
            Protocol::Objects => &mut self.objects,
            Protocol::Tasks => &mut self.tasks,
        }
    }
}

/// Kademlia's protocol name: our own, so that nothing joins public IPFS DHTs.
pub(crate) fn kad_protocol(network: &str) -> StreamProtocol {
    protocol(format!("/mycomesh/{network}/kad/1"))
}

/// Peers that may be connected at a time, relays of this node's own not counted.
pub(crate) fn peers_max(options: &Options) -> u32 {
    let peers = options.config.max_peers;
    options.relay_server.as_ref().map_or(peers, |server| server.connections_max.min(peers))
}

/// The hard limit on connections. How many *peers* may be connected is counted by the driver, since
/// one peer may have several connections while it is being upgraded.
fn connection_limits(options: &Options) -> connection_limits::ConnectionLimits {
    let connections = match &options.relay_server {
        Some(server) => server.connections_max,
        None => options.config.max_peers.saturating_mul(2),
    };
    let relays = limits::RELAYS_MAX as u32 * CONNECTIONS_PER_PEER_MAX;
    connection_limits::ConnectionLimits::default()
        .with_max_pending_incoming(Some(PENDING_IN_MAX))
        .with_max_pending_outgoing(Some(PENDING_OUT_MAX))
        .with_max_established(Some(connections.saturating_add(relays)))
        .with_max_established_per_peer(Some(CONNECTIONS_PER_PEER_MAX))
}

fn kademlia(options: &Options, keypair: &Keypair) -> kad::Behaviour<kad::store::MemoryStore> {
    let me = keypair.public().to_peer_id();
    let mut config = kad::Config::new(kad_protocol(options.config.network.as_str()));
    config
        .set_query_timeout(KAD_QUERY_TIMEOUT)
        .set_provider_record_ttl(Some(PROVIDER_TTL))
        .set_provider_publication_interval(Some(PROVIDE_INTERVAL))
        .set_periodic_bootstrap_interval(Some(Duration::from_millis(options.config.discovery_interval().0)))
        .set_record_ttl(None)
        .set_publication_interval(None);
    let store = kad::store::MemoryStoreConfig {
        // No values: skills are provider records, everything else travels signed by other ways.
        max_records: 0,
        max_value_bytes: 0,
        max_provided_keys: PROVIDED_KEYS_MAX,
        ..kad::store::MemoryStoreConfig::default()
    };
    let mut kad = kad::Behaviour::with_config(me, kad::store::MemoryStore::with_config(me, store), config);
    // Pinned: a confirmed circuit address would otherwise turn a browser into a server.
    kad.set_mode(Some(if options.listen.is_empty() { kad::Mode::Client } else { kad::Mode::Server }));
    kad
}

fn requests(which: Protocol, network: &str) -> Requests {
    let config = request_response::Config::default()
        .with_request_timeout(Duration::from_millis(REQUEST_TIMEOUT.0))
        .with_max_concurrent_streams(STREAMS_PER_PROTOCOL_MAX);
    Requests::with_codec(Bytes, [(protocol(which.name(network)), ProtocolSupport::Full)], config)
}

/// Core's names start with a slash by construction; that is all libp2p asks of them.
fn protocol(name: String) -> StreamProtocol {
    StreamProtocol::try_from_owned(name).expect("a protocol name starts with a slash")
}
