//! `eth_subscribe` of the endpoint, over one WebSocket for everybody who subscribes.
//!
//! It connects when somebody subscribes first. When the connection breaks all subscriptions end,
//! which their consumers notice: what happened until the next connection would be missing, and only
//! they can find out what that was. Who subscribes to the same shares a subscription. A consumer
//! that takes too long is let go. Nothing else is sent here: calls go over HTTP.

use std::{collections::HashMap, time::Duration};

use axum::http::{HeaderValue, header};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures::{SinkExt, StreamExt};
use serde::Deserialize;
use serde_json::{json, value::RawValue};
use tokio::{
    net::TcpStream,
    sync::{OnceCell, mpsc, oneshot},
    time::{Instant, MissedTickBehavior},
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async_with_config,
    tungstenite::{self, Message, client::IntoClientRequest, protocol::WebSocketConfig},
};
use url::Url;

use super::transport::{ErrorBody, RpcError, endpoint, present};
use crate::chain::{ChainError, ChainSubscription};

/// Subscriptions of the endpoint, at most: those of all our clients, unless more were configured.
const TOPICS_MAX: usize = 8_192;
/// Bytes of the parameters of one.
const PARAMS_BYTES_MAX: usize = 64 << 10;
/// Requests to subscribe that wait.
const REQUESTS_MAX: usize = 64;
/// Between two pings; an endpoint that is not heard of for two of them is gone.
const PING: Duration = Duration::from_secs(20);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;
type Answer = oneshot::Sender<Result<ChainSubscription, ChainError>>;
type Results = mpsc::Sender<Box<RawValue>>;

/// The endpoint's subscriptions.
pub(super) struct Subscriptions {
    options: Options,
    requests: OnceCell<mpsc::Sender<Request>>,
}

#[derive(Clone)]
pub(super) struct Options {
    pub(super) url: Url,
    /// Time to connect, and for an answer.
    pub(super) timeout: Duration,
    /// Bytes in a message.
    pub(super) message_bytes_max: usize,
}

impl std::fmt::Debug for Subscriptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The URL may hold credentials.
        let endpoint = endpoint(&self.options.url);
        f.debug_struct("Subscriptions").field("endpoint", &endpoint).finish_non_exhaustive()
    }
}

struct Request {
    params: String,
    answer: Answer,
}

impl Subscriptions {
    /// Nothing is connected yet.
    pub(super) fn new(options: Options) -> Self {
        Self { options, requests: OnceCell::new() }
    }

    /// Subscribes with these parameters, as they are.
    pub(super) async fn subscribe(&self, params: &str) -> Result<ChainSubscription, ChainError> {
        let unavailable = |reason: &str| self.options.unavailable(reason);
        if params.len() > PARAMS_BYTES_MAX {
            return Err(ChainError::Refused {
                code: -32602,
                message: format!("a subscription has at most {PARAMS_BYTES_MAX} bytes"),
                data: None,
            });
        }
        let requests = self.requests.get_or_init(|| async {
            let (requests, received) = mpsc::channel(REQUESTS_MAX);
            tokio::spawn(Task::new(self.options.clone(), received).run());
            requests
        });
        let (answer, answered) = oneshot::channel();
        let request = Request { params: params.to_owned(), answer };
        let asking = async {
            requests.await.send(request).await.map_err(|_| unavailable("the node is stopping"))?;
            answered.await.map_err(|_| unavailable("the node is stopping"))?
        };
        let patience = self.options.timeout.saturating_mul(2);
        let asked = tokio::time::timeout(patience, asking).await;
        asked.unwrap_or_else(|_| Err(unavailable("no answer in time")))
    }
}

impl Options {
    fn unavailable(&self, reason: &str) -> ChainError {
        ChainError::Unavailable { endpoint: endpoint(&self.url), reason: reason.to_owned() }
    }

    async fn connect(&self) -> Result<Socket, ChainError> {
        let mut url = self.url.clone();
        // They go into a header; a URL that has a host takes both.
        let _ = (url.set_username(""), url.set_password(None));
        let failed = |error: tungstenite::Error| self.unavailable(&error.to_string());
        let mut request = url.as_str().into_client_request().map_err(failed)?;
        if let Some(credentials) = credentials(&self.url) {
            request.headers_mut().insert(header::AUTHORIZATION, credentials);
        }
        let config = WebSocketConfig::default()
            .max_message_size(Some(self.message_bytes_max))
            .max_frame_size(Some(self.message_bytes_max));
        let connecting = connect_async_with_config(request, Some(config), false);
        let connected = tokio::time::timeout(self.timeout, connecting).await;
        let connected = connected.map_err(|_| self.unavailable("it does not answer in time"))?;
        Ok(connected.map_err(failed)?.0)
    }
}

/// Basic authentication by what a URL says.
fn credentials(url: &Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let decoded = |text: &str| percent_encoding::percent_decode_str(text).collect::<Vec<_>>();
    let password = decoded(url.password().unwrap_or_default());
    let text = [decoded(url.username()), b":".to_vec(), password].concat();
    let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(text))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Something that is subscribed to.
struct Topic {
    params: String,
    /// The endpoint's id, as JSON; `None` until it has answered.
    id: Option<String>,
    consumers: Vec<Results>,
    /// Who waits for the endpoint's answer.
    waiting: Vec<Answer>,
}

impl Topic {
    fn is_wanted(&mut self) -> bool {
        self.consumers.retain(|it| !it.is_closed());
        self.waiting.retain(|it| !it.is_closed());
        !(self.consumers.is_empty() && self.waiting.is_empty())
    }

    fn accept(&mut self, answer: Answer) {
        let (results, subscription) = ChainSubscription::new();
        if answer.send(Ok(subscription)).is_ok() {
            self.consumers.push(results);
        }
    }

    /// Tells all consumers; those that have too much waiting are let go, which they notice.
    fn tell(&mut self, result: &RawValue) {
        self.consumers.retain(|it| it.try_send(result.to_owned()).is_ok());
    }
}

/// The task that has the connection.
struct Task {
    options: Options,
    requests: mpsc::Receiver<Request>,
    topics: HashMap<u64, Topic>,
    /// Which topic a request of ours is about.
    asked: HashMap<u64, u64>,
    last: u64,
}

/// Why a connection is not used any more.
enum Broken {
    /// It broke.
    Lost(ChainError),
    /// Nobody subscribes any more.
    Unused,
    /// The node stops.
    Stopping,
}

impl Task {
    fn new(options: Options, requests: mpsc::Receiver<Request>) -> Self {
        Self { options, requests, topics: HashMap::new(), asked: HashMap::new(), last: 0 }
    }

    async fn run(mut self) {
        // Without anybody who subscribes there is no connection.
        while let Some(request) = self.requests.recv().await {
            self.take(request);
            let broken = match self.options.connect().await {
                Ok(socket) => self.serve(socket).await,
                Err(error) => Broken::Lost(error),
            };
            self.asked.clear();
            match broken {
                Broken::Stopping => return,
                Broken::Unused => {}
                Broken::Lost(error) => {
                    tracing::warn!(%error, "the chain's subscriptions have ended");
                    self.end(&error);
                }
            }
        }
    }

    /// Ends all subscriptions, and refuses those that are asked for.
    fn end(&mut self, error: &ChainError) {
        let waiting = self.topics.drain().flat_map(|(_, topic)| topic.waiting);
        let asking = std::iter::from_fn(|| self.requests.try_recv().ok()).map(|it| it.answer);
        for answer in waiting.chain(asking) {
            // Who gave up does not mind.
            let _ = answer.send(Err(error.clone()));
        }
    }

    /// Notes a request; the topic that the endpoint must be asked for.
    fn take(&mut self, Request { params, answer }: Request) -> Option<u64> {
        if let Some(topic) = self.topics.values_mut().find(|it| it.params == params) {
            match topic.id {
                Some(_) => topic.accept(answer),
                None => topic.waiting.push(answer),
            }
            return None;
        }
        if self.topics.len() >= TOPICS_MAX {
            let reason = "this node has too many different subscriptions there";
            let _ = answer.send(Err(self.options.unavailable(reason)));
            return None;
        }
        self.last += 1;
        let topic = Topic { params, id: None, consumers: Vec::new(), waiting: vec![answer] };
        self.topics.insert(self.last, topic);
        Some(self.last)
    }

    /// Uses a connection until it breaks.
    async fn serve(&mut self, mut socket: Socket) -> Broken {
        let lost = |options: &Options, reason: &str| Broken::Lost(options.unavailable(reason));
        for number in self.topics.keys().copied().collect::<Vec<_>>() {
            let request = self.subscribe(number);
            if let Err(error) = socket.send(request).await {
                return lost(&self.options, &error.to_string());
            }
        }
        let mut pings = tokio::time::interval(PING);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = Instant::now();
        loop {
            let mut requests = Vec::new();
            tokio::select! {
                request = self.requests.recv() => match request {
                    Some(request) => requests.extend(self.take(request).map(|it| self.subscribe(it))),
                    None => return Broken::Stopping,
                },
                _ = pings.tick() => {
                    if heard.elapsed() > PING * 2 {
                        return lost(&self.options, "no answer to pings");
                    }
                    requests.push(Message::Ping(bytes::Bytes::new()));
                    requests.extend(self.unwanted());
                }
                message = socket.next() => {
                    heard = Instant::now();
                    match message {
                        Some(Ok(Message::Text(text))) => requests.extend(self.on_message(&text)),
                        Some(Ok(Message::Close(_))) | None => return lost(&self.options, "closed"),
                        Some(Ok(_)) => {}
                        Some(Err(error)) => return lost(&self.options, &error.to_string()),
                    }
                }
            }
            for request in requests {
                if let Err(error) = socket.send(request).await {
                    return lost(&self.options, &error.to_string());
                }
            }
            if self.topics.is_empty() {
                let _ = socket.close(None).await;
                return Broken::Unused;
            }
        }
    }

    fn request(&mut self, method: &str, params: &RawValue) -> (u64, Message) {
        self.last += 1;
        let id = self.last;
        let request = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        (id, Message::Text(request.to_string().into()))
    }

    /// The request that subscribes to a topic.
    fn subscribe(&mut self, number: u64) -> Message {
        let params = self.topics.get(&number).map(|it| it.params.clone()).unwrap_or_default();
        // It was JSON when it came.
        let params = RawValue::from_string(params).unwrap_or_default();
        let (id, message) = self.request("eth_subscribe", &params);
        self.asked.insert(id, number);
        message
    }

    /// Forgets topics that nobody follows any more: the requests that end them.
    fn unwanted(&mut self) -> Vec<Message> {
        let unwanted = self.topics.extract_if(|_, topic| !topic.is_wanted());
        let ids: Vec<_> = unwanted.filter_map(|(_, topic)| topic.id).collect();
        ids.into_iter().filter_map(|id| self.unsubscribe(&id)).collect()
    }

    fn unsubscribe(&mut self, id: &str) -> Option<Message> {
        let params = RawValue::from_string(format!("[{id}]")).ok()?;
        Some(self.request("eth_unsubscribe", &params).1)
    }

    /// Handles what came; a request that follows from it.
    fn on_message(&mut self, text: &str) -> Option<Message> {
        let message: Incoming = serde_json::from_str(text).ok()?;
        if let Some(params) = message.params {
            let id = params.subscription.get();
            let topic = self.topics.values_mut().find(|it| it.id.as_deref() == Some(id))?;
            topic.tell(&params.result);
            return None;
        }
        let number = self.asked.remove(&message.id?)?;
        match (message.result, message.error) {
            (Some(id), None) => {
                let Some(topic) = self.topics.get_mut(&number) else {
                    return self.unsubscribe(id.get());
                };
                topic.id = Some(id.get().to_owned());
                for answer in std::mem::take(&mut topic.waiting) {
                    topic.accept(answer);
                }
            }
            (_, error) => {
                // Its consumers, if it had any, notice that it has ended.
                let topic = self.topics.remove(&number)?;
                let error = error.map_or_else(
                    || self.options.unavailable("neither result nor error in the answer"),
                    refused,
                );
                for answer in topic.waiting {
                    let _ = answer.send(Err(error.clone()));
                }
            }
        }
        None
    }
}

/// A message of the endpoint: an answer or a notification.
#[derive(Deserialize)]
struct Incoming {
    #[serde(default)]
    id: Option<u64>,
    #[serde(default, deserialize_with = "present")]
    result: Option<Box<RawValue>>,
    #[serde(default)]
    error: Option<ErrorBody>,
    #[serde(default)]
    params: Option<Params>,
}

#[derive(Deserialize)]
struct Params {
    subscription: Box<RawValue>,
    result: Box<RawValue>,
}

fn refused(error: ErrorBody) -> ChainError {
    let RpcError { code, message, data } = error.into();
    ChainError::Refused { code, message, data }
}

#[cfg(test)]
mod tests;
