//! Markers, and the life of a group under Besu: payloads, markers, checks, add blob.

use alloy_primitives::{Address, TxKind, hex, keccak256};
use coterie_core::{
    Marker,
    access::{GroupFacts, added_keys, check_execution, is_adding},
    contract_address,
    definition::Rules,
    marker::{FLEXIBLE_PRIVACY, InvalidMarker, OFF_CHAIN_PRIVACY},
    wire::{VersionedPrivateTransaction, decode_add_blob, encode_add_blob, from_text},
};

use super::{
    ALICE, ALICE_KEY, BESU_SCENARIO, PROTOCOL, bytes, check_public, check_signature, check_signing,
    decode, enclave_key, enclave_keys, hash, list, text,
};

#[test]
fn besus_scenario_has_the_same_bytes_at_every_step() {
    for step in list(&BESU_SCENARIO["steps"]) {
        let raw = bytes(&step["rawPrivateTx"]);
        check_signature(&raw, text(&step["sigHash"]), ALICE, &keccak256(&raw).to_string());
        check_signing(&raw, ALICE_KEY);
        let signed = decode(&raw);
        assert_eq!(signed.transaction.nonce, step["nonce"].as_u64().unwrap());
        assert_eq!(hex::encode_prefixed(&signed.transaction.input), text(&step["input"]));

        let payload = VersionedPrivateTransaction {
            transaction: signed.clone(),
            version: hash(&step["versionUsed"]),
        };
        assert_eq!(hex::encode_prefixed(payload.encode()), text(&step["versionedPayloadRlp"]));
        assert_eq!(payload.to_text(), text(&step["enclavePayloadBytesAscii"]));
        let read = from_text(text(&step["enclavePayloadBytesAscii"]).as_bytes()).unwrap();
        assert_eq!(VersionedPrivateTransaction::decode(&read), Ok(payload));

        let marker = Marker::parse(&bytes(&step["pmtData"])).unwrap();
        assert_eq!(marker.payload.0, hash(&step["enclaveKey"]));
        assert_eq!(marker.add_blob.is_some(), step["addBlobRlp"].is_string());
        let public = check_public(&bytes(&step["pmtRaw"]), hash(&step["pmtHash"]));
        assert_eq!(public.to, TxKind::Call(FLEXIBLE_PRIVACY));
        assert_eq!(public.input, marker.encode());

        if let Some(address) = step["contractAddress"].as_str() {
            let group = signed.transaction.group_id();
            let created = contract_address(ALICE.parse().unwrap(), signed.transaction.nonce, group);
            assert_eq!(created, address.parse::<Address>().unwrap());
        }
    }
}

#[test]
fn besus_scenario_passes_the_access_checks() {
    let participants = &BESU_SCENARIO["meta"]["participants"];
    let [a, b, c] = ["A", "B", "C"].map(|name| enclave_key(&participants[name]));
    let ab = vec![a.clone(), b.clone()];
    let before = [
        (true, vec![], Some(ab.clone())),
        (false, ab.clone(), None),
        (false, ab.clone(), None),
        (false, ab.clone(), None),
        (true, ab, Some(vec![c.clone()])),
        (false, vec![a, b, c], None),
    ];
    let steps = list(&BESU_SCENARIO["steps"]);
    assert_eq!(steps.len(), before.len());
    for (step, (locked, members, adds)) in steps.iter().zip(before) {
        let signed = decode(&bytes(&step["rawPrivateTx"]));
        let version = hash(&step["versionUsed"]);
        let group = GroupFacts { locked, version, members, owner: None };
        for rules in [Rules::Besu, Rules::Coterie] {
            assert_eq!(check_execution(rules, &group, &signed, version), Ok(()));
            assert_eq!(is_adding(rules, &signed.transaction), adds.is_some());
            assert_eq!(added_keys(rules, &signed.transaction), adds.clone().unwrap_or_default());
        }
    }
}

#[test]
fn the_add_blob_of_besus_scenario_holds_the_history() {
    let steps = list(&BESU_SCENARIO["steps"]);
    let add = &steps[4];
    let blob = bytes(&add["addBlobRlp"]);
    assert_eq!(blob.len(), 1747);
    assert_eq!(keccak256(&blob), hash(&add["addBlobKeccak"]));
    let entries = decode_add_blob(&blob).unwrap();
    assert_eq!(entries.len(), 4);
    for (entry, step) in entries.iter().zip(steps) {
        assert_eq!(hex::encode_prefixed(entry.transaction.encode()), text(&step["rawPrivateTx"]));
        assert_eq!(entry.marker_hash, hash(&step["pmtHash"]));
        assert_eq!(entry.state_root, hash(&step["stateRoot"]));
    }
    assert_eq!(encode_add_blob(&entries), blob);
}

#[test]
fn ec_members_and_a_missing_chain_id_are_read() {
    let create = &BESU_SCENARIO["ecCreate"];
    let raw = bytes(&create["rawPrivateTx"]);
    check_signature(&raw, text(&create["sigHash"]), ALICE, &keccak256(&raw).to_string());
    let keys = enclave_keys(&create["participants"]);
    for rules in [Rules::Besu, Rules::Coterie] {
        assert_eq!(added_keys(rules, &decode(&raw).transaction), keys);
    }

    let without = &BESU_SCENARIO["noChainIdTx"];
    let raw = bytes(&without["rawPrivateTx"]);
    check_signature(&raw, text(&without["sigHash"]), ALICE, &keccak256(&raw).to_string());
    check_signing(&raw, ALICE_KEY);
    assert_eq!(decode(&raw).transaction.chain_id, None);
}

#[test]
fn markers_of_besu_are_read_and_signed_alike() {
    let a = enclave_key(&BESU_SCENARIO["meta"]["participants"]["A"]);
    let key = Marker::parse(a.as_slice()).unwrap().payload;
    for (name, to, marker) in [
        ("P1", FLEXIBLE_PRIVACY, Err(InvalidMarker(7))),
        ("P2", OFF_CHAIN_PRIVACY, Err(InvalidMarker(7))),
        ("P3", FLEXIBLE_PRIVACY, Ok(Marker::from(key))),
        ("P4", FLEXIBLE_PRIVACY, Ok(Marker { payload: key, add_blob: Some(key) })),
    ] {
        let raw = bytes(&PROTOCOL["markers"][name]);
        let transaction = check_public(&raw, hash(&PROTOCOL["markerHashes"][name]));
        assert_eq!(transaction.to, TxKind::Call(to));
        assert_eq!(Marker::parse(&transaction.input), marker);
    }
}
