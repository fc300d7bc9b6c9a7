//! What must hold once a simulation has settled.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use alloy_primitives::B256;
use coterie_core::{EnclaveKey, GroupId, PayloadKey, access::GroupFacts};
use coterie_node::{
    chain::BlockRef,
    enclave::{Enclave as _, HistoryEntry},
    service::PrivateReceipt,
    state::Reason,
};

use super::{
    member::{Member, Node, Place},
    model::{Content, Model, Observation, Outcome},
    operations::Simulation,
    transactions::Action,
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
    /// Markers that counted by a history, whatever the member had decided itself.
    pub(crate) by_history: usize,
    /// Alarms that named the right id.
    pub(crate) alarms: usize,
    /// Alarms about a member that its own state removed, which lacks what came after.
    pub(crate) removed_differ: usize,
    /// Groups of members that were rebuilt.
    pub(crate) rebuilt: usize,
    /// Newcomers at the end that agree.
    pub(crate) newcomers: usize,
    /// Transactions that saw something of the public chain that is otherwise now.
    pub(crate) outdated: usize,
    /// Rebuilt groups for which public state was read.
    pub(crate) rebuilt_with_reads: usize,
    /// Newcomers to such groups.
    pub(crate) newcomers_with_reads: usize,
    /// Members that agree on a group whose members a contract changed.
    pub(crate) by_contract: usize,
    /// Members that joined by a history that was given after confirmations, and agree.
    pub(crate) confirmed: usize,
    /// Members by two keys that agree.
    pub(crate) two_keys: usize,
    /// Members one of whose keys was removed, and that agree.
    pub(crate) one_key_left: usize,
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
        self.by_history += other.by_history;
        self.alarms += other.alarms;
        self.removed_differ += other.removed_differ;
        self.rebuilt += other.rebuilt;
        self.newcomers += other.newcomers;
        self.outdated += other.outdated;
        self.rebuilt_with_reads += other.rebuilt_with_reads;
        self.newcomers_with_reads += other.newcomers_with_reads;
        self.by_contract += other.by_contract;
        self.confirmed += other.confirmed;
        self.two_keys += other.two_keys;
        self.one_key_left += other.one_key_left;
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
    /// gives it a history. Or a contract added it, which only an offer tells it, and nobody offers
    /// to who was removed meanwhile.
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
    checked.outdated = outdated(&simulation.world, &model);

    agree(simulation, &model, &clean, &mut checked).await;
    receipts(&simulation.world, &model, &mut checked).await;
    alarms(&simulation.world, &mut checked).await;
    rebuilds(&mut simulation.world, &model, &mut checked).await;
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
            for (contract, value) in &group.numbers {
                let stored = member.node().view.state.group_snapshot(*id);
                let stored = stored.storage(*contract, alloy_primitives::U256::ZERO).unwrap();
                assert_eq!(stored, *value, "the number in {contract} of {id}");
            }
            roots.insert(record.root);
            checked.agreeing += 1;
            checked.joined += usize::from(!standing.founder);
            checked.by_contract += usize::from(group.changed_by_contract);
            checked.confirmed += usize::from(!standing.founder && world.confirmations() > 0);
            let keys =
                |members: &[EnclaveKey]| members.iter().filter(|key| member.holds(key)).count();
            let now = keys(&group.facts.members);
            checked.two_keys += usize::from(now > 1);
            let had_more = group.members_at.iter().any(|(_, members)| keys(members) > now);
            checked.one_key_left += usize::from(had_more);
        }
        assert!(roots.len() <= 1, "{} roots of {id}", roots.len());
    }
}

/// Who of a clean group has another state than the model; `None` when nobody has.
fn disagreement(world: &World, model: &Model, id: GroupId) -> Option<String> {
    let group = &model.groups[&id];
    world.members.iter().enumerate().find_map(|(number, member)| {
        let standing = standing(world, model, id, number)?;
        // A removed member keeps what it had, also while it waits to be told of its return. A
        // history ends with a whole block, also one that is given up to a removal; and one that was
        // given on a branch on which the member had returned is cut where that branch was left.
        let covered = member.node().view.following.covered.borrow().get(&id).copied();
        let end = standing.left.map_or(group.counted.len(), |(end, removal)| {
            let whole = |until: u64| group.counted.partition_point(|it| it.0.number <= until);
            match covered.filter(|until| until.number >= removal.number) {
                Some(until) if world.has_branches() => whole(until.number),
                Some(_) => whole(removal.number),
                None => end,
            }
        });
        let want = &group.counted[..end];
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
    let member = &world.members[number];
    // From the transaction that added it to the one that removed it.
    let mut spans: Vec<(usize, Option<usize>)> = Vec::new();
    for (at, members) in &group.members_at {
        match (spans.last_mut(), member.among(members).is_some()) {
            (None | Some((_, Some(_))), true) => spans.push((*at, None)),
            (Some((_, to @ None)), false) => *to = Some(*at),
            (None | Some((_, Some(_))), false) | (Some((_, None)), true) => {}
        }
    }
    let &(first, last) =
        spans.first().zip(spans.last()).map(|(first, last)| (first.0, last.1)).as_ref()?;
    let counted = spans.iter().flat_map(|(from, to)| {
        // Who was not to receive its addition, because the sender could not know whom a contract
        // would add, has it from the history.
        let told = |(_, payload): &(BlockRef, PayloadKey)| {
            world.payloads[payload].recipients.contains(&number)
        };
        let skipped = usize::from(*from > 0 && !group.counted.get(*from).is_some_and(told));
        let to = to.map_or(usize::MAX, |to| to + 1);
        group.counted.iter().take(to).skip(*from + skipped)
    });
    let mut counted = counted;
    Some(Standing {
        founder: first == 0 && spans.len() == 1,
        left: last.map(|last| (last + 1, group.counted[last].0)),
        fleeting: spans.last().is_some_and(|(from, to)| {
            let through = |payload: &PayloadKey| match &world.payloads[payload].content {
                Content::Transaction(sent) => matches!(sent.action, Action::Through(..)),
                Content::Broken(_) => false,
            };
            to.is_some_and(|to| {
                let (block, payload) = &group.counted[*from];
                *block == group.counted[to].0 || through(payload)
            })
        }),
        clean: counted.all(|(block, payload)| world.in_time(number, *payload, *block)),
    })
}

/// Every marker that a member could judge has a receipt with the model's word.
async fn receipts(world: &World, model: &Model, checked: &mut Checked) {
    for (number, member) in world.members.iter().enumerate() {
        let histories = member.enclave.histories().await.unwrap();
        let covered = |outcome: &Outcome| {
            let following = &member.node().view.following;
            outcome.group.is_some_and(|group| following.is_covered(group, outcome.block))
        };
        for outcome in &model.outcomes {
            let standing = outcome.group.map(|group| standing(world, model, group, number));
            let decides = model.decided(outcome.key).is_some_and(|it| it.marker == outcome.marker);
            match standing {
                Some(None) => continue,
                Some(Some(standing)) => {
                    let left =
                        standing.left.is_some_and(|(_, it)| it.number <= outcome.block.number);
                    if !standing.founder || left {
                        continue;
                    }
                    // A founder that took over a history all the same goes by it: a node whose
                    // other key was added, or one whose own state said that it had been removed.
                    let entry =
                        |it: &HistoryEntry| (it.block, it.key) == (outcome.block, outcome.key);
                    let listed = histories
                        .iter()
                        .any(|it| Some(it.group) == outcome.group && it.entries.iter().any(entry));
                    if covered(outcome) && decides && !listed {
                        left_out(world, number, outcome, checked).await;
                        continue;
                    }
                    if !standing.clean && covered(outcome) {
                        if decides && !outcome.group.is_some_and(|it| member.node().is_joining(it))
                        {
                            let receipt = member.node().receipt(outcome.marker).await;
                            let reason = receipt.expect("a receipt").reason;
                            let overridden = [Reason::Late, Reason::NotInHistory].contains(&reason);
                            assert!(!overridden, "{number}: {reason:?} for {outcome:?}");
                            checked.by_history += 1;
                        }
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

/// A deciding marker that the accepted history does not have says so, whenever its payload came.
async fn left_out(world: &World, number: usize, outcome: &Outcome, checked: &mut Checked) {
    let node = world.members[number].node();
    let arrived = world.payloads[&outcome.key].arrived.contains_key(&number);
    if !arrived || outcome.group.is_some_and(|group| node.is_joining(group)) {
        return;
    }
    let receipt = node.receipt(outcome.marker).await.expect("a receipt");
    assert_eq!(receipt.reason, Reason::NotInHistory, "{number}: {outcome:?}");
    *checked.receipts.entry(Reason::NotInHistory.word()).or_default() += 1;
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
            // A node asks by one of its keys.
            let Some(me) = member.among(&facts.members) else { continue };
            for key in facts.members.iter().filter(|key| !member.holds(key)) {
                let other = world.members[world.member_of(key)].node();
                let theirs = other.view.state.group_at(group, record.block.number).unwrap();
                let Some(theirs) = theirs.filter(|_| !other.is_joining(group)) else { continue };
                let answers = other.facts_at(&theirs).is_some_and(|it| it.members.contains(me));
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
                let places = (node.places(group, until), other.places(group, until));
                assert_eq!(Some(first), first_difference(&places.0, &places.1), "the first id");
                // Who was removed by its own state has what everybody had until then, and lacks
                // what came after, whoever sent it, until it takes over the history; or it was
                // added again by somebody who cheated.
                let member = |it: &GroupFacts| {
                    world.members[world.member_of(key)].among(&it.members).is_some()
                };
                let removed = other.facts_at(&theirs).is_some_and(|facts| !member(&facts))
                    && places.0.starts_with(&places.1);
                assert!(
                    world.payloads[&first.1].cheated || removed,
                    "an honest sender is blamed: {first:?}, by {} of {}:\n{:#?}\n{:#?}",
                    world.member_of(me),
                    world.member_of(key),
                    places.0,
                    places.1,
                );
                match removed {
                    true => checked.removed_differ += 1,
                    false => checked.alarms += 1,
                }
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
/// payloads included, and says the same of every marker. Nobody helps it.
async fn rebuilds(world: &mut World, model: &Model, checked: &mut Checked) {
    world.catch_up().await;
    world.network.tamper(Some(Arc::new(|_, _, _| Err("a rebuild is alone".to_owned()))));
    for (number, member) in world.members.iter().enumerate() {
        let before = member.enclave.position().await.unwrap();
        let mut rebuilt = member.rebuilt();
        rebuilt.follower.catch_up().await.expect("rebuilt");
        assert_eq!(member.enclave.position().await.unwrap(), before, "the position moved");
        let node = member.node();
        let known = |node: &Node| node.view.state.groups();
        let groups: BTreeSet<_> = known(node).into_iter().chain(known(&rebuilt)).collect();
        for group in groups {
            if node.is_joining(group) {
                continue;
            }
            assert!(!rebuilt.is_joining(group), "{number}: the rebuild lost {group}");
            assert_eq!(
                rebuilt.counted(group),
                node.counted(group),
                "{number}: what counted in {group}"
            );
            assert_eq!(rebuilt.root(group), node.root(group), "{number}: the root of {group}");
            checked.rebuilt += 1;
            checked.rebuilt_with_reads += usize::from(reads(member, model, group).await);
        }
        for outcome in &model.outcomes {
            if outcome.group.is_some_and(|group| node.is_joining(group)) {
                continue;
            }
            let receipt = node.receipt(outcome.marker).await.map(what);
            let again = rebuilt.receipt(outcome.marker).await.map(what);
            assert_eq!(again, receipt, "{number}: the rebuild says otherwise: {outcome:?}");
        }
    }
    world.network.tamper(None);
}

/// What a receipt says of a marker, and of the one that decided.
fn what(receipt: PrivateReceipt) -> (Reason, Option<B256>, Option<Reason>) {
    (receipt.reason, receipt.decided_by, receipt.outcome)
}

/// Whether the member has what a transaction that counted read of public state.
async fn reads(member: &Member, model: &Model, group: GroupId) -> bool {
    for seen in model.observations.iter().filter(|seen| seen.group == group) {
        let recorded = member.enclave.recorded_reads(group, seen.block.hash).await.unwrap();
        if !recorded.is_empty() {
            return true;
        }
    }
    false
}

/// How many transactions saw something of the public chain that has changed since.
fn outdated(world: &World, model: &Model) -> usize {
    let now = world.head().public;
    let changed = |it: &&Observation| now.look(it.look).is_some_and(|value| value != it.seen);
    model.observations.iter().filter(changed).count()
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
            .filter(|member| member.among(&model.groups[group].facts.members).is_some())
            .map(|member| member.node().root(*group))
            .collect();
        assert_eq!(roots.len(), 1, "roots with the newcomer");
        checked.newcomers += 1;
        let newcomer = &simulation.world.members[newcomer];
        checked.newcomers_with_reads += usize::from(reads(newcomer, &model, *group).await);
    }
}
