//! Trust in a peer, computed by this node for itself from receipts and its own observations.
//!
//! Per component a Beta estimate (Jøsang and Ismail, *The Beta Reputation System*, 2002) over
//! weighted evidence that fades with age. What others signed is discounted by the trust in them and
//! capped, so that many receipts of one signer count no more than a few. A component without
//! evidence is left out and its weight goes to the others; then the score shrinks toward
//! [`FLOOR`] by the amount of evidence, so that a newcomer starts there and nobody falls below it.
//!
//! Everything is integer: weights in [`UNIT`]s, shares in basis points.

use std::collections::{BTreeMap, BTreeSet};

use libp2p_identity::PeerId;

use crate::{
    cx::Cx,
    io::Event,
    limits::EVIDENCE_ROWS_MAX,
    planted::{Bug, Planted},
    receipts,
    snapshot::{ReceiptView, TrustComponent, TrustView},
    time::{Millis, Time, UnixMillis},
    units::Bps,
    wire::{Outcome, Rating, Signed},
};

/// Where every identity starts, and the least anybody can have: with a lower minimum a peer in
/// disgrace would gain by a new identity. A guess until the simulator's attack scenarios tune it.
pub const FLOOR: Bps = Bps::percent(20);
/// One receipt of a fully trusted signer weighs this much.
pub const UNIT: u64 = 10_000;
/// What all receipts of one other signer about one provider weigh at most.
const SIGNER_CAP: u64 = UNIT;
/// What this node's own receipts about one provider weigh at most.
const OWN_CAP: u64 = 10 * UNIT;
/// Prior of the Beta estimates: half a success and half a failure (Jeffreys).
const PRIOR: u64 = UNIT / 2;
/// Evidence at which a score has gone half of the way from the floor to what the evidence says.
/// A guess; four strangers with five receipts each carry a good peer over the default threshold.
const HALFWAY: u64 = UNIT;
/// Scores fade with age; they are computed anew this often.
const RECOMPUTE: Millis = Millis::secs(3_600);

/// Weights of a trust formula. They sum to [`Bps::ONE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Its name.
    pub name: &'static str,
    /// Component and weight.
    pub weights: [(&'static str, Bps); 5],
}

/// The profile `balanced` (seed A12): .30 .25 .20 .15 .10.
pub const BALANCED: Profile = Profile {
    name: "balanced",
    weights: [
        ("performance history", Bps::percent(30)),
        ("reliability", Bps::percent(25)),
        ("contribution", Bps::percent(20)),
        ("validation accuracy", Bps::percent(15)),
        ("participation", Bps::percent(10)),
    ],
};

/// The seed's formula on given values, in the profile's order: the pure weighted sum, with the
/// weight of missing components spread over the others. None when all are missing.
#[doc(alias = "calculate_trust_score")]
pub fn weighted(profile: &Profile, values: [Option<Bps>; 5]) -> Option<Bps> {
    let present = || profile.weights.iter().zip(values).filter_map(|((_, weight), value)| Some((*weight, value?)));
    let whole: u64 = present().map(|(weight, _)| weight.get()).sum();
    let sum: u64 = present().map(|(weight, value)| weight.get() * value.get()).sum();
    (whole > 0).then(|| Bps::new(sum / whole))
}

/// Scores, kept until the evidence changes.
#[derive(Debug, Default)]
pub struct State {
    scores: BTreeMap<PeerId, TrustView>,
    dirty: BTreeSet<PeerId>,
    /// Own observations without a receipt.
    failures: BTreeMap<PeerId, u32>,
    due: Option<Time>,
}

/// What reputation takes in.
pub enum In<'a> {
    /// The evidence about this peer changed.
    Changed(PeerId),
    /// This node saw `peer` fail without a receipt coming of it.
    Failed(PeerId),
    /// Compute what changed; everything once an hour.
    Tick(&'a receipts::State),
}

/// Own observations remembered; the smallest counts go first.
const FAILURES_MAX: usize = 4_096;

impl State {
    pub fn handle(&mut self, cx: &mut Cx<'_>, input: In<'_>) {
        match input {
            In::Changed(peer) => _ = self.dirty.insert(peer),
            In::Failed(peer) => {
                if self.failures.len() >= FAILURES_MAX
                    && let Some(least) = self.failures.iter().min_by_key(|(_, count)| **count).map(|(peer, _)| *peer)
                {
                    self.failures.remove(&least);
                }
                *self.failures.entry(peer).or_default() += 1;
                self.dirty.insert(peer);
            }
            In::Tick(receipts) => self.compute(cx, receipts),
        }
    }

    pub fn next_deadline(&self) -> Option<Time> {
        self.due
    }

    /// How many peers were seen to fail, and are remembered.
    pub fn failures(&self) -> usize {
        self.failures.len()
    }

    /// Trust in `peer`, with what it rests on.
    pub fn view(&self, peer: &PeerId) -> TrustView {
        self.scores.get(peer).cloned().unwrap_or_else(|| TrustView { score: FLOOR, ..TrustView::default() })
    }

    fn compute(&mut self, cx: &mut Cx<'_>, receipts: &receipts::State) {
        let everybody = self.due.is_some_and(|due| cx.now.mono >= due);
        if everybody {
            self.dirty.extend(receipts.providers());
            self.due = None;
        }
        for peer in std::mem::take(&mut self.dirty) {
            // What a peer signed weighs as much as the trust in it.
            let judged = if everybody { Vec::new() } else { receipts.rated_by(&peer) };
            for peer in judged.into_iter().chain([peer]) {
                if receipts.about(&peer).next().is_none() && !self.failures.contains_key(&peer) {
                    self.scores.remove(&peer);
                    cx.touch(peer);
                    continue;
                }
                let view = self.evaluate(cx, receipts, peer);
                let before = self.scores.insert(peer, view).map_or(FLOOR, |view| view.score);
                let after = self.scores[&peer].score;
                cx.touch(peer);
                if before != after {
                    cx.event(Event::ReputationUpdated { peer, from: before, to: after });
                }
            }
        }
        if self.due.is_none() && receipts.len() > 0 {
            self.due = Some(cx.now.mono + RECOMPUTE);
        }
    }

    fn evaluate(&self, cx: &Cx<'_>, receipts: &receipts::State, peer: PeerId) -> TrustView {
        let judge = Judge {
            me: cx.me(),
            now: cx.now.unix,
            decay: cx.shared.config.reputation_decay_per_day,
            planted: cx.shared.planted,
        };
        let failures = self.failures.get(&peer).copied().unwrap_or(0);
        let signer_weight = |signer: &PeerId| {
            if *signer == judge.me {
                return Bps::ONE;
            }
            // One level only: what I saw of the signer myself. Rings gain nothing from each other.
            let own = receipts.about(signer).filter(|receipt| receipt.signer == judge.me);
            judge.trust(own, &|_| Bps::ONE, 0).score
        };
        judge.trust(receipts.about(&peer), &signer_weight, failures)
    }
}

/// Whoever computes a score, and when.
struct Judge {
    me: PeerId,
    now: UnixMillis,
    decay: Bps,
    planted: Planted,
}

/// Weighted successes out of weighted tries.
#[derive(Clone, Copy, Debug, Default)]
struct Beta {
    good: u64,
    all: u64,
}

impl Beta {
    fn add(&mut self, weight: u64, value: Bps) {
        self.good += value.of(weight);
        self.all += weight;
    }

    fn estimate(self) -> Option<Bps> {
        (self.all > 0).then(|| Bps::ratio(self.good + PRIOR, self.all + 2 * PRIOR))
    }
}

impl Judge {
    fn trust<'a>(
        &self,
        receipts: impl Iterator<Item = &'a Signed<Rating>>,
        signer_weight: &dyn Fn(&PeerId) -> Bps,
        failures: u32,
    ) -> TrustView {
        let mut by_signer: BTreeMap<PeerId, Vec<&Signed<Rating>>> = BTreeMap::new();
        for receipt in receipts {
            by_signer.entry(receipt.signer).or_default().push(receipt);
        }
        let (mut performance, mut reliability) = (Beta::default(), Beta::default());
        let mut evidence = Vec::new();
        for (signer, mut receipts) in by_signer.iter().map(|(signer, receipts)| (signer, receipts.clone())) {
            receipts.sort_by_key(|receipt| std::cmp::Reverse(receipt.body.at));
            let weight = signer_weight(signer).get();
            let mut room = if *signer == self.me { OWN_CAP } else { SIGNER_CAP };
            for receipt in receipts {
                let faded = self.fade(weight, receipt.body.at).min(room);
                room -= faded;
                performance.add(faded, receipt.body.quality);
                let kept = match receipt.body.outcome {
                    Outcome::Completed => receipt.body.timeliness,
                    _ => Bps::ZERO,
                };
                reliability.add(faded, kept);
                evidence.push(row(receipt, Bps::new(faded)));
            }
        }
        let signers = by_signer.len() as u64;
        for _ in 0..failures.min(100) {
            reliability.add(UNIT, Bps::ZERO);
        }
        let values = [
            performance.estimate(),
            reliability.estimate(),
            // Served content and checked results bring these; neither exists yet.
            None,
            None,
            (signers > 0).then(|| Bps::ratio(signers, signers + 1)),
        ];
        let raw = weighted(&BALANCED, values).unwrap_or(FLOOR);
        let gathered = performance.all.max(reliability.all);
        let above = raw.get().saturating_sub(FLOOR.get());
        let share = Bps::ratio(gathered, gathered + HALFWAY);
        let score = match self.planted.is(Bug::NoFloor) {
            false => Bps::new(FLOOR.get() + share.of(above)),
            true => Bps::new(share.rest().of(FLOOR.get()) + share.of(raw.get())),
        };

        evidence.sort_by_key(|row| std::cmp::Reverse((row.at, row.cid)));
        let receipts = evidence.len() as u32;
        evidence.truncate(EVIDENCE_ROWS_MAX);
        let components = BALANCED.weights.iter().zip(values);
        TrustView {
            score,
            components: components
                .map(|((name, weight), value)| TrustComponent { name, weight: *weight, value })
                .collect(),
            receipts,
            signers: signers as u32,
            evidence,
            first_hand_failures: failures,
            quarantined_until: None,
        }
    }

    /// What is left of `weight` after the days since `at`: weight × (1 − decay)^days.
    fn fade(&self, weight: u64, at: UnixMillis) -> u64 {
        const DAY_MS: u64 = 24 * 3_600 * 1_000;
        const ONE: u128 = 1 << 32;
        let mut days = self.now.since(at).0 / DAY_MS;
        let mut base = ONE * u128::from(self.decay.rest().get()) / 10_000;
        let mut left = ONE;
        while days > 0 {
            if days & 1 == 1 {
                left = left * base / ONE;
            }
            base = base * base / ONE;
            days >>= 1;
        }
        (u128::from(weight) * left / ONE) as u64
    }
}

fn row(receipt: &Signed<Rating>, weight: Bps) -> ReceiptView {
    let rating = &receipt.body;
    ReceiptView {
        cid: receipt.cid,
        signer: receipt.signer,
        signer_name: None,
        task: rating.task,
        skill: rating.skill.clone(),
        outcome: rating.outcome,
        quality: rating.quality,
        timeliness: rating.timeliness,
        at: rating.at,
        weight,
    }
}
