//! The add blob of `besu` rules: the history of a group for members being added, as one payload
//! (protocol specification, 1.5 and 5.4).

use alloc::vec::Vec;

use alloy_primitives::B256;
use alloy_rlp::{Encodable, Header};

use crate::{
    rlp::{list_of, split_list},
    transaction::{DecodeError, SignedPrivateTransaction},
};

/// The longest history that is read: Besu builds it in memory, and one entry has at least 140
/// bytes.
pub const ADD_BLOB_ENTRIES_MAX: usize = 1_000_000;

/// A private transaction that succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddBlobEntry {
    /// The transaction.
    pub transaction: SignedPrivateTransaction,
    /// The hash of its marker.
    pub marker_hash: B256,
    /// The group's state root after it.
    pub state_root: B256,
}

/// The bytes are no add blob.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddBlobError {
    /// Not the lists of 1.5 in canonical RLP.
    #[error("the history is not valid RLP: {0}")]
    Rlp(alloy_rlp::Error),
    /// Something follows a list.
    #[error("{0} bytes follow the history or one of its entries")]
    TrailingBytes(usize),
    /// More than [`ADD_BLOB_ENTRIES_MAX`] entries.
    #[error("the history has more than {ADD_BLOB_ENTRIES_MAX} transactions")]
    TooManyEntries,
    /// A transaction in it is wrong.
    #[error("a private transaction in the history cannot be decoded")]
    Transaction(#[from] DecodeError),
}

/// RLP list of `[private transaction (nested list), [marker hash, state root]]`.
pub fn encode_add_blob(entries: &[AddBlobEntry]) -> Vec<u8> {
    let mut items = Vec::new();
    for entry in entries {
        let mut roots = Vec::new();
        entry.marker_hash.encode(&mut roots);
        entry.state_root.encode(&mut roots);
        let mut item = entry.transaction.encode();
        item.extend(list_of(&roots));
        items.extend(list_of(&item));
    }
    list_of(&items)
}

/// Decodes strictly; what is accepted encodes to the same bytes.
pub fn decode_add_blob(bytes: &[u8]) -> Result<Vec<AddBlobEntry>, AddBlobError> {
    let mut rest = bytes;
    let list = &mut Header::decode_bytes(&mut rest, true).map_err(AddBlobError::Rlp)?;
    expect_end(rest)?;
    let mut entries = Vec::new();
    while !list.is_empty() {
        if entries.len() == ADD_BLOB_ENTRIES_MAX {
            return Err(AddBlobError::TooManyEntries);
        }
        let entry = &mut Header::decode_bytes(list, true).map_err(AddBlobError::Rlp)?;
        let transaction = split_list(entry).map_err(AddBlobError::Rlp)?;
        let roots = &mut Header::decode_bytes(entry, true).map_err(AddBlobError::Rlp)?;
        expect_end(entry)?;
        let marker_hash = hash(roots)?;
        let state_root = hash(roots)?;
        expect_end(roots)?;
        let transaction = SignedPrivateTransaction::decode(transaction)?;
        entries.push(AddBlobEntry { transaction, marker_hash, state_root });
    }
    Ok(entries)
}

fn hash(items: &mut &[u8]) -> Result<B256, AddBlobError> {
    let bytes = Header::decode_bytes(items, false).map_err(AddBlobError::Rlp)?;
    B256::try_from(bytes).map_err(|_| AddBlobError::Rlp(alloy_rlp::Error::UnexpectedLength))
}

fn expect_end(rest: &[u8]) -> Result<(), AddBlobError> {
    if rest.is_empty() { Ok(()) } else { Err(AddBlobError::TrailingBytes(rest.len())) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::strategies;

    fn entries() -> impl Strategy<Value = Vec<AddBlobEntry>> {
        let entry = (strategies::signed(), strategies::hash(), strategies::hash()).prop_map(
            |(transaction, marker_hash, state_root)| AddBlobEntry {
                transaction,
                marker_hash,
                state_root,
            },
        );
        proptest::collection::vec(entry, 0..4)
    }

    proptest! {
        #![proptest_config(strategies::config(64))]

        #[test]
        fn what_is_encoded_is_decoded(entries in entries()) {
            prop_assert_eq!(decode_add_blob(&encode_add_blob(&entries)), Ok(entries));
        }

        #[test]
        fn what_is_decoded_is_encoded(
            bytes in strategies::nearly(entries().prop_map(|entries| encode_add_blob(&entries)))
        ) {
            if let Ok(entries) = decode_add_blob(&bytes) {
                prop_assert_eq!(encode_add_blob(&entries), bytes);
            }
        }
    }
}
