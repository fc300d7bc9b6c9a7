// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.0;

import {EventEmitter} from "./EventEmitter.sol";

/// Keeps what it saw of other accounts. Inside a group these are public ones, so that the group's
/// state depends on what the public chain was at a block.
contract Observer {
    uint256 public seen;

    /// What an EventEmitter holds.
    function observeValue(address emitter) external {
        seen = EventEmitter(emitter).value();
    }

    /// How much ether an account has.
    function observeBalance(address account) external {
        seen = account.balance;
    }

    /// The hash of a block.
    function observeHash(uint256 number) external {
        seen = uint256(blockhash(number));
    }
}
