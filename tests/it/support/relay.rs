//! A local relay of WalletConnect: passes encrypted messages between those who subscribe to a topic.
//!
//! Speaks as much of the relay's JSON-RPC as `@walletconnect/core` 2.21.8 asks for; anything else is an error, which the
//! test sees.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::response::Response;
use axum::routing::get;
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;

/// The one project that the relay knows.
pub(crate) const PROJECT: &str = "0123456789abcdef0123456789abcdef";

/// Closing code and words of the relay for a project that it does not know.
const UNAUTHORIZED: (u16, &str) = (3000, "Project not found");

#[derive(Default)]
struct Topics {
    /// Who listens to a topic: the connection's number, and where to send.
    listeners: HashMap<String, Vec<(usize, mpsc::UnboundedSender<Value>)>>,
    /// What was published, with the connection's number, for those who subscribe later.
    kept: HashMap<String, Vec<(usize, Value)>>,
    connections: usize,
    /// Everything that passed.
    passed: Vec<String>,
    /// Requests that the relay does not know.
    unknown: Vec<String>,
}

type Shared = Arc<Mutex<Topics>>;

/// A running relay; it stops when dropped.
pub(crate) struct Relay {
    address: SocketAddr,
    topics: Shared,
    _stop: DropGuard,
}

impl Relay {
    pub(crate) async fn start() -> Self {
        Self::at(Duration::ZERO).await
    }

    /// A relay whose every frame comes that much later.
    pub(crate) async fn at(distance: Duration) -> Self {
        let topics = Shared::default();
        let app = Router::new()
            .route("/", get(connect))
            .with_state((Arc::clone(&topics), distance));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        tokio::spawn(async move {
            tokio::select! {
                () = stopped => {}
                served = axum::serve(listener, app) => served.unwrap(),
            }
        });
        Self {
            address,
            topics,
            _stop: stop.drop_guard(),
        }
    }

    pub(crate) fn url(&self) -> Url {
        Url::parse(&format!("ws://{}", self.address)).unwrap()
    }

    /// Every message that passed, as the relay sees it.
    pub(crate) fn passed(&self) -> Vec<String> {
        let topics = self.topics.lock().unwrap();
        assert_eq!(topics.unknown, Vec::<String>::new(), "unknown requests");
        topics.passed.clone()
    }
}

async fn connect(
    State((topics, distance)): State<(Shared, Duration)>,
    Query(query): Query<HashMap<String, String>>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let known = query.get("projectId").is_some_and(|id| id == PROJECT);
    upgrade.on_upgrade(move |socket| async move {
        if known {
            serve(socket, topics, distance).await;
        } else {
            refuse(socket).await;
        }
    })
}

async fn refuse(mut socket: WebSocket) {
    let (code, reason) = UNAUTHORIZED;
    let frame = CloseFrame {
        code,
        reason: reason.into(),
    };
    // The visitor may have left already.
    let _ = socket.send(Message::Close(Some(frame))).await;
}

async fn serve(mut socket: WebSocket, topics: Shared, distance: Duration) {
    let (out, mut outgoing) = mpsc::unbounded_channel::<Value>();
    let me = {
        let mut topics = topics.lock().unwrap();
        topics.connections += 1;
        topics.connections
    };
    loop {
        let text = tokio::select! {
            Some(frame) = outgoing.recv() => frame.to_string(),
            message = socket.next() => {
                let Some(Ok(message)) = message else { return };
                let Message::Text(text) = message else { continue };
                let request: Value = serde_json::from_str(&text).unwrap();
                // Answers to what we sent have no method.
                let Some(method) = request["method"].as_str() else { continue };
                let result = topics.lock().unwrap().answer(me, &out, method, &request["params"]);
                match result {
                    Some(result) => json!({ "jsonrpc": "2.0", "id": request["id"], "result": result }),
                    None => json!({ "jsonrpc": "2.0", "id": request["id"],
                        "error": { "code": -32601, "message": "Method not found" } }),
                }
                .to_string()
            }
        };
        tokio::time::sleep(distance).await;
        if socket.send(Message::Text(text.into())).await.is_err() {
            return;
        }
    }
}

/// The clients know a subscription by it.
fn subscription(topic: &str) -> String {
    hex::encode(Sha256::digest(topic))
}

impl Topics {
    fn answer(
        &mut self,
        me: usize,
        out: &mpsc::UnboundedSender<Value>,
        method: &str,
        params: &Value,
    ) -> Option<Value> {
        let text = |key: &str| params[key].as_str().unwrap_or_default().to_owned();
        Some(match method {
            "irn_subscribe" => json!(self.subscribe(me, out, &text("topic"))),
            "irn_batchSubscribe" => {
                let topics = params["topics"].as_array()?;
                let each = topics.iter().filter_map(Value::as_str);
                json!(
                    each.map(|topic| self.subscribe(me, out, topic))
                        .collect::<Vec<_>>()
                )
            }
            "irn_batchFetchMessages" => json!({ "messages": [], "hasMore": false }),
            "irn_unsubscribe" | "irn_batchUnsubscribe" => json!(true),
            "irn_publish" => {
                self.publish(me, &text("topic"), &params["message"], &params["tag"]);
                json!(true)
            }
            // Publishes, and subscribes the sender to the answers.
            "wc_proposeSession" => {
                self.subscribe(me, out, &text("pairingTopic"));
                self.publish(
                    me,
                    &text("pairingTopic"),
                    &params["sessionProposal"],
                    &json!(1100),
                );
                json!(true)
            }
            "wc_approveSession" => {
                self.subscribe(me, out, &text("sessionTopic"));
                self.publish(
                    me,
                    &text("pairingTopic"),
                    &params["sessionProposalResponse"],
                    &json!(1101),
                );
                self.publish(
                    me,
                    &text("sessionTopic"),
                    &params["sessionSettlementRequest"],
                    &json!(1102),
                );
                json!(true)
            }
            unknown => {
                self.unknown.push(unknown.to_owned());
                return None;
            }
        })
    }

    fn subscribe(&mut self, me: usize, out: &mpsc::UnboundedSender<Value>, topic: &str) -> String {
        let listeners = self.listeners.entry(topic.to_owned()).or_default();
        if listeners.iter().all(|(other, _)| *other != me) {
            listeners.push((me, out.clone()));
            for (from, frame) in self.kept.get(topic).into_iter().flatten() {
                if *from != me {
                    // A client that has left hears nothing.
                    let _ = out.send(frame.clone());
                }
            }
        }
        subscription(topic)
    }

    fn publish(&mut self, me: usize, topic: &str, message: &Value, tag: &Value) {
        self.passed.push(message.to_string());
        let frame = json!({
            "jsonrpc": "2.0",
            "id": self.passed.len(),
            "method": "irn_subscription",
            "params": {
                "id": subscription(topic),
                "data": { "topic": topic, "message": message, "tag": tag, "publishedAt": 0 },
            },
        });
        for (listener, out) in self.listeners.get(topic).into_iter().flatten() {
            if *listener != me {
                let _ = out.send(frame.clone());
            }
        }
        let kept = self.kept.entry(topic.to_owned()).or_default();
        kept.push((me, frame));
    }
}
