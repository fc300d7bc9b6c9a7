//! What goes into and comes out of the service: plain data, no text forms.

use alloy_primitives::{Address, B256, Bytes, Log, U256};
use coterie_core::{EnclaveKey, GroupId, Recipients, SignedPrivateTransaction};

use super::FollowingStopped;
use crate::{
    chain::{BlockId, BlockRef},
    state::Reason,
};

/// Who calls: the holder of one of the node's enclave keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// The caller's enclave key.
    pub key: EnclaveKey,
    /// What else of the node it may see.
    pub reach: Reach,
}

/// What a caller may see of the groups of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// All groups, as on a node without authentication: whoever reaches its port is its owner.
    Node,
    /// What the caller's key may see.
    Key,
}

impl Tenant {
    /// The owner of a node, who sends as the holder of this key unless a transaction says otherwise.
    pub const fn owner(key: EnclaveKey) -> Self {
        Self { key, reach: Reach::Node }
    }

    /// One of several tenants.
    pub const fn holder(key: EnclaveKey) -> Self {
        Self { key, reach: Reach::Key }
    }
}

/// How far the node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// Whether reads and sends can be answered from the chain's head or close to it.
    pub ready: bool,
    /// The last followed block.
    pub followed: Option<BlockRef>,
    /// The chain's head as last seen.
    pub head: Option<BlockRef>,
    /// Set when it comes no further, whatever the chain does.
    pub stopped: Option<FollowingStopped>,
}

/// A call that changes nothing. There is no gas limit: private gas is the network's cap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallRequest {
    /// CALLER.
    pub from: Address,
    /// The contract.
    pub to: Address,
    /// Call data.
    pub input: Bytes,
    /// Must be zero.
    pub value: U256,
    /// GASPRICE, in wei.
    pub gas_price: U256,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallOutcome {
    /// It returned this.
    Returned(Bytes),
    /// It reverted with this data, which may be empty.
    Reverted(Bytes),
    /// It halted: out of private gas, an invalid instruction, and the like.
    Halted,
    /// It read more public state than the network allows.
    TooManyPublicReads,
}

/// What became of a marker, for one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrivateReceipt {
    /// The marker's transaction hash.
    pub marker: B256,
    /// The marker's block.
    pub block: BlockRef,
    /// The marker's index in its block.
    pub index: u64,
    /// Why it had the effect that it had; tells the status, unless `outcome` does.
    pub reason: Reason,
    /// For a duplicate or a copy: the marker that decided.
    pub decided_by: Option<B256>,
    /// For a duplicate or a copy: what became of the marker that decided, if it was followed; then
    /// this tells the status, and what follows is that marker's.
    pub outcome: Option<Reason>,
    /// The private sender; `None` when the payload does not decode or its signature recovers none.
    pub from: Option<Address>,
    /// The callee; `None` for a creation, or when the payload does not decode.
    pub to: Option<Address>,
    /// For a creation, the contract's address, also when the creation failed.
    pub contract: Option<Address>,
    /// The sender's enclave key; `None` when the payload does not decode.
    pub private_from: Option<EnclaveKey>,
    /// The recipients; `None` when the payload does not decode.
    pub recipients: Option<Recipients>,
    /// Return data, or the code of a created contract.
    pub output: Bytes,
    /// Revert data, empty for a revert without any; `None` when nothing reverted.
    pub revert: Option<Bytes>,
    /// Logs, in order.
    pub logs: Vec<Log>,
}

/// A private transaction with what its signature says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrivateTransactionInfo {
    /// The transaction as it was signed.
    pub signed: SignedPrivateTransaction,
    /// The recovered sender; `None` when the signature recovers none.
    pub from: Option<Address>,
}

/// A log of a private transaction with its place on the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrivateLog {
    /// Address, topics and data.
    pub log: Log,
    /// The marker's block.
    pub block: BlockRef,
    /// The marker's transaction hash.
    pub marker: B256,
    /// The marker's index in its block.
    pub marker_index: u64,
    /// Running number within the group and block.
    pub log_index: u64,
    /// Whether the block has left the canonical chain.
    pub removed: bool,
}

/// Which logs are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter {
    /// Of which blocks.
    pub range: LogRange,
    /// By any of these contracts; any contract when empty.
    pub addresses: Vec<Address>,
    /// For each topic position the accepted values; an empty list accepts any. A log with fewer
    /// topics than there are positions does not match.
    pub topics: Vec<Vec<B256>>,
}

/// Blocks to search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogRange {
    /// From the first to the second, both included; past the head means the head.
    Blocks(BlockId, BlockId),
    /// The one with this hash; no logs when it is unknown.
    Block(B256),
}

impl LogRange {
    /// From the first block on.
    pub const EVERYTHING: Self = Self::Blocks(BlockId::Number(0), BlockId::Latest);
}

/// A privacy group as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupInfo {
    /// Its id.
    pub id: GroupId,
    /// Its members, in the contract's order.
    pub members: Vec<EnclaveKey>,
}
