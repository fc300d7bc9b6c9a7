//! Tests of the definition: what is equal, what is valid, what is read.

use alloc::{string::String, vec, vec::Vec};

use proptest::{option, prelude::*};

use super::*;
use crate::strategies;

const HASHES: [B256; 2] = [B256::repeat_byte(1), B256::repeat_byte(2)];

fn network() -> NetworkDefinition {
    NetworkDefinition::coterie("test", 1337, HASHES)
}

fn account(byte: u8) -> GenesisAccount {
    GenesisAccount {
        address: Address::repeat_byte(byte),
        nonce: 1,
        balance: U256::ZERO,
        code: Bytes::from_static(&[0x60]),
        storage: vec![(U256::ZERO, U256::ONE), (U256::MAX, U256::MAX)],
    }
}

fn definitions() -> impl Strategy<Value = NetworkDefinition> {
    let beneficiary = option::of(strategies::address())
        .prop_map(|fixed| fixed.map_or(Beneficiary::Header, Beneficiary::Fixed));
    let forks = (0usize..7, any::<u64>()).prop_map(|(first, time)| {
        let mut forks = vec![(Fork::ALL[first], Activation::Block(0))];
        forks.extend(Fork::ALL[first + 1..].iter().map(|fork| (*fork, Activation::Time(time))));
        forks
    });
    let accounts = proptest::collection::btree_set(1u8.., 0..3)
        .prop_map(|bytes| bytes.into_iter().map(account).collect::<Vec<_>>());
    ("[a-zé]{1,32}", 1..=u64::MAX, any::<bool>(), beneficiary, forks, accounts).prop_map(
        |(name, chain_id, besu, beneficiary, forks, genesis_accounts)| {
            let mut definition = NetworkDefinition::coterie(&name, chain_id, HASHES);
            if besu {
                definition.rules = Rules::Besu;
                definition.private_gas_cap = i64::MAX.unsigned_abs();
            }
            NetworkDefinition { beneficiary, forks, genesis_accounts, ..definition }
        },
    )
}

#[test]
fn every_field_but_the_schedule_changes_the_hash_and_is_named() {
    type Change = fn(&mut NetworkDefinition);
    let changes: [(&str, Change); 9] = [
        ("name", |it| it.name = String::from("other")),
        ("rules", |it| it.rules = Rules::Besu),
        ("chain_id", |it| it.chain_id += 1),
        ("private_gas_cap", |it| it.private_gas_cap += 1),
        ("public_reads_max", |it| it.public_reads_max += 1),
        ("members_max", |it| it.members_max += 1),
        ("beneficiary", |it| it.beneficiary = Beneficiary::Fixed(Address::ZERO)),
        ("management_code_hashes", |it| it.management_code_hashes.reverse()),
        ("genesis_accounts", |it| it.genesis_accounts.push(account(5))),
    ];
    assert_eq!(network().differs(&network(), 0, 0), None);
    for (field, change) in changes {
        let mut other = network();
        change(&mut other);
        assert_eq!(network().differs(&other, 0, 0), Some(field));
        assert_ne!(network().hash(), other.hash(), "{field}");
    }
}

#[test]
fn a_planned_fork_changes_no_group_until_it_is_active() {
    let mut planned = network();
    planned.forks.push((Fork::Osaka, Activation::Time(1000)));
    assert_eq!(network().hash(), planned.hash());
    assert_eq!(network().differs(&planned, 50, 999), None);
    assert!(network().plans_differ(&planned));
    assert_eq!(network().differs(&planned, 50, 1000), Some("forks"));
    assert_eq!(planned.fork_at(50, 999), Fork::Prague);
    assert_eq!(planned.fork_at(50, 1000), Fork::Osaka);
    // Both active, but since another block.
    let mut later = network();
    later.forks.push((Fork::Osaka, Activation::Time(1001)));
    assert_eq!(later.differs(&planned, 50, 2000), Some("forks"));
}

#[test]
fn rules_and_forks_are_named_as_they_are_written() {
    for rules in [Rules::Coterie, Rules::Besu] {
        assert_eq!(rules.name().parse(), Ok(rules));
    }
    for fork in Fork::ALL {
        assert_eq!(fork.name().parse(), Ok(fork));
    }
    assert_eq!("Prague".parse::<Fork>(), Err(UnknownName::Fork));
    assert_eq!("".parse::<Rules>(), Err(UnknownName::Rules));
}

#[test]
fn what_cannot_be_used_is_refused() {
    type Change = fn(&mut NetworkDefinition);
    let changes: [(InvalidDefinition, Change); 15] = [
        (InvalidDefinition::Name, |it| it.name.clear()),
        (InvalidDefinition::Name, |it| it.name = String::from("a\nb")),
        (InvalidDefinition::ChainId, |it| it.chain_id = 0),
        (InvalidDefinition::PrivateGasCap, |it| it.private_gas_cap = 1_000_000),
        (InvalidDefinition::PrivateGasCap, |it| it.private_gas_cap = u64::MAX),
        (InvalidDefinition::BesuGas, |it| it.rules = Rules::Besu),
        (InvalidDefinition::PublicReadsMax, |it| it.public_reads_max = 0),
        (InvalidDefinition::MembersMax, |it| it.members_max = 0),
        (InvalidDefinition::MembersMax, |it| it.members_max = u32::MAX),
        (InvalidDefinition::ReservedAddress(Address::ZERO), |it| {
            it.genesis_accounts = vec![account(0)];
        }),
        (InvalidDefinition::AccountOrder(Address::repeat_byte(1)), |it| {
            it.genesis_accounts = vec![account(1), account(1)];
        }),
        (InvalidDefinition::SlotOrder(Address::repeat_byte(1)), |it| {
            it.genesis_accounts = vec![account(1)];
            it.genesis_accounts[0].storage.reverse();
        }),
        (InvalidDefinition::ZeroSlot(Address::repeat_byte(1)), |it| {
            it.genesis_accounts = vec![account(1)];
            it.genesis_accounts[0].storage[0].1 = U256::ZERO;
        }),
        (InvalidDefinition::FirstFork, |it| {
            it.forks = vec![(Fork::Prague, Activation::Block(1))];
        }),
        (InvalidDefinition::ForkOrder, |it| {
            it.forks.push((Fork::Cancun, Activation::Block(5)));
        }),
    ];
    assert_eq!(network().validate(), Ok(()));
    for (error, change) in changes {
        let mut definition = network();
        change(&mut definition);
        assert_eq!(definition.validate(), Err(error.clone()));
        let decoded = NetworkDefinition::decode(&definition.encode());
        assert_eq!(decoded, Err(DefinitionDecodeError::Invalid(error)));
    }
}

#[test]
fn other_formats_and_huge_inputs_are_told_apart() {
    let huge = vec![0; DEFINITION_BYTES_MAX + 1];
    assert_eq!(
        NetworkDefinition::decode(&huge),
        Err(DefinitionDecodeError::TooLarge(DEFINITION_BYTES_MAX + 1))
    );
    assert_eq!(NetworkDefinition::decode(&[0xc1, 2]), Err(DefinitionDecodeError::Format(2)));
    let followed = [network().encode(), vec![0]].concat();
    assert_eq!(NetworkDefinition::decode(&followed), Err(DefinitionDecodeError::Surplus));
}

proptest! {
    #![proptest_config(strategies::config(128))]

    #[test]
    fn what_is_encoded_is_decoded(definition in definitions()) {
        prop_assert_eq!(definition.validate(), Ok(()));
        prop_assert_eq!(NetworkDefinition::decode(&definition.encode()), Ok(definition));
    }

    #[test]
    fn what_is_decoded_is_encoded(
        bytes in strategies::nearly(definitions().prop_map(|definition| definition.encode()))
    ) {
        if let Ok(definition) = NetworkDefinition::decode(&bytes) {
            prop_assert_eq!(definition.encode(), bytes);
        }
    }

    #[test]
    fn the_fork_is_one_of_the_schedule(definition in definitions(), block in any::<u64>(), time in any::<u64>()) {
        let fork = definition.fork_at(block, time);
        prop_assert!(definition.forks.iter().any(|(scheduled, _)| *scheduled == fork));
    }
}
