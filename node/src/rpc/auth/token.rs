//! Whether a token is good: a pure function of the token, the keys, the rules and the time.
//!
//! Everything is checked here, strictly, before and after the signature; of the library only the
//! signature itself is asked, with the configured algorithm, once for each token ([`Verified`]).
//! Nothing that a token names is fetched, opened or executed: a `kid` is compared and nothing else.
//! Formats: RFC 7515, RFC 7519, RFC 8725; the claims are those of the protocol specification, 8.1.

use coterie_core::EnclaveKey;
use quick_cache::sync::Cache;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::{
    keys::{KeyId, KeySet},
    options::TokenRules,
    permissions::Permissions,
    strict,
};

/// Bytes of a token, at most.
pub(super) const TOKEN_BYTES_MAX: usize = 8 << 10;
/// Bytes of a `kid`, at most.
const KID_BYTES_MAX: usize = 256;
/// Numbers above cannot be told apart in every JSON library.
const NUMBER_MAX: u64 = (1 << 53) - 1;
/// Tokens whose signature is remembered.
const VERIFIED_MAX: usize = 4096;
/// What a token could bring its own key with, or change how it is read. It has no place here.
const FOREIGN: [&str; 10] = ["crit", "b64", "jwk", "jku", "x5u", "x5c", "cty", "zip", "enc", "epk"];

/// What a good token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claims {
    /// Whose key verified it.
    pub(super) key: KeyId,
    /// `exp`, in seconds since 1970.
    pub(super) expires: u64,
    /// `permissions`.
    pub(super) permissions: Permissions,
    /// `privacyUserId`, else `privacyPublicKey`.
    pub(super) enclave_key: Option<EnclaveKey>,
    /// `username` and `revision`, of tokens that this node issued.
    pub(super) user: Option<(String, u64)>,
}

/// Which key verified which token: the signature of a token is the same at every request, and costs
/// more than most of them. Only good signatures are remembered, by a hash of the whole token, and
/// they count as long as the key itself does; all else of a token is judged every time.
pub(super) struct Verified(Cache<[u8; 32], KeyId>);

impl Default for Verified {
    fn default() -> Self {
        Self(Cache::new(VERIFIED_MAX))
    }
}

/// Why a token is not good: for the log, never for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadToken {
    #[error("there is no token, or more than one")]
    Missing,
    #[error("longer than 8 KiB")]
    TooLong,
    #[error("not three parts of base64url")]
    Form,
    #[error("the header is not strict JSON")]
    Header,
    #[error("the header has a member that is not allowed")]
    ForeignHeader,
    #[error("signed with another algorithm than the configured one")]
    Algorithm,
    #[error("no such key")]
    UnknownKey,
    #[error("the signature is wrong")]
    Signature,
    #[error("the claims are not strict JSON, or one has the wrong type")]
    Claims,
    #[error("expired")]
    Expired,
    #[error("not valid yet")]
    NotYet,
    #[error("for another audience")]
    Audience,
    #[error("of another issuer")]
    Issuer,
    #[error("the enclave key is not one of this node's")]
    ForeignEnclaveKey,
    #[error("the user is gone, or has changed")]
    User,
}

/// Judges `token` at `now`, in seconds since 1970. What is in `verified` changes no verdict.
pub(super) fn verify(
    token: &str,
    keys: &KeySet,
    rules: &TokenRules,
    now: u64,
    verified: &Verified,
) -> Result<Claims, BadToken> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(BadToken::TooLong);
    }
    let (message, signature) = token.rsplit_once('.').ok_or(BadToken::Form)?;
    let (header, payload) = message.split_once('.').ok_or(BadToken::Form)?;
    let decode = |part: &str| {
        let bytes = strict::base64url(part).filter(|it| !it.is_empty());
        bytes.ok_or(BadToken::Form)
    };
    let (header, payload) = (decode(header)?, decode(payload)?);
    decode(signature)?;
    let header = strict::object(&header).ok_or(BadToken::Header)?;
    let kid = judge_header(&header, rules)?;
    let hash: [u8; 32] = Sha256::digest(token).into();
    let before = verified.0.get(&hash);
    let mut known = false;
    let signer = keys.candidates(kid).find(|key| {
        known = true;
        before == Some(key.id) || key.verifies(message, signature, rules.algorithm)
    });
    let key = match signer {
        Some(key) => {
            if before != Some(key.id) {
                verified.0.insert(hash, key.id);
            }
            key.id
        }
        None if known => return Err(BadToken::Signature),
        None => return Err(BadToken::UnknownKey),
    };
    let claims = strict::object(&payload).ok_or(BadToken::Claims)?;
    judge_claims(&claims, rules, now)?;
    Ok(Claims {
        key,
        expires: number(&claims, "exp")?.ok_or(BadToken::Claims)?,
        permissions: permissions(&claims)?,
        enclave_key: enclave_key(&claims)?,
        user: user(&claims),
    })
}

/// Whether something that is good until `expires` is still good at `now`.
pub(super) const fn is_before(now: u64, expires: u64, leeway_s: u64) -> bool {
    now < expires.saturating_add(leeway_s)
}

/// The `kid` of a header that is in order.
fn judge_header<'a>(
    header: &'a Map<String, Value>,
    rules: &TokenRules,
) -> Result<Option<&'a str>, BadToken> {
    if FOREIGN.iter().any(|it| header.contains_key(*it)) {
        return Err(BadToken::ForeignHeader);
    }
    if header.get("alg").and_then(Value::as_str) != Some(rules.algorithm.name()) {
        return Err(BadToken::Algorithm);
    }
    if let Some(kind) = header.get("typ") {
        // RFC 9068's access tokens are tokens for us; ID tokens and the like have other types.
        let kind = kind.as_str().ok_or(BadToken::Header)?.to_ascii_lowercase();
        let kind = kind.strip_prefix("application/").unwrap_or(&kind);
        if !matches!(kind, "jwt" | "at+jwt") {
            return Err(BadToken::ForeignHeader);
        }
    }
    match header.get("kid") {
        None => Ok(None),
        Some(Value::String(kid)) if kid.len() <= KID_BYTES_MAX => Ok(Some(kid)),
        Some(_) => Err(BadToken::Header),
    }
}

fn judge_claims(claims: &Map<String, Value>, rules: &TokenRules, now: u64) -> Result<(), BadToken> {
    let expires = number(claims, "exp")?.ok_or(BadToken::Claims)?;
    if !is_before(now, expires, rules.leeway_s) {
        return Err(BadToken::Expired);
    }
    if number(claims, "nbf")?.is_some_and(|it| now.saturating_add(rules.leeway_s) < it) {
        return Err(BadToken::NotYet);
    }
    if !rules.audiences.is_empty() {
        let listed = |it: &str| rules.audiences.iter().any(|audience| audience == it);
        let meant = match claims.get("aud") {
            Some(Value::String(one)) => listed(one),
            Some(Value::Array(_)) => texts(claims, "aud")?.into_iter().any(listed),
            Some(_) | None => false,
        };
        if !meant {
            return Err(BadToken::Audience);
        }
    }
    if !rules.issuers.is_empty() {
        let issuer = claims.get("iss").and_then(Value::as_str);
        if !issuer.is_some_and(|it| rules.issuers.iter().any(|issuer| issuer == it)) {
            return Err(BadToken::Issuer);
        }
    }
    Ok(())
}

/// A claim that is a time: whole seconds.
fn number(claims: &Map<String, Value>, name: &str) -> Result<Option<u64>, BadToken> {
    match claims.get(name) {
        None => Ok(None),
        Some(it) => match it.as_u64() {
            Some(number) if number <= NUMBER_MAX => Ok(Some(number)),
            Some(_) | None => Err(BadToken::Claims),
        },
    }
}

/// A claim that is a list of texts; no texts when it is absent.
fn texts<'a>(claims: &'a Map<String, Value>, name: &str) -> Result<Vec<&'a str>, BadToken> {
    let list = match claims.get(name) {
        None => return Ok(Vec::new()),
        Some(it) => it.as_array().ok_or(BadToken::Claims)?,
    };
    list.iter().map(|it| it.as_str().ok_or(BadToken::Claims)).collect()
}

fn permissions(claims: &Map<String, Value>) -> Result<Permissions, BadToken> {
    Ok(Permissions::of(texts(claims, "permissions")?))
}

fn enclave_key(claims: &Map<String, Value>) -> Result<Option<EnclaveKey>, BadToken> {
    let Some(claim) = claims.get("privacyUserId").or_else(|| claims.get("privacyPublicKey")) else {
        return Ok(None);
    };
    let text = claim.as_str().ok_or(BadToken::Claims)?;
    text.parse().map(Some).map_err(|_| BadToken::ForeignEnclaveKey)
}

/// The user of a token that this node issued; tokens of others may have a `username` that says
/// nothing here.
fn user(claims: &Map<String, Value>) -> Option<(String, u64)> {
    let name = claims.get("username")?.as_str()?;
    Some((name.to_owned(), claims.get("revision")?.as_u64()?))
}
