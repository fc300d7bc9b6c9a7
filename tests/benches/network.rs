//! Nodes and their chain, put together as the measurements need them.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use alloy_primitives::B256;
use anyhow::{Context, Result};
use coterie_core::{EnclaveKey, NetworkDefinition, contracts::CODE_HASHES};
use coterie_node::{
    chain::{
        client::{RpcChain, RpcOptions},
        dev::{DevChain, DevOptions, DevServer, Mining, published_accounts, serve},
    },
    enclave::{
        Enclave as _, EnclaveLimits, EnclaveOptions, EnclaveTimeouts, Storage, keys::KeyPair,
    },
    follower::FollowerOptions,
    node::{Node, NodeOptions},
    rpc::{self, auth::options::AuthOptions},
    service::{
        ServiceOptions,
        markers::{MarkerKey, MarkerOptions},
    },
    state::StateOptions,
};
use coterie_tests::poll;
use tokio::net::TcpListener;
use url::Url;

/// Enclave keys of the members: published test keys (enclave specification, 7.4).
const KEYS: [&str; 3] = [
    "hBsuQsGJzx4QHmFmBkNoI7YGnTmaZP4P+wBOdu56ljk=",
    "wjeHURxQJUqZvhjMv+lxoRlXYnX/mpm0Iu/ldBr32Qs=",
    "QmBfzDOxF99iInkXAPBAZpQQfelvPmHqbcO8tNHYtJM=",
];
const NAMES: [&str; 3] = ["A", "B", "C"];

/// How long anything here may take before the run is given up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

/// A member's enclave key pair.
pub(crate) fn key_pair(member: usize) -> Result<KeyPair> {
    Ok(KeyPair::from_base64(KEYS.get(member).context("there are three members")?)?)
}

/// A member's enclave key.
pub(crate) fn enclave_key(member: usize) -> Result<EnclaveKey> {
    Ok(key_pair(member)?.enclave_key())
}

/// The key that signs a member's markers: a published, funded account.
pub(crate) fn marker_secret(member: usize) -> Result<B256> {
    Ok(published_accounts().get(member).context("an account")?.private_key)
}

/// The network of all measurements.
pub(crate) fn definition(chain: &DevChain) -> NetworkDefinition {
    NetworkDefinition::coterie("bench", chain.options().chain_id, CODE_HASHES)
}

/// A chain with gas for free.
pub(crate) fn dev_chain(mining: Mining) -> DevChain {
    DevChain::new(DevOptions { mining, ..DevOptions::default() })
}

/// Serves the chain at any port.
pub(crate) async fn serve_chain(chain: DevChain) -> Result<DevServer> {
    Ok(serve(chain, TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?)?)
}

/// A member's payload file.
pub(crate) fn payload_file(directory: &Path, member: usize) -> PathBuf {
    directory.join(NAMES.get(member).copied().unwrap_or("other")).join("payloads.redb")
}

/// A member's state directory.
pub(crate) fn state_dir(directory: &Path, member: usize) -> PathBuf {
    directory.join(NAMES.get(member).copied().unwrap_or("other")).join("state")
}

/// What differs between nodes.
#[derive(Debug)]
pub(crate) struct Member<'a> {
    pub(crate) index: usize,
    pub(crate) directory: &'a Path,
    pub(crate) chain_url: &'a str,
    pub(crate) definition: &'a NetworkDefinition,
    pub(crate) peers: Vec<Url>,
    pub(crate) rpc_port: u16,
    pub(crate) auth: AuthOptions,
}

/// Starts a node whose data are on disk and whose markers are signed by one key.
pub(crate) async fn start_node(member: Member<'_>) -> Result<Node> {
    let Member { index, directory, chain_url, definition, peers, rpc_port, auth } = member;
    let mut chain = RpcOptions::new(Url::parse(chain_url)?);
    // As in the development network: the chain is next door.
    chain.poll_interval = Duration::from_millis(20);
    let key = MarkerKey::new(marker_secret(index)?.0).context("a marker key")?;
    let options = NodeOptions {
        name: NAMES.get(index).copied().unwrap_or("other").to_owned(),
        chain: Arc::new(RpcChain::new(chain)?),
        definition: definition.clone(),
        enclave: EnclaveOptions {
            keys: vec![key_pair(index)?],
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            advertised_url: None,
            peers,
            storage: Storage::File(payload_file(directory, index)),
            definition: definition.clone(),
            limits: EnclaveLimits::default(),
            timeouts: EnclaveTimeouts::default(),
            discovery: true,
        },
        state_dir: Some(state_dir(directory, index)),
        state: StateOptions::default(),
        follower: FollowerOptions::default(),
        markers: MarkerOptions { key: Some(key), gas_price_max: u128::MAX },
        service: ServiceOptions::default(),
        confirmations: coterie_node::service::Confirmations::Blocks(0),
        compare_pause: Duration::from_secs(1),
        rpc_listen: SocketAddr::from((Ipv4Addr::LOCALHOST, rpc_port)),
        rpc: rpc::Options { auth, ..rpc::Options::default() },
    };
    Ok(Node::start(options).await?)
}

/// Three members and their chain, which talk over HTTP only.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) chain: DevChain,
    pub(crate) server: DevServer,
    pub(crate) nodes: Vec<Node>,
}

impl Network {
    /// Starts three nodes on `chain`; their data are below `directory`.
    pub(crate) async fn start(
        chain: DevChain,
        definition: &NetworkDefinition,
        directory: &Path,
    ) -> Result<Self> {
        let server = serve_chain(chain.clone()).await?;
        let mut nodes: Vec<Node> = Vec::new();
        let mut peers = Vec::new();
        for index in 0..KEYS.len() {
            let (chain_url, peers_now) = (server.url(), peers.clone());
            let member = Member {
                index,
                directory,
                chain_url: &chain_url,
                definition,
                peers: peers_now,
                rpc_port: 0,
                auth: AuthOptions::None,
            };
            let node = start_node(member).await?;
            let address = node.enclave().local_addr().context("a peer port")?;
            peers.push(Url::parse(&format!("http://{address}/"))?);
            nodes.push(node);
        }
        let network = Self { chain, server, nodes };
        network.meet().await?;
        Ok(network)
    }

    async fn meet(&self) -> Result<()> {
        let keys: Vec<EnclaveKey> = self.nodes.iter().map(Node::enclave_key).collect();
        until("the members know each other", || {
            self.nodes.iter().all(|node| {
                let known = node.enclave().known_keys();
                keys.iter().all(|key| node.enclave().holds(key) || known.contains(key))
            })
        })
        .await
    }

    /// A node's API.
    pub(crate) fn api(&self, member: usize) -> Result<SocketAddr> {
        Ok(self.nodes.get(member).context("a node")?.rpc_address())
    }

    /// Waits until a node has followed block `number`.
    pub(crate) async fn followed(&self, member: usize, number: u64) -> Result<()> {
        let node = self.nodes.get(member).context("a node")?;
        until("the block is followed", || {
            node.service().readiness().followed.is_some_and(|at| at.number >= number)
        })
        .await
    }

    /// Stops all.
    pub(crate) async fn stop(self) -> Result<()> {
        futures::future::join_all(self.nodes.into_iter().map(Node::stop)).await;
        self.server.stop().await?;
        Ok(())
    }
}

/// Waits, looking every millisecond.
pub(crate) async fn until(what: &'static str, mut holds: impl FnMut() -> bool) -> Result<()> {
    poll(Duration::from_millis(1), PATIENCE, async || holds().then_some(())).await.context(what)
}
