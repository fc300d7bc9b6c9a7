//! Who was a member of a group when.
//!
//! A group's records are walked once, from the first on, and only changes of its members are kept;
//! later questions go on where the last one stopped. So a question costs a bounded amount of work,
//! also one by a key that never was a member.

use std::sync::Arc;

use alloy_primitives::B256;
use coterie_core::{EnclaveKey, GroupId};
use quick_cache::sync::Cache;

use super::{
    ReadError,
    view::{GroupView, View},
};
use crate::{chain::BlockRef, state::GroupBlock};

/// Records that one question walks, at most.
const STEPS_MAX: usize = 10_000;
/// Groups whose changes are remembered.
const GROUPS_MAX: usize = 1_024;

/// The changes of membership of all groups that were asked for.
pub(super) struct Memberships {
    view: View,
    known: Cache<GroupId, Arc<Timeline>>,
    /// One walk at a time.
    walking: tokio::sync::Mutex<()>,
    steps_max: usize,
}

/// The changes of one group.
#[derive(Clone, Debug, Default)]
struct Timeline {
    /// The last record that was walked.
    last: Option<Walked>,
    changes: Vec<Change>,
}

/// What a record says: another one at its place makes the rest worthless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Walked {
    block: BlockRef,
    root: B256,
    digest: B256,
}

/// The members from the end of a block on.
#[derive(Clone, Debug)]
struct Change {
    block: BlockRef,
    members: Vec<EnclaveKey>,
}

impl Walked {
    const fn of(record: &GroupBlock) -> Self {
        Self { block: record.block, root: record.root, digest: record.digest }
    }
}

impl Memberships {
    /// Nothing walked yet.
    pub(super) fn new(view: View) -> Self {
        Self::with_steps(view, STEPS_MAX)
    }

    fn with_steps(view: View, steps_max: usize) -> Self {
        let (known, walking) = (Cache::new(GROUPS_MAX), tokio::sync::Mutex::default());
        Self { view, known, walking, steps_max }
    }

    /// The last block up to `number` that took `key` out of the group; `None` when it never was a
    /// member, is one still, or when that is not known yet: then asking again goes on.
    pub(super) async fn removal(
        &self,
        key: &EnclaveKey,
        group: GroupId,
        number: u64,
    ) -> Result<Option<BlockRef>, ReadError> {
        let Some(timeline) = self.walk(group, number).await? else { return Ok(None) };
        let until = timeline.changes.partition_point(|change| change.block.number <= number);
        let changes = timeline.changes.get(..until).unwrap_or_default();
        let member = changes.iter().rposition(|change| change.members.contains(key));
        Ok(member.and_then(|at| changes.get(at + 1)).map(|change| change.block))
    }

    /// The changes up to `number`; `None` when there are more records than one walk takes, or
    /// another walk is under way.
    async fn walk(&self, group: GroupId, number: u64) -> Result<Option<Arc<Timeline>>, ReadError> {
        let Some(record) = self.view.state.group_at(group, number)? else { return Ok(None) };
        if let Some(timeline) = self.valid(group)?
            && timeline.last.is_some_and(|last| last.block.number >= record.block.number)
        {
            return Ok(Some(timeline));
        }
        let Ok(_walking) = self.walking.try_lock() else { return Ok(None) };
        let mut timeline = self.valid(group)?.map(|known| (*known).clone()).unwrap_or_default();
        let from = timeline.last.map_or(0, |last| last.block.number + 1);
        let mut pages = self.view.records(group, from, record.block.number);
        let mut steps = 0;
        let mut complete = true;
        'pages: while let Some(records) = pages.next()? {
            for record in records {
                if steps == self.steps_max {
                    complete = false;
                    break 'pages;
                }
                steps += 1;
                self.step(record, &mut timeline).await?;
                // Each step may execute a contract: others go first.
                tokio::task::yield_now().await;
            }
        }
        let timeline = Arc::new(timeline);
        self.known.insert(group, Arc::clone(&timeline));
        Ok(complete.then_some(timeline))
    }

    async fn step(&self, record: GroupBlock, timeline: &mut Timeline) -> Result<(), ReadError> {
        let walked = Walked::of(&record);
        let snapshot = self.view.state.snapshot(record.root);
        let facts = self.view.facts(&GroupView { record: Arc::new(record), snapshot }).await?;
        if timeline.changes.last().is_none_or(|last| last.members != facts.members) {
            let members = facts.members.clone();
            timeline.changes.push(Change { block: walked.block, members });
        }
        timeline.last = Some(walked);
        Ok(())
    }

    /// What is known of the group, unless a reorg or a healing has changed it.
    fn valid(&self, group: GroupId) -> Result<Option<Arc<Timeline>>, ReadError> {
        let Some(timeline) = self.known.get(&group) else { return Ok(None) };
        let Some(last) = timeline.last else { return Ok(None) };
        let record = self.view.state.group_at(group, last.block.number)?;
        Ok(record.is_some_and(|record| Walked::of(&record) == last).then_some(timeline))
    }
}
