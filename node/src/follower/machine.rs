//! Which block to follow next: a pure state machine.
//!
//! It sees heads, blocks and hashes, and says what the driver must do. It does not fetch, decide,
//! execute or store, and knows no time. Inputs are the `on_*` methods; `poll` is the output and
//! may be called at any moment.

use std::collections::VecDeque;

use alloy_primitives::B256;

use crate::chain::{Block, BlockRef};

/// Follows one branch of the chain, block by block.
#[derive(Debug)]
pub struct Machine {
    /// The last block that was applied.
    followed: BlockRef,
    /// The newest head that the chain announced.
    head: Option<BlockRef>,
    /// How deep a reorg may be.
    reorg_depth_max: u64,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    /// Going on from `followed`; at most one block waits to be applied.
    Forward(Option<Block>),
    /// Our branch was left; looking downwards for the block both have. Collects what we leave.
    Searching { number: u64, orphaned: VecDeque<BlockRef> },
    /// The common block is found.
    Found { common: BlockRef, orphaned: VecDeque<BlockRef> },
    /// The reorg is deeper than allowed.
    TooDeep,
}

/// What the driver must do next: all the effects of following.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing until the head changes.
    Wait,
    /// Fetch the canonical block of this number and call `on_block`.
    Fetch(u64),
    /// Compare the chain's hash of this number with ours and call `on_compared`.
    Compare(u64),
    /// Move the head back to `common`, leaving `orphaned` (ascending), and call `on_rewound`.
    Rewind {
        /// The newest block of both branches.
        common: BlockRef,
        /// What is left, ascending.
        orphaned: Vec<BlockRef>,
    },
    /// Decide and execute this block, and call `on_applied`.
    Apply(Block),
    /// The branch left ours more than the allowed depth ago: stop and tell the operator.
    TooDeep,
}

impl Machine {
    /// Starts after `followed`, the last applied block (or the block before the first).
    pub const fn new(followed: BlockRef, reorg_depth_max: u64) -> Self {
        Self { followed, head: None, reorg_depth_max, phase: Phase::Forward(None) }
    }

    /// The last applied block.
    pub const fn followed(&self) -> BlockRef {
        self.followed
    }

    /// The chain's head is `head` now.
    pub const fn on_head(&mut self, head: BlockRef) {
        self.head = Some(head);
    }

    /// The block that was asked for, or `None` when the chain does not have it (yet).
    pub fn on_block(&mut self, block: Option<Block>) {
        let Phase::Forward(waiting) = &mut self.phase else { return };
        match block {
            Some(block) if block.header.parent_hash == self.followed.hash => *waiting = Some(block),
            // Another branch: look for the block that both have.
            Some(_) => self.search(),
            // The chain went back, or the endpoint is behind: wait for its next head.
            None => self.head = None,
        }
    }

    /// The chain's hash and ours at the number that was asked to be compared; `None` when the chain
    /// has no block of this number.
    pub fn on_compared(&mut self, theirs: Option<B256>, ours: B256) {
        let Phase::Searching { number, orphaned } = &mut self.phase else { return };
        if theirs == Some(ours) {
            let common = BlockRef { number: *number, hash: ours };
            let orphaned = std::mem::take(orphaned);
            self.phase = if orphaned.is_empty() {
                Phase::Forward(None)
            } else {
                Phase::Found { common, orphaned }
            };
            return;
        }
        orphaned.push_front(BlockRef { number: *number, hash: ours });
        let deep = u64::try_from(orphaned.len()).unwrap_or(u64::MAX) > self.reorg_depth_max;
        match number.checked_sub(1) {
            Some(below) if !deep => *number = below,
            _ => self.phase = Phase::TooDeep,
        }
    }

    /// The waiting block could not be applied now: it is fetched again, for the branch may be
    /// another one by then.
    pub fn on_failed(&mut self) {
        if let Phase::Forward(waiting) = &mut self.phase {
            *waiting = None;
        }
    }

    /// The head was moved back.
    pub fn on_rewound(&mut self) {
        if let Phase::Found { common, .. } = &self.phase {
            self.followed = *common;
            self.phase = Phase::Forward(None);
        }
    }

    /// The block was applied.
    pub fn on_applied(&mut self, block: BlockRef) {
        self.followed = block;
        self.phase = Phase::Forward(None);
    }

    /// What to do now.
    pub fn poll(&mut self) -> Action {
        match &mut self.phase {
            Phase::Forward(Some(block)) => return Action::Apply(block.clone()),
            Phase::Searching { number, .. } => return Action::Compare(*number),
            Phase::Found { common, orphaned } => {
                return Action::Rewind {
                    common: *common,
                    orphaned: orphaned.iter().copied().collect(),
                };
            }
            Phase::TooDeep => return Action::TooDeep,
            Phase::Forward(None) => {}
        }
        let Some(head) = self.head else { return Action::Wait };
        if head.number > self.followed.number {
            return Action::Fetch(self.followed.number + 1);
        }
        if head.number == self.followed.number && head.hash != self.followed.hash {
            self.search();
            return self.poll();
        }
        // The head is below what we followed: a branch that is not longer yet, or an endpoint that
        // is behind. Nothing is lost by waiting until it says more.
        Action::Wait
    }

    fn search(&mut self) {
        self.phase = Phase::Searching { number: self.followed.number, orphaned: VecDeque::new() };
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Address, U256};

    use super::*;
    use crate::chain::Header;

    fn hash(branch: u8, number: u64) -> B256 {
        let mut hash = B256::with_last_byte(u8::try_from(number).unwrap());
        hash[0] = branch;
        hash
    }

    fn at(branch: u8, number: u64) -> BlockRef {
        BlockRef { number, hash: hash(branch, number) }
    }

    fn block(branch: u8, number: u64, parent: B256) -> Block {
        let header = Header {
            number,
            hash: hash(branch, number),
            parent_hash: parent,
            timestamp: number,
            beneficiary: Address::ZERO,
            gas_limit: 30_000_000,
            base_fee: Some(0),
            difficulty: U256::ZERO,
            mix_hash: B256::ZERO,
            excess_blob_gas: Some(0),
        };
        Block { header, markers: Vec::new() }
    }

    #[test]
    fn follows_in_order_up_to_the_head() {
        let mut it = Machine::new(at(0, 1), 10);
        assert_eq!(it.poll(), Action::Wait);
        it.on_head(at(0, 3));
        for number in 2..=3 {
            assert_eq!(it.poll(), Action::Fetch(number));
            let next = block(0, number, hash(0, number - 1));
            it.on_block(Some(next.clone()));
            assert_eq!(it.poll(), Action::Apply(next));
            it.on_applied(at(0, number));
        }
        assert_eq!(it.poll(), Action::Wait);
    }

    #[test]
    fn a_reorg_goes_back_to_the_block_that_both_branches_have() {
        let mut it = Machine::new(at(0, 5), 10);
        it.on_head(at(1, 6));
        assert_eq!(it.poll(), Action::Fetch(6));
        it.on_block(Some(block(1, 6, hash(1, 5))));
        assert_eq!(it.poll(), Action::Compare(5));
        it.on_compared(Some(hash(1, 5)), hash(0, 5));
        assert_eq!(it.poll(), Action::Compare(4));
        it.on_compared(Some(hash(1, 4)), hash(0, 4));
        it.on_compared(Some(hash(0, 3)), hash(0, 3));
        assert_eq!(
            it.poll(),
            Action::Rewind { common: at(0, 3), orphaned: vec![at(0, 4), at(0, 5)] }
        );
        it.on_rewound();
        assert_eq!((it.followed(), it.poll()), (at(0, 3), Action::Fetch(4)));
    }

    #[test]
    fn another_head_of_the_same_height_is_a_reorg() {
        let mut it = Machine::new(at(0, 5), 10);
        it.on_head(at(1, 5));
        assert_eq!(it.poll(), Action::Compare(5));
    }

    #[test]
    fn an_endpoint_that_is_behind_is_waited_for() {
        let mut it = Machine::new(at(0, 5), 10);
        it.on_head(at(0, 4));
        assert_eq!(it.poll(), Action::Wait);
        it.on_head(at(0, 6));
        assert_eq!(it.poll(), Action::Fetch(6));
        it.on_block(None);
        assert_eq!(it.poll(), Action::Wait);
    }

    #[test]
    fn a_block_that_cannot_be_applied_is_asked_for_again() {
        let mut it = Machine::new(at(0, 5), 10);
        it.on_head(at(0, 6));
        it.on_block(Some(block(0, 6, hash(0, 5))));
        it.on_failed();
        it.on_head(at(1, 6));
        assert_eq!(it.poll(), Action::Fetch(6));
        it.on_block(Some(block(1, 6, hash(1, 5))));
        assert_eq!(it.poll(), Action::Compare(5));
    }

    #[test]
    fn a_reorg_beyond_the_limit_stops() {
        let mut it = Machine::new(at(0, 5), 2);
        it.on_head(at(1, 5));
        for number in [5, 4, 3] {
            assert_eq!(it.poll(), Action::Compare(number));
            it.on_compared(Some(hash(1, number)), hash(0, number));
        }
        assert_eq!(it.poll(), Action::TooDeep);
    }
}
