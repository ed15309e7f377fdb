//! The envelope around every object that somebody vouches for.
//!
//! `{body, kind, sig, signer}` in DAG-CBOR. The signature covers a domain string with the network
//! and the kind, then the exact bytes of `body`. Verify first, parse after.

use std::sync::Arc;

use cid::Cid;
use ed25519_dalek::{Signature, VerifyingKey};
use libp2p_identity::{Keypair, PeerId};
use multihash::Multihash;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    ids::Network,
    objects::Object,
    strict::{self, DecodeError},
};

/// What an object is. Part of what is signed, so that bytes of one kind never pass as another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// [`super::Presence`]
    Presence,
    /// [`super::Card`]
    Card,
    /// [`super::Submission`]
    Submission,
    /// [`super::Acceptance`]
    Acceptance,
    /// [`super::Delivery`]
    Delivery,
    /// [`super::Rating`]
    Rating,
    /// [`super::Cancel`]
    Cancel,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Presence, Self::Card, Self::Submission, Self::Acceptance, Self::Delivery, Self::Rating, Self::Cancel];

    /// The name in the envelope.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Presence => "presence",
            Self::Card => "card",
            Self::Submission => "submission",
            Self::Acceptance => "acceptance",
            Self::Delivery => "delivery",
            Self::Rating => "rating",
            Self::Cancel => "cancel",
        }
    }

    /// The kind of that name, if this version knows it.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// The longest name of a kind, also of later ones.
const KIND_BYTES_MAX: usize = 32;

/// Whoever checks signatures. The driver's real one is [`Strict`]; a simulator may remember what
/// it has checked already.
pub trait Verifier: Send + Sync {
    /// Whether `signature` over `message` was made by the owner of `key`.
    fn verify(&self, key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool;
}

/// Ed25519 by the strict rules of RFC 8032: no small-order keys, no malleable signatures.
#[derive(Clone, Copy, Debug, Default)]
pub struct Strict;

impl Verifier for Strict {
    fn verify(&self, key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
        VerifyingKey::from_bytes(key)
            .is_ok_and(|key| key.verify_strict(message, &Signature::from_bytes(signature)).is_ok())
    }
}

/// An object whose signature has been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed<T> {
    /// Who vouches for it.
    pub signer: PeerId,
    /// What it says.
    pub body: T,
    /// The envelope as it travels.
    pub bytes: Arc<[u8]>,
    /// Its content id: CIDv1, dag-cbor, sha2-256 over the envelope.
    pub cid: Cid,
}

/// Why an envelope was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignedError {
    /// The bytes alone prove it wrong.
    #[error("malformed: {0}")]
    Malformed(String),
    /// The signature does not fit.
    #[error("the signature is not the signer's")]
    Forged,
    /// Well signed, but of a kind or shape this version does not know.
    #[error("not known to this version: {0}")]
    Unknown(String),
    /// Well signed and known, with a field outside its limit.
    #[error("it or one of its fields is outside its limit")]
    Limits,
}

#[derive(Serialize, Deserialize)]
struct Envelope {
    #[serde(with = "serde_bytes")]
    body: Vec<u8>,
    kind: String,
    #[serde(with = "serde_bytes")]
    sig: Vec<u8>,
    signer: PeerId,
}

impl<T: Object> Signed<T> {
    /// Sign `body` for `network`.
    pub fn seal(key: &Keypair, network: &Network, body: T) -> Self {
        let encoded = strict::encode(&body);
        let sig = key.sign(&message(network, T::KIND.name(), &encoded)).expect("Ed25519 signs anything");
        let signer = key.public().to_peer_id();
        let bytes = strict::encode(&Envelope { body: encoded, kind: T::KIND.name().into(), sig, signer });
        Self { signer, body, cid: cid_of(&bytes), bytes: bytes.into() }
    }

    /// Check and parse an envelope that must hold a `T`.
    pub fn open(bytes: &[u8], network: &Network, verifier: &dyn Verifier) -> Result<Self, SignedError> {
        let envelope = verified(bytes, network, verifier)?;
        if bytes.len() > T::BYTES_MAX {
            return Err(SignedError::Limits);
        }
        if envelope.kind != T::KIND.name() {
            return Err(SignedError::Unknown(format!("a {} where a {} belongs", envelope.kind, T::KIND.name())));
        }
        let body: T = strict::decode(&envelope.body, bytes.len()).map_err(|error| match error {
            DecodeError::Shape(detail) => SignedError::Unknown(detail),
            other => SignedError::Malformed(other.to_string()),
        })?;
        if !body.within_limits() {
            return Err(SignedError::Limits);
        }
        Ok(Self { signer: envelope.signer, body, bytes: bytes.into(), cid: cid_of(bytes) })
    }
}

/// The kind an envelope claims, read without checking anything else; only to choose a parser.
pub fn peek_kind(bytes: &[u8]) -> Option<Kind> {
    #[derive(Deserialize)]
    struct Head {
        kind: String,
    }
    let head: Head = strict::decode(bytes, crate::limits::REQUEST_BYTES_MAX).ok()?;
    Kind::parse(&head.kind)
}

/// The content id of an envelope.
pub fn cid_of(bytes: &[u8]) -> Cid {
    const DAG_CBOR: u64 = 0x71;
    content_id(DAG_CBOR, bytes)
}

/// The content id of raw bytes, as a delivery names its output.
pub fn cid_of_raw(bytes: &[u8]) -> Cid {
    const RAW: u64 = 0x55;
    content_id(RAW, bytes)
}

fn content_id(codec: u64, bytes: &[u8]) -> Cid {
    const SHA2_256: u64 = 0x12;
    let digest = Multihash::wrap(SHA2_256, &Sha256::digest(bytes)).expect("32 bytes fit");
    Cid::new_v1(codec, digest)
}

fn verified(bytes: &[u8], network: &Network, verifier: &dyn Verifier) -> Result<Envelope, SignedError> {
    let envelope: Envelope = strict::decode(bytes, crate::limits::REQUEST_BYTES_MAX)
        .map_err(|error| SignedError::Malformed(error.to_string()))?;
    if envelope.kind.len() > KIND_BYTES_MAX {
        return Err(SignedError::Malformed("the kind's name is too long".into()));
    }
    let key = ed25519_key(&envelope.signer)
        .ok_or_else(|| SignedError::Malformed("the signer is not an Ed25519 peer id".into()))?;
    let sig: [u8; 64] = envelope
        .sig
        .as_slice()
        .try_into()
        .map_err(|_| SignedError::Malformed("the signature is not 64 bytes long".into()))?;
    if !verifier.verify(&key, &message(network, &envelope.kind, &envelope.body), &sig) {
        return Err(SignedError::Forged);
    }
    Ok(envelope)
}

/// What is signed: a domain that no other protocol or network uses, then the body.
fn message(network: &Network, kind: &str, body: &[u8]) -> Vec<u8> {
    let mut message = format!("mycomesh/1/{network}/{kind}\0").into_bytes();
    message.extend_from_slice(body);
    message
}

/// An Ed25519 peer id carries its key: the identity multihash of a protobuf that is the same for every such key but for
/// its last 32 bytes. Whether they are a point on the curve is for the [`Verifier`] to find out; checking that here
/// too would take a third as long as checking the signature.
fn ed25519_key(peer: &PeerId) -> Option<[u8; 32]> {
    const IDENTITY: u64 = 0x00;
    /// Field 1, the type: Ed25519; field 2, the key: 32 bytes.
    const HEAD: [u8; 4] = [0x08, 0x01, 0x12, 0x20];
    let hash = Multihash::<64>::from_bytes(&peer.to_bytes()).ok()?;
    if hash.code() != IDENTITY {
        return None;
    }
    hash.digest().strip_prefix(&HEAD)?.try_into().ok()
}
