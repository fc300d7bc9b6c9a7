//! Hostile and foreign peers at the peer port.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    extract::State,
    http::StatusCode,
    routing::{get, post},
};
use coterie_core::{EnclaveKey, GroupId, PayloadKey, definition::Rules};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{DEADLINE, GROUP, acquainted, block, distribution, key_of, options, start, until};
use crate::enclave::{
    DistributeError, EmbeddedEnclave, Enclave as _, EnclaveTimeouts,
    client::{Answer, PeerClient},
    codec::{Envelope, PartyInfo, Tail},
    crypto::{KeyRing, random, seal_payload},
    keys::KeyPair,
    messages::seal_request,
    open::open_envelope,
    peers::Kind,
};

fn url(enclave: &EmbeddedEnclave) -> String {
    format!("http://{}/", enclave.local_addr().unwrap())
}

async fn post_to(enclave: &EmbeddedEnclave, path: &str, body: Vec<u8>) -> Answer {
    let client = PeerClient::new(&EnclaveTimeouts::default()).unwrap();
    client.post(&url(enclave), path, body.into(), 1 << 20).await.unwrap()
}

async fn challenge(enclave: &EmbeddedEnclave) -> [u8; 40] {
    let client = PeerClient::new(&EnclaveTimeouts::default()).unwrap();
    let answer = client.fetch(&url(enclave), "/coterie/v1/challenge", 1000).await.unwrap();
    answer.body.as_ref().try_into().unwrap()
}

async fn get_text(enclave: &EmbeddedEnclave, path: &str) -> String {
    let client = PeerClient::new(&EnclaveTimeouts::default()).unwrap();
    let answer = client.fetch(&url(enclave), path, 1 << 20).await.unwrap();
    String::from_utf8(answer.body.to_vec()).unwrap()
}

/// Where `enclave` believes `key` to be.
fn holder(enclave: &EmbeddedEnclave, key: &EnclaveKey) -> Option<String> {
    let directory = &enclave.network().unwrap().directory;
    directory.holder(key.as_nacl().unwrap()).map(|holder| holder.url)
}

async fn serve(router: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

fn claim(address: SocketAddr, keys: &[EnclaveKey]) -> Vec<u8> {
    let url = format!("http://{address}/");
    let recipients = keys.iter().map(|key| (*key.as_nacl().unwrap(), url.clone())).collect();
    PartyInfo { url: url.clone(), recipients, parties: vec![url] }.encode()
}

#[tokio::test]
async fn a_peer_port_tells_who_it_is() {
    let a = start(&[]).await;
    assert_eq!(get_text(&a, "/upcheck").await, "I'm up!");
    assert_eq!(get_text(&a, "/version/api").await, r#"["1.0","3.0"]"#);
    let info: serde_json::Value = serde_json::from_str(&get_text(&a, "/partyinfo").await).unwrap();
    assert_eq!(
        (info["url"].as_str(), info["keys"][0]["key"].as_str()),
        (Some(url(&a).as_str()), Some(key_of(&a).to_base64().as_str()))
    );
}

#[tokio::test]
async fn garbage_is_refused_without_harm() {
    let a = start(&[]).await;
    let (stranger, from) = (KeyPair::generate().unwrap(), key_of(&a));
    let for_other = EmbeddedEnclave::start(options(vec![stranger.clone()], &[])).await.unwrap();
    let key =
        for_other.distribute(distribution(&stranger.enclave_key(), &[], "text")).await.unwrap();
    let envelope = for_other.vault_envelope(key);
    for (path, body, status) in [
        ("/push", Vec::new(), 400),
        ("/push", vec![0xff; 500], 400),
        ("/push", envelope.encode(), 404),
        ("/push", vec![0; 2 * 1024 * 1024], 413),
        ("/partyinfo", vec![0xff; 100], 400),
        ("/partyinfo", PartyInfo::default().encode(), 500),
        ("/partyinfo", vec![0; 300 * 1024], 413),
        ("/partyinfo/validate", vec![1; 100], 400),
        ("/partyinfo/validate", envelope.encode(), 400),
        ("/coterie/v1/message", vec![1; 300], 404),
        ("/coterie/v1/message", vec![9; 300], 400),
        ("/coterie/v1/message", vec![1; 5 * 1024 * 1024], 413),
        ("/pushPrivacyGroup", vec![1; 10], 400),
        ("/resend", b"{}".to_vec(), 400),
        (
            "/resend",
            format!(r#"{{"type":"INDIVIDUAL","publicKey":"{from}","key":"AA=="}}"#).into_bytes(),
            400,
        ),
        ("/nothing", Vec::new(), 404),
    ] {
        let size = body.len();
        assert_eq!(post_to(&a, path, body).await.status.as_u16(), status, "{path}, {size} bytes");
    }
    a.distribute(distribution(&from, &[], "still working")).await.unwrap();
}

#[tokio::test]
async fn a_message_counts_once_and_only_for_its_receiver() {
    let (a, b) = (start(&[]).await, start(&[]).await);
    let pair = KeyPair::generate().unwrap();
    let from = *pair.public();
    let ring = KeyRing::new(vec![pair]);
    let to = *key_of(&a).as_nacl().unwrap();
    let fresh = challenge(&a).await;
    let (request, _) = seal_request(&ring, (&from, &to), &fresh, "definition", b"").unwrap();
    assert_eq!(
        post_to(&b, "/coterie/v1/message", request.clone()).await.status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(post_to(&a, "/coterie/v1/message", request.clone()).await.status, StatusCode::OK);
    assert_eq!(post_to(&a, "/coterie/v1/message", request).await.status, StatusCode::CONFLICT);
    let (again, _) = seal_request(&ring, (&from, &to), &fresh, "definition", b"").unwrap();
    assert_eq!(post_to(&a, "/coterie/v1/message", again).await.status, StatusCode::CONFLICT);
    let foreign = challenge(&b).await;
    let (wrong, _) = seal_request(&ring, (&from, &to), &foreign, "definition", b"").unwrap();
    assert_eq!(post_to(&a, "/coterie/v1/message", wrong).await.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn a_key_that_a_peer_does_not_hold_is_not_believed() {
    let (a, b) = (start(&[]).await, start(&[]).await);
    let (victim, liar) = (KeyPair::generate().unwrap().enclave_key(), b.local_addr().unwrap());
    assert_eq!(
        post_to(&a, "/partyinfo", claim(liar, std::slice::from_ref(&victim))).await.status.as_u16(),
        500
    );
    assert_eq!(a.known_keys(), []);
    // Together with a key that it does hold: only that one counts.
    let own = key_of(&b);
    assert_eq!(
        post_to(&a, "/partyinfo", claim(liar, &[victim, own.clone()])).await.status.as_u16(),
        200
    );
    assert_eq!(a.known_keys(), [own]);
}

#[tokio::test]
async fn an_announcement_is_taken_whatever_peers_told_before() {
    let (a, b) = (start(&[]).await, start(&[]).await);
    let directory = &a.network().unwrap().directory;
    for id in 0..1100_u64 {
        let url = format!("http://127.0.0.1:1/{id}/{}", "a".repeat(200));
        directory.learn(&url);
        for key in 0..4 {
            let key = [id.to_be_bytes(), [key; 8], [0; 8], [0; 8]].concat().try_into().unwrap();
            assert!(directory.believe(key, &url, Kind::Tessera));
        }
    }
    let announced = a.network().unwrap().party_info();
    assert_eq!(announced.recipients, [(*key_of(&a).as_nacl().unwrap(), url(&a))]);
    assert!(announced.parties.len() > 100);
    assert_eq!(post_to(&b, "/partyinfo", announced.encode()).await.status, StatusCode::OK);
    assert_eq!(b.known_keys(), [key_of(&a)]);
}

#[tokio::test]
async fn a_peer_with_a_long_address_is_refused() {
    let a = start(&[]).await;
    let pair = KeyPair::generate().unwrap();
    let key = pair.enclave_key();
    let address = tessera(pair).await;
    for (path, status) in [("", 200), ("a".repeat(2000).as_str(), 500)] {
        let url = format!("http://{address}/{path}");
        let recipients = vec![(*key.as_nacl().unwrap(), url.clone())];
        let claim = PartyInfo { url: url.clone(), recipients, parties: vec![url] };
        assert_eq!(post_to(&a, "/partyinfo", claim.encode()).await.status.as_u16(), status);
    }
    assert_eq!(holder(&a, &key), Some(format!("http://{address}/")));
}

/// Passes on what our own messages and Tessera's validation ask to the node at `State`.
async fn relay() -> (Arc<EmbeddedEnclave>, SocketAddr) {
    let victim = start(&[]).await;
    let pass = |State((victim, path)): State<(Arc<EmbeddedEnclave>, &'static str)>,
                body: bytes::Bytes| async move {
        let answer = post_to(&victim, path, body.to_vec()).await;
        (answer.status, answer.body.to_vec())
    };
    let router = Router::new()
        .route(
            "/coterie/v1/challenge",
            get(async |State(victim): State<Arc<EmbeddedEnclave>>| {
                challenge(&victim).await.to_vec()
            }),
        )
        .with_state(Arc::clone(&victim))
        .route(
            "/coterie/v1/message",
            post(pass).with_state((Arc::clone(&victim), "/coterie/v1/message")),
        );
    (Arc::clone(&victim), serve(router).await)
}

#[tokio::test]
async fn a_proof_that_is_passed_on_is_not_believed() {
    let a = start(&[]).await;
    let (victim, liar) = relay().await;
    assert_eq!(
        post_to(&a, "/partyinfo", claim(liar, &[key_of(&victim)])).await.status.as_u16(),
        500
    );
    assert_eq!(a.known_keys(), []);
    let honest = claim(victim.local_addr().unwrap(), &[key_of(&victim)]);
    assert_eq!(post_to(&a, "/partyinfo", honest).await.status.as_u16(), 200);
    assert_eq!(a.known_keys(), [key_of(&victim)]);
}

/// A node that speaks only Tessera's protocol: validates, and takes payloads it can open.
async fn tessera(pair: KeyPair) -> SocketAddr {
    let ring = Arc::new(KeyRing::new(vec![pair]));
    let open = |ring: &KeyRing, body: &[u8]| {
        Envelope::decode(body).ok().and_then(|envelope| open_envelope(ring, &envelope))
    };
    let router = Router::new()
        .route(
            "/partyinfo/validate",
            post(async move |State(ring): State<Arc<KeyRing>>, body: bytes::Bytes| {
                match open(&ring, &body) {
                    Some(opened) => (StatusCode::OK, opened.plain.to_vec()),
                    None => (StatusCode::BAD_REQUEST, Vec::new()),
                }
            }),
        )
        .route(
            "/push",
            post(async move |State(ring): State<Arc<KeyRing>>, body: bytes::Bytes| {
                match open(&ring, &body) {
                    Some(_) => StatusCode::CREATED,
                    None => StatusCode::INTERNAL_SERVER_ERROR,
                }
            }),
        )
        .with_state(ring);
    // Its address may have any path in front.
    serve(Router::new().merge(router.clone()).nest("/{any}", router)).await
}

#[tokio::test]
async fn a_tessera_takes_part_under_besu_rules_only() {
    let pair = KeyPair::generate().unwrap();
    let (to, address) = (pair.enclave_key(), tessera(pair).await);
    for rules in [Rules::Besu, Rules::Coterie] {
        let mut options = options(vec![KeyPair::generate().unwrap()], &[]);
        options.definition.rules = rules;
        let a = EmbeddedEnclave::start(options).await.unwrap();
        let liar = claim(address, &[KeyPair::generate().unwrap().enclave_key()]);
        assert_eq!(post_to(&a, "/partyinfo", liar).await.status.as_u16(), 500);
        assert_eq!(
            post_to(&a, "/partyinfo", claim(address, std::slice::from_ref(&to)))
                .await
                .status
                .as_u16(),
            200
        );
        let sent = a.distribute(distribution(&key_of(&a), &[&to], "text")).await;
        match rules {
            Rules::Besu => drop(sent.unwrap()),
            Rules::Coterie => {
                assert!(
                    matches!(&sent, Err(DistributeError::RecipientFailed { key, reason }) if *key == to && reason.contains("Tessera")),
                    "{sent:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn validation_decrypts_nothing_but_a_uuid() {
    let a = start(&[]).await;
    let pair = KeyPair::generate().unwrap();
    let (from, to) = (*pair.public(), *key_of(&a).as_nacl().unwrap());
    let ring = KeyRing::new(vec![pair]);
    for (text, status) in
        [("6e8bc430-9c3a-11d9-9669-0800200c9a66", 200), ("a secret of another kind", 400)]
    {
        let opening = crate::enclave::Opening { master_key: [1; 32], nonce: [2; 24] };
        let box_nonce = random().unwrap();
        let sealed = ring.seal(&from, &to, &box_nonce, &opening.master_key).unwrap();
        let envelope = Envelope {
            sender: from,
            cipher_text: seal_payload(&opening, text.as_bytes()).into(),
            nonce: opening.nonce,
            boxes: vec![sealed.try_into().unwrap()],
            box_nonce,
            recipients: Some(vec![to]),
            tail: Some(Tail::standard(None)),
        };
        let answer = post_to(&a, "/partyinfo/validate", envelope.encode()).await;
        assert_eq!(answer.status.as_u16(), status);
        assert_eq!(answer.body.as_ref() == text.as_bytes(), status == 200);
    }
}

/// Asks for one payload, or for all, again; the whole answer.
async fn ask_resend(
    enclave: &EmbeddedEnclave,
    asker: &EnclaveKey,
    key: Option<PayloadKey>,
) -> (StatusCode, String) {
    let request = match key {
        Some(key) => {
            let key = GroupId(key.0);
            format!(r#"{{"type":"INDIVIDUAL","publicKey":"{asker}","key":"{key}"}}"#)
        }
        None => format!(r#"{{"type":"ALL","publicKey":"{asker}"}}"#),
    };
    let answer = post_to(enclave, "/resend", request.into_bytes()).await;
    (answer.status, String::from_utf8(answer.body.to_vec()).unwrap())
}

#[tokio::test]
async fn payloads_are_sent_again_only_to_who_proved_the_key() {
    let a = start(&[]).await;
    let pair = KeyPair::generate().unwrap();
    let b = Arc::new(
        EmbeddedEnclave::start(options(vec![pair.clone()], &[a.local_addr().unwrap()]))
            .await
            .unwrap(),
    );
    acquainted(&[&a, &b]).await;
    let (key_a, key_b) = (key_of(&a), key_of(&b));
    let sent = a.distribute(distribution(&key_a, &[&key_b], "from a")).await.unwrap();
    let own = b.distribute(distribution(&key_b, &[&key_a], "from b")).await.unwrap();
    let private = a.distribute(distribution(&key_a, &[], "private")).await.unwrap();
    b.stop().await;
    drop(b);
    // The same key starts again with nothing, elsewhere.
    let b = Arc::new(
        EmbeddedEnclave::start(options(vec![pair], &[a.local_addr().unwrap()])).await.unwrap(),
    );
    until("its key has moved", || holder(&a, &key_b).is_some_and(|at| at == url(&b))).await;
    // Whoever asks learns nothing of who the parties are.
    let stranger = KeyPair::generate().unwrap().enclave_key();
    for (asker, key) in [
        (&key_b, Some(sent)),
        (&key_b, Some(private)),
        (&key_b, Some(PayloadKey(GROUP.0))),
        (&key_a, Some(sent)),
        (&stranger, Some(sent)),
        (&stranger, None),
    ] {
        assert_eq!(ask_resend(&a, asker, key).await, (StatusCode::OK, String::new()));
    }
    until("it came again", || b.holds_payload(sent)).await;
    assert_eq!(b.receive(sent).await.unwrap().unwrap().text.as_ref(), b"from a");
    for _ in 0..3 {
        assert_eq!(ask_resend(&a, &key_b, None).await, (StatusCode::OK, String::new()));
    }
    until("its own payload came back", || b.holds_payload(own)).await;
    assert_eq!(b.receive(own).await.unwrap().unwrap().text.as_ref(), b"from b");
    assert_eq!(b.recipients(own).await.unwrap(), [key_b]);
    assert_eq!(b.receive(private).await.unwrap(), None);
}

#[tokio::test]
async fn strangers_are_limited_and_co_members_much_later() {
    let pair = KeyPair::generate().unwrap();
    let sender = pair.enclave_key();
    let mut limited = options(vec![KeyPair::generate().unwrap()], &[]);
    // None at all, so that it does not matter how long this takes.
    limited.limits.stranger_rate_per_s = 0;
    limited.limits.co_member_payloads_max = 15;
    let a = Arc::new(EmbeddedEnclave::start(limited).await.unwrap());
    let b = Arc::new(
        EmbeddedEnclave::start(options(vec![pair], &[a.local_addr().unwrap()])).await.unwrap(),
    );
    acquainted(&[&a, &b]).await;
    let to = key_of(&a);
    let distribute = || b.distribute(distribution(&sender, &[&to], "text"));
    assert!(distribute().await.is_err());
    a.set_co_members(vec![sender.clone()]);
    let mut sent = Vec::new();
    for _ in 0..15 {
        sent.push(distribute().await.unwrap());
    }
    assert!(distribute().await.is_err());
    // What is known costs nothing, and what is marked does not count.
    for key in &sent {
        b.push_again(*key, std::slice::from_ref(&to)).await.unwrap();
    }
    a.decide(block(1, 0), &sent).await.unwrap();
    for _ in 0..10 {
        distribute().await.unwrap();
    }
}

/// A push whose body does not come, at the moment when the node waits for it.
async fn slow_push(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head =
        "POST /push HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\nexpect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 25];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(str::from_utf8(&answer), Ok("HTTP/1.1 100 Continue\r\n\r\n"));
    stream
}

#[tokio::test]
async fn who_sends_slowly_keeps_nobody_out() {
    let mut options = options(vec![KeyPair::generate().unwrap()], &[]);
    options.limits.requests_max = 2;
    let a = EmbeddedEnclave::start(options).await.unwrap();
    let mut slow = Vec::new();
    for _ in 0..4 {
        slow.push(slow_push(a.local_addr().unwrap()).await);
    }
    assert_eq!(get_text(&a, "/upcheck").await, "I'm up!");
    slow[0].write_all(&[0; 100]).await.unwrap();
    let mut answer = [0; 12];
    slow[0].read_exact(&mut answer).await.unwrap();
    assert_eq!(str::from_utf8(&answer), Ok("HTTP/1.1 400"));
}

#[tokio::test]
async fn one_address_has_a_quarter_of_the_connections() {
    let mut options = options(vec![KeyPair::generate().unwrap()], &[]);
    options.limits.connections_max = 8;
    let a = EmbeddedEnclave::start(options).await.unwrap();
    let address = a.local_addr().unwrap();
    let first = TcpStream::connect(address).await.unwrap();
    let _second = TcpStream::connect(address).await.unwrap();
    let mut third = TcpStream::connect(address).await.unwrap();
    let end = tokio::time::timeout(DEADLINE, third.read(&mut [0])).await;
    assert_eq!(end.expect("it is closed at once").unwrap(), 0);
    drop(first);
    let client = PeerClient::new(&EnclaveTimeouts::default()).unwrap();
    let deadline = tokio::time::Instant::now() + DEADLINE;
    while client.fetch(&url(&a), "/upcheck", 1000).await.is_err() {
        assert!(tokio::time::Instant::now() < deadline, "there is no room again");
    }
}
