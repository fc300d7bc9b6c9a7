// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.0;

/// Passes a call on and gives back what it got. As an owner it is a contract that anybody can
/// use; called by an owner it is the trap that a test of `msg.sender` must survive.
contract Forwarder {
    function forward(address target, bytes calldata data) external returns (bytes memory) {
        (bool success, bytes memory answer) = target.call(data);
        if (!success) {
            assembly {
                revert(add(answer, 0x20), mload(answer))
            }
        }
        return answer;
    }

    /// Passes several calls on, all or none.
    function forwardAll(address target, bytes[] calldata calls) external {
        for (uint256 i = 0; i < calls.length; i++) {
            (bool success, bytes memory answer) = target.call(calls[i]);
            if (!success) {
                assembly {
                    revert(add(answer, 0x20), mload(answer))
                }
            }
        }
    }
}

/// Owns a group on behalf of several accounts: a call is made once enough of them asked for it.
contract Council {
    uint256 public immutable threshold;
    mapping(address => bool) public isVoter;
    mapping(bytes32 => uint256) public votes;
    mapping(bytes32 => mapping(address => bool)) private voted;
    uint256 public round;

    event Executed(address target, bytes data);

    constructor(address[] memory voters, uint256 threshold_) {
        threshold = threshold_;
        for (uint256 i = 0; i < voters.length; i++) {
            isVoter[voters[i]] = true;
        }
    }

    /// Votes for a call. The vote that completes the threshold makes it.
    function vote(address target, bytes calldata data) external returns (bool executed) {
        require(isVoter[msg.sender], "Not a voter.");
        bytes32 proposal = keccak256(abi.encode(round, target, data));
        require(!voted[proposal][msg.sender], "Already voted.");
        voted[proposal][msg.sender] = true;
        if (++votes[proposal] < threshold) {
            return false;
        }
        round++;
        (bool success, bytes memory answer) = target.call(data);
        if (!success) {
            assembly {
                revert(add(answer, 0x20), mload(answer))
            }
        }
        emit Executed(target, data);
        return true;
    }
}
