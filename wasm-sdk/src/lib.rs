//! Bindings of `coterie-core` for JavaScript: convert, call the core, convert back. No logic, no
//! I/O, no classes.
//!
//! Values cross in their JSON-RPC form: `0x…` for bytes and numbers, base64 for enclave keys and
//! group ids. Failures are thrown as JavaScript errors with a `name` and a stable `code`.

mod convert;
mod error;

use coterie_core::{
    AccountKey, EnclaveKey, GroupId, SignedPrivateTransaction, management::ManagementCall,
};
use js_sys::Object;
use wasm_bindgen::prelude::wasm_bindgen;
use zeroize::Zeroizing;

use error::{InvalidArgument, Result};

/// The id of the legacy (EEA) group of these members, in any order.
#[wasm_bindgen(js_name = "legacyGroupId")]
pub fn legacy_group_id(members: Vec<String>) -> Result<String> {
    Ok(GroupId::legacy(&convert::enclave_keys(&members)?).to_base64())
}

/// An id for a new flexible group, from the platform's random numbers.
#[wasm_bindgen(js_name = "randomGroupId")]
pub fn random_group_id() -> Result<String> {
    let mut entropy = [0; 32];
    getrandom::fill(&mut entropy).map_err(|_| InvalidArgument::NoEntropy)?;
    Ok(GroupId::random(entropy).to_base64())
}

/// The address of the contract that a private transaction creates.
#[wasm_bindgen(js_name = "contractAddress")]
pub fn contract_address(sender: &str, nonce: &str, group: &str) -> Result<String> {
    let sender = convert::address("sender", sender)?;
    let address = coterie_core::contract_address(
        sender,
        convert::number("nonce", nonce)?,
        convert::group_id("group", group)?,
    );
    Ok(address.to_checksum(None))
}

/// Signs a private transaction and returns its RLP. The key's copy in this memory is zeroised.
#[wasm_bindgen(js_name = "signPrivateTransaction")]
pub fn sign_private_transaction(transaction: &Object, private_key: Vec<u8>) -> Result<String> {
    let private_key = Zeroizing::new(private_key);
    let key = AccountKey::from_slice(&private_key).map_err(|_| InvalidArgument::PrivateKey)?;
    let signed = convert::transaction(transaction)?.sign(&key)?;
    Ok(convert::hex(&signed.encode()))
}

/// The account that signed a private transaction.
#[wasm_bindgen(js_name = "recoverSigner")]
pub fn recover_signer(raw: &str) -> Result<String> {
    let signed = SignedPrivateTransaction::decode(&convert::bytes("raw", raw)?)?;
    Ok(signed.recover_signer()?.to_checksum(None))
}

/// Calldata that adds members, or creates a group.
#[wasm_bindgen(js_name = "addParticipantsCalldata")]
pub fn add_participants_calldata(members: Vec<String>) -> Result<String> {
    let call = ManagementCall::AddParticipants(convert::enclave_keys(&members)?);
    Ok(convert::hex(&call.encode()))
}

/// Calldata that removes a member.
#[wasm_bindgen(js_name = "removeParticipantCalldata")]
pub fn remove_participant_calldata(member: &str) -> Result<String> {
    let member: EnclaveKey = convert::enclave_key("member", member)?;
    Ok(convert::hex(&ManagementCall::RemoveParticipant(member).encode()))
}

/// Calldata that locks a group, so that members can be added.
#[wasm_bindgen(js_name = "lockCalldata")]
pub fn lock_calldata() -> String {
    convert::hex(&ManagementCall::Lock.encode())
}

/// Calldata that unlocks a group.
#[wasm_bindgen(js_name = "unlockCalldata")]
pub fn unlock_calldata() -> String {
    convert::hex(&ManagementCall::Unlock.encode())
}
