//! Logs with the header of their range's end.

use std::ops::ControlFlow;
use std::sync::Arc;

use alloy::primitives::{Address, B256};
use serde_json::{Value, json};

use super::fake::{Fake, Reply, error, header, result};
use crate::chain::filter::{Blocks, FilterPart, LogQuery};
use crate::chain::logs::Log;
use crate::chain::node::{LogsAnswer, Node, RpcError};

const END: u64 = 9;

pub(super) fn query() -> LogQuery {
    LogQuery {
        blocks: Blocks::Range(1, END),
        part: Arc::new(FilterPart {
            addresses: vec![Address::repeat_byte(7)],
            ..FilterPart::default()
        }),
    }
}

pub(super) fn log(index: u64) -> Value {
    json!({
        "address": Address::repeat_byte(7), "topics": [], "data": "0x", "blockNumber": "0x3",
        "blockHash": B256::repeat_byte(3), "transactionHash": B256::repeat_byte(4), "logIndex": format!("{index:#x}"),
    })
}

/// What a healthy node answers to one call.
fn healthy(call: &Value) -> Value {
    match call["method"].as_str().unwrap() {
        "eth_getLogs" => result(call, json!([log(0), log(1)])),
        _ => result(call, header(END)),
    }
}

fn each(request: &Value, answer: impl Fn(&Value) -> Value) -> Reply {
    Reply::Json(match request {
        Value::Array(calls) => calls.iter().map(answer).collect(),
        call => answer(call),
    })
}

/// How many logs came, and the answer.
pub(super) async fn read(node: &Node, end: Option<u64>) -> (usize, Result<LogsAnswer, RpcError>) {
    let mut count = 0;
    let mut take = |_: &Log<'_>| {
        count += 1;
        ControlFlow::Continue(())
    };
    let answer = node.logs(&query(), end, &mut take).await;
    (count, answer)
}

async fn assert_whole(node: &Node) {
    let (count, answer) = read(node, Some(END)).await;
    let answer = answer.unwrap();
    assert_eq!(count, 2);
    assert_eq!(answer.end.unwrap().number, END);
    assert!(answer.bytes > 100);
}

#[tokio::test]
async fn logs_and_the_header_of_their_end_come_from_one_connection() {
    let fake = Fake::start(|request| each(request, healthy)).await;
    assert_whole(&fake.http().await).await;
    assert_eq!(fake.asked().len(), 1, "one batch");
    assert_whole(&fake.websocket().await).await;
    for node in [fake.http().await, fake.websocket().await] {
        let (count, answer) = read(&node, None).await;
        assert_eq!((count, answer.unwrap().end), (2, None));
    }
}

#[tokio::test]
async fn a_batch_may_be_answered_in_any_order_and_with_the_ids_behind() {
    for ids_first in [true, false] {
        let fake = Fake::start(move |request| {
            let answer = |call: &Value| {
                let answer = healthy(call);
                let (id, result) = (&answer["id"], &answer["result"]);
                match ids_first {
                    true => format!(r#"{{"id":"{id}","error":null,"result":{result}}}"#),
                    false => format!(r#"{{"result":{result},"id":{id}}}"#),
                }
            };
            let mut answers: Vec<String> = request.as_array().unwrap().iter().map(answer).collect();
            answers.reverse();
            Reply::Status(200, None, format!(" [ {} ] \n", answers.join(" , ")))
        })
        .await;
        assert_whole(&fake.http().await).await;
    }
}

#[tokio::test]
async fn a_block_that_the_node_lacks_is_none_and_so_is_a_reading_broken_off() {
    let fake = Fake::start(|request| {
        each(request, |call| match call["method"] == "eth_getLogs" {
            true => healthy(call),
            false => result(call, Value::Null),
        })
    })
    .await;
    for node in [fake.http().await, fake.websocket().await] {
        let (count, answer) = read(&node, Some(END)).await;
        assert_eq!((count, answer.unwrap().end), (2, None));
    }
    let fake = Fake::start(|request| each(request, healthy)).await;
    for node in [fake.http().await, fake.websocket().await] {
        let mut stop = |_: &Log<'_>| ControlFlow::Break(());
        let answer = node.logs(&query(), Some(END), &mut stop).await.unwrap();
        assert_eq!(answer.end, None);
    }
}

#[tokio::test]
async fn a_batch_that_is_refused_is_asked_by_two_calls_from_then_on() {
    let refusals = [
        Reply::Json(
            json!({"jsonrpc": "2.0", "id": 1, "error": {"code": -32600, "message": "batch too large"}}),
        ),
        Reply::Json(json!({"jsonrpc": "2.0", "id": null, "error": {"code": 7, "message": "no"}})),
        Reply::Status(400, None, "Bad Request".to_owned()),
        Reply::Status(403, None, "<html>not on this plan</html>".to_owned()),
    ];
    for refusal in refusals {
        let said = refusal.clone();
        let fake = Fake::start(move |request| match request {
            Value::Array(_) => said.clone(),
            call => Reply::Json(healthy(call)),
        })
        .await;
        let node = fake.http().await;
        for _ in 0..2 {
            assert_whole(&node).await;
        }
        let batches = fake.asked().iter().filter(|asked| asked.is_array()).count();
        assert_eq!(batches, 1, "{refusal:?}");
    }
}

#[tokio::test]
async fn a_rate_limit_of_a_whole_batch_is_no_refusal_of_batches() {
    let fake = Fake::start(|_| {
        Reply::Json(json!({"error": {"code": -32005, "message": "rate limited"}, "id": null}))
    })
    .await;
    let node = fake.http().await;
    let (_, answer) = read(&node, Some(END)).await;
    assert!(
        matches!(answer, Err(RpcError::RateLimited { .. })),
        "{answer:?}"
    );
    assert_eq!(fake.asked().len(), 1);
}

#[tokio::test]
async fn half_a_batch_or_a_contradiction_is_an_error_of_the_whole() {
    let halves: [fn(&[Value]) -> Value; 7] = [
        |calls| json!([healthy(&calls[0])]),
        |calls| json!([healthy(&calls[1])]),
        |calls| json!([result(&calls[0], Value::Null), healthy(&calls[1])]),
        |calls| json!([healthy(&calls[0]), healthy(&calls[0])]),
        |calls| json!([healthy(&calls[0]), result(&calls[1], header(END - 1))]),
        |calls| {
            json!([
                healthy(&calls[0]),
                error(&calls[1], -32000, "header not found")
            ])
        },
        |calls| {
            json!([
                error(&calls[0], -32005, "query timeout exceeded"),
                healthy(&calls[1])
            ])
        },
    ];
    for half in halves {
        let fake = Fake::start(move |request| Reply::Json(half(request.as_array().unwrap()))).await;
        let node = fake.http().await;
        let (_, answer) = read(&node, Some(END)).await;
        assert!(
            matches!(
                answer,
                Err(RpcError::Unavailable { .. } | RpcError::Timeout { .. })
            ),
            "{:?}: {answer:?}",
            fake.asked()
        );
    }
}
