// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Asks a contract wallet whether it signed a hash (ERC-1271), deploying it first if need be (ERC-6492).
/// @dev Never deployed: an `eth_call` runs the constructor and reads the byte that it answers, with the id of the chain
///  that gave it and the time there. Not the block's number: on Arbitrum and its like the EVM's is the parent chain's.
///  The wallet is called with a gas limit of its own, so that one which reverts or burns gas yields an answer like any
///  other, and an error of the call itself can only mean that the node failed. Compiled for an old EVM: see
///  anvil/compile.mjs.
contract SignatureValidator {
    /// @dev Far more than the dearest known wallets need (a passkey checked in Solidity takes some 350,000).
    uint256 private constant CHECK_GAS = 3_000_000;
    /// @dev A check that failed and used more than this ran out of gas: each contract that forwards a call keeps a 64th
    ///  of its gas and can revert with it.
    uint256 private constant OUT_OF_GAS_FROM = (CHECK_GAS / 16) * 15;
    /// @dev For the factory that deploys the wallet.
    uint256 private constant DEPLOY_GAS = 6_000_000;
    /// @dev The word that ERC-1271 wants: the selector and zeros. A contract that echoes its input answers the selector
    ///  and a part of the hash. What follows the word is not looked at, as in the ABI's decoding of `bytes4`.
    bytes32 private constant ERC1271_MAGIC = bytes32(bytes4(0x1626ba7e));

    bytes1 private constant REFUSED = 0x00;
    bytes1 private constant VALID = 0x01;
    bytes1 private constant NO_CODE = 0x02;
    bytes1 private constant REFUSED_BY_DELEGATE = 0x03;
    bytes1 private constant OUT_OF_GAS = 0x04;

    constructor(address wallet, bytes32 hash, bytes memory signature, address factory, bytes memory deployment) {
        // A wallet that exists is asked as it is: letting the signature call anything first would only widen what it
        // can do.
        if (wallet.code.length == 0 && factory != address(0)) {
            uint256 limit = DEPLOY_GAS;
            assembly ("memory-safe") {
                pop(call(limit, factory, 0, add(deployment, 0x20), mload(deployment), 0, 0))
            }
        }
        bytes1 answer = wallet.code.length == 0 ? NO_CODE : ask(wallet, hash, signature);
        assembly ("memory-safe") {
            let told := mload(0x40)
            mstore(told, answer)
            mstore(add(told, 1), chainid())
            mstore(add(told, 33), timestamp())
            return(told, 65)
        }
    }

    function ask(address wallet, bytes32 hash, bytes memory signature) private view returns (bytes1) {
        bytes memory question = abi.encodeWithSignature("isValidSignature(bytes32,bytes)", hash, signature);
        uint256 limit = CHECK_GAS;
        uint256 used = gasleft();
        bytes32 word;
        // Only one word of the answer is copied, however long it is.
        assembly ("memory-safe") {
            mstore(0, 0)
            let ok := staticcall(limit, wallet, add(question, 0x20), mload(question), 0, 0x20)
            if and(ok, gt(returndatasize(), 0x1f)) { word := mload(0) }
        }
        used -= gasleft();
        if (word == ERC1271_MAGIC) return VALID;
        if (isDelegated(wallet)) return REFUSED_BY_DELEGATE;
        return used > OUT_OF_GAS_FROM ? OUT_OF_GAS : REFUSED;
    }

    /// @dev Whether the account is a key's that lets a contract act for it (EIP-7702). No other code begins so (EIP-3541).
    function isDelegated(address account) private view returns (bool delegated) {
        assembly ("memory-safe") {
            mstore(0, 0)
            extcodecopy(account, 0, 0, 3)
            delegated := eq(shr(232, mload(0)), 0xef0100)
        }
    }
}
