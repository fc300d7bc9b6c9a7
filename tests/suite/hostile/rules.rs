//! The further cases of the protocol specification, 14.6, as far as they need no RPC: creation,
//! versions, locks, ownership, upgrades, reorgs, additions in a row. (X9 is in `markers`, X13 in
//! `outage`, X14 in `markers`.)

use alloy_primitives::{Address, B256, Bytes};
use alloy_sol_types::{Revert, SolError as _};
use coterie_core::{
    contract_address,
    management::{MANAGEMENT_PROXY, ManagementCall},
};
use coterie_node::state::Reason;

use super::{
    GROUP, OTHER, OWNER, add, agree, draft, draft_by, group, keys, marker, reason, run, send,
    stored,
};
use crate::{
    artifacts::implementation,
    simulation::{Action, Pending, World},
};

#[test]
fn only_a_listed_member_founds_a_group() {
    run(async {
        let mut world = World::new(2);
        let mut create = draft(&world, 0, Action::Add(keys(&world, &[1])));
        create.to = keys(&world, &[1]);
        let hash = send(&mut world, &create).await;
        for member in [0, 1] {
            assert_eq!(reason(&world, member, hash), Some(Reason::NotAMember));
            assert!(world.members[member].node().record(GROUP).is_none());
        }
        // The id is free.
        group(&mut world, &[0, 1]).await;
        agree(&world, &[0, 1]);
    });
}

#[test]
fn a_key_that_is_named_twice_is_one_member() {
    run(async {
        let mut world = World::new(1);
        let hash = {
            let create = draft(&world, 0, Action::Add(keys(&world, &[0, 0])));
            send(&mut world, &create).await
        };
        let receipt = world.members[0].node().receipt(hash).await.expect("a receipt");
        assert_eq!(
            (receipt.reason, receipt.output),
            (Reason::Executed, B256::ZERO.to_vec().into())
        );
        assert_eq!(world.members[0].node().facts(GROUP).unwrap().members, keys(&world, &[0]));
    });
}

#[test]
fn what_was_prepared_before_a_change_of_membership_is_not_executed() {
    run(async {
        let mut world = World::new(3);
        let emitter = group(&mut world, &[0, 1, 2]).await;
        let remove = draft(&world, 0, Action::Remove(world.members[2].key.clone()));
        let store = draft_by(&world, (1, OTHER), Action::Store(emitter, 5));
        let (first, second) = (world.send(&remove).await, world.send(&store).await);
        world.mine(vec![marker(&remove, first), marker(&store, second)]);
        world.catch_up().await;
        let hashes: Vec<B256> = world.head().markers.iter().map(|it| it.hash).collect();
        let other = world.account(OTHER).address();
        for member in [0, 1, 2] {
            assert_eq!(reason(&world, member, hashes[0]), Some(Reason::Executed));
            assert_eq!(reason(&world, member, hashes[1]), Some(Reason::Version));
            assert_eq!(Reason::Version.status(), 0);
            assert_eq!(world.members[member].node().nonce(GROUP, other), 0);
        }
        agree(&world, &[0, 1, 2]);
        // The removed one stops here.
        let store = draft_by(&world, (1, OTHER), Action::Store(emitter, 6));
        send(&mut world, &store).await;
        assert_eq!([0, 1, 2].map(|member| stored(&world, member, emitter)), [6, 6, 1]);
    });
}

#[test]
fn an_addition_before_its_lock_is_mined_has_no_effect() {
    run(async {
        let mut world = World::new(3);
        group(&mut world, &[0, 1]).await;
        let lock = draft(&world, 0, Action::Lock);
        let locking = world.send(&lock).await;
        let mut addition = draft(&world, 0, Action::Add(keys(&world, &[2])));
        addition.nonce += 1;
        addition.to.extend(keys(&world, &[2]));
        let adding = world.send(&addition).await;
        world.mine(vec![marker(&addition, adding), marker(&lock, locking)]);
        world.catch_up().await;
        let hashes: Vec<B256> = world.head().markers.iter().map(|it| it.hash).collect();
        for member in [0, 1] {
            assert_eq!(reason(&world, member, hashes[0]), Some(Reason::Locked));
            assert_eq!(reason(&world, member, hashes[1]), Some(Reason::Executed));
        }
        // The third was named by a transaction without effect: it asks, and is given nothing.
        for _ in 0..50 {
            world.catch_up().await;
            tokio::task::yield_now().await;
        }
        assert!(world.members[2].node().record(GROUP).is_none());
    });
}

#[test]
fn a_locked_group_removes_nobody() {
    run(async {
        let mut world = World::new(2);
        group(&mut world, &[0, 1]).await;
        let lock = draft(&world, 0, Action::Lock);
        send(&mut world, &lock).await;
        let remove = draft(&world, 0, Action::Remove(world.members[1].key.clone()));
        let hash = send(&mut world, &remove).await;
        for member in [0, 1] {
            let receipt = world.members[member].node().receipt(hash).await.expect("a receipt");
            assert_eq!((receipt.reason, receipt.reason.status()), (Reason::Reverted, 0));
            assert_eq!(receipt.revert, Some(Bytes::new()));
            assert_eq!(world.members[member].node().facts(GROUP).unwrap().members.len(), 2);
        }
    });
}

#[test]
fn only_the_owner_locks() {
    run(async {
        let mut world = World::new(2);
        group(&mut world, &[0, 1]).await;
        let lock = draft_by(&world, (1, OTHER), Action::Lock);
        let hash = send(&mut world, &lock).await;
        let receipt = world.members[0].node().receipt(hash).await.expect("a receipt");
        assert_eq!(receipt.reason, Reason::Reverted);
        let revert = Revert::abi_decode(&receipt.revert.expect("revert data")).unwrap();
        assert_eq!(revert.reason, "Origin not the owner.");
        assert!(!world.members[0].node().facts(GROUP).unwrap().locked);
    });
}

#[test]
fn an_upgraded_group_goes_on() {
    run(async {
        let mut world = World::new(3);
        let emitter = group(&mut world, &[0, 1]).await;
        let deploy = draft(&world, 0, Action::DeployCode(implementation("CountingManagement")));
        let next = contract_address(world.account(OWNER).address(), deploy.nonce, GROUP);
        send(&mut world, &deploy).await;
        let call = ManagementCall::UpgradeTo(next).encode().into();
        let upgrade = draft(&world, 0, Action::Call(MANAGEMENT_PROXY, call));
        let hash = send(&mut world, &upgrade).await;
        assert_eq!(reason(&world, 1, hash), Some(Reason::Executed));
        let store = draft(&world, 1, Action::Store(emitter, 9));
        send(&mut world, &store).await;
        add(&mut world, 0, 2).await;
        assert!(world.settle(|world| is_member(world, 2)).await);
        assert_eq!([0, 1, 2].map(|member| stored(&world, member, emitter)), [9, 9, 9]);
        agree(&world, &[0, 1, 2]);
    });
}

#[test]
fn a_call_of_a_precompile_leaves_no_account() {
    run(async {
        let mut world = World::new(2);
        group(&mut world, &[0, 1]).await;
        let one = Address::with_last_byte(1);
        let call = draft_by(&world, (0, OTHER), Action::Call(one, Bytes::from_static(&[7])));
        let hash = send(&mut world, &call).await;
        assert_eq!(reason(&world, 1, hash), Some(Reason::Executed));
        let snapshot = world.members[1].node().view.state.group_snapshot(GROUP);
        assert_eq!(snapshot.account(one).unwrap(), None);
        agree(&world, &[0, 1]);
    });
}

#[test]
fn a_reorg_over_a_creation_takes_it_back() {
    run(async {
        let mut world = World::new(2);
        let genesis = world.chain.head().hash;
        group(&mut world, &[0, 1]).await;
        let blocks: Vec<Vec<Pending>> =
            world.canonical().iter().map(|block| block.pending.clone()).collect();
        let root = world.members[0].node().root(GROUP);
        // Longer, and nothing in it.
        let mut parent = genesis;
        for _ in 0..=blocks.len() {
            parent = world.mine_on(parent, Vec::new()).hash;
        }
        world.chain.set_head(parent).unwrap();
        world.catch_up().await;
        for member in [0, 1] {
            assert!(world.members[member].node().record(GROUP).is_none());
        }
        // The same markers again, later and in one block each: in time, as they are there now.
        for pending in blocks {
            world.mine(pending);
        }
        world.catch_up().await;
        assert_eq!(world.members[0].node().root(GROUP), root);
        agree(&world, &[0, 1]);
    });
}

#[test]
fn a_reorg_over_an_addition_takes_the_history_back() {
    run(async {
        let mut world = World::new(3);
        let emitter = group(&mut world, &[0, 1]).await;
        add(&mut world, 0, 2).await;
        assert!(world.settle(|world| is_member(world, 2)).await);
        let store = draft(&world, 2, Action::Store(emitter, 5));
        send(&mut world, &store).await;
        agree(&world, &[0, 1, 2]);
        // Back to the block before the addition; another branch without it.
        let blocks = world.canonical();
        let (mut left, mut parent, mut depth) = (Vec::new(), B256::ZERO, 0);
        for block in blocks.iter().rev() {
            depth += 1;
            left.splice(0..0, block.pending.clone());
            parent = block.parent;
            let adds = block.at.number == 5;
            if adds {
                break;
            }
        }
        for _ in 0..=depth {
            parent = world.mine_on(parent, Vec::new()).hash;
        }
        world.chain.set_head(parent).unwrap();
        world.catch_up().await;
        assert_eq!(stored(&world, 0, emitter), 1);
        assert!(!is_member(&world, 2));
        for restart in [false, true] {
            if restart {
                world.members[2].restart().await;
            }
            world.catch_up().await;
            assert!(!world.members[2].node().is_joining(GROUP), "restarted: {restart}");
        }
        // And with it again.
        world.mine(left);
        assert!(world.settle(|world| is_member(world, 2)).await);
        assert_eq!([0, 1, 2].map(|member| stored(&world, member, emitter)), [5, 5, 5]);
        agree(&world, &[0, 1, 2]);
        world.members[2].lose_state();
        world.catch_up().await;
        agree(&world, &[0, 1, 2]);
    });
}

#[test]
fn a_reorg_over_a_removal_lets_the_member_stay() {
    run(async {
        let mut world = World::new(3);
        let emitter = group(&mut world, &[0, 1, 2]).await;
        let before = world.chain.head().hash;
        let remove = draft(&world, 0, Action::Remove(world.members[2].key.clone()));
        send(&mut world, &remove).await;
        assert!(!is_member(&world, 2));
        let parent = world.mine_on(before, Vec::new()).hash;
        let parent = world.mine_on(parent, Vec::new()).hash;
        world.chain.set_head(parent).unwrap();
        world.catch_up().await;
        let store = draft(&world, 2, Action::Store(emitter, 5));
        send(&mut world, &store).await;
        assert_eq!([0, 1, 2].map(|member| stored(&world, member, emitter)), [5, 5, 5]);
        agree(&world, &[0, 1, 2]);
    });
}

#[test]
fn additions_in_a_row_by_one_marker_signer_all_join() {
    run(async {
        let mut world = World::new(5);
        let emitter = group(&mut world, &[0, 1]).await;
        // Three members in consecutive blocks, several markers of one signer in each, and nobody
        // follows in between but the sender.
        let signer = Some(77);
        for added in [2, 3, 4] {
            let mut pending = Vec::new();
            let mut lock = draft(&world, 0, Action::Lock);
            lock.signer = signer;
            let mut store = draft_by(&world, (0, OTHER), Action::Store(emitter, added as u64));
            store.signer = signer;
            let mut addition = draft(&world, 0, Action::Add(keys(&world, &[added])));
            addition.to.extend(keys(&world, &[added]));
            (addition.nonce, addition.signer) = (addition.nonce + 1, signer);
            for draft in [&store, &lock, &addition] {
                let key = world.send(draft).await;
                pending.push(marker(draft, key));
            }
            world.mine(pending);
            world.members[0].catch_up().await.unwrap();
        }
        assert!(world.settle(|world| (2..5).all(|member| is_member(world, member))).await);
        let all = [0, 1, 2, 3, 4];
        assert_eq!(all.map(|member| stored(&world, member, emitter)), [4; 5]);
        agree(&world, &all);
    });
}

/// Whether a member sees itself as one and has the history.
fn is_member(world: &World, member: usize) -> bool {
    let member = &world.members[member];
    let facts = member.node().facts(GROUP).filter(|_| !member.node().is_joining(GROUP));
    facts.is_some_and(|facts| facts.members.contains(&member.key))
}
