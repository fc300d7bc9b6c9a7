//! Standard base64 with padding (RFC 4648, 4), the text form of keys and ids. Strict: one text for
//! each sequence of bytes. A quarter of the size of the general crate, which matters in a web page;
//! long payloads are the business of [`wire`](crate::wire), which uses that crate.

use alloc::{string::String, vec::Vec};

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const PAD: u8 = b'=';

/// The text of these bytes.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let digit = |bits: u32| ALPHABET.get((bits & 63) as usize).copied().map_or('=', char::from);
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - group.len()));
        for place in 0..4 {
            // n bytes fill n + 1 digits.
            text.push(if place <= group.len() { digit(bits >> (18 - 6 * place)) } else { '=' });
        }
    }
    text
}

/// The bytes of a text that [`encode`] could have made; `None` for any other.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let (groups, []) = text.as_bytes().as_chunks::<4>() else { return None };
    let mut bytes = Vec::with_capacity(groups.len() * 3);
    for (index, group) in groups.iter().enumerate() {
        let digits = match group {
            [_, _, PAD, PAD] => 2,
            [_, _, _, PAD] => 3,
            _ => 4,
        };
        if digits < 4 && index + 1 < groups.len() {
            return None;
        }
        let mut bits = 0;
        for digit in group.iter().take(digits) {
            bits = bits << 6 | value(*digit)?;
        }
        let bits: u32 = bits << (6 * (4 - digits));
        let [_, decoded @ ..] = bits.to_be_bytes();
        let (kept, cut) = decoded.split_at_checked(digits - 1)?;
        // Bits that belong to no byte are zero, or there were two texts for the same bytes.
        if cut.iter().any(|byte| *byte != 0) {
            return None;
        }
        bytes.extend_from_slice(kept);
    }
    Some(bytes)
}

fn value(digit: u8) -> Option<u32> {
    let value = match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[test]
    fn there_is_one_text_for_the_same_bytes() {
        for wrong in [
            "A", "AA", "AAA", "AA=", "A===", "====", "AB==", "AAB=", "AA==AAAA", "AA==\n", "-_AA",
            "é==",
        ] {
            assert_eq!(decode(wrong), None, "{wrong}");
        }
        assert_eq!(decode(""), Some(alloc::vec![]));
    }

    proptest! {
        #![proptest_config(crate::strategies::config(512))]

        #[test]
        fn texts_are_those_of_the_general_crate(bytes in vec(any::<u8>(), 0..100)) {
            prop_assert_eq!(encode(&bytes), STANDARD.encode(&bytes));
            prop_assert_eq!(decode(&encode(&bytes)), Some(bytes));
        }

        #[test]
        fn what_is_read_is_what_the_general_crate_reads(text in "[A-Da-d0-9+/=\\-]{0,9}|.{0,9}|[A-Za-z0-9+/]{42,44}=?") {
            prop_assert_eq!(decode(&text), STANDARD.decode(&text).ok());
        }
    }
}
