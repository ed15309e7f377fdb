//! The two clocks core is told about. On both platforms they come from `web-time`: std's clocks
//! panic in a browser.

use std::time::Duration;

use mycomesh_core::time::{Millis, Now, Time, UnixMillis};
use web_time::{Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since this clock was made, and the wall clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    started: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { started: Instant::now() }
    }

    pub(crate) fn now(&self) -> Now {
        let mono = Time(whole_millis(self.started.elapsed()));
        // A wall clock before 1970 is a dead battery; zero makes core say that the clock is off.
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { mono, unix: UnixMillis(whole_millis(unix)) }
    }
}

/// How long to sleep to reach `deadline`. One more millisecond, since [`Clock::now`] rounds down and
/// a timer that fires a fraction early would only be set again.
pub(crate) fn until(deadline: Time, now: Time) -> Duration {
    match deadline.since(now) {
        Millis(0) => Duration::ZERO,
        Millis(millis) => Duration::from_millis(millis.saturating_add(1)),
    }
}

fn whole_millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
