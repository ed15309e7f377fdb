//! Every signed object that was seen travelling, by its content: what it is, who signed it, and whether anybody did.
//!
//! Checkers judge by this book and not by what core says: an object is genuine only if it was entered as made by
//! the holder of its key, so a bug in core's own verification does not blind them.

use std::{collections::BTreeMap, sync::Arc};

use libp2p_identity::PeerId;
use mycomesh_core::{
    io::Topic,
    wire::{Presence, Rating},
};
use serde::{Deserialize, de::DeserializeOwned};
use sha2::{Digest as _, Sha256};

use crate::gossip::{Message, MessageNo, TopicNo};

/// SHA-256 of an object's envelope: gossip's message id, and the digest in its content id.
pub type Digest = [u8; 32];

/// Every object seen.
#[derive(Debug, Default)]
pub struct Frames {
    list: Vec<Frame>,
    by_digest: BTreeMap<Digest, MessageNo>,
}

/// One object.
#[derive(Debug)]
pub struct Frame {
    /// Its digest.
    pub digest: Digest,
    /// The envelope.
    pub data: Arc<[u8]>,
    /// What it says.
    pub content: Content,
    /// The holder of the key it names made it.
    pub genuine: bool,
    /// It was made to deceive: its maker says how.
    pub lie: Option<Lie>,
}

/// How a hostile peer's object deceives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lie {
    /// The signature is not the signer's.
    Forged,
    /// The bytes are no object at all.
    Garbage,
    /// Its time has passed, or has not come.
    OutOfTime,
    /// It claims to hold for longer than anything may.
    HugeTtl,
    /// It says something else than another of the same number.
    Equivocation,
    /// A receipt that proves nothing.
    Fabrication,
    /// Well made, and of no use to anybody.
    Spam,
}

/// What an object says, as far as checkers look at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A presence.
    Presence {
        /// Who says it is there.
        signer: PeerId,
        /// The presence.
        body: Box<Presence>,
    },
    /// A receipt.
    Rating {
        /// Who rates.
        signer: PeerId,
        /// The receipt.
        body: Box<Rating>,
    },
    /// Another signed object.
    Other {
        /// Who signed it.
        signer: PeerId,
    },
    /// No object.
    Nothing,
}

impl Content {
    /// Whose signature it bears.
    pub fn signer(&self) -> Option<PeerId> {
        match self {
            Self::Presence { signer, .. } | Self::Rating { signer, .. } | Self::Other { signer } => Some(*signer),
            Self::Nothing => None,
        }
    }

    /// Read an envelope without checking anything.
    fn of(bytes: &[u8]) -> Self {
        let Some((kind, signer)) = head(bytes) else { return Self::Nothing };
        let content = match kind.as_str() {
            "presence" => body(bytes).map(|body| Self::Presence { signer, body: Box::new(body) }),
            "rating" => body(bytes).map(|body| Self::Rating { signer, body: Box::new(body) }),
            _ => None,
        };
        content.unwrap_or(Self::Other { signer })
    }
}

#[derive(Deserialize)]
struct Envelope {
    #[serde(with = "serde_bytes")]
    body: Vec<u8>,
    kind: String,
    signer: PeerId,
}

/// Kind and signer that an envelope claims.
fn head(bytes: &[u8]) -> Option<(String, PeerId)> {
    let envelope: Envelope = serde_ipld_dagcbor::from_slice(bytes).ok()?;
    Some((envelope.kind, envelope.signer))
}

/// What an envelope says, read without checking anything.
pub fn body<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let envelope: Envelope = serde_ipld_dagcbor::from_slice(bytes).ok()?;
    serde_ipld_dagcbor::from_slice(&envelope.body).ok()
}

impl Frames {
    /// The number of these bytes, entered now if they are new. `maker` is whose hands they came from: an object
    /// that names it as its signer is genuine.
    pub fn enter(&mut self, data: &Arc<[u8]>, maker: PeerId) -> MessageNo {
        let no = self.look_up(data);
        let frame = &mut self.list[no.0 as usize];
        frame.genuine |= frame.lie.is_none_or(|lie| !matches!(lie, Lie::Forged | Lie::Garbage))
            && frame.content.signer() == Some(maker);
        no
    }

    /// The number of bytes made to deceive. They are genuine if `maker` signed them with its own key.
    pub fn enter_lie(&mut self, data: &Arc<[u8]>, maker: Option<PeerId>, lie: Lie) -> MessageNo {
        let no = self.look_up(data);
        let frame = &mut self.list[no.0 as usize];
        // An object replayed is still what it was.
        if !frame.genuine {
            frame.lie = Some(lie);
            frame.genuine = maker.is_some() && frame.content.signer() == maker;
        }
        no
    }

    fn look_up(&mut self, data: &Arc<[u8]>) -> MessageNo {
        let digest: Digest = Sha256::digest(data).into();
        if let Some(no) = self.by_digest.get(&digest) {
            return *no;
        }
        let no = MessageNo(self.list.len() as u32);
        self.by_digest.insert(digest, no);
        let content = Content::of(data);
        self.list.push(Frame { digest, data: data.clone(), content, genuine: false, lie: None });
        no
    }

    /// An object by its number.
    pub fn get(&self, no: MessageNo) -> Option<&Frame> {
        self.list.get(no.0 as usize)
    }

    /// An object by its digest.
    pub fn find(&self, digest: &[u8]) -> Option<&Frame> {
        let digest: Digest = digest.try_into().ok()?;
        self.get(*self.by_digest.get(&digest)?)
    }

    /// As gossip sees it.
    pub fn message(&self, no: MessageNo, topic: Topic) -> Message {
        let bytes = self.get(no).map_or(0, |frame| frame.data.len() as u32);
        Message { no, topic: topic_no(topic), bytes }
    }

    /// How many were seen.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

/// A topic's number in the gossip model.
pub fn topic_no(topic: Topic) -> TopicNo {
    match topic {
        Topic::Presence => TopicNo(0),
        Topic::Receipts => TopicNo(1),
    }
}

/// The topic of a number.
pub fn topic_of(no: TopicNo) -> Option<Topic> {
    Topic::ALL.into_iter().find(|topic| topic_no(*topic) == no)
}
