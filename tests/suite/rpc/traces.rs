//! Traces are of the state that a transaction was executed on: after what came earlier in its
//! block, and with the public state of its parent block.

use super::*;
use crate::artifacts::creation_code;

/// Answers the balance of the address in its first argument.
const BALANCE: &str = "6009600a5f3960095ff35f35315f5260205ff3";

struct Scene {
    network: Network,
    group: GroupId,
    nonce: u64,
}

impl Scene {
    /// Sends as the first member; the marker's hash.
    async fn send(&mut self, to: TxKind, input: impl Into<Bytes>) -> Value {
        let raw = signed((self.group, &self.network.keys[0], self.nonce), to, input);
        self.nonce += 1;
        self.network.members[0].call("eea_sendRawTransaction", json!([raw])).await
    }

    /// The receipts and traces that both members have of a marker: the same.
    async fn seen(&self, marker: &Value) -> (Value, Value) {
        let mut seen = Vec::new();
        for member in &self.network.members {
            let receipt = member.receipt(marker).await;
            let params = json!([self.group.to_base64(), marker]);
            seen.push((receipt, member.call("priv_traceTransaction", params).await));
        }
        assert_eq!(seen[0], seen[1]);
        seen.pop().unwrap()
    }

    /// A contract's address.
    async fn deploy(&mut self, code: impl Into<Bytes>) -> Address {
        let marker = self.send(TxKind::Create, code).await;
        address(&self.seen(&marker).await.0["contractAddress"])
    }
}

async fn scene() -> Scene {
    let network = Network::start(2).await;
    let group = GroupId(B256::repeat_byte(0x41));
    let mut scene = Scene { network, group, nonce: 0 };
    let add = ManagementCall::AddParticipants(scene.network.keys.clone()).encode();
    let create = scene.send(TxKind::Call(MANAGEMENT_PROXY), add).await;
    let (receipt, trace) = scene.seen(&create).await;
    assert_eq!(receipt["status"], "0x1");
    // The proxy hands the call to its implementation.
    assert_eq!(trace[1]["action"]["callType"], "delegatecall");
    scene
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_begins_after_what_came_earlier_in_the_block() {
    let mut scene = scene().await;
    let contract = TxKind::Call(scene.deploy(creation_code("EventEmitter")).await);
    let store =
        |value: u8| [&[0x60, 0x57, 0x36, 0x1d], B256::with_last_byte(value).as_slice()].concat();
    let mut markers = vec![scene.send(contract, store(1)).await];
    scene.seen(&markers[0]).await;
    let chain = scene.network.chain.clone();
    chain.call("evm_setAutomine", json!([false])).await;
    for input in [store(7), vec![0x3f, 0xa4, 0xf2, 0x45], store(9), vec![0x3f, 0xa4, 0xf2, 0x45]] {
        markers.push(scene.send(contract, input).await);
    }
    chain.call("evm_mine", json!([])).await;
    let mut outputs = Vec::new();
    let mut blocks = Vec::new();
    for marker in &markers {
        let (receipt, trace) = scene.seen(marker).await;
        assert_eq!(trace[0]["result"]["output"], receipt["output"], "{receipt}");
        outputs.push(receipt["output"].clone());
        blocks.push(receipt["blockNumber"].clone());
    }
    let value = |value| json!(B256::with_last_byte(value));
    assert_eq!((&outputs[2], &outputs[4]), (&value(7), &value(9)));
    assert!(blocks[1..].iter().all(|block| *block == blocks[1]), "{blocks:?}");
    scene.network.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_reads_the_public_state_that_the_execution_read() {
    let mut scene = scene().await;
    let code: Bytes = format!("0x{BALANCE}").parse().unwrap();
    let reader = TxKind::Call(scene.deploy(code).await);
    let account = Address::repeat_byte(0x5e);
    let before = scene.send(reader, account.into_word()).await;
    scene.seen(&before).await;
    scene.network.chain.public(account, 5, Bytes::new()).await;
    let after = scene.send(reader, account.into_word()).await;
    for (marker, balance) in [(&before, 0), (&after, 5), (&before, 0)] {
        let (receipt, trace) = scene.seen(marker).await;
        let want = json!(B256::with_last_byte(balance));
        assert_eq!((&receipt["output"], &trace[0]["result"]["output"]), (&want, &want));
    }
    scene.network.stop().await;
}
