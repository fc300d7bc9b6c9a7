//! Signing and sender recovery on secp256k1, by `k256`. Keys are zeroised when dropped.
//!
//! `k256`'s own `SigningKey` computes the public key whenever a key is read, and its recovery
//! verifies what it has just computed. Neither is needed here, and each costs as much as the rest.

use core::fmt;

use alloy_primitives::{Address, B256, Signature, U256, keccak256};
use k256::{
    AffinePoint, FieldBytes, ProjectivePoint, Scalar, Secp256k1, SecretKey,
    ecdsa::hazmat::{DigestPrimitive, SignPrimitive},
    elliptic_curve::{
        PrimeField,
        bigint::U256 as Uint,
        group::Group,
        ops::{Invert, LinearCombination, Reduce},
        point::DecompressPoint,
        sec1::ToEncodedPoint,
        zeroize::Zeroizing,
    },
};

use super::{PrivateTransaction, SignedPrivateTransaction, rlp::CURVE_ORDER};

/// An account's private key. Zeroised when dropped; `Debug` shows the address only.
#[derive(Clone)]
pub struct AccountKey(SecretKey);

/// The bytes are no secp256k1 private key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a private key has 32 bytes and lies between 1 and the order of the curve")]
pub struct InvalidAccountKey;

/// The transaction cannot be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// Chain id 0: its `v` cannot be decoded by anybody.
    #[error("chain id 0 cannot be signed; leave the chain id out or use the chain's")]
    ZeroChainId,
    /// The signature would have needed a third recovery bit. Happens for one hash in 2^127.
    #[error("the signature cannot be recovered; change the transaction")]
    Unrecoverable,
    /// A signature from elsewhere whose r or s is zero, or not below the order of the curve.
    #[error("r and s must be between 1 and the order of the curve")]
    SignatureRange,
    /// A signature from elsewhere whose s lies above half the order of the curve.
    #[error("s must be low: at most half the order of the curve")]
    HighS,
}

impl SignError {
    /// A stable word for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::ZeroChainId => "ZERO_CHAIN_ID",
            Self::Unrecoverable => "UNRECOVERABLE_SIGNATURE",
            Self::SignatureRange => "SIGNATURE_RANGE",
            Self::HighS => "SIGNATURE_HIGH_S",
        }
    }
}

/// r and s belong to no public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature belongs to no account")]
pub struct SignatureError;

impl AccountKey {
    /// Reads 32 big-endian bytes. The caller zeroises its own copy.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, InvalidAccountKey> {
        // `k256` would pad a key of 24 bytes or more with zeros.
        if bytes.len() != 32 {
            return Err(InvalidAccountKey);
        }
        SecretKey::from_slice(bytes).map(Self).map_err(|_| InvalidAccountKey)
    }

    /// The account. Computed anew by each call, which takes as long as a signature.
    pub fn address(&self) -> Address {
        address_of(self.0.public_key().as_affine())
    }

    /// Signs a 32-byte hash with RFC 6979 and a low s.
    ///
    /// # Errors
    ///
    /// [`SignError::Unrecoverable`], which nobody has seen yet.
    pub fn sign_hash(&self, hash: &B256) -> Result<Signature, SignError> {
        let scalar = Zeroizing::new(self.0.to_nonzero_scalar());
        let hash = FieldBytes::from(hash.0);
        let (signature, recovery) = scalar
            .try_sign_prehashed_rfc6979::<<Secp256k1 as DigestPrimitive>::Digest>(&hash, &[])
            .map_err(|_| SignError::Unrecoverable)?;
        let recovery = recovery.ok_or(SignError::Unrecoverable)?;
        if recovery.is_x_reduced() {
            return Err(SignError::Unrecoverable);
        }
        Ok(Signature::from_bytes_and_parity(&signature.to_bytes(), recovery.is_y_odd()))
    }
}

impl fmt::Debug for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccountKey({})", self.address())
    }
}

pub(super) fn sign(
    transaction: PrivateTransaction,
    key: &AccountKey,
) -> Result<SignedPrivateTransaction, SignError> {
    if transaction.chain_id == Some(0) {
        return Err(SignError::ZeroChainId);
    }
    let signature_hash = transaction.signature_hash();
    let signature = key.sign_hash(&signature_hash)?;
    Ok(SignedPrivateTransaction { transaction, signature, signature_hash })
}

pub(super) fn assemble(
    transaction: PrivateTransaction,
    signature: Signature,
) -> Result<SignedPrivateTransaction, SignError> {
    check_foreign(transaction.chain_id, &signature)?;
    Ok(transaction.into_signed(signature))
}

/// What a signature from elsewhere must be for every node to accept it under this chain id.
pub(crate) fn check_foreign(chain_id: Option<u64>, signature: &Signature) -> Result<(), SignError> {
    if chain_id == Some(0) {
        return Err(SignError::ZeroChainId);
    }
    let in_range = |part: U256| !part.is_zero() && part < CURVE_ORDER;
    if !in_range(signature.r()) || !in_range(signature.s()) {
        return Err(SignError::SignatureRange);
    }
    if signature.s() > CURVE_ORDER >> 1 {
        return Err(SignError::HighS);
    }
    Ok(())
}

/// The account whose signature over `hash` this is. A high s is normalised first.
///
/// # Errors
///
/// [`SignatureError`] when r and s belong to no public key.
pub fn recover_address(hash: &B256, signature: &Signature) -> Result<Address, SignatureError> {
    let signature = signature.normalized_s();
    let x = FieldBytes::from(signature.r().to_be_bytes::<{ U256::BYTES }>());
    let s = FieldBytes::from(signature.s().to_be_bytes::<{ U256::BYTES }>());
    let r = scalar(x)?;
    let s = scalar(s)?;
    let point: Option<AffinePoint> =
        AffinePoint::decompress(&x, u8::from(signature.v()).into()).into();
    let point = ProjectivePoint::from(point.ok_or(SignatureError)?);
    let hash = <Scalar as Reduce<Uint>>::reduce_bytes(&FieldBytes::from(hash.0));
    // SEC 1, 4.1.6: Q = r⁻¹ (s R - z G).
    let inverse: Option<Scalar> = r.invert_vartime().into();
    let inverse = inverse.ok_or(SignatureError)?;
    let key = ProjectivePoint::lincomb(
        &ProjectivePoint::GENERATOR,
        &-(inverse * hash),
        &point,
        &(inverse * s),
    );
    if bool::from(key.is_identity()) {
        return Err(SignatureError);
    }
    Ok(address_of(&key.to_affine()))
}

/// A number below the order of the curve and not zero.
fn scalar(bytes: FieldBytes) -> Result<Scalar, SignatureError> {
    let scalar: Option<Scalar> = Scalar::from_repr(bytes).into();
    scalar.filter(|scalar| *scalar != Scalar::ZERO).ok_or(SignatureError)
}

pub(super) fn recoverable_signature(signature: &Signature) -> ([u8; 64], bool) {
    let low = signature.normalized_s();
    let mut bytes = [0; 64];
    let (r, s) = bytes.split_at_mut(32);
    r.copy_from_slice(&low.r().to_be_bytes::<{ U256::BYTES }>());
    s.copy_from_slice(&low.s().to_be_bytes::<{ U256::BYTES }>());
    (bytes, low.v())
}

fn address_of(key: &AffinePoint) -> Address {
    let point = key.to_encoded_point(false);
    // The first byte says "uncompressed" and is not hashed.
    let hash = keccak256(point.as_bytes().get(1..).unwrap_or_default());
    Address::from_word(hash)
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use alloy_primitives::{Bytes, hex, uint};
    use proptest::prelude::*;

    use super::*;
    use crate::strategies;

    const ORDER: U256 =
        uint!(0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141_U256);

    fn key() -> AccountKey {
        // Published test key of the vectors.
        AccountKey::from_slice(&hex!(
            "8f2a55949038a9610f50fb23b5883af3b4ecb3c3bb792cbcefbd1542c692be63"
        ))
        .unwrap()
    }

    #[test]
    fn debug_output_shows_no_key() {
        assert_eq!(
            format!("{:?}", key()),
            "AccountKey(0xFE3B557E8Fb62b89F4916B721be55cEb828dBd73)"
        );
    }

    #[test]
    fn keys_lie_in_the_range_of_the_curve() {
        assert_eq!(AccountKey::from_slice(&[0; 32]).unwrap_err(), InvalidAccountKey);
        assert_eq!(AccountKey::from_slice(&[1; 31]).unwrap_err(), InvalidAccountKey);
        assert_eq!(AccountKey::from_slice(&[0xff; 32]).unwrap_err(), InvalidAccountKey);
    }

    fn transaction() -> PrivateTransaction {
        PrivateTransaction {
            nonce: 0,
            gas_price: U256::ZERO,
            gas_limit: 0,
            to: alloy_primitives::TxKind::Create,
            value: U256::ZERO,
            input: Bytes::new(),
            chain_id: None,
            private_from: crate::EnclaveKey::Nacl([0; 32]),
            recipients: crate::Recipients::Members(alloc::vec![]),
            restriction: crate::Restriction::Restricted,
        }
    }

    #[test]
    fn a_signature_from_elsewhere_is_in_range_and_low() {
        let check = |r: U256, s: U256, want| {
            let result = transaction().assemble(Signature::new(r, s, true));
            assert_eq!(result.map(|signed| signed.signature.s()), want);
        };
        let half = ORDER >> 1;
        check(U256::ONE, half, Ok(half));
        check(ORDER - U256::ONE, U256::ONE, Ok(U256::ONE));
        check(U256::ONE, half + U256::ONE, Err(SignError::HighS));
        for (r, s) in [(U256::ZERO, U256::ONE), (U256::ONE, U256::ZERO), (ORDER, U256::ONE)] {
            check(r, s, Err(SignError::SignatureRange));
        }
        check(U256::ONE, ORDER, Err(SignError::SignatureRange));
        let zero = PrivateTransaction { chain_id: Some(0), ..transaction() };
        let signature = Signature::new(U256::ONE, U256::ONE, true);
        assert_eq!(zero.assemble(signature), Err(SignError::ZeroChainId));
    }

    #[test]
    fn a_point_that_is_not_on_the_curve_is_nobodys() {
        // x = 5 is on no point of secp256k1.
        let signed = transaction().into_signed(Signature::new(U256::from(5), U256::ONE, false));
        assert_eq!(signed.recover_signer(), Err(SignatureError));
        // Out of range: cannot be decoded, but can be built.
        for (r, s) in [(U256::ZERO, U256::ONE), (U256::ONE, ORDER), (U256::MAX, U256::MAX)] {
            let signature = Signature::new(r, s, true);
            let signed = signed.transaction.clone().into_signed(signature);
            assert_eq!(signed.recover_signer(), Err(SignatureError));
        }
    }

    proptest! {
        #![proptest_config(strategies::config(24))]

        #[test]
        fn the_signer_is_recovered_from_a_low_and_from_a_high_s(
            transaction in strategies::transaction()
        ) {
            let signed = transaction.sign(&key()).unwrap();
            prop_assert!(signed.signature.s() <= ORDER >> 1);
            prop_assert_eq!(signed.recover_signer(), Ok(key().address()));
            let assembled = signed.transaction.clone().assemble(signed.signature);
            prop_assert_eq!(assembled.as_ref(), Ok(&signed));
            let high = Signature::new(
                signed.signature.r(),
                ORDER - signed.signature.s(),
                !signed.signature.v(),
            );
            let mirrored = signed.transaction.clone().into_signed(high);
            prop_assert_eq!(mirrored.recover_signer(), Ok(key().address()));
            prop_assert_eq!(mirrored.recoverable_signature(), signed.recoverable_signature());
        }

        #[test]
        fn recovery_is_that_of_k256(signed in strategies::signed()) {
            use k256::ecdsa::{RecoveryId, Signature, VerifyingKey};
            let (bytes, y_odd) = signed.recoverable_signature();
            let want = Signature::from_slice(&bytes).ok().and_then(|signature| {
                let id = RecoveryId::new(y_odd, false);
                let hash = signed.signature_hash.as_slice();
                VerifyingKey::recover_from_prehash(hash, &signature, id).ok()
            });
            let want = want.map(|key| address_of(key.as_affine()));
            prop_assert_eq!(signed.recover_signer().ok(), want);
        }

        #[test]
        fn chain_id_zero_is_not_signed(mut transaction in strategies::transaction()) {
            transaction.chain_id = Some(0);
            prop_assert_eq!(transaction.sign(&key()), Err(SignError::ZeroChainId));
        }
    }
}
