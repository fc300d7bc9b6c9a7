//! Joining: a third member is added to groups of 2,000 and of 20,000 transactions. From the block
//! of the addition until the newcomer's state root is the others'.
//!
//! The history is on the chain and in the two members' payload files before; both have followed it.
//! Three nodes with their data on disk and the chain, over HTTP, share the cores.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use coterie_core::{GroupId, management::ManagementCall};
use coterie_node::chain::{BlockId, dev::Mining};
use coterie_tests::poll;
use serde_json::json;

use crate::{
    end_to_end::raw,
    http::Connection,
    network::{Network, PATIENCE, enclave_key},
    report::{Figure, Report, Target},
    runtime,
    workload::{Group, Workload},
};

const COUNTS: [usize; 2] = [2_000, 20_000];
/// Besu, for 2,000 transactions (protocol specification, 16).
const BESU_MS: f64 = 11_600.0;

/// Measures both.
pub(crate) fn run(report: &mut Report) -> Result<()> {
    runtime()?.block_on(async {
        let mut workload = Workload::new(&COUNTS).await?;
        workload.chain.set_mining(Mining::Instant);
        let network =
            Network::start(workload.chain.clone(), &workload.definition, workload.directory.path())
                .await?;
        for member in 0..3 {
            network.followed(member, workload.chain.head().number).await?;
        }
        let mut took = Vec::new();
        for group in &mut workload.groups {
            took.push(join(&network, group).await?);
        }
        let [short, long] = <[Duration; 2]>::try_from(took).ok().context("two groups")?;
        report.add(
            Figure::ms("join, 2,000 transactions", short)
                .beside("Besu (specification)", BESU_MS)
                .target(Target::AtMost(400.0)),
        );
        report.add(Figure::ms("join, 20,000 transactions", long));
        let per_tx = |took: Duration, count: usize| took.as_secs_f64() * 1e6 / count as f64;
        let [few, many] = COUNTS;
        report.add(
            Figure::new("join, 20,000: a transaction", per_tx(long, many), "µs/tx")
                .beside("of 2,000", per_tx(short, few))
                .target(Target::RatioAtMost(1.0)),
        );
        network.stop().await
    })
}

async fn join(network: &Network, group: &mut Group) -> Result<Duration> {
    let mut connection = Connection::open(network.api(0)?).await?;
    for call in [ManagementCall::Lock, ManagementCall::AddParticipants(vec![enclave_key(2)?])] {
        let adds = call != ManagementCall::Lock;
        let signed = group.manage(&call)?;
        let mut head = network.chain.watch_head();
        head.mark_unchanged();
        let watching = tokio::spawn(async move { head.changed().await.map(|()| Instant::now()) });
        connection.call("eea_sendRawTransaction", json!([raw(&signed)])).await?;
        let block = watching.await??;
        let number = network.chain.head().number;
        network.followed(0, number).await?;
        if adds {
            return agreed(network, group.id, block).await;
        }
    }
    anyhow::bail!("nothing was added")
}

/// How long after `since` the newcomer has the giver's root.
async fn agreed(network: &Network, group: GroupId, since: Instant) -> Result<Duration> {
    let [giver, _, newcomer] = network.nodes.as_slice() else { anyhow::bail!("three nodes") };
    let (giver, newcomer) = (giver.service(), newcomer.service());
    let tenant = giver.default_tenant();
    let root = giver.state_root(&tenant, group, BlockId::Latest).await?;
    let joined = poll(Duration::from_millis(1), PATIENCE, async || {
        let theirs = newcomer.state_root(&newcomer.default_tenant(), group, BlockId::Latest).await;
        theirs.is_ok_and(|theirs| theirs == root).then(|| since.elapsed())
    });
    joined.await.context("the newcomer did not join")
}
