//! Single calls: what counts as a result, and how a rate limit is waited out.

use std::time::{Duration, Instant};

use alloy::primitives::U64;
use serde_json::{Value, json};

use super::fake::{CHAIN, Fake, Reply, error, header, result};
use super::logs::read;
use crate::chain::node::read::{header_at, headers_at};
use crate::chain::node::{Answers, Node, RpcError, many};

async fn both(fake: &Fake) -> [Node; 2] {
    [fake.http().await, fake.websocket().await]
}

#[tokio::test]
async fn error_null_beside_a_result_is_a_result() {
    // Case a07.
    let fake = Fake::start(|call| {
        Reply::Json(json!({"jsonrpc": "2.0", "id": call["id"], "result": "0x7a69", "error": null}))
    })
    .await;
    for node in both(&fake).await {
        let number: U64 = node.call("eth_blockNumber", ()).await.unwrap();
        assert_eq!(number.to::<u64>(), 31_337);
    }
}

#[tokio::test]
async fn result_null_beside_an_error_is_the_error() {
    // Case a06.
    let fake = Fake::start(|call| {
        Reply::Json(json!({"jsonrpc": "2.0", "id": call["id"], "result": null, "error": {
            "code": -32602, "message": "eth_getLogs and eth_newFilter are limited to a 10,000 blocks range"}}))
    })
    .await;
    for node in both(&fake).await {
        let answer = node
            .call::<_, Option<Value>>("eth_getBlockByNumber", ())
            .await;
        assert!(
            matches!(
                answer,
                Err(RpcError::RangeTooWide {
                    max: Some(10_000),
                    ..
                })
            ),
            "{answer:?}"
        );
        let (_, answer) = read(&node, None).await;
        assert!(
            matches!(answer, Err(RpcError::RangeTooWide { .. })),
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn null_is_nothing_where_nothing_may_be_and_else_no_answer() {
    let fake = Fake::start(|call| Reply::Json(result(call, Value::Null))).await;
    for node in both(&fake).await {
        assert_eq!(header_at(&node, 7).await, Ok(None));
        let number = node.call::<_, U64>("eth_blockNumber", ()).await;
        assert!(
            matches!(number, Err(RpcError::Unavailable { .. })),
            "{number:?}"
        );
    }
}

#[tokio::test]
async fn a_header_without_a_time_is_no_header() {
    let fake = Fake::start(|call| {
        let mut header = header(7);
        header["timestamp"] = json!("0x0");
        Reply::Json(result(call, header))
    })
    .await;
    for node in both(&fake).await {
        let answer = header_at(&node, 7).await;
        assert!(
            matches!(answer, Err(RpcError::Unavailable { .. })),
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn a_retry_after_of_zero_does_not_make_a_burst_of_calls() {
    let fake = Fake::start(|_| Reply::Status(429, Some("0"), String::new())).await;
    let node = fake.connect("http", Duration::from_secs(2)).await.unwrap();
    let answer = node.call::<_, U64>("eth_blockNumber", ()).await;
    assert!(
        matches!(answer, Err(RpcError::RateLimited { .. })),
        "{answer:?}"
    );
    let calls = fake.asked().len();
    // A busy machine may come to one alone.
    assert!((1..=4).contains(&calls), "{calls} calls in two seconds");
}

#[tokio::test]
async fn a_retry_after_beside_status_200_is_kept() {
    let fake = Fake::start(|call| {
        let refused = error(call, -32_005, "rate limited");
        Reply::Status(200, Some("40"), refused.to_string())
    })
    .await;
    let connect = || fake.connect("http", Duration::from_secs(2));
    let (_, logs) = read(&connect().await.unwrap(), None).await;
    let (_, batch) = read(&connect().await.unwrap(), Some(9)).await;
    let node = connect().await.unwrap();
    let called = node.call::<_, U64>("eth_blockNumber", ()).await;
    for error in [logs.unwrap_err(), batch.unwrap_err(), called.unwrap_err()] {
        let is_kept = matches!(&error, RpcError::RateLimited { retry_after: Some(wait), .. }
            if *wait > Duration::from_secs(30));
        assert!(is_kept, "{error:?}");
    }
    assert_eq!(fake.asked().len(), 3);
}

#[tokio::test]
async fn a_wait_in_the_errors_data_holds_for_every_call_on_the_node() {
    // Case a04, for the first call.
    let refused = Reply::Status(
        429,
        None,
        json!({"jsonrpc": "2.0", "id": 1, "error": {
            "code": -32005,
            "message": "You've exceeded the RPS limit available on the current plan. Learn more at https://docs.chainstack.com/docs/rps-plan-limits",
            "data": {"try_again_in": "560.270157ms"},
        }})
        .to_string(),
    );
    let fake = Fake::start(move |call| match call["method"] == "eth_getLogs" {
        true => refused.clone(),
        false => Reply::Json(result(call, json!("0x1"))),
    })
    .await;
    let node = fake.http().await;
    let (_, answer) = read(&node, None).await;
    assert!(
        matches!(answer, Err(RpcError::RateLimited { .. })),
        "{answer:?}"
    );
    let refused_at = Instant::now();
    let _number: U64 = node.call("eth_blockNumber", ()).await.unwrap();
    assert!(refused_at.elapsed() > Duration::from_millis(500));
    assert_eq!(fake.asked().len(), 2);
}

#[tokio::test]
async fn a_large_batch_that_is_refused_is_sent_again_in_smaller_ones() {
    let answer = |call: &Value| result(call, json!("0x1"));
    let fake = Fake::start(move |call| match call {
        Value::Array(calls) if calls.len() > 100 => {
            Reply::Json(error(call, -32600, "batch too large, the limit is 100"))
        }
        Value::Array(calls) => Reply::Json(calls.iter().map(answer).collect()),
        call => Reply::Json(answer(call)),
    })
    .await;
    let node = fake.http().await;
    let calls = (0..250).map(|id| (id, json!([]))).collect();
    let answers: Answers<U64> = many(&node, "eth_call", calls, 250).await.unwrap();
    assert_eq!(answers.len(), 250);
    assert!(answers.values().all(Result::is_ok));
    assert_eq!(fake.asked().len(), 6, "one of 250, and five of 50");
}

#[tokio::test]
async fn a_key_that_the_provider_repeats_is_never_shown() {
    let refused = |call: &Value| match call {
        Value::Array(_) => Reply::Json(error(call, -32000, "0123456789abcdef may not batch")),
        call => Reply::Status(
            403,
            None,
            error(call, -32052, "key 0123456789abcdef is not allowed").to_string(),
        ),
    };
    let fake = Fake::start(refused).await;
    let mut url = fake.url("http");
    url.set_query(Some("apikey=0123456789abcdef"));
    let node = Node::connect(&url, CHAIN, Duration::from_secs(2))
        .await
        .unwrap();
    let (_, logs) = read(&node, Some(9)).await;
    let called = node.call::<_, U64>("eth_blockNumber", ()).await;
    let headers = headers_at(&node, &[1, 2]).await;
    for error in [logs.unwrap_err(), called.unwrap_err(), headers.unwrap_err()] {
        let sentence = format!("{error} {error:?}");
        assert!(!sentence.contains("0123456789abcdef"), "{sentence}");
        assert!(sentence.contains("key …"), "{sentence}");
    }
}

#[tokio::test]
async fn a_call_that_is_refused_without_a_reason_is_made_again_later() {
    let times = std::sync::atomic::AtomicU32::new(0);
    let fake = Fake::start(move |call| {
        let before = times.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Reply::Json(match before < 3 && call["method"] == "eth_blockNumber" {
            true => error(call, -1, "computer says no"),
            false => result(call, json!("0x1")),
        })
    })
    .await;
    let node = fake.http().await;
    let _number: U64 = node.call("eth_blockNumber", ()).await.unwrap();
    assert_eq!(fake.asked().len(), 4);
}

#[tokio::test]
async fn a_call_that_the_node_does_not_know_and_a_view_that_fails_are_made_once() {
    let fake = Fake::start(|call| {
        let is_view = call["method"] == "eth_call";
        Reply::Json(match is_view {
            true => error(call, -1, "computer says no"),
            false => error(call, -32_601, "no such method"),
        })
    })
    .await;
    let node = fake.http().await;
    for method in ["eth_call", "eth_blockNumber"] {
        let answer = node.call::<_, U64>(method, ()).await;
        assert!(matches!(answer, Err(RpcError::Other { .. })), "{answer:?}");
    }
    assert_eq!(fake.asked().len(), 2);
}
