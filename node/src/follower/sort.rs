//! What each marker of a block means, before anything is executed: pure.
//!
//! Sorts a block's markers into those that go to a group's execution, and those without effect for
//! everyone (design, 2.2 and 2.3). The first marker on the branch that comes from the payload's
//! marker signer decides; a later one is a duplicate, a stranger's is a copy.

use std::{collections::BTreeMap, collections::HashMap, sync::Arc};

use alloy_primitives::{Address, B256, Bytes};
use coterie_core::{GroupId, PayloadKey};

use super::{histories::Histories, prepare::Opened};
use crate::{
    chain::BlockRef,
    executor::Prepared,
    state::{Reason, Receipt, seen::Unread},
};

/// A marker whose data are a payload id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    /// Index in the block.
    pub(super) index: u64,
    /// Transaction hash.
    pub(super) marker: B256,
    /// Public sender.
    pub(super) from: Address,
    /// The id.
    pub(super) key: PayloadKey,
    /// What the enclave said.
    pub(super) readable: Readable,
}

/// What the enclave said of a marker's id, prepared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Readable {
    /// Nothing, or not for us.
    No,
    /// Opens, but has not the form of the rules.
    Malformed,
    /// Opens.
    Yes {
        /// Whose marker decides; zero: anyone's.
        marker_signer: Address,
        /// Readable only after this block was decided first.
        late: bool,
        /// What is inside.
        opened: Arc<Opened>,
    },
}

/// Which marker of an id was the first, on the branch that is followed.
pub(super) trait Earlier {
    /// The error of looking it up.
    type Error;
    /// The marker that decided `key`, or the first of `signer` (zero: of anyone) when its payload
    /// was not readable then.
    fn earlier(&self, key: PayloadKey, signer: Address) -> Result<Option<B256>, Self::Error>;
}

/// A marker that goes to its group's execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    /// Index in the block.
    pub(super) index: u64,
    /// Marker transaction hash.
    pub(super) marker: B256,
    /// The transaction.
    pub(super) prepared: Arc<Opened>,
    /// Whether an accepted history says that it counts.
    pub(super) from_history: bool,
}

impl Item {
    /// The transaction to execute.
    pub(super) fn transaction(&self) -> Option<&Prepared> {
        match &*self.prepared {
            Opened::Ready(prepared) => Some(prepared),
            Opened::Undecodable | Opened::NotFromSender(_) => None,
        }
    }
}

/// A block's markers, sorted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sorted {
    /// What is executed, by group, in order.
    pub(super) groups: BTreeMap<GroupId, Vec<Item>>,
    /// Receipts of markers without effect.
    pub(super) receipts: Vec<Receipt>,
    /// Ids that this block decides: id, index, marker.
    pub(super) decisions: Vec<(PayloadKey, u64, B256)>,
    /// Markers that could not be read.
    pub(super) unread: Vec<Unread>,
}

/// Sorts the candidates of `block`, which are in the order of their index.
///
/// # Errors
///
/// What looking up earlier markers fails with.
pub(super) fn sort<E: Earlier>(
    block: BlockRef,
    candidates: &[Candidate],
    histories: &Histories,
    earlier: &E,
) -> Result<Sorted, E::Error> {
    let mut sorted = Sorted::default();
    let mut in_block: HashMap<PayloadKey, B256> = HashMap::new();
    for candidate in candidates {
        let (marker_signer, late, opened) = match &candidate.readable {
            Readable::No => {
                let Candidate { index, marker, from, key, .. } = *candidate;
                sorted.unread.push(Unread { key, from, index, marker });
                continue;
            }
            Readable::Malformed => {
                sorted.receipts.push(without_effect(candidate, None, Reason::Undecodable, None));
                continue;
            }
            Readable::Yes { marker_signer, late, opened } => (*marker_signer, *late, opened),
        };
        let from_history = histories.counts(block, candidate.index, candidate.key);
        let reason = if from_history {
            None
        } else if marker_signer != Address::ZERO && marker_signer != candidate.from {
            Some(Reason::Copied)
        } else if let Some(first) = first_marker(&in_block, earlier, candidate.key, marker_signer)?
        {
            let receipt = without_effect(candidate, opened.group(), Reason::Duplicate, Some(first));
            sorted.receipts.push(receipt);
            continue;
        } else {
            own_reason(block, late, opened, histories)
        };
        if reason != Some(Reason::Copied) {
            in_block.insert(candidate.key, candidate.marker);
            sorted.decisions.push((candidate.key, candidate.index, candidate.marker));
        }
        match (reason, opened.group()) {
            (None, Some(group)) => sorted.groups.entry(group).or_default().push(Item {
                index: candidate.index,
                marker: candidate.marker,
                prepared: Arc::clone(opened),
                from_history,
            }),
            (reason, group) => {
                let reason = reason.unwrap_or(Reason::Undecodable);
                sorted.receipts.push(without_effect(candidate, group, reason, None));
            }
        }
    }
    Ok(sorted)
}

fn first_marker<E: Earlier>(
    in_block: &HashMap<PayloadKey, B256>,
    earlier: &E,
    key: PayloadKey,
    signer: Address,
) -> Result<Option<B256>, E::Error> {
    match in_block.get(&key) {
        Some(marker) => Ok(Some(*marker)),
        None => earlier.earlier(key, signer),
    }
}

/// Why the deciding marker itself has no effect, if so.
fn own_reason(
    block: BlockRef,
    late: bool,
    opened: &Opened,
    histories: &Histories,
) -> Option<Reason> {
    match opened {
        Opened::Undecodable => Some(Reason::Undecodable),
        Opened::NotFromSender(_) => Some(Reason::EnclaveSignature),
        Opened::Ready(prepared) if histories.covers(prepared.group, block) => {
            Some(Reason::NotInHistory)
        }
        Opened::Ready(_) if late => Some(Reason::Late),
        Opened::Ready(_) => None,
    }
}

/// The receipt of a marker that is not executed.
fn without_effect(
    candidate: &Candidate,
    group: Option<GroupId>,
    reason: Reason,
    decided_by: Option<B256>,
) -> Receipt {
    Receipt {
        marker: candidate.marker,
        index: candidate.index,
        payload: candidate.key,
        group,
        reason,
        decided_by,
        output: Bytes::new(),
        revert: None,
        logs: Vec::new(),
        contract: None,
        sender: match &candidate.readable {
            Readable::Yes { opened, .. } => match &**opened {
                Opened::Ready(prepared) => prepared.sender,
                Opened::NotFromSender(_) | Opened::Undecodable => None,
            },
            Readable::No | Readable::Malformed => None,
        },
    }
}
