//! Who is there: this peer's own signed presence, and everybody else's latest one.
//!
//! A presence spreads by gossip. Gossip replays no history, so two peers that connect also push
//! their own and pull the other's current ones (`presence/1`, in pages). Freshness runs on the
//! receiver's monotonic clock from the first receipt of a higher sequence; the wall clock only
//! guards against old recordings.

use std::collections::{BTreeMap, BTreeSet};

use cid::Cid;
use libp2p_identity::PeerId;
use multiaddr::Multiaddr;
use serde_bytes::ByteBuf;

use crate::{
    cx::{Cx, Purpose},
    io::{Event, GossipId, Output, Protocol, RequestError, RequestToken, Topic, Verdict},
    limits::{
        CLOCK_SKEW_MAX, OFFLINE_KEPT, PAGE_BYTES_MAX, PAGE_OBJECTS_MAX, PAGES_MAX, PEERS_MAX, PRESENCE_TTL_HIDDEN,
        PRESENCE_TTL_INTERVALS, PRESENCE_TTL_MAX, PRESENCES_PER_SECOND_MAX, REQUEST_BYTES_MAX,
    },
    time::{Millis, Time, UnixMillis},
    wire::{
        Availability, Card, Kind, Presence, Signed, SignedError,
        requests::{PresencePage, PresenceRequest},
        signed::{cid_of, peek_kind},
        strict,
    },
};

/// Own and others' presences.
#[derive(Debug, Default)]
pub struct State {
    own: Own,
    known: BTreeMap<PeerId, Known>,
    /// Before then no presence expires and none is forgotten. Kept, since every input asks and there may be thousands.
    quiet_until: Option<Time>,
}

/// This peer's own presence.
#[derive(Debug, Default)]
struct Own {
    signed: Option<Signed<Presence>>,
    /// What the last one said, apart from times and sequence.
    said: Option<Facts>,
    seq: u64,
    hidden: bool,
    leaving: bool,
    /// When the next one is due.
    due: Option<Time>,
    /// When the last one was made; changes are at least [`CHANGE_GAP`] apart.
    made: Option<Time>,
}

/// What a presence says about its peer at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    pub availability: Availability,
    pub free_slots: u32,
    pub card: Option<Cid>,
    pub addrs: Vec<Multiaddr>,
}

/// Somebody else's latest presence.
#[derive(Debug)]
pub struct Known {
    /// The presence.
    pub signed: Signed<Presence>,
    /// When it was last renewed, by the wall clock.
    pub heard: UnixMillis,
    renewed: Time,
    fresh_until: Time,
    /// Set while it counts as online.
    online: bool,
    /// Since when it counts as offline.
    offline_since: Time,
}

impl Known {
    /// Whether the peer is there.
    pub const fn is_fresh(&self) -> bool {
        self.online
    }

    /// When it expires or, once it has, is forgotten.
    fn until(&self) -> Time {
        if self.online { self.fresh_until } else { self.offline_since + OFFLINE_KEPT }
    }
}

/// Several changes within this span travel as one presence.
const CHANGE_GAP: Millis = Millis(200);

/// What presence takes in.
pub enum In<'a> {
    /// The first link to a peer came up.
    Linked { peer: PeerId, card: Option<&'a Signed<Card>> },
    /// A gossip frame on the presence topic.
    Gossip { from: PeerId, id: GossipId, data: &'a [u8] },
    /// A `presence/1` request.
    Request { peer: PeerId, token: RequestToken, data: &'a [u8], cards: &'a BTreeMap<Cid, Signed<Card>> },
    /// The answer to one of ours.
    Response { peer: PeerId, page: u32, result: Result<Vec<u8>, RequestError> },
    /// A deadline may have passed; here is what this peer would say of itself.
    Tick(Facts),
    /// The page was hidden or shown.
    Hidden(bool),
    /// Say goodbye.
    Leave,
}

/// What presence tells the node.
#[derive(Clone, Debug, PartialEq)]
pub enum Note {
    /// A peer's presence names this card; `from` had the presence.
    Card { owner: PeerId, cid: Cid, from: PeerId },
    /// Somebody is there who was not.
    Newcomer,
    /// A peer announces other addresses than before.
    Addrs(PeerId),
    /// Bytes that should be a card.
    CardBytes { from: PeerId, bytes: Vec<u8> },
    /// The relay or peer does not speak our protocols.
    OtherNetwork(PeerId),
}

impl State {
    pub fn handle(&mut self, cx: &mut Cx<'_>, input: In<'_>) -> Vec<Note> {
        let mut notes = Vec::new();
        match input {
            In::Linked { peer, card } => self.pull(cx, peer, None, 0, card),
            In::Gossip { from, id, data } => self.gossip(cx, &mut notes, from, id, data),
            In::Request { peer, token, data, cards } => self.request(cx, &mut notes, peer, token, data, cards),
            In::Response { peer, page, result } => self.response(cx, &mut notes, peer, page, result),
            In::Tick(facts) => self.tick(cx, facts),
            In::Hidden(hidden) => {
                self.own.hidden = hidden;
                self.own.due = Some(cx.now.mono);
            }
            In::Leave => self.leave(cx),
        }
        notes
    }

    /// When something is due here.
    pub fn next_deadline(&self) -> Option<Time> {
        self.quiet_until.into_iter().chain(self.own.due).min()
    }

    /// Everybody else's latest presence.
    pub fn known(&self) -> &BTreeMap<PeerId, Known> {
        &self.known
    }

    /// The addresses that `peer` announces.
    pub fn addrs(&self, peer: &PeerId) -> &[Multiaddr] {
        self.known.get(peer).map_or(&[], |known| &known.signed.body.addrs)
    }

    /// Peers that are there, without this one.
    pub fn online(&self) -> impl Iterator<Item = (&PeerId, &Known)> {
        self.known.iter().filter(|(_, known)| known.online)
    }

    // --- this peer's own ---------------------------------------------------------------------

    fn tick(&mut self, cx: &mut Cx<'_>, facts: Facts) {
        self.expire(cx);
        if self.own.leaving {
            return;
        }
        let now = cx.now.mono;
        let changed = self.own.said.as_ref() != Some(&facts);
        let settled = self.own.made.is_none_or(|made| now >= made + CHANGE_GAP);
        if changed && !settled {
            self.own.due = Some(self.own.made.unwrap_or(now) + CHANGE_GAP);
        } else if changed || self.own.due.is_none_or(|due| now >= due) {
            self.publish(cx, facts, false);
        }
    }

    fn leave(&mut self, cx: &mut Cx<'_>) {
        self.own.leaving = true;
        self.own.due = None;
        if let Some(mut facts) = self.own.said.clone() {
            facts.addrs.clear();
            self.publish(cx, facts, true);
            self.own.due = None;
        }
    }

    fn publish(&mut self, cx: &mut Cx<'_>, facts: Facts, goodbye: bool) {
        let interval = self.interval(cx);
        let ttl = match self.own.hidden {
            true => PRESENCE_TTL_HIDDEN.max(interval.times(PRESENCE_TTL_INTERVALS)),
            false => interval.times(PRESENCE_TTL_INTERVALS),
        };
        self.own.seq = (self.own.seq + 1).max(cx.now.unix.0);
        let signed = cx.seal(Presence {
            addrs: facts.addrs.clone(),
            availability: facts.availability,
            card: facts.card,
            free_slots: facts.free_slots,
            goodbye,
            issued: cx.now.unix,
            seq: self.own.seq,
            ttl,
        });
        cx.out.push(Output::Publish { topic: Topic::Presence, data: signed.bytes.clone() });
        cx.touch(cx.shared.me);
        self.own.signed = Some(signed);
        self.own.said = Some(facts);
        self.own.made = Some(cx.now.mono);
        self.own.due = Some(cx.now.mono + interval);
    }

    /// Stretches with the number of peers, so that nobody handles more than
    /// [`PRESENCES_PER_SECOND_MAX`].
    fn interval(&self, cx: &Cx<'_>) -> Millis {
        let online = self.online().count() as u64 + 1;
        let stretched = Millis(online * 1_000 / PRESENCES_PER_SECOND_MAX);
        let longest = Millis(PRESENCE_TTL_MAX.0 / PRESENCE_TTL_INTERVALS);
        cx.shared.config.presence_interval().max(stretched).min(longest)
    }

    // --- others' -----------------------------------------------------------------------------

    fn gossip(&mut self, cx: &mut Cx<'_>, notes: &mut Vec<Note>, from: PeerId, id: GossipId, data: &[u8]) {
        let signed = match cx.open::<Presence>(data) {
            Ok(signed) => signed,
            Err(error) => return cx.verdict_on_error(id, from, &error),
        };
        let verdict = match self.take(cx, notes, from, signed) {
            // One that came by request first must still travel on by gossip.
            Taken::New | Taken::Held => Verdict::Accept,
            Taken::Old | Taken::OutOfTime | Taken::Own => Verdict::Ignore,
        };
        cx.verdict(id, from, verdict);
    }

    fn take(&mut self, cx: &mut Cx<'_>, notes: &mut Vec<Note>, from: PeerId, signed: Signed<Presence>) -> Taken {
        let peer = signed.signer;
        if peer == cx.me() {
            return Taken::Own;
        }
        let presence = &signed.body;
        let skewed = presence.issued > cx.now.unix + CLOCK_SKEW_MAX;
        let stale = presence.issued + presence.ttl + CLOCK_SKEW_MAX < cx.now.unix;
        if skewed || stale || presence.ttl > PRESENCE_TTL_MAX {
            cx.shared.counters.expired += 1;
            return Taken::OutOfTime;
        }
        if let Some(known) = self.known.get(&peer) {
            if known.signed.bytes == signed.bytes {
                return Taken::Held;
            }
            if known.signed.body.seq >= presence.seq {
                cx.shared.counters.replays += 1;
                return Taken::Old;
            }
        } else if self.known.len() >= PEERS_MAX {
            self.evict(cx);
        }

        let was_online = self.known.get(&peer).is_some_and(|known| known.online);
        let is_online = !presence.goodbye;
        if let Some(cid) = presence.card.filter(|_| is_online) {
            notes.push(Note::Card { owner: peer, cid, from });
        }
        if is_online && !was_online {
            notes.push(Note::Newcomer);
        }
        if self.known.get(&peer).is_none_or(|known| known.signed.body.addrs != presence.addrs) {
            notes.push(Note::Addrs(peer));
        }
        match (was_online, is_online) {
            (false, true) => cx.event(Event::PeerDiscovered { peer }),
            (true, false) => cx.event(Event::PeerLost { peer, goodbye: true }),
            _ => {}
        }
        let says_the_same = self.known.get(&peer).is_some_and(|known| {
            let before = &known.signed.body;
            (before.availability, before.free_slots, before.card)
                == (presence.availability, presence.free_slots, presence.card)
        });
        if !says_the_same {
            cx.show();
        }
        let now = cx.now.mono;
        let fresh_until = now + presence.ttl;
        let known =
            Known { signed, heard: cx.now.unix, renewed: now, fresh_until, online: is_online, offline_since: now };
        self.quiet_until = self.quiet_until.into_iter().chain([known.until()]).min();
        self.known.insert(peer, known);
        cx.touch(peer);
        Taken::New
    }

    fn expire(&mut self, cx: &mut Cx<'_>) {
        let now = cx.now.mono;
        if self.quiet_until.is_none_or(|until| now < until) {
            return;
        }
        let mut lost = Vec::new();
        self.known.retain(|peer, known| {
            if known.online && now >= known.fresh_until {
                known.online = false;
                known.offline_since = now;
                lost.push(*peer);
            } else if !known.online && now >= known.offline_since + OFFLINE_KEPT {
                cx.shared.touched.insert(*peer);
                cx.shared.loud = true;
                return false;
            }
            true
        });
        self.quiet_until = self.known.values().map(Known::until).min();
        for peer in lost {
            cx.event(Event::PeerLost { peer, goodbye: false });
            cx.touch(peer);
        }
    }

    /// Make room: offline ones first, then whoever was heard of least recently.
    fn evict(&mut self, cx: &mut Cx<'_>) {
        let victim = self.known.iter().min_by_key(|(_, known)| (known.online, known.renewed)).map(|(peer, _)| *peer);
        if let Some(peer) = victim
            && let Some(known) = self.known.remove(&peer)
        {
            if known.online {
                cx.event(Event::PeerLost { peer, goodbye: false });
            }
            cx.touch(peer);
        }
    }

    // --- push and pull -----------------------------------------------------------------------

    fn pull(&mut self, cx: &mut Cx<'_>, peer: PeerId, after: Option<PeerId>, page: u32, card: Option<&Signed<Card>>) {
        let mine = self.own.signed.as_ref().filter(|_| page == 0);
        let request = PresenceRequest {
            after,
            mine: mine.map(|signed| ByteBuf::from(&signed.bytes[..])),
            card: card.map(|signed| ByteBuf::from(&signed.bytes[..])),
        };
        cx.request(peer, Protocol::Presence, strict::encode(&request), Purpose::Presences { peer, page });
    }

    fn request(
        &mut self,
        cx: &mut Cx<'_>,
        notes: &mut Vec<Note>,
        peer: PeerId,
        token: RequestToken,
        data: &[u8],
        cards: &BTreeMap<Cid, Signed<Card>>,
    ) {
        let request: PresenceRequest = match strict::decode(data, REQUEST_BYTES_MAX) {
            Ok(request) => request,
            Err(error) => return cx.refuse(peer, token, format!("malformed presence request: {error}")),
        };
        if let Some(bytes) = request.card {
            notes.push(Note::CardBytes { from: peer, bytes: bytes.into_vec() });
        }
        if let Some(bytes) = request.mine {
            match cx.open::<Presence>(&bytes) {
                Ok(signed) if signed.signer == peer => {
                    let frame = signed.bytes.clone();
                    if self.take(cx, notes, peer, signed) == Taken::New {
                        // Whoever is attached here hears of the newcomer before its first gossip.
                        cx.out.push(Output::Publish { topic: Topic::Presence, data: frame });
                    }
                }
                Ok(_) => cx.charge(peer, "pushed somebody else's presence as its own"),
                Err(error @ (SignedError::Forged | SignedError::Malformed(_))) => {
                    return cx.refuse(peer, token, format!("pushed a wrong presence: {error}"));
                }
                Err(_) => {}
            }
        }
        let page = self.page(request.after, cards);
        cx.respond(token, strict::encode(&page));
    }

    /// Everybody's presence (this peer's first) and the cards they name, behind `after`.
    fn page(&self, after: Option<PeerId>, cards: &BTreeMap<Cid, Signed<Card>>) -> PresencePage {
        let mut page = PresencePage { objects: Vec::new(), next: None };
        let mut room = PAGE_BYTES_MAX;
        let own = self.own.signed.iter().filter(|_| after.is_none());
        let rest = self.known.iter().filter(|(peer, known)| known.online && after.is_none_or(|after| **peer > after));
        let mut last = None;
        for signed in own.chain(rest.map(|(_, known)| &known.signed)) {
            let card = signed.body.card.and_then(|cid| cards.get(&cid));
            let size = signed.bytes.len() + card.map_or(0, |card| card.bytes.len());
            if size > room || page.objects.len() + 2 > PAGE_OBJECTS_MAX {
                page.next = last;
                return page;
            }
            room -= size;
            page.objects.push(ByteBuf::from(&signed.bytes[..]));
            page.objects.extend(card.map(|card| ByteBuf::from(&card.bytes[..])));
            last = self.known.contains_key(&signed.signer).then_some(signed.signer).or(last);
        }
        page
    }

    fn response(
        &mut self,
        cx: &mut Cx<'_>,
        notes: &mut Vec<Note>,
        peer: PeerId,
        page: u32,
        result: Result<Vec<u8>, RequestError>,
    ) {
        let data = match result {
            Ok(data) => data,
            Err(RequestError::Unsupported) => return notes.push(Note::OtherNetwork(peer)),
            // The link broke: whoever links next pulls again.
            Err(_) => return,
        };
        let answer: PresencePage = match strict::decode(&data, REQUEST_BYTES_MAX) {
            Ok(answer) => answer,
            Err(error) => return cx.charge(peer, format!("malformed page of presences: {error}")),
        };
        if answer.objects.len() > PAGE_OBJECTS_MAX {
            return cx.charge(peer, "a page of presences with too many objects");
        }
        let mut wrong = None;
        // Every new link brings what all others brought before: held ones are recognised by their id.
        let held: BTreeSet<Cid> = self.known.values().map(|known| known.signed.cid).collect();
        for bytes in &answer.objects {
            if held.contains(&cid_of(bytes)) {
                continue;
            }
            match peek_kind(bytes) {
                Some(Kind::Card) => notes.push(Note::CardBytes { from: peer, bytes: bytes.to_vec() }),
                Some(Kind::Presence) => match cx.open::<Presence>(bytes) {
                    Ok(signed) => _ = self.take(cx, notes, peer, signed),
                    Err(SignedError::Unknown(_) | SignedError::Limits) => {}
                    Err(error) => wrong = Some(error),
                },
                _ => {}
            }
        }
        if let Some(error) = wrong {
            return cx.charge(peer, format!("served a wrong presence: {error}"));
        }
        if let Some(next) = answer.next.filter(|_| page + 1 < PAGES_MAX) {
            self.pull(cx, peer, Some(next), page + 1, None);
        }
    }
}

/// What became of a presence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    /// Newer than what was known.
    New,
    /// Exactly what is held.
    Held,
    /// Older than what is held.
    Old,
    /// Expired, or from the future.
    OutOfTime,
    /// This peer's own.
    Own,
}
