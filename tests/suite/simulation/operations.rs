//! What happens in one simulation: chosen by a seed, written to a log.

mod membership;
mod observing;

use std::collections::BTreeSet;

use alloy_primitives::{Address, B256};
use coterie_core::{EnclaveKey, GroupId, PayloadKey, contract_address, wire::PrefixedPayload};
use coterie_node::{
    chain::BlockRef,
    enclave::{Enclave as _, signature},
    state::Reason,
};
use rand::{
    Rng as _, SeedableRng as _,
    seq::{IndexedRandom as _, IteratorRandom as _, SliceRandom as _},
};
use rand_chacha::ChaCha8Rng;

use super::{
    model::Content,
    transactions::Action,
    world::{Draft, Pending, Sealed, World, WorldOptions},
};

/// What can happen; each must happen often enough over all seeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Event {
    Withheld,
    Partial,
    Late,
    Doubled,
    Equivocating,
    InFlight,
    Restart,
    Crash,
    Reorg,
    Join,
    Rejoin,
    Copied,
    Duplicate,
    Junk,
    Broken,
    Lag,
    Interleaved,
    /// A transaction reads public state.
    Observe,
    /// A rebuild finds no old state on the chain.
    Pruned,
    /// A contract is made the owner of a group.
    HandOver,
    /// A contract adds.
    AddThrough,
    /// A contract removes.
    RemoveThrough,
    /// A node finds out by itself whom a contract will add.
    Recipient,
    /// A history is given after confirmations.
    Confirmed,
    /// A node is a member by both of its keys.
    TwoKeys,
    /// One of a node's keys is removed, the other stays.
    KeyRemoved,
}

impl Event {
    /// All of them.
    pub(crate) const ALL: [Self; 26] = [
        Self::Withheld,
        Self::Partial,
        Self::Late,
        Self::Doubled,
        Self::Equivocating,
        Self::InFlight,
        Self::Restart,
        Self::Crash,
        Self::Reorg,
        Self::Join,
        Self::Rejoin,
        Self::Copied,
        Self::Duplicate,
        Self::Junk,
        Self::Broken,
        Self::Lag,
        Self::Interleaved,
        Self::Observe,
        Self::Pruned,
        Self::HandOver,
        Self::AddThrough,
        Self::RemoveThrough,
        Self::Recipient,
        Self::Confirmed,
        Self::TwoKeys,
        Self::KeyRemoved,
    ];
}

/// A group as the test knows it, without judging what of it was executed.
#[derive(Clone, Debug)]
struct KnownGroup {
    id: GroupId,
    owner: u64,
    emitters: Vec<Address>,
    observers: Vec<Address>,
    /// Who was ever removed.
    removed: BTreeSet<EnclaveKey>,
}

/// An envelope that comes too late.
struct Delayed {
    key: PayloadKey,
    to: usize,
    envelope: Vec<u8>,
}

/// One simulation.
pub(crate) struct Simulation {
    pub(crate) world: World,
    pub(crate) events: BTreeSet<Event>,
    pub(crate) log: Vec<String>,
    random: ChaCha8Rng,
    /// Members that take part; the last one of the world comes at the end.
    playing: usize,
    /// How likely a send is not honest.
    dishonesty: f64,
    groups: Vec<KnownGroup>,
    pool: Vec<Pending>,
    delayed: Vec<Delayed>,
    /// Members that do not follow for so many steps.
    lag: Vec<u32>,
    next_account: u64,
}

/// Accounts who only watch the chain.
const OUTSIDERS: std::ops::Range<u64> = 1..4;
/// The first number of each member's own marker signer.
const SIGNERS: u64 = 100;
/// Private accounts that members share, besides the owners.
const ACCOUNTS: std::ops::Range<u64> = 200..203;

impl Simulation {
    /// Prepares the simulation of a seed.
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let playing = random.random_range(3..=5);
        let dishonesty = if random.random_bool(0.4) { 0.0 } else { 0.12 };
        let confirmations = if random.random_bool(0.3) { random.random_range(1..=3) } else { 0 };
        let options = WorldOptions {
            members: playing + 1,
            two_keys: random.random_bool(0.5).then(|| random.random_range(0..playing)),
            public: true,
            confirmations,
            finalized: false,
        };
        Self {
            world: World::with_options(options, |_| {}),
            events: BTreeSet::new(),
            log: Vec::new(),
            random,
            playing,
            dishonesty,
            groups: Vec::new(),
            pool: Vec::new(),
            delayed: Vec::new(),
            lag: vec![0; playing + 1],
            next_account: 1_000,
        }
    }

    /// Does everything up to the end, and lets it settle.
    pub(crate) async fn run(&mut self) {
        let steps = self.random.random_range(28..50);
        for _ in 0..steps {
            self.step().await;
        }
        while !self.pool.is_empty() {
            self.mine().await;
        }
        for delayed in std::mem::take(&mut self.delayed) {
            self.bring(delayed).await;
        }
        self.lag.fill(0);
        self.follow().await;
    }

    async fn step(&mut self) {
        match self.random.random_range(0..100) {
            0..8 => self.create().await,
            8..25 => self.store().await,
            25..35 => self.observe().await,
            35..38 => self.deploy().await,
            38..42 => self.hand_over().await,
            42..54 => self.change_members().await,
            54..57 => self.junk(),
            57..60 => self.copy(),
            60..63 => self.broken().await,
            63..66 => self.restart().await,
            66..68 => self.crash().await,
            68..71 => self.reorg().await,
            71..74 => self.delay(),
            74..78 => self.mark_again(),
            _ => self.mine().await,
        }
        self.bring_delayed().await;
        self.follow().await;
    }

    fn note(&mut self, line: String) {
        self.log.push(line);
    }

    fn happened(&mut self, event: Event) {
        self.events.insert(event);
    }

    // What members send.

    async fn create(&mut self) {
        if self.groups.len() >= 3 {
            return self.store().await;
        }
        let from = self.random.random_range(0..self.playing);
        let key = self.world.members[from].keys.choose(&mut self.random).cloned();
        let Some(key) = key else { return };
        let mut keys = vec![key.clone()];
        for other in self.playing_keys() {
            if other != key && self.random.random_bool(0.6) {
                keys.push(other);
            }
        }
        let id = GroupId(B256::from(self.random.random::<[u8; 32]>()));
        let owner = self.new_account();
        self.groups.push(KnownGroup {
            id,
            owner,
            emitters: Vec::new(),
            observers: Vec::new(),
            removed: BTreeSet::new(),
        });
        let mut draft = Draft {
            group: id,
            from,
            key,
            account: owner,
            nonce: 0,
            version: B256::ZERO,
            action: Action::Add(keys.clone()),
            to: keys.clone(),
            signer: self.signer(from),
        };
        self.note(format!("{from} creates {id} with {} members", keys.len()));
        self.send_as_it_comes(&draft).await;
        if self.random.random_bool(0.7) {
            draft.action = Action::Deploy;
            // The version after creation is known only once it is followed.
            self.mine().await;
            self.follow().await;
            self.deploy().await;
        }
    }

    async fn deploy(&mut self) {
        let Some((group, from)) = self.group_and_member() else { return };
        let Some(mut draft) = self.draft(group, from, self.groups[group].owner) else { return };
        draft.action = Action::Deploy;
        let account = self.world.account(draft.account).address();
        self.groups[group].emitters.push(contract_address(account, draft.nonce, draft.group));
        self.note(format!("{from} deploys in {}", draft.group));
        self.send_as_it_comes(&draft).await;
    }

    async fn store(&mut self) {
        let Some((group, from)) = self.group_and_member() else { return };
        let account = ACCOUNTS.choose(&mut self.random).unwrap_or(ACCOUNTS.start);
        let Some(mut draft) = self.draft(group, from, account) else { return };
        let emitter = self.groups[group].emitters.choose(&mut self.random).copied();
        let value = self.random.random_range(1..1_000_000);
        draft.action = Action::Store(emitter.unwrap_or(Address::repeat_byte(0xee)), value);
        if self.random.random_bool(0.04) {
            draft.nonce += 1;
        }
        self.note(format!("{from} stores {value} in {}", draft.group));
        self.send_as_it_comes(&draft).await;
    }

    /// A transaction of a member in a group that it is a member of by its own state.
    fn draft(&mut self, group: usize, from: usize, account: u64) -> Option<Draft> {
        let id = self.groups[group].id;
        let facts = self.world.members[from].node().facts(id)?;
        let address = self.world.account(account).address();
        let waiting = self.pending().filter(|sent| sent.0 == id && sent.1 == address).count();
        let nonce = self.world.members[from].node().nonce(id, address) + waiting as u64;
        let member = &self.world.members[from];
        let mine = facts.members.iter().filter(|key| member.holds(key));
        let key = mine.choose(&mut self.random).unwrap_or(&member.key).clone();
        Some(Draft {
            group: id,
            from,
            key,
            account,
            nonce,
            version: facts.version,
            action: Action::Lock,
            to: facts.members.clone(),
            signer: self.signer(from),
        })
    }

    /// Group and account of the transactions whose markers wait, each once.
    fn pending(&self) -> impl Iterator<Item = (GroupId, Address, bool)> {
        let keys: BTreeSet<PayloadKey> =
            self.pool.iter().filter_map(|it| PayloadKey::from_slice(&it.data).ok()).collect();
        keys.into_iter().filter_map(|key| match &self.world.payloads.get(&key)?.content {
            Content::Transaction(sent) => {
                Some((sent.group, sent.account, sent.action.is_membership()))
            }
            Content::Broken(_) => None,
        })
    }

    /// A group with one of those who see themselves as members of it.
    fn group_and_member(&mut self) -> Option<(usize, usize)> {
        let group = (0..self.groups.len()).choose(&mut self.random)?;
        let id = self.groups[group].id;
        let members: Vec<usize> = (0..self.playing)
            .filter(|number| {
                let member = &self.world.members[*number];
                let facts = member.node().facts(id).filter(|_| !member.node().is_joining(id));
                facts.is_some_and(|facts| member.among(&facts.members).is_some())
            })
            .collect();
        Some((group, *members.choose(&mut self.random)?))
    }

    /// All keys of those that take part.
    fn playing_keys(&self) -> Vec<EnclaveKey> {
        let playing = self.world.members.iter().take(self.playing);
        playing.flat_map(|member| member.keys.clone()).collect()
    }

    fn signer(&mut self, from: usize) -> Option<u64> {
        match self.random.random_range(0..10) {
            0 => None,
            1..4 => Some(SIGNERS + from as u64),
            _ => Some(self.new_account()),
        }
    }

    fn new_account(&mut self) -> u64 {
        self.next_account += 1;
        self.next_account
    }

    // How it is delivered and marked.

    async fn send_as_it_comes(&mut self, draft: &Draft) {
        let membership = draft.action.is_membership();
        let in_flight =
            |sent: (GroupId, Address, bool)| sent.0 == draft.group && (membership || sent.2);
        if self.pending().any(in_flight) {
            self.happened(Event::InFlight);
        }
        let dishonest = self.random.random_bool(self.dishonesty);
        if dishonest && matches!(draft.action, Action::Store(..)) && self.random.random_bool(0.6) {
            return self.equivocate(draft).await;
        }
        let sealed = self.seal(draft).await;
        self.mark(sealed.key, draft);
        if !dishonest || sealed.envelopes.is_empty() {
            let times = if self.random.random_bool(0.08) { 2 } else { 1 };
            for _ in 0..times {
                self.deliver(&sealed, |_| true).await;
            }
            if times == 2 && !sealed.envelopes.is_empty() {
                self.happened(Event::Doubled);
                self.note("  delivered twice".to_owned());
            }
            return;
        }
        self.cheat(sealed).await;
    }

    async fn cheat(&mut self, sealed: Sealed) {
        self.cheated(sealed.key);
        let chosen: BTreeSet<usize> = sealed
            .envelopes
            .iter()
            .filter_map(|(to, _)| self.random.random_bool(0.5).then_some(*to))
            .collect();
        match self.random.random_range(0..3) {
            0 => {
                self.happened(Event::Withheld);
                self.note(format!("  withheld: {}", sealed.key.0));
            }
            1 if !chosen.is_empty()
                && sealed.envelopes.iter().any(|it| !chosen.contains(&it.0)) =>
            {
                self.happened(Event::Partial);
                self.note(format!("  only for {chosen:?}: {}", sealed.key.0));
                self.deliver(&sealed, |to| chosen.contains(&to)).await;
            }
            _ => {
                self.note(format!("  late, except for {chosen:?}: {}", sealed.key.0));
                self.deliver(&sealed, |to| chosen.contains(&to)).await;
                for (to, envelope) in sealed.envelopes {
                    if !chosen.contains(&to) {
                        self.delayed.push(Delayed { key: sealed.key, to, envelope });
                    }
                }
            }
        }
    }

    /// Two transactions with one nonce, each for a part of the members.
    async fn equivocate(&mut self, draft: &Draft) {
        let me = &self.world.members[draft.from];
        let others: Vec<EnclaveKey> =
            draft.to.iter().filter(|key| !me.holds(key)).cloned().collect();
        let (first, second): (Vec<_>, Vec<_>) =
            others.into_iter().partition(|_| self.random.random_bool(0.5));
        if first.is_empty() || second.is_empty() {
            let sealed = self.world.seal(draft).await;
            self.mark(sealed.key, draft);
            return self.deliver(&sealed, |_| true).await;
        }
        self.happened(Event::Equivocating);
        for (to, add) in [(first, 1), (second, 2)] {
            let mut draft = Draft { to, ..draft.clone() };
            if let Action::Store(_, value) = &mut draft.action {
                *value += add;
            }
            let sealed = self.world.seal(&draft).await;
            self.note(format!("  equivocating: {} to {:?}", sealed.key.0, draft.to.len()));
            self.cheated(sealed.key);
            self.deliver(&sealed, |_| true).await;
            self.mark(sealed.key, &draft);
        }
    }

    fn cheated(&mut self, key: PayloadKey) {
        if let Some(known) = self.world.payloads.get_mut(&key) {
            known.cheated = true;
        }
    }

    async fn deliver(&mut self, sealed: &Sealed, to: impl Fn(usize) -> bool) {
        for (number, envelope) in sealed.envelopes.iter().filter(|(number, _)| to(*number)) {
            self.world.deliver(sealed.key, *number, envelope).await;
        }
    }

    fn mark(&mut self, key: PayloadKey, draft: &Draft) {
        let signer = draft.signer.unwrap_or(SIGNERS + draft.from as u64);
        self.pool.push(Pending { data: key.as_slice().to_vec(), signer });
        self.note(format!("  nonce {}, marker of {} by {signer}", draft.nonce, key.0));
    }

    /// Late payloads arrive once their marker's block was followed.
    async fn bring_delayed(&mut self) {
        let canonical = self.world.canonical();
        let mined = |key: PayloadKey| -> Option<BlockRef> {
            let marks = |data: &[u8]| data == key.as_slice();
            let block = canonical.iter().find(|it| it.markers.iter().any(|it| marks(&it.data)))?;
            Some(block.at)
        };
        let is_due = |delayed: &Delayed| {
            let followed = self.world.members[delayed.to].followed();
            let block = mined(delayed.key).zip(followed);
            block.is_some_and(|(block, followed)| self.world.is_ancestor(block, followed))
        };
        let (due, wait): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.delayed).into_iter().partition(is_due);
        self.delayed = wait;
        for delayed in due {
            if self.random.random_bool(0.4) {
                self.happened(Event::Late);
                self.bring(delayed).await;
            } else {
                self.delayed.push(delayed);
            }
        }
    }

    async fn bring(&mut self, delayed: Delayed) {
        let Delayed { key, to, envelope } = delayed;
        self.note(format!("{} arrives at {to} late", key.0));
        self.world.deliver(key, to, &envelope).await;
    }

    // What others do on the chain.

    fn junk(&mut self) {
        self.happened(Event::Junk);
        let signer = OUTSIDERS.choose(&mut self.random).unwrap_or(1);
        let known = self.world.payloads.keys().min().copied();
        let data = match self.random.random_range(0..4) {
            0 => self.random.random::<[u8; 32]>().to_vec(),
            1 => {
                let length = *[0, 31, 33, 63, 65].choose(&mut self.random).unwrap_or(&0);
                vec![7; length]
            }
            2 => known.map_or(vec![0; 64], |key| [key.as_slice(), key.as_slice()].concat()),
            // What an empty marker would be.
            _ => vec![0; 32],
        };
        self.note(format!("{signer} marks {} bytes of junk", data.len()));
        self.pool.push(Pending { data, signer });
    }

    /// An outsider marks an id that waits in the pool, before its sender.
    fn copy(&mut self) {
        let ids = self.pool.iter().enumerate().filter(|(_, it)| it.data.len() == 32);
        let Some((at, data)) = ids.map(|(at, it)| (at, it.data.clone())).choose(&mut self.random)
        else {
            return;
        };
        let signer = OUTSIDERS.choose(&mut self.random).unwrap_or(1);
        let pending = match self.random.random_bool(0.3) {
            // The owner of the second half of such a marker has no say.
            true => Pending { data: [data.clone(), data].concat(), signer },
            false => Pending { data, signer },
        };
        self.happened(Event::Copied);
        self.note(format!("{signer} copies a waiting marker, {} bytes", pending.data.len()));
        let at = if self.random.random_bool(0.7) { at } else { self.pool.len() };
        self.pool.insert(at, pending);
    }

    /// A sender marks again what it marked before.
    fn mark_again(&mut self) {
        let canonical = self.world.canonical();
        let mined = canonical.iter().flat_map(|block| &block.pending);
        let ids = mined.chain(&self.pool).filter(|it| it.data.len() == 32).cloned();
        let Some(pending) = ids.choose(&mut self.random) else { return };
        self.happened(Event::Duplicate);
        self.note(format!("{} marks again", pending.signer));
        self.pool.push(pending);
    }

    /// A payload that opens and is not what the rules want.
    async fn broken(&mut self) {
        let Some((group, from)) = self.group_and_member() else { return };
        let Some(mut draft) = self.draft(group, from, ACCOUNTS.start) else { return };
        draft.action = Action::Store(Address::repeat_byte(0xee), 666);
        let signer = self.new_account();
        let address = self.world.account(signer).address();
        let sent = self.world.sent(&draft);
        let text = super::transactions::text(&sent.signed, sent.version);
        let digest =
            coterie_core::wire::marker_signature_digest(self.world.definition.hash(), address);
        let good = signature::sign(self.world.members[from].pair.secret(), &digest.0);
        let mut payload = PrefixedPayload { marker_signer: address, signature: good, text };
        let (what, signer_known, reason) = match self.random.random_range(0..3) {
            0 => ("wrong zeros", Address::ZERO, Reason::Undecodable),
            1 => {
                payload.text = b"no base64, and nothing else either!".as_slice().into();
                ("an undecodable text", address, Reason::Undecodable)
            }
            _ => {
                payload.signature[7] ^= 1;
                ("a wrong signature", address, Reason::EnclaveSignature)
            }
        };
        let mut plain = payload.encode();
        if signer_known.is_zero() {
            plain[3] = 1;
        }
        self.happened(Event::Broken);
        let content = (signer_known, Content::Broken(reason));
        let key = self.world.plant((from, &draft.to), &plain, content).await;
        self.note(format!("{from} sends {what}: {}", key.0));
        self.pool.push(Pending { data: key.as_slice().to_vec(), signer });
    }

    // What happens to chain and members.

    async fn mine(&mut self) {
        if self.random.random_bool(0.1) {
            self.pool.shuffle(&mut self.random);
        }
        let count = match self.random.random_bool(0.7) {
            true => self.pool.len(),
            false => self.random.random_range(0..=self.pool.len()),
        };
        let pending: Vec<Pending> = self.pool.drain(..count).collect();
        let groups = pending.iter().filter_map(|it| {
            let key = PayloadKey::from_slice(&it.data).ok()?;
            match &self.world.payloads.get(&key)?.content {
                Content::Transaction(sent) => Some(sent.group),
                Content::Broken(_) => None,
            }
        });
        let mut groups: Vec<GroupId> = groups.collect();
        groups.dedup();
        let distinct: BTreeSet<_> = groups.iter().collect();
        if groups.len() > distinct.len() {
            self.happened(Event::Interleaved);
        }
        let at = self.world.mine(pending);
        self.note(format!("block {} with {count} markers", at.number));
    }

    async fn reorg(&mut self) {
        let depth = self.random.random_range(1..=5).min(self.world.head().at.number);
        if depth == 0 {
            return;
        }
        self.happened(Event::Reorg);
        let mut left = Vec::new();
        let mut parent = self.world.head().at.hash;
        for _ in 0..depth {
            let block = self.world.block(parent);
            left.splice(0..0, block.pending.clone());
            parent = block.parent;
        }
        if self.random.random_bool(0.3) {
            left.shuffle(&mut self.random);
        }
        // What is not mined again at once goes back into the pool, in front.
        left.append(&mut self.pool);
        self.pool = left;
        let length = depth + self.random.random_range(0..2);
        for _ in 0..length {
            let count = self.random.random_range(0..=self.pool.len());
            let pending: Vec<Pending> = self.pool.drain(..count).collect();
            parent = self.world.mine_on(parent, pending).hash;
        }
        self.world.chain.set_head(parent).expect("the new branch");
        let number = self.world.head().at.number;
        self.note(format!("reorg of {depth} blocks, head is {number}"));
    }

    fn delay(&mut self) {
        let member = self.random.random_range(0..=self.playing);
        self.lag[member] = self.random.random_range(2..8);
        self.happened(Event::Lag);
        self.note(format!("{member} stops following for {} steps", self.lag[member]));
    }

    async fn restart(&mut self) {
        let member = self.random.random_range(0..self.playing);
        self.happened(Event::Restart);
        if self.random.random_bool(0.3) {
            self.lose_state(member).await;
        } else {
            self.note(format!("{member} restarts"));
            self.world.members[member].restart().await;
        }
    }

    /// A member begins anew. The chain has no state of what it followed before, which it does not
    /// need, unless it waits for a history.
    async fn lose_state(&mut self, number: usize) {
        self.note(format!("{number} loses its state"));
        let head = self.world.chain.head();
        let member = &self.world.members[number];
        let joins = self.groups.iter().any(|group| member.node().is_joining(group.id));
        let known = member.followed().filter(|_| !joins);
        let known = known.map(|followed| self.world.common(followed, head).number);
        let member = &mut self.world.members[number];
        member.lose_state();
        let Some(known) = known else { return };
        self.events.insert(Event::Pruned);
        member.chain.set_oldest(known);
        member.catch_up().await.expect("followed again");
        member.chain.set_oldest(0);
    }

    /// A member ends in the middle of following, and starts again.
    async fn crash(&mut self) {
        let member = self.random.random_range(0..self.playing);
        let polls = self.random.random_range(1..6);
        if !self.pool.is_empty() {
            // So that there is something to follow.
            self.mine().await;
        }
        let ended = self.world.members[member].crash(polls).await;
        // At the head it is a restart only.
        self.happened(if ended { Event::Restart } else { Event::Crash });
        self.note(format!("{member} crashes after {polls} turns, done: {ended}"));
    }

    /// Those who do not lag follow to the head; tasks have their turn.
    async fn follow(&mut self) {
        for member in 0..self.world.members.len() {
            if self.lag[member] > 0 {
                self.lag[member] -= 1;
            } else {
                self.world.members[member].catch_up().await.expect("followed");
            }
        }
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
        let head = self.world.head().at.number;
        for member in &self.world.members {
            for history in member.enclave.histories().await.expect("histories") {
                let ends = history.until.number + self.world.confirmations();
                assert!(ends <= head, "a history was given too early: {:?}", history.until);
            }
        }
        let id = |group: &KnownGroup| group.id;
        for group in self.groups.iter().map(id).collect::<Vec<_>>() {
            if self.world.members.iter().any(|member| member.node().is_joining(group)) {
                self.happened(Event::Join);
                if self.world.confirmations() > 0 {
                    self.happened(Event::Confirmed);
                }
            }
        }
    }

    // The newcomer.

    /// Adds the member that did not take part to a group whose members agree; false when there is
    /// nobody who could.
    pub(crate) async fn add_newcomer(&mut self, group: GroupId) -> bool {
        let Some(at) = self.groups.iter().position(|known| known.id == group) else { return false };
        let newcomer = self.playing;
        let key = self.world.members[newcomer].key.clone();
        let model = self.world.model();
        let Some(facts) = model.groups.get(&group).map(|group| group.facts.clone()) else {
            return false;
        };
        let from = facts.members.first().map(|key| self.world.member_of(key));
        let Some(from) = from else { return false };
        self.note(format!("the newcomer {newcomer} is added to {group} by {from}"));
        let account = if facts.owner.is_some() { ACCOUNTS.start } else { self.groups[at].owner };
        let Some(mut draft) = self.draft(at, from, account) else { return false };
        let manage = |action| match facts.owner {
            Some(contract) => Action::Through(contract, vec![action]),
            None => action,
        };
        // All of its history was long ago.
        let head = self.world.chain.head().number;
        self.world.members[newcomer].chain.set_oldest(head);
        if !facts.locked {
            draft.action = manage(Action::Lock);
            self.send_in_block(&draft).await;
            draft.nonce += 1;
            // Before, no node can find out whom a contract will add.
            if facts.owner.is_some() {
                self.follow().await;
            }
        }
        draft.to.push(key.clone());
        draft.action = manage(Action::Add(vec![key]));
        self.send_in_block(&draft).await;
        true
    }

    async fn send_in_block(&mut self, draft: &Draft) {
        let sealed = self.seal(draft).await;
        self.deliver(&sealed, |_| true).await;
        self.mark(sealed.key, draft);
        let pending = std::mem::take(&mut self.pool);
        self.world.mine(pending);
    }
}
