//! Direct tasks: one peer asks another for work, with evidence on both sides.
//!
//! ```text
//! requester                          provider
//!   submission ───────────────────▶  stored, then
//!   stored     ◀─────────────────── acceptance (in the answer)      state: working
//!              ◀─────────────────── delivery + output, maybe later
//!   stored, acknowledged ─────────▶                                 state: completed
//!   rating (embeds both) ─────────▶  stored, acknowledged            the receipt, on both sides
//! ```
//!
//! Every message is signed, idempotent and kept in a stored outbox: it is sent again until it is
//! acknowledged or its time is over, across reconnects, reloads and crashes. Nothing is
//! acknowledged before it is stored. Names of states follow A2A.
//!
//! [`requester`] holds the side that asks, [`provider`] the side that answers; this file what both
//! share.

mod provider;
mod requester;
mod size;

use std::collections::BTreeMap;

use cid::Cid;
use libp2p_identity::PeerId;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::{
    config::SkillSet,
    cx::{AfterStore, Cx, Purpose},
    io::{CommandError, CommandId, Event, Protocol, Reply, RequestError, RequestToken, StoreTable, Write},
    limits::{OUTBOX_LIFETIME, REQUEST_BYTES_MAX, RETRY_MAX, RETRY_MIN, TASKS_MAX},
    planted::Bug,
    receipts,
    snapshot::{Direction, SecurityKind, TaskState, TaskView},
    time::{Millis, Now, Time, UnixMillis},
    units::Bps,
    wire::{
        Kind, Rating, Signed, Skill, TaskId,
        requests::{TaskReply, TaskRequest},
        signed::peek_kind,
        strict,
    },
};

/// Every task of this peer, asked and answered.
#[derive(Debug, Default)]
pub struct State {
    tasks: BTreeMap<TaskId, Task>,
    /// When each unacknowledged message is sent again.
    outbox: BTreeMap<TaskId, Sending>,
    /// When this node started, or woke from a sleep.
    awake: Now,
    /// When it last looked at the clock.
    looked: Time,
}

/// One task, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Task {
    id: TaskId,
    direction: Direction,
    peer: PeerId,
    skill: Skill,
    state: TaskState,
    input: String,
    output: Option<String>,
    problem: Option<String>,
    created: UnixMillis,
    deadline: UnixMillis,
    updated: UnixMillis,
    /// When the delivery came in (out).
    delivered: Option<UnixMillis>,
    /// Signed objects of this exchange, as they travelled.
    submission: ByteBuf,
    acceptance: Option<ByteBuf>,
    delivery: Option<ByteBuf>,
    rating: Option<ByteBuf>,
    /// The judgement in `rating`, and its id.
    quality: Option<Bps>,
    receipt: Option<Cid>,
    /// What the other side has not acknowledged yet.
    step: Option<Step>,
}

/// A message that must reach the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// Requester: the submission.
    Submit,
    /// Requester: it is withdrawn.
    Cancel,
    /// Provider: the result.
    Deliver,
    /// Requester: the receipt.
    Rate,
}

/// When a message is sent next. Not stored: after a restart everything is due.
#[derive(Clone, Copy, Debug, Default)]
struct Sending {
    due: Time,
    tries: u32,
    in_flight: bool,
    /// It is on disk and may be sent.
    stored: bool,
}

/// What tasks takes in.
pub enum In<'a> {
    /// A record of the store.
    Loaded(Vec<u8>),
    /// All records are in; jobs that a restart cut short start anew.
    Start { receipts: &'a receipts::State },
    /// The owner asks a peer. Checked already: the peer is known and not in quarantine.
    Ask { command: CommandId, to: PeerId, skill: Skill, input: String, timeout: Millis },
    /// The owner withdraws a task.
    Cancel { command: CommandId, task: TaskId },
    /// The owner judges a delivery.
    Rate { command: CommandId, task: TaskId, quality: Bps },
    /// The owner answers a task.
    Answer { command: CommandId, task: TaskId, output: String },
    /// The owner declines a task.
    Decline { command: CommandId, task: TaskId, reason: String },
    /// A step of a task from the other side.
    Request { peer: PeerId, token: RequestToken, data: &'a [u8], offer: Offer<'a> },
    /// A message is stored and may be sent.
    Saved(TaskId),
    /// The answer to one of ours.
    Response { task: TaskId, step: Step, result: Result<Vec<u8>, RequestError> },
    /// A new task of ours is (or could not be) stored.
    Asked { command: CommandId, task: TaskId, stored: Result<(), String> },
    /// A job ended.
    JobDone { task: TaskId, result: Result<String, String> },
    /// A link to this peer came up: what waits for it goes out now.
    Linked(PeerId),
    /// A deadline may have passed.
    Tick,
}

/// What this peer offers at the moment.
#[derive(Clone, Copy, Debug)]
pub struct Offer<'a> {
    /// The skills on its card.
    pub skills: &'a SkillSet,
    /// The owner's switch.
    pub busy: bool,
    /// Tasks worked on at a time.
    pub slots: u32,
}

/// What tasks tells the node.
#[derive(Clone, Debug, PartialEq)]
pub enum Note {
    /// A message waits for a peer without a link.
    WantLink(PeerId),
    /// A receipt was made or came in, verified; `after` happens once it is stored.
    Receipt { signed: Box<Signed<Rating>>, after: AfterStore },
    /// The peer failed without a receipt coming of it.
    Failed(PeerId),
}

impl State {
    pub fn handle(&mut self, cx: &mut Cx<'_>, input: In<'_>) -> Vec<Note> {
        let mut notes = Vec::new();
        match input {
            In::Loaded(bytes) => self.loaded(cx, &bytes),
            In::Start { receipts } => self.start(cx, &mut notes, receipts),
            In::Ask { command, to, skill, input, timeout } => self.ask(cx, command, to, skill, input, timeout),
            In::Cancel { command, task } => self.cancel(cx, command, task),
            In::Rate { command, task, quality } => self.rate(cx, command, task, quality),
            In::Answer { command, task, output } => self.answer(cx, command, task, output),
            In::Decline { command, task, reason } => self.decline(cx, command, task, reason),
            In::Request { peer, token, data, offer } => self.request(cx, &mut notes, peer, token, data, offer),
            In::Saved(task) => self.saved(cx, &mut notes, task),
            In::Response { task, step, result } => self.response(cx, task, step, result),
            In::Asked { command, task, stored } => self.asked(cx, &mut notes, command, task, stored),
            In::JobDone { task, result } => self.job_done(cx, task, result),
            In::Linked(peer) => self.linked(cx, &mut notes, peer),
            In::Tick => self.tick(cx, &mut notes),
        }
        notes
    }

    /// When something is due here. Task deadlines are wall-clock times that both sides agreed on,
    /// so `now` relates them to this node's own clock.
    pub fn next_deadline(&self, now: Now) -> Option<Time> {
        let deadlines = self.tasks.values().filter(|task| !task.state.is_final()).map(|task| match task.direction {
            Direction::In => now.mono + task.deadline.since(now.unix),
            Direction::Out => {
                let due = now.mono + (task.deadline + requester::GRACE).since(now.unix);
                due.max(self.caught_up(task))
            }
        });
        let outbox = self.outbox.values().filter(|sending| !sending.in_flight).map(|sending| sending.due);
        deadlines.chain(outbox).min()
    }

    /// Whether a task with `peer` has not ended, or has something to say to it.
    pub fn needs(&self, peer: &PeerId) -> bool {
        self.tasks.values().any(|task| task.peer == *peer && (!task.state.is_final() || task.step.is_some()))
    }

    /// Until when a task that this node slept over is not judged.
    fn caught_up(&self, task: &Task) -> Time {
        if task.created < self.awake.unix { self.awake.mono + requester::CATCH_UP } else { Time::default() }
    }

    /// Every task: its id, direction, other side and state.
    pub fn states(&self) -> impl Iterator<Item = (TaskId, Direction, PeerId, TaskState)> {
        self.tasks.values().map(|task| (task.id, task.direction, task.peer, task.state))
    }

    /// Bytes of all tasks in the store, at most.
    pub fn bytes(&self) -> u64 {
        self.tasks.values().map(size::held).sum()
    }

    /// Tasks of others that take up a slot here.
    pub fn slots_taken(&self) -> u32 {
        let open = |task: &&Task| task.direction == Direction::In && !task.state.is_final();
        self.tasks.values().filter(open).count() as u32
    }

    /// The first `most` tasks, open ones before ended ones and newest first, and how many there are.
    pub fn views(&self, most: usize) -> (Vec<TaskView>, usize) {
        let mut tasks: Vec<_> = self.tasks.values().collect();
        tasks.sort_by_key(|task| (task.state.is_final(), std::cmp::Reverse(task.created), task.id));
        (tasks.into_iter().take(most).map(Task::view).collect(), self.tasks.len())
    }

    fn loaded(&mut self, cx: &mut Cx<'_>, bytes: &[u8]) {
        match strict::decode::<Task>(bytes, REQUEST_BYTES_MAX * 4) {
            Ok(task) => {
                if task.step.is_some() && !cx.planted(Bug::OutboxForgotten) {
                    self.outbox.insert(task.id, Sending { stored: true, ..Sending::default() });
                }
                self.tasks.insert(task.id, task);
            }
            Err(error) => cx.warn(format!("a stored task could not be read and was left alone: {error}")),
        }
    }

    // --- steps from the other side -----------------------------------------------------------

    fn request(
        &mut self,
        cx: &mut Cx<'_>,
        notes: &mut Vec<Note>,
        peer: PeerId,
        token: RequestToken,
        data: &[u8],
        offer: Offer<'_>,
    ) {
        let request: TaskRequest = match strict::decode(data, REQUEST_BYTES_MAX) {
            Ok(request) => request,
            Err(error) => {
                return cx.refuse(peer, token, SecurityKind::Malformed, format!("malformed task request: {error}"));
            }
        };
        match peek_kind(&request.object) {
            Some(Kind::Submission) => self.submission(cx, peer, token, &request.object, offer),
            Some(Kind::Cancel) => self.canceled(cx, peer, token, &request.object),
            Some(Kind::Rating) => self.rated(cx, notes, peer, token, &request.object),
            Some(Kind::Delivery) => self.delivered(cx, peer, token, request),
            _ => cx.refuse(peer, token, SecurityKind::Unexpected, "sent a task request of an unknown kind"),
        }
    }

    // --- outbox ------------------------------------------------------------------------------

    /// `step` of `task` must reach the other side. It is sent when the next [`State::save`] is on
    /// disk, so that after a crash nothing was said that is not remembered.
    fn enqueue(&mut self, cx: &mut Cx<'_>, id: TaskId, step: Step) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        task.step = Some(step);
        let stored = step == Step::Deliver && cx.planted(Bug::DeliveredBeforeStored);
        let due = if stored { cx.now.mono } else { cx.now.mono + RETRY_MIN };
        self.outbox.insert(id, Sending { due, stored, ..Sending::default() });
    }

    fn saved(&mut self, cx: &mut Cx<'_>, notes: &mut Vec<Note>, id: TaskId) {
        let (Some(task), Some(sending)) = (self.tasks.get(&id), self.outbox.get_mut(&id)) else { return };
        let first = !std::mem::replace(&mut sending.stored, true);
        if first
            && task.step == Some(Step::Rate)
            && let Some(Ok(signed)) = task.rating.as_ref().map(|rating| cx.open::<Rating>(rating))
        {
            notes.push(Note::Receipt { signed: Box::new(signed), after: AfterStore::Nothing });
        }
        self.send(cx, notes, id);
    }

    fn send(&mut self, cx: &mut Cx<'_>, notes: &mut Vec<Note>, id: TaskId) {
        let (Some(task), Some(sending)) = (self.tasks.get(&id), self.outbox.get_mut(&id)) else { return };
        let Some(step) = task.step else {
            self.outbox.remove(&id);
            return;
        };
        if sending.in_flight {
            return;
        }
        if !sending.stored {
            // The store could not take it before.
            sending.due = cx.now.mono + RETRY_MAX;
            return self.save(cx, id, AfterStore::Nothing);
        }
        let request = match step {
            Step::Submit => TaskRequest { object: task.submission.clone(), acceptance: None, output: None },
            Step::Cancel => {
                let cancel = cx.seal(crate::wire::Cancel { at: cx.now.unix, task: id });
                TaskRequest { object: ByteBuf::from(&cancel.bytes[..]), acceptance: None, output: None }
            }
            Step::Deliver => TaskRequest {
                object: task.delivery.clone().unwrap_or_default(),
                acceptance: task.acceptance.clone(),
                output: task.output.clone().or_else(|| task.problem.clone()),
            },
            Step::Rate => {
                TaskRequest { object: task.rating.clone().unwrap_or_default(), acceptance: None, output: None }
            }
        };
        let wait = Millis(RETRY_MIN.0 << sending.tries.min(10)).min(RETRY_MAX);
        sending.tries += 1;
        sending.due = cx.now.mono + wait;
        let purpose = Purpose::Task { task: id, step };
        sending.in_flight = cx.request(task.peer, Protocol::Tasks, strict::encode(&request), purpose);
        notes.push(Note::WantLink(task.peer));
    }

    fn response(&mut self, cx: &mut Cx<'_>, id: TaskId, step: Step, result: Result<Vec<u8>, RequestError>) {
        let Some(task) = self.tasks.get(&id) else { return };
        if let Some(sending) = self.outbox.get_mut(&id) {
            sending.in_flight = false;
        }
        if task.step != Some(step) {
            return;
        }
        let peer = task.peer;
        let reply = match result {
            Ok(data) => strict::decode::<TaskReply>(&data, REQUEST_BYTES_MAX),
            Err(RequestError::Unsupported) => {
                return self.unanswerable(cx, id, "the peer does not speak this network's task protocol");
            }
            // Sent again when it is due, or as soon as there is a link.
            Err(_) => return,
        };
        match (step, reply) {
            (_, Err(error)) => cx.charge(peer, SecurityKind::Malformed, format!("malformed task answer: {error}")),
            (_, Ok(TaskReply::Later)) => {}
            (Step::Submit, Ok(TaskReply::Accepted(bytes))) => self.accepted(cx, id, &bytes),
            (Step::Submit, Ok(TaskReply::Rejected(reason))) => self.rejected(cx, id, &reason),
            (Step::Deliver, Ok(TaskReply::Canceled)) => self.delivered_too_late(cx, id),
            (_, Ok(TaskReply::Ack)) => self.acknowledged(cx, id),
            (_, Ok(TaskReply::Unknown)) => self.unanswerable(cx, id, "the peer does not know this task any more"),
            (_, Ok(_)) => {
                cx.charge(peer, SecurityKind::Unexpected, "answered a task step with something that does not fit")
            }
        }
    }

    fn acknowledged(&mut self, cx: &mut Cx<'_>, id: TaskId) {
        self.outbox.remove(&id);
        if let Some(task) = self.tasks.get_mut(&id) {
            task.step = None;
            self.save(cx, id, AfterStore::Nothing);
        }
    }

    /// Sending again would not help.
    fn unanswerable(&mut self, cx: &mut Cx<'_>, id: TaskId, why: &str) {
        self.outbox.remove(&id);
        let Some(task) = self.tasks.get_mut(&id) else { return };
        task.step = None;
        task.problem.get_or_insert_with(|| why.to_owned());
        if !task.state.is_final() {
            self.set_state(cx, id, TaskState::Failed);
        }
        self.save(cx, id, AfterStore::Nothing);
    }

    fn linked(&mut self, cx: &mut Cx<'_>, notes: &mut Vec<Note>, peer: PeerId) {
        for id in self.waiting_for(&peer) {
            self.send(cx, notes, id);
        }
    }

    fn waiting_for(&self, peer: &PeerId) -> Vec<TaskId> {
        self.outbox.keys().filter(|id| self.tasks.get(id).is_some_and(|task| task.peer == *peer)).copied().collect()
    }

    // --- time --------------------------------------------------------------------------------

    fn tick(&mut self, cx: &mut Cx<'_>, notes: &mut Vec<Note>) {
        if cx.now.mono.since(self.looked) > requester::ASLEEP {
            self.awake = cx.now;
        }
        self.looked = cx.now.mono;
        let due: Vec<_> = self
            .outbox
            .iter()
            .filter(|(_, sending)| !sending.in_flight && cx.now.mono >= sending.due)
            .map(|(id, _)| *id)
            .collect();
        for id in due {
            let expired = self.tasks.get(&id).is_some_and(|task| cx.now.unix > task.deadline + OUTBOX_LIFETIME);
            if expired {
                self.unanswerable(cx, id, "the peer could not be reached for a week");
            } else {
                self.send(cx, notes, id);
            }
        }
        let open: Vec<_> = self.tasks.values().filter(|task| !task.state.is_final()).map(|task| task.id).collect();
        for id in open {
            match self.tasks[&id].direction {
                Direction::Out => self.overdue_out(cx, notes, id),
                Direction::In => self.overdue_in(cx, id),
            }
        }
    }

    // --- shared ------------------------------------------------------------------------------

    /// Room for `count` more tasks of `bytes` in all. False when those under way leave none.
    fn make_room(&mut self, cx: &mut Cx<'_>, count: usize, bytes: u64) -> bool {
        let bytes_max = cx.shared.config.tasks_bytes_max();
        let mut taken: u64 = self.tasks.values().map(size::reserved).sum();
        while self.tasks.len() + count > TASKS_MAX || taken + bytes > bytes_max {
            let Some(gone) = self.evict(cx) else { return false };
            taken -= size::reserved(&gone);
        }
        true
    }

    /// An ended task goes: those with nothing left to send first, then deliveries that their requesters
    /// never acknowledged, the oldest of each first.
    fn evict(&mut self, cx: &mut Cx<'_>) -> Option<Task> {
        let victim = self
            .tasks
            .values()
            .filter(|task| task.state.is_final())
            .filter(|task| task.step.is_none() || task.direction == Direction::In)
            .min_by_key(|task| (task.step.is_some(), task.updated))
            .map(|task| task.id);
        let id = victim?;
        self.outbox.remove(&id);
        cx.store(vec![Write { table: StoreTable::Tasks, key: id.0.to_vec(), value: None }], AfterStore::Nothing);
        self.tasks.remove(&id)
    }

    /// Write the task as it stands; `after` happens once it is on disk.
    fn save(&mut self, cx: &mut Cx<'_>, id: TaskId, after: AfterStore) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        task.updated = cx.now.unix;
        let value = Some(strict::encode(task));
        let waiting = self.outbox.get(&id).is_some_and(|sending| !sending.stored);
        let after = if waiting { AfterStore::Send { task: id, then: Box::new(after) } } else { after };
        cx.store(vec![Write { table: StoreTable::Tasks, key: id.0.to_vec(), value }], after);
        cx.touch(cx.shared.me);
        cx.show();
    }

    fn set_state(&mut self, cx: &mut Cx<'_>, id: TaskId, state: TaskState) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        if task.state == state {
            return;
        }
        task.state = state;
        let incoming = task.direction == Direction::In;
        let event = Event::Task { task: id, peer: task.peer, incoming, skill: task.skill.clone(), state };
        cx.event(event);
    }

    /// A task of this direction, or the answer that there is none.
    fn owned(&self, id: TaskId, direction: Direction) -> Result<&Task, CommandError> {
        self.tasks.get(&id).filter(|task| task.direction == direction).ok_or(CommandError::UnknownTask(id))
    }
}

fn done(command: CommandId) -> AfterStore {
    AfterStore::Reply { command, reply: Reply::Done }
}

fn respond(token: RequestToken, reply: &TaskReply) -> AfterStore {
    AfterStore::Respond { token, data: strict::encode(reply) }
}

impl Task {
    /// Whether it waits for the person here.
    fn is_answerable(&self) -> bool {
        self.direction == Direction::In && self.state == TaskState::InputRequired
    }

    fn view(&self) -> TaskView {
        let outgoing = self.direction == Direction::Out;
        TaskView {
            id: self.id,
            direction: self.direction,
            peer: self.peer,
            peer_name: None,
            skill: self.skill.clone(),
            state: self.state,
            input: self.input.clone(),
            output: self.output.clone(),
            problem: self.problem.clone(),
            created: self.created,
            deadline: self.deadline,
            updated: self.updated,
            rating: self.quality,
            receipt: self.receipt,
            answerable: self.is_answerable(),
            rateable: outgoing && self.state == TaskState::Completed && self.rating.is_none(),
            cancelable: outgoing && !self.state.is_final(),
            waiting_for_peer: self.step.is_some(),
        }
    }
}
