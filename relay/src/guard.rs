//! An HTTP port that nobody can keep others from: it holds so many connections and no more, and ends the one that was idle
//! for longest when a newcomer needs its place.
//!
//! A stranger may open connections and never ask for anything. What an honest visitor is being sent moves on and is
//! therefore never the one idle for longest while there are such strangers.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker, ready},
};

use axum::serve::Listener;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
};

/// Connections of one port at a time. A page needs six for some seconds; a connection costs a socket and some 20 KiB, so
/// that all of them together cost 10 MiB.
const CONNECTIONS_MAX: usize = 512;

/// The port.
pub struct Guarded<L = TcpListener> {
    inner: L,
    held: Held,
}

/// One connection, until it ends or is ended.
pub struct Connection<S = TcpStream> {
    inner: S,
    held: Held,
    number: u64,
}

#[derive(Clone, Default)]
struct Held(Arc<Mutex<Connections>>);

/// Every connection by its number.
#[derive(Default)]
struct Connections {
    live: BTreeMap<u64, Live>,
    /// Given out as numbers, and as the order in which connections moved.
    last: u64,
}

#[derive(Default)]
struct Live {
    /// When it last sent something, as a number that grows; when it came, before that.
    moved: u64,
    /// Who waits for it to be readable, and so must hear of its end.
    waiting: Option<Waker>,
}

impl Guarded {
    /// Guard `listener`.
    pub fn new(listener: TcpListener) -> Self {
        Self { inner: listener, held: Held::default() }
    }
}

impl Listener for Guarded {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let (stream, addr) = Listener::accept(&mut self.inner).await;
        (self.held.admit(stream), addr)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

impl Held {
    fn lock(&self) -> MutexGuard<'_, Connections> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn admit<S>(&self, inner: S) -> Connection<S> {
        let mut connections = self.lock();
        if connections.live.len() >= CONNECTIONS_MAX {
            connections.end_idlest();
        }
        let number = connections.next();
        connections.live.insert(number, Live { moved: number, waiting: None });
        Connection { inner, held: self.clone(), number }
    }
}

impl Connections {
    fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    fn end_idlest(&mut self) {
        let idlest = self.live.iter().min_by_key(|(_, live)| live.moved).map(|(number, _)| *number);
        if let Some(waiting) = idlest.and_then(|number| self.live.remove(&number)?.waiting) {
            waiting.wake();
        }
    }
}

impl<S> Connection<S> {
    /// Its entry with everybody's; an error once it was ended.
    fn live<T>(&self, then: impl FnOnce(&mut Live, u64) -> T) -> io::Result<T> {
        let mut connections = self.held.lock();
        let now = connections.next();
        match connections.live.get_mut(&self.number) {
            Some(live) => Ok(then(live, now)),
            None => Err(io::Error::new(io::ErrorKind::ConnectionAborted, "a newer connection needed its place")),
        }
    }
}

impl<S> Drop for Connection<S> {
    fn drop(&mut self) {
        self.held.lock().live.remove(&self.number);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Connection<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.live(|live, _| live.waiting = Some(cx.waker().clone()))?;
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let count = ready!(Pin::new(&mut self.inner).poll_write(cx, buf))?;
        self.live(|live, now| live.moved = now)?;
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;

    fn connect(held: &Held) -> (Connection<DuplexStream>, DuplexStream) {
        let (ours, theirs) = duplex(64);
        (held.admit(ours), theirs)
    }

    #[tokio::test]
    async fn a_newcomer_takes_the_place_of_the_one_idle_for_longest() {
        let held = Held::default();
        let (mut visitor, mut browser) = connect(&held);
        let (mut idle, _silent) = connect(&held);
        let rest: Vec<_> = (2..CONNECTIONS_MAX).map(|_| connect(&held)).collect();
        visitor.write_all(b"an answer").await.expect("it is served");

        // It waits for a request while it is ended.
        let waiting = tokio::spawn(async move { idle.read_u8().await });
        tokio::task::yield_now().await;
        let (_newcomer, _) = connect(&held);
        assert_eq!(waiting.await.expect("no panic").expect_err("ended").kind(), io::ErrorKind::ConnectionAborted);
        assert_eq!(held.lock().live.len(), CONNECTIONS_MAX);

        browser.write_u8(7).await.expect("it is still there");
        assert_eq!(visitor.read_u8().await.expect("who was served stays"), 7);
        drop((visitor, rest));
        assert_eq!(held.lock().live.len(), 1, "places come back");
    }
}
