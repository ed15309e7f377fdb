//! Swarm events, taken into the driver's books and told to core as inputs.

use libp2p::{
    PeerId,
    core::transport::ListenerId,
    gossipsub, identify, ping, relay, request_response,
    swarm::{ConnectionId, SwarmEvent},
};
use mycomesh_core::{
    io::{DialError, GossipId, Input, LinkId, Protocol, RequestError, RequestToken},
    limits,
    time::Millis,
};
use mycomesh_webrtc::SIGNALLING_PROTOCOL;

use crate::{
    behaviour::BehaviourEvent,
    driver::Driver,
    gossip, platform,
    translate::{dial_error, path_of, request_error, reservation_error, without_self},
};

/// External addresses a relay announces. They all go into each reservation, whose message libp2p
/// limits to 4 KiB; a WebRTC one takes about 150 bytes.
const EXTERNAL_ADDRS_MAX: usize = 16;

impl Driver {
    /// Take in one event of the swarm.
    pub(crate) fn on_swarm_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        self.metrics.record(&event);
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour_event(event),
            SwarmEvent::ConnectionEstablished { peer_id: peer, connection_id, endpoint, .. } => {
                self.on_connected(peer, connection_id, &endpoint);
            }
            SwarmEvent::ConnectionClosed { connection_id, .. } => self.on_disconnected(connection_id),
            SwarmEvent::OutgoingConnectionError { peer_id: Some(peer), connection_id, error } => {
                let upgrade = self.upgrades.remove(&connection_id).is_some();
                if let Some(reason) = dial_error(&error) {
                    self.inputs.push_back(Input::DialFailed { peer, upgrade, reason });
                }
            }
            SwarmEvent::NewListenAddr { address, .. } => self.on_listen_addr(address, true),
            SwarmEvent::ExpiredListenAddr { address, .. } => self.on_listen_addr(address, false),
            SwarmEvent::ListenerClosed { listener_id, addresses, reason } => {
                for address in addresses {
                    self.on_listen_addr(address, false);
                }
                self.on_listener_closed(listener_id, &reason);
            }
            SwarmEvent::ListenerError { error, .. } => tracing::debug!(%error, "a listener stumbled"),
            // Incoming connections that failed, dials as they begin, and addresses observed by others
            // change nothing here.
            _ => {}
        }
    }

    fn on_behaviour_event(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Ping(event) => self.on_ping(event),
            BehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. }) => {
                let now = self.clock.now().mono;
                let webrtc = info.protocols.contains(&SIGNALLING_PROTOCOL);
                self.inputs.push_back(Input::Identified { peer: peer_id, webrtc });
                self.dht.identified(&mut self.swarm.behaviour_mut().kad, peer_id, &info, now);
            }
            BehaviourEvent::Identify(_) => {}
            BehaviourEvent::Kad(event) => {
                let now = self.clock.now().mono;
                let input = self.dht.on_event(&mut self.swarm.behaviour_mut().kad, event, now);
                self.inputs.extend(input);
            }
            BehaviourEvent::Gossip(event) => self.on_gossip(event),
            BehaviourEvent::Presence(event) => self.on_exchange(Protocol::Presence, event),
            BehaviourEvent::Objects(event) => self.on_exchange(Protocol::Objects, event),
            BehaviourEvent::Tasks(event) => self.on_exchange(Protocol::Tasks, event),
            BehaviourEvent::RelayClient(event) => self.on_relay_client(&event),
            // Counted by `metrics`; the relay server decides by itself.
            BehaviourEvent::Server(_) => {}
            BehaviourEvent::Local(event) => {
                let found = platform::discovered(event).into_iter();
                self.inputs.extend(found.map(|(peer, addrs)| Input::Discovered { peer, addrs }));
            }
            // What it brings are connections.
            BehaviourEvent::Webrtc(event) => match event {},
        }
    }

    fn on_connected(&mut self, peer: PeerId, connection: ConnectionId, endpoint: &libp2p::core::ConnectedPoint) {
        let upgrade = self.upgrades.remove(&connection).is_some();
        let is_relay = self.swarm.behaviour().limits.is_bypassed(&peer);
        if self.links.peers() >= self.peers_max && !self.links.has_peer(&peer) && !is_relay {
            tracing::debug!(%peer, "closing a connection: as many peers as may be are connected");
            if endpoint.is_dialer() {
                // Core waits for the end of its dial, and will not hear of this connection again.
                let reason = DialError::Refused("as many peers as may be are connected".into());
                self.inputs.push_back(Input::DialFailed { peer, upgrade, reason });
            }
            self.swarm.close_connection(connection);
            return;
        }
        let link = self.links.open(connection, peer, path_of(endpoint));
        self.liveness.opened(link.id, self.clock.now().mono);
        let dialled = endpoint.is_dialer();
        self.inputs.push_back(Input::Connected { peer, link: link.id, path: link.path, dialled });
    }

    fn on_disconnected(&mut self, connection: ConnectionId) {
        if let Some(link) = self.links.close(connection) {
            self.liveness.closed(link.id);
            self.replaced.forget(link.id);
            self.exchange.answering.retain(|(by, ..)| *by != connection);
            self.inputs.push_back(Input::Disconnected { peer: link.peer, link: link.id });
        }
    }

    fn on_listen_addr(&mut self, address: libp2p::Multiaddr, usable: bool) {
        let circuit = address.iter().any(|part| part == libp2p::multiaddr::Protocol::P2pCircuit);
        if self.announce_listeners && !circuit {
            if !usable {
                self.swarm.remove_external_address(&address);
            } else if self.swarm.external_addresses().count() < EXTERNAL_ADDRS_MAX {
                self.swarm.add_external_address(address.clone());
            }
        }
        self.inputs.push_back(Input::ListenAddr { addr: without_self(address, self.me), usable });
    }

    fn on_ping(&mut self, ping::Event { peer, connection, result }: ping::Event) {
        // Failures are ignored: the liveness check judges by silence.
        let (Some(link), Ok(rtt)) = (self.links.get(connection), result) else { return };
        self.liveness.answered(link.id, self.clock.now().mono);
        let rtt = Millis(u64::try_from(rtt.as_millis()).unwrap_or(u64::MAX));
        self.inputs.push_back(Input::Rtt { peer, link: link.id, rtt });
    }

    fn on_gossip(&mut self, event: gossipsub::Event) {
        match event {
            gossipsub::Event::Message { propagation_source: from, message_id, message } => {
                let Some(topic) = gossip::topic_of(&self.network, &message.topic) else { return };
                let id = GossipId(self.exchange.next_number());
                self.exchange.frames.insert(id, message_id);
                self.inputs.push_back(Input::Gossip { from, id, topic, data: message.data });
            }
            gossipsub::Event::Subscribed { peer_id: peer, topic } => {
                let Some(topic) = gossip::topic_of(&self.network, &topic) else { return };
                for frame in self.outbox.take(topic) {
                    self.publish(topic, frame);
                }
                self.inputs.push_back(Input::Subscribed { peer, topic });
            }
            _ => {}
        }
    }

    fn on_exchange(&mut self, protocol: Protocol, event: request_response::Event<Vec<u8>, Vec<u8>>) {
        match event {
            request_response::Event::Message { peer, connection_id, message } => match message {
                request_response::Message::Request { request_id, request, channel } => {
                    self.exchange.answering.insert((connection_id, protocol, request_id));
                    if let Some(token) = self.keep_channel(protocol, channel) {
                        self.inputs.push_back(Input::Request { peer, token, protocol, data: request });
                    }
                }
                request_response::Message::Response { request_id, response } => {
                    if let Some(id) = self.exchange.ended(protocol, request_id) {
                        self.inputs.push_back(Input::Response { id, result: Ok(response) });
                    }
                }
            },
            request_response::Event::OutboundFailure { request_id, error, .. } => {
                self.request_failed(protocol, request_id, request_error(&error));
            }
            request_response::Event::InboundFailure { connection_id, request_id, .. }
            | request_response::Event::ResponseSent { connection_id, request_id, .. } => {
                self.exchange.answering.remove(&(connection_id, protocol, request_id));
            }
        }
    }

    /// A request of ours ended without a response.
    pub(crate) fn request_failed(
        &mut self,
        protocol: Protocol,
        id: request_response::OutboundRequestId,
        error: RequestError,
    ) {
        if let Some(id) = self.exchange.ended(protocol, id) {
            self.inputs.push_back(Input::Response { id, result: Err(error) });
        }
    }

    /// Keep the way back of a request; none when too many wait, which refuses this one.
    fn keep_channel(
        &mut self,
        protocol: Protocol,
        channel: request_response::ResponseChannel<Vec<u8>>,
    ) -> Option<RequestToken> {
        let received = &mut self.exchange.received;
        if received.len() >= limits::RESPONSES_WAITING_MAX {
            // Those whose sender gave up or left make room first.
            received.retain(|_, (_, channel)| channel.is_open());
        }
        if received.len() >= limits::RESPONSES_WAITING_MAX {
            return None;
        }
        let token = RequestToken(self.exchange.next_number());
        self.exchange.received.insert(token, (protocol, channel));
        Some(token)
    }

    fn on_relay_client(&mut self, event: &relay::client::Event) {
        let relay::client::Event::ReservationReqAccepted { relay_peer_id: relay, .. } = event else { return };
        let Some(reservation) = self.reservations.get_mut(relay) else { return };
        reservation.granted = true;
        if reservation.unwanted {
            let listener = reservation.listener;
            self.swarm.remove_listener(listener);
        } else {
            self.inputs.push_back(Input::Reserved { relay: *relay });
        }
    }

    fn on_listener_closed(&mut self, listener: ListenerId, reason: &Result<(), std::io::Error>) {
        let Some((relay, reservation)) = self.reservations.closed(listener) else { return };
        if !reservation.unwanted {
            let reason = reservation_error(reservation.granted, reason);
            self.inputs.push_back(Input::ReservationFailed { relay, reason });
        }
    }

    /// Close a connection whose other end is dead. Core hears of it now: libp2p says that it is closed
    /// only when the transport has said goodbye, which a dead remote may never answer.
    pub(crate) fn give_up(&mut self, link: LinkId) {
        if let Some(connection) = self.links.connection(link) {
            self.swarm.close_connection(connection);
            self.on_disconnected(connection);
        }
    }

    /// Close one connection; its end is told when libp2p has closed it.
    pub(crate) fn close_link(&mut self, link: LinkId) {
        if let Some(connection) = self.links.connection(link) {
            self.swarm.close_connection(connection);
        }
    }
}
