//! Receipts: signed ratings that verify alone, from whoever signed them.
//!
//! A receipt embeds the provider's signed acceptance and, unless the task expired, its signed
//! delivery. So nobody can rate a provider that never took the task on, and a third party needs
//! nothing but the receipt itself. New receipts spread by gossip; peers that connect pull the ones
//! they lack.
//!
//! [`verify`](fn@verify) says what a receipt is, [`keep`] which are kept; this file is how they travel.

mod keep;
mod verify;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

pub use verify::{ReceiptError, verify, verify_alone};

use cid::Cid;
use libp2p_identity::PeerId;
use serde_bytes::ByteBuf;

use self::keep::{removal, write};
use crate::{
    conduct,
    cx::{AfterStore, Cx, Purpose},
    io::{Event, GossipId, Output, Protocol, RequestError, RequestToken, Topic, Verdict},
    limits::{
        CLOCK_SKEW_MAX, OBJECT_IDS_MAX, PAGE_BYTES_MAX, PAGE_OBJECTS_MAX, PAGES_MAX, RECEIPT_LIFETIME,
        RECEIPTS_WAITING_MAX, REQUEST_BYTES_MAX,
    },
    rates::{Evidence, Kind},
    snapshot::SecurityKind,
    time::{Time, UnixMillis},
    wire::{
        Rating, Signed, SignedError, TaskId,
        requests::{ObjectsPage, ObjectsRequest},
        strict,
    },
};

/// Every receipt held, with the indexes that bound and find them.
#[derive(Debug, Default)]
pub struct State {
    by_cid: BTreeMap<Cid, Signed<Rating>>,
    /// Provider → signer → (time, id), oldest first.
    by_pair: BTreeMap<PeerId, BTreeMap<PeerId, BTreeSet<(UnixMillis, Cid)>>>,
    /// One receipt per task and signer: the first.
    by_task: BTreeMap<(PeerId, TaskId), Cid>,
    /// What they take in the store, keys and values.
    bytes: u64,
    /// This peer's own that are to be published, oldest first: a program may rate faster than others
    /// take in.
    waiting: VecDeque<Cid>,
    /// When the next of them may go.
    due: Option<Time>,
}

/// What receipts takes in.
pub enum In<'a> {
    /// A record of the store.
    Loaded(Vec<u8>),
    /// One that this peer just signed, or that a requester handed it. Verified already. `after`
    /// happens once it is stored.
    Add { signed: Box<Signed<Rating>>, after: AfterStore },
    /// A gossip frame on the receipts topic.
    Gossip { from: PeerId, id: GossipId, data: &'a [u8], conduct: &'a conduct::State },
    /// The first link to a peer came up.
    Linked(PeerId),
    /// The answer to a pull.
    Response { peer: PeerId, page: u32, result: Result<Vec<u8>, RequestError>, conduct: &'a conduct::State },
    /// A deadline may have passed.
    Tick,
}

/// What receipts tells the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// The evidence about this provider changed, and with it the weight of what it signed.
    Changed(PeerId),
}

impl State {
    pub fn handle(&mut self, cx: &mut Cx<'_>, input: In<'_>) -> Vec<Note> {
        let mut notes = Vec::new();
        match input {
            In::Loaded(bytes) => self.loaded(cx, &bytes),
            In::Add { signed, after } => {
                let (cid, own) = (signed.cid, signed.signer == cx.me());
                if self.by_cid.contains_key(&signed.cid) {
                    cx.store(vec![write(&signed)], after);
                } else {
                    self.add(cx, &mut notes, *signed, after);
                }
                if own {
                    self.enqueue(cx, cid);
                }
            }
            In::Gossip { from, id, data, conduct } => self.gossip(cx, &mut notes, from, id, data, conduct),
            In::Linked(peer) => pull(cx, peer, None, 0),
            In::Response { peer, page, result, conduct } => {
                self.response(cx, &mut notes, peer, page, result, conduct);
            }
            In::Tick => self.publish(cx),
        }
        notes
    }

    /// When something is due here.
    pub fn next_deadline(&self) -> Option<Time> {
        self.due
    }

    /// Receipts about `provider`.
    pub fn about(&self, provider: &PeerId) -> impl Iterator<Item = &Signed<Rating>> {
        let signers = self.by_pair.get(provider).into_iter().flat_map(BTreeMap::values);
        signers.flatten().filter_map(|(_, cid)| self.by_cid.get(cid))
    }

    /// Every receipt held.
    pub fn all(&self) -> impl Iterator<Item = &Signed<Rating>> {
        self.by_cid.values()
    }

    /// The most that are held of one signer about one provider.
    pub fn largest_pair(&self) -> usize {
        self.by_pair.values().flat_map(BTreeMap::values).map(BTreeSet::len).max().unwrap_or(0)
    }

    /// Providers that `signer` has rated.
    pub fn rated_by(&self, signer: &PeerId) -> Vec<PeerId> {
        self.by_pair.iter().filter(|(_, signers)| signers.contains_key(signer)).map(|(peer, _)| *peer).collect()
    }

    /// Everybody there is evidence about.
    pub fn providers(&self) -> impl Iterator<Item = &PeerId> {
        self.by_pair.keys()
    }

    /// Whether the receipt of this id is held.
    pub fn holds(&self, cid: &Cid) -> bool {
        self.by_cid.contains_key(cid)
    }

    /// How many are held.
    pub fn len(&self) -> usize {
        self.by_cid.len()
    }

    /// Bytes they take in the store.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// A receipt by its id, as it travels.
    pub fn serve(&self, cid: &Cid) -> Option<ByteBuf> {
        self.by_cid.get(cid).map(|signed| ByteBuf::from(&signed.bytes[..]))
    }

    /// A page of receipts in the order of their ids, behind `after`.
    pub fn page(&self, after: Option<Cid>) -> ObjectsPage {
        let mut page = ObjectsPage { objects: Vec::new(), next: None };
        let mut room = PAGE_BYTES_MAX;
        let mut last = None;
        for (cid, signed) in self.by_cid.iter().filter(|(cid, _)| after.is_none_or(|after| **cid > after)) {
            if signed.bytes.len() > room || page.objects.len() >= PAGE_OBJECTS_MAX {
                page.next = last;
                return page;
            }
            room -= signed.bytes.len();
            page.objects.push(ByteBuf::from(&signed.bytes[..]));
            last = Some(*cid);
        }
        page
    }

    fn loaded(&mut self, cx: &mut Cx<'_>, bytes: &[u8]) {
        match cx.open_receipt(bytes) {
            Ok(signed) => {
                // The limit may have been lowered since.
                let gone = self.insert(cx, signed).unwrap_or_default();
                let writes: Vec<_> = gone.iter().map(|signed| removal(&signed.cid)).collect();
                if !writes.is_empty() {
                    cx.store(writes, AfterStore::Nothing);
                }
            }
            Err(error) => cx.warn(format!("a stored receipt was dropped: {error}")),
        }
    }

    /// One of this peer's own is to be published as soon as the rate allows.
    fn enqueue(&mut self, cx: &mut Cx<'_>, cid: Cid) {
        if self.waiting.len() >= RECEIPTS_WAITING_MAX {
            self.waiting.pop_front();
        }
        self.waiting.push_back(cid);
        self.publish(cx);
    }

    fn publish(&mut self, cx: &mut Cx<'_>) {
        self.due = None;
        let me = cx.me();
        while let Some(cid) = self.waiting.front() {
            let Some(signed) = self.by_cid.get(cid) else {
                self.waiting.pop_front();
                continue;
            };
            if !cx.within_rate(me, Kind::OwnReceipt, Evidence::FirstHand(None)) {
                self.due = Some(cx.shared.rates.next_token(cx.now, me, Kind::OwnReceipt));
                return;
            }
            cx.out.push(Output::Publish { topic: Topic::Receipts, data: signed.bytes.clone() });
            self.waiting.pop_front();
        }
    }

    fn gossip(
        &mut self,
        cx: &mut Cx<'_>,
        notes: &mut Vec<Note>,
        from: PeerId,
        id: GossipId,
        data: &[u8],
        conduct: &conduct::State,
    ) {
        let signed = match cx.open_receipt(data) {
            Ok(signed) => signed,
            Err(ReceiptError::Envelope(error)) => return cx.verdict_on_error(id, from, &error),
            Err(error @ ReceiptError::Contradiction(_)) => {
                cx.charge(from, (&error).into(), format!("forwarded a wrong receipt: {error}"));
                return cx.verdict(id, from, Verdict::Reject);
            }
        };
        let verdict = if self.by_cid.contains_key(&signed.cid) {
            Verdict::Accept
        } else if conduct.is_quarantined(&signed.signer, cx.now.mono) {
            cx.shared.counters.quarantined_objects += 1;
            Verdict::Ignore
        } else if !self.within_rates(cx, from, &signed) {
            cx.shared.counters.excess_objects += 1;
            Verdict::Ignore
        } else if self.add(cx, notes, signed, AfterStore::Nothing) {
            Verdict::Accept
        } else {
            Verdict::Ignore
        };
        cx.verdict(id, from, verdict);
    }

    /// Whether signer and neighbour keep to their rates. Old ones that somebody plays again cost the
    /// signer nothing.
    fn within_rates(&self, cx: &mut Cx<'_>, from: PeerId, signed: &Signed<Rating>) -> bool {
        let first_hand = signed.signer == from;
        let evidence = Evidence::of(signed.signer, from, signed.body.at);
        let counts = first_hand || self.is_news(signed);
        (!counts || cx.within_rate(signed.signer, Kind::Receipt, evidence))
            && (first_hand || cx.within_rate(from, Kind::StrangersReceipt, Evidence::FirstHand(None)))
    }

    fn response(
        &mut self,
        cx: &mut Cx<'_>,
        notes: &mut Vec<Note>,
        peer: PeerId,
        page: u32,
        result: Result<Vec<u8>, RequestError>,
        conduct: &conduct::State,
    ) {
        let Ok(data) = result else { return };
        let answer: ObjectsPage = match strict::decode(&data, REQUEST_BYTES_MAX) {
            Ok(answer) => answer,
            Err(error) => {
                return cx.charge(peer, SecurityKind::Malformed, format!("malformed page of receipts: {error}"));
            }
        };
        if answer.objects.len() > PAGE_OBJECTS_MAX {
            return cx.charge(peer, SecurityKind::Unexpected, "a page of receipts with too many objects");
        }
        for bytes in &answer.objects {
            // Held ones are recognised by their id, before any signature is checked.
            if self.by_cid.contains_key(&crate::wire::signed::cid_of(bytes)) {
                continue;
            }
            match cx.open_receipt(bytes) {
                Ok(signed) if conduct.is_quarantined(&signed.signer, cx.now.mono) => {
                    cx.shared.counters.quarantined_objects += 1;
                }
                Ok(signed) => _ = self.add(cx, notes, signed, AfterStore::Nothing),
                Err(ReceiptError::Envelope(SignedError::Unknown(_) | SignedError::Limits)) => {}
                Err(error) => return cx.charge(peer, (&error).into(), format!("served a wrong receipt: {error}")),
            }
        }
        if let Some(next) = answer.next.filter(|_| page + 1 < PAGES_MAX) {
            pull(cx, peer, Some(next), page + 1);
        }
    }

    /// Take a verified receipt in and write it to the store. False when it is a second one for its
    /// task, too old, or from the future.
    fn add(&mut self, cx: &mut Cx<'_>, notes: &mut Vec<Note>, signed: Signed<Rating>, after: AfterStore) -> bool {
        let rating = &signed.body;
        let too_old = rating.at + RECEIPT_LIFETIME < cx.now.unix;
        if too_old || rating.at > cx.now.unix + CLOCK_SKEW_MAX {
            cx.shared.counters.expired += 1;
            cx.finish(after);
            return false;
        }
        let (provider, signer, task, cid) = (rating.provider, signed.signer, rating.task, signed.cid);
        let put = write(&signed);
        let Some(evicted) = self.insert(cx, signed) else {
            cx.shared.counters.replays += 1;
            cx.finish(after);
            return false;
        };
        let kept = self.holds(&cid);
        let mut writes = Vec::new();
        for gone in evicted.iter().filter(|gone| gone.cid != cid) {
            writes.push(removal(&gone.cid));
            notes.push(Note::Changed(gone.body.provider));
        }
        if kept {
            writes.push(put);
        }
        if writes.is_empty() {
            cx.finish(after);
        } else {
            cx.store(writes, after);
        }
        if !kept {
            return false;
        }
        cx.event(Event::Receipt { provider, signer, task });
        notes.push(Note::Changed(provider));
        true
    }
}

fn pull(cx: &mut Cx<'_>, peer: PeerId, after: Option<Cid>, page: u32) {
    let request = strict::encode(&ObjectsRequest::Receipts { after });
    cx.request(peer, Protocol::Objects, request, Purpose::Receipts { peer, page });
}

/// Answer an `objects/1` request from receipts and whatever `other` finds.
pub fn answer(
    state: &State,
    cx: &mut Cx<'_>,
    peer: PeerId,
    token: RequestToken,
    data: &[u8],
    other: impl Fn(&Cid) -> Option<ByteBuf>,
) {
    let request: ObjectsRequest = match strict::decode(data, REQUEST_BYTES_MAX) {
        Ok(request) => request,
        Err(error) => {
            return cx.refuse(peer, token, SecurityKind::Malformed, format!("malformed objects request: {error}"));
        }
    };
    let page = match request {
        ObjectsRequest::Get(cids) if cids.len() > OBJECT_IDS_MAX => {
            return cx.refuse(peer, token, SecurityKind::Unexpected, "asked for too many objects at once");
        }
        ObjectsRequest::Get(cids) => {
            let mut room = PAGE_BYTES_MAX;
            let found = cids.iter().filter_map(|cid| other(cid).or_else(|| state.serve(cid)));
            let objects = found
                .take_while(|bytes| {
                    let fits = bytes.len() <= room;
                    room = room.saturating_sub(bytes.len());
                    fits
                })
                .collect();
            ObjectsPage { objects, next: None }
        }
        ObjectsRequest::Receipts { after } => state.page(after),
    };
    cx.respond(token, strict::encode(&page));
}
