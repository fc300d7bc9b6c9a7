// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.0;

/// Keeps a number and who stored it, and says so in an event. The ABI is the one that the
/// acceptance scenarios of flexible groups use.
contract EventEmitter {
    uint256 public value;
    address public sender;

    event stored(address _to, uint256 _amount);

    function store(uint256 newValue) external {
        value = newValue;
        sender = msg.sender;
        emit stored(msg.sender, newValue);
    }
}
