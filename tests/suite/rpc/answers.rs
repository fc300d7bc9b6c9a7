//! Request JSON and response JSON for every method, and for every error that parameters alone can
//! bring about, in a table beside this file: `answers.json`. Hashes that differ from run to run have
//! names there. Every answer is also compared with the API's own description.
//!
//! A case that changed is written anew by `COTERIE_WRITE_ANSWERS=1 cargo test -p coterie-tests
//! --test suite rpc::answers`; then read what changed. Errors that need something broken are in the
//! tables of `rpc/error.rs`.

use std::{collections::BTreeSet, fs, path::Path};

use coterie_node::rpc::methods::METHODS;

use super::{description::Described, *};
use crate::artifacts::creation_code;

/// Methods without a result in the table: over a WebSocket only, or with an id that another answer
/// gave. They have tests of their own.
const ELSEWHERE: [&str; 4] =
    ["priv_getFilterChanges", "priv_getFilterLogs", "priv_subscribe", "priv_unsubscribe"];
const TABLE: &str = "suite/rpc/answers.json";

/// A group with a contract, its markers, and names for what differs from run to run.
struct Scene {
    network: Network,
    /// Text in answers, and its name.
    names: Vec<(String, String)>,
}

impl Scene {
    async fn new() -> Self {
        let network = Network::start(2).await;
        let mut scene = Self { network, names: Vec::new() };
        let id = GroupId(B256::repeat_byte(0x31));
        let from = scene.network.keys[0].clone();
        let at = |nonce| (id, &from, nonce);
        let add = ManagementCall::AddParticipants(scene.network.keys.clone());
        scene.send("create", managed(at(0), &add)).await;
        let code = signed(at(1), TxKind::Create, creation_code("EventEmitter"));
        let receipt = scene.send("deploy", code).await;
        let contract = address(&receipt["contractAddress"]);
        let store = [&[0x60, 0x57, 0x36, 0x1d], B256::with_last_byte(42).as_slice()].concat();
        scene.send("store", signed(at(2), TxKind::Call(contract), store.clone())).await;
        scene.send("fails", signed(at(3), TxKind::Call(contract), [0xff; 4])).await;
        scene.send("lock", managed(at(3), &ManagementCall::Lock)).await;
        scene.send("locked", signed(at(4), TxKind::Call(contract), store)).await;
        scene.send("unlock", managed(at(4), &ManagementCall::Unlock)).await;
        let raw = signed(at(5), TxKind::Call(contract), [0x3f, 0xa4, 0xf2, 0x45]);
        let a = scene.network.members[0].clone();
        let payload = a.call("priv_distributeRawTransaction", json!([raw])).await;
        let data: Bytes = serde_json::from_value(payload.clone()).unwrap();
        for name in ["marked", "marked again"] {
            let hash = a.mark(data.clone()).await;
            scene.note(name, &hash).await;
        }
        let stranger = a.mark(Bytes::from(B256::repeat_byte(0x77))).await;
        scene.note("for nobody", &stranger).await;
        let next = signed(at(6), TxKind::Call(contract), [0x3f, 0xa4, 0xf2, 0x45]);
        scene.names.push((next.to_string(), "{next}".to_owned()));
        scene.names.push((text(&payload), "{payload}".to_owned()));
        scene.names.push((contract.to_string().to_lowercase(), "{contract}".to_owned()));
        scene
    }

    async fn send(&mut self, name: &str, raw: Bytes) -> Value {
        let hash = self.network.members[0].call("eea_sendRawTransaction", json!([raw])).await;
        self.note(name, &hash).await;
        self.network.members[0].receipt(&hash).await
    }

    /// Names a marker and its block.
    async fn note(&mut self, name: &str, hash: &Value) {
        for member in &self.network.members {
            member.mined(hash).await;
            member.caught_up().await;
        }
        let chain = &self.network.chain;
        let mined = chain.call("eth_getTransactionReceipt", json!([hash])).await;
        self.names.push((text(hash), format!("{{{name}}}")));
        self.names.push((text(&mined["blockHash"]), format!("{{block of {name}}}")));
    }

    /// A request of the table as it is sent.
    fn filled(&self, request: &Value) -> Value {
        let mut text = request.to_string();
        for (value, name) in &self.names {
            text = text.replace(name, value);
        }
        serde_json::from_str(&text).unwrap()
    }

    /// An answer as it is in the table.
    fn named(&self, method: &str, answer: &Value) -> Value {
        let mut text = answer.to_string();
        for (value, name) in &self.names {
            text = text.replace(value, name);
        }
        let mut answer: Value = serde_json::from_str(&text).unwrap();
        steady(method, &mut answer);
        answer
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// Takes away what is not the same in every run, and what other tables hold.
fn steady(method: &str, answer: &mut Value) {
    let Some(result) = answer.get_mut("result") else { return };
    match method {
        "rpc.discover" | "rpc_discover" => *result = json!({ "openrpc": result["openrpc"] }),
        "coterie_groupStatus" => {
            // What ids come to, and when the other member answered last.
            for (place, name) in [("/digest", "{digest}"), ("/comparisons/0/block", "{block}")] {
                if let Some(value) = result.pointer_mut(place) {
                    *value = json!(name);
                }
            }
            if let Some(ago) = result.pointer_mut("/comparisons/0/secondsAgo") {
                *ago = json!("{seconds}");
            }
        }
        // Signed by keys that are made for each marker, and encrypted by chance.
        "eea_sendRawTransaction" | "priv_distributeRawTransaction" => *result = json!("{hash}"),
        _ => {}
    }
}

fn table() -> (std::path::PathBuf, Vec<Value>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(TABLE);
    let cases = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    (path, cases)
}

/// The table, a case a line.
fn written(cases: &[Value]) -> String {
    let lines: Vec<_> = cases.iter().map(|it| format!("  {it}")).collect();
    format!("[\n{}\n]\n", lines.join(",\n"))
}

#[expect(clippy::disallowed_methods, reason = "a switch of this test, not of the program")]
fn is_written() -> bool {
    std::env::var("COTERIE_WRITE_ANSWERS").is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_those_of_the_table_and_of_the_description() {
    let (path, mut cases) = table();
    let scene = Scene::new().await;
    let client = &scene.network.members[0];
    let compared = poll(POLL, DEADLINE, async || {
        let group = GroupId(B256::repeat_byte(0x31)).to_base64();
        let status = client.call("coterie_groupStatus", json!([group])).await;
        (status["comparisons"][0]["agrees"] == true).then_some(())
    });
    compared.await.expect("the members compared their states");
    let described = Described::by(client).await;
    let (mut problems, mut asked) = (Vec::new(), BTreeSet::new());
    for case in &mut cases {
        let method = text(&case["method"]);
        let (_, answer) = client.answer(&method, &scene.filled(&case["params"])).await;
        problems.extend(described.problem(&method, &answer));
        let got = scene.named(&method, &answer);
        if case["answer"] != got && !is_written() {
            problems.push(format!("{case}\n  got {got}"));
        }
        case["answer"] = got;
        asked.insert((method, answer.get("error").is_some()));
    }
    // A new method is asked too.
    for method in METHODS.iter().filter(|it| it.is_enabled()) {
        let answered = asked.contains(&(method.name.to_owned(), false));
        if !answered && !ELSEWHERE.contains(&method.name) {
            problems.push(format!("no case has a result of {}", method.name));
        }
    }
    if is_written() {
        fs::write(path, written(&cases)).unwrap();
    }
    scene.network.stop().await;
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
