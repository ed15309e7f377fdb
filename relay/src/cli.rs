//! The command line. Every option can also be set in the environment; a flag wins over it.

use std::{net::SocketAddr, path::PathBuf};

use clap::Parser;
use multiaddr::Multiaddr;
use mycomesh_core::wire::Network;

use crate::settings::Listener;

/// The relay and bootstrap node of a Mycomesh network, with the web app inside.
///
/// An ADDR is IP:PORT; port 0 picks a free one. Transports also take `off`. Once everything listens, one line
/// `ready http://HOST:PORT` goes to standard output; logs go to standard error (MYCOMESH_LOG sets what is logged).
#[derive(Debug, Default, Parser)]
#[command(name = "mycomesh-relay", version, max_term_width = 100)]
pub struct Cli {
    /// Settings in TOML; see --print-config
    #[arg(long, env = "MYCOMESH_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where key, certificate and database are kept [default: mycomesh-relay in the user's data folder]
    #[arg(long, env = "MYCOMESH_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// The network to serve [default: public]
    #[arg(long, env = "MYCOMESH_NETWORK", value_name = "NAME")]
    pub network: Option<Network>,
    /// Web app and /.well-known/mycomesh.json [default: 127.0.0.1:8080]
    #[arg(long, env = "MYCOMESH_HTTP", value_name = "ADDR")]
    pub http: Option<SocketAddr>,
    /// WebSocket, for browsers [default: port 8081 of the HTTP host]
    #[arg(long, env = "MYCOMESH_WS", value_name = "ADDR")]
    pub ws: Option<Listener>,
    /// WebRTC-direct over UDP, for browsers [default: port 8082 of the HTTP host]
    #[arg(long, env = "MYCOMESH_WEBRTC", value_name = "ADDR")]
    pub webrtc: Option<Listener>,
    /// TCP, for native peers [default: port 4001 of the HTTP host]
    #[arg(long, env = "MYCOMESH_TCP", value_name = "ADDR")]
    pub tcp: Option<Listener>,
    /// QUIC over UDP, for native peers [default: port 4001 of the HTTP host]
    #[arg(long, env = "MYCOMESH_QUIC", value_name = "ADDR")]
    pub quic: Option<Listener>,
    /// Addresses under which the world reaches this relay, such as /dns4/relay.example.org/tcp/443/wss
    #[arg(long, env = "MYCOMESH_EXTERNAL", value_name = "MULTIADDR", num_args = 1.., value_delimiter = ',')]
    pub external: Vec<Multiaddr>,
    /// Metrics port [default: the HTTP port while that is loopback, else off]
    #[arg(long, env = "MYCOMESH_OPS", value_name = "ADDR")]
    pub ops: Option<Listener>,
    /// Print the settings in force with what each means, and exit
    #[arg(long)]
    pub print_config: bool,
}
