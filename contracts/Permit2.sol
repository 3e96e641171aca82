// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IToken} from "./Protocol.sol";

/// @title The part of Permit2 by which payments are pulled, for local chains, where the real one is not.
/// @dev Without signatures: owners approve by a transaction. The largest amount is an allowance that never runs down.
contract Permit2 {
    struct Allowed {
        uint160 amount;
        uint48 expiration;
        uint48 nonce;
    }

    event Approval(
        address indexed owner, address indexed token, address indexed spender, uint160 amount, uint48 expiration
    );

    error AllowanceExpired(uint256 deadline);
    error InsufficientAllowance(uint256 amount);
    error TransferFailed();

    mapping(address owner => mapping(address token => mapping(address spender => Allowed))) public allowance;

    /// @notice Lets `spender` move the caller's tokens until `expiration`, inclusive.
    function approve(address token, address spender, uint160 amount, uint48 expiration) external {
        Allowed storage allowed = allowance[msg.sender][token][spender];
        allowed.amount = amount;
        allowed.expiration = expiration;
        emit Approval(msg.sender, token, spender, amount, expiration);
    }

    /// @notice Moves tokens of `from`, who must have approved the caller here and this contract at the token.
    function transferFrom(address from, address to, uint160 amount, address token) external {
        Allowed storage allowed = allowance[from][token][msg.sender];
        require(block.timestamp <= allowed.expiration, AllowanceExpired(allowed.expiration));
        if (allowed.amount != type(uint160).max) {
            require(allowed.amount >= amount, InsufficientAllowance(allowed.amount));
            allowed.amount -= amount;
        }
        require(IToken(token).transferFrom(from, to, amount), TransferFailed());
    }
}
