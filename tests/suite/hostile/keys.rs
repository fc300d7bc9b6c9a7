//! A node with two keys.

use coterie_node::enclave::Enclave as _;

use super::{DEADLINE, GROUP, OWNER, draft, keys, marker, run, send, stored};
use crate::simulation::{Action, World, WorldOptions};

/// Two members; the first has a second key.
fn world() -> World {
    let options = WorldOptions { members: 2, two_keys: Some(0), ..WorldOptions::default() };
    World::with_options(options, |_| {})
}

#[test]
fn who_adds_its_own_second_key_waits_for_nobody() {
    run(async {
        let mut world = world();
        let genesis = world.chain.head().hash;
        let second = world.members[0].keys[1].clone();
        let to = keys(&world, &[0, 1]);
        let mut create = draft(&world, 0, Action::Add(to.clone()));
        create.to = to;
        let creation = world.send(&create).await;
        world.mine(vec![marker(&create, creation)]);
        world.catch_up().await;
        let addition = draft(&world, 0, Action::Add(vec![second]));
        let adding = world.send(&addition).await;
        // After a reorg the addition comes first: there is no group yet, and nobody but the node
        // itself who could give its history.
        let both = vec![marker(&addition, adding), marker(&create, creation)];
        let parent = world.mine_on(genesis, both).hash;
        let head = world.mine_on(parent, Vec::new()).hash;
        world.chain.set_head(head).unwrap();
        world.catch_up().await;
        for member in [0, 1] {
            let node = world.members[member].node();
            assert!(!node.is_joining(GROUP), "{member} waits");
            assert_eq!(node.facts(GROUP).unwrap().members.len(), 2);
        }
        super::agree(&world, &[0, 1]);
    });
}

#[test]
fn a_key_that_is_removed_takes_nothing_from_the_other_key() {
    run(async {
        let mut world = world();
        let (first, second) = (world.members[0].keys[0].clone(), world.members[0].keys[1].clone());
        let to = vec![first.clone(), second.clone(), world.members[1].key.clone()];
        let mut create = draft(&world, 1, Action::Add(to.clone()));
        create.to = to;
        send(&mut world, &create).await;
        let deploy = draft(&world, 1, Action::Deploy);
        let owner = world.account(OWNER).address();
        let emitter = coterie_core::contract_address(owner, deploy.nonce, GROUP);
        send(&mut world, &deploy).await;
        let remove = draft(&world, 1, Action::Remove(first));
        send(&mut world, &remove).await;
        let store = draft(&world, 1, Action::Store(emitter, 7));
        send(&mut world, &store).await;
        let mut store = draft(&world, 0, Action::Store(emitter, 8));
        store.key = second;
        send(&mut world, &store).await;
        assert_eq!([0, 1].map(|member| stored(&world, member, emitter)), [8, 8]);
        super::agree(&world, &[0, 1]);
    });
}

#[test]
fn a_key_that_is_still_a_member_asks_for_a_history_before_one_that_was_removed() {
    run(async {
        let mut world = world();
        let (first, second) = (world.members[0].keys[0].clone(), world.members[0].keys[1].clone());
        let to = vec![first.clone(), second, world.members[1].key.clone()];
        let mut create = draft(&world, 1, Action::Add(to.clone()));
        create.to = to;
        send(&mut world, &create).await;
        let remove = draft(&world, 1, Action::Remove(first));
        send(&mut world, &remove).await;
        let deploy = draft(&world, 1, Action::Deploy);
        send(&mut world, &deploy).await;
        let (giver, node) = (world.members[1].key.clone(), world.members[0].node());
        node.service.heal(&node.service.default_tenant(), GROUP, Some(giver)).await.unwrap();
        let deadline = std::time::Instant::now() + DEADLINE;
        loop {
            world.catch_up().await;
            if let Some(history) = world.members[0].enclave.histories().await.unwrap().first() {
                // The removed key would be given the history up to its removal only.
                assert_eq!(history.until, world.head().at);
                break;
            }
            assert!(std::time::Instant::now() < deadline, "not healed");
            tokio::task::yield_now().await;
        }
        super::agree(&world, &[0, 1]);
    });
}
