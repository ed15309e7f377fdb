//! One hash over everything that happened: which node was told what and when, and what it wanted done. Two runs with
//! the same hash went the same way, on whatever machine.
//!
//! Numbers go in as 64 bits in a fixed order and bytes with their length; nothing that differs between targets
//! (pointer sizes, floats, orders of maps) is hashed. Texts meant for people are left out.

use mycomesh_core::io::{Input, Output, RequestError, Verdict};
use sha2::{Digest, Sha256};

use crate::{gossip::PeerNo, time::Micros};

/// The running hash.
#[derive(Debug)]
pub struct Trace {
    hash: Sha256,
    /// Gathered here, since hashing a few bytes at a time is slow.
    buffer: Vec<u8>,
}

/// Bytes gathered before they are hashed.
const GATHERED: usize = 8 * 1_024;

impl Default for Trace {
    fn default() -> Self {
        Self { hash: Sha256::new(), buffer: Vec::with_capacity(2 * GATHERED) }
    }
}

impl Trace {
    /// The hash so far, as 64 hex digits.
    pub fn digest(&self) -> String {
        let hash = self.hash.clone().chain_update(&self.buffer).finalize();
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// A node is told something.
    pub fn input(&mut self, at: Micros, peer: PeerNo, input: &Input) {
        self.number(at.0);
        self.number(u64::from(peer.0));
        match input {
            Input::Tick => self.kind(0),
            Input::Loaded(records) => {
                self.kind(1);
                self.number(records.len() as u64);
                for record in records {
                    self.bytes(&record.key);
                    self.bytes(&record.value);
                }
            }
            Input::Started => self.kind(2),
            Input::WebrtcAvailable => self.kind(3),
            Input::Connected { peer, link, path, dialled } => {
                self.kind(4);
                self.bytes(&peer.to_bytes());
                self.number(link.0);
                self.bytes(path.as_str().as_bytes());
                self.kind(u8::from(*dialled));
            }
            Input::Identified { peer, webrtc } => {
                self.kind(5);
                self.bytes(&peer.to_bytes());
                self.kind(u8::from(*webrtc));
            }
            Input::Disconnected { link, .. } => {
                self.kind(6);
                self.number(link.0);
            }
            Input::Rtt { link, rtt, .. } => {
                self.kind(7);
                self.number(link.0);
                self.number(rtt.0);
            }
            Input::DialFailed { peer, upgrade, .. } => {
                self.kind(8);
                self.bytes(&peer.to_bytes());
                self.kind(u8::from(*upgrade));
            }
            Input::ListenAddr { addr, usable } => {
                self.kind(9);
                self.bytes(addr.as_ref());
                self.kind(u8::from(*usable));
            }
            Input::Reserved { relay } => {
                self.kind(10);
                self.bytes(&relay.to_bytes());
            }
            Input::ReservationFailed { relay, .. } => {
                self.kind(11);
                self.bytes(&relay.to_bytes());
            }
            Input::Subscribed { peer, topic } => {
                self.kind(12);
                self.bytes(&peer.to_bytes());
                self.kind(*topic as u8);
            }
            Input::Gossip { from, id, topic, data } => {
                self.kind(13);
                self.bytes(&from.to_bytes());
                self.number(id.0);
                self.kind(*topic as u8);
                self.bytes(data);
            }
            Input::Request { peer, token, protocol, data } => {
                self.kind(14);
                self.bytes(&peer.to_bytes());
                self.number(token.0);
                self.kind(*protocol as u8);
                self.bytes(data);
            }
            Input::Response { id, result } => {
                self.kind(15);
                self.number(id.0);
                match result {
                    Ok(data) => self.bytes(data),
                    Err(RequestError::NotConnected) => self.kind(1),
                    Err(RequestError::Unsupported) => self.kind(2),
                    Err(RequestError::TimedOut) => self.kind(3),
                    Err(RequestError::Broken) => self.kind(4),
                }
            }
            Input::Stored { id, result } => {
                self.kind(16);
                self.number(id.0);
                self.kind(u8::from(result.is_ok()));
            }
            Input::JobDone { task, result } => {
                self.kind(17);
                self.bytes(&task.0);
                self.kind(u8::from(result.is_ok()));
            }
            Input::Found { query, peers, done } => {
                self.kind(18);
                self.number(query.0);
                self.number(peers.len() as u64);
                self.kind(u8::from(*done));
            }
            Input::Discovered { peer, .. } => {
                self.kind(19);
                self.bytes(&peer.to_bytes());
            }
            Input::Command { id, .. } => {
                self.kind(20);
                self.number(id.0);
            }
        }
    }

    /// What it wants done.
    pub fn output(&mut self, output: &Output) {
        match output {
            Output::Publish { topic, data } => {
                self.kind(64);
                self.kind(*topic as u8);
                self.bytes(data);
            }
            Output::Verdict { id, verdict, .. } => {
                self.kind(65);
                self.number(id.0);
                self.kind(match verdict {
                    Verdict::Accept => 0,
                    Verdict::Ignore => 1,
                    Verdict::Reject => 2,
                });
            }
            Output::Request { id, peer, protocol, data } => {
                self.kind(66);
                self.number(id.0);
                self.bytes(&peer.to_bytes());
                self.kind(*protocol as u8);
                self.bytes(data);
            }
            Output::Respond { token, data } => {
                self.kind(67);
                self.number(token.0);
                self.bytes(data);
            }
            Output::Refuse { token } => {
                self.kind(68);
                self.number(token.0);
            }
            Output::Dial { peer, addrs, upgrade } => {
                self.kind(69);
                self.bytes(&peer.to_bytes());
                self.number(addrs.len() as u64);
                addrs.iter().for_each(|addr| self.bytes(addr.as_ref()));
                self.kind(u8::from(*upgrade));
            }
            Output::Reserve { relay, .. } => {
                self.kind(70);
                self.bytes(&relay.to_bytes());
            }
            Output::Unreserve { relay } => {
                self.kind(71);
                self.bytes(&relay.to_bytes());
            }
            Output::CloseLink { link } => {
                self.kind(72);
                self.number(link.0);
            }
            Output::ClosePeer { peer } => {
                self.kind(73);
                self.bytes(&peer.to_bytes());
            }
            Output::CheckLinks => self.kind(74),
            Output::Store { id, writes } => {
                self.kind(75);
                self.number(id.0);
                self.number(writes.len() as u64);
                for write in writes {
                    self.bytes(&write.key);
                    self.bytes(write.value.as_deref().unwrap_or_default());
                }
            }
            Output::RunJob { task, .. } => {
                self.kind(76);
                self.bytes(&task.0);
            }
            Output::StopJob { task } => {
                self.kind(77);
                self.bytes(&task.0);
            }
            Output::Provide { skill } => {
                self.kind(78);
                self.bytes(skill.as_str().as_bytes());
            }
            Output::StopProviding { skill } => {
                self.kind(79);
                self.bytes(skill.as_str().as_bytes());
            }
            Output::FindProviders { query, .. } => {
                self.kind(80);
                self.number(query.0);
            }
            Output::FindPeer { query, .. } => {
                self.kind(81);
                self.number(query.0);
            }
            Output::Event(event) => {
                self.kind(82);
                self.bytes(event.name().as_bytes());
            }
            Output::Reply { id, result } => {
                self.kind(83);
                self.number(id.0);
                self.kind(u8::from(result.is_ok()));
            }
        }
    }

    fn kind(&mut self, kind: u8) {
        self.buffer.push(kind);
    }

    fn number(&mut self, number: u64) {
        self.buffer.extend_from_slice(&number.to_be_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= GATHERED {
            self.hash.update(&self.buffer);
            self.buffer.clear();
        }
    }
}
