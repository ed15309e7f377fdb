//! What both sides count: who had a frame first from whom, and how many copies of it came in.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::{
    mesh::Meshes,
    plan::{Frame, Plan},
};

/// Counts of one run.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Peers that stay.
    peers: u32,
    frames: Vec<OfFrame>,
    /// Links in the mesh of a peer, mean over peers and topics.
    mesh_links: f64,
}

#[derive(Clone, Debug)]
struct OfFrame {
    source: u32,
    valid: bool,
    /// Its source's links.
    neighbours: u32,
    /// How many links away from its source each peer that has it stands, along the way it came.
    hops: Vec<Option<u32>>,
    /// Copies that each peer looked at.
    copies: Vec<u32>,
    /// It still travels from mesh to mesh; what arrives later was asked for.
    is_pushed: bool,
    /// Peers that got it later.
    asked_for: u32,
}

/// What comes of the counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Figures {
    /// Of all peers a valid frame was for, the share that got it.
    pub delivery: f64,
    /// Links a valid frame travelled to a peer that got it, mean.
    pub hops: f64,
    /// Copies of a valid frame beyond the first, for each delivery.
    pub duplicates: f64,
    /// Share of deliveries that came by IHAVE and IWANT.
    pub asked_for: f64,
    /// Peers in a mesh, mean.
    pub mesh_links: f64,
    /// Wrong frames of one offender that one of its neighbours looked at before it stopped listening, mean.
    pub wrong_frames: f64,
}

impl Tally {
    /// Nothing happened yet.
    pub fn new(plan: &Plan) -> Self {
        let nodes = plan.case.nodes;
        let empty = |frame: &Frame| OfFrame {
            source: frame.source,
            valid: frame.valid,
            neighbours: plan.neighbours(frame.source).count() as u32,
            hops: (0..nodes).map(|node| (node == frame.source).then_some(0)).collect(),
            copies: vec![0; nodes as usize],
            is_pushed: true,
            asked_for: 0,
        };
        Self { peers: plan.stayers(), frames: plan.frames.iter().map(empty).collect(), mesh_links: 0.0 }
    }

    /// The meshes are as they will stay.
    pub fn settled(&mut self, meshes: &[Meshes]) {
        let links: usize = meshes.iter().flatten().map(BTreeSet::len).sum();
        self.mesh_links = share(links as u64, meshes.len() as u64 * u64::from(self.peers));
    }

    /// A copy of a frame came in at `at`.
    pub fn copy(&mut self, frame: usize, at: u32) {
        if let Some(copies) = self.frames.get_mut(frame).and_then(|of| of.copies.get_mut(at as usize)) {
            *copies += 1;
        }
    }

    /// A copy was counted that was none: the source's own frame.
    pub fn no_copy(&mut self, frame: usize, at: u32) {
        if let Some(copies) = self.frames.get_mut(frame).and_then(|of| of.copies.get_mut(at as usize)) {
            *copies = copies.saturating_sub(1);
        }
    }

    /// The first copy of a frame came to `at` from `from`.
    pub fn first(&mut self, frame: usize, at: u32, from: u32) {
        let Some(of) = self.frames.get_mut(frame) else { return };
        let Some(hops) = of.hops.get(from as usize).copied().flatten() else { return };
        if let Some(slot) = of.hops.get_mut(at as usize).filter(|slot| slot.is_none()) {
            *slot = Some(hops + 1);
            of.asked_for += u32::from(!of.is_pushed);
        }
    }

    /// The frame came to rest: whoever has it by now had it pushed.
    pub fn came_to_rest(&mut self, frame: usize) {
        if let Some(of) = self.frames.get_mut(frame) {
            of.is_pushed = false;
        }
    }

    /// Whether everybody has every valid frame.
    pub fn is_complete(&self) -> bool {
        let peers = self.peers as usize;
        self.frames.iter().filter(|of| of.valid).all(|of| of.hops.iter().flatten().count() == peers)
    }

    /// What comes of the counts.
    pub fn figures(&self) -> Figures {
        let valid = || self.frames.iter().filter(|of| of.valid);
        let wanted: u64 = valid().map(|_| u64::from(self.peers.saturating_sub(1))).sum();
        let others = |of: &OfFrame| of.hops.iter().flatten().filter(|hops| **hops > 0).count() as u64;
        let delivered: u64 = valid().map(others).sum();
        let hops: u64 = valid().flat_map(|of| of.hops.iter().flatten()).map(|hops| u64::from(*hops)).sum();
        let copies: u64 = valid().flat_map(|of| &of.copies).map(|copies| u64::from(*copies)).sum();
        let asked_for: u64 = valid().map(|of| u64::from(of.asked_for)).sum();
        Figures {
            delivery: share(delivered, wanted),
            hops: share(hops, delivered),
            duplicates: share(copies.saturating_sub(delivered), delivered),
            asked_for: share(asked_for, delivered),
            mesh_links: self.mesh_links,
            wrong_frames: self.wrong_frames(),
        }
    }

    fn wrong_frames(&self) -> f64 {
        let wrong = || self.frames.iter().filter(|of| !of.valid);
        let looked_at: u64 = wrong().flat_map(|of| &of.copies).map(|copies| u64::from(*copies)).sum();
        // One offender's frames count its links once.
        let links: BTreeMap<u32, u32> = wrong().map(|of| (of.source, of.neighbours)).collect();
        share(looked_at, links.values().map(|links| u64::from(*links)).sum())
    }
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{CASES, Case, Link};

    fn tally(frames: Vec<Frame>) -> Tally {
        let mut plan = Plan::new(Case { nodes: 4, dials: 1, ..CASES[0] }, 0);
        let link = |dialler, listener| Link { dialler, listener, rounds: 1 };
        plan.links = vec![link(0, 1), link(2, 0)];
        plan.frames = frames;
        Tally::new(&plan)
    }

    #[test]
    fn hops_follow_the_way_of_the_first_copy() {
        let mut tally = tally(vec![Frame { source: 0, topic: 0, valid: true }]);
        for (at, from) in [(1, 0), (2, 1)] {
            tally.copy(0, at);
            tally.first(0, at, from);
        }
        tally.copy(0, 1);
        tally.came_to_rest(0);
        let figures = tally.figures();
        assert_eq!((figures.delivery, figures.hops, figures.duplicates), (2.0 / 3.0, 1.5, 0.5));
        assert_eq!((figures.asked_for, tally.is_complete()), (0.0, false));
        tally.copy(0, 3);
        tally.first(0, 3, 2);
        assert_eq!((tally.figures().asked_for, tally.is_complete()), (1.0 / 3.0, true));
    }

    #[test]
    fn wrong_frames_count_for_each_neighbour_of_their_source() {
        let frame = Frame { source: 0, topic: 0, valid: false };
        let mut tally = tally(vec![frame, frame]);
        for (frame, at) in [(0, 1), (0, 2), (1, 1)] {
            tally.copy(frame, at);
        }
        assert_eq!(tally.figures().wrong_frames, 1.5);
        assert_eq!(tally.figures().delivery, 0.0);
    }
}
