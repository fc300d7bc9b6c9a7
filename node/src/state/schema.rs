//! The format of the state database. Fixed by this file; a change of it is a new [`FORMAT`].
//!
//! Numbers in keys are 8 bytes big endian, hashes and ids 32 bytes, so that keys sort by block
//! number within a group or payload. Values are RLP; `x?` is a list of no or one item.
//!
//! | table | key | value |
//! |---|---|---|
//! | `nodes` | hash | trie node, as Ethereum encodes it |
//! | `code` | keccak256 of the code | the code |
//! | `blocks` | block hash | `[number, parent, timestamp, beneficiary, gasLimit, baseFee?, difficulty, mixHash, excessBlobGas?]` |
//! | `canonical` | number | block hash (32 bytes) |
//! | `group_blocks` | group, number, block hash | `[root, digest, counted, createdNumber, createdHash, [[index, marker, payload, reason]…]]` |
//! | `receipts` | marker hash, block hash | `[number, index, payload, group?, reason, decidedBy?, output, revert?, logs, contract?, sender?]` |
//! | `members` | group, number, block hash | `[key…]`: the members from there on, where they changed |
//! | `log_index` | group, short value (8), number | nothing: such a block has a log with this value |
//! | `decisions` | payload, number, block hash, index | marker hash (32 bytes) |
//! | `meta` | `format` | RLP of the format number |
//! | `meta` | `followed` | number (8 bytes), block hash |
//! | `meta` | `follower/` and the follower's key | the follower's value |
//!
//! A short value is the first 8 bytes of keccak256(kind ‖ value): kind 1 is a log's address, 2 and up its
//! topics by position; zeros stand for any log. Entries of `log_index` do not name the branch.
//!
//! Accounts and storage are Ethereum's (protocol specification, 12.1). All groups share `nodes` and
//! `code`, of which nothing is deleted. A number in `canonical` is followed; records of other
//! branches stay and do not count.

use alloy_primitives::{Address, B256, Bytes, Log, U256};
use alloy_rlp::{Decodable, Encodable, RlpDecodable, RlpEncodable};
use coterie_core::{EnclaveKey, GroupId, PayloadKey};

use super::{
    Corruption, Decision, GroupBlock, GroupMarker, Reason, Receipt, StateError, logs::Short,
};
use crate::{
    chain::{BlockRef, Header},
    store::{Table, Value},
};

/// The format that this version writes.
pub(super) const FORMAT: u64 = 2;

/// Key of the format number.
pub(super) const FORMAT_KEY: &[u8] = b"format";
/// Key of the last followed block.
pub(super) const FOLLOWED_KEY: &[u8] = b"followed";
/// Key of the hash of the network's definition.
pub(super) const NETWORK_KEY: &[u8] = b"network";

#[derive(RlpEncodable, RlpDecodable)]
struct StoredHeader {
    number: u64,
    parent_hash: B256,
    timestamp: u64,
    beneficiary: Address,
    gas_limit: u64,
    base_fee: Vec<u64>,
    difficulty: U256,
    mix_hash: B256,
    excess_blob_gas: Vec<u64>,
}

#[derive(RlpEncodable, RlpDecodable)]
struct StoredGroupBlock {
    root: B256,
    digest: B256,
    counted: u64,
    created_number: u64,
    created_hash: B256,
    markers: Vec<StoredMarker>,
}

#[derive(RlpEncodable, RlpDecodable)]
struct StoredMarker {
    index: u64,
    marker: B256,
    payload: B256,
    reason: u8,
}

#[derive(RlpEncodable, RlpDecodable)]
struct StoredReceipt {
    number: u64,
    index: u64,
    payload: B256,
    group: Vec<B256>,
    reason: u8,
    decided_by: Vec<B256>,
    output: Bytes,
    revert: Vec<Bytes>,
    logs: Vec<Log>,
    contract: Vec<Address>,
    sender: Vec<Address>,
}

/// The key of a follower's value.
pub(super) fn follower_key(key: &[u8]) -> Vec<u8> {
    [b"follower/", key].concat()
}

/// The key of a block's record of a group.
pub(super) fn group_block_key(group: GroupId, block: BlockRef) -> Vec<u8> {
    [group.as_slice(), &block.number.to_be_bytes(), block.hash.as_slice()].concat()
}

/// The first key of a group's records from block `number` on.
pub(super) fn group_from(group: GroupId, number: u64) -> Vec<u8> {
    [group.as_slice(), &number.to_be_bytes()].concat()
}

/// The end of a group's records up to and with block `number`.
pub(super) fn group_end(group: GroupId, number: u64) -> Vec<u8> {
    after(&group_from(group, number))
}

/// The first key after all keys that begin with `prefix`; `None` when there is none.
pub(super) fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return Some(end);
        }
    }
    None
}

/// Like [`prefix_end`]; where there is none, a key longer than any in the tables.
pub(super) fn after(prefix: &[u8]) -> Vec<u8> {
    prefix_end(prefix).unwrap_or_else(|| vec![0xff; 128])
}

/// Reads group and block out of a key of `group_blocks`.
pub(super) fn parse_group_block_key(key: &[u8]) -> Result<(GroupId, BlockRef), StateError> {
    parse_group_key(Table::GroupBlocks, key)
}

/// Reads group and block out of a key of `members`.
pub(super) fn parse_members_key(key: &[u8]) -> Result<(GroupId, BlockRef), StateError> {
    parse_group_key(Table::Members, key)
}

fn parse_group_key(table: Table, key: &[u8]) -> Result<(GroupId, BlockRef), StateError> {
    let parse = || {
        let (group, rest) = key.split_first_chunk::<32>()?;
        let (number, hash) = rest.split_first_chunk::<8>()?;
        let block =
            BlockRef { number: u64::from_be_bytes(*number), hash: B256::try_from(hash).ok()? };
        Some((GroupId(B256::from(*group)), block))
    };
    parse().ok_or(bad(table))
}

/// The value of a change of members.
pub(super) fn members_value(members: &[EnclaveKey]) -> Vec<u8> {
    let keys: Vec<&[u8]> = members.iter().map(EnclaveKey::as_slice).collect();
    let mut value = Vec::new();
    alloy_rlp::encode_list::<_, [u8]>(&keys, &mut value);
    value
}

/// Reads a change of members.
pub(super) fn parse_members(value: &[u8]) -> Result<Vec<EnclaveKey>, StateError> {
    let keys: Vec<Bytes> = decode(Table::Members, value)?;
    let key = |key: Bytes| EnclaveKey::from_slice(&key).map_err(|_| bad(Table::Members));
    keys.into_iter().map(key).collect()
}

/// The key of an entry of the index of logs.
pub(super) fn log_index_key(group: GroupId, value: Short, number: u64) -> Vec<u8> {
    [group.as_slice(), &value, &number.to_be_bytes()].concat()
}

/// Reads the block number out of an entry of the index of logs.
pub(super) fn parse_log_index_number(key: &[u8]) -> Result<u64, StateError> {
    let number = key.split_last_chunk::<8>().map(|(_, number)| u64::from_be_bytes(*number));
    number.ok_or(bad(Table::LogIndex))
}

/// The key of a receipt.
pub(super) fn receipt_key(marker: B256, block: B256) -> Vec<u8> {
    [marker.as_slice(), block.as_slice()].concat()
}

/// The key of a decision.
pub(super) fn decision_key(payload: PayloadKey, block: BlockRef, index: u64) -> Vec<u8> {
    [payload.0.as_slice(), &block.number.to_be_bytes(), block.hash.as_slice(), &index.to_be_bytes()]
        .concat()
}

/// Reads a decision.
pub(super) fn parse_decision(key: &[u8], value: &[u8]) -> Result<Decision, StateError> {
    let parse = || {
        let (_, rest) = key.split_first_chunk::<32>()?;
        let (number, rest) = rest.split_first_chunk::<8>()?;
        let (hash, index) = rest.split_first_chunk::<32>()?;
        let block = BlockRef { number: u64::from_be_bytes(*number), hash: B256::from(*hash) };
        let index = u64::from_be_bytes(<[u8; 8]>::try_from(index).ok()?);
        Some(Decision { block, index, marker: B256::try_from(value).ok()? })
    };
    parse().ok_or(bad(Table::Decisions))
}

/// The value of the last followed block.
pub(super) fn block_ref_value(block: BlockRef) -> Vec<u8> {
    [block.number.to_be_bytes().as_slice(), block.hash.as_slice()].concat()
}

/// Reads the last followed block.
pub(super) fn parse_block_ref(value: &[u8]) -> Result<BlockRef, StateError> {
    let parse = || {
        let (number, hash) = value.split_first_chunk::<8>()?;
        Some(BlockRef { number: u64::from_be_bytes(*number), hash: B256::try_from(hash).ok()? })
    };
    parse().ok_or(bad(Table::Meta))
}

/// The value of a header.
pub(super) fn header_value(header: &Header) -> Vec<u8> {
    alloy_rlp::encode(StoredHeader {
        number: header.number,
        parent_hash: header.parent_hash,
        timestamp: header.timestamp,
        beneficiary: header.beneficiary,
        gas_limit: header.gas_limit,
        base_fee: header.base_fee.into_iter().collect(),
        difficulty: header.difficulty,
        mix_hash: header.mix_hash,
        excess_blob_gas: header.excess_blob_gas.into_iter().collect(),
    })
}

/// Reads the header of the block `hash`.
pub(super) fn parse_header(hash: B256, value: &[u8]) -> Result<Header, StateError> {
    let stored: StoredHeader = decode(Table::Blocks, value)?;
    Ok(Header {
        number: stored.number,
        hash,
        parent_hash: stored.parent_hash,
        timestamp: stored.timestamp,
        beneficiary: stored.beneficiary,
        gas_limit: stored.gas_limit,
        base_fee: optional(Table::Blocks, stored.base_fee)?,
        difficulty: stored.difficulty,
        mix_hash: stored.mix_hash,
        excess_blob_gas: optional(Table::Blocks, stored.excess_blob_gas)?,
    })
}

/// The value of a group's record.
pub(super) fn group_block_value(record: &GroupBlock) -> Vec<u8> {
    let marker = |marker: &GroupMarker| StoredMarker {
        index: marker.index,
        marker: marker.marker,
        payload: marker.payload.0,
        reason: reason_code(marker.reason),
    };
    alloy_rlp::encode(StoredGroupBlock {
        root: record.root,
        digest: record.digest,
        counted: record.counted,
        created_number: record.created.number,
        created_hash: record.created.hash,
        markers: record.markers.iter().map(marker).collect(),
    })
}

/// Reads the record of a group at `block`.
pub(super) fn parse_group_block(block: BlockRef, value: &[u8]) -> Result<GroupBlock, StateError> {
    let stored: StoredGroupBlock = decode(Table::GroupBlocks, value)?;
    let marker = |marker: StoredMarker| {
        let reason = reason_from(marker.reason).ok_or(bad(Table::GroupBlocks))?;
        Ok(GroupMarker {
            index: marker.index,
            marker: marker.marker,
            payload: PayloadKey(marker.payload),
            reason,
        })
    };
    Ok(GroupBlock {
        block,
        root: stored.root,
        digest: stored.digest,
        counted: stored.counted,
        created: BlockRef { number: stored.created_number, hash: stored.created_hash },
        markers: stored.markers.into_iter().map(marker).collect::<Result<_, StateError>>()?,
    })
}

/// The value of a receipt of a marker in block `number`.
pub(super) fn receipt_value(number: u64, receipt: &Receipt) -> Vec<u8> {
    alloy_rlp::encode(StoredReceipt {
        number,
        index: receipt.index,
        payload: receipt.payload.0,
        group: receipt.group.map(|group| group.0).into_iter().collect(),
        reason: reason_code(receipt.reason),
        decided_by: receipt.decided_by.into_iter().collect(),
        output: receipt.output.clone(),
        revert: receipt.revert.clone().into_iter().collect(),
        logs: receipt.logs.clone(),
        contract: receipt.contract.into_iter().collect(),
        sender: receipt.sender.into_iter().collect(),
    })
}

/// Reads a receipt.
pub(super) fn parse_receipt(key: &[u8], value: &[u8]) -> Result<(BlockRef, Receipt), StateError> {
    const TABLE: Table = Table::Receipts;
    let (marker, block) = key.split_first_chunk::<32>().ok_or(bad(TABLE))?;
    let stored: StoredReceipt = decode(TABLE, value)?;
    let block =
        BlockRef { number: stored.number, hash: B256::try_from(block).map_err(|_| bad(TABLE))? };
    let receipt = Receipt {
        marker: B256::from(*marker),
        index: stored.index,
        payload: PayloadKey(stored.payload),
        group: optional(TABLE, stored.group)?.map(GroupId),
        reason: reason_from(stored.reason).ok_or(bad(TABLE))?,
        decided_by: optional(TABLE, stored.decided_by)?,
        output: stored.output,
        revert: optional(TABLE, stored.revert)?,
        logs: stored.logs,
        contract: optional(TABLE, stored.contract)?,
        sender: optional(TABLE, stored.sender)?,
    };
    Ok((block, receipt))
}

/// Reads the hash of a canonical block.
pub(super) fn parse_hash(table: Table, value: &Value) -> Result<B256, StateError> {
    B256::try_from(&**value).map_err(|_| bad(table))
}

/// Reads the format number.
pub(super) fn parse_format(value: &[u8]) -> Result<u64, StateError> {
    decode(Table::Meta, value)
}

/// The value of the format number.
pub(super) fn format_value() -> Vec<u8> {
    let mut value = Vec::new();
    FORMAT.encode(&mut value);
    value
}

const fn bad(table: Table) -> StateError {
    StateError::Corrupt(Corruption::BadRecord(table))
}

fn decode<T: Decodable>(table: Table, mut value: &[u8]) -> Result<T, StateError> {
    let decoded = T::decode(&mut value).map_err(|_| bad(table))?;
    if value.is_empty() { Ok(decoded) } else { Err(bad(table)) }
}

fn optional<T>(table: Table, items: Vec<T>) -> Result<Option<T>, StateError> {
    let mut items = items.into_iter();
    let first = items.next();
    if items.next().is_none() { Ok(first) } else { Err(bad(table)) }
}

const fn reason_code(reason: Reason) -> u8 {
    match reason {
        Reason::Executed => 1,
        Reason::Reverted => 2,
        Reason::OutOfGas => 3,
        Reason::TooManyPublicReads => 4,
        Reason::Nonce => 5,
        Reason::ChainId => 6,
        Reason::Value => 7,
        Reason::Signature => 8,
        Reason::Locked => 9,
        Reason::Version => 10,
        Reason::NotAMember => 11,
        Reason::Undecodable => 12,
        Reason::EnclaveSignature => 13,
        Reason::Duplicate => 14,
        Reason::Copied => 15,
        Reason::Late => 16,
        Reason::NotInHistory => 17,
    }
}

fn reason_from(code: u8) -> Option<Reason> {
    const ALL: [Reason; 17] = [
        Reason::Executed,
        Reason::Reverted,
        Reason::OutOfGas,
        Reason::TooManyPublicReads,
        Reason::Nonce,
        Reason::ChainId,
        Reason::Value,
        Reason::Signature,
        Reason::Locked,
        Reason::Version,
        Reason::NotAMember,
        Reason::Undecodable,
        Reason::EnclaveSignature,
        Reason::Duplicate,
        Reason::Copied,
        Reason::Late,
        Reason::NotInHistory,
    ];
    ALL.into_iter().find(|reason| reason_code(*reason) == code)
}

#[cfg(test)]
mod tests {
    use alloy_primitives::LogData;

    use super::*;

    #[test]
    fn every_reason_has_its_own_code() {
        for code in 1..=17 {
            assert_eq!(reason_code(reason_from(code).unwrap()), code);
        }
        assert_eq!((reason_from(0), reason_from(18)), (None, None));
    }

    #[test]
    fn receipts_survive_storing() {
        let block = BlockRef { number: 7, hash: B256::repeat_byte(7) };
        let log = Log {
            address: Address::repeat_byte(3),
            data: LogData::new_unchecked(vec![B256::repeat_byte(4)], Bytes::from_static(b"x")),
        };
        let full = Receipt {
            marker: B256::repeat_byte(1),
            index: 3,
            payload: PayloadKey(B256::repeat_byte(2)),
            group: Some(GroupId(B256::repeat_byte(9))),
            reason: Reason::Reverted,
            decided_by: Some(B256::repeat_byte(5)),
            output: Bytes::from_static(b"out"),
            revert: Some(Bytes::new()),
            logs: vec![log],
            contract: Some(Address::repeat_byte(6)),
            sender: Some(Address::ZERO),
        };
        let bare = Receipt {
            group: None,
            decided_by: None,
            output: Bytes::new(),
            revert: None,
            logs: vec![],
            contract: None,
            sender: None,
            ..full.clone()
        };
        for receipt in [full, bare] {
            let value = receipt_value(7, &receipt);
            assert_eq!(
                parse_receipt(&receipt_key(receipt.marker, block.hash), &value).unwrap(),
                (block, receipt)
            );
            for cut in 0..value.len() {
                assert!(
                    parse_receipt(&receipt_key(B256::ZERO, block.hash), &value[..cut]).is_err()
                );
            }
        }
    }

    #[test]
    fn the_end_of_a_prefix_is_the_next_one() {
        assert_eq!(prefix_end(&[1, 2]), Some(vec![1, 3]));
        assert_eq!(prefix_end(&[1, 0xff]), Some(vec![2]));
        assert_eq!(prefix_end(&[0xff, 0xff]), None);
    }
}
