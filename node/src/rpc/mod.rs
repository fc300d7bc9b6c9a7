//! The JSON-RPC API over HTTP and WebSocket: Besu's `eea_`, `priv_` and `privx_` methods, everything else passed
//! through to the chain, health checks, on one port.
//!
//! The only place that knows methods, text forms and error numbers. It decides nothing: every
//! request runs in the service in the name of a [`Tenant`]. Without authentication that is the
//! holder of the node's first key. Shapes: protocol specification, 7.

pub mod error;
pub mod filters;
pub mod methods;
pub mod objects;
pub mod params;
pub mod results;
mod socket;
pub mod subscriptions;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    body::Body,
    extract::State,
    http::{HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::CancellationToken;
use tower_http::cors::{AllowOrigin, CorsLayer};

use self::{
    error::Refusal,
    methods::{Request, Route},
    params::Params,
};
use crate::{
    jsonrpc::{
        self, Answer, Limits, Reply,
        socket::{SocketLimits, Sockets},
    },
    service::{Readiness, Service, Tenant},
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
    /// Whether operators' methods (`coterie_heal`) are answered on this port.
    pub operator_methods: bool,
}

/// Origins of web pages that a browser lets call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cors {
    /// None.
    None,
    /// These.
    Origins(Vec<HeaderValue>),
    /// Any.
    Any,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            requests_max: 256,
            sockets: SocketLimits::default(),
            cors: Cors::None,
            operator_methods: false,
        }
    }
}

/// Serves the API on `listener` until `stop`, then lets running requests end for up to 5 s.
///
/// # Errors
///
/// The listener fails.
pub async fn serve(
    listener: TcpListener,
    service: Arc<Service>,
    options: Options,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let sockets = Sockets::new(options.sockets, stop.clone());
    let app = router(service, options, sockets.clone());
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

/// The API as an axum router: `POST /`, WebSockets at `/`, and `GET` on `/`, `/livez`, `/readyz`.
pub fn router(service: Arc<Service>, options: Options, sockets: Sockets) -> Router {
    let cors = cors(&options.cors);
    let permits = Semaphore::new(options.requests_max);
    let state = Server {
        service,
        limits: options.limits,
        operator_methods: options.operator_methods,
        permits,
        cors: options.cors,
        sockets,
    };
    let router = Router::new()
        .route("/", get(socket::open).post(rpc))
        .route("/livez", get(alive))
        .route("/readyz", get(ready))
        .with_state(Arc::new(state));
    match cors {
        Some(layer) => router.layer(layer),
        None => router,
    }
}

#[derive(Debug)]
struct Server {
    service: Arc<Service>,
    limits: Limits,
    operator_methods: bool,
    permits: Semaphore,
    cors: Cors,
    sockets: Sockets,
}

impl Server {
    /// Who calls: of a request, or of a WebSocket when it is opened. Authentication belongs here.
    fn authenticate(&self) -> Tenant {
        self.service.default_tenant()
    }

    async fn answer(&self, tenant: &Tenant, method: &str, params: Option<&RawValue>) -> Answer {
        if methods::needs_socket(method) {
            return Err(Refusal::MethodNotEnabled.into());
        }
        match route(method, params)? {
            Routed::Own(request) if request.is_for_operators() && !self.operator_methods => {
                Err(Refusal::MethodNotEnabled.into())
            }
            Routed::Own(request) => methods::execute(&self.service, tenant, *request).await,
            Routed::Forward => {
                let answer = self.service.forward(tenant, method, params).await;
                answer.map_err(|it| error::forwarded(&it))
            }
        }
    }
}

/// A call that was read.
#[derive(Debug, PartialEq, Eq)]
enum Routed {
    Own(Box<Request>),
    Forward,
}

fn route(method: &str, params: Option<&RawValue>) -> Result<Routed, Refusal> {
    match methods::route(method) {
        Route::Own(method) => Ok(Routed::Own(Box::new((method.parse)(&Params::new(params)?)?))),
        Route::Unknown => Err(Refusal::MethodNotFound),
        Route::Forward => Ok(Routed::Forward),
    }
}

async fn rpc(State(server): State<Arc<Server>>, body: Body) -> Response {
    // Waiting, reading the body and the calls each have the time of one request.
    let time_max = server.limits.time_max;
    let Ok(Ok(_permit)) = tokio::time::timeout(time_max, server.permits.acquire()).await else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many requests at a time").into_response();
    };
    let unauthorized = AtomicBool::new(false);
    let tenant = server.authenticate();
    let (server, tenant, refused) = (&server, &tenant, &unauthorized);
    let reply = jsonrpc::answer_http(body, &server.limits, |method, params| async move {
        let answer = server.answer(tenant, &method, params.as_deref()).await;
        if answer.as_ref().is_err_and(|it| it.code() == error::UNAUTHORIZED) {
            refused.store(true, Ordering::Relaxed);
        }
        answer
    });
    match tokio::time::timeout(time_max * 2, reply).await {
        Ok(reply) => with_status(reply, unauthorized.load(Ordering::Relaxed)).into_response(),
        Err(_) => (StatusCode::REQUEST_TIMEOUT, "the request took too long").into_response(),
    }
}

/// Besu answers a single unauthorised call with status 401.
fn with_status(reply: Reply, unauthorized: bool) -> Reply {
    if unauthorized && reply.body.starts_with(b"{") {
        return Reply { status: StatusCode::UNAUTHORIZED, ..reply };
    }
    reply
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
struct ReadinessText {
    ready: bool,
    followed: Option<u64>,
    head: Option<u64>,
}

impl From<Readiness> for ReadinessText {
    fn from(it: Readiness) -> Self {
        let number = |block: crate::chain::BlockRef| block.number;
        Self { ready: it.ready, followed: it.followed.map(number), head: it.head.map(number) }
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
