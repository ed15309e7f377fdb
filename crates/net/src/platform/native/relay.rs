//! The behaviours only a native node has: a relay server, and mDNS.

use std::{collections::BTreeMap, num::NonZeroU32, time::Duration};

use libp2p::{Multiaddr, PeerId, mdns, relay};

use crate::{RelayServer, StartError};

/// A relay for others.
pub(crate) type ServerBehaviour = relay::Behaviour;
/// Finds peers on the local network.
pub(crate) type LocalDiscovery = mdns::tokio::Behaviour;

/// How long a reservation lasts before its holder renews it. libp2p's own.
const RESERVATION_DURATION: Duration = Duration::from_secs(3_600);

/// The relay server, when asked for.
pub(crate) fn relay_server(me: PeerId, limits: Option<&RelayServer>) -> Result<Option<ServerBehaviour>, StartError> {
    Ok(limits.map(|limits| {
        let mut server = relay::Behaviour::new(me, config(limits));
        // Else it would wait until somebody had confirmed an address from outside.
        server.set_status(Some(relay::Status::Enable));
        server
    }))
}

/// mDNS, when asked for.
pub(crate) fn local_discovery(me: PeerId, wanted: bool) -> Result<Option<LocalDiscovery>, StartError> {
    if !wanted {
        return Ok(None);
    }
    mdns::tokio::Behaviour::new(mdns::Config::default(), me).map(Some).map_err(|error| {
        StartError::Unsupported(format!("this machine does not allow mDNS ({error}); switch it off to start without"))
    })
}

/// Whom mDNS has found, each with all addresses at once.
pub(crate) fn discovered(event: mdns::Event) -> BTreeMap<PeerId, Vec<Multiaddr>> {
    let mut peers: BTreeMap<PeerId, Vec<Multiaddr>> = BTreeMap::new();
    if let mdns::Event::Discovered(found) = event {
        for (peer, addr) in found {
            peers.entry(peer).or_default().push(addr);
        }
    }
    peers
}

fn config(limits: &RelayServer) -> relay::Config {
    let mut config = relay::Config {
        max_reservations: limits.reservations_max,
        max_reservations_per_peer: limits.reservations_per_peer_max,
        reservation_duration: RESERVATION_DURATION,
        reservation_rate_limiters: Vec::new(),
        max_circuits: limits.circuits_max,
        max_circuits_per_peer: limits.circuits_per_peer_max,
        // libp2p panics above u32::MAX seconds.
        max_circuit_duration: Duration::from_secs(limits.circuit_duration_s.min(u32::MAX.into())),
        max_circuit_bytes: limits.circuit_bytes_max,
        circuit_src_rate_limiters: Vec::new(),
    };
    if let Some((limit, interval)) = per_minute(limits.reservations_per_ip_per_minute) {
        config = config.reservation_rate_per_ip(limit, interval);
    }
    if let Some((limit, interval)) = per_minute(limits.circuits_per_ip_per_minute) {
        config = config.circuit_src_per_ip(limit, interval);
    }
    config
}

/// A number of events a minute as libp2p's token buckets want it: the size of the bucket, and the
/// time in which one token comes back.
fn per_minute(limit: Option<u32>) -> Option<(NonZeroU32, Duration)> {
    let limit = NonZeroU32::new(limit?)?;
    Some((limit, (Duration::from_secs(60) / limit.get()).max(Duration::from_micros(1))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_counted_by_the_minute() {
        assert_eq!(per_minute(None), None);
        assert_eq!(per_minute(Some(0)), None);
        let (bucket, interval) = per_minute(Some(30)).expect("a limit");
        assert_eq!((bucket.get(), interval), (30, Duration::from_secs(2)));
    }

    #[test]
    fn the_default_limits_have_no_rate_per_address() {
        let config = config(&RelayServer::default());
        assert!(config.reservation_rate_limiters.is_empty() && config.circuit_src_rate_limiters.is_empty());
    }
}
