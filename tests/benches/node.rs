//! One node in a process of its own: memory after following 20,000 transfers, bytes on disk,
//! and the time from start to first answer on existing data.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use crate::{
    call::{connect, until_followed},
    child::{NodeArguments, NodeProcess, disk_bytes, free_port},
    network::{payload_file, serve_chain, state_dir},
    report::{Figure, Report, Target},
    runtime,
    workload::Workload,
};

/// Transfers of the three groups.
const COUNTS: [usize; 3] = [6667, 6667, 6666];
/// Starts; the best counts, since others use the machine too.
const STARTS: usize = 5;
const MB: f64 = 1e6;

/// Measures.
pub(crate) fn run(report: &mut Report) -> Result<()> {
    runtime()?.block_on(async {
        let workload = Workload::new(&COUNTS).await?;
        let server = serve_chain(workload.chain.clone()).await?;
        let directory = workload.directory.path();
        let arguments = NodeArguments {
            member: 1,
            directory: directory.to_owned(),
            chain_url: server.url(),
            chain_id: workload.definition.chain_id,
            rpc_port: free_port()?,
            ..NodeArguments::default()
        };
        let node = NodeProcess::start(&arguments)?;
        let mut connection = connect(&node).await?;
        let head = workload.chain.head().number;
        until_followed(&mut connection, head).await?;
        let resident = node.resident()? as f64 / MB;
        report.add(
            Figure::new("memory of a node after 20,000 transactions", resident, "MB")
                .beside("Besu with Tessera (specification)", 600.0)
                .target(Target::AtMost(100.0)),
        );
        node.stop()?;

        let count = workload.transfers.len() as f64;
        let sent: usize = workload.envelopes.iter().map(Vec::len).sum();
        let state = disk_bytes(&state_dir(directory, 1))? as f64;
        let payloads = disk_bytes(&payload_file(directory, 1))? as f64;
        report.add(Figure::new("disk, private state", state / count, "bytes/tx"));
        report.add(
            Figure::new("disk, payload file", payloads / count, "bytes/tx")
                .beside("an envelope as it is pushed", sent as f64 / count),
        );

        let mut best = (Duration::MAX, 0.0);
        for _ in 0..STARTS {
            let node =
                NodeProcess::start(&NodeArguments { rpc_port: free_port()?, ..arguments.clone() })?;
            let mut connection = connect(&node).await?;
            connection.call("priv_getPrivacyPrecompileAddress", json!([])).await?;
            let took = node.started.elapsed();
            if took < best.0 {
                best = (took, node.resident()? as f64 / MB);
            }
            node.stop()?;
        }
        report.add(
            Figure::ms("start to first answer, with 20,000 transactions", best.0)
                .beside("Besu (specification)", 4000.0)
                .target(Target::AtMost(200.0)),
        );
        report.add(Figure::new("memory of a node after start", best.1, "MB"));
        server.stop().await?;
        Ok(())
    })
}
