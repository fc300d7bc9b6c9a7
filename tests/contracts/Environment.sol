// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.0;

/// Shows the block and the transaction as private code sees them.
contract Environment {
    function blockEnvironment()
        external
        view
        returns (
            uint256 number,
            uint256 timestamp,
            address coinbase,
            uint256 difficulty,
            uint256 gasLimit,
            uint256 baseFee,
            uint256 chainId
        )
    {
        return (
            block.number,
            block.timestamp,
            block.coinbase,
            block.difficulty,
            block.gaslimit,
            block.basefee,
            block.chainid
        );
    }

    function transactionEnvironment() external view returns (address origin, uint256 gasPrice) {
        return (tx.origin, tx.gasprice);
    }

    function hashOf(uint256 number) external view returns (bytes32) {
        return blockhash(number);
    }

    function balanceOf(address account) external view returns (uint256) {
        return account.balance;
    }

    function codeHashOf(address account) external view returns (bytes32) {
        return account.codehash;
    }

    function gasRemaining() external view returns (uint256) {
        return gasleft();
    }
}
