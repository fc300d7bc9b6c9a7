//! The trees of groups' latest states in memory, bounded: the ones that were used longest ago go
//! first, and of the last one what was changed longest ago.

use std::collections::HashMap;

use alloy_primitives::B256;

use super::snapshot::Snapshot;

/// Trees in memory by root.
#[derive(Debug)]
pub(super) struct Resident {
    trees: HashMap<B256, Tree>,
    bytes: usize,
    bytes_max: usize,
    uses: u64,
}

#[derive(Debug)]
struct Tree {
    snapshot: Snapshot,
    /// When it was used last, counted in uses.
    used: u64,
}

impl Resident {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { trees: HashMap::new(), bytes: 0, bytes_max, uses: 0 }
    }

    /// The tree with this root.
    pub(super) fn find(&mut self, root: B256) -> Option<Snapshot> {
        self.uses += 1;
        let tree = self.trees.get_mut(&root)?;
        tree.used = self.uses;
        Some(tree.snapshot.clone())
    }

    /// Keeps a saved tree in the place of the one with root `before`.
    pub(super) fn keep(&mut self, before: B256, snapshot: Snapshot) {
        self.forget(before);
        self.forget(snapshot.root());
        self.uses += 1;
        self.bytes += snapshot.resident_bytes();
        self.trees.insert(snapshot.root(), Tree { snapshot, used: self.uses });
        self.bound();
    }

    /// Drops the tree with this root.
    pub(super) fn forget(&mut self, root: B256) {
        if let Some(tree) = self.trees.remove(&root) {
            self.bytes -= tree.snapshot.resident_bytes();
        }
    }

    /// How much they may take.
    pub(super) const fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    /// About how much memory the trees take.
    #[cfg(test)]
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    fn bound(&mut self) {
        if self.bytes <= self.bytes_max {
            return;
        }
        // More than asked for, so that it does not happen every block.
        let target = self.bytes_max / 4 * 3;
        let mut by_use: Vec<_> = self.trees.iter().map(|(root, tree)| (tree.used, *root)).collect();
        by_use.sort_unstable();
        let last = by_use.pop();
        for (_, root) in by_use {
            if self.bytes <= target {
                return;
            }
            self.forget(root);
        }
        if let Some(tree) = last.and_then(|(_, root)| self.trees.get_mut(&root)) {
            tree.snapshot.prune(target);
            self.bytes = tree.snapshot.resident_bytes();
        }
    }
}
