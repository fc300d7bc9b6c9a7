//! Makes payloads ready to execute: decodes them, checks whose marker they are for, recovers the
//! sender. All of it depends on the payload alone, so it is done when a payload arrives and kept
//! until its block comes.

use std::sync::Arc;

use alloy_primitives::B256;
use coterie_core::{GroupId, PayloadKey, Recipients, wire::VersionedPrivateTransaction};
use quick_cache::sync::Cache;

use crate::{
    enclave::{Payload, verify_payload},
    executor::{Prepared, recover_sender},
};

/// How many prepared payloads are kept; one takes about a kilobyte.
const PREPARED_MAX: usize = 16_384;

/// What a payload is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened {
    /// A private transaction to a group, from the enclave it names.
    Ready(Box<Prepared>),
    /// Not a private transaction to a group.
    Undecodable,
    /// A private transaction that `privateFrom` did not send to this marker signer.
    NotFromSender(Box<Prepared>),
}

impl Opened {
    /// The group, if it decodes.
    pub fn group(&self) -> Option<GroupId> {
        match self {
            Self::Ready(prepared) | Self::NotFromSender(prepared) => Some(prepared.group),
            Self::Undecodable => None,
        }
    }
}

/// Prepares payloads of one network, and remembers the last ones.
pub struct Preparer {
    definition_hash: B256,
    cache: Cache<PayloadKey, Arc<Opened>>,
}

impl Preparer {
    /// For payloads of the network with this definition hash.
    pub fn new(definition_hash: B256) -> Self {
        Self { definition_hash, cache: Cache::new(PREPARED_MAX) }
    }

    /// The payload, ready to execute.
    pub fn prepare(&self, payload: &Payload) -> Arc<Opened> {
        if let Some(opened) = self.cache.get(&payload.key) {
            return opened;
        }
        let opened = Arc::new(self.open(payload));
        self.cache.insert(payload.key, Arc::clone(&opened));
        opened
    }

    fn open(&self, payload: &Payload) -> Opened {
        let Ok(VersionedPrivateTransaction { transaction, version }) =
            VersionedPrivateTransaction::from_text(&payload.text)
        else {
            return Opened::Undecodable;
        };
        let Recipients::Group(group) = transaction.transaction.recipients else {
            return Opened::Undecodable;
        };
        let private_from = &transaction.transaction.private_from;
        let from_sender = verify_payload(payload, private_from, self.definition_hash, group);
        let sender = if from_sender { recover_sender(&transaction) } else { None };
        let prepared = Box::new(Prepared { key: payload.key, transaction, version, group, sender });
        if from_sender { Opened::Ready(prepared) } else { Opened::NotFromSender(prepared) }
    }
}

impl std::fmt::Debug for Preparer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Preparer({} prepared)", self.cache.len())
    }
}
