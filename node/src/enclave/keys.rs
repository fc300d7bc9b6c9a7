//! Enclave key pairs and their files, in Tessera's format.
//!
//! A private key file is JSON, either `unlocked` or `argon2sbox` (Argon2id and a secretbox); a
//! public key file is base64 text. Vaults and key rotation are not here. Format: enclave
//! specification, 3.1.

use std::{fmt, fs, io, path::Path};

use argon2::{Algorithm, Argon2, Params, Version};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use coterie_core::EnclaveKey;
use crypto_secretbox::{
    KeyInit, XSalsa20Poly1305,
    aead::{Aead, generic_array::GenericArray},
};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::crypto::{NoEntropy, random};

/// Largest key file that is read.
const FILE_BYTES_MAX: u64 = 16 * 1024;
/// Largest Argon2 memory that a key file may ask for, in KiB: four times Tessera's default.
const ARGON2_MEMORY_MAX_KIB: u32 = 4 * 1024 * 1024;
/// Largest number of Argon2 passes that a key file may ask for.
const ARGON2_ITERATIONS_MAX: u32 = 1000;

/// A secret Curve25519 key as it was drawn (not clamped). Zeroised on drop; never printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SecretKey([u8; 32]);

impl SecretKey {
    /// Takes 32 secret bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub(super) fn to_crypto_box(&self) -> crypto_box::SecretKey {
        crypto_box::SecretKey::from_bytes(self.0)
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(<redacted>)")
    }
}

/// A secret key with its public key.
#[derive(Clone, Debug)]
pub struct KeyPair {
    secret: SecretKey,
    public: [u8; 32],
}

impl KeyPair {
    /// Computes the public key.
    pub fn from_secret(secret: SecretKey) -> Self {
        let public = *secret.to_crypto_box().public_key().as_bytes();
        Self { secret, public }
    }

    /// Draws a new pair.
    pub fn generate() -> Result<Self, NoEntropy> {
        Ok(Self::from_secret(SecretKey(random()?)))
    }

    /// Reads a secret key from base64.
    pub fn from_base64(text: &str) -> Result<Self, KeyFileError> {
        Ok(Self::from_secret(SecretKey(*fixed::<32>(text.trim(), "the private key")?)))
    }

    /// The secret half.
    pub const fn secret(&self) -> &SecretKey {
        &self.secret
    }

    /// The public half.
    pub const fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// The public half as an enclave key.
    pub const fn enclave_key(&self) -> EnclaveKey {
        EnclaveKey::Nacl(self.public)
    }
}

/// A key file cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// The file system refused.
    #[error("the key file cannot be accessed")]
    Io(#[from] io::Error),
    /// Too large for a key file.
    #[error("the key file has more than {FILE_BYTES_MAX} bytes")]
    TooLarge,
    /// Not the JSON of a key file.
    #[error(
        "the key file is not a key file of type `unlocked` or `argon2sbox` (line {line}, column {column})"
    )]
    Json {
        /// Where, from 1.
        line: usize,
        /// Where, from 1.
        column: usize,
    },
    /// A field is not base64 of the right length.
    #[error("{field} is not base64 of {bytes} bytes")]
    Field {
        /// Which.
        field: &'static str,
        /// How many bytes it should have.
        bytes: usize,
    },
    /// The file is locked and no password was given.
    #[error("the key file is locked: give its password")]
    PasswordNeeded,
    /// The password does not open it.
    #[error("the password does not open the key file")]
    WrongPassword,
    /// Argon2 parameters outside of what is accepted.
    #[error("the key file's Argon2 parameters are not accepted")]
    Argon2,
    /// No random bytes.
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
}

/// What password protection costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argon2Cost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes.
    pub iterations: u32,
    /// Lanes.
    pub parallelism: u32,
}

impl Default for Argon2Cost {
    /// 64 MiB, 3 passes, 4 lanes: the second recommendation of RFC 9106. Tessera's own default
    /// (1 GiB, 10 passes) takes half a minute.
    fn default() -> Self {
        Self { memory_kib: 64 * 1024, iterations: 3, parallelism: 4 }
    }
}

/// A private key file's JSON.
#[derive(Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
enum KeyFile {
    #[serde(rename = "unlocked")]
    Unlocked { bytes: String },
    #[serde(rename = "argon2sbox")]
    Argon2Sbox { aopts: Argon2Options, snonce: String, asalt: String, sbox: String },
}

#[derive(Serialize, Deserialize)]
struct Argon2Options {
    variant: String,
    memory: u32,
    iterations: u32,
    parallelism: u32,
}

/// Reads a private key from the text of a key file.
pub fn read_key(json: &str, password: Option<&str>) -> Result<KeyPair, KeyFileError> {
    let file: KeyFile = serde_json::from_str(json)
        .map_err(|error| KeyFileError::Json { line: error.line(), column: error.column() })?;
    let secret = match file {
        KeyFile::Unlocked { bytes } => fixed::<32>(&Zeroizing::new(bytes), "data.bytes")?,
        KeyFile::Argon2Sbox { aopts, snonce, asalt, sbox } => {
            let password = password.ok_or(KeyFileError::PasswordNeeded)?;
            let salt = fixed::<32>(&asalt, "data.asalt")?;
            let nonce = fixed::<24>(&snonce, "data.snonce")?;
            let sbox = fixed::<48>(&sbox, "data.sbox")?;
            let cipher = password_cipher(&aopts, password, &*salt)?;
            let plain = cipher
                .decrypt(GenericArray::from_slice(&*nonce), sbox.as_slice())
                .map(Zeroizing::new)
                .map_err(|_| KeyFileError::WrongPassword)?;
            let bytes =
                <[u8; 32]>::try_from(plain.as_slice()).map_err(|_| KeyFileError::WrongPassword)?;
            Zeroizing::new(bytes)
        }
    };
    Ok(KeyPair::from_secret(SecretKey(*secret)))
}

/// Reads a private key file.
pub fn read_key_file(path: &Path, password: Option<&str>) -> Result<KeyPair, KeyFileError> {
    if fs::metadata(path)?.len() > FILE_BYTES_MAX {
        return Err(KeyFileError::TooLarge);
    }
    let json = Zeroizing::new(fs::read_to_string(path)?);
    read_key(&json, password)
}

/// The text of a private key file: locked when there is a password.
pub fn write_key(
    pair: &KeyPair,
    password: Option<(&str, Argon2Cost)>,
) -> Result<Zeroizing<String>, KeyFileError> {
    let mut file = match password {
        None => KeyFile::Unlocked { bytes: STANDARD.encode(pair.secret.as_bytes()) },
        Some((password, cost)) => {
            let aopts = Argon2Options {
                variant: "id".to_owned(),
                memory: cost.memory_kib,
                iterations: cost.iterations,
                parallelism: cost.parallelism,
            };
            let salt = random::<32>()?;
            let nonce = random::<24>()?;
            let sbox = password_cipher(&aopts, password, &salt)?
                .encrypt(GenericArray::from_slice(&nonce), pair.secret.as_bytes().as_slice())
                .map_err(|_| KeyFileError::Argon2)?;
            KeyFile::Argon2Sbox {
                aopts,
                snonce: STANDARD.encode(nonce),
                asalt: STANDARD.encode(salt),
                sbox: STANDARD.encode(sbox),
            }
        }
    };
    let json = serde_json::to_string(&file);
    if let KeyFile::Unlocked { bytes } = &mut file {
        bytes.zeroize();
    }
    json.map(Zeroizing::new).map_err(|error| KeyFileError::Io(io::Error::other(error)))
}

/// Writes `NAME.key` (readable by the owner only) and `NAME.pub`; refuses to overwrite either.
pub fn write_key_files(
    base: &Path,
    pair: &KeyPair,
    password: Option<(&str, Argon2Cost)>,
) -> Result<(), KeyFileError> {
    let json = write_key(pair, password)?;
    write_new(&with_suffix(base, ".key"), json.as_bytes(), true)?;
    write_new(&with_suffix(base, ".pub"), pair.enclave_key().to_base64().as_bytes(), false)?;
    Ok(())
}

/// Reads a public key file: base64 text.
pub fn read_public_key_file(path: &Path) -> Result<EnclaveKey, KeyFileError> {
    if fs::metadata(path)?.len() > FILE_BYTES_MAX {
        return Err(KeyFileError::TooLarge);
    }
    let text = fs::read_to_string(path)?;
    Ok(EnclaveKey::Nacl(*fixed::<32>(text.trim(), "the public key")?))
}

fn with_suffix(base: &Path, suffix: &str) -> std::path::PathBuf {
    let mut name = base.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn write_new(path: &Path, bytes: &[u8], secret: bool) -> io::Result<()> {
    use io::Write as _;
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(if secret { 0o600 } else { 0o644 });
    }
    #[cfg(not(unix))]
    let _ = secret;
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn fixed<const N: usize>(
    text: &str,
    field: &'static str,
) -> Result<Zeroizing<[u8; N]>, KeyFileError> {
    let bytes = STANDARD
        .decode(text)
        .map(Zeroizing::new)
        .map_err(|_| KeyFileError::Field { field, bytes: N })?;
    let array = <[u8; N]>::try_from(bytes.as_slice())
        .map_err(|_| KeyFileError::Field { field, bytes: N })?;
    Ok(Zeroizing::new(array))
}

fn password_cipher(
    options: &Argon2Options,
    password: &str,
    salt: &[u8],
) -> Result<XSalsa20Poly1305, KeyFileError> {
    let algorithm = match options.variant.as_str() {
        "id" => Algorithm::Argon2id,
        "i" => Algorithm::Argon2i,
        "d" => Algorithm::Argon2d,
        _ => return Err(KeyFileError::Argon2),
    };
    if options.memory > ARGON2_MEMORY_MAX_KIB || options.iterations > ARGON2_ITERATIONS_MAX {
        return Err(KeyFileError::Argon2);
    }
    let params = Params::new(options.memory, options.iterations, options.parallelism, Some(32))
        .map_err(|_| KeyFileError::Argon2)?;
    let mut key = Zeroizing::new([0u8; 32]);
    Argon2::new(algorithm, Version::V0x13, params)
        .hash_password_into(password.as_bytes(), salt, key.as_mut_slice())
        .map_err(|_| KeyFileError::Argon2)?;
    Ok(XSalsa20Poly1305::new(GenericArray::from_slice(key.as_slice())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_pair(secret: &str, public: &str) {
        assert_eq!(KeyPair::from_base64(secret).unwrap().enclave_key().to_base64(), public);
    }

    #[test]
    fn public_keys_are_those_of_the_published_test_keys() {
        check_pair(
            "hBsuQsGJzx4QHmFmBkNoI7YGnTmaZP4P+wBOdu56ljk=",
            "A1aVtMxLCUHmBVHXoZzzBgPbW/wj5axDpW9X8l91SGo=",
        );
        check_pair(
            "wjeHURxQJUqZvhjMv+lxoRlXYnX/mpm0Iu/ldBr32Qs=",
            "Ko2bVqD+nNlNYL5EE7y3IdOnviftjiizpjRt+HTuFBs=",
        );
        check_pair(
            "QmBfzDOxF99iInkXAPBAZpQQfelvPmHqbcO8tNHYtJM=",
            "k2zXEin4Ip/qBGlRkJejnGWdP9cjkK+DAvKNW31L2C8=",
        );
        check_pair(
            "uTJGpd4ZEEtDPFSZM0+GT11xn5NFIr2KGP2Q4SdVPRM=",
            "GGilEkXLaQ9yhhtbpBT03Me9iYa7U/mWXxrJhnbl1XY=",
        );
    }

    #[test]
    fn unlocked_file_is_read_and_written() {
        let json = r#"{"type":"unlocked","data":{"bytes":"hBsuQsGJzx4QHmFmBkNoI7YGnTmaZP4P+wBOdu56ljk="}}"#;
        let pair = read_key(json, None).unwrap();
        assert_eq!(*write_key(&pair, None).unwrap(), json);
        assert!(!format!("{pair:?}").contains("hBsu"));
        assert!(format!("{:?}", pair.secret()).contains("redacted"));
    }

    #[test]
    fn locked_file_opens_with_its_password_only() {
        let pair = KeyPair::generate().unwrap();
        let cost = Argon2Cost { memory_kib: 64, iterations: 1, parallelism: 1 };
        let json = write_key(&pair, Some(("secret", cost))).unwrap();
        assert_eq!(read_key(&json, Some("secret")).unwrap().public(), pair.public());
        assert!(matches!(read_key(&json, Some("Secret")), Err(KeyFileError::WrongPassword)));
        assert!(matches!(read_key(&json, None), Err(KeyFileError::PasswordNeeded)));
    }

    #[test]
    fn damaged_files_are_refused_without_naming_their_content() {
        for json in [
            "",
            "{}",
            r#"{"type":"unlocked","data":{"bytes":"AA=="}}"#,
            r#"{"type":"other","data":{"bytes":"SECRET"}}"#,
            r#"{"type":"unlocked","data":"SECRET"}"#,
            r#"{"type":"argon2sbox","data":{"aopts":{"variant":"id","memory":4294967295,"iterations":10,"parallelism":4},"snonce":"x3HUNXH6LQldKtEv3q0h0hR4S12Ur9pC","asalt":"7Sem2tc6fjEfW3yYUDN/kSslKEW0e1zqKnBCWbZu2Zw=","sbox":"d0CmRus0rP0bdc7P7d/wnOyEW14pwFJmcLbdu2W3HmDNRWVJtoNpHrauA/Sr5Vxc"}}"#,
        ] {
            let error = read_key(json, Some("q")).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("SECRET"));
        }
    }

    #[test]
    fn key_files_are_written_once_and_for_the_owner() {
        let directory = tempfile::tempdir().unwrap();
        let base = directory.path().join("node");
        let pair = KeyPair::generate().unwrap();
        write_key_files(&base, &pair, None).unwrap();
        assert_eq!(
            read_key_file(&directory.path().join("node.key"), None).unwrap().public(),
            pair.public()
        );
        assert_eq!(
            read_public_key_file(&directory.path().join("node.pub")).unwrap(),
            pair.enclave_key()
        );
        assert!(matches!(write_key_files(&base, &pair, None), Err(KeyFileError::Io(_))));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode =
                fs::metadata(directory.path().join("node.key")).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0);
        }
    }

    /// Tessera's own locked key takes 1 GiB and half a minute: `COTERIE_FULL` is set by
    /// `cargo xtask test --full`.
    #[test]
    fn locked_vector_opens() {
        #[expect(
            clippy::disallowed_methods,
            reason = "`cargo xtask test --full` speaks to tests through the environment"
        )]
        let full = std::env::var("COTERIE_FULL").is_ok();
        if !full {
            return;
        }
        let json = r#"{"type":"argon2sbox","data":{"aopts":{"variant":"id","memory":1048576,"iterations":10,"parallelism":4},"snonce":"x3HUNXH6LQldKtEv3q0h0hR4S12Ur9pC","asalt":"7Sem2tc6fjEfW3yYUDN/kSslKEW0e1zqKnBCWbZu2Zw=","sbox":"d0CmRus0rP0bdc7P7d/wnOyEW14pwFJmcLbdu2W3HmDNRWVJtoNpHrauA/Sr5Vxc"}}"#;
        let pair = read_key(json, Some("q")).unwrap();
        assert_eq!(
            STANDARD.encode(pair.secret().as_bytes()),
            "6ccai0+GXRRVbNckE+JubN+UQ9+8pMCx86dZI683X7w="
        );
    }
}
