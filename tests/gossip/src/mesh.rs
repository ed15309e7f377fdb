//! When meshes have settled: nothing a heartbeat does would change them. Both sides publish only then, so that neither
//! is measured while it is still forming.

use std::collections::BTreeSet;

use crate::plan::Plan;

/// The degree limits that a peer of ours has from gossipsub: grafts below, prunes from there on, dialled links at least.
const MESH_LOW: usize = 5;
const MESH_HIGH: usize = 12;
const MESH_OUTBOUND_MIN: usize = 2;

/// The mesh of every peer, in the order of their numbers, on one topic.
pub type Meshes = Vec<BTreeSet<u32>>;

/// Whether the meshes on one topic have settled: each link is in both ends' meshes, and no peer has too few or too many.
pub fn have_settled(plan: &Plan, meshes: &Meshes) -> bool {
    meshes.iter().zip(0..).all(|(mesh, node)| {
        let mutual = mesh.iter().all(|peer| meshes.get(*peer as usize).is_some_and(|other| other.contains(&node)));
        let (mut links, mut dialled, mut dialled_inside) = (0, 0, 0);
        for (peer, outbound) in plan.neighbours(node) {
            links += 1;
            dialled += usize::from(outbound);
            dialled_inside += usize::from(outbound && mesh.contains(&peer));
        }
        if plan.is_relay(node) {
            return mutual && mesh.len() == links;
        }
        let enough = mesh.len() >= MESH_LOW.min(links) && dialled_inside >= MESH_OUTBOUND_MIN.min(dialled);
        mutual && enough && mesh.len() < MESH_HIGH
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{CASES, Case, Link};

    /// Seven peers in a ring with their second neighbours: four links each, all of which belong into the mesh.
    fn ring() -> (Plan, Meshes) {
        let mut plan = Plan::new(Case { nodes: 7, dials: 2, ..CASES[0] }, 0);
        let listener = |node: u32, step: u32| (node + step) % 7;
        plan.links = (0..7)
            .flat_map(|node| [1, 2].map(|step| Link { dialler: node, listener: listener(node, step), rounds: 1 }))
            .collect();
        let meshes = (0..7).map(|node| plan.neighbours(node).map(|(peer, _)| peer).collect()).collect();
        (plan, meshes)
    }

    #[test]
    fn full_and_mutual_meshes_have_settled() {
        let (plan, meshes) = ring();
        assert!(have_settled(&plan, &meshes));
    }

    #[test]
    fn a_link_in_one_mesh_only_has_not_settled() {
        let (plan, mut meshes) = ring();
        meshes[3].pop_first();
        assert!(!have_settled(&plan, &meshes));
    }

    #[test]
    fn a_mesh_with_too_few_peers_has_not_settled() {
        let (plan, mut meshes) = ring();
        let gone = meshes[3].pop_first().expect("four peers");
        meshes[gone as usize].remove(&3);
        assert!(!have_settled(&plan, &meshes));
    }
}
