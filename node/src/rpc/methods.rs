//! The methods: their names, how their parameters are read, what they do, how the outcome is
//! written. Reading is pure; only [`execute`] touches the service.
//!
//! Which methods there are: protocol specification, 7.1.

use alloy_primitives::{Address, B256, Bytes, U64};
use coterie_core::{EnclaveKey, GroupId, marker::FLEXIBLE_PRIVACY};
use jsonrpsee_types::ErrorObjectOwned;
use serde_json::value::RawValue;

use super::{
    error::{self, Read, Refusal},
    filters, objects, openrpc,
    params::{self, Parameter, Params},
    reads, results, subscriptions,
};
use crate::{
    chain::BlockId,
    jsonrpc::{self, Answer},
    service::{CallOutcome, CallRequest, LogFilter, ReadError, Service, Tenant},
};

/// A method of this node.
#[derive(Clone, Copy, Debug)]
pub struct Method {
    /// Its name on the wire.
    pub name: &'static str,
    /// Reads its parameters.
    pub parse: fn(&Params) -> Result<Request, Refusal>,
}

impl Method {
    /// Reads the `params` of a call.
    ///
    /// # Errors
    ///
    /// They are not what the method takes, or it is not enabled.
    pub fn read(&self, params: Option<&RawValue>) -> Result<Request, Refusal> {
        (self.parse)(&Params::new(params)?)
    }
}

/// All methods that this node answers itself.
pub const METHODS: &[Method] = &[
    Method { name: "coterie_groupStatus", parse: reads::group_status },
    Method { name: "coterie_heal", parse: heal },
    Method { name: "coterie_status", parse: reads::status },
    Method { name: "eea_sendRawTransaction", parse: send_raw_transaction },
    Method { name: "priv_call", parse: call },
    Method { name: "priv_createPrivacyGroup", parse: not_enabled },
    Method { name: "priv_debugGetStateRoot", parse: state_root },
    Method { name: "priv_deletePrivacyGroup", parse: not_enabled },
    Method { name: "priv_distributeRawTransaction", parse: distribute_raw_transaction },
    Method { name: "priv_estimateGas", parse: reads::estimate_gas },
    Method { name: "priv_findPrivacyGroup", parse: not_enabled },
    Method { name: "priv_getBalance", parse: reads::balance },
    Method { name: "priv_getBlockTransactions", parse: reads::block_transactions },
    Method { name: "priv_getCode", parse: code },
    Method { name: "priv_getEeaTransactionCount", parse: eea_transaction_count },
    Method { name: "priv_getFilterChanges", parse: filters::changes },
    Method { name: "priv_getFilterLogs", parse: filters::logs },
    Method { name: "priv_getLogs", parse: logs },
    Method { name: "priv_getPrivacyPrecompileAddress", parse: precompile_address },
    Method { name: "priv_getPrivateTransaction", parse: private_transaction },
    Method { name: "priv_getProof", parse: reads::proof },
    Method { name: "priv_getStorageAt", parse: reads::storage_at },
    Method { name: "priv_getTransaction", parse: private_transaction },
    Method { name: "priv_getTransactionCount", parse: transaction_count },
    Method { name: "priv_getTransactionReceipt", parse: receipt },
    Method { name: "priv_newFilter", parse: filters::create },
    Method { name: "priv_subscribe", parse: subscriptions::subscribe },
    Method { name: "priv_traceTransaction", parse: reads::trace_transaction },
    Method { name: "priv_uninstallFilter", parse: filters::uninstall },
    Method { name: "priv_unsubscribe", parse: subscriptions::unsubscribe },
    Method { name: "privx_findFlexiblePrivacyGroup", parse: find_groups },
    Method { name: "privx_findOnChainPrivacyGroup", parse: find_groups },
    Method { name: "privx_findOnchainPrivacyGroup", parse: find_groups },
    Method { name: "rpc.discover", parse: discover },
    Method { name: "rpc_discover", parse: discover },
];

/// Methods whose names start like this are never passed on to the chain.
const OWN_PREFIXES: [&str; 4] = ["eea_", "priv_", "privx_", "coterie_"];

/// Who answers a method.
#[derive(Clone, Copy, Debug)]
pub enum Route {
    /// This node.
    Own(&'static Method),
    /// Nobody: the name is one of ours, but there is no such method.
    Unknown,
    /// The chain.
    Forward,
}

/// Finds out who answers `method`.
pub fn route(method: &str) -> Route {
    match METHODS.binary_search_by(|it| it.name.cmp(method)) {
        Ok(index) => METHODS.get(index).map_or(Route::Unknown, Route::Own),
        Err(_) if OWN_PREFIXES.iter().any(|it| method.starts_with(it)) => Route::Unknown,
        Err(_) => Route::Forward,
    }
}

/// Whether a method of ours is answered over a WebSocket only: elsewhere nobody could be told.
pub fn needs_socket(method: &str) -> bool {
    matches!(method, "priv_subscribe" | "priv_unsubscribe")
}

/// A request whose parameters were read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the service's operation of this name")]
pub enum Request {
    SendRawTransaction {
        raw: Bytes,
    },
    DistributeRawTransaction {
        raw: Bytes,
        marker_signer: Option<Address>,
    },
    PrecompileAddress,
    TransactionCount {
        address: Address,
        group: GroupId,
    },
    EeaTransactionCount {
        address: Address,
        private_from: EnclaveKey,
        private_for: Vec<EnclaveKey>,
    },
    Call {
        group: GroupId,
        call: CallRequest,
        block: BlockId,
    },
    Code {
        group: GroupId,
        address: Address,
        block: BlockId,
    },
    StateRoot {
        group: GroupId,
        block: BlockId,
    },
    Receipt {
        marker: B256,
    },
    PrivateTransaction {
        marker: B256,
    },
    Logs {
        group: GroupId,
        filter: LogFilter,
    },
    /// `None`: a text among the keys is no key, so no group has it as a member.
    FindGroups {
        keys: Option<Vec<EnclaveKey>>,
    },
    Read(reads::Request),
    /// The description of this API.
    Discover,
    Filter(filters::Request),
    /// Over a WebSocket only.
    Subscription(subscriptions::Request),
    /// For operators only: see [`Self::is_for_operators`].
    Heal {
        group: GroupId,
        giver: Option<EnclaveKey>,
    },
}

impl Request {
    /// Whether only the operator of the node may ask this.
    pub const fn is_for_operators(&self) -> bool {
        match self {
            Self::Heal { .. } => true,
            Self::SendRawTransaction { .. }
            | Self::DistributeRawTransaction { .. }
            | Self::PrecompileAddress
            | Self::TransactionCount { .. }
            | Self::EeaTransactionCount { .. }
            | Self::Call { .. }
            | Self::Code { .. }
            | Self::StateRoot { .. }
            | Self::Receipt { .. }
            | Self::PrivateTransaction { .. }
            | Self::Logs { .. }
            | Self::FindGroups { .. }
            | Self::Read(_)
            | Self::Discover
            | Self::Filter(_)
            | Self::Subscription(_) => false,
        }
    }
}

impl From<reads::Request> for Request {
    fn from(it: reads::Request) -> Self {
        Self::Read(it)
    }
}

/// Does what was asked, in the name of `tenant`.
pub async fn execute(service: &Service, tenant: &Tenant, request: Request) -> Answer {
    match request {
        Request::SendRawTransaction { raw } => {
            let sent = service.send_raw_transaction(tenant, &raw).await;
            jsonrpc::result(&sent.map_err(|it| error::send(&it))?)
        }
        Request::DistributeRawTransaction { raw, marker_signer } => {
            let sent = service.distribute_raw_transaction(tenant, &raw, marker_signer).await;
            jsonrpc::result(&sent.map_err(|it| error::send(&it))?)
        }
        Request::PrecompileAddress => jsonrpc::result(&FLEXIBLE_PRIVACY),
        Request::TransactionCount { address, group } => {
            let count = service.transaction_count(tenant, address, group).await;
            jsonrpc::result(&U64::from(count.map_err(failed(Read::TransactionCount))?))
        }
        Request::EeaTransactionCount { address, private_from, private_for } => {
            let count =
                service.eea_transaction_count(tenant, address, &private_from, &private_for).await;
            jsonrpc::result(&U64::from(count.map_err(failed(Read::TransactionCount))?))
        }
        Request::Call { group, call, block } => {
            let outcome = service.call(tenant, group, call, block).await;
            call_result(outcome.map_err(failed(Read::Call))?)
        }
        Request::Code { group, address, block } => {
            let code = service.code(tenant, group, address, block).await;
            jsonrpc::result(&code.map_err(failed(Read::Code))?)
        }
        Request::StateRoot { group, block } => {
            let root = service.state_root(tenant, group, block).await;
            jsonrpc::result(&root.map_err(failed(state_root_at(block)))?)
        }
        Request::Receipt { marker } => {
            let receipt = service.receipt(tenant, marker).await;
            let receipt = receipt.map_err(failed(Read::Receipt))?;
            jsonrpc::result(&receipt.map(results::Receipt::from))
        }
        Request::PrivateTransaction { marker } => {
            let transaction = service.private_transaction(tenant, marker).await;
            let transaction = transaction.map_err(failed(Read::PrivateTransaction))?;
            jsonrpc::result(&transaction.map(results::Transaction::from))
        }
        Request::Logs { group, filter } => {
            let logs = service.logs(tenant, group, filter).await;
            let logs = logs.map_err(failed(Read::Logs))?.into_iter();
            jsonrpc::result(&logs.map(results::LogEntry::from).collect::<Vec<_>>())
        }
        Request::FindGroups { keys } => {
            let Some(keys) = keys else { return jsonrpc::result::<[(); 0]>(&[]) };
            let groups = service.find_groups(tenant, &keys).await;
            let groups = groups.map_err(failed(Read::FindGroups))?.into_iter();
            jsonrpc::result(&groups.map(results::Group::from).collect::<Vec<_>>())
        }
        Request::Read(request) => reads::execute(service, tenant, request).await,
        Request::Discover => jsonrpc::result(openrpc::document()),
        Request::Filter(request) => filters::execute(service, tenant, request).await,
        // A connection executes these itself.
        Request::Subscription(_) => Err(Refusal::MethodNotEnabled.into()),
        Request::Heal { group, giver } => {
            let asked = service.heal(tenant, group, giver).await;
            asked.map_err(|error| {
                tracing::warn!(%group, %error, "a history is not taken over again");
                error::heal(&error)
            })?;
            jsonrpc::result(&true)
        }
    }
}

/// What a state root at `block` is to the map of errors: an unknown number and an unknown tag are
/// different errors there.
pub const fn state_root_at(block: BlockId) -> Read {
    match block {
        BlockId::Finalized | BlockId::Safe => Read::StateRootAtTag,
        BlockId::Number(_) | BlockId::Hash(_) | BlockId::Latest => Read::StateRoot,
    }
}

/// How a call's outcome is answered. An unknown number is no error.
pub fn call_result(outcome: Option<CallOutcome>) -> Answer {
    match outcome {
        Some(CallOutcome::Returned(output)) => jsonrpc::result(&output),
        Some(CallOutcome::Reverted(output)) => Err(error::reverted(&output)),
        Some(CallOutcome::Halted) => Err(error::call_failed("HALTED")),
        Some(CallOutcome::TooManyPublicReads) => Err(error::call_failed("TOO_MANY_PUBLIC_READS")),
        None => jsonrpc::result(&()),
    }
}

fn failed(what: Read) -> impl Fn(ReadError) -> ErrorObjectOwned {
    move |cause| error::read(what, &cause)
}

fn not_enabled(_: &Params) -> Result<Request, Refusal> {
    Err(Refusal::MethodNotEnabled)
}

fn send_raw_transaction(params: &Params) -> Result<Request, Refusal> {
    Ok(Request::SendRawTransaction { raw: params.raw_transaction(0)? })
}

fn distribute_raw_transaction(params: &Params) -> Result<Request, Refusal> {
    // Ours: who will sign the marker (design, 2.3).
    let marker_signer = params.at(1).map(|_| params.address(1)).transpose()?;
    Ok(Request::DistributeRawTransaction { raw: params.raw_transaction(0)?, marker_signer })
}

fn discover(_: &Params) -> Result<Request, Refusal> {
    Ok(Request::Discover)
}

fn precompile_address(_: &Params) -> Result<Request, Refusal> {
    Ok(Request::PrecompileAddress)
}

fn transaction_count(params: &Params) -> Result<Request, Refusal> {
    params.exactly(2, "an address and a privacy group id are expected")?;
    let address = params.address(0)?;
    let group = params.group_text(1)?.parse().map_err(|_| Refusal::Count)?;
    Ok(Request::TransactionCount { address, group })
}

fn eea_transaction_count(params: &Params) -> Result<Request, Refusal> {
    params.exactly(3, "an address, privateFrom and a list privateFor are expected")?;
    let address = params.address(0)?;
    let key = "an enclave key is expected: base64";
    let private_from = params.text(1, Parameter::PrivateFrom, key)?;
    let list = "a list of enclave keys is expected: base64";
    let private_for = params.texts(2, Parameter::PrivateFor, list)?;
    let private_from = private_from.parse().map_err(|_| Refusal::PrivateFrom)?;
    let private_for = params::keys(&private_for).ok_or(Refusal::Count)?;
    Ok(Request::EeaTransactionCount { address, private_from, private_for })
}

fn call(params: &Params) -> Result<Request, Refusal> {
    let block = params.block(2)?;
    let call = objects::call(params.at(1))?;
    Ok(Request::Call { group: params::group(params.group_text(0)?)?, call, block })
}

fn code(params: &Params) -> Result<Request, Refusal> {
    let (block, group, address) = (params.block(2)?, params.group_text(0)?, params.address(1)?);
    Ok(Request::Code { group: params::group(group)?, address, block })
}

fn state_root(params: &Params) -> Result<Request, Refusal> {
    let block = params.block(1)?;
    Ok(Request::StateRoot { group: strict_group(params)?, block })
}

fn receipt(params: &Params) -> Result<Request, Refusal> {
    Ok(Request::Receipt { marker: params.transaction_hash(0)? })
}

fn private_transaction(params: &Params) -> Result<Request, Refusal> {
    Ok(Request::PrivateTransaction { marker: params.transaction_hash(0)? })
}

fn logs(params: &Params) -> Result<Request, Refusal> {
    let group = params.group_text(0)?;
    let filter = objects::filter(params.at(1))?;
    Ok(Request::Logs { group: params::group(group)?, filter })
}

fn heal(params: &Params) -> Result<Request, Refusal> {
    let group = strict_group(params)?;
    let expected = "the enclave key of a member is expected: base64";
    let giver = match params.at(1) {
        None => None,
        Some(_) => {
            let key = params.text(1, Parameter::PrivateFrom, expected)?.parse();
            Some(key.map_err(|_| Refusal::params(Parameter::PrivateFrom, expected))?)
        }
    };
    Ok(Request::Heal { group, giver })
}

/// The group id that is the first parameter, where text that is none is a wrong parameter.
pub(super) fn strict_group(params: &Params) -> Result<GroupId, Refusal> {
    let expected = "a privacy group id is expected: 32 bytes in base64";
    let group = params.group_text(0)?.parse();
    group.map_err(|_| Refusal::params(Parameter::Group, expected))
}

fn find_groups(params: &Params) -> Result<Request, Refusal> {
    let expected = "a list of enclave keys is expected: base64";
    let keys = params.texts(0, Parameter::Address, expected)?;
    Ok(Request::FindGroups { keys: params::keys(&keys) })
}
