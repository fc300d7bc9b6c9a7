//! What private code sees and does: environment, creation, destruction, order, calls.

use coterie_core::contract_address;

use super::*;

const TARGET: Address = Address::repeat_byte(0xf0);

#[test]
fn the_environment_is_the_public_blocks() {
    for (opcode, want) in [
        ("NUMBER", U256::from(1)),
        ("TIMESTAMP", U256::from(1_700_000_001u64)),
        ("COINBASE", at(0xc0).into_word().into()),
        ("PREVRANDAO", B256::repeat_byte(0x3a).into()),
        ("GASLIMIT", U256::from(30_000_000)),
        ("BASEFEE", U256::from(7)),
        ("CHAINID", U256::from(1337)),
        ("GASPRICE", U256::from(1_000)),
        ("CALLER", USER.into_word().into()),
        ("ADDRESS", TARGET.into_word().into()),
        ("SELFBALANCE", U256::from(4)),
    ] {
        let mut scene = Scene::new(
            vec![contract(TARGET, 4, &format!("{opcode} {RETURN_TOP}"))],
            Public::default(),
        );
        assert_eq!(words(&scene.call(TARGET, []).output), [want], "{opcode}");
        assert_eq!(scene.asked, [], "{opcode}");
    }
}

#[test]
fn the_beneficiary_can_be_fixed_and_gas_prices_have_256_bits() {
    let code = "COINBASE PUSH0 MSTORE GASPRICE 20 MSTORE 40 PUSH0 RETURN";
    let genesis_accounts = vec![contract(TARGET, 0, code)];
    let beneficiary = coterie_core::definition::Beneficiary::Fixed(at(0xfe));
    let definition = NetworkDefinition { genesis_accounts, beneficiary, ..definition() };
    let mut scene = Scene::with(definition, Public::default());
    let version = scene.facts().version;
    let call =
        PrivateTransaction { gas_price: U256::MAX, ..transaction(0, TxKind::Call(TARGET), []) };
    let execution = scene.execute(&prepared(USER, version, call));
    assert_eq!(words(&execution.output), [at(0xfe).into_word().into(), U256::MAX]);
}

#[test]
fn the_fork_is_that_of_the_block() {
    let genesis_accounts = vec![contract(TARGET, 0, &format!("PUSH0 {RETURN_TOP}"))];
    let forks = vec![
        (Fork::London, Activation::Block(0)),
        (Fork::Shanghai, Activation::Time(1_700_000_002)),
    ];
    let code_hashes = contracts::CODE_HASHES;
    let definition = NetworkDefinition {
        genesis_accounts,
        forks,
        ..NetworkDefinition::coterie("test", 1337, code_hashes)
    };
    let definition = NetworkDefinition { private_gas_cap: 1_000_000, ..definition };
    let executor = Executor::new(Arc::new(definition.clone()), Genesis::of(&definition)).unwrap();
    let state = State::open(Arc::new(MemoryStore::new()), StateOptions::default()).unwrap();
    let create = ManagementCall::AddParticipants(vec![ALICE]).encode();
    let create =
        prepared(OWNER, B256::ZERO, transaction(0, TxKind::Call(MANAGEMENT_PROXY), create));
    let mut execution = executor.begin(GROUP, state.snapshot(EMPTY_ROOT), &header(2));
    assert_eq!(execution.execute(&create, &PublicReads::new()).unwrap().reason, Reason::Executed);
    let snapshot = state.snapshot(EMPTY_ROOT).apply(&execution.finish()).unwrap();
    let request = CallRequest {
        from: USER,
        to: TARGET,
        gas_price: U256::ZERO,
        value: U256::ZERO,
        input: Bytes::new(),
        gas_max: 100_000,
    };
    let call =
        |number| executor.call(&snapshot, &header(number), &request, &PublicReads::new()).unwrap();
    // PUSH0 exists since Shanghai.
    assert_eq!(call(1), CallOutcome::Halt(Reason::Reverted));
    assert_eq!(call(2), CallOutcome::Success(Bytes::from(B256::ZERO)));
}

#[test]
fn the_parents_hash_is_known_and_older_ones_are_public_reads() {
    let code = format!("PUSH0 CALLDATALOAD NUMBER SUB BLOCKHASH {RETURN_TOP}");
    let mut scene = Scene::new(vec![contract(TARGET, 0, &code)], Public::default());
    scene.header = header(1);
    for _ in 0..4 {
        scene.next_block();
    }
    let mut hash = |back: u64| number(&scene.call(TARGET, word(U256::from(back))));
    assert_eq!([hash(1), hash(2), hash(0), hash(400)], [4, 3, 0, 0]);
    assert_eq!(scene.asked, [PublicRead::BlockHash(3)]);
}

#[test]
fn created_contracts_have_the_groups_address_and_their_children_ordinary_ones() {
    let mut scene = Scene::new(Vec::new(), Public::default());
    let runtime = asm(
        "PUSH0 PUSH0 PUSH0 CREATE PUSH0 MSTORE 07 PUSH0 PUSH0 PUSH0 CREATE2 20 MSTORE 40 PUSH0 RETURN",
    );
    let made = scene.send(USER, TxKind::Create, deploys(&runtime));
    let address = contract_address(USER, 0, GROUP);
    assert_eq!(
        (made.reason, made.contract, &made.output),
        (Reason::Executed, Some(address), &runtime)
    );
    assert_eq!(scene.asked, [PublicRead::Account(address)]);
    let children = scene.call(address, []);
    let create2 = address.create2(word(U256::from(7)), keccak256([]));
    assert_eq!(children.output, [address.create(1).into_word(), create2.into_word()].concat());
    assert_eq!(scene.nonce(USER), 2);

    let failing = scene.send(USER, TxKind::Create, asm("PUSH0 PUSH0 REVERT"));
    assert_eq!(
        (failing.reason, failing.contract),
        (Reason::Reverted, Some(contract_address(USER, 2, GROUP)))
    );
    assert_eq!(scene.nonce(USER), 2);
    let snapshot = scene.snapshot();
    let account = snapshot.account(address).unwrap().unwrap();
    assert_eq!((account.nonce, snapshot.code(account.code_hash).unwrap()), (3, runtime));
    assert_eq!(snapshot.account(address.create(1)).unwrap().unwrap().nonce, 1);
}

#[test]
fn a_failed_frame_undoes_itself_and_no_more() {
    let inner = "02 PUSH0 SSTORE PUSH0 PUSH0 LOG0 PUSH0 PUSH0 REVERT";
    let outer = "01 PUSH0 SSTORE PUSH0 PUSH0 LOG0 PUSH0 PUSH0 PUSH0 PUSH0 PUSH0 PUSH0 CALLDATALOAD GAS CALL 03 01 SSTORE STOP";
    let mut scene = Scene::new(
        vec![contract(TARGET, 0, outer), contract(at(0xf1), 0, inner)],
        Public::default(),
    );
    let execution = scene.call(TARGET, at(0xf1).into_word());
    assert_eq!((execution.reason, execution.logs.len()), (Reason::Executed, 1));
    let failed = scene.call(at(0xf1), []);
    assert_eq!(
        (failed.reason, failed.logs.len(), failed.revert),
        (Reason::Reverted, 0, Some(Bytes::new()))
    );
    let snapshot = scene.snapshot();
    assert_eq!(snapshot.storage(TARGET, U256::ZERO).unwrap(), U256::ONE);
    assert_eq!(snapshot.storage(TARGET, U256::ONE).unwrap(), U256::from(3));
    assert_eq!(snapshot.storage(at(0xf1), U256::ZERO).unwrap(), U256::ZERO);
}

#[test]
fn a_contract_that_is_created_and_destroyed_in_one_transaction_leaves_nothing() {
    let mut scene = Scene::new(Vec::new(), Public::default());
    let made = scene.send(USER, TxKind::Create, asm("01 PUSH0 SSTORE CALLER SELFDESTRUCT"));
    assert_eq!(made.reason, Reason::Executed);
    assert_eq!(scene.snapshot().account(made.contract.unwrap()).unwrap(), None);
}

#[test]
fn before_cancun_a_destroyed_contract_can_come_back_with_empty_storage() {
    // The factory makes, by CREATE2, a contract that stores its first argument or destroys itself.
    let child =
        asm("PUSH0 CALLDATALOAD DUP1 @store JUMPI CALLER SELFDESTRUCT :store DUP1 SSTORE STOP");
    let init = deploys(&child);
    let factory = format!(
        "CALLDATASIZE PUSH0 PUSH0 CALLDATACOPY PUSH0 CALLDATASIZE PUSH0 PUSH0 CREATE2 {RETURN_TOP}"
    );
    let forks = vec![(Fork::Shanghai, Activation::Block(0))];
    let genesis_accounts = vec![contract(TARGET, 0, &factory)];
    // Whether a block ends after the contract was used, and after it was destroyed.
    for (first, second) in [(false, false), (false, true), (true, false), (true, true)] {
        let definition = NetworkDefinition {
            forks: forks.clone(),
            genesis_accounts: genesis_accounts.clone(),
            ..definition()
        };
        let mut scene = Scene::with(definition, Public::default());
        let next = |scene: &mut Scene, ends: bool| ends.then(|| scene.next_block());
        let address = Address::from_slice(&scene.call(TARGET, init.clone()).output[12..]);
        scene.call(address, word(U256::from(5)));
        next(&mut scene, first);
        assert_eq!(scene.call(address, word(U256::ZERO)).reason, Reason::Executed);
        next(&mut scene, second);
        assert_eq!(scene.call(address, word(U256::from(6))).output.len(), 0, "nobody there");
        assert_eq!(Address::from_slice(&scene.call(TARGET, init.clone()).output[12..]), address);
        scene.call(address, word(U256::from(7)));
        let snapshot = scene.snapshot();
        let slot = |slot: u64| snapshot.storage(address, U256::from(slot)).unwrap().to::<u64>();
        assert_eq!([slot(5), slot(6), slot(7)], [0, 0, 7]);
    }
}

#[test]
fn the_same_transactions_give_the_same_root_however_blocks_and_reads_come() {
    let code = "PUSH0 CALLDATALOAD DUP1 BALANCE SWAP1 SSTORE CALLER CALLER SSTORE STOP";
    let run = |prefetched: bool, split: bool| {
        let public =
            (0..40).fold(Public::default(), |public, byte| public.with(at(byte + 0x80), "STOP"));
        let accounts =
            (0..9).map(|byte| contract(at(0xe0 + byte), u64::from(byte), code)).collect();
        let mut scene = Scene::new(accounts, public);
        for byte in (0..40u8).rev().filter(|_| prefetched) {
            let read = PublicRead::Account(at(byte + 0x80));
            scene.reads.insert(read, scene.public.answer(read));
        }
        for byte in 0..40u8 {
            let sender = at(0x10 + byte % 7);
            let to = TxKind::Call(at(0xe0 + byte % 9));
            assert_eq!(
                scene.send(sender, to, at(byte + 0x80).into_word()).reason,
                Reason::Executed
            );
            if split && byte % 11 == 0 {
                scene.next_block();
            }
        }
        scene.next_block()
    };
    let root = run(false, false);
    assert_eq!([run(false, false), run(true, false), run(false, true)], [root; 3]);
}

#[test]
fn calls_see_private_over_public_state_and_change_nothing() {
    let public = Public::default().with(at(0xb0), &format!("42 {RETURN_TOP}"));
    let counter = "PUSH0 SLOAD 01 ADD DUP1 PUSH0 SSTORE PUSH0 MSTORE 20 PUSH0 RETURN";
    let reverter = "aabbccdd PUSH0 MSTORE 04 1c REVERT";
    let accounts = vec![
        contract(TARGET, 0, counter),
        contract(at(0xf1), 0, reverter),
        contract(at(0xf2), 0, "INVALID"),
    ];
    let mut scene = Scene::new(accounts, public.clone());
    let root = scene.next_block();
    let mut reads = PublicReads::new();
    let mut call = |root, to| {
        let request = CallRequest {
            from: Address::ZERO,
            to,
            gas_price: U256::ZERO,
            value: U256::ZERO,
            input: Bytes::new(),
            gas_max: u64::MAX,
        };
        loop {
            match scene.executor.call(&scene.state.snapshot(root), &header(1), &request, &reads) {
                Err(Fault::Missing(read)) => reads.insert(read, public.answer(read)),
                outcome => return outcome.unwrap(),
            }
        }
    };
    let answer = |value: u64| CallOutcome::Success(Bytes::from(word(U256::from(value))));
    assert_eq!([call(root, TARGET), call(root, TARGET)], [answer(1), answer(1)]);
    assert_eq!(
        call(root, at(0xf1)),
        CallOutcome::Revert(Bytes::from_static(&[0xaa, 0xbb, 0xcc, 0xdd]))
    );
    assert_eq!(call(root, at(0xf2)), CallOutcome::Halt(Reason::Reverted));
    assert_eq!(call(root, at(0xb0)), answer(0x42));
    // An unknown group has an empty private state.
    assert_eq!(call(EMPTY_ROOT, at(0xb0)), answer(0x42));
    assert_eq!(call(EMPTY_ROOT, MANAGEMENT_PROXY), CallOutcome::Success(Bytes::new()));
}

#[test]
fn executions_move_between_threads() {
    fn check<T: Send>() {}
    check::<(GroupExecution, Snapshot, Executor, PublicReads, Fault)>();
}

#[test]
fn besus_rules_are_refused_when_the_node_starts() {
    let definition =
        NetworkDefinition { rules: coterie_core::definition::Rules::Besu, ..definition() };
    let refused = Executor::new(Arc::new(definition), Genesis::default());
    assert_eq!(refused.unwrap_err(), UnsupportedDefinition::BesuRules);
}
