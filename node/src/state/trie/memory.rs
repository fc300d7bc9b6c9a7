//! How much memory a tree takes, and giving it back.

use std::sync::Arc;

use alloy_primitives::B256;

use super::{Meta, Node, TrieValue, Weights, node_bytes};

/// Adds the bytes of the tree, by the stamp of last change.
pub(super) fn weigh<V: TrieValue>(node: &Node<V>, weights: &mut Weights) {
    let Some(meta) = meta(node) else { return };
    *weights.entry(meta.touched).or_default() += node_bytes(node);
    match node {
        Node::Empty | Node::Hash(_) => {}
        Node::Leaf(leaf) => leaf.value.weigh(weights),
        Node::Extension(extension) => weigh(&extension.child, weights),
        Node::Branch(branch) => branch.children.iter().for_each(|child| weigh(child, weights)),
    }
}

/// Turns what was last changed before `before` into hashes.
pub(super) fn prune<V: TrieValue>(node: &mut Node<V>, before: u32) {
    if let Some(hash) = forgettable(node, before) {
        *node = Node::Hash(hash);
        return;
    }
    match node {
        Node::Empty | Node::Hash(_) => {}
        Node::Leaf(leaf) => Arc::make_mut(leaf).value.prune(before),
        Node::Extension(extension) => prune(&mut Arc::make_mut(extension).child, before),
        Node::Branch(branch) => {
            Arc::make_mut(branch).children.iter_mut().for_each(|child| prune(child, before));
        }
    }
}

/// The hash that may stand for the node. A node inside its parent has none and stays.
fn forgettable<V>(node: &Node<V>, before: u32) -> Option<B256> {
    let meta = meta(node)?;
    if meta.touched < before { meta.reference.as_ref()?.as_hash() } else { None }
}

fn meta<V>(node: &Node<V>) -> Option<&Meta> {
    match node {
        Node::Empty | Node::Hash(_) => None,
        Node::Leaf(leaf) => Some(&leaf.meta),
        Node::Extension(extension) => Some(&extension.meta),
        Node::Branch(branch) => Some(&branch.meta),
    }
}
