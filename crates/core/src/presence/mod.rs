//! Who is there: this peer's own signed presence, and everybody else's latest one.
//!
//! A presence spreads by gossip. Gossip replays no history, so two peers that connect also push
//! their own and pull the other's current ones (`presence/1`, in pages). Freshness runs on the
//! receiver's monotonic clock from the first receipt of a higher sequence; the wall clock only
//! guards against old recordings.

mod own;

use std::collections::{BTreeMap, BTreeSet};

pub use own::Facts;

use cid::Cid;
use libp2p_identity::PeerId;
use multiaddr::Multiaddr;
use serde_bytes::ByteBuf;

use self::own::Own;
use crate::{
    conduct,
    cx::{Cx, Purpose},
    io::{Event, GossipId, Output, Protocol, RequestError, RequestToken, Topic, Verdict},
    limits::{
        CLOCK_SKEW_MAX, OFFLINE_KEPT, PAGE_BYTES_MAX, PAGE_OBJECTS_MAX, PAGES_MAX, PEERS_MAX, PRESENCE_TTL_MAX,
        REQUEST_BYTES_MAX,
    },
    planted::Bug,
    rates::{Evidence, Kind},
    snapshot::SecurityKind,
    time::{Millis, Time, UnixMillis},
    wire::{
        self, Card, Presence, Signed, SignedError,
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

/// Somebody else's latest presence.
#[derive(Debug)]
pub struct Known {
    /// The presence.
    pub signed: Signed<Presence>,
    /// When it was last renewed, by the wall clock.
    pub heard: UnixMillis,
    renewed: Time,
    fresh_until: Time,
    /// When it was first heard of.
    first: Time,
    /// Whether it told this peer itself, on a link of its own.
    first_hand: bool,
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

/// What presence takes in.
pub enum In<'a> {
    /// The first link to a peer came up.
    Linked { peer: PeerId, card: Option<&'a Signed<Card>> },
    /// A gossip frame on the presence topic.
    Gossip { from: PeerId, id: GossipId, data: &'a [u8], conduct: &'a conduct::State },
    /// A `presence/1` request.
    Request { peer: PeerId, token: RequestToken, data: &'a [u8], cards: &'a BTreeMap<Cid, Signed<Card>> },
    /// The answer to one of ours.
    Response { peer: PeerId, page: u32, result: Result<Vec<u8>, RequestError>, conduct: &'a conduct::State },
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
            In::Gossip { from, id, data, conduct } => self.gossip(cx, &mut notes, from, id, data, conduct),
            In::Request { peer, token, data, cards } => self.request(cx, &mut notes, peer, token, data, cards),
            In::Response { peer, page, result, conduct } => {
                self.response(cx, &mut notes, peer, page, result, conduct);
            }
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

    // --- others' -----------------------------------------------------------------------------

    fn gossip(
        &mut self,
        cx: &mut Cx<'_>,
        notes: &mut Vec<Note>,
        from: PeerId,
        id: GossipId,
        data: &[u8],
        conduct: &conduct::State,
    ) {
        let signed = match cx.open::<Presence>(data) {
            Ok(signed) => signed,
            Err(error) => return cx.verdict_on_error(id, from, &error),
        };
        if conduct.is_quarantined(&signed.signer, cx.now.mono) {
            cx.shared.counters.quarantined_objects += 1;
            return cx.verdict(id, from, Verdict::Ignore);
        }
        let verdict = match self.take(cx, notes, from, signed) {
            Taken::Old if cx.planted(Bug::OldRejected) => Verdict::Reject,
            Taken::New if cx.planted(Bug::NothingForwarded) => Verdict::Ignore,
            // One that came by request first must still travel on by gossip.
            Taken::New | Taken::Held => Verdict::Accept,
            Taken::Old | Taken::OutOfTime | Taken::Own | Taken::TooOften => Verdict::Ignore,
        };
        cx.verdict(id, from, verdict);
    }

    /// Take in what came unasked, by gossip or pushed: its signer has to keep to its rate.
    fn take(&mut self, cx: &mut Cx<'_>, notes: &mut Vec<Note>, from: PeerId, signed: Signed<Presence>) -> Taken {
        let peer = signed.signer;
        let taken = self.judge(cx, &signed);
        let first_hand = peer == from;
        // What others play again costs its signer nothing, or they could make it fall silent here.
        let counts = taken == Taken::New || (first_hand && matches!(taken, Taken::Old | Taken::OutOfTime));
        let evidence = Evidence::of(peer, from, signed.body.issued);
        let evidence = if cx.planted(Bug::ForwarderBlamed) { Evidence::FirstHand(None) } else { evidence };
        let blamed = if cx.planted(Bug::ForwarderBlamed) { from } else { peer };
        let stranger = taken == Taken::New && !first_hand && !self.known.contains_key(&peer);
        if (counts && !cx.within_rate(blamed, Kind::Presence, evidence))
            || (stranger && !cx.within_rate(from, Kind::Newcomer, Evidence::FirstHand(None)))
        {
            cx.shared.counters.excess_objects += 1;
            return Taken::TooOften;
        }
        match taken {
            Taken::New => self.adopt(cx, notes, from, signed),
            Taken::Old => cx.shared.counters.replays += 1,
            Taken::OutOfTime => cx.shared.counters.expired += 1,
            Taken::Held | Taken::Own | Taken::TooOften => {}
        }
        taken
    }

    /// Take in one of a page that this peer asked for. The page bounds how many there are, and the signer
    /// has no part in it.
    fn pulled(
        &mut self,
        cx: &mut Cx<'_>,
        notes: &mut Vec<Note>,
        from: PeerId,
        signed: Signed<Presence>,
        conduct: &conduct::State,
    ) {
        if conduct.is_quarantined(&signed.signer, cx.now.mono) {
            cx.shared.counters.quarantined_objects += 1;
            return;
        }
        match self.judge(cx, &signed) {
            Taken::New => self.adopt(cx, notes, from, signed),
            Taken::Old => cx.shared.counters.replays += 1,
            Taken::OutOfTime => cx.shared.counters.expired += 1,
            Taken::Held | Taken::Own | Taken::TooOften => {}
        }
    }

    fn judge(&self, cx: &Cx<'_>, signed: &Signed<Presence>) -> Taken {
        if signed.signer == cx.me() {
            return Taken::Own;
        }
        let presence = &signed.body;
        let granted = if cx.planted(Bug::NoSkewGranted) { Millis(0) } else { CLOCK_SKEW_MAX };
        let skewed = presence.issued > cx.now.unix + granted && !cx.planted(Bug::FuturePresence);
        let stale = presence.issued + presence.ttl + granted < cx.now.unix && !cx.planted(Bug::ExpiredPresence);
        let endless = presence.ttl > PRESENCE_TTL_MAX && !cx.planted(Bug::EndlessPresence);
        if skewed || stale || endless {
            return Taken::OutOfTime;
        }
        match self.known.get(&signed.signer) {
            Some(known) if known.signed.bytes == signed.bytes => Taken::Held,
            Some(_) if cx.planted(Bug::OlderNumber) => Taken::New,
            Some(known) if known.signed.body.seq == presence.seq && cx.planted(Bug::SameNumber) => Taken::New,
            Some(known) if known.signed.body.seq >= presence.seq => Taken::Old,
            _ => Taken::New,
        }
    }

    /// Take in one that is news.
    fn adopt(&mut self, cx: &mut Cx<'_>, notes: &mut Vec<Note>, from: PeerId, signed: Signed<Presence>) {
        let peer = signed.signer;
        let presence = &signed.body;
        if !self.known.contains_key(&peer) && self.known.len() >= PEERS_MAX {
            self.evict(cx);
        }
        let was_online = self.known.get(&peer).is_some_and(|known| known.online);
        let is_online = !presence.goodbye || cx.planted(Bug::GoodbyeIgnored);
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
        let ttl = if cx.planted(Bug::LifeInSeconds) { presence.ttl.times(1_000) } else { presence.ttl };
        let fresh_until = now + ttl;
        let before = self.known.get(&peer);
        let known = Known {
            signed,
            heard: cx.now.unix,
            renewed: now,
            fresh_until,
            first: before.map_or(now, |before| before.first),
            first_hand: peer == from || before.is_some_and(|before| before.first_hand),
            online: is_online,
            offline_since: now,
        };
        self.quiet_until = self.quiet_until.into_iter().chain([known.until()]).min();
        self.known.insert(peer, known);
        cx.touch(peer);
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

    /// Make room: offline ones first, the longest silent before others; then the newest of those that were
    /// only heard of. Identities cost nothing, so a flood of new ones must push out itself, and nobody who
    /// has been here or has a link.
    fn evict(&mut self, cx: &mut Cx<'_>) {
        let rank = |known: &Known| match known.online {
            false => (false, false, known.renewed.0),
            true => (true, known.first_hand, u64::MAX - known.first.0),
        };
        let victim = self.known.iter().min_by_key(|(_, known)| rank(known)).map(|(peer, _)| *peer);
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
            Err(error) => {
                return cx.refuse(peer, token, SecurityKind::Malformed, format!("malformed presence request: {error}"));
            }
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
                Ok(_) => cx.charge(peer, SecurityKind::Impersonation, "pushed somebody else's presence as its own"),
                Err(error @ (SignedError::Forged | SignedError::Malformed(_))) => {
                    return cx.refuse(peer, token, (&error).into(), format!("pushed a wrong presence: {error}"));
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
        conduct: &conduct::State,
    ) {
        let data = match result {
            Ok(data) => data,
            Err(RequestError::Unsupported) => return notes.push(Note::OtherNetwork(peer)),
            // The link broke: whoever links next pulls again.
            Err(_) => return,
        };
        let answer: PresencePage = match strict::decode(&data, REQUEST_BYTES_MAX) {
            Ok(answer) => answer,
            Err(error) => {
                return cx.charge(peer, SecurityKind::Malformed, format!("malformed page of presences: {error}"));
            }
        };
        if answer.objects.len() > PAGE_OBJECTS_MAX {
            return cx.charge(peer, SecurityKind::Unexpected, "a page of presences with too many objects");
        }
        let mut wrong = None;
        // Every new link brings what all others brought before: held ones are recognised by their id.
        let held: BTreeSet<Cid> = self.known.values().map(|known| known.signed.cid).collect();
        for bytes in &answer.objects {
            if held.contains(&cid_of(bytes)) {
                continue;
            }
            match peek_kind(bytes) {
                Some(wire::Kind::Card) => notes.push(Note::CardBytes { from: peer, bytes: bytes.to_vec() }),
                Some(wire::Kind::Presence) => match cx.open::<Presence>(bytes) {
                    Ok(signed) => self.pulled(cx, notes, peer, signed, conduct),
                    Err(SignedError::Unknown(_) | SignedError::Limits) => {}
                    Err(error) => wrong = Some(error),
                },
                _ => {}
            }
        }
        if let Some(error) = wrong {
            return cx.charge(peer, (&error).into(), format!("served a wrong presence: {error}"));
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
    /// Its signer, or who forwarded it, is above its rate.
    TooOften,
}
