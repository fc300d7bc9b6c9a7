//! `cargo xtask docs`: writes the pages that are made from the code.
//!
//! The node describes its API itself; this only keeps what it says.

use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::workspace::Workspace;

/// Writes `docs/rpc.md`. That it is fresh is what a test checks.
///
/// # Errors
///
/// The node does not build, or the page cannot be written.
pub(crate) fn run() -> Result<()> {
    let root = Workspace::locate()?.root;
    let args = "run --quiet --locked --package coterie-node --bin coterie -- api --markdown";
    println!("cargo {args}");
    let output = Command::new("cargo")
        .args(args.split_whitespace())
        .current_dir(&root)
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start `cargo`: is it installed?")?;
    ensure!(output.status.success(), "`cargo {args}` failed ({})", output.status);
    let directory = root.join("docs");
    fs::create_dir_all(&directory)?;
    let page = directory.join("rpc.md");
    fs::write(&page, output.stdout).with_context(|| format!("cannot write {}", page.display()))?;
    println!("wrote {}", page.display());
    Ok(())
}
