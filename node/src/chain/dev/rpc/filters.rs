//! Logs by filter, at once or since the last time.

use std::collections::BTreeMap;

use alloy_consensus::{BlockHeader as _, transaction::TxHashRef as _};
use alloy_eips::BlockNumberOrTag;
use alloy_primitives::{B256, U64};
use alloy_rpc_types_eth::{Filter, FilterBlockOption, Log};
use jsonrpsee_types::ErrorObjectOwned;
use serde_json::Value;

use super::{
    super::{DevChain, block::MinedBlock, core::Core},
    blocks,
    params::{Params, block_id},
    server_error,
};
use crate::jsonrpc::{Answer, invalid_params, result};

/// Installed filters; the oldest goes when one more comes.
const FILTERS_MAX: usize = 1024;
/// Logs in an answer.
const LOGS_MAX: usize = 10_000;

/// The installed filters.
#[derive(Debug, Default)]
pub(in super::super) struct Filters {
    next: u64,
    installed: BTreeMap<u64, Installed>,
}

#[derive(Clone, Debug)]
struct Installed {
    what: What,
    /// The head that the client knows.
    seen: B256,
}

#[derive(Clone, Debug)]
enum What {
    Logs(Box<Filter>),
    Blocks,
    /// The transactions of new blocks: nothing here is pending for long.
    Transactions,
}

/// Answers the methods about logs and filters.
pub(super) fn answer(chain: &DevChain, method: &str, params: &Params) -> Answer {
    match method {
        "eth_getLogs" => result(&query(chain, &chain.shared.core.read(), &filter(params)?)?),
        "eth_newFilter" => install(chain, What::Logs(Box::new(filter(params)?))),
        "eth_newBlockFilter" => install(chain, What::Blocks),
        "eth_newPendingTransactionFilter" => install(chain, What::Transactions),
        "eth_uninstallFilter" => {
            let id = params.quantity(0)?;
            result(&chain.shared.filters.lock().installed.remove(&id).is_some())
        }
        "eth_getFilterLogs" => {
            let id = params.quantity(0)?;
            let installed = chain.shared.filters.lock().installed.get(&id).cloned();
            match installed.map(|it| it.what) {
                Some(What::Logs(filter)) => {
                    result(&query(chain, &chain.shared.core.read(), &filter)?)
                }
                Some(What::Blocks | What::Transactions) | None => {
                    Err(server_error("filter not found"))
                }
            }
        }
        _ => changes(chain, params.quantity(0)?),
    }
}

fn install(chain: &DevChain, what: What) -> Answer {
    let seen = chain.head().hash;
    let mut filters = chain.shared.filters.lock();
    filters.next += 1;
    let id = filters.next;
    filters.installed.insert(id, Installed { what, seen });
    if filters.installed.len() > FILTERS_MAX {
        filters.installed.pop_first();
    }
    result(&U64::from(id))
}

/// What happened since the last time: what a reorganisation took away, then what is new.
fn changes(chain: &DevChain, id: u64) -> Answer {
    let core = chain.shared.core.read();
    let mut filters = chain.shared.filters.lock();
    let installed =
        filters.installed.get_mut(&id).ok_or_else(|| server_error("filter not found"))?;
    let (removed, added) = core.path(installed.seen);
    let answer = match &installed.what {
        What::Logs(filter) => {
            let mut logs = Vec::new();
            for block in &removed {
                let of_block = matching(block, filter);
                logs.extend(of_block.map(|log| Log { removed: true, ..log }));
            }
            for block in added.iter().filter(|it| in_range(filter, it.header.number())) {
                logs.extend(matching(block, filter));
            }
            result(&logs)
        }
        What::Blocks => result(&added.iter().map(|it| it.hash()).collect::<Vec<_>>()),
        What::Transactions => {
            let mined = added.iter().flat_map(|it| &it.transactions);
            result(&mined.map(|it| *it.transaction.tx_hash()).collect::<Vec<_>>())
        }
    };
    installed.seen = core.head().hash;
    answer
}

fn filter(params: &Params) -> Result<Filter, ErrorObjectOwned> {
    filter_at(params, 0)
}

/// The filter of a call. Unknown members are ignored, block numbers may be JSON numbers.
pub(super) fn filter_at(params: &Params, index: usize) -> Result<Filter, ErrorObjectOwned> {
    let mut value: Value =
        params.optional(index)?.unwrap_or_else(|| Value::Object(serde_json::Map::new()));
    if let Some(members) = value.as_object_mut() {
        members.retain(|name, _| {
            matches!(name.as_str(), "fromBlock" | "toBlock" | "blockHash" | "address" | "topics")
        });
        for (_, member) in members.iter_mut() {
            if let Some(number) = member.as_u64() {
                *member = Value::String(format!("{number:#x}"));
            }
        }
    }
    serde_json::from_value(value)
        .map_err(|error| invalid_params(format!("invalid argument {index}: {error}")))
}

/// Whether a block is in the filter's range.
pub(super) fn in_range(filter: &Filter, number: u64) -> bool {
    let (from, to) = filter.extract_block_range();
    from.is_none_or(|from| number >= from) && to.is_none_or(|to| number <= to)
}

fn query(chain: &DevChain, core: &Core, filter: &Filter) -> Result<Vec<Log>, ErrorObjectOwned> {
    let mut logs = Vec::new();
    let mut take = |block: &MinedBlock| {
        logs.extend(matching(block, filter));
        if logs.len() > LOGS_MAX {
            return Err(ErrorObjectOwned::owned(
                -32005,
                format!("query returned more than {LOGS_MAX} results"),
                None::<()>,
            ));
        }
        Ok(())
    };
    match filter.block_option {
        FilterBlockOption::AtBlockHash(hash) => {
            take(core.block(hash).ok_or_else(|| server_error("unknown block"))?)?;
        }
        FilterBlockOption::Range { from_block, to_block } => {
            // As geth: without bounds it is the latest block.
            let number = |tag: Option<BlockNumberOrTag>| {
                let tag = serde_json::to_value(tag.unwrap_or(BlockNumberOrTag::Latest))
                    .and_then(|it| block_id(&it));
                match tag {
                    Ok(crate::chain::BlockId::Number(number)) => number,
                    Ok(id) => chain.find(core, id).map_or(0, |it| it.header.number()),
                    Err(_) => 0,
                }
            };
            let (from, to) = (number(from_block), number(to_block));
            if from > to {
                return Err(invalid_params("invalid block range params"));
            }
            let to = to.min(core.head().number);
            for block in (from..=to).filter_map(|number| core.canonical(number)) {
                take(block)?;
            }
        }
    }
    Ok(logs)
}

/// The logs of a block that a filter lets through.
pub(super) fn matching<'a>(
    block: &'a MinedBlock,
    filter: &'a Filter,
) -> impl Iterator<Item = Log> + 'a {
    let some = filter.matches_bloom(block.header.logs_bloom());
    let transactions = if some { block.transactions.as_slice() } else { &[] };
    let logs =
        transactions.iter().enumerate().flat_map(|(index, it)| blocks::logs(block, index, it));
    logs.filter(|log| filter.matches(&log.inner))
}
