// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Emits any log and makes any call, for tests.
/// @dev As a foreign address its logs must be ignored, however true they look. A module migrated to it treats it as
///  the processor: then its logs count, and `forward` lets it hand the module on.
contract LookAlike {
    error TooManyTopics();
    error CallFailed(bytes reason);

    /// @notice Emits a log with these topics (0 to 4) and this data.
    function emitLog(bytes32[] calldata topics, bytes calldata data) external {
        bytes memory body = data;
        uint256 count = topics.length;
        require(count <= 4, TooManyTopics());
        bytes32[4] memory t;
        for (uint256 i = 0; i < count; i++) {
            t[i] = topics[i];
        }
        assembly ("memory-safe") {
            let start := add(body, 0x20)
            let size := mload(body)
            let t0 := mload(t)
            let t1 := mload(add(t, 0x20))
            let t2 := mload(add(t, 0x40))
            let t3 := mload(add(t, 0x60))
            switch count
            case 0 { log0(start, size) }
            case 1 { log1(start, size, t0) }
            case 2 { log2(start, size, t0, t1) }
            case 3 { log3(start, size, t0, t1, t2) }
            default { log4(start, size, t0, t1, t2, t3) }
        }
    }

    /// @notice Calls `target` as this contract.
    function forward(address target, bytes calldata data) external returns (bytes memory) {
        (bool ok, bytes memory answer) = target.call(data);
        require(ok, CallFailed(answer));
        return answer;
    }
}
