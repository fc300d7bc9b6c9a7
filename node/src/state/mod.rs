//! What private state is: one Merkle-Patricia world state per group, immutable and addressed by
//! root; what each block did to each group; receipts. Knows nothing of execution or JSON.

mod account;
mod logs;
mod members;
mod nodes;
mod proof;
mod replaced;
mod resident;
mod schema;
pub(crate) mod seen;
mod snapshot;
#[cfg(test)]
mod tests;
mod trie;
mod types;
mod write;

use std::{collections::BTreeMap, sync::Arc};

use alloy_primitives::B256;
use coterie_core::{GroupId, PayloadKey, access::GroupFacts};
use parking_lot::{Mutex, RwLock};

pub use self::logs::{LogBlocks, LogsWanted};
pub use self::members::Membership;
pub use self::proof::{AccountProof, SlotProof};
pub use self::replaced::{MarkerLogs, Replaced, Since, log_bytes};
pub use self::seen::was_unread;
pub use self::snapshot::{OpenAccount, Snapshot};
pub use self::types::{
    Account, AccountChange, Decision, GroupBlock, GroupMarker, Reason, Receipt, StateChanges,
};
use self::{nodes::Nodes, replaced::Replacements, resident::Resident};
use crate::{
    chain::{BlockRef, Header},
    store::{Batch, Store, StoreError, Table},
};

/// The root of an empty trie: the state of a group before its creation.
pub const EMPTY_ROOT: B256 = alloy_trie::EMPTY_ROOT_HASH;

/// State failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Stored bytes do not decode, or something that must be there is not: rebuild.
    #[error("private state is corrupt: {0}; {advice}", advice = .0.advice())]
    Corrupt(Corruption),
    /// Written by a newer version of the node.
    #[error(
        "the state database has format {found}, this version knows up to {known}; use a newer version, or delete the state directory to rebuild it"
    )]
    NewerFormat {
        /// Format on disk.
        found: u64,
        /// Newest format known.
        known: u64,
    },
    /// Written by an older version of the node.
    #[error(
        "the state database has format {found}, this version writes {known}; delete the state directory to rebuild it from the chain and the payloads"
    )]
    OlderFormat {
        /// Format on disk.
        found: u64,
        /// The format of this version.
        known: u64,
    },
    /// The block does not follow the last followed one.
    #[error("block {block:?} does not follow {followed:?}")]
    NotNext {
        /// The block.
        block: BlockRef,
        /// The last followed block.
        followed: BlockRef,
    },
    /// The block to go back to was not followed on this branch.
    #[error("block {0:?} is not on the followed branch")]
    NotFollowed(BlockRef),
}

/// What is wrong with the stored bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Corruption {
    /// A trie node that another one names is missing.
    #[error("trie node {0} is missing")]
    MissingNode(B256),
    /// A trie node does not decode.
    #[error("trie node {0} does not decode")]
    BadNode(B256),
    /// A trie node is at a place where it cannot be.
    #[error("a trie has an impossible shape")]
    TrieShape,
    /// Code that an account names is missing.
    #[error("contract code {0} is missing")]
    MissingCode(B256),
    /// A key or value of this table does not decode.
    #[error("an entry of table {} does not decode", .0.name())]
    BadRecord(Table),
    /// Executing a marker's transaction again comes to something else than was stored, or cannot be
    /// done without a payload that is lost.
    #[error("executing the transaction of marker {0} again does not give its receipt")]
    NotReproduced(B256),
    /// The database has no format number, or one that never was.
    #[error("the format number is missing")]
    NoFormat,
}

impl Corruption {
    /// What to do. State without its payloads must not be deleted: nothing could rebuild it.
    const fn advice(&self) -> &'static str {
        match self {
            Self::NotReproduced(_) => {
                "if payloads were lost, bring back a backup of them or take the group's history over again with `coterie heal`; if not, delete the state directory to rebuild it from the chain and the payloads"
            }
            Self::MissingNode(_)
            | Self::BadNode(_)
            | Self::TrieShape
            | Self::MissingCode(_)
            | Self::BadRecord(_)
            | Self::NoFormat => {
                "delete the state directory to rebuild it from the chain and the payloads"
            }
        }
    }
}

/// Limits of the state layer.
#[derive(Clone, Copy, Debug)]
pub struct StateOptions {
    /// Bytes of trie nodes kept in memory, about: half for the groups' latest states, half for what
    /// is read besides.
    pub resident_bytes_max: usize,
}

impl Default for StateOptions {
    fn default() -> Self {
        Self { resident_bytes_max: 256 * 1024 * 1024 }
    }
}

/// What following one block changed: committed in one batch.
#[derive(Clone, Debug)]
pub struct BlockCommit {
    /// The block, which must follow the last followed one.
    pub header: Header,
    /// What it did to groups: each record, and the state after it where that is new.
    pub groups: Vec<GroupCommit>,
    /// Receipts of its markers.
    pub receipts: Vec<Receipt>,
    /// Payloads that this block decided, with the marker's index and hash.
    pub decisions: Vec<(PayloadKey, u64, B256)>,
    /// Values of the follower, under its own keys; `None` deletes.
    pub meta: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

/// What one block did to one group.
#[derive(Clone, Debug)]
pub struct GroupCommit {
    /// The group.
    pub group: GroupId,
    /// The record; `record.block` is the committed block.
    pub record: GroupBlock,
    /// The state after the block, whose root is `record.root`; `None` when it did not change.
    pub snapshot: Option<Snapshot>,
    /// What the group is after the block.
    pub facts: Arc<GroupFacts>,
}

/// All that is known of a group, to replace what was stored of it.
#[derive(Clone, Debug)]
pub struct GroupHistory {
    /// The group.
    pub group: GroupId,
    /// Its records on the canonical branch, ascending by block.
    pub records: Vec<GroupBlock>,
    /// What the group is after each record's block.
    pub facts: Vec<Arc<GroupFacts>>,
    /// Receipts with the block of their marker.
    pub receipts: Vec<(BlockRef, Receipt)>,
    /// Which markers decided payloads.
    pub decisions: Vec<(PayloadKey, Decision)>,
    /// The state after the last record, when it holds anything unsaved.
    pub snapshot: Option<Snapshot>,
    /// Values of the follower to write in the same batch; `None` deletes.
    pub meta: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

/// The state database. Cheap to clone.
#[derive(Clone)]
pub struct State {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn Store>,
    nodes: Arc<Nodes>,
    heads: RwLock<Heads>,
    resident: Mutex<Resident>,
    replacements: Replacements,
    /// Held while writing: one writer at a time.
    writing: Mutex<()>,
}

/// What the hot path asks for, in memory.
#[derive(Debug, Default)]
struct Heads {
    followed: Option<BlockRef>,
    /// The last canonical record of each group.
    groups: BTreeMap<GroupId, Arc<GroupBlock>>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("State")
    }
}

/// How many records are read at once while looking for canonical ones.
const SCAN: usize = 64;

impl State {
    /// Opens a state database, or begins one in an empty store.
    ///
    /// # Errors
    ///
    /// [`StateError::NewerFormat`] when a newer version wrote it.
    pub fn open(store: Arc<dyn Store>, options: StateOptions) -> Result<Self, StateError> {
        check_format(&*store)?;
        let half = options.resident_bytes_max / 2;
        let inner = Inner {
            nodes: Arc::new(Nodes::new(Arc::clone(&store), half)),
            store,
            heads: RwLock::default(),
            resident: Mutex::new(Resident::new(half)),
            replacements: Replacements::default(),
            writing: Mutex::new(()),
        };
        let state = Self { inner: Arc::new(inner) };
        let heads = state.read_heads()?;
        *state.inner.heads.write() = heads;
        Ok(state)
    }

    /// The last followed block.
    ///
    /// # Errors
    ///
    /// None today: it is in memory.
    pub fn followed(&self) -> Result<Option<BlockRef>, StateError> {
        Ok(self.inner.heads.read().followed)
    }

    /// The block after which following began; `None` when nothing was followed.
    ///
    /// # Errors
    ///
    /// When the store fails or is corrupt.
    pub fn base(&self) -> Result<Option<BlockRef>, StateError> {
        let Some(number) = self.first_canonical()? else { return Ok(None) };
        Ok(self.canonical(number)?.map(|hash| BlockRef { number, hash }))
    }

    /// Hash of the definition of the network that this state is of, 32 bytes; `None` until it is set.
    ///
    /// # Errors
    ///
    /// When the store fails or is corrupt.
    pub fn network(&self) -> Result<Option<B256>, StateError> {
        let hash = self.inner.store.get(Table::Meta, schema::NETWORK_KEY)?;
        hash.map(|hash| schema::parse_hash(Table::Meta, &hash)).transpose()
    }

    /// Remembers of which network this state is, by the hash of its definition.
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub fn set_network(&self, definition: B256) -> Result<(), StateError> {
        let _writing = self.inner.writing.lock();
        let mut batch = Batch::default();
        batch.put(Table::Meta, schema::NETWORK_KEY, definition.0);
        Ok(self.inner.store.commit(batch)?)
    }

    /// Hash of the followed block with this number.
    ///
    /// # Errors
    ///
    /// When the store fails or is corrupt.
    pub fn canonical(&self, number: u64) -> Result<Option<B256>, StateError> {
        let hash = self.inner.store.get(Table::Canonical, &number.to_be_bytes())?;
        hash.map(|hash| schema::parse_hash(Table::Canonical, &hash)).transpose()
    }

    fn is_canonical(&self, block: BlockRef) -> Result<bool, StateError> {
        Ok(self.canonical(block.number)? == Some(block.hash))
    }

    /// Header of a block that was followed, on whatever branch.
    ///
    /// # Errors
    ///
    /// When the store fails or is corrupt.
    pub fn header(&self, hash: B256) -> Result<Option<Header>, StateError> {
        let value = self.inner.store.get(Table::Blocks, hash.as_slice())?;
        value.map(|value| schema::parse_header(hash, &value)).transpose()
    }

    /// The state with this root. Nothing is read until it is used; a root that was never saved
    /// shows as [`StateError::Corrupt`] then.
    pub fn snapshot(&self, root: B256) -> Snapshot {
        let resident = self.inner.resident.lock().find(root);
        resident.unwrap_or_else(|| Snapshot::at(root, Arc::clone(&self.inner.nodes)))
    }

    /// A group's state after its last canonical record; empty for an unknown group.
    pub fn group_snapshot(&self, group: GroupId) -> Snapshot {
        let root = self.inner.heads.read().groups.get(&group).map_or(EMPTY_ROOT, |head| head.root);
        self.snapshot(root)
    }

    /// The last canonical record of the group at or before block `number`.
    ///
    /// # Errors
    ///
    /// When the store fails or is corrupt.
    pub fn group_at(
        &self,
        group: GroupId,
        number: u64,
    ) -> Result<Option<Arc<GroupBlock>>, StateError> {
        let Some(head) = self.inner.heads.read().groups.get(&group).cloned() else {
            return Ok(None);
        };
        if head.block.number <= number {
            return Ok(Some(head));
        }
        Ok(self.last_record(group, number)?.map(Arc::new))
    }

    /// Canonical records with `from <= number <= to`, ascending, at most `limit`.
    ///
    /// # Errors
    ///
    /// When the store fails or is corrupt.
    pub fn group_blocks(
        &self,
        group: GroupId,
        from: u64,
        to: u64,
        limit: usize,
    ) -> Result<Vec<GroupBlock>, StateError> {
        let mut records = Vec::new();
        let mut start = schema::group_from(group, from);
        let end = schema::group_end(group, to);
        while records.len() < limit {
            let entries = self.inner.store.range(Table::GroupBlocks, &start, &end, SCAN)?;
            let Some((last, _)) = entries.last() else { break };
            start = [last, &[0][..]].concat();
            for (key, value) in &entries {
                let (_, block) = schema::parse_group_block_key(key)?;
                if records.len() < limit && self.is_canonical(block)? {
                    records.push(schema::parse_group_block(block, value)?);
                }
            }
        }
        Ok(records)
    }

    /// The canonical record of the group in block `number`; `None` when the block did nothing to it.
    ///
    /// # Errors
    ///
    /// When the store fails or is corrupt.
    pub fn group_block(
        &self,
        group: GroupId,
        number: u64,
    ) -> Result<Option<GroupBlock>, StateError> {
        let Some(hash) = self.canonical(number)? else { return Ok(None) };
        self.record(group, BlockRef { number, hash })
    }

    /// All groups with a canonical record, ascending; also those of which no transaction counted
    /// (their root is [`EMPTY_ROOT`]).
    pub fn groups(&self) -> Vec<GroupId> {
        self.inner.heads.read().groups.keys().copied().collect()
    }

    /// The canonical receipt of a marker.
    ///
    /// # Errors
    ///
    /// When the store fails or is corrupt.
    pub fn receipt(&self, marker: B256) -> Result<Option<(BlockRef, Receipt)>, StateError> {
        let end = schema::after(marker.as_slice());
        for (key, value) in
            self.inner.store.range(Table::Receipts, marker.as_slice(), &end, SCAN)?
        {
            let (block, receipt) = schema::parse_receipt(&key, &value)?;
            if self.is_canonical(block)? {
                return Ok(Some((block, receipt)));
            }
        }
        Ok(None)
    }

    /// What a block did to the group, on whatever branch; `None` when it did nothing.
    ///
    /// # Errors
    ///
    /// When the store fails or is corrupt.
    pub fn record(
        &self,
        group: GroupId,
        block: BlockRef,
    ) -> Result<Option<GroupBlock>, StateError> {
        let key = schema::group_block_key(group, block);
        let value = self.inner.store.get(Table::GroupBlocks, &key)?;
        value.map(|value| schema::parse_group_block(block, &value)).transpose()
    }

    /// The receipt that a marker has in a block, on whatever branch.
    ///
    /// # Errors
    ///
    /// When the store fails or is corrupt.
    pub fn receipt_in(&self, marker: B256, block: B256) -> Result<Option<Receipt>, StateError> {
        let key = schema::receipt_key(marker, block);
        let value = self.inner.store.get(Table::Receipts, &key)?;
        value.map(|value| Ok(schema::parse_receipt(&key, &value)?.1)).transpose()
    }

    /// The logs of the markers of a record, on whatever branch.
    ///
    /// # Errors
    ///
    /// When the store fails or is corrupt.
    pub fn marker_logs(&self, record: &GroupBlock) -> Result<Vec<MarkerLogs>, StateError> {
        let executed = record.markers.iter().filter(|it| it.reason == Reason::Executed);
        let mut found = Vec::new();
        for GroupMarker { index, marker, .. } in executed {
            if let Some(receipt) = self.receipt_in(*marker, record.block.hash)?
                && !receipt.logs.is_empty()
            {
                found.push(MarkerLogs { marker: *marker, index: *index, logs: receipt.logs });
            }
        }
        Ok(found)
    }

    /// How often anything but a new block was written: what is read between two equal answers
    /// belongs together. `None` while it is being written; the follower tells when it is done.
    pub fn epoch(&self) -> Option<u64> {
        self.inner.replacements.epoch()
    }

    /// The moment that is now, for [`Self::replaced_since`].
    pub fn moment(&self, group: GroupId) -> u64 {
        self.inner.replacements.now(group)
    }

    /// Whether a group's records were replaced since a moment, and what they were then.
    pub fn replaced_since(&self, group: GroupId, moment: u64) -> Since {
        self.inner.replacements.since(group, moment)
    }

    /// Which marker decided the payload on the followed branch.
    ///
    /// # Errors
    ///
    /// When the store fails or is corrupt.
    pub fn decided(&self, payload: PayloadKey) -> Result<Option<Decision>, StateError> {
        let prefix = payload.0.as_slice();
        let end = schema::after(prefix);
        let mut start = prefix.to_vec();
        loop {
            let entries = self.inner.store.range(Table::Decisions, &start, &end, SCAN)?;
            let Some((last, _)) = entries.last() else { return Ok(None) };
            start = [last, &[0][..]].concat();
            for (key, value) in &entries {
                let decision = schema::parse_decision(key, value)?;
                if self.is_canonical(decision.block)? {
                    return Ok(Some(decision));
                }
            }
        }
    }

    /// A value of the follower.
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub fn meta(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        Ok(self
            .inner
            .store
            .get(Table::Meta, &schema::follower_key(key))?
            .map(|value| value.to_vec()))
    }

    /// The last canonical record at or before `number`, from the store.
    fn last_record(&self, group: GroupId, number: u64) -> Result<Option<GroupBlock>, StateError> {
        let start = schema::group_from(group, 0);
        let mut end = schema::group_end(group, number);
        loop {
            let entries = self.inner.store.range_rev(Table::GroupBlocks, &start, &end, SCAN)?;
            let Some((first, _)) = entries.last() else { return Ok(None) };
            end = first.to_vec();
            for (key, value) in &entries {
                let (_, block) = schema::parse_group_block_key(key)?;
                if self.is_canonical(block)? {
                    return schema::parse_group_block(block, value).map(Some);
                }
            }
        }
    }

    /// All groups with a record, on whatever branch.
    fn stored_groups(&self) -> Result<Vec<GroupId>, StateError> {
        let mut groups = Vec::new();
        let (mut start, end) = (Vec::new(), schema::after(&[]));
        while let Some((key, _)) =
            self.inner.store.range(Table::GroupBlocks, &start, &end, 1)?.pop()
        {
            let (group, _) = schema::parse_group_block_key(&key)?;
            groups.push(group);
            start = schema::after(group.as_slice());
        }
        Ok(groups)
    }

    fn read_heads(&self) -> Result<Heads, StateError> {
        let Some(followed) = self.inner.store.get(Table::Meta, schema::FOLLOWED_KEY)? else {
            return Ok(Heads::default());
        };
        let followed = schema::parse_block_ref(&followed)?;
        let mut groups = BTreeMap::new();
        for group in self.stored_groups()? {
            if let Some(record) = self.last_record(group, followed.number)? {
                groups.insert(group, Arc::new(record));
            }
        }
        Ok(Heads { followed: Some(followed), groups })
    }
}

fn check_format(store: &dyn Store) -> Result<(), StateError> {
    match store.get(Table::Meta, schema::FORMAT_KEY)? {
        Some(value) => match schema::parse_format(&value)? {
            schema::FORMAT => Ok(()),
            found if found > schema::FORMAT => {
                Err(StateError::NewerFormat { found, known: schema::FORMAT })
            }
            0 => Err(StateError::Corrupt(Corruption::NoFormat)),
            found => Err(StateError::OlderFormat { found, known: schema::FORMAT }),
        },
        None if store.get(Table::Meta, schema::FOLLOWED_KEY)?.is_some() => {
            Err(StateError::Corrupt(Corruption::NoFormat))
        }
        None => {
            let mut batch = Batch::default();
            batch.put(Table::Meta, schema::FORMAT_KEY, schema::format_value());
            Ok(store.commit(batch)?)
        }
    }
}
