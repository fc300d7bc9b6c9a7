//! A development network in one process: a chain and several members' nodes, which talk to each
//! other and to the chain over HTTP only.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use alloy_primitives::keccak256;
use coterie_core::{EnclaveKey, NetworkDefinition, contracts::CODE_HASHES};
use tokio::net::TcpListener;
use url::Url;

use super::{Node, NodeError, NodeOptions, private_directory};
use crate::{
    chain::{
        client::{RpcChain, RpcOptions},
        dev::{DevChain, DevOptions, DevServer, JournalError, Mining, serve, wall_clock},
    },
    enclave::{
        Enclave as _,
        crypto::NoEntropy,
        keys::{KeyFileError, KeyPair, read_key_file, write_key_files},
        options::{EnclaveLimits, EnclaveOptions, EnclaveTimeouts, Storage},
    },
    follower::FollowerOptions,
    rpc,
    service::{
        Confirmations, ServiceOptions,
        markers::{MarkerKey, MarkerOptions},
    },
    state::StateOptions,
};

/// Names of members, in order.
const NAMES: [&str; 26] = [
    "A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K", "L", "M", "N", "O", "P", "Q", "R", "S",
    "T", "U", "V", "W", "X", "Y", "Z",
];

/// Enclave keys of the first members: published test keys (enclave specification, 7.4).
const PUBLISHED_KEYS: [&str; 3] = [
    "hBsuQsGJzx4QHmFmBkNoI7YGnTmaZP4P+wBOdu56ljk=",
    "wjeHURxQJUqZvhjMv+lxoRlXYnX/mpm0Iu/ldBr32Qs=",
    "QmBfzDOxF99iInkXAPBAZpQQfelvPmHqbcO8tNHYtJM=",
];

/// How long the members may take to find each other.
const MEET_MAX: Duration = Duration::from_secs(20);
const MEET_POLL: Duration = Duration::from_millis(20);

/// A development network's options.
#[derive(Clone, Debug)]
pub struct DevNetworkOptions {
    /// How many members, 1 to 26.
    pub members: usize,
    /// The chain's port; the members' follow it. Zero: any.
    pub port: u16,
    /// Where the chain, the generated keys and the members' data are kept; `None`: in memory.
    pub directory: Option<PathBuf>,
    /// Milliseconds between blocks; `None`: a block per transaction.
    pub block_time_ms: Option<u64>,
}

/// A running development network.
#[derive(Debug)]
pub struct DevNetwork {
    chain: DevChain,
    server: DevServer,
    definition: NetworkDefinition,
    members: Vec<Node>,
}

/// One member, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DevMember {
    /// `A`, `B`, …
    pub name: &'static str,
    /// The API's URL.
    pub rpc: String,
    /// The enclave key.
    pub enclave_key: EnclaveKey,
}

/// A development network did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DevError {
    /// More members than names.
    #[error("a development network has 1 to 26 members, not {0}")]
    Members(usize),
    /// No port left above the first.
    #[error("port {0} leaves no room for the members' ports above it")]
    Port(u16),
    /// The chain's port cannot be used.
    #[error("the chain cannot listen on port {port}; choose another with --rpc-port, or 0 for any")]
    Listen {
        /// The port.
        port: u16,
        /// Why.
        source: std::io::Error,
    },
    /// A URL of our own is not one.
    #[error(transparent)]
    Url(#[from] url::ParseError),
    /// A node did not start.
    #[error("member {name} did not start")]
    Node {
        /// Which.
        name: &'static str,
        /// Why.
        source: NodeError,
    },
    /// No entropy for a key.
    #[error(transparent)]
    Entropy(#[from] NoEntropy),
    /// A member's key was not kept.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// A directory was not made.
    #[error("cannot make the directory {path}")]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The chain that is kept there cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The chain's client was not made.
    #[error(transparent)]
    Chain(#[from] crate::chain::ChainError),
    /// The members did not find each other.
    #[error("the members did not find each other within {} s", MEET_MAX.as_secs())]
    NotMet,
}

impl DevNetwork {
    /// Starts the chain and the members; returns when every member knows every other.
    ///
    /// # Errors
    ///
    /// Whatever part does not start.
    pub async fn start(options: &DevNetworkOptions) -> Result<Self, DevError> {
        let members = NAMES.get(..options.members).filter(|names| !names.is_empty());
        let members = members.ok_or(DevError::Members(options.members))?;
        let port = options.port;
        let listen = |source| DevError::Listen { port, source };
        let mining = options.block_time_ms.map_or(Mining::Instant, Mining::Interval);
        let chain = chain(options.directory.as_deref(), chain_options(mining))?;
        let definition = NetworkDefinition::coterie("dev", chain.options().chain_id, CODE_HASHES);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(listen)?;
        let mut network = Self {
            server: serve(chain.clone(), listener).map_err(listen)?,
            chain,
            definition,
            members: Vec::new(),
        };
        let mut peers = Vec::new();
        for (at, name) in members.iter().copied().enumerate() {
            let node = Node::start(network.node_options(options, (at, name), peers.clone())?).await;
            let node = node.map_err(|source| DevError::Node { name, source })?;
            if let Some(address) = node.enclave().local_addr() {
                peers.push(Url::parse(&format!("http://{address}/"))?);
            }
            network.members.push(node);
        }
        network.meet().await?;
        Ok(network)
    }

    fn node_options(
        &self,
        options: &DevNetworkOptions,
        (at, name): (usize, &'static str),
        peers: Vec<Url>,
    ) -> Result<NodeOptions, DevError> {
        let port = match options.port {
            0 => 0,
            first => u16::try_from(at + 1)
                .ok()
                .and_then(|at| first.checked_add(at))
                .ok_or(DevError::Port(first))?,
        };
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let directory = options.directory.as_deref().map(|directory| directory.join(name));
        let mut chain = RpcOptions::new(Url::parse(&self.server.url())?);
        // The chain is next door: its blocks are seen at once.
        chain.poll_interval = Duration::from_millis(20);
        chain.ws_url = Some(Url::parse(&self.server.ws_url())?);
        Ok(NodeOptions {
            name: name.to_owned(),
            chain: Arc::new(RpcChain::new(chain)?),
            definition: self.definition.clone(),
            enclave: EnclaveOptions {
                keys: vec![enclave_key(at, directory.as_deref())?],
                listen: any,
                advertised_url: None,
                peers,
                storage: storage(directory.as_deref()),
                definition: self.definition.clone(),
                limits: EnclaveLimits::default(),
                timeouts: EnclaveTimeouts::default(),
                discovery: true,
            },
            state_dir: directory.map(|directory| directory.join("state")),
            state: StateOptions::default(),
            follower: FollowerOptions::default(),
            markers: MarkerOptions { key: marker_key(name), gas_price_max: u128::MAX },
            service: ServiceOptions::default(),
            confirmations: Confirmations::Blocks(0),
            compare_pause: Duration::from_secs(1),
            rpc_listen: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            rpc: rpc::Options {
                cors: rpc::Cors::Any,
                operator_methods: true,
                ..rpc::Options::default()
            },
        })
    }

    /// Waits until every member knows every other's key.
    async fn meet(&self) -> Result<(), DevError> {
        let keys: Vec<EnclaveKey> = self.members.iter().map(Node::enclave_key).collect();
        let meeting = async {
            let met = |node: &Node| {
                let known = node.enclave().known_keys();
                keys.iter().all(|key| node.enclave().holds(key) || known.contains(key))
            };
            while !self.members.iter().all(met) {
                tokio::time::sleep(MEET_POLL).await;
            }
        };
        tokio::time::timeout(MEET_MAX, meeting).await.map_err(|_| DevError::NotMet)
    }

    /// The chain's URL.
    pub fn chain_url(&self) -> String {
        self.server.url()
    }

    /// The network's definition.
    pub const fn definition(&self) -> &NetworkDefinition {
        &self.definition
    }

    /// The members.
    pub fn members(&self) -> Vec<DevMember> {
        let member = |(node, name): (&Node, &'static str)| DevMember {
            name,
            rpc: format!("http://{}", node.rpc_address()),
            enclave_key: node.enclave_key(),
        };
        self.members.iter().zip(NAMES).map(member).collect()
    }

    /// The members' nodes.
    pub fn nodes(&self) -> &[Node] {
        &self.members
    }

    /// Stops all nodes, then the chain.
    pub async fn stop(self) {
        futures::future::join_all(self.members.into_iter().map(Node::stop)).await;
        if let Err(error) = self.server.stop().await {
            tracing::warn!(%error, "the development chain did not stop cleanly");
        }
        // A client's connection may hold the chain a little longer.
        self.chain.close();
    }
}

fn storage(directory: Option<&Path>) -> Storage {
    directory.map_or(Storage::Memory, |directory| Storage::File(directory.join("payloads.redb")))
}

/// The chain, kept in a directory or in memory.
fn chain(directory: Option<&Path>, options: DevOptions) -> Result<DevChain, DevError> {
    let Some(directory) = directory else { return Ok(DevChain::new(options)) };
    private_directory(directory)
        .map_err(|source| DevError::Directory { path: directory.to_owned(), source })?;
    Ok(DevChain::open(options, &directory.join("chain"))?)
}

/// The published accounts and the marker keys of all possible members have ether, so that the
/// genesis block does not depend on how many there are; the clock is the wall's.
fn chain_options(mining: Mining) -> DevOptions {
    let mut options = DevOptions { mining, clock: Some(wall_clock()), ..DevOptions::default() };
    let balance = options.accounts.first().map(|(_, balance)| *balance).unwrap_or_default();
    let keys = NAMES.iter().filter_map(|name| marker_key(name));
    options.accounts.extend(keys.map(|key| (key.address, balance)));
    options
}

/// A key of the member's own that signs its markers, so that several fit into a block. It is
/// derived from the member's name: good for a development network only.
fn marker_key(name: &str) -> Option<MarkerKey> {
    MarkerKey::new(keccak256(format!("coterie development marker key {name}")).0)
}

/// A published key; beyond those a new one, or that of `enclave.key` in the member's directory.
fn enclave_key(at: usize, directory: Option<&Path>) -> Result<KeyPair, DevError> {
    if let Some(secret) = PUBLISHED_KEYS.get(at) {
        return Ok(KeyPair::from_base64(secret)?);
    }
    let Some(directory) = directory else { return Ok(KeyPair::generate()?) };
    let path = directory.join("enclave.key");
    if path.exists() {
        return Ok(read_key_file(&path, None)?);
    }
    private_directory(directory)
        .map_err(|source| DevError::Directory { path: directory.to_owned(), source })?;
    let pair = KeyPair::generate()?;
    write_key_files(&path.with_extension(""), &pair, None)?;
    Ok(pair)
}
