//! Ids of privacy groups. Text form is standard base64 with padding (44 characters).
//!
//! Derivations are those of the protocol specification, section 13, and of the enclave
//! specification, 3.5, in correct RLP (Tessera's own differs from 8 members on).

use alloc::{collections::BinaryHeap, string::String, vec::Vec};
use core::{fmt, str::FromStr};

use alloy_primitives::{B256, keccak256};
use alloy_rlp::Encodable;

use crate::{EnclaveKey, base64, rlp::list_of};

/// The id of a privacy group: any 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupId(pub B256);

/// The text or bytes are no group id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidGroupId {
    /// Not 32 bytes.
    #[error("a privacy group id has 32 bytes, not {0}")]
    Length(usize),
    /// The text is not standard base64 with padding.
    #[error("a privacy group id is written in standard base64 with padding")]
    Base64,
}

impl GroupId {
    /// The id of the legacy (EEA) group of these members: `privateFor` and `privateFrom`, in any
    /// order, repeated or not.
    pub fn legacy<'a>(members: impl IntoIterator<Item = &'a EnclaveKey>) -> Self {
        Self::derive(members, None)
    }

    /// The id that an enclave gives to an off-chain group (`PANTHEON`) of these members. Tessera
    /// draws a seed of 20 bytes.
    pub fn off_chain<'a>(members: impl IntoIterator<Item = &'a EnclaveKey>, seed: &[u8]) -> Self {
        Self::derive(members, Some(seed))
    }

    /// The id of a new flexible group: the caller's 32 random bytes as they are.
    pub const fn random(entropy: [u8; 32]) -> Self {
        Self(B256::new(entropy))
    }

    fn derive<'a>(members: impl IntoIterator<Item = &'a EnclaveKey>, seed: Option<&[u8]>) -> Self {
        let members: Vec<&EnclaveKey> = members.into_iter().collect();
        let place = |(place, key): (usize, &&'a EnclaveKey)| {
            let bytes = key.as_slice();
            (java_hash(bytes), bytes, place)
        };
        // Clients choose the keys, also many of equal hash, so equal ones are found by sorting: the
        // first of each stays.
        // By a heap, because in a web page it is a kilobyte smaller than the other sorts.
        let places: BinaryHeap<(i32, &[u8], usize)> =
            members.iter().enumerate().map(place).collect();
        let mut places = places.into_sorted_vec();
        places.dedup_by_key(|(_, key, _)| *key);
        // Then by hash alone. Keys of equal hash keep the order of the input, as in Java.
        for (_, key, _) in &mut places {
            *key = &[];
        }
        let places = BinaryHeap::from(places).into_sorted_vec();
        let mut items = Vec::new();
        for key in places.into_iter().filter_map(|(_, _, place)| members.get(place)) {
            key.as_slice().encode(&mut items);
        }
        if let Some(seed) = seed {
            seed.encode(&mut items);
        }
        Self(keccak256(list_of(&items)))
    }

    /// Reads an id of exactly 32 bytes.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, InvalidGroupId> {
        B256::try_from(bytes).map(Self).map_err(|_| InvalidGroupId::Length(bytes.len()))
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

impl FromStr for GroupId {
    type Err = InvalidGroupId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = base64::decode(text).ok_or(InvalidGroupId::Base64)?;
        Self::from_slice(&bytes)
    }
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_base64())
    }
}

impl fmt::Debug for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GroupId({})", self.to_base64())
    }
}

/// Java's `Arrays.hashCode(byte[])`: bytes are signed, the sum wraps, and the result is compared
/// as a signed number.
fn java_hash(bytes: &[u8]) -> i32 {
    bytes.iter().fold(1i32, |hash, byte| {
        hash.wrapping_mul(31).wrapping_add(i32::from(i8::from_ne_bytes([*byte])))
    })
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::strategies;

    #[test]
    fn the_hash_is_javas() {
        for (bytes, want) in [
            ([].as_slice(), 1),
            (&[0], 31),
            (&[255], 30),
            (&[128], -97),
            (&[1, 2, 3], 30_817),
            // "Hello, World!" and 32 highest bytes, which wrap.
            (b"Hello, World!", 993_231_284),
            (&[127; 32], -547_325_439),
        ] {
            assert_eq!(java_hash(bytes), want);
        }
    }

    #[test]
    fn keys_of_equal_hash_stay_in_order() {
        // 31 * 1 + 0 == 31 * 0 + 31: the last two bytes make equal hashes.
        let key = |a: u8, b: u8| {
            let mut key = [0; 32];
            key[30] = a;
            key[31] = b;
            EnclaveKey::Nacl(key)
        };
        let (first, second) = (key(1, 0), key(0, 31));
        assert_eq!(java_hash(first.as_slice()), java_hash(second.as_slice()));
        assert_ne!(GroupId::legacy([&first, &second]), GroupId::legacy([&second, &first]));
        // The first place of each counts.
        let repeated = [&second, &first, &second, &second];
        assert_eq!(GroupId::legacy(repeated), GroupId::legacy([&second, &first]));
    }

    #[test]
    fn repeated_keys_are_found_among_many_of_equal_hash() {
        // Each pair of bytes is one of two that add the same to the hash: 2^14 keys of one hash.
        let key = |number: u32| {
            let mut key = [0; 32];
            for (bit, pair) in key.chunks_exact_mut(2).take(14).enumerate() {
                pair.copy_from_slice(if number >> bit & 1 == 0 { &[1, 0] } else { &[0, 31] });
            }
            EnclaveKey::Nacl(key)
        };
        let keys: Vec<EnclaveKey> = (0..1 << 14).map(key).collect();
        let hash = java_hash(keys[0].as_slice());
        assert!(keys.iter().all(|key| java_hash(key.as_slice()) == hash));
        let twice = || keys.iter().chain(keys.iter().rev());
        assert_eq!(GroupId::legacy(twice()), GroupId::legacy(&keys));
    }

    proptest! {
        #![proptest_config(strategies::config(64))]

        #[test]
        fn order_and_repetition_do_not_matter(
            mut keys in vec(strategies::enclave_key(), 1..6),
            seed in vec(any::<u8>(), 0..25),
        ) {
            let legacy = GroupId::legacy(&keys);
            let off_chain = GroupId::off_chain(&keys, &seed);
            keys.push(keys[0].clone());
            keys.reverse();
            prop_assert_eq!(GroupId::legacy(&keys), legacy);
            prop_assert_eq!(GroupId::off_chain(&keys, &seed), off_chain);
            prop_assert_ne!(legacy, off_chain);
        }

        #[test]
        fn texts_are_read_back(id in strategies::hash(), key in strategies::enclave_key(), text in ".{0,50}") {
            let id = GroupId(id);
            prop_assert_eq!(id.to_base64().parse(), Ok(id));
            prop_assert_eq!(key.to_base64().parse(), Ok(key));
            if let Ok(id) = text.parse::<GroupId>() {
                prop_assert_eq!(id.to_base64(), text);
            }
        }
    }
}
