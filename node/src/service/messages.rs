//! What members' nodes say to each other about groups (design, 2.2 and 2.4), as RLP.
//!
//! The enclave carries these as opaque boxed bytes, which proves who asks. Each kind names its
//! version; a node that does not know a kind refuses it. Limits are checked by whoever answers and
//! by whoever reads the answer.

use alloy_primitives::{Address, B256, Bytes, FixedBytes, U256};
use alloy_rlp::{Decodable, Encodable, RlpDecodable, RlpEncodable};
use coterie_core::{EnclaveKey, GroupId, PayloadKey};

use crate::{
    chain::{BlockRef, PublicAccount, PublicRead, PublicValue},
    enclave::{HistoryEntry, Opening, SealedPayload},
    state::{GroupBlock, Reason},
};

/// Asks for a page of a group's history: [`HistoryRequest`] → [`HistoryPage`].
pub const HISTORY: &str = "history/1";
/// Asks for a group's state root after a block: [`RootRequest`] → [`RootReply`].
pub const ROOT: &str = "root/1";
/// Asks for the ids that counted: [`CountedRequest`] → [`CountedPage`].
pub const COUNTED: &str = "counted/1";
/// Asks whether a group id is known: [`GroupRequest`] → [`KnownReply`].
pub const KNOWN: &str = "known/1";
/// Offers a group's history: [`Offer`] → empty.
pub const OFFER: &str = "offer/1";

/// Entries and bytes of ciphertext in one page of a history, at most.
pub const PAGE_ENTRIES_MAX: usize = 1_000;
/// Bytes of ciphertext after which a page ends.
pub const PAGE_BYTES_MAX: usize = 2 * 1024 * 1024;

/// A block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub struct WireBlock {
    /// Number.
    pub number: u64,
    /// Hash.
    pub hash: B256,
}

impl From<BlockRef> for WireBlock {
    fn from(block: BlockRef) -> Self {
        Self { number: block.number, hash: block.hash }
    }
}

impl From<WireBlock> for BlockRef {
    fn from(block: WireBlock) -> Self {
        Self { number: block.number, hash: block.hash }
    }
}

/// Asks for entries `from..` of the history of `group`.
#[derive(Clone, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub struct HistoryRequest {
    /// The group, 32 bytes.
    pub group: B256,
    /// Index of the first entry wanted.
    pub from: u64,
    /// Empty in the first request; then the block that the first page named.
    pub until: Vec<WireBlock>,
}

/// A page of a group's history.
#[derive(Clone, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub struct HistoryPage {
    /// The history is complete up to the end of this block.
    pub until: WireBlock,
    /// State root after it, by the giver.
    pub root: B256,
    /// Digest of the ids that counted, by the giver.
    pub digest: B256,
    /// How many entries the whole history has.
    pub total: u64,
    /// The entries, in chain order.
    pub entries: Vec<WireEntry>,
    /// Public reads of the blocks in this page.
    pub reads: Vec<WireReads>,
}

/// One marker of a history with its payload. Holds a secret; never logged.
#[derive(Clone, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub struct WireEntry {
    /// The marker's block.
    pub block: WireBlock,
    /// The marker's index in it.
    pub index: u64,
    /// The payload's id.
    pub payload: B256,
    /// The envelope's sender key.
    pub sender_key: Bytes,
    /// The ciphertext whose hash is the id.
    pub cipher_text: Bytes,
    /// Its key.
    pub master_key: B256,
    /// Its nonce.
    pub nonce: FixedBytes<24>,
}

impl std::fmt::Debug for WireEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WireEntry").field("payload", &self.payload).finish_non_exhaustive()
    }
}

impl WireEntry {
    /// Packs an entry and its payload.
    pub fn new(entry: HistoryEntry, sealed: SealedPayload) -> Self {
        Self {
            block: entry.block.into(),
            index: entry.index,
            payload: entry.key.0,
            sender_key: Bytes::copy_from_slice(sealed.sender_key.as_slice()),
            cipher_text: sealed.cipher_text,
            master_key: sealed.opening.master_key.into(),
            nonce: sealed.opening.nonce.into(),
        }
    }

    /// Unpacks it; `None` when the sender key has not 32 bytes: only such keys seal.
    pub fn unpack(self) -> Option<(HistoryEntry, SealedPayload)> {
        let entry = HistoryEntry {
            block: self.block.into(),
            index: self.index,
            key: PayloadKey(self.payload),
        };
        let sender_key = EnclaveKey::from_slice(&self.sender_key).ok()?;
        sender_key.as_nacl()?;
        let opening = Opening { master_key: self.master_key.0, nonce: self.nonce.0 };
        Some((entry, SealedPayload { sender_key, cipher_text: self.cipher_text, opening }))
    }
}

/// The public reads of a group at one block.
#[derive(Clone, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub struct WireReads {
    /// The block whose execution read them (its parent's state).
    pub block: WireBlock,
    /// What was read.
    pub reads: Vec<WireRead>,
}

/// One public read. Which fields matter depends on `kind`: 0 account, 1 slot, 2 block hash.
#[derive(Clone, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub struct WireRead {
    /// 0 account, 1 slot, 2 block hash.
    pub kind: u8,
    /// The account (0, 1).
    pub address: Address,
    /// The slot (1) or block number (2).
    pub slot: U256,
    /// The account's nonce (0).
    pub nonce: u64,
    /// The account's balance (0), the slot's value (1), or the block hash (2).
    pub value: U256,
    /// The account's code (0).
    pub code: Bytes,
}

impl WireRead {
    /// Packs a read.
    pub fn new(read: &PublicRead, value: &PublicValue) -> Self {
        let empty = Self {
            kind: 0,
            address: Address::ZERO,
            slot: U256::ZERO,
            nonce: 0,
            value: U256::ZERO,
            code: Bytes::new(),
        };
        let mut wire = match *read {
            PublicRead::Account(address) => Self { address, ..empty },
            PublicRead::Slot(address, slot) => Self { kind: 1, address, slot, ..empty },
            PublicRead::BlockHash(number) => Self { kind: 2, slot: U256::from(number), ..empty },
        };
        match value {
            PublicValue::Account(account) => {
                (wire.nonce, wire.value, wire.code) =
                    (account.nonce, account.balance, account.code.clone());
            }
            PublicValue::Slot(value) => wire.value = *value,
            PublicValue::BlockHash(hash) => wire.value = (*hash).into(),
        }
        wire
    }

    /// Unpacks it; `None` for an unknown kind or a block number beyond 64 bits.
    pub fn unpack(self) -> Option<(PublicRead, PublicValue)> {
        Some(match self.kind {
            0 => (
                PublicRead::Account(self.address),
                PublicValue::Account(PublicAccount {
                    nonce: self.nonce,
                    balance: self.value,
                    code: self.code,
                }),
            ),
            1 => (PublicRead::Slot(self.address, self.slot), PublicValue::Slot(self.value)),
            2 => (
                PublicRead::BlockHash(u64::try_from(self.slot).ok()?),
                PublicValue::BlockHash(self.value.into()),
            ),
            _ => return None,
        })
    }
}

/// Names a group.
#[derive(Clone, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub struct GroupRequest {
    /// The group, 32 bytes.
    pub group: B256,
}

/// Whether the group id is known.
#[derive(Clone, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub struct KnownReply {
    /// True if the node has state of it.
    pub known: bool,
}

/// Asks for a group's root after a block.
#[derive(Clone, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub struct RootRequest {
    /// The group, 32 bytes.
    pub group: B256,
    /// The block.
    pub block: WireBlock,
}

/// A group's root after the asked block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub struct RootReply {
    /// State root.
    pub root: B256,
    /// Digest of the ids that counted.
    pub digest: B256,
    /// How many ids counted.
    pub counted: u64,
}

/// Asks for the ids that counted up to the end of a block.
#[derive(Clone, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub struct CountedRequest {
    /// The group, 32 bytes.
    pub group: B256,
    /// Up to the end of this block.
    pub until: WireBlock,
    /// Index of the first id wanted.
    pub from: u64,
}

/// Ids that counted, in chain order.
#[derive(Clone, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub struct CountedPage {
    /// The ids.
    pub ids: Vec<WireId>,
}

/// An id that counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub struct WireId {
    /// Its marker's block.
    pub block: WireBlock,
    /// Its marker's index.
    pub index: u64,
    /// The id.
    pub payload: B256,
}

impl WireId {
    /// The ids that counted in a block, in order.
    pub fn counted(record: &GroupBlock) -> impl Iterator<Item = Self> {
        let block = record.block.into();
        let counted = record.markers.iter().filter(|marker| marker.reason == Reason::Executed);
        counted.map(move |marker| Self { block, index: marker.index, payload: marker.payload.0 })
    }
}

/// Tells a new member that a history waits for it.
#[derive(Clone, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub struct Offer {
    /// The group, 32 bytes.
    pub group: B256,
    /// The block in which the giver saw the addition.
    pub added: WireBlock,
}

/// Encodes a message.
pub fn encode(message: &impl Encodable) -> Bytes {
    alloy_rlp::encode(message).into()
}

/// Decodes a message; bytes after it are an error.
///
/// # Errors
///
/// What is wrong with the bytes.
pub fn decode<T: Decodable>(bytes: &[u8]) -> Result<T, alloy_rlp::Error> {
    alloy_rlp::decode_exact(bytes)
}

/// The group that a message names.
pub const fn group(id: B256) -> GroupId {
    GroupId(id)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn public_reads_survive_the_wire() {
        let account =
            PublicAccount { nonce: 7, balance: U256::from(9), code: Bytes::from_static(&[0x60]) };
        let cases = [
            (PublicRead::Account(Address::repeat_byte(1)), PublicValue::Account(account)),
            (
                PublicRead::Slot(Address::repeat_byte(2), U256::from(3)),
                PublicValue::Slot(U256::MAX),
            ),
            (PublicRead::BlockHash(u64::MAX), PublicValue::BlockHash(B256::repeat_byte(4))),
        ];
        for (read, value) in cases {
            let wire: WireRead = decode(&encode(&WireRead::new(&read, &value))).unwrap();
            assert_eq!(wire.unpack(), Some((read, value)));
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode::<HistoryRequest>(&bytes);
            let _ = decode::<HistoryPage>(&bytes);
            let _ = decode::<CountedPage>(&bytes);
            let _ = decode::<RootReply>(&bytes);
        }
    }
}
