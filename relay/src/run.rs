//! Starts the node and the HTTP ports, says when they are ready, and stops them on a signal.

use std::{
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::Router;
use futures::StreamExt as _;
use multiaddr::{Multiaddr, Protocol};
use mycomesh_core::{Profile, io::Path, limits::PRESENCE_ADDRS_MAX};
use mycomesh_net::{Handle, Options, RelayServer, StartError, Store};
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};
use tracing_subscriber::EnvFilter;

use crate::{
    assets::Assets,
    guard::Guarded,
    http::{self, App},
    settings::{Listener, Listeners, Settings, SettingsError},
    well_known::{Sources, listening_at},
};

/// How long the goodbye may take, and then the answers that are on their way. Together with a margin these are the
/// three seconds after which a supervisor may expect the process to be gone.
const GOODBYE_MAX: Duration = Duration::from_millis(1_500);
const LAST_ANSWERS_MAX: Duration = Duration::from_millis(1_000);

/// What is logged unless `MYCOMESH_LOG` says otherwise.
const LOG_DEFAULT: &str = "warn,libp2p_kad=error,libp2p_relay=error,libp2p_request_response=error,mycomesh_relay=info,mycomesh_net=info,mycomesh_core=info";

/// Why the relay did not start, or stopped, in one line.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// A setting is wrong.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The threads could not be started.
    #[error("cannot start: {0}")]
    Runtime(io::Error),
    /// The data directory is unusable.
    #[error("cannot write to the data directory {}: {cause}; choose another with --data-dir", path.display())]
    DataDir {
        /// The folder.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// An HTTP port is unusable.
    #[error(
        "cannot listen on {addr} for {option}: {cause}; choose another with {option}, or end the program that holds it"
    )]
    Port {
        /// The address.
        addr: SocketAddr,
        /// The option that sets it.
        option: &'static str,
        /// Why.
        cause: io::Error,
    },
    /// The node did not start.
    #[error("{}", one_line(.0))]
    Node(#[from] StartError),
    /// The node ended by itself.
    #[error("the node stopped unexpectedly; the log says why")]
    Stopped,
}

/// Send logs to standard error.
pub fn init_logs() {
    let filter = EnvFilter::try_from_env("MYCOMESH_LOG").unwrap_or_else(|_| EnvFilter::new(LOG_DEFAULT));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(false).init();
}

/// Run until a signal asks to stop.
pub async fn run(settings: Settings) -> Result<(), Failed> {
    // Before anybody can be told that it runs: who asks it to end from then on gets its goodbye.
    let mut signals = Signals::listen()?;
    let data_dir = settings.data_dir.clone().unwrap_or_default();
    prepare(&data_dir)?;
    let listeners = settings.listeners();
    // Ports first: they fail most often, and nothing has to be undone.
    let http = bind(settings.http, "--http").await?;
    let http_addr = http.local_addr().map_err(Failed::Runtime)?;
    let shared = listeners.ops == Listener::At(settings.http);
    let ops = match listeners.ops {
        Listener::At(addr) if !shared => Some(bind(addr, "--ops").await?),
        _ => None,
    };

    let node = mycomesh_net::start(options(&settings, &listeners, &data_dir)).await?;
    addresses_known(&node, &listen_addrs(&listeners)).await?;
    let app = App {
        sources: Arc::new(sources(&settings, &listeners, &node)),
        node: node.clone(),
        assets: Assets::embedded(),
        data_dir: data_dir.into(),
        draining: Arc::new(AtomicBool::new(false)),
    };
    tell(&app, http_addr, ops.as_ref(), shared);

    let (stop, stopped) = watch::channel(false);
    let mut servers = vec![tokio::spawn(serve(http, http::public(&app, shared), stopped.clone()))];
    if let Some(listener) = ops {
        servers.push(tokio::spawn(serve(listener, http::ops(&app), stopped)));
    }
    let assets = app.assets.clone();
    tokio::task::spawn_blocking(move || assets.compress());
    println!("ready http://{http_addr}");

    let ended_by_itself = wait_for_end(&node, &mut signals).await;
    app.draining.store(true, Ordering::Relaxed);
    tracing::info!("stopping");
    if tokio::time::timeout(GOODBYE_MAX, node.stop()).await.is_err() {
        tracing::warn!("the goodbye took too long and was cut short");
    }
    // Nobody listens when both servers have ended by themselves.
    let _ = stop.send(true);
    let _ = tokio::time::timeout(LAST_ANSWERS_MAX, futures::future::join_all(servers)).await;
    if ended_by_itself { Err(Failed::Stopped) } else { Ok(()) }
}

/// Wait until the node says where it listens for each of `asked`: only then can peers be told. A full list says all
/// that it ever will.
async fn addresses_known(node: &Handle, asked: &[Multiaddr]) -> Result<(), Failed> {
    let mut snapshots = node.snapshots();
    while let Some(snapshot) = snapshots.next().await {
        let known = &snapshot.me.addrs;
        let is_known = |asked: &Multiaddr| known.iter().any(|addr| Path::of(addr) == Path::of(asked));
        if known.len() >= PRESENCE_ADDRS_MAX || asked.iter().all(is_known) {
            return Ok(());
        }
    }
    Err(Failed::Stopped)
}

/// The signals that ask to stop. From [`Signals::listen`] on they no longer end the process by themselves.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> Result<Self, Failed> {
        let listen = |kind| signal(kind).map_err(Failed::Runtime);
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    async fn recv(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Returns on a signal with `false`; with `true` when the node has ended.
async fn wait_for_end(node: &Handle, signals: &mut Signals) -> bool {
    let mut events = node.events();
    let node_ended = async {
        while let Some(event) = events.next().await {
            tracing::debug!(name = event.name(), ?event);
        }
    };
    tokio::select! {
        () = signals.recv() => false,
        () = node_ended => true,
    }
}

async fn serve(listener: TcpListener, routes: Router, mut stopped: watch::Receiver<bool>) {
    let until = async move {
        // An error means that the sender is gone, which is a reason to stop, too.
        let _ = stopped.wait_for(|stop| *stop).await;
    };
    if let Err(error) = axum::serve(Guarded::new(listener), routes).with_graceful_shutdown(until).await {
        tracing::error!(%error, "an HTTP port stopped");
    }
}

fn prepare(data_dir: &std::path::Path) -> Result<(), Failed> {
    let failed = |cause| Failed::DataDir { path: data_dir.to_owned(), cause };
    std::fs::create_dir_all(data_dir).map_err(failed)
}

async fn bind(addr: SocketAddr, option: &'static str) -> Result<TcpListener, Failed> {
    TcpListener::bind(addr).await.map_err(|cause| Failed::Port { addr, option, cause })
}

fn options(settings: &Settings, listeners: &Listeners, data_dir: &std::path::Path) -> Options {
    Options {
        config: settings.mesh.clone(),
        profile: Profile::default(),
        store: Store::Dir(data_dir.to_owned()),
        relays: Vec::new(),
        listen: listen_addrs(listeners),
        external: settings.external.clone(),
        relay_server: Some(RelayServer::from(&settings.relay)),
        mdns: false,
        ice_servers: Vec::new(),
    }
}

fn listen_addrs(listeners: &Listeners) -> Vec<Multiaddr> {
    let at = |listener: Listener, rest: fn(u16) -> Vec<Protocol<'static>>| match listener {
        Listener::Off => None,
        Listener::At(addr) => {
            Some(std::iter::once(Protocol::from(addr.ip())).chain(rest(addr.port())).collect::<Multiaddr>())
        }
    };
    [
        at(listeners.ws, |port| vec![Protocol::Tcp(port), Protocol::Ws("/".into())]),
        at(listeners.webrtc, |port| vec![Protocol::Udp(port), Protocol::WebRTCDirect]),
        at(listeners.tcp, |port| vec![Protocol::Tcp(port)]),
        at(listeners.quic, |port| vec![Protocol::Udp(port), Protocol::QuicV1]),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn sources(settings: &Settings, listeners: &Listeners, node: &Handle) -> Sources {
    let open_everywhere = |addr: &Multiaddr| match addr.iter().next() {
        Some(Protocol::Ip4(ip)) => ip.is_unspecified(),
        Some(Protocol::Ip6(ip)) => ip.is_unspecified(),
        _ => false,
    };
    let asked = listen_addrs(listeners);
    let everywhere = asked.iter().filter(|addr| open_everywhere(addr)).filter_map(listening_at).collect();
    Sources {
        network: settings.mesh.network.clone(),
        peer_id: node.peer_id(),
        external: settings.external.clone(),
        everywhere,
        asked,
    }
}

/// What an operator wants to read once, at start.
fn tell(app: &App, http: SocketAddr, ops: Option<&TcpListener>, shared: bool) {
    tracing::info!(peer_id = %app.node.peer_id(), network = %app.sources.network, data_dir = %app.data_dir.display());
    for addr in app.sources.document(&app.node.snapshot().me.addrs, None).addresses {
        tracing::info!("reachable at {addr}");
    }
    if !app.assets.is_built() {
        tracing::warn!("this binary carries no web app; `cargo xtask build` makes one that does");
    }
    match ops.map(TcpListener::local_addr) {
        Some(Ok(addr)) => tracing::info!("metrics at http://{addr}/metrics"),
        _ if shared => tracing::info!("metrics at http://{http}/metrics"),
        _ => tracing::info!("metrics are not served: the web page is open to others; --ops 127.0.0.1:9090 serves them"),
    }
}

/// Several causes in a chain may each bring lines of their own.
fn one_line(error: &StartError) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transports_that_are_off_are_not_listened_on() {
        let at = |text: &str| text.parse::<Listener>().expect(text);
        let listeners = Listeners {
            ws: at("127.0.0.1:81"),
            webrtc: at("[::1]:82"),
            tcp: Listener::Off,
            quic: at("0.0.0.0:83"),
            ops: Listener::Off,
        };
        let addrs: Vec<_> = listen_addrs(&listeners).iter().map(ToString::to_string).collect();
        let expect = ["/ip4/127.0.0.1/tcp/81/ws", "/ip6/::1/udp/82/webrtc-direct", "/ip4/0.0.0.0/udp/83/quic-v1"];
        assert_eq!(addrs, expect);
    }
}
