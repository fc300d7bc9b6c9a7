//! `cargo xtask contracts`: compiles the management contracts and the test contracts.
//!
//! The work is done by `core/contracts/compile.mjs` with the npm solc that the lock file there
//! pins; this only installs and runs it.

use anyhow::Result;

use crate::require;
use crate::step::Step;
use crate::workspace::Workspace;

/// Compiles and writes what is committed, or with `check` compares and writes nothing.
///
/// # Errors
///
/// Node or npm is missing, the packages cannot be installed, a source does not compile, or with
/// `check` a committed file differs from what the sources compile to.
pub(crate) fn run(check: bool) -> Result<()> {
    let directory = Workspace::locate()?.root.join("core/contracts");
    require::npm_packages(&directory)?;
    let arguments = if check { "compile.mjs --check" } else { "compile.mjs" };
    let compile = Step::new(directory, "node", arguments);
    println!("{compile}");
    compile.run()?;
    Ok(())
}
