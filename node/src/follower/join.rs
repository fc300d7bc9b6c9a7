//! Takes over a group's history from another member (design, 2.4).
//!
//! A task for each group asks a giver for the history, checks every entry against the chain and
//! its own signature, executes all of it from the group's first marker, and compares the root with
//! those of the members that answer. It changes nothing: the follower installs what it brings.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use alloy_primitives::{Address, B256};
use alloy_rlp::{RlpDecodable, RlpEncodable};
use coterie_core::{EnclaveKey, GroupId, NetworkDefinition, PayloadKey, marker::Marker};
use parking_lot::Mutex;
use rayon::prelude::*;
use tokio::sync::{mpsc, watch};

use super::{
    driver::Taken,
    prepare::{Opened, Preparer},
    run::{GroupRun, RunResult, Start},
    seen,
    sort::Item,
    source::ParentState,
};
use crate::{
    chain::{Block, BlockId, BlockRef, Chain, ChainError, Header, PublicRead, PublicValue},
    enclave::{
        AcceptedHistory, AskError, Enclave, EnclaveUnavailable, HistoryEntry, Payload,
        SealedPayload, open_sealed,
    },
    executor::{Executor, Fault, GroupFacts, PublicReads},
    service::messages::{self, HistoryPage, HistoryRequest, RootReply, RootRequest, WireBlock},
    state::{
        Corruption, Decision, EMPTY_ROOT, GroupBlock, GroupHistory, Receipt, Snapshot, State,
        StateError,
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
/// Bytes of ciphertext in one history; less when it was only offered: then nothing on the chain
/// says that it is wanted.
const BYTES_MAX: usize = 4 << 30;
const OFFERED_BYTES_MAX: usize = 256 << 20;

/// A group that waits for its history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Joining {
    /// The block with the addition.
    pub(super) since: BlockRef,
    /// Whom to ask, first one first.
    pub(super) givers: Vec<EnclaveKey>,
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
}

/// A history, executed and compared.
#[derive(Debug)]
pub(super) struct TakenOver {
    pub(super) history: AcceptedHistory,
    pub(super) payloads: Vec<SealedPayload>,
    pub(super) reads: Vec<(BlockRef, Vec<(PublicRead, PublicValue)>)>,
    executed: Executed,
}

/// What executing a history gave.
#[derive(Clone, Debug, Default)]
struct Executed {
    records: Vec<GroupBlock>,
    receipts: Vec<(BlockRef, Receipt)>,
    decisions: Vec<(PayloadKey, Decision)>,
    snapshot: Option<Snapshot>,
    /// What the group was before and after the last block.
    facts: Option<(Arc<GroupFacts>, Arc<GroupFacts>)>,
}

/// No giver could help.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) group: GroupId,
    pub(super) error: JoinError,
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
    (group, since, givers): (GroupId, BlockRef, Givers),
    finite: bool,
    taken: mpsc::Sender<Taken>,
) -> tokio::task::AbortHandle {
    let task = async move {
        let result = attempts(&context, group, since, &givers, finite).await;
        // The follower may have stopped.
        let _ = taken.send(result.map_err(|error| Failed { group, error })).await;
    };
    tokio::spawn(task).abort_handle()
}

/// Asks one giver after the other, for ever unless `finite`.
async fn attempts(
    context: &JoinContext,
    group: GroupId,
    since: BlockRef,
    named: &Givers,
    finite: bool,
) -> Result<TakenOver, JoinError> {
    let mut pause = if finite { context.retry } else { PAUSE_MIN.min(context.retry) };
    let bytes_max = if finite { OFFERED_BYTES_MAX } else { BYTES_MAX };
    for attempt in 1_u32.. {
        let mut last = JoinError::NobodyToAsk;
        let asked = named.lock().clone();
        for giver in givers(context, group, asked)? {
            for me in askers(context, group) {
                match take_over(context, (group, since), &giver, &me, bytes_max).await {
                    Ok(taken) => return Ok(taken),
                    Err(error) => {
                        tracing::warn!(%group, %giver, %error, "a history was not taken over");
                        last = error;
                    }
                }
            }
        }
        if finite && attempt >= ATTEMPTS_MAX {
            return Err(last);
        }
        // A new block may be what the giver waits for.
        let mut followed = context.followed.clone();
        followed.mark_unchanged();
        let _ = tokio::time::timeout(pause, followed.changed()).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
    Err(JoinError::NobodyToAsk)
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

/// A history as it came, decoded.
struct Fetched {
    until: BlockRef,
    root: B256,
    entries: Vec<(HistoryEntry, SealedPayload)>,
    reads: Vec<(BlockRef, Vec<(PublicRead, PublicValue)>)>,
}

async fn take_over(
    context: &JoinContext,
    (group, since): (GroupId, BlockRef),
    giver: &EnclaveKey,
    me: &EnclaveKey,
    bytes_max: usize,
) -> Result<TakenOver, JoinError> {
    let fetched = fetch(context, group, (giver, me), bytes_max).await?;
    if fetched.until.number < since.number {
        return Err(JoinError::TooEarly { until: fetched.until.number, since: since.number });
    }
    wait_followed(context, fetched.until).await;
    let Fetched { until, root, entries, reads } = fetched;
    let entries = Arc::new(entries);
    let blocks = verify(context, (group, until), &entries).await?;
    let supplied = reads.iter().map(|(block, reads)| (block.hash, reads.clone())).collect();
    let executed = execute(context, group, blocks, supplied).await?;
    let ours = executed.snapshot.as_ref().map_or(EMPTY_ROOT, Snapshot::root);
    if ours != root {
        return Err(JoinError::GiverDisagrees { ours, theirs: root });
    }
    compare(context, group, until, &executed, giver, me).await?;
    let entries = Arc::try_unwrap(entries).unwrap_or_else(|shared| shared.to_vec());
    let (entries, payloads): (Vec<_>, Vec<_>) = entries.into_iter().unzip();
    let history = AcceptedHistory { group, until, entries, recipient: me.clone() };
    Ok(TakenOver { history, payloads, reads, executed })
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
    let entries = Arc::new(entries);
    let blocks = verify(context, (history.group, history.until), &entries).await?;
    let executed = execute(context, history.group, blocks, BTreeMap::new()).await?;
    let payloads = entries.iter().map(|(_, sealed)| sealed.clone()).collect();
    Ok(TakenOver { history, payloads, reads: Vec::new(), executed })
}

async fn fetch(
    context: &JoinContext,
    group: GroupId,
    (giver, me): (&EnclaveKey, &EnclaveKey),
    bytes_max: usize,
) -> Result<Fetched, JoinError> {
    let mut bytes = 0_usize;
    let mut until: Option<WireBlock> = None;
    let mut fetched = Fetched {
        until: BlockRef { number: 0, hash: B256::ZERO },
        root: EMPTY_ROOT,
        entries: vec![],
        reads: vec![],
    };
    loop {
        let from = u64::try_from(fetched.entries.len()).unwrap_or(u64::MAX);
        let request = HistoryRequest { group: group.0, from, until: until.into_iter().collect() };
        let reply =
            context.enclave.ask(me, giver, messages::HISTORY, messages::encode(&request)).await?;
        let page: HistoryPage = messages::decode(&reply).map_err(|_| JoinError::Undecodable)?;
        if page.total > ENTRIES_MAX {
            return Err(JoinError::TooLong(page.total));
        }
        if until.is_some_and(|until| until != page.until) {
            return Err(JoinError::Inconsistent);
        }
        until = Some(page.until);
        (fetched.until, fetched.root) = (page.until.into(), page.root);
        let empty = page.entries.is_empty();
        for entry in page.entries {
            bytes = bytes.saturating_add(entry.cipher_text.len());
            if bytes > bytes_max {
                return Err(JoinError::TooLarge(bytes_max));
            }
            fetched.entries.push(entry.unpack().ok_or(JoinError::Undecodable)?);
        }
        for reads in page.reads {
            let values: Option<Vec<_>> =
                reads.reads.into_iter().map(messages::WireRead::unpack).collect();
            fetched.reads.push((reads.block.into(), values.ok_or(JoinError::Undecodable)?));
        }
        let have = u64::try_from(fetched.entries.len()).unwrap_or(u64::MAX);
        if have >= page.total {
            return Ok(fetched);
        }
        if empty {
            return Err(JoinError::Inconsistent);
        }
    }
}

/// Waits, not too long, until our follower is where the history ends.
async fn wait_followed(context: &JoinContext, until: BlockRef) {
    let mut followed = context.followed.clone();
    let there =
        followed.wait_for(|followed| followed.is_some_and(|block| block.number >= until.number));
    let _ = tokio::time::timeout(PAUSE_MAX, there).await;
}

/// One block of a history.
struct HistoryBlock {
    header: Header,
    items: Vec<Item>,
}

/// Checks that every entry is what the chain's markers name, and prepares it.
async fn verify(
    context: &JoinContext,
    (group, until): (GroupId, BlockRef),
    entries: &Arc<Vec<(HistoryEntry, SealedPayload)>>,
) -> Result<Vec<HistoryBlock>, JoinError> {
    let opened = open(context, entries).await?;
    let mut ids = HashSet::new();
    let mut blocks: Vec<HistoryBlock> = Vec::new();
    let mut fetched: Option<Block> = None;
    let mut last: Option<(u64, u64)> = None;
    for (at, ((entry, _), opened)) in entries.iter().zip(opened).enumerate() {
        let wrong = |what| JoinError::Entry { at, key: entry.key, what };
        let (payload, opened) =
            opened.ok_or_else(|| wrong("it does not open, or has not the form of the rules"))?;
        if payload.key != entry.key {
            return Err(wrong("the ciphertext's hash is not the id"));
        }
        check_opened(&opened, group).map_err(wrong)?;
        if !ids.insert(entry.key) {
            return Err(wrong("it is listed twice"));
        }
        if entry.block.number > until.number {
            return Err(wrong("it is beyond the end of the history"));
        }
        if last.is_some_and(|last| last >= (entry.block.number, entry.index)) {
            return Err(wrong("it is out of order"));
        }
        last = Some((entry.block.number, entry.index));
        let marker = marker_on_chain(context, entry, payload.marker_signer, &mut fetched)
            .await?
            .ok_or_else(|| wrong("the chain has no such marker of its signer there"))?;
        let item = Item { index: entry.index, marker, prepared: opened, from_history: true };
        match blocks.last_mut() {
            Some(block) if block.header.hash == entry.block.hash => block.items.push(item),
            _ => {
                let header = match &fetched {
                    Some(block) if block.header.hash == entry.block.hash => block.header.clone(),
                    _ => match context.state.header(entry.block.hash)? {
                        Some(header) => header,
                        None => {
                            fetch_block(context, entry.block)
                                .await?
                                .ok_or_else(|| wrong("unknown block"))?
                                .header
                        }
                    },
                };
                blocks.push(HistoryBlock { header, items: vec![item] });
            }
        }
    }
    Ok(blocks)
}

/// A payload of a history, prepared; `None` when it does not open.
type OpenedEntry = Option<(Payload, Arc<Opened>)>;

/// Opens and prepares all entries, in parallel, off the threads that answer requests.
async fn open(
    context: &JoinContext,
    entries: &Arc<Vec<(HistoryEntry, SealedPayload)>>,
) -> Result<Vec<OpenedEntry>, JoinError> {
    let (entries, preparer) = (Arc::clone(entries), Arc::clone(&context.preparer));
    let open = move || {
        let open = |(_, sealed): &(HistoryEntry, SealedPayload)| {
            let payload = open_sealed(sealed)?;
            let opened = preparer.prepare(&payload);
            Some((payload, opened))
        };
        entries.par_iter().map(open).collect()
    };
    tokio::task::spawn_blocking(open).await.map_err(|_| JoinError::Panicked)
}

/// Whether a payload is a private transaction of the group, from the enclave that it names.
fn check_opened(opened: &Opened, group: GroupId) -> Result<(), &'static str> {
    match opened {
        Opened::Ready(prepared) if prepared.group == group => Ok(()),
        Opened::Ready(_) => Err("it belongs to another group"),
        Opened::Undecodable => Err("it is not a private transaction"),
        Opened::NotFromSender(_) => Err("privateFrom did not sign it for its marker's signer"),
    }
}

/// The hash of the marker that `entry` names, if the chain has it there; looked up in what we
/// followed, then on the chain.
async fn marker_on_chain(
    context: &JoinContext,
    entry: &HistoryEntry,
    signer: Address,
    fetched: &mut Option<Block>,
) -> Result<Option<B256>, JoinError> {
    if let Some(seen) = seen::first(&context.state, entry.key, signer)? {
        let place = (entry.block.number, entry.index);
        if seen.block == entry.block && seen.index == entry.index {
            return Ok(Some(seen.marker));
        }
        if (seen.block.number, seen.index) < place {
            // The signer's first marker decides, and this is not it.
            return Ok(None);
        }
    }
    if fetched.as_ref().is_none_or(|block| block.header.hash != entry.block.hash) {
        *fetched = fetch_block(context, entry.block).await?;
    }
    let marker = fetched
        .as_ref()
        .and_then(|block| block.markers.iter().find(|marker| marker.index == entry.index));
    Ok(marker
        .filter(|marker| {
            let rules = context.definition.rules;
            let names = |parsed: Marker| parsed.payload_under(rules) == Some(entry.key);
            Marker::parse(&marker.input).is_ok_and(names)
        })
        .filter(|marker| signer == Address::ZERO || marker.from == signer)
        .map(|marker| marker.hash))
}

/// A block by hash, if it is canonical.
async fn fetch_block(context: &JoinContext, at: BlockRef) -> Result<Option<Block>, JoinError> {
    let canonical = match context.state.canonical(at.number)? {
        Some(hash) => Some(hash),
        None => context.chain.block_ref(BlockId::Number(at.number)).await?.map(|block| block.hash),
    };
    if canonical != Some(at.hash) {
        return Ok(None);
    }
    Ok(context
        .chain
        .block(BlockId::Hash(at.hash))
        .await?
        .filter(|block| block.header.number == at.number))
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
        let at = super::driver::block_ref(&header);
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
        let Executed { records, receipts, decisions, snapshot, facts: _ } = self.executed.clone();
        GroupHistory {
            group: self.history.group,
            records,
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
