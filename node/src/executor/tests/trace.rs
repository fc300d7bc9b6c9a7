//! What a recording of frames tells, and what a transaction would use.

use coterie_core::contract_address;

use super::*;

const TARGET: Address = Address::repeat_byte(0xf0);
const OTHER: Address = Address::repeat_byte(0xf1);

/// Calls the address in the first word of the calldata by this instruction, and stops.
fn calls(instruction: &str, value: &str) -> String {
    format!("PUSH0 PUSH0 PUSH0 PUSH0 {value} PUSH0 CALLDATALOAD GAS {instruction} STOP")
}

impl Scene {
    /// Executes what will be valid, with its frames.
    fn trace(&mut self, to: TxKind, input: impl Into<Bytes>) -> (Execution, Vec<TraceFrame>) {
        let (facts, nonce) = (self.facts(), self.nonce(USER));
        let prepared = prepared(USER, facts.version, transaction(nonce, to, input));
        loop {
            match self.execution.trace(&prepared, &self.reads, TraceLimits::default()) {
                Ok((execution, frames)) => return (execution, frames.unwrap()),
                Err(Fault::Missing(read)) => self.fetch(read),
                Err(fault) => panic!("{fault}"),
            }
        }
    }
}

fn place(frame: &TraceFrame) -> (&[u32], u32) {
    (&frame.place, frame.subtraces)
}

#[test]
fn every_kind_of_call_names_who_calls_whom() {
    for (instruction, value, want) in [
        ("CALL", "PUSH0", CallKind::Call),
        ("DELEGATECALL", "", CallKind::DelegateCall),
        ("STATICCALL", "", CallKind::StaticCall),
    ] {
        let accounts =
            vec![contract(TARGET, 0, &calls(instruction, value)), contract(OTHER, 0, "STOP")];
        let mut scene = Scene::new(accounts, Public::default());
        let (execution, frames) = scene.trace(TxKind::Call(TARGET), OTHER.into_word());
        assert_eq!(execution.reason, Reason::Executed, "{instruction}");
        let [outer, inner] = &frames[..] else { panic!("{frames:?}") };
        let TraceAction::Call { kind, from, to, gas, .. } = &outer.action else { panic!() };
        assert_eq!((*kind, *from, *to, *gas), (CallKind::Call, USER, TARGET, 30_000_000));
        let TraceAction::Call { kind, from, to, .. } = &inner.action else { panic!() };
        assert_eq!((*kind, *from, *to), (want, TARGET, OTHER));
        assert_eq!((place(outer), place(inner)), ((&[][..], 1), (&[0][..], 0)));
        assert_eq!(inner.end, TraceEnd::Returned(Bytes::new()));
        assert!(outer.gas_used > inner.gas_used, "{frames:?}");
    }
}

#[test]
fn failures_below_are_told_with_their_reason() {
    for (code, want) in [
        ("aabb PUSH0 MSTORE 02 1e REVERT", TraceEnd::Reverted(Bytes::from_static(&[0xaa, 0xbb]))),
        ("INVALID", TraceEnd::Failed(TraceFailure::BadInstruction)),
        ("PUSH0 JUMP", TraceEnd::Failed(TraceFailure::BadJump)),
        ("POP", TraceEnd::Failed(TraceFailure::StackUnderflow)),
        (":a @a JUMP", TraceEnd::Failed(TraceFailure::OutOfGas)),
        (":a PUSH0 @a JUMP", TraceEnd::Failed(TraceFailure::StackOverflow)),
    ] {
        let accounts = vec![contract(TARGET, 0, &calls("CALL", "PUSH0")), contract(OTHER, 0, code)];
        let mut scene = Scene::new(accounts, Public::default());
        let (execution, frames) = scene.trace(TxKind::Call(TARGET), OTHER.into_word());
        assert_eq!((execution.reason, frames.len()), (Reason::Executed, 2), "{code}");
        assert_eq!(frames[1].end, want, "{code}");
        let TraceAction::Call { gas, .. } = frames[1].action else { panic!() };
        assert_eq!(frames[1].gas_used == gas, !matches!(want, TraceEnd::Reverted(_)), "{code}");
    }
}

#[test]
fn creations_and_destructions_are_frames() {
    let child = asm("CALLER SELFDESTRUCT");
    let (execution, frames) =
        Scene::new(Vec::new(), Public::default()).trace(TxKind::Create, child.clone());
    let address = contract_address(USER, 0, GROUP);
    assert_eq!(execution.contract, Some(address));
    let [creation, destruction] = &frames[..] else { panic!("{frames:?}") };
    assert_eq!(creation.end, TraceEnd::Created(address, Bytes::new()));
    let TraceAction::Create { from, init, .. } = &creation.action else { panic!() };
    assert_eq!((*from, init), (USER, &child));
    let want = TraceAction::Destroy { address, balance: U256::ZERO, beneficiary: USER };
    assert_eq!((&destruction.action, &destruction.end), (&want, &TraceEnd::Destroyed));
    assert_eq!(place(destruction), (&[0][..], 0));
}

#[test]
fn precompiles_are_left_out_below_and_told_on_top() {
    let identity = Address::with_last_byte(4);
    let code = format!("{} ", calls("CALL", "PUSH0").replace("STOP", "POP"));
    let twice = format!("{code} PUSH0 PUSH0 PUSH0 PUSH0 PUSH0 {} GAS CALL STOP", "f1".repeat(20));
    let accounts = vec![contract(TARGET, 0, &twice), contract(OTHER, 0, "STOP")];
    let mut scene = Scene::new(accounts, Public::default());
    let (_, frames) = scene.trace(TxKind::Call(TARGET), identity.into_word());
    let places: Vec<_> = frames.iter().map(place).collect();
    assert_eq!(places, [(&[][..], 1), (&[0][..], 0)]);
    let TraceAction::Call { to, .. } = frames[1].action else { panic!() };
    assert_eq!(to, OTHER);
    let (_, frames) = scene.trace(TxKind::Call(identity), [1, 2]);
    assert_eq!(frames[0].end, TraceEnd::Returned(Bytes::from_static(&[1, 2])));
}

#[test]
fn a_change_of_public_state_shows_as_a_reverted_frame() {
    let public = Public::default().with(at(0xb0), "01 PUSH0 SSTORE STOP");
    let accounts = vec![contract(TARGET, 5, &calls("CALL", "PUSH0")), contract(OTHER, 5, FORWARD)];
    let mut scene = Scene::new(accounts, public);
    let (_, frames) = scene.trace(TxKind::Call(TARGET), at(0xb0).into_word());
    assert_eq!(frames[1].end, TraceEnd::Reverted(Bytes::new()));
    // Value to a public account: the frame ends before it begins.
    let (_, frames) = scene.trace(TxKind::Call(OTHER), forward(at(0xb0), 1));
    assert_eq!((frames.len(), &frames[1].end), (2, &TraceEnd::Reverted(Bytes::new())));
}

#[test]
fn tracing_changes_nothing_about_the_outcome() {
    let accounts = || {
        vec![
            contract(TARGET, 0, &calls("CALL", "PUSH0")),
            contract(OTHER, 0, "01 PUSH0 SSTORE STOP"),
        ]
    };
    let mut plain = Scene::new(accounts(), Public::default());
    let mut traced = Scene::new(accounts(), Public::default());
    let want = plain.call(TARGET, OTHER.into_word());
    assert_eq!(traced.trace(TxKind::Call(TARGET), OTHER.into_word()).0, want);
    assert_eq!(traced.next_block(), plain.next_block());
}

#[test]
fn what_is_not_executed_has_no_frames() {
    let mut scene = Scene::new(Vec::new(), Public::default());
    let version = scene.facts().version;
    let prepared = prepared(USER, version, transaction(9, TxKind::Call(TARGET), []));
    let (execution, frames) =
        scene.execution.trace(&prepared, &scene.reads, TraceLimits::default()).unwrap();
    assert_eq!((execution.reason, frames), (Reason::Nonce, Some(Vec::new())));
}

#[test]
fn a_recording_has_limits() {
    let code = ":again PUSH0 PUSH0 PUSH0 PUSH0 PUSH0 PUSH0 CALLDATALOAD 01f4 CALL POP GAS 2710 LT @again JUMPI STOP";
    let accounts = || vec![contract(TARGET, 0, code), contract(OTHER, 0, "STOP")];
    let limits = TraceLimits::default();
    for (limits, fits) in [
        (limits, true),
        (TraceLimits { frames_max: 2, ..limits }, false),
        (TraceLimits { bytes_max: 100, ..limits }, false),
    ] {
        let mut scene = Scene::with(
            NetworkDefinition {
                genesis_accounts: accounts(),
                private_gas_cap: 900_000,
                ..definition()
            },
            Public::default(),
        );
        let version = scene.facts().version;
        let call = transaction(0, TxKind::Call(TARGET), OTHER.into_word());
        let prepared = prepared(USER, version, call);
        let (execution, frames) = scene.execution.trace(&prepared, &scene.reads, limits).unwrap();
        assert_eq!(execution.reason, Reason::Executed);
        assert_eq!(frames.is_some(), fits, "{limits:?}");
        // The next one is recorded anew.
        scene.call(OTHER, []);
    }
}

#[test]
fn an_estimate_is_what_the_execution_uses() {
    let code = "PUSH0 SLOAD 01 ADD PUSH0 SSTORE STOP";
    let mut scene = Scene::new(vec![contract(TARGET, 0, code)], Public::default());
    let root = scene.next_block();
    let mut estimate = |root, to, input: Bytes| {
        let request = EstimateRequest { from: USER, to, gas_price: U256::ZERO, input };
        let state = scene.state.snapshot(root);
        loop {
            let reads = &scene.reads;
            match scene.executor.estimate(GROUP, &state, &scene.header, &request, reads) {
                Err(Fault::Missing(read)) => scene.fetch(read),
                estimate => return estimate.unwrap(),
            }
        }
    };
    let call = estimate(root, TxKind::Call(TARGET), Bytes::new());
    let creation = estimate(root, TxKind::Create, deploys(&asm("STOP")));
    let founding = ManagementCall::AddParticipants(vec![ALICE]).encode();
    let founding = estimate(EMPTY_ROOT, TxKind::Call(MANAGEMENT_PROXY), founding.into());
    assert!(founding.gas > 50_000, "{founding:?}");
    assert_eq!(creation.outcome, CallOutcome::Success(asm("STOP")));
    assert_eq!(call.outcome, CallOutcome::Success(Bytes::new()));
    for (to, input, want) in [
        (TxKind::Call(TARGET), Bytes::new(), call),
        (TxKind::Create, deploys(&asm("STOP")), creation),
    ] {
        let (_, frames) = scene.trace(to, input);
        assert_eq!(frames[0].gas_used, want.gas);
    }
}
