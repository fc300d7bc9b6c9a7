//! Public state for an execution that is under way: what was recorded for the block, else the
//! chain's, at the parent block.
//!
//! Called from threads that do not serve the runtime; it waits for the answers there.

use std::{collections::HashMap, sync::Arc};

use coterie_core::GroupId;
use parking_lot::Mutex;
use tokio::runtime::Handle;

use crate::{
    chain::{Chain, Header, PublicRead, PublicValue},
    enclave::Enclave,
    executor::Source,
};

/// A source for the execution of block `header` for `group`. Without an answer (the chain or the
/// enclave fails) the execution ends, and the follower asks again in its own time.
pub(super) fn source(
    chain: &Arc<dyn Chain>,
    enclave: &Arc<dyn Enclave>,
    group: GroupId,
    header: &Header,
) -> Source {
    let (chain, enclave) = (Arc::clone(chain), Arc::clone(enclave));
    let (block, parent) = (header.hash, header.parent_hash);
    let runtime = Handle::current();
    let recorded: Mutex<Option<HashMap<PublicRead, PublicValue>>> = Mutex::default();
    Arc::new(move |read| {
        let mut recorded = recorded.lock();
        if recorded.is_none() {
            let reads = runtime.block_on(enclave.recorded_reads(group, block)).ok()?;
            *recorded = Some(reads.into_iter().collect());
        }
        if let Some(value) = recorded.as_ref().and_then(|recorded| recorded.get(&read)) {
            return Some(value.clone());
        }
        runtime.block_on(chain.read(parent, &[read])).ok()?.pop()
    })
}
