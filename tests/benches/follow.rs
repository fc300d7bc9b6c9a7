//! Catching up: 20,000 private transfers in 20 blocks of three groups; the payloads are in the
//! local file, nothing is prepared in memory, private state is written to disk.
//!
//! "One core" is this whole program bound to one core by `taskset`: the follower's thread, the
//! workers that execute and open, the database's and the payload store's own threads. The chain is
//! in the same process without JSON, so that only following is measured.

use std::{sync::Arc, time::Instant};

use anyhow::{Context, Result};
use coterie_node::{
    follower::{Follower, FollowerOptions},
    store::{FjallOptions, FjallStore},
};
use serde::{Deserialize, Serialize};

use crate::{
    child,
    primitives::{self, Primitives},
    report::{Figure, Report, Target},
    runtime,
    workload::{Workload, check, offline, parts},
};

/// Transfers of the three groups.
const COUNTS: [usize; 3] = [6667, 6667, 6666];
/// How often each part is measured; the best counts, since others use the machine too.
const ROUNDS: usize = 4;

/// What one such process measured.
#[derive(Debug, Serialize, Deserialize)]
struct Measured {
    transactions: usize,
    follow_s: f64,
    primitives: Primitives,
}

/// Measures in this process and prints JSON.
#[expect(clippy::print_stdout, reason = "the parent reads it")]
pub(crate) fn run_here() -> Result<()> {
    let measured = runtime()?.block_on(async {
        let workload = Workload::new(&COUNTS).await?;
        let batches = primitives::record(&workload).await?;
        let mut best: Option<Measured> = None;
        for _ in 0..ROUNDS {
            let primitives = primitives::measure(&workload, &batches)?;
            let follow_s = follow(&workload).await?;
            let transactions = workload.transfers.len();
            best = Some(match best {
                None => Measured { transactions, follow_s, primitives },
                Some(best) => Measured {
                    transactions,
                    follow_s: best.follow_s.min(follow_s),
                    primitives: best.primitives.best(primitives),
                },
            });
        }
        best.context("a round")
    })?;
    println!("{}", serde_json::to_string(&measured)?);
    Ok(())
}

/// Follows the whole chain with fresh objects and an empty database; seconds.
async fn follow(workload: &Workload) -> Result<f64> {
    let directory = tempfile::tempdir()?;
    let enclave = Arc::new(offline(&workload.definition, workload.directory.path(), 1)?);
    let store = FjallStore::open(directory.path(), FjallOptions::default())?;
    let parts = parts(&workload.chain, &workload.definition, &enclave, Arc::new(store))?;
    let state = parts.state.clone();
    let mut follower = Follower::new(parts, FollowerOptions::default());
    let started = Instant::now();
    follower.catch_up().await?;
    let took = started.elapsed().as_secs_f64();
    check(&state, workload.chain.head(), &workload.groups)?;
    Ok(took)
}

/// Measures on one core and on two.
pub(crate) fn run(report: &mut Report) -> Result<()> {
    let on = |cores| -> Result<Measured> {
        let output = child::on_cores(cores, "follow")?;
        Ok(serde_json::from_str(output.lines().last().unwrap_or_default())?)
    };
    let (one, two) = (on(1)?, on(2)?);
    let per_tx = |seconds: f64, measured: &Measured| seconds * 1e6 / measured.transactions as f64;
    let rate = |measured: &Measured| measured.transactions as f64 / measured.follow_s;
    let p = &one.primitives;
    for (what, seconds) in [
        ("follow: primitive, sender recovery", p.recover_s),
        ("follow: primitive, payload open", p.open_s),
        ("follow: primitive, EVM transfer", p.execute_s),
        ("follow: primitive, hashes of changed trie nodes", p.hash_s),
        ("follow: primitive, batch write", p.write_s),
    ] {
        report.add(Figure::new(what, per_tx(seconds, &one), "µs/tx"));
    }
    report.add(Figure::new(
        "follow: changed trie nodes",
        p.nodes as f64 / one.transactions as f64,
        "/tx",
    ));
    let sum = one.transactions as f64 / p.sum_s();
    report.add(
        Figure::new("follow: one core", rate(&one), "tx/s")
            .beside("sum of the primitives, one core", sum)
            .target(Target::RatioAtLeast(0.5)),
    );
    report.add(
        Figure::new("follow: two cores", rate(&two), "tx/s")
            .beside("one core", rate(&one))
            .target(Target::RatioAtLeast(1.6)),
    );
    Ok(())
}
