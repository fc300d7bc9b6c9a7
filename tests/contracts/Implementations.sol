// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.0;

import {GroupManagement} from "../../core/contracts/GroupManagement.sol";

/// What owners may try to put behind the proxy: first what must be accepted, then what must not.

/// Answers as before and can do more.
contract CountingManagement is GroupManagement {
    function memberCount() external view returns (uint256) {
        return _group().members.length;
    }
}

/// Good until it is destroyed.
contract FleetingManagement is GroupManagement {
    function destroy() external {
        selfdestruct(payable(msg.sender));
    }
}

/// Lets only this one key be added: a membership rule of its own.
contract InvitationManagement is GroupManagement {
    bytes32 private constant INVITED = bytes32(uint256(0x1234));

    function addParticipants(bytes[] calldata keys) external override returns (bool) {
        Group storage group = _beginAdding(false);
        require(keys.length == 1 && bytes32(keys[0]) == INVITED, "Not invited.");
        bool added = _add(group, INVITED);
        _finishAdding(group);
        return added;
    }
}

/// Answers every call with success and nothing.
contract SilentManagement {
    fallback() external {}
}

/// Answers every call with success and zero words enough for anything.
contract ZeroManagement {
    fallback() external {
        assembly {
            return(0x1000, 0x100)
        }
    }
}

/// Answers no call.
contract RefusingManagement {
    uint256 private nothing;
}

contract EndlessManagement {
    fallback() external {
        assembly {
            for {} 1 {} {}
        }
    }
}

/// Answers right, but changes something while it does.
contract WritingManagement {
    fallback() external {
        assembly {
            sstore(0, add(sload(0), 1))
            calldatacopy(0, 0, calldatasize())
            let success := delegatecall(gas(), 0x7b, 0, calldatasize(), 0, 0)
            returndatacopy(0, 0, returndatasize())
            if success { return(0, returndatasize()) }
            revert(0, returndatasize())
        }
    }
}

/// Its flag is neither true nor false.
contract OddFlagManagement is GroupManagement {
    function canExecute() external pure override returns (bool) {
        assembly {
            mstore(0, 2)
            return(0, 0x20)
        }
    }
}

/// Says that the group is locked, which nobody could unlock.
contract LockedManagement is GroupManagement {
    function canExecute() external pure override returns (bool) {
        return false;
    }
}

contract LongVersionManagement is GroupManagement {
    function getVersion() external pure override returns (bytes32) {
        assembly {
            return(0, 0x40)
        }
    }
}

contract NoVersionManagement is GroupManagement {
    function getVersion() external pure override returns (bytes32) {
        revert("No version.");
    }
}

contract NoUpgradeManagement is GroupManagement {
    function canUpgrade() external pure override returns (bool) {
        revert("Never again.");
    }
}

contract ForgetfulManagement is GroupManagement {
    function members() external pure override returns (bytes[] memory) {
        return new bytes[](0);
    }
}

/// Keeps the number of the members, not who they are.
contract ReplacingManagement is GroupManagement {
    function members() external view override returns (bytes[] memory keys) {
        keys = _membersAsBytes(_group());
        for (uint256 i = 0; i < keys.length; i++) {
            keys[i] = new bytes(32);
        }
    }
}

/// Its `members()` is cut short: no client could decode it.
contract CutMembersManagement is GroupManagement {
    function members() external view override returns (bytes[] memory) {
        bytes memory answer = abi.encode(_membersAsBytes(_group()));
        assembly {
            return(add(answer, 0x20), sub(mload(answer), 0x20))
        }
    }
}

contract OddParticipantsManagement is GroupManagement {
    function getParticipants() external pure override returns (bytes[] memory) {
        assembly {
            mstore(0, 1)
            return(0, 0x20)
        }
    }
}
