//! The shape of the network at the end: who is linked with whom. Once it is whole, everybody who plays by the rules can
//! be reached from everybody else by way of such peers; the rest are figures.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{Checker, Figures, Observation, View};
use crate::{gossip::PeerNo, peer::Peer};

/// Looks at the links when all is over, and judges them once nothing breaks.
#[derive(Debug, Default)]
pub(super) struct Shape;

/// Distances are measured from so many peers; more would take long and change little.
const SOURCES_MAX: usize = 100;

type Graph = BTreeMap<PeerNo, BTreeSet<PeerNo>>;

impl Checker for Shape {
    fn name(&self) -> &'static str {
        "shape"
    }

    fn observe(&mut self, _view: &View<'_>, _observation: &Observation<'_>) -> Result<(), String> {
        Ok(())
    }

    fn finish(&mut self, view: &View<'_>) -> Result<Figures, String> {
        let graph = graph_of(view, |_| true);
        if view.healed.is_some()
            && let Some((from, to)) = apart(&graph_of(view, Peer::is_honest))
        {
            return Err(format!("there is no way from peer {} to peer {} but by hostile ones", from.0, to.0));
        }
        let links: u64 = graph.values().map(|ends| ends.len() as u64).sum();
        let (reached, steps, efficiency, longest) = distances(&graph);
        let pairs = graph.len().min(SOURCES_MAX) as u64 * (graph.len() as u64).saturating_sub(1);
        let milli = |sum: u64, count: u64| (sum * 1_000).checked_div(count).unwrap_or(0);
        Ok([
            ("peers", graph.len() as u64),
            ("links", links / 2),
            ("degree_mean_milli", milli(links, graph.len() as u64)),
            ("degree_max", graph.values().map(|ends| ends.len() as u64).max().unwrap_or(0)),
            ("clustering_milli", clustering(&graph)),
            ("path_length_mean_milli", milli(steps, reached)),
            ("path_length_max", longest),
            // The mean of one over the distance, which is zero for pairs without a way.
            ("flow_efficiency_milli", efficiency.checked_div(pairs).unwrap_or(0)),
            ("pairs_without_a_way", pairs.saturating_sub(reached)),
        ]
        .into())
    }
}

fn graph_of(view: &View<'_>, who: impl Fn(&Peer) -> bool) -> Graph {
    let peers = view.peers.iter().filter(|peer| peer.alive && who(peer));
    peers.map(|peer| (peer.no, peer.links.keys().copied().collect())).collect()
}

/// Two peers without a way between them.
fn apart(graph: &Graph) -> Option<(PeerNo, PeerNo)> {
    let first = *graph.keys().next()?;
    let (mut seen, mut next) = (BTreeSet::from([first]), vec![first]);
    while let Some(at) = next.pop() {
        next.extend(graph[&at].iter().filter(|end| graph.contains_key(end) && seen.insert(**end)));
    }
    graph.keys().find(|peer| !seen.contains(peer)).map(|peer| (first, *peer))
}

/// Pairs with a way, the sum of their distances, of a thousandth over each, and the longest.
fn distances(graph: &Graph) -> (u64, u64, u64, u64) {
    let (mut reached, mut steps, mut efficiency, mut longest) = (0, 0, 0, 0);
    for source in graph.keys().take(SOURCES_MAX) {
        let mut seen = BTreeMap::from([(*source, 0_u64)]);
        let mut queue = VecDeque::from([*source]);
        while let Some(at) = queue.pop_front() {
            let distance = seen[&at] + 1;
            for next in graph.get(&at).into_iter().flatten() {
                if graph.contains_key(next) && !seen.contains_key(next) {
                    seen.insert(*next, distance);
                    queue.push_back(*next);
                    reached += 1;
                    steps += distance;
                    efficiency += 1_000 / distance;
                    longest = longest.max(distance);
                }
            }
        }
    }
    (reached, steps, efficiency, longest)
}

/// How many of a peer's neighbours are linked with each other, on average, in thousandths (Watts and Strogatz, 1998).
fn clustering(graph: &Graph) -> u64 {
    let (mut sum, mut count) = (0, 0);
    for ends in graph.values() {
        let degree = ends.len() as u64;
        if degree < 2 {
            continue;
        }
        let linked = |end: &PeerNo| graph.get(end).map_or(0, |others| others.intersection(ends).count() as u64);
        let among: u64 = ends.iter().map(linked).sum();
        sum += among * 1_000 / (degree * (degree - 1));
        count += 1;
    }
    sum.checked_div(count).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(links: &[(u32, u32)]) -> Graph {
        let mut graph = Graph::new();
        for (a, b) in links {
            graph.entry(PeerNo(*a)).or_default().insert(PeerNo(*b));
            graph.entry(PeerNo(*b)).or_default().insert(PeerNo(*a));
        }
        graph
    }

    #[test]
    fn a_triangle_is_clustered_and_a_line_is_not() {
        assert_eq!(clustering(&graph(&[(0, 1), (1, 2), (2, 0)])), 1_000);
        assert_eq!(clustering(&graph(&[(0, 1), (1, 2)])), 0);
    }

    #[test]
    fn two_lines_are_apart_and_one_is_not() {
        assert_eq!(apart(&graph(&[(0, 1), (1, 2)])), None);
        assert_eq!(apart(&graph(&[(0, 1), (2, 3)])), Some((PeerNo(0), PeerNo(2))));
    }

    #[test]
    fn distances_of_a_line() {
        // 0-1, 1-2: four ordered pairs at one step, two at two.
        assert_eq!(distances(&graph(&[(0, 1), (1, 2)])), (6, 8, 4 * 1_000 + 2 * 500, 2));
    }
}
