//! Accepted histories, indexed for the follower: what counted for a group up to a block, whatever
//! this node itself had decided (design, 2.4).

use std::collections::HashMap;

use alloy_primitives::B256;
use coterie_core::{GroupId, PayloadKey};

use crate::{chain::BlockRef, enclave::AcceptedHistory};

/// All accepted histories of this node.
#[derive(Clone, Debug, Default)]
pub struct Histories {
    /// Until when each covers its group.
    until: HashMap<GroupId, BlockRef>,
    /// The id that counts at a place of the chain, and for whom.
    entries: HashMap<(B256, u64), (PayloadKey, GroupId)>,
}

impl Histories {
    /// Indexes them.
    pub fn new(histories: impl IntoIterator<Item = AcceptedHistory>) -> Self {
        let mut index = Self::default();
        for history in histories {
            index.insert(&history);
        }
        index
    }

    /// Adds one, in place of an earlier one of the group.
    pub fn insert(&mut self, history: &AcceptedHistory) {
        self.entries.retain(|_, (_, group)| *group != history.group);
        self.until.insert(history.group, history.until);
        for entry in &history.entries {
            self.entries.insert((entry.block.hash, entry.index), (entry.key, history.group));
        }
    }

    /// Whether the marker at this place counts for the history's group.
    pub fn counts(&self, block: BlockRef, index: u64, key: PayloadKey) -> bool {
        self.entries.get(&(block.hash, index)).is_some_and(|(counted, _)| *counted == key)
    }

    /// Whether the group's history says what counted in `block`.
    pub fn covers(&self, group: GroupId, block: BlockRef) -> bool {
        self.until.get(&group).is_some_and(|until| block.number <= until.number)
    }

    /// The branch on which the group's history was accepted was left while the node did not run:
    /// what it says holds up to `until`.
    pub fn truncate_group(&mut self, group: GroupId, until: Option<BlockRef>) {
        match until {
            Some(until) => self.until.insert(group, until),
            None => self.until.remove(&group),
        };
    }

    /// Until when each covers its group.
    pub fn covered(&self) -> HashMap<GroupId, BlockRef> {
        self.until.clone()
    }

    /// Until when the group's history says what counted.
    pub fn until(&self, group: GroupId) -> Option<BlockRef> {
        self.until.get(&group).copied()
    }
}
