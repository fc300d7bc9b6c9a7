//! How authentication is answered over HTTP: statuses, headers, and the bodies of `POST /login`.
//!
//! Which status: protocol specification, 7.1 and 8.1. `WWW-Authenticate` is RFC 6750's, `Retry-After`
//! is what clients wait for before they try again.

use std::time::Duration;

use axum::{
    Json,
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use jsonrpsee_types::ErrorObjectOwned;

use super::{Authenticator, LOGIN_BYTES_MAX, Login, LoginError};
use crate::{
    jsonrpc::{self, Reply},
    rpc::error::{self, Refusal},
};

/// The answer to a request without a good token, whatever is in it: one call, a batch, or nonsense.
pub(in crate::rpc) fn unauthorized() -> Response {
    failure(Refusal::Unauthorized)
}

/// The answer to a request beyond those that a tenant may have open.
pub(in crate::rpc) fn too_many_requests() -> Response {
    failure(Refusal::TooManyRequests)
}

/// The answer to a WebSocket beyond those that a tenant may have open.
pub(in crate::rpc) fn too_many_connections() -> Response {
    failure(Refusal::TooManyConnections)
}

/// A single call that is refused has the status of its refusal. In a batch each call has its own
/// error, and the whole is 200.
pub(in crate::rpc) fn with_status(reply: Reply, refused: Option<StatusCode>) -> Response {
    let single = reply.body.starts_with(b"{");
    let Some(status) = refused.filter(|_| single) else { return reply.into_response() };
    let mut response = Reply { status, ..reply }.into_response();
    let extra = match status {
        StatusCode::UNAUTHORIZED => Some((header::WWW_AUTHENTICATE, "Bearer")),
        StatusCode::TOO_MANY_REQUESTS => Some((header::RETRY_AFTER, "1")),
        _ => None,
    };
    if let Some((name, value)) = extra {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Answers `POST /login`.
pub(in crate::rpc) async fn login(
    authenticator: &Authenticator,
    body: Body,
    time_max: Duration,
) -> Response {
    let work = async {
        let bytes = axum::body::to_bytes(body, LOGIN_BYTES_MAX).await;
        let bytes = bytes.map_err(|_| LoginError::Incomplete)?;
        let login: Login = serde_json::from_slice(&bytes).map_err(|_| LoginError::Incomplete)?;
        authenticator.login(login).await
    };
    let Ok(outcome) = tokio::time::timeout(time_max, work).await else {
        return (StatusCode::REQUEST_TIMEOUT, "the request took too long").into_response();
    };
    let error = match outcome {
        Ok(token) => {
            return ([(header::CACHE_CONTROL, "no-store")], Json(token)).into_response();
        }
        Err(error) => error,
    };
    let text = error.to_string();
    match error {
        LoginError::NotEnabled => (StatusCode::NOT_FOUND, text).into_response(),
        LoginError::Incomplete => (StatusCode::BAD_REQUEST, text).into_response(),
        LoginError::Incorrect => (StatusCode::UNAUTHORIZED, text).into_response(),
        LoginError::TooMany => {
            (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "60")], text).into_response()
        }
        LoginError::Failed => (StatusCode::INTERNAL_SERVER_ERROR, text).into_response(),
    }
}

fn failure(refusal: Refusal) -> Response {
    let error = ErrorObjectOwned::from(refusal);
    let status = error::http_status(&error);
    with_status(jsonrpc::failure(StatusCode::OK, error), status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_a_tenant_has_too_many_of_is_said() {
        for (response, word) in [
            (too_many_requests(), "more requests than one tenant may make"),
            (too_many_connections(), "as many WebSockets as it may have"),
        ] {
            assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
            let body = axum::body::to_bytes(response.into_body(), 1 << 10).await.unwrap();
            let text = String::from_utf8(body.to_vec()).unwrap();
            assert!(text.contains(word), "{text}");
        }
    }

    #[test]
    fn only_a_single_refused_call_has_a_status_of_its_own() {
        let answer = |body: &'static [u8], status: u16| {
            let reply = Reply { status: StatusCode::OK, body: body.into() };
            let response = with_status(reply, StatusCode::from_u16(status).ok());
            let names = [header::WWW_AUTHENTICATE, header::RETRY_AFTER];
            (response.status().as_u16(), names.map(|it| response.headers().contains_key(it)))
        };
        assert_eq!(answer(b"{}", 401), (401, [true, false]));
        assert_eq!(answer(b"{}", 429), (429, [false, true]));
        assert_eq!(answer(b"{}", 0), (200, [false, false]));
        assert_eq!(answer(b"[{}]", 401), (200, [false, false]));
        assert_eq!(answer(b"[{}]", 429), (200, [false, false]));
    }
}
