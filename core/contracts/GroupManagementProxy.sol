// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.0;

import {GroupManagement} from "./GroupManagement.sol";
import {GroupStorage} from "./GroupStorage.sol";

/// The contract at 0x7c that a group is managed through. It keeps the group's storage and lends
/// it to the management contract behind it, which can be replaced without losing anything.
///
/// Nodes ask this address for the members, the lock and the version before every transaction. A
/// management contract that cannot answer would therefore end the group, and with it every way
/// back: an upgrade is undone unless the new contract answers.
contract GroupManagementProxy is GroupStorage {
    event Upgraded(address indexed implementation);

    /// Replaces the management contract of an unlocked group, if the present one agrees and the
    /// new one answers: unlocked, with the same members, all in the right shape.
    function upgradeTo(address next) external {
        require(_isTrue(_ask(GroupManagement.canExecute.selector)), "The contract is locked.");
        address current = implementation();
        require(
            next != current,
            "The contract to upgrade to has to be different from the current management contract."
        );
        require(_callerCanUpgrade(current), "Not allowed to upgrade the management contract.");
        require(_hasOwnCode(next), "The new management contract has no code of its own.");

        bytes memory members = _ask(GroupManagement.members.selector);
        assembly {
            sstore(IMPLEMENTATION_SLOT, next)
        }
        require(_answers(members), "The new management contract does not answer as one.");
        emit Upgraded(next);
    }

    /// The management contract in use.
    function implementation() public view returns (address) {
        return address(uint160(uint256(_load(IMPLEMENTATION_SLOT))));
    }

    /// The hash of the network definition that the group was created under.
    function definition() external view returns (bytes32) {
        return _load(DEFINITION_SLOT);
    }

    /// How many members the group may have.
    function membersMax() external view returns (uint256) {
        return uint256(_load(MEMBERS_MAX_SLOT));
    }

    /// Everything else is the management contract's, in this storage and for the same caller.
    fallback() external {
        address current = implementation();
        require(current.code.length != 0, "The management contract has no code.");
        assembly {
            calldatacopy(0, 0, calldatasize())
            let success := delegatecall(gas(), current, 0, calldatasize(), 0, 0)
            returndatacopy(0, 0, returndatasize())
            switch success
            case 0 { revert(0, returndatasize()) }
            default { return(0, returndatasize()) }
        }
    }

    /// Asks this contract as nodes do, through the management contract in use; empty if it fails.
    /// A static call, so that nothing is changed by asking, and the whole way, so that a contract
    /// that only works while another one is in use does not pass.
    function _ask(bytes4 selector) private view returns (bytes memory) {
        (bool success, bytes memory answer) = address(this).staticcall(abi.encodePacked(selector));
        return success ? answer : new bytes(0);
    }

    /// Not by `_ask`, since the answer depends on the caller.
    function _callerCanUpgrade(address current) private returns (bool) {
        (bool success, bytes memory answer) =
            current.delegatecall(abi.encodePacked(GroupManagement.canUpgrade.selector));
        return success && _isTrue(answer);
    }

    /// An account with delegated code (EIP-7702) has none of its own: its key could swap it.
    function _hasOwnCode(address account) private view returns (bool) {
        bytes32 start;
        assembly {
            extcodecopy(account, 0, 0, 1)
            start := mload(0)
        }
        return account.code.length != 0 && bytes1(start) != 0xef;
    }

    function _answers(bytes memory members) private view returns (bool) {
        return _isTrue(_ask(GroupManagement.canExecute.selector))
            && _ask(GroupManagement.getVersion.selector).length == 32
            && _isBool(_ask(GroupManagement.canUpgrade.selector))
            && _isSame(_ask(GroupManagement.members.selector), members)
            && _areParticipants(_ask(GroupManagement.getParticipants.selector), members);
    }

    /// Whether `answer` lists the members, as `bytes[]` or as `bytes32[]`.
    function _areParticipants(bytes memory answer, bytes memory members)
        private
        pure
        returns (bool)
    {
        bytes[] memory keys = abi.decode(members, (bytes[]));
        if (_isSame(answer, members)) {
            return true;
        }
        bytes32[] memory words = new bytes32[](keys.length);
        for (uint256 i = 0; i < keys.length; i++) {
            if (keys[i].length != 32) {
                return false;
            }
            words[i] = bytes32(keys[i]);
        }
        return _isSame(answer, abi.encode(words));
    }

    function _isSame(bytes memory a, bytes memory b) private pure returns (bool) {
        return keccak256(a) == keccak256(b);
    }

    function _isTrue(bytes memory answer) private pure returns (bool) {
        return answer.length == 32 && uint256(bytes32(answer)) == 1;
    }

    function _isBool(bytes memory answer) private pure returns (bool) {
        return answer.length == 32 && uint256(bytes32(answer)) <= 1;
    }
}
