//! What the client reads of blocks and transactions in JSON, and what it understands of error texts.
//!
//! Only what is needed is read, so that unknown fields and odd transactions of others cannot stop it.

use alloy_primitives::{Address, B256, Bytes, U64, U256};
use coterie_core::marker::FLEXIBLE_PRIVACY;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::chain::{Block, BlockId, BlockRef, Header, MarkerTransaction, MinedTransaction};

/// A header. Fields that some client leaves out are optional; the others must be there.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WireHeader {
    pub(super) number: U64,
    pub(super) hash: B256,
    pub(super) parent_hash: B256,
    timestamp: U64,
    miner: Address,
    gas_limit: U64,
    #[serde(default)]
    base_fee_per_gas: Option<U64>,
    #[serde(default)]
    difficulty: Option<U256>,
    #[serde(default)]
    mix_hash: Option<B256>,
    #[serde(default)]
    excess_blob_gas: Option<U64>,
}

/// An answer that is JSON but not what was asked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum WireError {
    /// Another shape.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// Another block.
    #[error("block {0} instead of the one asked for")]
    OtherBlock(B256),
    /// Another transaction.
    #[error("transaction {0} instead of the one asked for")]
    OtherTransaction(B256),
    /// A mined marker without a member that every client has.
    #[error("transaction {index} has no {member}")]
    Missing {
        /// Index in the block.
        index: u64,
        /// Name of the member.
        member: &'static str,
    },
}

impl WireHeader {
    /// Whether it is the block asked for.
    pub(super) fn check(&self, id: BlockId) -> Result<(), WireError> {
        let same = match id {
            BlockId::Hash(hash) => self.hash == hash,
            BlockId::Number(number) => self.number.to::<u64>() == number,
            BlockId::Latest | BlockId::Finalized | BlockId::Safe => true,
        };
        if same { Ok(()) } else { Err(WireError::OtherBlock(self.hash)) }
    }

    fn header(self) -> Header {
        Header {
            number: self.number.to(),
            hash: self.hash,
            parent_hash: self.parent_hash,
            timestamp: self.timestamp.to(),
            beneficiary: self.miner,
            gas_limit: self.gas_limit.to(),
            base_fee: self.base_fee_per_gas.map(|it| it.to()),
            difficulty: self.difficulty.unwrap_or_default(),
            mix_hash: self.mix_hash.unwrap_or_default(),
            excess_blob_gas: self.excess_blob_gas.map(|it| it.to()),
        }
    }
}

#[derive(Deserialize)]
struct Transactions<'a> {
    #[serde(borrow)]
    transactions: Vec<InBlock<'a>>,
}

/// A transaction in a block: decoded no further than needed to see whether it is a marker.
#[derive(Deserialize)]
struct InBlock<'a> {
    #[serde(default)]
    to: Option<Address>,
    #[serde(default)]
    hash: Option<B256>,
    #[serde(default)]
    from: Option<Address>,
    #[serde(borrow, default)]
    input: Option<&'a RawValue>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

/// Reads a block with full transactions, which must be the one asked for.
pub(super) fn block(text: &str, id: BlockId) -> Result<Block, WireError> {
    let header: WireHeader = serde_json::from_str(text)?;
    header.check(id)?;
    let Transactions { transactions } = serde_json::from_str(text)?;
    let markers =
        transactions.iter().zip(0_u64..).filter(|(it, _)| it.to == Some(FLEXIBLE_PRIVACY));
    let marker = |(it, index): (&InBlock<'_>, u64)| {
        let missing = |member| WireError::Missing { index, member };
        let input = it.input.or(it.data).ok_or_else(|| missing("input"))?;
        Ok(MarkerTransaction {
            hash: it.hash.ok_or_else(|| missing("hash"))?,
            // A block lists its transactions in their order.
            index,
            from: it.from.ok_or_else(|| missing("from"))?,
            input: serde_json::from_str(input.get())?,
        })
    };
    let markers = markers.map(marker).collect::<Result<Vec<_>, WireError>>()?;
    Ok(Block { header: header.header(), markers })
}

/// A transaction by hash.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WireTransaction {
    hash: B256,
    #[serde(default)]
    block_hash: Option<B256>,
    #[serde(default)]
    block_number: Option<U64>,
    #[serde(default)]
    transaction_index: Option<U64>,
    from: Address,
    #[serde(default)]
    to: Option<Address>,
    #[serde(default, alias = "data")]
    input: Bytes,
}

impl WireTransaction {
    /// Where it was mined; `None` while it waits.
    pub(super) fn mined(self, asked: B256) -> Result<Option<MinedTransaction>, WireError> {
        if self.hash != asked {
            return Err(WireError::OtherTransaction(self.hash));
        }
        let place = self.block_hash.zip(self.block_number).zip(self.transaction_index);
        Ok(place.map(|((hash, number), index)| MinedTransaction {
            block: BlockRef { number: number.to(), hash },
            index: index.to(),
            from: self.from,
            to: self.to,
            input: self.input,
        }))
    }
}

fn says(message: &str, phrases: &[&str]) -> bool {
    let message = message.to_lowercase();
    phrases.iter().any(|it| message.contains(it))
}

/// The state is gone: geth, Erigon and reth, Besu, Nethermind, anvil.
pub(super) fn is_pruned(message: &str) -> bool {
    const PHRASES: [&str; 9] = [
        "missing trie node",
        "state not available",
        "state is not available",
        "historical state",
        "world state unavailable",
        "no state available",
        "pruned",
        "old data not available",
        "state at block",
    ];
    says(message, &PHRASES)
}

/// The endpoint does not have the block: often a replica that is behind.
pub(super) fn is_unknown_block(message: &str) -> bool {
    const PHRASES: [&str; 7] = [
        "header not found",
        "resource not found",
        "block not found",
        "unknown block",
        "header for hash not found",
        "cannot find block",
        "could not be found",
    ];
    says(message, &PHRASES)
}

/// The transaction is in the pool: geth and anvil, Besu, Nethermind, Erigon.
pub(super) fn is_already_known(message: &str) -> bool {
    const PHRASES: [&str; 5] = [
        "already known",
        "known transaction",
        "alreadyknown",
        "already imported",
        "already in the pool",
    ];
    says(message, &PHRASES)
}
