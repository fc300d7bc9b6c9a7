//! A history of groups on a node that three tenants share, and on the nodes of their own.

use std::sync::Arc;

use alloy_primitives::{Address, B256, Bytes};
use axum::Router;
use coterie_core::{
    EnclaveKey, GroupId, PayloadKey, contract_address,
    wire::{PrefixedPayload, marker_signature_digest},
};
use coterie_node::{
    chain::BlockRef,
    enclave::{
        keys::{KeyPair, SecretKey},
        signature,
    },
    jsonrpc::socket::Sockets,
    rpc::{
        self,
        auth::{
            Authenticator,
            options::{Algorithm, AuthOptions, Source, TenantLimits, TokenOptions},
            sign::SigningKey,
        },
    },
    service::Confirmations,
    state::Membership,
};
use rand::{
    Rng as _, SeedableRng as _,
    seq::{IndexedRandom as _, SliceRandom as _},
};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::{
    classes::Relation,
    requests::{FILTER, Request},
};
use crate::simulation::{
    Action, Draft, Member, Parts, Pending, World, WorldOptions, envelope, text,
};

/// Tenants of the shared node.
pub(super) const TENANTS: usize = 3;
/// Other members, each with a node of its own.
const OTHERS: usize = 2;
/// Accounts that own the groups.
const OWNERS: u64 = 10;
/// An account that owns no group.
const UNDECIDED: u64 = 8;
/// The first account that signs markers.
const SIGNERS: u64 = 1_000;

/// A group of the history.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) id: GroupId,
    /// The account that owns it.
    pub(super) owner: u64,
    pub(super) emitters: Vec<Address>,
}

/// A marker of the history.
#[derive(Clone, Copy, Debug)]
pub(super) struct Marked {
    pub(super) hash: B256,
    pub(super) group: GroupId,
    pub(super) number: u64,
    payload: PayloadKey,
    /// Whose marker decides.
    signer: u64,
}

/// What happened, and the nodes on which it did.
pub(super) struct Scenario {
    pub(super) world: World,
    pub(super) groups: Vec<Group>,
    pub(super) markers: Vec<Marked>,
    pub(super) tenants: Vec<EnclaveKey>,
    pairs: Vec<KeyPair>,
    random: ChaCha8Rng,
    log: Vec<String>,
    signers: u64,
    /// The API of the shared node, then of each tenant's own.
    routers: Vec<Router>,
    tokens: Vec<String>,
    expired: Vec<String>,
    /// Ids of filters, by node: the shared one's, and its maker's own one's.
    filters: Vec<Vec<Value>>,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bearer {
    Tenant(usize),
    /// Whose token was good.
    Expired(usize),
    Nobody,
}

/// What was answered.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Value,
}

/// What tokens are signed with.
const SECRET: &str = "a secret of the tests, with thirty-two bytes or more";
/// The time of day.
const NOW: u64 = 2_000_000_000;

impl Scenario {
    /// Plays the history of a seed.
    pub(super) async fn play(seed: u64) -> Self {
        let mut it = Self::new(seed);
        it.create().await;
        let steps = it.random.random_range(14..26);
        for _ in 0..steps {
            match it.random.random_range(0..100) {
                0..12 => it.create().await,
                12..50 => it.use_group().await,
                50..75 => it.add().await,
                75..90 => it.remove().await,
                90..95 => it.mark_again().await,
                _ => it.empty_block().await,
            }
        }
        if it.random.random_bool(0.5) {
            it.removed_before_it_was_decided().await;
        }
        for _ in 0..it.random.random_range(1..4) {
            it.stranger().await;
            if it.random.random_bool(0.5) {
                it.mark_again().await;
            }
        }
        if it.random.random_bool(0.5) {
            it.added_by_a_stranger().await;
        }
        it.serve();
        it.watch().await;
        it
    }

    /// A tenant that was added and removed again, and then is added by a stranger: its own node
    /// waits for a history that never comes. Also, a marker of the time before it was added, which
    /// marks again what had been decided.
    pub(super) async fn play_removed_and_waiting() -> (Self, Marked) {
        let mut it = Self::new(0);
        let group =
            Group { id: GroupId(B256::repeat_byte(7)), owner: OWNERS, emitters: Vec::new() };
        let [tenant, member, stranger] = [1, TENANTS, TENANTS + 1];
        let by = it.key(member);
        let create = it.draft(&group, &by, Action::Add(vec![by.clone(), it.key(0)]));
        it.send(&create).await;
        it.groups.push(group.clone());
        let lock = it.draft(&group, &by, Action::Lock);
        it.send(&lock).await;
        let locked = *it.markers.last().expect("a marker");
        it.mark(locked, locked.signer).await;
        let again = *it.markers.last().expect("a marker");
        let add = it.draft(&group, &by, Action::Add(vec![it.key(tenant)]));
        it.send(&add).await;
        let remove = it.draft(&group, &by, Action::Remove(it.key(tenant)));
        it.send(&remove).await;
        it.add_by_a_stranger(&group, stranger, tenant).await;
        it.serve();
        (it, again)
    }

    fn new(seed: u64) -> Self {
        let world = World::with_options(WorldOptions::default(), |_| {});
        let pair = |number: usize| {
            let secret = alloy_primitives::keccak256(format!("tenant {number}"));
            KeyPair::from_secret(SecretKey::from_bytes(secret.0))
        };
        let pairs: Vec<KeyPair> = (0..TENANTS + OTHERS).map(pair).collect();
        let mut it = Self {
            world,
            groups: Vec::new(),
            markers: Vec::new(),
            tenants: pairs[..TENANTS].iter().map(KeyPair::enclave_key).collect(),
            pairs: pairs.clone(),
            random: ChaCha8Rng::seed_from_u64(seed),
            log: Vec::new(),
            signers: SIGNERS,
            routers: Vec::new(),
            tokens: Vec::new(),
            expired: Vec::new(),
            filters: Vec::new(),
        };
        let parts = Parts {
            definition: Arc::clone(&it.world.definition),
            chain: it.world.chain.clone(),
            confirmations: Confirmations::Blocks(0),
        };
        // First the shared one: who asks the holder of a key finds the one that came last.
        let nodes = std::iter::once(pairs[..TENANTS].to_vec())
            .chain(pairs.into_iter().map(|pair| vec![pair]));
        let network = Arc::clone(&it.world.network);
        it.world.members = nodes.map(|pairs| Member::new(&network, &parts, pairs)).collect();
        it
    }

    /// The node that all tenants share.
    pub(super) fn shared(&self) -> &Member {
        &self.world.members[0]
    }

    /// What happened, for people.
    pub(super) fn log(&self) -> String {
        self.log.join("\n")
    }

    /// What a tenant is to a group now.
    pub(super) fn relation(&self, tenant: usize, group: GroupId) -> Relation {
        let state = &self.shared().node().view.state;
        let head = self.world.chain.head().number;
        let key = &self.tenants[tenant];
        match state.membership(group, key, head).unwrap() {
            Membership::Removed(_) => Relation::Removed,
            Membership::Never => Relation::Never,
            Membership::Member => {
                let out = |number| {
                    matches!(state.membership(group, key, number).unwrap(), Membership::Removed(_))
                };
                if (0..head).any(out) { Relation::ReAdded } else { Relation::Member }
            }
        }
    }

    /// The number of the removal block.
    pub(super) fn removal(&self, tenant: usize, group: GroupId) -> Option<u64> {
        let state = &self.shared().node().view.state;
        let head = self.world.chain.head().number;
        match state.membership(group, &self.tenants[tenant], head).unwrap() {
            Membership::Removed(block) => Some(block.number),
            Membership::Member | Membership::Never => None,
        }
    }

    /// What a node answers to somebody, to be compared.
    pub(super) async fn answer(&self, node: usize, bearer: Bearer, request: &Request) -> Answer {
        let mut answer = self.reply(node, bearer, request).await;
        if request.method == "priv_newFilter"
            && let Some(id) = answer.body.get_mut("result")
        {
            // A random id.
            *id = json!(id.is_string());
        }
        answer
    }

    /// What a node answers to somebody: status and body, through the whole API.
    async fn reply(&self, node: usize, bearer: Bearer, request: &Request) -> Answer {
        let token = match bearer {
            Bearer::Tenant(number) => self.tokens.get(number).map(String::as_str),
            Bearer::Expired(number) => self.expired.get(number).map(String::as_str),
            Bearer::Nobody => None,
        };
        let mut params = request.params.clone();
        let id = request.filter.and_then(|at| self.filters.get(at)?.get(node));
        for param in params.as_array_mut().into_iter().flatten().filter(|it| *it == FILTER) {
            *param = id.cloned().unwrap_or_else(|| json!("0x1"));
        }
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": request.method, "params": params});
        let mut http = axum::http::Request::post("/");
        if let Some(token) = token {
            http = http.header("authorization", format!("Bearer {token}"));
        }
        let http = http.body(axum::body::Body::from(body.to_string())).unwrap();
        let reply = self.routers[node].clone().oneshot(http).await.unwrap();
        let status = reply.status().as_u16();
        let bytes = axum::body::to_bytes(reply.into_body(), usize::MAX).await.unwrap();
        let body = serde_json::from_slice(&bytes).unwrap();
        Answer { status, body }
    }

    /// Puts the API before the nodes; nothing happens after this.
    fn serve(&mut self) {
        let secret = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(secret.path(), SECRET).unwrap();
        let mut options = TokenOptions::new(Source::SecretFile(secret.path().to_owned()));
        options.rules.algorithm = Algorithm::Hs256;
        options.tenants = TenantLimits {
            calls_per_s: u32::MAX,
            requests_max: usize::MAX,
            connections_max: usize::MAX,
            subscriptions_max: usize::MAX,
        };
        for number in 0..=TENANTS {
            let service = Arc::clone(&self.world.members[number].node().service);
            let authenticator = Authenticator::start(
                AuthOptions::Tokens(Box::new(options.clone())),
                service.default_tenant(),
                self.world.members[number].keys.clone(),
                Arc::new(|| NOW),
            );
            let authenticator = Arc::new(authenticator.unwrap());
            let api = rpc::Options { operator_methods: true, ..rpc::Options::default() };
            let sockets = Sockets::new(api.sockets, CancellationToken::new());
            self.routers.push(rpc::router(service, authenticator, api, sockets));
        }
        let key = SigningKey::read(SECRET, Algorithm::Hs256).unwrap();
        for (tokens, until) in [(&mut self.tokens, NOW + 60), (&mut self.expired, NOW - 60)] {
            let token = |tenant: &EnclaveKey| {
                let claims = json!({
                    "exp": until, "permissions": ["*:*"], "privacyUserId": tenant.to_base64()
                });
                key.token(&claims).unwrap()
            };
            tokens.extend(self.tenants.iter().map(token));
        }
    }

    /// Every tenant makes a filter of each of its groups.
    async fn watch(&mut self) {
        for tenant in 0..TENANTS {
            for group in self.groups.clone() {
                let request = Request {
                    method: "priv_newFilter",
                    params: json!([group.id.to_base64(), {"fromBlock": "earliest"}]),
                    group: Some(group.id),
                    number: None,
                    filter: None,
                };
                let mut ids = vec![Value::Null; 1 + TENANTS];
                for node in [0, 1 + tenant] {
                    let answer = self.reply(node, Bearer::Tenant(tenant), &request).await;
                    ids[node] = answer.body["result"].clone();
                }
                if ids[0].is_string() {
                    // Another tenant's own node has no such filter.
                    ids.iter_mut().filter(|id| id.is_null()).for_each(|id| *id = json!("0x1"));
                    self.filters.push(ids);
                }
            }
        }
    }

    /// The filters that were made.
    pub(super) fn filters(&self) -> &[Vec<Value>] {
        &self.filters
    }

    /// The node that has a key to itself.
    fn own(&self, key: &EnclaveKey) -> usize {
        let at = self.pairs.iter().position(|pair| pair.enclave_key() == *key);
        1 + at.expect("one of ours")
    }

    fn key(&self, number: usize) -> EnclaveKey {
        self.pairs[number].enclave_key()
    }

    fn note(&mut self, text: String) {
        self.log.push(format!("{}: {text}", self.world.chain.head().number));
    }

    /// A transaction of `key` for a group as its own node sees it.
    fn draft(&mut self, group: &Group, key: &EnclaveKey, action: Action) -> Draft {
        let from = self.own(key);
        let address = self.world.account(group.owner).address();
        let node = self.world.members[from].node();
        let facts = node.facts(group.id);
        let nonce = node.nonce(group.id, address);
        let (version, mut to) =
            facts.map_or((B256::ZERO, Vec::new()), |facts| (facts.version, facts.members.clone()));
        to.extend(action.added());
        self.signers += 1;
        let signer = Some(self.signers);
        let (group, account, key) = (group.id, group.owner, key.clone());
        Draft { group, from, key, account, nonce, version, action, to, signer }
    }

    /// Brings the payload to all who hold a recipient's key: its id, and who marks it.
    async fn bring(&self, draft: &Draft) -> (PayloadKey, u64) {
        let sent = self.world.sent(draft);
        let signer = draft.signer.expect("a signer");
        let address = self.world.account(signer).address();
        let digest = marker_signature_digest(self.world.definition.hash(), address);
        let pair = self.pairs.iter().find(|pair| pair.enclave_key() == draft.key).expect("a key");
        let payload = PrefixedPayload {
            marker_signer: address,
            signature: signature::sign(pair.secret(), &digest.0),
            text: text(&sent.signed, sent.version),
        };
        let mut keys = draft.to.clone();
        keys.push(draft.key.clone());
        keys.dedup();
        let envelope = envelope(pair, &keys, &payload.encode());
        let mut id = None;
        for member in &self.world.members {
            if keys.iter().any(|key| member.holds(key)) {
                id = Some(member.enclave.store(&envelope).await);
            }
        }
        (id.expect("somebody"), signer)
    }

    /// Sends, marks in a block of its own, and lets everybody follow.
    async fn send(&mut self, draft: &Draft) -> PayloadKey {
        let (id, signer) = self.bring(draft).await;
        let block = self.mine(vec![Pending { data: id.as_slice().to_vec(), signer }]).await;
        let (hash, number) = (self.world.block(block.hash).markers[0].hash, block.number);
        self.markers.push(Marked { hash, group: draft.group, number, payload: id, signer });
        let reasons: Vec<_> =
            self.world.members.iter().map(|member| member.node().reason(hash)).collect();
        self.note(format!("{:?}: {reasons:?}", draft.action));
        id
    }

    /// Makes a block, and lets everybody follow.
    async fn mine(&mut self, pending: Vec<Pending>) -> BlockRef {
        let block = self.world.mine(pending);
        let groups: Vec<GroupId> = self.groups.iter().map(|group| group.id).collect();
        let settled = self.world.settle(|world| {
            let head = world.chain.head();
            world.members.iter().all(|member| {
                member.followed() == Some(head)
                    && groups.iter().all(|group| !member.node().is_joining(*group))
            }) && agreed(world, &groups)
        });
        if !settled.await {
            for member in &self.world.members {
                let known = self.groups.iter().map(|group| {
                    let node = member.node();
                    (group.id, node.is_joining(group.id), node.root(group.id))
                });
                eprintln!("{:?}: {:?}", member.followed(), known.collect::<Vec<_>>());
            }
            panic!("the members do not agree\n{}", self.log());
        }
        block
    }

    async fn empty_block(&mut self) {
        self.mine(Vec::new()).await;
    }

    /// An id is marked again: by the account that decides, or by somebody else.
    async fn mark_again(&mut self) {
        let Some(marked) = self.markers.choose(&mut self.random).copied() else { return };
        let signer = if self.random.random_bool(0.5) { marked.signer } else { SIGNERS - 1 };
        self.note(format!("{} of {} is marked again", marked.payload.0, marked.group));
        self.mark(marked, signer).await;
    }

    async fn create(&mut self) {
        if self.groups.len() == 5 {
            return self.use_group().await;
        }
        let mut members: Vec<usize> = (0..self.pairs.len()).collect();
        members.shuffle(&mut self.random);
        members.truncate(self.random.random_range(1..=4));
        let id = GroupId(B256::from(self.random.random::<[u8; 32]>()));
        let owner = OWNERS + self.groups.len() as u64;
        let group = Group { id, owner, emitters: Vec::new() };
        let keys: Vec<_> = members.iter().map(|member| self.key(*member)).collect();
        let draft = self.draft(&group, &keys[0], Action::Add(keys.clone()));
        self.note(format!("{members:?} create {id}"));
        self.send(&draft).await;
        self.groups.push(group);
    }

    /// A group with its members' numbers.
    fn group(&mut self) -> Option<(usize, Vec<usize>)> {
        let at = self.random.random_range(0..self.groups.len());
        let members = self.members(self.groups[at].id);
        (!members.is_empty()).then_some((at, members))
    }

    fn members(&self, group: GroupId) -> Vec<usize> {
        // Nodes of former members remember what they were told last.
        let facts = self.world.members.iter().find_map(|member| {
            let facts = member.node().facts(group)?;
            member.among(&facts.members).is_some().then_some(facts)
        });
        let Some(facts) = facts else { return Vec::new() };
        let number = |key: &EnclaveKey| {
            self.pairs.iter().position(|pair| pair.enclave_key() == *key).expect("ours")
        };
        facts.members.iter().map(number).collect()
    }

    async fn use_group(&mut self) {
        let Some((at, members)) = self.group() else { return };
        let group = self.groups[at].clone();
        let from = *members.choose(&mut self.random).expect("a member");
        let from = self.key(from);
        let deploy = group.emitters.is_empty() || self.random.random_bool(0.15);
        let action = match group.emitters.choose(&mut self.random) {
            Some(emitter) if !deploy => Action::Store(*emitter, self.random.random_range(0..1000)),
            _ => Action::Deploy,
        };
        let draft = self.draft(&group, &from, action);
        self.note(format!("{members:?} use {}: {:?}", group.id, draft.action));
        if draft.action == Action::Deploy {
            let owner = self.world.account(group.owner).address();
            let emitter = contract_address(owner, draft.nonce, group.id);
            self.groups[at].emitters.push(emitter);
        }
        self.send(&draft).await;
    }

    async fn add(&mut self) {
        let Some((at, members)) = self.group() else { return };
        let group = self.groups[at].clone();
        let outside: Vec<usize> =
            (0..self.pairs.len()).filter(|number| !members.contains(number)).collect();
        let Some(added) = outside.choose(&mut self.random).copied() else { return };
        let by = *members.choose(&mut self.random).expect("a member");
        let by = self.key(by);
        let lock = self.draft(&group, &by, Action::Lock);
        self.note(format!("{members:?} of {} add {added}", group.id));
        self.send(&lock).await;
        let add = self.draft(&group, &by, Action::Add(vec![self.key(added)]));
        self.send(&add).await;
    }

    async fn remove(&mut self) {
        let Some((at, members)) = self.group() else { return };
        if members.len() < 2 {
            return;
        }
        let group = self.groups[at].clone();
        let removed = *members.choose(&mut self.random).expect("a member");
        let Some(by) = members.iter().find(|member| **member != removed) else { return };
        let by = self.key(*by);
        let draft = self.draft(&group, &by, Action::Remove(self.key(removed)));
        self.note(format!("{members:?} of {} remove {removed}", group.id));
        self.send(&draft).await;
    }

    /// A transaction is sent to all members, and marked by somebody else; then a tenant is removed,
    /// and only then comes the marker that decides: the tenant sees the first, not the second.
    async fn removed_before_it_was_decided(&mut self) {
        let Some((at, members)) = self.group() else { return };
        let Some(removed) = members.iter().copied().find(|it| *it < TENANTS) else { return };
        let Some(by) = members.iter().copied().find(|it| *it != removed) else { return };
        let group = self.groups[at].clone();
        let (by, removed) = (self.key(by), self.key(removed));
        let mut draft =
            self.draft(&group, &by, Action::Call(Address::repeat_byte(9), Bytes::new()));
        let account = self.world.account(UNDECIDED).address();
        let nonce = self.world.members[draft.from].node().nonce(group.id, account);
        (draft.account, draft.nonce) = (UNDECIDED, nonce);
        self.note(format!("{members:?} of {} are sent what somebody else marks", group.id));
        let (id, signer) = self.bring(&draft).await;
        let sent = Marked { hash: B256::ZERO, group: group.id, number: 0, payload: id, signer };
        self.mark(sent, SIGNERS - 1).await;
        let remove = self.draft(&group, &by, Action::Remove(removed));
        self.send(&remove).await;
        self.mark(sent, signer).await;
    }

    /// Marks what was sent in a block of its own.
    async fn mark(&mut self, sent: Marked, signer: u64) {
        let data = sent.payload.as_slice().to_vec();
        let block = self.mine(vec![Pending { data, signer }]).await;
        let hash = self.world.block(block.hash).markers[0].hash;
        self.markers.push(Marked { hash, number: block.number, ..sent });
    }

    /// Somebody who is no member adds a tenant, who is none either, to a group: the tenant's own node
    /// waits for a history that never comes.
    async fn added_by_a_stranger(&mut self) {
        let Some((at, members)) = self.group() else { return };
        let group = self.groups[at].clone();
        let outside: Vec<usize> =
            (0..self.pairs.len()).filter(|number| !members.contains(number)).collect();
        let tenant = outside.iter().copied().find(|number| *number < TENANTS);
        let from = outside.iter().copied().rfind(|it| *it >= TENANTS);
        if let Some((to, from)) = tenant.zip(from) {
            self.add_by_a_stranger(&group, from, to).await;
        }
    }

    async fn add_by_a_stranger(&mut self, group: &Group, from: usize, to: usize) {
        let (from, to) = (self.key(from), self.key(to));
        let mut draft = self.draft(group, &from, Action::Add(vec![to.clone()]));
        (draft.account, draft.nonce, draft.to) = (7, 0, vec![to]);
        // Not the version of a creation.
        draft.version = B256::repeat_byte(1);
        self.note(format!("a stranger adds to {}", group.id));
        let (id, signer) = self.bring(&draft).await;
        let block = self.world.mine(vec![Pending { data: id.as_slice().to_vec(), signer }]);
        self.world.catch_up().await;
        let hash = self.world.block(block.hash).markers[0].hash;
        let (group, number) = (draft.group, block.number);
        self.markers.push(Marked { hash, group, number, payload: id, signer });
    }

    /// Somebody who is no member sends a tenant, who is none either, a transaction of a group.
    async fn stranger(&mut self) {
        let Some((at, members)) = self.group() else { return };
        let group = self.groups[at].clone();
        let outside: Vec<usize> =
            (0..self.pairs.len()).filter(|number| !members.contains(number)).collect();
        let Some(from) = outside.choose(&mut self.random).copied() else { return };
        let tenants: Vec<usize> = outside.iter().copied().filter(|it| *it < TENANTS).collect();
        let Some(to) = tenants.choose(&mut self.random).copied() else { return };
        let (from_key, to_key) = (self.key(from), self.key(to));
        let action = match self.random.random_range(0..4) {
            0 => Action::Lock,
            // Nothing may be told of the contract: whether there is one depends on the group.
            1 => Action::Deploy,
            2 => Action::Call(Address::repeat_byte(9), Bytes::from_static(b"1234")),
            _ => Action::Store(Address::repeat_byte(7), 7),
        };
        let mut draft = self.draft(&group, &from_key, action);
        draft.account = 7;
        draft.nonce = 0;
        draft.version = match self.random.random_bool(0.5) {
            true => self.world.members[1 + members[0]]
                .node()
                .facts(group.id)
                .map_or(B256::ZERO, |facts| facts.version),
            false => B256::ZERO,
        };
        draft.to = vec![to_key];
        self.note(format!("{from} sends {to} a transaction of {}", group.id));
        self.send(&draft).await;
    }
}

/// Whether all who are members of a group by what they follow themselves have the same state of it.
fn agreed(world: &World, groups: &[GroupId]) -> bool {
    groups.iter().all(|group| {
        let mut roots = world.members.iter().filter_map(|member| {
            let facts = member.node().facts(*group)?;
            let is_member = member.among(&facts.members).is_some();
            is_member.then(|| member.node().root(*group))
        });
        let first = roots.next();
        roots.all(|root| Some(root) == first)
    })
}
