//! An enclave or a node that is away for a while: nothing is skipped (X13 of the protocol
//! specification, 14.6).

use coterie_node::{follower::FollowError, state::Reason};

use super::{GROUP, add, agree, draft, group, marker, reason, run, stored};
use crate::simulation::{Action, World};

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
            let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
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
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
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
