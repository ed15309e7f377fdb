//! The distributed hash table: who offers a skill, and where is a peer.
//!
//! A skill is provided under a hash of its name. Finding its providers takes two steps: Kademlia
//! names the peers, and those whose addresses are not known yet are looked up one by one. A browser
//! is in nobody's routing table, so it comes without addresses; it is reached through its presence.
//! Core hears of every find at once, so that a lookup that hangs takes nothing away.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use libp2p::{
    Multiaddr, PeerId, identify,
    kad::{self, GetClosestPeersError, GetClosestPeersOk, GetProvidersOk, PeerInfo, QueryResult, RecordKey},
};
use mycomesh_core::{
    io::{Input, QueryId},
    limits::{PRESENCE_ADDRS_MAX, QUERY_PEERS_MAX},
    time::{Millis, Time},
    wire::Skill,
};
use sha2::{Digest, Sha256};

use crate::{behaviour, platform};

pub(crate) type Kad = kad::Behaviour<kad::store::MemoryStore>;

/// Providers whose addresses are looked up after a search. Enough to ask a few for work; each costs a
/// walk through the table.
const LOOKUPS_MAX: usize = 8;
/// How long after a new peer in the table our skills are provided again, so that a burst of peers
/// costs one round.
const PROVIDE_DELAY: Millis = Millis::secs(1);
/// The shortest time between two such rounds.
const PROVIDE_GAP: Millis = Millis::secs(10);

/// Searches under way and skills provided.
#[derive(Debug)]
pub(crate) struct Dht {
    me: PeerId,
    network: String,
    /// What each of Kademlia's queries is for.
    queries: HashMap<kad::QueryId, QueryId>,
    searches: BTreeMap<QueryId, Search>,
    provided: BTreeSet<Skill>,
    provide_at: Option<Time>,
    provided_at: Option<Time>,
}

#[derive(Debug)]
struct Search {
    /// The one peer wanted; none when providers are wanted.
    target: Option<PeerId>,
    found: BTreeMap<PeerId, Vec<Multiaddr>>,
    /// Kademlia's queries that have not ended.
    open: usize,
}

impl Dht {
    pub(crate) fn new(me: PeerId, network: &str) -> Self {
        Self {
            me,
            network: network.into(),
            queries: HashMap::new(),
            searches: BTreeMap::new(),
            provided: BTreeSet::new(),
            provide_at: None,
            provided_at: None,
        }
    }

    /// When [`Dht::tick`] wants to be called next.
    pub(crate) fn next_deadline(&self) -> Option<Time> {
        self.provide_at
    }

    /// Provide again, if it is time.
    pub(crate) fn tick(&mut self, kad: &mut Kad, now: Time) {
        if self.provide_at.is_some_and(|at| at <= now) {
            self.provide_at = None;
            self.provided_at = Some(now);
            for skill in &self.provided {
                start_providing(kad, &self.network, skill);
            }
        }
    }

    pub(crate) fn provide(&mut self, kad: &mut Kad, skill: Skill) {
        start_providing(kad, &self.network, &skill);
        self.provided.insert(skill);
    }

    pub(crate) fn stop_providing(&mut self, kad: &mut Kad, skill: &Skill) {
        self.provided.remove(skill);
        kad.stop_providing(&key_of(&self.network, skill));
    }

    pub(crate) fn find_providers(&mut self, kad: &mut Kad, query: QueryId, skill: &Skill) {
        let id = kad.get_providers(key_of(&self.network, skill));
        self.begin(id, query, None);
    }

    pub(crate) fn find_peer(&mut self, kad: &mut Kad, query: QueryId, peer: PeerId) {
        let id = kad.get_closest_peers(peer);
        self.begin(id, query, Some(peer));
    }

    fn begin(&mut self, id: kad::QueryId, query: QueryId, target: Option<PeerId>) {
        self.queries.insert(id, query);
        self.searches.insert(query, Search { target, found: BTreeMap::new(), open: 1 });
    }

    /// A peer said who it is: if it speaks our Kademlia, remember where it listens.
    pub(crate) fn identified(&mut self, kad: &mut Kad, peer: PeerId, info: &identify::Info, now: Time) {
        if !info.protocols.contains(&behaviour::kad_protocol(&self.network)) {
            return;
        }
        let usable = info.listen_addrs.iter().filter(|addr| platform::can_dial(addr));
        for addr in usable.take(PRESENCE_ADDRS_MAX) {
            kad.add_address(&peer, addr.clone());
        }
        // A relay that was restarted has forgotten its provider records but not left our table.
        self.provide_soon(now);
    }

    /// Kademlia has news.
    pub(crate) fn on_event(&mut self, kad: &mut Kad, event: kad::Event, now: Time) -> Option<Input> {
        match event {
            kad::Event::RoutingUpdated { peer, is_new_peer, addresses, .. } => {
                if is_new_peer {
                    self.provide_soon(now);
                }
                let addrs = addresses.iter().take(PRESENCE_ADDRS_MAX).cloned().collect();
                Some(Input::Discovered { peer, addrs })
            }
            kad::Event::OutboundQueryProgressed { id, result, step, .. } => self.progress(kad, id, result, step.last),
            _ => None,
        }
    }

    fn progress(&mut self, kad: &mut Kad, id: kad::QueryId, result: QueryResult, last: bool) -> Option<Input> {
        let query = *self.queries.get(&id)?;
        let search = self.searches.get_mut(&query)?;
        let mut providers_ended = false;
        let mut fresh = Vec::new();
        match result {
            QueryResult::GetProviders(found) => {
                if let Ok(GetProvidersOk::FoundProviders { providers, .. }) = found {
                    for peer in providers.into_iter().filter(|peer| *peer != self.me) {
                        let addrs = known_addrs(kad, &peer);
                        fresh.extend(search.add(peer, addrs));
                    }
                }
                providers_ended = last;
            }
            QueryResult::GetClosestPeers(
                Ok(GetClosestPeersOk { peers, .. }) | Err(GetClosestPeersError::Timeout { peers, .. }),
            ) => {
                for PeerInfo { peer_id, addrs } in peers {
                    if search.wants(&peer_id) {
                        fresh.extend(search.add(peer_id, addrs));
                    }
                }
            }
            _ => {}
        }
        if last {
            self.queries.remove(&id);
            search.open -= 1;
        }
        if providers_ended {
            let unknown: Vec<PeerId> = search.without_addrs().take(LOOKUPS_MAX).collect();
            for peer in unknown {
                self.queries.insert(kad.get_closest_peers(peer), query);
                search.open += 1;
            }
        }
        let done = search.open == 0;
        if done {
            self.searches.remove(&query);
        }
        (done || !fresh.is_empty()).then_some(Input::Found { query, peers: fresh, done })
    }

    fn provide_soon(&mut self, now: Time) {
        if self.provide_at.is_none() && !self.provided.is_empty() {
            let soon = now + PROVIDE_DELAY;
            self.provide_at = Some(self.provided_at.map_or(soon, |last| soon.max(last + PROVIDE_GAP)));
        }
    }
}

impl Search {
    /// Whether a walk for closest peers was after this one.
    fn wants(&self, peer: &PeerId) -> bool {
        self.target == Some(*peer) || self.found.contains_key(peer)
    }

    /// Keep what was found of a peer; returns what of it is new.
    fn add(&mut self, peer: PeerId, addrs: Vec<Multiaddr>) -> Option<(PeerId, Vec<Multiaddr>)> {
        let seen = self.found.contains_key(&peer);
        if self.found.len() >= QUERY_PEERS_MAX && !seen {
            return None;
        }
        let known = self.found.entry(peer).or_default();
        let before = known.len();
        for addr in addrs {
            if known.len() < PRESENCE_ADDRS_MAX && !known.contains(&addr) {
                known.push(addr);
            }
        }
        let fresh = &known[before..];
        (!seen || !fresh.is_empty()).then(|| (peer, fresh.to_vec()))
    }

    fn without_addrs(&self) -> impl Iterator<Item = PeerId> {
        self.found.iter().filter(|(_, addrs)| addrs.is_empty()).map(|(peer, _)| *peer)
    }
}

/// The key under which a skill is provided: a hash, so that names of every length spread evenly.
fn key_of(network: &str, skill: &Skill) -> RecordKey {
    RecordKey::new(&Sha256::digest(format!("/mycomesh/{network}/skill/{skill}")))
}

fn start_providing(kad: &mut Kad, network: &str, skill: &Skill) {
    if let Err(error) = kad.start_providing(key_of(network, skill)) {
        tracing::warn!(%skill, %error, "the DHT is too full to say that this skill is offered here");
    }
}

fn known_addrs(kad: &mut Kad, peer: &PeerId) -> Vec<Multiaddr> {
    let Some(bucket) = kad.kbucket(*peer) else { return Vec::new() };
    bucket
        .iter()
        .filter(|entry| entry.node.key.preimage() == peer)
        .flat_map(|entry| entry.node.value.iter().cloned().collect::<Vec<_>>())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skill_has_another_key_in_another_network() {
        assert_eq!(key_of("one", &Skill::echo()), key_of("one", &Skill::echo()));
        assert_ne!(key_of("one", &Skill::echo()), key_of("two", &Skill::echo()));
        assert_ne!(key_of("one", &Skill::echo()), key_of("one", &Skill::human()));
    }

    #[test]
    fn a_search_keeps_no_more_peers_than_it_may() {
        let mut search = Search { target: None, found: BTreeMap::new(), open: 1 };
        for _ in 0..2 * QUERY_PEERS_MAX {
            search.add(PeerId::random(), Vec::new());
        }
        assert_eq!(search.found.len(), QUERY_PEERS_MAX);
    }

    #[test]
    fn a_search_tells_each_find_once() {
        let mut search = Search { target: None, found: BTreeMap::new(), open: 1 };
        let peer = PeerId::random();
        let addr = |port: u16| Multiaddr::empty().with(libp2p::multiaddr::Protocol::Tcp(port));
        assert_eq!(search.add(peer, Vec::new()), Some((peer, Vec::new())));
        assert_eq!(search.add(peer, Vec::new()), None);
        assert_eq!(search.add(peer, vec![addr(1)]), Some((peer, vec![addr(1)])));
        assert_eq!(search.add(peer, vec![addr(1), addr(2)]), Some((peer, vec![addr(2)])));
    }

    #[test]
    fn providers_are_told_before_their_addresses_have_been_looked_up() {
        let me = PeerId::random();
        let mut kad = Kad::new(me, kad::store::MemoryStore::new(me));
        let mut dht = Dht::new(me, "public");
        dht.find_providers(&mut kad, QueryId(1), &Skill::echo());
        let providing = *dht.queries.keys().next().expect("one query");
        let provider = PeerId::random();
        let key = key_of("public", &Skill::echo());
        let found = GetProvidersOk::FoundProviders { key, providers: [provider].into() };
        let told = dht.progress(&mut kad, providing, QueryResult::GetProviders(Ok(found)), true);
        let peers = vec![(provider, Vec::new())];
        assert_eq!(told, Some(Input::Found { query: QueryId(1), peers, done: false }));
        // The lookup of its addresses times out.
        let looking = *dht.queries.keys().next().expect("one lookup");
        let ended = GetClosestPeersError::Timeout { key: provider.to_bytes(), peers: Vec::new() };
        let told = dht.progress(&mut kad, looking, QueryResult::GetClosestPeers(Err(ended)), true);
        assert_eq!(told, Some(Input::Found { query: QueryId(1), peers: Vec::new(), done: true }));
    }

    #[test]
    fn skills_are_provided_again_after_a_burst_of_new_peers_but_not_more_often_than_the_gap() {
        let me = PeerId::random();
        let mut kad = Kad::new(me, kad::store::MemoryStore::new(me));
        let mut dht = Dht::new(me, "public");
        dht.provide_soon(Time(0));
        assert_eq!(dht.next_deadline(), None, "nothing is provided yet");
        dht.provide(&mut kad, Skill::echo());
        dht.provide_soon(Time(0));
        dht.provide_soon(Time(900));
        assert_eq!(dht.next_deadline(), Some(Time(1_000)));
        dht.tick(&mut kad, Time(1_000));
        assert_eq!(dht.next_deadline(), None);
        dht.provide_soon(Time(2_000));
        assert_eq!(dht.next_deadline(), Some(Time(11_000)));
    }
}
