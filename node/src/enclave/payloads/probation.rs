//! Payloads whose markers were not seen yet (design, 2.5): how much of them there is, and what of
//! strangers' is due to be dropped.
//!
//! Anybody can become a co-member of ours, by making a group that lists a key of ours, so their
//! payloads are counted too, but generously and each key for itself: what one sends takes no room
//! from another. They are not dropped for their age alone; only from a key that has used up its
//! room, what is as old as a stranger's may become makes place for what is new.
//!
//! Pure bookkeeping. Rate limits are the peer port's.

use std::collections::{BTreeSet, HashMap, HashSet};

use coterie_core::PayloadKey;

use super::records::ProbationRow;

/// How much may wait for its marker, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Payloads of strangers at a time; one sender key may have a quarter.
    pub payloads_max: usize,
    /// Their bytes; one sender key may have a quarter.
    pub bytes_max: u64,
    /// Blocks until such a payload is dropped.
    pub blocks: u64,
    /// Payloads of one co-member's key at a time.
    pub co_member_payloads_max: usize,
    /// Their bytes.
    pub co_member_bytes_max: u64,
}

/// There is no room for another payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoRoom;

/// What waits for its marker.
#[derive(Debug, Default)]
pub(super) struct Probation {
    rows: HashMap<PayloadKey, ProbationRow>,
    /// Strangers' payloads by the block at which they were pushed last.
    due: BTreeSet<(u64, PayloadKey)>,
    strangers: HashMap<[u8; 32], Load>,
    of_strangers: Load,
    from_co_members: HashMap<[u8; 32], Waiting>,
    co_members: HashSet<[u8; 32]>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Load {
    payloads: usize,
    bytes: u64,
}

/// A co-member's payloads.
#[derive(Debug, Default)]
struct Waiting {
    load: Load,
    by_block: BTreeSet<(u64, PayloadKey)>,
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
    /// Whether this sender shares a group with us.
    pub(super) fn is_co_member(&self, sender: &[u8; 32]) -> bool {
        self.co_members.contains(sender)
    }

    /// Notes that `sender` pushed a payload after block `number`; its row when that changes it. One
    /// that is known and has no row is kept for good. Of one that is pushed again because it is not
    /// mined yet the time begins anew; a co-member vouches for a stranger's, and it is its own then.
    pub(super) fn pushed(
        &mut self,
        key: PayloadKey,
        sender: [u8; 32],
        (is_new, bytes): (bool, u64),
        number: u64,
        limits: &Retention,
    ) -> Result<Option<ProbationRow>, NoRoom> {
        let co_member = self.is_co_member(&sender);
        let (row, needs_room) = match self.rows.get(&key) {
            None if is_new => (ProbationRow { since: number, sender, bytes, co_member }, true),
            Some(known) if co_member && !known.co_member => {
                (ProbationRow { since: number, sender, co_member, ..*known }, true)
            }
            Some(known) if known.since < number => {
                (ProbationRow { since: number, ..*known }, false)
            }
            _ => return Ok(None),
        };
        if needs_room && !self.has_room(&row, limits) {
            return Err(NoRoom);
        }
        self.add(key, row);
        Ok(Some(row))
    }

    fn has_room(&self, row: &ProbationRow, limits: &Retention) -> bool {
        if row.co_member {
            let load = self.from_co_members.get(&row.sender).map(|waiting| waiting.load);
            let (payloads, bytes) = (limits.co_member_payloads_max, limits.co_member_bytes_max);
            return load.unwrap_or_default().fits(row.bytes, payloads, bytes);
        }
        let load = self.strangers.get(&row.sender).copied().unwrap_or_default();
        let (payloads, bytes) = (limits.payloads_max, limits.bytes_max);
        self.of_strangers.fits(row.bytes, payloads, bytes)
            && load.fits(row.bytes, payloads.div_ceil(4), bytes.div_ceil(4))
    }

    /// Sets the row of `key`, which may have one.
    pub(super) fn add(&mut self, key: PayloadKey, row: ProbationRow) {
        self.remove(&key);
        self.rows.insert(key, row);
        if row.co_member {
            let waiting = self.from_co_members.entry(row.sender).or_default();
            waiting.load.add(row.bytes);
            waiting.by_block.insert((row.since, key));
        } else {
            self.due.insert((row.since, key));
            self.strangers.entry(row.sender).or_default().add(row.bytes);
            self.of_strangers.add(row.bytes);
        }
    }

    /// Removes the row of `key`; whether it had one.
    pub(super) fn remove(&mut self, key: &PayloadKey) -> bool {
        let Some(row) = self.rows.remove(key) else { return false };
        if row.co_member {
            if let Some(waiting) = self.from_co_members.get_mut(&row.sender) {
                waiting.load.remove(row.bytes);
                waiting.by_block.remove(&(row.since, *key));
                if waiting.by_block.is_empty() {
                    self.from_co_members.remove(&row.sender);
                }
            }
            return true;
        }
        self.due.remove(&(row.since, *key));
        self.of_strangers.remove(row.bytes);
        if let Some(load) = self.strangers.get_mut(&row.sender) {
            load.remove(row.bytes);
            if load.payloads == 0 {
                self.strangers.remove(&row.sender);
            }
        }
        true
    }

    /// Ends the wait of `key`, whose marker was seen: whether its sender shares a group with us;
    /// `None` when it did not wait.
    pub(super) fn seen(&mut self, key: &PayloadKey) -> Option<bool> {
        let co_member = self.rows.get(key)?.co_member;
        self.remove(key);
        Some(co_member)
    }

    /// Sets who shares a group with us; the new rows of payloads that were strangers' until now.
    /// Who shares none any more leaves what it sent before as it is.
    pub(super) fn set_co_members(
        &mut self,
        keys: HashSet<[u8; 32]>,
    ) -> Vec<(PayloadKey, ProbationRow)> {
        self.co_members = keys;
        let rows = self.due.iter().filter_map(|(_, key)| Some((*key, *self.rows.get(key)?)));
        let moved = rows.filter(|(_, row)| self.co_members.contains(&row.sender));
        let moved = moved.map(|(key, row)| (key, ProbationRow { co_member: true, ..row }));
        let moved: Vec<_> = moved.collect();
        for (key, row) in &moved {
            self.add(*key, *row);
        }
        moved
    }

    /// Takes out what strangers pushed last more than `blocks` blocks before block `number`.
    pub(super) fn take_due(&mut self, number: u64, blocks: u64) -> Vec<PayloadKey> {
        let due = older(&self.due, number, blocks);
        for key in &due {
            self.remove(key);
        }
        due
    }

    /// Takes out what this co-member pushed last as long ago.
    pub(super) fn take_due_of(
        &mut self,
        sender: &[u8; 32],
        number: u64,
        blocks: u64,
    ) -> Vec<PayloadKey> {
        let Some(waiting) = self.from_co_members.get(sender) else { return Vec::new() };
        let due = older(&waiting.by_block, number, blocks);
        for key in &due {
            self.remove(key);
        }
        due
    }
}

fn older(by_block: &BTreeSet<(u64, PayloadKey)>, number: u64, blocks: u64) -> Vec<PayloadKey> {
    let due = by_block.iter().take_while(|(since, _)| since.saturating_add(blocks) < number);
    due.map(|(_, key)| *key).collect()
}

#[cfg(test)]
mod tests {
    use alloy_primitives::B256;

    use super::*;

    const LIMITS: Retention = Retention {
        payloads_max: 8,
        bytes_max: 80,
        blocks: 10,
        co_member_payloads_max: 3,
        co_member_bytes_max: 100,
    };

    fn key(id: u8) -> PayloadKey {
        PayloadKey(B256::repeat_byte(id))
    }

    /// Pushes a payload of one byte as `sender`.
    fn push(probation: &mut Probation, id: u8, sender: u8, number: u64) -> Option<ProbationRow> {
        push_bytes(probation, id, sender, number, 1).unwrap()
    }

    fn push_bytes(
        probation: &mut Probation,
        id: u8,
        sender: u8,
        number: u64,
        bytes: u64,
    ) -> Result<Option<ProbationRow>, NoRoom> {
        let is_new = !probation.rows.contains_key(&key(id));
        probation.pushed(key(id), [sender; 32], (is_new, bytes), number, &LIMITS)
    }

    #[test]
    fn one_stranger_cannot_take_all_the_room() {
        let mut probation = Probation::default();
        push(&mut probation, 1, 1, 0);
        push(&mut probation, 2, 1, 0);
        assert_eq!(push_bytes(&mut probation, 3, 1, 0, 1), Err(NoRoom));
        assert_eq!(push_bytes(&mut probation, 3, 2, 0, 21), Err(NoRoom));
        push_bytes(&mut probation, 3, 2, 0, 20).unwrap();
        for id in 4..9 {
            push(&mut probation, id, id, 0);
        }
        assert_eq!(push_bytes(&mut probation, 9, 20, 0, 1), Err(NoRoom));
        assert!(probation.remove(&key(1)) && !probation.remove(&key(1)));
        push(&mut probation, 9, 20, 0);
    }

    #[test]
    fn what_is_due_is_taken_once() {
        let mut probation = Probation::default();
        push(&mut probation, 1, 1, 5);
        push(&mut probation, 2, 1, 6);
        assert!(probation.take_due(15, LIMITS.blocks).is_empty());
        assert_eq!(probation.take_due(16, LIMITS.blocks), [key(1)]);
        assert_eq!(probation.take_due(100, LIMITS.blocks), [key(2)]);
        assert!(probation.take_due(100, LIMITS.blocks).is_empty());
    }

    #[test]
    fn a_renewed_probation_counts_once() {
        let mut probation = Probation::default();
        push_bytes(&mut probation, 1, 1, 5, 20).unwrap();
        assert_eq!(push(&mut probation, 1, 1, 12).unwrap().since, 12);
        assert_eq!(push(&mut probation, 1, 1, 12), None);
        assert_eq!(push(&mut probation, 1, 1, 11), None);
        assert_eq!((probation.of_strangers.payloads, probation.of_strangers.bytes), (1, 20));
        assert!(probation.take_due(22, LIMITS.blocks).is_empty());
        assert_eq!(probation.take_due(23, LIMITS.blocks), [key(1)]);
        assert!(probation.take_due(100, LIMITS.blocks).is_empty());
    }

    #[test]
    fn a_sender_that_becomes_a_co_member_is_kept() {
        let mut probation = Probation::default();
        push(&mut probation, 1, 1, 5);
        push(&mut probation, 2, 2, 5);
        let moved = probation.set_co_members([[1; 32]].into());
        assert_eq!(moved.iter().map(|(key, _)| *key).collect::<Vec<_>>(), [key(1)]);
        assert!(probation.is_co_member(&[1; 32]) && !probation.is_co_member(&[2; 32]));
        assert!(probation.set_co_members(HashSet::new()).is_empty());
        assert_eq!(probation.take_due(100, LIMITS.blocks), [key(2)]);
        assert_eq!(probation.of_strangers.payloads, 0);
    }

    #[test]
    fn what_a_co_member_leaves_unmarked_is_bounded_by_key() {
        let mut probation = Probation::default();
        probation.set_co_members([[1; 32], [2; 32]].into());
        for id in 1..=3 {
            push(&mut probation, id, 1, 5);
        }
        assert_eq!(push_bytes(&mut probation, 4, 1, 5, 1), Err(NoRoom));
        push_bytes(&mut probation, 4, 2, 5, 100).unwrap();
        assert_eq!(push_bytes(&mut probation, 5, 2, 5, 1), Err(NoRoom));
        // What is marked makes room; so does what is old, when there is none.
        assert!(probation.remove(&key(1)));
        push(&mut probation, 5, 1, 9);
        push(&mut probation, 2, 1, 9);
        assert!(probation.take_due(16, LIMITS.blocks).is_empty());
        assert_eq!(probation.take_due_of(&[1; 32], 16, LIMITS.blocks), [key(3)]);
        push(&mut probation, 6, 1, 16);
        assert!(probation.take_due_of(&[7; 32], 16, LIMITS.blocks).is_empty());
    }

    #[test]
    fn vouching_for_strangers_payloads_takes_the_vouchers_room() {
        let mut probation = Probation::default();
        probation.set_co_members([[1; 32]].into());
        for id in 1..=4 {
            push(&mut probation, id, 10 + id, 5);
        }
        for id in 1..=3 {
            assert!(push(&mut probation, id, 1, 5).unwrap().co_member);
        }
        assert_eq!(push_bytes(&mut probation, 4, 1, 5, 1), Err(NoRoom));
        assert_eq!(probation.take_due(16, LIMITS.blocks), [key(4)]);
    }
}
