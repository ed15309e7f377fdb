//! A seeded network of real Mycomesh nodes under a virtual clock.
//!
//! Every node is a [`mycomesh_core::Node`] as it runs in browsers and servers. Around it stands a model of what
//! carries its messages: connections with latency and loss, relays and circuits, gossipsub, stores, clocks that are
//! off. Scenarios say what breaks; [`checkers`] judge every run. The same scenario, number of peers and seed give the
//! same run on every machine, natively and in wasm; [`report::Report::trace_hash`] shows it.
//!
//! ```
//! use mycomesh_sim::{scenario::Scenario, world::World};
//!
//! let mut scenario = Scenario::named("churn")?;
//! scenario.faults.clear();
//! (scenario.duration_s, scenario.settle_s) = (40, 30);
//! let report = World::new(scenario, 6, 1).run();
//! assert_eq!(report.violation, None);
//! # Ok::<(), mycomesh_sim::scenario::ScenarioError>(())
//! ```
//!
//! The library has no clock, threads or randomness of its own, so that a page can run it in a worker.

pub mod byzantine;
pub mod checkers;
mod event;
pub mod faults;
pub mod frames;
pub mod gossip;
pub mod link;
pub mod network;
pub mod peer;
pub mod queue;
pub mod random;
pub mod report;
pub mod scenario;
pub mod time;
pub mod trace;
pub mod verify;
pub mod workload;
pub mod world;
