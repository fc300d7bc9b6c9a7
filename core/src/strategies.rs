//! Generators of arbitrary protocol values, for the property tests of this crate.

use alloc::{boxed::Box, vec::Vec};

use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256};
use proptest::{collection::vec, option, prelude::*};

use crate::{
    EnclaveKey, GroupId, PrivateTransaction, Recipients, Restriction, SignedPrivateTransaction,
};

/// Few cases: the tests run unoptimised, many of them hash and some do curve arithmetic.
pub(crate) fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

pub(crate) fn enclave_key() -> impl Strategy<Value = EnclaveKey> {
    prop_oneof![
        3 => any::<[u8; 32]>().prop_map(EnclaveKey::Nacl),
        1 => vec(any::<u8>(), 91)
            .prop_map(|key| EnclaveKey::Ec(Box::new(key.try_into().expect("91 bytes were drawn")))),
    ]
}

pub(crate) fn hash() -> impl Strategy<Value = B256> {
    any::<[u8; 32]>().prop_map(B256::new)
}

pub(crate) fn address() -> impl Strategy<Value = Address> {
    any::<[u8; 20]>().prop_map(Address::new)
}

/// Numbers of every width.
pub(crate) fn number() -> impl Strategy<Value = U256> {
    (any::<[u8; 32]>(), 0usize..=256).prop_map(|(bytes, shift)| {
        U256::from_be_bytes(bytes).checked_shr(shift).unwrap_or_default()
    })
}

pub(crate) fn bytes(max: usize) -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..max).prop_map(Bytes::from)
}

pub(crate) fn transaction() -> impl Strategy<Value = PrivateTransaction> {
    let recipients = prop_oneof![
        hash().prop_map(|id| Recipients::Group(GroupId(id))),
        vec(enclave_key(), 0..4).prop_map(Recipients::Members),
    ];
    let restriction = prop_oneof![
        4 => Just(Restriction::Restricted),
        1 => Just(Restriction::Unrestricted),
        1 => bytes(20).prop_map(Restriction::Unsupported),
    ];
    let to = prop_oneof![Just(TxKind::Create), address().prop_map(TxKind::Call)];
    let chain_id = option::of(prop_oneof![1..5000u64, Just(u64::MAX), 1..=u64::MAX]);
    (
        (any::<u64>(), number(), any::<u64>(), to, number()),
        (bytes(300), chain_id, enclave_key(), recipients, restriction),
    )
        .prop_map(|((nonce, gas_price, gas_limit, to, value), rest)| {
            let (input, chain_id, private_from, recipients, restriction) = rest;
            PrivateTransaction {
                nonce,
                gas_price,
                gas_limit,
                to,
                value,
                input,
                chain_id,
                private_from,
                recipients,
                restriction,
            }
        })
}

/// Signatures are in range but belong, mostly, to nobody's transaction.
pub(crate) fn signed() -> impl Strategy<Value = SignedPrivateTransaction> {
    // The order of the curve has its highest bit set, so this many bits are in range.
    let part = || number().prop_map(|part| (part >> 1) | U256::ONE);
    (transaction(), part(), part(), any::<bool>()).prop_map(|(transaction, r, s, y_parity)| {
        transaction.into_signed(Signature::new(r, s, y_parity))
    })
}

/// Arbitrary bytes, and valid ones with a few bytes changed, cut off or added.
pub(crate) fn nearly(valid: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let damaged = (
        valid,
        vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        vec(any::<u8>(), 0..4),
        0usize..4,
    )
        .prop_map(|(mut bytes, changes, surplus, cut)| {
            for (at, value) in changes {
                if !bytes.is_empty() {
                    let at = at.index(bytes.len());
                    bytes[at] = value;
                }
            }
            bytes.truncate(bytes.len().saturating_sub(cut));
            bytes.extend(surplus);
            bytes
        });
    prop_oneof![1 => vec(any::<u8>(), 0..400), 4 => damaged]
}
