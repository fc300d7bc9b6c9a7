//! Who was a member of a group when: a table of the changes, so that the question costs the same
//! however many transactions the group has.

use coterie_core::{EnclaveKey, GroupId, access::GroupFacts};

use super::{SCAN, State, StateError, schema};
use crate::{
    chain::BlockRef,
    store::{Batch, Table},
};

/// What a key is to a group on the followed branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Membership {
    /// A member after the block in question.
    Member,
    /// This block took it out, the last time before the block in question.
    Removed(BlockRef),
    /// It was none up to there, or there is no such group.
    Never,
}

impl State {
    /// What `key` is to the group after block `number`.
    ///
    /// # Errors
    ///
    /// When the store fails or is corrupt.
    pub fn membership(
        &self,
        group: GroupId,
        key: &EnclaveKey,
        number: u64,
    ) -> Result<Membership, StateError> {
        let start = schema::group_from(group, 0);
        let mut end = schema::group_end(group, number);
        // The change that was looked at before: the one that came after.
        let mut later = None;
        loop {
            let entries = self.inner.store.range_rev(Table::Members, &start, &end, SCAN)?;
            let Some((first, _)) = entries.last() else { return Ok(Membership::Never) };
            end = first.to_vec();
            for (entry, value) in &entries {
                let (_, block) = schema::parse_members_key(entry)?;
                if !self.is_canonical(block)? {
                    continue;
                }
                if schema::parse_members(value)?.contains(key) {
                    return Ok(later.map_or(Membership::Member, Membership::Removed));
                }
                later = Some(block);
            }
        }
    }

    /// Writes the members after a block where they are others than before.
    pub(super) fn put_members(
        &self,
        batch: &mut Batch,
        group: GroupId,
        block: BlockRef,
        facts: &GroupFacts,
    ) -> Result<(), StateError> {
        let before = match block.number.checked_sub(1) {
            Some(number) => self.members_at(group, number)?,
            None => None,
        };
        if before.unwrap_or_default() != facts.members {
            batch.put(
                Table::Members,
                schema::group_block_key(group, block),
                schema::members_value(&facts.members),
            );
        }
        Ok(())
    }

    fn members_at(
        &self,
        group: GroupId,
        number: u64,
    ) -> Result<Option<Vec<EnclaveKey>>, StateError> {
        let start = schema::group_from(group, 0);
        let mut end = schema::group_end(group, number);
        loop {
            let entries = self.inner.store.range_rev(Table::Members, &start, &end, 1)?;
            let Some((entry, value)) = entries.last() else { return Ok(None) };
            end = entry.to_vec();
            let (_, block) = schema::parse_members_key(entry)?;
            if self.is_canonical(block)? {
                return schema::parse_members(value).map(Some);
            }
        }
    }
}

/// Writes the changes of a whole history, whose facts are ascending by block.
pub(super) fn put_changes<'a>(
    batch: &mut Batch,
    group: GroupId,
    facts: impl IntoIterator<Item = (BlockRef, &'a GroupFacts)>,
) {
    let mut last: &[EnclaveKey] = &[];
    for (block, facts) in facts {
        if facts.members != last {
            batch.put(
                Table::Members,
                schema::group_block_key(group, block),
                schema::members_value(&facts.members),
            );
            last = &facts.members;
        }
    }
}
