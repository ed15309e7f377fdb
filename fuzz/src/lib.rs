//! Every decoder under hostile bytes.
//!
//! A [`Target`] is a function from any bytes at all to nothing, which panics where the decoder breaks a promise: it never
//! panics itself, what it reads it writes again as the same, limits hold, and no signature is believed unchecked. The
//! same function runs under libFuzzer (`fuzz_targets/`), over the seeds in `seeds/`, and over mutations of them in plain
//! tests. README.md says how.

#[cfg(test)]
mod mutate;
pub mod node;
pub mod objects;
pub mod requests;
#[cfg(test)]
mod seeds;
#[cfg(test)]
mod tests;
pub mod texts;

use std::{fs, path::PathBuf};

pub use mycomesh_webrtc::fuzz as webrtc;

/// A decoder and what it promises.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The name of its program and of its folder in `seeds/`.
    pub name: &'static str,
    /// Panics where a promise is broken.
    pub check: fn(&[u8]),
}

/// All of them, in the order of their names.
pub const TARGETS: &[Target] = &[
    Target { name: "acceptance", check: objects::acceptance },
    Target { name: "cancel", check: objects::cancel },
    Target { name: "card", check: objects::card },
    #[cfg(feature = "relay")]
    Target { name: "config", check: texts::config },
    Target { name: "delivery", check: objects::delivery },
    Target { name: "invite", check: texts::invite },
    Target { name: "multiaddr", check: texts::address },
    Target { name: "names", check: texts::names },
    Target { name: "node", check: node::node },
    Target { name: "objects_page", check: requests::objects_page },
    Target { name: "objects_request", check: requests::objects_request },
    Target { name: "presence", check: objects::presence },
    Target { name: "presence_page", check: requests::presence_page },
    Target { name: "presence_request", check: requests::presence_request },
    Target { name: "rating", check: objects::rating },
    Target { name: "signed", check: objects::signed },
    Target { name: "submission", check: objects::submission },
    Target { name: "task_reply", check: requests::task_reply },
    Target { name: "task_request", check: requests::task_request },
    Target { name: "webrtc_address", check: webrtc::address },
    Target { name: "webrtc_description", check: webrtc::description },
    Target { name: "webrtc_frames", check: webrtc::frames },
    Target { name: "webrtc_halves", check: webrtc::halves },
    Target { name: "webrtc_machine", check: webrtc::machine },
    Target { name: "webrtc_messages", check: webrtc::messages },
];

/// The target of that name.
pub fn target(name: &str) -> Target {
    let found = TARGETS.iter().find(|target| target.name == name);
    *found.unwrap_or_else(|| panic!("there is no target {name}"))
}

/// The folder of a target's seeds.
pub fn folder(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/seeds")).join(name)
}

/// Check the files named on the command line, one after the other. What a target's program does where it is built without
/// a fuzzer: a finding is replayed without any tools.
pub fn replay(check: fn(&[u8])) {
    for path in std::env::args().skip(1) {
        match fs::read(&path) {
            Ok(bytes) => check(&bytes),
            Err(error) => return eprintln!("cannot read {path}: {error}"),
        }
        println!("{path}: as promised");
    }
}

/// The program of one target.
#[macro_export]
macro_rules! program {
    ($check:path) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|data: &[u8]| $check(data));

        #[cfg(not(fuzzing))]
        fn main() {
            $crate::replay($check);
        }
    };
}
