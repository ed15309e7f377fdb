//! The addresses at which relays take connections for us. The behaviour hears of them, the transport announces what
//! follows from them; this is how the one tells the other. It holds the present state instead of changes, so that
//! nothing can pile up or get lost on the way.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Context;

use futures::task::AtomicWaker;
use libp2p_core::Multiaddr;
use libp2p_core::transport::ListenerId;

/// A peer has reservations with a few relays, each with a few addresses. Relays name them, so there is a limit.
const CIRCUITS_MAX: usize = 64;

/// Clones share the state.
#[derive(Clone, Default)]
pub(crate) struct Circuits(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    transport: AtomicWaker,
}

#[derive(Default)]
struct State {
    /// With the listener it came from: while a reservation is replaced, two of them have the same address.
    addresses: Vec<(ListenerId, Multiaddr)>,
    is_changed: bool,
}

impl Circuits {
    pub(crate) fn add(&self, listener: ListenerId, address: Multiaddr) {
        let mut state = self.state();
        let entry = (listener, address);
        if state.addresses.len() < CIRCUITS_MAX && !state.addresses.contains(&entry) {
            state.addresses.push(entry);
            state.is_changed = true;
            self.0.transport.wake();
        }
    }

    pub(crate) fn remove(&self, listener: ListenerId, address: &Multiaddr) {
        let mut state = self.state();
        state.addresses.retain(|(from, known)| *from != listener || known != address);
        state.is_changed = true;
        self.0.transport.wake();
    }

    /// Hands the present addresses out although nothing changed: there is a new listener.
    pub(crate) fn renew(&self) {
        self.state().is_changed = true;
        self.wake();
    }

    /// Has the transport polled.
    pub(crate) fn wake(&self) {
        self.0.transport.wake();
    }

    /// All present addresses, each once, if they changed since the last time. Registers for the next change.
    pub(crate) fn poll_changed(&self, cx: &Context<'_>) -> Option<Vec<Multiaddr>> {
        self.0.transport.register(cx.waker());
        let mut state = self.state();
        if !std::mem::take(&mut state.is_changed) {
            return None;
        }
        let mut addresses: Vec<Multiaddr> = Vec::new();
        for (_, address) in &state.addresses {
            if !addresses.contains(address) {
                addresses.push(address.clone());
            }
        }
        Some(addresses)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
