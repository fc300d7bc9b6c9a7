// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.0;

import {GroupStorage} from "./GroupStorage.sol";

/// Who belongs to a flexible privacy group, and whether it may execute transactions. Stands at
/// 0x7b in every group's genesis and runs in the storage of the proxy at 0x7c.
///
/// Every member function exists for `bytes` and, as clients before 2022 and web3js-quorum 22.4.0
/// use it, for `bytes32`; the events of a call are in the same form as its arguments.
contract GroupManagement is GroupStorage {
    event ParticipantAdded(bool success, bytes publicEnclaveKey, string message);
    event ParticipantAdded(bool success, bytes32 publicEnclaveKey, string message);
    event ParticipantRemoved(bytes publicEnclaveKey);
    event ParticipantRemoved(bytes32 publicEnclaveKey);
    event OwnershipTransferStarted(address indexed previousOwner, address indexed newOwner);
    event OwnershipTransferred(address indexed previousOwner, address indexed newOwner);

    string private constant ADDED = "Member account added successfully";
    string private constant ALREADY_ADDED = "Account is already a Member";

    /// Stops the group: until `unlock` or `addParticipants` only management calls execute.
    function lock() external virtual {
        Group storage group = _group();
        require(group.canExecute);
        _onlyOwner(group);
        group.canExecute = false;
    }

    /// Lets a locked group go on without a change.
    function unlock() external virtual {
        Group storage group = _group();
        require(!group.canExecute);
        _onlyOwner(group);
        group.canExecute = true;
    }

    /// Adds members to a locked group and unlocks it. The first call creates the group and makes
    /// the caller its owner. False if one of them was a member already; the others are added.
    function addParticipants(bytes[] calldata publicEnclaveKeys)
        external
        virtual
        returns (bool allAdded)
    {
        Group storage group = _beginAdding(false);
        allAdded = true;
        for (uint256 i = 0; i < publicEnclaveKeys.length; i++) {
            bytes calldata key = publicEnclaveKeys[i];
            bool added = _add(group, _toBytes32(key));
            emit ParticipantAdded(added, key, added ? ADDED : ALREADY_ADDED);
            allAdded = allAdded && added;
        }
        _finishAdding(group);
    }

    /// The same in the older ABI.
    function addParticipants(bytes32[] calldata publicEnclaveKeys)
        external
        virtual
        returns (bool allAdded)
    {
        Group storage group = _beginAdding(true);
        allAdded = true;
        for (uint256 i = 0; i < publicEnclaveKeys.length; i++) {
            bytes32 key = publicEnclaveKeys[i];
            bool added = _add(group, key);
            emit ParticipantAdded(added, key, added ? ADDED : ALREADY_ADDED);
            allAdded = allAdded && added;
        }
        _finishAdding(group);
    }

    /// Removes a member; the last one takes its place in the list. False if there is no such
    /// member. The version changes in both cases.
    function removeParticipant(bytes calldata publicEnclaveKey)
        external
        virtual
        returns (bool removed)
    {
        Group storage group = _beginRemoving();
        removed = _remove(group, _toBytes32(publicEnclaveKey));
        if (removed) {
            emit ParticipantRemoved(publicEnclaveKey);
        }
        _changeVersion(group);
    }

    /// The same in the older ABI.
    function removeParticipant(bytes32 publicEnclaveKey)
        external
        virtual
        returns (bool removed)
    {
        Group storage group = _beginRemoving();
        removed = _remove(group, publicEnclaveKey);
        if (removed) {
            emit ParticipantRemoved(publicEnclaveKey);
        }
        _changeVersion(group);
    }

    /// Offers the ownership to an account or a contract, which gets it by accepting. Zero
    /// withdraws the offer.
    function transferOwnership(address newOwner) external virtual {
        Group storage group = _group();
        _onlyOwner(group);
        group.pendingOwner = newOwner;
        emit OwnershipTransferStarted(group.owner, newOwner);
    }

    /// Takes an offered ownership.
    function acceptOwnership() external virtual {
        Group storage group = _group();
        require(msg.sender == group.pendingOwner, "Origin not the pending owner.");
        emit OwnershipTransferred(group.owner, msg.sender);
        group.owner = msg.sender;
        delete group.pendingOwner;
    }

    /// The members in the ABI of the call that created the group: `bytes[]`, as declared, or
    /// `bytes32[]`, because clients of the older ABI can decode nothing else.
    function getParticipants() external view virtual returns (bytes[] memory) {
        Group storage group = _group();
        if (group.createdWithBytes32) {
            bytes memory answer = abi.encode(group.members);
            assembly {
                return(add(answer, 0x20), mload(answer))
            }
        }
        return _membersAsBytes(group);
    }

    /// The members, always as `bytes[]`.
    function members() external view virtual returns (bytes[] memory) {
        return _membersAsBytes(_group());
    }

    /// Whether the group is unlocked.
    function canExecute() external view virtual returns (bool) {
        return _group().canExecute;
    }

    /// Zero before creation; another value after every change of the membership.
    function getVersion() external view virtual returns (bytes32) {
        return _group().version;
    }

    /// Whether the caller may replace this contract. Asked by the proxy.
    function canUpgrade() external view virtual returns (bool) {
        return msg.sender == _group().owner;
    }

    /// Who may change the membership; zero before creation.
    function owner() external view virtual returns (address) {
        return _group().owner;
    }

    /// Who has been offered the ownership; zero for nobody.
    function pendingOwner() external view virtual returns (address) {
        return _group().pendingOwner;
    }

    /// The caller, not the origin of the transaction: a contract that the owner calls must not be
    /// able to change the membership. The text is the one that clients know.
    function _onlyOwner(Group storage group) internal view {
        require(msg.sender == group.owner, "Origin not the owner.");
    }

    function _beginAdding(bool withBytes32) internal returns (Group storage group) {
        group = _group();
        require(!group.canExecute);
        if (group.owner == address(0)) {
            group.owner = msg.sender;
            group.createdWithBytes32 = withBytes32;
        }
        _onlyOwner(group);
    }

    function _add(Group storage group, bytes32 key) internal returns (bool) {
        if (group.place[key] != 0) {
            return false;
        }
        group.members.push(key);
        group.place[key] = group.members.length;
        return true;
    }

    function _finishAdding(Group storage group) internal {
        require(
            group.members.length <= uint256(_load(MEMBERS_MAX_SLOT)),
            "Too many members for a group of this network."
        );
        group.canExecute = true;
        _changeVersion(group);
    }

    function _beginRemoving() internal view returns (Group storage group) {
        group = _group();
        require(group.canExecute);
        _onlyOwner(group);
    }

    function _remove(Group storage group, bytes32 key) internal returns (bool) {
        uint256 place = group.place[key];
        if (place == 0) {
            return false;
        }
        uint256 count = group.members.length;
        if (place != count) {
            bytes32 last = group.members[count - 1];
            group.members[place - 1] = last;
            group.place[last] = place;
        }
        group.members.pop();
        delete group.place[key];
        return true;
    }

    /// Depends on nothing but the group's own past, so that it is the same on every client and
    /// after a reorganisation, and never returns to an earlier value.
    function _changeVersion(Group storage group) internal {
        group.version =
            keccak256(abi.encode(group.version, group.members, _load(DEFINITION_SLOT)));
    }

    function _membersAsBytes(Group storage group) internal view returns (bytes[] memory keys) {
        uint256 count = group.members.length;
        keys = new bytes[](count);
        for (uint256 i = 0; i < count; i++) {
            keys[i] = abi.encodePacked(group.members[i]);
        }
    }

    /// Only keys of 32 bytes can sign what the group's members send.
    function _toBytes32(bytes calldata key) internal pure returns (bytes32) {
        require(key.length == 32, "An enclave key has 32 bytes.");
        return bytes32(key);
    }
}
