//! Who is dead. libp2p's ping reports a first failure to nobody and may take ten seconds more to try
//! again, so its failures are ignored: a connection is closed when it has had no *success* for
//! [`SILENCE_MAX`] while this node was running. A node that slept (throttled tab, laptop lid) has no
//! right to judge: a check that comes more than [`LATE_MAX`] after it was due starts every count
//! again.

use std::collections::BTreeMap;

use mycomesh_core::{
    io::LinkId,
    time::{Millis, Time},
};

/// How long a connection may be silent. With a ping every 3 s an answer may be 5 s late; with the
/// check after it, death shows within 10 s as the design asks.
pub(crate) const SILENCE_MAX: Millis = Millis::secs(8);
/// How long a connection may be silent after [`Liveness::check_now`]: one ping and two seconds.
pub(crate) const SILENCE_MAX_WOKEN: Millis = Millis::secs(5);
/// A check later than this means that this node was asleep.
pub(crate) const LATE_MAX: Millis = Millis::secs(2);
/// The longest time between two checks, so that a sleep is noticed.
const CHECK_INTERVAL: Millis = Millis::secs(2);

/// The silence of every connection.
#[derive(Debug, Default)]
pub(crate) struct Liveness {
    /// When each connection is given up unless it answers before.
    deadlines: BTreeMap<LinkId, Time>,
    /// When the next check is due; none while there is nothing to check.
    due: Option<Time>,
}

impl Liveness {
    /// When [`Liveness::check`] wants to be called next.
    pub(crate) fn next_deadline(&self) -> Option<Time> {
        self.due
    }

    /// A connection came up.
    pub(crate) fn opened(&mut self, link: LinkId, now: Time) {
        self.deadlines.insert(link, now + SILENCE_MAX);
        self.due.get_or_insert(now + CHECK_INTERVAL);
    }

    /// A connection went.
    pub(crate) fn closed(&mut self, link: LinkId) {
        self.deadlines.remove(&link);
        if self.deadlines.is_empty() {
            self.due = None;
        }
    }

    /// A ping came back.
    pub(crate) fn answered(&mut self, link: LinkId, now: Time) {
        if let Some(deadline) = self.deadlines.get_mut(&link) {
            *deadline = now + SILENCE_MAX;
        }
    }

    /// The owner wants to know now: the machine woke, or the network changed.
    pub(crate) fn check_now(&mut self, now: Time) {
        self.restart(now, SILENCE_MAX_WOKEN);
    }

    /// Who has been silent for too long. Each is named once.
    pub(crate) fn check(&mut self, now: Time) -> Vec<LinkId> {
        let Some(due) = self.due.filter(|due| *due <= now) else { return Vec::new() };
        if now.since(due) > LATE_MAX {
            self.restart(now, SILENCE_MAX);
            return Vec::new();
        }
        let dead: Vec<LinkId> =
            self.deadlines.iter().filter(|(_, deadline)| **deadline <= now).map(|(link, _)| *link).collect();
        for link in &dead {
            self.deadlines.remove(link);
        }
        self.schedule(now);
        dead
    }

    fn restart(&mut self, now: Time, span: Millis) {
        for deadline in self.deadlines.values_mut() {
            *deadline = now + span;
        }
        self.schedule(now);
    }

    fn schedule(&mut self, now: Time) {
        let latest = now + CHECK_INTERVAL;
        self.due = self.deadlines.values().min().map(|deadline| latest.min(*deadline));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: LinkId = LinkId(1);

    /// Run checks at their due times from a link opened at 0; pings come back at `answers`. Returns
    /// when the link was given up.
    fn check(answers: &[u64], until: u64) -> Option<u64> {
        let mut liveness = Liveness::default();
        liveness.opened(LINK, Time(0));
        let mut answers = answers.iter().peekable();
        while let Some(due) = liveness.next_deadline().filter(|due| due.0 <= until) {
            while let Some(answer) = answers.next_if(|answer| **answer <= due.0) {
                liveness.answered(LINK, Time(*answer));
            }
            if liveness.check(due) == [LINK] {
                return Some(due.0);
            }
        }
        None
    }

    #[test]
    fn a_connection_that_never_answers_is_given_up_after_eight_seconds() {
        assert_eq!(check(&[], 60_000), Some(8_000));
    }

    #[test]
    fn a_connection_that_stops_answering_is_given_up_eight_seconds_after_its_last_answer() {
        assert_eq!(check(&[2_100, 4_100], 60_000), Some(12_100));
    }

    #[test]
    fn a_connection_that_answers_now_and_then_is_kept() {
        let answers: Vec<u64> = (1..20).map(|n| n * 7_000).collect();
        assert_eq!(check(&answers, 130_000), None);
    }

    #[test]
    fn a_late_check_judges_nobody_and_starts_again() {
        let mut liveness = Liveness::default();
        liveness.opened(LINK, Time(0));
        assert!(liveness.check(Time(60_000)).is_empty());
        assert!(liveness.check(Time(62_000)).is_empty());
        assert!(liveness.check(Time(64_000)).is_empty());
        assert!(liveness.check(Time(66_000)).is_empty());
        assert_eq!(liveness.check(Time(68_000)), [LINK]);
    }

    #[test]
    fn a_tab_throttled_to_once_a_minute_never_judges() {
        let mut liveness = Liveness::default();
        liveness.opened(LINK, Time(0));
        assert!((1..100).all(|minute| liveness.check(Time(minute * 60_000)).is_empty()));
    }

    #[test]
    fn a_tab_throttled_to_once_a_second_still_judges() {
        let mut liveness = Liveness::default();
        liveness.opened(LINK, Time(0));
        let dead = (1..60).find(|second| !liveness.check(Time(second * 1_000 + 900)).is_empty());
        assert_eq!(dead, Some(8));
    }

    #[test]
    fn a_woken_machine_judges_after_five_seconds() {
        let mut liveness = Liveness::default();
        liveness.opened(LINK, Time(0));
        liveness.check_now(Time(1_000));
        assert!(liveness.check(Time(3_000)).is_empty());
        assert!(liveness.check(Time(5_000)).is_empty());
        assert_eq!(liveness.check(Time(6_000)), [LINK]);
    }

    #[test]
    fn nothing_is_due_without_connections() {
        let mut liveness = Liveness::default();
        assert_eq!(liveness.next_deadline(), None);
        liveness.opened(LINK, Time(0));
        assert!(liveness.next_deadline().is_some());
        liveness.closed(LINK);
        assert_eq!(liveness.next_deadline(), None);
    }
}
