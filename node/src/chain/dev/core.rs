//! The chain's data under its lock: blocks of all branches, the canonical chain, the pool.

use std::{collections::HashMap, sync::Arc};

use alloy_consensus::{BlockHeader as _, Transaction as _, transaction::TxHashRef as _};
use alloy_eips::{
    eip1559::{BaseFeeParams, calc_next_block_base_fee},
    eip2718::Encodable2718 as _,
};
use alloy_primitives::{Address, B256, Bytes};

use super::{
    BaseFee, DevOptions, MineError,
    block::{Builder, Draft, MinedBlock, MinedTransaction},
    journal::{BlockRecord, Journal, Record},
    pool::Pool,
    state::{Codes, State, View},
    transaction::{Rules, Transaction, TransactionError, check_state, check_static},
};
use crate::chain::BlockRef;

/// Timestamp of a genesis block when there is no clock.
const GENESIS_TIMESTAMP: u64 = 1_700_000_000;

/// Everything.
#[derive(Debug)]
pub(super) struct Core {
    blocks: HashMap<B256, Arc<MinedBlock>>,
    /// Children so far, by parent: tells siblings apart.
    children: HashMap<B256, u64>,
    /// The canonical chain by number.
    chain: Vec<Arc<MinedBlock>>,
    /// Where the canonical chain has a transaction: block number and index.
    places: HashMap<B256, (u64, usize)>,
    codes: Codes,
    pool: Pool,
    rules: Rules,
    state_blocks_max: u64,
    journal: Option<Journal>,
}

impl Core {
    /// A chain with its genesis block, of this time if it is known.
    pub(super) fn new(options: &DevOptions, genesis_timestamp: Option<u64>) -> Self {
        let mut state = State::default();
        for (address, balance) in &options.accounts {
            state.fund(*address, *balance);
        }
        let base_fee = match options.base_fee {
            BaseFee::Fixed(fee) | BaseFee::Market(fee) => fee,
        };
        let draft = Draft {
            parent: B256::ZERO,
            number: 0,
            timestamp: genesis_timestamp.unwrap_or_else(|| {
                options.clock.as_ref().map_or(GENESIS_TIMESTAMP, |clock| clock())
            }),
            beneficiary: options.beneficiary,
            gas_limit: options.gas_limit,
            base_fee,
            extra_data: Bytes::new(),
        };
        let genesis = Arc::new(draft.seal_empty(options.hardfork, state));
        let fixed_base_fee = match options.base_fee {
            BaseFee::Fixed(fee) => Some(fee),
            BaseFee::Market(_) => None,
        };
        Self {
            blocks: HashMap::from([(genesis.hash(), Arc::clone(&genesis))]),
            children: HashMap::new(),
            chain: vec![genesis],
            places: HashMap::new(),
            codes: Codes::new(),
            pool: Pool::new(options.pool_transactions_max),
            rules: Rules {
                chain_id: options.chain_id,
                hardfork: options.hardfork,
                gas_limit: options.gas_limit,
                fixed_base_fee,
            },
            // The head's state is always there.
            state_blocks_max: options.state_blocks_max.max(1),
            journal: None,
        }
    }

    /// The genesis block.
    pub(super) fn genesis(&self) -> &Arc<MinedBlock> {
        self.chain.first().expect("the genesis block is never removed")
    }

    /// The head's block.
    pub(super) fn head_block(&self) -> &Arc<MinedBlock> {
        self.chain.last().expect("the genesis block is never removed")
    }

    /// The head.
    pub(super) fn head(&self) -> BlockRef {
        reference(self.head_block())
    }

    /// A block of the canonical chain.
    pub(super) fn canonical(&self, number: u64) -> Option<&Arc<MinedBlock>> {
        self.chain.get(usize::try_from(number).ok()?)
    }

    /// A block of any branch.
    pub(super) fn block(&self, hash: B256) -> Option<&Arc<MinedBlock>> {
        self.blocks.get(&hash)
    }

    /// Where the canonical chain has a transaction.
    pub(super) fn mined(&self, hash: B256) -> Option<(&Arc<MinedBlock>, usize, &MinedTransaction)> {
        let (number, index) = *self.places.get(&hash)?;
        let block = self.canonical(number)?;
        block.transactions.get(index).map(|it| (block, index, it))
    }

    /// A transaction that waits.
    pub(super) fn pending(&self, hash: B256) -> Option<&Transaction> {
        self.pool.transaction(hash)
    }

    /// Forgets what waits.
    pub(super) fn drop_pool(&mut self) {
        self.pool.clear();
    }

    /// How many transactions wait.
    pub(super) fn pool_len(&self) -> usize {
        self.pool.len()
    }

    /// State after the head.
    pub(super) fn head_state(&self) -> State {
        self.head_block().state().expect("the head's state is never pruned")
    }

    /// The next nonce, with what waits in the pool when `pending`.
    pub(super) fn nonce(&self, address: Address, pending: bool) -> u64 {
        let state = self.head_state();
        if pending { self.pool.next_nonce(address, &state) } else { state.nonce(address) }
    }

    /// Code of all accounts.
    pub(super) fn codes(&self) -> &Codes {
        &self.codes
    }

    /// The ancestor of `block` with this number, or itself.
    pub(super) fn ancestor(&self, block: &MinedBlock, number: u64) -> Option<B256> {
        let mut hash = block.hash();
        let mut at = block.header.number();
        let mut parent = block.header.parent_hash();
        while at > number {
            // From where a branch meets the canonical chain its ancestors are known by number.
            if self.canonical(at).is_some_and(|it| it.hash() == hash) {
                return self.canonical(number).map(|it| it.hash());
            }
            hash = parent;
            let block = self.blocks.get(&hash)?;
            (at, parent) = (block.header.number(), block.header.parent_hash());
        }
        (at == number).then_some(hash)
    }

    /// From a known block to the head: the blocks to leave, newest first, and the blocks to enter.
    pub(super) fn path(&self, from: B256) -> (Vec<Arc<MinedBlock>>, Vec<Arc<MinedBlock>>) {
        let mut left = Vec::new();
        let mut at = self.blocks.get(&from);
        while let Some(block) = at
            .filter(|it| self.canonical(it.header.number()).is_none_or(|on| on.hash() != it.hash()))
        {
            left.push(Arc::clone(block));
            at = self.blocks.get(&block.header.parent_hash());
        }
        let shared = at.map_or(0, |it| usize::try_from(it.header.number()).unwrap_or(usize::MAX));
        (left, self.chain.iter().skip(shared.saturating_add(1)).cloned().collect())
    }

    /// Forgets all transactions that wait.
    pub(super) fn clear_pool(&mut self) {
        self.pool.clear();
    }

    /// Puts a transaction into the pool.
    pub(super) fn add(&mut self, transaction: Transaction) -> Result<B256, TransactionError> {
        check_static(&transaction, &self.rules)?;
        let state = self.head_state();
        check_state(&transaction, &state)?;
        let hash = *transaction.tx_hash();
        self.pool.add(transaction, &state)?;
        Ok(hash)
    }

    /// Whether the pool has a transaction for the next block.
    pub(super) fn has_ready(&self) -> bool {
        let base_fee = next_base_fee(self.head_block(), &self.rules);
        self.pool.ready(&self.head_state(), base_fee).pop().is_some()
    }

    /// Makes a block of the pool's transactions, and the head of it; how many are in it.
    pub(super) fn mine_ready(&mut self, options: &DevOptions) -> usize {
        let parent = Arc::clone(self.head_block());
        let state = self.head_state();
        let draft = self.draft(&parent, options);
        let ancestor = |number| self.ancestor(&parent, number);
        let view = View { state: &state, codes: &self.codes, ancestor: &ancestor };
        let mut ready = self.pool.ready(&state, draft.base_fee);
        let mut builder = Builder::new(draft, view, self.rules.chain_id, self.rules.hardfork);
        let mut invalid = Vec::new();
        while let Some(transaction) = ready.pop() {
            if !builder.has_gas(transaction.gas_limit()) {
                continue;
            }
            match builder.execute(transaction) {
                Ok(()) => ready.go_on(transaction),
                Err(error) => {
                    tracing::debug!(hash = %transaction.tx_hash(), %error, "transaction dropped");
                    invalid.push(*transaction.tx_hash());
                }
            }
        }
        let executed = builder.finish();
        let block = Arc::new(executed.seal(state, &mut self.codes));
        let count = block.transactions.len();
        for hash in invalid {
            self.pool.remove(hash);
        }
        self.insert(&block);
        self.note(&[record_of(&block), Record::Head(block.hash())]);
        self.extend(block);
        count
    }

    /// Makes a block of exactly these transactions on `parent`, of this time if it is given; the
    /// head stays.
    pub(super) fn mine_exactly(
        &mut self,
        (parent, timestamp): (B256, Option<u64>),
        transactions: &[Transaction],
        options: &DevOptions,
    ) -> Result<BlockRef, MineError> {
        let parent = Arc::clone(self.blocks.get(&parent).ok_or(MineError::UnknownBlock(parent))?);
        let state = parent.state().ok_or_else(|| MineError::StatePruned(parent.hash()))?;
        let mut draft = self.draft(&parent, options);
        draft.timestamp = timestamp.unwrap_or(draft.timestamp);
        let ancestor = |number| self.ancestor(&parent, number);
        let view = View { state: &state, codes: &self.codes, ancestor: &ancestor };
        let mut builder = Builder::new(draft, view, self.rules.chain_id, self.rules.hardfork);
        for (index, transaction) in transactions.iter().enumerate() {
            let done =
                check_static(transaction, &self.rules).and_then(|()| builder.execute(transaction));
            done.map_err(|error| MineError::Transaction { index, error })?;
        }
        let executed = builder.finish();
        let block = Arc::new(executed.seal(state, &mut self.codes));
        self.insert(&block);
        self.note(&[record_of(&block)]);
        Ok(reference(&block))
    }

    /// Makes a known block the head.
    pub(super) fn set_head(&mut self, hash: B256) -> Result<(), MineError> {
        let target = Arc::clone(self.blocks.get(&hash).ok_or(MineError::UnknownBlock(hash))?);
        if target.state.read().is_none() {
            return Err(MineError::StatePruned(hash));
        }
        // Down from the new head to where it meets the canonical chain.
        let mut branch = Vec::new();
        let mut at = target;
        while self.canonical(at.header.number()).is_none_or(|it| it.hash() != at.hash()) {
            let parent = at.header.parent_hash();
            branch.push(at);
            at = Arc::clone(self.blocks.get(&parent).ok_or(MineError::UnknownBlock(parent))?);
        }
        let keep =
            usize::try_from(at.header.number()).map_or(usize::MAX, |it| it.saturating_add(1));
        let abandoned = self.chain.split_off(keep.min(self.chain.len()));
        for mined in abandoned.iter().flat_map(|it| &it.transactions) {
            self.places.remove(mined.transaction.tx_hash());
        }
        for block in branch.into_iter().rev() {
            self.extend(block);
        }
        let state = self.head_state();
        for sender in self.pool.senders() {
            self.pool.drop_used(sender, &state);
        }
        for mined in abandoned.iter().flat_map(|it| &it.transactions) {
            if let Err(error) = self.add(Arc::clone(&mined.transaction)) {
                tracing::trace!(hash = %mined.transaction.tx_hash(), %error, "not back into the pool");
            }
        }
        self.note(&[Record::Head(hash)]);
        Ok(())
    }

    /// Keeps what happens from now on.
    pub(super) fn keep(&mut self, journal: Journal) {
        self.journal = Some(journal);
    }

    /// Keeps nothing any more, so that the file can be opened again.
    pub(super) fn close(&mut self) {
        self.journal = None;
    }

    /// All blocks of all branches.
    #[cfg(test)]
    pub(super) fn hashes(&self) -> impl Iterator<Item = B256> {
        self.blocks.keys().copied()
    }

    /// Keeps what happened. A journal with a gap is worth nothing, so that after a failure it ends.
    fn note(&mut self, records: &[Record]) {
        let Some(journal) = &mut self.journal else { return };
        if let Err(error) = journal.append(records) {
            tracing::error!(%error, "the development chain is not kept from here on");
            self.journal = None;
        }
    }

    /// A block on `parent`, as far as it is given before its transactions.
    pub(super) fn draft(&self, parent: &MinedBlock, options: &DevOptions) -> Draft {
        let after = parent.header.timestamp() + 1;
        let siblings = self.children.get(&parent.hash()).copied().unwrap_or(0);
        let extra_data =
            if siblings == 0 { Bytes::new() } else { siblings.to_be_bytes().to_vec().into() };
        Draft {
            parent: parent.hash(),
            number: parent.header.number() + 1,
            timestamp: options.clock.as_ref().map_or(after, |clock| clock().max(after)),
            beneficiary: options.beneficiary,
            gas_limit: options.gas_limit,
            base_fee: next_base_fee(parent, &self.rules),
            extra_data,
        }
    }

    fn insert(&mut self, block: &Arc<MinedBlock>) {
        *self.children.entry(block.header.parent_hash()).or_default() += 1;
        self.blocks.insert(block.hash(), Arc::clone(block));
    }

    /// Puts a block on top of the canonical chain.
    fn extend(&mut self, block: Arc<MinedBlock>) {
        let number = block.header.number();
        let state = block.state();
        for (index, mined) in block.transactions.iter().enumerate() {
            let hash = *mined.transaction.tx_hash();
            self.places.insert(hash, (number, index));
            self.pool.remove(hash);
            if let Some(state) = &state {
                self.pool.drop_used(mined.transaction.signer(), state);
            }
        }
        self.chain.push(block);
        if let Some(pruned) =
            number.checked_sub(self.state_blocks_max).and_then(|it| self.canonical(it))
        {
            pruned.state.write().take();
        }
    }
}

fn record_of(block: &MinedBlock) -> Record {
    Record::Block(BlockRecord {
        parent: block.header.parent_hash(),
        timestamp: block.header.timestamp(),
        transactions: block
            .transactions
            .iter()
            .map(|it| it.transaction.encoded_2718().into())
            .collect(),
        hash: block.hash(),
    })
}

fn reference(block: &MinedBlock) -> BlockRef {
    BlockRef { number: block.header.number(), hash: block.hash() }
}

fn next_base_fee(parent: &MinedBlock, rules: &Rules) -> u64 {
    let header = &parent.header;
    rules.fixed_base_fee.unwrap_or_else(|| {
        let base_fee = header.base_fee_per_gas().unwrap_or_default();
        calc_next_block_base_fee(
            header.gas_used(),
            header.gas_limit(),
            base_fee,
            BaseFeeParams::ethereum(),
        )
    })
}
