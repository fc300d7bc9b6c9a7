//! Following a group's logs: what changed since a consumer was told last.
//!
//! A consumer is a filter or a subscription. All that is kept for it is its [`Cursor`], the block
//! up to which it was told; logs are read from private state when it asks, and those of a block are
//! computed once for everybody. A cursor on a branch that was left goes back by parents, and every
//! log on its way is told once more as removed, so that what a consumer was told always adds up to
//! what [`Service::logs`] says. A history that is taken over changes logs in the same way.
//!
//! Nothing here waits for blocks, and nothing knows how consumers are told.

use std::sync::Arc;

use alloy_primitives::B256;
use coterie_core::{
    GroupId,
    access::{Sight, Use},
};
use quick_cache::{Weighter, sync::Cache};
use tokio::sync::watch;

use super::{
    LogFilter, LogRange, PrivateLog, ReadError, Service, Tenant, WatchError, read, view::View,
};
use crate::{
    chain::{BlockId, BlockRef},
    state::{GroupBlock, MarkerLogs, Since, StateError, log_bytes},
};

/// Contracts and topics in the filter of a watcher.
const VALUES_MAX: usize = 256;
/// Logs in a step, about: it ends with the block in which they are exceeded.
const STEP_LOGS: usize = 1_000;
/// Bytes of logs in a step, about.
const STEP_BYTES: usize = 1 << 20;
/// Records and blocks that one step looks at.
const STEP_RECORDS: usize = 256;
/// Bytes of logs that are remembered for all consumers.
const CACHE_BYTES: u64 = 16 << 20;
/// Blocks of which logs are remembered, about.
const CACHE_BLOCKS: usize = 4_096;
/// Logs that differ after a history was taken over, at most.
const CHANGED_LOGS: usize = 10_000;
/// Blocks of an abandoned branch that are looked through when a history was taken over.
const BRANCH_MAX: usize = 10_000;

/// Somebody who follows a group's logs.
#[derive(Clone, Debug)]
pub struct Watcher {
    tenant: Tenant,
    group: GroupId,
    filter: LogFilter,
    cursor: Cursor,
    /// The group's root when the tenant was last found to have access; another one may have other
    /// members.
    checked: Option<B256>,
}

impl Watcher {
    /// In whose name.
    pub const fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    /// Of which group.
    pub const fn group(&self) -> GroupId {
        self.group
    }

    /// Which logs.
    pub const fn filter(&self) -> &LogFilter {
        &self.filter
    }
}

/// Logs that a watcher was not told of yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// First those that are no more, newest first, then the new ones.
    pub logs: Vec<PrivateLog>,
    /// Whether there is more at once. Otherwise there may be when something was followed.
    pub more: bool,
}

/// Up to where a consumer was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cursor {
    /// `None`: nothing was followed yet.
    at: Option<BlockRef>,
    /// A moment in the group's history: see [`crate::state::State::replaced_since`].
    moment: u64,
}

/// The logs of a group in a block, in order.
type BlockLogs = Arc<[PrivateLog]>;

/// The logs of blocks, for all consumers.
pub(super) struct LogCache(Cache<(GroupId, B256, u64), BlockLogs, Bytes>);

#[derive(Clone)]
struct Bytes;

impl<K> Weighter<K, BlockLogs> for Bytes {
    fn weight(&self, _: &K, logs: &BlockLogs) -> u64 {
        64 + bytes(logs) as u64
    }
}

fn bytes(logs: &[PrivateLog]) -> usize {
    logs.iter().map(|it| size_of::<PrivateLog>() + log_bytes(&it.log)).sum()
}

impl std::fmt::Debug for LogCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LogCache")
    }
}

impl Default for LogCache {
    fn default() -> Self {
        Self(Cache::with_weighter(CACHE_BLOCKS, CACHE_BYTES, Bytes))
    }
}

impl Service {
    /// Begins to follow the logs of a group: those of blocks after the followed head, and those
    /// that a reorg takes away. Of the filter's range only numbers count.
    ///
    /// # Errors
    ///
    /// [`WatchError::TooMany`] for a filter with too many values, and when the tenant may not.
    pub fn watch(
        &self,
        tenant: &Tenant,
        group: GroupId,
        filter: LogFilter,
    ) -> Result<Watcher, WatchError> {
        // It is kept, unlike that of a search.
        let values =
            filter.addresses.len() + filter.topics.iter().map(|it| 1 + it.len()).sum::<usize>();
        if values > VALUES_MAX {
            let of = "contracts and topics in a filter";
            return Err(WatchError::TooMany { limit: VALUES_MAX, of });
        }
        // Before the check: what is followed in between is told, after another check.
        let moment = self.view.state.moment(group);
        let cursor = Cursor { at: self.view.followed(), moment };
        self.may_watch(tenant, group)?;
        // There would be no news.
        self.view.following.check().map_err(ReadError::from)?;
        Ok(Watcher { tenant: tenant.clone(), group, filter, cursor, checked: None })
    }

    /// Changes whenever a watcher may have news; closes with the follower.
    pub fn followed(&self) -> watch::Receiver<Option<BlockRef>> {
        self.view.following.followed.clone()
    }

    /// What a watcher was not told yet. When this fails, the watcher is where it was. Takes
    /// milliseconds at most: let others run before the next one.
    ///
    /// # Errors
    ///
    /// [`WatchError::Read`] with [`ReadError::NotAMember`] when its tenant is a member no more, and
    /// [`WatchError::Forgotten`], are for good.
    pub fn news(&self, watcher: &mut Watcher) -> Result<News, WatchError> {
        let step = advance(&self.view, &self.logs, watcher.group, watcher.cursor)?;
        let Some(Step { told, cursor, more }) = step else { return Ok(News::default()) };
        // After the step, so that it is as of its last block or a later one.
        let root = self.view.group_at_head(watcher.group)?.map(|view| view.record.root);
        if watcher.checked.is_none() || watcher.checked != root {
            self.may_watch(&watcher.tenant, watcher.group)?;
            watcher.checked = root;
        }
        watcher.cursor = cursor;
        let mut logs = Vec::new();
        for (of_block, removed) in told {
            let wanted = of_block.iter().filter(|it| wants(&watcher.filter, it)).cloned();
            let told = wanted.map(|log| PrivateLog { removed, ..log });
            if removed { logs.extend(told.rev()) } else { logs.extend(told) }
        }
        Ok(News { logs, more })
    }

    /// Whether the tenant may follow the group's logs now.
    ///
    /// # Errors
    ///
    /// [`ReadError::NotAMember`] when it may not.
    pub fn may_watch(&self, tenant: &Tenant, group: GroupId) -> Result<(), ReadError> {
        match self.sight(tenant, group, Use::Watch)? {
            Sight::All => Ok(()),
            Sight::Until(_) | Sight::Nothing => Err(ReadError::NotAMember(group)),
        }
    }
}

/// Whether the filter lets a log through. Tags in its range mean everything, as they do not name
/// the same block for long.
fn wants(filter: &LogFilter, log: &PrivateLog) -> bool {
    let in_range = match filter.range {
        LogRange::Block(hash) => log.block.hash == hash,
        LogRange::Blocks(from, to) => {
            let below = matches!(from, BlockId::Number(from) if log.block.number < from);
            let above = matches!(to, BlockId::Number(to) if log.block.number > to);
            !below && !above
        }
    };
    in_range && read::matches(filter, &log.log)
}

/// A part of the way from a cursor to the followed head.
#[derive(Debug, Default)]
struct Way {
    /// Logs of blocks, and whether they are no more.
    told: Vec<(BlockLogs, bool)>,
    logs: usize,
    bytes: usize,
    blocks: usize,
}

impl Way {
    fn tell(&mut self, logs: BlockLogs, removed: bool) {
        self.logs += logs.len();
        self.bytes += bytes(&logs);
        self.blocks += 1;
        if !logs.is_empty() {
            self.told.push((logs, removed));
        }
    }

    const fn is_long(&self) -> bool {
        self.logs >= STEP_LOGS || self.bytes >= STEP_BYTES || self.blocks >= STEP_RECORDS
    }
}

struct Step {
    told: Vec<(BlockLogs, bool)>,
    cursor: Cursor,
    more: bool,
}

/// The next step of a cursor; `None` when there is none now: everything was told, or something else
/// than a new block is being written, after which the follower tells that there is more to see.
fn advance(
    view: &View,
    cache: &LogCache,
    group: GroupId,
    from: Cursor,
) -> Result<Option<Step>, WatchError> {
    let Some(epoch) = view.state.epoch() else { return Ok(None) };
    let Some(head) = view.followed() else { return Ok(None) };
    let walk = Walk { view, cache, group, moment: view.state.moment(group) };
    let step = match view.state.replaced_since(group, from.moment) {
        Since::Same if from.at == Some(head) => return Ok(None),
        Since::Same => walk.along(from.at, head),
        Since::Replaced(moment, replaced) => {
            let way = walk.difference(from.at, replaced)?;
            Ok(Some(Step { told: way.told, cursor: Cursor { moment, ..from }, more: true }))
        }
        Since::Forgotten => Err(WatchError::Forgotten),
    };
    // What was read while it was changed does not belong together, also where it failed.
    if view.state.epoch() == Some(epoch) { step } else { Ok(None) }
}

/// Reads a group's logs at one moment of its history.
struct Walk<'a> {
    view: &'a View,
    cache: &'a LogCache,
    group: GroupId,
    moment: u64,
}

impl Walk<'_> {
    /// From a block back to the followed branch, and then towards its head.
    fn along(&self, from: Option<BlockRef>, head: BlockRef) -> Result<Option<Step>, WatchError> {
        let mut way = Way::default();
        let mut at = from;
        while let Some(block) = at.filter(|_| !way.is_long()) {
            if self.is_canonical(block)? {
                break;
            }
            way.tell(self.logs(block)?, true);
            at = Some(self.parent(block)?);
        }
        if !way.is_long() {
            // A reorg is under way: what follows it is told when it is done.
            if !self.is_canonical(head)? {
                return Ok(None);
            }
            at = Some(self.forward(at, head, &mut way)?);
        }
        let cursor = Cursor { at, moment: self.moment };
        Ok(Some(Step { told: way.told, cursor, more: at != Some(head) }))
    }

    /// Up to the head, or as far as one step goes; where that is.
    fn forward(
        &self,
        at: Option<BlockRef>,
        head: BlockRef,
        way: &mut Way,
    ) -> Result<BlockRef, StateError> {
        let from = at.map_or(0, |at| at.number.saturating_add(1));
        // In memory, and mostly all there is to say.
        let last = self.view.state.group_at(self.group, head.number)?;
        if last.is_none_or(|last| last.block.number < from) {
            return Ok(head);
        }
        let records = self.view.state.group_blocks(self.group, from, head.number, STEP_RECORDS)?;
        let full = records.len() == STEP_RECORDS;
        let mut reached = None;
        for record in records {
            if way.is_long() {
                return Ok(reached.or(at).unwrap_or(head));
            }
            way.tell(self.of_record(&record)?, false);
            reached = Some(record.block);
        }
        Ok(reached.filter(|_| full).unwrap_or(head))
    }

    /// What replacing the group's records changed up to a block: `replaced` says what there was.
    fn difference(
        &self,
        at: Option<BlockRef>,
        replaced: crate::state::Replaced,
    ) -> Result<Way, WatchError> {
        let mut way = Way::default();
        let Some(at) = at else { return Ok(way) };
        let branch = self.branch(at)?;
        let shared = branch.last().map_or(at.number, |last| last.number.saturating_sub(1));
        let (mut changed, mut count) = (Vec::new(), 0);
        for (block, logs) in replaced {
            let told = match block.number <= shared {
                true => self.is_canonical(block)?,
                false => branch.contains(&block),
            };
            if told {
                let (old, new) = (block_logs(block, logs), self.logs(block)?);
                count += old.len() + new.len();
                if count > CHANGED_LOGS {
                    return Err(WatchError::Forgotten);
                }
                changed.push((without(&old, &new), without(&new, &old)));
            }
        }
        for (old, _) in changed.iter().rev() {
            way.tell(Arc::clone(old), true);
        }
        for (_, new) in changed {
            way.tell(new, false);
        }
        Ok(way)
    }

    /// The block and its ancestors that are not on the followed branch, newest first.
    fn branch(&self, mut at: BlockRef) -> Result<Vec<BlockRef>, WatchError> {
        let mut branch = Vec::new();
        while !self.is_canonical(at)? {
            if branch.len() == BRANCH_MAX {
                return Err(WatchError::Forgotten);
            }
            branch.push(at);
            at = self.parent(at)?;
        }
        Ok(branch)
    }

    fn is_canonical(&self, block: BlockRef) -> Result<bool, StateError> {
        Ok(self.view.state.canonical(block.number)? == Some(block.hash))
    }

    fn parent(&self, block: BlockRef) -> Result<BlockRef, WatchError> {
        // Below the first followed block there is nothing to go back to.
        let header = self.view.state.header(block.hash)?.ok_or(WatchError::Forgotten)?;
        let number = block.number.checked_sub(1).ok_or(WatchError::Forgotten)?;
        Ok(BlockRef { number, hash: header.parent_hash })
    }

    /// The logs of a block, on whatever branch.
    fn logs(&self, block: BlockRef) -> Result<BlockLogs, StateError> {
        if let Some(logs) = self.cache.0.get(&self.key(block)) {
            return Ok(logs);
        }
        match self.view.state.record(self.group, block)? {
            Some(record) => self.of_record(&record),
            None => Ok(Arc::default()),
        }
    }

    fn of_record(&self, record: &GroupBlock) -> Result<BlockLogs, StateError> {
        let key = self.key(record.block);
        if let Some(logs) = self.cache.0.get(&key) {
            return Ok(logs);
        }
        let logs = block_logs(record.block, self.view.state.marker_logs(record)?);
        self.cache.0.insert(key, Arc::clone(&logs));
        Ok(logs)
    }

    const fn key(&self, block: BlockRef) -> (GroupId, B256, u64) {
        (self.group, block.hash, self.moment)
    }
}

/// Numbers the logs of a block.
fn block_logs(block: BlockRef, markers: Vec<MarkerLogs>) -> BlockLogs {
    let logs = markers.into_iter().flat_map(|it| {
        let (marker, marker_index) = (it.marker, it.index);
        it.logs.into_iter().map(move |log| (marker, marker_index, log))
    });
    let numbered = logs.zip(0..).map(|((marker, marker_index, log), log_index)| PrivateLog {
        log,
        block,
        marker,
        marker_index,
        log_index,
        removed: false,
    });
    numbered.collect()
}

/// The logs of a block that `other` has not, where it has another one or none.
fn without(logs: &BlockLogs, other: &BlockLogs) -> BlockLogs {
    let kept = logs.iter().zip(0..).filter(|(log, at)| other.get(*at) != Some(*log));
    kept.map(|(log, _)| log.clone()).collect()
}

#[cfg(test)]
mod tests;
