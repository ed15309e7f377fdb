//! Topics, protocols and paths: what things are called on the wire and on the screen.

use multiaddr::{Multiaddr, Protocol as Part};
use serde::Serialize;

/// Gossip topics. The name carries network and cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// Signed presences of one cell.
    Presence,
    /// Signed receipts.
    Receipts,
}

impl Topic {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Presence, Self::Receipts];

    /// The topic's name on the wire. There is one cell for now; its number is part of the name so
    /// that networks can split later.
    pub fn name(self, network: &str) -> String {
        match self {
            Self::Presence => format!("/mycomesh/{network}/presence/c0/1"),
            Self::Receipts => format!("/mycomesh/{network}/receipts/1"),
        }
    }
}

/// Request protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// Push one's own presence, pull everybody's.
    Presence,
    /// Fetch signed objects by content id, or receipts by whom they are about.
    Objects,
    /// The steps of a direct task.
    Tasks,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Presence, Self::Objects, Self::Tasks];

    /// The protocol's name on the wire.
    pub fn name(self, network: &str) -> String {
        match self {
            Self::Presence => format!("/mycomesh/{network}/presence/1"),
            Self::Objects => format!("/mycomesh/{network}/objects/1"),
            Self::Tasks => format!("/mycomesh/{network}/tasks/1"),
        }
    }
}

/// How a peer is reached. Ordered from worst to best.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Path {
    /// Not at all.
    #[default]
    None,
    /// Through a relay's circuit.
    Relayed,
    /// WebSocket.
    Websocket,
    /// WebRTC to a listener with a public address.
    WebrtcDirect,
    /// TCP.
    Tcp,
    /// QUIC.
    Quic,
    /// WebRTC from browser to browser.
    DirectWebrtc,
}

impl Path {
    /// The name used in `data-path` and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Relayed => "relayed",
            Self::Websocket => "websocket",
            Self::WebrtcDirect => "webrtc-direct",
            Self::Tcp => "tcp",
            Self::Quic => "quic",
            Self::DirectWebrtc => "direct-webrtc",
        }
    }

    /// What the address of a connection says about its path. `/webrtc` wins over the circuit in
    /// front of it, since the circuit then only carried the signalling.
    pub fn of(addr: &Multiaddr) -> Self {
        let mut path = Self::None;
        for part in addr.iter() {
            path = match part {
                Part::WebRTC => return Self::DirectWebrtc,
                Part::P2pCircuit => Self::Relayed,
                Part::WebRTCDirect => path.or(Self::WebrtcDirect),
                Part::Ws(_) | Part::Wss(_) if path != Self::Relayed => Self::Websocket,
                Part::QuicV1 => path.or(Self::Quic),
                Part::Tcp(_) => path.or(Self::Tcp),
                _ => path,
            };
        }
        path
    }

    fn or(self, other: Self) -> Self {
        if self == Self::None { other } else { self }
    }
}
