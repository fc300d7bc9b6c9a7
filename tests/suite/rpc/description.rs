//! The API's description of itself: the page that is made of it is fresh, and it is served.

use std::{fs, path::Path};

use coterie_node::rpc::openrpc;

use super::*;

/// Validators of all results, by method, and the errors that are listed.
pub(super) struct Described {
    document: Value,
}

impl Described {
    /// As a node serves it.
    pub(super) async fn by(client: &Client) -> Self {
        Self { document: client.call("rpc_discover", json!([])).await }
    }

    fn method(&self, name: &str) -> Option<&Value> {
        self.document["methods"].as_array()?.iter().find(|it| it["name"] == name)
    }

    /// What is wrong with an answer, by the description of its method.
    pub(super) fn problem(&self, method: &str, answer: &Value) -> Option<String> {
        let described = self.method(method)?;
        if let Some(error) = answer.get("error") {
            let listed = described["errors"].as_array()?.iter().any(|it| is_listed(it, error));
            return (!listed).then(|| format!("{method}: {error} is not listed"));
        }
        let mut schema = described["result"]["schema"].clone();
        schema["components"] = self.document["components"].clone();
        let validator = jsonschema::draft7::new(&schema).unwrap();
        let problem = validator.iter_errors(&answer["result"]).next()?;
        Some(format!("{method}: {problem} at {}", problem.instance_path()))
    }
}

/// Whether an error is one of those that are listed.
fn is_listed(listed: &Value, error: &Value) -> bool {
    // A revert has its reason in the message, and its bytes as data.
    let reverted = listed.get("data").is_none();
    let message = error["message"].as_str().unwrap_or_default();
    listed["code"] == error["code"]
        && message.starts_with(listed["message"].as_str().unwrap())
        && (reverted || listed["data"]["code"] == error["data"]["code"])
}

#[test]
fn the_reference_page_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/rpc.md");
    let page = fs::read_to_string(path).unwrap_or_default();
    assert!(page == openrpc::page(), "docs/rpc.md is stale: run `cargo xtask docs`");
}

#[test]
fn a_wrong_answer_is_noticed() {
    let described = Described { document: openrpc::document().clone() };
    let problem = |method: &str, answer: Value| described.problem(method, &answer);
    let hash = B256::repeat_byte(1);
    assert_eq!(problem("priv_debugGetStateRoot", json!({ "result": hash })), None);
    assert!(problem("priv_debugGetStateRoot", json!({ "result": "0x01" })).is_some());
    assert!(problem("priv_debugGetStateRoot", json!({ "result": null })).is_some());
    assert_eq!(problem("priv_getBalance", json!({ "result": "0x0" })), None);
    assert!(problem("priv_getBalance", json!({ "result": "0x00" })).is_some());
    let log = json!({ "address": "0x" });
    assert!(problem("priv_getLogs", json!({ "result": [log] })).is_some());
    let error =
        json!({ "code": -39001, "message": "Unknown block", "data": { "code": "BLOCK_UNKNOWN" } });
    assert_eq!(problem("priv_getCode", json!({ "error": error })), None);
    assert!(problem("priv_getTransactionCount", json!({ "error": error })).is_some());
}
