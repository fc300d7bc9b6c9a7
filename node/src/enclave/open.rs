//! Opening envelopes with our keys, and what a plaintext means under the network's rules.
//!
//! Stateless. Whether an opened payload counts is decided elsewhere. Enclave specification, 3.4;
//! design, 2.3.

use alloy_primitives::{Address, Bytes};
use coterie_core::{EnclaveKey, PayloadKey, definition::Rules, wire::PrefixedPayload};

use super::{
    Opening, Payload,
    codec::Envelope,
    crypto::{KeyRing, MASTER_BOX_BYTES, open_payload},
};

/// An envelope that one of our keys opened.
pub(super) struct Opened {
    /// What opens the ciphertext.
    pub(super) opening: Opening,
    /// What was inside, with the prefix.
    pub(super) plain: Bytes,
    /// The first of our keys that opens it.
    pub(super) by: [u8; 32],
}

/// Opens with the first box, in the order of the envelope, that belongs to a key of ours.
pub(super) fn open_envelope(ring: &KeyRing, envelope: &Envelope) -> Option<Opened> {
    boxes_for_us(ring, envelope).find_map(|(ours, theirs, sealed)| {
        let opening = open_box(ring, envelope, (&ours, &theirs), sealed)?;
        let plain = open_payload(&opening, &envelope.cipher_text)?;
        Some(Opened { opening, plain, by: ours })
    })
}

/// Which of our keys open the envelope to the same master key as `opening`.
pub(super) fn openers(ring: &KeyRing, envelope: &Envelope, opening: &Opening) -> Vec<EnclaveKey> {
    let mut keys = Vec::new();
    for (ours, theirs, sealed) in boxes_for_us(ring, envelope) {
        let key = EnclaveKey::Nacl(ours);
        if !keys.contains(&key)
            && open_box(ring, envelope, (&ours, &theirs), sealed).as_ref() == Some(opening)
        {
            keys.push(key);
        }
    }
    keys
}

/// What an opened payload is under `rules`; `None`: its plaintext has not their form.
pub(super) fn interpret(
    rules: Rules,
    key: PayloadKey,
    sender: [u8; 32],
    opened: Opened,
) -> Option<Payload> {
    let sender_key = EnclaveKey::Nacl(sender);
    let Opened { opening, plain, .. } = opened;
    Some(match rules {
        Rules::Coterie => {
            let PrefixedPayload { marker_signer, signature, text } =
                PrefixedPayload::decode(&plain).ok()?;
            Payload { key, text, marker_signer, sender_key, signature: Some(signature), opening }
        }
        Rules::Besu => Payload {
            key,
            text: plain,
            marker_signer: Address::ZERO,
            sender_key,
            signature: None,
            opening,
        },
    })
}

/// Candidates: our key, the other side of the box, the box.
fn boxes_for_us<'a>(
    ring: &'a KeyRing,
    envelope: &'a Envelope,
) -> impl Iterator<Item = ([u8; 32], [u8; 32], &'a [u8; MASTER_BOX_BYTES])> {
    let recipients = envelope.recipients.as_deref().unwrap_or_default();
    let named = envelope
        .boxes_of()
        .filter_map(|(recipient, sealed)| Some((*recipient?, envelope.sender, sealed)))
        .filter(|(recipient, ..)| ring.pair(recipient).is_some());
    // The oldest form names nobody: the only box may be for any of our keys.
    let unnamed = envelope.boxes.first().filter(|_| recipients.is_empty()).into_iter().flat_map(
        move |sealed| {
            ring.pairs().iter().map(move |pair| (*pair.public(), envelope.sender, sealed))
        },
    );
    // Old envelopes of our own that have no box for us: the box with the first recipient opens too.
    let own = envelope
        .boxes_of()
        .next()
        .filter(|_| !recipients.contains(&envelope.sender) && ring.pair(&envelope.sender).is_some())
        .and_then(|(recipient, sealed)| Some((envelope.sender, *recipient?, sealed)));
    named.chain(unnamed).chain(own)
}

fn open_box(
    ring: &KeyRing,
    envelope: &Envelope,
    (ours, theirs): (&[u8; 32], &[u8; 32]),
    sealed: &[u8; MASTER_BOX_BYTES],
) -> Option<Opening> {
    let master_key =
        zeroize::Zeroizing::new(ring.open(ours, theirs, &envelope.box_nonce, sealed)?);
    Some(Opening { master_key: master_key.as_slice().try_into().ok()?, nonce: envelope.nonce })
}
