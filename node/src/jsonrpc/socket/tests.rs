//! Sockets over real connections.

use std::net::SocketAddr;

use axum::{Router, extract::ws::WebSocketUpgrade, response::IntoResponse, routing::get};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{self, Message as Sent},
};

use super::*;
use crate::jsonrpc::{method_not_found, result};

/// How long anything may take.
const DEADLINE: Duration = Duration::from_secs(60);

/// `echo` gives its parameters back; `count` tells numbers; `flood` tells long texts; `end` ends
/// the connection; `stop` ends a subscription.
struct Echo;

impl Calls<&'static str> for Echo {
    async fn call(
        &self,
        turn: &Turn<&'static str>,
        method: String,
        params: Option<Box<RawValue>>,
    ) -> Answer {
        let full = |_| method_not_found("full");
        match method.as_str() {
            "echo" => Ok(params.unwrap_or_default()),
            "hang" => std::future::pending().await,
            "count" => {
                let tell = |to: Subscriber| async move {
                    for number in 0..3 {
                        to.notify("told", &json!([to.id(), number])).await.unwrap();
                    }
                };
                result(&turn.subscribe("count", tell).map_err(full)?)
            }
            "wait" => {
                let tell = |_| std::future::pending();
                result(&turn.subscribe("wait", tell).map_err(full)?)
            }
            "flood" => {
                let tell = |to: Subscriber| async move {
                    while to.notify("told", &"x".repeat(10_000)).await.is_ok() {}
                };
                result(&turn.subscribe("flood", tell).map_err(full)?)
            }
            "end" => {
                let tell = |to: Subscriber| async move { to.close(CloseReason::Ended) };
                result(&turn.subscribe("end", tell).map_err(full)?)
            }
            "stop" => {
                let (id,): (u64,) = serde_json::from_str(params.unwrap().get()).unwrap();
                result(&turn.unsubscribe(id, &"wait"))
            }
            _ => Err(method_not_found(&method)),
        }
    }
}

struct Server {
    address: SocketAddr,
    sockets: Sockets,
    stop: CancellationToken,
}

async fn server(limits: SocketLimits) -> Server {
    let stop = CancellationToken::new();
    let sockets = Sockets::new(limits, stop.clone());
    let serving = sockets.clone();
    let calls = Limits { body_bytes_max: 1_000, ..Limits::default() };
    let open = move |upgrade: WebSocketUpgrade| async move {
        let place = match serving.place() {
            Ok(place) => place,
            Err(none) => return none.into_response(),
        };
        upgrade
            .max_message_size(calls.body_bytes_max)
            .on_upgrade(move |socket| serving.serve(place, socket, Arc::new(Echo), calls))
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/", get(open));
    tokio::spawn(async move { axum::serve(listener, router).await });
    Server { address, sockets, stop }
}

struct Client(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Client {
    async fn new(server: &Server) -> Self {
        Self::open(server).await.expect("a connection")
    }

    async fn open(server: &Server) -> Result<Self, tungstenite::Error> {
        Ok(Self(connect_async(format!("ws://{}/", server.address)).await?.0))
    }

    /// What is answered in place of a connection.
    async fn refused(server: &Server) -> String {
        let Err(tungstenite::Error::Http(answer)) = Self::open(server).await else {
            panic!("no answer over HTTP");
        };
        String::from_utf8(answer.into_body().unwrap_or_default()).unwrap()
    }

    async fn send(&mut self, text: impl Into<String>) {
        self.0.send(Sent::Text(text.into().into())).await.unwrap();
    }

    async fn next(&mut self) -> Sent {
        let next = tokio::time::timeout(DEADLINE, self.0.next()).await;
        next.expect("in time").expect("a message").expect("no error")
    }

    async fn json(&mut self) -> Value {
        loop {
            match self.next().await {
                Sent::Text(text) => return serde_json::from_str(&text).unwrap(),
                Sent::Ping(_) | Sent::Pong(_) => {}
                Sent::Binary(_) | Sent::Close(_) | Sent::Frame(_) => panic!("no text"),
            }
        }
    }

    async fn call(&mut self, method: &str, params: Value) -> Value {
        self.send(json!({"id": 1, "method": method, "params": params}).to_string()).await;
        self.json().await
    }

    /// The code and the reason of the close frame, after whatever comes before it.
    async fn closed(&mut self) -> (u16, String) {
        loop {
            if let Sent::Close(frame) = self.next().await {
                let frame = frame.expect("a reason");
                return (frame.code.into(), frame.reason.to_string());
            }
        }
    }
}

#[tokio::test]
async fn calls_and_batches_are_answered_as_over_http() {
    let server = server(SocketLimits::default()).await;
    let mut client = Client::new(&server).await;
    assert_eq!(client.call("echo", json!([1])).await["result"], json!([1]));
    client.send(r#"[{"id":"a","method":"echo"},{"id":2,"method":"nothing"}]"#).await;
    let batch = client.json().await;
    assert_eq!((&batch[0]["id"], &batch[1]["error"]["code"]), (&json!("a"), &json!(-32601)));
    client.send("nonsense").await;
    assert_eq!(client.json().await["error"]["code"], -32700);
    client.0.send(Sent::Binary(r#"{"id":3,"method":"echo"}"#.into())).await.unwrap();
    assert_eq!(client.json().await["id"], 3);
}

#[tokio::test]
async fn a_call_that_takes_long_does_not_hold_up_others() {
    let server = server(SocketLimits::default()).await;
    let mut client = Client::new(&server).await;
    client.send(r#"{"id":1,"method":"hang"}"#).await;
    client.send(r#"{"id":2,"method":"echo"}"#).await;
    assert_eq!(client.json().await["id"], 2);
}

#[tokio::test]
async fn a_subscription_tells_after_its_id_was_answered() {
    let server = server(SocketLimits::default()).await;
    let mut client = Client::new(&server).await;
    for id in 1..=20 {
        assert_eq!(client.call("count", json!([])).await["result"], id);
        for number in 0..3 {
            assert_eq!(client.json().await["params"], json!([id, number]));
        }
    }
    let id = client.call("wait", json!([])).await["result"].clone();
    let mut other = Client::new(&server).await;
    assert_eq!(other.call("stop", json!([id])).await["result"], false);
    assert_eq!(client.call("stop", json!([id])).await["result"], true);
    assert_eq!(client.call("stop", json!([id])).await["result"], false);
}

#[tokio::test]
async fn connections_and_subscriptions_have_limits() {
    let limits = SocketLimits {
        connections_max: 2,
        subscriptions_max: 3,
        subscriptions_per_connection_max: 2,
        ..SocketLimits::default()
    };
    let server = server(limits).await;
    let (mut one, mut two) = (Client::new(&server).await, Client::new(&server).await);
    let refused = Client::refused(&server).await;
    assert!(refused.contains("2 WebSockets, as many as there may be"), "{refused}");
    for want in [true, true, false] {
        assert_eq!(one.call("wait", json!([])).await.get("result").is_some(), want);
    }
    for want in [true, false] {
        assert_eq!(two.call("wait", json!([])).await.get("result").is_some(), want);
    }
    // What a connection had is free when it is closed.
    drop(one);
    let opened = async {
        loop {
            if let Ok(client) = Client::open(&server).await {
                return client;
            }
            tokio::task::yield_now().await;
        }
    };
    let mut three = tokio::time::timeout(DEADLINE, opened).await.unwrap();
    assert!(three.call("wait", json!([])).await.get("result").is_some());
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off_and_told_why() {
    let limits = SocketLimits {
        queue_bytes_max: 100_000,
        patience: Duration::from_millis(100),
        ..SocketLimits::default()
    };
    let server = server(limits).await;
    let mut client = Client::new(&server).await;
    assert_eq!(client.call("flood", json!([])).await["result"], 1);
    // Nothing more is read until the server has given up.
    let mut other = Client::new(&server).await;
    let runs = || server.sockets.subscriptions.available_permits() < limits.subscriptions_max;
    let gave_up = async {
        while runs() {
            other.call("echo", json!([])).await;
        }
    };
    tokio::time::timeout(DEADLINE, gave_up).await.unwrap();
    assert_eq!(client.closed().await, (1008, CloseReason::TooSlow.frame().reason.to_string()));
}

#[tokio::test]
async fn a_client_that_closes_is_answered() {
    let server = server(SocketLimits::default()).await;
    let mut client = Client::new(&server).await;
    let code = tungstenite::protocol::frame::coding::CloseCode::Normal;
    let frame = tungstenite::protocol::CloseFrame { code, reason: "done".into() };
    client.0.send(Sent::Close(Some(frame))).await.unwrap();
    assert_eq!(client.closed().await.0, 1000);
}

#[tokio::test]
async fn a_message_that_is_too_long_ends_the_connection() {
    let server = server(SocketLimits::default()).await;
    let mut client = Client::new(&server).await;
    client.send("x".repeat(2_000)).await;
    assert_eq!(client.closed().await.0, 1009);
}

#[tokio::test]
async fn a_subscription_that_ends_by_itself_may_end_the_connection() {
    let server = server(SocketLimits::default()).await;
    let mut client = Client::new(&server).await;
    assert_eq!(client.call("end", json!([])).await["result"], 1);
    assert_eq!(client.closed().await.0, 1011);
}

#[tokio::test]
async fn a_client_that_is_not_heard_of_is_cut_off() {
    // So long that this test itself is not held up for two of them.
    let ping_interval = Duration::from_secs(2);
    let server = server(SocketLimits { ping_interval, ..SocketLimits::default() }).await;
    // One that reads answers pings.
    let mut alive = Client::new(&server).await;
    let silent = Client::new(&server).await;
    let gone = async {
        while server.sockets.connections.available_permits()
            < SocketLimits::default().connections_max - 1
        {
            alive.call("echo", json!([])).await;
        }
    };
    tokio::time::timeout(DEADLINE, gone).await.unwrap();
    assert_eq!(alive.call("echo", json!([5])).await["result"], json!([5]));
    drop(silent);
}

#[tokio::test]
async fn all_connections_are_closed_when_the_server_stops() {
    let server = server(SocketLimits::default()).await;
    let mut client = Client::new(&server).await;
    client.call("wait", json!([])).await;
    server.stop.cancel();
    assert_eq!(client.closed().await.0, 1001);
    drop(client);
    tokio::time::timeout(DEADLINE, server.sockets.closed()).await.unwrap();
    assert!(Client::refused(&server).await.contains("is stopping"));
}

#[tokio::test]
async fn a_server_that_stops_says_so_also_when_all_places_are_taken() {
    let server = server(SocketLimits { connections_max: 1, ..SocketLimits::default() }).await;
    let place = server.sockets.place().unwrap();
    assert_eq!(server.sockets.place().unwrap_err(), NoPlace::Full(1));
    server.stop.cancel();
    assert_eq!(server.sockets.place().unwrap_err(), NoPlace::Stopping);
    drop(place);
    assert_eq!(server.sockets.place().unwrap_err(), NoPlace::Stopping);
}
