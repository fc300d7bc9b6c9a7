//! Watchers of a state that is written by hand: whatever happens to it, what they were told adds
//! up to what can be read.

use std::collections::BTreeMap;

use alloy_primitives::{Address, Bytes, Log, LogData, U256};
use coterie_core::PayloadKey;
use proptest::prelude::*;

use super::{
    super::{ServiceOptions, read::tests::service_of},
    *,
};
use crate::{
    chain::Header,
    executor::GroupFacts,
    state::{
        BlockCommit, EMPTY_ROOT, GroupCommit, GroupHistory, GroupMarker, Reason, Receipt, State,
        StateOptions,
    },
    store::MemoryStore,
};

const GROUP: GroupId = GroupId(B256::repeat_byte(7));
const EVERYTHING: LogFilter =
    LogFilter { range: LogRange::EVERYTHING, addresses: Vec::new(), topics: Vec::new() };

/// A contract by a small number.
fn contract(number: u8) -> Address {
    Address::repeat_byte(number)
}

/// Blocks of all branches, and the service that sees them.
struct World {
    state: State,
    followed: watch::Sender<Option<BlockRef>>,
    service: Service,
    headers: BTreeMap<BlockRef, Header>,
    made: u64,
    decided: u64,
}

impl World {
    async fn new() -> Self {
        let state = State::open(Arc::new(MemoryStore::new()), StateOptions::default()).unwrap();
        let followed = watch::Sender::new(None);
        let options = ServiceOptions { filters_per_tenant_max: 3, ..ServiceOptions::default() };
        let service = service_of(state.clone(), &followed, options).await;
        let (headers, made, decided) = (BTreeMap::new(), 0, 0);
        Self { state, followed, service, headers, made, decided }
    }

    fn tenant(&self) -> Tenant {
        self.service.default_tenant()
    }

    fn head(&self) -> Option<BlockRef> {
        self.state.followed().unwrap()
    }

    /// Follows a new block with a marker for each of these, that has so many logs.
    fn follow(&mut self, logs: &[u8]) {
        self.made += 1;
        let parent = self.head();
        let number = parent.map_or(1, |parent| parent.number + 1);
        let header = Header {
            number,
            hash: B256::from(U256::from(self.made << 32)),
            parent_hash: parent.map_or(B256::ZERO, |parent| parent.hash),
            timestamp: number,
            beneficiary: Address::ZERO,
            gas_limit: 30_000_000,
            base_fee: Some(0),
            difficulty: U256::ZERO,
            mix_hash: B256::ZERO,
            excess_blob_gas: Some(0),
        };
        self.headers.insert(BlockRef { number, hash: header.hash }, header.clone());
        self.decide(header, logs);
    }

    /// Follows a block.
    fn decide(&mut self, header: Header, logs: &[u8]) {
        let block = BlockRef { number: header.number, hash: header.hash };
        let (record, receipts) = self.outcome(block, logs);
        let groups = match logs {
            [] => Vec::new(),
            _ => vec![GroupCommit {
                group: GROUP,
                record,
                snapshot: None,
                facts: Arc::new(GroupFacts::before_creation()),
            }],
        };
        let (decisions, meta) = (Vec::new(), Vec::new());
        self.state.commit(BlockCommit { header, groups, receipts, decisions, meta }).unwrap();
        self.followed.send_replace(Some(block));
    }

    fn outcome(&mut self, block: BlockRef, logs: &[u8]) -> (GroupBlock, Vec<Receipt>) {
        self.decided += 1;
        let (mut markers, mut receipts) = (Vec::new(), Vec::new());
        for (count, index) in logs.iter().zip(0u64..) {
            // The same transaction on every branch, so that hashes alone do not tell logs apart.
            let marker = B256::from(U256::from((block.number << 8) + index));
            let payload = PayloadKey(marker);
            let reason = if *count == 9 { Reason::Reverted } else { Reason::Executed };
            markers.push(GroupMarker { index, marker, payload, reason });
            let log = |at: u8| {
                let topics = vec![B256::from(U256::from(self.decided))];
                let data = LogData::new_unchecked(topics, Bytes::from(vec![at]));
                Log { address: contract(at % 2), data }
            };
            receipts.push(Receipt {
                marker,
                index,
                payload,
                group: Some(GROUP),
                reason,
                decided_by: None,
                output: Bytes::new(),
                revert: None,
                logs: if *count == 9 { Vec::new() } else { (0..*count).map(log).collect() },
                contract: None,
                sender: None,
            });
        }
        let record = GroupBlock {
            block,
            root: EMPTY_ROOT,
            digest: B256::from(U256::from(self.decided)),
            counted: self.decided,
            created: block,
            markers,
        };
        (record, receipts)
    }

    /// Goes back by so many blocks.
    fn rewind(&mut self, blocks: u64) {
        let Some(head) = self.head() else { return };
        let number = head.number.saturating_sub(blocks).max(1);
        let hash = self.state.canonical(number).unwrap().unwrap();
        let to = BlockRef { number, hash };
        self.state.rewind(to).unwrap();
        self.followed.send_replace(Some(to));
    }

    /// Follows a block that was left, if there is one on the head; it is decided anew.
    fn again(&mut self, logs: &[u8]) {
        let Some(head) = self.head() else { return };
        let header = self.headers.values().find(|it| it.parent_hash == head.hash).cloned();
        if let Some(header) = header {
            self.decide(header, logs);
        }
    }

    /// Takes over a history that keeps every record but those of each so many-th block.
    fn replace(&mut self, every: u64, logs: &[u8]) {
        let Some(head) = self.head() else { return };
        let mut history = GroupHistory {
            group: GROUP,
            records: Vec::new(),
            facts: Vec::new(),
            receipts: Vec::new(),
            decisions: Vec::new(),
            snapshot: None,
            meta: Vec::new(),
        };
        for number in 1..=head.number {
            let Some(hash) = self.state.canonical(number).unwrap() else { continue };
            let block = BlockRef { number, hash };
            let (record, receipts) = match self.state.record(GROUP, block).unwrap() {
                Some(record) if number % every != 0 => {
                    let receipt =
                        |it: &GroupMarker| self.state.receipt_in(it.marker, hash).unwrap();
                    let receipts = record.markers.iter().filter_map(receipt).collect();
                    (record, receipts)
                }
                None if number % every != 0 => continue,
                Some(_) | None if logs.is_empty() => continue,
                Some(_) | None => self.outcome(block, logs),
            };
            history.records.push(record);
            history.facts.push(Arc::new(GroupFacts::before_creation()));
            history.receipts.extend(receipts.into_iter().map(|receipt| (block, receipt)));
        }
        self.state.replace_group(history).unwrap();
        self.followed.send_modify(|_| {});
    }

    async fn read(&self, filter: &LogFilter) -> Vec<PrivateLog> {
        self.service.logs(&self.tenant(), GROUP, filter.clone()).await.unwrap()
    }
}

/// Somebody who believes what it is told.
struct Believer {
    watcher: Watcher,
    logs: BTreeMap<(BlockRef, u64), PrivateLog>,
}

impl Believer {
    /// Knows what there is.
    async fn new(world: &World, filter: LogFilter) -> Self {
        let logs = world.read(&filter).await;
        let watcher = world.service.watch(&world.tenant(), GROUP, filter).unwrap();
        let logs = logs.into_iter().map(|it| ((it.block, it.log_index), it)).collect();
        Self { watcher, logs }
    }

    /// Is told at most so many steps.
    fn listen(&mut self, world: &World, steps: usize) {
        for _ in 0..steps {
            let news = world.service.news(&mut self.watcher).unwrap();
            for log in news.logs {
                self.hear(log);
            }
            if !news.more {
                return;
            }
        }
    }

    fn hear(&mut self, log: PrivateLog) {
        let key = (log.block, log.log_index);
        if log.removed {
            let known = self.logs.remove(&key);
            assert_eq!(known, Some(PrivateLog { removed: false, ..log }), "was never told");
        } else {
            assert_eq!(self.logs.insert(key, log), None, "told twice");
        }
    }

    async fn check(&self, world: &World) {
        let known: Vec<_> = self.logs.values().cloned().collect();
        assert_eq!(known, world.read(self.watcher.filter()).await);
    }
}

#[derive(Clone, Debug)]
enum Event {
    Follow(Vec<u8>),
    Rewind(u64),
    Again(Vec<u8>),
    Replace(u64, Vec<u8>),
    Listen(usize, usize),
    Join,
}

fn event() -> impl Strategy<Value = Event> {
    // Nine stands for a failed transaction.
    let logs = || prop::collection::vec(prop_oneof![0..4u8, Just(9)], 0..3);
    prop_oneof![
        6 => logs().prop_map(Event::Follow),
        2 => (1..5u64).prop_map(Event::Rewind),
        2 => logs().prop_map(Event::Again),
        1 => (2..5u64, logs()).prop_map(|(every, logs)| Event::Replace(every, logs)),
        5 => (0..4usize, 1..3usize).prop_map(|(who, steps)| Event::Listen(who, steps)),
        1 => Just(Event::Join),
    ]
}

async fn play(events: Vec<Event>) {
    let mut world = World::new().await;
    let one = LogFilter { addresses: vec![contract(1)], ..EVERYTHING };
    let range = LogRange::Blocks(BlockId::Number(3), BlockId::Number(6));
    let some = LogFilter { range, ..EVERYTHING };
    let mut believers = Vec::new();
    for filter in [EVERYTHING, one, some] {
        believers.push(Believer::new(&world, filter).await);
    }
    for event in events {
        match event {
            Event::Follow(logs) => world.follow(&logs),
            Event::Rewind(blocks) => world.rewind(blocks),
            Event::Again(logs) => world.again(&logs),
            Event::Replace(every, logs) => world.replace(every, &logs),
            Event::Listen(who, steps) => {
                let who = who % believers.len();
                believers[who].listen(&world, steps);
            }
            Event::Join => believers.push(Believer::new(&world, EVERYTHING).await),
        }
    }
    for believer in &mut believers {
        believer.listen(&world, usize::MAX);
        believer.check(&world).await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_watchers_are_told_adds_up_to_what_is_read(
        events in prop::collection::vec(event(), 0..60)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(play(events));
    }
}

fn numbers(logs: &[PrivateLog]) -> Vec<(u64, u64, bool)> {
    logs.iter().map(|it| (it.block.number, it.log_index, it.removed)).collect()
}

#[tokio::test]
async fn logs_that_are_no_more_come_first_and_backwards() {
    let mut world = World::new().await;
    world.follow(&[1]);
    let mut watcher = world.service.watch(&world.tenant(), GROUP, EVERYTHING).unwrap();
    assert_eq!(world.service.news(&mut watcher).unwrap(), News::default());
    world.follow(&[2]);
    world.follow(&[1]);
    let news = world.service.news(&mut watcher).unwrap();
    assert_eq!(numbers(&news.logs), [(2, 0, false), (2, 1, false), (3, 0, false)]);
    world.rewind(2);
    world.follow(&[1]);
    let news = world.service.news(&mut watcher).unwrap();
    let want = [(3, 0, true), (2, 1, true), (2, 0, true), (2, 0, false)];
    assert_eq!(numbers(&news.logs), want);
    assert!(!news.more);
}

#[tokio::test]
async fn a_block_that_is_decided_otherwise_the_second_time_is_told() {
    // A group that is first seen then, one that is not seen then, and one that has other logs.
    for (first, second) in [(vec![], vec![1]), (vec![1], vec![]), (vec![1, 9], vec![9, 2])] {
        let mut world = World::new().await;
        world.follow(&[]);
        let mut early = Believer::new(&world, EVERYTHING).await;
        world.follow(&first);
        let mut late = Believer::new(&world, EVERYTHING).await;
        early.listen(&world, 1);
        world.rewind(1);
        world.again(&second);
        for believer in [&mut early, &mut late] {
            believer.listen(&world, usize::MAX);
            believer.check(&world).await;
        }
    }
}

#[tokio::test]
async fn many_logs_come_in_steps_that_lose_nothing() {
    let mut world = World::new().await;
    world.follow(&[]);
    let mut believer = Believer::new(&world, EVERYTHING).await;
    for _ in 0..600 {
        world.follow(&[8, 3]);
    }
    let news = world.service.news(&mut believer.watcher).unwrap();
    assert!(news.more && news.logs.len() < 1_100, "{}", news.logs.len());
    news.logs.into_iter().for_each(|log| believer.hear(log));
    // On the way, most of what it knows and does not know goes away.
    world.rewind(590);
    world.follow(&[1]);
    believer.listen(&world, usize::MAX);
    believer.check(&world).await;
}

#[tokio::test]
async fn a_watcher_of_what_was_forgotten_ends_with_an_error() {
    let mut world = World::new().await;
    world.follow(&[1]);
    let mut watcher = world.service.watch(&world.tenant(), GROUP, EVERYTHING).unwrap();
    for _ in 0..40 {
        world.replace(1, &[1]);
    }
    for _ in 0..2 {
        let news = world.service.news(&mut watcher);
        assert!(matches!(news, Err(WatchError::Forgotten)), "{news:?}");
    }
}

#[tokio::test]
async fn a_history_that_differs_too_much_is_not_told() {
    let mut world = World::new().await;
    world.follow(&[]);
    let mut watcher = world.service.watch(&world.tenant(), GROUP, EVERYTHING).unwrap();
    for _ in 0..50 {
        world.follow(&[]);
    }
    assert_eq!(world.service.news(&mut watcher).unwrap(), News::default());
    // Each block gets about 250 logs.
    world.replace(1, &[255]);
    let news = world.service.news(&mut watcher);
    assert!(matches!(news, Err(WatchError::Forgotten)), "{news:?}");
}

#[tokio::test]
async fn a_stranger_watches_nothing() {
    let mut world = World::new().await;
    world.follow(&[1]);
    let tenant = Tenant::holder(world.tenant().key);
    let refused = |refused| matches!(refused, Err(WatchError::Read(ReadError::NotAMember(GROUP))));
    assert!(refused(world.service.watch(&tenant, GROUP, EVERYTHING).map(|_| ())));
    assert!(refused(world.service.new_filter(&tenant, GROUP, EVERYTHING).map(|_| ())));
    let id = world.service.new_filter(&world.tenant(), GROUP, EVERYTHING).unwrap();
    assert!(refused(world.service.filter_changes(&tenant, GROUP, id).await.map(|_| ())));
    assert!(refused(world.service.uninstall_filter(&tenant, GROUP, id).map(|_| ())));
    assert!(world.service.uninstall_filter(&world.tenant(), GROUP, id).unwrap());
}

#[tokio::test]
async fn a_filter_tells_everything_once_and_belongs_to_one_caller_and_group() {
    let mut world = World::new().await;
    world.follow(&[1]);
    let (owner, service) = (world.tenant(), &world.service);
    let id = service.new_filter(&owner, GROUP, EVERYTHING).unwrap();
    assert_eq!(service.filter_changes(&owner, GROUP, id).await.unwrap(), []);
    assert_eq!(service.filter_logs(&owner, GROUP, id).await.unwrap().len(), 1);
    world.follow(&[2]);
    let service = &world.service;
    let changes = service.filter_changes(&owner, GROUP, id).await.unwrap();
    assert_eq!(numbers(&changes), [(2, 0, false), (2, 1, false)]);
    assert_eq!(service.filter_changes(&owner, GROUP, id).await.unwrap(), []);

    let other = GroupId(B256::repeat_byte(8));
    let somebody = Tenant::owner(coterie_core::EnclaveKey::Nacl([3; 32]));
    for (tenant, group) in [(&owner, other), (&somebody, GROUP)] {
        let changes = service.filter_changes(tenant, group, id).await;
        assert!(matches!(changes, Err(WatchError::FilterUnknown)), "{changes:?}");
        let logs = service.filter_logs(tenant, group, id).await;
        assert!(matches!(logs, Err(WatchError::FilterUnknown)), "{logs:?}");
        assert!(!service.uninstall_filter(tenant, group, id).unwrap());
    }
    assert!(service.uninstall_filter(&owner, GROUP, id).unwrap());
    assert!(!service.uninstall_filter(&owner, GROUP, id).unwrap());
}

#[tokio::test]
async fn a_caller_has_a_limited_number_of_filters() {
    let world = World::new().await;
    let new = || world.service.new_filter(&world.tenant(), GROUP, EVERYTHING);
    let ids = [new().unwrap(), new().unwrap(), new().unwrap()];
    assert!(matches!(new(), Err(WatchError::TooMany { limit: 3, .. })));
    assert!(world.service.uninstall_filter(&world.tenant(), GROUP, ids[0]).unwrap());
    new().unwrap();
    let addresses = vec![contract(1); 257];
    let large = LogFilter { addresses, ..EVERYTHING };
    let refused = world.service.watch(&world.tenant(), GROUP, large);
    assert!(matches!(refused, Err(WatchError::TooMany { limit: 256, .. })));
}
