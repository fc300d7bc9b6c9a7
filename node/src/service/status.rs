//! How the node and its groups are: for operators and monitoring.
//!
//! Counts over all groups are only for who may see all of them.

use std::sync::atomic::Ordering;

use alloy_primitives::{Address, B256, U256};
use alloy_sol_types::SolCall as _;
use coterie_core::{
    EnclaveKey, GroupId,
    access::Use,
    management::{MANAGEMENT_PROXY, ManagementCall, abi::IGroup},
};

use super::{
    Healing, ReadError, Readiness, Service, Tenant, compare::Compare, types::Reach, view::GroupView,
};
use crate::{
    chain::{BlockId, BlockRef},
    executor::{CallOutcome, CallRequest, PublicReads},
};

/// How the node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeStatus {
    /// The node's version.
    pub version: &'static str,
    /// The chain's id.
    pub chain_id: u64,
    /// Hash of the network definition.
    pub definition: B256,
    /// How far it has followed.
    pub readiness: Readiness,
    /// What there is on it; only for who may see all groups.
    pub counts: Option<NodeCounts>,
}

/// What there is on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeCounts {
    /// Groups.
    pub groups: u64,
    /// Groups that wait for their history.
    pub joining: u64,
    /// Enclave keys of other nodes that are reached.
    pub peers: u64,
    /// Markers that none of the node's keys opened, since it started: other groups' as well.
    pub unreadable: u64,
    /// Payloads that came after their marker was followed, since it started.
    pub late: u64,
    /// Members whose private state differs.
    pub diverging: u64,
}

/// How a group is, at the followed head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupStatus {
    /// The group.
    pub group: GroupId,
    /// Its members, in the contract's order.
    pub members: Vec<EnclaveKey>,
    /// Who may change the members; `None` when the contract does not say.
    pub owner: Option<Address>,
    /// Whether it is locked.
    pub locked: bool,
    /// Its version.
    pub version: B256,
    /// Its first block.
    pub created: BlockRef,
    /// The last block with a marker of it.
    pub head: BlockRef,
    /// State root after that.
    pub root: B256,
    /// How many ids counted, since the first.
    pub counted: u64,
    /// What the ids that counted come to.
    pub digest: B256,
    /// Whether it waits for its history, and what is told here is older.
    pub joining: bool,
    /// How healing it went last, since the node started; `None` when nobody asked for that.
    pub healing: Option<Healing>,
    /// Late payloads of it, since the node started.
    pub late: u64,
    /// The last comparison with each member of another node.
    pub compared: Vec<Compare>,
}

impl Service {
    /// How the node is.
    pub fn status(&self, tenant: &Tenant) -> NodeStatus {
        NodeStatus {
            version: env!("CARGO_PKG_VERSION"),
            chain_id: self.view.definition.chain_id,
            definition: self.view.definition.hash(),
            readiness: self.readiness(),
            counts: match tenant.reach {
                Reach::Node => Some(self.counts()),
                Reach::Key => None,
            },
        }
    }

    fn counts(&self) -> NodeCounts {
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        NodeCounts {
            groups: count(self.view.state.groups().len()),
            joining: count(self.view.following.joining.borrow().len()),
            peers: count(self.view.enclave.peers().len()),
            unreadable: self.view.following.unread.load(Ordering::Relaxed),
            late: self.late_payloads().count(),
            diverging: count(self.comparison().divergences().len()),
        }
    }

    /// How the group is at the followed head.
    ///
    /// # Errors
    ///
    /// [`ReadError::GroupUnknown`], or [`ReadError::Joining`] while nothing of it is here yet.
    pub async fn group_status(
        &self,
        tenant: &Tenant,
        group: GroupId,
    ) -> Result<GroupStatus, ReadError> {
        let unknown = ReadError::GroupUnknown(group);
        let Some(at) = self.block_in((tenant, Use::Group), group, BlockId::Latest).await? else {
            return Err(unknown);
        };
        let joining = self.view.is_joining(group);
        let Some(view) = self.view.group(group, at.number)? else {
            if !joining {
                return Err(unknown);
            }
            self.view.following.check()?;
            return Err(ReadError::Joining(group));
        };
        let facts = self.view.facts(&view).await?;
        let others = facts.members.iter().filter(|key| !self.view.enclave.holds(key));
        let others: Vec<_> = others.cloned().collect();
        Ok(GroupStatus {
            group,
            members: facts.members.clone(),
            owner: self.owner(&view).await?,
            locked: facts.locked,
            version: facts.version,
            created: view.record.created,
            head: view.record.block,
            root: view.record.root,
            counted: view.record.counted,
            digest: view.record.digest,
            joining,
            healing: self.view.following.healed.borrow().get(&group).cloned(),
            late: self.late_payloads().of_group(group),
            compared: self.comparison().last(group, &others),
        })
    }

    /// Who the management contract says may change the members.
    async fn owner(&self, view: &GroupView) -> Result<Option<Address>, ReadError> {
        let header = self.view.header(view.record.block).await?;
        let at = header.hash;
        let call = CallRequest {
            from: Address::ZERO,
            to: MANAGEMENT_PROXY,
            gas_price: U256::ZERO,
            value: U256::ZERO,
            input: ManagementCall::Owner.encode().into(),
            gas_max: self.view.definition.private_gas_cap,
        };
        let (executor, snapshot) = (self.view.executor.clone(), view.snapshot.clone());
        let run = move |reads: &PublicReads| executor.call(&snapshot, &header, &call, reads);
        Ok(match self.view.execute(at, run).await? {
            CallOutcome::Success(output) => IGroup::ownerCall::abi_decode_returns(&output).ok(),
            CallOutcome::Revert(_) | CallOutcome::Halt(_) => None,
        })
    }
}
