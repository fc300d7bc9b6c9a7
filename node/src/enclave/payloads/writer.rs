//! The thread that writes: what waits goes into one transaction, so that many payloads share one
//! sync of the disk.

use std::collections::BTreeMap;

use alloy_primitives::B256;
use coterie_core::{GroupId, PayloadKey};
use parking_lot::Mutex;
use redb::{Database, ReadableDatabase, ReadableTable, WriteTransaction};
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    BRANCH, CODES, Damaged, HISTORIES, META, OpenStoreError, PAYLOADS, PROBATION, Probation, READS,
    REORGS, SCHEMA, State,
    position::{BRANCH_BLOCKS_MAX, Changes, Position},
    records::{self, ProbationRow},
};
use crate::enclave::AcceptedHistory;

/// Commands that share a transaction at most.
const BATCH_MAX: usize = 4096;

/// A change of a row.
pub(super) enum Change {
    /// Sets a payload's row.
    Put(PayloadKey, Vec<u8>),
    /// Removes a payload.
    Drop(PayloadKey),
    /// Starts or ends a payload's probation.
    Probation(PayloadKey, Option<ProbationRow>),
    /// Sets a group's history.
    History(Box<AcceptedHistory>),
}

/// Changes that belong together. Without any: writes what the state holds unsaved.
pub(super) struct Command {
    pub(super) changes: Vec<Change>,
    /// The rows whose readers wait for this command.
    pub(super) pending: Vec<PayloadKey>,
    /// They wait until this is dropped.
    pub(super) _hold: watch::Sender<()>,
    /// Told when it is durable; dropped when it failed.
    pub(super) done: oneshot::Sender<()>,
}

pub(super) fn reads_key(group: GroupId, block: B256) -> [u8; 64] {
    let mut key = [0; 64];
    for (to, from) in key.iter_mut().zip(group.0.iter().chain(block.iter())) {
        *to = *from;
    }
    key
}

/// Writes until all senders are gone, then a last time.
pub(super) fn run(
    database: &Database,
    state: &Mutex<State>,
    mut commands: mpsc::UnboundedReceiver<Command>,
) {
    while let Some(first) = commands.blocking_recv() {
        let mut batch = vec![first];
        while batch.len() < BATCH_MAX
            && let Ok(next) = commands.try_recv()
        {
            batch.push(next);
        }
        if !write(database, state, batch) {
            return;
        }
    }
    write(database, state, Vec::new());
}

/// Writes a batch; `false` when the store has to stop.
fn write(database: &Database, state: &Mutex<State>, batch: Vec<Command>) -> bool {
    let (changes, reads) = {
        let mut state = state.lock();
        (state.position.take_changes(), state.reads.clone())
    };
    let result = commit(database, &batch, &changes, &reads);
    let mut state = state.lock();
    for key in batch.iter().flat_map(|command| &command.pending) {
        state.pending.remove(key);
    }
    match result {
        Ok(()) => {
            // What was recorded meanwhile stays for the next write.
            state.reads.retain(|id, now| {
                !reads.get(id).is_some_and(|written| std::sync::Arc::ptr_eq(written, now))
            });
            drop(state);
            for command in batch {
                let _ = command.done.send(());
            }
            true
        }
        Err(error) => {
            tracing::error!(%error, "the payload store cannot be written: restart the node");
            state.stopped = true;
            false
        }
    }
}

fn commit(
    database: &Database,
    batch: &[Command],
    changes: &Changes,
    reads: &BTreeMap<(GroupId, B256), std::sync::Arc<super::Reads>>,
) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    write_position(&transaction, changes)?;
    {
        let mut payloads = transaction.open_table(PAYLOADS)?;
        let mut probation = transaction.open_table(PROBATION)?;
        for change in batch.iter().flat_map(|command| &command.changes) {
            match change {
                Change::Put(key, row) => drop(payloads.insert(&key.0.0, row.as_slice())?),
                Change::Drop(key) => drop(payloads.remove(&key.0.0)?),
                Change::Probation(key, Some(row)) => {
                    drop(probation.insert(&key.0.0, records::encode_probation(row).as_slice())?);
                }
                Change::Probation(key, None) => drop(probation.remove(&key.0.0)?),
                Change::History(history) => {
                    let row = records::encode_history(history);
                    transaction
                        .open_table(HISTORIES)?
                        .insert(&history.group.0.0, row.as_slice())?;
                }
            }
        }
    }
    if !reads.is_empty() {
        let mut table = transaction.open_table(READS)?;
        let mut known = transaction.open_table(CODES)?;
        for ((group, block), values) in reads {
            let mut codes = Vec::new();
            let row = records::encode_reads(values, &mut codes);
            table.insert(&reads_key(*group, *block), row.as_slice())?;
            for (hash, code) in codes {
                if known.get(&hash.0)?.is_none() {
                    known.insert(&hash.0, code.as_ref())?;
                }
            }
        }
    }
    transaction.commit()?;
    Ok(())
}

fn write_position(transaction: &WriteTransaction, changes: &Changes) -> Result<(), redb::Error> {
    transaction
        .open_table(META)?
        .insert("position", records::encode_head(changes.head).as_slice())?;
    if let Some(from) = changes.branch_from {
        let mut table = transaction.open_table(BRANCH)?;
        let oldest = changes.head.map_or(0, |head| head.number.saturating_sub(BRANCH_BLOCKS_MAX));
        table.retain_in(from.., |_, _| false)?;
        table.retain_in(..oldest, |_, _| false)?;
        for (number, hash) in &changes.branch {
            table.insert(number, &hash.0)?;
        }
    }
    if !changes.reorgs.is_empty() {
        let mut table = transaction.open_table(REORGS)?;
        for (index, reorg) in &changes.reorgs {
            table.insert(index, records::encode_reorg(reorg).as_slice())?;
        }
    }
    Ok(())
}

/// Creates what a new file lacks, and checks the schema of an old one.
pub(super) fn prepare(database: &Database) -> Result<(), OpenStoreError> {
    let failed = |error: redb::Error| OpenStoreError::Database(Box::new(error));
    let schema = create_tables(database).map_err(failed)?;
    match schema {
        Some(SCHEMA) => Ok(()),
        Some(other) => Err(OpenStoreError::Schema(other)),
        None => Err(Damaged("meta").into()),
    }
}

fn create_tables(database: &Database) -> Result<Option<u64>, redb::Error> {
    let transaction = database.begin_write()?;
    let schema = {
        let mut meta = transaction.open_table(META)?;
        let known =
            meta.get("schema")?.map(|row| row.value().try_into().ok().map(u64::from_be_bytes));
        match known {
            Some(schema) => schema,
            None => {
                meta.insert("schema", SCHEMA.to_be_bytes().as_slice())?;
                Some(SCHEMA)
            }
        }
    };
    if schema == Some(SCHEMA) {
        transaction.open_table(PAYLOADS)?;
        transaction.open_table(BRANCH)?;
        transaction.open_table(REORGS)?;
        transaction.open_table(PROBATION)?;
        transaction.open_table(HISTORIES)?;
        transaction.open_table(READS)?;
        transaction.open_table(CODES)?;
        transaction.commit()?;
    } else {
        transaction.abort()?;
    }
    Ok(schema)
}

/// Reads what is held in memory.
pub(super) fn load(database: &Database) -> Result<State, OpenStoreError> {
    let raw = load_rows(database).map_err(|error| OpenStoreError::Database(Box::new(error)))?;
    let head = raw.head.as_deref().map_or(Ok(None), records::decode_head)?;
    let mut reorgs = Vec::with_capacity(raw.reorgs.len());
    for row in &raw.reorgs {
        reorgs.push(records::decode_reorg(row)?);
    }
    let mut probation = Probation::default();
    for (key, row) in &raw.probation {
        probation.add(*key, records::decode_probation(row)?);
    }
    Ok(State {
        position: Position::restore(head, raw.branch, reorgs),
        probation,
        pending: BTreeMap::new(),
        reads: BTreeMap::new(),
        seen: Vec::new(),
        stopped: false,
    })
}

struct Rows {
    head: Option<Vec<u8>>,
    branch: BTreeMap<u64, B256>,
    reorgs: Vec<Vec<u8>>,
    probation: Vec<(PayloadKey, Vec<u8>)>,
}

fn load_rows(database: &Database) -> Result<Rows, redb::Error> {
    let transaction = database.begin_read()?;
    let head = transaction.open_table(META)?.get("position")?.map(|row| row.value().to_vec());
    let mut branch = BTreeMap::new();
    for row in transaction.open_table(BRANCH)?.iter()? {
        let (number, hash) = row?;
        branch.insert(number.value(), B256::new(*hash.value()));
    }
    let mut reorgs = Vec::new();
    for row in transaction.open_table(REORGS)?.iter()? {
        reorgs.push(row?.1.value().to_vec());
    }
    let mut probation = Vec::new();
    for row in transaction.open_table(PROBATION)?.iter()? {
        let (key, row) = row?;
        probation.push((PayloadKey(B256::new(*key.value())), row.value().to_vec()));
    }
    Ok(Rows { head, branch, reorgs, probation })
}
