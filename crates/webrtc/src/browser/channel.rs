//! One data channel: its callbacks, its buffer, the state of both halves.

use std::{
    cell::RefCell,
    collections::VecDeque,
    io,
    rc::{Rc, Weak},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use wasm_bindgen::prelude::*;
use web_sys::{MessageEvent, RtcDataChannel, RtcDataChannelState, RtcDataChannelType};

use super::{
    count,
    hub::{Hub, wake},
};
use crate::{
    Error,
    frame::{self, Decoder, Flag, Frame},
    half_close::{HalfClose, Reading, Writing},
};

/// Above this many unsent bytes a writer waits. Browsers fail above 16 MiB; this much keeps the wire busy while the
/// page's thread does something else.
const QUEUE_HIGH: usize = 1024 * 1024;
/// Below this many it goes on. Not zero, so that the wire does not run dry meanwhile.
const QUEUE_LOW: u32 = 256 * 1024;

/// A data channel. It lives as long as its stream or its farewell takes, whichever is longer.
pub(super) struct Channel {
    id: u64,
    dc: RtcDataChannel,
    hub: Weak<Hub>,
    state: RefCell<State>,
}

struct State {
    halves: HalfClose,
    decoder: Decoder,
    unread: VecDeque<Bytes>,
    unread_bytes: usize,
    /// Unsent bytes as last known, and what was sent since.
    queued: usize,
    is_open: bool,
    /// What is to be said once it is open. Browsers may deliver messages before that; at most one answer to each kind
    /// of flag is due.
    unsaid: Vec<Flag>,
    /// Why it was lost, if this side knows.
    failure: Option<String>,
    reader: Option<Waker>,
    writer: Option<Waker>,
    callbacks: Option<Callbacks>,
    /// Frames are put together here.
    scratch: Vec<u8>,
}

struct Callbacks {
    message: Closure<dyn Fn(MessageEvent)>,
    change: Closure<dyn Fn()>,
}

impl Channel {
    /// Take a channel over. Nothing is missed if this happens in the event that brought it.
    pub(super) fn adopt(id: u64, dc: RtcDataChannel, hub: Weak<Hub>) -> Rc<Self> {
        count(|stats| stats.channels += 1);
        dc.set_binary_type(RtcDataChannelType::Arraybuffer);
        dc.set_buffered_amount_low_threshold(QUEUE_LOW);
        let is_open = dc.ready_state() == RtcDataChannelState::Open;
        let channel = Rc::new(Self {
            id,
            dc,
            hub,
            state: RefCell::new(State {
                halves: HalfClose::default(),
                decoder: Decoder::default(),
                unread: VecDeque::new(),
                unread_bytes: 0,
                queued: 0,
                is_open,
                unsaid: Vec::new(),
                failure: None,
                reader: None,
                writer: None,
                callbacks: None,
                scratch: Vec::new(),
            }),
        });
        channel.listen();
        channel
    }

    fn listen(self: &Rc<Self>) {
        let weak = Rc::downgrade(self);
        let message = Closure::<dyn Fn(MessageEvent)>::new(move |event: MessageEvent| {
            if let Some(channel) = weak.upgrade() {
                channel.on_message(&event.data());
            }
        });
        let weak = Rc::downgrade(self);
        let change = Closure::<dyn Fn()>::new(move || {
            if let Some(channel) = weak.upgrade() {
                channel.on_change();
            }
        });
        let looks = Some(change.as_ref().unchecked_ref());
        self.dc.set_onmessage(Some(message.as_ref().unchecked_ref()));
        self.dc.set_onopen(looks);
        self.dc.set_onclose(looks);
        self.dc.set_onbufferedamountlow(looks);
        self.state.borrow_mut().callbacks = Some(Callbacks { message, change });
    }

    // --- what the browser says ---------------------------------------------------------------

    fn on_message(&self, data: &JsValue) {
        let Some(hub) = self.hub.upgrade() else { return };
        let Some(buffer) = data.dyn_ref::<js_sys::ArrayBuffer>() else {
            return self.fail("the remote sent text, where only bytes belong");
        };
        let message = Bytes::from(js_sys::Uint8Array::new(buffer).to_vec());
        let mut flags = Vec::new();
        let (reader, writer, failure) = {
            let mut state = self.state.borrow_mut();
            let state = &mut *state;
            let (halves, unread, unread_bytes) = (&mut state.halves, &mut state.unread, &mut state.unread_bytes);
            let result = state.decoder.push(message, hub.frame_bytes_max(), |Frame { flag, message }| {
                if let Some(payload) = message.filter(|payload| !payload.is_empty() && halves.takes_data()) {
                    *unread_bytes += payload.len();
                    unread.push_back(payload);
                }
                if let Some(flag) = flag.and_then(|flag| Flag::try_from(flag).ok()) {
                    flags.extend(halves.on_flag(flag));
                }
            });
            let failure = match result {
                Err(malformed) => Some(malformed.to_string()),
                Ok(()) if *unread_bytes > hub.receive_bytes_max() => {
                    Some(format!("more than {} bytes came in and were not read", hub.receive_bytes_max()))
                }
                Ok(()) => None,
            };
            (state.reader.take(), state.writer.take(), failure)
        };
        if let Some(failure) = failure {
            wake(reader);
            wake(writer);
            return self.fail(&failure);
        }
        for flag in flags {
            self.say(flag);
        }
        self.finish_if_over();
        wake(reader);
        wake(writer);
    }

    /// Opened, closed, or drained.
    fn on_change(&self) {
        let (reader, writer, unsaid) = {
            let mut state = self.state.borrow_mut();
            match self.dc.ready_state() {
                RtcDataChannelState::Open => state.is_open = true,
                RtcDataChannelState::Closed => {
                    state.is_open = false;
                    state.halves.channel_closed();
                }
                _ => {}
            }
            state.queued = self.dc.buffered_amount() as usize;
            let reader = if state.halves.reading() == Reading::MayCome { None } else { state.reader.take() };
            let unsaid = if state.is_open { std::mem::take(&mut state.unsaid) } else { Vec::new() };
            (reader, state.writer.take(), unsaid)
        };
        for flag in unsaid {
            self.say(flag);
        }
        self.finish_if_over();
        wake(reader);
        wake(writer);
    }

    /// The peer connection is gone, and has forgotten this channel.
    pub(super) fn connection_ended(&self) {
        let (reader, writer) = {
            let mut state = self.state.borrow_mut();
            state.halves.lose();
            state.is_open = false;
            (state.reader.take(), state.writer.take())
        };
        self.let_go();
        wake(reader);
        wake(writer);
    }

    // --- what the owner does -----------------------------------------------------------------

    /// The next payload; empty at the end.
    pub(super) fn poll_payload(&self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        let mut state = self.state.borrow_mut();
        if let Some(payload) = state.unread.pop_front() {
            state.unread_bytes -= payload.len();
            return Poll::Ready(Ok(payload));
        }
        match state.halves.reading() {
            Reading::MayCome => {
                state.reader = Some(cx.waker().clone());
                Poll::Pending
            }
            Reading::End => Poll::Ready(Ok(Bytes::new())),
            Reading::Lost => Poll::Ready(Err(lost(&state))),
        }
    }

    /// Send some of `data`.
    pub(super) fn poll_send(&self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let Some(hub) = self.hub.upgrade() else { return Poll::Ready(Err(Error::Closed.into())) };
        let mut state = self.state.borrow_mut();
        match state.halves.writing() {
            Writing::Open => {}
            Writing::Closed => return Poll::Ready(Err(broken("this side has closed the stream"))),
            Writing::Stopped => return Poll::Ready(Err(broken("the remote does not read any more"))),
            Writing::Lost => return Poll::Ready(Err(lost(&state))),
        }
        if state.is_open && state.queued >= QUEUE_HIGH {
            state.queued = self.dc.buffered_amount() as usize;
        }
        if !state.is_open || state.queued >= QUEUE_HIGH {
            state.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let payload = &data[..data.len().min(frame::payload_max(hub.frame_bytes_max()))];
        let state = &mut *state;
        state.scratch.clear();
        frame::put_data(Bytes::copy_from_slice(payload), &mut state.scratch);
        if let Err(thrown) = self.dc.send_with_u8_array(&state.scratch) {
            // It closed meanwhile; its event comes.
            state.failure = Some(super::js::message(&thrown));
            state.halves.lose();
            return Poll::Ready(Err(lost(state)));
        }
        state.queued += state.scratch.len();
        Poll::Ready(Ok(payload.len()))
    }

    /// Close this side's half. Done when the remote was told; whether it heard shows later.
    pub(super) fn poll_close(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flag = {
            let mut state = self.state.borrow_mut();
            match state.halves.writing() {
                Writing::Closed | Writing::Stopped => return Poll::Ready(Ok(())),
                Writing::Lost => return Poll::Ready(Err(lost(&state))),
                Writing::Open if !state.is_open => {
                    state.writer = Some(cx.waker().clone());
                    return Poll::Pending;
                }
                Writing::Open => state.halves.close_write(),
            }
        };
        if let Some(flag) = flag {
            self.say(flag);
        }
        self.finish_if_over();
        Poll::Ready(Ok(()))
    }

    /// The owner has dropped the stream.
    pub(super) fn drop_stream(&self) {
        let flag = {
            let mut state = self.state.borrow_mut();
            (state.reader, state.writer) = (None, None);
            state.unread.clear();
            state.unread_bytes = 0;
            state.halves.drop_stream()
        };
        if let Some(flag) = flag {
            self.say(flag);
        }
        if !self.finish_if_over()
            && let Some(hub) = self.hub.upgrade()
        {
            hub.linger(self.id);
        }
    }

    /// It has lingered for too long.
    pub(super) fn give_up(&self) {
        self.state.borrow_mut().halves.lose();
        self.finish_if_over();
    }

    /// Unsent bytes.
    pub(super) fn queued(&self) -> usize {
        if self.state.borrow().is_open { self.dc.buffered_amount() as usize } else { 0 }
    }

    // --- the end -----------------------------------------------------------------------------

    /// End the stream because of what the remote did. Only this stream: others go on.
    fn fail(&self, why: &str) {
        tracing::debug!("a stream is reset: {why}");
        {
            let mut state = self.state.borrow_mut();
            state.failure = Some(why.to_owned());
            state.unread.clear();
            state.unread_bytes = 0;
            state.halves.lose();
        }
        self.say(Flag::Reset);
        self.finish_if_over();
    }

    fn say(&self, flag: Flag) {
        let mut state = self.state.borrow_mut();
        if !state.is_open {
            let may_open = self.dc.ready_state() == RtcDataChannelState::Connecting;
            if may_open && !state.unsaid.contains(&flag) {
                state.unsaid.push(flag);
            }
            return;
        }
        let state = &mut *state;
        state.scratch.clear();
        frame::put_flag(flag, &mut state.scratch);
        if let Err(thrown) = self.dc.send_with_u8_array(&state.scratch) {
            tracing::debug!("{flag:?} could not be sent: {}", super::js::message(&thrown));
        }
    }

    fn finish_if_over(&self) -> bool {
        if !self.state.borrow().halves.is_over() {
            return false;
        }
        // What was sent is delivered before the channel closes.
        self.dc.close();
        self.let_go();
        if let Some(hub) = self.hub.upgrade() {
            hub.forget(self.id);
        }
        true
    }

    /// Unset the callbacks, then drop them.
    fn let_go(&self) {
        let callbacks = self.state.borrow_mut().callbacks.take();
        if let Some(Callbacks { message, change }) = callbacks {
            self.dc.set_onmessage(None);
            self.dc.set_onopen(None);
            self.dc.set_onclose(None);
            self.dc.set_onbufferedamountlow(None);
            drop((message, change));
            count(|stats| stats.channels -= 1);
        }
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.let_go();
    }
}

fn lost(state: &State) -> io::Error {
    let why = state.failure.as_deref().unwrap_or("the stream was reset or its connection ended");
    io::Error::new(io::ErrorKind::ConnectionReset, why)
}

fn broken(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, why)
}
