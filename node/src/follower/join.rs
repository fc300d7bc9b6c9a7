//! Takes over a group's history from another member (design, 2.4).
//!
//! A task for each group asks a giver for the history, checks every entry against the chain and
//! its own signature, executes all of it from the group's first marker, and compares the root with
//! those of the members that answer. It changes nothing: the follower installs what it brings.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use alloy_primitives::B256;
use alloy_rlp::{RlpDecodable, RlpEncodable};
use coterie_core::{EnclaveKey, GroupId, NetworkDefinition, PayloadKey};
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore, mpsc, watch};

use super::{
    driver::block_ref,
    prepare::Preparer,
    run::{GroupRun, RunResult, Start},
    sort::Item,
    source::ParentState,
    verify::{BlockReads, Entry, HistoryBlock, Verifier},
};
use crate::{
    chain::{BlockRef, Chain, ChainError, PublicRead, PublicValue},
    enclave::{AcceptedHistory, AskError, Enclave, EnclaveUnavailable, SealedPayload},
    executor::{Executor, Fault, GroupFacts, PublicReads},
    service::messages::{
        self, HistoryPage, HistoryRequest, RootReply, RootRequest, WireBlock, WireEntry,
    },
    state::{
        Corruption, Decision, EMPTY_ROOT, GroupBlock, GroupHistory, Reason, Receipt, Snapshot,
        State, StateError,
    },
    store::Table,
};

/// Entries of one history, at most.
const ENTRIES_MAX: u64 = 10_000_000;
/// Blocks of a history whose state is held in memory before it is written.
const BLOCKS_UNSAVED_MAX: usize = 256;
/// How long members have to answer with their root.
const ROOT_WAIT: Duration = Duration::from_secs(5);
/// The first pause between two attempts: most often the giver is about to follow the block of the
/// addition.
const PAUSE_MIN: Duration = Duration::from_millis(10);
/// The longest pause between two attempts.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Attempts when somebody offered, or the operator asked.
const ATTEMPTS_MAX: u32 = 5;
/// Attempts, and blocks after the addition, after which one that nobody confirms is given up: it
/// had no effect, or its giver comes back with an offer.
const ADDED_ATTEMPTS_MAX: u32 = 30;
const ADDED_BLOCKS_MAX: u64 = 1_000;
/// Attempts that a new block may bring forward.
const EAGER_ATTEMPTS: u32 = 20;
/// Bytes of one history; less when it was only offered: then nothing on the chain says that it is
/// wanted.
const BYTES_MAX: usize = 1 << 30;
const OFFERED_BYTES_MAX: usize = 256 << 20;
/// Until when a giver must have given so many bytes, and everything.
const SLOW_BYTES: usize = 8 << 20;
const SLOW_TIME: Duration = Duration::from_secs(60);
const FETCH_TIME: Duration = Duration::from_secs(600);
/// Members that are asked for one history.
const GIVERS_MAX: usize = 256;
/// Entries that are replayed at a time.
const REPLAYED: usize = 1_000;
/// Characters of a reason that is told, since it may hold a giver's words.
const TOLD_MAX: usize = 300;

/// A group that waits for its history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Joining {
    /// The block with the addition.
    pub(super) since: BlockRef,
    /// Whom to ask, first one first.
    pub(super) givers: Vec<EnclaveKey>,
}

/// Adds somebody to ask; false when it is there already, or there are too many.
pub(super) fn add_giver(givers: &mut Vec<EnclaveKey>, giver: EnclaveKey) -> bool {
    let is_new = givers.len() < GIVERS_MAX && !givers.contains(&giver);
    if is_new {
        givers.push(giver);
    }
    is_new
}

/// What the task needs; it only reads.
#[derive(Clone)]
pub(super) struct JoinContext {
    pub(super) chain: Arc<dyn Chain>,
    pub(super) enclave: Arc<dyn Enclave>,
    pub(super) state: State,
    pub(super) executor: Executor,
    pub(super) definition: Arc<NetworkDefinition>,
    pub(super) preparer: Arc<Preparer>,
    pub(super) followed: watch::Receiver<Option<BlockRef>>,
    pub(super) retry: Duration,
    /// How many histories are taken over at a time.
    pub(super) turns: Arc<Semaphore>,
}

/// Why a history is taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// A transaction added us.
    Added,
    /// A member offered it.
    Offered,
    /// The operator asked.
    Healing,
}

impl Wanted {
    /// Whether nobody here has asked for the history, so that not taking it over is no news: then it
    /// is only told to who wants to know everything.
    pub(super) fn is_only_offered(self, group: GroupId, error: &JoinError) -> bool {
        let offered = self == Self::Offered;
        if offered {
            tracing::debug!(%group, %error, "an offered history was not taken over");
        }
        offered
    }
}

/// A history that is wanted.
#[derive(Clone, Debug)]
pub(super) struct Order {
    /// Tells the tasks of one group apart.
    pub(super) id: u64,
    pub(super) group: GroupId,
    /// It must not end before this block.
    pub(super) since: u64,
    pub(super) wanted: Wanted,
    /// Whom to ask; more may be added while the task runs.
    pub(super) givers: Givers,
    /// Ends the pause before the next attempt, and starts counting them anew.
    pub(super) hurry: Arc<Notify>,
}

/// What a task came to.
#[derive(Debug)]
pub(super) struct Taken {
    /// The order's id.
    pub(super) order: u64,
    pub(super) group: GroupId,
    pub(super) result: Result<TakenOver, JoinError>,
}

/// A history, executed and compared.
#[derive(Debug)]
pub(super) struct TakenOver {
    pub(super) history: AcceptedHistory,
    pub(super) payloads: Vec<SealedPayload>,
    pub(super) reads: Vec<BlockReads>,
    executed: Executed,
}

/// What executing a history gave.
#[derive(Clone, Debug, Default)]
struct Executed {
    records: Vec<GroupBlock>,
    /// What the group was after each record.
    record_facts: Vec<Arc<GroupFacts>>,
    receipts: Vec<(BlockRef, Receipt)>,
    decisions: Vec<(PayloadKey, Decision)>,
    snapshot: Option<Snapshot>,
    /// What the group was before and after the last block.
    facts: Option<(Arc<GroupFacts>, Arc<GroupFacts>)>,
    /// Public state that was read: what came with the history, and what the chain answered besides.
    reads: Vec<BlockReads>,
}

/// A history was not taken over.
#[derive(Debug, thiserror::Error)]
pub(super) enum JoinError {
    #[error(transparent)]
    Ask(#[from] AskError),
    #[error(transparent)]
    Chain(#[from] ChainError),
    #[error(transparent)]
    Enclave(#[from] EnclaveUnavailable),
    #[error(transparent)]
    State(#[from] StateError),
    #[error("nobody is known who could give it; name a member with --from")]
    NobodyToAsk,
    #[error("the giver's answer does not decode")]
    Undecodable,
    #[error("the history has {0} entries, more than the limit")]
    TooLong(u64),
    #[error("the history has more than {0} bytes, the limit")]
    TooLarge(usize),
    #[error("the giver changed its mind about where the history ends")]
    Inconsistent,
    #[error("the giver is too slow")]
    TooSlow,
    #[error("the history ends at block {} ({}), which is not on our branch", .0.number, .0.hash)]
    OtherBranch(BlockRef),
    #[error("the public reads of block {} do not belong to its transactions", .0.number)]
    Reads(BlockRef),
    #[error("the group that is held was created by an earlier marker")]
    LaterCreation,
    #[error("a local key is a member of the group that is held")]
    HeldAsMember,
    #[error("entry {at} (payload {}) is wrong: {what}", .key.0)]
    Entry { at: usize, key: PayloadKey, what: &'static str },
    #[error("the giver's history ends at block {until}, before the addition in block {since}")]
    TooEarly { until: u64, since: u64 },
    #[error("the group's management contract reads public state, which its checks may not")]
    PublicStateNeeded,
    #[error("the work on it ended unexpectedly; the log of the node says more")]
    Panicked,
    #[error("no local key is a member of the group at its end")]
    NotAMember,
    #[error("the root after the history is {ours}, the giver says {theirs}")]
    GiverDisagrees { ours: B256, theirs: B256 },
    #[error("only {agree} of {answered} members that answered have the same root")]
    MembersDisagree { agree: usize, answered: usize },
}

impl JoinError {
    /// What the group's members may read of it: nothing of our own chain and disk but that they
    /// failed.
    pub(super) fn told(&self) -> String {
        let ours = match self {
            Self::Chain(_) => Some("the chain failed"),
            Self::Enclave(_) => Some("this node's enclave failed"),
            Self::State(_) => Some("this node's private state failed"),
            Self::Ask(_)
            | Self::NobodyToAsk
            | Self::Undecodable
            | Self::TooLong(_)
            | Self::TooLarge(_)
            | Self::Inconsistent
            | Self::TooSlow
            | Self::OtherBranch(_)
            | Self::Reads(_)
            | Self::LaterCreation
            | Self::HeldAsMember
            | Self::Entry { .. }
            | Self::TooEarly { .. }
            | Self::PublicStateNeeded
            | Self::Panicked
            | Self::NotAMember
            | Self::GiverDisagrees { .. }
            | Self::MembersDisagree { .. } => None,
        };
        ours.map_or_else(|| self.to_string().chars().take(TOLD_MAX).collect(), str::to_owned)
    }
}

impl From<Fault> for JoinError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::State(error) => error.into(),
            Fault::Missing(_) => Self::PublicStateNeeded,
        }
    }
}

/// Whom to ask; more may be added while the task runs.
pub(super) type Givers = Arc<Mutex<Vec<EnclaveKey>>>;

/// Starts the task; its result goes to `taken`.
pub(super) fn spawn(
    context: JoinContext,
    order: Order,
    taken: mpsc::Sender<Taken>,
) -> tokio::task::AbortHandle {
    let task = async move {
        let result = attempts(&context, &order).await;
        // The follower may have stopped.
        let _ = taken.send(Taken { order: order.id, group: order.group, result }).await;
    };
    tokio::spawn(task).abort_handle()
}

/// Asks one giver after the other, again and again.
async fn attempts(context: &JoinContext, order: &Order) -> Result<TakenOver, JoinError> {
    let group = order.group;
    let first_pause = match order.wanted {
        Wanted::Added => PAUSE_MIN.min(context.retry),
        Wanted::Offered | Wanted::Healing => context.retry,
    };
    let (mut attempt, mut pause) = (1_u32, first_pause);
    loop {
        let mut last = JoinError::NobodyToAsk;
        let asked = order.givers.lock().clone();
        for giver in givers(context, group, asked)? {
            for me in askers(context, group) {
                match take_over(context, order, &giver, &me).await {
                    Ok(taken) => return Ok(taken),
                    Err(error) => {
                        if !order.wanted.is_only_offered(group, &error) {
                            tracing::warn!(%group, %giver, %error, "a history was not taken over");
                        }
                        last = error;
                    }
                }
            }
        }
        if is_enough(context, order, attempt) {
            return Err(last);
        }
        let mut followed = context.followed.clone();
        followed.mark_unchanged();
        let new_block = async {
            // It may be what the giver waits for.
            match attempt < EAGER_ATTEMPTS {
                true => drop(followed.changed().await),
                false => std::future::pending().await,
            }
        };
        tokio::select! {
            () = order.hurry.notified() => (attempt, pause) = (1, first_pause),
            _ = tokio::time::timeout(pause, new_block) => {
                attempt = attempt.saturating_add(1);
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
    }
}

/// Whether to give up after so many attempts.
fn is_enough(context: &JoinContext, order: &Order, attempts: u32) -> bool {
    let followed = context.followed.borrow().map_or(0, |followed| followed.number);
    match order.wanted {
        Wanted::Added => {
            attempts >= ADDED_ATTEMPTS_MAX
                && followed.saturating_sub(order.since) >= ADDED_BLOCKS_MAX
        }
        Wanted::Offered | Wanted::Healing => attempts >= ATTEMPTS_MAX,
    }
}

/// Our keys, first those that are members in our own state: to another one the history is given
/// up to its removal.
fn askers(context: &JoinContext, group: GroupId) -> Vec<EnclaveKey> {
    let mut keys = context.enclave.keys();
    if let Ok(Some(facts)) = facts_at_head(&context.state, &context.executor, group) {
        keys.sort_by_key(|key| !facts.members.contains(key));
    }
    keys
}

/// Those who were named, then the members that our own (older) state lists.
fn givers(
    context: &JoinContext,
    group: GroupId,
    mut givers: Vec<EnclaveKey>,
) -> Result<Vec<EnclaveKey>, JoinError> {
    if let Ok(Some(facts)) = facts_at_head(&context.state, &context.executor, group) {
        givers.extend(facts.members.iter().cloned());
    }
    let mut seen = HashSet::new();
    givers.retain(|key| !context.enclave.holds(key) && seen.insert(key.clone()));
    Ok(givers)
}

/// The facts of a group in our own state at the followed head; `None` when it is not known.
///
/// # Errors
///
/// [`Fault::Missing`] when a replaced management contract reads public state.
pub(super) fn facts_at_head(
    state: &State,
    executor: &Executor,
    group: GroupId,
) -> Result<Option<Arc<GroupFacts>>, Fault> {
    let Some(followed) = state.followed()? else { return Ok(None) };
    let Some(header) = state.header(followed.hash)? else { return Ok(None) };
    if state.group_at(group, followed.number)?.is_none() {
        return Ok(None);
    }
    executor.facts(&state.group_snapshot(group), &header, &PublicReads::new()).map(Some)
}

/// A history as it came, checked against the chain.
struct Fetched {
    until: BlockRef,
    root: B256,
    entries: Vec<Entry>,
    reads: Vec<BlockReads>,
    blocks: Vec<HistoryBlock>,
}

async fn take_over(
    context: &JoinContext,
    order: &Order,
    giver: &EnclaveKey,
    me: &EnclaveKey,
) -> Result<TakenOver, JoinError> {
    // Never closed.
    let _turn = context.turns.acquire().await;
    let fetch = fetch(context, order, (giver, me));
    let fetched = tokio::time::timeout(FETCH_TIME, fetch).await;
    let Fetched { until, root, entries, reads, blocks } =
        fetched.map_err(|_| JoinError::TooSlow)??;
    let group = order.group;
    let supplied = reads.iter().map(|(block, reads)| (block.hash, reads.clone())).collect();
    let executed = execute(context, group, blocks, supplied).await?;
    let ours = executed.snapshot.as_ref().map_or(EMPTY_ROOT, Snapshot::root);
    if ours != root {
        return Err(JoinError::GiverDisagrees { ours, theirs: root });
    }
    compare(context, group, until, &executed, giver, me).await?;
    let (entries, payloads): (Vec<_>, Vec<_>) = entries.into_iter().unzip();
    let history = AcceptedHistory { group, until, entries, recipient: me.clone() };
    let taken = TakenOver { history, payloads, reads: executed.reads.clone(), executed };
    may_replace(context, &taken, order.wanted)?;
    Ok(taken)
}

/// Whether the history may replace the group that is held. A group whose id is known twice is the
/// one that was created first; the present members' word counts only for a group that we are not in.
///
/// # Errors
///
/// [`JoinError::LaterCreation`] or [`JoinError::HeldAsMember`] when it may not.
pub(super) fn may_replace(
    context: &JoinContext,
    taken: &TakenOver,
    wanted: Wanted,
) -> Result<(), JoinError> {
    let group = taken.history.group;
    if wanted == Wanted::Healing {
        return Ok(());
    }
    let Some(followed) = context.state.followed()? else { return Ok(()) };
    let Some(held) = context.state.group_at(group, followed.number)? else { return Ok(()) };
    let created = held.created.number;
    let held = context.state.group_block(group, created)?;
    let (held, offered) = (creation(held.as_slice()), creation(&taken.executed.records));
    let (Some(held), Some(offered)) = (held, offered) else { return Ok(()) };
    match offered.cmp(&held) {
        Ordering::Less => Ok(()),
        Ordering::Greater => Err(JoinError::LaterCreation),
        Ordering::Equal if wanted == Wanted::Added => Ok(()),
        Ordering::Equal => match facts_at_head(&context.state, &context.executor, group)? {
            Some(facts) if facts.members.iter().any(|key| context.enclave.holds(key)) => {
                Err(JoinError::HeldAsMember)
            }
            Some(_) | None => Ok(()),
        },
    }
}

/// Block and index of the marker that created the group; `None` while nothing counted.
fn creation(records: &[GroupBlock]) -> Option<(u64, u64)> {
    let executed = |record: &GroupBlock| {
        let marker = record.markers.iter().find(|marker| marker.reason == Reason::Executed)?;
        Some((record.block.number, marker.index))
    };
    records.iter().find_map(executed)
}

/// Executes an accepted history again from the payload store.
pub(super) async fn replay(
    context: &JoinContext,
    history: AcceptedHistory,
) -> Result<TakenOver, JoinError> {
    let mut entries = Vec::with_capacity(history.entries.len());
    for (at, entry) in history.entries.iter().enumerate() {
        let sealed = context.enclave.sealed(entry.key).await?;
        let what = "its payload is not in the store";
        entries.push((*entry, sealed.ok_or(JoinError::Entry { at, key: entry.key, what })?));
    }
    let mut verifier = Verifier::new(context, history.group, history.until);
    for entries in entries.chunks(REPLAYED) {
        verifier.add(&Arc::new(entries.to_vec())).await?;
    }
    let executed = execute(context, history.group, verifier.into_blocks(), BTreeMap::new()).await?;
    let payloads = entries.into_iter().map(|(_, sealed)| sealed).collect();
    Ok(TakenOver { history, payloads, reads: Vec::new(), executed })
}

/// Fetches a history page by page; a page is checked before the next one is asked for.
async fn fetch(
    context: &JoinContext,
    order: &Order,
    (giver, me): (&EnclaveKey, &EnclaveKey),
) -> Result<Fetched, JoinError> {
    let bytes_max = match order.wanted {
        Wanted::Offered => OFFERED_BYTES_MAX,
        Wanted::Added | Wanted::Healing => BYTES_MAX,
    };
    let started = Instant::now();
    let (mut bytes, mut entries, mut reads) = (0_usize, Vec::new(), Vec::new());
    let mut with_reads = HashSet::new();
    let mut begun: Option<(WireBlock, Verifier<'_>)> = None;
    loop {
        let from = u64::try_from(entries.len()).unwrap_or(u64::MAX);
        let until = begun.as_ref().map(|(until, _)| *until);
        let request =
            HistoryRequest { group: order.group.0, from, until: until.into_iter().collect() };
        let reply =
            context.enclave.ask(me, giver, messages::HISTORY, messages::encode(&request)).await?;
        bytes = bytes.saturating_add(reply.len());
        if bytes > bytes_max {
            return Err(JoinError::TooLarge(bytes_max));
        }
        if bytes < SLOW_BYTES && started.elapsed() > SLOW_TIME {
            return Err(JoinError::TooSlow);
        }
        let page: HistoryPage = messages::decode(&reply).map_err(|_| JoinError::Undecodable)?;
        if page.total > ENTRIES_MAX {
            return Err(JoinError::TooLong(page.total));
        }
        if until.is_some_and(|until| until != page.until) {
            return Err(JoinError::Inconsistent);
        }
        let verifier = match &mut begun {
            Some((_, verifier)) => verifier,
            None => {
                check_end(context, order, page.until.into()).await?;
                let verifier = Verifier::new(context, order.group, page.until.into());
                &mut begun.insert((page.until, verifier)).1
            }
        };
        let came: Option<Vec<Entry>> = page.entries.into_iter().map(WireEntry::unpack).collect();
        let came = Arc::new(came.ok_or(JoinError::Undecodable)?);
        verifier.add(&came).await?;
        let empty = came.is_empty();
        entries.extend(Arc::try_unwrap(came).unwrap_or_else(|shared| shared.to_vec()));
        // A block whose entries fill several pages has its reads in each.
        for of_block in page.reads.into_iter().filter(|it| with_reads.insert(it.block.hash)) {
            let values: Option<Vec<_>> =
                of_block.reads.into_iter().map(messages::WireRead::unpack).collect();
            reads.push((of_block.block.into(), values.ok_or(JoinError::Undecodable)?));
        }
        let have = u64::try_from(entries.len()).unwrap_or(u64::MAX);
        if have < page.total && empty {
            return Err(JoinError::Inconsistent);
        }
        if have >= page.total
            && let Some((until, verifier)) = begun.take()
        {
            verifier.check_reads(&reads)?;
            let (until, blocks) = (until.into(), verifier.into_blocks());
            return Ok(Fetched { until, root: page.root, entries, reads, blocks });
        }
    }
}

/// Whether a history may end there: late enough, and on our branch, once we are there.
async fn check_end(context: &JoinContext, order: &Order, until: BlockRef) -> Result<(), JoinError> {
    if until.number < order.since {
        return Err(JoinError::TooEarly { until: until.number, since: order.since });
    }
    wait_followed(context, until).await;
    if context.state.canonical(until.number)? != Some(until.hash) {
        return Err(JoinError::OtherBranch(until));
    }
    Ok(())
}

/// Waits, not too long, until our follower is where the history ends.
async fn wait_followed(context: &JoinContext, until: BlockRef) {
    let mut followed = context.followed.clone();
    let there =
        followed.wait_for(|followed| followed.is_some_and(|block| block.number >= until.number));
    let _ = tokio::time::timeout(PAUSE_MAX, there).await;
}

/// Executes the blocks in order, from the empty state.
async fn execute(
    context: &JoinContext,
    group: GroupId,
    blocks: Vec<HistoryBlock>,
    mut supplied: BTreeMap<B256, Vec<(PublicRead, PublicValue)>>,
) -> Result<Executed, JoinError> {
    let mut start = Start { group, record: None, snapshot: context.state.snapshot(EMPTY_ROOT) };
    let mut executed = Executed::default();
    let mut unsaved = 0;
    for HistoryBlock { header, items } in blocks {
        let at = block_ref(&header);
        let decisions: Vec<_> = items.iter().filter_map(|item| decision(at, item)).collect();
        let execution = context.executor.begin(group, start.snapshot.clone(), &header);
        let before = (start.record.clone(), start.snapshot.clone());
        let parent = ParentState::new((&context.chain, &context.enclave), group, &header);
        let mut run = GroupRun::new(start, at, execution, items, parent.clone().into_source());
        for (read, value) in supplied.remove(&header.hash).unwrap_or_default() {
            run.supply(read, value);
        }
        loop {
            let fault;
            (run, fault) = advance(context, run).await?;
            let Some(fault) = fault else { break };
            let Fault::Missing(read) = fault else { return Err(fault.into()) };
            run.supply(read, parent.read::<JoinError>(read).await?);
        }
        let result = run.finish()?;
        if !result.reads.is_empty() {
            executed.reads.push((at, result.reads.clone()));
        }
        start = executed.push(group, result, before, at, decisions);
        unsaved += 1;
        if unsaved == BLOCKS_UNSAVED_MAX {
            start.snapshot = context.state.save(&start.snapshot)?;
            unsaved = 0;
        }
    }
    executed.snapshot = start.record.is_some().then_some(start.snapshot);
    Ok(executed)
}

/// Runs on, off the threads that answer requests.
async fn advance(
    context: &JoinContext,
    mut run: GroupRun,
) -> Result<(GroupRun, Option<Fault>), JoinError> {
    let definition = Arc::clone(&context.definition);
    let work = move || {
        let fault = run.advance(&definition, &[]).err();
        (run, fault)
    };
    tokio::task::spawn_blocking(work).await.map_err(|_| JoinError::Panicked)
}

fn decision(block: BlockRef, item: &Item) -> Option<(PayloadKey, Decision)> {
    let key = item.transaction()?.key;
    Some((key, Decision { block, index: item.index, marker: item.marker }))
}

impl Executed {
    /// The members after the last block, or before it, as long as one of them is `ours`: a history
    /// may end with our removal.
    fn members_with(&self, ours: impl Fn(&EnclaveKey) -> bool) -> Option<&[EnclaveKey]> {
        let (before, after) = self.facts.as_ref()?;
        [after, before]
            .into_iter()
            .map(|facts| &*facts.members)
            .find(|members| members.iter().any(&ours))
    }

    /// Adds what a block gave; what the next one starts with.
    fn push(
        &mut self,
        group: GroupId,
        result: RunResult,
        before: (Option<Arc<GroupBlock>>, Snapshot),
        at: BlockRef,
        decisions: Vec<(PayloadKey, Decision)>,
    ) -> Start {
        self.receipts.extend(result.receipts.into_iter().map(|receipt| (at, receipt)));
        self.decisions.extend(decisions);
        self.facts = result.facts.or(self.facts.take());
        let (record, snapshot) = match result.commit {
            Some((record, snapshot)) => {
                self.records.push(record.clone());
                self.record_facts.extend(self.facts.iter().map(|(_, after)| Arc::clone(after)));
                (Some(Arc::new(record)), snapshot.unwrap_or(before.1))
            }
            None => before,
        };
        Start { group, record, snapshot }
    }
}

/// Compares the root with those of the other members: more than half of those that answer, the
/// giver included, must have the same.
async fn compare(
    context: &JoinContext,
    group: GroupId,
    until: BlockRef,
    executed: &Executed,
    giver: &EnclaveKey,
    me: &EnclaveKey,
) -> Result<(), JoinError> {
    let Some(snapshot) = &executed.snapshot else { return Err(JoinError::NotAMember) };
    let members = executed.members_with(|key| context.enclave.holds(key));
    let members = members.ok_or(JoinError::NotAMember)?;
    let root = snapshot.root();
    let digest = executed.records.last().map_or(B256::ZERO, |record| record.digest);
    let others = members.iter().filter(|key| *key != giver && !context.enclave.holds(key));
    let request = messages::encode(&RootRequest { group: group.0, block: until.into() });
    let asks = others.map(|key| {
        let request = request.clone();
        async move {
            let ask = context.enclave.ask(me, key, messages::ROOT, request);
            let reply = tokio::time::timeout(ROOT_WAIT, ask).await.ok()?.ok()?;
            messages::decode::<RootReply>(&reply).ok()
        }
    });
    let replies: Vec<RootReply> =
        futures::future::join_all(asks).await.into_iter().flatten().collect();
    let answered = replies.len() + 1;
    let agree =
        1 + replies.iter().filter(|reply| reply.root == root && reply.digest == digest).count();
    if agree < answered {
        tracing::error!(%group, agree, answered, "alarm: members disagree about the state root of a group");
    }
    if agree * 2 > answered { Ok(()) } else { Err(JoinError::MembersDisagree { agree, answered }) }
}

impl TakenOver {
    /// What replaces the group's records.
    pub(super) fn group_history(&self) -> GroupHistory {
        let Executed { records, record_facts, receipts, decisions, snapshot, facts: _, reads: _ } =
            self.executed.clone();
        GroupHistory {
            group: self.history.group,
            records,
            facts: record_facts,
            receipts,
            decisions,
            snapshot,
            meta: Vec::new(),
        }
    }
}

/// What the block after a history starts with.
pub(super) fn last_start(history: &GroupHistory, state: &State) -> Start {
    let snapshot = history.snapshot.clone().unwrap_or_else(|| state.snapshot(EMPTY_ROOT));
    Start { group: history.group, record: history.records.last().cloned().map(Arc::new), snapshot }
}

/// Adds to a history what a later block gave; what the next one starts with.
pub(super) fn append(
    history: &mut GroupHistory,
    result: RunResult,
    before: (Option<Arc<GroupBlock>>, Snapshot),
    at: BlockRef,
    decisions: Vec<(PayloadKey, Decision)>,
) -> Start {
    let mut executed = Executed::default();
    let start = executed.push(history.group, result, before, at, decisions);
    history.records.extend(executed.records);
    history.facts.extend(executed.record_facts);
    history.receipts.extend(executed.receipts);
    history.decisions.extend(executed.decisions);
    history.snapshot = start.record.is_some().then(|| start.snapshot.clone());
    start
}

#[derive(RlpEncodable, RlpDecodable)]
struct Stored {
    group: B256,
    since: WireBlock,
    givers: Vec<alloy_primitives::Bytes>,
}

/// Where joining groups are remembered.
const STORED_KEY: &[u8] = b"joining";

/// Groups that were joining when the node stopped.
pub(super) fn load(state: &State) -> Result<BTreeMap<GroupId, Joining>, StateError> {
    let Some(bytes) = state.meta(STORED_KEY)? else { return Ok(BTreeMap::new()) };
    let stored: Vec<Stored> = alloy_rlp::decode_exact(&bytes)
        .map_err(|_| StateError::Corrupt(Corruption::BadRecord(Table::Meta)))?;
    let joining = |stored: Stored| {
        let givers =
            stored.givers.iter().filter_map(|key| EnclaveKey::from_slice(key).ok()).collect();
        (GroupId(stored.group), Joining { since: stored.since.into(), givers })
    };
    Ok(stored.into_iter().map(joining).collect())
}

/// Remembers the joining groups.
pub(super) fn write(joining: &BTreeMap<GroupId, Joining>) -> (Vec<u8>, Option<Vec<u8>>) {
    let stored = |(group, joining): (&GroupId, &Joining)| Stored {
        group: group.0,
        since: joining.since.into(),
        givers: joining.givers.iter().map(|key| key.as_slice().to_vec().into()).collect(),
    };
    let stored: Vec<Stored> = joining.iter().map(stored).collect();
    (STORED_KEY.to_vec(), (!stored.is_empty()).then(|| alloy_rlp::encode(&stored)))
}
