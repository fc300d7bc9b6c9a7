//! Enclaves among each other, over HTTP: distributing, asking, refusing.

use std::sync::Arc;

use alloy_primitives::{Address, Bytes};
use async_trait::async_trait;
use coterie_core::{EnclaveKey, GroupId, definition::Rules};
use parking_lot::Mutex;

use super::{
    DEADLINE, GROUP, SIGNER, acquainted, block, definition, distribution, key_of, options, start,
    until,
};
use crate::enclave::{
    AcceptedHistory, AskError, Carrier, Decided, DistributeError, EmbeddedEnclave, Enclave as _,
    EnclaveLimits, HistoryEntry, MemberHandler, Storage, keys::KeyPair, verify_payload,
};

#[tokio::test]
async fn three_members_receive_what_one_sends() {
    let a = start(&[]).await;
    let peers = [a.local_addr().unwrap()];
    let (b, c) = (start(&peers).await, start(&peers).await);
    acquainted(&[&a, &b, &c]).await;
    let keys = [key_of(&a), key_of(&b), key_of(&c)];
    let arrived = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&arrived);
    b.set_arrival_hook(Arc::new(move |payload| seen.lock().push(payload.key)));

    let key = a.distribute(distribution(&keys[0], &[&keys[1], &keys[2]], "text")).await.unwrap();
    let hash = definition().hash();
    for (enclave, own) in [&a, &b, &c].into_iter().zip(&keys) {
        let payload = enclave.receive(key).await.unwrap().unwrap();
        assert_eq!(
            (payload.text.as_ref(), payload.marker_signer, &payload.sender_key),
            (b"text".as_slice(), SIGNER, &keys[0])
        );
        assert!(verify_payload(&payload, &keys[0], hash, GROUP));
        assert!(!verify_payload(&payload, &keys[1], hash, GROUP));
        assert_eq!(enclave.recipients(key).await.unwrap(), std::slice::from_ref(own));
        assert_eq!(enclave.decide(block(1, 0), &[key]).await.unwrap(), [Decided::InTime(payload)]);
    }
    until("the hook is called", || arrived.lock().contains(&key)).await;
    // Only those that were named.
    let key = a.distribute(distribution(&keys[0], &[&keys[1]], "secret")).await.unwrap();
    assert_eq!(c.receive(key).await.unwrap(), None);
    assert_eq!(c.decide(block(2, 0), &[key]).await.unwrap(), [Decided::Unreadable]);
    let late = a.push_again(key, &[keys[2].clone()]).await;
    assert!(matches!(late, Err(DistributeError::UnknownRecipient(key)) if key == keys[2]));
    a.push_again(key, &[keys[1].clone()]).await.unwrap();
    for enclave in [a, b, c] {
        enclave.stop().await;
    }
}

#[tokio::test]
async fn a_payload_that_anybody_may_mark_is_signed_as_a_whole() {
    let a = start(&[]).await;
    let from = key_of(&a);
    let mut sent = distribution(&from, &[], "text");
    sent.marker_signer = Address::ZERO;
    let key = a.distribute(sent).await.unwrap();
    let payload = a.receive(key).await.unwrap().unwrap();
    let hash = definition().hash();
    assert!(verify_payload(&payload, &from, hash, GROUP));
    assert!(!verify_payload(&payload, &from, hash, GroupId(hash)));
    let mut changed = payload.clone();
    changed.text = Bytes::from_static(b"other");
    assert!(!verify_payload(&changed, &from, hash, GROUP));
    let mut stolen = payload;
    stolen.marker_signer = SIGNER;
    assert!(!verify_payload(&stolen, &from, hash, GROUP));
}

#[tokio::test]
async fn a_recipient_that_is_down_is_named() {
    let a = start(&[]).await;
    let (b, c) = (start(&[a.local_addr().unwrap()]).await, start(&[a.local_addr().unwrap()]).await);
    acquainted(&[&a, &b, &c]).await;
    let (from, up, down) = (key_of(&a), key_of(&b), key_of(&c));
    c.stop().await;
    drop(c);
    let error = a.distribute(distribution(&from, &[&up, &down], "text")).await.unwrap_err();
    assert!(
        matches!(&error, DistributeError::RecipientFailed { key, .. } if *key == down),
        "{error}"
    );
    assert!(error.to_string().contains(&down.to_base64()));
    let nobody = KeyPair::generate().unwrap().enclave_key();
    let error = a.distribute(distribution(&from, &[&nobody], "text")).await.unwrap_err();
    assert!(matches!(error, DistributeError::UnknownRecipient(key) if key == nobody));
    let error = a.distribute(distribution(&nobody, &[&up], "text")).await.unwrap_err();
    assert!(matches!(error, DistributeError::NotOurKey(key) if key == nobody));
    let ec = EnclaveKey::Ec(Box::new([1; 91]));
    let error = a.distribute(distribution(&from, &[&ec], "text")).await.unwrap_err();
    assert!(matches!(error, DistributeError::UnknownRecipient(key) if key == ec));
}

#[tokio::test]
async fn another_network_definition_is_refused_by_field() {
    let a = start(&[]).await;
    let mut other = options(vec![KeyPair::generate().unwrap()], &[a.local_addr().unwrap()]);
    other.definition.private_gas_cap += 1;
    let b = Arc::new(EmbeddedEnclave::start(other).await.unwrap());
    acquainted(&[&a, &b]).await;
    let (key_a, key_b) = (key_of(&a), key_of(&b));
    for (from, to, enclave) in [(&key_a, &key_b, &a), (&key_b, &key_a, &b)] {
        let error = enclave.distribute(distribution(from, &[to], "text")).await.unwrap_err();
        let DistributeError::DefinitionDiffers { key, field } = error else { panic!("{error}") };
        assert_eq!((&key, field.as_str()), (to, definition().differs(&changed(), 0, 0).unwrap()));
    }
}

fn changed() -> coterie_core::NetworkDefinition {
    let mut definition = definition();
    definition.private_gas_cap += 1;
    definition
}

#[tokio::test]
async fn local_recipients_need_no_network() {
    let keys = vec![KeyPair::generate().unwrap(), KeyPair::generate().unwrap()];
    let publics: Vec<_> = keys.iter().map(KeyPair::enclave_key).collect();
    let a = EmbeddedEnclave::start(options(keys, &[])).await.unwrap();
    let key =
        a.distribute(distribution(&publics[1], &[&publics[0], &publics[0]], "text")).await.unwrap();
    assert_eq!(a.recipients(key).await.unwrap(), publics);
    assert_eq!(a.keys(), publics);
    let large = Bytes::from(vec![b'a'; EnclaveLimits::default().payload_bytes_max + 1]);
    let sent = crate::enclave::Distribution { text: large, ..distribution(&publics[0], &[], "") };
    assert!(matches!(a.distribute(sent).await, Err(DistributeError::TooLarge { .. })));
}

#[tokio::test]
async fn an_enclave_continues_with_its_file() {
    let directory = tempfile::tempdir().unwrap();
    let a = start(&[]).await;
    let pair = KeyPair::generate().unwrap();
    let open = async || {
        let mut options = options(vec![pair.clone()], &[a.local_addr().unwrap()]);
        options.storage = Storage::File(directory.path().join("enclave").join("payloads.redb"));
        Arc::new(EmbeddedEnclave::start(options).await.unwrap())
    };
    let b = open().await;
    acquainted(&[&a, &b]).await;
    let (from, to) = (key_of(&a), key_of(&b));
    let key = a.distribute(distribution(&from, &[&to], "kept")).await.unwrap();
    b.decide(block(3, 0), &[]).await.unwrap();
    b.stop().await;
    drop(b);
    let b = open().await;
    assert_eq!(b.position().await.unwrap(), Some(block(3, 0)));
    assert_eq!(b.receive(key).await.unwrap().unwrap().text.as_ref(), b"kept");
    b.set_position_at_least(block(5, 0)).await.unwrap();
    assert_eq!(b.position().await.unwrap(), Some(block(5, 0)));
    // It is found again at its new address.
    let text = "after the restart";
    until("it is reached again", || a.known_keys().contains(&to)).await;
    let deadline = tokio::time::Instant::now() + DEADLINE;
    let key = loop {
        match a.distribute(distribution(&from, &[&to], text)).await {
            Ok(key) => break key,
            Err(error) => assert!(tokio::time::Instant::now() < deadline, "{error}"),
        }
    };
    assert_eq!(b.receive(key).await.unwrap().unwrap().text.as_ref(), text.as_bytes());
}

struct Echo(EnclaveKey);

#[async_trait]
impl MemberHandler for Echo {
    async fn answer(
        &self,
        from: EnclaveKey,
        to: EnclaveKey,
        kind: &str,
        body: Bytes,
    ) -> Result<Bytes, String> {
        match kind {
            "echo" => Ok([from.as_slice(), to.as_slice(), &body].concat().into()),
            "large" => Ok(vec![0; 5 * 1024 * 1024].into()),
            _ => Err(format!("not for {}", self.0)),
        }
    }
}

#[tokio::test]
async fn members_ask_each_other_with_proof_of_their_keys() {
    let a = start(&[]).await;
    let b = start(&[a.local_addr().unwrap()]).await;
    acquainted(&[&a, &b]).await;
    let (key_a, key_b) = (key_of(&a), key_of(&b));
    let early = a.ask(&key_a, &key_b, "echo", Bytes::new()).await;
    assert!(matches!(early, Err(AskError::Refused { reason, .. }) if reason == "not ready yet"));
    b.set_handler(Arc::new(Echo(key_b.clone())));
    let body = Bytes::from(vec![9; 3_000_000]);
    let answer = a.ask(&key_a, &key_b, "echo", body.clone()).await.unwrap();
    assert_eq!(answer, [key_a.as_slice(), key_b.as_slice(), &body].concat());
    let refused = a.ask(&key_a, &key_b, "other", Bytes::new()).await;
    assert!(
        matches!(refused, Err(AskError::Refused { key, reason }) if key == key_b && reason == format!("not for {key_b}"))
    );
    let large = a.ask(&key_a, &key_b, "large", Bytes::new()).await;
    assert!(
        matches!(large, Err(AskError::Refused { reason, .. }) if reason == "the answer is too large")
    );
    let unknown = KeyPair::generate().unwrap().enclave_key();
    assert!(
        matches!(a.ask(&key_a, &unknown, "echo", Bytes::new()).await, Err(AskError::UnknownPeer(key)) if key == unknown)
    );
    assert!(matches!(
        a.ask(&unknown, &key_b, "echo", Bytes::new()).await,
        Err(AskError::Failed { .. })
    ));
    b.stop().await;
    drop(b);
    assert!(matches!(
        a.ask(&key_a, &key_b, "echo", Bytes::new()).await,
        Err(AskError::Failed { .. })
    ));
}

#[tokio::test]
async fn a_newcomer_opens_a_history_and_can_pass_it_on() {
    let a = start(&[]).await;
    let (pair, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let (recipient, first) = (pair.enclave_key(), other.enclave_key());
    let b = EmbeddedEnclave::start(options(vec![other, pair], &[])).await.unwrap();
    let from = key_of(&a);
    let key = a.distribute(distribution(&from, &[], "history")).await.unwrap();
    let sealed = a.sealed(key).await.unwrap().unwrap();
    assert_eq!(b.decide(block(1, 0), &[key]).await.unwrap(), [Decided::Unreadable]);
    let history = AcceptedHistory {
        group: GROUP,
        until: block(1, 0),
        entries: vec![HistoryEntry { block: block(1, 0), index: 0, key }],
        recipient: recipient.clone(),
    };
    b.accept_history(history.clone(), vec![sealed.clone()], Vec::new()).await.unwrap();
    assert_eq!(b.histories().await.unwrap(), std::slice::from_ref(&history));
    let payload = b.receive(key).await.unwrap().unwrap();
    assert!(verify_payload(&payload, &from, definition().hash(), GROUP));
    assert_eq!(payload, a.receive(key).await.unwrap().unwrap());
    assert_eq!(b.recipients(key).await.unwrap(), std::slice::from_ref(&recipient));
    assert_eq!(b.decide(block(1, 0), &[key]).await.unwrap(), [Decided::Late(payload.clone())]);
    let again = b.sealed(key).await.unwrap().unwrap();
    assert!(again.cipher_text == sealed.cipher_text && again.opening == sealed.opening);
    // A history for the other key adds a box; one that does not open is refused.
    b.accept_history(
        AcceptedHistory { recipient: first.clone(), ..history.clone() },
        vec![sealed.clone()],
        Vec::new(),
    )
    .await
    .unwrap();
    assert_eq!(b.recipients(key).await.unwrap(), [recipient, first]);
    let mut wrong = sealed.clone();
    wrong.opening.master_key[0] ^= 1;
    assert!(b.accept_history(history.clone(), vec![wrong], Vec::new()).await.is_err());
    let foreign = AcceptedHistory { recipient: from, ..history };
    assert!(b.accept_history(foreign, vec![sealed], Vec::new()).await.is_err());
    assert_eq!(b.receive(key).await.unwrap(), Some(payload));
}

/// Carries nothing.
struct Nowhere;

#[async_trait]
impl Carrier for Nowhere {
    async fn push(&self, _: EnclaveKey, _: Vec<u8>) -> Result<(), String> {
        Err("withheld".to_owned())
    }

    async fn ask(
        &self,
        _: EnclaveKey,
        to: EnclaveKey,
        _: &str,
        _: Bytes,
    ) -> Result<Bytes, AskError> {
        Err(AskError::UnknownPeer(to))
    }
}

fn offline() -> EmbeddedEnclave {
    offline_with(vec![KeyPair::generate().unwrap()], Rules::Coterie)
}

/// An enclave without peers.
pub(super) fn offline_with(keys: Vec<KeyPair>, rules: Rules) -> EmbeddedEnclave {
    let mut definition = definition();
    definition.rules = rules;
    EmbeddedEnclave::offline(
        keys,
        &Storage::Memory,
        definition,
        &EnclaveLimits::default(),
        Arc::new(Nowhere),
    )
    .unwrap()
}

#[tokio::test]
async fn a_simulation_carries_envelopes_itself() {
    let (a, b, c) = (offline(), offline(), offline());
    let (from, to) = (key_of(&a), key_of(&b));
    let (key, envelopes) = a.seal_for(&distribution(&from, &[&to], "text")).await.unwrap();
    assert_eq!(envelopes.iter().map(|(key, _)| key).collect::<Vec<_>>(), [&to]);
    assert_eq!(b.decide(block(1, 0), &[key]).await.unwrap(), [Decided::Unreadable]);
    assert_eq!(b.store_envelope(&envelopes[0].1).await.unwrap(), key);
    assert_eq!(b.store_envelope(&envelopes[0].1).await.unwrap(), key);
    let payload = b.receive(key).await.unwrap().unwrap();
    assert_eq!(
        b.decide(block(1, 0), &[key, key]).await.unwrap(),
        [Decided::Late(payload.clone()), Decided::Late(payload.clone())]
    );
    assert_eq!(b.decide(block(2, 0), &[key]).await.unwrap(), [Decided::InTime(payload.clone())]);
    b.reorg(block(0, 0), &[block(1, 0), block(2, 0)]).await.unwrap();
    assert_eq!(b.decide(block(1, 1), &[key]).await.unwrap(), [Decided::InTime(payload)]);
    assert!(c.store_envelope(&envelopes[0].1).await.is_err());
    let error = a.distribute(distribution(&from, &[&to], "text")).await.unwrap_err();
    assert!(
        matches!(error, DistributeError::RecipientFailed { reason, .. } if reason == "withheld")
    );
    b.set_handler(Arc::new(Echo(to.clone())));
    assert_eq!(
        b.answer_member(from.clone(), to.clone(), "x", Bytes::new()).await,
        Err(format!("not for {to}"))
    );
    assert_eq!(b.answer_member(to, from, "echo", Bytes::new()).await, Err("not found".to_owned()));
}

#[tokio::test]
async fn a_plaintext_without_the_prefix_is_malformed() {
    let (a, b) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let to = b.enclave_key();
    let from = a.enclave_key();
    let (a, b) = (offline_with(vec![a], Rules::Besu), offline_with(vec![b], Rules::Coterie));
    let (key, envelopes) = a.seal_for(&distribution(&from, &[&to], "no prefix")).await.unwrap();
    assert_eq!(a.receive(key).await.unwrap().unwrap().signature, None);
    b.store_envelope(&envelopes[0].1).await.unwrap();
    assert_eq!(b.receive(key).await.unwrap(), None);
    assert_eq!(b.decide(block(1, 0), &[key]).await.unwrap(), [Decided::Malformed]);
}

#[tokio::test]
async fn a_payload_is_the_same_whether_it_was_pushed_or_in_a_history() {
    let (a, b) = (offline(), offline());
    let (from, to) = (key_of(&a), key_of(&b));
    let (key, envelopes) = a.seal_for(&distribution(&from, &[&to], "text")).await.unwrap();
    b.store_envelope(&envelopes[0].1).await.unwrap();
    let sealed = a.sealed(key).await.unwrap().unwrap();
    let c = offline();
    let history = AcceptedHistory {
        group: GROUP,
        until: block(0, 0),
        entries: Vec::new(),
        recipient: key_of(&c),
    };
    c.accept_history(history, vec![sealed], Vec::new()).await.unwrap();
    assert_eq!(c.receive(key).await.unwrap(), b.receive(key).await.unwrap());
}
