//! Executes private transactions: pure, over revm. See the design, 2 to 2.5, and the protocol
//! specification, 6.
//!
//! Public state is an argument ([`PublicReads`]); what is not there comes back as
//! [`Fault::Missing`], a value: the caller fetches it and calls again. Nothing here does I/O of its
//! own, waits, or knows the time, and nothing depends on the order of a map: all members come to
//! the same result. Which payloads count, in which order, is decided elsewhere.

mod code;
mod environment;
mod evm;
mod facts;
mod group;
mod overlay;
mod public;
#[cfg(test)]
mod tests;
mod trace;
mod transaction;
mod view;

use std::sync::Arc;

use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use coterie_core::{
    GroupId, NetworkDefinition, contracts,
    definition::{Fork, GenesisAccount},
};
use quick_cache::sync::Cache;

pub use coterie_core::access::GroupFacts;

use self::{code::CodeCache, environment::Environment, facts::Remembered, overlay::Overlay};
pub use self::{
    environment::UnsupportedDefinition,
    group::{Execution, GroupExecution},
    public::{PublicReads, Source},
    trace::{CallKind, Trace, TraceAction, TraceEnd, TraceFailure, TraceFrame, TraceLimits},
    transaction::{Prepared, recover_sender},
};
use crate::{
    chain::{Header, PublicRead},
    state::{EMPTY_ROOT, Reason, Snapshot, StateError},
};

/// Executes private transactions of one network. Immutable except for caches; cheap to clone.
#[derive(Clone, Debug)]
pub struct Executor {
    shared: Arc<Shared>,
}

/// What all executions share.
#[derive(Debug)]
struct Shared {
    definition: Arc<NetworkDefinition>,
    genesis: Genesis,
    codes: Arc<CodeCache>,
    /// Facts by state root and fork, of groups whose facts depend on nothing else.
    facts: Cache<(B256, Fork), Arc<GroupFacts>>,
    /// Facts of groups at the begin of the block that was executed last.
    remembered: Cache<GroupId, Arc<Remembered>>,
}

/// How many groups' facts are kept.
const FACTS_MAX: usize = 10_000;

/// The accounts that every group's private state starts with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Genesis {
    /// The management contracts and the definition's accounts.
    pub accounts: Vec<GenesisAccount>,
}

impl Genesis {
    /// Our management contracts, and the accounts of the definition.
    pub fn of(definition: &NetworkDefinition) -> Self {
        let management = contracts::management_genesis(definition.hash(), definition.members_max);
        Self {
            accounts: management
                .into_iter()
                .chain(definition.genesis_accounts.iter().cloned())
                .collect(),
        }
    }
}

/// Why an execution has no outcome (yet).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// This public read is needed: fetch it and call again. Nothing was changed.
    #[error("public state is needed: {0:?}")]
    Missing(PublicRead),
    /// Private state failed.
    #[error(transparent)]
    State(#[from] StateError),
}

/// A call that is executed and forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallRequest {
    /// Sender; the zero address by default. It acts as a private account.
    pub from: Address,
    /// Whom to call.
    pub to: Address,
    /// What GASPRICE answers.
    pub gas_price: U256,
    /// Private wei to transfer.
    pub value: U256,
    /// Call data.
    pub input: Bytes,
    /// Gas, at most the definition's private gas cap.
    pub gas_max: u64,
}

/// What a call answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallOutcome {
    /// Returned this.
    Success(Bytes),
    /// Reverted with this.
    Revert(Bytes),
    /// Failed otherwise: `OutOfGas`, `TooManyPublicReads`, or `Reverted` for every other halt.
    Halt(Reason),
}

/// A transaction whose gas somebody wants to know. Its value is zero and its nonce the next one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EstimateRequest {
    /// Sender.
    pub from: Address,
    /// Whom it calls, or that it creates a contract.
    pub to: TxKind,
    /// What GASPRICE answers.
    pub gas_price: U256,
    /// Call data, or creation code.
    pub input: Bytes,
}

/// What a transaction would come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// How it would end.
    pub outcome: CallOutcome,
    /// Private gas that it would use, before refunds.
    pub gas: u64,
}

impl Executor {
    /// For groups of the network that `definition` describes.
    ///
    /// # Errors
    ///
    /// When this version does not execute as the definition says.
    pub fn new(
        definition: Arc<NetworkDefinition>,
        genesis: Genesis,
    ) -> Result<Self, UnsupportedDefinition> {
        environment::check(&definition)?;
        let codes = Arc::new(CodeCache::new());
        Ok(Self {
            shared: Arc::new(Shared {
                definition,
                genesis,
                codes,
                facts: Cache::new(FACTS_MAX),
                remembered: Cache::new(FACTS_MAX),
            }),
        })
    }

    /// The definition.
    pub fn definition(&self) -> &NetworkDefinition {
        &self.shared.definition
    }

    /// Begins block `header` for a group, from its state after the block before. Public reads are
    /// those of the parent block's end.
    pub fn begin(&self, group: GroupId, start: Snapshot, header: &Header) -> GroupExecution {
        GroupExecution::new(Arc::clone(&self.shared), group, start, header)
    }

    /// The group checks' facts in a state. Of `header` only the hard fork matters.
    ///
    /// # Errors
    ///
    /// [`Fault::Missing`] when public state is needed, which only replaced management contracts do.
    pub fn facts(
        &self,
        snapshot: &Snapshot,
        header: &Header,
        reads: &PublicReads,
    ) -> Result<Arc<GroupFacts>, Fault> {
        let root = snapshot.root();
        if root == EMPTY_ROOT {
            return Ok(Arc::new(GroupFacts::before_creation()));
        }
        let environment = Environment::of(&self.shared.definition, header);
        let key = (root, environment.fork);
        if let Some(facts) = self.shared.facts.get(&key) {
            return Ok(facts);
        }
        let mut overlay = Overlay::new(snapshot.clone(), Arc::clone(&self.shared.codes));
        let judged = group::judge(&self.shared, &environment, &mut overlay, reads)?;
        if !judged.footprint.public {
            self.shared.facts.insert(key, Arc::clone(&judged.facts));
        }
        Ok(judged.facts)
    }

    /// Executes a call on a state and forgets what it changed. `header` is the block's after which
    /// the state is, and `reads` are those of that block's end.
    ///
    /// # Errors
    ///
    /// [`Fault::Missing`] names a public read to be added to `reads` before the same call is made
    /// again.
    pub fn call(
        &self,
        snapshot: &Snapshot,
        header: &Header,
        request: &CallRequest,
        reads: &PublicReads,
    ) -> Result<CallOutcome, Fault> {
        group::call(&self.shared, snapshot, header, request, reads)
    }

    /// What a transaction would use on a state, which may be that before a group's creation; what
    /// it changed is forgotten. The group's checks are not made.
    ///
    /// # Errors
    ///
    /// As for [`Self::call`].
    pub fn estimate(
        &self,
        group: GroupId,
        snapshot: &Snapshot,
        header: &Header,
        request: &EstimateRequest,
        reads: &PublicReads,
    ) -> Result<Estimate, Fault> {
        group::estimate(&self.shared, group, snapshot, header, request, reads)
    }
}
