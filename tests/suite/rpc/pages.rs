//! Pages of a group's transactions: put together they are the whole, and none reads more of the
//! chain than it may.

use super::*;

/// Blocks that are read from the chain for one page, at most.
const BLOCKS: u64 = 64;

/// All pages of a query, until there is no cursor.
async fn pages(member: &Client, group: GroupId, query: Value) -> Vec<Value> {
    let mut pages: Vec<Value> = Vec::new();
    loop {
        let mut query = query.clone();
        if let Some(page) = pages.last() {
            query["cursor"] = page["cursor"].clone();
        }
        let params = json!([group.to_base64(), query]);
        let page = member.call("priv_getBlockTransactions", params).await;
        let ended = page["cursor"].is_null();
        pages.push(page);
        assert!(pages.len() < 50, "the pages do not end");
        if ended {
            return pages;
        }
    }
}

/// The markers on some pages, with their reasons.
fn listed(pages: &[Value]) -> Vec<(Value, Value)> {
    let all = pages.iter().flat_map(|page| page["transactions"].as_array().unwrap());
    all.map(|it| (it["transactionHash"].clone(), it["reason"].clone())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_the_whole_in_parts() {
    let network = Network::start(2).await;
    let group = GroupId(B256::repeat_byte(0x42));
    let [a, b] = &network.members[..] else { panic!("two members") };
    let mut wanted = Vec::new();
    let add = ManagementCall::AddParticipants(network.keys.clone());
    let mut send = vec![managed((group, &network.keys[0], 0), &add)];
    send.extend((1..4).map(|nonce| {
        // A call of an address without code: nothing happens.
        signed((group, &network.keys[0], nonce), TxKind::Call(Address::repeat_byte(1)), [])
    }));
    let mut data = Value::Null;
    for raw in send {
        let marker = a.call("eea_sendRawTransaction", json!([raw])).await;
        assert_eq!(a.receipt(&marker).await["status"], "0x1");
        data =
            network.chain.call("eth_getTransactionByHash", json!([marker])).await["input"].clone();
        wanted.push((marker, json!("executed")));
    }
    // Far later, somebody else marks the last payload.
    for _ in 0..2 * BLOCKS {
        network.chain.call("evm_mine", json!([])).await;
    }
    let again = network.chain.mark(serde_json::from_value(data).unwrap()).await;
    a.caught_up().await;
    b.caught_up().await;
    let head = network.chain.call("eth_blockNumber", json!([])).await;
    let head: alloy_primitives::U64 = serde_json::from_value(head).unwrap();
    let head: u64 = head.to();

    for member in [a, b] {
        let whole = pages(member, group, json!({})).await;
        assert_eq!((whole.len(), listed(&whole)), (1, wanted.clone()));
        let singles = pages(member, group, json!({"limit": 1})).await;
        assert_eq!((singles.len(), listed(&singles)), (wanted.len(), wanted.clone()));
        // A cursor before the range does not widen it, a block past the head is the head.
        let query = json!({"fromBlock": "latest", "toBlock": head + 1000, "cursor": "0-0"});
        assert_eq!(listed(&pages(member, group, query).await), []);
    }

    let with_again = [&wanted[..], &[(again, json!("copied"))]].concat();
    let long = pages(a, group, json!({"ignored": true})).await;
    assert_eq!(listed(&long), with_again);
    assert_eq!(long.len() as u64, (head + 1).div_ceil(BLOCKS));
    for (at, page) in long.iter().enumerate().take(long.len() - 1) {
        assert_eq!(page["cursor"], format!("{}-0", (at as u64 + 1) * BLOCKS));
    }
    let singles = pages(a, group, json!({"ignored": true, "limit": 1})).await;
    assert_eq!(listed(&singles), with_again);
    // The last cursor is where the range ends: there is no page after it.
    let range = json!({"ignored": true, "fromBlock": 0, "toBlock": BLOCKS - 1});
    assert_eq!(pages(a, group, range).await.len(), 1);
    network.stop().await;
}
