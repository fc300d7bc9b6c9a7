//! Analysed contract code, kept by its hash.

use alloy_primitives::{B256, KECCAK256_EMPTY};
use quick_cache::{Weighter, sync::Cache};
use revm::bytecode::Bytecode;

use crate::state::{Snapshot, StateError};

/// A bounded cache of analysed private code. Finding the jump targets of a contract takes longer
/// than running most transactions.
#[derive(Debug)]
pub(super) struct CodeCache(Cache<B256, Bytecode, ByLength>);

#[derive(Clone, Debug)]
struct ByLength;

/// Bytes of code kept, jump tables included.
const CODE_BYTES_MAX: u64 = 64 * 1024 * 1024;

impl CodeCache {
    pub(super) fn new() -> Self {
        Self(Cache::with_weighter(4_096, CODE_BYTES_MAX, ByLength))
    }

    /// The code with this hash, which an account of `snapshot` names.
    pub(super) fn code(&self, hash: B256, snapshot: &Snapshot) -> Result<Bytecode, StateError> {
        if hash == KECCAK256_EMPTY {
            return Ok(Bytecode::default());
        }
        if let Some(code) = self.0.get(&hash) {
            return Ok(code);
        }
        // Private accounts never delegate (EIP-7702): what looks like it is code.
        let code = Bytecode::new_legacy(snapshot.code(hash)?);
        self.0.insert(hash, code.clone());
        Ok(code)
    }
}

impl Weighter<B256, Bytecode> for ByLength {
    fn weight(&self, _: &B256, code: &Bytecode) -> u64 {
        // One bit a byte for the jump targets, and the entry.
        let length = code.len() as u64;
        length + length / 8 + 128
    }
}
