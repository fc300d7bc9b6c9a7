//! A marker as a public legacy transaction, for clients that send their own.
//!
//! The format is the yellow paper's (appendix B, T), signed as EIP-155 says, or without a chain id.
//! Fees, nonces and typed envelopes are the caller's matter and not here.

use alloc::vec::Vec;

use alloy_primitives::{Address, B256, Signature, U256, keccak256};
use alloy_rlp::Encodable;

use super::Marker;
use crate::{
    AccountKey,
    rlp::list_of,
    transaction::{SignError, check_foreign, encode_v},
};

/// An unsigned legacy transaction that carries a marker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarkerTransaction {
    /// The signer's nonce on the chain.
    pub nonce: u64,
    /// Wei per gas.
    pub gas_price: U256,
    /// At least the intrinsic gas: 23176 pays for 32 bytes, none of them zero.
    pub gas_limit: u64,
    /// One of the addresses of [`marker`](super).
    pub to: Address,
    /// Wei sent along; markers carry none.
    pub value: U256,
    /// What is marked.
    pub marker: Marker,
    /// EIP-155 chain id; `None` signs the older pre-image. Zero is refused.
    pub chain_id: Option<u64>,
}

/// A marker transaction with its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedMarkerTransaction {
    /// What was signed.
    pub transaction: MarkerTransaction,
    /// The signature, with a low s.
    pub signature: Signature,
}

impl MarkerTransaction {
    /// The RLP that is hashed and signed.
    pub fn encode_for_signing(&self) -> Vec<u8> {
        let mut items = self.encode_fields();
        if let Some(chain_id) = self.chain_id {
            chain_id.encode(&mut items);
            0u8.encode(&mut items);
            0u8.encode(&mut items);
        }
        list_of(&items)
    }

    /// keccak256 of [`Self::encode_for_signing`].
    pub fn signature_hash(&self) -> B256 {
        keccak256(self.encode_for_signing())
    }

    /// Signs with RFC 6979 and a low s.
    ///
    /// # Errors
    ///
    /// [`SignError::ZeroChainId`].
    pub fn sign(self, key: &AccountKey) -> Result<SignedMarkerTransaction, SignError> {
        let signature = key.sign_hash(&self.signature_hash())?;
        self.assemble(signature)
    }

    /// Joins the transaction with a signature that was made elsewhere; whose, is not verified.
    ///
    /// # Errors
    ///
    /// [`SignError::SignatureRange`], [`SignError::HighS`], [`SignError::ZeroChainId`].
    pub fn assemble(self, signature: Signature) -> Result<SignedMarkerTransaction, SignError> {
        check_foreign(self.chain_id, &signature)?;
        Ok(SignedMarkerTransaction { transaction: self, signature })
    }

    fn encode_fields(&self) -> Vec<u8> {
        let mut items = Vec::new();
        self.nonce.encode(&mut items);
        self.gas_price.encode(&mut items);
        self.gas_limit.encode(&mut items);
        self.to.encode(&mut items);
        self.value.encode(&mut items);
        self.marker.encode().as_slice().encode(&mut items);
        items
    }
}

impl SignedMarkerTransaction {
    /// The signed RLP, for `eth_sendRawTransaction`. Its keccak256 is the marker's hash.
    pub fn encode(&self) -> Vec<u8> {
        let mut items = self.transaction.encode_fields();
        encode_v(self.transaction.chain_id, self.signature.v()).encode(&mut items);
        self.signature.r().encode(&mut items);
        self.signature.s().encode(&mut items);
        list_of(&items)
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::hex;

    use super::*;
    use crate::{
        marker::{FLEXIBLE_PRIVACY, PayloadKey},
        transaction::recover_address,
    };

    fn marker(chain_id: Option<u64>) -> MarkerTransaction {
        MarkerTransaction {
            nonce: 9,
            gas_price: U256::from(20_000_000_000u64),
            gas_limit: 23_176,
            to: FLEXIBLE_PRIVACY,
            value: U256::ZERO,
            marker: PayloadKey(B256::repeat_byte(0xab)).into(),
            chain_id,
        }
    }

    #[test]
    fn the_pre_image_is_that_of_a_legacy_transaction() {
        let fields = "098504a817c800825a8894000000000000000000000000000000000000007d80a0";
        let data = "ab".repeat(32);
        let short = hex::decode(alloc::format!("f841{fields}{data}")).unwrap();
        assert_eq!(marker(None).encode_for_signing(), short);
        let long = hex::decode(alloc::format!("f846{fields}{data}8205398080")).unwrap();
        assert_eq!(marker(Some(1337)).encode_for_signing(), long);
    }

    #[test]
    fn the_signer_is_recovered_with_and_without_a_chain_id() {
        let key = AccountKey::from_slice(&[1; 32]).unwrap();
        for chain_id in [None, Some(1), Some(1337), Some(u64::MAX)] {
            let signed = marker(chain_id).sign(&key).unwrap();
            let hash = marker(chain_id).signature_hash();
            assert_eq!(recover_address(&hash, &signed.signature), Ok(key.address()));
            assert_eq!(marker(chain_id).assemble(signed.signature), Ok(signed));
        }
        assert_eq!(marker(Some(0)).sign(&key), Err(SignError::ZeroChainId));
    }
}
