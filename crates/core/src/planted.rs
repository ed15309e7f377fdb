//! Bugs that a simulator plants to show that its checkers find them.
//!
//! Each is a slip that somebody could make, one line in the module it belongs to: `if cx.planted(Bug::…)`. A node has at
//! most one, by [`crate::Node::plant`]. Without the feature `planted`, which no program that anybody runs is built with,
//! there is nothing to plant: [`Planted`] is empty, [`Planted::is`] is false, and the compiler leaves the lines out.

use crate::wire::signed::Verifier;

/// A slip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bug {
    /// The signature of a presence is not checked.
    UncheckedPresence,
    /// Nor that of a receipt.
    UncheckedReceipt,
    /// A presence is taken in after its time.
    ExpiredPresence,
    /// A presence is taken in before its time.
    FuturePresence,
    /// A presence may hold for as long as it likes.
    EndlessPresence,
    /// Of two presences with one number the later one wins: `>` where `>=` belongs.
    SameNumber,
    /// Numbers of presences are not compared at all.
    OlderNumber,
    /// What is merely old is rejected, which charges whoever forwarded it.
    OldRejected,
    /// A goodbye is taken for any other presence.
    GoodbyeIgnored,
    /// How long a presence holds is read as seconds.
    LifeInSeconds,
    /// When the next presence is due is computed in seconds.
    RenewalInSeconds,
    /// The numbers of a peer's presences start again with its process.
    NumbersRestart,
    /// Clocks are thought to be exact.
    NoSkewGranted,
    /// One receipt too many of a pair is kept.
    PairOffByOne,
    /// The event log is never cut.
    LogNeverCut,
    /// A task of another is not ended when its deadline passes, and its node wakes for it again and again.
    DeadlineOverslept,
    /// Who forwards too much of somebody else's is charged instead of who signed it.
    ForwarderBlamed,
    /// A rate's bucket never fills up again.
    BucketNeverFills,
    /// A rate's bucket is never empty.
    BucketNeverEmpties,
    /// A quarantine ends in the far future.
    QuarantineEndless,
    /// Violations never amount to a quarantine.
    QuarantineNever,
    /// A quarantine is forgotten with the process that pronounced it.
    QuarantineNotLoaded,
    /// A quarantine ends when the peer comes again.
    QuarantineEndsByLink,
    /// Presences of others are not handed on.
    NothingForwarded,
    /// A requester's second receipt for a task counts, too.
    RatedTwice,
    /// A peer may rate itself.
    RatesItself,
    /// Whoever holds an acceptance may rate, though another had asked.
    RatesForAnother,
    /// The acceptance in a receipt may be anybody's.
    AcceptedByAnybody,
    /// A relay that was lost is not dialled again.
    RelayNotRedialled,
    /// A peer that is gone and was busy is shown as busy.
    BusyWhenGone,
    /// A good score alone makes a peer reputable.
    ReputableUnbacked,
    /// Shares of the bar are rounded down each.
    SharesRoundedDown,
    /// The bar counts relays as agents.
    RelaysCounted,
    /// The time that a provider is given is read as seconds.
    DeadlineInSeconds,
    /// A delivery that comes after the deadline brings a failed task back.
    LateDeliveryRevives,
    /// A submission that comes twice is two tasks.
    SubmissionTwice,
    /// What was not acknowledged before a restart is not sent again.
    OutboxForgotten,
    /// A bad peer's score falls below a newcomer's.
    NoFloor,
    /// An acceptance is sent before the task is on disk.
    AcceptedBeforeStored,
    /// A submission is sent before the task is on disk.
    AskedBeforeStored,
    /// A delivery is sent before it is on disk.
    DeliveredBeforeStored,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 41] = [
        Self::UncheckedPresence,
        Self::UncheckedReceipt,
        Self::ExpiredPresence,
        Self::FuturePresence,
        Self::EndlessPresence,
        Self::SameNumber,
        Self::OlderNumber,
        Self::OldRejected,
        Self::GoodbyeIgnored,
        Self::LifeInSeconds,
        Self::RenewalInSeconds,
        Self::NumbersRestart,
        Self::NoSkewGranted,
        Self::PairOffByOne,
        Self::LogNeverCut,
        Self::DeadlineOverslept,
        Self::ForwarderBlamed,
        Self::BucketNeverFills,
        Self::BucketNeverEmpties,
        Self::QuarantineEndless,
        Self::QuarantineNever,
        Self::QuarantineNotLoaded,
        Self::QuarantineEndsByLink,
        Self::NothingForwarded,
        Self::RatedTwice,
        Self::RatesItself,
        Self::RatesForAnother,
        Self::AcceptedByAnybody,
        Self::RelayNotRedialled,
        Self::BusyWhenGone,
        Self::ReputableUnbacked,
        Self::SharesRoundedDown,
        Self::RelaysCounted,
        Self::DeadlineInSeconds,
        Self::LateDeliveryRevives,
        Self::SubmissionTwice,
        Self::OutboxForgotten,
        Self::NoFloor,
        Self::AcceptedBeforeStored,
        Self::AskedBeforeStored,
        Self::DeliveredBeforeStored,
    ];
}

/// The bug of one node, if it has one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Planted {
    #[cfg(feature = "planted")]
    bug: Option<Bug>,
}

#[cfg(not(feature = "planted"))]
impl Planted {
    /// Whether the node has this bug: never.
    #[inline(always)]
    pub const fn is(self, _bug: Bug) -> bool {
        false
    }
}

#[cfg(feature = "planted")]
impl Planted {
    /// A node with this bug.
    pub const fn new(bug: Bug) -> Self {
        Self { bug: Some(bug) }
    }

    /// Whether the node has this bug.
    pub fn is(self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }
}

/// Finds every signature right.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trusting;

impl Verifier for Trusting {
    fn verify(&self, _key: &[u8; 32], _message: &[u8], _signature: &[u8; 64]) -> bool {
        true
    }
}
