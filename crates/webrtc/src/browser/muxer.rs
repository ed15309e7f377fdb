//! A peer connection that stands, as a libp2p stream muxer: one data channel a stream.

use std::{
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use futures::FutureExt as _;
use futures_timer::Delay;
use libp2p_core::muxing::{StreamMuxer, StreamMuxerEvent};
use send_wrapper::SendWrapper;

use super::{
    Stream,
    hub::{Awaiting, Hub},
};
use crate::{Error, LINGER_MAX};

/// How often a closing connection looks whether everything was sent.
const DRAIN_STEP: Duration = Duration::from_millis(20);
/// How often it looks before it closes anyway: a second in all.
const DRAIN_STEPS: u32 = 50;

/// A WebRTC connection. Dropping it closes it at once; closing it sends first what was written.
pub struct Connection {
    hub: SendWrapper<Rc<Hub>>,
    /// When to give up on what lingers.
    sweep: Option<Delay>,
    drain: Option<Drain>,
}

/// Waiting for unsent bytes before the end.
struct Drain {
    step: Delay,
    left: u32,
}

impl Connection {
    pub(super) fn new(hub: Rc<Hub>) -> Self {
        Self { hub: SendWrapper::new(hub), sweep: None, drain: None }
    }

    fn check(&self) -> Result<(), Error> {
        self.hub.end().map_or(Ok(()), Err)
    }
}

impl StreamMuxer for Connection {
    type Substream = Stream;
    type Error = Error;

    fn poll_inbound(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Stream, Error>> {
        self.check()?;
        if let Some(channel) = self.hub.next_inbound() {
            return Poll::Ready(Ok(Stream::new(channel)));
        }
        self.hub.wait(Awaiting::Inbound, cx.waker());
        Poll::Pending
    }

    fn poll_outbound(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Stream, Error>> {
        self.check()?;
        if !self.hub.has_room() {
            self.hub.wait(Awaiting::Outbound, cx.waker());
            return Poll::Pending;
        }
        Poll::Ready(self.hub.open_channel(None).map(Stream::new))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        loop {
            if self.hub.end().is_some() {
                return Poll::Ready(Ok(()));
            }
            let queued = self.hub.queued();
            match &mut self.drain {
                None if queued > 0 => self.drain = Some(Drain { step: Delay::new(DRAIN_STEP), left: DRAIN_STEPS }),
                Some(drain) if drain.left > 0 => {
                    futures::ready!(drain.step.poll_unpin(cx));
                    // One more step once nothing is queued, so that the last packets leave.
                    drain.left = if queued == 0 { 0 } else { drain.left - 1 };
                    drain.step.reset(DRAIN_STEP);
                }
                _ => self.hub.close(Error::Closed),
            }
        }
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<StreamMuxerEvent, Error>> {
        self.check()?;
        self.hub.wait(Awaiting::Other, cx.waker());
        while self.sweep.is_some() || self.hub.has_lingering() {
            let sweep = self.sweep.get_or_insert_with(|| Delay::new(LINGER_MAX));
            futures::ready!(sweep.poll_unpin(cx));
            self.sweep = None;
            self.hub.sweep();
        }
        Poll::Pending
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.hub.close(Error::Closed);
    }
}
