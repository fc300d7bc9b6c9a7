//! The configuration: a TOML file for the node and one for the network, read and resolved to what
//! is meant.
//!
//! Reading files is here, meaning is in `resolve` and pure. Secrets are not read: the
//! configuration only says in which files they are. README.md explains every key.

mod auth;
mod check;
mod definition;
mod limits;
mod raw;
mod resolve;
mod view;

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use alloy_primitives::U256;
use coterie_core::{EnclaveKey, NetworkDefinition, definition::InvalidDefinition};
use serde::de::DeserializeOwned;
use url::Url;

pub use self::check::{Problem, Severity};
use crate::{
    enclave::options::{EnclaveLimits, EnclaveTimeouts},
    rpc,
    service::Confirmations,
};

/// Bytes that a configuration file may have.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// A node's configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// A name for people, in logs.
    pub name: String,
    /// Where state and payloads are kept.
    pub data_dir: PathBuf,
    /// What all members of the network share.
    pub definition: NetworkDefinition,
    /// The public chain.
    pub chain: ChainConfig,
    /// The JSON-RPC port.
    pub rpc: RpcConfig,
    /// The enclave.
    pub enclave: EnclaveConfig,
    /// How markers are sent.
    pub markers: MarkerConfig,
    /// Between two comparisons of state roots with the other members.
    pub compare_interval: Duration,
    /// Bytes of state kept in memory, about.
    pub state_resident_bytes_max: usize,
    /// Logs.
    pub log: LogConfig,
}

/// The public chain's endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainConfig {
    /// JSON-RPC over HTTP. May carry credentials: not for logs.
    pub url: Url,
    /// The same over a WebSocket, for `eth_subscribe`; `None`: that is not enabled.
    pub ws_url: Option<Url>,
    /// Between two looks at the head.
    pub poll_interval: Duration,
    /// For one request.
    pub request_timeout: Duration,
    /// The first block whose markers count: nothing private is older.
    pub first_block: u64,
    /// How deep a reorg may be before the node stops following, in blocks.
    pub reorg_depth_max: u64,
    /// When an addition is old enough for its history to be given to the new member.
    pub confirmations: Confirmations,
}

/// The JSON-RPC port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RpcConfig {
    /// Where it listens; port 0 for any.
    pub listen: SocketAddr,
    /// Limits and origins.
    pub options: rpc::Options,
    /// How long a receipt waits for its marker's block to be followed.
    pub receipt_wait: Duration,
    /// Logs in one answer, at most.
    pub logs_max: usize,
    /// Filters of all callers, at most.
    pub filters_max: usize,
    /// Filters of one caller, at most.
    pub filters_per_tenant_max: usize,
}

/// The enclave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnclaveConfig {
    /// Where other members' nodes reach it; port 0 for any.
    pub listen: SocketAddr,
    /// The address that they are told, when it differs from where it listens.
    pub advertised_url: Option<Url>,
    /// Key files, the default key's first; at least one.
    pub keys: Vec<KeyFile>,
    /// Other members' nodes.
    pub peers: Vec<Url>,
    /// Whether addresses that peers name are contacted too.
    pub discovery: bool,
    /// What peers can do.
    pub limits: EnclaveLimits,
    /// How long things may take.
    pub timeouts: EnclaveTimeouts,
}

/// An enclave key's file in Tessera's format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFile {
    /// The private key's file.
    pub file: PathBuf,
    /// For a locked one, the file whose first line is the password.
    pub password_file: Option<PathBuf>,
}

/// How markers are sent. They pay the private transaction's gas price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarkerConfig {
    /// Who signs them.
    pub signer: MarkerSigner,
    /// A gas price that is never exceeded, in wei; `None`: none.
    pub gas_price_max: Option<u128>,
}

/// Who signs markers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MarkerSigner {
    /// A new key for every marker; for chains where gas is free.
    Random,
    /// The secp256k1 key in this file: 64 hex digits.
    KeyFile(PathBuf),
}

/// Logs, which go to standard error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// Their form.
    pub format: LogFormat,
    /// Which ones: `info`, or by module, as in `info,coterie_node::enclave=debug`.
    pub filter: String,
}

/// The form of logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// A line for people.
    Plain,
    /// An object on a line.
    Json,
}

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is larger than any configuration.
    #[error("{0} is larger than 16 MiB: is it the right file?")]
    TooLarge(PathBuf),
    /// Not TOML, an unknown or missing key, or a value of the wrong type.
    #[error("{path} cannot be used: {reason}")]
    Toml {
        /// Which file.
        path: PathBuf,
        /// Where in it and why.
        reason: String,
    },
    /// A value does not mean anything.
    #[error("{path}: {key} = {found:?} is not {expected}")]
    Value {
        /// Which file.
        path: PathBuf,
        /// Which key, with the sections it is in.
        key: String,
        /// What is there.
        found: String,
        /// What should be there.
        expected: &'static str,
    },
    /// Two keys exclude each other, or one needs another.
    #[error("{path}: {rule}")]
    Rule {
        /// Which file.
        path: PathBuf,
        /// What is asked of the keys.
        rule: &'static str,
    },
    /// The network's definition cannot be used.
    #[error("{path} defines no network")]
    Definition {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: InvalidDefinition,
    },
}

impl Config {
    /// Reads a node's configuration file and the definition file it names. Paths in a file are
    /// relative to that file.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let raw: raw::RawConfig = read(path)?;
        let network = beside(path, &raw.network);
        let definition = load_definition(&network)?;
        resolve::resolve(path, raw, definition)
    }

    /// What is likely to go wrong with this configuration here and now.
    pub fn problems(&self) -> Vec<Problem> {
        check::problems(self)
    }

    /// Key files of the enclave, given as their paths and the keys in them, that hold a key which an
    /// earlier one holds, too. The same file named twice is one of [`Self::problems`].
    pub fn repeated_keys(held: &[(&Path, EnclaveKey)]) -> Vec<Problem> {
        check::repeated_keys(held)
    }

    /// What was understood, as TOML, without credentials.
    pub fn resolved(&self) -> String {
        view::render(self)
    }
}

/// Reads a network's definition file.
pub fn load_definition(path: &Path) -> Result<NetworkDefinition, ConfigError> {
    definition::resolve(path, read(path)?)
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T, ConfigError> {
    let failed = |source| ConfigError::Read { path: path.to_owned(), source };
    if fs::metadata(path).map_err(failed)?.len() > FILE_BYTES_MAX {
        return Err(ConfigError::TooLarge(path.to_owned()));
    }
    let text = fs::read_to_string(path).map_err(failed)?;
    parse(path, &text)
}

fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, ConfigError> {
    toml::from_str(text)
        .map_err(|error| ConfigError::Toml { path: path.to_owned(), reason: reason(&error, text) })
}

/// What is wrong in a TOML file. The line is shown only where it is one of a configuration: of
/// another file, named by mistake, it may be a secret.
fn reason(error: &toml::de::Error, text: &str) -> String {
    if text.trim_start().starts_with('{') {
        return "it is JSON, perhaps a key; a configuration is TOML".to_owned();
    }
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    let line = text.get(start..).and_then(|it| it.lines().next()).unwrap_or_default();
    let is_name =
        |it: &str| it.bytes().all(|it| it.is_ascii_alphanumeric() || b"_-. ".contains(&it));
    let is_assignment = line
        .split_once('=')
        .is_some_and(|(name, value)| is_name(name) && !value.trim_matches(['=', ' ']).is_empty());
    let shown = if is_assignment || line.starts_with('[') {
        error.to_string()
    } else {
        let number = before.bytes().filter(|it| *it == b'\n').count() + 1;
        format!("line {number}: {}", error.message())
    };
    // The library names types as programmers do.
    ["usize", "u64", "u32"]
        .iter()
        .fold(shown, |text, kind| text.replace(&format!("expected {kind}"), "expected a number"))
        .replace("expected u16", "expected a number from 0 to 65535")
}

/// `path` as it is meant in the file `named_in`.
fn beside(named_in: &Path, path: &Path) -> PathBuf {
    named_in.parent().unwrap_or(Path::new("")).join(path)
}

/// An amount: a number, decimal text, or hex text with `0x`.
fn amount(value: &raw::NumberOrText) -> Option<U256> {
    let text = match value {
        raw::NumberOrText::Number(number) => return Some(U256::from(*number)),
        raw::NumberOrText::Text(text) => text,
    };
    let (digits, radix) = text.strip_prefix("0x").map_or((text.as_str(), 10), |it| (it, 16));
    if digits.is_empty() || !digits.chars().all(|it| it.is_digit(radix)) {
        return None;
    }
    U256::from_str_radix(digits, radix.into()).ok()
}

impl raw::NumberOrText {
    fn text(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
