//! Outputs of core, carried out.

use std::sync::Arc;

use futures::{FutureExt, future::AbortHandle};
use libp2p::{
    Multiaddr, PeerId,
    gossipsub::{IdentTopic, MessageAcceptance, PublishError},
    multiaddr::Protocol as Part,
    swarm::dial_opts::{DialOpts, PeerCondition},
};
use mycomesh_core::{
    io::{
        DialError, Event, Input, Output, Protocol, RequestError, RequestId, RequestToken, ReservationError, StoreId,
        Topic, Verdict, Write,
    },
    limits::PRESENCE_ADDRS_MAX,
    time::Millis,
    wire::{Skill, TaskId},
};
use tokio::sync::oneshot;

use crate::{
    behaviour::REQUEST_TIMEOUT,
    driver::Driver,
    platform,
    translate::{dial_error, with_peer},
};

/// Addresses tried in one dial: a peer's own and those through its relays.
const DIAL_ADDRS_MAX: usize = 2 * PRESENCE_ADDRS_MAX;
/// How much longer than libp2p a request's own deadline waits.
const REQUEST_GRACE: Millis = Millis::secs(2);

impl Driver {
    /// Carry out one output. What is known at once goes to the queue of inputs.
    pub(crate) fn carry_out(&mut self, output: Output) {
        match output {
            Output::Publish { topic, data } => self.publish(topic, data),
            Output::Verdict { id, from, verdict } => {
                if let Some(message) = self.exchange.frames.remove(&id) {
                    let gossip = &mut self.swarm.behaviour_mut().gossip;
                    gossip.report_message_validation_result(&message, &from, acceptance(verdict));
                }
            }
            Output::Request { id, peer, protocol, data } => self.request(id, peer, protocol, data),
            Output::Respond { token, data } => self.respond(token, data),
            Output::Refuse { token } => drop(self.exchange.received.remove(&token)),
            Output::Dial { peer, addrs, upgrade } => self.dial(peer, addrs, upgrade),
            Output::Reserve { relay, addr } => self.reserve(relay, addr),
            Output::Unreserve { relay } => self.unreserve(relay),
            Output::CloseLink { link } => self.replaced.add(link, self.clock.now().mono),
            Output::ClosePeer { peer } => {
                // An error means that it is already gone.
                let _ = self.swarm.disconnect_peer_id(peer);
            }
            Output::CheckLinks => self.liveness.check_now(self.clock.now().mono),
            Output::Store { id, writes } => self.write(id, writes),
            Output::RunJob { task, requester, skill, input } => self.run_job(task, requester, &skill, input),
            Output::StopJob { task } => {
                if let Some(job) = self.jobs.remove(&task) {
                    job.abort();
                }
            }
            Output::Provide { skill } => self.dht.provide(&mut self.swarm.behaviour_mut().kad, skill),
            Output::StopProviding { skill } => self.dht.stop_providing(&mut self.swarm.behaviour_mut().kad, &skill),
            Output::FindProviders { query, skill } => {
                self.dht.find_providers(&mut self.swarm.behaviour_mut().kad, query, &skill);
            }
            Output::FindPeer { query, peer } => self.dht.find_peer(&mut self.swarm.behaviour_mut().kad, query, peer),
            Output::Event(event) => self.tell_owner(event),
            Output::Reply { id, result } => match self.owner.replies.remove(&id) {
                // Whoever asked may have left.
                Some(reply) => drop(reply.send(result)),
                // A command of the driver itself: the relays of the options, or the last goodbye.
                None => {
                    if let Err(error) = result {
                        self.tell_owner(Event::Warning { what: error.to_string() });
                    }
                }
            },
        }
    }

    /// Publish a frame, or keep it until somebody subscribes.
    pub(crate) fn publish(&mut self, topic: Topic, frame: Arc<[u8]>) {
        let name = IdentTopic::new(topic.name(&self.network));
        match self.swarm.behaviour_mut().gossip.publish(name, frame.to_vec()) {
            Ok(_) | Err(PublishError::Duplicate) => {}
            Err(PublishError::NoPeersSubscribedToTopic | PublishError::AllQueuesFull(_)) => {
                self.outbox.keep(topic, frame);
            }
            Err(error) => tracing::error!(%error, ?topic, "gossipsub refused a frame of our own"),
        }
    }

    fn request(&mut self, id: RequestId, peer: PeerId, protocol: Protocol, data: Vec<u8>) {
        if !self.links.has_peer(&peer) {
            self.inputs.push_back(Input::Response { id, result: Err(RequestError::NotConnected) });
            return;
        }
        let sent = self.swarm.behaviour_mut().requests(protocol).send_request(&peer, data);
        let deadline = self.clock.now().mono + REQUEST_TIMEOUT + REQUEST_GRACE;
        self.exchange.sent.insert((protocol, sent), (id, peer));
        self.exchange.deadlines.insert(id, (deadline, protocol, sent));
    }

    fn respond(&mut self, token: RequestToken, data: Vec<u8>) {
        if let Some((protocol, channel)) = self.exchange.received.remove(&token) {
            // An error means that the sender gave up or left; it will ask again if it cares.
            let _ = self.swarm.behaviour_mut().requests(protocol).send_response(channel, data);
        }
    }

    fn dial(&mut self, peer: PeerId, addrs: Vec<Multiaddr>, upgrade: bool) {
        let addrs: Vec<Multiaddr> =
            addrs.into_iter().filter_map(|addr| with_peer(addr, peer)).take(DIAL_ADDRS_MAX).collect();
        if addrs.is_empty() {
            let reason = DialError::Unreachable("no address of it is known".into());
            self.inputs.push_back(Input::DialFailed { peer, upgrade, reason });
            return;
        }
        // Libp2p may still hold a connection that was given up here, and a dial for a better one may
        // have outlived the one it should have replaced.
        let beside = upgrade || self.links.has_peer(&peer) || self.upgrades.values().any(|other| *other == peer);
        let condition = if beside { PeerCondition::Always } else { PeerCondition::NotDialing };
        let dial = DialOpts::peer_id(peer)
            .addresses(addrs)
            .condition(condition)
            .override_dial_concurrency_factor(platform::DIALS_AT_ONCE)
            .build();
        let connection = dial.connection_id();
        match self.swarm.dial(dial) {
            Ok(()) if upgrade => _ = self.upgrades.insert(connection, peer),
            Ok(()) => {}
            Err(error) => {
                if let Some(reason) = dial_error(&error) {
                    self.inputs.push_back(Input::DialFailed { peer, upgrade, reason });
                }
            }
        }
    }

    fn reserve(&mut self, relay: PeerId, addr: Multiaddr) {
        if let Some(reservation) = self.reservations.get_mut(&relay) {
            reservation.unwanted = false;
            if reservation.granted {
                self.inputs.push_back(Input::Reserved { relay });
            }
            return;
        }
        // A relay of ours is let in even when the node is full.
        self.swarm.behaviour_mut().limits.bypass_peer_id(&relay);
        let circuit = with_peer(addr, relay).map(|addr| addr.with(Part::P2pCircuit));
        let listening = match circuit {
            Some(circuit) => self.swarm.listen_on(circuit).map_err(|error| error.to_string()),
            None => Err("its address names another peer".into()),
        };
        match listening {
            Ok(listener) => self.reservations.asked(relay, listener),
            Err(error) => {
                let reason = ReservationError::Failed(error);
                self.inputs.push_back(Input::ReservationFailed { relay, reason });
            }
        }
    }

    fn unreserve(&mut self, relay: PeerId) {
        let Some(reservation) = self.reservations.get_mut(&relay) else { return };
        reservation.unwanted = true;
        // One that was not granted yet is left alone until it is: libp2p's relay client panics when a
        // grant arrives for a listener that is gone.
        if reservation.granted {
            let listener = reservation.listener;
            self.swarm.remove_listener(listener);
        }
    }

    fn write(&mut self, id: StoreId, writes: Vec<Write>) {
        let done = self.store.write(writes);
        self.work.push(Box::pin(async move { Some(Input::Stored { id, result: done.await }) }));
    }

    fn run_job(&mut self, task: TaskId, requester: PeerId, skill: &Skill, input: String) {
        let Some(job) = self.skills.get(skill) else {
            let result = Err(format!("nothing here does {skill}"));
            self.inputs.push_back(Input::JobDone { task, result });
            return;
        };
        let (job, handle) = futures::future::abortable(job(task, requester, input));
        self.stop_on(task, handle);
        let (done, ended) = oneshot::channel();
        platform::spawn(Box::pin(async move {
            // The driver may have ended meanwhile.
            let _ = done.send(job.await);
        }));
        self.work.push(Box::pin(ended.map(move |ended| match ended {
            Ok(Ok(result)) => Some(Input::JobDone { task, result }),
            // Stopped, as core asked.
            Ok(Err(_)) => None,
            Err(_) => Some(Input::JobDone { task, result: Err("the program for this skill crashed".into()) }),
        })));
    }

    /// Remember how to stop a job; one that ran for the same task before is stopped now.
    fn stop_on(&mut self, task: TaskId, handle: AbortHandle) {
        if let Some(before) = self.jobs.insert(task, handle) {
            before.abort();
        }
    }

    fn tell_owner(&self, event: Event) {
        // An error means that nobody listens.
        let _ = self.owner.events.send(event);
    }
}

fn acceptance(verdict: Verdict) -> MessageAcceptance {
    match verdict {
        Verdict::Accept => MessageAcceptance::Accept,
        Verdict::Ignore => MessageAcceptance::Ignore,
        Verdict::Reject => MessageAcceptance::Reject,
    }
}
