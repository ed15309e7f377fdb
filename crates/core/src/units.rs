//! Units as types, so that a share is never taken for a count.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Basis points: hundredths of a percent, 0 to 10,000. Everything voted, signed or scored is
/// counted in them, since floats differ between targets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Bps(u16);

impl Bps {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The whole.
    pub const ONE: Self = Self(10_000);

    /// `value` basis points, at most [`Bps::ONE`].
    pub const fn new(value: u64) -> Self {
        if value > 10_000 { Self::ONE } else { Self(value as u16) }
    }

    /// `percent` hundredths.
    pub const fn percent(percent: u64) -> Self {
        Self::new(percent.saturating_mul(100))
    }

    /// `part / whole`, rounded down; zero when `whole` is zero.
    pub const fn ratio(part: u64, whole: u64) -> Self {
        if whole == 0 {
            return Self::ZERO;
        }
        let scaled = part as u128 * 10_000 / whole as u128;
        if scaled > 10_000 { Self::ONE } else { Self(scaled as u16) }
    }

    /// The basis points as a number.
    pub const fn get(self) -> u64 {
        self.0 as u64
    }

    /// `amount` scaled by this share, rounded down.
    pub const fn of(self, amount: u64) -> u64 {
        (amount as u128 * self.0 as u128 / 10_000) as u64
    }

    /// The share that is missing to the whole.
    pub const fn rest(self) -> Self {
        Self(10_000 - self.0)
    }
}

impl<'de> Deserialize<'de> for Bps {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = u64::deserialize(deserializer)?;
        if value > 10_000 {
            return Err(serde::de::Error::custom("a share is at most 10000 basis points"));
        }
        Ok(Self::new(value))
    }
}

impl fmt::Display for Bps {
    /// A percentage with as many decimals as needed: `70 %`, `12.5 %`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 100, self.0 % 100);
        match (rest, rest % 10) {
            (0, _) => write!(f, "{whole} %"),
            (_, 0) => write!(f, "{whole}.{} %", rest / 10),
            _ => write!(f, "{whole}.{rest:02} %"),
        }
    }
}
