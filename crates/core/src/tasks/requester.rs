//! The side that asks.

use libp2p_identity::PeerId;
use serde_bytes::ByteBuf;

use super::{Note, Sending, State, Step, Task, done, respond, size};
use crate::{
    cx::{AfterStore, Cx},
    io::{CommandError, CommandId, Reply, RequestToken},
    limits::{
        INPUT_BYTES_MAX, OUTPUT_BYTES_MAX, REASON_BYTES_MAX, TASK_DURATION_MAX, TASK_DURATION_MIN, TASKS_OPEN_MAX,
    },
    planted::Bug,
    snapshot::{Direction, SecurityKind, TaskState},
    time::Millis,
    units::Bps,
    wire::{
        Acceptance, Delivery, Object, Outcome, Rating, Signed, Skill, Submission, TaskId, cut,
        requests::{TaskReply, TaskRequest},
        signed::{cid_of, cid_of_raw},
    },
};

/// A delivery made in time may still be on its way at the deadline.
pub const GRACE: Millis = Millis::secs(5);
/// A node that was away when a deadline passed gives the provider this long to hand over what it may
/// have made in time, before it calls the task failed.
pub const CATCH_UP: Millis = Millis::secs(60);
/// A node that did not look at the clock for this long was away. Longer than the gaps of a hidden
/// tab, whose timers run once a minute.
pub const ASLEEP: Millis = Millis::secs(90);

impl State {
    pub(super) fn ask(
        &mut self,
        cx: &mut Cx<'_>,
        command: CommandId,
        to: PeerId,
        skill: Skill,
        input: String,
        timeout: Millis,
    ) {
        if let Err(error) = self.check_ask(cx, &input, timeout) {
            return cx.reply(command, Err(error));
        }
        let id = TaskId(cx.random_bytes());
        let timeout = if cx.planted(Bug::DeadlineInSeconds) { timeout.times(1_000) } else { timeout };
        let (created, deadline) = (cx.now.unix, cx.now.unix + timeout);
        let submission =
            cx.seal(Submission { created, deadline, input: input.clone(), skill: skill.clone(), task: id, to });
        self.tasks.insert(
            id,
            Task {
                id,
                direction: Direction::Out,
                peer: to,
                skill,
                state: TaskState::Submitted,
                input,
                output: None,
                problem: None,
                created,
                deadline,
                updated: created,
                delivered: None,
                submission: ByteBuf::from(&submission.bytes[..]),
                acceptance: None,
                delivery: None,
                rating: None,
                quality: None,
                receipt: None,
                step: Some(Step::Submit),
            },
        );
        if cx.planted(Bug::AskedBeforeStored) {
            self.outbox.insert(id, Sending { due: cx.now.mono, stored: true, ..Sending::default() });
        }
        self.save(cx, id, AfterStore::Asked { command, task: id });
    }

    fn check_ask(&mut self, cx: &mut Cx<'_>, input: &str, timeout: Millis) -> Result<(), CommandError> {
        if input.len() > INPUT_BYTES_MAX {
            let limit = format!("at most {INPUT_BYTES_MAX} bytes; it has {}", input.len());
            return Err(CommandError::OutOfRange { what: "the input", limit });
        }
        if !(TASK_DURATION_MIN..=TASK_DURATION_MAX).contains(&timeout) {
            return Err(CommandError::OutOfRange { what: "the time to answer", limit: "1 second to 7 days".into() });
        }
        let open = self.tasks.values().filter(|task| task.direction == Direction::Out && !task.state.is_final());
        if open.count() >= TASKS_OPEN_MAX {
            return Err(CommandError::Full("tasks of yours"));
        }
        let envelope = Submission::BYTES_MAX - INPUT_BYTES_MAX + input.len();
        if !self.make_room(cx, 1, size::of_new(envelope, input.len())) {
            return Err(CommandError::Full("tasks"));
        }
        Ok(())
    }

    pub(super) fn asked(
        &mut self,
        cx: &mut Cx<'_>,
        notes: &mut Vec<Note>,
        command: CommandId,
        id: TaskId,
        stored: Result<(), String>,
    ) {
        match stored {
            Ok(()) => {
                cx.reply(command, Ok(Reply::Task(id)));
                if self.tasks.get(&id).is_some_and(|task| task.state == TaskState::Submitted) {
                    self.outbox.insert(id, Sending { due: cx.now.mono, stored: true, ..Sending::default() });
                    self.send(cx, notes, id);
                }
            }
            Err(error) => {
                self.tasks.remove(&id);
                self.outbox.remove(&id);
                cx.reply(command, Err(CommandError::Store(error)));
            }
        }
    }

    pub(super) fn cancel(&mut self, cx: &mut Cx<'_>, command: CommandId, id: TaskId) {
        let task = match self.owned(id, Direction::Out) {
            Ok(task) if !task.state.is_final() => task,
            Ok(task) => {
                let state = task.state;
                let error =
                    CommandError::WrongState { task: id, state, advice: "only a task under way can be canceled" };
                return cx.reply(command, Err(error));
            }
            Err(error) => return cx.reply(command, Err(error)),
        };
        let peer = task.peer;
        self.set_state(cx, id, TaskState::Canceled);
        self.enqueue(cx, id, Step::Cancel);
        self.save(cx, id, done(command));
        cx.touch(peer);
    }

    /// The provider took the task on.
    pub(super) fn accepted(&mut self, cx: &mut Cx<'_>, id: TaskId, bytes: &[u8]) {
        let Some(task) = self.tasks.get(&id) else { return };
        let peer = task.peer;
        if let Err(why) = check_acceptance(cx, task, bytes) {
            return cx.charge(peer, SecurityKind::Malformed, format!("answered with a wrong acceptance: {why}"));
        }
        self.outbox.remove(&id);
        if let Some(task) = self.tasks.get_mut(&id) {
            task.step = None;
            task.acceptance = Some(ByteBuf::from(bytes));
        }
        self.set_state(cx, id, TaskState::Working);
        self.save(cx, id, AfterStore::Nothing);
    }

    pub(super) fn rejected(&mut self, cx: &mut Cx<'_>, id: TaskId, reason: &str) {
        self.outbox.remove(&id);
        let Some(task) = self.tasks.get_mut(&id) else { return };
        task.step = None;
        task.problem = Some(cut(reason, REASON_BYTES_MAX));
        self.set_state(cx, id, TaskState::Rejected);
        self.save(cx, id, AfterStore::Nothing);
    }

    /// The provider hands over its result.
    pub(super) fn delivered(&mut self, cx: &mut Cx<'_>, peer: PeerId, token: RequestToken, request: TaskRequest) {
        let signed = match cx.open::<Delivery>(&request.object) {
            Ok(signed) if signed.signer == peer => signed,
            Ok(_) => return cx.refuse(peer, token, SecurityKind::Impersonation, "sent somebody else's delivery"),
            Err(error) => return cx.refuse(peer, token, (&error).into(), format!("sent a wrong delivery: {error}")),
        };
        let id = signed.body.task;
        let known = self.tasks.get(&id).filter(|task| task.peer == peer && task.direction == Direction::Out);
        let Some(task) = known else { return cx.respond(token, crate::wire::strict::encode(&TaskReply::Unknown)) };
        match task.state {
            TaskState::Submitted | TaskState::Working | TaskState::InputRequired => {}
            TaskState::Failed if cx.planted(Bug::LateDeliveryRevives) && task.delivery.is_none() => {}
            // A repeated delivery whose acknowledgement was lost.
            _ if task.delivery.as_ref().is_some_and(|held| held[..] == signed.bytes[..]) => {
                return self.save(cx, id, respond(token, &TaskReply::Ack));
            }
            _ => return cx.respond(token, crate::wire::strict::encode(&TaskReply::Canceled)),
        }
        let output = request.output.unwrap_or_default();
        let acceptance = task.acceptance.clone().or(request.acceptance).unwrap_or_default();
        let checked =
            check_acceptance(cx, task, &acceptance).and_then(|()| check_delivery(&signed, &acceptance, &output));
        if let Err(why) = checked {
            return cx.refuse(peer, token, SecurityKind::Malformed, format!("sent a wrong delivery: {why}"));
        }

        if let Some(task) = self.tasks.get_mut(&id) {
            task.acceptance = Some(acceptance);
            task.delivery = Some(ByteBuf::from(&signed.bytes[..]));
            task.step = None;
            task.delivered = Some(cx.now.unix);
            match signed.body.outcome {
                Outcome::Completed => task.output = Some(output),
                _ => task.problem = Some(cut(&output, REASON_BYTES_MAX)),
            }
        }
        self.outbox.remove(&id);
        let state = match signed.body.outcome {
            Outcome::Completed => TaskState::Completed,
            Outcome::Declined => TaskState::Rejected,
            _ => TaskState::Failed,
        };
        self.set_state(cx, id, state);
        if state == TaskState::Failed {
            self.judge(cx, id, Outcome::Failed, Bps::ZERO, Bps::ZERO);
        }
        self.save(cx, id, respond(token, &TaskReply::Ack));
    }

    pub(super) fn rate(&mut self, cx: &mut Cx<'_>, command: CommandId, id: TaskId, quality: Bps) {
        let task = match self.owned(id, Direction::Out) {
            Ok(task) => task,
            Err(error) => return cx.reply(command, Err(error)),
        };
        if task.state != TaskState::Completed || task.rating.is_some() {
            let advice = match task.rating {
                Some(_) => "it has been rated already, and a receipt is final",
                None => "only a delivered task can be rated",
            };
            let error = CommandError::WrongState { task: id, state: task.state, advice };
            return cx.reply(command, Err(error));
        }
        let timeliness = timeliness(task);
        self.judge(cx, id, Outcome::Completed, quality, timeliness);
        self.save(cx, id, done(command));
    }

    /// The deadline passed: without an acceptance nobody is to blame on paper, with one there is a
    /// receipt for it.
    pub(super) fn overdue_out(&mut self, cx: &mut Cx<'_>, notes: &mut Vec<Note>, id: TaskId) {
        let task = &self.tasks[&id];
        if cx.now.unix < task.deadline + GRACE || cx.now.mono < self.caught_up(task) {
            return;
        }
        let (peer, accepted) = (task.peer, task.acceptance.is_some());
        let why = match accepted {
            true => "it was accepted and not delivered by the deadline",
            false => "it was not accepted by the deadline",
        };
        if let Some(task) = self.tasks.get_mut(&id) {
            task.problem = Some(why.to_owned());
            task.step = None;
        }
        self.outbox.remove(&id);
        self.set_state(cx, id, TaskState::Failed);
        if accepted {
            self.judge(cx, id, Outcome::Expired, Bps::ZERO, Bps::ZERO);
        } else {
            notes.push(Note::Failed(peer));
        }
        self.save(cx, id, AfterStore::Nothing);
    }

    /// Sign the receipt. It spreads, and goes to the provider, once the task is saved with it.
    fn judge(&mut self, cx: &mut Cx<'_>, id: TaskId, outcome: Outcome, quality: Bps, timeliness: Bps) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        let Some(acceptance) = task.acceptance.clone() else { return };
        let rating = cx.seal(Rating {
            acceptance: acceptance.into_vec(),
            at: cx.now.unix,
            delivery: task.delivery.clone().map(ByteBuf::into_vec),
            outcome,
            provider: task.peer,
            quality,
            skill: task.skill.clone(),
            task: id,
            timeliness,
        });
        task.rating = Some(ByteBuf::from(&rating.bytes[..]));
        task.quality = Some(quality);
        task.receipt = Some(rating.cid);
        self.enqueue(cx, id, Step::Rate);
    }
}

fn check_acceptance(cx: &Cx<'_>, task: &Task, bytes: &[u8]) -> Result<(), String> {
    let signed: Signed<Acceptance> = cx.open(bytes).map_err(|error| error.to_string())?;
    let acceptance = &signed.body;
    let fits = signed.signer == task.peer
        && acceptance.task == task.id
        && acceptance.requester == cx.shared.me
        && acceptance.submission == cid_of(&task.submission)
        && acceptance.skill == task.skill
        && acceptance.deadline == task.deadline;
    if fits { Ok(()) } else { Err("it does not belong to this submission".into()) }
}

fn check_delivery(signed: &Signed<Delivery>, acceptance: &[u8], output: &str) -> Result<(), String> {
    let delivery = &signed.body;
    if delivery.acceptance != cid_of(acceptance) {
        return Err("it belongs to another acceptance".into());
    }
    if output.len() > OUTPUT_BYTES_MAX {
        return Err(format!("its output is longer than {OUTPUT_BYTES_MAX} bytes"));
    }
    if delivery.size != output.len() as u64 || delivery.result != cid_of_raw(output.as_bytes()) {
        return Err("its output is not the one it names".into());
    }
    match delivery.outcome {
        Outcome::Completed | Outcome::Failed | Outcome::Declined => Ok(()),
        Outcome::Expired | Outcome::Other => Err("its outcome is none a provider can have".into()),
    }
}

/// Full for a delivery within the first half of the agreed time, half of it at the deadline, linear
/// between. Measured on this side's clock.
fn timeliness(task: &Task) -> Bps {
    let agreed = task.deadline.since(task.created).0.max(1);
    let ended = task.delivered.unwrap_or(task.updated);
    let used = ended.since(task.created).0.min(agreed);
    Bps::ratio(agreed.min(3 * agreed / 2 - used), agreed)
}
