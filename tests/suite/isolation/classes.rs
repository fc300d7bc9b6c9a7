//! What each method may tell whom.

use coterie_core::GroupId;
use coterie_node::rpc::methods::METHODS;
use serde_json::{Value, json};

use super::{
    requests::Request,
    scenario::{Answer, Scenario},
};

/// What a tenant is to what it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Relation {
    Member,
    Removed,
    ReAdded,
    Never,
    /// It does not ask for a group.
    None,
    /// It has no token.
    NoToken,
    /// Its token was good once.
    ExpiredToken,
}

/// What a method is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// No group, and no tenant's.
    Public,
    /// The tenant's groups, by its keys.
    Search,
    /// The next nonce.
    Count,
    /// A call after a block.
    Call,
    /// Accounts after a block.
    State,
    /// The state root after a block.
    Root,
    /// Logs of blocks.
    Logs,
    /// A marker's receipt or transaction.
    Marker,
    /// Logs as they come, by an id that is its maker's.
    Watch,
    /// Sending a transaction that must be refused.
    Send,
    /// Changes something, or needs a connection: compared elsewhere.
    Elsewhere,
}

/// Every method of the node, classified; the build of the test fails at one that is not.
fn class(method: &str) -> Class {
    match method {
        "priv_getPrivacyPrecompileAddress"
        | "rpc.discover"
        | "rpc_discover"
        | "priv_createPrivacyGroup"
        | "priv_deletePrivacyGroup"
        | "priv_findPrivacyGroup" => Class::Public,
        "privx_findFlexiblePrivacyGroup"
        | "privx_findOnChainPrivacyGroup"
        | "privx_findOnchainPrivacyGroup" => Class::Search,
        "priv_getTransactionCount" | "priv_getEeaTransactionCount" => Class::Count,
        "priv_call" => Class::Call,
        "priv_getCode"
        | "priv_getBalance"
        | "priv_getStorageAt"
        | "priv_getProof"
        | "priv_estimateGas"
        | "priv_traceTransaction"
        | "priv_getBlockTransactions" => Class::State,
        "priv_debugGetStateRoot" => Class::Root,
        "priv_getLogs" => Class::Logs,
        "priv_getTransactionReceipt" | "priv_getPrivateTransaction" | "priv_getTransaction" => {
            Class::Marker
        }
        // They tell of the node: which members are on others, what came late.
        "coterie_groupStatus" | "coterie_status" => Class::Elsewhere,
        // For operators, who are no tenants.
        "coterie_heal" => Class::Elsewhere,
        "eea_sendRawTransaction" | "priv_distributeRawTransaction" => Class::Send,
        "priv_newFilter"
        | "priv_getFilterChanges"
        | "priv_getFilterLogs"
        | "priv_uninstallFilter" => Class::Watch,
        // Over a WebSocket only.
        "priv_subscribe" | "priv_unsubscribe" => Class::Elsewhere,
        other => panic!("{other} is a method of the node, but nobody said what it may tell whom"),
    }
}

/// The methods whose answers are compared.
pub(super) fn compared() -> Vec<&'static str> {
    let names = METHODS.iter().map(|method| method.name);
    names.filter(|name| class(name) != Class::Elsewhere).collect()
}

/// The relations with which a method can be asked.
pub(super) fn relations(method: &str) -> &'static [Relation] {
    match class(method) {
        Class::Public | Class::Search => &[Relation::None],
        // By a list of keys: nobody has a group with such an id.
        Class::Count if method == "priv_getEeaTransactionCount" => &[Relation::None],
        Class::Count
        | Class::Call
        | Class::State
        | Class::Root
        | Class::Logs
        | Class::Marker
        | Class::Watch
        | Class::Send => &[Relation::Member, Relation::Removed, Relation::ReAdded, Relation::Never],
        Class::Elsewhere => &[],
    }
}

/// Checks what the relation allows at all; the relation.
pub(super) fn check(
    scenario: &Scenario,
    tenant: usize,
    request: &Request,
    answer: &Value,
) -> Relation {
    if class(request.method) == Class::Search {
        let own = scenario.tenants[tenant].to_base64();
        let keys = request.params[0].as_array();
        let asked = keys.is_some_and(|keys| keys.is_empty() || keys.contains(&json!(own)));
        // One asks for one's own groups.
        assert_eq!(answer.get("error").is_some(), !asked, "{request:#?}: {answer}");
    }
    let Some(group) = request.group else { return Relation::None };
    let relation = scenario.relation(tenant, group);
    let error = &answer["error"]["code"];
    let said = || format!("{relation:?} {request:#?}: {answer}\n{}", scenario.log());
    match (class(request.method), relation) {
        (Class::State | Class::Call | Class::Logs | Class::Watch, Relation::Never)
        | (Class::State | Class::Watch, Relation::Removed) => {
            assert_eq!(*error, json!(-40100), "{}", said())
        }
        (Class::Root, Relation::Never) => assert_eq!(*error, json!(-50100), "{}", said()),
        (Class::Root, Relation::Removed) => assert_eq!(*error, json!(-50100), "{}", said()),
        (Class::Count, Relation::Never) => assert_eq!(answer["result"], "0x0", "{}", said()),
        (Class::Count, Relation::Removed) => assert_eq!(*error, json!(-50100), "{}", said()),
        (Class::Call | Class::Logs, Relation::Removed) => {
            check_removed(scenario, tenant, (group, request), answer);
        }
        (Class::Marker, Relation::Never) => check_stranger(answer, &said),
        (Class::Send, _) => assert!(error.is_number(), "{}", said()),
        _ => assert!(*error != json!(-40100), "{}", said()),
    }
    relation
}

/// The one answer for everybody without a good token, whatever is asked.
pub(super) fn unauthorized() -> Answer {
    let error =
        json!({"code": -40100, "message": "Unauthorized", "data": {"code": "UNAUTHORIZED"}});
    Answer { status: 401, body: json!({"jsonrpc": "2.0", "id": null, "error": error}) }
}

/// Nothing later than the removal.
fn check_removed(
    scenario: &Scenario,
    tenant: usize,
    (group, request): (GroupId, &Request),
    answer: &Value,
) {
    let removal = scenario.removal(tenant, group).expect("removed");
    if let Some(number) = request.number.filter(|number| *number > removal) {
        assert_eq!(answer["error"]["code"], json!(-40100), "block {number}: {answer}");
    }
    for log in answer["result"].as_array().into_iter().flatten() {
        let number = log["blockNumber"].as_str().expect("a number").trim_start_matches("0x");
        assert!(u64::from_str_radix(number, 16).unwrap() <= removal, "{log}");
    }
}

/// Null, or for whoever holds the payload what it says, without an outcome.
fn check_stranger(answer: &Value, said: &dyn Fn() -> String) {
    let result = &answer["result"];
    if let Some(status) = result.get("status") {
        assert_eq!(status, "0x0", "{}", said());
        assert_eq!(result["output"], "0x", "{}", said());
        assert_eq!(result["logs"], json!([]), "{}", said());
        assert_eq!(result.get("revertReason"), None, "{}", said());
        assert_eq!(result.get("contractAddress"), None, "{}", said());
    }
}
