//! Markers that mean nothing, or not what they seem, and payloads that do not.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use alloy_primitives::{Address, B256, Bytes, Signature, U256};
use alloy_sol_types::{SolCall as _, sol};
use coterie_core::{
    Recipients, contract_address,
    wire::{PrefixedPayload, marker_signature_digest},
};
use coterie_node::{
    enclave::{Enclave as _, signature},
    service::messages,
    state::Reason,
};

use super::{
    GROUP, OTHER, OUTSIDER, OWNER, add, agree, draft, draft_by, group, keys, marker, reason, run,
    send, stored,
};
use crate::{
    artifacts::creation_code,
    simulation::{Action, Content, Pending, World, text},
};

sol! {
    interface Looper {
        function spin() external pure;
        function fill() external;
        function touch(uint256 count) external returns (uint256 sum);
    }
}

#[test]
fn ten_thousand_junk_markers_do_not_stop_following() {
    run(async {
        let mut world = World::new(2);
        let emitter = group(&mut world, &[0, 1]).await;
        let (mut making, mut following) = (Duration::ZERO, Duration::ZERO);
        let mut number = 0_u64;
        for block in 0..4 {
            let start = Instant::now();
            let mut pending: Vec<Pending> = (0..2_500)
                .map(|_| {
                    number += 1;
                    let data = alloy_primitives::keccak256(number.to_be_bytes()).to_vec();
                    Pending { data, signer: OUTSIDER + number % 3 }
                })
                .collect();
            let store = draft(&world, 0, Action::Store(emitter, 100 + block));
            let key = world.send(&store).await;
            pending.insert(1_200, marker(&store, key));
            world.mine(pending);
            let made = Instant::now();
            making += made - start;
            world.catch_up().await;
            following += made.elapsed();
            assert_eq!(stored(&world, 1, emitter), 100 + block);
        }
        agree(&world, &[0, 1]);
        // Whoever makes the junk works more than those who follow it, on any machine.
        assert!(following < making, "made in {making:?}, followed in {following:?}");
    });
}

#[test]
fn lengths_other_than_32_bytes_mean_nothing() {
    run(async {
        let mut world = World::new(2);
        let emitter = group(&mut world, &[0, 1]).await;
        let store = draft(&world, 0, Action::Store(emitter, 5));
        let key = world.send(&store).await;
        let id = key.as_slice();
        let signer = store.signer.unwrap();
        // By the payload's own marker signer, so that nothing but the length is wrong.
        let mut pending: Vec<Pending> = [
            [id, id].concat(),
            id[..31].to_vec(),
            [id, &[0]].concat(),
            [id, &[0; 31]].concat(),
            Vec::new(),
        ]
        .into_iter()
        .map(|data| Pending { data, signer })
        .collect();
        pending.push(marker(&store, key));
        world.mine(pending);
        world.catch_up().await;
        let hashes: Vec<B256> = world.head().markers.iter().map(|it| it.hash).collect();
        let (decided, ignored) = hashes.split_last().unwrap();
        for member in [0, 1] {
            assert!(ignored.iter().all(|hash| reason(&world, member, *hash).is_none()));
            // 64 bytes mean something under other rules: no error, but nothing to tell either.
            assert_eq!(world.members[member].node().receipt(ignored[0]).await, None);
            assert_eq!(reason(&world, member, *decided), Some(Reason::Executed));
            assert_eq!(stored(&world, member, emitter), 5);
        }
    });
}

#[test]
fn a_marker_copied_before_the_senders_own_changes_nothing() {
    run(async {
        let mut world = World::new(2);
        let emitter = group(&mut world, &[0, 1]).await;
        let store = draft(&world, 0, Action::Store(emitter, 5));
        let key = world.send(&store).await;
        let copy = Pending { data: key.as_slice().to_vec(), signer: OUTSIDER };
        // In a block before, and in front of it in the same block, and after it.
        world.mine(vec![copy.clone()]);
        world.catch_up().await;
        let first = world.head().markers[0].hash;
        let waiting = world.members[1].node().receipt(first).await.expect("a receipt");
        assert_eq!(
            (waiting.reason, waiting.decided_by, waiting.outcome),
            (Reason::Copied, None, None)
        );
        world.mine(vec![copy.clone(), marker(&store, key), copy]);
        world.catch_up().await;
        let markers: Vec<B256> = world.head().markers.iter().map(|it| it.hash).collect();
        for member in [0, 1] {
            let node = world.members[member].node();
            assert_eq!(reason(&world, member, markers[1]), Some(Reason::Executed));
            assert_eq!(stored(&world, member, emitter), 5);
            for copied in [first, markers[0], markers[2]] {
                let receipt = node.receipt(copied).await.expect("a receipt");
                assert_eq!(receipt.reason, Reason::Copied);
                assert_eq!(receipt.decided_by, Some(markers[1]));
                assert_eq!(receipt.outcome, Some(Reason::Executed));
                assert_eq!(receipt.logs.len(), 1);
            }
        }
        agree(&world, &[0, 1]);
    });
}

#[test]
fn a_copy_of_a_payload_that_is_not_there_yet_does_not_make_it_late() {
    run(async {
        let mut world = World::new(2);
        let emitter = group(&mut world, &[0, 1]).await;
        let store = draft(&world, 0, Action::Store(emitter, 5));
        let sealed = world.seal(&store).await;
        world.mine(vec![Pending { data: sealed.key.as_slice().to_vec(), signer: OUTSIDER }]);
        world.catch_up().await;
        // Only now it arrives; its own marker comes after that.
        for (to, envelope) in &sealed.envelopes {
            world.deliver(sealed.key, *to, envelope).await;
        }
        world.mine(vec![marker(&store, sealed.key)]);
        world.catch_up().await;
        let hash = world.head().markers[0].hash;
        assert_eq!(reason(&world, 1, hash), Some(Reason::Executed));
        agree(&world, &[0, 1]);
    });
}

#[test]
fn a_payload_that_was_not_there_is_late_for_ever() {
    run(async {
        let mut world = World::new(3);
        let emitter = group(&mut world, &[0, 1, 2]).await;
        let store = draft(&world, 0, Action::Store(emitter, 5));
        let sealed = world.seal(&store).await;
        for (to, envelope) in sealed.envelopes.iter().filter(|(to, _)| *to == 1) {
            world.deliver(sealed.key, *to, envelope).await;
        }
        world.mine(vec![marker(&store, sealed.key)]);
        world.catch_up().await;
        let hash = world.head().markers[0].hash;
        for (to, envelope) in sealed.envelopes.iter().filter(|(to, _)| *to == 2) {
            world.deliver(sealed.key, *to, envelope).await;
        }
        let late = |member: usize| world.members[member].node().service.late_payloads().count();
        assert_eq!([0, 1, 2].map(late), [0, 0, 1]);
        // Marked again: it stays without effect, and each marker says why.
        world.mine(vec![marker(&store, sealed.key)]);
        world.catch_up().await;
        let again = world.head().markers[0].hash;
        for rebuilt in [false, true] {
            if rebuilt {
                world.members[2].lose_state();
                world.catch_up().await;
            }
            assert_eq!((stored(&world, 1, emitter), stored(&world, 2, emitter)), (5, 1));
            let receipt = world.members[2].node().receipt(hash).await.expect("a receipt");
            assert_eq!(receipt.reason, Reason::Late);
            let receipt = world.members[2].node().receipt(again).await.expect("a receipt");
            assert_eq!((receipt.reason, receipt.decided_by), (Reason::Duplicate, Some(hash)));
            assert_eq!(receipt.outcome, Some(Reason::Late));
        }
        // Both are told, and the id is named: the one that lacks it when something else comes that
        // its state judges.
        let next = draft(&world, 0, Action::Store(emitter, 6));
        send(&mut world, &next).await;
        for (member, other) in [(1, 2), (2, 1)] {
            let node = world.members[member].node();
            node.comparison.round().await.unwrap();
            let alarms = node.comparison.divergences();
            let alarm = &alarms[&(GROUP, world.members[other].key.clone())];
            assert_eq!(alarm.first.map(|(_, key)| key), Some(sealed.key));
        }
        // Taking the history from the others makes it whole again.
        let giver = world.members[1].key.clone();
        let node = world.members[2].node();
        node.service.heal(&node.service.default_tenant(), GROUP, Some(giver)).await.unwrap();
        assert!(world.settle(|world| stored(world, 2, emitter) == 6).await, "healed");
        agree(&world, &[0, 1, 2]);
        assert_eq!(reason(&world, 2, hash), Some(Reason::Executed));
        // And so it stays.
        world.members[2].lose_state();
        world.catch_up().await;
        agree(&world, &[0, 1, 2]);
    });
}

#[test]
fn a_marker_on_a_branch_that_is_not_followed_yet_is_not_late() {
    run(async {
        let mut world = World::new(2);
        let emitter = group(&mut world, &[0, 1]).await;
        let parent = world.chain.head().hash;
        let store = draft(&world, 0, Action::Store(emitter, 5));
        let key = world.send(&store).await;
        // As high as the branch with the marker, which the chain has already and we do not.
        world.mine(Vec::new());
        world.catch_up().await;
        let with_marker = world.mine_on(parent, vec![marker(&store, key)]).hash;
        let higher = world.mine_on(with_marker, Vec::new()).hash;
        world.chain.set_head(higher).unwrap();
        let hash = world.block(with_marker).markers[0].hash;
        assert_eq!(world.members[1].node().receipt(hash).await, None);
        world.catch_up().await;
        let receipt = world.members[1].node().receipt(hash).await.expect("a receipt");
        assert_eq!(receipt.reason, Reason::Executed);
        agree(&world, &[0, 1]);
    });
}

#[test]
fn roots_are_compared_again_after_a_reorg_of_the_same_height() {
    run(async {
        let mut world = World::new(2);
        let emitter = group(&mut world, &[0, 1]).await;
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        world.network.tamper(Some(Arc::new(move |_, kind, answer| {
            if kind == messages::ROOT {
                counter.fetch_add(1, Ordering::SeqCst);
            }
            Ok(answer)
        })));
        let parent = world.chain.head().hash;
        let store = draft(&world, 0, Action::Store(emitter, 5));
        send(&mut world, &store).await;
        for _ in 0..2 {
            world.members[0].node().comparison.round().await.unwrap();
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1, "asked again without a change");

        let mut other = draft(&world, 0, Action::Store(emitter, 6));
        other.nonce = store.nonce;
        let key = world.send(&other).await;
        let branch = world.mine_on(parent, vec![marker(&other, key)]).hash;
        world.chain.set_head(branch).unwrap();
        world.catch_up().await;
        assert_eq!(stored(&world, 1, emitter), 6);
        world.members[0].node().comparison.round().await.unwrap();
        assert_eq!(asked.load(Ordering::SeqCst), 2);
        assert!(world.members[0].node().comparison.divergences().is_empty());
    });
}

#[test]
fn payloads_that_do_not_open_in_shape_are_without_effect_for_everyone() {
    run(async {
        let mut world = World::new(2);
        let emitter = group(&mut world, &[0, 1]).await;
        let signer = world.account(OTHER).address();
        let store = draft(&world, 0, Action::Store(emitter, 5));
        let sent = world.sent(&store);
        let text = text(&sent.signed, sent.version);
        let digest = marker_signature_digest(world.definition.hash(), signer);
        let signature = signature::sign(world.members[0].pair.secret(), &digest.0);
        let right = PrefixedPayload { marker_signer: signer, signature, text: text.clone() };
        let with_text = |text: &[u8]| {
            PrefixedPayload { text: Bytes::copy_from_slice(text), ..right.clone() }.encode()
        };
        let mut zeros = right.encode();
        zeros[31] = 1;
        let mut forged = right.clone();
        forged.signature[0] ^= 1;
        let by_another = PrefixedPayload {
            signature: signature::sign(world.members[1].pair.secret(), &digest.0),
            ..right.clone()
        };
        let mut members = store.clone();
        members.action = Action::Store(emitter, 6);
        let mut legacy = world.sent(&members).signed;
        legacy.transaction.recipients = Recipients::Members(keys(&world, &[1]));
        let legacy = crate::simulation::text(&legacy, sent.version);
        let cases: [(Vec<u8>, Reason); 9] = [
            (zeros, Reason::Undecodable),
            (vec![0; 40], Reason::Undecodable),
            (Vec::new(), Reason::Undecodable),
            (with_text(b""), Reason::Undecodable),
            (with_text(b"no base64"), Reason::Undecodable),
            (with_text(&text[..text.len() - 8]), Reason::Undecodable),
            (with_text(&legacy), Reason::Undecodable),
            (forged.encode(), Reason::EnclaveSignature),
            (by_another.encode(), Reason::EnclaveSignature),
        ];
        for (at, (plain, want)) in cases.into_iter().enumerate() {
            let content = (Address::ZERO, Content::Broken(want));
            let key = world.plant((0, &keys(&world, &[1])), &plain, content).await;
            world.mine(vec![Pending { data: key.as_slice().to_vec(), signer: OTHER }]);
            world.catch_up().await;
            let hash = world.head().markers[0].hash;
            for member in [0, 1] {
                assert_eq!(reason(&world, member, hash), Some(want), "case {at}");
                let receipt = world.members[member].node().receipt(hash).await.expect("a receipt");
                assert_eq!(receipt.reason, want, "case {at}");
            }
        }
        assert_eq!(stored(&world, 1, emitter), 1);
        // The same with everything right counts.
        let content = (Address::ZERO, Content::Broken(Reason::Executed));
        let key = world.plant((0, &keys(&world, &[1])), &right.encode(), content).await;
        world.mine(vec![Pending { data: key.as_slice().to_vec(), signer: OTHER }]);
        world.catch_up().await;
        assert_eq!(stored(&world, 1, emitter), 5);
        agree(&world, &[0, 1]);
    });
}

#[test]
fn a_payload_for_another_group_id_creates_nothing() {
    run(async {
        let mut world = World::new(2);
        let emitter = group(&mut world, &[0, 1]).await;
        let mut store = draft(&world, 0, Action::Store(emitter, 5));
        store.group = coterie_core::GroupId(B256::repeat_byte(0x99));
        store.version = B256::ZERO;
        store.nonce = 0;
        let hash = send(&mut world, &store).await;
        for member in [0, 1] {
            assert_eq!(reason(&world, member, hash), Some(Reason::Locked));
            assert!(world.members[member].node().record(store.group).is_none());
        }
        assert_eq!(stored(&world, 1, emitter), 1);
    });
}

#[test]
fn a_signature_that_recovers_nobody_is_told() {
    run(async {
        let mut world = World::new(2);
        let emitter = group(&mut world, &[0, 1]).await;
        let store = draft(&world, 0, Action::Store(emitter, 5));
        let mut sent = world.sent(&store);
        // Not every number is the x of a point.
        let one = U256::ONE;
        for r in 1_u64.. {
            sent.signed.signature = Signature::new(U256::from(r), one, false);
            if sent.signed.recover_signer().is_err() {
                break;
            }
        }
        let signer = world.account(OTHER).address();
        let digest = marker_signature_digest(world.definition.hash(), signer);
        let payload = PrefixedPayload {
            marker_signer: signer,
            signature: signature::sign(world.members[0].pair.secret(), &digest.0),
            text: text(&sent.signed, sent.version),
        };
        let content = (signer, Content::Broken(Reason::Signature));
        let key = world.plant((0, &keys(&world, &[1])), &payload.encode(), content).await;
        world.mine(vec![Pending { data: key.as_slice().to_vec(), signer: OTHER }]);
        world.catch_up().await;
        let hash = world.head().markers[0].hash;
        for member in [0, 1] {
            assert_eq!(reason(&world, member, hash), Some(Reason::Signature));
        }
        agree(&world, &[0, 1]);
    });
}

#[test]
fn endless_loops_run_out_of_gas() {
    run(async {
        let mut world = World::with_definition(2, |definition| {
            // So that the test does not take a second for each loop.
            definition.private_gas_cap = 30_000_000;
        });
        let emitter = group(&mut world, &[0, 1]).await;
        let deploy = draft(&world, 0, Action::DeployCode(creation_code("Looper")));
        let looper = contract_address(world.account(OWNER).address(), deploy.nonce, GROUP);
        send(&mut world, &deploy).await;
        let before = world.members[0].node().root(GROUP);
        for call in [Looper::spinCall {}.abi_encode(), Looper::fillCall {}.abi_encode()] {
            let spin = draft_by(&world, (0, OTHER), Action::Call(looper, call.into()));
            let hash = send(&mut world, &spin).await;
            for member in [0, 1] {
                assert_eq!(reason(&world, member, hash), Some(Reason::OutOfGas));
            }
        }
        assert_eq!(world.members[1].node().root(GROUP), before);
        // The account is not stuck, and the group goes on.
        let store = draft_by(&world, (0, OTHER), Action::Store(emitter, 7));
        send(&mut world, &store).await;
        assert_eq!(stored(&world, 1, emitter), 7);
    });
}

#[test]
fn public_reads_have_a_limit_and_go_with_the_history() {
    run(async {
        let mut world = World::new(3);
        group(&mut world, &[0, 1]).await;
        let deploy = draft(&world, 0, Action::DeployCode(creation_code("Looper")));
        let looper = contract_address(world.account(OWNER).address(), deploy.nonce, GROUP);
        send(&mut world, &deploy).await;
        let mut blocks = Vec::new();
        for (count, want) in [(5, Reason::Executed), (10_000, Reason::TooManyPublicReads)] {
            let call = Looper::touchCall { count: U256::from(count) }.abi_encode();
            let touch = draft_by(&world, (0, OTHER), Action::Call(looper, call.into()));
            let hash = send(&mut world, &touch).await;
            for member in [0, 1] {
                assert_eq!(reason(&world, member, hash), Some(want), "{count} reads");
            }
            blocks.push(world.chain.head().hash);
        }
        add(&mut world, 1, 2).await;
        let known = |world: &World| world.members[2].node().record(GROUP).is_some();
        assert!(world.settle(known).await);
        agree(&world, &[0, 1, 2]);
        let mut recorded = Vec::new();
        for member in [0, 1, 2] {
            let enclave = &world.members[member].enclave;
            let mut reads = Vec::new();
            for block in &blocks {
                reads.push(enclave.recorded_reads(GROUP, *block).await.unwrap());
            }
            assert!(reads[0].len() >= 5, "member {member}: {:?}", reads[0]);
            assert!(reads[1].len() <= 300, "member {member} recorded {}", reads[1].len());
            recorded.push(reads);
        }
        assert_eq!(recorded[0], recorded[1]);
        assert_eq!(recorded[1], recorded[2]);
    });
}
