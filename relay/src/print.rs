//! The settings as a TOML file in which every key says what it means and why its default is what it is.

use toml::Value;

use crate::settings::Settings;

/// Each key, in the order of the file, with its meaning and its default's reason.
const KEYS: &[(&str, &str)] = &[
    ("data_dir", "Key, WebRTC certificate and database. Keep it: the relay's addresses depend on it."),
    (
        "http",
        "Web app, /.well-known/mycomesh.json, /healthz, /readyz. Loopback by default, so that nothing is open\nunasked; 0.0.0.0:8080 serves others. The listeners below use the same host unless set,\nand the ports shown here.",
    ),
    ("ws", "WebSocket, for browsers. IP:PORT, or \"off\"; so do the next three."),
    ("webrtc", "WebRTC-direct over UDP, for browsers: needs no TLS certificate of a public authority."),
    ("tcp", "TCP, for native peers. 4001 is the usual port of libp2p."),
    ("quic", "QUIC over UDP, for native peers."),
    ("ops", "Metrics. The port of the web app while that is loopback, otherwise off."),
    (
        "external",
        "Addresses under which the world reaches this relay, for example [\"/dns4/relay.example.org/tcp/443/wss\"].\nNeeded behind NAT or a proxy; they are announced before all others.",
    ),
    ("mesh.network", "The network served. Peers of other networks are not."),
    ("mesh.max_peers", "Connected peers at most. High, since everybody connects to the relay; about 100 KiB each."),
    ("mesh.connection_timeout_s", "Seconds a dial may take."),
    ("mesh.presence_interval_s", "Seconds between two presences. Three missed ones make a peer offline: 45 s."),
    ("mesh.discovery_interval_s", "Seconds between two refreshes of the DHT."),
    ("mesh.trust_threshold", "Basis points of trust from which a peer counts as reputable: 7000 is 0.7."),
    ("mesh.reputation_decay_per_day", "Basis points of its weight that evidence loses in a day: 100 is 1 %."),
    ("mesh.failed_attempts_max", "Violations after which a peer is put into quarantine."),
    ("mesh.quarantine_s", "Seconds of the first quarantine; each further one lasts twice as long."),
    (
        "mesh.storage_bytes_max",
        "Bytes of receipts (a quarter) and tasks (the rest) in the store. What strangers signed goes first. The database file is\nlarger: it keeps indexes and free pages, too. A relay holds receipts only, some 15 MiB when it holds all it may.",
    ),
    ("mesh.reserve", "Whether to ask other relays for a reservation. A relay is reachable by itself."),
    ("mesh.agent", "Whether to offer skills. A pure relay is no agent and is not counted in the status bar."),
    (
        "relay.reservations_max",
        "Peers that can be reached through this relay at a time; 0 relays for nobody. 1024 are a few hundred people with\na second tab each; a reservation costs a few hundred bytes and a connection. libp2p's own default is 128.",
    ),
    ("relay.reservations_per_peer_max", "Reservations of one peer: one for each connection that it may have."),
    (
        "relay.circuits_max",
        "Relayed connections at a time. A browser that cannot go direct keeps two as neighbours and one for each task under\nway: enough for some hundreds of those. libp2p's own 16 are a handful of people.",
    ),
    (
        "relay.circuits_per_peer_max",
        "Relayed connections of one peer: its 50 peers at most, with room for those that replace each other.",
    ),
    (
        "relay.circuit_duration_s",
        "Seconds a relayed connection may last. As long as a reservation, so that no conversation is cut; libp2p's own 120\nwould cut every longer task.",
    ),
    (
        "relay.circuit_bytes_max",
        "Bytes a relayed connection may carry each way. 64 MiB are hours of gossip and many answers, yet no file server;\nlibp2p's own 128 KiB are minutes of gossip.",
    ),
    (
        "relay.reservations_per_ip_per_minute",
        "Reservations a minute from one address; 0 for no limit. None, because behind a proxy, an office router or on\nloopback everybody has the same address and would lock each other out.",
    ),
    (
        "relay.circuits_per_ip_per_minute",
        "Relayed connections a minute from one address; 0 for no limit. None, for the same reason.",
    ),
    ("relay.connections_max", "Connections at a time: four for each reservation; one costs some 70 KiB."),
];

/// `settings` with comments, ready to be saved and given as `--config`.
pub fn commented(settings: &Settings) -> String {
    let mut text = String::from("# Settings of mycomesh-relay. Flags and MYCOMESH_* variables win over this file.\n");
    let set = Value::try_from(settings).expect("settings are plain values");
    let in_force = effective(settings);
    let mut table = "";
    for (path, meaning) in KEYS {
        let (its_table, key) = path.rsplit_once('.').unwrap_or(("", path));
        if its_table != table {
            table = its_table;
            text.push_str(&format!("\n[{table}]\n"));
        }
        let Some(value) = lookup(&in_force, path) else { continue };
        if !text.ends_with("]\n") {
            text.push('\n');
        }
        for line in meaning.lines() {
            text.push_str(&format!("# {line}\n"));
        }
        // What follows from something else must keep doing so when this text is saved as a file.
        let follows = if lookup(&set, path).is_some() { "" } else { "# " };
        text.push_str(&format!("{follows}{key} = {value}\n"));
    }
    text
}

/// Everything that is in force, including what was left open and follows from something else.
fn effective(settings: &Settings) -> Value {
    let listeners = settings.listeners();
    let open = Settings {
        ws: Some(listeners.ws),
        webrtc: Some(listeners.webrtc),
        tcp: Some(listeners.tcp),
        quic: Some(listeners.quic),
        ops: Some(listeners.ops),
        ..settings.clone()
    };
    Value::try_from(open).expect("settings are plain values")
}

fn lookup<'a>(values: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(values, |value, key| value.get(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packaged() -> Settings {
        Settings { data_dir: Some("/var/lib/mycomesh-relay".into()), ..Settings::default() }
    }

    #[test]
    fn every_key_is_explained_once() {
        let values = effective(&packaged());
        let mut keys = Vec::new();
        for (key, value) in values.as_table().expect("a table") {
            match value.as_table() {
                Some(table) => keys.extend(table.keys().map(|inner| format!("{key}.{inner}"))),
                None => keys.push(key.clone()),
            }
        }
        let mut explained: Vec<_> = KEYS.iter().map(|(key, _)| (*key).to_owned()).collect();
        keys.sort();
        explained.sort();
        assert_eq!(keys, explained);
    }

    #[test]
    fn what_is_printed_is_what_is_read() {
        let printed = commented(&packaged());
        let read: Settings = toml::from_str(&printed).expect("it is a configuration");
        assert_eq!(effective(&read), effective(&packaged()));
    }

    #[test]
    fn the_example_is_what_is_printed_by_default() {
        let example = include_str!("../relay.example.toml");
        assert_eq!(
            example,
            commented(&packaged()),
            "run: mycomesh-relay --data-dir /var/lib/mycomesh-relay --print-config"
        );
    }
}
