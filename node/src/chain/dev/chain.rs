//! [`Chain`] by the development chain, in process: no JSON, except where JSON is asked for.

use std::time::Duration;

use alloy_consensus::{BlockHeader as _, Transaction as _, transaction::TxHashRef as _};
use alloy_primitives::{Address, B256, U256};
use async_trait::async_trait;
use coterie_core::marker::FLEXIBLE_PRIVACY;
use serde_json::value::RawValue;

use super::{DevChain, TransactionError, block::MinedBlock, core::Core, rpc, state::code};
use crate::chain::{
    Block, BlockId, BlockRef, Chain, ChainError, ChainSubscription, Header, MarkerTransaction,
    MinedTransaction, PublicAccount, PublicRead, PublicValue, subscription::refused,
};

/// How long [`Chain::head_changed`] waits on a chain that stands still.
const INTERVAL: Duration = Duration::from_secs(1);

#[async_trait]
impl Chain for DevChain {
    async fn chain_id(&self) -> Result<u64, ChainError> {
        Ok(self.options().chain_id)
    }

    async fn block_ref(&self, id: BlockId) -> Result<Option<BlockRef>, ChainError> {
        let core = self.shared.core.read();
        Ok(self.find(&core, id).map(|it| BlockRef { number: it.header.number(), hash: it.hash() }))
    }

    async fn block(&self, id: BlockId) -> Result<Option<Block>, ChainError> {
        let core = self.shared.core.read();
        Ok(self.find(&core, id).map(block))
    }

    async fn read(&self, at: B256, reads: &[PublicRead]) -> Result<Vec<PublicValue>, ChainError> {
        let core = self.shared.core.read();
        let block = core.block(at).ok_or_else(|| ChainError::Unavailable {
            endpoint: "in process".to_owned(),
            reason: format!("block {at} is not known there"),
        })?;
        let state = block.state().ok_or(ChainError::StatePruned(at))?;
        let answer = |read: &PublicRead| match *read {
            PublicRead::Account(address) => {
                let account = state.account(address);
                PublicValue::Account(PublicAccount {
                    nonce: account.map_or(0, |it| it.nonce),
                    balance: account.map_or(U256::ZERO, |it| it.balance),
                    code: account.map(|it| code(core.codes(), it.code_hash)).unwrap_or_default(),
                })
            }
            PublicRead::Slot(address, slot) => PublicValue::Slot(state.slot(address, slot)),
            PublicRead::BlockHash(number) => {
                PublicValue::BlockHash(core.ancestor(block, number).unwrap_or_default())
            }
        };
        Ok(reads.iter().map(answer).collect())
    }

    async fn nonce(&self, address: Address, pending: bool) -> Result<u64, ChainError> {
        Ok(self.shared.core.read().nonce(address, pending))
    }

    async fn submit(&self, raw: &[u8]) -> Result<B256, ChainError> {
        let refused = |error: TransactionError| ChainError::Refused {
            code: i64::from(rpc::SERVER_ERROR),
            message: error.to_string(),
            data: None,
        };
        let transaction = super::transaction::decode(raw).map_err(refused)?;
        let hash = *transaction.tx_hash();
        match self.send(transaction) {
            Err(TransactionError::AlreadyKnown) => Ok(hash),
            // The same one, sent again after it was mined.
            Err(TransactionError::NonceTooLow { .. })
                if self.shared.core.read().mined(hash).is_some() =>
            {
                Ok(hash)
            }
            other => other.map_err(refused),
        }
    }

    async fn mined(&self, hash: B256) -> Result<Option<MinedTransaction>, ChainError> {
        let core = self.shared.core.read();
        Ok(core.mined(hash).map(|(block, index, mined)| MinedTransaction {
            block: BlockRef { number: block.header.number(), hash: block.hash() },
            index: index as u64,
            from: mined.transaction.signer(),
            to: mined.transaction.to(),
            input: mined.transaction.input().clone(),
        }))
    }

    async fn request(
        &self,
        method: &str,
        params: Option<&RawValue>,
    ) -> Result<Box<RawValue>, ChainError> {
        rpc::call(self, method, params).map_err(|error| refused(&error))
    }

    async fn subscribe(&self, params: Option<&RawValue>) -> Result<ChainSubscription, ChainError> {
        rpc::subscribe(self, params).map_err(|error| refused(&error))
    }

    async fn head_changed(&self, seen: B256) {
        let mut head = self.watch_head();
        // Neither the end of the interval nor a closed channel (its sender is `self`) is an error here.
        let _ = tokio::time::timeout(INTERVAL, head.wait_for(|it| it.hash != seen)).await;
    }
}

impl DevChain {
    /// The block that `id` names; on any branch when it is a hash.
    pub(super) fn find<'a>(&self, core: &'a Core, id: BlockId) -> Option<&'a MinedBlock> {
        let block = match id {
            BlockId::Number(number) => core.canonical(number),
            BlockId::Hash(hash) => core.block(hash),
            BlockId::Latest => Some(core.head_block()),
            BlockId::Finalized | BlockId::Safe => {
                let number = core.head().number.saturating_sub(self.options().finality_depth);
                core.canonical(number)
            }
        };
        block.map(|it| &**it)
    }
}

fn block(block: &MinedBlock) -> Block {
    let header = &block.header;
    let header = Header {
        number: header.number(),
        hash: block.hash(),
        parent_hash: header.parent_hash(),
        timestamp: header.timestamp(),
        beneficiary: header.beneficiary(),
        gas_limit: header.gas_limit(),
        base_fee: header.base_fee_per_gas(),
        difficulty: header.difficulty(),
        mix_hash: header.mix_hash().unwrap_or_default(),
        excess_blob_gas: header.excess_blob_gas(),
    };
    let markers = block
        .transactions
        .iter()
        .zip(0..)
        .filter(|(it, _)| it.transaction.to() == Some(FLEXIBLE_PRIVACY))
        .map(|(it, index)| MarkerTransaction {
            hash: *it.transaction.tx_hash(),
            index,
            from: it.transaction.signer(),
            input: it.transaction.input().clone(),
        })
        .collect();
    Block { header, markers }
}
