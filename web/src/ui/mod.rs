//! Small parts that every view uses.

mod copy;
mod dialog;
mod mark;
mod problem;
mod qr;
mod time;

pub use copy::{CopyButton, Id};
pub use dialog::{Confirm, Dialog};
pub use mark::{Mark, Meter, PathLine, PeerName, RELAY_OUTLINE, outline};
pub use problem::{Empty, ProblemBox};
pub use qr::Qr;
pub use time::{Ago, Clock};
