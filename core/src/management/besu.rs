//! How Besu reads member lists: no general ABI decoder (protocol specification, 5.5). Needed to
//! judge odd calldata as Besu does under `besu` rules; never used for sending.
//!
//! Where Besu runs into an exception (a count or size that fits no array index), this returns an
//! empty list: it must neither fail nor stop.

use alloc::vec::Vec;

use alloy_primitives::U256;
use alloy_sol_types::SolCall;

use super::abi::IMembers;
use crate::EnclaveKey;

const WORD: usize = 32;
const SELECTOR: usize = 4;

/// Whether Besu takes calldata for an addition of members: by the selector alone.
pub fn is_adding(calldata: &[u8]) -> bool {
    calldata.starts_with(&IMembers::addParticipantsCall::SELECTOR)
}

/// The keys in the calldata of `addParticipants(bytes[])`, selector included. Elements that are no
/// enclave key are left out: they can equal no `privateFrom`.
pub fn parse_calldata_keys(calldata: &[u8]) -> Vec<EnclaveKey> {
    calldata.get(SELECTOR..).map(parse_members).unwrap_or_default()
}

/// The members in the output of `getParticipants()`. Elements that are no enclave key are left
/// out.
pub fn parse_members(output: &[u8]) -> Vec<EnclaveKey> {
    elements(output)
        .unwrap_or_default()
        .into_iter()
        .filter_map(|key| EnclaveKey::from_slice(key).ok())
        .collect()
}

/// The elements: a count after one word, as many words that are ignored, then equally long slices
/// of a length word and padded bytes.
fn elements(list: &[u8]) -> Option<Vec<&[u8]>> {
    let (_, rest) = list.split_at_checked(WORD)?;
    let (count, rest) = word(rest)?;
    let tail = rest.get(count.checked_mul(WORD)?..)?;
    let slice = tail.len().checked_div(count)?;
    let (size, _) = word(tail)?;
    let padded = size.checked_next_multiple_of(WORD)?;
    if WORD.checked_add(padded) != Some(slice) {
        return None;
    }
    tail.chunks_exact(slice)
        .take(count)
        .map(|chunk| chunk.get(WORD..WORD.checked_add(size)?))
        .collect()
}

/// The first word as a number, if it fits Java's `int`.
fn word(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (word, rest) = bytes.split_first_chunk::<WORD>()?;
    let number = i32::try_from(U256::from_be_bytes(*word)).ok()?;
    Some((usize::try_from(number).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    fn word(number: u64) -> [u8; 32] {
        U256::from(number).to_be_bytes()
    }

    #[track_caller]
    fn check(words: &[[u8; 32]], want: &[EnclaveKey]) {
        let list = words.concat();
        assert_eq!(parse_members(&list), want);
        assert_eq!(parse_calldata_keys(&[vec![0; 4], list].concat()), want);
    }

    #[test]
    fn offsets_are_ignored() {
        let key = EnclaveKey::Nacl([1; 32]);
        check(&[word(0), word(1), word(99), word(32), [1; 32]], &[key]);
    }

    #[test]
    fn odd_lists_are_empty() {
        check(&[], &[]);
        check(&[word(32)], &[]);
        check(&[word(32), word(0)], &[]);
        // Counted two, held one.
        check(&[word(32), word(2), word(64), word(32), [1; 32]], &[]);
        // Trailing word.
        check(&[word(32), word(1), word(32), word(32), [1; 32], word(0)], &[]);
        // No int, and an int whose product overflows one.
        check(&[word(32), [0xff; 32], word(32)], &[]);
        check(&[word(32), word(1 << 31), word(32)], &[]);
        check(&[word(32), word((1 << 31) - 1), word(32)], &[]);
        // The size is no int.
        check(&[word(32), word(1), word(32), [0xff; 32], [1; 32]], &[]);
        // No enclave key.
        check(&[word(32), word(1), word(32), word(5), [1; 32]], &[]);
    }

    #[test]
    fn the_first_elements_size_holds_for_all() {
        // The second element says 31 bytes and is read as 32.
        let list = [word(0), word(2), word(0), word(0), word(32), [1; 32], word(31), [2; 32]];
        check(&list, &[EnclaveKey::Nacl([1; 32]), EnclaveKey::Nacl([2; 32])]);
    }
}
