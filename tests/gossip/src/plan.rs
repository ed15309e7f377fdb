//! What is run: the cases, and what a seed makes of one.

use std::collections::BTreeSet;

use mycomesh_sim::random::Rng;

/// A kind of network and what happens in it.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// What it is called on the command line and in the table.
    pub name: &'static str,
    /// What it shows.
    pub about: &'static str,
    /// Peers.
    pub nodes: u32,
    /// Links that each peer dials, to peers drawn by the seed. It has twice as many on average.
    pub dials: u32,
    /// Peer 0 is a relay: everybody dials it, and it keeps everybody in its mesh.
    pub relay: bool,
    /// Of a hundred peers so many forward nothing, as if all they send were lost.
    pub withhold_percent: u32,
    /// Of a hundred peers so many leave at once when the meshes have settled. Frames are published when the others
    /// have mended theirs.
    pub leave_percent: u32,
    /// Rounds that every peer takes for a verdict on a frame.
    pub verdict_rounds: u32,
    /// Valid frames published, by peers and on topics drawn by the seed.
    pub frames: u32,
    /// Size of a frame, in bytes.
    pub bytes: u32,
    /// Peers that then publish frames whose bytes prove them wrong.
    pub offenders: u32,
    /// How many each of them publishes.
    pub invalid_frames: u32,
}

/// Every case.
pub const CASES: [Case; 6] = [
    Case {
        name: "mesh",
        about: "few links, nearly all of them in the mesh",
        nodes: 100,
        dials: 4,
        relay: false,
        withhold_percent: 0,
        leave_percent: 0,
        verdict_rounds: 0,
        frames: 50,
        bytes: 300,
        offenders: 0,
        invalid_frames: 0,
    },
    Case {
        name: "large",
        about: "many links, a third of them in the mesh; large frames and slow verdicts, so that IDONTWANT saves copies",
        nodes: 100,
        dials: 10,
        relay: false,
        withhold_percent: 0,
        leave_percent: 0,
        verdict_rounds: 100,
        frames: 25,
        bytes: 2_000,
        offenders: 0,
        invalid_frames: 0,
    },
    Case {
        name: "relay",
        about: "everybody on one relay, and two links of their own",
        nodes: 100,
        dials: 2,
        relay: true,
        withhold_percent: 0,
        leave_percent: 0,
        verdict_rounds: 0,
        frames: 50,
        bytes: 300,
        offenders: 0,
        invalid_frames: 0,
    },
    Case {
        name: "loss",
        about: "eight of ten peers forward nothing: some comes by IHAVE and IWANT only",
        nodes: 100,
        dials: 10,
        relay: false,
        withhold_percent: 80,
        leave_percent: 0,
        verdict_rounds: 0,
        frames: 50,
        bytes: 300,
        offenders: 0,
        invalid_frames: 0,
    },
    Case {
        name: "leave",
        about: "half of the peers leave at once; the others mend their meshes at heartbeats",
        nodes: 100,
        dials: 10,
        relay: false,
        withhold_percent: 0,
        leave_percent: 50,
        verdict_rounds: 0,
        frames: 50,
        bytes: 300,
        offenders: 0,
        invalid_frames: 0,
    },
    Case {
        name: "reject",
        about: "ten peers send wrong frames until nobody listens to them",
        nodes: 100,
        dials: 6,
        relay: false,
        withhold_percent: 0,
        leave_percent: 0,
        verdict_rounds: 0,
        frames: 30,
        bytes: 300,
        offenders: 10,
        invalid_frames: 10,
    },
];

/// One side dialled the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Who dialled.
    pub dialler: u32,
    /// Whom.
    pub listener: u32,
    /// Rounds that everything takes on it, in both directions.
    pub rounds: u32,
}

/// Something to publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// By whom.
    pub source: u32,
    /// On which of the topics.
    pub topic: u8,
    /// Whether receivers accept it; they reject it otherwise.
    pub valid: bool,
}

/// What a seed makes of a case.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The case.
    pub case: Case,
    /// The seed.
    pub seed: u64,
    /// Who is linked to whom, in the order of linking. Two peers have one link at most.
    pub links: Vec<Link>,
    /// Who forwards nothing.
    pub withholders: BTreeSet<u32>,
    /// Who leaves.
    pub leavers: BTreeSet<u32>,
    /// What is published, in this order.
    pub frames: Vec<Frame>,
}

/// Rounds that a link takes, drawn by the seed: the slowest takes three times as long as the fastest. Many, so that
/// frames of two links rarely arrive in the same one.
const ROUNDS_MIN: u64 = 50;
const ROUNDS_MAX: u64 = 150;

/// Topics of a Mycomesh peer.
pub const TOPICS: u8 = mycomesh_core::io::Topic::ALL.len() as u8;

impl Plan {
    /// The plan of `case` for `seed`.
    pub fn new(case: Case, seed: u64) -> Self {
        let mut rng = Rng::new(seed, "gossip check");
        let links = links(case, &mut rng);
        let first = u32::from(case.relay);
        let mut ordinary: Vec<u32> = (first..case.nodes).collect();
        rng.shuffle(&mut ordinary);
        let mut some = |percent| {
            let count = (case.nodes * percent / 100) as usize;
            ordinary.drain(..count.min(ordinary.len())).collect()
        };
        let (withholders, leavers) = (some(case.withhold_percent), some(case.leave_percent));
        let frames = frames(case, &ordinary, &mut rng);
        Self { case, seed, links, withholders, leavers, frames }
    }

    /// The plan when those who leave have left.
    pub fn after_leaving(&self) -> Self {
        let stays = |node: u32| !self.leavers.contains(&node);
        let links = self.links.iter().filter(|link| stays(link.dialler) && stays(link.listener));
        Self { links: links.copied().collect(), ..self.clone() }
    }

    /// How many peers there are when those who leave have left.
    pub fn stayers(&self) -> u32 {
        self.case.nodes - self.leavers.len() as u32
    }

    /// The peers linked to `node`, and whether it dialled them.
    pub fn neighbours(&self, node: u32) -> impl Iterator<Item = (u32, bool)> {
        self.links.iter().filter_map(move |link| match node {
            _ if node == link.dialler => Some((link.listener, true)),
            _ if node == link.listener => Some((link.dialler, false)),
            _ => None,
        })
    }

    /// Whether `node` keeps everybody in its mesh.
    pub fn is_relay(&self, node: u32) -> bool {
        self.case.relay && node == 0
    }
}

fn links(case: Case, rng: &mut Rng) -> Vec<Link> {
    let mut linked = BTreeSet::new();
    let mut links = Vec::new();
    let mut link = |dialler: u32, listener: u32, rng: &mut Rng| {
        let fresh = dialler != listener && linked.insert((dialler.min(listener), dialler.max(listener)));
        if fresh {
            let rounds = rng.between(ROUNDS_MIN, ROUNDS_MAX) as u32;
            links.push(Link { dialler, listener, rounds });
        }
        fresh
    };
    let first = u32::from(case.relay);
    for node in first..case.nodes {
        if case.relay {
            link(node, 0, rng);
        }
        let mut others: Vec<u32> = (first..case.nodes).collect();
        rng.shuffle(&mut others);
        let mut missing = case.dials;
        for other in others {
            if missing > 0 && link(node, other, rng) {
                missing -= 1;
            }
        }
    }
    rng.shuffle(&mut links);
    links
}

fn frames(case: Case, honest: &[u32], rng: &mut Rng) -> Vec<Frame> {
    let mut frames = Vec::new();
    for _ in 0..case.frames {
        let source = rng.pick(honest).unwrap_or_default();
        frames.push(Frame { source, topic: rng.below(TOPICS.into()) as u8, valid: true });
    }
    let topic = 0;
    let offenders = &honest[..(case.offenders as usize).min(honest.len())];
    for _ in 0..case.invalid_frames {
        frames.extend(offenders.iter().map(|source| Frame { source: *source, topic, valid: false }));
    }
    frames
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_one_plan_and_another_seed_another() {
        for case in CASES {
            let plan = |seed| Plan::new(case, seed);
            assert_eq!(plan(1).links, plan(1).links, "{}", case.name);
            assert_ne!(plan(1).links, plan(2).links, "{}", case.name);
            assert_eq!(plan(1).frames, plan(1).frames, "{}", case.name);
        }
    }

    #[test]
    fn everybody_has_the_links_it_dials_and_two_peers_have_one_at_most() {
        for case in CASES {
            let plan = Plan::new(case, 3);
            for node in 0..case.nodes {
                let neighbours: Vec<u32> = plan.neighbours(node).map(|(peer, _)| peer).collect();
                let different: BTreeSet<u32> = neighbours.iter().copied().collect();
                assert_eq!(neighbours.len(), different.len(), "{}", case.name);
                assert!(!different.contains(&node), "{}", case.name);
                let dialled = plan.neighbours(node).filter(|(_, dialled)| *dialled).count() as u32;
                let expected = if plan.is_relay(node) { 0 } else { case.dials + u32::from(case.relay) };
                assert_eq!(dialled, expected, "{}", case.name);
            }
        }
    }

    #[test]
    fn who_withholds_or_leaves_publishes_nothing() {
        for case in CASES {
            let plan = Plan::new(case, 4);
            assert_eq!(plan.withholders.len() as u32, case.nodes * case.withhold_percent / 100);
            assert_eq!(plan.leavers.len() as u32, case.nodes * case.leave_percent / 100);
            let silent = |node: &u32| plan.withholders.contains(node) || plan.leavers.contains(node);
            assert!(plan.frames.iter().all(|frame| !silent(&frame.source)), "{}", case.name);
        }
    }

    #[test]
    fn nobody_is_linked_to_who_left() {
        let plan = Plan::new(Case { leave_percent: 50, ..CASES[0] }, 5).after_leaving();
        assert!(plan.leavers.iter().all(|node| plan.neighbours(*node).count() == 0));
        assert!(!plan.links.is_empty());
    }
}
