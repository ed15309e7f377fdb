//! The same names on both platforms: tasks, timers, transports, storage.
//!
//! This folder is the only place of the crate that asks which platform it is built for. Everything
//! else calls `platform::…` and never knows.

#[cfg(target_arch = "wasm32")]
mod browser;
#[cfg(not(target_arch = "wasm32"))]
mod native;

#[cfg(target_arch = "wasm32")]
pub(crate) use browser::*;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use native::*;

/// What users of the crate see of the platform.
#[cfg(target_arch = "wasm32")]
pub(crate) mod exports {
    pub use super::browser::{BoxFuture, BoxStream, MaybeSend, Shareable};
}

/// What users of the crate see of the platform.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) mod exports {
    pub use super::native::{BoxFuture, BoxStream, MaybeSend, RelayStats, Shareable};
}
