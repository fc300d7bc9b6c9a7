//! Offers histories to members that were added (design, 2.4), until they acknowledge.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
    time::Duration,
};

use coterie_core::{EnclaveKey, GroupId};
use tokio::{
    sync::{Semaphore, broadcast::error::RecvError, mpsc},
    task::{AbortHandle, JoinSet},
};

use super::{
    ReadError,
    following::GroupEvent,
    messages::{self, Offer},
    view::View,
};
use crate::chain::BlockRef;

/// The first and the longest pause between two offers.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// Records of each group that are searched for additions at start.
const RECORDS_MAX: usize = 1_000;
/// Offers that are made at the same time, at most.
const ASKING_MAX: usize = 16;

/// Offers the history of every group of ours to the keys that are added to it, for as long as the
/// node runs, each when its addition has `confirmations`. At start, also to those that were added
/// lately: nothing is lost by a restart.
pub async fn offer_histories(view: View, confirmations: u64) {
    let mut events = view.following.events.subscribe();
    let (found, mut founds) = mpsc::channel(64);
    let mut offers = Offers {
        view,
        confirmations,
        asking: Arc::new(Semaphore::new(ASKING_MAX)),
        tasks: JoinSet::new(),
        under_way: HashMap::new(),
    };
    offers.search(found.clone());
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Ok(event) => offers.on_event(&event),
                // What was missed is found in the records.
                Err(RecvError::Lagged(_)) => offers.search(found.clone()),
                Err(RecvError::Closed) => return,
            },
            Some(addition) = founds.recv() => offers.begin(addition),
            Some(ended) = offers.tasks.join_next() => offers.on_ended(ended.ok().flatten()),
        }
    }
}

/// Offers under way. Dropping them ends them.
struct Offers {
    view: View,
    confirmations: u64,
    asking: Arc<Semaphore>,
    tasks: JoinSet<Option<Addition>>,
    /// What is offered to whom: the block of the addition, and the task.
    under_way: HashMap<(GroupId, EnclaveKey), (BlockRef, AbortHandle)>,
}

/// A key that was added to a group while one of ours was a member.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Addition {
    group: GroupId,
    block: BlockRef,
    /// The key of ours that offers.
    me: EnclaveKey,
    key: EnclaveKey,
}

impl Offers {
    /// Starts an offer to each key that the event added, if we were members before; or if the
    /// group's first block leaves it to a contract, which may have added some of its members.
    fn on_event(&mut self, event: &GroupEvent) {
        let (before, after) = (&event.before.members, &event.after.members);
        let holds = |key: &&EnclaveKey| self.view.enclave.holds(key);
        let founded = before.is_empty() && event.after.owner.is_some();
        let members = if founded { after } else { before };
        let Some(me) = members.iter().find(holds).cloned() else { return };
        let added = after.iter().filter(|key| !before.contains(key) && !holds(key));
        let added: Vec<EnclaveKey> = added.cloned().collect();
        for key in added {
            self.begin(Addition { group: event.group, block: event.block, me: me.clone(), key });
        }
    }

    /// Starts an offer. One of an addition in another block is over: that was on a branch that was
    /// left, or the key was removed in between.
    fn begin(&mut self, addition: Addition) {
        let block = addition.block;
        let at = (addition.group, addition.key.clone());
        if self.under_way.get(&at).is_some_and(|(known, _)| *known == block) {
            return;
        }
        let (view, asking) = (self.view.clone(), Arc::clone(&self.asking));
        let confirmations = self.confirmations;
        let task = self.tasks.spawn(async move {
            offer(&view, confirmations, &asking, &addition).await;
            Some(addition)
        });
        if let Some((_, old)) = self.under_way.insert(at, (block, task)) {
            old.abort();
        }
    }

    fn on_ended(&mut self, ended: Option<Addition>) {
        let Some(Addition { group, block, key, .. }) = ended else { return };
        if let Entry::Occupied(known) = self.under_way.entry((group, key))
            && known.get().0 == block
        {
            known.remove();
        }
    }

    /// Searches all groups for additions.
    fn search(&mut self, found: mpsc::Sender<Addition>) {
        let view = self.view.clone();
        self.tasks.spawn(async move {
            let mut followed = view.following.followed.clone();
            // A follower that ended brings no state to search.
            let _ = followed.wait_for(Option::is_some).await;
            for group in view.state.groups() {
                let additions = additions(&view, group).await.unwrap_or_else(|error| {
                    tracing::warn!(%group, %error, "additions to a group before the start are not known");
                    Vec::new()
                });
                for addition in additions {
                    if found.send(addition).await.is_err() {
                        return None;
                    }
                }
            }
            None
        });
    }
}

/// Present members of the group that were added within its last records while we were members.
async fn additions(view: &View, group: GroupId) -> Result<Vec<Addition>, ReadError> {
    let mut additions = Vec::new();
    let Some(mut at) = view.group_at_head(group)? else { return Ok(additions) };
    let holds = |key: &&EnclaveKey| view.enclave.holds(key);
    let members = &view.facts(&at).await?.members;
    let mut others: Vec<EnclaveKey> = members.iter().filter(|key| !holds(key)).cloned().collect();
    if others.len() == members.len() {
        return Ok(additions);
    }
    for _ in 0..RECORDS_MAX {
        let Some(number) = at.record.block.number.checked_sub(1) else { break };
        let Some(before) = view.group(group, number)? else {
            let facts = view.facts(&at).await?;
            if let Some(me) = facts.members.iter().find(holds).filter(|_| facts.owner.is_some()) {
                let block = at.record.block;
                let founder = |key| Addition { group, block, me: me.clone(), key };
                additions.extend(others.into_iter().map(founder));
            }
            break;
        };
        let facts = view.facts(&before).await?;
        // What was before we were members is for others to give.
        let Some(me) = facts.members.iter().find(holds) else { break };
        others.retain(|key| {
            let was_there = facts.members.contains(key);
            if !was_there {
                let (block, me, key) = (at.record.block, me.clone(), key.clone());
                additions.push(Addition { group, block, me, key });
            }
            was_there
        });
        if others.is_empty() {
            break;
        }
        at = before;
        // Each step may execute a contract: others go first.
        tokio::task::yield_now().await;
    }
    Ok(additions)
}

/// Offers until the key acknowledges, or is no longer a member. An offer that comes before the
/// history is given would be in vain, and the asker does not try for ever.
async fn offer(view: &View, confirmations: u64, asking: &Semaphore, addition: &Addition) {
    let Addition { group, block, me, key } = addition;
    let offer = messages::encode(&Offer { group: group.0, added: (*block).into() });
    let confirmed = block.number.saturating_add(confirmations);
    let mut followed = view.following.followed.clone();
    let mut pause = PAUSE;
    loop {
        let there = |at: &Option<BlockRef>| at.is_some_and(|at| at.number >= confirmed);
        if followed.wait_for(there).await.is_err() {
            return;
        }
        let Ok(Some(now)) = view.group_at_head(*group) else { return };
        // A chain that does not answer says nothing about the members.
        if view.facts(&now).await.is_ok_and(|facts| !facts.members.contains(key)) {
            return;
        }
        let asked = {
            // Never closed.
            let _permit = asking.acquire().await;
            view.enclave.ask(me, key, messages::OFFER, offer.clone()).await
        };
        match asked {
            Ok(_) => return,
            Err(error) => tracing::debug!(%group, %key, %error, "an offer was not taken"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}
