//! One member: an enclave, a state store, and a follower that moves when the test says so.

use std::{sync::Arc, time::Duration};

use alloy_primitives::{Address, B256, Bytes};
use async_trait::async_trait;
use coterie_core::{EnclaveKey, GroupId, NetworkDefinition, PayloadKey, access::GroupFacts};
use coterie_node::{
    chain::{BlockRef, Chain, dev::DevChain},
    enclave::{Enclave, MemberHandler, keys::KeyPair},
    executor::{Executor, Genesis, PublicReads},
    follower::{FollowError, Follower, FollowerOptions, FollowerParts, Preparer},
    service::{
        Comparison, Confirmations, Members, PrivateReceipt, Service, ServiceOptions, Tenant, View,
        markers::MarkerOptions, offer_histories,
    },
    state::{GroupBlock, Reason, State, StateOptions, was_unread},
    store::{MemoryStore, Store},
};
use tokio::task::JoinHandle;

use super::{
    chain::SimChain,
    network::{Network, SimEnclave},
};

/// A member of the network.
pub(crate) struct Member {
    /// Its first key.
    pub(crate) key: EnclaveKey,
    /// The same with its secret.
    pub(crate) pair: KeyPair,
    /// All its keys, the first one first.
    pub(crate) keys: Vec<EnclaveKey>,
    pub(crate) enclave: Arc<SimEnclave>,
    /// The chain as it reaches it.
    pub(crate) chain: Arc<SimChain>,
    parts: Parts,
    /// Survives restarts.
    store: Arc<MemoryStore>,
    node: Node,
}

/// What all nodes of a network have in common.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) definition: Arc<NetworkDefinition>,
    pub(crate) chain: DevChain,
    /// When a history is given.
    pub(crate) confirmations: Confirmations,
}

/// What a restart makes anew.
pub(crate) struct Node {
    pub(crate) follower: Follower,
    pub(crate) view: View,
    pub(crate) service: Arc<Service>,
    pub(crate) comparison: Comparison,
    offers: Option<JoinHandle<()>>,
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(offers) = &self.offers {
            offers.abort();
        }
    }
}

impl Drop for Member {
    /// The enclave holds who answers for it, who holds the enclave.
    fn drop(&mut self) {
        self.enclave.set_arrival_hook(Arc::new(|_| {}));
        self.enclave.set_handler(Arc::new(Gone));
    }
}

/// Answers nobody any more.
struct Gone;

#[async_trait]
impl MemberHandler for Gone {
    async fn answer(
        &self,
        _: EnclaveKey,
        _: EnclaveKey,
        _: &str,
        _: Bytes,
    ) -> Result<Bytes, String> {
        Err("gone".to_owned())
    }
}

/// Block, index in it, and payload of a marker.
pub(crate) type Place = (BlockRef, u64, PayloadKey);

/// Who a node is for its neighbours.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Presence {
    /// It answers and offers.
    Public,
    /// It follows for itself only, beside the public one.
    Silent,
}

impl Member {
    /// A member with nothing stored.
    pub(crate) fn new(network: &Arc<Network>, parts: &Parts, pairs: Vec<KeyPair>) -> Self {
        let enclave = network.enclave(&pairs, &parts.definition);
        let store = Arc::new(MemoryStore::new());
        let chain = Arc::new(SimChain::new(parts.chain.clone(), 0));
        let reached = (&chain, &enclave);
        let node =
            Node::new(parts, reached, Arc::clone(&store) as Arc<dyn Store>, Presence::Public);
        let keys: Vec<EnclaveKey> = pairs.iter().map(KeyPair::enclave_key).collect();
        let pair = pairs.into_iter().next().expect("a key");
        Self {
            key: pair.enclave_key(),
            pair,
            keys,
            enclave,
            chain,
            parts: parts.clone(),
            store,
            node,
        }
    }

    /// Whether it has this key.
    pub(crate) fn holds(&self, key: &EnclaveKey) -> bool {
        self.keys.contains(key)
    }

    /// The first of these members that it is itself; `None` when it is none of them.
    pub(crate) fn among<'a>(&self, members: &'a [EnclaveKey]) -> Option<&'a EnclaveKey> {
        members.iter().find(|key| self.holds(key))
    }

    /// Stops at once and starts again on the same stores.
    pub(crate) async fn restart(&mut self) {
        self.node = self.another(&self.chain, Arc::clone(&self.store), Presence::Public);
        if let Some(followed) = self.node.view.state.followed().unwrap() {
            self.enclave.set_position_at_least(followed).await.unwrap();
        }
    }

    /// Follows for so many turns of its task, stops wherever it is then, and starts again. Whether
    /// it had reached the head.
    pub(crate) async fn crash(&mut self, turns: u32) -> bool {
        let ended = {
            let mut following = std::pin::pin!(self.node.follower.catch_up());
            let mut ended = false;
            for _ in 0..turns {
                ended = futures::poll!(following.as_mut()).is_ready();
                if ended {
                    break;
                }
            }
            ended
        };
        while self.enclave.is_writing() {
            tokio::task::yield_now().await;
        }
        self.restart().await;
        ended
    }

    /// Loses its state and begins anew, with its payload store as it is.
    pub(crate) fn lose_state(&mut self) {
        self.store = Arc::new(MemoryStore::new());
        self.node = self.another(&self.chain, Arc::clone(&self.store), Presence::Public);
    }

    /// A second node on the same payload store with an empty state, which nobody sees, beside a
    /// chain that has no state of the past.
    pub(crate) fn rebuilt(&self) -> Node {
        let chain = Arc::new(SimChain::new(self.parts.chain.clone(), u64::MAX));
        self.another(&chain, Arc::new(MemoryStore::new()), Presence::Silent)
    }

    fn another(&self, chain: &Arc<SimChain>, store: Arc<MemoryStore>, presence: Presence) -> Node {
        Node::new(&self.parts, (chain, &self.enclave), store, presence)
    }

    pub(crate) fn node(&self) -> &Node {
        &self.node
    }

    /// Follows to the head. Temporary errors are the caller's.
    pub(crate) async fn catch_up(&mut self) -> Result<(), FollowError> {
        self.node.follower.catch_up().await
    }

    /// Follows until that fails for good.
    pub(crate) async fn run(&mut self) -> FollowError {
        self.node.follower.run().await.expect_err("following never ends well")
    }

    /// How far it is.
    pub(crate) fn followed(&self) -> Option<BlockRef> {
        self.node.view.state.followed().unwrap()
    }
}

impl Node {
    fn new(
        Parts { definition, confirmations, .. }: &Parts,
        (chain, enclave): (&Arc<SimChain>, &Arc<SimEnclave>),
        store: Arc<dyn Store>,
        presence: Presence,
    ) -> Self {
        let state = State::open(store, StateOptions::default()).expect("state");
        let executor = Executor::new(Arc::clone(definition), Genesis::of(definition));
        let executor = executor.expect("our rules");
        let chain = Arc::clone(chain) as Arc<dyn Chain>;
        let enclave: Arc<dyn Enclave> = Arc::clone(enclave) as Arc<dyn Enclave>;
        let preparer = Arc::new(Preparer::new(definition.hash()));
        let parts = FollowerParts {
            chain: Arc::clone(&chain),
            enclave: Arc::clone(&enclave),
            state: state.clone(),
            executor: executor.clone(),
            definition: Arc::clone(definition),
            preparer: Arc::clone(&preparer),
        };
        let options =
            FollowerOptions { retry: Duration::from_millis(1), ..FollowerOptions::default() };
        let follower = Follower::new(parts, options);
        let view = View::new(
            (chain, Arc::clone(&enclave)),
            state,
            executor,
            Arc::clone(definition),
            follower.following(),
        );
        let markers = MarkerOptions { key: None, gas_price_max: 0 };
        let limits =
            ServiceOptions { receipt_wait: Duration::from_millis(1), ..ServiceOptions::default() };
        let service = Arc::new(Service::new(view.clone(), markers, limits));
        let offers = (presence == Presence::Public).then(|| {
            let (late, state) = (service.late_payloads().clone(), view.state.clone());
            enclave.set_arrival_hook(Arc::new(move |payload| {
                preparer.prepare(&payload);
                if was_unread(&state, payload.key, payload.marker_signer).unwrap() {
                    late.note(&payload);
                }
            }));
            enclave.set_handler(Arc::new(Members::new(view.clone(), *confirmations)));
            tokio::spawn(offer_histories(view.clone(), *confirmations))
        });
        Self { follower, service, comparison: Comparison::new(view.clone()), view, offers }
    }

    /// The group's last record; `None` when it is not known.
    pub(crate) fn record(&self, group: GroupId) -> Option<Arc<GroupBlock>> {
        self.view.state.group_at(group, u64::MAX).unwrap()
    }

    /// The group's root, with the digest of what counted.
    pub(crate) fn root(&self, group: GroupId) -> Option<(B256, B256)> {
        self.record(group).map(|record| (record.root, record.digest))
    }

    /// What the checks of the group judge by, after the last followed block.
    pub(crate) fn facts(&self, group: GroupId) -> Option<Arc<GroupFacts>> {
        let record = self.record(group)?;
        self.facts_at(&record)
    }

    /// The same after any record's block.
    pub(crate) fn facts_at(&self, record: &GroupBlock) -> Option<Arc<GroupFacts>> {
        let snapshot = self.view.state.snapshot(record.root);
        if snapshot.root() == coterie_node::state::EMPTY_ROOT {
            return Some(Arc::new(GroupFacts::before_creation()));
        }
        let header = self.view.state.header(record.block.hash).unwrap()?;
        Some(self.view.executor.facts(&snapshot, &header, &PublicReads::new()).unwrap())
    }

    /// The nonce of an account in the group.
    pub(crate) fn nonce(&self, group: GroupId, account: Address) -> u64 {
        let snapshot = self.view.state.group_snapshot(group);
        snapshot.account(account).unwrap().map_or(0, |account| account.nonce)
    }

    /// What became of a marker, by the state alone.
    pub(crate) fn reason(&self, marker: B256) -> Option<Reason> {
        self.view.state.receipt(marker).unwrap().map(|(_, receipt)| receipt.reason)
    }

    /// What became of a marker, as it is told to clients.
    pub(crate) async fn receipt(&self, marker: B256) -> Option<PrivateReceipt> {
        let tenant: Tenant = self.service.default_tenant();
        self.service.receipt(&tenant, marker).await.unwrap()
    }

    /// Ids that counted for the group, in order, with their blocks.
    pub(crate) fn counted(&self, group: GroupId) -> Vec<(BlockRef, PayloadKey)> {
        self.places(group, u64::MAX).into_iter().map(|(block, _, key)| (block, key)).collect()
    }

    /// Where these ids were marked, up to block `until`.
    pub(crate) fn places(&self, group: GroupId, until: u64) -> Vec<Place> {
        let records = self.view.state.group_blocks(group, 0, until, usize::MAX).unwrap();
        let of_record = |record: &GroupBlock| {
            let counted = record.markers.iter().filter(|it| it.reason == Reason::Executed);
            counted.map(|it| (record.block, it.index, it.payload)).collect::<Vec<_>>()
        };
        records.iter().flat_map(of_record).collect()
    }

    /// Whether it waits for the group's history.
    pub(crate) fn is_joining(&self, group: GroupId) -> bool {
        self.view.is_joining(group)
    }
}
