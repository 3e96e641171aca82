// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Which tokens a processor takes.
/// @notice Our own stand-in for amser's registry, for local chains and tests only. Here every token is enabled until it is
///  switched off, and amounts have no limits.
contract TokenRegistry {
    error OnlyOwner();

    /// @notice Who switches tokens on and off.
    address public immutable owner;

    mapping(address token => bool) private disabled;

    constructor(address owner_) {
        owner = owner_;
    }

    /// @notice Switches a token on or off.
    function setEnabled(address token, bool enabled) external {
        require(msg.sender == owner, OnlyOwner());
        disabled[token] = !enabled;
    }

    /// @notice What is known of a token.
    function tokens(address token)
        external
        view
        returns (bool enabled, uint8 decimals, uint256 minPerTx, uint256 maxPerTx, uint8 kind)
    {
        return (!disabled[token], 6, 0, type(uint256).max, 0);
    }
}
