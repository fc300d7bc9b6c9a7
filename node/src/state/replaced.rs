//! What replacing a group's records took away: for those who told somebody of the old ones.
//!
//! Records of other branches stay in the store, so a reorg can be told by what is there. When a
//! history is taken over, the old records are gone; of the last few times, the logs that they had
//! are kept here, in memory and within limits. Cursors are in memory too, so nothing needs this
//! after a restart.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::atomic::{AtomicU64, Ordering},
};

use alloy_primitives::{B256, Log};
use coterie_core::GroupId;
use parking_lot::Mutex;

use super::GroupBlock;
use crate::chain::BlockRef;

/// How often replacements are remembered, of all groups together.
const KEPT_MAX: usize = 16;
/// Blocks in which one replacement may differ from what it replaced.
const BLOCKS_MAX: usize = 10_000;
/// Bytes of replaced logs, of one replacement.
const BYTES_MAX: usize = 4 << 20;

/// The logs of one marker that was executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarkerLogs {
    /// The marker's transaction hash.
    pub marker: B256,
    /// Its index in its block.
    pub index: u64,
    /// Its logs, in order.
    pub logs: Vec<Log>,
}

/// The logs that blocks had before a group's records were replaced: of every block that differs,
/// so that no logs mean that it had none.
pub type Replaced = BTreeMap<BlockRef, Vec<MarkerLogs>>;

/// What became of a group's records since a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Since {
    /// They were added to, at most.
    Same,
    /// They were replaced: the moment after, and what blocks had at the moment that was asked for.
    Replaced(u64, Replaced),
    /// They were replaced, and it is not known any more what there was, or it is too much.
    Forgotten,
}

/// All replacements.
#[derive(Debug, Default)]
pub(super) struct Replacements {
    /// Odd while something other than a new block is written.
    epoch: AtomicU64,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    count: u64,
    /// The number of each group's last one.
    last: HashMap<GroupId, u64>,
    replacements: VecDeque<Replacement>,
}

#[derive(Debug)]
struct Replacement {
    group: GroupId,
    number: u64,
    /// The number of the group's one before.
    before: u64,
    /// `None`: it was too much.
    replaced: Option<Replaced>,
}

/// Something other than a new block is written while this lives.
#[derive(Debug)]
pub(super) struct Rewriting<'a>(&'a AtomicU64);

impl Drop for Rewriting<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Replacements {
    /// Marks the beginning of a rewrite; the caller holds the lock of writers.
    pub(super) fn begin(&self) -> Rewriting<'_> {
        self.epoch.fetch_add(1, Ordering::SeqCst);
        Rewriting(&self.epoch)
    }

    /// How often something was rewritten; `None` while that is going on.
    pub(super) fn epoch(&self) -> Option<u64> {
        Some(self.epoch.load(Ordering::SeqCst)).filter(|epoch| epoch.is_multiple_of(2))
    }

    /// The moment that is now, for this group.
    pub(super) fn now(&self, group: GroupId) -> u64 {
        self.kept.lock().last.get(&group).copied().unwrap_or_default()
    }

    /// What became of the group since `moment`.
    pub(super) fn since(&self, group: GroupId, moment: u64) -> Since {
        let kept = self.kept.lock();
        let now = kept.last.get(&group).copied().unwrap_or_default();
        if now <= moment {
            return Since::Same;
        }
        let mut reached = moment;
        let mut all = Replaced::new();
        for it in kept.replacements.iter().filter(|it| it.group == group && it.number > moment) {
            let Some(replaced) = it.replaced.as_ref().filter(|_| it.before <= reached) else {
                return Since::Forgotten;
            };
            reached = it.number;
            for (block, logs) in replaced {
                // The first time says what there was at the moment.
                all.entry(*block).or_insert_with(|| logs.clone());
            }
        }
        if reached == now { Since::Replaced(now, all) } else { Since::Forgotten }
    }

    /// Remembers a replacement that was written.
    pub(super) fn push(&self, group: GroupId, replaced: Option<Replaced>) {
        let mut kept = self.kept.lock();
        kept.count += 1;
        let number = kept.count;
        let before = kept.last.insert(group, number).unwrap_or_default();
        kept.replacements.push_back(Replacement { group, number, before, replaced });
        if kept.replacements.len() > KEPT_MAX {
            kept.replacements.pop_front();
        }
    }
}

/// Collects in which blocks new records differ from the old ones.
#[derive(Debug)]
pub(super) struct Difference<'a> {
    /// The new records that no old one was compared with yet.
    new: BTreeMap<BlockRef, &'a GroupBlock>,
    /// `None`: too much.
    replaced: Option<Replaced>,
    bytes: usize,
}

impl<'a> Difference<'a> {
    /// From these new records.
    pub(super) fn new(records: &'a [GroupBlock]) -> Self {
        let new = records.iter().map(|record| (record.block, record)).collect();
        Self { new, replaced: Some(Replaced::new()), bytes: 0 }
    }

    /// Whether the old record says something else, so that its logs are needed. The digest is of
    /// everything that counted so far: where it agrees, the logs do.
    pub(super) fn differs(&mut self, old: &GroupBlock) -> bool {
        let same = self.new.remove(&old.block) == Some(old);
        !same && self.replaced.is_some()
    }

    /// Adds what a block had.
    pub(super) fn add(&mut self, block: BlockRef, logs: Vec<MarkerLogs>) {
        self.bytes += logs.iter().flat_map(|it| &it.logs).map(log_bytes).sum::<usize>();
        let Some(replaced) = &mut self.replaced else { return };
        replaced.insert(block, logs);
        if replaced.len() > BLOCKS_MAX || self.bytes > BYTES_MAX {
            self.replaced = None;
        }
    }

    /// With the blocks that had no record; `None` when it is too much.
    pub(super) fn finish(self) -> Option<Replaced> {
        let mut replaced = self.replaced?;
        if replaced.len() + self.new.len() > BLOCKS_MAX {
            return None;
        }
        replaced.extend(self.new.into_keys().map(|block| (block, Vec::new())));
        Some(replaced)
    }
}

/// What a log takes in memory, about.
pub fn log_bytes(log: &Log) -> usize {
    size_of::<Log>() + 32 * log.topics().len() + log.data.data.len()
}
