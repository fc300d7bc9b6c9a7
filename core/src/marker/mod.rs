//! Privacy marker transactions: the public transactions that order private ones.
//!
//! Their data, addresses, and the public transaction around them in the one form that a client
//! signs itself ([`MarkerTransaction`]). The node builds its own markers with the chain's fees.
//! Fixed by the protocol specification, sections 2 and 3.1.

mod transaction;

use alloc::{string::String, vec::Vec};
use core::{fmt, str::FromStr};

use alloy_primitives::{Address, B256, address};

pub use transaction::{MarkerTransaction, SignedMarkerTransaction};

use crate::{base64, definition::Rules};

/// Where markers of plugin groups are addressed to in Besu. Not followed.
pub const PLUGIN_PRIVACY: Address = address!("000000000000000000000000000000000000007a");
/// Where markers of flexible groups are addressed to.
pub const FLEXIBLE_PRIVACY: Address = address!("000000000000000000000000000000000000007d");
/// Where markers of off-chain groups are addressed to in Besu. Not followed.
pub const OFF_CHAIN_PRIVACY: Address = address!("000000000000000000000000000000000000007e");

/// The data of a marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Marker {
    /// The payload that this marker orders.
    pub payload: PayloadKey,
    /// Under `besu` rules the payload with the group's history for members being added. Without
    /// meaning under `coterie` rules.
    pub add_blob: Option<PayloadKey>,
}

/// The id of a payload in the enclaves: the hash of its ciphertext. Text form in JSON-RPC is
/// base64, in marker data the raw 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PayloadKey(pub B256);

/// The data is no marker's. Such a transaction has no private meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a marker carries 32 or 64 bytes, not {0}")]
pub struct InvalidMarker(pub usize);

/// The text or bytes are no payload key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPayloadKey {
    /// Not 32 bytes.
    #[error("a payload key has 32 bytes, not {0}")]
    Length(usize),
    /// The text is not standard base64 with padding.
    #[error("a payload key is written in standard base64 with padding")]
    Base64,
}

impl Marker {
    /// Reads the data of a transaction to [`FLEXIBLE_PRIVACY`].
    ///
    /// # Errors
    ///
    /// The length is neither 32 nor 64.
    pub fn parse(data: &[u8]) -> Result<Self, InvalidMarker> {
        let invalid = InvalidMarker(data.len());
        let Some((payload, rest)) = data.split_first_chunk::<32>() else { return Err(invalid) };
        let add_blob = match <[u8; 32]>::try_from(rest) {
            Ok(key) => Some(PayloadKey(key.into())),
            Err(_) if rest.is_empty() => None,
            Err(_) => return Err(invalid),
        };
        Ok(Self { payload: PayloadKey(payload.into()), add_blob })
    }

    /// The payload that this marker orders, if it has a meaning under `rules`: the second half of
    /// 64 bytes means nothing under `coterie` rules, so such a marker is none (design, 2).
    pub fn payload_under(&self, rules: Rules) -> Option<PayloadKey> {
        match rules {
            Rules::Besu => Some(self.payload),
            Rules::Coterie => self.add_blob.is_none().then_some(self.payload),
        }
    }

    /// The data: 32 or 64 bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut data = self.payload.0.to_vec();
        if let Some(add_blob) = &self.add_blob {
            data.extend_from_slice(add_blob.0.as_slice());
        }
        data
    }
}

impl From<PayloadKey> for Marker {
    fn from(payload: PayloadKey) -> Self {
        Self { payload, add_blob: None }
    }
}

impl PayloadKey {
    /// Reads a key of exactly 32 bytes.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, InvalidPayloadKey> {
        B256::try_from(bytes).map(Self).map_err(|_| InvalidPayloadKey::Length(bytes.len()))
    }

    /// The raw 32 bytes.
    pub fn as_slice(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// Standard base64 with padding, 44 characters.
    pub fn to_base64(&self) -> String {
        base64::encode(self.as_slice())
    }
}

impl FromStr for PayloadKey {
    type Err = InvalidPayloadKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = base64::decode(text).ok_or(InvalidPayloadKey::Base64)?;
        Self::from_slice(&bytes)
    }
}

impl fmt::Display for PayloadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_base64())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn markers_carry_one_or_two_keys() {
        for length in [0, 1, 22, 24, 31, 33, 63, 65, 96] {
            assert_eq!(Marker::parse(&alloc::vec![1; length]), Err(InvalidMarker(length)));
        }
        let one = PayloadKey(B256::repeat_byte(1));
        assert_eq!(Marker::parse(&[1; 32]), Ok(Marker::from(one)));
        assert_eq!(Marker::parse(&[1; 64]), Ok(Marker { payload: one, add_blob: Some(one) }));
    }

    #[test]
    fn a_marker_of_two_keys_has_a_meaning_under_besu_rules_only() {
        let key = PayloadKey(B256::repeat_byte(1));
        let (one, two) = (Marker::from(key), Marker { payload: key, add_blob: Some(key) });
        assert_eq!([one, two].map(|it| it.payload_under(Rules::Besu)), [Some(key), Some(key)]);
        assert_eq!([one, two].map(|it| it.payload_under(Rules::Coterie)), [Some(key), None]);
    }

    proptest! {
        #![proptest_config(crate::strategies::config(128))]

        #[test]
        fn what_is_parsed_is_encoded(data in proptest::collection::vec(any::<u8>(), 0..70)) {
            if let Ok(marker) = Marker::parse(&data) {
                prop_assert_eq!(marker.encode(), data);
            }
        }

        #[test]
        fn key_text_is_read_back(key in crate::strategies::hash(), text in ".{0,50}") {
            let key = PayloadKey(key);
            prop_assert_eq!(key.to_base64().parse(), Ok(key));
            if let Ok(key) = text.parse::<PayloadKey>() {
                prop_assert_eq!(key.to_base64(), text);
            }
        }
    }
}
