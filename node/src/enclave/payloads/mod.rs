//! The payload store: the one thing of a node that cannot be computed again.
//!
//! It keeps envelopes as they came, what was decided when (position, reorgs), accepted histories
//! and recorded public reads, in one redb file. It does not open envelopes and does not judge
//! them; callers pass functions where contents matter. Lateness is the rule of design 2.2.
//!
//! # Format, schema 1
//!
//! Integers are big-endian. `block` = number u64 ‖ hash 32. `block?` = 0, or 1 ‖ block.
//! `field` = length u32 ‖ bytes.
//!
//! | table | key | value |
//! |---|---|---|
//! | `meta` | `schema` | u64: 1 |
//! | | `position` | block?: the last decided block |
//! | `payloads` | id 32 | block? (last decided block when stored) ‖ u64 (reorgs until then) ‖ envelope in the LEGACY codec |
//! | `branch` | number u64 | hash 32 of the decided block; the last 8192 only |
//! | `reorgs` | index u64 | block? (last common block) ‖ blocks left, ascending |
//! | `probation` | id 32 | u64 (last decided block's number when pushed last) ‖ sender key 32 ‖ u64 (bytes) ‖ 1 when the sender shared a group with us, else nothing: its marker was not seen yet |
//! | `histories` | group 32 | block (until) ‖ field (our key) ‖ entries: block ‖ u64 (index) ‖ id 32 |
//! | `reads` | group 32 ‖ block hash 32 | reads: 0 ‖ address 20, 1 ‖ address ‖ slot 32, or 2 ‖ u64 (number); each with its value: 0 ‖ nonce u64 ‖ balance 32 ‖ code hash 32 (zero: no code), 1 ‖ 32, or 2 ‖ 32 |
//! | `codes` | code hash 32 | code |
//!
//! Every transaction is durable when it is acknowledged, and carries the position, the branch and
//! the log of reorgs as they were when it began: a payload can never be on disk beside an older
//! position than it was stored at.

mod position;
mod probation;
mod records;
mod writer;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::Path,
    sync::Arc,
    thread::JoinHandle,
};

use alloy_primitives::{B256, Bytes};
use coterie_core::{EnclaveKey, GroupId, PayloadKey};
use parking_lot::Mutex;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, backends::InMemoryBackend};
use tokio::sync::{mpsc, oneshot, watch};

use self::{
    position::Position,
    probation::{NoRoom, Probation},
    records::ProbationRow,
    writer::{Change, Command},
};
pub use self::{probation::Retention, records::Damaged};
use super::AcceptedHistory;
use crate::chain::{BlockRef, PublicRead, PublicValue};

const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
const PAYLOADS: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("payloads");
const BRANCH: TableDefinition<'_, u64, &[u8; 32]> = TableDefinition::new("branch");
const REORGS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("reorgs");
const PROBATION: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("probation");
const HISTORIES: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("histories");
const READS: TableDefinition<'_, &[u8; 64], &[u8]> = TableDefinition::new("reads");
const CODES: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("codes");

const SCHEMA: u64 = 1;
/// Memory for redb's pages: payloads are read once, when they are followed, so more would not help.
const CACHE_BYTES: usize = 16 * 1024 * 1024;
/// Decided blocks that may wait for the next write.
const UNSAVED_BLOCKS_MAX: usize = 1024;
/// Recorded reads that may wait for the next write.
const UNSAVED_READS_MAX: usize = 4096;
/// Markers of co-members that are seen before the next write is made for them.
const UNSAVED_SEEN_MAX: usize = 4096;

/// The payload store cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenStoreError {
    /// The directory cannot be made, or the writer cannot be started.
    #[error("the payload store's directory or thread cannot be made")]
    Io(#[from] std::io::Error),
    /// The database refused.
    #[error("the payload store cannot be opened; if the file is damaged, bring back a backup")]
    Database(#[source] Box<redb::Error>),
    /// Another process has it open.
    #[error("the payload store is in use by another process: stop that one")]
    Locked,
    /// A row does not decode: restore the file from a backup.
    #[error(transparent)]
    Damaged(#[from] Damaged),
    /// Written by another version.
    #[error("the payload store has schema {0}, this version reads {SCHEMA}")]
    Schema(u64),
}

/// The payload store did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A write failed before: nothing is accepted until the node is restarted.
    #[error("the payload store stopped after a failed write: restart the node")]
    Stopped,
    /// Reading failed.
    #[error("the payload store cannot be read")]
    Database(#[source] Box<redb::Error>),
    /// A row does not decode.
    #[error(transparent)]
    Damaged(#[from] Damaged),
    /// The payload is known with other contents.
    #[error("the payload is known with other contents")]
    Conflict,
    /// Too much of this sender, or of strangers, is waiting for its marker.
    #[error("too many payloads are waiting for their markers")]
    NoRoom,
}

fn database(error: impl Into<redb::Error>) -> StoreError {
    StoreError::Database(Box::new(error.into()))
}

/// How long a payload is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// For ever.
    Forever,
    /// When this sender shares a group with us, for as long as it has room for it; else until its
    /// marker was not seen for a number of blocks. For ever once its marker was seen.
    AsSender([u8; 32]),
}

/// What to do with an envelope whose id may be known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Merge {
    /// Keep what is stored.
    Keep,
    /// Store these bytes.
    Write(Vec<u8>),
    /// Refuse: the contents differ.
    Conflict,
}

/// A stored envelope, as it is when a block is decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The envelope in the LEGACY codec.
    pub envelope: Bytes,
    /// Whether it was stored after the block was decided first.
    pub late: bool,
}

/// What a block's ids are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// In the order of the ids; `None` where nothing is stored.
    pub found: Vec<Option<Found>>,
    /// Whether something changed that must be durable before the decision is told.
    pub must_flush: bool,
}

/// Reads with the values they had.
pub type Reads = Vec<(PublicRead, PublicValue)>;

/// The payload store. Cheap to read; all writes go through one thread, which puts what waits into
/// one transaction.
pub struct PayloadStore {
    database: Arc<Database>,
    state: Arc<Mutex<State>>,
    retention: Retention,
    commands: Option<mpsc::UnboundedSender<Command>>,
    writer: Option<JoinHandle<()>>,
}

/// What arriving payloads and the follower's advance change under one lock.
struct State {
    position: Position,
    probation: Probation,
    /// Rows that are being written: their readers and writers wait.
    pending: BTreeMap<PayloadKey, watch::Receiver<()>>,
    /// Payloads whose marker was seen, which the next write notes.
    seen: Vec<PayloadKey>,
    /// Recorded reads that wait for the next write.
    reads: BTreeMap<(GroupId, B256), Arc<Reads>>,
    /// A write failed.
    stopped: bool,
}

impl PayloadStore {
    /// Opens or creates the store at `path`, with its directory.
    pub fn open(path: &Path, retention: Retention) -> Result<Self, OpenStoreError> {
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory)?;
        }
        let database = Database::builder().set_cache_size(CACHE_BYTES).create(path);
        let database = database.map_err(|error| {
            if matches!(error, redb::DatabaseError::DatabaseAlreadyOpen) {
                OpenStoreError::Locked
            } else {
                OpenStoreError::Database(Box::new(error.into()))
            }
        })?;
        Self::start(database, retention)
    }

    /// A store that is gone when it is dropped.
    pub fn in_memory(retention: Retention) -> Result<Self, OpenStoreError> {
        let database = Database::builder().create_with_backend(InMemoryBackend::new());
        Self::start(
            database.map_err(|error| OpenStoreError::Database(Box::new(error.into())))?,
            retention,
        )
    }

    fn start(database: Database, retention: Retention) -> Result<Self, OpenStoreError> {
        writer::prepare(&database)?;
        let state = Arc::new(Mutex::new(writer::load(&database)?));
        let database = Arc::new(database);
        let (commands, receiver) = mpsc::unbounded_channel();
        let writer = {
            let (database, state) = (Arc::clone(&database), Arc::clone(&state));
            let thread = std::thread::Builder::new().name("payload-writer".to_owned());
            thread.spawn(move || writer::run(&database, &state, receiver))?
        };
        Ok(Self { database, state, retention, commands: Some(commands), writer: Some(writer) })
    }

    /// The envelope of a payload; `None` when it is unknown or not durable yet.
    pub fn envelope(&self, key: PayloadKey) -> Result<Option<Bytes>, StoreError> {
        let row = self.row(PAYLOADS, &key.0.0)?;
        row.map(|row| Ok(Bytes::copy_from_slice(records::decode_payload(&row)?.1))).transpose()
    }

    /// Stores an envelope under `key`; durable when this returns. `merge` sees the stored envelope
    /// if there is one, and may be called again. Returns whether it was new.
    ///
    /// # Errors
    ///
    /// `Conflict` when `merge` says so, `NoRoom` when the sender has too much that is not marked.
    pub async fn insert(
        &self,
        key: PayloadKey,
        keep: Keep,
        merge: impl Fn(Option<&[u8]>) -> Merge,
    ) -> Result<bool, StoreError> {
        let (done, is_new) = loop {
            let wait = {
                let mut state = self.state.lock();
                state.check_running()?;
                match state.pending.get(&key) {
                    Some(pending) => pending.clone(),
                    None => match self.insert_now(&mut state, key, keep, &merge)? {
                        Some(begun) => break begun,
                        None => return Ok(false),
                    },
                }
            };
            settled(wait).await;
        };
        done.await.map_err(|_| StoreError::Stopped)?;
        Ok(is_new)
    }

    fn insert_now(
        &self,
        state: &mut State,
        key: PayloadKey,
        keep: Keep,
        merge: &impl Fn(Option<&[u8]>) -> Merge,
    ) -> Result<Option<(oneshot::Receiver<()>, bool)>, StoreError> {
        let row = self.row(PAYLOADS, &key.0.0)?;
        let known = row.as_deref().map(records::decode_payload).transpose()?;
        let written = match merge(known.map(|(_, envelope)| envelope)) {
            Merge::Keep => None,
            Merge::Write(envelope) => Some(envelope),
            Merge::Conflict => return Err(StoreError::Conflict),
        };
        let is_new = known.is_none() && written.is_some();
        let mut changes = Vec::new();
        match keep {
            Keep::Forever => {
                if state.probation.remove(&key) {
                    changes.push(Change::Probation(key, None));
                }
            }
            Keep::AsSender(sender) => {
                let bytes = written.as_ref().map_or(0, Vec::len) as u64;
                let row = self.pushed(state, key, sender, (is_new, bytes))?;
                changes.extend(row.map(|row| Change::Probation(key, Some(row))));
            }
        }
        let mut pending = Vec::new();
        if let Some(envelope) = written {
            let stored = known.map_or_else(|| state.position.now(), |(stored, _)| stored);
            changes.push(Change::Put(key, records::encode_payload(stored, &envelope)));
            pending.push(key);
        }
        if changes.is_empty() {
            return Ok(None);
        }
        Ok(Some((self.submit(state, pending, changes), is_new)))
    }

    /// Notes a push; makes room for it if need be.
    fn pushed(
        &self,
        state: &mut State,
        key: PayloadKey,
        sender: [u8; 32],
        payload: (bool, u64),
    ) -> Result<Option<ProbationRow>, StoreError> {
        let (number, retention) = (state.position.number(), &self.retention);
        if let Ok(row) = state.probation.pushed(key, sender, payload, number, retention) {
            return Ok(row);
        }
        let due = state.probation.take_due_of(&sender, number, retention.blocks);
        if !due.is_empty() {
            tracing::warn!(
                sender = %EnclaveKey::Nacl(sender), count = due.len(),
                "a co-member has too much that is not marked: the oldest of it is dropped"
            );
            self.drop_payloads(state, due);
        }
        let row = state.probation.pushed(key, sender, payload, number, retention);
        row.map_err(|NoRoom| StoreError::NoRoom)
    }

    fn drop_payloads(&self, state: &mut State, keys: Vec<PayloadKey>) {
        let changes =
            keys.iter().flat_map(|key| [Change::Drop(*key), Change::Probation(*key, None)]);
        let changes = changes.collect();
        drop(self.submit(state, keys, changes));
    }

    /// Puts a payload on probation, as one that may never be marked.
    pub fn doubt(&self, key: PayloadKey, sender: [u8; 32], bytes: u64) {
        let mut state = self.state.lock();
        let row = ProbationRow { since: state.position.number(), sender, bytes, co_member: false };
        state.probation.add(key, row);
        drop(self.submit(&mut state, Vec::new(), vec![Change::Probation(key, Some(row))]));
    }

    /// Looks a block's ids up and moves the position to the block, in one step with respect to
    /// arriving payloads. Waits for those of them that are being written.
    pub async fn decide(
        &self,
        block: BlockRef,
        keys: &[PayloadKey],
    ) -> Result<Decision, StoreError> {
        loop {
            let wait = {
                let mut state = self.state.lock();
                state.check_running()?;
                match keys.iter().find_map(|key| state.pending.get(key)) {
                    Some(pending) => pending.clone(),
                    None => return self.decide_now(&mut state, block, keys),
                }
            };
            settled(wait).await;
        }
    }

    fn decide_now(
        &self,
        state: &mut State,
        block: BlockRef,
        keys: &[PayloadKey],
    ) -> Result<Decision, StoreError> {
        // All reads first: a read that fails must leave the position where it is.
        let mut stored = Vec::with_capacity(keys.len());
        if !keys.is_empty() {
            let table = self
                .database
                .begin_read()
                .map_err(database)?
                .open_table(PAYLOADS)
                .map_err(database)?;
            for key in keys {
                let row = table.get(&key.0.0).map_err(database)?;
                let row =
                    row.as_ref().map(|row| records::decode_payload(row.value())).transpose()?;
                stored
                    .push(row.map(|(stored, envelope)| (stored, Bytes::copy_from_slice(envelope))));
            }
        }
        state.position.advance(block);
        let found = stored.into_iter().map(|row| {
            row.map(|(stored, envelope)| Found {
                envelope,
                late: state.position.is_late(stored, block),
            })
        });
        let found = found.collect();

        let mut must_flush = false;
        for key in keys {
            let Some(co_member) = state.probation.seen(key) else { continue };
            // A stranger's would be dropped after a crash if this were not on disk. A co-member's is
            // only counted, so that can wait.
            must_flush |= !co_member;
            state.seen.push(*key);
        }
        if must_flush || state.seen.len() > UNSAVED_SEEN_MAX {
            drop(self.submit(state, Vec::new(), Vec::new()));
        }
        let due = state.probation.take_due(block.number, self.retention.blocks);
        if !due.is_empty() {
            self.drop_payloads(state, due);
        }
        if state.position.unsaved_blocks() > UNSAVED_BLOCKS_MAX {
            drop(self.submit(state, Vec::new(), Vec::new()));
        }
        Ok(Decision { found, must_flush })
    }

    /// Records that the blocks above `common` were left; durable when this returns.
    pub async fn reorg(&self, common: BlockRef, orphaned: &[BlockRef]) -> Result<(), StoreError> {
        self.state.lock().position.reorg(common, orphaned);
        self.flush().await
    }

    /// Moves the position forward to a block that was decided before a restart.
    pub fn set_position_at_least(&self, head: BlockRef) {
        self.state.lock().position.at_least(head);
    }

    /// The last decided block.
    pub fn position(&self) -> Option<BlockRef> {
        self.state.lock().position.head()
    }

    /// Waits until everything that was decided or stored before is durable.
    pub async fn flush(&self) -> Result<(), StoreError> {
        let done = {
            let mut state = self.state.lock();
            state.check_running()?;
            self.submit(&mut state, Vec::new(), Vec::new())
        };
        done.await.map_err(|_| StoreError::Stopped)
    }

    /// Stores an accepted history with its payloads and reads in one transaction; durable when
    /// this returns. `merge` is asked for every payload, as in [`Self::insert`].
    pub async fn accept_history(
        &self,
        history: &AcceptedHistory,
        payloads: Vec<PayloadKey>,
        reads: Vec<(BlockRef, Reads)>,
        merge: impl Fn(&PayloadKey, Option<&[u8]>) -> Merge,
    ) -> Result<(), StoreError> {
        let done = loop {
            let wait = {
                let mut state = self.state.lock();
                state.check_running()?;
                match payloads.iter().find_map(|key| state.pending.get(key)) {
                    Some(pending) => pending.clone(),
                    None => {
                        let mut changes = vec![Change::History(Box::new(history.clone()))];
                        let mut written = Vec::with_capacity(payloads.len());
                        for key in &payloads {
                            let row = self.row(PAYLOADS, &key.0.0)?;
                            let known = row.as_deref().map(records::decode_payload).transpose()?;
                            let stored =
                                known.map_or_else(|| state.position.now(), |(stored, _)| stored);
                            match merge(key, known.map(|(_, envelope)| envelope)) {
                                Merge::Keep => {}
                                Merge::Conflict => return Err(StoreError::Conflict),
                                Merge::Write(envelope) => {
                                    changes.push(Change::Put(
                                        *key,
                                        records::encode_payload(stored, &envelope),
                                    ));
                                    written.push(*key);
                                }
                            }
                            if state.probation.remove(key) {
                                changes.push(Change::Probation(*key, None));
                            }
                        }
                        for (block, values) in &reads {
                            self.note_reads(&mut state, (history.group, block.hash), values)?;
                        }
                        break self.submit(&mut state, written, changes);
                    }
                }
            };
            settled(wait).await;
        };
        done.await.map_err(|_| StoreError::Stopped)
    }

    /// All accepted histories.
    pub fn histories(&self) -> Result<Vec<AcceptedHistory>, StoreError> {
        let table = self
            .database
            .begin_read()
            .map_err(database)?
            .open_table(HISTORIES)
            .map_err(database)?;
        let mut histories = Vec::new();
        for row in table.iter().map_err(database)? {
            let (group, history) = row.map_err(database)?;
            histories.push(records::decode_history(
                GroupId(B256::new(*group.value())),
                history.value(),
            )?);
        }
        Ok(histories)
    }

    /// Remembers reads beside those that are known of the group and block. Written with the next
    /// transaction: what a crash loses, the chain still has.
    pub fn record_reads(
        &self,
        group: GroupId,
        block: B256,
        reads: &[(PublicRead, PublicValue)],
    ) -> Result<(), StoreError> {
        if reads.is_empty() {
            return Ok(());
        }
        let mut state = self.state.lock();
        state.check_running()?;
        self.note_reads(&mut state, (group, block), reads)?;
        if state.reads.len() > UNSAVED_READS_MAX {
            drop(self.submit(&mut state, Vec::new(), Vec::new()));
        }
        Ok(())
    }

    fn note_reads(
        &self,
        state: &mut State,
        id: (GroupId, B256),
        reads: &[(PublicRead, PublicValue)],
    ) -> Result<(), StoreError> {
        let mut all = match state.reads.get(&id) {
            Some(unsaved) => unsaved.as_ref().clone(),
            None => self.saved_reads(id)?,
        };
        let mut places: HashMap<PublicRead, usize> =
            all.iter().enumerate().map(|(at, (read, _))| (*read, at)).collect();
        for (read, value) in reads {
            let next = all.len();
            match all.get_mut(*places.entry(*read).or_insert(next)) {
                Some((_, known)) => known.clone_from(value),
                None => all.push((*read, value.clone())),
            }
        }
        state.reads.insert(id, Arc::new(all));
        Ok(())
    }

    /// What was recorded of the group and block.
    pub fn recorded_reads(&self, group: GroupId, block: B256) -> Result<Reads, StoreError> {
        if let Some(unsaved) = self.state.lock().reads.get(&(group, block)) {
            return Ok(unsaved.as_ref().clone());
        }
        self.saved_reads((group, block))
    }

    fn saved_reads(&self, (group, block): (GroupId, B256)) -> Result<Reads, StoreError> {
        let transaction = self.database.begin_read().map_err(database)?;
        let table = transaction.open_table(READS).map_err(database)?;
        let codes = transaction.open_table(CODES).map_err(database)?;
        let Some(row) = table.get(&writer::reads_key(group, block)).map_err(database)? else {
            return Ok(Vec::new());
        };
        records::decode_reads(row.value(), |hash| {
            let code = codes.get(&hash.0).map_err(database)?;
            let code = code.ok_or(StoreError::Damaged(Damaged("codes")))?;
            Ok(Bytes::copy_from_slice(code.value()))
        })
    }

    /// Sets whose payloads are kept although their markers were not seen.
    pub fn set_co_members(&self, keys: HashSet<[u8; 32]>) {
        let mut state = self.state.lock();
        let moved = state.probation.set_co_members(keys);
        if !moved.is_empty() {
            let changes =
                moved.into_iter().map(|(key, row)| Change::Probation(key, Some(row))).collect();
            drop(self.submit(&mut state, Vec::new(), changes));
        }
    }

    /// Whether a payload is stored.
    pub fn contains(&self, key: PayloadKey) -> Result<bool, StoreError> {
        let table =
            self.database.begin_read().map_err(database)?.open_table(PAYLOADS).map_err(database)?;
        Ok(table.get(&key.0.0).map_err(database)?.is_some())
    }

    /// Whether this sender shares a group with us.
    pub fn is_co_member(&self, sender: &[u8; 32]) -> bool {
        self.state.lock().probation.is_co_member(sender)
    }

    /// Ids of all stored payloads, page by page: those after `after`.
    pub fn keys_after(
        &self,
        after: Option<PayloadKey>,
        count_max: usize,
    ) -> Result<Vec<PayloadKey>, StoreError> {
        use std::ops::Bound;
        let table =
            self.database.begin_read().map_err(database)?.open_table(PAYLOADS).map_err(database)?;
        let start = after.map_or(Bound::Unbounded, |key| Bound::Excluded(key.0.0));
        let start = start.as_ref();
        let mut keys = Vec::new();
        for row in
            table.range::<&[u8; 32]>((start, Bound::Unbounded)).map_err(database)?.take(count_max)
        {
            keys.push(PayloadKey(B256::new(*row.map_err(database)?.0.value())));
        }
        Ok(keys)
    }

    fn row(
        &self,
        table: TableDefinition<'_, &[u8; 32], &[u8]>,
        key: &[u8; 32],
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let table =
            self.database.begin_read().map_err(database)?.open_table(table).map_err(database)?;
        Ok(table.get(key).map_err(database)?.map(|row| row.value().to_vec()))
    }

    /// Hands changes to the writer; they are in its queue when this returns, so that a caller that
    /// goes away leaves nothing half done.
    fn submit(
        &self,
        state: &mut State,
        pending: Vec<PayloadKey>,
        mut changes: Vec<Change>,
    ) -> oneshot::Receiver<()> {
        changes.extend(state.seen.drain(..).map(|key| Change::Probation(key, None)));
        let (hold, held) = watch::channel(());
        for key in &pending {
            state.pending.insert(*key, held.clone());
        }
        let (done, wait) = oneshot::channel();
        if let Some(commands) = &self.commands {
            // A writer that has stopped drops the command, which the waiting caller sees.
            let _ = commands.send(Command { changes, pending, _hold: hold, done });
        }
        wait
    }
}

impl State {
    const fn check_running(&self) -> Result<(), StoreError> {
        if self.stopped { Err(StoreError::Stopped) } else { Ok(()) }
    }
}

impl Drop for PayloadStore {
    fn drop(&mut self) {
        // The writer ends when its queue does, after a last write of what was not written yet.
        drop(self.commands.take());
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the payload store's writer ended badly");
        }
    }
}

impl std::fmt::Debug for PayloadStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PayloadStore").field("position", &self.position()).finish_non_exhaustive()
    }
}

/// Waits until the rows that are being written are on disk (or the writer stopped).
async fn settled(mut wait: watch::Receiver<()>) {
    while wait.changed().await.is_ok() {}
}
