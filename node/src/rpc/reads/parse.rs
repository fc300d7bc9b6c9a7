//! Reading the parameters of these methods. Pure.

use alloy_primitives::U256;
use serde::Deserialize;
use serde_json::Value;

use super::Request;
use crate::{
    chain::BlockId,
    rpc::{
        error::Refusal,
        methods::{self, strict_group},
        objects,
        params::{self, Parameter, Params},
    },
    service::{PAGE_MAX, Place, TransactionQuery},
};

/// Slots that one proof may be about.
pub const SLOTS_MAX: usize = 1_024;
/// Transactions on a page when it is not said how many.
const PAGE: usize = 100;

/// What an object that asks for transactions may have.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawQuery {
    from_block: Option<Value>,
    to_block: Option<Value>,
    cursor: Option<String>,
    limit: Option<Value>,
    ignored: Option<bool>,
}

/// `priv_getBalance`: group, address, block.
pub fn balance(params: &Params) -> Result<methods::Request, Refusal> {
    let (block, group, address) = (params.block(2)?, params.group_text(0)?, params.address(1)?);
    Ok(Request::Balance { group: params::group(group)?, address, block }.into())
}

/// `priv_getStorageAt`: group, address, slot, block.
pub fn storage_at(params: &Params) -> Result<methods::Request, Refusal> {
    let (block, group, address) = (params.block(3)?, params.group_text(0)?, params.address(1)?);
    let expected = "a storage slot is expected: up to 32 bytes in hex";
    let slot = params.at(2).and_then(params::quantity);
    let slot = slot.ok_or_else(|| Refusal::params(Parameter::Slot, expected))?;
    Ok(Request::StorageAt { group: params::group(group)?, address, slot, block }.into())
}

/// `priv_getProof`: group, address, slots, block.
pub fn proof(params: &Params) -> Result<methods::Request, Refusal> {
    let (block, group, address) = (params.block(3)?, params.group_text(0)?, params.address(1)?);
    let refuse = |expected| Refusal::params(Parameter::Slot, expected);
    let expected = "a list of storage slots is expected: each up to 32 bytes in hex";
    let slots = params.at(2).and_then(Value::as_array).ok_or_else(|| refuse(expected))?;
    if slots.len() > SLOTS_MAX {
        return Err(refuse("at most 1024 storage slots"));
    }
    let slots: Option<Vec<U256>> = slots.iter().map(params::quantity).collect();
    let slots = slots.ok_or_else(|| refuse(expected))?;
    Ok(Request::Proof { group: params::group(group)?, address, slots, block }.into())
}

/// `priv_estimateGas`: group, call, and perhaps a block.
pub fn estimate_gas(params: &Params) -> Result<methods::Request, Refusal> {
    let block = if params.at(2).is_some() { params.block(2)? } else { BlockId::Latest };
    let request = objects::transaction(params.at(1))?;
    let group = params::group(params.group_text(0)?)?;
    Ok(Request::EstimateGas { group, request, block }.into())
}

/// `priv_traceTransaction`: group, marker.
pub fn trace_transaction(params: &Params) -> Result<methods::Request, Refusal> {
    let (group, marker) = (params.group_text(0)?, params.transaction_hash(1)?);
    // Besu's order and words.
    if group.is_empty() {
        return Err(Refusal::params(Parameter::Any, "a privacy group id is expected"));
    }
    Ok(Request::TraceTransaction { group: params::group(group)?, marker }.into())
}

/// `priv_getBlockTransactions`: group, and perhaps which.
pub fn block_transactions(params: &Params) -> Result<methods::Request, Refusal> {
    let group = params.group_text(0)?;
    let query = query(params.at(1))?;
    Ok(Request::BlockTransactions { group: params::group(group)?, query }.into())
}

/// `coterie_groupStatus`: group.
pub fn group_status(params: &Params) -> Result<methods::Request, Refusal> {
    Ok(Request::GroupStatus { group: strict_group(params)? }.into())
}

/// `coterie_status`: nothing.
pub fn status(_: &Params) -> Result<methods::Request, Refusal> {
    Ok(Request::Status.into())
}

fn query(value: Option<&Value>) -> Result<TransactionQuery, Refusal> {
    let refuse = |expected| Refusal::params(Parameter::Filter, expected);
    let all = serde_json::json!({});
    let raw: Option<RawQuery> = Some(value.unwrap_or(&all))
        .filter(|it| it.is_object())
        .and_then(|it| RawQuery::deserialize(it).ok());
    let raw = raw.ok_or_else(|| {
        refuse("an object is expected: fromBlock, toBlock, cursor, limit (a number), ignored (true or false)")
    })?;
    let block = |value: Option<Value>, absent| match value {
        None => Ok(absent),
        Some(it) => params::block(&it)
            .ok_or_else(|| refuse("`fromBlock` and `toBlock` are block numbers or tags")),
    };
    let cursor = match raw.cursor {
        None => None,
        Some(text) => Some(
            place(&text)
                .ok_or_else(|| refuse("`cursor` is what the page before had as its `cursor`"))?,
        ),
    };
    let limit = match raw.limit {
        None => PAGE,
        Some(it) => params::quantity(&it)
            .and_then(|it| usize::try_from(it).ok())
            .filter(|it| (1..=PAGE_MAX).contains(it))
            .ok_or_else(|| refuse("`limit` is a number from 1 to 1000"))?,
    };
    Ok(TransactionQuery {
        from: block(raw.from_block, BlockId::Number(0))?,
        to: block(raw.to_block, BlockId::Latest)?,
        cursor,
        limit,
        ignored: raw.ignored.unwrap_or_default(),
    })
}

/// A cursor: block number and index, in decimal.
fn place(text: &str) -> Option<Place> {
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
        digits.then(|| text.parse().ok())?
    };
    let (block, index) = text.split_once('-')?;
    Some(Place { block: number(block)?, index: number(index)? })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(value: Value, want: Option<TransactionQuery>) {
        assert_eq!(query(Some(&value)).ok(), want, "{value}");
    }

    #[test]
    fn a_query_of_transactions_has_defaults_and_limits() {
        let all = TransactionQuery {
            from: BlockId::Number(0),
            to: BlockId::Latest,
            cursor: None,
            limit: 100,
            ignored: false,
        };
        assert_eq!(query(None), Ok(all));
        check(json!({}), Some(all));
        check(json!({"fromBlock": null, "cursor": null, "other": 1}), Some(all));
        check(
            json!({"fromBlock": "0x11", "toBlock": 18, "limit": "0x3e8", "ignored": true, "cursor": "17-3"}),
            Some(TransactionQuery {
                from: BlockId::Number(17),
                to: BlockId::Number(18),
                cursor: Some(Place { block: 17, index: 3 }),
                limit: 1000,
                ignored: true,
            }),
        );
        // Not the quirk of logs: the head is the head.
        let from = BlockId::Latest;
        check(json!({"fromBlock": "latest"}), Some(TransactionQuery { from, ..all }));
        for bad in [
            json!([]),
            json!("x"),
            json!({"limit": 0}),
            json!({"limit": 1001}),
            json!({"limit": -1}),
            json!({"ignored": "yes"}),
            json!({"fromBlock": "newest"}),
            json!({"cursor": 1}),
            json!({"cursor": ""}),
            json!({"cursor": "1"}),
            json!({"cursor": "1-"}),
            json!({"cursor": "+1-2"}),
            json!({"cursor": "1-2-3"}),
            json!({"cursor": "0x1-0x2"}),
            json!({"cursor": "18446744073709551616-0"}),
        ] {
            check(bad, None);
        }
    }
}
