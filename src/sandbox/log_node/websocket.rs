//! The same answers by websocket, and new heads for whoever subscribes.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::Node;

/// Blocks that are pushed one by one when the head moves; a longer jump is pushed as its last block alone.
const MOST_PUSHED: u64 = 64;
/// The id of a connection's subscription.
const SUBSCRIPTION: &str = "0x1";

pub(super) async fn open(State(node): State<Arc<Node>>, upgrade: WebSocketUpgrade) -> Response {
    upgrade
        .max_message_size(1 << 30)
        .on_upgrade(|socket| serve(node, socket))
}

async fn serve(node: Arc<Node>, socket: WebSocket) {
    let (mut sink, mut stream) = socket.split();
    let (answers, mut ready) = mpsc::unbounded_channel::<String>();
    let mut heads = node.head.subscribe();
    let mut pushed = None;
    loop {
        tokio::select! {
            message = stream.next() => match message {
                Some(Ok(Message::Text(text))) => {
                    let Ok(call) = serde_json::from_str::<Value>(&text) else { return };
                    if call["method"] == "eth_subscribe" {
                        pushed = Some(*heads.borrow_and_update());
                    }
                    let (node, answers) = (Arc::clone(&node), answers.clone());
                    tokio::spawn(async move {
                        let answer = answer(&node, &call).await;
                        // The connection may be gone.
                        let _ = answers.send(answer);
                    });
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {}
            },
            Some(answer) = ready.recv() => {
                if sink.send(Message::Text(answer.into())).await.is_err() {
                    return;
                }
            }
            Ok(()) = heads.changed(), if pushed.is_some() => {
                let head = *heads.borrow_and_update();
                let first = pushed.map_or(head, |last| last + 1).max(head.saturating_sub(MOST_PUSHED));
                pushed = Some(head);
                for block in first..=head {
                    let message = json!({
                        "jsonrpc": "2.0", "method": "eth_subscription",
                        "params": {"subscription": SUBSCRIPTION, "result": node.header(block)},
                    });
                    if sink.send(Message::Text(message.to_string().into())).await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

async fn answer(node: &Node, call: &Value) -> String {
    super::wait_until(Instant::now() + node.options.latency).await;
    match call["method"].as_str().unwrap_or_default() {
        "eth_subscribe" => {
            node.calls.fetch_add(1, Ordering::Relaxed);
            json!({"jsonrpc": "2.0", "id": call["id"], "result": SUBSCRIPTION}).to_string()
        }
        "eth_getLogs" => {
            let body = node.logs(call).into_body();
            let body = axum::body::to_bytes(body, usize::MAX).await;
            String::from_utf8_lossy(&body.unwrap_or_default()).into_owned()
        }
        _ => node.small(call).to_string(),
    }
}
