//! Calls to the management contracts.

use alloc::vec::Vec;

use alloy_primitives::{Address, B256, Bytes};
use alloy_sol_types::{
    SolCall,
    abi::token::{DynSeqToken, PackedSeqToken},
};

use super::{
    abi::{IGroup, IMembers, IMembers32},
    members::{MembersError, keys_of},
};
use crate::{EnclaveKey, InvalidEnclaveKey};

/// A call that the management contracts understand.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ManagementCall {
    /// `addParticipants(bytes[])`: creates the group, or adds to a locked one; unlocks it.
    AddParticipants(Vec<EnclaveKey>),
    /// `addParticipants(bytes32[])`, the older ABI.
    AddParticipants32(Vec<B256>),
    /// `removeParticipant(bytes)`.
    RemoveParticipant(EnclaveKey),
    /// `removeParticipant(bytes32)`, the older ABI.
    RemoveParticipant32(B256),
    /// `lock()`.
    Lock,
    /// `unlock()`.
    Unlock,
    /// `getParticipants()`, answered in the ABI of the call that created the group.
    Participants,
    /// `members()`, our contracts only; always answered as `bytes[]`.
    Members,
    /// `canExecute()`: whether the group is unlocked.
    CanExecute,
    /// `getVersion()`.
    Version,
    /// `canUpgrade()`.
    CanUpgrade,
    /// `implementation()`.
    Implementation,
    /// `upgradeTo(address)`.
    UpgradeTo(Address),
    /// `owner()`, our contracts only.
    Owner,
    /// `transferOwnership(address)`, our contracts only.
    TransferOwnership(Address),
    /// `acceptOwnership()`, our contracts only.
    AcceptOwnership,
}

/// The calldata is no management call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManagementCallError {
    /// No known selector.
    #[error("no management function has this selector")]
    UnknownFunction,
    /// The arguments are not ABI encoded.
    #[error("the arguments of the management call are not ABI encoded")]
    Abi,
    /// A key is no enclave key.
    #[error("an argument of the management call is not an enclave key")]
    Key(#[from] InvalidEnclaveKey),
    /// The arguments are ABI encoded in an unusual way, or bytes follow them.
    #[error("the arguments of the management call are not encoded canonically")]
    NotCanonical,
}

impl ManagementCall {
    /// Reads calldata that is about to be sent. Only the one canonical encoding is accepted, so
    /// that every implementation reads the same from it.
    pub fn parse(calldata: &[u8]) -> Result<Self, ManagementCallError> {
        let call = Self::parse_lenient(calldata)?;
        if call.encode() == calldata { Ok(call) } else { Err(ManagementCallError::NotCanonical) }
    }

    /// Reads calldata as the contract would: any offsets, elements of different length, bytes
    /// after the arguments. (Only an element whose padding is cut off is refused here and accepted
    /// by Solidity.)
    pub fn parse_lenient(calldata: &[u8]) -> Result<Self, ManagementCallError> {
        let (selector, arguments) =
            calldata.split_first_chunk::<4>().ok_or(ManagementCallError::UnknownFunction)?;
        match *selector {
            IMembers::addParticipantsCall::SELECTOR => {
                let (keys,): (DynSeqToken<PackedSeqToken<'_>>,) = decode(arguments)?;
                Ok(Self::AddParticipants(keys_of(&keys)?))
            }
            IMembers::removeParticipantCall::SELECTOR => {
                let (key,): (PackedSeqToken<'_>,) = decode(arguments)?;
                Ok(Self::RemoveParticipant(EnclaveKey::from_slice(key.as_slice())?))
            }
            IMembers32::addParticipantsCall::SELECTOR => {
                let call = raw::<IMembers32::addParticipantsCall>(arguments)?;
                Ok(Self::AddParticipants32(call.publicEnclaveKeys))
            }
            IMembers32::removeParticipantCall::SELECTOR => {
                let call = raw::<IMembers32::removeParticipantCall>(arguments)?;
                Ok(Self::RemoveParticipant32(call.participant))
            }
            IMembers::getParticipantsCall::SELECTOR => Ok(Self::Participants),
            other => Self::parse_group(other, arguments),
        }
    }

    fn parse_group(selector: [u8; 4], arguments: &[u8]) -> Result<Self, ManagementCallError> {
        // Written out, because the generated decoder is large. What stands before an address in
        // its word is ignored.
        let address = || match arguments.first_chunk::<32>() {
            Some(word) => Ok(Address::from_word(word.into())),
            None => Err(ManagementCallError::Abi),
        };
        Ok(match selector {
            IGroup::lockCall::SELECTOR => Self::Lock,
            IGroup::unlockCall::SELECTOR => Self::Unlock,
            IGroup::canExecuteCall::SELECTOR => Self::CanExecute,
            IGroup::getVersionCall::SELECTOR => Self::Version,
            IGroup::canUpgradeCall::SELECTOR => Self::CanUpgrade,
            IGroup::implementationCall::SELECTOR => Self::Implementation,
            IGroup::upgradeToCall::SELECTOR => Self::UpgradeTo(address()?),
            IGroup::ownerCall::SELECTOR => Self::Owner,
            IGroup::transferOwnershipCall::SELECTOR => Self::TransferOwnership(address()?),
            IGroup::acceptOwnershipCall::SELECTOR => Self::AcceptOwnership,
            IGroup::membersCall::SELECTOR => Self::Members,
            _ => return Err(ManagementCallError::UnknownFunction),
        })
    }

    /// The calldata, canonically encoded.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::AddParticipants(keys) => {
                let keys = keys.iter().map(bytes_of).collect();
                IMembers::addParticipantsCall { publicEnclaveKeys: keys }.abi_encode()
            }
            Self::AddParticipants32(keys) => {
                IMembers32::addParticipantsCall { publicEnclaveKeys: keys.clone() }.abi_encode()
            }
            Self::RemoveParticipant(key) => {
                IMembers::removeParticipantCall { participant: bytes_of(key) }.abi_encode()
            }
            Self::RemoveParticipant32(key) => {
                IMembers32::removeParticipantCall { participant: *key }.abi_encode()
            }
            Self::Lock => IGroup::lockCall {}.abi_encode(),
            Self::Unlock => IGroup::unlockCall {}.abi_encode(),
            Self::Participants => IMembers::getParticipantsCall {}.abi_encode(),
            Self::Members => IGroup::membersCall {}.abi_encode(),
            Self::CanExecute => IGroup::canExecuteCall {}.abi_encode(),
            Self::Version => IGroup::getVersionCall {}.abi_encode(),
            Self::CanUpgrade => IGroup::canUpgradeCall {}.abi_encode(),
            Self::Implementation => IGroup::implementationCall {}.abi_encode(),
            Self::UpgradeTo(to) => IGroup::upgradeToCall { newImplementation: *to }.abi_encode(),
            Self::Owner => IGroup::ownerCall {}.abi_encode(),
            Self::TransferOwnership(to) => {
                IGroup::transferOwnershipCall { newOwner: *to }.abi_encode()
            }
            Self::AcceptOwnership => IGroup::acceptOwnershipCall {}.abi_encode(),
        }
    }

    /// The name of the function in Solidity.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::AddParticipants(_) | Self::AddParticipants32(_) => "addParticipants",
            Self::RemoveParticipant(_) | Self::RemoveParticipant32(_) => "removeParticipant",
            Self::Lock => "lock",
            Self::Unlock => "unlock",
            Self::Participants => "getParticipants",
            Self::Members => "members",
            Self::CanExecute => "canExecute",
            Self::Version => "getVersion",
            Self::CanUpgrade => "canUpgrade",
            Self::Implementation => "implementation",
            Self::UpgradeTo(_) => "upgradeTo",
            Self::Owner => "owner",
            Self::TransferOwnership(_) => "transferOwnership",
            Self::AcceptOwnership => "acceptOwnership",
        }
    }

    /// The keys that an addition names, in either ABI; `None` for every other call.
    pub fn into_added_keys(self) -> Option<Vec<EnclaveKey>> {
        if let Self::AddParticipants(keys) = self {
            Some(keys)
        } else if let Self::AddParticipants32(keys) = self {
            Some(keys.into_iter().map(|key| EnclaveKey::Nacl(key.0)).collect())
        } else {
            None
        }
    }
}

/// Whether calldata starts with the selector of `addParticipants` in either ABI.
pub fn is_adding(calldata: &[u8]) -> bool {
    calldata.starts_with(&IMembers::addParticipantsCall::SELECTOR)
        || calldata.starts_with(&IMembers32::addParticipantsCall::SELECTOR)
}

fn decode<'a, T: alloy_sol_types::abi::TokenSeq<'a>>(
    arguments: &'a [u8],
) -> Result<T, ManagementCallError> {
    alloy_sol_types::abi::decode_params(arguments).map_err(|_| ManagementCallError::Abi)
}

fn raw<T: SolCall>(arguments: &[u8]) -> Result<T, ManagementCallError> {
    T::abi_decode_raw(arguments).map_err(|_| ManagementCallError::Abi)
}

fn bytes_of(key: &EnclaveKey) -> Bytes {
    Bytes::copy_from_slice(key.as_slice())
}

impl From<MembersError> for ManagementCallError {
    fn from(error: MembersError) -> Self {
        match error {
            MembersError::Abi => Self::Abi,
            MembersError::Key(key) => Self::Key(key),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use IGroup::IGroupCalls;
    use alloy_primitives::hex;
    use alloy_sol_types::SolInterface;
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::strategies;

    fn call() -> impl Strategy<Value = ManagementCall> {
        prop_oneof![
            vec(strategies::enclave_key(), 0..4).prop_map(ManagementCall::AddParticipants),
            vec(strategies::hash(), 0..4).prop_map(ManagementCall::AddParticipants32),
            strategies::enclave_key().prop_map(ManagementCall::RemoveParticipant),
            strategies::hash().prop_map(ManagementCall::RemoveParticipant32),
            strategies::address().prop_map(ManagementCall::UpgradeTo),
            strategies::address().prop_map(ManagementCall::TransferOwnership),
            prop::sample::select(vec![
                ManagementCall::Lock,
                ManagementCall::Unlock,
                ManagementCall::Participants,
                ManagementCall::Members,
                ManagementCall::CanExecute,
                ManagementCall::Version,
                ManagementCall::CanUpgrade,
                ManagementCall::Implementation,
                ManagementCall::Owner,
                ManagementCall::AcceptOwnership,
            ]),
        ]
    }

    fn word(number: u64) -> [u8; 32] {
        alloy_primitives::U256::from(number).to_be_bytes()
    }

    #[track_caller]
    fn check(
        calldata: &[u8],
        lenient: Result<ManagementCall, ManagementCallError>,
        strict: Result<(), ManagementCallError>,
    ) {
        assert_eq!(ManagementCall::parse_lenient(calldata), lenient);
        assert_eq!(ManagementCall::parse(calldata).map(|_| ()), strict);
    }

    #[test]
    fn only_the_canonical_encoding_is_sent() {
        let keys = vec![EnclaveKey::Nacl([1; 32])];
        let add = ManagementCall::AddParticipants(keys);
        let canonical = add.encode();
        check(&canonical, Ok(add.clone()), Ok(()));

        let followed = [&canonical[..], &[0]].concat();
        check(&followed, Ok(add.clone()), Err(ManagementCallError::NotCanonical));

        // The same list, one word further away than it need be.
        let mut moved = vec![0x96, 0x5a, 0x25, 0xef];
        for part in [word(64), word(0), word(1), word(32), word(32), [1; 32]] {
            moved.extend(part);
        }
        check(&moved, Ok(add.clone()), Err(ManagementCallError::NotCanonical));

        // Two elements that share their bytes.
        let mut shared = vec![0x96, 0x5a, 0x25, 0xef];
        for part in [word(32), word(2), word(64), word(64), word(32), [1; 32]] {
            shared.extend(part);
        }
        let twice = ManagementCall::AddParticipants(vec![EnclaveKey::Nacl([1; 32]); 2]);
        check(&shared, Ok(twice), Err(ManagementCallError::NotCanonical));

        // Bits above an address.
        let mut dirty = ManagementCall::UpgradeTo(Address::ZERO).encode();
        dirty[4] = 1;
        assert_eq!(ManagementCall::parse(&dirty), Err(ManagementCallError::NotCanonical));
    }

    #[test]
    fn keys_have_a_keys_length() {
        let mut short = vec![0x1f, 0x52, 0xa8, 0xee];
        for part in [word(32), word(31), [0; 32]] {
            short.extend(part);
        }
        let error = ManagementCallError::Key(InvalidEnclaveKey::Length(31));
        check(&short, Err(error.clone()), Err(error));
    }

    #[test]
    fn what_is_no_call_is_told_apart() {
        for calldata in [&[][..], &[0x96, 0x5a, 0x25], &[0, 0, 0, 0]] {
            let error = ManagementCallError::UnknownFunction;
            check(calldata, Err(error.clone()), Err(error));
        }
        let error = ManagementCallError::Abi;
        check(&hex!("965a25ef"), Err(error.clone()), Err(error));
    }

    #[test]
    fn a_short_input_cannot_ask_for_much_memory() {
        // A list of 2^32 elements, and 1,000 elements that are all the same 32 kB.
        let mut huge = vec![0x96, 0x5a, 0x25, 0xef];
        for part in [word(32), word(1 << 32), word(0)] {
            huge.extend(part);
        }
        check(&huge, Err(ManagementCallError::Abi), Err(ManagementCallError::Abi));
        let mut many = vec![0x96, 0x5a, 0x25, 0xef];
        many.extend(word(32));
        many.extend(word(1000));
        for _ in 0..1000 {
            many.extend(word(32_000));
        }
        many.extend(word(32_000));
        many.extend([0; 32_000]);
        let error = ManagementCallError::Key(InvalidEnclaveKey::Length(32_000));
        check(&many, Err(error.clone()), Err(error));
    }

    proptest! {
        #![proptest_config(strategies::config(256))]

        #[test]
        fn what_is_encoded_is_parsed(call in call()) {
            let calldata = call.encode();
            prop_assert_eq!(ManagementCall::parse(&calldata), Ok(call.clone()));
            prop_assert_eq!(ManagementCall::parse_lenient(&calldata), Ok(call));
        }

        #[test]
        fn calls_of_both_abis_are_read_as_the_generated_decoder_reads_them(
            selector in prop::sample::select(IGroupCalls::SELECTORS.to_vec()),
            arguments in prop_oneof![
                vec(any::<u8>(), 0..70),
                strategies::address().prop_map(|it| it.into_word().to_vec()),
            ],
        ) {
            let want = IGroupCalls::abi_decode_raw(selector, &arguments).map(|call| call.abi_encode());
            let calldata = [&selector[..], &arguments].concat();
            let read = ManagementCall::parse_lenient(&calldata).map(|call| call.encode());
            prop_assert_eq!(read.ok(), want.ok());
        }

        #[test]
        fn what_is_parsed_is_encoded(
            calldata in strategies::nearly(call().prop_map(|call| call.encode()))
        ) {
            if let Ok(call) = ManagementCall::parse(&calldata) {
                prop_assert_eq!(call.encode(), calldata);
            }
        }
    }
}
