//! Checks a history that another member gives, page by page, before anything of it is executed:
//! every entry must be what a marker on the chain names, in order, once, a private transaction of
//! the group that its `privateFrom` signed for that marker's signer (design, 2.3 and 2.4).

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use alloy_primitives::{Address, B256};
use coterie_core::{GroupId, PayloadKey, marker::Marker};
use rayon::prelude::*;

use super::{
    join::{JoinContext, JoinError},
    prepare::Opened,
    sort::Item,
};
use crate::{
    chain::{Block, BlockId, BlockRef, Header, PublicRead, PublicValue},
    enclave::{HistoryEntry, Payload, SealedPayload, open_sealed},
    state::seen,
};

/// An entry with its payload.
pub(super) type Entry = (HistoryEntry, SealedPayload);
/// What a block's execution read of the public state.
pub(super) type BlockReads = (BlockRef, Vec<(PublicRead, PublicValue)>);

/// One block of a history.
pub(super) struct HistoryBlock {
    pub(super) header: Header,
    pub(super) items: Vec<Item>,
}

/// Takes the entries of a history in their order and checks each.
pub(super) struct Verifier<'a> {
    context: &'a JoinContext,
    group: GroupId,
    until: BlockRef,
    blocks: Vec<HistoryBlock>,
    ids: HashSet<PayloadKey>,
    /// Block and index of the last entry.
    last: Option<(u64, u64)>,
    /// The block that was fetched last.
    fetched: Option<Block>,
    count: usize,
}

impl<'a> Verifier<'a> {
    /// For the history of `group` up to the end of block `until`.
    pub(super) fn new(context: &'a JoinContext, group: GroupId, until: BlockRef) -> Self {
        let (blocks, ids) = (Vec::new(), HashSet::new());
        Self { context, group, until, blocks, ids, last: None, fetched: None, count: 0 }
    }

    /// Checks the next entries, and prepares them.
    ///
    /// # Errors
    ///
    /// [`JoinError::Entry`] for the first that is wrong.
    pub(super) async fn add(&mut self, entries: &Arc<Vec<Entry>>) -> Result<(), JoinError> {
        let opened = open(self.context, entries).await?;
        for ((entry, _), opened) in entries.iter().zip(opened) {
            self.check(entry, opened).await?;
            self.count += 1;
        }
        Ok(())
    }

    async fn check(&mut self, entry: &HistoryEntry, opened: OpenedEntry) -> Result<(), JoinError> {
        let (at, key) = (self.count, entry.key);
        let wrong = |what| JoinError::Entry { at, key, what };
        let (payload, opened) =
            opened.ok_or_else(|| wrong("it does not open, or has not the form of the rules"))?;
        if payload.key != entry.key {
            return Err(wrong("the ciphertext's hash is not the id"));
        }
        check_opened(&opened, self.group).map_err(wrong)?;
        if !self.ids.insert(entry.key) {
            return Err(wrong("it is listed twice"));
        }
        if entry.block.number > self.until.number {
            return Err(wrong("it is beyond the end of the history"));
        }
        if self.last.is_some_and(|last| last >= (entry.block.number, entry.index)) {
            return Err(wrong("it is out of order"));
        }
        self.last = Some((entry.block.number, entry.index));
        let signer = payload.marker_signer;
        let marker = marker_on_chain(self.context, entry, signer, &mut self.fetched).await?;
        let marker =
            marker.ok_or_else(|| wrong("the chain has no such marker of its signer there"))?;
        let item = Item { index: entry.index, marker, prepared: opened, from_history: true };
        match self.blocks.last_mut() {
            Some(block) if block.header.hash == entry.block.hash => block.items.push(item),
            _ => {
                let header = self.header(entry.block).await?;
                let header = header.ok_or_else(|| wrong("unknown block"))?;
                self.blocks.push(HistoryBlock { header, items: vec![item] });
            }
        }
        Ok(())
    }

    async fn header(&self, at: BlockRef) -> Result<Option<Header>, JoinError> {
        if let Some(block) = &self.fetched
            && block.header.hash == at.hash
        {
            return Ok(Some(block.header.clone()));
        }
        if let Some(header) = self.context.state.header(at.hash)? {
            return Ok(Some(header));
        }
        Ok(fetch_block(self.context, at).await?.map(|block| block.header))
    }

    /// Public reads are taken for blocks of entries only, and no more than their transactions may
    /// have made.
    ///
    /// # Errors
    ///
    /// [`JoinError::Reads`] for a block that has none, or not so many.
    pub(super) fn check_reads(&self, reads: &[BlockReads]) -> Result<(), JoinError> {
        let limit = u64::from(self.context.definition.public_reads_max);
        let entries: BTreeMap<B256, u64> =
            self.blocks.iter().map(|it| (it.header.hash, it.items.len() as u64)).collect();
        for (block, reads) in reads {
            let entries = entries.get(&block.hash).copied().unwrap_or_default();
            if reads.len() as u64 > limit.saturating_mul(entries) {
                return Err(JoinError::Reads(*block));
            }
        }
        Ok(())
    }

    /// The blocks, ready to execute.
    pub(super) fn into_blocks(self) -> Vec<HistoryBlock> {
        self.blocks
    }
}

/// A payload of a history, prepared; `None` when it does not open.
type OpenedEntry = Option<(Payload, Arc<Opened>)>;

/// Opens and prepares entries, in parallel, off the threads that answer requests.
async fn open(
    context: &JoinContext,
    entries: &Arc<Vec<Entry>>,
) -> Result<Vec<OpenedEntry>, JoinError> {
    let (entries, preparer) = (Arc::clone(entries), Arc::clone(&context.preparer));
    let open = move || {
        let open = |(_, sealed): &Entry| {
            let payload = open_sealed(sealed)?;
            let opened = preparer.prepare(&payload);
            Some((payload, opened))
        };
        entries.par_iter().map(open).collect()
    };
    tokio::task::spawn_blocking(open).await.map_err(|_| JoinError::Panicked)
}

/// Whether a payload is a private transaction of the group, from the enclave that it names.
fn check_opened(opened: &Opened, group: GroupId) -> Result<(), &'static str> {
    match opened {
        Opened::Ready(prepared) if prepared.group == group => Ok(()),
        Opened::Ready(_) => Err("it belongs to another group"),
        Opened::Undecodable => Err("it is not a private transaction"),
        Opened::NotFromSender(_) => Err("privateFrom did not sign it for its marker's signer"),
    }
}

/// The hash of the marker that `entry` names, if the chain has it there; looked up in what we
/// followed, then on the chain.
async fn marker_on_chain(
    context: &JoinContext,
    entry: &HistoryEntry,
    signer: Address,
    fetched: &mut Option<Block>,
) -> Result<Option<B256>, JoinError> {
    let place = (entry.block.number, entry.index);
    if let Some(seen) = seen::first(&context.state, entry.key, signer)? {
        if seen.block == entry.block && seen.index == entry.index {
            return Ok(Some(seen.marker));
        }
        // The signer's first marker decides, and this is not it.
        if (seen.block.number, seen.index) < place {
            return Ok(None);
        }
    }
    let decided = context.state.decided(entry.key)?;
    if decided.is_some_and(|decided| (decided.block.number, decided.index) < place) {
        return Ok(None);
    }
    if fetched.as_ref().is_none_or(|block| block.header.hash != entry.block.hash) {
        *fetched = fetch_block(context, entry.block).await?;
    }
    let marker = fetched
        .as_ref()
        .and_then(|block| block.markers.iter().find(|marker| marker.index == entry.index));
    Ok(marker
        .filter(|marker| {
            let rules = context.definition.rules;
            let names = |parsed: Marker| parsed.payload_under(rules) == Some(entry.key);
            Marker::parse(&marker.input).is_ok_and(names)
        })
        .filter(|marker| signer == Address::ZERO || marker.from == signer)
        .map(|marker| marker.hash))
}

/// A block by hash, if it is canonical.
async fn fetch_block(context: &JoinContext, at: BlockRef) -> Result<Option<Block>, JoinError> {
    let canonical = match context.state.canonical(at.number)? {
        Some(hash) => Some(hash),
        None => context.chain.block_ref(BlockId::Number(at.number)).await?.map(|block| block.hash),
    };
    if canonical != Some(at.hash) {
        return Ok(None);
    }
    Ok(context
        .chain
        .block(BlockId::Hash(at.hash))
        .await?
        .filter(|block| block.header.number == at.number))
}
