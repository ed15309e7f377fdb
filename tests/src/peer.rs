//! A native peer as a process, controlled by lines of JSON.

use std::{
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, ChildStdin, ChildStdout, Command},
    sync::watch,
};

use crate::{PATIENCE, Place, heard::Heard, programs::peer_command};

/// A running peer. Killed when dropped.
#[derive(Debug)]
pub struct Peer {
    /// Its peer id.
    pub id: String,
    child: Child,
    stdin: ChildStdin,
    heard: watch::Receiver<Heard>,
    lines_sent: u64,
}

/// What a peer is started with.
#[derive(Clone, Debug, Default)]
pub struct PeerFlags<'a> {
    /// Relays to join through.
    pub relays: Vec<&'a str>,
    /// Where to keep key, tasks and receipts; in memory when none.
    pub dir: Option<&'a Path>,
    /// The network; `public` when empty.
    pub network: &'a str,
    /// Skills, separated by commas; `human,echo` when empty.
    pub skills: &'a str,
    /// Tasks to work on at a time; one when zero.
    pub slots: u32,
    /// Whether to listen on a free TCP port of its place.
    pub listens: bool,
    /// Where it runs.
    pub place: Place,
    /// Seconds between two presences; the default of a node when zero.
    pub presence_interval_s: u32,
    /// Whether it tells events only. Where many peers run at once their snapshots would be most of the work;
    /// [`Peer::until`] and what builds on it wait in vain then.
    pub brief: bool,
}

impl Peer {
    /// A peer that joins through `relay`, without a disk.
    pub async fn join(relay: &str) -> Self {
        Self::start(PeerFlags { relays: vec![relay], ..PeerFlags::default() }).await
    }

    /// A peer with these settings; panics with its reason if it does not start.
    pub async fn start(flags: PeerFlags<'_>) -> Self {
        Self::try_start(flags).await.unwrap_or_else(|reason| panic!("a peer did not start: {reason}"))
    }

    /// Start a peer with these settings, and kill it so long after that.
    pub async fn start_and_kill(flags: PeerFlags<'_>, after: Duration) {
        let mut child = command(&flags).spawn().expect("start a peer");
        tokio::time::sleep(after).await;
        child.kill().await.expect("it was running");
    }

    /// A peer with these settings, or why it did not start.
    pub async fn try_start(flags: PeerFlags<'_>) -> Result<Self, String> {
        let mut child = command(&flags).spawn().expect("start a peer");
        let stdin = child.stdin.take().expect("its input is piped");
        let stdout = child.stdout.take().expect("its output is piped");
        let (hear, heard) = watch::channel(Heard::default());
        tokio::spawn(listen(stdout, hear));
        let mut peer = Self { id: String::new(), child, stdin, heard, lines_sent: 0 };
        let started = peer
            .wait("to start", |heard| {
                let failed = heard.failed.clone().or(heard.ended.then(|| "it ended".to_owned()));
                heard.peer_id.clone().map(Ok).or(failed.map(Err))
            })
            .await;
        peer.id = started?;
        Ok(peer)
    }

    /// Wait until `condition` gives something for a snapshot of this peer.
    pub async fn until<T>(&mut self, what: &str, condition: impl Fn(&Value) -> Option<T>) -> T {
        self.wait(what, |heard| condition(&heard.snapshot)).await
    }

    /// Wait until its events put every one of `others` in one of these statuses. Gives when that was seen.
    pub async fn sees_all(&mut self, others: &[String], statuses: &[&str]) -> Instant {
        let fits = |heard: &Heard, other: &String| {
            heard.statuses.get(other).is_some_and(|status| statuses.contains(&status.as_str()))
        };
        let what = format!("to see {} others as {statuses:?}", others.len());
        self.wait(&what, |heard| others.iter().all(|other| fits(heard, other)).then(Instant::now)).await
    }

    /// Wait until its events put it at a stage of joining that fits. Gives when that was seen.
    pub async fn reaches(&mut self, fits: fn(&str) -> bool) -> Instant {
        self.wait("to be at another stage of joining", |heard| fits(&heard.stage).then(Instant::now)).await
    }

    /// Wait until task `id` has ended here by its events; gives the state.
    pub async fn ends(&mut self, id: &str) -> String {
        self.wait(&format!("to end task {id}"), |heard| {
            heard.tasks.get(id)?.iter().find(|state| is_final(state)).cloned()
        })
        .await
    }

    /// The states in which task `id` has ended here by its events: one, if all is well.
    pub fn endings(&self, id: &str) -> Vec<String> {
        let heard = self.heard.borrow();
        heard.tasks.get(id).into_iter().flatten().filter(|state| is_final(state)).cloned().collect()
    }

    /// When the receipts of these tasks came in here: once all of them have, or as far as they have after `wait`.
    pub async fn receives(&mut self, tasks: &[String], wait: Duration) -> Vec<Option<Instant>> {
        let all =
            self.heard.wait_for(|heard| heard.ended || tasks.iter().all(|task| heard.receipts.contains_key(task)));
        // What has not come by then is what the caller wants to know.
        let _ = tokio::time::timeout(wait, all).await.map(drop);
        let heard = self.heard.borrow();
        tasks.iter().map(|task| heard.receipts.get(task).copied()).collect()
    }

    /// Wait until the peer has told an event for which `condition` gives something, from the first on.
    pub async fn until_event<T>(&mut self, what: &str, condition: impl Fn(&Value) -> Option<T>) -> T {
        self.wait(what, |heard| heard.events.iter().find_map(&condition)).await
    }

    /// Wait until this peer has joined.
    pub async fn joined(&mut self) {
        self.until("to join", |snapshot| (snapshot["join"]["stage"] == "joined").then_some(())).await;
    }

    /// Wait until this peer sees `other` in `status`; gives the row.
    pub async fn sees(&mut self, other: &str, status: &str) -> Value {
        let what = format!("to see {other} as {status}");
        self.until(&what, |snapshot| row(snapshot, "peers", "peer_id", other).filter(|row| row["status"] == status))
            .await
    }

    /// Wait until task `id` is in `state` here; gives the row.
    pub async fn task(&mut self, id: &str, state: &str) -> Value {
        let what = format!("to have task {id} as {state}");
        self.until(&what, |snapshot| row(snapshot, "tasks", "id", id).filter(|row| row["state"] == state)).await
    }

    /// Ask `other` and give the task's id.
    pub async fn ask(&mut self, other: &str, skill: &str, input: &str, timeout_s: u64) -> String {
        let line = json!({ "do": "ask", "to": other, "skill": skill, "input": input, "timeout_s": timeout_s });
        let reply = self.tell(line).await.unwrap_or_else(|error| panic!("asking failed: {error}"));
        reply.as_str().expect("a task id").to_owned()
    }

    /// Rate a delivery once it has come.
    pub async fn rate(&mut self, task: &str, quality: u32) {
        let what = format!("to be able to rate {task}");
        self.until(&what, |snapshot| {
            row(snapshot, "tasks", "id", task).filter(|row| row["rateable"] == true).map(drop)
        })
        .await;
        let rated = self.tell(json!({ "do": "rate", "task": task, "quality": quality })).await;
        assert_eq!(rated, Ok(Value::Null));
    }

    /// Send one line and wait for its reply.
    pub async fn tell(&mut self, mut line: Value) -> Result<Value, String> {
        self.lines_sent += 1;
        let id = self.lines_sent;
        line["id"] = id.into();
        self.stdin.write_all(format!("{line}\n").as_bytes()).await.expect("the peer reads its input");
        self.wait(&format!("to reply to {line}"), |heard| heard.replies.get(&id).cloned()).await
    }

    /// The latest snapshot.
    pub fn snapshot(&self) -> Value {
        self.heard.borrow().snapshot.clone()
    }

    /// End it at once, as a crash would.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("it was running");
    }

    /// Say goodbye and end it.
    pub async fn stop(mut self) {
        self.tell(json!({ "do": "stop" })).await.expect("it stops");
        self.child.kill().await.expect("it was running");
    }

    async fn wait<T>(&mut self, what: &str, condition: impl Fn(&Heard) -> Option<T>) -> T {
        let mut found = None;
        let wanted = self.heard.wait_for(|heard| {
            found = condition(heard);
            found.is_some() || heard.ended
        });
        let outcome = tokio::time::timeout(PATIENCE, wanted).await.map(drop);
        if let Some(found) = found {
            return found;
        }
        let why = if outcome.is_err() { "in vain" } else { "and it ended" };
        panic!("waited {why} for peer {} {what}; it shows\n{}", self.id, self.heard.borrow().summary())
    }
}

fn command(flags: &PeerFlags<'_>) -> Command {
    let mut command = peer_command(&flags.place);
    if !flags.brief {
        command.arg("--watch");
    }
    for relay in &flags.relays {
        command.args(["--relay", relay]);
    }
    for (flag, value) in [("--network", flags.network), ("--skills", flags.skills)] {
        if !value.is_empty() {
            command.args([flag, value]);
        }
    }
    if let Some(dir) = flags.dir {
        command.arg("--data-dir").arg(dir);
    }
    if flags.slots > 0 {
        command.arg("--slots").arg(flags.slots.to_string());
    }
    if flags.listens {
        command.arg("--listen").arg(format!("/ip4/{}/tcp/0", flags.place.ip));
    }
    if flags.presence_interval_s > 0 {
        command.arg("--presence-interval-s").arg(flags.presence_interval_s.to_string());
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// The row of a table whose `key` is `value`.
pub fn row(snapshot: &Value, table: &str, key: &str, value: &str) -> Option<Value> {
    snapshot[table]["rows"].as_array()?.iter().find(|row| row[key] == value).cloned()
}

async fn listen(stdout: ChildStdout, hear: watch::Sender<Heard>) {
    let mut lines = BufReader::new(stdout).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let mut told: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in {line}"));
        hear.send_modify(|heard| heard.take(&mut told));
    }
    hear.send_modify(|heard| heard.ended = true);
}

/// Whether a task in this state has ended.
fn is_final(state: &str) -> bool {
    matches!(state, "completed" | "failed" | "canceled" | "rejected")
}
