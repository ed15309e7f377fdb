//! The five states of a peer and the bar that counts them.

use crate::{
    planted::{Bug, Planted},
    presence::Known,
    snapshot::{Segment, Status, StatusBar, TrustView},
    units::Bps,
    wire::Availability,
};

/// Receipts from so many distinct signers, at least, stand behind a reputable peer.
pub const REPUTABLE_SIGNERS_MIN: u32 = 3;
/// Receipts at least.
pub const REPUTABLE_RECEIPTS_MIN: u32 = 5;

/// What the rule looks at.
pub struct Seen<'a> {
    /// The latest presence, if there ever was a valid one.
    pub known: Option<&'a Known>,
    pub trust: &'a TrustView,
    pub threshold: Bps,
    pub planted: Planted,
}

/// Exactly one state per peer; the first that fits.
pub fn of(seen: &Seen<'_>) -> Status {
    let Some(known) = seen.known else { return Status::Unknown };
    let presence = &known.signed.body;
    let was_busy = presence.availability == Availability::Busy || presence.free_slots == 0;
    let shown_busy = was_busy && seen.planted.is(Bug::BusyWhenGone);
    if !known.is_fresh() && !shown_busy {
        return Status::Offline;
    }
    if seen.planted.is(Bug::ReputableUnbacked) && seen.trust.score >= seen.threshold && !was_busy {
        return Status::Reputable;
    }
    of_fresh(presence.availability == Availability::Idle, presence.free_slots, seen.trust, seen.threshold)
}

/// The state of a peer whose presence is fresh; also this peer's own.
pub fn of_fresh(idle: bool, free_slots: u32, trust: &TrustView, threshold: Bps) -> Status {
    if !idle || free_slots == 0 {
        return Status::Busy;
    }
    let backed = trust.receipts >= REPUTABLE_RECEIPTS_MIN && trust.signers >= REPUTABLE_SIGNERS_MIN;
    if backed && trust.score >= threshold { Status::Reputable } else { Status::Idle }
}

/// Count agents by state. Idle, reputable and busy share 100 % by largest remainder; offline and
/// unknown are shares of everybody.
#[doc(alias = "generate_status_bar")]
pub fn bar(statuses: impl Iterator<Item = Status>, planted: Planted) -> StatusBar {
    let mut bar = StatusBar::default();
    for status in statuses {
        let segment = match status {
            Status::Idle => &mut bar.idle,
            Status::Reputable => &mut bar.reputable,
            Status::Busy => &mut bar.busy,
            Status::Offline => &mut bar.offline,
            Status::Unknown => &mut bar.unknown,
        };
        segment.count += 1;
    }
    let [idle, reputable, busy] = largest_remainder([bar.idle.count, bar.reputable.count, bar.busy.count], planted);
    bar.idle.percent = idle;
    bar.reputable.percent = reputable;
    bar.busy.percent = busy;
    let everybody: u32 = [bar.idle, bar.reputable, bar.busy, bar.offline, bar.unknown].iter().map(|s| s.count).sum();
    let share = |segment: Segment| (u64::from(segment.count) * 100).checked_div(everybody.into()).unwrap_or(0) as u8;
    bar.offline.percent = share(bar.offline);
    bar.unknown.percent = share(bar.unknown);
    bar
}

/// Whole percentages that sum to 100, as near to the true shares as whole numbers can be.
fn largest_remainder(counts: [u32; 3], planted: Planted) -> [u8; 3] {
    let whole: u64 = counts.iter().map(|count| u64::from(*count)).sum();
    if whole == 0 {
        return [0; 3];
    }
    let exact = counts.map(|count| u64::from(count) * 100);
    let mut percent = exact.map(|share| share / whole);
    let mut missing = 100 - percent.iter().sum::<u64>();
    let mut order = [0, 1, 2];
    order.sort_by_key(|at| (std::cmp::Reverse(exact[*at] % whole), *at));
    for at in order {
        if missing > 0 && counts[at] > 0 && !planted.is(Bug::SharesRoundedDown) {
            percent[at] += 1;
            missing -= 1;
        }
    }
    percent.map(|share| share as u8)
}
