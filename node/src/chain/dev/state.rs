//! The public state of the development chain after a block: accounts, storage, code, by root.
//!
//! It executes nothing. Accounts are laid out as in every Ethereum client, so roots are real.

use std::{collections::HashMap, convert::Infallible};

use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256, keccak256};
use alloy_trie::TrieAccount;
use revm::{
    DatabaseRef,
    database::{AccountState, Cache},
    state::{AccountInfo, Bytecode},
};

use super::trie::{Trie, Value};

/// Deployed code by hash. It only grows: code is small beside the blocks that deployed it.
pub(super) type Codes = HashMap<B256, Bytecode>;

/// State after one block; a clone is a pointer.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    accounts: Trie<Account>,
}

/// An account.
#[derive(Clone, Debug)]
pub(super) struct Account {
    /// Nonce.
    pub(super) nonce: u64,
    /// Balance in wei.
    pub(super) balance: U256,
    /// keccak256 of the code.
    pub(super) code_hash: B256,
    storage: Trie<U256>,
}

impl Value for Account {
    fn rlp(&self) -> Vec<u8> {
        alloy_rlp::encode(TrieAccount::new(
            self.nonce,
            self.balance,
            self.storage.root(),
            self.code_hash,
        ))
    }
}

impl Value for U256 {
    fn rlp(&self) -> Vec<u8> {
        alloy_rlp::encode(self)
    }
}

impl State {
    /// State root.
    pub(super) fn root(&self) -> B256 {
        self.accounts.root()
    }

    /// An account; `None` if it is empty.
    pub(super) fn account(&self, address: Address) -> Option<&Account> {
        self.accounts.at(keccak256(address))
    }

    /// A storage slot; zero if it is not set.
    pub(super) fn slot(&self, address: Address, slot: U256) -> U256 {
        let value =
            self.account(address).and_then(|it| it.storage.at(keccak256(slot.to_be_bytes::<32>())));
        value.copied().unwrap_or_default()
    }

    /// Next nonce of an account.
    pub(super) fn nonce(&self, address: Address) -> u64 {
        self.account(address).map_or(0, |it| it.nonce)
    }

    /// Balance of an account in wei.
    pub(super) fn balance(&self, address: Address) -> U256 {
        self.account(address).map_or(U256::ZERO, |it| it.balance)
    }

    /// Gives a new account a balance: for the genesis.
    pub(super) fn fund(&mut self, address: Address, balance: U256) {
        let account =
            Account { nonce: 0, balance, code_hash: KECCAK256_EMPTY, storage: Trie::default() };
        self.accounts.insert(keccak256(address), account);
    }

    /// Takes over what a block changed.
    pub(super) fn apply(&mut self, changes: Cache, codes: &mut Codes) {
        for (address, account) in changes.accounts {
            let cleared = match account.account_state {
                AccountState::None => continue,
                AccountState::Touched => false,
                AccountState::NotExisting | AccountState::StorageCleared => true,
            };
            let key = keccak256(address);
            let info = account.info;
            if info.is_empty() {
                self.accounts.remove(key);
                continue;
            }
            let old = if cleared { None } else { self.accounts.at(key) };
            let mut storage = old.map(|it| it.storage.clone()).unwrap_or_default();
            for (slot, value) in account.storage {
                let slot = keccak256(slot.to_be_bytes::<32>());
                if value.is_zero() { storage.remove(slot) } else { storage.insert(slot, value) }
            }
            let AccountInfo { nonce, balance, code_hash, .. } = info;
            self.accounts.insert(key, Account { nonce, balance, code_hash, storage });
        }
        for (hash, code) in changes.contracts {
            if hash != KECCAK256_EMPTY && !hash.is_zero() {
                codes.entry(hash).or_insert(code);
            }
        }
    }
}

/// Code by hash; empty for an account without code.
pub(super) fn code(codes: &Codes, hash: B256) -> Bytes {
    codes.get(&hash).map(Bytecode::original_bytes).unwrap_or_default()
}

/// A state as revm reads it, with the block hashes of its own branch.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    /// State.
    pub(super) state: &'a State,
    /// Code.
    pub(super) codes: &'a Codes,
    /// Hash of the ancestor with this number.
    pub(super) ancestor: &'a dyn Fn(u64) -> Option<B256>,
}

impl std::fmt::Debug for View<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("View").field("root", &self.state.root()).finish_non_exhaustive()
    }
}

impl DatabaseRef for View<'_> {
    type Error = Infallible;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, Infallible> {
        Ok(self.state.account(address).map(|it| AccountInfo {
            nonce: it.nonce,
            balance: it.balance,
            code_hash: it.code_hash,
            // Fetched by hash when it is needed.
            code: None,
            account_id: None,
        }))
    }

    fn code_by_hash_ref(&self, hash: B256) -> Result<Bytecode, Infallible> {
        Ok(self.codes.get(&hash).cloned().unwrap_or_default())
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, Infallible> {
        Ok(self.state.slot(address, slot))
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, Infallible> {
        Ok((self.ancestor)(number).unwrap_or_default())
    }
}
