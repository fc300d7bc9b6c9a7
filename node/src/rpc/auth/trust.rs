//! What tokens are judged with now: keys and users, and how they are looked at again while the node
//! runs. What cannot be read leaves what was read before; what is gone is gone at once.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::http::{HeaderMap, header};
use coterie_core::EnclaveKey;
use parking_lot::RwLock;
use tokio::sync::{Mutex, Notify, watch};
use url::Url;

use super::{
    Caller, Clock,
    keys::{KeyId, KeySet},
    limits::Shares,
    login::LoginDesk,
    options::{Algorithm, Source, TokenOptions},
    sign::{SignError, SigningKey},
    source::{self, SourceError},
    token::{self, BadToken, Claims, Verified},
    users::Users,
};
use crate::service::Tenant;

/// Between two looks at the source because of a token with an unknown key, at least.
pub(super) const LOOK_PAUSE: Duration = Duration::from_secs(10);

/// What is needed to judge tokens.
pub(super) struct Trust {
    pub(super) options: TokenOptions,
    pub(super) clock: Clock,
    pub(super) held: Vec<EnclaveKey>,
    pub(super) keys: RwLock<Arc<KeySet>>,
    pub(super) verified: Verified,
    pub(super) users: RwLock<Option<Arc<Users>>>,
    pub(super) shares: Shares,
    pub(super) desk: Option<LoginDesk>,
    pub(super) client: Option<reqwest::Client>,
    /// When the source was last looked at; held while it is.
    pub(super) looked: Mutex<Instant>,
    pub(super) wanted: Notify,
    pub(super) changed: watch::Sender<()>,
}

/// What a caller's token rests on.
#[derive(Clone, Debug)]
pub(super) struct Proof {
    key: KeyId,
    user: Option<(String, u64)>,
}

impl Trust {
    pub(super) fn start(
        options: TokenOptions,
        held: Vec<EnclaveKey>,
        clock: Clock,
    ) -> Result<Self, SourceError> {
        let algorithm = options.rules.algorithm;
        let (mut users, mut desk, mut client) = (None, None, None);
        let keys = match &options.source {
            Source::CredentialsFile(path) => {
                if algorithm != Algorithm::Rs256 {
                    return Err(SourceError::Algorithm);
                }
                let read = source::read_users(path, None)?;
                warn_of_foreign_keys(&read, &held);
                users = Some(Arc::new(read));
                let key = SigningKey::generate(algorithm)?;
                let public = KeySet::of_pem(&key.to_public_pem()?, algorithm);
                desk = Some(LoginDesk::new(key, options.login));
                public.map_err(|_| SignError::Library)?
            }
            Source::JwksUrl(_) => {
                client = Some(source::client()?);
                KeySet::empty()
            }
            files @ (Source::PublicKeyFile(_) | Source::SecretFile(_) | Source::JwksFile(_)) => {
                source::read_keys(files, algorithm)?.unwrap_or_else(KeySet::empty)
            }
        };
        Ok(Self {
            shares: Shares::new(&held, options.tenants),
            options,
            clock,
            held,
            keys: RwLock::new(Arc::new(keys)),
            verified: Verified::default(),
            users: RwLock::new(users),
            desk,
            client,
            looked: Mutex::new(Instant::now()),
            wanted: Notify::new(),
            changed: watch::Sender::new(()),
        })
    }

    pub(super) fn caller(&self, headers: &HeaderMap) -> Result<Caller, BadToken> {
        let keys = Arc::clone(&self.keys.read());
        let text = bearer(headers).ok_or(BadToken::Missing)?;
        let rules = &self.options.rules;
        let claims = token::verify(text, &keys, rules, (self.clock)(), &self.verified)?;
        let Claims { key, expires, permissions, enclave_key, user } = claims;
        // Of other issuers' tokens these members say nothing.
        let user = user.filter(|_| self.desk.is_some());
        if self.desk.is_some() && !self.knows(user.as_ref()) {
            return Err(BadToken::User);
        }
        if enclave_key.as_ref().is_some_and(|it| !self.held.contains(it)) {
            return Err(BadToken::ForeignEnclaveKey);
        }
        Ok(Caller {
            tenant: enclave_key.map(Tenant::holder),
            permissions,
            expires: Some(expires),
            proof: Some(Proof { key, user }),
        })
    }

    pub(super) fn is_still_good(&self, proof: &Proof, expires: u64) -> bool {
        token::is_before((self.clock)(), expires, self.options.rules.leeway_s)
            && self.keys.read().contains(proof.key)
            && (self.desk.is_none() || self.knows(proof.user.as_ref()))
    }

    /// Whether a user is there as when the token was issued.
    fn knows(&self, user: Option<&(String, u64)>) -> bool {
        let users = self.users.read();
        let Some((users, (name, revision))) = users.as_ref().zip(user) else { return false };
        users.get(name).is_some_and(|it| it.revision == *revision)
    }

    /// Looks at the source because of a token; many tokens at once make one look.
    pub(super) async fn look_unless_just_done(&self) {
        let pause = LOOK_PAUSE.min(self.options.refresh_interval);
        let mut looked = self.looked.lock().await;
        if looked.elapsed() >= pause {
            self.look_now().await;
            *looked = Instant::now();
        }
    }

    pub(super) async fn look(&self) {
        let mut looked = self.looked.lock().await;
        self.look_now().await;
        *looked = Instant::now();
    }

    /// Takes over what the source has now. When it cannot be read, what is known stays.
    async fn look_now(&self) {
        let algorithm = self.options.rules.algorithm;
        match &self.options.source {
            Source::JwksUrl(url) => self.look_at_url(url).await,
            Source::CredentialsFile(path) => {
                let before = self.users.read().clone();
                match source::read_users(path, before.as_deref()) {
                    Ok(users) => self.replace_users(users),
                    Err(error) => log_kept(&error),
                }
            }
            files @ (Source::PublicKeyFile(_) | Source::SecretFile(_) | Source::JwksFile(_)) => {
                match source::read_keys(files, algorithm) {
                    Ok(Some(keys)) => self.replace_keys(keys),
                    Ok(None) => {}
                    Err(error) => log_kept(&error),
                }
            }
        }
    }

    async fn look_at_url(&self, url: &Url) {
        let Some(client) = &self.client else { return };
        match source::fetch_keys(client, url, self.options.rules.algorithm).await {
            Ok(keys) => {
                if keys.len() == 0 {
                    tracing::error!("the key set has no usable key: every token is refused");
                }
                self.replace_keys(keys);
            }
            Err(error) => {
                let known = self.keys.read().len();
                tracing::error!(%error, known, "the key set cannot be fetched: what is known stays");
            }
        }
    }

    fn replace_keys(&self, keys: KeySet) {
        let before = std::mem::replace(&mut *self.keys.write(), Arc::new(keys));
        let now = Arc::clone(&self.keys.read());
        if !before.is_same(&now) {
            tracing::info!(keys = now.len(), "the keys for tokens have changed");
            self.changed.send_replace(());
        }
    }

    fn replace_users(&self, users: Users) {
        let users = Arc::new(users);
        let before = self.users.write().replace(Arc::clone(&users));
        if !before.is_some_and(|it| it.is_same(&users)) {
            tracing::info!(users = users.len(), "the credentials have changed");
            warn_of_foreign_keys(&users, &self.held);
            self.changed.send_replace(());
        }
    }
}

/// The token of a header `Authorization: Bearer TOKEN`, if there is exactly one.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next()?.to_str().ok()?;
    if values.next().is_some() {
        return None;
    }
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

fn log_kept(error: &SourceError) {
    let first = std::error::Error::source(error);
    let causes = std::iter::successors(first, |it| it.source()).map(ToString::to_string);
    let cause = causes.collect::<Vec<_>>().join(": ");
    tracing::error!(%error, cause, "authentication goes on with what was read before");
}

fn warn_of_foreign_keys(users: &Users, held: &[EnclaveKey]) {
    for user in users.without_key_of(held) {
        tracing::warn!(user, "this node does not have the user's enclave key: tokens are refused");
    }
}
