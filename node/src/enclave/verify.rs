//! Whether a payload comes from the enclave key that its transaction names (design, 2.3).

use std::sync::LazyLock;

use alloy_primitives::B256;
use coterie_core::{
    EnclaveKey, GroupId,
    wire::{marker_signature_digest, payload_signature_digest},
};

use super::{Payload, signature::SignatureCache};

/// Verdicts are a pure function of key, digest and signature, so all enclaves of a process share
/// them.
static JUDGED: LazyLock<SignatureCache> = LazyLock::new(SignatureCache::new);

/// Whether `private_from`, the key that the transaction inside names, sent this payload.
///
/// Under `coterie` rules its signature must be good: over the marker signer, or over the whole
/// payload in `group` when anybody may mark it. `definition_hash` is
/// [`coterie_core::NetworkDefinition::hash`]. Under `besu` rules the envelope's sender key must be
/// equal. The same on every member, whenever it is asked.
pub fn verify_payload(
    payload: &Payload,
    private_from: &EnclaveKey,
    definition_hash: B256,
    group: GroupId,
) -> bool {
    let Some(signature) = &payload.signature else { return payload.sender_key == *private_from };
    let Some(public) = private_from.as_nacl() else { return false };
    let digest = if payload.marker_signer.is_zero() {
        let opening = &payload.opening;
        payload_signature_digest(
            definition_hash,
            group,
            &opening.master_key,
            &opening.nonce,
            &payload.text,
        )
    } else {
        marker_signature_digest(definition_hash, payload.marker_signer)
    };
    if payload.marker_signer.is_zero() {
        // Never the same twice: remembering it would only push out what is.
        return super::signature::verify(public, &digest.0, signature);
    }
    JUDGED.verify(public, &digest.0, signature)
}
