//! What the owner wants, routed to the subsystem that does it; every command gets one reply.

use std::collections::BTreeMap;

use libp2p_identity::PeerId;
use multiaddr::{Multiaddr, Protocol as Part};

use super::{Node, Query};
use crate::{
    agents,
    config::{ConfigError, Profile},
    cx::Cx,
    io::{Command, CommandError, CommandId, Output, QueryId, Reply},
    limits::{QUERIES_MAX, QUERY_PEERS_MAX, QUERY_TIMEOUT},
    links, presence, tasks,
    time::Now,
};

impl Node {
    pub(super) fn command(&mut self, now: Now, out: &mut Vec<Output>, id: CommandId, command: Command) {
        let mut cx = Cx { now, shared: &mut self.shared, out };
        let parts = &mut self.parts;
        let notes = match command {
            Command::Ask { to, skill, input, timeout } => {
                if let Err(error) = parts.check_ask(&cx, &to) {
                    return cx.reply(id, Err(error));
                }
                parts.tasks.handle(&mut cx, tasks::In::Ask { command: id, to, skill, input, timeout })
            }
            Command::Answer { task, output } => {
                parts.tasks.handle(&mut cx, tasks::In::Answer { command: id, task, output })
            }
            Command::Decline { task, reason } => {
                parts.tasks.handle(&mut cx, tasks::In::Decline { command: id, task, reason })
            }
            Command::Cancel { task } => parts.tasks.handle(&mut cx, tasks::In::Cancel { command: id, task }),
            Command::Rate { task, quality } => {
                parts.tasks.handle(&mut cx, tasks::In::Rate { command: id, task, quality })
            }
            Command::SetBusy(busy) => {
                parts.busy = busy;
                let me = cx.me();
                cx.touch(me);
                return cx.reply(id, Ok(Reply::Done));
            }
            Command::SetProfile { name, skills, slots } => {
                let profile = Profile { name, skills, slots };
                if let Err(ConfigError { key, wanted }) = profile.check() {
                    return cx.reply(id, Err(CommandError::OutOfRange { what: key, limit: wanted.into() }));
                }
                return parts.agents.handle(&mut cx, agents::In::SetProfile { command: id, profile });
            }
            Command::SetHidden(hidden) => {
                parts.presence.handle(&mut cx, presence::In::Hidden(hidden));
                return cx.reply(id, Ok(Reply::Done));
            }
            Command::Wake => {
                parts.links.handle(&mut cx, links::In::Wake);
                return cx.reply(id, Ok(Reply::Done));
            }
            Command::SetRelays(addrs) => {
                let relays: Result<Vec<_>, _> = addrs.into_iter().map(with_peer).collect();
                let reply = relays.map(|relays| {
                    parts.links.handle(&mut cx, links::In::SetRelays(relays));
                    Reply::Done
                });
                return cx.reply(id, reply);
            }
            Command::Connect(addr) => match with_peer(addr) {
                Ok((peer, addr)) => {
                    parts.links.handle(&mut cx, links::In::Heard { peer, addrs: vec![addr] });
                    return self.connect(now, out, id, peer);
                }
                Err(error) => return cx.reply(id, Err(error)),
            },
            Command::ConnectPeer(peer) => return self.connect(now, out, id, peer),
            Command::FindSkill(skill) => {
                return self.query(now, out, id, |query| Output::FindProviders { query, skill });
            }
            Command::FindPeer(peer) => return self.query(now, out, id, |query| Output::FindPeer { query, peer }),
            Command::Shutdown => {
                parts.presence.handle(&mut cx, presence::In::Leave);
                self.stopping = true;
                return cx.reply(id, Ok(Reply::Done));
            }
        };
        self.follow_tasks(now, out, notes);
    }

    fn connect(&mut self, now: Now, out: &mut Vec<Output>, command: CommandId, peer: PeerId) {
        let mut cx = Cx { now, shared: &mut self.shared, out };
        if self.parts.conduct.is_quarantined(&peer, now.mono) {
            return cx.reply(command, Err(CommandError::Quarantined));
        }
        let addrs = self.parts.presence.addrs(&peer);
        self.parts.links.handle(&mut cx, links::In::Connect { command, peer, addrs });
    }

    fn query(&mut self, now: Now, out: &mut Vec<Output>, command: CommandId, ask: impl FnOnce(QueryId) -> Output) {
        let mut cx = Cx { now, shared: &mut self.shared, out };
        if self.queries.len() >= QUERIES_MAX {
            return cx.reply(command, Err(CommandError::Full("searches")));
        }
        let id = cx.query_id();
        self.queries.insert(id, Query { command, due: now.mono + QUERY_TIMEOUT, peers: BTreeMap::new() });
        out.push(ask(id));
    }

    pub(super) fn found(
        &mut self,
        now: Now,
        out: &mut Vec<Output>,
        id: QueryId,
        peers: Vec<(PeerId, Vec<Multiaddr>)>,
        done: bool,
    ) {
        let Some(query) = self.queries.get_mut(&id) else { return };
        let mut cx = Cx { now, shared: &mut self.shared, out };
        for (peer, addrs) in peers {
            if peer == cx.me() || (query.peers.len() >= QUERY_PEERS_MAX && !query.peers.contains_key(&peer)) {
                continue;
            }
            self.parts.links.handle(&mut cx, links::In::Heard { peer, addrs: addrs.clone() });
            let held = query.peers.entry(peer).or_default();
            held.extend(addrs.into_iter().take(crate::limits::PRESENCE_ADDRS_MAX));
            held.truncate(crate::limits::PRESENCE_ADDRS_MAX);
        }
        if done {
            self.finish_query(now, out, id);
        }
    }

    pub(super) fn finish_query(&mut self, now: Now, out: &mut Vec<Output>, id: QueryId) {
        if let Some(query) = self.queries.remove(&id) {
            let peers = query.peers.into_iter().collect();
            Cx { now, shared: &mut self.shared, out }.reply(query.command, Ok(Reply::Peers(peers)));
        }
    }
}

/// An address and the peer at its end.
fn with_peer(addr: Multiaddr) -> Result<(PeerId, Multiaddr), CommandError> {
    match addr.iter().last() {
        Some(Part::P2p(peer)) => Ok((peer, addr)),
        _ => Err(CommandError::BadAddress { addr: addr.to_string(), why: "it does not end in /p2p/ and a peer id" }),
    }
}
