//! Reads blocks and their payloads, and begins with the next block while the last one is executed
//! and committed.
//!
//! Asking the enclave early moves its position early, which the enclave allows: a block is decided
//! the same however often it is asked for, and a block that is never applied is one that was left.
//! Private state is not looked at here: what a marker means is decided when the block's turn comes.

use std::sync::Arc;

use coterie_core::{PayloadKey, definition::Rules, marker::Marker};
use rayon::prelude::*;
use tokio::{
    runtime::Handle,
    sync::oneshot,
    task::{JoinError, JoinHandle},
};

use super::{
    FollowError,
    driver::block_ref,
    prepare::Preparer,
    sort::{Candidate, Readable},
};
use crate::{
    chain::{Block, BlockId, BlockRef, Chain, MarkerTransaction},
    enclave::{Decided, Enclave, EnclaveUnavailable},
};

/// Reads blocks, with what the enclave says of their markers.
#[derive(Clone)]
pub(super) struct Reader {
    pub(super) chain: Arc<dyn Chain>,
    pub(super) enclave: Arc<dyn Enclave>,
    pub(super) preparer: Arc<Preparer>,
    pub(super) rules: Rules,
}

impl Reader {
    /// What the enclave says of the block's markers, decoded.
    pub(super) async fn candidates(
        &self,
        block: &Block,
    ) -> Result<Vec<Candidate>, EnclaveUnavailable> {
        let payload =
            |it: &MarkerTransaction| Marker::parse(&it.input).ok()?.payload_under(self.rules);
        let markers: Vec<(&MarkerTransaction, PayloadKey)> =
            block.markers.iter().filter_map(|it| Some((it, payload(it)?))).collect();
        // Also for a block without markers: the enclave's position must not leave out blocks, or a
        // reorg that passed unnoticed would look like the same branch.
        let keys: Vec<PayloadKey> = markers.iter().map(|(_, key)| *key).collect();
        let decided = self.enclave.decide(block_ref(&block.header), &keys).await?;
        let readable: Vec<Readable> = decided.into_par_iter().map(|it| self.readable(it)).collect();
        let candidate = |((it, key), readable): ((&MarkerTransaction, PayloadKey), Readable)| {
            Candidate { index: it.index, marker: it.hash, from: it.from, key, readable }
        };
        Ok(markers.into_iter().zip(readable).map(candidate).collect())
    }

    fn readable(&self, decided: Decided) -> Readable {
        let (payload, late) = match decided {
            Decided::Unreadable => return Readable::No,
            Decided::Malformed => return Readable::Malformed,
            Decided::InTime(payload) => (payload, false),
            Decided::Late(payload) => (payload, true),
        };
        if late {
            tracing::warn!(payload = %payload.key.0, "a payload was not here when its marker was followed");
        }
        let opened = self.preparer.prepare(&payload);
        Readable::Yes { marker_signer: payload.marker_signer, late, opened }
    }

    /// Begins to fetch the block after `last`; the enclave is asked once [`Ahead::go`] is called.
    pub(super) fn ahead(&self, last: BlockRef) -> Ahead {
        let (go, may_go) = oneshot::channel();
        let (reader, number) = (self.clone(), last.number + 1);
        let task = tokio::spawn(async move {
            let Some(block) = reader.chain.block(BlockId::Number(number)).await? else {
                return Ok(None);
            };
            // Another branch is not asked about: it may be left again at once.
            if block.header.parent_hash != last.hash || may_go.await.is_err() {
                return Ok(Some((block, None)));
            }
            // Opening and recovering takes long: off the threads that answer requests.
            let runtime = Handle::current();
            let work = move || {
                let candidates = runtime.block_on(reader.candidates(&block))?;
                Ok(Some((block, Some(candidates))))
            };
            unwound(tokio::task::spawn_blocking(work).await).unwrap_or(Ok(None))
        });
        Ahead { number, go: Some(go), task }
    }
}

/// A block, with what the enclave says of its markers if it was asked already.
type ReadBlock = (Block, Option<Vec<Candidate>>);

/// A block that is read ahead. Dropping it ends that.
#[derive(Debug)]
pub(super) struct Ahead {
    number: u64,
    go: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<Option<ReadBlock>, FollowError>>,
}

impl Ahead {
    /// Which block.
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// Lets it use the machine's cores: what is more urgent is done.
    pub(super) fn go(&mut self) {
        if let Some(go) = self.go.take() {
            // It may have failed already.
            let _ = go.send(());
        }
    }

    /// Waits for the block; `None` when the chain does not have it.
    ///
    /// # Errors
    ///
    /// The chain or the enclave failed.
    pub(super) async fn finish(mut self) -> Result<Option<ReadBlock>, FollowError> {
        self.go();
        unwound((&mut self.task).await).unwrap_or(Ok(None))
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A task's result; `None` when it was ended. Its panic goes on here.
fn unwound<T>(joined: Result<T, JoinError>) -> Option<T> {
    match joined {
        Ok(value) => Some(value),
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => None,
    }
}
