// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.0;

/// Catches the failure of an inner call: what the inner frame wrote must be undone, what the
/// outer one wrote must stay.
contract NestedRevert {
    uint256 public outer;
    uint256 public inner;

    event Outer(uint256 value);
    event Inner(uint256 value);

    function run(uint256 value) external {
        outer = value;
        emit Outer(value);
        try this.fail(value) {} catch {}
        try this.succeed(value + 1) {} catch {}
    }

    function fail(uint256 value) external {
        inner = value;
        emit Inner(value);
        revert("Undone.");
    }

    function succeed(uint256 value) external {
        inner = value;
        emit Inner(value);
    }
}
