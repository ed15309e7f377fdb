//! One peer connection: its callbacks, its channels, what it has to say.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, VecDeque},
    rc::{Rc, Weak},
    task::Waker,
    time::Duration,
};

use futures::{
    FutureExt as _,
    future::{AbortHandle, Abortable},
};
use futures_timer::Delay;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;
use web_sys::{
    RtcConfiguration, RtcDataChannel, RtcDataChannelEvent, RtcDataChannelInit, RtcDataChannelState,
    RtcIceGatheringState, RtcIceServer, RtcPeerConnection, RtcPeerConnectionIceEvent, RtcPeerConnectionState,
    RtcSdpType,
};

use super::{channel::Channel, count, js};
use crate::{Config, Error, Event, FRAME_BYTES, IceServer, STREAMS_MAX, STREAMS_WAITING_MAX};

/// Label of the channel that only exists so that an offer mentions data channels.
pub(super) const INIT_LABEL: &str = "init";

/// How long a given-up attempt may look for candidates. A STUN server that does not answer takes Chromium about ten seconds.
const GATHERING_MAX: Duration = Duration::from_secs(12);
/// How often one looks whether it has them; nobody waits for it.
const GATHERING_LOOK: Duration = Duration::from_millis(50);

/// A peer connection. Whoever is done with it calls [`Hub::close`].
pub(super) struct Hub {
    pub(super) pc: RtcPeerConnection,
    receive_bytes_max: usize,
    frame_bytes_max: Cell<usize>,
    /// Whether the browser was told to look for candidates.
    gathers: Cell<bool>,
    state: RefCell<State>,
    callbacks: RefCell<Option<Callbacks>>,
}

#[derive(Default)]
struct State {
    /// Why it has ended.
    end: Option<Error>,
    channels: BTreeMap<u64, Rc<Channel>>,
    last_channel: u64,
    /// Opened by the remote and not taken yet.
    inbound: VecDeque<Rc<Channel>>,
    /// Dropped by their owners and not over yet: since the last sweep, and since before it.
    lingering: [Vec<u64>; 2],
    /// What happened during negotiation; nothing is added once `settled`.
    events: VecDeque<Event>,
    settled: bool,
    candidates: u32,
    init: Option<Init>,
    /// What the browser was asked and may never answer: it forgets promises of a closed connection.
    asking: Vec<AbortHandle>,
    sctp: Option<js::Sctp>,
    wakers: Wakers,
}

/// Who waits for what. Different tasks may.
#[derive(Default)]
struct Wakers {
    event: Option<Waker>,
    inbound: Option<Waker>,
    outbound: Option<Waker>,
    /// The end, or something that lingers.
    other: Option<Waker>,
}

/// The channel that makes the offer mention data channels.
struct Init {
    channel: RtcDataChannel,
    open_told: bool,
    _callback: Closure<dyn Fn()>,
}

struct Callbacks {
    candidate: Closure<dyn Fn(RtcPeerConnectionIceEvent)>,
    channel: Closure<dyn Fn(RtcDataChannelEvent)>,
    state: Closure<dyn Fn()>,
}

/// Which waker to set.
#[derive(Clone, Copy)]
pub(super) enum Awaiting {
    Event,
    Inbound,
    Outbound,
    Other,
}

impl Hub {
    /// Make a peer connection with all its callbacks.
    pub(super) fn open(config: &Config) -> Result<Rc<Self>, Error> {
        let pc = js::peer_connection(&configuration(&config.ice_servers))?;
        count(|stats| stats.connections += 1);
        let hub = Rc::new(Self {
            pc,
            receive_bytes_max: config.receive_bytes_max,
            frame_bytes_max: Cell::new(FRAME_BYTES),
            gathers: Cell::new(false),
            state: RefCell::default(),
            callbacks: RefCell::default(),
        });
        hub.listen();
        Ok(hub)
    }

    fn listen(self: &Rc<Self>) {
        let callbacks = Callbacks {
            candidate: callback(self, |hub, event: RtcPeerConnectionIceEvent| hub.on_candidate(&event)),
            channel: callback(self, |hub, event: RtcDataChannelEvent| hub.on_channel(event.channel())),
            state: notice(self, Self::on_state),
        };
        self.pc.set_onicecandidate(Some(callbacks.candidate.as_ref().unchecked_ref()));
        self.pc.set_ondatachannel(Some(callbacks.channel.as_ref().unchecked_ref()));
        self.pc.set_onconnectionstatechange(Some(callbacks.state.as_ref().unchecked_ref()));
        *self.callbacks.borrow_mut() = Some(callbacks);
    }

    /// Bytes of the largest frame in either direction.
    pub(super) fn frame_bytes_max(&self) -> usize {
        self.frame_bytes_max.get()
    }

    /// Unread bytes a stream may hold.
    pub(super) fn receive_bytes_max(&self) -> usize {
        self.receive_bytes_max
    }

    // --- negotiation -------------------------------------------------------------------------

    fn on_candidate(&self, event: &RtcPeerConnectionIceEvent) {
        let said = match event.candidate() {
            Some(candidate) if !candidate.candidate().is_empty() => match js_sys::JSON::stringify(&candidate) {
                Ok(json) => {
                    self.state.borrow_mut().candidates += 1;
                    Event::Candidate(json.into())
                }
                Err(thrown) => return tracing::debug!("a candidate has no JSON: {}", js::message(&thrown)),
            },
            // The end of one generation of candidates; the end of all follows.
            Some(_) => return,
            None => Event::GatheringDone { candidates: self.state.borrow().candidates },
        };
        self.say(said);
    }

    /// Tell the negotiation something.
    pub(super) fn say(&self, event: Event) {
        let waker = {
            let mut state = self.state.borrow_mut();
            if state.settled {
                return;
            }
            state.events.push_back(event);
            state.wakers.event.take()
        };
        wake(waker);
    }

    /// What the negotiation has to be told next.
    pub(super) fn next_event(&self) -> Option<Event> {
        self.state.borrow_mut().events.pop_front()
    }

    /// Do something that waits for the browser's promises, until it is done or the connection is closed.
    pub(super) fn ask(&self, asking: impl Future<Output = ()> + 'static) {
        let (handle, registration) = AbortHandle::new_pair();
        {
            let mut state = self.state.borrow_mut();
            if state.end.is_some() {
                return;
            }
            state.asking.push(handle);
        }
        spawn_local(Abortable::new(asking, registration).map(drop));
    }

    /// Have the browser take its own description, with which it begins to look for candidates.
    pub(super) async fn set_local(&self, kind: RtcSdpType, sdp: &str) -> Result<(), Error> {
        self.gathers.set(true);
        js::set(self.pc.set_local_description(&js::description(kind, sdp))).await
    }

    /// Create the channel that makes the offer mention data channels.
    pub(super) fn open_init(self: &Rc<Self>) -> Result<(), Error> {
        let channel = js::data_channel(&self.pc, INIT_LABEL, &RtcDataChannelInit::new())?;
        let callback = notice(self, Self::on_init);
        channel.set_onopen(Some(callback.as_ref().unchecked_ref()));
        channel.set_onclose(Some(callback.as_ref().unchecked_ref()));
        self.state.borrow_mut().init = Some(Init { channel, open_told: false, _callback: callback });
        Ok(())
    }

    fn on_init(&self) {
        let said = {
            let mut state = self.state.borrow_mut();
            let Some(init) = &mut state.init else { return };
            match init.channel.ready_state() {
                RtcDataChannelState::Open if !init.open_told => {
                    init.open_told = true;
                    Event::InitOpen
                }
                RtcDataChannelState::Closed => Event::InitClosed,
                _ => return,
            }
        };
        self.say(said);
    }

    /// Close that channel.
    pub(super) fn close_init(&self) {
        let channel = self.state.borrow().init.as_ref().map(|init| init.channel.clone());
        if let Some(channel) = channel {
            channel.close();
        }
    }

    /// The negotiation is over: from here on only channels and the end matter.
    pub(super) fn settle(&self, frame_bytes_max: usize) {
        self.frame_bytes_max.set(frame_bytes_max);
        self.pc.set_onicecandidate(None);
        let init = {
            let mut state = self.state.borrow_mut();
            state.settled = true;
            state.events.clear();
            state.asking.clear();
            state.init.take()
        };
        drop_init(init);
        self.watch_sctp();
    }

    /// Whether it is.
    pub(super) fn is_settled(&self) -> bool {
        self.state.borrow().settled
    }

    /// A remote that closes shows here within milliseconds; in the connection's state only after seconds.
    pub(super) fn watch_sctp(&self) {
        let callbacks = self.callbacks.borrow();
        let (Some(sctp), Some(callbacks)) = (js::sctp(&self.pc), callbacks.as_ref()) else { return };
        sctp.set_onstatechange(Some(callbacks.state.as_ref().unchecked_ref()));
        self.state.borrow_mut().sctp = Some(sctp);
    }

    fn on_state(&self) {
        let sctp_closed = self.state.borrow().sctp.as_ref().is_some_and(|sctp| sctp.state() == "closed");
        match self.pc.connection_state() {
            RtcPeerConnectionState::Connected if !sctp_closed => self.say(Event::Connected),
            RtcPeerConnectionState::Failed => {
                self.close(if self.is_settled() { Error::Closed } else { Error::IceFailed });
            }
            RtcPeerConnectionState::Closed => self.close(Error::Closed),
            _ if sctp_closed => self.close(Error::Closed),
            _ => {}
        }
    }

    // --- channels ----------------------------------------------------------------------------

    fn on_channel(self: &Rc<Self>, channel: RtcDataChannel) {
        if channel.label() == INIT_LABEL {
            // Its creator closes it.
            return;
        }
        let room = {
            let state = self.state.borrow();
            state.end.is_none() && state.channels.len() < STREAMS_MAX && state.inbound.len() < STREAMS_WAITING_MAX
        };
        if !room {
            tracing::debug!("the remote opens more streams than {STREAMS_MAX}, or faster than they are taken");
            return channel.close();
        }
        let channel = self.adopt(channel);
        let waker = {
            let mut state = self.state.borrow_mut();
            state.inbound.push_back(channel);
            state.wakers.inbound.take()
        };
        wake(waker);
    }

    /// The next channel that the remote opened.
    pub(super) fn next_inbound(&self) -> Option<Rc<Channel>> {
        self.state.borrow_mut().inbound.pop_front()
    }

    /// Whether another channel may be opened.
    pub(super) fn has_room(&self) -> bool {
        self.state.borrow().channels.len() < STREAMS_MAX
    }

    /// Open a channel; with a number, one that both sides know without being told.
    pub(super) fn open_channel(self: &Rc<Self>, negotiated: Option<u16>) -> Result<Rc<Channel>, Error> {
        if let Some(end) = self.end() {
            return Err(end);
        }
        let init = RtcDataChannelInit::new();
        if let Some(id) = negotiated {
            init.set_negotiated(true);
            init.set_id(id);
        }
        Ok(self.adopt(js::data_channel(&self.pc, "", &init)?))
    }

    fn adopt(self: &Rc<Self>, channel: RtcDataChannel) -> Rc<Channel> {
        let id = {
            let mut state = self.state.borrow_mut();
            state.last_channel += 1;
            state.last_channel
        };
        let channel = Channel::adopt(id, channel, Rc::downgrade(self));
        self.state.borrow_mut().channels.insert(id, channel.clone());
        channel
    }

    /// A channel is over and has let go of its callbacks.
    pub(super) fn forget(&self, channel: u64) {
        let (gone, waker) = {
            let mut state = self.state.borrow_mut();
            (state.channels.remove(&channel), state.wakers.outbound.take())
        };
        drop(gone);
        wake(waker);
    }

    /// Its owner has dropped the channel, and the remote has not acknowledged everything yet.
    pub(super) fn linger(&self, channel: u64) {
        let waker = {
            let mut state = self.state.borrow_mut();
            state.lingering[0].push(channel);
            state.wakers.other.take()
        };
        wake(waker);
    }

    /// Whether anything lingers.
    pub(super) fn has_lingering(&self) -> bool {
        self.state.borrow().lingering.iter().any(|ids| !ids.is_empty())
    }

    /// Give up on what has lingered since before the last call.
    pub(super) fn sweep(&self) {
        let late: Vec<Rc<Channel>> = {
            let mut state = self.state.borrow_mut();
            let young = std::mem::take(&mut state.lingering[0]);
            let old = std::mem::replace(&mut state.lingering[1], young);
            old.iter().filter_map(|id| state.channels.get(id).cloned()).collect()
        };
        for channel in late {
            channel.give_up();
        }
    }

    /// Bytes that wait to be sent, on all channels.
    pub(super) fn queued(&self) -> usize {
        self.state.borrow().channels.values().map(|channel| channel.queued()).sum()
    }

    // --- the end -----------------------------------------------------------------------------

    /// Why it has ended, if it has.
    pub(super) fn end(&self) -> Option<Error> {
        self.state.borrow().end.clone()
    }

    /// Close it and let go of everything. The first reason stays.
    pub(super) fn close(&self, reason: Error) {
        let (channels, inbound, init, sctp, wakers, asking) = {
            let mut state = self.state.borrow_mut();
            if state.end.is_some() {
                return;
            }
            state.end = Some(reason.clone());
            if !state.settled {
                state.events.push_back(Event::Failed(reason));
            }
            let state = &mut *state;
            (
                std::mem::take(&mut state.channels),
                std::mem::take(&mut state.inbound),
                state.init.take(),
                state.sctp.take(),
                std::mem::take(&mut state.wakers),
                std::mem::take(&mut state.asking),
            )
        };
        for asking in asking {
            asking.abort();
        }
        self.pc.set_onicecandidate(None);
        self.pc.set_ondatachannel(None);
        self.pc.set_onconnectionstatechange(None);
        if let Some(sctp) = sctp {
            sctp.set_onstatechange(None);
        }
        drop_init(init);
        for channel in channels.values().chain(&inbound) {
            channel.connection_ended();
        }
        let connected = self.pc.connection_state() == RtcPeerConnectionState::Connected;
        let gathered = !self.gathers.get() || self.pc.ice_gathering_state() == RtcIceGatheringState::Complete;
        if !connected && !gathered {
            spawn_local(close_when_gathered(self.pc.clone()));
        } else {
            self.pc.close();
        }
        drop(self.callbacks.borrow_mut().take());
        let Wakers { event, inbound, outbound, other } = wakers;
        for waker in [event, inbound, outbound, other] {
            wake(waker);
        }
    }

    /// Wake this task when something comes of what it awaits.
    pub(super) fn wait(&self, what: Awaiting, waker: &Waker) {
        let mut state = self.state.borrow_mut();
        let slot = match what {
            Awaiting::Event => &mut state.wakers.event,
            Awaiting::Inbound => &mut state.wakers.inbound,
            Awaiting::Outbound => &mut state.wakers.outbound,
            Awaiting::Other => &mut state.wakers.other,
        };
        *slot = Some(waker.clone());
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.close(Error::Closed);
        count(|stats| stats.connections -= 1);
    }
}

/// Close an attempt once the browser has its candidates. One that is closed while it takes its own description or looks for
/// candidates is never collected (Chromium 156, one to four in a hundred, also in a page without a line of ours).
async fn close_when_gathered(pc: RtcPeerConnection) {
    let mut left = GATHERING_MAX;
    while pc.ice_gathering_state() != RtcIceGatheringState::Complete && !left.is_zero() {
        Delay::new(GATHERING_LOOK).await;
        left = left.saturating_sub(GATHERING_LOOK);
    }
    pc.close();
}

fn drop_init(init: Option<Init>) {
    if let Some(init) = init {
        init.channel.set_onopen(None);
        init.channel.set_onclose(None);
    }
}

pub(super) fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// A callback with an event, which does nothing once `owner` is gone.
fn callback<O: 'static, E: wasm_bindgen::convert::FromWasmAbi + 'static>(
    owner: &Rc<O>,
    run: impl Fn(&Rc<O>, E) + 'static,
) -> Closure<dyn Fn(E)> {
    let owner: Weak<O> = Rc::downgrade(owner);
    Closure::new(move |event: E| {
        if let Some(owner) = owner.upgrade() {
            run(&owner, event);
        }
    })
}

/// A callback that only looks what has become of things.
fn notice<O: 'static>(owner: &Rc<O>, run: impl Fn(&O) + 'static) -> Closure<dyn Fn()> {
    let owner: Weak<O> = Rc::downgrade(owner);
    Closure::new(move || {
        if let Some(owner) = owner.upgrade() {
            run(&owner);
        }
    })
}

fn configuration(servers: &[IceServer]) -> RtcConfiguration {
    let config = RtcConfiguration::new();
    let list = js_sys::Array::new();
    for server in servers {
        let entry = RtcIceServer::new();
        let urls: js_sys::Array = server.urls.iter().map(|url| JsValue::from_str(url)).collect();
        entry.set_urls(&urls);
        if let Some(username) = &server.username {
            entry.set_username(username);
        }
        if let Some(credential) = &server.credential {
            entry.set_credential(credential);
        }
        list.push(&entry);
    }
    config.set_ice_servers(&list);
    config
}
