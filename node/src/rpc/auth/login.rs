//! `POST /login`: a user name and a password for a token of five minutes (protocol specification,
//! 8.1).
//!
//! It tells as little as can be: a wrong password and an unknown name get the same answer after the
//! same work, and both are limited in the same way. Passwords are compared on threads of their own,
//! a few at a time, since bcrypt is slow by design.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::Semaphore;

use super::{
    limits::Bucket,
    options::LoginLimits,
    sign::SigningKey,
    users::{User, Users},
};

/// How long a token is good.
pub(super) const TOKEN_S: u64 = 300;
/// Bytes of a request, at most.
pub const LOGIN_BYTES_MAX: usize = 4 << 10;
/// bcrypt sees no more of a password.
const PASSWORD_BYTES_MAX: usize = 72;
/// Comparisons at a time.
const WORKERS: usize = 2;
/// Logins that wait for one.
const WAITING_MAX: usize = 32;
/// User names share this many limits. A name's limit is chosen by a hash with a secret key, so that
/// nobody can find a name that shares another's, and no table of names grows.
const BUCKETS: usize = 1024;
const MINUTE: Duration = Duration::from_secs(60);

/// What is posted.
#[derive(Deserialize)]
pub struct Login {
    /// Who.
    pub username: String,
    /// In clear.
    pub password: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("username", &self.username).finish_non_exhaustive()
    }
}

/// What is answered.
#[derive(PartialEq, Eq, Serialize)]
pub struct Token {
    token: String,
}

impl Token {
    /// The token, for an `Authorization` header.
    pub fn as_str(&self) -> &str {
        &self.token
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

/// No token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoginError {
    /// This node issues no tokens.
    #[error("this node issues no tokens")]
    NotEnabled,
    /// No user name or password in the request.
    #[error("Authentication failed: username and password are required.")]
    Incomplete,
    /// One of them is wrong.
    #[error("Authentication failed: the username or password is incorrect.")]
    Incorrect,
    /// Too many attempts.
    #[error("Authentication failed: too many attempts, try again later.")]
    TooMany,
    /// The token could not be made.
    #[error("the token could not be made")]
    Failed,
}

/// The limits on logins, and the key for their tokens.
pub(super) struct LoginDesk {
    key: SigningKey,
    in_all: Bucket,
    by_name: Vec<Bucket>,
    hasher: RandomState,
    waiting: Semaphore,
    workers: Semaphore,
}

impl LoginDesk {
    pub(super) fn new(key: SigningKey, limits: LoginLimits) -> Self {
        let bucket = || Bucket::new(limits.per_user_per_min, MINUTE);
        Self {
            key,
            in_all: Bucket::new(limits.per_min, MINUTE),
            by_name: std::iter::repeat_with(bucket).take(BUCKETS).collect(),
            hasher: RandomState::new(),
            waiting: Semaphore::new(WAITING_MAX),
            workers: Semaphore::new(WORKERS),
        }
    }

    /// Gives a token for a right password; `unix_s` is the time.
    pub(super) async fn login(
        &self,
        users: &Arc<Users>,
        login: Login,
        unix_s: u64,
    ) -> Result<Token, LoginError> {
        let _place = self.waiting.try_acquire().map_err(|_| LoginError::TooMany)?;
        let now = Instant::now();
        let own = self.bucket(&login.username).ok_or(LoginError::Failed)?;
        if !own.take(now) || !self.in_all.take(now) {
            tracing::warn!("logins are tried too often: some are refused");
            return Err(LoginError::TooMany);
        }
        let _worker = self.workers.acquire().await.map_err(|_| LoginError::Failed)?;
        let name = login.username.clone();
        let compared = {
            let users = Arc::clone(users);
            tokio::task::spawn_blocking(move || is_right(&users, &login))
        };
        if !compared.await.map_err(|_| LoginError::Failed)? {
            tracing::info!("a login failed");
            return Err(LoginError::Incorrect);
        }
        own.give_back();
        self.in_all.give_back();
        let user = users.get(&name).ok_or(LoginError::Incorrect)?;
        self.token(&name, user, unix_s)
    }

    /// The key that this node's tokens are signed with.
    #[cfg(test)]
    pub(super) const fn key(&self) -> &SigningKey {
        &self.key
    }

    fn bucket(&self, name: &str) -> Option<&Bucket> {
        let count = u64::try_from(BUCKETS).ok()?;
        let index = self.hasher.hash_one(name).checked_rem(count)?;
        self.by_name.get(usize::try_from(index).ok()?)
    }

    fn token(&self, name: &str, user: &User, unix_s: u64) -> Result<Token, LoginError> {
        let mut claims = json!({
            "permissions": user.permissions,
            "username": name,
            "revision": user.revision,
            "iat": unix_s,
            "exp": unix_s.saturating_add(TOKEN_S),
        });
        if let (Some(key), Some(claims)) = (&user.enclave_key, claims.as_object_mut()) {
            claims.insert("privacyPublicKey".to_owned(), key.to_base64().into());
        }
        let token = self.key.token(&claims).map_err(|_| LoginError::Failed)?;
        Ok(Token { token })
    }
}

/// Compares a password; as long for an unknown name as for a known one.
fn is_right(users: &Users, login: &Login) -> bool {
    let user = users.get(&login.username);
    let hash = user.map_or(users.dummy_hash(), |it| it.password_hash.as_str());
    let equal = bcrypt::verify(&login.password, hash).unwrap_or(false);
    // Compared all the same, so that a long password tells no more than a short one.
    equal && user.is_some() && login.password.len() <= PASSWORD_BYTES_MAX
}
