//! Connections. Each has two sides that can know different things: one may have closed it while the other has not
//! heard of it yet.

use mycomesh_core::io::Path;

use crate::{gossip::PeerNo, time::Micros};

/// A connection's number, never used again. Both sides call it by the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinkNo(pub u64);

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// The one that dialled.
    Dialler,
    /// The one that was dialled.
    Listener,
}

impl Side {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Dialler, Self::Listener];

    /// The other one.
    pub const fn other(self) -> Self {
        match self {
            Self::Dialler => Self::Listener,
            Self::Listener => Self::Dialler,
        }
    }
}

/// A connection.
#[derive(Clone, Debug)]
pub struct Link {
    ends: [PeerNo; 2],
    /// How it runs.
    pub path: Path,
    /// The relay that carries it.
    pub via: Option<PeerNo>,
    open: [bool; 2],
    /// When the last gossip sent from each side arrives: one stream keeps its order.
    pub arrives: [Micros; 2],
    /// Until when gossip for each side waits behind what a cut holds up.
    pub held: [Micros; 2],
    /// When a ping was last answered.
    pub answered: Micros,
    /// A look at its silence is due.
    pub watched: bool,
}

impl Link {
    /// Who is at this side.
    pub const fn at(&self, side: Side) -> PeerNo {
        self.ends[side as usize]
    }

    /// Whether this side takes it for open.
    pub const fn is_open(&self, side: Side) -> bool {
        self.open[side as usize]
    }

    /// Whether either side does.
    pub const fn is_any_open(&self) -> bool {
        self.open[0] || self.open[1]
    }

    /// Which side a peer is at.
    pub fn side_of(&self, peer: PeerNo) -> Side {
        if self.ends[0] == peer { Side::Dialler } else { Side::Listener }
    }
}

/// All connections there ever were.
#[derive(Debug, Default)]
pub struct Links(Vec<Option<Link>>);

impl Links {
    /// A new one, open at both sides.
    pub fn open(&mut self, now: Micros, dialler: PeerNo, listener: PeerNo, path: Path, via: Option<PeerNo>) -> LinkNo {
        self.0.push(Some(Link {
            ends: [dialler, listener],
            path,
            via,
            open: [true, true],
            arrives: [now, now],
            held: [now, now],
            answered: now,
            watched: false,
        }));
        LinkNo(self.0.len() as u64 - 1)
    }

    /// One that is open at either side.
    pub fn get(&self, no: LinkNo) -> Option<&Link> {
        self.0.get(no.0 as usize)?.as_ref()
    }

    /// The same, to change.
    pub fn get_mut(&mut self, no: LinkNo) -> Option<&mut Link> {
        self.0.get_mut(no.0 as usize)?.as_mut()
    }

    /// This side closes it. False if it had done so before.
    pub fn close(&mut self, no: LinkNo, side: Side) -> bool {
        let Some(slot) = self.0.get_mut(no.0 as usize) else { return false };
        let Some(link) = slot else { return false };
        let was = std::mem::replace(&mut link.open[side as usize], false);
        if !link.is_any_open() {
            *slot = None;
        }
        was
    }
}
