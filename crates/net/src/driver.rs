//! The event loop: everything outside core happens here.
//!
//! One turn of the loop waits for whichever comes first: an event of the swarm, a command of the
//! owner, the end of some slow work, or the one timer. It turns that into an [`Input`], hands it to
//! [`Node::handle`] together with both clocks, and carries out every [`Output`] that comes back:
//!
//! ```text
//! swarm event ──► events.rs (translate.rs) ─┐
//! owner's command ──────────────────────────┤
//! end of slow work (store, job) ────────────┼─► Input ─► node.handle ─► Outputs ─► effects.rs
//! the timer ────────────────────────────────┘      ▲                        │
//!                                                  └── answers known at once ┘
//! ```
//!
//! The loop never awaits anything but the next event: a write to the store, a job of a skill or a
//! dial is started and answers later as another input. There is one timer for everything; it is
//! set to the earliest of core's, the liveness check's, the DHT's and the snapshot's deadlines.
//!
//! Snapshots are coalesced: a few are published at once, further ones every [`SNAPSHOT_INTERVAL`],
//! see [`Published`].

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use futures::{FutureExt, StreamExt, future::AbortHandle, stream::FuturesUnordered};
use libp2p::{
    PeerId, Swarm,
    gossipsub::MessageId,
    request_response::{InboundRequestId, OutboundRequestId, ResponseChannel},
    swarm::{ConnectionId, SwarmEvent},
};
use mycomesh_core::{
    Node,
    io::{Command, CommandError, CommandId, Event, GossipId, Input, Protocol, Reply, RequestId, RequestToken},
    snapshot::Snapshot,
    time::{Millis, Time},
    wire::TaskId,
};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::{
    behaviour::{Behaviour, BehaviourEvent},
    clock::{self, Clock},
    dht::Dht,
    handle::OwnerRequest,
    lean::Lean,
    links::Links,
    liveness::Liveness,
    outbox::Outbox,
    platform::{self, BoxFuture, Shared},
    replaced::Replaced,
    reservations::Reservations,
    skills::Skills,
};

/// The shortest time between two snapshots in the long run: ten a second are as fluent as a person
/// can read.
const SNAPSHOT_INTERVAL: Millis = Millis(100);
/// Snapshots that may be published at once after a quiet time. Joining and seeing the first peers is about a dozen
/// steps in a tenth of a second, and nobody should wait for the sight of the last.
const SNAPSHOTS_AT_ONCE: u64 = 16;
/// How long a closing node lets frames go out before it closes its connections.
const FLUSH: Millis = Millis(250);
/// The longest closing may take, connections included.
const CLOSE_MAX: Millis = Millis(500);
/// Answers known at once that are handed to core in one turn; the rest waits for the next turn, so
/// that nothing can keep the loop from its other work.
const INPUTS_PER_TURN_MAX: usize = 256;

/// Everything the loop holds.
pub(crate) struct Driver {
    pub(crate) me: PeerId,
    pub(crate) network: String,
    pub(crate) swarm: Swarm<Lean<Behaviour>>,
    pub(crate) clock: Clock,
    pub(crate) links: Links,
    pub(crate) liveness: Liveness,
    pub(crate) replaced: Replaced,
    /// Dials for a better connection, under way.
    pub(crate) upgrades: BTreeMap<ConnectionId, PeerId>,
    pub(crate) reservations: Reservations,
    pub(crate) outbox: Outbox,
    pub(crate) dht: Dht,
    pub(crate) store: platform::StoreWriter,
    pub(crate) skills: Shared<Skills>,
    pub(crate) metrics: platform::Metrics,
    pub(crate) exchange: Exchange,
    /// Distinct peers that may be connected; `behaviour.rs` limits the connections.
    pub(crate) peers_max: usize,
    /// Whether listen addresses are also announced as external ones, as a relay needs.
    pub(crate) announce_listeners: bool,
    /// Slow work under way; each item is the input it will end in.
    pub(crate) work: FuturesUnordered<BoxFuture<'static, Option<Input>>>,
    /// Jobs under way, so that they can be stopped.
    pub(crate) jobs: BTreeMap<TaskId, AbortHandle>,
    /// Inputs that were known at once while outputs were carried out.
    pub(crate) inputs: VecDeque<Input>,
    pub(crate) owner: Owner,
    node: Node,
    timer: Timer,
    closing: Option<Closing>,
}

/// What is under way in the request protocols and in gossip.
#[derive(Default)]
pub(crate) struct Exchange {
    /// Requests of ours that wait for a response. libp2p tells of every end but one: at its limit of
    /// streams it drops a request without a word, so each also has a deadline.
    pub(crate) sent: BTreeMap<(Protocol, OutboundRequestId), (RequestId, PeerId)>,
    pub(crate) deadlines: BTreeMap<RequestId, (Time, Protocol, OutboundRequestId)>,
    /// Requests of others that core has not answered.
    pub(crate) received: BTreeMap<RequestToken, (Protocol, ResponseChannel<Vec<u8>>)>,
    /// Requests of others whose answer is not out yet, by the connection they came on.
    pub(crate) answering: BTreeSet<(ConnectionId, Protocol, InboundRequestId)>,
    /// Frames that wait for core's verdict, which comes at once.
    pub(crate) frames: BTreeMap<GossipId, MessageId>,
    pub(crate) last_number: u64,
}

impl Exchange {
    pub(crate) fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// A request has ended one way or another; none if it had ended before.
    pub(crate) fn ended(&mut self, protocol: Protocol, id: OutboundRequestId) -> Option<RequestId> {
        let (request, _) = self.sent.remove(&(protocol, id))?;
        self.deadlines.remove(&request);
        Some(request)
    }

    /// Whether closing this connection of `peer` may cut a request or an answer short. libp2p does not
    /// say which connection a request of ours went by.
    fn is_under_way(&self, peer: &PeerId, connection: ConnectionId) -> bool {
        self.sent.values().any(|(_, to)| to == peer) || self.answering.iter().any(|(by, ..)| *by == connection)
    }

    fn next_deadline(&self) -> Option<Time> {
        // Requests are numbered in the order of their deadlines.
        self.deadlines.values().next().map(|(deadline, ..)| *deadline)
    }
}

/// The ends of the handle's channels.
pub(crate) struct Owner {
    pub(crate) requests: mpsc::Receiver<OwnerRequest>,
    pub(crate) events: broadcast::Sender<Event>,
    pub(crate) replies: BTreeMap<CommandId, oneshot::Sender<Result<Reply, CommandError>>>,
    pub(crate) snapshots: watch::Sender<Arc<Snapshot>>,
    pub(crate) published: Published,
    pub(crate) last_command: u64,
}

/// The snapshot readers have, and when the next may come. Every snapshot takes up one
/// [`SNAPSHOT_INTERVAL`]; after a quiet time up to [`SNAPSHOTS_AT_ONCE`] of them are there to be used.
pub(crate) struct Published {
    revision: u64,
    /// When the intervals of all snapshots so far have passed.
    used_until: Time,
}

impl Published {
    /// The first one.
    pub(crate) fn new(revision: u64, now: Time) -> Self {
        Self { revision, used_until: now + SNAPSHOT_INTERVAL }
    }

    /// When a snapshot of another revision may be published; none while readers have the newest.
    fn due(&self, revision: u64) -> Option<Time> {
        let ahead = Millis(SNAPSHOT_INTERVAL.0 * (SNAPSHOTS_AT_ONCE - 1));
        (revision != self.revision).then(|| Time(self.used_until.0.saturating_sub(ahead.0)))
    }

    fn publish(&mut self, revision: u64, now: Time) {
        *self = Self { revision, used_until: self.used_until.max(now) + SNAPSHOT_INTERVAL };
    }
}

/// The one timer. Kept over turns, since setting one costs a call into the browser.
#[derive(Default)]
struct Timer {
    deadline: Option<Time>,
    sleep: Option<BoxFuture<'static, ()>>,
}

/// A node on its way out.
struct Closing {
    since: Time,
    disconnected: bool,
    waiting: Vec<oneshot::Sender<()>>,
}

impl Driver {
    #[expect(clippy::too_many_arguments, reason = "called once, by `start`, with one value per part")]
    pub(crate) fn new(
        node: Node,
        swarm: Swarm<Lean<Behaviour>>,
        clock: Clock,
        network: &str,
        store: platform::StoreWriter,
        skills: Shared<Skills>,
        metrics: platform::Metrics,
        owner: Owner,
        peers_max: usize,
        announce_listeners: bool,
    ) -> Self {
        let me = *swarm.local_peer_id();
        Self {
            me,
            network: network.into(),
            swarm,
            clock,
            links: Links::default(),
            liveness: Liveness::default(),
            replaced: Replaced::default(),
            upgrades: BTreeMap::new(),
            reservations: Reservations::default(),
            outbox: Outbox::default(),
            dht: Dht::new(me, network),
            store,
            skills,
            metrics,
            exchange: Exchange::default(),
            peers_max,
            announce_listeners,
            work: FuturesUnordered::new(),
            jobs: BTreeMap::new(),
            inputs: VecDeque::new(),
            owner,
            node,
            timer: Timer::default(),
            closing: None,
        }
    }

    /// Run until the owner stops the node or every handle is gone. `early` are the events that came
    /// while the listeners were opened.
    pub(crate) async fn run(mut self, early: Vec<SwarmEvent<BehaviourEvent>>) {
        for event in early {
            self.on_swarm_event(event);
        }
        loop {
            self.settle();
            if self.closed() {
                break;
            }
            self.set_timer();
            self.turn().await;
        }
        let Self { swarm, store, owner, closing, work, .. } = self;
        drop((swarm, work));
        store.close().await;
        // From here on every command that still waits is answered with `Stopping`.
        drop(owner);
        for waiting in closing.into_iter().flat_map(|closing| closing.waiting) {
            // Whoever asked to stop may have left.
            let _ = waiting.send(());
        }
    }

    /// Wait for the next thing to happen and take it in.
    async fn turn(&mut self) {
        let busy = !self.inputs.is_empty();
        let Self { swarm, owner, work, timer, closing, .. } = self;
        futures::select_biased! {
            () = timer.expired().fuse() => {}
            request = owner.next_request(closing.is_some()).fuse() => self.on_owner_request(request),
            done = next_done(work).fuse() => self.on_done(done),
            event = swarm.select_next_some() => self.on_swarm_event(event),
            () = ready_if(busy).fuse() => {}
        }
    }

    /// Bring everything up to now: overdue deadlines, then every input that waits.
    fn settle(&mut self) {
        let now = self.clock.now().mono;
        self.dht.tick(&mut self.swarm.behaviour_mut().kad, now);
        for link in self.liveness.check(now) {
            tracing::debug!(?link, "a connection no longer answers");
            self.give_up(link);
        }
        self.expire_requests(now);
        self.close_replaced(now);
        if self.node.next_deadline().is_some_and(|deadline| deadline <= now) {
            self.inputs.push_back(Input::Tick);
        }
        for _ in 0..INPUTS_PER_TURN_MAX {
            let Some(input) = self.inputs.pop_front() else { break };
            for output in self.node.handle(self.clock.now(), input) {
                self.carry_out(output);
            }
        }
        self.publish_snapshot();
        self.go_on_closing();
    }

    fn on_done(&mut self, done: Option<Input>) {
        if let Some(Input::JobDone { task, .. }) = &done {
            self.jobs.remove(task);
        }
        self.inputs.extend(done);
    }

    fn on_owner_request(&mut self, request: Option<OwnerRequest>) {
        match request {
            Some(OwnerRequest::Command(command, reply)) => self.command(command, Some(reply)),
            Some(OwnerRequest::Close(waiting)) => self.close(Some(waiting)),
            None => {
                self.command(Command::Shutdown, None);
                self.close(None);
            }
        }
    }

    /// Hand a command to core.
    pub(crate) fn command(&mut self, command: Command, reply: Option<oneshot::Sender<Result<Reply, CommandError>>>) {
        self.owner.last_command += 1;
        let id = CommandId(self.owner.last_command);
        if let Some(reply) = reply {
            self.owner.replies.insert(id, reply);
        }
        self.inputs.push_back(Input::Command { id, command });
    }

    fn publish_snapshot(&mut self) {
        let now = self.clock.now();
        let revision = self.node.revision();
        if self.owner.published.due(revision).is_some_and(|due| due <= now.mono) {
            self.owner.published.publish(revision, now.mono);
            self.owner.snapshots.send_replace(Arc::new(self.node.snapshot(now)));
        }
    }

    fn set_timer(&mut self) {
        let snapshot = self.owner.published.due(self.node.revision());
        let closing = self.closing.as_ref().map(Closing::next_deadline);
        let deadlines = [
            self.node.next_deadline(),
            self.liveness.next_deadline(),
            self.replaced.next_deadline(),
            self.dht.next_deadline(),
            self.exchange.next_deadline(),
            snapshot,
            closing,
        ];
        self.timer.set(deadlines.into_iter().flatten().min(), self.clock.now().mono);
    }

    fn expire_requests(&mut self, now: Time) {
        while let Some((_, &(deadline, protocol, id))) = self.exchange.deadlines.first_key_value() {
            if deadline > now {
                break;
            }
            self.request_failed(protocol, id, mycomesh_core::io::RequestError::TimedOut);
        }
    }

    fn close_replaced(&mut self, now: Time) {
        let Self { replaced, links, exchange, .. } = self;
        let under_way = |link| {
            let at = links.connection(link).and_then(|connection| Some((connection, links.get(connection)?.peer)));
            at.is_some_and(|(connection, peer)| exchange.is_under_way(&peer, connection))
        };
        for link in replaced.due(now, under_way) {
            self.close_link(link);
        }
    }

    fn close(&mut self, waiting: Option<oneshot::Sender<()>>) {
        let since = self.clock.now().mono;
        let closing = self.closing.get_or_insert(Closing { since, disconnected: false, waiting: Vec::new() });
        closing.waiting.extend(waiting);
    }

    /// Frames first, then the connections.
    fn go_on_closing(&mut self) {
        let now = self.clock.now().mono;
        let Some(closing) = &mut self.closing else { return };
        if !closing.disconnected && now.since(closing.since) >= FLUSH {
            closing.disconnected = true;
            let peers: Vec<PeerId> = self.swarm.connected_peers().copied().collect();
            for peer in peers {
                // An error means that it is already gone.
                let _ = self.swarm.disconnect_peer_id(peer);
            }
        }
    }

    fn closed(&self) -> bool {
        let Some(closing) = &self.closing else { return false };
        let quiet = self.links.peers() == 0 && self.inputs.is_empty();
        quiet || self.clock.now().mono.since(closing.since) >= CLOSE_MAX
    }
}

impl Owner {
    /// What the owner asks next; none when every handle is gone. Pends for ever once that was said.
    async fn next_request(&mut self, closing: bool) -> Option<OwnerRequest> {
        match self.requests.recv().await {
            None if closing => std::future::pending().await,
            request => request,
        }
    }
}

impl Timer {
    fn set(&mut self, deadline: Option<Time>, now: Time) {
        if self.deadline != deadline || self.sleep.is_none() {
            self.deadline = deadline;
            self.sleep = deadline.map(|deadline| platform::sleep(clock::until(deadline, now)));
        }
    }

    async fn expired(&mut self) {
        match &mut self.sleep {
            Some(sleep) => sleep.await,
            None => std::future::pending().await,
        }
        self.sleep = None;
    }
}

impl Closing {
    fn next_deadline(&self) -> Time {
        self.since + if self.disconnected { CLOSE_MAX } else { FLUSH }
    }
}

/// The input that the next piece of slow work ends in. Pends while there is none.
async fn next_done(work: &mut FuturesUnordered<BoxFuture<'static, Option<Input>>>) -> Option<Input> {
    match work.next().await {
        Some(done) => done,
        None => std::future::pending().await,
    }
}

/// Ends at once when there is more to do, else never.
async fn ready_if(busy: bool) {
    if !busy {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Publish one revision after another from 1 s on, each as soon as it may be; when they were.
    fn published(quiet_ms: u64, snapshots: u64) -> Vec<u64> {
        let mut published = Published::new(0, Time(1_000));
        let mut now = Time(1_000 + quiet_ms);
        (1..=snapshots)
            .map(|revision| {
                now = published.due(revision).expect("it is new").max(now);
                published.publish(revision, now);
                now.0
            })
            .collect()
    }

    #[test]
    fn a_burst_of_snapshots_is_published_at_once_and_what_follows_ten_a_second() {
        let mut expect = vec![61_000; SNAPSHOTS_AT_ONCE as usize];
        expect.extend([61_100, 61_200]);
        assert_eq!(published(60_000, SNAPSHOTS_AT_ONCE + 2), expect);
        assert_eq!(published(0, SNAPSHOTS_AT_ONCE + 1), expect[1..].iter().map(|at| at - 60_000).collect::<Vec<_>>());
    }

    #[test]
    fn no_snapshot_is_due_while_readers_have_the_newest() {
        assert_eq!(Published::new(7, Time(0)).due(7), None);
    }
}
