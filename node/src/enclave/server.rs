//! The peer port: what other enclaves may ask of ours.
//!
//! Tessera's peer protocol and our own messages. Nothing here trusts a caller's word for a key,
//! and no answer tells "not for you" from "unknown". TLS is a reverse proxy's. Formats: enclave
//! specification, 2.1; our messages: [`super::messages`].

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use alloy_primitives::Bytes;
use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, FromRequest as _, Request, State},
    http::{StatusCode, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use coterie_core::{EnclaveKey, GroupId, PayloadKey};
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower_http::timeout::TimeoutLayer;

use super::{
    codec::{Envelope, GroupRecord, PartyInfo},
    messages::{self, MessageError, message_bytes_max, open_request, seal_answer},
    network::{
        CHALLENGE_PATH, DEFINITION_KIND, MESSAGE_PATH, Network, encode_introduction, is_uuid,
    },
    open::open_envelope,
    payloads::StoreError,
    peers::named,
    vault::PushError,
};

/// Largest body of anything but payloads and messages.
pub(super) const SHORT_BODY_BYTES_MAX: usize = 256 * 1024;
/// A request that takes longer is given up.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(60);
/// So is one whose body takes longer to arrive.
const BODY_TIME_MAX: Duration = Duration::from_secs(30);
/// Ids that a resend looks at in one step.
const RESEND_PAGE: usize = 256;
/// Resends of single payloads that run at a time.
const RESENDS_MAX: usize = 64;
/// Resends of single payloads in a second, to one key and to all.
const RESEND_RATE_PER_S: u32 = 50;
const RESEND_RATE_OF_ALL_PER_S: u32 = 200;
/// Between two resends of everything, to one key and to all: each reads the whole store.
const RESEND_ALL_PAUSE: Duration = Duration::from_secs(600);
const RESEND_ALL_PAUSE_OF_ALL: Duration = Duration::from_secs(60);
/// Resends of everything that may come without the pause between them, to different keys.
const RESEND_ALL_BURST: u32 = 4;
/// Keys whose rate is remembered.
const RATES_MAX: usize = 4096;
/// What every question about something that is not there, or not the asker's, is answered.
const NOT_FOUND: &str = "not found";

/// What the handlers share.
struct Port {
    network: Arc<Network>,
    requests: Semaphore,
    resends: Resends,
    /// How fast strangers push.
    strangers: Mutex<Rates>,
    /// How fast those push that share a group with us.
    co_members: Mutex<Rates>,
}

/// What bounds resends, which anybody may ask for.
struct Resends {
    single: ResendLimit,
    all: ResendLimit,
}

struct ResendLimit {
    running: Arc<Semaphore>,
    rates: Mutex<(Rates, Rates)>,
}

/// The routes of the peer port.
pub(super) fn router(network: Arc<Network>) -> Router {
    let limits = network.limits;
    let port = Arc::new(Port {
        requests: Semaphore::new(limits.requests_max),
        resends: Resends::new(),
        strangers: Mutex::new(Rates::per_s(limits.stranger_rate_per_s)),
        co_members: Mutex::new(Rates::per_s(limits.co_member_rate_per_s)),
        network,
    });
    let push_bytes_max = port.network.vault.envelope_bytes_max();
    let message_bytes_max = message_bytes_max(limits.message_bytes_max);
    let bounded = from_fn_with_state(Arc::clone(&port), bounded);
    let push = post(push).layer((DefaultBodyLimit::max(push_bytes_max), bounded.clone()));
    let message = post(message).layer((DefaultBodyLimit::max(message_bytes_max), bounded.clone()));
    Router::new()
        .route(CHALLENGE_PATH, get(challenge))
        .route("/upcheck", get(async || "I'm up!"))
        .route("/version", get(async || env!("CARGO_PKG_VERSION")))
        .route("/version/distribution", get(async || env!("CARGO_PKG_VERSION")))
        .route("/version/api", get(async || Json(["1.0", "3.0"])))
        .route("/partyinfo", get(tell_parties).post(take_parties))
        .route("/partyinfo/validate", post(validate))
        .route("/pushPrivacyGroup", post(push_group))
        .route("/resend", post(resend))
        .layer(bounded)
        .layer(DefaultBodyLimit::max(SHORT_BODY_BYTES_MAX))
        .route("/push", push)
        .route(MESSAGE_PATH, message)
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, REQUEST_TIME_MAX))
        .with_state(port)
}

/// Refuses what exceeds the number of requests that are worked on at a time. The body is read
/// before, so that who sends it slowly keeps nobody out; how many do is bounded by connections.
async fn bounded(State(port): State<Arc<Port>>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let whole = bytes::Bytes::from_request(Request::from_parts(parts.clone(), body), &());
    let body = match tokio::time::timeout(BODY_TIME_MAX, whole).await {
        Ok(Ok(body)) => body,
        Ok(Err(refusal)) => return refusal.into_response(),
        Err(_) => return StatusCode::REQUEST_TIMEOUT.into_response(),
    };
    let request = Request::from_parts(parts, body.into());
    match port.requests.try_acquire() {
        Ok(_permit) => next.run(request).await,
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "too many requests at a time").into_response(),
    }
}

async fn push(State(port): State<Arc<Port>>, body: bytes::Bytes) -> Response {
    // In a task of its own: a caller that hangs up must not leave a payload stored but unnoticed.
    let stored = tokio::spawn(async move {
        let admit = |sender: &[u8; 32], co_member: bool| {
            let rates = if co_member { &port.co_members } else { &port.strangers };
            rates.lock().admit(sender, Instant::now())
        };
        port.network.vault.accept(&body, admit).await
    });
    let error = match stored.await {
        Ok(Ok(key)) => return (StatusCode::CREATED, STANDARD.encode(key.0)).into_response(),
        Ok(Err(error)) => error,
        Err(_) => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    };
    let status = match &error {
        PushError::Malformed(_) => StatusCode::BAD_REQUEST,
        PushError::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        PushError::PrivacyMode(_) => StatusCode::FORBIDDEN,
        PushError::NotForUs => StatusCode::NOT_FOUND,
        PushError::TooFast | PushError::Store(StoreError::NoRoom) => StatusCode::TOO_MANY_REQUESTS,
        PushError::Store(StoreError::Conflict) => StatusCode::CONFLICT,
        PushError::Store(
            StoreError::Stopped | StoreError::Database(_) | StoreError::Damaged(_),
        ) => {
            tracing::error!(%error, "a pushed payload cannot be stored");
            return (StatusCode::SERVICE_UNAVAILABLE, "the payload cannot be stored")
                .into_response();
        }
    };
    (status, error.to_string()).into_response()
}

async fn tell_parties(State(port): State<Arc<Port>>) -> Response {
    let info = port.network.party_info();
    let keys: Vec<_> = info
        .recipients
        .iter()
        .map(|(key, url)| serde_json::json!({"key": named(key).to_base64(), "url": url}))
        .collect();
    let peers: Vec<_> = info.parties.iter().map(|url| serde_json::json!({"url": url})).collect();
    Json(serde_json::json!({"url": info.url, "peers": peers, "keys": keys})).into_response()
}

async fn take_parties(State(port): State<Arc<Port>>, body: bytes::Bytes) -> Response {
    let Ok(info) = PartyInfo::decode(&body) else {
        return (StatusCode::BAD_REQUEST, "not a party information").into_response();
    };
    if port.network.meet(&info).await {
        StatusCode::OK.into_response()
    } else {
        (StatusCode::INTERNAL_SERVER_ERROR, "no key of the sender is validated").into_response()
    }
}

async fn validate(State(port): State<Arc<Port>>, body: bytes::Bytes) -> Response {
    let opened = Envelope::decode(&body)
        .ok()
        .and_then(|envelope| open_envelope(&port.network.vault.ring, &envelope));
    match opened {
        Some(opened) if is_uuid(&opened.plain) => {
            ([(header::CONTENT_TYPE, "text/plain")], opened.plain.0).into_response()
        }
        Some(_) | None => {
            (StatusCode::BAD_REQUEST, "not a validation for a key of ours").into_response()
        }
    }
}

async fn push_group(body: bytes::Bytes) -> Response {
    match GroupRecord::decode(&body) {
        Ok(_) => (StatusCode::NOT_IMPLEMENTED, "off-chain privacy groups are not supported")
            .into_response(),
        Err(_) => (StatusCode::BAD_REQUEST, "not a privacy group").into_response(),
    }
}

#[derive(Deserialize)]
struct ResendRequest {
    #[serde(rename = "type")]
    kind: ResendKind,
    #[serde(rename = "publicKey")]
    public_key: String,
    key: Option<String>,
}

#[derive(Deserialize)]
enum ResendKind {
    #[serde(rename = "ALL")]
    All,
    #[serde(rename = "INDIVIDUAL")]
    Individual,
}

/// Sends payloads again to the node that proved to hold the key. The caller proves nothing, so
/// nothing is in the answer, also for a single one (where Tessera answers with the payload); and it
/// is the same whether there is anything to send or not, for who has a payload is nobody's business.
async fn resend(State(port): State<Arc<Port>>, body: bytes::Bytes) -> Response {
    let Some((asker, key)) = parse_resend(&body) else {
        return (StatusCode::BAD_REQUEST, "not a resend request").into_response();
    };
    let network = &port.network;
    // Only keys that somebody proved use the limits up.
    if network.recipient(&asker).is_ok() {
        match port.resends.admit(&asker, key.is_none(), Instant::now()) {
            Some(permit) => {
                let network = Arc::clone(network);
                tokio::spawn(async move {
                    match key {
                        Some(key) => drop(resend_one(&network, &asker, key).await),
                        None => resend_all(&network, &asker).await,
                    }
                    drop(permit);
                });
            }
            None => tracing::info!(asker = %named(&asker), "too many resends are asked for"),
        }
    }
    StatusCode::OK.into_response()
}

/// Whose payloads are asked for, and which one; `None` for all.
fn parse_resend(body: &[u8]) -> Option<([u8; 32], Option<PayloadKey>)> {
    let request = serde_json::from_slice::<ResendRequest>(body).ok()?;
    let asker = *request.public_key.parse::<EnclaveKey>().ok()?.as_nacl()?;
    let key = match request.kind {
        ResendKind::All => None,
        ResendKind::Individual => Some(PayloadKey(request.key?.parse::<GroupId>().ok()?.0)),
    };
    Some((asker, key))
}

async fn resend_all(network: &Network, asker: &[u8; 32]) {
    let mut after = None;
    let mut sent = 0_u64;
    loop {
        let page = match network.vault.store.keys_after(after, RESEND_PAGE) {
            Ok(page) => page,
            Err(error) => {
                tracing::error!(%error, "a resend stopped");
                return;
            }
        };
        let Some(last) = page.last() else { break };
        after = Some(*last);
        for key in page {
            sent += u64::from(resend_one(network, asker, key).await);
        }
        // Most are not the asker's, and cost no waiting.
        tokio::task::yield_now().await;
    }
    tracing::info!(asker = %named(asker), sent, "sent payloads again");
}

/// Sends a payload again when the asker is a recipient or the sender of it.
async fn resend_one(network: &Network, asker: &[u8; 32], key: PayloadKey) -> bool {
    let Ok(Some(envelope)) = network.vault.envelope(key) else { return false };
    let envelope = match envelope.for_recipient(asker) {
        Some(envelope) => envelope,
        None if envelope.sender == *asker => envelope,
        None => return false,
    };
    // Looked up again for each: the key may have moved meanwhile.
    let Ok(holder) = network.recipient(asker) else { return false };
    network.push(&holder, asker, envelope.encode().into()).await.is_ok()
}

async fn challenge(State(port): State<Arc<Port>>) -> Response {
    match port.network.challenges.issue() {
        Ok(challenge) => challenge.to_vec().into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response(),
    }
}

async fn message(State(port): State<Arc<Port>>, body: bytes::Bytes) -> Response {
    let network = &port.network;
    let ring = &network.vault.ring;
    let request = match open_request(ring, &body) {
        Ok(request) if !network.challenges.spend(&request.challenge, &request.from) => {
            return (StatusCode::CONFLICT, MessageError::Challenge.to_string()).into_response();
        }
        Ok(request) => request,
        Err(error @ MessageError::Version(_)) => {
            return (StatusCode::BAD_REQUEST, error.to_string()).into_response();
        }
        Err(_) => return (StatusCode::NOT_FOUND, NOT_FOUND).into_response(),
    };
    drop(body);
    let answer = answer(network, &request).await;
    let answer = match answer {
        Ok(answer) if answer.len() > network.limits.message_bytes_max => {
            Err("the answer is too large".to_owned())
        }
        answer => answer,
    };
    match seal_answer(ring, &request, answer.as_ref().map(AsRef::as_ref).map_err(String::as_str)) {
        Ok(sealed) => {
            ([(header::CONTENT_TYPE, "application/octet-stream")], sealed).into_response()
        }
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response(),
    }
}

async fn answer(network: &Network, request: &messages::Request) -> Result<Bytes, String> {
    if request.kind == DEFINITION_KIND {
        return Ok(encode_introduction(network.directory.own_url(), &network.vault.definition));
    }
    let handler = network.handler.read().clone();
    match handler {
        Some(handler) => {
            handler
                .answer(
                    named(&request.from),
                    named(&request.to),
                    &request.kind,
                    request.body.clone(),
                )
                .await
        }
        None => Err("not ready yet".to_owned()),
    }
}

impl Resends {
    fn new() -> Self {
        Self {
            single: ResendLimit {
                running: Arc::new(Semaphore::new(RESENDS_MAX)),
                rates: Mutex::new((
                    Rates::per_s(RESEND_RATE_PER_S),
                    Rates::per_s(RESEND_RATE_OF_ALL_PER_S),
                )),
            },
            all: ResendLimit {
                running: Arc::new(Semaphore::new(1)),
                rates: Mutex::new((
                    Rates::new(Some(RESEND_ALL_PAUSE), 1),
                    Rates::new(Some(RESEND_ALL_PAUSE_OF_ALL), RESEND_ALL_BURST),
                )),
            },
        }
    }

    /// Admits a resend, which holds the permit while it runs.
    fn admit(&self, asker: &[u8; 32], all: bool, now: Instant) -> Option<OwnedSemaphorePermit> {
        let limit = if all { &self.all } else { &self.single };
        // First, so that what cannot run uses nothing up.
        let permit = Arc::clone(&limit.running).try_acquire_owned().ok()?;
        let (of_asker, of_all) = &mut *limit.rates.lock();
        (of_asker.admit(asker, now) && of_all.admit(&[0; 32], now)).then_some(permit)
    }
}

/// How often keys do something: for each, the time at which it will have made up for what it did.
struct Rates {
    /// What one time costs; `None`: never.
    pause: Option<Duration>,
    /// What a key that rested may do at once.
    burst: u32,
    settled: HashMap<[u8; 32], Instant>,
}

impl Rates {
    fn new(pause: Option<Duration>, burst: u32) -> Self {
        Self { pause, burst, settled: HashMap::new() }
    }

    /// So often in a second, on average over two seconds.
    fn per_s(per_s: u32) -> Self {
        Self::new(Duration::from_secs(1).checked_div(per_s), per_s.saturating_mul(2))
    }

    fn admit(&mut self, key: &[u8; 32], now: Instant) -> bool {
        let Some(pause) = self.pause else { return false };
        if self.settled.len() >= RATES_MAX && !self.settled.contains_key(key) {
            // Who has settled is as if it were new; when all are in use, others wait.
            self.settled.retain(|_, settled| *settled > now);
            if self.settled.len() >= RATES_MAX {
                return false;
            }
        }
        let settled = self.settled.get(key).map_or(now, |settled| (*settled).max(now)) + pause;
        let admitted = settled.duration_since(now) <= pause.saturating_mul(self.burst);
        if admitted {
            self.settled.insert(*key, settled);
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_are_slowed_down_one_by_one() {
        let mut rates = Rates::per_s(10);
        let start = Instant::now();
        let admitted = (0..100).filter(|_| rates.admit(&[1; 32], start)).count();
        assert_eq!(admitted, 20);
        assert!(rates.admit(&[2; 32], start));
        let later = start + Duration::from_millis(500);
        let admitted = (0..100).filter(|_| rates.admit(&[1; 32], later)).count();
        assert_eq!(admitted, 5);
    }

    #[test]
    fn many_strangers_take_bounded_memory() {
        let mut rates = Rates::per_s(1);
        let start = Instant::now();
        for id in 0..=RATES_MAX as u64 {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&id.to_be_bytes());
            assert_eq!(rates.admit(&key, start), id < RATES_MAX as u64);
        }
        assert!(rates.admit(&[9; 32], start + Duration::from_secs(3)));
        assert!(!Rates::per_s(0).admit(&[9; 32], start));
    }

    #[test]
    fn resends_of_everything_run_one_at_a_time_and_seldom() {
        let resends = Resends::new();
        let start = Instant::now();
        let running = resends.admit(&[1; 32], true, start);
        assert!(running.is_some() && resends.admit(&[2; 32], true, start).is_none());
        assert!(resends.admit(&[2; 32], false, start).is_some());
        drop(running);
        assert!(resends.admit(&[2; 32], true, start).is_some());
        let soon = start + RESEND_ALL_PAUSE - Duration::from_secs(1);
        assert!(resends.admit(&[1; 32], true, soon).is_none());
        assert!(resends.admit(&[1; 32], true, start + RESEND_ALL_PAUSE).is_some());
        let others = (10..50).filter(|id| resends.admit(&[*id; 32], true, soon).is_some()).count();
        assert!(others <= RESEND_ALL_BURST as usize, "{others}");
    }

    #[test]
    fn resends_of_single_payloads_are_bounded() {
        let resends = Resends::new();
        let start = Instant::now();
        let mut running = Vec::new();
        for _ in 0..1000 {
            running.extend(resends.admit(&[1; 32], false, start));
        }
        assert_eq!(running.len(), RESENDS_MAX);
        drop(running);
        let admitted = (0..1000).filter(|_| resends.admit(&[1; 32], false, start).is_some());
        assert_eq!(admitted.count(), 2 * RESEND_RATE_PER_S as usize - RESENDS_MAX);
    }
}
