//! Refusals of the rate, and used-up quotas.

use super::*;

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
    // QuickNode, of the calls of a batch (case a03).
    (
        -32007,
        "25/second request limit reached - reduce calls per second or upgrade your account at quicknode.com",
        "",
        None,
    ),
    // Chainstack (case a04).
    (
        -32005,
        "You've exceeded the RPS limit available on the current plan. Learn more at https://docs.chainstack.com/docs/rps-plan-limits",
        r#"{"try_again_in":"560.270157ms"}"#,
        Some(560),
    ),
    // 1RPC (case a05).
    (
        -32001,
        "You've reached the usage limit for your current plan. To continue with higher limits and uninterrupted access, please upgrade here: https://www.1rpc.io/#pricing",
        "",
        None,
    ),
    (-32005, "credits limited to 6000/sec", "", None),
    (-32029, "compute unit quota exceeded", "", None),
    (-32005, "daily request count exceeded", "", None),
    (15, "please try again", "", None),
    (-32000, "Monthly quota used up", "", None),
    (
        -32000,
        "you are going too fast, retry in 1m0s",
        "",
        Some(60_000),
    ),
    (
        -32097,
        "Too many connections, try again in 2 minutes",
        "",
        Some(120_000),
    ),
    (
        -32000,
        "request throttled",
        r#"{"retry_after_ms":750}"#,
        Some(750),
    ),
    (
        -32000,
        "Unable to rent an instance of IEthRpcModule. Too many concurrent requests.",
        "",
        None,
    ),
];

#[test]
fn rate_limits_are_recognised_with_their_wait() {
    for (code, message, data, wait) in RATE_LIMITS {
        match answer(*code, message, data) {
            RpcError::RateLimited { retry_after, .. } => {
                let read = retry_after.map(|wait| u64::try_from(wait.as_millis()).unwrap());
                assert_eq!(read, *wait, "{message}");
            }
            other => panic!("{message}: {other:?}"),
        }
    }
}

#[test]
fn status_429_is_a_rate_limit_with_or_without_a_body() {
    let chainstack = br#"{"jsonrpc":"2.0","id":1,"error":{"code":-32005,"message":"You've exceeded the RPS limit available on the current plan.","data":{"try_again_in":"560.270157ms"}}}"#;
    let waits = [
        (&chainstack[..], None, Some(560)),
        (chainstack, Some(2_000), Some(2_000)),
        (b"", Some(0), Some(0)),
        (b"<html>error 1015</html>", None, None),
        (b"Try again in 3s", None, Some(3_000)),
        (br#"{"message":"no more"}"#, None, None),
        (
            br#"{"jsonrpc":"2.0","error":{"code":-32005,"message":"limit exceeded"}}"#,
            None,
            None,
        ),
        (
            br#"[{"jsonrpc":"2.0","error":{"code":1,"message":"no"}}]"#,
            None,
            None,
        ),
    ];
    for (body, header, expected) in waits {
        let header = header.map(Duration::from_millis);
        match RpcError::from_status(StatusCode::TOO_MANY_REQUESTS, header, body) {
            RpcError::RateLimited {
                retry_after,
                message,
            } => {
                assert_eq!(
                    retry_after.map(|wait| wait.as_millis()),
                    expected,
                    "{message}"
                );
                assert!(message.contains("HTTP 429"), "{message}");
            }
            other => panic!("{other:?}"),
        }
    }
    let used_up = RpcError::from_status(StatusCode::PAYMENT_REQUIRED, None, b"");
    assert!(
        matches!(used_up, RpcError::RateLimited { .. }),
        "{used_up:?}"
    );
}
