//! JSON-RPC 2.0 over HTTP and WebSocket ([`socket`]): what is common to every JSON-RPC server of
//! this crate. It splits a body into calls, hands each to a function, and puts the answers together.
//!
//! It knows no method, no authentication and no state. Ids come back byte for byte, of any type and
//! size that the specification allows. Old clients are tolerated: a missing `jsonrpc` member and
//! unknown members are ignored. Format: <https://www.jsonrpc.org/specification>; HTTP statuses as in
//! the protocol specification, 7.1.

mod outbox;
pub mod socket;

use std::{borrow::Cow, future::Future, time::Duration};

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::StreamExt;
use jsonrpsee_types::{
    ErrorCode, ErrorObjectOwned,
    error::{
        INVALID_REQUEST_CODE, OVERSIZED_REQUEST_CODE, OVERSIZED_REQUEST_MSG,
        OVERSIZED_RESPONSE_CODE, OVERSIZED_RESPONSE_MSG, PARSE_ERROR_CODE,
        TOO_BIG_BATCH_REQUEST_CODE, TOO_BIG_BATCH_REQUEST_MSG,
    },
};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use tokio::time::Instant;

/// Code of the error for a call that took too long (geth's number).
pub const TIMED_OUT_CODE: i32 = -32002;

/// What a function answers to one call: the `result` as JSON text, or the `error` object.
pub type Answer = Result<Box<RawValue>, ErrorObjectOwned>;

/// Limits on one HTTP request, and on one message of a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes in a body.
    pub body_bytes_max: usize,
    /// Calls in a batch.
    pub batch_calls_max: usize,
    /// Calls of one batch that run at the same time. They start in their order; with 1 each one also
    /// ends before the next starts.
    pub batch_concurrency: usize,
    /// Bytes of the answers to one body, about, whether it is a batch or a single call; an answer
    /// that would go beyond is replaced by an error.
    pub reply_bytes_max: usize,
    /// Time for all the calls of one body.
    pub time_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes_max: 5 << 20,
            batch_calls_max: 1024,
            batch_concurrency: 1,
            reply_bytes_max: 64 << 20,
            time_max: Duration::from_secs(30),
        }
    }
}

/// The HTTP reply to a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// 200, 204 when nothing is to be answered, 400 for what is not JSON-RPC, 413.
    pub status: StatusCode,
    /// JSON; empty with 204.
    pub body: Bytes,
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let json = HeaderValue::from_static("application/json");
        (self.status, [(header::CONTENT_TYPE, json)], self.body).into_response()
    }
}

/// Answers a body: single call or batch. `call` gets the method's name and the `params` as JSON text
/// (`None` when they are absent or `null`); notifications are called too, their answer is dropped.
pub async fn answer<F, R>(body: &[u8], limits: &Limits, call: F) -> Reply
where
    F: Fn(String, Option<Box<RawValue>>) -> R,
    R: Future<Output = Answer>,
{
    if body.len() > limits.body_bytes_max {
        return oversized(limits);
    }
    let deadline = Instant::now() + limits.time_max;
    let Ok(document) = serde_json::from_slice::<&RawValue>(body) else {
        return failure(StatusCode::BAD_REQUEST, ErrorCode::ParseError.into());
    };
    if !document.get().starts_with('[') {
        return single(document, deadline, limits, call).await;
    }
    let Ok(entries) = serde_json::from_str::<Vec<&RawValue>>(document.get()) else {
        return failure(StatusCode::BAD_REQUEST, ErrorCode::ParseError.into());
    };
    if entries.is_empty() {
        return failure(StatusCode::BAD_REQUEST, ErrorCode::InvalidRequest.into());
    }
    if entries.len() > limits.batch_calls_max {
        let limit = format!("exceeded max limit of {}", limits.batch_calls_max);
        let error = ErrorObjectOwned::owned(
            TOO_BIG_BATCH_REQUEST_CODE,
            TOO_BIG_BATCH_REQUEST_MSG,
            Some(limit),
        );
        return failure(StatusCode::OK, error);
    }
    batch(&entries, deadline, limits, call).await
}

/// [`answer`] for an axum handler: reads the body within the limit first.
pub async fn answer_http<F, R>(body: Body, limits: &Limits, call: F) -> Reply
where
    F: Fn(String, Option<Box<RawValue>>) -> R,
    R: Future<Output = Answer>,
{
    match axum::body::to_bytes(body, limits.body_bytes_max).await {
        Ok(bytes) => answer(&bytes, limits, call).await,
        // Too long, or the connection broke and nobody reads the reply.
        Err(_) => oversized(limits),
    }
}

/// A `result`, for functions that answer with something serializable.
///
/// # Errors
///
/// `value` cannot be written as JSON (a map with keys that are not strings).
pub fn result<T: Serialize + ?Sized>(value: &T) -> Answer {
    serde_json::value::to_raw_value(value).map_err(|_| ErrorCode::InternalError.into())
}

/// The error for a method that does not exist.
pub fn method_not_found(method: &str) -> ErrorObjectOwned {
    let code = ErrorCode::MethodNotFound.code();
    // A client may send megabytes as the name.
    let name: String = method.chars().take(80).collect();
    ErrorObjectOwned::owned(
        code,
        format!("the method {name} does not exist/is not available"),
        None::<()>,
    )
}

/// The error for params that do not fit.
pub fn invalid_params(reason: impl Into<String>) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(ErrorCode::InvalidParams.code(), reason, None::<()>)
}

/// A call as it is in a body.
#[derive(Deserialize)]
struct Call<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
}

/// What can be said about something that is not a call.
#[derive(Deserialize)]
struct Id<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Envelope<'a> {
    jsonrpc: &'static str,
    id: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a ErrorObjectOwned>,
}

/// `Some` for every value including `null`, so that `None` means absent: an id that is `null` gets an
/// answer, an absent one makes a notification.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Ids are strings, numbers or null.
fn is_id(id: &RawValue) -> bool {
    matches!(id.get().as_bytes().first(), Some(b'"' | b'-' | b'0'..=b'9' | b'n'))
}

fn parse(entry: &RawValue) -> Result<Call<'_>, &RawValue> {
    let invalid = || {
        let id = serde_json::from_str::<Id<'_>>(entry.get()).ok().and_then(|it| it.id);
        id.filter(|it| is_id(it)).unwrap_or(RawValue::NULL)
    };
    // A struct is also read from an array, which is no call.
    if !entry.get().starts_with('{') {
        return Err(RawValue::NULL);
    }
    let call: Call<'_> = serde_json::from_str(entry.get()).map_err(|_| invalid())?;
    let structured = |it: &RawValue| it.get().starts_with(['[', '{']);
    if !call.id.is_none_or(is_id) || !call.params.is_none_or(structured) {
        return Err(invalid());
    }
    Ok(call)
}

async fn single<F, R>(document: &RawValue, deadline: Instant, limits: &Limits, call: F) -> Reply
where
    F: Fn(String, Option<Box<RawValue>>) -> R,
    R: Future<Output = Answer>,
{
    let (id, answer) = run(document, deadline, &call).await;
    let status = match &answer {
        Err(error) if matches!(error.code(), PARSE_ERROR_CODE | INVALID_REQUEST_CODE) => {
            StatusCode::BAD_REQUEST
        }
        Ok(_) | Err(_) => StatusCode::OK,
    };
    match id {
        Some(id) => Reply { status, body: limited(id, &answer, 0, limits).into() },
        None => Reply { status: StatusCode::NO_CONTENT, body: Bytes::new() },
    }
}

async fn batch<F, R>(entries: &[&RawValue], deadline: Instant, limits: &Limits, call: F) -> Reply
where
    F: Fn(String, Option<Box<RawValue>>) -> R,
    R: Future<Output = Answer>,
{
    // In a vector first: a stream that borrows in its closure is not `Send` in the compiler's eyes.
    let runs: Vec<_> = entries.iter().map(|entry| run(entry, deadline, &call)).collect();
    let mut answers = futures::stream::iter(runs).buffered(limits.batch_concurrency.max(1));
    let mut body = Vec::new();
    while let Some((id, answer)) = answers.next().await {
        let Some(id) = id else { continue };
        let mut one = limited(id, &answer, body.len(), limits);
        body.push(if body.is_empty() { b'[' } else { b',' });
        body.append(&mut one);
    }
    if body.is_empty() {
        return Reply { status: StatusCode::NO_CONTENT, body: Bytes::new() };
    }
    body.push(b']');
    Reply { status: StatusCode::OK, body: body.into() }
}

/// Runs one entry: the id to answer to (`None` for a notification), and the answer.
async fn run<'a, F, R>(
    entry: &'a RawValue,
    deadline: Instant,
    call: &F,
) -> (Option<&'a RawValue>, Answer)
where
    F: Fn(String, Option<Box<RawValue>>) -> R,
    R: Future<Output = Answer>,
{
    let Call { id, method, params } = match parse(entry) {
        Ok(it) => it,
        Err(id) => return (Some(id), Err(ErrorCode::InvalidRequest.into())),
    };
    let future = call(method.into_owned(), params.map(ToOwned::to_owned));
    let timed_out = || ErrorObjectOwned::owned(TIMED_OUT_CODE, "request timed out", None::<()>);
    (id, tokio::time::timeout_at(deadline, future).await.unwrap_or_else(|_| Err(timed_out())))
}

/// The answer, or the error that stands for it when it does not fit after the bytes before it.
fn limited(id: &RawValue, answer: &Answer, before: usize, limits: &Limits) -> Vec<u8> {
    let one = envelope(id, answer);
    if before.saturating_add(one.len()) <= limits.reply_bytes_max {
        return one;
    }
    let limit = format!("exceeded max limit of {}", limits.reply_bytes_max);
    let error =
        ErrorObjectOwned::owned(OVERSIZED_RESPONSE_CODE, OVERSIZED_RESPONSE_MSG, Some(limit));
    envelope(id, &Err(error))
}

fn envelope(id: &RawValue, answer: &Answer) -> Vec<u8> {
    let it = Envelope {
        jsonrpc: "2.0",
        id,
        result: answer.as_deref().ok(),
        error: answer.as_ref().err(),
    };
    // Text and raw JSON only: writing them to memory has no error.
    serde_json::to_vec(&it).unwrap_or_default()
}

/// The reply to a body that is not looked into.
pub fn failure(status: StatusCode, error: ErrorObjectOwned) -> Reply {
    Reply { status, body: envelope(RawValue::NULL, &Err(error)).into() }
}

fn oversized(limits: &Limits) -> Reply {
    let limit = format!("exceeded max limit of {}", limits.body_bytes_max);
    let error = ErrorObjectOwned::owned(OVERSIZED_REQUEST_CODE, OVERSIZED_REQUEST_MSG, Some(limit));
    failure(StatusCode::PAYLOAD_TOO_LARGE, error)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Answers with its params; `fail` fails, `hang` never answers.
    async fn echo(method: String, params: Option<Box<RawValue>>) -> Answer {
        match method.as_str() {
            "echo" => Ok(params.unwrap_or_else(|| RawValue::NULL.to_owned())),
            "hang" => std::future::pending().await,
            _ => Err(method_not_found(&method)),
        }
    }

    async fn reply(body: &str, limits: &Limits) -> (u16, String) {
        let reply = answer(body.as_bytes(), limits, echo).await;
        (reply.status.as_u16(), String::from_utf8(reply.body.to_vec()).unwrap())
    }

    #[track_caller]
    fn check(body: &str, status: u16, want: &str) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let limits = Limits { batch_calls_max: 3, body_bytes_max: 400, ..Limits::default() };
        assert_eq!(runtime.block_on(reply(body, &limits)), (status, want.to_owned()));
    }

    const INVALID: &str =
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Invalid request"}}"#;

    #[test]
    fn a_call_is_answered_with_its_id_byte_for_byte() {
        for id in
            ["1", "null", "\"a\\u0000b\"", "123456789012345678901234567890", "-1.50e3", "\"\""]
        {
            let call =
                format!(r#" {{"jsonrpc":"2.0","id":{id},"method":"echo","params":[1, 2]}} "#);
            check(&call, 200, &format!(r#"{{"jsonrpc":"2.0","id":{id},"result":[1, 2]}}"#));
        }
    }

    #[test]
    fn old_clients_are_tolerated() {
        check(r#"{"id":7,"method":"echo"}"#, 200, r#"{"jsonrpc":"2.0","id":7,"result":null}"#);
        check(
            r#"{"jsonrpc":"1.0","extra":{},"id":7,"method":"echo","params":null}"#,
            200,
            r#"{"jsonrpc":"2.0","id":7,"result":null}"#,
        );
    }

    #[test]
    fn what_is_not_json_is_a_parse_error() {
        let want = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error"}}"#;
        for body in ["", "{", "nonsense", r#"{"id":1,"method":"echo"} x"#, "[1,", "[[]"] {
            check(body, 400, want);
        }
    }

    #[test]
    fn what_is_not_a_call_is_an_invalid_request() {
        for body in
            ["1", "null", "\"x\"", "{}", "[]", r#"{"id":{},"method":"echo"}"#, r#"{"method":1}"#]
        {
            check(body, 400, INVALID);
        }
        check(r#"{"id":5,"method":"echo","params":5}"#, 400, &INVALID.replace("null", "5"));
        check(r#"{"id":5}"#, 400, &INVALID.replace("null", "5"));
        check("[[1,\"echo\"]]", 200, &format!("[{INVALID}]"));
    }

    #[test]
    fn a_notification_gets_no_answer() {
        check(r#"{"jsonrpc":"2.0","method":"echo","params":[]}"#, 204, "");
        check(r#"[{"method":"echo"},{"method":"nothing"}]"#, 204, "");
    }

    #[test]
    fn a_batch_is_answered_in_order() {
        check(
            r#"[{"id":"b","method":"echo","params":[0]},7,{"id":2,"method":"nope"}]"#,
            200,
            &format!(
                r#"[{{"jsonrpc":"2.0","id":"b","result":[0]}},{INVALID},{{"jsonrpc":"2.0","id":2,"error":{{"code":-32601,"message":"the method nope does not exist/is not available"}}}}]"#
            ),
        );
    }

    #[test]
    fn a_batch_and_a_body_have_limits() {
        let error = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32010,"message":"The batch request was too large","data":"exceeded max limit of 3"}}"#;
        check("[1,1,1,1]", 200, error);
        let error = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32007,"message":"Request is too big","data":"exceeded max limit of 400"}}"#;
        check(&" ".repeat(401), 413, error);
    }

    #[tokio::test]
    async fn a_call_that_hangs_is_answered_in_time_and_alone() {
        let time_max = Duration::from_millis(20);
        let limits = Limits { batch_concurrency: 2, time_max, ..Limits::default() };
        let body = r#"[{"id":1,"method":"hang"},{"id":2,"method":"echo"}]"#;
        let hung =
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32002,"message":"request timed out"}}"#;
        let want = format!(r#"[{hung},{{"jsonrpc":"2.0","id":2,"result":null}}]"#);
        assert_eq!(reply(body, &limits).await, (200, want));
    }

    #[tokio::test]
    async fn answers_to_a_batch_have_a_limit_together() {
        let limits = Limits { reply_bytes_max: 60, ..Limits::default() };
        let call = r#"{"id":1,"method":"echo","params":["aaaaaaaaa"]}"#;
        let (_, body) = reply(&format!("[{call},{call}]"), &limits).await;
        let answers: Vec<serde_json::Value> = serde_json::from_str(&body).unwrap();
        assert_eq!(answers[0]["result"][0], "aaaaaaaaa");
        assert_eq!(answers[1]["error"]["code"], OVERSIZED_RESPONSE_CODE);
    }

    #[tokio::test]
    async fn the_answer_to_a_single_call_has_the_same_limit() {
        let call = |text: &str| format!(r#"{{"id":"x","method":"echo","params":["{text}"]}}"#);
        let want = |text: &str| format!(r#"{{"jsonrpc":"2.0","id":"x","result":["{text}"]}}"#);
        let limits = Limits { reply_bytes_max: want("1234").len(), ..Limits::default() };
        assert_eq!(reply(&call("1234"), &limits).await, (200, want("1234")));
        let (status, body) = reply(&call("12345"), &limits).await;
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, &body["id"]), (200, &"x".into()));
        assert_eq!(body["error"]["code"], OVERSIZED_RESPONSE_CODE);
        assert_eq!(body["error"]["message"], "Response is too big");
        let limit = format!("exceeded max limit of {}", limits.reply_bytes_max);
        assert_eq!(body["error"]["data"], limit);
    }

    proptest! {
        #[test]
        fn any_bytes_get_a_reply_that_is_json_or_nothing(body: Vec<u8>) {
            let reply = futures::executor::block_on(async {
                answer(&body, &Limits::default(), |_, _| async { result(&1) }).await
            });
            prop_assert!(reply.body.is_empty() || serde_json::from_slice::<serde_json::Value>(&reply.body).is_ok());
        }
    }
}
