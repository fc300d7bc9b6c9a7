//! The protocol of flexible privacy groups: ids, private transactions, markers, membership
//! contracts, access rules, and what is stored in the enclave.
//!
//! This crate performs no I/O and knows no time or chance: entropy is an argument. Every byte
//! that is signed, hashed or sent is encoded here. It does not execute transactions and does not
//! encrypt: those live in `coterie-node`. Formats are those of Hyperledger Besu 24.5.1.
//!
//! ```
//! use alloy_primitives::{TxKind, U256};
//! use coterie_core::{
//!     AccountKey, EnclaveKey, GroupId, PrivateTransaction, Recipients, Restriction,
//!     SignedPrivateTransaction,
//!     management::{MANAGEMENT_PROXY, ManagementCall},
//! };
//!
//! // Create a group of one.
//! let key = AccountKey::from_slice(&[1; 32])?;
//! let me: EnclaveKey = "A1aVtMxLCUHmBVHXoZzzBgPbW/wj5axDpW9X8l91SGo=".parse()?;
//! let signed = PrivateTransaction {
//!     nonce: 0,
//!     gas_price: U256::ZERO,
//!     gas_limit: 3_000_000,
//!     to: TxKind::Call(MANAGEMENT_PROXY),
//!     value: U256::ZERO,
//!     input: ManagementCall::AddParticipants(vec![me.clone()]).encode().into(),
//!     chain_id: Some(1337),
//!     private_from: me,
//!     recipients: Recipients::Group(GroupId::random([7; 32])),
//!     restriction: Restriction::Restricted,
//! }
//! .sign(&key)?;
//!
//! let received = SignedPrivateTransaction::decode(&signed.encode())?;
//! assert_eq!(received.recover_signer()?, key.address());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![no_std]

extern crate alloc;

pub mod access;
mod base64;
pub mod contracts;
pub mod definition;
mod enclave_key;
mod group;
pub mod management;
pub mod marker;
mod rlp;
#[cfg(test)]
mod strategies;
pub mod transaction;
pub mod wire;

use alloc::vec::Vec;

use alloy_primitives::{Address, keccak256};
use alloy_rlp::Encodable;

pub use definition::NetworkDefinition;
pub use enclave_key::{EnclaveKey, InvalidEnclaveKey};
pub use group::{GroupId, InvalidGroupId};
pub use marker::{Marker, PayloadKey};
pub use transaction::{
    AccountKey, PrivateTransaction, Recipients, Restriction, SignedPrivateTransaction,
};

/// The address of a contract that a private transaction creates: the last 20 bytes of the hash of
/// `[sender, nonce, group id]` (protocol specification, 6.11). `nonce` is the transaction's.
/// Contracts created by contracts have ordinary addresses.
pub fn contract_address(sender: Address, nonce: u64, group: GroupId) -> Address {
    let mut items = Vec::new();
    sender.encode(&mut items);
    nonce.encode(&mut items);
    group.as_slice().encode(&mut items);
    Address::from_word(keccak256(rlp::list_of(&items)))
}
