//! An enclave or a node that is away for a while: nothing is skipped (X13 of the protocol
//! specification, 14.6).

use std::sync::Arc;

use alloy_primitives::{Address, B256};
use coterie_core::{GroupId, contract_address};
use coterie_node::{
    enclave::Enclave as _,
    follower::FollowError,
    service::{
        HealError, Healing, LogFilter, LogRange, ReadError, SendError, WatchError,
        messages::{HISTORY, KNOWN},
    },
    state::Reason,
};

use super::{
    DEADLINE, GROUP, OWNER, add, agree, draft, group, keys, marker, reason, run, send, stored,
};
use crate::simulation::{Action, Draft, Look, World, WorldOptions};

/// Another group.
const ELSEWHERE: GroupId = GroupId(B256::repeat_byte(0x48));

#[test]
fn an_enclave_that_does_not_answer_is_waited_for() {
    run(async {
        let mut world = World::new(2);
        let emitter = group(&mut world, &[0, 1]).await;
        let before = world.members[1].followed();
        let mut markers = Vec::new();
        for value in 5..8 {
            // Each of them on top of the one before, as the sender sees it.
            let store = draft(&world, 0, Action::Store(emitter, value));
            let key = world.send(&store).await;
            world.mine(vec![marker(&store, key)]);
            world.members[0].catch_up().await.unwrap();
            markers.push(world.head().markers[0].hash);
        }
        world.members[1].enclave.fail(7);
        let mut errors = 0;
        while world.members[1].enclave.failures_left() > 0 {
            match world.members[1].catch_up().await {
                Err(FollowError::Enclave(_)) => errors += 1,
                other => panic!("followed without its enclave: {other:?}"),
            }
            assert_eq!(world.members[1].followed(), before);
        }
        assert_eq!(errors, 7);
        world.catch_up().await;
        for hash in markers {
            assert_eq!(reason(&world, 1, hash), Some(Reason::Executed));
        }
        assert_eq!(stored(&world, 1, emitter), 7);
        agree(&world, &[0, 1]);
    });
}

#[test]
fn what_arrives_during_an_outage_is_in_time() {
    run(async {
        let mut world = World::new(2);
        let emitter = group(&mut world, &[0, 1]).await;
        let store = draft(&world, 0, Action::Store(emitter, 5));
        let sealed = world.seal(&store).await;
        world.mine(vec![marker(&store, sealed.key)]);
        world.members[1].enclave.fail(3);
        for _ in 0..3 {
            assert!(world.members[1].catch_up().await.is_err());
        }
        for (to, envelope) in &sealed.envelopes {
            world.deliver(sealed.key, *to, envelope).await;
        }
        world.catch_up().await;
        assert_eq!(stored(&world, 1, emitter), 5);
        agree(&world, &[0, 1]);
    });
}

#[test]
fn an_outage_while_a_history_is_taken_only_delays_it() {
    run(async {
        let mut failures = 0;
        // The enclave fails from the n-th call on, for some calls.
        for after in 0..8 {
            let mut world = World::new(3);
            let emitter = group(&mut world, &[0, 1]).await;
            add(&mut world, 0, 2).await;
            for member in [0, 1] {
                world.members[member].catch_up().await.unwrap();
            }
            let deadline = std::time::Instant::now() + DEADLINE;
            for round in 0.. {
                if round % 16 == after {
                    world.members[2].enclave.fail(round / 16 % 3 + 1);
                }
                match world.members[2].catch_up().await {
                    Ok(()) => {}
                    Err(FollowError::Enclave(_)) => failures += 1,
                    Err(error) => panic!("{error}"),
                }
                world.members[2].enclave.fail(0);
                if world.members[2].node().record(GROUP).is_some() {
                    break;
                }
                assert!(std::time::Instant::now() < deadline, "not joined, {after}");
                tokio::task::yield_now().await;
            }
            assert_eq!(stored(&world, 2, emitter), 1);
            agree(&world, &[0, 1, 2]);
        }
        assert!(failures > 0, "nothing failed");
    });
}

#[test]
fn a_history_that_cannot_be_stored_is_taken_again() {
    run(async {
        let mut world = World::new(3);
        let emitter = group(&mut world, &[0, 1]).await;
        world.members[2].enclave.refuse_histories(2);
        add(&mut world, 0, 2).await;
        for member in [0, 1] {
            world.members[member].catch_up().await.unwrap();
        }
        let deadline = std::time::Instant::now() + DEADLINE;
        let mut failures = 0;
        while world.members[2].node().record(GROUP).is_none() {
            failures += u32::from(world.members[2].catch_up().await.is_err());
            assert!(std::time::Instant::now() < deadline, "not joined after {failures} failures");
            tokio::task::yield_now().await;
        }
        assert_eq!(failures, 2);
        assert_eq!(stored(&world, 2, emitter), 1);
        agree(&world, &[0, 1, 2]);
    });
}

/// A draft by the owner for another group, that member 0 alone has.
fn elsewhere(world: &World, action: Action) -> Draft {
    let node = world.members[0].node();
    let facts = node.facts(ELSEWHERE);
    let (version, to) =
        facts.map_or((B256::ZERO, keys(world, &[0])), |it| (it.version, it.members.clone()));
    let nonce = node.nonce(ELSEWHERE, world.account(OWNER).address());
    Draft { group: ELSEWHERE, nonce, version, to, ..draft(world, 0, action) }
}

#[test]
fn a_history_that_cannot_be_installed_yet_does_not_hold_up_another() {
    run(async {
        let options = WorldOptions { members: 2, confirmations: 1, ..WorldOptions::default() };
        let mut world = World::with_options(options, |_| {});
        let emitter = group(&mut world, &[0]).await;
        let observer = draft(&world, 0, Action::DeployObserver);
        let observer_at = contract_address(world.account(OWNER).address(), observer.nonce, GROUP);
        send(&mut world, &observer).await;
        let create = elsewhere(&world, Action::Add(keys(&world, &[0])));
        send(&mut world, &create).await;
        world.network.tamper(Some(Arc::new(|_, _, _| Err("not now".to_owned()))));
        for group_draft in [draft, |world: &World, _: usize, action| elsewhere(world, action)] {
            let lock = group_draft(&world, 0, Action::Lock);
            send(&mut world, &lock).await;
            let mut addition = group_draft(&world, 0, Action::Add(keys(&world, &[1])));
            addition.to.extend(keys(&world, &[1]));
            let key = world.send(&addition).await;
            world.mine(vec![marker(&addition, key)]);
            world.members[0].catch_up().await.unwrap();
        }
        // Both histories end before this block, which reads what the newcomer's chain forgot.
        let balance = Look::Balance(Address::repeat_byte(0xba));
        let read = draft(&world, 0, Action::Observe(observer_at, balance));
        let key = world.send(&read).await;
        world.mine(vec![marker(&read, key)]);
        world.members[0].catch_up().await.unwrap();
        world.members[1].catch_up().await.unwrap();
        assert_eq!(world.members[1].followed(), Some(world.head().at));
        world.members[1].chain.set_oldest(u64::MAX);
        world.network.tamper(None);
        let deadline = std::time::Instant::now() + DEADLINE;
        let (mut held_up, mut other) = (false, false);
        while !(held_up && other) {
            assert!(std::time::Instant::now() < deadline, "one holds up the other: {held_up}");
            match world.members[1].catch_up().await {
                Ok(()) => {}
                Err(FollowError::Chain(_)) => held_up = true,
                Err(error) => panic!("{error}"),
            }
            other = world.members[1].node().record(ELSEWHERE).is_some();
            tokio::task::yield_now().await;
        }
        assert!(world.members[1].node().is_joining(GROUP), "installed without its public state");
        world.members[1].chain.set_oldest(0);
        assert!(world.settle(|world| !world.members[1].node().is_joining(GROUP)).await);
        assert_eq!(stored(&world, 1, emitter), 1);
        agree(&world, &[0, 1]);
    });
}

#[test]
fn healing_goes_on_when_the_chain_reorganises_meanwhile() {
    run(async {
        for turns in 0..48 {
            let mut world = World::new(2);
            let emitter = group(&mut world, &[0, 1]).await;
            let parent = world.head().at.hash;
            let store = draft(&world, 0, Action::Store(emitter, 5));
            let key = world.send(&store).await;
            world.mine(vec![marker(&store, key)]);
            world.catch_up().await;
            let (giver, node) = (world.members[0].key.clone(), world.members[1].node());
            node.service.heal(&node.service.default_tenant(), GROUP, Some(giver)).await.unwrap();
            world.members[1].catch_up().await.unwrap();
            for _ in 0..turns {
                tokio::task::yield_now().await;
            }
            let other = world.mine_on(parent, Vec::new());
            let head = world.mine_on(other.hash, Vec::new());
            world.chain.set_head(head.hash).unwrap();
            world.catch_up().await;
            let deadline = std::time::Instant::now() + DEADLINE;
            while world.members[1].enclave.histories().await.unwrap().is_empty() {
                assert!(std::time::Instant::now() < deadline, "not healed after {turns} turns");
                world.catch_up().await;
                tokio::task::yield_now().await;
            }
            assert_eq!(stored(&world, 1, emitter), 1);
            agree(&world, &[0, 1]);
        }
    });
}

#[test]
fn who_heals_is_refused_what_is_in_vain_and_told_how_the_rest_ends() {
    run(async {
        let mut world = World::new(3);
        let emitter = group(&mut world, &[0, 1]).await;
        let (own, giver, stranger) = (
            world.members[1].key.clone(),
            world.members[0].key.clone(),
            world.members[2].key.clone(),
        );
        let service = Arc::clone(&world.members[1].node().service);
        let tenant = service.default_tenant();
        let heal = async |giver| service.heal(&tenant, GROUP, giver).await;
        let healing = async || service.group_status(&tenant, GROUP).await.unwrap().healing;
        assert!(matches!(heal(Some(own)).await, Err(HealError::OwnKey(_))));
        let refused = heal(Some(stranger.clone())).await;
        assert!(
            matches!(&refused, Err(HealError::GroupUnknownToGiver { key, .. }) if *key == stranger),
            "{refused:?}"
        );
        world.network.tamper(Some(Arc::new(|_, kind, answer| {
            if kind == KNOWN { Err("not now".to_owned()) } else { Ok(answer) }
        })));
        assert!(matches!(heal(Some(giver.clone())).await, Err(HealError::Ask(_))));
        assert_eq!(healing().await, None);

        // It fails later.
        world.network.tamper(Some(Arc::new(|_, kind, answer| {
            if kind == HISTORY { Err("not now".to_owned()) } else { Ok(answer) }
        })));
        heal(Some(giver.clone())).await.unwrap();
        world.members[1].catch_up().await.unwrap();
        assert_eq!(healing().await, Some(Healing::UnderWay));
        let deadline = std::time::Instant::now() + DEADLINE;
        while healing().await == Some(Healing::UnderWay) {
            assert!(std::time::Instant::now() < deadline, "it does not end");
            world.catch_up().await;
            tokio::task::yield_now().await;
        }
        let failed = healing().await;
        let says = |reason: &String| reason.contains("refused: not now");
        assert!(matches!(&failed, Some(Healing::Failed(reason)) if says(reason)), "{failed:?}");

        world.network.tamper(None);
        heal(None).await.unwrap();
        while !matches!(healing().await, Some(Healing::Taken(_))) {
            assert!(std::time::Instant::now() < deadline, "it is not healed");
            world.catch_up().await;
            tokio::task::yield_now().await;
        }
        assert_eq!(stored(&world, 1, emitter), 1);
        agree(&world, &[0, 1]);
    });
}

/// A reorg that is not followed, since it is deeper than is allowed.
const TOO_DEEP: u64 = 257;

#[test]
fn who_needs_further_blocks_is_told_that_following_stopped_for_good() {
    run(async {
        let mut world = World::new(2);
        let emitter = group(&mut world, &[0, 1]).await;
        let (old, fork) = (world.head().markers[0].hash, world.head().at);
        let filter =
            LogFilter { range: LogRange::EVERYTHING, addresses: Vec::new(), topics: Vec::new() };
        let node = world.members[1].node();
        let (service, tenant) = (Arc::clone(&node.service), node.service.default_tenant());
        assert_eq!(service.readiness().stopped, None);
        let id = service.new_filter(&tenant, GROUP, filter.clone()).unwrap();
        let store = draft(&world, 1, Action::Store(emitter, 5));
        let raw = world.sent(&store).signed.encode();
        let data = world.send(&store).await;
        for _ in 0..TOO_DEEP {
            world.mine(Vec::new());
        }
        world.members[1].catch_up().await.unwrap();
        let followed = world.members[1].followed();
        let mut parent = world.mine_on(fork.hash, vec![marker(&store, data)]);
        let new = world.block(parent.hash).markers[0].hash;
        for _ in 0..TOO_DEEP {
            parent = world.mine_on(parent.hash, Vec::new());
        }
        world.chain.set_head(parent.hash).unwrap();
        let error = world.members[1].run().await;
        assert!(matches!(error, FollowError::ReorgTooDeep { .. }), "{error}");

        let stopped = service.readiness().stopped.expect("that it stopped");
        assert!(stopped.reason.contains("another chain"), "{stopped}");
        assert_eq!(service.status(&tenant).readiness.stopped, Some(stopped.clone()));
        let sent = service.send_raw_transaction(&tenant, &raw).await;
        assert!(
            matches!(&sent, Err(SendError::FollowingStopped(it)) if *it == stopped),
            "{sent:?}"
        );
        let sent = service.distribute_raw_transaction(&tenant, &raw, None).await;
        assert!(matches!(sent, Err(SendError::FollowingStopped(_))), "{sent:?}");
        let receipt = service.receipt(&tenant, new).await;
        assert!(matches!(receipt, Err(ReadError::FollowingStopped(_))), "{receipt:?}");
        let watched = service.new_filter(&tenant, GROUP, filter);
        assert!(matches!(watched, Err(WatchError::Read(ReadError::FollowingStopped(_)))));
        let changes = service.filter_changes(&tenant, GROUP, id).await;
        assert!(matches!(changes, Err(WatchError::Read(ReadError::FollowingStopped(_)))));
        let healed = service.heal(&tenant, GROUP, None).await;
        assert!(matches!(healed, Err(HealError::FollowingStopped(_))), "{healed:?}");

        // What was followed can still be read.
        assert_eq!(world.members[1].followed(), followed);
        let receipt = service.receipt(&tenant, old).await.unwrap().expect("a receipt");
        assert_eq!(receipt.reason, Reason::Executed);
        assert_eq!(stored(&world, 1, emitter), 1);
    });
}

#[test]
fn who_waits_after_an_addition_in_vain_asks_at_once_after_one_that_counts() {
    run(async {
        let mut world = World::new(2);
        let emitter = group(&mut world, &[0]).await;
        let addition = |world: &World| {
            let mut addition = draft(world, 0, Action::Add(keys(world, &[1])));
            addition.to.extend(keys(world, &[1]));
            addition
        };
        // The group is not locked.
        let in_vain = addition(&world);
        let sealed = send(&mut world, &in_vain).await;
        assert_ne!(reason(&world, 0, sealed), Some(Reason::Executed));
        assert!(world.members[1].node().is_joining(GROUP));
        // Until it asks seldom, whatever comes.
        for _ in 0..40 {
            world.let_tasks_work().await;
            world.mine(Vec::new());
            world.catch_up().await;
        }
        add(&mut world, 0, 1).await;
        assert!(world.settle(|world| !world.members[1].node().is_joining(GROUP)).await);
        assert_eq!(stored(&world, 1, emitter), 1);
        agree(&world, &[0, 1]);
    });
}
