//! When a block is old enough for its history to be given to a new member (design, 2.4).

use super::{ReadError, view::View};
use crate::chain::BlockId;

/// When a block is old enough for its history to be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmations {
    /// When so many blocks have followed it.
    Blocks(u64),
    /// When the chain calls it finalized.
    Finalized,
}

impl From<u64> for Confirmations {
    fn from(blocks: u64) -> Self {
        Self::Blocks(blocks)
    }
}

impl Confirmations {
    /// The newest followed block that is old enough; `None` while there is none.
    pub(super) async fn newest(self, view: &View) -> Result<Option<u64>, ReadError> {
        let Some(followed) = view.followed() else { return Ok(None) };
        match self {
            Self::Blocks(blocks) => Ok(followed.number.checked_sub(blocks)),
            Self::Finalized => {
                let finalized = view.chain.block_ref(BlockId::Finalized).await?;
                Ok(finalized.map(|finalized| finalized.number.min(followed.number)))
            }
        }
    }
}
