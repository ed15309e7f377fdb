//! End to end with real processes: a relay, peers, and peers that do not keep to the rules.

mod crowd;
mod dht;
mod exchange;
mod hostile;
mod joining;
mod killed;
mod program;
mod remains;
mod standing;
mod stranger;
mod visitor;
