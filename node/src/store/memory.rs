//! A store in memory, for tests, simulation and the development mode. Behaves like the one on
//! disk, except that nothing outlives it.

use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Included},
};

use parking_lot::RwLock;

use super::{Batch, Entry, Store, StoreError, Table, Value};

/// A store in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    tables: RwLock<BTreeMap<Table, BTreeMap<Value, Value>>>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn collect(
        &self,
        table: Table,
        start: &[u8],
        end: &[u8],
        pick: impl FnOnce(&mut dyn DoubleEndedIterator<Item = Entry>) -> Vec<Entry>,
    ) -> Vec<Entry> {
        if start >= end {
            return Vec::new();
        }
        let tables = self.tables.read();
        let Some(table) = tables.get(&table) else { return Vec::new() };
        let bounds = (Included(Value::from(start)), Excluded(Value::from(end)));
        pick(&mut table.range(bounds).map(|(key, value)| (key.clone(), value.clone())))
    }
}

impl Store for MemoryStore {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Value>, StoreError> {
        Ok(self.tables.read().get(&table).and_then(|table| table.get(&Value::from(key)).cloned()))
    }

    fn range(
        &self,
        table: Table,
        start: &[u8],
        end: &[u8],
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        Ok(self.collect(table, start, end, |entries| entries.take(limit).collect()))
    }

    fn range_rev(
        &self,
        table: Table,
        start: &[u8],
        end: &[u8],
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        Ok(self.collect(table, start, end, |entries| entries.rev().take(limit).collect()))
    }

    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        let mut tables = self.tables.write();
        for (table, key, value) in batch.writes {
            let table = tables.entry(table).or_default();
            match value {
                Some(value) => table.insert(key, value),
                None => table.remove(&key),
            };
        }
        Ok(())
    }
}
