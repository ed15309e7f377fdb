//! Finding the programs under test, and running one that is expected to end.

use std::{env, path::PathBuf, process::Stdio};

use tokio::process::Command;

use crate::{PATIENCE, Place};

/// What a program that ended left behind.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

/// Run the relay with these arguments until it ends.
pub async fn run_to_end(args: &[&str]) -> Ended {
    let child = relay_command(&Place::default())
        .args(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("start the relay");
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
    let output = output.unwrap_or_else(|_| panic!("mycomesh-relay {args:?} should have ended")).expect("its output");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// The relay: `RELAY_BIN`, or the newest one that cargo built.
pub(crate) fn relay_command(place: &Place) -> Command {
    let path = env::var_os("RELAY_BIN").map(PathBuf::from).unwrap_or_else(|| built("mycomesh-relay"));
    clean(place.command(&path))
}

/// The peer that tests control.
pub(crate) fn peer_command(place: &Place) -> Command {
    let path = env::var_os("PEER_BIN").map(PathBuf::from).unwrap_or_else(|| built("mycomesh-peer"));
    clean(place.command(&path))
}

/// Ended with this process, and without what this process was told.
pub(crate) fn clean(mut command: Command) -> Command {
    command.kill_on_drop(true);
    // What is set for a relay on this machine must not reach the ones under test.
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MYCOMESH_")) {
        command.env_remove(name);
    }
    command.env("MYCOMESH_LOG", env::var("MYCOMESH_LOG").unwrap_or_else(|_| "error".into()));
    command
}

/// `target/{debug,release}/name`, seen from this test in `target/debug/deps/`; the newer one if there are both.
fn built(name: &str) -> PathBuf {
    let me = env::current_exe().expect("this program's path");
    let target = me.ancestors().nth(3).expect("a test lies in target/PROFILE/deps");
    let found = ["debug", "release"].map(|profile| target.join(profile).join(name));
    let newest = found.iter().filter_map(|path| Some((path.metadata().ok()?.modified().ok()?, path))).max();
    match newest {
        Some((_, path)) => path.clone(),
        None => panic!("there is no {name} below {}; run: cargo build -p {name}", target.display()),
    }
}
