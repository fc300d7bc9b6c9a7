//! The follower's effects: fetches blocks, asks the enclave, executes, commits. One at a time and
//! in order; it alone writes private state.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use alloy_primitives::{Address, B256};
use coterie_core::{EnclaveKey, GroupId, NetworkDefinition, PayloadKey, access};
use rayon::prelude::*;
use tokio::sync::{Semaphore, broadcast, mpsc, watch};

use super::{
    ahead::{Ahead, Reader},
    histories::Histories,
    install::Task,
    join::{self, Joining, Taken, TakenOver, facts_at_head},
    machine::{Action, Machine},
    prepare::Preparer,
    run::{GroupRun, RunResult, Start},
    sort::{Candidate, Earlier, Item, Sorted, sort},
    source::ParentState,
};
use crate::{
    chain::{Block, BlockId, BlockRef, Chain, ChainError, Header},
    enclave::{AcceptedHistory, Enclave, EnclaveUnavailable},
    executor::{Executor, Fault},
    service::{Following, FollowingStopped, GroupEvent, Healing, TakeOver},
    state::{BlockCommit, Decision, EMPTY_ROOT, GroupCommit, State, StateError, seen},
};

/// Histories that are taken over at a time.
const TURNS: usize = 4;
/// How often it is said that following is interrupted, while it is.
const SAY_AGAIN: Duration = Duration::from_secs(60);

/// Where and how to follow.
#[derive(Clone, Copy, Debug)]
pub struct FollowerOptions {
    /// The first block whose markers count.
    pub first_block: u64,
    /// How deep a reorg may be before the follower stops.
    pub reorg_depth_max: u64,
    /// How long to wait after the chain or the enclave failed.
    pub retry: Duration,
}

impl Default for FollowerOptions {
    fn default() -> Self {
        Self { first_block: 0, reorg_depth_max: 256, retry: Duration::from_millis(500) }
    }
}

/// Following cannot go on, or not now.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FollowError {
    /// The chain did not answer: retried.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The enclave did not answer: retried.
    #[error(transparent)]
    Enclave(#[from] EnclaveUnavailable),
    /// Private state failed: the operator must act.
    #[error(transparent)]
    State(#[from] StateError),
    /// The chain left our branch too long ago.
    #[error(
        "the chain has other blocks than those that were followed up to {}, more than {depth_max} of them or from the first: it reorganised that deep, or it is another chain. Check chain.url and the chain's node; if they are right, delete the state directory to rebuild",
        .followed.number
    )]
    ReorgTooDeep {
        /// What was followed.
        followed: BlockRef,
        /// The limit.
        depth_max: u64,
    },
}

impl FollowError {
    /// Whether waiting can help.
    pub const fn is_temporary(&self) -> bool {
        matches!(self, Self::Chain(_) | Self::Enclave(_))
    }

    /// What callers are told of it: nothing of our own disk but that it failed. The log has the rest.
    fn told(&self) -> FollowingStopped {
        let reason = match self {
            Self::ReorgTooDeep { followed, depth_max } => format!(
                "the chain has other blocks than those that were followed up to {}: it reorganised deeper than {depth_max} blocks or than following began, or it is another chain",
                followed.number
            ),
            Self::State(StateError::Corrupt(_)) => "its private state is corrupt".to_owned(),
            Self::State(_) => "its private state failed".to_owned(),
            Self::Chain(_) => "the chain failed".to_owned(),
            Self::Enclave(_) => "its enclave failed".to_owned(),
        };
        FollowingStopped { reason }
    }
}

/// How far following has come, as the log tells it.
#[derive(Default)]
struct Progress {
    told: Option<(Instant, BlockRef)>,
}

impl Progress {
    /// Tells it, unless it was told within a minute or is as it was.
    fn tell(&mut self, followed: Option<BlockRef>) {
        let Some(followed) = followed else { return };
        if self.told.is_none_or(|(at, told)| at.elapsed() >= SAY_AGAIN && told != followed) {
            tracing::info!(block = followed.number, hash = %followed.hash, "followed the chain");
            self.told = Some((Instant::now(), followed));
        }
    }
}

/// Follows the chain.
pub struct Follower {
    pub(super) chain: Arc<dyn Chain>,
    pub(super) enclave: Arc<dyn Enclave>,
    pub(super) state: State,
    pub(super) executor: Executor,
    pub(super) definition: Arc<NetworkDefinition>,
    pub(super) preparer: Arc<Preparer>,
    pub(super) options: FollowerOptions,
    pub(super) machine: Option<Machine>,
    pub(super) histories: Histories,
    pub(super) joining: BTreeMap<GroupId, Joining>,
    pub(super) followed: watch::Sender<Option<BlockRef>>,
    pub(super) head: watch::Sender<Option<BlockRef>>,
    pub(super) joining_seen: watch::Sender<Vec<GroupId>>,
    pub(super) covered: watch::Sender<HashMap<GroupId, BlockRef>>,
    /// Markers that none of our keys opened, since the start.
    unread: Arc<AtomicU64>,
    stopped: watch::Sender<Option<FollowingStopped>>,
    pub(super) healed: watch::Sender<BTreeMap<GroupId, Healing>>,
    pub(super) events: broadcast::Sender<GroupEvent>,
    pub(super) requests: (mpsc::Sender<TakeOver>, mpsc::Receiver<TakeOver>),
    pub(super) taken: (mpsc::Sender<Taken>, mpsc::Receiver<Taken>),
    /// How many orders for histories were given.
    pub(super) orders: u64,
    /// How many histories are taken over at a time.
    pub(super) turns: Arc<Semaphore>,
    /// The task that takes over each group's history.
    pub(super) tasks: BTreeMap<GroupId, Task>,
    /// Histories that wait to be installed, in the order in which they came.
    pub(super) installing: VecDeque<TakenOver>,
    /// Histories that were accepted, but not installed, when the node stopped.
    pub(super) resuming: Vec<AcceptedHistory>,
    /// The block after the one that was applied last.
    ahead: Option<Ahead>,
    /// What the enclave said of the markers of a block that waits to be applied.
    asked: Option<(B256, Vec<Candidate>)>,
    progress: Progress,
}

/// What a follower is made of.
#[derive(Clone)]
pub struct FollowerParts {
    /// The public chain.
    pub chain: Arc<dyn Chain>,
    /// The enclave.
    pub enclave: Arc<dyn Enclave>,
    /// Private state.
    pub state: State,
    /// The executor.
    pub executor: Executor,
    /// The network.
    pub definition: Arc<NetworkDefinition>,
    /// Payloads prepared on arrival.
    pub preparer: Arc<Preparer>,
}

impl std::fmt::Debug for FollowerParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FollowerParts")
    }
}

impl std::fmt::Debug for Follower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Follower").field("machine", &self.machine).finish_non_exhaustive()
    }
}

impl Follower {
    /// Assembles a follower; it does nothing until it is run.
    pub fn new(parts: FollowerParts, options: FollowerOptions) -> Self {
        let FollowerParts { chain, enclave, state, executor, definition, preparer } = parts;
        Self {
            chain,
            enclave,
            state,
            executor,
            definition,
            preparer,
            options,
            machine: None,
            histories: Histories::default(),
            joining: BTreeMap::new(),
            followed: watch::Sender::new(None),
            head: watch::Sender::new(None),
            joining_seen: watch::Sender::new(Vec::new()),
            covered: watch::Sender::default(),
            unread: Arc::default(),
            stopped: watch::Sender::new(None),
            healed: watch::Sender::default(),
            events: broadcast::Sender::new(1024),
            requests: mpsc::channel(64),
            taken: mpsc::channel(16),
            orders: 0,
            turns: Arc::new(Semaphore::new(TURNS)),
            tasks: BTreeMap::new(),
            installing: VecDeque::new(),
            resuming: Vec::new(),
            ahead: None,
            asked: None,
            progress: Progress::default(),
        }
    }

    /// What others may watch.
    pub fn following(&self) -> Following {
        Following {
            followed: self.followed.subscribe(),
            head: self.head.subscribe(),
            joining: self.joining_seen.subscribe(),
            covered: self.covered.subscribe(),
            unread: Arc::clone(&self.unread),
            stopped: self.stopped.subscribe(),
            healed: self.healed.subscribe(),
            events: self.events.clone(),
            requests: self.requests.0.clone(),
        }
    }

    /// Where it is told that following stopped for good, by whoever runs it and sees it panic.
    pub fn stopped(&self) -> watch::Sender<Option<FollowingStopped>> {
        self.stopped.clone()
    }

    /// Follows until something permanent fails, and tells that then.
    ///
    /// # Errors
    ///
    /// Only errors that waiting does not cure.
    pub async fn run(&mut self) -> Result<(), FollowError> {
        // When it was last said that following is interrupted.
        let mut said: Option<Instant> = None;
        loop {
            let step = async {
                self.catch_up().await?;
                if said.take().is_some() {
                    tracing::info!("following goes on");
                }
                self.wait().await
            };
            match step.await {
                Ok(()) => {}
                Err(error) if error.is_temporary() => {
                    if said.is_none_or(|at| at.elapsed() >= SAY_AGAIN) {
                        tracing::warn!(%error, "following is interrupted; retrying");
                        said = Some(Instant::now());
                    }
                    tokio::time::sleep(self.options.retry).await;
                }
                Err(error) => {
                    tracing::error!(%error, "following stopped; reads go on");
                    self.stopped.send_replace(Some(error.told()));
                    return Err(error);
                }
            }
        }
    }

    /// Waits for a new head, or for a history, and handles the latter.
    async fn wait(&mut self) -> Result<(), FollowError> {
        let seen = self.head.borrow().map_or(B256::ZERO, |head| head.hash);
        let chain = Arc::clone(&self.chain);
        tokio::select! {
            () = chain.head_changed(seen) => Ok(()),
            Some(request) = self.requests.1.recv() => self.on_request(request),
            Some(taken) = self.taken.1.recv() => self.on_taken(taken),
        }
    }

    /// Follows up to the chain's present head, and handles what has come in meanwhile.
    ///
    /// # Errors
    ///
    /// A temporary error leaves everything as it was before the block in question.
    pub async fn catch_up(&mut self) -> Result<(), FollowError> {
        if self.machine.is_none() {
            self.start().await?;
        }
        if let Some(head) = self.chain.block_ref(BlockId::Latest).await? {
            self.head.send_replace(Some(head));
            if let Some(machine) = &mut self.machine {
                machine.on_head(head);
            }
        }
        // A history that cannot be installed now must not hold up following: it may be of a branch
        // that the next step leaves.
        let mut waits = self.take_in().await?;
        while self.step().await? {
            self.progress.tell(*self.followed.borrow());
            waits = self.take_in().await?;
        }
        waits.map_or(Ok(()), Err)
    }

    /// Handles what has come in: requests, and histories. A temporary error is given back when a
    /// history could not be installed for it.
    async fn take_in(&mut self) -> Result<Option<FollowError>, FollowError> {
        while let Ok(request) = self.requests.1.try_recv() {
            self.on_request(request)?;
        }
        while let Ok(taken) = self.taken.1.try_recv() {
            self.on_taken(taken)?;
        }
        match self.install_all().await {
            Ok(()) => Ok(None),
            Err(error) if error.is_temporary() => Ok(Some(error)),
            Err(error) => Err(error),
        }
    }

    /// Loads what is remembered, and takes up joining where it was left.
    async fn start(&mut self) -> Result<(), FollowError> {
        let histories = self.enclave.histories().await?;
        let followed = match self.state.followed()? {
            Some(followed) => followed,
            None => self.before_first().await?,
        };
        self.histories = Histories::new(histories.clone());
        for history in &histories {
            if let Some(until) = self.left_behind(history).await? {
                self.histories.truncate_group(history.group, until);
            }
        }
        self.publish_covered();
        self.joining = join::load(&self.state)?;
        let state = &self.state;
        let mut left = Vec::new();
        for (group, joining) in &self.joining {
            if state.canonical(joining.since.number)? != Some(joining.since.hash) {
                left.push(*group);
            }
        }
        // A reorg left the addition, and the node stopped before anything else was written.
        self.joining.retain(|group, _| !left.contains(group));
        self.followed.send_replace(Some(followed));
        self.publish_joining();
        self.refresh_co_members()?;
        let groups: Vec<_> = self.joining.iter().map(|(group, it)| (*group, it.since)).collect();
        for (group, since) in groups {
            // Accepted, but the state was not replaced before the node stopped. An older history
            // is not the one that is waited for.
            let accepted = histories
                .iter()
                .find(|history| history.group == group && history.until.number >= since.number);
            match accepted {
                Some(history) => self.resuming.push(history.clone()),
                None => self.begin_join(group),
            }
        }
        // Last: after an error above, starting begins again.
        self.machine = Some(Machine::new(followed, self.options.reorg_depth_max));
        Ok(())
    }

    /// Whether a reorg left the branch on which the history was accepted: then up to where it
    /// still says what counted, which is nowhere when the whole branch was left.
    async fn left_behind(
        &self,
        history: &AcceptedHistory,
    ) -> Result<Option<Option<BlockRef>>, FollowError> {
        let places = history.entries.iter().rev().map(|entry| entry.block);
        let mut newest = true;
        for block in std::iter::once(history.until).chain(places) {
            // A chain that is not there yet contradicts nothing.
            let Some(canonical) = self.chain.block_ref(BlockId::Number(block.number)).await? else {
                continue;
            };
            if canonical.hash == block.hash {
                return Ok((!newest).then_some(Some(block)));
            }
            newest = false;
        }
        Ok((!newest).then_some(None))
    }

    /// The block before the first, whose markers do not count.
    async fn before_first(&self) -> Result<BlockRef, FollowError> {
        let number = self.options.first_block.saturating_sub(1);
        let block = self.chain.block_ref(BlockId::Number(number)).await?;
        let block = block.ok_or_else(|| {
            ChainError::incomplete(format!("it has no block {number} yet, where following starts"))
        })?;
        self.state.rewind(block)?;
        Ok(block)
    }

    /// Does the machine's next action; false when there is nothing to do.
    async fn step(&mut self) -> Result<bool, FollowError> {
        let Some(machine) = &mut self.machine else { return Ok(false) };
        match machine.poll() {
            Action::Wait => return Ok(false),
            Action::Fetch(number) => {
                let block = self.read(number).await?;
                if let Some(machine) = &mut self.machine {
                    machine.on_block(block);
                }
            }
            Action::Compare(number) => {
                let theirs =
                    self.chain.block_ref(BlockId::Number(number)).await?.map(|block| block.hash);
                let followed = machine.followed();
                let ours = match self.state.canonical(number)? {
                    Some(ours) => ours,
                    None if number == followed.number => followed.hash,
                    // Below the block where following began there is nothing to go back to.
                    None => return Err(self.too_deep(followed)),
                };
                machine.on_compared(theirs, ours);
            }
            Action::Rewind { common, orphaned } => self.rewind(common, &orphaned).await?,
            Action::Apply(block) => {
                let applied = self.apply(block).await;
                if applied.is_err()
                    && let Some(machine) = &mut self.machine
                {
                    machine.on_failed();
                }
                applied?;
            }
            Action::TooDeep => {
                let followed = machine.followed();
                return Err(self.too_deep(followed));
            }
        }
        Ok(true)
    }

    const fn too_deep(&self, followed: BlockRef) -> FollowError {
        FollowError::ReorgTooDeep { followed, depth_max: self.options.reorg_depth_max }
    }

    async fn rewind(&mut self, common: BlockRef, orphaned: &[BlockRef]) -> Result<(), FollowError> {
        tracing::warn!(common = common.number, blocks = orphaned.len(), "the chain reorganised");
        self.forget_ahead().await;
        self.enclave.reorg(common, orphaned).await?;
        self.state.rewind(common)?;
        for history in self.enclave.histories().await? {
            if history.until.number > common.number {
                self.cut(history, common).await?;
            }
        }
        // An addition on the branch that was left no longer adds anybody.
        let left = |joining: &Joining| joining.since.number > common.number;
        let gone: Vec<_> = self
            .joining
            .extract_if(.., |_, joining| left(joining))
            .map(|(group, _)| group)
            .collect();
        for group in gone {
            if self.tasks.remove(&group).is_some() {
                let why = "the chain reorganised: ask again";
                self.settle_healing(group, Healing::Failed(why.to_owned()));
            }
        }
        self.publish_joining();
        self.refresh_co_members()?;
        if let Some(machine) = &mut self.machine {
            machine.on_rewound();
        }
        self.followed.send_replace(Some(common));
        Ok(())
    }

    /// What a history says of blocks that were left no longer holds, on this branch and on rebuild.
    async fn cut(
        &mut self,
        mut history: AcceptedHistory,
        common: BlockRef,
    ) -> Result<(), FollowError> {
        history.until = common;
        history.entries.retain(|entry| entry.block.number <= common.number);
        self.enclave.accept_history(history.clone(), Vec::new(), Vec::new()).await?;
        self.histories.insert(&history);
        self.publish_covered();
        Ok(())
    }

    /// Decides, executes and commits one block.
    async fn apply(&mut self, block: Block) -> Result<(), FollowError> {
        let at = block_ref(&block.header);
        let candidates = self.candidates(&block).await?;
        self.read_ahead(at);
        let mut sorted = self.sorted(at, &candidates, &[])?;
        // Groups that wait for their history: their markers are executed when it is there. Which
        // marker of an id is the first does not depend on the history.
        let again = self.added_again(&sorted);
        sorted.groups.retain(|group, _| !self.joining.contains_key(group));
        let groups = std::mem::take(&mut sorted.groups);
        let mut runs = Vec::with_capacity(groups.len());
        for (group, items) in groups {
            runs.push(self.begin(group, &block.header, items)?);
        }
        let results = self.finish(self.execute(runs, &block.header).await?)?;
        // Only now, so that it does not hold up execution: what follows writes and waits.
        if let Some(ahead) = &mut self.ahead {
            ahead.go();
        }
        for result in &results {
            if !result.reads.is_empty() {
                self.enclave.record_reads(result.group, at.hash, &result.reads).await?;
            }
        }
        self.commit(block.header, sorted, results, again)?;
        if let Some(machine) = &mut self.machine {
            machine.on_applied(at);
        }
        Ok(())
    }

    /// Who adds us to a group that waits for its history already: the addition that it waits for
    /// may have had no effect.
    fn added_again(&self, sorted: &Sorted) -> Vec<(GroupId, EnclaveKey)> {
        let mut again = Vec::new();
        if self.joining.is_empty() {
            return again;
        }
        let local = self.enclave.keys();
        for group in self.joining.keys() {
            let items = sorted.groups.get(group).into_iter().flatten();
            for transaction in items.filter_map(Item::transaction).map(|it| &it.transaction) {
                let added = access::added_keys(self.definition.rules, &transaction.transaction);
                if added.iter().any(|key| local.contains(key)) {
                    again.push((*group, transaction.transaction.private_from.clone()));
                }
            }
        }
        again
    }

    /// Reads blocks and their payloads.
    pub(super) fn reader(&self) -> Reader {
        Reader {
            chain: Arc::clone(&self.chain),
            enclave: Arc::clone(&self.enclave),
            preparer: Arc::clone(&self.preparer),
            rules: self.definition.rules,
        }
    }

    /// The canonical block of this number, which may have been read ahead.
    async fn read(&mut self, number: u64) -> Result<Option<Block>, FollowError> {
        let ahead = match self.ahead.take() {
            Some(ahead) if ahead.number() == number => ahead,
            other => {
                self.ahead = other;
                self.forget_ahead().await;
                return Ok(self.chain.block(BlockId::Number(number)).await?);
            }
        };
        let Some((block, candidates)) = ahead.finish().await? else { return Ok(None) };
        self.asked = candidates.map(|candidates| (block.header.hash, candidates));
        Ok(Some(block))
    }

    /// What the enclave says of the block's markers; it may have been asked already.
    async fn candidates(&mut self, block: &Block) -> Result<Vec<Candidate>, FollowError> {
        match self.asked.take() {
            Some((hash, candidates)) if hash == block.header.hash => Ok(candidates),
            Some(_) | None => Ok(self.reader().candidates(block).await?),
        }
    }

    /// What was read ahead no longer holds. Waits for it: the enclave must not be asked about a
    /// block after we went elsewhere.
    pub(super) async fn forget_ahead(&mut self) {
        self.asked = None;
        if let Some(ahead) = self.ahead.take() {
            // It is read again, and fails again if it does.
            let _ = ahead.finish().await;
        }
    }

    /// Begins to read the block after this one, if the chain has more.
    fn read_ahead(&mut self, at: BlockRef) {
        let more = self.head.borrow().is_some_and(|head| head.number > at.number);
        self.ahead = more.then(|| self.reader().ahead(at));
    }

    /// What the candidates mean. `decided` are decisions that are not in private state yet.
    pub(super) fn sorted(
        &self,
        block: BlockRef,
        candidates: &[Candidate],
        decided: &[(PayloadKey, Decision)],
    ) -> Result<Sorted, FollowError> {
        let earlier = EarlierMarkers { state: &self.state, block, decided };
        Ok(sort(block, candidates, &self.histories, &earlier)?)
    }

    fn begin(
        &self,
        group: GroupId,
        header: &Header,
        items: Vec<Item>,
    ) -> Result<GroupRun, FollowError> {
        let record = self.state.group_at(group, header.number.saturating_sub(1))?;
        let snapshot = match &record {
            Some(_) => self.state.group_snapshot(group),
            None => self.state.snapshot(EMPTY_ROOT),
        };
        let execution = self.executor.begin(group, snapshot.clone(), header);
        let source = self.parent_state(group, header).into_source();
        let start = Start { group, record, snapshot };
        Ok(GroupRun::new(start, block_ref(header), execution, items, source))
    }

    /// Runs all groups, in parallel, fetching public state at the parent block as it is asked for.
    pub(super) async fn execute(
        &self,
        mut runs: Vec<GroupRun>,
        header: &Header,
    ) -> Result<Vec<GroupRun>, FollowError> {
        let local = self.enclave.keys();
        loop {
            let definition = &*self.definition;
            // In a scope, so that no run is executed here: it may wait for public state, and this
            // thread drives the runtime.
            let faults: Vec<Option<Fault>> = rayon::scope(|_| {
                runs.par_iter_mut().map(|run| run.advance(definition, &local).err()).collect()
            });
            let mut missing = false;
            for (run, fault) in runs.iter_mut().zip(faults) {
                match fault {
                    None => {}
                    Some(Fault::State(error)) => return Err(error.into()),
                    Some(Fault::Missing(read)) => {
                        missing = true;
                        let parent = self.parent_state(run.group(), header);
                        run.supply(read, parent.read::<FollowError>(read).await?);
                    }
                }
            }
            if !missing {
                return Ok(runs);
            }
        }
    }

    /// Public state for the execution of block `header` for `group`.
    pub(super) fn parent_state(&self, group: GroupId, header: &Header) -> ParentState {
        ParentState::new((&self.chain, &self.enclave), group, header)
    }

    pub(super) fn finish(&self, runs: Vec<GroupRun>) -> Result<Vec<RunResult>, FollowError> {
        let results: Result<Vec<_>, StateError> =
            runs.into_par_iter().map(GroupRun::finish).collect();
        Ok(results?)
    }

    /// Writes the block, and tells who waits for it.
    fn commit(
        &mut self,
        header: Header,
        sorted: Sorted,
        results: Vec<RunResult>,
        again: Vec<(GroupId, EnclaveKey)>,
    ) -> Result<(), FollowError> {
        let at = block_ref(&header);
        let Sorted { mut receipts, decisions, unread, .. } = sorted;
        let mut meta = seen::writes(&self.state, at, &unread)?;
        let (mut groups, mut events, mut joins) = (Vec::new(), Vec::new(), Vec::new());
        for result in results {
            receipts.extend(result.receipts);
            if let Some(joins_group) = result.joins {
                let joining = Joining { since: at, givers: vec![joins_group.giver] };
                joins.push((result.group, joining));
            }
            let Some((before, after)) = result.facts else { continue };
            if let Some((record, snapshot)) = result.commit {
                let (group, facts) = (result.group, Arc::clone(&after));
                groups.push(GroupCommit { group, record, snapshot, facts });
            }
            if before.members != after.members {
                events.push(GroupEvent { group: result.group, block: at, before, after });
            }
        }
        let joined = !(joins.is_empty() && again.is_empty());
        let joining = joined.then(|| {
            let mut joining = self.joining.clone();
            joining.extend(joins.iter().cloned());
            for (group, giver) in &again {
                if let Some(waiting) = joining.get_mut(group) {
                    join::add_giver(&mut waiting.givers, giver.clone());
                }
            }
            joining
        });
        meta.extend(joining.as_ref().map(join::write));
        self.state.commit(BlockCommit { header, groups, receipts, decisions, meta })?;
        self.joining = joining.unwrap_or_else(|| std::mem::take(&mut self.joining));
        for (group, _) in joins {
            tracing::info!(%group, block = at.number, "added to a group: taking over its history");
            self.publish_joining();
            self.begin_join(group);
        }
        for (group, giver) in again {
            tracing::info!(%group, block = at.number, "added once more while waiting for the history");
            self.ask_too(group, giver);
        }
        self.give_up_oldest()?;
        if joined || !events.is_empty() {
            self.refresh_co_members()?;
        }
        self.unread.fetch_add(u64::try_from(unread.len()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.followed.send_replace(Some(at));
        for event in events {
            // Nobody may be listening.
            let _ = self.events.send(event);
        }
        Ok(())
    }

    pub(super) fn publish_covered(&self) {
        self.covered.send_replace(self.histories.covered());
    }

    pub(super) fn publish_joining(&self) {
        self.joining_seen.send_replace(self.joining.keys().copied().collect());
    }

    /// Tells the enclave whom we share groups with.
    pub(super) fn refresh_co_members(&self) -> Result<(), FollowError> {
        let local = self.enclave.keys();
        let mut keys = Vec::new();
        for group in self.state.groups() {
            match facts_at_head(&self.state, &self.executor, group) {
                Ok(Some(facts)) if facts.members.iter().any(|key| local.contains(key)) => {
                    keys.extend(facts.members.iter().filter(|key| !local.contains(key)).cloned());
                }
                // An owner's contract that reads public state: its members are learnt when they send.
                Ok(_) | Err(Fault::Missing(_)) => {}
                Err(Fault::State(error)) => return Err(error.into()),
            }
        }
        keys.extend(self.joining.values().flat_map(|joining| joining.givers.iter().cloned()));
        keys.sort_unstable();
        keys.dedup();
        self.enclave.set_co_members(keys);
        Ok(())
    }
}

/// Earlier markers as private state remembers them.
struct EarlierMarkers<'a> {
    state: &'a State,
    block: BlockRef,
    /// Decisions that are not written yet.
    decided: &'a [(PayloadKey, Decision)],
}

impl Earlier for EarlierMarkers<'_> {
    type Error = StateError;

    fn earlier(&self, key: PayloadKey, signer: Address) -> Result<Option<B256>, StateError> {
        let before = |number: u64| number < self.block.number;
        let unwritten = self.decided.iter().find(|(decided, _)| *decided == key);
        if let Some((_, decision)) = unwritten.filter(|(_, it)| before(it.block.number)) {
            return Ok(Some(decision.marker));
        }
        if let Some(decision) = self.state.decided(key)?
            && before(decision.block.number)
        {
            return Ok(Some(decision.marker));
        }
        Ok(seen::first(self.state, key, signer)?
            .filter(|seen| before(seen.block.number))
            .map(|seen| seen.marker))
    }
}

/// Number and hash of a header.
pub(super) const fn block_ref(header: &Header) -> BlockRef {
    BlockRef { number: header.number, hash: header.hash }
}
