//! Real exchanges of Tessera (`tests/vectors/tessera.json`) and the derived vector of the enclave
//! specification, 7.5.

use alloy_primitives::{Bytes, hex};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use coterie_core::{EnclaveKey, GroupId};
use serde::Deserialize;

use crate::enclave::{
    Opening,
    codec::{Envelope, GroupRecord, PartyInfo, Tail},
    crypto::{KeyRing, open_payload, payload_key, seal_payload},
    keys::KeyPair,
    open::{open_envelope, openers},
};

#[derive(Deserialize)]
struct Vectors {
    keys: std::collections::BTreeMap<String, Key>,
    exchanges: Vec<Exchange>,
}

#[derive(Deserialize)]
struct Key {
    public: String,
    private: String,
}

#[derive(Deserialize)]
struct Exchange {
    to: String,
    path: String,
    status: u16,
    request: String,
    response: String,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("../../../../tests/vectors/tessera.json")).unwrap()
}

fn ring(vectors: &Vectors, name: &str) -> KeyRing {
    KeyRing::new(vec![KeyPair::from_base64(&vectors.keys[name].private).unwrap()])
}

#[test]
fn published_keys_belong_together() {
    for key in vectors().keys.values() {
        assert_eq!(
            KeyPair::from_base64(&key.private).unwrap().enclave_key().to_base64(),
            key.public
        );
    }
}

#[test]
fn every_push_opens_and_encodes_to_the_same_bytes() {
    let vectors = vectors();
    let mut texts = Vec::new();
    for exchange in vectors.exchanges.iter().filter(|exchange| exchange.path == "/push") {
        let bytes = hex::decode(&exchange.request).unwrap();
        let envelope = Envelope::decode(&bytes).unwrap();
        assert_eq!(envelope.encode(), bytes);
        assert_eq!(exchange.status, 201);
        let id = String::from_utf8(hex::decode(&exchange.response).unwrap()).unwrap();
        assert_eq!(STANDARD.encode(envelope.key().0), id);

        let receiver = ring(&vectors, &exchange.to);
        let opened = open_envelope(&receiver, &envelope).unwrap();
        assert_eq!(openers(&receiver, &envelope, &opened.opening), receiver.public_keys());
        assert_eq!(seal_payload(&opened.opening, &opened.plain), envelope.cipher_text.as_ref());
        let ours = *receiver.pairs()[0].public();
        let sealed =
            receiver.seal(&ours, &envelope.sender, &envelope.box_nonce, &opened.opening.master_key);
        assert_eq!(sealed.unwrap(), envelope.boxes[0]);
        texts.push(String::from_utf8(opened.plain.to_vec()).unwrap());

        // The sender opens its own envelope too; a stranger does not.
        let sender = if exchange.to == "n1" { "n2" } else { "n1" };
        let sender = ring(&vectors, sender);
        if sender.public_keys()[0].as_nacl() == Some(&envelope.sender) {
            let by_sender =
                Envelope { recipients: envelope.recipients.clone(), ..envelope.clone() };
            assert_eq!(
                open_envelope(&sender, &by_sender).map(|opened| opened.plain),
                Some(opened.plain)
            );
        }
        let stranger = KeyRing::new(vec![KeyPair::generate().unwrap()]);
        assert!(open_envelope(&stranger, &envelope).is_none());
        assert_eq!(Some(vec![receiver.pairs()[0].public().to_owned()]), envelope.recipients);
        let members = [EnclaveKey::Nacl(envelope.sender), receiver.public_keys()[0].clone()];
        let legacy = GroupId::legacy(&members);
        let group = envelope.tail.unwrap().group.unwrap();
        assert!(
            group.as_ref() == legacy.as_slice() || exchange.to == "n1",
            "a legacy group, or a made one"
        );
    }
    assert!(texts.len() >= 5);
    assert_eq!(texts[0], "hello tessera payload");
    assert!(texts.contains(&"no from, to n2".to_owned()) && texts.contains(&"both".to_owned()));
}

#[test]
fn every_party_information_encodes_to_the_same_bytes() {
    let vectors = vectors();
    let mut count = 0;
    for exchange in vectors.exchanges.iter().filter(|exchange| exchange.path == "/partyinfo") {
        for text in [&exchange.request, &exchange.response] {
            let bytes = hex::decode(text).unwrap();
            let info = PartyInfo::decode(&bytes).unwrap();
            assert_eq!(info.encode(), bytes);
            assert!(info.url.starts_with("http://127.0.0.1:1910"));
            count += 1;
        }
    }
    assert!(count >= 8);
}

#[test]
fn every_group_record_encodes_to_the_same_bytes() {
    let vectors = vectors();
    let mut count = 0;
    for exchange in vectors.exchanges.iter().filter(|exchange| exchange.path == "/pushPrivacyGroup")
    {
        let bytes = hex::decode(&exchange.request).unwrap();
        let record = GroupRecord::decode(&bytes).unwrap();
        assert_eq!(record.encode(), bytes);
        assert_eq!((record.members.len(), record.seed.len()), (2, 20));
        assert!(record.id().is_some());
        for end in 0..bytes.len() {
            assert!(GroupRecord::decode(&bytes[..end]).is_err());
        }
        count += 1;
    }
    assert_eq!(count, 2);
}

#[test]
fn payload_of_a_made_group_names_the_group_that_was_pushed() {
    let vectors = vectors();
    let at = |path: &'static str| {
        vectors
            .exchanges
            .iter()
            .filter(move |exchange| exchange.path == path && exchange.to == "n1")
    };
    let made: Vec<_> = at("/pushPrivacyGroup")
        .filter_map(|exchange| {
            GroupRecord::decode(&hex::decode(&exchange.request).unwrap()).unwrap().id()
        })
        .map(|id| Bytes::copy_from_slice(id.as_slice()))
        .collect();
    for exchange in at("/push") {
        let envelope = Envelope::decode(&hex::decode(&exchange.request).unwrap()).unwrap();
        let group = envelope.tail.unwrap().group.unwrap();
        let legacy = GroupId::legacy(
            &ring(&vectors, "n1")
                .public_keys()
                .into_iter()
                .chain(ring(&vectors, "n2").public_keys())
                .collect::<Vec<_>>(),
        );
        assert!(made.contains(&group) || group.as_ref() == legacy.as_slice());
    }
}

/// Enclave specification, 7.5.
#[test]
fn derived_vector_is_reproduced_to_the_byte() {
    let sender = KeyRing::new(vec![
        KeyPair::from_base64("hBsuQsGJzx4QHmFmBkNoI7YGnTmaZP4P+wBOdu56ljk=").unwrap(),
    ]);
    let recipient = KeyRing::new(vec![
        KeyPair::from_base64("wjeHURxQJUqZvhjMv+lxoRlXYnX/mpm0Iu/ldBr32Qs=").unwrap(),
    ]);
    let (a, b) = (*sender.pairs()[0].public(), *recipient.pairs()[0].public());
    let sequence = |start: u8| std::array::from_fn(|at| start + u8::try_from(at).unwrap());
    let opening = Opening {
        master_key: std::array::from_fn(|at| u8::try_from(at).unwrap()),
        nonce: sequence(0x40),
    };
    let box_nonce = sequence(0x80);
    let cipher_text = seal_payload(&opening, b"aGVsbG8gdGVzc2VyYQ==");
    assert_eq!(
        hex::encode(&cipher_text),
        "c48164b22cf2bda8a184cf347a2825292b50030a5816834da21e271b0bbb0c8897667b69"
    );
    assert_eq!(
        STANDARD.encode(payload_key(&cipher_text).0),
        "v7DvmF1gfEm5l4otYxuNwbECWPDhxSc2cyysHar+sDM="
    );
    let boxed = sender.seal(&a, &b, &box_nonce, &opening.master_key).unwrap();
    assert_eq!(
        hex::encode(&boxed),
        "f282f8be3f9a73119eebd86b77a3b2687900afa25717eed292d61f489d901f2c6bb90b64a356340797da55cceecffd63"
    );
    let own = sender.seal(&a, &a, &box_nonce, &opening.master_key).unwrap();
    assert_eq!(
        hex::encode(own),
        "c81d937016858fc8ff6459e819a2138ce1ef8d69b0177f56bfca9903bbf238e54f89cb5cc0d8e9ec42c3e053f653c227"
    );
    assert_eq!(recipient.open(&b, &a, &box_nonce, &boxed).unwrap(), opening.master_key);
    let group = GroupId::legacy(&[EnclaveKey::Nacl(a), EnclaveKey::Nacl(b)]);
    let envelope = Envelope {
        sender: a,
        cipher_text: cipher_text.into(),
        nonce: opening.nonce,
        boxes: vec![boxed.try_into().unwrap()],
        box_nonce,
        recipients: Some(vec![b]),
        tail: Some(Tail::standard(Some(Bytes::copy_from_slice(group.as_slice())))),
    };
    let body = "0000000000000020035695b4cc4b0941e60551d7a19cf30603db5bfc23e5ac43a56f57f25f75486a0000000000000024c48164b22cf2bda8a184cf347a2825292b50030a5816834da21e271b0bbb0c8897667b690000000000000018404142434445464748494a4b4c4d4e4f50515253545556570000000000000001000000000000003\
        0f282f8be3f9a73119eebd86b77a3b2687900afa25717eed292d61f489d901f2c6bb90b64a356340797da55cceecffd630000000000000018808182838485868788898a8b8c8d8e8f90919293949596970000000000000001\
        00000000000000202a8d9b56a0fe9cd94d60be4413bcb721d3a7be27ed8e28b3a6346df874ee141b000000000000000100000000000000000000000000000000200f200e885ff29e973e2576b6600181d1b0a2b5294e30d9be4a1981ffb33a0b8c";
    assert_eq!(hex::encode(envelope.encode()), body);
    let opened = open_envelope(&recipient, &envelope).unwrap();
    assert_eq!(opened.plain.as_ref(), b"aGVsbG8gdGVzc2VyYQ==");
    assert!(open_payload(&opening, &envelope.cipher_text).is_some());
}
