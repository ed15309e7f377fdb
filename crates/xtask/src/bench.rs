//! Measurements side by side with others, in one run.
//!
//! A bench writes `bench/NAME.json` in the target folder:
//! `{name, rounds, machine, figures: {key: {median, min, max, unit}}, ratios: {key: number}}`.

use crate::fail::{Doing, Fail, Result, fail};
use crate::run::{Cmd, say};
use crate::{lab, relay, sizes, tools, workspace};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

struct Bench {
    name: &'static str,
    run: fn() -> Result<()>,
}

const BENCHES: [Bench; 6] = [
    Bench { name: "size", run: sizes::bench },
    Bench { name: "join", run: join },
    Bench { name: "transport", run: transport },
    Bench { name: "gossip", run: gossip },
    Bench { name: "mesh", run: mesh },
    Bench { name: "idle", run: idle },
];

/// Runs the named benches, or all.
pub fn bench(names: &[&str]) -> Result<()> {
    chosen(names)?.into_iter().try_for_each(|bench| (bench.run)())
}

fn chosen(names: &[&str]) -> Result<Vec<&'static Bench>> {
    let known: Vec<&str> = BENCHES.iter().map(|bench| bench.name).collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(name)) {
        return Err(fail!("there is no bench `{unknown}`; the benches are {}", known.join(", ")));
    }
    Ok(BENCHES.iter().filter(|bench| names.is_empty() || names.contains(&bench.name)).collect())
}

/// How long a page takes to join and to see another, for us and for a js-libp2p page.
fn join() -> Result<()> {
    in_browsers("join", &[])
}

/// How fast streams between two pages are, for us, for js-libp2p and for a bare data channel.
fn transport() -> Result<()> {
    let lab = lab::build()?;
    // What runs between two networks must not be what is measured.
    Cmd::new("cargo").args(["build", "--release", "-p", "mycomesh-link"]).run()?;
    let link = workspace::target()?.join("release").join(format!("mycomesh-link{}", std::env::consts::EXE_SUFFIX));
    in_browsers("transport", &[("LAB_DIR", lab), ("LINK_BIN", link)])
}

/// How fast gossip between two pages is, for us and for js-libp2p.
fn gossip() -> Result<()> {
    in_browsers("gossip", &[("LAB_DIR", lab::build()?)])
}

/// What reaches whom in a mesh of processes that is cut, halved, robbed of its relay and flooded.
fn mesh() -> Result<()> {
    in_processes("mesh")
}

/// What a relay spends on a client that does nothing, for ours and js-libp2p's.
fn idle() -> Result<()> {
    tools::browser_test_packages()?;
    in_processes("idle")
}

/// Runs `mycomesh-bench NAME` with everything built for release.
fn in_processes(name: &str) -> Result<()> {
    let relay = relay::build()?;
    Cmd::new("cargo").args(["build", "--release", "-p", "mycomesh-tests", "--bins"]).run()?;
    let built = |program: &str| -> Result<PathBuf> {
        Ok(workspace::target()?.join("release").join(format!("{program}{}", std::env::consts::EXE_SUFFIX)))
    };
    let script = workspace::browser_tests().join("bench/relay.mjs");
    let command = Cmd::new(built("mycomesh-bench")?).arg(name);
    let command = command.env("RELAY_BIN", relay).env("PEER_BIN", built("mycomesh-peer")?).env("JS_RELAY", script);
    measured(name, command)
}

/// Runs `tests/browser/bench-NAME.mjs` with what every bench in browsers needs.
fn in_browsers(name: &str, programs: &[(&str, PathBuf)]) -> Result<()> {
    let chromium = tools::chromium()?;
    tools::browser_test_packages()?;
    let relay = relay::build()?;
    let command = Cmd::new("node")
        .arg(format!("tests/browser/bench-{name}.mjs"))
        .env("CHROMIUM", chromium)
        .env("RELAY_BIN", relay);
    measured(name, programs.iter().fold(command, |command, (variable, program)| command.env(variable, program)))
}

/// Runs a program that measures, told where to write, and looks at what it has written.
fn measured(name: &str, command: Cmd) -> Result<()> {
    let path = result_path(name)?;
    // What an earlier run wrote must not pass for this one's.
    let _ = fs::remove_file(&path);
    command.env("BENCH_OUT", &path).env("BENCH_MACHINE", machine()).run()?;
    let text =
        fs::read_to_string(&path).doing(format!("read {}, which the bench should have written", path.display()))?;
    let result: Value = serde_json::from_str(&text).doing(format!("read {}", path.display()))?;
    check_shape(&result).map_err(|why| fail!("{}: {why}", path.display()))?;
    say(&format!("wrote {}", workspace::shown(&path)));
    Ok(())
}

/// A figure that came out the same in every round.
pub fn constant(value: u64, unit: &str) -> Value {
    json!({ "median": value, "min": value, "max": value, "unit": unit })
}

/// Writes the result of a bench and says where.
pub fn write(name: &str, rounds: u32, figures: BTreeMap<String, Value>, ratios: BTreeMap<String, f64>) -> Result<()> {
    let result = json!({ "name": name, "rounds": rounds, "machine": machine(), "figures": figures, "ratios": ratios });
    check_shape(&result).map_err(|why| fail!("bench {name}: {why}"))?;
    let path = result_path(name)?;
    fs::write(&path, format!("{result:#}\n")).doing(format!("write {}", path.display()))?;
    say(&format!("wrote {}", workspace::shown(&path)));
    Ok(())
}

/// The folder that benches write into; it exists.
pub fn folder() -> Result<PathBuf> {
    let dir = workspace::target()?.join("bench");
    fs::create_dir_all(&dir).doing(format!("create {}", dir.display()))?;
    Ok(dir)
}

fn result_path(name: &str) -> Result<PathBuf> {
    Ok(folder()?.join(format!("{name}.json")))
}

/// What other programs rely on when they read a bench's result.
fn check_shape(result: &Value) -> std::result::Result<(), String> {
    let is_text = |key: &str| result[key].is_string().then_some(()).ok_or(format!("`{key}` is no text"));
    is_text("name")?;
    is_text("machine")?;
    result["rounds"].as_u64().filter(|rounds| *rounds > 0).ok_or("`rounds` is no positive number")?;
    let figures = result["figures"].as_object().ok_or("`figures` is no object")?;
    if figures.is_empty() {
        return Err("it has no figures".to_owned());
    }
    for (key, figure) in figures {
        let is_number = |name: &str| figure[name].is_number();
        if !(["median", "min", "max"].into_iter().all(is_number) && figure["unit"].is_string()) {
            return Err(format!("the figure `{key}` lacks a number among median, min, max, or its unit"));
        }
    }
    let ratios = result["ratios"].as_object().ok_or("`ratios` is no object")?;
    match ratios.iter().find(|(_, ratio)| !ratio.is_number()) {
        Some((key, _)) => Err(format!("the ratio `{key}` is no number")),
        None => Ok(()),
    }
}

/// Enough about this computer to judge the figures by.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, |cores| cores.get());
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = field(&cpuinfo, "model name").unwrap_or(std::env::consts::ARCH);
    let os_release = fs::read_to_string(Path::new("/etc/os-release")).unwrap_or_default();
    let os = os_release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")).unwrap_or(std::env::consts::OS);
    format!("{model}, {cores} cores, {}", os.trim_matches('"'))
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Value {
        json!({
            "name": "size", "rounds": 1, "machine": "one",
            "figures": { "ours": constant(5, "bytes") }, "ratios": { "ours_to_other": 0.5 },
        })
    }

    #[test]
    fn a_complete_result_is_accepted() {
        assert_eq!(check_shape(&sample()), Ok(()));
    }

    #[test]
    fn an_incomplete_result_is_refused() {
        let broken: [fn(&mut Value); 6] = [
            |result| result["name"] = json!(5),
            |result| result["rounds"] = json!(0),
            |result| result["figures"] = json!({}),
            |result| result["figures"]["ours"]["median"] = json!(null),
            |result| result["figures"]["ours"]["unit"] = json!(1),
            |result| result["ratios"]["ours_to_other"] = json!("half"),
        ];
        for (number, spoil) in broken.into_iter().enumerate() {
            let mut result = sample();
            spoil(&mut result);
            assert!(check_shape(&result).is_err(), "case {number} was accepted");
        }
    }

    #[test]
    fn all_benches_run_unless_some_are_named() {
        assert_eq!(chosen(&[]).expect("known").len(), BENCHES.len());
        assert_eq!(chosen(&["gossip", "join"]).expect("known").len(), 2);
        let err = chosen(&["join", "jion"]).map(drop).expect_err("it is unknown").to_string();
        assert!(err.contains("`jion`") && err.contains("transport"), "{err}");
    }

    #[test]
    fn the_machine_is_named() {
        assert_eq!(field("processor\t: 0\nmodel name\t: Some CPU\n", "model name"), Some("Some CPU"));
        assert!(machine().contains("cores"));
    }
}
