//! The relay as a program: its pages, its end, and one clear line for each mistake.

use std::{fs, net::TcpListener};

use mycomesh_tests::{Relay, RelayFlags, get, run_to_end};
use serde_json::Value;

/// Run the relay with these arguments and expect it to end with one line that contains all of `words`.
async fn check(args: &[&str], code: i32, words: &[&str]) {
    let ended = run_to_end(args).await;
    assert_eq!(ended.code, Some(code), "{args:?}: {}", ended.stderr);
    let line = ended.stderr.lines().find(|line| words.iter().all(|word| line.contains(word)));
    assert!(line.is_some(), "{args:?} should say {words:?} in one line, and said\n{}", ended.stderr);
    assert!(!ended.stdout.contains("ready"), "it was never ready");
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
}

/// The arguments of a relay on free ports that keeps its data in `dir`.
fn args(dir: &str) -> Vec<&str> {
    vec!["--data-dir", dir, "--http", "127.0.0.1:0"]
}

#[tokio::test]
async fn mistakes_in_the_configuration_name_file_line_and_key() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("relay.toml");
    let path = file.to_str().expect("a plain path");
    for (text, words) in [
        ("[mesh]\nmax_pears = 5\n", ["relay.toml:2:", "`mesh.max_pears`", "unknown key"]),
        ("[mesh]\n\nmax_peers = \"many\"\n", ["relay.toml:3:", "`mesh.max_peers`", "expected u32"]),
        ("[mesh]\nmemory_bytes_max = 1\n", ["relay.toml:2:", "`mesh.memory_bytes_max`", "does not enforce"]),
        ("http = 8080\n", ["relay.toml:1:", "`http`", "expected a string"]),
    ] {
        fs::write(&file, text).expect("write the configuration");
        check(&["--config", path], 1, &words).await;
    }
    check(&["--config", "no-such-file.toml"], 1, &["no-such-file.toml", "No such file"]).await;
}

#[tokio::test]
async fn mistakes_on_the_command_line_name_the_option() {
    check(&["--external", "relay.example:443"], 2, &["--external", "relay.example:443"]).await;
    check(&["--ws", "8081"], 2, &["--ws", "IP:PORT"]).await;
    check(&["--network", "Our Garden"], 2, &["--network", "network name"]).await;
    check(&["--colour", "green"], 2, &["--colour"]).await;
}

#[tokio::test]
async fn a_port_in_use_is_named_with_the_way_out() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("it is bound").port();
    let addr = format!("127.0.0.1:{port}");
    let dir = tempfile::tempdir().expect("a folder");
    let dir = dir.path().to_str().expect("a plain path");
    check(&["--data-dir", dir, "--http", &addr], 1, &[&addr, "--http", "in use"]).await;
    for option in ["--ws", "--tcp"] {
        let mut args = args(dir);
        args.extend([option, &addr]);
        check(&args, 1, &[&port.to_string(), "in use", "choose another"]).await;
    }
}

#[tokio::test]
async fn an_unusable_data_directory_is_named() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("a-file");
    fs::write(&file, "not a folder").expect("write a file");
    let below = file.join("data");
    check(&args(below.to_str().expect("a plain path")), 1, &["a-file/data", "--data-dir"]).await;
}

#[tokio::test]
async fn a_damaged_key_or_database_is_named_and_left_alone() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("data");
    let text = path.to_str().expect("a plain path");
    let mut relay = Relay::start_with(RelayFlags { data: Some(path.clone()), ..RelayFlags::default() }).await;
    assert_eq!(relay.terminate().await, Some(0));
    let files: Vec<_> = fs::read_dir(&path).expect("the data").map(|entry| entry.expect("an entry").path()).collect();
    let damaged = files.iter().filter(|file| {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        name.contains("key") || name.ends_with(".redb")
    });
    let mut count = 0;
    for file in damaged {
        let good = fs::read(file).expect("it can be read");
        let bad = b"this is not what belongs here".repeat(9);
        fs::write(file, &bad).expect("damage it");
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        check(&args(text), 1, &[&name]).await;
        assert_eq!(fs::read(file).expect("it is still there"), bad, "nothing was lost that an expert could save");
        fs::write(file, good).expect("mend it");
        count += 1;
    }
    assert_eq!(count, 2, "a key and a database among {files:?}");
    let mut relay = Relay::start_with(RelayFlags { data: Some(path.clone()), ..RelayFlags::default() }).await;
    assert_eq!(relay.terminate().await, Some(0));
}

#[tokio::test]
async fn it_says_where_it_can_be_dialled() {
    let relay = Relay::start().await;
    let answer = relay.get("/.well-known/mycomesh.json").await.expect("an answer");
    assert_eq!(answer.headers["access-control-allow-origin"], "*");
    assert_eq!(answer.headers["cache-control"], "no-store");
    let document: Value = serde_json::from_str(&answer.body).expect("JSON");
    assert_eq!(document["network"], "public");
    let suffix = format!("/p2p/{}", relay.peer_id);
    assert!(relay.addresses.iter().all(|addr| addr.ends_with(&suffix)), "{:?}", relay.addresses);
    assert!(relay.addresses[0].contains("/ws/"), "WebSocket first: {:?}", relay.addresses);
    assert!(relay.address("webrtc-direct").contains("/certhash/"));
    assert!(relay.address("tcp").contains("/ip4/127.0.0.1/tcp/"));
    assert!(relay.address("quic-v1").contains("/udp/"));
}

#[tokio::test]
async fn its_pages_are_protected_and_its_figures_complete() {
    let relay = Relay::start().await;
    let page = relay.get("/").await.expect("a page");
    assert_eq!(page.status, 200);
    assert_eq!(page.headers["x-content-type-options"], "nosniff");
    assert_eq!(page.headers["referrer-policy"], "no-referrer");
    assert!(page.headers["content-security-policy"].contains("default-src 'none'"));
    assert!(!page.headers.contains_key("access-control-allow-origin"));
    assert_eq!(relay.get("/healthz").await.expect("an answer").status, 200);
    assert_eq!(relay.get("/readyz").await.expect("an answer").status, 200);
    assert_eq!(relay.get("/no-such-page").await.expect("an answer").status, 404);
    let metrics = relay.get("/metrics").await.expect("an answer").body;
    for name in [
        "mycomesh_peers{state=\"idle\"}",
        "mycomesh_relay_reservations",
        "mycomesh_relay_circuits",
        "mycomesh_relay_denials_total{what=\"circuit\"}",
        "mycomesh_transport_bytes_total{way=\"sent\"}",
        "mycomesh_gossip_frames_total{verdict=\"rejected\"}",
        "libp2p_gossipsub_messages_total",
    ] {
        assert!(metrics.contains(name), "{name} is missing in\n{metrics}");
    }
    assert_eq!(metrics.matches("# EOF").count(), 1);
    assert!(metrics.ends_with("# EOF\n"));
}

#[tokio::test]
async fn the_operators_port_is_apart_when_it_is_set() {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
    let ops = free.to_string();
    let relay = Relay::start_with(RelayFlags { ops: ops.clone(), ..RelayFlags::default() }).await;
    assert_eq!(relay.get("/metrics").await.expect("an answer").status, 404);
    assert_eq!(get(&ops, "/metrics", &ops).await.expect("an answer").status, 200);
    assert_eq!(get(&ops, "/", &ops).await.expect("an answer").status, 404);
}

#[tokio::test]
async fn asked_to_end_it_ends_well() {
    let mut relay = Relay::start().await;
    assert_eq!(relay.terminate().await, Some(0));
    assert!(relay.get("/healthz").await.is_none(), "the port is closed");
}

#[tokio::test]
async fn what_it_prints_as_configuration_it_takes_as_configuration() {
    let printed = run_to_end(&["--network", "garden", "--http", "127.0.0.1:9", "--print-config"]).await;
    assert_eq!(printed.code, Some(0));
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("relay.toml");
    fs::write(&file, &printed.stdout).expect("write the configuration");
    let again = run_to_end(&["--config", file.to_str().expect("a plain path"), "--print-config"]).await;
    assert_eq!(again.stdout, printed.stdout);
}
