//! Following, going back, replacing, reopening.

use alloy_primitives::{Address, Bytes, KECCAK256_EMPTY, U256, keccak256};
use proptest::{collection::vec, prelude::*};

use coterie_core::EnclaveKey;

use super::*;
use crate::store::{FjallOptions, FjallStore, MemoryStore, StoreError};

const GROUP: GroupId = GroupId(B256::repeat_byte(0x61));
const OTHER: GroupId = GroupId(B256::repeat_byte(0xff));

fn memory() -> State {
    State::open(Arc::new(MemoryStore::new()), StateOptions::default()).unwrap()
}

/// Block `number` of a branch; branches part after `fork`.
fn header(number: u64, branch: u8, fork: u64) -> Header {
    let hash = |number: u64| {
        let branch = if number > fork { branch } else { 0 };
        keccak256([number.to_be_bytes().as_slice(), &[branch]].concat())
    };
    Header {
        number,
        hash: hash(number),
        parent_hash: hash(number.wrapping_sub(1)),
        timestamp: 1_000 + number,
        beneficiary: Address::repeat_byte(branch),
        gas_limit: 30_000_000,
        base_fee: (number > 1).then_some(7),
        difficulty: U256::from(number),
        mix_hash: B256::repeat_byte(3),
        excess_blob_gas: None,
    }
}

fn block(header: &Header) -> BlockRef {
    BlockRef { number: header.number, hash: header.hash }
}

fn marker(block: BlockRef, seed: u8) -> B256 {
    keccak256([block.hash.as_slice(), &[seed]].concat())
}

fn payload(seed: u8) -> PayloadKey {
    PayloadKey(B256::repeat_byte(seed))
}

fn record(header: &Header, root: B256, seed: u8) -> GroupBlock {
    let block = block(header);
    GroupBlock {
        block,
        root,
        digest: keccak256([seed]),
        counted: u64::from(seed),
        created: block,
        markers: vec![GroupMarker {
            index: 2,
            marker: marker(block, seed),
            payload: payload(seed),
            reason: Reason::Executed,
        }],
    }
}

fn receipt(block: BlockRef, seed: u8) -> Receipt {
    Receipt {
        marker: marker(block, seed),
        index: 2,
        payload: payload(seed),
        group: Some(GROUP),
        reason: Reason::Executed,
        decided_by: None,
        output: Bytes::from(vec![seed]),
        revert: None,
        logs: Vec::new(),
        contract: None,
        sender: None,
    }
}

fn member(seed: u8) -> EnclaveKey {
    EnclaveKey::Nacl([seed; 32])
}

fn members(seeds: &[u8]) -> Arc<GroupFacts> {
    let members = seeds.iter().copied().map(member).collect();
    Arc::new(GroupFacts { members, ..GroupFacts::before_creation() })
}

fn empty(header: Header) -> BlockCommit {
    BlockCommit {
        header,
        groups: Vec::new(),
        receipts: Vec::new(),
        decisions: Vec::new(),
        meta: Vec::new(),
    }
}

/// A block in which marker `seed` sets slot 1 of an account of the group to `seed`.
fn commit(state: &State, header: Header, seed: u8) -> B256 {
    let snapshot = state.group_snapshot(GROUP).apply(&set(seed)).unwrap();
    let (root, at) = (snapshot.root(), block(&header));
    let group = GroupCommit {
        group: GROUP,
        record: record(&header, root, seed),
        snapshot: Some(snapshot),
        facts: members(&[]),
    };
    state
        .commit(BlockCommit {
            groups: vec![group],
            receipts: vec![receipt(at, seed)],
            decisions: vec![(payload(seed), 2, marker(at, seed))],
            meta: vec![(b"last".to_vec(), Some(vec![seed]))],
            ..empty(header)
        })
        .unwrap();
    root
}

const ACCOUNT: Address = Address::repeat_byte(0xac);

fn change(nonce: u64, storage: &[(u64, u64)]) -> AccountChange {
    AccountChange {
        nonce,
        balance: U256::ZERO,
        code_hash: KECCAK256_EMPTY,
        storage_cleared: false,
        storage: storage
            .iter()
            .map(|(slot, value)| (U256::from(*slot), U256::from(*value)))
            .collect(),
    }
}

fn set(seed: u8) -> StateChanges {
    let change = change(1, &[(1, u64::from(seed))]);
    StateChanges { accounts: vec![(ACCOUNT, Some(change))], code: Vec::new() }
}

fn slot(snapshot: &Snapshot) -> u64 {
    snapshot.storage(ACCOUNT, U256::from(1)).unwrap().to()
}

#[test]
fn blocks_are_followed_in_order_only() {
    let state = memory();
    state.commit(empty(header(5, 0, 9))).unwrap();
    for wrong in [header(5, 0, 9), header(7, 0, 9), header(6, 1, 4)] {
        assert!(matches!(state.commit(empty(wrong)), Err(StateError::NotNext { .. })));
    }
    let next = header(6, 0, 9);
    let stray = GroupCommit {
        group: GROUP,
        record: record(&header(4, 0, 9), EMPTY_ROOT, 1),
        snapshot: None,
        facts: members(&[]),
    };
    let commit = BlockCommit { groups: vec![stray], ..empty(next.clone()) };
    assert!(matches!(state.commit(commit), Err(StateError::NotNext { .. })));
    state.commit(empty(next.clone())).unwrap();
    assert_eq!(state.followed().unwrap(), Some(block(&next)));
    assert_eq!(state.header(next.hash).unwrap(), Some(next.clone()));
    assert_eq!((state.canonical(6).unwrap(), state.canonical(4).unwrap()), (Some(next.hash), None));
}

#[test]
fn records_receipts_and_decisions_follow_the_canonical_branch() {
    let state = memory();
    for number in 1..=3 {
        state.commit(empty(header(number, 0, 9))).unwrap();
    }
    let first = commit(&state, header(4, 0, 9), 40);
    let second = commit(&state, header(5, 0, 9), 50);
    state.commit(empty(header(6, 0, 9))).unwrap();
    let at = |number| state.group_at(GROUP, number).unwrap().map(|record| record.root);
    assert_eq!(
        [at(3), at(4), at(5), at(6), at(99)],
        [None, Some(first), Some(second), Some(second), Some(second)]
    );
    let old = block(&header(5, 0, 9));
    assert_eq!(state.receipt(marker(old, 50)).unwrap(), Some((old, receipt(old, 50))));
    assert_eq!(
        state.decided(payload(50)).unwrap(),
        Some(Decision { block: old, index: 2, marker: marker(old, 50) })
    );

    // Another branch from block 4 on decides the same payload in block 6.
    state.rewind(block(&header(4, 0, 9))).unwrap();
    assert_eq!([at(4), at(99)], [Some(first), Some(first)]);
    assert_eq!(state.receipt(marker(old, 50)).unwrap(), None);
    assert_eq!(state.decided(payload(50)).unwrap(), None);
    assert_eq!(slot(&state.group_snapshot(GROUP)), 40);
    state.commit(empty(header(5, 1, 4))).unwrap();
    commit(&state, header(6, 1, 4), 50);
    let new = block(&header(6, 1, 4));
    assert_eq!(at(99), Some(second), "same changes, same root");
    assert_eq!(at(5), Some(first));
    assert_eq!(state.decided(payload(50)).unwrap().map(|decision| decision.block), Some(new));
    assert_eq!(state.receipt(marker(old, 50)).unwrap(), None);

    // And back: the block of the first branch is followed again.
    state.rewind(block(&header(4, 0, 9))).unwrap();
    commit(&state, header(5, 0, 9), 50);
    assert_eq!(state.receipt(marker(old, 50)).unwrap().map(|found| found.0), Some(old));
    let blocks = state.group_blocks(GROUP, 0, u64::MAX, 9).unwrap();
    assert_eq!(blocks, [record(&header(4, 0, 9), first, 40), record(&header(5, 0, 9), second, 50)]);
    assert_eq!(state.group_blocks(GROUP, 0, u64::MAX, 1).unwrap().len(), 1);
    assert_eq!(state.group_blocks(GROUP, 5, 5, 9).unwrap().len(), 1);
}

#[test]
fn going_back_needs_a_followed_block_or_one_before_all() {
    let state = memory();
    let base = block(&header(9, 0, 99));
    state.rewind(base).unwrap();
    assert_eq!(state.followed().unwrap(), Some(base));
    assert!(state.commit(empty(header(12, 0, 99))).is_err());
    for number in 10..200 {
        state.commit(empty(header(number, 0, 999))).unwrap();
    }
    let stranger = BlockRef { number: 50, hash: B256::repeat_byte(1) };
    assert!(matches!(state.rewind(stranger), Err(StateError::NotFollowed(_))));
    assert!(matches!(
        state.rewind(BlockRef { number: 500, ..stranger }),
        Err(StateError::NotFollowed(_))
    ));
    state.rewind(block(&header(20, 0, 999))).unwrap();
    assert_eq!(
        (state.canonical(20).unwrap().is_some(), state.canonical(21).unwrap()),
        (true, None)
    );
    // The chain was set up anew.
    let other = BlockRef { number: 3, ..stranger };
    state.rewind(other).unwrap();
    assert_eq!((state.followed().unwrap(), state.canonical(9).unwrap()), (Some(other), None));
}

#[test]
fn everything_is_there_after_reopening() {
    let directory = tempfile::tempdir().unwrap();
    let open = || {
        let store = FjallStore::open(directory.path(), FjallOptions::default()).unwrap();
        State::open(Arc::new(store), StateOptions::default()).unwrap()
    };
    let state = open();
    let root = commit(&state, header(1, 0, 9), 10);
    commit(&state, header(2, 0, 9), 20);
    state.rewind(block(&header(1, 0, 9))).unwrap();
    let at = block(&header(1, 0, 9));
    drop(state);

    let state = open();
    assert_eq!(state.followed().unwrap(), Some(at));
    assert_eq!(state.groups(), [GROUP]);
    assert_eq!(state.group_at(GROUP, 9).unwrap().map(|record| record.root), Some(root));
    assert_eq!(state.meta(b"last").unwrap(), Some(vec![20]));
    assert_eq!(slot(&state.group_snapshot(GROUP)), 10);
    assert_eq!(slot(&state.snapshot(EMPTY_ROOT)), 0);
    let root = commit(&state, header(2, 0, 9), 30);
    drop(state);
    assert_eq!(slot(&open().snapshot(root)), 30);
}

#[test]
fn a_newer_format_is_refused() {
    let store = Arc::new(MemoryStore::new());
    State::open(store.clone(), StateOptions::default()).unwrap();
    let mut batch = Batch::default();
    batch.put(Table::Meta, schema::FORMAT_KEY, alloy_rlp::encode(schema::FORMAT + 1));
    store.commit(batch).unwrap();
    let refused = State::open(store.clone(), StateOptions::default());
    assert!(matches!(refused, Err(StateError::NewerFormat { found: 3, known: 2 })));
    let mut batch = Batch::default();
    batch.put(Table::Meta, schema::FORMAT_KEY, alloy_rlp::encode(schema::FORMAT - 1));
    store.commit(batch).unwrap();
    let refused = State::open(store.clone(), StateOptions::default());
    assert!(matches!(refused, Err(StateError::OlderFormat { found: 1, known: 2 })));
    let mut batch = Batch::default();
    batch.put(Table::Meta, schema::FORMAT_KEY, vec![0xc0]);
    store.commit(batch).unwrap();
    assert!(matches!(State::open(store, StateOptions::default()), Err(StateError::Corrupt(_))));
}

#[test]
fn a_group_is_replaced_as_a_whole() {
    let state = memory();
    for number in 1..=2 {
        commit(&state, header(number, 0, 9), u8::try_from(number).unwrap());
    }
    state.rewind(block(&header(1, 0, 9))).unwrap();
    commit(&state, header(2, 1, 1), 3);
    commit(&state, header(3, 1, 1), 4);
    let (second, third) = (header(2, 1, 1), header(3, 1, 1));

    let snapshot = state.snapshot(EMPTY_ROOT).apply(&set(77)).unwrap();
    let new = record(&second, snapshot.root(), 77);
    let mut late = receipt(block(&third), 4);
    late.reason = Reason::NotInHistory;
    let history = GroupHistory {
        group: GROUP,
        records: vec![new.clone()],
        facts: vec![members(&[1])],
        receipts: vec![
            (block(&second), receipt(block(&second), 77)),
            (block(&third), late.clone()),
        ],
        decisions: vec![(
            payload(77),
            Decision { block: block(&second), index: 2, marker: marker(block(&second), 77) },
        )],
        snapshot: Some(snapshot),
        meta: vec![(b"joined".to_vec(), Some(vec![1])), (b"last".to_vec(), None)],
    };
    state.replace_group(history.clone()).unwrap();
    assert_eq!(state.group_blocks(GROUP, 0, 99, 99).unwrap(), [new]);
    assert_eq!(slot(&state.group_snapshot(GROUP)), 77);
    assert_eq!(state.receipt(marker(block(&second), 3)).unwrap(), None);
    // Which marker decided a payload does not depend on what the group's history says of it.
    assert!(state.decided(payload(4)).unwrap().is_some());
    assert_eq!(state.receipt(late.marker).unwrap(), Some((block(&third), late)));
    assert!(state.decided(payload(77)).unwrap().is_some());
    assert_eq!(
        (state.meta(b"joined").unwrap(), state.meta(b"last").unwrap()),
        (Some(vec![1]), None)
    );

    let mut stray = history;
    stray.records.push(record(&header(2, 0, 9), EMPTY_ROOT, 1));
    assert!(matches!(state.replace_group(stray), Err(StateError::NotFollowed(_))));
    state.forget_group(GROUP).unwrap();
    assert!(state.groups().is_empty() && state.group_at(GROUP, 99).unwrap().is_none());
    assert_eq!(state.group_snapshot(GROUP).root(), EMPTY_ROOT);
}

#[test]
fn groups_do_not_mix() {
    let store = Arc::new(MemoryStore::new());
    let state = State::open(store.clone(), StateOptions::default()).unwrap();
    let first = header(1, 0, 9);
    let group = |group| GroupCommit {
        group,
        record: record(&first, EMPTY_ROOT, 1),
        snapshot: None,
        facts: members(&[]),
    };
    state
        .commit(BlockCommit { groups: vec![group(OTHER), group(GROUP)], ..empty(first.clone()) })
        .unwrap();
    commit(&state, header(2, 0, 9), 2);
    for state in [state, State::open(store, StateOptions::default()).unwrap()] {
        assert_eq!(state.groups(), [GROUP, OTHER]);
        assert_eq!(state.group_at(OTHER, 9).unwrap().map(|record| record.block.number), Some(1));
        assert_eq!(state.group_at(GROUP, 9).unwrap().map(|record| record.block.number), Some(2));
        assert_eq!(state.group_blocks(OTHER, 0, 9, 9).unwrap().len(), 1);
    }
}

#[test]
fn accounts_are_deleted_with_their_storage() {
    let state = memory();
    let changes = |account| StateChanges { accounts: vec![(ACCOUNT, account)], code: Vec::new() };
    let full =
        state.snapshot(EMPTY_ROOT).apply(&changes(Some(change(1, &[(1, 7), (2, 8)])))).unwrap();
    let gone = full.apply(&changes(None)).unwrap();
    assert_eq!((gone.root(), gone.account(ACCOUNT).unwrap()), (EMPTY_ROOT, None));
    let again = gone.apply(&changes(Some(change(1, &[(2, 9)])))).unwrap();
    assert_eq!((slot(&again), slot(&full)), (0, 7));
    let cleared = AccountChange { storage_cleared: true, ..change(1, &[(2, 9)]) };
    assert_eq!(full.apply(&changes(Some(cleared))).unwrap().root(), again.root());
    let emptied = full.apply(&changes(Some(change(1, &[(1, 0), (2, 0)])))).unwrap();
    assert_eq!(emptied.account(ACCOUNT).unwrap().unwrap().storage_root, EMPTY_ROOT);
}

#[test]
fn code_is_found_before_and_after_it_is_saved() {
    let state = memory();
    let code = Bytes::from_static(b"code");
    let hash = keccak256(&code);
    let account = AccountChange { code_hash: hash, ..change(1, &[]) };
    let changes =
        StateChanges { accounts: vec![(ACCOUNT, Some(account))], code: vec![(hash, code.clone())] };
    let snapshot = state.snapshot(EMPTY_ROOT).apply(&changes).unwrap();
    assert_eq!(snapshot.code(hash).unwrap(), code);
    let root = snapshot.root();
    assert!(matches!(
        state.snapshot(root).account(ACCOUNT),
        Err(StateError::Corrupt(Corruption::MissingNode(_)))
    ));
    assert!(matches!(
        state.snapshot(root).code(hash),
        Err(StateError::Corrupt(Corruption::MissingCode(_)))
    ));
    let saved = state.save(&snapshot).unwrap();
    assert_eq!(saved.code(hash).unwrap(), code);
    assert_eq!(state.snapshot(root).account(ACCOUNT).unwrap().unwrap().code_hash, hash);
}

#[test]
fn memory_stays_bounded_and_reads_stay_right() {
    let options = StateOptions { resident_bytes_max: 200_000 };
    let state = State::open(Arc::new(MemoryStore::new()), options).unwrap();
    for number in 1..60 {
        let storage: Vec<_> = (0..40).map(|slot| (number * 40 + slot, number)).collect();
        let header = header(number, 0, 99);
        let changes = StateChanges {
            accounts: vec![(ACCOUNT, Some(change(number, &storage)))],
            code: Vec::new(),
        };
        let snapshot = state.group_snapshot(GROUP).apply(&changes).unwrap();
        let group = GroupCommit {
            group: GROUP,
            record: record(&header, snapshot.root(), 1),
            snapshot: Some(snapshot),
            facts: members(&[]),
        };
        state.commit(BlockCommit { groups: vec![group], ..empty(header) }).unwrap();
        assert!(state.inner.resident.lock().bytes() <= 100_000);
    }
    let snapshot = state.group_snapshot(GROUP);
    for slot in 40..60 * 40 {
        assert_eq!(snapshot.storage(ACCOUNT, U256::from(slot)).unwrap(), U256::from(slot / 40));
    }
}

/// Fails every commit from a certain one on.
struct Failing(MemoryStore, std::sync::atomic::AtomicUsize);

impl Store for Failing {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<crate::store::Value>, StoreError> {
        self.0.get(table, key)
    }
    fn range(
        &self,
        table: Table,
        start: &[u8],
        end: &[u8],
        limit: usize,
    ) -> Result<Vec<crate::store::Entry>, StoreError> {
        self.0.range(table, start, end, limit)
    }
    fn range_rev(
        &self,
        table: Table,
        start: &[u8],
        end: &[u8],
        limit: usize,
    ) -> Result<Vec<crate::store::Entry>, StoreError> {
        self.0.range_rev(table, start, end, limit)
    }
    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        use std::sync::atomic::Ordering::Relaxed;
        let left = self.1.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1));
        left.map_err(|_| StoreError::Poisoned).and_then(|_| self.0.commit(batch))
    }
}

#[test]
fn a_failed_write_changes_nothing() {
    let store = Failing(MemoryStore::new(), 2.into());
    let state = State::open(Arc::new(store), StateOptions::default()).unwrap();
    let root = commit(&state, header(1, 0, 9), 1);
    let snapshot = state.group_snapshot(GROUP).apply(&set(2)).unwrap();
    let next = header(2, 0, 9);
    let group = GroupCommit {
        group: GROUP,
        record: record(&next, snapshot.root(), 2),
        snapshot: Some(snapshot),
        facts: members(&[]),
    };
    let failed = state.commit(BlockCommit { groups: vec![group], ..empty(next) });
    assert!(matches!(failed, Err(StateError::Store(StoreError::Poisoned))));
    assert_eq!(state.followed().unwrap(), Some(block(&header(1, 0, 9))));
    assert_eq!(state.group_at(GROUP, 9).unwrap().map(|record| record.root), Some(root));
    assert_eq!(slot(&state.group_snapshot(GROUP)), 1);
    assert!(state.rewind(block(&header(0, 0, 9))).is_err());
    assert_eq!(state.groups(), [GROUP]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_root_depends_on_content_only(writes in vec((0..6u8, 0..6u64, 0..3u64), 1..60), split in 0..60usize) {
        let changes = |writes: &[(u8, u64, u64)]| {
            let mut accounts = BTreeMap::<Address, BTreeMap<u64, u64>>::new();
            for (account, slot, value) in writes {
                accounts.entry(Address::repeat_byte(*account)).or_default().insert(*slot, *value);
            }
            let change = |slots: BTreeMap<u64, u64>| change(1, &slots.into_iter().collect::<Vec<_>>());
            StateChanges {
                accounts: accounts.into_iter().map(|(address, slots)| (address, Some(change(slots)))).collect(),
                code: Vec::new(),
            }
        };
        let state = memory();
        let empty = state.snapshot(EMPTY_ROOT);
        let once = empty.apply(&changes(&writes)).unwrap();
        let (first, second) = writes.split_at(split.min(writes.len()));
        let half = state.save(&empty.apply(&changes(first)).unwrap()).unwrap();
        let twice = state.snapshot(half.root()).apply(&changes(second)).unwrap();
        prop_assert_eq!(once.root(), twice.root());
    }
}

/// A block after which the group has these members.
fn commit_members(state: &State, header: Header, seeds: &[u8]) {
    let record = record(&header, EMPTY_ROOT, 0);
    let group = GroupCommit { group: GROUP, record, snapshot: None, facts: members(seeds) };
    state.commit(BlockCommit { groups: vec![group], ..empty(header) }).unwrap();
}

#[track_caller]
fn check_membership(state: &State, seed: u8, number: u64, want: Membership) {
    assert_eq!(state.membership(GROUP, &member(seed), number).unwrap(), want, "{seed} at {number}");
}

#[test]
fn memberships_are_those_of_the_followed_branch() {
    let state = memory();
    let at = |number, branch| block(&header(number, branch, 3));
    for (number, seeds) in [(1, &[1, 2][..]), (2, &[1, 2]), (3, &[1]), (4, &[1, 3]), (5, &[3])] {
        commit_members(&state, header(number, 0, 3), seeds);
    }
    for (seed, number, want) in [
        (1, 0, Membership::Never),
        (1, 1, Membership::Member),
        (1, 4, Membership::Member),
        (1, 5, Membership::Removed(at(5, 0))),
        (2, 2, Membership::Member),
        (2, 3, Membership::Removed(at(3, 0))),
        (2, 9, Membership::Removed(at(3, 0))),
        (3, 3, Membership::Never),
        (3, 9, Membership::Member),
        (4, 9, Membership::Never),
    ] {
        check_membership(&state, seed, number, want);
    }
    assert_eq!(state.membership(OTHER, &member(1), 9).unwrap(), Membership::Never);
    // Another branch: 2 comes back, 3 never came.
    state.rewind(at(3, 0)).unwrap();
    check_membership(&state, 3, 9, Membership::Never);
    commit_members(&state, header(4, 1, 3), &[1, 2]);
    check_membership(&state, 1, 9, Membership::Member);
    check_membership(&state, 2, 9, Membership::Member);
    check_membership(&state, 3, 9, Membership::Never);
    // And out again: the last removal counts.
    commit_members(&state, header(5, 1, 3), &[1]);
    check_membership(&state, 2, 9, Membership::Removed(at(5, 1)));
    state.forget_group(GROUP).unwrap();
    check_membership(&state, 1, 9, Membership::Never);
}

/// A block with a log: number, address, topics.
type LogAt = (u8, u8, Vec<u8>);

fn word(seed: u8) -> B256 {
    B256::repeat_byte(seed)
}

/// A block with these logs, each by a marker of its own.
fn commit_logs(state: &State, header: Header, logs: &[(u8, Vec<u8>)]) {
    let at = block(&header);
    let receipts = logs.iter().enumerate().map(|(seed, (address, topics))| {
        let topics = topics.iter().copied().map(word).collect();
        let data = alloy_primitives::LogData::new_unchecked(topics, Bytes::new());
        let log = alloy_primitives::Log { address: Address::repeat_byte(*address), data };
        Receipt { logs: vec![log], ..receipt(at, u8::try_from(seed).unwrap()) }
    });
    state.commit(BlockCommit { receipts: receipts.collect(), ..empty(header) }).unwrap();
}

fn found(state: &State, address: &[u8], topics: &[Vec<u8>], from: u64, to: u64) -> Vec<u64> {
    let addresses: Vec<_> = address.iter().copied().map(Address::repeat_byte).collect();
    let topics: Vec<Vec<_>> =
        topics.iter().map(|it| it.iter().copied().map(word).collect()).collect();
    let wanted = LogsWanted { addresses: &addresses, topics: &topics };
    let (mut found, mut next) = (Vec::new(), Some(from));
    while let Some(from) = next {
        let page = state.log_blocks(GROUP, wanted, from, to, 7).unwrap();
        assert!(page.next.is_none_or(|next| next > from || page.blocks.is_empty()));
        (found, next) = ([found, page.blocks].concat(), page.next);
    }
    found
}

#[test]
fn logs_of_a_branch_that_was_left_are_forgotten_with_the_group() {
    let state = memory();
    commit_logs(&state, header(1, 0, 9), &[(1, vec![2, 3])]);
    assert_eq!(found(&state, &[1], &[], 0, 9), [1]);
    state.rewind(block(&header(0, 0, 9))).unwrap();
    // It says too much; whoever asks looks at the logs themselves.
    assert_eq!(found(&state, &[1], &[], 0, 9), [1]);
    state.forget_group(GROUP).unwrap();
    assert_eq!(found(&state, &[1], &[], 0, 9), [0; 0]);
}

#[test]
fn finding_logs_stops_at_the_limit() {
    let state = memory();
    for number in 1..=200 {
        commit_logs(&state, header(number, 0, 999), &[(1, vec![2])]);
    }
    let wanted = LogsWanted { addresses: &[Address::repeat_byte(1)], topics: &[vec![word(2)]] };
    let search = |group, from, to, limit| state.log_blocks(group, wanted, from, to, limit).unwrap();
    let page = search(GROUP, 5, 900, 3);
    assert_eq!((page.blocks, page.next), (vec![5, 6, 7], Some(8)));
    let all = search(GROUP, 5, 150, 1_000).blocks;
    assert_eq!(all, (5..=150).collect::<Vec<_>>());
    for (group, from, to, want) in
        [(OTHER, 0, u64::MAX, &[][..]), (GROUP, 200, u64::MAX, &[200]), (GROUP, 9, 8, &[])]
    {
        let page = search(group, from, to, 9);
        assert_eq!((&*page.blocks, page.next), (want, None));
    }
}

#[test]
fn a_search_that_finds_nothing_for_long_lets_others_have_their_turn() {
    let state = memory();
    // Two values that never meet.
    for number in 1..=20_000_u64 {
        let address = if number.is_multiple_of(2) { 1 } else { 2 };
        commit_logs(&state, header(number, 0, 99_999), &[(address, vec![address])]);
    }
    let wanted = LogsWanted { addresses: &[Address::repeat_byte(1)], topics: &[vec![word(2)]] };
    let (mut next, mut pages) = (Some(0), 0);
    while let Some(from) = next {
        let page = state.log_blocks(GROUP, wanted, from, u64::MAX, 9).unwrap();
        assert_eq!(page.blocks, [0; 0]);
        assert!(page.next.is_none_or(|next| next > from));
        (next, pages) = (page.next, pages + 1);
    }
    assert!(pages > 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Every block that has a log for each of the criteria is found, and no block without any.
    #[test]
    fn the_index_finds_what_a_search_finds(
        logs in vec((1_u8..40, 1_u8..4, vec(1_u8..5, 0..4)), 0..60),
        addresses in vec(1_u8..5, 0..3),
        topics in vec(vec(1_u8..6, 0..3), 0..4),
        from in 0_u64..30, to in 0_u64..50,
    ) {
        let logs: Vec<LogAt> = logs;
        let state = memory();
        for number in 1..40 {
            let of_block = logs.iter().filter(|log| log.0 == number);
            let of_block: Vec<_> =
                of_block.map(|(_, address, topics)| (*address, topics.clone())).collect();
            commit_logs(&state, header(u64::from(number), 0, 99), &of_block);
        }
        let found = found(&state, &addresses, &topics, from, to);
        let has = |number: u64, test: &dyn Fn(&LogAt) -> bool| {
            logs.iter().any(|log| u64::from(log.0) == number && test(log))
        };
        let want: Vec<u64> = (from..=to).filter(|number| {
            let address = addresses.is_empty() || has(*number, &|log| addresses.contains(&log.1));
            let topics = topics.iter().enumerate().all(|(position, accepted)| {
                accepted.is_empty() || has(*number, &|log| {
                    log.2.get(position).is_some_and(|topic| accepted.contains(topic))
                })
            });
            has(*number, &|_| true) && address && topics
        }).collect();
        prop_assert_eq!(found, want);
    }
}
