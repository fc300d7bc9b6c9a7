//! Private state at a block, as every use case sees it.

use std::{collections::HashMap, fmt, sync::Arc};

use alloy_primitives::B256;
use coterie_core::{EnclaveKey, GroupId, NetworkDefinition, PayloadKey, access::Relation};
use parking_lot::Mutex;
use quick_cache::sync::Cache;
use tokio::{runtime::Handle, sync::Semaphore};

use super::{ReadError, following::Following};
use crate::{
    chain::{BlockId, BlockRef, Chain, ChainError, Header, PublicRead, PublicValue},
    enclave::Enclave,
    executor::{Executor, Fault, GroupFacts, PublicReads},
    state::{Decision, EMPTY_ROOT, GroupBlock, Receipt, Snapshot, State, StateError},
};

/// Facts of this many states are remembered.
const FACTS_MAX: usize = 4096;
/// What this many keys are to groups is remembered.
const RELATIONS_MAX: usize = 16_384;
/// Executions that run at the same time for callers, at most; further ones wait. Far fewer than there
/// are threads for what blocks, which following needs too.
const EXECUTIONS_MAX: usize = 64;
/// Records read from the store at a time.
const RECORDS_PAGE: usize = 256;

/// A group, a key, the followed head's hash, and the state's epoch.
type RelationKey = (GroupId, EnclaveKey, B256, u64);

/// What the use cases read from. Cheap to clone.
#[derive(Clone)]
pub struct View {
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
    /// How far the follower is.
    pub following: Following,
    facts: Arc<Cache<B256, Arc<GroupFacts>>>,
    /// What keys are to groups at a followed head, in an epoch of the state.
    pub(super) relations: Arc<Cache<RelationKey, Relation>>,
    /// Places for executions. One that nobody waits for any more still takes its place: it cannot be
    /// stopped.
    executions: Arc<Semaphore>,
}

/// A group at a block.
#[derive(Clone, Debug)]
pub(super) struct GroupView {
    /// Its last record up to the block.
    pub(super) record: Arc<GroupBlock>,
    /// Its state after the block.
    pub(super) snapshot: Snapshot,
}

/// A group's records, ascending, page by page.
#[derive(Debug)]
pub(super) struct RecordPages {
    state: State,
    group: GroupId,
    /// Where the next page begins; `None` after the last.
    from: Option<u64>,
    to: u64,
}

impl RecordPages {
    /// The next records; `None` when there are no more.
    pub(super) fn next(&mut self) -> Result<Option<Vec<GroupBlock>>, StateError> {
        let Some(from) = self.from else { return Ok(None) };
        let records = self.state.group_blocks(self.group, from, self.to, RECORDS_PAGE)?;
        let full = records.len() == RECORDS_PAGE;
        self.from =
            records.last().filter(|_| full).and_then(|last| last.block.number.checked_add(1));
        Ok((!records.is_empty()).then_some(records))
    }
}

impl View {
    /// Puts the parts together.
    pub fn new(
        (chain, enclave): (Arc<dyn Chain>, Arc<dyn Enclave>),
        state: State,
        executor: Executor,
        definition: Arc<NetworkDefinition>,
        following: Following,
    ) -> Self {
        Self {
            chain,
            enclave,
            state,
            executor,
            definition,
            following,
            facts: Arc::new(Cache::new(FACTS_MAX)),
            relations: Arc::new(Cache::new(RELATIONS_MAX)),
            executions: Arc::new(Semaphore::new(EXECUTIONS_MAX)),
        }
    }

    /// The last followed block.
    pub fn followed(&self) -> Option<BlockRef> {
        *self.following.followed.borrow()
    }

    /// Whether blocks up to this number are followed, and told as such.
    pub(super) fn is_followed(&self, number: u64) -> bool {
        self.followed().is_some_and(|head| number <= head.number)
    }

    /// Whether the group waits for its history.
    pub fn is_joining(&self, group: GroupId) -> bool {
        self.following.joining.borrow().binary_search(&group).is_ok()
    }

    /// The followed block that `id` names; `None` when there is none.
    pub(super) async fn block(&self, id: BlockId) -> Result<Option<BlockRef>, ReadError> {
        let Some(followed) = self.followed() else {
            self.following.check()?;
            return Ok(None);
        };
        let number = match id {
            BlockId::Latest => return Ok(Some(followed)),
            BlockId::Number(number) => number,
            BlockId::Hash(hash) => match self.state.header(hash)? {
                Some(header) => header.number,
                None => return Ok(None),
            },
            BlockId::Finalized | BlockId::Safe => match self.chain.block_ref(id).await? {
                Some(block) => block.number.min(followed.number),
                None => return Ok(None),
            },
        };
        if number > followed.number {
            return Ok(None);
        }
        let hash = match self.state.canonical(number)? {
            Some(hash) => hash,
            // Before the first followed block private state is empty, but the block is there.
            None => match self.chain.block_ref(BlockId::Number(number)).await? {
                Some(block) => block.hash,
                None => return Ok(None),
            },
        };
        let block = BlockRef { number, hash };
        Ok(if let BlockId::Hash(asked) = id {
            (asked == hash).then_some(block)
        } else {
            Some(block)
        })
    }

    /// The header of a block that [`Self::block`] gave.
    pub(super) async fn header(&self, block: BlockRef) -> Result<Header, ReadError> {
        if let Some(header) = self.state.header(block.hash)? {
            return Ok(header);
        }
        let fetched = self.chain.block(BlockId::Hash(block.hash)).await?;
        Ok(fetched.ok_or(ReadError::BlockUnknown)?.header)
    }

    /// The group after block `number`; `None` when it was not known then.
    pub(super) fn group(
        &self,
        group: GroupId,
        number: u64,
    ) -> Result<Option<GroupView>, StateError> {
        let Some(record) = self.state.group_at(group, number)? else { return Ok(None) };
        let latest = self.state.group_snapshot(group);
        // The latest state is in memory; older ones are read as far as they are needed.
        let snapshot =
            if latest.root() == record.root { latest } else { self.state.snapshot(record.root) };
        Ok(Some(GroupView { record, snapshot }))
    }

    /// The group at the followed head.
    pub(super) fn group_at_head(&self, group: GroupId) -> Result<Option<GroupView>, StateError> {
        match self.followed() {
            Some(followed) => self.group(group, followed.number),
            None => Ok(None),
        }
    }

    /// The receipt of a marker in a block up to the followed head. What is committed and not told
    /// yet is not there: members are judged as of the head, and would be judged too early.
    pub(super) fn receipt(&self, marker: B256) -> Result<Option<(BlockRef, Receipt)>, StateError> {
        let found = self.state.receipt(marker)?;
        Ok(found.filter(|(block, _)| self.is_followed(block.number)))
    }

    /// Which marker decided a payload, up to the followed head: see [`Self::receipt`].
    pub(super) fn decided(&self, payload: PayloadKey) -> Result<Option<Decision>, StateError> {
        Ok(self.state.decided(payload)?.filter(|it| self.is_followed(it.block.number)))
    }

    /// The group's records from block `from` to `to`.
    pub(super) fn records(&self, group: GroupId, from: u64, to: u64) -> RecordPages {
        RecordPages { state: self.state.clone(), group, from: Some(from), to }
    }

    /// What the group checks judge by, in the state of `view`.
    pub(super) async fn facts(&self, view: &GroupView) -> Result<Arc<GroupFacts>, ReadError> {
        let root = view.snapshot.root();
        if root == EMPTY_ROOT {
            return Ok(Arc::new(GroupFacts::before_creation()));
        }
        if let Some(facts) = self.facts.get(&root) {
            return Ok(facts);
        }
        let header = self.header(view.record.block).await?;
        let (executor, snapshot) = (self.executor.clone(), view.snapshot.clone());
        let parent = header.parent_hash;
        let facts = self.execute(parent, move |reads| executor.facts(&snapshot, &header, reads));
        let facts = facts.await?;
        self.facts.insert(root, Arc::clone(&facts));
        Ok(facts)
    }

    /// Runs private code, which asks for public state after block `at` as it needs it. On a thread
    /// of its own, since it may compute for long and waits for the chain.
    ///
    /// # Errors
    ///
    /// Private state or the chain failed.
    pub(super) async fn execute<T: Send + 'static>(
        &self,
        at: B256,
        work: impl FnOnce(&PublicReads) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, ReadError> {
        self.execute_with(HashMap::new(), at, work).await
    }

    /// Runs what was run when block `header` was followed for the group: what was read of public
    /// state then is answered from where it was kept, since the chain may have pruned it.
    ///
    /// # Errors
    ///
    /// As for [`Self::execute`], or the enclave failed.
    pub(super) async fn execute_again<T: Send + 'static>(
        &self,
        group: GroupId,
        header: &Header,
        work: impl FnOnce(&PublicReads) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, ReadError> {
        let recorded = self.enclave.recorded_reads(group, header.hash).await?;
        self.execute_with(recorded.into_iter().collect(), header.parent_hash, work).await
    }

    async fn execute_with<T: Send + 'static>(
        &self,
        recorded: HashMap<PublicRead, PublicValue>,
        at: B256,
        work: impl FnOnce(&PublicReads) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, ReadError> {
        let (chain, runtime) = (Arc::clone(&self.chain), Handle::current());
        let failure = Arc::new(Mutex::new(None));
        let failed = Arc::clone(&failure);
        let source = move |read| {
            if let Some(value) = recorded.get(&read) {
                return Some(value.clone());
            }
            match runtime.block_on(chain.read(at, &[read])) {
                Ok(mut values) => values.pop(),
                Err(error) => {
                    *failed.lock() = Some(error);
                    None
                }
            }
        };
        let reads = PublicReads::with_source(Arc::new(source));
        let unavailable = ChainError::incomplete;
        // Never closed.
        let place = Arc::clone(&self.executions).acquire_owned().await.ok();
        let work = move || {
            let done = work(&reads);
            drop(place);
            done
        };
        let done = match tokio::task::spawn_blocking(work).await {
            Ok(done) => done,
            Err(ended) if ended.is_panic() => std::panic::resume_unwind(ended.into_panic()),
            Err(_) => return Err(unavailable("the node is stopping".into()).into()),
        };
        done.map_err(|fault| match fault {
            Fault::State(error) => error.into(),
            Fault::Missing(read) => {
                let unanswered = || unavailable(format!("it answered nothing to {read:?}"));
                failure.lock().take().unwrap_or_else(unanswered).into()
            }
        })
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("View")
    }
}
