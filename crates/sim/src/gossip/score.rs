//! What a peer thinks of a neighbour. Only additions and multiplications of 64-bit floats, which are exact to the
//! last bit on every target; weights are those of `crates/net/src/gossip.rs`.

use super::TopicNo;
use crate::time::Micros;

/// Below it no IHAVE is sent or taken.
pub(super) const GOSSIP_MIN: f64 = -10.0;
/// Below it own messages are not sent.
pub(super) const PUBLISH_MIN: f64 = -50.0;
/// Below it everything is dropped unread.
pub(super) const GRAYLIST: f64 = -80.0;
/// A mesh whose median score is lower looks for better peers.
pub(super) const OPPORTUNISTIC: f64 = 20.0;

/// A second in a mesh counts this much, up to [`TIME_CAP`] seconds.
const TIME_WEIGHT: f64 = 0.01;
const TIME_CAP: f64 = 100.0;
/// A message delivered first counts this much, up to [`FIRST_CAP`], and fades by this a second.
const FIRST_WEIGHT: f64 = 0.01;
const FIRST_CAP: f64 = 100.0;
const FIRST_DECAY: f64 = 0.9;
/// Invalid messages count this much times their square; half are forgotten in a minute.
const INVALID_WEIGHT: f64 = -10.0;
const INVALID_DECAY: f64 = 0.988_5;
/// Protocol slips above [`SLIPS_FORGIVEN`] count this much times their square.
const SLIP_WEIGHT: f64 = -10.0;
const SLIP_DECAY: f64 = 0.9;
const SLIPS_FORGIVEN: f64 = 6.0;
/// A counter below it is nothing.
const NOTHING: f64 = 0.01;
/// A bad score is remembered so long after the peer left.
const RETAINED: Micros = Micros::secs(3_600);

/// The score of one neighbour.
#[derive(Debug)]
pub(super) struct Score {
    topics: Vec<OnTopic>,
    slips: f64,
    gone: Option<Micros>,
}

#[derive(Clone, Debug, Default)]
struct OnTopic {
    /// Since when it is in the mesh, and for how many seconds at the last heartbeat.
    since: Option<Micros>,
    seconds: f64,
    first: f64,
    invalid: f64,
}

impl Score {
    pub(super) fn new(topics: usize) -> Self {
        Self { topics: vec![OnTopic::default(); topics], slips: 0.0, gone: None }
    }

    pub(super) fn value(&self) -> f64 {
        let topics: f64 = self.topics.iter().map(OnTopic::value).sum();
        let slips = self.slips - SLIPS_FORGIVEN;
        topics + if slips > 0.0 { slips * slips * SLIP_WEIGHT } else { 0.0 }
    }

    pub(super) fn connected(&mut self) {
        self.gone = None;
    }

    /// The peer left; false when there is nothing to remember it for.
    pub(super) fn disconnected(&mut self, now: Micros) -> bool {
        if self.value() > 0.0 {
            return false;
        }
        for topic in &mut self.topics {
            topic.first = 0.0;
        }
        self.gone = Some(now + RETAINED);
        true
    }

    pub(super) fn joined_mesh(&mut self, topic: TopicNo, now: Micros) {
        if let Some(topic) = self.topics.get_mut(usize::from(topic.0)) {
            topic.since = Some(now);
            topic.seconds = 0.0;
        }
    }

    pub(super) fn left_mesh(&mut self, topic: usize) {
        if let Some(topic) = self.topics.get_mut(topic) {
            topic.since = None;
        }
    }

    pub(super) fn first_delivery(&mut self, topic: TopicNo) {
        if let Some(topic) = self.topics.get_mut(usize::from(topic.0)) {
            topic.first = (topic.first + 1.0).min(FIRST_CAP);
        }
    }

    pub(super) fn invalid(&mut self, topic: TopicNo) {
        if let Some(topic) = self.topics.get_mut(usize::from(topic.0)) {
            topic.invalid += 1.0;
        }
    }

    pub(super) fn slip(&mut self, count: u32) {
        self.slips += f64::from(count);
    }

    /// A second passed; false when the score of a peer that left can be forgotten.
    pub(super) fn fade(&mut self, now: Micros) -> bool {
        if let Some(until) = self.gone {
            // What is remembered of a peer that left does not get better meanwhile.
            return now < until;
        }
        for topic in &mut self.topics {
            topic.first = faded(topic.first, FIRST_DECAY);
            topic.invalid = faded(topic.invalid, INVALID_DECAY);
            if let Some(since) = topic.since {
                topic.seconds = (now.since(since).0 / 1_000_000) as f64;
            }
        }
        self.slips = faded(self.slips, SLIP_DECAY);
        true
    }
}

impl OnTopic {
    fn value(&self) -> f64 {
        let time = if self.since.is_some() { self.seconds.min(TIME_CAP) * TIME_WEIGHT } else { 0.0 };
        time + self.first * FIRST_WEIGHT + self.invalid * self.invalid * INVALID_WEIGHT
    }
}

fn faded(value: f64, decay: f64) -> f64 {
    let value = value * decay;
    if value < NOTHING { 0.0 } else { value }
}
