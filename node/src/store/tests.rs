//! Both stores behave alike.

use std::{path::Path, sync::Arc};

use super::*;

fn value(text: &str) -> Value {
    Value::from(text.as_bytes())
}

fn check(store: &dyn Store) {
    let mut batch = Batch::default();
    for key in ["a", "b", "c", "d"] {
        batch.put(Table::Nodes, key.as_bytes(), key.as_bytes());
    }
    batch.put(Table::Meta, "b".as_bytes(), "other table".as_bytes());
    store.commit(batch).unwrap();
    let mut batch = Batch::default();
    batch.delete(Table::Nodes, "c".as_bytes());
    batch.put(Table::Nodes, "b".as_bytes(), "first".as_bytes());
    batch.delete(Table::Nodes, "b".as_bytes());
    batch.put(Table::Nodes, "b".as_bytes(), "last".as_bytes());
    batch.put(Table::Nodes, "e".as_bytes(), "e".as_bytes());
    batch.delete(Table::Nodes, "e".as_bytes());
    store.commit(batch).unwrap();

    assert_eq!(store.get(Table::Nodes, b"b").unwrap(), Some(value("last")));
    assert_eq!(store.get(Table::Meta, b"b").unwrap(), Some(value("other table")));
    assert_eq!(store.get(Table::Nodes, b"c").unwrap(), None);
    assert_eq!(store.get(Table::Nodes, b"e").unwrap(), None);
    let keys = |entries: Vec<Entry>| entries.into_iter().map(|(key, _)| key).collect::<Vec<_>>();
    let all = store.range(Table::Nodes, b"", b"z", 9).unwrap();
    assert_eq!(keys(all), [value("a"), value("b"), value("d")]);
    assert_eq!(keys(store.range(Table::Nodes, b"a", b"d", 9).unwrap()), [value("a"), value("b")]);
    assert_eq!(keys(store.range(Table::Nodes, b"b", b"z", 1).unwrap()), [value("b")]);
    assert_eq!(
        keys(store.range_rev(Table::Nodes, b"a", b"d", 9).unwrap()),
        [value("b"), value("a")]
    );
    assert_eq!(keys(store.range_rev(Table::Nodes, b"", b"z", 1).unwrap()), [value("d")]);
    assert!(store.range(Table::Nodes, b"d", b"a", 9).unwrap().is_empty());
    assert!(store.range_rev(Table::Nodes, b"a", b"a", 9).unwrap().is_empty());
    assert!(store.range(Table::Receipts, b"", b"z", 9).unwrap().is_empty());
}

fn open(path: &Path) -> Result<Arc<FjallStore>, StoreError> {
    FjallStore::open(path, FjallOptions::default()).map(Arc::new)
}

#[test]
fn memory_store_keeps_order_and_the_last_write() {
    check(&MemoryStore::new());
}

#[test]
fn disk_store_keeps_order_and_the_last_write_and_survives_reopening() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    check(&*store);
    drop(store);
    let store = open(directory.path()).unwrap();
    assert_eq!(store.get(Table::Nodes, b"b").unwrap(), Some(value("last")));
    assert_eq!(store.get(Table::Nodes, b"e").unwrap(), None);
}

#[test]
fn a_second_open_of_the_same_directory_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let first = open(directory.path()).unwrap();
    assert!(
        matches!(open(directory.path()), Err(StoreError::Locked(path)) if path == directory.path())
    );
    drop(first);
    open(directory.path()).unwrap();
}

#[test]
fn values_do_not_show_in_debug() {
    assert_eq!(format!("{:?}", value("secret")), "Value(6 bytes)");
}
