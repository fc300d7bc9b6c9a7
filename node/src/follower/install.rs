//! Taking over histories: the part that touches the follower's own state.
//!
//! `join` brings a history that was executed and compared; here it is accepted and replaces the
//! group's records, together with what followed it. A group waits in `joining` from before its
//! history is accepted until its records are replaced, so a node that stops in between goes on
//! where it was.

use std::{collections::btree_map::Entry, sync::Arc};

use coterie_core::{EnclaveKey, GroupId};
use parking_lot::Mutex;
use tokio::{sync::Notify, task::AbortHandle};

use super::{
    driver::{FollowError, Follower, block_ref},
    join::{self, JoinContext, JoinError, Joining, Order, Taken, TakenOver, Wanted},
    run::{GroupRun, Joins, Start},
};
use crate::{
    chain::{BlockId, BlockRef, ChainError},
    enclave::AcceptedHistory,
    service::{Healing, TakeOver},
    state::{Corruption, Decision, GroupHistory, StateError},
    store::Table,
};

/// Histories that are taken over at a time because somebody offered them.
const OFFERED_MAX: usize = 4;
/// Groups that wait for their history; more would be an attack, and the oldest are given up.
const JOINING_MAX: usize = 1_000;

/// Groups of which it is told how healing them went.
const HEALED_MAX: usize = 1_000;

/// A task that takes over a group's history; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Task {
    handle: AbortHandle,
    order: Order,
}

impl Drop for Task {
    fn drop(&mut self) {
        self.handle.abort();
    }
}

impl Task {
    /// Asks this one too, at once when it was not asked before.
    fn add(&self, giver: EnclaveKey) {
        if join::add_giver(&mut self.order.givers.lock(), giver) {
            self.order.hurry.notify_one();
        }
    }
}

/// Whether the work is to be tried again; `first` keeps the first reason.
fn is_put_off(
    result: Result<(), FollowError>,
    first: &mut Option<FollowError>,
) -> Result<bool, FollowError> {
    match result {
        Ok(()) => Ok(false),
        Err(error) if error.is_temporary() => {
            first.get_or_insert(error);
            Ok(true)
        }
        Err(error) => Err(error),
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
            turns: Arc::clone(&self.turns),
        }
    }

    /// Starts to take over the history of a group that waits for it.
    pub(super) fn begin_join(&mut self, group: GroupId) {
        if let Some(Joining { since, givers }) = self.joining.get(&group).cloned() {
            self.spawn(group, since.number, givers, Wanted::Added);
        }
    }

    /// Starts the task that takes over a group's history, in place of an earlier one.
    fn spawn(&mut self, group: GroupId, since: u64, givers: Vec<EnclaveKey>, wanted: Wanted) {
        self.orders += 1;
        let givers = Arc::new(Mutex::new(givers));
        let hurry = Arc::new(Notify::new());
        let order = Order { id: self.orders, group, since, wanted, givers, hurry };
        let handle = join::spawn(self.context(), order.clone(), self.taken.0.clone());
        self.tasks.insert(group, Task { handle, order });
    }

    /// Asks for the history of a group that waits for it without a further pause: somebody has just
    /// added us, and can give it.
    pub(super) fn ask_too(&self, group: GroupId, giver: EnclaveKey) {
        if let Some(task) = self.tasks.get(&group) {
            join::add_giver(&mut task.order.givers.lock(), giver);
            task.order.hurry.notify_one();
        }
    }

    /// What was brought does not fit our branch, or not any more: somebody who waits, or whom the
    /// operator told to heal, asks again. Who offered does so by itself.
    fn ask_again(&mut self, group: GroupId) {
        let task = self.tasks.remove(&group);
        match task.filter(|task| task.order.wanted == Wanted::Healing) {
            Some(task) => {
                tracing::warn!(%group, "the chain reorganised while the group was healed: asking again");
                let givers = task.order.givers.lock().clone();
                self.begin_heal(group, givers);
            }
            None => self.begin_join(group),
        }
    }

    /// Starts to replace a group by the history that somebody gives.
    fn begin_heal(&mut self, group: GroupId, givers: Vec<EnclaveKey>) {
        // A history ends where the giver's confirmations begin, before the block that we followed
        // last. One that heals may not end before the one that it replaces.
        let since = self.histories.until(group).map_or(0, |until| until.number);
        self.spawn(group, since, givers, Wanted::Healing);
        self.note_healing(group, Healing::UnderWay);
    }

    /// Tells how it goes with a group that is healed.
    fn note_healing(&self, group: GroupId, healing: Healing) {
        self.healed.send_modify(|healed| {
            if healed.len() >= HEALED_MAX && !healed.contains_key(&group) {
                healed.pop_first();
            }
            healed.insert(group, healing);
        });
    }

    /// Tells how healing a group ended, if it was told to heal.
    pub(super) fn settle_healing(&self, group: GroupId, outcome: Healing) {
        self.healed.send_if_modified(|healed| match healed.get_mut(&group) {
            Some(healing @ Healing::UnderWay) => {
                *healing = outcome;
                true
            }
            Some(Healing::Taken(_) | Healing::Failed(_)) | None => false,
        });
    }

    pub(super) fn on_request(&mut self, request: TakeOver) -> Result<(), FollowError> {
        let TakeOver { group, giver, added } = request;
        if let Some(task) = self.tasks.get(&group) {
            let is_heal = added.is_none();
            if is_heal && task.order.wanted == Wanted::Offered {
                // An operator may replace what an offer may not.
                let givers = task.order.givers.lock().iter().cloned().chain(giver).collect();
                self.begin_heal(group, givers);
                return Ok(());
            }
            giver.into_iter().for_each(|giver| task.add(giver));
            if is_heal {
                self.note_healing(group, Healing::UnderWay);
            }
            return Ok(());
        }
        if self.state.followed()?.is_none() {
            return Ok(());
        }
        let givers = giver.into_iter().collect();
        let offered = |task: &&Task| task.order.wanted == Wanted::Offered;
        match added {
            Some(added) if self.tasks.values().filter(offered).count() < OFFERED_MAX => {
                self.spawn(group, added.number, givers, Wanted::Offered);
            }
            Some(_) => {
                tracing::debug!(%group, "an offered history is not taken over: there are too many");
            }
            None => self.begin_heal(group, givers),
        }
        Ok(())
    }

    pub(super) fn on_taken(&mut self, taken: Taken) -> Result<(), FollowError> {
        let Taken { order, group, result } = taken;
        // Another task may have taken its place.
        if self.tasks.get(&group).is_none_or(|task| task.order.id != order) {
            return Ok(());
        }
        match result {
            Ok(taken) => self.installing.push_back(taken),
            Err(error) => {
                let wanted = self.tasks.remove(&group).map(|task| task.order.wanted);
                self.settle_healing(group, Healing::Failed(error.told()));
                if !wanted.is_some_and(|wanted| wanted.is_only_offered(group, &error)) {
                    tracing::error!(%group, %error, "the group's history could not be taken over");
                }
                self.give_up(group)?;
            }
        }
        Ok(())
    }

    /// Waits no longer for the history of a group. Its markers meanwhile had no effect here; whoever
    /// sees us as a member offers the history again.
    fn give_up(&mut self, group: GroupId) -> Result<(), FollowError> {
        if self.joining.remove(&group).is_some() {
            self.state.remember(vec![join::write(&self.joining)])?;
            self.publish_joining();
        }
        Ok(())
    }

    /// Gives up the groups that have waited longest, if there are too many.
    pub(super) fn give_up_oldest(&mut self) -> Result<(), FollowError> {
        while self.joining.len() > JOINING_MAX {
            let oldest = self.joining.iter().min_by_key(|(_, joining)| joining.since.number);
            let Some((group, _)) = oldest else { return Ok(()) };
            let group = *group;
            tracing::warn!(%group, "too many groups wait for their history: one is given up");
            self.tasks.remove(&group);
            let why = "too many groups wait for their history: ask again later";
            self.settle_healing(group, Healing::Failed(why.to_owned()));
            self.give_up(group)?;
        }
        Ok(())
    }

    /// Installs what was brought, and what was accepted before the node stopped. What a temporary
    /// error interrupts is tried again the next time, and does not hold up the others; the first
    /// such error is given back.
    pub(super) async fn install_all(&mut self) -> Result<(), FollowError> {
        let mut first = None;
        for history in std::mem::take(&mut self.resuming) {
            if is_put_off(self.resume(history.clone()).await, &mut first)? {
                self.resuming.push(history);
            }
        }
        for taken in std::mem::take(&mut self.installing) {
            if is_put_off(self.install(&taken).await, &mut first)? {
                self.installing.push_back(taken);
            }
        }
        first.map_or(Ok(()), Err)
    }

    /// Makes a history that was executed and compared the group's state: first in the payload
    /// store, then in ours, with what followed it.
    async fn install(&mut self, taken: &TakenOver) -> Result<(), FollowError> {
        let TakenOver { history, payloads, reads, .. } = taken;
        let (group, until) = (history.group, history.until);
        if self.state.canonical(until.number)? != Some(until.hash) {
            self.ask_again(group);
            return Ok(());
        }
        // What is held may have changed since it was judged.
        let wanted = self.tasks.get(&group).map_or(Wanted::Added, |task| task.order.wanted);
        match join::may_replace(&self.context(), taken, wanted) {
            Ok(()) => {}
            Err(JoinError::State(error)) => return Err(error.into()),
            Err(error) => {
                if !wanted.is_only_offered(group, &error) {
                    tracing::warn!(%group, %error, "a history was not taken over");
                }
                self.tasks.remove(&group);
                self.settle_healing(group, Healing::Failed(error.told()));
                return self.give_up(group);
            }
        }
        if let Entry::Vacant(waiting) = self.joining.entry(group) {
            waiting.insert(Joining { since: until, givers: Vec::new() });
            self.state.remember(vec![join::write(&self.joining)])?;
            self.publish_joining();
        }
        // Asked before these payloads were here.
        self.forget_ahead().await;
        self.enclave.accept_history(history.clone(), payloads.clone(), reads.clone()).await?;
        self.histories.insert(history);
        self.publish_covered();
        self.replace(taken).await
    }

    /// Takes up a history that was accepted before the node stopped.
    async fn resume(&mut self, history: AcceptedHistory) -> Result<(), FollowError> {
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
            Err(StateError::NotFollowed(_)) => {
                self.ask_again(group);
                return Ok(());
            }
            replaced => replaced?,
        }
        self.joining = joining;
        self.tasks.remove(&group);
        self.settle_healing(group, Healing::Taken(taken.history.until));
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
        let unknown = || {
            ChainError::incomplete(format!("it does not know block {hash}, which it had announced"))
        };
        let block = self.chain.block(BlockId::Hash(hash)).await?.ok_or_else(unknown)?;
        let at = block_ref(&block.header);
        let candidates = self.reader().candidates(&block).await?;
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
