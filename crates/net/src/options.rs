//! What a node is started with.

use std::path::PathBuf;

use libp2p::Multiaddr;
use mycomesh_core::{Config, Profile, config::ConfigError};
use mycomesh_webrtc::IceServer;

/// Everything a node needs to know before it starts.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The keys an owner can set.
    pub config: Config,
    /// The agent's card, used until the store holds a changed one.
    pub profile: Profile,
    /// Where key, tasks and receipts are kept.
    pub store: Store,
    /// Relays to join through, each address ending in `/p2p/<relay>`.
    pub relays: Vec<Multiaddr>,
    /// Where to listen. Native only; a browser cannot.
    pub listen: Vec<Multiaddr>,
    /// Addresses under which the world reaches this node, when it cannot see them itself.
    pub external: Vec<Multiaddr>,
    /// Relay for others. Native only.
    pub relay_server: Option<RelayServer>,
    /// Find peers on the local network by mDNS. Native only.
    pub mdns: bool,
    /// STUN and TURN servers for connections between browsers; of no use natively. None by default:
    /// each learns the address of everybody who asks it.
    pub ice_servers: Vec<IceServer>,
}

/// Where a node keeps what must survive.
#[derive(Clone, Debug, Default)]
pub enum Store {
    /// In memory: gone with the node. For visits without storage and for tests.
    #[default]
    Memory,
    /// In this directory: a redb database and a key file of mode 0600. Native only.
    Dir(PathBuf),
    /// In the browser's IndexedDB, in the first free identity slot.
    Browser,
}

/// Limits of the relay server. libp2p's own defaults (128 reservations, 16 circuits of two minutes
/// and 128 KiB) suit a relay that strangers only use to punch holes; here the relay carries a mesh
/// until its peers have found a direct way. All of them are guesses until a bench says better.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayServer {
    /// Reservations in all. 1,024: one relay serves a few hundred peers with a second tab each; a
    /// reservation costs a few hundred bytes and one connection.
    pub reservations_max: usize,
    /// Reservations of one peer. 4: one per connection a peer may have.
    pub reservations_per_peer_max: usize,
    /// Circuits in all. 1,024: a browser that cannot go direct keeps two neighbours by circuit
    /// and one for each task under way, which is room for some hundreds of browsers.
    pub circuits_max: usize,
    /// Circuits of one peer. 64: a browser may have up to 50 peers.
    pub circuits_per_peer_max: usize,
    /// Seconds a circuit may last. 1 h: as long as a reservation, so that a conversation is not cut.
    pub circuit_duration_s: u64,
    /// Bytes a circuit may carry in one direction. 64 MiB: hours of gossip and many answers of
    /// 128 KiB, yet no file server.
    pub circuit_bytes_max: u64,
    /// Reservations a minute from one IP address; none for no limit. None: behind a proxy, an office
    /// router or on loopback everybody has the same address and would lock each other out.
    pub reservations_per_ip_per_minute: Option<u32>,
    /// Circuits a minute from one IP address; none for no limit. None, for the same reason.
    pub circuits_per_ip_per_minute: Option<u32>,
    /// Connections in all. 4,096: four for each reservation; a connection costs some 70 KiB.
    pub connections_max: u32,
}

impl Default for RelayServer {
    fn default() -> Self {
        Self {
            reservations_max: 1_024,
            reservations_per_peer_max: 4,
            circuits_max: 1_024,
            circuits_per_peer_max: 64,
            circuit_duration_s: 3_600,
            circuit_bytes_max: 64 * 1024 * 1024,
            reservations_per_ip_per_minute: None,
            circuits_per_ip_per_minute: None,
            connections_max: 4_096,
        }
    }
}

/// Why a node did not start. The message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A configuration value is outside its range.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The store cannot be opened or is damaged.
    #[error("{what}: {detail}; {advice}")]
    Store {
        /// What could not be done.
        what: String,
        /// The cause.
        detail: String,
        /// What to do.
        advice: &'static str,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on {addr}: {detail}; choose another address or end the program that holds it")]
    Listen {
        /// The address.
        addr: Multiaddr,
        /// The cause.
        detail: String,
    },
    /// This platform lacks something.
    #[error("{0}")]
    Unsupported(String),
}
