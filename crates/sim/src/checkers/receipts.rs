//! A receipt counts only if it proves itself: every signature in it was made by whom it names, and its parts belong
//! together. And once nothing breaks any more, both sides of a receipt hold it.

use std::collections::{BTreeMap, BTreeSet};

use libp2p_identity::PeerId;
use mycomesh_core::{
    inspect,
    io::{Output, Topic},
    limits::RECEIPTS_PER_PAIR_MAX,
    wire::{Acceptance, Delivery, Outcome, Rating, Signed, signed::cid_of},
};
use sha2::{Digest as _, Sha256};

use super::{Checker, Figures, Observation, View};
use crate::{
    frames::{Content, Digest, body},
    gossip::PeerNo,
    time::Micros,
};

/// Receipts seen.
#[derive(Debug, Default)]
pub(super) struct Receipts {
    /// Those that were looked through already.
    proven: BTreeSet<Digest>,
    /// When each was made, by whom, about whom.
    made: BTreeMap<Digest, (Micros, PeerNo, PeerNo)>,
    checked: u64,
}

/// A receipt reaches its provider within this, once nothing breaks: the outbox tries twice a minute at least.
const REACHES: Micros = Micros::secs(75);

impl Checker for Receipts {
    fn name(&self) -> &'static str {
        "receipts"
    }

    fn observe(&mut self, view: &View<'_>, observation: &Observation<'_>) -> Result<(), String> {
        match *observation {
            Observation::Output { peer, output: Output::Publish { topic: Topic::Receipts, data } } => {
                let digest: Digest = Sha256::digest(data).into();
                if let Some(Content::Rating { signer, body }) = view.frames.find(&digest).map(|frame| &frame.content)
                    && *signer == view.peer(peer).id
                    && let Some(provider) = view.by_id.get(&body.provider)
                {
                    self.made.entry(digest).or_insert((view.now, peer, *provider));
                }
                Ok(())
            }
            Observation::Stopping { peer, forgets: true } => {
                // What a disk held may be gone with it, if nobody else had it yet.
                self.made.retain(|_, (_, signer, provider)| *signer != peer && *provider != peer);
                Ok(())
            }
            Observation::Stopping { peer, .. } => {
                // The same for what was made a moment ago and is not on the disk.
                let lately = |made: Micros| view.now.since(made) < Micros::secs(1);
                self.made.retain(|_, (made, signer, _)| *signer != peer || !lately(*made));
                Ok(())
            }
            Observation::Audit { peer, .. } => self.held(view, peer),
            _ => Ok(()),
        }
    }

    fn finish(&mut self, view: &View<'_>) -> Result<Figures, String> {
        let mut held_by_both = 0;
        for (digest, (made, signer, provider)) in &self.made {
            let (a, b) = (view.peer(*signer), view.peer(*provider));
            let both = [a, b].iter().all(|peer| peer.alive && peer.is_honest());
            let since = view.healed.map(|healed| view.now.since(healed.max(*made)));
            if !both || since.is_none_or(|since| since < REACHES) {
                continue;
            }
            for peer in [a, b] {
                let held = inspect::receipts(&peer.node).any(|receipt| receipt.cid.hash().digest() == digest);
                let of_pair = |receipt: &&Signed<Rating>| receipt.signer == a.id && receipt.body.provider == b.id;
                // Of a pair with more only the latest are kept.
                let full = || inspect::receipts(&peer.node).filter(of_pair).count() >= RECEIPTS_PER_PAIR_MAX;
                if !held && !full() {
                    let what = "a receipt of both";
                    return Err(format!("peer {} lacks {what}: {} rated {}", peer.no.0, signer.0, provider.0));
                }
            }
            held_by_both += 1;
        }
        Ok([("receipts_checked", self.checked), ("held_by_both", held_by_both)].into())
    }
}

impl Receipts {
    fn held(&mut self, view: &View<'_>, no: PeerNo) -> Result<(), String> {
        let mut tasks = BTreeSet::new();
        for receipt in inspect::receipts(&view.peer(no).node) {
            if !tasks.insert((receipt.signer, receipt.body.task)) {
                let (signer, task) = (receipt.signer, receipt.body.task);
                return Err(format!("peer {} counts two receipts of {signer} for task {task}", no.0));
            }
            let Ok(digest) = Digest::try_from(receipt.cid.hash().digest()) else { continue };
            if self.proven.contains(&digest) {
                continue;
            }
            self.checked += 1;
            let rating: Rating = body(&receipt.bytes).ok_or("a receipt that cannot be read")?;
            prove(view, &receipt.signer, &rating)
                .map_err(|why| format!("peer {} counts a receipt that does not prove itself: {why}", no.0))?;
            self.proven.insert(digest);
        }
        Ok(())
    }
}

/// Look through a receipt without core's help.
fn prove(view: &View<'_>, signer: &PeerId, rating: &Rating) -> Result<(), &'static str> {
    let made_by_provider = |bytes: &[u8]| {
        let frame = view.frames.find(&Sha256::digest(bytes));
        frame.is_some_and(|frame| frame.genuine && frame.content.signer() == Some(rating.provider))
    };
    let rule = |holds: bool, why| if holds { Ok(()) } else { Err(why) };
    rule(*signer != rating.provider, "it rates its own signer")?;
    rule(made_by_provider(&rating.acceptance), "the provider never accepted")?;
    let acceptance: Acceptance = body(&rating.acceptance).ok_or("its acceptance cannot be read")?;
    rule(acceptance.requester == *signer, "somebody else had asked")?;
    rule(acceptance.task == rating.task && acceptance.skill == rating.skill, "another task was accepted")?;
    let Some(bytes) = &rating.delivery else {
        rule(rating.outcome == Outcome::Expired, "nothing was delivered, and it did not expire")?;
        rule(rating.at >= acceptance.deadline, "it expired before its time")?;
        return rule(rating.quality.get() == 0, "nothing was delivered, and it is praised");
    };
    rule(made_by_provider(bytes), "the provider never delivered")?;
    let delivery: Delivery = body(bytes).ok_or("its delivery cannot be read")?;
    rule(delivery.requester == *signer && delivery.task == rating.task, "another task was delivered")?;
    rule(delivery.acceptance == cid_of(&rating.acceptance), "the delivery belongs to another acceptance")?;
    rule(delivery.outcome == rating.outcome, "it ended otherwise")
}
