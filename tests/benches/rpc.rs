//! The API: reads over HTTP on a chain of 10,000 blocks, with and without tokens, beside a trivial
//! method of the same server; the price of `priv_getLogs`; and subscribers ([`subscribers`]).
//!
//! The node has a process of its own; the client and the chain are in this one, on the same cores.
//! Every block has one transfer, so one log, of one group; a filter names the recipient. What is
//! compared with and without tokens is measured on nodes that were just started, and searches are
//! beside others of as many logs in as recent blocks.

use std::{path::PathBuf, time::Duration};

use alloy_primitives::{Address, address};
use alloy_sol_types::{SolEvent, sol};
use anyhow::{Context, Result, ensure};
use coterie_node::{
    chain::dev::wall_clock,
    rpc::auth::{options::Algorithm, sign::SigningKey},
};
use serde_json::{Value, json};

use crate::{
    call::{balance_call, connect, until_followed},
    child::{NodeArguments, NodeProcess, free_port},
    http::{Latencies, authorized, during, load, request},
    network::{enclave_key, serve_chain},
    report::{Figure, Report, Target},
    runtime, subscribers,
    workload::{Group, Workload},
};

sol! {
    event Transfer(address indexed from, address indexed to, uint256 value);
}

/// Blocks with one transfer each.
const BLOCKS: usize = 10_000;
/// The last ones of these.
const LAST: usize = 100;
const TIME: Duration = Duration::from_secs(1);
/// Connections that ask for all they can get.
const CONNECTIONS: [usize; 2] = [1, 16];

/// Paid in 10 of all blocks, far from each other.
const RARE: Address = address!("0x1000000000000000000000000000000000000001");
/// Paid in 10 of the last 100 blocks.
const LATE: Address = address!("0x1000000000000000000000000000000000000002");
/// Paid in 1,000 of all blocks.
const FREQUENT: Address = address!("0x1000000000000000000000000000000000000003");

/// Who is paid in a block, when it is none of the many others.
const fn recipient(at: usize) -> Option<Address> {
    if at % 1000 == 500 {
        Some(RARE)
    } else if at % 10 == 1 && at < BLOCKS {
        Some(FREQUENT)
    } else if at % 10 == 5 && at >= BLOCKS - LAST && at < BLOCKS {
        Some(LATE)
    } else {
        None
    }
}

/// Measures all.
pub(crate) fn run(report: &mut Report) -> Result<()> {
    runtime()?.block_on(async {
        let mut numbers = 0..;
        let blocks = (1, subscribers::TRANSFERS);
        let mut workload =
            Workload::with(&[BLOCKS + subscribers::TRANSFERS], blocks, |group: &mut Group| {
                group.transfer_to(numbers.next().and_then(recipient))
            })
            .await?;
        let server = serve_chain(workload.chain.clone()).await?;
        let arguments = NodeArguments {
            member: 1,
            directory: workload.directory.path().to_owned(),
            chain_url: server.url(),
            chain_id: workload.definition.chain_id,
            rpc_port: free_port()?,
            ..NodeArguments::default()
        };
        let node = NodeProcess::start(&arguments)?;
        until_followed(&mut connect(&node).await?, workload.chain.head().number).await?;
        let reads = Reads::new(&node, &workload).await?;
        searches(report, &node, &workload).await?;
        node.stop()?;

        let tokens = Tokens::new(&arguments)?;
        let mut plain = reads.measure(&arguments, None).await?;
        let mut with_token = reads.measure(&arguments, Some(&tokens)).await?;
        // The other way round: what comes later has a machine in another state.
        add_all(&mut with_token, reads.measure(&arguments, Some(&tokens)).await?);
        add_all(&mut plain, reads.measure(&arguments, None).await?);
        compare(report, &plain, &with_token);

        let arguments = NodeArguments { rpc_port: free_port()?, tells: true, ..arguments };
        subscribers::run(report, &arguments, &mut workload).await?;
        server.stop().await?;
        Ok(())
    })
}

/// What is asked for, again and again. The first one is trivial.
struct Reads([(&'static str, Value); 4]);

/// How long a read took over so many connections.
struct Measured {
    read: &'static str,
    connections: usize,
    took: Latencies,
}

impl Reads {
    async fn new(node: &NodeProcess, workload: &Workload) -> Result<Self> {
        let group = workload.groups.first().context("a group")?;
        let holder = group.senders.first().map(|(key, _)| key.address()).unwrap_or_default();
        let logs = json!([group.id.to_base64(), filter(group, RARE, json!("earliest"))]);
        let found = connect(node).await?.call("priv_getLogs", logs.clone()).await?;
        ensure!(found.as_array().is_some_and(|it| it.len() == 10), "10 logs, not {found}");
        let marker = found.pointer("/5/transactionHash").context("a log's transaction")?;
        let body =
            |method, params| json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        Ok(Self([
            ("trivial", body("priv_getPrivacyPrecompileAddress", json!([]))),
            ("call", balance_call(group.id.to_base64(), group.token(), holder)),
            ("receipt", body("priv_getTransactionReceipt", json!([marker]))),
            ("10 logs of 10,000 blocks", body("priv_getLogs", logs)),
        ]))
    }

    /// Measures on a node that was just started, with or without tokens.
    async fn measure(
        &self,
        arguments: &NodeArguments,
        tokens: Option<&Tokens>,
    ) -> Result<Vec<Measured>> {
        let token_key = tokens.map(|it| it.key.clone());
        let arguments = NodeArguments { rpc_port: free_port()?, token_key, ..arguments.clone() };
        let node = NodeProcess::start(&arguments)?;
        drop(connect(&node).await?);
        let mut measured = Vec::new();
        for connections in CONNECTIONS {
            for (read, body) in &self.0 {
                let request = match tokens {
                    Some(tokens) => authorized(&tokens.token, body),
                    None => request(body),
                };
                // Once to warm up.
                load(node.api, connections, &request, during(TIME / 4)).await?;
                let took = load(node.api, connections, &request, during(TIME)).await?;
                measured.push(Measured { read, connections, took });
            }
        }
        node.stop()?;
        Ok(measured)
    }
}

fn add_all(to: &mut [Measured], others: Vec<Measured>) {
    for (to, other) in to.iter_mut().zip(others) {
        to.took.add(other.took);
    }
}

/// A token, and what it is verified with.
struct Tokens {
    key: PathBuf,
    token: String,
}

impl Tokens {
    fn new(arguments: &NodeArguments) -> Result<Self> {
        let signing = SigningKey::generate(Algorithm::Es256)?;
        let key = arguments.directory.join("tokens.pem");
        std::fs::write(&key, signing.to_public_pem()?)?;
        let token = signing.token(&json!({
            "exp": wall_clock()() + 3600,
            "permissions": ["*:*"],
            "privacyUserId": enclave_key(arguments.member)?.to_base64(),
        }))?;
        Ok(Self { key, token })
    }
}

/// Every read beside the trivial one, and with a token beside itself without.
fn compare(report: &mut Report, plain: &[Measured], with_token: &[Measured]) {
    let mut trivial = None;
    for (plain, with_token) in plain.iter().zip(with_token) {
        let name = format!("{}, {} at a time", plain.read, plain.connections);
        if plain.read == "trivial" {
            trivial = Some(&plain.took);
            add(report, &name, &plain.took, None);
        } else {
            // Most of a call is HTTP and JSON; ten logs are ten times as much of both.
            let part = if plain.read.contains("logs") { 0.2 } else { 0.5 };
            let beside = trivial.map(|it| ("a trivial method there", it, part));
            add(report, &name, &plain.took, beside);
        }
        let beside = Some(("without token", &plain.took, 0.5));
        add(report, &format!("{name}, ES256"), &with_token.took, beside);
    }
}

/// The rate, of which a part of another one is wanted, and the times.
fn add(
    report: &mut Report,
    name: &str,
    took: &Latencies,
    beside: Option<(&'static str, &Latencies, f64)>,
) {
    let ms = |it: Duration| it.as_secs_f64() * 1e3;
    let mut rate = Figure::new(format!("rpc, {name}"), took.rate(), "/s");
    let mut p50 = Figure::ms(format!("rpc, {name}: p50"), took.p50());
    let mut p99 = Figure::ms(format!("rpc, {name}: p99"), took.p99());
    if let Some((other, than, part)) = beside {
        rate = rate.beside(other, than.rate()).target(Target::RatioAtLeast(part));
        p50 = p50.beside(other, ms(than.p50()));
        p99 = p99.beside(other, ms(than.p99()));
    }
    [rate, p50, p99].into_iter().for_each(|figure| report.add(figure));
}

/// The price of looking for logs: the same ones in all blocks and in the last, such as are far from
/// each other, and many. Each is the better of two turns.
async fn searches(report: &mut Report, node: &NodeProcess, workload: &Workload) -> Result<()> {
    let group = workload.groups.first().context("a group")?;
    let first = workload.chain.head().number + 1 - LAST as u64;
    let filters = [
        (filter(group, LATE, json!(format!("{first:#x}"))), 10),
        (filter(group, LATE, json!("0x0")), 10),
        (filter(group, RARE, json!("0x0")), 10),
        (filter(group, FREQUENT, json!("0x0")), 1000),
    ];
    let mut times = [Duration::MAX; 4];
    for _ in 0..2 {
        for (time, (filter, logs)) in times.iter_mut().zip(&filters) {
            *time = (*time).min(search(node, group, filter.clone(), *logs).await?);
        }
    }
    let [last, same, spread, many] = times.map(|it| it.as_secs_f64() * 1e6);
    report.add(
        Figure::new("rpc, 10 logs in 10,000 blocks: p50", same, "µs")
            .beside("the same 10 in the last 100 blocks", last)
            .target(Target::RatioAtMost(1.2)),
    );
    report.add(
        Figure::new("rpc, 10 logs 1,000 blocks apart: p50", spread, "µs")
            .beside("10 in the last 100 blocks", last)
            .target(Target::RatioAtMost(2.0)),
    );
    report.add(
        Figure::new("rpc, 1,000 logs in 10,000 blocks: p50, per log", many / 1000.0, "µs")
            .beside("10 logs 1,000 blocks apart, per log", spread / 10.0)
            .target(Target::RatioAtMost(1.0)),
    );
    Ok(())
}

/// Half of the searches for so many logs took at most this.
async fn search(node: &NodeProcess, group: &Group, filter: Value, logs: usize) -> Result<Duration> {
    let params = json!([group.id.to_base64(), filter]);
    let found = connect(node).await?.call("priv_getLogs", params.clone()).await?;
    let count = found.as_array().map_or(0, Vec::len);
    ensure!(count == logs, "{count} logs were found, not {logs}");
    let request =
        request(&json!({"jsonrpc": "2.0", "id": 1, "method": "priv_getLogs", "params": params}));
    load(node.api, 1, &request, during(TIME / 10)).await?;
    Ok(load(node.api, 1, &request, during(TIME)).await?.p50())
}

/// Transfers of the group's token to somebody.
fn filter(group: &Group, to: Address, from_block: Value) -> Value {
    json!({
        "address": group.token(),
        "topics": [Transfer::SIGNATURE_HASH, null, to.into_word()],
        "fromBlock": from_block,
        "toBlock": "latest",
    })
}
