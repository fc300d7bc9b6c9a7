//! Groups that a contract owns: who is added by one learns it from an offer only, unless its own
//! state shows it.

use alloy_primitives::Address;
use coterie_core::contract_address;
use coterie_node::{enclave::Enclave as _, state::Reason};

use super::{
    DEADLINE, GROUP, OTHER, OWNER, agree, draft, draft_by, group, keys, marker, reason, run, send,
    stored,
};
use crate::simulation::{Action, World, WorldOptions};

/// Makes a contract the owner of the group, which anybody can use.
async fn hand_over(world: &mut World) -> Address {
    let deploy = draft(world, 0, Action::DeployForwarder);
    let owner = world.account(OWNER).address();
    let contract = contract_address(owner, deploy.nonce, GROUP);
    send(world, &deploy).await;
    let offer = draft(world, 0, Action::Offer(contract));
    send(world, &offer).await;
    let accept = draft(world, 0, Action::Through(contract, vec![Action::Accept]));
    send(world, &accept).await;
    assert_eq!(world.members[0].node().facts(GROUP).unwrap().owner, Some(contract));
    contract
}

/// Members 0, 1 and 2 of three, and the owner; 2 is removed, and the emitter holds 5 since then.
async fn without_the_third() -> (World, Address, Address) {
    let mut world = World::new(3);
    let emitter = group(&mut world, &[0, 1, 2]).await;
    let contract = hand_over(&mut world).await;
    let gone = world.members[2].key.clone();
    let remove = draft(&world, 0, Action::Through(contract, vec![Action::Remove(gone)]));
    send(&mut world, &remove).await;
    let store = draft(&world, 1, Action::Store(emitter, 5));
    send(&mut world, &store).await;
    assert_eq!([0, 1, 2].map(|member| stored(&world, member, emitter)), [5, 5, 1]);
    (world, emitter, contract)
}

#[test]
fn who_is_added_again_takes_the_history_also_where_its_own_state_would_do() {
    run(async {
        let (mut world, emitter, contract) = without_the_third().await;
        // One call that succeeds on the state that the removed member has, too.
        let again = vec![Action::Lock, Action::Add(keys(&world, &[2]))];
        let add = draft_by(&world, (0, OTHER), Action::Through(contract, again));
        let sealed = world.distribute(&add).await.expect("sent");
        let recipients: Vec<usize> = sealed.envelopes.iter().map(|(to, _)| *to).collect();
        assert_eq!(recipients, [1, 2], "the node finds out whom the contract adds");
        for (to, envelope) in &sealed.envelopes {
            world.deliver(sealed.key, *to, envelope).await;
        }
        world.mine(vec![marker(&add, sealed.key)]);
        let known = |world: &World| stored(world, 2, emitter) == 5;
        assert!(world.settle(known).await, "executed on the state of its removal");
        agree(&world, &[0, 1, 2]);
        world.members[2].lose_state();
        world.catch_up().await;
        agree(&world, &[0, 1, 2]);
    });
}

#[test]
fn who_is_added_removed_and_added_again_is_offered_the_history_each_time() {
    run(async {
        let mut world = World::new(2);
        let emitter = group(&mut world, &[0]).await;
        let contract = hand_over(&mut world).await;
        for value in 2..5 {
            let add = vec![Action::Lock, Action::Add(keys(&world, &[1]))];
            let add = draft(&world, 0, Action::Through(contract, add));
            let sealed = world.seal(&add).await;
            world.mine(vec![marker(&add, sealed.key)]);
            world.catch_up().await;
            let held = |world: &World| {
                let facts = world.members[1].node().facts(GROUP);
                facts.is_some_and(|facts| facts.members.len() == 2)
            };
            assert!(world.settle(held).await, "not offered when the number was {value}");
            agree(&world, &[0, 1]);
            let gone = keys(&world, &[1]).remove(0);
            let mut remove =
                draft(&world, 0, Action::Through(contract, vec![Action::Remove(gone)]));
            remove.to = keys(&world, &[0, 1]);
            send(&mut world, &remove).await;
            let store = draft(&world, 0, Action::Store(emitter, value));
            send(&mut world, &store).await;
            assert_eq!(stored(&world, 0, emitter), value);
        }
    });
}

#[test]
fn who_is_added_in_the_block_of_the_creation_is_offered_the_history() {
    run(async {
        let mut world = World::new(2);
        let genesis = world.chain.head().hash;
        let emitter = group(&mut world, &[0]).await;
        let contract = hand_over(&mut world).await;
        let add = vec![Action::Lock, Action::Add(keys(&world, &[1]))];
        let add = draft(&world, 0, Action::Through(contract, add));
        let sealed = world.seal(&add).await;
        // After a reorg all of it is in one block.
        let blocks = world.canonical();
        let mut all: Vec<_> = blocks.iter().flat_map(|block| block.pending.clone()).collect();
        all.push(marker(&add, sealed.key));
        let mut parent = world.mine_on(genesis, all).hash;
        for _ in 0..8 {
            parent = world.mine_on(parent, Vec::new()).hash;
        }
        world.chain.set_head(parent).unwrap();
        world.catch_up().await;
        assert_eq!(world.members[0].node().facts(GROUP).unwrap().members.len(), 2);
        let held = |world: &World| world.members[1].node().record(GROUP).is_some();
        assert!(world.settle(held).await, "not offered");
        assert_eq!(stored(&world, 1, emitter), 1);
        agree(&world, &[0, 1]);
        // A giver that starts anew offers it, too.
        world.members[0].restart().await;
        world.catch_up().await;
        agree(&world, &[0, 1]);
    });
}

#[test]
fn who_holds_the_group_on_a_branch_that_is_left_is_offered_the_history_again() {
    run(async {
        let mut world = World::new(2);
        let genesis = world.chain.head().hash;
        let emitter = group(&mut world, &[0]).await;
        let contract = hand_over(&mut world).await;
        let before: Vec<_> =
            world.canonical().iter().flat_map(|block| block.pending.clone()).collect();
        let add = vec![Action::Lock, Action::Add(keys(&world, &[1]))];
        let add = draft(&world, 0, Action::Through(contract, add));
        let sealed = world.seal(&add).await;
        world.mine(vec![marker(&add, sealed.key)]);
        let held = |world: &World| {
            let facts = world.members[1].node().facts(GROUP);
            facts.is_some_and(|facts| facts.members.len() == 2)
        };
        assert!(world.settle(held).await);
        // The giver is the first to follow the other branch, and offers again while the other one
        // still holds what it is about to lose.
        let mut parent = world.mine_on(genesis, before).hash;
        parent = world.mine_on(parent, vec![marker(&add, sealed.key)]).hash;
        while world.block(parent).at.number <= world.head().at.number {
            parent = world.mine_on(parent, Vec::new()).hash;
        }
        world.chain.set_head(parent).unwrap();
        world.members[0].catch_up().await.unwrap();
        world.let_tasks_work().await;
        world.catch_up().await;
        assert!(!held(&world));
        assert!(world.settle(held).await, "not offered again");
        assert_eq!(stored(&world, 1, emitter), 1);
        agree(&world, &[0, 1]);
    });
}

#[test]
fn who_was_removed_executes_nothing_more() {
    run(async {
        let (mut world, emitter, _) = without_the_third().await;
        let mut store = draft_by(&world, (0, OTHER), Action::Store(emitter, 6));
        store.to.extend(keys(&world, &[2]));
        let hash = send(&mut world, &store).await;
        assert_eq!([0, 1, 2].map(|member| stored(&world, member, emitter)), [6, 6, 1]);
        assert_eq!(reason(&world, 2, hash), Some(Reason::NotAMember));
    });
}

/// A world with confirmations, counted here or by the chain, in which 0 adds 1, which only an offer tells it.
async fn confirmed(finalized: bool) -> (World, Address) {
    let options =
        WorldOptions { members: 2, confirmations: 6, finalized, ..WorldOptions::default() };
    let mut world = World::with_options(options, |_| {});
    let emitter = group(&mut world, &[0]).await;
    let lock = draft(&world, 0, Action::Lock);
    send(&mut world, &lock).await;
    let addition = draft(&world, 0, Action::Add(keys(&world, &[1])));
    let sealed = world.seal(&addition).await;
    world.mine(vec![marker(&addition, sealed.key)]);
    world.catch_up().await;
    (world, emitter)
}

/// As long as the addition is not old enough nobody offers its history; then somebody does.
fn check_offer(finalized: bool) {
    run(async {
        let (mut world, emitter) = confirmed(finalized).await;
        let held = |world: &World| world.members[1].node().record(GROUP).is_some();
        for _ in 0..6 {
            // As long as this is asked for in vain, before the next block comes.
            for _ in 0..64 {
                world.catch_up().await;
                tokio::task::yield_now().await;
            }
            world.let_tasks_work().await;
            assert!(!held(&world));
            world.mine(Vec::new());
        }
        assert!(world.settle(held).await, "not offered any more");
        assert_eq!(stored(&world, 1, emitter), 1);
        agree(&world, &[0, 1]);
    });
}

#[test]
fn an_offer_is_made_when_the_history_is_given() {
    check_offer(false);
}

#[test]
fn an_offer_is_made_when_the_chain_calls_the_addition_finalized() {
    check_offer(true);
}

#[test]
fn a_history_heals_up_to_where_it_is_given() {
    run(async {
        let (mut world, _) = confirmed(false).await;
        let held = |world: &World| world.members[1].node().record(GROUP).is_some();
        for _ in 0..6 {
            world.mine(Vec::new());
        }
        assert!(world.settle(held).await);
        let before = world.members[1].enclave.histories().await.unwrap()[0].until;
        for _ in 0..3 {
            world.mine(Vec::new());
        }
        world.catch_up().await;
        let (giver, node) = (world.members[0].key.clone(), world.members[1].node());
        node.service.heal(&node.service.default_tenant(), GROUP, Some(giver)).await.unwrap();
        let deadline = std::time::Instant::now() + DEADLINE;
        while world.members[1].enclave.histories().await.unwrap()[0].until == before {
            assert!(std::time::Instant::now() < deadline, "not healed");
            // No new block comes that the history could end with.
            world.catch_up().await;
            tokio::task::yield_now().await;
        }
        agree(&world, &[0, 1]);
    });
}
