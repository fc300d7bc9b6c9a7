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

/// What is looked after at a time; the oldest is given up for a new one, first of those whose marker
/// is left to the caller, who may never send it.
const SENT_MAX: usize = 20_000;
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
        let unmarked = || rows.iter().position(|row| row.sent.marker.is_none()).unwrap_or(0);
        let oldest = if rows.len() >= SENT_MAX { Some(unmarked()) } else { None };
        if let Some(given_up) = oldest.and_then(|at| rows.remove(at)) {
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use alloy_primitives::{Address, B256};
    use coterie_core::GroupId;
    use tokio::sync::watch;

    use super::{super::markers::*, *};
    use crate::chain::{
        Block, BlockId, Chain,
        dev::{DevChain, DevOptions, Mining, published_accounts},
    };

    fn chain() -> DevChain {
        DevChain::new(DevOptions { mining: Mining::Manual, ..DevOptions::default() })
    }

    fn markers(chain: &DevChain, key: Option<MarkerKey>) -> Markers {
        let (_, followed) = watch::channel(None);
        let options = MarkerOptions { key, gas_price_max: u128::MAX };
        Markers::new(Arc::new(chain.clone()), 1337, options, followed)
    }

    fn configured() -> Option<MarkerKey> {
        MarkerKey::new(published_accounts()[0].private_key.0)
    }

    fn fields(payload: u8) -> MarkerFields {
        let payload = PayloadKey(B256::repeat_byte(payload));
        MarkerFields { payload, gas_price: 0, gas_limit: 100_000 }
    }

    /// The payloads that the next block marks, with who signed.
    async fn mined(chain: &DevChain) -> Vec<(u8, Address)> {
        let hash = chain.mine().hash;
        let block: Block = chain.block(BlockId::Hash(hash)).await.unwrap().unwrap();
        block.markers.iter().map(|marker| (marker.input[0], marker.from)).collect()
    }

    fn row(marked: Marked) -> Row {
        let payload = PayloadKey(B256::ZERO);
        let sent = Sent { payload, recipients: Vec::new(), marker: Some(marked) };
        Row { sent, marked_at: 0, pushed_at: 0 }
    }

    #[tokio::test]
    async fn a_marker_that_the_chain_lost_is_put_there_again() {
        for key in [configured(), None] {
            let chain = chain();
            let markers = markers(&chain, key);
            let ticket = markers.ticket(GroupId(B256::ZERO));
            let signer = ticket.signer();
            let mut row = row(markers.submit(ticket, fields(7)).await.unwrap());
            chain.drop_pool();
            row.mark(&markers, MARK_BLOCKS - 1).await;
            assert_eq!(mined(&chain).await, []);
            row.mark(&markers, MARK_BLOCKS).await;
            assert_eq!(mined(&chain).await, [(7, signer)]);
        }
    }

    #[tokio::test]
    async fn a_marker_whose_nonce_was_used_is_marked_by_another_transaction() {
        let chain = chain();
        let markers = markers(&chain, configured());
        let ticket = markers.ticket(GroupId(B256::ZERO));
        let mut row = row(markers.submit(ticket, fields(7)).await.unwrap());
        let first = row.sent.marker.as_ref().unwrap().hash;
        chain.drop_pool();
        let raw = sign(&configured().unwrap(), 1337, 0, fields(0xee), 0);
        chain.submit(&raw).await.unwrap();
        assert_eq!(mined(&chain).await.len(), 1);
        row.mark(&markers, MARK_BLOCKS).await;
        assert_ne!(row.sent.marker.as_ref().unwrap().hash, first);
        assert_eq!(mined(&chain).await[0].0, 7);
    }

    #[tokio::test]
    async fn markers_of_a_group_keep_their_order_when_a_place_is_given_up() {
        for key in [configured(), None] {
            let chain = chain();
            let markers = Arc::new(markers(&chain, key));
            let group = GroupId(B256::ZERO);
            let (first, given_up, last) =
                (markers.ticket(group), markers.ticket(group), markers.ticket(group));
            drop(given_up);
            let waiting = Arc::clone(&markers);
            let last = tokio::spawn(async move { waiting.submit(last, fields(3)).await });
            // The last one could overtake only now.
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            assert_eq!(chain.pool_len(), 0);
            markers.submit(first, fields(1)).await.unwrap();
            let deadline = std::time::Instant::now() + Duration::from_secs(60);
            let mut order = Vec::new();
            while order.len() < 2 && std::time::Instant::now() < deadline {
                order.extend(mined(&chain).await.into_iter().map(|(payload, _)| payload));
                tokio::task::yield_now().await;
            }
            last.await.unwrap().unwrap();
            assert_eq!(order, [1, 3]);
        }
    }

    #[test]
    fn payloads_that_nobody_marks_make_room_first() {
        let unmined = Unmined::new(1);
        let sent = |payload: u64, marker| Sent {
            payload: PayloadKey(B256::from(alloy_primitives::U256::from(payload))),
            recipients: Vec::new(),
            marker,
        };
        let marked = Marked::new(B256::ZERO, Vec::new(), fields(0));
        unmined.add(sent(0, Some(marked)), 0);
        (1..=SENT_MAX as u64).for_each(|payload| unmined.add(sent(payload, None), 0));
        let rows = unmined.rows.lock();
        assert_eq!(rows.len(), SENT_MAX);
        assert!(rows[0].sent.marker.is_some());
    }
}
