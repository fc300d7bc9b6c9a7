//! What an embedded enclave is started with.
//!
//! Values only: reading them from a file is the configuration's work.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use coterie_core::NetworkDefinition;
use url::Url;

use super::keys::KeyPair;

/// What an embedded enclave is started with.
#[derive(Clone, Debug)]
pub struct EnclaveOptions {
    /// Our keys, the default first; at least one.
    pub keys: Vec<KeyPair>,
    /// Where the peer port listens; port 0 for any.
    pub listen: SocketAddr,
    /// The address that peers are told; `None`: `http://` and the listening address.
    pub advertised_url: Option<Url>,
    /// Peers from configuration, tried for ever.
    pub peers: Vec<Url>,
    /// Where payloads are kept.
    pub storage: Storage,
    /// What changes results; compared with every peer's.
    pub definition: NetworkDefinition,
    /// Limits on what peers can do.
    pub limits: EnclaveLimits,
    /// How long things may take.
    pub timeouts: EnclaveTimeouts,
    /// Whether addresses that peers name are contacted too.
    pub discovery: bool,
}

/// Where payloads are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// In this file, which is created with its directory when missing.
    File(PathBuf),
    /// In memory: lost at the end; for tests and simulations.
    Memory,
}

/// Limits on what peers can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnclaveLimits {
    /// Largest text of a payload that is sent or stored, in bytes.
    pub payload_bytes_max: usize,
    /// Largest body of a member message or its answer, in bytes.
    pub message_bytes_max: usize,
    /// Requests of peers that are worked on at a time.
    pub requests_max: usize,
    /// Connections of peers that are open at a time.
    pub connections_max: usize,
    /// Peer addresses that are remembered, besides the configured ones.
    pub peers_max: usize,
    /// Payloads kept, without their marker having been seen, of keys that share no group with ours.
    pub stranger_payloads_max: usize,
    /// Bytes of these.
    pub stranger_bytes_max: u64,
    /// Payloads that one such key may push in a second, on average.
    pub stranger_rate_per_s: u32,
    /// After how many blocks such a payload is dropped when its marker was not seen.
    pub stranger_blocks: u64,
    /// Payloads kept, without their marker having been seen, of one key that shares a group with
    /// ours. Then those as old as a stranger's may become are dropped, and others refused.
    pub co_member_payloads_max: usize,
    /// Bytes of these.
    pub co_member_bytes_max: u64,
    /// Payloads that one such key may push in a second, on average.
    pub co_member_rate_per_s: u32,
}

impl Default for EnclaveLimits {
    fn default() -> Self {
        Self {
            payload_bytes_max: 1024 * 1024,
            message_bytes_max: 4 * 1024 * 1024,
            requests_max: 256,
            connections_max: 1024,
            peers_max: 1024,
            stranger_payloads_max: 10_000,
            stranger_bytes_max: 256 * 1024 * 1024,
            stranger_rate_per_s: 200,
            stranger_blocks: 1000,
            // At a thousand a second, what is sent in a hundred seconds.
            co_member_payloads_max: 100_000,
            co_member_bytes_max: 512 * 1024 * 1024,
            co_member_rate_per_s: 5000,
        }
    }
}

/// How long things may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnclaveTimeouts {
    /// Connecting to a peer.
    pub connect: Duration,
    /// A whole request to a peer.
    pub request: Duration,
    /// Between two announcements to a peer.
    pub announce_interval: Duration,
    /// How long a challenge of ours can be answered.
    pub challenge: Duration,
}

impl Storage {
    /// Whether nothing is stored there yet.
    pub fn is_new(&self) -> bool {
        match self {
            Self::Memory => true,
            Self::File(path) => !path.exists(),
        }
    }
}

impl Default for EnclaveTimeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_millis(2000),
            request: Duration::from_millis(10_000),
            announce_interval: Duration::from_millis(5000),
            challenge: Duration::from_millis(30_000),
        }
    }
}
