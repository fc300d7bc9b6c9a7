//! Replacing the management contract: what an upgrade keeps, and what is refused because the
//! group would end with it.

use alloy_primitives::{Address, B256, Bytes, U256, address};
use alloy_sol_types::{SolCall as _, sol};
use coterie_core::{contracts::PROXY_RUNTIME, management::MANAGEMENT_PROXY};
use revm::{
    primitives::hardfork::SpecId,
    state::{AccountInfo, Bytecode},
};

use super::world::{
    Answer, DEFAULT, DEFINITION, Management, OWNER, STRANGER, World, add, key, remove,
};
use crate::artifacts::{creation_code, implementation};

sol! {
    interface Counting {
        function memberCount() returns (uint256);
    }
    interface Fleeting {
        function destroy();
    }
}

const LOCK: Management::lockCall = Management::lockCall {};
const NO_CODE: &str = "The new management contract has no code of its own.";
const NO_ANSWER: &str = "The new management contract does not answer as one.";

fn upgrade(world: &mut World, from: Address, to: Address) -> Answer {
    world.send(from, &Management::upgradeToCall { implementation: to })
}

/// Puts runtime code at an address.
fn place(world: &mut World, at: Address, code: Bytes) {
    let info = AccountInfo { nonce: 1, ..AccountInfo::from_bytecode(Bytecode::new_raw(code)) };
    world.db.insert_account_info(at, info);
}

#[test]
fn an_upgrade_keeps_owner_members_version_and_lock() {
    for mut world in [World::group(&[key(1), key(2)]), World::old_group(&[key(1), key(2)])] {
        let before = (world.participants(), world.members(), world.version());
        let new = world.deploy(implementation("CountingManagement"));
        let answer = upgrade(&mut world, OWNER, new);
        assert!(answer.success, "{answer:?}");
        let events = answer.events::<Management::Upgraded>();
        assert_eq!(events.iter().map(|event| event.implementation).collect::<Vec<_>>(), [new]);

        assert_eq!(world.ask(&Management::implementationCall {}), new);
        assert_eq!((world.participants(), world.members(), world.version()), before);
        assert!(world.can_execute());
        assert_eq!(world.ask(&Management::ownerCall {}), OWNER);
        assert_eq!(world.ask(&Management::definitionCall {}), DEFINITION);
        assert_eq!(world.ask(&Counting::memberCountCall {}), U256::from(2));
    }
}

#[test]
fn a_group_goes_on_after_an_upgrade_and_back() {
    let mut world = World::group(&[key(1), key(2)]);
    let new = world.deploy(implementation("CountingManagement"));
    assert!(upgrade(&mut world, OWNER, new).success);
    assert!(world.send(OWNER, &LOCK).success);
    assert!(world.send(OWNER, &add(&[key(3)])).success);
    assert!(world.send(OWNER, &remove(key(1))).success);
    assert!(upgrade(&mut world, OWNER, DEFAULT).success);
    assert_eq!(world.members(), [key(3), key(2)]);
    assert!(world.send(OWNER, &remove(key(3))).success);
    assert_eq!(world.members(), [key(2)]);
}

#[test]
fn an_empty_group_can_be_upgraded() {
    let mut world = World::group(&[]);
    let new = world.deploy(implementation("CountingManagement"));
    assert!(upgrade(&mut world, OWNER, new).success);
    assert!(world.members().is_empty());
}

#[test]
fn a_group_of_a_hundred_can_be_upgraded() {
    let keys: Vec<B256> = (1..=100).map(key).collect();
    for mut world in [World::group(&keys), World::old_group(&keys)] {
        let new = world.deploy(implementation("CountingManagement"));
        let answer = upgrade(&mut world, OWNER, new);
        assert!(answer.success && answer.gas < 2_000_000, "{answer:?}");
        assert_eq!(world.members(), keys);
    }
}

#[test]
fn a_new_contract_can_have_rules_of_its_own() {
    let mut world = World::group(&[key(1)]);
    let new = world.deploy(implementation("InvitationManagement"));
    assert!(upgrade(&mut world, OWNER, new).success);
    assert!(world.send(OWNER, &LOCK).success);
    world.send(OWNER, &add(&[key(2)])).fails_with("Not invited.");
    let invited = B256::from(U256::from(0x1234));
    assert!(world.send(OWNER, &add(&[invited])).success);
    assert_eq!(world.members(), [key(1), invited]);
}

#[test]
fn conditions_of_an_upgrade_are_checked_in_order() {
    let mut world = World::group(&[key(1)]);
    let new = world.deploy(implementation("CountingManagement"));
    let same = "The contract to upgrade to has to be different from the current management \
                contract.";
    let not_allowed = "Not allowed to upgrade the management contract.";
    upgrade(&mut world, OWNER, DEFAULT).fails_with(same);
    upgrade(&mut world, STRANGER, DEFAULT).fails_with(same);
    upgrade(&mut world, STRANGER, new).fails_with(not_allowed);
    // No address is looked at before the caller is known to be allowed.
    upgrade(&mut world, STRANGER, STRANGER).fails_with(not_allowed);
    assert!(world.send(OWNER, &LOCK).success);
    upgrade(&mut world, OWNER, new).fails_with("The contract is locked.");
    upgrade(&mut world, OWNER, DEFAULT).fails_with("The contract is locked.");
    assert_eq!(world.ask(&Management::implementationCall {}), DEFAULT);
}

#[test]
fn what_has_no_code_is_refused() {
    let mut world = World::group(&[key(1)]);
    let precompile = address!("0000000000000000000000000000000000000004");
    for account in [STRANGER, OWNER, Address::ZERO, Address::repeat_byte(0x99), precompile] {
        upgrade(&mut world, OWNER, account).fails_with(NO_CODE);
    }
    // An account with delegated code (EIP-7702), even if the delegate is a good contract.
    let new = world.deploy(implementation("CountingManagement"));
    let account = address!("a000000000000000000000000000000000000007");
    place(&mut world, account, [&[0xef, 0x01, 0x00], new.as_slice()].concat().into());
    upgrade(&mut world, OWNER, account).fails_with(NO_CODE);
    assert_eq!(world.ask(&Management::implementationCall {}), DEFAULT);
}

#[test]
fn contracts_that_do_not_answer_are_refused() {
    let mut world = World::group(&[key(1), key(2)]);
    let mut codes: Vec<(&str, Bytes)> = [
        "SilentManagement",
        "ZeroManagement",
        "RefusingManagement",
        "EndlessManagement",
        "WritingManagement",
        "OddFlagManagement",
        "LockedManagement",
        "LongVersionManagement",
        "NoVersionManagement",
        "NoUpgradeManagement",
        "ForgetfulManagement",
        "ReplacingManagement",
        "CutMembersManagement",
        "OddParticipantsManagement",
    ]
    .map(|name| (name, implementation(name)))
    .into();
    codes.push(("EventEmitter", creation_code("EventEmitter")));
    let before = (world.members(), world.version());
    for (name, code) in codes {
        let new = world.deploy(code);
        let answer = upgrade(&mut world, OWNER, new);
        assert!(!answer.success, "{name} was accepted");
        answer.fails_with(NO_ANSWER);
        assert_eq!(world.ask(&Management::implementationCall {}), DEFAULT, "{name}");
        assert_eq!((world.members(), world.version()), before, "{name}");
        assert!(world.can_execute(), "{name}");
    }
    // The group is as good as before.
    assert!(world.send(OWNER, &remove(key(1))).success);
}

#[test]
fn the_proxy_is_not_put_behind_itself() {
    let mut world = World::group(&[key(1)]);
    upgrade(&mut world, OWNER, MANAGEMENT_PROXY).fails_with(NO_ANSWER);
    // Neither is its like, which asks whatever this one asks.
    let like = address!("b000000000000000000000000000000000000001");
    place(&mut world, like, Bytes::from_static(PROXY_RUNTIME));
    upgrade(&mut world, OWNER, like).fails_with(NO_ANSWER);
    assert_eq!(world.members(), [key(1)]);
}

#[test]
fn a_management_contract_that_is_gone_is_named() {
    // Before Cancun a contract could be destroyed after its creation.
    let mut world = World::genesis(SpecId::LONDON, 10);
    assert!(world.send(OWNER, &add(&[key(1)])).success);
    let new = world.deploy(implementation("FleetingManagement"));
    assert!(upgrade(&mut world, OWNER, new).success);
    assert!(world.send_to(STRANGER, new, &Fleeting::destroyCall {}).success);
    let gone = "The management contract has no code.";
    world.send(OWNER, &LOCK).fails_with(gone);
    world.send(OWNER, &Management::membersCall {}).fails_with(gone);
}

#[test]
fn a_new_contract_called_directly_has_no_group() {
    let mut world = World::group(&[key(1)]);
    let new = world.deploy(implementation("CountingManagement"));
    assert!(upgrade(&mut world, OWNER, new).success);
    world.send_to(OWNER, new, &LOCK).fails_with("Only through the proxy.");
    world
        .send_to(OWNER, new, &Management::upgradeToCall { implementation: DEFAULT })
        .fails_silently();
    assert!(world.send(OWNER, &LOCK).success);
}

#[test]
fn the_default_contract_cannot_be_upgraded_directly() {
    let mut world = World::group(&[key(1)]);
    let call = Management::upgradeToCall { implementation: STRANGER };
    assert_eq!(call.abi_encode().len(), 36);
    world.send_to(OWNER, DEFAULT, &call).fails_silently();
}
