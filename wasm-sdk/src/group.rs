//! Keys and ids, and the address of a private contract.

use alloc::{string::String, vec::Vec};

use coterie_core::{EnclaveKey, GroupId, PayloadKey};
use wasm_bindgen::prelude::wasm_bindgen;

use crate::{
    convert,
    error::{Invalid, Result},
};

const KEY: &str = "the enclave key";
const ID: &str = "the group id";
const PAYLOAD: &str = "the payload key";

/// The canonical text of an enclave key.
#[wasm_bindgen(js_name = enclaveKey)]
pub fn enclave_key(text: &str) -> Result<String> {
    Ok(convert::enclave_key(KEY, text)?.to_base64())
}

/// The text of an enclave key of 32 or 91 bytes.
#[wasm_bindgen(js_name = enclaveKeyFromBytes)]
pub fn enclave_key_from_bytes(bytes: &[u8]) -> Result<String> {
    let key = EnclaveKey::from_slice(bytes).map_err(|_| Invalid::EnclaveKey.at(KEY))?;
    Ok(key.to_base64())
}

/// The bytes of an enclave key.
#[wasm_bindgen(js_name = enclaveKeyBytes)]
pub fn enclave_key_bytes(text: &str) -> Result<Vec<u8>> {
    Ok(convert::enclave_key(KEY, text)?.as_slice().to_vec())
}

/// The canonical text of a privacy group id.
#[wasm_bindgen(js_name = groupId)]
pub fn group_id(text: &str) -> Result<String> {
    Ok(convert::group_id(ID, text)?.to_base64())
}

/// The text of a privacy group id of 32 bytes.
#[wasm_bindgen(js_name = groupIdFromBytes)]
pub fn group_id_from_bytes(bytes: &[u8]) -> Result<String> {
    let id = GroupId::from_slice(bytes).map_err(|_| Invalid::GroupId.at(ID))?;
    Ok(id.to_base64())
}

/// The bytes of a privacy group id.
#[wasm_bindgen(js_name = groupIdBytes)]
pub fn group_id_bytes(text: &str) -> Result<Vec<u8>> {
    Ok(convert::group_id(ID, text)?.as_slice().to_vec())
}

/// The key of a distributed payload in base64, from base64 or hex.
#[wasm_bindgen(js_name = payloadKey)]
pub fn payload_key(text: &str) -> Result<String> {
    let key = if text.starts_with("0x") {
        convert::hash(PAYLOAD, text).ok().map(PayloadKey)
    } else {
        text.parse().ok()
    };
    Ok(key.ok_or_else(|| Invalid::PayloadKey.at(PAYLOAD))?.to_base64())
}

/// The key of a distributed payload in base64, from 32 bytes.
#[wasm_bindgen(js_name = payloadKeyFromBytes)]
pub fn payload_key_from_bytes(bytes: &[u8]) -> Result<String> {
    let key = PayloadKey::from_slice(bytes).map_err(|_| Invalid::PayloadKey.at(PAYLOAD))?;
    Ok(key.to_base64())
}

/// The id of the legacy (EEA) group of these members, in any order.
#[wasm_bindgen(js_name = legacyGroupId)]
pub fn legacy_group_id(members: &str) -> Result<String> {
    Ok(GroupId::legacy(&convert::enclave_keys("members", members)?).to_base64())
}

/// The address of the contract that a private transaction creates.
#[wasm_bindgen(js_name = contractAddress)]
pub fn contract_address(sender: &str, nonce: &str, group: &str) -> Result<String> {
    let address = coterie_core::contract_address(
        convert::address("sender", sender)?,
        convert::short_number("nonce", nonce)?,
        convert::group_id(ID, group)?,
    );
    Ok(convert::checksummed(&address))
}

/// The account of a private key.
#[wasm_bindgen(js_name = accountAddress)]
pub fn account_address(private_key: Vec<u8>) -> Result<String> {
    convert::with_private_key(private_key, |key| Ok(convert::checksummed(&key.address())))
}
