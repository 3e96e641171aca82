//! One websocket: calls are answered like those over HTTP, heads come from the chain's own subscription.

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite;

use super::Shared;
use super::answer::{Answer, answer, ask, fill_bloom, number};

/// Serves until either side closes.
pub(super) async fn serve(shared: &std::sync::Arc<Shared>, client: WebSocket) {
    let url = shared.upstream().replace("http://", "ws://");
    let Ok((upstream, _)) = tokio_tungstenite::connect_async(url).await else {
        return;
    };
    let (mut to_chain, mut from_chain) = upstream.split();
    let (mut to_client, mut from_client) = client.split();
    let (replies, mut outgoing) = mpsc::unbounded_channel::<Message>();
    loop {
        tokio::select! {
            message = from_client.next() => {
                let Some(Ok(message)) = message else { return };
                let Message::Text(text) = message else { continue };
                let request: Value = serde_json::from_str(&text).unwrap();
                if request["method"] == "eth_subscribe" {
                    shared.count("eth_subscribe");
                    if shared.faults().no_subscriptions {
                        let error = json!({"code": -32601, "message": "the method eth_subscribe does not exist/is not available"});
                        let answer = json!({"jsonrpc": "2.0", "id": request["id"], "error": error});
                        replies.send(said(&answer)).ok();
                        continue;
                    }
                    let message = tungstenite::Message::text(text.as_str());
                    if to_chain.send(message).await.is_err() { return }
                    continue;
                }
                let (shared, replies) = (shared.clone(), replies.clone());
                tokio::spawn(async move {
                    if shared.faults().deaf {
                        return;
                    }
                    let id = request["id"].clone();
                    match answer(&shared, request).await {
                        Answer::Json(value) => { replies.send(said(&value)).ok(); }
                        Answer::TooMany(body, _) => { replies.send(said(&body)).ok(); }
                        Answer::Close(code) => {
                            let frame = CloseFrame { code, reason: "".into() };
                            replies.send(Message::Close(Some(frame))).ok();
                        }
                        Answer::Status(status) => {
                            let error = json!({"code": -32603, "message": format!("HTTP {status}")});
                            replies.send(said(&json!({"jsonrpc": "2.0", "id": id, "error": error}))).ok();
                        }
                        Answer::Never => {}
                    }
                });
            }
            message = from_chain.next() => {
                let Some(Ok(tungstenite::Message::Text(text))) = message else { return };
                let mut pushed: Value = serde_json::from_str(&text).unwrap();
                if pushed["method"] == "eth_subscription" {
                    let (silent, lag) = { let faults = shared.faults(); (faults.silent || faults.deaf, faults.lag) };
                    if silent {
                        continue;
                    }
                    fill_bloom(shared, &mut pushed["params"]["result"]);
                    if lag > 0 {
                        let head = number(&pushed["params"]["result"]["number"]).unwrap();
                        let behind = format!("{:#x}", head.saturating_sub(lag));
                        pushed["params"]["result"] =
                            ask(shared, "eth_getBlockByNumber", json!([behind, false])).await;
                        shared.faults().lagged += 1;
                    }
                }
                let text = pushed.to_string();
                if to_client.send(Message::Text(text.into())).await.is_err() { return }
            }
            Some(reply) = outgoing.recv() => {
                let is_end = matches!(reply, Message::Close(_));
                if to_client.send(reply).await.is_err() || is_end { return }
            }
        }
    }
}

fn said(answer: &Value) -> Message {
    Message::Text(answer.to_string().into())
}
