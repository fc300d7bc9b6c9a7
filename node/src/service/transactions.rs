//! All private transactions of a group in a range of blocks, page by page.
//!
//! The group's records name the markers that came to its execution, whatever became of them. Markers
//! that were ignored before (duplicates, copies, late ones) are in no record; to find them the blocks
//! are read from the chain, so that is done only when it is asked for, some blocks at a time.

use std::collections::HashMap;

use alloy_primitives::B256;
use coterie_core::{GroupId, Recipients, access::Use, marker::FLEXIBLE_PRIVACY};

use super::{
    PrivateTransactionInfo, Reach, ReadError, Service, Tenant,
    receipts::{marker_payload, transaction},
};
use crate::{
    chain::{BlockId, BlockRef, MarkerTransaction, MinedTransaction},
    executor::recover_sender,
    state::{GroupBlock, GroupMarker, Reason},
};

/// Transactions on a page, at most.
pub const PAGE_MAX: usize = 1_000;
/// Blocks that are read from the chain for one page, at most.
const BLOCKS_MAX: u64 = 64;
/// Bytes of call data on a page, about: a page ends after the transaction that goes beyond.
const BYTES_MAX: usize = 8 << 20;

/// Which transactions are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionQuery {
    /// From this block.
    pub from: BlockId,
    /// To this one, included; past the head means the head.
    pub to: BlockId,
    /// Where the page before ended.
    pub cursor: Option<Place>,
    /// How many, at most; not more than [`PAGE_MAX`].
    pub limit: usize,
    /// Whether markers that were ignored are wanted too: duplicates, copies, late ones, and those
    /// that an accepted history does not have.
    pub ignored: bool,
}

/// A place on the chain: a block's number and an index in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The block's number.
    pub block: u64,
    /// The index in it.
    pub index: u64,
}

/// Some of a group's transactions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionPage {
    /// In chain order.
    pub transactions: Vec<MarkedTransaction>,
    /// Where the next page begins; `None` after the last.
    pub next: Option<Place>,
}

/// A private transaction with its marker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarkedTransaction {
    /// The marker's transaction hash.
    pub marker: B256,
    /// The marker's block.
    pub block: BlockRef,
    /// The marker's index in it.
    pub index: u64,
    /// Why it had the effect that it had.
    pub reason: Reason,
    /// The transaction; `None` when the enclave does not have its payload any more.
    pub transaction: Option<PrivateTransactionInfo>,
}

/// A page that is being filled.
struct Filling {
    page: TransactionPage,
    limit: usize,
    bytes: usize,
}

impl Filling {
    /// Whether the transaction at `place` has no room; then the next page begins with it.
    fn is_full(&mut self, place: Place) -> bool {
        let full = self.page.transactions.len() >= self.limit || self.bytes > BYTES_MAX;
        if full {
            self.page.next = Some(place);
        }
        full
    }

    fn add(&mut self, transaction: MarkedTransaction) {
        let info = transaction.transaction.as_ref();
        self.bytes += info.map_or(0, |info| info.signed.transaction.input.len());
        self.page.transactions.push(transaction);
    }
}

impl Service {
    /// A page of the group's transactions, in chain order.
    ///
    /// # Errors
    ///
    /// [`ReadError::BlockUnknown`] for a tag that names no block.
    pub async fn block_transactions(
        &self,
        tenant: &Tenant,
        group: GroupId,
        query: TransactionQuery,
    ) -> Result<TransactionPage, ReadError> {
        let head = self.block_in((tenant, Use::Transactions), group, BlockId::Latest).await?;
        let page = TransactionPage { transactions: Vec::new(), next: None };
        let limit = query.limit.clamp(1, PAGE_MAX);
        let mut filling = Filling { page, limit, bytes: 0 };
        let Some(head) = head else { return Ok(filling.page) };
        let from = self.number(query.from, head).await?;
        let to = self.number(query.to, head).await?.min(head.number);
        let first = Place { block: from, index: 0 };
        let start = query.cursor.map_or(first, |cursor| cursor.max(first));
        if query.ignored {
            self.by_blocks(tenant, group, (start, to), &mut filling).await?;
        } else {
            self.by_records(tenant, group, (start, to), &mut filling).await?;
        }
        Ok(filling.page)
    }

    async fn number(&self, id: BlockId, head: BlockRef) -> Result<u64, ReadError> {
        match id {
            BlockId::Number(number) => Ok(number),
            BlockId::Latest => Ok(head.number),
            BlockId::Hash(_) | BlockId::Finalized | BlockId::Safe => {
                Ok(self.view.block(id).await?.ok_or(ReadError::BlockUnknown)?.number)
            }
        }
    }

    /// What the group's records name.
    async fn by_records(
        &self,
        tenant: &Tenant,
        group: GroupId,
        (start, to): (Place, u64),
        filling: &mut Filling,
    ) -> Result<(), ReadError> {
        let mut pages = self.view.records(group, start.block, to);
        while let Some(records) = pages.next()? {
            tokio::task::yield_now().await;
            for record in &records {
                for marker in record.markers.iter().filter(|it| is_listed(tenant, it)) {
                    let place = Place { block: record.block.number, index: marker.index };
                    if place < start {
                        continue;
                    }
                    if filling.is_full(place) {
                        return Ok(());
                    }
                    filling.add(self.recorded(record, marker).await?);
                }
            }
        }
        Ok(())
    }

    /// What the blocks of the chain have.
    async fn by_blocks(
        &self,
        tenant: &Tenant,
        group: GroupId,
        (start, to): (Place, u64),
        filling: &mut Filling,
    ) -> Result<(), ReadError> {
        let last = start.block.saturating_add(BLOCKS_MAX - 1).min(to);
        for number in start.block..=last {
            // Before the first followed block there is nothing of ours.
            let Some(hash) = self.view.state.canonical(number)? else { continue };
            let block = self.view.chain.block(BlockId::Hash(hash)).await?;
            let block = block.ok_or(ReadError::BlockUnknown)?;
            let record = self.view.state.record(group, BlockRef { number, hash })?;
            let record = record.as_ref();
            let markers = record.iter().flat_map(|record| &record.markers);
            let known: HashMap<B256, &GroupMarker> = markers.map(|it| (it.marker, it)).collect();
            for marker in &block.markers {
                let place = Place { block: number, index: marker.index };
                if place < start {
                    continue;
                }
                let listed = match (record, known.get(&marker.hash)) {
                    (Some(_), Some(marker)) if !is_listed(tenant, marker) => None,
                    (Some(record), Some(marker)) => Some(self.recorded(record, marker).await?),
                    _ => {
                        let at = BlockRef { number, hash };
                        self.ignored(tenant, group, at, marker).await?
                    }
                };
                let Some(listed) = listed else { continue };
                if filling.is_full(place) {
                    return Ok(());
                }
                filling.add(listed);
            }
        }
        if last < to {
            filling.page.next = Some(Place { block: last.saturating_add(1), index: 0 });
        }
        Ok(())
    }

    async fn recorded(
        &self,
        record: &GroupBlock,
        marker: &GroupMarker,
    ) -> Result<MarkedTransaction, ReadError> {
        let payload = self.view.enclave.receive(marker.payload).await?;
        let signed = payload.as_ref().and_then(transaction);
        Ok(MarkedTransaction {
            marker: marker.marker,
            block: record.block,
            index: marker.index,
            reason: marker.reason,
            transaction: signed.map(|signed| {
                let from = recover_sender(&signed);
                PrivateTransactionInfo { signed, from }
            }),
        })
    }

    /// A marker that did not come to the group's execution, if its payload is for the group.
    async fn ignored(
        &self,
        tenant: &Tenant,
        group: GroupId,
        block: BlockRef,
        marker: &MarkerTransaction,
    ) -> Result<Option<MarkedTransaction>, ReadError> {
        let mined = MinedTransaction {
            block,
            index: marker.index,
            from: marker.from,
            to: Some(FLEXIBLE_PRIVACY),
            input: marker.input.clone(),
        };
        let key = match marker_payload(self.view.definition.rules, marker.hash, &mined) {
            Ok(Some(key)) => key,
            // No marker under the network's rules.
            Ok(None) | Err(_) => return Ok(None),
        };
        let Some(payload) = self.view.enclave.receive(key).await? else { return Ok(None) };
        let Some(signed) = transaction(&payload) else { return Ok(None) };
        if signed.transaction.recipients != Recipients::Group(group) {
            return Ok(None);
        }
        let Some(receipt) = self.receipt(tenant, marker.hash).await? else { return Ok(None) };
        let from = recover_sender(&signed);
        Ok(Some(MarkedTransaction {
            marker: marker.hash,
            block,
            index: marker.index,
            reason: receipt.reason,
            transaction: Some(PrivateTransactionInfo { signed, from }),
        }))
    }
}

/// Whether a marker is the group's for this caller: one of somebody who was no member is not, for
/// its members, and histories do not have it.
fn is_listed(tenant: &Tenant, marker: &GroupMarker) -> bool {
    marker.reason != Reason::NotAMember || tenant.reach == Reach::Node
}
