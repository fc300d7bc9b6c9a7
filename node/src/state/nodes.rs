//! Where trie nodes and code come from: the store, behind bounded caches of decoded nodes.

use std::sync::Arc;

use alloy_primitives::{B256, Bytes, U256};
use quick_cache::{Weighter, sync::Cache};

use super::{
    Corruption, StateError,
    account::AccountEntry,
    trie::{Load, Node, TrieValue, decode, node_bytes},
};
use crate::store::{Store, Table, Value};

/// A cache of decoded nodes, bounded by their memory.
type NodeCache<V> = Cache<B256, Node<V>, ByMemory>;

/// Reads nodes and code. Shared by all snapshots.
pub(super) struct Nodes {
    store: Arc<dyn Store>,
    accounts: NodeCache<AccountEntry>,
    slots: NodeCache<U256>,
}

impl Nodes {
    pub(super) fn new(store: Arc<dyn Store>, cache_bytes_max: usize) -> Self {
        let cache_bytes = cache_bytes_max as u64;
        // Estimates size the tables of the caches; a node is some hundred bytes.
        Self {
            store,
            accounts: Cache::with_weighter(cache_bytes_max / 2_000, cache_bytes / 2, ByMemory),
            slots: Cache::with_weighter(cache_bytes_max / 1_000, cache_bytes / 2, ByMemory),
        }
    }

    /// Code by its hash.
    pub(super) fn code(&self, hash: B256) -> Result<Bytes, StateError> {
        match self.store.get(Table::Code, hash.as_slice())? {
            Some(code) => Ok(Bytes::copy_from_slice(&code)),
            None => Err(StateError::Corrupt(Corruption::MissingCode(hash))),
        }
    }

    /// The encoding of a saved node.
    pub(super) fn bytes(&self, hash: &B256) -> Result<Value, StateError> {
        let bytes = self.store.get(Table::Nodes, hash.as_slice())?;
        bytes.ok_or(StateError::Corrupt(Corruption::MissingNode(*hash)))
    }

    fn read<V: TrieValue>(&self, hash: &B256) -> Result<Node<V>, StateError> {
        let bytes = self.bytes(hash)?;
        match decode(hash, &bytes) {
            Ok(Node::Hash(_)) | Err(_) => Err(StateError::Corrupt(Corruption::BadNode(*hash))),
            Ok(node) => Ok(node),
        }
    }
}

/// For reading: remembers what it loads.
pub(super) struct Reader<'a>(pub(super) &'a Nodes);

/// For changing: what it loads stays in the changed tree, so it is not remembered twice.
pub(super) struct Writer<'a>(pub(super) &'a Nodes);

/// The cache for nodes of one kind of trie.
trait Cached: TrieValue {
    fn cache(nodes: &Nodes) -> &NodeCache<Self>;
}

impl Cached for AccountEntry {
    fn cache(nodes: &Nodes) -> &NodeCache<Self> {
        &nodes.accounts
    }
}

impl Cached for U256 {
    fn cache(nodes: &Nodes) -> &NodeCache<Self> {
        &nodes.slots
    }
}

impl<V: Cached> Load<V> for Reader<'_> {
    fn load(&self, hash: &B256) -> Result<Node<V>, StateError> {
        let cache = V::cache(self.0);
        if let Some(node) = cache.get(hash) {
            return Ok(node);
        }
        let node = self.0.read(hash)?;
        cache.insert(*hash, node.clone());
        Ok(node)
    }
}

impl<V: Cached> Load<V> for Writer<'_> {
    fn load(&self, hash: &B256) -> Result<Node<V>, StateError> {
        match V::cache(self.0).peek(hash) {
            Some(node) => Ok(node),
            None => self.0.read(hash),
        }
    }
}

#[derive(Clone)]
struct ByMemory;

impl<V> Weighter<B256, Node<V>> for ByMemory {
    fn weight(&self, _: &B256, node: &Node<V>) -> u64 {
        // The entry itself: key, node, bookkeeping.
        const ENTRY_BYTES: u64 = 128;
        ENTRY_BYTES + node_bytes(node) as u64
    }
}
