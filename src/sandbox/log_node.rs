//! A node that serves the logs of a made-up chain as fast as it can, with the limits and faults of real providers: for
//! benchmarks and for tests of the backfill.

mod call;
mod limits;
mod options;
mod rendered;
mod story;
mod websocket;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use alloy::primitives::{Address, B256, b256};
use anyhow::Context;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use call::{list, number};
pub use limits::{WORDINGS, Wording};
pub use options::{Fault, LogNodeOptions};
pub use rendered::{RenderedChain, Wanted};
pub use story::{
    INTERVAL, MadeLog, PLANS, PROCESSOR, Story, StorySpec, block_hash, block_of_hash, block_time,
    module,
};

/// The running node; stops when it is dropped.
#[derive(Debug)]
pub struct LogNode {
    address: SocketAddr,
    node: Arc<Node>,
    stop: CancellationToken,
}

#[derive(Debug)]
struct Node {
    chain: Arc<RenderedChain>,
    options: LogNodeOptions,
    /// The newest block.
    head: watch::Sender<u64>,
    rate: limits::Rate,
    requests: AtomicU64,
    calls: AtomicU64,
    served: AtomicU64,
    hung: AtomicU64,
    /// The calls that got logs of a range of blocks, as they came.
    answered: Mutex<Vec<Value>>,
}

impl LogNode {
    /// Starts it on a free port of this machine.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start(chain: Arc<RenderedChain>, options: LogNodeOptions) -> anyhow::Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .context("binding the log node's port")?;
        let address = listener
            .local_addr()
            .context("reading the log node's port")?;
        let node = Arc::new(Node {
            head: watch::Sender::new(options.head.unwrap_or(chain.last_block())),
            rate: limits::Rate::new(options.requests_per_second),
            chain,
            options,
            requests: AtomicU64::new(0),
            calls: AtomicU64::new(0),
            served: AtomicU64::new(0),
            hung: AtomicU64::new(0),
            answered: Mutex::default(),
        });
        let router = Router::new()
            .route("/", post(answer).get(websocket::open))
            .route("/answered", get(answered))
            .with_state(node.clone());
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router)
                .with_graceful_shutdown(stopped)
                .await
            {
                tracing::warn!(%error, "the log node stopped");
            }
        });
        Ok(Self {
            address,
            node,
            stop,
        })
    }

    /// Where it listens.
    pub fn url(&self) -> url::Url {
        format!("http://{}/", self.address)
            .parse()
            .expect("a socket address makes a valid URL")
    }

    /// Where it answers by websocket, and pushes heads.
    pub fn ws_url(&self) -> url::Url {
        format!("ws://{}/", self.address)
            .parse()
            .expect("a socket address makes a valid URL")
    }

    /// HTTP requests so far; a batch is one.
    pub fn requests(&self) -> u64 {
        self.node.requests.load(Ordering::Relaxed)
    }

    /// JSON-RPC calls so far, each of a batch counted.
    pub fn calls(&self) -> u64 {
        self.node.calls.load(Ordering::Relaxed)
    }

    /// Calls that were never answered, so far.
    pub fn hung(&self) -> u64 {
        self.node.hung.load(Ordering::Relaxed)
    }

    /// The newest block is this one from now on; who subscribed is told. Blocks above it do not exist yet.
    pub fn set_head(&self, block: u64) {
        self.node.head.send_replace(block);
    }
}

impl Drop for LogNode {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// What was asked and answered so far, so that another client can ask for the very same.
async fn answered(State(node): State<Arc<Node>>) -> Response {
    let calls = node
        .answered
        .lock()
        .expect("never poisoned: no panic while held");
    json_response(StatusCode::OK, &json!(*calls))
}

async fn answer(State(node): State<Arc<Node>>, body: Bytes) -> Response {
    node.requests.fetch_add(1, Ordering::Relaxed);
    if node.rate.is_exceeded() {
        return limits::too_often();
    }
    let most = node.options.hangs_above;
    if most.is_some_and(|most| call::asks_for_more_than(&body, most)) {
        node.hung.fetch_add(1, Ordering::Relaxed);
        return std::future::pending().await;
    }
    // Whoever asks waits for the latency, which the work here is a part of.
    let due = Instant::now() + node.options.latency;
    let response = respond(&node, &body);
    wait_until(due).await;
    response
}

/// Returns at this time, to a fraction of a millisecond: the runtime's own timer rounds up to the next whole one, which would
/// make a latency of 20 ms one of 21.
async fn wait_until(due: Instant) {
    let Some(left) = due.checked_duration_since(Instant::now()) else {
        return;
    };
    let slept = tokio::task::spawn_blocking(move || std::thread::sleep(left)).await;
    slept.expect("sleeping does not panic");
}

fn respond(node: &Node, body: &[u8]) -> Response {
    match serde_json::from_slice::<Value>(body) {
        Ok(Value::Array(calls)) if calls[0]["method"] == "eth_getLogs" => {
            let others: Vec<String> = calls[1..]
                .iter()
                .map(|call| node.small(call).to_string())
                .collect();
            in_batch(node.logs(&calls[0]), &others)
        }
        Ok(Value::Array(calls)) => {
            let answers: Vec<Value> = calls.iter().map(|call| node.small(call)).collect();
            json_response(StatusCode::OK, &Value::Array(answers))
        }
        Ok(call) if call["method"] == "eth_getLogs" => node.logs(&call),
        Ok(call) => json_response(StatusCode::OK, &node.small(&call)),
        Err(_) => StatusCode::BAD_REQUEST.into_response(),
    }
}

impl Node {
    fn head(&self) -> u64 {
        *self.head.borrow()
    }

    fn logs(&self, call: &Value) -> Response {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let id = &call["id"];
        let turn = self.served.fetch_add(1, Ordering::Relaxed) + 1;
        let fault = self
            .options
            .fault
            .filter(|(every, _)| turn.is_multiple_of(*every));
        match fault.map(|(_, fault)| fault) {
            Some(Fault::RateLimit) => {
                return (
                    StatusCode::TOO_MANY_REQUESTS,
                    [(header::RETRY_AFTER, "0.05")],
                )
                    .into_response();
            }
            Some(Fault::Unavailable) => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
            Some(Fault::Null) => {
                return json_response(
                    StatusCode::OK,
                    &json!({"jsonrpc": "2.0", "id": id, "result": null}),
                );
            }
            Some(Fault::Timeout | Fault::Truncated | Fault::Duplicates) | None => {}
        }
        let filter = &call["params"][0];
        let by_hash = serde_json::from_value(filter["blockHash"].clone())
            .ok()
            .and_then(block_of_hash);
        let first = by_hash.or_else(|| number(&filter["fromBlock"]));
        let last = by_hash.or_else(|| number(&filter["toBlock"]));
        let (Some(from), Some(to)) = (first, last) else {
            let error = json!({"code": -32602, "message": "the log node needs a block's hash, or fromBlock and toBlock as numbers"});
            return error_response(StatusCode::OK, id, &error);
        };
        if to > self.head() || from > to {
            let error =
                json!({"code": -32602, "message": "block range extends beyond current head block"});
            return error_response(StatusCode::OK, id, &error);
        }
        // No node takes too long over one block: a reader that halves its ranges is answered at last, whatever its turns.
        if matches!(fault, Some((_, Fault::Timeout))) && to > from {
            let error = json!({"code": -32000, "message": "Query timeout exceeded. Consider reducing your block range."});
            return error_response(StatusCode::OK, id, &error);
        }
        let options = &self.options;
        if let Some(max) = options.max_blocks.filter(|max| to - from + 1 > *max) {
            let (status, error) = limits::too_wide(options.wording, from, to - from + 1, max);
            return error_response(status, id, &error);
        }
        let wanted = Wanted {
            addresses: list::<Address>(&filter["address"]),
            topics: [
                list::<B256>(&filter["topics"][0]),
                list::<B256>(&filter["topics"][1]),
            ],
        };
        let most = options.max_results.unwrap_or(usize::MAX);
        match self.chain.matching(from, to, &wanted, most) {
            Ok(pieces) => {
                if by_hash.is_none() {
                    let mut answered = self
                        .answered
                        .lock()
                        .expect("never poisoned: no panic while held");
                    answered.push(call.clone());
                }
                body_of(pieces, id, fault.map(|(_, fault)| fault))
            }
            Err((_, fitting)) => {
                let (status, error) = limits::too_many(options.wording, from, fitting, most);
                error_response(status, id, &error)
            }
        }
    }

    /// Everything that is not about logs.
    fn small(&self, call: &Value) -> Value {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let head = self.head();
        let result = match call["method"].as_str().unwrap_or_default() {
            "eth_chainId" => json!(format!("{:#x}", self.options.chain_id)),
            "eth_blockNumber" => json!(format!("{head:#x}")),
            "eth_syncing" => json!(false),
            "eth_getBlockByNumber" => match call["params"][0].as_str() {
                Some("latest" | "safe" | "finalized") => self.header(head),
                Some("earliest") => self.header(0),
                _ => number(&call["params"][0]).map_or(Value::Null, |block| self.header(block)),
            },
            "eth_getBlockByHash" => serde_json::from_value(call["params"][0].clone())
                .ok()
                .and_then(block_of_hash)
                .map_or(Value::Null, |block| self.header(block)),
            // Every module of this node has the same processor; there is no other view.
            "eth_call" => json!(PROCESSOR.into_word()),
            "eth_getCode" => json!("0x00"),
            method => {
                let message = format!("the method {method} does not exist/is not available");
                return json!({"jsonrpc": "2.0", "id": call["id"], "error": {"code": -32601, "message": message}});
            }
        };
        json!({"jsonrpc": "2.0", "id": call["id"], "result": result})
    }

    /// A header with what readers of headers look at; null above the head. The bloom says only whether there are logs.
    fn header(&self, block: u64) -> Value {
        if block > self.head() {
            return Value::Null;
        }
        let zero = B256::ZERO;
        let (bit, transactions) = match self.options.full_blooms || self.chain.has_logs(block) {
            true => ("f", block_hash(block)),
            false => ("0", NO_TRANSACTIONS),
        };
        json!({
            "number": format!("{block:#x}"),
            "hash": block_hash(block),
            "parentHash": block_hash(block.saturating_sub(1)),
            "timestamp": format!("{:#x}", block_time(block)),
            "logsBloom": format!("0x{}", bit.repeat(512)),
            "transactionsRoot": transactions,
            "nonce": "0x0000000000000000",
            "sha3Uncles": zero, "stateRoot": zero, "receiptsRoot": zero, "mixHash": zero,
            "miner": Address::ZERO, "difficulty": "0x0", "extraData": "0x", "size": "0x220",
            "gasLimit": "0x1c9c380", "gasUsed": "0x0", "baseFeePerGas": "0x1",
            "transactions": [], "uncles": [],
        })
    }
}

/// The root of an empty list of transactions.
const NO_TRANSACTIONS: B256 =
    b256!("0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421");

fn json_response(status: StatusCode, value: &Value) -> Response {
    (
        status,
        [(header::CONTENT_TYPE, "application/json")],
        value.to_string(),
    )
        .into_response()
}

fn error_response(status: StatusCode, id: &Value, error: &Value) -> Response {
    json_response(status, &json!({"jsonrpc": "2.0", "id": id, "error": error}))
}

fn body_of(pieces: Vec<Bytes>, id: &Value, fault: Option<Fault>) -> Response {
    let head = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":["#);
    let mut parts = vec![Bytes::from(head)];
    if fault == Some(Fault::Duplicates) && !pieces.is_empty() {
        parts.extend(pieces.clone());
        parts.push(Bytes::from_static(b","));
    }
    parts.extend(pieces);
    if fault == Some(Fault::Truncated) {
        let last = parts.pop().unwrap_or_default();
        parts.push(last.slice(..last.len() / 2));
        return streamed(parts);
    }
    parts.push(Bytes::from_static(b"]}\n"));
    streamed(parts)
}

/// A batch's answers: the logs as they are streamed, and then the others'. A refusal by status is one of the whole batch.
fn in_batch(logs: Response, others: &[String]) -> Response {
    let (mut head, body) = logs.into_parts();
    if !head.status.is_success() {
        return Response::from_parts(head, body);
    }
    head.headers.remove(header::CONTENT_LENGTH);
    let others = format!(",{}]", others.join(","));
    let edge = |text: String| stream::iter([Ok(Bytes::from(text))]);
    let parts = edge("[".to_owned())
        .chain(body.into_data_stream())
        .chain(edge(others));
    Response::from_parts(head, Body::from_stream(parts))
}

/// Writes the parts without copying them together.
fn streamed(parts: Vec<Bytes>) -> Response {
    let length: usize = parts.iter().map(Bytes::len).sum();
    let body = Body::from_stream(stream::iter(parts.into_iter().map(Ok::<_, Infallible>)));
    (
        [
            (header::CONTENT_TYPE, "application/json".to_owned()),
            (header::CONTENT_LENGTH, length.to_string()),
        ],
        body,
    )
        .into_response()
}
