//! Which receipts are kept, and which go when there are too many.

use std::collections::BTreeSet;

use cid::Cid;
use libp2p_identity::PeerId;

use super::State;
use crate::{
    cx::Cx,
    io::{StoreTable, Write},
    limits::{RECEIPTS_MAX, RECEIPTS_PER_PAIR_MAX},
    planted::Bug,
    wire::{Rating, Signed},
};

impl State {
    /// Index a receipt and make room; returns what had to go, which may be the new one itself. None when
    /// it is not the first for its task.
    pub(super) fn insert(&mut self, cx: &mut Cx<'_>, signed: Signed<Rating>) -> Option<Vec<Signed<Rating>>> {
        if !self.is_news(&signed) && !cx.planted(Bug::RatedTwice) {
            return None;
        }
        let (provider, signer, cid) = (signed.body.provider, signed.signer, signed.cid);
        let task = (signer, signed.body.task);
        self.by_task.insert(task, cid);
        self.by_pair.entry(provider).or_default().entry(signer).or_default().insert((signed.body.at, cid));
        self.bytes += size(&signed);
        self.by_cid.insert(cid, signed);
        cx.touch(provider);

        let mut evicted = Vec::new();
        let pair = &self.by_pair[&provider][&signer];
        if pair.len() > RECEIPTS_PER_PAIR_MAX + usize::from(cx.planted(Bug::PairOffByOne))
            && let Some((_, oldest)) = pair.first().copied()
        {
            evicted.extend(self.remove(&oldest));
        }
        let bytes_max = cx.shared.config.receipts_bytes_max();
        while self.by_cid.len() > RECEIPTS_MAX || self.bytes > bytes_max {
            let Some(gone) = self.least_missed(&cx.me()).and_then(|cid| self.remove(&cid)) else { break };
            evicted.push(gone);
        }
        Some(evicted)
    }

    /// The first for its task, and one that would be kept.
    pub(super) fn is_news(&self, signed: &Signed<Rating>) -> bool {
        !self.by_task.contains_key(&(signed.signer, signed.body.task)) && !self.would_go_at_once(signed)
    }

    /// Older than every one of its pair's, of which there are as many as may be: taking it in would
    /// only evict it again, and spread it each time.
    fn would_go_at_once(&self, signed: &Signed<Rating>) -> bool {
        let signers = self.by_pair.get(&signed.body.provider);
        signers.and_then(|signers| signers.get(&signed.signer)).is_some_and(|pair| {
            pair.len() >= RECEIPTS_PER_PAIR_MAX
                && pair.first().is_some_and(|oldest| (signed.body.at, signed.cid) < *oldest)
        })
    }

    /// The one to give up: of those that mean least to this peer, the oldest about the provider with
    /// the most.
    fn least_missed(&self, me: &PeerId) -> Option<Cid> {
        let rated: BTreeSet<PeerId> = self.rated_by(me).into_iter().collect();
        let standing = |provider: &PeerId, signer: &PeerId| match () {
            () if signer == me => Standing::Own,
            () if provider == me => Standing::AboutMe,
            () if rated.contains(signer) => Standing::OfAnAcquaintance,
            () => Standing::OfAStranger,
        };
        let pairs = || self.by_pair.iter().flat_map(|(provider, signers)| signers.keys().map(move |it| (provider, it)));
        let least = pairs().map(|(provider, signer)| standing(provider, signer)).min()?;
        let (_, oldest) = self
            .by_pair
            .iter()
            .filter_map(|(provider, signers)| {
                let least = || signers.iter().filter(|(signer, _)| standing(provider, signer) == least);
                let oldest = least().filter_map(|(_, pair)| pair.first()).min()?;
                Some((least().map(|(_, pair)| pair.len()).sum::<usize>(), *oldest))
            })
            .max_by_key(|(count, _)| *count)?;
        Some(oldest.1)
    }

    fn remove(&mut self, cid: &Cid) -> Option<Signed<Rating>> {
        let signed = self.by_cid.remove(cid)?;
        self.bytes -= size(&signed);
        let (provider, signer) = (signed.body.provider, signed.signer);
        self.by_task.remove(&(signer, signed.body.task));
        if let Some(signers) = self.by_pair.get_mut(&provider) {
            if let Some(pair) = signers.get_mut(&signer) {
                pair.remove(&(signed.body.at, *cid));
            }
            signers.retain(|_, pair| !pair.is_empty());
            if signers.is_empty() {
                self.by_pair.remove(&provider);
            }
        }
        Some(signed)
    }
}

/// What a receipt means to this peer, least first. Strangers may be invented, so that what they sign
/// about each other must not cost what this peer knows at first hand.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    OfAStranger,
    /// Signed by somebody whom this peer has rated.
    OfAnAcquaintance,
    AboutMe,
    Own,
}

/// Bytes in the store.
fn size(signed: &Signed<Rating>) -> u64 {
    (signed.bytes.len() + signed.cid.encoded_len()) as u64
}

pub(super) fn removal(cid: &Cid) -> Write {
    Write { table: StoreTable::Receipts, key: cid.to_bytes(), value: None }
}

pub(super) fn write(signed: &Signed<Rating>) -> Write {
    Write { table: StoreTable::Receipts, key: signed.cid.to_bytes(), value: Some(signed.bytes.to_vec()) }
}
