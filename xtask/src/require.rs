//! What the commands need beyond Rust and Node, and how they get it.
//!
//! Nothing here is global except the wasm target of the Rust toolchain in use. Every error is one
//! line that says what is missing and how to get it.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::step::Step;

const NODE_MAJOR_MIN: u32 = 20;
const WASM: &str = "wasm32-unknown-unknown";

/// Makes sure that the toolchain can build for wasm32.
///
/// # Errors
///
/// The target is missing and rustup cannot add it.
pub(crate) fn wasm_target(root: &Path) -> Result<()> {
    let out = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", WASM])
        .current_dir(root)
        .output()
        .context("rustc is missing: install Rust from https://rustup.rs")?;
    let libdir = String::from_utf8_lossy(&out.stdout).trim().to_owned();
    if out.status.success() && Path::new(&libdir).is_dir() {
        return Ok(());
    }
    let add = Step::new(root, "rustup", &format!("target add {WASM}"));
    println!("{add}");
    if add.run().is_err() {
        bail!("the Rust target {WASM} is missing and `{add}` did not install it");
    }
    Ok(())
}

/// Makes sure that the packages of `dir/package-lock.json` are installed in `dir`, exactly.
///
/// A copy of the lock file beside the packages tells whether they are up to date. Install scripts
/// are never run: none of the packages needs one, and results must not depend on npm's version.
///
/// # Errors
///
/// Node or npm is missing or too old, or the registry did not deliver.
pub(crate) fn npm_packages(dir: &Path) -> Result<()> {
    node()?;
    let lock = fs::read(dir.join("package-lock.json"))
        .with_context(|| format!("{} has no package-lock.json", dir.display()))?;
    let stamp = dir.join("node_modules/.installed-lock.json");
    if fs::read(&stamp).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    let install = Step::new(dir, "npm", "ci --ignore-scripts --no-audit --no-fund");
    println!("{install}   (in {})", dir.display());
    if let Err(error) = install.run() {
        bail!("the npm packages of {} are missing: {error:#}", dir.display());
    }
    fs::write(&stamp, lock).with_context(|| format!("cannot write {}", stamp.display()))
}

/// Makes sure that Node is there and recent enough.
fn node() -> Result<()> {
    let missing = || format!("Node {NODE_MAJOR_MIN} or later is missing: see https://nodejs.org");
    let out = Command::new("node").arg("--version").output().with_context(missing)?;
    let version = String::from_utf8_lossy(&out.stdout).trim().to_owned();
    let major = version.trim_start_matches('v').split('.').next().and_then(|n| n.parse().ok());
    let major: u32 = major.with_context(missing)?;
    ensure!(
        major >= NODE_MAJOR_MIN,
        "Node {version} is too old: {NODE_MAJOR_MIN} or later is needed, see https://nodejs.org"
    );
    Ok(())
}
