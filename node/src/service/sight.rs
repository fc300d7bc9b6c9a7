//! What a tenant may see of a group: the only place that asks the rule, which is core's
//! ([`Sight::of`]).

use coterie_core::{
    EnclaveKey, GroupId,
    access::{Relation, Sight, Use},
};

use super::{ReadError, Service, Tenant, types::Reach, view::View};
use crate::{
    chain::{BlockId, BlockRef},
    state::{Membership, StateError},
};

impl Service {
    /// What `tenant` may see of the group for this use, as of the followed head.
    pub(super) fn sight(
        &self,
        tenant: &Tenant,
        group: GroupId,
        what: Use,
    ) -> Result<Sight, StateError> {
        Ok(match tenant.reach {
            Reach::Node => Sight::All,
            Reach::Key => Sight::of(self.view.relation(group, &tenant.key)?, what),
        })
    }

    /// The block that `id` names to a tenant for some use: what it may not see is refused, and the
    /// last that it may see is its head. `None` for a number or hash that names none, which
    /// Besu tells from a tag that names none (protocol, 7.1).
    ///
    /// # Errors
    ///
    /// [`ReadError::NotAMember`] beyond its sight; [`ReadError::BlockUnknown`] for a tag that names
    /// no block.
    pub(super) async fn block_in(
        &self,
        (tenant, what): (&Tenant, Use),
        group: GroupId,
        id: BlockId,
    ) -> Result<Option<BlockRef>, ReadError> {
        let sight = self.sight(tenant, group, what)?;
        if sight == Sight::Nothing {
            return Err(ReadError::NotAMember(group));
        }
        // A removed member must not learn how high the chain is from the answer.
        if let BlockId::Number(number) = id
            && !sight.covers(number)
        {
            return Err(ReadError::NotAMember(group));
        }
        let Some(block) = self.numbered(id).await? else { return Ok(None) };
        // Again: the caller may have been removed since, before this block.
        let sight = self.sight(tenant, group, what)?;
        if sight.covers(block.number) {
            return Ok(Some(block));
        }
        match id {
            BlockId::Latest | BlockId::Finalized | BlockId::Safe => {
                let last = sight.head(block.number).ok_or(ReadError::NotAMember(group))?;
                self.numbered(BlockId::Number(last)).await
            }
            BlockId::Number(_) | BlockId::Hash(_) => Err(ReadError::NotAMember(group)),
        }
    }
}

impl View {
    /// What the key is to the group at the followed head.
    pub(super) fn relation(
        &self,
        group: GroupId,
        key: &EnclaveKey,
    ) -> Result<Relation, StateError> {
        let Some(followed) = self.followed() else { return Ok(Relation::Stranger) };
        let read = || -> Result<Relation, StateError> {
            Ok(match self.state.membership(group, key, followed.number)? {
                Membership::Member => Relation::Member,
                Membership::Removed(block) => Relation::Removed { at: block.number },
                Membership::Never => Relation::Stranger,
            })
        };
        // What was followed up to a block is the same until something is rewritten. While the head
        // is one that the state has just left, it is not what the state has.
        let Some(epoch) = self.state.epoch() else { return read() };
        let at = (group, key.clone(), followed.hash, epoch);
        if let Some(relation) = self.relations.get(&at) {
            return Ok(relation);
        }
        let relation = read()?;
        let is_of_head = self.state.canonical(followed.number)? == Some(followed.hash);
        if is_of_head && self.state.epoch() == Some(epoch) {
            self.relations.insert(at, relation);
        }
        Ok(relation)
    }
}
