//! A chain, members, and everything that was sent: what operations work on.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use alloy_primitives::{Address, B256, Bytes, U256};
use coterie_core::{
    AccountKey, EnclaveKey, GroupId, NetworkDefinition, PayloadKey, contracts::CODE_HASHES,
};
use coterie_node::{
    chain::{
        BlockRef,
        dev::{DevChain, DevOptions, Mining},
    },
    enclave::{
        Distribution,
        keys::{KeyPair, SecretKey},
    },
    service::{Confirmations, SendError, Tenant},
};

use super::{
    member::{Member, Parts},
    model::{Content, Marked, Model, Sent, Surroundings},
    network::{Network, Push},
    public::{CHANGER, PublicState},
    transactions::{self, Action, CHAIN_ID, account},
};

/// A marker that waits to be mined.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub(crate) data: Vec<u8>,
    /// Number of the account that signs it.
    pub(crate) signer: u64,
}

/// A block as the test made it.
#[derive(Clone, Debug)]
pub(crate) struct SimBlock {
    pub(crate) at: BlockRef,
    pub(crate) parent: B256,
    pub(crate) markers: Vec<Marked>,
    pub(crate) pending: Vec<Pending>,
    /// Public state after it.
    pub(crate) public: PublicState,
    nonces: HashMap<u64, u64>,
}

/// A payload that exists.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// Whose marker decides; zero: anyone's.
    pub(crate) signer: Address,
    pub(crate) content: Content,
    /// Members whom it is for, its sender's among them.
    pub(crate) recipients: BTreeSet<usize>,
    /// Member and its followed block when it stored the payload.
    pub(crate) arrived: BTreeMap<usize, Option<BlockRef>>,
    /// Whether its sender treated members differently.
    pub(crate) cheated: bool,
}

/// A transaction to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) group: GroupId,
    /// The sending member.
    pub(crate) from: usize,
    /// Which of its keys sends.
    pub(crate) key: EnclaveKey,
    /// Number of the private account.
    pub(crate) account: u64,
    pub(crate) nonce: u64,
    pub(crate) version: B256,
    pub(crate) action: Action,
    pub(crate) to: Vec<EnclaveKey>,
    /// Number of the account whose marker decides; `None`: anyone's.
    pub(crate) signer: Option<u64>,
}

/// A sealed payload that nobody but its sender has yet.
#[derive(Clone, Debug)]
pub(crate) struct Sealed {
    pub(crate) key: PayloadKey,
    /// Recipient and envelope.
    pub(crate) envelopes: Vec<(usize, Vec<u8>)>,
}

/// How a world is made.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WorldOptions {
    pub(crate) members: usize,
    /// The member that has a second key.
    pub(crate) two_keys: Option<usize>,
    /// Whether public state changes from block to block.
    pub(crate) public: bool,
    /// Blocks that must follow an addition before its history is given.
    pub(crate) confirmations: u64,
    /// Whether members go by what the chain calls finalized, so many blocks behind its head.
    pub(crate) finalized: bool,
}

/// Everything.
pub(crate) struct World {
    pub(crate) chain: DevChain,
    pub(crate) network: Arc<Network>,
    pub(crate) definition: Arc<NetworkDefinition>,
    pub(crate) members: Vec<Member>,
    pub(crate) payloads: HashMap<PayloadKey, Known>,
    options: WorldOptions,
    blocks: HashMap<B256, SimBlock>,
    /// How many blocks were made, on all branches.
    made: u64,
    accounts: RefCell<HashMap<u64, AccountKey>>,
}

impl World {
    /// A chain with its first block, and members with nothing.
    pub(crate) fn new(members: usize) -> Self {
        Self::with_definition(members, |_| {})
    }

    /// The same in a network of another definition.
    pub(crate) fn with_definition(
        members: usize,
        change: impl FnOnce(&mut NetworkDefinition),
    ) -> Self {
        Self::with_options(WorldOptions { members, ..WorldOptions::default() }, change)
    }

    /// A chain with its first block, and members with nothing.
    pub(crate) fn with_options(
        options: WorldOptions,
        change: impl FnOnce(&mut NetworkDefinition),
    ) -> Self {
        let funded = (account(CHANGER).address(), U256::from(1_000_000_000));
        let chain = DevChain::new(DevOptions {
            chain_id: CHAIN_ID,
            mining: Mining::Manual,
            accounts: vec![funded],
            finality_depth: options.confirmations,
            ..DevOptions::default()
        });
        let mut definition = NetworkDefinition::coterie("simulation", CHAIN_ID, CODE_HASHES);
        change(&mut definition);
        let definition = Arc::new(definition);
        let network = Arc::new(Network::default());
        let pair = |number: usize| {
            let secret = account(1_000_000 + number as u64).address().into_word();
            KeyPair::from_secret(SecretKey::from_bytes(alloy_primitives::keccak256(secret).0))
        };
        let parts = Parts {
            definition: Arc::clone(&definition),
            chain: chain.clone(),
            confirmations: match options.finalized {
                true => Confirmations::Finalized,
                false => Confirmations::Blocks(options.confirmations),
            },
        };
        let members = (0..options.members)
            .map(|number| {
                let second = (options.two_keys == Some(number)).then(|| pair(options.members));
                let pairs = std::iter::once(pair(number)).chain(second).collect();
                Member::new(&network, &parts, pairs)
            })
            .collect();
        let at = chain.head();
        let genesis = SimBlock {
            at,
            parent: B256::ZERO,
            markers: Vec::new(),
            pending: Vec::new(),
            public: PublicState::default(),
            nonces: HashMap::new(),
        };
        let blocks = HashMap::from([(at.hash, genesis)]);
        Self {
            chain,
            network,
            definition,
            members,
            payloads: HashMap::new(),
            options,
            blocks,
            made: 0,
            accounts: RefCell::default(),
        }
    }

    /// Blocks that must follow an addition before its history is given.
    pub(crate) const fn confirmations(&self) -> u64 {
        self.options.confirmations
    }

    /// The key of an account, by its number.
    pub(crate) fn account(&self, number: u64) -> AccountKey {
        self.accounts.borrow_mut().entry(number).or_insert_with(|| account(number)).clone()
    }

    /// The number of a member, by its key.
    pub(crate) fn member_of(&self, key: &EnclaveKey) -> usize {
        self.members.iter().position(|member| member.holds(key)).expect("a member's key")
    }

    /// Signs a private transaction.
    pub(crate) fn sent(&self, draft: &Draft) -> Sent {
        let account = self.account(draft.account);
        let signed = transactions::private_transaction(
            draft.group,
            &draft.key,
            &account,
            draft.nonce,
            &draft.action,
        );
        Sent {
            group: draft.group,
            signed,
            version: draft.version,
            action: draft.action.clone(),
            account: account.address(),
        }
    }

    /// Signs, seals, and stores with the sender.
    pub(crate) async fn seal(&mut self, draft: &Draft) -> Sealed {
        let sent = self.sent(draft);
        let signer = draft.signer.map_or(Address::ZERO, |signer| self.account(signer).address());
        let distribution = Distribution {
            from: draft.key.clone(),
            to: draft.to.clone(),
            text: transactions::text(&sent.signed, sent.version),
            marker_signer: signer,
            group: draft.group,
        };
        let sender = &self.members[draft.from];
        let (key, envelopes) = sender.enclave.seal(&distribution).await;
        self.sealed(draft.from, key, (signer, sent), envelopes)
    }

    /// The same by the sender's node, which checks, and finds version and recipients by itself.
    pub(crate) async fn distribute(&mut self, draft: &Draft) -> Result<Sealed, SendError> {
        let mut sent = self.sent(draft);
        let facts = self.members[draft.from].node().facts(draft.group);
        sent.version = facts.map_or(draft.version, |facts| facts.version);
        let signer = draft.signer.map(|signer| self.account(signer).address());
        let tenant = Tenant::owner(draft.key.clone());
        let service = &self.members[draft.from].node().service;
        self.network.hold_pushes();
        let data = service.distribute_raw_transaction(&tenant, &sent.signed.encode(), signer).await;
        let envelopes = self.network.held_pushes();
        let key = PayloadKey::from_slice(&data?).expect("an id");
        Ok(self.sealed(draft.from, key, (signer.unwrap_or_default(), sent), envelopes))
    }

    fn sealed(
        &mut self,
        from: usize,
        key: PayloadKey,
        (signer, sent): (Address, Sent),
        envelopes: Vec<Push>,
    ) -> Sealed {
        let arrived = BTreeMap::from([(from, self.members[from].followed())]);
        let content = Content::Transaction(Box::new(sent));
        let envelopes: Vec<_> =
            envelopes.into_iter().map(|(key, bytes)| (self.member_of(&key), bytes)).collect();
        let mut recipients: BTreeSet<usize> = envelopes.iter().map(|(number, _)| *number).collect();
        recipients.insert(from);
        self.payloads.insert(key, Known { signer, content, recipients, arrived, cheated: false });
        Sealed { key, envelopes }
    }

    /// Stores any plaintext with these members, the sender among them.
    pub(crate) async fn plant(
        &mut self,
        (from, to): (usize, &[EnclaveKey]),
        plain: &[u8],
        (signer, content): (Address, Content),
    ) -> PayloadKey {
        let mut keys = to.to_vec();
        keys.push(self.members[from].key.clone());
        let envelope = transactions::envelope(&self.members[from].pair, &keys, plain);
        let mut arrived = BTreeMap::new();
        let mut id = None;
        for key in &keys {
            let number = self.member_of(key);
            arrived.entry(number).or_insert_with(|| self.members[number].followed());
            id = Some(self.members[number].enclave.store(&envelope).await);
        }
        let key = id.expect("somebody");
        let recipients = arrived.keys().copied().collect();
        self.payloads.insert(key, Known { signer, content, recipients, arrived, cheated: false });
        key
    }

    /// Brings an envelope to a member.
    pub(crate) async fn deliver(&mut self, key: PayloadKey, to: usize, envelope: &[u8]) {
        let followed = self.members[to].followed();
        let stored = self.members[to].enclave.store(envelope).await;
        assert_eq!(stored, key);
        let known = self.payloads.get_mut(&key).expect("a known payload");
        known.arrived.entry(to).or_insert(followed);
    }

    /// Seals and brings to everybody: what an honest sender does.
    pub(crate) async fn send(&mut self, draft: &Draft) -> PayloadKey {
        let sealed = self.seal(draft).await;
        for (to, envelope) in &sealed.envelopes {
            self.deliver(sealed.key, *to, envelope).await;
        }
        sealed.key
    }

    /// The newest block.
    pub(crate) fn head(&self) -> &SimBlock {
        &self.blocks[&self.chain.head().hash]
    }

    /// A block that was made, on whatever branch.
    pub(crate) fn block(&self, hash: B256) -> &SimBlock {
        &self.blocks[&hash]
    }

    /// Makes a block of these markers, in this order, the new head.
    pub(crate) fn mine(&mut self, pending: Vec<Pending>) -> BlockRef {
        let at = self.mine_on(self.chain.head().hash, pending);
        self.chain.set_head(at.hash).expect("the new block");
        at
    }

    /// Makes a block of these markers on any block; the head stays.
    pub(crate) fn mine_on(&mut self, parent: B256, pending: Vec<Pending>) -> BlockRef {
        let mut nonces = self.blocks[&parent].nonces.clone();
        let mut raw: Vec<Bytes> = Vec::with_capacity(pending.len());
        let mut markers = Vec::with_capacity(pending.len());
        for Pending { data, signer } in &pending {
            let nonce = nonces.entry(*signer).or_default();
            let key = self.account(*signer);
            let (hash, bytes) = transactions::marker(&key, *nonce, data);
            *nonce += 1;
            raw.push(bytes);
            markers.push(Marked { data: data.clone(), from: key.address(), hash });
        }
        let mut public = self.blocks[&parent].public;
        self.made += 1;
        if self.options.public {
            let (fields, changed) = public.change(self.made);
            public = changed;
            let nonce = nonces.entry(CHANGER).or_default();
            let (_, bytes) =
                transactions::public_transaction(&self.account(CHANGER), *nonce, fields);
            *nonce += 1;
            // Before the markers or after them: they see the end of the parent block.
            let at = if self.made.is_multiple_of(2) { 0 } else { raw.len() };
            raw.insert(at, bytes);
        }
        let at = self.chain.mine_on(parent, &raw).expect("valid transactions");
        self.blocks.insert(at.hash, SimBlock { at, parent, markers, pending, public, nonces });
        at
    }

    /// The canonical chain, from the block after genesis.
    pub(crate) fn canonical(&self) -> Vec<&SimBlock> {
        let mut blocks = Vec::new();
        let mut block = self.head();
        while block.at.number > 0 {
            blocks.push(block);
            block = &self.blocks[&block.parent];
        }
        blocks.reverse();
        blocks
    }

    /// Whether there is more than one branch.
    pub(crate) fn has_branches(&self) -> bool {
        // The first block is in none.
        self.blocks.len() > self.canonical().len() + 1
    }

    /// Whether `block` is `tip` or one of its ancestors.
    pub(crate) fn is_ancestor(&self, block: BlockRef, tip: BlockRef) -> bool {
        let mut hash = tip.hash;
        while let Some(at) = self.blocks.get(&hash).filter(|at| at.at.number >= block.number) {
            if at.at == block {
                return true;
            }
            hash = at.parent;
        }
        false
    }

    /// The last block that both are, or are descended from.
    pub(crate) fn common(&self, a: BlockRef, b: BlockRef) -> BlockRef {
        let mut block = &self.blocks[&a.hash];
        while !self.is_ancestor(block.at, b) {
            block = &self.blocks[&block.parent];
        }
        block.at
    }

    /// Whether a member could read the payload when it followed `block`.
    pub(crate) fn in_time(&self, member: usize, key: PayloadKey, block: BlockRef) -> bool {
        let Some(known) = self.payloads.get(&key) else { return false };
        match known.arrived.get(&member) {
            None => false,
            Some(None) => true,
            Some(Some(followed)) => !self.is_ancestor(block, *followed),
        }
    }

    /// What must have become of everything on the canonical chain.
    pub(crate) fn model(&self) -> Model {
        let mut model = Model::new(self.definition.hash());
        let payload = |key| {
            let known: Option<&Known> = self.payloads.get(&key);
            known.map(|known| (known.signer, &known.content))
        };
        let genesis = self.chain.genesis_hash();
        let mut around = Surroundings { public: PublicState::default(), hashes: vec![genesis] };
        for block in self.canonical() {
            model.follow((block.at, &around), &block.markers, payload);
            around.public = block.public;
            around.hashes.push(block.at.hash);
        }
        model
    }

    /// All members follow to the head.
    pub(crate) async fn catch_up(&mut self) {
        for member in &mut self.members {
            member.catch_up().await.expect("followed");
        }
    }

    /// Gives tasks their time while nobody follows. The clock stands still while a task works on
    /// another thread.
    pub(crate) async fn let_tasks_work(&self) {
        let never = std::future::pending::<()>();
        let _ = tokio::time::timeout(std::time::Duration::from_millis(50), never).await;
    }

    /// Lets tasks run and members follow until `done`, not for ever; false when it did not come.
    pub(crate) async fn settle(&mut self, mut done: impl FnMut(&Self) -> bool) -> bool {
        let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
        for round in 1_u32.. {
            self.catch_up().await;
            if done(self) {
                return true;
            }
            if tokio::time::Instant::now() > deadline {
                return false;
            }
            // Enclaves write in threads of their own, so time matters, not only turns.
            tokio::task::yield_now().await;
            if round.is_multiple_of(64) {
                // Those who wait for a new block to ask again.
                self.mine(Vec::new());
            }
        }
        false
    }
}
