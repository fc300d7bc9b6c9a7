//! The same group on every fork that a network definition can name: what the contracts do must not
//! depend on it, nor on the block.

use alloy_primitives::{B256, Bytes};
use revm::primitives::hardfork::SpecId;

use super::world::{
    Answer, Management, OWNER, STRANGER, World, add, add_old, key, remove, remove_old,
};
use crate::artifacts::implementation;

/// A group's life; what it came to, without the gas.
fn life(spec: SpecId, delay_blocks: u64) -> (Vec<(bool, Bytes, usize)>, Vec<B256>, B256) {
    let mut world = World::genesis(spec, 10);
    let mut answers: Vec<Answer> = Vec::new();
    for _ in 0..delay_blocks {
        assert!(world.send(STRANGER, &Management::canExecuteCall {}).success);
    }
    answers.push(world.send(OWNER, &add_old(&[key(1), key(2)])));
    answers.push(world.send(OWNER, &Management::getParticipantsCall {}));
    answers.push(world.send(STRANGER, &Management::lockCall {}));
    answers.push(world.send(OWNER, &Management::lockCall {}));
    answers.push(world.send(OWNER, &add(&[key(2), key(3)])));
    let new = world.deploy(implementation("CountingManagement"));
    answers.push(world.send(OWNER, &Management::upgradeToCall { implementation: new }));
    answers.push(world.send(OWNER, &remove(key(1))));
    answers.push(world.send(OWNER, &remove_old(key(1))));
    answers.push(world.send(OWNER, &Management::transferOwnershipCall { newOwner: STRANGER }));
    answers.push(world.send(STRANGER, &Management::acceptOwnershipCall {}));
    let outcomes = answers
        .into_iter()
        .map(|answer| (answer.success, answer.output, answer.logs.len()))
        .collect();
    (outcomes, world.members(), world.version())
}

#[test]
fn a_group_has_the_same_life_on_every_fork_and_at_every_height() {
    let expected = life(SpecId::PRAGUE, 0);
    assert_eq!(expected.1, [key(3), key(2)]);
    assert_eq!(expected.0.iter().filter(|(success, ..)| *success).count(), 9);
    for spec in [
        SpecId::BERLIN,
        SpecId::LONDON,
        SpecId::MERGE,
        SpecId::SHANGHAI,
        SpecId::CANCUN,
        SpecId::PRAGUE,
        SpecId::OSAKA,
    ] {
        assert_eq!(life(spec, 0), expected, "{spec:?}");
    }
    assert_eq!(life(SpecId::PRAGUE, 7), expected);
}
