//! Whether a data directory is of the network and the chain that a node is started with.
//!
//! State is derived from the definition, the chain and the payloads. With another definition every
//! later root would differ from the other members'; on another chain nothing would fit. So a node
//! does not start on state of elsewhere. Payloads are not looked at: they name their network
//! themselves.

use coterie_core::NetworkDefinition;

use super::NodeError;
use crate::{
    chain::{BlockId, Chain, ChainError},
    state::State,
};

/// Refuses state of another network, of another chain, or followed from another block. State that
/// does not say its network yet is taken to be of this one from now on.
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
    let expected = definition.hash();
    match state.network()? {
        Some(found) if found == expected => {}
        Some(found) => return Err(NodeError::AnotherNetwork { expected, found }),
        None => state.set_network(expected)?,
    }
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

    use coterie_core::contracts::CODE_HASHES;

    use super::*;
    use crate::{
        chain::dev::{DevChain, DevOptions},
        state::StateOptions,
        store::MemoryStore,
    };

    fn definition(name: &str) -> NetworkDefinition {
        NetworkDefinition::coterie(name, 1337, CODE_HASHES)
    }

    /// Chains with different gas limits have different genesis blocks.
    fn chain(gas_limit: u64) -> DevChain {
        DevChain::new(DevOptions { gas_limit, ..DevOptions::default() })
    }

    #[tokio::test]
    async fn state_is_of_one_network_one_chain_and_one_first_block() {
        let store = Arc::new(MemoryStore::default());
        let open = || State::open(Arc::clone(&store) as _, StateOptions::default()).unwrap();
        let (here, elsewhere) = (chain(30_000_000), chain(40_000_000));
        let (ours, theirs) = (definition("ours"), definition("theirs"));
        check(&open(), &ours, &here, 7).await.unwrap();
        // Before anything was followed, only the network is settled.
        check(&open(), &ours, &elsewhere, 0).await.unwrap();

        let base = here.head();
        open().rewind(base).unwrap();
        for first in [0, 1] {
            check(&open(), &ours, &here, first).await.unwrap();
        }
        let error = check(&open(), &theirs, &here, 0).await.unwrap_err();
        let (expected, found) = (theirs.hash(), ours.hash());
        assert!(
            matches!(error, NodeError::AnotherNetwork { expected: e, found: f } if (e, f) == (expected, found)),
            "{error}"
        );
        let error = check(&open(), &ours, &here, 2).await.unwrap_err();
        assert!(matches!(error, NodeError::AnotherFirstBlock { expected: 2, found: 1 }), "{error}");
        let error = check(&open(), &ours, &elsewhere, 0).await.unwrap_err();
        assert!(
            matches!(error, NodeError::AnotherChain { base: b, found } if b == base && found == elsewhere.genesis_hash()),
            "{error}"
        );
        // It refused without changing anything.
        check(&open(), &ours, &here, 0).await.unwrap();
    }

    #[tokio::test]
    async fn a_chain_that_is_not_there_yet_contradicts_nothing() {
        let state = State::open(Arc::new(MemoryStore::default()), StateOptions::default()).unwrap();
        let here = chain(30_000_000);
        let base = here.mine();
        state.rewind(base).unwrap();
        check(&state, &definition("ours"), &chain(30_000_000), 2).await.unwrap();
    }
}
