//! Lists of members: both ABIs, order, events, limits.

use alloy_primitives::{B256, Bytes};
use alloy_sol_types::{SolCall as _, SolValue as _};
use revm::primitives::hardfork::SpecId;

use super::world::{
    Management, OWNER, OldManagement, World, add, add_old, bytes_list, key, remove, remove_old,
};

const LOCK: Management::lockCall = Management::lockCall {};
const ADDED: &str = "Member account added successfully";
const ALREADY: &str = "Account is already a Member";

#[test]
fn selectors_are_those_that_clients_send() {
    let selectors = [
        (Management::addParticipantsCall::SELECTOR, "965a25ef"),
        (Management::removeParticipantCall::SELECTOR, "1f52a8ee"),
        (Management::getParticipantsCall::SELECTOR, "5aa68ac0"),
        (Management::lockCall::SELECTOR, "f83d08ba"),
        (Management::unlockCall::SELECTOR, "a69df4b5"),
        (Management::canExecuteCall::SELECTOR, "78b90337"),
        (Management::getVersionCall::SELECTOR, "0d8e6e2c"),
        (Management::canUpgradeCall::SELECTOR, "9738968c"),
        (Management::upgradeToCall::SELECTOR, "3659cfe6"),
        (Management::implementationCall::SELECTOR, "5c60da1b"),
        (OldManagement::addParticipantsCall::SELECTOR, "b4926e25"),
        (OldManagement::removeParticipantCall::SELECTOR, "fd017797"),
    ];
    for (selector, text) in selectors {
        assert_eq!(alloy_primitives::hex::encode(selector), text);
    }
}

#[test]
fn additions_are_reported_one_by_one() {
    let mut world = World::empty();
    let answer = world.send(OWNER, &add(&[key(1), key(1), key(2)]));
    assert!(!answer.returns::<Management::addParticipantsCall>());
    let events: Vec<_> = answer
        .events::<Management::ParticipantAdded>()
        .into_iter()
        .map(|event| (event.success, event.publicEnclaveKey, event.message))
        .collect();
    let event = |success, n, text: &str| (success, Bytes::from(key(n).to_vec()), text.to_owned());
    assert_eq!(events, [event(true, 1, ADDED), event(false, 1, ALREADY), event(true, 2, ADDED)]);
    assert_eq!(world.members(), [key(1), key(2)]);
}

#[test]
fn calls_of_the_older_abi_are_reported_in_the_older_abi() {
    let mut world = World::empty();
    let answer = world.send(OWNER, &add_old(&[key(1), key(1), key(2)]));
    assert!(!answer.returns::<OldManagement::addParticipantsCall>());
    let events: Vec<_> = answer
        .events::<OldManagement::ParticipantAdded>()
        .into_iter()
        .map(|event| (event.success, event.publicEnclaveKey, event.message))
        .collect();
    let event = |success, n, text: &str| (success, key(n), text.to_owned());
    assert_eq!(events, [event(true, 1, ADDED), event(false, 1, ALREADY), event(true, 2, ADDED)]);
    let answer = world.send(OWNER, &remove_old(key(1)));
    assert!(answer.returns::<OldManagement::removeParticipantCall>());
    let events = answer.events::<OldManagement::ParticipantRemoved>();
    assert_eq!(events.iter().map(|event| event.publicEnclaveKey).collect::<Vec<_>>(), [key(1)]);
}

#[test]
fn event_data_is_what_clients_know() {
    let topic = |text: &str| text.parse::<B256>().expect("a hash");
    let mut world = World::empty();
    let check = |log: &alloy_primitives::Log, expected: &str, data: Vec<u8>| {
        assert_eq!(log.data.topics(), [topic(expected)]);
        assert_eq!(log.data.data, Bytes::from(data));
    };
    let answer = world.send(OWNER, &add(&[key(1)]));
    check(
        &answer.logs[0],
        "1673b13ca99fc5f5d54f8ebc163339b3c03f5f661cec3f5dfe506fdbd2602de6",
        (true, Bytes::from(key(1).to_vec()), ADDED).abi_encode_params(),
    );
    let answer = world.send(OWNER, &remove(key(1)));
    check(
        &answer.logs[0],
        "52213552a930e6de0c0d7df74ece31dac1306b2c7e200ceded7a4442853189b5",
        (Bytes::from(key(1).to_vec()),).abi_encode_params(),
    );
    assert!(world.send(OWNER, &LOCK).success);
    let answer = world.send(OWNER, &add_old(&[key(1)]));
    check(
        &answer.logs[0],
        "cc7365305ae5f16c463d1383713d699f43c5548bbda5537ee61373ceb9aaf213",
        (true, key(1), ADDED).abi_encode_params(),
    );
    let answer = world.send(OWNER, &remove_old(key(1)));
    check(
        &answer.logs[0],
        "ef2df0cc0f44b5a36a7de9951ef49ba4d861649244ff89bcf7ffaa1ac7291e89",
        key(1).abi_encode(),
    );
}

#[test]
fn get_participants_answers_in_the_abi_that_created_the_group() {
    let keys = [key(1), key(2), key(3)];
    let mut new = World::group(&keys[..2]);
    let mut old = World::old_group(&keys[..2]);
    // Later calls in the other ABI change nothing about that.
    assert!(new.send(OWNER, &LOCK).success && old.send(OWNER, &LOCK).success);
    assert!(new.send(OWNER, &add_old(&keys[2..])).success);
    assert!(old.send(OWNER, &add(&keys[2..])).success);
    assert_eq!(new.participants(), Bytes::from(bytes_list(&keys).abi_encode()));
    assert_eq!(old.participants(), Bytes::from(keys.to_vec().abi_encode()));
    for world in [new, old] {
        assert_eq!(world.ask(&Management::membersCall {}), bytes_list(&keys));
    }
}

#[test]
fn both_abis_lead_to_the_same_members_and_versions() {
    let mut new = World::group(&[key(1), key(2)]);
    let mut old = World::old_group(&[key(1), key(2)]);
    assert_eq!(new.version(), old.version());
    assert!(new.send(OWNER, &remove(key(1))).success);
    assert!(old.send(OWNER, &remove_old(key(1))).success);
    assert_eq!(new.version(), old.version());
    assert_eq!(new.members(), old.members());
}

#[test]
fn the_last_member_takes_the_place_of_a_removed_one() {
    let mut world = World::group(&[key(1), key(2), key(3), key(4)]);
    let mut removes = |n: u8, left: &[u8]| {
        let answer = world.send(OWNER, &remove(key(n)));
        assert!(answer.returns::<Management::removeParticipantCall>());
        let events = answer.events::<Management::ParticipantRemoved>();
        assert_eq!(events.len(), 1);
        assert_eq!(events[0].publicEnclaveKey, Bytes::from(key(n).to_vec()));
        assert_eq!(world.members(), left.iter().copied().map(key).collect::<Vec<_>>());
    };
    removes(1, &[4, 2, 3]);
    removes(3, &[4, 2]);
    removes(4, &[2]);
    removes(2, &[]);
}

#[test]
fn removing_somebody_who_is_no_member_answers_false_without_an_event() {
    let mut world = World::group(&[key(1), key(2)]);
    for _ in 0..2 {
        let answer = world.send(OWNER, &remove(key(9)));
        assert!(!answer.returns::<Management::removeParticipantCall>());
        assert!(answer.logs.is_empty());
        let answer = world.send(OWNER, &remove_old(key(9)));
        assert!(!answer.returns::<OldManagement::removeParticipantCall>());
        assert!(answer.logs.is_empty());
    }
    assert_eq!(world.members(), [key(1), key(2)]);
}

#[test]
fn a_removed_member_can_come_back_last() {
    let mut world = World::group(&[key(1), key(2)]);
    assert!(world.send(OWNER, &remove(key(1))).success);
    assert!(world.send(OWNER, &LOCK).success);
    assert!(world.send(OWNER, &add(&[key(1)])).returns::<Management::addParticipantsCall>());
    assert_eq!(world.members(), [key(2), key(1)]);
    assert!(world.send(OWNER, &remove(key(2))).returns::<Management::removeParticipantCall>());
    assert_eq!(world.members(), [key(1)]);
}

#[test]
fn a_group_whose_last_member_left_stays_unlocked_and_empty() {
    let mut world = World::group(&[key(1)]);
    assert!(world.send(OWNER, &remove(key(1))).success);
    assert!(world.can_execute());
    assert_eq!(world.participants(), Bytes::from(Vec::<Bytes>::new().abi_encode()));
    assert!(world.send(OWNER, &LOCK).success);
    assert!(world.send(OWNER, &add(&[key(2)])).success);
    assert_eq!(world.members(), [key(2)]);
}

#[test]
fn keys_have_32_bytes() {
    let mut world = World::group(&[key(1)]);
    for length in [0, 1, 31, 33, 64, 91] {
        let odd = Bytes::from(vec![7; length]);
        let call = Management::removeParticipantCall { publicEnclaveKey: odd.clone() };
        world.send(OWNER, &call).fails_with("An enclave key has 32 bytes.");
        assert!(world.send(OWNER, &LOCK).success);
        let keys = vec![key(2).to_vec().into(), odd];
        let call = Management::addParticipantsCall { publicEnclaveKeys: keys };
        world.send(OWNER, &call).fails_with("An enclave key has 32 bytes.");
        assert!(world.send(OWNER, &Management::unlockCall {}).success);
    }
    assert_eq!(world.members(), [key(1)]);
}

#[test]
fn a_group_has_no_more_members_than_the_network_allows() {
    let refused = "Too many members for a group of this network.";
    let mut world = World::genesis(SpecId::PRAGUE, 3);
    let four = [key(1), key(2), key(3), key(4)];
    world.send(OWNER, &add(&four)).fails_with(refused);
    world.send(OWNER, &add_old(&four)).fails_with(refused);
    // A failed creation leaves no owner behind.
    assert!(world.ask(&Management::ownerCall {}).is_zero());
    assert!(world.send(OWNER, &add(&four[..3])).success);
    assert!(world.send(OWNER, &LOCK).success);
    world.send(OWNER, &add(&four[3..])).fails_with(refused);
    // A key that is a member already needs no room.
    assert!(world.send(OWNER, &add(&four[..1])).success);
    assert!(world.send(OWNER, &remove(key(1))).success);
    assert!(world.send(OWNER, &LOCK).success);
    assert!(world.send(OWNER, &add(&four[3..])).success);
    assert_eq!(world.members(), [key(3), key(2), key(4)]);
}

#[test]
fn a_hundred_members_fit() {
    let keys: Vec<B256> = (1..=100).map(key).collect();
    let mut world = World::empty();
    let answer = world.send(OWNER, &add(&keys));
    assert_eq!(answer.logs.len(), 100);
    assert!(answer.gas < 6_000_000, "{}", answer.gas);
    assert_eq!(world.members(), keys);
    assert_eq!(world.participants(), Bytes::from(bytes_list(&keys).abi_encode()));

    let answer = world.clone().send(OWNER, &Management::membersCall {});
    assert!(answer.gas < 400_000, "{}", answer.gas);
    let answer = world.send(OWNER, &remove(key(1)));
    assert!(answer.gas < 400_000, "{}", answer.gas);
    assert_eq!(world.members().len(), 99);

    let mut old = World::empty();
    assert!(old.send(OWNER, &add_old(&keys)).gas < 6_000_000);
    assert_eq!(old.participants(), Bytes::from(keys.abi_encode()));
}
