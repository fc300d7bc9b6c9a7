//! The store on disk: fjall, a log-structured store, one keyspace a table. A commit is one batch in
//! fjall's journal and an fsync.

use std::path::Path;

use fjall::{Database, Error, Guard, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::{Batch, Entry, Store, StoreError, Table, Value};

/// Bytes that a table keeps in memory before they go to a file of their own. Until then they are in
/// the journal only, which is read at every start; smaller files must be merged more often.
const WRITE_BUFFER_BYTES: u64 = 8 * 1024 * 1024;

/// How the store on disk uses memory.
#[derive(Clone, Copy, Debug)]
pub struct FjallOptions {
    /// Bytes of blocks cached in memory.
    pub cache_bytes_max: u64,
}

impl Default for FjallOptions {
    fn default() -> Self {
        Self { cache_bytes_max: 64 * 1024 * 1024 }
    }
}

/// The store on disk.
#[derive(Clone)]
pub struct FjallStore {
    database: Database,
    tables: [Keyspace; Table::ALL.len()],
}

impl std::fmt::Debug for FjallStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FjallStore")
    }
}

impl FjallStore {
    /// Opens the database in directory `path`, or creates it there.
    ///
    /// # Errors
    ///
    /// [`StoreError::Locked`] when it is open already, here or in another process.
    pub fn open(path: &Path, options: FjallOptions) -> Result<Self, StoreError> {
        let opened = Database::builder(path).cache_size(options.cache_bytes_max).open();
        let database = opened.map_err(|error| {
            if matches!(error, Error::Locked) {
                StoreError::Locked(path.to_owned())
            } else {
                failed(error)
            }
        })?;
        let keyspace = || KeyspaceCreateOptions::default().max_memtable_size(WRITE_BUFFER_BYTES);
        let open = |table: Table| database.keyspace(table.name(), keyspace).map_err(failed);
        let tables = [
            open(Table::Nodes)?,
            open(Table::Code)?,
            open(Table::Blocks)?,
            open(Table::Canonical)?,
            open(Table::GroupBlocks)?,
            open(Table::Receipts)?,
            open(Table::Members)?,
            open(Table::LogIndex)?,
            open(Table::Decisions)?,
            open(Table::Meta)?,
        ];
        Ok(Self { database, tables })
    }

    fn table(&self, table: Table) -> &Keyspace {
        let [
            nodes,
            code,
            blocks,
            canonical,
            group_blocks,
            receipts,
            members,
            log_index,
            decisions,
            meta,
        ] = &self.tables;
        match table {
            Table::Nodes => nodes,
            Table::Code => code,
            Table::Blocks => blocks,
            Table::Canonical => canonical,
            Table::GroupBlocks => group_blocks,
            Table::Receipts => receipts,
            Table::Members => members,
            Table::LogIndex => log_index,
            Table::Decisions => decisions,
            Table::Meta => meta,
        }
    }
}

impl Store for FjallStore {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Value>, StoreError> {
        Ok(self.table(table).get(key).map_err(failed)?.map(Value))
    }

    fn range(
        &self,
        table: Table,
        start: &[u8],
        end: &[u8],
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        if start >= end {
            return Ok(Vec::new());
        }
        self.table(table).range(start..end).take(limit).map(entry).collect()
    }

    fn range_rev(
        &self,
        table: Table,
        start: &[u8],
        end: &[u8],
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        if start >= end {
            return Ok(Vec::new());
        }
        self.table(table).range(start..end).rev().take(limit).map(entry).collect()
    }

    fn commit(&self, mut batch: Batch) -> Result<(), StoreError> {
        batch.normalize();
        let mut writes = self.database.batch().durability(Some(PersistMode::SyncAll));
        for (table, key, value) in batch.writes {
            match value {
                Some(value) => writes.insert(self.table(table), key.0, value.0),
                None => writes.remove(self.table(table), key.0),
            }
        }
        writes.commit().map_err(failed)
    }
}

fn entry(guard: Guard) -> Result<Entry, StoreError> {
    guard.into_inner().map(|(key, value)| (Value(key), Value(value))).map_err(failed)
}

fn failed(error: Error) -> StoreError {
    if let Error::Io(error) = &error {
        // In the system's words.
        return StoreError::Io(error.to_string());
    }
    if matches!(error, Error::Poisoned) {
        StoreError::Poisoned
    } else {
        StoreError::Io(error.to_string())
    }
}
