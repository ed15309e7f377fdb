//! The seeds and their mutations under every target, without a fuzzer.

use std::{
    collections::BTreeSet,
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use crate::{
    TARGETS, Target, folder,
    mutate::{Numbers, mutate},
    seeds, target,
};

/// Mutations of one target's seeds together. A few seconds for all targets in an unoptimised build.
const MUTATIONS: u64 = 4_000;

macro_rules! keeps_its_promises {
    ($($name:ident)*) => {
        $(#[test] fn $name() { hold(stringify!($name)); })*

        const TESTED: &[&str] = &[$(stringify!($name)),*];
    };
}

mod keeps_its_promises {
    use super::*;

    keeps_its_promises! {
        acceptance cancel card delivery invite multiaddr names node objects_page objects_request presence
        presence_page presence_request rating signed submission task_reply task_request webrtc_address
        webrtc_description webrtc_frames webrtc_halves webrtc_machine webrtc_messages
    }

    #[cfg(feature = "relay")]
    #[test]
    fn config() {
        hold("config");
    }

    #[test]
    fn every_target_is_among_these() {
        let named = TARGETS.iter().map(|target| target.name).filter(|name| *name != "config");
        assert!(named.eq(TESTED.iter().copied()));
    }
}

/// On a broken promise the bytes are kept where libFuzzer keeps its findings, and the way to see it again is said.
fn hold(name: &str) {
    let seeds = read(&folder(name));
    let found = broken(target(name), &seeds);
    let Some((what, bytes)) = found else { return };
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("artifacts").join(name);
    let path = dir.join(&what);
    let kept = fs::create_dir_all(&dir).and_then(|()| fs::write(&path, bytes));
    let features = if name == "config" { " --features relay" } else { "" };
    let again = format!("cargo run -p mycomesh-fuzz{features} --bin {name} -- {}", path.display());
    panic!("{what} breaks a promise of {name}; see it again with: {again} (kept: {})", kept.is_ok());
}

/// The first of the seeds and their mutations, the same ones in every run, under which a promise breaks.
fn broken(target: Target, seeds: &[(String, Vec<u8>)]) -> Option<(String, Vec<u8>)> {
    let breaks = |bytes: &[u8]| catch_unwind(AssertUnwindSafe(|| (target.check)(bytes))).is_err();
    if let Some((name, bytes)) = seeds.iter().find(|(_, bytes)| breaks(bytes)) {
        return Some((name.clone(), bytes.clone()));
    }
    let mut numbers = Numbers::new(target.name.bytes().fold(1, |sum, byte| sum * 31 % 65_521 + u64::from(byte)));
    (0..MUTATIONS).find_map(|number| {
        let (_, seed) = &seeds[numbers.below(seeds.len())];
        let (_, other) = &seeds[numbers.below(seeds.len())];
        let bytes = mutate(&mut numbers, seed, other);
        breaks(&bytes).then(|| (format!("mutation-{number}"), bytes))
    })
}

/// The seeds in a folder: name and bytes.
fn read(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let names = names(dir).into_iter();
    names.map(|name| (name.clone(), fs::read(dir.join(name)).expect("it can be read"))).collect()
}

fn names(dir: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

/// Seeds that were found by a fuzzer may lie beside these. `SEEDS=write` writes them anew.
#[test]
fn the_seeds_are_what_is_encoded_today() {
    for (target, name, bytes) in seeds::all() {
        let path = folder(target).join(&name);
        if std::env::var("SEEDS").as_deref() == Ok("write") {
            fs::create_dir_all(folder(target)).expect("a folder");
            fs::write(&path, &bytes).expect("write a seed");
        }
        assert_eq!(fs::read(&path).ok().as_ref(), Some(&bytes), "{}: SEEDS=write writes it anew", path.display());
    }
}

#[test]
fn the_tree_holds_no_more_than_it_should() {
    const BYTES_MAX: usize = 200 * 1024;
    let names = names(&folder(""));
    let known: BTreeSet<String> = seeds::all().into_iter().map(|(target, ..)| target.to_owned()).collect();
    assert_eq!(names, known, "a folder of seeds for each target, and no other");
    let bytes: usize = names.iter().flat_map(|name| read(&folder(name))).map(|(_, bytes)| bytes.len()).sum();
    assert!(bytes <= BYTES_MAX, "the seeds have {bytes} bytes");
}

#[test]
fn a_broken_promise_is_seen() {
    fn planted(bytes: &[u8]) {
        assert!(!bytes.windows(2).any(|pair| pair == [0xff, b'o']), "planted");
    }
    let seeds = [("good".to_owned(), b"good".to_vec()), ("other".to_owned(), b"other".to_vec())];
    let (what, bytes) = broken(Target { name: "planted", check: planted }, &seeds).expect("mutations reach it");
    assert!(what.starts_with("mutation-") && bytes.contains(&0xff), "{what}: {bytes:?}");
    assert_eq!(broken(Target { name: "kept", check: |_| {} }, &seeds), None);
}
