//! A node on this machine whose every answer a test chooses.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};
use url::Url;

use crate::chain::node::{Node, RpcError};

/// The chain of every fake node.
pub(crate) const CHAIN: u64 = 31_337;

/// What becomes of a call or a batch.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// This, as it stands.
    Json(Value),
    /// Over HTTP: status, `Retry-After` and body.
    Status(u16, Option<&'static str>, String),
    /// Over a websocket: a frame of bytes.
    Binary(Value),
    /// Over a websocket: it is closed with this code and reason.
    Close(u16, &'static str),
    /// No answer at all.
    Never,
}

type Script = dyn Fn(&Value) -> Reply + Send + Sync;

struct Shared {
    script: Box<Script>,
    asked: Mutex<Vec<Value>>,
}

/// The node. `eth_chainId` is answered unless the script is about it.
pub(crate) struct Fake {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Fake {
    pub(crate) async fn start(script: impl Fn(&Value) -> Reply + Send + Sync + 'static) -> Self {
        let shared = Arc::new(Shared {
            script: Box::new(script),
            asked: Mutex::default(),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new()
            .route("/", get(upgrade).post(post))
            .route("/refused", get(|| async { StatusCode::FORBIDDEN }))
            .with_state(Arc::clone(&shared));
        // It ends with the test's runtime.
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, shared }
    }

    pub(crate) async fn http(&self) -> Node {
        self.connect("http", Duration::from_secs(60)).await.unwrap()
    }

    pub(crate) async fn websocket(&self) -> Node {
        self.connect("ws", Duration::from_secs(60)).await.unwrap()
    }

    pub(crate) async fn connect(&self, scheme: &str, patience: Duration) -> Result<Node, RpcError> {
        Node::connect(&self.url(scheme), CHAIN, patience).await
    }

    pub(crate) fn url(&self, scheme: &str) -> Url {
        format!("{scheme}://{}/", self.address).parse().unwrap()
    }

    /// The calls and batches so far, without `eth_chainId`.
    pub(crate) fn asked(&self) -> Vec<Value> {
        self.shared.asked.lock().unwrap().clone()
    }
}

impl Shared {
    fn reply(&self, request: &Value) -> Reply {
        if request["method"] == "eth_chainId" {
            return Reply::Json(result(request, json!(format!("{CHAIN:#x}"))));
        }
        self.asked.lock().unwrap().push(request.clone());
        (self.script)(request)
    }
}

/// An answer with this result.
pub(crate) fn result(call: &Value, result: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": call["id"], "result": result})
}

/// An answer with this error.
pub(crate) fn error(call: &Value, code: i64, message: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": call["id"], "error": {"code": code, "message": message}})
}

/// The header that every fake node has for a block.
pub(crate) fn header(number: u64) -> Value {
    json!({
        "number": format!("{number:#x}"), "timestamp": format!("{:#x}", number + 1),
        "hash": format!("0x{number:064x}"), "parentHash": format!("0x{:064x}", number.saturating_sub(1)),
    })
}

/// The number that a call for a header names.
pub(crate) fn number(call: &Value) -> u64 {
    let text = call["params"][0].as_str().unwrap();
    u64::from_str_radix(text.strip_prefix("0x").unwrap(), 16).unwrap()
}

async fn post(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    let request = serde_json::from_slice(&body).unwrap();
    match shared.reply(&request) {
        Reply::Json(value) => axum::Json(value).into_response(),
        Reply::Status(status, retry_after, body) => {
            let wait = retry_after.map(|wait| [("retry-after", wait)]);
            let status = StatusCode::from_u16(status).unwrap();
            match wait {
                Some(wait) => (status, wait, body).into_response(),
                None => (status, body).into_response(),
            }
        }
        Reply::Never => std::future::pending().await,
        other => panic!("not over HTTP: {other:?}"),
    }
}

async fn upgrade(State(shared): State<Arc<Shared>>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(move |socket| serve(shared, socket))
}

async fn serve(shared: Arc<Shared>, mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        let Message::Text(text) = message else {
            continue;
        };
        let request = serde_json::from_str(&text).unwrap();
        let message = match shared.reply(&request) {
            Reply::Json(value) => Message::Text(value.to_string().into()),
            Reply::Binary(value) => Message::Binary(value.to_string().into()),
            Reply::Close(code, reason) => Message::Close(Some(CloseFrame {
                code,
                reason: reason.into(),
            })),
            Reply::Never => continue,
            other => panic!("not over a websocket: {other:?}"),
        };
        if socket.send(message).await.is_err() {
            return;
        }
    }
}
