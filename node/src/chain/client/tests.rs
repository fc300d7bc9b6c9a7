//! The client against the served development chain, and against endpoints that misbehave.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use alloy_primitives::{Bytes, address, b256};
use axum::{Router, http::StatusCode, response::IntoResponse, routing::post};
use serde_json::json;

use super::*;
use crate::chain::{
    dev::{DevChain, DevOptions, DevServer, Mining, serve},
    testing::{STORE_AND_LOG, Signer},
};

fn client(url: &str) -> RpcChain {
    let mut options = RpcOptions::new(url.parse().unwrap());
    options.retry_wait_max = Duration::from_millis(1);
    options.response_bytes_max = 100_000;
    options.batch_calls_max = 4;
    RpcChain::new(options).unwrap()
}

async fn served(options: DevOptions) -> (DevChain, DevServer, RpcChain) {
    let chain = DevChain::new(options);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = serve(chain.clone(), listener).unwrap();
    let client = client(&server.url());
    (chain, server, client)
}

/// An endpoint that answers with a function of the body and of how many requests came before.
async fn endpoint<R: IntoResponse + 'static>(
    answer: impl Fn(Value, usize) -> R + Clone + Send + Sync + 'static,
) -> (RpcChain, Arc<AtomicUsize>) {
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&requests);
    let handler = move |body: String| {
        let before = counted.fetch_add(1, Ordering::SeqCst);
        let reply = answer(serde_json::from_str(&body).unwrap(), before).into_response();
        async move { reply }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url =
        format!("http://user:secret@{}/v3/apikey?token=hidden", listener.local_addr().unwrap());
    let router = Router::new().fallback(post(handler));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (client(&url), requests)
}

fn reply(result: &Value) -> String {
    json!({ "jsonrpc": "2.0", "id": 1, "result": result }).to_string()
}

fn reason(error: ChainError) -> String {
    let ChainError::Unavailable { endpoint, reason } = error else { panic!("{error:?}") };
    assert!(
        endpoint.starts_with("http://127.0.0.1:") && !endpoint.contains("secret"),
        "{endpoint}"
    );
    reason
}

#[tokio::test]
async fn it_says_what_the_chain_in_process_says() {
    let (chain, _server, client) =
        served(DevOptions { mining: Mining::Manual, ..DevOptions::default() }).await;
    let signer = Signer::funded(0);
    let contract = signer.address().create(0);
    let sent =
        [signer.create(0, STORE_AND_LOG), signer.word(1, contract, 7), signer.marker(2, [1; 32])];
    for signed in &sent {
        assert_eq!(client.submit(&signed.raw).await.unwrap(), signed.hash);
        assert_eq!(client.submit(&signed.raw).await.unwrap(), signed.hash);
    }
    assert_eq!(client.mined(sent[0].hash).await.unwrap(), None);
    let one = chain.mine();
    let two = chain.mine();
    assert_eq!(client.submit(&sent[0].raw).await.unwrap(), sent[0].hash);
    assert_eq!(client.chain_id().await.unwrap(), 1337);
    for id in [
        BlockId::Number(1),
        BlockId::Hash(one.hash),
        BlockId::Latest,
        BlockId::Finalized,
        BlockId::Number(9),
    ] {
        assert_eq!(client.block(id).await.unwrap(), chain.block(id).await.unwrap(), "{id:?}");
        assert_eq!(
            client.block_ref(id).await.unwrap(),
            chain.block_ref(id).await.unwrap(),
            "{id:?}"
        );
    }
    assert_eq!(client.block(BlockId::Hash(one.hash)).await.unwrap().unwrap().markers.len(), 1);
    for signed in &sent {
        assert_eq!(
            client.mined(signed.hash).await.unwrap(),
            chain.mined(signed.hash).await.unwrap()
        );
    }
    let reads = [
        PublicRead::Slot(contract, U256::ZERO),
        PublicRead::Account(contract),
        PublicRead::BlockHash(0),
        PublicRead::Account(signer.address()),
        PublicRead::BlockHash(2),
        PublicRead::BlockHash(77),
    ];
    for at in [chain.genesis_hash(), one.hash, two.hash] {
        assert_eq!(client.read(at, &reads).await.unwrap(), chain.read(at, &reads).await.unwrap());
    }
    assert_eq!(client.nonce(signer.address(), false).await.unwrap(), 3);
    let refused = client.submit(&signer.marker(0, [9; 32]).raw).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the chain refused: nonce too low: next nonce 3, tx nonce 0 (-32000)"
    );
    let params = serde_json::value::to_raw_value(&json!(["0x1", false])).unwrap();
    let number =
        client.request("eth_getBlockTransactionCountByNumber", Some(&params)).await.unwrap();
    assert_eq!(number.get(), "\"0x3\"");
    assert_eq!(client.request("eth_chainId", None).await.unwrap().get(), "\"0x539\"");
}

#[tokio::test]
async fn ancestors_of_an_abandoned_branch_are_found_by_parents() {
    let (chain, _server, client) =
        served(DevOptions { mining: Mining::Manual, ..DevOptions::default() }).await;
    for _ in 0..5 {
        chain.mine();
    }
    let abandoned = chain.head();
    chain.rewind(1).unwrap();
    for _ in 0..6 {
        chain.mine();
    }
    let reads: Vec<_> = (0..7).map(PublicRead::BlockHash).collect();
    let want = chain.read(abandoned.hash, &reads).await.unwrap();
    assert_eq!(client.read(abandoned.hash, &reads).await.unwrap(), want);
}

#[tokio::test]
async fn pruned_state_is_told_from_a_block_that_is_not_known() {
    let (chain, _server, client) =
        served(DevOptions { state_blocks_max: 1, ..DevOptions::default() }).await;
    let genesis = chain.genesis_hash();
    chain.mine();
    let reads = [PublicRead::Account(Signer::funded(0).address())];
    assert!(
        matches!(client.read(genesis, &reads).await, Err(ChainError::StatePruned(at)) if at == genesis)
    );
    let error = client.read(B256::repeat_byte(1), &reads).await.unwrap_err();
    assert!(reason(error).contains("is not known there"));
}

#[tokio::test]
async fn a_busy_endpoint_is_asked_again_but_not_for_ever() {
    let (client, requests) = endpoint(|_, before| match before {
        0 => (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "1")], String::new()),
        1 => (StatusCode::SERVICE_UNAVAILABLE, [("x-none", "")], String::new()),
        _ => (StatusCode::OK, [("x-none", "")], reply(&json!("0x7"))),
    })
    .await;
    assert_eq!(client.chain_id().await.unwrap(), 7);
    assert_eq!(requests.load(Ordering::SeqCst), 3);
    let (client, requests) = endpoint(|_, _| StatusCode::TOO_MANY_REQUESTS).await;
    assert_eq!(reason(client.chain_id().await.unwrap_err()), "HTTP status 429 Too Many Requests");
    assert_eq!(requests.load(Ordering::SeqCst), 5);
}

#[tokio::test]
async fn garbage_is_unavailability_with_a_reason_and_without_secrets() {
    for (status, body, want) in [
        (200, "<html>".to_owned(), "not JSON-RPC"),
        (200, "{}".to_owned(), "neither result nor error"),
        (200, reply(&json!({ "number": 1 })), "unexpected answer to eth_chainId"),
        (200, format!("\"{}\"", "a".repeat(100_001)), "longer than 100000 bytes"),
        (302, String::new(), "HTTP status 302"),
        (401, String::new(), "HTTP status 401"),
        (502, "bad gateway".to_owned(), "HTTP status 502"),
    ] {
        let (client, _) =
            endpoint(move |_, _| (StatusCode::from_u16(status).unwrap(), body.clone())).await;
        let error = client.chain_id().await.unwrap_err();
        let text = format!("{error} {error:?} {client:?}");
        assert!(!["secret", "apikey", "hidden"].iter().any(|it| text.contains(it)), "{text}");
        let reason = reason(error);
        assert!(reason.contains(want), "{reason}");
    }
    let nobody = client("http://user:secret@127.0.0.1:1/apikey");
    let text = format!("{:?}", nobody.chain_id().await.unwrap_err());
    assert!(!text.contains("secret") && !text.contains("apikey"), "{text}");
    assert!(RpcChain::new(RpcOptions::new("ftp://example.org".parse().unwrap())).is_err());
}

#[tokio::test]
async fn errors_with_another_status_keep_their_words() {
    let body = r#"{"id":1,"error":{"code":-32601,"message":"no such method","data":{"a":1}}}"#;
    let (client, _) = endpoint(move |_, _| (StatusCode::BAD_REQUEST, body)).await;
    let error = client.request("x", None).await.unwrap_err();
    let ChainError::Refused { code, message, data } = error else { panic!("{error:?}") };
    assert_eq!((code, message.as_str()), (-32601, "no such method"));
    assert_eq!(data.as_deref(), Some(r#"{"a":1}"#));
}

/// A block as an old client writes it: no base fee, no mix hash, a foreign transaction type.
fn old_block(hash: B256) -> Value {
    json!({
        "number": "0x5", "hash": hash, "parentHash": B256::repeat_byte(4), "timestamp": "0x10",
        "miner": "0x0000000000000000000000000000000000000009", "gasLimit": "0x1fffffffffffff",
        "difficulty": "0x20000", "surprise": {}, "transactions": [
            { "type": "0x7e", "sourceHash": "0x00", "to": null, "input": 5 },
            { "hash": B256::repeat_byte(1), "from": "0x00000000000000000000000000000000000000aa", "input": "0x0102",
              "to": "0x000000000000000000000000000000000000007d" },
        ],
    })
}

#[tokio::test]
async fn missing_fields_are_tolerated_and_other_blocks_are_not() {
    let hash = b256!("0505050505050505050505050505050505050505050505050505050505050505");
    let (client, _) = endpoint(move |_, _| reply(&old_block(hash))).await;
    let block = client.block(BlockId::Hash(hash)).await.unwrap().unwrap();
    assert_eq!((block.header.base_fee, block.header.mix_hash), (None, B256::ZERO));
    assert_eq!(
        (block.header.difficulty, block.header.excess_blob_gas),
        (U256::from(0x20000), None)
    );
    assert_eq!(block.markers.len(), 1);
    assert_eq!((block.markers[0].index, &block.markers[0].input), (1, &Bytes::from([1, 2])));
    assert_eq!(block.markers[0].from, address!("00000000000000000000000000000000000000aa"));
    let other = client.block(BlockId::Hash(B256::ZERO)).await.unwrap_err();
    assert!(reason(other).contains("instead of the one asked for"));
    assert!(client.block_ref(BlockId::Number(6)).await.is_err());
    let (client, _) = endpoint(|_, _| reply(&Value::Null)).await;
    assert_eq!(client.block(BlockId::Latest).await.unwrap(), None);
    assert_eq!(client.mined(hash).await.unwrap(), None);
    // As anvil says that it does not know a block.
    let anvil = r#"{"id":0,"error":{"code":-32001,"message":"Resource not found"}}"#;
    let (client, _) = endpoint(move |_, _| anvil).await;
    let reads = [PublicRead::Slot(Address::ZERO, U256::ZERO)];
    assert!(reason(client.read(hash, &reads).await.unwrap_err()).contains("is not known there"));
    assert_eq!(client.block(BlockId::Hash(hash)).await.unwrap(), None);
    let unknown = r#"{"id":1,"error":{"code":-39001,"message":"Unknown block"}}"#;
    let (client, _) = endpoint(move |_, _| unknown).await;
    assert_eq!(client.block_ref(BlockId::Finalized).await.unwrap(), None);
}

/// Answers `eth_getBalance` and the like with the length of the last parameter's name.
fn state_answer(call: &Value) -> Value {
    let hash = B256::repeat_byte(5);
    match call["method"].as_str().unwrap() {
        "eth_getBlockByHash" | "eth_getBlockByNumber" => {
            json!({ "id": call["id"], "result": old_block(hash) })
        }
        "eth_getCode" => json!({ "id": call["id"], "result": "0x" }),
        _ if call["params"].as_array().unwrap().last().unwrap().is_object() => {
            json!({ "id": call["id"], "error": { "code": -32602, "message": "invalid argument 1: hex string" } })
        }
        _ => json!({ "id": call["id"], "result": "0x5" }),
    }
}

#[tokio::test]
async fn endpoints_without_batches_or_block_hash_parameters_are_read_all_the_same() {
    let at = B256::repeat_byte(5);
    let account = PublicAccount { nonce: 5, balance: U256::from(5), code: Bytes::new() };
    let want = [PublicValue::Account(account.clone()), PublicValue::Account(account)];
    let reads = [PublicRead::Account(Address::ZERO); 2];
    let (client, requests) = endpoint(|body, _| match body.as_array() {
        // Answers in another order.
        Some(calls) => Value::Array(calls.iter().rev().map(state_answer).collect()).to_string(),
        None => state_answer(&body).to_string(),
    })
    .await;
    assert_eq!(client.read(at, &reads).await.unwrap(), want);
    let first = requests.load(Ordering::SeqCst);
    assert_eq!(client.read(at, &reads).await.unwrap(), want);
    // It does not try by hash again: the header, the number before and after, and two batches.
    assert_eq!(requests.load(Ordering::SeqCst) - first, 5);
    let (client, requests) = endpoint(|body, _| match body.as_array() {
        Some(_) => json!({ "error": { "code": -32600, "message": "no batches" } }).to_string(),
        None => state_answer(&body).to_string(),
    })
    .await;
    assert_eq!(client.read(at, &reads).await.unwrap(), want);
    let first = requests.load(Ordering::SeqCst);
    assert_eq!(client.read(at, &reads).await.unwrap(), want);
    assert_eq!(requests.load(Ordering::SeqCst) - first, 9);
}

#[tokio::test]
async fn missing_answers_of_a_batch_are_no_answers() {
    let (client, _) = endpoint(|_, _| r#"[{"id":0,"result":"0x1"}]"#).await;
    let reads = [PublicRead::Account(Address::ZERO)];
    let error = client.read(B256::ZERO, &reads).await.unwrap_err();
    assert_eq!(reason(error), "answers to some calls are missing");
}

/// The answer to a submission: a hash that tells which transaction it was.
fn submission(call: &Value) -> Value {
    let raw: Bytes = serde_json::from_value(call["params"][0].clone()).unwrap();
    json!({ "id": call["id"], "result": keccak256(raw) })
}

/// What became of submissions: `true` for one that the endpoint took.
fn taken(raw: &[Vec<u8>], answers: Vec<Result<B256, ChainError>>) -> Vec<bool> {
    assert_eq!(answers.len(), raw.len());
    let check = |(raw, answer): (&Vec<u8>, Result<B256, ChainError>)| match answer {
        Ok(hash) => hash == keccak256(raw),
        Err(error) => {
            assert!(!reason(error).is_empty());
            false
        }
    };
    raw.iter().zip(answers).map(check).collect()
}

#[tokio::test]
async fn what_was_submitted_before_a_failure_counts_and_nothing_is_sent_after_it() {
    let raw: Vec<Vec<u8>> = (1..=10).map(|it| vec![it]).collect();
    let failure = || StatusCode::BAD_GATEWAY.into_response();
    // In batches of four: the second one fails.
    let (client, requests) = endpoint(move |body, before| match (body.as_array(), before) {
        (Some(calls), 0) => {
            Value::Array(calls.iter().map(submission).collect()).to_string().into_response()
        }
        _ => failure(),
    })
    .await;
    let first_four = [[true; 4].as_slice(), &[false; 6]].concat();
    assert_eq!(taken(&raw, client.submit_all(&raw).await), first_four);
    assert_eq!(requests.load(Ordering::SeqCst), 2);
    // One by one: the first request is the batch that is refused.
    let (client, requests) = endpoint(move |body, before| match (body.as_array(), before) {
        (Some(_), _) => {
            json!({ "error": { "code": -32600, "message": "no" } }).to_string().into_response()
        }
        (None, ..=6) => submission(&body).to_string().into_response(),
        (None, _) => failure(),
    })
    .await;
    let first_six = [[true; 6].as_slice(), &[false; 4]].concat();
    assert_eq!(taken(&raw, client.submit_all(&raw).await), first_six);
    assert_eq!(requests.load(Ordering::SeqCst), 8);
    // A batch with an answer left out.
    let (client, _) = endpoint(|body, _| {
        let calls = body.as_array().unwrap().iter();
        let answers = calls.filter(|it| it["id"] != 1).map(submission).collect();
        Value::Array(answers).to_string()
    })
    .await;
    let all_but_one = [true, false, true, true];
    assert_eq!(taken(&raw[..4], client.submit_all(&raw[..4]).await), all_but_one);
}

#[tokio::test]
async fn an_ancestor_that_a_replica_does_not_have_is_waited_for() {
    let at = B256::repeat_byte(5);
    let reads = [PublicRead::BlockHash(3), PublicRead::BlockHash(5), PublicRead::BlockHash(6)];
    let block = |number: u64, hash: B256| {
        let mut block = old_block(hash);
        block["number"] = json!(U64::from(number));
        block
    };
    let numbered = move |body: &Value| match body["params"][0].as_str().unwrap() {
        "0x5" => Some(block(5, at)),
        "0x3" => Some(block(3, B256::repeat_byte(3))),
        _ => None,
    };
    let (client, _) = endpoint(move |body, _| match body["method"].as_str().unwrap() {
        "eth_getBlockByHash" => reply(&block(5, at)),
        _ if body["params"][0] == "0x3" => reply(&Value::Null),
        _ => reply(&numbered(&body).into()),
    })
    .await;
    let error = client.read(at, &reads).await.unwrap_err();
    assert!(reason(error).contains("block 3 is not known there"));

    let (client, _) = endpoint(move |body, _| match body["method"].as_str().unwrap() {
        "eth_getBlockByHash" => reply(&block(5, at)),
        _ => reply(&numbered(&body).into()),
    })
    .await;
    let hashes = [B256::repeat_byte(3), at, B256::ZERO];
    assert_eq!(client.read(at, &reads).await.unwrap(), hashes.map(PublicValue::BlockHash));

    // The chain changes between the first look at block 5 and the last.
    let (client, _) = endpoint(move |body, before| match body["method"].as_str().unwrap() {
        "eth_getBlockByHash" => reply(&block(5, at)),
        _ if before > 2 => reply(&block(5, B256::repeat_byte(0x55))),
        _ => reply(&numbered(&body).into()),
    })
    .await;
    let error = client.read(at, &reads).await.unwrap_err();
    assert!(reason(error).contains("is not canonical there"));
}
