//! Who calls, and what they may ask: tokens in the `Authorization` header, checked before anything of
//! a request is read.
//!
//! A token is a JWT of an issuer outside (a public key, a shared secret, or a JWKS) or of this node
//! (`POST /login`). `token` judges it; here are the keys of the moment, users, and each tenant's
//! limits. Which groups a tenant may see is decided in the service, not here. Formats: protocol
//! specification, 8.1 and 8.2. Whatever is wrong with a token, the answer is the same.

pub(super) mod http;
mod keys;
mod limits;
mod login;
pub mod options;
mod permissions;
pub mod sign;
mod source;
mod strict;
mod token;
mod trust;
mod users;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::http::HeaderMap;
use coterie_core::EnclaveKey;

pub use self::{
    keys::InvalidKey,
    limits::{Place, TooMany},
    login::{LOGIN_BYTES_MAX, Login, LoginError, Token},
    permissions::Permissions,
    source::SourceError,
    users::InvalidUsers,
};
use self::{
    options::{AuthOptions, Source},
    token::BadToken,
    trust::{Proof, Trust},
};
use crate::service::Tenant;

/// Tells the time in seconds since 1970.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// An open connection looks at its token's time at least this often: the clock may be set.
const RECHECK: Duration = Duration::from_secs(60);

/// Tells who calls.
pub struct Authenticator {
    mode: Mode,
}

enum Mode {
    Open(Tenant),
    Tokens(Box<Trust>),
}

/// Who calls.
#[derive(Clone, Debug)]
pub struct Caller {
    /// In whose name; `None` for a token without an enclave key, which can ask the chain only.
    pub tenant: Option<Tenant>,
    /// What may be asked.
    pub permissions: Permissions,
    /// When the token ends, in seconds since 1970; `None` without authentication.
    pub expires: Option<u64>,
    proof: Option<Proof>,
}

/// No token, or one that is not good. It does not tell which, nor why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unauthorized")]
pub struct Unauthorized;

impl Authenticator {
    /// Every caller is the owner of the node.
    pub const fn open(owner: Tenant) -> Self {
        Self { mode: Mode::Open(owner) }
    }

    /// Reads what tokens are verified with. `owner` calls when there is no authentication; `held` are
    /// the node's enclave keys, which tokens may name. A JWKS behind a URL is fetched later, by
    /// [`Self::watch`]: until then every token is refused.
    ///
    /// # Errors
    ///
    /// A file cannot be read, or is not what it should be.
    pub fn start(
        options: AuthOptions,
        owner: Tenant,
        held: Vec<EnclaveKey>,
        clock: Clock,
    ) -> Result<Self, SourceError> {
        match options {
            AuthOptions::None => Ok(Self::open(owner)),
            AuthOptions::Tokens(options) => {
                let tokens = Trust::start(*options, held, clock)?;
                Ok(Self { mode: Mode::Tokens(Box::new(tokens)) })
            }
        }
    }

    /// Reads the `Authorization` header of an HTTP request or WebSocket upgrade.
    ///
    /// # Errors
    ///
    /// There is no good token in it.
    pub fn authenticate(&self, headers: &HeaderMap) -> Result<Caller, Unauthorized> {
        match &self.mode {
            Mode::Open(owner) => Ok(Caller::owner(owner.clone())),
            Mode::Tokens(tokens) => tokens.caller(headers).map_err(|bad| {
                if bad == BadToken::UnknownKey {
                    tokens.wanted.notify_one();
                }
                refused(bad)
            }),
        }
    }

    /// [`Self::authenticate`], where a token with an unknown key makes the key set be fetched again
    /// first, unless that was just done.
    ///
    /// # Errors
    ///
    /// There is no good token in it.
    pub async fn authenticate_fresh(&self, headers: &HeaderMap) -> Result<Caller, Unauthorized> {
        match &self.mode {
            Mode::Open(owner) => Ok(Caller::owner(owner.clone())),
            Mode::Tokens(tokens) => match tokens.caller(headers) {
                Err(BadToken::UnknownKey) => {
                    tokens.look_unless_just_done().await;
                    tokens.caller(headers).map_err(refused)
                }
                other => other.map_err(refused),
            },
        }
    }

    /// Whether what a caller's token rests on still holds: it has not expired, its key is still one
    /// of the issuer's, its user is still there and unchanged. For open WebSockets.
    pub fn is_still_good(&self, caller: &Caller) -> bool {
        match (&self.mode, &caller.proof, caller.expires) {
            (Mode::Open(_), None, None) => true,
            (Mode::Tokens(tokens), Some(proof), Some(expires)) => {
                tokens.is_still_good(proof, expires)
            }
            (Mode::Open(_) | Mode::Tokens(_), _, _) => false,
        }
    }

    /// Resolves when [`Self::is_still_good`] ends; without authentication, never.
    pub async fn ended(&self, caller: &Caller) {
        let (tokens, expires) = match (&self.mode, caller.expires) {
            (Mode::Open(_), _) => return std::future::pending().await,
            (Mode::Tokens(_), None) => return,
            (Mode::Tokens(tokens), Some(expires)) => (tokens, expires),
        };
        let mut changed = tokens.changed.subscribe();
        while self.is_still_good(caller) {
            let leeway_s = tokens.options.rules.leeway_s;
            let left = expires.saturating_add(leeway_s).saturating_sub((tokens.clock)());
            let pause = Duration::from_secs(left).min(RECHECK);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                // The sender is beside us.
                _ = changed.changed() => {}
            }
        }
    }

    /// A place among a tenant's requests.
    ///
    /// # Errors
    ///
    /// It has as many requests open as it may have.
    pub fn enter(&self, caller: &Caller) -> Result<Place, TooMany> {
        match &self.mode {
            Mode::Open(_) => Ok(Place::uncounted()),
            Mode::Tokens(tokens) => tokens.shares.enter(caller.enclave_key()),
        }
    }

    /// A place among a tenant's WebSockets.
    ///
    /// # Errors
    ///
    /// It has as many as it may have.
    pub fn connect(&self, caller: &Caller) -> Result<Place, TooMany> {
        match &self.mode {
            Mode::Open(_) => Ok(Place::uncounted()),
            Mode::Tokens(tokens) => tokens.shares.connect(caller.enclave_key()),
        }
    }

    /// A place among a tenant's subscriptions.
    ///
    /// # Errors
    ///
    /// It has as many as it may have.
    pub fn subscribe(&self, caller: &Caller) -> Result<Place, TooMany> {
        match &self.mode {
            Mode::Open(_) => Ok(Place::uncounted()),
            Mode::Tokens(tokens) => tokens.shares.subscribe(caller.enclave_key()),
        }
    }

    /// Counts a call of a tenant.
    ///
    /// # Errors
    ///
    /// It is one too many in this second.
    pub fn count(&self, caller: &Caller) -> Result<(), TooMany> {
        match &self.mode {
            Mode::Open(_) => Ok(()),
            Mode::Tokens(tokens) => tokens.shares.count(caller.enclave_key(), Instant::now()),
        }
    }

    /// Whether `POST /login` is answered.
    pub const fn issues_tokens(&self) -> bool {
        match &self.mode {
            Mode::Open(_) => false,
            Mode::Tokens(tokens) => tokens.desk.is_some(),
        }
    }

    /// Gives a token for a user name and a password.
    ///
    /// # Errors
    ///
    /// One of them is wrong, or it was tried too often.
    pub async fn login(&self, login: Login) -> Result<Token, LoginError> {
        let tokens = match &self.mode {
            Mode::Open(_) => return Err(LoginError::NotEnabled),
            Mode::Tokens(tokens) => tokens,
        };
        let users = tokens.users.read().clone();
        match (&tokens.desk, users) {
            (Some(desk), Some(users)) => desk.login(&users, login, (tokens.clock)()).await,
            (None, _) | (_, None) => Err(LoginError::NotEnabled),
        }
    }

    /// Looks at the source now and then, and when a token asks for a key that is not there. Never
    /// ends.
    pub async fn watch(&self) {
        let tokens = match &self.mode {
            Mode::Open(_) => return std::future::pending().await,
            Mode::Tokens(tokens) => tokens,
        };
        if let Source::JwksUrl(_) = &tokens.options.source {
            tokens.look().await;
        }
        loop {
            tokio::select! {
                () = tokio::time::sleep(tokens.options.refresh_interval) => tokens.look().await,
                () = tokens.wanted.notified() => tokens.look_unless_just_done().await,
            }
        }
    }
}

/// Reads what tokens are verified with, and says what was found, line by line: for
/// `coterie config check`. `held` are the node's enclave keys. A URL is not asked. Nothing without
/// authentication.
///
/// # Errors
///
/// A file cannot be read, or is not what it should be.
pub fn check(options: &AuthOptions, held: &[EnclaveKey]) -> Result<Vec<String>, SourceError> {
    let options = match options {
        AuthOptions::None => return Ok(Vec::new()),
        AuthOptions::Tokens(options) => options,
    };
    let algorithm = options.rules.algorithm;
    let found = match &options.source {
        Source::CredentialsFile(path) => {
            let users = source::read_users(path, None)?;
            let foreign = users.without_key_of(held).map(|user| {
                format!("warning: the enclave key of user {user} is none of this node's: what it asks is refused")
            });
            let count = format!("users who can log in: {}", users.len());
            return Ok(std::iter::once(count).chain(foreign).collect());
        }
        Source::JwksUrl(_) => format!("tokens are verified by {algorithm} with a fetched key set"),
        files @ (Source::PublicKeyFile(_) | Source::SecretFile(_) | Source::JwksFile(_)) => {
            let keys = source::read_keys(files, algorithm)?.map_or(0, |it| it.len());
            format!("tokens are verified by {algorithm}, keys: {keys}")
        }
    };
    Ok(vec![found])
}

impl Caller {
    fn owner(owner: Tenant) -> Self {
        let permissions = Permissions::all_and_operator();
        Self { tenant: Some(owner), permissions, expires: None, proof: None }
    }

    fn enclave_key(&self) -> Option<&EnclaveKey> {
        self.tenant.as_ref().map(|it| &it.key)
    }
}

impl std::fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mode = match &self.mode {
            Mode::Open(_) => "open",
            Mode::Tokens(_) => "tokens",
        };
        f.debug_struct("Authenticator").field("mode", &mode).finish_non_exhaustive()
    }
}

fn refused(bad: BadToken) -> Unauthorized {
    tracing::debug!(reason = %bad, "a token is refused");
    Unauthorized
}

#[cfg(test)]
mod tests;
