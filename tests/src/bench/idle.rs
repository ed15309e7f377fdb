//! `bench idle`: what a relay spends on clients that are connected and reserved and do nothing, beside js-libp2p's relay.
//!
//! A client is as little as can be reached through a relay: WebSocket, Noise, yamux, identify, ping and the relay client. All
//! of them run in this process; the relays are processes of their own, fresh in each round.

use std::{env, fs, process::Stdio, time::Duration};

use futures::{StreamExt as _, stream};
use libp2p::{
    Multiaddr, Swarm, Transport as _,
    core::{muxing::StreamMuxerBox, transport::OrTransport, upgrade::Version},
    identify,
    identity::Keypair,
    multiaddr::Protocol,
    noise, ping, relay,
    swarm::{self, NetworkBehaviour, SwarmEvent},
    tcp, websocket, yamux,
};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    sync::watch,
};

use super::figures::Figures;
use crate::{PATIENCE, Relay, programs::clean};

/// Rounds unless told otherwise.
pub const ROUNDS: u32 = 3;
/// Clients of each relay.
const CLIENTS: usize = 1_000;
/// Clients that join at a time.
const JOINING: usize = 20;
/// How long relay and clients are left alone before anybody looks: the first pings and identify exchanges are over.
const REST: Duration = Duration::from_secs(10);

/// Measure and publish.
pub async fn run(rounds: u32) -> Result<(), String> {
    println!(
        "{rounds} rounds; {CLIENTS} clients over WebSocket on one relay, reserved, idle for {REST:?}:\n\
         \x20 X_per_client       resident memory of the relay's process with them, less that without, for each of them\n\
         \x20 js_heap_per_client the same of the memory that JavaScript's objects use once all garbage is gone\n\
         \x20 X_empty            resident memory before the first client\n"
    );
    let mut figures = Figures::default();
    for round in 0..rounds {
        // Each goes first in turn.
        for side in 0..2 {
            if (round + side) % 2 == 0 { ours(&mut figures).await? } else { theirs(&mut figures).await? }
        }
    }
    figures.ratio("ours_to_js_per_client", "ours_per_client", "js_per_client");
    figures.ratio("ours_to_js_heap_per_client", "ours_per_client", "js_heap_per_client");
    figures.publish("idle", rounds)
}

async fn ours(figures: &mut Figures) -> Result<(), String> {
    let relay = Relay::start().await;
    tokio::time::sleep(REST).await;
    let empty = resident(relay.pid())?;
    let clients = join(relay.address("ws")).await;
    tokio::time::sleep(REST).await;
    let full = resident(relay.pid())?;
    let reserved = relay.metric("mycomesh_relay_reservations").await;
    if reserved != CLIENTS as f64 || clients.lost() > 0 {
        return Err(format!("our relay has {reserved} reservations, and {} clients lost it", clients.lost()));
    }
    note(figures, "ours", empty, full);
    Ok(())
}

async fn theirs(figures: &mut Figures) -> Result<(), String> {
    let mut relay = JsRelay::start().await?;
    tokio::time::sleep(REST).await;
    let heap_empty = relay.state().await?["heap"].as_f64().unwrap_or_default();
    let empty = resident(relay.pid())?;
    let clients = join(&relay.address).await;
    tokio::time::sleep(REST).await;
    let state = relay.state().await?;
    let full = resident(relay.pid())?;
    if state["reservations"] != CLIENTS || clients.lost() > 0 {
        return Err(format!("js-libp2p's relay says {state}, and {} clients lost it", clients.lost()));
    }
    note(figures, "js", empty, full);
    let heap = state["heap"].as_f64().unwrap_or_default() - heap_empty;
    figures.add("js_heap_per_client", heap / 1_024.0 / CLIENTS as f64, "KiB");
    Ok(())
}

fn note(figures: &mut Figures, side: &str, empty: f64, full: f64) {
    let each = (full - empty) / CLIENTS as f64;
    println!("  {side}: {empty:.0} KiB without clients, {full:.0} KiB with {CLIENTS}: {each:.1} KiB each");
    figures.add(&format!("{side}_empty"), empty, "KiB");
    figures.add(&format!("{side}_per_client"), each, "KiB");
}

/// Resident memory of a process in KiB.
fn resident(pid: u32) -> Result<f64, String> {
    let status =
        fs::read_to_string(format!("/proc/{pid}/status")).map_err(|error| format!("process {pid}: {error}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no resident size")?;
    line.trim().trim_end_matches(" kB").parse().map_err(|error| format!("{line}: {error}"))
}

/// Clients that are there until this is dropped.
struct Clients {
    swarms: Vec<tokio::task::JoinHandle<()>>,
    lost: watch::Receiver<usize>,
}

impl Clients {
    /// How many have lost their connection.
    fn lost(&self) -> usize {
        *self.lost.borrow()
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        self.swarms.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

/// All clients, once each of them has its reservation.
async fn join(relay: &str) -> Clients {
    let relay: Multiaddr = relay.parse().expect("an address");
    let (lose, lost) = watch::channel(0);
    let joining = stream::iter(0..CLIENTS).map(|_| client(relay.clone())).buffer_unordered(JOINING);
    let swarms = joining.map(|swarm| tokio::spawn(stay(swarm, lose.clone()))).collect().await;
    Clients { swarms, lost }
}

async fn stay(mut swarm: Swarm<Client>, lose: watch::Sender<usize>) {
    loop {
        if let SwarmEvent::ConnectionClosed { .. } = swarm.select_next_some().await {
            lose.send_modify(|lost| *lost += 1);
        }
    }
}

#[derive(NetworkBehaviour)]
struct Client {
    relay: relay::client::Behaviour,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
}

async fn client(relay: Multiaddr) -> Swarm<Client> {
    let key = Keypair::generate_ed25519();
    let me = key.public().to_peer_id();
    let (circuits, behaviour) = relay::client::new(me);
    let noise = noise::Config::new(&key).expect("the key can be used");
    let websocket = websocket::Config::new(tcp::tokio::Transport::new(tcp::Config::default().nodelay(true)));
    let transport = OrTransport::new(circuits, websocket)
        .upgrade(Version::V1Lazy)
        .authenticate(noise)
        .multiplex(yamux::Config::default())
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
        .boxed();
    let parts = Client {
        relay: behaviour,
        identify: identify::Behaviour::new(identify::Config::new("/idle/1".into(), key.public())),
        ping: ping::Behaviour::default(),
    };
    let mut swarm = Swarm::new(transport, parts, me, swarm::Config::with_tokio_executor());
    swarm.listen_on(relay.with(Protocol::P2pCircuit)).expect("it can ask for a reservation");
    let reserved = async {
        loop {
            let event = swarm.select_next_some().await;
            if let SwarmEvent::Behaviour(ClientEvent::Relay(relay::client::Event::ReservationReqAccepted { .. })) =
                event
            {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, reserved).await.expect("a client gets its reservation");
    swarm
}

/// js-libp2p's relay as a process. Killed when dropped.
struct JsRelay {
    address: String,
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl JsRelay {
    async fn start() -> Result<Self, String> {
        let script =
            env::var("JS_RELAY").map_err(|_| "JS_RELAY does not name the script; run cargo xtask bench idle")?;
        let mut command = clean(Command::new("node"));
        command.args(["--expose-gc", &script]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("node: {error}"))?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let (stdin, stdout) = stdin.zip(stdout).ok_or("both are piped")?;
        let mut relay = Self { address: String::new(), child, stdin, lines: BufReader::new(stdout).lines() };
        let said = relay.line().await?;
        relay.address = said["addresses"][0].as_str().ok_or("it names no address")?.to_owned();
        Ok(relay)
    }

    fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    async fn state(&mut self) -> Result<Value, String> {
        self.stdin.write_all(b"\n").await.map_err(|error| format!("js-libp2p's relay: {error}"))?;
        self.line().await
    }

    async fn line(&mut self) -> Result<Value, String> {
        let line =
            tokio::time::timeout(PATIENCE, self.lines.next_line()).await.map_err(|_| "js-libp2p's relay is mute")?;
        let line = line.ok().flatten().ok_or("js-libp2p's relay ended")?;
        serde_json::from_str(&line).map_err(|error| format!("{error} in {line}"))
    }
}
