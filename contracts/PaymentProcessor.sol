// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {FailureReason, IModule, IModuleRegistry, IPermit2, IProcessor, IToken, PERMIT2} from "./Protocol.sol";
import {TokenRegistry} from "./TokenRegistry.sol";

/// @title Moves the money for all merchants.
/// @notice Our own stand-in for amser's processor, for local chains and tests only.
/// @dev A module calls `registerWithPermit` here for its subscriber, and is called back; the first payment is a separate
///  `execute`. Anyone may call `execute`: a payment that cannot be made emits `ExecutionFailed` and does
///  not revert, so one bad entry never stops a batch. Tokens are pulled by Permit2. Only modules of the factory are paid
///  for, else a stranger's "module" could name anyone as the payer.
contract PaymentProcessor is IProcessor {
    /// @notice The largest protocol fee, in basis points.
    uint16 public constant MAX_FEE_BPS = 1_000;

    event ExecutionExecuted(
        address indexed module,
        uint256 indexed id,
        address indexed payer,
        address token,
        uint256 amount,
        uint256 protocolFee,
        address keeper,
        uint256 executionTime,
        uint256 windowId
    );
    event ExecutionFailed(address indexed module, uint256 indexed id, uint8 reason);

    error OnlyOwner();
    error OnlySelf();
    error FeeTooHigh();
    error ZeroAddress();
    error UnknownModule();
    error LengthMismatch();
    error AllowanceTooLow();
    error Reentered();

    /// @notice Who may name the factory and migrate modules.
    address public immutable owner;
    /// @notice Who receives the protocol fee.
    address public immutable feeRecipient;
    /// @notice The protocol fee in basis points of the amount; the merchant receives the rest.
    uint16 public immutable feeBps;
    /// @notice Which tokens may be charged.
    TokenRegistry public immutable tokenRegistry;
    /// @notice The factory whose modules are served.
    IModuleRegistry public factory;
    /// @notice Whether this billing window was paid.
    mapping(address module => mapping(uint256 id => mapping(uint256 windowId => bool))) public executed;

    bool private executing;

    modifier onlyOwner() {
        require(msg.sender == owner, OnlyOwner());
        _;
    }

    modifier notReentrant() {
        require(!executing, Reentered());
        executing = true;
        _;
        executing = false;
    }

    constructor(address feeRecipient_, uint16 feeBps_) {
        require(feeRecipient_ != address(0), ZeroAddress());
        require(feeBps_ <= MAX_FEE_BPS, FeeTooHigh());
        owner = msg.sender;
        tokenRegistry = new TokenRegistry(msg.sender);
        feeRecipient = feeRecipient_;
        feeBps = feeBps_;
    }

    /// @notice Names the factory whose modules are served.
    function setFactory(address factory_) external onlyOwner {
        require(factory_ != address(0), ZeroAddress());
        factory = IModuleRegistry(factory_);
    }

    /// @notice Hands a module to another processor: the protocol migration. Allowances do not move with it.
    function migrateModule(address module, address newProcessor) external onlyOwner {
        IModule(module).setPaymentProcessor(newProcessor);
    }

    /// @notice Subscribes someone to a plan of the calling module. The allowance must already cover the first payment;
    ///  a permit is not looked at.
    function registerWithPermit(
        address subscriber,
        uint256 planId,
        uint256 executionBudget,
        uint256 allowanceExpiry,
        bytes calldata /* permit */
    ) external returns (uint256 id) {
        require(_serves(msg.sender), UnknownModule());
        (address token, uint256 minAmount) = IModule(msg.sender).registrationContext(planId, subscriber);
        require(_allows(token, subscriber, minAmount), AllowanceTooLow());
        return IModule(msg.sender).registerExecution(subscriber, planId, executionBudget, allowanceExpiry);
    }

    /// @notice Takes the payment that is due, or says why it cannot.
    function execute(address module, uint256 id) external notReentrant returns (uint8 reason) {
        return uint8(_execute(module, id));
    }

    /// @notice `execute` for many; each entry stands alone.
    function batchExecute(address[] calldata modules, uint256[] calldata ids) external notReentrant {
        require(modules.length == ids.length, LengthMismatch());
        for (uint256 i = 0; i < ids.length; i++) {
            _execute(modules[i], ids[i]);
        }
    }

    /// @notice Only for this contract itself: both transfers or neither.
    function pull(address token, address payer, address recipient, uint256 amount, uint256 fee) external {
        require(msg.sender == address(this), OnlySelf());
        IPermit2(PERMIT2).transferFrom(payer, recipient, uint160(amount - fee), token);
        if (fee > 0) IPermit2(PERMIT2).transferFrom(payer, feeRecipient, uint160(fee), token);
    }

    function _execute(address module, uint256 id) private returns (FailureReason) {
        if (!_serves(module) || IModule(module).paymentProcessor() != address(this)) {
            return _fail(module, id, FailureReason.NotFound);
        }
        (
            uint8 obstacle,
            address payer,
            address recipient,
            address token,
            uint256 amount,
            uint256 executionTime,
            uint256 windowId
        ) = IModule(module).quoteExecution(id);
        FailureReason reason = FailureReason(obstacle);
        if (reason != FailureReason.None) return _fail(module, id, reason);
        if (executed[module][id][windowId]) return _fail(module, id, FailureReason.AlreadyExecuted);
        if (!_allows(token, payer, amount)) return _fail(module, id, FailureReason.InsufficientAllowance);
        if (IToken(token).balanceOf(payer) < amount) return _fail(module, id, FailureReason.InsufficientBalance);
        (bool enabled,,,,) = tokenRegistry.tokens(token);
        if (!enabled) return _fail(module, id, FailureReason.TransferFailed);
        uint256 fee = (amount * feeBps) / 10_000;
        try this.pull(token, payer, recipient, amount, fee) {}
        catch {
            return _fail(module, id, FailureReason.TransferFailed);
        }
        executed[module][id][windowId] = true;
        IModule(module).onExecute(id, executionTime, windowId);
        emit ExecutionExecuted(module, id, payer, token, amount, fee, msg.sender, executionTime, windowId);
        return FailureReason.None;
    }

    function _fail(address module, uint256 id, FailureReason reason) private returns (FailureReason) {
        emit ExecutionFailed(module, id, uint8(reason));
        return reason;
    }

    /// @dev Permit2 must let this contract move so much, and the token must let Permit2.
    function _allows(address token, address payer, uint256 amount) private view returns (bool) {
        (uint160 permitted, uint48 expiration,) = IPermit2(PERMIT2).allowance(payer, token, address(this));
        return permitted >= amount && expiration >= block.timestamp && IToken(token).allowance(payer, PERMIT2) >= amount;
    }

    function _serves(address module) private view returns (bool) {
        return address(factory) != address(0) && factory.isModule(module);
    }
}
