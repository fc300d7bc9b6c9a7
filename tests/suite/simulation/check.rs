//! What must hold once a simulation has settled.

use std::collections::{BTreeMap, BTreeSet};

use coterie_core::{GroupId, PayloadKey};
use coterie_node::{chain::BlockRef, enclave::Enclave as _, state::Reason};

use super::{
    member::Place,
    model::{Model, Outcome},
    operations::Simulation,
    world::World,
};

/// What is checked, and how often it was: a check that never applies is none.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    /// Groups in which every payload that counted was in time for everybody.
    pub(crate) clean_groups: usize,
    /// Groups in which somebody cheated with effect.
    pub(crate) split_groups: usize,
    /// Members whose state equals the model's.
    pub(crate) agreeing: usize,
    /// Members that joined by history and agree.
    pub(crate) joined: usize,
    /// Receipts by reason.
    pub(crate) receipts: BTreeMap<&'static str, usize>,
    /// Alarms that named the right id.
    pub(crate) alarms: usize,
    /// Groups of members that were rebuilt.
    pub(crate) rebuilt: usize,
    /// Newcomers at the end that agree.
    pub(crate) newcomers: usize,
}

impl Checked {
    /// Adds what another simulation checked.
    pub(crate) fn add(&mut self, other: Self) {
        self.clean_groups += other.clean_groups;
        self.split_groups += other.split_groups;
        self.agreeing += other.agreeing;
        self.joined += other.joined;
        for (word, count) in other.receipts {
            *self.receipts.entry(word).or_default() += count;
        }
        self.alarms += other.alarms;
        self.rebuilt += other.rebuilt;
        self.newcomers += other.newcomers;
    }
}

/// How a member relates to a group, by the model.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Standing {
    /// It belongs to the group from its first transaction on, without a break until it left for
    /// good, if it did.
    founder: bool,
    /// How much counted up to its removal, and the removal's block; `None` while it is a member.
    left: Option<(usize, BlockRef)>,
    /// It was removed in the block that added it: no block ended with it as a member, so nobody
    /// gives it a history.
    fleeting: bool,
    /// Every payload that counted in its time was readable in time.
    clean: bool,
}

/// Checks everything.
pub(crate) async fn check(simulation: &mut Simulation) -> Checked {
    let mut checked = Checked::default();
    let model = simulation.world.model();
    let clean: BTreeSet<GroupId> = model
        .groups
        .keys()
        .copied()
        .filter(|group| is_clean(&simulation.world, &model, *group))
        .collect();
    checked.clean_groups = clean.len();
    checked.split_groups = model.groups.len() - clean.len();

    agree(simulation, &model, &clean, &mut checked).await;
    receipts(&simulation.world, &model, &mut checked).await;
    alarms(&simulation.world, &mut checked).await;
    rebuilds(&mut simulation.world, &mut checked).await;
    newcomers(simulation, &clean, &mut checked).await;
    checked
}

/// Members of clean groups, and members of others for whom everything was in time, have the
/// model's state.
async fn agree(
    simulation: &mut Simulation,
    model: &Model,
    clean: &BTreeSet<GroupId>,
    checked: &mut Checked,
) {
    let converged =
        |world: &World| clean.iter().all(|group| disagreement(world, model, *group).is_none());
    if !simulation.world.settle(converged).await {
        let found = clean.iter().find_map(|group| disagreement(&simulation.world, model, *group));
        panic!("no agreement: {}", found.unwrap_or_default());
    }
    let world = &simulation.world;
    for (id, group) in &model.groups {
        let mut roots = BTreeSet::new();
        for (number, member) in world.members.iter().enumerate() {
            let Some(standing) = standing(world, model, *id, number) else { continue };
            let counts = clean.contains(id) || (standing.founder && standing.clean);
            if !counts || standing.left.is_some() {
                continue;
            }
            let record = member.node().record(*id).expect("a known group");
            assert_eq!(member.node().counted(*id), group.counted, "what counted for {number}");
            assert_eq!(record.digest, group.digest());
            assert_eq!(record.counted, group.counted.len() as u64);
            let facts = member.node().facts(*id).expect("facts");
            assert_eq!(*facts, group.facts);
            for (emitter, value) in &group.emitters {
                let stored = member.node().view.state.group_snapshot(*id);
                let stored = stored.storage(*emitter, alloy_primitives::U256::ZERO).unwrap();
                assert_eq!(stored, alloy_primitives::U256::from(*value), "the stored number");
            }
            roots.insert(record.root);
            checked.agreeing += 1;
            checked.joined += usize::from(!standing.founder);
        }
        assert!(roots.len() <= 1, "{} roots of {id}", roots.len());
    }
}

/// Who of a clean group has another state than the model; `None` when nobody has.
fn disagreement(world: &World, model: &Model, id: GroupId) -> Option<String> {
    let group = &model.groups[&id];
    world.members.iter().enumerate().find_map(|(number, member)| {
        let standing = standing(world, model, id, number)?;
        // A removed member keeps what it had, also while it waits to be told of its return.
        let want = &group.counted[..standing.left.map_or(group.counted.len(), |left| left.0)];
        let have = member.node().counted(id);
        let joining = member.node().is_joining(id) && standing.left.is_none();
        let differ = have.iter().zip(want).position(|(have, want)| have != want);
        let complete = have == want || (standing.fleeting && want.starts_with(&have));
        (joining || !complete).then(|| {
            format!(
                "member {number} of {id} ({standing:?}, joining {joining}): {} of {} counted, \
                 first different {differ:?}",
                have.len(),
                want.len()
            )
        })
    })
}

/// Whether every payload that counted was in time for everybody it was for.
fn is_clean(world: &World, model: &Model, id: GroupId) -> bool {
    (0..world.members.len())
        .all(|number| standing(world, model, id, number).is_none_or(|standing| standing.clean))
}

/// How a member relates to a group; `None` when it never belonged to it.
fn standing(world: &World, model: &Model, id: GroupId, number: usize) -> Option<Standing> {
    let group = model.groups.get(&id)?;
    let key = &world.members[number].key;
    // From the transaction that added it to the one that removed it.
    let mut spans: Vec<(usize, Option<usize>)> = Vec::new();
    for (at, members) in &group.members_at {
        match (spans.last_mut(), members.contains(key)) {
            (None | Some((_, Some(_))), true) => spans.push((*at, None)),
            (Some((_, to @ None)), false) => *to = Some(*at),
            (None | Some((_, Some(_))), false) | (Some((_, None)), true) => {}
        }
    }
    let &(first, last) =
        spans.first().zip(spans.last()).map(|(first, last)| (first.0, last.1)).as_ref()?;
    let counted = spans.iter().flat_map(|(from, to)| {
        group.counted.iter().take(to.map_or(usize::MAX, |to| to + 1)).skip(*from)
    });
    let mut counted = counted;
    Some(Standing {
        founder: first == 0 && spans.len() == 1,
        left: last.map(|last| (last + 1, group.counted[last].0)),
        fleeting: spans.last().is_some_and(|(from, to)| {
            to.is_some_and(|to| group.counted[*from].0 == group.counted[to].0)
        }),
        clean: counted.all(|(block, payload)| world.in_time(number, *payload, *block)),
    })
}

/// Every marker that a member could judge has a receipt with the model's word.
async fn receipts(world: &World, model: &Model, checked: &mut Checked) {
    for (number, member) in world.members.iter().enumerate() {
        for outcome in &model.outcomes {
            let standing = outcome.group.map(|group| standing(world, model, group, number));
            match standing {
                Some(None) => continue,
                Some(Some(standing)) => {
                    let left =
                        standing.left.is_some_and(|(_, it)| it.number <= outcome.block.number);
                    if !standing.founder || left {
                        continue;
                    }
                    if !standing.clean {
                        late_receipt(world, model, number, outcome, checked).await;
                        continue;
                    }
                }
                // A payload that is no transaction belongs to no group.
                None => {}
            }
            if !world.in_time(number, outcome.key, outcome.block) {
                continue;
            }
            let receipt = member.node().receipt(outcome.marker).await;
            let receipt = receipt.unwrap_or_else(|| {
                panic!("{number} has no receipt: {outcome:?}");
            });
            assert_eq!(receipt.reason, outcome.reason, "{number}: {outcome:?}");
            assert_eq!(member.node().reason(outcome.marker), Some(outcome.reason));
            if matches!(outcome.reason, Reason::Duplicate | Reason::Copied) {
                let decided = model.decided(outcome.key);
                assert_eq!(
                    receipt.decided_by,
                    decided.map(|it| it.marker),
                    "{number}: {outcome:?}"
                );
                let late = |it: &Outcome| !world.in_time(number, it.key, it.block);
                let word = |it: &Outcome| if late(it) { Reason::Late } else { it.reason };
                assert_eq!(receipt.outcome, decided.map(word), "{number}: {outcome:?}");
            }
            *checked.receipts.entry(outcome.reason.word()).or_default() += 1;
        }
    }
}

/// A deciding marker whose payload came after its block says so for ever.
async fn late_receipt(
    world: &World,
    model: &Model,
    number: usize,
    outcome: &Outcome,
    checked: &mut Checked,
) {
    let member = world.members[number].node();
    let decides = model.decided(outcome.key).is_some_and(|it| it.marker == outcome.marker);
    let arrived = world.payloads[&outcome.key].arrived.contains_key(&number);
    let late = arrived && !world.in_time(number, outcome.key, outcome.block);
    if !decides || !late || outcome.group.is_some_and(|group| member.is_joining(group)) {
        return;
    }
    let receipt = member.receipt(outcome.marker).await.expect("a receipt");
    assert_eq!(receipt.reason, Reason::Late, "{number}: {outcome:?}");
    *checked.receipts.entry(Reason::Late.word()).or_default() += 1;
}

/// Members that differ are told so, with the first id on which they do, and that is one whose
/// sender cheated.
async fn alarms(world: &World, checked: &mut Checked) {
    for member in &world.members {
        let node = member.node();
        node.comparison.round().await.expect("compared");
        let divergences = node.comparison.divergences();
        for group in node.view.state.groups() {
            let Some(record) = node.record(group).filter(|_| !node.is_joining(group)) else {
                continue;
            };
            let Some(facts) = node.facts(group) else { continue };
            if !facts.members.contains(&member.key) {
                continue;
            }
            for key in facts.members.iter().filter(|key| **key != member.key) {
                let other = world.members[world.member_of(key)].node();
                let theirs = other.view.state.group_at(group, record.block.number).unwrap();
                let Some(theirs) = theirs.filter(|_| !other.is_joining(group)) else { continue };
                let answers =
                    other.facts_at(&theirs).is_some_and(|it| it.members.contains(&member.key));
                if !answers {
                    continue;
                }
                let alarm = divergences.get(&(group, key.clone()));
                if (theirs.root, theirs.digest) == (record.root, record.digest) {
                    assert_eq!(alarm, None, "an alarm without a reason");
                    continue;
                }
                let alarm = alarm.unwrap_or_else(|| panic!("no alarm for {group} with {key}"));
                assert_eq!((alarm.ours, alarm.theirs), (record.root, theirs.root));
                let first = alarm.first.expect("the first id");
                let until = record.block.number;
                let want =
                    first_difference(&node.places(group, until), &other.places(group, until));
                assert_eq!(Some(first), want, "the first id that differs");
                assert!(
                    world.payloads[&first.1].cheated,
                    "an honest sender is blamed: {first:?}, by {} of {}:\n{:#?}\n{:#?}",
                    world.member_of(&member.key),
                    world.member_of(key),
                    node.places(group, until),
                    other.places(group, until),
                );
                checked.alarms += 1;
            }
        }
    }
}

/// The first id on the chain that counted for one only.
fn first_difference(ours: &[Place], theirs: &[Place]) -> Option<(BlockRef, PayloadKey)> {
    let only = |these: &[Place], those: &[Place]| -> Option<Place> {
        these.iter().find(|it| !those.contains(it)).copied()
    };
    let first = match (only(ours, theirs), only(theirs, ours)) {
        (Some(a), Some(b)) => Some(if (a.0.number, a.1) < (b.0.number, b.1) { a } else { b }),
        (a, b) => a.or(b),
    };
    first.map(|(block, _, key)| (block, key))
}

/// A rebuild from the chain and the payload store gives each member its own state again, late
/// payloads included.
async fn rebuilds(world: &mut World, checked: &mut Checked) {
    world.catch_up().await;
    for (number, member) in world.members.iter().enumerate() {
        let before = member.enclave.position().await.unwrap();
        let mut rebuilt = member.rebuilt();
        rebuilt.follower.catch_up().await.expect("rebuilt");
        assert_eq!(member.enclave.position().await.unwrap(), before, "the position moved");
        let node = member.node();
        for group in node.view.state.groups() {
            if node.is_joining(group) || rebuilt.is_joining(group) {
                continue;
            }
            assert_eq!(
                rebuilt.counted(group),
                node.counted(group),
                "{number}: what counted in {group}"
            );
            assert_eq!(rebuilt.root(group), node.root(group), "{number}: the root of {group}");
            checked.rebuilt += 1;
        }
    }
}

/// A newcomer reaches the root of the members of every clean group.
async fn newcomers(simulation: &mut Simulation, clean: &BTreeSet<GroupId>, checked: &mut Checked) {
    for group in clean {
        simulation.world.catch_up().await;
        if !simulation.add_newcomer(*group).await {
            continue;
        }
        let model = simulation.world.model();
        let newcomer = simulation.world.members.len() - 1;
        let agreed = |world: &World| disagreement(world, &model, *group).is_none();
        if !simulation.world.settle(agreed).await {
            let found = disagreement(&simulation.world, &model, *group);
            panic!("the newcomer did not join: {}", found.unwrap_or_default());
        }
        let key = &simulation.world.members[newcomer].key;
        if !model.groups[group].facts.members.contains(key) {
            continue;
        }
        let roots: BTreeSet<_> = simulation
            .world
            .members
            .iter()
            .filter(|member| model.groups[group].facts.members.contains(&member.key))
            .map(|member| member.node().root(*group))
            .collect();
        assert_eq!(roots.len(), 1, "roots with the newcomer");
        checked.newcomers += 1;
    }
}
