//! What a leaf of a world state holds: an account with its storage trie.

use alloy_primitives::{KECCAK256_EMPTY, U256, keccak256};
use alloy_rlp::{Decodable, Encodable};

use super::{
    Account, AccountChange, EMPTY_ROOT, StateError,
    nodes::Writer,
    trie::{Edit, NewNodes, Trie, TrieValue, Weights},
};

/// An account and the storage that its `storage_root` names.
#[derive(Clone, Debug)]
pub(super) struct AccountEntry {
    pub(super) account: Account,
    pub(super) storage: Trie<U256>,
}

impl AccountEntry {
    /// An account without anything.
    pub(super) fn new() -> Self {
        let account = Account {
            nonce: 0,
            balance: U256::ZERO,
            storage_root: EMPTY_ROOT,
            code_hash: KECCAK256_EMPTY,
        };
        Self { account, storage: Trie::at(EMPTY_ROOT) }
    }

    /// Applies a change; the bytes of nodes that this added to the storage trie in memory.
    pub(super) fn change(
        &mut self,
        change: &AccountChange,
        writer: &Writer<'_>,
        stamp: u32,
    ) -> Result<usize, StateError> {
        self.account.nonce = change.nonce;
        self.account.balance = change.balance;
        self.account.code_hash = change.code_hash;
        if change.storage_cleared {
            self.storage = Trie::at(EMPTY_ROOT);
        }
        let mut edit = Edit::new(writer, stamp);
        for (slot, value) in &change.storage {
            let key = keccak256(slot.to_be_bytes::<32>());
            if value.is_zero() {
                self.storage.remove(key, &mut edit)?;
            } else {
                self.storage.insert(key, *value, &mut edit)?;
            }
        }
        Ok(edit.added)
    }
}

impl TrieValue for AccountEntry {
    fn decode(mut bytes: &[u8]) -> Option<Self> {
        let account = Account::decode(&mut bytes).ok()?;
        bytes.is_empty().then(|| Self { account, storage: Trie::at(account.storage_root) })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        self.account.encode(out);
    }

    fn seal(&mut self, new: &mut NewNodes) {
        self.account.storage_root = self.storage.seal(new);
    }

    fn weigh(&self, weights: &mut Weights) {
        self.storage.weigh(weights);
    }

    fn prune(&mut self, before: u32) {
        self.storage.prune(before);
    }
}
