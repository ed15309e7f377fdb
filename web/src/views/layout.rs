//! Where the graph's nodes are: what to draw, and a force layout that comes to rest.

use std::collections::BTreeMap;

use fjadra::{Collide, Link, ManyBody, Node, PositionX, PositionY, Simulation, SimulationBuilder};
use libp2p_identity::PeerId;
use mycomesh_core::{
    io::Path,
    snapshot::{PeerView, Status, Table},
};

use crate::words;

/// Nodes drawn at most; more than that is no longer a picture, and the table has them all.
pub const NODES_MAX: usize = 80;
/// Half the width and height of a drawing, in its own units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Canvas(pub [f64; 2]);

impl Canvas {
    /// Beside the bar on an ordinary screen.
    pub const WIDE: Self = Self([420.0, 210.0]);
    /// On a telephone.
    pub const NARROW: Self = Self([215.0, 235.0]);

    /// Up to how many nodes names can be read; beyond, they show on hover.
    pub fn names_max(self) -> usize {
        if self == Self::WIDE { 28 } else { 14 }
    }

    /// How far apart things are, the wide canvas being 1.
    fn scale(self) -> f64 {
        (self.0[0] / Self::WIDE.0[0]).max(0.7)
    }
}

/// Room for a node and its label at the edge.
const MARGIN: [f64; 2] = [46.0, 26.0];

/// One peer to draw.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawn {
    /// The peer.
    pub peer: PeerId,
    /// What to call it.
    pub name: String,
    /// Its state.
    pub status: Status,
    /// Whether it is a pure relay.
    pub relay: bool,
    /// How it is reached.
    pub path: Path,
    /// Why it is only relayed.
    pub relayed_because: Option<String>,
}

/// What there is to draw around this peer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Picture {
    /// The peers, best connected first.
    pub nodes: Vec<Drawn>,
    /// Peers that are here and found no room.
    pub left_out: usize,
}

impl Picture {
    /// Choose what to draw: everybody who is not offline, connected ones first.
    pub fn of(peers: &Table<PeerView>) -> Self {
        let here = |peer: &&PeerView| peer.status != Status::Offline || peer.path != Path::None;
        let mut rows: Vec<&PeerView> = peers.rows.iter().filter(here).collect();
        rows.sort_by_key(|peer| (!peer.is_relay, peer.path == Path::None, peer.peer_id));
        let cut = peers.total.saturating_sub(peers.rows.len());
        let left_out = rows.len().saturating_sub(NODES_MAX) + cut;
        rows.truncate(NODES_MAX);
        let nodes = rows
            .into_iter()
            .map(|peer| Drawn {
                peer: peer.peer_id,
                name: if peer.is_relay {
                    "relay".to_owned()
                } else {
                    words::called(peer.name.as_deref(), &peer.peer_id)
                },
                status: peer.status,
                relay: peer.is_relay,
                path: peer.path,
                relayed_because: peer.path_reason.clone().filter(|_| peer.path == Path::Relayed),
            })
            .collect();
        Self { nodes, left_out }
    }

    /// What the layout depends on: who is there, and how far from the centre.
    fn shape(&self) -> Vec<(PeerId, Reach)> {
        self.nodes.iter().map(|node| (node.peer, Reach::of(node.path))).collect()
    }
}

/// How far from the centre a peer belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    Direct,
    Relayed,
    None,
}

impl Reach {
    fn of(path: Path) -> Self {
        match path {
            Path::None => Self::None,
            Path::Relayed => Self::Relayed,
            _ => Self::Direct,
        }
    }

    fn distance(self) -> f64 {
        match self {
            Self::Direct => 135.0,
            Self::Relayed => 200.0,
            Self::None => 250.0,
        }
    }
}

/// A layout in motion or at rest.
pub struct Layout {
    canvas: Canvas,
    shape: Vec<(PeerId, Reach)>,
    simulation: Simulation,
}

impl Layout {
    /// Lay out `picture`, beginning where `before` had the same peers.
    pub fn new(picture: &Picture, canvas: Canvas, before: Option<&Self>) -> Self {
        let scale = canvas.scale();
        let known: BTreeMap<PeerId, [f64; 2]> = before.map(Self::places).unwrap_or_default();
        let shape = picture.shape();
        let moved = shape.iter().filter(|(peer, _)| !known.contains_key(peer)).count();
        // This peer is number 0 and stays in the centre.
        let nodes = std::iter::once(Node::default().fixed_position(0.0, 0.0)).chain(shape.iter().enumerate().map(
            |(n, (peer, reach))| {
                let [x, y] = known.get(peer).copied().unwrap_or_else(|| first_place(n, reach.distance() * scale));
                Node::default().position(x, y)
            },
        ));
        let distances: Vec<f64> = shape.iter().map(|(_, reach)| reach.distance() * scale).collect();
        let links = Link::new((0..shape.len()).map(|n| (0, n + 1)))
            .distance(move |_: &_, n: usize| distances.get(n).copied().unwrap_or(150.0))
            .strength(|_: &_, _: usize| 0.5);
        let alpha = if moved == 0 { 0.3 } else { 0.8 };
        let simulation = SimulationBuilder::default()
            .with_alpha(alpha)
            .with_alpha_min(0.01)
            .with_alpha_decay(0.03)
            .build(nodes)
            .add_force("links", links)
            .add_force("charge", ManyBody::new().strength(-340.0 * scale))
            .add_force("collide", Collide::new().radius(|_| 26.0))
            .add_force("x", PositionX::new().strength(0.012))
            .add_force("y", PositionY::new().strength(0.06));
        Self { canvas, shape, simulation }
    }

    /// Whether `picture` has the same peers at the same distances.
    pub fn fits(&self, picture: &Picture) -> bool {
        self.shape == picture.shape()
    }

    /// Go on a little; false once at rest.
    pub fn step(&mut self) -> bool {
        if self.simulation.is_finished() {
            return false;
        }
        self.simulation.tick(2);
        true
    }

    /// Go on until at rest.
    pub fn settle(&mut self) {
        self.simulation.step();
    }

    /// Where each peer of the picture is, in its order, inside the drawing.
    pub fn positions(&self) -> Vec<[f64; 2]> {
        let inside =
            |at: f64, axis: usize| at.clamp(MARGIN[axis] - self.canvas.0[axis], self.canvas.0[axis] - MARGIN[axis]);
        self.simulation.positions().skip(1).map(|[x, y]| [inside(x, 0), inside(y, 1)]).collect()
    }

    fn places(&self) -> BTreeMap<PeerId, [f64; 2]> {
        self.shape.iter().map(|(peer, _)| *peer).zip(self.simulation.positions().skip(1)).collect()
    }
}

/// Spread newcomers around the centre by the golden angle.
fn first_place(n: usize, distance: f64) -> [f64; 2] {
    let angle = n as f64 * 2.399_963;
    [angle.cos() * distance, angle.sin() * distance]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(count: u8) -> Picture {
        let nodes = (1..=count)
            .map(|n| Drawn {
                peer: libp2p_identity::Keypair::ed25519_from_bytes([n; 32]).expect("a key").public().to_peer_id(),
                name: n.to_string(),
                status: Status::Idle,
                relay: false,
                path: if n % 2 == 0 { Path::Relayed } else { Path::DirectWebrtc },
                relayed_because: None,
            })
            .collect();
        Picture { nodes, left_out: 0 }
    }

    #[test]
    fn a_layout_comes_to_rest_inside_the_drawing() {
        for canvas in [Canvas::WIDE, Canvas::NARROW] {
            let mut layout = Layout::new(&picture(80), canvas, None);
            let steps = (0..1_000).take_while(|_| layout.step()).count();
            assert!(steps < 200, "{steps} steps");
            for [x, y] in layout.positions() {
                assert!(x.abs() < canvas.0[0] && y.abs() < canvas.0[1], "{x}, {y}");
            }
        }
    }

    #[test]
    fn nodes_keep_apart() {
        let mut layout = Layout::new(&picture(12), Canvas::WIDE, None);
        layout.settle();
        let places = layout.positions();
        for (n, [x, y]) in places.iter().enumerate() {
            assert!(x.hypot(*y) > 30.0, "on top of the centre");
            for [other_x, other_y] in &places[..n] {
                assert!((x - other_x).hypot(y - other_y) > 20.0, "on top of each other");
            }
        }
    }

    #[test]
    fn a_change_of_state_alone_moves_nothing() {
        let mut picture = picture(5);
        let layout = Layout::new(&picture, Canvas::WIDE, None);
        picture.nodes[0].status = Status::Busy;
        assert!(layout.fits(&picture));
        picture.nodes[0].path = Path::Relayed;
        assert!(!layout.fits(&picture));
    }

    #[test]
    fn a_newcomer_leaves_the_others_where_they_are() {
        let mut before = Layout::new(&picture(5), Canvas::WIDE, None);
        before.settle();
        let after = Layout::new(&picture(6), Canvas::WIDE, Some(&before));
        assert_eq!(before.positions(), after.positions()[..5]);
    }
}
