//! Histories that are not what happened, that end in the middle, and a node that does.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use alloy_primitives::{B256, Bytes};
use coterie_core::EnclaveKey;
use coterie_node::{
    enclave::Enclave as _,
    service::messages::{self, HistoryPage},
    state::Reason,
};

use super::{GROUP, OTHER, add, agree, draft, draft_by, group, keys, marker, run, send, stored};
use crate::simulation::{Action, Tamper, World};

/// Members 0, 1 and 2 with a history of some length; 3 is added, and does not know it yet.
async fn with_newcomer() -> (World, alloy_primitives::Address) {
    let mut world = World::new(4);
    let emitter = group(&mut world, &[0, 1, 2]).await;
    for value in 2..6 {
        let store = draft(&world, 1, Action::Store(emitter, value));
        send(&mut world, &store).await;
    }
    add(&mut world, 0, 3).await;
    (world, emitter)
}

/// Answers of history by `liar` go through `change`; nobody else gives one. Counts the answers.
fn only_from(
    liar: EnclaveKey,
    change: impl Fn(HistoryPage) -> Result<HistoryPage, String> + Send + Sync + 'static,
) -> (Tamper, Arc<AtomicUsize>) {
    let given = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&given);
    let tamper: Tamper = Arc::new(move |giver, kind, answer: Bytes| {
        if kind != messages::HISTORY {
            return Ok(answer);
        }
        if *giver != liar {
            return Err("not now".to_owned());
        }
        counter.fetch_add(1, Ordering::SeqCst);
        let page: HistoryPage = messages::decode(&answer).unwrap();
        change(page).map(|page| messages::encode(&page))
    });
    (tamper, given)
}

/// The newcomer does not take what this giver gives, and takes the others' when they give it.
fn check(what: &'static str, change: impl Fn(HistoryPage) -> HistoryPage + Send + Sync + 'static) {
    run(async {
        let (mut world, emitter) = with_newcomer().await;
        let liar = world.members[0].key.clone();
        let (tamper, given) = only_from(liar, move |page| Ok(change(page)));
        world.network.tamper(Some(tamper));
        // Several times, so that what follows the last lie was judged too.
        let asked = world.settle(|_| given.load(Ordering::SeqCst) >= 6).await;
        assert!(asked, "{what}: was not asked again");
        assert!(world.members[3].node().is_joining(GROUP), "{what}: accepted");
        assert!(world.members[3].node().record(GROUP).is_none(), "{what}: accepted");
        assert!(world.members[3].enclave.histories().await.unwrap().is_empty());
        world.network.tamper(None);
        let joined = world.settle(|world| !world.members[3].node().is_joining(GROUP)).await;
        assert!(joined, "{what}: the others' history was not taken");
        assert_eq!(stored(&world, 3, emitter), 5);
        agree(&world, &[0, 1, 2, 3]);
    });
}

#[test]
fn a_changed_ciphertext_is_refused() {
    check("a changed ciphertext", |mut page| {
        let mut cipher = page.entries[3].cipher_text.to_vec();
        cipher[40] ^= 1;
        page.entries[3].cipher_text = cipher.into();
        page
    });
}

#[test]
fn another_payload_under_the_id_is_refused() {
    check("another payload", |mut page| {
        let other = page.entries[4].clone();
        let entry = &mut page.entries[3];
        (entry.cipher_text, entry.master_key) = (other.cipher_text, other.master_key);
        entry.nonce = other.nonce;
        page
    });
}

#[test]
fn an_id_that_the_chain_does_not_have_there_is_refused() {
    check("an id that was not marked there", |mut page| {
        // A whole and right payload, but marked elsewhere.
        let (block, index) = (page.entries[3].block, page.entries[3].index);
        let mut invented = page.entries[4].clone();
        (invented.block, invented.index) = (block, index + 1);
        page.entries.insert(4, invented);
        page.total += 1;
        page
    });
}

#[test]
fn a_wrong_block_is_refused() {
    check("a wrong block", |mut page| {
        page.entries[3].block.hash = B256::repeat_byte(1);
        page
    });
    check("a block of another number", |mut page| {
        page.entries[3].block.number += 1;
        page
    });
}

#[test]
fn a_wrong_order_is_refused() {
    check("a wrong order", |mut page| {
        page.entries.swap(3, 4);
        page
    });
    check("an entry twice", |mut page| {
        let twice = page.entries[3].clone();
        page.entries.insert(3, twice);
        page.total += 1;
        page
    });
}

#[test]
fn an_omission_shows_in_the_giver_s_own_root() {
    check("an omission", |mut page| {
        page.entries.remove(3);
        page.total -= 1;
        page
    });
    check("an end that is missing", |mut page| {
        page.entries.truncate(4);
        page.total = 4;
        page
    });
    check("nothing", |mut page| {
        page.entries.clear();
        page.total = 0;
        page
    });
}

#[test]
fn an_end_before_the_addition_is_refused() {
    check("an early end", |mut page| {
        page.until = page.entries[3].block;
        page.entries.truncate(4);
        page.total = 4;
        page
    });
}

#[test]
fn pages_that_do_not_fit_together_are_refused() {
    check("an empty page in the middle", |mut page| {
        page.entries.truncate(2);
        if page.entries[0].block.number > 1 {
            page.entries.clear();
        }
        page
    });
    check("a total beyond all limits", |mut page| {
        page.total = u64::MAX;
        page
    });
    check("a sender key of no length", |mut page| {
        page.entries[0].sender_key = Bytes::new();
        page
    });
}

#[test]
fn a_consistent_omission_shows_in_the_others_roots() {
    run(async {
        let mut world = World::new(4);
        let emitter = group(&mut world, &[0, 1, 2]).await;
        add(&mut world, 0, 3).await;
        world.members[0].catch_up().await.unwrap();
        // After the addition, for all who are members then; the newcomer does not follow yet.
        let store = draft_by(&world, (0, OTHER), Action::Store(emitter, 8));
        let before = world.members[0].node().record(GROUP).unwrap();
        let key = world.send(&store).await;
        world.mine(vec![marker(&store, key)]);
        for member in 0..3 {
            world.members[member].catch_up().await.unwrap();
        }
        // Leaves out the last one, and says the root and digest that follow from that.
        let liar = world.members[0].key.clone();
        let (root, digest) = (before.root, before.digest);
        let (tamper, given) = only_from(liar, move |mut page| {
            page.entries.pop();
            page.total -= 1;
            (page.root, page.digest) = (root, digest);
            Ok(page)
        });
        world.network.tamper(Some(tamper));
        let asked = world.settle(|_| given.load(Ordering::SeqCst) >= 6).await;
        assert!(asked && world.members[3].node().is_joining(GROUP));
        assert!(world.members[3].node().record(GROUP).is_none());
        world.network.tamper(None);
        assert!(world.settle(|world| !world.members[3].node().is_joining(GROUP)).await);
        assert_eq!(stored(&world, 3, emitter), 8);
        agree(&world, &[0, 1, 2, 3]);
    });
}

/// Gives one entry at a time.
fn small_pages(mut page: HistoryPage) -> HistoryPage {
    page.entries.truncate(1);
    page
}

#[test]
fn a_history_that_stops_in_the_middle_is_asked_for_again() {
    run(async {
        let (mut world, emitter) = with_newcomer().await;
        let giver = world.members[0].key.clone();
        let count = AtomicUsize::new(0);
        let (tamper, given) = only_from(giver, move |page| {
            // Three times it breaks off after some pages.
            match count.fetch_add(1, Ordering::SeqCst) {
                3 | 8 | 9 => Err("gone".to_owned()),
                _ => Ok(small_pages(page)),
            }
        });
        world.network.tamper(Some(tamper));
        assert!(world.settle(|world| world.members[3].node().record(GROUP).is_some()).await);
        assert!(given.load(Ordering::SeqCst) > 10);
        assert_eq!(stored(&world, 3, emitter), 5);
        agree(&world, &[0, 1, 2, 3]);
    });
}

#[test]
fn a_node_that_ends_while_it_takes_a_history_takes_it_again() {
    run(async {
        // After so many pages.
        for pages in 0..6 {
            let (mut world, emitter) = with_newcomer().await;
            let (tamper, given) =
                only_from(world.members[0].key.clone(), |page| Ok(small_pages(page)));
            world.network.tamper(Some(tamper));
            assert!(world.settle(|_| given.load(Ordering::SeqCst) >= pages).await);
            world.members[3].restart().await;
            assert!(world.settle(|world| world.members[3].node().record(GROUP).is_some()).await);
            assert_eq!(stored(&world, 3, emitter), 5);
            agree(&world, &[0, 1, 2, 3]);
        }
    });
}

/// The newcomer has stored the history, and ended before its state was replaced.
async fn ended_after_storing() -> (World, alloy_primitives::Address) {
    // The store has a thread of its own, which may be done before the newcomer ends.
    for _ in 0..50 {
        let (mut world, emitter) = with_newcomer().await;
        world.members[0].catch_up().await.unwrap();
        world.members[3].catch_up().await.unwrap();
        // The task brings the history meanwhile; the first turn stores it and no more.
        world.let_tasks_work().await;
        let ended = world.members[3].crash(1).await;
        if ended || world.members[3].node().record(GROUP).is_some() {
            continue;
        }
        // What the store was told before the end is on its way.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while std::time::Instant::now() < deadline {
            if !world.members[3].enclave.histories().await.unwrap().is_empty() {
                return (world, emitter);
            }
        }
    }
    panic!("it never ended in the middle");
}

#[test]
fn a_history_that_was_stored_before_the_node_ended_is_not_asked_for_again() {
    run(async {
        let (mut world, emitter) = ended_after_storing().await;
        // Nobody gives it any more.
        world.network.tamper(Some(Arc::new(|_, kind, answer| {
            if kind == messages::HISTORY { Err("gone".to_owned()) } else { Ok(answer) }
        })));
        assert!(world.settle(|world| world.members[3].node().record(GROUP).is_some()).await);
        assert_eq!(world.members[3].enclave.histories().await.unwrap().len(), 1);
        assert_eq!(stored(&world, 3, emitter), 5);
        agree(&world, &[0, 1, 2, 3]);
    });
}

#[test]
fn strangers_and_removed_members_get_what_is_theirs() {
    run(async {
        let mut world = World::new(4);
        let emitter = group(&mut world, &[0, 1, 2]).await;
        let remove = draft(&world, 0, Action::Remove(world.members[2].key.clone()));
        send(&mut world, &remove).await;
        let until = world.chain.head();
        let store = draft(&world, 0, Action::Store(emitter, 9));
        send(&mut world, &store).await;
        let keys = keys(&world, &[0, 2, 3]);
        let ask = |from: usize, kind: &'static str, body: Bytes| {
            let enclave = Arc::clone(&world.members[[0, 2, 3][from]].enclave);
            let (from, to) = (keys[from].clone(), keys[0].clone());
            async move { enclave.ask(&from, &to, kind, body).await }
        };
        let request = || {
            let request = messages::HistoryRequest { group: GROUP.0, from: 0, until: Vec::new() };
            messages::encode(&request)
        };
        // The removed one: up to its removal.
        let page = ask(1, messages::HISTORY, request()).await.unwrap();
        let page: HistoryPage = messages::decode(&page).unwrap();
        assert_eq!((page.until.number, page.until.hash), (until.number, until.hash));
        assert_eq!(page.total, 4);
        let root = |block| messages::encode(&messages::RootRequest { group: GROUP.0, block });
        assert!(ask(1, messages::ROOT, root(until.into())).await.is_ok());
        assert!(ask(1, messages::ROOT, root(world.chain.head().into())).await.is_err());
        // The stranger: the same answer as for a group that does not exist.
        let of_group = ask(2, messages::HISTORY, request()).await.unwrap_err().to_string();
        let nowhere = messages::HistoryRequest { group: B256::ZERO, from: 0, until: Vec::new() };
        let nowhere = ask(2, messages::HISTORY, messages::encode(&nowhere)).await;
        assert_eq!(of_group, nowhere.unwrap_err().to_string());
        // Garbage of any kind is refused.
        for kind in [messages::HISTORY, messages::ROOT, messages::COUNTED, messages::OFFER, "?"] {
            for body in [Bytes::new(), Bytes::from_static(&[0xff; 40]), Bytes::from_static(&[0xc0])]
            {
                assert!(ask(2, kind, body).await.is_err(), "{kind}");
            }
        }
    });
}

#[test]
fn an_offer_counts_when_the_history_is_there_and_not_before() {
    run(async {
        let mut world = World::new(2);
        let emitter = group(&mut world, &[0]).await;
        let lock = draft(&world, 0, Action::Lock);
        send(&mut world, &lock).await;
        // The newcomer never gets this payload: it learns of its addition by the offer only.
        let addition = draft(&world, 0, Action::Add(keys(&world, &[1])));
        let sealed = world.seal(&addition).await;
        world.mine(vec![marker(&addition, sealed.key)]);
        world.members[0].catch_up().await.unwrap();
        let block = world.chain.head();
        let offer = messages::encode(&messages::Offer { group: GROUP.0, added: block.into() });
        let (giver, newcomer) = (world.members[0].key.clone(), world.members[1].key.clone());
        let enclave = Arc::clone(&world.members[0].enclave);
        let ask = || enclave.ask(&giver, &newcomer, messages::OFFER, offer.clone());
        assert!(ask().await.is_err(), "acknowledged by who has nothing");
        // Both end before anything came of it, and the giver remembers no offer.
        world.members[1].catch_up().await.unwrap();
        world.members[1].restart().await;
        world.members[0].restart().await;
        let held = |world: &World| world.members[1].node().record(GROUP).is_some();
        assert!(!held(&world));
        assert!(world.settle(held).await, "not offered again");
        assert_eq!(stored(&world, 1, emitter), 1);
        agree(&world, &[0, 1]);
        assert!(ask().await.is_ok());
    });
}

#[test]
fn a_member_that_was_removed_twice_gets_the_history_up_to_the_second_time() {
    run(async {
        let mut world = World::new(3);
        let emitter = group(&mut world, &[0, 1, 2]).await;
        let gone = world.members[2].key.clone();
        let mut removals = Vec::new();
        for value in [7, 8] {
            let remove = draft(&world, 0, Action::Remove(gone.clone()));
            send(&mut world, &remove).await;
            removals.push(world.chain.head());
            let store = draft(&world, 0, Action::Store(emitter, value));
            send(&mut world, &store).await;
            if removals.len() == 1 {
                add(&mut world, 0, 2).await;
                world.catch_up().await;
                let member = |world: &World| stored(world, 2, emitter) == 7;
                assert!(world.settle(member).await, "not back");
            }
        }
        let until = |blocks: Vec<_>| {
            let request = messages::HistoryRequest { group: GROUP.0, from: 0, until: blocks };
            let (from, to) = (gone.clone(), world.members[0].key.clone());
            let enclave = Arc::clone(&world.members[2].enclave);
            async move {
                let page = enclave.ask(&from, &to, messages::HISTORY, messages::encode(&request));
                page.await.map(|page| messages::decode::<HistoryPage>(&page).unwrap().until.number)
            }
        };
        for _ in 0..2 {
            assert_eq!(until(Vec::new()).await.unwrap(), removals[1].number);
        }
        assert_eq!(until(vec![removals[0].into()]).await.unwrap(), removals[0].number);
        assert!(until(vec![world.chain.head().into()]).await.is_err());
    });
}

#[test]
fn who_asks_for_group_ids_without_end_is_stopped() {
    run(async {
        let world = World::new(3);
        let keys = keys(&world, &[0, 1, 2]);
        let ask = |from: usize, number: u64| {
            let group = alloy_primitives::keccak256(number.to_be_bytes());
            let request = messages::encode(&messages::GroupRequest { group });
            let enclave = Arc::clone(&world.members[from].enclave);
            let (from, to) = (keys[from].clone(), keys[0].clone());
            async move { enclave.ask(&from, &to, messages::KNOWN, request).await.is_ok() }
        };
        let mut answered = 0;
        for number in 0..2_000 {
            answered += u32::from(ask(1, number).await);
        }
        assert_eq!(answered, 1_000);
        assert!(ask(2, 1).await);
    });
}

#[test]
fn what_a_history_does_not_have_was_not_late() {
    run(async {
        let mut world = World::new(3);
        let emitter = group(&mut world, &[0, 1, 2]).await;
        // The others never get this one.
        let store = draft(&world, 0, Action::Store(emitter, 5));
        let sealed = world.seal(&store).await;
        world.mine(vec![marker(&store, sealed.key), marker(&store, sealed.key)]);
        world.catch_up().await;
        let markers: Vec<B256> = world.head().markers.iter().map(|it| it.hash).collect();
        let node = world.members[0].node();
        let giver = world.members[1].key.clone();
        node.service.heal(&node.service.default_tenant(), GROUP, Some(giver)).await.unwrap();
        assert!(world.settle(|world| stored(world, 0, emitter) == 1).await);
        agree(&world, &[0, 1, 2]);
        for rebuilt in [false, true] {
            if rebuilt {
                world.members[0].lose_state();
                world.catch_up().await;
            }
            let receipt = world.members[0].node().receipt(markers[0]).await.expect("a receipt");
            assert_eq!(receipt.reason, Reason::NotInHistory, "rebuilt: {rebuilt}");
            let receipt = world.members[0].node().receipt(markers[1]).await.expect("a receipt");
            let outcome = (receipt.reason, receipt.decided_by, receipt.outcome);
            let want = (Reason::Duplicate, Some(markers[0]), Some(Reason::NotInHistory));
            assert_eq!(outcome, want, "rebuilt: {rebuilt}");
        }
    });
}
