//! The machine on its own, and two of them against each other in every order that things can happen in.

mod orders;

use super::*;

const SDP: &str = "v=0";

fn machine(role: Role) -> Machine {
    Machine::start(role, Arc::new(Config::default())).0
}

fn candidate(name: &str) -> String {
    format!(r#"{{"candidate":"{name}","sdpMid":"0"}}"#)
}

fn description(kind: Kind) -> Message {
    Message { kind: Some(kind as i32), data: Some(SDP.into()), frame_bytes_max: None }
}

fn from_remote(data: Option<&str>) -> Input {
    Input::Remote(Ok(Message { kind: Some(2), data: data.map(Into::into), frame_bytes_max: None }))
}

fn add(json: &str) -> Output {
    Output::Do(Command::AddCandidate(json.into()))
}

/// An offerer that has its answer.
fn connecting() -> Machine {
    let mut machine = machine(Role::Offerer);
    machine.handle(Input::Local(Event::Described(SDP.into())));
    machine.handle(Input::Remote(Ok(description(Kind::Answer))));
    machine.handle(Input::Local(Event::RemoteSet));
    assert_eq!(machine.stage, Stage::Connecting);
    machine
}

#[track_caller]
fn check(machine: &mut Machine, input: Input, expect: &[Output]) {
    assert_eq!(machine.handle(input), expect);
}

#[track_caller]
fn check_failed(outputs: &[Output], expect: fn(&Error) -> bool) {
    match outputs {
        [Output::Failed(error)] if expect(error) => {}
        other => panic!("unexpected: {other:?}"),
    }
}

fn is_signalling(error: &Error) -> bool {
    matches!(error, Error::Signalling(_))
}

#[test]
fn an_offerer_goes_through_these_steps() {
    let (mut machine, outputs) = Machine::start(Role::Offerer, Arc::new(Config::default()));
    assert_eq!(outputs, [Output::Do(Command::CreateOffer)]);
    check(
        &mut machine,
        Input::Local(Event::Described(SDP.into())),
        &[
            Output::Send(Message::description(Kind::Offer, SDP.into(), crate::FRAME_BYTES_MAX as u32)),
            Output::Do(Command::ApplyLocal),
        ],
    );
    let own = candidate("own");
    let sent = Output::Send(Message::candidate(own.clone()));
    check(&mut machine, Input::Local(Event::Candidate(own)), &[sent]);
    check(&mut machine, Input::Local(Event::GatheringDone { candidates: 1 }), &[]);
    let answer = Message { frame_bytes_max: Some(20_000), ..description(Kind::Answer) };
    check(&mut machine, Input::Remote(Ok(answer)), &[Output::Do(Command::SetAnswer(SDP.into()))]);
    check(&mut machine, from_remote(Some(&candidate("early"))), &[]);
    check(&mut machine, Input::Local(Event::RemoteSet), &[add(&candidate("early"))]);
    check(&mut machine, from_remote(Some(&candidate("late"))), &[add(&candidate("late"))]);
    check(&mut machine, Input::Local(Event::Connected), &[]);
    // The answerer reads no more.
    check(&mut machine, Input::Local(Event::Candidate(candidate("useless"))), &[]);
    check(&mut machine, Input::RemoteEnd, &[]);
    check(&mut machine, Input::Local(Event::InitOpen), &[Output::Do(Command::CloseInit)]);
    let done = [Output::EndStream, Output::Connected { frame_bytes_max: 20_000 }];
    check(&mut machine, Input::Local(Event::InitClosed), &done);
    check(&mut machine, Input::Timeout, &[]);
}

#[test]
fn an_answerer_goes_through_these_steps() {
    let (mut machine, outputs) = Machine::start(Role::Answerer, Arc::new(Config::default()));
    assert_eq!(outputs, []);
    check(&mut machine, Input::Remote(Ok(description(Kind::Offer))), &[Output::Do(Command::Answer(SDP.into()))]);
    check(&mut machine, from_remote(Some(&candidate("early"))), &[]);
    // js-libp2p takes whatever comes first for the answer.
    let own = candidate("own");
    check(&mut machine, Input::Local(Event::Candidate(own.clone())), &[]);
    check(
        &mut machine,
        Input::Local(Event::Described(SDP.into())),
        &[
            Output::Send(Message::description(Kind::Answer, SDP.into(), crate::FRAME_BYTES_MAX as u32)),
            Output::Do(Command::ApplyLocal),
            add(&candidate("early")),
            Output::Send(Message::candidate(own)),
        ],
    );
    // The offerer said nothing about frames.
    let done = [Output::EndStream, Output::Connected { frame_bytes_max: crate::FRAME_BYTES }];
    check(&mut machine, Input::Local(Event::Connected), &done);
}

#[test]
fn the_init_channel_may_be_ahead_of_the_connection() {
    let mut machine = connecting();
    check(&mut machine, Input::Local(Event::InitOpen), &[]);
    check(&mut machine, Input::Local(Event::Connected), &[Output::Do(Command::CloseInit)]);
    let done = [Output::EndStream, Output::Connected { frame_bytes_max: crate::FRAME_BYTES }];
    check(&mut machine, Input::Local(Event::InitClosed), &done);

    let mut machine = connecting();
    check(&mut machine, Input::Local(Event::InitOpen), &[]);
    check(&mut machine, Input::Local(Event::InitClosed), &[]);
    check(&mut machine, Input::Local(Event::Connected), &done);
}

#[test]
fn the_end_of_candidates_has_many_forms() {
    for end in [
        "",
        "null",
        " null\n",
        r#""""#,
        r#"{"candidate":""}"#,
        r#"{"candidate":"","sdpMid":"0","sdpMLineIndex":0,"usernameFragment":"x"}"#,
        r#"{ "sdpMid" : "0" , "candidate" : "" }"#,
        r#"{"x":{"candidate":"no"},"y":[{"candidate":"no"}],"candidate":""}"#,
        r#"{"x":"\"","candidate":""}"#,
    ] {
        assert!(is_end_of_candidates(end), "{end}");
        check(&mut connecting(), from_remote(Some(end)), &[]);
    }
    check(&mut connecting(), from_remote(None), &[]);
    for candidate in [
        r#"{"candidate":"candidate:1 1 UDP 1 x.local 9 typ host"}"#,
        r#"{"candidate":"x","sdpMid":""}"#,
        r#"{"sdpMid":"candidate","usernameFragment":""}"#,
        r#"{"x":{"candidate":""},"candidate":"x"}"#,
        r#"{"candidate\"":"","candidate":"x"}"#,
        r#"{"candidate":null}"#,
        r#"{"candidate"#,
        r#"{"candidate":"\"#,
        "{}",
        "]]]{}",
        "é\u{1f980}",
    ] {
        assert!(!is_end_of_candidates(candidate), "{candidate}");
        check(&mut connecting(), from_remote(Some(candidate)), &[add(candidate)]);
    }
}

#[test]
fn so_many_candidates_are_taken_and_no_more_messages_than_that_twice() {
    let mut machine = connecting();
    for _ in 0..CANDIDATES_MAX {
        check(&mut machine, from_remote(Some("{}")), &[add("{}")]);
    }
    // The answer was a message too.
    for _ in 0..MESSAGES_MAX - CANDIDATES_MAX as u32 - 1 {
        check(&mut machine, from_remote(Some("{}")), &[]);
    }
    check_failed(&machine.handle(from_remote(Some("{}"))), is_signalling);
}

#[test]
fn early_candidates_are_bounded_too() {
    let mut machine = machine(Role::Answerer);
    for _ in 0..MESSAGES_MAX {
        check(&mut machine, from_remote(Some("{}")), &[]);
    }
    assert_eq!(machine.early.len(), CANDIDATES_MAX);
    check_failed(&machine.handle(from_remote(None)), is_signalling);
}

#[test]
fn so_many_of_ours_are_sent() {
    let mut machine = connecting();
    check(&mut machine, Input::Local(Event::Candidate(String::new())), &[]);
    check(&mut machine, Input::Local(Event::Candidate("x".repeat(CANDIDATE_BYTES_MAX + 1))), &[]);
    for _ in 0..CANDIDATES_MAX {
        let sent = Output::Send(Message::candidate("{}".into()));
        check(&mut machine, Input::Local(Event::Candidate("{}".into())), &[sent]);
    }
    check(&mut machine, Input::Local(Event::Candidate("{}".into())), &[]);
}

#[test]
fn without_candidates_of_ours_only_the_remotes_can_help() {
    let none = Input::Local(Event::GatheringDone { candidates: 0 });
    let mut machine = connecting();
    check(&mut machine, none, &[Output::Remind(NO_CANDIDATES_WAIT)]);
    check(&mut machine, from_remote(Some(&candidate("theirs"))), &[add(&candidate("theirs"))]);
    check(&mut machine, from_remote(None), &[]);
    let mut reached = machine.clone();
    check(&mut machine, Input::Reminded, &[Output::Failed(Error::NoCandidates)]);

    check(&mut reached, Input::Local(Event::Connected), &[]);
    check(&mut reached, Input::Reminded, &[]);
    check(&mut reached, Input::Timeout, &[Output::Failed(Error::TimedOut { stage: "finishing the handshake" })]);

    let mut machine = connecting();
    machine.handle(Input::Local(Event::GatheringDone { candidates: 0 }));
    check(&mut machine, from_remote(None), &[Output::Failed(Error::NoCandidates)]);
}

#[test]
fn the_time_without_candidates_runs_from_the_answer_on() {
    let mut machine = machine(Role::Offerer);
    machine.handle(Input::Local(Event::Described(SDP.into())));
    check(&mut machine, Input::Local(Event::GatheringDone { candidates: 0 }), &[]);
    check(&mut machine, Input::Remote(Ok(description(Kind::Answer))), &[Output::Do(Command::SetAnswer(SDP.into()))]);
    check(&mut machine, Input::Local(Event::RemoteSet), &[Output::Remind(NO_CANDIDATES_WAIT)]);
    check(&mut machine, Input::Timeout, &[Output::Failed(Error::NoCandidates)]);
}

#[test]
fn a_timeout_says_what_was_waited_for() {
    #[track_caller]
    fn check_stage(machine: &Machine, stage: &'static str) {
        check(&mut machine.clone(), Input::Timeout, &[Output::Failed(Error::TimedOut { stage })]);
    }
    let mut offerer = machine(Role::Offerer);
    check_stage(&offerer, "preparing the connection");
    offerer.handle(Input::Local(Event::Described(SDP.into())));
    check_stage(&offerer, "waiting for the other side's answer");
    check_stage(&machine(Role::Answerer), "waiting for the other side's offer");
    let mut offerer = connecting();
    check_stage(&offerer, "looking for a direct path to the other side");
    offerer.handle(Input::Local(Event::Connected));
    check_stage(&offerer, "finishing the handshake");
}

#[test]
fn an_end_leaves_some_time_for_the_connection() {
    let mut machine = connecting();
    check(&mut machine, Input::RemoteEnd, &[Output::Remind(END_WAIT)]);
    // The stream broke while writing, too.
    check(&mut machine, Input::RemoteEnd, &[]);
    let mut late = machine.clone();
    check_failed(&machine.handle(Input::Reminded), |error| matches!(error, Error::Refused(_)));
    check(&mut late, Input::Local(Event::Connected), &[]);
    check(&mut late, Input::Reminded, &[]);
    assert_eq!(late.stage, Stage::Connecting, "the `init` channel may take its time");
}

#[test]
fn a_description_of_ours_that_nobody_would_take_is_not_sent() {
    let mut machine = machine(Role::Offerer);
    let outputs = machine.handle(Input::Local(Event::Described("x".repeat(SDP_BYTES_MAX + 1))));
    check_failed(&outputs, |error| matches!(error, Error::Sdp(_)));
}
