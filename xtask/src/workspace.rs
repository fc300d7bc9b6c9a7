//! Where things are: the root of the workspace, cargo's target directory, the JavaScript tests.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Directories that the commands use.
#[derive(Debug)]
pub(crate) struct Workspace {
    /// The workspace's root.
    pub(crate) root: PathBuf,
    /// Cargo's target directory, wherever the environment or cargo's configuration put it.
    target: PathBuf,
}

impl Workspace {
    /// Asks cargo.
    ///
    /// # Errors
    ///
    /// Cargo cannot be run or does not know this workspace.
    pub(crate) fn locate() -> Result<Self> {
        let metadata = metadata(&["--no-deps"])?;
        let directory = |name: &str| {
            metadata
                .get(name)
                .and_then(serde_json::Value::as_str)
                .map(PathBuf::from)
                .with_context(|| format!("cargo's metadata has no `{name}`"))
        };
        Ok(Self { root: directory("workspace_root")?, target: directory("target_directory")? })
    }

    /// The node's binary as the dev profile builds it.
    pub(crate) fn coterie(&self) -> PathBuf {
        self.target.join("debug").join(format!("coterie{}", std::env::consts::EXE_SUFFIX))
    }

    /// The directory that cargo unpacks registry packages into.
    ///
    /// # Errors
    ///
    /// Cargo cannot be run, or a package is not there.
    pub(crate) fn registry(&self) -> Result<PathBuf> {
        let metadata = metadata(&["--filter-platform", "wasm32-unknown-unknown"])?;
        let packages = metadata.get("packages").and_then(serde_json::Value::as_array);
        packages
            .into_iter()
            .flatten()
            .find(|package| {
                package.get("name").and_then(serde_json::Value::as_str) == Some("wasm-bindgen")
            })
            .and_then(|package| package.get("manifest_path")?.as_str())
            .and_then(|manifest| Some(Path::new(manifest).parent()?.parent()?.to_path_buf()))
            .context("cargo's metadata does not say where wasm-bindgen is")
    }

    /// The npm package.
    pub(crate) fn pkg(&self) -> PathBuf {
        self.root.join("pkg")
    }

    /// Cargo's target directory.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// The JavaScript tests and the demo.
    pub(crate) fn js(&self) -> PathBuf {
        self.root.join("tests/js")
    }
}

/// The JavaScript test files in a directory, by name.
///
/// # Errors
///
/// The directory cannot be read, or holds no test.
pub(crate) fn js_tests(directory: &Path) -> Result<Vec<PathBuf>> {
    let is_test = |path: &Path| path.to_string_lossy().ends_with(".test.mjs");
    let shown = directory.display();
    let mut tests = Vec::new();
    for entry in directory.read_dir().with_context(|| format!("cannot read {shown}"))? {
        let path = entry?.path();
        if is_test(&path) {
            tests.push(path);
        }
    }
    ensure!(!tests.is_empty(), "{shown} holds no *.test.mjs");
    tests.sort();
    Ok(tests)
}

/// What cargo says about this workspace.
fn metadata(args: &[&str]) -> Result<serde_json::Value> {
    let out = Command::new("cargo")
        .args(["metadata", "--offline", "--format-version", "1"])
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .context("cannot start cargo")?;
    ensure!(
        out.status.success(),
        "cargo metadata failed: {}",
        String::from_utf8_lossy(&out.stderr).trim()
    );
    serde_json::from_slice(&out.stdout).context("cannot read cargo's metadata")
}
