//! JSON-RPC forms to the core's types and back.

use alloy_primitives::{Address, Bytes, TxKind, U256, hex as codec};
use coterie_core::{EnclaveKey, GroupId, PrivateTransaction, Recipients, Restriction};
use js_sys::{Array, Object, Reflect};
use wasm_bindgen::{JsCast, JsValue};

use crate::error::{InvalidArgument, Result};

pub(crate) fn hex(bytes: &[u8]) -> String {
    codec::encode_prefixed(bytes)
}

pub(crate) fn bytes(name: &'static str, text: &str) -> Result<Vec<u8>> {
    let digits = text.strip_prefix("0x").ok_or(InvalidArgument::Hex(name))?;
    Ok(codec::decode(digits).map_err(|_| InvalidArgument::Hex(name))?)
}

/// A JSON-RPC quantity that fits `T`.
pub(crate) fn number<T: TryFrom<U256>>(name: &'static str, text: &str) -> Result<T> {
    let invalid = InvalidArgument::Number(name);
    let Some(digits) = text.strip_prefix("0x") else { return Err(invalid.into()) };
    let canonical = digits == "0" || !digits.is_empty() && !digits.starts_with('0');
    if !canonical || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(invalid.into());
    }
    let number = U256::from_str_radix(digits, 16).ok().and_then(|number| T::try_from(number).ok());
    Ok(number.ok_or(invalid)?)
}

pub(crate) fn address(name: &'static str, text: &str) -> Result<Address> {
    let bytes = bytes(name, text)?;
    Ok(Address::try_from(bytes.as_slice()).map_err(|_| InvalidArgument::Address(name))?)
}

pub(crate) fn enclave_key(name: &'static str, text: &str) -> Result<EnclaveKey> {
    Ok(text.parse().map_err(|_| InvalidArgument::EnclaveKey(name))?)
}

pub(crate) fn enclave_keys(texts: &[String]) -> Result<Vec<EnclaveKey>> {
    texts.iter().map(|text| enclave_key("member", text)).collect()
}

pub(crate) fn group_id(name: &'static str, text: &str) -> Result<GroupId> {
    Ok(text.parse().map_err(|_| InvalidArgument::GroupId(name))?)
}

/// Reads `{nonce, gasPrice?, gasLimit, to?, value?, data?, chainId?, privateFrom, privacyGroupId |
/// privateFor, restriction?}`.
pub(crate) fn transaction(object: &Object) -> Result<PrivateTransaction> {
    let field = |name| optional(object, name);
    Ok(PrivateTransaction {
        nonce: number("nonce", &required(object, "nonce")?)?,
        gas_price: number("gasPrice", &field("gasPrice")?.unwrap_or_else(|| "0x0".into()))?,
        gas_limit: number("gasLimit", &required(object, "gasLimit")?)?,
        to: match field("to")? {
            Some(to) => TxKind::Call(address("to", &to)?),
            None => TxKind::Create,
        },
        value: number("value", &field("value")?.unwrap_or_else(|| "0x0".into()))?,
        input: Bytes::from(bytes("data", &field("data")?.unwrap_or_else(|| "0x".into()))?),
        chain_id: field("chainId")?.map(|id| number("chainId", &id)).transpose()?,
        private_from: enclave_key("privateFrom", &required(object, "privateFrom")?)?,
        recipients: recipients(object)?,
        restriction: match field("restriction")?.as_deref() {
            None | Some("restricted") => Restriction::Restricted,
            Some("unrestricted") => Restriction::Unrestricted,
            Some(_) => return Err(InvalidArgument::Restriction.into()),
        },
    })
}

fn recipients(object: &Object) -> Result<Recipients> {
    let private_for = property(object, "privateFor");
    match (optional(object, "privacyGroupId")?, private_for) {
        (Some(id), None) => Ok(Recipients::Group(group_id("privacyGroupId", &id)?)),
        (None, Some(keys)) => {
            let keys = keys.dyn_into::<Array>().map_err(|_| InvalidArgument::Recipients)?;
            let keys = keys.iter().map(|key| {
                let text = key.as_string().ok_or(InvalidArgument::NotAString("privateFor"))?;
                enclave_key("privateFor", &text)
            });
            Ok(Recipients::Members(keys.collect::<Result<_>>()?))
        }
        (Some(_), Some(_)) | (None, None) => Err(InvalidArgument::Recipients.into()),
    }
}

fn required(object: &Object, name: &'static str) -> Result<String> {
    Ok(optional(object, name)?.ok_or(InvalidArgument::Missing(name))?)
}

fn optional(object: &Object, name: &'static str) -> Result<Option<String>> {
    let Some(value) = property(object, name) else { return Ok(None) };
    Ok(Some(value.as_string().ok_or(InvalidArgument::NotAString(name))?))
}

/// A property that is there and neither undefined nor null.
fn property(object: &Object, name: &str) -> Option<JsValue> {
    let value = Reflect::get(object, &name.into()).ok()?;
    (!value.is_undefined() && !value.is_null()).then_some(value)
}
