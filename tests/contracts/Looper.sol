// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.0;

/// Uses more than there is: of gas, and of the public state that private code may read.
contract Looper {
    uint256 public rounds;

    /// Never ends. Writes nothing, so that only gas stops it.
    function spin() external pure {
        assembly {
            for {} 1 {} {}
        }
    }

    /// Never ends and writes.
    function fill() external {
        for (uint256 i = 1; ; i++) {
            assembly {
                sstore(i, i)
            }
        }
    }

    /// Reads the balance of `count` distinct accounts, which are public ones inside a group.
    function touch(uint256 count) external returns (uint256 sum) {
        rounds++;
        for (uint256 i = 0; i < count; i++) {
            sum += address(uint160(0xc07e000000000000 + i)).balance;
        }
    }
}
