//! `cargo xtask test`: the gate.
//!
//! The cheapest checks come first and the first failure ends the run. Everything is built with one
//! profile and one set of features, so that dependencies are compiled once for the tests and once
//! as metadata for clippy.

use std::path::Path;

use anyhow::Result;

use crate::require;
use crate::step::{Step, run_all};
use crate::workspace::{Workspace, js_tests};

/// Tests of the npm package, by directory in `pkg/test`.
const SDK_TESTS: [&str; 5] = ["unit", "wasm", "live", "compat", "packed"];

/// Runs every check; with `full` also those that take longer.
///
/// # Errors
///
/// Something is missing and cannot be installed, or a check failed.
pub(crate) fn run(full: bool) -> Result<()> {
    let workspace = Workspace::locate()?;
    require::wasm_target(&workspace.root)?;
    require::npm_packages(&workspace.js())?;
    require::npm_packages(&workspace.pkg())?;
    require::npm_packages(&workspace.pkg().join("test/packed"))?;
    let mut steps = steps(&workspace, full)?;
    if full {
        steps = steps.into_iter().map(|step| step.env("COTERIE_FULL", "1")).collect();
    }
    run_all(&steps)
}

fn steps(workspace: &Workspace, full: bool) -> Result<Vec<Step>> {
    let cargo = |args: &str| Step::new(&workspace.root, "cargo", args);
    let wasm = "--target wasm32-unknown-unknown";
    // Two builds of the core take minutes on a machine with nothing built yet.
    let sdk = if full { "xtask sdk --check-reproducible" } else { "xtask sdk" };
    let mut steps = vec![
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
        node_tests(workspace, &workspace.js())?,
        cargo(sdk),
        Step::new(workspace.pkg(), "node", "node_modules/typescript/bin/tsc -p tsconfig.json"),
        Step::new(workspace.pkg(), "node", "node_modules/size-limit/bin.js"),
    ];
    for directory in SDK_TESTS {
        steps.push(node_tests(workspace, &workspace.pkg().join("test").join(directory))?);
    }
    Ok(steps)
}

/// All JavaScript tests of a directory, run there.
fn node_tests(workspace: &Workspace, directory: &Path) -> Result<Step> {
    let mut node = Step::new(directory, "node", "--test --test-reporter=spec")
        .env("COTERIE_BIN", workspace.coterie());
    for test in js_tests(directory)? {
        node = node.arg(test.file_name().unwrap_or_default());
    }
    Ok(node)
}
