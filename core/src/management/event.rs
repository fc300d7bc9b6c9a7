//! Events of the management contracts, as a group's logs hold them.

use alloc::{string::String, vec::Vec};

use alloy_primitives::{Address, B256};
use alloy_sol_types::SolEvent;

use super::abi::{IGroup, IMembers, IMembers32};
use crate::{EnclaveKey, InvalidEnclaveKey};

/// An event of the management contracts. Member keys come in either ABI.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ManagementEvent {
    /// `ParticipantAdded(bool,bytes,string)` or `(bool,bytes32,string)`.
    ParticipantAdded {
        /// Whether the member was added now.
        success: bool,
        /// The member.
        member: EnclaveKey,
        /// The contract's words for it.
        message: String,
    },
    /// `ParticipantRemoved(bytes)` or `(bytes32)`.
    ParticipantRemoved {
        /// The member.
        member: EnclaveKey,
    },
    /// `OwnershipTransferStarted(address,address)`, our contracts only.
    OwnershipTransferStarted {
        /// The owner, until the new one accepts.
        previous_owner: Address,
        /// Who may accept.
        new_owner: Address,
    },
    /// `OwnershipTransferred(address,address)`, our contracts only.
    OwnershipTransferred {
        /// Who was the owner.
        previous_owner: Address,
        /// The owner from now on.
        new_owner: Address,
    },
    /// `Upgraded(address)` of the proxy, our contracts only.
    Upgraded {
        /// The new code behind the proxy.
        implementation: Address,
    },
}

/// The topics are those of a management event, but the rest is not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManagementEventError {
    /// Topics or data are not ABI encoded.
    #[error("the management event is not ABI encoded")]
    Abi,
    /// A key is no enclave key.
    #[error("the management event names something that is not an enclave key")]
    Key(#[from] InvalidEnclaveKey),
}

impl ManagementEvent {
    /// Reads a log; `None` when its first topic is no management event's.
    ///
    /// # Errors
    ///
    /// The first topic is known and the rest does not fit it.
    pub fn decode(topics: &[B256], data: &[u8]) -> Result<Option<Self>, ManagementEventError> {
        let Some(signature) = topics.first() else { return Ok(None) };
        Ok(Some(match *signature {
            IMembers::ParticipantAdded::SIGNATURE_HASH => {
                let event: IMembers::ParticipantAdded = decode(topics, data)?;
                Self::ParticipantAdded {
                    success: event.success,
                    member: EnclaveKey::from_slice(&event.publicEnclaveKey)?,
                    message: event.message,
                }
            }
            IMembers32::ParticipantAdded::SIGNATURE_HASH => {
                let event: IMembers32::ParticipantAdded = decode(topics, data)?;
                Self::ParticipantAdded {
                    success: event.success,
                    member: EnclaveKey::Nacl(event.publicEnclaveKey.0),
                    message: event.message,
                }
            }
            IMembers::ParticipantRemoved::SIGNATURE_HASH => {
                let event: IMembers::ParticipantRemoved = decode(topics, data)?;
                Self::ParticipantRemoved {
                    member: EnclaveKey::from_slice(&event.publicEnclaveKey)?,
                }
            }
            IMembers32::ParticipantRemoved::SIGNATURE_HASH => {
                let event: IMembers32::ParticipantRemoved = decode(topics, data)?;
                Self::ParticipantRemoved { member: EnclaveKey::Nacl(event.publicEnclaveKey.0) }
            }
            _ => return Self::decode_group(*signature, topics, data),
        }))
    }

    /// The name of the event in Solidity.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::ParticipantAdded { .. } => "ParticipantAdded",
            Self::ParticipantRemoved { .. } => "ParticipantRemoved",
            Self::OwnershipTransferStarted { .. } => "OwnershipTransferStarted",
            Self::OwnershipTransferred { .. } => "OwnershipTransferred",
            Self::Upgraded { .. } => "Upgraded",
        }
    }

    fn decode_group(
        signature: B256,
        topics: &[B256],
        data: &[u8],
    ) -> Result<Option<Self>, ManagementEventError> {
        Ok(Some(match signature {
            IGroup::OwnershipTransferStarted::SIGNATURE_HASH => {
                let event: IGroup::OwnershipTransferStarted = decode(topics, data)?;
                Self::OwnershipTransferStarted {
                    previous_owner: event.previousOwner,
                    new_owner: event.newOwner,
                }
            }
            IGroup::OwnershipTransferred::SIGNATURE_HASH => {
                let event: IGroup::OwnershipTransferred = decode(topics, data)?;
                Self::OwnershipTransferred {
                    previous_owner: event.previousOwner,
                    new_owner: event.newOwner,
                }
            }
            IGroup::Upgraded::SIGNATURE_HASH => {
                let event: IGroup::Upgraded = decode(topics, data)?;
                Self::Upgraded { implementation: event.implementation }
            }
            _ => return Ok(None),
        }))
    }
}

fn decode<E: SolEvent>(topics: &[B256], data: &[u8]) -> Result<E, ManagementEventError> {
    let topics: Vec<B256> = topics.to_vec();
    E::decode_raw_log(topics, data).map_err(|_| ManagementEventError::Abi)
}

#[cfg(test)]
mod tests {
    use alloc::{vec, vec::Vec};

    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::strategies;

    fn log(event: &impl SolEvent) -> (Vec<B256>, Vec<u8>) {
        let log = event.encode_log_data();
        (log.topics().to_vec(), log.data.to_vec())
    }

    #[track_caller]
    fn check(event: &impl SolEvent, want: &ManagementEvent) {
        let (topics, data) = log(event);
        assert_eq!(ManagementEvent::decode(&topics, &data).unwrap().as_ref(), Some(want));
        // A topic too few is an error, not a panic.
        let (first, rest) = topics.split_first().unwrap();
        if !rest.is_empty() {
            assert_eq!(ManagementEvent::decode(&[*first], &data), Err(ManagementEventError::Abi));
        }
    }

    #[test]
    fn members_come_in_either_abi() {
        let member = EnclaveKey::Nacl([7; 32]);
        let message = String::from("Member account added successfully");
        let want =
            ManagementEvent::ParticipantAdded { success: true, member, message: message.clone() };
        let key = B256::repeat_byte(7);
        let added = IMembers::ParticipantAdded {
            success: true,
            publicEnclaveKey: key.to_vec().into(),
            message: message.clone(),
        };
        check(&added, &want);
        check(
            &IMembers32::ParticipantAdded { success: true, publicEnclaveKey: key, message },
            &want,
        );
        let want = ManagementEvent::ParticipantRemoved { member: EnclaveKey::Nacl([7; 32]) };
        check(&IMembers::ParticipantRemoved { publicEnclaveKey: key.to_vec().into() }, &want);
        check(&IMembers32::ParticipantRemoved { publicEnclaveKey: key }, &want);
        let (topics, data) =
            log(&IMembers::ParticipantRemoved { publicEnclaveKey: vec![1; 31].into() });
        assert_eq!(
            ManagementEvent::decode(&topics, &data),
            Err(ManagementEventError::Key(InvalidEnclaveKey::Length(31)))
        );
    }

    #[test]
    fn owners_and_upgrades_are_in_the_topics() {
        let (old, new) = (Address::repeat_byte(1), Address::repeat_byte(2));
        check(
            &IGroup::OwnershipTransferStarted { previousOwner: old, newOwner: new },
            &ManagementEvent::OwnershipTransferStarted { previous_owner: old, new_owner: new },
        );
        check(
            &IGroup::OwnershipTransferred { previousOwner: old, newOwner: new },
            &ManagementEvent::OwnershipTransferred { previous_owner: old, new_owner: new },
        );
        check(
            &IGroup::Upgraded { implementation: new },
            &ManagementEvent::Upgraded { implementation: new },
        );
    }

    proptest! {
        #![proptest_config(strategies::config(128))]

        #[test]
        fn no_log_panics(
            known in 0usize..8,
            rest in vec(strategies::hash(), 0..4),
            data in vec(any::<u8>(), 0..300),
        ) {
            let signatures = [
                IMembers::ParticipantAdded::SIGNATURE_HASH,
                IMembers32::ParticipantAdded::SIGNATURE_HASH,
                IMembers::ParticipantRemoved::SIGNATURE_HASH,
                IMembers32::ParticipantRemoved::SIGNATURE_HASH,
                IGroup::OwnershipTransferStarted::SIGNATURE_HASH,
                IGroup::OwnershipTransferred::SIGNATURE_HASH,
                IGroup::Upgraded::SIGNATURE_HASH,
            ];
            let topics: Vec<_> = signatures.get(known).copied().into_iter().chain(rest).collect();
            let _ = ManagementEvent::decode(&topics, &data);
        }
    }
}
