//! Whether a data directory is of the network and the chain that a node is started with.
//!
//! State is derived from the definition, the chain and the payloads. With another definition every
//! later root would differ from the other members'; on another chain nothing would fit. So a node
//! does not start on state of elsewhere. The payload file is not looked at.

use coterie_core::NetworkDefinition;

use super::NodeError;
use crate::{
    chain::{BlockId, Chain, ChainError},
    state::State,
};

/// Refuses state of another network, of another chain, or followed from another block. State that
/// does not say its network yet, or has no groups, is taken to be of this one from now on.
///
/// # Errors
///
/// [`NodeError::AnotherNetwork`], [`NodeError::AnotherFirstBlock`], [`NodeError::AnotherChain`];
/// when the chain does not answer, or the store fails.
pub(super) async fn check(
    state: &State,
    definition: &NetworkDefinition,
    chain: &dyn Chain,
    first_block: u64,
) -> Result<(), NodeError> {
    let (expected, found) = (definition.hash(), state.network()?);
    if let Some(found) = found.filter(|found| *found != expected && !state.groups().is_empty()) {
        return Err(NodeError::AnotherNetwork { expected, found });
    }
    check_chain(state, chain, first_block).await?;
    // Last: what is refused changes nothing.
    if found != Some(expected) {
        state.set_network(expected)?;
    }
    Ok(())
}

async fn check_chain(state: &State, chain: &dyn Chain, first_block: u64) -> Result<(), NodeError> {
    let Some(base) = state.base()? else { return Ok(()) };
    // The genesis block has no markers, so 0 and 1 are the same.
    if base.number != first_block.saturating_sub(1) {
        let found = base.number.saturating_add(1);
        return Err(NodeError::AnotherFirstBlock { expected: first_block, found });
    }
    let theirs = match chain.block_ref(BlockId::Number(base.number)).await {
        Ok(theirs) => theirs,
        // A node may have dropped its oldest blocks (EIP-4444): that contradicts nothing.
        Err(ChainError::Refused { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    match theirs {
        Some(theirs) if theirs.hash != base.hash => {
            Err(NodeError::AnotherChain { base, found: theirs.hash })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use alloy_primitives::B256;
    use coterie_core::{GroupId, contracts::CODE_HASHES};

    use super::*;
    use crate::{
        chain::{
            BlockRef,
            dev::{DevChain, DevOptions},
        },
        executor::GroupFacts,
        state::{BlockCommit, EMPTY_ROOT, GroupBlock, GroupCommit, StateOptions},
        store::MemoryStore,
    };

    fn definition(name: &str) -> NetworkDefinition {
        NetworkDefinition::coterie(name, 1337, CODE_HASHES)
    }

    /// Chains with different gas limits have different genesis blocks.
    fn chain(gas_limit: u64) -> DevChain {
        DevChain::new(DevOptions { gas_limit, ..DevOptions::default() })
    }

    /// State in which nothing was followed.
    fn empty() -> State {
        State::open(Arc::new(MemoryStore::default()), StateOptions::default()).unwrap()
    }

    /// State that begins after the chain's first block, with a group in the next.
    async fn with_group(chain: &DevChain) -> State {
        let (state, base) = (empty(), chain.head());
        state.rewind(base).unwrap();
        let header = chain.block(BlockId::Hash(chain.mine().hash)).await.unwrap().unwrap().header;
        let block = BlockRef { number: header.number, hash: header.hash };
        let record = GroupBlock {
            block,
            root: EMPTY_ROOT,
            digest: B256::ZERO,
            counted: 0,
            created: block,
            markers: Vec::new(),
        };
        let facts = Arc::new(GroupFacts::before_creation());
        let group = GroupId(B256::repeat_byte(7));
        let groups = vec![GroupCommit { group, record, snapshot: None, facts }];
        let (receipts, decisions, meta) = (Vec::new(), Vec::new(), Vec::new());
        state.commit(BlockCommit { header, groups, receipts, decisions, meta }).unwrap();
        state
    }

    #[tokio::test]
    async fn state_is_of_one_network_one_chain_and_one_first_block() {
        let (here, elsewhere) = (chain(30_000_000), chain(40_000_000));
        let (ours, theirs) = (definition("ours"), definition("theirs"));
        let base = here.head();
        let state = with_group(&here).await;
        for first in [0, 1] {
            check(&state, &ours, &here, first).await.unwrap();
        }
        let error = check(&state, &theirs, &here, 0).await.unwrap_err();
        let want = (theirs.hash(), ours.hash());
        assert!(
            matches!(error, NodeError::AnotherNetwork { expected, found } if (expected, found) == want),
            "{error}"
        );
        let error = check(&state, &ours, &here, 2).await.unwrap_err();
        assert!(matches!(error, NodeError::AnotherFirstBlock { expected: 2, found: 1 }), "{error}");
        let error = check(&state, &ours, &elsewhere, 0).await.unwrap_err();
        let want = (base, elsewhere.genesis_hash());
        assert!(
            matches!(error, NodeError::AnotherChain { base, found } if (base, found) == want),
            "{error}"
        );
    }

    #[tokio::test]
    async fn what_is_refused_settles_nothing_and_neither_does_state_without_groups() {
        let (here, elsewhere) = (chain(30_000_000), chain(40_000_000));
        let (ours, theirs) = (definition("ours"), definition("theirs"));
        // As an earlier version wrote it: without its network.
        let state = with_group(&here).await;
        assert!(check(&state, &theirs, &elsewhere, 0).await.is_err());
        assert_eq!(state.network().unwrap(), None);
        check(&state, &ours, &here, 0).await.unwrap();
        assert_eq!(state.network().unwrap(), Some(ours.hash()));

        let state = empty();
        for definition in [&theirs, &ours] {
            check(&state, definition, &here, 0).await.unwrap();
            assert_eq!(state.network().unwrap(), Some(definition.hash()));
        }
    }

    #[tokio::test]
    async fn a_chain_that_is_not_there_yet_contradicts_nothing() {
        let (state, here) = (empty(), chain(30_000_000));
        state.rewind(here.mine()).unwrap();
        check(&state, &definition("ours"), &chain(30_000_000), 2).await.unwrap();
    }
}
