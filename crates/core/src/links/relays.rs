//! The relays this node joins through: dialling, reservations, and how far joining has come.

use libp2p_identity::PeerId;
use multiaddr::Multiaddr;

use super::{State, backoff};
use crate::{
    cx::Cx,
    io::{Event, Output, ReservationError},
    limits::{REDIAL_MAX, RELAYS_MAX, RESERVE_TIMEOUT},
    planted::Bug,
    snapshot::{JoinStage, Problem},
    time::{Millis, Time},
};

/// A relay this node was told to use.
#[derive(Debug)]
pub(super) struct Relay {
    pub(super) peer: PeerId,
    pub(super) addrs: Vec<Multiaddr>,
    pub(super) reserved: bool,
    /// A reservation was asked for and must be answered by then.
    pub(super) asked: Option<Time>,
    /// When to try again, and how often it failed in a row.
    pub(super) retry: Option<Time>,
    pub(super) failures: u32,
    /// Why the reservation is not granted.
    pub(super) refusal: Option<ReservationError>,
    pub(super) other_network: bool,
    /// It was connected and is not any more.
    pub(super) lost: bool,
}

/// How long a node that just started waits for its owner to name a relay.
pub(super) const RELAYLESS_GRACE: Millis = Millis(1_000);

impl State {
    pub(super) fn set_relays(&mut self, cx: &mut Cx<'_>, relays: Vec<(PeerId, Multiaddr)>) {
        let mut wanted: Vec<Relay> = Vec::new();
        for (peer, addr) in relays {
            if let Some(relay) = wanted.iter_mut().find(|relay| relay.peer == peer) {
                relay.addrs.push(addr);
            } else if wanted.len() < RELAYS_MAX {
                wanted.push(Relay::new(peer, addr));
            }
        }
        for old in std::mem::take(&mut self.relays) {
            match wanted.iter_mut().find(|relay| relay.peer == old.peer) {
                Some(relay) if relay.addrs == old.addrs => *relay = old,
                Some(_) => {}
                None if old.reserved || old.asked.is_some() => cx.out.push(Output::Unreserve { relay: old.peer }),
                None => {}
            }
        }
        self.relays = wanted;
        self.try_relays(cx);
    }

    pub(super) fn try_relays(&mut self, cx: &mut Cx<'_>) {
        let now = cx.now.mono;
        let mut failed = Vec::new();
        for relay in &mut self.relays {
            if relay.asked.is_some_and(|due| now >= due) {
                relay.asked = None;
                failed.push((relay.peer, ReservationError::Failed("it did not answer in time".into())));
            }
        }
        for (peer, reason) in failed {
            self.reservation_failed(cx, peer, reason);
        }
        let mut dials = Vec::new();
        for relay in &mut self.relays {
            if relay.retry.is_some_and(|retry| now < retry) {
                continue;
            }
            relay.retry = None;
            if !self.peers.contains_key(&relay.peer) && relay.lost && cx.planted(Bug::RelayNotRedialled) {
                continue;
            }
            if !self.peers.contains_key(&relay.peer) {
                if !self.dials.get(&relay.peer).is_some_and(|dial| dial.under_way) {
                    dials.push((relay.peer, relay.addrs.clone()));
                }
            } else if cx.shared.config.reserve && !relay.reserved && relay.asked.is_none() {
                relay.asked = Some(now + RESERVE_TIMEOUT);
                let addr = relay.addrs.first().cloned().unwrap_or_else(Multiaddr::empty);
                cx.out.push(Output::Reserve { relay: relay.peer, addr });
            }
        }
        for (peer, addrs) in dials {
            self.dial(cx, peer, addrs);
        }
    }

    pub(super) fn reserved(&mut self, cx: &mut Cx<'_>, peer: PeerId) {
        if let Some(relay) = self.relays.iter_mut().find(|relay| relay.peer == peer) {
            relay.reserved = true;
            relay.asked = None;
            relay.retry = None;
            relay.failures = 0;
            relay.refusal = None;
            self.newcomer(cx.now.mono);
        }
    }

    pub(super) fn reservation_failed(&mut self, cx: &mut Cx<'_>, peer: PeerId, reason: ReservationError) {
        let Some(relay) = self.relays.iter_mut().find(|relay| relay.peer == peer) else { return };
        relay.reserved = false;
        relay.asked = None;
        relay.retry = Some(cx.now.mono + backoff(relay.failures, REDIAL_MAX));
        relay.failures += 1;
        relay.refusal = Some(reason);
    }

    pub(super) fn restage(&mut self, cx: &mut Cx<'_>) {
        let (stage, problem) = self.judge(cx);
        if stage != self.stage || problem != self.problem {
            self.stage = stage;
            self.problem = problem.clone();
            cx.touch(cx.shared.me);
            cx.event(Event::Join { stage, problem });
        }
    }

    fn judge(&self, cx: &Cx<'_>) -> (JoinStage, Option<Problem>) {
        if self.stage == JoinStage::Starting {
            return (JoinStage::Starting, None);
        }
        let reserve = cx.shared.config.reserve;
        if self.relays.is_empty() && self.grace.is_some() && reserve && self.listening.is_empty() {
            return (JoinStage::Identity, None);
        }
        if self.relays.is_empty() {
            return match !self.listening.is_empty() || !reserve {
                true => (JoinStage::Joined, None),
                false => (
                    JoinStage::Failed,
                    problem("No relay is known.", "Open an invite link, or enter a relay's address in Settings."),
                ),
            };
        }
        let usable = |relay: &&Relay| self.peers.contains_key(&relay.peer) && !relay.other_network;
        if self.relays.iter().any(|relay| usable(&relay) && (relay.reserved || !reserve)) {
            return (JoinStage::Joined, None);
        }
        if let Some(relay) = self.relays.iter().find(usable) {
            return match &relay.refusal {
                None => (JoinStage::Reserving, None),
                Some(reason) => (JoinStage::Failed, refused(reason)),
            };
        }
        if self.relays.iter().any(|relay| relay.other_network) {
            let what = format!("The relay does not serve the network \"{}\".", cx.shared.config.network);
            return (JoinStage::Failed, problem(&what, "Check the network's name in the invite link or in Settings."));
        }
        let reason = self.relays.iter().find_map(|relay| self.dials.get(&relay.peer)?.reason.clone());
        match reason {
            Some(reason) => (
                JoinStage::Failed,
                problem(
                    &format!("The relay cannot be reached: {reason}."),
                    "Check that it runs and that you are online; this page keeps trying.",
                ),
            ),
            None if self.relays.iter().any(|relay| relay.lost) => (
                JoinStage::Dialing,
                problem(
                    "The connection to the relay was lost.",
                    "It is being dialled again; peers you are connected with stay connected.",
                ),
            ),
            None => (JoinStage::Dialing, None),
        }
    }
}

impl Relay {
    fn new(peer: PeerId, addr: Multiaddr) -> Self {
        Self {
            peer,
            addrs: vec![addr],
            reserved: false,
            asked: None,
            retry: None,
            failures: 0,
            refusal: None,
            other_network: false,
            lost: false,
        }
    }
}

fn refused(reason: &ReservationError) -> Option<Problem> {
    match reason {
        ReservationError::Full => problem(
            "The relay is full: it has no room for another peer.",
            "This page keeps trying; another relay can be entered in Settings.",
        ),
        ReservationError::Unsupported => {
            problem("This peer does not relay for others.", "Enter the address of a relay in Settings.")
        }
        ReservationError::Failed(detail) => problem(
            &format!("The relay gave no reservation: {detail}."),
            "This page keeps trying; another relay can be entered in Settings.",
        ),
        ReservationError::Lost => problem("The relay ended the reservation.", "This page asks for a new one."),
    }
}

fn problem(what: &str, advice: &str) -> Option<Problem> {
    Some(Problem { what: what.into(), advice: advice.into() })
}
