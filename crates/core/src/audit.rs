//! What others did wrong, and what this node did about it: a bounded list apart from the event log,
//! so that neither pushes the other out.
//!
//! The same fault of the same peer is one line with a count, and a line goes only to make room for
//! another when its kind has the most. So neither one noisy peer nor a thousand new ones that all do the
//! same hide what else happened.

use std::collections::BTreeMap;

use libp2p_identity::PeerId;

use crate::{
    limits::{AUDIT_ENTRIES_MAX, AUDIT_FOLDED, SECURITY_TEXT_BYTES_MAX},
    snapshot::{SecurityEntry, SecurityKind, SecurityTotals},
    time::UnixMillis,
    wire::cut,
};

/// The lines, and how many of each kind there were in all.
#[derive(Debug, Default)]
pub struct Audit {
    /// By number; a line that counts one more gets a new place at the end, and keeps its number.
    entries: BTreeMap<u64, SecurityEntry>,
    /// Where the line is that the next of its peer and kind is folded into.
    newest: BTreeMap<(PeerId, SecurityKind), u64>,
    /// Grows with every event.
    place: u64,
    totals: SecurityTotals,
}

impl Audit {
    /// Write down an event; `what` may carry a remote's words and is cut.
    pub fn record(&mut self, at: UnixMillis, peer: PeerId, kind: SecurityKind, what: &str) {
        self.totals.count(kind);
        self.place += 1;
        let what = cut(what, SECURITY_TEXT_BYTES_MAX);
        let before = self.newest.insert((peer, kind), self.place).and_then(|place| {
            let folds = self.entries.get(&place).is_some_and(|entry| at.since(entry.first) < AUDIT_FOLDED);
            if folds { self.entries.remove(&place) } else { None }
        });
        let entry = match before {
            Some(before) => SecurityEntry { what, count: before.count + 1, last: at, ..before },
            None => SecurityEntry { number: self.place, kind, peer, what, count: 1, first: at, last: at },
        };
        self.entries.insert(self.place, entry);
        if self.entries.len() > AUDIT_ENTRIES_MAX {
            self.make_room();
        }
    }

    /// Every line, the latest to change last.
    pub fn entries(&self) -> impl Iterator<Item = &SecurityEntry> {
        self.entries.values()
    }

    /// Grows with every event.
    pub fn revision(&self) -> u64 {
        self.place
    }

    pub fn totals(&self) -> SecurityTotals {
        self.totals
    }

    /// The oldest line of the kind with the most goes.
    fn make_room(&mut self) {
        let mut lines: BTreeMap<SecurityKind, u32> = BTreeMap::new();
        for entry in self.entries.values() {
            *lines.entry(entry.kind).or_default() += 1;
        }
        let fullest = lines.into_iter().max_by_key(|(_, count)| *count).map(|(kind, _)| kind);
        let oldest = self.entries.iter().find(|(_, entry)| Some(entry.kind) == fullest);
        let Some((place, key)) = oldest.map(|(place, entry)| (*place, (entry.peer, entry.kind))) else { return };
        self.entries.remove(&place);
        if self.newest.get(&key) == Some(&place) {
            self.newest.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use multihash::Multihash;

    use super::*;
    use crate::time::Millis;

    fn peer(n: u16) -> PeerId {
        PeerId::from_multihash(Multihash::wrap(0, &n.to_be_bytes()).expect("short")).expect("short enough for an id")
    }

    fn kinds(audit: &Audit, kind: SecurityKind) -> usize {
        audit.entries().filter(|entry| entry.kind == kind).count()
    }

    #[test]
    fn the_same_fault_again_and_again_is_one_line_with_a_count() {
        let mut audit = Audit::default();
        audit.record(UnixMillis(5), peer(2), SecurityKind::Quarantined, "refused");
        for n in 0..1_000 {
            audit.record(UnixMillis(10 + n), peer(1), SecurityKind::Excess, &format!("too often {n}"));
        }
        let lines: Vec<_> = audit.entries().collect();
        assert_eq!(lines.len(), 2);
        let last = lines[1];
        assert_eq!((last.count, last.first, last.last), (1_000, UnixMillis(10), UnixMillis(1_009)));
        assert_eq!(last.what, "too often 999");
        assert_eq!(audit.totals().of(SecurityKind::Excess), 1_000);
    }

    #[test]
    fn what_happens_again_much_later_is_a_line_of_its_own() {
        let mut audit = Audit::default();
        let start = UnixMillis(1_000);
        for at in [start, start + Millis(AUDIT_FOLDED.0 - 1), start + AUDIT_FOLDED] {
            audit.record(at, peer(1), SecurityKind::Forged, "forged");
        }
        assert_eq!(audit.entries().map(|entry| entry.count).collect::<Vec<_>>(), [2, 1]);
    }

    #[test]
    fn a_thousand_peers_with_the_same_fault_push_out_each_other_and_nothing_else() {
        let mut audit = Audit::default();
        audit.record(UnixMillis(1), peer(0), SecurityKind::Quarantined, "refused");
        audit.record(UnixMillis(2), peer(0), SecurityKind::Forged, "forged");
        for n in 0..1_000 {
            audit.record(UnixMillis(3), peer(n), SecurityKind::Malformed, "malformed");
        }
        assert_eq!(audit.entries().count(), AUDIT_ENTRIES_MAX);
        assert_eq!((kinds(&audit, SecurityKind::Quarantined), kinds(&audit, SecurityKind::Forged)), (1, 1));
        assert!(audit.newest.len() <= AUDIT_ENTRIES_MAX, "the index is bounded, too");
    }

    #[test]
    fn a_remotes_words_are_cut() {
        let mut audit = Audit::default();
        audit.record(UnixMillis(1), peer(1), SecurityKind::Malformed, &"ä".repeat(SECURITY_TEXT_BYTES_MAX));
        assert!(audit.entries().all(|entry| entry.what.len() <= SECURITY_TEXT_BYTES_MAX && entry.what.contains('ä')));
    }
}
