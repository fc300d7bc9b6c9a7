//! Calls to other enclaves' peer ports: one pooled HTTP client with limits.
//!
//! It knows paths and statuses, not what bodies mean. Every call tells the API versions we speak
//! (enclave specification, 2.2).

use std::time::Duration;

use alloy_primitives::Bytes;
use reqwest::{StatusCode, header::CONTENT_TYPE};

use super::options::EnclaveTimeouts;

/// The header that names the API versions a node speaks, once each.
pub(super) const VERSIONS_HEADER: &str = "tesseraSupportedApiVersions";
/// The versions we speak: the base, and privacy groups (whose ids travel in envelopes). Without
/// 5.0 peers use the LEGACY codec.
pub(super) const VERSIONS: [&str; 2] = ["v1", "3.0"];
/// Idle connections are dropped before the other side does.
const POOL_IDLE: Duration = Duration::from_secs(30);

/// The HTTP client cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client cannot be made")]
pub struct ClientBuildError(#[from] reqwest::Error);

/// A call got no usable answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    /// Not reached, or broken off.
    #[error("{0}")]
    Transport(String),
    /// No answer in time.
    #[error("no answer in time")]
    TimedOut,
    /// The answer is larger than expected.
    #[error("the answer is too large")]
    TooLarge,
}

/// An answer.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

/// Calls peers.
pub(super) struct PeerClient {
    http: reqwest::Client,
}

impl PeerClient {
    pub(super) fn new(timeouts: &EnclaveTimeouts) -> Result<Self, ClientBuildError> {
        let http = reqwest::Client::builder()
            .connect_timeout(timeouts.connect)
            .timeout(timeouts.request)
            .pool_idle_timeout(POOL_IDLE)
            .tcp_nodelay(true)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self { http })
    }

    /// Posts bytes to `path` below the peer's address.
    pub(super) async fn post(
        &self,
        url: &str,
        path: &str,
        body: Bytes,
        answer_bytes_max: usize,
    ) -> Result<Answer, CallError> {
        let request = self
            .http
            .post(join(url, path))
            .header(CONTENT_TYPE, "application/octet-stream")
            .body(body.0);
        Self::call(request, answer_bytes_max).await
    }

    /// Gets `path` below the peer's address.
    pub(super) async fn fetch(
        &self,
        url: &str,
        path: &str,
        answer_bytes_max: usize,
    ) -> Result<Answer, CallError> {
        Self::call(self.http.get(join(url, path)), answer_bytes_max).await
    }

    async fn call(
        mut request: reqwest::RequestBuilder,
        answer_bytes_max: usize,
    ) -> Result<Answer, CallError> {
        for version in VERSIONS {
            request = request.header(VERSIONS_HEADER, version);
        }
        let mut response = request.send().await.map_err(failed)?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > answer_bytes_max {
                return Err(CallError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, body: body.into() })
    }
}

impl Answer {
    /// A short, printable form of an error's body.
    pub(super) fn reason(&self) -> String {
        let text: String = String::from_utf8_lossy(&self.body)
            .chars()
            .filter(|c| !c.is_control())
            .take(200)
            .collect();
        format!("it answered {}: {text}", self.status.as_u16())
    }
}

fn join(url: &str, path: &str) -> String {
    format!("{}{path}", url.trim_end_matches('/'))
}

/// The innermost cause, without the address (which may carry credentials).
fn failed(error: reqwest::Error) -> CallError {
    if error.is_timeout() {
        return CallError::TimedOut;
    }
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    CallError::Transport(if error.is_connect() {
        format!("not reachable: {cause}")
    } else {
        cause.to_string()
    })
}
