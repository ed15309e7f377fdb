//! What travels: golden bytes for every type, and everything a decoder must refuse.
//!
//! The golden file is the wire format. When a change of it is meant, run the test with
//! `GOLDEN=write` and read the difference.

use std::{collections::BTreeMap, fmt::Write as _, fs};

use libp2p_identity::{Keypair, PeerId};
use mycomesh_core::{
    io::{Path, Protocol, Topic},
    time::{Millis, UnixMillis},
    units::Bps,
    wire::{
        Acceptance, Availability, Cancel, Card, Delivery, Kind, Network, Object, Outcome, Presence, Rating, Signed,
        SignedError, Skill, SkillCard, Submission, TaskId,
        requests::{ObjectsPage, ObjectsRequest, PresencePage, PresenceRequest, TaskReply, TaskRequest},
        signed::{Strict, cid_of_raw, peek_kind},
        strict::{self, DecodeError},
    },
};
use serde::{Serialize, de::DeserializeOwned};
use serde_bytes::ByteBuf;

const AT: UnixMillis = UnixMillis(1_795_132_800_000);
const TASK: TaskId = TaskId([0xab; 16]);
const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden.txt");

fn key(n: u8) -> Keypair {
    Keypair::ed25519_from_bytes([n; 32]).expect("a key")
}

fn peer(n: u8) -> PeerId {
    key(n).public().to_peer_id()
}

fn presence() -> Presence {
    Presence {
        addrs: vec!["/ip4/192.0.2.7/tcp/4001".parse().unwrap()],
        availability: Availability::Idle,
        card: Some(cid_of_raw(b"a card")),
        free_slots: 1,
        goodbye: false,
        issued: AT,
        seq: AT.0,
        ttl: Millis::secs(45),
    }
}

fn card() -> Card {
    let text = || vec!["text/plain".to_owned()];
    Card {
        issued: AT,
        name: "Ada".into(),
        skills: vec![SkillCard { input: text(), name: Skill::human(), output: text() }],
    }
}

fn submission() -> Submission {
    Submission {
        created: AT,
        deadline: AT + Millis::secs(60),
        input: "hello".into(),
        skill: Skill::echo(),
        task: TASK,
        to: peer(2),
    }
}

fn acceptance() -> Acceptance {
    Acceptance {
        at: AT,
        deadline: AT + Millis::secs(60),
        requester: peer(1),
        skill: Skill::echo(),
        submission: cid_of_raw(b"a submission"),
        task: TASK,
    }
}

fn delivery() -> Delivery {
    Delivery {
        acceptance: cid_of_raw(b"an acceptance"),
        at: AT,
        outcome: Outcome::Completed,
        requester: peer(1),
        result: cid_of_raw(b"hello"),
        size: 5,
        task: TASK,
    }
}

fn rating() -> Rating {
    Rating {
        acceptance: b"an acceptance".to_vec(),
        at: AT,
        delivery: Some(b"a delivery".to_vec()),
        outcome: Outcome::Completed,
        provider: peer(2),
        quality: Bps::percent(80),
        skill: Skill::echo(),
        task: TASK,
        timeliness: Bps::ONE,
    }
}

fn sealed<T: Object>(body: T) -> Vec<u8> {
    Signed::seal(&key(1), &Network::default(), body).bytes.to_vec()
}

/// Encodes, decodes to the same value, and gives the bytes.
#[track_caller]
fn round_trip<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: &T) -> Vec<u8> {
    let bytes = strict::encode(value);
    assert_eq!(&strict::decode::<T>(&bytes, 1 << 18).expect("our own bytes decode"), value);
    bytes
}

fn samples() -> BTreeMap<&'static str, Vec<u8>> {
    let bytes = |text: &str| ByteBuf::from(text.as_bytes());
    BTreeMap::from([
        ("presence", sealed(presence())),
        ("card", sealed(card())),
        ("submission", sealed(submission())),
        ("acceptance", sealed(acceptance())),
        ("delivery", sealed(delivery())),
        ("rating", sealed(rating())),
        ("rating-expired", sealed(Rating { delivery: None, outcome: Outcome::Expired, ..rating() })),
        ("cancel", sealed(Cancel { at: AT, task: TASK })),
        (
            "presence-request",
            round_trip(&PresenceRequest { after: Some(peer(3)), mine: Some(bytes("mine")), card: None }),
        ),
        ("presence-page", round_trip(&PresencePage { objects: vec![bytes("one")], next: Some(peer(3)) })),
        ("objects-get", round_trip(&ObjectsRequest::Get(vec![cid_of_raw(b"x")]))),
        ("objects-receipts", round_trip(&ObjectsRequest::Receipts { after: None })),
        ("objects-page", round_trip(&ObjectsPage { objects: vec![bytes("one")], next: Some(cid_of_raw(b"x")) })),
        (
            "task-request",
            round_trip(&TaskRequest { object: bytes("a delivery"), acceptance: None, output: Some("hello".into()) }),
        ),
        ("task-accepted", round_trip(&TaskReply::Accepted(bytes("an acceptance")))),
        ("task-rejected", round_trip(&TaskReply::Rejected("busy".into()))),
        ("task-ack", round_trip(&TaskReply::Ack)),
        ("task-canceled", round_trip(&TaskReply::Canceled)),
        ("task-unknown", round_trip(&TaskReply::Unknown)),
        ("task-later", round_trip(&TaskReply::Later)),
    ])
}

#[test]
fn every_wire_type_has_the_bytes_it_always_had() {
    let mut now = String::new();
    for (name, bytes) in samples() {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(now, "{name} {hex}").unwrap();
    }
    if std::env::var("GOLDEN").as_deref() == Ok("write") {
        fs::write(GOLDEN, &now).unwrap();
    }
    let golden = fs::read_to_string(GOLDEN).expect("the golden file");
    for (was, is) in golden.lines().zip(now.lines()) {
        assert_eq!(was, is, "the wire format changed");
    }
    assert_eq!(golden.lines().count(), now.lines().count());
}

#[test]
fn names_on_the_wire_carry_the_network() {
    let names: Vec<_> = Topic::ALL.iter().map(|topic| topic.name("lab")).collect();
    assert_eq!(names, ["/mycomesh/lab/presence/c0/1", "/mycomesh/lab/receipts/1"]);
    let names: Vec<_> = Protocol::ALL.iter().map(|protocol| protocol.name("lab")).collect();
    assert_eq!(names, ["/mycomesh/lab/presence/1", "/mycomesh/lab/objects/1", "/mycomesh/lab/tasks/1"]);
}

fn open<T: Object>(bytes: &[u8]) -> Result<Signed<T>, SignedError> {
    Signed::open(bytes, &Network::default(), &Strict)
}

#[test]
fn an_envelope_opens_to_what_was_sealed() {
    let signed: Signed<Presence> = open(&sealed(presence())).unwrap();
    assert_eq!((signed.body, signed.signer), (presence(), peer(1)));
    assert_eq!(signed.cid.codec(), 0x71);
    assert_eq!(peek_kind(&sealed(card())), Some(Kind::Card));
}

#[test]
fn a_change_of_any_byte_is_noticed() {
    let good = sealed(presence());
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        assert!(open::<Presence>(&bad).is_err(), "byte {at} may be changed unnoticed");
    }
}

#[test]
fn one_kind_never_passes_as_another() {
    let bytes = sealed(presence());
    assert!(matches!(open::<Card>(&bytes), Err(SignedError::Unknown(_))));
    let relabelled = relabel(&bytes, "card");
    assert_eq!(open::<Card>(&relabelled), Err(SignedError::Forged));
}

/// The same body and signature under another kind.
fn relabel(bytes: &[u8], kind: &str) -> Vec<u8> {
    use ipld_core::ipld::Ipld;
    let mut tree: BTreeMap<String, Ipld> = strict::decode(bytes, 1 << 18).unwrap();
    tree.insert("kind".into(), Ipld::String(kind.into()));
    strict::encode(&tree)
}

#[test]
fn a_signature_of_one_network_is_none_in_another() {
    let other = Network::new("other").unwrap();
    let foreign = Signed::seal(&key(1), &other, presence());
    assert_eq!(open::<Presence>(&foreign.bytes), Err(SignedError::Forged));
}

#[test]
fn a_well_signed_object_of_a_later_version_is_unknown_not_wrong() {
    #[derive(Serialize, serde::Deserialize)]
    struct Later {
        other: u32,
    }
    impl Object for Later {
        const KIND: Kind = Kind::Presence;
        const BYTES_MAX: usize = 1_024;
        fn within_limits(&self) -> bool {
            true
        }
    }
    assert!(matches!(open::<Presence>(&sealed(Later { other: 1 })), Err(SignedError::Unknown(_))));
}

#[test]
fn unknown_keys_and_values_of_a_later_version_are_read_past() {
    use ipld_core::ipld::Ipld;
    let mut tree: BTreeMap<String, Ipld> = strict::decode(&strict::encode(&presence()), 1 << 16).unwrap();
    tree.insert("mood".into(), Ipld::String("cheerful".into()));
    tree.insert("availability".into(), Ipld::String("dreaming".into()));
    let read: Presence = strict::decode(&strict::encode(&tree), 1 << 16).unwrap();
    assert_eq!(read, Presence { availability: Availability::Other, ..presence() });
}

#[test]
fn a_field_outside_its_limit_is_told_apart_from_a_forgery() {
    let body = Presence { free_slots: 65, ..presence() };
    assert_eq!(open::<Presence>(&sealed(body)), Err(SignedError::Limits));
    let body = Card { name: "x".repeat(65), ..card() };
    assert_eq!(open::<Card>(&sealed(body)), Err(SignedError::Limits));
}

#[test]
fn padding_does_not_make_an_object_as_long_as_a_frame() {
    use ipld_core::ipld::Ipld;
    #[derive(Serialize, serde::Deserialize)]
    struct Padded(BTreeMap<String, Ipld>);
    impl Object for Padded {
        const KIND: Kind = Kind::Rating;
        const BYTES_MAX: usize = 1 << 20;
        fn within_limits(&self) -> bool {
            true
        }
    }
    let mut tree: BTreeMap<String, Ipld> = strict::decode(&strict::encode(&rating()), 1 << 16).unwrap();
    tree.insert("padding".into(), Ipld::Bytes(vec![0; 60_000]));
    assert_eq!(open::<Rating>(&sealed(Padded(tree))), Err(SignedError::Limits));
}

#[track_caller]
fn check_refused(bytes: &[u8], why: &str) {
    let error = strict::decode::<ipld_core::ipld::Ipld>(bytes, 64).expect_err("it must be refused");
    assert!(error.to_string().contains(why), "{error}");
}

#[test]
fn only_the_one_encoding_of_a_value_is_taken() {
    check_refused(&[0x18, 0x01], "not canonical");
    check_refused(&[0xa2, 0x61, b'b', 0x01, 0x61, b'a', 0x02], "not canonical");
    check_refused(&[0xbf, 0xff], "indefinite");
    check_refused(&[0x01, 0x01], "bytes follow");
    check_refused(&[0x62, b'a'], "ends too early");
    check_refused(&[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], "ends too early");
    check_refused(&[0x81; 40], "nested too deeply");
    check_refused(&[0; 65], "at most 64 are allowed");
    assert!(matches!(strict::decode::<u8>(&[0x61, b'x'], 8), Err(DecodeError::Shape(_))));
}

#[test]
fn names_are_parsed_at_the_edge() {
    assert!(Skill::new("summarize-text").is_ok());
    for bad in ["", "Echo", "a b", "ü", &"x".repeat(49)] {
        assert!(Skill::new(bad).is_err(), "{bad}");
    }
    assert!(Network::new("lab-7").is_ok());
    for bad in ["", "Lab", "a/b", &"x".repeat(33)] {
        assert!(Network::new(bad).is_err(), "{bad}");
    }
    assert_eq!(TASK.to_string().parse(), Ok(TASK));
    assert!("xyz".parse::<TaskId>().is_err());
    assert!("+a".repeat(16).parse::<TaskId>().is_err());
    assert!("ä".repeat(16).parse::<TaskId>().is_err());
}

#[test]
fn the_path_of_a_connection_is_read_from_its_address() {
    let relay = format!("/p2p/{}", peer(3));
    let cases = [
        ("/ip4/127.0.0.1/tcp/1".to_owned(), Path::Tcp),
        ("/ip4/127.0.0.1/udp/1/quic-v1".to_owned(), Path::Quic),
        ("/ip4/127.0.0.1/tcp/1/ws".to_owned(), Path::Websocket),
        ("/dns4/example.org/tcp/443/wss".to_owned(), Path::Websocket),
        ("/ip4/127.0.0.1/udp/1/webrtc-direct".to_owned(), Path::WebrtcDirect),
        (format!("/ip4/127.0.0.1/tcp/1/ws{relay}/p2p-circuit"), Path::Relayed),
        (format!("/ip4/127.0.0.1/tcp/1/ws{relay}/p2p-circuit/webrtc"), Path::DirectWebrtc),
        ("/webrtc".to_owned(), Path::DirectWebrtc),
        (relay, Path::None),
    ];
    for (addr, path) in cases {
        assert_eq!(Path::of(&addr.parse().unwrap()), path, "{addr}");
    }
}

#[test]
fn shares_stay_between_nothing_and_the_whole() {
    assert_eq!(Bps::ratio(1, 3).get(), 3_333);
    assert_eq!(Bps::ratio(5, 0), Bps::ZERO);
    assert_eq!(Bps::ratio(u64::MAX, 1), Bps::ONE);
    assert_eq!(Bps::percent(70).of(u64::MAX), u64::MAX / 10 * 7 + 3);
    assert_eq!(Bps::new(1_250).to_string(), "12.5 %");
    assert_eq!(Bps::new(7).to_string(), "0.07 %");
    assert!(strict::decode::<Bps>(&strict::encode(&10_001_u32), 8).is_err());
}
