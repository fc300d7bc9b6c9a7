//! What is likely to go wrong with a configuration on this machine: for `coterie config check`.
//!
//! Looks at files without opening keys, and at combinations that are allowed but rarely meant. It
//! contacts nobody.

use std::{
    fmt,
    fs::File,
    net::IpAddr,
    path::{Path, PathBuf},
};

use coterie_core::EnclaveKey;
use url::{Host, Url};

use super::{Config, EnclaveConfig, MarkerSigner, limits, view::redacted};
use crate::{
    rpc::auth::options::{AuthOptions, Source},
    service::Confirmations,
};

/// Something that deserves attention.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// How bad.
    pub severity: Severity,
    /// The key it is about, with its section.
    pub key: &'static str,
    /// What, and what to do.
    pub text: String,
}

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The node will not start or not work.
    Error,
    /// It may be meant.
    Warning,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{severity}: {}: {}", self.key, self.text)
    }
}

/// Looks for problems.
pub(super) fn problems(config: &Config) -> Vec<Problem> {
    let mut found = Vec::new();
    files(config, &mut found);
    network(config, &mut found);
    repeated_files(&config.enclave, &mut found);
    peers(&config.enclave, &mut found);
    limits::contradictions(config, &mut found);
    found
}

/// What [`Config::repeated_keys`] says.
pub(super) fn repeated_keys(held: &[(&Path, EnclaveKey)]) -> Vec<Problem> {
    let mut found = Vec::new();
    for (at, (file, key)) in held.iter().enumerate() {
        let earlier = held.iter().take(at).find(|(_, earlier)| earlier == key);
        if let Some((earlier, _)) = earlier.filter(|(earlier, _)| real(earlier) != real(file)) {
            let (file, earlier) = (file.display(), earlier.display());
            let text = format!("{file} holds the same key as {earlier}: it has no effect");
            found.push(Problem { severity: Severity::Warning, key: "enclave.keys", text });
        }
    }
    found
}

fn repeated_files(enclave: &EnclaveConfig, found: &mut Vec<Problem>) {
    let files: Vec<_> = enclave.keys.iter().map(|it| real(&it.file)).collect();
    for (at, (key, file)) in enclave.keys.iter().zip(&files).enumerate() {
        if files.iter().take(at).any(|earlier| earlier == file) {
            let text = format!(
                "{} is named once more: it has no effect. Should it be another key?",
                key.file.display()
            );
            found.push(Problem { severity: Severity::Warning, key: "enclave.keys", text });
        }
    }
}

/// A file under one name; one that is not there under the name that it has.
fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

fn peers(enclave: &EnclaveConfig, found: &mut Vec<Problem>) {
    for (at, peer) in enclave.peers.iter().enumerate() {
        let text = if enclave.peers.iter().take(at).any(|earlier| is_same(earlier, peer)) {
            format!("{} is named once more: it has no effect", redacted(peer))
        } else if is_own(peer, enclave) {
            format!("{} is this node itself: name other members' nodes", redacted(peer))
        } else {
            continue;
        };
        found.push(Problem { severity: Severity::Warning, key: "enclave.peers", text });
    }
}

/// Whether both are one address; a slash at the end does not count.
fn is_same(one: &Url, other: &Url) -> bool {
    one.as_str().trim_end_matches('/') == other.as_str().trim_end_matches('/')
}

/// Whether a peer's address is the one that the node tells others, or where it listens.
fn is_own(peer: &Url, enclave: &EnclaveConfig) -> bool {
    if enclave.advertised_url.as_ref().is_some_and(|own| is_same(own, peer)) {
        return true;
    }
    let (listen, port) = (enclave.listen.ip(), enclave.listen.port());
    if port == 0 || peer.port_or_known_default() != Some(port) {
        return false;
    }
    let is_listened_on =
        |address: IpAddr| address == listen || listen.is_unspecified() && address.is_loopback();
    match peer.host() {
        Some(Host::Domain(name)) => {
            name == "localhost" && (listen.is_loopback() || listen.is_unspecified())
        }
        Some(Host::Ipv4(address)) => is_listened_on(address.into()),
        Some(Host::Ipv6(address)) => is_listened_on(address.into()),
        None => false,
    }
}

fn files(config: &Config, found: &mut Vec<Problem>) {
    for key in &config.enclave.keys {
        secret("enclave.keys.file", &key.file, found);
        if let Some(file) = &key.password_file {
            secret("enclave.keys.password_file", file, found);
        }
    }
    if let MarkerSigner::KeyFile(file) = &config.markers.signer {
        secret("markers.signing_key_file", file, found);
    }
    if let AuthOptions::Tokens(options) = &config.rpc.options.auth {
        match &options.source {
            Source::PublicKeyFile(file) => unreadable("rpc.auth.public_key_file", file, found),
            Source::SecretFile(file) => secret("rpc.auth.secret_file", file, found),
            Source::JwksFile(file) => unreadable("rpc.auth.jwks_file", file, found),
            Source::CredentialsFile(file) => unreadable("rpc.auth.credentials_file", file, found),
            Source::JwksUrl(_) => {}
        }
    }
    if config.data_dir.exists() && !config.data_dir.is_dir() {
        let text = format!("{} is not a directory", config.data_dir.display());
        found.push(Problem { severity: Severity::Error, key: "node.data_dir", text });
    }
    open_to_others("node.data_dir", &config.data_dir, found);
}

fn network(config: &Config, found: &mut Vec<Problem>) {
    let mut warn = |key, text: &str| {
        found.push(Problem { severity: Severity::Warning, key, text: text.to_owned() });
    };
    if config.markers.signer == MarkerSigner::Random {
        warn(
            "markers.signing_key_file",
            "markers are signed by random keys without balance: works where gas is free",
        );
    }
    let is_open = config.rpc.options.auth == AuthOptions::None;
    if !config.rpc.listen.ip().is_loopback() {
        warn(
            "rpc.host",
            if is_open {
                "whoever reaches this port reads and sends in the name of the first enclave key"
            } else {
                "tokens and private data travel in clear: let a TLS proxy stand before this port"
            },
        );
    }
    if let AuthOptions::Tokens(options) = &config.rpc.options.auth
        && let Source::JwksUrl(url) = &options.source
        && url.scheme() == "http"
        && !is_this_machine(url)
    {
        warn(
            "rpc.auth.jwks_url",
            "whoever is between here and there can give this node a key of their own: use https",
        );
    }
    let enclave = &config.enclave;
    if enclave.listen.ip().is_unspecified() && enclave.advertised_url.is_none() {
        warn(
            "enclave.advertised_url",
            "other nodes cannot reach the address that is listened on: tell them another",
        );
    }
    if enclave.peers.is_empty() {
        warn("enclave.peers", "no peer is named, so one of them must name this node");
    }
    if config.chain.confirmations == Confirmations::Blocks(0) {
        warn(
            "chain.confirmations",
            "new members get history at once; on a chain with reorgs wait for some blocks",
        );
    }
    let same_port = enclave.listen.port() == config.rpc.listen.port();
    if same_port && enclave.listen.port() != 0 {
        let text = "the enclave and the API cannot share a port".to_owned();
        found.push(Problem { severity: Severity::Error, key: "enclave.port", text });
    }
}

fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn secret(key: &'static str, path: &Path, found: &mut Vec<Problem>) {
    let before = found.len();
    unreadable(key, path, found);
    if found.len() == before {
        open_to_others(key, path, found);
    }
}

/// Warns of what is secret and can be read by every user of this machine.
fn open_to_others(key: &'static str, path: &Path, found: &mut Vec<Problem>) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let Ok(metadata) = path.metadata() else { return };
        if metadata.permissions().mode() & 0o007 != 0 {
            let path = path.display();
            let text = format!("other users of this machine can read it: `chmod o= {path}`");
            found.push(Problem { severity: Severity::Warning, key, text });
        }
    }
}

fn unreadable(key: &'static str, path: &Path, found: &mut Vec<Problem>) {
    let failed = match File::open(path) {
        Ok(_) if path.is_dir() => "it is a directory".to_owned(),
        Ok(_) => return,
        Err(error) => error.to_string(),
    };
    let text = format!("cannot read {}: {failed}", path.display());
    found.push(Problem { severity: Severity::Error, key, text });
}
