//! What can happen in the simulation.

use libp2p_identity::PeerId;
use multiaddr::Multiaddr;
use mycomesh_core::{
    io::{Protocol, RequestError, RequestId, StoreId, Write},
    wire::TaskId,
};

use crate::{
    faults::Fault,
    gossip::{PeerNo, Rpc},
    link::{LinkNo, Side},
    time::Micros,
    workload::Errand,
};

/// Something that happens at a point in virtual time. `life` is the process it is meant for.
#[derive(Debug)]
pub(crate) enum Event {
    /// A peer's process starts.
    Start(PeerNo),
    /// A node's deadline may have come.
    Tick(PeerNo),
    /// A second of gossip passed.
    Heartbeat { peer: PeerNo, life: u32 },
    /// Gossip arrives at a side of a link.
    Rpc { link: LinkNo, side: Side, rpc: Rpc },
    /// A request arrives.
    Request { link: LinkNo, side: Side, id: RequestId, protocol: Protocol, data: Vec<u8> },
    /// An answer arrives.
    Response { link: LinkNo, side: Side, id: RequestId, result: Result<Vec<u8>, RequestError> },
    /// Nobody waits for this request any longer.
    Timeout { peer: PeerNo, life: u32, id: RequestId },
    /// Both sides ping each other.
    Ping(LinkNo),
    /// The answers are back.
    Pong { link: LinkNo, rtt: Micros },
    /// Nobody answered for a while.
    Silence(LinkNo),
    /// The other side closed it.
    Fin { link: LinkNo, side: Side },
    /// Each side told the other what it speaks.
    Identify(LinkNo),
    /// A replaced link may be free.
    Replaced { peer: PeerNo, life: u32, link: LinkNo, latest: Micros },
    /// A dial is tried, or tried again.
    Dial(Box<Dial>),
    /// A relay answers.
    Reserved { peer: PeerNo, life: u32, relay: PeerNo },
    /// A write is on disk.
    Stored { peer: PeerNo, life: u32, id: StoreId, writes: Vec<Write> },
    /// A job ended.
    Job { peer: PeerNo, life: u32, task: TaskId, output: String },
    /// An owner wants something.
    Errand { peer: PeerNo, life: u32, errand: Errand },
    /// Somebody asks somebody.
    Ask,
    /// A hostile peer does what it does.
    Mischief { peer: PeerNo, life: u32 },
    /// Something breaks or is mended.
    Fault(Fault),
    /// The next fault is drawn.
    Chaos,
    /// A checker looks into a node.
    Audit(PeerNo),
    /// A checker looks whether everybody agrees.
    Look,
    /// A peer that said goodbye closes its connections.
    Depart { peer: PeerNo, life: u32 },
}

/// A dial under way.
#[derive(Clone, Debug)]
pub(crate) struct Dial {
    pub(crate) from: PeerNo,
    pub(crate) life: u32,
    pub(crate) peer: PeerId,
    pub(crate) addrs: Vec<Multiaddr>,
    pub(crate) upgrade: bool,
    pub(crate) began: Micros,
    pub(crate) tries: u32,
}
