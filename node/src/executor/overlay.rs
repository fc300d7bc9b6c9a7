//! A group's private state while a block is executed: the state before the block, and in memory
//! what was read of it and what changed. The trie is touched only when the block is done.

use std::{collections::HashMap, sync::Arc};

use alloy_primitives::{
    Address, B256, KECCAK256_EMPTY, U256,
    map::{AddressMap, U256Map},
};
use coterie_core::definition::GenesisAccount;
use revm::{
    bytecode::Bytecode,
    state::{AccountInfo, EvmState},
};

use super::code::CodeCache;
use crate::state::{Account, AccountChange, OpenAccount, Snapshot, StateChanges, StateError};

/// Private state inside a block.
#[derive(Clone, Debug)]
pub(super) struct Overlay {
    start: Snapshot,
    codes: Arc<CodeCache>,
    accounts: AddressMap<Held>,
}

/// An account that was read or changed.
#[derive(Clone, Debug)]
struct Held {
    /// What the state before the block has.
    base: Option<OpenAccount>,
    /// What there is now; `None` for no account or an empty one.
    info: Option<AccountInfo>,
    /// Whether storage no longer begins with that of `base`.
    cleared: bool,
    /// Slots that were read or changed.
    slots: U256Map<Slot>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    /// Before the block, or zero after the storage was cleared.
    base: U256,
    now: U256,
}

/// Accounts as they were, to undo a commit.
#[derive(Debug)]
pub(super) struct Undo(Vec<(Address, Option<Held>)>);

impl Overlay {
    pub(super) fn new(start: Snapshot, codes: Arc<CodeCache>) -> Self {
        Self { start, codes, accounts: AddressMap::default() }
    }

    /// Puts the accounts that a new group begins with.
    pub(super) fn found(&mut self, genesis: &[GenesisAccount]) {
        for account in genesis {
            let code = Bytecode::new_legacy(account.code.clone());
            let code_hash =
                if account.code.is_empty() { KECCAK256_EMPTY } else { code.hash_slow() };
            let info = AccountInfo {
                balance: account.balance,
                nonce: account.nonce,
                code_hash,
                account_id: None,
                code: Some(code),
            };
            let slots = account
                .storage
                .iter()
                .map(|(slot, value)| (*slot, Slot { base: U256::ZERO, now: *value }));
            let held = Held {
                base: None,
                info: Some(info).filter(|info| !info.is_empty()),
                cleared: true,
                slots: slots.collect(),
            };
            self.accounts.insert(account.address, held);
        }
    }

    /// A private account; `None` where there is none or an empty one.
    pub(super) fn account(&mut self, address: Address) -> Result<Option<&AccountInfo>, StateError> {
        Ok(self.held(address)?.info.as_ref())
    }

    /// An account as it was before the block.
    pub(super) fn base(&mut self, address: Address) -> Result<Option<Account>, StateError> {
        Ok(self.held(address)?.base.as_ref().map(|base| *base.account()))
    }

    /// A slot of a private account.
    pub(super) fn storage(&mut self, address: Address, slot: U256) -> Result<U256, StateError> {
        let held = self.held(address)?;
        if let Some(slot) = held.slots.get(&slot) {
            return Ok(slot.now);
        }
        let Some(base) = held.base.as_ref().filter(|_| !held.cleared) else {
            return Ok(U256::ZERO);
        };
        let value = base.storage(slot)?;
        held.slots.insert(slot, Slot { base: value, now: value });
        Ok(value)
    }

    /// Takes over what a transaction did to private accounts. Public ones in `state` were merely
    /// touched: the EVM that made it allows nothing else.
    pub(super) fn commit(&mut self, state: EvmState) -> Result<(), StateError> {
        for (address, account) in state {
            if !account.is_touched() || account.info.account_id.is_some() {
                continue;
            }
            let held = self.held(address)?;
            if account.is_selfdestructed() || account.is_empty() {
                *held = Held {
                    base: held.base.take(),
                    info: None,
                    cleared: true,
                    slots: U256Map::default(),
                };
                continue;
            }
            if account.is_created() {
                held.cleared = true;
                held.slots.clear();
            }
            for (slot, value) in account.changed_storage_slots() {
                // A changed slot was read before, except where storage is known to be empty.
                let entry =
                    held.slots.entry(*slot).or_insert(Slot { base: U256::ZERO, now: U256::ZERO });
                entry.now = value.present_value();
            }
            held.info = Some(account.info);
        }
        Ok(())
    }

    /// Remembers the accounts that committing `state` will change.
    pub(super) fn before(&self, state: &EvmState) -> Undo {
        let touched = state.iter().filter(|(_, account)| account.is_touched());
        Undo(touched.map(|(address, _)| (*address, self.accounts.get(address).cloned())).collect())
    }

    /// Undoes a commit.
    pub(super) fn undo(&mut self, undo: Undo) {
        for (address, held) in undo.0 {
            match held {
                Some(held) => self.accounts.insert(address, held),
                None => self.accounts.remove(&address),
            };
        }
    }

    /// What differs from the state before the block, in the order of addresses and slots.
    pub(super) fn finish(self) -> StateChanges {
        let mut changes = StateChanges::default();
        let mut code = HashMap::new();
        for (address, held) in self.accounts {
            if let Some(change) = held.change(&mut code) {
                changes.accounts.push((address, change));
            }
        }
        changes.accounts.sort_unstable_by_key(|(address, _)| *address);
        changes.code = code.into_iter().collect();
        changes.code.sort_unstable_by_key(|(hash, _)| *hash);
        changes
    }

    fn held(&mut self, address: Address) -> Result<&mut Held, StateError> {
        use alloy_primitives::map::Entry;
        match self.accounts.entry(address) {
            Entry::Occupied(held) => Ok(held.into_mut()),
            Entry::Vacant(place) => {
                let base = self.start.open(address)?;
                let info = match &base {
                    Some(base) => {
                        let account = base.account();
                        let code = self.codes.code(account.code_hash, &self.start)?;
                        let info = AccountInfo {
                            balance: account.balance,
                            nonce: account.nonce,
                            code_hash: account.code_hash,
                            account_id: None,
                            code: Some(code),
                        };
                        Some(info).filter(|info| !info.is_empty())
                    }
                    None => None,
                };
                Ok(place.insert(Held { base, info, cleared: false, slots: U256Map::default() }))
            }
        }
    }
}

impl Held {
    /// What changed, if anything; new code goes to `code`.
    #[expect(clippy::option_option, reason = "no change, removed, changed")]
    fn change(
        self,
        code: &mut HashMap<B256, alloy_primitives::Bytes>,
    ) -> Option<Option<AccountChange>> {
        let base = self.base.as_ref().map(|base| *base.account());
        let Some(info) = self.info else { return base.map(|_| None) };
        let mut storage: Vec<_> = self
            .slots
            .iter()
            .filter(|(_, slot)| slot.now != slot.base)
            .map(|(key, slot)| (*key, slot.now))
            .collect();
        storage.sort_unstable();
        let same = base.is_some_and(|base| {
            (base.nonce, base.balance, base.code_hash) == (info.nonce, info.balance, info.code_hash)
        });
        let storage_cleared = self.cleared && self.base.is_some();
        if same && storage.is_empty() && !storage_cleared {
            return None;
        }
        let known = base.is_some_and(|base| base.code_hash == info.code_hash);
        if let Some(new) = info.code.filter(|new| !known && !new.is_empty()) {
            code.insert(info.code_hash, new.original_bytes());
        }
        Some(Some(AccountChange {
            nonce: info.nonce,
            balance: info.balance,
            code_hash: info.code_hash,
            storage_cleared,
            storage,
        }))
    }
}
