//! A decoded private transaction on its way to execution.

use alloy_primitives::{Address, B256, keccak256};
use coterie_core::{GroupId, PayloadKey, SignedPrivateTransaction};
use secp256k1::{
    Message, SECP256K1,
    ecdsa::{RecoverableSignature, RecoveryId},
};

use crate::state::Reason;

/// A decoded private transaction with its recovered sender, ready to execute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// The payload it came in.
    pub key: PayloadKey,
    /// The transaction.
    pub transaction: SignedPrivateTransaction,
    /// The group version that the payload names.
    pub version: B256,
    /// The group.
    pub group: GroupId,
    /// Who signed it, by [`recover_sender`]; `None` when the signature recovers nobody.
    pub sender: Option<Address>,
}

/// Who signed a private transaction; `None` when the signature recovers nobody. The same answer as
/// core's `recover_signer`, by libsecp256k1, five times as fast: recovery is what a transaction
/// costs most. It needs no state, so it can be done when a payload arrives.
pub fn recover_sender(transaction: &SignedPrivateTransaction) -> Option<Address> {
    let (bytes, y_odd) = transaction.recoverable_signature();
    let recovery = if y_odd { RecoveryId::One } else { RecoveryId::Zero };
    let signature = RecoverableSignature::from_compact(&bytes, recovery).ok()?;
    let key = SECP256K1
        .recover_ecdsa(Message::from_digest(transaction.signature_hash.0), &signature)
        .ok()?;
    // The first byte says "uncompressed" and is not hashed.
    let point = key.serialize_uncompressed();
    let (_, point) = point.split_first()?;
    Some(Address::from_word(keccak256(point)))
}

/// The checks of the protocol specification, 1.6, in its order. `Ok` is the sender.
///
/// `account_nonce` is the nonce of the sender in private state, asked for only when it is needed.
pub(super) fn validate<E>(
    prepared: &Prepared,
    chain_id: u64,
    account_nonce: impl FnOnce(Address) -> Result<u64, E>,
) -> Result<Result<Address, Reason>, E> {
    let transaction = &prepared.transaction.transaction;
    if !transaction.value.is_zero() {
        return Ok(Err(Reason::Value));
    }
    if transaction.chain_id.is_some_and(|id| id != chain_id) {
        return Ok(Err(Reason::ChainId));
    }
    let Some(sender) = prepared.sender else { return Ok(Err(Reason::Signature)) };
    // The last nonce could not be followed by another one (EIP-2681).
    if transaction.nonce == u64::MAX || transaction.nonce != account_nonce(sender)? {
        return Ok(Err(Reason::Nonce));
    }
    Ok(Ok(sender))
}
