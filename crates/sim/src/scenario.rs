//! Scenarios: who takes part, what the network is like, what breaks, and when it ends. Each is a TOML file in
//! `scenarios/`, compiled in so that a page has them too.

use serde::{Deserialize, Serialize};

use crate::{
    byzantine::{Role, Share},
    faults::{Chaos, Planned},
    gossip::PeerNo,
    network::Weather,
    peer::{Kind, Plan},
    random::Rng,
    time::Micros,
    workload::Demand,
};

/// A scenario.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Its name: that of its file.
    #[serde(skip)]
    pub name: String,
    /// What it is about, in a sentence.
    pub about: String,
    /// Peers, relays included, where the caller names no number.
    pub nodes: u32,
    /// The seed where the caller names none.
    pub seed: u64,
    /// How long it lasts, in virtual seconds.
    pub duration_s: u64,
    /// The last so many seconds nothing breaks.
    pub settle_s: u64,
    /// Peers start within so many seconds.
    #[serde(default = "ten")]
    pub join_s: u64,
    /// Relays: so many at least …
    #[serde(default = "two")]
    pub relays: u32,
    /// … and one for each so many peers.
    #[serde(default = "hundred")]
    pub peers_per_relay: u32,
    /// Server processes among the peers, in thousandths.
    #[serde(default = "three_hundred")]
    pub natives_permille: u64,
    /// Of these so many are behind a router, in thousandths.
    #[serde(default = "three_hundred")]
    pub hidden_permille: u64,
    /// Clocks are off by up to so many seconds.
    #[serde(default)]
    pub skew_s: u64,
    /// Tasks each agent works on at a time.
    #[serde(default = "slots")]
    pub slots: u32,
    /// What the network is like.
    #[serde(default)]
    pub weather: Weather,
    /// What is asked.
    #[serde(default)]
    pub workload: Demand,
    /// What breaks when.
    #[serde(default)]
    pub faults: Vec<Planned>,
    /// Faults at random.
    pub chaos: Option<Chaos>,
    /// Who is hostile.
    #[serde(default)]
    pub hostile: Vec<Share>,
    /// Peers start in a crowd: this share of them, in thousandths, within a second at this time of the scenario.
    pub crowd: Option<Crowd>,
    /// Peers join one after the other, each through neighbours that have many links already.
    #[serde(default)]
    pub attachment: bool,
}

/// A crowd that comes at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Crowd {
    /// When, in seconds.
    pub at_s: u64,
    /// Of the peers that are not relays, in thousandths.
    pub permille: u64,
}

const fn two() -> u32 {
    2
}

const fn ten() -> u64 {
    10
}

const fn hundred() -> u32 {
    100
}

const fn three_hundred() -> u64 {
    300
}

const fn slots() -> u32 {
    3
}

/// Name and text of every scenario.
const FILES: [(&str, &str); 12] = [
    ("calm", include_str!("../scenarios/calm.toml")),
    ("chaos", include_str!("../scenarios/chaos.toml")),
    ("churn", include_str!("../scenarios/churn.toml")),
    ("eclipse", include_str!("../scenarios/eclipse.toml")),
    ("flash-crowd", include_str!("../scenarios/flash-crowd.toml")),
    ("growth", include_str!("../scenarios/growth.toml")),
    ("half-loss", include_str!("../scenarios/half-loss.toml")),
    ("partition", include_str!("../scenarios/partition.toml")),
    ("relay-outage", include_str!("../scenarios/relay-outage.toml")),
    ("spam", include_str!("../scenarios/spam.toml")),
    ("stress", include_str!("../scenarios/stress.toml")),
    ("sybil", include_str!("../scenarios/sybil.toml")),
];

/// The most peers a run may have: addresses of peers have room for more, memory may not.
pub const NODES_MAX: u32 = 10_000;
/// Fewer peers are no network.
pub const NODES_MIN: u32 = 4;

/// Why there is no such scenario.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScenarioError {
    /// No such name.
    #[error("there is no scenario `{0}`; there are: {known}", known = names().join(", "))]
    Unknown(String),
    /// The text is not one.
    #[error("the scenario `{name}` cannot be read: {detail}")]
    Bad {
        /// Its name.
        name: String,
        /// What is wrong with it.
        detail: String,
    },
}

/// Every scenario's name.
pub fn names() -> Vec<&'static str> {
    FILES.iter().map(|(name, _)| *name).collect()
}

impl Scenario {
    /// The scenario of this name.
    pub fn named(name: &str) -> Result<Self, ScenarioError> {
        let file = FILES.iter().find(|(known, _)| *known == name);
        let (_, text) = file.ok_or_else(|| ScenarioError::Unknown(name.into()))?;
        Self::parse(name, text)
    }

    /// A scenario from its text.
    pub fn parse(name: &str, text: &str) -> Result<Self, ScenarioError> {
        let bad = |detail: String| ScenarioError::Bad { name: name.into(), detail };
        let mut scenario: Self = toml::from_str(text).map_err(|error| bad(error.to_string()))?;
        name.clone_into(&mut scenario.name);
        if scenario.settle_s >= scenario.duration_s {
            return Err(bad("it must last longer than it settles".into()));
        }
        if scenario.nodes < NODES_MIN || scenario.nodes > NODES_MAX {
            return Err(bad(format!("it must have {NODES_MIN} to {NODES_MAX} nodes")));
        }
        Ok(scenario)
    }

    /// When it is over.
    pub fn end(&self) -> Micros {
        Micros::secs(self.duration_s)
    }

    /// From when on nothing breaks.
    pub fn heal(&self) -> Micros {
        Micros::secs(self.duration_s.saturating_sub(self.settle_s))
    }

    /// Questions end here, so that there is time for their answers.
    pub(crate) fn last_ask(&self) -> Micros {
        self.heal() + Micros::secs(self.settle_s / 3)
    }

    /// Who takes part.
    pub(crate) fn cast(&self, nodes: u32, rng: &mut Rng) -> Vec<Plan> {
        let relays = self.relays.max(nodes / self.peers_per_relay.max(1)).clamp(1, nodes / 2);
        let mut roles: Vec<Role> = vec![Role::Honest; (nodes - relays) as usize];
        let mut free = 0..roles.len();
        for share in &self.hostile {
            let count = (u64::from(nodes - relays) * share.permille).div_ceil(1_000);
            for at in free.by_ref().take(count as usize) {
                roles[at] = share.role;
            }
        }
        rng.shuffle(&mut roles);
        let plan = |no: u32| {
            let kind = match () {
                () if no < relays => Kind::Relay,
                () if !rng.chance(self.natives_permille) => Kind::Browser,
                () if rng.chance(self.hidden_permille) => Kind::Hidden,
                () => Kind::Native,
            };
            let mut known: Vec<PeerNo> = (0..relays.min(no)).map(PeerNo).collect();
            rng.shuffle(&mut known);
            // A page mostly knows the one relay it came from.
            known.truncate(if kind == Kind::Browser && rng.chance(500) { 1 } else { 2 });
            let skew = (self.skew_s * 1_000) as i64;
            let skew_ms = rng.below(2 * self.skew_s * 1_000 + 1) as i64 - skew;
            let role = no.checked_sub(relays).and_then(|at| roles.get(at as usize)).copied().unwrap_or(Role::Honest);
            Plan { no: PeerNo(no), kind, role, skew_ms, slots: self.slots, relays: known }
        };
        (0..nodes).map(plan).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_can_be_read() {
        for name in names() {
            let scenario = Scenario::named(name);
            assert!(scenario.is_ok(), "{name}: {scenario:?}");
        }
    }

    #[test]
    fn an_unknown_scenario_names_those_that_are_known() {
        let error = Scenario::named("nothing").map(|scenario| scenario.name).unwrap_err().to_string();
        assert!(error.contains("chaos") && error.contains("partition"), "{error}");
    }
}
