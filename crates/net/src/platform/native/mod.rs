//! Linux, macOS, Windows: tokio, redb, every libp2p transport.

mod half_open;
mod inbound;
mod metrics;
mod relay;
mod store;
#[cfg(test)]
mod tests;
mod transport;
mod webrtc_attempts;

use std::{future::Future, num::NonZeroU8, pin::Pin, sync::Arc, time::Duration};

use libp2p::{Multiaddr, PeerId, swarm};
use mycomesh_core::wire::TaskId;

pub use metrics::RelayStats;
pub(crate) use metrics::{Extras, Metrics};
pub(crate) use relay::{LocalDiscovery, ServerBehaviour, discovered, local_discovery, relay_server};
pub(crate) use store::{StoreWriter, open_store, replace_identity};
pub(crate) use transport::{Network, WebrtcBehaviour, can_dial, check_listen, network, webrtc};

/// A future the node may hold: `Send` natively.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
/// A stream the owner may hold: `Send` natively.
pub type BoxStream<'a, T> = Pin<Box<dyn futures::Stream<Item = T> + Send + 'a>>;

/// `Send` natively, nothing in a browser.
pub trait MaybeSend: Send {}
impl<T: Send> MaybeSend for T {}

/// `Send + Sync` natively, nothing in a browser.
pub trait Shareable: Send + Sync {}
impl<T: Send + Sync> Shareable for T {}

/// A counted pointer between the handle and the driver.
pub(crate) use std::sync::Arc as Shared;

/// Addresses of one peer dialled at a time. A dead one hangs for seconds, and a few sockets more cost
/// nothing; the best addresses still start first.
pub(crate) const DIALS_AT_ONCE: NonZeroU8 = NonZeroU8::new(4).expect("not zero");

/// What runs for a skill.
pub(crate) type Job = Arc<dyn Fn(TaskId, PeerId, String) -> BoxFuture<'static, Result<String, String>> + Send + Sync>;

/// Make a [`Job`] of a closure.
pub(crate) fn job<F>(job: F) -> Job
where
    F: Fn(TaskId, PeerId, String) -> BoxFuture<'static, Result<String, String>> + Shareable + 'static,
{
    Arc::new(job)
}

/// Wait.
pub(crate) fn sleep(span: Duration) -> BoxFuture<'static, ()> {
    Box::pin(tokio::time::sleep(span))
}

/// Run beside everything else.
pub(crate) fn spawn(task: BoxFuture<'static, ()>) {
    tokio::spawn(task);
}

/// Nothing is gained by connecting before the dial: a file is read sooner than anybody answers.
pub(crate) fn open_ahead(_: &Multiaddr) {}

/// The swarm's connections run as tokio tasks.
pub(crate) fn swarm_config() -> swarm::Config {
    swarm::Config::with_tokio_executor()
}
