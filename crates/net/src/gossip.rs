//! How gossipsub is set up: anonymous frames, a verdict on each by core, and scores that punish
//! what the bytes prove and nothing else.

use std::{collections::BTreeSet, time::Duration};

use libp2p::gossipsub::{
    self, Behaviour, ConfigBuilder, IdentTopic, Message, MessageAuthenticity, MessageId, PeerScoreParams,
    PeerScoreThresholds, TopicHash, TopicScoreParams, ValidationMode, WhitelistSubscriptionFilter,
};
use mycomesh_core::{io::Topic, limits::GOSSIP_FRAME_BYTES_MAX};
use sha2::{Digest, Sha256};

/// Gossipsub that knows our topics only: a remote cannot make it remember others.
pub type Gossip = Behaviour<gossipsub::IdentityTransform, WhitelistSubscriptionFilter>;

/// Room for the protobuf around the largest frame, in bytes.
const ENVELOPE_BYTES: usize = 1_024;
/// Time between two repairs of the mesh. gossipsub's own 1 s.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// How long a pruned peer waits before it grafts again. gossipsub's 60 s would leave a mesh of a
/// dozen peers unrepaired for a minute; guess.
const PRUNE_BACKOFF: Duration = Duration::from_secs(5);
/// How long a frame's id is remembered, so that it is handled once. Twice the clock skew allowed.
const REMEMBERED: Duration = Duration::from_secs(240);
/// A frame that its bytes prove wrong costs this times the square of how many there were lately: one
/// and we stop gossiping to the sender, three and we stop listening to it.
const INVALID_WEIGHT: f64 = -10.0;
/// Half of those are forgotten after a minute: `0.5^(1/60)` a second.
const INVALID_DECAY: f64 = 0.988_5;
/// Protocol slips (an early graft, a broken promise) that are forgiven: a woken laptop makes a few.
const SLIPS_FORGIVEN: f64 = 6.0;

/// Gossipsub with every topic of `network` subscribed. A relay is asked to keep every attached peer
/// in its mesh (`star`), since peers that reach each other only through it depend on its gossip.
pub fn gossip(network: &str, star: Option<usize>) -> Result<Gossip, String> {
    gossip_with_ids(network, star, message_id)
}

/// The same, with ids from `ids`, which is asked for every copy that comes in and for every frame published. Whoever
/// counts copies does so there and answers with [`message_id`].
pub fn gossip_with_ids(
    network: &str,
    star: Option<usize>,
    ids: impl Fn(&Message) -> MessageId + Send + Sync + 'static,
) -> Result<Gossip, String> {
    let names: Vec<IdentTopic> = Topic::ALL.into_iter().map(|topic| IdentTopic::new(topic.name(network))).collect();
    let config = config(star).message_id_fn(ids).build().map_err(|error| error.to_string())?;
    let filter = WhitelistSubscriptionFilter(names.iter().map(IdentTopic::hash).collect());
    let mut gossip = Gossip::new_with_subscription_filter(MessageAuthenticity::Anonymous, config, filter)?;
    gossip.with_peer_score(score(&names), PeerScoreThresholds::default())?;
    for name in &names {
        gossip.subscribe(name).map_err(|error| error.to_string())?;
    }
    Ok(gossip)
}

/// A frame's id: same bytes, same id, whoever sends it.
pub fn message_id(message: &Message) -> MessageId {
    MessageId::from(Sha256::digest(&message.data).to_vec())
}

/// Which of our topics a hash names.
pub(crate) fn topic_of(network: &str, hash: &TopicHash) -> Option<Topic> {
    Topic::ALL.into_iter().find(|topic| topic.name(network) == hash.as_str())
}

fn config(star: Option<usize>) -> ConfigBuilder {
    let mut config = ConfigBuilder::default();
    config
        .validation_mode(ValidationMode::Anonymous)
        .validate_messages()
        .max_transmit_size(GOSSIP_FRAME_BYTES_MAX + ENVELOPE_BYTES)
        .flood_publish(true)
        .heartbeat_interval(HEARTBEAT)
        .prune_backoff(PRUNE_BACKOFF)
        .unsubscribe_backoff(Duration::from_secs(1))
        .graft_flood_threshold(Duration::from_secs(1))
        .duplicate_cache_time(REMEMBERED);
    if let Some(degree) = star {
        config.mesh_n(degree).mesh_n_low(degree).mesh_n_high(degree.saturating_add(1)).mesh_outbound_min(0);
    }
    config
}

fn score(topics: &[IdentTopic]) -> PeerScoreParams {
    let topics: BTreeSet<TopicHash> = topics.iter().map(IdentTopic::hash).collect();
    PeerScoreParams {
        topics: topics.into_iter().map(|topic| (topic, topic_score())).collect(),
        // P6: everybody behind one relay, proxy or loopback shares an address; fifteen of them would
        // be shut out.
        ip_colocation_factor_weight: 0.0,
        behaviour_penalty_threshold: SLIPS_FORGIVEN,
        behaviour_penalty_decay: 0.9,
        // A hidden tab is slow without being bad.
        slow_peer_weight: 0.0,
        ..PeerScoreParams::default()
    }
}

fn topic_score() -> TopicScoreParams {
    TopicScoreParams {
        topic_weight: 1.0,
        // P1 and P2, small: a good past must not pay for a wrong frame.
        time_in_mesh_weight: 0.01,
        time_in_mesh_quantum: Duration::from_secs(1),
        time_in_mesh_cap: 100.0,
        first_message_deliveries_weight: 0.01,
        first_message_deliveries_decay: 0.9,
        first_message_deliveries_cap: 100.0,
        // P3 and P3b would punish everybody in a quiet topic.
        mesh_message_deliveries_weight: 0.0,
        mesh_failure_penalty_weight: 0.0,
        // P4.
        invalid_message_deliveries_weight: INVALID_WEIGHT,
        invalid_message_deliveries_decay: INVALID_DECAY,
        ..TopicScoreParams::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gossipsub_takes_the_settings_of_a_peer_and_of_a_relay() {
        assert!(gossip("public", None).is_ok());
        assert!(gossip("public", Some(4_096)).is_ok());
    }

    #[test]
    fn topics_are_told_apart_by_network() {
        let hash = IdentTopic::new(Topic::Presence.name("one")).hash();
        assert_eq!(topic_of("one", &hash), Some(Topic::Presence));
        assert_eq!(topic_of("two", &hash), None);
    }

    #[test]
    fn every_topic_is_scored() {
        let names: Vec<IdentTopic> =
            Topic::ALL.into_iter().map(|topic| IdentTopic::new(topic.name("public"))).collect();
        let score = score(&names);
        assert!(names.iter().all(|name| score.topics.contains_key(&name.hash())));
        assert_eq!(score.validate(), Ok(()));
    }
}
