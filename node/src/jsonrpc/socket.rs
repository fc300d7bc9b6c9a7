//! JSON-RPC over a WebSocket: calls and batches as over HTTP, several at a time, and subscriptions.
//!
//! Knows no method. A subscription is a task that tells things; its first notification comes after
//! the answer with its id. Connections, subscriptions, running messages, and what waits to be sent
//! have limits. Format: <https://www.jsonrpc.org/specification>, a message of the socket is a body.

use std::{
    collections::HashMap,
    fmt,
    pin::pin,
    sync::{Arc, Weak},
    time::Duration,
};

use axum::{
    extract::ws::{Message, WebSocket},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    task::{AbortHandle, JoinSet},
    time::{Instant, MissedTickBehavior},
};
use tokio_util::sync::CancellationToken;

pub use super::outbox::{CloseReason, Closed};
use super::{
    Answer, Limits,
    outbox::{Outbox, length},
};

/// How long a client has to take a close frame, and to answer it.
const CLOSE_MAX: Duration = Duration::from_secs(5);
/// Connections, or subscriptions, whatever is configured.
const PLACES_MAX: usize = 1 << 24;
/// How long running calls may take when the node stops.
const FINISH_MAX: Duration = Duration::from_secs(2);

/// Limits of WebSockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketLimits {
    /// Connections at a time.
    pub connections_max: usize,
    /// Subscriptions of all connections together.
    pub subscriptions_max: usize,
    /// Subscriptions on one connection.
    pub subscriptions_per_connection_max: usize,
    /// Messages of one connection that are answered at the same time; further ones wait.
    pub messages_max: usize,
    /// Bytes that wait to be sent on one connection.
    pub queue_bytes_max: usize,
    /// How long a message may wait for room among these, before the client is cut off.
    pub patience: Duration,
    /// Between two pings; a client that is not heard of for two of them is cut off.
    pub ping_interval: Duration,
}

impl Default for SocketLimits {
    fn default() -> Self {
        Self {
            connections_max: 1_024,
            subscriptions_max: 8_192,
            subscriptions_per_connection_max: 128,
            messages_max: 16,
            queue_bytes_max: 4 << 20,
            patience: Duration::from_secs(30),
            ping_interval: Duration::from_secs(30),
        }
    }
}

/// What calls of a connection are answered with. Subscriptions are told apart by `T`.
pub trait Calls<T>: Send + Sync + 'static {
    /// Answers one call.
    fn call(
        &self,
        turn: &Turn<T>,
        method: String,
        params: Option<Box<RawValue>>,
    ) -> impl Future<Output = Answer> + Send;

    /// Resolves when the caller may call no longer: then the connection is closed.
    fn ended(&self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }
}

/// All WebSockets of a server.
#[derive(Clone, Debug)]
pub struct Sockets {
    limits: SocketLimits,
    connections: Arc<Semaphore>,
    subscriptions: Arc<Semaphore>,
    stop: CancellationToken,
}

/// There is no place for one more connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPlace {
    /// There are as many as there may be.
    #[error("there are {0} WebSockets, as many as there may be: try again later")]
    Full(usize),
    /// The server stops.
    #[error("this server is stopping: connect again when it is back")]
    Stopping,
}

/// The answer in place of a connection: 503, with the reason.
impl IntoResponse for NoPlace {
    fn into_response(self) -> Response {
        (StatusCode::SERVICE_UNAVAILABLE, self.to_string()).into_response()
    }
}

/// The place of a connection among those that there may be.
#[derive(Debug)]
pub struct Place(
    #[expect(dead_code, reason = "it is given back when it is dropped")] OwnedSemaphorePermit,
);

impl Sockets {
    /// None yet; all are closed at `stop`.
    pub fn new(limits: SocketLimits, stop: CancellationToken) -> Self {
        Self {
            limits,
            connections: Arc::new(semaphore(limits.connections_max)),
            subscriptions: Arc::new(semaphore(limits.subscriptions_max)),
            stop,
        }
    }

    /// A place for one more.
    ///
    /// # Errors
    ///
    /// There is none, or the server stops.
    pub fn place(&self) -> Result<Place, NoPlace> {
        let place = Arc::clone(&self.connections).try_acquire_owned();
        // First: a server that stops takes all places itself.
        if self.stop.is_cancelled() {
            return Err(NoPlace::Stopping);
        }
        place.map(Place).map_err(|_| NoPlace::Full(self.limits.connections_max))
    }

    /// Waits until all connections are closed; for after `stop`.
    pub async fn closed(&self) {
        let all = self.limits.connections_max.min(PLACES_MAX);
        let all = u32::try_from(all).unwrap_or(u32::MAX);
        // It is never closed.
        let _ = self.connections.acquire_many(all).await;
    }

    /// Serves a connection until it ends.
    pub async fn serve<T: PartialEq + Send + 'static>(
        self,
        _place: Place,
        socket: WebSocket,
        calls: Arc<impl Calls<T>>,
        limits: Limits,
    ) {
        let (sink, stream) = socket.split();
        let outbox = Outbox::new(self.limits.queue_bytes_max, self.limits.patience);
        let mut writer = JoinSet::new();
        writer.spawn(write(sink, Arc::clone(&outbox)));
        let connection = Arc::new(Connection {
            outbox: Arc::clone(&outbox),
            running: Mutex::default(),
            per_connection_max: self.limits.subscriptions_per_connection_max,
            total: Arc::clone(&self.subscriptions),
        });
        let mut reading = Reading {
            connection: &connection,
            calls,
            limits,
            stream,
            messages: JoinSet::new(),
            socket_limits: self.limits,
        };
        let closes = reading.run(&self.stop).await;
        let Reading { mut stream, messages, .. } = reading;
        drop(messages);
        connection.running.lock().tasks.clear();
        if closes {
            // Otherwise the system would tell a client that sends of a reset, not of the reason.
            let goodbye = async {
                writer.join_next().await;
                while let Some(Ok(_)) = stream.next().await {}
            };
            let _ = tokio::time::timeout(CLOSE_MAX, goodbye).await;
        }
    }
}

/// As many places as are wanted, and as there can be.
fn semaphore(places: usize) -> Semaphore {
    Semaphore::new(places.min(PLACES_MAX))
}

/// Sends what is in the outbox, until the connection ends or a close frame was sent.
async fn write(mut sink: SplitSink<WebSocket, Message>, outbox: Arc<Outbox>) {
    loop {
        let message = outbox.take().await;
        let (bytes, last) = (length(&message), matches!(message, Message::Close(_)));
        if sink.send(message).await.is_err() || last {
            return;
        }
        outbox.sent(bytes);
    }
}

/// The side of a connection that listens.
struct Reading<'a, T, C> {
    connection: &'a Arc<Connection<T>>,
    calls: Arc<C>,
    limits: Limits,
    stream: SplitStream<WebSocket>,
    /// Messages that are being answered.
    messages: JoinSet<()>,
    socket_limits: SocketLimits,
}

impl<T: PartialEq + Send + 'static, C: Calls<T>> Reading<'_, T, C> {
    /// Until the connection ends; whether it is this side that ends it.
    async fn run(&mut self, stop: &CancellationToken) -> bool {
        let mut pings = tokio::time::interval(self.socket_limits.ping_interval);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        pings.tick().await;
        let mut heard = Instant::now();
        let connection = self.connection;
        let outbox = &connection.outbox;
        let calls = Arc::clone(&self.calls);
        let mut ended = pin!(calls.ended());
        loop {
            let has_room = self.messages.len() < self.socket_limits.messages_max.max(1);
            tokio::select! {
                () = stop.cancelled() => {
                    let finish = async { while self.messages.join_next().await.is_some() {} };
                    let _ = tokio::time::timeout(FINISH_MAX, finish).await;
                    outbox.close(CloseReason::Stopping);
                    return true;
                }
                () = outbox.closed() => return true,
                () = &mut ended => {
                    outbox.close(CloseReason::Unauthorized);
                    return true;
                }
                _ = pings.tick() => {
                    // While messages wait to be read the client was heard, but not listened to.
                    if has_room && heard.elapsed() > self.socket_limits.ping_interval * 2 {
                        outbox.close(CloseReason::Silent);
                        return true;
                    }
                    outbox.ping();
                }
                Some(_) = self.messages.join_next() => {}
                message = self.stream.next(), if has_room => {
                    heard = Instant::now();
                    match message {
                        Some(Ok(Message::Text(text))) => self.answer(text.into()),
                        Some(Ok(Message::Binary(bytes))) => self.answer(bytes),
                        Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                        Some(Ok(Message::Close(_))) => {
                            // Reading on sends the answer to it, which the library has ready.
                            let rest = async { while let Some(Ok(_)) = self.stream.next().await {} };
                            let _ = tokio::time::timeout(CLOSE_MAX, rest).await;
                            return false;
                        }
                        None => return false,
                        Some(Err(error)) => {
                            if !is_too_long(&error) {
                                return false;
                            }
                            outbox.close(CloseReason::TooLong);
                            return true;
                        }
                    }
                }
            }
        }
    }

    /// Answers a message, while others are read.
    fn answer(&mut self, body: Bytes) {
        let (connection, calls) = (Arc::clone(self.connection), Arc::clone(&self.calls));
        let limits = self.limits;
        self.messages.spawn(async move {
            let turn = Turn { connection, gates: Mutex::default() };
            let (turn, calls) = (&turn, &*calls);
            let call = |method, params| calls.call(turn, method, params);
            let reply = super::answer(&body, &limits, call).await;
            let empty = reply.body.is_empty();
            if empty || turn.connection.outbox.push(reply.body).await.is_ok() {
                for gate in turn.gates.lock().drain(..) {
                    // A subscription that is gone already does not mind.
                    let _ = gate.send(());
                }
            }
        });
    }
}

fn is_too_long(error: &axum::Error) -> bool {
    use tokio_tungstenite::tungstenite;
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(tungstenite::Error::Capacity(_)) = cause.downcast_ref() {
            return true;
        }
        source = cause.source();
    }
    false
}

/// What a connection's parts share.
struct Connection<T> {
    outbox: Arc<Outbox>,
    running: Mutex<Running<T>>,
    per_connection_max: usize,
    total: Arc<Semaphore>,
}

struct Running<T> {
    last: u64,
    tasks: HashMap<u64, Task<T>>,
}

impl<T> Default for Running<T> {
    fn default() -> Self {
        Self { last: 0, tasks: HashMap::new() }
    }
}

/// A subscription that runs; it ends when this is dropped.
struct Task<T> {
    topic: T,
    handle: AbortHandle,
    _place: OwnedSemaphorePermit,
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.handle.abort();
    }
}

/// The answering of one message: what a call may do to its connection.
pub struct Turn<T> {
    connection: Arc<Connection<T>>,
    /// Opened when the message was answered.
    gates: Mutex<Vec<oneshot::Sender<()>>>,
}

impl<T> fmt::Debug for Turn<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Turn")
    }
}

/// There are as many subscriptions as there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no more than {0} subscriptions")]
pub struct TooManySubscriptions(pub usize);

impl<T: PartialEq + Send + 'static> Turn<T> {
    /// Starts a subscription when the message is answered; its id.
    ///
    /// # Errors
    ///
    /// There are too many.
    pub fn subscribe<F: Future<Output = ()> + Send + 'static>(
        &self,
        topic: T,
        tell: impl FnOnce(Subscriber) -> F,
    ) -> Result<u64, TooManySubscriptions> {
        let connection = &self.connection;
        let mut running = connection.running.lock();
        let max = connection.per_connection_max;
        let place = Arc::clone(&connection.total).try_acquire_owned().ok();
        let place = place.filter(|_| running.tasks.len() < max).ok_or(TooManySubscriptions(max))?;
        running.last += 1;
        let id = running.last;
        let telling = tell(Subscriber { id, outbox: Arc::clone(&connection.outbox) });
        let (gate, opened) = oneshot::channel();
        let known: Weak<Connection<T>> = Arc::downgrade(connection);
        let task = tokio::spawn(async move {
            if opened.await.is_ok() {
                telling.await;
            }
            if let Some(connection) = known.upgrade() {
                connection.running.lock().tasks.remove(&id);
            }
        });
        let handle = task.abort_handle();
        running.tasks.insert(id, Task { topic, handle, _place: place });
        self.gates.lock().push(gate);
        Ok(id)
    }

    /// Ends a subscription; whether there was one with this id and topic.
    pub fn unsubscribe(&self, id: u64, topic: &T) -> bool {
        let mut running = self.connection.running.lock();
        let found = running.tasks.get(&id).is_some_and(|it| it.topic == *topic);
        found && running.tasks.remove(&id).is_some()
    }
}

/// Who is told by a subscription.
#[derive(Debug)]
pub struct Subscriber {
    id: u64,
    outbox: Arc<Outbox>,
}

#[derive(Serialize)]
struct Notification<'a, P: Serialize> {
    jsonrpc: &'static str,
    method: &'a str,
    params: &'a P,
}

impl Subscriber {
    /// The subscription's id.
    pub const fn id(&self) -> u64 {
        self.id
    }

    /// Tells something; waits while much waits to be sent.
    ///
    /// # Errors
    ///
    /// The connection is closed.
    pub async fn notify(&self, method: &str, params: &impl Serialize) -> Result<(), Closed> {
        let text = serde_json::to_vec(&Notification { jsonrpc: "2.0", method, params });
        // Text and numbers only: writing them to memory has no error.
        self.outbox.push(text.unwrap_or_default().into()).await
    }

    /// Ends the connection.
    pub fn close(&self, reason: CloseReason) {
        self.outbox.close(reason);
    }
}

#[cfg(test)]
mod tests;
