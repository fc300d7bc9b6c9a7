//! A group's private state at one moment.

use std::sync::Arc;

use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256, keccak256};

use super::{
    Account, StateChanges, StateError,
    account::AccountEntry,
    nodes::{Nodes, Reader, Writer},
    trie::{Edit, NewNodes, Trie, Weights},
};
use crate::store::{Batch, Table, Value};

/// The private state of a group at one moment. Immutable and cheap to clone; what is not in memory
/// is read when it is needed.
///
/// A snapshot made by [`Snapshot::apply`] holds its new nodes until `State::commit` or
/// `State::save` wrote them; after that, take the snapshot anew from the state.
#[derive(Clone)]
pub struct Snapshot {
    root: B256,
    accounts: Trie<AccountEntry>,
    nodes: Arc<Nodes>,
    /// What was not written yet, oldest first.
    unsaved: Vec<Arc<Unsaved>>,
    /// How many times this tree was changed since it was loaded.
    stamp: u32,
    /// About how much memory the tree takes: never less than it does.
    resident_bytes: usize,
}

/// What one change created.
struct Unsaved {
    nodes: Vec<(B256, Value)>,
    code: Vec<(B256, Bytes)>,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").field("root", &self.root).finish_non_exhaustive()
    }
}

/// An account of a snapshot, to read several of its slots.
#[derive(Clone)]
pub struct OpenAccount {
    entry: AccountEntry,
    nodes: Arc<Nodes>,
}

impl std::fmt::Debug for OpenAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("OpenAccount").field(&self.entry.account).finish()
    }
}

impl OpenAccount {
    /// The account.
    pub const fn account(&self) -> &Account {
        &self.entry.account
    }

    /// A storage slot; zero when there is none.
    ///
    /// # Errors
    ///
    /// When the store fails or is corrupt.
    pub fn storage(&self, slot: U256) -> Result<U256, StateError> {
        let key = keccak256(slot.to_be_bytes::<32>());
        Ok(self.entry.storage.find(key, &Reader(&self.nodes))?.unwrap_or_default())
    }
}

impl Snapshot {
    pub(super) fn at(root: B256, nodes: Arc<Nodes>) -> Self {
        Self {
            root,
            accounts: Trie::at(root),
            nodes,
            unsaved: Vec::new(),
            stamp: 0,
            resident_bytes: 0,
        }
    }

    /// Its state root.
    pub const fn root(&self) -> B256 {
        self.root
    }

    pub(super) fn nodes(&self) -> &Nodes {
        &self.nodes
    }

    /// An account with access to its storage.
    ///
    /// # Errors
    ///
    /// When the store fails or is corrupt.
    pub fn open(&self, address: Address) -> Result<Option<OpenAccount>, StateError> {
        let entry = self.accounts.find(keccak256(address), &Reader(&self.nodes))?;
        Ok(entry.map(|entry| OpenAccount { entry, nodes: Arc::clone(&self.nodes) }))
    }

    /// An account.
    ///
    /// # Errors
    ///
    /// When the store fails or is corrupt.
    pub fn account(&self, address: Address) -> Result<Option<Account>, StateError> {
        Ok(self.open(address)?.map(|open| *open.account()))
    }

    /// A storage slot; zero when there is none.
    ///
    /// # Errors
    ///
    /// When the store fails or is corrupt.
    pub fn storage(&self, address: Address, slot: U256) -> Result<U256, StateError> {
        self.open(address)?.map_or(Ok(U256::ZERO), |account| account.storage(slot))
    }

    /// Contract code by its hash. Not cached here.
    ///
    /// # Errors
    ///
    /// When the store fails, or the code is missing though an account names it.
    pub fn code(&self, hash: B256) -> Result<Bytes, StateError> {
        if hash == KECCAK256_EMPTY {
            return Ok(Bytes::new());
        }
        let unsaved =
            self.unsaved.iter().flat_map(|part| &part.code).find(|(known, _)| *known == hash);
        unsaved.map_or_else(|| self.nodes.code(hash), |(_, code)| Ok(code.clone()))
    }

    /// The state after `changes`, in memory until it is committed or saved.
    ///
    /// # Errors
    ///
    /// When the store fails or is corrupt.
    pub fn apply(&self, changes: &StateChanges) -> Result<Self, StateError> {
        if changes.accounts.is_empty() && changes.code.is_empty() {
            return Ok(self.clone());
        }
        let stamp = self.stamp.saturating_add(1);
        let writer = Writer(&self.nodes);
        let mut accounts = self.accounts.clone();
        let mut edit = Edit::new(&writer, stamp);
        let mut storage_bytes = 0;
        for (address, change) in &changes.accounts {
            let key = keccak256(address);
            let Some(change) = change else {
                accounts.remove(key, &mut edit)?;
                continue;
            };
            if let Some(entry) = accounts.find_mut(key, &mut edit)? {
                storage_bytes += entry.change(change, &writer, stamp)?;
            } else {
                let mut entry = AccountEntry::new();
                storage_bytes += entry.change(change, &writer, stamp)?;
                accounts.insert(key, entry, &mut edit)?;
            }
        }
        let resident_bytes =
            self.resident_bytes.saturating_add(edit.added).saturating_add(storage_bytes);
        let mut new = NewNodes::default();
        let root = accounts.seal(&mut new);
        let mut unsaved = self.unsaved.clone();
        unsaved.push(Arc::new(Unsaved { nodes: new.nodes, code: changes.code.clone() }));
        Ok(Self { root, accounts, nodes: Arc::clone(&self.nodes), unsaved, stamp, resident_bytes })
    }

    /// Adds to `batch` what was not written yet.
    pub(super) fn write(&self, batch: &mut Batch) {
        for part in &self.unsaved {
            for (hash, node) in &part.nodes {
                batch.put(Table::Nodes, hash.0, node.clone());
            }
            for (hash, code) in &part.code {
                batch.put(Table::Code, hash.0, code.as_ref());
            }
        }
    }

    /// The same state after everything was written.
    pub(super) fn saved(mut self) -> Self {
        self.unsaved.clear();
        self
    }

    pub(super) const fn resident_bytes(&self) -> usize {
        self.resident_bytes
    }

    /// Measures the tree in memory and forgets what was changed longest ago, until about
    /// `bytes_max` are left. Everything must have been written.
    pub(super) fn prune(&mut self, bytes_max: usize) {
        let mut weights = Weights::new();
        self.accounts.weigh(&mut weights);
        let mut kept = 0;
        let mut before = 0;
        for (stamp, bytes) in weights.iter().rev() {
            if kept + bytes > bytes_max {
                before = stamp.saturating_add(1);
                break;
            }
            kept += bytes;
        }
        self.accounts.prune(before);
        self.resident_bytes = kept;
    }
}
