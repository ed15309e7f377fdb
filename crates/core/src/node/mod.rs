//! The one place that sees every subsystem and routes between them.
//!
//! An input is handled in four steps: deadlines that are overdue first (a sleeping tab wakes late),
//! then the input itself, then what follows from it (notes between subsystems, scores, this peer's
//! own presence), then the log and the counters. All of it is one synchronous call.

mod commands;

use std::collections::{BTreeMap, VecDeque};

use libp2p_identity::{Keypair, PeerId};
use multiaddr::Multiaddr;

use crate::{
    agents, conduct,
    config::{Config, ConfigError, Profile},
    cx::{AfterStore, Cx, Purpose, Shared},
    io::{
        CommandError, CommandId, DialError, Event, Input, Output, Path, Protocol, QueryId, RequestError, RequestToken,
        StoreTable, Topic, Verdict,
    },
    limits::QUIET_INTERVAL,
    links,
    planted::{Bug, Planted},
    presence::{self, Facts},
    rates::{Evidence, Kind},
    receipts, reputation,
    snapshot::{SecurityKind, Snapshot, Status},
    status,
    tasks::{self, Offer},
    time::{Now, Time},
    view,
    wire::{
        Availability, Card, Signed,
        requests::TaskReply,
        signed::{Strict, Verifier},
        strict,
    },
};

/// A peer, as pure decisions.
pub struct Node {
    shared: Shared,
    pub(crate) parts: Parts,
    started: bool,
    stopping: bool,
    queries: BTreeMap<QueryId, Query>,
    statuses: BTreeMap<PeerId, Status>,
    revision: u64,
    /// When the revision last grew, and whether anything happened since.
    shown: Time,
    unshown: bool,
    deadline: Option<Time>,
    view: view::Cache,
}

/// Every subsystem.
pub struct Parts {
    pub agents: agents::State,
    pub conduct: conduct::State,
    pub links: links::State,
    pub presence: presence::State,
    pub receipts: receipts::State,
    pub reputation: reputation::State,
    pub tasks: tasks::State,
    /// The owner's switch.
    pub busy: bool,
}

/// A DHT query that the owner waits for.
struct Query {
    command: CommandId,
    due: Time,
    peers: BTreeMap<PeerId, Vec<Multiaddr>>,
}

impl Node {
    /// A node that has not been told anything yet. `seed` is all the randomness it will use.
    pub fn new(config: Config, profile: Profile, key: Keypair, seed: [u8; 32]) -> Result<Self, ConfigError> {
        Self::with_verifier(config, profile, key, seed, Box::new(Strict))
    }

    /// The same with another checker of signatures, for simulators that remember what they checked.
    pub fn with_verifier(
        config: Config,
        profile: Profile,
        key: Keypair,
        seed: [u8; 32],
        verifier: Box<dyn Verifier>,
    ) -> Result<Self, ConfigError> {
        config.check()?;
        profile.check()?;
        Ok(Self {
            shared: Shared::new(config, key, seed, verifier),
            parts: Parts {
                agents: agents::State::new(profile),
                conduct: conduct::State::default(),
                links: links::State::default(),
                presence: presence::State::default(),
                receipts: receipts::State::default(),
                reputation: reputation::State::default(),
                tasks: tasks::State::default(),
                busy: false,
            },
            started: false,
            stopping: false,
            queries: BTreeMap::new(),
            statuses: BTreeMap::new(),
            revision: 1,
            shown: Time::default(),
            unshown: false,
            deadline: None,
            view: view::Cache::default(),
        })
    }

    /// Take in one thing that happened; returns what is to be done about it, in order.
    pub fn handle(&mut self, now: Now, input: Input) -> Vec<Output> {
        let mut out = Vec::new();
        let ticking = input == Input::Tick;
        self.shared.loud = matches!(input, Input::Command { .. } | Input::Loaded(_) | Input::Started);
        self.run_deadlines(now, &mut out);
        self.route(now, &mut out, input);
        self.settle(now, &mut out);
        self.unshown |= !ticking || !out.is_empty();
        if self.shared.loud || (self.unshown && now.mono >= self.shown + QUIET_INTERVAL) {
            self.revision += 1;
            self.shown = now.mono;
            self.unshown = false;
        }
        self.deadline = self.earliest(now);
        out
    }

    /// Plant a bug; see [`crate::planted`].
    #[doc(hidden)]
    pub fn plant(&mut self, planted: Planted) {
        self.shared.planted = planted;
    }

    /// For [`crate::inspect`].
    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// For [`crate::inspect`]: queries under way.
    pub(crate) fn queries(&self) -> usize {
        self.queries.len()
    }

    /// When [`Input::Tick`] is due next.
    pub fn next_deadline(&self) -> Option<Time> {
        self.deadline
    }

    fn earliest(&self, now: Now) -> Option<Time> {
        if !self.started || self.stopping {
            return None;
        }
        let Parts { agents, links, presence, receipts, reputation, tasks, .. } = &self.parts;
        let queries = self.queries.values().map(|query| query.due).min();
        [
            agents.next_deadline(),
            links.next_deadline(&self.shared.me),
            presence.next_deadline(),
            receipts.next_deadline(),
            reputation.next_deadline(),
            tasks.next_deadline(now),
            queries,
            self.unshown.then(|| self.shown + QUIET_INTERVAL),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Grows whenever [`Node::snapshot`] may differ.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// What people and programs see. Sections that did not change keep their `Arc`.
    pub fn snapshot(&mut self, now: Now) -> Snapshot {
        self.view.build(&self.parts, &self.shared, now, self.revision)
    }

    // --- time --------------------------------------------------------------------------------

    fn run_deadlines(&mut self, now: Now, out: &mut Vec<Output>) {
        if !self.started || self.stopping {
            return;
        }
        let mut cx = Cx { now, shared: &mut self.shared, out };
        let searching = self.parts.links.search_is_due(now.mono);
        // Everybody is looked through only when it is time to.
        let online = searching.then(|| self.parts.presence.online()).into_iter().flatten();
        let candidates: Vec<_> = online
            .filter(|(peer, _)| !self.parts.conduct.is_quarantined(peer, now.mono))
            .filter(|(_, known)| !known.signed.body.addrs.is_empty())
            .map(|(peer, known)| links::Candidate { peer: *peer, addrs: &known.signed.body.addrs })
            .collect();
        self.parts.links.handle(&mut cx, links::In::Tick(&candidates));
        self.parts.agents.handle(&mut cx, agents::In::Tick);
        self.parts.receipts.handle(&mut cx, receipts::In::Tick);
        let notes = self.parts.tasks.handle(&mut cx, tasks::In::Tick);
        let overdue: Vec<_> =
            self.queries.iter().filter(|(_, query)| now.mono >= query.due).map(|(id, _)| *id).collect();
        for query in overdue {
            self.finish_query(now, out, query);
        }
        self.follow_tasks(now, out, notes);
    }

    /// What follows from any input.
    fn settle(&mut self, now: Now, out: &mut Vec<Output>) {
        let mut cx = Cx { now, shared: &mut self.shared, out };
        for charge in std::mem::take(&mut cx.shared.charges) {
            self.parts.conduct.handle(&mut cx, conduct::In::Charge(charge));
        }
        self.parts.reputation.handle(&mut cx, reputation::In::Tick(&self.parts.receipts));
        if self.started {
            let facts = self.parts.facts();
            self.parts.presence.handle(&mut cx, presence::In::Tick(facts));
        }
        self.forget_unnamed_cards();
        self.report_statuses(now, out);
    }

    fn forget_unnamed_cards(&mut self) {
        const SURPLUS_MAX: usize = 64;
        let Parts { agents, presence, .. } = &mut self.parts;
        if agents.cards().len() > presence.known().len() + SURPLUS_MAX {
            let named: std::collections::BTreeSet<_> =
                presence.known().values().filter_map(|known| known.signed.body.card).collect();
            agents.retain(|cid| named.contains(cid));
        }
    }

    fn report_statuses(&mut self, now: Now, out: &mut Vec<Output>) {
        for peer in std::mem::take(&mut self.shared.touched) {
            if peer == self.shared.me {
                continue;
            }
            if !self.parts.presence.known().contains_key(&peer) {
                self.statuses.remove(&peer);
                continue;
            }
            let to = self.parts.status(&self.shared, &peer);
            let from = self.statuses.insert(peer, to);
            let from = from.unwrap_or(Status::Unknown);
            if from != to {
                Cx { now, shared: &mut self.shared, out }.event(Event::StatusChanged { peer, from, to });
            }
        }
    }

    // --- inputs ------------------------------------------------------------------------------

    fn route(&mut self, now: Now, out: &mut Vec<Output>, input: Input) {
        let mut cx = Cx { now, shared: &mut self.shared, out };
        let parts = &mut self.parts;
        if let Input::Connected { peer, .. } = &input
            && cx.planted(Bug::QuarantineEndsByLink)
        {
            parts.conduct.lift(peer);
        }
        match input {
            Input::Tick => {}
            Input::Loaded(records) => parts.load(&mut cx, records),
            Input::Started => self.start(now, out),
            Input::WebrtcAvailable => _ = parts.links.handle(&mut cx, links::In::WebrtcAvailable),
            Input::Connected { peer, .. } if parts.conduct.is_quarantined(&peer, now.mono) => {
                let reason = DialError::Refused("this peer refuses it after repeated violations".into());
                parts.links.handle(&mut cx, links::In::DialFailed { peer, upgrade: false, reason });
                cx.audit(peer, SecurityKind::Refused, "connected while it is refused");
                cx.out.push(Output::ClosePeer { peer });
            }
            Input::Connected { peer, link, path, dialled } => {
                let addrs = parts.presence.addrs(&peer);
                let input = links::In::Connected { peer, link, path, dialled, addrs };
                let note = parts.links.handle(&mut cx, input);
                self.follow_links(now, out, note);
            }
            Input::Identified { peer, webrtc } => {
                _ = parts.links.handle(&mut cx, links::In::Identified { peer, webrtc });
            }
            Input::Disconnected { peer, link } => {
                let note = parts.links.handle(&mut cx, links::In::Disconnected { peer, link });
                self.follow_links(now, out, note);
            }
            Input::Rtt { peer, link, rtt } => _ = parts.links.handle(&mut cx, links::In::Rtt { peer, link, rtt }),
            Input::DialFailed { peer, upgrade, reason } => {
                _ = parts.links.handle(&mut cx, links::In::DialFailed { peer, upgrade, reason });
            }
            Input::ListenAddr { addr, usable } => {
                _ = parts.links.handle(&mut cx, links::In::ListenAddr { addr, usable });
            }
            Input::Reserved { relay } => _ = parts.links.handle(&mut cx, links::In::Reserved(relay)),
            Input::ReservationFailed { relay, reason } => {
                _ = parts.links.handle(&mut cx, links::In::ReservationFailed { relay, reason });
            }
            // Presences are pushed and pulled as soon as a link stands; a subscription adds nothing.
            Input::Subscribed { .. } => {}
            Input::Gossip { from, id, .. } if parts.conduct.is_quarantined(&from, now.mono) => {
                cx.verdict(id, from, Verdict::Ignore);
            }
            Input::Gossip { from, id, topic: Topic::Presence, data } => {
                let input = presence::In::Gossip { from, id, data: &data, conduct: &parts.conduct };
                let notes = parts.presence.handle(&mut cx, input);
                self.follow_presence(now, out, notes);
            }
            Input::Gossip { from, id, topic: Topic::Receipts, data } => {
                let input = receipts::In::Gossip { from, id, data: &data, conduct: &parts.conduct };
                let notes = parts.receipts.handle(&mut cx, input);
                self.follow_receipts(now, out, notes);
            }
            Input::Request { peer, token, .. } if parts.conduct.is_quarantined(&peer, now.mono) => {
                cx.shared.counters.requests_refused += 1;
                cx.out.push(Output::Refuse { token });
            }
            Input::Request { peer, token, protocol, data } => self.request(now, out, peer, token, protocol, &data),
            Input::Response { id, result } => {
                if let Some(purpose) = cx.shared.take_request(id) {
                    self.response(now, out, purpose, result);
                }
            }
            Input::Stored { id, result } => {
                if let Some(after) = cx.shared.take_store(id) {
                    self.stored(now, out, after, result);
                }
            }
            Input::JobDone { task, result } => {
                let notes = parts.tasks.handle(&mut cx, tasks::In::JobDone { task, result });
                self.follow_tasks(now, out, notes);
            }
            Input::Found { query, peers, done } => self.found(now, out, query, peers, done),
            Input::Discovered { peer, addrs } => {
                parts.links.handle(&mut cx, links::In::Heard { peer, addrs });
                if self.started && self.parts.links.wants_neighbours() {
                    self.want(now, out, peer);
                }
            }
            Input::Command { id, command: _ } if self.stopping => cx.reply(id, Err(CommandError::Stopping)),
            Input::Command { id, command } => self.command(now, out, id, command),
        }
    }

    fn start(&mut self, now: Now, out: &mut Vec<Output>) {
        self.started = true;
        let mut cx = Cx { now, shared: &mut self.shared, out };
        self.parts.links.handle(&mut cx, links::In::Start);
        self.parts.agents.handle(&mut cx, agents::In::Start);
        let notes = self.parts.tasks.handle(&mut cx, tasks::In::Start { receipts: &self.parts.receipts });
        self.follow_tasks(now, out, notes);
    }

    fn request(
        &mut self,
        now: Now,
        out: &mut Vec<Output>,
        peer: PeerId,
        token: RequestToken,
        protocol: Protocol,
        data: &[u8],
    ) {
        let mut cx = Cx { now, shared: &mut self.shared, out };
        if !cx.within_rate(peer, Kind::Request(protocol), Evidence::FirstHand(None)) {
            cx.shared.counters.excess_requests += 1;
            cx.shared.counters.requests_refused += 1;
            return cx.out.push(Output::Refuse { token });
        }
        let Parts { agents, presence, receipts, tasks, busy, .. } = &mut self.parts;
        match protocol {
            Protocol::Presence => {
                let input = presence::In::Request { peer, token, data, cards: agents.cards() };
                let notes = presence.handle(&mut cx, input);
                self.follow_presence(now, out, notes);
            }
            Protocol::Objects => {
                receipts::answer(receipts, &mut cx, peer, token, data, |cid| agents::serve(agents.cards(), cid));
            }
            Protocol::Tasks => {
                let profile = agents.profile();
                let offer = Offer { skills: &profile.skills, busy: *busy, slots: profile.slots };
                let notes = tasks.handle(&mut cx, tasks::In::Request { peer, token, data, offer });
                self.follow_tasks(now, out, notes);
            }
        }
    }

    fn response(&mut self, now: Now, out: &mut Vec<Output>, purpose: Purpose, result: Result<Vec<u8>, RequestError>) {
        let mut cx = Cx { now, shared: &mut self.shared, out };
        let conduct = &self.parts.conduct;
        match purpose {
            Purpose::Presences { peer, page } => {
                let input = presence::In::Response { peer, page, result, conduct };
                let notes = self.parts.presence.handle(&mut cx, input);
                self.follow_presence(now, out, notes);
            }
            Purpose::Cards { peer, cids } => {
                self.parts.agents.handle(&mut cx, agents::In::Response { peer, cids, result, conduct });
            }
            Purpose::Receipts { peer, page } => {
                let input = receipts::In::Response { peer, page, result, conduct };
                let notes = self.parts.receipts.handle(&mut cx, input);
                self.follow_receipts(now, out, notes);
            }
            Purpose::Task { task, step } => {
                let notes = self.parts.tasks.handle(&mut cx, tasks::In::Response { task, step, result });
                self.follow_tasks(now, out, notes);
            }
        }
    }

    fn stored(&mut self, now: Now, out: &mut Vec<Output>, after: AfterStore, result: Result<(), String>) {
        let mut cx = Cx { now, shared: &mut self.shared, out };
        if let Err(error) = &result {
            cx.warn(format!("something could not be saved: {error}; free some space or check the data directory"));
        }
        self.after_store(now, out, after, result);
    }

    fn after_store(&mut self, now: Now, out: &mut Vec<Output>, after: AfterStore, result: Result<(), String>) {
        let mut cx = Cx { now, shared: &mut self.shared, out };
        match (after, result) {
            (AfterStore::Nothing, _) => {}
            (AfterStore::Respond { token, data }, Ok(())) => cx.respond(token, data),
            (AfterStore::Respond { token, .. }, Err(_)) => cx.respond(token, strict::encode(&TaskReply::Later)),
            (AfterStore::Reply { command, reply }, Ok(())) => cx.reply(command, Ok(reply)),
            (AfterStore::Reply { command, .. }, Err(error)) => cx.reply(command, Err(CommandError::Store(error))),
            (AfterStore::Send { task, then }, result) => {
                if result.is_ok() {
                    let notes = self.parts.tasks.handle(&mut cx, tasks::In::Saved(task));
                    self.follow_tasks(now, out, notes);
                }
                self.after_store(now, out, *then, result);
            }
            (AfterStore::Asked { command, task }, stored) => {
                let notes = self.parts.tasks.handle(&mut cx, tasks::In::Asked { command, task, stored });
                self.follow_tasks(now, out, notes);
            }
        }
    }

    // --- what follows ------------------------------------------------------------------------

    fn follow_links(&mut self, now: Now, out: &mut Vec<Output>, note: Option<links::Note>) {
        let peer = match note {
            Some(links::Note::Up(peer)) => peer,
            Some(links::Note::Lost(peer)) => return self.come_back(now, out, peer),
            Some(links::Note::Down(_)) | None => return,
        };
        let mut cx = Cx { now, shared: &mut self.shared, out };
        let card = self.parts.agents.own();
        self.parts.presence.handle(&mut cx, presence::In::Linked { peer, card });
        self.parts.receipts.handle(&mut cx, receipts::In::Linked(peer));
        let notes = self.parts.tasks.handle(&mut cx, tasks::In::Linked(peer));
        self.follow_tasks(now, out, notes);
    }

    /// A direct link that worked is gone. A peer that is still there and of use is called at once, by the
    /// relay if need be; one that left has mostly said goodbye before.
    fn come_back(&mut self, now: Now, out: &mut Vec<Output>, peer: PeerId) {
        let here = self.parts.presence.known().get(&peer).is_some_and(presence::Known::is_fresh);
        if here && !self.stopping && (self.parts.tasks.needs(&peer) || self.parts.links.wants_neighbours()) {
            self.want(now, out, peer);
        }
    }

    fn follow_presence(&mut self, now: Now, out: &mut Vec<Output>, notes: Vec<presence::Note>) {
        // Cards before the presences that name them.
        let (bytes, rest): (Vec<_>, Vec<_>) =
            notes.into_iter().partition(|note| matches!(note, presence::Note::CardBytes { .. }));
        for note in bytes.into_iter().chain(rest) {
            let mut cx = Cx { now, shared: &mut self.shared, out };
            match note {
                presence::Note::Card { owner, cid, from } => {
                    self.parts.agents.handle(&mut cx, agents::In::Named { owner, cid, from });
                }
                presence::Note::Newcomer => self.parts.links.newcomer(now.mono),
                presence::Note::Addrs(peer) => {
                    let addrs = self.parts.presence.addrs(&peer);
                    self.parts.links.handle(&mut cx, links::In::Announced { peer, addrs });
                }
                presence::Note::CardBytes { from, bytes } => {
                    let conduct = &self.parts.conduct;
                    self.parts.agents.handle(&mut cx, agents::In::Bytes { from, bytes, conduct });
                }
                presence::Note::OtherNetwork(peer) => {
                    self.parts.links.handle(&mut cx, links::In::OtherNetwork(peer));
                }
            }
        }
    }

    fn follow_receipts(&mut self, now: Now, out: &mut Vec<Output>, notes: Vec<receipts::Note>) {
        let mut cx = Cx { now, shared: &mut self.shared, out };
        for receipts::Note::Changed(peer) in notes {
            self.parts.reputation.handle(&mut cx, reputation::In::Changed(peer));
        }
    }

    fn follow_tasks(&mut self, now: Now, out: &mut Vec<Output>, notes: Vec<tasks::Note>) {
        for note in VecDeque::from(notes) {
            let mut cx = Cx { now, shared: &mut self.shared, out };
            match note {
                tasks::Note::WantLink(peer) => self.want(now, out, peer),
                tasks::Note::Receipt { signed, after } => {
                    let notes = self.parts.receipts.handle(&mut cx, receipts::In::Add { signed, after });
                    self.follow_receipts(now, out, notes);
                }
                tasks::Note::Failed(peer) => self.parts.reputation.handle(&mut cx, reputation::In::Failed(peer)),
            }
        }
    }

    /// A connection to `peer` is wanted, by whatever address is known.
    fn want(&mut self, now: Now, out: &mut Vec<Output>, peer: PeerId) {
        if self.parts.conduct.is_quarantined(&peer, now.mono) {
            return;
        }
        let mut cx = Cx { now, shared: &mut self.shared, out };
        let addrs = self.parts.presence.addrs(&peer);
        self.parts.links.handle(&mut cx, links::In::Want { peer, addrs });
    }
}

impl Parts {
    /// The state of `peer` in this observer's eyes.
    pub fn status(&self, shared: &Shared, peer: &PeerId) -> Status {
        let known = self.presence.known().get(peer);
        let trust = self.reputation.view(peer);
        status::of(&status::Seen {
            known,
            trust: &trust,
            threshold: shared.config.trust_threshold,
            planted: shared.planted,
        })
    }

    /// Slots of this peer that are free now.
    pub fn slots_free(&self) -> u32 {
        self.agents.profile().slots.saturating_sub(self.tasks.slots_taken())
    }

    /// The card that the presence of `peer` names, if it is held and really this peer's.
    pub fn card(&self, peer: &PeerId) -> Option<&Signed<Card>> {
        let cid = self.presence.known().get(peer)?.signed.body.card?;
        self.agents.cards().get(&cid).filter(|card| card.signer == *peer)
    }

    /// A relay: one this node joins through, or a peer whose presence names no card.
    pub fn is_relay(&self, peer: &PeerId) -> bool {
        match self.presence.known().get(peer) {
            Some(known) => known.signed.body.card.is_none(),
            None => self.links.is_relay(peer),
        }
    }

    /// What this peer would say of itself now.
    fn facts(&self) -> Facts {
        Facts {
            availability: if self.busy { Availability::Busy } else { Availability::Idle },
            free_slots: self.slots_free(),
            card: self.agents.own().map(|card| card.cid),
            addrs: self.links.own_addrs(),
        }
    }

    fn load(&mut self, cx: &mut Cx<'_>, records: Vec<crate::io::Record>) {
        for record in records {
            match record.table {
                StoreTable::Meta
                    if record.key.starts_with(conduct::KEY_PREFIX) && cx.planted(Bug::QuarantineNotLoaded) => {}
                StoreTable::Meta if record.key.starts_with(conduct::KEY_PREFIX) => {
                    self.conduct.handle(cx, conduct::In::Loaded { key: record.key, value: record.value });
                }
                StoreTable::Meta if record.key == agents::PROFILE_KEY => {
                    self.agents.handle(cx, agents::In::Loaded(record.value));
                }
                // Of a later version.
                StoreTable::Meta => {}
                StoreTable::Tasks => _ = self.tasks.handle(cx, tasks::In::Loaded(record.value)),
                StoreTable::Receipts => _ = self.receipts.handle(cx, receipts::In::Loaded(record.value)),
            }
        }
        let providers: Vec<_> = self.receipts.providers().copied().collect();
        for peer in providers {
            self.reputation.handle(cx, reputation::In::Changed(peer));
        }
    }

    fn check_ask(&self, cx: &Cx<'_>, to: &PeerId) -> Result<(), CommandError> {
        if *to == cx.me() {
            return Err(CommandError::Myself);
        }
        if self.conduct.is_quarantined(to, cx.now.mono) {
            return Err(CommandError::Quarantined);
        }
        let reachable = self.presence.known().contains_key(to)
            || self.links.path(to).0 != Path::None
            || self.links.has_heard_of(to);
        if reachable { Ok(()) } else { Err(CommandError::NoAddress) }
    }
}
