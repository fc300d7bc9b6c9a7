//! Who may change a group: handing it over, to a key and to a contract, and who must not get it.

use alloy_primitives::Address;
use alloy_sol_types::SolCall;
use coterie_core::management::MANAGEMENT_PROXY;

use super::world::{
    Council, Forwarder, Management, NOT_OWNER, OWNER, STRANGER, THIRD, World, add, key, remove,
};
use crate::artifacts::{creation_code, implementation};

const LOCK: Management::lockCall = Management::lockCall {};
const ACCEPT: Management::acceptOwnershipCall = Management::acceptOwnershipCall {};
const NOT_PENDING: &str = "Origin not the pending owner.";

const fn offer(to: Address) -> Management::transferOwnershipCall {
    Management::transferOwnershipCall { newOwner: to }
}

/// A call of the proxy through a [`Forwarder`].
fn forward<C: SolCall>(call: &C) -> Forwarder::forwardCall {
    Forwarder::forwardCall { target: MANAGEMENT_PROXY, data: call.abi_encode().into() }
}

/// A vote for a call of the proxy.
fn vote<C: SolCall>(call: &C) -> Council::voteCall {
    Council::voteCall { target: MANAGEMENT_PROXY, data: call.abi_encode().into() }
}

#[test]
fn ownership_passes_in_two_steps() {
    let mut world = World::group(&[key(1)]);
    let version = world.version();
    let answer = world.send(OWNER, &offer(STRANGER));
    let events = answer.events::<Management::OwnershipTransferStarted>();
    assert_eq!((events[0].previousOwner, events[0].newOwner), (OWNER, STRANGER));
    assert_eq!(world.ask(&Management::pendingOwnerCall {}), STRANGER);
    // An offer gives nothing yet.
    assert_eq!(world.ask(&Management::ownerCall {}), OWNER);
    world.send(STRANGER, &LOCK).fails_with(NOT_OWNER);
    world.send(THIRD, &ACCEPT).fails_with(NOT_PENDING);
    world.send(OWNER, &ACCEPT).fails_with(NOT_PENDING);

    let answer = world.send(STRANGER, &ACCEPT);
    let events = answer.events::<Management::OwnershipTransferred>();
    assert_eq!((events[0].previousOwner, events[0].newOwner), (OWNER, STRANGER));
    assert_eq!(world.ask(&Management::ownerCall {}), STRANGER);
    assert!(world.ask(&Management::pendingOwnerCall {}).is_zero());
    world.send(OWNER, &LOCK).fails_with(NOT_OWNER);
    world.send(OWNER, &offer(OWNER)).fails_with(NOT_OWNER);
    world.send(STRANGER, &ACCEPT).fails_with(NOT_PENDING);
    assert!(world.send(STRANGER, &LOCK).success);
    assert!(world.send(STRANGER, &add(&[key(2)])).success);
    assert_ne!(world.version(), version);
}

#[test]
fn ownership_changes_neither_members_nor_version_nor_lock() {
    let mut world = World::group(&[key(1), key(2)]);
    assert!(world.send(OWNER, &LOCK).success);
    let (members, version) = (world.members(), world.version());
    assert!(world.send(OWNER, &offer(STRANGER)).success);
    assert!(world.send(STRANGER, &ACCEPT).success);
    assert_eq!((world.members(), world.version()), (members, version));
    assert!(!world.can_execute());
}

#[test]
fn an_offer_can_be_replaced_and_withdrawn() {
    let mut world = World::group(&[key(1)]);
    assert!(world.send(OWNER, &offer(STRANGER)).success);
    assert!(world.send(OWNER, &offer(THIRD)).success);
    world.send(STRANGER, &ACCEPT).fails_with(NOT_PENDING);
    assert!(world.send(OWNER, &offer(Address::ZERO)).success);
    world.send(THIRD, &ACCEPT).fails_with(NOT_PENDING);
    assert_eq!(world.ask(&Management::ownerCall {}), OWNER);
}

#[test]
fn only_the_owner_offers() {
    let mut world = World::group(&[key(1)]);
    world.send(STRANGER, &offer(STRANGER)).fails_with(NOT_OWNER);
}

#[test]
fn a_contract_that_the_owner_calls_is_not_the_owner() {
    let mut world = World::group(&[key(1), key(2)]);
    let trap = world.deploy(creation_code("Forwarder"));
    let new = world.deploy(implementation("CountingManagement"));
    let upgrade = Management::upgradeToCall { implementation: new };
    world.send_to(OWNER, trap, &forward(&LOCK)).fails_with(NOT_OWNER);
    world.send_to(OWNER, trap, &forward(&remove(key(2)))).fails_with(NOT_OWNER);
    world.send_to(OWNER, trap, &forward(&offer(trap))).fails_with(NOT_OWNER);
    world
        .send_to(OWNER, trap, &forward(&upgrade))
        .fails_with("Not allowed to upgrade the management contract.");
    assert!(world.send(OWNER, &LOCK).success);
    world.send_to(OWNER, trap, &forward(&add(&[key(3)]))).fails_with(NOT_OWNER);
    world.send_to(OWNER, trap, &forward(&Management::unlockCall {})).fails_with(NOT_OWNER);
    assert_eq!(world.members(), [key(1), key(2)]);
}

#[test]
fn a_council_of_two_of_three_can_own_a_group() {
    let mut world = World::group(&[key(1)]);
    let council = world.deploy_council(&[OWNER, STRANGER, THIRD], 2);
    assert!(world.send(OWNER, &offer(council)).success);
    assert!(!world.send_to(OWNER, council, &vote(&ACCEPT)).returns::<Council::voteCall>());
    assert_eq!(world.ask(&Management::ownerCall {}), OWNER);
    assert!(world.send_to(STRANGER, council, &vote(&ACCEPT)).returns::<Council::voteCall>());
    assert_eq!(world.ask(&Management::ownerCall {}), council);

    // None of the voters can act alone any more.
    for voter in [OWNER, STRANGER, THIRD] {
        world.send(voter, &LOCK).fails_with(NOT_OWNER);
    }
    let mut decide = |first: Address, second: Address, call: Council::voteCall| {
        assert!(!world.send_to(first, council, &call).returns::<Council::voteCall>());
        assert!(world.send_to(second, council, &call).returns::<Council::voteCall>());
    };
    decide(OWNER, THIRD, vote(&LOCK));
    decide(THIRD, STRANGER, vote(&add(&[key(2)])));
    decide(STRANGER, OWNER, vote(&remove(key(1))));
    assert_eq!(world.members(), [key(2)]);
}

#[test]
fn a_council_can_upgrade_and_hand_back() {
    let mut world = World::group(&[key(1)]);
    let council = world.deploy_council(&[STRANGER], 1);
    let new = world.deploy(implementation("CountingManagement"));
    let upgrade = Management::upgradeToCall { implementation: new };
    assert!(world.send(OWNER, &offer(council)).success);
    assert!(world.send_to(STRANGER, council, &vote(&ACCEPT)).success);
    world.send(OWNER, &upgrade).fails_with("Not allowed to upgrade the management contract.");
    assert!(world.send_to(STRANGER, council, &vote(&upgrade)).success);
    assert_eq!(world.ask(&Management::implementationCall {}), new);
    assert!(world.send_to(STRANGER, council, &vote(&offer(OWNER))).success);
    assert!(world.send(OWNER, &ACCEPT).success);
    assert!(world.send(OWNER, &LOCK).success);
}
