//! What the attack does, and what it does to the relay.

use std::{
    fmt, fs,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use mycomesh_tests::PATIENCE;
use tokio::{
    runtime::Runtime,
    sync::oneshot,
    task::{JoinHandle, JoinSet},
};

use crate::raw::HALF_OPEN;

/// Between two looks at what cannot tell by itself that it changed.
pub const POLL: Duration = Duration::from_millis(50);

/// Everybody who attacks, on a thread of their own: what honest peers meet is to come from the relay, not from waiting
/// behind attackers for a turn.
pub struct Attackers {
    runtime: Runtime,
    tasks: JoinSet<()>,
}

impl Attackers {
    /// Nobody yet.
    pub fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        Self { runtime: runtime.expect("a thread"), tasks: JoinSet::new() }
    }

    /// One more.
    pub fn spawn(&mut self, attacker: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn_on(attacker, self.runtime.handle());
    }

    /// End them all.
    pub async fn end(mut self) {
        self.tasks.shutdown().await;
        self.runtime.shutdown_background();
    }
}

/// What the attackers did so far.
#[derive(Debug, Default)]
pub struct Tally {
    /// Connections opened that say nothing, or half a sentence.
    pub half_open: AtomicU64,
    /// Of these, ended by the relay.
    pub given_up: AtomicU64,
    /// Requests and frames longer than anything real.
    pub oversized: AtomicU64,
    /// Datagrams of nonsense.
    pub datagrams: AtomicU64,
    /// Streams of authenticated nonsense, in each protocol.
    pub garbled: AtomicU64,
    /// Presences of peers that do not exist.
    pub invented: AtomicU64,
}

/// Count one more.
pub fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Tally {
    /// Wait until every part of the attack that needs no answer of the relay has begun in earnest.
    pub async fn under_way(&self) {
        let begun = async {
            // Counters can only be looked at again and again.
            while !(at_least(&self.half_open, HALF_OPEN)
                && at_least(&self.oversized, 20)
                && at_least(&self.datagrams, 20))
            {
                tokio::time::sleep(POLL).await;
            }
        };
        if tokio::time::timeout(PATIENCE, begun).await.is_err() {
            panic!("the attack never came about: {self}");
        }
    }

    /// Whether those parts came about too for which the relay must let an attacker in.
    pub fn got_in(&self) -> bool {
        at_least(&self.garbled, 20) && at_least(&self.invented, 20)
    }
}

fn at_least(counter: &AtomicU64, least: usize) -> bool {
    counter.load(Ordering::Relaxed) >= least as u64
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        write!(
            f,
            "{} half-open connections, {} of them ended by the relay; {} oversized requests and frames; {} datagrams; {} \
             streams of garbage; {} invented peers",
            get(&self.half_open),
            get(&self.given_up),
            get(&self.oversized),
            get(&self.datagrams),
            get(&self.garbled),
            get(&self.invented),
        )
    }
}

/// Looks at the relay's memory and descriptors until told to end.
pub struct Watch {
    end: oneshot::Sender<()>,
    seen: JoinHandle<Seen>,
}

/// The most that was seen of each.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    before_bytes: u64,
    most_bytes: u64,
    /// Descriptors before the attack.
    pub descriptors_before: usize,
    /// Descriptors at most.
    pub descriptors: usize,
}

impl Watch {
    /// Begin with what is there now.
    pub fn start(pid: u32) -> Self {
        let (end, mut ended) = oneshot::channel();
        let (bytes, descriptors_now) = (resident_bytes(pid), descriptors(pid));
        let mut seen = Seen {
            before_bytes: bytes,
            most_bytes: bytes,
            descriptors_before: descriptors_now,
            descriptors: descriptors_now,
        };
        let seen = tokio::spawn(async move {
            while tokio::time::timeout(POLL, &mut ended).await.is_err() {
                seen.most_bytes = seen.most_bytes.max(resident_bytes(pid));
                seen.descriptors = seen.descriptors.max(descriptors(pid));
            }
            seen
        });
        Self { end, seen }
    }

    /// What was seen.
    pub async fn end(self) -> Seen {
        let _ = self.end.send(());
        self.seen.await.expect("the relay could be looked at to the end")
    }
}

impl Seen {
    /// By how much the relay grew at most.
    pub fn growth_bytes(&self) -> u64 {
        self.most_bytes - self.before_bytes
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        write!(
            f,
            "{:.1} MiB resident before, {:.1} MiB at most; {} descriptors before, {} at most",
            mib(self.before_bytes),
            mib(self.most_bytes),
            self.descriptors_before,
            self.descriptors,
        )
    }
}

/// How many files and sockets a process has open.
pub fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map(Iterator::count).expect("the relay runs")
}

fn resident_bytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the relay runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its resident size");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1_024
}

/// End with a clear line where a process may not open as many as the attack needs.
pub fn require_descriptors(needed: usize) {
    let limits = fs::read_to_string("/proc/self/limits").expect("Linux says its limits");
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).expect("one is for open files");
    let soft = line.split_whitespace().next().unwrap_or_default();
    let enough = soft == "unlimited" || soft.parse::<usize>().is_ok_and(|soft| soft >= needed);
    assert!(enough, "this test opens {needed} files and sockets, and may open {soft}; run: ulimit -n {needed}");
}
