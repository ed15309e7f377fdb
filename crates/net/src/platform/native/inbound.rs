//! A transport whose inbound handshakes pass through somebody's hands: who is let in, and for how long.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use futures::{FutureExt as _, future::BoxFuture};
use libp2p::{
    Multiaddr, Transport,
    core::transport::{Boxed, DialOpts, ListenerId, TransportError, TransportEvent},
};

/// A handshake under way. It has not begun before it is first polled.
pub(crate) type Handshake<O> = BoxFuture<'static, io::Result<O>>;

/// A transport with a doorkeeper.
pub(crate) struct Inbound<O> {
    inner: Boxed<O>,
    admit: Box<dyn FnMut(Handshake<O>) -> Handshake<O> + Send>,
}

impl<O> Inbound<O> {
    /// `admit` gets each inbound handshake before it begins, and gives what happens instead.
    pub(crate) fn new(inner: Boxed<O>, admit: impl FnMut(Handshake<O>) -> Handshake<O> + Send + 'static) -> Self {
        Self { inner, admit: Box::new(admit) }
    }
}

impl<O: Send + 'static> Transport for Inbound<O> {
    type Output = O;
    type Error = io::Error;
    type ListenerUpgrade = Handshake<O>;
    type Dial = <Boxed<O> as Transport>::Dial;

    fn listen_on(&mut self, id: ListenerId, addr: Multiaddr) -> Result<(), TransportError<io::Error>> {
        self.inner.listen_on(id, addr)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.inner.remove_listener(id)
    }

    fn dial(&mut self, addr: Multiaddr, opts: DialOpts) -> Result<Self::Dial, TransportError<io::Error>> {
        self.inner.dial(addr, opts)
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        let Self { inner, admit } = &mut *self;
        Pin::new(inner).poll(cx).map(|event| event.map_upgrade(|handshake| admit(handshake.boxed())))
    }
}
