//! Reads single values from ABI encoded data: what events and reverts need, at a fraction of the
//! size of general decoding, which counts in a web page. Calls and member lists, whose reading
//! decides what a transaction means, are decoded by `alloy-sol-types`.

use alloc::string::String;

use alloy_primitives::{Address, B256, U256};

const WORD: usize = 32;

/// The word at this place.
pub(super) fn word(data: &[u8], place: usize) -> Option<B256> {
    let start = place.checked_mul(WORD)?;
    data.get(start..)?.first_chunk::<WORD>().map(B256::from)
}

/// The byte string whose offset is at this place.
pub(super) fn bytes(data: &[u8], place: usize) -> Option<&[u8]> {
    let tail = data.get(size(word(data, place)?)?..)?;
    let (length, content) = tail.split_first_chunk::<WORD>()?;
    content.get(..size(B256::from(*length))?)
}

/// The text whose offset is at this place; what is no UTF-8 in it is replaced.
pub(super) fn text(data: &[u8], place: usize) -> Option<String> {
    bytes(data, place).map(|text| String::from_utf8_lossy(text).into_owned())
}

/// The address in a word, whose other bytes are zero.
pub(super) fn address(word: B256) -> Option<Address> {
    let address = Address::from_word(word);
    (address.into_word() == word).then_some(address)
}

/// 0 or 1.
pub(super) fn boolean(word: B256) -> Option<bool> {
    match U256::from_be_bytes(word.0) {
        U256::ZERO => Some(false),
        U256::ONE => Some(true),
        _ => None,
    }
}

fn size(word: B256) -> Option<usize> {
    usize::try_from(U256::from_be_bytes(word.0)).ok()
}
