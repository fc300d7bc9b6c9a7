//! How often: buckets that fill at a steady pace, and what each tenant may use.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use coterie_core::EnclaveKey;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::options::TenantLimits;

/// More than a tenant may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many requests of this tenant")]
pub struct TooMany;

/// A place among a tenant's requests, WebSockets or subscriptions; free again when this is dropped.
#[derive(Debug)]
pub struct Place(#[expect(dead_code, reason = "held, not read")] Option<OwnedSemaphorePermit>);

impl Place {
    /// A place where places are not counted.
    pub(super) const fn uncounted() -> Self {
        Self(None)
    }
}

/// Allows a number of events in a span of time, all at once or spread over it.
#[derive(Debug)]
pub(super) struct Bucket {
    each: Duration,
    span: Duration,
    /// When it will be full again.
    full_at: Mutex<Option<Instant>>,
}

impl Bucket {
    /// Allows `count` events in `span`; of 0, none.
    pub(super) fn new(count: u32, span: Duration) -> Self {
        let each = span.checked_div(count).unwrap_or(Duration::MAX);
        Self { each, span, full_at: Mutex::default() }
    }

    /// Counts an event at `now`; false when it is one too many, which is not counted.
    pub(super) fn take(&self, now: Instant) -> bool {
        let mut full_at = self.full_at.lock();
        let from = full_at.map_or(now, |it| it.max(now));
        match from.checked_add(self.each) {
            Some(next) if next.duration_since(now) <= self.span => {
                *full_at = Some(next);
                true
            }
            Some(_) | None => false,
        }
    }

    /// Takes back an event that was counted.
    pub(super) fn give_back(&self) {
        let mut full_at = self.full_at.lock();
        *full_at = full_at.and_then(|it| it.checked_sub(self.each));
    }
}

/// What each tenant has used. There are as many as the node has keys, and one for all callers
/// without a key, so what they ask is bounded together.
#[derive(Debug)]
pub(super) struct Shares {
    of: HashMap<EnclaveKey, Share>,
    of_keyless: Share,
}

#[derive(Debug)]
struct Share {
    calls: Bucket,
    requests: Arc<Semaphore>,
    connections: Arc<Semaphore>,
    subscriptions: Arc<Semaphore>,
}

impl Share {
    fn new(limits: TenantLimits) -> Self {
        let places = |max: usize| Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS)));
        Self {
            calls: Bucket::new(limits.calls_per_s, Duration::from_secs(1)),
            requests: places(limits.requests_max),
            connections: places(limits.connections_max),
            subscriptions: places(limits.subscriptions_max),
        }
    }
}

impl Shares {
    pub(super) fn new(keys: &[EnclaveKey], limits: TenantLimits) -> Self {
        let of = keys.iter().map(|key| (key.clone(), Share::new(limits)));
        Self { of: of.collect(), of_keyless: Share::new(limits) }
    }

    /// A place for one more request at the same time.
    pub(super) fn enter(&self, key: Option<&EnclaveKey>) -> Result<Place, TooMany> {
        place(&self.of(key).requests)
    }

    /// A place for one more WebSocket.
    pub(super) fn connect(&self, key: Option<&EnclaveKey>) -> Result<Place, TooMany> {
        place(&self.of(key).connections)
    }

    /// A place for one more subscription.
    pub(super) fn subscribe(&self, key: Option<&EnclaveKey>) -> Result<Place, TooMany> {
        place(&self.of(key).subscriptions)
    }

    /// Counts a call.
    pub(super) fn count(&self, key: Option<&EnclaveKey>, now: Instant) -> Result<(), TooMany> {
        if self.of(key).calls.take(now) { Ok(()) } else { Err(TooMany) }
    }

    fn of(&self, key: Option<&EnclaveKey>) -> &Share {
        key.and_then(|key| self.of.get(key)).unwrap_or(&self.of_keyless)
    }
}

fn place(places: &Arc<Semaphore>) -> Result<Place, TooMany> {
    Arc::clone(places).try_acquire_owned().map(|it| Place(Some(it))).map_err(|_| TooMany)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_bucket_gives_its_count_at_once_and_then_at_its_pace() {
        let bucket = Bucket::new(4, SECOND);
        let start = Instant::now();
        assert!((0..4).all(|_| bucket.take(start)));
        assert!(!bucket.take(start));
        assert!(!bucket.take(start + SECOND / 5));
        assert!(bucket.take(start + SECOND / 4));
        assert!(!bucket.take(start + SECOND / 4));
        bucket.give_back();
        assert!(bucket.take(start + SECOND / 4));
        assert!((0..4).all(|_| bucket.take(start + SECOND * 10)));
        assert!(!bucket.take(start + SECOND * 10));
        assert!(!Bucket::new(0, SECOND).take(start));
    }

    #[test]
    fn a_tenant_at_its_limit_does_not_hold_up_another() {
        let (a, b) = (EnclaveKey::Nacl([1; 32]), EnclaveKey::Nacl([2; 32]));
        let limits = TenantLimits {
            calls_per_s: 1,
            requests_max: 1,
            connections_max: 1,
            subscriptions_max: 1,
        };
        let shares = Shares::new(&[a.clone(), b.clone()], limits);
        let now = Instant::now();
        for key in [Some(&a), Some(&b), None] {
            for take in [Shares::enter, Shares::connect, Shares::subscribe] {
                let place = take(&shares, key).unwrap();
                assert_eq!(take(&shares, key).unwrap_err(), TooMany);
                drop(place);
                assert!(take(&shares, key).is_ok());
            }
            assert_eq!(shares.count(key, now), Ok(()));
            assert_eq!(shares.count(key, now), Err(TooMany));
            assert_eq!(shares.count(key, now + SECOND), Ok(()));
        }
    }
}
