//! What people type, paste or put into files: invite links, addresses, names, the relay's configuration.

use multiaddr::{Multiaddr, Protocol};
use mycomesh_core::{
    invite::{self, Transport},
    io::Path,
    snapshot::RelayView,
    wire::{Network, Skill, TaskId},
};

/// The part of a page's address after `#`.
pub fn invite(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let invite = match invite::parse(&text) {
        Ok(Some(invite)) => invite,
        Ok(None) => return assert!(!invite::is_invite(&text)),
        Err(problem) => return assert!(!problem.what.is_empty() && !problem.advice.is_empty()),
    };
    assert!(!invite.relays.is_empty() && text.len() < 4_096);
    let network = invite.network.unwrap_or_default();
    for addr in invite.relays {
        let Some(Protocol::P2p(peer_id)) = addr.iter().last() else { panic!("{addr} names no peer") };
        let relay = RelayView { peer_id, addrs: vec![addr.clone()], path: Path::of(&addr), rtt: None, reserved: true };
        let Some(link) = invite::link("http://127.0.0.1/#mesh", &[relay], network.as_str()) else {
            // Escapes make it longer than it was.
            assert!(addr.to_string().len() * 3 > text.len(), "an address that came in a link fits into one: {addr}");
            continue;
        };
        let (_, fragment) = link.split_once('#').expect("a fragment");
        let again = invite::parse(fragment).expect("our own link can be used").expect("it is an invitation");
        assert_eq!((again.relays, again.network), (vec![addr], Some(network.clone())), "{link}");
    }
}

/// An address, as bytes in a presence or as text.
pub fn address(data: &[u8]) {
    if let Ok(addr) = Multiaddr::try_from(data.to_vec()) {
        assert_eq!(addr.to_vec(), data, "an address is kept as it travelled");
        read(&addr);
    }
    let Ok(addr) = String::from_utf8_lossy(data).parse::<Multiaddr>() else { return };
    read(&addr);
    assert_eq!(Multiaddr::try_from(addr.to_vec()).ok().as_ref(), Some(&addr), "what was typed can be sent");
}

/// Everything that looks into addresses of others.
fn read(addr: &Multiaddr) {
    let parts: Multiaddr = addr.iter().collect();
    assert_eq!(Path::of(&parts), Path::of(addr));
    let is_websocket = matches!(Transport::of(addr), Transport::Websocket | Transport::SecureWebsocket);
    let has_websocket = addr.iter().any(|part| matches!(part, Protocol::Ws(_) | Protocol::Wss(_)));
    assert!(has_websocket || !is_websocket);
    // Shown to people, and looked for in logs.
    assert!(addr.to_string().is_empty() == addr.is_empty());
}

/// Names and ids as text.
pub fn names(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(task) = text.parse::<TaskId>() {
        assert_eq!(task.to_string(), text.to_ascii_lowercase(), "an id has one way to be written, but for its case");
    }
    if let Ok(skill) = Skill::new(&text) {
        assert_eq!(skill.as_str(), text);
    }
    if let Ok(network) = Network::new(&text) {
        assert_eq!(network.as_str(), text);
        assert_eq!(invite::network_name(&text), Ok(network));
    }
}

/// The relay's configuration file.
#[cfg(feature = "relay")]
pub fn config(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match mycomesh_relay::effective_config(&text) {
        Ok(printed) => {
            let again = mycomesh_relay::effective_config(&printed);
            assert_eq!(again.as_ref(), Ok(&printed), "what is printed is what is read");
        }
        Err(line) => assert!(!line.is_empty() && !line.contains('\n'), "a mistake is told in one line: {line:?}"),
    }
}
