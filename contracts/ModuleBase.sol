// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {FailureReason, IModule, IProcessor, Status} from "./Protocol.sol";

/// @title One merchant's plans and subscriptions, without the words in which it tells of them.
/// @notice Moves no money. What events say and how `getPlan` answers is up to the modules that are made of it, since
///  deployed ones differ.
/// @dev Who may do what:
///  - the merchant creates plans, toggles their `active` flag and blocks subscribers;
///  - the subscriber subscribes, pauses, resumes, cancels, and changes the expiry; both may recover a missed window;
///  - the current PaymentProcessor alone creates subscriptions (`subscribeWithPermit` here calls `registerWithPermit`
///    there, which calls back `registerExecution`), records payments and hands the module to another processor.
///  Choices where the public text is silent: plan and subscription ids start at 1; a budget of `type(uint256).max`
///  never runs down; a cancelled subscription counts as not found and frees its (subscriber, plan) slot; an inactive
///  plan takes no new subscription and goes on charging its old ones; the clone's first processor emits no event.
abstract contract ModuleBase is IModule {
    /// @notice The shortest interval a plan may have, in seconds.
    uint64 public constant MIN_INTERVAL = 1 hours;

    /// @notice As in amser's public documentation. Interval and grace period are seconds.
    struct Plan {
        uint256 price;
        uint256 interval;
        uint256 gracePeriod;
        address token;
        bytes32 metadataHash;
        bool active;
    }

    struct Subscription {
        address subscriber;
        uint64 lastPaidAt;
        bool paused;
        bool cancelled;
        uint64 nextChargeAt;
        uint32 windowId;
        uint256 planId;
        uint256 remainingExecutions;
        uint256 allowanceExpiry;
    }

    error AlreadyInitialized();
    error ZeroAddress();
    error OnlyMerchant();
    error OnlyPaymentProcessor();
    error OnlySubscriber();
    error OnlySubscriberOrMerchant();
    error IntervalTooShort();
    error ZeroPrice();
    error PlanNotFound();
    error PlanInactive();
    error PlanStatusUnchanged();
    error SubscriptionNotFound();
    error SubscriptionAlreadyExistsForPlan();
    error SubscriptionIsPaused();
    error SubscriptionNotPaused();
    error SubscriptionNotMissed();
    error ZeroExecutionBudget();
    error ExpiryInThePast();
    error IsBlocked();
    error NotBlocked();
    error WindowMismatch();

    /// @notice Who is paid. Never changes.
    address public merchant;
    /// @inheritdoc IModule
    address public paymentProcessor;
    /// @notice How many plans exist; their ids run from 1 to this.
    uint256 public planCount;
    /// @notice How many subscriptions were ever created; their ids run from 1 to this.
    uint256 public subscriptionCount;
    /// @notice Whether the merchant blocked this subscriber.
    mapping(address subscriber => bool) public isBlocked;
    /// @notice The id of the subscriber's uncancelled subscription to the plan, or 0.
    mapping(address subscriber => mapping(uint256 planId => uint256)) public subscriptionOf;

    mapping(uint256 planId => Plan) internal plans;
    mapping(uint256 subId => Subscription) internal subscriptions;

    modifier onlyMerchant() {
        require(msg.sender == merchant, OnlyMerchant());
        _;
    }

    modifier onlyPaymentProcessor() {
        require(msg.sender == paymentProcessor, OnlyPaymentProcessor());
        _;
    }

    /// @dev The implementation behind the clones belongs to nobody, so that no one can initialize it.
    constructor() {
        merchant = address(0xdEaD);
    }

    /// @inheritdoc IModule
    function initialize(address merchant_, address paymentProcessor_) external {
        require(merchant == address(0), AlreadyInitialized());
        require(merchant_ != address(0) && paymentProcessor_ != address(0), ZeroAddress());
        merchant = merchant_;
        paymentProcessor = paymentProcessor_;
    }

    // ------------------------------------------------------------------ the merchant

    /// @notice Adds a plan. Everything but its `active` flag is final.
    function createPlan(address token, uint256 price, uint64 interval, uint64 gracePeriod)
        external
        onlyMerchant
        returns (uint256 planId)
    {
        require(token != address(0), ZeroAddress());
        require(price > 0, ZeroPrice());
        require(interval >= MIN_INTERVAL, IntervalTooShort());
        planId = ++planCount;
        bytes32 metadataHash = keccak256(abi.encode(address(this), planId));
        plans[planId] = Plan(price, interval, gracePeriod, token, metadataHash, true);
        _planCreated(planId, plans[planId]);
    }

    /// @notice Opens a plan to new subscriptions, or closes it to them.
    function setPlanActive(uint256 planId, bool active) external onlyMerchant {
        Plan storage plan = _plan(planId);
        require(plan.active != active, PlanStatusUnchanged());
        plan.active = active;
        _planStatusChanged(planId, active);
    }

    /// @notice Takes access and payments from all of the subscriber's plans here.
    function blockSubscriber(address subscriber) external onlyMerchant {
        require(!isBlocked[subscriber], IsBlocked());
        isBlocked[subscriber] = true;
        _blocked(subscriber);
    }

    /// @notice Undoes `blockSubscriber`.
    function unblockSubscriber(address subscriber) external onlyMerchant {
        require(isBlocked[subscriber], NotBlocked());
        isBlocked[subscriber] = false;
        _unblocked(subscriber);
    }

    // ---------------------------------------------------------------- the subscriber

    /// @notice Subscribes the caller to a plan; the first payment is a separate `execute`. amser takes a Permit2
    ///  signature as the last argument; here the processor's allowance is what counts.
    function subscribeWithPermit(uint256 planId, uint256 executionBudget, uint256 allowanceExpiry, bytes calldata permit)
        external
        returns (uint256 id)
    {
        return IProcessor(paymentProcessor).registerWithPermit(
            msg.sender, planId, executionBudget, allowanceExpiry, permit
        );
    }

    /// @notice Suspends payments and access until resumed.
    function pauseSubscription(uint256 subId) external {
        Subscription storage sub = _own(subId);
        require(!sub.paused, SubscriptionIsPaused());
        sub.paused = true;
        _paused(subId, msg.sender);
    }

    /// @notice Returns to the state before the pause; the time in between has passed.
    function resumeSubscription(uint256 subId) external {
        Subscription storage sub = _own(subId);
        require(sub.paused, SubscriptionNotPaused());
        sub.paused = false;
        _resumed(subId, msg.sender);
    }

    /// @notice Ends the subscription for good; subscribing again makes a new id.
    function cancelSubscription(uint256 subId) external {
        Subscription storage sub = _own(subId);
        sub.cancelled = true;
        delete subscriptionOf[msg.sender][sub.planId];
        _cancelled(subId, msg.sender);
    }

    /// @notice Changes until when (Unix seconds) payments may be taken; the past ends them.
    function updateExpiry(uint256 subId, uint256 expiry) external {
        Subscription storage sub = _own(subId);
        sub.allowanceExpiry = expiry;
        _expiryUpdated(subId, expiry);
    }

    /// @notice After a missed window: the next charge is due now. The subscriber and the merchant may ask.
    function recoverSubscription(uint256 subId) external {
        Subscription storage sub = _uncancelled(subId);
        require(msg.sender == sub.subscriber || msg.sender == merchant, OnlySubscriberOrMerchant());
        require(_missed(sub), SubscriptionNotMissed());
        sub.nextChargeAt = uint64(block.timestamp);
        sub.windowId++;
        _recovered(subId, block.timestamp);
    }

    // ----------------------------------------------------------------- the processor

    /// @inheritdoc IModule
    function registerExecution(address subscriber, uint256 planId, uint256 executionBudget, uint256 allowanceExpiry)
        external
        onlyPaymentProcessor
        returns (uint256 id)
    {
        _requireOpen(planId, subscriber);
        require(executionBudget > 0, ZeroExecutionBudget());
        require(allowanceExpiry > block.timestamp, ExpiryInThePast());
        id = ++subscriptionCount;
        Subscription storage sub = subscriptions[id];
        sub.subscriber = subscriber;
        sub.planId = planId;
        sub.nextChargeAt = uint64(block.timestamp);
        sub.windowId = 1;
        sub.remainingExecutions = executionBudget;
        sub.allowanceExpiry = allowanceExpiry;
        subscriptionOf[subscriber][planId] = id;
        _created(id, subscriber, planId, executionBudget, allowanceExpiry);
    }

    /// @inheritdoc IModule
    /// @dev The next window starts where this one ends, so late keepers do not shift the billing date.
    function onExecute(uint256 id, uint256 executionTime, uint256 windowId) external onlyPaymentProcessor {
        Subscription storage sub = subscriptions[id];
        require(windowId == sub.windowId, WindowMismatch());
        sub.lastPaidAt = uint64(executionTime);
        // A plan may be paid for longer than 64 bits of seconds can say; then it is never due again.
        uint256 next = executionTime + plans[sub.planId].interval;
        sub.nextChargeAt = next < type(uint64).max ? uint64(next) : type(uint64).max;
        sub.windowId++;
        if (sub.remainingExecutions != type(uint256).max) sub.remainingExecutions--;
    }

    /// @inheritdoc IModule
    function setPaymentProcessor(address newProcessor) external onlyPaymentProcessor {
        require(newProcessor != address(0), ZeroAddress());
        _processorUpdated(paymentProcessor, newProcessor);
        paymentProcessor = newProcessor;
    }

    // ------------------------------------------------------------------------- views

    /// @notice Whether `subject` has access to the plan `scope` now.
    function isActive(address subject, uint256 scope) public view returns (bool) {
        return _active(subscriptions[subscriptionOf[subject][scope]]);
    }

    /// @notice Whether `subject` has access to any of the plans `scopes` now.
    function isActiveAny(address subject, uint32[] calldata scopes) external view returns (bool) {
        for (uint256 i = 0; i < scopes.length; i++) {
            if (isActive(subject, scopes[i])) return true;
        }
        return false;
    }

    /// @notice The subscription's billing state; reverts when there is no such subscription.
    function getSubscription(uint256 subId)
        external
        view
        returns (
            address subscriber,
            uint256 planId,
            uint256 remainingExecutions,
            uint256 allowanceExpiry,
            uint64 lastPaidAt,
            uint64 nextChargeAt,
            uint8 status
        )
    {
        Subscription storage sub = subscriptions[subId];
        require(sub.subscriber != address(0), SubscriptionNotFound());
        return (
            sub.subscriber,
            sub.planId,
            sub.remainingExecutions,
            sub.allowanceExpiry,
            sub.lastPaidAt,
            sub.nextChargeAt,
            uint8(_status(sub))
        );
    }

    /// @inheritdoc IModule
    function registrationContext(uint256 planId, address subscriber)
        external
        view
        returns (address token, uint256 minAmount)
    {
        Plan storage plan = _requireOpen(planId, subscriber);
        return (plan.token, plan.price);
    }

    /// @inheritdoc IModule
    /// @dev States that no payment can change are named before NotDue, so Exhausted or Expired may be the answer while
    ///  a window is still paid for. The first charge has no window to miss; its window starts when it is executed.
    ///  Where nothing can be executed, everything but the reason is zero.
    function quoteExecution(uint256 id)
        external
        view
        returns (
            uint8 reason,
            address payer,
            address recipient,
            address token,
            uint256 amount,
            uint256 executionTime,
            uint256 windowId
        )
    {
        Subscription storage sub = subscriptions[id];
        Plan storage plan = plans[sub.planId];
        reason = uint8(_obstacle(sub));
        if (reason != uint8(FailureReason.None)) return (reason, address(0), address(0), address(0), 0, 0, 0);
        payer = sub.subscriber;
        recipient = merchant;
        token = plan.token;
        amount = plan.price;
        executionTime = sub.lastPaidAt == 0 ? block.timestamp : sub.nextChargeAt;
        windowId = sub.windowId;
    }

    // ------------------------------------------------------------- what modules tell

    function _planCreated(uint256 planId, Plan storage plan) internal virtual;
    function _planStatusChanged(uint256 planId, bool active) internal virtual;
    function _created(uint256 id, address subscriber, uint256 planId, uint256 budget, uint256 expiry) internal virtual;
    function _paused(uint256 subId, address subscriber) internal virtual;
    function _resumed(uint256 subId, address subscriber) internal virtual;
    function _cancelled(uint256 subId, address subscriber) internal virtual;
    function _expiryUpdated(uint256 subId, uint256 expiry) internal virtual;
    function _recovered(uint256 subId, uint256 nextChargeAt) internal virtual;
    function _blocked(address subscriber) internal virtual;
    function _unblocked(address subscriber) internal virtual;
    function _processorUpdated(address previous, address current) internal virtual;

    // ------------------------------------------------------------------------ inside

    function _obstacle(Subscription storage sub) private view returns (FailureReason) {
        if (sub.subscriber == address(0) || sub.cancelled) return FailureReason.NotFound;
        if (isBlocked[sub.subscriber]) return FailureReason.Blocked;
        if (sub.paused) return FailureReason.Paused;
        if (block.timestamp > sub.allowanceExpiry) return FailureReason.Expired;
        if (sub.remainingExecutions == 0) return FailureReason.Exhausted;
        if (block.timestamp < sub.nextChargeAt) return FailureReason.NotDue;
        if (_missed(sub)) return FailureReason.WindowMissed;
        return FailureReason.None;
    }

    function _status(Subscription storage sub) private view returns (Status) {
        if (sub.cancelled) return Status.Cancelled;
        if (isBlocked[sub.subscriber]) return Status.Blocked;
        if (sub.paused) return Status.Paused;
        if (sub.lastPaidAt == 0) return Status.Pending;
        if (!_paid(sub)) return Status.Lapsed;
        if (sub.remainingExecutions == 0) return Status.Exhausted;
        return Status.Active;
    }

    function _active(Subscription storage sub) private view returns (bool) {
        return !sub.cancelled && !sub.paused && !isBlocked[sub.subscriber] && _paid(sub);
    }

    function _paid(Subscription storage sub) private view returns (bool) {
        Plan storage plan = plans[sub.planId];
        return sub.lastPaidAt != 0
            && uint256(sub.lastPaidAt) + plan.interval + plan.gracePeriod >= block.timestamp;
    }

    function _missed(Subscription storage sub) private view returns (bool) {
        return sub.lastPaidAt != 0 && block.timestamp > uint256(sub.nextChargeAt) + plans[sub.planId].interval;
    }

    function _requireOpen(uint256 planId, address subscriber) private view returns (Plan storage plan) {
        plan = _plan(planId);
        require(plan.active, PlanInactive());
        require(!isBlocked[subscriber], IsBlocked());
        require(subscriptionOf[subscriber][planId] == 0, SubscriptionAlreadyExistsForPlan());
    }

    function _plan(uint256 planId) internal view returns (Plan storage plan) {
        plan = plans[planId];
        require(plan.token != address(0), PlanNotFound());
    }

    function _uncancelled(uint256 subId) private view returns (Subscription storage sub) {
        sub = subscriptions[subId];
        require(sub.subscriber != address(0) && !sub.cancelled, SubscriptionNotFound());
    }

    function _own(uint256 subId) private view returns (Subscription storage sub) {
        sub = _uncancelled(subId);
        require(msg.sender == sub.subscriber, OnlySubscriber());
    }
}
