//! Who may, and which transactions are valid.

use coterie_core::{AccountKey, management::group_version};
use proptest::prelude::*;

use super::*;

const PROXY: TxKind = TxKind::Call(MANAGEMENT_PROXY);
const TARGET: TxKind = TxKind::Call(Address::repeat_byte(0xf0));

fn scene() -> Scene {
    Scene::new(vec![contract(at(0xf0), 0, "STOP")], Public::default())
}

fn add(keys: &[EnclaveKey]) -> Vec<u8> {
    ManagementCall::AddParticipants(keys.to_vec()).encode()
}

#[track_caller]
fn check(
    scene: &mut Scene,
    from: EnclaveKey,
    to: TxKind,
    input: Vec<u8>,
    version: Option<B256>,
    want: Reason,
) {
    let sender = if to == PROXY { OWNER } else { USER };
    let version = version.unwrap_or_else(|| scene.facts().version);
    let nonce = scene.nonce(sender);
    let transaction = PrivateTransaction { private_from: from, ..transaction(nonce, to, input) };
    let execution = scene.execute(&prepared(sender, version, transaction));
    assert_eq!(execution.reason, want);
    let counts = u64::from(want == Reason::Executed);
    assert_eq!(scene.nonce(sender), nonce + counts);
    if want != Reason::Executed {
        assert!(Arc::ptr_eq(&execution.before, &execution.after) && execution.logs.is_empty());
    }
}

#[test]
fn a_group_begins_with_a_member_who_adds_itself() {
    let mut scene = Scene::empty(definition(), Public::default());
    let zero = Some(B256::ZERO);
    assert_eq!(*scene.facts(), GroupFacts::before_creation());
    check(&mut scene, ALICE, TARGET, vec![], zero, Reason::Locked);
    check(&mut scene, ALICE, TxKind::Create, vec![], zero, Reason::Locked);
    check(&mut scene, ALICE, PROXY, add(&[BOB]), zero, Reason::NotAMember);
    check(&mut scene, ALICE, PROXY, add(&[ALICE]), Some(word(U256::ONE)), Reason::Version);
    check(&mut scene, ALICE, PROXY, ManagementCall::Lock.encode(), zero, Reason::NotAMember);
    assert_eq!(scene.next_block(), EMPTY_ROOT, "a group whose creation failed does not exist");
    check(&mut scene, ALICE, PROXY, add(&[BOB, ALICE]), zero, Reason::Executed);
    let facts = scene.facts();
    assert_eq!((facts.locked, &facts.members), (false, &vec![BOB, ALICE]));
    assert_ne!(scene.next_block(), EMPTY_ROOT);
    assert_eq!(scene.facts(), facts);
}

#[test]
fn an_unlocked_group_takes_everything_but_additions() {
    let mut scene = scene();
    let old = scene.facts().version;
    check(&mut scene, ALICE, TARGET, vec![], None, Reason::Executed);
    check(&mut scene, BOB, TARGET, vec![], None, Reason::NotAMember);
    check(&mut scene, ALICE, PROXY, add(&[BOB]), None, Reason::Locked);
    check(&mut scene, ALICE, PROXY, ManagementCall::Lock.encode(), None, Reason::Executed);
    check(&mut scene, ALICE, TARGET, vec![], None, Reason::Locked);
    check(&mut scene, ALICE, TxKind::Create, vec![], None, Reason::Locked);
    check(&mut scene, BOB, PROXY, add(&[BOB]), None, Reason::NotAMember);
    check(&mut scene, ALICE, PROXY, add(&[BOB]), None, Reason::Executed);
    check(&mut scene, BOB, TARGET, vec![], None, Reason::Executed);
    check(&mut scene, ALICE, TARGET, vec![], Some(old), Reason::Version);
    let remove = ManagementCall::RemoveParticipant(ALICE).encode();
    check(&mut scene, ALICE, PROXY, remove, None, Reason::Executed);
    check(&mut scene, ALICE, TARGET, vec![], None, Reason::NotAMember);
    assert_eq!(scene.facts().members, [BOB]);
}

#[test]
fn an_execution_tells_the_members_before_and_after() {
    let mut scene = scene();
    let plain = scene.call(at(0xf0), []);
    assert!(Arc::ptr_eq(&plain.before, &plain.after), "not read again");
    scene.manage(ManagementCall::Lock);
    let added = scene.manage(ManagementCall::AddParticipants(vec![BOB]));
    assert_eq!(
        (&added.before.members[..], &added.after.members[..]),
        (&[ALICE][..], &[ALICE, BOB][..])
    );
    assert_ne!(added.before.version, added.after.version);
    let failed = scene.manage(ManagementCall::Unlock);
    assert_eq!((failed.reason, &failed.before), (Reason::Reverted, &failed.after));
}

#[test]
fn the_facts_are_those_of_the_state_at_any_block() {
    let mut scene = scene();
    let facts = scene.facts();
    let root = scene.next_block();
    let ask = |scene: &Scene, root| {
        scene.executor.facts(&scene.state.snapshot(root), &header(9), &PublicReads::new()).unwrap()
    };
    assert_eq!(ask(&scene, root), facts);
    assert!(Arc::ptr_eq(&ask(&scene, root), &ask(&scene, root)), "kept by root");
    assert_eq!(*ask(&scene, EMPTY_ROOT), GroupFacts::before_creation());
    scene.manage(ManagementCall::Lock);
    let locked = scene.next_block();
    assert!(ask(&scene, locked).locked && !ask(&scene, root).locked);
}

#[test]
fn facts_are_read_again_only_where_the_management_contracts_differ() {
    let mut scene = scene();
    let unlocked = scene.next_block();
    let begin = |scene: &Scene, root, number| {
        let start = scene.state.snapshot(root);
        scene.executor.begin(GROUP, start, &header(number)).facts(&scene.reads).unwrap()
    };
    let first = scene.facts();
    scene.call(at(0xf0), []);
    let other = scene.next_block();
    assert_ne!(unlocked, other);
    assert!(Arc::ptr_eq(&scene.facts(), &first));
    scene.manage(ManagementCall::Lock);
    let locked = scene.next_block();
    // Also when the branch changes.
    for (root, want) in [(locked, true), (unlocked, false), (locked, true), (other, false)] {
        assert_eq!(begin(&scene, root, 9).locked, want);
    }
    let stranger = begin(&scene, EMPTY_ROOT, 9);
    assert_eq!(*stranger, GroupFacts::before_creation());
}

#[test]
fn a_contract_may_own_the_group_and_is_called_while_it_is_locked() {
    // Accepts ownership when called without data, else calls the proxy with the data.
    let owner = format!(
        "CALLDATASIZE PUSH0 PUSH0 CALLDATACOPY PUSH0 PUSH0 CALLDATASIZE PUSH0 PUSH0 7c GAS CALL {RETURN_TOP}"
    );
    let mut scene = Scene::new(
        vec![contract(at(0xf0), 0, &owner), contract(at(0xf1), 0, "STOP")],
        Public::default(),
    );
    assert_eq!(scene.facts().owner, None, "an account that is no contract is not named");
    scene.manage(ManagementCall::TransferOwnership(at(0xf0)));
    let call = |scene: &mut Scene, call: ManagementCall| scene.call(at(0xf0), call.encode());
    assert_eq!(number(&call(&mut scene, ManagementCall::AcceptOwnership)), 1);
    assert_eq!(scene.facts().owner, Some(at(0xf0)));
    assert_eq!(number(&call(&mut scene, ManagementCall::Lock)), 1);
    assert!(scene.facts().locked);
    assert_eq!(scene.call(at(0xf1), []).reason, Reason::Locked);
    let added = call(&mut scene, ManagementCall::AddParticipants(vec![BOB]));
    assert_eq!((number(&added), &added.after.members[..]), (1, &[ALICE, BOB][..]));
}

#[test]
fn transactions_are_validated_in_the_order_of_the_specification() {
    let mut scene = scene();
    let version = scene.facts().version;
    let mut check = |change: &dyn Fn(&mut PrivateTransaction), sender: Option<Address>, want| {
        let mut transaction = transaction(0, TARGET, []);
        change(&mut transaction);
        let prepared = Prepared { sender, ..prepared(USER, version, transaction) };
        assert_eq!(scene.execute(&prepared).reason, want);
        assert_eq!(scene.nonce(USER), u64::from(want == Reason::Executed));
    };
    let nobody = |change: &mut PrivateTransaction| {
        (change.nonce, change.value, change.chain_id) = (1, U256::ONE, Some(1));
    };
    check(&nobody, None, Reason::Value);
    check(&|it| (it.nonce, it.chain_id) = (1, Some(1)), None, Reason::ChainId);
    check(&|it| it.nonce = 1, None, Reason::Signature);
    check(&|it| it.nonce = 1, Some(USER), Reason::Nonce);
    check(&|it| it.nonce = u64::MAX, Some(USER), Reason::Nonce);
    check(&|it| it.chain_id = None, Some(USER), Reason::Executed);
}

/// Answers `canExecute()` with 1, `getVersion()` with slot 0, `owner()` with 0, and `members()` by
/// what the public contract 0xb0 answers; any other call sets slot 0 to the first word after the
/// selector.
fn replaced_management() -> GenesisAccount {
    let selector = |call: ManagementCall| alloy_primitives::hex::encode(&call.encode()[..4]);
    let source = format!(
        "PUSH0 CALLDATALOAD e0 SHR DUP1 {} EQ @yes JUMPI DUP1 {} EQ @version JUMPI DUP1 {} EQ @nobody JUMPI \
         {} EQ @members JUMPI 04 CALLDATALOAD PUSH0 SSTORE STOP \
         :yes 01 {RETURN_TOP} :version PUSH0 SLOAD {RETURN_TOP} :nobody PUSH0 {RETURN_TOP} \
         :members PUSH0 PUSH0 PUSH0 PUSH0 {} GAS STATICCALL POP \
         RETURNDATASIZE PUSH0 PUSH0 RETURNDATACOPY RETURNDATASIZE PUSH0 RETURN",
        selector(ManagementCall::CanExecute),
        selector(ManagementCall::Version),
        selector(ManagementCall::Owner),
        selector(ManagementCall::Members),
        alloy_primitives::hex::encode(at(0xb0)),
    );
    contract(MANAGEMENT_PROXY, 0, &source)
}

#[test]
fn facts_may_need_public_state_and_a_miss_undoes_the_transaction() {
    // The public contract returns what follows its first 12 bytes: the ABI encoding of one key.
    let list = coterie_core::management::encode_members(&[ALICE]);
    let answers = asm("0c CODESIZE SUB DUP1 0c PUSH0 CODECOPY PUSH0 RETURN");
    assert_eq!(answers.len(), 11);
    let code = [&answers[..], &[0], &list].concat();
    let mut public = Public::default();
    let account = PublicAccount { nonce: 1, balance: U256::ZERO, code: code.into() };
    public.accounts.insert(at(0xb0), account);
    let genesis = Genesis { accounts: vec![replaced_management()] };
    let mut scene = Scene::empty(definition(), public);
    scene.executor = Executor::new(Arc::new(definition()), genesis).unwrap();
    scene.execution = scene.executor.begin(GROUP, scene.state.snapshot(EMPTY_ROOT), &scene.header);

    let create = prepared(OWNER, B256::ZERO, transaction(0, PROXY, add(&[ALICE])));
    let missed = scene.execution.execute(&create, &scene.reads);
    assert!(
        matches!(missed, Err(Fault::Missing(PublicRead::Account(address))) if address == at(0xb0))
    );
    assert_eq!((scene.nonce(OWNER), scene.facts()), (0, Arc::new(GroupFacts::before_creation())));
    assert_eq!(scene.execute(&create).reason, Reason::Executed);
    // The first word after the selector was the offset of the list.
    let version = word(U256::from(32));
    assert_eq!(
        (&scene.facts().members[..], scene.facts().version),
        (&[ALICE][..], group_version(version, &[ALICE]))
    );
    // A version slot that changes is read again.
    let change = [&[0; 4][..], word(U256::from(5)).as_slice()].concat();
    let changed = scene.send(OWNER, PROXY, change);
    assert_eq!(changed.after.version, group_version(word(U256::from(5)), &[ALICE]));

    // Contracts that do not answer let nothing run.
    let root = scene.next_block();
    let mut reads = PublicReads::new();
    let nobody = PublicAccount { nonce: 0, balance: U256::ZERO, code: Bytes::new() };
    reads.insert(PublicRead::Account(at(0xb0)), PublicValue::Account(nobody));
    let mut execution = scene.executor.begin(GROUP, scene.state.snapshot(root), &scene.header);
    for version in [B256::ZERO, changed.after.version] {
        let attempt = prepared(OWNER, version, transaction(2, PROXY, add(&[ALICE])));
        assert_eq!(execution.execute(&attempt, &reads).unwrap().reason, Reason::Version);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn senders_are_those_that_core_recovers(key in 1..u64::MAX, hash: [u8; 32], high: bool, noise: Option<[u8; 64]>) {
        let key = AccountKey::from_slice(word(U256::from(key)).as_slice()).unwrap();
        let mut signature = key.sign_hash(&B256::from(hash)).unwrap();
        if high {
            let order = alloy_primitives::uint!(0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141_U256);
            signature = Signature::new(signature.r(), order - signature.s(), !signature.v());
        }
        if let Some(noise) = noise {
            signature = Signature::from_bytes_and_parity(&noise, high);
        }
        let transaction = transaction(0, TARGET, []);
        let signed = SignedPrivateTransaction { transaction, signature, signature_hash: hash.into() };
        let sender = recover_sender(&signed);
        prop_assert_eq!(sender, signed.recover_signer().ok());
        prop_assert!(noise.is_some() || sender == Some(key.address()));
    }
}

#[test]
fn impossible_signatures_recover_nobody() {
    for (r, s) in [(0, 0), (0, 1), (1, 0)] {
        let signature = Signature::new(U256::from(r), U256::from(s), true);
        let signed = SignedPrivateTransaction {
            transaction: transaction(0, TARGET, []),
            signature,
            signature_hash: keccak256([]),
        };
        assert_eq!((recover_sender(&signed), signed.recover_signer().ok()), (None, None));
    }
}
