//! Private transactions: bytes, signing hashes, senders.

use alloy_primitives::{Address, B256, Bytes, TxKind, U256, hex, keccak256};
use coterie_core::{
    InvalidGroupId, PrivateTransaction, Recipients, Restriction, SignedPrivateTransaction,
    transaction::DecodeError, wire::VersionedPrivateTransaction,
};
use serde_json::Value;

use super::{
    ALICE, ALICE_KEY, BESU_KEY, BESU_RPC, BESU_TRANSACTIONS, PROTOCOL, SDK, account_key, bytes,
    check_signature, check_signing, decode, enclave_key, enclave_keys, hash, list, text,
};

#[test]
fn besu_transactions_decode_and_recover() {
    let besu = &*BESU_TRANSACTIONS;
    check_signature(
        &bytes(&besu["V2_privateFor"]),
        "0x58f73450aac0eb29519f2849b2494bfeb17faffd4aee8715f43523776f777284",
        "0x83db8f1f96dbf773d2d719f70dc89e5c772cddbc",
        "0x72e410ce26aa6379b378abf37a384571e952f304547bc248c8b3817d1adc371e",
    );
    check_signature(
        &bytes(&besu["V3_privacyGroup"]),
        "0x026c7889e1dbbe7e1bbb5631cc00ddba61e64ad57485856b0913745161987835",
        "0xf7a35a248dcad415295a491a7153e8cb69f5ae10",
        "0x9f01c0e5c2b2dd983838ac3966f02e8a6e8f924ff661f68b94303528da71258b",
    );
    check_signature(
        &bytes(&besu["V4_signed_chain4"]),
        "0x2ccc0b0e557cd378f85365d3e9d6fc249b2abd30f569456feddaf00064c92745",
        "0xb3d6f5a4491a6137277699a2d4343ef4fe3c0fdc",
        "0xcf19b7e4302661d7755075a609d184ec2ecd122ecce5dd971380d54987fec07d",
    );
    check_signature(
        &bytes(&besu["V5_signed_chain2147483647"]),
        "0xda4ce7b60a7a11324cae371debde0674ec3524a8dd1101a4c83e5ea16c3d0d85",
        "0xb3d6f5a4491a6137277699a2d4343ef4fe3c0fdc",
        "0x921486b8739037dc128135e682ee2a763355840480078a4134636e31e9f75aa7",
    );
    check_signing(&bytes(&besu["V4_signed_chain4"]), BESU_KEY);
    check_signing(&bytes(&besu["V5_signed_chain2147483647"]), BESU_KEY);
    decode(&bytes(&besu["V8_distribute"]));

    let v2 = decode(&bytes(&besu["V2_privateFor"])).transaction;
    assert_eq!((v2.nonce, v2.gas_limit, v2.chain_id), (0, 21_000, None));
    assert_eq!((v2.gas_price, v2.value), (U256::ONE, U256::MAX));
    assert_eq!(v2.restriction, Restriction::Restricted);
    // The group of A and B, whether named by members or by id.
    let v3 = decode(&bytes(&besu["V3_privacyGroup"])).transaction;
    assert_eq!(v2.group_id(), v3.group_id());
    let v5 = decode(&bytes(&besu["V5_signed_chain2147483647"])).transaction;
    assert_eq!((v5.chain_id, v5.to), (Some(2_147_483_647), TxKind::Create));
}

#[test]
fn broken_besu_transactions_are_refused() {
    let besu = &*BESU_TRANSACTIONS;
    let error = |raw: &Value| SignedPrivateTransaction::decode(&bytes(raw)).unwrap_err();
    let reason = alloy_rlp::Error::InputTooShort;
    let no_more = DecodeError::Rlp { field: "privateFrom", reason };
    assert_eq!(error(&besu["V1_invalid_rlp"]), no_more);
    // The restriction takes the place of the group id.
    let not_an_id = DecodeError::GroupId(InvalidGroupId::Length(10));
    assert_eq!(error(&besu["V6_no_privateFrom"]), not_an_id);
    assert!(SignedPrivateTransaction::decode(&[0]).is_err());
}

#[test]
fn besu_fixtures_are_signed_alike() {
    let transactions = &PROTOCOL["transactions"];
    let v7 = bytes(&transactions["V7"]);
    let sighash = "0x7eff0c78547d89b419b65b6d3461d4fee6a7882632616e457d144b301ffa57b1";
    check_signature(&v7, sighash, ALICE, &keccak256(&v7).to_string());
    check_signing(&v7, ALICE_KEY);

    let v9 = bytes(&transactions["V9"]);
    check_signature(
        &v9,
        "0xb78425764a4b7841dd34228e1718f1d67126dc4ed54cdd789e95edf6e0f10b9f",
        ALICE,
        "0x76950a71c2ede0120e1e7daf1edba9777df3edc21cf776c8325f4c1419c013b0",
    );
    check_signing(&v9, ALICE_KEY);
    let payload = VersionedPrivateTransaction { transaction: decode(&v9), version: B256::ZERO };
    assert_eq!(hex::encode_prefixed(payload.encode()), text(&transactions["V10"]));
    assert_eq!(VersionedPrivateTransaction::decode(&payload.encode()), Ok(payload));
}

#[test]
fn restrictions_change_only_the_last_item() {
    let v7 = bytes(&PROTOCOL["transactions"]["V7"]);
    let head = decode(&v7).transaction;
    for restriction in [Restriction::Unrestricted, Restriction::Unsupported(Bytes::new())] {
        let other = PrivateTransaction { restriction: restriction.clone(), ..head.clone() };
        let signed = other.sign(&account_key(ALICE_KEY)).unwrap();
        let again = decode(&signed.encode());
        assert_eq!(again.transaction.restriction, restriction);
        assert_eq!(again.recover_signer().unwrap().to_string().to_lowercase(), ALICE);
    }
}

#[test]
fn web3js_quorum_signs_the_same_bytes() {
    let vectors = list(&SDK["signedPrivateTxs"]);
    assert_eq!(vectors.len(), 19);
    for vector in vectors {
        check_derived(vector);
        check_signing(&bytes(&vector["raw"]), text(&vector["privateKey"]));
    }
}

#[test]
fn the_stale_fixture_of_web3js_quorum_is_read_and_signed_again() {
    let fixture = &SDK["upstreamTx"];
    let stale = check_derived(&fixture["derived"]);
    assert_eq!(hex::encode_prefixed(stale.encode()), text(&fixture["rlp"]));
    let key = account_key(text(&fixture["privateKey"]));
    let signed = stale.transaction.sign(&key).unwrap();
    assert_eq!(hex::encode_prefixed(signed.encode()), text(&fixture["resigned"]["raw"]));
    let sender = text(&fixture["expectedSender"]).parse::<Address>().unwrap();
    assert_eq!(signed.recover_signer(), Ok(sender));
}

#[test]
fn other_raw_transactions_are_read() {
    for vector in list(&SDK["otherRawTxs"]) {
        if text(&vector["name"]).starts_with("INVALID") {
            assert!(SignedPrivateTransaction::decode(&bytes(&vector["raw"])).is_err());
            continue;
        }
        let signed = check_derived(&vector["derived"]);
        if signed.transaction.to == TxKind::Create {
            check_signing(&bytes(&vector["raw"]), text(&SDK["besuSigningKey"]["privateKey"]));
        }
    }
}

#[test]
fn what_besu_decoded_decodes() {
    let mut decoded = 0;
    for step in list(&BESU_RPC["steps"]) {
        if !text(&step["method"]).ends_with("RawTransaction") {
            continue;
        }
        let Some(raw) = step["params"][0].as_str().and_then(|raw| hex::decode(raw).ok()) else {
            continue;
        };
        let message = step["error"]["message"].as_str().unwrap_or_default();
        let refused = message.starts_with("Unable to decode");
        assert_eq!(SignedPrivateTransaction::decode(&raw).is_err(), refused, "{}", step["step"]);
        if !refused {
            decoded += 1;
            assert!(decode(&raw).recover_signer().is_ok());
        }
    }
    assert!(decoded > 30);
}

/// Builds an unsigned transaction from the fields as `sdk.json` lists them.
fn from_fields(fields: &Value) -> PrivateTransaction {
    let number = |name: &str| U256::try_from_be_slice(&bytes(&fields[name])).unwrap();
    let to = bytes(&fields["to"]);
    PrivateTransaction {
        nonce: number("nonce").to(),
        gas_price: number("gasPrice"),
        gas_limit: number("gasLimit").to(),
        to: if to.is_empty() { TxKind::Create } else { TxKind::Call(Address::from_slice(&to)) },
        value: number("value"),
        input: bytes(&fields["data"]).into(),
        // The file writes 0 for none.
        chain_id: fields["chainId"].as_u64().filter(|id| *id != 0),
        private_from: enclave_key(&fields["privateFrom"]),
        recipients: match fields["privacyGroupId"].as_str() {
            Some(id) => Recipients::Group(id.parse().unwrap()),
            None => Recipients::Members(enclave_keys(&fields["privateFor"])),
        },
        restriction: match text(&fields["restriction"]) {
            "restricted" => Restriction::Restricted,
            other => panic!("restriction {other}"),
        },
    }
}

#[track_caller]
fn check_derived(vector: &Value) -> SignedPrivateTransaction {
    let transaction = from_fields(&vector["fields"]);
    let preimage = hex::encode_prefixed(transaction.encode_for_signing());
    assert_eq!(preimage, text(&vector["signingPreimage"]));
    assert_eq!(transaction.signature_hash(), hash(&vector["signingHash"]));
    let signed = decode(&bytes(&vector["raw"]));
    assert_eq!(signed.transaction, transaction);
    let part = |name: &str| U256::try_from_be_slice(&bytes(&vector[name])).unwrap();
    assert_eq!((signed.signature.r(), signed.signature.s()), (part("r"), part("s")));
    assert_eq!(signed.hash(), hash(&vector["privateTxHash"]));
    assert_eq!(
        signed.recover_signer().unwrap(),
        text(&vector["sender"]).parse::<Address>().unwrap()
    );
    signed
}
