// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice Why a payment was not executed. The order is assumed (PROTOCOL.md); contracts pass it as a plain `uint8`.
enum FailureReason {
    None,
    NotFound,
    NotDue,
    Paused,
    Expired,
    Exhausted,
    Blocked,
    InsufficientAllowance,
    InsufficientBalance,
    TransferFailed,
    AlreadyExecuted,
    WindowMissed
}

/// @notice The last value of `getSubscription`. The order is assumed.
enum Status {
    None,
    Pending,
    Active,
    Paused,
    Exhausted,
    Lapsed,
    Cancelled,
    Blocked
}

/// @notice What the processor needs from the token of a plan.
interface IToken {
    function balanceOf(address account) external view returns (uint256);
    function allowance(address owner, address spender) external view returns (uint256);
    function transferFrom(address from, address to, uint256 amount) external returns (bool);
}

/// @notice What the processor and the factory need from a module.
interface IModule {
    function initialize(address merchant, address paymentProcessor) external;
    function paymentProcessor() external view returns (address);
    function registrationContext(uint256 planId, address subscriber)
        external
        view
        returns (address token, uint256 minAmount);
    function registerExecution(address subscriber, uint256 planId, uint256 executionBudget, uint256 allowanceExpiry)
        external
        returns (uint256 id);
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
        );
    function onExecute(uint256 id, uint256 executionTime, uint256 windowId) external;
    function setPaymentProcessor(address newProcessor) external;
}

/// @notice What the processor needs from Permit2.
interface IPermit2 {
    function allowance(address owner, address token, address spender)
        external
        view
        returns (uint160 amount, uint48 expiration, uint48 nonce);
    function transferFrom(address from, address to, uint160 amount, address token) external;
}

/// @dev Where Permit2 is on every chain.
address constant PERMIT2 = 0x000000000022D473030F116dDEE9F6B43aC78BA3;

/// @notice What a module needs from its processor.
interface IProcessor {
    function registerWithPermit(
        address subscriber,
        uint256 planId,
        uint256 executionBudget,
        uint256 allowanceExpiry,
        bytes calldata permit
    ) external returns (uint256 id);
}

/// @notice What the processor needs from the factory.
interface IModuleRegistry {
    function isModule(address module) external view returns (bool);
}
