//! The enclave inside the node: our keys, the payload store, and the peer port.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use alloy_primitives::{B256, Bytes};
use async_trait::async_trait;
use coterie_core::{EnclaveKey, GroupId, NetworkDefinition, PayloadKey};
use futures::future::{join, join_all};
use parking_lot::RwLock;
use tokio::{net::TcpListener, sync::Notify, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::{
    AcceptedHistory, ArrivalHook, AskError, Decided, DistributeError, Distribution, Enclave,
    EnclaveUnavailable, MemberHandler, Payload, SealedPayload,
    client::{ClientBuildError, PeerClient},
    codec::Envelope,
    connections::BoundedListener,
    crypto::NoEntropy,
    keys::KeyPair,
    messages::Challenges,
    network::{ChainHead, Network},
    options::{EnclaveLimits, EnclaveOptions, Storage},
    payloads::{OpenStoreError, PayloadStore, Reads, Retention},
    peers::{Directory, URL_BYTES_MAX, normalised},
    server,
    vault::{PushError, Vault},
};
use crate::chain::{BlockRef, PublicRead, PublicValue};

/// How long running requests may take at the end.
const STOP_TIME_MAX: Duration = Duration::from_secs(5);

/// The enclave inside the node. Dropping it stops its tasks at once; [`Self::stop`] lets requests
/// finish.
pub struct EmbeddedEnclave {
    vault: Arc<Vault>,
    link: Link,
    /// Who answers messages that a simulation brings.
    handler: RwLock<Option<Arc<dyn MemberHandler>>>,
}

/// How other enclaves are reached.
enum Link {
    /// Over HTTP.
    Http(Http),
    /// By a simulation.
    Carried(Arc<dyn Carrier>),
}

struct Http {
    network: Arc<Network>,
    address: SocketAddr,
    stop: CancellationToken,
    tasks: parking_lot::Mutex<Vec<JoinHandle<()>>>,
}

impl Drop for Http {
    fn drop(&mut self) {
        self.stop.cancel();
        for task in self.tasks.lock().drain(..) {
            task.abort();
        }
    }
}

/// Carries what enclaves send each other, in place of the network: for simulations.
#[async_trait]
pub trait Carrier: Send + Sync + 'static {
    /// Brings an envelope to the enclave of `to` ([`EmbeddedEnclave::store_envelope`]); the reason
    /// when it is not stored there.
    async fn push(&self, to: EnclaveKey, envelope: Vec<u8>) -> Result<(), String>;
    /// Brings a message to the enclave of `to` ([`EmbeddedEnclave::answer_member`]).
    async fn ask(
        &self,
        from: EnclaveKey,
        to: EnclaveKey,
        kind: &str,
        body: Bytes,
    ) -> Result<Bytes, AskError>;
}

/// The enclave cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// There is no key.
    #[error("an enclave needs at least one key: `coterie keys generate` makes one")]
    NoKey,
    /// The payload store cannot be opened.
    #[error(transparent)]
    Store(#[from] OpenStoreError),
    /// The address is taken or not ours.
    #[error("the enclave cannot listen at {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// An address of a peer, or our own, cannot be called.
    #[error(
        "`{0}` is not a peer address: http or https, without user, query and fragment, of at most {URL_BYTES_MAX} bytes"
    )]
    Address(String),
    /// No HTTP client.
    #[error(transparent)]
    Client(#[from] ClientBuildError),
    /// No random bytes.
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
}

impl EmbeddedEnclave {
    /// Opens the payload store, listens, and begins to look for peers.
    pub async fn start(options: EnclaveOptions) -> Result<Self, StartError> {
        let EnclaveOptions {
            keys,
            listen,
            advertised_url,
            peers,
            storage,
            definition,
            limits,
            timeouts,
            discovery,
        } = options;
        let vault = open_vault(keys, &storage, definition, &limits)?;
        let listening = |source| StartError::Listen { address: listen, source };
        let listener = TcpListener::bind(listen).await.map_err(listening)?;
        let address = listener.local_addr().map_err(listening)?;
        let usable = |url: String| normalised(&url).ok_or(StartError::Address(url));
        let own = usable(
            advertised_url.map_or_else(|| format!("http://{address}/"), |url| url.to_string()),
        )?;
        let peers =
            peers.into_iter().map(|url| usable(url.to_string())).collect::<Result<Vec<_>, _>>()?;
        let network = Arc::new(Network {
            vault: Arc::clone(&vault),
            directory: Directory::new(own, &peers, timeouts.announce_interval, limits.peers_max),
            client: PeerClient::new(&timeouts)?,
            challenges: Challenges::new(timeouts.challenge)?,
            limits,
            handler: RwLock::new(None),
            discovery,
            hurry: Notify::new(),
            meetings: Network::meetings(),
            head: ChainHead::default(),
        });
        let stop = CancellationToken::new();
        let listener = BoundedListener::new(listener, limits.connections_max);
        let serve = axum::serve(listener, server::router(Arc::clone(&network)));
        let serve = serve.with_graceful_shutdown(stop.clone().cancelled_owned()).into_future();
        let server = tokio::spawn(async move {
            if let Err(error) = serve.await {
                tracing::error!(%error, "the peer port stopped");
            }
        });
        let announcing = tokio::spawn(Arc::clone(&network).announce_until(stop.clone()));
        let tasks = parking_lot::Mutex::new(vec![server, announcing]);
        Ok(Self {
            vault,
            link: Link::Http(Http { network, address, stop, tasks }),
            handler: RwLock::default(),
        })
    }

    /// An enclave without network, whose messages `carrier` carries: for simulations and tests.
    pub fn offline(
        keys: Vec<KeyPair>,
        storage: &Storage,
        definition: NetworkDefinition,
        limits: &EnclaveLimits,
        carrier: Arc<dyn Carrier>,
    ) -> Result<Self, StartError> {
        Ok(Self {
            vault: open_vault(keys, storage, definition, limits)?,
            link: Link::Carried(carrier),
            handler: RwLock::default(),
        })
    }

    /// Where the peer port listens; `None` without network.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match &self.link {
            Link::Http(http) => Some(http.address),
            Link::Carried(_) => None,
        }
    }

    /// Stops listening, lets running requests finish, and writes what was not written yet.
    pub async fn stop(&self) {
        if let Link::Http(http) = &self.link {
            http.stop.cancel();
            let tasks: Vec<_> = http.tasks.lock().drain(..).collect();
            let aborts: Vec<_> = tasks.iter().map(JoinHandle::abort_handle).collect();
            if tokio::time::timeout(STOP_TIME_MAX, join_all(tasks)).await.is_err() {
                aborts.iter().for_each(tokio::task::AbortHandle::abort);
            }
        }
        if let Err(error) = self.vault.store.flush().await {
            tracing::error!(%error, "the payload store's last write failed");
        }
        // Who answers members holds the enclave: together they would never be dropped, and their
        // files never be closed.
        *self.handler.write() = None;
        if let Link::Http(http) = &self.link {
            *http.network.handler.write() = None;
        }
        self.vault.forget_hook();
    }

    /// Tells the public chain's head: which hard forks must agree with a peer's depends on it.
    pub fn set_chain_head(&self, number: u64, timestamp: u64) {
        if let Link::Http(http) = &self.link {
            http.network.head.set(number, timestamp);
        }
    }

    /// Hash of the network definition without its hard-fork schedule.
    pub fn definition_hash(&self) -> B256 {
        self.vault.definition_hash
    }

    /// Keys whose nodes proved to hold them, without our own.
    pub fn known_keys(&self) -> Vec<EnclaveKey> {
        match &self.link {
            Link::Http(http) => http
                .network
                .directory
                .keys()
                .iter()
                .map(|(key, _)| EnclaveKey::Nacl(*key))
                .collect(),
            Link::Carried(_) => Vec::new(),
        }
    }

    /// Seals and stores a distribution without sending it: its id, and the envelope that each
    /// recipient which is not ours would be pushed.
    pub async fn seal_for(
        &self,
        distribution: &Distribution,
    ) -> Result<(PayloadKey, Vec<(EnclaveKey, Vec<u8>)>), DistributeError> {
        let envelope = self.vault.seal(distribution)?;
        self.vault.keep_own(&envelope).await.map_err(EnclaveUnavailable::from)?;
        let remote = self.remote_envelopes(&envelope);
        Ok((
            envelope.key(),
            remote.into_iter().map(|(key, bytes)| (EnclaveKey::Nacl(key), bytes)).collect(),
        ))
    }

    /// Stores an envelope as if it had been pushed.
    pub async fn store_envelope(&self, envelope: &[u8]) -> Result<PayloadKey, PushError> {
        self.vault.accept(envelope, |_, _| true).await
    }

    /// Answers a message as if it had come over the network from the holder of `from`.
    pub async fn answer_member(
        &self,
        from: EnclaveKey,
        to: EnclaveKey,
        kind: &str,
        body: Bytes,
    ) -> Result<Bytes, String> {
        let handler = self.handler.read().clone();
        match handler {
            Some(handler) if self.vault.ring.holds(&to) => {
                handler.answer(from, to, kind, body).await
            }
            Some(_) => Err("not found".to_owned()),
            None => Err("not ready yet".to_owned()),
        }
    }

    #[cfg(test)]
    pub(super) const fn vault(&self) -> &Arc<Vault> {
        &self.vault
    }

    #[cfg(test)]
    pub(super) fn network(&self) -> Option<&Arc<Network>> {
        match &self.link {
            Link::Http(http) => Some(&http.network),
            Link::Carried(_) => None,
        }
    }

    fn remote_envelopes(&self, envelope: &Envelope) -> Vec<([u8; 32], Vec<u8>)> {
        let recipients = envelope.recipients.as_deref().unwrap_or_default();
        let remote = recipients.iter().filter(|key| self.vault.ring.pair(key).is_none());
        remote.filter_map(|key| Some((*key, envelope.for_recipient(key)?.encode()))).collect()
    }

    /// Pushes to all in parallel; the first failure in the order of the recipients.
    async fn push_all(&self, remote: Vec<([u8; 32], Vec<u8>)>) -> Result<(), DistributeError> {
        match &self.link {
            Link::Http(http) => {
                let mut pushes = Vec::with_capacity(remote.len());
                for (key, envelope) in remote {
                    let holder = http.network.recipient(&key)?;
                    let network = &http.network;
                    pushes.push(async move { network.push(&holder, &key, envelope.into()).await });
                }
                join_all(pushes).await.into_iter().collect()
            }
            Link::Carried(carrier) => {
                let pushes = remote.into_iter().map(|(key, envelope)| async move {
                    let key = EnclaveKey::Nacl(key);
                    let pushed = carrier.push(key.clone(), envelope).await;
                    pushed.map_err(|reason| DistributeError::RecipientFailed { key, reason })
                });
                join_all(pushes).await.into_iter().collect()
            }
        }
    }

    /// Refuses a distribution that cannot reach somebody, before anything is sent.
    fn check_recipients(&self, distribution: &Distribution) -> Result<(), DistributeError> {
        if !self.vault.ring.holds(&distribution.from) {
            return Err(DistributeError::NotOurKey(distribution.from.clone()));
        }
        for key in super::vault::recipients_of(distribution)? {
            if self.vault.ring.pair(&key).is_none()
                && let Link::Http(http) = &self.link
            {
                http.network.recipient(&key)?;
            }
        }
        Ok(())
    }
}

fn open_vault(
    keys: Vec<KeyPair>,
    storage: &Storage,
    definition: NetworkDefinition,
    limits: &EnclaveLimits,
) -> Result<Arc<Vault>, StartError> {
    if keys.is_empty() {
        return Err(StartError::NoKey);
    }
    let retention = Retention {
        payloads_max: limits.stranger_payloads_max,
        bytes_max: limits.stranger_bytes_max,
        blocks: limits.stranger_blocks,
        co_member_payloads_max: limits.co_member_payloads_max,
        co_member_bytes_max: limits.co_member_bytes_max,
    };
    let store = match storage {
        Storage::File(path) => PayloadStore::open(path, retention)?,
        Storage::Memory => PayloadStore::in_memory(retention)?,
    };
    Ok(Arc::new(Vault::new(keys, store, definition, limits.payload_bytes_max)))
}

#[async_trait]
impl Enclave for EmbeddedEnclave {
    fn keys(&self) -> Vec<EnclaveKey> {
        self.vault.ring.public_keys()
    }

    fn peers(&self) -> Vec<EnclaveKey> {
        self.known_keys()
    }

    fn holds(&self, key: &EnclaveKey) -> bool {
        self.vault.ring.holds(key)
    }

    async fn receive(&self, key: PayloadKey) -> Result<Option<Payload>, EnclaveUnavailable> {
        Ok(self.vault.receive(key)?)
    }

    async fn recipients(&self, key: PayloadKey) -> Result<Vec<EnclaveKey>, EnclaveUnavailable> {
        Ok(self.vault.recipients(key)?)
    }

    async fn decide(
        &self,
        block: BlockRef,
        keys: &[PayloadKey],
    ) -> Result<Vec<Decided>, EnclaveUnavailable> {
        self.vault.decide(block, keys).await
    }

    async fn reorg(
        &self,
        common: BlockRef,
        orphaned: &[BlockRef],
    ) -> Result<(), EnclaveUnavailable> {
        Ok(self.vault.store.reorg(common, orphaned).await?)
    }

    async fn set_position_at_least(&self, head: BlockRef) -> Result<(), EnclaveUnavailable> {
        self.vault.store.set_position_at_least(head);
        Ok(())
    }

    async fn position(&self) -> Result<Option<BlockRef>, EnclaveUnavailable> {
        Ok(self.vault.store.position())
    }

    async fn distribute(&self, distribution: Distribution) -> Result<PayloadKey, DistributeError> {
        self.check_recipients(&distribution)?;
        let envelope = self.vault.seal(&distribution)?;
        let key = envelope.key();
        let (pushed, kept) =
            join(self.push_all(self.remote_envelopes(&envelope)), self.vault.keep_own(&envelope))
                .await;
        kept.map_err(EnclaveUnavailable::from)?;
        if pushed.is_err() {
            // Some may have stored it, and a payload that anybody may mark can still be marked:
            // ours stays for as long as a stranger's would.
            self.vault.store.doubt(key, envelope.sender, envelope.cipher_text.len() as u64);
        }
        pushed.map(|()| key)
    }

    async fn push_again(&self, key: PayloadKey, to: &[EnclaveKey]) -> Result<(), DistributeError> {
        let envelope = self.vault.envelope(key).map_err(EnclaveUnavailable::from)?;
        let mut remote = Vec::with_capacity(to.len());
        for recipient in to.iter().filter(|recipient| !self.vault.ring.holds(recipient)) {
            let unknown = || DistributeError::UnknownRecipient(recipient.clone());
            let bytes = recipient.as_nacl().ok_or_else(unknown)?;
            let stripped = envelope
                .as_ref()
                .and_then(|envelope| envelope.for_recipient(bytes))
                .ok_or_else(unknown)?;
            remote.push((*bytes, stripped.encode()));
        }
        self.push_all(remote).await
    }

    async fn sealed(&self, key: PayloadKey) -> Result<Option<SealedPayload>, EnclaveUnavailable> {
        Ok(self.vault.sealed(key)?)
    }

    async fn accept_history(
        &self,
        history: AcceptedHistory,
        payloads: Vec<SealedPayload>,
        reads: Vec<(BlockRef, Reads)>,
    ) -> Result<(), EnclaveUnavailable> {
        self.vault.accept_history(history, payloads, reads).await
    }

    async fn histories(&self) -> Result<Vec<AcceptedHistory>, EnclaveUnavailable> {
        Ok(self.vault.store.histories()?)
    }

    async fn record_reads(
        &self,
        group: GroupId,
        block: B256,
        reads: &[(PublicRead, PublicValue)],
    ) -> Result<(), EnclaveUnavailable> {
        Ok(self.vault.store.record_reads(group, block, reads)?)
    }

    async fn recorded_reads(
        &self,
        group: GroupId,
        block: B256,
    ) -> Result<Reads, EnclaveUnavailable> {
        Ok(self.vault.store.recorded_reads(group, block)?)
    }

    async fn ask(
        &self,
        from: &EnclaveKey,
        to: &EnclaveKey,
        kind: &str,
        body: Bytes,
    ) -> Result<Bytes, AskError> {
        match &self.link {
            Link::Http(http) => http.network.ask(from, to, kind, &body).await,
            Link::Carried(carrier) => carrier.ask(from.clone(), to.clone(), kind, body).await,
        }
    }

    fn set_handler(&self, handler: Arc<dyn MemberHandler>) {
        if let Link::Http(http) = &self.link {
            *http.network.handler.write() = Some(Arc::clone(&handler));
        }
        *self.handler.write() = Some(handler);
    }

    fn set_arrival_hook(&self, hook: ArrivalHook) {
        self.vault.set_hook(hook);
    }

    fn set_co_members(&self, keys: Vec<EnclaveKey>) {
        self.vault.set_co_members(&keys);
    }
}

impl std::fmt::Debug for EmbeddedEnclave {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedEnclave").field("keys", &self.vault.ring).finish_non_exhaustive()
    }
}
