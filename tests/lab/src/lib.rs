//! A page for tests and benches, never part of the product: a plain libp2p swarm over the transports that
//! `mycomesh-webrtc` gives a browser, driven from JavaScript. `tests/browser/lab/rust.mjs` makes of these functions the same
//! object that `tests/browser/lab/js.mjs` makes with js-libp2p, so that one test runs over every pair of the two.
//!
//! [`swarm`] puts the transports and behaviours together, [`driver`] runs them, [`streams`] opens streams on a chosen
//! connection, [`work`] is what they carry. A page runs one node. Errors are the sentences of [`error::Error`].

mod bench;
mod driver;
mod error;
mod pattern;
mod streams;
mod swarm;
mod work;

use std::{cell::RefCell, str::FromStr};

use driver::{Handle, Link, Which};
use error::Error;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use libp2p::{Multiaddr, PeerId, StreamProtocol, identity::Keypair, multiaddr::Protocol};
use mycomesh_webrtc::SIGNALLING_PROTOCOL;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use wasm_bindgen::prelude::*;
use web_time::Instant;
use work::Part;

/// Offers under way at a time while flooding.
const FLOOD_WIDTH: usize = 50;

thread_local! {
    static NODE: RefCell<Option<Handle>> = const { RefCell::new(None) };
}

fn node() -> Result<Handle, Error> {
    NODE.with_borrow(Clone::clone).ok_or(Error::NotRunning)
}

/// Start the page's node, with an identity that follows from `seed` or a new one; `ice_servers` are URLs with spaces between,
/// `inbound_max` how many attempts of one peer, and of all, are taken at a time. Gives the peer id.
#[wasm_bindgen]
pub async fn start(seed: Option<String>, ice_servers: String, inbound_max: Option<u32>) -> Result<String, JsError> {
    console_error_panic_hook::set_once();
    let keypair = match seed {
        Some(seed) => {
            Keypair::ed25519_from_bytes(Sha256::digest(seed)).map_err(|error| Error::Make(error.to_string()))?
        }
        None => Keypair::generate_ed25519(),
    };
    let server =
        |url: &str| mycomesh_webrtc::IceServer { urls: vec![url.to_owned()], username: None, credential: None };
    let ice_servers = ice_servers.split_whitespace().map(server).collect();
    let mut config = mycomesh_webrtc::Config { ice_servers, ..mycomesh_webrtc::Config::default() };
    if let Some(max) = inbound_max {
        config.inbound_max = max as usize;
        config.inbound_per_peer_max = max as usize;
    }
    let handle = Handle::run(swarm::swarm(&keypair, config)?);
    NODE.set(Some(handle));
    Ok(keypair.public().to_peer_id().to_string())
}

/// Reserve a place at a relay; gives the addresses this node then has, as JSON.
#[wasm_bindgen]
pub async fn reserve(relay: String) -> Result<String, JsError> {
    let relay = parsed::<Multiaddr>("the relay's address", &relay)?.with(Protocol::P2pCircuit);
    let own = node()?.reserve(relay).await?;
    let own: Vec<_> = own.iter().map(ToString::to_string).filter(|addr| addr.contains("/p2p-circuit")).collect();
    Ok(json!(own).to_string())
}

/// Dial an address, even when there is a connection already; gives the new connection as JSON.
#[wasm_bindgen]
pub async fn dial(addr: String) -> Result<String, JsError> {
    let link = node()?.dial(parsed("the address", &addr)?).await?;
    Ok(shown(&link).to_string())
}

/// The connections to a peer, as JSON.
#[wasm_bindgen]
pub async fn connections(peer: String) -> Result<String, JsError> {
    let links = node()?.links(parsed("the peer", &peer)?).await?;
    Ok(links.iter().map(shown).collect::<Value>().to_string())
}

/// Close the connections to a peer, only those that are `relayed` or `direct`; gives how many.
#[wasm_bindgen]
pub async fn close(peer: String, only: Option<String>) -> Result<u32, JsError> {
    let which = match only.as_deref() {
        None => Which::Any,
        Some("direct") => Which::Direct,
        Some("relayed") => Which::Relayed,
        Some(other) => {
            let why = "it is `direct` or `relayed`".to_owned();
            return Err(Error::Argument { what: "only", given: other.to_owned(), why }.into());
        }
    };
    Ok(node()?.close(parsed("the peer", &peer)?, which).await? as u32)
}

/// One round trip, in milliseconds.
#[wasm_bindgen]
pub async fn ping(peer: String) -> Result<f64, JsError> {
    let stream = node()?.open(parsed("the peer", &peer)?, Which::Any, work::PING).await?;
    let started = Instant::now();
    work::ask_ping(stream).await?;
    Ok(millis_since(started))
}

/// Half-close echo of so many bytes.
#[wasm_bindgen]
pub async fn echo(peer: String, count: u32) -> Result<(), JsError> {
    Ok(echo_once(&node()?, parsed("the peer", &peer)?, count).await?)
}

/// Send so much of the pattern in so many streams at a time; gives the milliseconds until the receiver has told the last digest.
#[wasm_bindgen]
pub async fn send(peer: String, count: f64, stripes: u32) -> Result<f64, JsError> {
    striped(peer, work::SINK, count, stripes, work::ask_sink).await
}

/// Receive so much of the pattern in so many streams at a time; gives the milliseconds until all is there.
#[wasm_bindgen]
pub async fn receive(peer: String, count: f64, stripes: u32) -> Result<f64, JsError> {
    striped(peer, work::SOURCE, count, stripes, work::ask_source).await
}

/// Ask for each part of the pattern on a stream of its own, all at once; gives the milliseconds.
async fn striped<F>(
    peer: String,
    protocol: StreamProtocol,
    count: f64,
    stripes: u32,
    ask: impl Fn(libp2p::Stream, Part) -> F,
) -> Result<f64, JsError>
where
    F: Future<Output = Result<(), Error>>,
{
    let (node, peer) = (&node()?, parsed("the peer", &peer)?);
    let (ask, protocol) = (&ask, &protocol);
    let started = Instant::now();
    let each = Part::stripes(count as u64, stripes)
        .into_iter()
        .map(|part| async move { ask(node.open(peer, Which::Any, protocol.clone()).await?, part).await });
    futures::future::try_join_all(each).await?;
    Ok(millis_since(started))
}

/// Echo 16 bytes on each of so many streams, all at once or one after the other; gives the milliseconds.
#[wasm_bindgen(js_name = openStreams)]
pub async fn open_streams(peer: String, count: u32, sequential: bool) -> Result<f64, JsError> {
    let (node, peer) = (node()?, parsed("the peer", &peer)?);
    let started = Instant::now();
    let width = if sequential { 1 } else { count as usize };
    stream::iter((0..count).map(|_| echo_once(&node, peer, 16)))
        .buffer_unordered(width.max(1))
        .try_collect::<()>()
        .await?;
    Ok(millis_since(started))
}

/// Offer so many connections over the relayed one with a ready `message`, hold those that are answered until the end, and say as
/// JSON how each ended.
#[wasm_bindgen(js_name = floodOffers)]
pub async fn flood_offers(peer: String, count: u32, message: Vec<u8>) -> Result<String, JsError> {
    let (node, peer) = (node()?, parsed("the peer", &peer)?);
    let (node, message) = (&node, &message);
    let offers = stream::iter(0..count).map(|_| async move {
        let stream = node.open(peer, Which::Relayed, SIGNALLING_PROTOCOL).await.ok()?;
        Some(work::offer(stream, message).await)
    });
    let (mut answered, mut declined, mut unopened) = (0_u32, 0_u32, 0_u32);
    let mut held = Vec::new();
    let mut outcomes = offers.buffer_unordered(FLOOD_WIDTH);
    while let Some(outcome) = outcomes.next().await {
        match outcome {
            Some((true, stream)) => {
                answered += 1;
                held.push(stream);
            }
            Some((false, _)) => declined += 1,
            None => unopened += 1,
        }
    }
    Ok(json!({ "answered": answered, "declined": declined, "unopened": unopened }).to_string())
}

/// Write to a stream that nobody reads until it fails; gives as JSON how much was written, and why it ended.
#[wasm_bindgen]
pub async fn stuff(peer: String) -> Result<String, JsError> {
    let stream = node()?.open(parsed("the peer", &peer)?, Which::Any, work::HOLE).await?;
    let (written, error) = work::stuff(stream).await;
    Ok(json!({ "written": written, "error": error }).to_string())
}

/// Hear a topic from now on.
#[wasm_bindgen]
pub async fn subscribe(topic: String) -> Result<(), JsError> {
    Ok(node()?.subscribe(topic).await?)
}

/// Peers known to hear a topic, as JSON.
#[wasm_bindgen]
pub async fn subscribers(topic: String) -> Result<String, JsError> {
    let peers = node()?.subscribers(topic).await?;
    Ok(peers.iter().map(PeerId::to_string).collect::<Value>().to_string())
}

/// Publish `count` different messages of `size` bytes.
#[wasm_bindgen]
pub async fn publish(topic: String, size: u32, count: u32) -> Result<(), JsError> {
    let node = node()?;
    for _ in 0..count {
        let mut bytes = vec![0; size as usize];
        // Different contents, since equal ones are one message.
        getrandom::fill(&mut bytes).map_err(|error| Error::Make(error.to_string()))?;
        node.publish(topic.clone(), bytes).await?;
    }
    Ok(())
}

/// What came on a topic since it was subscribed to, as JSON.
#[wasm_bindgen]
pub async fn heard(topic: String) -> Result<String, JsError> {
    let heard = node()?.heard(topic).await?;
    Ok(json!({ "messages": heard.messages, "bytes": heard.bytes }).to_string())
}

/// As JSON, how many connections the swarm has and why the latest broken ones ended, and how many peer connections and data channels `mycomesh-webrtc` holds.
#[wasm_bindgen]
pub async fn stats() -> Result<String, JsError> {
    let held = mycomesh_webrtc::stats();
    let held = json!({ "connections": held.connections, "channels": held.channels });
    let state = node()?.state().await?;
    Ok(json!({ "libp2p": state.connections, "ended": state.ended, "held": held }).to_string())
}

async fn echo_once(node: &Handle, peer: PeerId, count: u32) -> Result<(), Error> {
    let bytes: Vec<u8> = (0..count).map(|index| (index.wrapping_mul(31).wrapping_add(7)) as u8).collect();
    let back = work::ask_echo(node.open(peer, Which::Any, work::ECHO).await?, &bytes).await?;
    if back == bytes { Ok(()) } else { Err(Error::Changed(format!("{} bytes came back for {count}", back.len()))) }
}

fn shown(link: &Link) -> Value {
    json!({ "addr": link.addr.to_string(), "direct": link.direct })
}

fn parsed<T: FromStr<Err: ToString>>(what: &'static str, given: &str) -> Result<T, Error> {
    given.parse().map_err(|error: T::Err| Error::Argument { what, given: given.to_owned(), why: error.to_string() })
}

fn millis_since(started: Instant) -> f64 {
    started.elapsed().as_secs_f64() * 1_000.0
}
