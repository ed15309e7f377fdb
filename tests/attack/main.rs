//! A relay under attack, with honest peers who join and ask meanwhile. On its own, since it takes every core.
//!
//! Times are printed, not judged: run with `--nocapture`. `ATTACK_VISITS` sets how many honest peers come.

mod garbage;
mod honest;
mod raw;
mod spam;
#[path = "../native/stranger.rs"]
#[allow(dead_code, reason = "the other tests use the rest of it")]
mod stranger;
mod watch;

use std::sync::Arc;

use mycomesh_tests::{PATIENCE, Relay};

use crate::{
    honest::{Helper, visits},
    raw::HALF_OPEN,
    watch::{Attackers, Tally, Watch, require_descriptors},
};

/// Honest peers that come before the attack, and as many while it goes on.
const VISITS: usize = 24;
/// What the attack may add to the relay's memory: 512 failed WebRTC-direct attempts (95 MiB), 512 half-open connections on two
/// kinds of ports (20 MiB), 4,096 invented peers (40 MiB), unread streams, and what an allocator keeps.
const GROWTH_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Descriptors the relay may hold: 512 half-open connections on its own ports, twice while the older ones are cleaned up,
/// 512 on its HTTP port, 512 that failed WebRTC-direct attempts never give back, and some hundreds of connections that stand.
const DESCRIPTORS_MAX: usize = 2 * 512 + 512 + 512 + 512;
/// Descriptors that may be left an attack later: those of failed WebRTC-direct attempts, and connections about to close.
const LEFT_MAX: usize = 512 + 64;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn honest_peers_join_and_are_answered_while_a_relay_is_attacked() {
    require_descriptors(HALF_OPEN * 2 + 1_000);
    let count = std::env::var("ATTACK_VISITS").ok().and_then(|count| count.parse().ok()).unwrap_or(VISITS);
    let relay = Arc::new(Relay::start().await);
    let helper = Helper::start(&relay).await;
    let quiet = visits(&relay, &helper, count).await;
    println!("honest peers without attack: {quiet}");
    let watch = Watch::start(relay.pid());

    let tally = Arc::new(Tally::default());
    let mut attackers = Attackers::new();
    raw::attack(&mut attackers, &relay, &tally);
    garbage::attack(&mut attackers, &relay, &tally);
    spam::attack(&mut attackers, &relay, &tally);
    tally.under_way().await;
    let attacked = visits(&relay, &helper, count).await;
    let health = relay.get("/healthz").await.map(|answer| answer.status);
    attackers.end().await;
    let seen = watch.end().await;

    println!("honest peers under attack:   {attacked}");
    println!("the attack: {tally}");
    println!("the relay: {seen}");
    assert_eq!(health, Some(200), "the relay is alive and its HTTP port answers");
    assert!(seen.growth_bytes() <= GROWTH_BYTES_MAX, "the relay's memory grew by {} bytes", seen.growth_bytes());
    assert!(seen.descriptors <= DESCRIPTORS_MAX, "the relay held {} descriptors", seen.descriptors);
    assert_eq!(quiet.failures(), Vec::<String>::new(), "without attack");
    assert_eq!(attacked.failures(), Vec::<String>::new(), "under attack");
    assert!(tally.got_in(), "a relay that lets nobody in is no test of what they do inside: {tally}");
    assert!(helper.was_always_joined(), "who had joined before the attack stayed");

    // Afterwards nothing is left of it but what has a bound.
    let after = visits(&relay, &helper, 1).await;
    assert_eq!(after.failures(), Vec::<String>::new(), "after the attack");
    let at_rest = async {
        while watch::descriptors(relay.pid()) > seen.descriptors_before + LEFT_MAX {
            tokio::time::sleep(watch::POLL).await;
        }
    };
    tokio::time::timeout(PATIENCE, at_rest).await.expect("the attackers' connections are given back");
}
