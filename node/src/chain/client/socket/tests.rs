//! Subscriptions against the served development chain.

use serde_json::{Value, json};

use super::*;
use crate::chain::{
    dev::{DevChain, DevOptions, DevServer, Mining, serve},
    testing::{STORE_AND_LOG, Signer},
};

/// How long anything may take.
const DEADLINE: Duration = Duration::from_secs(60);

fn subscriptions(url: &str) -> Subscriptions {
    let (url, timeout) = (url.parse().unwrap(), Duration::from_secs(20));
    Subscriptions::new(Options { url, timeout, message_bytes_max: 1 << 20 })
}

async fn served() -> (DevChain, DevServer) {
    let chain = DevChain::new(DevOptions { mining: Mining::Manual, ..DevOptions::default() });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = serve(chain.clone(), listener).unwrap();
    (chain, server)
}

async fn next(subscription: &mut ChainSubscription) -> Value {
    let next = tokio::time::timeout(DEADLINE, subscription.next()).await;
    serde_json::from_str(next.expect("in time").expect("a result").get()).unwrap()
}

#[tokio::test]
async fn heads_and_logs_are_told_and_what_a_reorg_takes_away() {
    let (chain, server) = served().await;
    let subscriptions = subscriptions(&server.ws_url());
    let mut heads = subscriptions.subscribe(r#"["newHeads"]"#).await.unwrap();
    let contract = Signer::funded(0).address().create(0);
    let filter = json!(["logs", { "address": contract }]).to_string();
    let mut logs = subscriptions.subscribe(&filter).await.unwrap();
    let genesis = chain.head();
    chain.send_raw(&Signer::funded(0).create(0, STORE_AND_LOG).raw).unwrap();
    chain.send_raw(&Signer::funded(0).word(1, contract, 7).raw).unwrap();
    let block = chain.mine();
    assert_eq!(next(&mut heads).await["hash"], json!(block.hash));
    let log = next(&mut logs).await;
    assert_eq!((&log["blockHash"], &log["removed"]), (&json!(block.hash), &json!(false)));
    let other = chain.mine_on(genesis.hash, &[]).unwrap();
    chain.set_head(other.hash).unwrap();
    assert_eq!(next(&mut heads).await["hash"], json!(other.hash));
    let log = next(&mut logs).await;
    assert_eq!((&log["blockHash"], &log["removed"]), (&json!(block.hash), &json!(true)));
}

#[tokio::test]
async fn the_same_subscription_is_shared_and_others_are_refused_in_the_chains_words() {
    let (chain, server) = served().await;
    let subscriptions = subscriptions(&server.ws_url());
    let mut one = subscriptions.subscribe(r#"["newHeads"]"#).await.unwrap();
    let mut two = subscriptions.subscribe(r#"["newHeads"]"#).await.unwrap();
    let block = json!(chain.mine().hash);
    assert_eq!(next(&mut one).await["hash"], block);
    assert_eq!(next(&mut two).await["hash"], block);
    drop(one);
    let block = json!(chain.mine().hash);
    assert_eq!(next(&mut two).await["hash"], block);
    let refused = subscriptions.subscribe(r#"["nothing"]"#).await.unwrap_err();
    assert!(matches!(refused, ChainError::Refused { code: -32602, .. }), "{refused}");
    let long = format!("[\"{}\"]", "x".repeat(PARAMS_BYTES_MAX));
    let refused = subscriptions.subscribe(&long).await.unwrap_err();
    assert!(matches!(refused, ChainError::Refused { code: -32602, .. }), "{refused}");
}

#[tokio::test]
async fn a_connection_that_breaks_ends_what_was_subscribed_to_and_can_be_made_again() {
    let (chain, server) = served().await;
    let address = server.address();
    let subscriptions = subscriptions(&server.ws_url());
    let mut heads = subscriptions.subscribe(r#"["newHeads"]"#).await.unwrap();
    server.stop().await.unwrap();
    let ended = tokio::time::timeout(DEADLINE, heads.next()).await.unwrap();
    assert!(ended.is_none(), "{ended:?}");
    let refused = subscriptions.subscribe(r#"["newHeads"]"#).await.unwrap_err();
    assert!(matches!(refused, ChainError::Unavailable { .. }), "{refused}");
    // The port may be taken for a moment.
    let listen = async {
        loop {
            if let Ok(listener) = tokio::net::TcpListener::bind(address).await {
                return listener;
            }
            tokio::task::yield_now().await;
        }
    };
    let listener = tokio::time::timeout(DEADLINE, listen).await.unwrap();
    let _server = serve(chain.clone(), listener).unwrap();
    let mut heads = subscriptions.subscribe(r#"["newHeads"]"#).await.unwrap();
    assert_eq!(json!(chain.mine().hash), next(&mut heads).await["hash"]);
}

#[tokio::test]
async fn an_endpoint_that_is_not_there_is_named_without_credentials() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    for scheme in ["ws", "wss"] {
        let subscriptions = subscriptions(&format!("{scheme}://user:secret@{address}/v3/hidden"));
        let error = subscriptions.subscribe(r#"["newHeads"]"#).await.unwrap_err().to_string();
        assert!(error.contains(&address.to_string()), "{error}");
        assert!(!error.contains("secret") && !error.contains("hidden"), "{error}");
        assert!(!format!("{subscriptions:?}").contains("secret"));
    }
}

#[test]
fn credentials_of_the_url_become_a_header() {
    let check = |url: &str, want: Option<&str>| {
        let header = credentials(&url.parse().unwrap());
        assert_eq!(header.as_ref().map(|it| it.to_str().unwrap()), want);
    };
    check("ws://host/", None);
    check("ws://user:pass%20word@host/", Some("Basic dXNlcjpwYXNzIHdvcmQ="));
}
