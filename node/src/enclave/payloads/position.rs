//! The last decided block, and the log of reorgs that tells which blocks came before it.
//!
//! Pure: no disk, no lock. A payload stored while the last decided block was S is late for S and
//! its ancestors, and in time for every other block (design, 2.2). The ancestors of an S that was
//! left by a reorg are found in the log.

use std::collections::BTreeMap;

use alloy_primitives::B256;

use crate::chain::BlockRef;

/// How many decided blocks of the current branch are remembered by hash, to notice a reorg that
/// nobody announced (one that happened while the node was down and its state was being rebuilt).
pub(super) const BRANCH_BLOCKS_MAX: u64 = 8192;

/// When a payload was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StoredAt {
    /// The last decided block then.
    pub(super) block: Option<BlockRef>,
    /// How many reorgs there had been.
    pub(super) reorgs: u64,
}

/// The follower left a branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reorg {
    /// The last block that both branches have; `None` when it is not known (all was left).
    pub(super) common: Option<BlockRef>,
    /// The blocks that were left, ascending.
    pub(super) orphaned: Vec<BlockRef>,
}

/// The last decided block with what is needed to compare others with it.
#[derive(Debug, Default)]
pub(super) struct Position {
    head: Option<BlockRef>,
    /// Decided blocks of the current branch, the latest ones.
    branch: BTreeMap<u64, B256>,
    reorgs: Vec<Reorg>,
    /// What is not written yet.
    unsaved: Unsaved,
}

/// What changed since the last write.
#[derive(Clone, Debug, Default)]
struct Unsaved {
    /// The lowest number whose branch row may differ.
    branch_from: Option<u64>,
    /// The first unsaved entry of the log.
    reorgs_from: usize,
}

/// What a write has to contain.
#[derive(Debug)]
pub(super) struct Changes {
    /// The position; written in any case.
    pub(super) head: Option<BlockRef>,
    /// Rows of the branch from this number on are replaced by `branch`.
    pub(super) branch_from: Option<u64>,
    /// The new rows.
    pub(super) branch: Vec<(u64, B256)>,
    /// New entries of the log with their index.
    pub(super) reorgs: Vec<(u64, Reorg)>,
}

impl Position {
    /// As it was read from disk.
    pub(super) fn restore(
        head: Option<BlockRef>,
        branch: BTreeMap<u64, B256>,
        reorgs: Vec<Reorg>,
    ) -> Self {
        let unsaved = Unsaved { reorgs_from: reorgs.len(), ..Unsaved::default() };
        Self { head, branch, reorgs, unsaved }
    }

    pub(super) const fn head(&self) -> Option<BlockRef> {
        self.head
    }

    /// The number of the last decided block; 0 before the first.
    pub(super) fn number(&self) -> u64 {
        self.head.map_or(0, |head| head.number)
    }

    /// What to note for a payload that is stored now.
    pub(super) const fn now(&self) -> StoredAt {
        StoredAt { block: self.head, reorgs: self.reorgs.len() as u64 }
    }

    /// How many decided blocks are not written yet.
    pub(super) fn unsaved_blocks(&self) -> usize {
        self.unsaved.branch_from.map_or(0, |from| self.branch.range(from..).count())
    }

    /// Whether a payload stored at `stored` is late for `block`, a block of the current branch or
    /// of one that was left.
    pub(super) fn is_late(&self, stored: StoredAt, block: BlockRef) -> bool {
        let Some(mut tip) = stored.block else { return false };
        let since = usize::try_from(stored.reorgs).unwrap_or(usize::MAX);
        for reorg in self.reorgs.get(since..).unwrap_or_default() {
            let kept = reorg.common.map_or(0, |common| common.number + 1);
            if tip.number < kept {
                continue;
            }
            // The tip was left here: what precedes it is in this entry, down to the common block.
            if block.number >= kept {
                return block.number <= tip.number
                    && (block == tip || reorg.orphaned.contains(&block));
            }
            match reorg.common {
                Some(common) => tip = common,
                None => return false,
            }
        }
        block.number <= tip.number
    }

    /// Moves forward to a block that is being decided; never back. A block that contradicts the
    /// remembered branch means a reorg that was not announced, and is recorded as one.
    pub(super) fn advance(&mut self, block: BlockRef) {
        match self.head {
            Some(head) if block.number <= head.number => match self.branch.get(&block.number) {
                Some(hash) if *hash != block.hash => {
                    let common = self.branch.range(..block.number).next_back();
                    let common =
                        common.map(|(number, hash)| BlockRef { number: *number, hash: *hash });
                    self.leave(common, &[], block.number);
                    self.set_head(block);
                }
                _ => {}
            },
            _ => self.set_head(block),
        }
    }

    /// Records that the blocks above `common` were left.
    pub(super) fn reorg(&mut self, common: BlockRef, orphaned: &[BlockRef]) {
        if self.head.is_some_and(|head| head.number > common.number) {
            self.leave(Some(common), orphaned, common.number + 1);
            self.set_head(common);
        }
    }

    /// Moves forward to a block that was decided before a restart.
    pub(super) fn at_least(&mut self, block: BlockRef) {
        if self.head.is_none_or(|head| head.number < block.number) {
            self.set_head(block);
        }
    }

    /// What has to be written now; it counts as written from here on.
    pub(super) fn take_changes(&mut self) -> Changes {
        let unsaved = std::mem::take(&mut self.unsaved);
        self.unsaved.reorgs_from = self.reorgs.len();
        let rows =
            |from| self.branch.range(from..).map(|(number, hash)| (*number, *hash)).collect();
        Changes {
            head: self.head,
            branch_from: unsaved.branch_from,
            branch: unsaved.branch_from.map(rows).unwrap_or_default(),
            reorgs: (unsaved.reorgs_from..)
                .zip(self.reorgs.get(unsaved.reorgs_from..).unwrap_or_default())
                .map(|(index, reorg)| (index as u64, reorg.clone()))
                .collect(),
        }
    }

    fn set_head(&mut self, block: BlockRef) {
        self.head = Some(block);
        self.branch.insert(block.number, block.hash);
        self.unsaved.branch_from =
            Some(self.unsaved.branch_from.unwrap_or(u64::MAX).min(block.number));
        while self
            .branch
            .first_key_value()
            .is_some_and(|(first, _)| first + BRANCH_BLOCKS_MAX < block.number)
        {
            self.branch.pop_first();
        }
    }

    /// Cuts the branch at `from`; what is cut, with `known`, goes into the log.
    fn leave(&mut self, common: Option<BlockRef>, known: &[BlockRef], from: u64) {
        let cut = self.branch.split_off(&from);
        let mut orphaned: Vec<_> =
            cut.into_iter().map(|(number, hash)| BlockRef { number, hash }).collect();
        orphaned.extend(known.iter().filter(|block| block.number >= from));
        orphaned.sort_unstable();
        orphaned.dedup();
        self.reorgs.push(Reorg { common, orphaned });
        self.unsaved.branch_from = Some(self.unsaved.branch_from.unwrap_or(u64::MAX).min(from));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Block `number` of branch `branch`.
    fn block(number: u64, branch: u8) -> BlockRef {
        BlockRef {
            number,
            hash: B256::new([branch; 32]) ^ B256::from(alloy_primitives::U256::from(number) << 8),
        }
    }

    /// Decides blocks 1 to `to` of branch `b'x'`.
    fn at(to: u64) -> Position {
        let mut position = Position::default();
        (1..=to).for_each(|number| position.advance(block(number, b'x')));
        position
    }

    #[track_caller]
    fn check(position: &Position, stored: StoredAt, late: &[BlockRef], in_time: &[BlockRef]) {
        for block in late {
            assert!(position.is_late(stored, *block), "late for {block:?}");
        }
        for block in in_time {
            assert!(!position.is_late(stored, *block), "in time for {block:?}");
        }
    }

    #[test]
    fn payload_stored_before_any_block_is_in_time() {
        let position = Position::default();
        check(&position, position.now(), &[], &[block(0, b'x'), block(9, b'x')]);
    }

    #[test]
    fn payload_is_late_for_the_decided_block_and_its_ancestors() {
        let mut position = at(5);
        let stored = position.now();
        check(
            &position,
            stored,
            &[block(0, b'x'), block(1, b'x'), block(5, b'x')],
            &[block(6, b'x')],
        );
        (6..9).for_each(|number| position.advance(block(number, b'x')));
        check(&position, stored, &[block(5, b'x')], &[block(6, b'x'), block(8, b'x')]);
    }

    #[test]
    fn payload_is_in_time_for_the_new_branch_after_a_reorg() {
        let mut position = at(5);
        let stored = position.now();
        position.reorg(block(3, b'x'), &[block(4, b'x'), block(5, b'x')]);
        assert_eq!(position.head(), Some(block(3, b'x')));
        position.advance(block(4, b'y'));
        check(
            &position,
            stored,
            &[block(3, b'x'), block(4, b'x'), block(5, b'x')],
            &[block(4, b'y'), block(5, b'y'), block(6, b'x')],
        );
    }

    #[test]
    fn payload_stored_after_a_reorg_is_late_for_the_common_blocks_only() {
        let mut position = at(5);
        position.reorg(block(3, b'x'), &[block(4, b'x'), block(5, b'x')]);
        let stored = position.now();
        check(&position, stored, &[block(3, b'x'), block(2, b'x')], &[block(4, b'y')]);
        // Back to the first branch: it is decided anew.
        position.advance(block(4, b'y'));
        position.reorg(block(3, b'x'), &[block(4, b'y')]);
        check(&position, stored, &[block(3, b'x')], &[block(4, b'x')]);
    }

    #[test]
    fn a_block_left_twice_is_traced_through_both_entries() {
        let mut position = at(10);
        let stored = position.now();
        position.reorg(block(8, b'x'), &[block(9, b'x'), block(10, b'x')]);
        position.advance(block(9, b'y'));
        let stored_y = position.now();
        position.reorg(block(4, b'x'), &[]);
        position.advance(block(5, b'z'));
        check(
            &position,
            stored,
            &[block(4, b'x'), block(5, b'x'), block(8, b'x'), block(9, b'x'), block(10, b'x')],
            &[block(5, b'z'), block(9, b'y'), block(9, b'z')],
        );
        check(
            &position,
            stored_y,
            &[block(4, b'x'), block(8, b'x'), block(9, b'y')],
            &[block(5, b'z'), block(9, b'x'), block(10, b'x')],
        );
    }

    #[test]
    fn returning_to_a_branch_does_not_forgive_what_was_late_there() {
        let mut position = at(5);
        let stored = position.now();
        position.reorg(block(3, b'x'), &[]);
        position.advance(block(4, b'y'));
        position.reorg(block(3, b'x'), &[]);
        position.advance(block(4, b'x'));
        position.advance(block(5, b'x'));
        check(
            &position,
            stored,
            &[block(4, b'x'), block(5, b'x')],
            &[block(4, b'y'), block(6, b'x')],
        );
    }

    #[test]
    fn a_rebuild_never_moves_the_position_back() {
        let mut position = at(5);
        (1..=5).for_each(|number| position.advance(block(number, b'x')));
        assert_eq!(position.head(), Some(block(5, b'x')));
        position.at_least(block(2, b'x'));
        position.reorg(block(7, b'x'), &[block(8, b'x')]);
        assert_eq!((position.head(), position.now().reorgs), (Some(block(5, b'x')), 0));
        position.at_least(block(9, b'x'));
        assert_eq!(position.head(), Some(block(9, b'x')));
    }

    #[test]
    fn a_reorg_that_nobody_announced_is_noticed_in_a_rebuild() {
        let mut position = at(5);
        let stored = position.now();
        (1..=3).for_each(|number| position.advance(block(number, b'x')));
        position.advance(block(4, b'y'));
        assert_eq!(position.head(), Some(block(4, b'y')));
        check(
            &position,
            stored,
            &[block(3, b'x'), block(4, b'x'), block(5, b'x')],
            &[block(4, b'y')],
        );
    }

    #[test]
    fn another_chain_altogether_makes_nothing_late() {
        let mut position = at(5);
        let stored = position.now();
        position.advance(block(1, b'y'));
        check(&position, stored, &[block(1, b'x')], &[block(1, b'y'), block(2, b'y')]);
        assert_eq!(position.head(), Some(block(1, b'y')));
    }

    #[test]
    fn changes_are_given_out_once_and_restore_the_same() {
        let mut position = at(5);
        let _ = position.take_changes();
        let stored = position.now();
        position.reorg(block(3, b'x'), &[]);
        position.advance(block(4, b'y'));
        let changes = position.take_changes();
        assert_eq!((changes.head, changes.branch_from), (Some(block(4, b'y')), Some(3)));
        assert_eq!(changes.branch, [(3, block(3, b'x').hash), (4, block(4, b'y').hash)]);
        assert_eq!(changes.reorgs.len(), 1);
        let again = position.take_changes();
        assert_eq!((again.branch_from, again.reorgs.len()), (None, 0));
        let restored =
            Position::restore(changes.head, position.branch.clone(), position.reorgs.clone());
        check(&restored, stored, &[block(5, b'x')], &[block(5, b'y')]);
    }

    #[test]
    fn the_remembered_branch_is_bounded() {
        let position = at(BRANCH_BLOCKS_MAX + 100);
        assert!(position.branch.len() as u64 <= BRANCH_BLOCKS_MAX + 1);
    }
}
