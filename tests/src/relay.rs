//! A relay as a process.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

use crate::{Answer, PATIENCE, Place, http::get_from, programs::relay_command};

/// Between two looks at what cannot tell by itself that it changed.
const POLL: Duration = Duration::from_millis(50);

/// A running relay. Killed when dropped; its folder goes with it.
#[derive(Debug)]
pub struct Relay {
    /// `127.0.0.1:PORT` of its web page.
    pub http: String,
    /// Its peer id.
    pub peer_id: String,
    /// Where it can be dialled, as it says.
    pub addresses: Vec<String>,
    flags: RelayFlags,
    dir: TempDir,
    child: Child,
}

/// What a relay is started with besides free ports.
#[derive(Clone, Debug, Default)]
pub struct RelayFlags {
    /// The network; `public` when empty.
    pub network: String,
    /// A configuration file's text.
    pub config: String,
    /// Where to keep data that outlives the relay; a folder of its own when none.
    pub data: Option<PathBuf>,
    /// `IP:PORT` of the metrics, when not those of the web page.
    pub ops: String,
    /// Where it runs. Web page and metrics are on loopback there, everything else on the place's address.
    pub place: Place,
}

impl Relay {
    /// A relay with default settings.
    pub async fn start() -> Self {
        Self::start_with(RelayFlags::default()).await
    }

    /// A relay with these settings.
    pub async fn start_with(flags: RelayFlags) -> Self {
        let dir = tempfile::tempdir().expect("a folder for the relay");
        let (child, http) = spawn(&flags, dir.path(), &Ports::default()).await;
        let mut relay = Self { http, peer_id: String::new(), addresses: Vec::new(), flags, dir, child };
        relay.learn().await;
        relay
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// The first address of this kind: `ws`, `webrtc-direct`, `quic-v1`, or `tcp` for plain TCP.
    pub fn address(&self, kind: &str) -> &str {
        let is_plain_tcp = |addr: &&String| !addr.contains("/ws") && addr.contains("/tcp/");
        let found = match kind {
            "tcp" => self.addresses.iter().find(is_plain_tcp),
            _ => self.addresses.iter().find(|addr| addr.split('/').any(|part| part == kind)),
        };
        found.unwrap_or_else(|| panic!("no {kind} among {:?}", self.addresses))
    }

    /// The answer of its HTTP port.
    pub async fn get(&self, path: &str) -> Option<Answer> {
        get_from(&self.flags.place, &self.http, path, &self.http).await
    }

    /// One of its metrics.
    pub async fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").await.expect("it serves metrics").body;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.trim().parse().ok()).unwrap_or_else(|| panic!("no metric {name} in\n{text}"))
    }

    /// Wait until one of its metrics is at least `value`.
    pub async fn until_metric(&self, name: &str, value: f64) {
        let waiting = async {
            while self.metric(name).await < value {
                // Metrics can only be asked for again and again.
                tokio::time::sleep(POLL).await;
            }
        };
        if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
            panic!("{name} never came to {value}; it is {}", self.metric(name).await);
        }
    }

    /// End it at once, as a crash would.
    pub async fn kill(&mut self) {
        self.child.kill().await.expect("it was running");
    }

    /// Ask it to end, as a supervisor does. Gives its exit code.
    pub async fn terminate(&mut self) -> Option<i32> {
        let pid = self.pid().to_string();
        let asked = Command::new("kill").args(["-TERM", &pid]).status().await.expect("kill");
        assert!(asked.success());
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("it ends when asked to");
        ended.expect("its exit code").code()
    }

    /// The folder with its key, certificate and database.
    pub fn data(&self) -> PathBuf {
        data(&self.flags, self.dir.path())
    }

    /// Start it again on the same folder and the same ports. It must not be running.
    pub async fn restart(&mut self) {
        let ports = self.ports();
        (self.child, self.http) = spawn(&self.flags, self.dir.path(), &ports).await;
        self.learn().await;
    }

    /// Start it again, and kill it so long after that. It must not be running.
    pub async fn restart_and_kill(&mut self, after: Duration) {
        let mut child = command(&self.flags, self.dir.path(), &self.ports()).spawn().expect("start the relay");
        tokio::time::sleep(after).await;
        child.kill().await.expect("it was running");
    }

    fn ports(&self) -> Ports {
        let port_of = |kind: &str| {
            let addr = self.address(kind);
            let (_, after) = addr.split_once("/tcp/").or(addr.split_once("/udp/")).expect("a port");
            after.split('/').next().and_then(|port| port.parse().ok()).expect("a port")
        };
        Ports {
            http: self.http.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port"),
            ws: port_of("ws"),
            webrtc: port_of("webrtc-direct"),
            tcp: port_of("tcp"),
            quic: port_of("quic-v1"),
        }
    }

    async fn learn(&mut self) {
        let answer = self.get("/.well-known/mycomesh.json").await.expect("it serves its addresses");
        let document: serde_json::Value = serde_json::from_str(&answer.body).expect("JSON");
        self.peer_id = document["peer_id"].as_str().expect("a peer id").to_owned();
        let addresses = document["addresses"].as_array().expect("addresses").iter();
        self.addresses = addresses.map(|addr| addr.as_str().expect("an address").to_owned()).collect();
    }
}

/// The ports to use; zero for a free one.
#[derive(Default)]
struct Ports {
    http: u16,
    ws: u16,
    webrtc: u16,
    tcp: u16,
    quic: u16,
}

async fn spawn(flags: &RelayFlags, dir: &Path, ports: &Ports) -> (Child, String) {
    let mut child = command(flags, dir, ports).spawn().expect("start the relay");
    let stdout = child.stdout.take().expect("its output is piped");
    let first = tokio::time::timeout(PATIENCE, BufReader::new(stdout).lines().next_line()).await;
    let line = first.expect("the relay says that it is ready").expect("its output").unwrap_or_default();
    let http = line.strip_prefix("ready http://").unwrap_or_else(|| panic!("the relay said {line:?}")).to_owned();
    (child, http)
}

fn data(flags: &RelayFlags, dir: &Path) -> PathBuf {
    flags.data.clone().unwrap_or_else(|| dir.join("data"))
}

fn command(flags: &RelayFlags, dir: &Path, ports: &Ports) -> Command {
    let mut command = relay_command(&flags.place);
    command.arg("--data-dir").arg(data(flags, dir));
    command.arg("--http").arg(format!("127.0.0.1:{}", ports.http));
    for (flag, port) in [("--ws", ports.ws), ("--webrtc", ports.webrtc), ("--tcp", ports.tcp), ("--quic", ports.quic)] {
        command.arg(flag).arg(format!("{}:{port}", flags.place.ip));
    }
    for (flag, value) in [("--network", &flags.network), ("--ops", &flags.ops)] {
        if !value.is_empty() {
            command.args([flag, value]);
        }
    }
    if !flags.config.is_empty() {
        let file = dir.join("relay.toml");
        std::fs::write(&file, &flags.config).expect("write the configuration");
        command.arg("--config").arg(file);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command
}
