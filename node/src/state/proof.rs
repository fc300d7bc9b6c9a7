//! Merkle proofs of accounts and slots against a group's state root, as EIP-1186 has them: the
//! encodings of the nodes from the root down to where the key is, or is known not to be.
//!
//! Reads the saved nodes, so it proves only states that were committed.

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_rlp::Decodable as _;
use alloy_trie::nodes::{RlpNode, TrieNode};
use nybbles::Nibbles;

use super::{Account, Corruption, EMPTY_ROOT, Snapshot, StateError, nodes::Nodes};

/// What a state says of an account, with proofs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountProof {
    /// The account; `None` where there is none, which is proved too.
    pub account: Option<Account>,
    /// Nodes from the state root down; none for the empty state.
    pub proof: Vec<Bytes>,
    /// The slots that were asked for, in that order.
    pub storage: Vec<SlotProof>,
}

/// What an account's storage says of a slot, with its proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotProof {
    /// The slot.
    pub slot: U256,
    /// Its value; zero where there is none, which is proved too.
    pub value: U256,
    /// Nodes from the storage root down; none for empty storage.
    pub proof: Vec<Bytes>,
}

impl Snapshot {
    /// An account and some of its slots, with proofs.
    ///
    /// # Errors
    ///
    /// When the store fails or is corrupt, or this state was not saved.
    pub fn prove(&self, address: Address, slots: &[U256]) -> Result<AccountProof, StateError> {
        let account = self.account(address)?;
        let proof = prove(self.nodes(), self.root(), keccak256(address))?;
        let storage_root = account.map_or(EMPTY_ROOT, |account| account.storage_root);
        let slot = |slot: &U256| {
            let key = keccak256(slot.to_be_bytes::<32>());
            let value = self.storage(address, *slot)?;
            Ok(SlotProof { slot: *slot, value, proof: prove(self.nodes(), storage_root, key)? })
        };
        let storage = slots.iter().map(slot).collect::<Result<_, StateError>>()?;
        Ok(AccountProof { account, proof, storage })
    }
}

/// The nodes from `root` down to `key`. Nodes that stand inside their parent are not listed.
fn prove(nodes: &Nodes, root: B256, key: B256) -> Result<Vec<Bytes>, StateError> {
    let mut proof = Vec::new();
    let mut path = Nibbles::unpack(key);
    let mut next = (root != EMPTY_ROOT).then(|| RlpNode::word_rlp(&root));
    while let Some(reference) = next {
        next = match reference.as_hash() {
            Some(hash) => {
                let bytes = nodes.bytes(&hash)?;
                let step = step(&bytes, &mut path);
                proof.push(Bytes::copy_from_slice(&bytes));
                step.ok_or(StateError::Corrupt(Corruption::BadNode(hash)))?
            }
            None => step(reference.as_slice(), &mut path)
                .ok_or(StateError::Corrupt(Corruption::TrieShape))?,
        };
    }
    Ok(proof)
}

/// The node below on the way to `path`, which loses what was gone; `Some(None)` at the end of the
/// way, `None` for what is no node.
#[expect(clippy::option_option, reason = "broken, the end, the next node")]
fn step(mut node: &[u8], path: &mut Nibbles) -> Option<Option<RlpNode>> {
    match TrieNode::decode(&mut node).ok()? {
        TrieNode::EmptyRoot | TrieNode::Leaf(_) => Some(None),
        TrieNode::Extension(extension) => {
            // Always forward: else a broken trie could lead in a circle.
            if extension.key.is_empty() {
                return None;
            }
            if !path.starts_with(&extension.key) {
                return Some(None);
            }
            *path = path.slice(extension.key.len()..);
            Some(Some(extension.child))
        }
        TrieNode::Branch(branch) => {
            let index = path.first()?;
            *path = path.slice(1..);
            let branch = branch.as_ref();
            let mut children = branch.children();
            Some(children.find(|(at, _)| *at == index)?.1.cloned())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use alloy_trie::{TrieAccount, proof::verify_proof};
    use proptest::{collection::btree_map, prelude::*};

    use super::*;
    use crate::{
        state::{AccountChange, State, StateChanges, StateOptions},
        store::MemoryStore,
    };

    fn address(number: u16) -> Address {
        Address::left_padding_from(&number.to_be_bytes())
    }

    fn change(nonce: u64, slots: &[(U256, U256)]) -> AccountChange {
        AccountChange {
            nonce,
            balance: U256::from(nonce),
            code_hash: alloy_primitives::KECCAK256_EMPTY,
            storage_cleared: false,
            storage: slots.to_vec(),
        }
    }

    /// A saved state with these accounts.
    fn saved(accounts: Vec<(Address, AccountChange)>) -> Snapshot {
        let state = State::open(Arc::new(MemoryStore::new()), StateOptions::default()).unwrap();
        let accounts = accounts.into_iter().map(|(address, it)| (address, Some(it))).collect();
        let changes = StateChanges { accounts, code: Vec::new() };
        let snapshot = state.snapshot(EMPTY_ROOT).apply(&changes).unwrap();
        let root = snapshot.root();
        state.save(&snapshot).unwrap();
        state.snapshot(root)
    }

    /// Judged by alloy-trie, which did not make the proof.
    #[track_caller]
    fn check(snapshot: &Snapshot, address: Address, slots: &[U256]) -> AccountProof {
        let proved = snapshot.prove(address, slots).unwrap();
        let expected = proved.account.map(|account| {
            alloy_rlp::encode(TrieAccount {
                nonce: account.nonce,
                balance: account.balance,
                storage_root: account.storage_root,
                code_hash: account.code_hash,
            })
        });
        let key = Nibbles::unpack(keccak256(address));
        verify_proof(snapshot.root(), key, expected, &proved.proof).unwrap();
        let storage_root = proved.account.map_or(EMPTY_ROOT, |account| account.storage_root);
        for slot in &proved.storage {
            let key = Nibbles::unpack(keccak256(slot.slot.to_be_bytes::<32>()));
            let expected = (!slot.value.is_zero()).then(|| alloy_rlp::encode(slot.value));
            verify_proof(storage_root, key, expected, &slot.proof).unwrap();
        }
        proved
    }

    #[test]
    fn nothing_is_proved_of_an_empty_state() {
        let proved = check(&saved(Vec::new()), address(1), &[U256::ONE]);
        assert_eq!((proved.account, proved.proof.len()), (None, 0));
        assert_eq!(proved.storage[0].proof, Vec::<Bytes>::new());
    }

    #[test]
    fn a_wrong_value_has_no_proof() {
        let snapshot = saved(vec![(address(1), change(5, &[(U256::ONE, U256::from(9))]))]);
        let proved = check(&snapshot, address(1), &[U256::ONE]);
        assert_eq!(proved.storage[0].value, U256::from(9));
        let storage_root = proved.account.unwrap().storage_root;
        let key = Nibbles::unpack(keccak256(U256::ONE.to_be_bytes::<32>()));
        let wrong = Some(alloy_rlp::encode(U256::from(8)));
        assert!(verify_proof(storage_root, key, wrong, &proved.storage[0].proof).is_err());
        assert!(verify_proof(storage_root, key, None, &proved.storage[0].proof).is_err());
    }

    proptest! {
        #[test]
        fn what_is_there_and_what_is_not_can_be_proved(
            accounts in btree_map(0u16..400, btree_map(0u64..40, 1u64..300, 0..40), 0..40),
            asked in proptest::collection::vec((0u16..400, 0u64..50), 1..20),
        ) {
            let changes = accounts.iter().map(|(number, slots)| {
                let slots: Vec<_> =
                    slots.iter().map(|(slot, value)| (U256::from(*slot), U256::from(*value))).collect();
                (address(*number), change(u64::from(*number) + 1, &slots))
            });
            let snapshot = saved(changes.collect());
            for (number, slot) in asked {
                let proved = check(&snapshot, address(number), &[U256::from(slot)]);
                prop_assert_eq!(proved.account.is_some(), accounts.contains_key(&number));
                let want = accounts.get(&number).and_then(|slots| slots.get(&slot));
                let want = want.map_or(U256::ZERO, |value| U256::from(*value));
                prop_assert_eq!(proved.storage[0].value, want);
            }
        }
    }
}
