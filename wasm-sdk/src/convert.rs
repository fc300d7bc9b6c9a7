//! Whatever JavaScript passes to the core's types, and back.
//!
//! Nothing here trusts its argument: objects may have getters that throw, arrays may lie about
//! their length, strings may be longer than memory. All lengths are judged before anything is
//! copied.

use alloy_primitives::{Address, B256, Signature, U256, hex as codec};
use coterie_core::{AccountKey, EnclaveKey, GroupId, PayloadKey};
use js_sys::{Array, JsString, Uint8Array};
use wasm_bindgen::{JsCast, JsValue, prelude::wasm_bindgen};
use zeroize::Zeroizing;

use crate::error::{Invalid, Result};

/// Longest string that is copied: 8 MiB of hex, more than any node takes.
const TEXT_MAX: u32 = 16 << 20;
/// Most elements of an array that are read.
const ELEMENTS_MAX: u32 = 10_000;
/// Longest byte array that anything accepts: an enclave key of 91 bytes.
const BYTES_MAX: u32 = 91;

#[wasm_bindgen]
extern "C" {
    /// A fresh copy of bytes, of any realm. Fails for a detached buffer.
    #[wasm_bindgen(js_name = Uint8Array)]
    type Copy;
    #[wasm_bindgen(constructor, catch, js_class = Uint8Array)]
    fn new(bytes: &JsValue) -> core::result::Result<Copy, JsValue>;

    /// An array that may lie.
    #[wasm_bindgen(js_name = Array)]
    type Elements;
    #[wasm_bindgen(method, getter, structural, catch)]
    fn length(this: &Elements) -> core::result::Result<JsValue, JsValue>;
    #[wasm_bindgen(method, structural, indexing_getter, catch)]
    fn element(this: &Elements, index: u32) -> core::result::Result<JsValue, JsValue>;
}

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

/// A string that is there.
pub(crate) fn text(name: &str, value: &JsValue) -> Result<String> {
    optional_text(name, value)?.ok_or_else(|| Invalid::Missing.at(name))
}

/// A string, or nothing: neither undefined nor null.
pub(crate) fn optional_text(name: &str, value: &JsValue) -> Result<Option<String>> {
    if value.is_undefined() || value.is_null() {
        return Ok(None);
    }
    if !value.is_string() {
        return Err(Invalid::NotAString.at(name));
    }
    if value.unchecked_ref::<JsString>().length() > TEXT_MAX {
        return Err(Invalid::TooLong.at(name));
    }
    Ok(value.as_string())
}

pub(crate) fn bytes(name: &str, value: &JsValue) -> Result<Vec<u8>> {
    decode_hex(name, &text(name, value)?)
}

pub(crate) fn decode_hex(name: &str, text: &str) -> Result<Vec<u8>> {
    let digits = text.strip_prefix("0x").ok_or_else(|| Invalid::Hex.at(name))?;
    codec::decode(digits).map_err(|_| Invalid::Hex.at(name))
}

pub(crate) fn number<T: TryFrom<U256>>(name: &str, value: &JsValue) -> Result<T> {
    parse_number(name, &text(name, value)?)
}

/// A JSON-RPC quantity that fits `T`.
pub(crate) fn parse_number<T: TryFrom<U256>>(name: &str, text: &str) -> Result<T> {
    let number = text.strip_prefix("0x").and_then(|digits| {
        let canonical = digits == "0" || !digits.starts_with('0');
        canonical.then(|| be_number(digits)).flatten()
    });
    number.and_then(|number| T::try_from(number).ok()).ok_or_else(|| Invalid::Number.at(name))
}

/// Up to 64 hexadecimal digits.
fn be_number(digits: &str) -> Option<U256> {
    if digits.is_empty() || digits.len() > 64 {
        return None;
    }
    let padded = ["0".repeat(64 - digits.len()).as_str(), digits].concat();
    Some(U256::from_be_slice(&codec::decode(padded).ok()?))
}

pub(crate) fn address(name: &str, value: &JsValue) -> Result<Address> {
    parse_address(name, &text(name, value)?)
}

pub(crate) fn parse_address(name: &str, text: &str) -> Result<Address> {
    let bytes = decode_hex(name, text).map_err(|_| Invalid::Address.at(name))?;
    Address::try_from(bytes.as_slice()).map_err(|_| Invalid::Address.at(name))
}

pub(crate) fn hash(name: &str, value: &JsValue) -> Result<B256> {
    let bytes = decode_hex(name, &text(name, value)?).map_err(|_| Invalid::Hash.at(name))?;
    B256::try_from(bytes.as_slice()).map_err(|_| Invalid::Hash.at(name))
}

/// An enclave key in base64.
pub(crate) fn enclave_key(name: &str, value: &JsValue) -> Result<EnclaveKey> {
    parse_enclave_key(name, &text(name, value)?)
}

pub(crate) fn parse_enclave_key(name: &str, text: &str) -> Result<EnclaveKey> {
    text.parse().map_err(|_| Invalid::EnclaveKey.at(name))
}

pub(crate) fn parse_group_id(name: &str, text: &str) -> Result<GroupId> {
    text.parse().map_err(|_| Invalid::GroupId.at(name))
}

/// An enclave key in base64 or raw.
pub(crate) fn enclave_key_or_bytes(value: &JsValue) -> Result<EnclaveKey> {
    match raw_bytes("the enclave key", value)? {
        Some(raw) => {
            EnclaveKey::from_slice(&raw).map_err(|_| Invalid::EnclaveKey.at("the enclave key"))
        }
        None => enclave_key("the enclave key", value),
    }
}

/// A group id in base64 or raw.
pub(crate) fn group_id_or_bytes(value: &JsValue) -> Result<GroupId> {
    const NAME: &str = "the group id";
    match raw_bytes(NAME, value)? {
        Some(raw) => GroupId::from_slice(&raw).map_err(|_| Invalid::GroupId.at(NAME)),
        None => parse_group_id(NAME, &text(NAME, value)?),
    }
}

/// A payload key in base64, in hex or raw.
pub(crate) fn payload_key(value: &JsValue) -> Result<PayloadKey> {
    const NAME: &str = "the payload key";
    let invalid = || Invalid::PayloadKey.at(NAME);
    if let Some(raw) = raw_bytes(NAME, value)? {
        return PayloadKey::from_slice(&raw).map_err(|_| invalid());
    }
    let text = text(NAME, value)?;
    if text.starts_with("0x") {
        let raw = decode_hex(NAME, &text).map_err(|_| invalid())?;
        return PayloadKey::from_slice(&raw).map_err(|_| invalid());
    }
    text.parse().map_err(|_| invalid())
}

/// The keys of a list, in its order.
pub(crate) fn enclave_keys(name: &str, value: &JsValue) -> Result<Vec<EnclaveKey>> {
    list(name, value, enclave_key)
}

/// The topics of a log.
pub(crate) fn hashes(name: &str, value: &JsValue) -> Result<Vec<B256>> {
    list(name, value, hash)
}

fn list<T>(
    name: &str,
    value: &JsValue,
    element: impl Fn(&str, &JsValue) -> Result<T>,
) -> Result<Vec<T>> {
    let invalid = || Invalid::NotAnArray.at(name);
    if !Array::is_array(value) {
        return Err(invalid());
    }
    let elements: &Elements = value.unchecked_ref();
    let length = elements.length().ok().and_then(|it| it.as_f64()).ok_or_else(invalid)?;
    if length > f64::from(ELEMENTS_MAX) {
        return Err(Invalid::TooLong.at(name));
    }
    (0..ELEMENTS_MAX)
        .take_while(|index| f64::from(*index) < length)
        .map(|index| element(name, &elements.element(index).map_err(|_| invalid())?))
        .collect()
}

/// A private key. Every copy of it is zeroised; the caller's own is the caller's.
pub(crate) fn private_key(value: &JsValue) -> Result<AccountKey> {
    const NAME: &str = "the private key";
    if value.is_undefined() || value.is_null() {
        return Err(Invalid::Missing.at(NAME));
    }
    let raw = raw_bytes(NAME, value)?.ok_or_else(|| Invalid::NotBytes.at(NAME))?;
    AccountKey::from_slice(&raw).map_err(|_| Invalid::PrivateKey.at(NAME))
}

/// The bytes of a `Uint8Array`; `None` for anything that is no view of a buffer.
fn raw_bytes(name: &str, value: &JsValue) -> Result<Option<Zeroizing<Vec<u8>>>> {
    if !js_sys::ArrayBuffer::is_view(value) {
        return Ok(None);
    }
    // Not `instanceof`: the array may come from another realm (frames, test runners).
    let tag = js_sys::Reflect::get(value, &js_sys::Symbol::to_string_tag());
    if tag.ok().and_then(|tag| tag.as_string()).as_deref() != Some("Uint8Array") {
        return Err(Invalid::NotBytes.at(name));
    }
    let copy = Copy::new(value).map_err(|_| Invalid::NotBytes.at(name))?;
    let copy: &Uint8Array = copy.unchecked_ref();
    if copy.length() > BYTES_MAX {
        return Err(Invalid::TooLong.at(name));
    }
    let bytes = Zeroizing::new(copy.to_vec());
    copy.fill(0, 0, copy.length());
    Ok(Some(bytes))
}

/// `r`, `s` and the parity of y. Numbers may be padded to 32 bytes, as other libraries give them.
pub(crate) fn signature(r: &JsValue, s: &JsValue, parity: &JsValue) -> Result<Signature> {
    let part = |name, value: &JsValue| {
        let text = text(name, value)?;
        match text.strip_prefix("0x") {
            Some(digits) if digits.len() == 64 => {
                be_number(digits).ok_or_else(|| Invalid::Number.at(name))
            }
            _ => parse_number(name, &text),
        }
    };
    let odd = match parity.as_f64() {
        Some(0.0) => false,
        Some(1.0) => true,
        _ => return Err(Invalid::Parity.at("yParity")),
    };
    Ok(Signature::new(part("r", r)?, part("s", s)?, odd))
}
