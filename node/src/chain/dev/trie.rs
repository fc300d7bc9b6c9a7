//! A Merkle-Patricia trie in memory that shares structure between its versions.
//!
//! A clone is a pointer; a change copies the path to the root. So every block of the development
//! chain keeps its whole state, branches included, and its root costs only what the block changed.
//! Nothing is stored on disk; the node's private state has its own trie. Node encoding: Ethereum's
//! yellow paper, appendix D, by `alloy-trie`.

use std::sync::{Arc, OnceLock};

use alloy_primitives::{B256, keccak256};
use alloy_trie::{
    EMPTY_ROOT_HASH, TrieMask,
    nodes::{BranchNodeRef, ExtensionNodeRef, LeafNodeRef, RlpNode},
};
use nybbles::Nibbles;

/// What a leaf holds.
pub(super) trait Value: Clone {
    /// RLP as it is hashed.
    fn rlp(&self) -> Vec<u8>;
}

/// One version of a trie. Keys have one length (32 hashed bytes), as in Ethereum's tries.
#[derive(Clone, Debug)]
pub(super) struct Trie<V> {
    root: Option<Arc<Node<V>>>,
}

impl<V> Default for Trie<V> {
    fn default() -> Self {
        Self { root: None }
    }
}

impl<V: Value> Trie<V> {
    /// The value under `key`.
    pub(super) fn at(&self, key: B256) -> Option<&V> {
        let mut path = Nibbles::unpack(key);
        let mut node = self.root.as_deref()?;
        loop {
            match &node.kind {
                Kind::Leaf(rest, value) => return (*rest == path).then_some(value),
                Kind::Extension(shared, child) => {
                    if !path.starts_with(shared) {
                        return None;
                    }
                    path = path.slice(shared.len()..);
                    node = child;
                }
                Kind::Branch(children) => {
                    node = children.get(usize::from(path.first()?))?.as_deref()?;
                    path = path.slice(1..);
                }
            }
        }
    }

    /// Sets the value under `key`.
    pub(super) fn insert(&mut self, key: B256, value: V) {
        self.root = Some(insert(self.root.take(), Nibbles::unpack(key), value));
    }

    /// Removes the value under `key`, if there is one.
    pub(super) fn remove(&mut self, key: B256) {
        if self.at(key).is_some() {
            self.root = self.root.take().and_then(|root| remove(root, Nibbles::unpack(key)));
        }
    }

    /// The root hash.
    pub(super) fn root(&self) -> B256 {
        self.root.as_ref().map_or(EMPTY_ROOT_HASH, |root| {
            let reference = root.reference();
            reference.as_hash().unwrap_or_else(|| keccak256(&reference))
        })
    }
}

#[derive(Clone, Debug)]
struct Node<V> {
    kind: Kind<V>,
    /// How a parent refers to this node, once somebody asked.
    reference: OnceLock<RlpNode>,
}

#[derive(Clone, Debug)]
enum Kind<V> {
    Leaf(Nibbles, V),
    Extension(Nibbles, Arc<Node<V>>),
    Branch(Box<Children<V>>),
}

type Children<V> = [Option<Arc<Node<V>>>; 16];

impl<V: Value> Node<V> {
    fn new(kind: Kind<V>) -> Arc<Self> {
        Arc::new(Self { kind, reference: OnceLock::new() })
    }

    fn reference(&self) -> RlpNode {
        let compute = || {
            let mut buffer = Vec::new();
            match &self.kind {
                Kind::Leaf(path, value) => LeafNodeRef::new(path, &value.rlp()).rlp(&mut buffer),
                Kind::Extension(path, child) => {
                    ExtensionNodeRef::new(path, &child.reference()).rlp(&mut buffer)
                }
                Kind::Branch(children) => {
                    let mut mask = 0_u16;
                    let mut stack = Vec::with_capacity(16);
                    for (nibble, child) in children.iter().enumerate() {
                        if let Some(child) = child {
                            mask |= 1 << nibble;
                            stack.push(child.reference());
                        }
                    }
                    BranchNodeRef::new(&stack, TrieMask::new(mask)).rlp(&mut buffer)
                }
            }
        };
        self.reference.get_or_init(compute).clone()
    }
}

fn leaf<V: Value>(path: Nibbles, value: V) -> Arc<Node<V>> {
    Node::new(Kind::Leaf(path, value))
}

/// `child` below `path`; merges what the trie's rules say must be one node.
fn extension<V: Value>(path: Nibbles, child: Arc<Node<V>>) -> Arc<Node<V>> {
    if path.is_empty() {
        return child;
    }
    match &child.kind {
        Kind::Branch(_) => Node::new(Kind::Extension(path, child)),
        Kind::Leaf(rest, value) => leaf(path.join(rest), value.clone()),
        Kind::Extension(rest, below) => Node::new(Kind::Extension(path.join(rest), below.clone())),
    }
}

fn slot<V>(children: &mut Children<V>, nibble: Option<u8>) -> Option<&mut Option<Arc<Node<V>>>> {
    children.get_mut(usize::from(nibble?))
}

fn insert<V: Value>(node: Option<Arc<Node<V>>>, path: Nibbles, value: V) -> Arc<Node<V>> {
    let Some(node) = node else { return leaf(path, value) };
    match Arc::unwrap_or_clone(node).kind {
        Kind::Leaf(rest, _) if rest == path => leaf(path, value),
        Kind::Leaf(rest, old) => split(path, value, rest, |rest| leaf(rest, old)),
        Kind::Extension(shared, child) if path.starts_with(&shared) => {
            let child = insert(Some(child), path.slice(shared.len()..), value);
            Node::new(Kind::Extension(shared, child))
        }
        Kind::Extension(shared, child) => split(path, value, shared, |rest| extension(rest, child)),
        Kind::Branch(mut children) => {
            if let Some(child) = slot(&mut children, path.first()) {
                *child = Some(insert(child.take(), path.slice(1..), value));
            }
            Node::new(Kind::Branch(children))
        }
    }
}

/// A branch where `path` leaves `other`: the new leaf on one side, what was there on the other.
fn split<V: Value>(
    path: Nibbles,
    value: V,
    other: Nibbles,
    rest: impl FnOnce(Nibbles) -> Arc<Node<V>>,
) -> Arc<Node<V>> {
    let shared = path.common_prefix_length(&other);
    let mut children: Box<Children<V>> = Box::default();
    if let Some(child) = slot(&mut children, other.get(shared)) {
        *child = Some(rest(other.slice(shared + 1..)));
    }
    if let Some(child) = slot(&mut children, path.get(shared)) {
        *child = Some(leaf(path.slice(shared + 1..), value));
    }
    extension(path.slice(..shared), Node::new(Kind::Branch(children)))
}

/// Without the leaf at `path`, which must be there.
fn remove<V: Value>(node: Arc<Node<V>>, path: Nibbles) -> Option<Arc<Node<V>>> {
    match Arc::unwrap_or_clone(node).kind {
        Kind::Leaf(..) => None,
        Kind::Extension(shared, child) => {
            remove(child, path.slice(shared.len()..)).map(|child| extension(shared, child))
        }
        Kind::Branch(mut children) => {
            if let Some(child) = slot(&mut children, path.first()) {
                *child = child.take().and_then(|child| remove(child, path.slice(1..)));
            }
            let mut left = (0_u8..)
                .zip(children.iter())
                .filter_map(|(nibble, child)| Some((nibble, child.as_ref()?)));
            match (left.next(), left.next()) {
                (Some((nibble, only)), None) => {
                    Some(extension(Nibbles::from_nibbles([nibble]), only.clone()))
                }
                (None, _) => None,
                (Some(_), Some(_)) => Some(Node::new(Kind::Branch(children))),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use alloy_trie::HashBuilder;
    use proptest::prelude::*;

    use super::*;

    impl Value for Vec<u8> {
        fn rlp(&self) -> Vec<u8> {
            alloy_rlp::encode(self.as_slice())
        }
    }

    fn oracle(entries: &BTreeMap<B256, Vec<u8>>) -> B256 {
        let mut builder = HashBuilder::default();
        for (key, value) in entries {
            builder.add_leaf(Nibbles::unpack(key), &value.rlp());
        }
        builder.root()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// Few distinct nibbles, so that paths are shared, split and merged often.
        #[test]
        fn roots_and_values_are_those_of_a_rebuild(
            steps in prop::collection::vec((prop::array::uniform2(0_u8..3), prop::option::of(1_u8..)), 1..60),
        ) {
            let mut trie = Trie::default();
            let mut entries = BTreeMap::new();
            let mut versions = Vec::new();
            for ([high, low], value) in steps {
                let key = B256::with_last_byte(low) | B256::repeat_byte(high << 4);
                match value {
                    Some(value) => {
                        let value = vec![value; usize::from(value % 50)];
                        trie.insert(key, value.clone());
                        entries.insert(key, value);
                    }
                    None => {
                        trie.remove(key);
                        entries.remove(&key);
                    }
                }
                prop_assert_eq!(trie.root(), oracle(&entries));
                versions.push((trie.clone(), entries.clone()));
            }
            // Earlier versions are untouched by later changes.
            for (trie, entries) in versions {
                prop_assert_eq!(trie.root(), oracle(&entries));
                for (key, value) in entries {
                    prop_assert_eq!(trie.at(key), Some(&value));
                }
            }
        }
    }

    #[test]
    fn an_empty_trie_has_the_well_known_root() {
        let mut trie = Trie::<Vec<u8>>::default();
        assert_eq!(trie.root(), EMPTY_ROOT_HASH);
        trie.remove(B256::ZERO);
        trie.insert(B256::ZERO, vec![1]);
        trie.remove(B256::ZERO);
        assert_eq!(trie.root(), EMPTY_ROOT_HASH);
    }
}
