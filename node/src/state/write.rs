//! Writing: a followed block, a step back, a group's history. Each is one batch of the store, after
//! which what is kept in memory is brought up to date.

use std::{collections::BTreeSet, sync::Arc};

use coterie_core::GroupId;

use super::{
    BlockCommit, Corruption, EMPTY_ROOT, GroupCommit, GroupHistory, Replaced, SCAN, Snapshot,
    State, StateError, logs::put_log_index, members::put_changes, replaced::Difference, schema,
};
use crate::{
    chain::BlockRef,
    store::{Batch, Table},
};

impl State {
    /// Writes all that a block changed, durably, and makes it the last followed one.
    ///
    /// # Errors
    ///
    /// [`StateError::NotNext`] when the block does not follow the last followed one, or a record is
    /// of another block; nothing is written then.
    pub fn commit(&self, commit: BlockCommit) -> Result<(), StateError> {
        let _writing = self.inner.writing.lock();
        let BlockCommit { header, groups, receipts, decisions, meta } = commit;
        let block = BlockRef { number: header.number, hash: header.hash };
        if let Some(followed) = self.followed()? {
            let next = followed.number.checked_add(1) == Some(block.number)
                && header.parent_hash == followed.hash;
            if !next {
                return Err(StateError::NotNext { block, followed });
            }
        }
        if let Some(group) = groups.iter().find(|group| group.record.block != block) {
            return Err(StateError::NotNext { block: group.record.block, followed: block });
        }
        let mut batch = Batch::default();
        let rewritten = self.decide_anew(block, &groups, &mut batch)?;
        let _rewriting = (!rewritten.is_empty()).then(|| self.inner.replacements.begin());
        batch.put(Table::Blocks, block.hash.0, schema::header_value(&header));
        batch.put(Table::Canonical, block.number.to_be_bytes(), block.hash.0);
        batch.put(Table::Meta, schema::FOLLOWED_KEY, schema::block_ref_value(block));
        for group in &groups {
            batch.put(
                Table::GroupBlocks,
                schema::group_block_key(group.group, block),
                schema::group_block_value(&group.record),
            );
            if let Some(snapshot) = &group.snapshot {
                snapshot.write(&mut batch);
            }
            self.put_members(&mut batch, group.group, block, &group.facts)?;
        }
        put_log_index(&mut batch, receipts.iter().map(|receipt| (block.number, receipt)));
        for receipt in &receipts {
            batch.put(
                Table::Receipts,
                schema::receipt_key(receipt.marker, block.hash),
                schema::receipt_value(block.number, receipt),
            );
        }
        for (payload, index, marker) in &decisions {
            batch.put(Table::Decisions, schema::decision_key(*payload, block, *index), marker.0);
        }
        put_meta(&mut batch, meta);
        self.inner.store.commit(batch)?;
        for (group, replaced) in rewritten {
            self.inner.replacements.push(group, Some(replaced));
        }

        let mut kept = Vec::new();
        let mut heads = self.inner.heads.write();
        for group in groups {
            let before = heads.groups.insert(group.group, Arc::new(group.record));
            kept.extend(
                group
                    .snapshot
                    .map(|snapshot| (before.map_or(EMPTY_ROOT, |record| record.root), snapshot)),
            );
        }
        heads.followed = Some(block);
        drop(heads);
        let mut resident = self.inner.resident.lock();
        for (before, snapshot) in kept {
            resident.keep(before, snapshot.saved());
        }
        Ok(())
    }

    /// Deletes what is stored of a block that was followed before, and left: it is decided anew,
    /// and may be decided otherwise. The groups of which it is, and the logs that they had in it.
    fn decide_anew(
        &self,
        block: BlockRef,
        groups: &[GroupCommit],
        batch: &mut Batch,
    ) -> Result<Vec<(GroupId, Replaced)>, StateError> {
        let mut rewritten = Vec::new();
        if self.header(block.hash)?.is_none() {
            return Ok(rewritten);
        }
        let mut known: BTreeSet<_> = self.stored_groups()?.into_iter().collect();
        known.extend(groups.iter().map(|it| it.group));
        for group in known {
            let old = self.record(group, block)?;
            let new = groups.iter().find(|it| it.group == group).map(|it| &it.record);
            if old.as_ref() != new {
                let logs = old.as_ref().map(|old| self.marker_logs(old)).transpose()?;
                rewritten.push((group, Replaced::from([(block, logs.unwrap_or_default())])));
            }
            let key = schema::group_block_key(group, block);
            batch.delete(Table::Members, key.clone());
            batch.delete(Table::GroupBlocks, key);
            for marker in old.into_iter().flat_map(|old| old.markers) {
                batch.delete(Table::Receipts, schema::receipt_key(marker.marker, block.hash));
            }
        }
        Ok(rewritten)
    }

    /// Writes a snapshot's new nodes and code, which nothing refers to yet; the same snapshot
    /// without the burden. For histories that are too long to hold in memory.
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub fn save(&self, snapshot: &Snapshot) -> Result<Snapshot, StateError> {
        let mut batch = Batch::default();
        snapshot.write(&mut batch);
        self.inner.store.commit(batch)?;
        let mut saved = snapshot.clone().saved();
        let bytes_max = self.inner.resident.lock().bytes_max();
        if saved.resident_bytes() > bytes_max {
            saved.prune(bytes_max / 2);
        }
        Ok(saved)
    }

    /// Writes values of the follower alone, durably.
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub fn remember(&self, meta: Vec<(Vec<u8>, Option<Vec<u8>>)>) -> Result<(), StateError> {
        let _writing = self.inner.writing.lock();
        let mut batch = Batch::default();
        put_meta(&mut batch, meta);
        Ok(self.inner.store.commit(batch)?)
    }

    /// Goes back to an earlier block of the followed branch; records of later blocks stay, but do
    /// not count any more. Before the first followed block, and when nothing was followed, any
    /// block may be named: it is the one after which following (re)starts.
    ///
    /// # Errors
    ///
    /// [`StateError::NotFollowed`] when `to` is not on the followed branch.
    pub fn rewind(&self, to: BlockRef) -> Result<(), StateError> {
        let _writing = self.inner.writing.lock();
        let _rewriting = self.inner.replacements.begin();
        let mut batch = Batch::default();
        match self.canonical(to.number)? {
            Some(hash) if hash == to.hash => {}
            _ if self.first_canonical()?.is_none_or(|first| to.number <= first) => {
                batch.put(Table::Canonical, to.number.to_be_bytes(), to.hash.0);
            }
            _ => return Err(StateError::NotFollowed(to)),
        }
        let mut start = to.number.to_be_bytes().to_vec();
        start.push(0);
        let end = schema::after(&[]);
        loop {
            let entries = self.inner.store.range(Table::Canonical, &start, &end, SCAN)?;
            let Some((last, _)) = entries.last() else { break };
            start = [last, &[0][..]].concat();
            for (key, _) in entries {
                batch.delete(Table::Canonical, key);
            }
        }
        batch.put(Table::Meta, schema::FOLLOWED_KEY, schema::block_ref_value(to));
        self.inner.store.commit(batch)?;

        let heads: Vec<_> = self
            .inner
            .heads
            .read()
            .groups
            .iter()
            .map(|(group, head)| (*group, Arc::clone(head)))
            .collect();
        for (group, head) in heads {
            if !self.is_canonical(head.block)? {
                self.reread_head(group, to.number)?;
                self.inner.resident.lock().forget(head.root);
            }
        }
        self.inner.heads.write().followed = Some(to);
        Ok(())
    }

    /// Replaces what is stored of a group: records and receipts of its markers, on every branch.
    /// Which markers decided payloads is added to, since it does not depend on the group's history.
    ///
    /// # Errors
    ///
    /// [`StateError::NotFollowed`] when a record is of a block that is not on the followed branch;
    /// nothing is written then.
    pub fn replace_group(&self, history: GroupHistory) -> Result<(), StateError> {
        let _writing = self.inner.writing.lock();
        let group = history.group;
        for record in &history.records {
            if !self.is_canonical(record.block)? {
                return Err(StateError::NotFollowed(record.block));
            }
        }
        let mut batch = Batch::default();
        let mut difference = Difference::new(&history.records);
        self.delete_group(group, &mut batch, &mut difference)?;
        for record in &history.records {
            batch.put(
                Table::GroupBlocks,
                schema::group_block_key(group, record.block),
                schema::group_block_value(record),
            );
        }
        let blocks = history.records.iter().map(|record| record.block);
        let facts = history.facts.iter().map(|facts| &**facts);
        put_changes(&mut batch, group, blocks.zip(facts));
        let receipts = history.receipts.iter();
        put_log_index(&mut batch, receipts.map(|(block, receipt)| (block.number, receipt)));
        for (block, receipt) in &history.receipts {
            batch.put(
                Table::Receipts,
                schema::receipt_key(receipt.marker, block.hash),
                schema::receipt_value(block.number, receipt),
            );
        }
        for (payload, decision) in &history.decisions {
            batch.put(
                Table::Decisions,
                schema::decision_key(*payload, decision.block, decision.index),
                decision.marker.0,
            );
        }
        put_meta(&mut batch, history.meta);
        if let Some(snapshot) = &history.snapshot {
            snapshot.write(&mut batch);
        }
        let _rewriting = self.inner.replacements.begin();
        self.inner.store.commit(batch)?;
        self.inner.replacements.push(group, difference.finish());

        let before =
            self.inner.heads.read().groups.get(&group).map_or(EMPTY_ROOT, |head| head.root);
        let number = self.followed()?.map_or(0, |followed| followed.number);
        self.reread_head(group, number)?;
        let mut resident = self.inner.resident.lock();
        match history.snapshot {
            Some(snapshot) => resident.keep(before, snapshot.saved()),
            None => resident.forget(before),
        }
        Ok(())
    }

    /// Removes all records of a group.
    ///
    /// # Errors
    ///
    /// When the store fails or is corrupt.
    pub fn forget_group(&self, group: GroupId) -> Result<(), StateError> {
        self.replace_group(GroupHistory {
            group,
            records: Vec::new(),
            facts: Vec::new(),
            receipts: Vec::new(),
            decisions: Vec::new(),
            snapshot: None,
            meta: Vec::new(),
        })
    }

    /// Deletes a group's records of all branches, with the receipts of their markers, and what tells
    /// where its logs are and who its members were. Notes what they had.
    fn delete_group(
        &self,
        group: GroupId,
        batch: &mut Batch,
        difference: &mut Difference<'_>,
    ) -> Result<(), StateError> {
        self.delete_all(Table::LogIndex, group, batch)?;
        self.delete_all(Table::Members, group, batch)?;
        let mut start = schema::group_from(group, 0);
        let end = schema::after(group.as_slice());
        loop {
            let entries = self.inner.store.range(Table::GroupBlocks, &start, &end, SCAN)?;
            let Some((last, _)) = entries.last() else { return Ok(()) };
            start = [last, &[0][..]].concat();
            for (key, value) in entries {
                let (_, block) = schema::parse_group_block_key(&key)?;
                let record = schema::parse_group_block(block, &value)?;
                if difference.differs(&record) {
                    difference.add(block, self.marker_logs(&record)?);
                }
                for marker in record.markers {
                    batch.delete(Table::Receipts, schema::receipt_key(marker.marker, block.hash));
                }
                batch.delete(Table::GroupBlocks, key);
            }
        }
    }

    /// Deletes all that a table, whose keys begin with the group, has of it.
    fn delete_all(
        &self,
        table: Table,
        group: GroupId,
        batch: &mut Batch,
    ) -> Result<(), StateError> {
        let mut start = group.as_slice().to_vec();
        let end = schema::after(group.as_slice());
        loop {
            let entries = self.inner.store.range(table, &start, &end, SCAN)?;
            let Some((last, _)) = entries.last() else { return Ok(()) };
            start = [last, &[0][..]].concat();
            entries.into_iter().for_each(|(key, _)| batch.delete(table, key));
        }
    }

    pub(super) fn first_canonical(&self) -> Result<Option<u64>, StateError> {
        let first = self.inner.store.range(Table::Canonical, &[], &schema::after(&[]), 1)?.pop();
        let number = first.map(|(key, _)| <[u8; 8]>::try_from(&*key).map(u64::from_be_bytes));
        number.transpose().map_err(|_| StateError::Corrupt(Corruption::BadRecord(Table::Canonical)))
    }

    fn reread_head(&self, group: GroupId, number: u64) -> Result<(), StateError> {
        let record = self.last_record(group, number)?;
        let mut heads = self.inner.heads.write();
        match record {
            Some(record) => heads.groups.insert(group, Arc::new(record)),
            None => heads.groups.remove(&group),
        };
        Ok(())
    }
}

fn put_meta(batch: &mut Batch, meta: Vec<(Vec<u8>, Option<Vec<u8>>)>) {
    for (key, value) in meta {
        let key = schema::follower_key(&key);
        match value {
            Some(value) => batch.put(Table::Meta, key, value),
            None => batch.delete(Table::Meta, key),
        }
    }
}
