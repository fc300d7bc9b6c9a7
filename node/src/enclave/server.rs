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
    extract::{DefaultBodyLimit, Request, State},
    http::{StatusCode, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use coterie_core::{EnclaveKey, PayloadKey};
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::sync::Semaphore;
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
/// Ids that a resend looks at in one step.
const RESEND_PAGE: usize = 256;
/// Senders whose rate is remembered.
const RATES_MAX: usize = 4096;
/// What every question about something that is not there, or not the asker's, is answered.
const NOT_FOUND: &str = "not found";

/// What the handlers share.
struct Port {
    network: Arc<Network>,
    requests: Semaphore,
    /// One resend of everything at a time: it reads the whole store.
    resends: Arc<Semaphore>,
    rates: Mutex<Rates>,
}

/// The routes of the peer port.
pub(super) fn router(network: Arc<Network>) -> Router {
    let limits = network.limits;
    let port = Arc::new(Port {
        requests: Semaphore::new(limits.requests_max),
        resends: Arc::new(Semaphore::new(1)),
        rates: Mutex::new(Rates::new(limits.stranger_rate_per_s)),
        network,
    });
    let push_bytes_max = port.network.vault.envelope_bytes_max();
    let message_bytes_max = message_bytes_max(limits.message_bytes_max);
    Router::new()
        .route("/push", post(push).layer(DefaultBodyLimit::max(push_bytes_max)))
        .route(MESSAGE_PATH, post(message).layer(DefaultBodyLimit::max(message_bytes_max)))
        .route(CHALLENGE_PATH, get(challenge))
        .route("/upcheck", get(async || "I'm up!"))
        .route("/version", get(async || env!("CARGO_PKG_VERSION")))
        .route("/version/distribution", get(async || env!("CARGO_PKG_VERSION")))
        .route("/version/api", get(async || Json(["1.0", "3.0"])))
        .route("/partyinfo", get(tell_parties).post(take_parties))
        .route("/partyinfo/validate", post(validate))
        .route("/pushPrivacyGroup", post(push_group))
        .route("/resend", post(resend))
        .layer(DefaultBodyLimit::max(SHORT_BODY_BYTES_MAX))
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, REQUEST_TIME_MAX))
        .layer(from_fn_with_state(Arc::clone(&port), bounded))
        .with_state(port)
}

/// Refuses what exceeds the number of requests that are worked on at a time.
async fn bounded(State(port): State<Arc<Port>>, request: Request, next: Next) -> Response {
    match port.requests.try_acquire() {
        Ok(_permit) => next.run(request).await,
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "too many requests at a time").into_response(),
    }
}

async fn push(State(port): State<Arc<Port>>, body: bytes::Bytes) -> Response {
    // In a task of its own: a caller that hangs up must not leave a payload stored but unnoticed.
    let stored = tokio::spawn(async move {
        let rate = |sender: &[u8; 32]| port.rates.lock().admit(sender, Instant::now());
        port.network.vault.accept(&body, rate).await
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
/// nothing is in the answer, also for a single one (where Tessera answers with the payload).
async fn resend(State(port): State<Arc<Port>>, body: bytes::Bytes) -> Response {
    let Ok(request) = serde_json::from_slice::<ResendRequest>(&body) else {
        return (StatusCode::BAD_REQUEST, "not a resend request").into_response();
    };
    let asker = request.public_key.parse::<EnclaveKey>().ok();
    let Some(asker) = asker.as_ref().and_then(EnclaveKey::as_nacl).copied() else {
        return (StatusCode::BAD_REQUEST, "not a resend request").into_response();
    };
    let network = &port.network;
    if network.recipient(&asker).is_err() {
        return (StatusCode::NOT_FOUND, NOT_FOUND).into_response();
    }
    match request.kind {
        ResendKind::All => {
            let Ok(permit) = Arc::clone(&port.resends).try_acquire_owned() else {
                return (StatusCode::SERVICE_UNAVAILABLE, "another resend is under way")
                    .into_response();
            };
            let network = Arc::clone(network);
            tokio::spawn(async move {
                resend_all(&network, &asker).await;
                drop(permit);
            });
            StatusCode::OK.into_response()
        }
        ResendKind::Individual => {
            let key = request.key.and_then(|key| key.parse::<coterie_core::GroupId>().ok());
            let sent = match key {
                Some(key) => resend_one(network, &asker, PayloadKey(key.0)).await,
                None => false,
            };
            if sent {
                StatusCode::OK.into_response()
            } else {
                (StatusCode::NOT_FOUND, NOT_FOUND).into_response()
            }
        }
    }
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

/// How fast strangers push: a bucket of tokens per key.
struct Rates {
    per_s: u32,
    buckets: HashMap<[u8; 32], Bucket>,
}

struct Bucket {
    /// Thousandths of a payload that may still come.
    tokens: u64,
    at: Instant,
}

impl Rates {
    fn new(per_s: u32) -> Self {
        Self { per_s, buckets: HashMap::new() }
    }

    fn admit(&mut self, sender: &[u8; 32], now: Instant) -> bool {
        let (rate, full) = (u64::from(self.per_s), u64::from(self.per_s) * 2000);
        let refilled = |bucket: &Bucket| {
            let passed = u64::try_from(now.saturating_duration_since(bucket.at).as_millis())
                .unwrap_or(u64::MAX);
            bucket.tokens.saturating_add(passed.saturating_mul(rate)).min(full)
        };
        if self.buckets.len() >= RATES_MAX && !self.buckets.contains_key(sender) {
            // Full buckets say nothing; when all are in use, strangers wait.
            self.buckets.retain(|_, bucket| refilled(bucket) < full);
            if self.buckets.len() >= RATES_MAX {
                return false;
            }
        }
        let tokens = self.buckets.get(sender).map_or(full, refilled);
        let admitted = tokens >= 1000;
        let tokens = if admitted { tokens - 1000 } else { tokens };
        self.buckets.insert(*sender, Bucket { tokens, at: now });
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_are_slowed_down_one_by_one() {
        let mut rates = Rates::new(10);
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
        let mut rates = Rates::new(1);
        let start = Instant::now();
        for id in 0..=RATES_MAX as u64 {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&id.to_be_bytes());
            assert_eq!(rates.admit(&key, start), id < RATES_MAX as u64);
        }
        assert!(rates.admit(&[9; 32], start + Duration::from_secs(3)));
    }
}
