//! Headers in batches.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::fake::{Fake, Reply, error, header, number, result};
use crate::chain::node::read::headers_at;

/// QuickNode's words (`a03`).
const RPS: &str = "25/second request limit reached - reduce calls per second or upgrade your account at quicknode.com";

fn single(call: &Value) -> Value {
    result(call, header(number(call)))
}

async fn assert_all(fake: &Fake, count: u64) {
    let node = fake.http().await;
    let numbers: Vec<u64> = (1..=count).collect();
    let headers = headers_at(&node, &numbers).await.unwrap();
    let mut found: Vec<u64> = headers.iter().map(|header| header.number).collect();
    found.sort_unstable();
    assert_eq!(found, numbers);
}

#[tokio::test]
async fn fifty_headers_are_read_under_a_plan_of_25_calls_a_second() {
    // Each second 25 calls are answered, as far as they go also within a batch.
    let window = Mutex::new((Instant::now(), 0_u32));
    let fake = Fake::start(move |request| {
        let mut window = window.lock().unwrap();
        if window.0.elapsed() > Duration::from_secs(1) {
            *window = (Instant::now(), 0);
        }
        let mut answer = |call: &Value| {
            window.1 += 1;
            match window.1 {
                1..=25 => single(call),
                _ => error(call, -32007, RPS),
            }
        };
        let answers = match request {
            Value::Array(calls) => calls.iter().map(answer).collect(),
            call => answer(call),
        };
        Reply::Json(answers)
    })
    .await;
    assert_all(&fake, 50).await;
    let calls: usize = fake
        .asked()
        .iter()
        .map(|batch| batch.as_array().map_or(1, Vec::len))
        .sum();
    assert!(calls <= 50 + 4 * 25, "{calls} calls for 50 headers");
}

#[tokio::test]
async fn a_batch_that_is_refused_as_a_whole_is_asked_one_by_one_and_never_again() {
    let refusals = [
        // geth's words (`h03`).
        Reply::Json(
            json!({"jsonrpc": "2.0", "id": 1, "error": {"code": -32600, "message": "batch too large"}}),
        ),
        Reply::Json(
            json!({"jsonrpc": "2.0", "id": null, "error": {"code": -32099, "message": "one at a time, please"}}),
        ),
        Reply::Json(
            json!([{"jsonrpc": "2.0", "id": null, "error": {"code": -32600, "message": "Batch size exceeds the limit of 3"}}]),
        ),
    ];
    for refusal in refusals {
        let fake = Fake::start(move |request| match request {
            Value::Array(_) => refusal.clone(),
            call => Reply::Json(single(call)),
        })
        .await;
        let node = fake.http().await;
        for _ in 0..2 {
            let headers = headers_at(&node, &[1, 2, 3]).await.unwrap();
            assert_eq!(headers.len(), 3);
        }
        let batches = fake.asked().iter().filter(|asked| asked.is_array()).count();
        assert_eq!(batches, 1);
    }
}

#[tokio::test]
async fn blocks_that_the_node_lacks_are_left_out_and_an_error_null_is_no_error() {
    let fake = Fake::start(|request| {
        let answer = |call: &Value| {
            let header = match number(call) {
                2 => Value::Null,
                number => header(number),
            };
            json!({"id": call["id"], "result": header, "error": null})
        };
        Reply::Json(
            request
                .as_array()
                .unwrap()
                .iter()
                .rev()
                .map(answer)
                .collect(),
        )
    })
    .await;
    let node = fake.http().await;
    let headers = headers_at(&node, &[1, 2, 3]).await.unwrap();
    assert_eq!(headers.len(), 2);
}

#[tokio::test]
async fn another_block_than_the_one_asked_for_is_an_error() {
    let fake = Fake::start(|request| {
        let answer = |call: &Value| result(call, header(number(call) + 1));
        Reply::Json(request.as_array().unwrap().iter().map(answer).collect())
    })
    .await;
    let node = fake.http().await;
    assert!(headers_at(&node, &[1, 2]).await.is_err());
}
