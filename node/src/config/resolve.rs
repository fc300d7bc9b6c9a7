//! From what was written to what is meant: defaults, paths, addresses, combinations.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use axum::http::HeaderValue;
use coterie_core::NetworkDefinition;
use url::{Host, Url};

use super::{
    ChainConfig, Config, ConfigError, EnclaveConfig, KeyFile, LogConfig, LogFormat, MarkerConfig,
    MarkerSigner, RpcConfig, amount, beside,
    raw::{
        NumberOrText, RawChain, RawConfig, RawEnclave, RawEnclaveLimits, RawEnclaveTimeouts,
        RawLog, RawMarkers, RawRpc, RawWs,
    },
};
use crate::{
    enclave::options::{EnclaveLimits, EnclaveTimeouts},
    jsonrpc::{Limits, socket::SocketLimits},
    rpc::{self, Cors, Hosts, auth::options::AuthOptions},
    service::{Confirmations, ServiceOptions},
};

const RPC_PORT: u16 = 8545;
const ENCLAVE_PORT: u16 = 9001;
const REORG_DEPTH_MAX: u64 = 256;
const RECEIPT_WAIT: Duration = Duration::from_secs(5);
const LOGS_MAX: usize = 10_000;
const COMPARE_INTERVAL: Duration = Duration::from_secs(10);
const RESIDENT_MIB: usize = 256;

/// Gives `raw`, which was read from `path`, its meaning.
pub(super) fn resolve(
    path: &Path,
    raw: RawConfig,
    definition: NetworkDefinition,
) -> Result<Config, ConfigError> {
    let at = Place { path };
    let resident_mib = raw.state.resident_mib.unwrap_or(RESIDENT_MIB);
    let state_resident_bytes_max = resident_mib.checked_mul(1 << 20).ok_or_else(|| {
        at.wrong("state.resident_mib", resident_mib.to_string(), "a number of MiB")
    })?;
    Ok(Config {
        name: raw.node.name.unwrap_or_else(|| "coterie".to_owned()),
        data_dir: beside(path, &raw.node.data_dir),
        definition,
        chain: chain(at, &raw.chain)?,
        rpc: rpc(at, &raw.rpc)?,
        enclave: enclave(at, &raw.enclave)?,
        markers: markers(at, &raw.markers)?,
        compare_interval: at.millis(
            "node.compare_interval_ms",
            raw.node.compare_interval_ms,
            COMPARE_INTERVAL,
        )?,
        state_resident_bytes_max,
        log: log(at, raw.log)?,
    })
}

/// The file that values come from, for errors.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) path: &'a Path,
}

impl Place<'_> {
    pub(super) fn wrong(
        self,
        key: &str,
        found: impl Into<String>,
        expected: &'static str,
    ) -> ConfigError {
        let (path, key) = (self.path.to_owned(), key.to_owned());
        ConfigError::Value { path, key, found: found.into(), expected }
    }

    pub(super) fn rule(self, rule: &'static str) -> ConfigError {
        ConfigError::Rule { path: self.path.to_owned(), rule }
    }

    pub(super) fn url(self, key: &str, text: &str) -> Result<Url, ConfigError> {
        let url = Url::parse(text).ok().filter(|it| matches!(it.scheme(), "http" | "https"));
        // The text may carry a password.
        url.ok_or_else(|| {
            self.wrong(key, redacted(text), "a URL that starts with http:// or https://")
        })
    }

    fn ws_url(self, key: &str, text: &str) -> Result<Url, ConfigError> {
        let url = Url::parse(text).ok().filter(|it| matches!(it.scheme(), "ws" | "wss"));
        // The text may carry a password.
        url.ok_or_else(|| self.wrong(key, redacted(text), "a URL that starts with ws:// or wss://"))
    }

    fn address(
        self,
        section: &str,
        host: Option<&str>,
        port: u16,
    ) -> Result<SocketAddr, ConfigError> {
        let host: IpAddr = match host {
            None | Some("localhost") => Ipv4Addr::LOCALHOST.into(),
            Some(host) => host.parse().map_err(|_| {
                self.wrong(&format!("{section}.host"), host, "an IP address to listen on")
            })?,
        };
        Ok((host, port).into())
    }

    /// A duration that is not zero.
    pub(super) fn millis(
        self,
        key: &str,
        value: Option<u64>,
        default: Duration,
    ) -> Result<Duration, ConfigError> {
        match value {
            None => Ok(default),
            Some(0) => Err(self.wrong(key, "0", "a number of milliseconds above 0")),
            Some(it) => Ok(Duration::from_millis(it)),
        }
    }

    /// A limit that is not zero.
    pub(super) fn limit(
        self,
        key: &str,
        value: Option<usize>,
        default: usize,
    ) -> Result<usize, ConfigError> {
        match value {
            None => Ok(default),
            Some(0) => Err(self.wrong(key, "0", "a limit above 0")),
            Some(it) => Ok(it),
        }
    }

    fn wei(self, key: &str, value: Option<&NumberOrText>) -> Result<Option<u128>, ConfigError> {
        let Some(value) = value else { return Ok(None) };
        let wei = amount(value).and_then(|it| u128::try_from(it).ok());
        wei.map(Some).ok_or_else(|| {
            self.wrong(key, value.text(), "an amount in wei: a number, or text in decimal or hex")
        })
    }
}

/// When an addition is old enough: a number of blocks, or the word `finalized`.
fn confirmations(
    at: Place<'_>,
    value: Option<&NumberOrText>,
) -> Result<Confirmations, ConfigError> {
    match value {
        None => Ok(Confirmations::Blocks(0)),
        Some(NumberOrText::Number(blocks)) => Ok(Confirmations::Blocks(*blocks)),
        Some(NumberOrText::Text(word)) if word == "finalized" => Ok(Confirmations::Finalized),
        Some(NumberOrText::Text(word)) => {
            Err(at.wrong("chain.confirmations", word, "a number of blocks, or \"finalized\""))
        }
    }
}

fn chain(at: Place<'_>, raw: &RawChain) -> Result<ChainConfig, ConfigError> {
    let second = Duration::from_secs(1);
    Ok(ChainConfig {
        url: at.url("chain.url", &raw.url)?,
        ws_url: raw.ws_url.as_deref().map(|it| at.ws_url("chain.ws_url", it)).transpose()?,
        poll_interval: at.millis("chain.poll_interval_ms", raw.poll_interval_ms, second)?,
        request_timeout: at.millis(
            "chain.request_timeout_ms",
            raw.request_timeout_ms,
            second * 20,
        )?,
        first_block: raw.first_block.unwrap_or(0),
        reorg_depth_max: raw.reorg_depth_max.unwrap_or(REORG_DEPTH_MAX),
        confirmations: confirmations(at, raw.confirmations.as_ref())?,
    })
}

fn rpc(at: Place<'_>, raw: &RawRpc) -> Result<RpcConfig, ConfigError> {
    let default = rpc::Options::default();
    let limits = Limits {
        body_bytes_max: at.limit(
            "rpc.body_bytes_max",
            raw.body_bytes_max,
            default.limits.body_bytes_max,
        )?,
        batch_calls_max: at.limit(
            "rpc.batch_calls_max",
            raw.batch_calls_max,
            default.limits.batch_calls_max,
        )?,
        reply_bytes_max: at.limit(
            "rpc.reply_bytes_max",
            raw.reply_bytes_max,
            default.limits.reply_bytes_max,
        )?,
        time_max: at.millis(
            "rpc.request_timeout_ms",
            raw.request_timeout_ms,
            default.limits.time_max,
        )?,
        ..default.limits
    };
    let requests_max = at.limit("rpc.requests_max", raw.requests_max, default.requests_max)?;
    let listen = at.address("rpc", raw.host.as_deref(), raw.port.unwrap_or(RPC_PORT))?;
    // Whoever reaches a port of this machine only is an operator, unless a proxy stands there.
    let operator_methods = raw.operator_methods.unwrap_or_else(|| listen.ip().is_loopback());
    let auth = super::auth::resolve(at, raw.auth.as_ref())?;
    let hosts = match &raw.host_allowlist {
        Some(names) => hosts(at, names)?,
        // Where there is no other barrier.
        None if listen.ip().is_loopback() && auth == AuthOptions::None => Hosts::Names(Vec::new()),
        None => Hosts::Any,
    };
    let options = rpc::Options {
        limits,
        requests_max,
        sockets: sockets(at, &raw.ws)?,
        cors: cors(at, raw)?,
        hosts,
        operator_methods,
        auth,
    };
    let receipt_wait = raw.receipt_wait_ms.map_or(RECEIPT_WAIT, Duration::from_millis);
    let logs_max = at.limit("rpc.logs_max", raw.logs_max, LOGS_MAX)?;
    let default = ServiceOptions::default();
    Ok(RpcConfig {
        listen,
        options,
        receipt_wait,
        logs_max,
        filters_max: at.limit("rpc.filters_max", raw.filters_max, default.filters_max)?,
        filters_per_tenant_max: at.limit(
            "rpc.filters_per_tenant_max",
            raw.filters_per_tenant_max,
            default.filters_per_tenant_max,
        )?,
    })
}

fn sockets(at: Place<'_>, raw: &RawWs) -> Result<SocketLimits, ConfigError> {
    let default = SocketLimits::default();
    let limit = |key: &str, value, default| at.limit(&format!("rpc.ws.{key}"), value, default);
    let millis = |key: &str, value, default| at.millis(&format!("rpc.ws.{key}"), value, default);
    Ok(SocketLimits {
        connections_max: limit("connections_max", raw.connections_max, default.connections_max)?,
        subscriptions_max: limit(
            "subscriptions_max",
            raw.subscriptions_max,
            default.subscriptions_max,
        )?,
        subscriptions_per_connection_max: limit(
            "subscriptions_per_connection_max",
            raw.subscriptions_per_connection_max,
            default.subscriptions_per_connection_max,
        )?,
        messages_max: limit("messages_max", raw.messages_max, default.messages_max)?,
        queue_bytes_max: limit("queue_bytes_max", raw.queue_bytes_max, default.queue_bytes_max)?,
        patience: millis("patience_ms", raw.patience_ms, default.patience)?,
        ping_interval: millis("ping_interval_ms", raw.ping_interval_ms, default.ping_interval)?,
    })
}

fn hosts(at: Place<'_>, names: &[String]) -> Result<Hosts, ConfigError> {
    if let [any] = names
        && any == "*"
    {
        return Ok(Hosts::Any);
    }
    let is_name = |it: &&String| Host::parse(it).is_ok() && !it.contains('*');
    if let Some(wrong) = names.iter().find(|it| !is_name(it)) {
        let expected = "a host's name without port, or the list is [\"*\"]";
        return Err(at.wrong("rpc.host_allowlist", wrong, expected));
    }
    Ok(Hosts::Names(names.iter().map(|it| it.to_ascii_lowercase()).collect()))
}

fn cors(at: Place<'_>, raw: &RawRpc) -> Result<Cors, ConfigError> {
    let origins = raw.cors_origins.as_deref().unwrap_or_default();
    match origins {
        [] => Ok(Cors::None),
        [any] if any == "*" => Ok(Cors::Any),
        origins => {
            let origin = |text: &String| {
                let expected = "an origin like https://app.example, or \"*\" alone";
                let valid = Url::parse(text).is_ok_and(|it| {
                    it.origin().is_tuple() && it.origin().ascii_serialization() == *text
                });
                HeaderValue::from_str(text)
                    .ok()
                    .filter(|_| valid)
                    .ok_or_else(|| at.wrong("rpc.cors_origins", text, expected))
            };
            Ok(Cors::Origins(origins.iter().map(origin).collect::<Result<_, _>>()?))
        }
    }
}

fn enclave(at: Place<'_>, raw: &RawEnclave) -> Result<EnclaveConfig, ConfigError> {
    if raw.keys.is_empty() {
        return Err(
            at.rule("enclave.keys needs at least one key: `coterie keys generate` makes one")
        );
    }
    let keys = raw.keys.iter().map(|key| KeyFile {
        file: beside(at.path, &key.file),
        password_file: key.password_file.as_deref().map(|it| beside(at.path, it)),
    });
    let peers = raw.peers.iter().map(|it| at.url("enclave.peers", it));
    let advertised = raw.advertised_url.as_deref();
    Ok(EnclaveConfig {
        listen: at.address("enclave", raw.host.as_deref(), raw.port.unwrap_or(ENCLAVE_PORT))?,
        advertised_url: advertised.map(|it| at.url("enclave.advertised_url", it)).transpose()?,
        keys: keys.collect(),
        peers: peers.collect::<Result<_, _>>()?,
        discovery: raw.discovery.unwrap_or(true),
        limits: enclave_limits(at, &raw.limits)?,
        timeouts: enclave_timeouts(at, &raw.timeouts)?,
    })
}

fn enclave_limits(at: Place<'_>, raw: &RawEnclaveLimits) -> Result<EnclaveLimits, ConfigError> {
    let default = EnclaveLimits::default();
    let limit =
        |key: &str, value, default| at.limit(&format!("enclave.limits.{key}"), value, default);
    Ok(EnclaveLimits {
        payload_bytes_max: limit(
            "payload_bytes_max",
            raw.payload_bytes_max,
            default.payload_bytes_max,
        )?,
        message_bytes_max: limit(
            "message_bytes_max",
            raw.message_bytes_max,
            default.message_bytes_max,
        )?,
        requests_max: limit("requests_max", raw.requests_max, default.requests_max)?,
        connections_max: limit("connections_max", raw.connections_max, default.connections_max)?,
        peers_max: limit("peers_max", raw.peers_max, default.peers_max)?,
        // Zero refuses strangers.
        stranger_payloads_max: raw.stranger_payloads_max.unwrap_or(default.stranger_payloads_max),
        stranger_bytes_max: raw.stranger_bytes_max.unwrap_or(default.stranger_bytes_max),
        stranger_rate_per_s: raw.stranger_rate_per_s.unwrap_or(default.stranger_rate_per_s),
        stranger_blocks: raw.stranger_blocks.unwrap_or(default.stranger_blocks),
        co_member_payloads_max: limit(
            "co_member_payloads_max",
            raw.co_member_payloads_max,
            default.co_member_payloads_max,
        )?,
        co_member_bytes_max: raw.co_member_bytes_max.unwrap_or(default.co_member_bytes_max),
        co_member_rate_per_s: raw.co_member_rate_per_s.unwrap_or(default.co_member_rate_per_s),
    })
}

fn enclave_timeouts(
    at: Place<'_>,
    raw: &RawEnclaveTimeouts,
) -> Result<EnclaveTimeouts, ConfigError> {
    let default = EnclaveTimeouts::default();
    let millis =
        |key: &str, value, default| at.millis(&format!("enclave.timeouts.{key}"), value, default);
    Ok(EnclaveTimeouts {
        connect: millis("connect_ms", raw.connect_ms, default.connect)?,
        request: millis("request_ms", raw.request_ms, default.request)?,
        announce_interval: millis(
            "announce_interval_ms",
            raw.announce_interval_ms,
            default.announce_interval,
        )?,
        challenge: millis("challenge_ms", raw.challenge_ms, default.challenge)?,
    })
}

fn markers(at: Place<'_>, raw: &RawMarkers) -> Result<MarkerConfig, ConfigError> {
    let gas_price_max = at.wei("markers.gas_price_max_wei", raw.gas_price_max_wei.as_ref())?;
    let signer = match &raw.signing_key_file {
        None => MarkerSigner::Random,
        Some(file) => MarkerSigner::KeyFile(beside(at.path, file)),
    };
    Ok(MarkerConfig { signer, gas_price_max })
}

fn log(at: Place<'_>, raw: RawLog) -> Result<LogConfig, ConfigError> {
    let format = match raw.format.as_deref() {
        None | Some("plain") => LogFormat::Plain,
        Some("json") => LogFormat::Json,
        Some(other) => return Err(at.wrong("log.format", other, "\"plain\" or \"json\"")),
    };
    let filter = raw.filter.unwrap_or_else(|| "info".to_owned());
    if tracing_subscriber::EnvFilter::try_new(&filter).is_err() {
        let expected = "a filter like \"info\" or \"info,coterie_node::enclave=debug\"";
        return Err(at.wrong("log.filter", filter, expected));
    }
    Ok(LogConfig { format, filter })
}

/// The text of a URL that does not parse, without what may be a password.
fn redacted(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((_, host)) => format!("…@{host}"),
        None => text.to_owned(),
    }
}
