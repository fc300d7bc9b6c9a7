//! Sending: 2,000 signed transactions of 20 groups of three members go to one node; every answer
//! comes after all recipients have stored the payload durably; the end is when two nodes have the
//! receipts. Three nodes with their data on disk, the chain and the client share the cores of this
//! machine and talk over HTTP.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use alloy_primitives::{Address, Bytes};
use anyhow::{Context, Result, ensure};
use coterie_core::{AccountKey, SignedPrivateTransaction};
use coterie_node::chain::dev::{DevChain, Mining};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::{
    http::{Connection, Latencies, request, result},
    network::{Network, definition, dev_chain, enclave_key},
    report::{Figure, Report, Target},
    runtime,
    workload::{Group, SENDERS, public},
};

const TRANSACTIONS: usize = 2000;
const GROUPS: usize = 20;
const CONNECTIONS: usize = 64;
/// Sends of one connection whose latency is measured.
const SINGLE: usize = 1000;
/// Besu and Tessera on such a machine, with blocks of one second (protocol specification, 16).
const BESU_PER_S: f64 = 36.0;

/// Measures with a block for each transaction, and with blocks of 100 ms.
pub(crate) fn run(report: &mut Report) -> Result<()> {
    for (name, mining) in
        [("blocks of 100 ms", Mining::Interval(100)), ("instant blocks", Mining::Instant)]
    {
        let runtime = runtime()?;
        let plain = runtime.block_on(plain(mining))?;
        runtime.block_on(private(report, name, mining, plain))?;
    }
    Ok(())
}

/// Plain transactions through the chain alone: how many a second.
async fn plain(mining: Mining) -> Result<f64> {
    let chain = dev_chain(mining);
    let server = crate::network::serve_chain(chain.clone()).await?;
    let chain_id = chain.options().chain_id;
    let key = |number: usize| -> Result<AccountKey> {
        let secret = alloy_primitives::keccak256(format!("plain sender {number}"));
        Ok(AccountKey::from_slice(secret.as_slice())?)
    };
    let keys = (0..GROUPS * SENDERS).map(key).collect::<Result<Vec<_>>>()?;
    let mut queues = Vec::new();
    for key in &keys {
        let sign = |nonce| public(key, chain_id, nonce, Address::repeat_byte(1), Bytes::new());
        let count = (TRANSACTIONS / keys.len()) as u64;
        queues.push((0..count).map(sign).collect::<Result<VecDeque<_>>>()?);
    }
    let started = Instant::now();
    send_all(server.address(), "eth_sendRawTransaction", queues).await?;
    mined(&chain).await?;
    let rate = TRANSACTIONS as f64 / started.elapsed().as_secs_f64();
    server.stop().await?;
    Ok(rate)
}

/// Waits until no transaction waits.
async fn mined(chain: &DevChain) -> Result<()> {
    crate::network::until("all is mined", || chain.pool_len() == 0).await
}

async fn private(report: &mut Report, name: &str, mining: Mining, plain: f64) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let chain = dev_chain(Mining::Instant);
    let definition = definition(&chain);
    let network = Network::start(chain, &definition, directory.path()).await?;
    let members = (0..3).map(enclave_key).collect::<Result<Vec<_>>>()?;
    let group = |number| Group::new(number, members.clone(), definition.chain_id);
    let mut groups = (0..GROUPS).map(group).collect::<Result<Vec<_>>>()?;
    prepare(&network, &mut groups).await?;

    network.chain.set_mining(mining);
    let mut queues: Vec<VecDeque<Bytes>> = vec![VecDeque::new(); GROUPS * SENDERS];
    for at in 0..TRANSACTIONS {
        // A sender's transactions must be accepted in their order, so each has a queue.
        let (group, sender) = (at % GROUPS, at / GROUPS % SENDERS);
        let signed = groups.get_mut(group).context("a group")?.transfer()?;
        queues.get_mut(group * SENDERS + sender).context("a queue")?.push_back(raw(&signed));
    }
    let before = chain_length(&network.chain);
    let api = network.api(0)?;
    let started = Instant::now();
    let (markers, each) = send_all(api, "eea_sendRawTransaction", queues).await?;
    let answered = started.elapsed();
    mined(&network.chain).await?;
    let head = network.chain.head();
    network.followed(0, head.number).await?;
    network.followed(1, head.number).await?;
    let took = started.elapsed();
    for member in [0, 1] {
        check_receipts(network.api(member)?, &markers).await?;
    }
    let per_s = TRANSACTIONS as f64 / took.as_secs_f64();
    report.add(
        Figure::new(format!("end to end, {name}"), per_s, "tx/s")
            .beside("Besu and Tessera (specification)", BESU_PER_S)
            .target(Target::AtLeast(1000.0)),
    );
    report.add(
        Figure::new(format!("end to end, {name}: beside plain transactions"), per_s, "tx/s")
            .beside("plain transactions on this chain", plain),
    );
    let blocks = chain_length(&network.chain) - before;
    report.add(Figure::new(format!("end to end, {name}: blocks"), blocks as f64, ""));
    report.add(Figure::ms(format!("end to end, {name}: last answer after"), answered));
    let at_load = Latencies::new(each, answered);
    report.add(Figure::ms(format!("send, {CONNECTIONS} at a time, {name}: p50"), at_load.p50()));
    report.add(Figure::ms(format!("send, {CONNECTIONS} at a time, {name}: p99"), at_load.p99()));
    single(report, name, &network, groups.first_mut().context("a group")?).await?;
    network.stop().await
}

/// Sends one after the other.
async fn single(
    report: &mut Report,
    name: &str,
    network: &Network,
    group: &mut Group,
) -> Result<()> {
    let mut connection = Connection::open(network.api(0)?).await?;
    let mut each = Vec::with_capacity(SINGLE);
    let mut trivial = Vec::with_capacity(SINGLE);
    let started = Instant::now();
    for _ in 0..SINGLE {
        let send = raw_request("eea_sendRawTransaction", &raw(&group.transfer()?));
        let at = Instant::now();
        result("eea_sendRawTransaction", connection.exchange(&send).await?)?;
        each.push(at.elapsed());
        let at = Instant::now();
        connection.call("priv_getPrivacyPrecompileAddress", json!([])).await?;
        trivial.push(at.elapsed());
    }
    let (sends, trivial) =
        (Latencies::new(each, started.elapsed()), Latencies::new(trivial, started.elapsed()));
    let ms = |it: Duration| it.as_secs_f64() * 1e3;
    report.add(
        Figure::ms(format!("send, one at a time, {name}: p50"), sends.p50())
            .beside("a trivial method there", ms(trivial.p50()))
            .target(Target::AtMost(2.0)),
    );
    report.add(
        Figure::ms(format!("send, one at a time, {name}: p99"), sends.p99())
            .beside("a trivial method there", ms(trivial.p99()))
            .target(Target::AtMost(10.0)),
    );
    Ok(())
}

fn chain_length(chain: &DevChain) -> u64 {
    chain.head().number
}

/// A transaction as it is sent.
pub(crate) fn raw(signed: &SignedPrivateTransaction) -> Bytes {
    signed.encode().into()
}

fn raw_request(method: &str, raw: &Bytes) -> Vec<u8> {
    request(&json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": [raw]}))
}

/// Creates the groups and their tokens.
pub(crate) async fn prepare(network: &Network, groups: &mut [Group]) -> Result<()> {
    let mut connection = Connection::open(network.api(0)?).await?;
    for group in groups {
        for (at, signed) in group.setup()?.iter().enumerate() {
            connection.call("eea_sendRawTransaction", json!([raw(signed)])).await?;
            if at == 0 {
                // What follows must name the group's version.
                network.followed(0, network.chain.head().number).await?;
            }
        }
    }
    for member in 0..network.nodes.len() {
        network.followed(member, network.chain.head().number).await?;
    }
    Ok(())
}

/// Sends all queues, each in its order, over all connections; the hashes and how long each took.
async fn send_all(
    address: SocketAddr,
    method: &'static str,
    queues: Vec<VecDeque<Bytes>>,
) -> Result<(Vec<Value>, Vec<Duration>)> {
    let queues = Arc::new(Mutex::new(VecDeque::from(queues)));
    let mut tasks = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut connection = Connection::open(address).await?;
        let queues = Arc::clone(&queues);
        tasks.push(tokio::spawn(async move {
            let (mut hashes, mut each) = (Vec::new(), Vec::new());
            loop {
                // A queue is taken away while one of its transactions is on its way.
                let Some(mut queue) = queues.lock().pop_front() else { return Ok((hashes, each)) };
                if let Some(raw) = queue.pop_front() {
                    let request = raw_request(method, &raw);
                    let at = Instant::now();
                    hashes.push(result(method, connection.exchange(&request).await?)?);
                    each.push(at.elapsed());
                }
                if !queue.is_empty() {
                    queues.lock().push_back(queue);
                }
            }
        }));
    }
    let (mut hashes, mut each) = (Vec::new(), Vec::new());
    for task in tasks {
        let done: Result<_> = task.await?;
        let (sent, took) = done?;
        hashes.extend(sent);
        each.extend(took);
    }
    ensure!(hashes.len() == TRANSACTIONS, "{} were sent", hashes.len());
    Ok((hashes, each))
}

/// Checks that a node has a successful receipt of each.
async fn check_receipts(address: SocketAddr, markers: &[Value]) -> Result<()> {
    let mut connection = Connection::open(address).await?;
    for marker in markers {
        let receipt = connection.call("priv_getTransactionReceipt", json!([marker])).await?;
        ensure!(receipt.get("status") == Some(&json!("0x1")), "{marker}: {receipt}");
    }
    Ok(())
}
