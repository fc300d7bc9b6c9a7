//! `cargo xtask demo`: the life of a privacy group, told step by step.
//!
//! The story itself is `tests/js/demo.mjs`. The node is built with the dev profile: its
//! dependencies are optimised there too, and a release build would take minutes longer.

use anyhow::Result;

use crate::require;
use crate::sdk;
use crate::step::Step;
use crate::workspace::Workspace;

/// Builds the node and the SDK, and plays the demo.
///
/// # Errors
///
/// Something is missing and cannot be installed, the build failed, or the demo did not hold.
pub(crate) fn run() -> Result<()> {
    let workspace = Workspace::locate()?;
    require::npm_packages(&workspace.js())?;
    let build = Step::new(&workspace.root, "cargo", "build --locked -p coterie-node --bin coterie");
    println!("{build}");
    println!("built in {:.1} s", build.run()?.as_secs_f64());
    sdk::run(false)?;
    let play =
        Step::new(workspace.js(), "node", "demo.mjs").env("COTERIE_BIN", workspace.coterie());
    println!("{play}");
    // Its own last line is the verdict.
    play.run()?;
    Ok(())
}
