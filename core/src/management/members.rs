//! Member lists as the contracts return them, and the version made of them.

use alloc::vec::Vec;

use alloy_primitives::{B256, Keccak256};
use alloy_sol_types::{
    SolCall,
    abi::token::{DynSeqToken, PackedSeqToken},
};

use super::abi::{IGroup, IMembers32};
use crate::{EnclaveKey, InvalidEnclaveKey};

/// The output is no list of members.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MembersError {
    /// Not the ABI encoding of a list.
    #[error("the list of members is not ABI encoded")]
    Abi,
    /// An element is no enclave key.
    #[error("the list of members contains something that is not an enclave key")]
    Key(#[from] InvalidEnclaveKey),
}

/// Reads the output of `members()`, or of `getParticipants()` in the `bytes` ABI.
pub fn decode_members(output: &[u8]) -> Result<Vec<EnclaveKey>, MembersError> {
    let (list,): (DynSeqToken<PackedSeqToken<'_>>,) =
        alloy_sol_types::abi::decode_params(output).map_err(|_| MembersError::Abi)?;
    keys_of(&list)
}

/// Reads the output of `getParticipants()` in the `bytes32` ABI.
pub fn decode_members32(output: &[u8]) -> Result<Vec<EnclaveKey>, MembersError> {
    let keys = IMembers32::getParticipantsCall::abi_decode_returns(output)
        .map_err(|_| MembersError::Abi)?;
    Ok(keys.into_iter().map(|key| EnclaveKey::Nacl(key.0)).collect())
}

/// Reads the output of `getParticipants()` in whichever ABI it is. The two are told apart by their
/// length: a list of `n` 32-byte words takes `2 + n` words, a list of `n` byte strings more.
pub fn decode_members_of_either_abi(output: &[u8]) -> Result<Vec<EnclaveKey>, MembersError> {
    let words = decode_members32(output);
    if words.as_ref().is_ok_and(|keys| output.len() == (2 + keys.len()) * 32) {
        return words;
    }
    decode_members(output)
}

/// The canonical ABI encoding of a list of members as `members()` returns it.
pub fn encode_members(members: &[EnclaveKey]) -> Vec<u8> {
    let list: Vec<alloy_primitives::Bytes> = members
        .iter()
        .map(|key| alloy_primitives::Bytes::copy_from_slice(key.as_slice()))
        .collect();
    IGroup::membersCall::abi_encode_returns(&list)
}

/// The group version of `coterie` rules: keccak256(`getVersion()` ‖ canonical `members()`), so
/// that it changes with the membership even where an upgraded contract forgets to change its own.
/// Zero before the group's creation, which is not this function's case.
pub fn group_version(contract_version: B256, members: &[EnclaveKey]) -> B256 {
    let mut hasher = Keccak256::new();
    hasher.update(contract_version);
    hasher.update(encode_members(members));
    hasher.finalize()
}

/// Key lengths are judged on borrowed data: elements may overlap, and copying them first would let
/// a short input ask for much memory.
pub(super) fn keys_of(
    list: &DynSeqToken<PackedSeqToken<'_>>,
) -> Result<Vec<EnclaveKey>, MembersError> {
    list.as_slice().iter().map(|key| Ok(EnclaveKey::from_slice(key.as_slice())?)).collect()
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use alloy_primitives::keccak256;
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::{management::besu, strategies};

    #[test]
    fn the_version_is_over_the_contracts_version_and_the_list() {
        let members = vec![EnclaveKey::Nacl([1; 32])];
        let mut preimage = vec![9u8; 32];
        preimage.extend(encode_members(&members));
        // Version, offset, length, offset of the element, its length, its bytes.
        assert_eq!(preimage.len(), 6 * 32);
        assert_eq!(group_version(B256::repeat_byte(9), &members), keccak256(preimage));
    }

    #[test]
    fn an_empty_output_is_no_list() {
        assert_eq!(decode_members(&[]), Err(MembersError::Abi));
        assert_eq!(decode_members32(&[]), Err(MembersError::Abi));
        assert_eq!(decode_members_of_either_abi(&[]), Err(MembersError::Abi));
    }

    fn lists() -> impl Strategy<Value = Vec<EnclaveKey>> {
        vec(strategies::enclave_key(), 0..5)
    }

    proptest! {
        #![proptest_config(strategies::config(128))]

        #[test]
        fn what_is_encoded_is_decoded(members in lists()) {
            prop_assert_eq!(decode_members(&encode_members(&members)), Ok(members));
        }

        #[test]
        fn the_abi_is_told_from_the_output(members in lists(), words in vec(strategies::hash(), 0..5)) {
            prop_assert_eq!(decode_members_of_either_abi(&encode_members(&members)), Ok(members));
            let output = IMembers32::getParticipantsCall::abi_encode_returns(&words);
            let keys: Vec<_> = words.into_iter().map(|key| EnclaveKey::Nacl(key.0)).collect();
            prop_assert_eq!(decode_members_of_either_abi(&output), Ok(keys));
        }

        #[test]
        fn besu_reads_lists_of_equally_long_keys(members in lists()) {
            let mixed = members.windows(2).any(|pair| {
                pair[0].as_slice().len() != pair[1].as_slice().len()
            });
            let read = besu::parse_members(&encode_members(&members));
            // With mixed lengths it finds nothing, or nonsense: the division may even come out.
            prop_assert!(mixed || read == members);
        }

        #[test]
        fn no_output_panics(
            output in strategies::nearly(lists().prop_map(|members| encode_members(&members)))
        ) {
            let _ = decode_members(&output);
            let _ = decode_members32(&output);
            let _ = decode_members_of_either_abi(&output);
            let _ = besu::parse_members(&output);
            let _ = besu::parse_calldata_keys(&output);
        }
    }
}
