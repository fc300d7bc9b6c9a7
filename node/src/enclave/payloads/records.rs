//! The bytes of the payload store's rows. The module above documents the format.
//!
//! Integers are big-endian. Decoding is total: a damaged row is an error, never a panic.

use alloy_primitives::{Address, B256, Bytes, U256};
use coterie_core::{EnclaveKey, GroupId, PayloadKey};

use super::position::{Reorg, StoredAt};
use crate::{
    chain::{BlockRef, PublicAccount, PublicRead, PublicValue},
    enclave::{AcceptedHistory, HistoryEntry},
};

/// A row does not decode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a row of table `{0}` is damaged")]
pub struct Damaged(pub(super) &'static str);

/// Reads fixed-width values off the front of a row.
struct Row<'a>(&'static str, &'a [u8]);

impl<'a> Row<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Damaged> {
        let (bytes, rest) = self.1.split_at_checked(length).ok_or(Damaged(self.0))?;
        self.1 = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Damaged> {
        let (bytes, rest) = self.1.split_first_chunk::<N>().ok_or(Damaged(self.0))?;
        self.1 = rest;
        Ok(*bytes)
    }

    fn byte(&mut self) -> Result<u8, Damaged> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u64(&mut self) -> Result<u64, Damaged> {
        self.array().map(u64::from_be_bytes)
    }

    fn b256(&mut self) -> Result<B256, Damaged> {
        self.array().map(B256::new)
    }

    fn block(&mut self) -> Result<BlockRef, Damaged> {
        Ok(BlockRef { number: self.u64()?, hash: self.b256()? })
    }

    fn optional_block(&mut self) -> Result<Option<BlockRef>, Damaged> {
        match self.byte()? {
            0 => Ok(None),
            1 => self.block().map(Some),
            _ => Err(Damaged(self.0)),
        }
    }

    fn field(&mut self) -> Result<&'a [u8], Damaged> {
        let length = u32::from_be_bytes(self.array()?);
        self.take(usize::try_from(length).map_err(|_| Damaged(self.0))?)
    }

    fn finish(self) -> Result<(), Damaged> {
        if self.1.is_empty() { Ok(()) } else { Err(Damaged(self.0)) }
    }
}

fn put_block(out: &mut Vec<u8>, block: BlockRef) {
    out.extend_from_slice(&block.number.to_be_bytes());
    out.extend_from_slice(block.hash.as_slice());
}

fn put_optional_block(out: &mut Vec<u8>, block: Option<BlockRef>) {
    out.push(u8::from(block.is_some()));
    if let Some(block) = block {
        put_block(out, block);
    }
}

fn put_field(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes);
}

pub(super) fn encode_payload(stored: StoredAt, envelope: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(49 + envelope.len());
    put_optional_block(&mut out, stored.block);
    out.extend_from_slice(&stored.reorgs.to_be_bytes());
    out.extend_from_slice(envelope);
    out
}

pub(super) fn decode_payload(bytes: &[u8]) -> Result<(StoredAt, &[u8]), Damaged> {
    let mut row = Row("payloads", bytes);
    let stored = StoredAt { block: row.optional_block()?, reorgs: row.u64()? };
    Ok((stored, row.1))
}

pub(super) fn encode_head(head: Option<BlockRef>) -> Vec<u8> {
    let mut out = Vec::new();
    put_optional_block(&mut out, head);
    out
}

pub(super) fn decode_head(bytes: &[u8]) -> Result<Option<BlockRef>, Damaged> {
    let mut row = Row("meta", bytes);
    let head = row.optional_block()?;
    row.finish()?;
    Ok(head)
}

pub(super) fn encode_reorg(reorg: &Reorg) -> Vec<u8> {
    let mut out = Vec::new();
    put_optional_block(&mut out, reorg.common);
    for block in &reorg.orphaned {
        put_block(&mut out, *block);
    }
    out
}

pub(super) fn decode_reorg(bytes: &[u8]) -> Result<Reorg, Damaged> {
    let mut row = Row("reorgs", bytes);
    let common = row.optional_block()?;
    let mut orphaned = Vec::new();
    while !row.1.is_empty() {
        orphaned.push(row.block()?);
    }
    Ok(Reorg { common, orphaned })
}

/// A payload whose marker was not seen yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ProbationRow {
    /// The number of the last decided block when it was pushed last.
    pub(super) since: u64,
    /// Its sender key.
    pub(super) sender: [u8; 32],
    /// Its size.
    pub(super) bytes: u64,
    /// Whether the sender shared a group with us: then it is not dropped for its age alone.
    pub(super) co_member: bool,
}

pub(super) fn encode_probation(row: &ProbationRow) -> Vec<u8> {
    let mut out = row.since.to_be_bytes().to_vec();
    out.extend_from_slice(&row.sender);
    out.extend_from_slice(&row.bytes.to_be_bytes());
    if row.co_member {
        out.push(1);
    }
    out
}

pub(super) fn decode_probation(bytes: &[u8]) -> Result<ProbationRow, Damaged> {
    let mut row = Row("probation", bytes);
    let (since, sender, bytes) = (row.u64()?, row.array()?, row.u64()?);
    let co_member = match row.1 {
        [] => false,
        [1] => true,
        _ => return Err(Damaged("probation")),
    };
    Ok(ProbationRow { since, sender, bytes, co_member })
}

pub(super) fn encode_history(history: &AcceptedHistory) -> Vec<u8> {
    let mut out = Vec::with_capacity(80 + 80 * history.entries.len());
    put_block(&mut out, history.until);
    put_field(&mut out, history.recipient.as_slice());
    for entry in &history.entries {
        put_block(&mut out, entry.block);
        out.extend_from_slice(&entry.index.to_be_bytes());
        out.extend_from_slice(entry.key.0.as_slice());
    }
    out
}

pub(super) fn decode_history(group: GroupId, bytes: &[u8]) -> Result<AcceptedHistory, Damaged> {
    let mut row = Row("histories", bytes);
    let until = row.block()?;
    let recipient = EnclaveKey::from_slice(row.field()?).map_err(|_| Damaged("histories"))?;
    let mut entries = Vec::new();
    while !row.1.is_empty() {
        entries.push(HistoryEntry {
            block: row.block()?,
            index: row.u64()?,
            key: PayloadKey(row.b256()?),
        });
    }
    Ok(AcceptedHistory { group, until, entries, recipient })
}

/// Writes reads; code is put into `codes` and written as its hash.
pub(super) fn encode_reads(
    reads: &[(PublicRead, PublicValue)],
    codes: &mut Vec<(B256, Bytes)>,
) -> Vec<u8> {
    let mut out = Vec::new();
    for (read, value) in reads {
        match read {
            PublicRead::Account(address) => {
                out.push(0);
                out.extend_from_slice(address.as_slice());
            }
            PublicRead::Slot(address, slot) => {
                out.push(1);
                out.extend_from_slice(address.as_slice());
                out.extend_from_slice(&slot.to_be_bytes::<32>());
            }
            PublicRead::BlockHash(number) => {
                out.push(2);
                out.extend_from_slice(&number.to_be_bytes());
            }
        }
        match value {
            PublicValue::Account(account) => {
                out.push(0);
                out.extend_from_slice(&account.nonce.to_be_bytes());
                out.extend_from_slice(&account.balance.to_be_bytes::<32>());
                let hash = if account.code.is_empty() {
                    B256::ZERO
                } else {
                    alloy_primitives::keccak256(&account.code)
                };
                out.extend_from_slice(hash.as_slice());
                if !account.code.is_empty() {
                    codes.push((hash, account.code.clone()));
                }
            }
            PublicValue::Slot(value) => {
                out.push(1);
                out.extend_from_slice(&value.to_be_bytes::<32>());
            }
            PublicValue::BlockHash(hash) => {
                out.push(2);
                out.extend_from_slice(hash.as_slice());
            }
        }
    }
    out
}

/// Reads reads; `code` gives the code of a hash.
pub(super) fn decode_reads<E: From<Damaged>>(
    bytes: &[u8],
    mut code: impl FnMut(B256) -> Result<Bytes, E>,
) -> Result<Vec<(PublicRead, PublicValue)>, E> {
    let mut row = Row("reads", bytes);
    let mut reads = Vec::new();
    while !row.1.is_empty() {
        let read = match row.byte()? {
            0 => PublicRead::Account(Address::new(row.array()?)),
            1 => PublicRead::Slot(
                Address::new(row.array()?),
                U256::from_be_bytes(row.array::<32>()?),
            ),
            2 => PublicRead::BlockHash(row.u64()?),
            _ => return Err(Damaged("reads").into()),
        };
        let value = match row.byte()? {
            0 => {
                let nonce = row.u64()?;
                let balance = U256::from_be_bytes(row.array::<32>()?);
                let hash = row.b256()?;
                let code = if hash.is_zero() { Bytes::new() } else { code(hash)? };
                PublicValue::Account(PublicAccount { nonce, balance, code })
            }
            1 => PublicValue::Slot(U256::from_be_bytes(row.array::<32>()?)),
            2 => PublicValue::BlockHash(row.b256()?),
            _ => return Err(Damaged("reads").into()),
        };
        reads.push((read, value));
    }
    Ok(reads)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn blocks() -> impl Strategy<Value = BlockRef> {
        (any::<u64>(), any::<[u8; 32]>())
            .prop_map(|(number, hash)| BlockRef { number, hash: B256::new(hash) })
    }

    fn reads() -> impl Strategy<Value = (PublicRead, PublicValue)> {
        let read = prop_oneof![
            any::<[u8; 20]>().prop_map(|a| PublicRead::Account(a.into())),
            any::<([u8; 20], [u8; 32])>()
                .prop_map(|(a, s)| PublicRead::Slot(a.into(), U256::from_be_bytes(s))),
            any::<u64>().prop_map(PublicRead::BlockHash),
        ];
        let value = prop_oneof![
            (any::<u64>(), any::<u64>(), prop::collection::vec(any::<u8>(), 0..9)).prop_map(
                |(nonce, balance, code)| {
                    PublicValue::Account(PublicAccount {
                        nonce,
                        balance: U256::from(balance),
                        code: code.into(),
                    })
                }
            ),
            any::<[u8; 32]>().prop_map(|v| PublicValue::Slot(U256::from_be_bytes(v))),
            any::<[u8; 32]>().prop_map(|v| PublicValue::BlockHash(v.into())),
        ];
        (read, value)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn rows_survive_a_round_trip(
            block in prop::option::of(blocks()), reorgs: u64, envelope in prop::collection::vec(any::<u8>(), 0..50),
            orphaned in prop::collection::vec(blocks(), 0..4), sender: [u8; 32],
            entries in prop::collection::vec((blocks(), any::<u64>(), any::<[u8; 32]>()), 0..4),
            values in prop::collection::vec(reads(), 0..5),
        ) {
            let stored = StoredAt { block, reorgs };
            let row = encode_payload(stored, &envelope);
            prop_assert_eq!(decode_payload(&row), Ok((stored, envelope.as_slice())));
            prop_assert_eq!(decode_head(&encode_head(block)), Ok(block));
            let reorg = Reorg { common: block, orphaned };
            prop_assert_eq!(decode_reorg(&encode_reorg(&reorg)), Ok(reorg));
            for co_member in [false, true] {
                let probation = ProbationRow { since: reorgs, sender, bytes: 7, co_member };
                prop_assert_eq!(decode_probation(&encode_probation(&probation)), Ok(probation));
            }
            let history = AcceptedHistory {
                group: GroupId(B256::new(sender)),
                until: BlockRef { number: reorgs, hash: B256::new(sender) },
                entries: entries.into_iter().map(|(block, index, key)| HistoryEntry { block, index, key: PayloadKey(B256::new(key)) }).collect(),
                recipient: EnclaveKey::Nacl(sender),
            };
            prop_assert_eq!(decode_history(history.group, &encode_history(&history)), Ok(history));
            let mut codes = Vec::new();
            let row = encode_reads(&values, &mut codes);
            let codes: HashMap<_, _> = codes.into_iter().collect();
            let decoded = decode_reads(&row, |hash| codes.get(&hash).cloned().ok_or(Damaged("codes")));
            prop_assert_eq!(decoded, Ok(values));
        }

        #[test]
        fn damaged_rows_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode_payload(&bytes);
            let _ = decode_head(&bytes);
            let _ = decode_reorg(&bytes);
            let _ = decode_probation(&bytes);
            let _ = decode_history(GroupId(B256::ZERO), &bytes);
            let _ = decode_reads(&bytes, |_| Err(Damaged("codes")));
        }
    }
}
