//! Hostile peers. Each has a real node inside, so that it is linked and looks like any other; around it a wrapper does
//! what a node never would. What it makes goes straight to its neighbours, past its own gossip's rules.

use std::sync::Arc;

use libp2p_identity::PeerId;
use mycomesh_core::{
    io::{Protocol, RequestId, Topic},
    limits::PRESENCE_TTL_MAX,
    time::{Millis, UnixMillis},
    units::Bps,
    wire::{
        Acceptance, Availability, Delivery, Object, Outcome, Presence, Rating, Signed, Skill, TaskId,
        requests::{PresenceRequest, TaskRequest},
        signed::{Strict, cid_of, cid_of_raw},
        strict,
    },
};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::{
    event::Event,
    frames::{Content, Lie},
    gossip::{MessageNo, PeerNo, Rpc},
    time::Micros,
    workload::Errand,
    world::World,
};

/// Whether, and how, a peer deceives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It plays by the rules.
    Honest,
    /// It signs in others' names, makes receipts up, and sends garbage.
    Forger,
    /// It sends again what others sent.
    Replayer,
    /// It says different things to different neighbours.
    Equivocator,
    /// It sends well-made frames all the time.
    Flooder,
    /// Its presences have expired, come from the future, or hold for ever.
    Liar,
    /// It takes tasks on and never delivers.
    Withholder,
    /// It and its friends praise each other, and blame the rest.
    Colluder,
    /// It and its friends crowd around one peer, and hand it nothing.
    Eclipser,
}

/// How many of each there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// What they do.
    pub role: Role,
    /// Of the peers that are not relays, in thousandths.
    pub permille: u64,
}

impl Role {
    /// How often it does what it does; none when its node does it.
    fn interval(self) -> Option<Micros> {
        match self {
            Self::Honest | Self::Withholder => None,
            Self::Forger | Self::Replayer => Some(Micros::secs(2)),
            Self::Equivocator | Self::Liar => Some(Micros::secs(5)),
            Self::Flooder => Some(FLOOD),
            Self::Colluder | Self::Eclipser => Some(Micros::secs(15)),
        }
    }
}

/// Time between two frames of a flooder: ten times what an honest peer says at its busiest.
const FLOOD: Micros = Micros::millis(20);
/// Hostile peers are given so long to find neighbours.
const BEFORE: Micros = Micros::secs(20);
/// Frames of the newest that a replayer chooses from.
const REPLAYED_OF: u64 = 20_000;
/// Receipts that a forger chooses from.
const RECEIPTS_OF: usize = 20;
/// Of what a forger sends so much are receipts, in thousandths.
const FABRICATED_PERMILLE: u64 = 400;

impl World {
    /// A hostile peer's process started.
    pub(crate) fn plan_mischief(&mut self, no: PeerNo) {
        if let Some(interval) = self.peer(no).role.interval() {
            let life = self.peer(no).life;
            let wait = BEFORE + Micros(self.rng.byzantine.below(interval.0));
            self.queue.push(self.now + wait, Event::Mischief { peer: no, life });
        }
    }

    pub(crate) fn make_mischief(&mut self, no: PeerNo, life: u32) {
        let role = self.peer(no).role;
        let Some(interval) = role.interval().filter(|_| self.lives(no, life)) else { return };
        self.queue.push(self.now + interval, Event::Mischief { peer: no, life });
        match role {
            Role::Forger => self.forge(no),
            Role::Replayer => self.replay(no),
            Role::Equivocator => self.equivocate(no),
            Role::Flooder => self.flood(no),
            Role::Liar => self.lie(no),
            Role::Colluder => self.collude(no),
            Role::Eclipser => self.crowd_around(no),
            Role::Honest | Role::Withholder => {}
        }
    }

    fn forge(&mut self, no: PeerNo) {
        if self.rng.byzantine.chance(FABRICATED_PERMILLE) {
            return self.fabricate(no);
        }
        let Some(original) = self.frame_of_another(no) else { return };
        let choice = self.rng.byzantine.below(4);
        let (bytes, lie) = match choice {
            0 => (forged(&original, |envelope| envelope.body.push(0)), Lie::Garbage),
            1 => (self.rng.byzantine.bytes::<200>().to_vec(), Lie::Garbage),
            2 => (forged(&original, |envelope| envelope.sig[7] ^= 1), Lie::Forged),
            _ => {
                let now = self.peer(no).now(self.now).unix;
                let forgery = |envelope: &mut Envelope| {
                    if let Ok(mut body) = serde_ipld_dagcbor::from_slice::<Presence>(&envelope.body) {
                        body.seq += 1_000_000;
                        body.issued = now;
                        body.goodbye = true;
                        envelope.body = strict::encode(&body);
                    }
                };
                (forged(&original, forgery), Lie::Forged)
            }
        };
        let bytes: Arc<[u8]> = bytes.into();
        let frame = self.frames.enter_lie(&bytes, None, lie);
        self.tally.lies += 1;
        // By gossip, or as if it were its own by request.
        if self.rng.byzantine.chance(700) {
            self.inject(no, Topic::Presence, frame, |_| true);
        } else {
            let mine = PresenceRequest { after: None, mine: Some(ByteBuf::from(&bytes[..])), card: None };
            let task = TaskRequest { object: ByteBuf::from(&bytes[..]), acceptance: None, output: None };
            match self.rng.byzantine.below(3) {
                0 => self.send_raw(no, Protocol::Presence, strict::encode(&mine)),
                1 => self.send_raw(no, Protocol::Tasks, strict::encode(&task)),
                _ => self.send_raw(no, Protocol::Objects, bytes.to_vec()),
            }
        }
    }

    /// Make a receipt up: out of a real one, or of nothing.
    fn fabricate(&mut self, no: PeerNo) {
        let Some(original) = self.some_receipt(no) else { return };
        let (me, key) = (self.peer(no).id, self.peer(no).key.clone());
        let network = self.peer(no).config.network.clone();
        let Ok(signed) = Signed::<Rating>::open(&original, &network, &Strict) else { return };
        let mut body = signed.body;
        // What a provider signs, made with this one's key.
        let sign = |body: &Rating, requester, as_whom: Option<PeerId>| {
            let Rating { at, skill, task, .. } = body.clone();
            let submission = cid_of(&original);
            let terms = Acceptance { at, deadline: at, requester, skill, submission, task };
            let acceptance = in_the_name_of(as_whom, &Signed::seal(&key, &network, terms).bytes);
            let (result, size, outcome) = (cid_of_raw(b"work"), 4, Outcome::Completed);
            let done = Delivery { acceptance: cid_of(&acceptance), at, outcome, requester, result, size, task };
            (acceptance, in_the_name_of(as_whom, &Signed::seal(&key, &network, done).bytes))
        };
        let choice = self.rng.byzantine.below(4);
        body.quality = Bps::ONE;
        let frame = match choice {
            // Another task between the same two: no signature fits.
            0 => {
                body.task = TaskId(self.rng.byzantine.bytes());
                let (acceptance, delivery) = sign(&body, signed.signer, Some(body.provider));
                (body.acceptance, body.delivery, body.outcome) = (acceptance, Some(delivery), Outcome::Completed);
                let bytes = Signed::seal(&key, &network, body).bytes;
                self.tally.lies += 1;
                self.frames.enter_lie(&in_the_name_of(Some(signed.signer), &bytes).into(), None, Lie::Forged)
            }
            // What another asked for, rated by this one.
            1 => self.enter_own(no, body, Lie::Fabrication),
            // Itself, by itself.
            2 => {
                let (acceptance, delivery) = sign(&body, me, None);
                (body.provider, body.acceptance, body.delivery) = (me, acceptance, Some(delivery));
                body.outcome = Outcome::Completed;
                self.enter_own(no, body, Lie::Fabrication)
            }
            // Somebody who never heard of it: this one accepted in its place, and nothing came.
            _ => {
                (body.acceptance, _) = sign(&body, me, None);
                (body.delivery, body.outcome) = (None, Outcome::Expired);
                (body.quality, body.timeliness) = (Bps::ZERO, Bps::ZERO);
                self.enter_own(no, body, Lie::Fabrication)
            }
        };
        self.inject(no, Topic::Receipts, frame, |_| true);
    }

    fn replay(&mut self, no: PeerNo) {
        let count = self.frames.len() as u64;
        let back = self.rng.byzantine.below(count.min(REPLAYED_OF));
        let frame = MessageNo((count - 1 - back) as u32);
        let topic = match self.frames.get(frame).map(|frame| &frame.content) {
            Some(Content::Presence { .. }) => Topic::Presence,
            Some(Content::Rating { .. }) => Topic::Receipts,
            _ => return,
        };
        self.tally.lies += 1;
        self.inject(no, topic, frame, |_| true);
    }

    fn equivocate(&mut self, no: PeerNo) {
        let Some(mut body) = self.own_presence(no) else { return };
        body.seq += 1;
        for (availability, half) in [(Availability::Idle, 0), (Availability::Busy, 1)] {
            body.availability = availability;
            let frame = self.enter_own(no, body.clone(), Lie::Equivocation);
            self.inject(no, Topic::Presence, frame, |peer| peer.0 % 2 == half);
        }
    }

    /// Its node rated somebody: it signs the opposite as well.
    pub(crate) fn rate_twice(&mut self, no: PeerNo, data: &[u8]) {
        let network = self.peer(no).config.network.clone();
        let Ok(signed) = Signed::<Rating>::open(data, &network, &Strict) else { return };
        let mut body = signed.body;
        body.quality = body.quality.rest();
        let frame = self.enter_own(no, body, Lie::Equivocation);
        self.inject(no, Topic::Receipts, frame, |peer| peer.0 % 2 == 0);
    }

    fn flood(&mut self, no: PeerNo) {
        let Some(mut body) = self.own_presence(no) else { return };
        let now = self.peer(no).now(self.now).unix;
        // Each newer than all before, and different from them.
        body.seq = now.0 + 1;
        body.issued = now;
        body.free_slots = 1 + self.rng.byzantine.below(60) as u32;
        let frame = self.enter_own(no, body, Lie::Spam);
        self.tally.spam += 1;
        self.inject(no, Topic::Presence, frame, |_| true);
    }

    fn lie(&mut self, no: PeerNo) {
        let Some(mut body) = self.own_presence(no) else { return };
        const HOUR: Millis = Millis::secs(3_600);
        body.seq += 1;
        let lie = match self.rng.byzantine.below(3) {
            0 => {
                body.issued = UnixMillis(body.issued.0 - HOUR.0);
                Lie::OutOfTime
            }
            1 => {
                body.issued = body.issued + HOUR;
                Lie::OutOfTime
            }
            _ => {
                body.ttl = Millis(PRESENCE_TTL_MAX.0 + HOUR.0);
                Lie::HugeTtl
            }
        };
        let frame = self.enter_own(no, body, lie);
        self.inject(no, Topic::Presence, frame, |_| true);
    }

    fn collude(&mut self, no: PeerNo) {
        let friends = self.peers.iter().filter(|peer| peer.role == Role::Colluder && peer.no != no && peer.alive);
        let friends: Vec<PeerNo> = friends.map(|peer| peer.no).collect();
        let Some(to) = self.rng.byzantine.pick(&friends) else { return };
        let life = self.peer(no).life;
        let errand = Errand::Ask { to, skill: Skill::echo() };
        self.queue.push(self.now, Event::Errand { peer: no, life, errand });
    }

    fn crowd_around(&mut self, no: PeerNo) {
        let victim = self.peers.iter().find(|peer| peer.is_honest() && peer.config.agent);
        if let Some(victim) = victim.map(|peer| peer.no) {
            let life = self.peer(no).life;
            self.queue.push(self.now, Event::Errand { peer: no, life, errand: Errand::Connect(victim) });
        }
    }

    /// How a colluder judges a delivery.
    pub(crate) fn partial_quality(&self, provider: PeerNo) -> Bps {
        if self.peer(provider).role == Role::Colluder { Bps::ONE } else { Bps::ZERO }
    }

    // --- tools -------------------------------------------------------------------------------

    /// What its node said last of itself, as far as it travelled.
    fn own_presence(&self, no: PeerNo) -> Option<Presence> {
        let own = self.peer(no).books.said.and_then(|frame| self.frames.get(frame))?;
        match &own.content {
            Content::Presence { body, .. } => {
                let mut body = (**body).clone();
                body.issued = self.peer(no).now(self.now).unix;
                body.seq = body.seq.max(body.issued.0);
                Some(body)
            }
            _ => None,
        }
    }

    /// A presence of somebody honest.
    fn frame_of_another(&mut self, no: PeerNo) -> Option<Arc<[u8]>> {
        let honest: Vec<PeerNo> =
            self.peers.iter().filter(|peer| peer.is_honest() && peer.no != no).map(|peer| peer.no).collect();
        let victim = self.rng.byzantine.pick(&honest)?;
        let frame = self.frames.get(self.peer(victim).books.said?)?;
        Some(frame.data.clone())
    }

    /// A receipt that somebody honest signed lately about another.
    fn some_receipt(&mut self, no: PeerNo) -> Option<Arc<[u8]>> {
        let me = self.peer(no).id;
        let newest = (0..self.frames.len() as u32).rev().take(REPLAYED_OF as usize);
        let frames = newest.filter_map(|at| self.frames.get(MessageNo(at)));
        let foreign = |signer: &PeerId, body: &Rating| *signer != me && body.provider != me;
        let receipts = frames.filter(|frame| match &frame.content {
            Content::Rating { signer, body } => frame.genuine && frame.lie.is_none() && foreign(signer, body),
            _ => false,
        });
        let receipts: Vec<Arc<[u8]>> = receipts.take(RECEIPTS_OF).map(|frame| frame.data.clone()).collect();
        self.rng.byzantine.pick(&receipts.iter().collect::<Vec<_>>()).cloned()
    }

    fn enter_own<T: Object>(&mut self, no: PeerNo, body: T, lie: Lie) -> MessageNo {
        let peer = self.peer(no);
        let (id, signed) = (peer.id, Signed::seal(&peer.key, &peer.config.network, body));
        self.tally.lies += 1;
        self.frames.enter_lie(&signed.bytes, Some(id), lie)
    }

    /// Send a frame to those neighbours, whatever gossip's rules say.
    fn inject(&mut self, no: PeerNo, topic: Topic, frame: MessageNo, to: impl Fn(PeerNo) -> bool) {
        let message = self.frames.message(frame, topic);
        let neighbours: Vec<PeerNo> = self.peer(no).links.keys().copied().filter(|peer| to(*peer)).collect();
        for neighbour in neighbours {
            self.send_rpc(no, neighbour, Rpc::Message(message));
        }
    }

    /// Send a request to some neighbour, and ignore its answer.
    fn send_raw(&mut self, no: PeerNo, protocol: Protocol, data: Vec<u8>) {
        let neighbours: Vec<_> = self.peer(no).links.values().filter_map(|links| links.first().copied()).collect();
        let Some(link) = self.rng.byzantine.pick(&neighbours) else { return };
        // Core counts its own requests from one; nothing of it waits for an answer with this number.
        let id = RequestId(u64::MAX);
        if let Some((arrives, side)) = self.travel(no, link) {
            self.queue.push(arrives, Event::Request { link, side, id, protocol, data });
        }
    }
}

/// The envelope of a signed object, to be tampered with.
#[derive(Serialize, Deserialize)]
struct Envelope {
    #[serde(with = "serde_bytes")]
    body: Vec<u8>,
    kind: String,
    #[serde(with = "serde_bytes")]
    sig: Vec<u8>,
    signer: PeerId,
}

/// The same object with another's name on it.
fn in_the_name_of(whom: Option<PeerId>, object: &[u8]) -> Vec<u8> {
    match whom {
        Some(whom) => forged(object, |envelope| envelope.signer = whom),
        None => object.to_vec(),
    }
}

fn forged(original: &[u8], tamper: impl FnOnce(&mut Envelope)) -> Vec<u8> {
    match serde_ipld_dagcbor::from_slice::<Envelope>(original) {
        Ok(mut envelope) => {
            tamper(&mut envelope);
            strict::encode(&envelope)
        }
        Err(_) => original.iter().rev().copied().collect(),
    }
}
