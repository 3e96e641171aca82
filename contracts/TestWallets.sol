// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Contract wallets that sign well, badly, or not at all, for tests of ERC-1271 and ERC-6492.

/// @dev Valid is what its owner's key signed.
contract OwnedWallet {
    address public immutable owner;

    constructor(address owner_) {
        owner = owner_;
    }

    function isValidSignature(bytes32 hash, bytes calldata signature) external view returns (bytes4) {
        if (signature.length != 65) return 0xffffffff;
        bytes32 r = bytes32(signature[0:32]);
        bytes32 s = bytes32(signature[32:64]);
        address signer = ecrecover(hash, uint8(signature[64]), r, s);
        return signer != address(0) && signer == owner ? bytes4(0x1626ba7e) : bytes4(0xffffffff);
    }
}

/// @dev Deploys owned wallets to addresses that are known beforehand.
contract OwnedWalletFactory {
    function deploy(address owner, bytes32 salt) external returns (address) {
        return address(new OwnedWallet{salt: salt}(owner));
    }

    function addressOf(address owner, bytes32 salt) external view returns (address) {
        bytes32 code = keccak256(abi.encodePacked(type(OwnedWallet).creationCode, abi.encode(owner)));
        return address(uint160(uint256(keccak256(abi.encodePacked(bytes1(0xff), address(this), salt, code)))));
    }
}

/// @dev Agrees to everything once anybody has opened it.
contract LenientWallet {
    bool private opened;

    function open() external {
        opened = true;
    }

    function isValidSignature(bytes32, bytes calldata) external view returns (bytes4) {
        return opened ? bytes4(0x1626ba7e) : bytes4(0xffffffff);
    }
}

/// @dev Misbehaves in the way it was made for.
contract BadWallet {
    enum Way {
        WrongValue,
        Reverts,
        BurnsGas,
        ShortAnswer,
        True,
        HugeAnswer,
        RevertsWithTheMagic,
        EchoesTheQuestion,
        MagicAndMore
    }

    error Refused();

    Way public immutable way;

    constructor(Way way_) {
        way = way_;
    }

    function isValidSignature(bytes32, bytes calldata) external view {
        Way chosen = way;
        if (chosen == Way.Reverts) revert Refused();
        if (chosen == Way.BurnsGas) {
            uint256 spin;
            while (gasleft() > 0) {
                unchecked {
                    spin++;
                }
            }
        }
        if (chosen == Way.EchoesTheQuestion) {
            bytes memory question = msg.data;
            assembly {
                return(add(question, 0x20), mload(question))
            }
        }
        bytes32 answer = 0x1626ba7e00000000000000000000000000000000000000000000000000000000;
        uint256 size = 32;
        if (chosen == Way.WrongValue) answer = bytes32(bytes4(0xffffffff));
        if (chosen == Way.MagicAndMore) answer |= bytes32(uint256(1));
        if (chosen == Way.True) answer = bytes32(uint256(1));
        if (chosen == Way.ShortAnswer) size = 4;
        if (chosen == Way.HugeAnswer) {
            answer = 0;
            size = 500_000;
        }
        bool reverts = chosen == Way.RevertsWithTheMagic;
        assembly {
            mstore(0, answer)
            if reverts { revert(0, size) }
            return(0, size)
        }
    }
}
