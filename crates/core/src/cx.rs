//! What every subsystem is handed beside its input: both clocks, the key, randomness, and the ways
//! to ask the outside for something.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use cid::Cid;
use libp2p_identity::{Keypair, PeerId};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use crate::{
    audit::Audit,
    config::Config,
    io::{
        CommandError, CommandId, Event, GossipId, Output, Protocol, QueryId, Reply, RequestId, RequestToken, StoreId,
        Verdict, Write,
    },
    limits::{LOG_ENTRIES_MAX, REQUESTS_MAX, SECURITY_TEXT_BYTES_MAX},
    planted::{Bug, Planted, Trusting},
    rates::{Evidence, Kind, Rates, Taken},
    receipts::{self, ReceiptError},
    snapshot::{Counters, LogEntry, SecurityKind},
    tasks::Step,
    time::Now,
    wire::{self, Network, Object, Rating, Signed, SignedError, TaskId, cut, signed::Verifier},
};

/// One handling of one input.
pub struct Cx<'a> {
    /// Both clocks.
    pub now: Now,
    /// What lives longer than one input.
    pub shared: &'a mut Shared,
    /// What is to be done, in order.
    pub out: &'a mut Vec<Output>,
}

/// What all subsystems share.
pub struct Shared {
    pub config: Config,
    pub me: PeerId,
    pub counters: Counters,
    pub log: VecDeque<LogEntry>,
    /// Security events, apart from the log.
    pub audit: Audit,
    /// Whether somebody who looks on should see this input's effect at once. A renewed presence or
    /// another round trip can wait for [`crate::limits::QUIET_INTERVAL`].
    pub loud: bool,
    /// Peers whose state may have changed in this input.
    pub touched: BTreeSet<PeerId>,
    /// Violations seen in this input, charged at its end.
    pub charges: Vec<Charge>,
    /// How often every peer did what.
    pub rates: Rates,
    /// The bug planted in this node: none in a program that anybody runs.
    pub planted: Planted,
    key: Keypair,
    verifier: Box<dyn Verifier>,
    rng: ChaCha8Rng,
    next_id: u64,
    requests: BTreeMap<RequestId, Purpose>,
    stores: BTreeMap<StoreId, AfterStore>,
}

/// Something a peer did wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    pub peer: PeerId,
    pub kind: SecurityKind,
    pub what: String,
}

/// What a request of ours was for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A page of presences.
    Presences { peer: PeerId, page: u32 },
    /// Cards by content id.
    Cards { peer: PeerId, cids: Vec<Cid> },
    /// A page of receipts.
    Receipts { peer: PeerId, page: u32 },
    /// A step of a task.
    Task { task: TaskId, step: Step },
}

/// What a finished write to the store sets free.
#[derive(Clone, Debug, PartialEq)]
pub enum AfterStore {
    /// Nothing; a failure becomes a warning.
    Nothing,
    /// An answer to a remote request.
    Respond { token: RequestToken, data: Vec<u8> },
    /// The answer to a command.
    Reply { command: CommandId, reply: Reply },
    /// A message of a task may be sent, and then the rest.
    Send { task: TaskId, then: Box<AfterStore> },
    /// A new task of ours: the answer to its command, and its way to the provider.
    Asked { command: CommandId, task: TaskId },
}

impl Shared {
    pub fn new(config: Config, key: Keypair, seed: [u8; 32], verifier: Box<dyn Verifier>) -> Self {
        Self {
            config,
            me: key.public().to_peer_id(),
            counters: Counters::default(),
            log: VecDeque::new(),
            audit: Audit::default(),
            loud: false,
            touched: BTreeSet::new(),
            charges: Vec::new(),
            rates: Rates::default(),
            planted: Planted::default(),
            key,
            verifier,
            rng: ChaCha8Rng::from_seed(seed),
            next_id: 0,
            requests: BTreeMap::new(),
            stores: BTreeMap::new(),
        }
    }

    pub fn network(&self) -> &Network {
        &self.config.network
    }

    /// Requests of ours that wait for an answer.
    pub fn requests_waiting(&self) -> usize {
        self.requests.len()
    }

    /// What the request was for; each is answered once.
    pub fn take_request(&mut self, id: RequestId) -> Option<Purpose> {
        self.requests.remove(&id)
    }

    /// What the write sets free; each is answered once.
    pub fn take_store(&mut self, id: StoreId) -> Option<AfterStore> {
        self.stores.remove(&id)
    }

    fn number(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }
}

impl Cx<'_> {
    pub fn me(&self) -> PeerId {
        self.shared.me
    }

    /// Sign `body` as this peer.
    pub fn seal<T: Object>(&self, body: T) -> Signed<T> {
        Signed::seal(&self.shared.key, self.shared.network(), body)
    }

    /// Check and parse a signed object of this network.
    pub fn open<T: Object>(&self, bytes: &[u8]) -> Result<Signed<T>, SignedError> {
        if T::KIND == wire::Kind::Presence && self.planted(Bug::UncheckedPresence) {
            return Signed::open(bytes, self.shared.network(), &Trusting);
        }
        Signed::open(bytes, self.shared.network(), &*self.shared.verifier)
    }

    /// Check and parse a receipt of this network, and everything it embeds.
    pub fn open_receipt(&self, bytes: &[u8]) -> Result<Signed<Rating>, ReceiptError> {
        let unchecked = self.planted(Bug::UncheckedReceipt);
        let verifier: &dyn Verifier = if unchecked { &Trusting } else { &*self.shared.verifier };
        receipts::verify(bytes, self.shared.network(), verifier, self.shared.planted)
    }

    /// Whether this node has the bug; see [`crate::planted`].
    #[inline(always)]
    pub fn planted(&self, bug: Bug) -> bool {
        self.shared.planted.is(bug)
    }

    /// Send a request, unless too many wait already or `peer` had so many of late that it would refuse it.
    pub fn request(&mut self, peer: PeerId, protocol: Protocol, data: Vec<u8>, purpose: Purpose) -> bool {
        let asking = Kind::Asking(protocol);
        if self.shared.requests.len() >= REQUESTS_MAX || !self.within_rate(peer, asking, Evidence::FirstHand(None)) {
            return false;
        }
        let id = RequestId(self.shared.number());
        self.shared.requests.insert(id, purpose);
        self.out.push(Output::Request { id, peer, protocol, data });
        true
    }

    pub fn respond(&mut self, token: RequestToken, data: Vec<u8>) {
        self.shared.counters.requests_served += 1;
        self.out.push(Output::Respond { token, data });
    }

    /// Drop a request whose bytes were wrong, and charge its sender.
    pub fn refuse(&mut self, peer: PeerId, token: RequestToken, kind: SecurityKind, what: impl Into<String>) {
        self.shared.counters.requests_refused += 1;
        self.charge(peer, kind, what);
        self.out.push(Output::Refuse { token });
    }

    /// There is nothing to write, so what waits for it happens now.
    pub fn finish(&mut self, after: AfterStore) {
        match after {
            AfterStore::Respond { token, data } => self.respond(token, data),
            AfterStore::Reply { command, reply } => self.reply(command, Ok(reply)),
            AfterStore::Nothing | AfterStore::Send { .. } | AfterStore::Asked { .. } => {}
        }
    }

    /// Write to the store; `after` happens once it is on disk.
    pub fn store(&mut self, writes: Vec<Write>, after: AfterStore) {
        let id = StoreId(self.shared.number());
        self.shared.stores.insert(id, after);
        self.out.push(Output::Store { id, writes });
    }

    pub fn reply(&mut self, command: CommandId, result: Result<Reply, CommandError>) {
        self.out.push(Output::Reply { id: command, result });
    }

    pub fn query_id(&mut self) -> QueryId {
        QueryId(self.shared.number())
    }

    /// Tell the owner of a security event, and the list of them.
    pub fn security(&mut self, peer: PeerId, kind: SecurityKind, what: String) {
        self.audit(peer, kind, &what);
        self.out.push(Output::Event(Event::Security { peer, what }));
    }

    /// Put a security event on the list; the owner need not hear of it.
    pub fn audit(&mut self, peer: PeerId, kind: SecurityKind, what: &str) {
        self.shared.loud = true;
        self.shared.audit.record(self.now.unix, peer, kind, what);
        self.shared.counters.security = self.shared.audit.totals();
    }

    /// Tell the owner, and the log.
    pub fn event(&mut self, event: Event) {
        self.shared.loud = true;
        let number = self.shared.number();
        if self.shared.log.len() >= LOG_ENTRIES_MAX && !self.planted(Bug::LogNeverCut) {
            self.shared.log.pop_front();
        }
        self.shared.log.push_back(LogEntry { number, at: self.now.unix, event: event.clone() });
        self.out.push(Output::Event(event));
    }

    pub fn warn(&mut self, what: impl Into<String>) {
        self.event(Event::Warning { what: what.into() });
    }

    /// Somebody who looks on should see this at once.
    pub fn show(&mut self) {
        self.shared.loud = true;
    }

    /// The state of `peer` may have changed.
    pub fn touch(&mut self, peer: PeerId) {
        self.shared.touched.insert(peer);
    }

    /// Charge a violation to `peer`; conduct acts on it at the end of this input.
    pub fn charge(&mut self, peer: PeerId, kind: SecurityKind, what: impl Into<String>) {
        self.shared.charges.push(Charge { peer, kind, what: cut(&what.into(), SECURITY_TEXT_BYTES_MAX) });
    }

    /// Whether `peer` may do this once more; who goes on although it may not is charged.
    pub fn within_rate(&mut self, peer: PeerId, kind: Kind, evidence: Evidence) -> bool {
        let taken = match () {
            () if self.planted(Bug::BucketNeverEmpties) => Taken::Within,
            () if self.planted(Bug::BucketNeverFills) => self.shared.rates.take(Now::default(), peer, kind, evidence),
            () => self.shared.rates.take(self.now, peer, kind, evidence),
        };
        match taken {
            Taken::Within => return true,
            Taken::Above => {}
            Taken::Violation => self.charge(peer, SecurityKind::Excess, kind.too_often()),
        }
        false
    }

    /// The verdict on a gossip frame, counted.
    pub fn verdict(&mut self, id: GossipId, from: PeerId, verdict: Verdict) {
        if verdict != Verdict::Accept {
            // An operator who watches the counters wants to see trouble at once.
            self.show();
        }
        let counters = &mut self.shared.counters;
        *match verdict {
            Verdict::Accept => &mut counters.gossip_accepted,
            Verdict::Ignore => &mut counters.gossip_ignored,
            Verdict::Reject => &mut counters.gossip_rejected,
        } += 1;
        self.out.push(Output::Verdict { id, from, verdict });
    }

    /// The verdict on a gossip frame that could not be opened: only what its bytes prove wrong is
    /// charged to the neighbour that forwarded it.
    pub fn verdict_on_error(&mut self, id: GossipId, from: PeerId, error: &SignedError) {
        match error {
            SignedError::Forged => {
                self.shared.counters.forged += 1;
                self.charge(from, SecurityKind::Forged, "forwarded a forged gossip frame");
                self.verdict(id, from, Verdict::Reject);
            }
            SignedError::Malformed(detail) => {
                let what = format!("forwarded a malformed gossip frame: {detail}");
                self.charge(from, SecurityKind::Malformed, what);
                self.verdict(id, from, Verdict::Reject);
            }
            SignedError::Unknown(_) | SignedError::Limits => self.verdict(id, from, Verdict::Ignore),
        }
    }

    /// A number below `bound`; zero when `bound` is.
    pub fn random(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.shared.rng.next_u64() % bound }
    }

    pub fn random_bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.shared.rng.fill_bytes(&mut bytes);
        bytes
    }
}
