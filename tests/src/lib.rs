//! Waiting, for tests and benchmarks: a look every few milliseconds, and a deadline.
//!
//! The only place of both that sleeps. The tests themselves are in `suite`.

use std::{
    thread,
    time::{Duration, Instant},
};

/// It did not happen in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLate {
    /// How long it was waited for.
    pub deadline: Duration,
}

impl std::fmt::Display for TooLate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "it did not happen within {:?}", self.deadline)
    }
}

impl std::error::Error for TooLate {}

/// Looks, and again after every `pause`, until something is seen.
///
/// # Errors
///
/// Nothing is seen within `deadline`, also when one look takes longer than that.
pub async fn poll<T>(
    pause: Duration,
    deadline: Duration,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> Result<T, TooLate> {
    let looking = async {
        loop {
            if let Some(seen) = look().await {
                return seen;
            }
            tokio::time::sleep(pause).await;
        }
    };
    tokio::time::timeout(deadline, looking).await.map_err(|_| TooLate { deadline })
}

/// [`poll`] where there is no runtime.
///
/// # Errors
///
/// Nothing is seen within `deadline`.
pub fn poll_blocking<T>(
    pause: Duration,
    deadline: Duration,
    mut look: impl FnMut() -> Option<T>,
) -> Result<T, TooLate> {
    let started = Instant::now();
    loop {
        if let Some(seen) = look() {
            return Ok(seen);
        }
        if started.elapsed() > deadline {
            return Err(TooLate { deadline });
        }
        thread::sleep(pause);
    }
}
