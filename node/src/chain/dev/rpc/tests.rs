//! The methods over real HTTP, as clients of the Ethereum JSON-RPC see them.

use alloy_primitives::{B256, Bytes, U256, hex};
use alloy_rpc_types_eth::{Block, TransactionReceipt};
use alloy_sol_types::SolError as _;
use serde_json::{Value, json};

use super::super::{DevChain, DevOptions, DevServer, Mining, serve};
use crate::chain::testing::{STORE_AND_LOG, Signer};

/// A served chain and a client.
struct Rig {
    chain: DevChain,
    server: DevServer,
    client: reqwest::Client,
}

impl Rig {
    async fn new(options: DevOptions) -> Self {
        let chain = DevChain::new(options);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = serve(chain.clone(), listener).unwrap();
        Self { chain, server, client: reqwest::Client::builder().build().unwrap() }
    }

    async fn post(&self, body: String) -> (u16, String) {
        let response = self.client.post(self.server.url()).body(body).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    async fn answer(&self, method: &str, params: Value) -> Value {
        let call = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        serde_json::from_str(&self.post(call.to_string()).await.1).unwrap()
    }

    async fn result(&self, method: &str, params: Value) -> Value {
        let mut answer = self.answer(method, params).await;
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].take()
    }

    async fn error(&self, method: &str, params: Value) -> (i64, String) {
        let answer = self.answer(method, params).await;
        let error = &answer["error"];
        (error["code"].as_i64().unwrap(), error["message"].as_str().unwrap().to_owned())
    }

    async fn send(&self, raw: &Bytes) -> B256 {
        let hash = self.result("eth_sendRawTransaction", json!([raw])).await;
        serde_json::from_value(hash).unwrap()
    }
}

#[tokio::test]
async fn what_clients_ask_first_is_answered() {
    let rig = Rig::new(DevOptions::default()).await;
    let sha3 = "0x47173285a8d7341e5e972fc677286384f802f8ef42a5ec5f03bbfa254cb01fad";
    for (method, params, want) in [
        ("eth_chainId", json!([]), json!("0x539")),
        ("net_version", Value::Null, json!("1337")),
        ("net_listening", json!([]), json!(true)),
        ("net_peerCount", json!([]), json!("0x0")),
        ("eth_syncing", json!([]), json!(false)),
        ("eth_accounts", json!([]), json!([])),
        ("eth_mining", json!([]), json!(false)),
        ("eth_gasPrice", json!([]), json!("0x0")),
        ("eth_maxPriorityFeePerGas", json!([]), json!("0x0")),
        ("eth_blockNumber", json!([]), json!("0x0")),
        ("eth_coinbase", json!([]), json!("0x0000000000000000000000000000000000000000")),
        ("web3_sha3", json!(["0x68656c6c6f20776f726c64"]), json!(sha3)),
        ("eth_getBlockByNumber", json!(["0x5", false]), Value::Null),
        ("eth_getTransactionReceipt", json!([B256::ZERO]), Value::Null),
        ("eth_getTransactionReceipt", json!([B256::ZERO, null]), Value::Null),
        (
            "eth_getTransactionCount",
            json!(["fe3b557e8fb62b89f4916b721be55ceb828dbd73"]),
            json!("0x0"),
        ),
    ] {
        assert_eq!(rig.result(method, params).await, want, "{method}");
    }
    let (code, message) = rig.error("eth_nothing", json!([])).await;
    assert_eq!(
        (code, message.as_str()),
        (-32601, "the method eth_nothing does not exist/is not available")
    );
    assert_eq!(rig.error("eth_getBalance", json!([])).await.0, -32602);
    assert_eq!(rig.error("eth_getBalance", json!(["0x12", "latest"])).await.0, -32602);
    assert_eq!(rig.error("eth_chainId", json!({})).await.0, -32602);
    let unknown = json!([Signer::funded(0).address(), "0x99"]);
    assert_eq!(rig.error("eth_getBalance", unknown).await, (-32000, "header not found".to_owned()));
}

#[tokio::test]
async fn batches_ids_and_bad_bodies_are_answered_as_json_rpc_says() {
    let rig = Rig::new(DevOptions::default()).await;
    let batch = r#"[{"id":123456789012345678901234567890,"method":"eth_chainId"},{"method":"eth_chainId"}]"#;
    let want = r#"[{"jsonrpc":"2.0","id":123456789012345678901234567890,"result":"0x539"}]"#;
    assert_eq!(rig.post(batch.to_owned()).await, (200, want.to_owned()));
    assert_eq!(rig.post("{".to_owned()).await.0, 400);
    assert_eq!(rig.post(" ".repeat((5 << 20) + 1)).await.0, 413);
}

#[tokio::test]
async fn a_contract_lives_from_deployment_to_logs() {
    let rig = Rig::new(DevOptions::default()).await;
    let signer = Signer::funded(0);
    let contract = signer.address().create(0);
    let deployed = signer.create(0, STORE_AND_LOG);
    assert_eq!(rig.send(&deployed.raw).await, deployed.hash);
    let called = signer.word(1, contract, 42);
    rig.send(&called.raw).await;
    let receipt = rig.result("eth_getTransactionReceipt", json!([deployed.hash])).await;
    assert_eq!(
        (&receipt["contractAddress"], &receipt["status"]),
        (&json!(contract), &json!("0x1"))
    );
    assert_eq!(receipt["type"], "0x0");
    let receipt = rig.result("eth_getTransactionReceipt", json!([called.hash])).await;
    let typed: TransactionReceipt = serde_json::from_value(receipt.clone()).unwrap();
    assert_eq!(
        (typed.block_number, typed.to, typed.contract_address),
        (Some(2), Some(contract), None)
    );
    let log = &receipt["logs"][0];
    assert_eq!((&log["logIndex"], &log["transactionHash"]), (&json!("0x0"), &json!(called.hash)));
    assert_eq!((&log["blockNumber"], &log["removed"]), (&json!("0x2"), &json!(false)));
    let code = rig.result("eth_getCode", json!([contract, "latest"])).await;
    assert_eq!(code, json!(Bytes::copy_from_slice(&STORE_AND_LOG[12..])));
    let slot = json!(B256::from(U256::from(42)));
    assert_eq!(rig.result("eth_getStorageAt", json!([contract, "0x0", "latest"])).await, slot);
    assert_eq!(
        rig.result("eth_getStorageAt", json!([contract, "0x0", "0x1"])).await,
        json!(B256::ZERO)
    );
    let two = rig.chain.head().hash;
    assert_eq!(
        rig.result("eth_getStorageAt", json!([contract, B256::ZERO, { "blockHash": two }])).await,
        slot
    );
    for filter in [
        json!({ "fromBlock": "0x0", "address": contract }),
        json!({ "fromBlock": 2, "toBlock": 2, "unknown": 1 }),
        json!({ "blockHash": two, "topics": [[B256::with_last_byte(0x2a)]] }),
        json!({}),
    ] {
        assert_eq!(rig.result("eth_getLogs", json!([filter])).await, json!([log]), "{filter}");
    }
    for filter in
        [json!({ "toBlock": "0x1", "fromBlock": "0x0" }), json!({ "topics": [B256::ZERO] })]
    {
        assert_eq!(rig.result("eth_getLogs", json!([filter])).await, json!([]), "{filter}");
    }
    let found = rig.result("eth_getTransactionByHash", json!([called.hash])).await;
    assert_eq!((&found["blockNumber"], &found["from"]), (&json!("0x2"), &json!(signer.address())));
    let same = rig.result("eth_getTransactionByBlockNumberAndIndex", json!(["0x2", "0x0"])).await;
    assert_eq!(same, found);
    assert_eq!(
        rig.result("eth_getRawTransactionByHash", json!([called.hash])).await,
        json!(called.raw)
    );
    assert_eq!(rig.result("eth_getBlockReceipts", json!(["0x2"])).await, json!([receipt]));
    assert_eq!(rig.result("eth_getBlockTransactionCountByHash", json!([two])).await, json!("0x1"));
}

#[tokio::test]
async fn a_block_in_json_hashes_to_its_hash() {
    let rig = Rig::new(DevOptions::default()).await;
    let signed = Signer::funded(0).marker(0, [1; 32]);
    rig.send(&signed.raw).await;
    let full = rig.result("eth_getBlockByNumber", json!(["latest", true])).await;
    let block: Block = serde_json::from_value(full.clone()).unwrap();
    assert_eq!(block.header.inner.hash_slow(), block.header.hash);
    assert_eq!((block.header.hash, block.header.number), (rig.chain.head().hash, 1));
    assert_eq!(full["transactions"][0]["hash"], json!(signed.hash));
    assert_eq!(full["transactions"][0]["v"], "0xa96");
    let size =
        usize::from_str_radix(full["size"].as_str().unwrap().trim_start_matches("0x"), 16).unwrap();
    assert!(size > signed.raw.len() + 500, "{size}");
    let hashes = rig.result("eth_getBlockByHash", json!([block.header.hash, false])).await;
    assert_eq!(hashes["transactions"], json!([signed.hash]));
    for tag in ["finalized", "safe", "pending", "0x1"] {
        let named = rig.result("eth_getBlockByNumber", json!([tag, false])).await;
        assert_eq!(named["hash"], json!(block.header.hash), "{tag}");
    }
    assert_eq!(
        rig.result("eth_getBlockByNumber", json!(["earliest", false])).await["number"],
        "0x0"
    );
}

#[tokio::test]
async fn calls_run_on_the_state_asked_for_and_say_why_they_fail() {
    let rig = Rig::new(DevOptions::default()).await;
    // Creation code that reverts with what follows it.
    let reason = alloy_sol_types::Revert::from("no way").abi_encode();
    let code = [&hex!("6064600c60003960646000fd")[..], &reason].concat();
    let call = json!({ "data": Bytes::from(code) });
    for method in ["eth_call", "eth_estimateGas"] {
        let error = rig.answer(method, json!([call, "latest"])).await["error"].take();
        assert_eq!(
            error,
            json!({
                "code": 3, "message": "execution reverted: no way", "data": hex::encode_prefixed(&reason),
            })
        );
    }
    // Creation code that returns its block's number.
    let number = json!({ "input": "0x4360005260206000f3" });
    rig.chain.mine();
    for (block, want) in
        [(json!("latest"), 1), (json!("0x0"), 0), (json!({ "blockNumber": "0x1" }), 1)]
    {
        let got = rig.result("eth_call", json!([number, block])).await;
        assert_eq!(got, json!(B256::with_last_byte(want)));
    }
    assert_eq!(
        rig.error("eth_call", json!([{ "data": "0xfe" }])).await.1,
        "invalid opcode: INVALID"
    );
    assert_eq!(
        rig.error("eth_call", json!([{ "data": "0x5b600056", "gas": "0xffff" }])).await.1,
        "out of gas"
    );
    assert_eq!(rig.error("eth_call", json!([number, "latest", { "0x00": {} }])).await.0, -32602);
    let transfer = json!({ "from": Signer::funded(0).address(), "to": Signer::unfunded(1).address(), "value": "0x1" });
    assert_eq!(rig.result("eth_estimateGas", json!([transfer])).await, "0x5208");
    for fees in [
        json!({ "maxFeePerGas": "0x0", "maxPriorityFeePerGas": "0x0", "nonce": "0x5" }),
        json!({ "gasPrice": "0x7", "accessList": [] }),
        json!({ "maxFeePerGas": "0x9" }),
    ] {
        let mut call = transfer.clone();
        call.as_object_mut().unwrap().extend(fees.as_object().unwrap().clone());
        assert_eq!(rig.result("eth_estimateGas", json!([call])).await, "0x5208", "{fees}");
    }
}

#[tokio::test]
async fn an_estimate_is_enough_and_one_less_is_not() {
    let rig = Rig::new(DevOptions::default()).await;
    let signer = Signer::funded(0);
    rig.send(&signer.create(0, STORE_AND_LOG).raw).await;
    let call = |gas: &Value| json!([{ "from": signer.address(), "to": signer.address().create(0), "data": B256::with_last_byte(1), "gas": gas }]);
    let enough = rig.result("eth_estimateGas", call(&Value::Null)).await;
    rig.result("eth_call", call(&enough)).await;
    let gas = u64::from_str_radix(enough.as_str().unwrap().trim_start_matches("0x"), 16).unwrap();
    assert_eq!(
        rig.error("eth_call", call(&json!(format!("{:#x}", gas - 1)))).await.1,
        "out of gas"
    );
}

#[tokio::test]
async fn filters_tell_what_is_new_and_what_a_reorganisation_took() {
    let rig = Rig::new(DevOptions::default()).await;
    let signer = Signer::funded(0);
    let contract = signer.address().create(0);
    rig.send(&signer.create(0, STORE_AND_LOG).raw).await;
    let logs = rig.result("eth_newFilter", json!([{ "address": contract }])).await;
    let blocks = rig.result("eth_newBlockFilter", json!([])).await;
    rig.send(&signer.word(1, contract, 1).raw).await;
    let two = rig.chain.head();
    let log = rig.result("eth_getFilterChanges", json!([logs])).await;
    assert_eq!((log.as_array().unwrap().len(), &log[0]["blockHash"]), (1, &json!(two.hash)));
    assert_eq!(rig.result("eth_getFilterChanges", json!([logs])).await, json!([]));
    assert_eq!(rig.result("eth_getFilterLogs", json!([logs])).await, log);
    assert_eq!(rig.result("eth_getFilterChanges", json!([blocks])).await, json!([two.hash]));
    rig.chain.rewind(1).unwrap();
    rig.chain.mine();
    let changes = rig.result("eth_getFilterChanges", json!([logs])).await;
    let flags: Vec<_> =
        changes.as_array().unwrap().iter().map(|it| it["removed"].as_bool().unwrap()).collect();
    assert_eq!(flags, [true, false]);
    assert_eq!(changes[0]["blockHash"], json!(two.hash));
    assert_eq!(
        rig.result("eth_getFilterChanges", json!([blocks])).await,
        json!([rig.chain.head().hash])
    );
    assert_eq!(rig.result("eth_uninstallFilter", json!([logs])).await, true);
    assert_eq!(rig.result("eth_uninstallFilter", json!([logs])).await, false);
    assert_eq!(rig.error("eth_getFilterChanges", json!([logs])).await.1, "filter not found");
}

#[tokio::test]
async fn mining_is_controlled_from_outside() {
    let rig = Rig::new(DevOptions { mining: Mining::Manual, ..DevOptions::default() }).await;
    let signer = Signer::funded(0);
    let first = signer.marker(0, [1; 32]);
    rig.send(&first.raw).await;
    let count =
        |tag: &'static str| rig.result("eth_getTransactionCount", json!([signer.address(), tag]));
    assert_eq!((count("latest").await, count("pending").await), (json!("0x0"), json!("0x1")));
    let waiting = rig.result("eth_getTransactionByHash", json!([first.hash])).await;
    assert_eq!((&waiting["blockHash"], &waiting["hash"]), (&Value::Null, &json!(first.hash)));
    let snapshot = rig.result("evm_snapshot", json!([])).await;
    rig.result("evm_mine", json!([])).await;
    assert_eq!(count("latest").await, "0x1");
    assert_eq!(rig.result("evm_revert", json!([snapshot])).await, true);
    assert_eq!((count("latest").await, count("pending").await), (json!("0x0"), json!("0x0")));
    rig.result("evm_setAutomine", json!([true])).await;
    rig.send(&signer.marker(0, [2; 32]).raw).await;
    assert_eq!(rig.result("eth_blockNumber", json!([])).await, "0x1");
    rig.result("evm_setIntervalMining", json!([5])).await;
    let mut heads = rig.chain.watch_head();
    let deadline = std::time::Duration::from_secs(60);
    tokio::time::timeout(deadline, heads.wait_for(|it| it.number > 2)).await.unwrap().unwrap();
    rig.server.stop().await.unwrap();
}

#[tokio::test]
async fn a_fee_history_has_one_base_fee_more_than_blocks() {
    let rig = Rig::new(DevOptions { mining: Mining::Manual, ..DevOptions::default() }).await;
    for _ in 0..3 {
        rig.chain.mine();
    }
    let history = rig.result("eth_feeHistory", json!(["0x2", "latest", [25, 75]])).await;
    assert_eq!(history["oldestBlock"], "0x2");
    assert_eq!(history["baseFeePerGas"], json!(["0x0", "0x0", "0x0"]));
    assert_eq!(history["gasUsedRatio"], json!([0.0, 0.0]));
    assert_eq!(history["reward"], json!([["0x0", "0x0"], ["0x0", "0x0"]]));
    assert_eq!(rig.error("eth_feeHistory", json!([2, "latest", [101]])).await.0, -32602);
}
