//! Markers that could not be read when their block was followed.
//!
//! If such a payload turns up later and is marked once more, the first marker has decided: late,
//! without effect for ever. So the first marker of each (payload id, public sender) is remembered
//! for each branch, and, under the zero address, the first of anyone. The same record proves to a
//! new member that a history's markers are on the chain.
//!
//! Key: `"seen"` ‖ id (32) ‖ sender (20). Value: RLP list of `[number, block hash, index, marker]`.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256};
use alloy_rlp::{RlpDecodable, RlpEncodable};
use coterie_core::PayloadKey;

use super::{Corruption, State, StateError};
use crate::{chain::BlockRef, store::Table};

/// Branches for which a first marker is remembered.
const BRANCHES_MAX: usize = 8;

/// A key of the follower's own and its value; `None` deletes.
pub(crate) type MetaWrite = (Vec<u8>, Option<Vec<u8>>);

/// A marker that could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unread {
    /// The id.
    pub(crate) key: PayloadKey,
    /// Public sender.
    pub(crate) from: Address,
    /// Index in the block.
    pub(crate) index: u64,
    /// Transaction hash.
    pub(crate) marker: B256,
}

/// A marker that was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) block: BlockRef,
    pub(crate) index: u64,
    pub(crate) marker: B256,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
struct Entry {
    number: u64,
    hash: B256,
    index: u64,
    marker: B256,
}

/// The first marker of `key` by `signer` (zero: by anyone) on the followed branch, among those that
/// could not be read.
pub(crate) fn first(
    state: &State,
    key: PayloadKey,
    signer: Address,
) -> Result<Option<Seen>, StateError> {
    let entries = load(state, &storage_key(key, signer))?;
    canonical(state, &entries)
}

/// Whether a marker of `key` by `signer` (zero: by anyone) was followed that could not be read.
///
/// # Errors
///
/// When the store fails or is corrupt.
pub fn was_unread(state: &State, key: PayloadKey, signer: Address) -> Result<bool, StateError> {
    Ok(first(state, key, signer)?.is_some())
}

/// What to write when `block` had these unreadable markers.
pub(crate) fn writes(
    state: &State,
    block: BlockRef,
    unread: &[Unread],
) -> Result<Vec<MetaWrite>, StateError> {
    let mut writes = BTreeMap::new();
    for marker in unread {
        for signer in [marker.from, Address::ZERO] {
            let at = storage_key(marker.key, signer);
            if writes.contains_key(&at) {
                continue;
            }
            let mut entries = load(state, &at)?;
            if canonical(state, &entries)?.is_some_and(|seen| seen.block.number < block.number) {
                continue;
            }
            entries.retain(|entry| entry.hash != block.hash);
            if entries.len() >= BRANCHES_MAX {
                entries.remove(0);
            }
            let Unread { index, marker, .. } = *marker;
            entries.push(Entry { number: block.number, hash: block.hash, index, marker });
            writes.insert(at, Some(alloy_rlp::encode(&entries)));
        }
    }
    Ok(writes.into_iter().collect())
}

fn canonical(state: &State, entries: &[Entry]) -> Result<Option<Seen>, StateError> {
    for entry in entries {
        if state.canonical(entry.number)? == Some(entry.hash) {
            let block = BlockRef { number: entry.number, hash: entry.hash };
            return Ok(Some(Seen { block, index: entry.index, marker: entry.marker }));
        }
    }
    Ok(None)
}

fn load(state: &State, key: &[u8]) -> Result<Vec<Entry>, StateError> {
    match state.meta(key)? {
        Some(bytes) => alloy_rlp::decode_exact(&bytes)
            .map_err(|_| StateError::Corrupt(Corruption::BadRecord(Table::Meta))),
        None => Ok(Vec::new()),
    }
}

fn storage_key(key: PayloadKey, signer: Address) -> Vec<u8> {
    [b"seen".as_slice(), key.0.as_slice(), signer.as_slice()].concat()
}
