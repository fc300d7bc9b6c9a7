//! Management calls, answers and events.

use alloy_primitives::{Address, B256, U256, hex};
use alloy_sol_types::SolEvent;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use coterie_core::{
    EnclaveKey,
    management::{
        ManagementCall, ManagementCallError, abi, besu, decode_members, decode_members32,
        encode_members,
    },
};

use super::{
    BESU_SCENARIO, BESU_TRANSACTIONS, PROTOCOL, SDK, bytes, enclave_key, enclave_keys, hash, list,
    text,
};

#[test]
fn member_lists_of_besu_are_read() {
    let besu_vectors = &*BESU_TRANSACTIONS;
    let participants = &BESU_SCENARIO["meta"]["participants"];
    let [a, b] = [enclave_key(&participants["A"]), enclave_key(&participants["B"])];
    let [ec1, ec2] = [enclave_key(&besu_vectors["EC1"]), enclave_key(&besu_vectors["EC2"])];
    let base64 = |name: &str| STANDARD.decode(text(&besu_vectors[name])).unwrap();
    for (name, keys) in [
        ("U1", vec![a.clone(), b.clone()]),
        ("U2", vec![ec1.clone(), ec2]),
        ("U3", vec![ec1.clone()]),
    ] {
        let calldata = base64(name);
        assert_eq!(besu::parse_calldata_keys(&calldata), keys);
        let call = ManagementCall::AddParticipants(keys);
        assert_eq!(call.encode(), calldata);
        assert_eq!(ManagementCall::parse(&calldata), Ok(call));
    }
    for (output, members) in [(base64("U4"), vec![ec1]), (bytes(&besu_vectors["U6"]), vec![a, b])] {
        assert_eq!(besu::parse_members(&output), members);
        assert_eq!(decode_members(&output).as_ref(), Ok(&members));
        assert_eq!(encode_members(&members), output);
    }
    assert_eq!(besu::parse_members(&base64("U5")), vec![]);
    assert_eq!(decode_members(&base64("U5")), Ok(vec![]));

    let refused = &PROTOCOL["besuMemberAnswersRefused"];
    let other = EnclaveKey::Nacl(U256::ONE.to_be_bytes());
    assert_eq!(besu::parse_members(&bytes(&refused["zeros"])), vec![]);
    assert_eq!(besu::parse_members(&bytes(&refused["otherKey"])), vec![other]);
    assert_eq!(besu::parse_members(&bytes(&refused["countedTwo"])), vec![]);
}

#[test]
fn calldata_is_encoded_as_by_web3js_and_besus_tests() {
    let b = enclave_key(&BESU_SCENARIO["meta"]["participants"]["B"]);
    let proxy_test = "93Ky7lXwFkMc7+ckoFgUMku5bpr9tz4zhmWmk9RlNng=".parse().unwrap();
    let calldata = &PROTOCOL["calldata"];
    for (name, call) in [
        ("addB", ManagementCall::AddParticipants(vec![b.clone()])),
        ("removeB", ManagementCall::RemoveParticipant(b)),
        ("addProxyTestKey", ManagementCall::AddParticipants(vec![proxy_test])),
    ] {
        assert_eq!(hex::encode_prefixed(call.encode()), text(&calldata[name]));
    }
    let nacl = |key: EnclaveKey| B256::from(*key.as_nacl().unwrap());
    let mut checked = 0;
    for vector in list(&SDK["calldata"]["vectors"]) {
        let call = match text(&vector["fn"]) {
            "addParticipants(bytes[])" => {
                ManagementCall::AddParticipants(enclave_keys(&vector["args"]))
            }
            "addParticipants(bytes32[])" => ManagementCall::AddParticipants32(
                enclave_keys(&vector["args"]).into_iter().map(nacl).collect(),
            ),
            "removeParticipant(bytes)" => {
                ManagementCall::RemoveParticipant(enclave_key(&vector["args"][0]))
            }
            "removeParticipant(bytes32)" => {
                ManagementCall::RemoveParticipant32(nacl(enclave_key(&vector["args"][0])))
            }
            _ => continue,
        };
        assert_eq!(hex::encode_prefixed(call.encode()), text(&vector["data"]));
        assert_eq!(ManagementCall::parse(&bytes(&vector["data"])), Ok(call));
        checked += 1;
    }
    assert_eq!(checked, 12);
    let nacl_test = &SDK["calldata"]["besuFlexibleUtilTestNaCl"];
    let call = ManagementCall::AddParticipants(enclave_keys(&nacl_test["members"]));
    assert_eq!(hex::encode_prefixed(call.encode()), text(&nacl_test["data"]));
}

#[test]
fn selectors_and_topics_are_the_published_ones() {
    let selectors = &SDK["calldata"]["selectors"];
    for (name, call) in [
        ("getParticipants()", ManagementCall::Participants),
        ("lock()", ManagementCall::Lock),
        ("unlock()", ManagementCall::Unlock),
        ("canExecute()", ManagementCall::CanExecute),
        ("getVersion()", ManagementCall::Version),
        ("canUpgrade()", ManagementCall::CanUpgrade),
        ("implementation()", ManagementCall::Implementation),
    ] {
        assert_eq!(hex::encode_prefixed(call.encode()), text(&selectors[name]));
    }
    let upgrade = ManagementCall::UpgradeTo(Address::ZERO).encode();
    assert!(upgrade.starts_with(&bytes(&selectors["upgradeTo(address)"])));
    for old in ["addParticipants(bytes32,bytes32[])", "removeParticipant(bytes32,bytes32)"] {
        let parsed = ManagementCall::parse_lenient(&bytes(&selectors[old]));
        assert_eq!(parsed, Err(ManagementCallError::UnknownFunction));
    }
    let topics = &SDK["calldata"]["topics"];
    for (name, topic) in [
        ("ParticipantAdded(bool,bytes,string)", abi::IMembers::ParticipantAdded::SIGNATURE_HASH),
        (
            "ParticipantAdded(bool,bytes32,string)",
            abi::IMembers32::ParticipantAdded::SIGNATURE_HASH,
        ),
        ("ParticipantRemoved(bytes)", abi::IMembers::ParticipantRemoved::SIGNATURE_HASH),
        ("ParticipantRemoved(bytes32)", abi::IMembers32::ParticipantRemoved::SIGNATURE_HASH),
    ] {
        assert_eq!(topic, hash(&topics[name]));
    }
}

#[test]
fn answers_of_both_abis_are_read() {
    for vector in list(&SDK["calldata"]["getParticipantsAnswers"]) {
        let output = bytes(&vector["output"]);
        let members = match text(&vector["abi"]) {
            "bytes[]" => decode_members(&output),
            "bytes32[]" => decode_members32(&output),
            other => panic!("{other}"),
        };
        assert_eq!(members, Ok(enclave_keys(&vector["members"])));
    }
}
