//! Changing a trie: insert, change in place, remove with path compression.

use std::{mem::take, sync::Arc};

use alloy_primitives::B256;
use nybbles::Nibbles;

use super::{Branch, Extension, Leaf, Load, Meta, Node, Trie, TrieValue, corrupt, node_bytes};
use crate::state::StateError;

/// One round of changes to a trie.
pub(in crate::state) struct Edit<'a, V> {
    /// Where nodes come from.
    pub(in crate::state) load: &'a dyn Load<V>,
    /// The number of this round, written into every node that it touches.
    pub(in crate::state) stamp: u32,
    /// Bytes of nodes that were added to the tree or resolved in it so far.
    pub(in crate::state) added: usize,
}

impl<V: TrieValue> Trie<V> {
    /// Puts `value` under `key`.
    pub(in crate::state) fn insert(
        &mut self,
        key: B256,
        value: V,
        edit: &mut Edit<'_, V>,
    ) -> Result<(), StateError> {
        edit.insert(&mut self.root, Nibbles::unpack(key), value)
    }

    /// Removes `key`; whether it was there.
    pub(in crate::state) fn remove(
        &mut self,
        key: B256,
        edit: &mut Edit<'_, V>,
    ) -> Result<bool, StateError> {
        edit.remove(&mut self.root, Nibbles::unpack(key))
    }

    /// The value under `key`, to be changed in place.
    pub(in crate::state) fn find_mut(
        &mut self,
        key: B256,
        edit: &mut Edit<'_, V>,
    ) -> Result<Option<&mut V>, StateError> {
        edit.find_mut(&mut self.root, Nibbles::unpack(key))
    }
}

impl<'a, V: TrieValue> Edit<'a, V> {
    /// Begins a round.
    pub(in crate::state) fn new(load: &'a dyn Load<V>, stamp: u32) -> Self {
        Self { load, stamp, added: 0 }
    }

    fn resolve(&mut self, node: &mut Node<V>) -> Result<(), StateError> {
        if let Node::Hash(hash) = node {
            *node = self.load.load(hash)?;
            self.added += node_bytes(node);
        }
        Ok(())
    }

    fn leaf(&mut self, key: Nibbles, value: V) -> Node<V> {
        self.new_node(Node::Leaf(Arc::new(Leaf { key, value, meta: Meta::changed(self.stamp) })))
    }

    /// An extension to `child`, or `child` itself where the path is empty.
    fn extension(&mut self, key: Nibbles, child: Node<V>) -> Node<V> {
        if key.is_empty() {
            return child;
        }
        self.new_node(Node::Extension(Arc::new(Extension {
            key,
            child,
            meta: Meta::changed(self.stamp),
        })))
    }

    fn new_node(&mut self, node: Node<V>) -> Node<V> {
        self.added += node_bytes(&node);
        node
    }

    fn insert(&mut self, node: &mut Node<V>, path: Nibbles, value: V) -> Result<(), StateError> {
        self.resolve(node)?;
        match node {
            Node::Empty => {
                *node = self.leaf(path, value);
                Ok(())
            }
            Node::Leaf(leaf) => {
                if leaf.key.len() != path.len() {
                    return Err(corrupt());
                }
                let leaf = Arc::make_mut(leaf);
                if leaf.key == path {
                    leaf.value = value;
                    leaf.meta = Meta::changed(self.stamp);
                    return Ok(());
                }
                let (key, old) = (leaf.key, leaf.value.clone());
                let rest = |edit: &mut Self, from: usize| Ok(edit.leaf(key.slice(from..), old));
                *node = self.split(key, rest, path, value)?;
                Ok(())
            }
            Node::Extension(extension) => {
                if extension.key.is_empty() || extension.key.len() >= path.len() {
                    return Err(corrupt());
                }
                let extension = Arc::make_mut(extension);
                let key = extension.key;
                if path.starts_with(&key) {
                    extension.meta = Meta::changed(self.stamp);
                    return self.insert(&mut extension.child, path.slice(key.len()..), value);
                }
                let child = take(&mut extension.child);
                let rest =
                    |edit: &mut Self, from: usize| Ok(edit.extension(key.slice(from..), child));
                *node = self.split(key, rest, path, value)?;
                Ok(())
            }
            Node::Branch(branch) => {
                let branch = Arc::make_mut(branch);
                branch.meta = Meta::changed(self.stamp);
                self.insert(child_mut(branch, path)?, path.slice(1..), value)
            }
            Node::Hash(_) => Err(corrupt()),
        }
    }

    /// A branch where `key` and `path` part, with what was at `key` (`rest`, given how much of the
    /// key the branch consumes) and a leaf for `path`.
    fn split(
        &mut self,
        key: Nibbles,
        rest: impl FnOnce(&mut Self, usize) -> Result<Node<V>, StateError>,
        path: Nibbles,
        value: V,
    ) -> Result<Node<V>, StateError> {
        let common = key.common_prefix_length(&path);
        let mut branch = Branch { children: Default::default(), meta: Meta::changed(self.stamp) };
        let old = rest(self, common + 1)?;
        *child_mut(&mut branch, key.slice(common..))? = old;
        let new = self.leaf(path.slice(common + 1..), value);
        *child_mut(&mut branch, path.slice(common..))? = new;
        let branch = self.new_node(Node::Branch(Arc::new(branch)));
        Ok(self.extension(path.slice(..common), branch))
    }

    fn find_mut<'n>(
        &mut self,
        node: &'n mut Node<V>,
        path: Nibbles,
    ) -> Result<Option<&'n mut V>, StateError> {
        self.resolve(node)?;
        match node {
            Node::Empty => Ok(None),
            Node::Leaf(leaf) => {
                if leaf.key != path {
                    return Ok(None);
                }
                let leaf = Arc::make_mut(leaf);
                leaf.meta = Meta::changed(self.stamp);
                Ok(Some(&mut leaf.value))
            }
            Node::Extension(extension) => {
                if extension.key.is_empty() || extension.key.len() >= path.len() {
                    return Err(corrupt());
                }
                if !path.starts_with(&extension.key) {
                    return Ok(None);
                }
                let extension = Arc::make_mut(extension);
                extension.meta = Meta::changed(self.stamp);
                let rest = path.slice(extension.key.len()..);
                self.find_mut(&mut extension.child, rest)
            }
            Node::Branch(branch) => {
                let branch = Arc::make_mut(branch);
                branch.meta = Meta::changed(self.stamp);
                self.find_mut(child_mut(branch, path)?, path.slice(1..))
            }
            Node::Hash(_) => Err(corrupt()),
        }
    }

    fn remove(&mut self, node: &mut Node<V>, path: Nibbles) -> Result<bool, StateError> {
        self.resolve(node)?;
        match node {
            Node::Empty => Ok(false),
            Node::Leaf(leaf) => {
                if leaf.key != path {
                    return Ok(false);
                }
                *node = Node::Empty;
                Ok(true)
            }
            Node::Extension(extension) => {
                if extension.key.is_empty() || extension.key.len() >= path.len() {
                    return Err(corrupt());
                }
                if !path.starts_with(&extension.key) {
                    return Ok(false);
                }
                let extension = Arc::make_mut(extension);
                let key = extension.key;
                if !self.remove(&mut extension.child, path.slice(key.len()..))? {
                    return Ok(false);
                }
                let child = take(&mut extension.child);
                *node = self.prepend(key, child)?;
                Ok(true)
            }
            Node::Branch(branch) => {
                let branch = Arc::make_mut(branch);
                if !self.remove(child_mut(branch, path)?, path.slice(1..))? {
                    return Ok(false);
                }
                branch.meta = Meta::changed(self.stamp);
                if let Some((index, child)) = only_child(branch) {
                    // Whether the last child is a leaf or an extension decides how the paths join.
                    self.resolve(child)?;
                    let child = take(child);
                    *node = self.prepend(Nibbles::from_nibbles([index]), child)?;
                }
                Ok(true)
            }
            Node::Hash(_) => Err(corrupt()),
        }
    }

    /// `node` with `path` before it, compressed: leaves and extensions take the path into theirs.
    fn prepend(&mut self, path: Nibbles, mut node: Node<V>) -> Result<Node<V>, StateError> {
        self.resolve(&mut node)?;
        let fits = |key: &Nibbles| path.len() + key.len() <= 64;
        match &node {
            Node::Empty => Ok(Node::Empty),
            Node::Leaf(leaf) if fits(&leaf.key) => {
                Ok(self.leaf(path.join(&leaf.key), leaf.value.clone()))
            }
            Node::Extension(extension) if fits(&extension.key) => {
                Ok(self.extension(path.join(&extension.key), extension.child.clone()))
            }
            Node::Branch(_) => Ok(self.extension(path, node)),
            Node::Leaf(_) | Node::Extension(_) | Node::Hash(_) => Err(corrupt()),
        }
    }
}

fn child_mut<V>(branch: &mut Branch<V>, path: Nibbles) -> Result<&mut Node<V>, StateError> {
    let index = path.first().ok_or_else(corrupt)?;
    branch.children.get_mut(usize::from(index)).ok_or_else(corrupt)
}

/// The child that is left, when there is only one.
fn only_child<V>(branch: &mut Branch<V>) -> Option<(u8, &mut Node<V>)> {
    let mut left =
        (0u8..).zip(&mut branch.children).filter(|(_, child)| !matches!(child, Node::Empty));
    let first = left.next()?;
    left.next().is_none().then_some(first)
}
