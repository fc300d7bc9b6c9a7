//! `coterie run`: a node until Ctrl-C or SIGTERM.

use std::{future::Future, sync::Arc};

use anyhow::{Context, Result};
use coterie_node::{
    chain::client::{RpcChain, RpcOptions},
    config::{Config, MarkerSigner},
    enclave::options::{EnclaveOptions, Storage},
    follower::FollowerOptions,
    node::{Node, NodeOptions, private_directory},
    service::{ServiceOptions, markers::MarkerOptions},
    state::StateOptions,
};
use tokio::runtime::Runtime;

use super::keys;

/// Runs the node that `config` describes.
pub(super) fn run(config: Config) -> Result<()> {
    runtime()?.block_on(async {
        let mut stopped = std::pin::pin!(stop_signal()?);
        let options = options(config)?;
        let node = tokio::select! {
            node = Node::start(options) => node?,
            () = &mut stopped => return Ok(()),
        };
        tracing::info!(rpc = %node.rpc_address(), key = %node.enclave_key(), "ready");
        stopped.await;
        node.stop().await;
        Ok(())
    })
}

/// The runtime that a node runs on.
///
/// # Errors
///
/// The system has no threads left.
pub(super) fn runtime() -> Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start threads")
}

/// Resolves at Ctrl-C or SIGTERM.
///
/// # Errors
///
/// Signals cannot be listened to.
pub(super) fn stop_signal() -> Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen to signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen to signals")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

fn options(config: Config) -> Result<NodeOptions> {
    private_directory(&config.data_dir)
        .with_context(|| format!("cannot make the directory {}", config.data_dir.display()))?;
    let enclave = config.enclave;
    let (keys, problems) = keys::read_enclave_keys(&enclave.keys)?;
    super::log_problems(problems);
    let key = match &config.markers.signer {
        MarkerSigner::Random => None,
        MarkerSigner::KeyFile(path) => Some(keys::read_marker_key(path)?),
    };
    let mut chain = RpcOptions::new(config.chain.url);
    chain.ws_url = config.chain.ws_url;
    chain.poll_interval = config.chain.poll_interval;
    chain.timeout = config.chain.request_timeout;
    let push_blocks = enclave.limits.stranger_blocks / 2;
    Ok(NodeOptions {
        name: config.name,
        chain: Arc::new(RpcChain::new(chain)?),
        enclave: EnclaveOptions {
            keys,
            listen: enclave.listen,
            advertised_url: enclave.advertised_url,
            peers: enclave.peers,
            storage: Storage::File(config.data_dir.join("payloads.redb")),
            definition: config.definition.clone(),
            limits: enclave.limits,
            timeouts: enclave.timeouts,
            discovery: enclave.discovery,
        },
        definition: config.definition,
        state_dir: Some(config.data_dir.join("state")),
        state: StateOptions { resident_bytes_max: config.state_resident_bytes_max },
        follower: FollowerOptions {
            first_block: config.chain.first_block,
            reorg_depth_max: config.chain.reorg_depth_max,
            ..FollowerOptions::default()
        },
        markers: MarkerOptions {
            key,
            gas_price_max: config.markers.gas_price_max.unwrap_or(u128::MAX),
        },
        service: ServiceOptions {
            receipt_wait: config.rpc.receipt_wait,
            logs_max: config.rpc.logs_max,
            push_blocks,
            filters_max: config.rpc.filters_max,
            filters_per_tenant_max: config.rpc.filters_per_tenant_max,
            ..ServiceOptions::default()
        },
        confirmations: config.chain.confirmations,
        compare_pause: config.compare_interval,
        rpc_listen: config.rpc.listen,
        rpc: config.rpc.options,
    })
}
