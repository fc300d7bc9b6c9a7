//! What a transaction should pay.

use alloy_consensus::{BlockHeader as _, Transaction as _};
use alloy_primitives::U64;
use alloy_rpc_types_eth::FeeHistory;

use super::{
    super::{BaseFee, DevChain, block::MinedBlock},
    params::Params,
};
use crate::jsonrpc::{Answer, invalid_params, result};

/// Blocks in a fee history.
const HISTORY_BLOCKS_MAX: u64 = 1024;
/// Percentiles in a fee history.
const PERCENTILES_MAX: usize = 100;
/// A tip in wei per gas that is worth something, for a chain with a fee market.
const MARKET_TIP: u64 = 1_000_000_000;

/// Answers the methods about fees.
pub(super) fn answer(chain: &DevChain, method: &str, params: &Params) -> Answer {
    let tip = match chain.options().base_fee {
        BaseFee::Fixed(_) => 0,
        BaseFee::Market(_) => MARKET_TIP,
    };
    match method {
        "eth_maxPriorityFeePerGas" => result(&U64::from(tip)),
        "eth_gasPrice" => {
            let core = chain.shared.core.read();
            let base_fee = core.draft(core.head_block(), chain.options()).base_fee;
            result(&U64::from(base_fee.saturating_add(tip)))
        }
        "eth_blobBaseFee" => result("0x1"),
        _ => history(chain, params),
    }
}

fn history(chain: &DevChain, params: &Params) -> Answer {
    let count = params.quantity(0)?.min(HISTORY_BLOCKS_MAX);
    let percentiles: Vec<f64> = params.optional(2)?.unwrap_or_default();
    if percentiles.len() > PERCENTILES_MAX
        || percentiles.iter().any(|it| !(0.0..=100.0).contains(it))
    {
        return Err(invalid_params("invalid reward percentile"));
    }
    let core = chain.shared.core.read();
    let newest = params.block(1, chain, &core)?;
    let last = newest.header.number();
    let first = last.saturating_add(1).saturating_sub(count);
    let mut answer = FeeHistory { oldest_block: first, ..FeeHistory::default() };
    let mut rewards = Vec::new();
    for block in (first..=last).filter_map(|number| core.canonical(number)).take(if count == 0 {
        0
    } else {
        1024
    }) {
        answer.base_fee_per_gas.push(block.header.base_fee_per_gas().unwrap_or_default().into());
        answer.base_fee_per_blob_gas.push(1);
        answer.blob_gas_used_ratio.push(0.0);
        #[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
        answer
            .gas_used_ratio
            .push(block.header.gas_used() as f64 / block.header.gas_limit().max(1) as f64);
        rewards.push(tips(block, &percentiles));
    }
    answer.base_fee_per_gas.push(core.draft(newest, chain.options()).base_fee.into());
    answer.base_fee_per_blob_gas.push(1);
    answer.reward = (!percentiles.is_empty()).then_some(rewards);
    result(&answer)
}

/// The tips at these percentiles of the block's gas.
fn tips(block: &MinedBlock, percentiles: &[f64]) -> Vec<u128> {
    let base_fee = block.header.base_fee_per_gas().unwrap_or_default();
    let tip = |it: &super::super::block::MinedTransaction| {
        (it.transaction.effective_tip_per_gas(base_fee).unwrap_or_default(), it.gas_used)
    };
    let mut tips: Vec<_> = block.transactions.iter().map(tip).collect();
    tips.sort_unstable();
    let at = |percentile: &f64| {
        #[expect(clippy::cast_precision_loss, reason = "percentiles are rough")]
        let threshold = block.header.gas_used() as f64 * percentile / 100.0;
        let mut gas = 0_u64;
        let found = tips.iter().find(|(_, used)| {
            gas += used;
            #[expect(clippy::cast_precision_loss, reason = "percentiles are rough")]
            let reached = gas as f64 >= threshold;
            reached
        });
        found.or(tips.last()).map_or(0, |(tip, _)| *tip)
    };
    percentiles.iter().map(at).collect()
}
