//! The public chain as the node needs it: headers, markers, public state, submission.
//!
//! One trait with two implementations: a JSON-RPC client for any Ethereum client, and an in-process
//! development chain that behaves like one. Nothing here knows about privacy groups.

pub mod client;
pub mod dev;
mod subscription;
#[cfg(test)]
mod testing;

use alloy_primitives::{Address, B256, Bytes, U256};
use async_trait::async_trait;
use serde_json::value::RawValue;

pub use self::subscription::ChainSubscription;

/// A block's number and hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlockRef {
    /// Number.
    pub number: u64,
    /// Hash.
    pub hash: B256,
}

/// What private execution needs of a public header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Number.
    pub number: u64,
    /// Hash.
    pub hash: B256,
    /// Parent's hash.
    pub parent_hash: B256,
    /// Seconds since the epoch.
    pub timestamp: u64,
    /// COINBASE.
    pub beneficiary: Address,
    /// GASLIMIT.
    pub gas_limit: u64,
    /// BASEFEE; `None` before London.
    pub base_fee: Option<u64>,
    /// DIFFICULTY before the merge, else zero.
    pub difficulty: U256,
    /// The header's mix hash: PREVRANDAO after the merge.
    pub mix_hash: B256,
    /// EIP-4844 excess blob gas; `None` before Cancun.
    pub excess_blob_gas: Option<u64>,
}

/// A public transaction addressed to the flexible privacy precompile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarkerTransaction {
    /// Transaction hash.
    pub hash: B256,
    /// Index in its block.
    pub index: u64,
    /// Public sender.
    pub from: Address,
    /// Call data, unchecked.
    pub input: Bytes,
}

/// A block with the markers in it, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Header.
    pub header: Header,
    /// Transactions to 0x7d only, by index.
    pub markers: Vec<MarkerTransaction>,
}

/// Where a marker was mined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MinedTransaction {
    /// Block.
    pub block: BlockRef,
    /// Index in its block.
    pub index: u64,
    /// Public sender.
    pub from: Address,
    /// Recipient; `None` for a creation.
    pub to: Option<Address>,
    /// Call data.
    pub input: Bytes,
}

/// Something of the public state that private code read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PublicRead {
    /// An account with its code.
    Account(Address),
    /// A storage slot.
    Slot(Address, U256),
    /// BLOCKHASH of this number.
    BlockHash(u64),
}

/// A public account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicAccount {
    /// Nonce.
    pub nonce: u64,
    /// Balance in wei.
    pub balance: U256,
    /// Code; empty for none.
    pub code: Bytes,
}

/// The answer to a [`PublicRead`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublicValue {
    /// For `Account`; an absent account is all zero.
    Account(PublicAccount),
    /// For `Slot`.
    Slot(U256),
    /// For `BlockHash`.
    BlockHash(B256),
}

/// A block of the chain, named as in JSON-RPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockId {
    /// By number on the canonical chain.
    Number(u64),
    /// By hash.
    Hash(B256),
    /// The head.
    Latest,
    /// The finalized block, where the chain has one.
    Finalized,
    /// The safe block, where the chain has one.
    Safe,
}

/// The chain did not do what was asked.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChainError {
    /// Not reachable, timed out, or answered garbage: retry.
    #[error("the chain at {endpoint} is not available: {reason}")]
    Unavailable {
        /// Which endpoint (without credentials).
        endpoint: String,
        /// What went wrong.
        reason: String,
    },
    /// The chain answered with a JSON-RPC error.
    #[error("the chain refused: {message} ({code})")]
    Refused {
        /// JSON-RPC error code.
        code: i64,
        /// Its message.
        message: String,
        /// Its data, as JSON text.
        data: Option<String>,
    },
    /// The state at the asked block is gone (pruned): needs an archive node or a recorded read.
    #[error("the chain no longer has the state of block {0}")]
    StatePruned(B256),
    /// It is not known how to subscribe.
    #[error(
        "the chain's subscriptions are not enabled on this node: its `chain.ws_url` is not set"
    )]
    NoSubscriptions,
}

impl ChainError {
    /// The chain answers, but lacks something that it must have: retry.
    pub(crate) fn incomplete(reason: String) -> Self {
        Self::Unavailable { endpoint: "its configured URL".into(), reason }
    }
}

/// The public chain.
#[async_trait]
pub trait Chain: Send + Sync + 'static {
    /// The EIP-155 chain id.
    async fn chain_id(&self) -> Result<u64, ChainError>;
    /// The canonical block `id` names, without its transactions; `None` if there is none.
    async fn block_ref(&self, id: BlockId) -> Result<Option<BlockRef>, ChainError>;
    /// A block with its markers; `None` if the chain does not know it.
    async fn block(&self, id: BlockId) -> Result<Option<Block>, ChainError>;
    /// Public state after block `at` (answers in the order of `reads`).
    async fn read(&self, at: B256, reads: &[PublicRead]) -> Result<Vec<PublicValue>, ChainError>;
    /// Next nonce of `address`, counting pending transactions when `pending`.
    async fn nonce(&self, address: Address, pending: bool) -> Result<u64, ChainError>;
    /// Submits a signed transaction; its hash. "Already known" is success.
    async fn submit(&self, raw: &[u8]) -> Result<B256, ChainError>;
    /// Submits signed transactions so that they arrive in this order; an answer for each. One that
    /// is refused does not hold up those after it.
    async fn submit_all(&self, raw: &[Vec<u8>]) -> Vec<Result<B256, ChainError>> {
        let mut answers = Vec::with_capacity(raw.len());
        for raw in raw {
            answers.push(self.submit(raw).await);
        }
        answers
    }
    /// Where a transaction was mined; `None` while it is not on the canonical chain.
    async fn mined(&self, hash: B256) -> Result<Option<MinedTransaction>, ChainError>;
    /// Any JSON-RPC request, passed through as it is: the raw `result`.
    async fn request(
        &self,
        method: &str,
        params: Option<&RawValue>,
    ) -> Result<Box<RawValue>, ChainError>;
    /// `eth_subscribe`, passed through as it is. What happens while the chain is not reachable is
    /// not told later.
    async fn subscribe(&self, params: Option<&RawValue>) -> Result<ChainSubscription, ChainError> {
        let _ = params;
        Err(ChainError::NoSubscriptions)
    }
    /// Resolves when the head may have changed since `seen`, or after a polling interval.
    async fn head_changed(&self, seen: B256);
}
