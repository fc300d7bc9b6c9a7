//! The public chain over JSON-RPC: any Ethereum client, also behind load balancers that answer with
//! lagging replicas, rate limits and fields left out.
//!
//! It polls; it has one endpoint, and one for the subscriptions of clients. What it fetches by hash is checked to be what
//! was asked for; beyond that the endpoint is trusted, as a node's own client is. Methods:
//! <https://ethereum.github.io/execution-apis>.

mod socket;
#[cfg(test)]
mod tests;
mod transport;
mod wire;

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use alloy_primitives::{Address, B256, U64, U256, hex, keccak256};
use async_trait::async_trait;
use serde_json::{Value, json, value::RawValue};
use url::Url;

use self::{
    socket::Subscriptions,
    transport::{Call, RpcError, Transport, TransportError},
    wire::{WireHeader, WireTransaction},
};
use super::{
    Block, BlockId, BlockRef, Chain, ChainError, ChainSubscription, MinedTransaction,
    PublicAccount, PublicRead, PublicValue,
};

/// How many parents are walked to answer BLOCKHASH on a branch: as far as BLOCKHASH reaches.
const ANCESTORS_MAX: u64 = 256;

/// The method that submits.
const SUBMIT: &str = "eth_sendRawTransaction";

/// How a chain is reached.
#[derive(Clone)]
pub struct RpcOptions {
    /// Endpoint; user and password in it become basic authentication.
    pub url: Url,
    /// Endpoint for subscriptions, a WebSocket; `None`: there are none.
    pub ws_url: Option<Url>,
    /// Time for one HTTP request.
    pub timeout: Duration,
    /// Time between looks at the head.
    pub poll_interval: Duration,
    /// Bytes in an answer.
    pub response_bytes_max: usize,
    /// Calls in a batch.
    pub batch_calls_max: usize,
    /// How often a request is sent again when the endpoint says that it is busy.
    pub retries_max: u32,
    /// The longest wait before sending again, whatever the endpoint asks for.
    pub retry_wait_max: Duration,
}

impl RpcOptions {
    /// The defaults for an endpoint.
    pub fn new(url: Url) -> Self {
        Self {
            url,
            ws_url: None,
            timeout: Duration::from_secs(20),
            poll_interval: Duration::from_millis(500),
            response_bytes_max: 64 << 20,
            batch_calls_max: 50,
            retries_max: 4,
            retry_wait_max: Duration::from_secs(5),
        }
    }
}

impl std::fmt::Debug for RpcOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The URL may hold credentials, also in its path and query.
        f.debug_struct("RpcOptions")
            .field("endpoint", &transport::endpoint(&self.url))
            .field("timeout", &self.timeout)
            .field("poll_interval", &self.poll_interval)
            .finish_non_exhaustive()
    }
}

/// A chain behind a JSON-RPC endpoint.
#[derive(Debug)]
pub struct RpcChain {
    transport: Transport,
    subscriptions: Option<Subscriptions>,
    poll_interval: Duration,
    /// The endpoint knows no `{"blockHash":…}` parameters (EIP-1898).
    numbers_only: AtomicBool,
}

impl RpcChain {
    /// A client; connects when it is first used.
    ///
    /// # Errors
    ///
    /// The HTTP client cannot be made (no TLS roots, a URL that is not HTTP).
    pub fn new(options: RpcOptions) -> Result<Self, ChainError> {
        let poll_interval = options.poll_interval;
        let subscriptions = options.ws_url.clone().map(|url| {
            let (timeout, message_bytes_max) = (options.timeout, options.response_bytes_max);
            Subscriptions::new(socket::Options { url, timeout, message_bytes_max })
        });
        let transport = Transport::new(options)?;
        let numbers_only = AtomicBool::new(false);
        Ok(Self { transport, subscriptions, poll_interval, numbers_only })
    }

    async fn call<T: serde::de::DeserializeOwned>(
        &self,
        method: &'static str,
        params: Value,
    ) -> Result<T, ChainError> {
        let call = Call { method, params };
        let answer = self.transport.call(&call).await.map_err(|error| self.chain_error(error))?;
        serde_json::from_str(answer.get()).map_err(|error| self.garbage(method, &error))
    }

    fn chain_error(&self, error: TransportError) -> ChainError {
        match error {
            TransportError::Unavailable(reason) => self.unavailable(reason),
            TransportError::Rpc(RpcError { code, message, data }) => {
                ChainError::Refused { code, message, data }
            }
        }
    }

    fn unavailable(&self, reason: impl Into<String>) -> ChainError {
        ChainError::Unavailable {
            endpoint: self.transport.endpoint().to_owned(),
            reason: reason.into(),
        }
    }

    fn garbage(&self, method: &str, error: &dyn std::fmt::Display) -> ChainError {
        self.unavailable(format!("unexpected answer to {method}: {error}"))
    }

    /// A block as JSON text; `None` for `null`, and for a tag that the chain does not have.
    async fn block_text(
        &self,
        id: BlockId,
        full: bool,
    ) -> Result<Option<Box<RawValue>>, ChainError> {
        let (method, name) = block_params(id);
        let call = Call { method, params: json!([name, full]) };
        match self.transport.call(&call).await {
            Ok(text) if text.get() == "null" => Ok(None),
            Ok(text) => Ok(Some(text)),
            Err(TransportError::Rpc(_)) if matches!(id, BlockId::Finalized | BlockId::Safe) => {
                Ok(None)
            }
            Err(TransportError::Rpc(error)) if wire::is_unknown_block(&error.message) => Ok(None),
            Err(error) => Err(self.chain_error(error)),
        }
    }

    /// A header that is the one asked for.
    async fn header(&self, id: BlockId) -> Result<Option<WireHeader>, ChainError> {
        let Some(text) = self.block_text(id, false).await? else { return Ok(None) };
        let header: WireHeader =
            serde_json::from_str(text.get()).map_err(|error| self.garbage("block", &error))?;
        header.check(id).map_err(|error| self.garbage("block", &error))?;
        Ok(Some(header))
    }

    async fn required_header(&self, hash: B256) -> Result<WireHeader, ChainError> {
        let header = self.header(BlockId::Hash(hash)).await?;
        header.ok_or_else(|| self.unavailable(format!("block {hash} is not known there")))
    }

    /// The answers to calls at block `at`, by hash where the endpoint can.
    async fn calls_at(
        &self,
        at: B256,
        calls: &[StateCall],
    ) -> Result<Vec<Box<RawValue>>, ChainError> {
        if !self.numbers_only.load(Ordering::Relaxed) {
            match self.batch_at(at, calls, &json!({ "blockHash": at })).await {
                Err(ChainError::Refused { code: -32602, message, .. }) => {
                    tracing::info!(%message, "the endpoint takes no block hashes as parameters: using numbers");
                    self.numbers_only.store(true, Ordering::Relaxed);
                }
                done => return done,
            }
        }
        // By number it is the same block only if the chain has it there before and after.
        let number = self.required_header(at).await?.number.to::<u64>();
        self.check_canonical(at, number).await?;
        let answers = self.batch_at(at, calls, &json!(U64::from(number))).await?;
        self.check_canonical(at, number).await?;
        Ok(answers)
    }

    async fn check_canonical(&self, hash: B256, number: u64) -> Result<(), ChainError> {
        match self.header(BlockId::Number(number)).await? {
            Some(header) if header.hash == hash => Ok(()),
            Some(_) | None => Err(self.unavailable(format!("block {hash} is not canonical there"))),
        }
    }

    async fn batch_at(
        &self,
        at: B256,
        calls: &[StateCall],
        block: &Value,
    ) -> Result<Vec<Box<RawValue>>, ChainError> {
        let calls: Vec<_> = calls.iter().map(|it| it.call(block)).collect();
        let answers =
            self.transport.batch(&calls).await.map_err(|error| self.chain_error(error))?;
        answers
            .into_iter()
            .map(|answer| answer.map_err(|error| self.state_error(at, error)))
            .collect()
    }

    /// What an error to a question about state means.
    fn state_error(&self, at: B256, error: RpcError) -> ChainError {
        if wire::is_pruned(&error.message) {
            ChainError::StatePruned(at)
        } else if wire::is_unknown_block(&error.message) {
            self.unavailable(format!("block {at} is not known there: {}", error.message))
        } else {
            self.chain_error(TransportError::Rpc(error))
        }
    }

    /// Hashes of the ancestors of `at`, as far as BLOCKHASH reaches: what is not in the answer is no
    /// ancestor, or out of reach. On the canonical chain they are read by number, and must be there
    /// while `at` is canonical; elsewhere parents are walked.
    ///
    /// Every ancestor exists, so that one which the endpoint does not have (a replica that is behind)
    /// is a failure: a hash of zero would be executed, and remembered for ever.
    async fn ancestors(&self, at: B256, numbers: &[u64]) -> Result<HashMap<u64, B256>, ChainError> {
        let mut found = HashMap::new();
        let Some(lowest) = numbers.iter().copied().min() else { return Ok(found) };
        let header = self.required_header(at).await?;
        let number = header.number.to::<u64>();
        found.insert(number, at);
        if let Some(parent) = number.checked_sub(1) {
            found.insert(parent, header.parent_hash);
        }
        if numbers.iter().all(|it| *it > number || found.contains_key(it)) {
            return Ok(found);
        }
        if self.check_canonical(at, number).await.is_ok() {
            let reached = number.saturating_sub(ANCESTORS_MAX)..number;
            for wanted in numbers.iter().filter(|it| reached.contains(it)) {
                if found.contains_key(wanted) {
                    continue;
                }
                let header = self.header(BlockId::Number(*wanted)).await?;
                let missing = || self.unavailable(format!("block {wanted} is not known there"));
                found.insert(*wanted, header.ok_or_else(missing)?.hash);
            }
            // They are its ancestors if the chain did not change in between.
            self.check_canonical(at, number).await?;
            return Ok(found);
        }
        let (mut hash, mut at) = (header.parent_hash, number.saturating_sub(1));
        while at > lowest && number - at < ANCESTORS_MAX {
            hash = self.required_header(hash).await?.parent_hash;
            at -= 1;
            found.insert(at, hash);
        }
        Ok(found)
    }

    /// What the answer to a submission means.
    async fn submitted(
        &self,
        hash: B256,
        answer: Result<B256, ChainError>,
    ) -> Result<B256, ChainError> {
        match answer {
            Err(ChainError::Refused { message, .. }) if wire::is_already_known(&message) => {
                Ok(hash)
            }
            Err(error @ ChainError::Refused { .. }) => {
                // Sent again after it was mined: clients then complain of the nonce, each in its words.
                match self.mined(hash).await {
                    Ok(Some(_)) => Ok(hash),
                    Ok(None) | Err(_) => Err(error),
                }
            }
            other => other,
        }
    }

    fn quantity(&self, text: &RawValue) -> Result<U256, ChainError> {
        serde_json::from_str(text.get()).map_err(|error| self.garbage("quantity", &error))
    }
}

/// A question about an account at a block.
#[derive(Clone, Copy, Debug)]
enum StateCall {
    Balance(Address),
    Nonce(Address),
    Code(Address),
    Slot(Address, U256),
}

impl StateCall {
    fn call(self, block: &Value) -> Call {
        let (method, params) = match self {
            Self::Balance(address) => ("eth_getBalance", json!([address, block])),
            Self::Nonce(address) => ("eth_getTransactionCount", json!([address, block])),
            Self::Code(address) => ("eth_getCode", json!([address, block])),
            // 32 bytes are taken by those who want a quantity and by those who want data.
            Self::Slot(address, slot) => {
                ("eth_getStorageAt", json!([address, B256::from(slot), block]))
            }
        };
        Call { method, params }
    }
}

fn block_params(id: BlockId) -> (&'static str, Value) {
    match id {
        BlockId::Hash(hash) => ("eth_getBlockByHash", json!(hash)),
        BlockId::Number(number) => ("eth_getBlockByNumber", json!(U64::from(number))),
        BlockId::Latest => ("eth_getBlockByNumber", json!("latest")),
        BlockId::Finalized => ("eth_getBlockByNumber", json!("finalized")),
        BlockId::Safe => ("eth_getBlockByNumber", json!("safe")),
    }
}

#[async_trait]
impl Chain for RpcChain {
    async fn chain_id(&self) -> Result<u64, ChainError> {
        Ok(self.call::<U64>("eth_chainId", json!([])).await?.to())
    }

    async fn block_ref(&self, id: BlockId) -> Result<Option<BlockRef>, ChainError> {
        Ok(self.header(id).await?.map(|it| BlockRef { number: it.number.to(), hash: it.hash }))
    }

    async fn block(&self, id: BlockId) -> Result<Option<Block>, ChainError> {
        let Some(text) = self.block_text(id, true).await? else { return Ok(None) };
        wire::block(text.get(), id).map(Some).map_err(|error| self.garbage("block", &error))
    }

    async fn read(&self, at: B256, reads: &[PublicRead]) -> Result<Vec<PublicValue>, ChainError> {
        let mut calls = Vec::new();
        let mut numbers = Vec::new();
        for read in reads {
            match *read {
                PublicRead::Account(it) => {
                    calls.extend([
                        StateCall::Nonce(it),
                        StateCall::Balance(it),
                        StateCall::Code(it),
                    ]);
                }
                PublicRead::Slot(address, slot) => calls.push(StateCall::Slot(address, slot)),
                PublicRead::BlockHash(number) => numbers.push(number),
            }
        }
        let answers = if calls.is_empty() { Vec::new() } else { self.calls_at(at, &calls).await? };
        let ancestors = self.ancestors(at, &numbers).await?;
        let mut answers = answers.iter();
        let mut next = || answers.next().ok_or_else(|| self.unavailable("answers are missing"));
        let mut values = Vec::with_capacity(reads.len());
        for read in reads {
            values.push(match *read {
                PublicRead::Account(_) => {
                    let nonce = self.quantity(next()?)?;
                    let nonce = u64::try_from(nonce)
                        .map_err(|error| self.garbage("eth_getTransactionCount", &error))?;
                    let balance = self.quantity(next()?)?;
                    let code = serde_json::from_str(next()?.get())
                        .map_err(|error| self.garbage("eth_getCode", &error))?;
                    PublicValue::Account(PublicAccount { nonce, balance, code })
                }
                PublicRead::Slot(..) => PublicValue::Slot(self.quantity(next()?)?),
                PublicRead::BlockHash(number) => {
                    PublicValue::BlockHash(ancestors.get(&number).copied().unwrap_or_default())
                }
            });
        }
        Ok(values)
    }

    async fn nonce(&self, address: Address, pending: bool) -> Result<u64, ChainError> {
        let tag = if pending { "pending" } else { "latest" };
        Ok(self.call::<U64>("eth_getTransactionCount", json!([address, tag])).await?.to())
    }

    async fn submit(&self, raw: &[u8]) -> Result<B256, ChainError> {
        let answer = self.call::<B256>(SUBMIT, json!([hex::encode_prefixed(raw)])).await;
        self.submitted(keccak256(raw), answer).await
    }

    async fn submit_all(&self, raw: &[Vec<u8>]) -> Vec<Result<B256, ChainError>> {
        let call =
            |raw: &Vec<u8>| Call { method: SUBMIT, params: json!([hex::encode_prefixed(raw)]) };
        let calls: Vec<_> = raw.iter().map(call).collect();
        let outcomes = self.transport.in_order(&calls).await;
        let mut answers = Vec::with_capacity(raw.len());
        for (raw, outcome) in raw.iter().zip(outcomes) {
            let answer = match outcome {
                Ok(hash) => {
                    serde_json::from_str(hash.get()).map_err(|error| self.garbage(SUBMIT, &error))
                }
                Err(error) => Err(self.chain_error(error)),
            };
            answers.push(self.submitted(keccak256(raw), answer).await);
        }
        answers
    }

    async fn mined(&self, hash: B256) -> Result<Option<MinedTransaction>, ChainError> {
        let transaction: Option<WireTransaction> =
            self.call("eth_getTransactionByHash", json!([hash])).await?;
        let mined = transaction.map(|it| it.mined(hash)).transpose();
        Ok(mined.map_err(|error| self.garbage("eth_getTransactionByHash", &error))?.flatten())
    }

    async fn request(
        &self,
        method: &str,
        params: Option<&RawValue>,
    ) -> Result<Box<RawValue>, ChainError> {
        self.transport.pass_through(method, params).await.map_err(|error| self.chain_error(error))
    }

    async fn subscribe(&self, params: Option<&RawValue>) -> Result<ChainSubscription, ChainError> {
        let subscriptions = self.subscriptions.as_ref().ok_or(ChainError::NoSubscriptions)?;
        subscriptions.subscribe(params.map_or("[]", RawValue::get)).await
    }

    async fn head_changed(&self, _seen: B256) {
        tokio::time::sleep(self.poll_interval).await;
    }
}
