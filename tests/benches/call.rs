//! Calls: `priv_call` of `balanceOf` over HTTP, while the node follows 20,000 transfers at full
//! speed, and while it is idle.
//!
//! The node has a process of its own; the client and the chain, which serves the blocks, are in
//! this one, on the same cores: what they take is missing to the node.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use alloy_primitives::{Address, hex};
use alloy_sol_types::SolCall;
use anyhow::{Context, Result};
use coterie_tests::poll;
use serde_json::{Value, json};

use crate::{
    child::{NodeArguments, NodeProcess, free_port},
    http::{Connection, Latencies, during, load, request},
    network::{PATIENCE, serve_chain},
    report::{Figure, Report, Target},
    runtime,
    workload::{Workload, balanceOfCall},
};

/// Transfers of the three groups.
const COUNTS: [usize; 3] = [6667, 6667, 6666];
const TIME: Duration = Duration::from_secs(3);
/// Connections that ask for all they can get.
const CONNECTIONS: usize = 16;

/// Measures both.
pub(crate) fn run(report: &mut Report) -> Result<()> {
    runtime()?.block_on(async {
        let workload = Workload::new(&COUNTS).await?;
        let server = serve_chain(workload.chain.clone()).await?;
        let node = NodeProcess::start(&NodeArguments {
            member: 1,
            directory: workload.directory.path().to_owned(),
            chain_url: server.url(),
            chain_id: workload.definition.chain_id,
            rpc_port: free_port()?,
            ..NodeArguments::default()
        })?;
        let call = balance_request(&workload)?;
        let trivial = request(&json!({
            "jsonrpc": "2.0", "id": 1, "method": "priv_getPrivacyPrecompileAddress", "params": []
        }));
        following(report, &workload, &node, &call).await?;

        // Once to warm up.
        load(node.api, 1, &call, during(TIME / 6)).await?;
        let (one, beside) = pair(&node, 1, &call, &trivial).await?;
        let ms = |it: Duration| it.as_secs_f64() * 1e3;
        report.add(
            Figure::ms("call, idle, one at a time: p50", one.p50())
                .beside("a trivial method there", ms(beside.p50()))
                .target(Target::AtMost(0.15)),
        );
        report.add(
            Figure::ms("call, idle, one at a time: p99", one.p99())
                .beside("a trivial method there", ms(beside.p99()))
                .target(Target::AtMost(1.0)),
        );
        let (many, beside) = pair(&node, CONNECTIONS, &call, &trivial).await?;
        report.add(
            Figure::new(format!("call, idle, {CONNECTIONS} at a time"), many.rate(), "/s")
                .beside("a trivial method there", beside.rate())
                .target(Target::AtLeast(20_000.0)),
        );
        node.stop()?;
        server.stop().await?;
        Ok(())
    })
}

/// The load with each of two requests.
async fn pair(
    node: &NodeProcess,
    connections: usize,
    call: &[u8],
    trivial: &[u8],
) -> Result<(Latencies, Latencies)> {
    let calls = load(node.api, connections, call, during(TIME)).await?;
    Ok((calls, load(node.api, connections, trivial, during(TIME)).await?))
}

/// Calls as long as the node is behind.
async fn following(
    report: &mut Report,
    workload: &Workload,
    node: &NodeProcess,
    call: &[u8],
) -> Result<()> {
    let mut connection = connect(node).await?;
    // The first blocks create the groups; from then on the call has an answer.
    until_followed(&mut connection, 6).await?;
    let behind = Arc::new(AtomicBool::new(true));
    let go_on = {
        let behind = Arc::clone(&behind);
        move || behind.load(Ordering::Relaxed)
    };
    let started = Instant::now();
    let calls = tokio::spawn({
        let (api, call) = (node.api, call.to_vec());
        async move { load(api, 2, &call, go_on).await }
    });
    let from = followed(&mut connection).await?.unwrap_or_default();
    let head = workload.chain.head().number;
    until_followed(&mut connection, head).await?;
    let took = started.elapsed();
    behind.store(false, Ordering::Relaxed);
    let calls = calls.await??;
    report.add(Figure::ms("call, following, two at a time: p50", calls.p50()));
    report.add(
        Figure::ms("call, following, two at a time: p99", calls.p99()).target(Target::AtMost(5.0)),
    );
    report.add(Figure::new("call, following: calls", calls.rate(), "/s"));
    let share = (head - from) as f64 / head as f64;
    let rate = workload.transfers.len() as f64 * share / took.as_secs_f64();
    report.add(Figure::new("call, following: followed meanwhile, over HTTP", rate, "tx/s"));
    Ok(())
}

fn balance_request(workload: &Workload) -> Result<Vec<u8>> {
    let group = workload.groups.first().context("a group")?;
    let owner = group.senders.first().map(|(key, _)| key.address()).unwrap_or_default();
    Ok(request(&balance_call(group.id.to_base64(), group.token(), owner)))
}

pub(crate) fn balance_call(group: String, token: Address, owner: Address) -> Value {
    let data = hex::encode_prefixed(balanceOfCall { owner }.abi_encode());
    json!({
        "jsonrpc": "2.0", "id": 1, "method": "priv_call",
        "params": [group, {"to": token, "data": data}, "latest"],
    })
}

/// Connects as soon as the node listens.
pub(crate) async fn connect(node: &NodeProcess) -> Result<Connection> {
    let listens =
        poll(Duration::from_millis(1), PATIENCE, async || Connection::open(node.api).await.ok());
    listens.await.context("a node did not start")
}

/// Waits until the node has followed this block.
pub(crate) async fn until_followed(connection: &mut Connection, number: u64) -> Result<()> {
    let reached = poll(Duration::from_millis(5), PATIENCE, async || {
        let followed = followed(connection).await.transpose()?;
        followed.map(|it| (it >= number).then_some(())).transpose()
    });
    reached.await.context("a node did not follow in time")?
}

/// The last block that the node has followed.
async fn followed(connection: &mut Connection) -> Result<Option<u64>> {
    let answer = connection.exchange(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n").await?;
    let answer: Value = serde_json::from_slice(answer)?;
    let number = answer.get("followed").or_else(|| answer.get("followedBlock"));
    Ok(number.and_then(|number| number.as_u64().or_else(|| number.get("number")?.as_u64())))
}
