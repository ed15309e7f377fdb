//! Dialling, and the socket with its callbacks.

use std::{
    cell::RefCell,
    collections::VecDeque,
    future::poll_fn,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures::{AsyncRead, AsyncWrite, FutureExt as _};
use futures_timer::Delay;
use js_sys::{ArrayBuffer, Uint8Array};
use libp2p_core::transport::{DialOpts, ListenerId, TransportError, TransportEvent};
use multiaddr::{Multiaddr, Protocol as Part};
use send_wrapper::SendWrapper;
use wasm_bindgen::{JsCast as _, closure::Closure};
use wasm_bindgen_futures::spawn_local;
use web_sys::{BinaryType, CloseEvent, Event, MessageEvent, WebSocket};

/// Bytes the browser may hold for sending before a writer has to wait.
const SEND_BYTES_MAX: u32 = 1024 * 1024;
/// Bytes in one message; a relay refuses messages above 1 MiB.
const MESSAGE_BYTES_MAX: usize = 256 * 1024;
/// Bytes received and not read. The interface cannot slow a sender down; one that sends more than
/// this ahead of us loses the connection.
const UNREAD_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How soon a writer that found the send buffer full looks again.
const DRAIN_POLL: Duration = Duration::from_millis(10);
/// How long a socket that was opened ahead waits to be dialled: longer than a slow store takes to open, and
/// shorter than a relay's patience with somebody who says nothing.
const AHEAD_KEPT: Duration = Duration::from_secs(5);
/// Sockets that may have been opened ahead: one for each of a few nodes that start in this page at once.
const AHEAD_MAX: usize = 4;

thread_local! {
    /// Sockets that [`open_ahead`] has begun to open, until they are dialled or have waited too long.
    static AHEAD: RefCell<Vec<(String, Socket)>> = const { RefCell::new(Vec::new()) };
}

/// Why a WebSocket did not open. Browsers say no more than this, on purpose.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DialError {
    /// The page may not even try.
    #[error("the browser does not allow {url} on this page: {why}")]
    Blocked {
        /// Where it would have led.
        url: String,
        /// The browser's words.
        why: String,
    },
    /// Nothing listens there, or it is no WebSocket, or its certificate is not trusted.
    #[error("{url} cannot be reached")]
    Unreachable {
        /// Where it would have led.
        url: String,
    },
}

/// Dials `/ws`, `/wss` and `/tls/ws` addresses.
#[derive(Clone, Copy, Debug, Default)]
pub struct Transport;

impl libp2p_core::Transport for Transport {
    type Output = Connection;
    type Error = DialError;
    type ListenerUpgrade = futures::future::Pending<Result<Connection, DialError>>;
    type Dial = Pin<Box<dyn Future<Output = Result<Connection, DialError>> + Send>>;

    fn listen_on(&mut self, _: ListenerId, addr: Multiaddr) -> Result<(), TransportError<DialError>> {
        Err(TransportError::MultiaddrNotSupported(addr))
    }

    fn remove_listener(&mut self, _: ListenerId) -> bool {
        false
    }

    fn dial(&mut self, addr: Multiaddr, opts: DialOpts) -> Result<Self::Dial, TransportError<DialError>> {
        match url_of(&addr) {
            Some(url) if opts.role.is_dialer() => Ok(Box::pin(SendWrapper::new(Connection::open(url)))),
            _ => Err(TransportError::MultiaddrNotSupported(addr)),
        }
    }

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<TransportEvent<Self::ListenerUpgrade, DialError>> {
        Poll::Pending
    }
}

/// Begin to open the WebSocket of an address that will be dialled in a moment. What a node does until it
/// dials, above all reading its key from the browser's storage, then takes place beside the handshake.
pub fn open_ahead(addr: &Multiaddr) {
    let Some(url) = url_of(addr) else { return };
    let full = AHEAD.with_borrow(|ahead| ahead.len() >= AHEAD_MAX || ahead.iter().any(|(other, _)| *other == url));
    // A page that may not open it learns so when it dials.
    let Some(socket) = (!full).then(|| Socket::open(&url).ok()).flatten() else { return };
    AHEAD.with_borrow_mut(|ahead| ahead.push((url.clone(), socket)));
    spawn_local(async move {
        Delay::new(AHEAD_KEPT).await;
        drop(take_ahead(&url));
    });
}

/// How many sockets wait to be dialled.
#[cfg(test)]
pub(super) fn ahead() -> usize {
    AHEAD.with_borrow(Vec::len)
}

/// The socket that was opened ahead for this URL. One that has failed meanwhile is not worth having: the dial
/// that asks for it makes its own attempt.
fn take_ahead(url: &str) -> Option<Socket> {
    let place = AHEAD.with_borrow(|ahead| ahead.iter().position(|(other, _)| other == url))?;
    let (_, socket) = AHEAD.with_borrow_mut(|ahead| ahead.swap_remove(place));
    let closed = socket.state.borrow().closed;
    (!closed).then_some(socket)
}

/// An open WebSocket.
pub struct Connection(SendWrapper<Socket>);

/// The socket with the callbacks it is attached to.
struct Socket {
    socket: WebSocket,
    state: Rc<RefCell<State>>,
    /// Set while a writer waits for room.
    drain: Option<Delay>,
    _on_open: Closure<dyn FnMut(Event)>,
    _on_message: Closure<dyn FnMut(MessageEvent)>,
    _on_error: Closure<dyn FnMut(Event)>,
    _on_close: Closure<dyn FnMut(CloseEvent)>,
}

/// What the callbacks have seen.
#[derive(Default)]
struct State {
    open: bool,
    closed: bool,
    unread: VecDeque<u8>,
    /// Whoever waits for any of it: at most a reader and the dialler or a writer.
    wakers: Vec<Waker>,
}

impl State {
    fn wake(&mut self) {
        self.wakers.drain(..).for_each(Waker::wake);
    }

    fn wait<T>(&mut self, cx: &Context<'_>) -> Poll<T> {
        if !self.wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
            self.wakers.push(cx.waker().clone());
        }
        Poll::Pending
    }
}

impl Connection {
    async fn open(url: String) -> Result<Self, DialError> {
        let socket = match take_ahead(&url) {
            Some(socket) => socket,
            None => Socket::open(&url).map_err(|why| DialError::Blocked { url: url.clone(), why })?,
        };
        let opened = poll_fn(|cx| {
            let mut state = socket.state.borrow_mut();
            match (state.closed, state.open) {
                (true, _) => Poll::Ready(false),
                (false, true) => Poll::Ready(true),
                (false, false) => state.wait(cx),
            }
        });
        if opened.await { Ok(Self(SendWrapper::new(socket))) } else { Err(DialError::Unreachable { url }) }
    }
}

impl Socket {
    /// Ask the browser for a socket. The error says why it refuses, if it says so.
    fn open(url: &str) -> Result<Self, String> {
        let socket = WebSocket::new(url).map_err(|error| {
            error.dyn_ref::<js_sys::Error>().map_or_else(String::new, |error| error.message().into())
        })?;
        Ok(Self::attach(socket))
    }

    fn attach(socket: WebSocket) -> Self {
        socket.set_binary_type(BinaryType::Arraybuffer);
        let state = Rc::new(RefCell::new(State::default()));
        let on_open = Closure::new({
            let state = state.clone();
            move |_: Event| {
                let mut state = state.borrow_mut();
                state.open = true;
                state.wake();
            }
        });
        let on_message = Closure::new({
            let (state, socket) = (state.clone(), socket.clone());
            move |event: MessageEvent| receive(&mut state.borrow_mut(), &socket, &event)
        });
        let on_error = Closure::new({
            let state = state.clone();
            move |_: Event| close(&mut state.borrow_mut())
        });
        let on_close = Closure::new({
            let state = state.clone();
            move |_: CloseEvent| close(&mut state.borrow_mut())
        });
        socket.set_onopen(Some(on_open.as_ref().unchecked_ref()));
        socket.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        socket.set_onerror(Some(on_error.as_ref().unchecked_ref()));
        socket.set_onclose(Some(on_close.as_ref().unchecked_ref()));
        Self {
            socket,
            state,
            drain: None,
            _on_open: on_open,
            _on_message: on_message,
            _on_error: on_error,
            _on_close: on_close,
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.state.borrow().closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        while self.socket.buffered_amount() >= SEND_BYTES_MAX {
            let drain = self.drain.get_or_insert_with(|| Delay::new(DRAIN_POLL));
            futures::ready!(drain.poll_unpin(cx));
            self.drain = None;
        }
        let message = &bytes[..bytes.len().min(MESSAGE_BYTES_MAX)];
        match self.socket.send_with_u8_array(message) {
            Ok(()) => Poll::Ready(Ok(message.len())),
            Err(_) => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut state = self.state.borrow_mut();
        if state.unread.is_empty() {
            return if state.closed { Poll::Ready(Ok(0)) } else { state.wait(cx) };
        }
        // Reading from a `VecDeque` takes what lies in one piece and cannot fail.
        Poll::Ready(io::Read::read(&mut state.unread, buffer))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // The callbacks go with this value; the browser must not call them after that.
        self.socket.set_onopen(None);
        self.socket.set_onmessage(None);
        self.socket.set_onerror(None);
        self.socket.set_onclose(None);
        // Closing a closed socket does nothing.
        let _ = self.socket.close();
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.0.poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// What was written before is still sent; the remote's answer is not waited for.
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let _ = self.0.socket.close();
        close(&mut self.0.state.borrow_mut());
        Poll::Ready(Ok(()))
    }
}

fn receive(state: &mut State, socket: &WebSocket, event: &MessageEvent) {
    let bytes = event.data().dyn_into::<ArrayBuffer>().map(|buffer| Uint8Array::new(&buffer));
    match bytes {
        Ok(bytes) if state.unread.len() + bytes.length() as usize <= UNREAD_BYTES_MAX => {
            state.unread.extend(bytes.to_vec());
        }
        // Text, or far more than was asked for: not a libp2p peer.
        _ => {
            let _ = socket.close();
            state.closed = true;
        }
    }
    state.wake();
}

fn close(state: &mut State) {
    state.closed = true;
    state.wake();
}

/// The URL of a WebSocket address; none if it is another kind.
pub(super) fn url_of(addr: &Multiaddr) -> Option<String> {
    let mut parts = addr.iter();
    let host = match parts.next()? {
        Part::Ip4(ip) => ip.to_string(),
        Part::Ip6(ip) => format!("[{ip}]"),
        Part::Dns(name) | Part::Dns4(name) | Part::Dns6(name) => name.into_owned(),
        _ => return None,
    };
    let Part::Tcp(port) = parts.next()? else { return None };
    let (scheme, path) = match parts.next()? {
        Part::Ws(path) => ("ws", path.into_owned()),
        Part::Wss(path) => ("wss", path.into_owned()),
        Part::Tls => match parts.next()? {
            Part::Ws(path) => ("wss", path.into_owned()),
            _ => return None,
        },
        _ => return None,
    };
    Some(format!("{scheme}://{host}:{port}{path}"))
}
