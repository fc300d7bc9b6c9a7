//! A chain full of private ERC-20 transfers, with the payloads in two members' files, and no
//! private state yet: what a node finds that was away.
//!
//! Made with the node's own enclave and core, signed by real keys; only the network is left out.

use std::{collections::VecDeque, path::Path, sync::Arc};

use alloy_consensus::{SignableTransaction, TxLegacy};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, keccak256};
use alloy_sol_types::{SolCall, SolValue, sol};
use anyhow::{Context, Result, bail, ensure};
use async_trait::async_trait;
use coterie_core::{
    AccountKey, EnclaveKey, GroupId, NetworkDefinition, PayloadKey, PrivateTransaction, Recipients,
    Restriction, SignedPrivateTransaction, contract_address, management::MANAGEMENT_PROXY,
    management::ManagementCall, marker::FLEXIBLE_PRIVACY, wire::VersionedPrivateTransaction,
};
use coterie_node::{
    chain::{
        BlockRef, Chain,
        dev::{DevChain, Mining},
    },
    enclave::{AskError, Carrier, Distribution, EmbeddedEnclave, Enclave, EnclaveLimits, Storage},
    executor::{Executor, Genesis, PublicReads},
    follower::{Follower, FollowerOptions, FollowerParts, Preparer},
    state::{State, StateOptions},
    store::{MemoryStore, Store},
};
use futures::{StreamExt, TryStreamExt};
use rayon::prelude::*;
use tempfile::TempDir;

use crate::network::{definition, dev_chain, enclave_key, key_pair, marker_secret, payload_file};

sol! {
    function transfer(address to, uint256 amount) external returns (bool);
    function balanceOf(address owner) external view returns (uint256);
}

/// Transfers in a full block.
pub(crate) const BLOCK: usize = 1000;
/// Accounts of a group that send.
pub(crate) const SENDERS: usize = 4;
/// Accounts of a group that receive.
const HOLDERS: u64 = 1000;
/// Gas limit of private transactions and of markers.
const GAS: u64 = 100_000;
/// Payloads that are sealed and stored at a time: they share a write of the disk.
const AT_A_TIME: usize = 500;

/// A group with its token and those who send it.
#[derive(Clone)]
pub(crate) struct Group {
    pub(crate) id: GroupId,
    pub(crate) from: EnclaveKey,
    pub(crate) chain_id: u64,
    /// Signing keys with their next nonces; the first one deploys.
    pub(crate) senders: Vec<(AccountKey, u64)>,
    /// The members that create it.
    pub(crate) members: Vec<EnclaveKey>,
    sent: u64,
}

impl Group {
    /// The group `number` of some members, of which the first sends.
    pub(crate) fn new(number: usize, members: Vec<EnclaveKey>, chain_id: u64) -> Result<Self> {
        let id = GroupId(keccak256(format!("group {number}")));
        let key = |sender: usize| -> Result<_> {
            let secret = keccak256(format!("sender {sender} of group {number}"));
            Ok((AccountKey::from_slice(secret.as_slice())?, 0))
        };
        let senders = (0..SENDERS).map(key).collect::<Result<_>>()?;
        let from = members.first().context("a member")?.clone();
        Ok(Self { id, from, chain_id, senders, members, sent: 0 })
    }

    /// The token's address.
    pub(crate) fn token(&self) -> Address {
        let deployer = self.senders.first().map(|(key, _)| key.address()).unwrap_or_default();
        // Its second transaction: the first one creates the group.
        contract_address(deployer, 1, self.id)
    }

    /// Signs the next transaction of a sender.
    pub(crate) fn sign(
        &mut self,
        sender: usize,
        to: TxKind,
        input: Bytes,
    ) -> Result<SignedPrivateTransaction> {
        let (key, next) = self.senders.get_mut(sender).context("a sender")?;
        let nonce = *next;
        *next += 1;
        let transaction = PrivateTransaction {
            nonce,
            gas_price: U256::ZERO,
            gas_limit: GAS,
            to,
            value: U256::ZERO,
            input,
            chain_id: Some(self.chain_id),
            private_from: self.from.clone(),
            recipients: Recipients::Group(self.id),
            restriction: Restriction::Restricted,
        };
        Ok(transaction.sign(key)?)
    }

    /// Signs a management call by the creator.
    pub(crate) fn manage(&mut self, call: &ManagementCall) -> Result<SignedPrivateTransaction> {
        self.sign(0, TxKind::Call(MANAGEMENT_PROXY), call.encode().into())
    }

    /// Creation, then the token, then its distribution among the senders.
    pub(crate) fn setup(&mut self) -> Result<Vec<SignedPrivateTransaction>> {
        let members = self.members.clone();
        let mut signed = vec![self.manage(&ManagementCall::AddParticipants(members))?];
        let supply = U256::from(1_000_000_000_000_u64);
        let code = [erc20()?.to_vec(), supply.abi_encode()].concat();
        signed.push(self.sign(0, TxKind::Create, code.into())?);
        for sender in 1..SENDERS {
            let to = self.senders.get(sender).context("a sender")?.0.address();
            signed.push(self.pay(0, to, 1_000_000_000)?);
        }
        Ok(signed)
    }

    fn pay(&mut self, sender: usize, to: Address, amount: u64) -> Result<SignedPrivateTransaction> {
        let input = transferCall { to, amount: U256::from(amount) }.abi_encode();
        self.sign(sender, TxKind::Call(self.token()), input.into())
    }

    /// The next transfer of the sender whose turn it is, to one of many.
    pub(crate) fn transfer(&mut self) -> Result<SignedPrivateTransaction> {
        self.transfer_to(None)
    }

    /// The same, to whom is said.
    pub(crate) fn transfer_to(&mut self, to: Option<Address>) -> Result<SignedPrivateTransaction> {
        let sender = usize::try_from(self.sent % SENDERS as u64)?;
        let hash = keccak256([self.id.as_slice(), &self.sent.to_be_bytes()].concat());
        self.sent += 1;
        let holder = U256::from_be_bytes(hash.0) % U256::from(HOLDERS);
        let to = to.unwrap_or_else(|| Address::from_word(keccak256(holder.to_be_bytes::<32>())));
        self.pay(sender, to, 1)
    }
}

/// Creation code of the token.
pub(crate) fn erc20() -> Result<Bytes> {
    let artifacts: serde_json::Value =
        serde_json::from_str(include_str!("../contracts/artifacts.json"))?;
    let code = artifacts.pointer("/contracts/Erc20/bytecode").and_then(|it| it.as_str());
    Ok(code.context("the token's code")?.parse()?)
}

/// A chain with private transactions, and the payload files of A and B.
pub(crate) struct Workload {
    pub(crate) directory: TempDir,
    pub(crate) chain: DevChain,
    pub(crate) definition: NetworkDefinition,
    pub(crate) groups: Vec<Group>,
    /// The transfers, in the order of the chain.
    pub(crate) transfers: Vec<SignedPrivateTransaction>,
    /// What B's enclave was pushed for them.
    pub(crate) envelopes: Vec<Vec<u8>>,
    /// Markers of the last transfers, which no block has yet.
    unsent: VecDeque<Bytes>,
}

impl Workload {
    /// As many groups of A and B as there are `counts`, with so many transfers each; blocks hold
    /// [`BLOCK`] transfers and take from the groups in turn.
    pub(crate) async fn new(counts: &[usize]) -> Result<Self> {
        Self::with(counts, (BLOCK, 0), Group::transfer).await
    }

    /// The same with blocks of so many transfers, and the last ones left to [`Self::mine`].
    pub(crate) async fn with(
        counts: &[usize],
        (block, unsent): (usize, usize),
        mut transfer: impl FnMut(&mut Group) -> Result<SignedPrivateTransaction>,
    ) -> Result<Self> {
        let chain = dev_chain(Mining::Manual);
        let definition = definition(&chain);
        let directory = tempfile::tempdir()?;
        let members = vec![enclave_key(0)?, enclave_key(1)?];
        let group = |number| Group::new(number, members.clone(), definition.chain_id);
        let mut groups = (0..counts.len()).map(group).collect::<Result<Vec<_>>>()?;
        let mut maker = Maker::new(&chain, &definition, directory.path())?;

        let mut setup = Vec::new();
        for group in &mut groups {
            let mut signed = group.setup()?.into_iter();
            maker.publish(vec![signed.next().context("a creation")?], &[B256::ZERO]).await?;
            setup.push(signed.collect::<Vec<_>>());
        }
        let versions = maker.versions(&groups).await?;
        for (signed, version) in setup.into_iter().zip(&versions) {
            let count = signed.len();
            maker.publish(signed, &vec![*version; count]).await?;
        }

        let mut left = counts.to_vec();
        let mut next = Vec::new();
        while left.iter().any(|left| *left > 0) {
            for ((left, group), version) in left.iter_mut().zip(&mut groups).zip(&versions) {
                if *left > 0 {
                    *left -= 1;
                    next.push((transfer(group)?, *version));
                }
            }
        }
        let (transfers, versions): (Vec<_>, Vec<_>) = next.into_iter().unzip();
        let (mut markers, envelopes) = maker.seal(transfers.clone(), &versions).await?;
        let unsent = markers.split_off(markers.len().saturating_sub(unsent)).into();
        for block in markers.chunks(block) {
            mine(&chain, block)?;
        }
        Ok(Self { directory, chain, definition, groups, transfers, envelopes, unsent })
    }

    /// Puts the next `count` of those that were left into a block.
    pub(crate) fn mine(&mut self, count: usize) -> Result<BlockRef> {
        ensure!(count <= self.unsent.len(), "only {} transfers are left", self.unsent.len());
        let block: Vec<_> = self.unsent.drain(..count).collect();
        mine(&self.chain, &block)
    }
}

/// Makes a block of these.
fn mine(chain: &DevChain, markers: &[Bytes]) -> Result<BlockRef> {
    for sent in chain.send_many(markers) {
        sent?;
    }
    let block = chain.mine();
    ensure!(chain.pool_len() == 0, "a block is not large enough");
    Ok(block)
}

/// Seals, stores and marks.
struct Maker<'a> {
    chain: &'a DevChain,
    definition: &'a NetworkDefinition,
    enclaves: [Arc<EmbeddedEnclave>; 2],
    marker_key: AccountKey,
    nonce: u64,
}

impl<'a> Maker<'a> {
    fn new(
        chain: &'a DevChain,
        definition: &'a NetworkDefinition,
        directory: &Path,
    ) -> Result<Self> {
        let enclaves = [0, 1].map(|member| -> Result<_> {
            let enclave = offline(definition, directory, member)?;
            enclave.set_co_members(vec![enclave_key(0)?, enclave_key(1)?]);
            Ok(Arc::new(enclave))
        });
        let [a, b] = enclaves;
        let marker_key = AccountKey::from_slice(marker_secret(0)?.as_slice())?;
        Ok(Self { chain, definition, enclaves: [a?, b?], marker_key, nonce: 0 })
    }

    /// Puts transactions into the next block.
    async fn publish(
        &mut self,
        signed: Vec<SignedPrivateTransaction>,
        versions: &[B256],
    ) -> Result<()> {
        let (markers, _) = self.seal(signed, versions).await?;
        mine(self.chain, &markers)?;
        Ok(())
    }

    /// Stores transactions with both members; their markers, and what B was pushed.
    async fn seal(
        &mut self,
        signed: Vec<SignedPrivateTransaction>,
        versions: &[B256],
    ) -> Result<(Vec<Bytes>, Vec<Vec<u8>>)> {
        let [a, b] = &self.enclaves;
        let members = vec![enclave_key(0)?, enclave_key(1)?];
        let marker_signer = self.marker_key.address();
        let sealed = signed.into_iter().zip(versions).map(|(transaction, version)| {
            let members = members.clone();
            async move {
                let Recipients::Group(group) = transaction.transaction.recipients else {
                    bail!("no group")
                };
                let from = transaction.transaction.private_from.clone();
                let payload = VersionedPrivateTransaction { transaction, version: *version };
                let text = payload.to_text().into_bytes().into();
                let it = Distribution { from, to: members, text, marker_signer, group };
                let (key, mut envelopes) = a.seal_for(&it).await?;
                let (_, envelope) = envelopes.pop().context("an envelope for B")?;
                b.store_envelope(&envelope).await?;
                Ok((key, envelope))
            }
        });
        let sealed: Vec<(PayloadKey, Vec<u8>)> =
            futures::stream::iter(sealed).buffered(AT_A_TIME).try_collect().await?;
        let (first, chain_id) = (self.nonce, self.definition.chain_id);
        let markers = sealed.par_iter().enumerate().map(|(at, (key, _))| {
            let input = Bytes::copy_from_slice(key.0.as_slice());
            public(&self.marker_key, chain_id, first + at as u64, FLEXIBLE_PRIVACY, input)
        });
        let markers = markers.collect::<Result<Vec<_>>>()?;
        self.nonce += sealed.len() as u64;
        Ok((markers, sealed.into_iter().map(|(_, envelope)| envelope).collect()))
    }

    /// The groups' versions now, as A sees them.
    async fn versions(&self, groups: &[Group]) -> Result<Vec<B256>> {
        let [a, _] = &self.enclaves;
        let parts = parts(self.chain, self.definition, a, Arc::new(MemoryStore::default()))?;
        let (state, executor) = (parts.state.clone(), parts.executor.clone());
        Follower::new(parts, FollowerOptions::default()).catch_up().await?;
        let followed = state.followed()?.context("a followed block")?;
        let header = state.header(followed.hash)?.context("its header")?;
        let version = |group: &Group| -> Result<B256> {
            let facts =
                executor.facts(&state.group_snapshot(group.id), &header, &PublicReads::new())?;
            ensure!(facts.members.len() == 2, "group {} was not created", group.id);
            Ok(facts.version)
        };
        groups.iter().map(version).collect()
    }
}

/// A signed public transaction that pays nothing.
pub(crate) fn public(
    key: &AccountKey,
    chain_id: u64,
    nonce: u64,
    to: Address,
    input: Bytes,
) -> Result<Bytes> {
    let transaction = TxLegacy {
        chain_id: Some(chain_id),
        nonce,
        gas_price: 0,
        gas_limit: GAS,
        to: to.into(),
        value: U256::ZERO,
        input,
    };
    let signature = key.sign_hash(&transaction.signature_hash())?;
    Ok(transaction.into_signed(signature).encoded_2718().into())
}

/// A member's enclave on its file, without network.
pub(crate) fn offline(
    definition: &NetworkDefinition,
    directory: &Path,
    member: usize,
) -> Result<EmbeddedEnclave> {
    let storage = Storage::File(payload_file(directory, member));
    let limits = EnclaveLimits::default();
    let keys = vec![key_pair(member)?];
    Ok(EmbeddedEnclave::offline(keys, &storage, definition.clone(), &limits, Arc::new(Nobody))?)
}

/// A follower's parts over `store`, with nothing prepared.
pub(crate) fn parts(
    chain: &DevChain,
    definition: &NetworkDefinition,
    enclave: &Arc<EmbeddedEnclave>,
    store: Arc<dyn Store>,
) -> Result<FollowerParts> {
    let definition = Arc::new(definition.clone());
    Ok(FollowerParts {
        chain: Arc::new(chain.clone()) as Arc<dyn Chain>,
        enclave: Arc::clone(enclave) as Arc<dyn Enclave>,
        state: State::open(store, StateOptions::default())?,
        executor: Executor::new(Arc::clone(&definition), Genesis::of(&definition))?,
        preparer: Arc::new(Preparer::new(definition.hash())),
        definition,
    })
}

/// Checks that a state is at the chain's head and that the groups' last block counted in full.
pub(crate) fn check(state: &State, head: BlockRef, groups: &[Group]) -> Result<()> {
    ensure!(state.followed()? == Some(head), "the head was not reached");
    for group in groups {
        let record = state.group_at(group.id, head.number)?.context("a group")?;
        let sent: u64 = group.senders.iter().map(|(_, nonce)| nonce).sum();
        ensure!(record.counted == sent, "{} of {sent} transactions counted", record.counted);
    }
    Ok(())
}

/// There is no network.
struct Nobody;

#[async_trait]
impl Carrier for Nobody {
    async fn push(&self, _: EnclaveKey, _: Vec<u8>) -> Result<(), String> {
        Err("no network".to_owned())
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
