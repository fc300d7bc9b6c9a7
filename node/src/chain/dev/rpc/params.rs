//! Positional parameters, read the way old and new clients write them: hex with or without prefix,
//! block numbers as JSON numbers, missing block parameters, extra trailing parameters.

use alloy_eips::{BlockId as RpcBlockId, BlockNumberOrTag};
use alloy_primitives::{B256, U64};
use jsonrpsee_types::ErrorObjectOwned;
use serde::de::DeserializeOwned;
use serde_json::{Value, value::RawValue};

use super::{
    super::{DevChain, block::MinedBlock, core::Core},
    server_error,
};
use crate::{chain::BlockId, jsonrpc::invalid_params};

/// The parameters of a call.
#[derive(Debug)]
pub(super) struct Params(Vec<Value>);

impl Params {
    /// Reads an array; nothing is an empty one.
    pub(super) fn parse(params: Option<&RawValue>) -> Result<Self, ErrorObjectOwned> {
        let Some(params) = params else { return Ok(Self(Vec::new())) };
        serde_json::from_str(params.get()).map(Self).map_err(|_| invalid_params("non-array args"))
    }

    /// A parameter that is there and not `null`.
    pub(super) fn value(&self, index: usize) -> Option<&Value> {
        self.0.get(index).filter(|it| !it.is_null())
    }

    /// A parameter that must be there.
    pub(super) fn required<T: DeserializeOwned>(
        &self,
        index: usize,
    ) -> Result<T, ErrorObjectOwned> {
        self.optional(index)?
            .ok_or_else(|| invalid_params(format!("missing value for required argument {index}")))
    }

    /// A parameter that may be left out.
    pub(super) fn optional<T: DeserializeOwned>(
        &self,
        index: usize,
    ) -> Result<Option<T>, ErrorObjectOwned> {
        let read = |value: &Value| {
            serde_json::from_value(value.clone())
                .map_err(|error| invalid_params(format!("invalid argument {index}: {error}")))
        };
        self.value(index).map(read).transpose()
    }

    /// A number, as hex or as a JSON number.
    pub(super) fn quantity(&self, index: usize) -> Result<u64, ErrorObjectOwned> {
        match self.value(index).and_then(Value::as_u64) {
            Some(number) => Ok(number),
            None => self.required::<U64>(index).map(|it| it.to()),
        }
    }

    /// Whether the parameter is the tag `pending`.
    pub(super) fn is_pending(&self, index: usize) -> bool {
        self.value(index).and_then(Value::as_str) == Some("pending")
    }

    /// A block by number, tag, hash or EIP-1898 object; the head when it is left out.
    pub(super) fn block_id(&self, index: usize) -> Result<BlockId, ErrorObjectOwned> {
        let Some(value) = self.value(index) else { return Ok(BlockId::Latest) };
        block_id(value)
            .map_err(|error| invalid_params(format!("invalid argument {index}: {error}")))
    }

    /// The block that the parameter names.
    pub(super) fn block<'a>(
        &self,
        index: usize,
        chain: &DevChain,
        core: &'a Core,
    ) -> Result<&'a MinedBlock, ErrorObjectOwned> {
        let block = chain.find(core, self.block_id(index)?);
        block.ok_or_else(|| server_error("header not found"))
    }
}

/// A block's name in JSON. There is no pending block: it is the head.
pub(super) fn block_id(value: &Value) -> Result<BlockId, serde_json::Error> {
    if let Some(number) = value.as_u64() {
        return Ok(BlockId::Number(number));
    }
    Ok(match serde_json::from_value(value.clone())? {
        RpcBlockId::Hash(hash) => BlockId::Hash(B256::from(hash)),
        RpcBlockId::Number(BlockNumberOrTag::Number(number)) => BlockId::Number(number),
        RpcBlockId::Number(BlockNumberOrTag::Earliest) => BlockId::Number(0),
        RpcBlockId::Number(BlockNumberOrTag::Latest | BlockNumberOrTag::Pending) => BlockId::Latest,
        RpcBlockId::Number(BlockNumberOrTag::Finalized) => BlockId::Finalized,
        RpcBlockId::Number(BlockNumberOrTag::Safe) => BlockId::Safe,
    })
}
