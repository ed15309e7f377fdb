//! Where the seeds come from: real encodings, most of them the golden bytes of core.

use std::collections::BTreeMap;

use libp2p_identity::Keypair;
use mycomesh_core::{
    time::Millis,
    units::Bps,
    wire::{
        Acceptance, Delivery, Kind, Network, Object, Outcome, Rating, Signed, Skill, Submission, TaskId,
        signed::{cid_of_raw, peek_kind},
        strict,
    },
};

use crate::node::{EPOCH, KEYS};

const GOLDEN: &str = include_str!("../../crates/core/tests/golden.txt");
const PEER: &str = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";
const OTHER: &str = "12D3KooWSnrfGcM2GCpqDYTEhnY5tBqVBYY2QxAuxMN8j5Hbd9xT";

/// Every seed: its target, its name, its bytes.
pub(crate) fn all() -> Vec<(&'static str, String, Vec<u8>)> {
    let mut seeds = Vec::new();
    for line in GOLDEN.lines() {
        let (name, hex) = line.split_once(' ').expect("a name and its bytes");
        golden(name, bytes_of(hex), &mut seeds);
    }
    for (name, object) in exchange() {
        seeds.push(("signed", format!("exchange-{name}"), object.clone()));
        let kind = peek_kind(&object).expect("it has a kind");
        seeds.push((kind.name(), format!("exchange-{name}"), body(&object)));
    }
    seeds.push(("node", "exchange".into(), steps()));
    for (target, name, text) in TEXTS {
        let text = text.replace("PEER", PEER).replace("OTHER", OTHER);
        seeds.push((target, (*name).to_owned(), text.into_bytes()));
    }
    for (target, name, bytes) in BYTES {
        seeds.push((target, (*name).to_owned(), bytes.to_vec()));
    }
    seeds
}

fn golden(name: &str, bytes: Vec<u8>, seeds: &mut Vec<(&'static str, String, Vec<u8>)>) {
    let target = match name {
        "presence-request" => "presence_request",
        "presence-page" => "presence_page",
        "objects-get" | "objects-receipts" => "objects_request",
        "objects-page" => "objects_page",
        "task-request" => "task_request",
        _ if name.starts_with("task-") => "task_reply",
        _ => {
            let kind = peek_kind(&bytes).expect("the rest are signed");
            seeds.push((kind.name(), name.to_owned(), body(&bytes)));
            "signed"
        }
    };
    seeds.push((target, name.to_owned(), bytes));
}

fn bytes_of(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).expect("ASCII"));
    digits.map(|pair| u8::from_str_radix(pair, 16).expect("two hex digits")).collect()
}

fn body(envelope: &[u8]) -> Vec<u8> {
    use ipld_core::ipld::Ipld;
    let mut fields: BTreeMap<String, Ipld> = strict::decode(envelope, envelope.len()).expect("an envelope");
    match fields.remove("body") {
        Some(Ipld::Bytes(body)) => body,
        other => panic!("a body is bytes, not {other:?}"),
    }
}

/// A whole exchange between the keys 2 and 1, each object as it is embedded in the next.
fn exchange() -> Vec<(&'static str, Vec<u8>)> {
    let [provider, requester, ..] = &*KEYS;
    let (task, deadline) = (TaskId([5; 16]), EPOCH + Millis::secs(60));
    let to = provider.public().to_peer_id();
    let submission =
        seal(requester, Submission { created: EPOCH, deadline, input: "hello".into(), skill: Skill::echo(), task, to });
    let requester_id = requester.public().to_peer_id();
    let acceptance = Acceptance {
        at: EPOCH,
        deadline,
        requester: requester_id,
        skill: Skill::echo(),
        submission: submission.cid,
        task,
    };
    let acceptance = seal(provider, acceptance);
    let delivery = Delivery {
        acceptance: acceptance.cid,
        at: EPOCH,
        outcome: Outcome::Completed,
        requester: requester_id,
        result: cid_of_raw(b"hello"),
        size: 5,
        task,
    };
    let delivery = seal(provider, delivery);
    let rating = Rating {
        acceptance: acceptance.bytes.to_vec(),
        at: EPOCH,
        delivery: Some(delivery.bytes.to_vec()),
        outcome: Outcome::Completed,
        provider: to,
        quality: Bps::percent(80),
        skill: Skill::echo(),
        task,
        timeliness: Bps::ONE,
    };
    vec![
        ("submission", submission.bytes.to_vec()),
        ("acceptance", acceptance.bytes.to_vec()),
        ("delivery", delivery.bytes.to_vec()),
        ("rating", seal(requester, rating).bytes.to_vec()),
    ]
}

fn seal<T: Object>(key: &Keypair, body: T) -> Signed<T> {
    Signed::seal(key, &Network::default(), body)
}

/// For the target `node`: a peer connects, says that it is there, asks, is answered and rates.
fn steps() -> Vec<u8> {
    let objects: BTreeMap<_, _> = exchange().into_iter().collect();
    let presence = GOLDEN.lines().find_map(|line| line.strip_prefix("presence ")).expect("a presence");
    let kind = |kind: Kind| (Kind::ALL.iter().position(|other| *other == kind).expect("it is one of them") as u8) << 4;
    let mut bytes = Vec::new();
    let mut step = |what: u8, who: u8, text: &[u8]| {
        bytes.extend([what, who]);
        bytes.extend((text.len() as u16).to_le_bytes());
        bytes.extend(text);
    };
    step(14, 0, b"");
    step(2, kind(Kind::Presence), &body(&bytes_of(presence)));
    step(7, kind(Kind::Submission), &body(&objects["submission"]));
    step(11, 0, b"");
    step(13, 0, b"hello");
    step(11, 0, b"");
    step(3, kind(Kind::Rating), &body(&objects["rating"]));
    step(17, 0, b"a question");
    step(11, 0, b"");
    step(9, kind(Kind::Acceptance), &body(&objects["acceptance"]));
    step(16, 0, &[0, 0, 0xff, 0xff]);
    step(15, 0, b"");
    bytes
}

const TEXTS: &[(&str, &str, &str)] = &[
    ("config", "empty", ""),
    ("config", "ports", "http = \"127.0.0.1:0\"\nws = \"off\"\nexternal = [\"/dns4/a.example/tcp/443/wss\"]\n"),
    ("config", "tables", "[mesh]\nnetwork = \"lab\"\nmax_peers = 7\n\n[relay]\ncircuits_max = 3 # few\n"),
    ("config", "mistakes", "[mesh]\n\nmax_pears = \"many\"\nstorage_bytes_max = 1\n[relay]\nconnections_max = 0\n"),
    ("invite", "one", "#join=/ip4/127.0.0.1/tcp/9001/ws/p2p/PEER&network=lab"),
    ("invite", "two", "join=%2Fdns4%2Fa.example%2Ftcp%2F443%2Fwss%2Fp2p%2FPEER&join=/ip6/::1/tcp/1/tls/ws/p2p/OTHER"),
    ("invite", "broken", "#network=lab"),
    ("multiaddr", "circuit", "/dns4/a.example/tcp/443/wss/p2p/PEER/p2p-circuit/webrtc/p2p/OTHER"),
    (
        "multiaddr",
        "direct",
        "/ip4/10.0.0.5/udp/82/webrtc-direct/certhash/uEiDDq4_xNyDorZBH3TlGazyJdOWSwvo4PUo5YHFMrvDE8g/p2p/PEER",
    ),
    ("multiaddr", "quic", "/ip6/2001:db8::1/udp/4001/quic-v1"),
    ("names", "task", "00112233445566778899aabbccddeeff"),
    ("names", "skill", "summarize-text/v1.2"),
    ("names", "network", "lab-7"),
    ("webrtc_address", "circuit", "/memory/7/p2p/PEER/p2p-circuit/webrtc/p2p/OTHER"),
    ("webrtc_address", "listen", "/ip4/9.9.9.9/tcp/1/ws/p2p/PEER/p2p-circuit"),
    ("webrtc_address", "signalled", "/webrtc/p2p/OTHER"),
    (
        "webrtc_description",
        "offer",
        "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\na=ice-ufrag:abcd\r\na=ice-pwd:efgh\r\na=fingerprint:sha-256 00:01:02:03:04:05:\
         06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:1F\r\n",
    ),
];

const BYTES: &[(&str, &str, &[u8])] = &[
    ("multiaddr", "bytes", b"\x04\x7f\x00\x00\x01\x06\x10\xe1"),
    ("webrtc_address", "bytes", b"\x04\x7f\x00\x00\x01\x06\x10\xe1\xdd\x03"),
    ("webrtc_frames", "flags", b"\x01\x02\x08\x00\x02\x08\x01\x02\x08\x02\x02\x08\x03"),
    ("webrtc_frames", "payload", b"\x03\x04\x12\x02hi\x05\x08\x00\x12\x01!\x00"),
    ("webrtc_frames", "later", b"\x02\x04\x08\x00\x78\x01"),
    ("webrtc_halves", "both-close", b"\x04\x03\x00\x05"),
    ("webrtc_halves", "reset", b"\x01\x02\x00\x04"),
    ("webrtc_halves", "dropped", b"\x04\x05\x01\x07"),
    ("webrtc_messages", "offer", b"\x05\x0c\x08\x00\x12\x03v=0\xa0\x06\x80\x80\x04"),
    ("webrtc_messages", "js-libp2p", b"\x01\x07\x08\x00\x12\x03v=0\x04\x08\x02\x12\x00\x02\x08\x02"),
    ("webrtc_messages", "candidate", b"\x02\x06\x08\x02\x12\x02{}\x09\x08\x02\x1a\x01x\x12\x02{}"),
    (
        "webrtc_machine",
        "offerer",
        b"\x00\x00\x03v=0\x02\x02{}\x09\x03v=0\x01\x00\x0a\x0f{\"candidate\":\"\"}\x04\x00\x05\x00\x06\x00",
    ),
    ("webrtc_machine", "answerer", b"\x01\x08\x03v=0\x0a\x02{}\x00\x03v=0\x02\x02{}\x03\x00\x0d\x00\x04\x00"),
    ("webrtc_machine", "fails", b"\x01\x08\x03v=0\x8a\x02{}\x03\x00\x00\x03v=0\x0e\x00\x0f\x00"),
];
