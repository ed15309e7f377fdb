//! Connections that another one has replaced, on their way out. Each is closed as soon as no request is
//! under way on it, and after [`BUSY_MAX`] at the latest.

use std::collections::BTreeMap;

use mycomesh_core::{
    io::LinkId,
    time::{Millis, Time},
};

use crate::behaviour::REQUEST_TIMEOUT;

/// How long requests may keep a replaced connection. What was under way when it was replaced has ended
/// by then; new ones may use it as well, and must not keep it for ever.
const BUSY_MAX: Millis = REQUEST_TIMEOUT;
/// How often it is looked whether a connection has become free.
const LOOK_INTERVAL: Millis = Millis(500);

/// Replaced connections.
#[derive(Debug, Default)]
pub(crate) struct Replaced {
    /// When each goes at the latest.
    links: BTreeMap<LinkId, Time>,
    looked: Time,
}

impl Replaced {
    /// Close this one.
    pub(crate) fn add(&mut self, link: LinkId, now: Time) {
        self.links.entry(link).or_insert(now + BUSY_MAX);
    }

    /// This one is closed.
    pub(crate) fn forget(&mut self, link: LinkId) {
        self.links.remove(&link);
    }

    /// When [`Replaced::due`] wants to be called next.
    pub(crate) fn next_deadline(&self) -> Option<Time> {
        let earliest = self.links.values().min()?;
        Some((self.looked + LOOK_INTERVAL).min(*earliest))
    }

    /// Those to be closed now. Each is named once.
    pub(crate) fn due(&mut self, now: Time, under_way: impl Fn(LinkId) -> bool) -> Vec<LinkId> {
        self.looked = now;
        let due: Vec<LinkId> = self
            .links
            .iter()
            .filter(|(link, latest)| now >= **latest || !under_way(**link))
            .map(|(link, _)| *link)
            .collect();
        for link in &due {
            self.links.remove(link);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: LinkId = LinkId(1);

    /// When a connection replaced at 1 s is closed, if requests are under way until `busy_ms`.
    #[track_caller]
    fn check(busy_ms: u64, expect_ms: u64) {
        let mut replaced = Replaced::default();
        let mut now = Time(1_000);
        replaced.add(LINK, now);
        loop {
            if replaced.due(now, |_| now.0 < busy_ms) == [LINK] {
                assert_eq!(now, Time(expect_ms));
                assert_eq!(replaced.next_deadline(), None);
                return;
            }
            let next = replaced.next_deadline().expect("it is still to be closed");
            assert!(next > now);
            now = next;
        }
    }

    #[test]
    fn an_idle_connection_is_closed_at_once_and_a_busy_one_when_it_is_free() {
        check(0, 1_000);
        check(2_300, 2_500);
    }

    #[test]
    fn requests_without_end_do_not_keep_a_connection() {
        check(u64::MAX, 11_000);
    }

    #[test]
    fn what_is_closed_already_is_not_closed_again() {
        let mut replaced = Replaced::default();
        replaced.add(LINK, Time(0));
        replaced.add(LINK, Time(5_000));
        replaced.forget(LINK);
        assert_eq!(replaced.due(Time(60_000), |_| false), []);
    }
}
