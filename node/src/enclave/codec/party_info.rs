//! What a node tells about itself and others (`PartyInfo`, enclave specification, 2.5).

use super::{CodecError, Reader, put_field, put_length};

/// Largest number of keys or parties in one message.
pub const PARTIES_MAX: usize = super::COUNT_MAX;
/// Longest address in a message.
const URL_BYTES_MAX: usize = 2048;

/// A node's own address, the keys it knows with their nodes, and the nodes it knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartyInfo {
    /// The sender's own address.
    pub url: String,
    /// Keys and the addresses of their nodes; a receiver believes at most those of the sender.
    pub recipients: Vec<([u8; 32], String)>,
    /// Addresses of nodes.
    pub parties: Vec<String>,
}

impl PartyInfo {
    /// Reads a message. Bytes that follow are ignored, as Tessera pads; keys that are not 32 bytes
    /// (of an EC network) are left out.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut reader = Reader(bytes);
        let url = address(&mut reader)?;
        let mut recipients = Vec::new();
        for _ in 0..reader.count("the recipients")? {
            let key = reader.field("a recipient's key")?;
            let url = address(&mut reader)?;
            if let Ok(key) = key.try_into() {
                recipients.push((key, url));
            }
        }
        let mut parties = Vec::new();
        for _ in 0..reader.count("the parties")? {
            parties.push(address(&mut reader)?);
        }
        Ok(Self { url, recipients, parties })
    }

    /// Writes a message.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_field(&mut out, self.url.as_bytes());
        put_length(&mut out, self.recipients.len());
        for (key, url) in &self.recipients {
            put_field(&mut out, key);
            put_field(&mut out, url.as_bytes());
        }
        put_length(&mut out, self.parties.len());
        for url in &self.parties {
            put_field(&mut out, url.as_bytes());
        }
        out
    }
}

fn address(reader: &mut Reader<'_>) -> Result<String, CodecError> {
    let url = reader.text("an address")?;
    if url.len() > URL_BYTES_MAX { Err(CodecError::Range("an address")) } else { Ok(url) }
}

#[cfg(test)]
mod tests {
    use coterie_core::EnclaveKey;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn padding_behind_a_message_is_ignored() {
        let key: EnclaveKey = "2BGaDL7HFhIcAtA+xDNmHMwbLKOL/7rAb0nRPWURZSA=".parse().unwrap();
        let info = PartyInfo {
            url: "http://localhost:8000".into(),
            recipients: vec![(*key.as_nacl().unwrap(), "http://localhost:8001".into())],
            parties: vec!["http://localhost:8001".into()],
        };
        let mut bytes = info.encode();
        bytes.extend([0; 64]);
        assert_eq!(PartyInfo::decode(&bytes), Ok(info));
    }

    #[test]
    fn a_count_beyond_the_input_is_refused_at_once() {
        let mut bytes = PartyInfo::default().encode();
        bytes[8..16].copy_from_slice(&i64::MAX.to_be_bytes());
        assert_eq!(PartyInfo::decode(&bytes), Err(CodecError::Short("the recipients")));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn messages_survive_a_round_trip(url in "[a-z:/.0-9]{0,20}", recipients in prop::collection::vec((any::<[u8; 32]>(), "[a-z]{0,9}"), 0..4), parties in prop::collection::vec("[a-z]{0,9}", 0..4)) {
            let info = PartyInfo { url, recipients, parties };
            prop_assert_eq!(PartyInfo::decode(&info.encode()), Ok(info));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = PartyInfo::decode(&bytes);
        }
    }
}
