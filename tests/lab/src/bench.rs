//! What benches measure on streams and gossip; `tests/browser/lab/bench.mjs` describes the protocols and is the same.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    task::{Poll, Waker},
};

use futures::{AsyncReadExt as _, AsyncWriteExt as _, channel::oneshot, future::try_join_all};
use libp2p::{
    PeerId, Stream, StreamProtocol,
    gossipsub::{self, IdentTopic},
    identity::Keypair,
};
use mycomesh_core::{
    time::UnixMillis,
    wire::{Network, Signed, Skill, TaskId, objects::Submission, signed::Strict},
};
use serde_json::json;
use wasm_bindgen::prelude::*;

use crate::{
    driver::{Driver, Handle, Which},
    error::Error,
    node, parsed,
    pattern::CHUNK,
    streams::Inbound,
};

/// Reads to the end, then writes how many bytes came.
pub const COUNT: StreamProtocol = StreamProtocol::new("/bench/count/1");
/// Writes back whatever comes, as it comes.
pub const BOUNCE: StreamProtocol = StreamProtocol::new("/bench/bounce/1");
/// Reads a count, then reports how many messages gossip has brought until it is that many.
pub const TALLY: StreamProtocol = StreamProtocol::new("/bench/tally/1");

/// Messages that begin with their number and when they were published.
const TOPIC: &str = "bench";
/// Signed objects.
const TOPIC_SIGNED: &str = "bench-signed";
/// Messages that were published and not yet reported as delivered.
const WINDOW: u32 = 512;
/// Delivered messages a report.
const REPORT: u32 = 32;

thread_local! {
    static CAME: RefCell<Came> = RefCell::default();
    static NUMBER: Cell<u32> = const { Cell::new(0) };
}

/// What gossip brought.
#[derive(Default)]
struct Came {
    count: u32,
    /// How long each was on its way, in milliseconds.
    delays: Vec<f64>,
    /// Who waits for how many.
    told: Option<(u32, Waker)>,
}

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = performance, js_name = now)]
    fn since_origin() -> f64;
    #[wasm_bindgen(js_namespace = performance, js_name = timeOrigin, thread_local_v2)]
    static ORIGIN: f64;
}

/// Milliseconds since 1970, as `clock.mjs` tells them.
fn clock() -> f64 {
    ORIGIN.with(|origin| *origin) + since_origin()
}

/// Look at what gossip brought.
pub fn heard(message: &gossipsub::Message) {
    let came = if message.topic.as_str() == TOPIC {
        message.data.get(4..12).map(|at| clock() - f64::from_be_bytes(at.try_into().unwrap_or_default()))
    } else if message.topic.as_str() == TOPIC_SIGNED {
        Signed::<Submission>::open(&message.data, &Network::default(), &Strict).ok().map(|_| 0.0)
    } else {
        None
    };
    let Some(delay) = came else { return };
    let waker = CAME.with_borrow_mut(|came| {
        came.delays.push(delay);
        came.count += 1;
        came.told.take_if(|(wanted, _)| came.count >= *wanted)
    });
    if let Some((_, waker)) = waker {
        waker.wake();
    }
}

/// Serve one stream.
pub async fn serve(Inbound { protocol, stream }: Inbound) -> Result<(), Error> {
    if protocol == COUNT {
        count(stream).await
    } else if protocol == BOUNCE {
        bounce(stream).await
    } else {
        tally(stream).await
    }
}

async fn count(mut stream: Stream) -> Result<(), Error> {
    let mut chunk = vec![0; CHUNK];
    let mut total = 0_u64;
    loop {
        match stream.read(&mut chunk).await? {
            0 => break,
            size => total += size as u64,
        }
    }
    stream.write_all(&total.to_be_bytes()).await?;
    Ok(stream.close().await?)
}

async fn bounce(mut stream: Stream) -> Result<(), Error> {
    let mut chunk = [0; 64];
    loop {
        match stream.read(&mut chunk).await? {
            0 => return Ok(stream.close().await?),
            size => {
                stream.write_all(&chunk[..size]).await?;
                stream.flush().await?;
            }
        }
    }
}

async fn tally(mut stream: Stream) -> Result<(), Error> {
    let mut wanted = [0; 4];
    stream.read_exact(&mut wanted).await?;
    let wanted = u32::from_be_bytes(wanted);
    let mut next = REPORT.min(wanted);
    loop {
        let count = poll_fn(|cx| {
            CAME.with_borrow_mut(|came| {
                if came.count >= next {
                    return Poll::Ready(came.count);
                }
                came.told = Some((next, cx.waker().clone()));
                Poll::Pending
            })
        })
        .await;
        stream.write_all(&count.to_be_bytes()).await?;
        stream.flush().await?;
        if count >= wanted {
            return Ok(stream.close().await?);
        }
        next = (count + REPORT).min(wanted);
    }
}

/// Send so many bytes, striped over so many direct connections, until all are counted; gives the milliseconds.
#[wasm_bindgen(js_name = benchCount)]
pub async fn bench_count(peer: String, bytes: f64, connections: u32) -> Result<f64, JsError> {
    let (node, peer) = (node()?, parsed("the peer", &peer)?);
    let streams = open_each(&node, peer, connections as usize, COUNT).await?;
    let size = bytes as u64 / u64::from(connections.max(1));
    let started = since_origin();
    try_join_all(streams.into_iter().map(|stream| ask_count(stream, size))).await?;
    Ok(since_origin() - started)
}

async fn ask_count(mut stream: Stream, size: u64) -> Result<(), Error> {
    let chunk = vec![0; CHUNK];
    let mut left = size;
    while left > 0 {
        let part = left.min(CHUNK as u64);
        stream.write_all(&chunk[..part as usize]).await?;
        left -= part;
    }
    stream.close().await?;
    let mut counted = [0; 8];
    stream.read_exact(&mut counted).await?;
    match u64::from_be_bytes(counted) {
        counted if counted == size => Ok(()),
        counted => Err(Error::Changed(format!("{counted} of {size} bytes were counted"))),
    }
}

/// 32 bytes there and back on one stream, one after the other; gives the milliseconds of each.
#[wasm_bindgen(js_name = benchBounce)]
pub async fn bench_bounce(peer: String, rounds: u32) -> Result<Vec<f64>, JsError> {
    let mut stream = open_direct(&node()?, parsed("the peer", &peer)?, BOUNCE).await?;
    let mut times = Vec::new();
    let mut bytes = [0; 32];
    for _ in 0..rounds {
        let started = since_origin();
        stream.write_all(&bytes).await.map_err(Error::from)?;
        stream.flush().await.map_err(Error::from)?;
        stream.read_exact(&mut bytes).await.map_err(Error::from)?;
        times.push(since_origin() - started);
    }
    stream.close().await.map_err(Error::from)?;
    Ok(times)
}

/// Publish so many messages as fast as they are delivered, of so many bytes or signed objects; gives as JSON the milliseconds
/// until the last was, and how long one message is.
#[wasm_bindgen(js_name = benchFlood)]
pub async fn bench_flood(peer: String, total: u32, size: u32, signed: bool) -> Result<String, JsError> {
    let (node, peer) = (node()?, parsed("the peer", &peer)?);
    let mut stream = open_direct(&node, peer, TALLY).await?;
    stream.write_all(&total.to_be_bytes()).await.map_err(Error::from)?;
    stream.flush().await.map_err(Error::from)?;
    let key = Keypair::generate_ed25519();
    let length = if signed { object(&key, peer)?.len() } else { size as usize };
    let (mut sent, mut delivered) = (0, 0);
    let started = since_origin();
    while delivered < total {
        let room = (total - sent).min(WINDOW - (sent - delivered));
        if room > 0 {
            let key = key.clone();
            let published = move |driver: &mut Driver| {
                (0..room).try_for_each(|_| {
                    let (topic, data) =
                        if signed { (TOPIC_SIGNED, object(&key, peer)?) } else { (TOPIC, message(size as usize)?) };
                    publish(driver, topic, data)
                })
            };
            node.with(published).await??;
            sent += room;
        } else {
            let mut report = [0; 4];
            stream.read_exact(&mut report).await.map_err(Error::from)?;
            delivered = u32::from_be_bytes(report);
        }
    }
    let ms = since_origin() - started;
    stream.close().await.map_err(Error::from)?;
    Ok(json!({ "ms": ms, "bytes": length }).to_string())
}

/// Publish so many messages of so many bytes now, without waiting for that.
#[wasm_bindgen(js_name = benchPublish)]
pub fn bench_publish(count: u32, size: u32) -> Result<(), JsError> {
    let messages = (0..count).map(|_| message(size as usize)).collect::<Result<Vec<_>, _>>()?;
    node()?.with_later(move |driver| {
        for data in messages {
            // What is lost is missing among the delays.
            publish(driver, TOPIC, data).unwrap_or_default();
        }
    })?;
    Ok(())
}

/// Hear the topics of benches from now on.
#[wasm_bindgen(js_name = benchSubscribe)]
pub async fn bench_subscribe() -> Result<(), JsError> {
    for topic in [TOPIC, TOPIC_SIGNED] {
        node()?.subscribe(topic.to_owned()).await?;
    }
    Ok(())
}

/// How many peers are in the mesh of each topic, the fewest.
#[wasm_bindgen(js_name = benchMeshed)]
pub async fn bench_meshed() -> Result<u32, JsError> {
    let meshed = |driver: &mut Driver| {
        let gossip = &driver.swarm.behaviour().gossip;
        let peers = [TOPIC, TOPIC_SIGNED].map(|topic| gossip.mesh_peers(&IdentTopic::new(topic).hash()).count());
        peers.into_iter().min().unwrap_or_default() as u32
    };
    Ok(node()?.with(meshed).await?)
}

/// How many messages gossip has brought since `benchDelays` was called.
#[wasm_bindgen(js_name = benchDelivered)]
pub fn bench_delivered() -> u32 {
    CAME.with_borrow(|came| came.count)
}

/// How long the messages of gossip were on their way since the last call, in milliseconds.
#[wasm_bindgen(js_name = benchDelays)]
pub fn bench_delays() -> Vec<f64> {
    CAME.with_borrow_mut(|came| {
        came.count = 0;
        std::mem::take(&mut came.delays)
    })
}

fn publish(driver: &mut Driver, topic: &str, data: Vec<u8>) -> Result<(), Error> {
    let published = driver.swarm.behaviour_mut().gossip.publish(IdentTopic::new(topic), data);
    published.map(drop).map_err(|error| Error::Gossip(error.to_string()))
}

fn message(size: usize) -> Result<Vec<u8>, Error> {
    let mut bytes = vec![0; size.max(12)];
    getrandom::fill(&mut bytes).map_err(|error| Error::Make(error.to_string()))?;
    bytes[..4].copy_from_slice(&next_number().to_be_bytes());
    bytes[4..12].copy_from_slice(&clock().to_be_bytes());
    Ok(bytes)
}

/// A small object as the mesh signs it.
fn object(key: &Keypair, to: PeerId) -> Result<Vec<u8>, Error> {
    let mut task = [0; 16];
    getrandom::fill(&mut task).map_err(|error| Error::Make(error.to_string()))?;
    let created = UnixMillis(clock() as u64);
    let deadline = UnixMillis(created.0 + 60_000);
    let body = Submission { created, deadline, input: String::new(), skill: Skill::echo(), task: TaskId(task), to };
    Ok(Signed::seal(key, &Network::default(), body).bytes.to_vec())
}

fn next_number() -> u32 {
    let number = NUMBER.get();
    NUMBER.set(number.wrapping_add(1));
    number
}

async fn open_direct(node: &Handle, peer: PeerId, protocol: StreamProtocol) -> Result<Stream, Error> {
    node.open(peer, Which::Direct, protocol).await
}

/// A stream on each of so many direct connections.
async fn open_each(
    node: &Handle,
    peer: PeerId,
    connections: usize,
    protocol: StreamProtocol,
) -> Result<Vec<Stream>, Error> {
    let opening = node
        .with(move |driver| {
            let ids: Vec<_> = driver.of(peer, Which::Direct).into_iter().map(|(id, _)| id).take(connections).collect();
            let streams = &mut driver.swarm.behaviour_mut().streams;
            let opening = ids.into_iter().map(|id| {
                let (opened, opening) = oneshot::channel();
                streams.open(peer, id, protocol.clone(), opened);
                opening
            });
            opening.collect::<Vec<_>>()
        })
        .await?;
    if opening.len() < connections {
        return Err(Error::NotConnected { kind: "further direct", peer });
    }
    let opened = opening
        .into_iter()
        .map(|opening| async { opening.await.map_err(|_| Error::NoStream("the connection ended".into()))? });
    try_join_all(opened).await
}
