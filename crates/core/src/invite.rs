//! Invite links: the part of a page's address after `#`, `join=<multiaddr>&network=<name>`, where `join` may appear
//! several times.
//!
//! Anybody can send a link to anybody, so that this is remote input like any other: it has a limit, and what is wrong
//! with it is told in words for a person.

use multiaddr::{Multiaddr, Protocol};

use crate::{
    snapshot::{Problem, RelayView},
    wire::Network,
};

/// Where to join, as an invite link says.
#[derive(Clone, Debug, PartialEq)]
pub struct Invite {
    /// Relays, each ending in `/p2p/<relay>`.
    pub relays: Vec<Multiaddr>,
    /// The network, if the link names one.
    pub network: Option<Network>,
}

/// The longest fragment looked at: room for six long addresses.
const FRAGMENT_BYTES_MAX: usize = 2_048;

/// Read a fragment, with or without its `#`. `Ok(None)` when it is no invitation.
pub fn parse(fragment: &str) -> Result<Option<Invite>, Problem> {
    let fragment = fragment.trim_start_matches('#');
    if !is_invite(fragment) {
        return Ok(None);
    }
    if fragment.len() > FRAGMENT_BYTES_MAX {
        return Err(broken("it is longer than any real one"));
    }
    let (mut relays, mut network) = (Vec::new(), None);
    for (key, value) in form_urlencoded::parse(fragment.as_bytes()) {
        match key.as_ref() {
            "join" => relays.push(relay_address(&value).map_err(|why| broken(&why))?),
            "network" => network = Some(network_name(&value)?),
            _ => {}
        }
    }
    if relays.is_empty() {
        return Err(broken("it names no relay (join=…)"));
    }
    Ok(Some(Invite { relays, network }))
}

/// Whether a fragment means to be an invitation at all.
pub fn is_invite(fragment: &str) -> bool {
    let fragment = fragment.trim_start_matches('#');
    fragment.split('&').any(|part| part.starts_with("join=") || part.starts_with("network="))
}

/// One relay address as typed or linked; the error says what is wrong with it.
pub fn relay_address(text: &str) -> Result<Multiaddr, String> {
    let text = text.trim();
    let addr: Multiaddr = text
        .parse()
        .map_err(|_| format!("“{}” is not a multiaddr such as /dns4/example.org/tcp/443/wss/p2p/ID", shown(text)))?;
    match addr.iter().last() {
        Some(Protocol::P2p(_)) => Ok(addr),
        _ => Err(format!("{addr} does not end in /p2p/<the relay's id>")),
    }
}

/// A network's name as typed or linked.
pub fn network_name(text: &str) -> Result<Network, Problem> {
    Network::new(text.trim()).map_err(|error| Problem {
        what: format!("“{}” is not the name of a network.", shown(text)),
        advice: format!("Check the link: {error}."),
    })
}

/// The link that brings somebody to this network, on the page at `page`: as many relays as [`parse`] takes, best first. None
/// while no relay is known, or none whose address fits into a link.
pub fn link(page: &str, relays: &[RelayView], network: &str) -> Option<String> {
    let page = page.split('#').next().unwrap_or_default();
    let mut joins: Vec<(bool, String)> = relays
        .iter()
        .filter_map(|relay| {
            let addr = relay.addrs.iter().min_by_key(|addr| shareable(addr))?;
            let addr = match addr.iter().last() {
                Some(Protocol::P2p(_)) => addr.clone(),
                _ => addr.clone().with(Protocol::P2p(relay.peer_id)),
            };
            Some((!relay.reserved, format!("join={}&", escaped(&addr.to_string()))))
        })
        .collect();
    joins.sort();
    joins.dedup();
    let network = format!("network={network}");
    let mut fragment = String::new();
    for (_, join) in joins {
        if fragment.len() + join.len() + network.len() <= FRAGMENT_BYTES_MAX {
            fragment += &join;
        }
    }
    if fragment.is_empty() { None } else { Some(format!("{page}#{fragment}{network}")) }
}

/// Best address to share first: short, and usable from most pages.
fn shareable(addr: &Multiaddr) -> u8 {
    match Transport::of(addr) {
        Transport::SecureWebsocket => 0,
        Transport::Websocket => 1,
        Transport::WebrtcDirect => 2,
        Transport::Other => 3,
    }
}

/// What a multiaddr needs of a browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// `/wss`, or `/tls/…/ws`.
    SecureWebsocket,
    /// `/ws`.
    Websocket,
    /// `/webrtc-direct`.
    WebrtcDirect,
    /// Nothing a browser can dial.
    Other,
}

impl Transport {
    /// The transport of `addr`.
    pub fn of(addr: &Multiaddr) -> Self {
        let mut tls = false;
        for part in addr.iter() {
            match part {
                Protocol::Tls => tls = true,
                Protocol::Wss(_) => return Self::SecureWebsocket,
                Protocol::Ws(_) if tls => return Self::SecureWebsocket,
                Protocol::Ws(_) => return Self::Websocket,
                Protocol::WebRTCDirect => return Self::WebrtcDirect,
                _ => {}
            }
        }
        Self::Other
    }
}

/// The few characters of a multiaddr that mean something else in a fragment of pairs.
fn escaped(addr: &str) -> String {
    addr.replace('%', "%25").replace('&', "%26").replace('+', "%2B").replace('#', "%23")
}

/// As much of a text as fits into a sentence.
fn shown(text: &str) -> String {
    const CHARS_MAX: usize = 40;
    let mut chars = text.chars();
    let start: String = chars.by_ref().take(CHARS_MAX).collect();
    if chars.next().is_some() { start + "…" } else { start }
}

fn broken(why: &str) -> Problem {
    Problem {
        what: format!("The invite link cannot be used: {why}."),
        advice: "Ask for a new link, or open this page without the part after #.".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::Path;

    const RELAY: &str = "/ip4/127.0.0.1/tcp/9001/ws/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp";

    fn relay(addrs: &[&str]) -> RelayView {
        let addrs: Vec<Multiaddr> = addrs.iter().map(|addr| addr.parse().expect("an address")).collect();
        let peer_id = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp".parse().expect("an id");
        RelayView { peer_id, addrs, path: Path::Websocket, rtt: None, reserved: true }
    }

    #[test]
    fn a_link_leads_back_to_where_it_was_made() {
        let link = link("http://127.0.0.1:8080/#ask", &[relay(&[RELAY])], "lab").expect("a relay is known");
        assert_eq!(link, format!("http://127.0.0.1:8080/#join={RELAY}&network=lab"));
        let invite = parse(link.split_once('#').expect("a fragment").1).expect("well-formed").expect("an invite");
        assert_eq!(invite.relays, [RELAY.parse::<Multiaddr>().expect("an address")]);
        assert_eq!(invite.network.expect("named").as_str(), "lab");
    }

    #[test]
    fn a_link_shares_the_address_most_pages_can_use() {
        let direct = RELAY.replace("tcp/9001/ws", "udp/9002/webrtc-direct");
        let secure =
            RELAY.replace("/ws", "/wss").replace("/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp", "");
        let link = link("https://a.example/", &[relay(&[&direct, RELAY, &secure])], "lab").expect("a relay is known");
        assert!(link.contains("/wss/p2p/12D3"), "{link}");
        assert!(super::link("https://a.example/", &[], "lab").is_none());
    }

    #[test]
    fn a_link_is_never_longer_than_what_is_read() {
        let long = |n: usize| format!("/dns4/{}.example/tcp/443/wss", "x".repeat(n));
        let [near, far] = [600, 3_000].map(|n| RELAY.replace("/ip4/127.0.0.1/tcp/9001/ws", &long(n)));
        assert_eq!(link("https://a.example/", &[relay(&[&far])], "lab"), None);
        let relays = ["1", "2", "3", "4"].map(|n| relay(&[&near.replace("/dns4/x", &format!("/dns4/{n}"))]));
        let link = link("https://a.example/", &relays, "lab").expect("some fit");
        let invite = parse(link.split_once('#').expect("a fragment").1).expect("well-formed").expect("an invite");
        assert_eq!(invite.relays.len(), 2);
    }

    #[test]
    fn several_relays_and_escapes_are_read() {
        let invite = parse(&format!("#join={}&join={RELAY}", RELAY.replace('/', "%2F"))).expect("well-formed");
        let invite = invite.expect("an invite");
        assert_eq!(invite.relays.len(), 2);
        assert_eq!(invite.relays[0], invite.relays[1]);
        assert_eq!(invite.network, None);
    }

    #[test]
    fn views_are_no_invitations() {
        for fragment in ["", "#", "#mesh", "#settings"] {
            assert_eq!(parse(fragment), Ok(None), "{fragment}");
        }
    }

    #[test]
    fn a_broken_link_says_what_is_wrong() {
        let check = |fragment: &str, expect: &str| {
            let problem = parse(fragment).expect_err(fragment);
            assert!(problem.what.contains(expect), "{fragment}: {}", problem.what);
            assert!(!problem.advice.is_empty());
        };
        check("#join=hello", "not a multiaddr");
        check("#join=", "does not end in /p2p");
        check("#join=/ip4/127.0.0.1/tcp/9001/ws", "does not end in /p2p");
        check("#network=lab", "names no relay");
        check(&format!("#join={RELAY}&network=Not%20A%20Name"), "not the name of a network");
        check(&format!("#join={}", "x".repeat(4_000)), "longer");
    }

    #[test]
    fn transports_are_told_apart() {
        let check = |addr: &str, expect: Transport| {
            assert_eq!(Transport::of(&addr.parse().expect("an address")), expect, "{addr}");
        };
        check("/ip4/1.2.3.4/tcp/80/ws", Transport::Websocket);
        check("/dns4/a.example/tcp/443/wss", Transport::SecureWebsocket);
        check("/dns4/a.example/tcp/443/tls/ws", Transport::SecureWebsocket);
        check("/ip4/1.2.3.4/udp/9/webrtc-direct", Transport::WebrtcDirect);
        check("/ip4/1.2.3.4/udp/9/quic-v1", Transport::Other);
    }
}
