//! How much gas a private transaction needs.
//!
//! Private gas costs nothing and its limit is the network's, whatever a transaction says. What its
//! `gasLimit` does decide is the gas limit of its marker, and only that is bought. So an estimate is
//! the gas that the execution uses, but at least what a marker needs, and not more than a block has:
//! a transaction with this `gasLimit` can be sent.

use coterie_core::{GroupId, access::Use};

use super::{CallOutcome, ReadError, Service, Tenant, send::MARKER_GAS};
use crate::{
    chain::BlockId,
    executor::{self, EstimateRequest, PublicReads},
    state::{EMPTY_ROOT, Reason},
};

/// What a transaction would come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GasEstimate {
    /// It would succeed, and this is a `gasLimit` for it.
    Gas(u64),
    /// It would fail like this.
    Failed(CallOutcome),
}

impl Service {
    /// A `gasLimit` for a transaction to the group after `block`, which may be its creation; `None`
    /// when there is no block of this number.
    ///
    /// # Errors
    ///
    /// [`ReadError::BlockUnknown`] for a tag that names no block.
    pub async fn estimate_gas(
        &self,
        tenant: &Tenant,
        group: GroupId,
        request: EstimateRequest,
        block: BlockId,
    ) -> Result<Option<GasEstimate>, ReadError> {
        let Some(at) = self.block_in((tenant, Use::EstimateGas), group, block).await? else {
            return Ok(None);
        };
        let header = self.view.header(at).await?;
        let snapshot = match self.view.group(group, at.number)? {
            Some(view) => view.snapshot,
            None => self.view.state.snapshot(EMPTY_ROOT),
        };
        let block_gas = header.gas_limit;
        let executor = self.view.executor.clone();
        let run = move |reads: &PublicReads| {
            executor.estimate(group, &snapshot, &header, &request, reads)
        };
        let estimate = self.view.execute(at.hash, run).await?;
        Ok(Some(match estimate.outcome {
            executor::CallOutcome::Success(_) => {
                GasEstimate::Gas(estimate.gas.min(block_gas).max(MARKER_GAS))
            }
            executor::CallOutcome::Revert(data) => GasEstimate::Failed(CallOutcome::Reverted(data)),
            executor::CallOutcome::Halt(Reason::TooManyPublicReads) => {
                GasEstimate::Failed(CallOutcome::TooManyPublicReads)
            }
            executor::CallOutcome::Halt(_) => GasEstimate::Failed(CallOutcome::Halted),
        }))
    }
}
