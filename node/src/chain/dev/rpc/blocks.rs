//! Blocks, transactions and receipts as JSON.

use alloy_consensus::{BlockHeader as _, Transaction as _, transaction::TxHashRef as _};
use alloy_primitives::{B256, U64, U256};
use alloy_rpc_types_eth::{
    Block, BlockTransactions, Header, Log, Transaction, TransactionInfo, TransactionReceipt,
};
use jsonrpsee_types::ErrorObjectOwned;

use super::{
    super::{
        DevChain,
        block::{MinedBlock, MinedTransaction},
        core::Core,
        transaction::raw,
    },
    params::Params,
    timestamp,
};
use crate::{
    chain::BlockId,
    jsonrpc::{Answer, result},
};

/// Answers the methods about blocks and transactions; `None` if it is none of them.
pub(super) fn answer(chain: &DevChain, method: &str, params: &Params) -> Option<Answer> {
    Some(match method {
        "eth_getBlockByNumber" | "eth_getBlockByHash" => block(chain, params),
        "eth_getBlockTransactionCountByNumber" | "eth_getBlockTransactionCountByHash" => {
            of_block(chain, params, |block| Some(U64::from(block.transactions.len())))
        }
        "eth_getUncleCountByBlockNumber" | "eth_getUncleCountByBlockHash" => {
            of_block(chain, params, |_| Some(U64::ZERO))
        }
        "eth_getBlockReceipts" => of_block(chain, params, |block| Some(receipts(block))),
        "eth_getTransactionByBlockNumberAndIndex" | "eth_getTransactionByBlockHashAndIndex" => {
            params.quantity(1).and_then(|index| {
                let index = usize::try_from(index).unwrap_or(usize::MAX);
                of_block(chain, params, |block| {
                    block.transactions.get(index).map(|it| transaction(block, index, it))
                })
            })
        }
        "eth_getTransactionByHash" => by_hash(params, |hash| {
            let core = chain.shared.core.read();
            core.mined(hash)
                .map(|(block, index, it)| transaction(block, index, it))
                .or_else(|| pending(&core, hash))
        }),
        "eth_getRawTransactionByHash" => by_hash(params, |hash| {
            let core = chain.shared.core.read();
            let mined = core.mined(hash).map(|(_, _, it)| &it.transaction);
            mined.or_else(|| core.pending(hash)).map(|it| raw(it.inner()))
        }),
        "eth_getTransactionReceipt" => by_hash(params, |hash| {
            let core = chain.shared.core.read();
            core.mined(hash).map(|(block, index, it)| receipt(block, index, it))
        }),
        _ => return None,
    })
}

fn by_hash<T: serde::Serialize>(params: &Params, find: impl FnOnce(B256) -> Option<T>) -> Answer {
    result(&find(params.required(0)?))
}

/// Something of the block that the first parameter names; `null` if there is no such block.
fn of_block<T: serde::Serialize>(
    chain: &DevChain,
    params: &Params,
    of: impl FnOnce(&MinedBlock) -> Option<T>,
) -> Answer {
    let id = required_block_id(params)?;
    let core = chain.shared.core.read();
    result(&chain.find(&core, id).and_then(of))
}

fn required_block_id(params: &Params) -> Result<BlockId, ErrorObjectOwned> {
    params.required::<serde_json::Value>(0)?;
    params.block_id(0)
}

fn block(chain: &DevChain, params: &Params) -> Answer {
    let full = params.optional::<bool>(1)?.unwrap_or(false);
    of_block(chain, params, |block| {
        let mined = block.transactions.iter();
        let transactions = if full {
            BlockTransactions::Full(
                mined.enumerate().map(|(index, it)| transaction(block, index, it)).collect(),
            )
        } else {
            BlockTransactions::Hashes(mined.map(|it| *it.transaction.tx_hash()).collect())
        };
        let mut header = Header::from_sealed(block.header.clone());
        header.size = Some(U256::from(block.size));
        header.total_difficulty = Some(U256::ZERO);
        let withdrawals = block.header.withdrawals_root().map(|_| Default::default());
        Some(Block { header, uncles: Vec::new(), transactions, withdrawals })
    })
}

fn transaction(block: &MinedBlock, index: usize, mined: &MinedTransaction) -> Transaction {
    let info = TransactionInfo {
        hash: Some(*mined.transaction.tx_hash()),
        index: Some(index as u64),
        block_hash: Some(block.hash()),
        block_number: Some(block.header.number()),
        base_fee: block.header.base_fee_per_gas(),
        block_timestamp: Some(timestamp(block)),
    };
    Transaction::from_transaction((*mined.transaction).clone(), info)
}

fn pending(core: &Core, hash: B256) -> Option<Transaction> {
    let transaction = core.pending(hash)?;
    let info = TransactionInfo { hash: Some(hash), ..TransactionInfo::default() };
    Some(Transaction::from_transaction((**transaction).clone(), info))
}

fn receipts(block: &MinedBlock) -> Vec<TransactionReceipt> {
    block.transactions.iter().enumerate().map(|(index, it)| receipt(block, index, it)).collect()
}

fn receipt(block: &MinedBlock, index: usize, mined: &MinedTransaction) -> TransactionReceipt {
    let mut logs = logs(block, index, mined);
    let base_fee = block.header.base_fee_per_gas();
    TransactionReceipt {
        inner: mined
            .receipt
            .clone()
            .map_logs(|inner| logs.next().unwrap_or(Log { inner, ..Log::default() })),
        transaction_hash: *mined.transaction.tx_hash(),
        transaction_index: Some(index as u64),
        block_hash: Some(block.hash()),
        block_number: Some(block.header.number()),
        gas_used: mined.gas_used,
        effective_gas_price: mined.transaction.effective_gas_price(base_fee),
        blob_gas_used: None,
        blob_gas_price: None,
        from: mined.transaction.signer(),
        to: mined.transaction.to(),
        contract_address: mined.contract,
    }
}

/// The logs of one transaction, with where they are.
pub(super) fn logs(
    block: &MinedBlock,
    index: usize,
    mined: &MinedTransaction,
) -> impl Iterator<Item = Log> {
    let (block_hash, block_number, block_timestamp) =
        (block.hash(), block.header.number(), timestamp(block));
    let transaction_hash = *mined.transaction.tx_hash();
    mined.receipt.logs().iter().zip(mined.log_index..).map(move |(inner, log_index)| Log {
        inner: inner.clone(),
        block_hash: Some(block_hash),
        block_number: Some(block_number),
        block_timestamp: Some(block_timestamp),
        transaction_hash: Some(transaction_hash),
        transaction_index: Some(index as u64),
        log_index: Some(log_index),
        removed: false,
    })
}
