//! Events of the management contracts, as a group's logs hold them.

use alloc::string::String;

use alloy_primitives::{Address, B256};
use alloy_sol_types::SolEvent;

use super::{
    abi::{IGroup, IMembers, IMembers32},
    output,
};
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
        let Some((signature, indexed)) = topics.split_first() else { return Ok(None) };
        // Not a match: on 32 bytes it compiles into a comparison of every single one.
        let is = |event: B256| *signature == event;
        let bytes = is(IMembers::ParticipantAdded::SIGNATURE_HASH)
            || is(IMembers::ParticipantRemoved::SIGNATURE_HASH);
        Ok(Some(
            if is(IMembers::ParticipantAdded::SIGNATURE_HASH)
                || is(IMembers32::ParticipantAdded::SIGNATURE_HASH)
            {
                let [] = addresses(indexed)?;
                Self::ParticipantAdded {
                    success: abi(output::word(data, 0).and_then(output::boolean))?,
                    member: member(data, 1, bytes)?,
                    message: abi(output::text(data, 2))?,
                }
            } else if bytes || is(IMembers32::ParticipantRemoved::SIGNATURE_HASH) {
                let [] = addresses(indexed)?;
                Self::ParticipantRemoved { member: member(data, 0, bytes)? }
            } else if is(IGroup::OwnershipTransferStarted::SIGNATURE_HASH) {
                let [previous_owner, new_owner] = addresses(indexed)?;
                Self::OwnershipTransferStarted { previous_owner, new_owner }
            } else if is(IGroup::OwnershipTransferred::SIGNATURE_HASH) {
                let [previous_owner, new_owner] = addresses(indexed)?;
                Self::OwnershipTransferred { previous_owner, new_owner }
            } else if is(IGroup::Upgraded::SIGNATURE_HASH) {
                let [implementation] = addresses(indexed)?;
                Self::Upgraded { implementation }
            } else {
                return Ok(None);
            },
        ))
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
}

/// A member, as `bytes` or as `bytes32`.
fn member(data: &[u8], place: usize, bytes: bool) -> Result<EnclaveKey, ManagementEventError> {
    if bytes {
        return Ok(EnclaveKey::from_slice(abi(output::bytes(data, place))?)?);
    }
    Ok(EnclaveKey::Nacl(abi(output::word(data, place))?.0))
}

/// Exactly these many indexed addresses.
fn addresses<const N: usize>(indexed: &[B256]) -> Result<[Address; N], ManagementEventError> {
    let words = <[B256; N]>::try_from(indexed).map_err(|_| ManagementEventError::Abi)?;
    let mut addresses = [Address::ZERO; N];
    for (address, word) in addresses.iter_mut().zip(words) {
        *address = abi(output::address(word))?;
    }
    Ok(addresses)
}

fn abi<T>(value: Option<T>) -> Result<T, ManagementEventError> {
    value.ok_or(ManagementEventError::Abi)
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
        fn additions_are_read_back(
            success in any::<bool>(), member in strategies::enclave_key(), message in ".{0,80}",
        ) {
            let (topics, data) = log(&IMembers::ParticipantAdded {
                success,
                publicEnclaveKey: member.as_slice().to_vec().into(),
                message: message.clone(),
            });
            let want = ManagementEvent::ParticipantAdded { success, member, message };
            prop_assert_eq!(ManagementEvent::decode(&topics, &data), Ok(Some(want)));
        }

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
