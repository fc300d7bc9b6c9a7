//! Executes one group's transactions of one block: pure, and resumable when public state is
//! missing.

use std::sync::Arc;

use alloy_primitives::{B256, keccak256};
use coterie_core::{EnclaveKey, GroupId, NetworkDefinition, access};

use super::sort::Item;
use crate::{
    chain::{BlockRef, PublicRead, PublicValue},
    executor::{Execution, Fault, GroupExecution, GroupFacts, Prepared, PublicReads, Source},
    state::{GroupBlock, GroupMarker, Reason, Receipt, Snapshot, StateError},
};

/// What execution of a group begins with.
#[derive(Debug)]
pub(super) struct Start {
    /// The group.
    pub(super) group: GroupId,
    /// Its last record; `None` when it is not known.
    pub(super) record: Option<Arc<GroupBlock>>,
    /// Its state.
    pub(super) snapshot: Snapshot,
}

/// The transactions of one group in one block, on their way.
#[derive(Debug)]
pub(super) struct GroupRun {
    start: Start,
    block: BlockRef,
    execution: GroupExecution,
    items: Vec<Item>,
    /// How many items are done.
    done: usize,
    reads: PublicReads,
    /// Reads that were asked for, with their answers, in that order.
    read_log: Vec<(PublicRead, PublicValue)>,
    outcomes: Vec<Execution>,
    /// Where a transaction adds us to a group whose history we lack.
    joins: Option<Joins>,
}

/// The transaction that adds a local key to a group whose history this node lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Joins {
    /// Who sent it: the first to be asked for the history.
    pub(super) giver: EnclaveKey,
}

/// What a run came to.
#[derive(Debug)]
pub(super) struct RunResult {
    /// The group.
    pub(super) group: GroupId,
    /// Its record for the block and the state after it; `None` when nothing is to be recorded (the
    /// group is not known and was not created). Then a marker ran, so there are facts.
    pub(super) commit: Option<(GroupBlock, Option<Snapshot>)>,
    /// Receipts of the executed markers.
    pub(super) receipts: Vec<Receipt>,
    /// Facts before and after the block, when a marker ran.
    pub(super) facts: Option<(Arc<GroupFacts>, Arc<GroupFacts>)>,
    /// Public reads to be recorded.
    pub(super) reads: Vec<(PublicRead, PublicValue)>,
    /// Set when the rest of the group's markers wait for its history. Markers from here on have no
    /// receipt and no decision yet.
    pub(super) joins: Option<Joins>,
    /// Markers that wait for the history, by index.
    pub(super) deferred: Vec<u64>,
}

impl GroupRun {
    /// Prepares to run `items` on `start` within `block`; public state comes from `source`.
    pub(super) fn new(
        start: Start,
        block: BlockRef,
        execution: GroupExecution,
        items: Vec<Item>,
        source: Source,
    ) -> Self {
        Self {
            start,
            block,
            execution,
            items,
            done: 0,
            reads: PublicReads::with_source(source),
            read_log: Vec::new(),
            outcomes: Vec::new(),
            joins: None,
        }
    }

    /// The group.
    pub(super) const fn group(&self) -> GroupId {
        self.start.group
    }

    /// Adds the answer to a missing read.
    pub(super) fn supply(&mut self, read: PublicRead, value: PublicValue) {
        self.read_log.push((read, value.clone()));
        self.reads.insert(read, value);
    }

    /// Runs on until the end or until public state is missing.
    ///
    /// # Errors
    ///
    /// [`Fault::Missing`]: supply the read and call again. Anything else is final.
    pub(super) fn advance(
        &mut self,
        definition: &NetworkDefinition,
        local: &[EnclaveKey],
    ) -> Result<(), Fault> {
        while self.joins.is_none() {
            let Some(item) = self.items.get(self.done).cloned() else { return Ok(()) };
            if let Some(prepared) = item.transaction() {
                let outcome = if item.from_history {
                    Some(self.execution.execute(prepared, &self.reads)?)
                } else {
                    self.execute(definition, prepared, local)?
                };
                let Some(outcome) = outcome else {
                    let giver = prepared.transaction.transaction.private_from.clone();
                    self.joins = Some(Joins { giver });
                    return Ok(());
                };
                self.outcomes.push(outcome);
            }
            self.done += 1;
        }
        Ok(())
    }

    /// Executes a transaction. `None` when it adds a local key while none is a member, and is not
    /// the group's creation: then this node lacks the history that it must be executed on.
    fn execute(
        &mut self,
        definition: &NetworkDefinition,
        prepared: &Prepared,
        local: &[EnclaveKey],
    ) -> Result<Option<Execution>, Fault> {
        let transaction = &prepared.transaction.transaction;
        let is_ours = |members: &[EnclaveKey]| members.iter().any(|key| local.contains(key));
        let adds_us = is_ours(&access::added_keys(definition.rules, transaction));
        let known = self.start.record.is_some()
            || self.outcomes.iter().any(|it| it.reason == Reason::Executed);
        if !known {
            // What we sent ourselves, on a branch where we knew the group, nobody can explain to us.
            let ours = local.contains(&transaction.private_from);
            if adds_us && !ours && prepared.version != B256::ZERO {
                return Ok(None);
            }
            return self.execution.execute(prepared, &self.reads).map(Some);
        }
        if is_ours(&self.execution.facts(&self.reads)?.members) {
            return self.execution.execute(prepared, &self.reads).map(Some);
        }
        if adds_us {
            return Ok(None);
        }
        // Our state is that of our removal. The members' is another by now, so nothing counts here,
        // and an addition by the contract that owns the group must be executed on theirs.
        let outcome = self.execution.attempt(prepared, &self.reads)?;
        if is_ours(&outcome.after.members) {
            return Ok(None);
        }
        let counts = outcome.reason == Reason::Executed;
        Ok(Some(if counts { outcome.without_effect(Reason::NotAMember) } else { outcome }))
    }

    /// The result, once `advance` has returned without an error.
    ///
    /// # Errors
    ///
    /// The state could not be written to memory (a missing node).
    pub(super) fn finish(self) -> Result<RunResult, StateError> {
        let Self { start, block, execution, items, done, outcomes, .. } = self;
        let (mut reads, mut read_log, joins) = (self.reads, self.read_log, self.joins);
        read_log.extend(reads.take_fetched());
        let (ran, waiting) = items.split_at(done.min(items.len()));
        let deferred = if joins.is_some() {
            waiting.iter().map(|item| item.index).collect()
        } else {
            Vec::new()
        };
        let facts = match (outcomes.first(), outcomes.last()) {
            (Some(first), Some(last)) => Some((Arc::clone(&first.before), Arc::clone(&last.after))),
            _ => None,
        };
        let executed = outcomes.iter().any(|outcome| outcome.reason == Reason::Executed);
        let snapshot =
            if executed { Some(start.snapshot.apply(&execution.finish())?) } else { None };
        let mut record = GroupBlock {
            block,
            root: snapshot.as_ref().map_or_else(|| start.snapshot.root(), Snapshot::root),
            digest: start.record.as_ref().map_or(B256::ZERO, |record| record.digest),
            counted: start.record.as_ref().map_or(0, |record| record.counted),
            created: start.record.as_ref().map_or(block, |record| record.created),
            markers: Vec::with_capacity(outcomes.len()),
        };
        let mut receipts = Vec::with_capacity(outcomes.len());
        for (item, outcome) in ran.iter().filter(|item| item.transaction().is_some()).zip(outcomes)
        {
            let Some(prepared) = item.transaction() else { continue };
            if outcome.reason == Reason::Executed {
                record.digest = keccak256([record.digest.0, prepared.key.0.0].concat());
                record.counted += 1;
            }
            record.markers.push(GroupMarker {
                index: item.index,
                marker: item.marker,
                payload: prepared.key,
                reason: outcome.reason,
            });
            receipts.push(receipt(item, prepared, start.group, outcome));
        }
        let known = start.record.is_some() || executed;
        let commit = (known && !record.markers.is_empty()).then_some((record, snapshot));
        Ok(RunResult {
            group: start.group,
            commit,
            receipts,
            facts,
            reads: read_log,
            joins,
            deferred,
        })
    }
}

fn receipt(item: &Item, prepared: &Prepared, group: GroupId, outcome: Execution) -> Receipt {
    Receipt {
        marker: item.marker,
        index: item.index,
        payload: prepared.key,
        group: Some(group),
        reason: outcome.reason,
        decided_by: None,
        output: outcome.output,
        revert: outcome.revert,
        logs: outcome.logs,
        contract: outcome.contract,
        sender: prepared.sender,
    }
}
