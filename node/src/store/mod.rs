//! Bytes under keys, for derived state: everything here can be rebuilt from the chain and the
//! payload store. Knows nothing of what the bytes mean; `state::schema` is the format document.

mod fjall;
mod memory;
#[cfg(test)]
mod tests;

use std::{cmp::Ordering, ops::Deref, path::PathBuf};

pub use self::{
    fjall::{FjallOptions, FjallStore},
    memory::MemoryStore,
};

/// One ordered map of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Table {
    /// Trie nodes by hash.
    Nodes,
    /// Contract code by hash.
    Code,
    /// Followed blocks by hash.
    Blocks,
    /// Canonical block hash by number.
    Canonical,
    /// What a block did to a group.
    GroupBlocks,
    /// Receipts by marker hash and block hash.
    Receipts,
    /// Changes of the members of a group.
    Members,
    /// Which blocks have logs with which values.
    LogIndex,
    /// Which marker decided a payload key.
    Decisions,
    /// Single values: followed head, schema version, values of the follower.
    Meta,
}

impl Table {
    /// All tables, in the order in which a commit applies them: what others refer to comes first.
    pub const ALL: [Self; 10] = [
        Self::Nodes,
        Self::Code,
        Self::Blocks,
        Self::Canonical,
        Self::GroupBlocks,
        Self::Receipts,
        Self::Members,
        Self::LogIndex,
        Self::Decisions,
        Self::Meta,
    ];

    /// Its name on disk.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nodes => "nodes",
            Self::Code => "code",
            Self::Blocks => "blocks",
            Self::Canonical => "canonical",
            Self::GroupBlocks => "group_blocks",
            Self::Receipts => "receipts",
            Self::Members => "members",
            Self::LogIndex => "log_index",
            Self::Decisions => "decisions",
            Self::Meta => "meta",
        }
    }
}

/// Bytes of a key or a value: cheap to clone, taken over from the database without a copy.
#[derive(Clone)]
pub struct Value(::fjall::Slice);

impl Deref for Value {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Value {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}

impl<const N: usize> From<[u8; N]> for Value {
    fn from(bytes: [u8; N]) -> Self {
        Self(bytes.as_slice().into())
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.as_slice().into())
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Value {}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Value {
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(&**other)
    }
}

impl std::fmt::Debug for Value {
    /// The length only: values hold private data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Value({} bytes)", self.len())
    }
}

/// Key and value of an entry.
pub type Entry = (Value, Value);

/// Writes that become visible and durable together or not at all. Of several writes to one key the
/// last one counts.
#[derive(Debug, Default)]
pub struct Batch {
    /// Table, key, and the value or `None` to delete.
    pub writes: Vec<(Table, Value, Option<Value>)>,
}

impl Batch {
    /// Inserts or replaces.
    pub fn put(&mut self, table: Table, key: impl Into<Value>, value: impl Into<Value>) {
        self.writes.push((table, key.into(), Some(value.into())));
    }

    /// Deletes, also what is not there.
    pub fn delete(&mut self, table: Table, key: impl Into<Value>) {
        self.writes.push((table, key.into(), None));
    }

    /// Sorts by table and key and keeps the last write to each key: a database may apply the
    /// writes of one batch to a key in any order, and sorted keys are written faster.
    fn normalize(&mut self) {
        self.writes.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        self.writes.dedup_by(|later, earlier| {
            let same = later.0 == earlier.0 && later.1 == earlier.1;
            if same {
                std::mem::swap(later, earlier);
            }
            same
        });
    }
}

/// The store failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The disk or the database failed.
    #[error("the state database failed: {0}")]
    Io(String),
    /// Another process has the database open.
    #[error("the state database {} is in use by another process; stop that one, or use another directory", .0.display())]
    Locked(PathBuf),
    /// The disk failed while writing; nothing is written until the next start.
    #[error("the state database no longer writes after a disk failure; check the disk and restart")]
    Poisoned,
}

/// Bytes under keys, ordered, with atomic durable batches. Reads see every finished commit.
pub trait Store: Send + Sync + 'static {
    /// The value under `key`.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Value>, StoreError>;
    /// Entries with `start <= key < end`, ascending, at most `limit`.
    fn range(
        &self,
        table: Table,
        start: &[u8],
        end: &[u8],
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError>;
    /// Entries with `start <= key < end`, descending, at most `limit`.
    fn range_rev(
        &self,
        table: Table,
        start: &[u8],
        end: &[u8],
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError>;
    /// Writes all of `batch`, durably (fsync) before it returns.
    fn commit(&self, batch: Batch) -> Result<(), StoreError>;
}
