//! Calls, answers and events of the management contracts, and why a call was reverted.

use alloy_primitives::B256;
use coterie_core::{
    EnclaveKey,
    management::{
        ManagementCall, ManagementEvent, RevertReason, decode_members,
        decode_members_of_either_abi, decode_members32,
    },
};
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};

use crate::{
    convert,
    error::{Invalid, Result},
    record::{self, Output},
};

/// Calldata that adds members, or creates a group.
#[wasm_bindgen(js_name = addParticipantsCalldata)]
pub fn add_participants_calldata(members: &JsValue, abi: &JsValue) -> Result<String> {
    let members = convert::enclave_keys("members", members)?;
    Ok(calldata(&match member_abi(abi)? {
        MemberAbi::Bytes => ManagementCall::AddParticipants(members),
        MemberAbi::Bytes32 => {
            let words: Result<_> = members.iter().map(word).collect();
            ManagementCall::AddParticipants32(words?)
        }
    }))
}

/// Calldata that removes a member.
#[wasm_bindgen(js_name = removeParticipantCalldata)]
pub fn remove_participant_calldata(member: &JsValue, abi: &JsValue) -> Result<String> {
    let member = convert::enclave_key("member", member)?;
    Ok(calldata(&match member_abi(abi)? {
        MemberAbi::Bytes => ManagementCall::RemoveParticipant(member),
        MemberAbi::Bytes32 => ManagementCall::RemoveParticipant32(word(&member)?),
    }))
}

/// Calldata that locks a group, so that members can be added.
#[wasm_bindgen(js_name = lockCalldata)]
pub fn lock_calldata() -> String {
    calldata(&ManagementCall::Lock)
}

/// Calldata that unlocks a group.
#[wasm_bindgen(js_name = unlockCalldata)]
pub fn unlock_calldata() -> String {
    calldata(&ManagementCall::Unlock)
}

/// Calldata that asks for the members.
#[wasm_bindgen(js_name = participantsCalldata)]
pub fn participants_calldata() -> String {
    calldata(&ManagementCall::Participants)
}

/// Calldata that asks whether the group is unlocked.
#[wasm_bindgen(js_name = canExecuteCalldata)]
pub fn can_execute_calldata() -> String {
    calldata(&ManagementCall::CanExecute)
}

/// Calldata that asks for the version.
#[wasm_bindgen(js_name = versionCalldata)]
pub fn version_calldata() -> String {
    calldata(&ManagementCall::Version)
}

/// Calldata that asks for the owner.
#[wasm_bindgen(js_name = ownerCalldata)]
pub fn owner_calldata() -> String {
    calldata(&ManagementCall::Owner)
}

/// Calldata by which a new owner accepts.
#[wasm_bindgen(js_name = acceptOwnershipCalldata)]
pub fn accept_ownership_calldata() -> String {
    calldata(&ManagementCall::AcceptOwnership)
}

/// Calldata that offers the ownership.
#[wasm_bindgen(js_name = transferOwnershipCalldata)]
pub fn transfer_ownership_calldata(new_owner: &JsValue) -> Result<String> {
    Ok(calldata(&ManagementCall::TransferOwnership(convert::address("newOwner", new_owner)?)))
}

/// Calldata that upgrades the management contract.
#[wasm_bindgen(js_name = upgradeToCalldata)]
pub fn upgrade_to_calldata(implementation: &JsValue) -> Result<String> {
    Ok(calldata(&ManagementCall::UpgradeTo(convert::address("implementation", implementation)?)))
}

/// The members in an answer of `getParticipants()` or `members()`.
#[wasm_bindgen(js_name = decodeParticipants)]
pub fn decode_participants(output: &JsValue, abi: &JsValue) -> Result<JsValue> {
    let output = convert::bytes("output", output)?;
    let members = if convert::text("abi", abi)? == "auto" {
        decode_members_of_either_abi(&output)?
    } else {
        match member_abi(abi)? {
            MemberAbi::Bytes => decode_members(&output)?,
            MemberAbi::Bytes32 => decode_members32(&output)?,
        }
    };
    Ok(record::keys_to_array(&members))
}

/// What a call to the management contract says, as the contract would read it.
#[wasm_bindgen(js_name = decodeManagementCall)]
pub fn decode_management_call(data: &JsValue) -> Result<JsValue> {
    Ok(call_to_object(&ManagementCall::parse_lenient(&convert::bytes("data", data)?)?))
}

/// What a log of the management contract says; undefined for any other log.
#[wasm_bindgen(js_name = decodeManagementEvent)]
pub fn decode_management_event(topics: &JsValue, data: &JsValue) -> Result<JsValue> {
    let topics = convert::hashes("topics", topics)?;
    let event = ManagementEvent::decode(&topics, &convert::bytes("data", data)?)?;
    Ok(event.map_or(JsValue::UNDEFINED, |event| event_to_object(&event)))
}

/// Why a call was reverted; undefined when the output is no error of Solidity's own.
#[wasm_bindgen(js_name = decodeRevert)]
pub fn decode_revert(output: &JsValue) -> Result<JsValue> {
    let Some(reason) = RevertReason::decode(&convert::bytes("output", output)?) else {
        return Ok(JsValue::UNDEFINED);
    };
    let mut out = Output::new();
    match reason {
        RevertReason::Error(reason) => {
            out.text("kind", "error");
            out.text("reason", &reason);
        }
        RevertReason::Panic { code, reason } => {
            out.text("kind", "panic");
            out.text("code", &convert::quantity(code));
            out.text("reason", &reason);
        }
    }
    Ok(out.into_js())
}

/// How a contract takes member keys.
#[derive(Clone, Copy, Debug)]
enum MemberAbi {
    Bytes,
    Bytes32,
}

fn member_abi(value: &JsValue) -> Result<MemberAbi> {
    match convert::text("abi", value)?.as_str() {
        "bytes" => Ok(MemberAbi::Bytes),
        "bytes32" => Ok(MemberAbi::Bytes32),
        _ => Err(Invalid::Abi.at("abi")),
    }
}

fn word(key: &EnclaveKey) -> Result<B256> {
    key.as_nacl().map(B256::from).ok_or_else(|| Invalid::NotAWord.at("the enclave key"))
}

fn calldata(call: &ManagementCall) -> String {
    convert::hex(&call.encode())
}

fn call_to_object(call: &ManagementCall) -> JsValue {
    let mut out = Output::new();
    out.text("name", call.name());
    match call {
        ManagementCall::AddParticipants(members) => {
            out.set("members", &record::keys_to_array(members));
        }
        ManagementCall::AddParticipants32(words) => {
            let members: Vec<_> = words.iter().map(|word| EnclaveKey::Nacl(word.0)).collect();
            out.set("members", &record::keys_to_array(&members));
        }
        ManagementCall::RemoveParticipant(member) => out.text("member", &member.to_base64()),
        ManagementCall::RemoveParticipant32(word) => {
            out.text("member", &EnclaveKey::Nacl(word.0).to_base64());
        }
        ManagementCall::TransferOwnership(address) | ManagementCall::UpgradeTo(address) => {
            out.text("address", &convert::checksummed(address));
        }
        _ => {}
    }
    out.into_js()
}

fn event_to_object(event: &ManagementEvent) -> JsValue {
    let mut out = Output::new();
    out.text("name", event.name());
    match event {
        ManagementEvent::ParticipantAdded { success, member, message } => {
            out.set("success", &(*success).into());
            out.text("member", &member.to_base64());
            out.text("message", message);
        }
        ManagementEvent::ParticipantRemoved { member } => out.text("member", &member.to_base64()),
        ManagementEvent::OwnershipTransferStarted { previous_owner, new_owner }
        | ManagementEvent::OwnershipTransferred { previous_owner, new_owner } => {
            out.text("previousOwner", &convert::checksummed(previous_owner));
            out.text("newOwner", &convert::checksummed(new_owner));
        }
        ManagementEvent::Upgraded { implementation } => {
            out.text("implementation", &convert::checksummed(implementation));
        }
        _ => {}
    }
    out.into_js()
}
