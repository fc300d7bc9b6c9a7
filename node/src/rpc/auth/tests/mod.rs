//! Tokens, good and hostile, and what they let in: issuers with keys of every kind, and a node that
//! knows their public part.

mod corpus;
mod good;
mod keys;
mod login;
mod rotation;

use std::sync::{
    LazyLock,
    atomic::{AtomicU64, Ordering},
};

use axum::http::{HeaderValue, header};
use serde_json::{Value, json};
use url::Url;

use super::{
    keys::KeySet,
    options::{Algorithm, Family, TokenOptions, TokenRules},
    sign::SigningKey,
    token::Verified,
    *,
};

/// The time at which tokens are judged.
const NOW: u64 = 1_000_000;
/// The leeway of [`rules`].
const LEEWAY: u64 = 5;
/// A key of the node.
const HELD: EnclaveKey = EnclaveKey::Nacl([7; 32]);
const ALSO_HELD: EnclaveKey = EnclaveKey::Nacl([8; 32]);
const NOT_HELD: EnclaveKey = EnclaveKey::Nacl([9; 32]);
/// Of HS256's issuer.
const SECRET: &str = "a shared secret of thirty-two bytes or more";

/// Someone who signs tokens, and what a node knows of it.
struct Issuer {
    key: SigningKey,
    keys: KeySet,
}

/// One RSA key for all that need one: making them is slow.
static RSA: LazyLock<String> = LazyLock::new(|| private_pem(Algorithm::Rs256));
static P256: LazyLock<String> = LazyLock::new(|| private_pem(Algorithm::Es256));
static P384: LazyLock<String> = LazyLock::new(|| private_pem(Algorithm::Es384));
static OTHER_RSA: LazyLock<String> = LazyLock::new(|| private_pem(Algorithm::Rs256));

fn private_pem(algorithm: Algorithm) -> String {
    SigningKey::generate(algorithm).unwrap().to_private_pem().unwrap().to_string()
}

/// The published test issuer of an algorithm.
fn issuer(algorithm: Algorithm) -> Issuer {
    let pem = match algorithm.family() {
        Family::Rsa => RSA.as_str(),
        Family::P256 => P256.as_str(),
        Family::P384 => P384.as_str(),
        Family::Secret => SECRET,
    };
    let key = SigningKey::read(pem, algorithm).unwrap();
    let keys = match key.to_public_pem() {
        Ok(public) => KeySet::of_pem(&public, algorithm).unwrap(),
        Err(_) => KeySet::of_secret(SECRET.as_bytes(), algorithm).unwrap(),
    };
    Issuer { key, keys }
}

fn rules(algorithm: Algorithm) -> TokenRules {
    TokenRules { leeway_s: LEEWAY, ..TokenRules::new(algorithm) }
}

/// Claims that every node here takes.
fn claims() -> Value {
    json!({
        "permissions": ["priv:*", "eth:call"],
        "privacyUserId": HELD.to_base64(),
        "exp": NOW + 60,
    })
}

/// `claims` with a member set, or taken out for null.
fn with(mut value: Value, name: &str, member: Value) -> Value {
    let members = value.as_object_mut().unwrap();
    if member.is_null() {
        members.remove(name);
    } else {
        members.insert(name.to_owned(), member);
    }
    value
}

fn headers(token: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_bytes(format!("Bearer {token}").as_bytes()) {
        headers.insert(header::AUTHORIZATION, value);
    }
    headers
}

/// A clock that is set by hand.
fn clock() -> (Arc<AtomicU64>, Clock) {
    let time = Arc::new(AtomicU64::new(NOW));
    let told = Arc::clone(&time);
    (time, Arc::new(move || told.load(Ordering::Relaxed)))
}

/// A node that takes tokens of `source`.
fn node(options: TokenOptions) -> (Arc<AtomicU64>, Authenticator) {
    let (time, clock) = clock();
    let owner = Tenant::owner(HELD);
    let options = AuthOptions::Tokens(Box::new(options));
    (time, Authenticator::start(options, owner, vec![HELD, ALSO_HELD], clock).unwrap())
}

/// A set of these keys, as an issuer publishes it.
fn jwks(keys: &[&SigningKey]) -> String {
    let keys: Vec<Value> = keys.iter().map(|it| it.to_jwk().unwrap()).collect();
    json!({ "keys": keys }).to_string()
}
