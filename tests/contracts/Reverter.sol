// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.0;

/// Fails in every way that Solidity knows. `writes` counts what must not survive a failure.
contract Reverter {
    uint256 public writes;

    error Refused(address caller, uint256 code);

    function withReason(string calldata reason) external {
        writes++;
        revert(reason);
    }

    function withPanic() external {
        writes++;
        assert(writes == 0);
    }

    function withCustomError(uint256 code) external {
        writes++;
        revert Refused(msg.sender, code);
    }

    function withNothing() external {
        writes++;
        assembly {
            revert(0, 0)
        }
    }

    function withInvalidOpcode() external {
        writes++;
        assembly {
            invalid()
        }
    }
}

/// Fails while it is created.
contract RevertingConstructor {
    constructor() {
        revert("Never created.");
    }
}
