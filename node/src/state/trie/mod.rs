//! An incremental Merkle-Patricia trie as a persistent tree: a clone is cheap, and a change copies
//! only the nodes that it shares with another clone. So readers keep a state while the next block
//! is applied to a clone of it.
//!
//! A subtree that is not in memory is its hash; reading resolves it on the way without changing the
//! tree, changing it keeps what it resolved. Keys are 32 bytes (hashes of the real keys). Encoding
//! is Ethereum's (alloy-trie's node types; its `HashBuilder` is the oracle in the tests). Nodes are
//! never deleted from the store: every root that was saved stays readable.

mod edit;
mod encoding;
mod memory;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use alloy_primitives::{B256, U256};
use alloy_trie::nodes::RlpNode;
use nybbles::Nibbles;

pub(super) use self::{
    edit::Edit,
    encoding::{NewNodes, decode},
};
use super::{Corruption, StateError};

/// A trie of values of one kind.
#[derive(Clone, Debug)]
pub(super) struct Trie<V> {
    root: Node<V>,
}

/// What a leaf holds.
pub(super) trait TrieValue: Clone {
    /// Reads the bytes of a leaf.
    fn decode(bytes: &[u8]) -> Option<Self>;
    /// Appends the bytes of a leaf.
    fn encode(&self, out: &mut Vec<u8>);
    /// Hashes tries inside the value, before it is encoded.
    fn seal(&mut self, _new: &mut NewNodes) {}
    /// Adds the memory of tries inside the value: bytes by the stamp of last change.
    fn weigh(&self, _weights: &mut Weights) {}
    /// Forgets nodes of tries inside the value, see [`Trie::prune`].
    fn prune(&mut self, _before: u32) {}
}

/// Bytes of memory by the stamp of the change that last touched them.
pub(super) type Weights = std::collections::BTreeMap<u32, usize>;

/// Where nodes that are not in memory come from.
pub(super) trait Load<V> {
    /// The node with this hash.
    ///
    /// # Errors
    ///
    /// [`StateError::Corrupt`] when it is missing or does not decode.
    fn load(&self, hash: &B256) -> Result<Node<V>, StateError>;
}

/// A node, or the hash of one that is not in memory.
#[derive(Clone, Debug, Default)]
pub(super) enum Node<V> {
    #[default]
    Empty,
    Hash(B256),
    Leaf(Arc<Leaf<V>>),
    Extension(Arc<Extension<V>>),
    Branch(Arc<Branch<V>>),
}

#[derive(Clone, Debug)]
pub(super) struct Leaf<V> {
    key: Nibbles,
    value: V,
    meta: Meta,
}

#[derive(Clone, Debug)]
pub(super) struct Extension<V> {
    key: Nibbles,
    child: Node<V>,
    meta: Meta,
}

#[derive(Clone, Debug)]
pub(super) struct Branch<V> {
    children: [Node<V>; 16],
    meta: Meta,
}

/// What is known of a node besides its content.
#[derive(Clone, Debug)]
struct Meta {
    /// How the parent refers to it; `None` while its hash is not computed.
    reference: Option<RlpNode>,
    /// The change that last touched it; never less than that of a node below it.
    touched: u32,
}

impl Meta {
    const fn changed(stamp: u32) -> Self {
        Self { reference: None, touched: stamp }
    }
}

impl<V: TrieValue> Trie<V> {
    /// The trie with this root, not in memory yet.
    pub(super) fn at(root: B256) -> Self {
        let root = if root == alloy_trie::EMPTY_ROOT_HASH { Node::Empty } else { Node::Hash(root) };
        Self { root }
    }

    /// The value under `key`.
    pub(super) fn find(&self, key: B256, load: &dyn Load<V>) -> Result<Option<V>, StateError> {
        find(&self.root, Nibbles::unpack(key), load)
    }

    /// Hashes everything that changed, hands the new nodes to `new`, and returns the root.
    pub(super) fn seal(&mut self, new: &mut NewNodes) -> B256 {
        encoding::seal_root(&mut self.root, new)
    }

    /// The memory that the nodes take, by the stamp of last change.
    pub(super) fn weigh(&self, weights: &mut Weights) {
        memory::weigh(&self.root, weights);
    }

    /// Turns subtrees last changed before stamp `before` back into their hashes. They must have
    /// been sealed and saved.
    pub(super) fn prune(&mut self, before: u32) {
        memory::prune(&mut self.root, before);
    }
}

/// Memory of a decoded node itself, without what is below it.
pub(super) fn node_bytes<V>(node: &Node<V>) -> usize {
    // Two counters of the `Arc`.
    const ARC: usize = 2 * size_of::<usize>();
    match node {
        Node::Empty | Node::Hash(_) => 0,
        Node::Leaf(_) => ARC + size_of::<Leaf<V>>(),
        Node::Extension(_) => ARC + size_of::<Extension<V>>(),
        Node::Branch(_) => ARC + size_of::<Branch<V>>(),
    }
}

fn find<V: TrieValue>(
    node: &Node<V>,
    path: Nibbles,
    load: &dyn Load<V>,
) -> Result<Option<V>, StateError> {
    match node {
        Node::Empty => Ok(None),
        Node::Hash(hash) => {
            let loaded = load.load(hash)?;
            if matches!(loaded, Node::Hash(_)) {
                return Err(corrupt());
            }
            find(&loaded, path, load)
        }
        Node::Leaf(leaf) => {
            if leaf.key.len() != path.len() {
                return Err(corrupt());
            }
            Ok((leaf.key == path).then(|| leaf.value.clone()))
        }
        Node::Extension(extension) => {
            if extension.key.is_empty() || extension.key.len() >= path.len() {
                return Err(corrupt());
            }
            if path.starts_with(&extension.key) {
                find(&extension.child, path.slice(extension.key.len()..), load)
            } else {
                Ok(None)
            }
        }
        Node::Branch(branch) => {
            let index = path.first().ok_or_else(corrupt)?;
            match branch.children.get(usize::from(index)) {
                Some(child) => find(child, path.slice(1..), load),
                None => Err(corrupt()),
            }
        }
    }
}

/// A node that decodes but cannot be at its place, for instance because its path is too long.
fn corrupt() -> StateError {
    StateError::Corrupt(Corruption::TrieShape)
}

/// Values of storage tries. Zero is never stored.
impl TrieValue for U256 {
    fn decode(mut bytes: &[u8]) -> Option<Self> {
        let value = <Self as alloy_rlp::Decodable>::decode(&mut bytes).ok()?;
        (bytes.is_empty() && !value.is_zero()).then_some(value)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        alloy_rlp::Encodable::encode(self, out);
    }
}
