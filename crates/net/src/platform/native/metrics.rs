//! What an operator may want to count. Only a native node has somebody who scrapes it.

use std::{
    fmt::{self, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use libp2p::{
    metrics::{Recorder, Registry},
    relay,
    swarm::SwarmEvent,
};
use prometheus_client::encoding::text::{encode_eof, encode_registry};

use crate::{Handle, behaviour::BehaviourEvent};

/// What the relay server of this node has done since start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RelayStats {
    /// Reservations held now.
    pub reservations: u64,
    /// Circuits open now.
    pub circuits: u64,
    /// Reservations refused: the relay is full, or somebody asks too often.
    pub reservations_denied: u64,
    /// Circuits refused: the relay is full, or the peer asked for is not here.
    pub circuits_denied: u64,
    /// Bytes sent on all connections of this node, relayed or its own: libp2p does not tell them
    /// apart.
    pub bytes_sent: u64,
    /// Bytes received on all connections of this node, relayed or its own.
    pub bytes_received: u64,
}

/// What a handle knows of its platform.
pub(crate) struct Extras {
    /// Why nothing will survive, if so. Natively that is the owner's own choice and needs no note.
    pub(crate) storage_note: Option<String>,
    books: Arc<Books>,
}

/// The driver's end: every event is recorded here.
pub(crate) struct Metrics {
    libp2p: libp2p::metrics::Metrics,
    books: Arc<Books>,
}

/// Shared by both.
struct Books {
    events: Mutex<Registry>,
    /// Apart from the rest, so that its totals can be read without encoding everything.
    bandwidth: Mutex<Registry>,
    relay: Mutex<RelayStats>,
}

/// Both ends, once the transport has registered its own counters in `bandwidth`.
pub(crate) fn metrics(bandwidth: Registry) -> (Metrics, Extras) {
    let mut events = Registry::default();
    let libp2p = libp2p::metrics::Metrics::new(&mut events);
    let books = Arc::new(Books {
        events: Mutex::new(events),
        bandwidth: Mutex::new(bandwidth),
        relay: Mutex::new(RelayStats::default()),
    });
    (Metrics { libp2p, books: books.clone() }, Extras { storage_note: None, books })
}

impl Metrics {
    pub(crate) fn record(&self, event: &SwarmEvent<BehaviourEvent>) {
        self.libp2p.record(event);
        let SwarmEvent::Behaviour(event) = event else { return };
        match event {
            BehaviourEvent::Gossip(event) => self.libp2p.record(event),
            BehaviourEvent::Identify(event) => self.libp2p.record(event),
            BehaviourEvent::Kad(event) => self.libp2p.record(event),
            BehaviourEvent::Ping(event) => self.libp2p.record(event),
            BehaviourEvent::Server(event) => {
                self.libp2p.record(event);
                lock(&self.books.relay).count(event);
            }
            _ => {}
        }
    }
}

impl RelayStats {
    fn count(&mut self, event: &relay::Event) {
        match event {
            relay::Event::ReservationReqAccepted { renewed: false, .. } => self.reservations += 1,
            relay::Event::ReservationReqDenied { .. } => self.reservations_denied += 1,
            relay::Event::ReservationClosed { .. } | relay::Event::ReservationTimedOut { .. } => {
                self.reservations = self.reservations.saturating_sub(1);
            }
            relay::Event::CircuitReqAccepted { .. } => self.circuits += 1,
            relay::Event::CircuitReqDenied { .. } => self.circuits_denied += 1,
            relay::Event::CircuitClosed { .. } => self.circuits = self.circuits.saturating_sub(1),
            _ => {}
        }
    }
}

impl Handle {
    /// What the relay server has done; its own figures are zero while it is off. Native only.
    pub fn relay_stats(&self) -> RelayStats {
        let books = &self.inner.extras.books;
        let mut text = String::new();
        // Writing into a string cannot fail.
        let _ = encode_registry(&mut text, &lock(&books.bandwidth));
        let (bytes_received, bytes_sent) = bandwidth(&text);
        RelayStats { bytes_received, bytes_sent, ..*lock(&books.relay) }
    }

    /// libp2p's metrics in OpenMetrics text, ending in `# EOF`. Native only.
    pub fn encode_metrics(&self) -> String {
        let mut text = String::new();
        if self.write_metrics(&mut text).is_err() {
            tracing::error!("the metrics could not be encoded");
        }
        text
    }

    fn write_metrics(&self, text: &mut impl Write) -> fmt::Result {
        let books = &self.inner.extras.books;
        encode_registry(text, &lock(&books.events))?;
        encode_registry(text, &lock(&books.bandwidth))?;
        encode_eof(text)
    }
}

/// Bytes in and out, summed over all protocol stacks. libp2p keeps the counters to itself, so they are
/// read from the text they are published as.
fn bandwidth(text: &str) -> (u64, u64) {
    let mut sums = (0, 0);
    for line in text.lines().filter(|line| line.starts_with("libp2p_bandwidth_bytes_total{")) {
        let Some(value) = line.rsplit(' ').next().and_then(|value| value.parse::<u64>().ok()) else { continue };
        if line.contains("direction=\"Inbound\"") {
            sums.0 += value;
        } else {
            sums.1 += value;
        }
    }
    sums
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_summed_by_direction() {
        let text = "# UNIT libp2p_bandwidth_bytes bytes\n\
            libp2p_bandwidth_bytes_total{protocols=\"/ip4/tcp\",direction=\"Inbound\"} 3\n\
            libp2p_bandwidth_bytes_total{protocols=\"/ip4/tcp/ws\",direction=\"Inbound\"} 4\n\
            libp2p_bandwidth_bytes_total{protocols=\"/ip4/tcp/ws\",direction=\"Outbound\"} 5\n";
        assert_eq!(bandwidth(text), (7, 5));
    }
}
