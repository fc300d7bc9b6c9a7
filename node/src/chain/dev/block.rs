//! Blocks of the development chain: executing transactions into one, with everything that a real
//! header commits to.
//!
//! It decides nothing about which transactions come or which block is the head.

use std::{convert::Infallible, sync::Arc};

use alloy_consensus::{
    EMPTY_OMMER_ROOT_HASH, Header, Receipt, ReceiptEnvelope, ReceiptWithBloom, Transaction as _,
    TxEnvelope,
    constants::EMPTY_WITHDRAWALS,
    proofs::{calculate_receipt_root, calculate_transaction_root},
};
use alloy_eips::eip7685::EMPTY_REQUESTS_HASH;
use alloy_primitives::{Address, B256, Bloom, Bytes, Sealed, U256, keccak256};
use revm::{
    Context, ExecuteCommitEvm, MainBuilder, MainContext,
    context::{BlockEnv, CfgEnv, result::EVMError},
    database::{Cache, CacheDB},
    handler::{MainnetContext, MainnetEvm},
    primitives::{
        eip4844::{BLOB_BASE_FEE_UPDATE_FRACTION_CANCUN, BLOB_BASE_FEE_UPDATE_FRACTION_PRAGUE},
        hardfork::SpecId,
    },
};

use super::{
    state::{Codes, State, View},
    transaction::{Transaction, TransactionError, environment},
};

/// A mined block with all that came of it. Shared, never changed.
#[derive(Debug)]
pub(super) struct MinedBlock {
    pub(super) header: Sealed<Header>,
    pub(super) transactions: Vec<MinedTransaction>,
    /// State after the block; `None` once it is pruned.
    pub(super) state: parking_lot::RwLock<Option<State>>,
    /// RLP of the block in bytes.
    pub(super) size: usize,
}

/// A transaction in a block, with its receipt.
#[derive(Debug)]
pub(super) struct MinedTransaction {
    pub(super) transaction: Transaction,
    pub(super) receipt: ReceiptEnvelope,
    pub(super) gas_used: u64,
    /// For a creation, successful or not.
    pub(super) contract: Option<Address>,
    /// Logs of the block before this transaction's.
    pub(super) log_index: u64,
}

impl MinedBlock {
    pub(super) fn hash(&self) -> B256 {
        self.header.hash()
    }

    /// The header from which the next block's fees are computed, and the state it builds on.
    pub(super) fn state(&self) -> Option<State> {
        self.state.read().clone()
    }
}

/// What is given of a block before its transactions.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) parent: B256,
    pub(super) number: u64,
    pub(super) timestamp: u64,
    pub(super) beneficiary: Address,
    pub(super) gas_limit: u64,
    pub(super) base_fee: u64,
    pub(super) extra_data: Bytes,
}

/// Executes transactions one by one on top of a parent.
pub(super) struct Builder<'a> {
    evm: Evm<CacheDB<View<'a>>>,
    draft: Draft,
    hardfork: SpecId,
    transactions: Vec<MinedTransaction>,
    gas_used: u64,
    logs: u64,
}

/// An EVM over a database.
pub(super) type Evm<D> = MainnetEvm<MainnetContext<D>>;

impl std::fmt::Debug for Builder<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").field("draft", &self.draft).finish_non_exhaustive()
    }
}

/// An EVM for a block of a chain.
pub(super) fn evm<D: revm::Database>(
    database: D,
    block: BlockEnv,
    chain_id: u64,
    hardfork: SpecId,
) -> Evm<D> {
    let config = CfgEnv::new_with_spec(hardfork).with_chain_id(chain_id);
    Context::mainnet().with_db(database).with_block(block).with_cfg(config).build_mainnet()
}

/// PREVRANDAO of the child of `parent`: nothing random, so that runs repeat.
fn mix_hash(parent: B256) -> B256 {
    keccak256(parent)
}

/// A block as revm sees it. EIP-7691 changes the price of blobs from Prague on; a header of Prague
/// says so itself, by the hash of its requests.
pub(super) fn environment_of(header: &Header) -> BlockEnv {
    let update_fraction = match header.requests_hash {
        Some(_) => BLOB_BASE_FEE_UPDATE_FRACTION_PRAGUE,
        None => BLOB_BASE_FEE_UPDATE_FRACTION_CANCUN,
    };
    let mut block = BlockEnv {
        number: U256::from(header.number),
        beneficiary: header.beneficiary,
        timestamp: U256::from(header.timestamp),
        gas_limit: header.gas_limit,
        basefee: header.base_fee_per_gas.unwrap_or_default(),
        difficulty: header.difficulty,
        prevrandao: Some(header.mix_hash),
        ..BlockEnv::default()
    };
    block.set_blob_excess_gas_and_price(0, update_fraction);
    block
}

impl Draft {
    /// The block as revm sees it: its header without what the transactions will add.
    fn environment(&self, hardfork: SpecId) -> BlockEnv {
        environment_of(&self.clone().header(hardfork, B256::ZERO, &[]))
    }

    /// The header of a block with these transactions and this state.
    fn header(
        self,
        hardfork: SpecId,
        state_root: B256,
        transactions: &[MinedTransaction],
    ) -> Header {
        let receipts: Vec<_> = transactions.iter().map(|it| &it.receipt).collect();
        let envelopes: Vec<_> = transactions.iter().map(|it| it.transaction.inner()).collect();
        let bloom = receipts.iter().fold(Bloom::ZERO, |bloom, it| bloom | *it.logs_bloom());
        let cancun = hardfork.is_enabled_in(SpecId::CANCUN);
        Header {
            parent_hash: self.parent,
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            beneficiary: self.beneficiary,
            state_root,
            transactions_root: calculate_transaction_root(&envelopes),
            receipts_root: calculate_receipt_root(&receipts),
            logs_bloom: bloom,
            number: self.number,
            gas_limit: self.gas_limit,
            gas_used: receipts.last().map_or(0, |it| it.cumulative_gas_used()),
            timestamp: self.timestamp,
            extra_data: self.extra_data,
            mix_hash: mix_hash(self.parent),
            base_fee_per_gas: hardfork.is_enabled_in(SpecId::LONDON).then_some(self.base_fee),
            withdrawals_root: hardfork.is_enabled_in(SpecId::SHANGHAI).then_some(EMPTY_WITHDRAWALS),
            blob_gas_used: cancun.then_some(0),
            excess_blob_gas: cancun.then_some(0),
            parent_beacon_block_root: cancun.then_some(B256::ZERO),
            requests_hash: hardfork.is_enabled_in(SpecId::PRAGUE).then_some(EMPTY_REQUESTS_HASH),
            ..Header::default()
        }
    }

    /// A block without transactions on this state: the genesis.
    pub(super) fn seal_empty(self, hardfork: SpecId, state: State) -> MinedBlock {
        let header = self.header(hardfork, state.root(), &[]);
        seal(header, Vec::new(), state)
    }
}

impl<'a> Builder<'a> {
    /// Starts a block.
    pub(super) fn new(draft: Draft, view: View<'a>, chain_id: u64, hardfork: SpecId) -> Self {
        let evm = evm(CacheDB::new(view), draft.environment(hardfork), chain_id, hardfork);
        Self { evm, draft, hardfork, transactions: Vec::new(), gas_used: 0, logs: 0 }
    }

    /// Whether this much gas is left in the block.
    pub(super) fn has_gas(&self, gas: u64) -> bool {
        gas <= self.draft.gas_limit.saturating_sub(self.gas_used)
    }

    /// Executes one more transaction; after an error the block is as before.
    pub(super) fn execute(&mut self, transaction: &Transaction) -> Result<(), TransactionError> {
        if !self.has_gas(transaction.gas_limit()) {
            return Err(TransactionError::GasLimit);
        }
        let result =
            self.evm.transact_commit(environment(transaction)?).map_err(execution_error)?;
        let gas_used = result.tx_gas_used();
        self.gas_used += gas_used;
        let success = result.is_success();
        let logs = if success { result.into_logs() } else { Vec::new() };
        let log_index = self.logs;
        self.logs += logs.len() as u64;
        let receipt = Receipt { status: success.into(), cumulative_gas_used: self.gas_used, logs };
        let receipt = envelope(transaction, receipt.with_bloom());
        let contract =
            transaction.is_create().then(|| transaction.signer().create(transaction.nonce()));
        let transaction = Arc::clone(transaction);
        self.transactions.push(MinedTransaction {
            transaction,
            receipt,
            gas_used,
            contract,
            log_index,
        });
        Ok(())
    }

    /// Ends the execution: what to apply to the parent's state.
    pub(super) fn finish(self) -> Executed {
        let changes = self.evm.ctx.journaled_state.database.cache;
        Executed {
            draft: self.draft,
            hardfork: self.hardfork,
            transactions: self.transactions,
            changes,
        }
    }
}

/// Executed transactions that are not yet a block.
#[derive(Debug)]
pub(super) struct Executed {
    draft: Draft,
    hardfork: SpecId,
    transactions: Vec<MinedTransaction>,
    changes: Cache,
}

impl Executed {
    /// Applies the changes to the parent's state and seals the header.
    pub(super) fn seal(self, mut state: State, codes: &mut Codes) -> MinedBlock {
        state.apply(self.changes, codes);
        let header = self.draft.header(self.hardfork, state.root(), &self.transactions);
        seal(header, self.transactions, state)
    }
}

fn seal(header: Header, transactions: Vec<MinedTransaction>, state: State) -> MinedBlock {
    use alloy_eips::eip2718::Encodable2718;
    use alloy_rlp::Encodable;
    let payload: usize = transactions.iter().map(|it| it.transaction.network_len()).sum();
    let size = header.length() + payload;
    let header = Sealed::new(header);
    MinedBlock { header, transactions, state: parking_lot::RwLock::new(Some(state)), size }
}

fn envelope(transaction: &TxEnvelope, receipt: ReceiptWithBloom<Receipt>) -> ReceiptEnvelope {
    match transaction {
        TxEnvelope::Legacy(_) => ReceiptEnvelope::Legacy(receipt),
        TxEnvelope::Eip2930(_) => ReceiptEnvelope::Eip2930(receipt),
        TxEnvelope::Eip1559(_) => ReceiptEnvelope::Eip1559(receipt),
        TxEnvelope::Eip4844(_) => ReceiptEnvelope::Eip4844(receipt),
        TxEnvelope::Eip7702(_) => ReceiptEnvelope::Eip7702(receipt),
    }
}

/// Why revm did not execute a transaction at all.
fn execution_error(error: EVMError<Infallible>) -> TransactionError {
    TransactionError::Invalid(error.to_string())
}
