//! Frames that are wrong, too long, old or late, sent by a peer that keeps to no rules.

use std::time::{SystemTime, UNIX_EPOCH};

use libp2p::{
    gossipsub::IdentTopic,
    identity::Keypair,
    swarm::{DialError, SwarmEvent},
};
use mycomesh_core::{
    io::Topic,
    limits::GOSSIP_FRAME_BYTES_MAX,
    time::{Millis, UnixMillis},
    wire::{Availability, Network, Presence, Signed},
};
use mycomesh_tests::{Peer, Relay};

use crate::stranger::Stranger;

const ACCEPTED: &str = "mycomesh_gossip_frames_total{verdict=\"accepted\"}";
const IGNORED: &str = "mycomesh_gossip_frames_total{verdict=\"ignored\"}";
const REJECTED: &str = "mycomesh_gossip_frames_total{verdict=\"rejected\"}";
const FORGED: &str = "mycomesh_objects_dropped_total{why=\"forged\"}";
const REPLAYED: &str = "mycomesh_objects_dropped_total{why=\"replayed\"}";
const EXPIRED: &str = "mycomesh_objects_dropped_total{why=\"expired\"}";

/// An attacker connected to a relay.
struct Attack {
    relay: Relay,
    stranger: Stranger,
    network: Network,
}

impl Attack {
    async fn start() -> Self {
        let relay = Relay::start().await;
        let network = Network::default();
        let mut stranger = Stranger::new(&network, true);
        stranger.connect(relay.address("tcp"), &Topic::Presence.name(network.as_str())).await;
        Self { relay, stranger, network }
    }

    /// A presence of `key`, issued so many seconds ago.
    fn presence(&self, key: &Keypair, seq: u64, age_s: u64) -> Vec<u8> {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs();
        let presence = Presence {
            addrs: Vec::new(),
            availability: Availability::Idle,
            card: None,
            free_slots: 1,
            goodbye: false,
            issued: UnixMillis((unix - age_s) * 1_000),
            seq,
            ttl: Millis::secs(45),
        };
        Signed::seal(key, &self.network, presence).bytes.to_vec()
    }

    /// Send a frame and wait until the relay has counted each of `metrics` once more.
    async fn check(&mut self, frame: Vec<u8>, metrics: &[&str]) {
        let mut before = Vec::new();
        for metric in metrics {
            before.push(self.relay.metric(metric).await);
        }
        let topic = IdentTopic::new(Topic::Presence.name(self.network.as_str()));
        self.stranger.swarm.behaviour_mut().gossip.publish(topic, frame).expect("it can be sent");
        for (metric, before) in metrics.iter().zip(before) {
            let counted = self.relay.until_metric(metric, before + 1.0);
            tokio::select! {
                () = counted => {}
                _ = self.stranger.until("nothing", |_| None::<()>) => {}
            }
        }
    }
}

#[tokio::test]
async fn a_frame_that_its_bytes_prove_wrong_is_rejected_and_its_sender_thrown_out() {
    let mut attack = Attack::start().await;
    let mut honest = Peer::join(attack.relay.address("ws")).await;
    honest.joined().await;

    attack.check(b"not CBOR at all".to_vec(), &[REJECTED]).await;
    let somebody = Keypair::generate_ed25519();
    let mut forged = attack.presence(&somebody, 1, 0);
    let at = forged.len() / 2;
    forged[at] ^= 1;
    attack.check(forged, &[REJECTED]).await;
    // The third one ends the sender's welcome, see `failed_attempts_max`.
    let too_long = vec![0xa0; GOSSIP_FRAME_BYTES_MAX + 1];
    attack.check(too_long, &[REJECTED]).await;
    if attack.stranger.swarm.connected_peers().next().is_some() {
        let closed = |event: &SwarmEvent<_>| matches!(event, SwarmEvent::ConnectionClosed { .. }).then_some(());
        attack.stranger.until("the relay to close the connection", closed).await;
    }

    let honest_id = honest.id.clone();
    let mut other = Peer::join(attack.relay.address("ws")).await;
    other.sees(&honest_id, "idle").await;
}

#[tokio::test]
async fn a_signature_of_somebody_else_is_a_forgery() {
    let mut attack = Attack::start().await;
    let somebody = Keypair::generate_ed25519();
    let good = attack.presence(&somebody, 1, 0);
    // A signature that is well made, over another body.
    let other = attack.presence(&somebody, 2, 0);
    let (start, end) = signature(&good, &other);
    let mut forged = good.clone();
    forged[start..end].copy_from_slice(&other[start..end]);
    attack.check(forged, &[FORGED, REJECTED]).await;
    attack.check(good, &[ACCEPTED]).await;
}

#[tokio::test]
async fn old_and_late_frames_are_dropped_without_blame_and_counted() {
    let mut attack = Attack::start().await;
    let somebody = Keypair::generate_ed25519();
    let (older, newer) = (attack.presence(&somebody, 1, 1), attack.presence(&somebody, 2, 0));
    attack.check(newer, &[ACCEPTED]).await;
    attack.check(older, &[IGNORED, REPLAYED]).await;
    let late = attack.presence(&Keypair::generate_ed25519(), 1, 3_600);
    attack.check(late, &[IGNORED, EXPIRED]).await;
    assert!(attack.stranger.swarm.connected_peers().next().is_some(), "replaying is not charged to who forwards");
    let ours = attack.stranger.key.clone();
    let own = attack.presence(&ours, 1, 0);
    attack.check(own, &[ACCEPTED]).await;
}

#[tokio::test]
async fn another_peer_at_the_address_is_not_taken_for_the_relay() {
    let relay = Relay::start().await;
    let stranger = Stranger::new(&Network::default(), false).id();
    let (addr, _) = relay.address("tcp").rsplit_once("/p2p/").expect("it ends in a peer");
    let mut dialler = Stranger::new(&Network::default(), true);
    let wrong: libp2p::Multiaddr = format!("{addr}/p2p/{stranger}").parse().expect("an address");
    dialler.swarm.dial(wrong).expect("it can dial");
    let refused = |event: &SwarmEvent<_>| match event {
        SwarmEvent::OutgoingConnectionError { error, .. } => Some(matches!(error, DialError::WrongPeerId { .. })),
        _ => None,
    };
    assert!(dialler.until("the dial to fail", refused).await);
}

/// Where the 64 bytes of the signature lie, after their CBOR key `"sig"`.
fn signature(good: &[u8], other: &[u8]) -> (usize, usize) {
    assert_eq!(good.len(), other.len());
    let key = b"\x63sig\x58\x40";
    let at = good.windows(key.len()).position(|window| window == key).expect("an envelope") + key.len();
    (at, at + 64)
}
