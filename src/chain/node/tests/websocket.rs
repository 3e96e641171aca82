//! Websockets: how they end, and frames of another type.

use std::time::Duration;

use alloy::primitives::U64;
use serde_json::json;

use super::fake::{CHAIN, Fake, Reply, result};
use super::logs::read;
use crate::chain::node::{Node, RpcError};

#[tokio::test]
async fn a_websocket_closed_on_a_large_answer_means_too_many_results() {
    for (code, reason) in [
        (1009, "message too big"),
        (1000, "Message too long: 99999 > 65536"),
    ] {
        let fake = Fake::start(move |_| Reply::Close(code, reason)).await;
        let node = fake.websocket().await;
        let (_, answer) = read(&node, Some(9)).await;
        let error = answer.unwrap_err();
        assert!(
            matches!(error, RpcError::TooManyResults { .. }),
            "{error:?}"
        );
        assert!(
            error
                .to_string()
                .contains("closed the websocket because of a too large answer"),
            "{error}"
        );
        // The connection is gone: what is asked on it later says nothing about its own size.
        let asked = fake.asked().len();
        let (_, later) = read(&node, Some(9)).await;
        let error = later.unwrap_err();
        assert!(matches!(error, RpcError::Unavailable { .. }), "{error:?}");
        assert!(error.to_string().contains("too large answer"), "{error}");
        assert_eq!(fake.asked().len(), asked);
    }
}

#[tokio::test]
async fn a_closed_websocket_says_why() {
    let fake = Fake::start(|_| Reply::Close(1008, "Plan limit of 1 connection")).await;
    let node = fake.websocket().await;
    for _ in 0..2 {
        let answer = node.call::<_, U64>("eth_blockNumber", ()).await;
        let error = answer.unwrap_err();
        assert!(matches!(error, RpcError::Unavailable { .. }), "{error:?}");
        assert!(
            error
                .to_string()
                .contains("plan limit of 1 connection (1008)"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn an_answer_in_a_binary_frame_is_an_answer() {
    let fake = Fake::start(|call| Reply::Binary(result(call, json!("0x10")))).await;
    let node = fake.websocket().await;
    let number: U64 = node.call("eth_blockNumber", ()).await.unwrap();
    assert_eq!(number.to::<u64>(), 16);
}

#[tokio::test]
async fn a_websocket_that_is_refused_says_to_check_the_key() {
    let fake = Fake::start(|_| Reply::Never).await;
    let url = fake.url("ws").join("refused?key=secret").unwrap();
    let error = Node::connect(&url, CHAIN, Duration::from_secs(2))
        .await
        .unwrap_err();
    let sentence = error.to_string();
    assert!(sentence.contains("check the URL's API key"), "{sentence}");
    assert!(!sentence.contains("secret"), "{sentence}");
}
