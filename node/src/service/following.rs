//! What the service knows of the follower, and what it may ask of it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, atomic::AtomicU64},
};

use coterie_core::{EnclaveKey, GroupId};
use tokio::sync::{broadcast, mpsc, watch};

use crate::{chain::BlockRef, executor::GroupFacts};

/// How far the follower is, and how to reach it.
#[derive(Clone, Debug)]
pub struct Following {
    /// The last followed block, after its commit.
    pub followed: watch::Receiver<Option<BlockRef>>,
    /// The chain's head, as last announced.
    pub head: watch::Receiver<Option<BlockRef>>,
    /// Groups that wait for their history, ascending.
    pub joining: watch::Receiver<Vec<GroupId>>,
    /// Up to which block an accepted history says what counted for a group.
    pub covered: watch::Receiver<HashMap<GroupId, BlockRef>>,
    /// Markers that none of the node's keys opened, since it started.
    pub unread: Arc<AtomicU64>,
    /// Why following stopped for good; `None` while it goes on, and when the whole node stops.
    pub stopped: watch::Receiver<Option<FollowingStopped>>,
    /// Changes of membership, as they are followed.
    pub events: broadcast::Sender<GroupEvent>,
    /// How healing a group went last, since the node started.
    pub healed: watch::Receiver<BTreeMap<GroupId, Healing>>,
    /// Where to ask that a history be taken over.
    pub requests: mpsc::Sender<TakeOver>,
}

/// The node follows the chain no longer, and waiting does not help. Callers are told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this node has stopped following the chain for good: {reason}; its operator must see its log and start it again"
)]
pub struct FollowingStopped {
    /// Why, in words that anybody may read.
    pub reason: String,
}

impl Following {
    /// Refuses what needs blocks that do not come any more.
    ///
    /// # Errors
    ///
    /// [`FollowingStopped`], if it has.
    pub fn check(&self) -> Result<(), FollowingStopped> {
        self.stopped.borrow().clone().map_or(Ok(()), Err)
    }

    /// Whether an accepted history says what counted for the group in this block.
    pub fn is_covered(&self, group: GroupId, block: BlockRef) -> bool {
        self.covered.borrow().get(&group).is_some_and(|until| block.number <= until.number)
    }
}

/// How it goes with a group that an operator told to heal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Healing {
    /// It is under way.
    UnderWay,
    /// The history was taken over, up to this block.
    Taken(BlockRef),
    /// It was not taken over, for this reason, in words that members may read.
    Failed(String),
}

/// A group's membership changed.
#[derive(Clone, Debug)]
pub struct GroupEvent {
    /// The group.
    pub group: GroupId,
    /// In this block.
    pub block: BlockRef,
    /// Before it.
    pub before: Arc<GroupFacts>,
    /// After it.
    pub after: Arc<GroupFacts>,
}

/// Asks the follower to take over a group's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakeOver {
    /// The group.
    pub group: GroupId,
    /// Who offers it, or whom the operator names; `None`: any member.
    pub giver: Option<EnclaveKey>,
    /// The block that added us, as the offer says; `None` when the operator asked, so that a group
    /// in good order is replaced too.
    pub added: Option<BlockRef>,
}
