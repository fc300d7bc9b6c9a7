//! Looks after what was sent and is not mined yet: puts a marker on the chain again that the
//! chain's node may have lost, and pushes a payload again before its recipients drop it (design,
//! 2.5).
//!
//! Kept in memory: after a restart, the chain's pool and the recipients still have what they had.

use std::{collections::VecDeque, time::Duration};

use coterie_core::{EnclaveKey, PayloadKey};
use parking_lot::Mutex;

use super::{
    View,
    markers::{Marked, Markers},
};
use crate::state::StateError;

/// What is looked after at a time; the oldest is given up for a new one.
const SENT_MAX: usize = 100_000;
/// Followed blocks after which a marker is put on the chain again.
const MARK_BLOCKS: u64 = 8;
/// The pause between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// What was sent.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    /// Its id.
    pub(super) payload: PayloadKey,
    /// Who received it.
    pub(super) recipients: Vec<EnclaveKey>,
    /// Its marker; `None` when the caller marks it.
    pub(super) marker: Option<Marked>,
}

/// Everything that was sent and is not mined yet.
#[derive(Debug)]
pub(super) struct Unmined {
    rows: Mutex<VecDeque<Row>>,
    /// Followed blocks after which a payload is pushed again.
    push_blocks: u64,
}

#[derive(Debug)]
struct Row {
    sent: Sent,
    /// The followed block when the marker was put on the chain last.
    marked_at: u64,
    /// The followed block when the payload was pushed last.
    pushed_at: u64,
}

impl Unmined {
    /// Pushes again after `push_blocks` followed blocks, at least one.
    pub(super) fn new(push_blocks: u64) -> Self {
        Self { rows: Mutex::default(), push_blocks: push_blocks.max(1) }
    }

    /// Looks after `sent` from followed block `at` on.
    pub(super) fn add(&self, sent: Sent, at: u64) {
        let mut rows = self.rows.lock();
        if rows.len() >= SENT_MAX
            && let Some(given_up) = rows.pop_front()
        {
            let payload = given_up.sent.payload.0;
            tracing::warn!(%payload, "too much is not mined yet: a sent payload is no longer looked after");
        }
        rows.push_back(Row { sent, marked_at: at, pushed_at: at });
    }

    /// Looks again and again, for as long as the follower runs.
    pub(super) async fn watch(&self, view: &View, markers: &Markers) {
        let mut followed = view.following.followed.clone();
        while followed.changed().await.is_ok() {
            let at = followed.borrow_and_update().map(|block| block.number);
            if let Some(at) = at
                && let Err(error) = self.look(view, markers, at).await
            {
                tracing::error!(%error, "it is not known what of the sent is mined");
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Looks once, after block `at` was followed.
    ///
    /// # Errors
    ///
    /// Private state failed; what was not looked at stays.
    async fn look(&self, view: &View, markers: &Markers, at: u64) -> Result<(), StateError> {
        let count = self.rows.lock().len();
        for _ in 0..count {
            let Some(mut row) = self.rows.lock().pop_front() else { return Ok(()) };
            let decided = view.state.decided(row.sent.payload);
            if !matches!(decided, Ok(Some(_))) {
                // After a reorg to a shorter branch the blocks are counted anew.
                row.marked_at = row.marked_at.min(at);
                row.pushed_at = row.pushed_at.min(at);
                if decided.is_ok() {
                    row.mark(markers, at).await;
                    row.push(view, at, self.push_blocks).await;
                }
                self.rows.lock().push_back(row);
            }
            decided?;
        }
        Ok(())
    }
}

impl Row {
    /// Puts the marker on the chain again when it should have been mined long ago.
    async fn mark(&mut self, markers: &Markers, at: u64) {
        let Some(marked) = &self.sent.marker else { return };
        if at - self.marked_at < MARK_BLOCKS {
            return;
        }
        self.marked_at = at;
        let payload = self.sent.payload.0;
        match markers.again(marked).await {
            Ok(None) => {}
            Ok(Some(other)) => {
                tracing::warn!(
                    %payload, was = %marked.hash, now = %other.hash,
                    "the nonce of a marker was used for something else: it is marked by another transaction"
                );
                self.sent.marker = Some(other);
            }
            Err(error) => {
                tracing::warn!(%payload, %error, "a marker that is not mined was refused")
            }
        }
    }

    /// Pushes the payload again in time.
    async fn push(&mut self, view: &View, at: u64, push_blocks: u64) {
        if at - self.pushed_at < push_blocks {
            return;
        }
        let Sent { payload, recipients, .. } = &self.sent;
        match view.enclave.push_again(*payload, recipients).await {
            Ok(()) => self.pushed_at = at,
            Err(error) => {
                tracing::warn!(payload = %payload.0, %error, "a payload that is not mined was not pushed again");
                // Some time later, not at every look.
                self.pushed_at = at - (push_blocks - push_blocks.div_ceil(8)).min(at);
            }
        }
    }
}
