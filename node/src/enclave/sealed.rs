//! Payloads outside the store: opening what a history carries (design, 2.4). Pure.

use coterie_core::wire::PrefixedPayload;

use super::{
    Payload, SealedPayload,
    crypto::{open_payload, payload_key},
};

/// Opens a payload of `coterie` rules with its master key. `None` when it does not open, or its
/// plaintext has not the form of the rules.
pub fn open_sealed(sealed: &SealedPayload) -> Option<Payload> {
    let plain = open_payload(&sealed.opening, &sealed.cipher_text)?;
    let PrefixedPayload { marker_signer, signature, text } =
        PrefixedPayload::decode(&plain).ok()?;
    Some(Payload {
        key: payload_key(&sealed.cipher_text),
        text,
        marker_signer,
        sender_key: sealed.sender_key.clone(),
        signature: Some(signature),
        opening: sealed.opening.clone(),
    })
}
