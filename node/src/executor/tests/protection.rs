//! Public accounts can be read and called, and never changed.

use super::*;

const FORWARDER: Address = at_const(0xf0);
const PUBLIC: Address = at_const(0xb0);

const fn at_const(byte: u8) -> Address {
    Address::repeat_byte(byte)
}

fn forwarder() -> GenesisAccount {
    contract(FORWARDER, 100, FORWARD)
}

/// Calls the public contract through a private one: success, length and first word of its answer.
fn forwarded(code: &str, value: u64) -> (Execution, Scene) {
    let mut scene = Scene::new(vec![forwarder()], Public::default().with(PUBLIC, code));
    let execution = scene.call(FORWARDER, forward(PUBLIC, value));
    (execution, scene)
}

#[test]
fn a_public_contract_that_writes_reverts_without_data_and_its_caller_goes_on() {
    for code in [
        "01 PUSH0 SSTORE STOP",
        "01 PUSH0 TSTORE STOP",
        "PUSH0 PUSH0 PUSH0 CREATE STOP",
        "PUSH0 PUSH0 PUSH0 PUSH0 CREATE2 STOP",
        "CALLER SELFDESTRUCT",
    ] {
        let (execution, mut scene) = forwarded(code, 0);
        assert_eq!(execution.reason, Reason::Executed, "{code}");
        assert_eq!(words(&execution.output), [U256::ZERO; 3], "{code}");
        let direct = scene.call(PUBLIC, []);
        assert_eq!(
            (direct.reason, direct.revert),
            (Reason::Reverted, Some(Bytes::new())),
            "{code}"
        );
        assert_eq!(scene.nonce(USER), 1, "only the first one counted");
        assert!(scene.snapshot().account(PUBLIC).unwrap().is_none());
    }
}

#[test]
fn a_refused_frame_keeps_its_gas() {
    let metered = "GAS PUSH0 PUSH0 PUSH0 PUSH0 PUSH0 PUSH0 CALLDATALOAD GAS CALL POP GAS SWAP1 SUB PUSH0 MSTORE 20 PUSH0 RETURN";
    let public = Public::default().with(PUBLIC, "01 PUSH0 SSTORE STOP");
    let mut scene = Scene::new(vec![contract(FORWARDER, 0, metered)], public);
    let spent = number(&scene.call(FORWARDER, forward(PUBLIC, 0)));
    assert!(spent < 100_000, "{spent}");
}

#[test]
fn a_public_contract_is_read_with_its_own_storage_and_may_log() {
    let code = format!("PUSH0 PUSH0 LOG0 05 SLOAD {RETURN_TOP}");
    let mut public = Public::default().with(PUBLIC, &code);
    public.slots.insert((PUBLIC, U256::from(5)), U256::from(77));
    let mut scene = Scene::new(vec![forwarder()], public);
    let execution = scene.call(FORWARDER, forward(PUBLIC, 0));
    assert_eq!(words(&execution.output), [U256::ONE, U256::from(32), U256::from(77)]);
    assert_eq!(execution.logs.iter().map(|log| log.address).collect::<Vec<_>>(), [PUBLIC]);
    assert_eq!(scene.asked, [PublicRead::Account(PUBLIC), PublicRead::Slot(PUBLIC, U256::from(5))]);
    assert_eq!(number(&scene.call(PUBLIC, [])), 77);
}

#[test]
fn a_public_account_may_delegate_to_code_that_reads_its_storage() {
    let mut public = Public::default().with(PUBLIC, &format!("05 SLOAD {RETURN_TOP}"));
    let delegation = [&[0xef, 0x01, 0x00][..], PUBLIC.as_slice()].concat();
    let wallet = PublicAccount { nonce: 1, balance: U256::ZERO, code: delegation.into() };
    public.accounts.insert(at(0xb1), wallet);
    public.slots.insert((at(0xb1), U256::from(5)), U256::from(78));
    let mut scene = Scene::new(vec![forwarder()], public);
    let execution = scene.call(FORWARDER, forward(at(0xb1), 0));
    assert_eq!(words(&execution.output), [U256::ONE, U256::from(32), U256::from(78)]);
}

#[test]
fn a_miss_changes_nothing() {
    let code = format!("01 PUSH0 SSTORE PUSH0 CALLDATALOAD BALANCE {RETURN_TOP}");
    let public = Public::default().with(PUBLIC, "STOP");
    let mut scene = Scene::new(vec![contract(FORWARDER, 0, &code)], public);
    let facts = scene.facts();
    let call = transaction(0, TxKind::Call(FORWARDER), PUBLIC.into_word());
    let prepared = prepared(USER, facts.version, call);
    for _ in 0..2 {
        let missed = scene.execution.execute(&prepared, &scene.reads);
        assert!(matches!(missed, Err(Fault::Missing(PublicRead::Account(PUBLIC)))));
        assert_eq!(scene.nonce(USER), 0);
    }
    assert_eq!(number(&scene.execute(&prepared)), 50);
    assert_eq!(scene.nonce(USER), 1);
}

#[test]
fn value_neither_goes_to_nor_comes_from_public_accounts() {
    let (execution, scene) = forwarded("STOP", 1);
    assert_eq!(words(&execution.output), [U256::ZERO; 3]);
    assert_eq!(scene.snapshot().account(FORWARDER).unwrap().unwrap().balance, U256::from(100));
    // The public contract has 50 wei and tries to send one to its caller.
    let (execution, _) =
        forwarded(&format!("PUSH0 PUSH0 PUSH0 PUSH0 01 CALLER GAS CALL {RETURN_TOP}"), 0);
    assert_eq!(words(&execution.output), [U256::ONE, U256::from(32), U256::ZERO]);
}

#[test]
fn value_to_nobody_makes_a_private_account_and_no_value_makes_none() {
    let mut scene = Scene::new(vec![forwarder()], Public::default());
    for (to, value) in [(at(0x01), 3), (at(0x02), 0)] {
        assert_eq!(words(&scene.call(FORWARDER, forward(to, value)).output)[0], U256::ONE);
    }
    let snapshot = scene.snapshot();
    assert_eq!(snapshot.account(at(0x01)).unwrap().unwrap().balance, U256::from(3));
    assert_eq!(snapshot.account(at(0x02)).unwrap(), None);
}

#[test]
fn public_code_may_run_on_private_storage() {
    let delegate =
        "PUSH0 PUSH0 PUSH0 PUSH0 PUSH0 CALLDATALOAD GAS DELEGATECALL PUSH0 MSTORE 20 PUSH0 RETURN";
    let public = Public::default().with(PUBLIC, "07 PUSH0 SSTORE STOP");
    let mut scene = Scene::new(vec![contract(FORWARDER, 0, delegate)], public);
    assert_eq!(number(&scene.call(FORWARDER, PUBLIC.into_word())), 1);
    assert_eq!(scene.snapshot().storage(FORWARDER, U256::ZERO).unwrap(), U256::from(7));
}

#[test]
fn a_private_account_hides_the_public_one() {
    let public = Public::default().with(FORWARDER, &format!("99 {RETURN_TOP}"));
    let mut scene = Scene::new(vec![contract(FORWARDER, 0, &format!("11 {RETURN_TOP}"))], public);
    assert_eq!(number(&scene.call(FORWARDER, [])), 0x11);
    assert_eq!(scene.asked, []);
}

#[test]
fn the_sender_acts_as_a_private_account() {
    let mut public = Public::default().with(USER, "STOP");
    public.accounts.get_mut(&USER).unwrap().nonce = 9;
    let mut scene =
        Scene::new(vec![contract(FORWARDER, 0, &format!("CALLER BALANCE {RETURN_TOP}"))], public);
    assert_eq!(number(&scene.call(FORWARDER, [])), 0);
    assert_eq!((scene.nonce(USER), scene.asked.len()), (1, 0));
}

#[test]
fn a_contract_must_not_destroy_itself_in_favour_of_a_public_account() {
    let code = "PUSH0 CALLDATALOAD SELFDESTRUCT";
    let mut scene =
        Scene::new(vec![contract(FORWARDER, 5, code)], Public::default().with(PUBLIC, "STOP"));
    let refused = scene.call(FORWARDER, PUBLIC.into_word());
    assert_eq!((refused.reason, refused.revert), (Reason::Reverted, Some(Bytes::new())));
    assert_eq!(scene.call(FORWARDER, at(0x77).into_word()).reason, Reason::Executed);
    let snapshot = scene.snapshot();
    assert_eq!(snapshot.account(at(0x77)).unwrap().unwrap().balance, U256::from(5));
    assert!(
        snapshot.account(FORWARDER).unwrap().is_some(),
        "since Cancun the contract itself stays"
    );
}

#[test]
fn nothing_is_created_at_the_address_of_a_public_account() {
    let creates = format!("PUSH0 PUSH0 PUSH0 CREATE {RETURN_TOP}");
    let mut public = Public::default();
    let funded = PublicAccount { nonce: 0, balance: U256::from(9), code: Bytes::new() };
    public.accounts.insert(FORWARDER.create(1), funded);
    let mut scene = Scene::new(vec![contract(FORWARDER, 0, &creates)], public);
    let created = |execution: Execution| Address::from_slice(&execution.output[12..]);
    assert_eq!(created(scene.call(FORWARDER, [])), Address::ZERO);
    assert_eq!(created(scene.call(FORWARDER, [])), FORWARDER.create(2));
    let snapshot = scene.snapshot();
    assert_eq!(snapshot.account(FORWARDER.create(1)).unwrap(), None);
    assert_eq!(snapshot.account(FORWARDER).unwrap().unwrap().nonce, 3);
}

#[test]
fn precompiles_need_no_public_state() {
    let mut scene = Scene::new(vec![forwarder()], Public::default());
    let sha256 = Address::with_last_byte(2);
    let execution = scene.call(FORWARDER, forward(sha256, 0));
    assert_eq!(words(&execution.output)[..2], [U256::ONE, U256::from(32)]);
    assert_eq!(scene.call(sha256, []).output.len(), 32);
    assert_eq!(scene.asked, []);
    assert_eq!(scene.snapshot().account(sha256).unwrap(), None);
}
