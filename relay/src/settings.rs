//! What an operator can set: defaults, then the TOML file, then the environment, then flags.
//!
//! A mistake is reported as one line that names the file, the line and the key, or the variable.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    str::FromStr,
};

use figment::{
    Figment,
    providers::{Env, Format as _, Serialized, Toml},
};
use multiaddr::Multiaddr;
use mycomesh_core::{
    Config,
    config::{ConfigError, why_not_yet},
};
use mycomesh_net::RelayServer;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::cli::Cli;

/// Everything that can be set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where key, certificate and database are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<PathBuf>,
    /// Web app and addresses.
    #[serde(deserialize_with = "socket_addr")]
    pub http: SocketAddr,
    /// WebSocket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ws: Option<Listener>,
    /// WebRTC-direct.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webrtc: Option<Listener>,
    /// TCP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp: Option<Listener>,
    /// QUIC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quic: Option<Listener>,
    /// Metrics.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ops: Option<Listener>,
    /// Addresses under which the world reaches this relay.
    pub external: Vec<Multiaddr>,
    /// The node.
    pub mesh: Config,
    /// What it relays.
    pub relay: RelayLimits,
}

/// Limits of the relay server; [`crate::print`] explains each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RelayLimits {
    pub reservations_max: usize,
    pub reservations_per_peer_max: usize,
    pub circuits_max: usize,
    pub circuits_per_peer_max: usize,
    pub circuit_duration_s: u64,
    pub circuit_bytes_max: u64,
    pub reservations_per_ip_per_minute: u32,
    pub circuits_per_ip_per_minute: u32,
    pub connections_max: u32,
}

/// Where a transport listens, if at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// Not at all.
    Off,
    /// At this address; port 0 is any free one.
    At(SocketAddr),
}

/// Where everything listens, with nothing left open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listeners {
    pub ws: Listener,
    pub webrtc: Listener,
    pub tcp: Listener,
    pub quic: Listener,
    pub ops: Listener,
}

/// What is wrong with the settings, in one line.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// A line of the file is wrong.
    #[error("{}:{line}: {}{message}", path.display(), if key.is_empty() { String::new() } else { format!("`{key}`: ") })]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The key with its table; empty when the line is no TOML at all.
        key: String,
        /// What is wrong with it.
        message: String,
    },
    /// An environment variable is wrong.
    #[error("the environment variable {name}: {message}")]
    Variable {
        /// The variable.
        name: String,
        /// What is wrong with it.
        message: String,
    },
    /// There is no place for the data.
    #[error("there is no home folder to keep data in; name a folder with --data-dir or MYCOMESH_DATA_DIR")]
    NoDataDir,
}

impl Default for Settings {
    fn default() -> Self {
        // A relay is no agent, needs no relay, and holds a connection for every peer.
        let mesh = Config { agent: false, reserve: false, max_peers: 2_000, ..Config::default() };
        Self {
            data_dir: None,
            http: SocketAddr::from(([127, 0, 0, 1], 8080)),
            ws: None,
            webrtc: None,
            tcp: None,
            quic: None,
            ops: None,
            external: Vec::new(),
            mesh,
            relay: RelayLimits::default(),
        }
    }
}

impl Default for RelayLimits {
    fn default() -> Self {
        let server = RelayServer::default();
        Self {
            reservations_max: server.reservations_max,
            reservations_per_peer_max: server.reservations_per_peer_max,
            circuits_max: server.circuits_max,
            circuits_per_peer_max: server.circuits_per_peer_max,
            circuit_duration_s: server.circuit_duration_s,
            circuit_bytes_max: server.circuit_bytes_max,
            reservations_per_ip_per_minute: server.reservations_per_ip_per_minute.unwrap_or(0),
            circuits_per_ip_per_minute: server.circuits_per_ip_per_minute.unwrap_or(0),
            connections_max: server.connections_max,
        }
    }
}

impl From<&RelayLimits> for RelayServer {
    fn from(limits: &RelayLimits) -> Self {
        let unless_zero = |rate: u32| (rate > 0).then_some(rate);
        Self {
            reservations_max: limits.reservations_max,
            reservations_per_peer_max: limits.reservations_per_peer_max,
            circuits_max: limits.circuits_max,
            circuits_per_peer_max: limits.circuits_per_peer_max,
            circuit_duration_s: limits.circuit_duration_s,
            circuit_bytes_max: limits.circuit_bytes_max,
            reservations_per_ip_per_minute: unless_zero(limits.reservations_per_ip_per_minute),
            circuits_per_ip_per_minute: unless_zero(limits.circuits_per_ip_per_minute),
            connections_max: limits.connections_max,
        }
    }
}

impl Settings {
    /// The settings in force.
    pub fn load(cli: Cli) -> Result<Self, SettingsError> {
        let file = match &cli.config {
            None => None,
            Some(path) => match std::fs::read_to_string(path) {
                Ok(text) => Some((path.as_path(), text)),
                Err(cause) => return Err(SettingsError::Unreadable { path: path.clone(), cause }),
            },
        };
        let mut settings = Self::layered(file.as_ref().map(|(path, text)| (*path, text.as_str())))?;
        settings.apply(cli);
        if settings.data_dir.is_none() {
            settings.data_dir = Some(user_data_dir().ok_or(SettingsError::NoDataDir)?);
        }
        Ok(settings)
    }

    /// Where everything listens. What is not set listens on the host of the web page, so that one option decides
    /// whom the relay serves; and on any free port if the web page does.
    pub fn listeners(&self) -> Listeners {
        let beside = |set: Option<Listener>, port: u16| {
            let port = if self.http.port() == 0 { 0 } else { port };
            set.unwrap_or(Listener::At(SocketAddr::new(self.http.ip(), port)))
        };
        let on_http = if is_loopback(self.http.ip()) { Listener::At(self.http) } else { Listener::Off };
        Listeners {
            ws: beside(self.ws, 8081),
            webrtc: beside(self.webrtc, 8082),
            tcp: beside(self.tcp, 4001),
            quic: beside(self.quic, 4001),
            ops: self.ops.unwrap_or(on_http),
        }
    }

    /// Defaults, file and the environment's tables.
    pub(crate) fn layered(file: Option<(&Path, &str)>) -> Result<Self, SettingsError> {
        let mut figment = Figment::from(Serialized::defaults(Self::default()));
        if let Some((path, text)) = file {
            // Read once more by the library that knows where in the text a mistake is.
            if let Err(error) = toml::from_str::<Self>(text) {
                return Err(wrong_line(path, text, &error));
            }
            figment = figment.merge(Toml::string(text));
        }
        let is_table = |name: &figment::value::UncasedStr| name.starts_with("MESH__") || name.starts_with("RELAY__");
        figment = figment.merge(Env::prefixed("MYCOMESH_").filter(is_table).split("__"));
        let settings: Self = figment.extract().map_err(|error| {
            let name = format!("MYCOMESH_{}", error.path.join("__").to_uppercase());
            SettingsError::Variable { name, message: explain(&error.kind.to_string()) }
        })?;
        settings.check().map_err(|error| out_of_range(file, &error))?;
        Ok(settings)
    }

    fn apply(&mut self, cli: Cli) {
        self.data_dir = cli.data_dir.or(self.data_dir.take());
        self.http = cli.http.unwrap_or(self.http);
        self.ws = cli.ws.or(self.ws);
        self.webrtc = cli.webrtc.or(self.webrtc);
        self.tcp = cli.tcp.or(self.tcp);
        self.quic = cli.quic.or(self.quic);
        self.ops = cli.ops.or(self.ops);
        if !cli.external.is_empty() {
            self.external = cli.external;
        }
        if let Some(network) = cli.network {
            self.mesh.network = network;
        }
    }

    fn check(&self) -> Result<(), ConfigError> {
        self.mesh.check()?;
        let relay = &self.relay;
        let rules = [
            ("reservations_per_peer_max", relay.reservations_per_peer_max > 0),
            ("circuits_per_peer_max", relay.circuits_per_peer_max > 0),
            ("circuit_duration_s", relay.circuit_duration_s > 0),
            ("circuit_bytes_max", relay.circuit_bytes_max > 0),
            ("connections_max", relay.connections_max > 0),
        ];
        match rules.into_iter().find(|(_, holds)| !holds) {
            Some((key, _)) => Err(ConfigError { key, wanted: "at least 1" }),
            None => Ok(()),
        }
    }
}

impl FromStr for Listener {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "off" => Ok(Self::Off),
            _ => text.parse().map(Self::At).map_err(|_| "must be IP:PORT such as 127.0.0.1:8081, or off"),
        }
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::At(addr) => addr.fmt(f),
        }
    }
}

impl Serialize for Listener {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Listener {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Whether only this machine can reach `ip`.
pub fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

fn socket_addr<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| serde::de::Error::custom("must be IP:PORT such as 127.0.0.1:8080"))
}

/// `$XDG_DATA_HOME/mycomesh-relay`, or the place that the XDG Base Directory Specification gives it.
fn user_data_dir() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let data_home = set("XDG_DATA_HOME").or_else(|| Some(set("HOME")?.join(".local/share")))?;
    Some(data_home.join("mycomesh-relay"))
}

fn wrong_line(path: &Path, text: &str, error: &toml::de::Error) -> SettingsError {
    let offset = error.span().map_or(0, |span| span.start);
    let (line, key) = place(text, offset);
    SettingsError::Line { path: path.to_owned(), line, key, message: explain(error.message()) }
}

/// A value that parses and is outside its range: the line is found by its key.
fn out_of_range(file: Option<(&Path, &str)>, error: &ConfigError) -> SettingsError {
    let message = format!("must be {}", error.wanted);
    let table = if is_relay_key(error.key) { "relay" } else { "mesh" };
    let dotted = format!("{table}.{}", error.key);
    let found = file.and_then(|(path, text)| {
        let mut offset = 0;
        for line in text.split_inclusive('\n') {
            let (number, key) = place(text, offset);
            if key == dotted && line.contains('=') {
                return Some((path.to_owned(), number));
            }
            offset += line.len();
        }
        None
    });
    match found {
        Some((path, line)) => SettingsError::Line { path, line, key: dotted, message },
        None => SettingsError::Variable {
            name: format!("MYCOMESH_{}__{}", table.to_uppercase(), error.key.to_uppercase()),
            message,
        },
    }
}

fn is_relay_key(key: &str) -> bool {
    toml::Table::try_from(RelayLimits::default()).is_ok_and(|table| table.contains_key(key))
}

/// The line around `offset`, from 1, and the key it belongs to, with its table.
fn place(text: &str, offset: usize) -> (usize, String) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let mut key = None;
    for text in text.lines().take(line).collect::<Vec<_>>().into_iter().rev() {
        let text = text.trim();
        if let Some(table) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            let table = table.0.trim();
            return (line, key.map_or(table.to_owned(), |key: String| format!("{table}.{key}")));
        }
        let name = text.split_once('=').map(|(name, _)| name.trim());
        if let Some(name) = name.filter(|name| key.is_none() && is_bare_key(name)) {
            key = Some(name.to_owned());
        }
    }
    (line, key.unwrap_or_default())
}

fn is_bare_key(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
}

/// serde's message in an operator's words.
fn explain(message: &str) -> String {
    let message = message.trim().replace('\n', "; ");
    let unknown = message.strip_prefix("unknown field").map(|rest| rest.trim_start_matches([':', ' ']));
    let Some((name, known)) = unknown.and_then(|rest| rest.split_once(", expected ")) else {
        return message;
    };
    let name = name.trim_matches(['`', ' ']);
    if let Some(why) = why_not_yet(name) {
        return format!("this version does not enforce this key, so remove it rather than rely on it: {why}");
    }
    format!("unknown key; known here: {}", known.trim_start_matches("one of ").replace('`', ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a file with this text is told.
    #[track_caller]
    fn check(text: &str, expect: &str) {
        let error = Settings::layered(Some((Path::new("relay.toml"), text))).expect_err(text).to_string();
        assert!(error.starts_with(expect), "{text:?} gave {error:?}");
        assert!(!error.contains('\n'), "one line: {error:?}");
    }

    #[test]
    fn a_mistake_in_the_file_names_file_line_and_key() {
        check("htttp = \"127.0.0.1:1\"", "relay.toml:1: `htttp`: unknown key; known here: data_dir, http, ");
        check(
            "\n[mesh]\n# a comment\nmax_pears = 5\n",
            "relay.toml:4: `mesh.max_pears`: unknown key; known here: network, ",
        );
        check(
            "[mesh]\n\nmax_peers = \"many\"\n",
            "relay.toml:3: `mesh.max_peers`: invalid type: string \"many\", expected u32",
        );
        check(
            "[relay]\ncircuit_bytes_max = -1\n",
            "relay.toml:2: `relay.circuit_bytes_max`: invalid value: integer `-1`",
        );
        check("http = 8080", "relay.toml:1: `http`: invalid type: integer `8080`, expected a string");
        check("http = \"localhost\"", "relay.toml:1: `http`: must be IP:PORT such as 127.0.0.1:8080");
        check("ws = \"on\"", "relay.toml:1: `ws`: must be IP:PORT such as 127.0.0.1:8081, or off");
        check(
            "external = [\n  \"/dns4/a.example/tcp/443/wss\",\n  \"a.example:443\",\n]",
            "relay.toml:3: `external`: ",
        );
        check("[mesh]\nnetwork = \"No Spaces\"", "relay.toml:2: `mesh.network`: a network name must be ");
        check("[meesh]\nmax_peers = 1", "relay.toml:1: `meesh`: unknown key; known here: ");
        check("http 127.0.0.1:1", "relay.toml:1: ");
    }

    #[test]
    fn a_key_that_nothing_enforces_yet_is_refused_by_name() {
        for key in mycomesh_core::config::NOT_YET {
            check(
                &format!("[mesh]\n{key} = 1\n"),
                &format!("relay.toml:2: `mesh.{key}`: this version does not enforce"),
            );
        }
    }

    #[test]
    fn a_value_outside_its_range_names_the_line_too() {
        check(
            "[mesh]\npresence_interval_s = 15\nmax_peers = 0\n",
            "relay.toml:3: `mesh.max_peers`: must be 1 to 10000",
        );
        check(
            "[mesh]\nstorage_bytes_max = 1000\n",
            "relay.toml:2: `mesh.storage_bytes_max`: must be 16777216 (16 MiB) to ",
        );
        check("[relay]\nconnections_max = 0", "relay.toml:2: `relay.connections_max`: must be at least 1");
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let text = "http = \"127.0.0.1:9000\"\nws = \"off\"\n[mesh]\nnetwork = \"file\"\nmax_peers = 7\n";
        let mut settings = Settings::layered(Some((Path::new("relay.toml"), text))).expect("a good file");
        settings.apply(Cli { network: Some("flag".parse().expect("a name")), ..Cli::default() });
        assert_eq!(settings.http.port(), 9000);
        assert_eq!(settings.listeners().ws, Listener::Off);
        assert_eq!(settings.mesh.network.as_str(), "flag");
        assert_eq!(settings.mesh.max_peers, 7);
        assert!(!settings.mesh.agent, "a relay stays a relay when its file sets another key of the same table");
    }

    #[test]
    #[expect(clippy::result_large_err, reason = "the closure's type is figment's")]
    fn the_environment_reaches_into_the_tables_and_is_named_in_errors() {
        figment::Jail::expect_with(|jail| {
            jail.set_env("MYCOMESH_RELAY_BIN", "not a setting");
            jail.set_env("MYCOMESH_RELAY__RESERVATIONS_MAX", "3");
            assert_eq!(Settings::layered(None).expect("good").relay.reservations_max, 3);
            jail.set_env("MYCOMESH_MESH__MAX_PEERS", "many");
            let error = Settings::layered(None).expect_err("not a number").to_string();
            assert!(error.starts_with("the environment variable MYCOMESH_MESH__MAX_PEERS: invalid type"), "{error}");
            jail.set_env("MYCOMESH_MESH__MAX_PEERS", "0");
            let error = Settings::layered(None).expect_err("out of range").to_string();
            assert!(error.starts_with("the environment variable MYCOMESH_MESH__MAX_PEERS: must be 1"), "{error}");
            Ok(())
        });
    }

    #[test]
    fn what_is_not_set_follows_the_web_page() {
        let at = |text: &str| text.parse::<Listener>().expect(text);
        let open = Settings { http: "0.0.0.0:80".parse().expect("an address"), ..Settings::default() };
        let listeners = open.listeners();
        assert_eq!((listeners.ws, listeners.quic), (at("0.0.0.0:8081"), at("0.0.0.0:4001")));
        assert_eq!(listeners.ops, Listener::Off, "metrics are not shown to everybody unasked");
        let free = Settings { http: "127.0.0.1:0".parse().expect("an address"), ..Settings::default() };
        assert_eq!((free.listeners().ws, free.listeners().ops), (at("127.0.0.1:0"), at("127.0.0.1:0")));
    }
}
