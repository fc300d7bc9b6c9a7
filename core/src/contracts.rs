//! The code and storage that every group's private state starts with under `coterie` rules: the
//! proxy at 0x7c and the management contract behind it at 0x7b.
//!
//! The sources are in `core/contracts`; the code here is generated from them, and a test compiles
//! them again. Calls, events and answers are in [`management`](crate::management). What the
//! contracts do is in `design.md` 2.1.

use alloc::{vec, vec::Vec};

use alloy_primitives::{Address, B256, Bytes, U256, b256};

use crate::{
    definition::GenesisAccount,
    management::{MANAGEMENT_DEFAULT, MANAGEMENT_PROXY},
};

mod runtime;

pub use runtime::{MANAGEMENT_CODE_HASH, MANAGEMENT_RUNTIME, PROXY_CODE_HASH, PROXY_RUNTIME};

/// Slot of the proxy that holds the management contract's address (ERC-1967):
/// keccak256("eip1967.proxy.implementation") - 1.
pub const IMPLEMENTATION_SLOT: B256 =
    b256!("360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc");

/// Slot of the proxy that holds the hash of the network definition:
/// keccak256("coterie.definition") - 1.
pub const DEFINITION_SLOT: B256 =
    b256!("ab3cf23dba5ee19d78ae2e531d2325cd12a6359e50d96ecfca245fea90f9d43f");

/// Slot of the proxy that holds how many members a group may have:
/// keccak256("coterie.members_max") - 1.
pub const MEMBERS_MAX_SLOT: B256 =
    b256!("7ab7daf37e56cd0bc398df33bc1efb8e559896b1ae0a12b9f54cd0001f2f5576");

/// First slot of the proxy that holds the group itself (ERC-7201, "coterie.group"). For
/// diagnosis: nodes ask the contract.
pub const GROUP_SLOT: B256 =
    b256!("68d81824dc13c702cc2f56809ce1e16e75099bf492292a75cd8eca35fb9b9e00");

/// Code hashes of the contracts at 0x7b and 0x7c, in the order of
/// [`NetworkDefinition::management_code_hashes`](crate::NetworkDefinition::management_code_hashes).
pub const CODE_HASHES: [B256; 2] = [MANAGEMENT_CODE_HASH, PROXY_CODE_HASH];

/// Nonce of both contracts at the start of a group, as of any contract (EIP-161).
pub const GENESIS_NONCE: u64 = 1;

/// The storage of the proxy at the start of a group, by ascending slot. `definition` is the
/// network definition's hash, `members_max` its limit.
pub fn genesis_storage(definition: B256, members_max: u32) -> Vec<(U256, U256)> {
    let mut storage = vec![
        (IMPLEMENTATION_SLOT.into(), MANAGEMENT_DEFAULT.into_word().into()),
        (DEFINITION_SLOT.into(), definition.into()),
        (MEMBERS_MAX_SLOT.into(), U256::from(members_max)),
    ];
    // A slot of zero does not exist in a trie.
    storage.retain(|(_, value): &(U256, U256)| !value.is_zero());
    storage.sort_unstable();
    storage
}

/// The two accounts that every group starts with: 0x7b, then 0x7c.
pub fn management_genesis(definition: B256, members_max: u32) -> [GenesisAccount; 2] {
    let account = |address: Address, code: &'static [u8], storage| GenesisAccount {
        address,
        nonce: GENESIS_NONCE,
        balance: U256::ZERO,
        code: Bytes::from_static(code),
        storage,
    };
    [
        account(MANAGEMENT_DEFAULT, MANAGEMENT_RUNTIME, Vec::new()),
        account(MANAGEMENT_PROXY, PROXY_RUNTIME, genesis_storage(definition, members_max)),
    ]
}

#[cfg(test)]
mod tests {
    use alloy_primitives::keccak256;

    use super::*;

    fn slot(name: &str) -> B256 {
        (U256::from_be_bytes(keccak256(name).0) - U256::from(1)).into()
    }

    #[test]
    fn slots_are_derived_from_their_names() {
        assert_eq!(IMPLEMENTATION_SLOT, slot("eip1967.proxy.implementation"));
        assert_eq!(DEFINITION_SLOT, slot("coterie.definition"));
        assert_eq!(MEMBERS_MAX_SLOT, slot("coterie.members_max"));
        let mut namespace = keccak256(slot("coterie.group"));
        namespace.0[31] = 0;
        assert_eq!(GROUP_SLOT, namespace);
    }

    #[test]
    fn code_hashes_are_those_of_the_code() {
        assert_eq!(PROXY_CODE_HASH, keccak256(PROXY_RUNTIME));
        assert_eq!(MANAGEMENT_CODE_HASH, keccak256(MANAGEMENT_RUNTIME));
    }

    #[test]
    fn genesis_storage_is_sorted_and_has_no_zero() {
        let storage = genesis_storage(B256::ZERO, 7);
        assert_eq!(
            storage,
            [
                (IMPLEMENTATION_SLOT.into(), U256::from(0x7b)),
                (MEMBERS_MAX_SLOT.into(), U256::from(7)),
            ]
        );
        let slots: Vec<U256> =
            genesis_storage(B256::repeat_byte(1), 7).into_iter().map(|(slot, _)| slot).collect();
        assert!(slots.is_sorted());
        assert_eq!(slots.len(), 3);
    }
}
