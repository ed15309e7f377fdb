//! Three kinds of time that must never be mixed.
//!
//! [`Time`] is this node's own monotonic clock: deadlines and freshness run on it. [`UnixMillis`] is
//! a claim that somebody wrote into a message. [`Millis`] is a span. [`Now`] is what the driver
//! hands in with every input, because core has no clock of its own.

use std::ops::{Add, Sub};

use serde::{Deserialize, Serialize};

/// A point on this node's monotonic clock, in milliseconds since the node started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub u64);

/// A span in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub u64);

/// Milliseconds since 1970-01-01 UTC, as claimed by whoever wrote it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixMillis(pub u64);

/// Both clocks at one instant, read by the driver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Monotonic; never goes back.
    pub mono: Time,
    /// This node's wall clock; may jump.
    pub unix: UnixMillis,
}

impl Millis {
    /// A span of `seconds`.
    pub const fn secs(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1_000))
    }

    /// The longer of the two spans.
    pub fn max(self, other: Self) -> Self {
        Self(self.0.max(other.0))
    }

    /// The shorter of the two spans.
    pub fn min(self, other: Self) -> Self {
        Self(self.0.min(other.0))
    }

    /// This span `factor` times.
    pub const fn times(self, factor: u64) -> Self {
        Self(self.0.saturating_mul(factor))
    }
}

impl Time {
    /// The span since `earlier`; zero when `earlier` lies ahead.
    pub const fn since(self, earlier: Self) -> Millis {
        Millis(self.0.saturating_sub(earlier.0))
    }
}

impl UnixMillis {
    /// The span since `earlier`; zero when `earlier` lies ahead.
    pub const fn since(self, earlier: Self) -> Millis {
        Millis(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Millis> for Time {
    type Output = Self;
    fn add(self, span: Millis) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl Add<Millis> for UnixMillis {
    type Output = Self;
    fn add(self, span: Millis) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl Sub<Millis> for UnixMillis {
    type Output = Self;
    fn sub(self, span: Millis) -> Self {
        Self(self.0.saturating_sub(span.0))
    }
}
