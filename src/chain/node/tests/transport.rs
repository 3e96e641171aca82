//! HTTP itself: compression and proxies.

use std::io::Write;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::U64;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::fake::{CHAIN, Fake, Reply, result};
use super::logs::{log, query};
use crate::chain::logs::Log;
use crate::chain::node::Node;

/// One answer with two logs, in two compressed pieces, each of which holds a whole log.
fn compressed() -> [Bytes; 2] {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    write!(encoder, r#"{{"jsonrpc":"2.0","id":1,"result":[{}"#, log(0)).unwrap();
    encoder.flush().unwrap();
    let first = std::mem::take(encoder.get_mut());
    write!(encoder, ",{}]}}", log(1)).unwrap();
    [first.into(), encoder.finish().unwrap().into()]
}

#[tokio::test]
async fn a_compressed_answer_is_decoded_while_it_arrives() {
    // The second piece is sent only when the first log has been handed out.
    let taken = Arc::new(Notify::new());
    let is_taken = Arc::clone(&taken);
    let answer = move |headers: HeaderMap, body: Bytes| {
        let is_taken = Arc::clone(&is_taken);
        async move {
            let call: Value = serde_json::from_slice(&body).unwrap();
            if call["method"] == "eth_chainId" {
                return axum::Json(result(&call, json!(U64::from(CHAIN)))).into_response();
            }
            if !headers["accept-encoding"]
                .to_str()
                .unwrap()
                .contains("gzip")
            {
                return StatusCode::NOT_ACCEPTABLE.into_response();
            }
            let [first, second] = compressed();
            let second = async move {
                is_taken.notified().await;
                Ok::<_, std::convert::Infallible>(second)
            };
            let pieces = stream::StreamExt::chain(stream::iter([Ok(first)]), stream::once(second));
            let body = Body::from_stream(pieces);
            Response::builder()
                .header("content-encoding", "gzip")
                .body(body)
                .unwrap()
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    tokio::spawn(
        async move { axum::serve(listener, Router::new().route("/", post(answer))).await },
    );
    let node = Node::connect(&url, CHAIN, Duration::from_secs(60))
        .await
        .unwrap();
    let mut count = 0;
    let mut take = |_: &Log<'_>| {
        count += 1;
        taken.notify_one();
        ControlFlow::Continue(())
    };
    let answer = node.logs(&query(), None, &mut take).await.unwrap();
    assert_eq!(count, 2);
    assert!(
        answer.bytes > 600,
        "{} bytes are counted after decompression",
        answer.bytes
    );
}

/// Set where the test runs as a child of itself, with a proxy in its environment.
const CHILD: &str = "AMSER_TEST_BEHIND_A_PROXY";

#[tokio::test]
async fn loopback_is_asked_directly_whatever_http_proxy_says() {
    if std::env::var_os(CHILD).is_none() {
        let name =
            "chain::node::tests::transport::loopback_is_asked_directly_whatever_http_proxy_says";
        let mut child = tokio::process::Command::new(std::env::current_exe().unwrap());
        // Nothing listens on port 1.
        for proxy in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
            child.env(proxy, "http://127.0.0.1:1");
        }
        child
            .env_remove("no_proxy")
            .env_remove("NO_PROXY")
            .env(CHILD, "1");
        let ended = child
            .args(["--exact", name, "--nocapture"])
            .status()
            .await
            .unwrap();
        assert!(ended.success());
        return;
    }
    let fake = Fake::start(|call| Reply::Json(result(call, json!("0x1")))).await;
    let port = fake.url("http").port().unwrap();
    for url in [
        fake.url("http"),
        format!("http://localhost:{port}/").parse().unwrap(),
        fake.url("ws"),
    ] {
        Node::connect(&url, CHAIN, Duration::from_secs(60))
            .await
            .unwrap();
    }
}
