//! `eth_call` and `eth_estimateGas`: execution that leaves nothing behind.

use alloy_consensus::BlockHeader as _;
use alloy_primitives::{TxKind, U64};
use alloy_rpc_types_eth::TransactionRequest;
use jsonrpsee_types::ErrorObjectOwned;
use revm::{
    ExecuteEvm,
    context::{
        BlockEnv, TxEnv,
        result::{ExecutionResult, HaltReason},
        tx::TxEnvBuilder,
    },
    database::CacheDB,
};

use super::{
    super::{
        DevChain,
        block::{MinedBlock, environment_of, evm},
        core::Core,
        state::View,
    },
    params::Params,
    revert_error, server_error,
};
use crate::jsonrpc::{Answer, invalid_params, result};

/// Gas that a call may use, as geth's default.
const CALL_GAS_MAX: u64 = 50_000_000;

/// `eth_call`.
pub(super) fn call(chain: &DevChain, params: &Params) -> Answer {
    if params.value(2).is_some() {
        return Err(invalid_params("state overrides are not supported"));
    }
    let request: TransactionRequest = params.required(0)?;
    let core = chain.shared.core.read();
    let block = params.block(1, chain, &core)?;
    let gas = request.gas.map_or(CALL_GAS_MAX, |it| it.min(CALL_GAS_MAX));
    match execute(chain, &core, block, &request, gas)? {
        ExecutionResult::Success { output, .. } => result(output.data()),
        ExecutionResult::Revert { output, .. } => Err(revert_error(&output)),
        ExecutionResult::Halt { reason, .. } => Err(halt_error(&reason)),
    }
}

/// `eth_estimateGas`: the least gas with which the transaction succeeds, by bisection.
pub(super) fn estimate(chain: &DevChain, params: &Params) -> Answer {
    let request: TransactionRequest = params.required(0)?;
    let core = chain.shared.core.read();
    let block = params.block(1, chain, &core)?;
    let mut enough =
        request.gas.unwrap_or(u64::MAX).min(CALL_GAS_MAX).min(block.header.gas_limit());
    let mut too_little = match execute(chain, &core, block, &request, enough)? {
        // Without refunds: what was spent on the way must be there.
        ExecutionResult::Success { gas, .. } => {
            gas.total_gas_spent().max(gas.tx_gas_used()).saturating_sub(1)
        }
        ExecutionResult::Revert { output, .. } => return Err(revert_error(&output)),
        ExecutionResult::Halt { reason, .. } => return Err(halt_error(&reason)),
    };
    // Most transactions need exactly what they use.
    let mut middle = too_little.saturating_add(1);
    while too_little.saturating_add(1) < enough {
        let works = execute(chain, &core, block, &request, middle).is_ok_and(|it| it.is_success());
        if works {
            enough = middle
        } else {
            too_little = middle
        }
        middle = too_little + (enough - too_little) / 2;
    }
    result(&U64::from(enough))
}

/// The error for a block whose state is gone.
pub(super) fn pruned(block: &MinedBlock) -> ErrorObjectOwned {
    server_error(format!(
        "missing trie node {} (path ) state is not available",
        block.header.state_root()
    ))
}

fn halt_error(reason: &HaltReason) -> ErrorObjectOwned {
    if let HaltReason::OutOfGas(_) = reason {
        return server_error("out of gas");
    }
    if matches!(reason, HaltReason::OpcodeNotFound | HaltReason::InvalidFEOpcode) {
        return server_error("invalid opcode: INVALID");
    }
    server_error(format!("{reason:?}"))
}

fn execute(
    chain: &DevChain,
    core: &Core,
    block: &MinedBlock,
    request: &TransactionRequest,
    gas: u64,
) -> Result<ExecutionResult, ErrorObjectOwned> {
    let state = block.state().ok_or_else(|| pruned(block))?;
    let ancestor = |number| core.ancestor(block, number);
    let view = View { state: &state, codes: core.codes(), ancestor: &ancestor };
    let options = chain.options();
    let nonce = state.nonce(request.from.unwrap_or_default());
    let transaction = transaction(request, gas, nonce, options.chain_id)?;
    let mut environment: BlockEnv = environment_of(&block.header);
    if transaction.gas_price == 0 {
        // A call without a price pays nothing, whatever the block's base fee.
        environment.basefee = 0;
    }
    let mut evm = evm(CacheDB::new(view), environment, options.chain_id, options.hardfork);
    evm.transact(transaction).map(|it| it.result).map_err(|error| server_error(error.to_string()))
}

fn transaction(
    request: &TransactionRequest,
    gas: u64,
    nonce: u64,
    chain_id: u64,
) -> Result<TxEnv, ErrorObjectOwned> {
    let price = request.gas_price.or(request.max_fee_per_gas).unwrap_or(0);
    TxEnvBuilder::new()
        .caller(request.from.unwrap_or_default())
        .gas_limit(gas)
        .gas_price(price)
        .gas_priority_fee(
            request.max_priority_fee_per_gas.filter(|_| request.max_fee_per_gas.is_some()),
        )
        .kind(request.to.unwrap_or(TxKind::Create))
        .value(request.value.unwrap_or_default())
        .data(request.input.input().cloned().unwrap_or_default())
        .nonce(nonce)
        .chain_id(Some(chain_id))
        .access_list(request.access_list.clone().unwrap_or_default())
        .build()
        .map_err(|error| invalid_params(format!("{error:?}")))
}
