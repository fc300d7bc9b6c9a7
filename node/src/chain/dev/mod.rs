//! A development chain in memory: real blocks, headers, receipts and state roots, mined by one node
//! when it likes.
//!
//! Used in process by simulations, which build branches and move the head as they want, and over
//! JSON-RPC by `coterie dev` ([`serve`]). Every block keeps its state, also on abandoned branches.
//! There is no consensus and no peer, and no disk but the journal of [`DevChain::open`]. The same
//! calls in the same order give the same hashes, unless a clock is passed in.

mod accounts;
mod block;
mod chain;
mod core;
mod journal;
mod pool;
mod rpc;
mod server;
mod state;
#[cfg(test)]
mod tests;
mod transaction;
mod trie;

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use alloy_primitives::{Address, B256, Bytes, U256};
use parking_lot::{Mutex, RwLock};
use rayon::prelude::*;
use revm::primitives::hardfork::SpecId;
use tokio::{sync::watch, time::MissedTickBehavior};

pub use self::{
    accounts::{Account, published_accounts},
    journal::JournalError,
    server::{DevServer, serve},
    transaction::TransactionError,
};
use self::{
    core::Core,
    journal::{Genesis, Journal, Kept, Record},
};
use super::BlockRef;

/// Seconds since the epoch.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// The clock of this machine.
pub fn wall_clock() -> Clock {
    Arc::new(|| {
        #[expect(
            clippy::disallowed_methods,
            reason = "the development chain is a clock's user by nature"
        )]
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.map_or(0, |it| it.as_secs())
    })
}

/// When blocks are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mining {
    /// With each transaction that can be mined.
    Instant,
    /// Every so many milliseconds, empty or not; needs [`DevChain::run`].
    Interval(u64),
    /// By [`DevChain::mine`].
    Manual,
}

/// What a transaction must pay per gas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BaseFee {
    /// The same in every block; 0 makes gas free, so that unfunded keys can send.
    Fixed(u64),
    /// By EIP-1559 from this one on.
    Market(u64),
}

/// How a development chain is made.
#[derive(Clone)]
pub struct DevOptions {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// When blocks are made.
    pub mining: Mining,
    /// Accounts with a balance in wei in the genesis block.
    pub accounts: Vec<(Address, U256)>,
    /// Rules of the EVM, Paris or later.
    pub hardfork: SpecId,
    /// Gas in a block, and so the most that a transaction may ask for.
    pub gas_limit: u64,
    /// What a transaction must pay.
    pub base_fee: BaseFee,
    /// Who gets the tips.
    pub beneficiary: Address,
    /// The clock of the timestamps; without one each block is a second after its parent.
    pub clock: Option<Clock>,
    /// Transactions in the pool.
    pub pool_transactions_max: usize,
    /// Blocks behind the newest whose state is kept; older ones answer as a pruned node does.
    pub state_blocks_max: u64,
    /// How far the finalized block is behind the head.
    pub finality_depth: u64,
}

impl Default for DevOptions {
    fn default() -> Self {
        let ether = U256::from(1_000_000_000_000_000_000_u64);
        Self {
            chain_id: 1337,
            mining: Mining::Instant,
            accounts: published_accounts()
                .iter()
                .map(|it| (it.address, ether * U256::from(1_000_000)))
                .collect(),
            hardfork: SpecId::PRAGUE,
            gas_limit: 1_000_000_000,
            base_fee: BaseFee::Fixed(0),
            beneficiary: Address::ZERO,
            clock: None,
            pool_transactions_max: 65_536,
            state_blocks_max: u64::MAX,
            finality_depth: 0,
        }
    }
}

impl std::fmt::Debug for DevOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DevOptions")
            .field("chain_id", &self.chain_id)
            .field("mining", &self.mining)
            .field("hardfork", &self.hardfork)
            .field("gas_limit", &self.gas_limit)
            .field("base_fee", &self.base_fee)
            .field("clock", &self.clock.is_some())
            .finish_non_exhaustive()
    }
}

/// A block could not be made or chosen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MineError {
    /// There is no such block.
    #[error("no block {0}")]
    UnknownBlock(B256),
    /// The canonical chain is not that long.
    #[error("no block number {0}")]
    UnknownNumber(u64),
    /// The state to build on is pruned.
    #[error("the state of block {0} is pruned")]
    StatePruned(B256),
    /// One of the transactions cannot be in the block.
    #[error("transaction {index}: {error}")]
    Transaction {
        /// Its place in the list.
        index: usize,
        /// Why.
        error: TransactionError,
    },
}

/// The development chain; a clone is another handle on the same chain.
#[derive(Clone, Debug)]
pub struct DevChain {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    options: DevOptions,
    core: RwLock<Core>,
    filters: Mutex<rpc::Filters>,
    head: watch::Sender<BlockRef>,
    mining: watch::Sender<Mining>,
}

impl DevChain {
    /// A chain with its genesis block.
    pub fn new(options: DevOptions) -> Self {
        let core = Core::new(&options, None);
        Self::of(options, core)
    }

    /// A chain that is kept in a file: as it was, with the same hashes, when the file holds one.
    /// What waited in the pool is gone. The options must be the same each time, apart from the
    /// mining, the clock and the limits.
    ///
    /// # Errors
    ///
    /// The file cannot be used, or holds another chain.
    pub fn open(options: DevOptions, path: &Path) -> Result<Self, JournalError> {
        let (mut journal, kept) = Journal::open(path)?;
        let mut core = Core::new(&options, kept.as_ref().map(|it| it.genesis.timestamp));
        match kept {
            Some(kept) => replay(&mut core, &options, &kept)
                .map_err(|kept| JournalError::Differs { path: path.to_owned(), kept })?,
            None => {
                let genesis = core.genesis();
                let genesis = Genesis::new(genesis.header.timestamp, genesis.hash());
                journal
                    .begin(&genesis)
                    .map_err(|source| JournalError::Io { path: path.to_owned(), source })?;
            }
        }
        core.keep(journal);
        Ok(Self::of(options, core))
    }

    /// Lets the file of [`DevChain::open`] go, whoever still has a handle on the chain: what
    /// happens from now on is not kept.
    pub fn close(&self) {
        self.shared.core.write().close();
    }

    fn of(options: DevOptions, core: Core) -> Self {
        let head = watch::Sender::new(core.head());
        let mining = watch::Sender::new(options.mining);
        let filters = Mutex::default();
        Self {
            shared: Arc::new(Shared { options, core: RwLock::new(core), filters, head, mining }),
        }
    }

    /// How it was made; [`DevChain::set_mining`] does not show here.
    pub fn options(&self) -> &DevOptions {
        &self.shared.options
    }

    /// The newest block of the canonical chain.
    pub fn head(&self) -> BlockRef {
        *self.shared.head.borrow()
    }

    /// The genesis block's hash.
    pub fn genesis_hash(&self) -> B256 {
        self.shared.core.read().genesis().hash()
    }

    /// Follows the head.
    pub fn watch_head(&self) -> watch::Receiver<BlockRef> {
        self.shared.head.subscribe()
    }

    /// Puts a signed transaction into the pool; mines it at once with [`Mining::Instant`].
    ///
    /// # Errors
    ///
    /// The transaction is not valid, or not on this chain, or not now.
    pub fn send_raw(&self, raw: &[u8]) -> Result<B256, TransactionError> {
        self.send(transaction::decode(raw)?)
    }

    /// Puts many signed transactions into the pool, in their order; senders are recovered on all cores.
    pub fn send_many(&self, raw: &[Bytes]) -> Vec<Result<B256, TransactionError>> {
        let decoded: Vec<_> = raw.par_iter().map(|it| transaction::decode(it)).collect();
        let mut core = self.shared.core.write();
        let results = decoded.into_iter().map(|it| it.and_then(|it| core.add(it))).collect();
        self.mine_instant(&mut core);
        results
    }

    fn send(&self, transaction: transaction::Transaction) -> Result<B256, TransactionError> {
        let mut core = self.shared.core.write();
        let hash = core.add(transaction)?;
        self.mine_instant(&mut core);
        Ok(hash)
    }

    fn mine_instant(&self, core: &mut Core) {
        if *self.shared.mining.borrow() != Mining::Instant {
            return;
        }
        while core.has_ready() && core.mine_ready(&self.shared.options) > 0 {}
        self.announce(core);
    }

    fn announce(&self, core: &Core) {
        let head = core.head();
        self.shared.head.send_if_modified(|old| std::mem::replace(old, head) != head);
    }

    /// Makes one block of what the pool has, be it nothing; it becomes the head.
    pub fn mine(&self) -> BlockRef {
        let mut core = self.shared.core.write();
        core.mine_ready(&self.shared.options);
        self.announce(&core);
        core.head()
    }

    /// Makes a block of exactly these transactions on any block. The head stays. Two blocks on one
    /// parent differ, even with the same transactions.
    ///
    /// # Errors
    ///
    /// The parent is not known, or a transaction cannot be there.
    pub fn mine_on(&self, parent: B256, raw: &[Bytes]) -> Result<BlockRef, MineError> {
        let decoded: Vec<_> = raw.par_iter().map(|it| transaction::decode(it)).collect();
        let decoded: Result<Vec<_>, _> = decoded
            .into_iter()
            .enumerate()
            .map(|(index, it)| it.map_err(|error| MineError::Transaction { index, error }))
            .collect();
        self.shared.core.write().mine_exactly((parent, None), &decoded?, &self.shared.options)
    }

    /// Makes any known block the head. Transactions that only the abandoned branch has go back into
    /// the pool as far as they are still valid.
    ///
    /// # Errors
    ///
    /// The block is not known, or its state is pruned.
    pub fn set_head(&self, hash: B256) -> Result<(), MineError> {
        let mut core = self.shared.core.write();
        core.set_head(hash)?;
        self.announce(&core);
        Ok(())
    }

    /// Makes an earlier block of the canonical chain the head, as [`DevChain::set_head`] does.
    ///
    /// # Errors
    ///
    /// The chain is not that long, or the state there is pruned.
    pub fn rewind(&self, number: u64) -> Result<BlockRef, MineError> {
        let mut core = self.shared.core.write();
        let hash = core.canonical(number).ok_or(MineError::UnknownNumber(number))?.hash();
        core.set_head(hash)?;
        self.announce(&core);
        Ok(core.head())
    }

    /// Changes when blocks are made.
    pub fn set_mining(&self, mining: Mining) {
        self.shared.mining.send_replace(mining);
        self.mine_instant(&mut self.shared.core.write());
    }

    /// Makes blocks as long as the mining is [`Mining::Interval`]; never returns.
    pub async fn run(self) {
        let mut mining = self.shared.mining.subscribe();
        loop {
            let now = *mining.borrow_and_update();
            let Mining::Interval(interval_ms) = now else {
                if mining.changed().await.is_err() {
                    return;
                }
                continue;
            };
            let mut ticks = tokio::time::interval(Duration::from_millis(interval_ms.max(1)));
            // After a pause one block, not all that were missed.
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks.tick().await;
            loop {
                tokio::select! {
                    _ = ticks.tick() => { self.mine(); }
                    changed = mining.changed() => {
                        if changed.is_err() { return; }
                        break;
                    }
                }
            }
        }
    }

    /// Forgets the pool, as clients do when they restart.
    pub fn drop_pool(&self) {
        self.shared.core.write().drop_pool();
    }

    /// Transactions in the pool.
    pub fn pool_len(&self) -> usize {
        self.shared.core.read().pool_len()
    }
}

/// Does again what is kept. The error is the first block that comes out as another one.
fn replay(core: &mut Core, options: &DevOptions, kept: &Kept) -> Result<(), B256> {
    if core.genesis().hash() != kept.genesis.hash {
        return Err(kept.genesis.hash);
    }
    for record in &kept.records {
        match record {
            Record::Head(hash) => core.set_head(*hash).map_err(|_| *hash)?,
            Record::Block(block) => {
                let transactions: Result<Vec<_>, _> =
                    block.transactions.par_iter().map(|it| transaction::decode(it)).collect();
                let transactions = transactions.map_err(|_| block.hash)?;
                let at = (block.parent, Some(block.timestamp));
                let made = core.mine_exactly(at, &transactions, options).map_err(|_| block.hash)?;
                if made.hash != block.hash {
                    return Err(block.hash);
                }
            }
        }
    }
    // What an abandoned branch had went back into the pool.
    core.clear_pool();
    Ok(())
}
