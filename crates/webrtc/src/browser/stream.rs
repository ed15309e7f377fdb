//! A stream: one data channel seen as bytes in and bytes out.

use std::{
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use futures::{AsyncRead, AsyncWrite};
use send_wrapper::SendWrapper;

use super::channel::Channel;

/// A stream of a [`Connection`](super::Connection).
///
/// Closing it closes this side's half; the remote may go on. Dropping it unclosed resets it, so that what is cut off
/// never looks complete; dropping it after closing still delivers what was written.
pub struct Stream {
    channel: SendWrapper<Rc<Channel>>,
    /// The rest of the last payload.
    rest: Bytes,
}

impl Stream {
    pub(super) fn new(channel: Rc<Channel>) -> Self {
        Self { channel: SendWrapper::new(channel), rest: Bytes::new() }
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        if self.rest.is_empty() {
            self.rest = ready!(self.channel.poll_payload(cx))?;
        }
        let mut count = 0;
        // As much as there is, so that a large buffer costs few calls.
        loop {
            let take = self.rest.len().min(buf.len() - count);
            self.rest.copy_to_slice(&mut buf[count..count + take]);
            count += take;
            if count == buf.len() || take == 0 {
                return Poll::Ready(Ok(count));
            }
            match self.channel.poll_payload(cx) {
                Poll::Ready(Ok(payload)) if !payload.is_empty() => self.rest = payload,
                // An end or error shows again in the next call.
                _ => return Poll::Ready(Ok(count)),
            }
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        if data.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.channel.poll_send(cx, data)
    }

    /// Nothing is held back: each write is handed to the browser.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.channel.poll_close(cx)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.channel.drop_stream();
    }
}
