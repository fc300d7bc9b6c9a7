//! Whether the follower lives and sees the chain: what health checks ask.
//!
//! The follower announces the chain's head at each look, changed or not; here the time of the last
//! look is kept. A follower that ended closes its channels.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::{Following, Readiness};

/// How far behind the chain's head the node may be and still count as ready, in blocks.
const LAG_MAX: u64 = 16;
/// How long ago the follower may have seen the chain, or finished a block, last.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Feels whether following goes on.
#[derive(Debug)]
pub(super) struct Pulse {
    following: Following,
    /// When the follower looked at the chain, or finished a block, last.
    beat: Mutex<Option<Instant>>,
}

impl Pulse {
    /// Of a follower that has not begun.
    pub(super) fn new(following: Following) -> Self {
        Self { following, beat: Mutex::new(None) }
    }

    /// Notes each sign of life; ends with the follower.
    pub(super) async fn watch(&self) {
        let (mut head, mut followed) =
            (self.following.head.clone(), self.following.followed.clone());
        // What was announced before this was called counts as seen now.
        if head.borrow_and_update().is_some() {
            self.beat(Instant::now());
        }
        loop {
            let changed = tokio::select! {
                changed = head.changed() => changed,
                changed = followed.changed() => changed,
            };
            if changed.is_err() {
                return;
            }
            self.beat(Instant::now());
        }
    }

    fn beat(&self, now: Instant) {
        *self.beat.lock() = Some(now);
    }

    /// Whether the follower is there at all; it ends only when waiting cannot help, or by a panic.
    pub(super) fn is_alive(&self) -> bool {
        self.following.followed.has_changed().is_ok()
    }

    /// How far the node has followed, at `now`.
    pub(super) fn readiness(&self, now: Instant) -> Readiness {
        let followed = *self.following.followed.borrow();
        let head = *self.following.head.borrow();
        // A head below what was followed: a reorg is under way, or the chain is another one.
        let near = followed.zip(head).is_some_and(|(followed, head)| {
            head.number.checked_sub(followed.number).is_some_and(|lag| lag <= LAG_MAX)
        });
        let beat = *self.beat.lock();
        let sees = beat.is_some_and(|beat| now.saturating_duration_since(beat) <= SILENCE_MAX);
        let stopped = self.following.stopped.borrow().clone();
        Readiness { ready: near && sees && self.is_alive(), followed, head, stopped }
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::B256;
    use tokio::sync::{broadcast, mpsc, watch};

    use super::*;
    use crate::{chain::BlockRef, service::FollowingStopped};

    type Sender = watch::Sender<Option<BlockRef>>;

    fn at(number: u64) -> Option<BlockRef> {
        Some(BlockRef { number, hash: B256::with_last_byte(1) })
    }

    fn pulse() -> (Pulse, Sender, Sender) {
        let (followed, head) = (watch::Sender::new(None), watch::Sender::new(None));
        let following = Following {
            followed: followed.subscribe(),
            head: head.subscribe(),
            joining: watch::Sender::new(Vec::new()).subscribe(),
            covered: watch::Sender::default().subscribe(),
            unread: std::sync::Arc::default(),
            stopped: watch::channel(None).1,
            healed: watch::Sender::default().subscribe(),
            events: broadcast::Sender::new(1),
            requests: mpsc::channel(1).0,
        };
        (Pulse::new(following), followed, head)
    }

    #[track_caller]
    fn check(followed_at: u64, head_at: u64, since: Option<Duration>, ready: bool) {
        let (pulse, followed, head) = pulse();
        followed.send_replace(at(followed_at));
        head.send_replace(at(head_at));
        let start = Instant::now();
        if let Some(since) = since {
            pulse.beat(start);
            assert_eq!(pulse.readiness(start + since).ready, ready);
        } else {
            assert_eq!(pulse.readiness(start).ready, ready);
        }
    }

    #[test]
    fn a_node_is_ready_when_it_is_near_a_head_that_was_seen_lately() {
        let just_now = Some(Duration::ZERO);
        check(5, 5, just_now, true);
        check(5, 5 + LAG_MAX, just_now, true);
        check(5, 6 + LAG_MAX, just_now, false);
        check(5, 5, None, false);
        // A reorg that is under way, or another chain.
        check(5, 4, just_now, false);
        check(5, 5, Some(SILENCE_MAX), true);
        check(5, 5, Some(SILENCE_MAX + Duration::from_millis(1)), false);
    }

    #[test]
    fn a_node_is_not_ready_before_it_followed_anything() {
        let (pulse, _followed, head) = pulse();
        head.send_replace(at(0));
        pulse.beat(Instant::now());
        assert!(!pulse.readiness(Instant::now()).ready);
    }

    #[test]
    fn a_node_whose_follower_ended_is_not_ready() {
        let (pulse, followed, head) = pulse();
        followed.send_replace(at(5));
        head.send_replace(at(5));
        pulse.beat(Instant::now());
        assert!(pulse.readiness(Instant::now()).ready);
        drop((followed, head));
        let readiness = pulse.readiness(Instant::now());
        assert!(!readiness.ready && !pulse.is_alive());
        assert_eq!(readiness.followed, at(5));
        // As when the node stops: nothing is wrong then.
        assert_eq!(readiness.stopped, None);
    }

    #[test]
    fn why_following_stopped_is_told() {
        let (mut pulse, _followed, _head) = pulse();
        let stopped = FollowingStopped { reason: "another chain".to_owned() };
        pulse.following.stopped = watch::channel(Some(stopped.clone())).1;
        assert_eq!(pulse.readiness(Instant::now()).stopped, Some(stopped));
    }

    #[tokio::test]
    async fn each_look_counts_also_when_the_head_is_the_same() {
        let (pulse, _followed, head) = pulse();
        let watching = pulse.watch();
        let mut watching = std::pin::pin!(watching);
        assert!(futures::poll!(watching.as_mut()).is_pending());
        assert_eq!(*pulse.beat.lock(), None);
        let mut last = None;
        for _ in 0..3 {
            head.send_replace(at(5));
            assert!(futures::poll!(watching.as_mut()).is_pending());
            let beat = *pulse.beat.lock();
            assert!(beat > last);
            last = beat;
        }
        drop((_followed, head));
        assert!(futures::poll!(watching.as_mut()).is_ready());
    }
}
