//! Requests and answers. A request goes by one of the connections to its receiver and fails with it; without any it
//! fails at once. Every answer is one of: the bytes, a refusal, too late.

use libp2p_identity::PeerId;
use mycomesh_core::{
    io::{Input, Output, Protocol, RequestError, RequestId, RequestToken},
    limits::RESPONSES_WAITING_MAX,
    wire::requests::{TaskReply, TaskRequest},
};

use super::World;
use crate::{
    event::Event,
    gossip::PeerNo,
    link::{LinkNo, Side},
    peer::{Received, Sent},
    time::Micros,
};

/// How long a request may wait for its answer (`REQUEST_TIMEOUT` in `crates/net`).
const TIMEOUT: Micros = Micros::secs(10);
/// Added where libp2p drops a request without a word, and the driver's own time limit ends it.
const GRACE: Micros = Micros::secs(2);
/// Requests under way on one connection in one protocol (`STREAMS_PER_PROTOCOL_MAX` there).
const STREAMS_MAX: usize = 8;
/// What a request costs beside its body: the head of its stream, and the names of its protocol.
const OVERHEAD_BYTES: u64 = 60;

impl World {
    pub(super) fn send_request(&mut self, no: PeerNo, id: RequestId, to: PeerId, protocol: Protocol, data: Vec<u8>) {
        let links = self.find(&to).and_then(|to| Some((to, self.peer(no).links.get(&to)?)));
        let Some((to, links)) = links.filter(|(_, links)| !links.is_empty()) else {
            return self.tell(no, Input::Response { id, result: Err(RequestError::NotConnected) });
        };
        // libp2p takes turns by the number of the request.
        let link = links[(id.0 % links.len() as u64) as usize];
        let peer = self.peer_mut(no);
        let same = peer.books.sent.values().filter(|sent| sent.link == link && sent.protocol == protocol).count();
        peer.books.sent.insert(id, Sent { link, to, protocol });
        let life = peer.life;
        if same >= STREAMS_MAX {
            self.tally.requests_dropped += 1;
            return self.queue.push(self.now + TIMEOUT + GRACE, Event::Timeout { peer: no, life, id });
        }
        peer.traffic.messages += 1;
        peer.traffic.bytes += data.len() as u64 + OVERHEAD_BYTES;
        self.queue.push(self.now + TIMEOUT, Event::Timeout { peer: no, life, id });
        if let Some((arrives, side)) = self.travel(no, link) {
            self.queue.push(arrives, Event::Request { link, side, id, protocol, data });
        }
    }

    pub(super) fn request_arrives(
        &mut self,
        link: LinkNo,
        side: Side,
        id: RequestId,
        protocol: Protocol,
        data: Vec<u8>,
    ) {
        let Some((no, from)) = self.receiver(link, side) else { return };
        if self.wait_for_cut(link, side) {
            let again = Event::Request { link, side, id, protocol, data };
            return self.queue.push(self.now + super::linking::RESEND, again);
        }
        let peer = self.peer_mut(no);
        if peer.books.received.len() >= RESPONSES_WAITING_MAX {
            // The stream is dropped.
            return self.answer(no, Received { link, id }, Err(RequestError::Broken));
        }
        let token = RequestToken(peer.books.number());
        peer.books.received.insert(token, Received { link, id });
        let from = self.peer(from).id;
        self.tell(no, Input::Request { peer: from, token, protocol, data });
    }

    /// Core answers a request, or drops it.
    pub(super) fn respond(&mut self, no: PeerNo, token: RequestToken, data: Option<Vec<u8>>) {
        let peer = self.peer_mut(no);
        let Some(received) = peer.books.received.remove(&token) else { return };
        if let Some(data) = &data {
            peer.traffic.messages += 1;
            peer.traffic.bytes += data.len() as u64;
        }
        self.answer(no, received, data.ok_or(RequestError::Broken));
    }

    fn answer(&mut self, no: PeerNo, to: Received, result: Result<Vec<u8>, RequestError>) {
        if let Some((arrives, side)) = self.travel(no, to.link) {
            self.queue.push(arrives, Event::Response { link: to.link, side, id: to.id, result });
        }
    }

    pub(super) fn response_arrives(
        &mut self,
        link: LinkNo,
        side: Side,
        id: RequestId,
        result: Result<Vec<u8>, RequestError>,
    ) {
        let Some((no, _)) = self.receiver(link, side) else { return };
        if self.wait_for_cut(link, side) {
            let again = Event::Response { link, side, id, result };
            return self.queue.push(self.now + super::linking::RESEND, again);
        }
        self.end_request(no, id, result);
    }

    pub(super) fn time_out(&mut self, no: PeerNo, life: u32, id: RequestId) {
        if self.lives(no, life) {
            self.end_request(no, id, Err(RequestError::TimedOut));
        }
    }

    fn end_request(&mut self, no: PeerNo, id: RequestId, result: Result<Vec<u8>, RequestError>) {
        if self.peer_mut(no).books.sent.remove(&id).is_some() {
            self.tell(no, Input::Response { id, result });
        }
    }

    /// A connection is gone on this side: so is what was under way on it.
    pub(super) fn break_requests(&mut self, no: PeerNo, link: LinkNo) {
        let books = &mut self.peer_mut(no).books;
        books.received.retain(|_, received| received.link != link);
        let broken: Vec<RequestId> =
            books.sent.iter().filter(|(_, sent)| sent.link == link).map(|(id, _)| *id).collect();
        for id in broken {
            self.end_request(no, id, Err(RequestError::Broken));
        }
    }

    /// Whether closing this connection may cut a request or an answer short.
    pub(super) fn is_under_way(&self, no: PeerNo, link: LinkNo, other: PeerNo) -> bool {
        let books = &self.peer(no).books;
        books.sent.values().any(|sent| sent.to == other)
            || books.received.values().any(|received| received.link == link)
    }

    /// Enter what a node signed and sends, so that checkers know what is genuine.
    pub(super) fn note_objects(&mut self, no: PeerNo, output: &Output) {
        let maker = self.peer(no).id;
        match output {
            Output::Publish { data, .. } => _ = self.frames.enter(data, maker),
            Output::Request { protocol: Protocol::Tasks, data, .. } => {
                if let Ok(request) = mycomesh_core::wire::strict::decode::<TaskRequest>(data, data.len()) {
                    self.frames.enter(&request.object.into_vec().into(), maker);
                }
            }
            Output::Respond { data, .. } => {
                if let Ok(TaskReply::Accepted(object)) = mycomesh_core::wire::strict::decode(data, data.len()) {
                    self.frames.enter(&object.into_vec().into(), maker);
                }
            }
            _ => {}
        }
    }
}
