//! Any sequence of calls by anybody has the outcome that the rules, written down once more in
//! Rust, give it.

use alloy_primitives::{Address, B256};
use alloy_sol_types::SolCall;
use proptest::{collection::vec, prelude::*};
use revm::primitives::hardfork::SpecId;

use super::world::{
    Answer, Management, OWNER, OldManagement, STRANGER, THIRD, World, add, add_old, key, remove,
    remove_old,
};

const MEMBERS_MAX: usize = 4;
const ACCOUNTS: [Address; 3] = [OWNER, STRANGER, THIRD];

#[derive(Clone, Debug)]
enum Call {
    Lock,
    Unlock,
    Add { keys: Vec<u8>, old: bool },
    Remove { key: u8, old: bool },
    Offer(Address),
    Accept,
}

fn account() -> impl Strategy<Value = Address> {
    // Mostly the first, so that sequences get somewhere.
    prop_oneof![6 => Just(OWNER), 1 => Just(STRANGER), 1 => Just(THIRD)]
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        3 => Just(Call::Lock),
        1 => Just(Call::Unlock),
        4 => (vec(1..6_u8, 0..4), any::<bool>()).prop_map(|(keys, old)| Call::Add { keys, old }),
        3 => (1..6_u8, any::<bool>()).prop_map(|(key, old)| Call::Remove { key, old }),
        1 => account().prop_map(Call::Offer),
        1 => Just(Call::Accept),
    ]
}

/// What the contract should hold.
#[derive(Clone, Debug, Default)]
struct Model {
    owner: Option<Address>,
    pending: Option<Address>,
    unlocked: bool,
    old: bool,
    members: Vec<B256>,
}

/// What a call should come to: nothing if it fails, else its result (if it has one) and whether
/// it changed the version.
type Outcome = Option<(Option<bool>, bool)>;

impl Model {
    fn apply(&mut self, from: Address, call: &Call) -> Outcome {
        let owned = self.owner == Some(from);
        match call {
            Call::Lock => (self.unlocked && owned).then(|| {
                self.unlocked = false;
                (None, false)
            }),
            Call::Unlock => (!self.unlocked && owned).then(|| {
                self.unlocked = true;
                (None, false)
            }),
            Call::Add { keys, old } => self.add(from, keys, *old),
            Call::Remove { key: removed, .. } => (self.unlocked && owned).then(|| {
                let place = self.members.iter().position(|member| *member == key(*removed));
                if let Some(place) = place {
                    self.members.swap_remove(place);
                }
                (Some(place.is_some()), true)
            }),
            Call::Offer(to) => owned.then(|| {
                self.pending = Some(*to);
                (None, false)
            }),
            Call::Accept => (self.pending == Some(from)).then(|| {
                self.owner = self.pending.take();
                (None, false)
            }),
        }
    }

    fn add(&mut self, from: Address, keys: &[u8], old: bool) -> Outcome {
        if self.unlocked || self.owner.is_some_and(|owner| owner != from) {
            return None;
        }
        let mut members = self.members.clone();
        let mut all = true;
        for key in keys.iter().copied().map(key) {
            if members.contains(&key) {
                all = false;
            } else {
                members.push(key);
            }
        }
        if members.len() > MEMBERS_MAX {
            return None;
        }
        if self.owner.is_none() {
            (self.owner, self.old) = (Some(from), old);
        }
        (self.members, self.unlocked) = (members, true);
        Some((Some(all), true))
    }
}

fn execute(world: &mut World, from: Address, call: &Call) -> (Answer, bool) {
    match call {
        Call::Lock => (world.send(from, &Management::lockCall {}), false),
        Call::Unlock => (world.send(from, &Management::unlockCall {}), false),
        Call::Add { keys, old } => {
            let keys: Vec<B256> = keys.iter().copied().map(key).collect();
            let answer = if *old {
                world.send(from, &add_old(&keys))
            } else {
                world.send(from, &add(&keys))
            };
            (answer, true)
        }
        Call::Remove { key: removed, old } => {
            let removed = key(*removed);
            let answer = if *old {
                world.send(from, &remove_old(removed))
            } else {
                world.send(from, &remove(removed))
            };
            (answer, true)
        }
        Call::Offer(to) => {
            (world.send(from, &Management::transferOwnershipCall { newOwner: *to }), false)
        }
        Call::Accept => (world.send(from, &Management::acceptOwnershipCall {}), false),
    }
}

fn participants(world: &World, old: bool) -> Vec<B256> {
    let answer = world.participants();
    if old {
        return OldManagement::getParticipantsCall::abi_decode_returns(&answer).expect("bytes32[]");
    }
    let keys = Management::getParticipantsCall::abi_decode_returns(&answer).expect("bytes[]");
    keys.iter().map(|key| B256::from_slice(key)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_sequence_of_calls_follows_the_rules(calls in vec((account(), call()), 1..24)) {
        let mut world = World::genesis(SpecId::PRAGUE, u32::try_from(MEMBERS_MAX)?);
        let mut model = Model::default();
        for (from, call) in calls {
            let version = world.version();
            let expected = model.apply(from, &call);
            let (answer, has_result) = execute(&mut world, from, &call);
            prop_assert_eq!(answer.success, expected.is_some(), "{:?} by {}", &call, from);
            if let Some((result, changed)) = expected {
                let returned =
                    has_result.then(|| answer.returns::<OldManagement::addParticipantsCall>());
                prop_assert_eq!(returned, result);
                prop_assert_eq!(world.version() != version, changed);
            } else {
                prop_assert_eq!(world.version(), version);
            }
            prop_assert_eq!(world.members(), model.members.clone());
            prop_assert_eq!(participants(&world, model.old), model.members.clone());
            prop_assert_eq!(world.can_execute(), model.unlocked);
            let owner = world.ask(&Management::ownerCall {});
            prop_assert_eq!(owner, model.owner.unwrap_or_default());
            for account in ACCOUNTS {
                let can_upgrade = world.ask_as(account, &Management::canUpgradeCall {});
                prop_assert_eq!(can_upgrade, model.owner == Some(account));
            }
        }
    }
}
