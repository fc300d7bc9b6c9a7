//! The development chain over HTTP and WebSocket: one JSON-RPC endpoint at `/`, open to pages of
//! every origin.

use std::{io, net::SocketAddr, sync::Arc};

use alloy_primitives::U64;
use axum::{
    Router,
    body::Body,
    extract::{State, ws::WebSocketUpgrade},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::value::RawValue;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tower_http::cors::CorsLayer;

use super::{DevChain, rpc};
use crate::jsonrpc::{
    self, Answer, Limits, Reply, answer_http,
    socket::{Calls, SocketLimits, Sockets, Turn},
};

/// A server that runs; dropping it stops it.
#[derive(Debug)]
pub struct DevServer {
    address: SocketAddr,
    stop: CancellationToken,
    serving: JoinHandle<io::Result<()>>,
    mining: JoinHandle<()>,
}

/// Serves `chain` on `listener` and makes its blocks when the mining is by interval. Call it once for
/// a chain, in a tokio runtime.
///
/// # Errors
///
/// The listener has no local address.
pub fn serve(chain: DevChain, listener: TcpListener) -> io::Result<DevServer> {
    let address = listener.local_addr()?;
    let stop = CancellationToken::new();
    let mining = tokio::spawn(chain.clone().run());
    let sockets = Sockets::new(SocketLimits::default(), stop.clone());
    let router = Router::new()
        .route("/", get(open).post(handle))
        .layer(CorsLayer::permissive())
        .with_state((chain, sockets.clone()));
    let stopped = stop.clone().cancelled_owned();
    let serving = tokio::spawn(async move {
        axum::serve(listener, router).with_graceful_shutdown(stopped).await?;
        sockets.closed().await;
        Ok(())
    });
    Ok(DevServer { address, stop, serving, mining })
}

impl DevServer {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its URL for WebSockets.
    pub fn ws_url(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// Stops: no new connection, requests under way are answered.
    ///
    /// # Errors
    ///
    /// The server had failed before.
    pub async fn stop(mut self) -> io::Result<()> {
        self.stop.cancel();
        (&mut self.serving).await.unwrap_or_else(|error| Err(io::Error::other(error)))
    }
}

impl Drop for DevServer {
    fn drop(&mut self) {
        self.stop.cancel();
        self.mining.abort();
    }
}

async fn handle(State((chain, _)): State<(DevChain, Sockets)>, body: Body) -> Reply {
    answer_http(body, &Limits::default(), |method, params| {
        let answer = rpc::call(&chain, &method, params.as_deref());
        std::future::ready(answer)
    })
    .await
}

async fn open(
    State((chain, sockets)): State<(DevChain, Sockets)>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let limits = Limits::default();
    let place = match sockets.place() {
        Ok(place) => place,
        Err(none) => return none.into_response(),
    };
    upgrade
        .max_message_size(limits.body_bytes_max)
        .on_upgrade(move |socket| sockets.serve(place, socket, Arc::new(chain), limits))
}

impl Calls<()> for DevChain {
    async fn call(&self, turn: &Turn<()>, method: String, params: Option<Box<RawValue>>) -> Answer {
        match method.as_str() {
            "eth_subscribe" => {
                let subscription = rpc::subscribe(self, params.as_deref())?;
                let id = turn.subscribe((), |to| subscription.pass_on(to));
                jsonrpc::result(&U64::from(id.map_err(|it| rpc::server_error(it.to_string()))?))
            }
            "eth_unsubscribe" => {
                let id = rpc::subscription_id(params.as_deref())?;
                jsonrpc::result(&turn.unsubscribe(id, &()))
            }
            _ => rpc::call(self, &method, params.as_deref()),
        }
    }
}
