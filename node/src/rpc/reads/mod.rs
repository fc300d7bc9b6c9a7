//! The methods that read what Besu's did not tell: accounts, proofs, estimates, traces, lists of
//! transactions, and how the node and its groups are.
//!
//! Parameters, defaults and nulls are those of the `eth_` and `priv_` methods that they resemble.

mod parse;
mod results;

use alloy_primitives::{Address, B256, U64, U256};
use coterie_core::GroupId;
use jsonrpsee_types::ErrorObjectOwned;

pub use self::parse::{
    SLOTS_MAX, balance, block_transactions, estimate_gas, group_status, proof, status, storage_at,
    trace_transaction,
};
use super::{
    error::{self, Read},
    methods::call_result,
};
use crate::{
    chain::BlockId,
    executor::EstimateRequest,
    jsonrpc::{self, Answer},
    service::{GasEstimate, ReadError, Service, Tenant, TransactionQuery},
};

/// A request whose parameters were read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the service's operation of this name")]
pub enum Request {
    Balance { group: GroupId, address: Address, block: BlockId },
    StorageAt { group: GroupId, address: Address, slot: U256, block: BlockId },
    Proof { group: GroupId, address: Address, slots: Vec<U256>, block: BlockId },
    EstimateGas { group: GroupId, request: EstimateRequest, block: BlockId },
    TraceTransaction { group: GroupId, marker: B256 },
    BlockTransactions { group: GroupId, query: TransactionQuery },
    GroupStatus { group: GroupId },
    Status,
}

/// Does what was asked, in the name of `tenant`.
pub async fn execute(service: &Service, tenant: &Tenant, request: Request) -> Answer {
    match request {
        Request::Balance { group, address, block } => {
            let balance = service.balance(tenant, group, address, block).await;
            jsonrpc::result(&balance.map_err(failed(Read::Account))?)
        }
        Request::StorageAt { group, address, slot, block } => {
            let value = service.storage_at(tenant, group, (address, slot), block).await;
            jsonrpc::result(&value.map_err(failed(Read::Account))?.map(B256::from))
        }
        Request::Proof { group, address, slots, block } => {
            let proof = service.proof(tenant, group, (address, &slots), block).await;
            let proof = proof.map_err(failed(Read::Account))?;
            jsonrpc::result(&proof.map(|proof| results::Proof::new(address, proof)))
        }
        Request::EstimateGas { group, request, block } => {
            let estimate = service.estimate_gas(tenant, group, request, block).await;
            match estimate.map_err(failed(Read::EstimateGas))? {
                Some(GasEstimate::Gas(gas)) => jsonrpc::result(&U64::from(gas)),
                Some(GasEstimate::Failed(outcome)) => call_result(Some(outcome)),
                None => call_result(None),
            }
        }
        Request::TraceTransaction { group, marker } => {
            let trace = service.trace_transaction(tenant, group, marker).await;
            let trace = trace.map_err(failed(Read::Trace))?;
            jsonrpc::result(&trace.map(results::frames).unwrap_or_default())
        }
        Request::BlockTransactions { group, query } => {
            let page = service.block_transactions(tenant, group, query).await;
            let page = page.map_err(failed(Read::Transactions))?;
            jsonrpc::result(&results::Page::from(page))
        }
        Request::GroupStatus { group } => {
            let status = service.group_status(tenant, group).await;
            let status = status.map_err(failed(Read::GroupStatus))?;
            jsonrpc::result(&results::GroupStatus::from(status))
        }
        Request::Status => jsonrpc::result(&results::Status::from(service.status(tenant))),
    }
}

fn failed(what: Read) -> impl Fn(ReadError) -> ErrorObjectOwned {
    move |cause| error::read(what, &cause)
}
