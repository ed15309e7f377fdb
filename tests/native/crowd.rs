//! Fifty peers on one relay. Times, memory and CPU are printed, not judged: run with `--nocapture`.

use std::{
    fs,
    time::{Duration, Instant},
};

use futures::{StreamExt as _, future::join_all};
use mycomesh_core::snapshot::{Snapshot, Status};
use mycomesh_net::{Handle, Options, start};
use mycomesh_tests::{PATIENCE, Relay};

const PEERS: usize = 50;
/// How long the relay is watched doing nothing.
const IDLE: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_peers_on_one_relay_all_see_each_other() {
    let relay = Relay::start().await;
    let begin = Instant::now();
    let peers = join_all((0..PEERS).map(|_| join(&relay))).await;
    let started = begin.elapsed();
    join_all(peers.iter().map(|peer| sees(peer, PEERS - 1))).await;
    let all = begin.elapsed();

    let begin = Instant::now();
    let newcomer = join(&relay).await;
    sees(&newcomer, PEERS).await;
    let alone = begin.elapsed();

    let cpu_before = cpu_ticks(relay.pid());
    // What is measured is the relay over this time; nothing is waited for.
    tokio::time::sleep(IDLE).await;
    let ticks = cpu_ticks(relay.pid()) - cpu_before;
    let percent = ticks as f64 / TICKS_PER_SECOND / IDLE.as_secs_f64() * 100.0;
    println!(
        "{PEERS} native peers on one relay: started in {started:.2?}, every peer saw all {PEERS} after {all:.2?}; one more \
         saw all after {alone:.2?}; relay {:.1} MB resident, {percent:.1} % of a core over {IDLE:?} idle",
        resident_kib(relay.pid()) as f64 / 1024.0,
    );
    assert_eq!(online(&newcomer.snapshot()), PEERS, "nobody was lost meanwhile");
}

async fn join(relay: &Relay) -> Handle {
    let relays = vec![relay.address("tcp").parse().expect("an address")];
    start(Options { relays, ..Options::default() }).await.expect("a peer")
}

/// Wait until `peer` sees this many others online.
async fn sees(peer: &Handle, others: usize) {
    let mut snapshots = peer.snapshots();
    let seeing = async {
        while let Some(snapshot) = snapshots.next().await {
            if online(&snapshot) == others {
                return;
            }
        }
        panic!("a peer ended");
    };
    if tokio::time::timeout(PATIENCE, seeing).await.is_err() {
        let snapshot = peer.snapshot();
        panic!("a peer sees {} of {others}: {:?}", online(&snapshot), snapshot.join);
    }
}

fn online(snapshot: &Snapshot) -> usize {
    let here = |status| matches!(status, Status::Idle | Status::Reputable | Status::Busy);
    snapshot.peers.rows.iter().filter(|row| !row.is_relay && here(row.status)).count()
}

/// Linux counts CPU time in these, whatever the kernel's own tick is.
const TICKS_PER_SECOND: f64 = 100.0;

fn cpu_ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the relay runs");
    // The name in parentheses may hold spaces; user and system time are the 12th and 13th field after it.
    let (_, after) = stat.rsplit_once(") ").expect("a name");
    let fields: Vec<&str> = after.split(' ').collect();
    fields[11..13].iter().map(|field| field.parse::<u64>().expect("a number")).sum()
}

fn resident_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the relay runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its resident size");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
