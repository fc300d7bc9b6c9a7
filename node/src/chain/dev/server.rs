//! The development chain over HTTP: one JSON-RPC endpoint at `/`, open to pages of every origin.

use std::{io, net::SocketAddr};

use axum::{Router, body::Body, extract::State, routing::post};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tower_http::cors::CorsLayer;

use super::{DevChain, rpc};
use crate::jsonrpc::{Limits, Reply, answer_http};

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
    let router =
        Router::new().route("/", post(handle)).layer(CorsLayer::permissive()).with_state(chain);
    let stopped = stop.clone().cancelled_owned();
    let serving =
        tokio::spawn(
            async move { axum::serve(listener, router).with_graceful_shutdown(stopped).await },
        );
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

async fn handle(State(chain): State<DevChain>, body: Body) -> Reply {
    answer_http(body, &Limits::default(), |method, params| {
        let answer = rpc::call(&chain, &method, params.as_deref());
        std::future::ready(answer)
    })
    .await
}
