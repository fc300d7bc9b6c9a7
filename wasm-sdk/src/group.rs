//! Keys and ids, and the address of a private contract.

use coterie_core::GroupId;
use js_sys::Uint8Array;
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};

use crate::{
    convert,
    error::{Invalid, Result},
};

/// An enclave key as text, from text or 32 or 91 bytes.
#[wasm_bindgen(js_name = enclaveKey)]
pub fn enclave_key(value: &JsValue) -> Result<String> {
    Ok(convert::enclave_key_or_bytes(value)?.to_base64())
}

/// The 32 or 91 bytes of an enclave key.
#[wasm_bindgen(js_name = enclaveKeyBytes)]
pub fn enclave_key_bytes(key: &JsValue) -> Result<Uint8Array> {
    Ok(convert::enclave_key("the enclave key", key)?.as_slice().into())
}

/// A privacy group id as text, from text or 32 bytes.
#[wasm_bindgen(js_name = groupId)]
pub fn group_id(value: &JsValue) -> Result<String> {
    Ok(convert::group_id_or_bytes(value)?.to_base64())
}

/// The 32 bytes of a privacy group id.
#[wasm_bindgen(js_name = groupIdBytes)]
pub fn group_id_bytes(id: &JsValue) -> Result<Uint8Array> {
    const NAME: &str = "the group id";
    Ok(convert::parse_group_id(NAME, &convert::text(NAME, id)?)?.as_slice().into())
}

/// The key of a distributed payload in base64, from base64, hex or 32 bytes.
#[wasm_bindgen(js_name = payloadKey)]
pub fn payload_key(value: &JsValue) -> Result<String> {
    Ok(convert::payload_key(value)?.to_base64())
}

/// An id for a new flexible group, from the platform's random numbers.
#[wasm_bindgen(js_name = randomGroupId)]
pub fn random_group_id() -> Result<String> {
    let mut entropy = [0; 32];
    getrandom::fill(&mut entropy).map_err(|_| Invalid::NoEntropy.at("a group id"))?;
    Ok(GroupId::random(entropy).to_base64())
}

/// The id of the legacy (EEA) group of these members, in any order.
#[wasm_bindgen(js_name = legacyGroupId)]
pub fn legacy_group_id(members: &JsValue) -> Result<String> {
    Ok(GroupId::legacy(&convert::enclave_keys("members", members)?).to_base64())
}

/// The address of the contract that a private transaction creates.
#[wasm_bindgen(js_name = contractAddress)]
pub fn contract_address(sender: &JsValue, nonce: &JsValue, group: &JsValue) -> Result<String> {
    let address = coterie_core::contract_address(
        convert::address("sender", sender)?,
        convert::number("nonce", nonce)?,
        convert::group_id_or_bytes(group)?,
    );
    Ok(convert::checksummed(&address))
}

/// The account of a private key.
#[wasm_bindgen(js_name = accountAddress)]
pub fn account_address(private_key: &JsValue) -> Result<String> {
    Ok(convert::checksummed(&convert::private_key(private_key)?.address()))
}
