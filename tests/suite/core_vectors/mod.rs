//! The core against bytes from elsewhere: Besu, web3js-quorum, web3-eea and Tessera.
//!
//! Left out, because no code for it is in the core:
//! - `besu-scenario.json`: `genesisRoot`, `stateRoot`, `versionAfter` as results (they are inputs
//!   here), `output`, `receiptRlp`, and all of `emptyAccountQuirk`: they need Besu's bytecode, an
//!   EVM, or Besu's database format.
//! - `besu-rpc.json`: everything but the raw transactions and whether they decode.
//! - `sdk.json`: `setPrivate` (a GoQuorum transaction), `receiptExpectations` and the calldata,
//!   selectors and topics of example contracts; the calldata before Besu 1.5.3, except that it is
//!   not taken for a management call.
//! - Protocol specification, 12.2: the validator cases (judged in the node); 12.5: two addresses
//!   whose inputs nobody knows; 12.6, 12.7 and 12.8: roots and receipts.
//! - `tessera.json`: the enclave's tests.

mod ids;
mod members;
mod scenario;
mod transactions;

use std::sync::LazyLock;

use alloy_consensus::{SignableTransaction, TxLegacy, transaction::RlpEcdsaDecodableTx};
use alloy_primitives::{Address, B256, hex, keccak256};
use coterie_core::{AccountKey, EnclaveKey, SignedPrivateTransaction};
use serde_json::Value;

static BESU_TRANSACTIONS: LazyLock<Value> =
    LazyLock::new(|| parse(include_str!("../../vectors/besu-transactions.json")));
static BESU_SCENARIO: LazyLock<Value> =
    LazyLock::new(|| parse(include_str!("../../vectors/besu-scenario.json")));
static BESU_RPC: LazyLock<Value> =
    LazyLock::new(|| parse(include_str!("../../vectors/besu-rpc.json")));
static SDK: LazyLock<Value> = LazyLock::new(|| parse(include_str!("../../vectors/sdk.json")));
static PROTOCOL: LazyLock<Value> =
    LazyLock::new(|| parse(include_str!("../../vectors/protocol.json")));

const ALICE_KEY: &str = "8f2a55949038a9610f50fb23b5883af3b4ecb3c3bb792cbcefbd1542c692be63";
const ALICE: &str = "0xfe3b557e8fb62b89f4916b721be55ceb828dbd73";
/// Behind Besu's signed unit-test vectors.
const BESU_KEY: &str = "853d7f0010fd86d0d7811c1f9d968ea89a24484a8127b4a483ddf5d2cfec766d";

fn parse(json: &str) -> Value {
    serde_json::from_str(json).expect("the vectors are JSON")
}

#[track_caller]
fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is not a text"))
}

#[track_caller]
fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("{value} is not a list"))
}

#[track_caller]
fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(text(value)).unwrap()
}

#[track_caller]
fn hash(value: &Value) -> B256 {
    text(value).parse().unwrap()
}

#[track_caller]
fn enclave_key(value: &Value) -> EnclaveKey {
    text(value).parse().unwrap()
}

#[track_caller]
fn enclave_keys(value: &Value) -> Vec<EnclaveKey> {
    list(value).iter().map(enclave_key).collect()
}

#[track_caller]
fn account_key(hex: &str) -> AccountKey {
    AccountKey::from_slice(&hex::decode(hex).unwrap()).unwrap()
}

/// Decodes, and checks that encoding gives the bytes back.
#[track_caller]
fn decode(raw: &[u8]) -> SignedPrivateTransaction {
    let signed = SignedPrivateTransaction::decode(raw).unwrap();
    assert_eq!(hex::encode(signed.encode()), hex::encode(raw));
    signed
}

#[track_caller]
fn check_signature(raw: &[u8], signature_hash: &str, sender: &str, hash: &str) {
    let signed = decode(raw);
    assert_eq!(signed.signature_hash, signature_hash.parse::<B256>().unwrap());
    assert_eq!(signed.transaction.signature_hash(), signed.signature_hash);
    assert_eq!(signed.recover_signer().unwrap(), sender.parse::<Address>().unwrap());
    assert_eq!(signed.hash(), hash.parse::<B256>().unwrap());
}

#[track_caller]
fn check_signing(raw: &[u8], key: &str) {
    let again = decode(raw).transaction.sign(&account_key(key)).unwrap();
    assert_eq!(hex::encode(again.encode()), hex::encode(raw));
}

/// Decodes a public transaction of Alice's, and signs it again with our key type.
#[track_caller]
fn check_public(raw: &[u8], hash: B256) -> TxLegacy {
    assert_eq!(keccak256(raw), hash);
    let signed = TxLegacy::rlp_decode_signed(&mut &raw[..]).unwrap();
    let ours = account_key(ALICE_KEY).sign_hash(&signed.tx().signature_hash()).unwrap();
    assert_eq!(ours, *signed.signature());
    signed.strip_signature()
}
