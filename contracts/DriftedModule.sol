// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ModuleBase} from "./ModuleBase.sol";

/// @title The same module with another ABI, for tests.
/// @notice Unknown to the bot until its ABI file is configured: other names, widths, orders and added parameters.
contract DriftedModule is ModuleBase {
    event PlanCreated(
        uint256 indexed planId, uint128 price, uint40 billingInterval, uint40 grace, address paymentToken, string name
    );
    event PlanStatusChanged(uint256 indexed planId, uint256 changedAt, bool isActive);
    event SubscriptionCreated(address indexed user, uint64 indexed subscriptionId, uint64 planId, string referrer);
    event SubscriptionPaused(uint64 indexed subscriptionId);
    event SubscriptionResumed(uint64 indexed subscriptionId);
    event SubscriptionCancelled(uint64 indexed subscriptionId, uint256 cancelledAt);
    event SubscriptionExpiryUpdated(uint64 indexed subscriptionId, uint64 newExpiry);
    event SubscriptionRecovered(uint64 indexed subscriptionId);
    event SubscriberBlocked(address user);
    event SubscriberUnblocked(address user);
    event PaymentProcessorUpdated(address newProcessor);
    /// @notice No rule needs it.
    event TierChanged(uint256 indexed subId, uint256 tier);

    /// @notice Emits the event that no rule needs.
    function changeTier(uint256 subId, uint256 tier) external {
        emit TierChanged(subId, tier);
    }

    /// @notice Offers the last paid window for payment again, which the processor must refuse.
    function reopenWindow(uint256 subId) external {
        subscriptions[subId].windowId--;
        subscriptions[subId].nextChargeAt = uint64(block.timestamp);
    }

    /// @notice The plan's terms; reverts when there is no such plan.
    function getPlan(uint256 planId)
        external
        view
        returns (bool isActive, address paymentToken, uint128 price, uint40 billingInterval, uint40 grace)
    {
        Plan storage plan = _plan(planId);
        return (plan.active, plan.token, uint128(plan.price), uint40(plan.interval), uint40(plan.gracePeriod));
    }

    function _planCreated(uint256 planId, Plan storage plan) internal override {
        emit PlanCreated(
            planId, uint128(plan.price), uint40(plan.interval), uint40(plan.gracePeriod), plan.token, "a plan"
        );
    }

    function _planStatusChanged(uint256 planId, bool active) internal override {
        emit PlanStatusChanged(planId, block.timestamp, active);
    }

    function _created(uint256 id, address subscriber, uint256 planId, uint256, uint256) internal override {
        emit SubscriptionCreated(subscriber, uint64(id), uint64(planId), "a friend");
    }

    function _paused(uint256 subId, address) internal override {
        emit SubscriptionPaused(uint64(subId));
    }

    function _resumed(uint256 subId, address) internal override {
        emit SubscriptionResumed(uint64(subId));
    }

    function _cancelled(uint256 subId, address) internal override {
        emit SubscriptionCancelled(uint64(subId), block.timestamp);
    }

    function _expiryUpdated(uint256 subId, uint256 expiry) internal override {
        emit SubscriptionExpiryUpdated(uint64(subId), uint64(expiry));
    }

    function _recovered(uint256 subId, uint256) internal override {
        emit SubscriptionRecovered(uint64(subId));
    }

    function _blocked(address subscriber) internal override {
        emit SubscriberBlocked(subscriber);
    }

    function _unblocked(address subscriber) internal override {
        emit SubscriberUnblocked(subscriber);
    }

    function _processorUpdated(address, address current) internal override {
        emit PaymentProcessorUpdated(current);
    }
}
