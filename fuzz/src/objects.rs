//! Signed objects: the envelope, and the body of each kind.

use std::{collections::BTreeMap, fmt::Debug};

use ipld_core::ipld::Ipld;
use mycomesh_core::{
    limits::REQUEST_BYTES_MAX,
    wire::{
        Acceptance, Cancel, Card, Delivery, Kind, Network, Object, Presence, Rating, Signed, SignedError, Submission,
        signed::{Strict, Verifier, cid_of, peek_kind},
        strict,
    },
};

use crate::node::KEYS;

/// The body of a presence.
pub fn presence(body: &[u8]) {
    inside::<Presence>(body);
}

/// The body of a card.
pub fn card(body: &[u8]) {
    inside::<Card>(body);
}

/// The body of a submission.
pub fn submission(body: &[u8]) {
    inside::<Submission>(body);
}

/// The body of an acceptance.
pub fn acceptance(body: &[u8]) {
    inside::<Acceptance>(body);
}

/// The body of a delivery.
pub fn delivery(body: &[u8]) {
    inside::<Delivery>(body);
}

/// The body of a rating.
pub fn rating(body: &[u8]) {
    inside::<Rating>(body);
}

/// The body of a cancel.
pub fn cancel(body: &[u8]) {
    inside::<Cancel>(body);
}

/// An envelope, taken for each kind.
pub fn signed(envelope: &[u8]) {
    as_kind::<Presence>(envelope);
    as_kind::<Card>(envelope);
    as_kind::<Submission>(envelope);
    as_kind::<Acceptance>(envelope);
    as_kind::<Delivery>(envelope);
    as_kind::<Rating>(envelope);
    as_kind::<Cancel>(envelope);
    // A receipt is judged by anybody, without a node around it.
    let _ = mycomesh_core::verify_receipt(envelope, &Network::default(), &Everything);
}

/// Believes every signature: bodies are reached although a fuzzer cannot sign.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Everything;

impl Verifier for Everything {
    fn verify(&self, _: &[u8; 32], _: &[u8], _: &[u8; 64]) -> bool {
        true
    }
}

/// Believes none.
struct Nothing;

impl Verifier for Nothing {
    fn verify(&self, _: &[u8; 32], _: &[u8], _: &[u8; 64]) -> bool {
        false
    }
}

/// An envelope around any bytes, with a signature that only [`Everything`] believes.
pub(crate) fn envelope_of(signer: &[u8], kind: Kind, body: &[u8]) -> Vec<u8> {
    let fields = [
        ("body", Ipld::Bytes(body.to_vec())),
        ("kind", Ipld::String(kind.name().into())),
        ("sig", Ipld::Bytes(vec![0; 64])),
        ("signer", Ipld::Bytes(signer.to_vec())),
    ];
    strict::encode(&BTreeMap::from(fields.map(|(name, value)| (name.to_owned(), value))))
}

fn inside<T: Object + PartialEq + Debug>(body: &[u8]) {
    let envelope = envelope_of(&KEYS[0].public().to_peer_id().to_bytes(), T::KIND, body);
    let opened = as_kind::<T>(&envelope);
    if strict::decode::<T>(body, body.len()).is_ok_and(|value| value.within_limits()) {
        let is_short = envelope.len() <= T::BYTES_MAX;
        assert_eq!(opened, is_short, "a body within its limits is taken, in an envelope within its limit");
    }
}

/// Whether it opens as a `T` once its signature is believed.
fn as_kind<T: Object + PartialEq + Debug>(bytes: &[u8]) -> bool {
    let network = Network::default();
    let open = |verifier: &dyn Verifier| Signed::<T>::open(bytes, &network, verifier);
    let believed = open(&Everything);
    // Nothing of the body shows through a signature that does not fit.
    match (open(&Nothing), &believed) {
        (Err(SignedError::Forged), _) => {}
        (Err(malformed @ SignedError::Malformed(_)), Err(same)) => assert_eq!(&malformed, same),
        (refused, _) => panic!("parsed before it was verified: {refused:?}"),
    }
    let real = open(&Strict);
    assert!(matches!(real, Err(SignedError::Forged)) || real == believed, "a good signature changes nothing else");
    let Ok(object) = believed else { return false };

    assert!(bytes.len() <= T::BYTES_MAX && object.body.within_limits());
    assert_eq!(*object.bytes, *bytes, "it is kept as it travelled");
    assert_eq!(object.cid, cid_of(bytes));
    assert_eq!(peek_kind(bytes), Some(T::KIND));
    same_again(bytes, &object.body);
    let sealed = Signed::seal(&KEYS[0], &network, object.body);
    if sealed.bytes.len() <= T::BYTES_MAX {
        let opened = Signed::<T>::open(&sealed.bytes, &network, &Strict);
        assert_eq!(opened.as_ref(), Ok(&sealed), "what was read can be signed and read again");
    }
    true
}

/// `value` is written and read as the same, and `bytes`, which hold it, have no second encoding.
pub(crate) fn same_again<T>(bytes: &[u8], value: &T)
where
    T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + Debug,
{
    let written = strict::encode(value);
    let read = strict::decode::<T>(&written, REQUEST_BYTES_MAX * 2).expect("our own bytes decode");
    assert_eq!(&read, value, "what was read is written and read as the same");
    assert_eq!(strict::encode(&read), written, "one value has one encoding");
    let tree: Ipld = strict::decode(bytes, bytes.len()).expect("it was decoded before");
    assert_eq!(strict::encode(&tree), bytes, "one value has one encoding");
}
