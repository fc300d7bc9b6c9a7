//! The development chain as one member reaches it: a node that forgets old state.

use std::sync::atomic::{AtomicU64, Ordering};

use alloy_primitives::{Address, B256};
use async_trait::async_trait;
use coterie_node::chain::{
    Block, BlockId, BlockRef, Chain, ChainError, MinedTransaction, PublicRead, PublicValue,
    dev::DevChain,
};
use serde_json::value::RawValue;

/// The chain without the state of its older blocks.
pub(crate) struct SimChain {
    inner: DevChain,
    /// The first block whose state is there.
    oldest: AtomicU64,
}

impl SimChain {
    /// The chain with the state of block `oldest` and of later ones.
    pub(crate) const fn new(inner: DevChain, oldest: u64) -> Self {
        Self { inner, oldest: AtomicU64::new(oldest) }
    }

    /// From now on the state of blocks before this one is not there.
    pub(crate) fn set_oldest(&self, number: u64) {
        self.oldest.store(number, Ordering::SeqCst);
    }
}

#[async_trait]
impl Chain for SimChain {
    async fn chain_id(&self) -> Result<u64, ChainError> {
        self.inner.chain_id().await
    }

    async fn block_ref(&self, id: BlockId) -> Result<Option<BlockRef>, ChainError> {
        self.inner.block_ref(id).await
    }

    async fn block(&self, id: BlockId) -> Result<Option<Block>, ChainError> {
        self.inner.block(id).await
    }

    async fn read(&self, at: B256, reads: &[PublicRead]) -> Result<Vec<PublicValue>, ChainError> {
        let oldest = self.oldest.load(Ordering::SeqCst);
        let block = self.inner.block_ref(BlockId::Hash(at)).await?;
        if block.is_none_or(|block| block.number < oldest) {
            return Err(ChainError::StatePruned(at));
        }
        self.inner.read(at, reads).await
    }

    async fn nonce(&self, address: Address, pending: bool) -> Result<u64, ChainError> {
        self.inner.nonce(address, pending).await
    }

    async fn submit(&self, raw: &[u8]) -> Result<B256, ChainError> {
        self.inner.submit(raw).await
    }

    async fn mined(&self, hash: B256) -> Result<Option<MinedTransaction>, ChainError> {
        self.inner.mined(hash).await
    }

    async fn request(
        &self,
        method: &str,
        params: Option<&RawValue>,
    ) -> Result<Box<RawValue>, ChainError> {
        self.inner.request(method, params).await
    }

    async fn head_changed(&self, seen: B256) {
        self.inner.head_changed(seen).await;
    }
}
