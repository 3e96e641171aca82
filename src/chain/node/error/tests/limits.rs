//! Refusals of wide ranges and of many results.

use super::*;

/// Code, message and data as the providers send them, and the most blocks per call that they mean.
const TOO_WIDE: &[(i64, &str, &str, Option<u64>)] = &[
    // Infura: INFURA/infura issue 237.
    (
        -32602,
        "range 1000000 exceeds limit of 10000",
        "",
        Some(10_000),
    ),
    // QuickNode and Base's public node.
    (
        -32614,
        "eth_getLogs is limited to a 10,000 range",
        "",
        Some(10_000),
    ),
    // Alchemy, free tier and paid.
    (
        -32600,
        "Under the Free tier plan, you can make eth_getLogs requests with up to a 10 block range. Based on your parameters, this block range should work: [0x0, 0x9]. Upgrade to PAYG for expanded block range.",
        "",
        Some(10),
    ),
    (
        -32600,
        "You can make eth_getLogs requests with up to a 500 block range. Based on your parameters, this block range should work: [0x123c9b2, 0x123cba5]",
        "",
        Some(500),
    ),
    (
        -32602,
        "You can make eth_getLogs requests with up to a 2K block range.",
        "",
        Some(2_000),
    ),
    // geth and reth.
    (-32602, "exceed maximum block range: 5000", "", Some(5_000)),
    (
        -32701,
        "exceed maximum block range: 50000",
        "",
        Some(50_000),
    ),
    (
        -32602,
        "query exceeds max block range 100000",
        "",
        Some(100_000),
    ),
    // Erigon 3 and cdk-erigon.
    (
        -32602,
        "query block range exceeds server limit, narrow your filter: 1000",
        "",
        Some(1_000),
    ),
    (
        -32005,
        "block range too large, max range: 1000",
        "",
        Some(1_000),
    ),
    // Tenderly: the reason is in the data.
    (
        -32602,
        "invalid params",
        r#"{"error_id":"4ed9","payload":"range 9009594 is bigger than range limit 2000"}"#,
        Some(2_000),
    ),
    (
        35,
        "ranges over 10000 blocks are not supported on freetier",
        "",
        Some(10_000),
    ),
    (-32600, "block range is too wide", "", None),
    (
        -32600,
        "block range is too wide (maximum 1024)",
        "",
        Some(1_024),
    ),
    (-32000, "block range is bigger than maxBlockRange", "", None),
    (
        -32000,
        "requested too many blocks from 1 to 5000000, maximum is set to 2048",
        "",
        Some(2_048),
    ),
    (
        -32602,
        "eth_getLogs is limited to 0 - 50 blocks range",
        "",
        Some(50),
    ),
    (
        -32000,
        "please limit the query to at most 1000 blocks",
        "",
        Some(1_000),
    ),
    (
        -32602,
        "Maximum allowed number of requested blocks is 3500",
        "",
        Some(3_500),
    ),
    (
        -32000,
        "eth_getLogs range is too large, max is 10k blocks",
        "",
        Some(10_000),
    ),
    (
        -32002,
        "request exceeds the range allowed for your plan (5000 > 500).",
        "",
        Some(500),
    ),
    (
        -32012,
        "range too large; max block range 1000000",
        "",
        Some(1_000_000),
    ),
    // QuickNode (case a06).
    (
        -32602,
        "eth_getLogs and eth_newFilter are limited to a 10,000 blocks range",
        "",
        Some(10_000),
    ),
    (
        -32602,
        "Block range limit exceeded. See more details at https://docs.chainstack.com/docs/limits",
        "",
        None,
    ),
];

/// Code, message, data and the range that is suggested instead.
#[expect(clippy::type_complexity, reason = "a table, read by one test")]
const TOO_MANY: &[(i64, &str, &str, Option<(u64, u64)>)] = &[
    // Infura, old and new.
    (-32005, "query returned more than 10000 results", "", None),
    (
        -32005,
        "query returned more than 10000 results. Try with this block range [0x102, 0x20D].",
        r#"{"from":"0x102","limit":10000,"to":"0x20D"}"#,
        Some((0x102, 0x20d)),
    ),
    (
        -32005,
        "query returned more than 10000 results",
        r#"{"from":"0x102","limit":10000,"to":"0x20D"}"#,
        Some((0x102, 0x20d)),
    ),
    // Alchemy.
    (
        -32602,
        "Log response size exceeded. You can make eth_getLogs requests with up to a 2K block range and no limit on the response size, or you can request any block range with a cap of 10K logs in the response. Based on your parameters and the response size limit, this block range should work: [0x10, 0x1f]",
        "",
        Some((16, 31)),
    ),
    (
        -32602,
        "Log response size exceeded. Please reduce query block range.",
        "",
        None,
    ),
    // reth.
    (
        -32602,
        "query exceeds max results 20000, retry with the range 24383075-24383096",
        "",
        Some((24_383_075, 24_383_096)),
    ),
    // Nethermind.
    (
        -32005,
        "Too many logs requested. Max logs per response is 20000.",
        "",
        None,
    ),
    // Erigon 3.
    (
        -32000,
        "query returns too many logs, narrow your filter: 20000",
        "",
        None,
    ),
    (
        -32000,
        "logs matched by query exceeds limit of 10000",
        "",
        None,
    ),
    (-32020, "backend response too large", "", None),
    (
        -32000,
        "response size should not greater than 10000000 bytes",
        "",
        None,
    ),
    // jsonrpsee (case u07).
    (
        -32008,
        "Result is too big",
        r#""Exceeded max limit of 167772160""#,
        None,
    ),
];

#[test]
fn refusals_of_wide_ranges_are_recognised_with_their_limit() {
    for (code, message, data, max) in TOO_WIDE {
        match answer(*code, message, data) {
            RpcError::RangeTooWide { max: read, .. } => assert_eq!(read, *max, "{message}"),
            other => panic!("{message}: {other:?}"),
        }
    }
}

#[test]
fn refusals_of_many_results_are_recognised_with_their_suggestion() {
    for (code, message, data, suggested) in TOO_MANY {
        match answer(*code, message, data) {
            RpcError::TooManyResults {
                suggested: read, ..
            } => {
                assert_eq!(read, *suggested, "{message}");
            }
            other => panic!("{message}: {other:?}"),
        }
    }
}
