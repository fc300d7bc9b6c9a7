//! What must become of every marker, worked out a second time and without the node: by somebody
//! who had every payload in time.
//!
//! Only core's access rule is shared with the node; membership, versions, locks and nonces are kept
//! here in plain maps.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_sol_types::SolValue as _;
use coterie_core::{
    EnclaveKey, GroupId, PayloadKey, SignedPrivateTransaction,
    access::{self, Denied, GroupFacts},
    contract_address,
    definition::Rules,
    management,
};
use coterie_node::{chain::BlockRef, state::Reason};

use super::{
    public::PublicState,
    transactions::{Action, Look},
};

/// What a payload is.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// A transaction of a member.
    Transaction(Box<Sent>),
    /// Does not open to what the rules want, for whatever reason.
    Broken(Reason),
}

/// A private transaction as it was sent.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) group: GroupId,
    pub(crate) signed: SignedPrivateTransaction,
    pub(crate) version: B256,
    pub(crate) action: Action,
    pub(crate) account: Address,
}

/// A marker on the chain.
#[derive(Clone, Debug)]
pub(crate) struct Marked {
    pub(crate) data: Vec<u8>,
    pub(crate) from: Address,
    pub(crate) hash: B256,
}

/// What must become of a marker.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) block: BlockRef,
    pub(crate) marker: B256,
    pub(crate) key: PayloadKey,
    pub(crate) group: Option<GroupId>,
    pub(crate) reason: Reason,
}

/// A group as it must be.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) facts: GroupFacts,
    pub(crate) owner: Address,
    /// Ids that counted, with the block.
    pub(crate) counted: Vec<(BlockRef, PayloadKey)>,
    /// The members after each transaction that changed them, by its place among those that counted.
    pub(crate) members_at: Vec<(usize, Vec<EnclaveKey>)>,
    /// What emitters and observers hold.
    pub(crate) numbers: BTreeMap<Address, U256>,
    /// Whether a contract changed the membership.
    pub(crate) changed_by_contract: bool,
    emitters: BTreeSet<Address>,
    observers: BTreeSet<Address>,
    forwarders: BTreeSet<Address>,
    pending_owner: Address,
    contract_version: B256,
    nonces: HashMap<Address, u64>,
}

/// All groups, and the outcome of every marker.
#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) groups: BTreeMap<GroupId, Group>,
    pub(crate) outcomes: Vec<Outcome>,
    /// What was seen of the public chain by transactions that counted.
    pub(crate) observations: Vec<Observation>,
    definition: B256,
    decided: HashMap<PayloadKey, B256>,
}

/// What a transaction saw of the public chain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Observation {
    pub(crate) group: GroupId,
    pub(crate) block: BlockRef,
    pub(crate) look: Look,
    pub(crate) seen: U256,
}

/// What the private transactions of a block see of the public chain.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    /// Public state at the end of the parent block.
    pub(crate) public: PublicState,
    /// Hashes of the blocks before, by number.
    pub(crate) hashes: Vec<B256>,
}

impl Surroundings {
    /// What an observer sees; `None` when its call fails.
    pub(crate) fn look(&self, look: Look) -> Option<U256> {
        match look {
            Look::Hash(number) => {
                let hash = self.hashes.get(usize::try_from(number).ok()?).copied();
                Some(hash.unwrap_or_default().into())
            }
            Look::Value(_) | Look::Balance(_) => self.public.look(look),
        }
    }
}

impl Model {
    /// Nothing followed yet.
    pub(crate) fn new(definition: B256) -> Self {
        Self { definition, ..Self::default() }
    }

    /// Follows one block. `payload` says whose marker decides an id (zero: anyone's), and what is
    /// inside; `None` for an id that nobody made.
    pub(crate) fn follow<'a>(
        &mut self,
        (block, around): (BlockRef, &Surroundings),
        markers: &[Marked],
        payload: impl Fn(PayloadKey) -> Option<(Address, &'a Content)>,
    ) {
        for marker in markers {
            let Ok(key) = PayloadKey::from_slice(&marker.data) else { continue };
            let Some((signer, content)) = payload(key) else { continue };
            let mut group = None;
            let reason = match content {
                // A payload that does not open says nothing of its marker's signer.
                Content::Broken(Reason::Undecodable) if signer.is_zero() => Reason::Undecodable,
                _ if !signer.is_zero() && signer != marker.from => Reason::Copied,
                _ if self.decided.contains_key(&key) => Reason::Duplicate,
                Content::Broken(reason) => {
                    self.decided.insert(key, marker.hash);
                    *reason
                }
                Content::Transaction(sent) => {
                    self.decided.insert(key, marker.hash);
                    group = Some(sent.group);
                    self.execute((block, around), key, sent)
                }
            };
            if let Content::Transaction(sent) = content {
                group = Some(sent.group);
            }
            let marker = marker.hash;
            self.outcomes.push(Outcome { block, marker, key, group, reason });
        }
    }

    /// Which marker decided a payload in the end.
    pub(crate) fn decided(&self, key: PayloadKey) -> Option<&Outcome> {
        let marker = self.decided.get(&key)?;
        self.outcomes.iter().find(|outcome| outcome.marker == *marker && outcome.key == key)
    }

    fn execute(
        &mut self,
        (block, around): (BlockRef, &Surroundings),
        key: PayloadKey,
        sent: &Sent,
    ) -> Reason {
        let mut group = self.groups.get(&sent.group).cloned().unwrap_or_else(Group::new);
        let reason = group.execute(sent, self.definition, around);
        if reason == Reason::Executed {
            if let Action::Observe(observer, look) = sent.action
                && let Some(seen) = around.look(look).filter(|_| group.observes(observer))
            {
                self.observations.push(Observation { group: sent.group, block, look, seen });
            }
            group.counted.push((block, key));
            let members = &group.facts.members;
            if group.members_at.last().is_none_or(|(_, last)| last != members) {
                group.members_at.push((group.counted.len() - 1, members.clone()));
            }
            self.groups.insert(sent.group, group);
        }
        reason
    }
}

impl Group {
    fn new() -> Self {
        Self {
            facts: GroupFacts::before_creation(),
            owner: Address::ZERO,
            counted: Vec::new(),
            members_at: Vec::new(),
            numbers: BTreeMap::new(),
            changed_by_contract: false,
            emitters: BTreeSet::new(),
            observers: BTreeSet::new(),
            forwarders: BTreeSet::new(),
            pending_owner: Address::ZERO,
            contract_version: B256::ZERO,
            nonces: HashMap::new(),
        }
    }

    /// The rolling hash over the ids that counted.
    pub(crate) fn digest(&self) -> B256 {
        let fold = |digest: B256, (_, key): &(BlockRef, PayloadKey)| {
            keccak256([digest.as_slice(), key.as_slice()].concat())
        };
        self.counted.iter().fold(B256::ZERO, fold)
    }

    /// Whether this is an observer.
    fn observes(&self, contract: Address) -> bool {
        self.observers.contains(&contract)
    }

    fn execute(&mut self, sent: &Sent, definition: B256, around: &Surroundings) -> Reason {
        match access::check_execution(Rules::Coterie, &self.facts, &sent.signed, sent.version) {
            Ok(()) => {}
            Err(Denied::Locked | Denied::NotLocked) => return Reason::Locked,
            Err(Denied::Version) => return Reason::Version,
            Err(_) => return Reason::NotAMember,
        }
        let nonce = sent.signed.transaction.nonce;
        if nonce != self.nonces.get(&sent.account).copied().unwrap_or_default() {
            return Reason::Nonce;
        }
        if !self.run(sent, definition, around) {
            return Reason::Reverted;
        }
        self.nonces.insert(sent.account, nonce + 1);
        Reason::Executed
    }

    /// Does what the transaction says; false when a contract refuses: then nothing has changed.
    fn run(&mut self, sent: &Sent, definition: B256, around: &Surroundings) -> bool {
        let created = || contract_address(sent.account, sent.signed.transaction.nonce, sent.group);
        match &sent.action {
            Action::Deploy => {
                self.emitters.insert(created());
                self.numbers.insert(created(), U256::ZERO);
            }
            Action::DeployObserver => {
                self.observers.insert(created());
                self.numbers.insert(created(), U256::ZERO);
            }
            Action::DeployForwarder => {
                self.forwarders.insert(created());
            }
            Action::Store(to, value) if self.emitters.contains(to) => {
                self.numbers.insert(*to, U256::from(*value));
            }
            Action::Observe(to, look) if self.observers.contains(to) => {
                let Some(seen) = around.look(*look) else { return false };
                self.numbers.insert(*to, seen);
            }
            Action::Through(to, actions) if self.forwarders.contains(to) => {
                let before = self.clone();
                if !actions.iter().all(|it| self.manage(*to, it, definition)) {
                    *self = before;
                    return false;
                }
                self.changed_by_contract |= self.contract_version != before.contract_version;
            }
            // Where nobody is nothing happens; another contract has no such function.
            Action::Store(to, _) | Action::Observe(to, _) | Action::Through(to, _) => {
                return !self.numbers.contains_key(to) && !self.forwarders.contains(to);
            }
            Action::DeployCode(_) | Action::Call(..) => {}
            Action::Add(_)
            | Action::Remove(_)
            | Action::Lock
            | Action::Unlock
            | Action::Offer(_)
            | Action::Accept => return self.manage(sent.account, &sent.action, definition),
        }
        true
    }

    /// A management call of `caller`; false when the contract refuses.
    fn manage(&mut self, caller: Address, action: &Action, definition: B256) -> bool {
        let owns = caller == self.owner;
        match action {
            Action::Add(keys) => {
                if !self.facts.locked || !(owns || self.owner.is_zero()) {
                    return false;
                }
                self.owner = caller;
                let mut have: BTreeSet<_> = self.facts.members.iter().cloned().collect();
                for key in keys {
                    if have.insert(key.clone()) {
                        self.facts.members.push(key.clone());
                    }
                }
                self.facts.locked = false;
                self.change_version(definition);
            }
            Action::Remove(key) => {
                if self.facts.locked || !owns {
                    return false;
                }
                if let Some(at) = self.facts.members.iter().position(|member| member == key) {
                    self.facts.members.swap_remove(at);
                }
                self.change_version(definition);
            }
            Action::Lock | Action::Unlock => {
                let lock = *action == Action::Lock;
                if self.facts.locked == lock || !owns {
                    return false;
                }
                self.facts.locked = lock;
            }
            Action::Offer(to) => {
                if !owns {
                    return false;
                }
                self.pending_owner = *to;
            }
            Action::Accept => {
                if caller != self.pending_owner {
                    return false;
                }
                self.owner = caller;
                self.pending_owner = Address::ZERO;
                self.facts.owner = self.forwarders.contains(&caller).then_some(caller);
            }
            Action::Deploy
            | Action::DeployCode(_)
            | Action::Store(..)
            | Action::DeployObserver
            | Action::Observe(..)
            | Action::DeployForwarder
            | Action::Through(..)
            | Action::Call(..) => unreachable!("no management call"),
        }
        true
    }

    fn change_version(&mut self, definition: B256) {
        let words: Vec<B256> =
            self.facts.members.iter().map(|key| B256::from_slice(key.as_slice())).collect();
        let encoded = (self.contract_version, words, definition).abi_encode_params();
        self.contract_version = keccak256(encoded);
        self.facts.version = management::group_version(self.contract_version, &self.facts.members);
    }
}
