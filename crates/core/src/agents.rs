//! Agent cards: this peer's own, and those that others' presences name.
//!
//! A presence carries only the card's content id. A card that is not held yet is fetched from
//! whoever had the presence, several in one request, and then from its owner.

use std::collections::BTreeMap;

use cid::Cid;
use libp2p_identity::PeerId;
use serde_bytes::ByteBuf;

use crate::{
    conduct,
    config::Profile,
    cx::{AfterStore, Cx, Purpose},
    io::{CommandId, Output, Protocol, Reply, RequestError, StoreTable, Write},
    limits::{CARDS_MAX, OBJECT_IDS_MAX, REQUEST_BYTES_MAX},
    rates::{Evidence, Kind},
    snapshot::SecurityKind,
    time::{Millis, Time},
    wire::{
        Card, Signed, SignedError, Skill, SkillCard,
        requests::{ObjectsPage, ObjectsRequest},
        signed::cid_of,
        strict,
    },
};

/// Own profile and card, others' cards.
#[derive(Debug)]
pub struct State {
    profile: Profile,
    own: Option<Signed<Card>>,
    cards: BTreeMap<Cid, Signed<Card>>,
    wanted: BTreeMap<Cid, Wanted>,
}

/// A card that a presence names and that is not held.
#[derive(Debug)]
struct Wanted {
    owner: PeerId,
    /// Whom to ask first; the owner after that.
    from: PeerId,
    tries: u32,
    due: Time,
}

/// Wait a moment, so that a burst of presences becomes one request.
const GATHER: Millis = Millis(30);
/// Wait between two tries for one card.
const RETRY: Millis = Millis(2_000);
/// After that many tries the card is given up until another presence names it.
const TRIES_MAX: u32 = 5;
/// Key of the profile in the store.
pub const PROFILE_KEY: &[u8] = b"profile";

/// What agents takes in.
pub enum In<'a> {
    /// The profile from the store.
    Loaded(Vec<u8>),
    /// Sign the card; from now on this peer is an agent.
    Start,
    /// The owner changed the profile (checked already).
    SetProfile { command: CommandId, profile: Profile },
    /// A presence names a card.
    Named { owner: PeerId, cid: Cid, from: PeerId },
    /// Bytes that should be a card.
    Bytes { from: PeerId, bytes: Vec<u8>, conduct: &'a conduct::State },
    /// The answer to a request for cards.
    Response { peer: PeerId, cids: Vec<Cid>, result: Result<Vec<u8>, RequestError>, conduct: &'a conduct::State },
    /// A deadline may have passed.
    Tick,
}

impl State {
    pub fn new(profile: Profile) -> Self {
        Self { profile, own: None, cards: BTreeMap::new(), wanted: BTreeMap::new() }
    }

    pub fn handle(&mut self, cx: &mut Cx<'_>, input: In<'_>) {
        match input {
            In::Loaded(bytes) => self.loaded(cx, &bytes),
            In::Start => self.sign(cx, &[]),
            In::SetProfile { command, profile } => {
                let before: Vec<Skill> = self.profile.skills.iter().cloned().collect();
                self.profile = profile;
                let value = Some(strict::encode(&self.profile));
                cx.store(
                    vec![Write { table: StoreTable::Meta, key: PROFILE_KEY.into(), value }],
                    AfterStore::Reply { command, reply: Reply::Done },
                );
                self.sign(cx, &before);
            }
            In::Named { owner, cid, from } => self.named(cx, owner, cid, from),
            In::Bytes { from, bytes, conduct } => self.bytes(cx, from, &bytes, conduct),
            In::Response { peer, cids, result, conduct } => self.response(cx, peer, cids, result, conduct),
            In::Tick => self.ask_for_wanted(cx),
        }
    }

    pub fn next_deadline(&self) -> Option<Time> {
        self.wanted.values().map(|wanted| wanted.due).min()
    }

    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// This peer's own card.
    pub fn own(&self) -> Option<&Signed<Card>> {
        self.own.as_ref()
    }

    /// Every card held, this peer's own included.
    pub fn cards(&self) -> &BTreeMap<Cid, Signed<Card>> {
        &self.cards
    }

    fn loaded(&mut self, cx: &mut Cx<'_>, bytes: &[u8]) {
        match strict::decode::<Profile>(bytes, REQUEST_BYTES_MAX) {
            Ok(profile) if profile.check().is_ok() => self.profile = profile,
            _ => cx
                .warn("the stored name and skills could not be read; the defaults are used, set them anew in Settings"),
        }
    }

    fn sign(&mut self, cx: &mut Cx<'_>, before: &[Skill]) {
        if !cx.shared.config.agent {
            return;
        }
        let text = || vec!["text/plain".to_owned()];
        let skills = self.profile.skills.iter();
        let card = cx.seal(Card {
            issued: cx.now.unix,
            name: self.profile.name.clone(),
            skills: skills.map(|name| SkillCard { input: text(), name: name.clone(), output: text() }).collect(),
        });
        if let Some(old) = self.own.replace(card.clone()) {
            self.cards.remove(&old.cid);
        }
        self.cards.insert(card.cid, card);
        for skill in &self.profile.skills {
            if !before.contains(skill) {
                cx.out.push(Output::Provide { skill: skill.clone() });
            }
        }
        for skill in before.iter().filter(|skill| !self.profile.skills.contains(skill)) {
            cx.out.push(Output::StopProviding { skill: skill.clone() });
        }
        cx.touch(cx.shared.me);
        cx.show();
    }

    fn named(&mut self, cx: &mut Cx<'_>, owner: PeerId, cid: Cid, from: PeerId) {
        if self.cards.contains_key(&cid) || self.wanted.contains_key(&cid) || self.wanted.len() >= CARDS_MAX {
            return;
        }
        if !cx.within_rate(owner, Kind::Card, Evidence::FirstHand(None)) {
            cx.shared.counters.excess_objects += 1;
            return;
        }
        self.wanted.insert(cid, Wanted { owner, from, tries: 0, due: cx.now.mono + GATHER });
    }

    fn bytes(&mut self, cx: &mut Cx<'_>, from: PeerId, bytes: &[u8], conduct: &conduct::State) {
        // Every new link brings cards of everybody: held ones are recognised by their id.
        if self.cards.contains_key(&cid_of(bytes)) {
            return;
        }
        match cx.open::<Card>(bytes) {
            Ok(card) if conduct.is_quarantined(&card.signer, cx.now.mono) => {
                cx.shared.counters.quarantined_objects += 1;
            }
            Ok(card) => self.insert(cx, card),
            Err(SignedError::Unknown(_) | SignedError::Limits) => {}
            Err(error) => cx.charge(from, (&error).into(), format!("served a wrong card: {error}")),
        }
    }

    fn insert(&mut self, cx: &mut Cx<'_>, card: Signed<Card>) {
        if card.signer == cx.me() {
            return;
        }
        // One card per owner is enough: the one its latest presence names.
        match self.wanted.remove(&card.cid) {
            Some(wanted) if wanted.owner != card.signer => {
                // The card itself is right; only whoever named it is not.
                cx.charge(wanted.owner, SecurityKind::Impersonation, "named somebody else's card as its own");
            }
            // Nobody known names it: it takes no place of one that somebody does.
            None if self.cards.len() >= CARDS_MAX => return,
            _ => {}
        }
        cx.touch(card.signer);
        cx.show();
        if self.cards.len() >= CARDS_MAX {
            let own = self.own.as_ref().map(|own| own.cid);
            let victim =
                self.cards.iter().filter(|(cid, _)| Some(**cid) != own).min_by_key(|(_, held)| held.body.issued);
            if let Some(cid) = victim.map(|(cid, _)| *cid) {
                self.cards.remove(&cid);
            }
        }
        self.cards.insert(card.cid, card);
    }

    /// Keep only cards that somebody's current presence names.
    pub fn retain(&mut self, named: impl Fn(&Cid) -> bool) {
        let own = self.own.as_ref().map(|own| own.cid);
        self.cards.retain(|cid, _| Some(*cid) == own || named(cid));
    }

    fn ask_for_wanted(&mut self, cx: &mut Cx<'_>) {
        let now = cx.now.mono;
        self.wanted.retain(|_, wanted| wanted.tries < TRIES_MAX || now < wanted.due);
        let mut batches: BTreeMap<PeerId, Vec<Cid>> = BTreeMap::new();
        if self.wanted.values().all(|wanted| now < wanted.due) {
            return;
        }
        for (cid, wanted) in &mut self.wanted {
            // Those that are due in a moment come along, so that a stream of presences is a request each 30 ms.
            if now + GATHER < wanted.due {
                continue;
            }
            let source = if wanted.tries % 2 == 0 { wanted.from } else { wanted.owner };
            let batch = batches.entry(source).or_default();
            if batch.len() < OBJECT_IDS_MAX {
                batch.push(*cid);
                wanted.tries += 1;
            }
            wanted.due = now + RETRY;
        }
        for (peer, cids) in batches {
            let request = strict::encode(&ObjectsRequest::Get(cids.clone()));
            cx.request(peer, Protocol::Objects, request, Purpose::Cards { peer, cids });
        }
    }

    fn response(
        &mut self,
        cx: &mut Cx<'_>,
        peer: PeerId,
        cids: Vec<Cid>,
        result: Result<Vec<u8>, RequestError>,
        conduct: &conduct::State,
    ) {
        if let Ok(data) = result {
            match strict::decode::<ObjectsPage>(&data, REQUEST_BYTES_MAX) {
                Ok(page) if page.objects.len() <= cids.len() => {
                    for bytes in page.objects {
                        self.bytes(cx, peer, &bytes, conduct);
                    }
                }
                _ => cx.charge(peer, SecurityKind::Malformed, "a malformed page of cards"),
            }
        }
        // What did not come is asked for elsewhere.
        for cid in cids {
            if let Some(wanted) = self.wanted.get_mut(&cid) {
                wanted.due = wanted.due.min(cx.now.mono + GATHER.times(u64::from(wanted.tries)));
            }
        }
    }
}

/// Cards of these ids, for an `objects/1` answer.
pub fn serve(cards: &BTreeMap<Cid, Signed<Card>>, cid: &Cid) -> Option<ByteBuf> {
    cards.get(cid).map(|card| ByteBuf::from(&card.bytes[..]))
}
