//! What private code sees: private state over public state (protocol specification, 6.7).
//!
//! An address with a private account that is not empty is that account; any other is the public
//! account, which nothing can change. The sender always acts as a private account. Precompiles have
//! no public side: whether somebody sent ether to one on the public chain does not matter here, and
//! calling one needs no look at the public chain.

use std::collections::HashSet;

use alloy_primitives::{Address, B256, U256, map::DefaultHashBuilder};
use revm::{
    Database,
    bytecode::Bytecode,
    database_interface::DBErrorMarker,
    precompile::Precompiles,
    state::{AccountId, AccountInfo},
};

use super::{facts::Footprint, overlay::Overlay, public::PublicReads, trace::Recorder};
use crate::{chain::PublicRead, state::StateError};

/// The state of a private execution.
#[derive(Debug)]
pub(super) struct View<'a> {
    pub(super) overlay: &'a mut Overlay,
    pub(super) public: &'a PublicReads,
    pub(super) precompiles: &'static Precompiles,
    /// Number of the block that is executed and hash of its parent.
    pub(super) parent: Option<(u64, B256)>,
    pub(super) public_reads_max: usize,
    /// Whose transaction runs.
    pub(super) sender: Address,
    /// What GASPRICE answers; revm's own has only 128 bits.
    pub(super) gas_price: U256,
    /// What this transaction read of public state.
    pub(super) read: HashSet<PublicRead, DefaultHashBuilder>,
    /// Collects what is read, to know when an answer is out of date.
    pub(super) footprint: Option<&'a mut Footprint>,
    /// Records the frames, when somebody wants to see them.
    pub(super) recorder: Option<Recorder>,
}

/// Why a read has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ViewError {
    #[error("public state is needed")]
    Missing(PublicRead),
    #[error("too many public reads")]
    TooManyReads,
    #[error(transparent)]
    State(#[from] StateError),
}

impl DBErrorMarker for ViewError {}

impl View<'_> {
    /// Whether `address` is a public account and no private one.
    pub(super) fn is_public_only(&mut self, address: Address) -> Result<bool, ViewError> {
        Ok(self.basic(address)?.is_some_and(|info| info.account_id.is_some()))
    }

    /// Counts a public read. All members must count alike: also what was fetched before counts,
    /// and what is read twice counts once.
    fn count(&mut self, read: PublicRead) -> Result<(), ViewError> {
        if let Some(footprint) = &mut self.footprint {
            footprint.public = true;
        }
        if self.read.insert(read) && self.read.len() > self.public_reads_max {
            return Err(ViewError::TooManyReads);
        }
        Ok(())
    }
}

impl Database for View<'_> {
    type Error = ViewError;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, ViewError> {
        if let Some(footprint) = &mut self.footprint {
            footprint.accounts.insert(address);
        }
        if let Some(info) = self.overlay.account(address)? {
            return Ok(Some(info.clone()));
        }
        if address == self.sender || self.precompiles.contains(&address) {
            return Ok(None);
        }
        self.count(PublicRead::Account(address))?;
        self.public.account(address).map_err(ViewError::Missing)
    }

    fn code_by_hash(&mut self, _: B256) -> Result<Bytecode, ViewError> {
        // `basic` always brings the code along, so this is asked only for accounts without code.
        Ok(Bytecode::default())
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, ViewError> {
        if let Some(footprint) = &mut self.footprint {
            footprint.slots.insert((address, slot));
        }
        Ok(self.overlay.storage(address, slot)?)
    }

    /// Asked for accounts with an id, which are the public ones.
    fn storage_by_account_id(
        &mut self,
        address: Address,
        _: AccountId,
        slot: U256,
    ) -> Result<U256, ViewError> {
        self.count(PublicRead::Slot(address, slot))?;
        self.public.slot(address, slot).map_err(ViewError::Missing)
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, ViewError> {
        if let Some((block, parent_hash)) = self.parent
            && number.checked_add(1) == Some(block)
        {
            return Ok(parent_hash);
        }
        self.count(PublicRead::BlockHash(number))?;
        self.public.block_hash(number).map_err(ViewError::Missing)
    }
}
