//! The envelope that a payload travels in (`EncodedPayload`, enclave specification, 2.3).

use alloy_primitives::{Bytes, hex};
use coterie_core::PayloadKey;

use super::{CodecError, Reader, put_array, put_field, put_length};
use crate::enclave::crypto::{MASTER_BOX_BYTES, payload_key};

/// Largest field inside the tail (hashes, a group's id or name).
const TAIL_FIELD_BYTES_MAX: usize = 256;

/// A ciphertext with the boxes that open it.
#[derive(Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The sender's public key.
    pub sender: [u8; 32],
    /// The sealed payload, tag first. Its hash is the payload's id.
    pub cipher_text: Bytes,
    /// The ciphertext's nonce.
    pub nonce: [u8; 24],
    /// The master key, boxed for each recipient.
    pub boxes: Vec<[u8; MASTER_BOX_BYTES]>,
    /// The nonce of all boxes.
    pub box_nonce: [u8; 24],
    /// Whose the boxes are, in their order; `None` in the oldest form, which did not tell.
    pub recipients: Option<Vec<[u8; 32]>>,
    /// What newer versions append; `None` in older ones.
    pub tail: Option<Tail>,
}

/// What newer versions append to an envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tail {
    /// 0 standard, 1 party protection, 2 mandatory recipients, 3 private state validation. Only 0
    /// is used by Besu, and stored by us.
    pub privacy_mode: u8,
    /// Ids and security hashes of affected transactions.
    pub affected: Vec<(Bytes, Bytes)>,
    /// Execution hash, of mode 3.
    pub exec_hash: Bytes,
    /// Of mode 2.
    pub mandatory_recipients: Vec<[u8; 32]>,
    /// The off-chain group's id (or a resident group's name).
    pub group: Option<Bytes>,
}

impl Envelope {
    /// The payload's id.
    pub fn key(&self) -> PayloadKey {
        payload_key(&self.cipher_text)
    }

    /// The boxes with their recipients; the oldest form names none, and there may be recipients
    /// without a box.
    pub fn boxes_of(&self) -> impl Iterator<Item = (Option<&[u8; 32]>, &[u8; MASTER_BOX_BYTES])> {
        let recipients = self.recipients.as_deref().unwrap_or_default();
        self.boxes.iter().enumerate().map(|(index, sealed)| (recipients.get(index), sealed))
    }

    /// The envelope stripped to one recipient's box; `None` when it has none.
    pub fn for_recipient(&self, key: &[u8; 32]) -> Option<Self> {
        let (_, sealed) = self.boxes_of().find(|(recipient, _)| *recipient == Some(key))?;
        Some(Self { boxes: vec![*sealed], recipients: Some(vec![*key]), ..self.clone() })
    }

    /// Reads an envelope; every accepted input encodes to itself.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut reader = Reader(bytes);
        let mut envelope = Self {
            sender: reader.fixed("the sender key")?,
            cipher_text: Bytes::copy_from_slice(reader.field("the ciphertext")?),
            nonce: reader.fixed("the nonce")?,
            boxes: reader.array("the recipient boxes")?,
            box_nonce: reader.fixed("the recipient nonce")?,
            recipients: None,
            tail: None,
        };
        if reader.is_empty() {
            return Ok(envelope);
        }
        envelope.recipients = Some(reader.array("the recipient keys")?);
        if !reader.is_empty() {
            envelope.tail = Some(Tail::decode(&mut reader)?);
        }
        reader.finish()?;
        Ok(envelope)
    }

    /// Writes an envelope.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.cipher_text.len() + 256 + 96 * self.boxes.len());
        put_field(&mut out, &self.sender);
        put_field(&mut out, &self.cipher_text);
        put_field(&mut out, &self.nonce);
        put_array(&mut out, &self.boxes);
        put_field(&mut out, &self.box_nonce);
        if let Some(recipients) = &self.recipients {
            put_array(&mut out, recipients);
            if let Some(tail) = &self.tail {
                tail.encode(&mut out);
            }
        }
        out
    }
}

impl Tail {
    /// The tail of a payload as Besu sends it.
    pub const fn standard(group: Option<Bytes>) -> Self {
        Self {
            privacy_mode: 0,
            affected: Vec::new(),
            exec_hash: Bytes::new(),
            mandatory_recipients: Vec::new(),
            group,
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let [privacy_mode] = reader.fixed::<1>("the privacy mode")?;
        if privacy_mode > 3 {
            return Err(CodecError::Range("the privacy mode"));
        }
        let mut affected = Vec::new();
        for _ in 0..reader.count("the affected transactions")? {
            affected.push((
                small(reader, "an affected transaction")?,
                small(reader, "a security hash")?,
            ));
        }
        let exec_hash =
            if privacy_mode == 3 { small(reader, "the execution hash")? } else { Bytes::new() };
        let mandatory_recipients =
            if privacy_mode == 2 { reader.array("the mandatory recipients")? } else { Vec::new() };
        let group = if reader.is_empty() { None } else { Some(small(reader, "the group")?) };
        Ok(Self { privacy_mode, affected, exec_hash, mandatory_recipients, group })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_field(out, &[self.privacy_mode]);
        put_length(out, self.affected.len());
        for (key, hash) in &self.affected {
            put_field(out, key);
            put_field(out, hash);
        }
        if self.privacy_mode == 3 {
            put_field(out, &self.exec_hash);
        }
        if self.privacy_mode == 2 {
            put_array(out, &self.mandatory_recipients);
        }
        if let Some(group) = &self.group {
            put_field(out, group);
        }
    }
}

impl std::fmt::Debug for Envelope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Envelope")
            .field("sender", &hex::encode(self.sender))
            .field("key", &self.key())
            .field("boxes", &self.boxes.len())
            .finish_non_exhaustive()
    }
}

fn small(reader: &mut Reader<'_>, what: &'static str) -> Result<Bytes, CodecError> {
    let field = reader.field(what)?;
    if field.len() > TAIL_FIELD_BYTES_MAX {
        return Err(CodecError::Range(what));
    }
    Ok(Bytes::copy_from_slice(field))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OLDEST: &str = "0000000000000020cd289f4e792fe6be0aebb0eadf4e1e55c338169c467c72ded724c2066d3fef08000000000000001c786f3f9c61f4991402d025aa8d90b5e5370cff780d00565c344dfc2d00000000000000188dacc60e5276048acb56030e7046fc517954e8fdb7ef067c00000000000000010000000000000030a99a005ff3304c8d8d3e36c9b27dcadeb9f5a1ab4ee8e22f4105582691f4d79f67c49b2bc7bc44932431c1853e1543e40000000000000018c105562aabf4dc1094301a242cae0fdaed069b6b6ee25f05";
    const TWO_RECIPIENTS: &str = "0000000000000020cd289f4e792fe6be0aebb0eadf4e1e55c338169c467c72ded724c2066d3fef08000000000000001c79545741d7db69b74a21aa352a27338c616c3094577cb957b10f8be900000000000000181a75c0bbfc813210d85cf1343c77fb75ea7941ad35b3ae68000000000000000100000000000000303d59edf55251ac779998462275011d9c94707af9e1dc33f40e88aa31e3d7636ac8ddff8ba7d3aab21f563d99a480b6510000000000000018a4086cb5ba3b4d71767676d00ddc8c297f5601aa4ae7e2a80000000000000002000000000000002023f11bb215bad72909faa4e2bd73da2b24395a64035057cc3461018f6136b94b000000000000002035cd48a915bad72909fae3e2bd0fda2b24395a64035057cc3461018f6136b94b";

    #[test]
    fn oldest_form_names_no_recipients() {
        let bytes = hex::decode(OLDEST).unwrap();
        let envelope = Envelope::decode(&bytes).unwrap();
        assert_eq!((envelope.boxes.len(), &envelope.recipients, &envelope.tail), (1, &None, &None));
        assert_eq!(envelope.encode(), bytes);
    }

    #[test]
    fn recipients_may_outnumber_boxes() {
        let bytes = hex::decode(TWO_RECIPIENTS).unwrap();
        let envelope = Envelope::decode(&bytes).unwrap();
        assert_eq!(
            (envelope.boxes.len(), envelope.recipients.as_ref().map(Vec::len)),
            (1, Some(2))
        );
        assert_eq!(envelope.encode(), bytes);
    }

    #[track_caller]
    fn check_tail(tail: &str, want: &Tail) {
        let bytes = hex::decode(format!("{OLDEST}{tail}")).unwrap();
        let envelope = Envelope::decode(&bytes).unwrap();
        assert_eq!(envelope.tail.as_ref(), Some(want));
        assert_eq!(envelope.encode(), bytes);
    }

    #[test]
    fn tails_of_all_modes_are_read() {
        let affected = vec![(Bytes::from_static(b"test"), Bytes::from_static(b"test"))];
        check_tail(
            "00000000000000000000000000000001010000000000000001000000000000000474657374000000000000000474657374",
            &Tail { privacy_mode: 1, affected, ..Tail::standard(None) },
        );
        let exec_hash = Bytes::from_static(b"executionHash");
        check_tail(
            "00000000000000000000000000000001030000000000000000000000000000000d657865637574696f6e48617368",
            &Tail { privacy_mode: 3, exec_hash, ..Tail::standard(None) },
        );
    }

    #[test]
    fn hostile_lengths_are_refused() {
        let good = hex::decode(OLDEST).unwrap();
        for length in [u64::MAX, 1 << 62, 1 << 40, good.len() as u64, i64::MIN.cast_unsigned()] {
            for at in [0, 40, 76, 108, 116] {
                let mut bytes = good.clone();
                bytes[at..at + 8].copy_from_slice(&length.to_be_bytes());
                assert!(Envelope::decode(&bytes).is_err(), "length {length} at {at}");
            }
        }
        for end in 0..good.len() {
            assert!(Envelope::decode(&good[..end]).is_err());
        }
        assert!(Envelope::decode(&[good.as_slice(), &[0]].concat()).is_err());
    }

    fn tails() -> impl Strategy<Value = Tail> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..8).prop_map(Bytes::from);
        (
            0u8..4,
            prop::collection::vec((bytes(), bytes()), 0..3),
            bytes(),
            prop::collection::vec(any::<[u8; 32]>(), 0..3),
            prop::option::of(bytes()),
        )
            .prop_map(
                |(privacy_mode, affected, exec_hash, mandatory_recipients, group)| Tail {
                    privacy_mode,
                    affected,
                    exec_hash: if privacy_mode == 3 { exec_hash } else { Bytes::new() },
                    mandatory_recipients: if privacy_mode == 2 {
                        mandatory_recipients
                    } else {
                        Vec::new()
                    },
                    group,
                },
            )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn envelopes_survive_a_round_trip(
            sender: [u8; 32], cipher_text in prop::collection::vec(any::<u8>(), 0..64), nonce: [u8; 24], box_nonce: [u8; 24],
            boxes in prop::collection::vec((any::<[u8; 32]>(), any::<[u8; 24]>(), any::<[u8; 24]>()), 0..4),
            tail in prop::option::of(tails()),
        ) {
            let recipients = boxes.iter().map(|(key, _, _)| *key).collect();
            let boxes = boxes.iter().map(|(_, a, b)| [*a, *b].concat().try_into().unwrap()).collect();
            let envelope = Envelope { sender, cipher_text: cipher_text.into(), nonce, boxes, box_nonce, recipients: Some(recipients), tail };
            prop_assert_eq!(Envelope::decode(&envelope.encode()), Ok(envelope));
        }

        #[test]
        fn arbitrary_and_damaged_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0usize..204, value: u8) {
            if let Ok(envelope) = Envelope::decode(&bytes) {
                prop_assert_eq!(envelope.encode(), bytes);
            }
            let mut damaged = hex::decode(OLDEST).unwrap();
            damaged[at] = value;
            if let Ok(envelope) = Envelope::decode(&damaged) {
                prop_assert_eq!(envelope.encode(), damaged);
            }
        }
    }
}
