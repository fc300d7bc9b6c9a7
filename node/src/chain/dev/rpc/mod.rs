//! The development chain's JSON-RPC methods: what viem, ethers and web3 ask of a node, under the
//! names and with the shapes of <https://ethereum.github.io/execution-apis>, errors as geth words them.
//!
//! It signs nothing (`eth_accounts` is empty) and has no proofs, traces or blobs. Subscriptions are
//! to new heads and logs, over a WebSocket.

mod blocks;
mod calls;
mod fees;
mod filters;
mod params;
mod subscriptions;
#[cfg(test)]
mod tests;

use alloy_consensus::BlockHeader as _;
use alloy_primitives::{Address, B256, Bytes, U64, U256, hex, keccak256};
use jsonrpsee_types::ErrorObjectOwned;
use serde_json::{json, value::RawValue};

use self::params::Params;
pub(super) use self::{filters::Filters, subscriptions::subscribe};
use super::{DevChain, MineError, Mining, TransactionError, state::code};
use crate::jsonrpc::{Answer, method_not_found, result};

/// The code of most errors, as geth's.
pub(super) const SERVER_ERROR: i32 = -32000;

/// An error with [`SERVER_ERROR`].
pub(super) fn server_error(message: impl Into<String>) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(SERVER_ERROR, message, None::<()>)
}

impl From<TransactionError> for ErrorObjectOwned {
    fn from(error: TransactionError) -> Self {
        server_error(error.to_string())
    }
}

impl From<MineError> for ErrorObjectOwned {
    fn from(error: MineError) -> Self {
        server_error(error.to_string())
    }
}

/// The id in the parameters of `eth_unsubscribe`.
pub(super) fn subscription_id(params: Option<&RawValue>) -> Result<u64, ErrorObjectOwned> {
    Params::parse(params)?.quantity(0)
}

/// Answers one call.
pub(super) fn call(chain: &DevChain, method: &str, params: Option<&RawValue>) -> Answer {
    let params = Params::parse(params)?;
    match method {
        "web3_clientVersion" => result(concat!("coterie-dev/v", env!("CARGO_PKG_VERSION"))),
        "web3_sha3" => result(&keccak256(params.required::<Bytes>(0)?)),
        "net_version" => result(&chain.options().chain_id.to_string()),
        "net_listening" => result(&true),
        "net_peerCount" | "eth_hashrate" => result("0x0"),
        "eth_protocolVersion" => result("0x44"),
        "eth_syncing" | "eth_mining" => result(&false),
        "eth_accounts" => result(&[(); 0]),
        "eth_coinbase" => result(&chain.options().beneficiary),
        "eth_chainId" => result(&U64::from(chain.options().chain_id)),
        "eth_blockNumber" => result(&U64::from(chain.head().number)),
        "eth_getBalance" | "eth_getCode" | "eth_getStorageAt" | "eth_getTransactionCount" => {
            account(chain, method, &params)
        }
        "eth_call" => calls::call(chain, &params),
        "eth_estimateGas" => calls::estimate(chain, &params),
        "eth_gasPrice" | "eth_maxPriorityFeePerGas" | "eth_feeHistory" | "eth_blobBaseFee" => {
            fees::answer(chain, method, &params)
        }
        "eth_sendRawTransaction" => result(&chain.send_raw(&params.required::<Bytes>(0)?)?),
        "eth_getLogs"
        | "eth_newFilter"
        | "eth_newBlockFilter"
        | "eth_newPendingTransactionFilter"
        | "eth_getFilterChanges"
        | "eth_getFilterLogs"
        | "eth_uninstallFilter" => filters::answer(chain, method, &params),
        "evm_mine"
        | "evm_setAutomine"
        | "evm_setIntervalMining"
        | "evm_snapshot"
        | "evm_revert" => control(chain, method, &params),
        _ => {
            blocks::answer(chain, method, &params).unwrap_or_else(|| Err(method_not_found(method)))
        }
    }
}

/// The methods about an account at a block.
fn account(chain: &DevChain, method: &str, params: &Params) -> Answer {
    let address: Address = params.required(0)?;
    let core = chain.shared.core.read();
    let block_param = if method == "eth_getStorageAt" { 2 } else { 1 };
    if method == "eth_getTransactionCount" && params.is_pending(block_param) {
        return result(&U64::from(core.nonce(address, true)));
    }
    let block = params.block(block_param, chain, &core)?;
    let state = block.state().ok_or_else(|| calls::pruned(block))?;
    match method {
        "eth_getBalance" => result(&state.balance(address)),
        "eth_getTransactionCount" => result(&U64::from(state.nonce(address))),
        "eth_getCode" => {
            let code = state.account(address).map(|it| code(core.codes(), it.code_hash));
            result(&code.unwrap_or_default())
        }
        _ => result(&B256::from(state.slot(address, params.required::<U256>(1)?))),
    }
}

/// The methods that a development chain has and a real one does not.
fn control(chain: &DevChain, method: &str, params: &Params) -> Answer {
    match method {
        "evm_mine" => {
            chain.mine();
            result("0x0")
        }
        "evm_setAutomine" => {
            let instant: bool = params.required(0)?;
            chain.set_mining(if instant { Mining::Instant } else { Mining::Manual });
            result(&true)
        }
        "evm_setIntervalMining" => {
            let interval_ms = params.quantity(0)?;
            chain.set_mining(if interval_ms == 0 {
                Mining::Manual
            } else {
                Mining::Interval(interval_ms)
            });
            result(&true)
        }
        // A snapshot's id is the block's hash: blocks are never lost.
        "evm_snapshot" => result(&chain.head().hash),
        _ => {
            let mut core = chain.shared.core.write();
            core.set_head(params.required::<B256>(0)?)?;
            core.clear_pool();
            chain.announce(&core);
            result(&true)
        }
    }
}

/// Data of a revert as clients expect it in an error.
fn revert_error(data: &Bytes) -> ErrorObjectOwned {
    use alloy_sol_types::SolError;
    let reason =
        alloy_sol_types::Revert::abi_decode(data).ok().map(|it| format!(": {}", it.reason));
    let message = format!("execution reverted{}", reason.unwrap_or_default());
    ErrorObjectOwned::owned(3, message, Some(json!(hex::encode_prefixed(data))))
}

/// Seconds of a block, for shapes that repeat it.
fn timestamp(block: &super::block::MinedBlock) -> u64 {
    block.header.timestamp()
}
