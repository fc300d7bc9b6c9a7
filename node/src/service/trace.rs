//! The steps of a mined private transaction: executed again on the state before it, with everything
//! that came earlier in its block, and compared with what was stored when it was followed.

use alloy_primitives::B256;
use coterie_core::{GroupId, PayloadKey, access::Use, wire::VersionedPrivateTransaction};

use super::{ReadError, Service, Tenant};
use crate::{
    chain::{BlockId, BlockRef},
    executor::{Execution, Prepared, PublicReads, TraceFrame, TraceLimits, recover_sender},
    state::{Corruption, EMPTY_ROOT, GroupMarker, Reason, Receipt, StateError},
};

/// The frames of a private transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionTrace {
    /// The marker's transaction hash.
    pub marker: B256,
    /// The marker's block.
    pub block: BlockRef,
    /// The marker's index in it.
    pub index: u64,
    /// In the order in which they began.
    pub frames: Vec<TraceFrame>,
}

impl Service {
    /// The frames of a marker's transaction in this group; `None` when there is no such marker, or
    /// nothing was executed.
    ///
    /// # Errors
    ///
    /// [`ReadError::TooMuch`] for more frames or data than an answer may have;
    /// [`Corruption::NotReproduced`] when the execution does not come to the stored outcome.
    pub async fn trace_transaction(
        &self,
        tenant: &Tenant,
        group: GroupId,
        marker: B256,
    ) -> Result<Option<TransactionTrace>, ReadError> {
        let sight = self.sight(tenant, group, Use::Trace)?;
        // Refuses who may see nothing, whether or not there is such a marker.
        self.block_in((tenant, Use::Trace), group, BlockId::Latest).await?;
        let Some((block, receipt)) = self.view.receipt(marker)? else { return Ok(None) };
        if receipt.group != Some(group) || !sight.covers(block.number) || !ran(receipt.reason) {
            return Ok(None);
        }
        let Some(record) = self.view.state.record(group, block)? else { return Ok(None) };
        let Some(at) = record.markers.iter().position(|it| it.marker == marker) else {
            return Ok(None);
        };
        let not_reproduced = || StateError::Corrupt(Corruption::NotReproduced(marker));
        let earlier = record.markers.iter().take(at);
        // What failed changed nothing.
        let earlier = earlier.filter(|it| it.reason == Reason::Executed).copied();
        let earlier = self.prepared(earlier.collect()).await?.ok_or_else(not_reproduced)?;
        let own = self.prepared(record.markers.iter().skip(at).take(1).copied().collect());
        let own = own.await?.and_then(|mut own| own.pop()).ok_or_else(not_reproduced)?;
        let header = self.view.header(block).await?;
        let before = block.number.checked_sub(1).map(|number| self.view.group(group, number));
        let before = match before.transpose()?.flatten() {
            Some(view) => view.snapshot,
            None => self.view.state.snapshot(EMPTY_ROOT),
        };
        let mut execution = self.view.executor.begin(group, before, &header);
        let sender = own.sender;
        let limits = TraceLimits::default();
        let run = move |reads: &PublicReads| {
            for prepared in &earlier {
                if execution.execute(prepared, reads)?.reason != Reason::Executed {
                    return Ok(None);
                }
            }
            execution.trace(&own, reads, limits).map(Some)
        };
        let Some((outcome, frames)) = self.view.execute_again(group, &header, run).await? else {
            return Err(not_reproduced().into());
        };
        if !is_outcome(&receipt, &outcome) || sender != receipt.sender {
            return Err(not_reproduced().into());
        }
        let limit = u64::try_from(limits.frames_max).unwrap_or(u64::MAX);
        let frames = frames.ok_or(ReadError::TooMuch { limit, of: "frames, or their data" })?;
        Ok(Some(TransactionTrace { marker, block, index: receipt.index, frames }))
    }

    /// The transactions of executed markers; `None` when a payload cannot be opened any more.
    async fn prepared(
        &self,
        markers: Vec<GroupMarker>,
    ) -> Result<Option<Vec<Prepared>>, ReadError> {
        let mut all = Vec::with_capacity(markers.len());
        for marker in markers {
            let Some(prepared) = self.prepare(marker.payload).await? else { return Ok(None) };
            all.push(prepared);
        }
        Ok(Some(all))
    }

    async fn prepare(&self, key: PayloadKey) -> Result<Option<Prepared>, ReadError> {
        let Some(payload) = self.view.enclave.receive(key).await? else { return Ok(None) };
        let Ok(VersionedPrivateTransaction { transaction, version }) =
            VersionedPrivateTransaction::from_text(&payload.text)
        else {
            return Ok(None);
        };
        let group = transaction.transaction.group_id();
        let sender = recover_sender(&transaction);
        Ok(Some(Prepared { key, transaction, version, group, sender }))
    }
}

/// Whether a transaction with this outcome was executed.
const fn ran(reason: Reason) -> bool {
    match reason {
        Reason::Executed | Reason::Reverted | Reason::OutOfGas | Reason::TooManyPublicReads => true,
        Reason::Nonce
        | Reason::ChainId
        | Reason::Value
        | Reason::Signature
        | Reason::Locked
        | Reason::Version
        | Reason::NotAMember
        | Reason::Undecodable
        | Reason::EnclaveSignature
        | Reason::Duplicate
        | Reason::Copied
        | Reason::Late
        | Reason::NotInHistory => false,
    }
}

fn is_outcome(receipt: &Receipt, outcome: &Execution) -> bool {
    let Execution { reason, output, revert, logs, contract, .. } = outcome;
    (receipt.reason, receipt.contract) == (*reason, *contract)
        && (&receipt.output, &receipt.revert, &receipt.logs) == (output, revert, logs)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use alloy_primitives::{Address, Bytes, Log};

    use super::*;
    use crate::executor::GroupFacts;

    #[test]
    fn every_difference_from_what_was_stored_is_seen() {
        let receipt = Receipt {
            marker: B256::ZERO,
            index: 0,
            payload: PayloadKey(B256::ZERO),
            group: None,
            reason: Reason::Executed,
            decided_by: None,
            output: Bytes::new(),
            revert: None,
            logs: Vec::new(),
            contract: None,
            sender: None,
        };
        let execution = |change: fn(&mut Execution)| {
            let facts = Arc::new(GroupFacts::before_creation());
            let mut execution = Execution {
                reason: Reason::Executed,
                output: Bytes::new(),
                revert: None,
                logs: Vec::new(),
                contract: None,
                before: Arc::clone(&facts),
                after: facts,
            };
            change(&mut execution);
            execution
        };
        assert!(is_outcome(&receipt, &execution(|_| {})));
        let changes: [fn(&mut Execution); 5] = [
            |it| it.reason = Reason::Reverted,
            |it| it.output = Bytes::from_static(&[0]),
            |it| it.revert = Some(Bytes::new()),
            |it| it.logs = vec![Log::default()],
            |it| it.contract = Some(Address::ZERO),
        ];
        for change in changes {
            let execution = execution(change);
            assert!(!is_outcome(&receipt, &execution), "{execution:?}");
        }
    }
}
