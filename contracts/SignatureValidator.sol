// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Asks a contract wallet whether it signed a hash (ERC-1271), deploying it first if need be (ERC-6492).
/// @dev Never deployed: an `eth_call` runs the constructor and reads the byte that it answers, with the id of the chain
///  that gave it and the time there. Not the block's number: on Arbitrum and its like the EVM's is the parent chain's. The wallet is called with a gas limit of its own, so that one which reverts or burns gas yields an
///  answer like any other, and an error of the call itself can only mean that the node failed.
contract SignatureValidator {
    /// @dev Far more than the dearest known wallets need (a passkey checked in Solidity takes some 350,000).
    uint256 private constant CHECK_GAS = 3_000_000;
    /// @dev For the factory that deploys the wallet.
    uint256 private constant DEPLOY_GAS = 6_000_000;

    bytes1 private constant REFUSED = 0x00;
    bytes1 private constant VALID = 0x01;
    bytes1 private constant NO_CODE = 0x02;

    constructor(address wallet, bytes32 hash, bytes memory signature, address factory, bytes memory deployment) {
        // A wallet that exists is asked as it is: letting the signature call anything first would only widen what it
        // can do.
        if (wallet.code.length == 0 && factory != address(0)) {
            uint256 limit = DEPLOY_GAS;
            assembly ("memory-safe") {
                pop(call(limit, factory, 0, add(deployment, 0x20), mload(deployment), 0, 0))
            }
        }
        bytes1 answer = NO_CODE;
        if (wallet.code.length != 0) {
            bytes memory question = abi.encodeWithSignature("isValidSignature(bytes32,bytes)", hash, signature);
            uint256 limit = CHECK_GAS;
            bytes32 word;
            // Only one word of the answer is copied, however long it is.
            assembly ("memory-safe") {
                mstore(0, 0)
                let ok := staticcall(limit, wallet, add(question, 0x20), mload(question), 0, 0x20)
                if and(ok, gt(returndatasize(), 0x1f)) { word := mload(0) }
            }
            answer = bytes4(word) == 0x1626ba7e ? VALID : REFUSED;
        }
        assembly ("memory-safe") {
            let told := mload(0x40)
            mstore(told, answer)
            mstore(add(told, 1), chainid())
            mstore(add(told, 33), timestamp())
            return(told, 65)
        }
    }
}
