//! The whole outside world as enums: what a node is told ([`Input`]) and what it wants done
//! ([`Output`]). Nothing else goes in or out of core.

mod names;
mod owner;

use std::{fmt, sync::Arc};

pub use names::{Path, Protocol, Topic};
pub use owner::{Command, CommandError, Event, Reply};

use libp2p_identity::PeerId;
use multiaddr::Multiaddr;

use crate::{
    time::Millis,
    wire::{Skill, TaskId},
};

/// One thing that happened outside.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// A deadline passed, or just a chance to look at the clock.
    Tick,
    /// The first input of all: what the store held at start.
    Loaded(Vec<Record>),
    /// The key was read; dialling may begin. Sent once after `Loaded`.
    Started,
    /// This platform opens WebRTC connections between browsers (`/webrtc`). Sent once, before
    /// `Started`, where that is so.
    WebrtcAvailable,
    /// A connection stands.
    Connected {
        /// Authenticated remote.
        peer: PeerId,
        /// The driver's number for it, never reused.
        link: LinkId,
        /// How it runs.
        path: Path,
        /// Whether this side opened it.
        dialled: bool,
    },
    /// A peer said which protocols it speaks.
    Identified {
        /// The remote.
        peer: PeerId,
        /// Whether it takes the signalling of `/webrtc` connections.
        webrtc: bool,
    },
    /// A connection ended.
    Disconnected {
        /// The remote.
        peer: PeerId,
        /// The number given with `Connected`.
        link: LinkId,
    },
    /// A round trip was measured.
    Rtt {
        /// The remote.
        peer: PeerId,
        /// On which connection.
        link: LinkId,
        /// How long.
        rtt: Millis,
    },
    /// A dial ended without a connection.
    DialFailed {
        /// Who was dialled.
        peer: PeerId,
        /// As in [`Output::Dial`].
        upgrade: bool,
        /// Why, in words for a person.
        reason: DialError,
    },
    /// An address at which this node listens appeared (`true`) or went (`false`).
    ListenAddr {
        /// The address, without `/p2p/<self>` at its end.
        addr: Multiaddr,
        /// Whether it can be used.
        usable: bool,
    },
    /// A relay granted (or renewed) a reservation.
    Reserved {
        /// The relay.
        relay: PeerId,
    },
    /// A relay refused a reservation, or one was lost.
    ReservationFailed {
        /// The relay.
        relay: PeerId,
        /// Why.
        reason: ReservationError,
    },
    /// A neighbour subscribed to a topic of ours.
    Subscribed {
        /// The neighbour.
        peer: PeerId,
        /// The topic.
        topic: Topic,
    },
    /// A gossip frame arrived. Answered at once with [`Output::Verdict`].
    Gossip {
        /// The neighbour that forwarded it.
        from: PeerId,
        /// The driver's handle for the verdict.
        id: GossipId,
        /// The topic.
        topic: Topic,
        /// The frame.
        data: Vec<u8>,
    },
    /// A request arrived. Answered by [`Output::Respond`], at once or later.
    Request {
        /// Authenticated sender.
        peer: PeerId,
        /// The driver's handle for the response.
        token: RequestToken,
        /// Which protocol.
        protocol: Protocol,
        /// The body.
        data: Vec<u8>,
    },
    /// A request of ours was answered, or failed.
    Response {
        /// The number given with [`Output::Request`].
        id: RequestId,
        /// The body, or what went wrong.
        result: Result<Vec<u8>, RequestError>,
    },
    /// The store did, or could not do, what [`Output::Store`] asked.
    Stored {
        /// The number given with it.
        id: StoreId,
        /// What went wrong, in words for a person.
        result: Result<(), String>,
    },
    /// A job ended.
    JobDone {
        /// The task it was for.
        task: TaskId,
        /// The output, or why there is none.
        result: Result<String, String>,
    },
    /// A DHT query brought something.
    Found {
        /// The number given with the query.
        query: QueryId,
        /// Peers found, with addresses where known.
        peers: Vec<(PeerId, Vec<Multiaddr>)>,
        /// Whether the query has ended.
        done: bool,
    },
    /// A peer was heard of on the local network (mDNS) or in the routing table.
    Discovered {
        /// The peer.
        peer: PeerId,
        /// Where it says it listens.
        addrs: Vec<Multiaddr>,
    },
    /// The owner wants something. Answered by exactly one [`Output::Reply`].
    Command {
        /// The driver's number for the reply.
        id: CommandId,
        /// What.
        command: Command,
    },
}

/// One thing core wants done outside.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Publish a frame. Kept and tried again by the driver while nobody has subscribed yet.
    Publish {
        /// On which topic.
        topic: Topic,
        /// The frame.
        data: Arc<[u8]>,
    },
    /// The verdict on a gossip frame.
    Verdict {
        /// Which.
        id: GossipId,
        /// The neighbour that forwarded it.
        from: PeerId,
        /// What.
        verdict: Verdict,
    },
    /// Send a request over any connection of `peer`; fails with [`RequestError::NotConnected`]
    /// instead of dialling.
    Request {
        /// For the answer.
        id: RequestId,
        /// To whom.
        peer: PeerId,
        /// By which protocol.
        protocol: Protocol,
        /// The body.
        data: Vec<u8>,
    },
    /// Answer a request.
    Respond {
        /// Which.
        token: RequestToken,
        /// The body.
        data: Vec<u8>,
    },
    /// Drop a request unanswered: its bytes were wrong.
    Refuse {
        /// Which.
        token: RequestToken,
    },
    /// Dial `peer`, trying `addrs` in their order.
    Dial {
        /// Whom.
        peer: PeerId,
        /// Where, best first. `/webrtc` alone means: signalled over the connection that stands.
        addrs: Vec<Multiaddr>,
        /// For a better connection beside one that stands already.
        upgrade: bool,
    },
    /// Ask `relay` for a reservation (listen on its circuit).
    Reserve {
        /// The relay.
        relay: PeerId,
        /// Its address in use, ending in `/p2p/<relay>`.
        addr: Multiaddr,
    },
    /// Stop listening on the circuit of `relay`.
    Unreserve {
        /// The relay.
        relay: PeerId,
    },
    /// Close one connection that another has replaced, as soon as no request is under way on it.
    CloseLink {
        /// Which.
        link: LinkId,
    },
    /// Close every connection of a peer.
    ClosePeer {
        /// Whose.
        peer: PeerId,
    },
    /// Ping every connection now and judge it by the answer.
    CheckLinks,
    /// Write to the store; answered by [`Input::Stored`].
    Store {
        /// For the answer.
        id: StoreId,
        /// All or none of these.
        writes: Vec<Write>,
    },
    /// Carry out a job of a built-in or registered skill; answered by [`Input::JobDone`].
    RunJob {
        /// For the answer.
        task: TaskId,
        /// Who asked.
        requester: PeerId,
        /// Which skill.
        skill: Skill,
        /// The input.
        input: String,
    },
    /// Forget a job: its task was canceled.
    StopJob {
        /// Which.
        task: TaskId,
    },
    /// Say in the DHT that this peer offers `skill`.
    Provide {
        /// The skill.
        skill: Skill,
    },
    /// Take that back.
    StopProviding {
        /// The skill.
        skill: Skill,
    },
    /// Ask the DHT who offers `skill`.
    FindProviders {
        /// For the answers.
        query: QueryId,
        /// The skill.
        skill: Skill,
    },
    /// Ask the DHT where `peer` is.
    FindPeer {
        /// For the answers.
        query: QueryId,
        /// The peer.
        peer: PeerId,
    },
    /// Something for the owner.
    Event(Event),
    /// The answer to a command.
    Reply {
        /// Which.
        id: CommandId,
        /// What it brought.
        result: Result<Reply, CommandError>,
    },
}

/// What to do with a gossip frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Pass it on.
    Accept,
    /// Drop it without blame.
    Ignore,
    /// Drop it and charge whoever forwarded it: its bytes alone prove it wrong.
    Reject,
}

/// Why a dial failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DialError {
    /// Nothing listens there, or the network does not carry it.
    Unreachable(String),
    /// Another peer answered at this address.
    WrongPeer(PeerId),
    /// It took too long.
    TimedOut,
    /// Limits, here or there.
    Refused(String),
    /// This platform cannot dial such an address.
    Unsupported(String),
    /// Both sides were willing and no direct way between them was found, or WebRTC failed otherwise:
    /// a whole sentence.
    NoPath(String),
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(detail) => write!(f, "it does not answer ({detail})"),
            Self::WrongPeer(peer) => write!(f, "another peer answered there: {peer}"),
            Self::TimedOut => write!(f, "it did not answer in time"),
            Self::Refused(detail) => write!(f, "it refused the connection ({detail})"),
            Self::Unsupported(detail) => write!(f, "this device cannot use that address ({detail})"),
            Self::NoPath(detail) => f.write_str(detail),
        }
    }
}

/// Why there is no reservation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReservationError {
    /// The relay has no room.
    Full,
    /// The relay does not relay.
    Unsupported,
    /// The relay said no, or something went wrong.
    Failed(String),
    /// It was granted and is gone.
    Lost,
}

/// Why a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestError {
    /// No connection to the peer.
    NotConnected,
    /// The peer does not speak the protocol: another network name, or another program.
    Unsupported,
    /// No answer in time.
    TimedOut,
    /// The stream or connection broke, or the peer refused.
    Broken,
}

/// One record of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Table.
    pub table: StoreTable,
    /// Key.
    pub key: Vec<u8>,
    /// Value.
    pub value: Vec<u8>,
}

/// One write to the store; no value removes the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Table.
    pub table: StoreTable,
    /// Key.
    pub key: Vec<u8>,
    /// Value.
    pub value: Option<Vec<u8>>,
}

/// Tables of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StoreTable {
    /// The profile, and who is in quarantine.
    Meta,
    /// Tasks with their outbox.
    Tasks,
    /// Receipts by content id.
    Receipts,
}

impl StoreTable {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Meta, Self::Tasks, Self::Receipts];

    /// The table's name in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Tasks => "tasks",
            Self::Receipts => "receipts",
        }
    }
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name(pub u64);
    };
}

number!(
    /// The driver's number for a connection.
    LinkId
);
number!(
    /// The driver's number for a gossip frame that waits for a verdict.
    GossipId
);
number!(
    /// The driver's number for a request that waits for a response.
    RequestToken
);
number!(
    /// Core's number for a request it sent.
    RequestId
);
number!(
    /// Core's number for a write to the store.
    StoreId
);
number!(
    /// Core's number for a DHT query.
    QueryId
);
number!(
    /// The driver's number for a command.
    CommandId
);
