//! `/.well-known/mycomesh.json`: where a browser or a peer can dial this relay.
//!
//! A relay that listens on all of a machine's addresses does not know by which of them it is reached. Whoever asks
//! does: the `Host` it asked for is one that works, so those addresses are told with that host.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
};

use multiaddr::{Multiaddr, PeerId, Protocol};
use mycomesh_core::wire::Network;
use serde::Serialize;

/// The document.
#[derive(Debug, Serialize)]
pub struct WellKnown {
    /// The network served.
    pub network: Network,
    /// The relay.
    pub peer_id: String,
    /// Where it can be dialled, best first; each ends in `/p2p/<peer_id>`.
    pub addresses: Vec<Multiaddr>,
}

/// What is known about the relay's addresses.
#[derive(Clone, Debug)]
pub struct Sources {
    /// The network served.
    pub network: Network,
    /// The relay.
    pub peer_id: PeerId,
    /// What the operator says.
    pub external: Vec<Multiaddr>,
    /// Ports, with their transports, that were asked to listen on every address.
    pub everywhere: BTreeSet<Listening>,
    /// Where it was asked to listen. Fills in for what the node does not list: a machine of many addresses has more
    /// than a presence has room for.
    pub asked: Vec<Multiaddr>,
}

/// A transport and where it listens: `(tcp, 8081)` or `(udp, 8082)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Listening {
    /// A TCP port.
    Tcp(u16),
    /// A UDP port.
    Udp(u16),
}

/// By which name or address the asking side reached the HTTP port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// An address.
    Ip(IpAddr),
    /// A name.
    Name(String),
}

impl Host {
    /// The host of a `Host` header. Anything that is neither an address nor a plain name is none.
    pub fn parse(header: &str) -> Option<Self> {
        let authority: axum::http::uri::Authority = header.parse().ok().filter(|_| !header.contains('@'))?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        if let Ok(ip) = host.parse() {
            return Some(Self::Ip(ip));
        }
        if host.eq_ignore_ascii_case("localhost") {
            return Some(Self::Ip(Ipv4Addr::LOCALHOST.into()));
        }
        let plain = host.len() <= 253 && host.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
        (plain && !host.is_empty()).then(|| Self::Name(host.to_ascii_lowercase()))
    }
}

impl Sources {
    /// The document for someone who asked `host`. `listening` are the addresses in use now.
    pub fn document(&self, listening: &[Multiaddr], host: Option<&Host>) -> WellKnown {
        let mut addresses = Vec::new();
        let mut add = |addr: Multiaddr| {
            let addr = addr.with_p2p(self.peer_id).unwrap_or_else(|own| own);
            if !addresses.contains(&addr) {
                addresses.push(addr);
            }
        };
        for addr in by_usefulness(self.external.iter().cloned()) {
            add(addr);
        }
        let asked = self.asked.iter().filter(|addr| is_complete(addr));
        let seen_from_outside =
            listening.iter().chain(asked).filter_map(|addr| match (self.is_everywhere(addr), host) {
                (true, Some(host)) => at_host(addr, host),
                _ => Some(addr.clone()),
            });
        for addr in by_usefulness(seen_from_outside.filter(is_dialable)) {
            add(addr);
        }
        WellKnown { network: self.network.clone(), peer_id: self.peer_id.to_string(), addresses }
    }

    fn is_everywhere(&self, addr: &Multiaddr) -> bool {
        listening_at(addr).is_some_and(|listening| self.everywhere.contains(&listening))
    }
}

/// The port of a listen address.
pub fn listening_at(addr: &Multiaddr) -> Option<Listening> {
    addr.iter().find_map(|part| match part {
        Protocol::Tcp(port) => Some(Listening::Tcp(port)),
        Protocol::Udp(port) => Some(Listening::Udp(port)),
        _ => None,
    })
}

/// `addr` with its first part replaced. None where such an address could not be dialled: WebRTC-direct writes an
/// address into its session description, where no name is allowed; and a socket of one family is not reached by
/// the other.
fn at_host(addr: &Multiaddr, host: &Host) -> Option<Multiaddr> {
    let first = addr.iter().next()?;
    let is_webrtc = addr.iter().any(|part| part == Protocol::WebRTCDirect);
    let part = match (host, &first) {
        (Host::Ip(IpAddr::V4(ip)), Protocol::Ip4(_)) => Protocol::Ip4(*ip),
        (Host::Ip(IpAddr::V6(ip)), Protocol::Ip6(_)) => Protocol::Ip6(*ip),
        (Host::Ip(_), _) => return None,
        // Its own address is the best guess left.
        (Host::Name(_), _) if is_webrtc => return Some(addr.clone()),
        (Host::Name(name), Protocol::Ip4(_)) => Protocol::Dns4(name.clone().into()),
        (Host::Name(name), Protocol::Ip6(_)) => Protocol::Dns6(name.clone().into()),
        (Host::Name(_), _) => return None,
    };
    addr.replace(0, |_| Some(part))
}

/// Whether an address that was asked for says everything: its port, and no certificate that only the node knows.
fn is_complete(addr: &Multiaddr) -> bool {
    !addr.iter().any(|part| matches!(part, Protocol::Tcp(0) | Protocol::Udp(0) | Protocol::WebRTCDirect))
}

fn is_dialable(addr: &Multiaddr) -> bool {
    let mut parts = addr.iter();
    let host_is_known = match parts.next() {
        Some(Protocol::Ip4(ip)) => !ip.is_unspecified(),
        Some(Protocol::Ip6(ip)) => !ip.is_unspecified(),
        Some(Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_)) => true,
        _ => false,
    };
    host_is_known && !parts.any(|part| matches!(part, Protocol::P2pCircuit))
}

/// WebSocket first, which every browser and peer can dial; then what browsers can dial, then the rest.
fn by_usefulness(addrs: impl Iterator<Item = Multiaddr>) -> Vec<Multiaddr> {
    let mut addrs: Vec<_> = addrs.collect();
    addrs.sort_by_key(|addr| {
        let ranks = addr.iter().map(|part| match part {
            Protocol::Ws(_) | Protocol::Wss(_) => 0,
            Protocol::WebRTCDirect => 1,
            Protocol::QuicV1 => 2,
            _ => 3,
        });
        ranks.min()
    });
    addrs
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: &str = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";

    fn addrs(texts: &[&str]) -> Vec<Multiaddr> {
        texts.iter().map(|text| text.parse().expect(text)).collect()
    }

    /// What somebody who asked for `host` is told, without the `/p2p/…` that every address ends in.
    #[track_caller]
    fn check(external: &[&str], everywhere: &[Listening], listening: &[&str], host: &str, expect: &[&str]) {
        let sources = Sources {
            network: Network::default(),
            peer_id: PEER.parse().expect("a peer id"),
            external: addrs(external),
            everywhere: everywhere.iter().copied().collect(),
            asked: addrs(&["/ip4/0.0.0.0/tcp/9/ws", "/ip4/0.0.0.0/tcp/0", "/ip4/0.0.0.0/udp/9/webrtc-direct"]),
        };
        let told = sources.document(&addrs(listening), Host::parse(host).as_ref()).addresses;
        let told: Vec<_> = told
            .iter()
            .map(|addr| addr.to_string().strip_suffix(&format!("/p2p/{PEER}")).expect("it ends in its peer").to_owned())
            .collect();
        assert_eq!(told, expect, "asked for {host}");
    }

    #[test]
    fn websocket_comes_first_and_the_operators_word_before_everything() {
        let listening = ["/ip4/127.0.0.1/tcp/4001", "/ip4/127.0.0.1/udp/82/webrtc-direct", "/ip4/127.0.0.1/tcp/81/ws"];
        let sorted = [listening[2], listening[1], listening[0]];
        check(&[], &[], &listening, "127.0.0.1:8080", &sorted);
        let external = ["/dns4/a.example/tcp/4001", "/dns4/a.example/tcp/443/wss"];
        check(&external, &[], &listening, "a.example", &[external[1], external[0], sorted[0], sorted[1], sorted[2]]);
    }

    #[test]
    fn a_port_open_on_every_address_is_told_with_the_host_that_was_asked() {
        let listening = ["/ip4/127.0.0.1/tcp/81/ws", "/ip4/10.0.0.5/tcp/81/ws"];
        let open = [Listening::Tcp(81)];
        check(&[], &open, &listening, "10.0.0.5:8080", &["/ip4/10.0.0.5/tcp/81/ws"]);
        check(&[], &open, &listening, "localhost:8080", &["/ip4/127.0.0.1/tcp/81/ws"]);
        check(&[], &open, &listening, "Relay.Example:8080", &["/dns4/relay.example/tcp/81/ws"]);
        check(&[], &open, &["/ip4/0.0.0.0/tcp/81/ws"], "192.0.2.7", &["/ip4/192.0.2.7/tcp/81/ws"]);
        check(&[], &open, &["/ip6/::/tcp/81/ws"], "[2001:db8::1]:80", &["/ip6/2001:db8::1/tcp/81/ws"]);
        check(&[], &open, &["/ip6/::/tcp/81/ws"], "192.0.2.7", &[]);
    }

    #[test]
    fn what_was_asked_for_is_told_although_the_node_does_not_list_it() {
        let open = [Listening::Tcp(9), Listening::Udp(9)];
        check(
            &[],
            &open,
            &["/ip4/10.0.0.5/tcp/4001"],
            "10.0.0.5",
            &["/ip4/10.0.0.5/tcp/9/ws", "/ip4/10.0.0.5/tcp/4001"],
        );
    }

    #[test]
    fn a_port_bound_to_one_address_stays_there() {
        check(&[], &[Listening::Tcp(80)], &["/ip4/127.0.0.1/tcp/81/ws"], "10.0.0.5", &["/ip4/127.0.0.1/tcp/81/ws"]);
        check(&[], &[Listening::Udp(81)], &["/ip4/127.0.0.1/tcp/81/ws"], "10.0.0.5", &["/ip4/127.0.0.1/tcp/81/ws"]);
    }

    #[test]
    fn webrtc_direct_keeps_its_certificate_hash_and_takes_no_name() {
        let addr = "/ip4/10.0.0.5/udp/82/webrtc-direct/certhash/uEiDDq4_xNyDorZBH3TlGazyJdOWSwvo4PUo5YHFMrvDE8g";
        check(&[], &[Listening::Udp(82)], &[addr], "192.0.2.7", &[&addr.replace("10.0.0.5", "192.0.2.7")]);
        check(&[], &[Listening::Udp(82)], &[addr], "relay.example", &[addr]);
    }

    #[test]
    fn addresses_that_nobody_can_dial_are_not_told() {
        check(&[], &[], &["/ip4/0.0.0.0/tcp/81/ws", "/p2p-circuit", "/memory/1"], "nonsense host", &[]);
    }

    #[test]
    fn a_host_header_is_never_trusted_to_be_one() {
        for header in ["", "a b", "a/../b", "user@host@x", "é.example", "<script>"] {
            assert_eq!(Host::parse(header), None, "{header}");
        }
    }
}
