//! What private state consists of: accounts, what execution changed, what a block did to a group,
//! receipts.

use alloy_primitives::{Address, B256, Bytes, Log, U256};
use alloy_rlp::{RlpDecodable, RlpEncodable};
use coterie_core::{GroupId, PayloadKey};

use crate::chain::BlockRef;

/// An account of a group's private state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub struct Account {
    /// Nonce.
    pub nonce: u64,
    /// Private balance in wei.
    pub balance: U256,
    /// Root of its storage trie.
    pub storage_root: B256,
    /// keccak256 of its code.
    pub code_hash: B256,
}

/// What execution changed, sorted by address and slot: the input of [`Snapshot::apply`](crate::state::Snapshot::apply).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateChanges {
    /// Changed accounts by ascending address; `None` deletes the account with its storage.
    pub accounts: Vec<(Address, Option<AccountChange>)>,
    /// New code by hash.
    pub code: Vec<(B256, Bytes)>,
}

/// What changed in one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountChange {
    /// Nonce after the change.
    pub nonce: u64,
    /// Balance after the change.
    pub balance: U256,
    /// Code hash after the change.
    pub code_hash: B256,
    /// Whether storage starts empty (the account was created or re-created).
    pub storage_cleared: bool,
    /// Changed slots by ascending slot; zero deletes.
    pub storage: Vec<(U256, U256)>,
}

/// Why a decided marker had the effect that it had. `word` is part of the RPC's receipts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Executed, status 1.
    Executed,
    /// Executed and reverted or halted, status 0.
    Reverted,
    /// Executed and ran out of private gas, status 0.
    OutOfGas,
    /// Executed and read more public state than allowed, status 0.
    TooManyPublicReads,
    /// Invalid nonce (status 2).
    Nonce,
    /// Wrong chain id (status 2).
    ChainId,
    /// Non-zero value (status 2).
    Value,
    /// The signature recovers no sender (status 2).
    Signature,
    /// No effect: the group is locked, or is not locked and members were to be added.
    Locked,
    /// No effect: the payload's group version is not the group's.
    Version,
    /// No effect: `privateFrom` is not a member, or this node was none any more.
    NotAMember,
    /// No effect: the payload does not decode.
    Undecodable,
    /// No effect: `privateFrom`'s enclave signature does not bind the marker signer.
    EnclaveSignature,
    /// No effect: an earlier marker decided this payload.
    Duplicate,
    /// No effect: the marker is not from the payload's marker signer.
    Copied,
    /// No effect: the payload was not readable when the block was followed.
    Late,
    /// No effect: the accepted history says that it did not count.
    NotInHistory,
}

impl Reason {
    /// The word in receipts.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Executed => "executed",
            Self::Reverted => "reverted",
            Self::OutOfGas => "out_of_gas",
            Self::TooManyPublicReads => "too_many_public_reads",
            Self::Nonce => "nonce",
            Self::ChainId => "chain_id",
            Self::Value => "value",
            Self::Signature => "signature",
            Self::Locked => "locked",
            Self::Version => "version",
            Self::NotAMember => "not_a_member",
            Self::Undecodable => "undecodable",
            Self::EnclaveSignature => "enclave_signature",
            Self::Duplicate => "duplicate",
            Self::Copied => "copied",
            Self::Late => "late",
            Self::NotInHistory => "not_in_history",
        }
    }

    /// Besu's receipt status: 1 success, 0 failed or without effect, 2 invalid.
    pub const fn status(self) -> u8 {
        match self {
            Self::Executed => 1,
            Self::Nonce | Self::ChainId | Self::Value | Self::Signature => 2,
            Self::Reverted
            | Self::OutOfGas
            | Self::TooManyPublicReads
            | Self::Locked
            | Self::Version
            | Self::NotAMember
            | Self::Undecodable
            | Self::EnclaveSignature
            | Self::Duplicate
            | Self::Copied
            | Self::Late
            | Self::NotInHistory => 0,
        }
    }
}

/// The outcome of one marker for one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The marker's transaction hash.
    pub marker: B256,
    /// The marker's index in its block.
    pub index: u64,
    /// The payload's id.
    pub payload: PayloadKey,
    /// The group; `None` when the payload does not decode.
    pub group: Option<GroupId>,
    /// What happened.
    pub reason: Reason,
    /// For `Duplicate` and `Copied`: the marker that decided, if it was mined by then.
    pub decided_by: Option<B256>,
    /// Output: return data, or the deployed code.
    pub output: Bytes,
    /// Revert data, when the transaction reverted.
    pub revert: Option<Bytes>,
    /// Logs of a successful transaction.
    pub logs: Vec<Log>,
    /// The created contract's address, also when the creation failed.
    pub contract: Option<Address>,
    /// The sender, when the signature recovers one.
    pub sender: Option<Address>,
}

/// What one block did to one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupBlock {
    /// The block.
    pub block: BlockRef,
    /// State root after it.
    pub root: B256,
    /// Rolling keccak256 over the ids that counted, since the group's first marker.
    pub digest: B256,
    /// How many ids counted, since the first.
    pub counted: u64,
    /// The group's first block.
    pub created: BlockRef,
    /// Markers of this block that concern the group, in order: index, marker hash, id, reason.
    pub markers: Vec<GroupMarker>,
}

/// One marker of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupMarker {
    /// Index in the block.
    pub index: u64,
    /// Marker transaction hash.
    pub marker: B256,
    /// Payload id.
    pub payload: PayloadKey,
    /// Outcome.
    pub reason: Reason,
}

/// Which marker decided a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The marker's block.
    pub block: BlockRef,
    /// The marker's index in it.
    pub index: u64,
    /// The marker's transaction hash.
    pub marker: B256,
}
