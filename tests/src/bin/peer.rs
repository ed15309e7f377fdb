//! `mycomesh-peer`: a native peer that tests control. It takes one JSON object a line on standard input and reports one a
//! line on standard output; see [`Do`] and [`Said`]. It ends when its input does.
//!
//! Besides `human` and `echo` it knows the skill `stall`, whose jobs are accepted and never end.

use std::{path::PathBuf, sync::Arc};

use clap::Parser;
use futures::StreamExt as _;
use multiaddr::Multiaddr;
use mycomesh_core::{
    Config, Profile,
    config::SkillSet,
    io::{Command, Event, Reply},
    snapshot::{Counters, JoinView, MeView, PeerView, Snapshot, StatusBar, Table, TaskView},
    time::Millis,
    units::Bps,
    wire::{BadId, Network, Skill, TaskId},
};
use mycomesh_net::{Handle, Options, Store};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, BufReader};

/// A peer for tests.
#[derive(Debug, Parser)]
struct Flags {
    /// A relay to join through, ending in /p2p/<relay>.
    #[arg(long)]
    relay: Vec<Multiaddr>,
    #[arg(long, default_value = "public")]
    network: Network,
    /// Kept in memory unless given; each of several peers takes a folder of its number below it.
    #[arg(long)]
    data_dir: Option<PathBuf>,
    #[arg(long)]
    listen: Vec<Multiaddr>,
    #[arg(long, value_delimiter = ',', default_value = "human,echo")]
    skills: Vec<String>,
    #[arg(long, default_value = "")]
    name: String,
    #[arg(long, default_value_t = 1)]
    slots: u32,
    /// Peers in this process; the number of each is in every line it says.
    #[arg(long, default_value_t = 1)]
    count: usize,
    /// Say every snapshot, not only those asked for.
    #[arg(long)]
    watch: bool,
    /// Seconds between two presences.
    #[arg(long, default_value_t = 15)]
    presence_interval_s: u32,
}

/// One line of input.
#[derive(Debug, Deserialize)]
struct Line {
    /// Repeated in the reply.
    id: u64,
    /// Which peer of this process.
    #[serde(default)]
    peer: usize,
    #[serde(flatten)]
    what: Do,
}

/// What a peer can be told.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
enum Do {
    Ask { to: String, skill: Skill, input: String, timeout_s: u64 },
    Answer { task: String, output: String },
    Decline { task: String, reason: String },
    Cancel { task: String },
    Rate { task: String, quality: Bps },
    Busy { busy: bool },
    Profile { name: String, skills: SkillSet, slots: u32 },
    Relays { addrs: Vec<Multiaddr> },
    Connect { addr: Multiaddr },
    ConnectPeer { to: String },
    FindSkill { skill: Skill },
    FindPeer { to: String },
    Snapshot,
    Stop,
}

/// One line of output.
#[derive(Debug, Serialize)]
struct Told {
    peer: usize,
    #[serde(flatten)]
    said: Said,
}

/// What a peer says.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Said {
    /// It runs.
    Ready { peer_id: String },
    /// It could not start.
    Failed(String),
    /// Something happened.
    Event { name: &'static str, event: Event },
    /// How things are.
    Snapshot(Box<Sections>),
    /// A line was carried out, or not.
    Reply { id: u64, result: Result<serde_json::Value, String> },
}

/// A snapshot without its log, which is long and says what events say.
#[derive(Debug, Serialize)]
struct Sections {
    revision: u64,
    me: Arc<MeView>,
    join: Arc<JoinView>,
    bar: Arc<StatusBar>,
    peers: Arc<Table<PeerView>>,
    tasks: Arc<Table<TaskView>>,
    counters: Arc<Counters>,
}

#[tokio::main]
async fn main() {
    let flags = Flags::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_env("MYCOMESH_LOG").unwrap_or_else(|_| "warn".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
    let mut peers = Vec::new();
    for number in 0..flags.count {
        match start(&flags, number).await {
            Ok(peer) => {
                report(&peer, number, flags.watch);
                peers.push(peer);
            }
            Err(error) => return tell(number, Said::Failed(error)),
        }
    }
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(text)) = lines.next_line().await {
        let line: Line = match serde_json::from_str(&text) {
            Ok(line) => line,
            Err(error) => return eprintln!("mycomesh-peer: {error} in {text}"),
        };
        let peer = peers[line.peer].clone();
        tokio::spawn(async move {
            let result = carry_out(&peer, line.what).await;
            tell(line.peer, Said::Reply { id: line.id, result });
        });
    }
}

fn tell(peer: usize, said: Said) {
    println!("{}", serde_json::to_string(&Told { peer, said }).expect("views are plain values"));
}

async fn start(flags: &Flags, number: usize) -> Result<Handle, String> {
    let skills = flags.skills.iter().map(|name| Skill::new(name)).collect::<Result<SkillSet, _>>();
    let name = if flags.count > 1 { format!("{} {number}", flags.name) } else { flags.name.clone() };
    let options = Options {
        config: Config {
            network: flags.network.clone(),
            presence_interval_s: flags.presence_interval_s,
            ..Config::default()
        },
        profile: Profile { name, skills: skills.map_err(|error| error.to_string())?, slots: flags.slots },
        store: flags.data_dir.as_ref().map_or(Store::Memory, |dir| Store::Dir(dir.join(number.to_string()))),
        relays: flags.relay.clone(),
        listen: flags.listen.clone(),
        ..Options::default()
    };
    let peer = mycomesh_net::start(options).await.map_err(|error| error.to_string())?;
    let stall = Skill::new("stall").expect("a good name");
    peer.handle_skill(stall, |_, _, _| Box::pin(futures::future::pending()));
    Ok(peer)
}

fn report(peer: &Handle, number: usize, watch: bool) {
    tell(number, Said::Ready { peer_id: peer.peer_id().to_string() });
    let mut events = peer.events();
    tokio::spawn(async move {
        while let Some(event) = events.next().await {
            tell(number, Said::Event { name: event.name(), event });
        }
    });
    if watch {
        let mut snapshots = peer.snapshots();
        tokio::spawn(async move {
            while let Some(snapshot) = snapshots.next().await {
                tell(number, Said::Snapshot(sections(&snapshot)));
            }
        });
    }
}

fn sections(snapshot: &Snapshot) -> Box<Sections> {
    Box::new(Sections {
        revision: snapshot.revision,
        me: snapshot.me.clone(),
        join: snapshot.join.clone(),
        bar: snapshot.bar.clone(),
        peers: snapshot.peers.clone(),
        tasks: snapshot.tasks.clone(),
        counters: snapshot.counters.clone(),
    })
}

async fn carry_out(peer: &Handle, what: Do) -> Result<serde_json::Value, String> {
    let id = |text: &str| text.parse().map_err(|error| format!("{text} is no peer id: {error}"));
    let task = |text: &str| text.parse::<TaskId>().map_err(|error: BadId| error.to_string());
    let command = match what {
        Do::Ask { to, skill, input, timeout_s } => {
            Command::Ask { to: id(&to)?, skill, input, timeout: Millis::secs(timeout_s) }
        }
        Do::Answer { task: id, output } => Command::Answer { task: task(&id)?, output },
        Do::Decline { task: id, reason } => Command::Decline { task: task(&id)?, reason },
        Do::Cancel { task: id } => Command::Cancel { task: task(&id)? },
        Do::Rate { task: id, quality } => Command::Rate { task: task(&id)?, quality },
        Do::Busy { busy } => Command::SetBusy(busy),
        Do::Profile { name, skills, slots } => Command::SetProfile { name, skills, slots },
        Do::Relays { addrs } => Command::SetRelays(addrs),
        Do::Connect { addr } => Command::Connect(addr),
        Do::ConnectPeer { to } => Command::ConnectPeer(id(&to)?),
        Do::FindSkill { skill } => Command::FindSkill(skill),
        Do::FindPeer { to } => Command::FindPeer(id(&to)?),
        Do::Snapshot => {
            return serde_json::to_value(sections(&peer.snapshot())).map_err(|error| error.to_string());
        }
        Do::Stop => {
            peer.stop().await;
            return Ok(serde_json::Value::Null);
        }
    };
    match peer.command(command).await.map_err(|error| error.to_string())? {
        Reply::Done => Ok(serde_json::Value::Null),
        Reply::Task(task) => Ok(task.to_string().into()),
        Reply::Peers(peers) => Ok(peers
            .into_iter()
            .map(|(peer, addrs)| {
                let addrs: Vec<_> = addrs.iter().map(ToString::to_string).collect();
                serde_json::json!({ "peer_id": peer.to_string(), "addrs": addrs })
            })
            .collect()),
    }
}
