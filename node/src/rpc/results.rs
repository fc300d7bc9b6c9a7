//! What is read, as the JSON that Besu gives for it: the members, their order, which ones are left
//! out, quantities without leading zeros (protocol specification, 7.10 to 7.13).
//!
//! A receipt has three members that Besu's has not: `reason`, the word for why the transaction had
//! the effect that it had; for a duplicate or copied marker `decidedBy`, the transaction hash of
//! the marker that decided, and `outcome`, that marker's reason. Then the members that Besu knows
//! are the outcome's. None of them is changed.

use alloy_primitives::{Address, B256, Bloom, BloomInput, Bytes, Log, TxKind, U64, U256};
use coterie_core::{Recipients, Restriction};
use serde::Serialize;

use crate::{
    service::{GroupInfo, PrivateLog, PrivateReceipt, PrivateTransactionInfo},
    state::Reason,
};

/// The answer of `priv_getTransactionReceipt`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    #[serde(skip_serializing_if = "Option::is_none")]
    contract_address: Option<Address>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<Address>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<Address>,
    output: Bytes,
    commitment_hash: B256,
    #[serde(skip_serializing_if = "Option::is_none")]
    private_from: Option<String>,
    #[serde(flatten)]
    recipients: Option<RecipientsText>,
    status: U64,
    #[serde(skip_serializing_if = "Option::is_none")]
    revert_reason: Option<Bytes>,
    logs: Vec<ReceiptLog>,
    logs_bloom: Bloom,
    block_hash: B256,
    block_number: U64,
    transaction_index: U64,
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    decided_by: Option<B256>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
}

/// A log in a receipt.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ReceiptLog {
    address: Address,
    topics: Vec<B256>,
    data: Bytes,
    block_number: U64,
    transaction_hash: B256,
    transaction_index: U64,
    block_hash: B256,
    log_index: U64,
    removed: bool,
}

/// A log in the answer of `priv_getLogs`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LogEntry {
    log_index: U64,
    removed: bool,
    block_number: U64,
    block_hash: B256,
    transaction_hash: B256,
    transaction_index: U64,
    address: Address,
    data: Bytes,
    topics: Vec<B256>,
}

/// The answer of `priv_getPrivateTransaction`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Transaction {
    from: Option<Address>,
    gas: U64,
    gas_price: U256,
    input: Bytes,
    nonce: U64,
    to: Option<Address>,
    value: U256,
    v: U256,
    r: U256,
    s: U256,
    private_from: String,
    #[serde(flatten)]
    recipients: RecipientsText,
    restriction: &'static str,
}

/// A group in the answer of `privx_findFlexiblePrivacyGroup`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    privacy_group_id: String,
    name: &'static str,
    description: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    members: Vec<String>,
}

/// `privateFor` or `privacyGroupId`, never both.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
enum RecipientsText {
    PrivateFor(Vec<String>),
    PrivacyGroupId(String),
}

impl From<PrivateReceipt> for Receipt {
    fn from(it: PrivateReceipt) -> Self {
        let mut logs_bloom = Bloom::ZERO;
        it.logs.iter().for_each(|log| accrue(&mut logs_bloom, log));
        let (block_hash, block_number) = (it.block.hash, U64::from(it.block.number));
        let transaction_index = U64::from(it.index);
        let logs = it.logs.into_iter().zip(0u64..).map(|(log, index)| {
            let (topics, data) = log.data.split();
            ReceiptLog {
                address: log.address,
                topics,
                data,
                block_number,
                transaction_hash: it.marker,
                transaction_index,
                block_hash,
                log_index: U64::from(index),
                removed: false,
            }
        });
        Self {
            contract_address: it.contract,
            from: it.from,
            to: it.to,
            output: it.output,
            commitment_hash: it.marker,
            private_from: it.private_from.map(|key| key.to_base64()),
            recipients: it.recipients.map(RecipientsText::from),
            status: U64::from(it.outcome.unwrap_or(it.reason).status()),
            revert_reason: it.revert,
            logs: logs.collect(),
            logs_bloom,
            block_hash,
            block_number,
            transaction_index,
            reason: it.reason.word(),
            decided_by: it.decided_by,
            outcome: it.outcome.map(Reason::word),
        }
    }
}

impl From<PrivateLog> for LogEntry {
    fn from(it: PrivateLog) -> Self {
        let (topics, data) = it.log.data.split();
        Self {
            log_index: U64::from(it.log_index),
            removed: it.removed,
            block_number: U64::from(it.block.number),
            block_hash: it.block.hash,
            transaction_hash: it.marker,
            transaction_index: U64::from(it.marker_index),
            address: it.log.address,
            data,
            topics,
        }
    }
}

impl From<PrivateTransactionInfo> for Transaction {
    fn from(it: PrivateTransactionInfo) -> Self {
        let (transaction, signature) = (it.signed.transaction, it.signed.signature);
        let parity = U256::from(u8::from(signature.v()));
        Self {
            from: it.from,
            gas: U64::from(transaction.gas_limit),
            gas_price: transaction.gas_price,
            input: transaction.input,
            nonce: U64::from(transaction.nonce),
            to: match transaction.to {
                TxKind::Create => None,
                TxKind::Call(to) => Some(to),
            },
            value: transaction.value,
            v: match transaction.chain_id {
                None => parity + U256::from(27),
                Some(id) => parity + U256::from(35) + U256::from(id) * U256::from(2),
            },
            r: signature.r(),
            s: signature.s(),
            private_from: transaction.private_from.to_base64(),
            recipients: transaction.recipients.into(),
            restriction: match transaction.restriction {
                Restriction::Restricted => "restricted",
                Restriction::Unrestricted => "unrestricted",
                Restriction::Unsupported(_) => "unsupported",
            },
        }
    }
}

impl From<GroupInfo> for Group {
    fn from(it: GroupInfo) -> Self {
        Self {
            privacy_group_id: it.id.to_base64(),
            name: "",
            description: "",
            kind: "FLEXIBLE",
            members: it.members.iter().map(ToString::to_string).collect(),
        }
    }
}

impl From<Recipients> for RecipientsText {
    fn from(it: Recipients) -> Self {
        match it {
            Recipients::Members(keys) => {
                Self::PrivateFor(keys.iter().map(ToString::to_string).collect())
            }
            Recipients::Group(id) => Self::PrivacyGroupId(id.to_base64()),
        }
    }
}

fn accrue(bloom: &mut Bloom, log: &Log) {
    bloom.accrue(BloomInput::Raw(log.address.as_slice()));
    for topic in log.data.topics() {
        bloom.accrue(BloomInput::Raw(topic.as_slice()));
    }
}
