//! What a browser cannot do, under the names the native half has it: relay for others, find peers by
//! mDNS, listen on ports, be scraped.

use std::{collections::BTreeMap, convert::Infallible, io};

use libp2p::{
    Multiaddr, PeerId,
    swarm::{SwarmEvent, dummy},
};

use crate::{RelayServer, StartError, behaviour::BehaviourEvent};

/// No relay server.
pub(crate) type ServerBehaviour = dummy::Behaviour;
/// No mDNS.
pub(crate) type LocalDiscovery = dummy::Behaviour;

/// What a handle knows of its platform.
pub(crate) struct Extras {
    /// Why nothing will survive, if so.
    pub(crate) storage_note: Option<String>,
}

/// Nobody scrapes a page.
pub(crate) struct Metrics {}

impl Metrics {
    pub(crate) fn record(&self, _: &SwarmEvent<BehaviourEvent>) {}
}

/// Asking for one is an error.
pub(crate) fn relay_server(_: PeerId, limits: Option<&RelayServer>) -> Result<Option<ServerBehaviour>, StartError> {
    absent(limits.is_some(), "a browser cannot relay for others; run mycomesh-relay on a server")
}

/// Asking for it is an error.
pub(crate) fn local_discovery(_: PeerId, wanted: bool) -> Result<Option<LocalDiscovery>, StartError> {
    absent(wanted, "a browser has no mDNS; use a relay to find peers")
}

/// Nobody is found.
pub(crate) fn discovered(event: Infallible) -> BTreeMap<PeerId, Vec<Multiaddr>> {
    match event {}
}

/// No address can be listened on.
pub(crate) fn check_listen(_: &Multiaddr) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "a browser cannot listen on ports"))
}

fn absent<T>(wanted: bool, why: &str) -> Result<Option<T>, StartError> {
    if wanted { Err(StartError::Unsupported(why.into())) } else { Ok(None) }
}
