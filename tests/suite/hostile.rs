//! What members, outsiders and givers of histories can do wrong, and what must come of it; and the
//! further cases of the protocol specification, 14.6, that need no network.
//!
//! Same parts as in the simulations: real enclaves, chain, execution and joining, no HTTP.

mod givers;
mod keys;
mod markers;
mod outage;
mod owners;
mod rules;
mod watching;

use std::{future::Future, time::Duration};

use alloy_primitives::{Address, B256};
use coterie_core::{EnclaveKey, GroupId, PayloadKey};
use coterie_node::state::Reason;

use crate::simulation::{Action, Draft, Pending, World};

/// How long anything may take that is waited for.
const DEADLINE: Duration = Duration::from_secs(60);

/// The number of the account that owns every group here.
const OWNER: u64 = 10;
/// Another account.
const OTHER: u64 = 11;
/// Somebody who only watches the chain.
const OUTSIDER: u64 = 12;
const GROUP: GroupId = GroupId(B256::repeat_byte(0x47));

/// Runs a test on a runtime of its own.
fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(test);
}

/// A transaction of `from` by the owner, for the group as that member sees it.
fn draft(world: &World, from: usize, action: Action) -> Draft {
    draft_by(world, (from, OWNER), action)
}

/// The same by any account.
fn draft_by(world: &World, (from, account): (usize, u64), action: Action) -> Draft {
    let address = world.account(account).address();
    let node = world.members[from].node();
    let facts = node.facts(GROUP);
    let nonce = node.nonce(GROUP, address);
    let (version, to) =
        facts.map_or((B256::ZERO, Vec::new()), |facts| (facts.version, facts.members.clone()));
    let signer = Some(1_000 + u64::from(u32::try_from(world.payloads.len()).unwrap()));
    let key = world.members[from].key.clone();
    Draft { group: GROUP, from, key, account, nonce, version, action, to, signer }
}

/// The keys of these members.
fn keys(world: &World, members: &[usize]) -> Vec<EnclaveKey> {
    members.iter().map(|member| world.members[*member].key.clone()).collect()
}

/// The marker of a payload by its signer.
fn marker(draft: &Draft, key: PayloadKey) -> Pending {
    Pending { data: key.as_slice().to_vec(), signer: draft.signer.unwrap() }
}

/// Sends honestly in a block of its own, which all members follow; the marker's hash.
async fn send(world: &mut World, draft: &Draft) -> B256 {
    let key = world.send(draft).await;
    world.mine(vec![marker(draft, key)]);
    world.catch_up().await;
    world.head().markers[0].hash
}

/// What the state of a member says of a marker.
fn reason(world: &World, member: usize, marker: B256) -> Option<Reason> {
    world.members[member].node().reason(marker)
}

/// A world in which the first `members` are a group with an emitter, which holds 1.
async fn group(world: &mut World, members: &[usize]) -> Address {
    let to = keys(world, members);
    let mut create = draft(world, members[0], Action::Add(to.clone()));
    create.to = to;
    let created = send(world, &create).await;
    assert_eq!(reason(world, members[0], created), Some(Reason::Executed));
    let deploy = draft(world, members[0], Action::Deploy);
    let owner = world.account(OWNER).address();
    let emitter = coterie_core::contract_address(owner, deploy.nonce, GROUP);
    send(world, &deploy).await;
    let store = draft(world, members[0], Action::Store(emitter, 1));
    let stored = send(world, &store).await;
    assert_eq!(reason(world, members[0], stored), Some(Reason::Executed));
    emitter
}

/// Locks the group and adds a member; the block with the addition is the head and not followed by
/// the added one.
async fn add(world: &mut World, by: usize, added: usize) {
    let lock = draft(world, by, Action::Lock);
    send(world, &lock).await;
    let mut add = draft(world, by, Action::Add(keys(world, &[added])));
    add.to.extend(keys(world, &[added]));
    let key = world.send(&add).await;
    world.mine(vec![marker(&add, key)]);
}

/// The number in the emitter, in a member's state.
fn stored(world: &World, member: usize, emitter: Address) -> u64 {
    let snapshot = world.members[member].node().view.state.group_snapshot(GROUP);
    snapshot.storage(emitter, alloy_primitives::U256::ZERO).unwrap().to()
}

/// These members have one root.
#[track_caller]
fn agree(world: &World, members: &[usize]) {
    let roots: Vec<_> = members.iter().map(|it| world.members[*it].node().root(GROUP)).collect();
    assert!(roots[0].is_some());
    assert!(roots.iter().all(|root| *root == roots[0]), "{roots:?}");
}
