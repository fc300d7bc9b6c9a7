//! Signed transactions and small contracts for the tests of this module.

use alloy_consensus::{SignableTransaction, TxEip1559, TxEip2930, TxEnvelope, TxLegacy};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, hex};
use coterie_core::marker::FLEXIBLE_PRIVACY;
use secp256k1::{Message, SECP256K1, SecretKey};

use super::dev::published_accounts;

/// The chain id of all tests.
pub(super) const CHAIN_ID: u64 = 1337;

/// Stores the first word of the call data in slot 0 and logs it under topic 0x2a.
pub(super) const STORE_AND_LOG: &[u8] =
    &hex!("6014600c60003960146000f3" "600035600055" "600035600052" "602a60206000a1" "00");

/// Somebody who signs.
#[derive(Clone, Copy)]
pub(super) struct Signer(pub(super) B256);

impl Signer {
    /// One of the published accounts, which are funded.
    pub(super) fn funded(index: usize) -> Self {
        Self(published_accounts()[index].private_key)
    }

    /// A key of its own without funds.
    pub(super) fn unfunded(seed: u64) -> Self {
        Self(alloy_primitives::keccak256(seed.to_be_bytes()))
    }

    fn secret(self) -> SecretKey {
        SecretKey::from_byte_array(self.0.0).unwrap()
    }

    pub(super) fn address(self) -> Address {
        let public = self.secret().public_key(SECP256K1).serialize_uncompressed();
        Address::from_raw_public_key(&public[1..])
    }

    fn sign<T: SignableTransaction<Signature>>(self, transaction: T) -> Signed
    where
        TxEnvelope: From<alloy_consensus::Signed<T>>,
    {
        let hash = transaction.signature_hash();
        let signature =
            SECP256K1.sign_ecdsa_recoverable(Message::from_digest(hash.0), &self.secret());
        let (recovery, bytes) = signature.serialize_compact();
        let signature = Signature::from_bytes_and_parity(&bytes, i32::from(recovery) == 1);
        let envelope = TxEnvelope::from(transaction.into_signed(signature));
        Signed { hash: *envelope.tx_hash(), raw: envelope.encoded_2718().into() }
    }

    /// A marker without a price.
    pub(super) fn marker(self, nonce: u64, input: [u8; 32]) -> Signed {
        self.legacy(TxLegacy {
            nonce,
            gas_limit: 23_176,
            to: FLEXIBLE_PRIVACY.into(),
            input: input.into(),
            ..tx()
        })
    }

    /// Any legacy transaction.
    pub(super) fn legacy(self, transaction: TxLegacy) -> Signed {
        self.sign(transaction)
    }

    /// A creation.
    pub(super) fn create(self, nonce: u64, code: &[u8]) -> Signed {
        self.legacy(TxLegacy {
            nonce,
            gas_limit: 1_000_000,
            to: TxKind::Create,
            input: code.to_vec().into(),
            ..tx()
        })
    }

    /// A call of a contract with one word.
    pub(super) fn word(self, nonce: u64, to: Address, word: u64) -> Signed {
        let input = Bytes::from(U256::from(word).to_be_bytes_vec());
        self.legacy(TxLegacy { nonce, gas_limit: 100_000, to: to.into(), input, ..tx() })
    }

    pub(super) fn eip2930(self, transaction: TxEip2930) -> Signed {
        self.sign(transaction)
    }

    pub(super) fn eip1559(self, transaction: TxEip1559) -> Signed {
        self.sign(transaction)
    }
}

/// A legacy transaction with EIP-155 and nothing else.
pub(super) fn tx() -> TxLegacy {
    TxLegacy { chain_id: Some(CHAIN_ID), ..TxLegacy::default() }
}

/// A signed transaction.
#[derive(Clone, Debug)]
pub(super) struct Signed {
    pub(super) hash: B256,
    pub(super) raw: Bytes,
}
