//! Creating, locking, adding, removing: C1 to C9 of `spec/protocol.md` 14.4 and section 4.3.

use alloy_primitives::{B256, Bytes, TxKind, U256, keccak256};
use alloy_sol_types::{SolCall as _, SolValue as _};
use coterie_core::management::MANAGEMENT_PROXY;

use super::world::{
    Answer, DEFAULT, DEFINITION, Management, NOT_OWNER, OWNER, STRANGER, World, add, add_old, key,
    remove, remove_old,
};

const LOCK: Management::lockCall = Management::lockCall {};
const UNLOCK: Management::unlockCall = Management::unlockCall {};

#[test]
fn a_new_group_is_locked_without_owner_version_or_members() {
    let world = World::empty();
    assert!(!world.can_execute());
    assert_eq!(world.version(), B256::ZERO);
    assert!(world.members().is_empty());
    assert!(world.ask(&Management::ownerCall {}).is_zero());
    assert!(world.ask(&Management::pendingOwnerCall {}).is_zero());
    assert!(!world.ask_as(OWNER, &Management::canUpgradeCall {}));
    assert_eq!(world.ask(&Management::implementationCall {}), DEFAULT);
    assert_eq!(world.ask(&Management::definitionCall {}), DEFINITION);
    assert_eq!(world.ask(&Management::membersMaxCall {}), U256::from(1_000));
}

#[test]
fn nothing_but_adding_works_before_creation() {
    let mut world = World::empty();
    world.send(OWNER, &LOCK).fails_silently();
    world.send(OWNER, &remove(key(1))).fails_silently();
    world.send(OWNER, &remove_old(key(1))).fails_silently();
    world.send(OWNER, &UNLOCK).fails_with(NOT_OWNER);
    world
        .send(OWNER, &Management::transferOwnershipCall { newOwner: STRANGER })
        .fails_with(NOT_OWNER);
    world
        .send(OWNER, &Management::acceptOwnershipCall {})
        .fails_with("Origin not the pending owner.");
    world
        .send(OWNER, &Management::upgradeToCall { implementation: STRANGER })
        .fails_with("The contract is locked.");
}

#[test]
fn the_first_addition_creates_an_unlocked_group_owned_by_the_caller() {
    let mut world = World::empty();
    assert!(
        world.send(OWNER, &add(&[key(1), key(2)])).returns::<Management::addParticipantsCall>()
    );
    assert_eq!(world.members(), [key(1), key(2)]);
    assert!(world.can_execute());
    assert_eq!(world.ask(&Management::ownerCall {}), OWNER);
    assert!(world.ask_as(OWNER, &Management::canUpgradeCall {}));
    assert!(!world.ask_as(STRANGER, &Management::canUpgradeCall {}));
}

#[test]
fn a_group_can_be_created_without_members() {
    let mut world = World::empty();
    assert!(world.send(OWNER, &add(&[])).returns::<Management::addParticipantsCall>());
    assert!(world.members().is_empty());
    assert!(world.can_execute());
    assert_ne!(world.version(), B256::ZERO);
}

#[test]
fn members_can_be_added_again_only_after_a_lock() {
    let mut world = World::group(&[key(1), key(3)]);
    world.send(OWNER, &add(&[key(2)])).fails_silently();
    world.send(OWNER, &add_old(&[key(2)])).fails_silently();
    assert!(world.send(OWNER, &LOCK).success);
    assert!(!world.can_execute());
    assert!(world.send(OWNER, &add(&[key(2)])).success);
    assert_eq!(world.members(), [key(1), key(3), key(2)]);
    assert!(world.can_execute());
}

#[test]
fn a_group_cannot_be_locked_or_unlocked_twice() {
    let mut world = World::group(&[key(1)]);
    world.send(OWNER, &UNLOCK).fails_silently();
    assert!(world.send(OWNER, &LOCK).success);
    world.send(OWNER, &LOCK).fails_silently();
    assert!(world.send(OWNER, &UNLOCK).success);
    assert!(world.can_execute());
}

#[test]
fn a_locked_group_removes_nobody() {
    let mut world = World::group(&[key(1), key(2)]);
    assert!(world.send(OWNER, &LOCK).success);
    world.send(OWNER, &remove(key(1))).fails_silently();
    world.send(OWNER, &remove_old(key(1))).fails_silently();
}

#[test]
fn only_the_owner_changes_a_group() {
    let mut world = World::group(&[key(1)]);
    world.send(STRANGER, &LOCK).fails_with(NOT_OWNER);
    world.send(STRANGER, &remove(key(1))).fails_with(NOT_OWNER);
    world.send(STRANGER, &remove_old(key(1))).fails_with(NOT_OWNER);
    assert!(world.send(OWNER, &LOCK).success);
    world.send(STRANGER, &UNLOCK).fails_with(NOT_OWNER);
    world.send(STRANGER, &add(&[key(2)])).fails_with(NOT_OWNER);
    world.send(STRANGER, &add_old(&[key(2)])).fails_with(NOT_OWNER);
    assert_eq!(world.members(), [key(1)]);
}

#[test]
fn the_state_of_the_lock_is_judged_before_the_owner() {
    let mut world = World::group(&[key(1)]);
    world.send(STRANGER, &UNLOCK).fails_silently();
    world.send(STRANGER, &add(&[key(2)])).fails_silently();
    assert!(world.send(OWNER, &LOCK).success);
    world.send(STRANGER, &LOCK).fails_silently();
    world.send(STRANGER, &remove(key(1))).fails_silently();
}

#[test]
fn the_version_changes_with_every_membership_change_and_with_nothing_else() {
    let mut world = World::empty();
    let mut versions = vec![world.version()];
    let mut changes = |world: &mut World, answer: Answer| {
        assert!(answer.success);
        let version = world.version();
        assert!(!versions.contains(&version), "{versions:?}");
        versions.push(version);
    };
    let answer = world.send(OWNER, &add(&[key(1), key(2)]));
    changes(&mut world, answer);
    let before = world.version();
    assert!(world.send(OWNER, &LOCK).success);
    assert!(world.send(OWNER, &UNLOCK).success);
    assert!(world.send(OWNER, &LOCK).success);
    assert_eq!(world.version(), before);
    let answer = world.send(OWNER, &add(&[key(3)]));
    changes(&mut world, answer);
    let answer = world.send(OWNER, &remove(key(3)));
    changes(&mut world, answer);
    // Not a member: no change of the members, but of the version.
    for _ in 0..2 {
        let answer = world.send(OWNER, &remove(key(9)));
        changes(&mut world, answer);
    }
    // Back at the first members, but not at the first version.
    assert_eq!(world.members(), [key(1), key(2)]);
    // Nothing added.
    assert!(world.send(OWNER, &LOCK).success);
    let answer = world.send(OWNER, &add(&[key(1)]));
    changes(&mut world, answer);
}

#[test]
fn the_version_is_the_hash_of_the_previous_one_the_members_and_the_definition() {
    let expected = |previous: B256, members: &[B256]| {
        keccak256((previous, members.to_vec(), DEFINITION).abi_encode_params())
    };
    let mut world = World::group(&[key(1), key(2)]);
    let first = expected(B256::ZERO, &[key(1), key(2)]);
    assert_eq!(world.version(), first);
    assert!(world.send(OWNER, &remove(key(1))).success);
    assert_eq!(world.version(), expected(first, &[key(2)]));
}

#[test]
fn the_default_contract_refuses_to_be_called_directly() {
    let mut world = World::group(&[key(1)]);
    let before = world.clone();
    let refused = "Only through the proxy.";
    world.send_to(OWNER, DEFAULT, &add(&[key(2)])).fails_with(refused);
    world.send_to(OWNER, DEFAULT, &add_old(&[key(2)])).fails_with(refused);
    world.send_to(OWNER, DEFAULT, &remove(key(1))).fails_with(refused);
    world.send_to(OWNER, DEFAULT, &LOCK).fails_with(refused);
    world.send_to(OWNER, DEFAULT, &UNLOCK).fails_with(refused);
    world.send_to(OWNER, DEFAULT, &Management::membersCall {}).fails_with(refused);
    world.send_to(OWNER, DEFAULT, &Management::acceptOwnershipCall {}).fails_with(refused);
    assert_eq!(world.members(), before.members());
    assert_eq!(world.version(), before.version());
    let own = world.db.load_account(DEFAULT).expect("never fails");
    assert!(own.storage.values().all(|value| value.is_zero()));
}

#[test]
fn calls_that_no_function_answers_fail_silently() {
    let mut world = World::group(&[key(1)]);
    let to = TxKind::Call(MANAGEMENT_PROXY);
    for data in ["0x", "0x00", "0x965a25", "0xdeadbeef", "0xf744b089"] {
        let data: Bytes = data.parse().expect("hex");
        world.send_raw(OWNER, to, data).fails_silently();
    }
    // The right function with arguments that are none.
    let mut cut = add(&[key(2)]).abi_encode();
    cut.truncate(50);
    assert!(world.send(OWNER, &LOCK).success);
    world.send_raw(OWNER, to, cut.into()).fails_silently();
}

#[test]
fn no_function_takes_value() {
    let mut world = World::empty();
    let mut account = world.db.load_account(OWNER).expect("never fails").info.clone();
    account.balance = U256::from(1);
    world.db.insert_account_info(OWNER, account);
    let to = TxKind::Call(MANAGEMENT_PROXY);
    for data in [add(&[key(1)]).abi_encode(), Management::implementationCall {}.abi_encode()] {
        world.execute(OWNER, to, data.into(), U256::from(1)).fails_silently();
    }
}
