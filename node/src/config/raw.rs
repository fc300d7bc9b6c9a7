//! The configuration file as it is written: every key with its name in the file, nothing resolved.

use std::path::PathBuf;

use serde::Deserialize;

/// The whole file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConfig {
    /// The definition file that all members of the network share.
    pub(super) network: PathBuf,
    pub(super) node: RawNode,
    pub(super) chain: RawChain,
    #[serde(default)]
    pub(super) rpc: RawRpc,
    pub(super) enclave: RawEnclave,
    #[serde(default)]
    pub(super) markers: RawMarkers,
    #[serde(default)]
    pub(super) state: RawState,
    #[serde(default)]
    pub(super) log: RawLog,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawNode {
    pub(super) name: Option<String>,
    pub(super) data_dir: PathBuf,
    pub(super) compare_interval_ms: Option<u64>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawChain {
    pub(super) url: String,
    pub(super) ws_url: Option<String>,
    pub(super) poll_interval_ms: Option<u64>,
    pub(super) request_timeout_ms: Option<u64>,
    pub(super) first_block: Option<u64>,
    pub(super) reorg_depth_max: Option<u64>,
    pub(super) confirmations: Option<NumberOrText>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRpc {
    pub(super) host: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) cors_origins: Option<Vec<String>>,
    pub(super) host_allowlist: Option<Vec<String>>,
    pub(super) body_bytes_max: Option<usize>,
    pub(super) batch_calls_max: Option<usize>,
    pub(super) reply_bytes_max: Option<usize>,
    pub(super) request_timeout_ms: Option<u64>,
    pub(super) requests_max: Option<usize>,
    pub(super) operator_methods: Option<bool>,
    pub(super) receipt_wait_ms: Option<u64>,
    pub(super) logs_max: Option<usize>,
    pub(super) auth: Option<RawAuth>,
    pub(super) filters_max: Option<usize>,
    pub(super) filters_per_tenant_max: Option<usize>,
    #[serde(default)]
    pub(super) ws: RawWs,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAuth {
    pub(super) algorithm: Option<String>,
    pub(super) public_key_file: Option<PathBuf>,
    pub(super) secret_file: Option<PathBuf>,
    pub(super) jwks_file: Option<PathBuf>,
    pub(super) jwks_url: Option<String>,
    pub(super) credentials_file: Option<PathBuf>,
    pub(super) audiences: Option<Vec<String>>,
    pub(super) issuers: Option<Vec<String>>,
    pub(super) leeway_s: Option<u64>,
    pub(super) refresh_interval_ms: Option<u64>,
    pub(super) calls_per_s: Option<u32>,
    pub(super) requests_max: Option<usize>,
    pub(super) connections_max: Option<usize>,
    pub(super) subscriptions_max: Option<usize>,
    pub(super) login_attempts_per_user_per_min: Option<u32>,
    pub(super) login_attempts_per_min: Option<u32>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawWs {
    pub(super) connections_max: Option<usize>,
    pub(super) subscriptions_max: Option<usize>,
    pub(super) subscriptions_per_connection_max: Option<usize>,
    pub(super) messages_max: Option<usize>,
    pub(super) queue_bytes_max: Option<usize>,
    pub(super) patience_ms: Option<u64>,
    pub(super) ping_interval_ms: Option<u64>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawEnclave {
    pub(super) host: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) advertised_url: Option<String>,
    pub(super) keys: Vec<RawKey>,
    #[serde(default)]
    pub(super) peers: Vec<String>,
    pub(super) discovery: Option<bool>,
    #[serde(default)]
    pub(super) limits: RawEnclaveLimits,
    #[serde(default)]
    pub(super) timeouts: RawEnclaveTimeouts,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "{ file = \"…\" }")]
pub(super) struct RawKey {
    pub(super) file: PathBuf,
    pub(super) password_file: Option<PathBuf>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawEnclaveLimits {
    pub(super) payload_bytes_max: Option<usize>,
    pub(super) message_bytes_max: Option<usize>,
    pub(super) requests_max: Option<usize>,
    pub(super) connections_max: Option<usize>,
    pub(super) peers_max: Option<usize>,
    pub(super) stranger_payloads_max: Option<usize>,
    pub(super) stranger_bytes_max: Option<u64>,
    pub(super) stranger_rate_per_s: Option<u32>,
    pub(super) stranger_blocks: Option<u64>,
    pub(super) co_member_payloads_max: Option<usize>,
    pub(super) co_member_bytes_max: Option<u64>,
    pub(super) co_member_rate_per_s: Option<u32>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawEnclaveTimeouts {
    pub(super) connect_ms: Option<u64>,
    pub(super) request_ms: Option<u64>,
    pub(super) announce_interval_ms: Option<u64>,
    pub(super) challenge_ms: Option<u64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMarkers {
    pub(super) signing_key_file: Option<PathBuf>,
    pub(super) gas_price_max_wei: Option<NumberOrText>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawState {
    pub(super) resident_mib: Option<usize>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLog {
    pub(super) format: Option<String>,
    pub(super) filter: Option<String>,
}

/// The network's definition file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawDefinition {
    pub(super) name: String,
    pub(super) rules: Option<String>,
    pub(super) chain_id: u64,
    pub(super) private_gas_cap: Option<u64>,
    pub(super) public_reads_max: Option<u32>,
    pub(super) members_max: Option<u32>,
    pub(super) beneficiary: Option<String>,
    pub(super) management_code_hashes: Option<[String; 2]>,
    #[serde(default)]
    pub(super) genesis_accounts: Vec<RawGenesisAccount>,
    pub(super) forks: Option<Vec<RawFork>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawGenesisAccount {
    pub(super) address: String,
    #[serde(default)]
    pub(super) nonce: u64,
    pub(super) balance: Option<NumberOrText>,
    pub(super) code: Option<String>,
    #[serde(default)]
    pub(super) storage: std::collections::BTreeMap<String, NumberOrText>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFork {
    pub(super) name: String,
    pub(super) block: Option<u64>,
    pub(super) time: Option<u64>,
}

/// A number, which TOML limits to 63 bits, or text: decimal, or hex with `0x`.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum NumberOrText {
    Number(u64),
    Text(String),
}
