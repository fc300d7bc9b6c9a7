//! `cargo xtask bench`: the figures of the release build, each beside its baseline.
//!
//! The benchmarks themselves are `tests/benches`.

use anyhow::Result;

use crate::step::Step;
use crate::workspace::Workspace;

/// Runs the named benchmarks; all without a name.
///
/// # Errors
///
/// The build failed, a name is unknown, or something did not work. A missed target is no failure.
pub(crate) fn run(names: &[String]) -> Result<()> {
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
