//! How often a key may ask.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use coterie_core::EnclaveKey;
use parking_lot::Mutex;
use quick_cache::sync::Cache;

/// Keys that are remembered; the least used are forgotten first.
const KEYS_MAX: usize = 4_096;

/// Counts what each key asks within a span of time.
pub(super) struct Limiter {
    asked_max: u32,
    span: Duration,
    windows: Cache<EnclaveKey, Arc<Mutex<Window>>>,
}

#[derive(Clone, Copy)]
struct Window {
    start: Instant,
    asked: u32,
}

impl Limiter {
    /// Allows `asked_max` questions of a key within `span`.
    pub(super) fn new(asked_max: u32, span: Duration) -> Self {
        Self { asked_max, span, windows: Cache::new(KEYS_MAX) }
    }

    /// Counts a question of `key` at `now`; false when it was one too many.
    pub(super) fn allows(&self, key: &EnclaveKey, now: Instant) -> bool {
        let window = match self.windows.get(key) {
            Some(window) => window,
            None => {
                // Two that come at once may count in one window only: no harm in that.
                let window = Arc::new(Mutex::new(Window { start: now, asked: 0 }));
                self.windows.insert(key.clone(), Arc::clone(&window));
                window
            }
        };
        let mut window = window.lock();
        if now.saturating_duration_since(window.start) >= self.span {
            *window = Window { start: now, asked: 0 };
        }
        window.asked = window.asked.saturating_add(1);
        window.asked <= self.asked_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_stopped_at_its_limit_and_others_are_not() {
        let limiter = Limiter::new(2, Duration::from_secs(10));
        let (a, b) = (EnclaveKey::Nacl([1; 32]), EnclaveKey::Nacl([2; 32]));
        let start = Instant::now();
        assert!(limiter.allows(&a, start));
        assert!(limiter.allows(&a, start + Duration::from_secs(9)));
        assert!(!limiter.allows(&a, start + Duration::from_secs(9)));
        assert!(limiter.allows(&b, start + Duration::from_secs(9)));
        assert!(limiter.allows(&a, start + Duration::from_secs(10)));
    }
}
