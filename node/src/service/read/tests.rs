//! Reads of a service whose state was written by hand, on a chain that knows nothing.

use std::{pin::pin, sync::Arc};

use alloy_primitives::LogData;
use async_trait::async_trait;
use axum::{Router, routing::post};
use coterie_core::{NetworkDefinition, PayloadKey, access::Relation, contracts::CODE_HASHES};
use futures::poll;
use tokio::sync::{broadcast, mpsc, watch};

use super::{
    super::{Following, FollowingStopped, ServiceOptions, View, markers::MarkerOptions},
    *,
};
use crate::{
    chain::{
        Header,
        client::{RpcChain, RpcOptions},
    },
    enclave::{AskError, Carrier, EmbeddedEnclave, EnclaveLimits, Storage, keys::KeyPair},
    executor::{Executor, Genesis, GroupFacts},
    state::{
        BlockCommit, Corruption, GroupCommit, GroupMarker, Receipt, State, StateError, StateOptions,
    },
    store::MemoryStore,
};

const GROUP: GroupId = GroupId(B256::repeat_byte(7));
const CONTRACT: Address = Address::repeat_byte(8);
/// More than two pages of records.
const BLOCKS: u64 = 600;

/// Nobody else.
struct Alone;

#[async_trait]
impl Carrier for Alone {
    async fn push(&self, _: EnclaveKey, _: Vec<u8>) -> Result<(), String> {
        Err("nobody is there".to_owned())
    }

    async fn ask(
        &self,
        _: EnclaveKey,
        to: EnclaveKey,
        _: &str,
        _: Bytes,
    ) -> Result<Bytes, AskError> {
        Err(AskError::UnknownPeer(to))
    }
}

/// A chain that answers everything with `null`.
async fn null_chain() -> RpcChain {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer = || async { r#"{"jsonrpc":"2.0","id":1,"result":null}"# };
    let router = Router::new().fallback(post(answer));
    tokio::spawn(async move { axum::serve(listener, router).await });
    RpcChain::new(RpcOptions::new(url.parse().unwrap())).unwrap()
}

fn header(number: u64) -> Header {
    let hash = |number: u64| B256::from(U256::from(number.wrapping_add(1)));
    Header {
        number,
        hash: hash(number),
        parent_hash: hash(number.wrapping_sub(1)),
        timestamp: number,
        beneficiary: Address::ZERO,
        gas_limit: 30_000_000,
        base_fee: Some(0),
        difficulty: U256::ZERO,
        mix_hash: B256::ZERO,
        excess_blob_gas: Some(0),
    }
}

/// A group whose every block has one log.
fn commit(number: u64) -> BlockCommit {
    let header = header(number);
    let block = BlockRef { number, hash: header.hash };
    let (marker, payload) = (B256::from(U256::from(number)), PayloadKey(header.hash));
    let record = GroupBlock {
        block,
        root: EMPTY_ROOT,
        digest: B256::ZERO,
        counted: number,
        created: block,
        markers: vec![GroupMarker { index: 0, marker, payload, reason: Reason::Executed }],
    };
    let data = LogData::new_unchecked(vec![B256::ZERO], Bytes::new());
    let receipt = Receipt {
        marker,
        index: 0,
        payload,
        group: Some(GROUP),
        reason: Reason::Executed,
        decided_by: None,
        output: Bytes::new(),
        revert: None,
        logs: vec![Log { address: CONTRACT, data }],
        contract: None,
        sender: None,
    };
    let facts = Arc::new(GroupFacts::before_creation());
    let groups = vec![GroupCommit { group: GROUP, record, snapshot: None, facts }];
    let (decisions, meta) = (Vec::new(), Vec::new());
    BlockCommit { header, groups, receipts: vec![receipt], decisions, meta }
}

async fn service(blocks: u64) -> Service {
    let state = State::open(Arc::new(MemoryStore::new()), StateOptions::default()).unwrap();
    for number in 0..blocks {
        state.commit(commit(number)).unwrap();
    }
    let followed = watch::Sender::new(state.followed().unwrap());
    service_of(state, &followed, ServiceOptions::default()).await
}

/// A service of a state that somebody else writes and tells of.
pub(in super::super) async fn service_of(
    state: State,
    followed: &watch::Sender<Option<BlockRef>>,
    options: ServiceOptions,
) -> Service {
    let definition = Arc::new(NetworkDefinition::coterie("test", 1337, CODE_HASHES));
    let enclave = EmbeddedEnclave::offline(
        vec![KeyPair::generate().unwrap()],
        &Storage::Memory,
        (*definition).clone(),
        &EnclaveLimits::default(),
        Arc::new(Alone),
    );
    let following = Following {
        followed: followed.subscribe(),
        head: watch::channel(None).1,
        joining: watch::channel(Vec::new()).1,
        covered: watch::channel(std::collections::HashMap::default()).1,
        unread: Arc::default(),
        stopped: watch::channel(None).1,
        healed: watch::Sender::default().subscribe(),
        events: broadcast::channel(1).0,
        requests: mpsc::channel(1).0,
    };
    let view = View::new(
        (Arc::new(null_chain().await), Arc::new(enclave.unwrap())),
        state,
        Executor::new(Arc::clone(&definition), Genesis::of(&definition)).unwrap(),
        definition,
        following,
    );
    let markers = MarkerOptions { key: None, gas_price_max: 0 };
    Service::new(view, markers, options)
}

#[tokio::test]
async fn a_search_of_logs_can_be_ended_between_its_pages() {
    let service = service(BLOCKS).await;
    let tenant = service.default_tenant();
    let range = LogRange::Blocks(BlockId::Number(0), BlockId::Latest);
    let filter = LogFilter { range, addresses: Vec::new(), topics: Vec::new() };
    let mut search = pin!(service.logs(&tenant, GROUP, filter));
    for _ in 0..3 {
        assert!(poll!(&mut search).is_pending());
    }
    assert_eq!(search.await.unwrap().len() as u64, BLOCKS);
}

#[tokio::test]
async fn before_the_first_block_it_matters_whether_one_will_come() {
    let state = State::open(Arc::new(MemoryStore::new()), StateOptions::default()).unwrap();
    let followed = watch::Sender::new(None);
    let mut service = service_of(state, &followed, ServiceOptions::default()).await;
    let tenant = service.default_tenant();
    let code = service.code(&tenant, GROUP, CONTRACT, BlockId::Latest).await;
    assert_eq!(code.unwrap(), None);
    let stopped = FollowingStopped { reason: "another chain".to_owned() };
    service.view.following.stopped = watch::channel(Some(stopped.clone())).1;
    let code = service.code(&tenant, GROUP, CONTRACT, BlockId::Latest).await;
    assert!(matches!(&code, Err(ReadError::FollowingStopped(it)) if *it == stopped), "{code:?}");
}

#[tokio::test]
async fn a_tag_that_names_no_block_is_an_error_and_a_number_is_not_always() {
    let service = service(2).await;
    let tenant = service.default_tenant();
    let call = CallRequest {
        from: Address::ZERO,
        to: CONTRACT,
        input: Bytes::new(),
        value: U256::ZERO,
        gas_price: U256::ZERO,
    };
    for tag in [BlockId::Safe, BlockId::Finalized] {
        let called = service.call(&tenant, GROUP, call.clone(), tag).await;
        assert!(matches!(called, Err(ReadError::BlockUnknown)), "{called:?}");
        let code = service.code(&tenant, GROUP, CONTRACT, tag).await;
        assert!(matches!(code, Err(ReadError::BlockUnknown)), "{code:?}");
        let root = service.state_root(&tenant, GROUP, tag).await;
        assert!(matches!(root, Err(ReadError::BlockUnknown)), "{root:?}");
    }
    let above = BlockId::Number(99);
    assert_eq!(service.call(&tenant, GROUP, call, above).await.unwrap(), None);
    assert_eq!(service.code(&tenant, GROUP, CONTRACT, above).await.unwrap(), None);
    let root = service.state_root(&tenant, GROUP, above).await;
    assert!(matches!(root, Err(ReadError::BlockUnknown)), "{root:?}");
}

#[tokio::test]
async fn a_trace_without_its_payload_says_that_the_outcome_is_not_reproduced() {
    let service = service(3).await;
    let tenant = service.default_tenant();
    let marker = B256::from(U256::from(1));
    let traced = service.trace_transaction(&tenant, GROUP, marker).await;
    let Err(ReadError::State(StateError::Corrupt(Corruption::NotReproduced(of)))) = traced else {
        panic!("{traced:?}");
    };
    assert_eq!(of, marker);
    // Not to delete what could not be rebuilt.
    let text = StateError::Corrupt(Corruption::NotReproduced(of)).to_string();
    assert!(text.contains("if payloads were lost, bring back"), "{text}");
    let unknown = service.trace_transaction(&tenant, GROUP, B256::repeat_byte(0xee)).await;
    assert_eq!(unknown.unwrap(), None);
}

#[tokio::test]
async fn logs_of_too_many_bytes_are_refused() {
    let state = State::open(Arc::new(MemoryStore::new()), StateOptions::default()).unwrap();
    for number in 0..3 {
        let mut commit = commit(number);
        // A third of the limit and more.
        let data = Bytes::from(vec![1; LOGS_BYTES_MAX / 3 + 1]);
        commit.receipts[0].logs[0].data = LogData::new_unchecked(vec![B256::ZERO], data);
        state.commit(commit).unwrap();
    }
    let followed = watch::Sender::new(state.followed().unwrap());
    let service = service_of(state, &followed, ServiceOptions::default()).await;
    let tenant = service.default_tenant();
    let search = async |to| {
        let range = LogRange::Blocks(BlockId::Number(0), BlockId::Number(to));
        let filter = LogFilter { range, addresses: Vec::new(), topics: Vec::new() };
        service.logs(&tenant, GROUP, filter).await
    };
    assert_eq!(search(1).await.unwrap().len(), 2);
    let refused = search(2).await;
    assert!(matches!(refused, Err(ReadError::TooMuch { of: "bytes of logs", .. })), "{refused:?}");
}

#[tokio::test]
async fn what_is_committed_and_not_told_as_followed_is_not_answered() {
    let state = State::open(Arc::new(MemoryStore::new()), StateOptions::default()).unwrap();
    let followed = watch::Sender::new(None);
    let service = service_of(state.clone(), &followed, ServiceOptions::default()).await;
    let tenant = service.default_tenant();
    for number in 0..3 {
        let marker = B256::from(U256::from(number));
        state.commit(commit(number)).unwrap();
        // A member that the block adds is none as of the head.
        let early = service.receipt(&tenant, marker).await.unwrap();
        assert!(early.is_none(), "{early:?}");
        followed.send_replace(state.followed().unwrap());
        assert_eq!(service.receipt(&tenant, marker).await.unwrap().unwrap().marker, marker);
    }
}

#[tokio::test]
async fn what_decided_a_copy_is_told_when_its_block_is() {
    let state = State::open(Arc::new(MemoryStore::new()), StateOptions::default()).unwrap();
    let (mut copy, mut decider) = (commit(0), commit(1));
    let (payload, marker) = (decider.receipts[0].payload, decider.receipts[0].marker);
    decider.decisions.push((payload, 0, marker));
    copy.receipts[0].payload = payload;
    copy.receipts[0].reason = Reason::Copied;
    copy.groups[0].record.markers[0].reason = Reason::Copied;
    state.commit(copy).unwrap();
    let followed = watch::Sender::new(state.followed().unwrap());
    state.commit(decider).unwrap();
    let service = service_of(state.clone(), &followed, ServiceOptions::default()).await;
    let tenant = service.default_tenant();
    let outcome = async || {
        let receipt = service.receipt(&tenant, B256::ZERO).await.unwrap().unwrap();
        (receipt.decided_by, receipt.outcome)
    };
    assert_eq!(outcome().await, (None, None));
    followed.send_replace(state.followed().unwrap());
    assert_eq!(outcome().await, (Some(marker), Some(Reason::Executed)));
}

#[tokio::test]
async fn what_a_key_is_to_a_group_is_not_remembered_of_a_head_that_was_left() {
    let state = State::open(Arc::new(MemoryStore::new()), StateOptions::default()).unwrap();
    let followed = watch::Sender::new(None);
    let service = service_of(state.clone(), &followed, ServiceOptions::default()).await;
    let tenant = Tenant::holder(service.default_tenant().key);
    let added = || {
        let mut commit = commit(1);
        let members = vec![tenant.key.clone()];
        commit.groups[0].facts = Arc::new(GroupFacts { members, ..GroupFacts::before_creation() });
        commit
    };
    let relation = || service.view.relation(GROUP, &tenant.key).unwrap();
    state.commit(commit(0)).unwrap();
    state.commit(added()).unwrap();
    followed.send_replace(state.followed().unwrap());
    for _ in 0..2 {
        assert_eq!(relation(), Relation::Member);
    }
    // The state has left the block, and it is not told yet; then the chain comes back to it.
    let before = BlockRef { number: 0, hash: header(0).hash };
    state.rewind(before).unwrap();
    for _ in 0..2 {
        assert_eq!(relation(), Relation::Stranger);
    }
    state.commit(added()).unwrap();
    for _ in 0..2 {
        assert_eq!(relation(), Relation::Member);
    }
    followed.send_replace(Some(before));
    assert_eq!(relation(), Relation::Stranger);
}
