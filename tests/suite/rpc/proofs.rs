//! What a node proves of private state, judged against the root that it and the others answer.

use alloy_primitives::{KECCAK256_EMPTY, keccak256};
use alloy_trie::{EMPTY_ROOT_HASH, TrieAccount, proof::verify_proof};
use nybbles::Nibbles;

use super::*;
use crate::artifacts::creation_code;

fn parsed<T: serde::de::DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap()
}

/// Checks a proof against a root; whether the account is there.
#[track_caller]
fn check(proof: &Value, root: B256) -> bool {
    let storage_root: B256 = parsed(&proof["storageHash"]);
    let account = TrieAccount {
        nonce: parsed::<U256>(&proof["nonce"]).to(),
        balance: parsed(&proof["balance"]),
        storage_root,
        code_hash: parsed(&proof["codeHash"]),
    };
    let there = account.nonce != 0 || account.code_hash != KECCAK256_EMPTY;
    let expected = there.then(|| alloy_rlp::encode(account));
    let nodes: Vec<Bytes> = parsed(&proof["accountProof"]);
    let key = Nibbles::unpack(keccak256(address(&proof["address"])));
    verify_proof(root, key, expected, &nodes).unwrap();
    for slot in proof["storageProof"].as_array().unwrap() {
        let value: U256 = parsed(&slot["value"]);
        let key = Nibbles::unpack(keccak256(parsed::<B256>(&slot["key"])));
        let nodes: Vec<Bytes> = parsed(&slot["proof"]);
        let expected = (!value.is_zero()).then(|| alloy_rlp::encode(value));
        verify_proof(storage_root, key, expected, &nodes).unwrap();
    }
    there
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_proved_against_the_groups_state_root_at_any_block() {
    let network = Network::start(2).await;
    let [a, b] = [0, 1].map(|at| network.members[at].clone());
    let id = GroupId(B256::repeat_byte(0x21));
    let at = |nonce| (id, &network.keys[0], nonce);
    let add = ManagementCall::AddParticipants(network.keys.clone());
    let create = a.call("eea_sendRawTransaction", json!([managed(at(0), &add)])).await;
    assert_eq!(a.receipt(&create).await["status"], "0x1");
    let code = signed(at(1), TxKind::Create, creation_code("EventEmitter"));
    let deploy = a.call("eea_sendRawTransaction", json!([code])).await;
    let deployed = a.receipt(&deploy).await;
    let contract = deployed["contractAddress"].clone();
    let store = [&[0x60, 0x57, 0x36, 0x1d], B256::with_last_byte(42).as_slice()].concat();
    let store = signed(at(2), TxKind::Call(address(&contract)), store);
    let store = a.call("eea_sendRawTransaction", json!([store])).await;
    let last = a.receipt(&store).await;
    assert_eq!(
        (&last["status"], b.receipt(&store).await["status"].clone()),
        (&json!("0x1"), json!("0x1"))
    );
    let group = id.to_base64();
    let (before, after) = (&deployed["blockNumber"], &last["blockNumber"]);
    let slots: Vec<String> = (0..4).map(|slot| format!("{slot:#x}")).collect();
    let mut values = Vec::new();
    for block in [&json!("earliest"), before, after, &json!("latest")] {
        // The proof of one member, the root of another.
        let root: B256 = parsed(&b.call("priv_debugGetStateRoot", json!([group, block])).await);
        for account in [&contract, &json!(MANAGEMENT_PROXY), &json!(Address::repeat_byte(9))] {
            let proof = a.call("priv_getProof", json!([group, account, slots, block])).await;
            let there = check(&proof, root);
            let exists = root != EMPTY_ROOT_HASH && account != &json!(Address::repeat_byte(9));
            assert_eq!(there, exists, "{account} at {block}");
            let slot = json!([group, account, slots[0], block]);
            let stored: B256 = parsed(&a.call("priv_getStorageAt", slot).await);
            let proved: U256 = parsed(&proof["storageProof"][0]["value"]);
            assert_eq!(U256::from_be_bytes(stored.0), proved);
            let balance = a.call("priv_getBalance", json!([group, account, block])).await;
            assert_eq!(balance, proof["balance"]);
        }
        let proof = a.call("priv_getProof", json!([group, contract, slots, block])).await;
        values.push(proof["storageProof"].to_string());
    }
    assert_ne!(values[1], values[2], "the value was stored between these blocks");
    assert_eq!(values[2], values[3]);
    network.stop().await;
}
