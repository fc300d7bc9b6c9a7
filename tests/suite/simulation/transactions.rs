//! Private transactions and markers, signed.

use alloy_consensus::{SignableTransaction as _, TxEnvelope, TxLegacy};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, keccak256};
use alloy_sol_types::{SolCall as _, sol};
use coterie_core::{
    AccountKey, EnclaveKey, GroupId, PrivateTransaction, Recipients, Restriction,
    SignedPrivateTransaction,
    management::{MANAGEMENT_PROXY, ManagementCall},
    marker::FLEXIBLE_PRIVACY,
    wire::VersionedPrivateTransaction,
};
use coterie_node::enclave::{
    Opening,
    codec::{Envelope, Tail},
    crypto::{KeyRing, random, seal_payload},
    keys::KeyPair,
};

use crate::artifacts::creation_code;

sol! {
    interface Emitter {
        function store(uint256 newValue) external;
        function value() external returns (uint256);
    }

    interface Forwarder {
        function forwardAll(address target, bytes[] calls) external;
    }

    interface Observer {
        function observeValue(address emitter) external;
        function observeBalance(address account) external;
        function observeHash(uint256 number) external;
    }
}

/// The chain id of all simulations.
pub(crate) const CHAIN_ID: u64 = 1337;

/// What a private transaction does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Creates the group, or adds to it.
    Add(Vec<EnclaveKey>),
    Remove(EnclaveKey),
    Lock,
    Unlock,
    /// Deploys an emitter.
    Deploy,
    /// Deploys anything else.
    DeployCode(Bytes),
    /// Stores a number in an emitter.
    Store(Address, u64),
    /// Deploys an observer.
    DeployObserver,
    /// Lets an observer keep what it sees of the public chain.
    Observe(Address, Look),
    /// Deploys a forwarder, which anybody can use.
    DeployForwarder,
    /// Offers the ownership of the group.
    Offer(Address),
    /// Takes the offered ownership.
    Accept,
    /// Lets a forwarder make management calls, all or none.
    Through(Address, Vec<Action>),
    /// Calls a contract.
    Call(Address, Bytes),
}

/// What an observer looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// The number in a public emitter.
    Value(Address),
    /// The balance of a public account.
    Balance(Address),
    /// The hash of a block.
    Hash(u64),
}

impl Look {
    fn call(self) -> Bytes {
        match self {
            Self::Value(emitter) => Observer::observeValueCall { emitter }.abi_encode(),
            Self::Balance(account) => Observer::observeBalanceCall { account }.abi_encode(),
            Self::Hash(number) => {
                Observer::observeHashCall { number: U256::from(number) }.abi_encode()
            }
        }
        .into()
    }
}

impl Action {
    /// Whether it concerns the membership.
    pub(crate) fn is_membership(&self) -> bool {
        matches!(self, Self::Add(_) | Self::Remove(_) | Self::Lock | Self::Unlock)
            || self.forwarded().iter().any(Self::is_membership)
    }

    /// The keys that it adds, however.
    pub(crate) fn added(&self) -> Vec<EnclaveKey> {
        if let Self::Add(keys) = self {
            return keys.clone();
        }
        self.forwarded().iter().flat_map(Self::added).collect()
    }

    /// What it lets a forwarder do.
    fn forwarded(&self) -> &[Self] {
        if let Self::Through(_, actions) = self { actions } else { &[] }
    }

    fn management_call(&self) -> Option<ManagementCall> {
        Some(match self {
            Self::Add(keys) => ManagementCall::AddParticipants(keys.clone()),
            Self::Remove(key) => ManagementCall::RemoveParticipant(key.clone()),
            Self::Lock => ManagementCall::Lock,
            Self::Unlock => ManagementCall::Unlock,
            Self::Offer(to) => ManagementCall::TransferOwnership(*to),
            Self::Accept => ManagementCall::AcceptOwnership,
            Self::Deploy
            | Self::DeployCode(_)
            | Self::Store(..)
            | Self::DeployObserver
            | Self::Observe(..)
            | Self::DeployForwarder
            | Self::Through(..)
            | Self::Call(..) => return None,
        })
    }

    fn to_and_input(&self) -> (TxKind, Bytes) {
        match self {
            Self::Add(_)
            | Self::Remove(_)
            | Self::Lock
            | Self::Unlock
            | Self::Offer(_)
            | Self::Accept => {
                let call = self.management_call().expect("a management call");
                (TxKind::Call(MANAGEMENT_PROXY), call.encode().into())
            }
            Self::Deploy => (TxKind::Create, creation_code("EventEmitter")),
            Self::DeployCode(code) => (TxKind::Create, code.clone()),
            Self::Store(to, value) => {
                let call = Emitter::storeCall { newValue: U256::from(*value) };
                (TxKind::Call(*to), call.abi_encode().into())
            }
            Self::DeployObserver => (TxKind::Create, creation_code("Observer")),
            Self::Observe(observer, look) => (TxKind::Call(*observer), look.call()),
            Self::DeployForwarder => (TxKind::Create, creation_code("Forwarder")),
            Self::Through(forwarder, actions) => {
                let calls = actions.iter().filter_map(Self::management_call);
                let calls = calls.map(|call| call.encode().into()).collect();
                let call = Forwarder::forwardAllCall { target: MANAGEMENT_PROXY, calls };
                (TxKind::Call(*forwarder), call.abi_encode().into())
            }
            Self::Call(to, input) => (TxKind::Call(*to), input.clone()),
        }
    }
}

/// A key of an account, made of a number.
pub(crate) fn account(number: u64) -> AccountKey {
    AccountKey::from_slice(keccak256(number.to_be_bytes()).as_slice()).expect("a key")
}

/// A private transaction, signed.
pub(crate) fn private_transaction(
    group: GroupId,
    from: &EnclaveKey,
    account: &AccountKey,
    nonce: u64,
    action: &Action,
) -> SignedPrivateTransaction {
    let (to, input) = action.to_and_input();
    let transaction = PrivateTransaction {
        nonce,
        gas_price: U256::ZERO,
        gas_limit: 3_000_000,
        to,
        value: U256::ZERO,
        input,
        chain_id: Some(CHAIN_ID),
        private_from: from.clone(),
        recipients: Recipients::Group(group),
        restriction: Restriction::Restricted,
    };
    transaction.sign(account).expect("signed")
}

/// The text of a payload.
pub(crate) fn text(transaction: &SignedPrivateTransaction, version: B256) -> Bytes {
    VersionedPrivateTransaction { transaction: transaction.clone(), version }
        .to_text()
        .into_bytes()
        .into()
}

/// A marker of any data, signed: its hash and its bytes.
pub(crate) fn marker(signer: &AccountKey, nonce: u64, data: &[u8]) -> (B256, Bytes) {
    let to = TxKind::Call(FLEXIBLE_PRIVACY);
    public_transaction(signer, nonce, (to, 0, Bytes::copy_from_slice(data)))
}

/// Any public transaction, signed: its hash and its bytes.
pub(crate) fn public_transaction(
    signer: &AccountKey,
    nonce: u64,
    (to, value, input): (TxKind, u64, Bytes),
) -> (B256, Bytes) {
    let transaction = TxLegacy {
        chain_id: Some(CHAIN_ID),
        nonce,
        gas_price: 0,
        gas_limit: 1_000_000,
        to,
        value: U256::from(value),
        input,
    };
    let signature = signer.sign_hash(&transaction.signature_hash()).expect("signed");
    let envelope = TxEnvelope::from(transaction.into_signed(signature));
    (*envelope.tx_hash(), envelope.encoded_2718().into())
}

/// An envelope with any plaintext inside, as only a member with a changed node sends it.
pub(crate) fn envelope(from: &KeyPair, to: &[EnclaveKey], plain: &[u8]) -> Vec<u8> {
    let ring = KeyRing::new(vec![from.clone()]);
    let opening = Opening { master_key: random().unwrap(), nonce: random().unwrap() };
    let box_nonce: [u8; 24] = random().unwrap();
    let recipients: Vec<[u8; 32]> =
        to.iter().map(|key| *key.as_nacl().expect("32 bytes")).collect();
    let boxes = recipients.iter().map(|to| {
        let sealed = ring.seal(from.public(), to, &box_nonce, &opening.master_key);
        sealed.and_then(|sealed| sealed.try_into().ok()).expect("a box")
    });
    Envelope {
        sender: *from.public(),
        cipher_text: seal_payload(&opening, plain).into(),
        nonce: opening.nonce,
        boxes: boxes.collect(),
        box_nonce,
        recipients: Some(recipients),
        tail: Some(Tail::standard(None)),
    }
    .encode()
}
