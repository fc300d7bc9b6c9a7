//! The transactions of one block for one group, in order.

use std::{collections::HashSet, sync::Arc};

use alloy_primitives::{Address, Bytes, Log, TxKind, U256};
use coterie_core::{
    GroupId,
    access::{self, Denied, GroupFacts},
    contract_address,
};
use revm::{
    context::{
        TxEnv,
        result::{EVMError, ExecutionResult, HaltReason},
    },
    precompile::{PrecompileSpecId, Precompiles},
    state::EvmState,
};

use super::{
    CallOutcome, CallRequest, Estimate, EstimateRequest, Fault, Prepared, Shared,
    environment::Environment,
    evm::PrivateEvm,
    facts::{self, Footprint, Judged, Remembered},
    overlay::Overlay,
    public::PublicReads,
    trace::{Recorder, Trace, TraceLimits},
    transaction,
    view::{View, ViewError},
};
use crate::{
    chain::Header,
    state::{EMPTY_ROOT, Reason, Snapshot, StateChanges},
};

/// The transactions of one block for one group. `Send`, so that the caller may wait for public
/// reads between calls. After a [`Fault::State`] it is of no more use.
#[derive(Debug)]
pub struct GroupExecution {
    shared: Arc<Shared>,
    group: GroupId,
    environment: Environment,
    overlay: Overlay,
    /// Whether the group exists: a transaction counted, in this block or before.
    exists: bool,
    /// Whether a transaction of this block counted.
    changed: bool,
    judged: Option<Arc<Judged>>,
    /// Records the frames of the next transaction.
    recorder: Option<Recorder>,
}

/// What became of one private transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Execution {
    /// Outcome.
    pub reason: Reason,
    /// Return data or the deployed code, of a success.
    pub output: Bytes,
    /// Revert data when it reverted.
    pub revert: Option<Bytes>,
    /// Logs of a success.
    pub logs: Vec<Log>,
    /// The created contract's address, also when the creation failed.
    pub contract: Option<Address>,
    /// The facts that it was judged by.
    pub before: Arc<GroupFacts>,
    /// The facts after it; the same as `before` unless it succeeded.
    pub after: Arc<GroupFacts>,
}

impl Execution {
    /// The same without effect, for this reason.
    #[must_use]
    pub fn without_effect(self, reason: Reason) -> Self {
        Self {
            reason,
            output: Bytes::new(),
            revert: None,
            logs: Vec::new(),
            contract: self.contract,
            after: Arc::clone(&self.before),
            before: self.before,
        }
    }
}

impl GroupExecution {
    pub(super) fn new(
        shared: Arc<Shared>,
        group: GroupId,
        start: Snapshot,
        header: &Header,
    ) -> Self {
        let exists = start.root() != EMPTY_ROOT;
        let environment = Environment::of(&shared.definition, header);
        let mut overlay = Overlay::new(start, Arc::clone(&shared.codes));
        if !exists {
            overlay.found(&shared.genesis.accounts);
        }
        Self {
            shared,
            group,
            environment,
            overlay,
            exists,
            changed: false,
            judged: None,
            recorder: None,
        }
    }

    /// Judges and executes one transaction on top of the ones before.
    ///
    /// # Errors
    ///
    /// [`Fault::Missing`] names a public read to be added to `reads` before the same call is made
    /// again; nothing has changed then.
    pub fn execute(
        &mut self,
        prepared: &Prepared,
        reads: &PublicReads,
    ) -> Result<Execution, Fault> {
        let judged = self.judge(reads)?;
        let facts = Arc::clone(&judged.facts);
        let (nonce, to) =
            (prepared.transaction.transaction.nonce, prepared.transaction.transaction.to);
        let contract = match (to, prepared.sender) {
            (TxKind::Create, Some(sender)) => Some(contract_address(sender, nonce, self.group)),
            (TxKind::Create, None) | (TxKind::Call(_), _) => None,
        };
        let without_effect = |reason| Execution {
            reason,
            output: Bytes::new(),
            revert: None,
            logs: Vec::new(),
            contract,
            before: Arc::clone(&facts),
            after: Arc::clone(&facts),
        };
        if let Some(reason) = self.denied(prepared, &judged) {
            return Ok(without_effect(reason));
        }
        let overlay = &mut self.overlay;
        let account_nonce =
            |sender| Ok(overlay.account(sender)?.map_or(0, |account| account.nonce));
        let sender = match transaction::validate::<Fault>(
            prepared,
            self.shared.definition.chain_id,
            account_nonce,
        )? {
            Ok(sender) => sender,
            Err(reason) => return Ok(without_effect(reason)),
        };
        let Ran { reason, output, revert, logs, state } =
            self.run(prepared, sender, contract, reads)?;
        let after = match reason == Reason::Executed {
            true => Arc::clone(&self.commit(state, &judged, reads)?.facts),
            false => Arc::clone(&facts),
        };
        Ok(Execution { reason, output, revert, logs, contract, before: facts, after })
    }

    /// [`Self::execute`], with the frames of the execution. There are none when the transaction
    /// was not executed.
    ///
    /// # Errors
    ///
    /// As for [`Self::execute`].
    pub fn trace(
        &mut self,
        prepared: &Prepared,
        reads: &PublicReads,
        limits: TraceLimits,
    ) -> Result<(Execution, Trace), Fault> {
        self.recorder = Some(Recorder::new(limits));
        let outcome = self.execute(prepared, reads);
        let trace = self.recorder.take().map_or(Some(Vec::new()), Recorder::finish);
        Ok((outcome?, trace))
    }

    /// The facts now, after the transactions so far.
    ///
    /// # Errors
    ///
    /// As for [`Self::execute`].
    pub fn facts(&mut self, reads: &PublicReads) -> Result<Arc<GroupFacts>, Fault> {
        Ok(Arc::clone(&self.judge(reads)?.facts))
    }

    /// What executing a transaction would come to. Nothing changes.
    ///
    /// # Errors
    ///
    /// As for [`Self::execute`].
    pub fn attempt(
        &mut self,
        prepared: &Prepared,
        reads: &PublicReads,
    ) -> Result<Execution, Fault> {
        let (overlay, judged) = (self.overlay.clone(), self.judged.clone());
        let (exists, changed) = (self.exists, self.changed);
        let outcome = self.execute(prepared, reads);
        (self.overlay, self.judged) = (overlay, judged);
        (self.exists, self.changed) = (exists, changed);
        outcome
    }

    /// The nonce that the next transaction of `sender` must have.
    ///
    /// # Errors
    ///
    /// When the store fails or is corrupt.
    pub fn nonce(&mut self, sender: Address) -> Result<u64, Fault> {
        Ok(self.overlay.account(sender)?.map_or(0, |account| account.nonce))
    }

    /// All that changed, to be applied to the start snapshot; empty when nothing counted (a group
    /// whose creation failed does not exist).
    pub fn finish(self) -> StateChanges {
        if self.changed { self.overlay.finish() } else { StateChanges::default() }
    }

    fn denied(&self, prepared: &Prepared, judged: &Judged) -> Option<Reason> {
        if judged.broken {
            return Some(Reason::Version);
        }
        let rules = self.shared.definition.rules;
        match access::check_execution(rules, &judged.facts, &prepared.transaction, prepared.version)
        {
            Ok(()) => None,
            Err(Denied::NotLocked | Denied::Locked) => Some(Reason::Locked),
            Err(Denied::Version) => Some(Reason::Version),
            Err(Denied::NotAMember) => Some(Reason::NotAMember),
            // A rule of a newer core: closed.
            Err(_) => Some(Reason::NotAMember),
        }
    }

    fn run(
        &mut self,
        prepared: &Prepared,
        sender: Address,
        contract: Option<Address>,
        reads: &PublicReads,
    ) -> Result<Ran, Fault> {
        let transaction = &prepared.transaction.transaction;
        let env = TxEnv {
            caller: sender,
            kind: transaction.to,
            data: transaction.input.clone(),
            gas_limit: self.shared.definition.private_gas_cap,
            gas_price: 0,
            nonce: transaction.nonce,
            ..TxEnv::default()
        };
        let mut view = view(&self.shared, &self.environment, &mut self.overlay, reads, None);
        view.recorder = self.recorder.take();
        let mut evm = PrivateEvm::new(view, &self.environment, self.shared.definition.chain_id);
        let ran = Ran::of(evm.run(env, transaction.gas_price, contract));
        self.recorder = evm.view().recorder.take();
        ran
    }

    /// Takes over what a successful transaction did. When that concerns the facts they are read
    /// again first, and if that needs a public read nothing is taken over.
    fn commit(
        &mut self,
        state: EvmState,
        judged: &Arc<Judged>,
        reads: &PublicReads,
    ) -> Result<Arc<Judged>, Fault> {
        if self.exists && !judged.footprint.meets(&state) {
            self.overlay.commit(state)?;
            self.changed = true;
            return Ok(Arc::clone(judged));
        }
        let undo = self.overlay.before(&state);
        self.overlay.commit(state)?;
        match judge(&self.shared, &self.environment, &mut self.overlay, reads) {
            Ok(after) => {
                let after = Arc::new(after);
                (self.exists, self.changed) = (true, true);
                self.judged = Some(Arc::clone(&after));
                Ok(after)
            }
            Err(fault) => {
                self.overlay.undo(undo);
                Err(fault)
            }
        }
    }

    fn judge(&mut self, reads: &PublicReads) -> Result<Arc<Judged>, Fault> {
        if let Some(judged) = &self.judged {
            return Ok(Arc::clone(judged));
        }
        // Nothing changed yet: every change leaves the facts after it.
        let judged = if self.exists {
            self.judge_start(reads)?
        } else {
            Arc::new(Judged::before_creation())
        };
        self.judged = Some(Arc::clone(&judged));
        Ok(judged)
    }

    /// The facts of an existing group at the begin of the block: mostly those of its last block.
    fn judge_start(&mut self, reads: &PublicReads) -> Result<Arc<Judged>, Fault> {
        let fork = self.environment.fork;
        if let Some(known) = self.shared.remembered.get(&self.group)
            && known.holds(fork, &mut self.overlay)?
        {
            return Ok(Arc::clone(&known.judged));
        }
        let judged = judge(&self.shared, &self.environment, &mut self.overlay, reads)?;
        let judged = Arc::new(judged);
        if let Some(known) = Remembered::new(fork, &judged, &mut self.overlay)? {
            self.shared.remembered.insert(self.group, Arc::new(known));
        }
        Ok(judged)
    }
}

/// Reads the facts of an existing group.
pub(super) fn judge(
    shared: &Shared,
    environment: &Environment,
    overlay: &mut Overlay,
    reads: &PublicReads,
) -> Result<Judged, Fault> {
    let environment = Environment::of_checks(&shared.definition, environment.fork);
    let mut footprint = Footprint::default();
    let view = view(shared, &environment, overlay, reads, Some(&mut footprint));
    let mut evm = PrivateEvm::new(view, &environment, shared.definition.chain_id);
    let (facts, broken) = facts::evaluate(&mut evm, shared.definition.private_gas_cap)?;
    drop(evm);
    Ok(Judged { facts: Arc::new(facts), broken, footprint })
}

/// Executes a call and forgets what it changed.
pub(super) fn call(
    shared: &Shared,
    snapshot: &Snapshot,
    header: &Header,
    request: &CallRequest,
    reads: &PublicReads,
) -> Result<CallOutcome, Fault> {
    let mut overlay = Overlay::new(snapshot.clone(), Arc::clone(&shared.codes));
    let env = TxEnv {
        caller: request.from,
        kind: TxKind::Call(request.to),
        value: request.value,
        data: request.input.clone(),
        gas_limit: request.gas_max.min(shared.definition.private_gas_cap),
        gas_price: 0,
        ..TxEnv::default()
    };
    Ok(attempt(shared, &mut overlay, header, (env, request.gas_price, None), reads)?.0)
}

/// What a transaction would use.
pub(super) fn estimate(
    shared: &Shared,
    group: GroupId,
    snapshot: &Snapshot,
    header: &Header,
    request: &EstimateRequest,
    reads: &PublicReads,
) -> Result<Estimate, Fault> {
    let mut overlay = Overlay::new(snapshot.clone(), Arc::clone(&shared.codes));
    if snapshot.root() == EMPTY_ROOT {
        overlay.found(&shared.genesis.accounts);
    }
    let nonce = overlay.account(request.from)?.map_or(0, |account| account.nonce);
    let created = match request.to {
        TxKind::Create => Some(contract_address(request.from, nonce, group)),
        TxKind::Call(_) => None,
    };
    let env = TxEnv {
        caller: request.from,
        kind: request.to,
        data: request.input.clone(),
        gas_limit: shared.definition.private_gas_cap,
        gas_price: 0,
        nonce,
        ..TxEnv::default()
    };
    let (outcome, gas) =
        attempt(shared, &mut overlay, header, (env, request.gas_price, created), reads)?;
    Ok(Estimate { outcome, gas })
}

/// Runs a transaction without the checks of one, and forgets what it changed; with the gas that it
/// used.
fn attempt(
    shared: &Shared,
    overlay: &mut Overlay,
    header: &Header,
    (transaction, gas_price, created): (TxEnv, U256, Option<Address>),
    reads: &PublicReads,
) -> Result<(CallOutcome, u64), Fault> {
    let environment = Environment::of(&shared.definition, header);
    let view = view(shared, &environment, overlay, reads, None);
    let mut evm = PrivateEvm::new(view, &environment, shared.definition.chain_id);
    let result = evm.run(transaction, gas_price, created);
    let gas = result.as_ref().map_or(0, |(result, _)| result.gas().total_gas_spent());
    let ran = Ran::of(result)?;
    let outcome = match (ran.reason, ran.revert) {
        (Reason::Executed, _) => CallOutcome::Success(ran.output),
        (_, Some(data)) => CallOutcome::Revert(data),
        (reason, None) => CallOutcome::Halt(reason),
    };
    Ok((outcome, gas))
}

fn view<'a>(
    shared: &Shared,
    environment: &Environment,
    overlay: &'a mut Overlay,
    public: &'a PublicReads,
    footprint: Option<&'a mut Footprint>,
) -> View<'a> {
    View {
        overlay,
        public,
        precompiles: Precompiles::new(PrecompileSpecId::from_spec_id(environment.spec())),
        parent: environment.parent,
        public_reads_max: usize::try_from(shared.definition.public_reads_max).unwrap_or(usize::MAX),
        sender: Address::ZERO,
        gas_price: U256::ZERO,
        read: HashSet::default(),
        footprint,
        recorder: None,
    }
}

/// How a transaction ended, in the protocol's words.
struct Ran {
    reason: Reason,
    output: Bytes,
    revert: Option<Bytes>,
    logs: Vec<Log>,
    /// What it changed, of a success.
    state: EvmState,
}

impl Ran {
    fn failed(reason: Reason) -> Self {
        Self {
            reason,
            output: Bytes::new(),
            revert: None,
            logs: Vec::new(),
            state: EvmState::default(),
        }
    }

    fn of(result: Result<(ExecutionResult, EvmState), EVMError<ViewError>>) -> Result<Self, Fault> {
        match result {
            Ok((ExecutionResult::Success { output, logs, .. }, state)) => Ok(Self {
                reason: Reason::Executed,
                output: output.into_data(),
                revert: None,
                logs,
                state,
            }),
            Ok((ExecutionResult::Revert { output, .. }, _)) => {
                Ok(Self { revert: Some(output), ..Self::failed(Reason::Reverted) })
            }
            Ok((ExecutionResult::Halt { reason: HaltReason::OutOfGas(_), .. }, _)) => {
                Ok(Self::failed(Reason::OutOfGas))
            }
            Ok((ExecutionResult::Halt { .. }, _)) => Ok(Self::failed(Reason::Reverted)),
            Err(EVMError::Database(ViewError::Missing(read))) => Err(Fault::Missing(read)),
            Err(EVMError::Database(ViewError::State(error))) => Err(Fault::State(error)),
            Err(EVMError::Database(ViewError::TooManyReads)) => {
                Ok(Self::failed(Reason::TooManyPublicReads))
            }
            // Checks of revm that do not apply here, or a fault of it: the same for every member.
            Err(_) => Ok(Self::failed(Reason::Reverted)),
        }
    }
}
