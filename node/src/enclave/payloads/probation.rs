//! Payloads of strangers, which are kept only if their marker is seen in time (design, 2.5).
//!
//! Pure bookkeeping: what is on probation, how much of it, and what is due. Rate limits are the
//! peer port's.

use std::collections::{BTreeSet, HashMap, HashSet};

use coterie_core::PayloadKey;

use super::records::ProbationRow;

/// How much may be on probation, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Payloads on probation at a time; one sender key may have a quarter.
    pub payloads_max: usize,
    /// Their bytes; one sender key may have a quarter.
    pub bytes_max: u64,
    /// Blocks until a payload is dropped.
    pub blocks: u64,
}

/// What is on probation.
#[derive(Debug, Default)]
pub(super) struct Probation {
    rows: HashMap<PayloadKey, ProbationRow>,
    /// The same, by the block at which they were pushed last.
    by_block: BTreeSet<(u64, PayloadKey)>,
    by_sender: HashMap<[u8; 32], Load>,
    total: Load,
    co_members: HashSet<[u8; 32]>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Load {
    payloads: usize,
    bytes: u64,
}

impl Load {
    const fn fits(self, bytes: u64, payloads_max: usize, bytes_max: u64) -> bool {
        self.payloads < payloads_max && self.bytes.saturating_add(bytes) <= bytes_max
    }

    const fn add(&mut self, bytes: u64) {
        self.payloads += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }

    const fn remove(&mut self, bytes: u64) {
        self.payloads = self.payloads.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

impl Probation {
    /// Whether payloads of this sender are kept without probation.
    pub(super) fn is_co_member(&self, sender: &[u8; 32]) -> bool {
        self.co_members.contains(sender)
    }

    /// Whether there is room for another payload.
    pub(super) fn has_room(&self, sender: &[u8; 32], bytes: u64, limits: &Retention) -> bool {
        let of_sender = self.by_sender.get(sender).copied().unwrap_or_default();
        self.total.fits(bytes, limits.payloads_max, limits.bytes_max)
            && of_sender.fits(bytes, limits.payloads_max.div_ceil(4), limits.bytes_max.div_ceil(4))
    }

    /// Begins the probation of `key`, anew when it was on probation.
    pub(super) fn add(&mut self, key: PayloadKey, row: ProbationRow) {
        self.remove(&key);
        self.rows.insert(key, row);
        self.by_block.insert((row.since, key));
        self.by_sender.entry(row.sender).or_default().add(row.bytes);
        self.total.add(row.bytes);
    }

    /// Begins the probation of `key` anew at block `number`; its row when that changes it.
    pub(super) fn renew(&mut self, key: &PayloadKey, number: u64) -> Option<ProbationRow> {
        let known = self.rows.get(key).filter(|row| row.since < number)?;
        let row = ProbationRow { since: number, ..*known };
        self.add(*key, row);
        Some(row)
    }

    /// Ends the probation of `key`; whether it was on probation.
    pub(super) fn remove(&mut self, key: &PayloadKey) -> bool {
        let Some(row) = self.rows.remove(key) else { return false };
        self.by_block.remove(&(row.since, *key));
        self.total.remove(row.bytes);
        if let Some(load) = self.by_sender.get_mut(&row.sender) {
            load.remove(row.bytes);
            if load.payloads == 0 {
                self.by_sender.remove(&row.sender);
            }
        }
        true
    }

    /// Sets whose payloads are kept; those on probation that are now kept.
    pub(super) fn set_co_members(&mut self, keys: HashSet<[u8; 32]>) -> Vec<PayloadKey> {
        self.co_members = keys;
        let kept = self.rows.iter().filter(|(_, row)| self.co_members.contains(&row.sender));
        let kept: Vec<_> = kept.map(|(key, _)| *key).collect();
        for key in &kept {
            self.remove(key);
        }
        kept
    }

    /// Takes out what was pushed last more than `blocks` blocks before block `number`.
    pub(super) fn take_due(&mut self, number: u64, blocks: u64) -> Vec<PayloadKey> {
        let mut due = Vec::new();
        while let Some((since, key)) = self.by_block.first().copied() {
            if since.saturating_add(blocks) >= number {
                break;
            }
            self.remove(&key);
            due.push(key);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::B256;

    use super::*;

    const LIMITS: Retention = Retention { payloads_max: 8, bytes_max: 80, blocks: 10 };

    fn key(id: u8) -> PayloadKey {
        PayloadKey(B256::repeat_byte(id))
    }

    fn row(since: u64, sender: u8, bytes: u64) -> ProbationRow {
        ProbationRow { since, sender: [sender; 32], bytes }
    }

    #[test]
    fn one_sender_cannot_take_all_the_room() {
        let mut probation = Probation::default();
        probation.add(key(1), row(0, 1, 1));
        assert!(probation.has_room(&[1; 32], 1, &LIMITS));
        probation.add(key(2), row(0, 1, 1));
        assert!(!probation.has_room(&[1; 32], 1, &LIMITS));
        assert!(probation.has_room(&[2; 32], 20, &LIMITS));
        assert!(!probation.has_room(&[2; 32], 21, &LIMITS));
        (3..9).for_each(|id| probation.add(key(id), row(0, id, 1)));
        assert!(!probation.has_room(&[20; 32], 1, &LIMITS));
        assert!(probation.remove(&key(1)) && !probation.remove(&key(1)));
        assert!(probation.has_room(&[20; 32], 1, &LIMITS));
    }

    #[test]
    fn what_is_due_is_taken_once() {
        let mut probation = Probation::default();
        probation.add(key(1), row(5, 1, 1));
        probation.add(key(2), row(6, 1, 1));
        assert!(probation.take_due(15, LIMITS.blocks).is_empty());
        assert_eq!(probation.take_due(16, LIMITS.blocks), [key(1)]);
        assert_eq!(probation.take_due(100, LIMITS.blocks), [key(2)]);
        assert!(probation.take_due(100, LIMITS.blocks).is_empty());
    }

    #[test]
    fn a_renewed_probation_counts_once() {
        let mut probation = Probation::default();
        probation.add(key(1), row(5, 1, 40));
        assert_eq!(probation.renew(&key(1), 12), Some(row(12, 1, 40)));
        assert_eq!(probation.renew(&key(1), 12), None);
        assert_eq!(probation.renew(&key(2), 12), None);
        assert!(probation.has_room(&[2; 32], 20, &LIMITS));
        assert!(probation.take_due(22, LIMITS.blocks).is_empty());
        assert_eq!(probation.take_due(23, LIMITS.blocks), [key(1)]);
        assert!(probation.take_due(100, LIMITS.blocks).is_empty());
    }

    #[test]
    fn a_sender_that_becomes_a_co_member_is_kept() {
        let mut probation = Probation::default();
        probation.add(key(1), row(5, 1, 1));
        probation.add(key(2), row(5, 2, 1));
        assert_eq!(probation.set_co_members([[1; 32]].into()), [key(1)]);
        assert!(probation.is_co_member(&[1; 32]) && !probation.is_co_member(&[2; 32]));
        assert_eq!(probation.take_due(100, LIMITS.blocks), [key(2)]);
    }
}
