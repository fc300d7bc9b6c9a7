//! Anything that can be sent to the API's port: every answer is JSON-RPC, and the node goes on.

use proptest::{prelude::*, strategy::ValueTree as _, test_runner::TestRunner};

use super::*;

const CASES: usize = 400;

/// Arbitrary JSON, some levels deep.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        "0x[0-9a-f]{0,66}".prop_map(Value::from),
        Just(json!("latest")),
        Just(json!(GroupId(B256::repeat_byte(1)).to_base64())),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::btree_map(
                prop_oneof!["[a-z]{1,6}", Just("fromBlock".to_owned()), Just("to".to_owned())],
                inner,
                0..4
            )
            .prop_map(|members| members.into_iter().collect()),
        ]
    })
}

/// Names of ours, and others.
fn any_method() -> impl Strategy<Value = Value> {
    let names: Vec<&str> = coterie_node::rpc::methods::METHODS
        .iter()
        .map(|it| it.name)
        // What sends or asks others is not for random input.
        .filter(|name| *name != "coterie_heal")
        .collect();
    prop_oneof![
        8 => proptest::sample::select(names).prop_map(Value::from),
        1 => "(priv|eea|coterie)_.{0,20}".prop_map(Value::from),
        1 => any_json(),
    ]
}

fn any_request() -> impl Strategy<Value = Value> {
    let id = prop_oneof![any_json(), Just(json!(1)), Just(json!("9".repeat(1_000)))];
    let params = prop_oneof![
        6 => proptest::collection::vec(any_json(), 0..5).prop_map(Value::from),
        1 => any_json(),
    ];
    (any_method(), params, id).prop_map(|(method, params, id)| {
        json!({ "jsonrpc": "2.0", "method": method, "params": params, "id": id })
    })
}

/// Bodies that are requests, batches, or nothing of the kind.
fn any_body() -> impl Strategy<Value = Vec<u8>> {
    let text = |it: Value| it.to_string().into_bytes();
    prop_oneof![
        6 => any_request().prop_map(text),
        2 => proptest::collection::vec(any_request(), 0..6).prop_map(move |it| text(it.into())),
        1 => any_json().prop_map(text),
        // A request with a byte changed: often no UTF-8, or no JSON.
        2 => (any_request(), any::<prop::sample::Index>(), any::<u8>()).prop_map(move |(it, at, byte)| {
            let mut body = text(it);
            let at = at.index(body.len());
            body[at] = byte;
            body
        }),
        1 => proptest::collection::vec(any::<u8>(), 0..200),
        1 => (1usize..5_000).prop_map(|depth| {
            let params = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
            format!(r#"{{"id":1,"method":"priv_call","params":{params}}}"#).into_bytes()
        }),
    ]
}

/// Whether something is an answer to a request.
fn is_answer(answer: &Value) -> bool {
    let error = &answer["error"];
    let is_error = error["code"].is_i64() && error["message"].is_string();
    answer["jsonrpc"] == "2.0"
        && answer.get("id").is_some()
        && (answer.get("result").is_some() != answer.get("error").is_some())
        && (answer.get("error").is_none() || is_error)
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_sent_is_answered_in_json_rpc() {
    let network = Network::start(1).await;
    let mut runner = TestRunner::deterministic();
    let bodies = any_body();
    for case in 0..CASES {
        let body = bodies.new_tree(&mut runner).unwrap().current();
        let (status, reply) = network.members[0].post(body.clone()).await;
        let shown = String::from_utf8_lossy(&body);
        assert!([200, 204, 400, 401].contains(&status), "case {case}: {status} for {shown}");
        if status == 204 {
            assert_eq!(reply, Vec::<u8>::new(), "case {case}: {shown}");
            continue;
        }
        let reply: Value = serde_json::from_slice(&reply).expect("JSON");
        let answers = reply.as_array().cloned().unwrap_or_else(|| vec![reply]);
        assert!(answers.iter().all(is_answer), "case {case}: {answers:?} for {shown}");
    }
    let status = network.members[0].call("coterie_status", json!([])).await;
    assert_eq!(status["ready"], true);
    network.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_a_web_page_had_point_here_is_refused_before_anything_is_done() {
    let network = Network::start(1).await;
    let member = &network.members[0];
    let group = GroupId(B256::repeat_byte(0x43));
    let add = ManagementCall::AddParticipants(network.keys.clone());
    let raw = managed((group, &network.keys[0], 0), &add);
    let create =
        json!({"jsonrpc": "2.0", "id": 1, "method": "eea_sendRawTransaction", "params": [raw]});
    // As a page sends it without asking before.
    let send = async |headers: &[(&str, &str)]| {
        let request = member.http.post(&member.url).header("content-type", "text/plain");
        let request = headers.iter().fold(request, |it, (name, value)| it.header(*name, *value));
        let reply = request.body(create.to_string()).send().await.unwrap();
        (reply.status().as_u16(), reply.text().await.unwrap())
    };
    for (headers, word) in [
        (&[("host", "evil.example")][..], "rpc.host_allowlist"),
        (&[("host", "evil.example"), ("origin", "http://evil.example")], "rpc.host_allowlist"),
    ] {
        let (status, text) = send(headers).await;
        assert_eq!(status, 403, "{headers:?}");
        assert!(text.contains(word), "{text}");
    }
    assert_eq!(member.call("privx_findFlexiblePrivacyGroup", json!([[]])).await, json!([]));
    // Pages of any origin may call a development network, which they can find here only.
    let (status, text) = send(&[("origin", "http://localhost:3000")]).await;
    assert!(status == 200 && text.contains("\"result\""), "{text}");
    network.stop().await;
}
