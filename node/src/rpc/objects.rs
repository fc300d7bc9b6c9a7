//! Parameters that are objects: the call of `priv_call` and the filter of `priv_getLogs`
//! (protocol specification, 7.7 and 7.13).

use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use serde::Deserialize;
use serde_json::Value;

use super::{
    error::Refusal,
    params::{self, Parameter},
};
use crate::{
    chain::BlockId,
    executor::EstimateRequest,
    service::{CallRequest, LogFilter, LogRange},
};

/// Addresses, and values of one topic, that a filter may list.
pub const FILTER_ALTERNATIVES_MAX: usize = 1000;

/// What a call object may have; other members (gas among them) mean nothing here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawCall {
    from: Option<String>,
    to: Option<String>,
    gas_price: Option<Value>,
    value: Option<Value>,
    data: Option<String>,
    input: Option<String>,
}

/// What a filter object may have.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawFilter {
    from_block: Option<Value>,
    to_block: Option<Value>,
    #[serde(alias = "blockhash")]
    block_hash: Option<String>,
    address: Option<OneOrMany>,
    addresses: Option<OneOrMany>,
    topics: Option<Vec<Option<Topic>>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Topic {
    One(String),
    AnyOf(Vec<Option<String>>),
}

/// Reads a call object: `to` is required, `input` and `data` are two names of one thing.
pub fn call(value: Option<&Value>) -> Result<CallRequest, Refusal> {
    let Call { from, to, input, value, gas_price } = read_call(value)?;
    let to = to.ok_or(Refusal::params(Parameter::Call, "`to` is required in a call"))?;
    Ok(CallRequest { from, to, input, value, gas_price })
}

/// Reads the call object of an estimate: without `to`, `data` creates a contract.
pub fn transaction(value: Option<&Value>) -> Result<EstimateRequest, Refusal> {
    let refuse = |expected| Refusal::params(Parameter::Call, expected);
    let Call { from, to, input, value, gas_price } = read_call(value)?;
    if !value.is_zero() {
        return Err(refuse("`value` must be zero: no ether moves in a privacy group"));
    }
    if to.is_none() && input.is_empty() {
        return Err(refuse("`to` is required, or `data` that creates a contract"));
    }
    let to = to.map_or(TxKind::Create, TxKind::Call);
    Ok(EstimateRequest { from, to, gas_price, input })
}

/// A call object that was read.
struct Call {
    from: Address,
    to: Option<Address>,
    input: Bytes,
    value: U256,
    gas_price: U256,
}

fn read_call(value: Option<&Value>) -> Result<Call, Refusal> {
    let refuse = |expected| Refusal::params(Parameter::Call, expected);
    let raw: RawCall = value.and_then(|it| RawCall::deserialize(it).ok()).ok_or_else(|| {
        refuse("a call object is expected: from, to, gasPrice, value, data or input")
    })?;
    let address = |text: &str| {
        params::address(text).ok_or_else(|| refuse("`from` and `to` are addresses in hex"))
    };
    let amount = |value: Option<Value>| match value {
        None => Ok(U256::ZERO),
        Some(it) => params::quantity(&it)
            .ok_or_else(|| refuse("`value` and `gasPrice` are quantities in hex")),
    };
    let bytes = |text: Option<String>| match text {
        None => Ok(None),
        Some(it) => params::bytes(&it)
            .map(Some)
            .ok_or_else(|| refuse("`data` is bytes in hex, two digits each")),
    };
    let input = match (bytes(raw.input)?, bytes(raw.data)?) {
        (Some(input), Some(data)) if input != data => {
            return Err(refuse("`data` and `input` are two names of one thing, but they differ"));
        }
        (Some(it), _) | (None, Some(it)) => it,
        (None, None) => Bytes::new(),
    };
    Ok(Call {
        from: raw.from.map_or(Ok(Address::ZERO), |it| address(&it))?,
        to: raw.to.map(|it| address(&it)).transpose()?,
        input,
        value: amount(raw.value)?,
        gas_price: amount(raw.gas_price)?,
    })
}

/// Reads a log filter. As in Besu, a missing `fromBlock`, `latest` and `pending` all mean the
/// first block there, and a missing `toBlock` means the head.
pub fn filter(value: Option<&Value>) -> Result<LogFilter, Refusal> {
    let refuse = |expected| Refusal::params(Parameter::Filter, expected);
    let raw: RawFilter = value
        .filter(|it| it.is_object())
        .and_then(|it| RawFilter::deserialize(it).ok())
        .ok_or_else(|| {
            refuse("a filter object is expected: fromBlock, toBlock or blockHash, address, topics")
        })?;
    let range = range(&raw)?;
    let addresses = [raw.address, raw.addresses].into_iter().flatten().flat_map(OneOrMany::list);
    let addresses: Option<Vec<Address>> = addresses.map(|it| params::address(&it)).collect();
    let addresses = addresses.ok_or_else(|| refuse("`address` is an address or a list of them"))?;
    let topics: Option<Vec<Vec<B256>>> =
        raw.topics.unwrap_or_default().into_iter().map(topic).collect();
    let topics = topics.ok_or_else(|| {
        refuse("`topics` is a list of topics, null for any, or lists of alternatives")
    })?;
    let too_many = |count: usize| count > FILTER_ALTERNATIVES_MAX;
    if too_many(addresses.len()) || topics.iter().any(|it| too_many(it.len())) {
        return Err(refuse("at most 1000 addresses, and 1000 alternatives for a topic"));
    }
    Ok(LogFilter { range, addresses, topics })
}

fn range(raw: &RawFilter) -> Result<LogRange, Refusal> {
    let refuse = |expected| Refusal::params(Parameter::Filter, expected);
    if let Some(hash) = &raw.block_hash {
        if raw.from_block.is_some() || raw.to_block.is_some() {
            return Err(refuse("`blockHash` excludes `fromBlock` and `toBlock`"));
        }
        let hash = params::hash(hash).ok_or_else(|| refuse("`blockHash` is 32 bytes in hex"))?;
        return Ok(LogRange::Block(hash));
    }
    let block = |value: &Option<Value>| match value {
        None => Ok(BlockId::Latest),
        Some(it) => params::block(it)
            .ok_or_else(|| refuse("`fromBlock` and `toBlock` are block numbers or tags")),
    };
    let from = match block(&raw.from_block)? {
        BlockId::Latest => BlockId::Number(0),
        from @ (BlockId::Number(_) | BlockId::Hash(_) | BlockId::Finalized | BlockId::Safe) => from,
    };
    Ok(LogRange::Blocks(from, block(&raw.to_block)?))
}

impl OneOrMany {
    fn list(self) -> Vec<String> {
        match self {
            Self::One(it) => vec![it],
            Self::Many(list) => list,
        }
    }
}

/// The accepted values, none for any; `None` when one is no topic.
fn topic(topic: Option<Topic>) -> Option<Vec<B256>> {
    match topic {
        None => Some(Vec::new()),
        Some(Topic::One(it)) => Some(vec![params::hash(&it)?]),
        Some(Topic::AnyOf(list)) if list.iter().any(Option::is_none) => Some(Vec::new()),
        Some(Topic::AnyOf(list)) => list.iter().flatten().map(|it| params::hash(it)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{address, bytes};
    use serde_json::json;

    use super::*;

    const TO: Address = address!("000000000000000000000000000000000000007c");

    #[track_caller]
    fn check_call(value: Value, want: Option<CallRequest>) {
        assert_eq!(call(Some(&value)).ok(), want, "{value}");
    }

    #[test]
    fn a_call_needs_only_its_callee() {
        let want = CallRequest {
            from: Address::ZERO,
            to: TO,
            input: Bytes::new(),
            value: U256::ZERO,
            gas_price: U256::ZERO,
        };
        check_call(json!({"to": "0x7c"}), Some(want.clone()));
        check_call(
            json!({"to": TO, "from": null, "gas": "what?", "nonce": {}, "x": 1}),
            Some(want.clone()),
        );
        let input = bytes!("78b90337");
        for data in [
            json!({"to": TO, "data": "0x78b90337"}),
            json!({"to": TO, "input": "78b90337"}),
            json!({"to": TO, "input": "0x78b90337", "data": "0x78B90337"}),
        ] {
            check_call(data, Some(CallRequest { input: input.clone(), ..want.clone() }));
        }
        check_call(
            json!({"to": TO, "from": TO, "value": "0x1", "gasPrice": 1000}),
            Some(CallRequest {
                from: TO,
                value: U256::from(1),
                gas_price: U256::from(1000),
                ..want
            }),
        );
    }

    #[test]
    fn a_call_that_is_none_is_refused() {
        for bad in [
            json!({"data": "0x"}),
            json!({"to": null}),
            json!({"to": "0xzz"}),
            json!({"to": TO, "data": "0x1"}),
            json!({"to": TO, "data": "0x01", "input": "0x02"}),
            json!({"to": TO, "value": "x"}),
            json!({"to": TO, "from": 1}),
            json!("0x7c"),
            json!(1),
        ] {
            check_call(bad, None);
        }
        assert!(call(None).is_err());
    }

    #[track_caller]
    fn check_filter(value: Value, want: Option<LogFilter>) {
        assert_eq!(filter(Some(&value)).ok(), want, "{value}");
    }

    fn blocks(from: BlockId, to: BlockId) -> Option<LogFilter> {
        let range = LogRange::Blocks(from, to);
        Some(LogFilter { range, addresses: Vec::new(), topics: Vec::new() })
    }

    #[test]
    fn a_filter_without_blocks_is_about_all_of_them() {
        let all = blocks(BlockId::Number(0), BlockId::Latest);
        for value in [
            json!({}),
            json!({"fromBlock": "latest"}),
            json!({"fromBlock": "pending", "toBlock": "pending"}),
            json!({"fromBlock": "earliest", "toBlock": "latest", "unknown": 1}),
            json!({"fromBlock": null, "toBlock": null, "address": null, "topics": null, "blockHash": null}),
        ] {
            check_filter(value, all.clone());
        }
        check_filter(
            json!({"fromBlock": 17, "toBlock": "0x12"}),
            blocks(BlockId::Number(17), BlockId::Number(18)),
        );
        check_filter(
            json!({"fromBlock": "safe", "toBlock": "finalized"}),
            blocks(BlockId::Safe, BlockId::Finalized),
        );
    }

    #[test]
    fn a_block_hash_excludes_a_range() {
        let hash = B256::repeat_byte(0x11);
        let want =
            LogFilter { range: LogRange::Block(hash), addresses: Vec::new(), topics: Vec::new() };
        check_filter(json!({"blockHash": hash}), Some(want.clone()));
        check_filter(json!({"blockhash": hash}), Some(want));
        check_filter(json!({"blockHash": hash, "fromBlock": "0x1"}), None);
        check_filter(json!({"blockHash": hash, "toBlock": "latest"}), None);
        check_filter(json!({"blockHash": "0x11"}), None);
    }

    #[test]
    fn addresses_and_topics_have_several_spellings() {
        let topic = B256::repeat_byte(7);
        let with = |addresses: Vec<Address>, topics: Vec<Vec<B256>>| {
            let range = LogRange::Blocks(BlockId::Number(0), BlockId::Latest);
            Some(LogFilter { range, addresses, topics })
        };
        check_filter(json!({"address": "0x7c"}), with(vec![TO], vec![]));
        check_filter(json!({"address": ["0x7c", TO]}), with(vec![TO, TO], vec![]));
        check_filter(json!({"addresses": ["7c"]}), with(vec![TO], vec![]));
        check_filter(json!({"address": []}), with(vec![], vec![]));
        check_filter(json!({"topics": [topic]}), with(vec![], vec![vec![topic]]));
        check_filter(
            json!({"topics": [null, [topic, topic], [], [topic, null]]}),
            with(vec![], vec![vec![], vec![topic, topic], vec![], vec![]]),
        );
        for bad in [
            json!({"address": 1}),
            json!({"address": "0xzz"}),
            json!({"topics": ["0x07"]}),
            json!({"topics": [1]}),
            json!({"topics": topic}),
            json!({"fromBlock": "x"}),
            json!([]),
            json!("x"),
            json!({"address": vec![TO; FILTER_ALTERNATIVES_MAX + 1]}),
            json!({"topics": [vec![topic; FILTER_ALTERNATIVES_MAX + 1]]}),
        ] {
            check_filter(bad, None);
        }
    }
}
