//! Where keys and users come from: files, or a URL that serves a JWKS. Reads, bounds and parses;
//! when to look again is decided above.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    time::Duration,
};

use url::Url;
use zeroize::Zeroizing;

use super::{
    keys::{InvalidKey, KeySet},
    options::{Algorithm, Source},
    users::{InvalidUsers, Users},
};

/// Bytes of a file or an answer, at most.
const BYTES_MAX: u64 = 1 << 20;
/// For a JWKS to be fetched.
const FETCH_MAX: Duration = Duration::from_secs(5);

/// A source that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// A file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not text.
    #[error("{0} is not text")]
    NotText(PathBuf),
    /// A file is larger than any key or list of users.
    #[error("{0} is larger than 1 MiB: is it the right file?")]
    TooLarge(PathBuf),
    /// A file holds no key for the configured algorithm.
    #[error("{path} cannot be used for tokens")]
    Key {
        /// Which.
        path: PathBuf,
        /// Why.
        source: InvalidKey,
    },
    /// A file holds a key set without a key for the configured algorithm.
    #[error("{path} has no key for {algorithm}")]
    NoKey {
        /// Which.
        path: PathBuf,
        /// For which.
        algorithm: Algorithm,
    },
    /// A file holds no users.
    #[error("{path} cannot be used")]
    Users {
        /// Which.
        path: PathBuf,
        /// Why.
        source: InvalidUsers,
    },
    /// The configuration's parts do not fit.
    #[error("tokens that this node issues are signed with RS256: leave the algorithm out")]
    Algorithm,
    /// A key of our own cannot be made.
    #[error(transparent)]
    Sign(#[from] super::sign::SignError),
    /// The HTTP client cannot be made.
    #[error("the HTTP client cannot be made")]
    Client(#[source] reqwest::Error),
}

/// A JWKS was not fetched.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("no answer: {0}")]
    Transport(String),
    #[error("HTTP status {0}")]
    Status(u16),
    #[error("the answer is larger than 1 MiB")]
    TooLarge,
    #[error(transparent)]
    Key(#[from] InvalidKey),
}

/// The keys in the file of a source; `None` when the source has none.
pub(super) fn read_keys(
    source: &Source,
    algorithm: Algorithm,
) -> Result<Option<KeySet>, SourceError> {
    let (path, keys) = match source {
        Source::PublicKeyFile(path) => (path, KeySet::of_pem(&read_text(path)?, algorithm)),
        Source::SecretFile(path) => (path, KeySet::of_secret(&read(path)?, algorithm)),
        Source::JwksFile(path) => (path, KeySet::of_jwks(&read(path)?, algorithm)),
        Source::JwksUrl(_) | Source::CredentialsFile(_) => return Ok(None),
    };
    let keys = keys.map_err(|source| SourceError::Key { path: path.clone(), source })?;
    if keys.len() == 0 {
        return Err(SourceError::NoKey { path: path.clone(), algorithm });
    }
    Ok(Some(keys))
}

/// The users in a credentials file.
pub(super) fn read_users(path: &Path, before: Option<&Users>) -> Result<Users, SourceError> {
    let users = Users::read(&read_text(path)?, before);
    users.map_err(|source| SourceError::Users { path: path.to_owned(), source })
}

/// The client that fetches a JWKS: it follows no redirect and waits for nobody long.
pub(super) fn client() -> Result<reqwest::Client, SourceError> {
    let client = reqwest::Client::builder()
        .connect_timeout(FETCH_MAX)
        .timeout(FETCH_MAX)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy();
    client.build().map_err(SourceError::Client)
}

/// The keys that `url` serves.
pub(super) async fn fetch_keys(
    client: &reqwest::Client,
    url: &Url,
    algorithm: Algorithm,
) -> Result<KeySet, FetchError> {
    // The URL may carry credentials.
    let failed = |error: reqwest::Error| FetchError::Transport(error.without_url().to_string());
    let mut response = client.get(url.clone()).send().await.map_err(failed)?;
    if !response.status().is_success() {
        return Err(FetchError::Status(response.status().as_u16()));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        body.extend_from_slice(&chunk);
        if body.len() as u64 > BYTES_MAX {
            return Err(FetchError::TooLarge);
        }
    }
    Ok(KeySet::of_jwks(&body, algorithm)?)
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, SourceError> {
    let failed = |source| SourceError::Read { path: path.to_owned(), source };
    let mut bytes = Zeroizing::new(Vec::new());
    let file = File::open(path).map_err(failed)?;
    file.take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(SourceError::TooLarge(path.to_owned()));
    }
    Ok(bytes)
}

fn read_text(path: &Path) -> Result<Zeroizing<String>, SourceError> {
    let bytes = read(path)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| SourceError::NotText(path.to_owned()))?;
    Ok(Zeroizing::new(text.to_owned()))
}
