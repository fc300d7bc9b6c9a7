//! A step of a command: one program with its arguments, run in the foreground and timed.
//!
//! Output of the program is not captured: whoever watches sees it when it happens.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// One program to run.
#[derive(Debug)]
pub(crate) struct Step {
    program: &'static str,
    args: Vec<OsString>,
    env: Vec<(&'static str, OsString)>,
    dir: PathBuf,
}

impl Step {
    /// A program with its arguments, separated by blanks, to be run in `dir`.
    pub(crate) fn new(dir: impl Into<PathBuf>, program: &'static str, args: &str) -> Self {
        let args = args.split_whitespace().map(OsString::from).collect();
        Self { program, args, env: Vec::new(), dir: dir.into() }
    }

    /// Adds an argument that may contain blanks.
    pub(crate) fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments, separated by blanks.
    pub(crate) fn args(mut self, args: &str) -> Self {
        self.args.extend(args.split_whitespace().map(OsString::from));
        self
    }

    /// Sets a variable of the program's environment.
    pub(crate) fn env(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
        self.env.push((name, value.into()));
        self
    }

    /// Runs the program to its end.
    ///
    /// # Errors
    ///
    /// It cannot be started, or does not end with success.
    pub(crate) fn run(&self) -> Result<Duration> {
        let started = Instant::now();
        let status = Command::new(self.program)
            .args(&self.args)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.dir)
            .status()
            .with_context(|| format!("cannot start `{}`: is it installed?", self.program))?;
        if !status.success() {
            bail!("`{self}` failed ({status})");
        }
        Ok(started.elapsed())
    }
}

/// As one would type it.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.env {
            write!(f, "{name}={} ", quoted(value))?;
        }
        write!(f, "{}", self.program)?;
        for arg in &self.args {
            write!(f, " {}", quoted(arg))?;
        }
        Ok(())
    }
}

/// Runs the steps in order up to the first that fails, and prints what it runs and how long each
/// took.
///
/// # Errors
///
/// That of the first step that failed.
pub(crate) fn run_all(steps: &[Step]) -> Result<()> {
    let started = Instant::now();
    for (done, step) in steps.iter().enumerate() {
        println!("[{}/{}] {step}", done + 1, steps.len());
        let took = step
            .run()
            .inspect_err(|_| println!("[{}/{}] failed: {step}", done + 1, steps.len()))?;
        println!("[{}/{}] ok, {:.1} s", done + 1, steps.len(), took.as_secs_f64());
    }
    println!("all {} steps passed in {:.1} s", steps.len(), started.elapsed().as_secs_f64());
    Ok(())
}

fn quoted(value: &OsString) -> String {
    let text = value.to_string_lossy();
    if text.contains(' ') { format!("\"{text}\"") } else { text.into_owned() }
}
