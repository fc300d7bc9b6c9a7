//! The payload proper: RLP `[private transaction, group version]` and its base64 text.

use alloc::{string::String, vec::Vec};

use alloy_primitives::B256;
use alloy_rlp::{Encodable, Header};
use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::{
    rlp::{list_of, split_list},
    transaction::{DecodeError, SignedPrivateTransaction},
};

/// A private transaction with the version that the group had when it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionedPrivateTransaction {
    /// The transaction.
    pub transaction: SignedPrivateTransaction,
    /// The group's version at the sender's chain head; zero before the group's creation.
    pub version: B256,
}

/// The bytes are no versioned private transaction.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VersionedError {
    /// Not a list of exactly a list and 32 bytes in canonical RLP.
    #[error("the payload is not an RLP list of a transaction and a version: {0}")]
    Rlp(alloy_rlp::Error),
    /// Something follows the list or its two items.
    #[error("{0} bytes follow the payload")]
    TrailingBytes(usize),
    /// The text is not base64.
    #[error(transparent)]
    Text(#[from] TextError),
    /// The transaction in it is wrong.
    #[error("the private transaction in the payload cannot be decoded")]
    Transaction(#[from] DecodeError),
}

/// The text of a payload is no canonical base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the payload is not standard base64 with padding")]
pub struct TextError;

impl VersionedPrivateTransaction {
    /// RLP `[private transaction (nested list), version]`.
    pub fn encode(&self) -> Vec<u8> {
        let mut items = self.transaction.encode();
        self.version.encode(&mut items);
        list_of(&items)
    }

    /// Decodes strictly; what is accepted encodes to the same bytes. (Besu tolerates bytes after
    /// the list in block processing.)
    pub fn decode(bytes: &[u8]) -> Result<Self, VersionedError> {
        let mut rest = bytes;
        let items = &mut Header::decode_bytes(&mut rest, true).map_err(VersionedError::Rlp)?;
        if !rest.is_empty() {
            return Err(VersionedError::TrailingBytes(rest.len()));
        }
        let transaction = split_list(items).map_err(VersionedError::Rlp)?;
        let version = Header::decode_bytes(items, false).map_err(VersionedError::Rlp)?;
        let version = B256::try_from(version)
            .map_err(|_| VersionedError::Rlp(alloy_rlp::Error::UnexpectedLength))?;
        if !items.is_empty() {
            return Err(VersionedError::TrailingBytes(items.len()));
        }
        Ok(Self { transaction: SignedPrivateTransaction::decode(transaction)?, version })
    }

    /// Reads the text of a payload, as strictly as [`Self::decode`].
    ///
    /// # Errors
    ///
    /// The text is not canonical base64, or its bytes do not decode.
    pub fn from_text(text: &[u8]) -> Result<Self, VersionedError> {
        Self::decode(&from_text(text)?)
    }

    /// The text that goes into the payload: base64 of [`Self::encode`].
    pub fn to_text(&self) -> String {
        to_text(&self.encode())
    }
}

/// The text form of payload bytes: standard base64 with padding. (Tessera's client interface
/// encodes the text once more; that is the client's concern.)
pub fn to_text(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Reads the text form of payload bytes, canonical only.
///
/// # Errors
///
/// Not standard base64 with padding.
pub fn from_text(text: &[u8]) -> Result<Vec<u8>, TextError> {
    STANDARD.decode(text).map_err(|_| TextError)
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use proptest::prelude::*;

    use super::*;
    use crate::strategies;

    fn versioned() -> impl Strategy<Value = VersionedPrivateTransaction> {
        (strategies::signed(), strategies::hash())
            .prop_map(|(transaction, version)| VersionedPrivateTransaction { transaction, version })
    }

    #[test]
    fn text_is_canonical_base64() {
        for (text, want) in [
            (b"".as_slice(), Ok(vec![])),
            (b"AA==", Ok(vec![0])),
            (b"AA", Err(TextError)),
            (b"AB==", Err(TextError)),
            (b"AA==\n", Err(TextError)),
            (b"_w==", Err(TextError)),
            (b"\xff", Err(TextError)),
        ] {
            assert_eq!(from_text(text), want);
        }
    }

    proptest! {
        #![proptest_config(strategies::config(128))]

        #[test]
        fn what_is_encoded_is_decoded(payload in versioned()) {
            prop_assert_eq!(from_text(payload.to_text().as_bytes()), Ok(payload.encode()));
            let read = VersionedPrivateTransaction::from_text(payload.to_text().as_bytes());
            prop_assert_eq!(read.as_ref(), Ok(&payload));
            prop_assert_eq!(VersionedPrivateTransaction::decode(&payload.encode()), Ok(payload));
        }

        #[test]
        fn what_is_decoded_is_encoded(
            bytes in strategies::nearly(versioned().prop_map(|payload| payload.encode()))
        ) {
            if let Ok(payload) = VersionedPrivateTransaction::decode(&bytes) {
                prop_assert_eq!(payload.encode(), bytes);
            }
        }

        #[test]
        fn text_that_is_read_is_written(text in proptest::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(bytes) = from_text(&text) {
                prop_assert_eq!(to_text(&bytes).into_bytes(), text);
            }
        }
    }
}
