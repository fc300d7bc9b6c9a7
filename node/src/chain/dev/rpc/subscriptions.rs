//! Subscriptions to new heads and to logs. A reorganisation tells the logs that are no more as
//! removed, and the heads of the new branch.

use alloy_primitives::{B256, U256};
use alloy_rpc_types_eth::{Filter, Header, Log};
use jsonrpsee_types::ErrorObjectOwned;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::{
    super::{DevChain, block::MinedBlock},
    filters::{self, filter_at, matching},
    params::Params,
};
use crate::{chain::ChainSubscription, jsonrpc::invalid_params};

enum What {
    Heads,
    Logs(Box<Filter>),
}

/// Begins a subscription: `[kind, filter?]`.
pub(in super::super) fn subscribe(
    chain: &DevChain,
    params: Option<&RawValue>,
) -> Result<ChainSubscription, ErrorObjectOwned> {
    let params = Params::parse(params)?;
    let kind: String = params.required(0)?;
    let what = match kind.as_str() {
        "newHeads" => What::Heads,
        "logs" => What::Logs(Box::new(filter_at(&params, 1)?)),
        _ => return Err(invalid_params(format!("no \"{kind}\" subscription in eth namespace"))),
    };
    let (results, subscription) = ChainSubscription::new();
    let (chain, mut head) = (chain.clone(), chain.watch_head());
    let mut seen = head.borrow_and_update().hash;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = results.closed() => return,
                changed = head.changed() => if changed.is_err() { return; },
            }
            head.borrow_and_update();
            for result in news(&chain, &what, &mut seen) {
                // Waits for the consumer: what is not told yet is in the chain.
                if results.send(result).await.is_err() {
                    return;
                }
            }
        }
    });
    Ok(subscription)
}

/// What happened since the head `seen`.
fn news(chain: &DevChain, what: &What, seen: &mut B256) -> Vec<Box<RawValue>> {
    let core = chain.shared.core.read();
    let (removed, added) = core.path(*seen);
    *seen = core.head().hash;
    match what {
        What::Heads => added.iter().filter_map(|it| json(&header(it))).collect(),
        What::Logs(filter) => {
            let gone = removed.iter().flat_map(|it| matching(it, filter));
            let gone = gone.map(|log| Log { removed: true, ..log });
            let come = added.iter().flat_map(|it| matching(it, filter));
            let wanted =
                |log: &Log| log.block_number.is_some_and(|it| filters::in_range(filter, it));
            gone.chain(come).filter(wanted).filter_map(|log| json(&log)).collect()
        }
    }
}

fn header(block: &MinedBlock) -> Header {
    let mut header = Header::from_sealed(block.header.clone());
    header.size = Some(U256::from(block.size));
    header.total_difficulty = Some(U256::ZERO);
    header
}

fn json<T: Serialize>(value: &T) -> Option<Box<RawValue>> {
    to_raw_value(value).ok()
}
