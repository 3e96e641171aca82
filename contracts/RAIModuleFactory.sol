// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IModule} from "./Protocol.sol";

/// @title Makes one module per merchant and kind.
/// @notice Our own stand-in for amser's factory, for local chains and tests only.
/// @dev Modules are EIP-1167 minimal proxies; the caller of `deployModule` becomes the merchant.
contract RAIModuleFactory {
    event ModuleDeployed(address indexed merchant, uint256 indexed moduleId, address module);

    error OnlyOwner();
    error ZeroAddress();
    error UnknownModuleId();
    error ModuleAlreadyDeployed();
    error CloneFailed();

    /// @notice Who may add implementations.
    address public immutable owner;
    /// @notice Where merchants have profiles; this stand-in has none, and needs none.
    address public constant merchantRegistry = address(0);
    /// @notice Whether only merchants with a profile may deploy.
    bool public constant requireMerchantProfile = false;
    /// @notice The processor that new modules start with.
    address public immutable paymentProcessor;
    /// @notice What a module id is a clone of: 0 subscription, 1 credit (not part of this stand-in).
    mapping(uint256 moduleId => address) public implementations;
    /// @notice The merchant's module of that kind, or zero.
    mapping(address merchant => mapping(uint256 moduleId => address)) public moduleOf;
    /// @notice Whether this factory made the module.
    mapping(address module => bool) public isModule;

    constructor(address paymentProcessor_) {
        require(paymentProcessor_ != address(0), ZeroAddress());
        owner = msg.sender;
        paymentProcessor = paymentProcessor_;
    }

    /// @notice Sets what later clones of `moduleId` are made from.
    function setImplementation(uint256 moduleId, address implementation) external {
        require(msg.sender == owner, OnlyOwner());
        require(implementation != address(0), ZeroAddress());
        implementations[moduleId] = implementation;
    }

    /// @notice Makes the caller's module of that kind; each merchant has at most one.
    function deployModule(uint256 moduleId) external returns (address module) {
        address implementation = implementations[moduleId];
        require(implementation != address(0), UnknownModuleId());
        require(moduleOf[msg.sender][moduleId] == address(0), ModuleAlreadyDeployed());
        module = _clone(implementation);
        moduleOf[msg.sender][moduleId] = module;
        isModule[module] = true;
        IModule(module).initialize(msg.sender, paymentProcessor);
        emit ModuleDeployed(msg.sender, moduleId, module);
    }

    /// @dev The init code of EIP-1167: ten bytes that return the 45 bytes of the proxy.
    function _clone(address implementation) private returns (address instance) {
        bytes memory code = abi.encodePacked(
            hex"3d602d80600a3d3981f3363d3d373d3d3d363d73", implementation, hex"5af43d82803e903d91602b57fd5bf3"
        );
        assembly ("memory-safe") {
            instance := create(0, add(code, 0x20), mload(code))
        }
        require(instance != address(0), CloneFailed());
    }
}
