//! Taking a group's history over again, when an operator asks for it.
//!
//! Refuses before it begins what cannot succeed: a giver whose node is not reached, or says that it
//! does not know the group. It does not ask for membership as it is known here: that may be what is
//! broken, and the giver's node may have the group by another of its keys. What the history is worth
//! is the follower's to judge.

use std::time::{Duration, Instant};

use alloy_primitives::Bytes;
use coterie_core::{EnclaveKey, GroupId};

use super::{
    HealError, Service, TakeOver, Tenant,
    messages::{self, GroupRequest, KnownReply},
};
use crate::enclave::AskError;

/// Between two looks whether the giver's node was found.
const GIVER_PAUSE: Duration = Duration::from_millis(100);

impl Service {
    /// Takes a group's history over again from another member: for a node that lost payloads.
    /// Returns when the request was accepted; the log and the group's status tell how it ends.
    ///
    /// # Errors
    ///
    /// When it is known already that nobody would give it.
    pub async fn heal(
        &self,
        _tenant: &Tenant,
        group: GroupId,
        giver: Option<EnclaveKey>,
    ) -> Result<(), HealError> {
        self.view.following.check()?;
        match &giver {
            Some(giver) => self.check_giver(group, giver).await?,
            None => self.check_members(group).await?,
        }
        let request = TakeOver { group, giver, added: None };
        self.view.following.requests.send(request).await.map_err(|_| HealError::Stopping)
    }

    /// Refuses a giver that is this node, or whose node does not know the group. One that is no
    /// member as this node knows the group is warned of only.
    async fn check_giver(&self, group: GroupId, giver: &EnclaveKey) -> Result<(), HealError> {
        if self.view.enclave.holds(giver) {
            return Err(HealError::OwnKey(giver.clone()));
        }
        let reply = self.ask_giver(group, giver).await?;
        if messages::decode::<KnownReply>(&reply).is_ok_and(|reply| !reply.known) {
            return Err(HealError::GroupUnknownToGiver { group, key: giver.clone() });
        }
        let known_here = self.members(group).await?;
        if known_here.is_some_and(|members| !members.contains(giver)) {
            tracing::warn!(
                %group, %giver,
                "a history is asked of a key that is no member of the group as this node knows it"
            );
        }
        Ok(())
    }

    /// Asks the giver's node whether it knows the group. A node that has just started may not have
    /// found it yet.
    async fn ask_giver(&self, group: GroupId, giver: &EnclaveKey) -> Result<Bytes, AskError> {
        let request = messages::encode(&GroupRequest { group: group.0 });
        let me = self.default_tenant().key;
        let started = Instant::now();
        loop {
            let asked = self.view.enclave.ask(&me, giver, messages::KNOWN, request.clone()).await;
            match asked {
                Err(AskError::UnknownPeer(_)) if started.elapsed() < self.options.giver_wait => {
                    tokio::time::sleep(GIVER_PAUSE).await;
                }
                answered => return answered,
            }
        }
    }

    /// Whether the members that this node knows can be asked.
    async fn check_members(&self, group: GroupId) -> Result<(), HealError> {
        // Whom it waits for is the follower's to know.
        if self.view.is_joining(group) {
            return Ok(());
        }
        if self.view.group_at_head(group)?.is_none() {
            return Err(HealError::GroupUnknown(group));
        }
        let is_own = |key: &EnclaveKey| self.view.enclave.holds(key);
        match self.members(group).await? {
            Some(members) if members.iter().all(is_own) => Err(HealError::NobodyToAsk(group)),
            Some(_) | None => Ok(()),
        }
    }

    /// The members as this node knows them; `None` when it cannot tell.
    async fn members(&self, group: GroupId) -> Result<Option<Vec<EnclaveKey>>, HealError> {
        let Some(view) = self.view.group_at_head(group)? else { return Ok(None) };
        // What is broken may be the very state that is to be healed.
        let facts = self.view.facts(&view).await;
        Ok(facts.ok().map(|facts| facts.members.clone()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use alloy_primitives::B256;
    use tokio::sync::watch;

    use super::{
        super::{ServiceOptions, read::tests::service_of},
        *,
    };
    use crate::{
        state::{State, StateOptions},
        store::MemoryStore,
    };

    const GROUP: GroupId = GroupId(B256::repeat_byte(7));

    #[tokio::test]
    async fn a_giver_that_cannot_give_is_refused_at_once() {
        let state = State::open(Arc::new(MemoryStore::new()), StateOptions::default()).unwrap();
        let followed = watch::Sender::new(None);
        let options = ServiceOptions { giver_wait: GIVER_PAUSE, ..ServiceOptions::default() };
        let service = service_of(state, &followed, options).await;
        let tenant = service.default_tenant();
        let heal = async |giver| service.heal(&tenant, GROUP, giver).await.unwrap_err();
        assert!(matches!(heal(None).await, HealError::GroupUnknown(GROUP)));
        let own = heal(Some(tenant.key.clone())).await;
        assert!(matches!(&own, HealError::OwnKey(key) if *key == tenant.key), "{own}");
        let stranger = EnclaveKey::Nacl([9; 32]);
        let unknown = heal(Some(stranger.clone())).await;
        let HealError::Ask(AskError::UnknownPeer(key)) = &unknown else { panic!("{unknown}") };
        assert_eq!(*key, stranger);
    }
}
