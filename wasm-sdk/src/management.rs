//! Calls, answers and events of the management contracts, and why a call was reverted.

use alloc::{string::String, vec::Vec};

use alloy_primitives::B256;
use coterie_core::{
    EnclaveKey,
    management::{
        ManagementCall, ManagementEvent, RevertReason, decode_members,
        decode_members_of_either_abi, decode_members32,
    },
};
use wasm_bindgen::prelude::wasm_bindgen;

use crate::{
    convert,
    error::{Invalid, Result},
    record::Output,
};

/// Calldata that adds members, or creates a group.
#[wasm_bindgen(js_name = addParticipantsCalldata)]
pub fn add_participants_calldata(members: &str, abi: &str) -> Result<String> {
    let members = convert::enclave_keys("members", members)?;
    Ok(calldata(&match abi {
        "bytes" => ManagementCall::AddParticipants(members),
        "bytes32" => {
            let words: Result<_> = members.iter().map(word).collect();
            ManagementCall::AddParticipants32(words?)
        }
        _ => return Err(Invalid::Abi.at("abi")),
    }))
}

/// Calldata that removes a member.
#[wasm_bindgen(js_name = removeParticipantCalldata)]
pub fn remove_participant_calldata(member: &str, abi: &str) -> Result<String> {
    let member = convert::enclave_key("member", member)?;
    Ok(calldata(&match abi {
        "bytes" => ManagementCall::RemoveParticipant(member),
        "bytes32" => ManagementCall::RemoveParticipant32(word(&member)?),
        _ => return Err(Invalid::Abi.at("abi")),
    }))
}

/// Calldata of a function without arguments, by its name in Solidity.
#[wasm_bindgen(js_name = calldata)]
pub fn plain_calldata(name: &str) -> Result<String> {
    const CALLS: &[ManagementCall] = &[
        ManagementCall::Lock,
        ManagementCall::Unlock,
        ManagementCall::Participants,
        ManagementCall::Members,
        ManagementCall::CanExecute,
        ManagementCall::Version,
        ManagementCall::Owner,
        ManagementCall::AcceptOwnership,
    ];
    let call = CALLS.iter().find(|call| call.name() == name);
    Ok(calldata(call.ok_or_else(|| Invalid::Surplus.at("the function"))?))
}

/// Calldata that offers the ownership.
#[wasm_bindgen(js_name = transferOwnershipCalldata)]
pub fn transfer_ownership_calldata(new_owner: &str) -> Result<String> {
    Ok(calldata(&ManagementCall::TransferOwnership(convert::address("newOwner", new_owner)?)))
}

/// Calldata that upgrades the management contract.
#[wasm_bindgen(js_name = upgradeToCalldata)]
pub fn upgrade_to_calldata(implementation: &str) -> Result<String> {
    Ok(calldata(&ManagementCall::UpgradeTo(convert::address("implementation", implementation)?)))
}

/// The members in an answer of `getParticipants()` or `members()`.
#[wasm_bindgen(js_name = decodeParticipants)]
pub fn decode_participants(output: &str, abi: &str) -> Result<String> {
    let output = convert::bytes("output", output)?;
    Ok(convert::list(&match abi {
        "auto" => decode_members_of_either_abi(&output)?,
        "bytes" => decode_members(&output)?,
        "bytes32" => decode_members32(&output)?,
        _ => return Err(Invalid::Abi.at("abi")),
    }))
}

/// What a call to the management contract says, as the contract would read it: name, kind of the
/// argument, argument.
#[wasm_bindgen(js_name = decodeManagementCall)]
pub fn decode_management_call(data: &str) -> Result<String> {
    let call = ManagementCall::parse_lenient(&convert::bytes("data", data)?)?;
    let mut out = Output::default();
    out.line(call.name());
    if let Some((kind, argument)) = argument(call) {
        out.line(kind);
        out.line(&argument);
    }
    Ok(out.into_text())
}

/// What a log of the management contract says: name, then the fields; empty for any other log.
#[wasm_bindgen(js_name = decodeManagementEvent)]
pub fn decode_management_event(topics: &str, data: &str) -> Result<String> {
    let topics: Result<Vec<B256>> =
        convert::elements(topics).map(|topic| convert::hash("topics", topic)).collect();
    let event = ManagementEvent::decode(&topics?, &convert::bytes("data", data)?)?;
    Ok(event.map_or_else(String::new, |event| event_record(&event)))
}

/// Why a call was reverted: kind, code, reason; empty when the output is no error of Solidity's
/// own.
#[wasm_bindgen(js_name = decodeRevert)]
pub fn decode_revert(output: &str) -> Result<String> {
    let mut out = Output::default();
    match RevertReason::decode(&convert::bytes("output", output)?) {
        Some(RevertReason::Error(reason)) => {
            out.line("error");
            out.line("");
            out.line(&reason);
        }
        Some(RevertReason::Panic { code, reason }) => {
            out.line("panic");
            out.line(&convert::quantity(code));
            out.line(&reason);
        }
        None => {}
    }
    Ok(out.into_text())
}

fn word(key: &EnclaveKey) -> Result<B256> {
    key.as_nacl().map(B256::from).ok_or_else(|| Invalid::NotAWord.at("the enclave key"))
}

fn calldata(call: &ManagementCall) -> String {
    convert::hex(&call.encode())
}

fn argument(call: ManagementCall) -> Option<(&'static str, String)> {
    if let ManagementCall::RemoveParticipant(member) = call {
        Some(("member", member.to_base64()))
    } else if let ManagementCall::RemoveParticipant32(word) = call {
        Some(("member", EnclaveKey::Nacl(word.0).to_base64()))
    } else if let ManagementCall::TransferOwnership(address) | ManagementCall::UpgradeTo(address) =
        call
    {
        Some(("address", convert::checksummed(&address)))
    } else {
        call.into_added_keys().map(|keys| ("members", convert::list(&keys)))
    }
}

fn event_record(event: &ManagementEvent) -> String {
    let mut out = Output::default();
    out.line(event.name());
    match event {
        ManagementEvent::ParticipantAdded { success, member, message } => {
            out.line(&member.to_base64());
            out.line(if *success { "1" } else { "0" });
            out.line(message);
        }
        ManagementEvent::ParticipantRemoved { member } => out.line(&member.to_base64()),
        ManagementEvent::OwnershipTransferStarted { previous_owner, new_owner }
        | ManagementEvent::OwnershipTransferred { previous_owner, new_owner } => {
            out.line(&convert::checksummed(previous_owner));
            out.line(&convert::checksummed(new_owner));
        }
        ManagementEvent::Upgraded { implementation } => {
            out.line(&convert::checksummed(implementation));
        }
        _ => {}
    }
    out.into_text()
}
