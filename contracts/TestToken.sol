// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {PERMIT2} from "./Protocol.sol";

/// @title An ERC-20 that anyone may mint, burn and jam. For local chains and tests only.
/// @dev Permit2 may move everyone's tokens until the owner says otherwise, as some tokens have it: one transaction less.
contract TestToken {
    event Transfer(address indexed from, address indexed to, uint256 value);
    event Approval(address indexed owner, address indexed spender, uint256 value);

    error BalanceTooLow();
    error AllowanceTooLow();

    string public constant name = "Test Dollar";
    string public constant symbol = "TUSD";
    /// @notice Six, as USDC has.
    uint8 public constant decimals = 6;
    uint256 public totalSupply;
    /// @notice While true, transfers answer false and move nothing.
    bool public jammed;
    mapping(address account => uint256) public balanceOf;

    mapping(address owner => mapping(address spender => uint256)) private allowed;
    mapping(address owner => bool) private decidedOnPermit2;

    /// @notice Makes tokens out of nothing.
    function mint(address to, uint256 amount) external {
        totalSupply += amount;
        balanceOf[to] += amount;
        emit Transfer(address(0), to, amount);
    }

    /// @notice Destroys anyone's tokens, to make a payment fail.
    function burn(address from, uint256 amount) external {
        require(balanceOf[from] >= amount, BalanceTooLow());
        totalSupply -= amount;
        balanceOf[from] -= amount;
        emit Transfer(from, address(0), amount);
    }

    /// @notice Makes transfers fail without a revert, or lets them pass again.
    function setJammed(bool jammed_) external {
        jammed = jammed_;
    }

    /// @notice ERC-20. The largest value is an allowance that never runs down.
    function approve(address spender, uint256 amount) external returns (bool) {
        allowed[msg.sender][spender] = amount;
        if (spender == PERMIT2) decidedOnPermit2[msg.sender] = true;
        emit Approval(msg.sender, spender, amount);
        return true;
    }

    /// @notice ERC-20.
    function allowance(address owner, address spender) public view returns (uint256) {
        if (spender == PERMIT2 && !decidedOnPermit2[owner]) return type(uint256).max;
        return allowed[owner][spender];
    }

    /// @notice ERC-20.
    function transfer(address to, uint256 amount) external returns (bool) {
        return _move(msg.sender, to, amount);
    }

    /// @notice ERC-20.
    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        uint256 amountAllowed = allowance(from, msg.sender);
        require(amountAllowed >= amount, AllowanceTooLow());
        if (amountAllowed != type(uint256).max && !jammed) allowed[from][msg.sender] = amountAllowed - amount;
        return _move(from, to, amount);
    }

    function _move(address from, address to, uint256 amount) private returns (bool) {
        if (jammed) return false;
        require(balanceOf[from] >= amount, BalanceTooLow());
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
        emit Transfer(from, to, amount);
        return true;
    }
}
