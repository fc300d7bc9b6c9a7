//! Puts a node together and runs it: chain, enclave, state, follower, service, RPC.
//!
//! No logic of its own. [`dev`] runs several nodes and a development chain in one process.

pub mod dev;
mod origin;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    thread::JoinHandle as ThreadHandle,
    time::{Duration, SystemTime},
};

use alloy_primitives::{B256, keccak256};
use coterie_core::{EnclaveKey, NetworkDefinition};
use tokio::{net::TcpListener, runtime::Handle, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    chain::{BlockRef, Chain, ChainError},
    enclave::{
        ArrivalHook, EmbeddedEnclave, Enclave, EnclaveOptions, EnclaveUnavailable, StartError,
    },
    executor::{Executor, Genesis, UnsupportedDefinition},
    follower::{FollowError, Follower, FollowerOptions, FollowerParts, Preparer},
    rpc::{
        self,
        auth::{self, Authenticator, SourceError, options::AuthOptions},
    },
    service::{
        Comparison, Confirmations, FollowingStopped, LatePayloads, Members, Service,
        ServiceOptions, View, markers::MarkerOptions, offer_histories,
    },
    state::{State, StateError, StateOptions, was_unread},
    store::{FjallOptions, FjallStore, MemoryStore, Store, StoreError},
};

/// How long a node may take to stop.
const STOP_MAX: Duration = Duration::from_secs(5);

/// What a node is started with.
pub struct NodeOptions {
    /// A name for the log.
    pub name: String,
    /// The public chain.
    pub chain: Arc<dyn Chain>,
    /// The network.
    pub definition: NetworkDefinition,
    /// The enclave.
    pub enclave: EnclaveOptions,
    /// Where derived state is kept; `None`: in memory.
    pub state_dir: Option<PathBuf>,
    /// Limits of the state layer.
    pub state: StateOptions,
    /// How to follow.
    pub follower: FollowerOptions,
    /// How markers are signed.
    pub markers: MarkerOptions,
    /// Limits of the service.
    pub service: ServiceOptions,
    /// When an addition is old enough for its history to be given.
    pub confirmations: Confirmations,
    /// The pause between two comparisons of state roots.
    pub compare_pause: Duration,
    /// Where the API listens.
    pub rpc_listen: SocketAddr,
    /// How the API is served.
    pub rpc: rpc::Options,
}

impl std::fmt::Debug for NodeOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeOptions").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A node did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// The definition asks for something this version does not do.
    #[error(transparent)]
    Definition(#[from] UnsupportedDefinition),
    /// The definition names other management contracts than ours.
    #[error(
        "the network definition names management contracts with other code than this version's"
    )]
    ManagementContracts,
    /// The chain is another one.
    #[error(
        "the chain has id {found}, the network definition says {expected}; check the chain's URL"
    )]
    WrongChain {
        /// Of the definition.
        expected: u64,
        /// Of the chain.
        found: u64,
    },
    /// The state is of a network with another definition.
    #[error(
        "the private state in this data directory is of another network: of the definition {found}, the one configured is {expected}; start with the definition that the state was made with, name another node.data_dir, or delete the state directory"
    )]
    AnotherNetwork {
        /// Hash of the configured definition.
        expected: B256,
        /// Hash of the definition that the state was made with.
        found: B256,
    },
    /// The state was followed on another chain with the same id.
    #[error(
        "the private state in this data directory was followed on another chain: its block {} is {}, the chain has {found} there; check chain.url, or delete the state directory to follow this chain from the start",
        .base.number,
        .base.hash
    )]
    AnotherChain {
        /// The block after which following began.
        base: BlockRef,
        /// The chain's block with that number.
        found: B256,
    },
    /// Following began somewhere else than it is configured to.
    #[error(
        "the private state in this data directory was followed from block {found} on, chain.first_block is {expected}; set it back, or delete the state directory to follow the chain from there"
    )]
    AnotherFirstBlock {
        /// The configured one.
        expected: u64,
        /// The one that the state was followed from.
        found: u64,
    },
    /// The chain did not answer.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The enclave did not start.
    #[error(transparent)]
    Enclave(#[from] StartError),
    /// The payload store failed.
    #[error(transparent)]
    Payloads(#[from] EnclaveUnavailable),
    /// The state database did not open.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The state database is not in order.
    #[error(transparent)]
    State(#[from] StateError),
    /// Callers cannot be authenticated as configured.
    #[error("tokens cannot be checked")]
    Authentication(#[from] SourceError),
    /// The API's port cannot be used.
    #[error("the API cannot listen on {address}; choose another port")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
}

/// A running node. Dropping it does not stop it: call [`Node::stop`].
pub struct Node {
    name: String,
    rpc_address: SocketAddr,
    enclave: Arc<EmbeddedEnclave>,
    service: Arc<Service>,
    comparison: Arc<Comparison>,
    stop: CancellationToken,
    follower: Option<ThreadHandle<Result<(), FollowError>>>,
    tasks: Vec<JoinHandle<()>>,
    api: JoinHandle<std::io::Result<()>>,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node")
            .field("name", &self.name)
            .field("rpc", &self.rpc_address)
            .finish_non_exhaustive()
    }
}

impl Node {
    /// Starts a node. When this returns, it answers; it may still be catching up.
    ///
    /// # Errors
    ///
    /// Whatever part does not start; those that had are stopped.
    pub async fn start(options: NodeOptions) -> Result<Self, NodeError> {
        let definition = Arc::new(options.definition);
        check_contracts(&definition)?;
        let found = options.chain.chain_id().await?;
        if found != definition.chain_id {
            return Err(NodeError::WrongChain { expected: definition.chain_id, found });
        }
        let (listener, rpc_address) = listen(options.rpc_listen).await?;
        let state = State::open(store(options.state_dir.as_deref())?, options.state)?;
        origin::check(&state, &definition, &*options.chain, options.follower.first_block).await?;
        let executor = Executor::new(Arc::clone(&definition), Genesis::of(&definition))?;
        let payloads_are_new = options.enclave.storage.is_new();
        let enclave = Arc::new(EmbeddedEnclave::start(options.enclave).await?);
        if let Some(followed) = state.followed()? {
            if payloads_are_new && !state.groups().is_empty() {
                tracing::warn!(
                    "there were no payloads beside the private state: bring back a backup of payloads.redb, or take every group's history over again with `coterie heal GROUP`"
                );
            }
            enclave.set_position_at_least(followed).await?;
        }

        let preparer = Arc::new(Preparer::new(definition.hash()));
        let arriving = Arc::clone(&preparer);
        let parts = FollowerParts {
            chain: Arc::clone(&options.chain),
            enclave: Arc::clone(&enclave) as Arc<dyn Enclave>,
            state: state.clone(),
            executor: executor.clone(),
            definition: Arc::clone(&definition),
            preparer,
        };
        let follower = Follower::new(parts, options.follower);
        let view = View::new(
            (options.chain, Arc::clone(&enclave) as Arc<dyn Enclave>),
            state,
            executor,
            definition,
            follower.following(),
        );
        enclave.set_handler(Arc::new(Members::new(view.clone(), options.confirmations)));
        let service = Arc::new(Service::new(view.clone(), options.markers, options.service));
        let authenticator = Arc::new(authenticator(&options.rpc.auth, &service, enclave.as_ref())?);
        let late = service.late_payloads().clone();
        enclave.set_arrival_hook(on_arrival(arriving, view.state.clone(), late));
        let comparison = Arc::clone(service.comparison());

        let stop = CancellationToken::new();
        let offers = offer_histories(view.clone(), options.confirmations);
        let mut tasks =
            tasks(&stop, &enclave, view, (&service, &comparison), options.compare_pause);
        tasks.push(until_stopped(&stop, offers));
        let follower = Some(follow(follower, stop.clone()));
        let watched = Arc::clone(&authenticator);
        tasks.push(until_stopped(&stop, async move { watched.watch().await }));
        let serving = (authenticator, options.rpc);
        let api = tokio::spawn(rpc::serve(listener, Arc::clone(&service), serving, stop.clone()));
        Ok(Self {
            name: options.name,
            rpc_address,
            enclave,
            service,
            comparison,
            stop,
            follower,
            tasks,
            api,
        })
    }

    /// Where the API listens.
    pub const fn rpc_address(&self) -> SocketAddr {
        self.rpc_address
    }

    /// The node's enclave.
    pub const fn enclave(&self) -> &Arc<EmbeddedEnclave> {
        &self.enclave
    }

    /// The node's first enclave key.
    pub fn enclave_key(&self) -> EnclaveKey {
        self.service.default_tenant().key
    }

    /// The node's operations.
    pub const fn service(&self) -> &Arc<Service> {
        &self.service
    }

    /// Which members have another private state.
    pub const fn comparison(&self) -> &Arc<Comparison> {
        &self.comparison
    }

    /// Stops: answers what is under way, commits the block at hand, and closes the stores.
    pub async fn stop(mut self) {
        self.stop.cancel();
        for task in self.tasks {
            let _ = task.await;
        }
        let _ = tokio::time::timeout(STOP_MAX, self.api).await;
        if let Some(follower) = self.follower.take() {
            let joined = tokio::task::spawn_blocking(move || follower.join());
            let _ = tokio::time::timeout(STOP_MAX, joined).await;
        }
        self.enclave.stop().await;
        tracing::info!(node = self.name, "stopped");
    }
}

/// Who is let in: everybody as the owner, or the tenants that tokens name.
fn authenticator(
    options: &AuthOptions,
    service: &Service,
    enclave: &EmbeddedEnclave,
) -> Result<Authenticator, SourceError> {
    let clock: auth::Clock = Arc::new(unix_time);
    Authenticator::start(options.clone(), service.default_tenant(), enclave.keys(), clock)
}

/// The time, in seconds since 1970; before, zero.
#[expect(
    clippy::disallowed_methods,
    reason = "the clock is read here, and passed on as a function"
)]
pub fn unix_time() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |it| it.as_secs())
}

/// Makes a directory for private data, which only its owner may enter, unless it is there.
///
/// # Errors
///
/// The disk's.
pub fn private_directory(path: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// The database of private state.
fn store(directory: Option<&Path>) -> Result<Arc<dyn Store>, StoreError> {
    Ok(match directory {
        Some(directory) => Arc::new(FjallStore::open(directory, FjallOptions::default())?),
        None => Arc::new(MemoryStore::default()),
    })
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), NodeError> {
    let failed = |source| NodeError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// Our contracts are part of the rules: a definition that names others would give other roots.
fn check_contracts(definition: &NetworkDefinition) -> Result<(), NodeError> {
    let genesis =
        coterie_core::contracts::management_genesis(definition.hash(), definition.members_max);
    let ours = genesis.each_ref().map(|account| keccak256(&account.code));
    if ours == definition.management_code_hashes {
        Ok(())
    } else {
        Err(NodeError::ManagementContracts)
    }
}

/// What runs beside the follower, the API and the offers of histories.
fn tasks(
    stop: &CancellationToken,
    enclave: &Arc<EmbeddedEnclave>,
    view: View,
    (service, comparison): (&Arc<Service>, &Arc<Comparison>),
    compare_pause: Duration,
) -> Vec<JoinHandle<()>> {
    let (sending, filtering) = (Arc::clone(service), Arc::clone(service));
    let (service, comparison) = (Arc::clone(service), Arc::clone(comparison));
    vec![
        until_stopped(stop, async move { sending.watch_sent().await }),
        until_stopped(stop, async move { filtering.watch_filters().await }),
        until_stopped(stop, tell_head(Arc::clone(enclave), view)),
        until_stopped(stop, async move { service.watch_follower().await }),
        until_stopped(stop, async move { comparison.run(compare_pause).await }),
    ]
}

/// What is done with each payload that arrives: it is opened and its sender recovered now, not when
/// its block comes, and it is reported when its block has come already.
fn on_arrival(preparer: Arc<Preparer>, state: State, late: LatePayloads) -> ArrivalHook {
    Arc::new(move |payload| {
        preparer.prepare(&payload);
        match was_unread(&state, payload.key, payload.marker_signer) {
            Ok(true) => late.note(&payload),
            Ok(false) => {}
            Err(error) => {
                tracing::error!(%error, "it is not known whether an arriving payload is late");
            }
        }
    })
}

/// Tells the enclave where the chain is: peers' hard-fork schedules must agree only up to there.
async fn tell_head(enclave: Arc<EmbeddedEnclave>, view: View) {
    let mut followed = view.following.followed.clone();
    loop {
        let block = *followed.borrow_and_update();
        if let Some(block) = block
            && let Ok(Some(header)) = view.state.header(block.hash)
        {
            enclave.set_chain_head(header.number, header.timestamp);
        }
        if followed.changed().await.is_err() {
            return;
        }
    }
}

fn until_stopped(
    stop: &CancellationToken,
    work: impl Future<Output = ()> + Send + 'static,
) -> JoinHandle<()> {
    let stop = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = work => {}
        }
    })
}

/// Follows on a thread of its own: executing blocks must not hold up answers. However it ends, the
/// follower is dropped, by which the others notice.
fn follow(
    mut follower: Follower,
    stop: CancellationToken,
) -> ThreadHandle<Result<(), FollowError>> {
    let runtime = Handle::current();
    let stopped = follower.stopped();
    std::thread::spawn(move || {
        let following = std::panic::AssertUnwindSafe(|| {
            runtime.block_on(async {
                tokio::select! {
                    () = stop.cancelled() => Ok(()),
                    ended = follower.run() => ended,
                }
            })
        });
        std::panic::catch_unwind(following).unwrap_or_else(|panic| {
            tracing::error!("following panicked; reads go on, but the node must be started again");
            let reason = "a fault in the node".to_owned();
            stopped.send_replace(Some(FollowingStopped { reason }));
            std::panic::resume_unwind(panic)
        })
    })
}
