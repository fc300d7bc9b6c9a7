//! Who belongs to a group: by its owner, or through the contract that owns it.

use coterie_core::{EnclaveKey, contract_address};
use coterie_node::service::SendError;
use rand::{Rng as _, seq::IteratorRandom as _};

use super::{ACCOUNTS, Event, Simulation};
use crate::simulation::{
    transactions::Action,
    world::{Draft, Sealed},
};

impl Simulation {
    /// Makes a contract the owner of a group: then anybody can use it.
    pub(super) async fn hand_over(&mut self) {
        let Some((group, from)) = self.group_and_member() else { return };
        let owner = self.groups[group].owner;
        let Some(facts) = self.world.members[from].node().facts(self.groups[group].id) else {
            return;
        };
        let Some(mut draft) = self.draft(group, from, owner) else { return };
        if facts.owner.is_some() || facts.locked {
            return self.change_members().await;
        }
        self.happened(Event::HandOver);
        let account = self.world.account(owner).address();
        let contract = contract_address(account, draft.nonce, draft.group);
        self.note(format!("{from} hands {} over to {contract}", draft.group));
        let accept = Action::Through(contract, vec![Action::Accept]);
        for action in [Action::DeployForwarder, Action::Offer(contract), accept] {
            draft.action = action;
            draft.signer = self.signer(from);
            self.send_as_it_comes(&draft).await;
            draft.nonce += 1;
        }
    }

    /// Adds or removes a member, or locks or unlocks.
    pub(super) async fn change_members(&mut self) {
        let Some((group, from)) = self.group_and_member() else { return };
        let Some(facts) = self.world.members[from].node().facts(self.groups[group].id) else {
            return;
        };
        // Now and then somebody who may not.
        let allowed = self.random.random_bool(0.9);
        let account = match (facts.owner, allowed) {
            (Some(_), true) => ACCOUNTS.choose(&mut self.random).unwrap_or(ACCOUNTS.start),
            (Some(_), false) | (None, true) => self.groups[group].owner,
            (None, false) => ACCOUNTS.start,
        };
        let contract = facts.owner.filter(|_| allowed);
        let manage = |actions: Vec<Action>| match contract {
            Some(contract) => Action::Through(contract, actions),
            None => actions.into_iter().next().unwrap_or(Action::Lock),
        };
        let Some(mut draft) = self.draft(group, from, account) else { return };
        if facts.locked && self.random.random_bool(0.5) {
            draft.action = manage(vec![Action::Unlock]);
            self.note(format!("{from} unlocks {}", draft.group));
            return self.send_as_it_comes(&draft).await;
        }
        let outside = self.playing_keys().into_iter().filter(|key| !facts.members.contains(key));
        let added = outside.choose(&mut self.random);
        if let Some(added) = added.filter(|_| facts.locked || self.random.random_bool(0.7)) {
            self.add(group, draft, added, (facts.locked, &manage)).await;
        } else if !facts.locked && facts.members.len() > 1 {
            let others = facts.members.iter().filter(|key| **key != draft.key);
            let Some(key) = others.choose(&mut self.random).cloned() else { return };
            self.groups[group].removed.insert(key.clone());
            let number = self.world.member_of(&key);
            let member = &self.world.members[number];
            let keys = facts.members.iter().filter(|key| member.holds(key)).count();
            if keys > 1 {
                self.happened(Event::KeyRemoved);
            }
            if contract.is_some() {
                self.happened(Event::RemoveThrough);
            }
            draft.action = manage(vec![Action::Remove(key)]);
            self.note(format!("{from} removes {number} from {}, {keys} keys", draft.group));
            self.send_as_it_comes(&draft).await;
        }
    }

    async fn add(
        &mut self,
        group: usize,
        mut draft: Draft,
        added: EnclaveKey,
        (locked, manage): (bool, &impl Fn(Vec<Action>) -> Action),
    ) {
        let number = self.world.member_of(&added);
        let addition = Action::Add(vec![added.clone()]);
        let at_once = manage(vec![Action::Lock, addition.clone()]);
        let through = matches!(at_once, Action::Through(..));
        if through && !locked && self.random.random_bool(0.5) {
            draft.action = at_once;
        } else {
            if !locked {
                draft.action = manage(vec![Action::Lock]);
                self.note(format!("{} locks {}", draft.from, draft.group));
                self.send_as_it_comes(&draft).await;
                draft.nonce += 1;
                if self.random.random_bool(0.3) {
                    self.mine().await;
                    self.follow().await;
                }
            }
            draft.action = manage(vec![addition]);
        }
        if through {
            self.happened(Event::AddThrough);
        }
        let member = &self.world.members[number];
        if draft.to.iter().any(|key| member.holds(key)) {
            self.happened(Event::TwoKeys);
        }
        draft.to.push(added.clone());
        self.note(format!("{} adds {number} to {}: {:?}", draft.from, draft.group, draft.action));
        self.send_as_it_comes(&draft).await;
        if self.groups[group].removed.contains(&added) {
            self.happened(Event::Rejoin);
        }
    }

    /// Seals a transaction. For a call of a contract the sender's node does it, which must find out
    /// whom the contract will add.
    pub(super) async fn seal(&mut self, draft: &Draft) -> Sealed {
        let Action::Through(_, actions) = &draft.action else {
            return self.world.seal(draft).await;
        };
        // A node that has just started sends nothing.
        if self.world.members[draft.from].node().view.followed().is_none() {
            return self.world.seal(draft).await;
        }
        let sealed = match self.world.distribute(draft).await {
            Ok(sealed) => sealed,
            // The key was removed since the transaction was drafted: only a changed node sends it.
            Err(SendError::NotAMember(_) | SendError::Joining(_) | SendError::GroupUnknown(_)) => {
                return self.world.seal(draft).await;
            }
            Err(error) => panic!("not sent: {error}"),
        };
        let node = self.world.members[draft.from].node();
        let facts = node.facts(draft.group).expect("a known group");
        let account = self.world.account(draft.account).address();
        // As far as it has followed.
        let adds = draft.nonce == node.nonce(draft.group, account)
            && facts.locked != (actions.first() == Some(&Action::Lock));
        for key in draft.action.added() {
            let number = self.world.member_of(&key);
            let member = &self.world.members[number];
            let known = number == draft.from || member.among(&facts.members).is_some();
            let receives = sealed.envelopes.iter().any(|(to, _)| *to == number);
            if !known {
                assert_eq!(receives, adds, "whether {number} receives what adds it");
                if adds {
                    self.happened(Event::Recipient);
                }
            }
        }
        sealed
    }
}
