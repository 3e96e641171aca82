use super::*;

fn answer(code: i64, message: &str, data: &str) -> RpcError {
    let data = (!data.is_empty())
        .then(|| serde_json::value::RawValue::from_string(data.to_owned()).unwrap());
    RpcError::from_answer(
        &ErrorAnswer {
            code,
            message: message.to_owned(),
            data,
        },
        None,
    )
}

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
    // EIP-1474 with nothing more said.
    (-32005, "limit exceeded", "", None),
];

/// Code, message, data and the wait in milliseconds.
const RATE_LIMITS: &[(i64, &str, &str, Option<u64>)] = &[
    (
        429,
        "Your app has exceeded its compute units per second capacity. If you have retries enabled, you can safely ignore this message.",
        "",
        None,
    ),
    (
        -32005,
        "daily request count exceeded, request rate limited",
        r#"{"rate":{"allowed_rps":1,"backoff_seconds":30,"current_rps":1.1}}"#,
        Some(30_000),
    ),
    (-32005, "project ID request rate exceeded", "", None),
    (-32005, "rate limited, try again in 4ms", "", Some(4)),
    (-32016, "over rate limit", "", None),
    (
        -32007,
        "100/second request limit reached - reduce calls per second or upgrade your account at quicknode.com",
        "",
        None,
    ),
    (-32029, "Too Many Requests", "", None),
    (
        -32000,
        "Unable to rent an instance of IEthRpcModule. Too many concurrent requests.",
        "",
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

#[test]
fn rate_limits_are_recognised_with_their_wait() {
    for (code, message, data, wait) in RATE_LIMITS {
        match answer(*code, message, data) {
            RpcError::RateLimited { retry_after, .. } => {
                assert_eq!(retry_after, wait.map(Duration::from_millis), "{message}");
            }
            other => panic!("{message}: {other:?}"),
        }
    }
}

#[test]
fn timeouts_are_recognised_also_when_they_advise_on_ranges() {
    for (code, message) in [
        (
            -32000,
            "Query timeout exceeded. Consider reducing your block range.",
        ),
        (-32005, "query timeout exceeded"),
        (-32002, "request timed out"),
        (-32000, "context deadline exceeded"),
        (-32000, "log query timed out"),
    ] {
        let error = answer(code, message, "");
        assert!(
            matches!(error, RpcError::Timeout { .. }),
            "{message}: {error:?}"
        );
    }
}

#[test]
fn a_node_that_lacks_the_blocks_or_refuses_the_client_is_unavailable() {
    for (code, message) in [
        (-32602, "block range extends beyond current head block"),
        (-32602, "invalid block range params"),
        (-32000, "header not found"),
        (-39001, "Unknown block"),
        (-32001, "8633830 could not be found"),
        (-32011, "no backend is currently healthy to serve traffic"),
        (
            -32000,
            "Unauthorized: You must authenticate your request with an API key.",
        ),
        (-32002, "rejected due to project ID settings"),
    ] {
        let error = answer(code, message, "");
        assert!(
            matches!(error, RpcError::Unavailable { .. }),
            "{message}: {error:?}"
        );
    }
}

#[test]
fn anything_else_stays_what_it_is() {
    for (code, message) in [
        (-32601, "the method eth_foo does not exist"),
        (-32603, "internal error"),
    ] {
        let error = answer(code, message, "");
        assert!(
            matches!(error, RpcError::Other { code: kept, .. } if kept == code),
            "{error:?}"
        );
    }
}

#[test]
fn the_body_of_an_http_error_says_more_than_its_status() {
    let body = br#"{"jsonrpc":"2.0","id":56,"error":{"code":-32614,"message":"eth_getLogs is limited to a 10,000 range"}}"#;
    let error = RpcError::from_status(StatusCode::PAYLOAD_TOO_LARGE, None, body);
    assert!(
        matches!(
            error,
            RpcError::RangeTooWide {
                max: Some(10_000),
                ..
            }
        ),
        "{error:?}"
    );
    let error = RpcError::from_status(StatusCode::PAYLOAD_TOO_LARGE, None, b"");
    assert!(
        matches!(error, RpcError::TooManyResults { .. }),
        "{error:?}"
    );
    let wait = Some(Duration::from_secs(7));
    for status in [
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::SERVICE_UNAVAILABLE,
    ] {
        let error = RpcError::from_status(status, wait, b"<html>");
        assert!(
            matches!(error, RpcError::RateLimited { retry_after, .. } if retry_after == wait),
            "{error:?}"
        );
    }
    let body = br#"{"error":{"code":1015,"message":"slow down"}}"#;
    let error = RpcError::from_status(StatusCode::TOO_MANY_REQUESTS, wait, body);
    assert!(matches!(error, RpcError::RateLimited { .. }), "{error:?}");
    let error = RpcError::from_status(StatusCode::GATEWAY_TIMEOUT, None, b"");
    assert!(matches!(error, RpcError::Timeout { .. }), "{error:?}");
    for status in [
        StatusCode::BAD_GATEWAY,
        StatusCode::SERVICE_UNAVAILABLE,
        StatusCode::UNAUTHORIZED,
    ] {
        let error = RpcError::from_status(status, None, b"");
        assert!(matches!(error, RpcError::Unavailable { .. }), "{error:?}");
    }
}

#[test]
fn retry_after_is_read_as_seconds_and_as_a_date() {
    let wait = |text: &str| {
        let mut headers = reqwest::header::HeaderMap::new();
        headers.insert("retry-after", text.parse().unwrap());
        retry_after(&headers)
    };
    assert_eq!(wait("3"), Some(Duration::from_secs(3)));
    assert_eq!(wait("0.25"), Some(Duration::from_millis(250)));
    assert_eq!(wait("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
    let far = wait("Fri, 31 Dec 2100 23:59:59 GMT").unwrap();
    assert!(far > Duration::from_secs(1_000_000));
    assert_eq!(wait("soon"), None);
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_classification_panic(code: i64, message in ".*", data in ".*") {
        let _ = text::classify(code, &message, &data, None);
    }

    #[test]
    fn limits_of_any_size_are_read(max in 2_u64..1_000_000) {
        let error = text::classify(-32602, &format!("query exceeds max block range {max}"), "", None);
        let is_read = matches!(error, RpcError::RangeTooWide { max: Some(read), .. } if read == max);
        proptest::prop_assert!(is_read, "{:?}", error);
    }
}

#[test]
fn a_contracts_own_words_are_not_taken_for_the_nodes() {
    for (code, message) in [
        (3, "execution reverted: Unauthorized"),
        (3, "execution reverted: header not found"),
        (-32000, "execution reverted: rate limit, try again in 300s"),
        (-32000, "Execution reverted"),
        (-32015, "VM execution error."),
        (
            -32603,
            "Error: VM Exception while processing transaction: reverted with reason string 'timeout'",
        ),
        (-32000, "out of gas"),
        (-32000, "invalid opcode: INVALID"),
        (-32603, "EVM error InvalidFEOpcode"),
    ] {
        let said = answer(code, message, "");
        assert!(matches!(said, RpcError::Refused { .. }), "{said:?}");
    }
    let body = br#"{"jsonrpc":"2.0","id":1,"error":{"code":3,"message":"execution reverted"}}"#;
    let said = RpcError::from_status(StatusCode::INTERNAL_SERVER_ERROR, None, body);
    assert!(matches!(said, RpcError::Refused { .. }), "{said:?}");
}
