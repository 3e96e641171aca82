// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SubscriptionModule} from "./SubscriptionModule.sol";

/// @title A module that has moved on from the ABI the bot knows, for tests.
contract DriftedModule is SubscriptionModule {
    /// @notice Unknown to the bot: it must be counted, not suffered.
    event TierChanged(uint256 indexed subId, uint256 tier);

    /// @notice Emits the unknown event.
    function changeTier(uint256 subId, uint256 tier) external {
        emit TierChanged(subId, tier);
    }

    /// @notice Offers the last paid window for payment again, which the processor must refuse.
    function reopenWindow(uint256 subId) external {
        subscriptions[subId].windowId--;
        subscriptions[subId].nextChargeAt = uint64(block.timestamp);
    }
}
