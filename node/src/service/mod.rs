//! The node's use cases: send, read, find, and what is done for other members. Every operation
//! takes the caller first, because access is decided here and only here.
//!
//! Speaks in the protocol's types: it knows neither JSON-RPC nor HTTP, and it never writes
//! private state (a sent transaction returns through the chain like everyone else's).

mod accounts;
mod compare;
mod confirmations;
mod error;
mod estimate;
mod filters;
mod following;
mod heal;
mod late;
mod limiter;
pub mod markers;
mod members;
pub mod messages;
mod offers;
mod outbox;
mod pulse;
mod read;
mod receipts;
mod send;
mod sight;
mod status;
mod trace;
mod transactions;
mod types;
mod unmined;
mod view;
mod watch;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use coterie_core::EnclaveKey;
use serde_json::value::RawValue;

pub use self::{
    compare::{Compare, Comparison, Divergence},
    confirmations::Confirmations,
    error::{HealError, MarkerRefused, ReadError, SendError, WatchError},
    estimate::GasEstimate,
    filters::FilterId,
    following::{Following, FollowingStopped, GroupEvent, Healing, TakeOver},
    late::LatePayloads,
    members::Members,
    offers::offer_histories,
    status::{GroupStatus, NodeCounts, NodeStatus},
    trace::TransactionTrace,
    transactions::{MarkedTransaction, PAGE_MAX, Place, TransactionPage, TransactionQuery},
    types::{
        CallOutcome, CallRequest, GroupInfo, LogFilter, LogRange, PrivateLog, PrivateReceipt,
        PrivateTransactionInfo, Reach, Readiness, Tenant,
    },
    view::View,
    watch::{News, Watcher},
};
use self::{
    filters::Filters,
    markers::{MarkerOptions, Markers},
    pulse::Pulse,
    unmined::Unmined,
    watch::LogCache,
};
use crate::chain::{ChainError, ChainSubscription};

/// Limits of the service.
#[derive(Clone, Copy, Debug)]
pub struct ServiceOptions {
    /// How long a receipt waits for its marker's block to be followed.
    pub receipt_wait: Duration,
    /// Logs in one answer, at most.
    pub logs_max: usize,
    /// Followed blocks after which a payload that is not mined is pushed again: half of what
    /// recipients keep a stranger's for.
    pub push_blocks: u64,
    /// Filters of all callers, at most.
    pub filters_max: usize,
    /// Filters of one caller, at most.
    pub filters_per_tenant_max: usize,
    /// How long the node of a giver whom an operator names is looked for.
    pub giver_wait: Duration,
}

impl Default for ServiceOptions {
    fn default() -> Self {
        Self {
            receipt_wait: Duration::from_secs(5),
            logs_max: 10_000,
            push_blocks: 500,
            filters_max: 8_192,
            filters_per_tenant_max: 1_024,
            giver_wait: Duration::from_secs(5),
        }
    }
}

/// The node's operations.
#[derive(Debug)]
pub struct Service {
    view: View,
    markers: Markers,
    options: ServiceOptions,
    pulse: Pulse,
    late: LatePayloads,
    comparison: Arc<Comparison>,
    unmined: Unmined,
    filters: Filters,
    logs: LogCache,
}

impl Service {
    /// Puts the service together.
    pub fn new(view: View, markers: MarkerOptions, options: ServiceOptions) -> Self {
        let (chain, followed) = (Arc::clone(&view.chain), view.following.followed.clone());
        let markers = Markers::new(chain, view.definition.chain_id, markers, followed);
        let pulse = Pulse::new(view.following.clone());
        let unmined = Unmined::new(options.push_blocks);
        let comparison = Arc::new(Comparison::new(view.clone()));
        Self {
            view,
            markers,
            options,
            pulse,
            late: LatePayloads::default(),
            comparison,
            unmined,
            filters: Filters::default(),
            logs: LogCache::default(),
        }
    }

    /// The caller of a node without authentication: its first enclave key.
    pub fn default_tenant(&self) -> Tenant {
        let key = self.view.enclave.keys().into_iter().next();
        // A node has at least one key: the enclave does not start without.
        Tenant::owner(key.unwrap_or(EnclaveKey::Nacl([0; 32])))
    }

    /// How far the node has followed the chain, for health checks. Never waits.
    ///
    /// Not ready unless [`Self::watch_follower`] runs.
    pub fn readiness(&self) -> Readiness {
        self.pulse.readiness(Instant::now())
    }

    /// Notes when the follower saw the chain, for [`Self::readiness`]; ends with the follower.
    pub async fn watch_follower(&self) {
        self.pulse.watch().await;
    }

    /// Looks after what was sent until it is mined; ends with the follower.
    pub async fn watch_sent(&self) {
        self.unmined.watch(&self.view, &self.markers).await;
    }

    /// The late payloads, to be told of each.
    pub const fn late_payloads(&self) -> &LatePayloads {
        &self.late
    }

    /// The comparison of state roots with other members, which somebody must run.
    pub const fn comparison(&self) -> &Arc<Comparison> {
        &self.comparison
    }

    /// Passes a request on to the public chain as it is. What is public may also be asked by a caller
    /// without an enclave key.
    pub async fn forward(
        &self,
        _tenant: Option<&Tenant>,
        method: &str,
        params: Option<&RawValue>,
    ) -> Result<Box<RawValue>, ChainError> {
        self.view.chain.request(method, params).await
    }

    /// Subscribes to something of the public chain, as it is.
    pub async fn subscribe_to_chain(
        &self,
        _tenant: Option<&Tenant>,
        params: Option<&RawValue>,
    ) -> Result<ChainSubscription, ChainError> {
        self.view.chain.subscribe(params).await
    }
}
