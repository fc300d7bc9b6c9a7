//! The payload store on disk: what is acknowledged survives, and decisions stay what they were.

use std::{path::Path, sync::Arc};

use alloy_primitives::{Address, B256, U256};
use coterie_core::{EnclaveKey, PayloadKey};

use super::{GROUP, block};
use crate::{
    chain::{PublicAccount, PublicRead, PublicValue},
    enclave::{
        AcceptedHistory, HistoryEntry,
        payloads::{Keep, Merge, OpenStoreError, PayloadStore, Retention, StoreError},
    },
};

const RETENTION: Retention = Retention {
    payloads_max: 100,
    bytes_max: 1 << 20,
    blocks: 10,
    co_member_payloads_max: 100,
    co_member_bytes_max: 1 << 20,
};

fn key(id: u8) -> PayloadKey {
    PayloadKey(B256::repeat_byte(id))
}

fn open(path: &Path) -> PayloadStore {
    PayloadStore::open(path, RETENTION).unwrap()
}

fn write(known: Option<&[u8]>) -> Merge {
    if known.is_some() { Merge::Keep } else { Merge::Write(b"envelope".to_vec()) }
}

async fn put(store: &PayloadStore, id: u8) {
    store.insert(key(id), Keep::Forever, write).await.unwrap();
}

/// `late`, `in time`, or nothing, for each id.
async fn decide(store: &PayloadStore, at: crate::chain::BlockRef, ids: &[u8]) -> Vec<Option<bool>> {
    let keys: Vec<_> = ids.iter().copied().map(key).collect();
    let decision = store.decide(at, &keys).await.unwrap();
    decision.found.into_iter().map(|found| found.map(|found| found.late)).collect()
}

/// The file as a crash would leave it now.
fn crashed(path: &Path, name: &str) -> PayloadStore {
    let copy = path.with_file_name(name);
    std::fs::copy(path, &copy).unwrap();
    open(&copy)
}

#[tokio::test]
async fn acknowledged_payloads_survive_a_crash_with_what_was_decided_before_them() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sub").join("payloads.redb");
    let store = open(&path);
    for number in 1..=3 {
        assert_eq!(decide(&store, block(number, 0), &[1]).await, [None]);
    }
    put(&store, 1).await;
    let after = crashed(&path, "crash");
    assert_eq!(after.position(), Some(block(3, 0)));
    assert_eq!(after.envelope(key(1)).unwrap().unwrap().as_ref(), b"envelope");
    assert_eq!(decide(&after, block(3, 0), &[1]).await, [Some(true)]);
    assert_eq!(decide(&after, block(4, 0), &[1]).await, [Some(false)]);
    assert_eq!(decide(&after, block(3, 0), &[1]).await, [Some(true)]);
}

#[tokio::test]
async fn an_unreadable_decision_survives_a_crash_once_flushed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("payloads.redb");
    let store = open(&path);
    assert_eq!(decide(&store, block(5, 0), &[1]).await, [None]);
    store.flush().await.unwrap();
    let after = crashed(&path, "crash");
    put(&after, 1).await;
    assert_eq!(decide(&after, block(5, 0), &[1]).await, [Some(true)]);
}

#[tokio::test]
async fn reorgs_survive_a_crash_and_a_clean_stop() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("payloads.redb");
    let store = open(&path);
    for number in 1..=5 {
        decide(&store, block(number, 0), &[]).await;
    }
    put(&store, 1).await;
    store.reorg(block(3, 0), &[block(4, 0), block(5, 0)]).await.unwrap();
    for store in [crashed(&path, "crash"), {
        drop(store);
        open(&path)
    }] {
        assert_eq!(store.position(), Some(block(3, 0)));
        assert_eq!(decide(&store, block(3, 0), &[1]).await, [Some(true)]);
        assert_eq!(decide(&store, block(4, 1), &[1]).await, [Some(false)]);
        store.reorg(block(3, 0), &[block(4, 1)]).await.unwrap();
        assert_eq!(decide(&store, block(4, 0), &[1]).await, [Some(true)]);
        assert_eq!(decide(&store, block(5, 0), &[1]).await, [Some(true)]);
        assert_eq!(decide(&store, block(6, 0), &[1]).await, [Some(false)]);
    }
}

#[tokio::test]
async fn a_clean_stop_keeps_the_position() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("payloads.redb");
    let store = open(&path);
    decide(&store, block(7, 0), &[]).await;
    assert!(matches!(PayloadStore::open(&path, RETENTION), Err(OpenStoreError::Locked)));
    drop(store);
    let store = open(&path);
    assert_eq!(store.position(), Some(block(7, 0)));
    store.set_position_at_least(block(9, 0));
    store.set_position_at_least(block(8, 0));
    assert_eq!(store.position(), Some(block(9, 0)));
}

#[tokio::test]
async fn a_file_of_another_schema_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("payloads.redb");
    let database = redb::Database::create(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    let table = redb::TableDefinition::<&str, &[u8]>::new("meta");
    transaction.open_table(table).unwrap().insert("schema", 9u64.to_be_bytes().as_slice()).unwrap();
    transaction.commit().unwrap();
    drop(database);
    assert!(matches!(PayloadStore::open(&path, RETENTION), Err(OpenStoreError::Schema(9))));
}

#[tokio::test]
async fn known_payloads_are_merged_kept_or_refused() {
    let store = PayloadStore::in_memory(RETENTION).unwrap();
    assert!(store.insert(key(1), Keep::Forever, write).await.unwrap());
    assert!(!store.insert(key(1), Keep::Forever, write).await.unwrap());
    let refused = store.insert(key(1), Keep::Forever, |_| Merge::Conflict).await;
    assert!(matches!(refused, Err(StoreError::Conflict)));
    decide(&store, block(1, 0), &[]).await;
    let merge = |known: Option<&[u8]>| Merge::Write([known.unwrap(), b"+box"].concat());
    assert!(!store.insert(key(1), Keep::Forever, merge).await.unwrap());
    assert_eq!(store.envelope(key(1)).unwrap().unwrap().as_ref(), b"envelope+box");
    // It was readable before block 1, whatever was added later.
    assert_eq!(decide(&store, block(1, 0), &[1]).await, [Some(false)]);
}

#[tokio::test]
async fn strangers_payloads_are_dropped_unless_their_marker_is_seen() {
    let store = PayloadStore::in_memory(RETENTION).unwrap();
    let stranger = Keep::AsSender([1; 32]);
    for id in 1..=4 {
        let keep = if id == 3 { Keep::AsSender([2; 32]) } else { stranger };
        store.insert(key(id), keep, write).await.unwrap();
    }
    store.set_co_members([[2; 32]].into());
    store.insert(key(5), Keep::AsSender([2; 32]), write).await.unwrap();
    // Vouched for by somebody whose payloads are kept.
    store.insert(key(4), Keep::AsSender([2; 32]), write).await.unwrap();
    assert!(store.decide(block(2, 0), &[key(1)]).await.unwrap().must_flush);
    assert_eq!(decide(&store, block(10, 0), &[]).await, []);
    assert!(store.envelope(key(2)).unwrap().is_some());
    decide(&store, block(11, 0), &[]).await;
    store.flush().await.unwrap();
    let there: Vec<_> = (1..=5).filter(|id| store.envelope(key(*id)).unwrap().is_some()).collect();
    assert_eq!(there, [1, 3, 4, 5]);
    store.doubt(key(5), [2; 32], 8);
    decide(&store, block(30, 0), &[]).await;
    store.flush().await.unwrap();
    assert!(store.envelope(key(5)).unwrap().is_none());
}

#[tokio::test]
async fn a_strangers_payload_that_is_pushed_again_is_kept_for_longer() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("payloads.redb");
    let store = open(&path);
    let stranger = Keep::AsSender([1; 32]);
    for id in 1..=2 {
        store.insert(key(id), stranger, write).await.unwrap();
    }
    decide(&store, block(6, 0), &[]).await;
    assert!(!store.insert(key(1), stranger, write).await.unwrap());
    let after = crashed(&path, "crash");
    for store in [store, after] {
        decide(&store, block(16, 0), &[]).await;
        store.flush().await.unwrap();
        assert!(store.envelope(key(1)).unwrap().is_some());
        assert!(store.envelope(key(2)).unwrap().is_none());
        decide(&store, block(17, 0), &[]).await;
        store.flush().await.unwrap();
        assert!(store.envelope(key(1)).unwrap().is_none());
    }
}

#[tokio::test]
async fn strangers_cannot_fill_the_store() {
    let store = PayloadStore::in_memory(Retention { payloads_max: 8, ..RETENTION }).unwrap();
    let stranger = Keep::AsSender([1; 32]);
    for id in 1..=2 {
        store.insert(key(id), stranger, write).await.unwrap();
    }
    assert!(matches!(store.insert(key(3), stranger, write).await, Err(StoreError::NoRoom)));
    store.insert(key(3), Keep::AsSender([2; 32]), write).await.unwrap();
}

#[tokio::test]
async fn co_members_cannot_fill_the_store_and_what_is_marked_does_not_count() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("payloads.redb");
    let retention = Retention { co_member_payloads_max: 3, ..RETENTION };
    let open = |path: &Path| {
        let store = PayloadStore::open(path, retention).unwrap();
        store.set_co_members([[1; 32], [2; 32]].into());
        store
    };
    let (sender, other) = (Keep::AsSender([1; 32]), Keep::AsSender([2; 32]));
    let store = open(&path);
    for id in 1..=3 {
        store.insert(key(id), sender, write).await.unwrap();
    }
    assert!(matches!(store.insert(key(4), sender, write).await, Err(StoreError::NoRoom)));
    store.insert(key(5), other, write).await.unwrap();
    // Only counted: what was marked is noted with the next write.
    assert!(!store.decide(block(1, 0), &[key(1)]).await.unwrap().must_flush);
    store.insert(key(4), sender, write).await.unwrap();
    // Counted on after a restart, also while it is not known yet who is a co-member.
    drop(store);
    let store = PayloadStore::open(&path, retention).unwrap();
    decide(&store, block(11, 0), &[]).await;
    store.flush().await.unwrap();
    assert!((1..=5).all(|id| store.contains(key(id)).unwrap()));
    drop(store);
    let store = open(&path);
    store.insert(key(3), sender, write).await.unwrap();
    // Only what is old makes room: 2 is, 3 was pushed again, 4 was pushed after block 1.
    store.insert(key(6), sender, write).await.unwrap();
    assert!(matches!(store.insert(key(7), sender, write).await, Err(StoreError::NoRoom)));
    store.flush().await.unwrap();
    let there: Vec<_> = (1..=7).filter(|id| store.contains(key(*id)).unwrap()).collect();
    assert_eq!(there, [1, 3, 4, 5, 6]);
}

#[tokio::test]
async fn histories_and_reads_survive_a_crash() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("payloads.redb");
    let store = open(&path);
    let history = AcceptedHistory {
        group: GROUP,
        until: block(4, 0),
        entries: vec![HistoryEntry { block: block(2, 0), index: 3, key: key(1) }],
        recipient: EnclaveKey::Nacl([5; 32]),
    };
    let account = PublicAccount { nonce: 1, balance: U256::from(2), code: vec![0x60; 100].into() };
    let read = |slot: u64, value: u64| {
        (PublicRead::Slot(Address::ZERO, U256::from(slot)), PublicValue::Slot(U256::from(value)))
    };
    let code = (PublicRead::Account(Address::ZERO), PublicValue::Account(account));
    store.record_reads(GROUP, block(2, 0).hash, &[read(1, 1), code.clone()]).unwrap();
    let reads =
        vec![(block(2, 0), vec![read(1, 5), read(2, 2)]), (block(3, 0), vec![code.clone()])];
    store.accept_history(&history, vec![key(1)], reads, |_, known| write(known)).await.unwrap();
    assert_eq!(
        store.recorded_reads(GROUP, block(2, 0).hash).unwrap(),
        [read(1, 5), code.clone(), read(2, 2)]
    );
    let after = crashed(&path, "crash");
    assert_eq!(after.histories().unwrap(), std::slice::from_ref(&history));
    assert!(after.envelope(key(1)).unwrap().is_some());
    assert_eq!(
        after.recorded_reads(GROUP, block(2, 0).hash).unwrap(),
        [read(1, 5), code.clone(), read(2, 2)]
    );
    assert_eq!(after.recorded_reads(GROUP, block(3, 0).hash).unwrap(), [code]);
    assert_eq!(after.recorded_reads(GROUP, block(9, 0).hash).unwrap(), []);
    let newer = AcceptedHistory { until: block(9, 0), entries: Vec::new(), ..history };
    after.accept_history(&newer, Vec::new(), Vec::new(), |_, _| Merge::Keep).await.unwrap();
    assert_eq!(after.histories().unwrap(), [newer]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writers_share_syncs_and_the_follower_sees_only_what_is_durable() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("payloads.redb");
    let store = Arc::new(open(&path));
    let writers: Vec<_> = (0..8_u8)
        .map(|writer| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for id in 0..30_u8 {
                    put(&store, writer * 30 + id).await;
                }
            })
        })
        .collect();
    let ids: Vec<u8> = (0..240).collect();
    let mut decisions = Vec::new();
    for number in 1..=20 {
        decisions.push(decide(&store, block(number, 0), &ids).await);
    }
    for writer in writers {
        writer.await.unwrap();
    }
    for (number, first) in (1..).zip(decisions) {
        let again = decide(&store, block(number, 0), &ids).await;
        for (first, again) in first.into_iter().zip(again) {
            // What was unreadable is late now, what was in time still is.
            assert_eq!(again, Some(first.is_none()));
        }
    }
    assert_eq!(store.keys_after(None, 1000).unwrap().len(), 240);
    assert_eq!(store.keys_after(Some(key(100)), 3).unwrap(), [key(101), key(102), key(103)]);
}
