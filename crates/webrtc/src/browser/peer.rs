//! A peer connection while the two sides negotiate.

use std::{
    cell::RefCell,
    rc::Rc,
    task::{Context, Poll},
};

use send_wrapper::SendWrapper;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{RtcIceCandidateInit, RtcSdpType};

use super::{
    Connection,
    hub::{Awaiting, Hub},
    js::{self, create, description, set},
};
use crate::{Command, Config, Error, Event, PeerConnection, Role};

/// An attempt to connect.
pub struct Peer {
    hub: SendWrapper<Rc<Hub>>,
    role: Role,
    /// What was created and is to become the local description.
    described: SendWrapper<Rc<RefCell<Option<String>>>>,
}

impl Peer {
    pub(super) fn open(config: &Config, role: Role) -> Result<Self, Error> {
        Ok(Self { hub: SendWrapper::new(Hub::open(config)?), role, described: SendWrapper::new(Rc::default()) })
    }
}

impl PeerConnection for Peer {
    type Muxer = Connection;

    fn command(&mut self, command: Command) {
        let (hub, described, role) = (Rc::clone(&self.hub), Rc::clone(&self.described), self.role);
        if command == Command::CloseInit {
            return hub.close_init();
        }
        // The browser does these one after the other, in the order in which they were begun.
        self.hub.ask(async move {
            if let Err(error) = carry_out(&hub, &described, role, command).await {
                hub.say(Event::Failed(error));
            }
        });
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        match self.hub.next_event() {
            Some(event) => Poll::Ready(event),
            None => {
                self.hub.wait(Awaiting::Event, cx.waker());
                Poll::Pending
            }
        }
    }

    fn into_muxer(self, frame_bytes_max: usize) -> Connection {
        self.hub.settle(frame_bytes_max);
        Connection::new(Rc::clone(&self.hub))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if !self.hub.is_settled() {
            self.hub.close(Error::Closed);
        }
    }
}

async fn carry_out(
    hub: &Rc<Hub>,
    described: &RefCell<Option<String>>,
    role: Role,
    command: Command,
) -> Result<(), Error> {
    let own = match role {
        Role::Offerer => RtcSdpType::Offer,
        Role::Answerer => RtcSdpType::Answer,
    };
    match command {
        Command::CreateOffer => {
            hub.open_init()?;
            let sdp = create(hub.pc.create_offer()).await?;
            described.replace(Some(sdp.clone()));
            hub.say(Event::Described(sdp));
        }
        Command::Answer(offer) => {
            set(hub.pc.set_remote_description(&description(RtcSdpType::Offer, &offer))).await?;
            let sdp = create(hub.pc.create_answer()).await?;
            described.replace(Some(sdp.clone()));
            hub.say(Event::Described(sdp));
        }
        Command::ApplyLocal => {
            let sdp = described.take().ok_or_else(|| Error::Sdp("nothing was described yet".into()))?;
            hub.set_local(own, &sdp).await?;
        }
        Command::SetAnswer(answer) => {
            set(hub.pc.set_remote_description(&description(RtcSdpType::Answer, &answer))).await?;
            hub.say(Event::RemoteSet);
        }
        Command::AddCandidate(json) => add_candidate(hub, &json).await,
        Command::CloseInit => hub.close_init(),
    }
    Ok(())
}

/// A candidate of the remote. One that the browser does not like is one less to try.
async fn add_candidate(hub: &Hub, json: &str) {
    let candidate = match js_sys::JSON::parse(json) {
        Ok(value) if value.is_object() => value.unchecked_into::<RtcIceCandidateInit>(),
        _ => return tracing::debug!("a candidate is no JSON object"),
    };
    let added = hub.pc.add_ice_candidate_with_opt_rtc_ice_candidate_init(Some(&candidate));
    if let Err(thrown) = JsFuture::from(added).await {
        tracing::debug!("a candidate was not taken: {}", js::message(&thrown));
    }
}
