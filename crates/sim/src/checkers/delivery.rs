//! How much of what honest peers publish reaches the others, how fast, and how long spam is let through. What is judged:
//! once nothing breaks nearly everything arrives, and nobody takes in spam without end.

use std::collections::{BTreeMap, BTreeSet};

use mycomesh_core::{io::Verdict, limits::PRESENCE_RATE};

use super::{Checker, Figures, Observation, View};
use crate::{
    frames::Lie,
    gossip::{MessageNo, PeerNo},
    time::Micros,
};

/// Frames on their way.
#[derive(Debug, Default)]
pub(super) struct Delivery {
    open: BTreeMap<MessageNo, Way>,
    calm: Sum,
    /// From when on the first peers have joined, whatever breaks.
    joined: Sum,
    all: Sum,
    spam_accepted: u64,
    /// What each honest peer, as long as it runs, heard of each spammer.
    spam: BTreeMap<(PeerNo, PeerNo), Spam>,
    longest_spam: u64,
    most_spam: u32,
}

/// Spam of one spammer that one peer heard.
#[derive(Clone, Copy, Debug)]
struct Spam {
    /// Since when it took some in without a pause, and when last.
    began: Micros,
    last: Micros,
    /// From the spammer itself.
    accepted: u32,
}

#[derive(Debug)]
struct Way {
    began: Micros,
    /// Who should get it.
    missing: BTreeSet<PeerNo>,
    expected: u64,
    slowest: Micros,
}

#[derive(Debug, Default)]
struct Sum {
    expected: u64,
    arrived: u64,
    frames: u64,
    slowest: u64,
    total: u64,
    /// What each peer did not get.
    missed: BTreeMap<PeerNo, u64>,
}

/// What has not arrived by then never does: gossip's memory is five seconds, and longer ways are pulls.
const WITHIN: Micros = Micros::secs(10);
/// So long after healing everybody is in the mesh again, who started at that moment too: a relay is dialled again after 8 s at
/// the latest, a new heart beats after 5 s first, and both may be needed twice.
const REJOINED: Micros = Micros::secs(26);
/// So much arrives once nothing breaks, in millionths.
const ARRIVES_PPM: u64 = 990_000;
/// Fewer are too few to say so.
const EXPECTED_MIN: u64 = 500;
/// Who takes in nothing of a spammer for so long has cut it, for the time being at least: a rate lets some through in
/// each second.
const PAUSE: Micros = Micros::secs(2);
/// Spam that one peer takes in from a spammer it is connected to before it refuses the spammer: a bucket, and for each violation on the
/// way to quarantine at most another, where the spammer rests in between.
const SPAM_MAX: u32 = 5 * PRESENCE_RATE.burst;

impl Checker for Delivery {
    fn name(&self) -> &'static str {
        "delivery"
    }

    fn observe(&mut self, view: &View<'_>, observation: &Observation<'_>) -> Result<(), String> {
        match *observation {
            Observation::Published { peer, frame } if view.peer(peer).is_honest() => {
                let own = view.frames.get(frame).and_then(|frame| frame.content.signer());
                if own == Some(view.peer(peer).id) {
                    let others = view.peers.iter().filter(|other| other.alive && other.is_honest() && other.no != peer);
                    let missing: BTreeSet<PeerNo> = others.map(|other| other.no).collect();
                    let expected = missing.len() as u64;
                    self.open.insert(frame, Way { began: view.now, missing, expected, slowest: Micros::default() });
                }
                self.close(view, false);
            }
            Observation::Verdict { peer, from, frame, verdict } => {
                if let Some(way) = self.open.get_mut(&frame)
                    && way.missing.remove(&peer)
                {
                    way.slowest = view.now.since(way.began);
                }
                self.judge_spam(view, peer, from, frame, verdict)?;
            }
            Observation::Stopping { peer, .. } => {
                // It cannot get any more; nobody is to blame.
                self.spam.retain(|(observer, _), _| *observer != peer);
                for way in self.open.values_mut() {
                    way.expected -= u64::from(way.missing.remove(&peer));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self, view: &View<'_>) -> Result<Figures, String> {
        self.close(view, true);
        let share = |sum: &Sum| (sum.arrived * 1_000_000).checked_div(sum.expected).unwrap_or(1_000_000);
        let mean = |sum: &Sum| sum.total.checked_div(sum.frames).unwrap_or(0);
        if self.calm.expected >= EXPECTED_MIN && share(&self.calm) < ARRIVES_PPM {
            let (arrived, expected) = (self.calm.arrived, self.calm.expected);
            let most = self.calm.missed.iter().max_by_key(|(_, missed)| **missed);
            let most = most.map_or(String::new(), |(peer, missed)| format!("; peer {} missed {missed}", peer.0));
            return Err(format!("{arrived} of {expected} arrived after everything was whole{most}"));
        }
        Ok([
            ("frames", self.all.frames),
            ("arrived_ppm", share(&self.all)),
            ("arrived_after_joining_ppm", share(&self.joined)),
            ("frames_when_whole", self.calm.frames),
            ("arrived_when_whole_ppm", share(&self.calm)),
            ("last_arrival_mean_ms", mean(&self.calm)),
            ("last_arrival_max_ms", self.calm.slowest),
            ("spam_accepted", self.spam_accepted),
            ("spam_accepted_straight_most", self.most_spam.into()),
            ("spam_let_through_ms", self.longest_spam),
        ]
        .into())
    }
}

impl Delivery {
    /// Count what is old enough.
    fn close(&mut self, view: &View<'_>, all: bool) {
        while let Some(entry) = self.open.first_entry() {
            let age = view.now.since(entry.get().began);
            if age < WITHIN {
                if !all {
                    break;
                }
                entry.remove();
                continue;
            }
            let way = entry.remove();
            let calm = view.healed.is_some_and(|healed| healed + REJOINED < way.began);
            let joined = way.began > Micros::secs(view.scenario.join_s) + WITHIN;
            let sums = [Some(&mut self.all), calm.then_some(&mut self.calm), joined.then_some(&mut self.joined)];
            for sum in sums.into_iter().flatten() {
                let slowest = way.slowest.as_millis();
                sum.frames += 1;
                sum.expected += way.expected;
                sum.arrived += way.expected - way.missing.len() as u64;
                for peer in &way.missing {
                    *sum.missed.entry(*peer).or_default() += 1;
                }
                sum.slowest = sum.slowest.max(slowest);
                sum.total += slowest;
            }
        }
    }

    fn judge_spam(
        &mut self,
        view: &View<'_>,
        peer: PeerNo,
        from: PeerNo,
        no: MessageNo,
        verdict: Verdict,
    ) -> Result<(), String> {
        let Some(frame) = view.frames.get(no).filter(|frame| frame.lie == Some(Lie::Spam)) else { return Ok(()) };
        let Some(spammer) = frame.content.signer().and_then(|signer| view.by_id.get(&signer)) else { return Ok(()) };
        if verdict != Verdict::Accept || !view.peer(peer).is_honest() {
            return Ok(());
        }
        self.spam_accepted += 1;
        let new = Spam { began: view.now, last: view.now, accepted: 0 };
        let spam = self.spam.entry((peer, *spammer)).or_insert(new);
        // What others hand on is theirs to cut: a crowd of newcomers who do not know the spammer yet brings more.
        spam.accepted += u32::from(from == *spammer);
        if view.now.since(spam.last) > PAUSE {
            spam.began = view.now;
        }
        spam.last = view.now;
        self.most_spam = self.most_spam.max(spam.accepted);
        self.longest_spam = self.longest_spam.max(view.now.since(spam.began).as_millis());
        if spam.accepted > SPAM_MAX {
            let (spammer, count) = (spammer.0, spam.accepted);
            return Err(format!("peer {} took in {count} frames of spam straight from peer {spammer}", peer.0));
        }
        Ok(())
    }
}
