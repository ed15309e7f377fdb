//! From a relayed link to a direct one, and which of several links to a peer goes.
//!
//! A relayed link is used at once. Beside it a direct one is tried: by the addresses that the peer
//! announces, or browser to browser (`/webrtc`), signalled over the relayed link. The side that dialled
//! begins, the other follows after [`UPGRADE_WAIT`] if need be. What fails is tried again with growing
//! waits, and the reason is kept for people to read.
//!
//! A link is closed only when another one replaces it *and has answered a ping since both stand*. So a
//! new relayed link is not closed in favour of a direct one whose other end is gone: that the peer
//! comes through the relay again may be how this side first hears of it.

use libp2p_identity::PeerId;
use multiaddr::{Multiaddr, Protocol as Part};

use super::{Dial, Link, State};
use crate::{
    cx::Cx,
    io::{DialError, Output, Path},
    limits::{
        DIALS_MAX, HOPES_LOST_MAX, LINK_STABLE, PRESENCE_ADDRS_MAX, REPLACED_GRACE, UPGRADE_JITTER, UPGRADE_RETRY_MAX,
        UPGRADE_RETRY_MIN, UPGRADE_WAIT, UPGRADES_MAX, UPGRADES_REMEMBERED_MAX,
    },
    time::{Millis, Time},
};

/// The way to a direct link for one peer that is, or was, reached through a relay.
#[derive(Clone, Debug)]
pub(super) struct Upgrade {
    /// Addresses of its own that it announces.
    addrs: Vec<Multiaddr>,
    /// Whether it takes `/webrtc` connections; none while it is not known.
    webrtc: Option<bool>,
    under_way: bool,
    /// When the next attempt may begin.
    due: Time,
    /// When its own addresses may be tried: not right after the dial that found only the circuit.
    addrs_due: Time,
    /// When the last attempt began.
    tried: Option<Time>,
    failures: u32,
    /// Why there is no direct link.
    reason: Option<String>,
    /// The relayed link was made only because it may become direct.
    hope: bool,
}

/// Whether direct ways to neighbours are found from here at all.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Hopes {
    /// How many in a row were not.
    lost: u32,
    /// No neighbour is dialled in the hope of a direct way before then.
    none_before: Time,
}

impl Upgrade {
    fn new(due: Time) -> Self {
        Self {
            addrs: Vec::new(),
            webrtc: None,
            under_way: false,
            due,
            addrs_due: due,
            tried: None,
            failures: 0,
            reason: None,
            hope: false,
        }
    }

    /// Remember what a presence announces. Whether it is anything new to try.
    fn take(&mut self, announced: &[Multiaddr]) -> bool {
        let webrtc = announced.iter().any(|addr| Path::of(addr) == Path::DirectWebrtc);
        let addrs: Vec<_> = announced.iter().filter(|addr| is_own(addr)).take(PRESENCE_ADDRS_MAX).cloned().collect();
        let new = (webrtc && self.webrtc != Some(true)) || addrs.iter().any(|addr| !self.addrs.contains(addr));
        if webrtc {
            self.webrtc = Some(true);
        }
        self.addrs = addrs;
        new
    }

    /// There is something new to try: do so soon, but never sooner than after the shortest wait, since
    /// the other side decides what is new.
    fn hurry(&mut self, now: Time) {
        if let Some(tried) = self.tried {
            self.failures = 0;
            self.due = self.due.min((tried + UPGRADE_RETRY_MIN).max(now));
        }
    }

    fn back_off(&mut self, now: Time) {
        let wait = Millis(UPGRADE_RETRY_MIN.0 << self.failures.min(16)).min(UPGRADE_RETRY_MAX);
        self.failures += 1;
        self.due = now + wait;
    }
}

impl State {
    /// A relayed link came up; `dial` is what led to it.
    pub(super) fn relayed_up(
        &mut self,
        cx: &mut Cx<'_>,
        peer: PeerId,
        dialled: bool,
        dial: Option<Dial>,
        addrs: &[Multiaddr],
    ) {
        let now = cx.now.mono;
        let turn = turn(cx, dialled);
        let upgrade = self.upgrades.entry(peer).or_insert_with(|| Upgrade::new(turn));
        // An earlier failure is not forgotten because the peer came again.
        upgrade.due = upgrade.due.max(turn);
        upgrade.take(addrs);
        if let Some(dial) = dial.filter(|_| dialled) {
            upgrade.hope = dial.hope;
            if dial.direct {
                upgrade.addrs_due = now + UPGRADE_RETRY_MIN;
                upgrade.reason.get_or_insert_with(|| no_path("its own addresses do not answer"));
            }
        }
        self.forget_upgrades();
    }

    /// A direct link came up.
    pub(super) fn direct_up(&mut self, peer: PeerId, path: Path, dialled: bool) {
        if path == Path::DirectWebrtc {
            self.hopes = Hopes::default();
        }
        if let Some(upgrade) = self.upgrades.get_mut(&peer) {
            upgrade.under_way &= !dialled;
            upgrade.hope = false;
        }
    }

    /// A direct link went, and no other is left. Whether it had worked and nobody here closed it.
    pub(super) fn direct_down(&mut self, cx: &mut Cx<'_>, peer: PeerId, link: &Link) -> bool {
        let now = cx.now.mono;
        let worked = now.since(link.since) >= LINK_STABLE;
        let relayed = self.peers.get(&peer).into_iter().flat_map(|linked| linked.links.values());
        let turn = turn(cx, relayed.into_iter().any(|link| link.dialled));
        if let Some(upgrade) = self.upgrades.get_mut(&peer) {
            if worked {
                upgrade.failures = 0;
                upgrade.reason = None;
                upgrade.due = turn;
            } else {
                upgrade.reason = Some(no_path("the direct connection broke at once"));
                upgrade.back_off(now);
            }
        }
        worked && !link.closing
    }

    /// A peer announces other addresses than before.
    pub(super) fn announced(&mut self, cx: &Cx<'_>, peer: PeerId, addrs: &[Multiaddr]) {
        if let Some(upgrade) = self.upgrades.get_mut(&peer)
            && upgrade.take(addrs)
        {
            upgrade.hurry(cx.now.mono);
        }
    }

    /// An address was heard of by another way than a presence.
    pub(super) fn heard_more(&mut self, cx: &Cx<'_>, peer: PeerId) {
        if let Some(upgrade) = self.upgrades.get_mut(&peer) {
            upgrade.hurry(cx.now.mono);
        }
    }

    /// A peer said whether it takes the signalling. A yes stays: what is asked over a direct connection
    /// may be answered otherwise than over the relayed one.
    pub(super) fn identified(&mut self, cx: &mut Cx<'_>, peer: PeerId, webrtc: bool) {
        let Some(upgrade) = self.upgrades.get_mut(&peer) else { return };
        if upgrade.webrtc == Some(true) || upgrade.webrtc == Some(webrtc) {
            return;
        }
        upgrade.webrtc = Some(webrtc);
        if webrtc {
            upgrade.hurry(cx.now.mono);
        }
        cx.show();
    }

    pub(super) fn upgrade_failed(&mut self, cx: &mut Cx<'_>, peer: PeerId, reason: &DialError) {
        let now = cx.now.mono;
        let Some(upgrade) = self.upgrades.get_mut(&peer).filter(|upgrade| upgrade.under_way) else { return };
        upgrade.under_way = false;
        upgrade.reason = Some(match reason {
            DialError::NoPath(sentence) => sentence.clone(),
            other => no_path(other),
        });
        upgrade.back_off(now);
        cx.show();
        if std::mem::take(&mut upgrade.hope) && self.path(&peer).0 == Path::Relayed {
            self.lose_hope(cx, peer);
        }
        self.forget_upgrades();
    }

    /// No direct way to this neighbour was found, and as a relayed one it is not wanted.
    fn lose_hope(&mut self, cx: &mut Cx<'_>, peer: PeerId) {
        self.hopes.lost += 1;
        if self.hopes.lost >= HOPES_LOST_MAX {
            self.hopes = Hopes { lost: 0, none_before: cx.now.mono + UPGRADE_RETRY_MAX };
        }
        let links = self.peers.get_mut(&peer).into_iter().flat_map(|linked| &mut linked.links);
        for (link, at) in links.filter(|(_, at)| at.dialled && !at.closing) {
            at.closing = true;
            cx.out.push(Output::CloseLink { link: *link });
        }
    }

    /// Whether a neighbour may be dialled through a relay because the link is likely to become direct.
    pub(super) fn may_hope(&self, peer: &PeerId, now: Time) -> bool {
        let failed = self.upgrades.get(peer).is_some_and(|upgrade| upgrade.failures > 0 && now < upgrade.due);
        self.webrtc && now >= self.hopes.none_before && !failed
    }

    /// Something of ours needs this peer: its link is not given up for being relayed.
    pub(super) fn needed(&mut self, peer: &PeerId) {
        if let Some(upgrade) = self.upgrades.get_mut(peer) {
            upgrade.hope = false;
        }
        if let Some(dial) = self.dials.get_mut(peer) {
            dial.hope = false;
        }
    }

    /// The machine woke or the network changed: what failed before may work now.
    pub(super) fn wake_upgrades(&mut self, now: Time) {
        self.hopes = Hopes::default();
        for upgrade in self.upgrades.values_mut() {
            upgrade.failures = 0;
            upgrade.due = now;
            upgrade.addrs_due = now;
        }
    }

    // --- what is due -------------------------------------------------------------------------

    /// Close what has been replaced, and begin the attempts that are due.
    pub(super) fn improve(&mut self, cx: &mut Cx<'_>) {
        self.close_replaced(cx);
        let now = cx.now.mono;
        let free = self.upgrades_free();
        if free == 0 {
            return;
        }
        let mut due: Vec<(Time, PeerId)> = self.upgrades_open().filter(|(due, _)| *due <= now).collect();
        due.sort_unstable();
        for (_, peer) in due.into_iter().take(free) {
            let addrs = self.upgrade_addrs(&peer, now);
            let Some(upgrade) = self.upgrades.get_mut(&peer).filter(|_| !addrs.is_empty()) else { continue };
            upgrade.under_way = true;
            upgrade.tried = Some(now);
            cx.show();
            cx.out.push(Output::Dial { peer, addrs, upgrade: true });
        }
    }

    pub(super) fn upgrade_deadline(&self, me: &PeerId) -> Option<Time> {
        let attempts = self.upgrades_open().filter(|_| self.upgrades_free() > 0).map(|(due, _)| due);
        let closings = self.peers.iter().filter(|(_, linked)| linked.links.len() > 1).flat_map(|(peer, linked)| {
            let links = || linked.links.values().filter(|link| !link.closing);
            let lower = me < peer;
            links().flat_map(move |old| links().filter_map(move |new| replaced_at(old, new, lower)))
        });
        attempts.chain(closings).min()
    }

    /// Attempts that may begin now.
    fn upgrades_free(&self) -> usize {
        let upgrades = self.upgrades_under_way();
        UPGRADES_MAX.saturating_sub(upgrades).min(DIALS_MAX.saturating_sub(upgrades + self.dials_under_way()))
    }

    pub(super) fn upgrades_under_way(&self) -> usize {
        self.upgrades.values().filter(|upgrade| upgrade.under_way).count()
    }

    /// Peers with a relayed link and something to try, and when.
    fn upgrades_open(&self) -> impl Iterator<Item = (Time, PeerId)> {
        self.upgrades.iter().filter(|(peer, upgrade)| !upgrade.under_way && self.stays_relayed(peer)).filter_map(
            |(peer, upgrade)| {
                let due = if self.webrtc && upgrade.webrtc == Some(true) {
                    upgrade.due
                } else if !upgrade.addrs.is_empty() || self.heard_own(peer).next().is_some() {
                    upgrade.due.max(upgrade.addrs_due)
                } else {
                    return None;
                };
                Some((due, *peer))
            },
        )
    }

    /// Whether there are only relayed links to `peer`, of which one is to stay.
    fn stays_relayed(&self, peer: &PeerId) -> bool {
        self.path(peer).0 == Path::Relayed
            && self.peers.get(peer).is_some_and(|linked| linked.links.values().any(|link| !link.closing))
    }

    /// What to try now, best first.
    fn upgrade_addrs(&self, peer: &PeerId, now: Time) -> Vec<Multiaddr> {
        let Some(upgrade) = self.upgrades.get(peer) else { return Vec::new() };
        let webrtc = (self.webrtc && upgrade.webrtc == Some(true)).then(|| Multiaddr::from(Part::WebRTC));
        let mut addrs: Vec<Multiaddr> = Vec::new();
        if now >= upgrade.addrs_due {
            for addr in upgrade.addrs.iter().chain(self.heard_own(peer)) {
                if !addrs.contains(addr) {
                    addrs.push(addr.clone());
                }
            }
            addrs.sort_by_key(|addr| std::cmp::Reverse(Path::of(addr)));
        }
        webrtc.into_iter().chain(addrs).collect()
    }

    fn heard_own(&self, peer: &PeerId) -> impl Iterator<Item = &Multiaddr> {
        self.heard.get(peer).into_iter().flatten().filter(|addr| is_own(addr))
    }

    fn close_replaced(&mut self, cx: &mut Cx<'_>) {
        let (now, me) = (cx.now.mono, cx.me());
        for (peer, linked) in self.peers.iter_mut().filter(|(_, linked)| linked.links.len() > 1) {
            let all: Vec<_> = linked.links.keys().copied().collect();
            for id in all {
                let Some(old) = linked.links.get(&id).copied().filter(|link| !link.closing) else { continue };
                let mut others = linked.links.values().filter(|link| !link.closing);
                if !others.any(|new| replaced_at(&old, new, me < *peer).is_some_and(|at| now >= at)) {
                    continue;
                }
                if let Some(link) = linked.links.get_mut(&id) {
                    link.closing = true;
                }
                cx.out.push(Output::CloseLink { link: id });
            }
        }
    }

    /// Of peers without a link only the latest failures are remembered.
    fn forget_upgrades(&mut self) {
        let gone = |peer: &PeerId, upgrade: &Upgrade| !upgrade.under_way && !self.peers.contains_key(peer);
        let mut gone: Vec<(bool, Time, PeerId)> = self
            .upgrades
            .iter()
            .filter(|(peer, upgrade)| gone(peer, upgrade))
            .map(|(peer, upgrade)| (upgrade.failures > 0, upgrade.due, *peer))
            .collect();
        if gone.len() <= UPGRADES_REMEMBERED_MAX {
            return;
        }
        gone.sort_unstable();
        for (.., peer) in &gone[..gone.len() - UPGRADES_REMEMBERED_MAX] {
            self.upgrades.remove(peer);
        }
    }

    // --- for people --------------------------------------------------------------------------

    /// Why a peer is only reached through a relay, if that is known.
    pub(super) fn relayed_because(&self, peer: &PeerId) -> Option<String> {
        let upgrade = self.upgrades.get(peer)?;
        if upgrade.under_way {
            return Some("a direct connection is being tried".into());
        }
        if let Some(reason) = &upgrade.reason {
            return Some(reason.clone());
        }
        let untried = !upgrade.addrs.is_empty() || self.heard_own(peer).next().is_some();
        let why = match (self.webrtc, upgrade.webrtc) {
            (true, Some(true)) => "a direct connection will be tried",
            _ if untried => "a direct connection will be tried",
            (true, None) => return None,
            (false, _) => "this side has no WebRTC and the other no address of its own",
            (true, Some(false)) => "the other side has no WebRTC and no address of its own",
        };
        Some(why.into())
    }
}

/// When `old` is to go because `new` replaces it; none while it does not, or has not shown that it
/// works since both stand. `lower` says whether this side has the lower id: of two WebRTC links that
/// were opened at the same time it closes the other side's, and only it closes any, so that one stays
/// whatever each side hears of first.
fn replaced_at(old: &Link, new: &Link, lower: bool) -> Option<Time> {
    let relayed = old.path == Path::Relayed && new.path > Path::Relayed;
    let both_webrtc = old.path == Path::DirectWebrtc && new.path == Path::DirectWebrtc;
    let twice = lower && both_webrtc && !old.dialled && new.dialled;
    let since = old.since.max(new.since);
    let proven = new.proven.is_some_and(|proven| proven >= since);
    ((relayed || twice) && proven).then(|| since + REPLACED_GRACE)
}

/// When this side may begin: at once where it dialled the relayed link.
fn turn(cx: &mut Cx<'_>, dialled: bool) -> Time {
    if dialled { cx.now.mono } else { cx.now.mono + UPGRADE_WAIT + Millis(cx.random(UPGRADE_JITTER.0)) }
}

/// Whether an address leads to its peer without anybody in between.
fn is_own(addr: &Multiaddr) -> bool {
    !matches!(Path::of(addr), Path::None | Path::Relayed | Path::DirectWebrtc)
}

fn no_path(detail: impl std::fmt::Display) -> String {
    format!("no direct path was found: {detail}")
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use libp2p_identity::Keypair;

    use super::*;
    use crate::{
        cx::Shared,
        io::LinkId,
        links::{In, Note},
        time::Now,
        wire::signed::Strict,
    };

    /// One relayed link that the lower side dialled, and two WebRTC links, one from each side.
    const LINKS: [(LinkId, Path, usize); 3] = [
        (LinkId(1), Path::Relayed, LOWER),
        (LinkId(2), Path::DirectWebrtc, LOWER),
        (LinkId(3), Path::DirectWebrtc, HIGHER),
    ];
    const LOWER: usize = 0;
    const HIGHER: usize = 1;

    /// When a side hears that a link which the other closed is gone.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum News {
        AtOnce,
        AfterTheNextEvent,
        AtTheEnd,
    }

    /// One side's view of the links.
    struct Side {
        me: PeerId,
        state: State,
        shared: Shared,
        up: BTreeSet<LinkId>,
        heard_of: BTreeSet<LinkId>,
    }

    /// Both sides of three links, with every event delivered one by one.
    struct Pair {
        sides: [Side; 2],
        now: Time,
        closed: BTreeSet<LinkId>,
        /// Ends that were not heard of yet.
        news: Vec<(usize, LinkId)>,
    }

    impl Pair {
        fn new(keys: &[Keypair; 2]) -> Self {
            let side = |key: &Keypair| Side {
                me: key.public().to_peer_id(),
                state: State::default(),
                shared: Shared::new(crate::Config::default(), key.clone(), [0; 32], Box::new(Strict)),
                up: BTreeSet::new(),
                heard_of: BTreeSet::new(),
            };
            let mut pair = Self {
                sides: [side(&keys[LOWER]), side(&keys[HIGHER])],
                now: Time(0),
                closed: BTreeSet::new(),
                news: Vec::new(),
            };
            for at in [LOWER, HIGHER] {
                pair.give(at, In::Start);
            }
            pair
        }

        fn give(&mut self, at: usize, input: In<'_>) -> Option<Note> {
            let Side { state, shared, .. } = &mut self.sides[at];
            let mut out = Vec::new();
            let now = Now { mono: self.now, unix: crate::time::UnixMillis(self.now.0) };
            let note = state.handle(&mut Cx { now, shared, out: &mut out }, input);
            for output in out {
                if let Output::CloseLink { link } = output {
                    assert!(self.sides[at].up.contains(&link), "{link:?} is not there to be closed");
                    if self.closed.insert(link) {
                        self.news.extend([(LOWER, link), (HIGHER, link)]);
                    }
                }
            }
            note
        }

        fn connected(&mut self, at: usize, link: LinkId) {
            let (_, path, dialler) = LINKS.into_iter().find(|(id, ..)| *id == link).expect("one of the three");
            let peer = self.sides[1 - at].me;
            self.sides[at].up.insert(link);
            self.sides[at].heard_of.insert(link);
            self.give(at, In::Connected { peer, link, path, dialled: at == dialler, addrs: &[] });
        }

        /// Tell of ends, of those links that the side has heard of.
        fn tell(&mut self) {
            while let Some(next) = self.news.iter().position(|(at, link)| self.sides[*at].heard_of.contains(link)) {
                let (at, link) = self.news.remove(next);
                let peer = self.sides[1 - at].me;
                self.sides[at].up.remove(&link);
                let note = self.give(at, In::Disconnected { peer, link });
                assert_eq!(note, None, "the last link of side {at} went");
            }
        }

        /// Three seconds, with an answered ping on every link that stands on both sides.
        fn pass(&mut self) {
            self.now = self.now + REPLACED_GRACE;
            for at in [LOWER, HIGHER] {
                let peer = self.sides[1 - at].me;
                let standing = self.sides[0].up.intersection(&self.sides[1].up);
                let standing: Vec<_> = standing.filter(|link| !self.closed.contains(link)).copied().collect();
                for link in standing {
                    self.give(at, In::Rtt { peer, link, rtt: Millis(1) });
                }
                self.give(at, In::Tick(&[]));
            }
        }
    }

    fn orders<T: Copy>(items: &[T]) -> Vec<Vec<T>> {
        if items.is_empty() {
            return vec![Vec::new()];
        }
        (0..items.len())
            .flat_map(|first| {
                let mut rest = items.to_vec();
                let head = rest.remove(first);
                orders(&rest).into_iter().map(move |tail| [vec![head], tail].concat())
            })
            .collect()
    }

    #[test]
    fn of_links_opened_by_both_sides_at_once_exactly_one_stays_in_every_order_of_events() {
        let mut keys = [1, 2].map(|seed| Keypair::ed25519_from_bytes([seed; 32]).expect("a key"));
        keys.sort_by_key(|key| key.public().to_peer_id());
        let events: Vec<(usize, LinkId)> =
            [LOWER, HIGHER].into_iter().flat_map(|at| LINKS.map(|(link, ..)| (at, link))).collect();
        let mut kept: BTreeMap<Vec<LinkId>, u32> = BTreeMap::new();
        for order in orders(&events) {
            // Before which of the events time passes.
            for pauses in 0..1u32 << order.len() {
                let news = [News::AtOnce, News::AfterTheNextEvent, News::AtTheEnd];
                for news in if pauses == 0 { &news[..1] } else { &news[..] } {
                    let mut pair = Pair::new(&keys);
                    for (step, (at, link)) in order.iter().enumerate() {
                        if pauses >> step & 1 == 1 {
                            pair.pass();
                        }
                        if *news == News::AtOnce {
                            pair.tell();
                        }
                        pair.connected(*at, *link);
                        if *news == News::AfterTheNextEvent {
                            pair.tell();
                        }
                        let open = LINKS.iter().filter(|(link, ..)| !pair.closed.contains(link)).count();
                        assert!(open > 0, "all were closed: {order:?} {pauses:b} {news:?}");
                    }
                    for _ in 0..4 {
                        pair.pass();
                        pair.tell();
                    }
                    let [lower, higher] = pair.sides.map(|side| side.up);
                    assert_eq!(lower, higher, "{order:?} {pauses:b} {news:?}");
                    *kept.entry(lower.into_iter().collect()).or_default() += 1;
                }
            }
        }
        assert_eq!(kept.into_keys().collect::<Vec<_>>(), [[LinkId(2)]], "the one that the lower side opened");
    }
}
