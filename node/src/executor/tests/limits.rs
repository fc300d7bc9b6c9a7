//! What a transaction may use up.

use super::*;

const TARGET: Address = Address::repeat_byte(0xf0);

fn with_cap(gas: u64, code: &str) -> Scene {
    let genesis_accounts = vec![contract(TARGET, 0, code)];
    Scene::with(
        NetworkDefinition { private_gas_cap: gas, genesis_accounts, ..definition() },
        Public::default(),
    )
}

#[test]
fn an_endless_loop_runs_out_of_gas_and_its_nonce_is_free_again() {
    let mut scene = with_cap(2_000_000, "01 PUSH0 SSTORE :again @again JUMP");
    let execution = scene.call(TARGET, []);
    assert_eq!((execution.reason, execution.revert.clone()), (Reason::OutOfGas, None));
    assert_eq!(scene.nonce(USER), 0);
    assert!(scene.snapshot().storage(TARGET, U256::ZERO).unwrap().is_zero());
}

#[test]
fn the_gas_is_the_cap_whatever_the_transaction_and_the_chain_say() {
    // More than a public transaction may have (EIP-7825), and no intrinsic gas is taken.
    let mut scene = with_cap(40_000_000, &format!("GAS {RETURN_TOP}"));
    assert_eq!(number(&scene.call(TARGET, vec![1; 1_000])), 40_000_000 - 2);
    let deployed = scene.send(USER, TxKind::Create, deploys(&[0; 3_000]));
    assert_eq!((deployed.reason, deployed.output.len()), (Reason::Executed, 3_000));
}

#[test]
fn memory_is_paid_for_with_gas() {
    let mut scene = with_cap(3_000_000, "01 7fffffffffffffff MSTORE STOP");
    assert_eq!(scene.call(TARGET, []).reason, Reason::OutOfGas);
}

/// Reads as many public slots of itself as the first word of the calldata says, downwards.
const READS: &str =
    "PUSH0 CALLDATALOAD :again DUP1 @more JUMPI STOP :more DUP1 SLOAD POP 01 SWAP1 SUB @again JUMP";

#[test]
fn too_many_public_reads_fail_the_transaction_also_when_all_were_fetched() {
    let definition = NetworkDefinition { public_reads_max: 5, ..definition() };
    let mut scene = Scene::with(definition, Public::default().with(at(0xb0), READS));
    let mut read = |slots: u64| scene.call(at(0xb0), word(U256::from(slots))).reason;
    // The account counts too.
    assert_eq!(read(4), Reason::Executed);
    assert_eq!(read(5), Reason::TooManyPublicReads);
    assert_eq!(read(4), Reason::Executed);
    assert_eq!(read(1_000), Reason::TooManyPublicReads);
    assert_eq!(scene.nonce(USER), 2);
    assert!(scene.asked.len() <= 15, "nothing beyond the limit is asked for: {:?}", scene.asked);
}

#[test]
fn reading_the_same_twice_counts_once() {
    let definition = NetworkDefinition { public_reads_max: 2, ..definition() };
    let twice = "PUSH0 SLOAD PUSH0 SLOAD STOP";
    let mut scene = Scene::with(definition, Public::default().with(at(0xb0), twice));
    assert_eq!(scene.call(at(0xb0), []).reason, Reason::Executed);
}

#[test]
fn calls_have_their_own_limit_of_gas() {
    let mut scene = with_cap(1_000_000, &format!("GAS {RETURN_TOP}"));
    let root = scene.next_block();
    let call = |gas_max| {
        let request = CallRequest {
            from: Address::ZERO,
            to: TARGET,
            gas_price: U256::ZERO,
            value: U256::ZERO,
            input: Bytes::new(),
            gas_max,
        };
        scene
            .executor
            .call(&scene.state.snapshot(root), &header(1), &request, &PublicReads::new())
            .unwrap()
    };
    for (gas_max, gas) in [(50_000, 50_000), (u64::MAX, 1_000_000)] {
        let want = Bytes::from(word(U256::from(gas - 2)));
        assert_eq!(call(gas_max), CallOutcome::Success(want));
    }
    assert_eq!(call(1), CallOutcome::Halt(Reason::OutOfGas));
}
