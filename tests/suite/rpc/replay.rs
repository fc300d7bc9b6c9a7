//! Every request of a run against a real Besu (`tests/vectors/besu-rpc.json`), put to our nodes in
//! the same scenario. Shapes, statuses, outputs and errors are compared; what differs by design
//! stands in [`DIFFERENCES`] with its reason, and must differ.

use std::collections::{BTreeMap, BTreeSet};

use coterie_core::SignedPrivateTransaction;
use coterie_node::rpc::methods::METHODS;

use super::*;

/// The group of the run.
const GROUP: &str = "snFHsIZQiw+tlggkfCE5oF6AOIa6taYnZvphOhSRQqc=";

/// Step, method, why the answer is another one.
const DIFFERENCES: &[(&str, &str, &str)] = &[
    ("create [A,B]", RECEIPT, PROXY),
    ("create [A,A] duplicate keys", RECEIPT, PROXY),
    ("Q1a a()", "priv_call", FRAMES),
    ("Q1b child.b()", "priv_call", FRAMES),
    ("Q3 child.b()", "priv_call", FRAMES),
    ("Q2 getCode", "priv_getCode", "empty accounts are not kept (EIP-161)"),
    ("priv_call env", "priv_call", ENVIRONMENT),
    ("priv_call env with gasPrice", "priv_call", ENVIRONMENT),
    ("priv_call with gas 30000", "priv_call", ENVIRONMENT),
    ("priv_call balance of public account", "priv_call", "another chain's genesis"),
    (
        "old ABI addParticipants(bytes32[])",
        RECEIPT,
        "the older ABI is understood: an addition without a lock, which is not executed",
    ),
    (
        "PMT replayed (same key)",
        RECEIPT,
        "the first marker decides; a later one is a duplicate with its outcome",
    ),
    ("api", "priv_getTransaction", "an alias of priv_getPrivateTransaction"),
    ("api", "priv_traceTransaction", "24.5.1 did not have it"),
    ("api", "privx_findFlexiblePrivacyGroup", "a group of another scenario on that chain"),
];
const RECEIPT: &str = "priv_getTransactionReceipt";
const PROXY: &str = "storage and events are the proxy's, so that an upgrade keeps them";
const FRAMES: &str = "a frame that reverts undoes itself and no more (protocol specification, Q1)";
const ENVIRONMENT: &str = "number, time, beneficiary, limits and hashes are another chain's";

/// Members of a receipt or log that belong to the chain they are on. A created contract's address
/// depends on the nonce, see [`COUNTED`].
const PLACES: [&str; 6] = [
    "blockHash",
    "blockNumber",
    "transactionIndex",
    "commitmentHash",
    "transactionHash",
    "contractAddress",
];
/// Sends that used up a nonce here and not there: a frame below reverted, and with it, there, the
/// count (protocol specification, 6.8, Q1). What Alice sends to the group after them is signed anew.
const COUNTED: [&str; 2] = ["Q1a child reverts", "Q1 logs"];
/// Members of a receipt that Besu's has not.
const ADDED: [&str; 3] = ["reason", "decidedBy", "outcome"];

/// A request of the run with its answer.
#[derive(Clone)]
struct Step {
    name: String,
    method: String,
    node: usize,
    params: Value,
    answer: Value,
    status: u16,
}

impl Step {
    fn read(step: &Value) -> Self {
        let part = |name: &str| step.get(name).map(|it| (name.to_owned(), it.clone()));
        Self {
            name: step["step"].as_str().unwrap().to_owned(),
            method: step["method"].as_str().unwrap().to_owned(),
            node: usize::try_from(step["node"].as_u64().unwrap()).unwrap() - 1,
            params: step["params"].clone(),
            answer: Value::Object(["result", "error"].into_iter().filter_map(part).collect()),
            status: u16::try_from(step["httpStatus"].as_u64().unwrap()).unwrap(),
        }
    }

    fn sends(&self) -> bool {
        self.method == "eea_sendRawTransaction" && self.answer["result"].is_string()
    }
}

/// What of our chain stands for what of Besu's.
#[derive(Default)]
struct Ours {
    hashes: BTreeMap<String, Value>,
    blocks: BTreeMap<String, Value>,
    /// State roots that were answered, with the recorded ones, by node.
    roots: Vec<BTreeMap<String, Value>>,
    /// By how much Alice's nonce is higher.
    counted: u64,
}

impl Ours {
    fn params(&self, step: &Step) -> Value {
        let known = |value: &Value| {
            let text = value.as_str()?;
            // Markers without a receipt tell no block: theirs is the head.
            if step.name.starts_with("PMT") && text.starts_with("0x") && text.len() < 10 {
                return Some(json!("latest"));
            }
            let blocks = (step.method == "priv_debugGetStateRoot").then_some(&self.blocks);
            self.hashes.get(text).or_else(|| blocks?.get(text)).cloned()
        };
        if step.method == "eea_sendRawTransaction" || step.method == "priv_distributeRawTransaction"
        {
            return json!([self.signed(&step.params[0])]);
        }
        let params = step.params.as_array().unwrap().iter();
        params.map(|it| known(it).unwrap_or_else(|| it.clone())).collect()
    }

    /// A transaction with the nonce that it has here, if it is Alice's to the group.
    fn signed(&self, raw: &Value) -> Value {
        let bytes = serde_json::from_value::<Bytes>(raw.clone());
        let signed = bytes.ok().and_then(|raw| SignedPrivateTransaction::decode(&raw).ok());
        let Some(signed) = signed.filter(|_| self.counted > 0) else { return raw.clone() };
        let from = signed.recover_signer().unwrap();
        let mut transaction = signed.transaction;
        let group: GroupId = GROUP.parse().unwrap();
        if from != account(ALICE).address() || transaction.recipients != Recipients::Group(group) {
            return raw.clone();
        }
        transaction.nonce += self.counted;
        json!(Bytes::from(transaction.sign(&account(ALICE)).unwrap().encode()))
    }

    /// Learns which block of ours a recorded receipt's is.
    fn learn(&mut self, recorded: &Value, ours: &Value) {
        if let (Some(number), false) =
            (recorded["blockNumber"].as_str(), ours["blockNumber"].is_null())
        {
            self.blocks.insert(number.to_owned(), ours["blockNumber"].clone());
        }
    }
}

/// The texts of 25.5.0, where it answers otherwise: the ones to serve.
fn later_texts(file: &Value) -> Vec<(String, Value, Value)> {
    let text = |it: &Value| {
        let method = it["method"].as_str()?.to_owned();
        Some((method, it.get("params")?.clone(), it.get("25.5.0")?.clone()))
    };
    file["differs_25_5_0"].as_array().unwrap().iter().filter_map(text).collect()
}

/// What of an answer is compared.
fn comparable(step: &Step, answer: &Value) -> Value {
    let mut answer = answer.clone();
    if let Some(error) = answer.get_mut("error").and_then(Value::as_object_mut) {
        // Besu has data only where something reverted; ours has its word everywhere.
        if error.get("data").is_some_and(Value::is_object) {
            error.remove("data");
        }
        return answer;
    }
    let Some(result) = answer.get_mut("result") else { return answer };
    match step.method.as_str() {
        "priv_getTransactionReceipt" => place_free(result),
        "eea_sendRawTransaction" | "priv_distributeRawTransaction" | "priv_debugGetStateRoot" => {
            // Only what kind of thing it is, except for a state without anything.
            let text = result.as_str().unwrap_or_default();
            if !text.starts_with("0x56e81f") {
                *result = json!(format!("{} characters", text.len()));
            }
        }
        _ => {}
    }
    answer
}

/// Takes away what belongs to the chain, keeping that it is there.
fn place_free(value: &mut Value) {
    let Some(members) = value.as_object_mut() else { return };
    for name in PLACES {
        if let Some(place) = members.get_mut(name) {
            *place = json!("there");
        }
    }
    members.retain(|name, _| !ADDED.contains(&name.as_str()));
    for log in members.get_mut("logs").and_then(Value::as_array_mut).into_iter().flatten() {
        place_free(log);
    }
}

/// Does what was done on the chain between the requests.
async fn prepare(network: &Network, step: &Step, ours: &mut Ours, payload: &Value) {
    let data = match step.name.as_str() {
        "client-signed type-2 EIP-155 PMT" | "PMT replayed (same key)" => payload.clone(),
        "PMT of 2 bytes" => json!("0x0102"),
        "PMT with unknown key" => json!(B256::repeat_byte(0x77)),
        _ => return,
    };
    let recorded = step.params[0].as_str().unwrap_or_default().to_owned();
    if step.method == "priv_getTransactionReceipt" && !ours.hashes.contains_key(&recorded) {
        let data: Bytes = serde_json::from_value(data).unwrap();
        ours.hashes.insert(recorded, network.members[0].mark(data).await);
        for member in &network.members {
            member.caught_up().await;
        }
    }
}

/// Sends are mined one by one, but for those that the run had in one block.
async fn send_mode(network: &Network, step: &Step) {
    if step.sends() && step.name.ends_with("1/2") {
        network.chain.call("evm_setAutomine", json!([false])).await;
    }
}

async fn sent(network: &Network, step: &Step, marker: &Value) {
    if step.name.ends_with("1/2") {
        return;
    }
    if step.name.ends_with("2/2") {
        network.chain.call("evm_mine", json!([])).await;
        network.chain.call("evm_setAutomine", json!([true])).await;
    }
    for member in &network.members[..2] {
        member.mined(marker).await;
        member.caught_up().await;
    }
}

/// Puts every request to the member that stands for its node; the differences.
async fn replay(network: &Network, file: &Value) -> Vec<(Step, Value, Value)> {
    let later = later_texts(file);
    let mut ours = Ours { roots: vec![BTreeMap::new(); 2], ..Ours::default() };
    let (mut differences, mut payload) = (Vec::new(), Value::Null);
    for step in file["steps"].as_array().unwrap().iter().map(Step::read) {
        let enabled = METHODS.iter().any(|it| it.name == step.method && it.is_enabled());
        if !enabled && step.answer["error"]["code"] != -32604 {
            continue;
        }
        prepare(network, &step, &mut ours, &payload).await;
        send_mode(network, &step).await;
        let params = ours.params(&step);
        let (status, answer) = network.members[step.node].answer(&step.method, &params).await;
        if step.sends() && answer["result"].is_string() {
            let recorded = step.answer["result"].as_str().unwrap().to_owned();
            ours.hashes.insert(recorded, answer["result"].clone());
            sent(network, &step, &answer["result"]).await;
            ours.counted += u64::from(COUNTED.contains(&&*step.name));
        }
        if step.method == "priv_distributeRawTransaction" {
            payload = answer["result"].clone();
        }
        ours.learn(&step.answer["result"], &answer["result"]);
        if let (Some(recorded), true) =
            (step.answer["result"].as_str(), answer["result"].is_string())
            && step.method == "priv_debugGetStateRoot"
        {
            // The same root again, and a new one, wherever it was so there.
            let known = ours.roots[step.node].insert(recorded.to_owned(), answer["result"].clone());
            let same = known.is_none_or(|known| known == answer["result"]);
            assert!(same || COUNTED.contains(&&*step.name), "{}", step.name);
        }
        let mut want = comparable(&step, &step.answer);
        for (method, params, text) in &later {
            if step.answer["error"]["code"] == -32602
                && (method, params) == (&step.method, &step.params)
            {
                want["error"] = text.clone();
            }
        }
        let got = comparable(&step, &answer);
        if (status, &got) != (step.status, &want) {
            differences.push((step, want, got));
        }
    }
    traced(network, &ours).await;
    // Both members came to the same roots.
    for (recorded, root) in &ours.roots[0] {
        assert!(ours.roots[1].get(recorded).is_none_or(|other| other == root), "{recorded}");
    }
    let distinct: BTreeSet<_> = ours.roots[0].values().map(ToString::to_string).collect();
    assert_eq!(distinct.len(), ours.roots[0].len(), "what had different roots there has so here");
    differences
}

/// Every transaction of the run that was executed has a trace, with its receipt's output.
async fn traced(network: &Network, ours: &Ours) {
    let (mut executed, mut frames_seen) = (0, 0);
    for hash in ours.hashes.values() {
        let (_, answer) =
            network.members[0].answer("priv_getTransactionReceipt", &json!([hash])).await;
        let receipt = &answer["result"];
        let Some(group) = receipt["privacyGroupId"].as_str() else { continue };
        let frames = network.members[0].call("priv_traceTransaction", json!([group, hash])).await;
        let frames = frames.as_array().unwrap();
        let ran = matches!(receipt["reason"].as_str(), Some("executed" | "reverted"));
        assert_eq!(frames.is_empty(), !ran, "{receipt} {frames:?}");
        let Some(outer) = frames.first() else { continue };
        let output = outer["result"].get("output").or_else(|| outer["result"].get("code"));
        assert_eq!(output.unwrap_or(&json!("0x")), &receipt["output"], "{receipt}");
        assert_eq!(outer.get("revertReason"), receipt.get("revertReason"), "{receipt}");
        executed += 1;
        frames_seen += frames.len();
    }
    assert!(executed > 25 && frames_seen > executed, "{executed} {frames_seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_requests_of_a_run_against_besu_are_answered_alike() {
    let file: Value = serde_json::from_str(include_str!("../../vectors/besu-rpc.json")).unwrap();
    let network = Network::start(3).await;
    let found = replay(&network, &file).await;
    network.stop().await;
    let listed = |step: &Step| {
        DIFFERENCES.iter().any(|(name, method, _)| (*name, *method) == (&*step.name, &*step.method))
    };
    let unlisted: Vec<_> = found.iter().filter(|(step, ..)| !listed(step)).collect();
    let text = |(step, want, got): &&(Step, Value, Value)| {
        format!("{} {} {}\n  want {want}\n  got  {got}", step.name, step.method, step.params)
    };
    let text: Vec<_> = unlisted.iter().map(text).collect();
    assert!(text.is_empty(), "{}", text.join("\n"));
    for (name, method, reason) in DIFFERENCES {
        let found = found.iter().any(|(step, ..)| (&*step.name, &*step.method) == (*name, *method));
        assert!(found, "{name} {method} no longer differs ({reason}): take it out");
    }
}
