//! Where to join: an invitation, the relays saved in the settings, or the relay that served the page.
//! Pure: [`crate::session`] brings what was fetched and carries the plan out.

use std::collections::BTreeSet;

use libp2p_identity::PeerId;
use multiaddr::{Multiaddr, Protocol};
use mycomesh_core::{limits::RELAYS_MAX, snapshot::Problem, wire::Network};
use serde::Deserialize;

use crate::invite::{Invite, Transport};

/// What a relay says of itself at `/.well-known/mycomesh.json`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct WellKnown {
    /// The network it serves.
    pub network: Network,
    /// Its id.
    pub peer_id: PeerId,
    /// Where it listens; what this version cannot read is skipped.
    pub addresses: Vec<String>,
}

impl WellKnown {
    /// Read the file.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        serde_json::from_str(text).map_err(|error| Problem {
            what: format!("This site's relay describes itself in a way this page does not understand ({error})."),
            advice: "Reload the page; if it stays so, the site mixes versions: tell whoever runs it.".into(),
        })
    }

    fn relays(&self) -> Vec<Multiaddr> {
        let addrs = self.addresses.iter().filter_map(|addr| addr.parse::<Multiaddr>().ok());
        addrs
            .map(|addr| match addr.iter().last() {
                Some(Protocol::P2p(_)) => addr,
                _ => addr.with(Protocol::P2p(self.peer_id)),
            })
            .collect()
    }
}

/// What the settings say about joining.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Saved {
    /// Relays; none for the site's own.
    pub relays: Vec<Multiaddr>,
    /// The network; none for the one the site serves.
    pub network: Option<Network>,
}

/// Everything that decides where to join.
#[derive(Clone, Debug)]
pub struct Sources {
    /// From the link, or remembered for this tab.
    pub invite: Option<Invite>,
    /// From the settings.
    pub saved: Saved,
    /// From this page's own site.
    pub site: Result<WellKnown, Problem>,
    /// Whether the page came over HTTPS and so may only use secure transports.
    pub https: bool,
}

/// Where to join, and what to tell the person about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The network.
    pub network: Network,
    /// Relays, best address first, each ending in `/p2p/<relay>`.
    pub relays: Vec<Multiaddr>,
    /// What is wrong with it.
    pub problem: Option<Problem>,
}

/// Decide where to join.
pub fn plan(sources: Sources) -> Plan {
    let site_network = sources.site.as_ref().ok().map(|site| site.network.clone());
    let (network, relays) = match &sources.invite {
        Some(invite) => (invite.network.clone(), invite.relays.clone()),
        None if sources.saved.relays.is_empty() => {
            (sources.saved.network.clone(), sources.site.as_ref().map(WellKnown::relays).unwrap_or_default())
        }
        None => (sources.saved.network.clone(), sources.saved.relays.clone()),
    };
    let network = network.or(site_network).unwrap_or_default();
    let usable = usable(&relays, sources.https);
    let problem = if relays.is_empty() {
        Some(sources.site.err().unwrap_or_else(|| Problem {
            what: "This site's relay names no address.".into(),
            advice: "Enter a relay's address in Settings, or tell whoever runs the site.".into(),
        }))
    } else if usable.is_empty() {
        Some(unusable(sources.https))
    } else {
        wrong_network(&sources.site, &network, &usable)
    };
    Plan { network, relays: usable, problem }
}

/// The addresses this page can dial, best first, of [`RELAYS_MAX`] relays at most.
pub fn usable(relays: &[Multiaddr], https: bool) -> Vec<Multiaddr> {
    let rank = |addr: &Multiaddr| match (Transport::of(addr), https) {
        (Transport::SecureWebsocket, _) => Some(0),
        (Transport::Websocket, false) => Some(1),
        (Transport::WebrtcDirect, _) => Some(2),
        _ => None,
    };
    let mut ranked: Vec<(u8, Multiaddr)> = Vec::new();
    for addr in relays {
        match rank(addr) {
            Some(rank) if ranked.iter().all(|(_, known)| known != addr) => ranked.push((rank, addr.clone())),
            _ => {}
        }
    }
    ranked.sort_by_key(|(rank, _)| *rank);
    let mut peers = BTreeSet::new();
    ranked.retain(|(_, addr)| match addr.iter().last() {
        Some(Protocol::P2p(peer)) => peers.contains(&peer) || (peers.len() < RELAYS_MAX && peers.insert(peer)),
        _ => false,
    });
    ranked.into_iter().map(|(_, addr)| addr).collect()
}

/// What to say when no address can be used.
pub fn unusable(https: bool) -> Problem {
    if https {
        Problem {
            what: "The relay's addresses cannot be used from a page that came over HTTPS.".into(),
            advice: "The relay needs a /wss address (a TLS proxy in front of it) or /webrtc-direct.".into(),
        }
    } else {
        Problem {
            what: "None of the relay's addresses can be used by a browser.".into(),
            advice: "Use one with /ws, /wss or /webrtc-direct; TCP and QUIC are for programs.".into(),
        }
    }
}

fn wrong_network(site: &Result<WellKnown, Problem>, network: &Network, relays: &[Multiaddr]) -> Option<Problem> {
    let site = site.as_ref().ok()?;
    let same_relay = relays.iter().any(|addr| addr.iter().last() == Some(Protocol::P2p(site.peer_id)));
    (same_relay && site.network != *network).then(|| Problem {
        what: format!("You asked for the network “{network}”, but this relay serves “{}”.", site.network),
        advice: "Ask for a new link, or choose “Use this site's relay” in Settings.".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp";
    const OTHER: &str = "12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo";

    fn site() -> WellKnown {
        WellKnown::parse(&format!(
            r#"{{"network":"lab","peer_id":"{ID}","addresses":["/ip4/10.0.0.1/udp/3/webrtc-direct",
                "/ip4/10.0.0.1/tcp/2/ws/p2p/{ID}","/ip4/10.0.0.1/tcp/1","/nonsense/1"],"later":1}}"#
        ))
        .expect("well-formed")
    }

    fn sources() -> Sources {
        Sources { invite: None, saved: Saved::default(), site: Ok(site()), https: false }
    }

    fn addr(text: &str) -> Multiaddr {
        text.parse().expect("an address")
    }

    fn shown(plan: &Plan) -> Vec<String> {
        plan.relays.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_site_is_joined_by_itself() {
        let plan = plan(sources());
        assert_eq!(plan.network.as_str(), "lab");
        assert_eq!(
            shown(&plan),
            [format!("/ip4/10.0.0.1/tcp/2/ws/p2p/{ID}"), format!("/ip4/10.0.0.1/udp/3/webrtc-direct/p2p/{ID}")]
        );
        assert_eq!(plan.problem, None);
    }

    #[test]
    fn https_uses_secure_transports_only() {
        let plan = plan(Sources { https: true, ..sources() });
        assert_eq!(shown(&plan), [format!("/ip4/10.0.0.1/udp/3/webrtc-direct/p2p/{ID}")]);
        let only_ws = vec![addr(&format!("/ip4/10.0.0.1/tcp/2/ws/p2p/{ID}"))];
        let plan = super::plan(Sources { saved: Saved { relays: only_ws, network: None }, https: true, ..sources() });
        assert!(plan.relays.is_empty());
        assert!(plan.problem.expect("told").what.contains("HTTPS"));
    }

    #[test]
    fn an_invitation_goes_before_settings_and_site() {
        let relay = addr(&format!("/ip4/10.0.0.9/tcp/2/ws/p2p/{OTHER}"));
        let invite = Invite { relays: vec![relay.clone()], network: Some(Network::new("club").expect("a name")) };
        let saved = Saved { relays: vec![addr(&format!("/ip4/10.0.0.8/tcp/2/ws/p2p/{OTHER}"))], network: None };
        let plan = plan(Sources { invite: Some(invite), saved, ..sources() });
        assert_eq!(plan, Plan { network: Network::new("club").expect("a name"), relays: vec![relay], problem: None });
    }

    #[test]
    fn saved_relays_may_name_their_network() {
        let relays = vec![addr(&format!("/ip4/10.0.0.8/tcp/2/ws/p2p/{OTHER}"))];
        let saved = Saved { relays: relays.clone(), network: Some(Network::new("club").expect("a name")) };
        let plan = plan(Sources { saved, ..sources() });
        assert_eq!((plan.network.as_str(), plan.relays, plan.problem), ("club", relays, None));
    }

    #[test]
    fn a_wrong_network_name_is_told() {
        let relay = addr(&format!("/ip4/10.0.0.1/tcp/2/ws/p2p/{ID}"));
        let invite = Invite { relays: vec![relay], network: Some(Network::new("club").expect("a name")) };
        let plan = plan(Sources { invite: Some(invite), ..sources() });
        assert!(plan.problem.expect("told").what.contains("serves “lab”"));
    }

    #[test]
    fn without_a_site_the_page_says_so_and_a_saved_relay_helps() {
        let gone = Problem { what: "gone".into(), advice: "wait".into() };
        let alone = plan(Sources { site: Err(gone.clone()), ..sources() });
        assert_eq!((alone.relays.len(), alone.problem), (0, Some(gone.clone())));
        let saved = Saved { relays: vec![addr(&format!("/ip4/10.0.0.8/tcp/2/ws/p2p/{OTHER}"))], network: None };
        assert_eq!(plan(Sources { site: Err(gone), saved, ..sources() }).problem, None);
    }

    #[test]
    fn a_malformed_description_is_told() {
        assert!(WellKnown::parse("{}").is_err());
        assert!(WellKnown::parse("<html>").expect_err("not JSON").what.contains("does not understand"));
    }

    #[test]
    fn at_most_three_relays_are_used() {
        let relays: Vec<Multiaddr> = (0..5u8)
            .map(|n| {
                let key = libp2p_identity::Keypair::ed25519_from_bytes([n; 32]).expect("a key");
                addr(&format!("/ip4/10.0.0.{n}/tcp/2/ws/p2p/{}", key.public().to_peer_id()))
            })
            .collect();
        assert_eq!(usable(&relays, false).len(), RELAYS_MAX);
    }
}
