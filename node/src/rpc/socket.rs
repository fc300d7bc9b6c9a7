//! The API over a WebSocket: the same methods as over HTTP, and subscriptions.
//!
//! Who calls is found out once, when the connection is opened; when its token is good no longer, the
//! connection is closed.

use std::sync::Arc;

use axum::{
    extract::{
        State,
        ws::{WebSocketUpgrade, rejection::WebSocketUpgradeRejection},
    },
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use serde_json::value::RawValue;

use super::{
    Server,
    auth::{self, Caller, Place},
    error::Refusal,
    methods::{self, Request, Route},
    subscriptions::{self, Topic},
};
use crate::jsonrpc::{
    Answer,
    socket::{Calls, Turn},
};

/// What a connection that is silent keeps in memory for what may come: most connections listen to
/// subscriptions. A longer message gets a longer buffer.
const READ_BUFFER_BYTES: usize = 8 << 10;

/// `GET /`: opens a WebSocket, or tells that the server lives.
pub(super) async fn open(
    State(server): State<Arc<Server>>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(rejection) if headers.contains_key(header::SEC_WEBSOCKET_KEY) => {
            return rejection.into_response();
        }
        Err(_) => return super::alive().await.into_response(),
    };
    let Ok(caller) = server.authenticator.authenticate_fresh(&headers).await else {
        return auth::http::unauthorized();
    };
    let Ok(share) = server.authenticator.connect(&caller) else {
        return auth::http::too_many_connections();
    };
    let place = match server.sockets.place() {
        Ok(place) => place,
        Err(none) => return none.into_response(),
    };
    let (sockets, limits) = (server.sockets.clone(), server.limits);
    let session = Arc::new(Session { caller, server });
    upgrade
        .max_message_size(limits.body_bytes_max)
        .max_frame_size(limits.body_bytes_max)
        .read_buffer_size(READ_BUFFER_BYTES)
        .on_upgrade(async move |socket| {
            sockets.serve(place, socket, session, limits).await;
            drop(share);
        })
}

/// One connection.
struct Session {
    server: Arc<Server>,
    caller: Caller,
}

impl Calls<Topic> for Session {
    async fn call(
        &self,
        turn: &Turn<Topic>,
        method: String,
        params: Option<Box<RawValue>>,
    ) -> Answer {
        let Self { server, caller } = self;
        server.admit(caller, &method)?;
        let Ok(_place) = server.authenticator.enter(caller) else {
            return Err(Refusal::TooManyRequests.into());
        };
        // Waiting counts as the call's own time. It is never closed.
        let _permit = server.permits.acquire().await;
        let (tenant, params) = (caller.tenant.as_ref(), params.as_deref());
        match method.as_str() {
            "eth_subscribe" => {
                let place = place_of_subscription(server, caller)?;
                let service = &server.service;
                return subscriptions::subscribe_to_chain(service, tenant, (turn, place), params)
                    .await;
            }
            "eth_unsubscribe" => return subscriptions::unsubscribe_from_chain(turn, params),
            _ => {}
        }
        if methods::needs_socket(&method)
            && let (Some(tenant), Route::Own(own)) = (tenant, methods::route(&method))
            && let Request::Subscription(request) = own.read(params)?
        {
            let place = || place_of_subscription(server, caller);
            return subscriptions::execute(&server.service, tenant, (turn, place), request);
        }
        server.answer(caller, &method, params).await
    }

    async fn ended(&self) {
        self.server.authenticator.ended(&self.caller).await;
    }
}

fn place_of_subscription(server: &Server, caller: &Caller) -> Result<Place, Refusal> {
    let place = server.authenticator.subscribe(caller);
    place.map_err(|_| Refusal::TooManySubscriptionsOfTenant)
}
