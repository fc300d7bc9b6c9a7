//! Every binding with arbitrary text: it returns or gives an error, and never panics.
use alloc::{format, string::String, vec::Vec};

use proptest::{collection::vec, prelude::*};

use crate::{error::Thrown, group, management, marker, transaction};

type Call = fn(&str) -> Result<(), Thrown>;

/// Every binding that takes one text.
const OF_TEXT: &[Call] = &[
    |text| group::enclave_key(text).map(drop),
    |text| group::enclave_key_bytes(text).map(drop),
    |text| group::group_id(text).map(drop),
    |text| group::group_id_bytes(text).map(drop),
    |text| group::payload_key(text).map(drop),
    |text| group::legacy_group_id(text).map(drop),
    |text| group::contract_address(text, text, text).map(drop),
    |text| transaction::encode_for_signing(text).map(drop),
    |text| transaction::signature_hash(text).map(drop),
    |text| transaction::sign(text, alloc::vec![1; 32]).map(drop),
    |text| transaction::serialize(text, "0x1\n0x1\n0").map(drop),
    |text| transaction::decode(text).map(drop),
    |text| transaction::recover_signer(text).map(drop),
    |text| transaction::transaction_hash(text).map(drop),
    |text| transaction::keccak256(text).map(drop),
    |text| transaction::recover_address(text, text).map(drop),
    |text| marker::marker_signature_hash(text).map(drop),
    |text| marker::sign_marker(text, alloc::vec![1; 32]).map(drop),
    |text| marker::serialize_marker(text, "0x1\n0x1\n1").map(drop),
    |text| management::add_participants_calldata(text, "bytes").map(drop),
    |text| management::add_participants_calldata(text, "bytes32").map(drop),
    |text| management::remove_participant_calldata(text, text).map(drop),
    |text| management::plain_calldata(text).map(drop),
    |text| management::transfer_ownership_calldata(text).map(drop),
    |text| management::upgrade_to_calldata(text).map(drop),
    |text| management::decode_participants(text, "auto").map(drop),
    |text| management::decode_management_call(text).map(drop),
    |text| management::decode_management_event(text, text).map(drop),
    |text| management::decode_revert(text).map(drop),
];

const KEY: &str = "A1aVtMxLCUHmBVHXoZzzBgPbW/wj5axDpW9X8l91SGo=";

/// A field of a record: right, nearly right, or anything.
fn field() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::from("-")),
        Just(String::from(KEY)),
        Just(format!("{KEY},{KEY}")),
        Just(String::from("restricted")),
        "0x[0-9a-f]{0,70}",
        "0x[1-9a-f][0-9a-f]{0,15}",
        "[0-9A-Za-z+/=]{0,130}",
        ".{0,50}",
    ]
}

fn record() -> impl Strategy<Value = String> {
    vec(field(), 0..14).prop_map(|fields| fields.join("\n"))
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 256, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn no_text_panics(text in prop_oneof![record(), field(), ".{0,300}"]) {
        for binding in OF_TEXT {
            if let Err(error) = binding(&text) {
                prop_assert!(!error.code.is_empty() && !error.name.is_empty());
            }
        }
    }

    #[test]
    fn no_signature_panics(signature in record(), hash in "0x[0-9a-f]{64}") {
        let _ = transaction::recover_address(&hash, &signature);
        let _ = transaction::serialize("0x0\n-\n0x0\n-\n-\n-\n-\n-\n-\n-\n-", &signature);
    }

    #[test]
    fn no_bytes_panic(bytes in vec(any::<u8>(), 0..100)) {
        let _ = group::enclave_key_from_bytes(&bytes);
        let _ = group::group_id_from_bytes(&bytes);
        let _ = group::payload_key_from_bytes(&bytes);
        let _ = group::account_address(bytes);
    }

    #[test]
    fn what_is_signed_is_decoded(
        nonce in any::<u64>(),
        chain_id in 1..=u64::MAX,
        data in vec(any::<u8>(), 0..200),
        group in any::<bool>(),
    ) {
        let data = alloy_primitives::hex::encode_prefixed(data);
        let (id, members) = if group { (KEY, "-") } else { ("-", KEY) };
        let fields = [
            &format!("{nonce:#x}"), "0x0", "0x2dc6c0", "-", "0x0", &data,
            &format!("{chain_id:#x}"), KEY, id, "restricted", members,
        ];
        let record = fields.join("\n");
        let raw = transaction::sign(&record, alloc::vec![1; 32]).map_err(reason)?;
        let decoded = transaction::decode(&raw).map_err(reason)?;
        prop_assert!(decoded.starts_with(&record), "{decoded}");
        let signer = group::account_address(alloc::vec![1; 32]).map_err(reason)?;
        prop_assert_eq!(decoded.split('\n').next_back(), Some(signer.as_str()));
        let signature: Vec<_> = decoded.split('\n').skip(12).take(2).collect();
        let other = ["0", "1"].map(|parity| {
            let joined = format!("{}\n{parity}", signature.join("\n"));
            transaction::serialize(&record, &joined).ok()
        });
        prop_assert!(other.contains(&Some(raw)));
    }
}

fn reason(error: Thrown) -> TestCaseError {
    TestCaseError::fail(error.code)
}
