//! The Solidity interfaces, by `alloy-sol-types` (protocol specification, 4.1; design, 2.1).

alloy_sol_types::sol! {
    /// What both member ABIs share, and what our contracts add.
    interface IGroup {
        function lock() external;
        function unlock() external;
        function canExecute() external view returns (bool);
        function getVersion() external view returns (bytes32);
        function canUpgrade() external returns (bool);
        function implementation() external view returns (address);
        function upgradeTo(address newImplementation) external;
        function owner() external view returns (address);
        function transferOwnership(address newOwner) external;
        function acceptOwnership() external;
        function members() external view returns (bytes[] memory);

        event OwnershipTransferStarted(address indexed previousOwner, address indexed newOwner);
        event OwnershipTransferred(address indexed previousOwner, address indexed newOwner);
        event Upgraded(address indexed implementation);
    }

    /// Members as `bytes`.
    interface IMembers {
        event ParticipantAdded(bool success, bytes publicEnclaveKey, string message);
        event ParticipantRemoved(bytes publicEnclaveKey);

        function addParticipants(bytes[] publicEnclaveKeys) external returns (bool);
        function removeParticipant(bytes participant) external returns (bool);
        function getParticipants() external view returns (bytes[] memory);
    }

    /// Members as `bytes32`, the older ABI.
    interface IMembers32 {
        event ParticipantAdded(bool success, bytes32 publicEnclaveKey, string message);
        event ParticipantRemoved(bytes32 publicEnclaveKey);

        function addParticipants(bytes32[] publicEnclaveKeys) external returns (bool);
        function removeParticipant(bytes32 participant) external returns (bool);
        function getParticipants() external view returns (bytes32[] memory);
    }
}
