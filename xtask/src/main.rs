//! The project's commands, run as `cargo xtask …`.
//!
//! Each command is a list of steps that are ordinary programs (cargo, npm, node); nothing is
//! decided here that a `#[test]` could decide. What a command needs beyond Rust and Node it
//! installs; what cannot be installed it names in one line.
#![expect(clippy::print_stdout, reason = "the output of these commands is for people")]

mod bench;
mod contracts;
mod demo;
mod docs;
mod require;
mod sdk;
mod snip;
mod step;
mod test;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "The project's commands", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows a privacy group's life on three members, with the SDK as client
    Demo,
    /// Runs every check that a change must pass
    Test {
        /// Also run what takes longer: many more seeds of the simulation
        #[arg(long)]
        full: bool,
    },
    /// Measures the release build, each figure beside its baseline
    Bench {
        /// Which benchmarks; all without a name
        names: Vec<String>,
    },
    /// Compiles the management contracts and writes their runtime into the tree
    Contracts {
        /// Write nothing; fail if the committed runtime is not what the sources compile to
        #[arg(long)]
        check: bool,
    },
    /// Writes the pages that are made from the code: docs/rpc.md
    Docs,
    /// Builds the npm package: pkg/wasm from the Rust core, pkg/dist from both
    Sdk {
        /// Build the core a second time elsewhere and fail if a byte differs
        #[arg(long)]
        check_reproducible: bool,
    },
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Demo => demo::run(),
        Command::Test { full } => test::run(full),
        Command::Bench { names } => bench::run(&names),
        Command::Contracts { check } => contracts::run(check),
        Command::Docs => docs::run(),
        Command::Sdk { check_reproducible } => sdk::run(check_reproducible),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
