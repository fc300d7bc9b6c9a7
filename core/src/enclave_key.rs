//! Public keys of enclaves. Text form is standard base64 with padding.

use alloc::{boxed::Box, string::String};
use core::{fmt, str::FromStr};

use crate::base64;

/// An enclave's public key: 32 bytes (Curve25519, "NaCl") or 91 bytes (P-256
/// SubjectPublicKeyInfo, "EC").
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EnclaveKey {
    /// Curve25519 public key.
    Nacl([u8; 32]),
    /// P-256 public key as DER SubjectPublicKeyInfo.
    Ec(Box<[u8; 91]>),
}

/// The bytes are no enclave key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidEnclaveKey {
    /// Neither 32 nor 91 bytes.
    #[error("an enclave key has 32 or 91 bytes, not {0}")]
    Length(usize),
    /// The text is not standard base64 with padding.
    #[error("an enclave key is written in standard base64 with padding")]
    Base64,
}

impl EnclaveKey {
    /// Reads a key of 32 or 91 bytes.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, InvalidEnclaveKey> {
        if let Ok(key) = <[u8; 32]>::try_from(bytes) {
            return Ok(Self::Nacl(key));
        }
        match <[u8; 91]>::try_from(bytes) {
            Ok(key) => Ok(Self::Ec(Box::new(key))),
            Err(_) => Err(InvalidEnclaveKey::Length(bytes.len())),
        }
    }

    /// The raw bytes, 32 or 91.
    pub fn as_slice(&self) -> &[u8] {
        match self {
            Self::Nacl(key) => key,
            Self::Ec(key) => key.as_slice(),
        }
    }

    /// The 32 bytes of a Curve25519 key; `None` for an EC key.
    pub const fn as_nacl(&self) -> Option<&[u8; 32]> {
        match self {
            Self::Nacl(key) => Some(key),
            Self::Ec(_) => None,
        }
    }

    /// Standard base64 with padding.
    pub fn to_base64(&self) -> String {
        base64::encode(self.as_slice())
    }
}

impl FromStr for EnclaveKey {
    type Err = InvalidEnclaveKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = base64::decode(text).ok_or(InvalidEnclaveKey::Base64)?;
        Self::from_slice(&bytes)
    }
}

impl fmt::Display for EnclaveKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_base64())
    }
}

impl fmt::Debug for EnclaveKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EnclaveKey({})", self.to_base64())
    }
}
