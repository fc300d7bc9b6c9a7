//! The JSON-RPC API over HTTP and WebSocket: Besu's `eea_`, `priv_` and `privx_` methods, everything
//! else passed through to the chain, health checks, on one port.
//!
//! The only place that knows methods, text forms and error numbers. It decides nothing: every
//! request runs in the service in the name of a [`Tenant`](crate::service::Tenant), whom [`auth`]
//! tells from the request's token. Shapes: protocol specification, 7.

pub mod auth;
pub mod error;
pub mod filters;
pub mod methods;
pub mod objects;
pub mod openrpc;
pub mod params;
pub mod reads;
pub mod results;
mod socket;
pub mod subscriptions;
mod web;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    body::Body,
    extract::State,
    http::{HeaderMap, Method, StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::CancellationToken;
use tower_http::cors::{AllowOrigin, CorsLayer};

pub use self::web::{Cors, Hosts};
use self::{
    auth::{Authenticator, Caller, options::AuthOptions},
    error::Refusal,
    methods::Route,
};
use crate::{
    jsonrpc::{
        self, Answer, Limits,
        socket::{SocketLimits, Sockets},
    },
    service::{Readiness, Service},
};

/// How the API is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Limits on one HTTP request, or one message of a WebSocket.
    pub limits: Limits,
    /// HTTP requests, and calls over WebSockets, that run at the same time; further ones wait.
    pub requests_max: usize,
    /// Limits on WebSockets.
    pub sockets: SocketLimits,
    /// Web pages that may call.
    pub cors: Cors,
    /// Names under which this node is called.
    pub hosts: Hosts,
    /// Whether operators' methods (`coterie_heal`) are answered on this port.
    pub operator_methods: bool,
    /// Whether callers must have tokens.
    pub auth: AuthOptions,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            requests_max: 256,
            sockets: SocketLimits::default(),
            cors: Cors::None,
            hosts: Hosts::Names(Vec::new()),
            operator_methods: false,
            auth: AuthOptions::None,
        }
    }
}

/// Serves the API on `listener` to whom `authenticator` lets in, until `stop`, then lets running
/// requests end for up to 5 s.
///
/// # Errors
///
/// The listener fails.
pub async fn serve(
    listener: TcpListener,
    service: Arc<Service>,
    (authenticator, options): (Arc<Authenticator>, Options),
    stop: CancellationToken,
) -> std::io::Result<()> {
    let sockets = Sockets::new(options.sockets, stop.clone());
    let app = router(service, authenticator, options, sockets.clone());
    let stopping = stop.clone();
    let server = axum::serve(listener, app)
        .with_graceful_shutdown(async move { stopping.cancelled().await });
    let serving = async {
        server.await?;
        // The server lets them go: they are no requests any more.
        sockets.closed().await;
        Ok(())
    };
    let patience = async {
        stop.cancelled().await;
        tokio::time::sleep(Duration::from_secs(5)).await;
    };
    tokio::select! {
        ended = serving => ended,
        () = patience => Ok(()),
    }
}

/// The API as an axum router: `POST /`, WebSockets at `/`, `GET` on `/`, `/livez`, `/readyz`, and
/// `POST /login` where this node issues tokens.
pub fn router(
    service: Arc<Service>,
    authenticator: Arc<Authenticator>,
    options: Options,
    sockets: Sockets,
) -> Router {
    let cors = cors(&options.cors);
    let permits = Semaphore::new(options.requests_max);
    let issues_tokens = authenticator.issues_tokens();
    let state = Server {
        service,
        authenticator,
        limits: options.limits,
        operator_methods: options.operator_methods,
        permits,
        cors: options.cors,
        hosts: options.hosts,
        sockets,
    };
    let state = Arc::new(state);
    let mut router = Router::new().route("/", get(socket::open).post(rpc));
    if issues_tokens {
        router = router.route("/login", post(login));
    }
    let router = router
        .route_layer(middleware::from_fn_with_state(Arc::clone(&state), web::guard))
        .route("/livez", get(alive))
        .route("/readyz", get(ready))
        .with_state(state);
    match cors {
        Some(layer) => router.layer(layer),
        None => router,
    }
}

#[derive(Debug)]
struct Server {
    service: Arc<Service>,
    authenticator: Arc<Authenticator>,
    limits: Limits,
    operator_methods: bool,
    permits: Semaphore,
    cors: Cors,
    hosts: Hosts,
    sockets: Sockets,
}

impl Server {
    /// Counts a call of `caller`, and sees whether its token permits it.
    fn admit(&self, caller: &Caller, method: &str) -> Result<(), Refusal> {
        // Its token may have ended while it waited.
        if !self.authenticator.is_still_good(caller) {
            return Err(Refusal::Unauthorized);
        }
        self.authenticator.count(caller).map_err(|_| Refusal::TooManyRequests)?;
        if caller.permissions.allow(method) { Ok(()) } else { Err(not_permitted(method)) }
    }

    /// Answers one call of `caller` that was admitted. The same for every transport.
    async fn answer(&self, caller: &Caller, method: &str, params: Option<&RawValue>) -> Answer {
        let tenant = caller.tenant.as_ref();
        let route = methods::route(method);
        if let Route::Forward = route {
            let answer = self.service.forward(tenant, method, params).await;
            return answer.map_err(|it| error::forwarded(&it));
        }
        let tenant = tenant.ok_or(Refusal::NoEnclaveKey)?;
        let Route::Own(own) = route else { return Err(Refusal::MethodNotFound.into()) };
        if methods::needs_socket(method) {
            return Err(Refusal::MethodNotEnabled.into());
        }
        let request = own.read(params)?;
        if request.is_for_operators() {
            if !self.operator_methods {
                return Err(Refusal::MethodNotEnabled.into());
            }
            if !caller.permissions.allow_by_name(method) {
                return Err(not_permitted(method).into());
            }
        }
        methods::execute(&self.service, tenant, request).await
    }
}

fn not_permitted(method: &str) -> Refusal {
    Refusal::NotPermitted { permission: method.replacen('_', ":", 1) }
}

async fn rpc(State(server): State<Arc<Server>>, headers: HeaderMap, body: Body) -> Response {
    // Before anything is read.
    let Ok(caller) = server.authenticator.authenticate_fresh(&headers).await else {
        return auth::http::unauthorized();
    };
    let Ok(_place) = server.authenticator.enter(&caller) else {
        return auth::http::too_many_requests();
    };
    // Waiting, reading the body and the calls each have the time of one request.
    let time_max = server.limits.time_max;
    let Ok(Ok(_permit)) = tokio::time::timeout(time_max, server.permits.acquire()).await else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many requests at a time").into_response();
    };
    let refusal = AtomicU16::new(0);
    let (server, caller, refused) = (&server, &caller, &refusal);
    let reply = jsonrpc::answer_http(body, &server.limits, |method, params| async move {
        let answer = match server.admit(caller, &method) {
            Ok(()) => server.answer(caller, &method, params.as_deref()).await,
            Err(refusal) => Err(refusal.into()),
        };
        if let Some(status) = answer.as_ref().err().and_then(error::http_status) {
            refused.store(status.as_u16(), Ordering::Relaxed);
        }
        answer
    });
    match tokio::time::timeout(time_max * 2, reply).await {
        Ok(reply) => {
            let status = StatusCode::from_u16(refusal.load(Ordering::Relaxed)).ok();
            auth::http::with_status(reply, status)
        }
        Err(_) => (StatusCode::REQUEST_TIMEOUT, "the request took too long").into_response(),
    }
}

async fn login(State(server): State<Arc<Server>>, body: Body) -> Response {
    auth::http::login(&server.authenticator, body, server.limits.time_max).await
}

async fn alive() -> &'static str {
    "ok"
}

async fn ready(State(server): State<Arc<Server>>) -> Response {
    let readiness = server.service.readiness();
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(ReadinessText::from(readiness))).into_response()
}

/// The answer of `/readyz`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ReadinessText {
    ready: bool,
    followed: Option<u64>,
    head: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    following_stopped: Option<String>,
}

impl From<Readiness> for ReadinessText {
    fn from(it: Readiness) -> Self {
        let number = |block: crate::chain::BlockRef| block.number;
        Self {
            ready: it.ready,
            followed: it.followed.map(number),
            head: it.head.map(number),
            following_stopped: it.stopped.map(|it| it.reason),
        }
    }
}

fn cors(cors: &Cors) -> Option<CorsLayer> {
    let origins = match cors {
        Cors::None => return None,
        Cors::Origins(origins) => AllowOrigin::list(origins.clone()),
        Cors::Any => AllowOrigin::any(),
    };
    let headers = [header::CONTENT_TYPE, header::AUTHORIZATION];
    Some(
        CorsLayer::new()
            .allow_origin(origins)
            .allow_methods([Method::GET, Method::POST])
            .allow_headers(headers),
    )
}

#[cfg(test)]
mod tests;
