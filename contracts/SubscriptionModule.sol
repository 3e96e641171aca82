// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ModuleBase} from "./ModuleBase.sol";

/// @title A module that tells what happens as PROTOCOL.md has it.
/// @notice Our own stand-in for amser's module, for local chains and tests only.
contract SubscriptionModule is ModuleBase {
    event PlanCreated(
        uint256 indexed planId, address indexed token, uint256 price, uint64 interval, uint64 gracePeriod
    );
    event PlanStatusChanged(uint256 indexed planId, bool active);
    event SubscriptionCreated(
        uint256 indexed subId,
        address indexed subscriber,
        uint256 indexed planId,
        uint256 executionBudget,
        uint256 allowanceExpiry
    );
    event SubscriptionPaused(uint256 indexed subId, address indexed subscriber);
    event SubscriptionResumed(uint256 indexed subId, address indexed subscriber);
    event SubscriptionCancelled(uint256 indexed subId, address indexed subscriber);
    event SubscriptionExpiryUpdated(uint256 indexed subId, uint256 expiry);
    event SubscriptionRecovered(uint256 indexed subId, uint256 nextChargeAt);
    event SubscriberBlocked(address indexed subscriber);
    event SubscriberUnblocked(address indexed subscriber);
    event PaymentProcessorUpdated(address indexed previous, address indexed current);

    /// @notice The plan's terms; reverts when there is no such plan.
    function getPlan(uint256 planId) external view returns (Plan memory plan) {
        return _plan(planId);
    }

    function _planCreated(uint256 planId, Plan storage plan) internal override {
        emit PlanCreated(planId, plan.token, plan.price, uint64(plan.interval), uint64(plan.gracePeriod));
    }

    function _planStatusChanged(uint256 planId, bool active) internal override {
        emit PlanStatusChanged(planId, active);
    }

    function _created(uint256 id, address subscriber, uint256 planId, uint256 budget, uint256 expiry)
        internal
        override
    {
        emit SubscriptionCreated(id, subscriber, planId, budget, expiry);
    }

    function _paused(uint256 subId, address subscriber) internal override {
        emit SubscriptionPaused(subId, subscriber);
    }

    function _resumed(uint256 subId, address subscriber) internal override {
        emit SubscriptionResumed(subId, subscriber);
    }

    function _cancelled(uint256 subId, address subscriber) internal override {
        emit SubscriptionCancelled(subId, subscriber);
    }

    function _expiryUpdated(uint256 subId, uint256 expiry) internal override {
        emit SubscriptionExpiryUpdated(subId, expiry);
    }

    function _recovered(uint256 subId, uint256 nextChargeAt) internal override {
        emit SubscriptionRecovered(subId, nextChargeAt);
    }

    function _blocked(address subscriber) internal override {
        emit SubscriberBlocked(subscriber);
    }

    function _unblocked(address subscriber) internal override {
        emit SubscriberUnblocked(subscriber);
    }

    function _processorUpdated(address previous, address current) internal override {
        emit PaymentProcessorUpdated(previous, current);
    }
}
