//! Compares state roots with the other members of each group (design, 2.2). A difference is an
//! alarm that names the first id on which they differ.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use alloy_primitives::B256;
use coterie_core::{EnclaveKey, GroupId, PayloadKey};
use futures::{StreamExt as _, stream};
use parking_lot::Mutex;

use super::{
    ReadError,
    messages::{self, CountedPage, CountedRequest, RootReply, RootRequest, WireId},
    view::View,
};
use crate::{chain::BlockRef, enclave::AskError, state::GroupBlock};

/// Pages of ids that are compared when roots differ, at most.
const PAGES_MAX: usize = 1_000;
/// Members that are asked at the same time, at most.
const ASKED_MAX: usize = 16;

/// A member of a group.
type Other = (GroupId, EnclaveKey);

/// Compares roots, and remembers who differed.
#[derive(Debug)]
pub struct Comparison {
    view: View,
    /// What was last compared with each member, whether it agreed or not, and when.
    compared: Mutex<BTreeMap<Other, (Compared, Instant)>>,
    divergences: Mutex<BTreeMap<Other, Divergence>>,
}

/// What is compared. Not only a height: a reorg or a healing changes the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Compared {
    block: BlockRef,
    root: B256,
    digest: B256,
}

impl Compared {
    const fn of(record: &GroupBlock) -> Self {
        Self { block: record.block, root: record.root, digest: record.digest }
    }
}

/// One question to be asked.
struct Question {
    other: Other,
    me: EnclaveKey,
    record: Arc<GroupBlock>,
}

/// Another member has another state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// After this block.
    pub block: BlockRef,
    /// Our root.
    pub ours: B256,
    /// The other's.
    pub theirs: B256,
    /// The first id that counted for one and not for the other, with its block; `None` when the
    /// same ids counted (the results differ), or the other did not say.
    pub first: Option<(BlockRef, PayloadKey)>,
}

/// The last comparison with another member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compare {
    /// Which member.
    pub member: EnclaveKey,
    /// After which block, and how long ago; `None` when it has not answered yet.
    pub last: Option<(BlockRef, Duration)>,
    /// How it differs, if so.
    pub divergence: Option<Divergence>,
}

impl Comparison {
    /// Nothing compared yet.
    pub fn new(view: View) -> Self {
        Self { view, compared: Mutex::default(), divergences: Mutex::default() }
    }

    /// Who differs, now.
    pub fn divergences(&self) -> BTreeMap<(GroupId, EnclaveKey), Divergence> {
        self.divergences.lock().clone()
    }

    /// The last comparison with each of these members of the group.
    pub(super) fn last(&self, group: GroupId, members: &[EnclaveKey]) -> Vec<Compare> {
        let (compared, divergences) = (self.compared.lock(), self.divergences.lock());
        let compare = |member: &EnclaveKey| {
            let other = (group, member.clone());
            let last = compared.get(&other).map(|(last, at)| (last.block, at.elapsed()));
            let divergence = divergences.get(&other).cloned();
            Compare { member: member.clone(), last, divergence }
        };
        members.iter().map(compare).collect()
    }

    /// Compares every `pause`, for as long as the node runs.
    pub async fn run(&self, pause: Duration) {
        loop {
            // Every failure was logged with its group.
            let _ = self.round().await;
            tokio::time::sleep(pause).await;
        }
    }

    /// Compares every group that changed since it was compared last, with all its members; and
    /// those that differed again, since the other may have been healed.
    ///
    /// # Errors
    ///
    /// The first failure of our own state; all other groups were compared all the same. Members
    /// that do not answer are left for the next round.
    pub async fn round(&self) -> Result<(), ReadError> {
        let mut failed = None;
        let mut failure = |group: GroupId, error: ReadError| {
            tracing::warn!(%group, %error, "a group's state roots could not be compared");
            failed.get_or_insert(error);
        };
        let (mut questions, mut pairs, mut kept) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
        for group in self.view.state.groups() {
            match self.questions(group).await {
                Ok(Some(found)) => {
                    pairs.extend(found.iter().map(|question| question.other.clone()));
                    questions.extend(found.into_iter().filter(|question| self.is_open(question)));
                }
                Ok(None) => {
                    kept.insert(group);
                }
                Err(error) => {
                    kept.insert(group);
                    failure(group, error);
                }
            }
        }
        // Who is no member any more is not compared with, and no alarm.
        let is_member = |other: &Other| kept.contains(&other.0) || pairs.contains(other);
        self.compared.lock().retain(|other, _| is_member(other));
        self.divergences.lock().retain(|other, _| is_member(other));
        let mut answers = stream::iter(questions)
            .map(|question| async {
                let result = self.compare(&question).await;
                (question, result)
            })
            .buffer_unordered(ASKED_MAX);
        while let Some((Question { other, record, .. }, result)) = answers.next().await {
            match result {
                Ok(true) => {
                    let compared = (Compared::of(&record), Instant::now());
                    self.compared.lock().insert(other, compared);
                }
                Ok(false) => {}
                Err(error) => failure(other.0, error),
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// What can be asked about a group: one question for each other member. `None` when it cannot
    /// be compared now.
    async fn questions(&self, group: GroupId) -> Result<Option<Vec<Question>>, ReadError> {
        if self.view.is_joining(group) {
            return Ok(None);
        }
        let Some(view) = self.view.group_at_head(group)? else { return Ok(None) };
        let facts = self.view.facts(&view).await?;
        let Some(me) = facts.members.iter().find(|key| self.view.enclave.holds(key)) else {
            return Ok(Some(Vec::new()));
        };
        let others = facts.members.iter().filter(|key| !self.view.enclave.holds(key));
        let question = |other: &EnclaveKey| Question {
            other: (group, other.clone()),
            me: me.clone(),
            record: Arc::clone(&view.record),
        };
        Ok(Some(others.map(question).collect()))
    }

    /// Whether this was not answered yet, or not to our liking.
    fn is_open(&self, Question { other, record, .. }: &Question) -> bool {
        self.compared.lock().get(other).map(|(compared, _)| *compared) != Some(Compared::of(record))
            || self.divergences.lock().contains_key(other)
    }

    /// Compares with one member; false when it did not answer.
    async fn compare(&self, question: &Question) -> Result<bool, ReadError> {
        let Question { other: (group, other), me, record } = question;
        let request = messages::encode(&RootRequest { group: group.0, block: record.block.into() });
        let reply = match self.view.enclave.ask(me, other, messages::ROOT, request).await {
            Ok(reply) => reply,
            Err(AskError::UnknownPeer(_) | AskError::Failed { .. } | AskError::Refused { .. }) => {
                return Ok(false);
            }
        };
        let Ok(reply) = messages::decode::<RootReply>(&reply) else { return Ok(false) };
        let at = (*group, other.clone());
        if (reply.root, reply.digest) == (record.root, record.digest) {
            if self.divergences.lock().remove(&at).is_some() {
                tracing::info!(%group, member = %other, block = record.block.number, "another member has the same private state again");
            }
            return Ok(true);
        }
        let known = self.divergences.lock().get(&at).is_some_and(|known| {
            known.block == record.block && known.ours == record.root && known.theirs == reply.root
        });
        // One alarm for one difference.
        if known {
            return Ok(true);
        }
        let first = self.first_difference(*group, record.block, me, other).await?;
        let divergence =
            Divergence { block: record.block, ours: record.root, theirs: reply.root, first };
        tracing::error!(
            %group, member = %other, block = record.block.number, ours = %record.root, theirs = %reply.root,
            first_payload = first.map(|(_, key)| tracing::field::display(key.0)),
            first_block = first.map(|(block, _)| block.number),
            "alarm: another member has another private state"
        );
        self.divergences.lock().insert(at, divergence);
        Ok(true)
    }

    /// The first id that counted for one of the two only.
    async fn first_difference(
        &self,
        group: GroupId,
        until: BlockRef,
        me: &EnclaveKey,
        other: &EnclaveKey,
    ) -> Result<Option<(BlockRef, PayloadKey)>, ReadError> {
        let ours = self.counted(group, until.number).await?;
        let mut ours = ours.iter().copied();
        let mut from = 0;
        for _ in 0..PAGES_MAX {
            let request = CountedRequest { group: group.0, until: until.into(), from };
            let reply = self
                .view
                .enclave
                .ask(me, other, messages::COUNTED, messages::encode(&request))
                .await;
            let Some(page) =
                reply.ok().and_then(|reply| messages::decode::<CountedPage>(&reply).ok())
            else {
                return Ok(None);
            };
            if page.ids.is_empty() {
                return Ok(ours.next().map(place));
            }
            from += u64::try_from(page.ids.len()).unwrap_or(u64::MAX);
            for theirs in page.ids {
                match ours.next() {
                    Some(ours) if ours == theirs => {}
                    // Whichever comes first on the chain is the one that the other lacks.
                    Some(ours) => return Ok(Some(place(earlier(ours, theirs)))),
                    None => return Ok(Some(place(theirs))),
                }
            }
        }
        Ok(None)
    }

    /// Our ids that counted up to block `to`.
    async fn counted(&self, group: GroupId, to: u64) -> Result<Vec<WireId>, ReadError> {
        let mut ids = Vec::new();
        let mut pages = self.view.records(group, 0, to);
        while let Some(records) = pages.next()? {
            for record in &records {
                ids.extend(WireId::counted(record));
            }
            tokio::task::yield_now().await;
        }
        Ok(ids)
    }
}

fn place(id: WireId) -> (BlockRef, PayloadKey) {
    (id.block.into(), PayloadKey(id.payload))
}

fn earlier(a: WireId, b: WireId) -> WireId {
    if (a.block.number, a.index) <= (b.block.number, b.index) { a } else { b }
}
