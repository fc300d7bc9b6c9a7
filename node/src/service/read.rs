//! Reading private state: calls, nonces, code, roots, logs, groups.

use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, Log, U256};
use coterie_core::{
    EnclaveKey, GroupId,
    access::{Relation, Sight, Use},
};

use super::{
    CallOutcome, CallRequest, GroupInfo, LogFilter, LogRange, PrivateLog, Reach, ReadError,
    Service, Tenant,
};
use crate::{
    chain::{BlockId, BlockRef},
    executor::{self, PublicReads},
    state::{EMPTY_ROOT, GroupBlock, LogsWanted, Reason, StateError, log_bytes},
};

/// Bytes of the logs of an answer, about.
const LOGS_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Blocks that are asked of the index of logs at a time.
const BLOCKS_PAGE: usize = 256;

impl Service {
    /// The next private nonce of `address` in `group` at the followed head; zero when either is
    /// unknown, or the caller never was a member: it may be about to create the group.
    ///
    /// # Errors
    ///
    /// [`ReadError::NotAMember`] for a removed member.
    pub async fn transaction_count(
        &self,
        tenant: &Tenant,
        address: Address,
        group: GroupId,
    ) -> Result<u64, ReadError> {
        match tenant.reach {
            Reach::Node => {}
            Reach::Key => match self.view.relation(group, &tenant.key)? {
                Relation::Member => {}
                // As of a group that does not exist: anything else would tell that it does.
                Relation::Stranger => return Ok(0),
                Relation::Removed { .. } => return Err(ReadError::NotAMember(group)),
            },
        }
        Ok(self.nonce(address, group)?)
    }

    /// [`Self::transaction_count`] in the legacy group of `private_from` and `private_for`
    /// (protocol, 13.1).
    pub async fn eea_transaction_count(
        &self,
        tenant: &Tenant,
        address: Address,
        private_from: &EnclaveKey,
        private_for: &[EnclaveKey],
    ) -> Result<u64, ReadError> {
        if *private_from != tenant.key {
            return Err(ReadError::NotTheCallersKey(private_from.clone()));
        }
        let members = private_for.iter().chain([private_from]);
        self.transaction_count(tenant, address, GroupId::legacy(members)).await
    }

    pub(super) fn nonce(&self, address: Address, group: GroupId) -> Result<u64, StateError> {
        let Some(view) = self.view.group_at_head(group)? else { return Ok(0) };
        Ok(view.snapshot.account(address)?.map_or(0, |account| account.nonce))
    }

    /// Runs `request` on private and public state after `block`, with its header; `None` when
    /// there is no block of this number.
    ///
    /// # Errors
    ///
    /// [`ReadError::BlockUnknown`] for a tag that names no block.
    pub async fn call(
        &self,
        tenant: &Tenant,
        group: GroupId,
        request: CallRequest,
        block: BlockId,
    ) -> Result<Option<CallOutcome>, ReadError> {
        if request.value != U256::ZERO {
            return Err(ReadError::ValueNotZero);
        }
        let Some(at) = self.block_in((tenant, Use::Call), group, block).await? else {
            return Ok(None);
        };
        let header = self.view.header(at).await?;
        let snapshot = match self.view.group(group, at.number)? {
            Some(view) => view.snapshot,
            None => self.view.state.snapshot(EMPTY_ROOT),
        };
        let call = executor::CallRequest {
            from: request.from,
            to: request.to,
            gas_price: request.gas_price,
            value: U256::ZERO,
            input: request.input,
            gas_max: self.view.definition.private_gas_cap,
        };
        let executor = self.view.executor.clone();
        let run = move |reads: &PublicReads| executor.call(&snapshot, &header, &call, reads);
        Ok(Some(match self.view.execute(at.hash, run).await? {
            executor::CallOutcome::Success(output) => CallOutcome::Returned(output),
            executor::CallOutcome::Revert(data) => CallOutcome::Reverted(data),
            executor::CallOutcome::Halt(Reason::TooManyPublicReads) => {
                CallOutcome::TooManyPublicReads
            }
            executor::CallOutcome::Halt(_) => CallOutcome::Halted,
        }))
    }

    /// The private code at `address` after `block`: empty for an account without code, `None`
    /// for no private account or group, or no block of this number.
    ///
    /// # Errors
    ///
    /// [`ReadError::BlockUnknown`] for a tag that names no block.
    pub async fn code(
        &self,
        tenant: &Tenant,
        group: GroupId,
        address: Address,
        block: BlockId,
    ) -> Result<Option<Bytes>, ReadError> {
        let Some(at) = self.block_in((tenant, Use::State), group, block).await? else {
            return Ok(None);
        };
        let Some(view) = self.view.group(group, at.number)? else { return Ok(None) };
        Ok(match view.snapshot.account(address)? {
            None => None,
            Some(account) if account.code_hash == KECCAK256_EMPTY => Some(Bytes::new()),
            Some(account) => Some(view.snapshot.code(account.code_hash)?),
        })
    }

    /// The group's private state root after `block`: the empty trie's before its creation.
    ///
    /// # Errors
    ///
    /// A group that is unknown at the head, and an unknown block, are errors here.
    pub async fn state_root(
        &self,
        tenant: &Tenant,
        group: GroupId,
        block: BlockId,
    ) -> Result<B256, ReadError> {
        let sight = self.sight(tenant, group, Use::State)?;
        if sight == Sight::Nothing || self.view.group_at_head(group)?.is_none() {
            return Err(ReadError::GroupUnknown(group));
        }
        let at = self
            .block_in((tenant, Use::State), group, block)
            .await?
            .ok_or(ReadError::BlockUnknown)?;
        Ok(self.view.group(group, at.number)?.map_or(EMPTY_ROOT, |view| view.record.root))
    }

    /// The block; `None` for a number or hash that names none, which Besu tells from a tag that
    /// names none (protocol, 7.1).
    pub(super) async fn numbered(&self, id: BlockId) -> Result<Option<BlockRef>, ReadError> {
        let block = self.view.block(id).await?;
        match id {
            BlockId::Finalized | BlockId::Safe if block.is_none() => Err(ReadError::BlockUnknown),
            BlockId::Finalized
            | BlockId::Safe
            | BlockId::Latest
            | BlockId::Number(_)
            | BlockId::Hash(_) => Ok(block),
        }
    }

    /// The groups at the followed head that have all of `keys` as members; all for no keys. One of
    /// several tenants is told of its own groups only.
    ///
    /// # Errors
    ///
    /// [`ReadError::OwnKeyMissing`] when one of several tenants does not ask for its own key.
    pub async fn find_groups(
        &self,
        tenant: &Tenant,
        keys: &[EnclaveKey],
    ) -> Result<Vec<GroupInfo>, ReadError> {
        // No keys ask for all groups, of which each sees its own.
        if tenant.reach == Reach::Key && !keys.is_empty() && !keys.contains(&tenant.key) {
            return Err(ReadError::OwnKeyMissing(tenant.key.clone()));
        }
        let mut found = Vec::new();
        for id in self.view.state.groups() {
            // Most of this reads without waiting; the request's time limit needs a place to end it.
            tokio::task::yield_now().await;
            if self.sight(tenant, id, Use::Group)? == Sight::Nothing {
                continue;
            }
            let Some(view) = self.view.group_at_head(id)? else { continue };
            let facts = self.view.facts(&view).await?;
            if keys.iter().all(|key| facts.members.contains(key)) {
                found.push(GroupInfo { id, members: facts.members.clone() });
            }
        }
        Ok(found)
    }

    /// The group's logs that match, in chain order; none for an unknown block hash. A removed
    /// member gets those up to its removal.
    ///
    /// Any range may be asked for, as in Besu: what is found costs, not what is searched.
    ///
    /// # Errors
    ///
    /// [`ReadError::TooMuch`] for more logs than an answer may have; [`ReadError::NotAMember`] for
    /// a block after the caller's removal.
    pub async fn logs(
        &self,
        tenant: &Tenant,
        group: GroupId,
        filter: LogFilter,
    ) -> Result<Vec<PrivateLog>, ReadError> {
        let sight = self.sight(tenant, group, Use::Logs)?;
        let Some(head) = sight.head(self.view.followed().map_or(0, |head| head.number)) else {
            return Err(ReadError::NotAMember(group));
        };
        let (from, to) = match filter.range {
            LogRange::Block(hash) => {
                match self.block_in((tenant, Use::Logs), group, BlockId::Hash(hash)).await? {
                    Some(block) => (block.number, block.number),
                    None => return Ok(Vec::new()),
                }
            }
            LogRange::Blocks(from, to) => {
                (self.bound(from, head).await?, self.bound(to, head).await?.min(head))
            }
        };
        let (mut logs, mut bytes) = (Vec::new(), 0);
        let mut next = Some(from);
        while let Some(from) = next {
            let wanted = LogsWanted { addresses: &filter.addresses, topics: &filter.topics };
            let found = self.view.state.log_blocks(group, wanted, from, to, BLOCKS_PAGE)?;
            next = found.next;
            tokio::task::yield_now().await;
            for number in found.blocks {
                // Reading does not wait: without this nothing could end it, or come in between.
                tokio::task::yield_now().await;
                let before = logs.len();
                if let Some(record) = self.view.state.group_block(group, number)? {
                    self.collect(&record, &filter, &mut logs)?;
                }
                let new = logs.iter().skip(before);
                bytes += new.map(|it: &PrivateLog| log_bytes(&it.log)).sum::<usize>();
                self.check_size(logs.len(), bytes)?;
            }
        }
        // The caller may have been removed meanwhile, or the chain reorganised.
        let sight = self.sight(tenant, group, Use::Logs)?;
        logs.retain(|log| sight.covers(log.block.number));
        Ok(logs)
    }

    /// Refuses more logs than an answer may have.
    fn check_size(&self, logs: usize, bytes: usize) -> Result<(), ReadError> {
        let too_much = |limit: usize, of| {
            let limit = u64::try_from(limit).unwrap_or(u64::MAX);
            Err(ReadError::TooMuch { limit, of })
        };
        if logs > self.options.logs_max {
            return too_much(self.options.logs_max, "logs");
        }
        if bytes > LOGS_BYTES_MAX { too_much(LOGS_BYTES_MAX, "bytes of logs") } else { Ok(()) }
    }

    /// The number that a range's end means; above the head it stays above.
    async fn bound(&self, id: BlockId, head: u64) -> Result<u64, ReadError> {
        if let BlockId::Number(number) = id {
            return Ok(number);
        }
        Ok(self.view.block(id).await?.map_or(head, |block| block.number.min(head)))
    }

    /// Adds the matching logs of one block.
    fn collect(
        &self,
        record: &GroupBlock,
        filter: &LogFilter,
        logs: &mut Vec<PrivateLog>,
    ) -> Result<(), ReadError> {
        let mut log_index = 0;
        for marker in record.markers.iter().filter(|marker| marker.reason == Reason::Executed) {
            let receipt = self.view.state.receipt_in(marker.marker, record.block.hash)?;
            let Some(receipt) = receipt else { continue };
            for log in receipt.logs {
                if matches(filter, &log) {
                    logs.push(PrivateLog {
                        log,
                        block: BlockRef { ..record.block },
                        marker: marker.marker,
                        marker_index: marker.index,
                        log_index,
                        removed: false,
                    });
                }
                log_index += 1;
            }
        }
        Ok(())
    }
}

/// Whether the filter's contracts and topics let a log through.
pub(super) fn matches(filter: &LogFilter, log: &Log) -> bool {
    let address = filter.addresses.is_empty() || filter.addresses.contains(&log.address);
    let topics = log.topics();
    let all = filter.topics.iter().enumerate().all(|(at, wanted)| match topics.get(at) {
        Some(topic) => wanted.is_empty() || wanted.contains(topic),
        None => false,
    });
    address && all
}

#[cfg(test)]
pub(super) mod tests;
