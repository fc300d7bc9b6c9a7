//! `cargo xtask bench`: the figures of the release build, each beside its baseline.
//!
//! The benchmarks themselves are `tests/benches`, and `pkg/bench` for the SDK.

use anyhow::Result;

use crate::require;
use crate::sdk;
use crate::step::Step;
use crate::workspace::Workspace;

/// Runs the named benchmarks; all without a name.
///
/// # Errors
///
/// The build failed, a name is unknown, or something did not work. A missed target is no failure.
pub(crate) fn run(names: &[String]) -> Result<()> {
    let (sdk, node): (Vec<_>, Vec<_>) = names.iter().partition(|name| *name == SDK);
    if !node.is_empty() || names.is_empty() {
        run_node(&node)?;
    }
    if !sdk.is_empty() || names.is_empty() {
        run_sdk()?;
    }
    Ok(())
}

/// The name of what measures the npm package beside others.
const SDK: &str = "sdk";

fn run_node(names: &[&String]) -> Result<()> {
    let workspace = Workspace::locate()?;
    let mut bench =
        Step::new(&workspace.root, "cargo", "bench --locked -p coterie-tests --bench coterie --");
    for name in names {
        bench = bench.arg(name);
    }
    println!("{bench}");
    println!("done in {:.1} s", bench.run()?.as_secs_f64());
    Ok(())
}

fn run_sdk() -> Result<()> {
    sdk::run(false)?;
    let bench = Workspace::locate()?.pkg().join("bench");
    require::npm_packages(&bench)?;
    let bench = Step::new(bench, "node", "run.mjs");
    println!("{bench}");
    println!("done in {:.1} s", bench.run()?.as_secs_f64());
    Ok(())
}
