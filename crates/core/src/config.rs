//! What an owner can set. The keys of the seeds' table (A13) that this version enforces are here;
//! the others are refused by name until something enforces them (see [`NOT_YET`]).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    limits,
    time::Millis,
    units::Bps,
    wire::{Network, Skill},
};

const MIB: u64 = 1024 * 1024;

/// The skills of an agent, in the order of their names.
pub type SkillSet = BTreeSet<Skill>;

/// The configuration of a node. Unknown keys are errors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The network to join.
    pub network: Network,
    /// Connected peers at most. Seed default 50. Enforced by the connection limits.
    pub max_peers: u32,
    /// Seconds a dial may take. Seed default 30. Enforced by the dialler.
    pub connection_timeout_s: u32,
    /// Seconds between two presences. The seed's `heartbeat_interval`; 15 here, so that an
    /// unannounced death shows within 45 s.
    pub presence_interval_s: u32,
    /// Seconds between two searches for neighbours and DHT refreshes. Seed default 300.
    pub discovery_interval_s: u32,
    /// Trust from which a peer counts as reputable. Seed default 0.7.
    pub trust_threshold: Bps,
    /// How much evidence loses of its weight in a day. Seed default 0.01.
    pub reputation_decay_per_day: Bps,
    /// Violations after which a peer is put into quarantine. Seed default 3.
    pub failed_attempts_max: u32,
    /// Seconds of the first quarantine; each further one lasts twice as long. Seed default 3600.
    pub quarantine_s: u32,
    /// Bytes of the tasks and receipts in the store, keys and values; see [`Config::tasks_bytes_max`].
    /// What the database needs beside them (indexes, free pages, the profile) is not counted. The
    /// seed's 10 GB are for blobs, of which there are none yet; 256 MiB hold every task and receipt
    /// that the other limits allow, but for very large ones.
    pub storage_bytes_max: u64,
    /// Whether this node asks its relays for a reservation, so that others can reach it through
    /// them. Off on a relay.
    pub reserve: bool,
    /// Whether this node has an agent card. Off on a pure relay, which is then not counted in the
    /// status bar.
    pub agent: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            network: Network::default(),
            max_peers: 50,
            connection_timeout_s: 30,
            presence_interval_s: 15,
            discovery_interval_s: 300,
            trust_threshold: Bps::percent(70),
            reputation_decay_per_day: Bps::percent(1),
            failed_attempts_max: 3,
            quarantine_s: 3_600,
            storage_bytes_max: 256 * MIB,
            reserve: true,
            agent: true,
        }
    }
}

/// A value outside its range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{key}` must be {wanted}")]
pub struct ConfigError {
    /// The key.
    pub key: &'static str,
    /// What would do.
    pub wanted: &'static str,
}

impl Config {
    /// Check every range. [`crate::Node::new`] calls it.
    pub fn check(&self) -> Result<(), ConfigError> {
        let rules: [(&'static str, bool, &'static str); 9] = [
            ("max_peers", (1..=10_000).contains(&self.max_peers), "1 to 10000"),
            ("connection_timeout_s", (1..=300).contains(&self.connection_timeout_s), "1 to 300 seconds"),
            ("presence_interval_s", (1..=300).contains(&self.presence_interval_s), "1 to 300 seconds"),
            ("discovery_interval_s", (5..=86_400).contains(&self.discovery_interval_s), "5 to 86400 seconds"),
            ("trust_threshold", self.trust_threshold > Bps::ZERO, "1 to 10000 basis points"),
            ("reputation_decay_per_day", self.reputation_decay_per_day <= Bps::percent(50), "0 to 5000 basis points"),
            ("failed_attempts_max", (1..=1_000).contains(&self.failed_attempts_max), "1 to 1000"),
            ("quarantine_s", (1..=604_800).contains(&self.quarantine_s), "1 to 604800 seconds"),
            (
                "storage_bytes_max",
                (16 * MIB..=1024 * 1024 * MIB).contains(&self.storage_bytes_max),
                "16777216 (16 MiB) to 1099511627776 bytes (1 TiB)",
            ),
        ];
        match rules.into_iter().find(|(_, holds, _)| !holds) {
            Some((key, _, wanted)) => Err(ConfigError { key, wanted }),
            None => Ok(()),
        }
    }

    /// The shortest time between two presences.
    pub fn presence_interval(&self) -> Millis {
        Millis::secs(self.presence_interval_s.into())
    }

    /// The first quarantine.
    pub fn quarantine(&self) -> Millis {
        Millis::secs(self.quarantine_s.into())
    }

    /// The part of the storage that tasks may take: three quarters. A fixed one, so that a flood of
    /// receipts does not cost anybody a task, nor the other way round.
    pub const fn tasks_bytes_max(&self) -> u64 {
        self.storage_bytes_max / 4 * 3
    }

    /// The part of the storage that receipts may take.
    pub const fn receipts_bytes_max(&self) -> u64 {
        self.storage_bytes_max - self.tasks_bytes_max()
    }

    /// Time between two searches for neighbours.
    pub fn discovery_interval(&self) -> Millis {
        Millis::secs(self.discovery_interval_s.into())
    }
}

/// Keys of the seeds' table that nothing enforces in this version, and are therefore refused
/// rather than silently accepted. [`why_not_yet`] says what is missing.
pub const NOT_YET: [&str; 8] = [
    "packet_bytes_max",
    "compression_enabled",
    "encryption_required",
    "validation_threshold",
    "bandwidth_bytes_per_s",
    "cpu_share_max",
    "memory_bytes_max",
    "p2p_enabled",
];

/// Why a key of [`NOT_YET`] is refused, and what bounds the same thing meanwhile.
pub fn why_not_yet(key: &str) -> Option<&'static str> {
    Some(match key {
        "packet_bytes_max" | "compression_enabled" => "there are no blobs yet; frames have fixed limits",
        "encryption_required" => "every connection is encrypted anyway, and nothing beyond that is yet",
        "validation_threshold" => "no results are validated by others yet",
        "bandwidth_bytes_per_s" => {
            "nothing slows a connection down; circuit_bytes_max and circuit_duration_s bound what one relayed connection carries"
        }
        "cpu_share_max" => "nothing here measures or slows down processor use; the operating system can",
        "memory_bytes_max" => {
            "memory follows from the limits of counts and sizes, not from one number; the operating system can bound it"
        }
        "p2p_enabled" => "there is nothing to run without the mesh",
        _ => return None,
    })
}

/// What an agent says of itself when it starts; changed later by
/// [`crate::io::Command::SetProfile`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Profile {
    /// The name others see.
    pub name: String,
    /// The skills offered.
    pub skills: SkillSet,
    /// Tasks worked on at a time. One by default: a person answers one question at a time.
    pub slots: u32,
}

impl Default for Profile {
    fn default() -> Self {
        Self { name: String::new(), skills: [Skill::human(), Skill::echo()].into(), slots: 1 }
    }
}

impl Profile {
    /// Whether every field is within its limit.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.name.len() > limits::NAME_BYTES_MAX || self.name.chars().any(char::is_control) {
            return Err(ConfigError { key: "name", wanted: "at most 64 bytes without control characters" });
        }
        if self.skills.len() > limits::SKILLS_MAX {
            return Err(ConfigError { key: "skills", wanted: "at most 16 skills" });
        }
        if !(1..=limits::SLOTS_MAX).contains(&self.slots) {
            return Err(ConfigError { key: "slots", wanted: "1 to 64" });
        }
        Ok(())
    }
}
