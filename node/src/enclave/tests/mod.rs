//! Tests of the enclave as a whole: against recorded exchanges, on disk, and over HTTP.

mod members;
mod peer_port;
mod store;
mod tessera;
mod two_openings;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use alloy_primitives::{Address, B256, Bytes};
use coterie_core::{EnclaveKey, GroupId, NetworkDefinition};

use super::{
    Distribution, EmbeddedEnclave, Enclave as _, EnclaveLimits, EnclaveOptions, EnclaveTimeouts,
    Storage, keys::KeyPair,
};
use crate::chain::BlockRef;

const GROUP: GroupId = GroupId(B256::repeat_byte(7));
const SIGNER: Address = Address::repeat_byte(9);
/// How long anything may take that is waited for.
const DEADLINE: Duration = Duration::from_secs(60);

fn definition() -> NetworkDefinition {
    NetworkDefinition::coterie("test", 1337, [B256::repeat_byte(1), B256::repeat_byte(2)])
}

fn block(number: u64, branch: u8) -> BlockRef {
    let mut hash = [branch; 32];
    hash[..8].copy_from_slice(&number.to_be_bytes());
    BlockRef { number, hash: B256::new(hash) }
}

/// An enclave on a free port that knows `peers`; found payloads are kept in memory.
fn options(keys: Vec<KeyPair>, peers: &[SocketAddr]) -> EnclaveOptions {
    EnclaveOptions {
        keys,
        listen: ([127, 0, 0, 1], 0).into(),
        advertised_url: None,
        peers: peers.iter().map(|peer| format!("http://{peer}").parse().unwrap()).collect(),
        storage: Storage::Memory,
        definition: definition(),
        limits: EnclaveLimits::default(),
        timeouts: EnclaveTimeouts {
            request: Duration::from_secs(20),
            ..EnclaveTimeouts::default()
        },
        discovery: true,
    }
}

async fn start(peers: &[SocketAddr]) -> Arc<EmbeddedEnclave> {
    let keys = vec![KeyPair::generate().unwrap()];
    Arc::new(EmbeddedEnclave::start(options(keys, peers)).await.unwrap())
}

fn key_of(enclave: &EmbeddedEnclave) -> EnclaveKey {
    enclave.keys().remove(0)
}

fn distribution(from: &EnclaveKey, to: &[&EnclaveKey], text: &'static str) -> Distribution {
    Distribution {
        from: from.clone(),
        to: to.iter().copied().cloned().collect(),
        text: Bytes::from_static(text.as_bytes()),
        marker_signer: SIGNER,
        group: GROUP,
    }
}

/// Polls until `done`, not for ever.
#[track_caller]
fn until(what: &str, done: impl Fn() -> bool) -> impl Future<Output = ()> {
    let what = what.to_owned();
    async move {
        let deadline = tokio::time::Instant::now() + DEADLINE;
        while !done() {
            assert!(tokio::time::Instant::now() < deadline, "not in time: {what}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Waits until all know each other's keys.
async fn acquainted(enclaves: &[&Arc<EmbeddedEnclave>]) {
    for enclave in enclaves {
        for other in enclaves.iter().filter(|other| !Arc::ptr_eq(other, enclave)) {
            let key = key_of(other);
            until("they know each other", || enclave.known_keys().contains(&key)).await;
        }
    }
}

impl EmbeddedEnclave {
    fn vault_envelope(&self, key: coterie_core::PayloadKey) -> super::codec::Envelope {
        self.vault().envelope(key).unwrap().unwrap()
    }

    fn holds_payload(&self, key: coterie_core::PayloadKey) -> bool {
        self.vault().receive(key).unwrap().is_some()
    }
}
