//! Two peer connections in one page. Between two browsers the same is tested end to end.

use std::{future::poll_fn, io, pin::Pin, task::Poll, time::Duration};

use futures::{
    AsyncReadExt as _, AsyncWriteExt as _, FutureExt as _,
    future::{Either, join, select},
};
use futures_timer::Delay;
use libp2p_core::muxing::StreamMuxer as _;
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};
use web_sys::{RtcPeerConnectionState, RtcSdpType};

use super::{Connection, Peer, Stats, Stream, hub::Hub, js::create, stats};
use crate::{Command, Config, Error, Event, FRAME_BYTES, FRAME_BYTES_MAX, PeerConnection as _, Role, STREAMS_MAX};

wasm_bindgen_test_configure!(run_in_browser);

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(30);

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match select(std::pin::pin!(future), Delay::new(PATIENCE)).await {
        Either::Left((value, _)) => value,
        Either::Right(_) => panic!("{what} never happened"),
    }
}

async fn event(peer: &mut Peer) -> Event {
    soon("an event", poll_fn(|cx| peer.poll_event(cx))).await
}

async fn described(peer: &mut Peer) -> String {
    match event(peer).await {
        Event::Described(sdp) => sdp,
        other => panic!("{other:?}"),
    }
}

/// Negotiate as the two signalling machines would.
async fn negotiate(config: &Config) -> [Peer; 2] {
    let mut offerer = Peer::open(config, Role::Offerer).expect("a peer connection");
    let mut answerer = Peer::open(config, Role::Answerer).expect("a peer connection");
    offerer.command(Command::CreateOffer);
    answerer.command(Command::Answer(described(&mut offerer).await));
    offerer.command(Command::ApplyLocal);
    offerer.command(Command::SetAnswer(described(&mut answerer).await));
    answerer.command(Command::ApplyLocal);
    let (mut init_closed, mut connected) = (false, false);
    while !(init_closed && connected) {
        let mut both = [&mut offerer, &mut answerer];
        let next = poll_fn(|cx| {
            for (at, peer) in both.iter_mut().enumerate() {
                if let Poll::Ready(event) = peer.poll_event(cx) {
                    return Poll::Ready((at, event));
                }
            }
            Poll::Pending
        });
        match soon("a connection", next).await {
            (at, Event::Candidate(json)) => both[1 - at].command(Command::AddCandidate(json)),
            (0, Event::InitOpen) => both[0].command(Command::CloseInit),
            (0, Event::InitClosed) => init_closed = true,
            (1, Event::Connected) => connected = true,
            (_, Event::Failed(error)) => panic!("{error}"),
            _ => {}
        }
    }
    [offerer, answerer]
}

async fn connect_with(config: Config, frame_bytes_max: usize) -> [Connection; 2] {
    negotiate(&config).await.map(|peer| peer.into_muxer(frame_bytes_max))
}

async fn connect() -> [Connection; 2] {
    connect_with(Config::default(), FRAME_BYTES_MAX).await
}

async fn open(connection: &mut Connection) -> Stream {
    soon("an outbound stream", poll_fn(|cx| Pin::new(&mut *connection).poll_outbound(cx))).await.expect("a stream")
}

async fn accept(connection: &mut Connection) -> Stream {
    soon("an inbound stream", poll_fn(|cx| Pin::new(&mut *connection).poll_inbound(cx))).await.expect("a stream")
}

/// Until `connection` says that it has ended.
async fn ended(connection: &mut Connection) -> Error {
    soon("the end", poll_fn(|cx| Pin::new(&mut *connection).poll(cx))).await.expect_err("only an end is told")
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    soon(what, async {
        while !holds() {
            // The browser tells nobody when it has let go.
            Delay::new(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// Nothing of an earlier test is left.
async fn fresh() {
    until("quiet", || stats() == Stats::default()).await;
}

fn bytes(count: usize) -> Vec<u8> {
    (0..count as u32).map(|at| (at.wrapping_mul(0x9e37_79b9) >> 24) as u8).collect()
}

async fn write_and_close(stream: &mut Stream, data: &[u8]) {
    soon("writing", async {
        stream.write_all(data).await.expect("it takes everything");
        stream.close().await.expect("it closes");
    })
    .await;
}

async fn read_all(stream: &mut Stream) -> io::Result<Vec<u8>> {
    let mut data = Vec::new();
    soon("the whole", stream.read_to_end(&mut data)).await.map(|_| data)
}

#[wasm_bindgen_test]
async fn an_attempt_closed_while_it_looks_for_candidates_is_closed_once_it_has_them() {
    fresh().await;
    let hub = Hub::open(&Config::default()).expect("a peer connection");
    hub.open_init().expect("a channel");
    let sdp = create(hub.pc.create_offer()).await.expect("an offer");
    assert!(hub.set_local(RtcSdpType::Offer, &sdp).now_or_never().is_none(), "the browser took it at once");
    let pc = hub.pc.clone();
    drop(hub);
    let closed = || pc.connection_state() == RtcPeerConnectionState::Closed;
    assert!(!closed(), "nothing was waited for");
    until("the browser has closed it", closed).await;
}

#[wasm_bindgen_test]
async fn a_question_is_echoed_after_its_end() {
    fresh().await;
    let [mut ada, mut ben] = connect().await;
    let mut asking = open(&mut ada).await;
    write_and_close(&mut asking, b"how are you?").await;
    let mut answering = accept(&mut ben).await;
    let question = read_all(&mut answering).await.expect("whole");
    write_and_close(&mut answering, &question).await;
    assert_eq!(read_all(&mut asking).await.expect("whole"), b"how are you?");
    // Both halves are over: the channels go although nobody has dropped the streams.
    until("closed channels", || stats().channels == 0).await;
    let error = asking.write(b"more").await.expect_err("it is closed");
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}

#[wasm_bindgen_test]
async fn megabytes_arrive_whole_both_ways_at_once_in_small_and_large_frames() {
    fresh().await;
    for frame_bytes in [FRAME_BYTES, FRAME_BYTES_MAX] {
        let [mut ada, mut ben] = connect_with(Config::default(), frame_bytes).await;
        let data = bytes(3_000_000);
        let (mut source, mut sink) = open(&mut ada).await.split();
        let there = async {
            sink.write_all(&data).await.expect("sent");
            sink.close().await.expect("closed");
        };
        let back = async {
            let mut got = Vec::new();
            source.read_to_end(&mut got).await.expect("whole");
            assert!(got == data, "{frame_bytes}: what came back differs");
        };
        let echo = async {
            let (mut from, mut to) = accept(&mut ben).await.split();
            futures::io::copy(&mut from, &mut to).await.expect("copied");
            to.close().await.expect("closed");
        };
        soon("the transfer", join(join(there, back), echo)).await;
    }
}

#[wasm_bindgen_test]
async fn what_was_written_and_closed_arrives_although_the_stream_was_dropped() {
    fresh().await;
    let [mut ada, mut ben] = connect().await;
    let mut stream = open(&mut ada).await;
    write_and_close(&mut stream, &bytes(400_000)).await;
    drop(stream);
    let mut other = accept(&mut ben).await;
    assert!(read_all(&mut other).await.expect("whole") == bytes(400_000));
    drop(other);
    until("closed channels", || stats().channels == 0).await;
}

#[wasm_bindgen_test]
async fn a_stream_dropped_unclosed_is_a_reset_and_other_streams_go_on() {
    fresh().await;
    let [mut ada, mut ben] = connect().await;
    let mut cut = open(&mut ada).await;
    cut.write_all(b"half a sent").await.expect("sent");
    let mut whole = open(&mut ada).await;
    let (mut at_cut, mut at_whole) = (accept(&mut ben).await, accept(&mut ben).await);
    drop(cut);
    let error = read_all(&mut at_cut).await.expect_err("it is not whole");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert!(at_cut.write(b"what?").await.is_err());
    write_and_close(&mut whole, b"whole").await;
    assert_eq!(read_all(&mut at_whole).await.expect("whole"), b"whole");
}

#[wasm_bindgen_test]
async fn a_reader_that_leaves_stops_the_writer() {
    fresh().await;
    let [mut ada, mut ben] = connect().await;
    let mut writing = open(&mut ada).await;
    writing.write_all(b"are you there?").await.expect("sent");
    let mut leaving = accept(&mut ben).await;
    leaving.close().await.expect("closed");
    drop(leaving);
    let error = soon("the writer's end", async {
        loop {
            if let Err(error) = writing.write(b"hello?").await {
                break error;
            }
            Delay::new(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    drop(writing);
    until("closed channels", || stats().channels == 0).await;
}

#[wasm_bindgen_test]
async fn an_overflow_resets_one_stream() {
    fresh().await;
    let config = Config { receive_bytes_max: 100_000, ..Config::default() };
    let [mut ada, mut ben] = connect_with(config, FRAME_BYTES).await;
    let mut flooding = open(&mut ada).await;
    let mut other = open(&mut ada).await;
    let flood = async { while flooding.write(&bytes(FRAME_BYTES)).await.is_ok() {} };
    soon("the flood's end", flood).await;
    let (mut at_flood, mut at_other) = (accept(&mut ben).await, accept(&mut ben).await);
    let error = read_all(&mut at_flood).await.expect_err("it overflowed");
    assert!(error.to_string().contains("100000 bytes"), "{error}");
    write_and_close(&mut other, b"unharmed").await;
    assert_eq!(read_all(&mut at_other).await.expect("whole"), b"unharmed");
}

#[wasm_bindgen_test]
async fn many_streams_opened_at_once_all_work_before_anybody_accepts() {
    fresh().await;
    let [mut ada, mut ben] = connect().await;
    let mut asking = Vec::new();
    for number in 0..20_u8 {
        let mut stream = open(&mut ada).await;
        write_and_close(&mut stream, &[number; 100]).await;
        asking.push(stream);
    }
    for _ in 0..20 {
        let mut stream = accept(&mut ben).await;
        let data = read_all(&mut stream).await.expect("whole");
        write_and_close(&mut stream, &data).await;
    }
    for (number, mut stream) in asking.into_iter().enumerate() {
        assert_eq!(read_all(&mut stream).await.expect("whole"), [number as u8; 100]);
    }
    until("closed channels", || stats().channels == 0).await;
}

#[wasm_bindgen_test]
async fn streams_one_after_the_other_leave_nothing() {
    fresh().await;
    let [mut ada, mut ben] = connect().await;
    for number in 0..300_u32 {
        let mut asking = open(&mut ada).await;
        write_and_close(&mut asking, &number.to_le_bytes()).await;
        let mut answering = accept(&mut ben).await;
        let data = read_all(&mut answering).await.expect("whole");
        write_and_close(&mut answering, &data).await;
        drop(answering);
        assert_eq!(read_all(&mut asking).await.expect("whole"), number.to_le_bytes());
    }
    until("closed channels", || stats().channels == 0).await;
}

#[wasm_bindgen_test]
async fn one_stream_too_many_waits_for_room() {
    fresh().await;
    let [mut ada, _ben] = connect().await;
    let mut streams = Vec::new();
    for _ in 0..STREAMS_MAX {
        streams.push(open(&mut ada).await);
    }
    let waits = poll_fn(|cx| Pin::new(&mut ada).poll_outbound(cx)).now_or_never();
    assert!(waits.is_none(), "there is no room");
    streams.pop();
    open(&mut ada).await;
}

#[wasm_bindgen_test]
async fn a_closed_connection_ends_the_other_side_and_its_streams() {
    fresh().await;
    let [mut ada, mut ben] = connect().await;
    let mut stream = open(&mut ada).await;
    stream.write_all(&bytes(200_000)).await.expect("sent");
    let mut other = accept(&mut ben).await;
    soon("the close", poll_fn(|cx| Pin::new(&mut ada).poll_close(cx))).await.expect("closed");
    assert_eq!(ended(&mut ben).await, Error::Closed);
    assert!(read_all(&mut other).await.is_err(), "it never ended");
    assert!(stream.write(b"more").await.is_err());
    drop((ada, ben, stream, other));
    fresh().await;
}

#[wasm_bindgen_test]
async fn an_attempt_given_up_midway_leaves_nothing() {
    fresh().await;
    let config = Config::default();
    let mut offerer = Peer::open(&config, Role::Offerer).expect("a peer connection");
    offerer.command(Command::CreateOffer);
    described(&mut offerer).await;
    offerer.command(Command::ApplyLocal);
    drop(offerer);
    // The browser never answers what is asked of a connection that is closed meanwhile.
    for _ in 0..20 {
        let mut hasty = Peer::open(&config, Role::Offerer).expect("a peer connection");
        hasty.command(Command::CreateOffer);
        Delay::new(Duration::ZERO).await;
    }
    let mut answerer = Peer::open(&config, Role::Answerer).expect("a peer connection");
    answerer.command(Command::Answer("this is no description".into()));
    assert!(matches!(event(&mut answerer).await, Event::Failed(Error::Sdp(_))));
    drop(answerer);
    let [offerer, answerer] = negotiate(&config).await;
    drop((offerer, answerer));
    fresh().await;
}
