//! Text in its JSON-RPC form to the core's types, and back.

use alloc::{string::String, vec::Vec};

use alloy_primitives::{Address, B256, U256, hex as codec};
use coterie_core::{AccountKey, EnclaveKey, GroupId};
use zeroize::{Zeroize, Zeroizing};

use crate::error::{Invalid, Result};

pub(crate) fn hex(bytes: &[u8]) -> String {
    codec::encode_prefixed(bytes)
}

/// A JSON-RPC quantity.
pub(crate) fn quantity(number: U256) -> String {
    let digits = codec::encode(number.to_be_bytes::<32>());
    let digits = digits.trim_start_matches('0');
    let mut text = String::from("0x");
    text.push_str(if digits.is_empty() { "0" } else { digits });
    text
}

pub(crate) fn checksummed(address: &Address) -> String {
    address.to_checksum(None)
}

pub(crate) fn bytes(name: &str, text: &str) -> Result<Vec<u8>> {
    let digits = text.strip_prefix("0x").ok_or_else(|| Invalid::Hex.at(name))?;
    codec::decode(digits).map_err(|_| Invalid::Hex.at(name))
}

/// A JSON-RPC quantity of up to 256 bits.
pub(crate) fn number(name: &str, text: &str) -> Result<U256> {
    text.strip_prefix("0x")
        .filter(|digits| *digits == "0" || !digits.starts_with('0'))
        .and_then(be_number)
        .ok_or_else(|| Invalid::Number.at(name))
}

/// A JSON-RPC quantity of up to 64 bits.
pub(crate) fn short_number(name: &str, text: &str) -> Result<u64> {
    u64::try_from(number(name, text)?).map_err(|_| Invalid::Number.at(name))
}

/// A number that other libraries pad to 32 bytes.
pub(crate) fn padded_number(name: &str, text: &str) -> Result<U256> {
    match text.strip_prefix("0x").filter(|digits| digits.len() == 64) {
        Some(digits) => be_number(digits).ok_or_else(|| Invalid::Number.at(name)),
        None => number(name, text),
    }
}

/// 1 to 64 hexadecimal digits.
fn be_number(digits: &str) -> Option<U256> {
    if digits.is_empty() || digits.len() > 64 {
        return None;
    }
    let mut padded = [b'0'; 64];
    let (_, end) = padded.split_at_mut(64_usize.checked_sub(digits.len())?);
    end.copy_from_slice(digits.as_bytes());
    let mut bytes = [0; 32];
    codec::decode_to_slice(padded, &mut bytes).ok()?;
    Some(U256::from_be_bytes(bytes))
}

pub(crate) fn address(name: &str, text: &str) -> Result<Address> {
    fixed(text).map(Address::from).ok_or_else(|| Invalid::Address.at(name))
}

pub(crate) fn hash(name: &str, text: &str) -> Result<B256> {
    fixed(text).map(B256::from).ok_or_else(|| Invalid::Hash.at(name))
}

fn fixed<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.strip_prefix("0x")?;
    let mut bytes = [0; N];
    codec::decode_to_slice(digits, &mut bytes).ok()?;
    Some(bytes)
}

pub(crate) fn enclave_key(name: &str, text: &str) -> Result<EnclaveKey> {
    text.parse().map_err(|_| Invalid::EnclaveKey.at(name))
}

pub(crate) fn group_id(name: &str, text: &str) -> Result<GroupId> {
    text.parse().map_err(|_| Invalid::GroupId.at(name))
}

/// Enclave keys, joined by commas.
pub(crate) fn enclave_keys(name: &str, list: &str) -> Result<Vec<EnclaveKey>> {
    elements(list).map(|key| enclave_key(name, key)).collect()
}

/// Enclave keys as a list, joined by commas.
pub(crate) fn list(keys: &[EnclaveKey]) -> String {
    let mut list = String::new();
    for key in keys {
        if !list.is_empty() {
            list.push(',');
        }
        list.push_str(&key.to_base64());
    }
    list
}

/// The elements of a list that is joined by commas; none of an empty one.
pub(crate) fn elements(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').filter(move |_| !list.is_empty())
}

/// Calls with the key of these bytes, and leaves nothing of it in memory: neither in this copy nor
/// on the stack, where curve arithmetic leaves numbers that it is done with.
pub(crate) fn with_private_key<T>(
    bytes: Vec<u8>,
    call: impl FnOnce(&AccountKey) -> Result<T>,
) -> Result<T> {
    let result = use_private_key(&Zeroizing::new(bytes), call);
    scrub_stack();
    result
}

#[inline(never)]
fn use_private_key<T>(bytes: &[u8], call: impl FnOnce(&AccountKey) -> Result<T>) -> Result<T> {
    let key = AccountKey::from_slice(bytes);
    call(&key.map_err(|_| Invalid::PrivateKey.at("the private key"))?)
}

/// Overwrites the stack as deep as signing reaches (less than 8 KiB; a test looks).
#[inline(never)]
fn scrub_stack() {
    let mut area = [1u64; 2048];
    area.zeroize();
    core::hint::black_box(&area);
}
