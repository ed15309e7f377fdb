//! An attacker who keeps to every rule and invents peers: each presence is well made and well signed, by a key of its own.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures::StreamExt as _;
use libp2p::{gossipsub::IdentTopic, identity::Keypair};
use mycomesh_core::{
    io::Topic,
    time::{Millis, UnixMillis},
    wire::{Availability, Network, Presence, Signed},
};
use mycomesh_tests::Relay;

use crate::{
    stranger::Stranger,
    watch::{Attackers, Tally, count},
};

/// Attackers at a time.
const SPAMMERS: usize = 4;
/// Between two presences of one attacker: its pace, not a wait for anything. Together 40 a second, five times what a node
/// wants to handle (`PRESENCES_PER_SECOND_MAX`). The honest peers here take them all, too, and share the cores.
const PACE: Duration = Duration::from_millis(100);
/// Presences after which an attacker comes again as somebody else.
const PRESENCES: usize = 50;

/// Every one of them.
pub fn attack(attackers: &mut Attackers, relay: &Relay, tally: &Arc<Tally>) {
    for _ in 0..SPAMMERS {
        let (addr, tally) = (relay.address("tcp").to_owned(), tally.clone());
        attackers.spawn(async move {
            loop {
                spam(&addr, &tally).await;
            }
        });
    }
}

async fn spam(addr: &str, tally: &Tally) {
    let network = Network::default();
    let topic = IdentTopic::new(Topic::Presence.name(network.as_str()));
    let mut stranger = Stranger::new(&network, true);
    stranger.swarm.dial(addr.parse::<libp2p::Multiaddr>().expect("an address")).expect("it can dial");
    let mut pace = tokio::time::interval(PACE);
    let mut sent = 0;
    // Where nobody listens nothing is sent; then it comes again as well.
    for _ in 0..PRESENCES * 10 {
        tokio::select! {
            _ = pace.tick() => {
                let invented = presence(&network);
                if stranger.swarm.behaviour_mut().gossip.publish(topic.clone(), invented).is_ok() {
                    count(&tally.invented);
                    sent += 1;
                }
            }
            _ = stranger.swarm.select_next_some() => {}
        }
        if sent >= PRESENCES {
            return;
        }
    }
}

/// The presence of a peer that does not exist.
fn presence(network: &Network) -> Vec<u8> {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs();
    let presence = Presence {
        addrs: vec!["/ip4/192.0.2.1/tcp/1".parse().expect("an address")],
        availability: Availability::Idle,
        card: None,
        free_slots: 1,
        goodbye: false,
        issued: UnixMillis(unix * 1_000),
        seq: unix * 1_000,
        ttl: Millis::secs(45),
    };
    Signed::seal(&Keypair::generate_ed25519(), network, presence).bytes.to_vec()
}
