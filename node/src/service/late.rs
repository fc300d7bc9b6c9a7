//! Counts and reports payloads that arrive after their marker was followed without them (design,
//! 2.2): their sender misbehaved, or members diverge.
//!
//! Decides nothing: the follower has decided when the marker came.

use std::{collections::BTreeMap, sync::Arc};

use coterie_core::GroupId;
use parking_lot::Mutex;

use super::receipts::transaction;
use crate::enclave::Payload;

/// Groups whose late payloads are counted apart: anybody can name new ones.
const GROUPS_MAX: usize = 10_000;

/// Late payloads since the node started. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct LatePayloads(Arc<Mutex<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    all: u64,
    groups: BTreeMap<GroupId, u64>,
}

impl LatePayloads {
    /// This payload arrived, and its marker had been followed without it.
    pub fn note(&self, payload: &Payload) {
        let group = transaction(payload).map(|signed| signed.transaction.group_id());
        self.0.lock().add(group);
        tracing::warn!(
            payload = %payload.key.0, sender = %payload.sender_key,
            "a payload arrived after its marker was followed: it is late, without effect here"
        );
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.0.lock().all
    }

    /// How many of them name this group.
    pub fn of_group(&self, group: GroupId) -> u64 {
        self.0.lock().groups.get(&group).copied().unwrap_or_default()
    }
}

impl Counts {
    fn add(&mut self, group: Option<GroupId>) {
        self.all += 1;
        let Some(group) = group else { return };
        if self.groups.len() < GROUPS_MAX || self.groups.contains_key(&group) {
            *self.groups.entry(group).or_default() += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{B256, U256};

    use super::*;

    #[test]
    fn late_payloads_are_counted_by_group_as_far_as_there_is_room() {
        let group = |number: usize| GroupId(B256::from(U256::from(number)));
        let mut counts = Counts::default();
        for number in 0..=GROUPS_MAX {
            counts.add(Some(group(number)));
        }
        counts.add(Some(group(0)));
        counts.add(None);
        assert_eq!(counts.all, 10_003);
        assert_eq!(counts.groups.get(&group(0)), Some(&2));
        assert_eq!(counts.groups.get(&group(GROUPS_MAX)), None);
    }
}
