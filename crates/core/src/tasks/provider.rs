//! The side that answers.

use libp2p_identity::PeerId;
use serde_bytes::ByteBuf;

use super::{Note, Offer, State, Step, Task, done, respond, size};
use crate::{
    cx::{AfterStore, Cx},
    io::{CommandError, CommandId, Output, RequestToken},
    limits::{CLOCK_SKEW_MAX, INBOX_MAX, OUTPUT_BYTES_MAX, REASON_BYTES_MAX, TASK_DURATION_MAX},
    planted::Bug,
    receipts,
    snapshot::{Direction, SecurityKind, TaskState},
    wire::{
        Acceptance, Cancel, Delivery, Outcome, Signed, Skill, Submission, TaskId, cut,
        requests::TaskReply,
        signed::{cid_of, cid_of_raw},
        strict,
    },
};

impl State {
    /// Jobs that a restart cut short start anew, and receipts that it kept from being stored are.
    pub(super) fn start(&mut self, cx: &mut Cx<'_>, notes: &mut Vec<Note>, receipts: &receipts::State) {
        // The limit may have been lowered since.
        self.make_room(cx, 0, 0);
        self.awake = cx.now;
        self.looked = cx.now.mono;
        for task in self.tasks.values() {
            if let (Some(cid), Some(rating)) = (&task.receipt, &task.rating)
                && !receipts.holds(cid)
                && let Ok(signed) = cx.open(rating)
            {
                notes.push(Note::Receipt { signed: Box::new(signed), after: AfterStore::Nothing });
            }
            if task.direction == Direction::In && task.state == TaskState::Working && task.delivery.is_none() {
                run(cx, task);
            }
        }
    }

    /// Somebody asks this peer for work.
    pub(super) fn submission(
        &mut self,
        cx: &mut Cx<'_>,
        peer: PeerId,
        token: RequestToken,
        bytes: &[u8],
        offer: Offer<'_>,
    ) {
        let signed = match cx.open::<Submission>(bytes) {
            Ok(signed) if signed.signer == peer => signed,
            Ok(_) => return cx.refuse(peer, token, SecurityKind::Impersonation, "sent somebody else's submission"),
            Err(error) => return cx.refuse(peer, token, (&error).into(), format!("sent a wrong submission: {error}")),
        };
        if let Some(task) = self.tasks.get(&signed.body.task).filter(|_| !cx.planted(Bug::SubmissionTwice)) {
            return self.submitted_again(cx, token, task.id, &signed);
        }
        let size = size::of_new(signed.bytes.len(), signed.body.input.len());
        if let Some(reason) = self.reason_to_reject(cx, &signed.body, offer, size) {
            return cx.respond(token, strict::encode(&TaskReply::Rejected(reason)));
        }
        let submission = signed.body;
        let id = submission.task;
        let acceptance = cx.seal(Acceptance {
            at: cx.now.unix,
            deadline: submission.deadline,
            requester: peer,
            skill: submission.skill.clone(),
            submission: signed.cid,
            task: id,
        });
        let reply = TaskReply::Accepted(ByteBuf::from(&acceptance.bytes[..]));
        let for_person = submission.skill == Skill::human();
        let state = if for_person { TaskState::InputRequired } else { TaskState::Working };
        let task = Task {
            id,
            direction: Direction::In,
            peer,
            skill: submission.skill,
            state: TaskState::Submitted,
            input: submission.input,
            output: None,
            problem: None,
            // A claim of the requester; one from the future would push the owner's own out of sight.
            created: submission.created.min(cx.now.unix),
            deadline: submission.deadline,
            updated: cx.now.unix,
            delivered: None,
            submission: ByteBuf::from(&signed.bytes[..]),
            acceptance: Some(ByteBuf::from(&acceptance.bytes[..])),
            delivery: None,
            rating: None,
            quality: None,
            receipt: None,
            step: None,
        };
        self.tasks.insert(id, task);
        self.set_state(cx, id, state);
        if cx.planted(Bug::AcceptedBeforeStored) {
            cx.respond(token, strict::encode(&reply));
            self.save(cx, id, AfterStore::Nothing);
        } else {
            self.save(cx, id, respond(token, &reply));
        }
        if !for_person {
            run(cx, &self.tasks[&id]);
        }
    }

    /// The answer to a submission was lost: give the same one again.
    fn submitted_again(&mut self, cx: &mut Cx<'_>, token: RequestToken, id: TaskId, signed: &Signed<Submission>) {
        let task = &self.tasks[&id];
        let same = task.direction == Direction::In && task.submission[..] == signed.bytes[..];
        match task.acceptance.clone().filter(|_| same) {
            Some(acceptance) => self.save(cx, id, respond(token, &TaskReply::Accepted(acceptance))),
            None => cx.refuse(signed.signer, token, SecurityKind::Unexpected, "used the id of another task"),
        }
    }

    fn reason_to_reject(
        &mut self,
        cx: &mut Cx<'_>,
        submission: &Submission,
        offer: Offer<'_>,
        size: u64,
    ) -> Option<String> {
        let waiting = self.tasks.values().filter(|task| task.is_answerable()).count();
        let now = cx.now.unix;
        if submission.to != cx.me() {
            Some("this task was meant for another peer".into())
        } else if !offer.skills.contains(&submission.skill) {
            Some(format!("this peer does not offer the skill {}", submission.skill))
        } else if submission.deadline <= now || submission.deadline > now + TASK_DURATION_MAX + CLOCK_SKEW_MAX {
            Some("the deadline has passed or lies more than a week ahead; check the clocks".into())
        } else if offer.busy {
            Some("busy: the owner takes no tasks at the moment".into())
        } else if self.slots_taken() >= offer.slots || waiting >= INBOX_MAX {
            Some("busy: no slot is free; try again later".into())
        } else if !self.make_room(cx, 1, size) {
            Some("busy: too many tasks are kept here".into())
        } else {
            None
        }
    }

    pub(super) fn job_done(&mut self, cx: &mut Cx<'_>, id: TaskId, result: Result<String, String>) {
        if self.tasks.get(&id).is_none_or(|task| task.state != TaskState::Working) {
            return;
        }
        match result {
            Ok(output) if output.len() <= OUTPUT_BYTES_MAX => self.deliver(cx, id, Outcome::Completed, output),
            Ok(_) => self.deliver(cx, id, Outcome::Failed, "the output is too large to deliver".into()),
            Err(reason) => self.deliver(cx, id, Outcome::Failed, cut(&reason, REASON_BYTES_MAX)),
        }
        self.save(cx, id, AfterStore::Nothing);
    }

    pub(super) fn answer(&mut self, cx: &mut Cx<'_>, command: CommandId, id: TaskId, output: String) {
        if output.len() > OUTPUT_BYTES_MAX {
            let limit = format!("at most {OUTPUT_BYTES_MAX} bytes; it has {}", output.len());
            return cx.reply(command, Err(CommandError::OutOfRange { what: "the answer", limit }));
        }
        if let Err(error) = self.answerable(id) {
            return cx.reply(command, Err(error));
        }
        self.deliver(cx, id, Outcome::Completed, output);
        self.save(cx, id, done(command));
    }

    pub(super) fn decline(&mut self, cx: &mut Cx<'_>, command: CommandId, id: TaskId, reason: String) {
        if let Err(error) = self.answerable(id) {
            return cx.reply(command, Err(error));
        }
        self.deliver(cx, id, Outcome::Declined, cut(&reason, REASON_BYTES_MAX));
        self.save(cx, id, done(command));
    }

    fn answerable(&self, id: TaskId) -> Result<(), CommandError> {
        let task = self.owned(id, Direction::In)?;
        if task.state == TaskState::InputRequired {
            return Ok(());
        }
        let advice = match task.state {
            TaskState::Canceled => "it was withdrawn, so no answer is needed",
            TaskState::Working => "a program is working on it",
            _ => "it has ended",
        };
        Err(CommandError::WrongState { task: id, state: task.state, advice })
    }

    fn deliver(&mut self, cx: &mut Cx<'_>, id: TaskId, outcome: Outcome, output: String) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        let delivery = cx.seal(Delivery {
            acceptance: cid_of(task.acceptance.as_deref().map_or(&[], Vec::as_slice)),
            at: cx.now.unix,
            outcome,
            requester: task.peer,
            result: cid_of_raw(output.as_bytes()),
            size: output.len() as u64,
            task: id,
        });
        task.delivery = Some(ByteBuf::from(&delivery.bytes[..]));
        let state = match outcome {
            Outcome::Completed => {
                task.output = Some(output);
                TaskState::Completed
            }
            Outcome::Declined => {
                task.problem = Some(output);
                TaskState::Rejected
            }
            _ => {
                task.problem = Some(output);
                TaskState::Failed
            }
        };
        self.set_state(cx, id, state);
        self.enqueue(cx, id, Step::Deliver);
    }

    /// The requester did not want it any more, or it came after the deadline. For this side the task has ended
    /// already, and stays as it ended.
    pub(super) fn delivered_too_late(&mut self, cx: &mut Cx<'_>, id: TaskId) {
        if let Some(task) = self.tasks.get_mut(&id) {
            task.problem =
                Some("the requester had withdrawn it, or its deadline had passed, when the answer came".into());
        }
        self.acknowledged(cx, id);
    }

    /// The requester withdraws a task.
    pub(super) fn canceled(&mut self, cx: &mut Cx<'_>, peer: PeerId, token: RequestToken, bytes: &[u8]) {
        let signed = match cx.open::<Cancel>(bytes) {
            Ok(signed) if signed.signer == peer => signed,
            Ok(_) => return cx.refuse(peer, token, SecurityKind::Impersonation, "sent somebody else's cancel"),
            Err(error) => return cx.refuse(peer, token, (&error).into(), format!("sent a wrong cancel: {error}")),
        };
        let id = signed.body.task;
        let known = self.tasks.get(&id).filter(|task| task.peer == peer && task.direction == Direction::In);
        let Some(task) = known else { return cx.respond(token, strict::encode(&TaskReply::Ack)) };
        if !task.state.is_final() {
            self.set_state(cx, id, TaskState::Canceled);
            cx.out.push(Output::StopJob { task: id });
        }
        self.save(cx, id, respond(token, &TaskReply::Ack));
    }

    /// The requester's receipt.
    pub(super) fn rated(
        &mut self,
        cx: &mut Cx<'_>,
        notes: &mut Vec<Note>,
        peer: PeerId,
        token: RequestToken,
        bytes: &[u8],
    ) {
        let signed = match cx.open_receipt(bytes) {
            Ok(signed) if signed.signer == peer && signed.body.provider == cx.me() => signed,
            Ok(_) => {
                return cx.refuse(
                    peer,
                    token,
                    SecurityKind::Impersonation,
                    "sent a receipt that is not about this peer",
                );
            }
            Err(error) => return cx.refuse(peer, token, (&error).into(), format!("sent a wrong receipt: {error}")),
        };
        let id = signed.body.task;
        let Some(task) = self.tasks.get_mut(&id).filter(|task| task.peer == peer) else {
            return notes.push(Note::Receipt { signed: Box::new(signed), after: respond(token, &TaskReply::Ack) });
        };
        task.rating = Some(ByteBuf::from(&signed.bytes[..]));
        task.quality = Some(signed.body.quality);
        task.receipt = Some(signed.cid);
        // A receipt proves that the delivery came through, whatever happened to its answer.
        if signed.body.delivery.is_some() && task.step == Some(Step::Deliver) {
            task.step = None;
            self.outbox.remove(&id);
        }
        notes.push(Note::Receipt { signed: Box::new(signed), after: AfterStore::Nothing });
        self.save(cx, id, respond(token, &TaskReply::Ack));
    }

    /// The deadline passed with no answer: the slot is free again.
    pub(super) fn overdue_in(&mut self, cx: &mut Cx<'_>, id: TaskId) {
        if cx.now.unix < self.tasks[&id].deadline || cx.planted(Bug::DeadlineOverslept) {
            return;
        }
        if let Some(task) = self.tasks.get_mut(&id) {
            task.problem = Some("it was not answered by the deadline".into());
        }
        self.set_state(cx, id, TaskState::Failed);
        cx.out.push(Output::StopJob { task: id });
        self.save(cx, id, AfterStore::Nothing);
    }
}

fn run(cx: &mut Cx<'_>, task: &Task) {
    cx.out.push(Output::RunJob {
        task: task.id,
        requester: task.peer,
        skill: task.skill.clone(),
        input: task.input.clone(),
    });
}
