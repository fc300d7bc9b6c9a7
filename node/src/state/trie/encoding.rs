//! Hashing what changed, and decoding what was stored.

use std::sync::Arc;

use alloy_primitives::{B256, keccak256};
use alloy_rlp::{BufMut, Decodable, EMPTY_STRING_CODE, Encodable, Header};
use alloy_trie::{
    EMPTY_ROOT_HASH,
    nodes::{ExtensionNodeRef, LeafNodeRef, RlpNode, TrieNode},
};

use super::{Branch, Extension, Leaf, Meta, Node, TrieValue};
use crate::store::Value;

/// New nodes, in no particular order, with buffers that are used again.
#[derive(Debug, Default)]
pub(in crate::state) struct NewNodes {
    /// Hash and encoding.
    pub(in crate::state) nodes: Vec<(B256, Value)>,
    node: Vec<u8>,
    value: Vec<u8>,
}

/// A stored node does not decode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::state) struct BadNode;

/// Decodes the node with this hash.
pub(in crate::state) fn decode<V: TrieValue>(
    hash: &B256,
    mut bytes: &[u8],
) -> Result<Node<V>, BadNode> {
    let node = decode_node(&mut bytes, RlpNode::word_rlp(hash), 0)?;
    if bytes.is_empty() { Ok(node) } else { Err(BadNode) }
}

/// Nodes shorter than a hash are stored inside their parent. At most 64 levels, like any path.
fn decode_node<V: TrieValue>(
    bytes: &mut &[u8],
    reference: RlpNode,
    level: usize,
) -> Result<Node<V>, BadNode> {
    let meta = Meta { reference: Some(reference), touched: 0 };
    let child = |reference: &RlpNode| match reference.as_hash() {
        Some(hash) => Ok(Node::Hash(hash)),
        None if level < 64 => {
            let mut inline = reference.as_slice();
            let node = decode_node(&mut inline, reference.clone(), level + 1)?;
            if matches!(node, Node::Empty) { Err(BadNode) } else { Ok(node) }
        }
        None => Err(BadNode),
    };
    match TrieNode::decode(bytes).map_err(|_| BadNode)? {
        TrieNode::EmptyRoot => Ok(Node::Empty),
        TrieNode::Leaf(leaf) => {
            let value = V::decode(&leaf.value).ok_or(BadNode)?;
            Ok(Node::Leaf(Arc::new(Leaf { key: leaf.key, value, meta })))
        }
        TrieNode::Extension(node) => Ok(Node::Extension(Arc::new(Extension {
            key: node.key,
            child: child(&node.child)?,
            meta,
        }))),
        TrieNode::Branch(node) => {
            let mut branch = Branch { children: Default::default(), meta };
            for (slot, (_, reference)) in branch.children.iter_mut().zip(node.as_ref().children()) {
                if let Some(reference) = reference {
                    *slot = child(reference)?;
                }
            }
            Ok(Node::Branch(Arc::new(branch)))
        }
    }
}

/// Hashes all of the tree that changed; its root.
pub(super) fn seal_root<V: TrieValue>(root: &mut Node<V>, new: &mut NewNodes) -> B256 {
    match seal(root, new) {
        None => EMPTY_ROOT_HASH,
        Some(reference) => reference.as_hash().unwrap_or_else(|| {
            // A root is stored under its hash, however short it is.
            let hash = keccak256(reference.as_slice());
            new.nodes.push((hash, reference.as_slice().into()));
            hash
        }),
    }
}

/// How the parent refers to the node; `None` for an empty one.
fn seal<V: TrieValue>(node: &mut Node<V>, new: &mut NewNodes) -> Option<RlpNode> {
    let known = match node {
        Node::Empty => return None,
        Node::Hash(hash) => return Some(RlpNode::word_rlp(hash)),
        Node::Leaf(leaf) => &leaf.meta.reference,
        Node::Extension(extension) => &extension.meta.reference,
        Node::Branch(branch) => &branch.meta.reference,
    };
    if let Some(reference) = known {
        return Some(reference.clone());
    }
    let reference = match node {
        Node::Empty | Node::Hash(_) => return None,
        Node::Leaf(leaf) => {
            // Changed nodes are not shared yet: `make_mut` copies nothing.
            let leaf = Arc::make_mut(leaf);
            leaf.value.seal(new);
            new.value.clear();
            leaf.value.encode(&mut new.value);
            new.node.clear();
            LeafNodeRef::new(&leaf.key, &new.value).encode(&mut new.node);
            leaf.meta.reference.insert(new.emit())
        }
        Node::Extension(extension) => {
            let extension = Arc::make_mut(extension);
            let child = seal(&mut extension.child, new).unwrap_or_default();
            new.node.clear();
            ExtensionNodeRef::new(&extension.key, child.as_slice()).encode(&mut new.node);
            extension.meta.reference.insert(new.emit())
        }
        Node::Branch(branch) => {
            let branch = Arc::make_mut(branch);
            let children = branch.children.each_mut().map(|child| seal(child, new));
            encode_branch(&children, &mut new.node);
            branch.meta.reference.insert(new.emit())
        }
    };
    Some(reference.clone())
}

fn encode_branch(children: &[Option<RlpNode>; 16], out: &mut Vec<u8>) {
    let length =
        |child: &Option<RlpNode>| child.as_ref().map_or(1, |reference| reference.as_slice().len());
    // The 17th item, the value, is always empty.
    let payload_length = children.iter().map(length).sum::<usize>() + 1;
    out.clear();
    Header { list: true, payload_length }.encode(out);
    for child in children {
        match child {
            Some(reference) => out.put_slice(reference.as_slice()),
            None => out.put_u8(EMPTY_STRING_CODE),
        }
    }
    out.put_u8(EMPTY_STRING_CODE);
}

impl NewNodes {
    /// The reference to the node in the buffer, which is kept when its parent will not contain it.
    fn emit(&mut self) -> RlpNode {
        let reference = RlpNode::from_rlp(&self.node);
        if let Some(hash) = reference.as_hash() {
            self.nodes.push((hash, self.node.as_slice().into()));
        }
        reference
    }
}
