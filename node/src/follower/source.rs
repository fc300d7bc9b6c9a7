//! Public state for the execution of a block: what was recorded for it, else the chain's, at the
//! parent block.

use std::{collections::HashMap, sync::Arc};

use alloy_primitives::B256;
use coterie_core::GroupId;
use tokio::{runtime::Handle, sync::OnceCell};

use super::FollowError;
use crate::{
    chain::{Chain, ChainError, Header, PublicRead, PublicValue},
    enclave::{Enclave, EnclaveUnavailable},
    executor::Source,
};

/// Public state for the execution of one block for one group. Clones share what was recorded.
#[derive(Clone)]
pub(super) struct ParentState {
    chain: Arc<dyn Chain>,
    enclave: Arc<dyn Enclave>,
    group: GroupId,
    block: B256,
    parent: B256,
    /// Loaded when it is asked for first.
    recorded: Arc<OnceCell<HashMap<PublicRead, PublicValue>>>,
}

impl ParentState {
    /// For the execution of block `header` for `group`.
    pub(super) fn new(
        (chain, enclave): (&Arc<dyn Chain>, &Arc<dyn Enclave>),
        group: GroupId,
        header: &Header,
    ) -> Self {
        Self {
            chain: Arc::clone(chain),
            enclave: Arc::clone(enclave),
            group,
            block: header.hash,
            parent: header.parent_hash,
            recorded: Arc::default(),
        }
    }

    /// The answer to `read`.
    ///
    /// # Errors
    ///
    /// The chain or the enclave failed.
    pub(super) async fn read<E>(&self, read: PublicRead) -> Result<PublicValue, E>
    where
        E: From<ChainError> + From<EnclaveUnavailable>,
    {
        let load = || async {
            let recorded = self.enclave.recorded_reads(self.group, self.block).await?;
            Ok::<_, EnclaveUnavailable>(recorded.into_iter().collect())
        };
        if let Some(value) = self.recorded.get_or_try_init(load).await?.get(&read) {
            return Ok(value.clone());
        }
        let value = self.chain.read(self.parent, &[read]).await?.pop();
        let missing = || ChainError::incomplete("it answered no value to a state read".to_owned());
        Ok(value.ok_or_else(missing)?)
    }

    /// A source for an execution that is under way. It waits for its answers, so it may only be
    /// asked on threads that do not drive the runtime. Where there is none, the execution ends, and
    /// the follower asks in its own time.
    pub(super) fn into_source(self) -> Source {
        let runtime = Handle::current();
        Arc::new(move |read| runtime.block_on(self.read::<FollowError>(read)).ok())
    }
}
