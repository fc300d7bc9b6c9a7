//! A small HTTP client for load: one request at a time on each connection, which stays open.
//!
//! It shares the cores with what it measures; a full client would take more of them.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

/// An open connection to a JSON-RPC endpoint.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
    line: String,
    body: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub(crate) async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream: BufReader::with_capacity(16 * 1024, stream),
            line: String::new(),
            body: Vec::new(),
        })
    }

    /// Sends a prepared request ([`request`]); the answer's body.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Result<&[u8]> {
        self.stream.get_mut().write_all(request).await?;
        let mut length = None;
        loop {
            self.line.clear();
            ensure!(self.stream.read_line(&mut self.line).await? > 0, "the connection was closed");
            let line = self.line.trim_end();
            if line.is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = Some(value.trim().parse::<usize>()?);
            }
        }
        self.body.resize(length.context("an answer without length")?, 0);
        self.stream.read_exact(&mut self.body).await?;
        Ok(&self.body)
    }

    /// Calls a method: its `result`.
    pub(crate) async fn call(&mut self, method: &str, params: Value) -> Result<Value> {
        let request =
            request(&json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}));
        result(method, self.exchange(&request).await?)
    }
}

/// The bytes of an HTTP request.
pub(crate) fn request(body: &Value) -> Vec<u8> {
    with_header("", body)
}

/// The same with a token.
pub(crate) fn authorized(token: &str, body: &Value) -> Vec<u8> {
    with_header(&format!("authorization: Bearer {token}\r\n"), body)
}

fn with_header(header: &str, body: &Value) -> Vec<u8> {
    let body = body.to_string();
    let length = body.len();
    format!(
        "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{header}content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// The `result` in an answer.
pub(crate) fn result(method: &str, body: &[u8]) -> Result<Value> {
    let mut answer: Value = serde_json::from_slice(body)?;
    if let Some(error) = answer.get("error") {
        bail!("{method}: {error}");
    }
    Ok(answer.get_mut("result").map(Value::take).unwrap_or_default())
}

/// How long requests took.
#[derive(Debug, Default)]
pub(crate) struct Latencies {
    sorted: Vec<Duration>,
    took: Duration,
}

impl Latencies {
    /// Of requests that took so long, all together `took`.
    pub(crate) fn new(mut each: Vec<Duration>, took: Duration) -> Self {
        each.sort_unstable();
        Self { sorted: each, took }
    }

    /// Adds others of the same kind.
    pub(crate) fn add(&mut self, others: Self) {
        self.sorted.extend(others.sorted);
        self.sorted.sort_unstable();
        self.took += others.took;
    }

    /// Half of them took at most this.
    pub(crate) fn p50(&self) -> Duration {
        self.at(50)
    }

    /// 99 in 100 of them took at most this.
    pub(crate) fn p99(&self) -> Duration {
        self.at(99)
    }

    fn at(&self, percent: usize) -> Duration {
        self.sorted
            .get((self.sorted.len().saturating_sub(1)) * percent / 100)
            .copied()
            .unwrap_or_default()
    }

    /// Requests in a second.
    pub(crate) fn rate(&self) -> f64 {
        self.sorted.len() as f64 / self.took.as_secs_f64()
    }
}

/// Sends the same request over `connections` connections, each as soon as it has the answer to the
/// one before, as long as `go_on` says.
pub(crate) async fn load(
    address: SocketAddr,
    connections: usize,
    request: &[u8],
    go_on: impl Fn() -> bool + Clone + Send + 'static,
) -> Result<Latencies> {
    let started = Instant::now();
    let mut tasks = Vec::with_capacity(connections);
    for _ in 0..connections {
        let (request, go_on) = (request.to_vec(), go_on.clone());
        let mut connection = Connection::open(address).await?;
        tasks.push(tokio::spawn(async move {
            let mut each = Vec::new();
            while go_on() {
                let sent = Instant::now();
                let answer = connection.exchange(&request).await?;
                each.push(sent.elapsed());
                ensure!(
                    !answer.windows(7).any(|it| it == b"\"error\""),
                    "{}",
                    String::from_utf8_lossy(answer)
                );
            }
            Ok(each)
        }));
    }
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await??);
    }
    Ok(Latencies::new(all, started.elapsed()))
}

/// For so long.
pub(crate) fn during(time: Duration) -> impl Fn() -> bool + Clone + Send + 'static {
    let end = Instant::now() + time;
    move || Instant::now() < end
}
