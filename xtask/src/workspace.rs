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
        let out = Command::new("cargo")
            .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .context("cannot start cargo")?;
        ensure!(
            out.status.success(),
            "cargo metadata failed: {}",
            String::from_utf8_lossy(&out.stderr).trim()
        );
        let metadata: serde_json::Value =
            serde_json::from_slice(&out.stdout).context("cannot read cargo's metadata")?;
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

    /// The JavaScript tests and the demo.
    pub(crate) fn js(&self) -> PathBuf {
        self.root.join("tests/js")
    }

    /// The test files in [`Self::js`], by name.
    ///
    /// # Errors
    ///
    /// The directory cannot be read, or holds no test.
    pub(crate) fn js_tests(&self) -> Result<Vec<PathBuf>> {
        let is_test = |path: &Path| path.to_string_lossy().ends_with(".test.mjs");
        let mut tests = Vec::new();
        for entry in self.js().read_dir().context("cannot read tests/js")? {
            let path = entry?.path();
            if is_test(&path) {
                tests.push(path);
            }
        }
        ensure!(!tests.is_empty(), "tests/js holds no *.test.mjs");
        tests.sort();
        Ok(tests)
    }
}
