//! What became of a marker: private receipts and transactions, by the marker's hash.

use std::sync::Arc;

use alloy_primitives::{Address, B256, Bytes, TxKind};
use coterie_core::{
    GroupId, Marker, PayloadKey, Recipients, SignedPrivateTransaction,
    access::{self, Use},
    definition::Rules,
    marker::FLEXIBLE_PRIVACY,
    wire::VersionedPrivateTransaction,
};

use super::{PrivateReceipt, PrivateTransactionInfo, Reach, ReadError, Service, Tenant};
use crate::{
    chain::{BlockRef, MinedTransaction},
    enclave::Payload,
    executor::recover_sender,
    state::{Reason, Receipt, StateError, seen},
};

impl Service {
    /// The private receipt of a marker; `None` when it is not mined or not for the caller.
    ///
    /// For a mined marker, waits until its block has been followed, up to a limit. One whose block
    /// will not be followed is an error.
    ///
    /// A caller that holds the payload, but is no member of its group, is told that it is none, and
    /// not what became of it: that depends on the group, of which it must learn nothing.
    pub async fn receipt(
        &self,
        tenant: &Tenant,
        marker: B256,
    ) -> Result<Option<PrivateReceipt>, ReadError> {
        if let Some((block, receipt)) = self.stored(marker)? {
            return self.shown(tenant, block, receipt).await;
        }
        let Some(mined) = self.view.chain.mined(marker).await? else { return Ok(None) };
        let rules = self.view.definition.rules;
        let Some(key) = marker_payload(rules, marker, &mined)? else { return Ok(None) };
        self.wait_followed(mined.block).await?;
        // Read before the receipt is looked for: a history that is taken over in between must not
        // look as if the payload had come too late.
        let joining = self.view.following.joining.borrow().clone();
        let told = self.view.is_followed(mined.block.number);
        if let Some((block, receipt)) = self.stored(marker)? {
            return self.shown(tenant, block, receipt).await;
        }
        // Not there yet, or on another branch: nothing was decided.
        if !told || self.view.state.canonical(mined.block.number)? != Some(mined.block.hash) {
            self.view.following.check()?;
            return Ok(None);
        }
        // Followed, but it was not readable then. If it is now, it came too late.
        let Some(payload) = self.view.enclave.receive(key).await? else { return Ok(None) };
        let transaction = transaction(&payload);
        let group = transaction.as_ref().map(|signed| signed.transaction.group_id());
        let waits = match group {
            Some(group) if joining.binary_search(&group).is_ok() => {
                !self.is_settled(group, mined.block)?
            }
            Some(_) | None => false,
        };
        // Whether a group waits for its history is for its members.
        if waits && self.may_see(tenant, group, mined.block)? {
            self.view.following.check()?;
            return Ok(None);
        }
        let stranger =
            payload.marker_signer != Address::ZERO && payload.marker_signer != mined.from;
        // The first one that could not be read decided.
        let first = seen::first(&self.view.state, key, payload.marker_signer)?;
        let decided_by = first.map(|first| first.marker).filter(|it| !stranger && *it != marker);
        let receipt = Receipt {
            marker,
            index: mined.index,
            payload: key,
            group,
            reason: match (stranger, decided_by) {
                (true, _) => Reason::Copied,
                (false, Some(_)) => Reason::Duplicate,
                (false, None) if !self.may_see(tenant, group, mined.block)? => {
                    // As in a group that does not exist, whether this one waits for its history,
                    // was taken over, or was given up.
                    let unread = first.is_some_and(|first| first.marker == marker);
                    if unread { Reason::Late } else { Reason::NotAMember }
                }
                (false, None) => self.without_receipt(group, mined.block),
            },
            decided_by,
            output: Bytes::new(),
            revert: None,
            logs: Vec::new(),
            contract: None,
            sender: transaction.as_ref().and_then(recover_sender),
        };
        self.shown(tenant, mined.block, receipt).await
    }

    /// Whether a receipt in this block is the caller's to see, as a member of its group.
    fn may_see_receipt(
        &self,
        tenant: &Tenant,
        receipt: &Receipt,
        block: BlockRef,
    ) -> Result<bool, ReadError> {
        if tenant.reach == Reach::Node {
            return Ok(true);
        }
        Ok(match receipt.reason {
            Reason::Executed
            | Reason::Reverted
            | Reason::OutOfGas
            | Reason::TooManyPublicReads
            | Reason::Nonce
            | Reason::ChainId
            | Reason::Value
            | Reason::Signature
            | Reason::Locked
            | Reason::Version => {
                let Some(group) = receipt.group else { return Ok(false) };
                // In a group that did not exist yet these are no member's. Mostly this very block has
                // a record, and reading it costs less than looking for an earlier one.
                let state = &self.view.state;
                (state.record(group, block)?.is_some()
                    || state.group_at(group, block.number)?.is_some())
                    && self.may_see(tenant, receipt.group, block)?
            }
            Reason::Duplicate | Reason::Copied => {
                self.may_see(tenant, receipt.group, block)?
                    && self.may_see_decided(tenant, receipt.payload)?
            }
            // Sent by somebody who was no member, or nobody's: its recipients' only.
            Reason::NotAMember
            | Reason::Undecodable
            | Reason::EnclaveSignature
            | Reason::Late
            | Reason::NotInHistory => false,
        })
    }

    /// Whether a payload belongs to a group's history that the caller may see.
    fn may_see_decided(&self, tenant: &Tenant, payload: PayloadKey) -> Result<bool, ReadError> {
        if tenant.reach == Reach::Node {
            return Ok(true);
        }
        let Some(decision) = self.view.decided(payload)? else { return Ok(false) };
        let Some((block, receipt)) = self.stored(decision.marker)? else { return Ok(false) };
        // What decided is never a duplicate itself.
        let again = matches!(receipt.reason, Reason::Duplicate | Reason::Copied);
        Ok(!again && self.may_see_receipt(tenant, &receipt, block)?)
    }

    /// Whether the caller may see the group's markers in this block.
    fn may_see(
        &self,
        tenant: &Tenant,
        group: Option<GroupId>,
        block: BlockRef,
    ) -> Result<bool, ReadError> {
        Ok(match (group, tenant.reach) {
            (_, Reach::Node) => true,
            (Some(group), Reach::Key) => {
                self.sight(tenant, group, Use::Receipt)?.covers(block.number)
            }
            // It belongs to nobody but those that it was sent to.
            (None, Reach::Key) => false,
        })
    }

    /// What the caller may see of a receipt.
    async fn shown(
        &self,
        tenant: &Tenant,
        block: BlockRef,
        receipt: Receipt,
    ) -> Result<Option<PrivateReceipt>, ReadError> {
        if self.may_see_receipt(tenant, &receipt, block)? {
            return self.with_transaction(Some(tenant), block, receipt).await.map(Some);
        }
        if !self.holds(tenant, receipt.payload).await? {
            return Ok(None);
        }
        if self.may_see(tenant, receipt.group, block)? {
            return self.with_transaction(Some(tenant), block, receipt).await.map(Some);
        }
        if self.adds(tenant, &receipt).await? {
            self.view.following.check()?;
            return Ok(None);
        }
        self.with_transaction(None, block, without_outcome(receipt)).await.map(Some)
    }

    /// Whether the caller has the payload: it was sent to it, or is in a history that it may see.
    async fn holds(&self, tenant: &Tenant, payload: PayloadKey) -> Result<bool, ReadError> {
        let recipients = self.view.enclave.recipients(payload).await?;
        Ok(recipients.contains(&tenant.key) || self.may_see_decided(tenant, payload)?)
    }

    /// Whether the payload of another's marker adds the caller to a group. While the caller is no
    /// member, it has not happened: the node may wait for the history, or hold the group for others.
    async fn adds(&self, tenant: &Tenant, receipt: &Receipt) -> Result<bool, ReadError> {
        let payload = self.view.enclave.receive(receipt.payload).await?;
        let Some(signed) = payload.as_ref().and_then(transaction) else { return Ok(false) };
        let added = access::added_keys(self.view.definition.rules, &signed.transaction);
        Ok(signed.transaction.private_from != tenant.key && added.contains(&tenant.key))
    }

    /// The receipt that was stored with the marker's block. What was judged before the group was
    /// known here, and is not in the history that was taken over since, says so: as it would when
    /// the state is rebuilt.
    fn stored(&self, marker: B256) -> Result<Option<(BlockRef, Receipt)>, StateError> {
        let Some((block, receipt)) = self.view.receipt(marker)? else { return Ok(None) };
        // What a marker says by itself, whatever the group's history is.
        let by_itself = matches!(
            receipt.reason,
            Reason::Undecodable | Reason::EnclaveSignature | Reason::Duplicate | Reason::Copied
        );
        let covered = |group: &GroupId| self.view.following.is_covered(*group, block);
        let Some(group) = receipt.group.filter(|_| !by_itself).filter(covered) else {
            return Ok(Some((block, receipt)));
        };
        let record = self.view.state.record(group, block)?;
        let mut markers = record.iter().flat_map(|record| &record.markers);
        let receipt = match markers.any(|it| it.marker == marker) {
            true => receipt,
            false => {
                let reason = Reason::NotInHistory;
                Receipt { reason, output: Bytes::new(), revert: None, ..receipt }
            }
        };
        Ok(Some((block, receipt)))
    }

    /// The private transaction of a marker; `None` when it is not mined or not for the caller.
    pub async fn private_transaction(
        &self,
        tenant: &Tenant,
        marker: B256,
    ) -> Result<Option<PrivateTransactionInfo>, ReadError> {
        let (key, of_group) = match self.view.receipt(marker)? {
            Some((block, receipt)) => {
                (receipt.payload, self.may_see_receipt(tenant, &receipt, block)?)
            }
            None => match self.view.chain.mined(marker).await? {
                Some(mined) => {
                    let rules = self.view.definition.rules;
                    let Some(key) = marker_payload(rules, marker, &mined)? else {
                        return Ok(None);
                    };
                    (key, tenant.reach == Reach::Node)
                }
                None => return Ok(None),
            },
        };
        let Some(payload) = self.view.enclave.receive(key).await? else { return Ok(None) };
        let Some(signed) = transaction(&payload) else { return Ok(None) };
        // Whoever holds the payload can read it.
        if !of_group && !self.holds(tenant, key).await? {
            return Ok(None);
        }
        let from = recover_sender(&signed);
        Ok(Some(PrivateTransactionInfo { signed, from }))
    }

    /// Waits until `block` itself has been followed, not only its height, and not longer than the
    /// configured limit.
    async fn wait_followed(&self, block: BlockRef) -> Result<(), StateError> {
        let mut followed = self.view.following.followed.clone();
        let there = async {
            loop {
                let at = *followed.borrow_and_update();
                if at.is_some_and(|at| at.number >= block.number) {
                    match self.view.state.canonical(block.number)? {
                        // Another branch is left before long, or the chain has changed its mind.
                        Some(hash) if hash != block.hash => {}
                        // Followed, or before the first block that is.
                        Some(_) | None => return Ok(()),
                    }
                }
                // A follower that ended brings nothing more.
                if followed.changed().await.is_err() {
                    return Ok(());
                }
            }
        };
        // Out of time is not an error: the caller asks again.
        tokio::time::timeout(self.options.receipt_wait, there).await.unwrap_or(Ok(()))
    }

    /// Adds what the payload says, and for a duplicate or a copy the outcome of the marker that
    /// decided, where `tenant` may see that too; `None` may see none.
    async fn with_transaction(
        &self,
        tenant: Option<&Tenant>,
        block: BlockRef,
        receipt: Receipt,
    ) -> Result<PrivateReceipt, ReadError> {
        let payload = self.view.enclave.receive(receipt.payload).await?;
        let signed = payload.as_ref().and_then(transaction);
        let signer = payload.as_ref().map(|payload| payload.marker_signer);
        let decided = match tenant {
            Some(tenant) => self.decided(tenant, &receipt, signer).await?,
            None => None,
        };
        let (decided_by, outcome) = match decided {
            Some(decided) => (Some(decided.marker), decided),
            None => (receipt.decided_by, Arc::new(receipt.clone())),
        };
        let transaction = signed.map(|signed| signed.transaction);
        Ok(PrivateReceipt {
            marker: receipt.marker,
            block,
            index: receipt.index,
            reason: receipt.reason,
            decided_by,
            outcome: (outcome.marker != receipt.marker).then_some(outcome.reason),
            from: outcome.sender.or(receipt.sender),
            to: transaction.as_ref().and_then(|it| match it.to {
                TxKind::Call(to) => Some(to),
                TxKind::Create => None,
            }),
            contract: outcome.contract,
            private_from: transaction.as_ref().map(|it| it.private_from.clone()),
            recipients: transaction
                .map(|it: coterie_core::PrivateTransaction| -> Recipients { it.recipients }),
            output: outcome.output.clone(),
            revert: outcome.revert.clone(),
            logs: outcome.logs.clone(),
        })
    }

    /// For a duplicate or a copy: the receipt of the marker that decided the payload, if there is
    /// one by now that the caller may see.
    async fn decided(
        &self,
        tenant: &Tenant,
        receipt: &Receipt,
        marker_signer: Option<Address>,
    ) -> Result<Option<Arc<Receipt>>, ReadError> {
        if !matches!(receipt.reason, Reason::Duplicate | Reason::Copied) {
            return Ok(None);
        }
        let decision = self.view.decided(receipt.payload)?.map(|decision| decision.marker);
        let marker = match (decision.or(receipt.decided_by), marker_signer) {
            (None, Some(signer)) => {
                let first = seen::first(&self.view.state, receipt.payload, signer)?;
                first.map(|first| first.marker)
            }
            (marker, _) => marker,
        };
        let Some(marker) = marker.filter(|marker| *marker != receipt.marker) else {
            return Ok(None);
        };
        if let Some((block, decided)) = self.stored(marker)? {
            let seen = self.may_see_receipt(tenant, &decided, block)?;
            return Ok(seen.then(|| Arc::new(decided)));
        }
        let mined = self.view.chain.mined(marker).await?;
        // It has none yet where the history is waited for.
        if let Some(group) = receipt.group.filter(|group| self.view.is_joining(*group)) {
            let settled = match &mined {
                Some(mined) => self.is_settled(group, mined.block)?,
                None => false,
            };
            if !settled {
                return Ok(None);
            }
        }
        // It decided by coming first, but could not be read then, or is not in a history.
        let reason = match mined {
            Some(mined) if !self.may_see(tenant, receipt.group, mined.block)? => return Ok(None),
            Some(mined) => self.without_receipt(receipt.group, mined.block),
            None => Reason::Late,
        };
        Ok(Some(Arc::new(Receipt { marker, reason, decided_by: None, ..receipt.clone() })))
    }

    /// Whether what became of the group's markers in this block is known here although the group
    /// waits for a history: this node has followed the group, or taken a history over, up to there or
    /// further. A history that is only accepted has not brought its records yet.
    fn is_settled(&self, group: GroupId, block: BlockRef) -> Result<bool, StateError> {
        let last = self.view.state.group_at(group, u64::MAX)?;
        Ok(last.is_some_and(|record| record.block.number >= block.number))
    }

    /// Why a marker that comes from its payload's marker signer, in a block that was followed, has
    /// no receipt: an accepted history does not have it, else its payload came too late.
    fn without_receipt(&self, group: Option<GroupId>, block: BlockRef) -> Reason {
        match group {
            Some(group) if self.view.following.is_covered(group, block) => Reason::NotInHistory,
            Some(_) | None => Reason::Late,
        }
    }
}

/// A receipt for somebody who holds the payload and may not know of its group: what a marker says
/// by itself, and otherwise that the sender is no member, as in a group that does not exist.
fn without_outcome(receipt: Receipt) -> Receipt {
    let reason = match receipt.reason {
        Reason::Undecodable
        | Reason::EnclaveSignature
        | Reason::Duplicate
        | Reason::Copied
        | Reason::Late => receipt.reason,
        Reason::Executed
        | Reason::Reverted
        | Reason::OutOfGas
        | Reason::TooManyPublicReads
        | Reason::Nonce
        | Reason::ChainId
        | Reason::Value
        | Reason::Signature
        | Reason::Locked
        | Reason::Version
        | Reason::NotAMember
        | Reason::NotInHistory => Reason::NotAMember,
    };
    let (output, logs) = (Bytes::new(), Vec::new());
    Receipt { reason, output, revert: None, logs, contract: None, ..receipt }
}

/// The payload that a mined marker names; `None` when it is no marker under the network's rules.
pub(super) fn marker_payload(
    rules: Rules,
    hash: B256,
    mined: &MinedTransaction,
) -> Result<Option<PayloadKey>, ReadError> {
    if mined.to != Some(FLEXIBLE_PRIVACY) {
        return Err(ReadError::NotAMarker(hash));
    }
    let marker = Marker::parse(&mined.input).map_err(|_| ReadError::NotAMarker(hash))?;
    Ok(marker.payload_under(rules))
}

/// The transaction in a payload, if it decodes.
pub(super) fn transaction(payload: &Payload) -> Option<SignedPrivateTransaction> {
    Some(VersionedPrivateTransaction::from_text(&payload.text).ok()?.transaction)
}
