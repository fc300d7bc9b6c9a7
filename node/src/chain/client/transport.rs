//! JSON-RPC over HTTP as a client: one pool of connections, limits on time and size, patience with
//! endpoints that are busy. Credentials of the URL never leave it, neither in logs nor in errors.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use futures::{StreamExt, TryStreamExt};
use reqwest::{Client, Response, StatusCode, header};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, value::RawValue};
use url::Url;

use super::RpcOptions;
use crate::chain::ChainError;

/// Single requests at a time where the endpoint takes no batches.
const CONCURRENCY: usize = 8;
/// The first wait before a busy endpoint is asked again, when it does not say.
const RETRY_WAIT: Duration = Duration::from_millis(200);

/// A call with its parameters.
#[derive(Clone, Debug)]
pub(super) struct Call {
    /// Method.
    pub(super) method: &'static str,
    /// An array.
    pub(super) params: Value,
}

/// An `error` object.
#[derive(Clone, Debug)]
pub(super) struct RpcError {
    pub(super) code: i64,
    pub(super) message: String,
    /// JSON text.
    pub(super) data: Option<String>,
}

/// No result.
#[derive(Clone, Debug)]
pub(super) enum TransportError {
    /// Nothing usable came back; why.
    Unavailable(String),
    /// The endpoint answered with an error.
    Rpc(RpcError),
}

/// What became of one call of a batch that came back.
pub(super) type Outcome = Result<Box<RawValue>, RpcError>;

/// What became of one call.
pub(super) type SingleOutcome = Result<Box<RawValue>, TransportError>;

/// The connection to an endpoint.
pub(super) struct Transport {
    client: Client,
    options: RpcOptions,
    endpoint: String,
    /// The endpoint refused a batch once.
    single_only: AtomicBool,
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transport").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// An endpoint's name without what may be secret: user, password, path and query.
pub(super) fn endpoint(url: &Url) -> String {
    let port = url.port().map(|it| format!(":{it}")).unwrap_or_default();
    format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or_default())
}

#[derive(Serialize)]
struct Request<'a, P: Serialize> {
    jsonrpc: &'static str,
    id: usize,
    method: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    params: Option<P>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    id: Value,
    #[serde(default, deserialize_with = "present")]
    result: Option<Box<RawValue>>,
    #[serde(default)]
    error: Option<ErrorBody>,
}

/// The `error` member of an answer.
#[derive(Deserialize)]
pub(super) struct ErrorBody {
    code: i64,
    #[serde(default)]
    message: String,
    #[serde(default)]
    data: Option<Box<RawValue>>,
}

/// `Some` also for `null`, which is a result.
pub(super) fn present<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(deserializer).map(Some)
}

impl From<ErrorBody> for RpcError {
    fn from(ErrorBody { code, message, data }: ErrorBody) -> Self {
        Self { code, message, data: data.map(|it| it.get().to_owned()) }
    }
}

impl Answer {
    fn outcome(self) -> Result<Box<RawValue>, TransportError> {
        match (self.error, self.result) {
            (Some(error), _) => Err(TransportError::Rpc(error.into())),
            (None, Some(result)) => Ok(result),
            (None, None) => Err(TransportError::Unavailable(
                "neither result nor error in the answer".to_owned(),
            )),
        }
    }
}

impl Transport {
    pub(super) fn new(options: RpcOptions) -> Result<Self, ChainError> {
        let endpoint = endpoint(&options.url);
        let unavailable = |reason| ChainError::Unavailable { endpoint: endpoint.clone(), reason };
        if !matches!(options.url.scheme(), "http" | "https") {
            return Err(unavailable("the URL must begin with http:// or https://".to_owned()));
        }
        let client = Client::builder()
            .timeout(options.timeout)
            .connect_timeout(options.timeout)
            // A redirect would send credentials and requests elsewhere.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| unavailable(error.to_string()))?;
        Ok(Self { client, options, endpoint, single_only: AtomicBool::new(false) })
    }

    /// The endpoint's name, without secrets.
    pub(super) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// One call.
    pub(super) async fn call(&self, call: &Call) -> Result<Box<RawValue>, TransportError> {
        self.single(call.method, Some(&call.params)).await
    }

    /// One call of any method with its parameters as they are.
    pub(super) async fn pass_through(
        &self,
        method: &str,
        params: Option<&RawValue>,
    ) -> Result<Box<RawValue>, TransportError> {
        self.single(method, params).await
    }

    async fn single<P: Serialize>(
        &self,
        method: &str,
        params: Option<P>,
    ) -> Result<Box<RawValue>, TransportError> {
        let body = encode(&Request { jsonrpc: "2.0", id: 1, method, params })?;
        let answer = self.post(body).await?;
        parse::<Answer>(&answer)?.outcome()
    }

    /// Many calls; answers in their order. The first failure of the transport fails all; an error of
    /// one call is that call's.
    pub(super) async fn batch(&self, calls: &[Call]) -> Result<Vec<Outcome>, TransportError> {
        let mut answers = Vec::with_capacity(calls.len());
        for chunk in calls.chunks(self.options.batch_calls_max.max(1)) {
            if chunk.len() > 1 && !self.single_only.load(Ordering::Relaxed) {
                if let Some(chunk) = self.try_batch(chunk).await? {
                    for answer in chunk {
                        answers.push(settle(answer)?);
                    }
                    continue;
                }
                tracing::info!(
                    endpoint = self.endpoint,
                    "the endpoint takes no batches: sending single requests"
                );
                self.single_only.store(true, Ordering::Relaxed);
            }
            let singles: Vec<_> = chunk.iter().map(|call| self.call(call)).collect();
            let singles = futures::stream::iter(singles).buffered(CONCURRENCY).map(settle);
            answers.extend(singles.try_collect::<Vec<_>>().await?);
        }
        Ok(answers)
    }

    /// Many calls that must arrive in their order: in batches, or one after the other where the
    /// endpoint takes none. Each has an answer of its own, since what was answered has happened
    /// whatever came after it. Nothing is sent after a failure of the transport: the calls that
    /// were not sent have that failure.
    pub(super) async fn in_order(&self, calls: &[Call]) -> Vec<SingleOutcome> {
        let mut answers = Vec::with_capacity(calls.len());
        for chunk in calls.chunks(self.options.batch_calls_max.max(1)) {
            if let Err(error) = self.chunk_in_order(chunk, &mut answers).await {
                answers.resize_with(calls.len(), || Err(error.clone()));
                break;
            }
        }
        answers
    }

    /// Adds the answers to a chunk; stops at a failure of the transport.
    async fn chunk_in_order(
        &self,
        chunk: &[Call],
        answers: &mut Vec<SingleOutcome>,
    ) -> Result<(), TransportError> {
        if chunk.len() > 1 && !self.single_only.load(Ordering::Relaxed) {
            if let Some(chunk) = self.try_batch(chunk).await? {
                let failed = chunk.iter().find_map(|answer| match answer {
                    Err(error @ TransportError::Unavailable(_)) => Some(error.clone()),
                    Err(TransportError::Rpc(_)) | Ok(_) => None,
                });
                answers.extend(chunk);
                return failed.map_or(Ok(()), Err);
            }
            self.single_only.store(true, Ordering::Relaxed);
        }
        for call in chunk {
            let answer = settle(self.call(call).await)?;
            answers.push(answer.map_err(TransportError::Rpc));
        }
        Ok(())
    }

    /// One batch, with an answer for each call; `None` if the endpoint answered with a single error
    /// instead.
    async fn try_batch(
        &self,
        calls: &[Call],
    ) -> Result<Option<Vec<SingleOutcome>>, TransportError> {
        let request = |(id, call): (usize, &Call)| {
            encode(&Request { jsonrpc: "2.0", id, method: call.method, params: Some(&call.params) })
        };
        let requests = calls.iter().enumerate().map(request).collect::<Result<Vec<_>, _>>()?;
        let body = [b"[".as_slice(), &requests.join(&b','), b"]"].concat();
        let text = self.post(body).await?;
        if text.trim_ascii_start().first() != Some(&b'[') {
            return match parse::<Answer>(&text)?.outcome() {
                Err(TransportError::Rpc(_)) => Ok(None),
                Ok(_) | Err(_) => {
                    Err(TransportError::Unavailable("one answer to many calls".to_owned()))
                }
            };
        }
        let mut slots: Vec<_> = calls.iter().map(|_| None).collect();
        for answer in parse::<Vec<Answer>>(&text)? {
            let index = answer.id.as_u64().and_then(|it| usize::try_from(it).ok());
            if let Some(slot) = index.and_then(|it| slots.get_mut(it)) {
                *slot = Some(answer);
            }
        }
        let outcome = |slot: Option<Answer>| {
            let missing =
                || TransportError::Unavailable("answers to some calls are missing".to_owned());
            slot.ok_or_else(missing)?.outcome()
        };
        Ok(Some(slots.into_iter().map(outcome).collect()))
    }

    /// Sends a body until the endpoint is not busy, as often as allowed; the answer's bytes.
    async fn post(&self, body: Vec<u8>) -> Result<Vec<u8>, TransportError> {
        let mut wait = RETRY_WAIT;
        for attempt in 0.. {
            let request = self
                .client
                .post(self.options.url.clone())
                .header(header::CONTENT_TYPE, "application/json");
            let response = request.body(body.clone()).send().await.map_err(unavailable)?;
            let status = response.status();
            let busy =
                matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
            if busy && attempt < self.options.retries_max {
                let asked = retry_after(&response).unwrap_or(wait);
                tokio::time::sleep(asked.min(self.options.retry_wait_max)).await;
                wait *= 2;
                continue;
            }
            let bytes = self.bytes(response).await?;
            // Some answer errors with other statuses: the error object says more than the number.
            if status.is_success()
                || (!busy
                    && serde_json::from_slice::<Answer>(&bytes).is_ok_and(|it| it.error.is_some()))
            {
                return Ok(bytes);
            }
            return Err(TransportError::Unavailable(format!("HTTP status {status}")));
        }
        Err(TransportError::Unavailable("busy".to_owned()))
    }

    async fn bytes(&self, mut response: Response) -> Result<Vec<u8>, TransportError> {
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unavailable)? {
            if bytes.len() + chunk.len() > self.options.response_bytes_max {
                let limit = self.options.response_bytes_max;
                return Err(TransportError::Unavailable(format!(
                    "the answer is longer than {limit} bytes"
                )));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }
}

/// Tells an error of one call from a failure of the transport.
fn settle(answer: Result<Box<RawValue>, TransportError>) -> Result<Outcome, TransportError> {
    match answer {
        Ok(result) => Ok(Ok(result)),
        Err(TransportError::Rpc(error)) => Ok(Err(error)),
        Err(error @ TransportError::Unavailable(_)) => Err(error),
    }
}

/// The error's causes in one line, without the URL.
fn unavailable(error: reqwest::Error) -> TransportError {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    TransportError::Unavailable(text)
}

/// The wait that the endpoint asks for, in seconds; dates are not understood.
fn retry_after(response: &Response) -> Option<Duration> {
    let value = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?;
    value.trim().parse().ok().map(Duration::from_secs)
}

fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, TransportError> {
    serde_json::to_vec(value).map_err(|error| TransportError::Unavailable(error.to_string()))
}

fn parse<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, TransportError> {
    serde_json::from_slice(bytes)
        .map_err(|error| TransportError::Unavailable(format!("not JSON-RPC: {error}")))
}
