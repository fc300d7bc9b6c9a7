//! The benchmarks: every figure beside a baseline that was measured in the same run.
//!
//! `cargo xtask bench [NAME…]`; names are those of [`NAMES`], none means all. A missed target fails
//! nothing: machines differ, so ratios count. The machine's cores are shared by everything that
//! runs here (nodes, chain, load generator), and the output says so.
//!
//! Some parts need a process of their own (one core, memory, start): this program then starts
//! itself with a first argument of [`child`].
#![expect(clippy::print_stdout, reason = "figures are for people")]

mod call;
mod child;
mod end_to_end;
mod follow;
mod http;
mod join;
mod network;
mod node;
mod primitives;
mod report;
mod rpc;
mod subscribers;
mod workload;

use anyhow::{Result, bail};

use report::Report;

/// All benchmarks, in their order.
const NAMES: [&str; 6] = ["follow", "end-to-end", "join", "call", "node", "rpc"];

fn main() -> Result<()> {
    // cargo adds `--bench`.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|it| it != "--bench").collect();
    if let Some((kind, rest)) = arguments.split_first()
        && let Some(kind) = kind.strip_prefix(child::PREFIX)
    {
        return child::run(kind, rest);
    }
    if let Some(unknown) = arguments.iter().find(|name| !NAMES.contains(&name.as_str())) {
        bail!("no benchmark `{unknown}`; there are {}", NAMES.join(", "));
    }
    print_load("before");
    let mut report = Report::default();
    for name in NAMES {
        if !arguments.is_empty() && !arguments.iter().any(|it| it == name) {
            continue;
        }
        println!("== {name}");
        match name {
            "follow" => follow::run(&mut report)?,
            "end-to-end" => end_to_end::run(&mut report)?,
            "join" => join::run(&mut report)?,
            "call" => call::run(&mut report)?,
            "node" => node::run(&mut report)?,
            _ => rpc::run(&mut report)?,
        }
    }
    report.print();
    print_load("after");
    Ok(())
}

/// Tells how busy the machine is: with others at work the figures are too low.
fn print_load(when: &str) {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    if let Ok(load) = std::fs::read_to_string("/proc/loadavg") {
        println!("{cores} cores, load {when} the run: {}", load.trim());
    }
}

/// A runtime for what is not a node's own.
fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Runtime::new()?)
}
