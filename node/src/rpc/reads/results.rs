//! What these methods answer, as JSON. Numbers are quantities, as everywhere in this API, except in
//! traces, which have the form of `trace_transaction`, and in seconds.

use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U64, U256};
use serde::Serialize;

use crate::{
    chain::BlockRef,
    executor::{CallKind, TraceAction, TraceEnd, TraceFailure, TraceFrame},
    rpc::results::Transaction,
    service::{self, Compare, MarkedTransaction, NodeStatus, TransactionPage, TransactionTrace},
    state::{AccountProof, EMPTY_ROOT, SlotProof},
};

/// The answer of `priv_getProof` (EIP-1186).
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Proof {
    address: Address,
    account_proof: Vec<Bytes>,
    balance: U256,
    code_hash: B256,
    nonce: U64,
    storage_hash: B256,
    storage_proof: Vec<Slot>,
}

#[derive(Debug, Serialize)]
struct Slot {
    key: B256,
    value: U256,
    proof: Vec<Bytes>,
}

/// A frame in the answer of `priv_traceTransaction`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Frame {
    action: Action,
    block_hash: B256,
    block_number: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
    result: Option<Outcome>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revert_reason: Option<Bytes>,
    subtraces: u32,
    trace_address: Vec<u32>,
    transaction_hash: B256,
    transaction_position: u64,
    #[serde(rename = "type")]
    kind: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Action {
    #[serde(rename_all = "camelCase")]
    Call {
        call_type: &'static str,
        from: Address,
        gas: U64,
        input: Bytes,
        to: Address,
        value: U256,
    },
    Create {
        from: Address,
        gas: U64,
        init: Bytes,
        value: U256,
    },
    #[serde(rename_all = "camelCase")]
    Destroy {
        address: Address,
        balance: U256,
        refund_address: Address,
    },
}

#[derive(Debug, Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
enum Outcome {
    Call { gas_used: U64, output: Bytes },
    Create { address: Address, code: Bytes, gas_used: U64 },
}

/// The answer of `priv_getBlockTransactions`.
#[derive(Debug, Serialize)]
pub(super) struct Page {
    transactions: Vec<Listed>,
    cursor: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    transaction_hash: B256,
    block_hash: B256,
    block_number: U64,
    transaction_index: U64,
    status: U64,
    reason: &'static str,
    #[serde(flatten)]
    transaction: Option<Transaction>,
}

/// The answer of `coterie_status`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Status {
    version: &'static str,
    chain_id: U64,
    definition_hash: B256,
    ready: bool,
    followed: Option<Block>,
    head: Option<Block>,
    lag: Option<U64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    following_stopped: Option<String>,
    #[serde(flatten)]
    counts: Option<Counts>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Counts {
    groups: U64,
    joining: U64,
    peers: U64,
    unreadable_markers: U64,
    late_payloads: U64,
    diverging_members: U64,
}

/// The answer of `coterie_groupStatus`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct GroupStatus {
    privacy_group_id: String,
    members: Vec<String>,
    owner: Option<Address>,
    locked: bool,
    version: B256,
    created: Block,
    head: Block,
    state_root: B256,
    counted: U64,
    digest: B256,
    joining: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    healing: Option<Healing>,
    late_payloads: U64,
    comparisons: Vec<Comparison>,
}

/// How the last `coterie_heal` of a group goes or went.
#[derive(Debug, Serialize)]
struct Healing {
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Block>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Comparison {
    member: String,
    block: Option<Block>,
    seconds_ago: Option<u64>,
    agrees: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    divergence: Option<Divergence>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Divergence {
    block: Block,
    state_root: B256,
    their_state_root: B256,
    first_block: Option<Block>,
    first_payload: Option<B256>,
}

#[derive(Debug, Serialize)]
struct Block {
    number: U64,
    hash: B256,
}

impl Proof {
    pub(super) fn new(address: Address, proof: AccountProof) -> Self {
        let account = proof.account;
        Self {
            address,
            account_proof: proof.proof,
            balance: account.map_or(U256::ZERO, |account| account.balance),
            code_hash: account.map_or(KECCAK256_EMPTY, |account| account.code_hash),
            nonce: U64::from(account.map_or(0, |account| account.nonce)),
            storage_hash: account.map_or(EMPTY_ROOT, |account| account.storage_root),
            storage_proof: proof.storage.into_iter().map(Slot::from).collect(),
        }
    }
}

impl From<SlotProof> for Slot {
    fn from(it: SlotProof) -> Self {
        Self { key: it.slot.into(), value: it.value, proof: it.proof }
    }
}

/// The frames of a transaction.
pub(super) fn frames(trace: TransactionTrace) -> Vec<Frame> {
    let TransactionTrace { marker, block, index, frames } = trace;
    frames.into_iter().map(|it| frame(it, marker, block, index)).collect()
}

fn frame(it: TraceFrame, marker: B256, block: BlockRef, index: u64) -> Frame {
    let gas_used = U64::from(it.gas_used);
    let (result, error, revert_reason) = match it.end {
        TraceEnd::Returned(output) => (Some(Outcome::Call { gas_used, output }), None, None),
        TraceEnd::Created(address, code) => {
            (Some(Outcome::Create { address, code, gas_used }), None, None)
        }
        TraceEnd::Destroyed => (None, None, None),
        TraceEnd::Reverted(data) => (None, Some("Reverted"), Some(data)),
        TraceEnd::Failed(failure) => (None, Some(words(failure)), None),
        TraceEnd::Running => (None, Some(words(TraceFailure::Other)), None),
    };
    let (kind, action) = action(it.action);
    Frame {
        action,
        block_hash: block.hash,
        block_number: block.number,
        error,
        result,
        revert_reason,
        subtraces: it.subtraces,
        trace_address: it.place,
        transaction_hash: marker,
        transaction_position: index,
        kind,
    }
}

fn action(it: TraceAction) -> (&'static str, Action) {
    match it {
        TraceAction::Call { kind, from, to, value, gas, input } => {
            let call_type = match kind {
                CallKind::Call => "call",
                CallKind::CallCode => "callcode",
                CallKind::DelegateCall => "delegatecall",
                CallKind::StaticCall => "staticcall",
            };
            ("call", Action::Call { call_type, from, gas: U64::from(gas), input, to, value })
        }
        TraceAction::Create { from, value, gas, init } => {
            ("create", Action::Create { from, gas: U64::from(gas), init, value })
        }
        TraceAction::Destroy { address, balance, beneficiary } => {
            ("suicide", Action::Destroy { address, balance, refund_address: beneficiary })
        }
    }
}

/// The words of OpenEthereum where it has the case.
const fn words(failure: TraceFailure) -> &'static str {
    match failure {
        TraceFailure::OutOfGas => "Out of gas",
        TraceFailure::BadInstruction => "Bad instruction",
        TraceFailure::BadJump => "Bad jump destination",
        TraceFailure::StackUnderflow => "Stack underflow",
        TraceFailure::StackOverflow => "Out of stack",
        TraceFailure::TooDeep => "Call depth exceeded",
        TraceFailure::OutOfFunds => "Insufficient balance for transfer",
        TraceFailure::StaticChange => "Mutable Call In Static Context",
        TraceFailure::Precompile => "Built-in failed",
        TraceFailure::Collision => "Contract already exists",
        TraceFailure::BadCode => "Invalid code",
        TraceFailure::Other => "Internal error",
    }
}

impl From<TransactionPage> for Page {
    fn from(it: TransactionPage) -> Self {
        Self {
            transactions: it.transactions.into_iter().map(Listed::from).collect(),
            cursor: it.next.map(|next| format!("{}-{}", next.block, next.index)),
        }
    }
}

impl From<MarkedTransaction> for Listed {
    fn from(it: MarkedTransaction) -> Self {
        Self {
            transaction_hash: it.marker,
            block_hash: it.block.hash,
            block_number: U64::from(it.block.number),
            transaction_index: U64::from(it.index),
            status: U64::from(it.reason.status()),
            reason: it.reason.word(),
            transaction: it.transaction.map(Transaction::from),
        }
    }
}

impl From<NodeStatus> for Status {
    fn from(it: NodeStatus) -> Self {
        let (followed, head) = (it.readiness.followed, it.readiness.head);
        let lag =
            followed.zip(head).map(|(at, head)| U64::from(head.number.saturating_sub(at.number)));
        Self {
            version: it.version,
            chain_id: U64::from(it.chain_id),
            definition_hash: it.definition,
            ready: it.readiness.ready,
            followed: followed.map(Block::from),
            head: head.map(Block::from),
            lag,
            following_stopped: it.readiness.stopped.map(|it| it.reason),
            counts: it.counts.map(|it| Counts {
                groups: U64::from(it.groups),
                joining: U64::from(it.joining),
                peers: U64::from(it.peers),
                unreadable_markers: U64::from(it.unreadable),
                late_payloads: U64::from(it.late),
                diverging_members: U64::from(it.diverging),
            }),
        }
    }
}

impl From<service::GroupStatus> for GroupStatus {
    fn from(it: service::GroupStatus) -> Self {
        Self {
            privacy_group_id: it.group.to_base64(),
            members: it.members.iter().map(ToString::to_string).collect(),
            owner: it.owner,
            locked: it.locked,
            version: it.version,
            created: it.created.into(),
            head: it.head.into(),
            state_root: it.root,
            counted: U64::from(it.counted),
            digest: it.digest,
            joining: it.joining,
            healing: it.healing.map(Healing::from),
            late_payloads: U64::from(it.late),
            comparisons: it.compared.into_iter().map(Comparison::from).collect(),
        }
    }
}

impl From<service::Healing> for Healing {
    fn from(it: service::Healing) -> Self {
        let (state, until, reason) = match it {
            service::Healing::UnderWay => ("under way", None, None),
            service::Healing::Taken(until) => ("taken", Some(until.into()), None),
            service::Healing::Failed(reason) => ("failed", None, Some(reason)),
        };
        Self { state, until, reason }
    }
}

impl From<Compare> for Comparison {
    fn from(it: Compare) -> Self {
        Self {
            member: it.member.to_base64(),
            block: it.last.map(|(block, _)| block.into()),
            seconds_ago: it.last.map(|(_, ago)| ago.as_secs()),
            agrees: it.last.map(|_| it.divergence.is_none()),
            divergence: it.divergence.map(|it| Divergence {
                block: it.block.into(),
                state_root: it.ours,
                their_state_root: it.theirs,
                first_block: it.first.map(|(block, _)| block.into()),
                first_payload: it.first.map(|(_, key)| key.0),
            }),
        }
    }
}

impl From<BlockRef> for Block {
    fn from(it: BlockRef) -> Self {
        Self { number: U64::from(it.number), hash: it.hash }
    }
}
