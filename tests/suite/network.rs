//! A development network in this process, driven over HTTP: the main job, end to end.

use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use coterie_core::{
    EnclaveKey, GroupId, PrivateTransaction, Recipients, Restriction,
    management::{MANAGEMENT_PROXY, ManagementCall},
};
use coterie_node::node::dev::{DevNetwork, DevNetworkOptions};
use coterie_tests::poll;
use serde_json::{Value, json};

use crate::{
    artifacts::creation_code,
    rpc::{ALICE, Client, DEADLINE, POLL, account},
};

impl Client {
    /// Sends a private transaction; its marker's hash.
    async fn send(&self, transaction: PrivateTransaction) -> Value {
        let raw = Bytes::from(transaction.sign(&account(ALICE)).unwrap().encode());
        self.call("eea_sendRawTransaction", json!([raw])).await
    }
}

struct Group {
    id: GroupId,
    nonce: u64,
    from: EnclaveKey,
}

impl Group {
    fn transaction(&mut self, to: TxKind, input: impl Into<Bytes>) -> PrivateTransaction {
        let nonce = self.nonce;
        self.nonce += 1;
        PrivateTransaction {
            nonce,
            gas_price: U256::ZERO,
            gas_limit: 3_000_000,
            to,
            value: U256::ZERO,
            input: input.into(),
            chain_id: Some(1337),
            private_from: self.from.clone(),
            recipients: Recipients::Group(self.id),
            restriction: Restriction::Restricted,
        }
    }

    fn manage(&mut self, call: &ManagementCall) -> PrivateTransaction {
        self.transaction(TxKind::Call(MANAGEMENT_PROXY), call.encode())
    }
}

async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let seen = poll(POLL, DEADLINE, async || holds().await.then_some(())).await;
    seen.unwrap_or_else(|error| panic!("{what}: {error}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_lives_from_creation_to_removal() {
    let options = DevNetworkOptions { members: 3, port: 0, directory: None, block_time_ms: None };
    let network = DevNetwork::start(&options).await.unwrap();
    let members = network.members();
    let keys: Vec<EnclaveKey> = members.iter().map(|member| member.enclave_key.clone()).collect();
    let [a, b, c] = [0, 1, 2].map(|at| Client::new(&members[at].rpc));
    let id = GroupId(B256::repeat_byte(7));
    let mut group = Group { id, nonce: 0, from: keys[0].clone() };

    let create = a.send(group.manage(&ManagementCall::AddParticipants(keys[..2].to_vec()))).await;
    assert_eq!(a.receipt(&create).await["status"], "0x1");
    assert_eq!(b.receipt(&create).await["status"], "0x1");
    assert_eq!(c.receipt(&create).await, Value::Null);

    let deploy = a.send(group.transaction(TxKind::Create, creation_code("EventEmitter"))).await;
    let deployed = a.receipt(&deploy).await;
    assert_eq!(deployed["status"], "0x1", "{deployed}");
    let contract: Address = serde_json::from_value(deployed["contractAddress"].clone()).unwrap();
    let store =
        |value: u8| [&[0x60, 0x57, 0x36, 0x1d], B256::with_last_byte(value).as_slice()].concat();
    let value = async |client: &Client| {
        let params = json!([id.to_base64(), {"to": contract, "data": "0x3fa4f245"}, "latest"]);
        client.call("priv_call", params).await
    };
    let word = |value: u8| json!(B256::with_last_byte(value));
    let stored = a.send(group.transaction(TxKind::Call(contract), store(42))).await;
    assert_eq!(b.receipt(&stored).await["status"], "0x1");
    assert_eq!(value(&b).await, word(42));
    assert_eq!(value(&c).await, "0x");

    let lock = a.send(group.manage(&ManagementCall::Lock)).await;
    assert_eq!(a.receipt(&lock).await["status"], "0x1");
    let add = a.send(group.manage(&ManagementCall::AddParticipants(vec![keys[2].clone()]))).await;
    assert_eq!(a.receipt(&add).await["status"], "0x1");
    eventually("the newcomer has the history", async || value(&c).await == word(42)).await;
    assert_eq!(c.receipt(&stored).await["status"], "0x1");
    assert_eq!(c.receipt(&add).await["status"], "0x1");

    let remove = a.send(group.manage(&ManagementCall::RemoveParticipant(keys[1].clone()))).await;
    assert_eq!(b.receipt(&remove).await["status"], "0x1");
    // What A sends before it has followed the removal would be for the group as it was.
    assert_eq!(a.receipt(&remove).await["status"], "0x1");
    let last = a.send(group.transaction(TxKind::Call(contract), store(43))).await;
    assert_eq!(c.receipt(&last).await["status"], "0x1");
    assert_eq!(a.receipt(&last).await["status"], "0x1");
    assert_eq!((value(&a).await, value(&c).await, value(&b).await), (word(43), word(43), word(42)));
    let root = async |client: &Client| {
        client.call("priv_debugGetStateRoot", json!([id.to_base64(), "latest"])).await
    };
    assert_eq!(root(&a).await, root(&c).await);
    assert_ne!(root(&a).await, root(&b).await);
    network.stop().await;
}

/// What must outlive a restart: roots, a receipt and a balance.
async fn kept(members: &[Client], chain: &Client, group: GroupId, marker: &Value) -> Vec<Value> {
    let mut kept = Vec::new();
    for member in members {
        kept.push(
            member.call("priv_debugGetStateRoot", json!([group.to_base64(), "latest"])).await,
        );
        kept.push(member.call("priv_getTransactionReceipt", json!([marker])).await);
    }
    let alice = account(ALICE).address();
    kept.push(chain.call("eth_getBalance", json!([alice, "latest"])).await);
    kept.push(chain.call("eth_getBlockByNumber", json!(["latest", true])).await);
    kept
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_goes_on_where_it_stopped() {
    let directory = tempfile::tempdir().unwrap();
    // The fourth member's key is a generated one.
    let options = DevNetworkOptions {
        members: 4,
        port: 0,
        directory: Some(directory.path().to_owned()),
        block_time_ms: None,
    };
    let network = DevNetwork::start(&options).await.unwrap();
    let members = network.members();
    let keys: Vec<EnclaveKey> = members.iter().map(|member| member.enclave_key.clone()).collect();
    let clients: Vec<Client> = [0, 3].map(|at| Client::new(&members[at].rpc)).to_vec();
    let id = GroupId(B256::repeat_byte(8));
    let mut group = Group { id, nonce: 0, from: keys[0].clone() };
    let listed = vec![keys[0].clone(), keys[3].clone()];
    let create = clients[0].send(group.manage(&ManagementCall::AddParticipants(listed))).await;
    for client in &clients {
        assert_eq!(client.receipt(&create).await["status"], "0x1");
    }
    let before = kept(&clients, &Client::new(&network.chain_url()), id, &create).await;
    network.stop().await;

    // A request that was under way may hold a member's state a little longer.
    let again = poll(POLL, DEADLINE, async || DevNetwork::start(&options).await.ok());
    let network = again.await.expect("started again");
    let members = network.members();
    assert_eq!(keys, members.iter().map(|it| it.enclave_key.clone()).collect::<Vec<_>>());
    let clients: Vec<Client> = [0, 3].map(|at| Client::new(&members[at].rpc)).to_vec();
    let after = kept(&clients, &Client::new(&network.chain_url()), id, &create).await;
    assert_eq!(after, before);
    let deploy = group.transaction(TxKind::Create, creation_code("EventEmitter"));
    let deploy = clients[0].send(deploy).await;
    for client in &clients {
        assert_eq!(client.receipt(&deploy).await["status"], "0x1");
    }
    network.stop().await;
}
