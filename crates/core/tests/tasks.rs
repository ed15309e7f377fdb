//! Direct tasks: ask, accept, deliver, rate, and everything that can go wrong between.

mod world;

use mycomesh_core::{
    io::{Command, CommandError, Event, Protocol, Reply, StoreTable},
    snapshot::TaskState,
    time::Millis,
    units::Bps,
    wire::{
        Network, Outcome, Signed, Skill, Submission, TaskId,
        requests::{TaskReply, TaskRequest},
        signed::Strict,
        strict,
    },
};
use serde_bytes::ByteBuf;
use world::World;

#[track_caller]
fn check(world: &mut World, at: usize, task: TaskId, expect: TaskState) {
    let view = world.task(at, task);
    assert_eq!(view.state, expect, "problem: {:?}", view.problem);
}

#[test]
fn an_echo_is_asked_delivered_rated_and_leaves_the_same_receipt_on_both_sides() {
    let mut world = World::mesh(2);
    let task = world.ask(0, 1, Skill::echo(), "hello");
    let view = world.task(0, task);
    assert_eq!((view.state, view.output.as_deref()), (TaskState::Completed, Some("hello")));
    assert!(view.rateable && !view.waiting_for_peer);
    world.command(0, Command::Rate { task, quality: Bps::ONE }).unwrap();
    let (out, into) = (world.task(0, task), world.task(1, task));
    assert_eq!(into.state, TaskState::Completed);
    assert_eq!(into.rating, Some(Bps::ONE));
    assert!(out.receipt.is_some() && out.receipt == into.receipt);
    assert!(!out.waiting_for_peer, "the receipt was acknowledged");
    for peer in &world.peers {
        let receipts: Vec<_> = peer.store.iter().filter(|((table, _), _)| *table == StoreTable::Receipts).collect();
        assert_eq!(receipts.len(), 1);
        mycomesh_core::verify_receipt(receipts[0].1, &Network::default(), &Strict).expect("it verifies alone");
    }
}

#[test]
fn a_rating_raises_the_trust_of_the_provider_and_names_its_receipt() {
    let mut world = World::mesh(2);
    let before = world.row(0, 1).unwrap().trust.score;
    let task = world.ask(0, 1, Skill::echo(), "hello");
    world.command(0, Command::Rate { task, quality: Bps::percent(80) }).unwrap();
    let trust = world.row(0, 1).unwrap().trust;
    assert!(trust.score > before);
    assert_eq!((trust.receipts, trust.signers), (1, 1));
    assert_eq!(trust.evidence[0].task, task);
    assert_eq!(trust.evidence[0].quality, Bps::percent(80));
    assert_eq!(Some(trust.evidence[0].cid), world.task(0, task).receipt);
}

#[test]
fn a_person_answers_from_the_inbox_after_an_hour() {
    let mut world = World::mesh(2);
    let to = world.id(1);
    let ask = Command::Ask { to, skill: Skill::human(), input: "why?".into(), timeout: Millis::secs(7_200) };
    let Ok(Reply::Task(task)) = world.command(0, ask) else { panic!("asked") };
    check(&mut world, 0, task, TaskState::Working);
    check(&mut world, 1, task, TaskState::InputRequired);
    world.pass(Millis::secs(3_600));
    world.command(1, Command::Answer { task, output: "because".into() }).unwrap();
    check(&mut world, 0, task, TaskState::Completed);
    assert_eq!(world.task(0, task).output.as_deref(), Some("because"));
}

#[test]
fn a_declined_task_is_rejected_with_the_reason_and_leaves_no_receipt() {
    let mut world = World::mesh(2);
    let task = world.ask(0, 1, Skill::human(), "please");
    world.command(1, Command::Decline { task, reason: "not today".into() }).unwrap();
    let view = world.task(0, task);
    assert_eq!((view.state, view.problem.as_deref()), (TaskState::Rejected, Some("not today")));
    assert_eq!(view.receipt, None);
}

#[test]
fn a_provider_that_accepts_and_vanishes_leaves_a_failed_receipt() {
    let mut world = World::mesh(3);
    world.jobs_hang = true;
    let task = world.ask(0, 1, Skill::echo(), "hello");
    check(&mut world, 0, task, TaskState::Working);
    world.kill(1);
    world.pass(Millis::secs(70));
    check(&mut world, 0, task, TaskState::Failed);
    assert!(world.task(0, task).receipt.is_some());
    let trust = world.row(2, 1).expect("the third peer knows of it").trust;
    assert_eq!((trust.receipts, trust.evidence[0].outcome), (1, Outcome::Expired));
}

#[test]
fn a_task_without_a_free_slot_is_rejected_as_busy() {
    let mut world = World::mesh(3);
    world.ask(0, 1, Skill::human(), "first");
    let second = world.ask(2, 1, Skill::human(), "second");
    let view = world.task(2, second);
    assert_eq!(view.state, TaskState::Rejected);
    assert!(view.problem.unwrap().starts_with("busy"));
}

#[test]
fn a_skill_that_is_not_offered_is_rejected() {
    let mut world = World::mesh(2);
    let task = world.ask(0, 1, Skill::new("translate").unwrap(), "hello");
    check(&mut world, 0, task, TaskState::Rejected);
}

#[test]
fn what_is_asked_while_the_provider_is_away_reaches_it_when_it_comes_back() {
    let mut world = World::mesh(2);
    world.cut(0, 1);
    let task = world.ask(0, 1, Skill::echo(), "later");
    check(&mut world, 0, task, TaskState::Submitted);
    assert!(world.task(0, task).waiting_for_peer);
    world.pass(Millis::secs(30));
    world.link(0, 1);
    check(&mut world, 0, task, TaskState::Completed);
}

#[test]
fn a_task_that_nobody_accepts_fails_at_its_deadline_without_a_receipt() {
    let mut world = World::mesh(2);
    world.cut(0, 1);
    let task = world.ask(0, 1, Skill::echo(), "nobody");
    world.pass(Millis::secs(70));
    let view = world.task(0, task);
    assert_eq!((view.state, view.receipt), (TaskState::Failed, None));
    assert_eq!(world.row(0, 1).unwrap().trust.first_hand_failures, 1, "it counts for this peer alone");
}

#[test]
fn a_canceled_task_leaves_the_inbox_and_a_late_answer_changes_nothing() {
    let mut world = World::mesh(2);
    let task = world.ask(0, 1, Skill::human(), "quick");
    world.cut(0, 1);
    world.command(0, Command::Cancel { task }).unwrap();
    world.command(1, Command::Answer { task, output: "too late".into() }).unwrap();
    world.link(0, 1);
    world.pass(Millis::secs(5));
    check(&mut world, 0, task, TaskState::Canceled);
    assert_eq!(world.task(0, task).output, None);
    assert!(!world.task(1, task).waiting_for_peer, "neither side goes on sending");
    assert!(!world.task(0, task).waiting_for_peer);
    let again = world.command(1, Command::Answer { task, output: "really".into() });
    assert!(matches!(again, Err(CommandError::WrongState { .. })), "{again:?}");
    let ends = |event: &&Event| matches!(event, Event::Task { state, .. } if state.is_final());
    let ends: Vec<_> = world.peers[1].events.iter().filter(ends).collect();
    assert_eq!(ends.len(), 1, "what has ended does not end again: {ends:?}");
}

#[test]
fn both_sides_survive_a_restart_in_the_middle() {
    let mut world = World::mesh(2);
    let task = world.ask(0, 1, Skill::human(), "after the crash");
    world.kill(0);
    world.kill(1);
    world.restart(1);
    world.command(1, Command::Answer { task, output: "still here".into() }).unwrap();
    world.restart(0);
    world.link(0, 1);
    world.pass(Millis::secs(2));
    check(&mut world, 0, task, TaskState::Completed);
    world.command(0, Command::Rate { task, quality: Bps::ONE }).unwrap();
    world.kill(0);
    world.restart(0);
    assert_eq!(world.task(0, task).rating, Some(Bps::ONE));
    let provider = world.id(1);
    let me = world.snapshot(0);
    assert!(me.tasks.rows.iter().any(|row| row.peer == provider));
    world.link(0, 1);
    world.pass(Millis(500));
    assert_eq!(world.row(0, 1).unwrap().trust.receipts, 1, "trust is rebuilt from the stored receipt");
}

#[test]
fn a_job_cut_short_by_a_restart_starts_anew() {
    let mut world = World::mesh(2);
    world.jobs_hang = true;
    let task = world.ask(0, 1, Skill::echo(), "again");
    world.kill(1);
    world.jobs_hang = false;
    world.restart(1);
    world.link(0, 1);
    check(&mut world, 0, task, TaskState::Completed);
}

#[test]
fn nothing_is_acknowledged_that_could_not_be_stored() {
    let mut world = World::mesh(2);
    world.disk_full = true;
    let to = world.id(1);
    let ask = Command::Ask { to, skill: Skill::echo(), input: "x".into(), timeout: Millis::secs(60) };
    assert!(matches!(world.command(0, ask), Err(CommandError::Store(_))));
    assert!(world.snapshot(0).tasks.rows.is_empty());
    assert!(world.peers[0].events.iter().any(|event| matches!(event, Event::Warning { .. })));

    // The provider's disk is full: it says "later", and the task goes through once there is room.
    let (object, id) = submission(&world, "y");
    let body = strict::encode(&TaskRequest { object, acceptance: None, output: None });
    let answer = world.raw_request(0, 1, Protocol::Tasks, body.clone()).unwrap();
    assert_eq!(strict::decode::<TaskReply>(&answer, 1 << 18).unwrap(), TaskReply::Later);
    world.disk_full = false;
    let answer = world.raw_request(0, 1, Protocol::Tasks, body).unwrap();
    assert!(matches!(strict::decode::<TaskReply>(&answer, 1 << 18).unwrap(), TaskReply::Accepted(_)));
    assert_eq!(world.task(1, id).state, TaskState::Completed);
}

fn submission(world: &World, input: &str) -> (ByteBuf, TaskId) {
    let task = TaskId([9; 16]);
    let body = Submission {
        created: world.unix(),
        deadline: world.unix() + Millis::secs(60),
        input: input.into(),
        skill: Skill::echo(),
        task,
        to: world.id(1),
    };
    let signed = Signed::seal(world.key(0), &Network::default(), body);
    (ByteBuf::from(&signed.bytes[..]), task)
}

#[test]
fn a_repeated_submission_gets_the_same_acceptance_and_is_worked_on_once() {
    let mut world = World::mesh(2);
    let (object, _) = submission(&world, "once");
    let body = strict::encode(&TaskRequest { object, acceptance: None, output: None });
    let first = world.raw_request(0, 1, Protocol::Tasks, body.clone()).unwrap();
    let second = world.raw_request(0, 1, Protocol::Tasks, body).unwrap();
    assert_eq!(first, second);
    assert_eq!(world.snapshot(1).tasks.total, 1);
}

#[test]
fn somebody_elses_submission_is_refused_and_charged() {
    let mut world = World::mesh(3);
    let (object, _) = submission(&world, "stolen");
    let body = strict::encode(&TaskRequest { object, acceptance: None, output: None });
    assert_eq!(world.raw_request(2, 1, Protocol::Tasks, body), None);
    let thief = world.id(2);
    assert!(world.peers[1].events.iter().any(|event| matches!(event, Event::Security { peer, .. } if *peer == thief)));
}

#[test]
fn asking_oneself_nobody_or_too_much_says_what_to_do() {
    let mut world = World::mesh(2);
    let ask = |to, input: String| Command::Ask { to, skill: Skill::echo(), input, timeout: Millis::secs(60) };
    let (me, other) = (world.id(0), world.id(1));
    assert_eq!(world.command(0, ask(me, "x".into())), Err(CommandError::Myself));
    let stranger = World::new(3).id(2);
    assert_eq!(world.command(0, ask(stranger, "x".into())), Err(CommandError::NoAddress));
    let long = world.command(0, ask(other, "x".repeat(100_000)));
    assert!(matches!(long, Err(CommandError::OutOfRange { what: "the input", .. })), "{long:?}");
    let unknown = world.command(0, Command::Rate { task: TaskId([0; 16]), quality: Bps::ONE });
    assert!(matches!(unknown, Err(CommandError::UnknownTask(_))));
}

#[test]
fn a_rating_that_could_not_be_stored_reaches_nobody_until_it_is() {
    let mut world = World::mesh(3);
    let task = world.ask(0, 1, Skill::echo(), "x");
    world.disk_full = true;
    let rated = world.command(0, Command::Rate { task, quality: Bps::ONE });
    assert!(matches!(rated, Err(CommandError::Store(_))), "{rated:?}");
    assert_eq!(world.row(2, 1).unwrap().trust.receipts, 0);
    assert_eq!(world.task(1, task).rating, None);
    world.disk_full = false;
    world.pass(Millis::secs(60));
    assert_eq!(world.row(2, 1).unwrap().trust.receipts, 1);
    assert_eq!(world.task(1, task).rating, Some(Bps::ONE));
}

#[test]
fn who_slept_over_the_deadline_takes_the_answer_that_was_made_in_time() {
    let mut world = World::mesh(3);
    let task = world.ask(0, 1, Skill::human(), "soon?");
    world.kill(0);
    world.command(1, Command::Answer { task, output: "yes".into() }).unwrap();
    world.pass(Millis::secs(3_600));
    world.restart(0);
    world.pass(Millis::secs(2));
    world.link(0, 1);
    world.pass(Millis::secs(70));
    check(&mut world, 0, task, TaskState::Completed);
    assert_eq!(world.row(2, 1).unwrap().trust.receipts, 0, "nobody was told that it failed");
}

#[test]
fn who_slept_over_the_deadline_of_a_provider_that_never_answers_still_gets_a_receipt() {
    let mut world = World::mesh(2);
    let task = world.ask(0, 1, Skill::human(), "soon?");
    world.kill(0);
    world.kill(1);
    world.pass(Millis::secs(3_600));
    world.restart(0);
    world.pass(Millis::secs(70));
    check(&mut world, 0, task, TaskState::Failed);
    assert!(world.task(0, task).receipt.is_some());
}

#[test]
fn a_stranger_that_never_acknowledges_does_not_fill_the_table() {
    let mut world = World::mesh(3);
    for n in 0..1_000_u32 {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&n.to_be_bytes());
        let body = Submission {
            created: world.unix() + Millis::secs(3_600),
            deadline: world.unix() + Millis::secs(7_200),
            input: "x".into(),
            skill: Skill::echo(),
            task: TaskId(id),
            to: world.id(1),
        };
        let signed = Signed::seal(world.key(0), &Network::default(), body);
        let object = ByteBuf::from(&signed.bytes[..]);
        let body = strict::encode(&TaskRequest { object, acceptance: None, output: None });
        world.raw_request(0, 1, Protocol::Tasks, body);
        if n % 100 == 0 {
            world.cut(0, 1);
        }
    }
    let task = world.ask(1, 2, Skill::human(), "mine");
    let rows = world.snapshot(1).tasks;
    assert!(rows.rows.iter().any(|row| row.id == task), "the owner's own task is in sight");
}

#[test]
fn a_receipt_is_final() {
    let mut world = World::mesh(2);
    let task = world.ask(0, 1, Skill::echo(), "x");
    world.command(0, Command::Rate { task, quality: Bps::ONE }).unwrap();
    let again = world.command(0, Command::Rate { task, quality: Bps::ZERO });
    assert!(matches!(again, Err(CommandError::WrongState { .. })));
    assert_eq!(world.row(0, 1).unwrap().trust.receipts, 1);
}
