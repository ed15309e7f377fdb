//! Which way to a stream is taken, when one after the other fails.

use libp2p_core::transport::{ListenerId, TransportError};
use multihash::Multihash;

use super::*;

/// Another name for each of the ways an attempt may go.
#[derive(Debug, PartialEq, Eq)]
enum Way {
    Open(ConnectionId),
    Dial,
    Nothing,
}

struct Bench {
    work: Work,
    peer: PeerId,
    connections: usize,
}

impl Bench {
    fn new() -> Self {
        let peer = PeerId::from_multihash(Multihash::wrap(0, &[7; 36]).expect("short")).expect("an identity multihash");
        Self { work: Work::default(), peer, connections: 0 }
    }

    fn connect(&mut self, is_direct: bool) -> ConnectionId {
        self.connections += 1;
        let id = ConnectionId::new_unchecked(self.connections);
        self.work.connections.entry(self.peer).or_default().push(Known { id, is_direct });
        id
    }

    fn begin(&mut self, circuit: Option<&str>) -> (AttemptId, oneshot::Receiver<Result<Stream, Error>>) {
        let (reply, answer) = oneshot::channel();
        let circuit = circuit.map(|address| address.parse().expect("an address"));
        self.work.begin(Request { peer: self.peer, circuit, reply });
        (AttemptId(self.work.attempts_ever), answer)
    }

    fn fail(&mut self, id: AttemptId) {
        self.work.choose(id, || Error::NoRelay("it broke".into()));
    }

    #[track_caller]
    fn check(&mut self, expect: Way) {
        let way = match self.work.actions.pop_front() {
            Some(ToSwarm::NotifyHandler { handler: NotifyHandler::One(id), .. }) => Way::Open(id),
            Some(ToSwarm::Dial { .. }) => Way::Dial,
            None => Way::Nothing,
            other => panic!("{other:?}"),
        };
        assert_eq!(way, expect);
        assert_eq!(self.work.actions.len(), 0);
    }
}

#[track_caller]
fn check_answer(answer: &mut oneshot::Receiver<Result<Stream, Error>>, expect: fn(&Error) -> bool) {
    match answer.try_recv() {
        Ok(Some(Err(error))) if expect(&error) => {}
        other => panic!("{other:?}"),
    }
}

const CIRCUIT: &str = "/memory/1/p2p-circuit";

#[test]
fn relayed_connections_come_first_then_a_new_one_then_direct_ones() {
    let mut bench = Bench::new();
    let (older, direct, newer) = (bench.connect(false), bench.connect(true), bench.connect(false));
    let (id, mut answer) = bench.begin(Some(CIRCUIT));
    bench.check(Way::Open(newer));
    bench.fail(id);
    bench.check(Way::Open(older));
    bench.fail(id);
    bench.check(Way::Dial);
    bench.fail(id);
    bench.check(Way::Open(direct));
    bench.fail(id);
    bench.check(Way::Nothing);
    check_answer(&mut answer, |error| *error == Error::NoRelay("it broke".into()));
    assert!(bench.work.attempts.is_empty());
}

#[test]
fn a_direct_connection_will_do_if_no_circuit_is_named() {
    let mut bench = Bench::new();
    let direct = bench.connect(true);
    let (_, _answer) = bench.begin(None);
    bench.check(Way::Open(direct));
}

#[test]
fn so_many_connections_are_tried() {
    let mut bench = Bench::new();
    for _ in 0..5 {
        bench.connect(false);
    }
    let (id, mut answer) = bench.begin(None);
    for number in [5, 4, 3] {
        bench.check(Way::Open(ConnectionId::new_unchecked(number)));
        bench.fail(id);
    }
    bench.check(Way::Nothing);
    check_answer(&mut answer, |error| matches!(error, Error::NoRelay(_)));
}

#[test]
fn a_failed_dial_tells_its_innermost_cause() {
    let mut bench = Bench::new();
    let (_, mut answer) = bench.begin(Some(CIRCUIT));
    let Some(ToSwarm::Dial { opts }) = bench.work.actions.pop_front() else { panic!("no dial") };
    let cause = std::io::Error::other(Error::Address("deep inside".into()));
    let error = DialError::Transport(vec![("/memory/1".parse().expect("an address"), TransportError::Other(cause))]);
    bench.work.on_dial_failure(opts.connection_id(), &error);
    check_answer(&mut answer, |error| matches!(error, Error::NoRelay(why) if why.contains("deep inside")));
}

#[test]
fn attempts_that_are_taken_back_are_forgotten() {
    let mut bench = Bench::new();
    bench.connect(false);
    let (_, answer) = bench.begin(None);
    let (reply, gone) = oneshot::channel();
    drop(gone);
    bench.work.begin(Request { peer: bench.peer, circuit: None, reply });
    assert_eq!(bench.work.attempts.len(), 1);
    drop(answer);
    let mut cx = Context::from_waker(futures::task::noop_waker_ref());
    bench.work.poll_cancelled(&mut cx);
    assert!(bench.work.attempts.is_empty());
}

#[test]
fn there_is_an_end_to_attempts() {
    let mut bench = Bench::new();
    let kept: Vec<_> = (0..ATTEMPTS_MAX).map(|_| bench.begin(Some(CIRCUIT))).collect();
    let (_, mut answer) = bench.begin(Some(CIRCUIT));
    check_answer(&mut answer, |error| *error == Error::TooMany);
    drop(kept);
}

#[test]
fn circuits_are_announced_once_while_any_listener_has_them() {
    let circuits = Circuits::default();
    let cx = Context::from_waker(futures::task::noop_waker_ref());
    let (first, second) = (ListenerId::next(), ListenerId::next());
    let address: Multiaddr = CIRCUIT.parse().expect("an address");
    assert_eq!(circuits.poll_changed(&cx), None);
    circuits.add(first, address.clone());
    circuits.add(second, address.clone());
    assert_eq!(circuits.poll_changed(&cx), Some(vec![address.clone()]));
    circuits.remove(first, &address);
    assert_eq!(circuits.poll_changed(&cx), Some(vec![address.clone()]));
    circuits.remove(second, &address);
    assert_eq!(circuits.poll_changed(&cx), Some(vec![]));
}
