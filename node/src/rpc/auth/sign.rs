//! Makes keys and tokens: for `POST /login`, `coterie token` and tests. Private keys leave here only
//! as PEM, for a file.
//!
//! Formats: PKCS #8 and SubjectPublicKeyInfo in PEM (RFC 7468), JWK with its thumbprint as `kid`
//! (RFC 7517, RFC 7638), the compact form of JWS (RFC 7515, 3.1).

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    hmac,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
        EcdsaSigningAlgorithm, KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512,
        RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
    },
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{
    keys::pem,
    options::{Algorithm, Family},
};

/// A key that signs tokens with one algorithm.
pub struct SigningKey {
    algorithm: Algorithm,
    kind: Kind,
}

enum Kind {
    Rsa(Box<RsaKeyPair>),
    Curve(EcdsaKeyPair),
    Secret(Box<hmac::Key>),
}

/// A key cannot be made or used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// The library refused, as when the system has no random bytes.
    #[error("the cryptographic library failed")]
    Library,
    /// No private key in PKCS #8 PEM.
    #[error(
        "not a private key: `-----BEGIN PRIVATE KEY-----` is expected (`openssl pkcs8 -topk8 -nocrypt` converts others)"
    )]
    NotPem,
    /// A key of another kind.
    #[error("not a private key for {0}")]
    Kind(Algorithm),
    /// HS256 has no key pair.
    #[error("HS256 has no key pair: any secret of at least 32 bytes will do")]
    NoPair,
}

impl SigningKey {
    /// Makes a key pair: RSA has 2048 bits.
    pub fn generate(algorithm: Algorithm) -> Result<Self, SignError> {
        let kind = match algorithm.family() {
            Family::Rsa => Kind::Rsa(Box::new(
                RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| SignError::Library)?,
            )),
            family @ (Family::P256 | Family::P384) => {
                let curve = curve(family).ok_or(SignError::Library)?;
                Kind::Curve(EcdsaKeyPair::generate(curve).map_err(|_| SignError::Library)?)
            }
            Family::Secret => return Err(SignError::NoPair),
        };
        Ok(Self { algorithm, kind })
    }

    /// Reads a private key in PKCS #8 PEM; for HS256, takes the text's bytes as the secret.
    pub fn read(text: &str, algorithm: Algorithm) -> Result<Self, SignError> {
        let kind = match algorithm.family() {
            Family::Secret => {
                let secret = text.strip_suffix('\n').unwrap_or(text);
                let secret = secret.strip_suffix('\r').unwrap_or(secret);
                Kind::Secret(Box::new(hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes())))
            }
            family @ (Family::Rsa | Family::P256 | Family::P384) => {
                let (label, der) = pem(text).ok_or(SignError::NotPem)?;
                if label != "PRIVATE KEY" {
                    return Err(SignError::NotPem);
                }
                Self::pair(&der, family).ok_or(SignError::Kind(algorithm))?
            }
        };
        Ok(Self { algorithm, kind })
    }

    fn pair(der: &[u8], family: Family) -> Option<Kind> {
        match curve(family) {
            Some(curve) => EcdsaKeyPair::from_pkcs8(curve, der).ok().map(Kind::Curve),
            None => RsaKeyPair::from_pkcs8(der).ok().map(|it| Kind::Rsa(Box::new(it))),
        }
    }

    /// The private key in PEM.
    pub fn to_private_pem(&self) -> Result<Zeroizing<String>, SignError> {
        let der = match &self.kind {
            Kind::Rsa(pair) => AsDer::<Pkcs8V1Der<'_>>::as_der(pair.as_ref())
                .map(|it| Zeroizing::new(it.as_ref().to_vec())),
            Kind::Curve(pair) => pair.to_pkcs8v1().map(|it| Zeroizing::new(it.as_ref().to_vec())),
            Kind::Secret(_) => return Err(SignError::NoPair),
        };
        let der = der.map_err(|_| SignError::Library)?;
        Ok(Zeroizing::new(to_pem("PRIVATE KEY", &der)))
    }

    /// The public key in PEM.
    pub fn to_public_pem(&self) -> Result<String, SignError> {
        let der = match &self.kind {
            Kind::Rsa(pair) => pair.public_key().as_der(),
            Kind::Curve(pair) => pair.public_key().as_der(),
            Kind::Secret(_) => return Err(SignError::NoPair),
        };
        Ok(to_pem("PUBLIC KEY", der.map_err(|_| SignError::Library)?.as_ref()))
    }

    /// The public key as an entry of a JWKS.
    pub fn to_jwk(&self) -> Result<Value, SignError> {
        let mut jwk = self.jwk_members()?;
        jwk.insert("kid".to_owned(), self.kid()?.into());
        jwk.insert("use".to_owned(), "sig".into());
        jwk.insert("alg".to_owned(), self.algorithm.name().into());
        Ok(Value::Object(jwk))
    }

    /// The key's name: its thumbprint. A secret has none.
    pub fn kid(&self) -> Result<String, SignError> {
        let text = Value::Object(self.jwk_members()?).to_string();
        Ok(URL_SAFE_NO_PAD.encode(Sha256::digest(text)))
    }

    /// A token that says `claims`.
    pub fn token(&self, claims: &Value) -> Result<String, SignError> {
        let mut header = json!({ "alg": self.algorithm.name(), "typ": "JWT" });
        if let (Ok(kid), Some(header)) = (self.kid(), header.as_object_mut()) {
            header.insert("kid".to_owned(), kid.into());
        }
        self.sign(&header.to_string(), &claims.to_string())
    }

    /// A token of any header and payload.
    pub(super) fn sign(&self, header: &str, payload: &str) -> Result<String, SignError> {
        let encode = |part: &[u8]| URL_SAFE_NO_PAD.encode(part);
        let message = format!("{}.{}", encode(header.as_bytes()), encode(payload.as_bytes()));
        let signature = self.signature(message.as_bytes())?;
        Ok(format!("{message}.{}", encode(&signature)))
    }

    /// The signature of `message`, as it is in a token.
    pub(super) fn signature(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let random = SystemRandom::new();
        match &self.kind {
            Kind::Rsa(pair) => {
                let encoding = rsa_encoding(self.algorithm).ok_or(SignError::Library)?;
                let mut signature = vec![0; pair.public_modulus_len()];
                let signed = pair.sign(encoding, &random, message, &mut signature);
                signed.map(|()| signature).map_err(|_| SignError::Library)
            }
            Kind::Curve(pair) => {
                let signature = pair.sign(&random, message).map_err(|_| SignError::Library)?;
                Ok(signature.as_ref().to_vec())
            }
            Kind::Secret(key) => Ok(hmac::sign(key, message).as_ref().to_vec()),
        }
    }

    /// The members that make a thumbprint, in its order.
    fn jwk_members(&self) -> Result<Map<String, Value>, SignError> {
        let encode = |bytes: &[u8]| Value::String(URL_SAFE_NO_PAD.encode(bytes));
        let members: Vec<(&str, Value)> = match &self.kind {
            Kind::Rsa(pair) => {
                let public = pair.public_key();
                let exponent = public.exponent().big_endian_without_leading_zero();
                let modulus = public.modulus().big_endian_without_leading_zero();
                vec![("e", encode(exponent)), ("kty", "RSA".into()), ("n", encode(modulus))]
            }
            Kind::Curve(pair) => {
                let name = match self.algorithm.family() {
                    Family::P384 => "P-384",
                    Family::P256 | Family::Rsa | Family::Secret => "P-256",
                };
                // 4, then both coordinates.
                let point = pair.public_key().as_ref().get(1..).unwrap_or_default();
                let (x, y) = point.split_at(point.len() / 2);
                let (x, y) = (encode(x), encode(y));
                vec![("crv", name.into()), ("kty", "EC".into()), ("x", x), ("y", y)]
            }
            Kind::Secret(_) => return Err(SignError::NoPair),
        };
        Ok(members.into_iter().map(|(name, it)| (name.to_owned(), it)).collect())
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

const fn curve(family: Family) -> Option<&'static EcdsaSigningAlgorithm> {
    match family {
        Family::P256 => Some(&ECDSA_P256_SHA256_FIXED_SIGNING),
        Family::P384 => Some(&ECDSA_P384_SHA384_FIXED_SIGNING),
        Family::Rsa | Family::Secret => None,
    }
}

fn rsa_encoding(algorithm: Algorithm) -> Option<&'static dyn RsaEncoding> {
    match algorithm {
        Algorithm::Rs256 => Some(&RSA_PKCS1_SHA256),
        Algorithm::Rs384 => Some(&RSA_PKCS1_SHA384),
        Algorithm::Rs512 => Some(&RSA_PKCS1_SHA512),
        Algorithm::Ps256 => Some(&RSA_PSS_SHA256),
        Algorithm::Ps384 => Some(&RSA_PSS_SHA384),
        Algorithm::Ps512 => Some(&RSA_PSS_SHA512),
        Algorithm::Es256 | Algorithm::Es384 | Algorithm::Hs256 => None,
    }
}

fn to_pem(label: &str, der: &[u8]) -> String {
    let body = Zeroizing::new(STANDARD.encode(der));
    let mut text = format!("-----BEGIN {label}-----\n");
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = more;
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}
