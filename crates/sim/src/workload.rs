//! What owners do: they ask each other, answer, rate.

use std::collections::BTreeMap;

use mycomesh_core::{
    io::{Command, CommandError, CommandId, Reply},
    snapshot::TaskState,
    time::Millis,
    units::Bps,
    wire::{Skill, TaskId},
};
use serde::{Deserialize, Serialize};

use crate::{byzantine::Role, event::Event, gossip::PeerNo, peer::Peer, time::Micros, world::World};

/// How much is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Demand {
    /// Questions each agent asks in an hour, on average.
    pub asks_per_hour: u64,
    /// Of these go to a person, in thousandths.
    pub human_permille: u64,
    /// A person answers so many of them, in thousandths, declines some and forgets the rest.
    pub answered_permille: u64,
    /// Deliveries that are rated, in thousandths.
    pub rated_permille: u64,
}

impl Default for Demand {
    fn default() -> Self {
        Self { asks_per_hour: 30, human_permille: 200, answered_permille: 800, rated_permille: 900 }
    }
}

/// Something an owner wants done.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Errand {
    /// Name the relays.
    Join,
    /// Say goodbye.
    Leave,
    /// Ask somebody.
    Ask { to: PeerNo, skill: Skill },
    /// Answer a question.
    Answer(TaskId),
    /// Decline it.
    Decline(TaskId),
    /// Rate a delivery.
    Rate(TaskId, Bps),
    /// Connect to somebody.
    Connect(PeerNo),
    /// Flip the owner's switch.
    Busy(bool),
}

/// A question that became a task.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// Who asked.
    pub from: PeerNo,
    /// Whom.
    pub to: PeerNo,
    /// When.
    pub at: Micros,
}

/// What was asked so far.
#[derive(Debug, Default)]
pub struct Workload {
    /// Every task that came of a question.
    pub asked: BTreeMap<TaskId, Asked>,
    questions: u64,
}

/// How long a person thinks, in milliseconds.
const THINKING_MS: [u64; 2] = [1_000, 20_000];
/// How long it takes until a delivery is rated, in milliseconds.
const RATING_MS: [u64; 2] = [500, 10_000];
/// Of the questions a person does not answer this share is declined, in thousandths.
const DECLINED_PERMILLE: u64 = 500;

impl World {
    pub(crate) fn plan_workload(&mut self) {
        self.next_ask();
    }

    /// Questions come as from many people who do not know of each other.
    fn next_ask(&mut self) {
        let agents = self.peers.iter().filter(|peer| peer.config.agent).count() as u64;
        let an_hour = self.scenario.workload.asks_per_hour * agents;
        if an_hour == 0 {
            return;
        }
        let mean = Micros::secs(3_600).0 / an_hour;
        let wait = self.rng.workload.below(2 * mean + 1);
        self.queue.push(self.now + Micros(wait), Event::Ask);
    }

    pub(crate) fn somebody_asks(&mut self) {
        self.next_ask();
        let here: Vec<PeerNo> =
            self.peers.iter().filter(|peer| peer.alive && peer.config.agent).map(|peer| peer.no).collect();
        let rng = &mut self.rng.workload;
        let (Some(from), Some(to)) = (rng.pick(&here), rng.pick(&here)) else { return };
        let human = rng.chance(self.scenario.workload.human_permille);
        let asks = matches!(self.peer(from).role, Role::Honest | Role::Colluder | Role::Equivocator);
        if from == to || !asks || self.now >= self.scenario.last_ask() {
            return;
        }
        let skill = if human { Skill::human() } else { Skill::echo() };
        let life = self.peer(from).life;
        self.queue.push(self.now, Event::Errand { peer: from, life, errand: Errand::Ask { to, skill } });
    }

    pub(crate) fn run_errand(&mut self, no: PeerNo, errand: Errand) {
        let command = match &errand {
            Errand::Join | Errand::Leave => return,
            Errand::Ask { to, skill } => {
                self.workload.questions += 1;
                self.tally.asks += 1;
                let input = format!("question {} of peer {}", self.workload.questions, no.0);
                let timeout: Millis = Peer::patience();
                Command::Ask { to: self.peer(*to).id, skill: skill.clone(), input, timeout }
            }
            Errand::Answer(task) => Command::Answer { task: *task, output: "an answer".into() },
            Errand::Decline(task) => Command::Decline { task: *task, reason: "no time".into() },
            Errand::Rate(task, quality) => Command::Rate { task: *task, quality: *quality },
            Errand::Connect(to) => Command::ConnectPeer(self.peer(*to).id),
            Errand::Busy(busy) => Command::SetBusy(*busy),
        };
        self.command(no, command, errand);
    }

    pub(crate) fn on_reply(&mut self, no: PeerNo, id: CommandId, result: Result<Reply, CommandError>) {
        let Some(errand) = self.peer_mut(no).errands.remove(&id) else {
            return self.fail("tasks", format!("peer {} answered command {} twice, or one never given", no.0, id.0));
        };
        match (errand, result) {
            (Errand::Ask { to, .. }, Ok(Reply::Task(task))) => {
                self.tally.tasks += 1;
                let at = self.now;
                self.workload.asked.insert(task, Asked { from: no, to, at });
            }
            (Errand::Ask { .. }, Err(_)) => self.tally.asks_refused += 1,
            _ => {}
        }
    }

    /// A task has another state.
    pub(crate) fn on_task(&mut self, no: PeerNo, task: TaskId, incoming: bool, state: TaskState) {
        let role = self.peer(no).role;
        if role == Role::Withholder && incoming {
            return;
        }
        let demand = self.scenario.workload.clone();
        let partial = self.workload.asked.get(&task).map(|asked| self.partial_quality(asked.to));
        let rng = &mut self.rng.workload;
        let (span, errand) = match (incoming, state) {
            (true, TaskState::InputRequired) => {
                let answers = rng.chance(demand.answered_permille);
                let declines = rng.chance(DECLINED_PERMILLE);
                let errand = match (answers, declines) {
                    (true, _) => Errand::Answer(task),
                    (false, true) => Errand::Decline(task),
                    (false, false) => return,
                };
                (THINKING_MS, errand)
            }
            (false, TaskState::Completed) if rng.chance(demand.rated_permille) => {
                let fair = Bps::percent(rng.between(70, 100));
                let quality = partial.filter(|_| role == Role::Colluder).unwrap_or(fair);
                (RATING_MS, Errand::Rate(task, quality))
            }
            _ => return,
        };
        let wait = Micros::millis(rng.between(span[0], span[1]));
        let life = self.peer(no).life;
        self.queue.push(self.now + wait, Event::Errand { peer: no, life, errand });
    }
}
