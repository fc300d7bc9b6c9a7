//! Subscribers: 1,000 WebSockets, each with a subscription to the logs of the same group.
//!
//! The node, in a process of its own, says when it has followed a block; the clients, which are in
//! this process, when they have a log. The sockets of both are on the same cores.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use futures::{SinkExt, TryStreamExt, future};
use serde_json::{Value, json};
use tokio::{
    net::TcpStream,
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::JoinSet,
};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{Message, protocol::WebSocketConfig},
};

use crate::{
    call::{connect, until_followed},
    child::{NodeArguments, NodeProcess, now},
    http::Latencies,
    network::PATIENCE,
    report::{Figure, Report, Target},
    workload::Workload,
};

/// Sockets with one subscription each.
const SUBSCRIBERS: usize = 1000;
/// Blocks of each kind.
const ROUNDS: usize = 20;
/// Logs of a block: few, and as many as a busy group has.
const LOGS: [usize; 2] = [1, 10];
/// Transfers that must not be mined before.
pub(crate) const TRANSFERS: usize = ROUNDS * (LOGS[0] + LOGS[1]);

type Socket = WebSocketStream<TcpStream>;

/// Measures with a node that has followed the chain before.
pub(crate) async fn run(
    report: &mut Report,
    arguments: &NodeArguments,
    workload: &mut Workload,
) -> Result<()> {
    let mut node = NodeProcess::start(arguments)?;
    let mut followed = node.followed()?;
    until_followed(&mut connect(&node).await?, workload.chain.head().number).await?;
    let group = workload.groups.first().context("a group")?.id.to_base64();

    let before = node.resident()?;
    let mut sockets = Vec::with_capacity(SUBSCRIBERS);
    for _ in 0..SUBSCRIBERS {
        sockets.push(open(&node).await?);
    }
    let trivial = all_at_once(&mut sockets).await?;
    let open = node.resident()?;
    for socket in &mut sockets {
        let id = ask(socket, "priv_subscribe", json!([group, "logs", {}])).await?;
        ensure!(id.is_string(), "a subscription's id, not {id}");
    }
    let subscribed = node.resident()?;
    let (sender, mut deliveries) = unbounded_channel();
    let mut listening = JoinSet::new();
    for socket in sockets {
        listening.spawn(listen(socket, sender.clone()));
    }
    for logs in LOGS {
        let mut rounds = Rounds::default();
        for _ in 0..ROUNDS {
            rounds.one(workload, logs, &mut followed, &mut deliveries).await?;
        }
        rounds.report(report, logs, trivial);
    }
    let after = node.resident()?;
    ensure!(deliveries.is_empty(), "a log was told twice");

    let kb = |bytes: u64| bytes.saturating_sub(before) as f64 / SUBSCRIBERS as f64 / 1e3;
    report.add(
        Figure::new("subscribers: memory of each", kb(subscribed), "kB")
            .beside("a WebSocket alone", kb(open))
            .target(Target::AtMost(50.0)),
    );
    report.add(
        Figure::new("subscribers: memory of each, after all blocks", kb(after), "kB")
            .beside("a WebSocket alone", kb(open)),
    );
    drop(listening);
    node.stop()
}

/// What the blocks of one kind took.
#[derive(Default)]
struct Rounds {
    /// From commit to the first delivery.
    first: Vec<Duration>,
    /// From commit to the last one.
    last: Vec<Duration>,
    /// From the block to the last one.
    mined: Vec<Duration>,
}

impl Rounds {
    /// Makes a block and waits until everybody has its logs.
    async fn one(
        &mut self,
        workload: &mut Workload,
        logs: usize,
        followed: &mut UnboundedReceiver<(u64, Duration)>,
        deliveries: &mut UnboundedReceiver<Result<Duration>>,
    ) -> Result<()> {
        let mined = now();
        let number = workload.mine(logs)?.number;
        let delivering = async {
            let (mut first, mut last) = (Duration::MAX, Duration::ZERO);
            for _ in 0..SUBSCRIBERS * logs {
                let at = deliveries.recv().await.context("a subscriber")??;
                (first, last) = (first.min(at), last.max(at));
            }
            loop {
                let (at, committed) = followed.recv().await.context("the node")?;
                if at >= number {
                    return Result::<_>::Ok((committed, first, last));
                }
            }
        };
        let (committed, first, last) = tokio::time::timeout(PATIENCE, delivering)
            .await
            .context("not everybody was told in time")??;
        self.first.push(first.saturating_sub(committed));
        self.last.push(last.saturating_sub(committed));
        self.mined.push(last.saturating_sub(mined));
        Ok(())
    }

    fn report(self, report: &mut Report, logs: usize, trivial: Duration) {
        let ms = |it: Duration| it.as_secs_f64() * 1e3;
        let name = format!("subscribers, {logs} logs in a block");
        let worst = self.last.iter().max().copied().unwrap_or_default();
        let half = |each| Latencies::new(each, Duration::ZERO).p50();
        let last = half(self.last);
        report.add(
            Figure::ms(format!("{name}: commit to last delivery, p50"), last)
                .beside("an answer on each of the sockets", ms(trivial) * logs as f64)
                .target(Target::RatioAtMost(1.0)),
        );
        report.add(
            Figure::ms(format!("{name}: commit to last delivery, worst"), worst)
                .beside("p50", ms(last)),
        );
        report.add(Figure::ms(format!("{name}: commit to first delivery, p50"), half(self.first)));
        report.add(Figure::ms(format!("{name}: block to last delivery, p50"), half(self.mined)));
    }
}

/// Connects.
async fn open(node: &NodeProcess) -> Result<Socket> {
    let stream = TcpStream::connect(node.api).await?;
    // There are many, and what they read is short.
    let config = WebSocketConfig::default().read_buffer_size(4096);
    let url = format!("ws://{}/", node.api);
    Ok(client_async_with_config(url, stream, Some(config)).await?.0)
}

/// Asks a trivial method on all sockets at once: until the last answer. Twice, the first one warms
/// up.
async fn all_at_once(sockets: &mut [Socket]) -> Result<Duration> {
    let mut took = Duration::ZERO;
    for _ in 0..2 {
        let started = Instant::now();
        let asked = sockets
            .iter_mut()
            .map(|socket| ask(socket, "priv_getPrivacyPrecompileAddress", json!([])));
        future::try_join_all(asked).await?;
        took = started.elapsed();
    }
    Ok(took)
}

/// Calls a method: its `result`.
async fn ask(socket: &mut Socket, method: &str, params: Value) -> Result<Value> {
    let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    socket.send(Message::text(request.to_string())).await?;
    let answer = next(socket).await?;
    crate::http::result(method, answer.as_bytes())
}

/// The next text.
async fn next(socket: &mut Socket) -> Result<String> {
    loop {
        match socket.try_next().await?.context("the connection was closed")? {
            Message::Text(text) => return Ok(text.to_string()),
            Message::Ping(_) | Message::Pong(_) => {}
            other @ (Message::Binary(_) | Message::Close(_) | Message::Frame(_)) => {
                bail!("no text: {other:?}")
            }
        }
    }
}

/// Says when each log came, until nobody listens or the connection ends.
async fn listen(mut socket: Socket, sender: UnboundedSender<Result<Duration>>) {
    loop {
        let delivery = next(&mut socket).await.and_then(|text| {
            let is_log = text.contains("\"priv_subscription\"") && text.contains("\"topics\"");
            ensure!(is_log, "no log: {text}");
            Ok(now())
        });
        let failed = delivery.is_err();
        if sender.send(delivery).is_err() || failed {
            return;
        }
    }
}
