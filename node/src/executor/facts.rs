//! What the group checks judge by: whether a group is locked, its version, members and owner, asked
//! of its management contracts by simulated calls (protocol specification, 6.4; design, 2).

use std::{collections::HashSet, sync::Arc};

use alloy_primitives::{Address, B256, Bytes, TxKind, U256, map::AddressSet};
use alloy_sol_types::SolCall;
use coterie_core::{
    access::GroupFacts,
    definition::Fork,
    management::{self, MANAGEMENT_PROXY, ManagementCall, abi::IGroup},
};
use revm::{
    context::{TxEnv, result::EVMError},
    state::EvmState,
};

use super::{Fault, evm::PrivateEvm, overlay::Overlay, view::ViewError};
use crate::state::{Account, StateError};

/// Facts with what they were read from.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) facts: Arc<GroupFacts>,
    /// A contract does not answer as it should: nothing runs any more. Only an owner who replaces
    /// the contracts by ones that break later can do this to a group.
    pub(super) broken: bool,
    pub(super) footprint: Footprint,
}

/// The facts of a group at the begin of some block. They hold wherever the accounts that they were
/// read from are the same: an account's storage root stands for all of its slots.
#[derive(Debug)]
pub(super) struct Remembered {
    fork: Fork,
    accounts: Vec<(Address, Option<Account>)>,
    pub(super) judged: Arc<Judged>,
}

impl Remembered {
    /// Of facts read from a state in which nothing changed yet; `None` when they depend on public
    /// state.
    pub(super) fn new(
        fork: Fork,
        judged: &Arc<Judged>,
        overlay: &mut Overlay,
    ) -> Result<Option<Self>, StateError> {
        if judged.footprint.public {
            return Ok(None);
        }
        let accounts = judged.footprint.accounts.iter();
        let accounts = accounts.map(|address| Ok((*address, overlay.base(*address)?)));
        let accounts = accounts.collect::<Result<_, StateError>>()?;
        Ok(Some(Self { fork, accounts, judged: Arc::clone(judged) }))
    }

    /// Whether they hold in this state, in which nothing changed yet.
    pub(super) fn holds(&self, fork: Fork, overlay: &mut Overlay) -> Result<bool, StateError> {
        for (address, account) in &self.accounts {
            if overlay.base(*address)? != *account {
                return Ok(false);
            }
        }
        Ok(self.fork == fork)
    }
}

/// What was read of the state.
#[derive(Debug, Default)]
pub(super) struct Footprint {
    pub(super) accounts: AddressSet,
    pub(super) slots: HashSet<(Address, U256), alloy_primitives::map::DefaultHashBuilder>,
    /// Whether anything public was.
    pub(super) public: bool,
}

impl Footprint {
    /// Whether committing `state` could change what was read.
    pub(super) fn meets(&self, state: &EvmState) -> bool {
        state.iter().any(|(address, account)| {
            account.is_touched()
                && account.info.account_id.is_none()
                && self.accounts.contains(address)
                && (account.info != account.original_info()
                    || account.is_created()
                    || account.is_selfdestructed()
                    || account
                        .changed_storage_slots()
                        .any(|(slot, _)| self.slots.contains(&(*address, *slot))))
        })
    }
}

impl Judged {
    /// Of a group that does not exist yet.
    pub(super) fn before_creation() -> Self {
        Self {
            facts: Arc::new(GroupFacts::before_creation()),
            broken: false,
            footprint: Footprint::default(),
        }
    }
}

/// Asks the contracts. `evm` must have the environment of the checks and collect no footprint yet;
/// the footprint is filled by the caller's view.
pub(super) fn evaluate(evm: &mut PrivateEvm<'_>, gas: u64) -> Result<(GroupFacts, bool), Fault> {
    let mut ask = |call: ManagementCall| answer(evm, call, gas);
    let executes = ask(ManagementCall::CanExecute)?
        .and_then(|output| IGroup::canExecuteCall::abi_decode_returns(&output).ok());
    let version = ask(ManagementCall::Version)?
        .and_then(|output| IGroup::getVersionCall::abi_decode_returns(&output).ok());
    let members =
        ask(ManagementCall::Members)?.and_then(|output| management::decode_members(&output).ok());
    let owner = ask(ManagementCall::Owner)?
        .and_then(|output| IGroup::ownerCall::abi_decode_returns(&output).ok());
    let owner = match owner {
        Some(owner) => private_contract(evm, owner)?,
        None => None,
    };
    let (Some(executes), Some(version), Some(members)) = (executes, version, members) else {
        return Ok((
            GroupFacts { locked: true, version: B256::ZERO, members: Vec::new(), owner: None },
            true,
        ));
    };
    let version = management::group_version(version, &members);
    Ok((GroupFacts { locked: !executes, version, members, owner }, false))
}

/// The output of a call from the zero address; `None` when it fails.
fn answer(
    evm: &mut PrivateEvm<'_>,
    call: ManagementCall,
    gas: u64,
) -> Result<Option<Bytes>, Fault> {
    let transaction = TxEnv {
        caller: Address::ZERO,
        kind: TxKind::Call(MANAGEMENT_PROXY),
        data: call.encode().into(),
        gas_limit: gas,
        gas_price: 0,
        ..TxEnv::default()
    };
    match evm.run(transaction, U256::ZERO, None) {
        Ok((result, _)) if result.is_success() => Ok(result.into_output()),
        Ok(_) => Ok(None),
        Err(error) => failed(error).map(|()| None),
    }
}

/// `owner` if it is a contract in private state.
fn private_contract(evm: &mut PrivateEvm<'_>, owner: Address) -> Result<Option<Address>, Fault> {
    use revm::Database;
    let view = evm.view();
    // As if it were the sender: only private state is asked.
    view.sender = owner;
    match view.basic(owner) {
        Ok(info) => Ok(info.filter(|info| !info.is_empty_code_hash()).map(|_| owner)),
        Err(error) => failed(EVMError::Database(error)).map(|()| None),
    }
}

/// A failure that the protocol knows is `Ok`: the call has no answer.
fn failed(error: EVMError<ViewError>) -> Result<(), Fault> {
    let EVMError::Database(error) = error else { return Ok(()) };
    match error {
        ViewError::Missing(read) => Err(Fault::Missing(read)),
        ViewError::State(error) => Err(Fault::State(error)),
        ViewError::TooManyReads => Ok(()),
    }
}
