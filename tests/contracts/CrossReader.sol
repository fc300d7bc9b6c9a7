// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.0;

import {EventEmitter} from "./EventEmitter.sol";

/// Talks to other contracts. One is deployed in public, another in a group, and the private one
/// tries everything on the public one: reading works, every change must fail.
contract CrossReader {
    uint256 public counter;

    event Deployed(address emitter);
    event Incremented(uint256 counter);

    /// What an EventEmitter holds.
    function read(address emitter) external view returns (uint256) {
        return EventEmitter(emitter).value();
    }

    /// The same through another CrossReader.
    function readRemote(address remote, address emitter) external view returns (uint256) {
        return CrossReader(remote).read(emitter);
    }

    function increment() external {
        counter++;
        emit Incremented(counter);
    }

    function incrementRemote(address remote) external {
        CrossReader(remote).increment();
    }

    /// The same, but goes on when the remote call fails. Says whether it succeeded.
    function tryIncrementRemote(address remote) external returns (bool) {
        counter++;
        try CrossReader(remote).increment() {
            return true;
        } catch {
            return false;
        }
    }

    function deploy() external {
        emit Deployed(address(new EventEmitter()));
    }

    function deployRemote(address remote) external {
        CrossReader(remote).deploy();
    }

    function destroy() external {
        selfdestruct(payable(msg.sender));
    }

    function remoteDestroy(address remote) external {
        CrossReader(remote).destroy();
    }
}
