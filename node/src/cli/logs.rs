//! Where logs go: standard error, as lines for people or as JSON.

use std::io::{self, IsTerminal};

use anyhow::{Context, Result};
use coterie_node::config::{LogConfig, LogFormat};
use tracing_subscriber::{EnvFilter, layer::SubscriberExt, util::SubscriberInitExt};

/// Starts logging.
///
/// # Errors
///
/// The filter is not one.
pub(super) fn start(config: &LogConfig) -> Result<()> {
    // What the database says of itself is for those who ask for it.
    let filter = EnvFilter::try_new(format!("fjall=warn,lsm_tree=warn,{}", config.filter))
        .with_context(|| format!("{:?} is no log filter", config.filter))?;
    let registry = tracing_subscriber::registry().with(filter);
    match config.format {
        LogFormat::Plain => {
            let colours = io::stderr().is_terminal();
            let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(colours);
            registry.with(lines).try_init()?;
        }
        LogFormat::Json => {
            let lines =
                tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(io::stderr);
            registry.with(lines).try_init()?;
        }
    }
    Ok(())
}
