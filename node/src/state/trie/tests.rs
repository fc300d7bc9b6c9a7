//! Random changes against alloy-trie's `HashBuilder`, and what a tree does when nodes are missing.

use std::collections::{BTreeMap, HashMap};

use alloy_primitives::{B256, keccak256};
use alloy_trie::{EMPTY_ROOT_HASH, HashBuilder};
use nybbles::Nibbles;
use proptest::{collection::vec, prelude::*};

use super::*;
use crate::store::Value;

/// Any bytes as a value. (Real ones are never so short that a node fits into its parent.)
#[derive(Clone, Debug, PartialEq)]
struct Raw(Vec<u8>);

impl TrieValue for Raw {
    fn decode(bytes: &[u8]) -> Option<Self> {
        Some(Self(bytes.to_vec()))
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
}

type Values = BTreeMap<B256, Vec<u8>>;

#[derive(Default)]
struct Saved(HashMap<B256, Value>);

impl Load<Raw> for Saved {
    fn load(&self, hash: &B256) -> Result<Node<Raw>, StateError> {
        let bytes = self.0.get(hash).ok_or(StateError::Corrupt(Corruption::MissingNode(*hash)))?;
        decode(hash, bytes).map_err(|_| StateError::Corrupt(Corruption::BadNode(*hash)))
    }
}

impl Saved {
    fn save(&mut self, trie: &mut Trie<Raw>) -> B256 {
        let mut new = NewNodes::default();
        let root = trie.seal(&mut new);
        for (hash, bytes) in new.nodes {
            assert_eq!(keccak256(&*bytes), hash);
            self.0.insert(hash, bytes);
        }
        root
    }
}

fn oracle(values: &Values) -> B256 {
    let mut builder = HashBuilder::default();
    for (key, value) in values {
        builder.add_leaf(Nibbles::unpack(key), value);
    }
    builder.root()
}

/// Few different nibbles at a few places: deep shared prefixes, extensions, nodes in nodes.
fn keys() -> impl Strategy<Value = B256> {
    let place = prop_oneof![Just(0u8), Just(1), Just(0x10), Just(0x11), Just(0xff)];
    prop_oneof![
        4 => vec(place, 5).prop_map(|bytes| {
            let mut key = B256::ZERO;
            for (place, byte) in [0, 1, 15, 30, 31].into_iter().zip(bytes) {
                key[place] = byte;
            }
            key
        }),
        1 => (0..60u8).prop_map(|seed| keccak256([seed])),
    ]
}

#[derive(Clone, Debug)]
enum Op {
    Insert(B256, Vec<u8>),
    Remove(B256),
    /// Removes the n-th of what is there.
    RemoveNth(usize),
    Change(usize, Vec<u8>),
}

fn ops() -> impl Strategy<Value = Op> {
    // Not one byte of 0x80 or more: such a value does not survive RLP and is none of ours.
    let value = || vec(1..0x80u8, 1..40);
    prop_oneof![
        4 => (keys(), value()).prop_map(|(key, value)| Op::Insert(key, value)),
        1 => keys().prop_map(Op::Remove),
        2 => any::<usize>().prop_map(Op::RemoveNth),
        1 => (any::<usize>(), value()).prop_map(|(nth, value)| Op::Change(nth, value)),
    ]
}

fn nth(values: &Values, nth: usize) -> Option<B256> {
    values.keys().nth(nth.checked_rem(values.len())?).copied()
}

fn apply(trie: &mut Trie<Raw>, values: &mut Values, op: Op, edit: &mut Edit<'_, Raw>) {
    match op {
        Op::Insert(key, value) => {
            trie.insert(key, Raw(value.clone()), edit).unwrap();
            values.insert(key, value);
        }
        Op::Remove(key) => {
            assert_eq!(trie.remove(key, edit).unwrap(), values.remove(&key).is_some())
        }
        Op::RemoveNth(n) => {
            if let Some(key) = nth(values, n) {
                assert!(trie.remove(key, edit).unwrap());
                values.remove(&key);
            }
        }
        Op::Change(n, value) => {
            if let Some(key) = nth(values, n) {
                trie.find_mut(key, edit).unwrap().unwrap().0.clone_from(&value);
                values.insert(key, value);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn roots_equal_those_of_the_hash_builder(rounds in vec((vec(ops(), 1..12), 0..4u8), 1..40)) {
        let (mut saved, mut values) = (Saved::default(), BTreeMap::new());
        let mut trie = Trie::<Raw>::at(EMPTY_ROOT_HASH);
        let mut earlier: Vec<(Trie<Raw>, Values)> = Vec::new();
        for (stamp, (ops, then)) in (1..).zip(rounds) {
            let mut edit = Edit::new(&saved, stamp);
            for op in ops {
                apply(&mut trie, &mut values, op, &mut edit);
            }
            let root = saved.save(&mut trie);
            prop_assert_eq!(root, oracle(&values));
            match then {
                0 => trie = Trie::at(root),
                1 => trie.prune(stamp),
                2 => earlier.push((trie.clone(), values.clone())),
                _ => {}
            }
        }
        // A clone stays what it was, whatever happened since.
        earlier.push((trie, values));
        for (trie, values) in earlier {
            for (key, value) in &values {
                prop_assert_eq!(trie.find(*key, &saved).unwrap(), Some(Raw(value.clone())));
            }
            prop_assert_eq!(trie.find(B256::repeat_byte(0xee), &saved).unwrap(), None);
        }
    }

    #[test]
    fn arbitrary_bytes_decode_or_are_refused(bytes in vec(any::<u8>(), 0..200), key in keys()) {
        let saved = Saved([(B256::ZERO, Value::from(bytes))].into());
        let mut trie = Trie::<Raw>::at(B256::ZERO);
        let _ = trie.find(key, &saved);
        let mut edit = Edit::new(&saved, 1);
        let _ = trie.clone().remove(key, &mut edit);
        let _ = trie.insert(key, Raw(vec![1]), &mut edit);
    }
}

fn sample() -> (Saved, Trie<Raw>, Values) {
    let (mut saved, mut values) = (Saved::default(), BTreeMap::new());
    let mut trie = Trie::<Raw>::at(EMPTY_ROOT_HASH);
    let none = Saved::default();
    let mut edit = Edit::new(&none, 1);
    for seed in 0..50u8 {
        let key = keccak256([seed]);
        trie.insert(key, Raw(vec![seed + 1; 33]), &mut edit).unwrap();
        values.insert(key, vec![seed + 1; 33]);
    }
    saved.save(&mut trie);
    (saved, trie, values)
}

#[test]
fn a_missing_node_is_an_error_for_whoever_needs_it() {
    let (saved, mut trie, values) = sample();
    let root = trie.seal(&mut NewNodes::default());
    for missing in saved.0.keys() {
        let damaged = Saved(
            saved
                .0
                .iter()
                .filter(|(hash, _)| *hash != missing)
                .map(|(h, v)| (*h, v.clone()))
                .collect(),
        );
        let lost = values
            .keys()
            .filter(|key| Trie::<Raw>::at(root).find(**key, &damaged).is_err())
            .count();
        assert!(lost > 0);
        let mut edit = Edit::new(&damaged, 1);
        let errors =
            values.keys().filter(|key| Trie::at(root).remove(**key, &mut edit).is_err()).count();
        assert!(errors >= lost, "collapsing needs siblings too");
    }
}

#[test]
fn pruning_gives_memory_back_and_keeps_every_value() {
    let (saved, mut trie, values) = sample();
    let bytes = |trie: &Trie<Raw>| {
        let mut weights = Weights::new();
        trie.weigh(&mut weights);
        weights.values().sum::<usize>()
    };
    let all = bytes(&trie);
    let mut edit = Edit::new(&saved, 2);
    let key = *values.keys().next().unwrap();
    trie.insert(key, Raw(vec![9; 40]), &mut edit).unwrap();
    let mut new = Saved(saved.0.clone());
    let root = new.save(&mut trie);
    trie.prune(2);
    assert!(bytes(&trie) > 0 && bytes(&trie) < all / 4, "{} of {all}", bytes(&trie));
    assert_eq!(trie.seal(&mut NewNodes::default()), root);
    for (other, value) in &values {
        let want = if *other == key { vec![9; 40] } else { value.clone() };
        assert_eq!(trie.find(*other, &new).unwrap(), Some(Raw(want)));
    }
    trie.prune(3);
    assert_eq!(bytes(&trie), 0);
}
