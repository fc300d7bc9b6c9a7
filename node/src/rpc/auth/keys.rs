//! What tokens are verified with: public keys in PEM or JWK form, or a shared secret.
//!
//! A key is judged when it is read, not when a token comes: its kind fits the one configured
//! algorithm, an RSA modulus has 2048 to 8192 bits, a point is on its curve. Formats: RFC 7468 (PEM),
//! RFC 5280 and 8017 (public keys in DER), RFC 7517 and 7518 (JWK).

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ParsedPublicKey};
use base64::{Engine, engine::general_purpose::STANDARD};
use jsonwebtoken::DecodingKey;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{
    options::{Algorithm, Family},
    strict,
};

/// Keys of one set, at most.
const KEYS_MAX: usize = 64;
/// Bytes of a secret, at least: as many as HS256's hash has (RFC 7518, 3.2).
const SECRET_BYTES_MIN: usize = 32;
/// Bytes of an RSA modulus.
const MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;

/// Names a key, whatever `kid` it goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeyId([u8; 32]);

/// A key that can be used for the configured algorithm.
pub(super) struct Key {
    pub(super) id: KeyId,
    kid: Option<String>,
    decoding: DecodingKey,
}

/// The keys that are accepted now.
pub(super) enum KeySet {
    /// The only key; what `kid` a token names says nothing.
    Only(Key),
    /// Keys that tokens name.
    Named(Vec<Key>),
}

/// Text holds no key for the configured algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidKey {
    /// No PEM.
    #[error("not PEM: `-----BEGIN PUBLIC KEY-----` is expected")]
    NotPem,
    /// A private key where the public one is needed.
    #[error("this is a private key: only the issuer needs it; put the public key here")]
    Private,
    /// A certificate.
    #[error(
        "this is a certificate: take its public key out with `openssl x509 -pubkey -noout -in FILE`"
    )]
    Certificate,
    /// Another kind of key.
    #[error(
        "not a public key for {0}: RSA keys have 2048 to 8192 bits, ES256 is on P-256, ES384 on P-384"
    )]
    Kind(Algorithm),
    /// The algorithm has no public key.
    #[error("HS256 has no public key: name the shared secret's file as secret_file")]
    NeedsSecret,
    /// A secret for an algorithm with public keys.
    #[error("a secret is for HS256 only")]
    NeedsPublicKey,
    /// A secret that can be guessed.
    #[error("the secret is too short: it needs at least 32 bytes")]
    ShortSecret,
    /// A public key as the secret.
    #[error(
        "this is a key in PEM, DER or JWK form, not a secret: whoever knows it could make tokens"
    )]
    KeyAsSecret,
    /// No JWKS.
    #[error("not a JSON Web Key Set: an object with a list \"keys\" is expected")]
    NotJwks,
    /// Too many keys.
    #[error("more than 64 keys in the set")]
    TooMany,
}

impl KeySet {
    /// The set of one public key, in PEM.
    pub(super) fn of_pem(text: &str, algorithm: Algorithm) -> Result<Self, InvalidKey> {
        let (label, der) = pem(text).ok_or(InvalidKey::NotPem)?;
        match label {
            "PUBLIC KEY" | "RSA PUBLIC KEY" => {}
            "CERTIFICATE" => return Err(InvalidKey::Certificate),
            _ if label.ends_with("PRIVATE KEY") => return Err(InvalidKey::Private),
            _ => return Err(InvalidKey::NotPem),
        }
        let wrong = InvalidKey::Kind(algorithm);
        let (id, decoding) = match algorithm.family() {
            Family::Rsa => {
                let key = aws_lc_rs::rsa::PublicKey::from_der(&der).map_err(|_| wrong)?;
                let modulus = key.modulus().big_endian_without_leading_zero();
                rsa(modulus, key.exponent().big_endian_without_leading_zero()).ok_or(wrong)?
            }
            family @ (Family::P256 | Family::P384) => curve(family, &der).ok_or(wrong)?,
            Family::Secret => return Err(InvalidKey::NeedsSecret),
        };
        Ok(Self::Only(Key { id, kid: None, decoding }))
    }

    /// The set of one secret: the bytes of a file, without the line's end.
    pub(super) fn of_secret(bytes: &[u8], algorithm: Algorithm) -> Result<Self, InvalidKey> {
        if algorithm.family() != Family::Secret {
            return Err(InvalidKey::NeedsPublicKey);
        }
        let secret = without_line_end(bytes);
        if is_key(secret) {
            return Err(InvalidKey::KeyAsSecret);
        }
        if secret.len() < SECRET_BYTES_MIN {
            return Err(InvalidKey::ShortSecret);
        }
        let id = KeyId::of(&[b"secret", secret]);
        Ok(Self::Only(Key { id, kid: None, decoding: DecodingKey::from_secret(secret) }))
    }

    /// The usable keys of a JWKS: of the algorithm's kind, for signatures, without a private part.
    /// Others are skipped, since a set may serve several purposes.
    pub(super) fn of_jwks(text: &[u8], algorithm: Algorithm) -> Result<Self, InvalidKey> {
        let Some(Value::Array(entries)) = strict::object(text).and_then(|mut it| it.remove("keys"))
        else {
            return Err(InvalidKey::NotJwks);
        };
        if entries.len() > KEYS_MAX {
            return Err(InvalidKey::TooMany);
        }
        let keys = entries.iter().filter_map(|entry| jwk(entry.as_object()?, algorithm));
        Ok(Self::Named(keys.collect()))
    }

    /// Of no key: no token is good.
    pub(super) const fn empty() -> Self {
        Self::Named(Vec::new())
    }

    /// Whether these are the same keys under the same names.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let same = |(a, b): (&Key, &Key)| a.id == b.id && a.kid == b.kid;
        self.len() == other.len() && self.keys().iter().zip(other.keys()).all(same)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.keys().len()
    }

    /// Whether a key is still one of them.
    pub(super) fn contains(&self, id: KeyId) -> bool {
        self.keys().iter().any(|it| it.id == id)
    }

    /// The keys that may have signed a token whose header names `kid`. A token that names none can
    /// only mean the one key there is.
    pub(super) fn candidates(&self, kid: Option<&str>) -> impl Iterator<Item = &Key> {
        let keys = self.keys();
        let any = match self {
            Self::Only(_) => true,
            Self::Named(_) => kid.is_none() && keys.len() == 1,
        };
        keys.iter().filter(move |it| any || it.kid.as_deref() == kid)
    }

    fn keys(&self) -> &[Key] {
        match self {
            Self::Only(key) => std::slice::from_ref(key),
            Self::Named(keys) => keys,
        }
    }
}

impl std::fmt::Debug for KeySet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ids: Vec<KeyId> = self.keys().iter().map(|it| it.id).collect();
        f.debug_tuple("KeySet").field(&ids).finish()
    }
}

impl Key {
    /// Whether the last part of a token is this key's signature of what is before it.
    pub(super) fn verifies(&self, message: &str, signature: &str, algorithm: Algorithm) -> bool {
        let message = message.as_bytes();
        jsonwebtoken::crypto::verify(signature, message, &self.decoding, algorithm.library())
            .unwrap_or(false)
    }
}

impl KeyId {
    fn of(parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }
}

/// The label and bytes of a text that is one PEM block and nothing else.
pub(super) fn pem(text: &str) -> Option<(&str, Zeroizing<Vec<u8>>)> {
    let rest = text.trim().strip_prefix("-----BEGIN ")?;
    let (label, rest) = rest.split_once("-----")?;
    let body = rest.strip_suffix("-----")?.strip_suffix(label)?.strip_suffix("-----END ")?;
    let body: Zeroizing<String> =
        Zeroizing::new(body.chars().filter(|it| !it.is_ascii_whitespace()).collect());
    Some((label, Zeroizing::new(STANDARD.decode(body.as_bytes()).ok()?)))
}

fn rsa(modulus: &[u8], exponent: &[u8]) -> Option<(KeyId, DecodingKey)> {
    // An exponent of 1 signs nothing, an even one is none; longer ones than usual cost time.
    let odd = exponent.last().is_some_and(|it| it % 2 == 1);
    let sensible = odd && exponent != [1] && exponent.len() <= 4;
    if !sensible || !MODULUS_BYTES.contains(&modulus.len()) {
        return None;
    }
    let id = KeyId::of(&[b"rsa", modulus, exponent]);
    Some((id, DecodingKey::from_rsa_raw_components(modulus, exponent)))
}

/// `public` is a point, or a whole public key in DER.
fn curve(family: Family, public: &[u8]) -> Option<(KeyId, DecodingKey)> {
    let parsed = match family {
        Family::P256 => ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public),
        Family::P384 => ParsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, public),
        Family::Rsa | Family::Secret => return None,
    };
    parsed.ok()?;
    Some((KeyId::of(&[b"ec", public]), DecodingKey::from_ec_der(public)))
}

fn jwk(members: &Map<String, Value>, algorithm: Algorithm) -> Option<Key> {
    let text = |name: &str| members.get(name).and_then(Value::as_str);
    let absent_or =
        |name: &str, want: &str| !members.contains_key(name) || text(name) == Some(want);
    if members.contains_key("d") {
        tracing::warn!(kid = text("kid"), "the key set has a private key in it: it is not used");
        return None;
    }
    let verifies = members.get("key_ops").is_none_or(|it| {
        it.as_array().is_some_and(|list| list.iter().any(|op| op.as_str() == Some("verify")))
    });
    if !verifies || !absent_or("use", "sig") || !absent_or("alg", algorithm.name()) {
        return None;
    }
    let part = |name: &str| strict::base64url(text(name)?);
    let point = |size: usize| {
        let (x, y) = (part("x")?, part("y")?);
        (x.len() == size && y.len() == size).then(|| [&[4], x.as_slice(), &y].concat())
    };
    let (id, decoding) = match (algorithm.family(), text("kty")?, text("crv")) {
        (Family::Rsa, "RSA", _) => rsa(&part("n")?, &part("e")?)?,
        (family @ Family::P256, "EC", Some("P-256")) => curve(family, &point(32)?)?,
        (family @ Family::P384, "EC", Some("P-384")) => curve(family, &point(48)?)?,
        // Never `oct`: a secret that is published is none.
        (Family::Rsa | Family::P256 | Family::P384 | Family::Secret, _, _) => return None,
    };
    let kid = match members.get("kid") {
        None => None,
        Some(kid) => Some(kid.as_str()?.to_owned()),
    };
    Some(Key { id, kid, decoding })
}

fn without_line_end(bytes: &[u8]) -> &[u8] {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    bytes.strip_suffix(b"\r").unwrap_or(bytes)
}

/// Whether these bytes are a key in a form in which public keys are handed round.
fn is_key(bytes: &[u8]) -> bool {
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    let is_der = |der: &[u8]| {
        aws_lc_rs::rsa::PublicKey::from_der(der).is_ok()
            || curve(Family::P256, der).is_some()
            || curve(Family::P384, der).is_some()
    };
    let is_jwk = || {
        let members = strict::object(bytes);
        members.is_some_and(|it| it.contains_key("kty") || it.contains_key("keys"))
    };
    let is_base64_der = || {
        let body: String = text.chars().filter(|it| !it.is_ascii_whitespace()).collect();
        STANDARD.decode(&body).is_ok_and(|der| is_der(&der))
    };
    text.contains("-----BEGIN") || is_der(bytes) || is_jwk() || is_base64_der()
}
