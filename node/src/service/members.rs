//! Answers what other members' nodes ask: roots, ids that counted, histories, known groups.
//!
//! The enclave has proved who asks. A group's data are given only to a key that our own state lists
//! as a member, to a removed one up to its removal (design, 2.4). Refusals do not tell an unknown
//! group from one that is not the asker's.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use alloy_primitives::{B256, Bytes};
use alloy_rlp::Encodable as _;
use async_trait::async_trait;
use coterie_core::{EnclaveKey, GroupId, PayloadKey};
use quick_cache::{Weighter, sync::Cache};

use super::{
    ReadError,
    confirmations::Confirmations,
    following::TakeOver,
    limiter::Limiter,
    messages::{
        self, CountedPage, CountedRequest, GroupRequest, HistoryPage, HistoryRequest, KnownReply,
        Offer, PAGE_BYTES_MAX, PAGE_ENTRIES_MAX, RootReply, RootRequest, WireEntry, WireId,
        WireRead, WireReads,
    },
    view::{GroupView, View},
};
use crate::{
    chain::{BlockRef, PublicRead, PublicValue},
    enclave::{EnclaveUnavailable, HistoryEntry, MemberHandler},
    state::{GroupBlock, Membership, Reason, StateError},
};

/// Ids in one answer, at most.
const IDS_MAX: usize = 10_000;
/// Lists of histories under way that are remembered, and their entries, at most.
const LISTS_MAX: usize = 16;
const LISTED_MAX: u64 = 2_000_000;
/// Questions about known groups, and offers, of one key within a minute, at most.
const ASKED_MAX: u32 = 1_000;
const ASKED_SPAN: Duration = Duration::from_secs(60);
/// Offers whose taking over was started are remembered so many and so long: one that failed must
/// not be tried again at once.
const OFFERS_MAX: usize = 4_096;
const OFFER_SPAN: Duration = Duration::from_secs(30);

/// Answers other members.
pub struct Members {
    view: View,
    confirmations: Confirmations,
    lists: Cache<ListKey, Arc<Vec<HistoryEntry>>, Entries>,
    asked: Limiter,
    offers: Cache<(GroupId, EnclaveKey), Begun>,
}

/// Taking over what was offered was started.
#[derive(Clone, Copy, Debug)]
struct Begun {
    since: Instant,
    /// What was followed then.
    followed: BlockRef,
    /// The number of the addition's block.
    added: u64,
}

/// Which list: the records up to a block may be replaced, so their outcome belongs to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ListKey {
    group: GroupId,
    until: B256,
    root: B256,
    digest: B256,
}

/// Weighs a list by its length.
#[derive(Clone, Debug)]
struct Entries;

impl Weighter<ListKey, Arc<Vec<HistoryEntry>>> for Entries {
    fn weight(&self, _: &ListKey, list: &Arc<Vec<HistoryEntry>>) -> u64 {
        u64::try_from(list.len()).unwrap_or(u64::MAX).max(1)
    }
}

/// Why a member gets no answer. Its words go to the asker.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("unknown request")]
    UnknownKind,
    #[error("the request does not decode")]
    Undecodable,
    /// Unknown group, not a member, not followed so far: never told apart.
    #[error("nothing to answer")]
    Nothing,
    #[error("try again later")]
    Later,
    #[error("internal error")]
    State(#[from] StateError),
    #[error("internal error")]
    Enclave(#[from] EnclaveUnavailable),
}

impl From<ReadError> for Refusal {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::State(error) => Self::State(error),
            ReadError::Enclave(error) => Self::Enclave(error),
            ReadError::Chain(_) | ReadError::Joining(_) | ReadError::FollowingStopped(_) => {
                Self::Later
            }
            ReadError::NotAMember(_)
            | ReadError::NotTheCallersKey(_)
            | ReadError::OwnKeyMissing(_)
            | ReadError::GroupUnknown(_)
            | ReadError::BlockUnknown
            | ReadError::NotAMarker(_)
            | ReadError::ValueNotZero
            | ReadError::TooMuch { .. } => Self::Nothing,
        }
    }
}

impl Members {
    /// Answers from `view`.
    pub fn new(view: View, confirmations: impl Into<Confirmations>) -> Self {
        Self {
            confirmations: confirmations.into(),
            lists: Cache::with_weighter(LISTS_MAX, LISTED_MAX, Entries),
            asked: Limiter::new(ASKED_MAX, ASKED_SPAN),
            offers: Cache::new(OFFERS_MAX),
            view,
        }
    }

    async fn dispatch(&self, from: &EnclaveKey, kind: &str, body: &[u8]) -> Result<Bytes, Refusal> {
        match kind {
            messages::KNOWN => self.known(from, decode(body)?),
            messages::ROOT => {
                let RootRequest { group, block } = decode(body)?;
                let view = self.member_view(from, GroupId(group), block.into()).await?;
                let GroupBlock { root, digest, counted, .. } = *view.record;
                Ok(messages::encode(&RootReply { root, digest, counted }))
            }
            messages::COUNTED => {
                let CountedRequest { group, until, from: start } = decode(body)?;
                self.member_view(from, GroupId(group), until.into()).await?;
                let ids = self.counted(GroupId(group), until.into(), start).await?;
                Ok(messages::encode(&CountedPage { ids }))
            }
            messages::HISTORY => self.history(from, decode(body)?).await,
            messages::OFFER => self.offered(from, decode(body)?).await,
            _ => Err(Refusal::UnknownKind),
        }
    }

    /// Whether we know a group id: asked before a group is created.
    fn known(&self, asker: &EnclaveKey, request: GroupRequest) -> Result<Bytes, Refusal> {
        if !self.asked.allows(asker, Instant::now()) {
            return Err(Refusal::Later);
        }
        let group = GroupId(request.group);
        let known = self.view.is_joining(group) || self.view.group_at_head(group)?.is_some();
        tracing::debug!(target: "coterie::audit", %group, to = %asker, known, "told whether a group is known");
        Ok(messages::encode(&KnownReply { known }))
    }

    /// Takes an offered history over; acknowledges only when the group is held, so that the giver
    /// goes on offering until then.
    async fn offered(&self, giver: &EnclaveKey, offer: Offer) -> Result<Bytes, Refusal> {
        if !self.asked.allows(giver, Instant::now()) {
            return Err(Refusal::Later);
        }
        let (group, added) = (GroupId(offer.group), BlockRef::from(offer.added));
        // A follower that has not begun would forget it.
        let followed = self.view.followed().ok_or(Refusal::Later)?;
        if self.holds_with(giver, group).await? {
            // What we hold on a branch that we are about to leave goes with it.
            let canonical = self.view.state.canonical(added.number)?;
            let follows =
                added.number <= followed.number && canonical.is_none_or(|it| it == added.hash);
            return if follows { Ok(Bytes::new()) } else { Err(Refusal::Later) };
        }
        let at = (group, giver.clone());
        if !self.is_begun(&at, added)? {
            let take_over = TakeOver { group, giver: Some(giver.clone()), added: Some(added) };
            // A full queue means that many offers wait: this one comes again.
            if self.view.following.requests.try_send(take_over).is_ok() {
                let (since, added) = (Instant::now(), added.number);
                self.offers.insert(at, Begun { since, followed, added });
            }
        }
        Err(Refusal::Later)
    }

    /// Whether taking over what is offered was started lately: for the same addition, as far as we
    /// can tell, and on the branch that we follow. At most once for each block that comes, then.
    fn is_begun(&self, offer: &(GroupId, EnclaveKey), added: BlockRef) -> Result<bool, StateError> {
        let lately = |begun: &Begun| begun.since.elapsed() < OFFER_SPAN;
        let Some(begun) = self.offers.get(offer).filter(lately) else { return Ok(false) };
        let canonical = |number| self.view.state.canonical(number);
        let left = canonical(begun.followed.number)?.is_some_and(|it| it != begun.followed.hash);
        let again = added.number > begun.added && canonical(added.number)? == Some(added.hash);
        Ok(!left && !again)
    }

    /// Whether we have the group's history, and one of our keys is a member of it with the giver.
    /// Without the giver, it may be another group of the same id.
    async fn holds_with(&self, giver: &EnclaveKey, group: GroupId) -> Result<bool, Refusal> {
        if self.view.is_joining(group) {
            return Ok(false);
        }
        let Some(view) = self.view.group_at_head(group)? else { return Ok(false) };
        let members = &self.view.facts(&view).await?.members;
        Ok(members.contains(giver) && members.iter().any(|key| self.view.enclave.holds(key)))
    }

    /// The group after a block that we followed, if `member` is one then or was removed by it.
    async fn member_view(
        &self,
        member: &EnclaveKey,
        group: GroupId,
        block: BlockRef,
    ) -> Result<GroupView, Refusal> {
        if self.view.is_joining(group)
            || self.view.state.canonical(block.number)? != Some(block.hash)
        {
            return Err(Refusal::Nothing);
        }
        let view = self.view.group(group, block.number)?.ok_or(Refusal::Nothing)?;
        if self.view.facts(&view).await?.members.contains(member) {
            return Ok(view);
        }
        // The block of its removal is the last one that it knows.
        let before = block.number.checked_sub(1).filter(|_| view.record.block == block);
        let before = before.map(|before| self.view.group(group, before)).transpose()?.flatten();
        match before {
            Some(before) if self.view.facts(&before).await?.members.contains(member) => Ok(view),
            Some(_) | None => Err(Refusal::Nothing),
        }
    }

    /// Ids that counted up to the end of `until`, from the `start`-th on.
    async fn counted(
        &self,
        group: GroupId,
        until: BlockRef,
        start: u64,
    ) -> Result<Vec<WireId>, Refusal> {
        let mut skip = usize::try_from(start).unwrap_or(usize::MAX);
        let mut ids = Vec::new();
        let mut pages = self.view.records(group, 0, until.number);
        while let Some(records) = pages.next()? {
            for record in &records {
                for id in WireId::counted(record) {
                    if skip > 0 {
                        skip -= 1;
                    } else if ids.len() < IDS_MAX {
                        ids.push(id);
                    } else {
                        return Ok(ids);
                    }
                }
            }
            tokio::task::yield_now().await;
        }
        Ok(ids)
    }

    async fn history(&self, asker: &EnclaveKey, request: HistoryRequest) -> Result<Bytes, Refusal> {
        let group = GroupId(request.group);
        if self.view.is_joining(group) {
            return Err(Refusal::Nothing);
        }
        let until = match request.until.first() {
            Some(until) => {
                let until: BlockRef = (*until).into();
                if self.until(asker, group, until.number)? != until
                    || self.confirmed().await? < until.number
                {
                    return Err(Refusal::Later);
                }
                until
            }
            None => self.latest_until(asker, group).await?,
        };
        let view = self.view.group(group, until.number)?.ok_or(Refusal::Nothing)?;
        let list = self.list(group, until, &view.record).await?;
        let mut page = HistoryPage {
            until: until.into(),
            root: view.record.root,
            digest: view.record.digest,
            total: u64::try_from(list.len()).unwrap_or(u64::MAX),
            entries: Vec::new(),
            reads: Vec::new(),
        };
        let start = usize::try_from(request.from).unwrap_or(usize::MAX);
        self.fill(group, list.get(start..).unwrap_or_default(), &mut page).await?;
        // Every disclosure is on record.
        tracing::info!(
            target: "coterie::audit",
            %group, to = %asker, from = request.from, entries = page.entries.len(), until = until.number,
            "gave a part of a group's history"
        );
        Ok(messages::encode(&page))
    }

    /// Adds entries with their payloads and public reads, up to the limits of a page.
    async fn fill(
        &self,
        group: GroupId,
        entries: &[HistoryEntry],
        page: &mut HistoryPage,
    ) -> Result<(), Refusal> {
        let mut left = PAGE_BYTES_MAX;
        let mut last = None;
        for entry in entries.iter().take(PAGE_ENTRIES_MAX) {
            let sealed = self.view.enclave.sealed(entry.key).await?.ok_or(Refusal::Later)?;
            let wire = WireEntry::new(*entry, sealed);
            // One entry goes into every page, or nobody would get on.
            let first = page.entries.is_empty();
            if wire.length() > left && !first {
                break;
            }
            left = left.saturating_sub(wire.length());
            if last != Some(entry.block) {
                last = Some(entry.block);
                let recorded = self.view.enclave.recorded_reads(group, entry.block.hash).await?;
                let wanted = recorded.len();
                let reads = fitting(recorded, &mut left);
                // What one page cannot hold, the newcomer reads from the chain.
                if reads.len() < wanted && !first {
                    break;
                }
                if !reads.is_empty() {
                    page.reads.push(WireReads { block: entry.block.into(), reads });
                }
            }
            page.entries.push(wire);
        }
        Ok(())
    }

    /// The newest block whose history may be given.
    async fn confirmed(&self) -> Result<u64, Refusal> {
        self.confirmations.newest(&self.view).await?.ok_or(Refusal::Later)
    }

    /// Up to where `asker` may have the history now.
    async fn latest_until(&self, asker: &EnclaveKey, group: GroupId) -> Result<BlockRef, Refusal> {
        let confirmed = self.confirmed().await?;
        self.until(asker, group, confirmed)
    }

    /// `number`'s block if `asker` is a member then, or the block of its last removal before.
    fn until(&self, asker: &EnclaveKey, group: GroupId, number: u64) -> Result<BlockRef, Refusal> {
        match self.view.state.membership(group, asker, number)? {
            Membership::Member => {
                let hash = self.view.state.canonical(number)?.ok_or(Refusal::Later)?;
                Ok(BlockRef { number, hash })
            }
            Membership::Removed(removal) => Ok(removal),
            // A stranger is not told that the group is here.
            Membership::Never => Err(Refusal::Nothing),
        }
    }

    /// What a history up to `until` consists of: the markers that the group's members judged by
    /// its state. What a stranger marked is left out.
    async fn list(
        &self,
        group: GroupId,
        until: BlockRef,
        record: &GroupBlock,
    ) -> Result<Arc<Vec<HistoryEntry>>, Refusal> {
        let GroupBlock { root, digest, .. } = *record;
        let key = ListKey { group, until: until.hash, root, digest };
        if let Some(list) = self.lists.get(&key) {
            return Ok(list);
        }
        let mut list = Vec::new();
        let mut pages = self.view.records(group, 0, until.number);
        while let Some(records) = pages.next()? {
            for record in &records {
                let members = record.markers.iter().filter(|it| it.reason != Reason::NotAMember);
                list.extend(members.map(|marker| HistoryEntry {
                    block: record.block,
                    index: marker.index,
                    key: PayloadKey(marker.payload.0),
                }));
            }
            tokio::task::yield_now().await;
        }
        let list = Arc::new(list);
        self.lists.insert(key, Arc::clone(&list));
        Ok(list)
    }
}

#[async_trait]
impl MemberHandler for Members {
    async fn answer(
        &self,
        from: EnclaveKey,
        _to: EnclaveKey,
        kind: &str,
        body: Bytes,
    ) -> Result<Bytes, String> {
        self.dispatch(&from, kind, &body).await.map_err(|refusal| {
            tracing::debug!(%from, kind, ?refusal, "refused a member's request");
            refusal.to_string()
        })
    }
}

impl std::fmt::Debug for Members {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Members")
    }
}

fn decode<T: alloy_rlp::Decodable>(body: &[u8]) -> Result<T, Refusal> {
    messages::decode(body).map_err(|_| Refusal::Undecodable)
}

/// The first of the reads that fit into `left` bytes, which they take.
fn fitting(recorded: Vec<(PublicRead, PublicValue)>, left: &mut usize) -> Vec<WireRead> {
    let mut reads = Vec::new();
    for (read, value) in &recorded {
        let wire = WireRead::new(read, value);
        let Some(rest) = left.checked_sub(wire.length()) else { break };
        *left = rest;
        reads.push(wire);
    }
    reads
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Address, U256};

    use super::*;
    use crate::chain::PublicAccount;

    #[test]
    fn public_reads_count_in_a_page() {
        let slot = |number: u64| {
            let read = PublicRead::Slot(Address::repeat_byte(1), U256::from(number));
            (read, PublicValue::Slot(U256::from(1)))
        };
        let code = vec![0x60; 24_576].into();
        let account = PublicAccount { nonce: 1, balance: U256::ZERO, code };
        let large = (PublicRead::Account(Address::repeat_byte(2)), PublicValue::Account(account));

        let mut left = 1_000;
        assert_eq!(fitting(vec![slot(1), slot(2)], &mut left).len(), 2);
        let taken = 1_000 - left;
        assert!((40..200).contains(&taken), "{taken}");
        // In the order in which they were made, up to the first that is too much.
        assert_eq!(fitting(vec![slot(1), large.clone(), slot(2)], &mut left).len(), 1);
        let mut left = 30_000;
        assert_eq!(fitting(vec![large.clone(), large], &mut left).len(), 1);
        assert!(left < 30_000 - 24_576);
    }
}
