//! `/metrics` in OpenMetrics text: libp2p's own figures, then the mesh's.

use std::fmt;

use mycomesh_core::snapshot::{Counters, SecurityKind, Snapshot, Status, StorageView};
use mycomesh_net::{Handle, RelayStats};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _, text},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};

/// The content type of OpenMetrics text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// How OpenMetrics text ends.
const END: &str = "# EOF\n";

/// Everything there is to measure, now.
pub fn encode(node: &Handle) -> String {
    let mut text = node.encode_metrics();
    text.truncate(text.trim_end().trim_end_matches(END.trim_end()).len());
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(&ours(Figures::of(&node.snapshot(), node.relay_stats())));
    text
}

/// One reading of the mesh's own figures.
#[derive(Debug)]
struct Figures {
    peers: [(Status, u64); 5],
    counters: Counters,
    relay: RelayStats,
    storage: StorageView,
}

impl Figures {
    fn of(snapshot: &Snapshot, relay: RelayStats) -> Self {
        let states = [Status::Idle, Status::Reputable, Status::Busy, Status::Offline, Status::Unknown];
        let peers = states.map(|status| (status, snapshot.bar.segment(status).count.into()));
        Self { peers, counters: *snapshot.counters, relay, storage: snapshot.storage }
    }
}

fn ours(figures: Figures) -> String {
    let mut registry = Registry::with_prefix("mycomesh");
    registry.register_collector(Box::new(figures));
    let mut out = String::new();
    text::encode(&mut out, &registry).expect("a string takes every write");
    out
}

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let Self { peers, counters, relay, storage } = self;
        let by_state: Vec<_> = peers.iter().map(|(status, count)| (status.as_str(), *count)).collect();
        gauges(&mut encoder, "peers", "Agents by the state this relay sees them in", "state", &by_state)?;
        let kept = [("tasks", storage.tasks_bytes), ("receipts", storage.receipts_bytes)];
        gauges(&mut encoder, "storage_bytes", "Bytes kept, by what", "what", &kept)?;
        let limits = [("tasks", storage.tasks_bytes_max), ("receipts", storage.receipts_bytes_max)];
        gauges(&mut encoder, "storage_bytes_max", "Bytes that may be kept, by what", "what", &limits)?;
        gauge(&mut encoder, "relay_reservations", "Reservations held now", relay.reservations)?;
        gauge(&mut encoder, "relay_circuits", "Relayed connections now", relay.circuits)?;
        let denied = [("reservation", relay.reservations_denied), ("circuit", relay.circuits_denied)];
        counters_by(&mut encoder, "relay_denials", "Requests the relay refused", "what", &denied)?;
        let bytes = [("sent", relay.bytes_sent), ("received", relay.bytes_received)];
        counters_by(&mut encoder, "transport_bytes", "Bytes on all connections, relayed ones included", "way", &bytes)?;
        let frames = [
            ("accepted", counters.gossip_accepted),
            ("ignored", counters.gossip_ignored),
            ("rejected", counters.gossip_rejected),
        ];
        counters_by(&mut encoder, "gossip_frames", "Gossip frames by verdict", "verdict", &frames)?;
        let requests = [
            ("served", counters.requests_served),
            ("refused", counters.requests_refused - counters.excess_requests),
            ("excess", counters.excess_requests),
        ];
        counters_by(&mut encoder, "requests", "Requests of other peers", "outcome", &requests)?;
        let objects = [
            ("replayed", counters.replays),
            ("expired", counters.expired),
            ("forged", counters.forged),
            ("excess", counters.excess_objects),
            ("quarantined", counters.quarantined_objects),
        ];
        counters_by(&mut encoder, "objects_dropped", "Signed objects not taken", "why", &objects)?;
        let security = SecurityKind::ALL.map(|kind| (kind.as_str(), counters.security.of(kind)));
        counters_by(&mut encoder, "security_events", "What other peers did wrong", "kind", &security)
    }
}

fn gauge(encoder: &mut DescriptorEncoder, name: &str, help: &str, value: u64) -> fmt::Result {
    let gauge = ConstGauge::new(value);
    gauge.encode(encoder.encode_descriptor(name, help, None, prometheus_client::metrics::MetricType::Gauge)?)
}

fn gauges(encoder: &mut DescriptorEncoder, name: &str, help: &str, label: &str, values: &[(&str, u64)]) -> fmt::Result {
    let kind = prometheus_client::metrics::MetricType::Gauge;
    let mut family = encoder.encode_descriptor(name, help, None, kind)?;
    values.iter().try_for_each(|(value_of_label, value)| {
        ConstGauge::new(*value).encode(family.encode_family(&[(label, *value_of_label)])?)
    })
}

fn counters_by(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    label: &str,
    values: &[(&str, u64)],
) -> fmt::Result {
    let kind = prometheus_client::metrics::MetricType::Counter;
    let mut family = encoder.encode_descriptor(name, help, None, kind)?;
    values.iter().try_for_each(|(value_of_label, value)| {
        ConstCounter::new(*value).encode(family.encode_family(&[(label, *value_of_label)])?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_is_named_and_labelled() {
        let peers =
            [(Status::Idle, 3), (Status::Reputable, 2), (Status::Busy, 1), (Status::Offline, 0), (Status::Unknown, 9)];
        let counters = Counters {
            gossip_rejected: 7,
            requests_refused: 13,
            excess_requests: 8,
            quarantined_objects: 10,
            ..Counters::default()
        };
        let relay = RelayStats { circuits: 4, reservations_denied: 5, bytes_sent: 6, ..RelayStats::default() };
        let storage = StorageView { receipts_bytes: 11, receipts_bytes_max: 12, ..StorageView::default() };
        let text = ours(Figures { peers, counters, relay, storage });
        for line in [
            "mycomesh_peers{state=\"idle\"} 3",
            "mycomesh_peers{state=\"unknown\"} 9",
            "mycomesh_storage_bytes{what=\"receipts\"} 11",
            "mycomesh_storage_bytes_max{what=\"receipts\"} 12",
            "mycomesh_relay_circuits 4",
            "mycomesh_relay_denials_total{what=\"reservation\"} 5",
            "mycomesh_transport_bytes_total{way=\"sent\"} 6",
            "mycomesh_gossip_frames_total{verdict=\"rejected\"} 7",
            "mycomesh_requests_total{outcome=\"excess\"} 8",
            "mycomesh_requests_total{outcome=\"refused\"} 5",
            "mycomesh_objects_dropped_total{why=\"quarantined\"} 10",
            "mycomesh_security_events_total{kind=\"forged\"} 0",
            "mycomesh_security_events_total{kind=\"quarantined\"} 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
        assert!(text.ends_with(END));
    }
}
