//! Runs other programs: says which, gives them the tool cache on their `PATH`, and turns a failure into one line.

use crate::fail::{Doing, Fail, Result, fail};
use crate::{tools, workspace};
use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A program to run in the workspace's root, unless [`Cmd::dir`] says otherwise.
pub struct Cmd {
    command: Command,
    shown: String,
}

/// What a program printed on its standard output, and whether it ended well.
pub struct Teed {
    pub stdout: String,
    pub success: bool,
}

impl Cmd {
    pub fn new(program: impl AsRef<OsStr>) -> Cmd {
        let program = program.as_ref();
        let shown = Path::new(program).file_name().unwrap_or(program).to_string_lossy().into_owned();
        let mut command = Command::new(program);
        command.current_dir(workspace::root()).env("PATH", path_with_tools());
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(is_set_by_cargo_run) {
                command.env_remove(name);
            }
        }
        // Ours alone. The relay reads MYCOMESH_* as its configuration.
        command.env_remove("MYCOMESH_TOOLS");
        Cmd { command, shown }
    }

    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Cmd {
        self.shown.push(' ');
        self.shown.push_str(&arg.as_ref().to_string_lossy());
        self.command.arg(arg);
        self
    }

    pub fn args<S: AsRef<OsStr>>(self, args: impl IntoIterator<Item = S>) -> Cmd {
        args.into_iter().fold(self, Cmd::arg)
    }

    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Cmd {
        self.command.env(name, value);
        self
    }

    pub fn dir(mut self, dir: impl AsRef<Path>) -> Cmd {
        self.command.current_dir(dir);
        self
    }

    /// Runs it in view of the user.
    pub fn run(mut self) -> Result<()> {
        say(&format!("$ {}", self.shown));
        let status = self.command.status().map_err(|err| self.not_started(&err))?;
        if status.success() { Ok(()) } else { Err(fail!("`{}` failed ({status}); see its output above", self.shown)) }
    }

    /// Runs it in view of the user and keeps what it prints on standard output. A bad end is for the caller to judge.
    pub fn tee(mut self) -> Result<Teed> {
        say(&format!("$ {}", self.shown));
        let mut child = self.command.stdout(Stdio::piped()).spawn().map_err(|err| self.not_started(&err))?;
        let mut stdout = String::new();
        let mut pipe = BufReader::new(child.stdout.take().expect("standard output is piped"));
        let mut line = Vec::new();
        let reading = format!("read the output of `{}`", self.shown);
        while pipe.read_until(b'\n', &mut line).doing(&reading)? > 0 {
            let mut screen = std::io::stdout().lock();
            // A closed screen is no reason to stop the tests.
            let _ = screen.write_all(&line).and_then(|()| screen.flush());
            stdout.push_str(&String::from_utf8_lossy(&line));
            line.clear();
        }
        let status = child.wait().doing(format!("wait for `{}`", self.shown))?;
        Ok(Teed { stdout, success: status.success() })
    }

    /// Runs it unseen and returns its standard output; on failure the last line of its standard error is the reason.
    pub fn output(mut self) -> Result<String> {
        let output = self.command.output().map_err(|err| self.not_started(&err))?;
        if !output.status.success() {
            let stderr = String::from_utf8_lossy(&output.stderr);
            let reason = stderr.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it printed nothing");
            return Err(fail!("`{}` failed ({}): {}", self.shown, output.status, reason.trim()));
        }
        String::from_utf8(output.stdout).doing(format!("read the output of `{}` as text", self.shown))
    }

    /// Becomes this program, so that signals and the exit code are its own. Returns only when that fails.
    #[cfg(unix)]
    pub fn become_it(mut self) -> Fail {
        let err = std::os::unix::process::CommandExt::exec(&mut self.command);
        self.not_started(&err)
    }

    /// Stands in for replacing this process where the system cannot: runs the program and leaves with its exit code.
    #[cfg(not(unix))]
    pub fn become_it(mut self) -> Fail {
        match self.command.status() {
            Ok(status) => std::process::exit(status.code().unwrap_or(1)),
            Err(err) => self.not_started(&err),
        }
    }

    fn not_started(&self, err: &std::io::Error) -> Fail {
        let program = self.shown.split(' ').next().unwrap_or_default();
        match err.kind() {
            std::io::ErrorKind::NotFound => fail!("`{program}` is not installed, or not on the PATH"),
            _ => fail!("cannot start `{program}`: {err}"),
        }
    }
}

/// One line about what xtask itself does.
pub fn say(line: &str) {
    println!("[xtask] {line}");
}

/// Reads like `7s`, `3m 07s`.
pub fn lasted(since: Instant) -> String {
    readable(since.elapsed())
}

fn readable(time: Duration) -> String {
    match time.as_secs() {
        secs @ 0..60 => format!("{secs}s"),
        secs => format!("{}m {:02}s", secs / 60, secs % 60),
    }
}

fn path_with_tools() -> OsString {
    let old = std::env::var_os("PATH").unwrap_or_default();
    let ours = tools::cache().map(|cache| cache.join("bin"));
    std::env::join_paths(ours.into_iter().chain(std::env::split_paths(&old))).unwrap_or(old)
}

/// `cargo run` tells xtask about xtask's own package. A nested cargo that saw it would build some crates anew, because
/// their build scripts watch these variables.
fn is_set_by_cargo_run(name: &str) -> bool {
    ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_PRIMARY_PACKAGE", "CARGO_CRATE_NAME", "OUT_DIR"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_minutes_and_seconds() {
        assert_eq!(readable(Duration::from_millis(7_900)), "7s");
        assert_eq!(readable(Duration::from_secs(187)), "3m 07s");
    }

    #[test]
    fn a_missing_program_is_named() {
        let err = Cmd::new("no-such-program").output().expect_err("it does not exist");
        assert_eq!(err.to_string(), "`no-such-program` is not installed, or not on the PATH");
    }

    #[test]
    fn a_failure_carries_the_last_line_of_standard_error() {
        let err = Cmd::new("cargo").args(["no-such-command"]).output().expect_err("it fails");
        assert!(err.to_string().starts_with("`cargo no-such-command` failed"), "{err}");
    }

    #[test]
    fn the_target_folder_reaches_nested_cargo_and_package_variables_do_not() {
        assert!(!is_set_by_cargo_run("CARGO_TARGET_DIR"));
        assert!(!is_set_by_cargo_run("CARGO_HOME"));
        assert!(is_set_by_cargo_run("CARGO_PKG_NAME"));
        assert!(is_set_by_cargo_run("CARGO_MANIFEST_DIR"));
    }
}
