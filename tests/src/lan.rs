//! A local network of network namespaces: two switches with one cable between them.
//!
//! Every machine has a namespace and a port of its own. Pulling the cable splits the network in two without a word to
//! either half; pulling a machine's plug is how a machine dies that has no time to close its connections. Needs root and
//! iproute2, and leaves this process's own network alone.

use std::{
    net::Ipv4Addr,
    process::{self, Command},
    sync::atomic::{AtomicUsize, Ordering},
};

use crate::Place;

/// Networks made by this process, so that their names differ.
static MADE: AtomicUsize = AtomicUsize::new(0);

/// A network. Its namespaces are removed when it is dropped; processes in them should have ended.
#[derive(Debug)]
pub struct Lan {
    /// What the names of its namespaces begin with.
    name: String,
    machines: u8,
}

/// The switch that a machine hangs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The first.
    One,
    /// The other.
    Two,
}

impl Side {
    const fn bridge(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::Two => "two",
        }
    }
}

impl Lan {
    /// Why there can be none here; nothing when there can.
    pub fn missing() -> Option<String> {
        let probe = format!("mycomesh-{}-probe", process::id());
        let made = ip(&["netns", "add", &probe])
            .and_then(|()| ip(&["-n", &probe, "link", "add", Side::One.bridge(), "type", "bridge"]));
        // What was made of it goes again, whether all of it worked or not.
        let _ = ip(&["netns", "delete", &probe]);
        made.err().map(|why| format!("network namespaces cannot be made here: {why}"))
    }

    /// Two switches, connected, without any machine. Panics where [`Lan::missing`] says why.
    pub fn new() -> Self {
        let name = format!("mycomesh-{}-{}", process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let lan = Self { name, machines: 0 };
        let switch = lan.switch();
        must(&["netns", "add", &switch]);
        for side in [Side::One, Side::Two] {
            must(&["-n", &switch, "link", "add", side.bridge(), "type", "bridge"]);
            must(&["-n", &switch, "link", "set", side.bridge(), "up"]);
        }
        must(&["-n", &switch, "link", "add", "end-one", "type", "veth", "peer", "name", "end-two"]);
        for side in [Side::One, Side::Two] {
            let end = format!("end-{}", side.bridge());
            must(&["-n", &switch, "link", "set", &end, "master", side.bridge(), "up"]);
        }
        lan
    }

    /// A machine on one of the switches.
    pub fn machine(&mut self, side: Side) -> Place {
        self.machines += 1;
        let place = Place {
            namespace: Some(format!("{}-{}", self.name, self.machines)),
            ip: Ipv4Addr::new(10, 77, 0, self.machines),
        };
        let (namespace, switch) = (place.namespace.clone().unwrap_or_default(), self.switch());
        let (port, address) = (port(&place), format!("{}/24", place.ip));
        must(&["netns", "add", &namespace]);
        must(&["-n", &namespace, "link", "set", "lo", "up"]);
        must(&["-n", &namespace, "link", "add", "up0", "type", "veth", "peer", "name", &port, "netns", &switch]);
        must(&["-n", &namespace, "address", "add", &address, "dev", "up0"]);
        must(&["-n", &namespace, "link", "set", "up0", "up"]);
        must(&["-n", &switch, "link", "set", &port, "master", side.bridge(), "up"]);
        place
    }

    /// Pull the cable between the switches: what is sent across is lost without a word.
    pub fn cut(&self) {
        must(&["-n", &self.switch(), "link", "set", "end-one", "down"]);
    }

    /// Plug it in again.
    pub fn heal(&self) {
        must(&["-n", &self.switch(), "link", "set", "end-one", "up"]);
    }

    /// Pull a machine's plug.
    pub fn unplug(&self, place: &Place) {
        must(&["-n", &self.switch(), "link", "set", &port(place), "down"]);
    }

    fn switch(&self) -> String {
        format!("{}-switch", self.name)
    }
}

impl Default for Lan {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        for machine in 1..=self.machines {
            // It may be gone already, and there is nobody to tell.
            let _ = ip(&["netns", "delete", &format!("{}-{machine}", self.name)]);
        }
        let _ = ip(&["netns", "delete", &self.switch()]);
    }
}

/// The switch's end of a machine's cable.
fn port(place: &Place) -> String {
    format!("port{}", place.ip.octets()[3])
}

fn must(args: &[&str]) {
    ip(args).unwrap_or_else(|why| panic!("ip {}: {why}", args.join(" ")));
}

fn ip(args: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(args).output().map_err(|error| format!("there is no `ip` ({error})"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(said.lines().next().unwrap_or("it failed without a word").to_owned())
}
