//! Browsers: promises, IndexedDB, Web Locks, WebSocket and WebRTC.
//!
//! There is one thread and it is the page's, so nothing here blocks and nothing need be `Send`.

mod absent;
mod slot;
mod store;
#[cfg(test)]
mod tests;
mod transport;

use std::{future::Future, num::NonZeroU8, pin::Pin, rc::Rc, time::Duration};

use libp2p::{PeerId, swarm};
use mycomesh_core::wire::TaskId;
pub(crate) use mycomesh_websocket::open_ahead;

pub(crate) use absent::{
    Extras, LocalDiscovery, Metrics, ServerBehaviour, check_listen, discovered, local_discovery, relay_server,
};
pub(crate) use store::{StoreWriter, open_store, replace_identity};
pub(crate) use transport::{Network, WebrtcBehaviour, can_dial, network, webrtc};

/// A future the node may hold: there is one thread, so it need not be `Send`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;
/// A stream the owner may hold: there is one thread, so it need not be `Send`.
pub type BoxStream<'a, T> = Pin<Box<dyn futures::Stream<Item = T> + 'a>>;

/// `Send` natively, nothing in a browser.
pub trait MaybeSend {}
impl<T> MaybeSend for T {}

/// `Send + Sync` natively, nothing in a browser.
pub trait Shareable {}
impl<T> Shareable for T {}

/// A counted pointer between the handle and the driver.
pub(crate) use std::rc::Rc as Shared;

/// Addresses of one peer dialled at a time. One, in the order given: a connection attempt that loses
/// the race costs the page an `RTCPeerConnection`, of which it has about 500.
pub(crate) const DIALS_AT_ONCE: NonZeroU8 = NonZeroU8::MIN;

/// What runs for a skill.
pub(crate) type Job = Rc<dyn Fn(TaskId, PeerId, String) -> BoxFuture<'static, Result<String, String>>>;

/// Make a [`Job`] of a closure.
pub(crate) fn job<F>(job: F) -> Job
where
    F: Fn(TaskId, PeerId, String) -> BoxFuture<'static, Result<String, String>> + 'static,
{
    Rc::new(job)
}

/// Wait. Browsers count in 31 bits of milliseconds; a longer wait ends early, and the driver then
/// sets its timer again.
pub(crate) fn sleep(span: Duration) -> BoxFuture<'static, ()> {
    let millis = u32::try_from(span.as_millis()).unwrap_or(u32::MAX).min(i32::MAX as u32);
    Box::pin(gloo_timers::future::TimeoutFuture::new(millis))
}

/// Run beside everything else.
pub(crate) fn spawn(task: BoxFuture<'static, ()>) {
    wasm_bindgen_futures::spawn_local(task);
}

/// The swarm's connections run as promises.
pub(crate) fn swarm_config() -> swarm::Config {
    swarm::Config::with_wasm_executor()
}
