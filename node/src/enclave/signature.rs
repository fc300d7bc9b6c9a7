//! EdDSA signatures by X25519 keys (XEdDSA's conversion: the Edwards form with sign bit 0).
//!
//! What is signed is a 32-byte digest that `coterie-core` computes; this module does not know what
//! it means. Verification is `verify_strict`: small-order keys and malleable signatures are
//! refused, so that all members judge alike. Design, 2.3.

use std::fmt;

use curve25519_dalek::{EdwardsPoint, MontgomeryPoint, Scalar, scalar::clamp_integer};
use ed25519_dalek::{
    Signature, VerifyingKey,
    hazmat::{ExpandedSecretKey, raw_sign},
};
use quick_cache::sync::Cache;
use sha2::{Digest, Sha512};
use zeroize::Zeroizing;

use super::keys::SecretKey;

/// How many judged signatures are remembered. A verification costs as much as a sender recovery,
/// and the same pair of key and marker signer comes with every payload.
const JUDGED_MAX: usize = 16_384;

/// Signs `digest` with an X25519 secret key. The same input gives the same signature.
pub fn sign(secret: &SecretKey, digest: &[u8; 32]) -> [u8; 64] {
    let mut scalar = Scalar::from_bytes_mod_order(clamp_integer(*secret.as_bytes()));
    let mut point = EdwardsPoint::mul_base(&scalar);
    if sign_bit(&point) == 1 {
        scalar = -scalar;
        point = -point;
    }
    // The prefix must be secret and fixed for the key: RFC 8032 takes the other half of the hash
    // whose first half is the scalar; here the scalar is given, so it has its own hash.
    let mut hash = Sha512::new();
    hash.update(b"coterie signature prefix v1");
    hash.update(secret.as_bytes());
    let wide: Zeroizing<[u8; 64]> = Zeroizing::new(hash.finalize().into());
    let mut hash_prefix = [0; 32];
    for (to, from) in hash_prefix.iter_mut().zip(wide.iter()) {
        *to = *from;
    }
    let expanded = ExpandedSecretKey { scalar, hash_prefix };
    raw_sign::<Sha512>(&expanded, digest, &VerifyingKey::from(point)).to_bytes()
}

/// Whether `signature` over `digest` was made by the holder of the X25519 key `public`.
pub fn verify(public: &[u8; 32], digest: &[u8; 32], signature: &[u8; 64]) -> bool {
    let Some(point) = MontgomeryPoint(*public).to_edwards(0) else { return false };
    VerifyingKey::from(point).verify_strict(digest, &Signature::from_bytes(signature)).is_ok()
}

fn sign_bit(point: &EdwardsPoint) -> u8 {
    let [.., last] = point.compress().to_bytes();
    last >> 7
}

/// Public key, digest, signature.
type Claim = ([u8; 32], [u8; 32], [u8; 64]);

/// Remembers signatures that were made and judged; bounded.
pub struct SignatureCache {
    judged: Cache<Claim, bool>,
    made: Cache<([u8; 32], [u8; 32]), [u8; 64]>,
}

impl SignatureCache {
    /// An empty cache.
    pub fn new() -> Self {
        Self { judged: Cache::new(JUDGED_MAX), made: Cache::new(JUDGED_MAX) }
    }

    /// As [`verify`], remembered.
    pub fn verify(&self, public: &[u8; 32], digest: &[u8; 32], signature: &[u8; 64]) -> bool {
        let id = (*public, *digest, *signature);
        if let Some(judged) = self.judged.get(&id) {
            return judged;
        }
        let judged = verify(public, digest, signature);
        self.judged.insert(id, judged);
        judged
    }

    /// As [`sign`], remembered by the public key that belongs to `secret`.
    pub fn sign(&self, secret: &SecretKey, public: &[u8; 32], digest: &[u8; 32]) -> [u8; 64] {
        let id = (*public, *digest);
        if let Some(made) = self.made.get(&id) {
            return made;
        }
        let made = sign(secret, digest);
        self.made.insert(id, made);
        made
    }
}

impl Default for SignatureCache {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for SignatureCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignatureCache").field("judged", &self.judged.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::keys::KeyPair, *};

    #[test]
    fn every_key_signs_whatever_its_sign_bit() {
        let mut bits = [0, 0];
        for _ in 0..64 {
            let pair = KeyPair::generate().unwrap();
            let scalar = Scalar::from_bytes_mod_order(clamp_integer(*pair.secret().as_bytes()));
            bits[usize::from(sign_bit(&EdwardsPoint::mul_base(&scalar)))] += 1;
            let signature = sign(pair.secret(), &[7; 32]);
            assert!(verify(pair.public(), &[7; 32], &signature));
            assert!(!verify(pair.public(), &[8; 32], &signature));
        }
        assert!(bits[0] > 0 && bits[1] > 0, "both cases were tried: {bits:?}");
    }

    #[test]
    fn signature_of_another_key_or_changed_is_refused() {
        let (a, b) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let mut signature = sign(a.secret(), &[1; 32]);
        assert!(!verify(b.public(), &[1; 32], &signature));
        signature[40] ^= 1;
        assert!(!verify(a.public(), &[1; 32], &signature));
    }

    #[test]
    fn small_order_keys_sign_nothing() {
        // u = 0 and u = 1 are points of small order; a zero signature must not pass for them.
        for public in [[0u8; 32], {
            let mut one = [0u8; 32];
            one[0] = 1;
            one
        }] {
            let mut signature = [0u8; 64];
            signature[0] = 1;
            assert!(!verify(&public, &[1; 32], &signature));
            assert!(!verify(&public, &[1; 32], &[0; 64]));
        }
    }

    #[test]
    fn cache_keeps_both_verdicts() {
        let pair = KeyPair::generate().unwrap();
        let cache = SignatureCache::new();
        let signature = cache.sign(pair.secret(), pair.public(), &[1; 32]);
        for _ in 0..2 {
            assert!(cache.verify(pair.public(), &[1; 32], &signature));
            assert!(!cache.verify(pair.public(), &[2; 32], &signature));
            assert_eq!(cache.sign(pair.secret(), pair.public(), &[1; 32]), signature);
        }
    }
}
