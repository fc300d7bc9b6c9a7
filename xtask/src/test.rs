//! `cargo xtask test`: the gate.
//!
//! The cheapest checks come first and the first failure ends the run. Everything is built with one
//! profile and one set of features, so that dependencies are compiled once for the tests and once
//! as metadata for clippy.

use anyhow::Result;

use crate::require;
use crate::step::{Step, run_all};
use crate::workspace::Workspace;

/// Runs every check; with `full` also those that take longer.
///
/// # Errors
///
/// Something is missing and cannot be installed, or a check failed.
pub(crate) fn run(full: bool) -> Result<()> {
    let workspace = Workspace::locate()?;
    require::wasm_target(&workspace.root)?;
    require::npm_packages(&workspace.js())?;
    let mut steps = steps(&workspace)?;
    if full {
        steps = steps.into_iter().map(|step| step.env("COTERIE_FULL", "1")).collect();
    }
    run_all(&steps)
}

fn steps(workspace: &Workspace) -> Result<Vec<Step>> {
    let cargo = |args: &str| Step::new(&workspace.root, "cargo", args);
    let wasm = "--target wasm32-unknown-unknown";
    let mut node = Step::new(workspace.js(), "node", "--test --test-reporter=spec")
        .env("COTERIE_BIN", workspace.coterie());
    for test in workspace.js_tests()? {
        node = node.arg(test.file_name().unwrap_or_default());
    }
    Ok(vec![
        cargo("fmt --all --check"),
        cargo("clippy --locked --workspace --all-targets -- -D warnings"),
        cargo(&format!("clippy --locked -p coterie-wasm {wasm} -- -D warnings")),
        cargo(&format!("build --locked -p coterie-core --no-default-features {wasm}")),
        cargo(&format!("build --locked -p coterie-wasm {wasm}")),
        // All targets, because this also builds the binary that the tests start, with the very
        // features that the tests are built with.
        cargo("build --locked --workspace --all-targets"),
        cargo("test --locked --workspace").env("COTERIE_BIN", workspace.coterie()),
        cargo("doc --locked --workspace --no-deps").env("RUSTDOCFLAGS", "-D warnings"),
        node,
    ])
}
