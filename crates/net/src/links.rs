//! The driver's book of connections: libp2p's number, ours, whose it is and how it runs.

use std::collections::BTreeMap;

use libp2p::{PeerId, swarm::ConnectionId};
use mycomesh_core::io::{LinkId, Path};

/// One connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) id: LinkId,
    pub(crate) peer: PeerId,
    pub(crate) path: Path,
}

/// All connections core was told of.
#[derive(Debug, Default)]
pub(crate) struct Links {
    last: u64,
    links: BTreeMap<ConnectionId, Link>,
    connections: BTreeMap<LinkId, ConnectionId>,
    per_peer: BTreeMap<PeerId, u32>,
}

impl Links {
    pub(crate) fn get(&self, connection: ConnectionId) -> Option<Link> {
        self.links.get(&connection).copied()
    }

    pub(crate) fn connection(&self, link: LinkId) -> Option<ConnectionId> {
        self.connections.get(&link).copied()
    }

    pub(crate) fn has_peer(&self, peer: &PeerId) -> bool {
        self.per_peer.contains_key(peer)
    }

    /// How many peers are connected.
    pub(crate) fn peers(&self) -> usize {
        self.per_peer.len()
    }

    /// Enter a connection under a number that was never used before.
    pub(crate) fn open(&mut self, connection: ConnectionId, peer: PeerId, path: Path) -> Link {
        self.last += 1;
        let link = Link { id: LinkId(self.last), peer, path };
        self.links.insert(connection, link);
        self.connections.insert(link.id, connection);
        *self.per_peer.entry(peer).or_default() += 1;
        link
    }

    /// Strike a connection out. None if it was never entered.
    pub(crate) fn close(&mut self, connection: ConnectionId) -> Option<Link> {
        let link = self.links.remove(&connection)?;
        self.connections.remove(&link.id);
        if let Some(count) = self.per_peer.get_mut(&link.peer) {
            *count -= 1;
            if *count == 0 {
                self.per_peer.remove(&link.peer);
            }
        }
        Some(link)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_connected_until_its_last_connection_went() {
        let (peer, one, two) = (PeerId::random(), ConnectionId::new_unchecked(1), ConnectionId::new_unchecked(2));
        let mut links = Links::default();
        let first = links.open(one, peer, Path::Relayed);
        let second = links.open(two, peer, Path::Tcp);
        assert_ne!(first.id, second.id);
        assert_eq!(links.peers(), 1);
        assert_eq!(links.close(one), Some(first));
        assert!(links.has_peer(&peer));
        assert_eq!(links.close(two), Some(second));
        assert!(!links.has_peer(&peer));
        assert_eq!(links.close(two), None);
    }

    #[test]
    fn numbers_are_not_used_again() {
        let (peer, connection) = (PeerId::random(), ConnectionId::new_unchecked(1));
        let mut links = Links::default();
        let first = links.open(connection, peer, Path::Tcp);
        links.close(connection);
        assert_ne!(links.open(connection, peer, Path::Tcp).id, first.id);
    }
}
