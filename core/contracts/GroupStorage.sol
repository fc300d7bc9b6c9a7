// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.0;

/// Where a group is kept in the storage of the proxy at 0x7c. Inherited by the proxy and by every
/// management contract behind it, so that an upgrade finds the group as its predecessor left it.
/// The slots are fixed for ever: nodes write three of them into the genesis of each group.
abstract contract GroupStorage {
    /// The management contract behind the proxy (ERC-1967):
    /// keccak256("eip1967.proxy.implementation") - 1.
    bytes32 internal constant IMPLEMENTATION_SLOT =
        0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc;

    /// The hash of the network definition: keccak256("coterie.definition") - 1.
    bytes32 internal constant DEFINITION_SLOT =
        0xab3cf23dba5ee19d78ae2e531d2325cd12a6359e50d96ecfca245fea90f9d43f;

    /// How many members a group may have: keccak256("coterie.members_max") - 1.
    bytes32 internal constant MEMBERS_MAX_SLOT =
        0x7ab7daf37e56cd0bc398df33bc1efb8e559896b1ae0a12b9f54cd0001f2f5576;

    /// The group itself (ERC-7201):
    /// keccak256(abi.encode(uint256(keccak256("coterie.group")) - 1)) & ~bytes32(uint256(0xff)).
    bytes32 internal constant GROUP_SLOT =
        0x68d81824dc13c702cc2f56809ce1e16e75099bf492292a75cd8eca35fb9b9e00;

    /// @custom:storage-location erc7201:coterie.group
    struct Group {
        /// Who may change the membership; zero until the group is created.
        address owner;
        /// False while the group is locked, as it is before its creation.
        bool canExecute;
        /// Whether the call that created the group used the older member ABI (`bytes32[]`).
        bool createdWithBytes32;
        /// Who may become the owner by accepting it.
        address pendingOwner;
        /// Changes with every change of the membership.
        bytes32 version;
        /// The members' enclave keys.
        bytes32[] members;
        /// A member's place in `members`, counted from one.
        mapping(bytes32 => uint256) place;
    }

    /// The group. Only the proxy's storage has one: a management contract that is called directly
    /// refuses, so that nobody mistakes its own storage for a group.
    function _group() internal view returns (Group storage group) {
        require(_load(IMPLEMENTATION_SLOT) != 0, "Only through the proxy.");
        assembly {
            group.slot := GROUP_SLOT
        }
    }

    function _load(bytes32 slot) internal view returns (bytes32 value) {
        assembly {
            value := sload(slot)
        }
    }
}
