//! The one error of this tool: a line that says what went wrong and what to do.

use std::fmt;

/// A command could not do its work. Nobody matches on the reason; a person reads it.
#[derive(Debug)]
pub struct Fail(pub String);

pub type Result<T> = std::result::Result<T, Fail>;

impl fmt::Display for Fail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A [`Fail`] from a format string.
macro_rules! fail {
    ($($part:tt)*) => { Fail(format!($($part)*)) };
}
pub(crate) use fail;

/// Says what was being done when an error of the standard library came up.
pub trait Doing<T> {
    /// `what` continues "cannot …".
    fn doing(self, what: impl fmt::Display) -> Result<T>;
}

impl<T, E: fmt::Display> Doing<T> for std::result::Result<T, E> {
    fn doing(self, what: impl fmt::Display) -> Result<T> {
        self.map_err(|err| fail!("cannot {what}: {err}"))
    }
}
