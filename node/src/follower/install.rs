//! Taking over histories: the part that touches the follower's own state.
//!
//! `join` brings a history that was executed and compared; here it is accepted and replaces the
//! group's records, together with what followed it. A group waits in `joining` from before its
//! history is accepted until its records are replaced, so a node that stops in between goes on
//! where it was.

use std::{collections::btree_map::Entry, sync::Arc};

use alloy_primitives::B256;
use coterie_core::{EnclaveKey, GroupId};
use parking_lot::Mutex;
use tokio::task::AbortHandle;

use super::{
    driver::{FollowError, Follower, Taken, block_ref},
    join::{self, Givers, JoinContext, Joining, TakenOver, facts_at_head},
    run::{GroupRun, Joins, Start},
};
use crate::{
    chain::{BlockId, BlockRef, ChainError},
    enclave::AcceptedHistory,
    executor::Fault,
    service::TakeOver,
    state::{Corruption, Decision, GroupHistory, StateError},
    store::Table,
};

/// Histories that are taken over at a time because somebody offered them.
const OFFERED_MAX: usize = 16;
/// Members that are asked for one history.
const GIVERS_MAX: usize = 256;

/// A task that takes over a group's history; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Task {
    handle: AbortHandle,
    givers: Givers,
    /// Before this block the history may not end.
    since: BlockRef,
    /// Whether only an offer or the operator asked for it: then it gives up at some time.
    finite: bool,
}

impl Drop for Task {
    fn drop(&mut self) {
        self.handle.abort();
    }
}

impl Task {
    /// Asks this one too, from the next round on.
    fn add(&self, giver: EnclaveKey) {
        let mut givers = self.givers.lock();
        if givers.len() < GIVERS_MAX && !givers.contains(&giver) {
            givers.push(giver);
        }
    }
}

/// What deciding a block again came to.
struct Redone {
    /// What the next block starts with.
    start: Start,
    /// Set when the block adds us again to the group, whose history up to there is needed.
    joins: Option<(BlockRef, Joins)>,
}

impl Follower {
    fn context(&self) -> JoinContext {
        JoinContext {
            chain: Arc::clone(&self.chain),
            enclave: Arc::clone(&self.enclave),
            state: self.state.clone(),
            executor: self.executor.clone(),
            definition: Arc::clone(&self.definition),
            preparer: Arc::clone(&self.preparer),
            followed: self.followed.subscribe(),
            retry: self.options.retry,
        }
    }

    /// Starts to take over the history of a group that waits for it.
    pub(super) fn begin_join(&mut self, group: GroupId) {
        if let Some(joining) = self.joining.get(&group).cloned() {
            self.spawn(group, joining, false);
        }
    }

    /// Starts the task that takes over a group's history, in place of an earlier one.
    fn spawn(&mut self, group: GroupId, joining: Joining, finite: bool) {
        let givers: Givers = Arc::new(Mutex::new(joining.givers));
        let since = joining.since;
        let asked = (group, since, Arc::clone(&givers));
        let handle = join::spawn(self.context(), asked, finite, self.taken.0.clone());
        self.tasks.insert(group, Task { handle, givers, since, finite });
    }

    /// Begins again with the same givers: what was brought does not fit our branch.
    fn ask_again(&mut self, group: GroupId) -> Result<(), FollowError> {
        let Some(task) = self.tasks.remove(&group) else {
            self.begin_join(group);
            return Ok(());
        };
        let since = self.joining.get(&group).map_or(task.since, |joining| joining.since);
        let givers = task.givers.lock().clone();
        self.spawn(group, Joining { since, givers }, task.finite);
        Ok(())
    }

    pub(super) fn on_request(&mut self, request: TakeOver) -> Result<(), FollowError> {
        let TakeOver { group, giver, added } = request;
        if let Some(task) = self.tasks.get(&group) {
            giver.into_iter().for_each(|giver| task.add(giver));
            return Ok(());
        }
        if self.state.followed()?.is_none() {
            return Ok(());
        }
        if added.is_some() {
            let offered = self.tasks.values().filter(|task| task.finite).count();
            if offered >= OFFERED_MAX || self.holds_as_member(group)? {
                tracing::debug!(%group, "an offered history is not taken over");
                return Ok(());
            }
        }
        // A history ends where the giver's confirmations begin, before the block that we followed
        // last. One that heals may not end before the one that it replaces.
        let start = BlockRef { number: 0, hash: B256::ZERO };
        let since = added.or_else(|| self.histories.until(group)).unwrap_or(start);
        let givers = giver.into_iter().collect();
        self.spawn(group, Joining { since, givers }, true);
        Ok(())
    }

    /// Whether a local key is a member of the group in our own state.
    fn holds_as_member(&self, group: GroupId) -> Result<bool, FollowError> {
        match facts_at_head(&self.state, &self.executor, group) {
            Ok(Some(facts)) => Ok(facts.members.iter().any(|key| self.enclave.holds(key))),
            Ok(None) => Ok(false),
            Err(Fault::Missing(_)) => Ok(true),
            Err(Fault::State(error)) => Err(error.into()),
        }
    }

    pub(super) fn on_taken(&mut self, taken: Taken) {
        match taken {
            Ok(taken) => self.installing.push_back(taken),
            Err(join::Failed { group, error }) => {
                self.tasks.remove(&group);
                tracing::error!(%group, %error, "the group's history could not be taken over");
            }
        }
    }

    /// Installs what was brought. What a temporary error interrupts is tried again.
    pub(super) async fn install_all(&mut self) -> Result<(), FollowError> {
        while let Some(taken) = self.installing.pop_front() {
            if let Err(error) = self.install(&taken).await {
                self.installing.push_front(taken);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Makes a history that was executed and compared the group's state: first in the payload
    /// store, then in ours, with what followed it.
    async fn install(&mut self, taken: &TakenOver) -> Result<(), FollowError> {
        let TakenOver { history, payloads, reads, .. } = taken;
        let (group, until) = (history.group, history.until);
        if self.state.canonical(until.number)? != Some(until.hash) {
            return self.ask_again(group);
        }
        if let Entry::Vacant(waiting) = self.joining.entry(group) {
            waiting.insert(Joining { since: until, givers: Vec::new() });
            self.state.remember(vec![join::write(&self.joining)])?;
            self.publish_joining();
        }
        self.enclave.accept_history(history.clone(), payloads.clone(), reads.clone()).await?;
        self.histories.insert(history);
        self.publish_covered();
        self.replace(taken).await
    }

    /// Takes up a history that was accepted before the node stopped.
    pub(super) async fn resume(&mut self, history: AcceptedHistory) -> Result<(), FollowError> {
        let group = history.group;
        match join::replay(&self.context(), history).await {
            Ok(taken) => self.replace(&taken).await,
            Err(error) => {
                tracing::error!(%group, %error, "an accepted history cannot be executed; asking for it again");
                self.begin_join(group);
                Ok(())
            }
        }
    }

    /// Replaces the group's records by the history's, and by what our own decisions make of the
    /// blocks after it.
    async fn replace(&mut self, taken: &TakenOver) -> Result<(), FollowError> {
        let group = taken.history.group;
        let mut replacement = taken.group_history();
        let mut joins = None;
        if let Some(followed) = self.state.followed()? {
            let mut start = join::last_start(&replacement, &self.state);
            for number in taken.history.until.number + 1..=followed.number {
                let redone = self.redo(start, number, &mut replacement).await?;
                start = redone.start;
                joins = redone.joins;
                if joins.is_some() {
                    break;
                }
            }
        }
        let mut joining = self.joining.clone();
        joining.remove(&group);
        if let Some((since, Joins { giver })) = joins {
            joining.insert(group, Joining { since, givers: vec![giver] });
        }
        replacement.meta.push(join::write(&joining));
        match self.state.replace_group(replacement) {
            // A reorg came between.
            Err(StateError::NotFollowed(_)) => return self.ask_again(group),
            replaced => replaced?,
        }
        self.joining = joining;
        self.tasks.remove(&group);
        self.publish_joining();
        self.refresh_co_members()?;
        self.begin_join(group);
        tracing::info!(%group, until = taken.history.until.number, "the group's history is complete");
        // Nothing was followed, but there is more to see.
        self.followed.send_modify(|_| {});
        Ok(())
    }

    /// Decides and executes a block again, for one group on top of `start`.
    async fn redo(
        &self,
        start: Start,
        number: u64,
        replacement: &mut GroupHistory,
    ) -> Result<Redone, FollowError> {
        let missing = || StateError::Corrupt(Corruption::BadRecord(Table::Canonical));
        let hash = self.state.canonical(number)?.ok_or_else(missing)?;
        let block = self.chain.block(BlockId::Hash(hash)).await?.ok_or_else(|| {
            ChainError::Unavailable {
                endpoint: "chain".into(),
                reason: format!("it does not know block {hash}, which it had announced"),
            }
        })?;
        let at = block_ref(&block.header);
        let candidates = self.candidates(&block).await?;
        let mut sorted = self.sorted(at, &candidates, &replacement.decisions)?;
        let group = start.group;
        let Some(items) = sorted.groups.remove(&group) else {
            return Ok(Redone { start, joins: None });
        };
        let execution = self.executor.begin(group, start.snapshot.clone(), &block.header);
        let before = (start.record.clone(), start.snapshot.clone());
        let source = self.parent_state(group, &block.header).into_source();
        let run = GroupRun::new(start, at, execution, items.clone(), source);
        let mut results = self.finish(self.execute(vec![run], &block.header).await?)?;
        let Some(mut result) = results.pop() else {
            return Ok(Redone {
                start: Start { group, record: before.0, snapshot: before.1 },
                joins: None,
            });
        };
        if !result.reads.is_empty() {
            self.enclave.record_reads(group, at.hash, &result.reads).await?;
        }
        let joins = result.joins.take().map(|joins| (at, joins));
        let ours = |index: u64| {
            items.iter().any(|item| item.index == index) && !result.deferred.contains(&index)
        };
        let decision = |(key, index, marker)| (key, Decision { block: at, index, marker });
        let decisions =
            sorted.decisions.into_iter().filter(|it| ours(it.1)).map(decision).collect();
        let start = join::append(replacement, result, before, at, decisions);
        Ok(Redone { start, joins })
    }
}
