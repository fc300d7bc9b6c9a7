//! The configuration as it was understood, written like the file: for `coterie config check`.
//!
//! Shows where secrets are, never what they are; a URL loses everything that may be a credential.

use std::path::Path;

use serde::Serialize;
use url::Url;

use super::{Config, LogFormat, MarkerSigner};
use crate::{
    rpc::{
        Cors, Hosts,
        auth::options::{AuthOptions, Source},
    },
    service,
};

/// Renders `config` as TOML.
pub(super) fn render(config: &Config) -> String {
    let view = View {
        node: Node {
            name: &config.name,
            data_dir: &config.data_dir,
            compare_interval_ms: config.compare_interval.as_millis(),
        },
        network: network(config),
        chain: chain(config),
        rpc: rpc(config),
        enclave: enclave(config),
        markers: markers(config),
        state: State { resident_mib: config.state_resident_bytes_max >> 20 },
        log: Log {
            format: match config.log.format {
                LogFormat::Plain => "plain",
                LogFormat::Json => "json",
            },
            filter: &config.log.filter,
        },
    };
    // Maps with text keys and plain values: there is nothing that TOML cannot hold.
    toml::to_string(&view).unwrap_or_else(|error| format!("# {error}\n"))
}

/// Scheme, host and port: a path or query may hold an access token.
pub(super) fn redacted(url: &Url) -> String {
    let more = url.path() != "/"
        || url.query().is_some()
        || url.has_authority() && !url.username().is_empty();
    let origin = url.origin().ascii_serialization();
    if more { format!("{origin}/…") } else { origin }
}

#[derive(Serialize)]
struct View<'a> {
    node: Node<'a>,
    network: Network,
    chain: Chain,
    rpc: Rpc,
    enclave: Enclave<'a>,
    markers: Markers,
    state: State,
    log: Log<'a>,
}

#[derive(Serialize)]
struct Node<'a> {
    name: &'a str,
    data_dir: &'a Path,
    compare_interval_ms: u128,
}

#[derive(Serialize)]
struct Network {
    name: String,
    hash: String,
    rules: &'static str,
    chain_id: u64,
    private_gas_cap: u64,
    public_reads_max: u32,
    members_max: u32,
    genesis_accounts: usize,
    forks: Vec<String>,
}

#[derive(Serialize)]
struct Chain {
    url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ws_url: Option<String>,
    poll_interval_ms: u128,
    request_timeout_ms: u128,
    first_block: u64,
    reorg_depth_max: u64,
    confirmations: Confirmations,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Confirmations {
    Blocks(u64),
    Word(&'static str),
}

#[derive(Serialize)]
struct Rpc {
    listen: String,
    cors_origins: Vec<String>,
    host_allowlist: Vec<String>,
    body_bytes_max: usize,
    batch_calls_max: usize,
    reply_bytes_max: usize,
    request_timeout_ms: u128,
    requests_max: usize,
    operator_methods: bool,
    receipt_wait_ms: u128,
    logs_max: usize,
    filters_max: usize,
    filters_per_tenant_max: usize,
    ws: Ws,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth: Option<Auth>,
}

#[derive(Serialize)]
struct Auth {
    verified_with: String,
    algorithm: &'static str,
    audiences: Vec<String>,
    issuers: Vec<String>,
    leeway_s: u64,
    refresh_interval_ms: u128,
    calls_per_s: u32,
    requests_max: usize,
    connections_max: usize,
    subscriptions_max: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    login_attempts_per_user_per_min: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    login_attempts_per_min: Option<u32>,
}

#[derive(Serialize)]
struct Ws {
    connections_max: usize,
    subscriptions_max: usize,
    subscriptions_per_connection_max: usize,
    messages_max: usize,
    queue_bytes_max: usize,
    patience_ms: u128,
    ping_interval_ms: u128,
}

#[derive(Serialize)]
struct Enclave<'a> {
    listen: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    advertised_url: Option<String>,
    key_files: Vec<&'a Path>,
    peers: Vec<String>,
    discovery: bool,
    payload_bytes_max: usize,
}

#[derive(Serialize)]
struct Markers {
    signer: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    gas_price_max_wei: Option<String>,
}

#[derive(Serialize)]
struct State {
    resident_mib: usize,
}

#[derive(Serialize)]
struct Log<'a> {
    format: &'static str,
    filter: &'a str,
}

fn network(config: &Config) -> Network {
    let definition = &config.definition;
    let forks = definition.forks.iter().map(|(fork, activation)| match activation {
        coterie_core::definition::Activation::Block(block) => format!("{fork} at block {block}"),
        coterie_core::definition::Activation::Time(time) => format!("{fork} at time {time}"),
    });
    Network {
        name: definition.name.clone(),
        hash: definition.hash().to_string(),
        rules: definition.rules.name(),
        chain_id: definition.chain_id,
        private_gas_cap: definition.private_gas_cap,
        public_reads_max: definition.public_reads_max,
        members_max: definition.members_max,
        genesis_accounts: definition.genesis_accounts.len(),
        forks: forks.collect(),
    }
}

fn chain(config: &Config) -> Chain {
    let chain = &config.chain;
    Chain {
        url: redacted(&chain.url),
        ws_url: chain.ws_url.as_ref().map(redacted),
        poll_interval_ms: chain.poll_interval.as_millis(),
        request_timeout_ms: chain.request_timeout.as_millis(),
        first_block: chain.first_block,
        reorg_depth_max: chain.reorg_depth_max,
        confirmations: match chain.confirmations {
            service::Confirmations::Blocks(blocks) => Confirmations::Blocks(blocks),
            service::Confirmations::Finalized => Confirmations::Word("finalized"),
        },
    }
}

fn rpc(config: &Config) -> Rpc {
    let options = &config.rpc.options;
    Rpc {
        listen: config.rpc.listen.to_string(),
        cors_origins: match &options.cors {
            Cors::None => Vec::new(),
            Cors::Any => vec!["*".to_owned()],
            Cors::Origins(origins) => {
                origins.iter().map(|it| String::from_utf8_lossy(it.as_bytes()).into()).collect()
            }
        },
        host_allowlist: match &options.hosts {
            Hosts::Any => vec!["*".to_owned()],
            Hosts::Names(names) => names.clone(),
        },
        body_bytes_max: options.limits.body_bytes_max,
        batch_calls_max: options.limits.batch_calls_max,
        reply_bytes_max: options.limits.reply_bytes_max,
        request_timeout_ms: options.limits.time_max.as_millis(),
        requests_max: options.requests_max,
        operator_methods: options.operator_methods,
        receipt_wait_ms: config.rpc.receipt_wait.as_millis(),
        logs_max: config.rpc.logs_max,
        filters_max: config.rpc.filters_max,
        filters_per_tenant_max: config.rpc.filters_per_tenant_max,
        ws: Ws {
            connections_max: options.sockets.connections_max,
            subscriptions_max: options.sockets.subscriptions_max,
            subscriptions_per_connection_max: options.sockets.subscriptions_per_connection_max,
            messages_max: options.sockets.messages_max,
            queue_bytes_max: options.sockets.queue_bytes_max,
            patience_ms: options.sockets.patience.as_millis(),
            ping_interval_ms: options.sockets.ping_interval.as_millis(),
        },
        auth: auth(&options.auth),
    }
}

fn auth(options: &AuthOptions) -> Option<Auth> {
    let options = match options {
        AuthOptions::None => return None,
        AuthOptions::Tokens(options) => options,
    };
    let (verified_with, issues) = match &options.source {
        Source::PublicKeyFile(path) => (format!("the public key in {}", path.display()), false),
        Source::SecretFile(path) => (format!("the secret in {}", path.display()), false),
        Source::JwksFile(path) => (format!("the key set in {}", path.display()), false),
        Source::JwksUrl(url) => (format!("the key set at {}", redacted(url)), false),
        Source::CredentialsFile(path) => {
            (format!("a key of this node, for the users in {}", path.display()), true)
        }
    };
    Some(Auth {
        verified_with,
        algorithm: options.rules.algorithm.name(),
        audiences: options.rules.audiences.clone(),
        issuers: options.rules.issuers.clone(),
        leeway_s: options.rules.leeway_s,
        refresh_interval_ms: options.refresh_interval.as_millis(),
        calls_per_s: options.tenants.calls_per_s,
        requests_max: options.tenants.requests_max,
        connections_max: options.tenants.connections_max,
        subscriptions_max: options.tenants.subscriptions_max,
        login_attempts_per_user_per_min: issues.then_some(options.login.per_user_per_min),
        login_attempts_per_min: issues.then_some(options.login.per_min),
    })
}

fn enclave(config: &Config) -> Enclave<'_> {
    let enclave = &config.enclave;
    Enclave {
        listen: enclave.listen.to_string(),
        advertised_url: enclave.advertised_url.as_ref().map(redacted),
        key_files: enclave.keys.iter().map(|it| it.file.as_path()).collect(),
        peers: enclave.peers.iter().map(redacted).collect(),
        discovery: enclave.discovery,
        payload_bytes_max: enclave.limits.payload_bytes_max,
    }
}

fn markers(config: &Config) -> Markers {
    Markers {
        signer: match &config.markers.signer {
            MarkerSigner::Random => "a random key for every marker".to_owned(),
            MarkerSigner::KeyFile(path) => format!("the key in {}", path.display()),
        },
        gas_price_max_wei: config.markers.gas_price_max.map(|it| it.to_string()),
    }
}
