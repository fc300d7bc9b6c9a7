//! Group ids and contract addresses.

use alloy_primitives::Address;
use coterie_core::{EnclaveKey, GroupId, contract_address};

use super::{PROTOCOL, SDK, bytes, enclave_keys, list, text};

#[test]
fn legacy_ids_are_those_of_web3js_quorum_in_any_order() {
    let ids = &SDK["legacyGroupIds"];
    let mut entries = 0;
    for set in list(&ids["sets"]) {
        let id: GroupId = text(&set["privacyGroupId"]).parse().unwrap();
        for order in permutations(enclave_keys(&set["members"])) {
            assert_eq!(GroupId::legacy(&order), id);
            entries += 1;
        }
    }
    // One more entry of the original file repeats a key.
    assert_eq!(entries + 1, ids["entries"].as_u64().unwrap());
    let first = &list(&ids["sets"])[0];
    let mut repeated = enclave_keys(&first["members"]);
    repeated.insert(0, repeated[0].clone());
    assert_eq!(GroupId::legacy(&repeated).to_base64(), text(&first["privacyGroupId"]));
}

#[test]
fn group_ids_are_those_of_besu_and_tessera() {
    let ids = &SDK["legacyGroupIds"];
    let own = &PROTOCOL["legacyGroupIds"];
    for vector in [&ids["besuTests"], &ids["fromExampleKeys"], own].into_iter().flat_map(list) {
        let id = GroupId::legacy(&enclave_keys(&vector["members"]));
        assert_eq!(id.to_base64(), text(&vector["privacyGroupId"]));
    }
    for vector in list(&PROTOCOL["offChainGroupIds"]) {
        let members = enclave_keys(&vector["members"]);
        let id = GroupId::off_chain(&members, &bytes(&vector["seedHex"]));
        assert_eq!(id.to_base64(), text(&vector["privacyGroupId"]));
    }
}

#[test]
fn contract_addresses_are_those_of_besu() {
    let vectors = list(&PROTOCOL["contractAddresses"]);
    assert_eq!(vectors.len(), 13);
    for vector in vectors {
        let group = match vector["privacyGroupId"].as_str() {
            Some(id) => id.parse().unwrap(),
            None => GroupId::legacy(&enclave_keys(&vector["members"])),
        };
        let sender = text(&vector["sender"]).parse().unwrap();
        let address = contract_address(sender, vector["nonce"].as_u64().unwrap(), group);
        assert_eq!(address, text(&vector["address"]).parse::<Address>().unwrap());
    }
}

fn permutations(keys: Vec<EnclaveKey>) -> Vec<Vec<EnclaveKey>> {
    let Some((last, rest)) = keys.split_last() else { return vec![vec![]] };
    let mut all = Vec::new();
    for shorter in permutations(rest.to_vec()) {
        for at in 0..keys.len() {
            let mut longer = shorter.clone();
            longer.insert(at, last.clone());
            all.push(longer);
        }
    }
    all
}
