//! `32 zero bytes ‖ marker signer (20) ‖ signature (64) ‖ text`, the payload of `coterie` rules
//! (design, 2.3). Whether the signature is right is checked where Ed25519 is.

use alloc::vec::Vec;

use alloy_primitives::{Address, B256, Bytes, Keccak256};

use crate::GroupId;

/// Bytes before the text.
pub const PREFIX_BYTES: usize = ZERO_BYTES + 20 + SIGNATURE_BYTES;

const ZERO_BYTES: usize = 32;
const SIGNATURE_BYTES: usize = 64;
const MARKER_DOMAIN: &[u8] = b"coterie marker v1";
const PAYLOAD_DOMAIN: &[u8] = b"coterie payload v1";

/// A payload of `coterie` rules, as it is encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrefixedPayload {
    /// The account whose first marker of this payload decides; zero if anybody's does.
    pub marker_signer: Address,
    /// By the enclave key in `privateFrom`: over [`marker_signature_digest`], or over
    /// [`payload_signature_digest`] if the marker signer is zero.
    pub signature: [u8; SIGNATURE_BYTES],
    /// The base64 text of the versioned private transaction.
    pub text: Bytes,
}

/// A payload that opens, but not with the prefix of `coterie` rules. Without effect for everyone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PrefixError {
    /// Shorter than the prefix.
    #[error("the payload has {0} bytes, less than its prefix")]
    TooShort(usize),
    /// The first 32 bytes are not zero: the ciphertext may open differently for somebody else.
    #[error("the payload does not start with 32 zero bytes")]
    NotZero,
}

impl PrefixedPayload {
    /// The bytes to encrypt.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(PREFIX_BYTES + self.text.len());
        bytes.extend_from_slice(&[0; ZERO_BYTES]);
        bytes.extend_from_slice(self.marker_signer.as_slice());
        bytes.extend_from_slice(&self.signature);
        bytes.extend_from_slice(&self.text);
        bytes
    }

    /// Reads what was decrypted. Every input that is accepted encodes to itself.
    pub fn decode(bytes: &[u8]) -> Result<Self, PrefixError> {
        let too_short = PrefixError::TooShort(bytes.len());
        let (zeros, rest) = bytes.split_first_chunk::<ZERO_BYTES>().ok_or(too_short)?;
        let (signer, rest) = rest.split_first_chunk::<20>().ok_or(too_short)?;
        let (signature, text) = rest.split_first_chunk::<SIGNATURE_BYTES>().ok_or(too_short)?;
        if *zeros != [0; ZERO_BYTES] {
            return Err(PrefixError::NotZero);
        }
        Ok(Self {
            marker_signer: Address::from(signer),
            signature: *signature,
            text: Bytes::copy_from_slice(text),
        })
    }
}

/// What `privateFrom`'s key signs to allow an account to mark its payloads:
/// keccak256("coterie marker v1" ‖ definition hash ‖ marker signer). The same for every payload of
/// the pair.
pub fn marker_signature_digest(definition_hash: B256, marker_signer: Address) -> B256 {
    let mut hasher = Keccak256::new();
    hasher.update(MARKER_DOMAIN);
    hasher.update(definition_hash);
    hasher.update(marker_signer);
    hasher.finalize()
}

/// What `privateFrom`'s key signs for a payload that anybody may mark:
/// keccak256("coterie payload v1" ‖ definition hash ‖ group id ‖ master key ‖ cipher nonce ‖
/// text). `master_key` and `nonce` are those the payload is encrypted with.
pub fn payload_signature_digest(
    definition_hash: B256,
    group: GroupId,
    master_key: &[u8; 32],
    nonce: &[u8; 24],
    text: &[u8],
) -> B256 {
    let mut hasher = Keccak256::new();
    hasher.update(PAYLOAD_DOMAIN);
    hasher.update(definition_hash);
    hasher.update(group.as_slice());
    hasher.update(master_key);
    hasher.update(nonce);
    hasher.update(text);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use alloy_primitives::keccak256;
    use proptest::prelude::*;

    use super::*;
    use crate::strategies;

    #[test]
    fn the_digests_are_over_the_words_of_the_design() {
        let definition = B256::repeat_byte(1);
        let mut preimage = b"coterie marker v1".to_vec();
        preimage.extend([1; 32]);
        preimage.extend([2; 20]);
        let signer = Address::repeat_byte(2);
        assert_eq!(marker_signature_digest(definition, signer), keccak256(&preimage));

        let mut preimage = b"coterie payload v1".to_vec();
        preimage.extend([1; 32]);
        preimage.extend([3; 32]);
        preimage.extend([4; 32]);
        preimage.extend([5; 24]);
        preimage.extend(b"text");
        let group = GroupId(B256::repeat_byte(3));
        assert_eq!(
            payload_signature_digest(definition, group, &[4; 32], &[5; 24], b"text"),
            keccak256(&preimage)
        );
    }

    #[test]
    fn a_prefix_must_be_whole_and_start_with_zeros() {
        let mut bytes = [0u8; PREFIX_BYTES];
        assert_eq!(PrefixedPayload::decode(&bytes).unwrap().text, Bytes::new());
        assert_eq!(
            PrefixedPayload::decode(&bytes[..PREFIX_BYTES - 1]),
            Err(PrefixError::TooShort(PREFIX_BYTES - 1))
        );
        bytes[31] = 1;
        assert_eq!(PrefixedPayload::decode(&bytes), Err(PrefixError::NotZero));
    }

    proptest! {
        #![proptest_config(strategies::config(128))]

        #[test]
        fn what_is_encoded_is_decoded(
            marker_signer in strategies::address(),
            half in any::<[u8; 32]>(),
            text in strategies::bytes(100),
        ) {
            let mut signature = [0; 64];
            signature[..32].copy_from_slice(&half);
            let payload = PrefixedPayload { marker_signer, signature, text };
            prop_assert_eq!(PrefixedPayload::decode(&payload.encode()), Ok(payload));
        }

        #[test]
        fn what_is_decoded_is_encoded(
            zeros in prop_oneof![Just([0u8; 32]), any::<[u8; 32]>()],
            rest in strategies::bytes(200),
        ) {
            let bytes = [&zeros[..], &rest].concat();
            if let Ok(payload) = PrefixedPayload::decode(&bytes) {
                prop_assert_eq!(payload.encode(), bytes);
            }
        }
    }
}
