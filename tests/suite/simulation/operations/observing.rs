//! Private transactions whose result depends on the public chain.

use coterie_core::contract_address;
use rand::{
    Rng as _,
    seq::{IndexedRandom as _, IteratorRandom as _},
};

use super::{ACCOUNTS, Event, Simulation};
use crate::simulation::{public::PublicState, transactions::Action};

impl Simulation {
    /// Lets an observer look at the public chain; deploys one first.
    pub(super) async fn observe(&mut self) {
        let Some((group, from)) = self.group_and_member() else { return };
        let observer = self.groups[group].observers.choose(&mut self.random).copied();
        let account = ACCOUNTS.choose(&mut self.random).unwrap_or(ACCOUNTS.start);
        let Some(mut draft) = self.draft(group, from, account) else { return };
        let Some(observer) = observer.filter(|_| self.random.random_bool(0.9)) else {
            let account = self.world.account(account).address();
            let observer = contract_address(account, draft.nonce, draft.group);
            self.groups[group].observers.push(observer);
            draft.action = Action::DeployObserver;
            self.note(format!("{from} deploys an observer in {}", draft.group));
            return self.send_as_it_comes(&draft).await;
        };
        let looks = PublicState::looks(self.world.head().at.number + 1);
        let Some(look) = looks.choose(&mut self.random).copied() else { return };
        self.happened(Event::Observe);
        draft.action = Action::Observe(observer, look);
        self.note(format!("{from} observes {look:?} in {}", draft.group));
        self.send_as_it_comes(&draft).await;
    }
}
