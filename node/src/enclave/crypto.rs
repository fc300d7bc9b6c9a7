//! Tessera's cryptography, to the byte: payloads sealed by a random master key, the master key
//! boxed for each recipient, the id hashed from the ciphertext.
//!
//! It knows nothing of prefixes, storage or peers, and offers no other box: forward secrecy and
//! sealed sender are not part of the format. Formats: enclave specification, 3.2 to 3.4.

use std::{fmt, sync::Arc};

use alloy_primitives::{B256, Bytes};
use coterie_core::{EnclaveKey, PayloadKey};
use crypto_box::{
    PublicKey, SalsaBox,
    aead::{Aead, generic_array::GenericArray},
};
use crypto_secretbox::{KeyInit, XSalsa20Poly1305};
use quick_cache::sync::Cache;
use sha2::{Digest, Sha512_256};

use super::{Opening, keys::KeyPair};

/// Bytes of the Poly1305 tag, which comes first.
pub const TAG_BYTES: usize = 16;
/// Bytes of a boxed master key.
pub const MASTER_BOX_BYTES: usize = 32 + TAG_BYTES;
/// How many shared keys are kept; an X25519 costs twenty times what an open costs.
const SHARED_KEYS_MAX: usize = 4096;

/// The operating system gave no entropy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gives no random bytes")]
pub struct NoEntropy;

/// Draws `N` random bytes from the operating system.
pub fn random<const N: usize>() -> Result<[u8; N], NoEntropy> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| NoEntropy)?;
    Ok(bytes)
}

/// The id of a payload: SHA-512/256 of the ciphertext with its tag.
pub fn payload_key(cipher_text: &[u8]) -> PayloadKey {
    PayloadKey(B256::new(sha512_256(&[cipher_text])))
}

/// SHA-512/256 (FIPS 180-4, with its own initial value) of the concatenated parts.
pub fn sha512_256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha512_256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

/// Seals a payload: the ciphertext, tag first.
pub fn seal_payload(opening: &Opening, plain: &[u8]) -> Vec<u8> {
    let cipher = XSalsa20Poly1305::new(GenericArray::from_slice(&opening.master_key));
    // Encryption fails only above 256 GiB or with associated data, and there is neither.
    cipher.encrypt(GenericArray::from_slice(&opening.nonce), plain).unwrap_or_default()
}

/// Opens a payload; `None` when the key is wrong or the ciphertext was changed.
pub fn open_payload(opening: &Opening, cipher_text: &[u8]) -> Option<Bytes> {
    let cipher = XSalsa20Poly1305::new(GenericArray::from_slice(&opening.master_key));
    let plain = cipher.decrypt(GenericArray::from_slice(&opening.nonce), cipher_text).ok()?;
    Some(plain.into())
}

/// Our keys, with the shared keys of their correspondents.
pub struct KeyRing {
    keys: Vec<KeyPair>,
    shared: Cache<([u8; 32], [u8; 32]), Arc<SalsaBox>>,
}

impl KeyRing {
    /// Holds these keys, the default first; a key given twice counts once.
    pub fn new(keys: Vec<KeyPair>) -> Self {
        let mut distinct: Vec<KeyPair> = Vec::with_capacity(keys.len());
        for key in keys {
            if !distinct.iter().any(|have| have.public() == key.public()) {
                distinct.push(key);
            }
        }
        Self { keys: distinct, shared: Cache::new(SHARED_KEYS_MAX) }
    }

    /// Our key pairs, the default first.
    pub fn pairs(&self) -> &[KeyPair] {
        &self.keys
    }

    /// Our public keys, the default first.
    pub fn public_keys(&self) -> Vec<EnclaveKey> {
        self.keys.iter().map(|key| EnclaveKey::Nacl(*key.public())).collect()
    }

    /// The pair of one of our public keys.
    pub fn pair(&self, public: &[u8; 32]) -> Option<&KeyPair> {
        self.keys.iter().find(|key| key.public() == public)
    }

    /// Whether `key` is ours.
    pub fn holds(&self, key: &EnclaveKey) -> bool {
        key.as_nacl().is_some_and(|key| self.pair(key).is_some())
    }

    /// Boxes `plain` between our key `ours` and `theirs` (the box has no direction); `None` when
    /// `ours` is not ours.
    pub fn seal(
        &self,
        ours: &[u8; 32],
        theirs: &[u8; 32],
        nonce: &[u8; 24],
        plain: &[u8],
    ) -> Option<Vec<u8>> {
        self.shared(ours, theirs)?.encrypt(GenericArray::from_slice(nonce), plain).ok()
    }

    /// Opens what was boxed between our key `ours` and `theirs`.
    pub fn open(
        &self,
        ours: &[u8; 32],
        theirs: &[u8; 32],
        nonce: &[u8; 24],
        boxed: &[u8],
    ) -> Option<Vec<u8>> {
        self.shared(ours, theirs)?.decrypt(GenericArray::from_slice(nonce), boxed).ok()
    }

    fn shared(&self, ours: &[u8; 32], theirs: &[u8; 32]) -> Option<Arc<SalsaBox>> {
        let pair = self.pair(ours)?;
        let id = (*ours, *theirs);
        if let Some(shared) = self.shared.get(&id) {
            return Some(shared);
        }
        let shared = Arc::new(SalsaBox::new(
            &PublicKey::from_bytes(*theirs),
            &pair.secret().to_crypto_box(),
        ));
        self.shared.insert(id, Arc::clone(&shared));
        Some(shared)
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing").field("keys", &self.public_keys()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_is_sha_512_256_with_its_own_initial_value() {
        let want = "7AagSZbaNRe/IJzrUKTp8Hl60wncQL1DHvDJCVQ+YIk="
            .parse::<coterie_core::GroupId>()
            .unwrap();
        assert_eq!(payload_key(b"cipherText").0, want.0);
    }

    #[test]
    fn payload_opens_with_its_key_only() {
        let opening = Opening { master_key: [1; 32], nonce: [2; 24] };
        let mut sealed = seal_payload(&opening, b"text");
        assert_eq!(sealed.len(), 4 + TAG_BYTES);
        assert_eq!(open_payload(&opening, &sealed).unwrap().as_ref(), b"text");
        assert!(open_payload(&Opening { master_key: [3; 32], nonce: [2; 24] }, &sealed).is_none());
        sealed[0] ^= 1;
        assert!(open_payload(&opening, &sealed).is_none());
        assert!(open_payload(&opening, &[]).is_none());
    }
}
