//! The JSON-RPC API as clients see it, on nodes of a development network: answers compared with
//! tables, with the API's own description, and with those of a real Besu.

mod answers;
mod description;
mod input;
mod pages;
mod proofs;
mod replay;
mod tenancy;
mod traces;

use std::time::Duration;

use alloy_consensus::{SignableTransaction as _, TxEnvelope, TxLegacy};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256};
use coterie_core::{
    AccountKey, EnclaveKey, GroupId, PrivateTransaction, Recipients, Restriction,
    management::{MANAGEMENT_PROXY, ManagementCall},
    marker::FLEXIBLE_PRIVACY,
};
use coterie_node::node::dev::{DevNetwork, DevNetworkOptions};
use coterie_tests::poll;
use serde_json::{Value, json};

/// How long anything may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);
pub(crate) const POLL: Duration = Duration::from_millis(10);

/// A published test account (SDK specification, 2).
pub(crate) const ALICE: &str = "8f2a55949038a9610f50fb23b5883af3b4ecb3c3bb792cbcefbd1542c692be63";

/// A JSON-RPC endpoint.
#[derive(Clone)]
pub(crate) struct Client {
    url: String,
    http: reqwest::Client,
}

impl Client {
    pub(crate) fn new(url: &str) -> Self {
        let http = reqwest::Client::builder().timeout(DEADLINE).build().unwrap();
        Self { url: url.to_owned(), http }
    }

    /// Posts anything: status and body.
    async fn post(&self, body: impl Into<reqwest::Body>) -> (u16, Vec<u8>) {
        let reply = self.http.post(&self.url).body(body).send().await.unwrap();
        (reply.status().as_u16(), reply.bytes().await.unwrap().to_vec())
    }

    /// Status and answer, without `jsonrpc` and `id`.
    async fn answer(&self, method: &str, params: &Value) -> (u16, Value) {
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let (status, body) = self.post(request.to_string()).await;
        let mut answer: Value = serde_json::from_slice(&body).unwrap();
        let members = answer.as_object_mut().unwrap();
        assert_eq!(members.remove("jsonrpc"), Some(json!("2.0")));
        assert_eq!(members.remove("id"), Some(json!(1)));
        (status, answer)
    }

    pub(crate) async fn call(&self, method: &str, params: Value) -> Value {
        let (_, answer) = self.answer(method, &params).await;
        assert!(answer.get("error").is_none(), "{method} {params}: {answer}");
        answer["result"].clone()
    }

    /// The private receipt, once the marker is mined.
    pub(crate) async fn receipt(&self, marker: &Value) -> Value {
        self.mined(marker).await;
        self.call("priv_getTransactionReceipt", json!([marker])).await
    }

    async fn mined(&self, hash: &Value) {
        let mined = poll(POLL, DEADLINE, async || {
            let mined = self.call("eth_getTransactionReceipt", json!([hash])).await;
            (!mined.is_null()).then_some(())
        });
        mined.await.expect("mined");
    }

    /// Waits until the node has followed the chain's head.
    async fn caught_up(&self) {
        let caught_up = poll(POLL, DEADLINE, async || {
            let status = self.call("coterie_status", json!([])).await;
            let head = self.call("eth_blockNumber", json!([])).await;
            (status["followed"]["number"] == head).then_some(())
        });
        caught_up.await.expect("caught up");
    }

    /// Sends a public transaction to the privacy precompile, with these data; its hash.
    async fn mark(&self, data: Bytes) -> Value {
        self.public(FLEXIBLE_PRIVACY, 0, data).await
    }

    /// Sends a public transaction of Alice's; its hash, when it is mined.
    async fn public(&self, to: Address, value: u64, input: Bytes) -> Value {
        let key = account(ALICE);
        let nonce = self.call("eth_getTransactionCount", json!([key.address(), "pending"])).await;
        let nonce = U256::from_str_radix(nonce.as_str().unwrap().trim_start_matches("0x"), 16);
        let transaction = TxLegacy {
            chain_id: Some(1337),
            nonce: nonce.unwrap().to(),
            gas_price: 0,
            gas_limit: 100_000,
            to: TxKind::Call(to),
            value: U256::from(value),
            input,
        };
        let signature: Signature = key.sign_hash(&transaction.signature_hash()).unwrap();
        let raw =
            Bytes::from(TxEnvelope::Legacy(transaction.into_signed(signature)).encoded_2718());
        let hash = self.call("eth_sendRawTransaction", json!([raw])).await;
        self.mined(&hash).await;
        hash
    }
}

pub(crate) fn account(secret: &str) -> AccountKey {
    AccountKey::from_slice(&secret.parse::<B256>().unwrap().0).unwrap()
}

/// A development network with a client for each member.
struct Network {
    network: DevNetwork,
    members: Vec<Client>,
    keys: Vec<EnclaveKey>,
    chain: Client,
}

impl Network {
    async fn start(members: usize) -> Self {
        let options = DevNetworkOptions { members, port: 0, directory: None, block_time_ms: None };
        let network = DevNetwork::start(&options).await.unwrap();
        let (mut clients, mut keys) = (Vec::new(), Vec::new());
        for member in network.members() {
            clients.push(Client::new(&member.rpc));
            keys.push(member.enclave_key);
        }
        let chain = Client::new(&network.chain_url());
        Self { network, members: clients, keys, chain }
    }

    async fn stop(self) {
        self.network.stop().await;
    }
}

/// A private transaction of Alice's, signed.
fn signed(
    (group, from, nonce): (GroupId, &EnclaveKey, u64),
    to: TxKind,
    input: impl Into<Bytes>,
) -> Bytes {
    let transaction = PrivateTransaction {
        nonce,
        gas_price: U256::ZERO,
        gas_limit: 3_000_000,
        to,
        value: U256::ZERO,
        input: input.into(),
        chain_id: Some(1337),
        private_from: from.clone(),
        recipients: Recipients::Group(group),
        restriction: Restriction::Restricted,
    };
    transaction.sign(&account(ALICE)).unwrap().encode().into()
}

fn managed(at: (GroupId, &EnclaveKey, u64), call: &ManagementCall) -> Bytes {
    signed(at, TxKind::Call(MANAGEMENT_PROXY), call.encode())
}

fn address(value: &Value) -> Address {
    serde_json::from_value(value.clone()).unwrap()
}
