//! Accounts of a group's private state: balances, slots, proofs. Public accounts are not asked.

use alloy_primitives::{Address, U256};
use coterie_core::{GroupId, access::Use};

use super::{ReadError, Service, Tenant};
use crate::{
    chain::BlockId,
    state::{AccountProof, EMPTY_ROOT, Snapshot},
};

impl Service {
    /// The private balance of `address` after `block`, zero when there is no such account or group;
    /// `None` when there is no block of this number.
    ///
    /// # Errors
    ///
    /// [`ReadError::BlockUnknown`] for a tag that names no block.
    pub async fn balance(
        &self,
        tenant: &Tenant,
        group: GroupId,
        address: Address,
        block: BlockId,
    ) -> Result<Option<U256>, ReadError> {
        let Some(state) = self.state_after(tenant, group, block).await? else { return Ok(None) };
        Ok(Some(state.account(address)?.map_or(U256::ZERO, |account| account.balance)))
    }

    /// A slot of the private contract at `address` after `block`, zero when there is none; `None`
    /// when there is no block of this number.
    ///
    /// # Errors
    ///
    /// As for [`Self::balance`].
    pub async fn storage_at(
        &self,
        tenant: &Tenant,
        group: GroupId,
        (address, slot): (Address, U256),
        block: BlockId,
    ) -> Result<Option<U256>, ReadError> {
        let Some(state) = self.state_after(tenant, group, block).await? else { return Ok(None) };
        Ok(Some(state.storage(address, slot)?))
    }

    /// What the group's state root after `block` says of an account and of slots of it, with
    /// proofs; `None` when there is no block of this number.
    ///
    /// # Errors
    ///
    /// As for [`Self::balance`].
    pub async fn proof(
        &self,
        tenant: &Tenant,
        group: GroupId,
        (address, slots): (Address, &[U256]),
        block: BlockId,
    ) -> Result<Option<AccountProof>, ReadError> {
        let Some(state) = self.state_after(tenant, group, block).await? else { return Ok(None) };
        Ok(Some(state.prove(address, slots)?))
    }

    /// The group's state after a block, empty before its creation.
    async fn state_after(
        &self,
        tenant: &Tenant,
        group: GroupId,
        block: BlockId,
    ) -> Result<Option<Snapshot>, ReadError> {
        let Some(at) = self.block_in((tenant, Use::State), group, block).await? else {
            return Ok(None);
        };
        let empty = || self.view.state.snapshot(EMPTY_ROOT);
        Ok(Some(self.view.group(group, at.number)?.map_or_else(empty, |view| view.snapshot)))
    }
}
