//! Counts and reports payloads that arrive after their marker was followed without them (design,
//! 2.2): their sender misbehaved, or members diverge.
//!
//! Decides nothing: the follower has decided when the marker came.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use crate::enclave::Payload;

/// Late payloads since the node started. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct LatePayloads(Arc<AtomicU64>);

impl LatePayloads {
    /// This payload arrived, and its marker had been followed without it.
    pub fn note(&self, payload: &Payload) {
        self.0.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(
            payload = %payload.key.0, sender = %payload.sender_key,
            "a payload arrived after its marker was followed: it is late, without effect here"
        );
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
